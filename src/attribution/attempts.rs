//! Requests that brought no usage: counted, never priced.

use super::responses::Joined;
use super::threads::Thread;
use crate::model::{Body, SourceKind, Timestamp};

/// An error record and the usage of the same response are written together.
const NEAR_NS: u64 = 2_000_000_000;

/// How many requests of a thread broke off or brought no usage, and how many the API refused.
///
/// Hook and OTLP see the same attempts, so the larger number stands. An `incomplete` response brings usage to the transcript
/// and an error to OTLP: it is metered.
pub(super) fn count(thread: &Thread<'_>, joined: &[Joined<'_>]) -> (u64, u64) {
    let of = |source: SourceKind, kind: &str| -> Vec<Timestamp> {
        let attempts = thread.observations.iter().filter(|o| o.source == source);
        attempts.filter(|o| matches!(&o.body, Body::Attempt(a) if a.kind == kind)).map(|o| o.time).collect()
    };
    let mut metered: Vec<Timestamp> = joined.iter().filter(|j| j.otlp.is_none()).map(|j| j.time).collect();
    let broken = of(SourceKind::Otlp, "stream").into_iter().filter(|time| {
        let near = metered.iter().position(|m| m.distance(*time) <= NEAR_NS);
        near.map(|i| metered.swap_remove(i)).is_none()
    });
    let unmetered = (broken.count() as u64).max(of(SourceKind::Hook, "stream").len() as u64);
    (unmetered, of(SourceKind::Otlp, "api").len() as u64)
}
