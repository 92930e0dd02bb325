//! Observations as rows: encoded and ordered before the store is locked, and read back.

use crate::model::{Body, Key, Observation, SourceKind, ThreadId, Timestamp};
use crate::store::Appended;
use anyhow::Context as _;
use rusqlite::{OptionalExtension, Transaction, params};
use std::ops::Range;

/// Rows that are ready to be stored.
pub(super) struct Rows<'a> {
    /// In the order of the table, so that neighbours are written together.
    rows: Vec<Row<'a>>,
    /// All bodies, one after the other.
    bodies: String,
}

struct Row<'a> {
    observation: &'a Observation,
    variant: i64,
    body: Range<usize>,
}

impl<'a> Rows<'a> {
    /// Encodes observations.
    pub fn of(observations: &'a [Observation]) -> anyhow::Result<Self> {
        let mut rows: Vec<Row<'a>> = Vec::with_capacity(observations.len());
        let mut bodies = Vec::new();
        for observation in observations {
            let start = bodies.len();
            serde_json::to_writer(&mut bodies, &observation.body)?;
            rows.push(Row { observation, variant: observation.variant(), body: start..bodies.len() });
        }
        // Stable: of two that differ only in what is not their identity, the first is kept. By thread first, which is most
        // often one, so that the many comparisons are of plain numbers.
        rows.sort_by_key(|row| &row.observation.thread);
        for of_thread in rows.chunk_by_mut(|a, b| a.observation.thread == b.observation.thread) {
            of_thread.sort_by_key(|row| u128::from_be_bytes(row.observation.key.0));
        }
        Ok(Rows { rows, bodies: String::from_utf8(bodies)? })
    }

    /// Stores those that are not there yet.
    pub fn append(&self, tx: &Transaction<'_>) -> anyhow::Result<Appended> {
        let mut appended = Appended::default();
        let mut insert = tx.prepare_cached("INSERT OR IGNORE INTO observation VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
        let mut others = tx.prepare_cached("SELECT count(*) FROM observation WHERE thread = ?1 AND key = ?2")?;
        let sql = "INSERT INTO dirty VALUES (?1, ?2) ON CONFLICT (thread) DO UPDATE SET mark = excluded.mark";
        let mut dirty = tx.prepare_cached(sql)?;
        let mark = new_mark()?;
        let mut marked = None;
        let mut last: Option<(&Row<'_>, Thread)> = None;
        for row in &self.rows {
            let Row { observation: o, variant, body } = row;
            let (thread, same_key) = match last {
                Some((last, thread)) if last.observation.thread == o.thread => (thread, last.observation.key == o.key),
                _ => (thread_row(tx, &o.thread)?, false),
            };
            last = Some((row, thread));
            let body = &self.bodies[body.clone()];
            if insert.execute(params![thread.id, o.key.0, variant, o.source.code(), o.time.0, body])? == 0 {
                appended.known += 1;
                continue;
            }
            appended.stored += 1;
            if marked != Some(thread.id) {
                dirty.execute([thread.id, mark])?;
                marked = Some(thread.id);
            }
            // Only responses have variants, and under a new thread only these rows are stored.
            let may_have_others = *variant != 0 && (same_key || !thread.is_new);
            if may_have_others && others.query_row(params![thread.id, o.key.0], |row| row.get::<_, i64>(0))? > 1 {
                appended.conflicts += 1;
            }
        }
        Ok(appended)
    }
}

/// Reads an observation from a row that begins with key, source, time and body. Kinds that a newer version stored stay where
/// they are; this version cannot use them.
pub(super) fn read(row: &rusqlite::Row<'_>, thread: ThreadId) -> anyhow::Result<Option<Observation>> {
    let key: [u8; 16] = row.get_ref(0)?.as_blob()?.try_into().context("a stored key is damaged")?;
    let source = SourceKind::from_code(row.get(1)?);
    let body = Body::from_json(row.get_ref(3)?.as_str()?);
    let (Some(source), Ok(body)) = (source, body) else { return Ok(None) };
    Ok(Some(Observation { thread, key: Key(key), source, time: Timestamp(row.get(2)?), body }))
}

/// A number that no other transaction marks threads with.
pub(super) fn new_mark() -> anyhow::Result<i64> {
    Ok(getrandom::u64()? as i64)
}

/// A thread in the store.
#[derive(Clone, Copy)]
pub(super) struct Thread {
    pub id: i64,
    /// It was not there before these rows.
    is_new: bool,
}

pub(super) fn thread_row(tx: &Transaction<'_>, thread: &ThreadId) -> rusqlite::Result<Thread> {
    let mut select = tx.prepare_cached("SELECT id FROM thread WHERE thread_id = ?1")?;
    if let Some(id) = select.query_row([thread.as_str()], |row| row.get(0)).optional()? {
        return Ok(Thread { id, is_new: false });
    }
    tx.prepare_cached("INSERT INTO thread (thread_id) VALUES (?1)")?.execute([thread.as_str()])?;
    Ok(Thread { id: tx.last_insert_rowid(), is_new: true })
}
