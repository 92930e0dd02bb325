//! The SQLite engine: one file, WAL, every commit synced.

mod bills;
mod cache;
mod content;
mod copy;
mod health;
mod migrate;
mod rows;
mod sealed;

pub use self::copy::{Copied, check, is_empty, put_back};

use self::rows::Rows;
use super::{Appended, Batch, Busy, Cursor, Purge, Store};
use crate::model::{Content, Observation, ThreadId};
use anyhow::bail;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior, params};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The oldest SQLite that is safe here: earlier ones can corrupt a WAL database that several connections checkpoint.
const OLDEST_SQLITE: i32 = 3_051_003;

/// How long one process waits for another.
const PATIENCE: Duration = Duration::from_secs(30);

/// Pages of the WAL that are worth moving into the file; SQLite's own measure.
const WAL: i64 = 1000;

/// Pages in a WAL that grows faster than it can be emptied beside the writing: then the writer must do it.
const LARGE_WAL: i64 = 8 * WAL;

/// How long a transaction takes in one batch after another, before others have their turn: with its commit it should hold the
/// store for at most 10 ms.
const TURN: Duration = Duration::from_millis(3);

/// How often whoever waits looks whether the store is free.
const LOOK: Duration = Duration::from_millis(1);

/// How long the store is left to others between two transactions, so that whoever waits finds it free.
const LEFT: Duration = Duration::from_millis(2);

/// A store in one SQLite file.
pub struct SqliteStore {
    db: Connection,
    patience: Duration,
    copied: Option<PathBuf>,
    path: PathBuf,
    /// Device and number of the file that is open.
    file: (u64, u64),
}

impl SqliteStore {
    /// Opens a store, creating the file (private to the user) and its schema if they are missing.
    ///
    /// # Errors
    /// The file cannot be opened, is not ours, is damaged, or was written by a newer version.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        Self::connect(path, PATIENCE).map_err(mark_busy)
    }

    /// The same for one that cannot wait: for other processes no longer than this, now and in every transaction; then it
    /// fails with [`Busy`]. Moving pages from the WAL into the file is put off to [`Store::settle`].
    ///
    /// # Errors
    /// As `open`.
    pub fn open_within(path: &Path, patience: Duration) -> anyhow::Result<Self> {
        let store = Self::connect(path, patience).map_err(mark_busy)?;
        store.db.pragma_update(None, "wal_autocheckpoint", LARGE_WAL)?;
        Ok(store)
    }

    fn connect(path: &Path, patience: Duration) -> anyhow::Result<Self> {
        if rusqlite::version_number() < OLDEST_SQLITE {
            bail!("SQLite {} is too old; at least 3.51.3 is needed", rusqlite::version());
        }
        let (db, copied) = Self::prepare(path, patience).map_err(|e| {
            let next = match is_damaged(&e) {
                true => "; it is damaged: move it away and run `codex-tally restore` or `codex-tally import`",
                false => "",
            };
            e.context(format!("cannot use the store {}{next}", path.display()))
        })?;
        Ok(SqliteStore { db, patience, copied, path: path.to_path_buf(), file: identity(path)? })
    }

    fn prepare(path: &Path, patience: Duration) -> anyhow::Result<(Connection, Option<PathBuf>)> {
        // SQLite would create the file with the user's umask.
        std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        let mut db = Connection::open(path)?;
        db.busy_timeout(patience)?;
        db.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        db.pragma_update(None, "trusted_schema", false)?;
        db.pragma_update(None, "cell_size_check", true)?;
        // A file that is not for this version stays as it is, also in its mode.
        migrate::version(&*db.transaction()?)?;
        // Of a new file. Many small rows come at once: larger pages are fewer writes.
        db.pragma_update(None, "page_size", 8192)?;
        use_wal(&db, patience)?;
        // What was acknowledged survives power loss: each commit syncs the WAL.
        db.pragma_update(None, "synchronous", "full")?;
        db.pragma_update(None, "fullfsync", true)?;
        db.pragma_update(None, "foreign_keys", true)?;
        let copied = migrate::migrate(&mut db, path)?;
        migrate::nothing_foreign(&db)?;
        db.set_prepared_statement_cache_capacity(32);
        Ok((db, copied))
    }
}

