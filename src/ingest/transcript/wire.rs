//! What we read of a transcript's lines. Every field may be missing or of another type.

use crate::ingest::lenient::{Count, Flag, Int, Object, Text, Tokens};
use crate::model::TokenUsage;
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
pub(super) struct Line<'a> {
    #[serde(default)]
    pub timestamp: Text,
    #[serde(rename = "type", default)]
    pub kind: Text,
    #[serde(borrow)]
    pub payload: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct SessionMeta {
    pub id: Text,
    pub session_id: Text,
    pub parent_thread_id: Text,
    pub forked_from_id: Text,
    pub source: Source,
    pub originator: Text,
    pub cli_version: Text,
    pub cwd: Text,
    pub model_provider: Text,
    pub creator_account_id: Text,
    pub agent_path: Text,
    pub agent_nickname: Text,
    pub git: Object<Git>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Git {
    pub repository_url: Text,
}

/// `"exec"`, or `{"subagent": "review"}`, or `{"subagent": {"thread_spawn": {...}}}`, or `{"subagent": {"other": "guardian"}}`.
#[derive(Default)]
pub(super) struct Source(pub Option<String>);

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let name = match (&value, value.get("subagent")) {
            (serde_json::Value::String(s), _) => Some(s.clone()),
            (_, Some(serde_json::Value::String(s))) => Some(s.clone()),
            (_, Some(kind)) => match kind.get("other").and_then(|o| o.as_str()) {
                Some(other) => Some(other.to_string()),
                None => Some("subagent".to_string()),
            },
            _ => None,
        };
        Ok(Source(name.map(|n| n.chars().take(32).collect())))
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct TurnContext {
    pub turn_id: Text,
    pub model: Text,
    pub effort: Text,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct TokenUsageRecord {
    pub thread_id: Text,
    pub turn_id: Text,
    pub session_id: Text,
    pub response_id: Text,
    pub usage: Object<Usage>,
}

#[derive(Default, Clone, Copy, Deserialize)]
#[serde(default)]
pub(super) struct Usage {
    pub input_tokens: Tokens,
    pub cached_input_tokens: Tokens,
    pub cache_write_input_tokens: Tokens,
    pub output_tokens: Tokens,
    pub reasoning_output_tokens: Tokens,
    pub total_tokens: Tokens,
}

impl Usage {
    /// The usage, if input and output are there and no part is unusable.
    pub fn tokens(&self) -> Option<TokenUsage> {
        Some(TokenUsage {
            input: self.input_tokens.required()?,
            cached_input: self.cached_input_tokens.optional()?,
            cache_write: self.cache_write_input_tokens.optional()?,
            output: self.output_tokens.required()?,
            reasoning: self.reasoning_output_tokens.optional()?,
        })
    }
}

/// The kind of an `event_msg` or a `response_item`.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Kind {
    #[serde(rename = "type")]
    pub kind: Text,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct TurnEvent {
    pub turn_id: Text,
    pub duration_ms: Count,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct SettingsEvent {
    pub thread_settings: Object<Settings>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Settings {
    pub model: Text,
    pub service_tier: Text,
    pub model_provider_id: Text,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct TokenCount {
    pub info: Object<TokenCountInfo>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct TokenCountInfo {
    pub total_token_usage: Object<Usage>,
    pub last_token_usage: Object<Usage>,
}

/// `item_completed` (paginated transcripts, from 0.148).
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ItemCompleted {
    pub turn_id: Text,
    pub item: Object<Item>,
    pub started_at_ms: Int,
    pub completed_at_ms: Int,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Item {
    #[serde(rename = "type")]
    pub kind: Text,
    pub id: Text,
    pub status: Text,
    pub exit_code: Int,
    pub server: Text,
    pub tool: Text,
}

/// `exec_command_end`, `patch_apply_end`, `mcp_tool_call_end` (older transcripts).
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ToolEnd {
    pub call_id: Text,
    pub turn_id: Text,
    pub exit_code: Int,
    pub success: Flag,
}

/// `function_call` and `custom_tool_call`.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Call {
    pub call_id: Text,
    pub name: Text,
    pub namespace: Text,
}
