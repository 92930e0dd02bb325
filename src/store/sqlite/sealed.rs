//! Sealed months in SQLite.

use super::SqliteStore;
use super::cache::ids;
use crate::model::{BillingPeriod, Booked, BookedDetail, Seal, SealedSession, SessionRollup, ThreadId, Timestamp};
use crate::store::Cache;
use anyhow::Context as _;
use rusqlite::{Connection, DropBehavior, Row, params};
use std::collections::BTreeSet;

impl SqliteStore {
    pub(super) fn read_seals(&self) -> anyhow::Result<Vec<Seal>> {
        let mut statement = self.db.prepare_cached("SELECT period, json, sha256 FROM seal ORDER BY period")?;
        let mut found = statement.query([])?;
        let mut seals = Vec::new();
        while let Some(row) = found.next()? {
            seals.push(Seal { period: period_of(row, 0)?, json: row.get(1)?, sha256: row.get(2)? });
        }
        Ok(seals)
    }

    pub(super) fn read_sealed_periods(&self) -> anyhow::Result<Vec<BillingPeriod>> {
        let mut statement = self.db.prepare_cached("SELECT DISTINCT period FROM sealed_session ORDER BY period")?;
        let mut found = statement.query([])?;
        let mut periods = Vec::new();
        while let Some(row) = found.next()? {
            periods.push(period_of(row, 0)?);
        }
        Ok(periods)
    }

    pub(super) fn read_sealed_of(&self, threads: &[ThreadId]) -> anyhow::Result<Vec<SealedSession>> {
        let sql = "SELECT session_id FROM sealed_thread WHERE thread_id = ?1";
        let mut of_thread = self.db.prepare_cached(sql)?;
        let mut sessions = BTreeSet::new();
        for thread in threads {
            sessions.extend(ids(&mut of_thread.query([thread.as_str()])?)?);
        }
        let sql = "SELECT session_id, period, part, lines FROM sealed_session WHERE session_id = ?1";
        let mut of_session = self.db.prepare_cached(sql)?;
        let mut all = Vec::new();
        for session in sessions {
            all.extend(sealed(&mut of_session.query([session.as_str()])?)?);
        }
        all.sort_by(|a, b| (a.period, &a.session).cmp(&(b.period, &b.session)));
        Ok(all)
    }

    pub(super) fn read_sealed_with(&self, threads: &[ThreadId]) -> anyhow::Result<Vec<ThreadId>> {
        let sql = "SELECT b.thread_id FROM sealed_thread a JOIN sealed_thread b ON b.session_id = a.session_id \
                   WHERE a.thread_id = ?1";
        let mut statement = self.db.prepare_cached(sql)?;
        let mut found = BTreeSet::new();
        for thread in threads {
            found.extend(ids(&mut statement.query([thread.as_str()])?)?);
        }
        Ok(found.into_iter().collect())
    }

    pub(super) fn read_sealed_after(
        &self,
        period: BillingPeriod,
        after: Option<&ThreadId>,
        most: usize,
    ) -> anyhow::Result<Vec<SealedSession>> {
        let sql = "SELECT session_id, period, part, lines FROM sealed_session INDEXED BY sealed_session_period \
                   WHERE period = ?1 AND session_id > ?2 ORDER BY session_id LIMIT ?3";
        let mut statement = self.db.prepare_cached(sql)?;
        sealed(&mut statement.query(params![period.to_string(), after.map_or("", ThreadId::as_str), most as i64])?)
    }

    pub(super) fn read_sessions_after(
        &self,
        (from, to): (Timestamp, Timestamp),
        after: Option<&ThreadId>,
        most: usize,
    ) -> anyhow::Result<Vec<ThreadId>> {
        let sql = "SELECT session_id FROM session WHERE session_id > ?1 AND last_ns >= ?2 AND first_ns <= ?3 \
                   ORDER BY session_id LIMIT ?4";
        let mut statement = self.db.prepare_cached(sql)?;
        ids(&mut statement.query(params![after.map_or("", ThreadId::as_str), from.0, to.0, most as i64])?)
    }

