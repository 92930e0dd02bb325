//! The numbers of a row: token counts as integers, money as integers of pico-units.

use super::table::{Cell, Column, Kind};
use crate::model::{ReportedRow, Sums, TokenSums, ToolCostRow, ToolRow, UsageRow};

/// What a row adds up. `sessions` and `turns` are distinct counts, so that rows need not add: who adds a session counts them.
#[derive(Debug, Clone, Default)]
pub(super) struct Measures {
    pub sessions: i64,
    pub turns: i64,
    pub responses: i64,
    tool_calls: i64,
    tokens: TokenSums,
    sums: Sums,
    unpriced_tokens: i64,
}

impl Measures {
    pub fn add_row(&mut self, row: &UsageRow) {
        self.responses += row.responses;
        self.tokens += row.tokens;
        self.sums += row.sums;
        self.unpriced_tokens += row.unpriced_tokens;
    }

    /// Moves the share of a tool from here to the measures of its row, or back with another sign.
    pub fn add_tool_cost(&mut self, row: &ToolCostRow<'_>, taken: bool) {
        self.tokens += if taken { -row.tokens } else { row.tokens };
        self.sums += if taken { -row.sums } else { row.sums };
        self.unpriced_tokens += if taken { -row.unpriced_tokens } else { row.unpriced_tokens };
    }

    pub fn add_tool(&mut self, row: &ToolRow<'_>) {
        self.tool_calls += row.calls;
        self.sums += Sums { tool_fees_usd: row.fees_usd, ..Sums::default() };
    }

    pub fn add_reported(&mut self, row: &ReportedRow) {
        let (reported_usd, reported_list_usd) = (Some(row.reported_usd), row.list_usd);
        self.sums += Sums { reported_usd, reported_list_usd, ..Sums::default() };
    }

    /// The totals of a report: of no responses at all they are 0, which is no guess.
    pub fn total_cells(&self) -> Vec<Cell> {
        let zero = |cell| if self.responses == 0 && cell == Cell::Missing { Cell::Amount(0) } else { cell };
        self.cells().into_iter().map(zero).collect()
    }

    pub fn cells(&self) -> Vec<Cell> {
        let count = |n: i64| Cell::Count(n);
        // Nothing is not 0.
        let amount = |sum: Option<i128>| sum.map_or(Cell::Missing, Cell::Amount);
        let (u, s) = (&self.tokens, &self.sums);
        vec![
            count(self.sessions),
            count(self.turns),
            count(self.responses),
            count(self.tool_calls),
            count(u.input),
            count(u.uncached_input()),
            count(u.cached_input),
            count(u.cache_write),
            count(u.output),
            count(u.reasoning),
            count(u.total()),
            amount(s.list_usd),
            amount(s.credits),
            amount(s.api_equivalent),
            count(self.unpriced_tokens),
            amount(s.contract_usd),
            amount(s.tool_fees_usd),
            amount(s.reported_usd),
            amount(s.reported_list_usd),
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
        amount("contract_usd", Some("contract USD")),
        amount("tool_fees_usd", Some("fees USD")),
        amount("reported_usd", Some("reported USD")),
        amount("reported_list_usd", Some("list of these")),
    ]
}
