//! Says once of each response what it costs and who pays, a little after it is complete.
//!
//! What was said is remembered by the keys of the response's observations, so that another source that tells of it later, or
//! another sink, does not say it again. It is said of what this sink received or read itself.

use super::{Parcel, Queue, event};
use crate::cache::{self, Inputs};
use crate::model::{Key, Line, Observation, ThreadId, Timestamp};
use crate::serve::report::{Reporter, Warning};
use crate::store::{Appended, Cache};
use anyhow::Context as _;
use rustix::fs::OFlags;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often there is a look at what came.
const TICK: Duration = Duration::from_secs(1);

/// How long a thread must have been quiet, or, if it never is, how long ago its first news may be.
const QUIET: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(30));

/// How old a response must be: by then all sources have told of it, transcripts are read every ten seconds.
const SETTLED_NS: i64 = 15_000_000_000;

/// How old a response may be, and for how long it is remembered that its cost was said.
const MEMORY_NS: i64 = 40 * 86_400 * 1_000_000_000;

/// How much before the first start with forwarding a response may be.
const BEFORE_NS: i64 = 3_600 * 1_000_000_000;

/// What finding costs needs.
#[derive(Clone)]
pub struct Costs {
    /// Opens the store, for reading only.
    pub open: Arc<dyn Fn() -> anyhow::Result<Box<dyn Cache>> + Send + Sync>,
    /// Prices, rules and settings as they are now.
    pub inputs: Arc<dyn Fn() -> anyhow::Result<Inputs> + Send + Sync>,
}

impl Costs {
    pub(super) fn work(
        self,
        folder: &Path,
        touched: Touched,
        queue: Queue,
        reporter: Arc<Reporter>,
        stop: Arc<AtomicBool>,
    ) -> anyhow::Result<Work> {
        let said = Said::open(folder.join("costs"), now())?;
        Ok(Work { costs: self, touched, queue, reporter, stop, said })
    }
}

fn now() -> Timestamp {
    Timestamp(chrono::Utc::now().timestamp_nanos_opt().unwrap_or(i64::MAX))
}

/// Threads with news: when the first and the last came.
#[derive(Clone, Default)]
pub(crate) struct Touched(Arc<Mutex<HashMap<ThreadId, (Instant, Instant)>>>);

impl Touched {
    /// Notes whose observations were appended, if any of them was news.
    pub(crate) fn note(&self, appended: Appended, observations: &[Observation]) {
        if appended.stored == 0 {
            return;
        }
        let now = Instant::now();
        let mut threads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut last: Option<&ThreadId> = None;
        for observation in observations {
            if last != Some(&observation.thread) {
                last = Some(&observation.thread);
                threads.entry(observation.thread.clone()).or_insert((now, now)).1 = now;
            }
        }
    }

    fn again(&self, thread: ThreadId) {
        let now = Instant::now();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(thread).or_insert((now, now));
    }

    fn take_quiet(&self) -> Vec<ThreadId> {
        let mut threads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let quiet = |(first, last): &(Instant, Instant)| last.elapsed() >= QUIET.0 || first.elapsed() >= QUIET.1;
        threads.extract_if(|_, when| quiet(when)).map(|(thread, _)| thread).collect()
    }
}

pub(super) struct Work {
    costs: Costs,
    touched: Touched,
    queue: Queue,
    reporter: Arc<Reporter>,
    stop: Arc<AtomicBool>,
    said: Said,
}

impl Work {
    pub(super) fn run(&mut self) {
        // What came just before an earlier sink ended is still marked as news.
        let marked = (self.costs.open)().and_then(|store| store.dirty_after(None, 10_000));
        marked.unwrap_or_default().into_iter().for_each(|thread| self.touched.again(thread));
        while !self.stop.load(Ordering::Relaxed) {
            let threads = self.touched.take_quiet();
            if !threads.is_empty()
                && let Err(e) = self.say(&threads)
            {
                self.reporter.warn(Warning::Forward, 1, &format!("costs are told later: {e:#}"));
                threads.into_iter().for_each(|thread| self.touched.again(thread));
            }
            if !self.stop.load(Ordering::Relaxed) {
                std::thread::park_timeout(TICK);
            }
        }
    }

