//! What can be told of a store's state without computing anything.

use super::SqliteStore;
use crate::model::{SourceKind, Timestamp};
use std::collections::BTreeMap;

/// The threads that are looked at for what came last: the newest ones.
const THREADS: i64 = 1000;

/// A store's state.
#[derive(Debug, Default)]
pub struct Health {
    /// What SQLite's own check found; nothing if the file is whole.
    pub problems: Vec<String>,
    /// The newest record of each source, among the threads that were begun last.
    pub last: BTreeMap<&'static str, Timestamp>,
}

impl SqliteStore {
    /// Looks through the file.
    ///
    /// # Errors
    /// It cannot be read at all.
    pub fn health(&self) -> anyhow::Result<Health> {
        let mut check = self.db.prepare("PRAGMA quick_check(3)")?;
        let found: Vec<String> = check.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let mut health =
            Health { problems: found.into_iter().filter(|line| line != "ok").collect(), ..Health::default() };
        if !health.problems.is_empty() {
            return Ok(health);
        }
        let newest = "SELECT id FROM thread ORDER BY id DESC LIMIT ?1";
        let sql = format!("SELECT source, max(time_ns) FROM observation WHERE thread IN ({newest}) GROUP BY source");
        let mut last = self.db.prepare(&sql)?;
        let rows = last.query_map([THREADS], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
        for row in rows {
            let (code, time) = row?;
            for kind in [SourceKind::Hook, SourceKind::Otlp, SourceKind::Transcript] {
                if kind.code() == code && time > 0 {
                    health.last.insert(kind.name(), Timestamp(time));
                }
            }
        }
        Ok(health)
    }
}
