//! What a report needs to know of a session: its lines and tool calls added up by quarter of an hour. A cache: made from facts
//! and lines, and never the source of anything.

use super::{Sums, ThreadId, Timestamp, TokenSums};
use serde::{Deserialize, Serialize};

/// A quarter of an hour since the Unix epoch. The days of every time zone begin with one (the offsets of all zones in use
/// since 1972 are whole quarters), so that rows by slot serve reports in any zone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Slot(i32);

impl Slot {
    const NANOS: i64 = 900_000_000_000;

    /// The slot that a moment falls in.
    pub fn of(time: Timestamp) -> Self {
        // An i64 of nanoseconds has some 20 million slots.
        Slot(i32::try_from(time.0.div_euclid(Self::NANOS)).unwrap_or(i32::MAX))
    }

    /// Its first moment.
    pub fn start(self) -> Timestamp {
        Timestamp(i64::from(self.0).saturating_mul(Self::NANOS))
    }
}

/// What lines and tool calls are grouped by, but for time, session and tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Keys<'a> {
    /// Team, cost centre, project, user, client, channel, model and tier.
    #[serde(borrow)]
    pub values: [&'a str; 8],
    /// `estimated` or `sealed`.
    pub status: &'a str,
    /// `usage` or `correction`.
    pub class: &'a str,
    /// The sealed month that a correction corrects, else empty.
    pub corrects: &'a str,
    /// How strong the reason for the team is, as in `declared`.
    pub strength: &'a str,
    /// The thread.
    pub thread: &'a str,
    /// What the thread is, as in `subagent`.
    pub kind: &'a str,
    /// The labels, as [`Labels`] writes them.
    pub labels: &'a str,
}

impl Keys<'_> {
    /// No source linked the thread to anything the user started when this was booked.
    pub fn is_auxiliary(&self) -> bool {
        self.kind == "auxiliary"
    }
}

/// Labels as one text, which keys can be compared by. Neither names nor values have control characters in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Labels;

impl Labels {
    const BETWEEN: [char; 2] = ['\u{1e}', '\u{1f}'];

    /// The text of labels.
    pub fn write<'l>(labels: impl Iterator<Item = (&'l String, &'l str)>) -> String {
        let [ends, parts] = Self::BETWEEN;
        labels.map(|(name, value)| format!("{name}{parts}{value}{ends}")).collect()
    }

    /// The value of a label in such a text.
    pub fn read<'l>(text: &'l str, name: &str) -> Option<&'l str> {
        Self::all(text).find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The labels in such a text: names and values.
    pub fn all(text: &str) -> impl Iterator<Item = (&str, &str)> {
        let [ends, parts] = Self::BETWEEN;
        text.split(ends).filter_map(move |label| label.split_once(parts))
    }
}

/// What requests of one model brought no usage.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnmeteredRow<'a> {
    /// The model; `unknown` if no source names it.
    pub model: &'a str,
    /// How many.
    pub attempts: i64,
    /// The tokens that those of them that failed named.
    pub named: i64,
}

/// The lines of one slot under the same keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageRow {
    /// When.
    pub slot: Slot,
    /// The index of their keys.
    pub keys: u32,
    /// How many; of a correction, how many more.
    pub responses: i64,
    /// Their tokens.
    pub tokens: TokenSums,
    /// Their amounts.
    pub sums: Sums,
    /// The tokens of those without a price.
    pub unpriced_tokens: i64,
}

/// The calls of one tool that ended in the same slot, after responses with the same keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolRow<'a> {
    /// When.
    pub slot: Slot,
    /// The index of the keys of the responses that made them.
    pub keys: u32,
    /// The tool.
    pub name: &'a str,
    /// How many; of a correction, how many more.
    pub calls: i64,
    /// Those that failed.
    pub failures: i64,
    /// Those of which no source says how they ended.
    pub unknown: i64,
    /// How long they took together, in milliseconds, as far as it is known.
    pub duration_ms: i64,
    /// Their fees, if they are calls of a hosted tool with a known one.
    pub fees_usd: Option<i128>,
    /// How many are calls of a hosted tool without a known fee.
    pub unpriced: i64,
}

