//! Whole lines out of a stream, in bounded memory.

use std::io::{self, Read};

/// A longer line is skipped and counted: no line that we use comes near it.
pub(super) const MAX_LINE_BYTES: usize = 64 << 20;

/// What is read at once: small enough to stay in the processor's cache until it has been looked at.
const CHUNK: usize = 256 << 10;

/// The room that is kept for the next line; what only a longer one needed is given back.
const KEPT: usize = 4 * CHUNK;

/// What came next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<'a> {
    /// A whole line, its end included.
    Line(&'a [u8]),
    /// A line too long to keep; it was skipped.
    TooLong,
    /// The rest has no line end yet (or nothing is left). It is not consumed.
    End,
}

/// Reads lines and knows how many bytes they took. Lines are lent out of the buffer that was read into.
pub(super) struct Lines<'b, R> {
    reader: R,
    buffer: &'b mut Vec<u8>,
    /// What the buffer holds, from the next line on.
    start: usize,
    end: usize,
    /// Bytes of whole lines so far.
    pub consumed: u64,
}

impl<'b, R: Read> Lines<'b, R> {
    /// `buffer` is room that can be used again for the next file.
    pub fn new(reader: R, buffer: &'b mut Vec<u8>) -> Self {
        Lines { reader, buffer, start: 0, end: 0, consumed: 0 }
    }

    /// Takes the next whole line. `end_of_input_ends_line` makes a last line without its end a whole one (a file that will
    /// not grow); so is one that needs no more to be what it is.
    pub fn next(&mut self, end_of_input_ends_line: bool) -> io::Result<Next<'_>> {
        let mut searched = 0;
        // Bytes of a line too long to keep that are no longer in the buffer.
        let mut dropped = 0u64;
        loop {
            let found = memchr::memchr(b'\n', &self.buffer[self.start + searched..self.end]);
            let length = match found {
                Some(at) => searched + at + 1,
                None => {
                    searched = self.end - self.start;
                    if dropped + searched as u64 > MAX_LINE_BYTES as u64 {
                        dropped += searched as u64;
                        *self.buffer = Vec::new();
                        (self.start, self.end, searched) = (0, 0, 0);
                    }
                    if self.fill()? {
                        continue;
                    }
                    let rest = &self.buffer[self.start..self.end];
                    if dropped + searched as u64 == 0 || !(end_of_input_ends_line || is_whole(rest)) {
                        return Ok(Next::End);
                    }
                    searched
                }
            };
            let line = self.start..self.start + length;
            self.start = line.end;
            self.consumed += dropped + length as u64;
            let too_long = dropped + length as u64 > MAX_LINE_BYTES as u64;
            return Ok(if too_long { Next::TooLong } else { Next::Line(&self.buffer[line]) });
        }
    }

    /// Reads more behind what the buffer holds; false at the end of the input.
    fn fill(&mut self) -> io::Result<bool> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        if self.buffer.len() > KEPT && self.end <= CHUNK {
            self.buffer.truncate(KEPT);
            self.buffer.shrink_to(KEPT);
        }
        if self.buffer.len() - self.end < CHUNK {
            let more = (self.buffer.len() * 2).clamp(2 * CHUNK, MAX_LINE_BYTES + 2 * CHUNK);
            self.buffer.resize(more, 0);
        }
        let room = &mut self.buffer[self.end..self.end + CHUNK];
        loop {
            match self.reader.read(room) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
                Ok(read) => {
                    self.end += read;
                    return Ok(read > 0);
                }
            }
        }
    }
}

/// Whether a line without its end is all there: the beginning of a JSON object never is one.
fn is_whole(rest: &[u8]) -> bool {
    rest.ends_with(b"}") && serde_json::from_slice::<serde::de::IgnoredAny>(rest).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_lines_are_taken() {
        let mut room = Vec::new();
        let mut lines = Lines::new(&b"one\r\n\ntwo\nthr"[..], &mut room);
        let mut seen = Vec::new();
        while let Next::Line(line) = lines.next(false).unwrap() {
            seen.push(String::from_utf8(line.to_vec()).unwrap());
        }
        assert_eq!(seen, ["one\r\n", "\n", "two\n"]);
        assert_eq!(lines.consumed, 10);
        let mut lines = Lines::new(&b"{}\n{\"a\":{}}"[..], &mut room);
        assert_eq!(lines.next(false).unwrap(), Next::Line(b"{}\n"));
        assert_eq!(lines.next(false).unwrap(), Next::Line(b"{\"a\":{}}"), "all there but its end");
        let mut lines = Lines::new(&b"{\"a\":{}"[..], &mut room);
        assert_eq!(lines.next(false).unwrap(), Next::End);
        assert_eq!(lines.consumed, 0);
        let mut lines = Lines::new(&b"end"[..], &mut room);
        assert_eq!(lines.next(true).unwrap(), Next::Line(b"end"));
        assert_eq!(lines.next(true).unwrap(), Next::End);
    }

    #[test]
    fn lines_of_every_length_come_whole() {
        let mut room = Vec::new();
        let lengths = [0, 1, CHUNK - 1, CHUNK, 7, CHUNK / 2, 3 * CHUNK + 5, 2, CHUNK / 2 - 1, 10 * CHUNK, 0, 3];
        let text: Vec<u8> = lengths.iter().flat_map(|n| [vec![b'x'; *n], vec![b'\n']].concat()).collect();
        let mut lines = Lines::new(text.as_slice(), &mut room);
        for length in lengths {
            let Next::Line(line) = lines.next(false).unwrap() else { panic!("a line of {length}") };
            assert!(line.len() == length + 1 && line.ends_with(b"\n"), "{length}");
        }
        assert_eq!(lines.next(false).unwrap(), Next::End);
        assert_eq!(lines.consumed, text.len() as u64);
    }

    #[test]
    fn a_line_without_end_takes_no_memory() {
        let mut room = Vec::new();
        let long = io::Read::take(io::repeat(b'x'), 3 * MAX_LINE_BYTES as u64 + 9);
        let text = io::Read::chain(long, &b"\nnext\n"[..]);
        let mut lines = Lines::new(text, &mut room);
        assert_eq!(lines.next(false).unwrap(), Next::TooLong);
        assert!(lines.buffer.capacity() <= 2 * MAX_LINE_BYTES);
        assert_eq!(lines.next(false).unwrap(), Next::Line(b"next\n"));
    }
}
