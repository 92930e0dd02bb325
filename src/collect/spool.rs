//! Follows the spool: stores what hooks wrote, and removes days that are over and read.

use super::Summary;
use super::lines::{Lines, Next};
use crate::ingest::hook::decode_line_as;
use crate::ingest::transcript::thread_of_path;
use crate::model::{Day, Users};
use crate::store::{Batch, Cursor, PIECE, Store, spool};
use anyhow::{Context, bail};
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Observations given to the store at once, roughly.
const BATCH: usize = 4096;

/// How long one reader waits for another, as long as for the store.
const PATIENCE: Duration = Duration::from_secs(30);

/// The spool may hold this much; beyond it the oldest day goes and is counted.
const MAX_SPOOL_BYTES: u64 = 2 << 30;

/// Reads on in all spool files of a home. `today` tells which days are over, `users` as whom users are known.
///
/// # Errors
/// The folder or the store cannot be read or written. A single file that cannot be read is counted instead.
pub fn read_spool(store: &mut dyn Store, home: &Path, today: Day, users: &Users) -> anyhow::Result<Summary> {
    let _alone = lock(&spool::folder(home))?;
    read_alone(store, home, today, users)
}

/// The same, unless another process reads there at this moment: then it is left to that one.
///
/// # Errors
/// As `read_spool`.
pub fn read_spool_if_free(store: &mut dyn Store, home: &Path, today: Day, users: &Users) -> anyhow::Result<Summary> {
    let Ok(folder) = File::open(spool::folder(home)) else { return Ok(Summary::default()) };
    if rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK) {
        return Ok(Summary::default());
    }
    read_alone(store, home, today, users)
}

/// How many bytes of the spool have not been read yet.
///
/// # Errors
/// The folder or the store cannot be read.
pub fn spool_backlog(store: &dyn Store, home: &Path) -> anyhow::Result<u64> {
    let mut unread = 0;
    for (path, _) in spool_files(&spool::folder(home))? {
        let size = std::fs::metadata(&path).map_or(0, |meta| meta.len());
        unread += size.saturating_sub(store.cursor(&path)?.map_or(0, |cursor| cursor.offset));
    }
    Ok(unread)
}

fn read_alone(store: &mut dyn Store, home: &Path, today: Day, users: &Users) -> anyhow::Result<Summary> {
    let mut summary = Summary::default();
    for (path, day) in spool_files(&spool::folder(home))? {
        summary.files += 1;
        let end =
            read_file(store, &path, users, &mut summary).with_context(|| format!("cannot read {}", path.display()))?;
        if end == End::Newer {
            let path = path.display();
            summary.problem(format!("{path}: a newer codex-tally wrote it, and it waits for one; update this program"));
        } else if day.next().next() <= today {
            count_dropped(store, &path)?;
            if end == End::Torn {
                count_torn(store, &path)?;
            }
            std::fs::remove_file(&path)?;
            store.append(&Batch { forget: vec![path], ..Batch::default() })?;
        }
    }
    bound(store, &spool::folder(home))?;
    Ok(summary)
}

