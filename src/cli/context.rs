//! What commands share: where things are, the store, and reading what is new.

use super::{Global, out};
use crate::collect::{self, Summary};
use crate::config::{self, ChannelConfig, ConfigFile, Env};
use crate::ledger::{self, Ledger, Options};
use crate::model::{Channel, Day};
use crate::pricing::PriceBook;
use crate::store::sqlite::SqliteStore;
use crate::store::{Store, spool};
use anyhow::Context as _;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The resolved settings of a call.
pub(super) struct Context {
    pub env: Env,
    pub home: PathBuf,
    pub config: ConfigFile,
    db: PathBuf,
}

impl Context {
    pub fn new(global: &Global) -> anyhow::Result<Self> {
        let env = Env::from_process();
        let home = config::home(global.home.as_deref(), &env)
            .context("no home folder is known; give one with --home DIR or CODEX_TALLY_HOME")?;
        let asked = global.config.clone().or_else(|| env.path("CODEX_TALLY_CONFIG"));
        let path = asked.clone().unwrap_or_else(|| home.join("config.toml"));
        let config = ConfigFile::read(&path, asked.is_some())?;
        let db = config::database(global.db.as_deref(), &env, &config, &home)?;
        Ok(Context { env, home, config, db })
    }

    /// A home of its own that knows of no other Codex than what it is told of.
    pub fn isolated(home: &Path) -> Self {
        let env = Env::from_process().only(&["USER", "LOGNAME"]);
        Context { env, home: home.to_path_buf(), config: ConfigFile::default(), db: home.join("tally.db") }
    }

    /// Opens the store; creates the home, private to the user, if it is missing.
    pub fn open(&self) -> anyhow::Result<SqliteStore> {
        spool::create_private_dir(&self.home).with_context(|| format!("cannot use {}", self.home.display()))?;
        SqliteStore::open(&self.db)
    }

    /// The folders in which Codex keeps sessions, as far as anything tells.
    pub fn codex_homes(&self, store: &dyn Store) -> anyhow::Result<Vec<PathBuf>> {
        let mut homes: Vec<PathBuf> = config::codex_home(&self.env).into_iter().collect();
        homes.extend(self.config.codex_homes.iter().cloned());
        homes.extend(store.codex_homes()?);
        homes.sort();
        homes.dedup();
        Ok(homes)
    }

    /// Reads on in the transcripts below these paths.
    pub fn import(&self, store: &mut dyn Store, paths: &[PathBuf]) -> anyhow::Result<Summary> {
        let files = collect::find_transcripts(paths)?;
        let mut shown = out::Progress::new();
        collect::read_transcripts(store, &files, &self.env.os_user(), &mut |p| {
            shown.show(|| format!("{} of {} files, {} MB", p.files, p.files_total, p.bytes / 1_000_000));
        })
    }

    /// Reads on in spool and transcripts. The spool first: it tells where transcripts are.
    pub fn sync(&self, store: &mut dyn Store) -> anyhow::Result<Summary> {
        let mut summary = collect::read_spool(store, &self.home, today())?;
        let homes = self.codex_homes(store)?;
        summary += self.import(store, &homes)?;
        Ok(summary)
    }

    /// The ledger of all that is stored, after reading what is new unless that is not wanted.
    pub fn ledger(&self, no_import: bool) -> anyhow::Result<(Ledger, BTreeMap<String, u64>)> {
        let mut store = self.open()?;
        if !no_import {
            match self.sync(&mut store) {
                Ok(summary) => say_problems(&summary),
                Err(e) => {
                    out::talk(&format!("warning: what is new could not be read, so the report may be old: {e:#}"))
                }
            }
        }
        let options = Options {
            default_channel: self.config.channel.map(|c| match c {
                ChannelConfig::Api => Channel::Api,
                ChannelConfig::Chatgpt => Channel::Chatgpt,
                ChannelConfig::Local => Channel::Local,
            }),
        };
        let observations = store.observations()?;
        if observations.is_empty() {
            let homes: Vec<_> = self.codex_homes(&store)?.iter().map(|h| h.display().to_string()).collect();
            out::talk(&format!(
                "nothing is known yet: no sessions in {}, and no hook or sink has written",
                homes.join(", ")
            ));
            out::talk("hint: give another CODEX_HOME to `codex-tally import`, or try `codex-tally demo`");
        }
        let ledger = ledger::build(&observations, &options, PriceBook::builtin());
        Ok((ledger, store.counters()?))
    }
}

/// Files that could not be read are told, never passed over.
pub(super) fn say_problems(summary: &Summary) {
    for problem in &summary.problems {
        out::talk(&format!("warning: not read: {}", crate::report::format::terminal_text(problem)));
    }
    let more = summary.failed - summary.problems.len() as u64;
    if more > 0 {
        out::talk(&format!("warning: {more} more files could not be read"));
    }
}

fn today() -> Day {
    Day(chrono::Utc::now().date_naive())
}

/// Writes a file that is either whole or not there, private to the user.
pub(super) fn write_file(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        std::io::Write::write_all(&mut file, bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|e| e.error)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
