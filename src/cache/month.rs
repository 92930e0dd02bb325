//! The lines of a month, session by session: what was sealed of it, else what is known now with the corrections it will take.

use super::refresh::Family;
use super::{Inputs, Progress};
use crate::model::{BillingPeriod, Booked, SessionRollup, ThreadId, Timestamp};
use crate::store::Cache;
use anyhow::{Context as _, bail};

/// How many sessions are computed together.
const TOGETHER: usize = 64;

/// What is done with a session: its lines of the month, and a rollup that has its tool calls.
pub type Each<'e> = dyn FnMut(&ThreadId, &[Booked], &SessionRollup<'_>) -> anyhow::Result<()> + 'e;

/// Gives each session with its lines of the month, and a rollup that has its tool calls, to `each`, in the order of ids. The
/// cache was just refreshed.
///
/// # Errors
/// The store cannot be read, something came in meanwhile, or `each` fails.
pub fn month(
    store: &dyn Cache,
    inputs: &Inputs,
    period: BillingPeriod,
    on: &mut dyn FnMut(Progress),
    each: &mut Each<'_>,
) -> anyhow::Result<()> {
    let closed = inputs.sealed_through();
    if closed.is_some_and(|closed| period <= closed) {
        return sealed(store, period, each);
    }
    if store.computed_with()?.as_deref() != Some(inputs.hash()) {
        bail!("another process makes reports of this store with other prices or rules; try again when it is done");
    }
    let takes_corrections = closed.is_some_and(|closed| closed.next() == period);
    let is_of = |line: &Booked| line.of == period || (takes_corrections && closed.is_some_and(|c| line.of <= c));
    let span = (period.first_day().start(), Timestamp(period.next().first_day().start().0 - 1));
    let mut last: Option<ThreadId> = None;
    let mut progress = Progress { done: 0, total: store.sessions()?.len() as u64 };
    loop {
        let batch = store.sessions_after(span, last.as_ref(), TOGETHER)?;
        let Some(end) = batch.last().cloned() else { return Ok(()) };
        progress.done += batch.len() as u64;
        let mut computed = inputs.sessions(&Family::of(store, &batch)?.observations, store)?;
        computed.retain(|c| batch.contains(&c.rollup.session));
        computed.sort_by(|a, b| a.rollup.session.cmp(&b.rollup.session));
        for session in computed {
            let rollup = SessionRollup::decode(&session.rollup.bytes).context("a rollup is damaged")?;
            let lines: Vec<Booked> = session.open.into_iter().filter(is_of).collect();
            each(&session.rollup.session, &lines, &rollup)?;
        }
        last = Some(end);
        on(progress);
    }
}

fn sealed(store: &dyn Cache, period: BillingPeriod, each: &mut Each<'_>) -> anyhow::Result<()> {
    let mut last: Option<ThreadId> = None;
    loop {
        let batch = store.sealed_after(period, last.as_ref(), TOGETHER)?;
        let Some(end) = batch.last() else { return Ok(()) };
        last = Some(end.session.clone());
        for session in &batch {
            let part = SessionRollup::decode(&session.part).context("what was sealed of a session is damaged")?;
            each(&session.session, &session.lines, &part)?;
        }
    }
}
