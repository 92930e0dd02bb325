//! Whole copies of a store: made at one moment while others go on writing, checked, and put back.

use super::{SqliteStore, mark_busy, migrate};
use anyhow::{Context as _, bail, ensure};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags, params};
use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What is in a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// The schema's version.
    pub schema: usize,
    /// Observations.
    pub observations: u64,
    /// Sealed months.
    pub seals: u64,
}

impl SqliteStore {
    /// Writes a copy of the store as it is at this moment to a new file, private to the user, and checks it.
    ///
    /// # Errors
    /// The file is there already or cannot be written, or the store is damaged; then there is no file.
    pub fn copy_to(&self, path: &Path) -> anyhow::Result<Copied> {
        write(&self.db, path)?;
        check(path).inspect_err(|_| drop(std::fs::remove_file(path)))
    }

    /// The copy that was made before the schema was brought up to date, if it was.
    pub fn copied(&self) -> Option<&Path> {
        self.copied.as_deref()
    }
}

/// Writes a whole copy that is on disk when this returns. What was deleted from the store is not in it.
pub(super) fn write(db: &Connection, path: &Path) -> anyhow::Result<()> {
    let path = std::path::absolute(path)?;
    let name = path.to_str().context("its path is not UTF-8")?;
    // SQLite takes an empty file, which is private before anything is in it.
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    let file = file.with_context(|| format!("cannot create {name}"))?;
    let work = || -> anyhow::Result<()> {
        db.execute("VACUUM INTO ?1", params![name])?;
        file.sync_all()?;
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    };
    work()
        .inspect_err(|_| drop(std::fs::remove_file(&path)))
        .with_context(|| format!("cannot copy the store to {name}"))
}

/// Checks a copy without changing it: a store of ours that this version knows, of the very schema that we make, undamaged.
///
/// # Errors
/// It is not.
pub fn check(path: &Path) -> anyhow::Result<Copied> {
    let work = || -> anyhow::Result<Copied> {
        let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        db.pragma_update(None, "trusted_schema", false)?;
        db.pragma_update(None, "cell_size_check", true)?;
        let schema = migrate::version(&db)?;
        ensure!(schema > 0, "it is empty");
        ensure!(parts(&db)? == parts(&migrate::fresh(schema)?)?, "it holds other tables than ours");
        let verdict: String = db.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        ensure!(verdict == "ok", "it is damaged: {verdict}");
        let lost: i64 = db.query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0))?;
        ensure!(lost == 0, "it is damaged: {lost} rows belong to nothing");
        let count =
            |table: &str| db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0));
        let seals = if parts(&db)?.iter().any(|part| part.contains(&Some("seal".into()))) { count("seal")? } else { 0 };
        Ok(Copied { schema, observations: count("observation")? as u64, seals: seals as u64 })
    };
    work().with_context(|| format!("{} is no good copy of a store", path.display()))
}

/// Tables, indexes and triggers with the text that made them.
fn parts(db: &Connection) -> anyhow::Result<BTreeSet<[Option<String>; 3]>> {
    let mut statement = db.prepare("SELECT type, name, sql FROM sqlite_schema")?;
    let rows = statement.query_map([], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Whether nothing was ever stored in a store, or there is none.
///
/// # Errors
/// It cannot be read.
pub fn is_empty(path: &Path) -> anyhow::Result<bool> {
    if std::fs::metadata(path).is_ok_and(|meta| meta.len() > 0) {
        let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        return Ok(migrate::version(&db)? == 0 || !migrate::has_content(&db)?);
    }
    Ok(true)
}

/// Puts a checked copy in the place of a store, whose own content is copied to `aside` before. The file stays the same, and a
/// crash leaves one or the other.
///
/// # Errors
/// Another process has the store open, or something cannot be read or written; then the store is as it was.
pub fn put_back(copy: &Path, store: &Path, aside: &Path) -> anyhow::Result<Option<PathBuf>> {
    let from = Connection::open_with_flags(copy, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(store)?;
    let mut db = Connection::open(store)?;
    let has_content = migrate::version(&db)? > 0 && migrate::has_content(&db)?;
    // Only who is alone can leave the WAL; from then on nobody else comes in.
    let alone = || -> rusqlite::Result<()> {
        db.pragma_update(None, "locking_mode", "exclusive")?;
        db.pragma_update(None, "journal_mode", "delete")?;
        db.execute_batch("BEGIN EXCLUSIVE; COMMIT")
    };
    alone().map_err(|e| mark_busy(e.into()))?;
    if has_content {
        write(&db, aside)?;
    }
    db.pragma_update(None, "synchronous", "extra")?;
    db.pragma_update(None, "fullfsync", true)?;
    match Backup::new(&from, &mut db)?.step(-1)? {
        StepResult::Done => {}
        other => bail!("SQLite does not finish: {other:?}"),
    }
    Ok(has_content.then(|| aside.to_path_buf()))
}
