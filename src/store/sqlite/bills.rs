//! Bills in SQLite.

use super::SqliteStore;
use crate::model::{BillingFile, Charge, Timestamp};
use crate::store::Bills;
use anyhow::Context as _;
use rusqlite::params;

impl Bills for SqliteStore {
    fn add_bill(&mut self, file: &BillingFile, charges: &[Charge]) -> anyhow::Result<bool> {
        let tx = self.begin()?;
        let sql = "INSERT OR IGNORE INTO billing_file (sha256, body) VALUES (?1, ?2)";
        if tx.execute(sql, params![file.sha256, serde_json::to_string(file)?])? == 0 {
            return Ok(false);
        }
        let seq = tx.last_insert_rowid();
        let mut insert = tx.prepare_cached("INSERT INTO charge VALUES (?1, ?2, ?3, ?4, ?5)")?;
        for charge in charges {
            let row = i64::try_from(charge.origin.row)?;
            insert.execute(params![seq, row, charge.start.0, charge.end.0, serde_json::to_string(charge)?])?;
        }
        drop(insert);
        tx.commit()?;
        Ok(true)
    }

    fn remove_bill(&mut self, sha256: &str) -> anyhow::Result<bool> {
        let tx = self.begin()?;
        let removed = tx.execute("DELETE FROM billing_file WHERE sha256 = ?1", [sha256])?;
        tx.commit()?;
        Ok(removed > 0)
    }

    fn billing_files(&self) -> anyhow::Result<Vec<BillingFile>> {
        let mut statement = self.db.prepare_cached("SELECT body FROM billing_file ORDER BY seq")?;
        let mut found = statement.query([])?;
        let mut files = Vec::new();
        while let Some(row) = found.next()? {
            files.push(serde_json::from_str(row.get_ref(0)?.as_str()?).context("a stored billing file is damaged")?);
        }
        Ok(files)
    }

    fn charges(&self, (from, to): (Timestamp, Timestamp)) -> anyhow::Result<Vec<Charge>> {
        let sql = "SELECT body FROM charge WHERE end_ns > ?1 AND first_ns < ?2 ORDER BY file, row";
        let mut statement = self.db.prepare_cached(sql)?;
        let mut found = statement.query([from.0, to.0])?;
        let mut charges = Vec::new();
        while let Some(row) = found.next()? {
            charges.push(serde_json::from_str(row.get_ref(0)?.as_str()?).context("a stored charge is damaged")?);
        }
        Ok(charges)
    }
}
