//! The numbers of a row: token counts as integers, money as integers of pico-units, distinct counts as sets.

use super::table::{Cell, Column, Kind};
use crate::model::{Amount, Line, ThreadId, TokenUsage, Unit};
use std::collections::BTreeSet;

/// What a row adds up. `sessions` and `turns` are distinct counts, so that rows need not add.
#[derive(Debug, Clone, Default)]
pub(super) struct Measures {
    sessions: BTreeSet<ThreadId>,
    turns: BTreeSet<(ThreadId, String)>,
    pub responses: u64,
    pub tool_calls: u64,
    usage: TokenUsage,
    list_usd: Sum,
    credits: Sum,
    api_equivalent: Sum,
    unpriced_tokens: u64,
}

/// A sum that knows whether anything was added: nothing is not 0.
#[derive(Debug, Clone, Copy, Default)]
struct Sum(Option<i128>);

impl Sum {
    fn add(&mut self, amount: Amount) {
        self.0 = Some(self.0.unwrap_or(0) + i128::from(amount.pico));
    }

    /// The sum; missing if nothing was added.
    fn cell(self) -> Cell {
        self.0.map_or(Cell::Missing, Cell::Amount)
    }
}

impl Measures {
    pub fn add_line(&mut self, line: &Line) {
        let r = &line.response;
        // What no user started is no session and has no turns; its tokens count all the same.
        if !r.auxiliary {
            self.sessions.insert(r.session.clone());
            self.turns.extend(r.turn.iter().map(|turn| (r.session.clone(), turn.clone())));
        }
        self.responses += 1;
        self.usage += r.usage;
        match line.priced.list {
            Some(amount) if amount.unit == Unit::Usd => self.list_usd.add(amount),
            Some(amount) => self.credits.add(amount),
            None => {}
        }
        if let Some(amount) = line.priced.api_equivalent {
            self.api_equivalent.add(amount);
        }
        if line.priced.unpriced.is_some() {
            self.unpriced_tokens += r.usage.total();
        }
    }

    /// Counts a session and its turns although it brought no response.
    pub fn add_session<'t>(&mut self, session: &ThreadId, turns: impl Iterator<Item = &'t str>) {
        self.sessions.insert(session.clone());
        self.turns.extend(turns.map(|t| (session.clone(), t.to_string())));
    }

    /// The totals of a report: of no responses at all they are 0, which is no guess.
    pub fn total_cells(&self) -> Vec<Cell> {
        let zero = |cell| if self.responses == 0 && cell == Cell::Missing { Cell::Amount(0) } else { cell };
        self.cells().into_iter().map(zero).collect()
    }

    pub fn cells(&self) -> Vec<Cell> {
        let count = |n: u64| Cell::Count(n);
        let u = &self.usage;
        vec![
            count(self.sessions.len() as u64),
            count(self.turns.len() as u64),
            count(self.responses),
            count(self.tool_calls),
            count(u.input),
            count(u.uncached_input()),
            count(u.cached_input),
            count(u.cache_write),
            count(u.output),
            count(u.reasoning),
            count(u.total()),
            self.list_usd.cell(),
            self.credits.cell(),
            self.api_equivalent.cell(),
            count(self.unpriced_tokens),
        ]
    }
}

/// The columns of [`Measures::cells`].
pub(super) fn columns() -> Vec<Column> {
    let count = |name, title| Column { name, title, kind: Kind::Count };
    let amount = |name, title| Column { name, title, kind: Kind::Amount };
    vec![
        count("sessions", Some("sessions")),
        count("turns", Some("turns")),
        count("responses", Some("resp.")),
        count("tool_calls", Some("tools")),
        count("input_tokens", Some("input")),
        count("uncached_input_tokens", None),
        count("cached_input_tokens", Some("cached")),
        count("cache_write_tokens", Some("written")),
        count("output_tokens", Some("output")),
        count("reasoning_tokens", None),
        count("total_tokens", None),
        amount("list_usd", Some("list USD")),
        amount("chatgpt_credits", Some("credits")),
        amount("api_equivalent_usd", Some("API equiv.")),
        count("unpriced_tokens", Some("unpriced")),
    ]
}
