//! A report before it has a format: columns, rows, totals and coverage.

use super::Range;
use super::converted::CurrencyNote;
use crate::model::Coverage;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A grouping key or other text.
    Text,
    /// A whole number.
    Count,
    /// Pico-units of money.
    Amount,
}

/// A column. Names are those of the documentation and never change; columns are only ever appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name in CSV and JSON.
    pub name: &'static str,
    /// Its heading on a terminal; `None` leaves it out there.
    pub title: Option<&'static str>,
    /// What it holds.
    pub kind: Kind,
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// Not known or not applicable: empty in CSV, `null` in JSON, never 0.
    Missing,
    /// Text of foreign origin; formats make it safe.
    Text(String),
    /// A whole number.
    Count(i64),
    /// Pico-units.
    Amount(i128),
    /// Pico-units of whole cents, which are written with two digits.
    Cents(i128),
}

/// A report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// `daily`, `weekly`, `monthly` or `session`.
    pub name: &'static str,
    /// The days asked for.
    pub range: Range,
    /// The columns.
    pub columns: Vec<Column>,
    /// The rows, in order.
    pub rows: Vec<Vec<Cell>>,
    /// The totals by column; [`Cell::Missing`] where a total has no meaning.
    pub totals: Vec<Cell>,
    /// What must be known of the columns in another currency, if there are such.
    pub currency: Option<CurrencyNote>,
    /// How complete and certain it is.
    pub coverage: Coverage,
}
