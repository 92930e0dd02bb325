//! Tables for a terminal: the most useful columns, numbers that can be read, and what must be known of them below.

use super::fit::fit;
use super::terminal_text;
use crate::model::{Cost, Coverage, Day, Strength, UNATTRIBUTED, Unpriced, round_half_even};
use crate::report::{Cell, Column, CurrencyNote, Kind, Range, Report};
use comfy_table::{Cell as TableCell, CellAlignment, LineStyle, Table, TableStyle};
use std::collections::BTreeMap;

/// The look of all our tables: a line below the heading, nothing else.
pub const PLAIN: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// The report as text for a terminal of this width (`None`: no terminal, lines may be long).
pub fn table(report: &Report, width: Option<u16>) -> String {
    let mut out = format!("codex-tally {}: {}\n\n", report.name, days(report.range));
    if report.rows.is_empty() {
        out.push_str("No responses in this period.\n");
    } else {
        let (table, left_out) = grid(report, width);
        out.push_str(&format!("{table}\n"));
        if left_out > 0 {
            out.push_str(&format!("\n{left_out} columns do not fit this terminal; --format csv has all."));
        }
    }
    let rates = report.currency.iter().flat_map(currency_notes);
    for note in notes(&report.coverage).into_iter().chain(rates) {
        out.push_str(&format!("\n{note}"));
    }
    if report.columns.iter().any(|c| c.kind == Kind::Amount) {
        out.push_str("\nAmounts are rounded to 4 digits, so lines may not add; --format csv and json are exact.");
    }
    out.push('\n');
    out
}

/// Heading, rows and totals of the columns that say something and fit, and how many do not fit.
pub(in crate::report) fn grid(report: &Report, width: Option<u16>) -> (Table, usize) {
    let shown: Vec<usize> = (0..report.columns.len()).filter(|i| is_shown(report, *i)).collect();
    let columns: Vec<&Column> = shown.iter().map(|i| &report.columns[*i]).collect();
    let texts = |row: &[Cell]| shown.iter().map(|i| cell(&row[*i], &report.columns[*i])).collect::<Vec<_>>();
    let mut grid = vec![columns.iter().map(|c| c.title.unwrap_or_default().to_string()).collect()];
    grid.extend(report.rows.iter().map(|row| texts(row)));
    if !report.totals.is_empty() {
        grid.push(texts(&report.totals));
        if let Some(first) = grid.last_mut().and_then(|totals| totals.first_mut()) {
            *first = "total".to_string();
        }
    }
    let kept = fit(&columns, &mut grid, width);
    let mut table = Table::new();
    table.load_style(PLAIN);
    for (n, row) in grid.iter().enumerate() {
        let cells = kept.iter().map(|i| aligned(&row[*i], columns[*i].kind));
        if n == 0 {
            table.set_header(cells)
        } else {
            table.add_row(cells)
        };
    }
    (table, columns.len() - kept.len())
}

/// A column is shown if it has a title and says something: owner columns only if anything is attributed, others if any
/// row has a value that is not 0.
fn is_shown(report: &Report, i: usize) -> bool {
    let column = &report.columns[i];
    let says = |cell: &Cell| match cell {
        Cell::Missing | Cell::Count(0) | Cell::Amount(0) | Cell::Cents(0) => false,
        Cell::Text(text) => !matches!(column.name, "team" | "cost_centre") || text != UNATTRIBUTED,
        _ => true,
    };
    column.title.is_some()
        && (i == 0 || matches!(column.name, "list_usd") || report.rows.iter().any(|row| says(&row[i])))
}

pub(in crate::report) fn days(range: Range) -> String {
    let zone = range.zone;
    match (range.since, range.until) {
        (None, None) => format!("all days ({zone})"),
        (Some(since), None) => format!("since {since} ({zone} days)"),
        (None, Some(until)) => format!("until {until} ({zone} days)"),
        (Some(since), Some(until)) if since == until => format!("{since} ({zone} day)"),
        (Some(since), Some(until)) => format!("{since} to {until} ({zone} days)"),
    }
}

fn cell(cell: &Cell, column: &Column) -> String {
    match cell {
        Cell::Missing => if column.kind == Kind::Amount { "-" } else { "" }.to_string(),
        Cell::Text(text) => terminal_text(brief(column.name, text)),
        Cell::Count(n) => thousands(*n),
        Cell::Amount(pico) => amount(*pico),
        Cell::Cents(pico) => rounded(*pico, 2),
    }
}

fn aligned(text: &str, kind: Kind) -> TableCell {
    let alignment = if kind == Kind::Text { CellAlignment::Left } else { CellAlignment::Right };
    TableCell::new(text).set_alignment(alignment)
}

/// Enough of an id for `show`, and of a moment for people.
fn brief<'a>(column: &str, text: &'a str) -> &'a str {
    match column {
        "session_id" | "thread_id" => text.get(text.len().saturating_sub(12)..).unwrap_or(text),
        "started" => text.get(..19).unwrap_or(text),
        _ => text,
    }
}

