//! `export focus`: a month's charges in the format of finance tools.

use super::billing;
use super::chargeback::sealed_with;
use super::context::{Context, write_file, write_file_with};
use super::out;
use super::sessions::Sessions;
use crate::model::{Allocated, BillingPeriod, Channel, Charge, ChargeKind, Coverage, Share, ShareClass, Status};
use crate::report::focus::{About, Accounts, BilledFor, BilledShare, Export, Version};
use crate::report::format::notes;
use clap::ValueEnum;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Export a month for other tools
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Example:
  codex-tally export focus -p 2026-10 --out october-focus.csv")]
pub(super) enum Command {
    /// The charges of a month as rows of FOCUS, the FinOps Open Cost and Usage Specification (CSV)
    #[command(after_help = "Examples:
  codex-tally export focus -p 2026-10 --out october-focus.csv
  codex-tally export focus -p 2026-10 --focus 1.3 --no-sessions | head

Periods of FOCUS are of UTC. docs/focus.md tells what each column holds.")]
    Focus(FocusArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct FocusArgs {
    /// The billing period, YYYY-MM
    #[arg(short, long, value_name = "PERIOD")]
    period: BillingPeriod,
    /// The version of the specification
    #[arg(long, value_enum, default_value_t = FocusVersion::V1_2)]
    focus: FocusVersion,
    /// Write to this file instead of stdout; beside it, FILE.meta.json holds totals and coverage
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Add up the sessions of a day instead of a row for each
    #[arg(long)]
    no_sessions: bool,
    /// Costs in this currency, too, in columns of ours, at the rates of your table (docs/currency.md), for example EUR
    #[arg(long, value_name = "CODE")]
    currency: Option<String>,
    /// Do not read what is new first
    #[arg(long)]
    no_import: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FocusVersion {
    #[value(name = "1.2")]
    V1_2,
    #[value(name = "1.3")]
    V1_3,
}

pub(super) fn run(context: &Context, command: &Command) -> anyhow::Result<ExitCode> {
    let Command::Focus(args) = command;
    let conversion = context.conversion(args.currency.as_deref())?;
    let all = Sessions::ready(context, args.no_import)?;
    let allocated = billing::shares(context, &all, args.period)?;
    let made = about(context, args, &all)?;
    let about =
        About { conversion, accounts: billed_accounts(made.accounts, &allocated), billed: billed(&allocated), ..made };
    let mut finished = None;
    match &args.out {
        None => finished = Some(write(&all, &about, &mut out::Data)?),
        Some(path) => write_file_with(path, |file| {
            finished = Some(write(&all, &about, file)?);
            Ok(())
        })?,
    }
    let Some((meta, coverage)) = finished else { return Ok(ExitCode::SUCCESS) };
    if let Some(path) = &args.out {
        let mut beside = path.as_os_str().to_os_string();
        beside.push(".meta.json");
        write_file(Path::new(&beside), &meta)?;
    }
    notes(&coverage).iter().for_each(|note| out::talk(note));
    Ok(ExitCode::SUCCESS)
}

fn about(context: &Context, args: &FocusArgs, all: &Sessions) -> anyhow::Result<About> {
    let seal = all.seal(args.period)?;
    let now = || Ok((all.inputs().book().hash().to_string(), all.inputs().rules_hash().to_string()));
    let (price_book, rules) = seal.as_ref().map_or_else(now, sealed_with)?;
    let said = context.config.focus.clone();
    Ok(About {
        version: match args.focus {
            FocusVersion::V1_2 => Version::V1_2,
            FocusVersion::V1_3 => Version::V1_3,
        },
        period: args.period,
        by_session: !args.no_sessions,
        status: if seal.is_some() { Status::Sealed } else { Status::Estimated }.name(),
        price_book,
        rules,
        seal: seal.map(|seal| seal.sha256),
        accounts: Accounts {
            api_id: said.api_account,
            api_name: said.api_account_name,
            chatgpt_id: said.chatgpt_account,
            chatgpt_name: said.chatgpt_account_name,
        },
        conversion: None,
        billed: Vec::new(),
    })
}

/// The accounts of the month's bills, where the configuration names none and the bills name one.
fn billed_accounts(said: Accounts, allocated: &[Allocated]) -> Accounts {
    let billed = |channel: Channel| {
        let of_channel = allocated.iter().map(|a| &a.charge).filter(|charge| charge.channel == channel);
        let mut accounts: Vec<&str> = of_channel.map(|charge| charge.account.as_str()).collect();
        accounts.sort_unstable();
        accounts.dedup();
        if let [one] = accounts[..] { Some(one.to_string()) } else { None }
    };
    let api_id = said.api_id.or_else(|| billed(Channel::Api));
    let chatgpt_id = said.chatgpt_id.or_else(|| billed(Channel::Chatgpt));
    Accounts { api_id, chatgpt_id, ..said }
}

/// The shares that are money. Credits of a workspace's export are usage, and no bill.
fn billed(allocated: &[Allocated]) -> Vec<BilledShare> {
    let share = |charge: &Charge, share: &Share| {
        let money = share.money.as_ref()?;
        let what = charge.line_item.as_deref().unwrap_or(charge.kind.name());
        let billed_for = match (charge.kind, share.class) {
            (ChargeKind::Seat, _) => BilledFor::Purchase,
            (ChargeKind::Tax, _) => BilledFor::Tax,
            (ChargeKind::Other, _) | (_, ShareClass::Idle | ShareClass::NotObserved) => BilledFor::Adjustment,
            (ChargeKind::Usage | ChargeKind::CreditPack | ChargeKind::Overage | ChargeKind::Discount, _) => {
                BilledFor::Usage
            }
        };
        Some(BilledShare {
            owner: share.owner.clone(),
            channel: charge.channel.name(),
            billed_for,
            description: match share.class {
                ShareClass::Allocated => format!("{}: {what}", charge.kind.name()),
                class => format!("{}: {what} ({})", charge.kind.name(), class.name()),
            },
            invoice: charge.invoice.clone(),
            days: (charge.first_day(), charge.last_day().next()),
            currency: money.currency.code().to_string(),
            pico: money.pico.0,
        })
    };
    allocated.iter().flat_map(|a| a.shares.iter().filter_map(|s| share(&a.charge, s))).collect()
}

/// Writes the rows as they come; what they add up to is known at the end.
fn write(all: &Sessions, about: &About, to: &mut dyn Write) -> anyhow::Result<(Vec<u8>, Coverage)> {
    let mut export = Export::new(about);
    to.write_all(&export.header())?;
    all.month(about.period, &mut |session, lines, rollup| {
        Ok(to.write_all(&export.add(session.as_str(), lines, rollup))?)
    })?;
    let (records, meta, coverage) = export.finish();
    to.write_all(&records)?;
    Ok((meta, coverage))
}
