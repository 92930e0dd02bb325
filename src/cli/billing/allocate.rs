//! `billing allocate`: what was billed, over those who used it.

use super::{Context, Output, out, span};
use crate::cache::Inputs;
use crate::cli::report::Format;
use crate::cli::sessions::Sessions;
use crate::ledger::billing::{self, Observed, Plan, allocate};
use crate::model::{Allocated, Bill, BillingPeriod, Channel, Method, WorkspaceMonth, Zone};
use crate::report::Range;
use crate::report::billing::{Detail, allocated};
use crate::store::Bills;
use clap::ValueEnum;
use std::collections::BTreeSet;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The billing period, YYYY-MM
    #[arg(short, long, value_name = "PERIOD")]
    period: BillingPeriod,
    /// Spread all charges by this, whatever their kind is
    #[arg(long, value_enum)]
    method: Option<MethodArg>,
    /// A row for each charge and owner
    #[arg(long)]
    detail: bool,
    #[command(flatten)]
    output: Output,
    /// Do not read what is new first
    #[arg(long)]
    no_import: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum MethodArg {
    Credits,
    List,
    Tokens,
    Seats,
    Fixed,
}

impl From<MethodArg> for Method {
    fn from(arg: MethodArg) -> Self {
        match arg {
            MethodArg::Credits => Method::Credits,
            MethodArg::List => Method::List,
            MethodArg::Tokens => Method::Tokens,
            MethodArg::Seats => Method::Seats,
            MethodArg::Fixed => Method::Fixed,
        }
    }
}

/// A month's bill and usage.
pub(in crate::cli) struct Month {
    /// All sessions, brought up to date.
    pub sessions: Sessions,
    /// The charges that have something of the month.
    pub bill: Bill,
    /// What was observed.
    pub observed: Observed,
}

impl Month {
    /// Reads on, and takes both sides together. Of a sealed month: what was sealed, or with `live` what is known now.
    pub fn ready(context: &Context, period: BillingPeriod, no_import: bool, live: bool) -> anyhow::Result<Self> {
        let sessions = Sessions::ready(context, no_import)?;
        let is_sealed = sessions.inputs().sealed_through().is_some_and(|through| period <= through);
        let observed = if live && is_sealed {
            let mut observed = Observed::new(period);
            sessions.each_live(period, &mut |session| observed.add(session))?;
            observed
        } else {
            observed(&sessions, period)?
        };
        let bill = context.open()?.bill(span(period))?;
        Ok(Month { sessions, bill, observed })
    }
}

fn observed(sessions: &Sessions, period: BillingPeriod) -> anyhow::Result<Observed> {
    let mut observed = Observed::new(period);
    sessions.each(Range::of_period(period, Zone::UTC), &mut |session| observed.add(session))?;
    Ok(observed)
}

/// What statements say of ChatGPT workspaces; nothing if nothing was billed for any.
pub(in crate::cli) fn workspaces(
    context: &Context,
    sessions: &Sessions,
    period: BillingPeriod,
) -> anyhow::Result<Vec<WorkspaceMonth>> {
    let bill = context.open()?.bill(span(period))?;
    if bill.charges.iter().all(|(charge, _)| charge.channel != Channel::Chatgpt) {
        return Ok(Vec::new());
    }
    let (observed, plan) = (observed(sessions, period)?, plan(context, sessions.inputs(), None));
    Ok(billing::workspaces(&bill, &allocate(&bill, &observed, &plan), &observed, &plan))
}

/// What was billed for a month and whose it is; nothing if nothing was.
pub(in crate::cli) fn shares(
    context: &Context,
    sessions: &Sessions,
    period: BillingPeriod,
) -> anyhow::Result<Vec<Allocated>> {
    let bill = context.open()?.bill(span(period))?;
    if bill.charges.is_empty() {
        return Ok(Vec::new());
    }
    Ok(allocate(&bill, &observed(sessions, period)?, &plan(context, sessions.inputs(), None)))
}

/// What the configuration says of bills.
pub(in crate::cli) fn plan<'p>(context: &'p Context, inputs: &'p Inputs, method: Option<Method>) -> Plan<'p> {
    let config = &context.config.billing;
    Plan {
        method,
        methods: &config.methods,
        fixed: &config.fixed,
        projects: &config.projects,
        api_keys: &config.api_keys,
        users: &config.users,
        rules: &inputs.options().rules,
        region_uplift_percent: config.region_uplift_percent.unwrap_or(0),
        book: inputs.book(),
    }
}

pub(super) fn run(context: &Context, args: &Args) -> anyhow::Result<ExitCode> {
    let config = &context.config.billing;
    let method = args.method.map(Method::from);
    let is_fixed = method == Some(Method::Fixed) || config.methods.values().any(|method| *method == Method::Fixed);
    if is_fixed && config.fixed.values().all(|weight| *weight == 0) {
        return Ok(out::misused(
            "the method fixed needs weights: write fixed = { TEAM = 1 } below [billing] in config.toml",
        ));
    }
    let month = Month::ready(context, args.period, args.no_import, false)?;
    let all = allocate(&month.bill, &month.observed, &plan(context, month.sessions.inputs(), method));
    let detail = match args.output.format {
        _ if args.detail => Detail::Charges,
        Format::Table => Detail::Teams,
        Format::Csv | Format::Json => Detail::Owners,
    };
    let mut listing = allocated(&all, Range::of_period(args.period, Zone::UTC), detail);
    if all.is_empty() {
        listing
            .notes
            .push(format!("nothing that was billed for {} is stored; see `codex-tally billing import`", args.period));
    }
    if !args.output.is(Format::Table) {
        listing.notes.push(made_from(&month, args.period)?);
    }
    args.output.write(&listing)?;
    Ok(ExitCode::SUCCESS)
}

/// By what the same allocation can be made again.
fn made_from(month: &Month, period: BillingPeriod) -> anyhow::Result<String> {
    let files: BTreeSet<&str> = month.bill.counted().map(|charge| charge.origin.file.as_str()).collect();
    let inputs = month.sessions.inputs();
    let seal = month.sessions.seal(period)?.map_or_else(|| "open".to_string(), |seal| format!("seal {}", seal.sha256));
    let files = files.into_iter().collect::<Vec<_>>().join(" ");
    Ok(format!("made from: {seal}, rules {}, prices {}, files {files}", inputs.rules_hash(), inputs.book().hash()))
}
