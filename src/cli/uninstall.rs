//! `uninstall`: takes out of Codex's files what `init` has put in, then removes what is ours.

use super::context::Context;
use super::edits::{self, Change};
use super::sockets::OnlySink;
use super::unregister::{Out, unregister};
use super::{out, service, system, token};
use crate::setup::{self, Record};
use anyhow::{Context as _, bail};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How long a sink of the service may take to end.
const FAREWELL: Duration = Duration::from_secs(3);

/// Take out of Codex's configuration what `init` has put in
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Edits Codex's files first: exactly what was added goes, with the trust in it; your own hooks keep their trust, and what
was changed since stays. Hooks and exporter of this home are found there even if the home is gone. Then it removes the sink's token. The ledger stays unless --purge is said.

Examples:
  codex-tally uninstall                     show, ask, write
  codex-tally uninstall --yes               no questions: for scripts
  codex-tally uninstall --purge             also remove the ledger with everything in the home
  sudo codex-tally uninstall --system       the managed layer, for all users, also if no record of it is left"
)]
pub(super) struct Args {
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Where Codex keeps its configuration [env: CODEX_HOME] [default: ~/.codex]
    #[arg(long, value_name = "DIR")]
    codex_home: Option<PathBuf>,
    /// Remove the ledger, too
    #[arg(long)]
    purge: bool,
    /// Take out of the managed layer, /etc/codex/requirements.toml, what `init --system` has put in, and nothing else
    #[arg(long, conflicts_with_all = ["codex_home", "purge"])]
    system: bool,
    /// With --system: the folder that stands for /
    #[arg(long, value_name = "DIR", requires = "system")]
    root: Option<PathBuf>,
}

pub(super) fn run(context: &Context, args: &Args) -> anyhow::Result<ExitCode> {
    if args.system {
        return system::remove(context, args.root.as_deref(), args.yes);
    }
    if args.purge {
        is_home(&context.home)?;
    }
    let _alone = (args.yes && context.home.exists()).then(|| edits::alone(&context.home)).transpose()?;
    let record = Record::read(&context.home)?;
    if let Some(path) = system::unknown(&record) {
        let path = path.display();
        out::talk(&format!(
            "note: {path} runs the hook for all users, and stays; who may write it (root) takes it out with \
             `codex-tally uninstall --system`"
        ));
    }
    let secret = token::read(&context.home).ok().flatten();
    let Out { mut changes, secrets } = unregister(context, args.codex_home.as_deref(), &record, secret)?;
    changes.extend(of_ours(context, &record)?);
    changes.retain(Change::is_one);
    if record.is_empty() && changes.is_empty() && !args.purge {
        out::talk(&format!(
            "nothing to do: nothing of this home is in Codex's files, and {} knows of nothing that was put anywhere",
            context.home.display()
        ));
        if service::start_again(context).is_some() {
            out::talk("a service is installed: `codex-tally service remove` stops it and removes its files");
        }
        return Ok(ExitCode::SUCCESS);
    }
    if !changes.is_empty() && !edits::agreed(&changes, &secrets, args.yes, "Make these changes?")? {
        bail!("nothing was changed; say --yes where nobody can be asked");
    }
    let home = context.home.display();
    if args.purge
        && !args.yes
        && !out::ask_for(&format!("Everything in {home}, the ledger included, will be gone."), "purge")
    {
        bail!("nothing was changed; the ledger is removed only if `purge` is typed, or with --yes");
    }
    let _alone = args.purge.then(|| without_sink(context)).transpose()?;
    if context.home.exists() && !changes.is_empty() {
        // The token goes, from the copies as well.
        let mut copies = changes.clone();
        copies.iter_mut().for_each(|copy| copy.old = copy.old.take().map(|old| edits::without(&old, &secrets)));
        edits::back_up(&context.home, &copies)?;
    }
    edits::make(&changes)?;
    if args.purge {
        return purge(context);
    }
    remove_service(context);
    for path in [token::path(&context.home), Record::path(&context.home)] {
        remove(&path)?;
    }
    let there = context.home.exists();
    let stays =
        if there { format!("; the ledger and copies of the changed files stay in {home}") } else { String::new() };
    out::talk(&format!("done{stays}. A sink or a `codex` that runs now notices when it is started again"));
    Ok(ExitCode::SUCCESS)
}