/// The part of responses' tokens and amounts that is the share of the calls of one tool which they asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCostRow<'a> {
    /// When the responses were.
    pub slot: Slot,
    /// The index of their keys.
    pub keys: u32,
    /// The tool.
    pub name: &'a str,
    /// The part of their tokens.
    pub tokens: TokenSums,
    /// The part of their amounts.
    pub sums: Sums,
    /// The part of their tokens without a price.
    pub unpriced_tokens: i64,
}

/// What Codex said that a turn cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedRow {
    /// When its last response was.
    pub slot: Slot,
    /// The index of the keys of that response.
    pub keys: u32,
    /// The amount in pico-USD.
    pub reported_usd: i128,
    /// The list cost of the same turn, if all of its responses have one in USD.
    pub list_usd: Option<i128>,
}

/// Responses of one slot under the same keys that are equally certain and complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoverageRow {
    /// When.
    pub slot: Slot,
    /// The index of their keys.
    pub keys: u32,
    /// The index of what is true of each of them.
    pub traits: u32,
    /// How many; of a correction, how many more.
    pub responses: i64,
}

/// How certain and complete a response is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Traits<'a> {
    /// The sources that saw it, as in `hook+otlp`.
    pub evidence: &'a str,
    /// Why it has no price; empty if it has one or needs none.
    pub unpriced: &'a str,
    /// Its process said what its credential or the list of members contradicts.
    pub contradicted: bool,
    /// A custom provider, rated at OpenAI list.
    pub assumed_provider: bool,
    /// The price's guarantee had ended.
    pub stale: bool,
    /// The user's contract list has no price of it.
    pub uncontracted: bool,
    /// Sources disagree.
    pub conflict: bool,
    /// Two readings were possible.
    pub ambiguous: bool,
}

/// Turns that began in the same slot and whose responses are in the same rows: distinct counts stay exact under any grouping.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TurnRow {
    /// When they began; nothing if only their responses are known.
    pub started: Option<Slot>,
    /// How many of the session's turn places are theirs.
    pub places: u32,
    /// How many.
    pub turns: i64,
}

/// One session, or one auxiliary thread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRollup<'a> {
    /// Its id.
    pub session: &'a str,
    /// No source links it to anything the user started: no session, and no turns.
    pub auxiliary: bool,
    /// The first moment seen.
    pub started: Timestamp,
    /// The last moment seen.
    pub ended: Timestamp,
    /// Team, cost centre, project and user, as at the first moment.
    #[serde(borrow)]
    pub owner: [&'a str; 4],
    /// The program the user started.
    pub client: &'a str,
    /// The session it was forked from, else empty.
    pub forked_from: &'a str,
    /// When what has no time of its own is counted: where it began, or in the first open month if that was closed without it.
    pub counted: Slot,
    /// How many prompts the user sent.
    pub prompts: i64,
    /// Requests that the API refused.
    pub api_errors: i64,
    /// Requests that brought no usage.
    pub unmetered_attempts: i64,
    /// The same by model.
    #[serde(borrow)]
    pub unmetered: Vec<UnmeteredRow<'a>>,
    /// Records whose tokens cannot be true.
    pub quarantined: i64,
    /// The keys that its rows name by their index.
    #[serde(borrow)]
    pub keys: Vec<Keys<'a>>,
    /// Its lines, by slot and keys.
    pub usage: Vec<UsageRow>,
    /// How certain and complete responses are, as coverage rows name it by its index.
    #[serde(borrow)]
    pub traits: Vec<Traits<'a>>,
    /// The same responses, by slot, keys and traits.
    pub coverage: Vec<CoverageRow>,
    /// Its turns.
    pub turns: Vec<TurnRow>,
    /// The indexes of the usage rows with the turns' responses: first those of the first of `turns`, and so on.
    pub turn_places: Vec<u32>,
    /// Its tool calls, by slot, keys and name.
    #[serde(borrow)]
    pub tools: Vec<ToolRow<'a>>,
    /// What Codex said that its turns cost.
    pub reported: Vec<ReportedRow>,
    /// Which part of its lines is the cost of tools, by slot, keys and name. Few reports ask: it is encoded behind all else.
    #[serde(skip)]
    pub tool_costs: Vec<ToolCostRow<'a>>,
}