/// A whole number with separators.
pub fn thousands(n: impl Into<i128>) -> String {
    let n = n.into();
    let digits = n.unsigned_abs().to_string();
    let mut out = String::from(if n < 0 { "-" } else { "" });
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// An amount with 4 digits after the point, half to even; one that would vanish is shown as `<0.0001`.
pub fn amount(pico: i128) -> String {
    rounded(pico, 4)
}

/// An amount with so many digits after the point (at least 1, at most 11), half to even; one that would vanish is shown as
/// `<0.01`, below 0 as `>-0.01`.
pub fn rounded(pico: i128, digits: u32) -> String {
    let (scale, width) = (10u128.pow(digits), digits as usize);
    let step = 10i128.pow(12 - digits);
    let abs = (round_half_even(pico, step) / step).unsigned_abs();
    if abs == 0 && pico != 0 {
        return format!("{}0.{:0width$}", if pico < 0 { ">-" } else { "<" }, 1);
    }
    let sign = if pico < 0 { "-" } else { "" };
    let units = u64::try_from(abs / scale).map_or_else(|_| (abs / scale).to_string(), thousands);
    format!("{sign}{units}.{:0width$}", abs % scale)
}

/// What must be known of amounts in another currency, one sentence a line.
pub fn currency_notes(note: &CurrencyNote) -> Vec<String> {
    let code = &note.code;
    let rate = |(day, rate, source): &(Day, String, String)| {
        format!("{code}: 1 USD is {rate} {code} from {day} on ({})", terminal_text(source))
    };
    let mut notes: Vec<String> = note.used.iter().map(rate).collect();
    if let (Some(first), n) = (note.missing.first(), note.missing.len()) {
        let days = thousands(n as u64);
        notes.push(format!(
            "{code}: no rate for {days} days with amounts, the first is {first}: what has a part of them is unknown"
        ));
    }
    notes
}

/// What must be known of a report's figures, one sentence a line.
pub fn notes(c: &Coverage) -> Vec<String> {
    let list = |counts: &BTreeMap<String, i64>| {
        counts.iter().map(|(name, n)| format!("{name} {}", thousands(*n))).collect::<Vec<_>>().join(", ")
    };
    let mut notes = vec![match list(&c.responses_by_source).as_str() {
        "" => "seen by: no responses".to_string(),
        sources => format!("seen by: {sources}"),
    }];
    if c.cost_by_team_strength.keys().any(|strength| strength != UNATTRIBUTED) {
        notes.push(format!("team known by: {}", by_strength(c).join("; ")));
    }
    let mut note = |n: i64, text: &str| {
        if n > 0 {
            notes.push(format!("{} {text}", thousands(n)));
        }
    };
    for (why, n) in &c.unpriced_reasons {
        note(*n, &format!("responses unpriced: {}", terminal_text(why)));
    }
    note(
        c.unattributed_responses,
        "responses without a team: declare one with OTEL_RESOURCE_ATTRIBUTES=team.id=NAME, or write a rule into teams.toml \
         (`codex-tally attribution suggest` begins one)",
    );
    note(
        c.contradicted_responses,
        "responses that claim another team, cost centre, project or user than their credential or the list of members has: not believed",
    );
    note(c.assumed_provider, "responses of custom providers, rated at OpenAI list");
    note(c.stale_price, "responses priced beyond the day their price was guaranteed through");
    note(c.uncontracted_responses, "API responses that the contract list has no price of: not in contract USD");
    note(c.unpriced_tool_calls, "calls of hosted tools without a known fee");
    note(c.unmetered_attempts, "requests brought no usage: possibly billed, not priced");
    note(c.conflicts, "responses on which sources disagree");
    note(c.ambiguous, "responses with two possible readings");
    note(c.quarantined, "records with impossible token counts, not counted");
    for (name, n) in &c.unreadable {
        note(i64::try_from(*n).unwrap_or(i64::MAX), &format!("{} (whole store)", terminal_text(name)));
    }
    if c.unpriced_reasons.contains_key(&Unpriced::UnknownChannel.to_string()) {
        notes.push("hint: write channel = \"api\" or channel = \"chatgpt\" into config.toml in the home".into());
    }
    notes
}

/// What is known of each team by what, the strongest reason first: responses and amounts, each unit on its own.
fn by_strength(c: &Coverage) -> Vec<String> {
    let known = Strength::ALL.iter().filter_map(|s| Some((s, c.cost_by_team_strength.get(s.name())?)));
    let one = |(strength, cost): (&Strength, &Cost)| {
        let mut text = format!("{} {}", strength.name(), thousands(cost.responses));
        let units = [(cost.sums.list_usd, "USD"), (cost.sums.credits, "credits")];
        let amounts: Vec<_> =
            units.iter().filter_map(|(sum, unit)| Some(format!("{} {unit}", amount((*sum)?)))).collect();
        if !amounts.is_empty() {
            text.push_str(&format!(" ({})", amounts.join(", ")));
        }
        text
    };
    known.map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_can_be_read() {
        assert_eq!(
            (thousands(0), thousands(999), thousands(1_234_567), thousands(-1_234)),
            ("0".into(), "999".into(), "1,234,567".into(), "-1,234".into())
        );
        assert_eq!(amount(79_868_000_000), "0.0799");
        assert_eq!(amount(150_000_000), "0.0002");
        assert_eq!(amount(250_000_000), "0.0002");
        assert_eq!(amount(-150_000_000), "-0.0002");
        assert_eq!((amount(0), amount(1), amount(50_000_000)), ("0.0000".into(), "<0.0001".into(), "<0.0001".into()));
        assert_eq!(amount(1_234_567_890_000_000), "1,234.5679");
        assert_eq!(amount(-1), ">-0.0001");
        assert_eq!((rounded(5_000_000_000, 2), rounded(15_000_000_000, 2)), ("<0.01".into(), "0.02".into()));
        assert_eq!(rounded(-1_234_565_000_000_000, 2), "-1,234.56");
    }
}
