//! The statement of a team, and the page over all of them.

use super::cents::Cents;
use super::manifest::PROGRAM;
use super::page::{Cell, count, money, page, table};
use super::strength::known_by;
use super::tally::{Row, Tally, View, by};
use super::{About, Basis, Month, chart, workspace};
use crate::model::{BillingPeriod, Channel, Coverage, Day, Status, UNATTRIBUTED, Unit};
use crate::report::Range;
use crate::report::format::{html_text, terminal_text};
use std::collections::BTreeMap;

/// How many rows a table of a statement has; the CSV has all.
const ROWS: usize = 15;

/// How many rows a table has at most that is kept on one page.
const KEPT: usize = 6;

/// One team's month.
pub(super) struct Statement<'a> {
    pub month: &'a Month,
    pub about: &'a About,
    pub cents: &'a Cents<'a>,
    pub team: &'a str,
    /// The name of the team's CSV.
    pub csv: &'a str,
    pub rows: &'a [Row<'a, 'a>],
    /// The same by day and channel.
    pub days: &'a [Row<'a, 'a>],
}

impl Statement<'_> {
    /// That of its rows; a team without any has that of the month.
    fn status(&self) -> &'static str {
        match self.rows {
            [] => self.month.status(self.about),
            rows if rows.iter().all(Row::is_sealed) => Status::Sealed.name(),
            _ => Status::Estimated.name(),
        }
    }

    /// The page.
    pub fn html(&self) -> String {
        let (month, about, cents) = (self.month, self.about, self.cents);
        let is_ours = |row: &Row<'_, '_>| row.text("team") == self.team;
        let all = Tally::of(self.rows.iter().copied(), about.basis);
        let all = cents.instead(month, about, all, is_ours);
        let units = units(&all);
        let team = if self.team.is_empty() { "(no name)" } else { self.team };
        let mut body = head(&format!("Codex usage of {team}"), month, about, self.status());
        body.push_str(&cards(&all, &units, about.basis));
        body.push_str(&charged(self.rows, about.basis, &all));
        body.push_str(&workspace::section(&month.workspaces, Some(self.team)));
        let corrected = |row: &Row<'_, '_>| is_ours(row) && row.is_correction();
        body.push_str(&corrections(self, &units, &|tally| cents.instead(month, about, tally, corrected)));
        body.push_str(&by_day(self.days, month.lines.range, &units, about.basis));
        for (title, column) in
            [("By cost centre", "cost_centre"), ("By project", "project"), ("By model", "model"), ("By user", "user")]
        {
            let mut groups = by(self.rows, column, about.basis);
            cents.share(&mut groups, &all);
            body.push_str(&section(title, &column.replace('_', " "), &groups, &all, &units));
        }
        let none = Coverage::default();
        let coverage = month.teams.get(self.team).unwrap_or(&none);
        body.push_str(&known_by(coverage, about, cents, &all, &units));
        let mut known = known(coverage, &all, about.basis);
        let no_cost_centre = self.rows.iter().filter(|row| row.text("cost_centre") == UNATTRIBUTED);
        let responses = Tally::of(no_cost_centre.copied(), about.basis).responses;
        known.push(("Responses without a cost centre".to_string(), count(responses)));
        let unowned = Tally::of(View::of(&month.lines).rows().filter(Row::is_unattributed), about.basis);
        let unowned = cents.instead(month, about, unowned, |row| row.is_unattributed());
        known.push(("Usage of this month that no team owns (not in this statement)".to_string(), brief(&unowned)));
        body.push_str(&coverage_box(&known, coverage));
        body.push_str(&foot(month, about, cents, self.csv));
        page(&format!("{team}: Codex usage, {}", month.period), &body)
    }
}

