//! `import` and `sync`: read what is new, once.

use super::context::{Context, say_problems};
use super::out;
use crate::collect::{Summary, find_in_homes, find_transcripts};
use crate::ingest::transcript::thread_of_path;
use crate::report::format::thousands;
use crate::store::{Cursor, Store};
use anyhow::bail;
use std::path::PathBuf;
use std::process::ExitCode;

/// Read session transcripts, plain and zstd; only what is new
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  codex-tally import                        all of CODEX_HOME (default ~/.codex) and of every CODEX_HOME learned of
  codex-tally import ~/backup/.codex        another CODEX_HOME
  codex-tally import rollout-2026-11-21T01-38-57-01a1fbc1-b2d8-74a2-955e-70a1f37fabfe.jsonl")]
pub(super) struct ImportArgs {
    /// Transcripts, folders of transcripts, or CODEX_HOME folders [default: all known CODEX_HOMEs]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
}

/// Read on in spool and transcripts once (for timers and CI)
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  codex-tally sync")]
pub(super) struct SyncArgs {}

pub(super) fn import(context: &Context, args: &ImportArgs) -> anyhow::Result<ExitCode> {
    let mut store = context.open()?;
    if let Some(missing) = args.paths.iter().find(|p| !p.exists()) {
        bail!("{} does not exist", missing.display());
    }
    let paths = if args.paths.is_empty() { context.codex_homes(&store)? } else { args.paths.clone() };
    let drained = context.drain(&mut store)?;
    let found = if args.paths.is_empty() { find_in_homes(&paths) } else { find_transcripts(&paths) };
    let mut summary = context.import(&mut store, found)?;
    summary.stored += drained;
    say_unfinished(&store.cursors()?);
    if summary.files == 0 {
        let places: Vec<_> = paths.iter().map(|p| p.display().to_string()).collect();
        out::talk(&format!("no transcripts found in {}", places.join(", ")));
    }
    Ok(told(&summary))
}

pub(super) fn sync(context: &Context, _: &SyncArgs) -> anyhow::Result<ExitCode> {
    let mut store = context.open()?;
    Ok(told(&context.sync(&mut store)?))
}

/// A line without its end is read once it has one: Codex is writing it, or was killed while it did.
fn say_unfinished(cursors: &[(PathBuf, Cursor)]) {
    let is_transcript = |path: &PathBuf| thread_of_path(&path.to_string_lossy()).is_some();
    let plain = |path: &PathBuf| path.extension().is_some_and(|e| e == "jsonl");
    let unfinished = cursors.iter().filter(|(path, c)| c.offset < c.size && plain(path) && is_transcript(path)).count();
    if unfinished > 0 {
        out::talk(&format!("{unfinished} transcripts end in an unfinished line, which is read once it is finished"));
    }
}

fn told(s: &Summary) -> ExitCode {
    say_problems(s);
    out::talk(&format!(
        "{} files, {} with news ({} bytes read), {} new observations",
        thousands(s.files),
        thousands(s.read),
        thousands(s.bytes),
        thousands(s.stored)
    ));
    if s.conflicts > 0 {
        out::talk(&format!("warning: {} observations contradict stored ones; see the report's coverage", s.conflicts));
    }
    if s.failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
