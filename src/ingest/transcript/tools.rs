//! Tool calls in transcripts: the model's calls, and how they ended.

use super::decode::Reader;
use super::head::is_call;
use super::migrated::{item_of, turn_of};
use super::wire::{Call, Item, ItemCompleted, ToolEnd};
use crate::ingest::lenient::cut;
use crate::ingest::tool_name;
use crate::model::{Body, KeyBuilder, Timestamp, ToolCall};

impl Reader {
    pub(super) fn item_completed(&mut self, event: ItemCompleted, time: Option<Timestamp>) {
        let Some(item) = event.item.0 else { return };
        if item.kind.get() == Some("UserMessage") {
            return self.prompt(time, item_of(&item.id));
        }
        let Some((name, success, exit_code)) = tool_item(&item) else { return };
        let Some(call_id) = item.id.cut(256) else { return };
        let millis = event.completed_at_ms.0.zip(event.started_at_ms.0).and_then(|(end, start)| end.checked_sub(start));
        let turn = turn_of(&event.turn_id).or_else(|| self.state.turn.clone());
        let duration_ms = millis.and_then(|d| u64::try_from(d).ok());
        let call = ToolCall { call_id, turn, name, container: false, success, exit_code, duration_ms };
        self.tool_call("tool-item", call, time);
    }

    pub(super) fn tool_end(&mut self, event: &ToolEnd, time: Option<Timestamp>, name: Option<&str>) {
        let Some(call_id) = event.call_id.cut(256) else { return };
        let exit_code = event.exit_code.0;
        let success = exit_code.map(|code| code == 0).or(event.success.0);
        let turn = turn_of(&event.turn_id).or_else(|| self.state.turn.clone());
        let name = name.map(str::to_string);
        let call = ToolCall { call_id, turn, name, success, exit_code, ..ToolCall::default() };
        self.tool_call("tool-end", call, time);
    }

    pub(super) fn response_item(
        &mut self,
        kind: &str,
        payload: &[u8],
        time: Option<Timestamp>,
    ) -> serde_json::Result<()> {
        if is_call(kind) {
            self.call(kind, &serde_json::from_slice(payload)?, time);
        } else {
            self.unknown_part("response_item", kind);
        }
        Ok(())
    }

    fn call(&mut self, kind: &str, call: &Call, time: Option<Timestamp>) {
        let Some(call_id) = call.call_id.cut(256) else { return };
        let name = if kind == "local_shell_call" { "local_shell" } else { call.name.get().unwrap_or("unknown") };
        let call = ToolCall {
            call_id,
            turn: self.state.turn.clone(),
            name: Some(tool_name(call.namespace.get(), cut(name, 256))),
            container: kind == "custom_tool_call" && name == "exec",
            ..ToolCall::default()
        };
        self.tool_call("tool-call", call, time);
    }

    fn tool_call(&mut self, kind: &str, call: ToolCall, time: Option<Timestamp>) {
        let Some(own) = self.own() else { return };
        if self.is_copy(time) {
            return;
        }
        let key = KeyBuilder::new(kind).part(own.as_str()).part(call.turn.as_deref().unwrap_or("")).part(&call.call_id);
        self.see(&own, key, time, Body::ToolCall(Box::new(call)));
    }
}

/// Name, success and exit code of a tool's item; `None` for items that are no tool calls. A yielded command's item comes when
/// the process ends.
fn tool_item(item: &Item) -> Option<(Option<String>, Option<bool>, Option<i64>)> {
    let done = match item.status.get() {
        Some("completed") => Some(true),
        Some("failed" | "declined") => Some(false),
        _ => None,
    };
    match item.kind.get()? {
        "CommandExecution" => {
            let exit = item.exit_code.0;
            Some((Some("Bash".into()), exit.map(|code| code == 0).or(done.filter(|ok| !ok)), exit))
        }
        "FileChange" => Some((Some("apply_patch".into()), done, None)),
        "McpToolCall" => {
            let (server, tool) = (item.server.get()?, item.tool.get()?);
            Some((Some(tool_name(Some(&format!("mcp__{server}")), tool)), done, None))
        }
        "WebSearch" => Some((Some("web_search".into()), Some(true), None)),
        // Named `wait` here and `wait_agent` in the call itself, which names it.
        "CollabAgentToolCall" => Some((None, done, None)),
        _ => None,
    }
}
