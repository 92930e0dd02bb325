//! What a line is, told from its first bytes without parsing it: most of a transcript is text that is never used.
//!
//! Codex writes `{"timestamp":...,"type":...,"payload":{"type":...` in this order, with `ordinal` after the timestamp in
//! newer versions. A line that looks different is parsed as a whole: the head only ever saves work.

use super::known::is_unused;
use memchr::memmem::Finder;
use std::sync::LazyLock;

/// How each line of Codex begins.
const START: &[u8] = b"{\"timestamp\":";

static STARTS: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new(START));

/// Where lines begin within one.
pub(super) fn starts_within(line: &[u8]) -> Vec<usize> {
    STARTS.find_iter(line).filter(|at| *at > 0).collect()
}

/// The head of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head<'a> {
    pub timestamp: &'a str,
    pub kind: &'a str,
    /// The `type` of the payload, if it comes first in it.
    pub part: Option<&'a str>,
    /// The payload, if it is the last value of the line and the line is whole.
    pub payload: &'a [u8],
}

/// What a payload is worth, as far as its head tells.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// It says nothing that is used.
    Nothing,
    /// It is read.
    Payload,
    /// The whole line must be parsed to know.
    Unknown,
}

impl<'a> Head<'a> {
    /// The head of a line without white space around it, if it has the usual form.
    pub fn of(line: &'a [u8]) -> Option<Self> {
        let rest = line.strip_prefix(START)?.strip_suffix(b"}")?;
        let (timestamp, rest) = text(rest)?;
        let mut rest = rest.strip_prefix(b",")?;
        if let Some(ordinal) = rest.strip_prefix(b"\"ordinal\":") {
            let digits = ordinal.iter().take_while(|b| b.is_ascii_digit()).count();
            rest = ordinal[digits..].strip_prefix(b",")?;
        }
        let (kind, rest) = text(rest.strip_prefix(b"\"type\":")?)?;
        let payload = rest.strip_prefix(b",\"payload\":")?;
        let part = payload.strip_prefix(b"{\"type\":").and_then(text).map(|(part, _)| part);
        Some(Head { timestamp, kind, part, payload })
    }

    /// What the payload is worth.
    pub fn worth(&self) -> Worth {
        match (self.kind, self.part) {
            ("session_meta" | "turn_context" | "token_usage_record", _) => Worth::Payload,
            ("response_item", Some(part)) if is_call(part) => Worth::Payload,
            ("event_msg", Some(part)) if is_event(part) => Worth::Payload,
            (kind, Some(part)) if is_unused(kind, part) => Worth::Nothing,
            ("world_state" | "compacted" | "inter_agent_communication_metadata", _) => Worth::Nothing,
            _ => Worth::Unknown,
        }
    }

    /// Whether no other line hangs on this one, as on one that was torn. Inside a text its quotes would be escaped.
    pub fn is_alone(&self) -> bool {
        STARTS.find(self.payload).is_none()
    }
}

/// The parts of `response_item` that are read.
pub(super) fn is_call(part: &str) -> bool {
    matches!(part, "function_call" | "custom_tool_call" | "local_shell_call")
}

/// The parts of `event_msg` that are read.
fn is_event(part: &str) -> bool {
    matches!(
        part,
        "token_count"
            | "task_started"
            | "task_complete"
            | "turn_aborted"
            | "thread_settings_applied"
            | "user_message"
            | "item_completed"
            | "exec_command_end"
            | "patch_apply_end"
            | "mcp_tool_call_end"
    )
}

/// A short text without escapes at the start, and what comes after it.
fn text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    const LONGEST: usize = 64;
    let inner = bytes.strip_prefix(b"\"")?;
    let end = inner.iter().take(LONGEST).position(|b| *b == b'"')?;
    let text = std::str::from_utf8(&inner[..end]).ok()?;
    (!text.contains('\\')).then(|| (text, &inner[end + 1..]))
}

/// JSON without the content of texts longer than `longest` bytes, which no field that is read can have; `None` if it is torn.
pub(super) fn without_long_texts<'a>(json: &'a [u8], longest: usize, short: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    if json.len() <= longest {
        return Some(json);
    }
    short.clear();
    let (mut at, mut kept) = (0, 0);
    while let Some(open) = memchr::memchr(b'"', &json[at..]) {
        let start = at + open + 1;
        let end = end_of_text(json, start)?;
        if end - start > longest {
            short.extend_from_slice(&json[kept..start]);
            kept = end;
        }
        at = end + 1;
    }
    short.extend_from_slice(&json[kept..]);
    Some(short)
}

/// Bytes of a text that are looked at together.
const BLOCK: usize = 64;

