//! Requests that brought no usage: counted by model, never priced.

use super::pairing::{around, pair};
use super::responses::{Joined, TWIN_NS, window};
use super::threads::Thread;
use super::turns::Turns;
use crate::model::{Attempt, Body, SourceKind, Timestamp, Unmetered};
use std::collections::BTreeMap;

/// An error record and the usage of the same response are written together.
const NEAR_NS: i64 = 2_000_000_000;

/// How many requests of a thread broke off or brought no usage, by model, and the tokens that failures named.
///
/// Hook and OTLP see the same attempts, so the larger number stands. An `incomplete` response brings usage to the transcript
/// (and to the hook) and an error to OTLP: it is metered.
pub(super) fn unmetered(
    thread: &Thread<'_>,
    joined: &[Joined<'_>],
    turns: &Turns,
) -> BTreeMap<Option<String>, Unmetered> {
    let broken: Vec<_> = attempts(thread, SourceKind::Otlp, "stream").collect();
    let moments: Vec<_> = broken.iter().map(|(time, _)| *time).collect();
    let without_otlp = joined.iter().filter(|j| j.otlp.is_none());
    let metered: Vec<_> = without_otlp
        .map(|j| if j.transcript.is_some() { around(j.time, NEAR_NS) } else { window(j, turns, NEAR_NS) })
        .collect();
    let pairs = pair(&metered, &moments);
    let by_otlp: Vec<_> = broken.iter().zip(pairs).filter(|(_, pair)| pair.is_none()).map(|((_, a), _)| *a).collect();
    let by_hook = hook_attempts(thread);
    let mut by_model: BTreeMap<_, Unmetered> = BTreeMap::new();
    for attempt in if by_hook.len() > by_otlp.len() { by_hook } else { by_otlp } {
        by_model.entry(attempt.model.clone()).or_default().attempts += 1;
    }
    for (_, attempt) in attempts(thread, SourceKind::Otlp, "named") {
        if let Some(usage) = attempt.usage.filter(|usage| usage.check().is_ok()) {
            by_model.entry(attempt.model.clone()).or_default().named += usage;
        }
    }
    by_model
}

/// How many requests the API refused.
pub(super) fn refused(thread: &Thread<'_>) -> u64 {
    attempts(thread, SourceKind::Otlp, "api").count() as u64
}

fn attempts<'t>(
    thread: &'t Thread<'_>,
    source: SourceKind,
    kind: &'static str,
) -> impl Iterator<Item = (Timestamp, &'t Attempt)> {
    let of_source = thread.observations.iter().filter(move |o| o.source == source);
    of_source.filter_map(move |o| match &o.body {
        Body::Attempt(a) if a.kind == kind => Some((o.time, a)),
        _ => None,
    })
}

/// What hooks saw; a hook that is registered twice saw it twice.
fn hook_attempts<'t>(thread: &'t Thread<'_>) -> Vec<&'t Attempt> {
    let mut last: Option<(Timestamp, &Option<String>)> = None;
    let mut found = Vec::new();
    for (time, attempt) in attempts(thread, SourceKind::Hook, "stream") {
        let twin = last.is_some_and(|(at, turn)| *turn == attempt.turn && at.distance(time) <= TWIN_NS);
        if !twin {
            found.push(attempt);
            last = Some((time, &attempt.turn));
        }
    }
    found
}
