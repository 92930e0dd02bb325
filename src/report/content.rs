//! What was said and done in a session, as text.

use super::format::terminal_text;
use crate::model::Content;
use std::fmt::Write;

/// Describes contents in the order of time; each line is made safe for a terminal.
pub fn contents(contents: &[Content]) -> String {
    let mut out = String::new();
    for c in contents {
        let call = c.call.as_deref().map(|call| format!(" {}", terminal_text(call))).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(out, "\n{} {}{call}", c.time.to_rfc3339(), c.kind.name());
        for line in c.text.lines() {
            let _ = writeln!(out, "  {}", terminal_text(line));
        }
    }
    out
}
