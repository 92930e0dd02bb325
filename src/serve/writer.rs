//! The thread that owns the store. All requests that wait are committed together, then all are answered. While the store
//! cannot be written, the journal takes them.

use super::forward::Touched;
use super::report::{Reporter, Warning};
use super::watchdog::{Beat, Watchdog};
use crate::model::Observation;
use crate::store::journal::{self, Journal};
use crate::store::{Batch, Store, is_busy};
use anyhow::Context as _;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// How many requests may wait for the store; further ones wait in their handlers.
const QUEUE: usize = 1024;

/// Where one transaction ends, so that the first of a flood is not answered with the last.
const GROUP_OBSERVATIONS: usize = 16 * 1024;

/// Codex gives up after 10 s: later than this nobody waits for an answer.
const RETRY_TIME: Duration = Duration::from_secs(8);

/// How long a request waits for a store that is held, if the journal cannot be written either.
const HELD_TIME: Duration = Duration::from_secs(2);

/// After the store refused, the journal takes all that comes for so long, before the store is tried again.
const REST: Duration = Duration::from_millis(250);

/// How long the end of the sink waits for a store that is held, to leave an empty journal.
const LAST_DRAIN: Duration = Duration::from_secs(2);

/// Held for each transaction, so that writer and background do not wait for each other inside the store.
pub(super) type Turn = Arc<Mutex<()>>;

/// The way to the store.
#[derive(Clone)]
pub(super) struct Writer {
    queue: mpsc::Sender<Message>,
    counters: Arc<Mutex<BTreeMap<String, u64>>>,
    turn: Turn,
    beat: Beat,
}

enum Message {
    Write(Job),
    /// Nothing but an answer that it goes on.
    Beat,
    Stop,
}

struct Job {
    observations: Vec<Observation>,
    done: oneshot::Sender<bool>,
}

impl Writer {
    /// Starts the thread. It ends, with what is still to be counted written, after [`Writer::stop`]. With a home, its
    /// journal takes what the store does not.
    pub(super) fn start(
        store: Box<dyn Store>,
        touched: Option<Touched>,
        home: Option<PathBuf>,
        reporter: Arc<Reporter>,
    ) -> anyhow::Result<(Self, JoinHandle<anyhow::Result<()>>)> {
        let (queue, messages) = mpsc::channel(QUEUE);
        let counters = Arc::new(Mutex::new(BTreeMap::new()));
        let turn = Turn::default();
        let journal = home.map(|home| (Journal::new(&home), home));
        let beat = Beat::default();
        let (counted, turns, beats) = (Arc::clone(&counters), Arc::clone(&turn), Arc::clone(&beat));
        let worker =
            Worker { store, touched, journal, rest: None, reporter, counters: counted, turn: turns, beat: beats };
        let thread = std::thread::Builder::new()
            .name("sink-writer".to_string())
            .spawn(move || worker.run(messages))
            .context("the sink's writer cannot be started")?;
        Ok((Writer { queue, counters, turn, beat }, thread))
    }

    /// Answers from now on that it goes on. One whose queue is full is not asked: it answers with what it does.
    pub(super) fn is_watched(&self, watchdog: &Watchdog) {
        let queue = self.queue.clone();
        watchdog.add(Arc::clone(&self.beat), move || drop(queue.try_send(Message::Beat)));
    }

    /// Whoever else writes to the store in this process takes turns with the writer.
    pub(super) fn turn(&self) -> Turn {
        Arc::clone(&self.turn)
    }

    /// Counts what was not kept. It is written with the next observations: nothing to wait for.
    pub(super) fn count(&self, counters: BTreeMap<String, u64>) {
        add(&self.counters, counters);
    }

    /// Returns true once the observations are on disk, in the store or the journal, false if they could not be written.
    pub(super) async fn write(&self, observations: Vec<Observation>) -> bool {
        if observations.is_empty() {
            return true;
        }
        let (done, written) = oneshot::channel();
        let job = Message::Write(Job { observations, done });
        self.queue.send(job).await.is_ok() && written.await.unwrap_or(false)
    }

    /// Ends the thread after what is queued. Not for async code.
    pub(super) fn stop(&self) {
        // If the thread is gone already, joining it tells why.
        let _ = self.queue.blocking_send(Message::Stop);
    }
}

fn add(counters: &Mutex<BTreeMap<String, u64>>, more: BTreeMap<String, u64>) {
    let mut counters = counters.lock().unwrap_or_else(PoisonError::into_inner);
    for (name, n) in more {
        *counters.entry(name).or_default() += n;
    }
}

struct Worker {
    store: Box<dyn Store>,
    /// Where threads with news are noted.
    touched: Option<Touched>,
    /// The journal and the home it belongs to.
    journal: Option<(Journal, PathBuf)>,
    /// Why and until when the store is not tried.
    rest: Option<(Instant, String)>,
    turn: Turn,
    reporter: Arc<Reporter>,
    counters: Arc<Mutex<BTreeMap<String, u64>>>,
    beat: Beat,
}