/// The page over all statements.
pub(super) fn index(month: &Month, about: &About, cents: &Cents<'_>, files: &BTreeMap<&str, String>) -> String {
    let lines = View::of(&month.lines);
    let rows: Vec<Row<'_, '_>> = lines.rows().collect();
    let all = cents.instead(month, about, Tally::of(rows.iter().copied(), about.basis), |_| true);
    let units = units(&all);
    let mut body = head("Codex usage of all teams", month, about, month.status(about));
    body.push_str(&cards(&all, &units, about.basis));
    body.push_str(&charged(&rows, about.basis, &all));
    body.push_str(&workspace::section(&month.workspaces, None));
    let mut teams = by(&rows, "team", about.basis);
    for (team, tally) in &mut teams {
        *tally = cents.instead(month, about, *tally, |row| row.text("team") == *team);
    }
    let name = |team: &str, file: &str| format!("<a href=\"{file}.html\">{}</a>", html_text(team));
    let mut table_rows: Vec<Vec<Cell>> = Vec::new();
    for (team, file) in files {
        let tally = teams.get(team).copied().unwrap_or_default();
        table_rows.push(figures(name(team, file), &tally, &units));
    }
    let unowned = teams.get(UNATTRIBUTED).copied().unwrap_or_default();
    table_rows.push(figures("<a href=\"unattributed.csv\">no team</a>".to_string(), &unowned, &units));
    let sum = figures("all".to_string(), &all, &units);
    body.push_str(&format!("<h2>By team</h2>\n{}", table(&heading("team", &units), &table_rows, Some(&sum))));
    body.push_str(&by_day(&View::of(&month.daily).rows().collect::<Vec<_>>(), month.lines.range, &units, about.basis));
    let coverage = &month.lines.coverage;
    body.push_str(&known_by(coverage, about, cents, &all, &units));
    let mut known = known(coverage, &all, about.basis);
    known.push(("Usage that no team owns".to_string(), brief(&unowned)));
    body.push_str(&coverage_box(&known, coverage));
    body.push_str(&foot(month, about, cents, "summary.csv"));
    page(&format!("Codex usage, {}", month.period), &body)
}

/// The units that have an amount.
fn units(all: &Tally) -> Vec<Unit> {
    [Unit::Usd, Unit::Credit].into_iter().filter(|unit| all.amount(*unit).is_some()).collect()
}

fn unit_name(unit: Unit) -> &'static str {
    match unit {
        Unit::Usd => "USD",
        Unit::Credit => "credits",
    }
}

fn head(title: &str, month: &Month, about: &About, status: &str) -> String {
    let (name, range) = (month_name(month.period), month.lines.range);
    let days = |day: Option<Day>| day.map(|day| day.to_string()).unwrap_or_default();
    let (since, until) = (days(range.since), days(range.until));
    let zone = html_text(&range.zone.to_string());
    let note = match (status == Status::Sealed.name(), &about.seal) {
        (true, Some(seal)) => format!("the month is sealed ({})", html_text(seal)),
        (true, None) => "the month is closed: what comes late is a correction of the first open month".to_string(),
        (false, _) => "the month is open: figures can still change".to_string(),
    };
    format!(
        "<header>\n<h1>{}</h1>\n<p class=\"sub\">{name} ({since} to {until}, {zone} days)</p>\n\
         <p><span class=\"badge {status}\">{status}</span> <span class=\"sub\">{note}</span></p>\n\
         <p class=\"sub\">Basis: <b>{}</b>, {}</p>\n</header>\n",
        html_text(title),
        about.basis.name(),
        about.basis.words()
    )
}

/// `October 2026`.
fn month_name(period: BillingPeriod) -> String {
    period.first_day().0.format("%B %Y").to_string()
}

fn cards(all: &Tally, units: &[Unit], basis: Basis) -> String {
    let mut cards: Vec<(String, String)> = Vec::new();
    for unit in units {
        let of = match unit {
            Unit::Usd => format!("USD, API usage, {}", basis.name()),
            Unit::Credit => format!("credits, ChatGPT usage, {}", basis.name()),
        };
        cards.push((money(all.amount(*unit)), of));
    }
    if units.is_empty() {
        cards.push(("–".to_string(), "no usage has an amount on this basis".to_string()));
    }
    cards.push((count(all.responses), "responses".to_string()));
    cards.push((count(all.tokens), "tokens".to_string()));
    let card = |(value, of): (String, String)| format!("<div class=\"card\"><b>{value}</b>{of}</div>\n");
    format!("<div class=\"cards\">\n{}</div>\n", cards.into_iter().map(card).collect::<String>())
}

