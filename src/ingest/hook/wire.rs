//! The payload of a hook (Codex 0.114 to 0.169) and the line that the spool keeps of it.
//!
//! Only these fields leave the hook. Prompts, tool input, tool output and messages are never among them.

use crate::ingest::lenient::{self, Object, Text};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What we read of a payload. Everything else is skipped without being looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Payload<'a> {
    #[serde(borrow)]
    session_id: Text<'a>,
    turn_id: Text<'a>,
    agent_id: Text<'a>,
    transcript_path: Text<'a>,
    agent_transcript_path: Text<'a>,
    cwd: Text<'a>,
    hook_event_name: Text<'a>,
    model: Text<'a>,
    source: Text<'a>,
    status: Text<'a>,
    tool_name: Text<'a>,
    tool_use_id: Text<'a>,
    token_usage: Object<TokenUsage>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TokenUsage {
    input_tokens: lenient::Tokens,
    cached_input_tokens: lenient::Tokens,
    cache_write_input_tokens: lenient::Tokens,
    output_tokens: lenient::Tokens,
    reasoning_output_tokens: lenient::Tokens,
}

/// Who wrote a spool line: two payloads can be byte-identical and yet be two events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Nanoseconds since the Unix epoch when the hook ran.
    pub ns: i64,
    /// Its process id.
    pub pid: u32,
    /// Random bits.
    pub rnd: u64,
}

/// Where a hook ran.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Environment {
    /// The host's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// The operating system user.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Allow-listed environment variables.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub vars: BTreeMap<String, String>,
}

/// Tokens of one model request, in the order input, cached input, cache write, output, reasoning.
pub type Tokens = [u64; 5];

/// One line of the spool. Our own format: written strictly, read leniently since hook and reader may differ in version.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SpoolLine {
    /// The format, 1.
    pub v: u32,
    /// Who wrote it.
    pub id: Identity,
    /// Why the payload could not be read; then nothing but identity and size follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bad: Option<String>,
    /// The payload's size in bytes.
    pub bytes: u64,
    /// `hook_event_name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// The session: the root thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn: Option<String>,
    /// The thread of a subagent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The transcript of the thread that ran the hook; absent for ephemeral sessions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transcript: Option<String>,
    /// The transcript of a subagent that stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_transcript: Option<String>,
    /// The working directory; a tool's own for PostToolUse, so only that of session events is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// The model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// SessionStart: startup, resume, fork, clear or compact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// PostModelRequest: completed, failed or cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// The tool call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// PostModelRequest: tokens (from Codex 0.164).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Tokens>,
    /// PostModelRequest: a hash of the payload, to recognise a hook that is registered twice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<u64>,
    /// Where it ran.
    pub env: Environment,
}

/// Reduces a payload to its spool line; one that cannot be read becomes a line that says so.
pub fn reduce(payload: &[u8], id: Identity, env: Environment) -> SpoolLine {
    let lossy;
    let parsed = match serde_json::from_slice::<Payload>(payload) {
        Err(_) => {
            lossy = String::from_utf8_lossy(payload);
            serde_json::from_str(&lossy)
        }
        parsed => parsed,
    };
    let Ok(p) = parsed else {
        let why = if payload.iter().all(u8::is_ascii_whitespace) { "empty" } else { "malformed" };
        return unreadable(why, payload.len() as u64, id, env);
    };
    let tokens = p.token_usage.0.as_ref().and_then(tokens);
    SpoolLine {
        v: 1,
        id,
        bad: None,
        bytes: payload.len() as u64,
        hash: (p.hook_event_name.get() == Some("PostModelRequest")).then(|| fnv1a(payload)),
        event: p.hook_event_name.cut(64),
        session: p.session_id.cut(128),
        turn: p.turn_id.cut(128),
        agent: p.agent_id.cut(128),
        transcript: p.transcript_path.cut(4096),
        agent_transcript: p.agent_transcript_path.cut(4096),
        cwd: p.cwd.cut(4096),
        model: p.model.cut(128),
        source: p.source.cut(32),
        status: p.status.cut(32),
        tool: p.tool_name.cut(256),
        call: p.tool_use_id.cut(256),
        tokens,
        env,
    }
}

/// The line that counts a payload which could not be read.
pub fn unreadable(why: &str, bytes: u64, id: Identity, env: Environment) -> SpoolLine {
    SpoolLine { v: 1, id, bad: Some(why.to_string()), bytes, env, ..SpoolLine::default() }
}

/// Tokens count only if input and output are there and no part is unusable; a missing part is none of it.
fn tokens(u: &TokenUsage) -> Option<Tokens> {
    Some([
        u.input_tokens.required()?,
        u.cached_input_tokens.optional()?,
        u.cache_write_input_tokens.optional()?,
        u.output_tokens.required()?,
        u.reasoning_output_tokens.optional()?,
    ])
}

/// FNV-1a, 64 bits: equal payloads have equal hashes; nothing depends on more.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, b| (hash ^ u64::from(*b)).wrapping_mul(0x0000_0100_0000_01b3))
}
