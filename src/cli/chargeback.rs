//! `chargeback`: what each team pays for a month, as files.

use super::context::Context;
use super::folder::write_folder;
use super::out;
use super::sessions::Sessions;
use crate::model::{BillingPeriod, Seal, Zone};
use crate::report::Range;
use crate::report::chargeback::{About, Basis, Chargeback, Month, booked_cents};
use crate::report::format::{currency_notes, notes, thousands};
use anyhow::Context as _;
use clap::ValueEnum;
use std::path::PathBuf;
use std::process::ExitCode;

/// Write what each team pays for a month: a CSV and a printable statement a team, a summary, a manifest
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  codex-tally chargeback -p 2026-10 --out october

The folder takes its place when it is whole. An earlier chargeback in it is replaced; other files in it stay.")]
pub(super) struct Args {
    /// The billing period, YYYY-MM
    #[arg(short, long, value_name = "PERIOD")]
    period: BillingPeriod,
    /// The folder to write
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// What amounts are: each channel's own public list, or your contract list (needed if the month has API and ChatGPT usage)
    /// [default: list]
    #[arg(long, value_enum)]
    basis: Option<BasisArg>,
    /// The time zone of the month and its days, for example Europe/Berlin; prices stay with UTC days
    #[arg(long, value_name = "ZONE", default_value_t = Zone::UTC)]
    tz: Zone,
    /// Amounts of the CSV files in this currency, too, at the rates of your table (docs/currency.md), for example EUR
    #[arg(long, value_name = "CODE")]
    currency: Option<String>,
    /// Write into a folder that has other files, and over files that were changed since they were written
    #[arg(long)]
    force: bool,
    /// Do not read what is new first
    #[arg(long)]
    no_import: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum BasisArg {
    List,
    Contract,
}

/// The hashes of the prices and the rules that a month was sealed with.
pub(super) fn sealed_with(seal: &Seal) -> anyhow::Result<(String, String)> {
    let said: serde_json::Value = serde_json::from_slice(&seal.json).context("the seal is damaged")?;
    let hash = |name: &str| said["sha256"][name].as_str().unwrap_or_default().to_string();
    Ok((hash("price_book"), hash("rules")))
}

/// What a sealed month's files say of how they were made: what was sealed, whatever prices and rules are now.
fn sealed(seal: &Seal) -> anyhow::Result<About> {
    let (price_book, rules) = sealed_with(seal)?;
    let said: serde_json::Value = serde_json::from_slice(&seal.json).context("the seal is damaged")?;
    Ok(About {
        basis: Basis::List,
        price_book,
        rules,
        default_channel: None,
        seal: Some(seal.sha256.clone()),
        booked: Some(booked_cents(&said).context("the seal is damaged; `codex-tally ledger verify` says more")?),
        is_closed: false,
    })
}

pub(super) fn run(context: &Context, args: &Args) -> anyhow::Result<ExitCode> {
    let range = Range::of_period(args.period, args.tz);
    let conversion = context.conversion(args.currency.as_deref())?;
    let all = Sessions::ready(context, args.no_import)?;
    let mut made = Chargeback::new(args.period, range, conversion);
    all.each(range, &mut |session| made.add(session))?;
    let month = made.month().with_workspaces(super::billing::workspaces(context, &all, args.period)?);
    let inputs = all.inputs();
    let basis = match basis(args, &month, inputs.book().has_contract()) {
        Ok(basis) => basis,
        Err(what) => return Ok(out::misused(&what)),
    };
    // A month of another zone begins or ends in another month.
    let last = if args.tz == Zone::UTC { args.period } else { args.period.next() };
    let is_closed = inputs.sealed_through().is_some_and(|through| last <= through);
    let about = match all.seal(args.period)? {
        Some(seal) => About { basis, is_closed, ..sealed(&seal)? },
        None => About {
            basis,
            price_book: inputs.book().hash().to_string(),
            rules: inputs.rules_hash().to_string(),
            default_channel: inputs.options().default_channel.map(|channel| channel.name()),
            seal: None,
            booked: None,
            is_closed,
        },
    };
    let files = month.files(&about);
    write_folder(&args.out, &files, args.force)?;
    let (teams, files) = (month.teams().count() as u64, files.len() as u64);
    out::talk(&format!(
        "{}: {} of {}, basis {}, {} teams, {} files",
        args.out.display(),
        month.status(&about),
        args.period,
        basis.name(),
        thousands(teams),
        thousands(files)
    ));
    let rates = month.currency().into_iter().flat_map(currency_notes);
    notes(&month.coverage(&all.counters)).into_iter().chain(rates).for_each(|note| out::talk(&note));
    Ok(ExitCode::SUCCESS)
}

fn basis(args: &Args, month: &Month, has_contract: bool) -> Result<Basis, String> {
    match args.basis {
        Some(BasisArg::List) => Ok(Basis::List),
        Some(BasisArg::Contract) if has_contract => Ok(Basis::Contract),
        Some(BasisArg::Contract) => {
            Err("there is no contract list: write contract prices into prices.toml, or use --basis list".to_string())
        }
        None if month.is_mixed() => Err(format!(
            "{} has API usage (in USD) and ChatGPT usage (in credits), which are never added. Choose --basis list (each on its \
             own public list, as two sums) or --basis contract (API usage on your contract list; ChatGPT usage has no amount)",
            args.period
        )),
        None => Ok(Basis::List),
    }
}
