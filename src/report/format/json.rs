//! JSON, schema 1: token counts are integers, amounts are strings with exactly 12 decimals, what is missing is `null`.

use crate::model::{Cost, Coverage, Day, Sums, USD, format_cents, format_pico};
use crate::report::{Cell, Column, CurrencyNote, Range, Report};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use std::collections::BTreeMap;

/// The whole report.
pub fn json(report: &Report) -> Vec<u8> {
    bytes(&Document { report, rows: true })
}

/// Totals and coverage without the rows: what stands beside a CSV.
pub fn meta_json(report: &Report) -> Vec<u8> {
    bytes(&Document { report, rows: false })
}

/// Rows with what must be known of them, where neither totals nor coverage are those of responses.
pub(in crate::report) fn listing_json(report: &Report, notes: &[String]) -> Vec<u8> {
    bytes(&Listing { report, notes })
}

struct Listing<'a> {
    report: &'a Report,
    notes: &'a [String],
}

impl Serialize for Listing<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("schema", &1)?;
        map.serialize_entry("report", self.report.name)?;
        map.serialize_entry("period", &Period(self.report.range))?;
        map.serialize_entry("rows", &Rows(self.report))?;
        map.serialize_entry("notes", self.notes)?;
        map.end()
    }
}

fn bytes(document: &impl Serialize) -> Vec<u8> {
    // Only strings, integers and maps with string keys are written, which cannot fail.
    let mut bytes = serde_json::to_vec_pretty(document).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

struct Document<'a> {
    report: &'a Report,
    rows: bool,
}

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let r = self.report;
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("schema", &1)?;
        map.serialize_entry("report", r.name)?;
        map.serialize_entry("period", &Period(r.range))?;
        if self.rows {
            map.serialize_entry("rows", &Rows(r))?;
        }
        map.serialize_entry("totals", &Row { columns: &r.columns, cells: &r.totals, skip_missing_text: true })?;
        if let Some(note) = &r.currency {
            map.serialize_entry("currency", &CurrencyJson(note))?;
        }
        map.serialize_entry("coverage", &CoverageJson { coverage: &r.coverage, unreadable: true })?;
        map.end()
    }
}

/// The rates behind the columns of another currency.
pub(in crate::report) struct CurrencyJson<'a>(pub &'a CurrencyNote);

impl Serialize for CurrencyJson<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let rate = |(day, rate, source): &(Day, String, String)| {
            BTreeMap::from([("valid_from", day.to_string()), ("rate", rate.clone()), ("source", source.clone())])
        };
        let missing: Vec<String> = self.0.missing.iter().map(Day::to_string).collect();
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("from", USD)?;
        map.serialize_entry("to", &self.0.code)?;
        map.serialize_entry("rates", &self.0.used.iter().map(rate).collect::<Vec<_>>())?;
        map.serialize_entry("days_without_rate", &missing)?;
        map.end()
    }
}

struct Period(Range);

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(Some(3))?;
        map.serialize_entry("since", &self.0.since.map(|d| d.to_string()))?;
        map.serialize_entry("until", &self.0.until.map(|d| d.to_string()))?;
        map.serialize_entry("tz", &self.0.zone.to_string())?;
        map.end()
    }
}

struct Rows<'a>(&'a Report);

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut seq = s.serialize_seq(Some(self.0.rows.len()))?;
        for cells in &self.0.rows {
            seq.serialize_element(&Row { columns: &self.0.columns, cells, skip_missing_text: false })?;
        }
        seq.end()
    }
}

/// The cells of a row by the names of their columns.
pub(in crate::report) struct Row<'a> {
    pub columns: &'a [Column],
    pub cells: &'a [Cell],
    /// Totals have no grouping keys.
    pub skip_missing_text: bool,
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        for (column, cell) in self.columns.iter().zip(self.cells) {
            let key = column.name;
            match cell {
                Cell::Missing if self.skip_missing_text && column.kind != crate::report::Kind::Amount => {}
                Cell::Missing => map.serialize_entry(key, &None::<&str>)?,
                Cell::Text(text) => map.serialize_entry(key, text)?,
                Cell::Count(n) => map.serialize_entry(key, n)?,
                Cell::Amount(pico) => map.serialize_entry(key, &format_pico(*pico))?,
                Cell::Cents(pico) => map.serialize_entry(key, &format_cents(*pico))?,
            }
        }
        map.end()
    }
}

/// Costs by a name, the amounts that there are of each.
struct Costs<'a>(&'a BTreeMap<String, Cost>);

impl Serialize for Costs<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(self.0.iter().map(|(name, cost)| (name, CostJson(cost))))
    }
}

struct CostJson<'a>(&'a Cost);

impl Serialize for CostJson<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("responses", &self.0.responses)?;
        map.serialize_entry("total_tokens", &self.0.tokens)?;
        map.serialize_entry("unpriced_tokens", &self.0.unpriced_tokens)?;
        for (name, sum) in Sums::NAMES.into_iter().zip(self.0.sums.all()) {
            map.serialize_entry(name, &sum.map(format_pico))?;
        }
        map.end()
    }
}

/// How complete and certain something is.
pub(in crate::report) struct CoverageJson<'a> {
    pub coverage: &'a Coverage,
    /// With what could not be read, which is of the whole store and not of any days.
    pub unreadable: bool,
}

impl Serialize for CoverageJson<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let c = self.coverage;
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("responses_by_source", &c.responses_by_source)?;
        map.serialize_entry("unmetered_attempts", &c.unmetered_attempts)?;
        map.serialize_entry("unmetered_by_model", &c.unmetered_by_model)?;
        map.serialize_entry("unpriced_responses", &c.unpriced_responses)?;
        map.serialize_entry("unpriced_reasons", &c.unpriced_reasons)?;
        map.serialize_entry("unattributed_responses", &c.unattributed_responses)?;
        map.serialize_entry("responses_by_team_strength", &c.responses_by_team_strength)?;
        map.serialize_entry("cost_by_team_strength", &Costs(&c.cost_by_team_strength))?;
        map.serialize_entry("contradicted_responses", &c.contradicted_responses)?;
        map.serialize_entry("assumed_provider", &c.assumed_provider)?;
        map.serialize_entry("stale_price", &c.stale_price)?;
        map.serialize_entry("uncontracted_responses", &c.uncontracted_responses)?;
        map.serialize_entry("unpriced_tool_calls", &c.unpriced_tool_calls)?;
        map.serialize_entry("conflicts", &c.conflicts)?;
        map.serialize_entry("ambiguous", &c.ambiguous)?;
        map.serialize_entry("quarantined", &c.quarantined)?;
        if self.unreadable {
            map.serialize_entry("unreadable", &c.unreadable)?;
        }
        map.end()
    }
}