/// What is charged, by how it is billed. Each line is one basis and one unit.
fn charged(rows: &[Row<'_, '_>], basis: Basis, all: &Tally) -> String {
    let mut table_rows = Vec::new();
    for (channel, mut tally) in by(rows, "channel", basis) {
        let nothing = (tally.responses, tally.tokens, tally.usd, tally.credits) == (0, 0, None, None);
        if nothing {
            continue;
        }
        // A unit has one channel, so that its amount is all of it.
        if let Some((_, unit)) = basis.amount(channel) {
            *tally.amount_mut(unit) = all.amount(unit);
        }
        let (name, amount) = of_channel(channel, &tally, basis);
        table_rows.push(vec![
            Cell::Text(name),
            Cell::Number(count(tally.responses)),
            Cell::Number(count(tally.tokens)),
            Cell::Number(amount),
        ]);
    }
    if all.fees_usd.is_some() {
        table_rows.push(vec![
            Cell::Text("Hosted tools (web searches), public list, in no amount above".to_string()),
            Cell::Number(String::new()),
            Cell::Number(String::new()),
            Cell::Number(format!("{} USD", money(all.fees_usd))),
        ]);
    }
    let head = [
        Cell::Text("Usage".to_string()),
        Cell::Number("responses".to_string()),
        Cell::Number("tokens".to_string()),
        Cell::Number("amount".to_string()),
    ];
    format!("<section class=\"keep\">\n<h2>Amounts</h2>\n{}</section>\n", table(&head, &table_rows, None))
}

/// A channel in words, and its amount or why it has none.
fn of_channel(channel: &str, tally: &Tally, basis: Basis) -> (String, String) {
    let is = |other: Channel| channel == other.name();
    let name = match channel {
        _ if is(Channel::Api) => "API usage, billed by token".to_string(),
        _ if is(Channel::Chatgpt) => "ChatGPT usage, billed in credits".to_string(),
        _ if is(Channel::Local) => "Models on own machines".to_string(),
        _ if is(Channel::Unknown) => "Usage of which nothing says how it is billed".to_string(),
        other => html_text(other),
    };
    let amount = match basis.amount(channel) {
        Some((_, unit)) => match tally.amount(unit) {
            Some(pico) => format!("{} {}", money(Some(pico)), unit_name(unit)),
            None => "no price".to_string(),
        },
        None if is(Channel::Local) => "no bill".to_string(),
        None if is(Channel::Chatgpt) => "no contract price".to_string(),
        None => "not known".to_string(),
    };
    (name, amount)
}

/// What corrects sealed months, which is part of the amounts.
fn corrections(of: &Statement<'_>, units: &[Unit], booked: &dyn Fn(Tally) -> Tally) -> String {
    let corrections: Vec<Row<'_, '_>> = of.rows.iter().copied().filter(Row::is_correction).collect();
    if corrections.is_empty() {
        return String::new();
    }
    let mut groups = by(&corrections, "corrects_period", of.about.basis);
    let all = booked(Tally::of(corrections, of.about.basis));
    of.cents.share(&mut groups, &all);
    section("Corrections of sealed months, part of the amounts above", "corrected month", &groups, &all, units)
}

fn heading(name: &str, units: &[Unit]) -> Vec<Cell> {
    let numbers = ["responses", "tokens", "unpriced tokens"].map(|name| Cell::Number(name.to_string()));
    let mut head = vec![Cell::Text(name.to_string())];
    head.extend(numbers);
    head.extend(units.iter().map(|unit| Cell::Number(unit_name(*unit).to_string())));
    head
}