impl<'a> SessionRollup<'a> {
    /// As bytes, for a cache of this version of the program.
    ///
    /// # Errors
    /// None of these types can fail to be written.
    pub fn encode(&self) -> Result<Vec<u8>, postcard::Error> {
        postcard::to_extend(&self.tool_costs, postcard::to_stdvec(self)?)
    }

    /// From the bytes of [`SessionRollup::encode`]; nothing if they are not such bytes. Indexes are those of what is there.
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (mut made, rest) = Self::decode_first(bytes)?;
        made.tool_costs = postcard::from_bytes(rest).ok()?;
        made.tool_costs.iter().all(|r| (r.keys as usize) < made.keys.len()).then_some(made)
    }

    /// The same without the cost of tools.
    pub fn decode_without_tool_costs(bytes: &'a [u8]) -> Option<Self> {
        Some(Self::decode_first(bytes)?.0)
    }

    fn decode_first(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (made, rest): (Self, _) = postcard::take_from_bytes(bytes).ok()?;
        let keys = made.usage.iter().map(|r| r.keys).chain(made.tools.iter().map(|r| r.keys));
        let keys = keys.chain(made.coverage.iter().map(|r| r.keys));
        let mut keys = keys.chain(made.reported.iter().map(|r| r.keys));
        let places: usize = made.turns.iter().map(|t| t.places as usize).sum();
        let mut traits = made.coverage.iter().map(|r| r.traits);
        let whole = keys.all(|k| (k as usize) < made.keys.len())
            && made.turn_places.iter().all(|r| (*r as usize) < made.usage.len())
            && places == made.turn_places.len()
            && traits.all(|t| (t as usize) < made.traits.len());
        whole.then_some((made, rest))
    }

    /// Its turns, each with the indexes of the usage rows with their responses, ascending.
    pub fn turns(&self) -> impl Iterator<Item = (&TurnRow, &[u32])> {
        let mut rest = self.turn_places.as_slice();
        self.turns.iter().map(move |turn| {
            let (places, behind) = rest.split_at((turn.places as usize).min(rest.len()));
            rest = behind;
            (turn, places)
        })
    }

    /// The first and the last slot that has anything of it.
    pub fn span(&self) -> (Slot, Slot) {
        let slots = self.usage.iter().map(|r| r.slot).chain(self.tools.iter().map(|r| r.slot));
        let slots =
            slots.chain(self.turns.iter().filter_map(|t| t.started)).chain(self.reported.iter().map(|r| r.slot));
        let began = self.counted;
        slots.fold((began, began), |(first, last), slot| (first.min(slot), last.max(slot)))
    }
}

/// A session's rollup as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollup {
    /// The session.
    pub session: ThreadId,
    /// Its threads.
    pub threads: Vec<ThreadId>,
    /// Whether nothing links it to what a user started.
    pub auxiliary: bool,
    /// When it began.
    pub started: Timestamp,
    /// The first and the last slot that has anything of it.
    pub span: (Slot, Slot),
    /// The encoded [`SessionRollup`].
    pub bytes: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_quarters_of_an_hour() {
        let at = |text: &str| Slot::of(Timestamp::parse_rfc3339(text).unwrap());
        assert_eq!(at("2026-11-21T10:14:59.999Z"), at("2026-11-21T10:00:00Z"));
        assert_eq!(at("2026-11-21T10:15:00Z").start().to_rfc3339(), "2026-11-21T10:15:00.000Z");
        for time in [i64::MIN, -1, 0, i64::MAX] {
            let start = Slot::of(Timestamp(time)).start();
            assert!(start.0 <= time && start.distance(Timestamp(time)) < Slot::NANOS as u64, "{time}");
        }
    }
}
