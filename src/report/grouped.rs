//! Daily, weekly and monthly reports: rows by any of the dimensions.

use super::Range;
use super::converted::{Amounts, Converter};
use super::days::Days;
use super::measures::{Measures, columns};
use super::table::{Cell, Column, Kind, Report};
use super::tools::Tools;
use crate::model::{Conversion, Coverage, Day, Labels, SessionRollup, Slot, Sums, UsageRow};
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
    /// The tool; answers have none.
    Tool,
    /// The MCP server of the tool; other tools, and answers, have none.
    McpServer,
    /// The thread of the session.
    Thread,
    /// What the thread is: root, subagent, review, guardian, auxiliary.
    ThreadKind,
    /// A label, by the name of its column, which is `label:` and its own.
    Label(&'static str),
}

/// What the column of a label begins with.
const LABEL: &str = "label:";

impl Dimension {
    /// All of them but labels.
    pub const ALL: &'static [Dimension; 13] = &[
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
        Dimension::McpServer,
        Dimension::Thread,
        Dimension::ThreadKind,
    ];

    /// The grouping of the monthly cost CSV: the first eight.
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
            Dimension::McpServer => "mcp_server",
            Dimension::Thread => "thread_id",
            Dimension::ThreadKind => "thread_kind",
            Dimension::Label(column) => column,
        }
    }

    /// Reads a name as a user writes it; `session` and `thread` are short for their ids. The name of a label stays in memory.
    pub fn parse(name: &str) -> Option<Self> {
        if name.strip_prefix(LABEL).is_some_and(|label| !label.is_empty()) {
            return Some(Dimension::Label(name.to_string().leak()));
        }
        let name = match name {
            "session" => "session_id",
            "thread" => "thread_id",
            name => name,
        };
        Self::ALL.iter().copied().find(|d| d.name() == name)
    }
}

/// A daily, weekly or monthly report in the making.
pub struct Grouped<'b> {
    bucket: Bucket,
    by: &'b [Dimension],
    range: Range,
    days: Days,
    /// The periods met, and which one a day is in.
    periods: Vec<String>,
    period_of: HashMap<Day, usize>,
    groups: Vec<Group>,
    /// Groups by their keys, as bytes.
    index: HashMap<Vec<u8>, usize>,
    key: Vec<u8>,
    totals: Measures,
    converter: Option<Converter>,
    converted: Amounts,
    coverage: Coverage,
}

/// One row.
struct Group {
    keys: Vec<String>,
    measures: Measures,
    converted: Amounts,
    tools: Tools,
}

/// The groups that a session's rows went to: which index of keys, on which day, of which tool. A session has few.
type Met<'s> = Vec<((u32, Day, Option<&'s str>), usize)>;

impl<'b> Grouped<'b> {
    /// A report with nothing in it yet.
    pub fn new(bucket: Bucket, by: &'b [Dimension], range: Range) -> Self {
        Grouped {
            bucket,
            by,
            range,
            days: Days::new(range),
            periods: Vec::new(),
            period_of: HashMap::new(),
            groups: Vec::new(),
            index: HashMap::new(),
            key: Vec::new(),
            totals: Measures::default(),
            converter: None,
            converted: Amounts::default(),
            coverage: Coverage::default(),
        }
    }

    /// With its amounts in another currency, beside those in USD.
    pub fn in_currency(mut self, conversion: Option<Conversion>) -> Self {
        self.converter = conversion.map(Converter::new);
        self
    }

