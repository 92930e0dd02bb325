//! `attribution`: who pays and why, and rules to begin with.

use super::context::Context;
use super::out;
use super::sessions::Sessions;
use crate::attribution;
use crate::model::{Day, Zone};
use crate::report::{self, Range, Suggest};
use std::process::ExitCode;

/// See what decides who pays, and begin rules on it
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Examples:
  codex-tally attribution test last
  codex-tally attribution suggest -p 2026-10")]
pub(super) enum Command {
    /// What a session gets and why: each field with its rule, and what rules can look at
    #[command(after_help = "Examples:
  codex-tally attribution test last
  codex-tally attribution test 01a1fbc1 --teams draft.toml")]
    Test(TestArgs),
    /// Rules to begin with: by what would catch most of what no team is known of
    #[command(after_help = "Example:
  codex-tally attribution suggest -p 2026-10 > draft.toml   (then write into it whose each is)

What is printed is TOML. Each rule needs its team filled in before it is understood.")]
    Suggest(SuggestArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct TestArgs {
    /// A session or thread id, a unique part of one, or `last`
    id: String,
    /// Do not read what is new first
    #[arg(long)]
    no_import: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct SuggestArgs {
    /// A billing period, YYYY-MM, or an ISO week, YYYY-Www [default: all days]
    #[arg(short, long, value_name = "PERIOD", value_parser = super::report::period)]
    period: Option<(Day, Day)>,
    /// Do not read what is new first
    #[arg(long)]
    no_import: bool,
}

pub(super) fn run(context: &Context, command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Test(args) => test(context, args),
        Command::Suggest(args) => suggest(context, args),
    }
}

fn test(context: &Context, args: &TestArgs) -> anyhow::Result<ExitCode> {
    let found = Sessions::ready(context, args.no_import)?.one(&args.id)?;
    let subjects = attribution::subjects(&found.observations).into_iter();
    let subjects = subjects.filter(|(session, _)| *session == found.session.session).flat_map(|(_, all)| all);
    let text = report::decided(&found.session, &subjects.collect::<Vec<_>>());
    out::text(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn suggest(context: &Context, args: &SuggestArgs) -> anyhow::Result<ExitCode> {
    let (since, until) = args.period.unzip();
    let range = Range { since, until, zone: Zone::UTC };
    let all = Sessions::ready(context, args.no_import)?;
    let mut suggest = Suggest::new(range);
    all.each(range, &mut |session| suggest.add(session))?;
    let sessions = suggest.sessions();
    if sessions.is_empty() {
        out::talk("no response of these days is without a team");
        return Ok(ExitCode::SUCCESS);
    }
    out::data(suggest.rules(&all.subjects(&sessions)?).as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
