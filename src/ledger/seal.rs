//! The artifact of a sealed month: its lines as CSV, and what `seal.json` says of them. Made from what is stored of each session,
//! in the order of sessions, so that anybody can make it again and compare.

use crate::model::{
    BillingPeriod, Booked, BookedDetail, CENT, Channel, SealedSession, SessionRollup, Sums, TokenSums, format_cents,
    format_pico, largest_remainder,
};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The columns of `lines.csv`.
pub const COLUMNS: [&str; 38] = [
    "line",
    "session_id",
    "thread_id",
    "turn_id",
    "response_id",
    "time",
    "class",
    "of_period",
    "reason",
    "team",
    "cost_centre",
    "project",
    "user",
    "client",
    "channel",
    "model",
    "tier",
    "team_why",
    "evidence",
    "responses",
    "input_tokens",
    "uncached_input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "list_usd",
    "chatgpt_credits",
    "api_equivalent_usd",
    "contract_usd",
    "tool_fees_usd",
    "reported_usd",
    "reported_list_usd",
    "unpriced_tokens",
    "unpriced",
    "team_strength",
    "thread_kind",
    "price",
];

/// A line of `lines.csv`, as fields; foreign text is as it is, whoever shows it makes it safe.
pub fn fields(session: &str, b: &Booked) -> Vec<String> {
    let mut all: Vec<String> = [&b.line, session, &b.thread, &b.turn, &b.response].map(str::to_string).into();
    all.extend([b.time.to_rfc3339(), b.class.clone(), b.of.to_string(), b.reason.clone()]);
    all.extend(b.values.iter().cloned());
    all.extend([b.team_why.clone(), b.evidence.clone()]);
    let t = &b.tokens;
    let counts = [b.responses, t.input, t.uncached_input(), t.cached_input, t.cache_write, t.output, t.reasoning];
    all.extend(counts.map(|n| n.to_string()));
    all.extend(b.sums.all().map(|sum| sum.map(format_pico).unwrap_or_default()));
    all.extend([b.unpriced_tokens.to_string(), b.unpriced.clone()]);
    all.extend([b.team_strength.clone(), b.thread_kind.clone(), b.price.clone()]);
    all
}

/// What a seal is made with, besides its lines.
#[derive(Debug, Clone)]
pub struct Head {
    /// The month.
    pub period: BillingPeriod,
    /// The hash of the price book.
    pub price_book: String,
    /// The hash of rules, settings and program.
    pub rules: String,
    /// The last seal before it, with its hash.
    pub previous: Option<(BillingPeriod, String)>,
}

/// A seal in the making.
pub struct Sealing {
    schema: u64,
    lines: Sha256,
    parts: Sha256,
    /// Nothing where no line has any: seals that came before them.
    details: Option<Sha256>,
    count: u64,
    sessions: u64,
    responses: i64,
    corrections: u64,
    tokens: TokenSums,
    unpriced_tokens: i64,
    total: Sums,
    /// By team, cost centre and channel.
    owners: BTreeMap<[String; 3], Sums>,
}

impl Sealing {
    /// How seals are made now. Those of schema 1 had no fees of tools in their sums.
    pub const SCHEMA: u64 = 2;

    /// One with nothing in it, of this or an earlier schema.
    pub fn of(schema: u64) -> Self {
        let mut lines = Sha256::new();
        lines.update(record(&COLUMNS.map(str::to_string)));
        Sealing {
            schema,
            lines,
            parts: Sha256::new(),
            details: None,
            count: 0,
            sessions: 0,
            responses: 0,
            corrections: 0,
            tokens: TokenSums::default(),
            unpriced_tokens: 0,
            total: Sums::default(),
            owners: BTreeMap::new(),
        }
    }

