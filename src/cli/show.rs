//! `show`: one session.

use super::context::Context;
use super::ledger::explained;
use super::out;
use super::sessions::Sessions;
use crate::model::Line;
use crate::report;
use std::process::ExitCode;

/// Show one session: turns, responses, tool calls, cost
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  codex-tally show last
  codex-tally show 01a1fbc1 --responses
  codex-tally show last --content
  codex-tally show 70a1f37fabfe --no-import")]
pub(super) struct Args {
    /// A session or thread id, a unique part of one, or `last`
    id: String,
    /// Explain each response as `ledger explain` does
    #[arg(long)]
    responses: bool,
    /// Also what was said and done, as far as [capture] in config.toml keeps it
    #[arg(long)]
    content: bool,
    /// Do not read what is new first
    #[arg(long)]
    no_import: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> anyhow::Result<ExitCode> {
    let sessions = Sessions::ready(context, args.no_import)?;
    let found = sessions.one(&args.id)?;
    out::text(&report::show(&found.session, &found.lines, &found.shares))?;
    if args.responses {
        let (closed, postings) = (sessions.inputs().sealed_through(), sessions.postings(&found)?);
        let lines: Vec<&Line> = found.lines.iter().filter(|l| l.response.session == found.session.session).collect();
        for shares in lines.chunk_by(|a, b| a.response.keys == b.response.keys) {
            out::data(format!("\n{}", explained(&found, shares, closed, &postings)).as_bytes())?;
        }
    }
    if args.content {
        let contents = sessions.contents(found.session.session.as_str())?;
        if contents.is_empty() {
            out::talk("nothing of what was said and done is kept; docs/privacy.md says how to keep it");
        }
        out::data(report::contents(&contents).as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}
