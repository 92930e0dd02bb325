//! `uninstall`: takes out of Codex's files what `init` has put in, then removes what is ours.

use super::context::Context;
use super::edits::{self, Change};
use super::{out, service, token};
use crate::setup::{self, Moved, Record, Refused, Registered};
use anyhow::bail;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Take out of Codex's configuration what `init` has put in
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Edits Codex's files first: exactly what was added goes, with the trust in it; your own hooks keep their trust, and what
was changed since stays. Then it removes the sink's token. The ledger stays unless --purge is said.

Examples:
  codex-tally uninstall                     show, ask, write
  codex-tally uninstall --yes               no questions: for scripts
  codex-tally uninstall --purge             also remove the ledger with everything in the home"
)]
pub(super) struct Args {
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Remove the ledger, too
    #[arg(long)]
    purge: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> anyhow::Result<ExitCode> {
    if args.purge {
        is_home(&context.home)?;
    }
    let record = Record::read(&context.home)?;
    let secret = token::read(&context.home).ok().flatten().unwrap_or_else(|| "\0".to_string());
    let mut changes = of_codex(&context.home, &record, &secret)?;
    changes.extend(of_ours(context, &record)?);
    changes.retain(Change::is_one);
    if record.is_empty() && !args.purge {
        out::talk(&format!("nothing to do: {} knows of nothing that was put anywhere", context.home.display()));
        if service::start_again(context).is_some() {
            out::talk("a service is installed: `codex-tally service remove` stops it and removes its files");
        }
        return Ok(ExitCode::SUCCESS);
    }
    if !changes.is_empty() && !edits::agreed(&changes, &secret, args.yes, "Make these changes?")? {
        bail!("nothing was changed; say --yes where nobody can be asked");
    }
    let home = context.home.display();
    if args.purge
        && !args.yes
        && !out::ask_for(&format!("Everything in {home}, the ledger included, will be gone."), "purge")
    {
        bail!("nothing was changed; the ledger is removed only if `purge` is typed, or with --yes");
    }
    if context.home.exists() && !changes.is_empty() {
        // The token goes, from the copies as well.
        let mut copies = changes.clone();
        copies.iter_mut().for_each(|copy| copy.old = copy.old.take().map(|old| old.replace(&secret, "<token>")));
        edits::back_up(&context.home, &copies)?;
    }
    edits::make(&changes)?;
    if let Err(e) = service::remove_all(context) {
        out::talk(&format!("warning: {e:#}"));
    }
    if args.purge {
        return purge(&context.home);
    }
    for path in [token::path(&context.home), Record::path(&context.home)] {
        remove(&path)?;
    }
    out::talk(&format!(
        "done; the ledger and copies of the changed files stay in {home}. A sink or a `codex` that runs now notices when it is \
         started again"
    ));
    Ok(ExitCode::SUCCESS)
}

/// The files of Codex without our part. Those of hooks before those of trust, which hangs on the places in them.
fn of_codex(home: &Path, record: &Record, secret: &str) -> anyhow::Result<Vec<Change>> {
    let refused = |file: &Registered, why: Refused| {
        anyhow::anyhow!(
            "{} is left as it is: {why}. Take the lines with {} out by hand",
            file.path.display(),
            file.command
        )
    };
    let mut changes = Vec::new();
    let mut moved: Vec<(String, Moved)> = Vec::new();
    let is_json = |file: &&Registered| file.path.extension().is_some_and(|e| e == "json");
    for file in record.files.iter().filter(is_json) {
        let Some(old) = edits::read(&file.path)? else { continue };
        let (new, gone) = setup::remove_json(&old, &file.command, &file.added).map_err(|e| refused(file, e))?;
        moved.extend(names(&file.path).into_iter().map(|name| (name, gone.clone())));
        changes.push(change(home, file, old, new, secret));
    }
    for file in record.files.iter().filter(|file| !is_json(file)) {
        let Some(old) = edits::read(&file.path)? else { continue };
        let new = setup::remove_toml(&old, &file.command, &file.added, &moved, &names(&file.path));
        changes.push(change(home, file, old, new.map_err(|e| refused(file, e))?, secret));
    }
    Ok(changes)
}

/// The file goes if it was not there before and nothing else is in it now.
fn change(home: &Path, file: &Registered, old: String, new: String, secret: &str) -> Change {
    // What the user has changed since stays, and with it the token.
    let held = new.contains(secret);
    if held {
        out::talk(&format!(
            "note: {} still sends logs to {}, since that line was changed; take it out by hand",
            file.path.display(),
            endpoint(&new).unwrap_or_else(|| "the sink".to_string())
        ));
    }
    let mode = file.mode.filter(|_| !held).or_else(|| edits::mode_of(&file.path)).unwrap_or(0o600);
    let new = (!(file.created && new.trim().is_empty())).then(|| as_it_was(home, &file.path, new));
    Change { path: file.path.clone(), old: Some(old), new, mode }
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

/// Where a configuration sends logs to.
fn endpoint(text: &str) -> Option<String> {
    let table: toml::Table = text.parse().ok()?;
    let exporter = table.get("otel")?.get("exporter")?.as_table()?;
    exporter.values().find_map(|transport| Some(transport.get("endpoint")?.as_str()?.to_string()))
}

/// The names that keys of trusted hooks can have for a file.
fn names(path: &Path) -> Vec<String> {
    let mut names = vec![path.to_path_buf()];
    names.extend(std::fs::canonicalize(path));
    let folder = path.parent().and_then(|folder| std::fs::canonicalize(folder).ok());
    names.extend(folder.zip(path.file_name()).map(|(folder, name)| folder.join(name)));
    names.dedup();
    names.into_iter().map(|name| name.display().to_string()).collect()
}

/// Our own configuration without what `init` wrote.
fn of_ours(context: &Context, record: &Record) -> anyhow::Result<Option<Change>> {
    let path = context.config_path();
    let Some(old) = edits::read(path)?.filter(|_| record.sink) else { return Ok(None) };
    let new = setup::remove_sink(&old)?;
    let new = (!(record.created_config && new.trim().is_empty())).then_some(new);
    Ok(Some(Change { path: path.to_path_buf(), old: Some(old), new, mode: edits::mode_of(path).unwrap_or(0o600) }))
}

/// Whether a folder is a home: `--home` may name another by mistake, and names such as `billing` are common.
fn is_home(home: &Path) -> anyhow::Result<()> {
    let ours = ["tally.db", "token", "installed"].iter().any(|name| home.join(name).exists());
    if home.exists() && !ours {
        bail!(
            "{0} is no home of codex-tally: no tally.db, token or installed/ is in it; nothing was removed",
            home.display()
        );
    }
    Ok(())
}

/// Removes what the program writes into a home, and the home if nothing else is in it.
fn purge(home: &Path) -> anyhow::Result<ExitCode> {
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