    fn say(&mut self, threads: &[ThreadId]) -> anyhow::Result<()> {
        let inputs = (self.costs.inputs)()?;
        let lines = cache::lines((self.costs.open)()?.as_ref(), &inputs, threads)?;
        let now = now();
        let news = lines.iter().filter(|line| self.said.is_news(line, now));
        let (ready, fresh): (Vec<&Line>, Vec<&Line>) =
            news.partition(|line| line.response.time.0 <= now.0 - SETTLED_NS);
        fresh.into_iter().for_each(|line| self.touched.again(line.response.thread.clone()));
        if ready.is_empty() {
            return Ok(());
        }
        let body = event::request(&ready, inputs.book().hash(), now);
        let parcel = Parcel { signal: "logs", content_type: "application/json", gzip: false, hops: 0, body };
        if self.queue.put(&parcel) {
            self.said.remember(&ready)?;
            let n = ready.len() as u64;
            self.reporter.count(|stats| stats.costs_forwarded += n);
        }
        Ok(())
    }
}

/// Of which responses it was said what they cost. On disk a line each: its time and its key.
struct Said {
    path: PathBuf,
    since: i64,
    keys: BTreeSet<[u8; 16]>,
}

impl Said {
    /// Reads what is remembered, and forgets what is too old to come again. The first line is when all this began.
    fn open(path: PathBuf, now: Timestamp) -> anyhow::Result<Self> {
        let mut said = Said { path, since: now.0 - BEFORE_NS, keys: BTreeSet::new() };
        let mut kept = String::new();
        if let Ok(file) = options().read(true).open(&said.path) {
            let mut lines = BufReader::new(file).lines();
            said.since = lines.next().and_then(|line| line.ok()?.parse().ok()).unwrap_or(said.since);
            for line in lines.map_while(Result::ok) {
                // A torn line is of a response whose cost is told once more.
                let Some((time, key)) = parse(&line) else { continue };
                if time > now.0 - MEMORY_NS {
                    said.keys.insert(key);
                    writeln!(kept, "{line}")?;
                }
            }
        }
        let (folder, text) = (said.path.parent().unwrap_or(Path::new(".")), format!("{}\n{kept}", said.since));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.persist(&said.path).with_context(|| format!("cannot write {}", said.path.display()))?;
        Ok(said)
    }

    fn is_news(&self, line: &Line, now: Timestamp) -> bool {
        let time = line.response.time.0;
        time >= self.since.max(now.0 - MEMORY_NS) && !keys(line).any(|key| self.keys.contains(&key))
    }

    fn remember(&mut self, lines: &[&Line]) -> anyhow::Result<()> {
        let mut text = String::new();
        for line in lines {
            for key in keys(line) {
                self.keys.insert(key);
                writeln!(text, "{} {}", line.response.time.0, Key(key).hex())?;
            }
        }
        let mut file = options().append(true).open(&self.path)?;
        Ok(file.write_all(text.as_bytes())?)
    }
}

fn options() -> std::fs::OpenOptions {
    let mut options = File::options();
    options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed()).mode(0o600);
    options
}

fn parse(line: &str) -> Option<(i64, [u8; 16])> {
    let (time, hex) = line.split_once(' ')?;
    let mut key = [0; 16];
    for (i, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * i..2 * i + 2)?, 16).ok()?;
    }
    (hex.len() == 32).then_some((time.parse().ok()?, key))
}

/// A line is known by each observation of its response; of a shared response each share is a line.
fn keys(line: &Line) -> impl Iterator<Item = [u8; 16]> {
    let thread = line.response.thread.as_str();
    let share = line.share.map(|_| line.response.owner.team.value.as_str()).unwrap_or_default();
    line.response.keys.iter().map(move |key| {
        let builder = crate::model::KeyBuilder::new("cost").part(thread).part(share);
        builder.part(&key.hex()).build().0
    })
}
