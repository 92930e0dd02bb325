//! `prices`: what the price book says.

use super::context::{Context, today};
use super::report::Format;
use super::{out, price_update};
use crate::model::{Day, ServiceTier};
use crate::pricing::{Level, PriceBook, PriceRow};
use crate::report::format::{PLAIN, csv_text, terminal_text};
use comfy_table::Table;
use std::collections::BTreeMap;
use std::process::ExitCode;

/// Show and check the price book
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Example:\n  codex-tally prices show gpt-6.1-sol")]
pub(super) enum Command {
    /// The prices of a model, per 1M tokens, with their days, tiers and sources
    #[command(after_help = "Examples:
  codex-tally prices show gpt-6.1-sol
  codex-tally prices show gpt-5.6-sol --at 2026-08-20 --tier fast")]
    Show(ShowArgs),
    /// All models with their standard prices on a day, per 1M tokens
    #[command(after_help = "Examples:
  codex-tally prices list
  codex-tally prices list --at 2026-08-20 --format csv > prices.csv")]
    List(ListArgs),
    /// Check the price book: promises that ended, models without a rate, prices that look wrong
    #[command(after_help = "Exits 1 if there is a warning or an error.

Example:
  codex-tally prices check")]
    Check(CheckArgs),
    /// Compare the price book with public lists, and add what is new to your own price file
    #[command(after_help = "Connects only to the lists that it is given. Prices are added as periods from a day on,
at the end of prices.toml in the home; what stands there is never changed. Exits 1 if the lists disagree, or a price of a model that
the book has was held back.

Examples:
  codex-tally prices update --from litellm --from genai-prices --dry-run
  codex-tally prices update --from models.dev --only gpt-6-sol,gpt-6-luna
  codex-tally prices update --from downloaded.json --at 2026-11-01 --yes")]
    Update(price_update::Args),
}

#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// A model as Codex reports it
    model: String,
    /// Only the prices of this UTC day, YYYY-MM-DD
    #[arg(long, value_name = "DAY", value_parser = super::report::day)]
    at: Option<Day>,
    /// Only this tier: standard, priority (fast), flex, ultrafast, batch
    #[arg(long)]
    tier: Option<String>,
    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// The UTC day, YYYY-MM-DD [default: today]
    #[arg(long, value_name = "DAY", value_parser = super::report::day)]
    at: Option<Day>,
    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    /// Check as if this were today, YYYY-MM-DD
    #[arg(long, value_name = "DAY", value_parser = super::report::day)]
    at: Option<Day>,
    /// Also list what is only good to know
    #[arg(long)]
    all: bool,
}

pub(super) fn run(context: &Context, command: &Command) -> anyhow::Result<ExitCode> {
    let book = || context.price_book();
    match command {
        Command::Show(args) => show(&book()?, args),
        Command::List(args) => list(&book()?, args),
        Command::Check(args) => check(&book()?, args),
        Command::Update(args) => price_update::run(context, args),
    }
}

