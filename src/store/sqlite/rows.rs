//! Observations as rows: encoded and ordered before the store is locked.

use crate::model::{Observation, ThreadId};
use crate::store::Appended;
use rusqlite::{OptionalExtension, Transaction, params};
use std::ops::Range;

/// Rows that are ready to be stored.
pub(super) struct Rows<'a> {
    /// In the order of the table, so that neighbours are written together.
    rows: Vec<Row<'a>>,
    /// All bodies, one after the other.
    bodies: Vec<u8>,
}

struct Row<'a> {
    observation: &'a Observation,
    variant: i64,
    body: Range<usize>,
}

impl<'a> Rows<'a> {
    /// Encodes observations.
    pub fn of(observations: impl Iterator<Item = &'a Observation>) -> anyhow::Result<Self> {
        let (mut rows, mut bodies) = (Vec::new(), Vec::new());
        for observation in observations {
            let start = bodies.len();
            serde_json::to_writer(&mut bodies, &observation.body)?;
            rows.push(Row { observation, variant: observation.variant(), body: start..bodies.len() });
        }
        // A stable order: of two that differ only in what is not their identity, the first is kept.
        rows.sort_by(|a, b| {
            (&a.observation.thread, a.observation.key).cmp(&(&b.observation.thread, b.observation.key))
        });
        Ok(Rows { rows, bodies })
    }

    /// Stores those that are not there yet.
    pub fn append(&self, tx: &Transaction<'_>) -> anyhow::Result<Appended> {
        let mut appended = Appended::default();
        let mut insert = tx.prepare_cached("INSERT OR IGNORE INTO observation VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
        let mut others = tx.prepare_cached("SELECT count(*) FROM observation WHERE thread = ?1 AND key = ?2")?;
        let mut last: Option<(&ThreadId, i64)> = None;
        for Row { observation: o, variant, body } in &self.rows {
            let thread = match last {
                Some((thread, id)) if *thread == o.thread => id,
                _ => thread_row(tx, &o.thread)?,
            };
            last = Some((&o.thread, thread));
            let body = std::str::from_utf8(&self.bodies[body.clone()])?;
            if insert.execute(params![thread, o.key.0, variant, o.source.code(), o.time.0, body])? == 0 {
                appended.known += 1;
                continue;
            }
            appended.stored += 1;
            // Only responses have variants.
            if *variant != 0 && others.query_row(params![thread, o.key.0], |row| row.get::<_, i64>(0))? > 1 {
                appended.conflicts += 1;
            }
        }
        Ok(appended)
    }
}

fn thread_row(tx: &Transaction<'_>, thread: &ThreadId) -> rusqlite::Result<i64> {
    let mut select = tx.prepare_cached("SELECT id FROM thread WHERE thread_id = ?1")?;
    if let Some(id) = select.query_row([thread.as_str()], |row| row.get(0)).optional()? {
        return Ok(id);
    }
    tx.prepare_cached("INSERT INTO thread (thread_id) VALUES (?1)")?.execute([thread.as_str()])?;
    Ok(tx.last_insert_rowid())
}
