//! Reads on while files grow, by looking again and again: spool and active transcripts each second, all transcripts each ten
//! seconds or less often. No file watching: what it would save is small, and it loses events.

use super::{Found, Keeping, Summary, find_in_homes, read_spool_if_free, read_transcripts};
use crate::model::Day;
use crate::store::Store;
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// How often the spool and active transcripts are looked at.
const SOON: Duration = Duration::from_secs(1);

/// How often all transcripts are looked at, at least.
const FULL: Duration = Duration::from_secs(10);

/// Looking at all transcripts may take one part in so many of the time.
const SHARE: u32 = 20;

/// How long a transcript that does not grow counts as active.
const ACTIVE: Duration = Duration::from_secs(15 * 60);

/// How long one step reads transcripts before the spool and the active ones have their turn again.
const SLICE: Duration = Duration::from_millis(250);

/// Follows the spool of a home, and the transcripts of the CODEX_HOME folders that are given or learned of.
pub struct Follower {
    home: PathBuf,
    codex_homes: Vec<PathBuf>,
    keeping: Keeping,
    /// The transcripts that have been read as they are now.
    seen: HashMap<PathBuf, Stamp>,
    /// The transcripts that have changed, the next one last.
    changed: Vec<PathBuf>,
    soon: Option<Instant>,
    full: Option<Instant>,
}

/// A file as it was. While this is the same there is nothing to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    identity: (u64, u64),
    size: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let meta = std::fs::metadata(path).ok()?;
        Some(Stamp {
            identity: (meta.dev(), meta.ino()),
            size: meta.len(),
            modified: (meta.mtime(), meta.mtime_nsec()),
        })
    }

    fn is_active(&self) -> bool {
        let modified = u64::try_from(self.modified.0).unwrap_or_default();
        let age = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH + Duration::from_secs(modified));
        // A time in the future is as good as now.
        age.map_or(true, |age| age < ACTIVE)
    }
}

impl Follower {
    /// Nothing is read before the first step.
    pub fn new(home: PathBuf, codex_homes: Vec<PathBuf>, keeping: Keeping) -> Self {
        let (seen, changed) = (HashMap::new(), Vec::new());
        Follower { home, codex_homes, keeping, seen, changed, soon: None, full: None }
    }

    /// Whether changed transcripts wait to be read, so that the next step should come at once.
    pub fn is_behind(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Reads what is due, for a short time. `today` tells which days of the spool are over.
    ///
    /// # Errors
    /// The spool cannot be read or the store cannot be used; the next step takes it up again. A transcript or a folder that
    /// cannot be read is a problem in the summary, and is left until it changes.
    pub fn step(&mut self, store: &mut dyn Store, today: Day) -> anyhow::Result<Summary> {
        let began = Instant::now();
        let mut summary = Summary::default();
        if self.soon.is_none_or(|at| at <= began) {
            summary += read_spool_if_free(store, &self.home, today, &self.keeping.users)?;
            let active = self.seen.iter().filter(|(path, old)| old.is_active() && Stamp::of(path) != Some(**old));
            let active: Vec<_> = active.map(|(path, _)| path.clone()).collect();
            self.changed.retain(|path| !active.contains(path));
            self.changed.extend(active);
            self.soon = Some(Instant::now() + SOON);
        }
        if self.full.is_none_or(|at| at <= began) && self.changed.is_empty() {
            self.look_at_all(store, &mut summary)?;
            self.keeping.expire(store)?;
            let now = Instant::now();
            self.full = Some(now + FULL.max((now - began) * SHARE));
        }
        while let Some(path) = self.changed.last().cloned() {
            // Taken before reading: what is appended meanwhile is seen next time.
            match Stamp::of(&path) {
                Some(stamp) => {
                    summary += read_transcripts(store, std::slice::from_ref(&path), &self.keeping, &mut |_| {})?;
                    self.seen.insert(path, stamp);
                }
                None => drop(self.seen.remove(&path)),
            }
            self.changed.pop();
            if began.elapsed() > SLICE {
                break;
            }
        }
        Ok(summary)
    }

    /// Finds all transcripts that have changed. The newest are read first: they are the live ones.
    fn look_at_all(&mut self, store: &dyn Store, summary: &mut Summary) -> anyhow::Result<()> {
        let mut homes = store.codex_homes()?;
        homes.extend(self.codex_homes.iter().cloned());
        homes.sort();
        homes.dedup();
        let Found { paths: found, problems } = find_in_homes(&homes);
        problems.into_iter().for_each(|problem| summary.problem(problem));
        let mut seen = HashMap::with_capacity(found.len());
        let mut changed = Vec::new();
        for path in found {
            match (self.seen.remove(&path), Stamp::of(&path)) {
                (Some(old), Some(new)) if old == new => drop(seen.insert(path, old)),
                (_, Some(new)) => changed.push((new.modified, path)),
                (_, None) => {}
            }
        }
        changed.sort();
        self.changed = changed.into_iter().map(|(_, path)| path).collect();
        self.seen = seen;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::SqliteStore;

    #[test]
    fn what_grows_is_read_and_the_rest_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = SqliteStore::open(&dir.path().join("t.db")).unwrap();
        let sessions = dir.path().join("codex/sessions/2026/11/21");
        std::fs::create_dir_all(&sessions).unwrap();
        let file =
            |n: u32| sessions.join(format!("rollout-2026-11-21T01-38-57-01a1fbc1-b2d8-74a2-955e-{n:012x}.jsonl"));
        (1..=3).for_each(|n| std::fs::write(file(n), "{}\n").unwrap());
        let mut follower = Follower::new(dir.path().join("home"), vec![dir.path().join("codex")], Keeping::default());
        let today = Day::parse("2026-11-21").unwrap();
        let mut step = |again: fn(&mut Follower)| {
            again(&mut follower);
            follower.step(&mut store, today).unwrap().read
        };
        assert_eq!(step(|_| {}), 3);
        assert_eq!(step(|f| (f.soon, f.full) = (None, None)), 0);
        std::fs::write(file(2), "{}\n{}\n").unwrap();
        assert_eq!(step(|_| {}), 0, "not due yet");
        assert_eq!(step(|f| f.soon = None), 1, "an active one is looked at soon");
        std::fs::write(file(4), "{}\n").unwrap();
        std::fs::remove_file(file(1)).unwrap();
        assert_eq!(step(|f| f.soon = None), 0);
        assert_eq!(step(|f| f.full = None), 1, "a new one is found with the others");
        assert_eq!((follower.seen.len(), follower.is_behind()), (3, false));
    }
}
