//! The cache of sessions in SQLite.

use super::rows::{self, new_mark, thread_row};
use super::{SqliteStore, mark_busy, sealed};
use crate::model::{BillingPeriod, Observation, Rollup, Seal, SealedSession, ThreadId, Timestamp};
use crate::store::{Cache, Mark, Seen, Times};
use anyhow::Context as _;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use std::collections::{BTreeSet, HashSet};

/// The threads that belong to an id: itself, those of the session it is in, those of the session it is.
const FAMILY: &str = "\
    SELECT thread_id FROM thread WHERE thread_id = ?1 \
    UNION SELECT r.thread_id FROM thread t JOIN member m ON m.thread = t.id JOIN member n ON n.session = m.session \
        JOIN thread r ON r.id = n.thread WHERE t.thread_id = ?1 \
    UNION SELECT r.thread_id FROM session s JOIN member m ON m.session = s.id JOIN thread r ON r.id = m.thread \
        WHERE s.session_id = ?1";

impl SqliteStore {
    /// Changes the cache. A change that a power loss takes back is made again, so nothing waits for the disk.
    fn change<T>(&mut self, work: impl FnOnce(&Transaction<'_>) -> anyhow::Result<T>) -> anyhow::Result<T> {
        self.db.pragma_update(None, "synchronous", "normal")?;
        let change = || {
            let tx = self.begin()?;
            let done = work(&tx)?;
            tx.commit()?;
            anyhow::Ok(done)
        };
        let changed = change().map_err(mark_busy);
        self.db.pragma_update(None, "synchronous", "full")?;
        changed
    }
}

impl Cache for SqliteStore {
    fn computed_with(&self) -> anyhow::Result<Option<Vec<u8>>> {
        computed_with(&self.db)
    }

    fn reset(&mut self, inputs: &[u8]) -> anyhow::Result<()> {
        self.change(|tx| {
            tx.execute_batch("DELETE FROM member; DELETE FROM session; DELETE FROM dirty;")?;
            tx.execute("INSERT INTO dirty SELECT id, ?1 FROM thread", [new_mark()?])?;
            tx.execute("INSERT OR REPLACE INTO computed_with VALUES (1, ?1)", [inputs])?;
            sealed::index(tx)
        })
    }

    fn dirty(&self) -> anyhow::Result<u64> {
        let n: i64 = self.db.query_row("SELECT count(*) FROM dirty", [], |row| row.get(0))?;
        Ok(n as u64)
    }

    fn dirty_after(&self, after: Option<&ThreadId>, most: usize) -> anyhow::Result<Vec<ThreadId>> {
        let sql = "SELECT t.thread_id FROM thread t JOIN dirty d ON d.thread = t.id WHERE t.thread_id > ?1 \
                   ORDER BY t.thread_id LIMIT ?2";
        let mut statement = self.db.prepare_cached(sql)?;
        ids(&mut statement.query(params![after.map_or("", ThreadId::as_str), most as i64])?)
    }

    fn family(&self, of: &[ThreadId]) -> anyhow::Result<Vec<ThreadId>> {
        let mut statement = self.db.prepare_cached(FAMILY)?;
        let mut family = BTreeSet::new();
        for id in of {
            family.extend(ids(&mut statement.query([id.as_str()])?)?);
        }
        Ok(family.into_iter().collect())
    }

    fn halves(&self, made: &[Times], hooked: &[Times]) -> anyhow::Result<Vec<ThreadId>> {
        let mut found = BTreeSet::new();
        let ids_between = "SELECT thread_id FROM thread WHERE thread_id >= ?1 AND thread_id < ?2";
        let mut statement = self.db.prepare_cached(ids_between)?;
        for (from, to) in made {
            let (from, to) = (ThreadId::begins_at(from.0 / 1_000_000), ThreadId::begins_at(to.0 / 1_000_000 + 1));
            found.extend(ids(&mut statement.query([from, to])?)?);
        }
        let hooked_between = "SELECT DISTINCT t.thread_id FROM observation o JOIN thread t ON t.id = o.thread \
                              WHERE o.source = 1 AND o.time_ns BETWEEN ?1 AND ?2 \
                              AND NOT EXISTS (SELECT 1 FROM observation p WHERE p.thread = o.thread AND p.source = 3)";
        let mut statement = self.db.prepare_cached(hooked_between)?;
        for (from, to) in hooked {
            found.extend(ids(&mut statement.query([from.0, to.0])?)?);
        }
        Ok(found.into_iter().collect())
    }

    fn marks(&self, threads: Vec<ThreadId>) -> anyhow::Result<Vec<Seen>> {
        threads.into_iter().map(|thread| Ok((mark_of(&self.db, &thread)?, thread))).map(flip).collect()
    }

