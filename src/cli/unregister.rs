//! The files of Codex without our part: what the record names, and what is ours by what it says.

use super::context::Context;
use super::edits::{self, Change};
use super::out;
use super::whose::{Homes, Owner, Registrations, registrations};
use crate::config;
use crate::setup::{self, Found, Moved, Record, Refused, Registered};
use std::path::{Path, PathBuf};

/// What is to be done to Codex's files.
#[derive(Default)]
pub(super) struct Out {
    pub changes: Vec<Change>,
    /// The tokens that go: not for the screen, nor for copies that are kept.
    pub secrets: Vec<String>,
}

/// Finds what is to be taken out. Files of hooks before those of trust, which hangs on the places in them.
pub(super) fn unregister(
    context: &Context,
    codex_home: Option<&Path>,
    record: &Record,
    secret: Option<String>,
) -> anyhow::Result<Out> {
    let mut folders: Vec<PathBuf> = record.files.iter().filter_map(|file| Some(file.path.parent()?.into())).collect();
    let here = codex_home.map(Path::to_path_buf).or_else(|| config::codex_home(&context.env));
    folders.extend(here.map(std::path::absolute).transpose()?);
    folders.sort();
    folders.dedup();
    let mut found = Registrations::new();
    for folder in &folders {
        found.extend(registrations(folder)?);
    }
    let homes = Homes::new(context, &found)?;
    let mut files: Vec<File> = Vec::new();
    let mut paths: Vec<&PathBuf> = record.files.iter().map(|file| &file.path).collect();
    paths.extend(found.iter().map(|(path, _)| path).filter(|path| record.file(path).is_none()));
    paths.sort_by_key(|path| path.extension().is_none_or(|extension| extension != "json"));
    for path in paths {
        let Some(text) = edits::read(path)? else { continue };
        files.push(File { path, recorded: record.file(path), found: Found::of(path, &text), text, homes: &homes });
    }
    let mut out = Out { secrets: secret.into_iter().collect(), ..Out::default() };
    let gone = |file: &File| file.found.exporter.as_ref().filter(|_| file.takes_exporter()).map(|e| e.token.clone());
    out.secrets.extend(files.iter().filter_map(gone));
    let mut moved: Vec<(String, Moved)> = Vec::new();
    for file in &files {
        let new = file.without(&mut moved).map_err(|why| file.refused(&why))?;
        out.changes.push(file.change(&context.home, new, &out.secrets));
    }
    Ok(out)
}

/// A file that may have something of ours.
struct File<'a> {
    path: &'a Path,
    recorded: Option<&'a Registered>,
    found: Found,
    text: String,
    homes: &'a Homes,
}

