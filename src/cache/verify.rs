//! Computes every session anew and compares it with what the cache has.

use super::Inputs;
use super::refresh::{Family, Progress};
use crate::model::{Rollup, SessionRollup, ThreadId};
use crate::store::Cache;
use std::collections::BTreeSet;
use std::fmt;

/// How many threads are compared together.
const TOGETHER: usize = 64;

/// A session of the cache that is not what its observations say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The session.
    pub session: ThreadId,
    /// What is wrong with it.
    pub what: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {}: {}", self.session, self.what)
    }
}

/// Compares the whole cache, which was just refreshed, with the observations. Returns how many sessions were compared; what came
/// in meanwhile is not.
///
/// # Errors
/// The store cannot be read.
pub fn verify(
    store: &dyn Cache,
    inputs: &Inputs,
    found: &mut dyn FnMut(Finding),
    on: &mut dyn FnMut(Progress),
) -> anyhow::Result<u64> {
    let mut progress = Progress { done: 0, total: store.threads()? };
    let mut last: Option<ThreadId> = None;
    let mut known = BTreeSet::new();
    loop {
        let batch = store.threads_after(last.as_ref(), TOGETHER)?;
        let Some(end) = batch.last().cloned() else { break };
        let family = Family::of(store, &batch)?;
        let quiet = family.seen.iter().all(|(_, mark)| mark.is_none());
        for rollup in inputs.rollups(&family.observations, store)? {
            if known.insert(rollup.session.clone())
                && quiet
                && let Some(what) = compare(store.cached(&rollup.session)?.as_deref(), &rollup)
            {
                found(Finding { session: rollup.session, what });
            }
        }
        progress.done += batch.len() as u64;
        on(progress);
        last = Some(end);
    }
    for period in store.sealed_periods()? {
        let mut last: Option<ThreadId> = None;
        loop {
            let batch = store.sealed_after(period, last.as_ref(), TOGETHER)?;
            let Some(end) = batch.last() else { break };
            last = Some(end.session.clone());
            for session in batch.into_iter().map(|s| s.session).filter(|s| !known.contains(s)) {
                found(Finding { session, what: "was sealed, but is in no report" });
            }
        }
    }
    for session in store.sessions()?.into_iter().filter(|s| !known.contains(s)) {
        if store.dirty()? == 0 {
            found(Finding { session, what: "is in the cache, but in no observation" });
        }
    }
    Ok(known.len() as u64)
}

fn compare(cached: Option<&[u8]>, computed: &Rollup) -> Option<&'static str> {
    let Some(cached) = cached else { return Some("is not in the cache") };
    if cached == computed.bytes {
        return None;
    }
    let (Some(a), Some(b)) = (SessionRollup::decode(cached), SessionRollup::decode(&computed.bytes)) else {
        return Some("the cached bytes are damaged");
    };
    let parts = [
        (a.keys == b.keys, "owners, models or other keys differ"),
        (a.usage == b.usage, "responses, tokens or amounts differ"),
        (a.traits == b.traits && a.coverage == b.coverage, "the coverage differs"),
        ((&a.turns, &a.turn_places) == (&b.turns, &b.turn_places), "turns differ"),
        (a.tools == b.tools && a.tool_costs == b.tool_costs, "tool calls differ"),
        (a.reported == b.reported, "reported costs differ"),
    ];
    Some(parts.into_iter().find(|(same, _)| !same).map_or("its head differs", |(_, what)| what))
}
