//! What was put where, kept in the home so that it can be taken out again.

use super::Refused;
use super::config_toml::{Added, append, cut_table, parse, quoted};
use super::splice::Splices;
use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The folder of records and of copies of files as they were, in the home.
const FOLDER: &str = "installed";

/// All that was put into files of others, and into our own configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// Files that something was put into.
    pub files: Vec<Registered>,
    /// Our own configuration was given `[sink]`.
    pub sink: bool,
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
            }
            None => self.files.push(new),
        }
    }
}

/// Our own configuration with the addresses that the sink listens on.
///
/// # Errors
/// It is not TOML, or has something of the sink already.
pub fn add_sink(text: &str, http: &str, grpc: Option<&str>) -> Result<String, Refused> {
    if parse(text)?.as_table().contains_key("sink") {
        return Err(Refused(format!("its `[sink]` does not say where the sink listens; add `http = \"{http}\"`")));
    }
    let grpc = grpc.map(|grpc| format!("grpc = {}\n", quoted(grpc))).unwrap_or_default();
    let mut new = text.to_string();
    append(&mut new, &format!("\n[sink]\nhttp = {}\n{grpc}", quoted(http)));
    Ok(new)
}

/// The same without.
///
/// # Errors
/// It is not TOML.
pub fn remove_sink(text: &str) -> Result<String, Refused> {
    let doc = parse(text)?;
    let mut splices = Splices::default();
    doc.as_table()
        .get("sink")
        .and_then(|sink| sink.as_table())
        .into_iter()
        .for_each(|t| cut_table(text, t, &mut splices));
    Ok(splices.apply(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_configuration_comes_back() {
        for text in ["", "channel = \"api\"\n", "# mine\ndb = \"sqlite:/x\"\n"] {
            let with = add_sink(text, "127.0.0.1:4320", Some("none")).unwrap();
            assert!(with.ends_with("[sink]\nhttp = \"127.0.0.1:4320\"\ngrpc = \"none\"\n"), "{with}");
            assert_eq!(remove_sink(&with).unwrap(), text);
        }
    }
}
