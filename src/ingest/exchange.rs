//! Observations as lines of a file, to carry them from one store to another: our own format, read strictly.
//!
//! A head, one observation a line, and a last line with their number and the SHA-256 of all bytes before it, so that a file
//! that was cut or changed is noticed.

use crate::model::{Body, Key, Observation, SourceKind, ThreadId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use std::fmt;

/// A longer line is refused: no observation comes near it.
pub const MAX_LINE_BYTES: usize = 1 << 20;

/// Times farther from 1970 (146 years) are refused: no source gives them, and differences of the others always fit.
const FARTHEST: u64 = 1 << 62;

/// The name of the format in the first line.
const FORMAT: &str = "codex-tally observations";

/// The only version so far.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    format: String,
    version: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record<'a> {
    thread: &'a str,
    key: &'a str,
    source: SourceKind,
    time: i64,
    #[serde(borrow)]
    body: &'a RawValue,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Last {
    observations: u64,
    sha256: String,
}

/// Makes the lines of a file.
#[derive(Default)]
pub struct Encoder {
    hash: Sha256,
    count: u64,
}

impl Encoder {
    /// The first line.
    pub fn head(&mut self) -> Vec<u8> {
        self.line(&Head { format: FORMAT.into(), version: VERSION })
    }

    /// The line of an observation; `None` if it would be too long to be read again.
    pub fn observation(&mut self, o: &Observation) -> Option<Vec<u8>> {
        // Bodies have string keys only, so that neither of these can fail.
        let body = serde_json::value::to_raw_value(&o.body).unwrap_or_default();
        let key = hex(&o.key.0);
        if body.get().len() > MAX_LINE_BYTES - 1024 {
            return None;
        }
        self.count += 1;
        Some(self.line(&Record { thread: o.thread.as_str(), key: &key, source: o.source, time: o.time.0, body: &body }))
    }

    /// The last line.
    pub fn last(&mut self) -> Vec<u8> {
        let sha256 = hex(&self.hash.clone().finalize());
        self.line(&Last { observations: self.count, sha256 })
    }

    /// How many observations there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    fn line(&mut self, value: &impl Serialize) -> Vec<u8> {
        let mut line = serde_json::to_vec(value).unwrap_or_default();
        line.push(b'\n');
        self.hash.update(&line);
        line
    }
}

/// What a line of a file is.
#[derive(Debug, PartialEq)]
pub enum Item {
    /// The head.
    Head,
    /// An observation.
    Observation(Box<Observation>),
    /// The last line; all lines before it are as they were written.
    Last,
}

