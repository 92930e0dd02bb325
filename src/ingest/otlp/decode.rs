//! What Codex's log records mean.
//!
//! Facts about the records were seen with Codex 0.42 to 0.169; where versions differ the comment says so.

use super::context::{MAX_VALUE, context};
use super::wire::{Attributes, Record, Scalar, Sink, cut, failed_usage};
use super::{json, protobuf};
use crate::ingest::exit_code::exit_code;
use crate::ingest::tool_name::tool_name;
use crate::ingest::version::is_from;
use crate::model::{
    Attempt, Body, Key, KeyBuilder, Link, Observation, Prompt, Response, Sighting, SourceKind, ThreadId, Timestamp,
    TokenUsage, ToolCall, TurnCost, Users,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The most records of one request that are taken; Codex 0.169 sends 512 at most.
pub const MAX_RECORDS: usize = 8192;

/// The event of a record by which `doctor` tries the way through the sink. Nothing of it is kept.
pub const PROBE: &str = "codex_tally.probe";

/// The longest text of an error that is passed on, in bytes.
const MAX_WHY: usize = 300;

/// The longest text of which an exit code is looked for, in bytes; Codex 0.169 cuts the output at about 2 KiB.
const MAX_OUTPUT: usize = 16 * 1024;

/// What the headers of a request say that belongs to its records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientHeaders {
    /// `X-Team`, set in the exporter's configuration.
    pub team: Option<String>,
    /// The name of the token that the request was let in with, if that has one.
    pub credential: Option<String>,
    /// As whom users are known; said by the sink, not by a header.
    pub users: Users,
}

/// What a request holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decoded {
    /// What is kept, in the order of the records; contexts once each.
    pub observations: Vec<Observation>,
    /// Records that could not be read, or were beyond the limit.
    pub rejected: u64,
    /// Why the first of them was rejected, in at most 300 bytes.
    pub rejected_why: Option<String>,
    /// What was not kept, by reason: `otlp.ignored` (known and of no use), `otlp.unknown_event` (of a newer Codex or of
    /// another program), `otlp.rejected`, `otlp.unreadable_resource`.
    pub counters: BTreeMap<String, u64>,
}

/// The body is not a logs request at all. Sending it again cannot help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DecodeError {
    /// Not JSON, or not an object.
    Json(String),
    /// Not a protobuf message.
    Protobuf(String),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::Json(why) => write!(f, "not a logs request in JSON: {why}"),
            DecodeError::Protobuf(why) => write!(f, "not a logs request in protobuf: {why}"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// Reads a logs request in JSON. Records that cannot be read are counted; an error means that nothing could be.
pub fn decode_json(body: &[u8], headers: &ClientHeaders) -> Result<Decoded, DecodeError> {
    let mut decoder = Decoder::new(headers);
    json::read(body, &mut decoder).map_err(|why| DecodeError::Json(cut(&why, MAX_WHY).to_string()))?;
    Ok(decoder.out)
}

/// Reads a logs request in protobuf. An error means that the encoding is broken, and nothing is taken.
pub fn decode_protobuf(body: &[u8], headers: &ClientHeaders) -> Result<Decoded, DecodeError> {
    let mut decoder = Decoder::new(headers);
    protobuf::read(body, &mut decoder).map_err(|why| DecodeError::Protobuf(cut(&why, MAX_WHY).to_string()))?;
    Ok(decoder.out)
}

/// What becomes of one record.
enum Meaning {
    Keep(Body, Key),
    Ignore,
    Unknown,
    Reject(&'static str),
}

struct Decoder<'a> {
    headers: &'a ClientHeaders,
    contexts: BTreeSet<(ThreadId, u64)>,
    records: usize,
    out: Decoded,
}

impl Sink for Decoder<'_> {
    fn room(&mut self) -> bool {
        self.records += 1;
        if self.records > MAX_RECORDS {
            self.reject("too many records in one request");
        }
        self.records <= MAX_RECORDS
    }

    fn record(&mut self, resource: &Attributes<'_>, record: &Record<'_>) {
        let regrouped = regrouped(resource, record);
        let record = regrouped.as_ref().unwrap_or(record);
        let event = record.attributes.text("event.name");
        match event.as_deref() {
            None => self.count("otlp.ignored"),
            Some(PROBE) => {}
            Some("codex.agent_communication") => self.link(record),
            Some(event) => self.event(event, resource, record),
        }
    }

    fn reject(&mut self, why: &str) {
        self.out.rejected += 1;
        self.count("otlp.rejected");
        self.out.rejected_why.get_or_insert_with(|| cut(why, MAX_WHY).to_string());
    }

    fn unreadable(&mut self, _why: &str) {
        self.count("otlp.unreadable_resource");
    }
}

