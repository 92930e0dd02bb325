//! Where observations are kept. A small trait in plain types, so that engines can differ in everything else.

mod bills;
mod cache;
pub mod journal;
pub mod later;
pub mod spool;
pub mod sqlite;

pub use bills::{Bills, KeptBills};
pub use cache::{Cache, Mark, Seen, Times};

use crate::model::{Content, Observation, ThreadId, Timestamp};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The most observations in a piece of a large batch: few milliseconds of an engine's work.
pub const PIECE: usize = 500;

/// How far a file has been read, and what its reader must remember to go on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The file's device and inode: another file under the same path starts anew.
    pub identity: (u64, u64),
    /// Its size when it was last read.
    pub size: u64,
    /// Its modification time in nanoseconds since the epoch when it was last read.
    pub modified: i64,
    /// The first byte that has not been read, in the uncompressed content.
    pub offset: u64,
    /// The reader's state, opaque to the store.
    pub state: String,
}

/// What is written in one transaction: all of it or nothing.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Observations; those that are already stored are left as they are.
    pub observations: Vec<Observation>,
    /// Files that were read on.
    pub cursors: Vec<(PathBuf, Cursor)>,
    /// What the store said of these files when this reading of them began. If it says something else by now, another process
    /// reads on in them too: then the observations are stored, which is harmless, but cursors and counters are the other's.
    pub read_from: Vec<(PathBuf, Option<Cursor>)>,
    /// Files that are gone and need not be remembered.
    pub forget: Vec<PathBuf>,
    /// What could not be read or was dropped, by reason; added to what is stored.
    pub counters: BTreeMap<String, u64>,
    /// CODEX_HOME folders that were learned of.
    pub codex_homes: Vec<PathBuf>,
    /// Contents that the user wants kept; those that were stored once are left as they are, also if they are purged.
    pub contents: Vec<Content>,
}

/// Which contents are taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purge {
    /// All of them.
    All,
    /// Those from before this moment.
    Before(Timestamp),
    /// Those of these threads.
    Threads(Vec<ThreadId>),
}

impl Batch {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.observations.is_empty()
            && self.cursors.is_empty()
            && self.forget.is_empty()
            && self.counters.is_empty()
            && self.codex_homes.is_empty()
            && self.contents.is_empty()
    }

    /// Adds to a counter.
    pub fn count(&mut self, name: &str, n: u64) {
        if n > 0 {
            *self.counters.entry(name.to_string()).or_default() += n;
        }
    }

    /// The same as batches of at most so many observations, for transactions that keep nobody waiting. All else is in the last
    /// one: reading goes on from where it was if one of them fails.
    pub fn in_pieces(mut self, most: usize) -> Vec<Batch> {
        let mut pieces = Vec::new();
        while self.observations.len() > most {
            let rest = self.observations.split_off(most);
            let observations = std::mem::replace(&mut self.observations, rest);
            pieces.push(Batch { observations, ..Batch::default() });
        }
        pieces.push(self);
        pieces
    }

    /// Takes in what another batch holds.
    pub fn merge(&mut self, other: Batch) {
        self.observations.extend(other.observations);
        self.cursors.extend(other.cursors);
        self.read_from.extend(other.read_from);
        self.forget.extend(other.forget);
        for (name, n) in other.counters {
            self.count(&name, n);
        }
        self.codex_homes.extend(other.codex_homes);
        self.contents.extend(other.contents);
    }
}

/// What became of a batch's observations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Appended {
    /// New ones.
    pub stored: u64,
    /// Ones that were already there.
    pub known: u64,
    /// New ones that share a key with another content.
    pub conflicts: u64,
}

impl std::ops::AddAssign for Appended {
    fn add_assign(&mut self, other: Self) {
        self.stored += other.stored;
        self.known += other.known;
        self.conflicts += other.conflicts;
    }
}

/// In the chain of an error: another process holds the store, and trying again later helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy;

impl std::fmt::Display for Busy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("another process holds the store")
    }
}

impl std::error::Error for Busy {}

/// Whether an error of a store means that another process holds it.
pub fn is_busy(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Busy>().is_some()
}

/// A store of observations. One writer at a time; what `append` returned from is on disk.
pub trait Store: Send {
    /// Writes a batch in one durable transaction.
    fn append(&mut self, batch: &Batch) -> anyhow::Result<Appended>;

    /// Writes batches in their order, each whole or not at all; an engine may write several in one transaction, but a short one.
    fn append_all(&mut self, batches: &[Batch]) -> anyhow::Result<Appended> {
        let mut all = Appended::default();
        for batch in batches {
            all += self.append(batch)?;
        }
        Ok(all)
    }

    /// Does what the engine put off so that nobody had to wait for it. To be called now and then by whoever has time.
    fn settle(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    /// All observations, grouped by thread, in an order that does not depend on when they came.
    fn observations(&self) -> anyhow::Result<Vec<Observation>>;

    /// Gives all observations to `each`, in the same order, without holding them all. Returns how many there are beyond
    /// these that only a newer version can use.
    fn scan(&self, each: &mut dyn FnMut(Observation) -> anyhow::Result<()>) -> anyhow::Result<u64> {
        self.observations()?.into_iter().try_for_each(each)?;
        Ok(0)
    }

    /// Where reading of a file stopped.
    fn cursor(&self, path: &Path) -> anyhow::Result<Option<Cursor>>;

    /// All files that have been read.
    fn cursors(&self) -> anyhow::Result<Vec<(PathBuf, Cursor)>>;

    /// What could not be read or was dropped so far, by reason.
    fn counters(&self) -> anyhow::Result<BTreeMap<String, u64>>;

    /// The CODEX_HOME folders learned of.
    fn codex_homes(&self) -> anyhow::Result<Vec<PathBuf>>;

    /// What is kept of what was said and done in threads, in the order of time.
    fn contents(&self, _threads: &[ThreadId]) -> anyhow::Result<Vec<Content>> {
        Ok(Vec::new())
    }

    /// Takes contents away, for ever; returns how many.
    fn purge(&mut self, _which: &Purge) -> anyhow::Result<u64> {
        Ok(0)
    }
}
