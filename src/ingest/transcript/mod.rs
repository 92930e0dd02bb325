//! Session transcripts (rollout files, Codex 0.42 to 0.169): lines to observations.
//!
//! What the reader must know of Codex:
//! - The first `session_meta` is the file's own; later ones are copies of a parent's.
//! - `token_usage_record` (from 0.153) names thread, turn and response itself. Legacy forks copy the parent's records, so a
//!   record belongs to the thread that it names, whatever file it stands in.
//! - What else a legacy fork copied is told by its turn, which is older than the fork; before 0.101, where turns have no ids,
//!   by its times, which are all the same.
//! - Model and effort of a record are those of the nearest `turn_context` before it in the file; the tier is that of the
//!   last `thread_settings_applied`.
//! - `token_count` counts responses only until a thread's first `token_usage_record`, and repeats itself.

mod copied;
mod decode;
mod head;
mod known;
#[cfg(test)]
mod tests;
mod token_count;
mod tools;
mod wire;

pub use decode::{Reader, State};

use crate::model::ThreadId;

/// The thread in a transcript's name: `rollout-<local time>-<thread id>.jsonl`, also compressed.
pub fn thread_of_path(path: &str) -> Option<ThreadId> {
    let name = path.rsplit(['/', '\\']).next()?;
    let stem = name.strip_suffix(".zst").unwrap_or(name).strip_suffix(".jsonl")?;
    let stem = stem.strip_prefix("rollout-")?;
    let id = stem.get(stem.len().checked_sub(36)?..)?;
    let dashes = id.char_indices().filter(|(_, c)| *c == '-').map(|(i, _)| i).eq([8, 13, 18, 23]);
    (dashes && id.chars().all(|c| c == '-' || c.is_ascii_hexdigit())).then(|| ThreadId::new(id)).flatten()
}