fn identity(path: &Path) -> anyhow::Result<(u64, u64)> {
    let meta = std::fs::metadata(path)?;
    Ok((meta.dev(), meta.ino()))
}

/// Whether the reason of an error is that the file is damaged.
pub fn is_damaged(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|e| e.downcast_ref::<rusqlite::Error>()).any(is_damage)
}

/// Whether this is what SQLite says of a file that is not as it was written.
fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Says of a refusal that it is one which passes.
fn mark_busy(error: anyhow::Error) -> anyhow::Error {
    let code = error.chain().find_map(|e| e.downcast_ref::<rusqlite::Error>()).and_then(|e| e.sqlite_error_code());
    match code {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => error.context(Busy),
        _ => error,
    }
}

impl SqliteStore {
    fn write(&mut self, batches: &[Batch]) -> anyhow::Result<Appended> {
        // Others may wait to write: what needs no lock is done before.
        let rows: Vec<_> = batches.iter().map(|b| Rows::of(&b.observations)).collect::<Result<_, _>>()?;
        let mut left = rows.iter().zip(batches).peekable();
        let mut appended = Appended::default();
        loop {
            let tx = self.begin()?;
            let began = Instant::now();
            while began.elapsed() < TURN
                && let Some((rows, batch)) = left.next()
            {
                appended += rows.append(&tx)?;
                content::append(&tx, &batch.contents)?;
                append_positions(&tx, batch)?;
            }
            tx.commit()?;
            if left.peek().is_none() {
                return self.is_in_place().map(|()| appended);
            }
            std::thread::sleep(LEFT);
        }
    }

    /// What was written to a file that was removed is stored nowhere.
    fn is_in_place(&self) -> anyhow::Result<()> {
        if identity(&self.path).ok() != Some(self.file) {
            bail!("the store {} was removed or moved while it was open; start this program again", self.path.display());
        }
        Ok(())
    }

    /// Begins to write, when nobody else does. SQLite itself would wait longer and longer between two looks, and miss the
    /// moments that are left to it.
    fn begin(&self) -> anyhow::Result<Transaction<'_>> {
        let deadline = Instant::now() + self.patience;
        self.db.busy_timeout(Duration::ZERO)?;
        let begun = loop {
            match Transaction::new_unchecked(&self.db, TransactionBehavior::Immediate) {
                Err(e) if e.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && Instant::now() < deadline => {
                    std::thread::sleep(LOOK);
                }
                other => break other,
            }
        };
        self.db.busy_timeout(self.patience)?;
        Ok(begun?)
    }
}

impl Store for SqliteStore {
    fn append(&mut self, batch: &Batch) -> anyhow::Result<Appended> {
        self.append_all(std::slice::from_ref(batch))
    }

    fn append_all(&mut self, batches: &[Batch]) -> anyhow::Result<Appended> {
        self.write(batches).map_err(mark_busy)
    }