impl<'a> Decoder<'a> {
    fn new(headers: &'a ClientHeaders) -> Self {
        Decoder { headers, contexts: BTreeSet::new(), records: 0, out: Decoded::default() }
    }

    fn count(&mut self, name: &str) {
        *self.out.counters.entry(name.to_string()).or_default() += 1;
    }

    fn push(&mut self, thread: ThreadId, key: Key, time: Timestamp, body: Body) {
        self.out.observations.push(Observation { thread, key, source: SourceKind::Otlp, time, body });
    }

    fn event(&mut self, event: &str, resource: &Attributes<'_>, record: &Record<'_>) {
        let Some(id) = record.attributes.get("conversation.id").or_else(|| resource.get("conversation.id")) else {
            // Requests for the list of models, and the start of a process, belong to no thread.
            return self.count("otlp.ignored");
        };
        let Some(thread) = id.text().and_then(|id| ThreadId::new(&id)) else {
            return self.reject("`conversation.id` is not an id");
        };
        let Some(time) = moment(record) else {
            return self.reject("a record without a time");
        };
        let key = KeyBuilder::new("otlp").part(thread.as_str()).number(time.0).part(event);
        match meaning(event, &record.attributes, key) {
            Meaning::Keep(mut body, key) => {
                let context = context(resource, record, self.headers);
                match &mut body {
                    Body::Response(response) => response.ctx = Some(context.id),
                    Body::Sighting(sighting) => sighting.ctx = context.id,
                    _ => {}
                }
                if self.contexts.insert((thread.clone(), context.id)) {
                    let key = KeyBuilder::new("ctx").part(thread.as_str()).number(context.id.cast_signed()).build();
                    self.push(thread.clone(), key, Timestamp(0), Body::Context(Box::new(context)));
                }
                self.push(thread, key, time, body);
            }
            Meaning::Ignore => self.count("otlp.ignored"),
            Meaning::Unknown => self.count("otlp.unknown_event"),
            Meaning::Reject(why) => self.reject(why),
        }
    }

    /// The message by which an agent starts another one (0.169): the only link between threads in OTLP.
    fn link(&mut self, record: &Record<'_>) {
        let thread = |name: &str| record.attributes.text(name).and_then(|id| ThreadId::new(&id));
        let spawn = record.attributes.text("kind").is_some_and(|kind| kind == "spawn");
        match (spawn, thread("sender_thread_id"), thread("receiver_thread_id"), moment(record)) {
            (true, Some(session), Some(thread), Some(time)) => {
                let key = KeyBuilder::new("link").part(thread.as_str()).part(session.as_str()).build();
                self.push(thread, key, time, Body::Link(Link { session }));
            }
            (true, ..) => self.reject("a `spawn` message without its threads or time"),
            (false, ..) => self.count("otlp.ignored"),
        }
    }
}

/// What a collector may group records by, and then has in the resource alone. Codex itself has none of it there.
const GROUPED: [&str; 7] =
    ["event.name", "event.kind", "event.timestamp", "app.version", "model", "service_tier", "model_reasoning_effort"];

