//! What we read of a transcript's lines. Every field may be missing or of another type.

use crate::ingest::lenient::{Count, Flag, Int, Object, Text, Tokens};
use crate::model::TokenUsage;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

#[derive(Deserialize)]
pub(super) struct Line<'a> {
    #[serde(default)]
    pub timestamp: Text<'a>,
    #[serde(rename = "type", default)]
    pub kind: Text<'a>,
    #[serde(borrow)]
    pub payload: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct SessionMeta<'a> {
    #[serde(borrow)]
    pub id: Text<'a>,
    pub session_id: Text<'a>,
    pub parent_thread_id: Text<'a>,
    pub forked_from_id: Text<'a>,
    pub source: Source,
    pub originator: Text<'a>,
    pub cli_version: Text<'a>,
    pub cwd: Text<'a>,
    pub model_provider: Text<'a>,
    pub history_mode: Text<'a>,
    pub history_base: Object<IgnoredAny>,
    pub creator_account_id: Text<'a>,
    pub agent_path: Text<'a>,
    pub agent_nickname: Text<'a>,
    pub git: Object<Git<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Git<'a> {
    #[serde(borrow)]
    pub repository_url: Text<'a>,
}

/// `"exec"`, or `{"subagent": "review"}`, or `{"subagent": {"thread_spawn": {...}}}`, or `{"subagent": {"other": "guardian"}}`.
#[derive(Default)]
pub(super) struct Source {
    pub name: Option<String>,
    /// `parent_thread_id` of `thread_spawn`: all that links a subagent before 0.142.
    pub parent: Option<String>,
}

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
        let parent = value.pointer("/subagent/thread_spawn/parent_thread_id").and_then(|id| id.as_str());
        Ok(Source { name: name.map(|n| n.chars().take(32).collect()), parent: parent.map(str::to_string) })
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct TurnContext<'a> {
    #[serde(borrow)]
    pub turn_id: Text<'a>,
    pub model: Text<'a>,
    pub effort: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct TokenUsageRecord<'a> {
    #[serde(borrow)]
    pub thread_id: Text<'a>,
    pub turn_id: Text<'a>,
    pub session_id: Text<'a>,
    pub response_id: Text<'a>,
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
pub(super) struct Kind<'a> {
    #[serde(rename = "type", borrow)]
    pub kind: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct TurnEvent<'a> {
    #[serde(borrow)]
    pub turn_id: Text<'a>,
    pub duration_ms: Count,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct SettingsEvent<'a> {
    #[serde(borrow)]
    pub thread_settings: Object<Settings<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Settings<'a> {
    #[serde(borrow)]
    pub model: Text<'a>,
    pub service_tier: Text<'a>,
    pub model_provider_id: Text<'a>,
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
pub(super) struct ItemCompleted<'a> {
    #[serde(borrow)]
    pub turn_id: Text<'a>,
    pub item: Object<Item<'a>>,
    pub started_at_ms: Int,
    pub completed_at_ms: Int,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Item<'a> {
    #[serde(rename = "type", borrow)]
    pub kind: Text<'a>,
    pub id: Text<'a>,
    pub status: Text<'a>,
    pub exit_code: Int,
    pub server: Text<'a>,
    pub tool: Text<'a>,
}

/// `exec_command_end`, `patch_apply_end`, `mcp_tool_call_end` (older transcripts).
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ToolEnd<'a> {
    #[serde(borrow)]
    pub call_id: Text<'a>,
    pub turn_id: Text<'a>,
    pub exit_code: Int,
    pub success: Flag,
}

/// `function_call` and `custom_tool_call`.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Call<'a> {
    #[serde(borrow)]
    pub call_id: Text<'a>,
    pub name: Text<'a>,
    pub namespace: Text<'a>,
}