    /// Adds a session.
    pub fn add(&mut self, session: &SessionRollup<'_>) {
        let mut met = Met::new();
        let mut places: Vec<Option<usize>> = Vec::with_capacity(session.usage.len());
        for row in &session.usage {
            let place = self.days.day(row.slot).map(|day| self.group(session, &mut met, (row.keys, day, None)));
            if let Some(group) = place {
                self.groups[group].measures.add_row(row);
                self.totals.add_row(row);
                self.convert(row.slot, &row.sums, group, true);
            }
            places.push(place);
        }
        // What was sealed stays what it was when more is known: so rows say it, not the session.
        let counts = |row: &UsageRow| !session.keys[row.keys as usize].is_auxiliary();
        let counted = session.usage.iter().zip(&places).filter(|(row, _)| counts(row));
        self.count_session(counted.filter_map(|(_, place)| *place));
        for (turn, of_turn) in session.turns() {
            let rows = of_turn.iter().filter_map(|row| places.get(*row as usize).copied().flatten());
            self.count_turns(rows, turn.turns);
        }
        let by_tool = self.needs_tool_costs();
        for row in session.tool_costs.iter().filter(|_| by_tool) {
            let Some(day) = self.days.day(row.slot) else { continue };
            let answers = self.group(session, &mut met, (row.keys, day, None));
            let tool = self.group(session, &mut met, (row.keys, day, Some(row.name)));
            self.groups[answers].measures.add_tool_cost(row, true);
            self.groups[tool].measures.add_tool_cost(row, false);
            self.convert(row.slot, &-row.sums, answers, false);
            self.convert(row.slot, &row.sums, tool, false);
        }
        for row in &session.tools {
            let Some(day) = self.days.day(row.slot) else { continue };
            let group = self.group(session, &mut met, (row.keys, day, by_tool.then_some(row.name)));
            self.groups[group].measures.add_tool(row);
            self.groups[group].tools.add(row);
            self.totals.add_tool(row);
            let fees = Sums { tool_fees_usd: row.fees_usd, ..Sums::default() };
            self.convert(row.slot, &fees, group, true);
        }
        for row in &session.reported {
            let Some(day) = self.days.day(row.slot) else { continue };
            let group = self.group(session, &mut met, (row.keys, day, None));
            self.groups[group].measures.add_reported(row);
            self.totals.add_reported(row);
        }
        super::coverage::add(&mut self.coverage, session, None, &mut self.days);
    }

    fn convert(&mut self, slot: Slot, sums: &Sums, group: usize, in_total: bool) {
        let Some(converter) = &mut self.converter else { return };
        let of_group = &mut self.groups[group].converted;
        let mut both = [of_group, &mut self.converted];
        converter.add(slot, sums, &mut both[..if in_total { 2 } else { 1 }]);
    }

    /// Whether it groups by tools, so that sessions must come with what these cost.
    pub fn needs_tool_costs(&self) -> bool {
        by_tool(self.by)
    }

    /// A session counts once in each group that has something of it.
    fn count_session(&mut self, groups: impl Iterator<Item = usize>) {
        let groups = distinct(groups);
        self.totals.sessions += i64::from(!groups.is_empty());
        groups.into_iter().for_each(|group| self.groups[group].measures.sessions += 1);
    }

    fn count_turns(&mut self, groups: impl Iterator<Item = usize>, turns: i64) {
        let groups = distinct(groups);
        self.totals.turns += if groups.is_empty() { 0 } else { turns };
        groups.into_iter().for_each(|group| self.groups[group].measures.turns += turns);
    }

    fn group<'s>(
        &mut self,
        session: &SessionRollup<'s>,
        met: &mut Met<'s>,
        (keys, day, tool): (u32, Day, Option<&'s str>),
    ) -> usize {
        if let Some((_, group)) = met.iter().rfind(|(known, _)| *known == (keys, day, tool)) {
            return *group;
        }
        let period = self.period(day);
        let of = &session.keys[keys as usize];
        let value = |d: &Dimension| match d {
            Dimension::Session => session.session,
            Dimension::Tool => tool.unwrap_or(""),
            Dimension::McpServer => tool.map_or("", mcp_server),
            Dimension::Thread => of.thread,
            Dimension::ThreadKind => of.kind,
            Dimension::Label(column) => Labels::read(of.labels, &column[LABEL.len()..]).unwrap_or(""),
            other => of.values[Dimension::COST.iter().position(|c| c == other).unwrap_or(0)],
        };
        let parts = || self.by.iter().map(value).chain([of.status, of.class, of.corrects]);
        self.key.clear();
        self.key.extend(period.to_ne_bytes());
        for part in parts() {
            self.key.extend(part.len().to_ne_bytes());
            self.key.extend(part.as_bytes());
        }
        let group = match self.index.get(&self.key) {
            Some(group) => *group,
            None => {
                let first = std::iter::once(self.periods[period].clone());
                let keys = first.chain(parts().map(str::to_string)).collect();
                self.groups.push(Group {
                    keys,
                    measures: Measures::default(),
                    converted: Amounts::default(),
                    tools: Tools::default(),
                });
                self.index.insert(self.key.clone(), self.groups.len() - 1);
                self.groups.len() - 1
            }
        };
        met.push(((keys, day, tool), group));
        group
    }