fn figures(name: String, tally: &Tally, units: &[Unit]) -> Vec<Cell> {
    let mut cells = vec![Cell::Text(name)];
    cells.extend([tally.responses, tally.tokens, tally.unpriced_tokens].map(|n| Cell::Number(count(n))));
    cells.extend(units.iter().map(|unit| Cell::Number(money(tally.amount(*unit)))));
    cells
}

/// Groups from the largest to the smallest by their first unit, else by tokens, with bars of that.
pub(super) fn section(
    title: &str,
    column: &str,
    groups: &BTreeMap<&str, Tally>,
    all: &Tally,
    units: &[Unit],
) -> String {
    let size = |tally: &Tally| units.first().map_or(Some(tally.tokens), |unit| tally.amount(*unit));
    let mut sorted: Vec<(&str, Tally)> = groups.iter().map(|(name, tally)| (*name, *tally)).collect();
    sorted.sort_by(|(a, x), (b, y)| (size(y), y.tokens, a).cmp(&(size(x), x.tokens, b)));
    let rest = sorted.split_off(sorted.len().min(ROWS));
    let most = sorted.iter().filter_map(|(_, tally)| size(tally)).map(i128::abs).max().unwrap_or(0);
    let row = |name: String, tally: &Tally| {
        let mut cells = figures(name, tally, units);
        cells.push(Cell::Bar(chart::bar(size(tally), most)));
        cells
    };
    let mut rows: Vec<Vec<Cell>> =
        sorted.iter().map(|(name, t)| row(html_text(if name.is_empty() { "–" } else { name }), t)).collect();
    if !rest.is_empty() {
        let mut others = Tally::default();
        rest.iter().for_each(|(_, tally)| others += *tally);
        let mut cells = figures(format!("{} more, in the CSV", rest.len()), &others, units);
        cells.push(Cell::Bar(String::new()));
        rows.push(cells);
    }
    let mut head = heading(column, units);
    head.push(Cell::Bar(String::new()));
    let mut sum = figures("all".to_string(), all, units);
    sum.push(Cell::Bar(String::new()));
    // A table that is long may break between rows; a short one is better whole.
    let class = if rows.len() <= KEPT { " class=\"keep\"" } else { "" };
    format!(
        "<section{class}>\n<h2>{title}</h2>\n{}</section>\n",
        table(&head, &rows, (sorted.len() > 1).then_some(&sum))
    )
}

fn by_day(rows: &[Row<'_, '_>], range: Range, units: &[Unit], basis: Basis) -> String {
    let tallies = by(rows, "period", basis);
    let all: Vec<Day> = range.since.zip(range.until).map(|(since, until)| days(since, until)).unwrap_or_default();
    let values = |value: &dyn Fn(&Tally) -> Option<i128>| -> Vec<(Day, Option<i128>)> {
        all.iter().map(|day| (*day, tallies.get(day.to_string().as_str()).and_then(value))).collect()
    };
    let figure = |label: &str, svg: String| format!("<figure>\n<p class=\"sub\">{label}</p>\n{svg}</figure>\n");
    let mut out = "<section class=\"keep\">\n<h2>By day</h2>\n".to_string();
    for unit in units {
        let svg = chart::days(unit_name(*unit), &values(&|tally| tally.amount(*unit)), money);
        out.push_str(&figure(unit_name(*unit), svg));
    }
    if units.is_empty() {
        let tokens = |n: Option<i128>| count(n.unwrap_or(0));
        out.push_str(&figure("tokens", chart::days("tokens", &values(&|tally| Some(tally.tokens)), tokens)));
    }
    out.push_str("</section>\n");
    out
}

fn days(since: Day, until: Day) -> Vec<Day> {
    std::iter::successors(Some(since), |day| Some(day.next())).take_while(|day| *day <= until).take(31).collect()
}

