//! What `codex migrate-rollouts` makes of older transcripts (seen with 0.169): the same thread, told in the form of newer ones. It must
//! say what the file said before.
//!
//! - Turns without an id (before 0.101) are given one, `rollout-N`; prompts become items, `item-N`.
//! - A fork keeps the lines that it copied, and loses the heads of its parents that told so; only of newer ones is the nearest parent
//!   named. A line that is none of the file's own, nor of a parent that is known, is left to the file of whose thread it is. Forks of
//!   0.148 and later copy nothing, and say where in the parent they begin.

use super::wire::SessionMeta;
use crate::ingest::lenient::Text;
use crate::ingest::version::is_from;
use crate::model::ThreadId;

/// The id of a turn, unless the migration made it up.
pub(super) fn turn_of(id: &Text<'_>) -> Option<String> {
    id.cut(128).filter(|id| !is_made_up(id, "rollout-"))
}

/// The id of an item, unless the migration made it up.
pub(super) fn item_of<'i>(id: &'i Text<'_>) -> Option<&'i str> {
    id.get().filter(|id| !is_made_up(id, "item-"))
}

fn is_made_up(id: &str, prefix: &str) -> bool {
    id.strip_prefix(prefix).is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// Whether the file was a paginated one from the beginning (from 0.148).
pub(super) fn is_paginated(meta: &SessionMeta<'_>) -> bool {
    let was_older = meta.cli_version.get().is_some_and(|version| !is_from(version, 148));
    meta.history_mode.get() == Some("paginated") && !was_older
}

/// The session that a thread says it is of. Older threads said none (before 0.142); the migration names each as its own.
pub(super) fn session_of(meta: &SessionMeta<'_>) -> Option<ThreadId> {
    let was_silent = meta.cli_version.get().is_some_and(|version| !is_from(version, 142));
    meta.session_id.get().filter(|session| !was_silent || meta.id.get() != Some(session)).and_then(ThreadId::new)
}

/// The parents that a migrated file names, of which it may hold lines: none but that of a newer fork. Nothing if it was not migrated.
pub(super) fn parents_of_migrated(meta: &SessionMeta<'_>) -> Option<Vec<ThreadId>> {
    let parent = meta.forked_from_id.get().filter(|_| meta.history_base.0.is_none()).and_then(ThreadId::new);
    let migrated = meta.history_mode.get() == Some("paginated") && (parent.is_some() || !is_paginated(meta));
    migrated.then(|| parent.into_iter().collect())
}
