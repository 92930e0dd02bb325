//! Which lines of a fork's file are copies of its parent's, where no turn id tells (Codex before 0.101).
//!
//! Codex writes the copy with the time of the fork, all of it at once; a model takes longer than that for one response.

use crate::model::Timestamp;
use serde::{Deserialize, Serialize};

/// A copied response follows the one before it within a millisecond (0.42 to 0.98); no model answers as soon as this.
const AT_ONCE_NS: u64 = 30_000_000;

/// The same of the first one, where no head of a parent tells that there is a copy at all.
const CLEARLY_AT_ONCE_NS: u64 = 2_000_000;

/// Where a file stands between the copy and what is its own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Copied {
    /// When the last response was written, or the head of a parent.
    last: Option<Timestamp>,
    /// Nothing tells that there is a copy.
    unsure: bool,
    /// That response was the file's own.
    own: bool,
    /// The last prompt since, if it may be the file's own all the same: a fork that is started with a prompt has it at once.
    prompt: Option<Timestamp>,
}

impl Copied {
    /// A parent's head: a copy begins.
    pub fn begin(&mut self, time: Option<Timestamp>) {
        self.last = time.or(self.last);
    }

    /// The first turn of a file that does not tell whether it is a copy. It has to be a clear case then.
    pub fn may_begin(&mut self, time: Option<Timestamp>) {
        self.unsure |= self.last.is_none();
        self.last = self.last.or(time);
    }

    /// A prompt is written that seems to be copied.
    pub fn prompt(&mut self, time: Option<Timestamp>) {
        self.prompt = time;
    }

    /// A response is written; if it is the file's own, so is the prompt that was doubtful.
    /// Each is judged anew: a machine that paused within the copy makes one of them look like an own.
    pub fn response(&mut self, time: Option<Timestamp>) -> Option<Timestamp> {
        self.own = !self.at_once(time);
        self.unsure &= self.own;
        self.last = self.last.and(time).or(self.last);
        self.prompt.take().filter(|_| self.own)
    }

    /// Whether a line is part of the copy.
    pub fn holds(&self, time: Option<Timestamp>) -> bool {
        !self.own && self.at_once(time)
    }

    fn at_once(&self, time: Option<Timestamp>) -> bool {
        // A copy is at the beginning: after a response of the file's own there is none.
        if self.unsure && self.own {
            return false;
        }
        let at_once = if self.unsure { CLEARLY_AT_ONCE_NS } else { AT_ONCE_NS };
        self.last.is_some_and(|last| time.is_none_or(|time| time.distance(last) < at_once))
    }
}
