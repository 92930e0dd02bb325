//! Follows one transcript, plain or zstd, streaming.

use super::Keeping;
use super::lines::{Lines, Next};
use crate::ingest::transcript::{Reader, State, thread_of_path};
use crate::store::{Batch, Cursor};
use anyhow::{Context as _, bail};
use std::fs::{File, Metadata};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Observations given away at once, roughly.
const PART: usize = 256;

/// Bytes read in one part, roughly: a pass that is cut short is taken up again not far behind.
const PART_BYTES: u64 = 32 << 20;

/// Whether a file is what the store knows: then it need not be opened.
pub(super) fn is_read(meta: &Metadata, cursor: &Cursor) -> bool {
    cursor.identity == identity(meta) && cursor.size == meta.len() && cursor.modified == modified(meta)
}

fn identity(meta: &Metadata) -> (u64, u64) {
    (meta.dev(), meta.ino())
}

fn modified(meta: &Metadata) -> i64 {
    meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec())
}

/// Reads on in a file of which the store knows `stored`. What was seen is given away with the bytes that it took, until
/// `give` wants no more. `room` is a buffer that can be used again.
pub(super) fn read_file(
    path: &Path,
    stored: Option<Cursor>,
    keeping: &Keeping,
    room: &mut Vec<u8>,
    give: &mut dyn FnMut(Batch, u64) -> bool,
) -> anyhow::Result<()> {
    let mut file = File::open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        bail!("not a regular file");
    }
    let known = stored.clone().filter(|c| c.identity == identity(&meta));
    let compressed = path.extension().is_some_and(|e| e == "zst");
    let resume = known.filter(|c| !compressed && continues(&mut file, c, meta.len()));
    let (start, state) = match resume {
        Some(c) => (c.offset, serde_json::from_str::<State>(&c.state).context("the stored state is damaged")?),
        None => (0, State::default()),
    };
    let owner = if meta.uid() == rustix::process::geteuid().as_raw() {
        keeping.os_user.clone()
    } else {
        crate::config::user_name(meta.uid())
    };
    let input: Box<dyn Read> = if compressed {
        // The window that a frame may ask for is what bounds the memory.
        let mut decoder = zstd::Decoder::new(file)?;
        decoder.window_log_max(27)?;
        Box::new(decoder)
    } else {
        file.seek(SeekFrom::Start(start))?;
        Box::new(file)
    };
    let (identity, modified) = (identity(&meta), modified(&meta));
    let position = Cursor { identity, size: meta.len(), modified, offset: start, state: String::new() };
    let reader = Reader::new(thread_of_path(&path.to_string_lossy()), state).capturing(keeping.capture);
    follow(
        path,
        Lines::new(input, room),
        reader,
        position,
        FileEnd { owner, ends_line: compressed, stored, keeping },
        give,
    )
}

/// What is known of a file beside its bytes.
struct FileEnd<'a> {
    keeping: &'a Keeping,
    /// What the store said of it when reading began.
    stored: Option<Cursor>,
    owner: String,
    /// The file will not grow, so that its end ends a line.
    ends_line: bool,
}

/// Reads to the end, giving away what was seen part by part. False if nobody wants more.
fn follow(
    path: &Path,
    mut lines: Lines<'_, Box<dyn Read>>,
    mut reader: Reader,
    position: Cursor,
    mut file: FileEnd<'_>,
    give: &mut dyn FnMut(Batch, u64) -> bool,
) -> anyhow::Result<()> {
    let mut before = 0;
    loop {
        let next = lines.next(file.ends_line)?;
        let ended = next == Next::End;
        match next {
            Next::Line(line) => reader.line(line),
            Next::TooLong => *reader.counters.entry("transcript.line_too_long".into()).or_default() += 1,
            Next::End => {}
        }
        let full = reader.observations.len() + reader.contents.len() >= PART || lines.consumed - before >= PART_BYTES;
        if ended || full {
            let offset = position.offset + lines.consumed;
            // Until the end is reached the file counts as changed, so that a pass that is cut short is taken up again.
            let size = if ended { position.size } else { offset };
            let state = serde_json::to_string(reader.state())?;
            let cursor = Cursor { size, offset, state, ..position.clone() };
            let from = file.stored.replace(cursor.clone());
            let mut batch = Batch {
                cursors: vec![(path.to_path_buf(), cursor)],
                read_from: vec![(path.to_path_buf(), from)],
                ..Batch::default()
            };
            batch.observations = std::mem::take(&mut reader.observations);
            file.keeping.users_of(&mut batch.observations, &file.owner);
            batch.contents = file.keeping.young(std::mem::take(&mut reader.contents));
            for (name, n) in std::mem::take(&mut reader.counters) {
                batch.count(&name, n);
            }
            let bytes = lines.consumed - before;
            before = lines.consumed;
            if !give(batch, bytes) || ended {
                return Ok(());
            }
        }
    }
}

/// Whether a plain file can be read on: it has not shrunk, and a line ends where reading stopped, or its end came since.
fn continues(file: &mut File, cursor: &Cursor, size: u64) -> bool {
    if cursor.offset == 0 || cursor.offset > size {
        return false;
    }
    let mut around = Vec::new();
    let read = file.seek(SeekFrom::Start(cursor.offset - 1)).and_then(|_| file.take(2).read_to_end(&mut around));
    read.is_ok() && around.contains(&b'\n')
}