fn remove_service(context: &Context) {
    if let Err(e) = service::remove_all(context) {
        out::talk(&format!("warning: {e:#}"));
    }
}

/// No sink runs in the home, and none begins to: what one receives would be stored in files that are gone.
fn without_sink(context: &Context) -> anyhow::Result<Option<OnlySink>> {
    remove_service(context);
    if !context.home.exists() {
        return Ok(None);
    }
    let deadline = Instant::now() + FAREWELL;
    loop {
        match OnlySink::take(&context.home) {
            // One that was told to end stores what it has first.
            Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(50)),
            taken => {
                return Ok(Some(taken.context("nothing was removed: a sink that runs would go on without a store")?));
            }
        }
    }
}

/// Our own configuration without what `init` wrote.
fn of_ours(context: &Context, record: &Record) -> anyhow::Result<Option<Change>> {
    let path = context.config_path();
    let Some(old) = edits::read(path)?.filter(|_| record.sink) else { return Ok(None) };
    let new = setup::remove_sink(&old, record.http.as_deref(), record.own_grpc)?;
    let new = (!(record.created_config && new.trim().is_empty())).then_some(new);
    Ok(Some(Change { path: path.to_path_buf(), old: Some(old), new, mode: edits::mode_of(path).unwrap_or(0o600) }))
}

/// Whether a folder is a home: `--home` may name another by mistake, and names such as `billing` are common.
fn is_home(home: &Path) -> anyhow::Result<()> {
    let ours = ["tally.db", "token", "installed"].iter().any(|name| home.join(name).exists());
    if home.exists() && !ours {
        bail!(
            "{0} is no home of codex-tally: no tally.db, token or installed/ is in it; nothing was removed. Without --purge \
             hooks of a home that is gone are taken out of Codex's files",
            home.display()
        );
    }
    Ok(())
}

/// Removes what the program writes into a home, and the home if nothing else is in it.
fn purge(context: &Context) -> anyhow::Result<ExitCode> {
    let home = context.home.as_path();
    const FILES: [&str; 12] = [
        "tally.db",
        "tally.db-wal",
        "tally.db-shm",
        "token",
        "config.toml",
        "teams.toml",
        "members.csv",
        "prices.toml",
        "rates.csv",
        "user.key",
        "sink.lock",
        "off",
    ];
    const FOLDERS: [&str; 4] = ["spool", "journal", "installed", "forward"];
    for name in FILES {
        remove(&home.join(name))?;
    }
    // Copies of the store that upgrades and restores left beside it.
    for entry in std::fs::read_dir(home).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("tally.db.schema-") || name.starts_with("tally.db.before-restore-") {
            remove(&entry.path())?;
        }
    }
    for folder in FOLDERS.map(|name| home.join(name)).into_iter().filter(|folder| folder.is_dir()) {
        std::fs::remove_dir_all(folder)?;
    }
    // What `billing fetch` keeps; bills that the user has put there are the user's.
    let billing = home.join("billing");
    for entry in std::fs::read_dir(&billing).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if ["costs-", "usage-", "workspace-"].iter().any(|kind| name.starts_with(kind)) && name.ends_with(".json") {
            remove(&entry.path())?;
        }
    }
    // Stays if anything else is in it.
    let _ = std::fs::remove_dir(&billing);
    let database = context.database();
    if database.exists() {
        let file = setup::shell_word(&database.display().to_string());
        out::talk(&format!(
            "warning: the ledger is not in the home and stays: `rm {file} {file}-wal {file}-shm` removes it"
        ));
    }
    let left: Vec<PathBuf> = std::fs::read_dir(home).into_iter().flatten().flatten().map(|e| e.path()).collect();
    match left.first() {
        Some(first) => out::talk(&format!("done; {} stays, since it is not ours: {}", home.display(), first.display())),
        None => {
            std::fs::remove_dir(home).or_else(|e| if home.exists() { Err(e) } else { Ok(()) })?;
            out::talk(&format!("done; {} is gone", home.display()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn remove(path: &Path) -> anyhow::Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(anyhow::anyhow!("cannot remove {}: {e}", path.display()))
        }
        _ => Ok(()),
    }
}
