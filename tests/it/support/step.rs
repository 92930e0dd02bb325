//! One answer of the scripted model.

use std::time::Duration;

use serde_json::{Value, json};

use super::truth::Usage;

/// Where the connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    BeforeItems,
    AfterItems,
}

/// One answer of the script.
#[derive(Clone, Debug, Default)]
pub struct Step {
    items: Vec<Value>,
    usage: Option<Usage>,
    /// The usage without its details.
    bare: bool,
    pub(super) status: Option<u16>,
    failure: Option<(String, String)>,
    incomplete: Option<String>,
    cut: Option<Cut>,
    when: Vec<String>,
    when_not: Vec<String>,
    /// A word in the items, and the field of the request whose id replaces it.
    quoted: Option<(&'static str, &'static str)>,
    /// It is not used up.
    pub(super) repeats: bool,
    /// Before the answer begins, and before its last event.
    pub(super) delays: [Duration; 2],
    id: Option<&'static str>,
    /// The model that the answer says it is of.
    pub(super) answered_by: Option<&'static str>,
}

impl Step {
    /// An answer with these output items.
    pub fn items(items: Vec<Value>) -> Self {
        Self { items, ..Self::default() }
    }

    /// The last answer of a turn.
    pub fn message(text: &str) -> Self {
        Self::items(vec![json!({
            "type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}],
        })])
    }

    /// A call of a tool that takes JSON.
    pub fn function_call(call_id: &str, name: &str, arguments: &Value) -> Self {
        Self::items(vec![json!({
            "type": "function_call", "call_id": call_id, "name": name, "arguments": arguments.to_string(),
        })])
    }

    /// A call of a tool that takes free text.
    pub fn custom_tool_call(call_id: &str, name: &str, input: &str) -> Self {
        Self::items(vec![json!({"type": "custom_tool_call", "call_id": call_id, "name": name, "input": input})])
    }

    /// A call of a tool of a family, such as those for subagents.
    pub fn namespaced_call(call_id: &str, namespace: &str, name: &str, arguments: &Value) -> Self {
        let mut step = Self::function_call(call_id, name, arguments);
        step.items[0]["namespace"] = namespace.into();
        step
    }

    /// A shell command.
    pub fn shell(call_id: &str, command: &str) -> Self {
        Self::function_call(call_id, "exec_command", &json!({"cmd": command}))
    }

    /// A new file.
    pub fn add_file(call_id: &str, path: &str, line: &str) -> Self {
        let patch = format!("*** Begin Patch\n*** Add File: {path}\n+{line}\n*** End Patch");
        Self::custom_tool_call(call_id, "apply_patch", &patch)
    }

    /// The result of a compaction by the API.
    pub fn compaction() -> Self {
        Self::items(vec![json!({"type": "compaction", "encrypted_content": "ENC"})])
    }

    /// A plain HTTP error instead of a stream.
    pub fn http_error(status: u16) -> Self {
        Self { status: Some(status), ..Self::default() }
    }

    /// The output items of another step, too.
    pub fn and(mut self, other: Step) -> Self {
        self.items.extend(other.items);
        self
    }

    pub fn usage(self, usage: Usage) -> Self {
        Self { usage: Some(usage), ..self }
    }

    /// The usage has no details, as of a provider that knows none.
    pub fn bare_usage(self, input: u64, output: u64) -> Self {
        Self { usage: Some(Usage { input, output, ..Usage::default() }), bare: true, ..self }
    }

    /// The stream ends in `response.failed`, with the usage if there is one.
    pub fn failed(self, code: &str, message: &str) -> Self {
        Self { failure: Some((code.to_owned(), message.to_owned())), ..self }
    }

    /// The stream ends in `response.incomplete`, with the usage if there is one.
    pub fn incomplete(self, reason: &str) -> Self {
        Self { incomplete: Some(reason.to_owned()), ..self }
    }

    /// The stream breaks.
    pub fn cut(self, cut: Cut) -> Self {
        Self { cut: Some(cut), ..self }
    }

