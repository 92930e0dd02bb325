//! What commands share: where things are, the store, and reading what is new.

use super::{Global, out};
use crate::cache::Inputs;
use crate::collect::{self, Found, Keeping, Summary};
use crate::config::{self, ChannelConfig, ConfigFile, Env, UserPrivacy};
use crate::ledger::Options;
use crate::model::{Channel, Conversion, Day, Rules};
use crate::pricing::PriceBook;
use crate::report::format::terminal_text;
use crate::store::later::Opener;
use crate::store::sqlite::SqliteStore;
use crate::store::{Store, journal, spool};
use anyhow::Context as _;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a command waits for a sink that is emptying the journal itself.
const JOURNAL_PATIENCE: Duration = Duration::from_secs(30);

/// The resolved settings of a call.
#[derive(Clone)]
pub(super) struct Context {
    pub env: Env,
    pub home: PathBuf,
    pub config: ConfigFile,
    /// The configuration file, if it was asked for by name.
    pub asked_config: Option<PathBuf>,
    config_path: PathBuf,
    db: PathBuf,
    /// The rules that this call names.
    pub asked_teams: Option<PathBuf>,
    /// The rules on who pays, if a file of them was asked for by name.
    teams: Option<PathBuf>,
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
        let teams = global.teams.clone().or_else(|| config.teams.clone());
        let asked_teams = global.teams.clone();
        Ok(Context { env, home, config, config_path: path, asked_config: asked, asked_teams, db, teams })
    }

    /// The same with the configuration as it is now.
    pub fn again(&self) -> anyhow::Result<Self> {
        let config = ConfigFile::read(&self.config_path, self.asked_config.is_some())?;
        Ok(Context { config, ..self.clone() })
    }

    /// The same where the configuration cannot be read: without it.
    pub fn unconfigured(global: &Global) -> anyhow::Result<Self> {
        let env = Env::from_process();
        let home = config::home(global.home.as_deref(), &env).context("no home folder is known")?;
        let isolated = Self::isolated(&home);
        let asked_config = global.config.clone().or_else(|| env.path("CODEX_TALLY_CONFIG"));
        let config_path = asked_config.clone().unwrap_or_else(|| isolated.config_path.clone());
        let db = config::database(global.db.as_deref(), &env, &isolated.config, &home)
            .unwrap_or_else(|_| isolated.db.clone());
        Ok(Context { env, asked_config, config_path, db, teams: global.teams.clone(), ..isolated })
    }

    /// A home of its own that knows of no other Codex than what it is told of.
    pub fn isolated(home: &Path) -> Self {
        let env = Env::from_process().only(&["USER", "LOGNAME"]);
        let (config_path, db) = (home.join("config.toml"), home.join("tally.db"));
        Context {
            env,
            home: home.to_path_buf(),
            config: ConfigFile::default(),
            config_path,
            asked_config: None,
            db,
            asked_teams: None,
            teams: None,
        }
    }

    /// Our own configuration file, which may be missing.
    pub fn config_path(&self) -> &Path {
        &self.config_path
    }

    /// The database file.
    pub fn database(&self) -> &Path {
        &self.db
    }

    /// Opens the store; creates the home, private to the user, if it is missing.
    pub fn open(&self) -> anyhow::Result<SqliteStore> {
        self.make_home()?;
        Ok(say_copied(SqliteStore::open(&self.db)?))
    }

    /// The file of the store.
    pub fn store_path(&self) -> &Path {
        &self.db
    }

    /// What is kept of what is read: who users are, what was said and done.
    pub fn keeping(&self) -> anyhow::Result<Keeping> {
        if self.config.privacy.user != UserPrivacy::Plain {
            self.make_home()?;
        }
        let users = config::users(&self.home, self.config.privacy.user)?;
        Ok(Keeping { os_user: self.env.os_user(), users, capture: self.config.capture.into() })
    }

    /// Opens stores that wait no longer than this for other processes.
    pub fn opener(&self, patience: Duration) -> anyhow::Result<Opener> {
        self.make_home()?;
        let db = self.db.clone();
        Ok(Opener::new(move || Ok(Box::new(say_copied(SqliteStore::open_within(&db, patience)?)))))
    }

    /// Makes the home, private to the user, if it is missing.
    pub fn make_home(&self) -> anyhow::Result<()> {
        spool::create_private_dir(&self.home).with_context(|| format!("cannot use {}", self.home.display()))
    }

    /// The folders in which Codex keeps sessions, as far as the configuration tells.
    pub fn configured_homes(&self) -> Vec<PathBuf> {
        let mut homes: Vec<PathBuf> = config::codex_home(&self.env).into_iter().collect();
        let user = self.env.path("HOME").unwrap_or_default();
        let whole = |home: &PathBuf| home.strip_prefix("~").map_or_else(|_| home.clone(), |rest| user.join(rest));
        homes.extend(self.config.codex_homes.iter().map(whole));
        homes
    }

    /// The folders in which Codex keeps sessions, as far as anything tells.
    pub fn codex_homes(&self, store: &dyn Store) -> anyhow::Result<Vec<PathBuf>> {
        let mut homes = self.configured_homes();
        homes.extend(store.codex_homes()?);
        homes.sort();
        homes.dedup();
        Ok(homes)
    }

    /// Reads on in these transcripts.
    pub fn import(&self, store: &mut dyn Store, found: Found) -> anyhow::Result<Summary> {
        let mut shown = out::Progress::new();
        let mut summary = collect::read_transcripts(store, &found.paths, &self.keeping()?, &mut |p| {
            shown.show(|| format!("{} of {} files, {} MB", p.files, p.files_total, p.bytes / 1_000_000));
        })?;
        found.problems.into_iter().for_each(|problem| summary.problem(problem));
        Ok(summary)
    }

    /// Stores what a sink put into the journal; returns how many observations were new.
    pub fn drain(&self, store: &mut dyn Store) -> anyhow::Result<u64> {
        Ok(journal::drain(&self.home, store, JOURNAL_PATIENCE)?.appended.stored)
    }

    /// Reads on in journal, spool and transcripts. The spool before the transcripts: it tells where they are.
    pub fn sync(&self, store: &mut dyn Store) -> anyhow::Result<Summary> {
        let drained = self.drain(store)?;
        let keeping = self.keeping()?;
        let mut summary = collect::read_spool(store, &self.home, today(), &keeping.users)?;
        let homes = self.codex_homes(store)?;
        summary += self.import(store, collect::find_in_homes(&homes))?;
        summary.stored += drained;
        keeping.expire(store)?;
        Ok(summary)
    }

    /// The user's own price file.
    pub fn prices_path(&self) -> PathBuf {
        self.config.prices.clone().unwrap_or_else(|| self.home.join("prices.toml"))
    }

    /// What it says; nothing if it is not there and nobody asked for it by name.
    pub fn own_prices(&self) -> anyhow::Result<Option<String>> {
        let path = self.prices_path();
        match std::fs::read_to_string(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && self.config.prices.is_none() => Ok(None),
            read => Ok(Some(read.with_context(|| format!("cannot read {}", path.display()))?)),
        }
    }

    /// The built-in prices, with the user's own file over them if there is one.
    pub fn price_book(&self) -> anyhow::Result<PriceBook> {
        let Some(text) = self.own_prices()? else { return Ok(PriceBook::builtin().clone()) };
        let path = self.prices_path();
        PriceBook::builtin().with_own(&text).with_context(|| format!("cannot use {}", path.display()))
    }

    /// The rates from US dollars to a currency, if one was asked for.
    pub fn conversion(&self, code: Option<&str>) -> anyhow::Result<Option<Conversion>> {
        let Some(code) = code else { return Ok(None) };
        let code = config::currency_code(code)?;
        let path = self.config.rates.clone().unwrap_or_else(|| self.home.join("rates.csv"));
        let rates = config::read_rates(&path)
            .context("amounts are converted by your own table; docs/currency.md has an example")?;
        let conversion = rates.usd_to(&code);
        let known = || rates.of_usd().join(", ");
        Ok(Some(
            conversion
                .with_context(|| format!("{} has no rate from USD to {code}, only to: {}", path.display(), known()))?,
        ))
    }

    /// The rules that say whose sessions are whose, with the list of members.
    pub fn rules(&self) -> anyhow::Result<Rules> {
        match &self.teams {
            Some(asked) => config::read_teams(asked, true),
            None => config::read_teams(&self.home.join("teams.toml"), false),
        }
    }

    /// What sessions are computed with.
    pub fn inputs(&self) -> anyhow::Result<Inputs> {
        let mut rules = self.rules()?;
        rules.credentials = self.config.sink_tokens.iter().map(|token| (token.name.clone(), token.owner())).collect();
        let rules = self.keeping()?.users.rules(rules);
        let book = self.price_book()?;
        for passed in book.passed_over() {
            out::talk(&format!("warning: {}: {}", self.prices_path().display(), terminal_text(&passed)));
        }
        let channel = |c| match c {
            ChannelConfig::Api => Channel::Api,
            ChannelConfig::Chatgpt => Channel::Chatgpt,
            ChannelConfig::Local => Channel::Local,
        };
        let default_channel = self.config.channel.map(channel);
        let options = Options { default_channel, rules, providers: book.providers().clone() };
        Ok(Inputs::new(options, book))
    }
}

