//! FOCUS: the charges of a month in the FinOps Open Cost and Usage Specification. Costs are exact; each is its unit price times
//! its quantity.

mod bill;
mod charge;
mod meta;
mod row;

pub use bill::{BilledFor, BilledShare};

use super::converted::Converter;
use super::days::Days;
use super::{Range, coverage};
use crate::model::{BillingPeriod, Booked, Conversion, Coverage, SessionRollup, Slot, Zone};
use charge::{Key, Measures, of_calls, of_line};
use std::collections::BTreeMap;

/// The version of the specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// 1.2.
    V1_2,
    /// 1.3: with the providers of service and host.
    V1_3,
}

impl Version {
    /// As the specification writes it.
    pub fn name(self) -> &'static str {
        match self {
            Version::V1_2 => "1.2",
            Version::V1_3 => "1.3",
        }
    }
}

/// Whose bills the channels are on, as far as the configuration tells.
#[derive(Debug, Clone, Default)]
pub struct Accounts {
    /// The organisation with the API keys.
    pub api_id: Option<String>,
    /// Its name.
    pub api_name: Option<String>,
    /// The ChatGPT workspace.
    pub chatgpt_id: Option<String>,
    /// Its name.
    pub chatgpt_name: Option<String>,
}

struct Account {
    id: String,
    name: String,
    kind: &'static str,
}

/// What an export says of how it was made.
#[derive(Debug)]
pub struct About {
    /// The version of the specification.
    pub version: Version,
    /// The month.
    pub period: BillingPeriod,
    /// Rows are by session.
    pub by_session: bool,
    /// `sealed` or `estimated`.
    pub status: &'static str,
    /// SHA-256 of the prices.
    pub price_book: String,
    /// SHA-256 of the rules on who pays.
    pub rules: String,
    /// The hash of the month's seal, if it is sealed.
    pub seal: Option<String>,
    /// Whose bills the channels are on.
    pub accounts: Accounts,
    /// Costs in another currency, in columns of ours.
    pub conversion: Option<Conversion>,
    /// What was billed for the month, by owner. All rows are held until the end if there is anything.
    pub billed: Vec<BilledShare>,
}

/// An export in the making.
pub struct Export<'a> {
    about: &'a About,
    rows: BTreeMap<Key, Measures>,
    days: Days,
    totals: meta::Totals,
    converter: Option<Converter>,
    coverage: Coverage,
}

impl<'a> Export<'a> {
    /// One with nothing in it yet.
    pub fn new(about: &'a About) -> Self {
        let days = Days::new(Range::of_period(about.period, Zone::UTC));
        let converter = about.conversion.clone().map(Converter::new);
        let (rows, totals, coverage) = Default::default();
        Export { about, rows, days, totals, converter, coverage }
    }

    /// The first record.
    pub fn header(&self) -> Vec<u8> {
        csv(std::iter::once(row::columns(self.about).into_iter().map(str::to_string).collect()))
    }

    /// Adds a session: its lines of the month, and its rollup, which has its tool calls. Returns the records that are whole by now.
    pub fn add(&mut self, session: &str, lines: &[Booked], rollup: &SessionRollup<'_>) -> Vec<u8> {
        let session = if self.about.by_session { session } else { "" };
        let rows = &mut self.rows;
        let mut add = |key: Key, measures: Measures| *rows.entry(key).or_default() += measures;
        lines.iter().for_each(|line| of_line(session, line, &mut add));
        for calls in rollup.tools.iter().filter(|row| self.days.has(row.slot)) {
            of_calls(session, calls, &rollup.keys[calls.keys as usize], &mut add);
        }
        coverage::add(&mut self.coverage, rollup, None, &mut self.days);
        if self.about.by_session && self.about.billed.is_empty() { self.take() } else { Vec::new() }
    }

    /// The records that were kept back until all sessions were added, and what the metadata say.
    pub fn finish(mut self) -> (Vec<u8>, Vec<u8>, Coverage) {
        bill::put(&mut self.rows, &self.about.billed);
        let records = self.take();
        let note = self.converter.map(Converter::note);
        let meta = meta::json(self.about, &self.totals, note.as_ref(), &self.coverage);
        (records, meta, self.coverage)
    }

    /// What differences of differences left without anything is no charge.
    fn take(&mut self) -> Vec<u8> {
        let rows = std::mem::take(&mut self.rows);
        let said = rows.into_iter().filter(|(_, measures)| *measures != Measures::default());
        csv(said.map(|(key, measures)| {
            self.totals.add(&key, &measures);
            if let Some(converter) = &mut self.converter {
                let sums = row::dollars(&key, &measures);
                converter.add(Slot::of(row::rate_day(self.about, &key).start()), &sums, &mut []);
            }
            row::record(self.about, &key, &measures).into_iter().map(|(_, field)| field.unwrap_or_default()).collect()
        }))
    }
}

fn csv(records: impl Iterator<Item = Vec<String>>) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    for record in records {
        // Writing to memory cannot fail.
        let written = writer.write_record(record);
        debug_assert!(written.is_ok());
    }
    writer.into_inner().unwrap_or_default()
}
