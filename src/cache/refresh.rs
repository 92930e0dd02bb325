//! Computes the sessions that the cache does not know, or not with their latest observations.

use super::Inputs;
use crate::attribution;
use crate::model::{Observation, ThreadId};
use crate::store::{Cache, Seen};
use anyhow::bail;
use std::collections::BTreeSet;

/// How many marked threads are computed and written together.
const TOGETHER: usize = 64;

/// How often threads are tried again that others change at the same time.
const TRIES: u32 = 20;

/// How far it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Threads that are done.
    pub done: u64,
    /// Threads that there were to do.
    pub total: u64,
}

/// Brings the cache up to date with what was stored when this was called; what comes meanwhile may or may not be in it.
///
/// # Errors
/// The store cannot be read or written, or another process computes with other prices or rules at the same time.
pub fn refresh(store: &mut dyn Cache, inputs: &Inputs, on: &mut dyn FnMut(Progress)) -> anyhow::Result<()> {
    if store.computed_with()?.as_deref() != Some(inputs.hash()) {
        store.reset(inputs.hash())?;
    }
    let mut progress = Progress { done: 0, total: store.dirty()? };
    let mut last: Option<ThreadId> = None;
    while progress.done < progress.total {
        let batch = store.dirty_after(last.as_ref(), TOGETHER)?;
        let Some(end) = batch.last().cloned() else { break };
        progress.done += batch.len() as u64;
        compute(store, inputs, &batch)?;
        last = Some(end);
        on(progress);
    }
    Ok(())
}

/// Drops the cache and computes all of it. Returns how many sessions there are.
///
/// # Errors
/// As [`refresh`].
pub fn rebuild(store: &mut dyn Cache, inputs: &Inputs, on: &mut dyn FnMut(Progress)) -> anyhow::Result<u64> {
    store.reset(inputs.hash())?;
    refresh(store, inputs, on)?;
    Ok(store.sessions()?.len() as u64)
}

fn compute(store: &mut dyn Cache, inputs: &Inputs, threads: &[ThreadId]) -> anyhow::Result<()> {
    for _ in 0..TRIES {
        let family = Family::of(store, threads)?;
        if store.replace(inputs.hash(), &family.seen, &inputs.rollups(&family.observations, store)?)? {
            return Ok(());
        }
        if store.computed_with()?.as_deref() != Some(inputs.hash()) {
            bail!("another process makes reports of this store with other prices or rules; try again when it is done");
        }
    }
    bail!("other processes change these sessions all the time; try again")
}

/// Threads with everything that has to do with them: whole sessions, as they were cached and as they are now.
pub(super) struct Family {
    pub seen: Vec<Seen>,
    pub observations: Vec<Observation>,
}

impl Family {
    /// Marks are read before observations, so that whatever comes in between is noticed.
    pub fn of(store: &dyn Cache, threads: &[ThreadId]) -> anyhow::Result<Self> {
        let mut family = Family { seen: Vec::new(), observations: Vec::new() };
        let mut known = BTreeSet::new();
        // What was sealed together is looked at together, whatever it is by now.
        let mut new = store.family(&[threads, &store.sealed_with(threads)?].concat())?;
        while !new.is_empty() {
            known.extend(new.iter().cloned());
            let threads = new.clone();
            family.seen.extend(store.marks(new)?);
            family.observations.extend(store.observations_of(&threads)?);
            // A new link can lead to a session that was not looked at yet.
            let roots = attribution::roots(&family.observations);
            let sealed = store.sealed_with(&[&roots[..], &threads].concat())?;
            let halves = other_halves(store, &family.observations, &known)?;
            new = store.family(&[roots, sealed, halves].concat())?;
            new.retain(|thread| !known.contains(thread));
        }
        Ok(family)
    }
}

/// Threads that are not known yet and that sources know by other names.
fn other_halves(
    store: &dyn Cache,
    observations: &[Observation],
    known: &BTreeSet<ThreadId>,
) -> anyhow::Result<Vec<ThreadId>> {
    let sought = attribution::sought(observations);
    let mut others = store.halves(&sought.made, &sought.hooked)?;
    others.retain(|thread| !known.contains(thread));
    if others.is_empty() {
        return Ok(others);
    }
    Ok(attribution::other_halves(observations, &store.observations_of(&others)?))
}
