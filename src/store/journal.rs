//! The journal: where the sink puts what it acknowledges while the store cannot be written. Codex never sends again.
//!
//! `<home>/journal/` holds segments, files of frames: `CTJ1`, the payload's length and a CRC-32 of length and payload (both
//! little-endian), and the payload, one JSON document. A frame is acknowledged once it is synced; what a crash tore was not.
//!
//! Whoever appends to a segment or drains it holds its lock (`flock`). One who appends waits for nobody: if its segment is
//! locked, drained or full it begins another. One who drains removes the segment, still under the lock, once the store has
//! committed all of it. Draining twice is harmless: observations have keys, and counters go with a reading position.

use super::spool::create_private_dir;
use super::{Appended, Batch, Cursor, PIECE, Store};
use crate::model::{Body, Key, Observation, SourceKind, ThreadId, Timestamp};
use anyhow::Context as _;
use flate2::Crc;
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The journal of a home may hold this much, as a last resort is not to fill the disk.
const MAX_BYTES: u64 = 1 << 30;

/// A segment of this size is not appended to any more. One is read into memory as a whole.
const SEGMENT_BYTES: u64 = 16 << 20;

/// How often another segment is begun when all are taken away at once.
const TRIES: usize = 16;

const MAGIC: [u8; 4] = *b"CTJ1";
const HEAD: usize = 12;
const SUFFIX: &str = ".journal";

/// The folder of the journal in a home.
pub fn folder(home: &Path) -> PathBuf {
    home.join("journal")
}

/// The end of the journal that a sink writes to.
#[derive(Debug)]
pub struct Journal {
    dir: PathBuf,
    limit: u64,
    segment: Option<File>,
    begun: u64,
}

impl Journal {
    /// The journal of a home. Nothing is created before something must be written.
    pub fn new(home: &Path) -> Self {
        Journal { dir: folder(home), limit: MAX_BYTES, segment: None, begun: 0 }
    }

    /// Appends one frame. It is on disk when this returns.
    ///
    /// # Errors
    /// It cannot be written, or the journal is full. Then nothing of it will be applied, or it will be applied although the
    /// caller was told that it is lost; never half of it.
    pub fn append(&mut self, observations: &[Observation], counters: &BTreeMap<String, u64>) -> io::Result<()> {
        let frame = frame(&encode(observations, counters)?)?;
        if self.bytes()?.saturating_add(frame.len() as u64) > self.limit {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "the journal is full"));
        }
        for _ in 0..TRIES {
            let file = match self.segment.take() {
                Some(file) => file,
                None => self.begin()?,
            };
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Err(Errno::WOULDBLOCK) => continue,
                other => other?,
            }
            let meta = file.metadata()?;
            if meta.nlink() == 0 || meta.len() >= SEGMENT_BYTES {
                continue;
            }
            if let Err(e) = (&file).write_all(&frame).and_then(|()| file.sync_data()) {
                // Whether or not this works, the segment is not appended to again: nothing may stand behind a torn frame.
                let _ = file.set_len(meta.len());
                return Err(e);
            }
            rustix::fs::flock(&file, FlockOperation::Unlock)?;
            self.segment = Some(file);
            return Ok(());
        }
        Err(io::Error::other("every segment of the journal is taken away at once"))
    }

    fn begin(&mut self) -> io::Result<File> {
        let dir = match open_folder(&self.dir) {
            Err(Errno::NOENT) => {
                create_private_dir(&self.dir)?;
                if let Some(home) = self.dir.parent() {
                    File::open(home)?.sync_all()?;
                }
                open_folder(&self.dir)?
            }
            other => other?,
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        self.begun += 1;
        let name = format!("{now:020}-{}-{}{SUFFIX}", std::process::id(), self.begun);
        let flags =
            OFlags::CREATE | OFlags::EXCL | OFlags::APPEND | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&dir, name, flags, Mode::RUSR | Mode::WUSR)?;
        // Without this the name could be lost with the power, and all that is acknowledged in the file with it.
        File::from(dir).sync_all()?;
        Ok(file.into())
    }

    /// What all segments hold, also those of other sinks.
    fn bytes(&self) -> io::Result<u64> {
        let mut bytes = 0;
        for path in segments(&self.dir)? {
            match std::fs::symlink_metadata(&path) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                other => bytes += other?.len(),
            }
        }
        Ok(bytes)
    }
}

