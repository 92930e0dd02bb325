//! What was put where, kept in the home so that it can be taken out again.

use super::Refused;
use super::config_toml::{Added, cut_table, parse, quoted};
use super::splice::Splices;
use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use toml_edit::Item;

/// The folder of records and of copies of files as they were, in the home.
const FOLDER: &str = "installed";

/// All that was put into files of others, and into our own configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// Files that something was put into.
    pub files: Vec<Registered>,
    /// Our own configuration was told where the sink listens.
    pub sink: bool,
    /// The address that it was given; earlier versions did not note it.
    pub http: Option<String>,
    /// Our own configuration said before whether the sink takes gRPC.
    pub own_grpc: bool,
    /// Our own configuration was not there.
    pub created_config: bool,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// Where it is.
    pub path: PathBuf,
    /// It was not there.
    pub created: bool,
    /// Its permissions before, if they had to be tightened for the token.
    pub mode: Option<u32>,
    /// The command that Codex runs.
    pub command: String,
    /// What was put in.
    pub added: Added,
}

impl Record {
    /// The folder of a home's records.
    pub fn folder(home: &Path) -> PathBuf {
        home.join(FOLDER)
    }

    /// The file of a home's record.
    pub fn path(home: &Path) -> PathBuf {
        Self::folder(home).join("record.json")
    }

    /// Reads it; nothing was put anywhere if it is missing.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(home: &Path) -> anyhow::Result<Self> {
        let path = Self::path(home);
        match std::fs::read(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Record::default()),
            read => serde_json::from_slice(&read?).with_context(|| format!("{} is not understood", path.display())),
        }
    }

    /// Writes it, private to the user, whole or not at all.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, home: &Path) -> anyhow::Result<()> {
        let path = Self::path(home);
        let work = || -> anyhow::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(Self::folder(home))?;
            file.write_all(&serde_json::to_vec_pretty(self)?)?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|e| e.error)?;
            Ok(())
        };
        work().with_context(|| format!("cannot write {}", path.display()))
    }

    /// Whether nothing was put anywhere.
    pub fn is_empty(&self) -> bool {
        *self == Record::default()
    }

    /// What was put into a file.
    pub fn file(&self, path: &Path) -> Option<&Registered> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Adds what was put into a file now.
    pub fn note(&mut self, new: Registered) {
        match self.files.iter_mut().find(|file| file.path == new.path) {
            Some(file) => {
                file.added = std::mem::take(&mut file.added).and_then(new.added);
                file.mode = file.mode.or(new.mode);
                file.command = new.command;
            }
            None => self.files.push(new),
        }
    }
}

/// Stands above what our own configuration is given. One line in the middle of a file would make keys that are added at its
/// end part of a table, so these are keys of their own, at the beginning.
const REMARK: &str = "# Written by `codex-tally init`: where the sink listens. More of it as `sink.grpc = ...`, above the first [table].";

/// Our own configuration with the addresses that the sink listens on. What the user says of `grpc` stays.
///
/// # Errors
/// It is not TOML, or says something of the sink in a form that cannot be added to.
pub fn add_sink(text: &str, http: &str, grpc: Option<&str>) -> Result<String, Refused> {
    let doc = parse(text)?;
    let sink = doc.as_table().get("sink");
    let has = |key: &str| sink.and_then(|sink| sink.as_table_like()).is_some_and(|sink| sink.contains_key(key));
    let refused = || Refused(format!("its `[sink]` does not say where the sink listens; add `http = \"{http}\"`"));
    if has("http") {
        return Err(refused());
    }
    let eol = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let grpc = grpc.filter(|_| !has("grpc"));
    let lines = |before: &str| {
        let grpc = grpc.map(|grpc| format!("{before}grpc = {}{eol}", quoted(grpc))).unwrap_or_default();
        format!("{before}http = {}{eol}{grpc}", quoted(http))
    };
    match sink {
        None => {}
        Some(Item::Table(table)) if table.is_dotted() => {}
        Some(Item::Table(table)) if !table.is_implicit() => {
            let head = table.span().ok_or_else(refused)?.end;
            let at = head + text[head..].find('\n').map_or(text.len() - head, |end| end + 1);
            let ended = if text[..at].ends_with('\n') { "" } else { eol };
            return Ok(format!("{}{ended}{}{}", &text[..at], lines(""), &text[at..]));
        }
        Some(_) => return Err(refused()),
    }
    let (mark, rest) = text.split_at(text.len() - text.trim_start_matches('\u{feff}').len());
    Ok(format!("{mark}{REMARK}{eol}{}{rest}", lines("sink.")))
}

