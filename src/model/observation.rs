//! What one source saw, stored once under its key. Everything else is derived from these.

use super::{SourceKind, ThreadId, Timestamp, TokenUsage};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The identity of an observation: the same thing seen again has the same key, whatever carried it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub [u8; 16]);

impl Key {
    /// In hexadecimal digits.
    pub fn hex(&self) -> String {
        self.0.iter().map(|b| format!("{b:02x}")).collect()
    }

    /// So much of it that two of one thread hardly ever share it.
    pub fn short(&self) -> String {
        self.hex()[..12].to_string()
    }
}

/// Builds a [`Key`] from the identifying parts. Never put team, header, encoding, position, receive time or path in.
pub struct KeyBuilder(Sha256);

impl KeyBuilder {
    /// Starts a key of one kind of observation, for example `tur`.
    pub fn new(kind: &str) -> Self {
        KeyBuilder(Sha256::new()).part(kind)
    }

    /// Adds a text part; parts are length-prefixed, so `("a", "bc")` and `("ab", "c")` differ.
    pub fn part(mut self, part: &str) -> Self {
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part.as_bytes());
        self
    }

    /// Adds a number.
    pub fn number(mut self, n: i64) -> Self {
        self.0.update(n.to_le_bytes());
        self
    }

    /// Adds a token vector.
    pub fn usage(self, u: &TokenUsage) -> Self {
        [u.input, u.cached_input, u.cache_write, u.output, u.reasoning]
            .iter()
            .fold(self, |key, n| key.number(*n as i64))
    }

    /// The first 128 bits of the hash.
    pub fn build(self) -> Key {
        let mut key = [0; 16];
        key.copy_from_slice(&self.0.finalize()[..16]);
        Key(key)
    }

    /// The first 64 bits of the hash, for short references.
    pub fn short(self) -> u64 {
        let Key(k) = self.build();
        u64::from_le_bytes([k[0], k[1], k[2], k[3], k[4], k[5], k[6], k[7]])
    }
}

/// One thing that one source saw.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// The conversation it belongs to.
    pub thread: ThreadId,
    /// Its identity within the thread.
    pub key: Key,
    /// Who saw it.
    pub source: SourceKind,
    /// When it happened, as the source says.
    pub time: Timestamp,
    /// What was seen.
    pub body: Body,
}

impl Observation {
    /// Tells apart records that share a key but not their content: a visible conflict, never an overwrite.
    /// Only token vector, model and tier count; a collector may move attributes.
    pub fn variant(&self) -> i64 {
        match &self.body {
            Body::Response(r) => {
                let key = KeyBuilder::new("variant").usage(&r.usage);
                let key = key.part(r.model.as_deref().unwrap_or("")).part(r.tier.as_deref().unwrap_or(""));
                key.short() as i64
            }
            _ => 0,
        }
    }
}

/// The content of an observation. Foreign names end here; unknown kinds of a newer version stay stored and are counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "k", rename_all = "snake_case")]
pub enum Body {
    /// What a thread is, from its transcript.
    Meta(Box<Meta>),
    /// Which session a thread belongs to.
    Link(Link),
    /// What a process says of itself and its user.
    Context(Box<Context>),
    /// A moment at which a context was in force.
    Sighting(Sighting),
    /// A model response with its token usage.
    Response(Box<Response>),
    /// A request that brought no usage.
    Attempt(Attempt),
    /// A tool call.
    ToolCall(Box<ToolCall>),
    /// The start of a turn.
    Turn(Turn),
    /// The end of a turn.
    TurnEnd(TurnEnd),
    /// A prompt of the user; never its text.
    Prompt(Prompt),
    /// What Codex says that a turn cost.
    TurnCost(TurnCost),
}

