//! Finds and follows transcripts, plain and zstd, streaming.

use super::Summary;
use super::lines::{Lines, Next};
use crate::ingest::transcript::{Reader, State, thread_of_path};
use crate::model::{Body, Context, KeyBuilder, Observation, SourceKind, Timestamp};
use crate::store::{Batch, Cursor, Store};
use anyhow::Context as _;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Observations stored in one transaction, roughly.
const BATCH: usize = 4096;

/// Bytes read in one transaction, roughly: a pass that is cut short is taken up again not far behind.
const BATCH_BYTES: u64 = 32 << 20;

/// Transcripts below these paths, in order. A path that is a file is taken as it is; of a folder, all `rollout-*.jsonl`
/// and `rollout-*.jsonl.zst`. A CODEX_HOME means its `sessions` and `archived_sessions`. What is missing is no error.
pub fn find_transcripts(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in paths {
        match std::fs::metadata(path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(e).with_context(|| format!("cannot read {}", path.display())),
            Ok(meta) if meta.is_file() => found.push(path.clone()),
            Ok(_) => {
                let parts = ["sessions", "archived_sessions"].map(|part| path.join(part));
                if parts.iter().any(|part| part.is_dir()) {
                    parts.iter().filter(|part| part.is_dir()).try_for_each(|part| walk(part, &mut found))?;
                } else {
                    walk(path, &mut found)?;
                }
            }
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// Links are not followed: they could lead anywhere, and round in circles.
fn walk(dir: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    for entry in entries {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            walk(&entry.path(), found)?;
        } else if kind.is_file() {
            let name = entry.file_name();
            let name = name.to_str().unwrap_or("");
            if name.starts_with("rollout-") && (name.ends_with(".jsonl") || name.ends_with(".jsonl.zst")) {
                found.push(entry.path());
            }
        }
    }
    Ok(())
}

/// Reads on in these transcripts. `os_user` is the name of the user that this process runs as; files of others are theirs.
///
/// # Errors
/// The store cannot be written. A file that cannot be read is counted and described instead, and the rest goes on.
pub fn read_transcripts(store: &mut dyn Store, paths: &[PathBuf], os_user: &str) -> anyhow::Result<Summary> {
    let mut summary = Summary::default();
    for path in paths {
        summary.files += 1;
        match read_file(store, path, os_user, &mut summary) {
            Ok(()) => {}
            Err(Failure::Store(e)) => return Err(e),
            Err(Failure::File(e)) => summary.problem(format!("{}: {e:#}", path.display())),
        }
    }
    Ok(summary)
}

/// Whose fault it is: one bad file must not stop the others, a store that cannot be written must.
enum Failure {
    File(anyhow::Error),
    Store(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(e: E) -> Self {
        Failure::File(e.into())
    }
}

fn read_file(store: &mut dyn Store, path: &Path, os_user: &str, summary: &mut Summary) -> Result<(), Failure> {
    let mut file = File::open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(Failure::File(anyhow::anyhow!("not a regular file")));
    }
    let identity = (meta.dev(), meta.ino());
    let modified = meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec());
    let stored = store.cursor(path).map_err(Failure::Store)?;
    let known = stored.clone().filter(|c| c.identity == identity);
    if known.as_ref().is_some_and(|c| c.size == meta.len() && c.modified == modified) {
        return Ok(());
    }
    summary.read += 1;
    let compressed = path.extension().is_some_and(|e| e == "zst");
    let resume = known.filter(|c| !compressed && continues(&mut file, c, meta.len()));
    let (start, state) = match resume {
        Some(c) => (c.offset, serde_json::from_str::<State>(&c.state).context("the stored state is damaged")?),
        None => (0, State::default()),
    };
    let owner = if meta.uid() == rustix::process::geteuid().as_raw() {
        os_user.to_string()
    } else {
        crate::config::user_name(meta.uid())
    };
    let input: Box<dyn BufRead> = if compressed {
        // The window that a frame may ask for is what bounds the memory.
        let mut decoder = zstd::Decoder::new(file)?;
        decoder.window_log_max(27)?;
        Box::new(BufReader::with_capacity(1 << 17, decoder))
    } else {
        file.seek(SeekFrom::Start(start))?;
        Box::new(BufReader::with_capacity(1 << 17, file))
    };
    let position = Cursor { identity, size: meta.len(), modified, offset: start, state: String::new() };
    follow(
        store,
        path,
        Lines::new(input),
        Reader::new(thread_of_path(&path.to_string_lossy()), state),
        position,
        FileEnd { owner, ends_line: compressed, stored },
        summary,
    )
}

/// What is known of a file beside its bytes.
struct FileEnd {
    /// What the store said of it when reading began.
    stored: Option<Cursor>,
    owner: String,
    /// The file will not grow, so that its end ends a line.
    ends_line: bool,
}

fn follow(
    store: &mut dyn Store,
    path: &Path,
    mut lines: Lines<Box<dyn BufRead>>,
    mut reader: Reader,
    position: Cursor,
    mut file: FileEnd,
    summary: &mut Summary,
) -> Result<(), Failure> {
    let mut before = 0;
    loop {
        let next = lines.next(file.ends_line)?;
        match next {
            Next::Line => reader.line(&lines.buffer),
            Next::TooLong => *reader.counters.entry("transcript.line_too_long".into()).or_default() += 1,
            Next::End => {}
        }
        let full = reader.observations.len() >= BATCH || lines.consumed - before >= BATCH_BYTES;
        if next == Next::End || full {
            let offset = position.offset + lines.consumed;
            // Until the end is reached the file counts as changed, so that a pass that is cut short is taken up again.
            let size = if next == Next::End { position.size } else { offset };
            let state = serde_json::to_string(reader.state())?;
            let cursor = Cursor { size, offset, state, ..position.clone() };
            let from = file.stored.replace(cursor.clone());
            let mut batch = Batch {
                cursors: vec![(path.to_path_buf(), cursor)],
                read_from: vec![(path.to_path_buf(), from)],
                ..Batch::default()
            };
            batch.observations = std::mem::take(&mut reader.observations);
            add_owner(&mut batch.observations, &file.owner);
            for (name, n) in std::mem::take(&mut reader.counters) {
                batch.count(&name, n);
            }
            summary.add(store.append(&batch).map_err(Failure::Store)?);
            summary.bytes += lines.consumed - before;
            before = lines.consumed;
        }
        if next == Next::End {
            return Ok(());
        }
    }
}

/// Whether a plain file can be read on: it has not shrunk, and a line ends where reading stopped.
fn continues(file: &mut File, cursor: &Cursor, size: u64) -> bool {
    if cursor.offset == 0 || cursor.offset > size {
        return false;
    }
    let mut byte = [0];
    let read = file.seek(SeekFrom::Start(cursor.offset - 1)).and_then(|_| file.read_exact(&mut byte));
    read.is_ok() && byte == *b"\n"
}

/// A transcript does not say whose it is; its file does.
fn add_owner(observations: &mut Vec<Observation>, owner: &str) {
    let owners: Vec<_> = observations
        .iter()
        .filter(|o| matches!(o.body, Body::Meta(_)))
        .map(|o| {
            let context = Context { os_user: Some(owner.to_string()), ..Context::default() };
            Observation {
                thread: o.thread.clone(),
                key: KeyBuilder::new("file-owner").part(o.thread.as_str()).part(owner).build(),
                source: SourceKind::Transcript,
                time: Timestamp(0),
                body: Body::Context(Box::new(context)),
            }
        })
        .collect();
    observations.extend(owners);
}
