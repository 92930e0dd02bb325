//! Facts: what happened, each thing once, derived from all observations of a session.

use super::{Channel, Key, Owner, ServiceTier, SourceKind, Sums, ThreadId, Timestamp, TokenUsage};
use std::collections::BTreeMap;

/// Which sources saw a fact.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Evidence {
    /// A hook did.
    pub hook: bool,
    /// An OTLP record did.
    pub otlp: bool,
    /// A transcript line did.
    pub transcript: bool,
}

impl Evidence {
    /// Evidence of a single source.
    pub fn of(source: SourceKind) -> Self {
        let mut e = Evidence::default();
        e.add(source);
        e
    }

    /// Adds a source.
    pub fn add(&mut self, source: SourceKind) {
        match source {
            SourceKind::Hook => self.hook = true,
            SourceKind::Otlp => self.otlp = true,
            SourceKind::Transcript => self.transcript = true,
        }
    }

    /// The name in reports, for example `hook+otlp+transcript`.
    pub fn name(self) -> String {
        let all = [(self.hook, "hook"), (self.otlp, "otlp"), (self.transcript, "transcript")];
        all.iter().filter(|(seen, _)| *seen).map(|(_, name)| *name).collect::<Vec<_>>().join("+")
    }
}

/// One model response: the billed unit.
#[derive(Debug, Clone, PartialEq)]
pub struct ResponseFact {
    /// The conversation.
    pub thread: ThreadId,
    /// The session it belongs to (its root thread).
    pub session: ThreadId,
    /// The turn, if any source knows it.
    pub turn: Option<String>,
    /// The response id, if the transcript knows it.
    pub response_id: Option<String>,
    /// When it was complete.
    pub time: Timestamp,
    /// Its tokens.
    pub usage: TokenUsage,
    /// The requested model.
    pub model: Option<String>,
    /// The requested tier.
    pub tier: ServiceTier,
    /// The reasoning effort.
    pub effort: Option<String>,
    /// How it is billed.
    pub channel: Channel,
    /// Why we say so.
    pub channel_why: String,
    /// The provider is a custom one of which nothing is known but its name; rated at OpenAI list.
    pub assumed_provider: bool,
    /// Who saw it.
    pub evidence: Evidence,
    /// Two readings were possible (a hook registered twice, or equal responses close together).
    pub ambiguous: bool,
    /// Sources disagree about its tokens, model or tier under the same key.
    pub conflict: bool,
    /// Who pays.
    pub owner: Owner,
    /// The teams that share its cost, with their weights; empty if it is one team's.
    pub shares: Vec<(String, u64)>,
    /// The program the user started (`originator`).
    pub client: String,
    /// The thread is not linked to any session (title requests).
    pub auxiliary: bool,
    /// What its thread is: `root`, `subagent`, `review`, `guardian` or `auxiliary`.
    pub kind: &'static str,
    /// The keys of the observations that tell of it, the best source's first.
    pub keys: Vec<Key>,
}

impl ResponseFact {
    /// A short name by which it can be asked for: unique in its thread, and the same as long as its best source is.
    pub fn line_id(&self) -> String {
        self.keys.first().map(Key::short).unwrap_or_default()
    }
}

/// How a tool call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// It did what it was asked.
    Success,
    /// It failed, or the command's exit code was not 0.
    Failure,
    /// No source says (a command without its exit code).
    Unknown,
}

impl Outcome {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Success => "success",
            Outcome::Failure => "failure",
            Outcome::Unknown => "unknown",
        }
    }
}

/// One tool call.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCallFact {
    /// The conversation.
    pub thread: ThreadId,
    /// Its session.
    pub session: ThreadId,
    /// The call's id.
    pub call_id: String,
    /// The turn, if any source knows it.
    pub turn: Option<String>,
    /// The name as the user knows it.
    pub name: String,
    /// The agent that made it: `/root`, or the subagent's path or nickname.
    pub agent: String,
    /// When it ended, or the closest moment that is known.
    pub time: Timestamp,
    /// How long it took.
    pub duration_ms: Option<u64>,
    /// How it ended.
    pub outcome: Outcome,
    /// The exit code of a command.
    pub exit_code: Option<i64>,
    /// Who saw it.
    pub evidence: Evidence,
}

/// One turn of a thread.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnFact {
    /// The conversation.
    pub thread: ThreadId,
    /// Its id.
    pub turn: String,
    /// When it began.
    pub started: Timestamp,
    /// How long it took, if it has ended.
    pub duration_ms: Option<u64>,
    /// `running`, `completed` or `aborted`; `unknown` where no transcript tells.
    pub state: &'static str,
}

