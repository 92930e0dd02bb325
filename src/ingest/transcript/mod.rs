//! Session transcripts (rollout files, Codex 0.42 to 0.169): lines to observations.
//!
//! What the reader must know of Codex:
//! - The first `session_meta` is the file's own; later ones are copies of a parent's.
//! - `token_usage_record` (from 0.153) names thread, turn and response itself. Legacy forks copy the parent's records, so a
//!   record belongs to the thread that it names, whatever file it stands in.
//! - What else a legacy fork copied is told by its turn, which is older than the fork; before 0.101, where turns have no ids,
//!   by its times, which are all the same.
//! - `codex migrate-rollouts` rewrites older files: it makes up ids of turns, and leaves out the heads of parents.
//! - Model and effort of a record are those of the nearest `turn_context` before it in the file; the tier is that of the
//!   last `thread_settings_applied`.
//! - `token_count` counts responses only until a thread's first `token_usage_record`, and repeats itself; in files of 0.154 and
//!   later it counts none.

mod content;
mod copied;
mod decode;
mod head;
mod known;
mod migrated;
mod remote;
#[cfg(test)]
mod tests;
mod token_count;
mod tools;
mod turns;
mod wire;

pub use decode::{Reader, State};

use crate::model::ThreadId;

/// The thread in a transcript's name: `rollout-<local time>-<thread id>.jsonl`, also compressed. A thread that was taken back to
/// an earlier turn goes on in a file of its own, `rollout-<local time>-<thread id>_<id>.jsonl` (Codex 0.169).
pub fn thread_of_path(path: &str) -> Option<ThreadId> {
    let name = path.rsplit(['/', '\\']).next()?;
    let stem = name.strip_suffix(".zst").unwrap_or(name).strip_suffix(".jsonl")?;
    let stem = stem.strip_prefix("rollout-")?;
    let stem = id_at_end(stem).and_then(|(before, _)| before.strip_suffix('_')).unwrap_or(stem);
    id_at_end(stem).and_then(|(_, id)| ThreadId::new(id))
}

/// A text that ends in an id, and what is before it.
fn id_at_end(text: &str) -> Option<(&str, &str)> {
    let (before, id) = text.split_at_checked(text.len().checked_sub(36)?)?;
    let dashes = id.char_indices().filter(|(_, c)| *c == '-').map(|(i, _)| i).eq([8, 13, 18, 23]);
    (dashes && id.chars().all(|c| c == '-' || c.is_ascii_hexdigit())).then_some((before, id))
}
