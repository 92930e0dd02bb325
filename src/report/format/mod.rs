//! A report's bytes: table for people, CSV for spreadsheets, JSON for programs.

mod csv;
mod fit;
pub(super) mod json;
mod safe;
pub(super) mod table;

pub use csv::csv;
pub use json::{json, meta_json};
pub use safe::{csv_text, html_text, terminal_text};
pub use table::{PLAIN, amount, currency_notes, notes, rounded, table, thousands};
