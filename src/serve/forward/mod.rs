//! Passes on what the sink took: each request with its body unchanged, from a queue on disk, and what responses cost.
//!
//! - `queue`: the bounded folder of what is still to be delivered
//! - `costs`: finds responses that are complete, and says once what each costs and who pays
//! - `event`: how that is said, as OTLP logs
//!
//! Who delivers is the caller's: only `remote` speaks to the outside.

mod costs;
mod event;
mod queue;

pub use costs::Costs;
pub(super) use costs::Touched;
pub(super) use queue::Queue;

use super::report::{Reporter, Warning};
use anyhow::Context as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// The waits between two tries of the same delivery, from the first to the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// How often there is a look at the queue when nobody says that something came.
const TICK: Duration = Duration::from_secs(5);

/// The header that counts how many sinks have passed a request on.
pub const HOPS: &str = "x-codex-tally-hops";

/// More sinks than this stand in no row: they stand in a ring, in which requests would go round for ever.
const MOST_HOPS: u8 = 4;

/// One request to be passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    /// `logs`, `traces` or `metrics`: it goes to `/v1/` of this.
    pub signal: &'static str,
    /// Its content type.
    pub content_type: &'static str,
    /// Whether its body is gzip.
    pub gzip: bool,
    /// How many sinks have passed it on.
    pub hops: u8,
    /// The body as it came.
    pub body: Vec<u8>,
}

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// The other end has it.
    Done,
    /// Not now; perhaps after this time.
    Later(Option<Duration>, String),
    /// Never: the other end says that the request itself is wrong.
    Never(String),
}

/// Delivers one parcel.
pub type Deliver = Arc<dyn Fn(&Parcel) -> Delivery + Send + Sync>;

/// What is passed on, and how.
#[derive(Clone)]
pub struct Forward {
    /// The queue's folder, private to the user.
    pub folder: PathBuf,
    /// The most bytes that wait; what comes beyond is dropped and counted.
    pub most_bytes: u64,
    /// Delivers.
    pub deliver: Deliver,
    /// Adds what responses cost.
    pub costs: Option<Costs>,
}

impl std::fmt::Debug for Forward {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Forward").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// The running threads. Dropping it ends them; what is not delivered waits in the queue for the next sink.
pub(super) struct Running {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.thread().unpark();
            // A panic has been printed, and the queue is on disk.
            let _ = thread.join();
        }
    }
}

impl Forward {
    /// Opens the queue and starts to deliver.
    pub(super) fn start(self, touched: Option<Touched>, reporter: &Arc<Reporter>) -> anyhow::Result<(Queue, Running)> {
        let queue = Queue::open(&self.folder, self.most_bytes, Arc::clone(reporter))
            .with_context(|| format!("cannot use {} to pass telemetry on", self.folder.display()))?;
        let stop = Arc::new(AtomicBool::new(false));
        let mut sender = Sender {
            queue: queue.clone(),
            deliver: self.deliver,
            reporter: Arc::clone(reporter),
            stop: Arc::clone(&stop),
        };
        let mut threads = vec![std::thread::Builder::new().name("forward".to_string()).spawn(move || sender.run())?];
        queue.wake(threads[0].thread().clone());
        if let (Some(costs), Some(touched)) = (self.costs, touched) {
            let mut work = costs.work(&self.folder, touched, queue.clone(), Arc::clone(reporter), Arc::clone(&stop))?;
            threads.push(std::thread::Builder::new().name("forward-costs".to_string()).spawn(move || work.run())?);
        }
        Ok((queue, Running { stop, threads }))
    }
}

struct Sender {
    queue: Queue,
    deliver: Deliver,
    reporter: Arc<Reporter>,
    stop: Arc<AtomicBool>,
}

impl Sender {
    fn run(&mut self) {
        let mut pause = PAUSES.0;
        while !self.stop.load(Ordering::Relaxed) {
            let wait = match self.queue.first() {
                Ok(None) => TICK,
                Err(e) => {
                    self.reporter.warn(Warning::Forward, 1, &format!("{e:#}"));
                    PAUSES.1
                }
                Ok(Some((name, parcel))) => match (self.deliver)(&parcel) {
                    Delivery::Done => {
                        pause = PAUSES.0;
                        self.reporter.count(|stats| stats.forwarded += 1);
                        self.queue.remove(&name);
                        continue;
                    }
                    Delivery::Never(why) => {
                        self.reporter.count(|stats| stats.not_forwarded += 1);
                        self.reporter.warn(Warning::ForwardLost, 1, &format!("refused for ever, dropped: {why}"));
                        self.queue.remove(&name);
                        continue;
                    }
                    Delivery::Later(after, why) => {
                        self.reporter.warn(Warning::Forward, 1, &why);
                        let wait = after.unwrap_or(pause).clamp(PAUSES.0, PAUSES.1);
                        pause = (pause * 2).min(PAUSES.1);
                        self.rest(wait);
                        continue;
                    }
                },
            };
            std::thread::park_timeout(wait);
        }
    }

    /// Waits for this time, whatever comes into the queue meanwhile, but not beyond the end.
    fn rest(&self, time: Duration) {
        let until = std::time::Instant::now() + time;
        while !self.stop.load(Ordering::Relaxed) && std::time::Instant::now() < until {
            std::thread::park_timeout(until.saturating_duration_since(std::time::Instant::now()));
        }
    }
}