    /// Adds a session; sessions come in the order of their ids. Returns its lines as CSV.
    pub fn add(&mut self, session: &SealedSession) -> Vec<u8> {
        let mut csv = Vec::new();
        for line in &session.lines {
            csv.extend(record(&fields(session.session.as_str(), line)));
            if line.detail != BookedDetail::default() {
                let details = self.details.get_or_insert_default();
                details.update(format!("{} {} ", session.session, line.line));
                // Only strings, numbers and maps with string keys are written, which cannot fail.
                details.update(serde_json::to_vec(&line.detail).unwrap_or_default());
            }
            self.count += 1;
            self.responses += line.responses;
            self.corrections += u64::from(!line.reason.is_empty());
            self.tokens += line.tokens;
            self.unpriced_tokens += line.unpriced_tokens;
            self.add_sums(line.values.each_ref().map(String::as_str), line.sums);
        }
        // Fees are of calls, and so of no line. What is damaged is told by the hash of all parts.
        let part = SessionRollup::decode_without_tool_costs(&session.part).filter(|_| self.schema > 1);
        for row in part.iter().flat_map(|part| &part.tools).filter(|row| row.fees_usd.is_some()) {
            let values = part.as_ref().and_then(|part| part.keys.get(row.keys as usize)).map(|keys| keys.values);
            let fees = Sums { tool_fees_usd: row.fees_usd, ..Sums::default() };
            self.add_sums(values.unwrap_or_default(), fees);
        }
        self.sessions += 1;
        self.lines.update(&csv);
        self.parts.update((session.part.len() as u64).to_be_bytes());
        self.parts.update(&session.part);
        csv
    }

    fn add_sums(&mut self, [team, cost_centre, _, _, _, channel, ..]: [&str; 8], sums: Sums) {
        self.total += sums;
        *self.owners.entry([team, cost_centre, channel].map(str::to_string)).or_default() += sums;
    }

    /// The first record of the CSV.
    pub fn header() -> Vec<u8> {
        record(&COLUMNS.map(str::to_string))
    }

    /// `seal.json`.
    pub fn finish(self, head: &Head) -> Vec<u8> {
        let t = &self.tokens;
        let previous =
            head.previous.as_ref().map(|(period, hash)| json!({"period": period.to_string(), "sha256": hash}));
        let mut seal = json!({
            "schema": self.schema,
            "period": head.period.to_string(),
            "program": concat!("codex-tally ", env!("CARGO_PKG_VERSION")),
            "lines": self.count,
            "corrections": self.corrections,
            "sessions": self.sessions,
            "responses": self.responses,
            "tokens": {
                "input_tokens": t.input,
                "cached_input_tokens": t.cached_input,
                "cache_write_tokens": t.cache_write,
                "output_tokens": t.output,
                "reasoning_tokens": t.reasoning,
                "unpriced_tokens": self.unpriced_tokens,
            },
            "totals": amounts(&self.total),
            "owners": owners(&self.owners),
            "sha256": {
                "lines.csv": hex(self.lines),
                "rollups": hex(self.parts),
                "price_book": head.price_book,
                "rules": head.rules,
            },
            "previous": previous,
        });
        if let Some(details) = self.details {
            seal["sha256"]["details"] = hex(details).into();
        }
        let mut bytes = serde_json::to_vec_pretty(&seal).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

fn amounts(sums: &Sums) -> Map<String, Value> {
    let of = |(name, sum): (&str, Option<i128>)| sum.map(|sum| (name.to_string(), format_pico(sum).into()));
    Sums::NAMES.into_iter().zip(sums.all()).filter_map(of).collect()
}

/// Each owner's exact amounts, and what is booked of them in cents: these add up to the total in cents.
fn owners(owners: &BTreeMap<[String; 3], Sums>) -> Vec<Value> {
    let mut booked: Vec<Map<String, Value>> = vec![Map::new(); owners.len()];
    for (at, name) in Sums::NAMES.into_iter().enumerate() {
        let of: Vec<(usize, i128)> =
            owners.values().enumerate().filter_map(|(i, sums)| Some((i, sums.all()[at]?))).collect();
        let exact: Vec<i128> = of.iter().map(|(_, sum)| *sum).collect();
        for ((i, _), cents) in of.iter().zip(largest_remainder(&exact, CENT)) {
            booked[*i].insert(name.to_string(), format_cents(cents).into());
        }
    }
    let owner = |(([team, cost_centre, channel], sums), booked): ((&[String; 3], &Sums), Map<String, Value>)| {
        let basis = if channel == Channel::Chatgpt.name() { "CREDIT" } else { "USD" };
        json!({"team": team, "cost_centre": cost_centre, "channel": channel, "unit": basis, "exact": amounts(sums), "booked": booked})
    };
    owners.iter().zip(booked).map(owner).collect()
}

fn record(fields: &[String]) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    // Writing to memory cannot fail.
    let written = writer.write_record(fields);
    debug_assert!(written.is_ok());
    writer.into_inner().unwrap_or_default()
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

/// The hash of a seal, which the next one names.
pub fn hash(json: &[u8]) -> String {
    hex(Sha256::new_with_prefix(json))
}
