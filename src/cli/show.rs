//! `show`: one session.

use super::context::Context;
use super::out;
use crate::model::SessionFact;
use crate::report::{self, Input};
use anyhow::bail;
use std::process::ExitCode;

/// Show one session: turns, responses, tool calls, cost
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  codex-tally show last
  codex-tally show 01a1fbc1
  codex-tally show 70a1f37fabfe --no-import")]
pub(super) struct Args {
    /// A session or thread id, a unique part of one, or `last`
    id: String,
    /// Do not read what is new first
    #[arg(long)]
    no_import: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> anyhow::Result<ExitCode> {
    let (ledger, counters) = context.ledger(args.no_import)?;
    let session = find(&ledger.sessions, &args.id)?;
    let input = Input { sessions: &ledger.sessions, lines: &ledger.lines, counters: &counters };
    out::data(report::show(input, session).as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn find<'a>(sessions: &'a [SessionFact], id: &str) -> anyhow::Result<&'a SessionFact> {
    if id.eq_ignore_ascii_case("last") {
        return sessions
            .iter()
            .rfind(|s| !s.auxiliary)
            .ok_or_else(|| anyhow::anyhow!("no session is known yet; run `codex-tally import`"));
    }
    let id = id.to_ascii_lowercase();
    let of = |s: &&SessionFact| {
        s.session.as_str().contains(&id) || s.threads.iter().any(|t| t.thread.as_str().contains(&id))
    };
    let exact = sessions.iter().find(|s| s.session.as_str() == id);
    let found: Vec<&SessionFact> = sessions.iter().filter(of).collect();
    match (exact, found.as_slice()) {
        (Some(session), _) => Ok(session),
        (None, [session]) => Ok(*session),
        (None, []) => bail!("no session has `{id}` in its id; `codex-tally report session` lists them"),
        (None, many) => {
            let ids: Vec<_> = many.iter().take(10).map(|s| s.session.as_str()).collect();
            bail!("{} sessions have `{id}` in their id: {}; give more of it", many.len(), ids.join(", "))
        }
    }
}
