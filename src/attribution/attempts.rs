//! Requests that brought no usage: counted, never priced.

use super::pairing::{around, pair};
use super::responses::{Joined, TWIN_NS, window};
use super::threads::Thread;
use super::turns::Turns;
use crate::model::{Body, SourceKind, Timestamp};

/// An error record and the usage of the same response are written together.
const NEAR_NS: i64 = 2_000_000_000;

/// How many requests of a thread broke off or brought no usage, and how many the API refused.
///
/// Hook and OTLP see the same attempts, so the larger number stands. An `incomplete` response brings usage to the transcript
/// (and to the hook) and an error to OTLP: it is metered.
pub(super) fn count(thread: &Thread<'_>, joined: &[Joined<'_>], turns: &Turns) -> (u64, u64) {
    let broken = moments(thread, SourceKind::Otlp, "stream");
    let without_otlp = joined.iter().filter(|j| j.otlp.is_none());
    let metered: Vec<_> = without_otlp
        .map(|j| if j.transcript.is_some() { around(j.time, NEAR_NS) } else { window(j, turns, NEAR_NS) })
        .collect();
    let unmetered = pair(&metered, &broken).iter().filter(|pair| pair.is_none()).count() as u64;
    (unmetered.max(hook_attempts(thread)), moments(thread, SourceKind::Otlp, "api").len() as u64)
}

fn moments(thread: &Thread<'_>, source: SourceKind, kind: &str) -> Vec<Timestamp> {
    let attempts = thread.observations.iter().filter(|o| o.source == source);
    attempts.filter(|o| matches!(&o.body, Body::Attempt(a) if a.kind == kind)).map(|o| o.time).collect()
}

/// What hooks saw; a hook that is registered twice saw it twice.
fn hook_attempts(thread: &Thread<'_>) -> u64 {
    let mut last: Option<(Timestamp, &Option<String>)> = None;
    let mut attempts = 0;
    for o in thread.observations.iter().filter(|o| o.source == SourceKind::Hook) {
        let Body::Attempt(attempt) = &o.body else { continue };
        let twin = last.is_some_and(|(time, turn)| *turn == attempt.turn && time.distance(o.time) <= TWIN_NS);
        if !twin && attempt.kind == "stream" {
            attempts += 1;
            last = Some((o.time, &attempt.turn));
        }
    }
    attempts
}