/// Why a line is of no use.
#[derive(Debug, PartialEq, Eq)]
pub enum LineError {
    /// The file is none of ours, or of a newer version: nothing of it can be used.
    Foreign(String),
    /// This line is not what was written; others may be.
    Bad(String),
    /// The last line does not fit to what stood before it.
    Altered(String),
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LineError::Foreign(why) | LineError::Bad(why) | LineError::Altered(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for LineError {}

/// Reads the lines of a file, one after another.
#[derive(Default)]
pub struct Decoder {
    hash: Sha256,
    lines: u64,
    complete: bool,
}

impl Decoder {
    /// Reads the next line, given with its end.
    ///
    /// # Errors
    /// It is not what this format has at this place.
    pub fn line(&mut self, line: &[u8]) -> Result<Item, LineError> {
        self.lines += 1;
        if self.lines == 1 {
            self.hash.update(line);
            return head(line);
        }
        if self.complete {
            return Err(LineError::Altered("there is more behind the last line".into()));
        }
        if let Ok(last) = serde_json::from_slice::<Last>(line) {
            self.complete = true;
            return self.last(&last);
        }
        self.hash.update(line);
        observation(line).map(|o| Item::Observation(Box::new(o)))
    }

    /// Passes over a line that is too long to be kept.
    pub fn too_long(&mut self) -> LineError {
        self.lines += 1;
        let why = format!("longer than {MAX_LINE_BYTES} bytes");
        if self.lines == 1 {
            LineError::Foreign(format!("{NOT_OURS}: its first line is {why}"))
        } else {
            LineError::Bad(why)
        }
    }

    /// Whether the last line was there.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// The number of the line that was read last, from 1.
    pub fn line_number(&self) -> u64 {
        self.lines
    }

    fn last(&self, last: &Last) -> Result<Item, LineError> {
        let before = self.lines.saturating_sub(2);
        if last.observations != before {
            return Err(LineError::Altered(format!(
                "{before} observations are here, {} were written",
                last.observations
            )));
        }
        if last.sha256 != hex(&self.hash.clone().finalize()) {
            return Err(LineError::Altered("the lines are not those that were written (another SHA-256)".into()));
        }
        Ok(Item::Last)
    }
}

const NOT_OURS: &str = "this is no file of `codex-tally observations export`";

fn head(line: &[u8]) -> Result<Item, LineError> {
    match serde_json::from_slice::<Head>(line) {
        Ok(head) if head.format == FORMAT && head.version == VERSION => Ok(Item::Head),
        Ok(head) if head.format == FORMAT => {
            Err(LineError::Foreign(format!("format version {} is not known; update this program", head.version)))
        }
        _ => Err(LineError::Foreign(NOT_OURS.into())),
    }
}

fn observation(line: &[u8]) -> Result<Observation, LineError> {
    let bad = |why: &str| LineError::Bad(why.to_string());
    let text = std::str::from_utf8(line).map_err(|_| bad("not UTF-8"))?;
    let record: Record<'_> = serde_json::from_str(text).map_err(|e| LineError::Bad(plain(&e)))?;
    let thread = ThreadId::new(record.thread).filter(|t| t.as_str() == record.thread);
    let body: Body =
        serde_json::from_str(record.body.get()).map_err(|e| LineError::Bad(format!("body: {}", plain(&e))))?;
    if !is_kept(record.body, &body) {
        return Err(bad("body: says more than this version can keep"));
    }
    if record.time.unsigned_abs() > FARTHEST {
        return Err(bad("time: out of range"));
    }
    Ok(Observation {
        thread: thread.ok_or_else(|| bad("thread: not a thread id"))?,
        key: key(record.key).ok_or_else(|| bad("key: not 32 hexadecimal digits"))?,
        source: record.source,
        time: Timestamp(record.time),
        body,
    })
}

/// What is wrong, without the place: lines have numbers of their own.
fn plain(e: &serde_json::Error) -> String {
    let text = e.to_string();
    text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what).to_string()
}

/// Whether nothing of the written body is lost when it is stored here.
fn is_kept(written: &RawValue, body: &Body) -> bool {
    let Ok(ours) = serde_json::to_string(body) else { return false };
    let value = |text: &str| serde_json::from_str::<Value>(text).ok();
    ours == written.get()
        || value(written.get()).zip(value(&ours)).is_some_and(|(written, ours)| holds(&ours, &written))
}

fn holds(ours: &Value, written: &Value) -> bool {
    match (ours, written) {
        (Value::Object(ours), Value::Object(written)) => {
            written.iter().all(|(name, value)| value.is_null() || ours.get(name).is_some_and(|o| holds(o, value)))
        }
        _ => ours == written,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn key(text: &str) -> Option<Key> {
    let fits = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    fits.then(|| u128::from_str_radix(text, 16).ok()).flatten().map(|n| Key(n.to_be_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{KeyBuilder, Turn};

    fn sample() -> Observation {
        Observation {
            thread: ThreadId::new("t").unwrap(),
            key: KeyBuilder::new("k").build(),
            source: SourceKind::Hook,
            time: Timestamp(-5),
            body: Body::Turn(Turn { turn: "a\"é\n".into() }),
        }
    }

    fn file() -> Vec<Vec<u8>> {
        let mut e = Encoder::default();
        vec![e.head(), e.observation(&sample()).unwrap(), e.last()]
    }

    #[test]
    fn what_was_written_is_read() {
        let mut d = Decoder::default();
        let items: Vec<_> = file().iter().map(|l| d.line(l).unwrap()).collect();
        assert_eq!(items, [Item::Head, Item::Observation(Box::new(sample())), Item::Last]);
        assert!(d.is_complete());
        assert!(matches!(d.line(b"{}\n"), Err(LineError::Altered(_))));
    }

    #[test]
    fn changes_are_noticed() {
        let read = |lines: &[Vec<u8>]| {
            let mut d = Decoder::default();
            lines.iter().map(|l| d.line(l).map_or_else(|e| e.to_string(), |_| "ok".into())).collect::<Vec<_>>()
        };
        let whole = file();
        let shorter = [whole[0].clone(), whole[2].clone()];
        assert_eq!(read(&shorter)[1], "0 observations are here, 1 were written");
        let other = String::from_utf8(whole[1].clone()).unwrap().replace("-5", "-6").into_bytes();
        assert!(read(&[whole[0].clone(), other, whole[2].clone()])[2].contains("SHA-256"));
        assert!(read(&[b"{\"type\":\"session_meta\"}\n".to_vec()])[0].contains("no file of"));
        let newer = b"{\"format\":\"codex-tally observations\",\"version\":2}\n".to_vec();
        assert!(read(&[newer])[0].contains("update this program"));
    }

    #[test]
    fn lines_are_read_strictly() {
        let good = String::from_utf8(file().remove(1)).unwrap();
        let mut d = Decoder::default();
        d.line(&file()[0]).unwrap();
        for (from, to, says) in [
            ("\"t\"", "\"a b\"", "not a thread id"),
            ("\"t\"", "\"T\"", "not a thread id"),
            ("\"key\":\"", "\"key\":\"A", "hexadecimal"),
            ("hook", "daemon", "unknown variant `daemon`"),
            ("-5", "-9223372036854775808", "out of range"),
            ("\"time\"", "\"more\":1,\"time\"", "unknown field `more`"),
            ("{\"k\":\"turn\"", "{\"k\":\"dream\"", "body: unknown variant"),
            ("{\"k\":\"turn\"", "{\"k\":\"turn\",\"mood\":1", "more than this version can keep"),
            ("}\n", "\n", "EOF"),
        ] {
            let line = good.replacen(from, to, 1);
            assert_ne!(line, good);
            let error = d.line(line.as_bytes()).unwrap_err();
            assert!(error.to_string().contains(says), "{to}: {error}");
        }
        assert!(matches!(d.line(b"\xff\n"), Err(LineError::Bad(_))));
        assert!(matches!(d.too_long(), LineError::Bad(_)));
    }
}
