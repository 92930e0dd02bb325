//! Reads on in many transcripts at once: readers in threads of their own, one writer.
//!
//! Files are dealt to the readers in turn, and the writer takes from the readers in the same turn. So what is stored, and in
//! which order, does not depend on how fast each of them was, and a reader that is ahead waits: the memory is bounded.

use super::transcript::{is_read, read_file};
use super::{Keeping, Progress, Summary};
use crate::store::{Batch, Cursor, Store};
use anyhow::Context as _;
use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Observations given to the store at once, roughly. It takes several transactions for them, since others may wait to write.
const AT_ONCE: usize = 4096;

/// Parts of files that a reader may be ahead of the writer.
const AHEAD: usize = 32;

/// More readers than this would only wait for the writer, and each of them may hold a long line.
const READERS: usize = 8;

/// Reads on in these transcripts.
///
/// # Errors
/// The store cannot be read or written. A file that cannot be read is counted and described instead, and the rest goes on.
pub fn read_transcripts(
    store: &mut dyn Store,
    paths: &[PathBuf],
    keeping: &Keeping,
    progress: &mut dyn FnMut(Progress),
) -> anyhow::Result<Summary> {
    let mut summary = Summary { files: paths.len() as u64, ..Summary::default() };
    let (jobs, mut problems) = changed(store, paths)?;
    summary.read = jobs.len() as u64;
    // The writer needs a processor, too: whoever waits for the store waits for it.
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let readers = (processors - 1).clamp(1, READERS).min(jobs.len());
    std::thread::scope(|scope| -> anyhow::Result<()> {
        let mut sources: Vec<_> = (0..readers)
            .map(|turn| {
                let (sender, receiver) = sync_channel(AHEAD);
                let mine = jobs.iter().skip(turn).step_by(readers);
                scope.spawn(move || read(mine, keeping, &sender));
                Source { receiver, received: VecDeque::new() }
            })
            .collect();
        let mut writer = Writer { store, pending: Vec::new(), weight: 0, summary: &mut summary };
        for (i, job) in jobs.iter().enumerate() {
            let (files, files_total) = (i as u64, jobs.len() as u64);
            let mut progress = |bytes| progress(Progress { files, files_total, bytes });
            if let Some(why) = writer.take(&mut sources[i % readers], &mut progress)? {
                problems.push((job.path.clone(), why));
            }
        }
        writer.flush()
    })?;
    problems.sort();
    for (path, why) in problems {
        summary.problem(format!("{}: {why}", path.display()));
    }
    Ok(summary)
}

/// A file with news, and what the store knows of it.
struct Job {
    path: PathBuf,
    stored: Option<Cursor>,
}

/// A file that cannot be read, and why.
type Problem = (PathBuf, String);

/// Files that are not as the store knows them, and those of which not even that can be told.
fn changed(store: &dyn Store, paths: &[PathBuf]) -> anyhow::Result<(Vec<Job>, Vec<Problem>)> {
    // One question for all, unless there are few.
    const FEW: usize = 8;
    let few = paths.len() <= FEW;
    let mut known: HashMap<_, _> = if few { HashMap::new() } else { store.cursors()?.into_iter().collect() };
    let (mut jobs, mut problems) = (Vec::new(), Vec::new());
    for path in paths {
        let stored = if few { store.cursor(path)? } else { known.remove(path) };
        match std::fs::metadata(path) {
            Err(e) => problems.push((path.clone(), e.to_string())),
            Ok(meta) if stored.as_ref().is_some_and(|c| is_read(&meta, c)) => {}
            Ok(_) => jobs.push(Job { path: path.clone(), stored }),
        }
    }
    Ok((jobs, problems))
}

/// What a reader says of a file.
enum Message {
    /// Something was read, and this many bytes for it.
    Part(Batch, u64),
    /// The file is done, or why not.
    End(Option<String>),
}

/// Messages are sent several at once: waking the other side costs more than a small file.
const SENT_AT_ONCE: usize = 256;

fn read<'a>(jobs: impl Iterator<Item = &'a Job>, keeping: &Keeping, sender: &SyncSender<Vec<Message>>) {
    let mut room = Vec::new();
    let mut unsent = Vec::new();
    let mut weight = 0;
    // A writer that has failed listens no more.
    for job in jobs {
        let mut listens = true;
        let mut give = |batch: Batch, bytes| {
            weight += weight_of(&batch);
            unsent.push(Message::Part(batch, bytes));
            if weight >= SENT_AT_ONCE {
                weight = 0;
                listens = sender.send(std::mem::take(&mut unsent)).is_ok();
            }
            listens
        };
        let end = read_file(&job.path, job.stored.clone(), keeping, &mut room, &mut give);
        if !listens {
            return;
        }
        unsent.push(Message::End(end.err().map(|e| format!("{e:#}"))));
    }
    let _ = sender.send(unsent);
}

/// A position weighs about as much as an observation.
fn weight_of(batch: &Batch) -> usize {
    batch.observations.len() + batch.cursors.len() + batch.contents.len()
}

/// The writer's side of a reader.
struct Source {
    receiver: Receiver<Vec<Message>>,
    received: VecDeque<Message>,
}

impl Source {
    fn next(&mut self) -> anyhow::Result<Message> {
        loop {
            match self.received.pop_front() {
                Some(message) => return Ok(message),
                None => self.received = self.receiver.recv().context("a reader of transcripts ended early")?.into(),
            }
        }
    }
}

/// Gathers parts for the store.
struct Writer<'a> {
    store: &'a mut dyn Store,
    pending: Vec<Batch>,
    weight: usize,
    summary: &'a mut Summary,
}

impl Writer<'_> {
    /// Takes all of one file; tells why it could not be read.
    fn take(&mut self, source: &mut Source, progress: &mut dyn FnMut(u64)) -> anyhow::Result<Option<String>> {
        loop {
            match source.next()? {
                Message::Part(batch, bytes) => {
                    self.summary.bytes += bytes;
                    self.weight += weight_of(&batch);
                    self.pending.push(batch);
                    if self.weight >= AT_ONCE {
                        self.flush()?;
                    }
                    progress(self.summary.bytes);
                }
                Message::End(why) => return Ok(why),
            }
        }
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        if !self.pending.is_empty() {
            self.summary.add(self.store.append_all(&self.pending)?);
            self.pending.clear();
            self.weight = 0;
        }
        Ok(())
    }
}