    fn observations_of(&self, threads: &[ThreadId]) -> anyhow::Result<Vec<Observation>> {
        let sql = "SELECT o.key, o.source, o.time_ns, o.body FROM thread t JOIN observation o ON o.thread = t.id \
                   WHERE t.thread_id = ?1 ORDER BY o.key, o.variant";
        let mut statement = self.db.prepare_cached(sql)?;
        let mut all = Vec::new();
        for thread in threads {
            let mut found = statement.query([thread.as_str()])?;
            while let Some(row) = found.next()? {
                all.extend(rows::read(row, thread.clone())?);
            }
        }
        Ok(all)
    }

    fn replace(&mut self, inputs: &[u8], seen: &[Seen], sessions: &[Rollup]) -> anyhow::Result<bool> {
        self.change(|tx| {
            let unchanged = computed_with(tx)?.as_deref() == Some(inputs) && are_whole(tx, seen)?;
            if unchanged {
                replace(tx, seen, sessions)?;
            }
            Ok(unchanged)
        })
    }

    fn rollups(
        &self,
        inputs: &[u8],
        (from, to): (Timestamp, Timestamp),
        each: &mut dyn FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<bool> {
        // One snapshot for both looks.
        let tx = self.db.unchecked_transaction()?;
        if computed_with(&tx)?.as_deref() != Some(inputs) {
            return Ok(false);
        }
        // Without a beginning the index would only lead here and there in the table; the sign keeps it away.
        let by_index = "SELECT rollup FROM session WHERE last_ns >= ?1 AND first_ns <= ?2";
        let in_order = "SELECT rollup FROM session WHERE +last_ns >= ?1 AND first_ns <= ?2";
        let mut statement = tx.prepare_cached(if from.0 == i64::MIN { in_order } else { by_index })?;
        let mut found = statement.query([from.0, to.0])?;
        while let Some(row) = found.next()? {
            each(row.get_ref(0)?.as_blob()?)?;
        }
        Ok(true)
    }

    fn sessions_like(&self, part: &str, most: usize) -> anyhow::Result<Vec<ThreadId>> {
        // One without members is a thread of another by now.
        let exact = "SELECT session_id FROM session WHERE session_id = ?1 \
                     AND id IN (SELECT session FROM member) LIMIT ?2";
        let begins = "SELECT DISTINCT s.session_id FROM thread t JOIN member m ON m.thread = t.id \
                      JOIN session s ON s.id = m.session WHERE t.thread_id >= ?1 AND t.thread_id < ?1 || char(127) \
                      UNION SELECT session_id FROM session WHERE session_id >= ?1 AND session_id < ?1 || char(127) \
                      AND id IN (SELECT session FROM member) ORDER BY 1 LIMIT ?2";
        let contains = "SELECT DISTINCT s.session_id FROM thread t JOIN member m ON m.thread = t.id \
                        JOIN session s ON s.id = m.session \
                        WHERE instr(t.thread_id, ?1) > 0 OR instr(s.session_id, ?1) > 0 ORDER BY 1 LIMIT ?2";
        for sql in [exact, begins, contains] {
            let found = ids(&mut self.db.prepare(sql)?.query(params![part, most as i64])?)?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Ok(Vec::new())
    }

    fn last_session(&self) -> anyhow::Result<Option<ThreadId>> {
        let sql = "SELECT session_id FROM session WHERE auxiliary = 0 AND id IN (SELECT session FROM member) ORDER BY started_ns DESC, session_id DESC LIMIT 1";
        Ok(ids(&mut self.db.prepare(sql)?.query([])?)?.pop())
    }

    fn threads(&self) -> anyhow::Result<u64> {
        let n: i64 = self.db.query_row("SELECT count(*) FROM thread", [], |row| row.get(0))?;
        Ok(n as u64)
    }

    fn threads_after(&self, after: Option<&ThreadId>, most: usize) -> anyhow::Result<Vec<ThreadId>> {
        let sql = "SELECT thread_id FROM thread WHERE thread_id > ?1 ORDER BY thread_id LIMIT ?2";
        let mut statement = self.db.prepare_cached(sql)?;
        ids(&mut statement.query(params![after.map_or("", ThreadId::as_str), most as i64])?)
    }

    fn sessions(&self) -> anyhow::Result<Vec<ThreadId>> {
        ids(&mut self.db.prepare("SELECT session_id FROM session ORDER BY session_id")?.query([])?)
    }

    fn seals(&self) -> anyhow::Result<Vec<Seal>> {
        self.read_seals()
    }

    fn sealed_periods(&self) -> anyhow::Result<Vec<BillingPeriod>> {
        self.read_sealed_periods()
    }

    fn sealed_of(&self, threads: &[ThreadId]) -> anyhow::Result<Vec<SealedSession>> {
        self.read_sealed_of(threads)
    }

    fn sealed_with(&self, threads: &[ThreadId]) -> anyhow::Result<Vec<ThreadId>> {
        self.read_sealed_with(threads)
    }

    fn sealed_after(
        &self,
        period: BillingPeriod,
        after: Option<&ThreadId>,
        most: usize,
    ) -> anyhow::Result<Vec<SealedSession>> {
        self.read_sealed_after(period, after, most)
    }

    fn sessions_after(
        &self,
        span: (Timestamp, Timestamp),
        after: Option<&ThreadId>,
        most: usize,
    ) -> anyhow::Result<Vec<ThreadId>> {
        self.read_sessions_after(span, after, most)
    }

    fn first_moment(&self) -> anyhow::Result<Option<Timestamp>> {
        let sql = "SELECT min(first_ns) FROM session WHERE first_ns > 0";
        Ok(self.db.query_row(sql, [], |row| row.get::<_, Option<i64>>(0))?.map(Timestamp))
    }

    fn alone(&mut self, work: &mut dyn FnMut(&mut dyn Cache) -> anyhow::Result<()>) -> anyhow::Result<()> {
        self.work_alone(work).map_err(mark_busy)
    }

    fn add_sealed(&mut self, session: &SealedSession) -> anyhow::Result<()> {
        self.insert_sealed(session)
    }

    fn add_seal(&mut self, seal: &Seal) -> anyhow::Result<()> {
        self.insert_seal(seal)
    }

    fn cached(&self, session: &ThreadId) -> anyhow::Result<Option<Vec<u8>>> {
        let mut statement = self.db.prepare_cached("SELECT rollup FROM session WHERE session_id = ?1")?;
        Ok(statement.query_row([session.as_str()], |row| row.get(0)).optional()?)
    }
}

fn flip<A, B>(pair: anyhow::Result<(A, B)>) -> anyhow::Result<(B, A)> {
    pair.map(|(a, b)| (b, a))
}

pub(super) fn ids(found: &mut rusqlite::Rows<'_>) -> anyhow::Result<Vec<ThreadId>> {
    let mut all = Vec::new();
    while let Some(row) = found.next()? {
        all.push(ThreadId::new(row.get_ref(0)?.as_str()?).context("a stored thread id is damaged")?);
    }
    Ok(all)
}

fn computed_with(db: &Connection) -> anyhow::Result<Option<Vec<u8>>> {
    Ok(db.query_row("SELECT inputs FROM computed_with", [], |row| row.get(0)).optional()?)
}

fn mark_of(db: &Connection, thread: &ThreadId) -> anyhow::Result<Mark> {
    let sql = "SELECT d.mark FROM thread t JOIN dirty d ON d.thread = t.id WHERE t.thread_id = ?1";
    Ok(db.prepare_cached(sql)?.query_row([thread.as_str()], |row| row.get(0)).optional()?)
}

/// Whether threads are still marked as they were, and their sessions have no others.
fn are_whole(tx: &Transaction<'_>, seen: &[Seen]) -> anyhow::Result<bool> {
    let known: HashSet<&str> = seen.iter().map(|(thread, _)| thread.as_str()).collect();
    let mut family = tx.prepare_cached(FAMILY)?;
    for (thread, mark) in seen {
        if mark_of(tx, thread)? != *mark {
            return Ok(false);
        }
        if ids(&mut family.query([thread.as_str()])?)?.iter().any(|member| !known.contains(member.as_str())) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn replace(tx: &Transaction<'_>, seen: &[Seen], sessions: &[Rollup]) -> anyhow::Result<()> {
    let mut old = tx.prepare_cached("SELECT session FROM member WHERE thread = ?1")?;
    let mut leave = tx.prepare_cached("DELETE FROM member WHERE thread = ?1")?;
    let mut clean = tx.prepare_cached("DELETE FROM dirty WHERE thread = ?1")?;
    let mut left = BTreeSet::new();
    for (thread, _) in seen {
        let id = thread_row(tx, thread)?.id;
        left.extend(old.query_row([id], |row| row.get::<_, i64>(0)).optional()?);
        leave.execute([id])?;
        clean.execute([id])?;
    }
    let mut drop = tx.prepare_cached("DELETE FROM session WHERE id = ?1")?;
    for session in left {
        drop.execute([session])?;
    }
    let mut add = tx.prepare_cached("INSERT INTO session VALUES (NULL, ?1, ?2, ?3, ?4, ?5, ?6)")?;
    let mut join = tx.prepare_cached("INSERT INTO member VALUES (?1, ?2)")?;
    let mut drop_named = tx.prepare_cached("DELETE FROM session WHERE session_id = ?1")?;
    for s in sessions {
        // What was sealed of an id that is no session any more has no members.
        drop_named.execute([s.session.as_str()])?;
        let (first, last) = s.span;
        let (started, first, last) = (s.started.0, first.start().0, last.start().0);
        add.execute(params![s.session.as_str(), s.auxiliary, started, first, last, s.bytes])?;
        let id = tx.last_insert_rowid();
        for thread in &s.threads {
            join.execute([thread_row(tx, thread)?.id, id])?;
        }
    }
    Ok(())
}
