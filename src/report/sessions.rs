//! The session report: one row a session, auxiliary threads included.

use super::Range;
use super::days::Days;
use super::measures::{Measures, columns};
use super::table::{Cell, Column, Kind, Report};
use crate::model::{Coverage, Keys, SessionRollup, Timestamp, TurnRow, UnmeteredRow};
use std::collections::{BTreeMap, BTreeSet};

/// A session report in the making: the sessions that started, had a turn, a response or a tool call in the range, with what
/// of them is in it.
pub struct Sessions {
    range: Range,
    days: Days,
    /// In the order of their start and id.
    rows: Vec<(Timestamp, String, Vec<Cell>)>,
    totals: Measures,
    sums: [i64; 4],
    coverage: Coverage,
}

impl Sessions {
    /// A report with nothing in it yet.
    pub fn new(range: Range) -> Self {
        let (days, totals, coverage) = (Days::new(range), Measures::default(), Coverage::default());
        Sessions { range, days, rows: Vec::new(), totals, sums: [0; 4], coverage }
    }

    /// Adds a session.
    pub fn add(&mut self, session: &SessionRollup<'_>) {
        super::coverage::add(&mut self.coverage, session, None, &mut self.days);
        let days = &mut self.days;
        let rows: Vec<bool> = session.usage.iter().map(|row| days.has(row.slot)).collect();
        let of_turn = |row: &u32| rows.get(*row as usize).copied().unwrap_or(false);
        let mut is_in =
            |turn: &TurnRow, rows: &[u32]| turn.started.is_some_and(|s| days.has(s)) || rows.iter().any(of_turn);
        let turns: i64 = session.turns().filter(|(turn, rows)| is_in(turn, rows)).map(|(turn, _)| turn.turns).sum();
        let tools: Vec<_> = session.tools.iter().filter(|row| days.has(row.slot)).collect();
        let reported: Vec<_> = session.reported.iter().filter(|row| days.has(row.slot)).collect();
        let started = days.has(session.counted);
        if !rows.contains(&true) && tools.is_empty() && reported.is_empty() && turns == 0 && !started {
            return;
        }
        let failures = tools.iter().map(|row| row.failures).sum();
        let usage = || session.usage.iter().zip(&rows).filter(|(_, is_in)| **is_in).map(|(row, _)| row);
        let keys: Vec<&Keys<'_>> = usage().map(|row| &session.keys[row.keys as usize]).collect();
        // What was sealed stays what it was when more is known.
        let auxiliary = if keys.is_empty() { session.auxiliary } else { keys.iter().all(|k| k.is_auxiliary()) };
        let mut measures = Measures::default();
        for to in [&mut measures, &mut self.totals] {
            usage().for_each(|row| to.add_row(row));
            to.sessions += i64::from(!auxiliary);
            to.turns += turns;
            tools.iter().for_each(|row| to.add_tool(row));
            reported.iter().for_each(|row| to.add_reported(row));
        }
        // What has no day of its own is the first day's.
        let once = |n: i64| if started { n } else { 0 };
        let extra = [once(session.prompts), failures, once(session.api_errors), once(session.unmetered_attempts)];
        self.sums.iter_mut().zip(extra).for_each(|(sum, n)| *sum += n);
        let mut row = head(session, &keys, auxiliary);
        row.extend(measures.cells());
        row.extend(extra.map(Cell::Count));
        let unmetered = unmetered_by_model(session);
        let is_shown = started && !unmetered.is_empty();
        row.push(if is_shown { Cell::Text(unmetered) } else { Cell::Missing });
        self.rows.push((session.started, session.session.to_string(), row));
    }

    /// The report of all that was added, with what could not be read by reason.
    pub fn report(mut self, counters: &BTreeMap<String, u64>) -> Report {
        self.rows.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        let mut totals = vec![Cell::Missing; HEAD.len()];
        totals.extend(self.totals.total_cells());
        totals.extend(self.sums.map(Cell::Count));
        totals.push(Cell::Missing);
        super::coverage::add_counters(&mut self.coverage, counters);
        Report {
            name: "session",
            range: self.range,
            columns: all_columns(),
            rows: self.rows.into_iter().map(|(_, _, row)| row).collect(),
            totals,
            currency: None,
            coverage: self.coverage,
        }
    }
}

/// For example `gpt-5.5: 2, named 6006 tokens; gpt-6: 1`; empty if all requests brought usage.
fn unmetered_by_model(session: &SessionRollup<'_>) -> String {
    let text = |row: &UnmeteredRow<'_>| {
        let named = if row.named > 0 { format!(", named {} tokens", row.named) } else { String::new() };
        format!("{}: {}{named}", row.model, row.attempts)
    };
    session.unmetered.iter().map(text).collect::<Vec<_>>().join("; ")
}

const HEAD: [(&str, Option<&str>); 13] = [
    ("session_id", Some("session")),
    ("kind", None),
    ("started", Some("started")),
    ("ended", None),
    ("duration_s", Some("s")),
    ("team", None),
    ("cost_centre", None),
    ("project", Some("project")),
    ("user", Some("user")),
    ("client", Some("client")),
    ("channel", None),
    ("model", Some("model")),
    ("forked_from", None),
];

fn head(session: &SessionRollup<'_>, keys: &[&Keys<'_>], auxiliary: bool) -> Vec<Cell> {
    let listed = |value: usize| {
        let all: BTreeSet<&str> = keys.iter().map(|k| k.values[value]).collect();
        match all.is_empty() {
            true => Cell::Missing,
            false => Cell::Text(all.into_iter().collect::<Vec<_>>().join(" ")),
        }
    };
    let text = |value: &str| Cell::Text(value.to_string());
    let seconds = (session.ended.0 - session.started.0) / 1_000_000_000;
    let [team, cost_centre, project, user] = session.owner;
    vec![
        text(session.session),
        text(if auxiliary { "auxiliary" } else { "session" }),
        Cell::Text(session.started.to_rfc3339()),
        Cell::Text(session.ended.to_rfc3339()),
        Cell::Count(seconds.max(0)),
        text(team),
        text(cost_centre),
        text(project),
        text(user),
        text(session.client),
        listed(5),
        listed(6),
        if session.forked_from.is_empty() { Cell::Missing } else { text(session.forked_from) },
    ]
}

fn all_columns() -> Vec<Column> {
    let kind = |name| if name == "duration_s" { Kind::Count } else { Kind::Text };
    let mut all: Vec<Column> =
        HEAD.iter().map(|(name, title)| Column { name, title: *title, kind: kind(*name) }).collect();
    all.extend(columns());
    let extra = [
        ("prompts", Some("prompts")),
        ("tool_failures", None),
        ("api_errors", Some("errors")),
        ("unmetered_attempts", Some("unmetered")),
    ];
    all.extend(extra.map(|(name, title)| Column { name, title, kind: Kind::Count }));
    all.push(Column { name: "unmetered_by_model", title: None, kind: Kind::Text });
    all
}
