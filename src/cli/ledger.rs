//! `ledger`: what reports are made of: compared with what was observed, computed anew, and explained line by line.

use super::billing;
use super::context::Context;
use super::out;
use super::seal::{self, SealArgs};
use super::sessions::{One, Sessions, computed, refresh};
use crate::cache::{self, Finding};
use crate::ledger;
use crate::model::{BillingPeriod, Booked, Key, Line, LineClass, Posting, Status, TokenUsage};
use crate::report::{self, format::thousands};
use anyhow::bail;
use std::collections::BTreeSet;
use std::process::ExitCode;

/// Check or rebuild what reports are made of
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Examples:
  codex-tally ledger verify
  codex-tally ledger explain last/3f2a9c417be0")]
pub(super) enum Command {
    /// Seal a month: what is known of it is booked for ever, and what comes late is corrected in the next open month
    #[command(after_help = "Examples:
  codex-tally ledger seal -p 2026-10 --dry-run
  codex-tally ledger seal -p 2026-10 --out sealed-2026-10

Months are sealed in their order, 72 hours after they ended (--now: at once). There is no unseal. With --out, also of a month
that is sealed already, seal.json and lines.csv.zst are written to a new folder.")]
    Seal(SealArgs),
    /// Compute every session anew from what was observed, and compare it with what reports use; compare seals with their lines, and
    /// bills with what was imported
    #[command(after_help = "Example:
  codex-tally ledger verify

Exit 0 if all is as it should be, 1 if something is not. `codex-tally ledger rebuild` mends sessions; bills are removed and
imported again; seals cannot be mended.")]
    Verify,
    /// Drop the sessions that reports use, and compute them anew from what was observed
    #[command(after_help = "Example:
  codex-tally ledger rebuild

Nothing is lost: everything that is dropped is computed from observations, which stay as they are.")]
    Rebuild,
    /// Explain one response: who saw it, the raw identifiers, the price, the formula with numbers, the owner with reasons
    #[command(after_help = "Example, with a line that `show` prints at the end of each response:
  codex-tally ledger explain 01a1fbc1/3f2a9c417be0

Of a line of a sealed month also what was sealed of it, what corrects it in which month, and why.")]
    Explain(ExplainArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct ExplainArgs {
    /// A session (an id, a unique part of one, or `last`), a slash, and a line, or the beginning of one, or a response id
    #[arg(value_name = "SESSION/LINE")]
    line: String,
    /// Do not read what is new first
    #[arg(long)]
    no_import: bool,
}

fn explain(context: &Context, args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let Some((session, wanted)) = args.line.split_once('/') else {
        return Ok(out::misused("write SESSION/LINE, for example last/3f2a; `codex-tally show last` lists the lines"));
    };
    let all = Sessions::ready(context, args.no_import)?;
    let found = all.one(session)?;
    let closed = all.inputs().sealed_through();
    let postings = all.postings(&found)?;
    let fits = |line: &&Line| {
        let r = &line.response;
        r.response_id.as_deref() == Some(wanted) || r.keys.iter().any(|key| key.hex().starts_with(wanted))
    };
    let lines: Vec<&Line> = found.lines.iter().filter(fits).collect();
    let sealed_only = |p: &&Posting| p.line.line.starts_with(wanted) || p.line.response == wanted;
    match (wanted, lines.as_slice()) {
        (_, []) if !wanted.is_empty() && postings.iter().any(|p| sealed_only(&p)) => {
            let gone: Vec<Posting> = postings.iter().filter(sealed_only).cloned().collect();
            let names: BTreeSet<&str> = gone.iter().map(|p| p.line.line.as_str()).collect();
            if names.len() > 1 {
                bail!("{} sealed lines of the session begin with `{wanted}`; give more of it", names.len());
            }
            let line = names.into_iter().collect::<String>();
            let text = format!("line {}/{line}\n{}", found.session.session, report::books(&gone, &[]));
            out::data(text.as_bytes())?;
        }
        ("", _) | (_, []) => {
            bail!("session {} has no line `{wanted}`; `codex-tally show {session}` lists them", found.session.session)
        }
        // The shares of one response have one name.
        (_, [first, rest @ ..]) if rest.iter().all(|line| line.response.keys == first.response.keys) => {
            out::data(explained(&found, &lines, closed, &postings).as_bytes())?;
        }
        (_, many) => bail!("{} lines of the session begin with `{wanted}`; give more of it", many.len()),
    }
    Ok(ExitCode::SUCCESS)
}

/// A response with all its shares explained, and what the books of sealed months say of it.
pub(super) fn explained(found: &One, shares: &[&Line], closed: Option<BillingPeriod>, postings: &[Posting]) -> String {
    let Some(first) = shares.first() else { return String::new() };
    let is_name = |p: &&Posting| {
        let name = |key: &Key| key.short() == p.line.line;
        p.line.thread == first.response.thread.as_str() && first.response.keys.iter().any(name)
    };
    let of_line: Vec<Posting> = postings.iter().filter(is_name).cloned().collect();
    let mut whole = TokenUsage::default();
    shares.iter().for_each(|line| whole += line.response.usage);
    let explain =
        |line: &&Line| report::explain(&found.session, &booked_in(line, closed, &of_line), &whole, &found.observations);
    let mut text: String = shares.iter().map(explain).collect();
    if closed.is_some_and(|closed| first.period <= closed) {
        let now: Vec<Booked> = shares.iter().map(|line| ledger::book(line)).collect();
        text.push_str(&report::books(&of_line, &now));
    }
    text
}

/// A line as it stands in the books: that of a sealed month is sealed, or a correction of a later one.
fn booked_in(line: &Line, closed: Option<BillingPeriod>, postings: &[Posting]) -> Line {
    let mut line = line.clone();
    let was_sealed = postings.iter().any(|p| p.is_sealed && p.month == line.period);
    let correction = postings.iter().find(|p| p.month != line.period);
    if closed.is_none_or(|closed| line.period > closed) {
        return line;
    }
    line.status = Status::Sealed;
    if let Some(correction) = correction.filter(|_| !was_sealed) {
        (line.class, line.corrects_period) = (LineClass::Correction, Some(line.period));
        line.period = correction.month;
        line.status = if correction.is_sealed { Status::Sealed } else { Status::Estimated };
    }
    line
}

pub(super) fn run(context: &Context, command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Seal(args) => seal::run(context, args),
        Command::Verify => verify(context),
        Command::Rebuild => rebuild(context),
        Command::Explain(args) => explain(context, args),
    }
}

fn verify(context: &Context) -> anyhow::Result<ExitCode> {
    let mut store = context.open()?;
    let inputs = context.inputs()?.with_seals_of(&store)?;
    refresh(&mut store, &inputs)?;
    let mut shown = out::Progress::new();
    let mut findings = 0_u64;
    let mut found = |finding: Finding| {
        findings += 1;
        out::talk(&finding.to_string());
    };
    let compared = cache::verify(&store, &inputs, &mut found, &mut |p| shown.show(|| computed(p)))?;
    drop(shown);
    let broken = seal::verify(&store)? + billing::verify(&store)?;
    let compared = thousands(compared);
    if findings == 0 && broken > 0 {
        return Ok(ExitCode::FAILURE);
    }
    if findings == 0 {
        out::talk(&format!("{compared} sessions and auxiliary threads are what was observed"));
        return Ok(ExitCode::SUCCESS);
    }
    let findings = thousands(findings);
    out::talk(&format!("{findings} of {compared} sessions and auxiliary threads are not what was observed"));
    out::talk("hint: `codex-tally ledger rebuild` computes them anew");
    Ok(ExitCode::FAILURE)
}

fn rebuild(context: &Context) -> anyhow::Result<ExitCode> {
    let mut store = context.open()?;
    let inputs = context.inputs()?.with_seals_of(&store)?;
    let mut shown = out::Progress::new();
    let computed = cache::rebuild(&mut store, &inputs, &mut |p| shown.show(|| computed(p)))?;
    drop(shown);
    out::talk(&format!("{} sessions and auxiliary threads computed anew", thousands(computed)));
    Ok(ExitCode::SUCCESS)
}
