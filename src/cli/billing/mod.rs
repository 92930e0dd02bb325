//! `billing`: what was really billed.

mod allocate;
mod fetch;
mod import;

pub(super) use allocate::{Month, plan, shares, workspaces};

use super::context::{Context, write_file};
use super::out;
use super::report::Format;
use crate::model::{BillingPeriod, Timestamp, Zone};
use crate::report::format::thousands;
use crate::report::{Listing, Range, billing};
use crate::store::Bills;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Keep what the provider billed: usage and cost exports, workspace credits, invoices
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Examples:
  codex-tally billing import costs-2026-10.json usage-2026-10.json invoice.csv
  codex-tally billing list -p 2026-10")]
pub(super) enum Command {
    /// Store billing exports and invoices, each file once
    #[command(after_help = "Examples:
  codex-tally billing import costs-2026-10.json
  codex-tally billing import --account acme-eu invoice-1047.csv
  codex-tally billing import --whole usage-2026-10.json

Reads pages of OpenAI's organization/usage/completions and organization/costs, the usage export of a ChatGPT workspace (JSON, CSV),
and invoice rows in the CSV of docs/billing.md. A row of the same time and keys as a stored one takes its place.")]
    Import(import::ImportArgs),
    /// Fetch an export from the provider, with a key, and store it
    #[command(subcommand)]
    Fetch(fetch::Command),
    /// List what is stored, with what counts, what was superseded, and by which file
    #[command(after_help = "Examples:
  codex-tally billing list -p 2026-10
  codex-tally billing list --files
  codex-tally billing list --format csv --out charges.csv")]
    List(ListArgs),
    /// Spread what was billed for a month over those who used it
    #[command(after_help = "Examples:
  codex-tally billing allocate -p 2026-10
  codex-tally billing allocate -p 2026-10 --method tokens --format csv --out allocated.csv
  codex-tally billing allocate -p 2026-10 --detail --format json

The parts of each charge add up to it, to the last unit. Seats that nobody used, and usage that was billed and not observed, are rows
of their own. Without --method each kind of charge has its own: docs/billing.md.")]
    Allocate(allocate::Args),
    /// Forget a file, for example one that was imported for the wrong account
    #[command(after_help = "Example:
  codex-tally billing remove 3f2a9c417be0

What the file had superseded stands again. It can be imported again.")]
    Remove(import::RemoveArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// The billing period, YYYY-MM [default: all]
    #[arg(short, long, value_name = "PERIOD")]
    period: Option<BillingPeriod>,
    /// List the files instead
    #[arg(long, conflicts_with = "period")]
    files: bool,
    #[command(flatten)]
    output: Output,
}

/// Where a listing goes, and how.
#[derive(Debug, clap::Args)]
pub(super) struct Output {
    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Write to this file instead of stdout
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Output {
    pub fn is(&self, format: Format) -> bool {
        self.format == format
    }

    pub fn write(&self, listing: &Listing) -> anyhow::Result<()> {
        let bytes = match self.format {
            Format::Table => listing.table(if self.out.is_none() { out::width() } else { None }),
            Format::Csv => listing.csv(),
            Format::Json => listing.json(),
        };
        match &self.out {
            None => out::data(&bytes)?,
            Some(path) => write_file(Path::new(path), &bytes)?,
        }
        if self.format == Format::Csv {
            listing.notes.iter().for_each(|note| out::talk(note));
        }
        Ok(())
    }
}

/// All time.
pub(super) const ALWAYS: (Timestamp, Timestamp) = (Timestamp(i64::MIN), Timestamp(i64::MAX));

/// The time of a month.
pub(super) fn span(period: BillingPeriod) -> (Timestamp, Timestamp) {
    (period.first_day().start(), period.next().first_day().start())
}

pub(super) fn run(context: &Context, command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Import(args) => import::run(context, args),
        Command::Fetch(command) => fetch::run(context, command),
        Command::List(args) => list(context, args),
        Command::Allocate(args) => allocate::run(context, args),
        Command::Remove(args) => import::remove(context, args),
    }
}

/// Compares what is stored of bills with what was imported, and says what differs. Returns how many files do.
pub(super) fn verify(store: &dyn Bills) -> anyhow::Result<u64> {
    let kept = store.verify_bills()?;
    for (name, what) in &kept.damaged {
        out::talk(&format!("billing file {name}: {what}; `codex-tally billing remove` it and import it again"));
    }
    if kept.strays > 0 {
        let strays = thousands(kept.strays);
        out::talk(&format!(
            "{strays} rows are of billing files that were taken away; restore the database from a copy"
        ));
    }
    let broken = kept.damaged.len() as u64 + u64::from(kept.strays > 0);
    if broken == 0 && kept.files > 0 {
        out::talk(&format!("{} billing files are what was imported", thousands(kept.files)));
    }
    Ok(broken)
}

fn list(context: &Context, args: &ListArgs) -> anyhow::Result<ExitCode> {
    let store = context.open()?;
    let bill = store.bill(args.period.map_or(ALWAYS, span))?;
    if args.files {
        args.output.write(&billing::files(&store.billing_files()?, &bill))?;
        return Ok(ExitCode::SUCCESS);
    }
    let range = args.period.map_or_else(Range::default, |period| Range::of_period(period, Zone::UTC));
    args.output.write(&billing::charges(&bill, range))?;
    Ok(ExitCode::SUCCESS)
}
