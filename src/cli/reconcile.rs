//! `reconcile`: what was billed beside what was observed.

use super::billing::{Month, Output, plan};
use super::context::Context;
use super::out;
use super::report::Format;
use crate::ledger::billing::reconcile;
use crate::model::{BillingPeriod, Pico, Zone};
use crate::report::Range;
use crate::report::billing::reconciled;
use std::process::ExitCode;

/// Compare what was billed with what was observed, and explain the difference
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  codex-tally reconcile -p 2026-10
  codex-tally reconcile -p 2026-10 --tolerance 0.5 --format csv --out differences.csv

Tokens, amounts and credits are compared by the finest keys that both sides have (day, team, user, model, tier). What was observed and
the parts of the difference add up to what was billed. Exit 0 if both sides are equal, 1 if there is a difference beyond --tolerance.")]
pub(super) struct Args {
    /// The billing period, YYYY-MM
    #[arg(short, long, value_name = "PERIOD")]
    period: BillingPeriod,
    /// How far a comparison may be off, in percent of what was billed
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = percent)]
    tolerance: i128,
    /// Also comparisons that are equal (CSV and JSON always have them)
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    output: Output,
    /// Do not read what is new first
    #[arg(long)]
    no_import: bool,
}

/// Percent as millionths.
fn percent(text: &str) -> Result<i128, String> {
    const MILLIONTH_OF_A_HUNDREDTH: i128 = 100_000_000;
    let pico = text.parse::<Pico>().map_err(|e| e.to_string())?.0;
    let fits = pico >= 0 && pico % MILLIONTH_OF_A_HUNDREDTH == 0;
    if fits {
        Ok(pico / MILLIONTH_OF_A_HUNDREDTH)
    } else {
        Err("write a percentage with at most 4 digits, for example 0.5".into())
    }
}

pub(super) fn run(context: &Context, args: &Args) -> anyhow::Result<ExitCode> {
    let month = Month::ready(context, args.period, args.no_import, true)?;
    let plan = plan(context, month.sessions.inputs(), None);
    let mut made = reconcile(&month.bill, &month.observed, &plan);
    if made.rows.is_empty() {
        let text = if month.bill.counted_in(args.period).next().is_some() {
            format!("what is stored of {} has no usage that could be compared", args.period)
        } else {
            format!("nothing that was billed for {} is stored; see `codex-tally billing import`", args.period)
        };
        made.notes.push(text);
    }
    let range = Range::of_period(args.period, Zone::UTC);
    let only_different = args.output.is(Format::Table) && !args.all;
    args.output.write(&reconciled(&made.rows, &made.notes, range, only_different))?;
    let findings = made.rows.iter().filter(|row| row.is_beyond(args.tolerance)).count();
    if findings > 0 {
        out::talk(&format!("{findings} of {} comparisons differ by more than the tolerance", made.rows.len()));
    }
    // Nothing to compare with is no agreement.
    let is_whole = !made.rows.is_empty() && made.left_out == 0;
    let is_equal = is_whole && findings == 0 && made.unlike == 0;
    Ok(if is_equal { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
