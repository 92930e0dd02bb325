//! What the sink does besides answering, on a thread with a connection of its own: it applies the journal once the store can be
//! written again, reads on in spool and transcripts, and does what the store puts off. Its transactions are short, and it takes turns with the writer.

use super::forward::Touched;
use super::report::{Reporter, Warning};
use super::writer::Turn;
use crate::collect::{Follower, Keeping};
use crate::model::{Day, Observation};
use crate::store::later::Opener;
use crate::store::{Appended, Batch, Cursor, PIECE, Purge, Store, is_busy, journal};
use anyhow::{Context as _, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often there is a look at whether something is due.
const TICK: Duration = Duration::from_millis(250);

/// The longest time for which the store is left to others after a transaction.
const MANNERS: Duration = Duration::from_millis(20);

/// A store that is held at times is everyday; one that is held so often in a row is worth a warning.
const BUSY_IN_A_ROW: u32 = 40;

/// The journal of a home, and what is read on in the background.
#[derive(Debug, Clone)]
pub struct Background {
    /// The home with journal and spool.
    pub home: PathBuf,
    /// Opens a connection that waits only shortly for others.
    pub open: Opener,
    /// Where to read on; `None` leaves that to others.
    pub follow: Option<Follow>,
}

/// Where to read on besides the spool.
#[derive(Debug, Clone)]
pub struct Follow {
    /// CODEX_HOME folders, besides those that the store knows of.
    pub codex_homes: Vec<PathBuf>,
    /// What is kept of what is read.
    pub keeping: Keeping,
}

/// The running thread. Dropping it ends the thread after its transaction, and waits for that.
pub(super) struct Running {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // What it has not done is done by the next reader; a panic has been printed.
            let _ = thread.join();
        }
    }
}

impl Background {
    pub(super) fn start(
        self,
        turn: Turn,
        touched: Option<Touched>,
        reporter: Arc<Reporter>,
    ) -> anyhow::Result<Running> {
        let stop = Arc::new(AtomicBool::new(false));
        let store = Polite { store: Box::new(self.open.later()), touched, turn, stop: Arc::clone(&stop) };
        let home = self.home.clone();
        let follower = self.follow.map(|f| Follower::new(self.home, f.codex_homes, f.keeping));
        let mut work = Work { home, store, follower, reporter, busy: 0 };
        let thread = std::thread::Builder::new()
            .name("sink-background".to_string())
            .spawn(move || work.run())
            .context("the sink's background cannot be started")?;
        Ok(Running { stop, thread: Some(thread) })
    }
}

struct Work {
    home: PathBuf,
    store: Polite,
    follower: Option<Follower>,
    reporter: Arc<Reporter>,
    /// How often the store was held, in a row.
    busy: u32,
}

impl Work {
    fn run(&mut self) {
        while !self.store.is_stopping() {
            let done = self.drain().and_then(|()| self.follow()).and_then(|()| self.store.settle());
            let behind = done.is_ok() && self.follower.as_ref().is_some_and(Follower::is_behind);
            match done {
                Ok(()) => self.busy = 0,
                Err(_) if self.store.is_stopping() => return,
                Err(e) => {
                    self.busy = if is_busy(&e) { self.busy + 1 } else { BUSY_IN_A_ROW };
                    if self.busy >= BUSY_IN_A_ROW {
                        self.reporter.warn(Warning::Background, 1, &format!("{e:#}"));
                        self.wait(TICK * 4);
                    }
                }
            }
            if !behind {
                self.wait(TICK);
            }
        }
    }

    fn drain(&mut self) -> anyhow::Result<()> {
        if !journal::is_empty(&self.home).context("cannot read the journal")? {
            self.reporter.drained(journal::drain(&self.home, &mut self.store, Duration::ZERO)?);
        }
        Ok(())
    }

    fn follow(&mut self) -> anyhow::Result<()> {
        let Some(follower) = &mut self.follower else { return Ok(()) };
        let summary = follower.step(&mut self.store, Day(chrono::Utc::now().date_naive()))?;
        self.reporter.count(|stats| stats.followed += summary.stored);
        if summary.failed > 0 {
            self.reporter.warn(Warning::Background, summary.failed, &summary.problems.join("; "));
        }
        Ok(())
    }

    /// Waits, but not beyond the end.
    fn wait(&self, time: Duration) {
        if !self.store.is_stopping() {
            std::thread::park_timeout(time);
        }
    }
}

/// A store that lets the writer go first, and ends what is going on when the sink stops.
struct Polite {
    store: Box<dyn Store>,
    /// Where threads with news are noted.
    touched: Option<Touched>,
    turn: Turn,
    stop: Arc<AtomicBool>,
}

impl Polite {
    fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn append_piece(&mut self, batch: &Batch) -> anyhow::Result<Appended> {
        if self.is_stopping() {
            bail!("the sink is stopping");
        }
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let began = Instant::now();
        let appended = self.store.append(batch);
        drop(turn);
        if let (Some(touched), Ok(appended)) = (&self.touched, &appended) {
            touched.note(*appended, &batch.observations);
        }
        // Whoever waits, here or in another process, is next.
        std::thread::sleep(began.elapsed().min(MANNERS));
        appended
    }
}

impl Store for Polite {
    fn append(&mut self, batch: &Batch) -> anyhow::Result<Appended> {
        if batch.observations.len() <= PIECE {
            return self.append_piece(batch);
        }
        let mut appended = Appended::default();
        for piece in batch.clone().in_pieces(PIECE) {
            appended += self.append_piece(&piece)?;
        }
        Ok(appended)
    }

    fn settle(&mut self) -> anyhow::Result<()> {
        self.store.settle()
    }

    fn observations(&self) -> anyhow::Result<Vec<Observation>> {
        self.store.observations()
    }

    fn cursor(&self, path: &Path) -> anyhow::Result<Option<Cursor>> {
        self.store.cursor(path)
    }

    fn cursors(&self) -> anyhow::Result<Vec<(PathBuf, Cursor)>> {
        self.store.cursors()
    }

    fn counters(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        self.store.counters()
    }

    fn codex_homes(&self) -> anyhow::Result<Vec<PathBuf>> {
        self.store.codex_homes()
    }

    fn purge(&mut self, which: &Purge) -> anyhow::Result<u64> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.store.purge(which)
    }
}