/// The folder itself, never what a link in its place leads to.
fn open_folder(dir: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = rustix::fs::open(dir, flags, Mode::empty())?;
    let owner = rustix::fs::fstat(&folder)?.st_uid;
    if owner == rustix::process::geteuid().as_raw() { Ok(folder) } else { Err(Errno::PERM) }
}

/// All segments, oldest first. No folder is no segments.
fn segments(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let folder = match open_folder(dir) {
        Err(Errno::NOENT) => return Ok(Vec::new()),
        other => other?,
    };
    let mut paths = Vec::new();
    for entry in rustix::fs::Dir::read_from(folder.as_fd())? {
        let entry = entry?;
        if let Some(name) = entry.file_name().to_str().ok().filter(|name| name.ends_with(SUFFIX)) {
            paths.push(dir.join(name));
        }
    }
    paths.sort();
    Ok(paths)
}

/// What draining did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Drained {
    /// What became of the observations.
    pub appended: Appended,
    /// Transactions.
    pub commits: u64,
    /// Segments that another process holds and that were not waited for.
    pub left: u64,
}

/// Whether there is anything to drain.
///
/// # Errors
/// The folder cannot be read, or is a link or somebody else's.
pub fn is_empty(home: &Path) -> io::Result<bool> {
    Ok(segments(&folder(home))?.is_empty())
}

/// Applies all that is in the journal to the store and removes what has been committed. A segment that another process holds
/// is waited for so long, then left to it.
///
/// # Errors
/// The journal cannot be read or the store cannot be written; what was not committed stays in the journal.
pub fn drain(home: &Path, store: &mut dyn Store, wait: Duration) -> anyhow::Result<Drained> {
    let mut drained = Drained::default();
    let dir = folder(home);
    for path in segments(&dir).with_context(|| format!("cannot read {}", dir.display()))? {
        drain_segment(&path, store, wait, &mut drained).with_context(|| format!("cannot apply {}", path.display()))?;
    }
    Ok(drained)
}

fn drain_segment(path: &Path, store: &mut dyn Store, wait: Duration, drained: &mut Drained) -> anyhow::Result<()> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let mut file: File = match rustix::fs::open(path, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        other => other?.into(),
    };
    if !lock(&file, wait)? {
        drained.left += 1;
        return Ok(());
    }
    let meta = file.metadata()?;
    if meta.nlink() == 0 {
        return Ok(());
    }
    anyhow::ensure!(meta.is_file() && meta.uid() == rustix::process::geteuid().as_raw(), "not a file of this user");
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    // Named by the segment alone: the home may be written in several ways.
    let name = Path::new("journal").join(path.file_name().unwrap_or_default());
    let mut target = Target { store, stored: None, name, drained };
    let whole = target.apply(&bytes)?;
    // Until the segment is gone nobody else touches it: the lock is held.
    if whole {
        std::fs::remove_file(path)?;
    } else {
        std::fs::rename(path, path.with_extension("damaged"))?;
    }
    target.forget()
}

/// True once the lock is held.
fn lock(file: &File, wait: Duration) -> io::Result<bool> {
    let deadline = Instant::now() + wait;
    loop {
        match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(true),
            Err(Errno::WOULDBLOCK) if Instant::now() >= deadline => return Ok(false),
            Err(Errno::WOULDBLOCK) => std::thread::sleep(Duration::from_millis(2)),
            Err(e) => return Err(e.into()),
        }
    }
}

/// Where one segment goes.
struct Target<'a> {
    store: &'a mut dyn Store,
    /// The position in the segment that the store knows of.
    stored: Option<Cursor>,
    name: PathBuf,
    drained: &'a mut Drained,
}

