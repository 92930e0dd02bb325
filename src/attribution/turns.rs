//! Turns of a session, and which turn a moment belongs to.

use super::threads::{Group, Thread};
use crate::model::{Body, SourceKind, ThreadId, Timestamp, TurnFact};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The turns of one thread in order of their start: real ones, or, where only OTLP saw the thread, one for each prompt.
pub(super) struct Turns {
    starts: Vec<(Timestamp, String)>,
    places: HashMap<String, usize>,
}

impl Turns {
    pub fn of(thread: &Thread<'_>) -> Self {
        let mut starts: BTreeMap<String, Timestamp> = BTreeMap::new();
        for o in &thread.observations {
            if let Body::Turn(turn) = &o.body {
                let start = starts.entry(turn.turn.clone()).or_insert(o.time);
                *start = o.time.min(*start);
            }
        }
        if starts.is_empty() {
            // OTLP knows no turn ids; a prompt starts a turn.
            let prompts = thread.observations.iter().filter(|o| matches!(o.body, Body::Prompt(_)));
            starts.extend(
                prompts.filter(|o| o.source == SourceKind::Otlp).map(|o| (format!("prompt-{}", o.time.0), o.time)),
            );
        }
        let mut starts: Vec<_> = starts.into_iter().map(|(turn, start)| (start, turn)).collect();
        starts.sort();
        let places = starts.iter().enumerate().map(|(i, (_, turn))| (turn.clone(), i)).collect();
        Turns { starts, places }
    }

    /// The turn in which a moment falls: the last one that had started. A turn's id and its records are of one clock, and a
    /// queued prompt starts its turn at once after the last, so nothing is allowed for.
    pub fn at(&self, time: Timestamp) -> Option<&str> {
        let after = self.starts.partition_point(|(start, _)| *start <= time);
        after.checked_sub(1).map(|i| self.starts[i].1.as_str())
    }

    /// From the start of a turn to that of the next one.
    pub fn window(&self, turn: &str) -> Option<(Timestamp, Timestamp)> {
        let i = *self.places.get(turn)?;
        let end = self.starts.get(i + 1).map_or(Timestamp(i64::MAX), |(start, _)| *start);
        Some((self.starts[i].0, end))
    }
}

/// The turns of a session, each once: a review's turn stands in its own transcript and in that of its root.
pub(super) fn turn_facts(group: &Group<'_>) -> Vec<TurnFact> {
    let mut facts: BTreeMap<String, TurnFact> = BTreeMap::new();
    for thread in &group.threads {
        let by_transcript = thread.observations.iter().filter(|o| o.source == SourceKind::Transcript);
        let told: BTreeSet<&str> = by_transcript
            .filter_map(|o| match &o.body {
                Body::Turn(turn) => Some(turn.turn.as_str()),
                _ => None,
            })
            .collect();
        for (started, turn) in Turns::of(thread).starts {
            let state = if told.contains(turn.as_str()) { "running" } else { "unknown" };
            let fact = fact(&thread.id, &turn, started, state);
            facts.entry(turn).and_modify(|known| merge(known, &fact)).or_insert(fact);
        }
    }
    for o in group.observations() {
        if let Body::TurnEnd(end) = &o.body
            && let Some(fact) = facts.get_mut(&end.turn)
        {
            fact.state = if end.aborted { "aborted" } else { "completed" };
            let wall = u64::try_from(o.time.0.saturating_sub(fact.started.0) / 1_000_000).ok();
            fact.duration_ms = end.duration_ms.or(wall).max(fact.duration_ms);
        }
    }
    let mut facts: Vec<_> = facts.into_values().collect();
    facts.sort_by(|a, b| (a.started, &a.turn).cmp(&(b.started, &b.turn)));
    facts
}

fn fact(thread: &ThreadId, turn: &str, started: Timestamp, state: &'static str) -> TurnFact {
    TurnFact { thread: thread.clone(), turn: turn.to_string(), started, duration_ms: None, state }
}

/// The turn belongs to the thread that did the work: the younger one.
fn merge(known: &mut TurnFact, other: &TurnFact) {
    known.started = known.started.min(other.started);
    known.thread = known.thread.clone().max(other.thread.clone());
    if other.state == "running" {
        known.state = "running";
    }
}