/// What Codex says that a turn cost (seen in 0.169, of processes that live for minutes).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnCostFact {
    /// The turn.
    pub turn: String,
    /// When it was said.
    pub time: Timestamp,
    /// The amount, in pico-USD.
    pub pico_usd: i64,
    /// The model that the server named.
    pub model: Option<String>,
    /// The served speed.
    pub speed: Option<String>,
}

/// One thread of a session.
#[derive(Debug, Clone, PartialEq)]
pub struct ThreadFact {
    /// Its id.
    pub thread: ThreadId,
    /// `root`, `subagent`, `review`, `guardian` or `auxiliary`.
    pub kind: &'static str,
    /// The thread it was forked from.
    pub forked_from: Option<ThreadId>,
    /// The agent's path or nickname.
    pub agent: String,
    /// The Codex version that created it.
    pub cli_version: Option<String>,
}

/// Everything known of one session, or of one auxiliary thread.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionFact {
    /// Its id: that of its root thread.
    pub session: ThreadId,
    /// No source links it to anything the user started.
    pub auxiliary: bool,
    /// The first and last moment seen.
    pub started: Timestamp,
    /// The last moment seen.
    pub ended: Timestamp,
    /// The program the user started.
    pub client: String,
    /// Who pays, as at the first moment.
    pub owner: Owner,
    /// The session it was forked from.
    pub forked_from: Option<ThreadId>,
    /// How many prompts the user sent; never their text.
    pub prompts: u64,
    /// Its threads, the root first.
    pub threads: Vec<ThreadFact>,
    /// Its turns in order.
    pub turns: Vec<TurnFact>,
    /// Its responses in order.
    pub responses: Vec<ResponseFact>,
    /// Its tool calls in order.
    pub tool_calls: Vec<ToolCallFact>,
    /// Requests that brought no usage: possibly billed, invisible in any token count.
    pub unmetered_attempts: u64,
    /// The same by model, and the usage that failures named: shown, in no total, and never priced.
    pub unmetered: BTreeMap<Option<String>, Unmetered>,
    /// Requests that the API refused.
    pub api_errors: u64,
    /// Records whose tokens cannot be true, with the reason.
    pub quarantined: Vec<String>,
    /// What Codex said that turns cost.
    pub turn_costs: Vec<TurnCostFact>,
}

/// What requests of one model brought no usage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unmetered {
    /// How many.
    pub attempts: u64,
    /// What those of them that failed said of their tokens (Codex 0.169 repeats it in its telemetry).
    pub named: TokenUsage,
}

/// What some part of a report adds up to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Responses; of corrections, how many more.
    pub responses: i64,
    /// Their tokens.
    pub tokens: i64,
    /// The tokens without a price.
    pub unpriced_tokens: i64,
    /// The amounts, each unit on its own.
    pub sums: Sums,
}

impl std::ops::AddAssign for Cost {
    fn add_assign(&mut self, o: Self) {
        self.responses += o.responses;
        self.tokens += o.tokens;
        self.unpriced_tokens += o.unpriced_tokens;
        self.sums += o.sums;
    }
}

/// How complete and certain a report is. Every report shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Responses by the sources that saw them.
    pub responses_by_source: BTreeMap<String, i64>,
    /// Requests that brought no usage.
    pub unmetered_attempts: i64,
    /// The same by model.
    pub unmetered_by_model: BTreeMap<String, i64>,
    /// Responses without a price.
    pub unpriced_responses: i64,
    /// Why they have none, with how many.
    pub unpriced_reasons: BTreeMap<String, i64>,
    /// Responses of which no team is known.
    pub unattributed_responses: i64,
    /// Responses by how strong the reason for their team is.
    pub responses_by_team_strength: BTreeMap<String, i64>,
    /// Everything that is counted, corrections too, by how strong the reason for its team is: together the totals.
    pub cost_by_team_strength: BTreeMap<String, Cost>,
    /// Responses whose process said what its credential or the list of members contradicts.
    pub contradicted_responses: i64,
    /// Responses of custom providers, rated at OpenAI list.
    pub assumed_provider: i64,
    /// Responses whose price's guarantee had ended when they were made.
    pub stale_price: i64,
    /// API responses that the user's contract list has no price of.
    pub uncontracted_responses: i64,
    /// Calls of hosted tools whose fee no public list says (a ChatGPT login, an unknown channel).
    pub unpriced_tool_calls: i64,
    /// Responses whose sources disagree.
    pub conflicts: i64,
    /// Responses with two possible readings.
    pub ambiguous: i64,
    /// Records whose tokens cannot be true.
    pub quarantined: i64,
    /// Input that could not be read, by reason (whole store).
    pub unreadable: BTreeMap<String, u64>,
}