/// Keeps other readers away until it is dropped, because days that are read go. Hooks are not held up: they take no lock.
fn lock(dir: &Path) -> anyhow::Result<Option<File>> {
    let folder = match File::open(dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.with_context(|| format!("cannot read {}", dir.display()))?,
    };
    let deadline = Instant::now() + PATIENCE;
    while rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK) {
        if Instant::now() > deadline {
            bail!("another process has been reading {} for {} seconds", dir.display(), PATIENCE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    // A file system without locks has no better answer than to go on.
    Ok(Some(folder))
}

/// All spool files, oldest day first.
fn spool_files(dir: &Path) -> anyhow::Result<Vec<(PathBuf, Day)>> {
    let entries = match std::fs::read_dir(dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.with_context(|| format!("cannot read {}", dir.display()))?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        // Links, folders and pipes are not ours.
        if let (Some(day), true) = (entry.file_name().to_str().and_then(spool::day_of), entry.file_type()?.is_file()) {
            files.push((entry.path(), day));
        }
    }
    files.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
    Ok(files)
}

/// How far a file could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// All of it.
    Whole,
    /// To a line without its end.
    Torn,
    /// To a line that only a newer version understands.
    Newer,
}

/// Reads on in one file.
fn read_file(store: &mut dyn Store, path: &Path, users: &Users, summary: &mut Summary) -> anyhow::Result<End> {
    let mut file = File::open(path)?;
    let meta = file.metadata()?;
    let identity = (meta.dev(), meta.ino());
    let known = store.cursor(path)?.filter(|c| c.identity == identity && c.offset <= meta.len());
    let start = known.map_or(0, |c| c.offset);
    if start == meta.len() {
        return Ok(End::Whole);
    }
    summary.read += 1;
    file.seek(SeekFrom::Start(start))?;
    let mut room = Vec::new();
    let mut lines = Lines::new(file, &mut room);
    let mut batch = Batch::default();
    let mut homes = BTreeSet::new();
    loop {
        let before = lines.consumed;
        let (ended, newer) = match lines.next(false)? {
            Next::Line(line) => (false, !take_line(line, users, &mut batch, &mut homes)),
            Next::TooLong => {
                batch.count("spool.bad_line", 1);
                (false, false)
            }
            Next::End => (true, false),
        };
        let read = if newer { before } else { lines.consumed };
        if ended || newer || batch.observations.len() >= BATCH {
            let offset = start + read;
            let cursor = Cursor { identity, size: meta.len(), modified: 0, offset, state: String::new() };
            batch.cursors.push((path.to_path_buf(), cursor));
            batch.codex_homes.extend(std::mem::take(&mut homes));
            summary.add(store.append_all(&std::mem::take(&mut batch).in_pieces(PIECE))?);
        }
        if ended || newer {
            summary.bytes += read;
            return Ok(match (newer, start + read >= meta.len()) {
                (true, _) => End::Newer,
                (false, true) => End::Whole,
                (false, false) => End::Torn,
            });
        }
    }
}

/// Takes in a line; false if it must wait for a newer version.
fn take_line(line: &[u8], users: &Users, batch: &mut Batch, homes: &mut BTreeSet<PathBuf>) -> bool {
    let line = line.trim_ascii();
    if line.is_empty() {
        return true;
    }
    let decoded = decode_line_as(line, users);
    if decoded.newer {
        return false;
    }
    batch.observations.extend(decoded.observations);
    if let Some(why) = decoded.unreadable {
        batch.count(&why, 1);
    }
    homes.extend(decoded.transcripts.iter().filter_map(|t| codex_home_of(Path::new(t))));
    true
}

/// The CODEX_HOME that a transcript lies in: what stands before `sessions` or `archived_sessions`.
fn codex_home_of(transcript: &Path) -> Option<PathBuf> {
    // What does not even look like a transcript says nothing of where any are.
    thread_of_path(&transcript.to_string_lossy())?;
    let sessions = |p: &&Path| p.file_name().is_some_and(|n| n == "sessions" || n == "archived_sessions");
    let dir = transcript.ancestors().skip(1).find(sessions)?;
    dir.parent().filter(|home| home.is_absolute()).map(Path::to_path_buf)
}

/// Nobody writes to a day that is over for so long: what has no line end by now was torn. It counts as read from then on.
fn count_torn(store: &mut dyn Store, path: &Path) -> anyhow::Result<()> {
    let mut batch = Batch::default();
    batch.count("spool.bad_line", 1);
    let cursor = store.cursor(path)?.map(|c| Cursor { offset: c.size, ..c });
    batch.cursors.extend(cursor.map(|c| (path.to_path_buf(), c)));
    store.append(&batch)?;
    Ok(())
}

/// Lines that hooks could not write because the day's file was full: one byte each in a file beside it.
fn count_dropped(store: &mut dyn Store, path: &Path) -> anyhow::Result<()> {
    let mut beside = path.as_os_str().to_os_string();
    beside.push(".dropped");
    let beside = PathBuf::from(beside);
    if let Ok(meta) = std::fs::symlink_metadata(&beside) {
        let mut batch = Batch::default();
        batch.count("spool.dropped_full", meta.len());
        store.append(&batch)?;
        std::fs::remove_file(&beside)?;
    }
    Ok(())
}

/// Keeps the spool within its bound; what goes unread is counted in bytes.
fn bound(store: &mut dyn Store, dir: &Path) -> anyhow::Result<()> {
    let files = spool_files(dir)?;
    let mut sizes = Vec::new();
    for (path, _) in &files {
        sizes.push(std::fs::metadata(path)?.len());
    }
    let mut total: u64 = sizes.iter().sum();
    for ((path, _), size) in files.into_iter().zip(sizes) {
        if total <= MAX_SPOOL_BYTES {
            break;
        }
        let mut batch = Batch { forget: vec![path.clone()], ..Batch::default() };
        let read = store.cursor(&path)?.map_or(0, |c| c.offset);
        batch.count("spool.dropped_bytes", size.saturating_sub(read));
        store.append(&batch)?;
        std::fs::remove_file(&path)?;
        total -= size;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::SqliteStore;

    fn line(home: &Path, day: &str, text: &str) {
        spool::append(home, "h", Day::parse(day).unwrap(), text.as_bytes()).unwrap();
    }

    #[test]
    fn the_spool_is_followed_and_old_days_go() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = SqliteStore::open(&dir.path().join("t.db")).unwrap();
        let day = |d: &str| Day::parse(d).unwrap();
        let event =
            |n: u32| format!(r#"{{"v":1,"id":{{"ns":{n},"pid":1,"rnd":1}},"event":"UserPromptSubmit","session":"s"}}"#);
        line(dir.path(), "2026-11-19", &event(1));
        line(dir.path(), "2026-11-21", &event(2));
        line(dir.path(), "2026-11-21", "{torn");
        let first = read_spool(&mut store, dir.path(), day("2026-11-20"), &Users::Plain).unwrap();
        assert_eq!((first.files, first.read), (2, 2));
        assert_eq!(store.counters().unwrap()["spool.bad_line"], 1);
        assert_eq!(read_spool(&mut store, dir.path(), day("2026-11-20"), &Users::Plain).unwrap().read, 0);
        line(dir.path(), "2026-11-21", &event(3));
        let again = read_spool(&mut store, dir.path(), day("2026-11-21"), &Users::Plain).unwrap();
        assert_eq!((again.read, again.stored), (1, 1));
        assert!(!spool::folder(dir.path()).join("h-2026-11-19.jsonl").exists());
        assert!(spool::folder(dir.path()).join("h-2026-11-21.jsonl").exists());
    }

    #[test]
    fn a_line_being_written_waits() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = SqliteStore::open(&dir.path().join("t.db")).unwrap();
        let today = Day::parse("2026-11-21").unwrap();
        line(dir.path(), "2026-11-21", r#"{"v":1,"id":{"ns":1,"pid":1,"rnd":1},"event":"Stop","session":"s"}"#);
        let path = spool::folder(dir.path()).join("h-2026-11-21.jsonl");
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 5]).unwrap();
        assert_eq!(read_spool(&mut store, dir.path(), today, &Users::Plain).unwrap().stored, 0);
        std::fs::write(&path, &whole).unwrap();
        assert_eq!(read_spool(&mut store, dir.path(), today, &Users::Plain).unwrap().stored, 1);
    }

    #[test]
    fn transcripts_tell_where_codex_lives() {
        let of = |p: &str| codex_home_of(Path::new(p));
        let name = "rollout-2026-11-21T01-38-57-01a1fbc1-b2d8-74a2-955e-70a1f37fabfe.jsonl";
        assert_eq!(of(&format!("/h/.codex/sessions/2026/11/21/{name}")), Some("/h/.codex".into()));
        assert_eq!(of(&format!("/h/.codex/archived_sessions/{name}")), Some("/h/.codex".into()));
        assert_eq!(of(&format!("sessions/{name}")), None);
        assert_eq!(of("/dev/null/sessions/a.jsonl"), None);
        assert_eq!(of("/etc/passwd"), None);
    }
}