/// The same without: the lines as they were written. What was changed or added since stays, and `own_grpc`.
///
/// # Errors
/// It is not TOML.
pub fn remove_sink(text: &str, http: Option<&str>, own_grpc: bool) -> Result<String, Refused> {
    let doc = parse(text)?;
    let mut splices = Splices::default();
    let Some(sink) = doc.as_table().get("sink").and_then(|sink| sink.as_table()) else { return Ok(text.to_string()) };
    let mut left = 0;
    for (key, item) in sink.iter() {
        let line = item.span().and_then(|span| {
            let start = text[..span.start].rfind('\n').map_or(0, |at| at + 1);
            Some((text[start..].lines().next()?.trim_start_matches('\u{feff}').trim_end(), span))
        });
        let written = match key {
            "http" => item.as_str().filter(|address| http.is_none_or(|http| http == *address)),
            "grpc" => item.as_str().filter(|address| *address == "none" && !own_grpc),
            _ => None,
        };
        let bare = written.map(|value| format!("{key} = {}", quoted(value)));
        let is_written = |line: &str| bare.as_deref() == Some(line.strip_prefix("sink.").unwrap_or(line));
        match line.filter(|(line, _)| is_written(line)) {
            Some((_, span)) => splices.cut_lines(text, span),
            None => left += 1,
        }
    }
    if !sink.is_dotted() && left == 0 {
        cut_table(text, sink, &mut splices);
    } else if let Some(at) = text.find(REMARK).filter(|_| sink.is_dotted()) {
        splices.cut_lines(text, at..at + REMARK.len());
    }
    let mark = if text.starts_with('\u{feff}') { "\u{feff}" } else { "" };
    let new = splices.apply(text);
    Ok(if new.starts_with('\u{feff}') { new } else { format!("{mark}{new}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_configuration_comes_back() {
        const HTTP: &str = "127.0.0.1:4320";
        for text in [
            "",
            "channel = \"api\"\n",
            "# mine\ndb = \"sqlite:/x\"",
            "[privacy]\nuser = \"off\"\n",
            "\u{feff}# mine\r\n\r\n[privacy]\r\nuser = \"off\"\r\n",
        ] {
            let with = add_sink(text, HTTP, Some("none")).unwrap();
            let value: toml::Table = with.trim_start_matches('\u{feff}').parse().unwrap();
            assert_eq!((value["sink"]["http"].as_str(), value["sink"]["grpc"].as_str()), (Some(HTTP), Some("none")));
            assert_eq!(remove_sink(&with, Some(HTTP), false).unwrap(), text);
        }
    }

    #[test]
    fn what_is_said_of_grpc_only_is_added_to() {
        for (text, grpc) in [
            ("[sink]\ngrpc = \"none\"\n", "none"),
            (
                "channel = \"api\"\n\n[sink] # mine\ngrpc = \"127.0.0.1:5\"\n\n[privacy]\nuser = \"off\"\n",
                "127.0.0.1:5",
            ),
            ("sink.grpc = \"127.0.0.1:5\"\r\n", "127.0.0.1:5"),
            ("[sink]\nallow_hosts = []\n", "none"),
        ] {
            let with = add_sink(text, "127.0.0.1:4320", Some("none")).unwrap();
            let value: toml::Table = with.parse().unwrap();
            let said = (value["sink"]["http"].as_str(), value["sink"]["grpc"].as_str());
            assert_eq!(said, (Some("127.0.0.1:4320"), Some(grpc)), "{with}");
        }
        for mine in ["[sink] # mine\ngrpc = \"none\"\n\n[privacy]\nuser = \"off\"\n", "sink.grpc = \"none\"\n"] {
            let with = add_sink(mine, "127.0.0.1:4320", Some("none")).unwrap();
            assert_eq!(remove_sink(&with, Some("127.0.0.1:4320"), true).unwrap(), mine);
        }
        for refused in ["sink = { grpc = \"none\" }\n", "[sink]\nhttp = \"127.0.0.1:1\"\n"] {
            assert!(add_sink(refused, "127.0.0.1:4320", None).is_err(), "{refused}");
        }
    }

    #[test]
    fn what_was_added_or_changed_since_stays() {
        let with = add_sink("", "127.0.0.1:4320", Some("none")).unwrap();
        for mine in ["sink.grpc = \"127.0.0.1:9999\" # my own\n", "sink.grpc = \"none\" # mine\n"] {
            let with = with.replace("sink.grpc = \"none\"\n", mine);
            assert_eq!(remove_sink(&with, Some("127.0.0.1:4320"), false).unwrap(), mine);
        }
        let with = with.replace(":4320", ":5555");
        assert_eq!(remove_sink(&with, Some("127.0.0.1:4320"), false).unwrap(), "sink.http = \"127.0.0.1:5555\"\n");
        // As earlier versions wrote it.
        let table = "channel = \"api\"\n\n[sink]\nhttp = \"127.0.0.1:4320\"\n";
        assert_eq!(remove_sink(table, None, false).unwrap(), "channel = \"api\"\n");
        let mine = "allow_hosts = [\"x\"]\n";
        assert_eq!(
            remove_sink(&format!("{table}{mine}"), None, false).unwrap(),
            format!("channel = \"api\"\n\n[sink]\n{mine}")
        );
    }
}
