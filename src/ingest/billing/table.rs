//! CSV files: which kind one is, and its rows with the numbers of their lines.

use super::{Input, Problems, Read, Refused, invoice, workspace};
use crate::model::{Charge, Covered};

/// Reads a CSV.
pub(super) fn read(text: &str, input: &Input<'_>) -> Result<Read, Refused> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(true).from_reader(text.as_bytes());
    let heading = reader.headers().map_err(|e| Refused(format!("line 1: {e}")))?.clone();
    let names: Vec<String> = heading.iter().map(|name| name.to_ascii_lowercase().replace([' ', '-'], "_")).collect();
    let header: Vec<&str> = names.iter().map(String::as_str).collect();
    let is_invoice = invoice::is_table(&header);
    if is_invoice {
        invoice::check(&header).map_err(|e| Refused(format!("line 1: {e}")))?;
    } else if !workspace::is_table(&header) {
        return Err(Refused(
            "line 1: neither the columns of an invoice (invoice, line, kind, from, to, ...) nor of a workspace's usage (date, \
             email or user_id, credits, ...); docs/billing.md has both"
                .to_string(),
        ));
    }
    let (mut made, mut problems) = (Read::default(), Problems::default());
    for record in reader.into_records() {
        let record = record.map_err(|e| Refused(e.to_string()))?;
        // The reader counts lines from 1 on and passes over empty ones.
        let line = record.position().map_or(0, csv::Position::line);
        let values: Vec<&str> = record.iter().collect();
        let charge = if values.len() != header.len() {
            Err(format!("{} fields, but the heading has {}", values.len(), header.len()))
        } else if is_invoice {
            invoice::row(&header, &values, line, input)
        } else {
            workspace::row(&header, &values, line, input, &mut made.ignored)
        };
        match charge {
            Err(e) => problems.add(&format!("line {line}"), &e),
            Ok(charge) => made.charges.push(charge),
        }
    }
    problems.none()?;
    invoice::settle(&mut made.charges);
    let covered = |charge: &Charge| {
        let (start, end) = if is_invoice { invoice::ALWAYS } else { (charge.start, charge.end) };
        Covered { source: charge.source, account: charge.account.clone(), invoice: charge.invoice.clone(), start, end }
    };
    made.covers = made.charges.iter().map(covered).collect();
    Ok(made)
}
