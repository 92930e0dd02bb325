//! Numbered, add-only migrations. A migration that was released is never edited; a test keeps their hashes.

use super::copy;
use anyhow::{Context, bail};
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use std::path::{Path, PathBuf};

/// All migrations in order; the schema's version is their number.
const MIGRATIONS: [&str; 7] = [
    include_str!("migrations/0001_observations.sql"),
    include_str!("migrations/0002_cache.sql"),
    include_str!("migrations/0003_seals.sql"),
    include_str!("migrations/0004_billing.sql"),
    include_str!("migrations/0005_content.sql"),
    include_str!("migrations/0006_sealed_threads.sql"),
    include_str!("migrations/0007_hook_times.sql"),
];

/// "cdxt": marks a database file as ours.
const APPLICATION_ID: i64 = 0x6364_7874;

/// Brings the schema of the store at `path` up to date, all in one transaction. A store with anything in it is copied before, to
/// a file beside it that stays; returns where that is.
///
/// # Errors
/// The file is not ours, was written by a newer version, the copy cannot be made, or a migration fails (then nothing has changed).
pub(super) fn migrate(db: &mut Connection, path: &Path) -> anyhow::Result<Option<PathBuf>> {
    // One look, or a file that another process makes at this moment looks like a foreign one.
    let look = db.transaction()?;
    if version(&look)? == MIGRATIONS.len() {
        return Ok(None);
    }
    drop(look);
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Somebody else may have migrated between the first look and the lock.
    let version = version(&tx)?;
    if version == MIGRATIONS.len() {
        return Ok(None);
    }
    let copied = if version > 0 && has_content(&tx)? { Some(copy_before(path, version)?) } else { None };
    apply(&tx, version, MIGRATIONS.len())?;
    tx.commit()?;
    Ok(copied)
}

/// Copies a store that nobody can write to at this moment.
fn copy_before(path: &Path, version: usize) -> anyhow::Result<PathBuf> {
    let named = |end: &str| {
        let mut name = path.as_os_str().to_os_string();
        name.push(format!(".schema-{version}{end}"));
        PathBuf::from(name)
    };
    // A copy that an earlier upgrade left is somebody's way back.
    let free = std::iter::once(String::new()).chain((2..).map(|n| format!("-{n}"))).find(|end| !named(end).exists());
    let (whole, part) = (named(&free.unwrap_or_default()), named(".part"));
    if part.exists() {
        std::fs::remove_file(&part)?;
    }
    // By a connection of its own: the other is in a transaction, and keeps writers away.
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    copy::write(&db, &part)
        .context("no copy could be made before the store is brought up to date; make room and try again")?;
    std::fs::rename(&part, &whole)?;
    Ok(whole)
}

fn apply(db: &Connection, from: usize, to: usize) -> anyhow::Result<()> {
    for (i, sql) in MIGRATIONS.iter().enumerate().take(to).skip(from) {
        db.execute_batch(sql).with_context(|| format!("migration {} failed", i + 1))?;
    }
    db.pragma_update(None, "application_id", APPLICATION_ID)?;
    Ok(db.pragma_update(None, "user_version", to as i64)?)
}

/// An empty store of an earlier schema, in memory.
pub(super) fn fresh(schema: usize) -> anyhow::Result<Connection> {
    let db = Connection::open_in_memory()?;
    apply(&db, 0, schema)?;
    Ok(db)
}

/// What runs by itself in a store is what our migrations put there: a file that somebody else made must not act.
///
/// # Errors
/// There is a trigger or a view that is not ours.
pub(super) fn nothing_foreign(db: &Connection) -> anyhow::Result<()> {
    let mut statement = db.prepare("SELECT name, sql FROM sqlite_schema WHERE type IN ('trigger', 'view')")?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        let (name, sql): (String, String) = (row.get(0)?, row.get(1)?);
        if !MIGRATIONS.iter().any(|migration| migration.contains(&sql)) {
            bail!("it holds `{name}`, which codex-tally did not make; use a store of your own, or a backup");
        }
    }
    Ok(())
}

/// Whether anything was ever stored.
pub(super) fn has_content(db: &Connection) -> anyhow::Result<bool> {
    let tables = ["thread", "counter", "file", "seal", "billing_file"];
    let has = |table: &&str| -> anyhow::Result<bool> {
        let exists = db.table_exists(None, *table)?;
        Ok(exists && db.query_row(&format!("SELECT EXISTS (SELECT 1 FROM {table})"), [], |row| row.get(0))?)
    };
    tables.iter().try_fold(false, |any, table| Ok(any || has(table)?))
}

/// The version of the schema; 0 of a new file.
///
/// # Errors
/// The file is not ours, or was written by a newer version.
pub(super) fn version(db: &Connection) -> anyhow::Result<usize> {
    let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let id: i64 = db.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if id != APPLICATION_ID && (tables > 0 || version != 0) {
        bail!("this SQLite file was not written by codex-tally; choose another with --db sqlite:PATH");
    }
    let version = usize::try_from(version).unwrap_or(usize::MAX);
    if version > MIGRATIONS.len() {
        let known = MIGRATIONS.len();
        bail!(
            "this store was written by a newer codex-tally (schema {version}, this program knows {known}) and was not \
             touched; update this program, or choose another store with --db sqlite:PATH"
        );
    }
    Ok(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_file_is_migrated_once() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate(&mut db, Path::new("")).unwrap();
        migrate(&mut db, Path::new("")).unwrap();
        assert_eq!(version(&db).unwrap(), MIGRATIONS.len());
    }

    #[test]
    fn newer_and_foreign_files_are_refused() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate(&mut db, Path::new("")).unwrap();
        db.pragma_update(None, "user_version", 99).unwrap();
        assert!(migrate(&mut db, Path::new("")).unwrap_err().to_string().contains("newer"));
        let mut db = Connection::open_in_memory().unwrap();
        db.execute_batch("CREATE TABLE mine (a)").unwrap();
        assert!(migrate(&mut db, Path::new("")).unwrap_err().to_string().contains("not written by codex-tally"));
    }
}
