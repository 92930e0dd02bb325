//! Daily, weekly and monthly reports: rows by any of the dimensions.

use super::coverage::coverage;
use super::measures::{Measures, columns};
use super::table::{Cell, Column, Kind, Report};
use super::{Input, Range};
use crate::model::{Channel, Day, Line, LineClass, Outcome, SessionFact, Status, ThreadId, Timestamp, ToolCallFact};
use std::collections::{BTreeMap, HashMap};

/// How time is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bucket {
    /// By day.
    Day,
    /// By ISO week.
    Week,
    /// By calendar month; in UTC, the billing period.
    Month,
}

impl Bucket {
    /// The name of the report, and the heading of its first column.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Bucket::Day => ("daily", "day"),
            Bucket::Week => ("weekly", "week"),
            Bucket::Month => ("monthly", "month"),
        }
    }
}

/// What rows can be grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// The team that pays.
    Team,
    /// The cost centre.
    CostCentre,
    /// The project.
    Project,
    /// The user.
    User,
    /// The program the user started.
    Client,
    /// How it is billed.
    Channel,
    /// The requested model.
    Model,
    /// The requested tier.
    Tier,
    /// The session.
    Session,
    /// The tool; responses have none.
    Tool,
}

impl Dimension {
    /// All of them.
    pub const ALL: &'static [Dimension; 10] = &[
        Dimension::Team,
        Dimension::CostCentre,
        Dimension::Project,
        Dimension::User,
        Dimension::Client,
        Dimension::Channel,
        Dimension::Model,
        Dimension::Tier,
        Dimension::Session,
        Dimension::Tool,
    ];

    /// The grouping of the monthly cost CSV: all but the last two, session and tool.
    pub const COST: &'static [Dimension] = Self::ALL.split_at(8).0;

    /// The column's name.
    pub fn name(self) -> &'static str {
        match self {
            Dimension::Team => "team",
            Dimension::CostCentre => "cost_centre",
            Dimension::Project => "project",
            Dimension::User => "user",
            Dimension::Client => "client",
            Dimension::Channel => "channel",
            Dimension::Model => "model",
            Dimension::Tier => "tier",
            Dimension::Session => "session_id",
            Dimension::Tool => "tool",
        }
    }

    /// Reads a name as a user writes it; `session` is short for `session_id`.
    pub fn parse(name: &str) -> Option<Self> {
        let name = if name == "session" { "session_id" } else { name };
        Self::ALL.iter().copied().find(|d| d.name() == name)
    }
}

/// What a line or a tool call is grouped by.
#[derive(Clone)]
struct Keys<'a> {
    day: Day,
    status: Status,
    class: LineClass,
    corrects: String,
    values: [&'a str; 10],
}

impl<'a> Keys<'a> {
    fn of_line(line: &'a Line, day: Day) -> Self {
        let r = &line.response;
        Keys {
            day,
            status: line.status,
            class: line.class,
            corrects: line.corrects_period.map(|p| p.to_string()).unwrap_or_default(),
            values: [
                &r.owner.team.value,
                &r.owner.cost_centre.value,
                &r.owner.project.value,
                &r.owner.user.value,
                &r.client,
                r.channel.name(),
                r.model.as_deref().unwrap_or("unknown"),
                r.tier.name(),
                r.session.as_str(),
                "",
            ],
        }
    }

    /// A tool call without any response before it: what its session says.
    fn of_session(session: &'a SessionFact, day: Day) -> Self {
        let o = &session.owner;
        let unknown = Channel::Unknown.name();
        Keys {
            day,
            status: Status::Estimated,
            class: LineClass::Usage,
            corrects: String::new(),
            values: [
                &o.team.value,
                &o.cost_centre.value,
                &o.project.value,
                &o.user.value,
                &session.client,
                unknown,
                unknown,
                unknown,
                session.session.as_str(),
                "",
            ],
        }
    }

    fn row(&self, bucket: Bucket, by: &[Dimension]) -> Vec<String> {
        let period = match bucket {
            Bucket::Day => self.day.to_string(),
            Bucket::Week => self.day.week(),
            Bucket::Month => self.day.period().to_string(),
        };
        let mut row = vec![period];
        row.extend(by.iter().map(|d| self.values[Dimension::ALL.iter().position(|a| a == d).unwrap_or(0)].to_string()));
        row.extend([self.status.name().to_string(), self.class.name().to_string(), self.corrects.clone()]);
        row
    }
}