impl Target<'_> {
    /// Applies the frames that were not applied yet; false if one that was whole once cannot be read.
    fn apply(&mut self, bytes: &[u8]) -> anyhow::Result<bool> {
        self.stored = self.store.cursor(&self.name)?;
        let mut at = self.stored.as_ref().map_or(0, |c| usize::try_from(c.offset).unwrap_or(usize::MAX));
        let mut batch = Batch::default();
        let mut whole = true;
        while at < bytes.len() {
            let next = match payload(&bytes[at..]) {
                Some(payload) => {
                    let (observations, counters, readable) = decode(payload);
                    batch.observations.extend(observations);
                    counters.iter().for_each(|(name, n)| batch.count(name, *n));
                    batch.count("journal.damaged", u64::from(!readable));
                    whole &= readable;
                    at + HEAD + payload.len()
                }
                // What stands behind it was written later, so it was whole once; at the end it was never acknowledged.
                None => match (at + 1..bytes.len()).find(|n| payload(&bytes[*n..]).is_some()) {
                    Some(next) => {
                        batch.count("journal.damaged", 1);
                        whole = false;
                        next
                    }
                    None => {
                        batch.count("journal.torn", 1);
                        bytes.len()
                    }
                },
            };
            at = next;
            if batch.observations.len() >= PIECE || at >= bytes.len() {
                self.commit(std::mem::take(&mut batch), at as u64)?;
            }
        }
        Ok(whole)
    }

    /// Stores a batch that ends at this offset, in short transactions; the last one moves the position and counts.
    fn commit(&mut self, mut batch: Batch, offset: u64) -> anyhow::Result<()> {
        let cursor = Cursor { offset, ..Cursor::default() };
        batch.cursors.push((self.name.clone(), cursor.clone()));
        batch.read_from.push((self.name.clone(), self.stored.clone()));
        batch.in_pieces(PIECE).iter().try_for_each(|piece| self.append(piece))?;
        self.stored = Some(cursor);
        Ok(())
    }

    fn append(&mut self, batch: &Batch) -> anyhow::Result<()> {
        let appended = self.store.append(batch)?;
        self.drained.commits += 1;
        self.drained.appended += appended;
        Ok(())
    }

    fn forget(mut self) -> anyhow::Result<()> {
        match self.stored {
            Some(_) => self.append(&Batch { forget: vec![self.name.clone()], ..Batch::default() }),
            None => Ok(()),
        }
    }
}

/// A frame's payload as it is written: the wire form of this file alone.
#[derive(Serialize, Deserialize)]
struct Document<'a> {
    #[serde(default)]
    observations: Vec<Record<'a>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    counters: BTreeMap<String, u64>,
}

#[derive(Serialize, Deserialize)]
struct Record<'a> {
    thread: Cow<'a, str>,
    key: [u8; 16],
    source: i64,
    time_ns: i64,
    body: Cow<'a, Body>,
}

impl<'a> Record<'a> {
    fn of(o: &'a Observation) -> Self {
        Record {
            thread: Cow::Borrowed(o.thread.as_str()),
            key: o.key.0,
            source: o.source.code(),
            time_ns: o.time.0,
            body: Cow::Borrowed(&o.body),
        }
    }
}

fn encode(observations: &[Observation], counters: &BTreeMap<String, u64>) -> io::Result<Vec<u8>> {
    let records = observations.iter().map(Record::of).collect();
    Ok(serde_json::to_vec(&Document { observations: records, counters: counters.clone() })?)
}

/// The observations and counters of a payload, and whether that is all of it: a newer version may have written it.
fn decode(payload: &[u8]) -> (Vec<Observation>, BTreeMap<String, u64>, bool) {
    let Ok(document) = serde_json::from_slice::<Document<'_>>(payload) else {
        return (Vec::new(), BTreeMap::new(), false);
    };
    let records = document.observations.len();
    let observation = |r: Record<'_>| {
        let (thread, source) = (ThreadId::new(&r.thread)?, SourceKind::from_code(r.source)?);
        Some(Observation { thread, key: Key(r.key), source, time: Timestamp(r.time_ns), body: r.body.into_owned() })
    };
    let observations: Vec<_> = document.observations.into_iter().filter_map(observation).collect();
    let all = observations.len() == records;
    (observations, document.counters, all)
}

fn checksum(length: [u8; 4], payload: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(&length);
    crc.update(payload);
    crc.sum()
}

fn frame(payload: &[u8]) -> io::Result<Vec<u8>> {
    let length = u32::try_from(payload.len()).map_err(io::Error::other)?.to_le_bytes();
    Ok([&MAGIC[..], &length, &checksum(length, payload).to_le_bytes(), payload].concat())
}

/// The payload of the frame with which the bytes begin, if that is whole.
fn payload(bytes: &[u8]) -> Option<&[u8]> {
    let rest = bytes.strip_prefix(&MAGIC)?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let payload = rest.get(..usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    (checksum(*length, payload) == u32::from_le_bytes(*sum)).then_some(payload)
}

#[cfg(test)]
mod tests;
