//! The thread that owns the store. All requests that wait are committed together, then all are answered.

use super::report::{Reporter, Warning};
use crate::model::Observation;
use crate::store::{Batch, Store};
use anyhow::Context as _;
use std::collections::BTreeMap;
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

/// The way to the store.
#[derive(Clone)]
pub(super) struct Writer {
    queue: mpsc::Sender<Message>,
    counters: Arc<Mutex<BTreeMap<String, u64>>>,
}

enum Message {
    Write(Job),
    Stop,
}

struct Job {
    observations: Vec<Observation>,
    done: oneshot::Sender<bool>,
}

impl Writer {
    /// Starts the thread. It ends, with what is still to be counted written, after [`Writer::stop`].
    pub(super) fn start(
        store: Box<dyn Store>,
        reporter: Arc<Reporter>,
    ) -> anyhow::Result<(Self, JoinHandle<anyhow::Result<()>>)> {
        let (queue, messages) = mpsc::channel(QUEUE);
        let counters = Arc::new(Mutex::new(BTreeMap::new()));
        let worker = Worker { store, reporter, counters: Arc::clone(&counters) };
        let thread = std::thread::Builder::new()
            .name("sink-writer".to_string())
            .spawn(move || worker.run(messages))
            .context("the sink's writer cannot be started")?;
        Ok((Writer { queue, counters }, thread))
    }

    /// Counts what was not kept. It is written with the next observations: nothing to wait for.
    pub(super) fn count(&self, counters: BTreeMap<String, u64>) {
        add(&self.counters, counters);
    }

    /// Returns true once the observations are on disk, false if they could not be written.
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
    reporter: Arc<Reporter>,
    counters: Arc<Mutex<BTreeMap<String, u64>>>,
}

impl Worker {
    fn run(mut self, mut messages: mpsc::Receiver<Message>) -> anyhow::Result<()> {
        let mut stopping = false;
        while !stopping && let Some(message) = messages.blocking_recv() {
            let mut group = Vec::new();
            let mut size = 0;
            let mut next = Some(message);
            while let Some(message) = next {
                match message {
                    Message::Write(job) => {
                        size += job.observations.len();
                        group.push(job);
                    }
                    Message::Stop => stopping = true,
                }
                let more = !stopping && size < GROUP_OBSERVATIONS;
                next = if more { messages.try_recv().ok() } else { None };
            }
            if !group.is_empty() {
                self.commit(group);
            }
        }
        let rest = self.take_counters();
        if rest.is_empty() {
            return Ok(());
        }
        let batch = Batch { counters: rest, ..Batch::default() };
        let appended = self.store.append(&batch).context("the sink's counters cannot be written")?;
        self.reporter.committed(appended);
        Ok(())
    }

    fn take_counters(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut *self.counters.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes a group in one transaction. If that fails each is tried alone, so that none suffers for another.
    fn commit(&mut self, group: Vec<Job>) {
        let began = Instant::now();
        let (parts, waiting): (Vec<_>, Vec<_>) = group.into_iter().map(|job| (job.observations, job.done)).unzip();
        let lengths: Vec<usize> = parts.iter().map(Vec::len).collect();
        let (mut rest, mut why) = match self.append(parts.into_iter().flatten().collect()) {
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
                match self.append(own) {
                    Ok(()) => stored = true,
                    Err((_, error)) => why = error,
                }
            }
            if !stored {
                self.reporter.warn(Warning::StoreFailed, 1, &format!("{why:#}"));
            }
            let _ = done.send(stored);
        }
    }

    /// Writes one transaction, and gives the observations back if it fails.
    fn append(&mut self, observations: Vec<Observation>) -> Result<(), (Vec<Observation>, anyhow::Error)> {
        let batch = Batch { observations, counters: self.take_counters(), ..Batch::default() };
        match self.store.append(&batch) {
            Ok(appended) => {
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
