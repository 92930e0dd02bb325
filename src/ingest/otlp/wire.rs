//! What both encodings of an OTLP logs request are read into, and the few messages we answer with.
//!
//! Both readers lend from the body and keep only the attributes that are used: tool arguments, which have no bound,
//! are never copied, and no body can grow in memory by being decoded.

use crate::ingest::lenient::{Object, Tokens};
use crate::model::TokenUsage;
use serde::Deserialize;
use std::borrow::Cow;

/// The most attributes of one record or resource that are looked at.
pub(super) const MAX_ATTRIBUTES: usize = 256;

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar<'a> {
    Text(Cow<'a, str>),
    Int(i64),
    Double(f64),
    Bool(bool),
    /// Bytes, a list, a map, or something that cannot be read: there is a value, but none that we could use.
    Unusable,
}

impl Scalar<'_> {
    /// The value as text; Codex sends the same thing as text in one version and as a number in another.
    pub(super) fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Scalar::Text(text) => Some(Cow::Borrowed(text)),
            Scalar::Int(n) => Some(n.to_string().into()),
            Scalar::Double(n) => Some(n.to_string().into()),
            Scalar::Bool(b) => Some(b.to_string().into()),
            Scalar::Unusable => None,
        }
    }

    /// The value as a count: a whole number that is not negative.
    pub(super) fn count(&self) -> Option<u64> {
        match self {
            Scalar::Text(text) => text.trim().parse().ok(),
            Scalar::Int(n) => u64::try_from(*n).ok(),
            Scalar::Double(n) => whole(*n).and_then(|n| u64::try_from(n).ok()),
            Scalar::Bool(_) | Scalar::Unusable => None,
        }
    }

    /// The value as a yes or no.
    pub(super) fn flag(&self) -> Option<bool> {
        match self.text()?.as_ref() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }
}

/// A double as the integer it is, if it is one that doubles keep exactly.
pub(super) fn whole(n: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (n.trunc() == n && n.abs() <= EXACT).then_some(n as i64)
}

/// The usage in a `response.failed` event, which Codex 0.169 repeats as a whole in the error's message.
pub(super) fn failed_usage(event: &str) -> Option<TokenUsage> {
    let usage = serde_json::from_str::<FailedEvent>(event).ok()?.response.0?.usage.0?;
    let (of_input, of_output) = (usage.input_tokens_details.0, usage.output_tokens_details.0);
    let (of_input, of_output) = (of_input.unwrap_or_default(), of_output.unwrap_or_default());
    Some(TokenUsage {
        input: usage.input_tokens.required()?,
        cached_input: of_input.cached_tokens.optional()?,
        cache_write: of_input.cache_write_tokens.optional()?,
        output: usage.output_tokens.required()?,
        reasoning: of_output.reasoning_tokens.optional()?,
    })
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct FailedEvent {
    response: Object<FailedResponse>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct FailedResponse {
    usage: Object<Usage>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Usage {
    input_tokens: Tokens,
    input_tokens_details: Object<Details>,
    output_tokens: Tokens,
    output_tokens_details: Object<Details>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Details {
    cached_tokens: Tokens,
    cache_write_tokens: Tokens,
    reasoning_tokens: Tokens,
}

/// Attributes in the order sent; of equal names the first counts.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Attributes<'a>(pub(super) Vec<(Cow<'a, str>, Scalar<'a>)>);

impl<'a> Attributes<'a> {
    pub(super) fn push(&mut self, name: Cow<'a, str>, value: Scalar<'a>) {
        if self.0.len() < MAX_ATTRIBUTES {
            self.0.push((name, value));
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Scalar<'a>> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value)
    }

    /// The value as text; none if it is empty.
    pub(super) fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        self.get(name)?.text().filter(|text| !text.is_empty())
    }
}

/// One log record.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Record<'a> {
    /// `observedTimeUnixNano`; 0 if unset.
    pub(super) observed: i64,
    /// `timeUnixNano`; 0 if unset, as always in Codex 0.169.
    pub(super) time: i64,
    pub(super) attributes: Attributes<'a>,
}

/// Where a reader puts what it finds.
pub(super) trait Sink {
    /// Whether another record is taken; if not, it has been counted as rejected.
    fn room(&mut self) -> bool;
    fn record(&mut self, resource: &Attributes<'_>, record: &Record<'_>);
    fn reject(&mut self, why: &str);
    /// A part of the request other than a record cannot be read.
    fn unreadable(&mut self, why: &str);
}

/// Whether a record's attribute is used at all. Tool arguments, prompts and messages of agents are not.
pub(super) fn is_used(name: &str) -> bool {
    matches!(
        name,
        "event.name"
            | "event.kind"
            | "event.timestamp"
            | "conversation.id"
            | "app.version"
            | "originator"
            | "auth_mode"
            | "user.email"
            | "user.account_id"
            | "model"
            | "service_tier"
            | "model_reasoning_effort"
            | "input_token_count"
            | "output_token_count"
            | "cached_token_count"
            | "cache_write_token_count"
            | "reasoning_token_count"
            | "error.message"
            | "http.response.status_code"
            | "endpoint"
            | "success"
            | "call_id"
            | "tool_name"
            | "tool_namespace"
            | "mcp_server"
            | "duration_ms"
            | "output"
            | "provider_name"
            | "sandbox_policy"
            | "turn.id"
            | "usage.estimated_usd"
            | "speed"
            | "kind"
            | "sender_thread_id"
            | "receiver_thread_id"
            | "service.name"
            | "host.name"
            | "env"
    ) || super::context::CLAIMS.contains(&name)
}

/// Shortens a text to at most `max` bytes, at a character boundary.
pub(super) fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}
