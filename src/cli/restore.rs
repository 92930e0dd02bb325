//! `restore`: puts a backup in the place of the store.

use super::backup::{STORE, verified};
use super::context::{Context, write_file};
use super::out;
use crate::report::format::thousands;
use crate::store::{is_busy, sqlite};
use anyhow::{Context as _, bail};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Put a backup in the place of the store
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  codex-tally restore ~/backups/tally-2026-11-21
  codex-tally restore ~/backups/tally-2026-11-21 --replace

The backup is checked first. What it replaces is kept beside it, as *.before-restore-TIME. Stop the sink before. Spool, journal and
transcripts stay as they are; `codex-tally sync` then reads on in them, and nothing counts twice. What `purge` took away from the store
that is replaced stays away.")]
pub(super) struct Args {
    /// A folder that `backup` wrote
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Also if there is something in the store already, or files differ; what was there is kept beside
    #[arg(long)]
    replace: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> anyhow::Result<ExitCode> {
    let check = || anyhow::Ok((verified(&args.dir)?, sqlite::check(&args.dir.join(STORE))?));
    let (manifest, copied) = check().with_context(|| format!("cannot restore {}", args.dir.display()))?;
    context.make_home()?;
    let store = context.store_path();
    let shown = store.display();
    let mut in_the_way = Vec::new();
    if !sqlite::is_empty(store).with_context(|| format!("cannot read {shown}"))? {
        in_the_way.push(shown.to_string());
    }
    let mut files = Vec::new();
    for name in manifest.files.keys().filter(|name| *name != STORE) {
        let (bytes, to) = (fs::read(args.dir.join(name))?, context.home.join(name));
        match fs::read(&to) {
            Ok(there) if there == bytes => continue,
            Ok(_) => in_the_way.push(to.display().to_string()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e).with_context(|| format!("cannot read {}", to.display())),
        }
        files.push((to, bytes));
    }
    if !in_the_way.is_empty() && !args.replace {
        let them = in_the_way.join(", ");
        bail!("{them}: not empty; --replace puts the backup in its place and keeps what is there beside it");
    }
    let time = chrono::Utc::now().format("%Y%m%dT%H%M%S%3fZ");
    let aside = |path: &Path| {
        let mut name = path.as_os_str().to_os_string();
        name.push(format!(".before-restore-{time}"));
        PathBuf::from(name)
    };
    let kept = sqlite::put_back(&args.dir.join(STORE), store, &aside(store)).map_err(|e| match is_busy(&e) {
        true => {
            e.context(format!("another process has {shown} open; stop the sink (and what else runs) and try again"))
        }
        false => e.context(format!("cannot restore {shown}; it is as it was")),
    })?;
    if let Some(kept) = &kept {
        out::talk(&format!("what the store held before is in {}", kept.display()));
    }
    for (to, bytes) in files {
        if to.exists() {
            fs::rename(&to, aside(&to))?;
            out::talk(&format!("{} as it was before is in {}", to.display(), aside(&to).display()));
        }
        write_file(&to, &bytes)?;
    }
    // Brings an older one up to date.
    let mut restored = context.open()?;
    if let Some(kept) = &kept {
        // What `purge` took away is gone for ever, whatever is restored.
        let gone = restored.take_away_as(kept).and_then(|gone| match gone {
            0 => Ok(0),
            gone => restored.scrub().map(|_| gone),
        });
        match gone {
            Ok(0) => {}
            Ok(gone) => out::talk(&format!("{} texts that were purged since the backup stay away", thousands(gone))),
            Err(e) => out::talk(&format!(
                "warning: what was purged could not be read from {} and may come back; purge again: {e:#}",
                kept.display()
            )),
        }
    }
    drop(restored);
    let (observations, seals) = (thousands(copied.observations), copied.seals);
    out::talk(&format!("{observations} observations and {seals} sealed months restored, as of {}", manifest.made));
    out::talk("next: `codex-tally ledger verify`, then `codex-tally sync` for what came since");
    Ok(ExitCode::SUCCESS)
}