impl Worker {
    fn run(mut self, mut messages: mpsc::Receiver<Message>) -> anyhow::Result<()> {
        let mut stopping = false;
        while !stopping && let Some(message) = messages.blocking_recv() {
            self.beat.store(true, Ordering::Relaxed);
            let mut group = Vec::new();
            let mut size = 0;
            let mut next = Some(message);
            while let Some(message) = next {
                match message {
                    Message::Write(job) => {
                        size += job.observations.len();
                        group.push(job);
                    }
                    Message::Beat => {}
                    Message::Stop => stopping = true,
                }
                let more = !stopping && size < GROUP_OBSERVATIONS;
                next = if more { messages.try_recv().ok() } else { None };
            }
            if !group.is_empty() {
                self.commit(group);
            }
        }
        self.drain_at_the_end();
        let (batch, error) = match self.has_counters().then(|| self.append(Vec::new())) {
            None | Some(Ok(())) => return Ok(()),
            Some(Err((_, error))) => (self.take_counters(), error),
        };
        match &mut self.journal {
            Some((journal, _)) => journal.append(&[], &batch).context("the sink's counters cannot be written"),
            None => Err(error.context("the sink's counters cannot be written")),
        }
    }

    /// What is in the journal need not wait there for the next start.
    fn drain_at_the_end(&mut self) {
        let Some((_, home)) = &self.journal else { return };
        let began = Instant::now();
        loop {
            match journal::drain(home, self.store.as_mut(), Duration::ZERO) {
                Ok(drained) => return self.reporter.drained(drained),
                Err(e) if is_busy(&e) && began.elapsed() < LAST_DRAIN => std::thread::sleep(Duration::from_millis(20)),
                Err(e) => return self.reporter.warn(Warning::Background, 1, &format!("{e:#}")),
            }
        }
    }

    fn has_counters(&self) -> bool {
        !self.counters.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn take_counters(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut *self.counters.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes a group in one transaction, else into the journal. If both fail each is tried alone, so that none suffers for
    /// another.
    fn commit(&mut self, group: Vec<Job>) {
        let began = Instant::now();
        let (parts, waiting): (Vec<_>, Vec<_>) = group.into_iter().map(|job| (job.observations, job.done)).unzip();
        let lengths: Vec<usize> = parts.iter().map(Vec::len).collect();
        let written = self.write(parts.into_iter().flatten().collect(), waiting.len());
        let (mut rest, mut why) = match written {
            Ok(()) => {
                for done in waiting {
                    // Whoever does not wait any more has its data stored all the same.
                    let _ = done.send(true);
                }
                return;
            }
            Err(failed) => failed,
        };
        for (length, done) in lengths.into_iter().zip(waiting) {
            let later = rest.split_off(length);
            let own = std::mem::replace(&mut rest, later);
            let mut stored = false;
            if began.elapsed() < RETRY_TIME {
                match self.insist(own, began) {
                    Ok(()) => stored = true,
                    // With a journal it was already said why, of both.
                    Err(_) if self.journal.is_some() => {}
                    Err(error) => why = error,
                }
            }
            if !stored {
                self.reporter.warn(Warning::StoreFailed, 1, &format!("{why:#}"));
            }
            let _ = done.send(stored);
        }
    }

    /// Writes into the store, or into the journal while that cannot be written.
    fn write(
        &mut self,
        observations: Vec<Observation>,
        requests: usize,
    ) -> Result<(), (Vec<Observation>, anyhow::Error)> {
        let resting = self.rest.take_if(|(until, _)| self.journal.is_none() || *until <= Instant::now());
        drop(resting);
        let (observations, why) = match &self.rest {
            Some((_, why)) => (observations, why.clone()),
            None => match self.append(observations) {
                Err((observations, error)) if self.journal.is_some() => (observations, format!("{error:#}")),
                other => return other,
            },
        };
        let counters = self.take_counters();
        let Some((journal, _)) = &mut self.journal else { return Err((observations, anyhow::Error::msg(why))) };
        if let Err(error) = journal.append(&observations, &counters) {
            add(&self.counters, counters);
            self.rest = None;
            return Err((observations, anyhow::Error::msg(format!("{why}; and the journal: {error}"))));
        }
        let requests = requests as u64;
        self.reporter.count(|stats| stats.journaled += requests);
        self.reporter.warn(Warning::Journaled, requests, &why);
        if self.rest.is_none() {
            self.rest = Some((Instant::now() + REST, why));
        }
        Ok(())
    }

    /// Writes one request, the last way that is left: while the store is held, this is worth some seconds.
    fn insist(&mut self, mut observations: Vec<Observation>, began: Instant) -> anyhow::Result<()> {
        loop {
            match self.append(observations) {
                Err((again, error)) if is_busy(&error) && began.elapsed() < HELD_TIME => observations = again,
                other => return other.map_err(|(_, error)| error),
            }
        }
    }

    /// Writes one transaction, and gives the observations back if it fails.
    fn append(&mut self, observations: Vec<Observation>) -> Result<(), (Vec<Observation>, anyhow::Error)> {
        let batch = Batch { observations, counters: self.take_counters(), ..Batch::default() };
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let appended = self.store.append(&batch);
        drop(turn);
        match appended {
            Ok(appended) => {
                if let Some(touched) = &self.touched {
                    touched.note(appended, &batch.observations);
                }
                self.reporter.committed(appended);
                Ok(())
            }
            Err(error) => {
                add(&self.counters, batch.counters);
                Err((batch.observations, error))
            }
        }
    }
}
