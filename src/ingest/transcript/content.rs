//! What was said and done, for those who want it kept: prompts, what tools were told, what they answered. Without this wish none
//! of it is looked at.

use super::decode::Reader;
use super::head::Head;
use crate::ingest::lenient::cut;
use crate::ingest::redact;
use crate::model::{Capture, Content, ContentKind, KeyBuilder, Timestamp};
use serde_json::Value;

/// The longest text that is kept, in bytes.
const MAX_TEXT: usize = 64 * 1024;

impl Reader {
    /// The same reader, which also takes in contents.
    pub fn capturing(mut self, capture: Capture) -> Self {
        self.capture = capture;
        self
    }

    /// Takes in a line's content. To be called after the line itself was read.
    pub(super) fn content(&mut self, bytes: &[u8]) {
        let wanted = |kind| match kind {
            ContentKind::Prompt => self.capture.prompts,
            ContentKind::Command => self.capture.commands,
            ContentKind::Output => self.capture.outputs,
        };
        // Most lines tell at once that they are none of these.
        let other = |head: Head<'_>| head.part.is_some_and(|part| kind_of(head.kind, part).is_none_or(|k| !wanted(k)));
        if Head::of(bytes).is_some_and(other) {
            return;
        }
        let Ok(line) = serde_json::from_slice::<Value>(bytes) else { return };
        let (payload, text) = (&line["payload"], |value: &Value| value.as_str().unwrap_or_default().to_string());
        let kind = kind_of(&text(&line["type"]), &text(&payload["type"])).filter(|kind| wanted(*kind));
        let (Some(kind), Some(text)) = (kind, text_of(payload)) else { return };
        let Some(time) = line["timestamp"].as_str().and_then(Timestamp::parse_rfc3339) else { return };
        // What a fork copied is its parent's.
        let (Some(thread), false) = (self.own(), self.is_copy(Some(time)) || text.is_empty()) else { return };
        let own = |name: &str| payload[name].as_str().map(|id| cut(id, 256).to_string());
        let (turn, call) = (own("turn_id").or_else(|| self.state.turn.clone()), own("call_id"));
        let key = KeyBuilder::new("content").part(thread.as_str()).part(kind.name()).number(time.0);
        let key = key.part(call.as_deref().or(turn.as_deref()).unwrap_or("")).build();
        // Cut afterwards: half a key is not recognised.
        let text = cut(&redact(&text), MAX_TEXT).to_string();
        self.contents.push(Content { thread, key, time, kind, turn, call, text });
    }
}

fn kind_of(kind: &str, part: &str) -> Option<ContentKind> {
    match (kind, part) {
        ("event_msg", "user_message" | "item_completed") => Some(ContentKind::Prompt),
        ("response_item", "function_call" | "custom_tool_call" | "local_shell_call") => Some(ContentKind::Command),
        ("response_item", "function_call_output" | "custom_tool_call_output") => Some(ContentKind::Output),
        _ => None,
    }
}

/// The text of a payload of one of these kinds.
fn text_of(payload: &Value) -> Option<String> {
    match payload["type"].as_str()? {
        "user_message" => payload["message"].as_str().map(str::to_string),
        "item_completed" => (payload["item"]["type"] == "UserMessage").then(|| joined(&payload["item"]["content"])),
        "function_call" => {
            let arguments = payload["arguments"].as_str()?;
            let parsed: Value = serde_json::from_str(arguments).unwrap_or_default();
            // The command of a shell under its names so far; what another tool is told stays as it is.
            let command = ["cmd", "command"].iter().map(|name| &parsed[*name]).find(|c| !c.is_null());
            Some(command.map_or_else(|| arguments.to_string(), joined))
        }
        "custom_tool_call" => payload["input"].as_str().map(str::to_string),
        "local_shell_call" => Some(joined(&payload["action"]["command"])),
        _ => Some(joined(&payload["output"])),
    }
}

/// A text, the words of a command, or the texts of a list or an object with its parts.
fn joined(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
        }
        Value::Array(items) => items.iter().map(joined).filter(|t| !t.is_empty()).collect::<Vec<_>>().join("\n"),
        Value::Object(fields) => {
            let texts = ["text", "content", "output"].iter().filter_map(|name| fields.get(*name));
            texts.map(joined).filter(|t| !t.is_empty()).collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}