/// The record with what it was grouped by, if it was.
fn regrouped<'a>(resource: &Attributes<'a>, record: &Record<'a>) -> Option<Record<'a>> {
    // The resource has few attributes, a record many: it is asked first.
    let has = |name: &&str| resource.get(name).is_some() && record.attributes.get(name).is_none();
    if !GROUPED.iter().any(has) {
        return None;
    }
    let mut whole = record.clone();
    for name in GROUPED.iter().filter(|name| has(name)) {
        let value = resource.get(name).cloned();
        value.into_iter().for_each(|value| whole.attributes.push((*name).into(), value));
    }
    Some(whole)
}

/// When a record was made. Codex leaves `timeUnixNano` at 0; `observedTimeUnixNano` is its own clock.
fn moment(record: &Record<'_>) -> Option<Timestamp> {
    let stamp = || Timestamp::parse_rfc3339(&record.attributes.text("event.timestamp")?);
    [record.observed, record.time].into_iter().find(|t| *t > 0).map(Timestamp).or_else(stamp)
}

/// What a record means, still without its context.
fn meaning(event: &str, a: &Attributes<'_>, key: KeyBuilder) -> Meaning {
    match event {
        "codex.sse_event" => sse_event(a, key),
        "codex.tool_result" => tool_result(a, key),
        "codex.api_request" | "codex.websocket_connect" | "codex.websocket_request" => api_request(a, key),
        "codex.conversation_starts" => {
            let (provider, sandbox) = (word(a, "provider_name"), word(a, "sandbox_policy"));
            Meaning::Keep(Body::Sighting(Sighting { provider, sandbox, ..Sighting::default() }), key.build())
        }
        "codex.user_prompt" => Meaning::Keep(Body::Prompt(Prompt::default()), key.build()),
        "codex.turn_cost" => turn_cost(a, key),
        "codex.startup_phase" | "codex.turn_ttft" | "codex.tool_decision" | "codex.websocket_event" => Meaning::Ignore,
        _ if event.starts_with("codex.auth") => Meaning::Ignore,
        _ => Meaning::Unknown,
    }
}

/// Over HTTP a completed response makes two records of the same kind, over WebSocket one; only the counts tell.
fn sse_event(a: &Attributes<'_>, key: KeyBuilder) -> Meaning {
    let kind = a.text("event.kind").unwrap_or_default();
    if a.get("input_token_count").is_some() {
        let Some(usage) = usage(a) else {
            return Meaning::Reject("token counts that are not numbers");
        };
        let key = key.part(&kind).part(&a.text("call_id").unwrap_or_default()).usage(&usage);
        let response = Response {
            usage,
            model: word(a, "model"),
            tier: tier(a),
            effort: word(a, "model_reasoning_effort"),
            ..Response::default()
        };
        return Meaning::Keep(Body::Response(Box::new(response)), key.build());
    }
    if kind == "response.failed"
        && let Some(usage) = a.text("error.message").and_then(|message| failed_usage(cut(&message, MAX_OUTPUT)))
    {
        let (kind, model) = ("named".to_string(), word(a, "model"));
        let attempt = Attempt { kind, model, usage: Some(usage), ..Attempt::default() };
        return Meaning::Keep(Body::Attempt(attempt), key.part("response.failed").usage(&usage).build());
    }
    // A failed or incomplete response has this record and a second one that says what became of it.
    let broke_off = a.get("error.message").is_some() && matches!(kind.as_ref(), "" | "response.completed");
    if !broke_off {
        return Meaning::Ignore;
    }
    let attempt = Attempt { kind: "stream".to_string(), model: word(a, "model"), ..Attempt::default() };
    Meaning::Keep(Body::Attempt(attempt), key.part(&kind).build())
}