/// A copy that was made of an older store is told once, by whoever made it.
fn say_copied(store: SqliteStore) -> SqliteStore {
    if let Some(copy) = store.copied() {
        let copy = copy.display();
        out::talk(&format!(
            "the store was brought up to date for this version; as it was before, it is kept in {copy}"
        ));
    }
    store
}

/// Files that could not be read are told, never passed over.
pub(super) fn say_problems(summary: &Summary) {
    for problem in &summary.problems {
        out::talk(&format!("warning: not read: {}", problem));
    }
    let more = summary.failed - summary.problems.len() as u64;
    if more > 0 {
        out::talk(&format!("warning: {more} more files could not be read"));
    }
}

pub(super) fn today() -> Day {
    Day(chrono::Utc::now().date_naive())
}

/// Writes a file that is either whole or not there, private to the user. What is no plain file (a pipe, a device) is written
/// to as it is, and a link is followed.
pub(super) fn write_file(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    write_file_with(path, |file| Ok(file.write_all(bytes)?))
}

/// The same for what is too much to hold: `write` is given the new file, which takes the other's place when it is whole.
pub(super) fn write_file_with(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let resolved = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let path = resolved.as_path();
    let work = || -> anyhow::Result<()> {
        if std::fs::metadata(path).is_ok_and(|meta| !meta.is_file()) {
            let mut file = BufWriter::new(std::fs::OpenOptions::new().write(true).truncate(true).open(path)?);
            write(&mut file)?;
            return Ok(file.flush()?);
        }
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // The name of the temporary file would only confuse.
        let file = tempfile::NamedTempFile::new_in(folder).map_err(|e| std::io::Error::from(e.kind()))?;
        let mut file = BufWriter::new(file);
        write(&mut file)?;
        let file = file.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|e| e.error)?;
        Ok(())
    };
    work().with_context(|| format!("cannot write {}", path.display()))
}
