//! Reading on in files: spool and transcripts, plain and zstd, from where reading stopped.

mod find;
mod follow;
mod import;
mod keeping;
mod lines;
mod spool;
mod transcript;

pub use find::{Found, find_in_homes, find_transcripts};
pub use follow::Follower;
pub use import::read_transcripts;
pub use keeping::Keeping;
pub use spool::{read_spool, read_spool_if_free, spool_backlog};

use crate::store::Appended;

/// What a reading pass did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Files that were looked at.
    pub files: u64,
    /// Files that had something new.
    pub read: u64,
    /// Bytes read, uncompressed.
    pub bytes: u64,
    /// New observations.
    pub stored: u64,
    /// New observations that contradict a stored one.
    pub conflicts: u64,
    /// Files that could not be read.
    pub failed: u64,
    /// What was wrong with the first of them.
    pub problems: Vec<String>,
}

/// How far a reading pass is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Files that are done, of those that have something new.
    pub files: u64,
    /// Files that have something new.
    pub files_total: u64,
    /// Bytes read, uncompressed.
    pub bytes: u64,
}

impl Summary {
    fn add(&mut self, appended: Appended) {
        self.stored += appended.stored;
        self.conflicts += appended.conflicts;
    }

    /// Notes what could not be read.
    pub fn problem(&mut self, what: String) {
        const SHOWN: usize = 10;
        self.failed += 1;
        if self.problems.len() < SHOWN {
            self.problems.push(what);
        }
    }
}

impl std::ops::AddAssign for Summary {
    fn add_assign(&mut self, other: Self) {
        self.files += other.files;
        self.read += other.read;
        self.bytes += other.bytes;
        self.stored += other.stored;
        self.conflicts += other.conflicts;
        self.failed += other.failed;
        self.problems.extend(other.problems);
    }
}