    /// The last event comes this much later.
    pub fn slow(self, millis: u64) -> Self {
        let [begin, _] = self.delays;
        Self { delays: [begin, Duration::from_millis(millis)], ..self }
    }

    /// The answer begins this much later.
    pub fn late(self, millis: u64) -> Self {
        let [_, end] = self.delays;
        Self { delays: [Duration::from_millis(millis), end], ..self }
    }

    /// The response has this id, as those of a provider that numbers none.
    pub fn id(self, id: &'static str) -> Self {
        Self { id: Some(id), ..self }
    }

    /// Another model than the one that was asked answers.
    pub fn answered_by(self, model: &'static str) -> Self {
        Self { answered_by: Some(model), ..self }
    }

    /// For every request that fits.
    pub fn repeat(self) -> Self {
        Self { repeats: true, ..self }
    }

    /// Only for requests whose headers or body hold this.
    pub fn when(mut self, part: &str) -> Self {
        self.when.push(part.to_owned());
        self
    }

    /// Only for requests whose headers and body do not hold this.
    pub fn when_not(mut self, part: &str) -> Self {
        self.when_not.push(part.to_owned());
        self
    }

    /// Puts the id that the request's body last gives for this field in the place of this word.
    pub fn quoting(self, word: &'static str, field: &'static str) -> Self {
        Self { quoted: Some((word, field)), ..self }
    }

    /// The step with the id that its request quotes.
    pub(super) fn quoted(mut self, body: &str) -> Self {
        if let Some((word, field)) = self.quoted {
            let after = body.rsplit_once(field).map(|(_, after)| after).unwrap_or_default();
            // The field stands in a text that is itself quoted, so skip whatever is between its name and the id.
            let id = after.trim_start_matches(|c: char| !c.is_ascii_hexdigit()).get(..36).unwrap_or_default();
            let items = Value::from(self.items).to_string().replace(word, id);
            self.items = serde_json::from_str(&items).expect("an id breaks no JSON");
        }
        self
    }

    pub(super) fn fits(&self, request: &str) -> bool {
        self.when.iter().all(|part| request.contains(part)) && !self.when_not.iter().any(|part| request.contains(part))
    }

    /// Whether the client gets a response with usage that it reports: only such a one is part of the truth.
    ///
    /// Codex 0.169 reports the usage of a response that the limit of output cut short; after any other reason it asks again.
    pub(super) fn counts(&self) -> Option<Usage> {
        let ends = self.incomplete.as_deref().is_none_or(|reason| reason == "max_output_tokens");
        let whole = self.status.is_none() && self.failure.is_none() && self.cut.is_none();
        self.usage.filter(|_| whole && ends)
    }

    /// Whether the response is not cut short by a limit.
    pub(super) fn is_whole(&self) -> bool {
        self.incomplete.is_none()
    }

    /// Whether the last of the events is the end of the response.
    pub(super) fn has_end(&self) -> bool {
        self.cut.is_none()
    }

    /// The events of the stream, as far as it goes.
    pub(super) fn events(&self, id: &str) -> Vec<Value> {
        let mut response = json!({"id": self.id.unwrap_or(id)});
        if let Some(model) = self.answered_by {
            response["model"] = model.into();
        }
        let mut events = vec![json!({"type": "response.created", "response": response.clone()})];
        if self.cut == Some(Cut::BeforeItems) {
            return events;
        }
        events.extend(self.items.iter().map(|item| json!({"type": "response.output_item.done", "item": item})));
        if self.cut.is_some() {
            return events;
        }
        if let Some(usage) = self.usage {
            response["usage"] = if self.bare { usage.bare() } else { usage.json() };
        }
        let kind = match (&self.failure, &self.incomplete) {
            (Some((code, message)), _) => {
                response["error"] = json!({"code": code, "message": message});
                "failed"
            }
            (None, Some(reason)) => {
                response["incomplete_details"] = json!({"reason": reason});
                "incomplete"
            }
            (None, None) => "completed",
        };
        response["status"] = kind.into();
        events.push(json!({"type": format!("response.{kind}"), "response": response}));
        events
    }
}