/// Where the quote is that ends a text that starts at `start`.
fn end_of_text(json: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    loop {
        // Printed code is full of quotes that one backslash escapes: blocks with no other quote are passed over.
        while let Some(block) = at.checked_sub(2).and_then(|from| json.get(from..at + BLOCK))
            && !may_end(block)
        {
            at += BLOCK;
        }
        let quote = at + memchr::memchr(b'"', &json[at..])?;
        let escapes = json[start..quote].iter().rev().take_while(|b| **b == b'\\').count();
        if escapes % 2 == 0 {
            return Some(quote);
        }
        at = quote + 1;
    }
}

/// Whether a quote is in these bytes, behind the first two, that is not escaped by a single backslash. Without branches, so
/// that it takes many bytes at once.
fn may_end(bytes: &[u8]) -> bool {
    let behind = bytes.iter().zip(&bytes[1..]).zip(&bytes[2..]);
    behind.fold(false, |any, ((a, b), c)| any | ((*c == b'"') & ((*b != b'\\') | (*a == b'\\'))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(line: &str) -> Option<Head<'_>> {
        Head::of(line.as_bytes())
    }

    #[test]
    fn the_usual_form_is_recognised_and_nothing_else() {
        let h = head(r#"{"timestamp":"T","ordinal":12,"type":"event_msg","payload":{"type":"token_count","info":{}}}"#);
        let payload: &[u8] = br#"{"type":"token_count","info":{}}"#;
        assert_eq!(h, Some(Head { timestamp: "T", kind: "event_msg", part: Some("token_count"), payload }));
        assert_eq!(head(r#"{"timestamp":"T","type":"x","payload":{"a":1}}"#).unwrap().part, None);
        for other in [
            r#"{"type":"x","timestamp":"T","payload":{}}"#,
            r#"{"timestamp":"T","type":"x","other":1,"payload":{}}"#,
            r#"{"timestamp": "T","type":"x","payload":{}}"#,
            r#"{"timestamp":"T","type":"\u0078","payload":{}}"#,
            r#"{"timestamp":"T","type":"x","payload":{}"#,
            r#"{"timestamp":"T","type":"x"}"#,
            "{}",
        ] {
            assert!(head(other).is_none_or(|h| !h.payload.ends_with(b"}")), "{other}");
        }
    }

    #[test]
    fn lines_that_may_say_something_are_not_passed_over() {
        let unused = |kind: &str, payload: &str| {
            let line = format!(r#"{{"timestamp":"T","type":"{kind}","payload":{payload}}}"#);
            let head = head(&line).unwrap();
            head.worth() == Worth::Nothing && head.is_alone()
        };
        assert!(unused("response_item", r#"{"type":"message","content":[]}"#));
        assert!(unused("response_item", r#"{"type":"function_call_output","output":"{\"timestamp\":1}"}"#));
        assert!(unused("event_msg", r#"{"type":"agent_message"}"#));
        assert!(unused("world_state", r#"{"a":1}"#));
        assert!(!unused("response_item", r#"{"type":"function_call"}"#));
        assert!(!unused("response_item", r#"{"content":[],"type":"message"}"#));
        assert!(!unused("event_msg", r#"{"type":"token_count"}"#));
        assert!(!unused("brand_new", r#"{"type":"message"}"#));
        assert!(!unused("response_item", r#"{"type":"message","content":"torn{"timestamp":"T","type":"x"}"#));
    }

    #[test]
    fn long_texts_are_left_out() {
        let short = |json: &str| {
            let mut room = Vec::new();
            without_long_texts(json.as_bytes(), 8, &mut room).map(|s| String::from_utf8(s.to_vec()).unwrap())
        };
        let out = |json: &str| short(json).unwrap();
        assert_eq!(out(r#"{"a":"123456789","b":"12345678"}"#), r#"{"a":"","b":"12345678"}"#);
        assert_eq!(out(r#"{"a":"\"\\\"456789\\","b":[1,"x"]}"#), r#"{"a":"","b":[1,"x"]}"#);
        assert_eq!(out(r#"{"123456789":1}"#), r#"{"":1}"#);
        assert_eq!(short(r#"{"a":"12345678\"}"#), None);
    }

    #[test]
    fn a_text_ends_at_its_first_quote_that_is_not_escaped() {
        // Every length of text before every ending, so that it comes at every place of a block.
        let plain = |text: &[u8]| {
            let mut escaped = false;
            text.iter().position(|b| {
                let before = escaped;
                escaped = *b == b'\\' && !before;
                *b == b'"' && !before
            })
        };
        for ending in [r#"""#, r#"\\""#, r#"\"x""#, r#"\\\"x""#, r#"\"\"\\""#, r#"\""#] {
            for length in 0..3 * BLOCK {
                let text = format!("{}{ending}{}", "x".repeat(length), " \\\"".repeat(BLOCK));
                let json = format!("{{\"{text}");
                let end = plain(text.as_bytes()).map(|at| at + 2);
                assert_eq!(end_of_text(json.as_bytes(), 2), end, "{json}");
            }
        }
    }
}
