//! Rows of other things than responses: billed charges and what is made of them.

use super::format::table::{days, grid};
use super::format::{csv, json::listing_json, terminal_text};
use super::{Cell, Column, Kind, Range, Report};
use crate::model::Coverage;

/// A column: its name, its heading (none leaves it out on a terminal) and what it holds.
pub type Heading = (&'static str, Option<&'static str>, Kind);

/// A listing: a report without the coverage of responses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    report: Report,
    /// What must be known of it, one sentence a line.
    pub notes: Vec<String>,
}

impl Listing {
    /// One with nothing in it yet.
    pub fn new(name: &'static str, range: Range, columns: &[Heading]) -> Self {
        let column = |(name, title, kind): &Heading| Column { name, title: *title, kind: *kind };
        let columns = columns.iter().map(column).collect();
        let (rows, totals) = (Vec::new(), Vec::new());
        let report = Report { name, range, columns, rows, totals, currency: None, coverage: Coverage::default() };
        Listing { report, notes: Vec::new() }
    }

    /// Adds a row, which has a cell for each column.
    pub fn add(&mut self, cells: Vec<Cell>) {
        debug_assert_eq!(cells.len(), self.report.columns.len());
        self.report.rows.push(cells);
    }

    /// As text for a terminal of this width.
    pub fn table(&self, width: Option<u16>) -> Vec<u8> {
        let mut out = format!("codex-tally {}: {}\n\n", self.report.name, days(self.report.range));
        let (table, left_out) = grid(&self.report, width);
        match self.report.rows.is_empty() {
            true => out.push_str("Nothing in this period.\n"),
            false => out.push_str(&format!("{table}\n")),
        }
        if left_out > 0 {
            out.push_str(&format!("\n{left_out} columns do not fit this terminal; --format csv has all."));
        }
        for note in &self.notes {
            out.push_str(&format!("\n{}", terminal_text(note)));
        }
        let has_amounts = self.report.columns.iter().any(|column| column.kind == Kind::Amount);
        if has_amounts && !self.report.rows.is_empty() {
            out.push_str("\nAmounts are rounded to 4 digits, so lines may not add; --format csv and json are exact.");
        }
        out.push('\n');
        out.into_bytes()
    }

    /// As CSV: a header and rows only.
    pub fn csv(&self) -> Vec<u8> {
        csv(&self.report)
    }

    /// As JSON, schema 1.
    pub fn json(&self) -> Vec<u8> {
        listing_json(&self.report, &self.notes)
    }
}

/// A text; nothing of an empty one.
pub(super) fn text(value: impl Into<String>) -> Cell {
    let value = value.into();
    if value.is_empty() { Cell::Missing } else { Cell::Text(value) }
}
