//! A store in memory, which can be slow or refuse, to test what stands before a store.

use codex_tally::model::{Key, Observation, ThreadId};
use codex_tally::store::{Appended, Batch, Cursor, Store};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// What is in the store, and how it behaves.
#[derive(Default)]
pub struct Contents {
    pub observations: BTreeMap<(ThreadId, Key, i64), Observation>,
    pub counters: BTreeMap<String, u64>,
    /// How many transactions there were, failed ones too.
    pub appends: u64,
    /// How long each takes.
    pub delay: Duration,
    /// Refuses every batch for which this holds.
    pub refuse: Option<fn(&Batch) -> bool>,
}

/// A store whose contents the test can see while the sink owns the store.
#[derive(Clone, Default)]
pub struct MemoryStore(Arc<Mutex<Contents>>);

impl MemoryStore {
    pub fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap()
    }
}

impl Store for MemoryStore {
    fn append(&mut self, batch: &Batch) -> anyhow::Result<Appended> {
        let delay = self.contents().delay;
        std::thread::sleep(delay);
        let mut contents = self.contents();
        contents.appends += 1;
        if contents.refuse.is_some_and(|refuse| refuse(batch)) {
            anyhow::bail!("refused by the test");
        }
        let mut appended = Appended::default();
        for o in &batch.observations {
            let at = (o.thread.clone(), o.key, o.variant());
            if contents.observations.insert(at, o.clone()).is_some() {
                appended.known += 1;
            } else {
                appended.stored += 1;
            }
        }
        for (name, n) in &batch.counters {
            *contents.counters.entry(name.clone()).or_default() += n;
        }
        Ok(appended)
    }

    fn observations(&self) -> anyhow::Result<Vec<Observation>> {
        Ok(self.contents().observations.values().cloned().collect())
    }

    fn cursor(&self, _path: &Path) -> anyhow::Result<Option<Cursor>> {
        Ok(None)
    }

    fn cursors(&self) -> anyhow::Result<Vec<(PathBuf, Cursor)>> {
        Ok(Vec::new())
    }

    fn counters(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        Ok(self.contents().counters.clone())
    }

    fn codex_homes(&self) -> anyhow::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }
}
