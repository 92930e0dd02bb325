//! Sessions as they are known now, whatever was sealed of them.

use super::Inputs;
use super::refresh::Family;
use crate::ledger::{self, Books};
use crate::model::{SessionRollup, ThreadId, Timestamp};
use crate::store::Cache;
use anyhow::Context as _;

/// How many sessions are computed together.
const TOGETHER: usize = 64;

/// Gives each session that may have something from a moment on to `each`, computed anew from its observations. What came too
/// late for a sealed month is in the month that it is of.
///
/// # Errors
/// The store cannot be read.
pub fn live(
    store: &dyn Cache,
    inputs: &Inputs,
    from: Timestamp,
    each: &mut dyn FnMut(&SessionRollup<'_>),
) -> anyhow::Result<()> {
    let mut last: Option<ThreadId> = None;
    loop {
        // Sessions of which only corrections are cached have them in a later month.
        let batch = store.sessions_after((from, Timestamp(i64::MAX)), last.as_ref(), TOGETHER)?;
        let Some(end) = batch.last() else { return Ok(()) };
        let family = Family::of(store, &batch)?;
        for made in ledger::rollups(&family.observations, &inputs.options, &inputs.book, &Books::open())? {
            if batch.contains(&made.session) {
                each(&SessionRollup::decode_without_tool_costs(&made.bytes).context("a rollup is damaged")?);
            }
        }
        last = Some(end.clone());
    }
}