fn show(book: &PriceBook, args: &ShowArgs) -> anyhow::Result<ExitCode> {
    let tier = args.tier.as_deref().map(|t| ServiceTier::from_wire(Some(t)));
    let rows = book.describe(&args.model, args.at, tier.as_ref())?;
    if args.format != Format::Table {
        return data(&rows, args.format);
    }
    let mut table = Table::new();
    table.load_style(PLAIN);
    table.set_header(["list", "from", "until", "tier", "input size", "input", "cached", "cache write", "output"]);
    for row in &rows {
        table.add_row(cells(row));
    }
    let model = rows.first().map_or(args.model.as_str(), |r| r.model.as_str());
    let mut text = format!("{} (per 1M tokens; price book of {})\n\n{table}\n", terminal_text(model), book.as_of());
    for note in notes(&rows) {
        text.push_str(&format!("\n{}", terminal_text(&note)));
    }
    text.push('\n');
    out::text(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn list(book: &PriceBook, args: &ListArgs) -> anyhow::Result<ExitCode> {
    let day = args.at.unwrap_or_else(today);
    let mut table = Table::new();
    table.load_style(PLAIN);
    table.set_header(["model", "list", "from", "until", "input size", "input", "cached", "cache write", "output"]);
    let (mut listed, mut all, mut without) = (0, Vec::new(), Vec::new());
    for model in book.models() {
        match book.describe(model, Some(day), Some(&ServiceTier::Standard)) {
            Ok(rows) => {
                listed += 1;
                all.extend(rows);
            }
            Err(_) => without.push(model),
        }
    }
    if args.format != Format::Table {
        return data(&all, args.format);
    }
    for row in &all {
        let [list, from, until, _, size, input, cached, write, output] = cells(row);
        table.add_row([terminal_text(&row.model), list, from, until, size, input, cached, write, output]);
    }
    let mut text = format!("standard prices of {day} (per 1M tokens; price book of {})\n\n{table}\n", book.as_of());
    text.push_str(&format!("\n{listed} models with a price on that day"));
    without.extend(book.unpriced().map(|(model, _)| model));
    if !without.is_empty() {
        text.push_str(&format!("; without one: {}", terminal_text(&without.join(", "))));
    }
    text.push('\n');
    out::text(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn cells(row: &PriceRow) -> [String; 9] {
    let size = match (row.context, row.long_above) {
        ("long", Some(n)) => format!("> {n}"),
        (_, Some(n)) => format!("<= {n}"),
        _ => "any".to_string(),
    };
    let until = match (row.until, row.guaranteed_through) {
        (Some(day), _) => day.to_string(),
        (None, Some(day)) => format!("promised to {day}"),
        (None, None) => String::new(),
    };
    [
        if row.basis == "list" { row.unit.to_string() } else { format!("{} {}", row.basis, row.unit) },
        row.effective_from.to_string(),
        until,
        row.tier.to_string(),
        size,
        row.uncached_input.clone(),
        row.cached_input.clone(),
        row.cache_write.clone(),
        row.output.clone(),
    ]
}

const COLUMNS: [&str; 13] = [
    "model",
    "basis",
    "unit",
    "tier",
    "context",
    "long_above_tokens",
    "effective_from",
    "effective_until",
    "guaranteed_through",
    "input_per_1m",
    "cached_input_per_1m",
    "cache_write_per_1m",
    "output_per_1m",
];

/// Rows for other programs. What is missing is empty.
fn data(rows: &[PriceRow], format: Format) -> anyhow::Result<ExitCode> {
    let day = |day: Option<Day>| day.map(|d| d.to_string()).unwrap_or_default();
    let values = |row: &PriceRow| {
        [
            row.model.clone(),
            row.basis.to_string(),
            row.unit.to_string(),
            row.tier.to_string(),
            row.context.to_string(),
            row.long_above.map(|n| n.to_string()).unwrap_or_default(),
            row.effective_from.to_string(),
            day(row.until),
            day(row.guaranteed_through),
            row.uncached_input.clone(),
            row.cached_input.clone(),
            row.cache_write.clone(),
            row.output.clone(),
        ]
    };
    if format == Format::Csv {
        let mut csv = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
        csv.write_record(COLUMNS)?;
        for row in rows {
            csv.write_record(values(row).map(|value| csv_text(&value)))?;
        }
        out::data(&csv.into_inner()?)?;
    } else {
        let object = |row| COLUMNS.into_iter().zip(values(row)).filter(|(_, value)| !value.is_empty()).collect();
        let objects: Vec<BTreeMap<&str, String>> = rows.iter().map(object).collect();
        let mut json = serde_json::to_vec_pretty(&objects)?;
        json.push(b'\n');
        out::data(&json)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Sources and remarks, each once.
fn notes(rows: &[PriceRow]) -> Vec<String> {
    let mut notes: Vec<String> = Vec::new();
    let sources = rows.iter().flat_map(|r| &r.sources).map(|s| format!("source: {s}"));
    for note in rows.iter().flat_map(|r| r.notes.iter().cloned()).chain(sources) {
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    notes
}

fn check(book: &PriceBook, args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let today = args.at.unwrap_or_else(today);
    let findings = book.check(today);
    let grave = findings.iter().filter(|f| f.level > Level::Notice).count();
    let mut text = String::new();
    for finding in findings.iter().filter(|f| args.all || f.level > Level::Notice) {
        text.push_str(&format!("{}\n", terminal_text(&finding.to_string())));
    }
    let models = book.models().count();
    text.push_str(&format!(
        "{models} models, {} known to have no price, as of {}; {grave} to look at, {} good to know{}; sha256 {}\n",
        book.unpriced().count(),
        book.as_of(),
        findings.len() - grave,
        if args.all { "" } else { " (--all)" },
        book.hash(),
    ));
    out::text(&text)?;
    Ok(if grave > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
