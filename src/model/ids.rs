//! Identifiers as Codex gives them, and the sources that give them.

use serde::{Deserialize, Serialize};
use std::fmt;

/// One conversation: OTLP's `conversation.id`, and the id in a transcript's file name. Seen as UUIDv7 in every Codex version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct ThreadId(String);

impl TryFrom<String> for ThreadId {
    type Error = &'static str;

    fn try_from(id: String) -> Result<Self, Self::Error> {
        ThreadId::new(&id).ok_or("not a thread id")
    }
}

impl ThreadId {
    /// The longest id that is kept; longer ones are foreign nonsense and are refused.
    pub const MAX_LEN: usize = 128;

    /// Accepts a non-empty id of printable ASCII without white space; `None` for anything else.
    pub fn new(id: &str) -> Option<Self> {
        let fits = !id.is_empty() && id.len() <= Self::MAX_LEN && id.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| ThreadId(id.to_ascii_lowercase()))
    }

    /// The id as text, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How the ids begin that are made at a moment, in milliseconds since the Unix epoch.
    pub fn begins_at(millis: i64) -> String {
        format!("{:08x}-{:04x}-7", (millis >> 16) & 0xffff_ffff, millis & 0xffff)
    }

    /// When the thread was created, in milliseconds since the Unix epoch, if the id is a UUIDv7.
    pub fn created_millis(&self) -> Option<i64> {
        uuid_v7_millis(&self.0)
    }
}

impl fmt::Display for ThreadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The time inside a UUIDv7 (`tttttttt-tttt-7...`), in milliseconds since the Unix epoch; `None` if it is not one.
pub fn uuid_v7_millis(id: &str) -> Option<i64> {
    let b = id.as_bytes();
    if b.len() != 36 || b[8] != b'-' || b[13] != b'-' || b[14] != b'7' || b[18] != b'-' || b[23] != b'-' {
        return None;
    }
    let high = i64::from_str_radix(id.get(0..8)?, 16).ok()?;
    let low = i64::from_str_radix(id.get(9..13)?, 16).ok()?;
    Some(high << 16 | low)
}

/// Where an observation came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// A hook process that Codex started.
    Hook,
    /// An OTLP log record that Codex exported.
    Otlp,
    /// A line of a session transcript (rollout file).
    Transcript,
}

impl SourceKind {
    /// The stable number under which the store keeps it.
    pub fn code(self) -> i64 {
        match self {
            SourceKind::Hook => 1,
            SourceKind::Otlp => 2,
            SourceKind::Transcript => 3,
        }
    }

    /// The source of a stored number; `None` for a number of a newer version.
    pub fn from_code(code: i64) -> Option<Self> {
        [SourceKind::Hook, SourceKind::Otlp, SourceKind::Transcript].into_iter().find(|s| s.code() == code)
    }

    /// The name in reports: `hook`, `otlp`, `transcript`.
    pub fn name(self) -> &'static str {
        match self {
            SourceKind::Hook => "hook",
            SourceKind::Otlp => "otlp",
            SourceKind::Transcript => "transcript",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_time_of_a_uuid_v7() {
        assert_eq!(uuid_v7_millis("01a1fbc1-b2d8-74a2-955e-70a1f37fabfe"), Some(1_795_225_137_880));
        assert_eq!(uuid_v7_millis("01a1fbc1-b2d8-44a2-955e-70a1f37fabfe"), None);
        assert_eq!(uuid_v7_millis("call_1"), None);
    }

    #[test]
    fn refuses_ids_that_could_not_be_one() {
        assert!(ThreadId::new("").is_none());
        assert!(ThreadId::new("a b").is_none());
        assert!(ThreadId::new(&"x".repeat(129)).is_none());
        assert_eq!(ThreadId::new("ABC").unwrap().as_str(), "abc");
        assert!(serde_json::from_str::<ThreadId>(r#""a b""#).is_err());
        assert_eq!(serde_json::to_string(&serde_json::from_str::<ThreadId>(r#""Ab""#).unwrap()).unwrap(), r#""ab""#);
    }
}
