//! Requests that brought no usage: counted by model, never priced.

use super::pairing::{Window, around, pair};
use super::responses::{Joined, TWIN_NS, window};
use super::threads::Thread;
use super::turns::Turns;
use crate::model::{Attempt, Body, SourceKind, Timestamp, Unmetered};
use std::collections::BTreeMap;

/// An error record and the usage of the same response are written together.
const NEAR_NS: i64 = 2_000_000_000;

/// How many requests of a thread broke off or brought no usage, by model, and the tokens that failures named.
///
/// Hook and OTLP see the same attempts, so the larger number stands. What one of them saw break off and another source has
/// the usage of is metered: an `incomplete` response brings usage to the transcript (and to the hook) and an error to OTLP;
/// a response that is given up for what the user said meanwhile may bring usage to OTLP and is `cancelled` for the hook
/// (both seen in 0.169).
pub(super) fn unmetered(
    thread: &Thread<'_>,
    joined: &[Joined<'_>],
    turns: &Turns,
) -> BTreeMap<Option<String>, Unmetered> {
    let metered = |by_others: fn(&Joined<'_>) -> bool| {
        let theirs = joined.iter().filter(move |j| by_others(j));
        // What only a hook told of has no time of its own.
        let timed = |j: &Joined<'_>| j.transcript.is_some() || j.otlp.is_some();
        theirs.map(|j| if timed(j) { around(j.time, NEAR_NS) } else { window(j, turns, NEAR_NS) }).collect::<Vec<_>>()
    };
    let by_otlp = without(&metered(|j| j.otlp.is_none()), attempts(thread, SourceKind::Otlp, "stream").collect());
    let otlp_alone = metered(|j| j.hook.is_none() && j.transcript.is_none());
    let by_hook = without(&otlp_alone, hook_attempts(thread));
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

/// The attempts that no response of these windows explains.
fn without<'t>(metered: &[Window], broken: Vec<(Timestamp, &'t Attempt)>) -> Vec<&'t Attempt> {
    let moments: Vec<_> = broken.iter().map(|(time, _)| *time).collect();
    let pairs = pair(metered, &moments);
    broken.iter().zip(pairs).filter(|(_, pair)| pair.is_none()).map(|((_, attempt), _)| *attempt).collect()
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
fn hook_attempts<'t>(thread: &'t Thread<'_>) -> Vec<(Timestamp, &'t Attempt)> {
    let mut last: Option<(Timestamp, &Option<String>)> = None;
    let mut found = Vec::new();
    for (time, attempt) in attempts(thread, SourceKind::Hook, "stream") {
        let twin = last.is_some_and(|(at, turn)| *turn == attempt.turn && at.distance(time) <= TWIN_NS);
        if !twin {
            found.push((time, attempt));
            last = Some((time, &attempt.turn));
        }
    }
    found
}