    fn settle(&mut self) -> anyhow::Result<()> {
        let pages = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
        let (all, moved) = self.db.query_row("PRAGMA wal_checkpoint(NOOP)", [], pages)?;
        if all - moved >= WAL {
            // Nobody is kept waiting, and what cannot be moved now is moved later.
            self.db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], pages)?;
        }
        Ok(())
    }

    fn observations(&self) -> anyhow::Result<Vec<Observation>> {
        let mut all = Vec::new();
        self.scan(&mut |o| {
            all.push(o);
            Ok(())
        })?;
        Ok(all)
    }

    fn scan(&self, each: &mut dyn FnMut(Observation) -> anyhow::Result<()>) -> anyhow::Result<u64> {
        let sql = "SELECT o.key, o.source, o.time_ns, o.body, t.thread_id FROM thread t JOIN observation o ON o.thread = t.id \
                   ORDER BY t.thread_id, o.key, o.variant";
        let mut statement = self.db.prepare_cached(sql)?;
        let mut rows = statement.query([])?;
        let mut newer = 0;
        while let Some(row) = rows.next()? {
            let thread = ThreadId::new(row.get_ref(4)?.as_str()?);
            match thread.map(|thread| rows::read(row, thread)).transpose()?.flatten() {
                Some(observation) => each(observation)?,
                None => newer += 1,
            }
        }
        Ok(newer)
    }

    fn cursor(&self, path: &Path) -> anyhow::Result<Option<Cursor>> {
        cursor_of(&self.db, path).map_err(mark_busy)
    }

    fn cursors(&self) -> anyhow::Result<Vec<(PathBuf, Cursor)>> {
        let sql = "SELECT path, device, inode, size, modified_ns, byte_offset, state FROM file ORDER BY path";
        let mut statement = self.db.prepare_cached(sql)?;
        let rows = statement.query_map([], cursor_of_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn counters(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        let mut statement = self.db.prepare_cached("SELECT name, value FROM counter")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn codex_homes(&self) -> anyhow::Result<Vec<PathBuf>> {
        let mut statement = self.db.prepare_cached("SELECT path FROM codex_home ORDER BY path")?;
        let rows = statement.query_map([], |row| Ok(path_of(row.get_ref(0)?.as_blob()?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn contents(&self, threads: &[ThreadId]) -> anyhow::Result<Vec<Content>> {
        self.read_contents(threads)
    }

    fn purge(&mut self, which: &Purge) -> anyhow::Result<u64> {
        self.purge_contents(which)
    }
}

/// SQLite waits for nobody when a new file changes its mode, so that several processes that make a store at once must try again.
fn use_wal(db: &Connection, patience: Duration) -> rusqlite::Result<()> {
    let deadline = Instant::now() + patience;
    loop {
        match db.pragma_update(None, "journal_mode", "wal") {
            Err(e) if e.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            other => return other,
        }
    }
}

/// Everything of a batch but its observations.
fn append_positions(tx: &Transaction<'_>, batch: &Batch) -> anyhow::Result<()> {
    let mut alone = true;
    for (path, from) in &batch.read_from {
        alone &= cursor_of(tx, path)? == *from;
    }
    for (path, c) in batch.cursors.iter().filter(|_| alone) {
        tx.prepare_cached("INSERT OR REPLACE INTO file VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?.execute(params![
            path.as_os_str().as_bytes(),
            c.identity.0 as i64,
            c.identity.1 as i64,
            c.size as i64,
            c.modified,
            c.offset as i64,
            c.state
        ])?;
    }
    for path in &batch.forget {
        tx.execute("DELETE FROM file WHERE path = ?1", [path.as_os_str().as_bytes()])?;
    }
    for (name, n) in batch.counters.iter().filter(|_| alone) {
        let sql = "INSERT INTO counter VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value";
        tx.prepare_cached(sql)?.execute(params![name, *n as i64])?;
    }
    for path in &batch.codex_homes {
        tx.execute("INSERT OR IGNORE INTO codex_home VALUES (?1)", [path.as_os_str().as_bytes()])?;
    }
    Ok(())
}

fn cursor_of(db: &Connection, path: &Path) -> anyhow::Result<Option<Cursor>> {
    let sql = "SELECT path, device, inode, size, modified_ns, byte_offset, state FROM file WHERE path = ?1";
    let row = db.prepare_cached(sql)?.query_row([path.as_os_str().as_bytes()], cursor_of_row).optional()?;
    Ok(row.map(|(_, cursor)| cursor))
}

fn cursor_of_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<(PathBuf, Cursor)> {
    let number = |i| row.get::<_, i64>(i).map(|n| n as u64);
    let cursor = Cursor {
        identity: (number(1)?, number(2)?),
        size: number(3)?,
        modified: row.get(4)?,
        offset: number(5)?,
        state: row.get(6)?,
    };
    Ok((path_of(row.get_ref(0)?.as_blob()?), cursor))
}

fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Body, KeyBuilder, Response, SourceKind, Timestamp, TokenUsage};

    fn response(input: u64) -> Observation {
        let usage = TokenUsage { input, ..TokenUsage::default() };
        Observation {
            thread: ThreadId::new("t").unwrap(),
            key: KeyBuilder::new("k").build(),
            source: SourceKind::Otlp,
            time: Timestamp(1),
            body: Body::Response(Box::new(Response { usage, ..Response::default() })),
        }
    }

    #[test]
    fn storing_twice_is_storing_once_and_other_content_is_a_conflict() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tally.db");
        let mut store = SqliteStore::open(&path).unwrap();
        let batch = |n| Batch { observations: vec![response(n), response(n)], ..Batch::default() };
        assert_eq!(store.append(&batch(1)).unwrap(), Appended { stored: 1, known: 1, conflicts: 0 });
        assert_eq!(store.append(&batch(2)).unwrap(), Appended { stored: 1, known: 1, conflicts: 1 });
        drop(store);
        let mut store = SqliteStore::open(&path).unwrap();
        assert_eq!(store.observations().unwrap().len(), 2);
        // Of a thread that is new.
        let other = |n| Observation { thread: ThreadId::new("u").unwrap(), ..response(n) };
        let batch = |all: &[u64]| Batch { observations: all.iter().map(|n| other(*n)).collect(), ..Batch::default() };
        let appended = store.append_all(&[batch(&[1, 2, 1]), batch(&[2, 3])]).unwrap();
        assert_eq!(appended, Appended { stored: 3, known: 2, conflicts: 2 });
    }

    #[test]
    fn who_cannot_wait_leaves_the_wal_to_another() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tally.db");
        let mut hasty = SqliteStore::open_within(&path, Duration::ZERO).unwrap();
        let mut other = SqliteStore::open_within(&path, Duration::ZERO).unwrap();
        let model = Some("m".repeat(6000));
        let body = |n| Response { turn: Some(format!("{n}")), model: model.clone(), ..Response::default() };
        let large = |n: i64| {
            let (key, body) = (KeyBuilder::new("k").number(n).build(), Body::Response(Box::new(body(n))));
            Observation { key, body, ..response(0) }
        };
        hasty.append(&Batch { observations: (0..WAL).map(large).collect(), ..Batch::default() }).unwrap();
        let size = || std::fs::metadata(&path).unwrap().len();
        let small = size();
        other.settle().unwrap();
        assert!(small < 1 << 20 && size() > 6 << 20, "{small}, then {}", size());
    }

    #[test]
    fn of_two_readers_of_a_file_one_counts() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = SqliteStore::open(&dir.path().join("tally.db")).unwrap();
        let at = |offset| Cursor { offset, ..Cursor::default() };
        let mut read = |from: Option<u64>, to: u64| {
            let path = PathBuf::from("/a");
            let mut batch = Batch { cursors: vec![(path.clone(), at(to))], ..Batch::default() };
            batch.read_from = vec![(path.clone(), from.map(at))];
            batch.observations = vec![response(to)];
            batch.count("x", 1);
            let stored = store.append(&batch).unwrap().stored;
            (stored, store.cursor(&path).unwrap().unwrap().offset, store.counters().unwrap()["x"])
        };
        assert_eq!(read(None, 5), (1, 5, 1));
        assert_eq!(read(None, 7), (1, 5, 1), "began before the other had stored anything");
        assert_eq!(read(Some(7), 9), (1, 5, 1));
        assert_eq!(read(Some(5), 9), (0, 9, 2));
    }

    #[test]
    fn a_batch_is_all_or_nothing_and_files_are_private() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tally.db");
        let mut store = SqliteStore::open(&path).unwrap();
        let cursor = Cursor { identity: (1, u64::MAX), size: 3, modified: 4, offset: 2, state: "s".into() };
        let mut batch = Batch { cursors: vec![("/a".into(), cursor.clone())], ..Batch::default() };
        batch.count("x", 2);
        store.append(&batch).unwrap();
        store.append(&batch).unwrap();
        assert_eq!(store.cursor(Path::new("/a")).unwrap(), Some(cursor));
        assert_eq!(store.counters().unwrap()["x"], 4);
        for file in ["tally.db", "tally.db-wal", "tally.db-shm"] {
            let mode = std::fs::metadata(dir.path().join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{file}");
        }
        store.append(&Batch { forget: vec!["/a".into()], ..Batch::default() }).unwrap();
        assert!(store.cursor(Path::new("/a")).unwrap().is_none());
    }
}
