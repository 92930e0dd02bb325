//! Whose the registrations in Codex's files are: this home's, another's, or those of a home that is gone.

use super::context::Context;
use super::sink::{Listener, who_listens};
use super::{edits, token};
use crate::config;
use crate::setup::{self, Exporter, Found, Record};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The homes that are known here.
pub(super) struct Homes {
    own: PathBuf,
    token: Option<String>,
    record: Record,
    /// The one that a command without `--home` goes to.
    usual: Option<PathBuf>,
    others: Vec<Other>,
    /// Another home that hooks go to, if there is one: exporters of nobody known are of that one.
    elsewhere: Option<PathBuf>,
}

/// Who has a token that is not ours.
#[derive(Debug, Clone)]
pub(super) enum Owner {
    Home(PathBuf),
    /// It is not known where its home is, but its sink runs.
    Sink(SocketAddr),
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Owner::Home(home) => write!(f, "{}", home.display()),
            Owner::Sink(address) => write!(f, "that of the sink on {address}"),
        }
    }
}

impl Owner {
    /// How its registrations are taken out.
    pub fn uninstall(&self) -> String {
        let home = match self {
            Owner::Home(home) => setup::shell_word(&home.display().to_string()),
            Owner::Sink(_) => "DIR".to_string(),
        };
        format!("codex-tally --home {home} uninstall")
    }
}

struct Other {
    home: PathBuf,
    token: Option<String>,
    record: Record,
}

/// Files of Codex with what they have of ours.
pub(super) type Registrations = Vec<(PathBuf, Found)>;

/// What the files of a Codex have of ours.
pub(super) fn registrations(codex_home: &Path) -> anyhow::Result<Registrations> {
    let entries = std::fs::read_dir(codex_home).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_one = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name == "hooks.json" || name == "config.toml" || name.ends_with(".config.toml")
    };
    let mut files: Vec<PathBuf> = entries.filter(is_one).collect();
    files.sort();
    let mut all = Vec::new();
    for path in files {
        // A file that cannot be read says nothing; who edits it will say why.
        let Ok(Some(text)) = edits::read(&path) else { continue };
        let found = Found::of(&path, &text);
        if !found.is_empty() {
            all.push((path, found));
        }
    }
    Ok(all)
}

impl Homes {
    /// The homes of this environment, and those that registrations name.
    pub fn new(context: &Context, registrations: &Registrations) -> anyhow::Result<Self> {
        let usual = config::home(None, &context.env);
        let usual_of_all = config::home(None, &context.env.clone().only(&["XDG_STATE_HOME", "HOME"]));
        let commands = registrations.iter().flat_map(|(_, found)| &found.handlers);
        let named = commands.filter_map(|(_, command)| setup::home_of(command)).map(PathBuf::from);
        let mut homes: Vec<PathBuf> =
            usual.iter().cloned().chain(usual_of_all).chain(named).map(|h| real(&h)).collect();
        homes.sort();
        homes.dedup();
        let own = real(&context.home);
        homes.retain(|home| *home != own);
        // One that cannot be looked into is told by its name only.
        let known = |home: PathBuf| Other {
            token: token::read(&home).ok().flatten(),
            record: Record::read(&home).unwrap_or_default(),
            home,
        };
        let mut homes = Homes {
            token: token::read(&own).ok().flatten(),
            record: Record::read(&context.home)?,
            own,
            usual: usual.map(|home| real(&home)),
            others: homes.into_iter().map(known).collect(),
            elsewhere: None,
        };
        let commands = registrations.iter().flat_map(|(path, found)| found.handlers.iter().map(move |h| (path, &h.1)));
        homes.elsewhere = commands.filter_map(|(path, command)| homes.other_of_command(path, command)).next();
        Ok(homes)
    }

    /// The other home that a command in a file goes to; `None` if it is ours.
    pub fn other_of_command(&self, path: &Path, command: &str) -> Option<PathBuf> {
        let in_record = |record: &Record| {
            record.file(path).is_some_and(|file| file.command == command && !file.added.events.is_empty())
        };
        if in_record(&self.record) {
            return None;
        }
        if let Some(named) = setup::home_of(command) {
            return Some(real(Path::new(&named))).filter(|named| *named != self.own);
        }
        let other = self.others.iter().find(|other| in_record(&other.record)).map(|other| other.home.clone());
        other.or_else(|| self.usual.clone().filter(|usual| *usual != self.own))
    }

    /// Who else has the token of an exporter: another home, or a sink that runs. `None`: it is ours, or of a home that is gone.
    pub fn other_of_exporter(&self, path: &Path, exporter: &Exporter) -> Option<Owner> {
        let in_record = |record: &Record| {
            record.file(path).is_some_and(|file| file.added.exporter.as_ref() == Some(&exporter.text))
        };
        if self.token.as_ref() == Some(&exporter.token) || in_record(&self.record) {
            return None;
        }
        let has = |other: &&Other| other.token.as_ref() == Some(&exporter.token);
        if let Some(other) = self.others.iter().find(has) {
            return Some(Owner::Home(other.home.clone()));
        }
        let address = exporter.endpoint.strip_prefix("http://").and_then(|rest| rest.strip_suffix("/v1/logs"));
        let address = address.and_then(|address| address.parse().ok());
        let runs = |address| matches!(who_listens(address, Some(&exporter.token)), Ok(Listener::Ours(_)));
        let sink = address.filter(|address| runs(*address)).map(Owner::Sink);
        sink.or_else(|| self.elsewhere.clone().map(Owner::Home))
    }

    /// The first registration that is another home's: file and home.
    pub fn another(&self, registrations: &Registrations) -> Option<(PathBuf, Owner)> {
        let command = |path: &Path, found: &Found| {
            found.handlers.iter().find_map(|(_, command)| self.other_of_command(path, command))
        };
        let of = |(path, found): &(PathBuf, Found)| {
            let home = command(path, found).map(Owner::Home);
            let home = home.or_else(|| self.other_of_exporter(path, found.exporter.as_ref()?));
            Some((path.clone(), home?))
        };
        registrations.iter().find_map(of)
    }
}

/// A path without links, as far as it is there.
fn real(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    std::fs::canonicalize(&path).unwrap_or(path)
}
