//! The lines of some sessions, computed from their observations and kept nowhere.

use super::Inputs;
use super::refresh::Family;
use crate::ledger;
use crate::model::{Line, ThreadId};
use crate::store::Cache;

/// The lines of these threads, and of the sessions that they are of.
///
/// # Errors
/// The store cannot be read.
pub fn lines(store: &dyn Cache, inputs: &Inputs, threads: &[ThreadId]) -> anyhow::Result<Vec<Line>> {
    let family = Family::of(store, threads)?;
    Ok(ledger::build(&family.observations, inputs.options(), inputs.book()).lines)
}
