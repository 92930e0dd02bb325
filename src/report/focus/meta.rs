//! What stands beside the rows: how they were made, what they add up to, what they do not say.

use super::About;
use super::charge::{Basis, Key, Kind, Measures, TOKENS};
use crate::model::{Coverage, format_pico};
use crate::report::CurrencyNote;
use crate::report::format::json::{CoverageJson, CurrencyJson};
use serde::Serialize;
use std::collections::BTreeMap;

/// Sums over all rows, by the names of the monthly report.
#[derive(Debug, Default)]
pub(super) struct Totals {
    rows: u64,
    corrections: u64,
    adjustments: u64,
    unpriced_rows: u64,
    counts: BTreeMap<&'static str, i128>,
    amounts: BTreeMap<&'static str, i128>,
    /// By currency.
    billed: BTreeMap<String, i128>,
}

const COUNTS: [&str; TOKENS.len()] =
    ["uncached_input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens"];

impl Totals {
    pub fn add(&mut self, key: &Key, m: &Measures) {
        self.rows += 1;
        self.corrections += u64::from(key.corrects.is_some());
        self.adjustments += u64::from(key.corrects.is_none() && key.kind.is_amount());
        self.unpriced_rows += u64::from(key.basis == Basis::Unpriced);
        let mut count = |name, n| *self.counts.entry(name).or_default() += n;
        if let Kind::Tokens(kind) = key.kind {
            count(COUNTS[kind], m.consumed);
            count("reasoning_tokens", m.reasoning);
        }
        count("unpriced_tokens", m.unpriced);
        if key.basis == Basis::Unpriced && key.kind.tool().is_some() {
            count("unpriced_tool_calls", m.consumed);
        }
        let mut amount = |name, pico| *self.amounts.entry(name).or_default() += pico;
        if key.is_covered {
            *self.billed.entry(key.currency.clone()).or_default() += m.billed;
        }
        match key.basis {
            Basis::Billed => {}
            Basis::Credits => amount("chatgpt_credits", m.list),
            _ if key.kind.tool().is_some() => amount("tool_fees_usd", m.list),
            _ => amount("list_usd", m.list),
        }
        if key.by_contract {
            amount("contract_usd", m.contracted);
        }
    }
}

#[derive(Serialize)]
struct Meta<'a> {
    schema: u32,
    report: &'a str,
    focus_version: &'a str,
    program: &'a str,
    period: String,
    since: String,
    until: String,
    tz: &'a str,
    by_session: bool,
    status: &'a str,
    seal: Option<&'a str>,
    price_book_sha256: &'a str,
    rules_sha256: &'a str,
    rows: u64,
    correction_rows: u64,
    adjustment_rows: u64,
    unpriced_rows: u64,
    totals: BTreeMap<&'a str, String>,
    billed: BTreeMap<&'a str, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<CurrencyJson<'a>>,
    coverage: CoverageJson<'a>,
}

/// The metadata. They have no date of their making, so that the same month gives the same bytes.
pub(super) fn json(about: &About, totals: &Totals, currency: Option<&CurrencyNote>, coverage: &Coverage) -> Vec<u8> {
    let counts = totals.counts.iter().map(|(name, n)| (*name, n.to_string()));
    let amounts = totals.amounts.iter().map(|(name, pico)| (*name, format_pico(*pico)));
    let meta = Meta {
        schema: 1,
        report: "focus",
        focus_version: about.version.name(),
        program: concat!("codex-tally ", env!("CARGO_PKG_VERSION")),
        period: about.period.to_string(),
        since: about.period.first_day().to_string(),
        until: about.period.last_day().to_string(),
        tz: "UTC",
        by_session: about.by_session,
        status: about.status,
        seal: about.seal.as_deref(),
        price_book_sha256: &about.price_book,
        rules_sha256: &about.rules,
        rows: totals.rows,
        correction_rows: totals.corrections,
        adjustment_rows: totals.adjustments,
        unpriced_rows: totals.unpriced_rows,
        totals: counts.chain(amounts).collect(),
        billed: totals.billed.iter().map(|(currency, pico)| (currency.as_str(), format_pico(*pico))).collect(),
        currency: currency.map(CurrencyJson),
        coverage: CoverageJson { coverage, unreadable: false },
    };
    // Only strings, integers and maps with string keys are written, which cannot fail.
    let mut bytes = serde_json::to_vec_pretty(&meta).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}
