//! CSV (RFC 4180): a header and rows only, safe for spreadsheets. What is missing is an empty field.

use super::csv_text;
use crate::model::{format_cents, format_pico};
use crate::report::{Cell, Report};

/// The report as CSV. Totals and coverage are not part of it; see [`super::meta_json`].
pub fn csv(report: &Report) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    // Writing to memory cannot fail, and all records have as many fields as the header.
    let header = writer.write_record(report.columns.iter().map(|c| c.name));
    debug_assert!(header.is_ok());
    for row in &report.rows {
        let written = writer.write_record(row.iter().map(field));
        debug_assert!(written.is_ok());
    }
    writer.into_inner().unwrap_or_default()
}

fn field(cell: &Cell) -> String {
    match cell {
        Cell::Missing => String::new(),
        Cell::Text(text) => csv_text(text),
        Cell::Count(n) => n.to_string(),
        Cell::Amount(pico) => format_pico(*pico),
        Cell::Cents(pico) => format_cents(*pico),
    }
}
