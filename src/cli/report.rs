//! `report`: what it cost.

use super::context::{Context, write_file};
use super::out;
use super::sessions::{NOT_READ, Sessions};
use crate::model::{BillingPeriod, Coverage, Day, Zone};
use crate::report::{self, Bucket, Dimension, Grouped, Range, Report, format};
use clap::ValueEnum;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Report tokens and cost
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Examples:
  codex-tally report monthly
  codex-tally report monthly -p 2026-10 --format csv --out october.csv
  codex-tally report daily -p 2026-W40 --by team,model
  codex-tally report session --format json | jq .totals")]
pub(super) enum Command {
    /// By day
    #[command(after_help = "Example:
  codex-tally report daily --since 2026-10-01 --until 2026-10-07 --by team,model")]
    Daily(GroupedArgs),
    /// By ISO week, which begins on Monday
    #[command(after_help = "Example:
  codex-tally report weekly -p 2026-10 --tz Europe/Berlin

A week at the edge of the chosen days holds only those of its days that were chosen.")]
    Weekly(GroupedArgs),
    /// By billing period (UTC calendar month); as CSV, the monthly cost CSV
    #[command(after_help = "Example:
  codex-tally report monthly -p 2026-10 --format csv --out october.csv
  codex-tally report monthly --by session,thread,thread_kind
  codex-tally report monthly --by team,label:product
  codex-tally report monthly -p 2026-10 --currency EUR")]
    Monthly(GroupedArgs),
    /// One row a session
    #[command(after_help = "Example:
  codex-tally report session -p 2026-10")]
    Session(CommonArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct GroupedArgs {
    /// Group by these: team, cost_centre, project, user, client, channel, model, tier, session, tool, mcp_server, thread,
    /// thread_kind, label:NAME [default: team, project, user, model and, in CSV and JSON, the first eight]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = dimension)]
    by: Vec<Dimension>,
    /// Amounts in this currency, too, at the rates of your table (docs/currency.md), for example EUR
    #[arg(long, value_name = "CODE")]
    currency: Option<String>,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct CommonArgs {
    /// A billing period, YYYY-MM, or an ISO week, YYYY-Www
    #[arg(short, long, value_name = "PERIOD", conflicts_with_all = ["since", "until"], value_parser = period)]
    period: Option<(Day, Day)>,
    /// The first day, YYYY-MM-DD
    #[arg(long, value_name = "DAY", value_parser = day)]
    since: Option<Day>,
    /// The last day, inclusive
    #[arg(long, value_name = "DAY", value_parser = day)]
    until: Option<Day>,
    /// The time zone of days, weeks and months, for example Europe/Berlin; prices stay with UTC days
    #[arg(long, value_name = "ZONE", default_value_t = Zone::UTC)]
    tz: Zone,
    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Write to this file instead of stdout; beside a CSV, FILE.meta.json holds its totals and coverage
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Do not read what is new first
    #[arg(long)]
    no_import: bool,
    /// Exit 1 if the report, its corrections too, has any of these: unpriced, stale, unattributed, incomplete
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_enum)]
    fail_on: Vec<Finding>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Table,
    Csv,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Finding {
    Unpriced,
    Stale,
    Unattributed,
    Incomplete,
}

fn dimension(name: &str) -> Result<Dimension, String> {
    Dimension::parse(name).ok_or_else(|| {
        let all: Vec<_> = Dimension::ALL.iter().map(|d| d.name()).collect();
        format!("choose from {}, label:NAME", all.join(", "))
    })
}

pub(super) fn day(text: &str) -> Result<Day, String> {
    Day::parse(text).ok_or_else(|| "write YYYY-MM-DD, for example 2026-10-31".to_string())
}

/// The first and the last day of a month or a week.
pub(super) fn period(text: &str) -> Result<(Day, Day), String> {
    if let Some(monday) = Day::of_week(text) {
        return Ok((monday, (0..6).fold(monday, |day, _| day.next())));
    }
    let month = text.parse::<BillingPeriod>();
    let days = month.map(|month| (month.first_day(), month.last_day()));
    days.map_err(|e| format!("{e}, or YYYY-Www, for example 2026-W47"))
}

pub(super) fn run(context: &Context, command: &Command) -> anyhow::Result<ExitCode> {
    let (bucket, grouped, common) = match command {
        Command::Daily(args) => (Some(Bucket::Day), Some(args), &args.common),
        Command::Weekly(args) => (Some(Bucket::Week), Some(args), &args.common),
        Command::Monthly(args) => (Some(Bucket::Month), Some(args), &args.common),
        Command::Session(common) => (None, None, common),
    };
    let by = grouped.map_or(&[][..], |args| args.by.as_slice());
    let (since, until) = match common.period {
        Some((first, last)) => (Some(first), Some(last)),
        None => (common.since, common.until),
    };
    let range = Range { since, until, zone: common.tz };
    if range.since.zip(range.until).is_some_and(|(since, until)| since > until) {
        return Ok(out::misused("--since is after --until"));
    }
    if by.iter().enumerate().any(|(i, d)| by[..i].contains(d)) {
        return Ok(out::misused("--by names a dimension twice"));
    }
    let conversion = context.conversion(grouped.and_then(|args| args.currency.as_deref()))?;
    let all = Sessions::ready(context, common.no_import)?;
    let report = match bucket {
        Some(bucket) => {
            let mut report = Grouped::new(bucket, default_by(by, common.format), range).in_currency(conversion);
            if report.needs_tool_costs() {
                all.each_with_tool_costs(range, &mut |session| report.add(session))?;
            } else {
                all.each(range, &mut |session| report.add(session))?;
            }
            report.report(&all.counters)
        }
        None => {
            let mut report = report::Sessions::new(range);
            all.each(range, &mut |session| report.add(session))?;
            report.report(&all.counters)
        }
    };
    write(&report, common.format, common.out.as_deref())?;
    let mut code = ExitCode::SUCCESS;
    for finding in &common.fail_on {
        let (n, what) = found(*finding, &report.coverage);
        if n > 0 {
            out::talk(&format!("--fail-on: {n} {what}"));
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}

fn default_by(by: &[Dimension], format: Format) -> &[Dimension] {
    const BRIEF: [Dimension; 4] = [Dimension::Team, Dimension::Project, Dimension::User, Dimension::Model];
    match (by, format) {
        ([], Format::Table) => &BRIEF,
        ([], _) => Dimension::COST,
        (by, _) => by,
    }
}

fn found(finding: Finding, coverage: &Coverage) -> (i64, &'static str) {
    match finding {
        Finding::Unpriced => (coverage.unpriced_responses, "responses are unpriced"),
        Finding::Stale => (coverage.stale_price, "responses are priced beyond their price's guarantee"),
        Finding::Unattributed => (coverage.unattributed_responses, "responses have no team"),
        Finding::Incomplete => (coverage.unreadable.get(NOT_READ).map_or(0, |n| *n as i64), "places could not be read"),
    }
}

fn write(report: &Report, format: Format, file: Option<&Path>) -> anyhow::Result<()> {
    let bytes = match format {
        Format::Table => format::table(report, if file.is_none() { out::width() } else { None }).into_bytes(),
        Format::Csv => format::csv(report),
        Format::Json => format::json(report),
    };
    match file {
        None if format == Format::Table => out::text(&String::from_utf8_lossy(&bytes))?,
        None => out::data(&bytes)?,
        Some(path) => write_file(path, &bytes)?,
    }
    if format == Format::Csv {
        format::notes(&report.coverage).iter().for_each(|note| out::talk(note));
        report.currency.iter().flat_map(format::currency_notes).for_each(|note| out::talk(&note));
        if let Some(path) = file {
            let mut meta = path.as_os_str().to_os_string();
            meta.push(".meta.json");
            write_file(Path::new(&meta), &format::meta_json(report))?;
        }
    }
    Ok(())
}
