//! Captured contents in SQLite: a table of their own, from which they can really be taken away.

use super::rows::thread_row;
use super::{SqliteStore, mark_busy};
use crate::model::{Content, ContentKind, Key, ThreadId, Timestamp};
use crate::store::Purge;
use anyhow::Context as _;
use rusqlite::{Connection, OpenFlags, Transaction, params};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the WAL's readers are waited for, so that it can be emptied.
const PATIENCE: Duration = Duration::from_secs(10);

/// Stores contents that were never there.
pub(super) fn append(tx: &Transaction<'_>, contents: &[Content]) -> anyhow::Result<()> {
    let mut insert = tx.prepare_cached("INSERT OR IGNORE INTO content VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    for c in contents {
        let thread = thread_row(tx, &c.thread)?.id;
        insert.execute(params![thread, c.time.0, c.key.0, c.kind.code(), c.turn, c.call, c.text])?;
    }
    Ok(())
}

impl SqliteStore {
    pub(super) fn read_contents(&self, threads: &[ThreadId]) -> anyhow::Result<Vec<Content>> {
        let sql = "SELECT c.time_ns, c.key, c.kind, c.turn, c.call, c.text FROM content c JOIN thread t ON t.id = c.thread \
                   WHERE t.thread_id = ?1 AND c.text IS NOT NULL";
        let mut statement = self.db.prepare_cached(sql)?;
        let mut all = Vec::new();
        for thread in threads {
            let mut found = statement.query([thread.as_str()])?;
            while let Some(row) = found.next()? {
                let key: [u8; 16] = row.get_ref(1)?.as_blob()?.try_into().context("a stored key is damaged")?;
                // A kind of a newer version stays where it is.
                let Some(kind) = ContentKind::from_code(row.get(2)?) else { continue };
                let (time, turn, call, text) = (Timestamp(row.get(0)?), row.get(3)?, row.get(4)?, row.get(5)?);
                all.push(Content { thread: thread.clone(), key: Key(key), time, kind, turn, call, text });
            }
        }
        all.sort_by(|a, b| (a.time, a.kind, &a.thread, a.key.0).cmp(&(b.time, b.kind, &b.thread, b.key.0)));
        Ok(all)
    }

    pub(super) fn purge_contents(&mut self, which: &Purge) -> anyhow::Result<u64> {
        let before = match which {
            Purge::Before(time) => time.0,
            Purge::All | Purge::Threads(_) => i64::MAX,
        };
        let due = "SELECT EXISTS (SELECT 1 FROM content WHERE text IS NOT NULL AND time_ns < ?1)";
        if !self.db.query_row(due, [before], |row| row.get::<_, bool>(0))? {
            return Ok(0);
        }
        // What is taken away is written over with zeros.
        self.db.pragma_update(None, "secure_delete", true)?;
        let work = || -> anyhow::Result<usize> {
            let tx = self.begin()?;
            let mut gone = 0;
            match which {
                Purge::Before(_) | Purge::All => {
                    let sql = "UPDATE content SET text = NULL WHERE text IS NOT NULL AND time_ns < ?1";
                    gone += tx.execute(sql, [before])?;
                }
                Purge::Threads(threads) => {
                    let sql = "UPDATE content SET text = NULL WHERE text IS NOT NULL \
                               AND thread = (SELECT id FROM thread WHERE thread_id = ?1)";
                    for thread in threads {
                        gone += tx.execute(sql, [thread.as_str()])?;
                    }
                }
            }
            tx.commit()?;
            Ok(gone)
        };
        let gone = work().map_err(mark_busy)?;
        // The log holds what was there before until it is emptied: now, unless somebody reads, else with one of its next rounds.
        self.db.busy_timeout(Duration::ZERO)?;
        let _ = self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        self.db.busy_timeout(self.patience)?;
        Ok(gone as u64)
    }

    /// Takes away what was taken away in another store, which this one replaces; also what this one has not read yet. Returns how
    /// many texts were there.
    ///
    /// # Errors
    /// The other store cannot be read, or this one cannot be written.
    pub fn take_away_as(&mut self, other: &Path) -> anyhow::Result<u64> {
        let other = Connection::open_with_flags(other, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let kept = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'content')";
        if !other.query_row(kept, [], |row| row.get::<_, bool>(0))? {
            // It is of a time when nothing was kept.
            return Ok(0);
        }
        self.db.pragma_update(None, "secure_delete", true)?;
        let work = || -> anyhow::Result<u64> {
            let tx = self.begin()?;
            let gone = "SELECT t.thread_id, c.time_ns, c.key, c.kind, c.turn, c.call FROM content c JOIN thread t ON t.id = c.thread \
                        WHERE c.text IS NULL";
            let mut gone = other.prepare(gone)?;
            let mut rows = gone.query([])?;
            let mut texts = 0;
            while let Some(row) = rows.next()? {
                let Some(thread) = ThreadId::new(row.get_ref(0)?.as_str()?) else { continue };
                let thread = thread_row(&tx, &thread)?.id;
                let (time, key): (i64, Vec<u8>) = (row.get(1)?, row.get(2)?);
                let there = "UPDATE content SET text = NULL WHERE thread = ?1 AND time_ns = ?2 AND key = ?3 AND text IS NOT NULL";
                texts += tx.prepare_cached(there)?.execute(params![thread, time, key])? as u64;
                let (kind, turn, call): (i64, Option<String>, Option<String>) = (row.get(3)?, row.get(4)?, row.get(5)?);
                let mark = "INSERT OR IGNORE INTO content VALUES (?1, ?2, ?3, ?4, ?5, ?6, NULL)";
                tx.prepare_cached(mark)?.execute(params![thread, time, key, kind, turn, call])?;
            }
            tx.commit()?;
            Ok(texts)
        };
        work().map_err(mark_busy)
    }

    /// Leaves nothing in the file of what was taken away before: it is written anew, and the WAL is emptied. False if another
    /// process reads for so long that the WAL cannot be emptied.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn scrub(&mut self) -> anyhow::Result<bool> {
        self.db.pragma_update(None, "secure_delete", true)?;
        self.db.execute_batch("VACUUM").map_err(|e| mark_busy(e.into()))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let busy: i64 = self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
            if busy == 0 || Instant::now() >= deadline {
                return Ok(busy == 0);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