impl Body {
    /// Reads what a store holds.
    ///
    /// # Errors
    /// It is none of the kinds that this version knows.
    pub fn from_json(text: &str) -> serde_json::Result<Self> {
        // Whoever reads a tagged enum must set all aside until the tag has come. Ours comes first, so that the many can be read
        // for what they are.
        match text.strip_prefix(r#"{"k":""#).and_then(|rest| rest.split_once('"')).map_or("", |(kind, _)| kind) {
            "response" => serde_json::from_str(text).map(Body::Response),
            "tool_call" => serde_json::from_str(text).map(Body::ToolCall),
            "sighting" => serde_json::from_str(text).map(Body::Sighting),
            "turn" => serde_json::from_str(text).map(Body::Turn),
            "turn_end" => serde_json::from_str(text).map(Body::TurnEnd),
            "prompt" => serde_json::from_str(text).map(Body::Prompt),
            _ => serde_json::from_str(text),
        }
    }
}

/// The head of a transcript (its first `session_meta`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Meta {
    /// The root thread of the session; from Codex 0.142.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<ThreadId>,
    /// The thread that spawned this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<ThreadId>,
    /// The thread this one was forked from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forked_from: Option<ThreadId>,
    /// `exec`, `cli`, `vscode`, or `subagent`, `review`, `guardian`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The program the user started, for example `codex_exec`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub originator: Option<String>,
    /// The Codex version that created the thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cli_version: Option<String>,
    /// The working directory of the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// The git remote, if Codex recorded one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_remote: Option<String>,
    /// The model provider's id, for example `openai`; from Codex 0.58.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The ChatGPT account; present only with a ChatGPT login.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The nickname or path of a subagent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
}

/// A thread's session, as a hook or an agent message tells it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// The root thread, or a parent whose session is also this thread's.
    pub session: ThreadId,
}

/// What a process says: attributes of its telemetry resource, or the environment of a hook.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Context {
    /// The short reference by which sightings and responses name this context.
    pub id: u64,
    /// OTLP's `service.name`; `None` for a hook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// `originator` of the records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub originator: Option<String>,
    /// `auth_mode` of the records: `Chatgpt` or `ApiKey`; absent with a custom provider (Codex 0.169).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_mode: Option<String>,
    /// `user.email`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// `user.account_id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The exporter's `X-Team` header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team_header: Option<String>,
    /// The name of the sink's token that it was delivered with; as told by the sink, never by who sends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// The operating system user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os_user: Option<String>,
    /// The host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Resource attributes, as sent; or those in the environment of the hook, with its allow-listed variables in capitals.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

/// A context in force at a moment, and what the same record says of the thread.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sighting {
    /// The context's short reference.
    pub ctx: u64,
    /// The turn, where the source knows it (hooks).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn: Option<String>,
    /// The provider's name (`codex.conversation_starts`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The sandbox policy; title requests of the terminal client run `read-only` (Codex 0.169).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<String>,
    /// The session's working directory, as a SessionStart or UserPromptSubmit hook tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
}

/// One model response.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Response {
    /// The turn, where the source knows it.
    #[serde(rename = "t", skip_serializing_if = "Option::is_none")]
    pub turn: Option<String>,
    /// The response id; for older transcripts `#n`, the index in the turn.
    #[serde(rename = "id", skip_serializing_if = "Option::is_none")]
    pub response_id: Option<String>,
    /// Its tokens.
    #[serde(rename = "u")]
    pub usage: TokenUsage,
    /// The requested model.
    #[serde(rename = "m", skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The requested tier as sent; absent if the request had none.
    #[serde(rename = "s", skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// The reasoning effort.
    #[serde(rename = "e", skip_serializing_if = "Option::is_none")]
    pub effort: Option<String>,
    /// The context's short reference (OTLP, hook).
    #[serde(rename = "x", skip_serializing_if = "Option::is_none")]
    pub ctx: Option<u64>,
    /// The model provider in force (transcript).
    #[serde(rename = "p", skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// A copy in a fork's transcript: its time is that of the turn, and the parent's own record stands above it.
    #[serde(rename = "copy", skip_serializing_if = "is_false")]
    pub replayed: bool,
    /// Taken from `token_count`, which may be written long after the response (Codex before 0.153).
    #[serde(rename = "late", skip_serializing_if = "is_false")]
    pub from_token_count: bool,
    /// The turn's own context came later, and the settings before it name another model (transcript).
    #[serde(rename = "doubt", skip_serializing_if = "is_false")]
    pub model_in_doubt: bool,
    /// The process and payload hash of a hook, to recognise one hook that is registered twice.
    #[serde(rename = "h", skip_serializing_if = "Option::is_none")]
    pub hook: Option<(u32, u64)>,
}

