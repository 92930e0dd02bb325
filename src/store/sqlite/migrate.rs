//! Numbered, add-only migrations. A migration that was released is never edited; a test keeps their hashes.

use anyhow::{Context, bail};
use rusqlite::{Connection, TransactionBehavior};

/// All migrations in order; the schema's version is their number.
const MIGRATIONS: [&str; 4] = [
    include_str!("migrations/0001_observations.sql"),
    include_str!("migrations/0002_cache.sql"),
    include_str!("migrations/0003_seals.sql"),
    include_str!("migrations/0004_billing.sql"),
];

/// "cdxt": marks a database file as ours.
const APPLICATION_ID: i64 = 0x6364_7874;

/// Brings the schema up to date, all in one transaction.
///
/// # Errors
/// The file is not ours, was written by a newer version, or a migration fails (then nothing has changed).
pub(super) fn migrate(db: &mut Connection) -> anyhow::Result<()> {
    // One look, or a file that another process makes at this moment looks like a foreign one.
    let look = db.transaction()?;
    if version(&look)? == MIGRATIONS.len() {
        return Ok(());
    }
    drop(look);
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Somebody else may have migrated between the first look and the lock.
    let version = version(&tx)?;
    for (i, sql) in MIGRATIONS.iter().enumerate().skip(version) {
        tx.execute_batch(sql).with_context(|| format!("migration {} failed", i + 1))?;
    }
    tx.pragma_update(None, "application_id", APPLICATION_ID)?;
    tx.pragma_update(None, "user_version", MIGRATIONS.len() as i64)?;
    Ok(tx.commit()?)
}

fn version(db: &Connection) -> anyhow::Result<usize> {
    let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let id: i64 = db.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if id != APPLICATION_ID && (tables > 0 || version != 0) {
        bail!("this SQLite file was not written by codex-tally; choose another with --db sqlite:PATH");
    }
    let version = usize::try_from(version).unwrap_or(usize::MAX);
    if version > MIGRATIONS.len() {
        bail!("this store was written by a newer codex-tally (schema {version}); update this program");
    }
    Ok(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_file_is_migrated_once() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate(&mut db).unwrap();
        migrate(&mut db).unwrap();
        assert_eq!(version(&db).unwrap(), MIGRATIONS.len());
    }

    #[test]
    fn newer_and_foreign_files_are_refused() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate(&mut db).unwrap();
        db.pragma_update(None, "user_version", 99).unwrap();
        assert!(migrate(&mut db).unwrap_err().to_string().contains("newer"));
        let mut db = Connection::open_in_memory().unwrap();
        db.execute_batch("CREATE TABLE mine (a)").unwrap();
        assert!(migrate(&mut db).unwrap_err().to_string().contains("not written by codex-tally"));
    }
}
