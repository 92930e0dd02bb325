//! Billing exports and invoices to charges: pages of the organisation's Usage and Costs APIs, the usage export of a ChatGPT
//! workspace (JSON and CSV), and our own CSV of invoice rows. A file is read whole or not at all.

mod invoice;
mod pages;
mod table;
#[cfg(test)]
mod tests;
mod wire;
mod workspace;

use crate::model::{BillingSource, Charge, Covered};
use std::collections::BTreeMap;
use std::fmt;

/// How many rows that cannot be read are named.
const NAMED: usize = 10;

/// What to read.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The content.
    pub bytes: &'a [u8],
    /// Its SHA-256 in hexadecimal digits.
    pub sha256: &'a str,
    /// The account that is billed, if the user says so; else what the file says, else `openai` or `chatgpt`.
    pub account: Option<&'a str>,
}

/// What a file has.
#[derive(Debug, Default)]
pub struct Read {
    /// Its rows.
    pub charges: Vec<Charge>,
    /// What it tells of.
    pub covers: Vec<Covered>,
    /// Fields that were not read, with how often each is there.
    pub ignored: BTreeMap<String, u64>,
    /// The last page says that there are more.
    pub has_more: bool,
}

/// Why a file was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(pub String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// Reads a file of any of the kinds.
///
/// # Errors
/// It is of no kind that is known, or a row cannot be read: then none is.
pub fn read(input: Input<'_>) -> Result<Read, Refused> {
    let text = std::str::from_utf8(input.bytes).map_err(|_| Refused("it is not text in UTF-8".to_string()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut made = match text.trim_start().chars().next() {
        None => return Err(Refused("it is empty".to_string())),
        Some('{' | '[') => pages::read(text, &input)?,
        Some(_) => table::read(text, &input)?,
    };
    no_row_twice(&made.charges)?;
    made.covers = joined(made.covers);
    Ok(made)
}

/// Rows that cannot be read, as they are met.
#[derive(Debug, Default)]
struct Problems {
    named: Vec<String>,
    all: usize,
}

impl Problems {
    fn add(&mut self, place: &str, problem: &str) {
        self.all += 1;
        if self.named.len() < NAMED {
            self.named.push(format!("{place}: {problem}"));
        }
    }

    fn none(self) -> Result<(), Refused> {
        if self.all == 0 {
            return Ok(());
        }
        let more = self.all - self.named.len();
        let more = if more > 0 { format!("\n{more} more rows cannot be read") } else { String::new() };
        Err(Refused(format!(
            "{}{more}\nnothing was imported: correct these rows, or export again",
            self.named.join("\n")
        )))
    }
}

/// Two rows of one file that are told apart by nothing would be added or replaced by guess.
fn no_row_twice(charges: &[Charge]) -> Result<(), Refused> {
    let mut seen = BTreeMap::new();
    let mut problems = Problems::default();
    for charge in charges {
        let (source, account, invoice, start, end, key) = charge.id();
        // A line of an invoice is one, whatever its days are.
        let time = invoice.is_empty().then_some((start, end));
        let first = *seen.entry((source, account, invoice, time, key)).or_insert(charge.origin.row);
        if first != charge.origin.row {
            let what = format!("row {first} is the same one (time and keys, or invoice and line); one is too many");
            problems.add(&format!("row {}", charge.origin.row), &what);
        }
    }
    problems.none()
}

/// Neighbouring times put together. A workspace's export has no rows of days on which nobody did anything: between its first
/// and its last day it tells of all.
fn joined(mut covers: Vec<Covered>) -> Vec<Covered> {
    covers.sort();
    covers.dedup();
    let mut all: Vec<Covered> = Vec::new();
    for next in covers {
        match all.last_mut() {
            Some(last)
                if (last.source, &last.account, &last.invoice) == (next.source, &next.account, &next.invoice)
                    && (next.start <= last.end || next.source == BillingSource::Workspace) =>
            {
                last.end = last.end.max(next.end);
            }
            _ => all.push(next),
        }
    }
    all
}