    pub(super) fn work_alone(
        &mut self,
        work: &mut dyn FnMut(&mut dyn Cache) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        // The library's transaction would borrow the connection that the work is done with.
        let mut tx = self.begin()?;
        tx.set_drop_behavior(DropBehavior::Ignore);
        drop(tx);
        match work(self) {
            Ok(()) => Ok(self.db.execute_batch("COMMIT")?),
            Err(e) => {
                self.db.execute_batch("ROLLBACK")?;
                Err(e)
            }
        }
    }

    pub(super) fn insert_sealed(&mut self, s: &SealedSession) -> anyhow::Result<()> {
        let details: Vec<&BookedDetail> = s.lines.iter().map(|line| &line.detail).collect();
        let lines = postcard::to_extend(&details, postcard::to_stdvec(&s.lines)?)?;
        self.db.prepare_cached("INSERT INTO sealed_session VALUES (?1, ?2, ?3, ?4)")?.execute(params![
            s.session.as_str(),
            s.period.to_string(),
            s.part,
            lines
        ])?;
        note_threads(&self.db, s.session.as_str(), &s.part)
    }

    pub(super) fn insert_seal(&mut self, seal: &Seal) -> anyhow::Result<()> {
        let sql = "INSERT INTO seal VALUES (?1, ?2, ?3)";
        self.db.execute(sql, params![seal.period.to_string(), seal.json, seal.sha256])?;
        Ok(())
    }
}

/// Notes the threads of all sealed sessions anew.
pub(super) fn index(db: &Connection) -> anyhow::Result<()> {
    db.execute("DELETE FROM sealed_thread", [])?;
    let mut statement = db.prepare("SELECT session_id, part FROM sealed_session")?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        note_threads(db, row.get_ref(0)?.as_str()?, row.get_ref(1)?.as_blob()?)?;
    }
    Ok(())
}

/// All lines have rows, so the keys of these tell all threads.
fn note_threads(db: &Connection, session: &str, part: &[u8]) -> anyhow::Result<()> {
    let mut add = db.prepare_cached("INSERT OR IGNORE INTO sealed_thread VALUES (?1, ?2)")?;
    // What is damaged is found where it is used; its id is known.
    let part = SessionRollup::decode_without_tool_costs(part);
    let of_rows = part.iter().flat_map(|part| &part.keys).map(|keys| keys.thread);
    for thread in std::iter::once(session).chain(of_rows) {
        add.execute([thread, session])?;
    }
    Ok(())
}

fn period_of(row: &Row<'_>, at: usize) -> anyhow::Result<BillingPeriod> {
    Ok(row.get_ref(at)?.as_str()?.parse::<BillingPeriod>()?)
}

fn sealed(found: &mut rusqlite::Rows<'_>) -> anyhow::Result<Vec<SealedSession>> {
    let mut all = Vec::new();
    while let Some(row) = found.next()? {
        all.push(sealed_session(row)?);
    }
    Ok(all)
}

fn sealed_session(row: &Row<'_>) -> anyhow::Result<SealedSession> {
    let session = ThreadId::new(row.get_ref(0)?.as_str()?).context("a sealed session's id is damaged")?;
    let period = period_of(row, 1)?;
    let lines = lines(row.get_ref(3)?.as_blob()?)
        .with_context(|| format!("what was sealed of session {session} in {period} is damaged"))?;
    Ok(SealedSession { session, period, part: row.get(2)?, lines })
}

/// Lines, and behind them their details; what was sealed before there were such has none.
fn lines(bytes: &[u8]) -> Result<Vec<Booked>, postcard::Error> {
    let (mut lines, rest): (Vec<Booked>, _) = postcard::take_from_bytes(bytes)?;
    if !rest.is_empty() {
        let details: Vec<BookedDetail> = postcard::from_bytes(rest)?;
        lines.iter_mut().zip(details).for_each(|(line, detail)| line.detail = detail);
    }
    Ok(lines)
}
