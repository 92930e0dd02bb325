//! `ledger seal`: a month, for ever.

use super::context::{Context, write_file, write_file_with};
use super::out;
use super::sessions::{computed, refresh};
use crate::cache::{self, Sealed};
use crate::model::{BillingPeriod, Seal, Timestamp};
use crate::report::format::{terminal_text, thousands};
use crate::store::Cache;
use crate::store::sqlite::SqliteStore;
use anyhow::{Context as _, bail};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// How long after its end a month is left open for what comes late.
const GRACE: i64 = 72 * 3_600_000_000_000;

#[derive(Debug, clap::Args)]
pub(super) struct SealArgs {
    /// The month, YYYY-MM
    #[arg(short, long, value_name = "PERIOD")]
    period: BillingPeriod,
    /// Do not wait for 72 hours after the month's end
    #[arg(long)]
    now: bool,
    /// Say what would be sealed, and keep nothing
    #[arg(long)]
    dry_run: bool,
    /// Write seal.json and lines.csv.zst to this new folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Do not read what is new first
    #[arg(long)]
    no_import: bool,
}

pub(super) fn run(context: &Context, args: &SealArgs) -> anyhow::Result<ExitCode> {
    let mut store = context.open()?;
    if let Some(dir) = args.out.as_deref().filter(|dir| dir.exists()) {
        bail!("{} exists already; give a new folder", dir.display());
    }
    let known = store.seals()?.into_iter().find(|seal| seal.period == args.period);
    let seal = match known {
        Some(seal) if args.out.is_some() => seal,
        _ => make(context, &mut store, args)?.seal,
    };
    if args.dry_run {
        out::data(&seal.json)?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(dir) = &args.out {
        write(&store, &seal, dir)?;
    }
    out::talk(&format!("{} is sealed; sha256 of seal.json: {}", seal.period, seal.sha256));
    Ok(ExitCode::SUCCESS)
}

fn make(context: &Context, store: &mut SqliteStore, args: &SealArgs) -> anyhow::Result<Sealed> {
    let end = args.period.next().first_day().start();
    let now = Timestamp(chrono::Utc::now().timestamp_nanos_opt().unwrap_or(i64::MAX));
    if now.0 < end.0 && !args.dry_run {
        bail!("{} has not ended", args.period);
    }
    if now.0 < end.0.saturating_add(GRACE) && !args.now && !args.dry_run {
        bail!("{} ended less than 72 hours ago, and machines may still send; wait, or say --now", args.period);
    }
    if !args.no_import {
        let summary = context.sync(store)?;
        super::context::say_problems(&summary);
        if summary.failed > 0 && !args.dry_run {
            bail!("a month is not sealed while files cannot be read; mend them, or say --no-import");
        }
    }
    let inputs = context.inputs()?.with_seals_of(store)?;
    refresh(store, &inputs)?;
    let mut shown = out::Progress::new();
    let sealed = cache::seal(store, &inputs, args.period, args.dry_run, &mut |p| shown.show(|| computed(p)))?;
    drop(shown);
    for (host, last) in &sealed.silent {
        out::talk(&format!(
            "warning: nothing was heard of host {} since {}; what it still has will be a correction",
            terminal_text(host),
            last.to_rfc3339()
        ));
    }
    Ok(sealed)
}

/// Writes the artifact whole or not at all.
fn write(store: &SqliteStore, seal: &Seal, dir: &Path) -> anyhow::Result<()> {
    let parent = dir.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let made = tempfile::Builder::new().prefix(".sealing-").tempdir_in(parent);
    let made = made.with_context(|| format!("cannot write {}", dir.display()))?;
    write_file(&made.path().join("seal.json"), &seal.json)?;
    let mut problem = None;
    write_file_with(&made.path().join("lines.csv.zst"), |file| {
        let mut zstd = zstd::Encoder::new(file, 0)?;
        problem = cache::export(store, seal, &mut |piece| Ok(zstd.write_all(piece)?))?;
        zstd.finish()?;
        Ok(())
    })?;
    if let Some(problem) = problem {
        bail!("the seal of {} does not hold: {problem}", seal.period);
    }
    std::fs::rename(made.keep(), dir).with_context(|| format!("cannot write {}", dir.display()))
}

/// Compares all seals with their lines and with each other, and says what does not hold. Returns how many do not.
pub(super) fn verify(store: &SqliteStore) -> anyhow::Result<u64> {
    let (mut broken, mut previous): (u64, Option<Seal>) = (0, None);
    for seal in store.seals()? {
        let problem = match cache::export(store, &seal, &mut |_| Ok(())) {
            Ok(None) => unchained(&seal, previous.as_ref()),
            Ok(problem) => problem,
            Err(e) => Some(format!("{e:#}")),
        };
        match problem {
            None => out::talk(&format!("the seal of {} holds: {}", seal.period, seal.sha256)),
            Some(problem) => {
                out::talk(&format!("the seal of {} does not hold: {problem}", seal.period));
                broken += 1;
            }
        }
        previous = Some(seal);
    }
    for period in store.sealed_periods()? {
        if store.seals()?.iter().all(|seal| seal.period != period) {
            out::talk(&format!("{period} has sealed lines and no seal: it was taken away"));
            broken += 1;
        }
    }
    if broken > 0 {
        out::talk(&format!("{} seals do not hold; restore the database from a copy", thousands(broken)));
    }
    Ok(broken)
}

fn unchained(seal: &Seal, previous: Option<&Seal>) -> Option<String> {
    let said: serde_json::Value = serde_json::from_slice(&seal.json).ok()?;
    let named = said["previous"]["sha256"].as_str().map(str::to_string);
    let is = previous.map(|p| p.sha256.clone());
    (named != is).then(|| "the seal before it is not the one that it names".to_string())
}
