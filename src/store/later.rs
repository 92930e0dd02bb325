//! A store that need not be there yet: it is opened when it is first used, and again after it failed.

use super::{Appended, Batch, Cursor, Purge, Store, is_busy};
use crate::model::Observation;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Opens a connection to a store; called again for each further one.
#[derive(Clone)]
pub struct Opener(Arc<dyn Fn() -> anyhow::Result<Box<dyn Store>> + Send + Sync>);

impl Opener {
    /// An opener that does this.
    pub fn new(open: impl Fn() -> anyhow::Result<Box<dyn Store>> + Send + Sync + 'static) -> Self {
        Opener(Arc::new(open))
    }

    /// A store that is opened when it is first used.
    pub fn later(&self) -> Later {
        Later { opener: self.clone(), store: RefCell::new(None) }
    }
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opener")
    }
}

/// See the module.
pub struct Later {
    opener: Opener,
    store: RefCell<Option<Box<dyn Store>>>,
}

impl Later {
    /// Opens the store if it is not open.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(&self) -> anyhow::Result<()> {
        self.with(|_| Ok(()))
    }

    fn with<T>(&self, work: impl FnOnce(&mut dyn Store) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let mut slot = self.store.borrow_mut();
        let store = match slot.as_mut() {
            Some(store) => store,
            None => slot.insert((self.opener.0)()?),
        };
        let done = work(store.as_mut());
        // A connection that merely waited is good; another may be to a disk or a file that has come back since.
        if done.as_ref().is_err_and(|e| !is_busy(e)) {
            *slot = None;
        }
        done
    }
}

impl Store for Later {
    fn append(&mut self, batch: &Batch) -> anyhow::Result<Appended> {
        self.with(|store| store.append(batch))
    }

    fn settle(&mut self) -> anyhow::Result<()> {
        self.with(|store| store.settle())
    }

    fn observations(&self) -> anyhow::Result<Vec<Observation>> {
        self.with(|store| store.observations())
    }

    fn cursor(&self, path: &Path) -> anyhow::Result<Option<Cursor>> {
        self.with(|store| store.cursor(path))
    }

    fn cursors(&self) -> anyhow::Result<Vec<(PathBuf, Cursor)>> {
        self.with(|store| store.cursors())
    }

    fn counters(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        self.with(|store| store.counters())
    }

    fn codex_homes(&self) -> anyhow::Result<Vec<PathBuf>> {
        self.with(|store| store.codex_homes())
    }

    fn purge(&mut self, which: &Purge) -> anyhow::Result<u64> {
        self.with(|store| store.purge(which))
    }
}