impl File<'_> {
    fn is_ours(&self, event: &str, command: &str) -> bool {
        let recorded = |file: &Registered| file.command == command && file.added.events.iter().any(|e| e == event);
        let by_its_words = || setup::is_ours(command) && self.homes.other_of_command(self.path, command).is_none();
        self.recorded.is_some_and(recorded) || by_its_words()
    }

    fn takes_exporter(&self) -> bool {
        let exporter = self.found.exporter.as_ref().filter(|exporter| exporter.exact);
        exporter.is_some_and(|exporter| self.homes.other_of_exporter(self.path, exporter).is_none())
    }

    /// Whether something of ours is in it that no record tells of.
    fn is_unrecorded(&self) -> bool {
        let recorded = |event: &String| self.recorded.is_some_and(|file| file.added.events.contains(event));
        self.found.handlers.iter().any(|(event, _)| !recorded(event))
    }

    /// The text without our part; what went from `hooks.json` is noted for the trust in it.
    fn without(&self, moved: &mut Vec<(String, Moved)>) -> Result<String, Refused> {
        let recorded = self.recorded.map(|file| &file.added);
        let mut added = self.found.added(recorded, self.takes_exporter());
        let ours = |event: &str, command: &str| self.is_ours(event, command);
        if self.path.extension().is_some_and(|extension| extension == "json") {
            let (new, gone) = setup::remove_json(&self.text, &ours, &added)?;
            moved.extend(names(self.path).into_iter().map(|name| (name, gone.clone())));
            return Ok(new);
        }
        // What stood there before is not given back if it was the exporter of a home that is gone.
        let before = added.otel.iter().find(|(key, _)| key == "exporter").and_then(|(_, before)| before.as_deref());
        let stale = before.and_then(setup::exporter_of).filter(|before| before.exact);
        let stale = stale.filter(|before| self.homes.other_of_exporter(self.path, before).is_none());
        if let (Some(_), Some(now)) = (stale, self.found.exporter.as_ref().filter(|_| self.takes_exporter())) {
            added.take_exporter(now);
        }
        setup::remove_toml(&self.text, &ours, &added, moved, &names(self.path))
    }

    fn refused(&self, why: &Refused) -> anyhow::Error {
        let first = self.found.handlers.first().map(|(_, command)| command.as_str());
        let command = self.recorded.map(|file| file.command.as_str()).or(first).unwrap_or(setup::HOOK);
        anyhow::anyhow!("{} is left as it is: {why}. Take the lines with {command} out by hand", self.path.display())
    }

    /// The file goes if it was not there before and nothing else is in it now.
    fn change(&self, home: &Path, new: String, secrets: &[String]) -> Change {
        let held = self.say_what_stays(&new, secrets);
        let mode = self.recorded.and_then(|file| file.mode).filter(|_| !held);
        let mode = mode.or_else(|| edits::mode_of(self.path)).unwrap_or(0o600);
        let created = self.recorded.is_none_or(|file| file.created) || self.is_unrecorded();
        let new = (!(created && new.trim().is_empty())).then(|| as_it_was(home, self.path, new));
        Change { path: self.path.to_path_buf(), old: Some(self.text.clone()), new, mode }
    }

    /// Tells what stays, and whose it is; returns whether a token does.
    fn say_what_stays(&self, new: &str, secrets: &[String]) -> bool {
        let (path, left) = (self.path.display(), Found::of(self.path, new));
        let other = left
            .handlers
            .first()
            .and_then(|(_, command)| Some((command, Owner::Home(self.homes.other_of_command(self.path, command)?))));
        if let Some((command, home)) = other {
            out::talk(&format!(
                "note: {path} still runs `{command}` for another home, {home}; `{}` takes that out",
                home.uninstall()
            ));
        }
        let held = left.exporter.is_some() || secrets.iter().any(|secret| new.contains(secret));
        let whose = left.exporter.as_ref().and_then(|left| self.homes.other_of_exporter(self.path, left));
        match whose {
            Some(whose) => out::talk(&format!(
                "note: {path} still sends logs with the token of another home, {whose}; `{}` takes that out",
                whose.uninstall()
            )),
            None if held => out::talk(&format!(
                "note: {path} still sends logs to {}, since that line was changed; take it out by hand",
                endpoint(new).unwrap_or_else(|| "the sink".to_string())
            )),
            None => {}
        }
        let added = self.recorded.map(|file| file.added.otel.as_slice()).unwrap_or_default();
        let traces = |text: &str| text.lines().any(|line| line.trim_start().starts_with("trace_exporter = \"none\""));
        if added.iter().any(|(key, before)| key == "trace_exporter" && before.is_none()) && traces(new) {
            out::talk(&format!("note: {path} still has `trace_exporter`, since that line was changed"));
        }
        held
    }
}

/// Where a configuration sends logs to.
fn endpoint(text: &str) -> Option<String> {
    let table: toml::Table = text.parse().ok()?;
    let exporter = table.get("otel")?.get("exporter")?.as_table()?;
    exporter.values().find_map(|transport| Some(transport.get("endpoint")?.as_str()?.to_string()))
}

/// The text as a copy has it that differs in line ends and byte order mark only: Codex drops both when it writes trust.
fn as_it_was(home: &Path, path: &Path, text: String) -> String {
    let bare = |text: &str| text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    let entries = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let of_it = |copy: &PathBuf| {
        let copy = copy.file_name().unwrap_or_default().to_string_lossy();
        copy.split_once('-').is_some_and(|(_, rest)| rest == name)
    };
    let copies = entries(&Record::folder(home)).flat_map(|folder| entries(&folder)).filter(of_it);
    let mut texts = copies.filter_map(|copy| std::fs::read_to_string(copy).ok());
    texts.find(|copy| *copy != text && bare(copy) == bare(&text)).unwrap_or(text)
}

/// The names that keys of trusted hooks can have for a file.
pub(super) fn names(path: &Path) -> Vec<String> {
    let mut names = vec![path.to_path_buf()];
    names.extend(std::fs::canonicalize(path));
    let folder = path.parent().and_then(|folder| std::fs::canonicalize(folder).ok());
    names.extend(folder.zip(path.file_name()).map(|(folder, name)| folder.join(name)));
    names.dedup();
    names.into_iter().map(|name| name.display().to_string()).collect()
}
