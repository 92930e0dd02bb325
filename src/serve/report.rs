//! Counts of what the sink did, and the warnings that the user gets to see.

use super::Events;
use crate::store::Appended;
use crate::store::journal::Drained;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a sink did in its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests of every kind, also refused ones.
    pub requests: u64,
    /// Requests with logs, traces and metrics that were answered 200; traces and metrics are not kept.
    pub logs: u64,
    /// See `logs`.
    pub traces: u64,
    /// See `logs`.
    pub metrics: u64,
    /// Requests refused for their token (401).
    pub unauthorized: u64,
    /// Requests refused for another reason (4xx).
    pub refused: u64,
    /// Requests that could not be stored (503): their records are lost, since Codex does not send again.
    pub failed: u64,
    /// Requests that were put into the journal, because the store could not be written.
    pub journaled: u64,
    /// Observations that were new.
    pub stored: u64,
    /// Observations that were there already.
    pub known: u64,
    /// Observations that share a key with another content.
    pub conflicts: u64,
    /// Records that could not be read.
    pub rejected: u64,
    /// Transactions; fewer than requests when many wait.
    pub commits: u64,
    /// New observations that were read from spool and transcripts in the background.
    pub followed: u64,
    /// Requests that were passed on.
    pub forwarded: u64,
    /// Requests that could not be queued, or that the other end refused for ever.
    pub not_forwarded: u64,
    /// Responses whose cost was passed on.
    pub costs_forwarded: u64,
}

/// A warning. The text of each is one sentence for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Requests came without the right token.
    Unauthorized {
        /// How many since the last warning.
        requests: u64,
    },
    /// The store could not be written.
    StoreFailed {
        /// How many requests were lost since the last warning.
        requests: u64,
        /// What the store said.
        why: String,
    },
    /// The store could not be written, and the journal took what came. Nothing is lost.
    Journaled {
        /// How many requests since the last warning.
        requests: u64,
        /// What the store said.
        why: String,
    },
    /// Reading on in spool and transcripts, or emptying the journal, failed; it is tried again.
    Background {
        /// How often since the last warning.
        times: u64,
        /// What was wrong the last time.
        why: String,
    },
    /// Log records could not be read.
    Rejected {
        /// How many since the last warning.
        records: u64,
        /// What was wrong with one of them.
        why: String,
    },
    /// New connections cannot be taken for now, for example because too many files are open.
    AcceptFailed {
        /// How often since the last warning.
        times: u64,
        /// What the system said.
        why: String,
    },
    /// Telemetry that is not passed on, for good.
    ForwardLost {
        /// How many requests since the last warning.
        requests: u64,
        /// Why the last of them.
        why: String,
    },
    /// Telemetry could not be passed on yet; it waits in the queue.
    Forward {
        /// How often since the last warning.
        times: u64,
        /// What was wrong the last time.
        why: String,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Unauthorized { requests } => write!(
                f,
                "Codex never shows 401s: {requests} requests refused; check the headers line in its [otel] config"
            ),
            Event::StoreFailed { requests, why } => {
                write!(f, "{requests} requests could not be stored, and Codex does not send again: {why}")
            }
            Event::Journaled { requests, why } => {
                write!(f, "{requests} requests wait in the journal until the store can be written: {why}")
            }
            Event::Background { times, why } => {
                write!(f, "reading on in the background failed ({times} times), and is tried again: {why}")
            }
            Event::Rejected { records, why } => write!(f, "{records} log records could not be read: {why}"),
            Event::ForwardLost { requests, why } => write!(f, "{requests} requests are not passed on: {why}"),
            Event::Forward { times, why } => write!(f, "telemetry could not be passed on ({times} times): {why}"),
            Event::AcceptFailed { times, why } => write!(f, "connections cannot be taken ({times} times): {why}"),
        }
    }
}

/// The kinds of warning, each with its own clock.
#[derive(Debug, Clone, Copy)]
pub(super) enum Warning {
    Unauthorized,
    StoreFailed,
    Journaled,
    Background,
    Rejected,
    AcceptFailed,
    Forward,
    ForwardLost,
}

const WARNINGS: [Warning; 8] = [
    Warning::Unauthorized,
    Warning::StoreFailed,
    Warning::Journaled,
    Warning::Background,
    Warning::Rejected,
    Warning::AcceptFailed,
    Warning::Forward,
    Warning::ForwardLost,
];

/// What has been counted since the last warning of a kind.
#[derive(Default)]
struct Pending {
    count: u64,
    why: String,
    last: Option<Instant>,
}

/// Counts, and passes each kind of warning on at most once in an interval.
pub(super) struct Reporter {
    interval: Duration,
    inner: Mutex<Inner>,
}

struct Inner {
    stats: Stats,
    pending: [Pending; WARNINGS.len()],
    events: Events,
}

impl Reporter {
    pub(super) fn new(events: Events, interval: Duration) -> Self {
        let inner = Inner { stats: Stats::default(), pending: Default::default(), events };
        Reporter { interval, inner: Mutex::new(inner) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // The numbers stay true even if a caller's event handler panicked.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Stats)) {
        change(&mut self.lock().stats);
    }

    pub(super) fn committed(&self, appended: Appended) {
        self.count(|stats| {
            stats.commits += 1;
            stats.stored += appended.stored;
            stats.known += appended.known;
            stats.conflicts += appended.conflicts;
        });
    }

    pub(super) fn drained(&self, drained: Drained) {
        self.count(|stats| {
            stats.commits += drained.commits;
            stats.stored += drained.appended.stored;
            stats.known += drained.appended.known;
            stats.conflicts += drained.appended.conflicts;
        });
    }

    pub(super) fn stats(&self) -> Stats {
        self.lock().stats
    }

    pub(super) fn warn(&self, warning: Warning, count: u64, why: &str) {
        let mut inner = self.lock();
        let pending = &mut inner.pending[warning as usize];
        pending.count += count;
        pending.why = why.to_string();
        if pending.last.is_none_or(|last| last.elapsed() >= self.interval) {
            inner.send(warning);
        }
    }

    /// Passes on what has been held back.
    pub(super) fn flush(&self) {
        let mut inner = self.lock();
        for warning in WARNINGS {
            if inner.pending[warning as usize].count > 0 {
                inner.send(warning);
            }
        }
    }
}

impl Inner {
    fn send(&mut self, warning: Warning) {
        let fresh = Pending { last: Some(Instant::now()), ..Pending::default() };
        let Pending { count, why, .. } = std::mem::replace(&mut self.pending[warning as usize], fresh);
        (self.events)(match warning {
            Warning::Unauthorized => Event::Unauthorized { requests: count },
            Warning::StoreFailed => Event::StoreFailed { requests: count, why },
            Warning::Journaled => Event::Journaled { requests: count, why },
            Warning::Background => Event::Background { times: count, why },
            Warning::Rejected => Event::Rejected { records: count, why },
            Warning::AcceptFailed => Event::AcceptFailed { times: count, why },
            Warning::Forward => Event::Forward { times: count, why },
            Warning::ForwardLost => Event::ForwardLost { requests: count, why },
        });
    }
}
