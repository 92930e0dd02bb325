//! What was said and done, where the user wants it kept. Nothing is computed from it, and it goes when it is old.

use super::{Key, ThreadId, Timestamp};

/// Which contents are kept. By default none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capture {
    /// What the user asked.
    pub prompts: bool,
    /// What tools were told to do.
    pub commands: bool,
    /// What they answered.
    pub outputs: bool,
    /// For so many days.
    pub days: u32,
}

impl Capture {
    /// Whether anything is kept.
    pub fn is_on(self) -> bool {
        self.prompts || self.commands || self.outputs
    }

    /// The moment before which nothing is kept.
    pub fn since(self, now: Timestamp) -> Timestamp {
        const DAY: i64 = 24 * 3_600_000_000_000;
        Timestamp(now.0.saturating_sub(i64::from(self.days).saturating_mul(DAY)))
    }
}

/// What a content is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ContentKind {
    /// What the user asked.
    Prompt,
    /// What a tool was told to do.
    Command,
    /// What it answered.
    Output,
}

impl ContentKind {
    /// All kinds with their number in a store.
    const CODES: [(ContentKind, i64); 3] =
        [(ContentKind::Prompt, 1), (ContentKind::Command, 2), (ContentKind::Output, 3)];

    /// Its number in a store.
    pub fn code(self) -> i64 {
        Self::CODES.iter().find(|(kind, _)| *kind == self).map_or(0, |(_, code)| *code)
    }

    /// The kind of a number.
    pub fn from_code(code: i64) -> Option<Self> {
        Self::CODES.iter().find(|(_, c)| *c == code).map(|(kind, _)| *kind)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            ContentKind::Prompt => "prompt",
            ContentKind::Command => "command",
            ContentKind::Output => "output",
        }
    }
}

/// One text, without what looks like a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The conversation it belongs to.
    pub thread: ThreadId,
    /// Its identity: what was purged does not come back when it is read again.
    pub key: Key,
    /// When it was said or done.
    pub time: Timestamp,
    /// What it is.
    pub kind: ContentKind,
    /// The turn, where it is known.
    pub turn: Option<String>,
    /// The tool call.
    pub call: Option<String>,
    /// The text.
    pub text: String,
}
