//! Whole lines out of a stream, in bounded memory.

use std::io::{self, BufRead};

/// A longer line is skipped and counted: no line that we use comes near it.
pub(super) const MAX_LINE_BYTES: usize = 64 << 20;

/// What came next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A whole line, its end included; the bytes are in the buffer.
    Line,
    /// A line too long to keep; it was skipped.
    TooLong,
    /// The rest has no line end yet (or nothing is left). It is not consumed.
    End,
}

/// Reads lines and knows how many bytes they took.
pub(super) struct Lines<R> {
    reader: R,
    /// The current line.
    pub buffer: Vec<u8>,
    /// Bytes of whole lines so far.
    pub consumed: u64,
}

impl<R: BufRead> Lines<R> {
    pub fn new(reader: R) -> Self {
        Lines { reader, buffer: Vec::new(), consumed: 0 }
    }

    /// Takes the next whole line. `end_of_input_ends_line` makes a last line without its end a whole one (a file that will
    /// not grow).
    pub fn next(&mut self, end_of_input_ends_line: bool) -> io::Result<Next> {
        self.buffer.clear();
        let mut length = 0u64;
        loop {
            let chunk = match self.reader.fill_buf() {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            if chunk.is_empty() {
                if length == 0 || !end_of_input_ends_line {
                    return Ok(Next::End);
                }
                break;
            }
            let end = chunk.iter().position(|b| *b == b'\n').map(|i| i + 1);
            let take = end.unwrap_or(chunk.len());
            if length + take as u64 <= MAX_LINE_BYTES as u64 {
                self.buffer.extend_from_slice(&chunk[..take]);
            } else {
                self.buffer = Vec::new();
            }
            length += take as u64;
            self.reader.consume(take);
            if end.is_some() {
                break;
            }
        }
        self.consumed += length;
        Ok(if length > MAX_LINE_BYTES as u64 { Next::TooLong } else { Next::Line })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_lines_are_taken() {
        let mut lines = Lines::new(io::BufReader::with_capacity(3, &b"one\r\n\ntwo\nthr"[..]));
        let mut seen = Vec::new();
        while lines.next(false).unwrap() == Next::Line {
            seen.push(String::from_utf8(lines.buffer.clone()).unwrap());
        }
        assert_eq!(seen, ["one\r\n", "\n", "two\n"]);
        assert_eq!(lines.consumed, 10);
        let mut lines = Lines::new(&b"end"[..]);
        assert_eq!(lines.next(true).unwrap(), Next::Line);
        assert_eq!(lines.buffer, b"end");
        assert_eq!(lines.next(true).unwrap(), Next::End);
    }

    #[test]
    fn a_line_without_end_takes_no_memory() {
        let long = io::Read::take(io::repeat(b'x'), MAX_LINE_BYTES as u64 + 9);
        let text = io::Read::chain(long, &b"\nnext\n"[..]);
        let mut lines = Lines::new(io::BufReader::new(text));
        assert_eq!(lines.next(false).unwrap(), Next::TooLong);
        assert!(lines.buffer.capacity() == 0);
        assert_eq!(lines.next(false).unwrap(), Next::Line);
        assert_eq!(lines.buffer, b"next\n");
    }
}
