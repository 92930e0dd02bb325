//! The session report: one row a session, auxiliary threads included.

use super::coverage::coverage;
use super::measures::{Measures, columns};
use super::table::{Cell, Column, Kind, Report};
use super::{Input, Range};
use crate::model::{Line, Outcome, SessionFact, ThreadId};
use std::collections::{BTreeSet, HashMap};

/// The sessions that started, had a turn, a response or a tool call in the range, with what of them is in it.
pub fn sessions(input: Input<'_>, range: Range) -> Report {
    let lines: Vec<&Line> = input.lines.iter().filter(|l| range.has(l.response.time)).collect();
    let mut by_session: HashMap<&ThreadId, Vec<&Line>> = HashMap::new();
    for line in &lines {
        by_session.entry(&line.response.session).or_default().push(line);
    }
    let (mut rows, mut totals, mut sums) = (Vec::new(), Measures::default(), [0; 4]);
    for session in input.sessions {
        let lines = by_session.get(&session.session).map_or(&[][..], Vec::as_slice);
        let calls: Vec<_> = session.tool_calls.iter().filter(|c| range.has(c.time)).collect();
        let turns: Vec<_> = session.turns.iter().filter(|t| range.has(t.started)).collect();
        let started = range.has(session.started);
        if lines.is_empty() && calls.is_empty() && turns.is_empty() && !started {
            continue;
        }
        let mut measures = Measures::default();
        for to in [&mut measures, &mut totals] {
            lines.iter().for_each(|line| to.add_line(line));
            if !session.auxiliary {
                to.add_session(&session.session, turns.iter().map(|t| t.turn.as_str()));
            }
            to.tool_calls += calls.len() as u64;
        }
        let failures = calls.iter().filter(|c| c.outcome == Outcome::Failure).count() as u64;
        // What has no day of its own is the first day's.
        let once = |n: u64| if started { n } else { 0 };
        let extra = [session.prompts, failures, session.api_errors, session.unmetered_attempts];
        let extra = [once(extra[0]), extra[1], once(extra[2]), once(extra[3])];
        sums.iter_mut().zip(extra).for_each(|(sum, n)| *sum += n);
        let mut row = head(session, lines);
        row.extend(measures.cells());
        row.extend(extra.map(Cell::Count));
        let unmetered = session.unmetered_by_model();
        row.push(if started && !unmetered.is_empty() { Cell::Text(unmetered) } else { Cell::Missing });
        rows.push(row);
    }
    let mut total_cells = vec![Cell::Missing; HEAD.len()];
    total_cells.extend(totals.total_cells());
    total_cells.extend(sums.map(Cell::Count));
    total_cells.push(Cell::Missing);
    Report {
        name: "session",
        range,
        columns: all_columns(),
        rows,
        totals: total_cells,
        coverage: coverage(input, &lines, range),
    }
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

fn head(session: &SessionFact, lines: &[&Line]) -> Vec<Cell> {
    let o = &session.owner;
    let listed = |of: fn(&Line) -> String| {
        let all: BTreeSet<String> = lines.iter().map(|l| of(l)).collect();
        match all.is_empty() {
            true => Cell::Missing,
            false => Cell::Text(all.into_iter().collect::<Vec<_>>().join(" ")),
        }
    };
    let seconds = (session.ended.0 - session.started.0) / 1_000_000_000;
    vec![
        Cell::Text(session.session.to_string()),
        Cell::Text(if session.auxiliary { "auxiliary" } else { "session" }.into()),
        Cell::Text(session.started.to_rfc3339()),
        Cell::Text(session.ended.to_rfc3339()),
        Cell::Count(u64::try_from(seconds).unwrap_or(0)),
        Cell::Text(o.team.value.clone()),
        Cell::Text(o.cost_centre.value.clone()),
        Cell::Text(o.project.value.clone()),
        Cell::Text(o.user.value.clone()),
        Cell::Text(session.client.clone()),
        listed(|l| l.response.channel.name().to_string()),
        listed(|l| l.response.model.clone().unwrap_or_else(|| "unknown".into())),
        session.forked_from.as_ref().map_or(Cell::Missing, |f| Cell::Text(f.to_string())),
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