/// A daily, weekly or monthly report.
pub fn grouped(input: Input<'_>, bucket: Bucket, by: &[Dimension], range: Range) -> Report {
    let mut rows: BTreeMap<Vec<String>, Measures> = BTreeMap::new();
    let mut totals = Measures::default();
    let lines: Vec<&Line> = input.lines.iter().filter(|l| range.has(l.response.time)).collect();
    for line in &lines {
        rows.entry(Keys::of_line(line, range.day(line.response.time)).row(bucket, by)).or_default().add_line(line);
        totals.add_line(line);
    }
    let callers = Callers::of(input.lines);
    let mut tools: BTreeMap<Vec<String>, Tools> = BTreeMap::new();
    for session in input.sessions {
        for call in session.tool_calls.iter().filter(|c| range.has(c.time)) {
            let day = range.day(call.time);
            let mut keys = callers.of_call(call, day).unwrap_or_else(|| Keys::of_session(session, day));
            keys.values[9] = &call.name;
            let row = keys.row(bucket, by);
            rows.entry(row.clone()).or_default().tool_calls += 1;
            tools.entry(row).or_default().add(call);
            totals.tool_calls += 1;
        }
    }
    let by_tool = by.contains(&Dimension::Tool);
    let row = |(keys, measures): (Vec<String>, Measures)| {
        let tools = tools.get(&keys).copied().unwrap_or_default();
        let mut row: Vec<Cell> = keys.into_iter().map(text).collect();
        row.extend(measures.cells());
        row.extend(by_tool.then(|| tools.cells()).into_iter().flatten());
        row
    };
    let mut total_cells = vec![Cell::Missing; by.len() + 4];
    total_cells.extend(totals.total_cells());
    let all = tools.values().fold(Tools::default(), Tools::plus);
    total_cells.extend(by_tool.then(|| all.cells()).into_iter().flatten());
    Report {
        name: bucket.names().0,
        range,
        columns: all_columns(bucket, by),
        rows: rows.into_iter().map(row).collect(),
        totals: total_cells,
        coverage: coverage(input, &lines, range),
    }
}

fn text(value: String) -> Cell {
    if value.is_empty() { Cell::Missing } else { Cell::Text(value) }
}

fn all_columns(bucket: Bucket, by: &[Dimension]) -> Vec<Column> {
    let column = |name, title| Column { name, title, kind: Kind::Text };
    let mut columns = vec![column("period", Some(bucket.names().1))];
    columns.extend(by.iter().map(|d| column(d.name(), Some(d.name()))));
    columns.extend(["status", "class", "corrects_period"].map(|name| column(name, None)));
    columns.extend(self::columns());
    if by.contains(&Dimension::Tool) {
        let names = [("tool_failures", "failed"), ("tool_unknown", "unknown"), ("tool_duration_ms", "ms")];
        columns.extend(names.map(|(name, title)| Column { name, title: Some(title), kind: Kind::Count }));
    }
    columns
}

/// What reports by tool add.
#[derive(Debug, Clone, Copy, Default)]
struct Tools {
    failures: u64,
    unknown: u64,
    duration_ms: u64,
}

impl Tools {
    fn add(&mut self, call: &ToolCallFact) {
        self.failures += u64::from(call.outcome == Outcome::Failure);
        self.unknown += u64::from(call.outcome == Outcome::Unknown);
        self.duration_ms = self.duration_ms.saturating_add(call.duration_ms.unwrap_or(0));
    }

    fn plus(self, other: &Self) -> Self {
        Tools {
            failures: self.failures + other.failures,
            unknown: self.unknown + other.unknown,
            duration_ms: self.duration_ms.saturating_add(other.duration_ms),
        }
    }

    fn cells(self) -> [Cell; 3] {
        [self.failures, self.unknown, self.duration_ms].map(Cell::Count)
    }
}

/// Finds the response that made a tool call: the last one of the thread before the call ended.
struct Callers<'a>(HashMap<&'a ThreadId, Vec<(Timestamp, &'a Line)>>);

impl<'a> Callers<'a> {
    /// Lines are in order of time.
    fn of(lines: &'a [Line]) -> Self {
        let mut by_thread: HashMap<_, Vec<_>> = HashMap::new();
        for line in lines {
            by_thread.entry(&line.response.thread).or_default().push((line.response.time, line));
        }
        Callers(by_thread)
    }

    fn of_call(&self, call: &ToolCallFact, day: Day) -> Option<Keys<'a>> {
        let lines = self.0.get(&call.thread)?;
        let after = lines.partition_point(|(time, _)| *time <= call.time);
        lines.get(after.saturating_sub(1)).map(|(_, line)| Keys::of_line(line, day))
    }
}