/// What the amounts do not say, each with its number, also if that is 0.
fn known(coverage: &Coverage, all: &Tally, basis: Basis) -> Vec<(String, String)> {
    let number = |n: i64| count(n.into());
    let tokens = match basis {
        Basis::List => "Tokens without a list price, in no amount",
        Basis::Contract => "Tokens without a list price",
    };
    let mut known = vec![(tokens.to_string(), count(all.unpriced_tokens))];
    for (why, n) in &coverage.unpriced_reasons {
        known.push((format!("… responses: {}", html_text(why)), number(*n)));
    }
    if basis == Basis::Contract {
        let text = "API responses without a contract price, in no amount";
        known.push((text.to_string(), number(coverage.uncontracted_responses)));
    }
    known.push((
        "Requests that brought no usage: possibly billed, in no amount".to_string(),
        number(coverage.unmetered_attempts),
    ));
    for (model, n) in &coverage.unmetered_by_model {
        known.push((format!("… for model {}", html_text(model)), number(*n)));
    }
    let fees = all.fees_usd.map_or_else(|| "none known".to_string(), |fees| format!("{} USD", money(Some(fees))));
    known.push(("Fees of hosted tools (web searches), public list, in no amount".to_string(), fees));
    known.push(("Calls of hosted tools without a known fee".to_string(), number(coverage.unpriced_tool_calls)));
    known
}

/// Some usage in a few words.
fn brief(tally: &Tally) -> String {
    let responses = if tally.responses == 1 { "response" } else { "responses" };
    let mut words = vec![format!("{} {responses}, {} tokens", count(tally.responses), count(tally.tokens))];
    for unit in units(tally) {
        words.push(format!("{} {}", money(tally.amount(unit)), unit_name(unit)));
    }
    words.join(", ")
}

fn coverage_box(known: &[(String, String)], coverage: &Coverage) -> String {
    let mut rows: Vec<Vec<Cell>> =
        known.iter().map(|(what, n)| vec![Cell::Text(what.clone()), Cell::Number(n.clone())]).collect();
    let more = [
        (coverage.contradicted_responses, "Responses that claim another owner than is known of them: not believed"),
        (coverage.assumed_provider, "Responses of custom providers, rated at OpenAI list"),
        (coverage.stale_price, "Responses priced beyond the day their price was guaranteed through"),
        (coverage.conflicts, "Responses on which sources disagree"),
        (coverage.ambiguous, "Responses with two possible readings"),
        (coverage.quarantined, "Records with impossible token counts, not counted"),
    ];
    for (n, what) in more.into_iter().filter(|(n, _)| *n > 0) {
        rows.push(vec![Cell::Text(what.to_string()), Cell::Number(count(n.into()))]);
    }
    let sources =
        coverage.responses_by_source.iter().map(|(name, n)| format!("{} {}", html_text(name), count((*n).into())));
    let sources: Vec<String> = sources.collect();
    let seen = if sources.is_empty() { "no responses".to_string() } else { sources.join(", ") };
    format!(
        "<section class=\"box keep\">\n<h2>What to know of these figures</h2>\n{}<p class=\"note\">Responses by what saw them: {seen}.</p>\n</section>\n",
        table(&[Cell::Text("what".to_string()), Cell::Number("how much".to_string())], &rows, None)
    )
}

fn foot(month: &Month, about: &About, cents: &Cents<'_>, csv: &str) -> String {
    let digits = match cents.are_booked() {
        true => {
            "Amounts are the cents that were booked when the month was sealed: they add up; those of parts are shared by \
                 largest remainder"
        }
        false => "Amounts are rounded to two digits (half to even), so lines may not add",
    };
    let tz = terminal_text(&month.lines.range.zone.to_string());
    let prices = if tz == "UTC" { "" } else { " Prices follow UTC days." };
    format!(
        "<footer>\n<p>{digits}; the exact amounts, with 12 digits, \
         are in {csv}.{prices} Amounts of different bases or units are never added.</p>\n\
         <p>{PROGRAM} · prices {} · rules {}</p>\n</footer>\n",
        &about.price_book, &about.rules
    )
}
