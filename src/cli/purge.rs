//! `purge`: takes captured contents away, for ever.

use super::context::Context;
use super::out;
use super::sessions::Sessions;
use crate::model::Day;
use crate::report::format::thousands;
use crate::store::{Purge, Store};
use anyhow::Context as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Take captured prompts, commands and outputs away, for ever
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  codex-tally purge --before 2026-10-01
  codex-tally purge --session 01a1fbc1
  codex-tally purge --all

Only what [capture] keeps is taken away: no number changes, and sealed months stay as they are. The store is written anew, so that
nothing of it is left in its file. It does not come back when a transcript is read again. Codex's own transcripts are not touched.")]
#[group(required = true, multiple = false)]
pub(super) struct Args {
    /// What was said and done before this UTC day, YYYY-MM-DD
    #[arg(long, value_name = "DAY", value_parser = super::report::day)]
    before: Option<Day>,
    /// What was said and done in a session: an id, a unique part of one, or `last`
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// Everything
    #[arg(long)]
    all: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> anyhow::Result<ExitCode> {
    let which = match (&args.session, args.before) {
        (Some(id), _) => Purge::Threads(Sessions::ready(context, true)?.threads(id)?),
        (None, Some(day)) => Purge::Before(day.start()),
        (None, None) => Purge::All,
    };
    let mut store = context.open()?;
    let gone = store.purge(&which)?;
    let clean = store.scrub().context("the texts are taken away, but the file could not be written anew; try again")?;
    out::talk(&format!("{} texts taken away", thousands(gone)));
    for copy in copies(context.store_path())? {
        out::talk(&format!("warning: {} is a copy of an earlier time, and may hold them still", copy.display()));
    }
    if !clean {
        out::talk("error: another process reads for so long that its log still holds them; stop it and purge again");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// The copies beside the store that upgrades and restoring left.
fn copies(store: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let name = store.file_name().unwrap_or_default().to_string_lossy();
    let folder = store.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let file = entry.file_name().to_string_lossy().into_owned();
        let rest = file.strip_prefix(name.as_ref()).unwrap_or_default();
        found.extend([".schema-", ".before-restore-"].iter().any(|s| rest.starts_with(s)).then(|| entry.path()));
    }
    found.sort();
    Ok(found)
}
