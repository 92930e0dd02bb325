//! The last that a program said on stderr, so that it can be passed on where it fails.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::sync::{Mutex, PoisonError};

/// So many lines are kept.
const LINES: usize = 3;

/// So much of each, in characters.
const LINE: usize = 300;

/// So many bytes are a line, if none ends it.
const BYTES: u64 = 16 << 10;

/// What was said.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    lines: VecDeque<String>,
    /// Nothing more comes.
    pub ended: bool,
}

impl Complaints {
    /// Reads to the end, also what is not kept: a program whose words are not read stands still.
    pub fn listen(from: impl Read, into: &Mutex<Self>) {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while matches!(from.by_ref().take(BYTES).read_until(b'\n', &mut line), Ok(1..)) {
            into.lock().unwrap_or_else(PoisonError::into_inner).add(&String::from_utf8_lossy(&line));
            line.clear();
        }
        into.lock().unwrap_or_else(PoisonError::into_inner).ended = true;
    }

    fn add(&mut self, line: &str) {
        let line: String = plain(line).chars().take(LINE).collect();
        if line.is_empty() {
            return;
        }
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// The last lines, as one.
    pub fn text(&self) -> String {
        self.lines.iter().map(String::as_str).collect::<Vec<_>>().join(" | ")
    }
}

/// A line without what only a terminal understands: colours (`ESC [ ... m`) and other signs that steer it.
fn plain(line: &str) -> String {
    let mut text = String::new();
    let mut chars = line.trim().chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            if chars.as_str().starts_with('[') {
                let _ = chars.find(|c| *c != '[' && ('@'..='~').contains(c));
            }
        } else if !c.is_control() {
            text.push(c);
        }
    }
    text.trim().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_are_kept_in_bounds_and_steer_no_terminal() {
        let said = |bytes: &[u8]| {
            let complaints = Mutex::new(Complaints::default());
            Complaints::listen(bytes, &complaints);
            let complaints = complaints.into_inner().unwrap();
            assert!(complaints.ended);
            complaints.text()
        };
        assert_eq!(said(b""), "");
        assert_eq!(said(b"\n \n\x1b[31mError\x1b[0m: \x1b[2mx\x1b[0m\x07\r\n"), "Error: x");
        assert_eq!(said(b"1\n2\n3\n4\xff"), "2 | 3 | 4\u{fffd}");
        assert_eq!(said(b"\x1b[31"), "");
        let long = said(&b"x".repeat(1 << 20));
        assert!(long.len() < 3 * LINE + 10 && long.starts_with("xxx"), "{}", long.len());
    }
}
