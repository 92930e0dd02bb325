//! Reads on in many transcripts at once: readers in threads of their own, one writer.
//!
//! Files are dealt to the readers in turn, and the writer takes from the readers in the same turn. So what is stored, and in
//! which order, does not depend on how fast each of them was, and a reader that is ahead waits: the memory is bounded.

use super::transcript::{is_read, read_file};
use super::{Progress, Summary};
use crate::store::{Batch, Cursor, Store};
use anyhow::bail;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Observations stored in one transaction, roughly: few milliseconds, for others may wait to write.
const TRANSACTION: usize = 1000;

/// Parts of files that a reader may be ahead of the writer.
const AHEAD: usize = 32;

/// More readers than this would only wait for the writer, and each of them may hold a long line.
const READERS: usize = 8;

/// Reads on in these transcripts. `os_user` is the name of the user that this process runs as; files of others are theirs.
///
/// # Errors
/// The store cannot be read or written. A file that cannot be read is counted and described instead, and the rest goes on.
pub fn read_transcripts(
    store: &mut dyn Store,
    paths: &[PathBuf],
    os_user: &str,
    progress: &mut dyn FnMut(Progress),
) -> anyhow::Result<Summary> {
    let mut summary = Summary { files: paths.len() as u64, ..Summary::default() };
    let (jobs, mut problems) = changed(store, paths)?;
    summary.read = jobs.len() as u64;
    let readers = std::thread::available_parallelism().map_or(1, usize::from).min(READERS).min(jobs.len());
    std::thread::scope(|scope| -> anyhow::Result<()> {
        let receivers: Vec<_> = (0..readers)
            .map(|turn| {
                let (sender, receiver) = sync_channel(AHEAD);
                let mine = jobs.iter().skip(turn).step_by(readers);
                scope.spawn(move || read(mine, os_user, &sender));
                receiver
            })
            .collect();
        let mut writer = Writer { store, pending: Vec::new(), weight: 0, summary: &mut summary };
        for (i, job) in jobs.iter().enumerate() {
            if let Some(why) = writer.take(&receivers[i % readers], i as u64, jobs.len() as u64, progress)? {
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

/// Files that are not as the store knows them, and those of which not even that can be told.
fn changed(store: &dyn Store, paths: &[PathBuf]) -> anyhow::Result<(Vec<Job>, Vec<(PathBuf, String)>)> {
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

/// What a reader says.
enum Message {
    /// Something was read, and this many bytes for it.
    Part(Batch, u64),
    /// The file is done, or why not.
    End(Option<String>),
}

fn read<'a>(jobs: impl Iterator<Item = &'a Job>, os_user: &str, sender: &SyncSender<Message>) {
    for job in jobs {
        let mut give = |batch, bytes| sender.send(Message::Part(batch, bytes)).is_ok();
        let why = read_file(&job.path, job.stored.clone(), os_user, &mut give).err().map(|e| format!("{e:#}"));
        // A writer that has failed listens no more.
        if sender.send(Message::End(why)).is_err() {
            return;
        }
    }
}

/// Gathers parts into transactions.
struct Writer<'a> {
    store: &'a mut dyn Store,
    pending: Vec<Batch>,
    weight: usize,
    summary: &'a mut Summary,
}

impl Writer<'_> {
    /// Takes all of one file; tells why it could not be read.
    fn take(
        &mut self,
        receiver: &Receiver<Message>,
        files: u64,
        files_total: u64,
        progress: &mut dyn FnMut(Progress),
    ) -> anyhow::Result<Option<String>> {
        loop {
            match receiver.recv() {
                Ok(Message::Part(batch, bytes)) => {
                    self.summary.bytes += bytes;
                    // A position weighs about as much as an observation.
                    self.weight += batch.observations.len() + batch.cursors.len();
                    self.pending.push(batch);
                    if self.weight >= TRANSACTION {
                        self.flush()?;
                    }
                    progress(Progress { files, files_total, bytes: self.summary.bytes });
                }
                Ok(Message::End(why)) => return Ok(why),
                Err(_) => bail!("a reader of transcripts ended early"),
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