    fn period(&mut self, day: Day) -> usize {
        if let Some(known) = self.period_of.get(&day) {
            return *known;
        }
        let name = match self.bucket {
            Bucket::Day => day.to_string(),
            Bucket::Week => day.week(),
            Bucket::Month => day.period().to_string(),
        };
        let period = self.periods.iter().position(|p| *p == name).unwrap_or_else(|| {
            self.periods.push(name);
            self.periods.len() - 1
        });
        self.period_of.insert(day, period);
        period
    }

    /// The report of all that was added, with what could not be read by reason.
    pub fn report(mut self, counters: &BTreeMap<String, u64>) -> Report {
        let by_tool = self.needs_tool_costs();
        let in_currency = self.converter.is_some();
        let all = self.groups.iter().map(|g| g.tools).fold(Tools::default(), Tools::plus);
        self.groups.sort_by(|a, b| a.keys.cmp(&b.keys));
        let row = |group: Group| {
            let mut row: Vec<Cell> = group.keys.into_iter().map(text).collect();
            row.extend(group.measures.cells());
            row.extend(in_currency.then(|| Converter::cells(&group.converted)).into_iter().flatten());
            row.extend(by_tool.then(|| group.tools.cells()).into_iter().flatten());
            row
        };
        let mut totals = vec![Cell::Missing; self.by.len() + 4];
        totals.extend(self.totals.total_cells());
        totals.extend(in_currency.then(|| Converter::cells(&self.converted)).into_iter().flatten());
        totals.extend(by_tool.then(|| all.cells()).into_iter().flatten());
        super::coverage::add_counters(&mut self.coverage, counters);
        Report {
            name: self.bucket.names().0,
            range: self.range,
            columns: all_columns(self.bucket, self.by, self.converter.as_ref()),
            rows: self.groups.into_iter().map(row).collect(),
            totals,
            currency: self.converter.map(Converter::note),
            coverage: self.coverage,
        }
    }
}

fn by_tool(by: &[Dimension]) -> bool {
    by.contains(&Dimension::Tool) || by.contains(&Dimension::McpServer)
}

/// The server of a tool as Codex names it: `mcp__server__tool`.
fn mcp_server(tool: &str) -> &str {
    tool.strip_prefix("mcp__").and_then(|rest| rest.split_once("__")).map_or("", |(server, _)| server)
}

fn distinct(groups: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut all = Vec::new();
    for group in groups {
        if !all.contains(&group) {
            all.push(group);
        }
    }
    all
}

fn text(value: String) -> Cell {
    if value.is_empty() { Cell::Missing } else { Cell::Text(value) }
}

fn all_columns(bucket: Bucket, by: &[Dimension], converter: Option<&Converter>) -> Vec<Column> {
    let column = |name, title| Column { name, title, kind: Kind::Text };
    let mut columns = vec![column("period", Some(bucket.names().1))];
    columns.extend(by.iter().map(|d| column(d.name(), Some(d.name()))));
    columns.extend(["status", "class", "corrects_period"].map(|name| column(name, None)));
    columns.extend(self::columns());
    columns.extend(converter.into_iter().flat_map(Converter::columns));
    if by_tool(by) {
        let names = [("tool_failures", "failed"), ("tool_unknown", "unknown"), ("tool_duration_ms", "ms")];
        columns.extend(names.map(|(name, title)| Column { name, title: Some(title), kind: Kind::Count }));
    }
    columns
}
