//! What is registered with Codex, and how its files are edited: bytes that are not ours stay as they are, and taking our
//! part out again gives the file that was there before.
//!
//! - `config_toml`, `hooks_json`: our part put into a file and taken out again
//! - `splice`: edits of a text, and the difference that they make
//! - `record`: what was put where, so that it can be taken out
//! - `found`: what is ours by what it says, where no record of it is left
//! - `codex`: questions to Codex itself (`codex app-server`); `complaints`: what it says where that fails
//! - `launcher`: which path of a program stays the same when it is updated

pub mod codex;
mod complaints;
mod config_toml;
mod found;
mod hooks_json;
mod launcher;
mod record;
mod splice;

pub use config_toml::{
    AddToml, Added, Edited, Otel, add as add_toml, remove as remove_toml, uses_inline_hooks, with_command,
};
pub use found::{Exporter, Found, exporter_of, home_of, managed, plugin};
pub use hooks_json::{add as add_json, remove as remove_json};
pub use launcher::{beside, find_in_path, invoked};
pub use record::{Record, Registered};
pub use record::{add_sink, remove_sink};
pub use splice::difference;

use std::collections::BTreeMap;

/// The events whose hooks tell the ledger something, and how many seconds Codex waits for each at most.
pub const EVENTS: [(&str, u32); 6] = [
    ("SessionStart", 5),
    ("UserPromptSubmit", 5),
    ("PostModelRequest", 5),
    ("PostToolUse", 5),
    ("Stop", 5),
    // Codex 0.169 allows no more for this one, and warns if more is asked for.
    ("SessionEnd", 3),
];

/// The program that Codex runs.
pub const HOOK: &str = "codex-tally-hook";

/// The file of the managed layer that nobody can override, below `/`.
pub const REQUIREMENTS: &str = "etc/codex/requirements.toml";

/// A file is in a form that is not edited. The message says why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(pub String);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// Whether a command runs our hook, by whatever path.
pub fn is_ours(command: &str) -> bool {
    let words = words(command);
    let program = words.first().and_then(|word| word.rsplit('/').next()).unwrap_or_default();
    program == HOOK || (program == "codex-tally" && words.get(1).is_some_and(|word| word == "hook"))
}

/// The words of a command, as a shell takes them apart.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut chars = command.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('\\', None | Some('"')) => word.get_or_insert_default().extend(chars.next()),
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// A word for the shell that Codex gives commands to: bare if it can be.
pub fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._/+@%:=,-".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_string()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// An event's name as Codex writes it in the keys of trusted hooks.
pub fn snake(event: &str) -> String {
    let mut name = String::new();
    for c in event.chars() {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}

/// The handlers that were taken out of one file: event, place of the group, place in the group. Whole groups that went.
///
/// Trust hangs on places: what stands behind a group that goes moves up, and so must its trust.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Moved {
    /// Handlers that went, by event (as in keys) and group.
    handlers: BTreeMap<(String, usize), Vec<usize>>,
    /// Groups that went, by event.
    groups: BTreeMap<String, Vec<usize>>,
}

impl Moved {
    /// Whether nothing went.
    pub fn is_empty(&self) -> bool {
        self.handlers.is_empty()
    }

    fn handler(&mut self, event: &str, group: usize, handler: usize) {
        self.handlers.entry((snake(event), group)).or_default().push(handler);
    }

    fn group(&mut self, event: &str, group: usize) {
        self.groups.entry(snake(event)).or_default().push(group);
    }

    /// Where a handler is now; `None` if it went.
    fn place(&self, event: &str, group: usize, handler: usize) -> Option<(usize, usize)> {
        let gone = self.handlers.get(&(event.to_string(), group)).map_or(&[][..], Vec::as_slice);
        if gone.contains(&handler) {
            return None;
        }
        let before = |gone: &[usize], place: usize| gone.iter().filter(|g| **g < place).count();
        let groups = self.groups.get(event).map_or(&[][..], Vec::as_slice);
        Some((group - before(groups, group), handler - before(gone, handler)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_commands_are_known_by_any_path() {
        for ours in [
            "/usr/bin/codex-tally-hook",
            "codex-tally-hook --home '/a b'",
            "'/a/codex-tally-hook'",
            "'/a b/it'\\''s/codex-tally-hook' --home x",
            "x/codex-tally hook",
        ] {
            assert!(is_ours(ours), "{ours}");
        }
        for other in
            ["", "/usr/bin/codex-tally-hooks", "codex-tally report", "echo codex-tally-hook", "my-codex-tally-hook"]
        {
            assert!(!is_ours(other), "{other}");
        }
    }

    #[test]
    fn words_are_bare_where_they_can_be() {
        assert_eq!(shell_word("/opt/x-1.2/bin/codex-tally-hook"), "/opt/x-1.2/bin/codex-tally-hook");
        assert_eq!(shell_word("/a b/it's"), r"'/a b/it'\''s'");
        assert_eq!(words(&format!("x  {} \"a \\\" b\"", shell_word("/a b/it's"))), ["x", "/a b/it's", "a \" b"]);
        assert_eq!(snake("PostModelRequest"), "post_model_request");
    }

    #[test]
    fn what_stays_moves_up() {
        let mut moved = Moved::default();
        moved.handler("Stop", 1, 0);
        moved.group("Stop", 1);
        moved.handler("Stop", 2, 0);
        assert_eq!(moved.place("stop", 0, 0), Some((0, 0)));
        assert_eq!(moved.place("stop", 1, 0), None);
        assert_eq!(moved.place("stop", 2, 1), Some((1, 0)));
        assert_eq!(moved.place("stop", 3, 1), Some((2, 1)));
        assert_eq!(moved.place("session_end", 3, 1), Some((3, 1)));
    }
}