fn is_false(b: &bool) -> bool {
    !*b
}

/// A request without usage: cut, failed or cancelled. Shown, never priced.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attempt {
    /// The turn, where the source knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn: Option<String>,
    /// `stream` (a response broke off or brought no usage), `api` (the request itself failed, so nothing ran), or `named` (the
    /// usage that a failure named; the failure itself has a record of its own).
    pub kind: String,
    /// The HTTP status or the status word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The requested model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The tokens that the failure named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<TokenUsage>,
}

/// One tool call, as one source saw it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ToolCall {
    /// `call_id` of OTLP and transcript, `tool_use_id` of hooks.
    pub call_id: String,
    /// The turn, where the source knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn: Option<String>,
    /// The name as the user knows it: `Bash`, `apply_patch`, `mcp__server__tool`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The outer `exec` of code mode: neither counted nor added in time.
    #[serde(skip_serializing_if = "is_false")]
    pub container: bool,
    /// Whether it succeeded, where the source knows it; a command without its exit code does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success: Option<bool>,
    /// The exit code of a command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
    /// How long it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}

/// A turn began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// Its id.
    pub turn: String,
}

/// A turn ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TurnEnd {
    /// Its id.
    pub turn: String,
    /// Whether it was aborted.
    pub aborted: bool,
    /// How long it took, as Codex says (from 0.121).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}

/// The user sent a prompt.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Prompt {
    /// Its turn, where the source knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn: Option<String>,
}

/// `codex.turn_cost` (seen in 0.169, long-lived processes only).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TurnCost {
    /// The turn.
    pub turn: String,
    /// `usage.estimated_usd` as sent.
    pub estimated_usd: String,
    /// The model that the server names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The served speed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_parts_do_not_run_together() {
        let key = |a: &str, b: &str| KeyBuilder::new("t").part(a).part(b).build();
        assert_ne!(key("a", "bc"), key("ab", "c"));
        assert_eq!(key("a", "bc"), key("a", "bc"));
    }

    #[test]
    fn bodies_survive_storage() {
        let body = Body::Response(Box::new(Response {
            turn: Some("t1".into()),
            usage: TokenUsage { input: 5, output: 2, ..Default::default() },
            ..Default::default()
        }));
        let json = serde_json::to_string(&body).unwrap();
        assert_eq!(json, r#"{"k":"response","t":"t1","u":{"i":5,"c":0,"o":2}}"#);
        assert_eq!(serde_json::from_str::<Body>(&json).unwrap(), body);
        let end = TurnEnd { turn: "t".into(), aborted: true, duration_ms: None };
        let call = ToolCall { call_id: "c".into(), ..ToolCall::default() };
        let (cost, link) = (TurnCost::default(), Link { session: ThreadId::new("s").unwrap() });
        for body in [
            body,
            Body::ToolCall(Box::new(call)),
            Body::Sighting(Sighting::default()),
            Body::Turn(Turn { turn: "t".into() }),
            Body::TurnEnd(end),
            Body::Prompt(Prompt::default()),
            Body::TurnCost(cost),
            Body::Link(link),
            Body::Meta(Box::default()),
        ] {
            assert_eq!(Body::from_json(&serde_json::to_string(&body).unwrap()).unwrap(), body);
        }
        for strange in ["", "{}", r#"{"k":"later","t":1}"#, r#"{"k":"response"#, r#"{"u":1,"k":"response"}"#] {
            assert!(Body::from_json(strange).is_err(), "{strange}");
        }
    }
}