/// The requested tier. Codex 0.169 names one exactly if the request does, so that its silence is the standard tier; what the
/// silence of older versions means is not known.
fn tier(a: &Attributes<'_>) -> Option<String> {
    let tells = a.text("app.version").is_some_and(|version| is_from(&version, 169));
    word(a, "service_tier").or_else(|| tells.then(|| "default".to_string()))
}

/// Counts come as text or number, and which of them do differs by version: cache writes from 0.145.
/// `tool_token_count` is the total in disguise and is never read.
fn usage(a: &Attributes<'_>) -> Option<TokenUsage> {
    let count = |name: &str| a.get(name).map_or(Some(0), Scalar::count);
    Some(TokenUsage {
        input: a.get("input_token_count")?.count()?,
        cached_input: count("cached_token_count")?,
        cache_write: count("cache_write_token_count")?,
        output: a.get("output_token_count")?.count()?,
        reasoning: count("reasoning_token_count")?,
    })
}

/// A request that failed before anything ran. Those for the list of models are not responses.
fn api_request(a: &Attributes<'_>, key: KeyBuilder) -> Meaning {
    let code = a.get("http.response.status_code").and_then(Scalar::count);
    let failed = a.get("error.message").is_some()
        || code.is_some_and(|code| code >= 400)
        || a.get("success").and_then(Scalar::flag) == Some(false);
    let endpoint = a.text("endpoint").unwrap_or_default();
    if !failed || endpoint.ends_with("/models") {
        return Meaning::Ignore;
    }
    let status = code.map(|code| code.to_string());
    let attempt = Attempt { kind: "api".to_string(), status, model: word(a, "model"), ..Attempt::default() };
    Meaning::Keep(Body::Attempt(attempt), key.build())
}

/// Arguments and output are never stored; the output is looked at for its exit code, which is nowhere else.
fn tool_result(a: &Attributes<'_>, key: KeyBuilder) -> Meaning {
    let (Some(call_id), Some(tool)) = (word(a, "call_id"), word(a, "tool_name")) else {
        return Meaning::Reject("a tool result without its call or tool");
    };
    // Before 0.152 there is no namespace, and a tool of an MCP server is known by `mcp_server` alone.
    let server = a.text("mcp_server").map(|server| format!("mcp__{server}"));
    let namespace = word(a, "tool_namespace").or(server);
    let ours = namespace.as_deref().is_none_or(|namespace| namespace == "functions");
    let name = tool_name(namespace.as_deref(), &tool);
    let output = a.get("output").and_then(Scalar::text).unwrap_or_default();
    let exit_code = if ours { exit_code(cut(&output, MAX_OUTPUT)) } else { None };
    let success = match (exit_code, a.get("success").and_then(Scalar::flag)) {
        (Some(code), _) => Some(code == 0),
        (None, Some(true)) if name == "Bash" => None,
        (None, sent) => sent,
    };
    let call = ToolCall {
        name: Some(cut(&name, MAX_VALUE).to_string()),
        container: ours && tool == "exec",
        success,
        exit_code,
        duration_ms: a.get("duration_ms").and_then(Scalar::count),
        turn: None,
        call_id,
    };
    let key = key.part(&call.call_id).build();
    Meaning::Keep(Body::ToolCall(Box::new(call)), key)
}

fn turn_cost(a: &Attributes<'_>, key: KeyBuilder) -> Meaning {
    let (Some(turn), Some(estimated_usd)) = (word(a, "turn.id"), word(a, "usage.estimated_usd")) else {
        return Meaning::Reject("a turn's cost without its turn or amount");
    };
    let key = key.part(&turn).build();
    let (model, speed) = (word(a, "model"), word(a, "speed"));
    Meaning::Keep(Body::TurnCost(TurnCost { turn, estimated_usd, model, speed }), key)
}

/// A short text that is stored.
fn word(a: &Attributes<'_>, name: &str) -> Option<String> {
    a.text(name).map(|text| cut(&text, MAX_VALUE).to_string())
}
