//! `ledger`: what reports are made of, dropped and computed anew, or compared with what was observed.

use super::context::Context;
use super::out;
use super::sessions::{computed, refresh};
use crate::cache::{self, Finding};
use crate::report::format::thousands;
use std::process::ExitCode;

/// Check or rebuild what reports are made of
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Examples:
  codex-tally ledger verify
  codex-tally ledger rebuild")]
pub(super) enum Command {
    /// Compute every session anew from what was observed, and compare it with what reports use
    #[command(after_help = "Example:
  codex-tally ledger verify

Exit 0 if all is as it should be, 1 if a session is not; `codex-tally ledger rebuild` mends it.")]
    Verify,
    /// Drop the sessions that reports use, and compute them anew from what was observed
    #[command(after_help = "Example:
  codex-tally ledger rebuild

Nothing is lost: everything that is dropped is computed from observations, which stay as they are.")]
    Rebuild,
}

pub(super) fn run(context: &Context, command: &Command) -> anyhow::Result<ExitCode> {
    let inputs = context.inputs()?;
    let mut store = context.open()?;
    let mut shown = out::Progress::new();
    let mut findings = 0_u64;
    let compared = match command {
        Command::Verify => {
            refresh(&mut store, &inputs)?;
            let mut found = |finding: Finding| {
                findings += 1;
                out::talk(&finding.to_string());
            };
            cache::verify(&store, &inputs, &mut found, &mut |p| shown.show(|| computed(p)))?
        }
        Command::Rebuild => cache::rebuild(&mut store, &inputs, &mut |p| shown.show(|| computed(p)))?,
    };
    drop(shown);
    let sessions = thousands(compared);
    match command {
        Command::Rebuild => out::talk(&format!("{sessions} sessions and auxiliary threads computed anew")),
        Command::Verify if findings == 0 => {
            out::talk(&format!("{sessions} sessions and auxiliary threads are what was observed"));
        }
        Command::Verify => {
            out::talk(&format!(
                "{} of {sessions} sessions and auxiliary threads are not what was observed",
                thousands(findings)
            ));
            out::talk("hint: `codex-tally ledger rebuild` computes them anew");
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}
