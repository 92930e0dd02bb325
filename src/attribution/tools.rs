//! Tool calls of a session, each once. Transcript and hook know the turn; OTLP knows duration and failure.

use super::threads::{Group, Thread};
use super::turns::Turns;
use crate::model::{Body, Evidence, Observation, Outcome, SourceKind, ThreadId, Timestamp, ToolCall, ToolCallFact};
use std::collections::{BTreeMap, HashMap, VecDeque};

/// What all sources together say of one call.
#[derive(Default)]
struct Call<'a> {
    turn: Option<String>,
    seen: Vec<(&'a Observation, &'a ToolCall)>,
}

impl<'a> Call<'a> {
    fn evidence(&self) -> Evidence {
        self.seen.iter().fold(Evidence::default(), |mut e, (o, _)| {
            e.add(o.source);
            e
        })
    }

    /// What the best source says: the transcript's item first, then OTLP, then the hook.
    fn best<T>(&self, of: impl Fn(&'a ToolCall) -> Option<T>) -> Option<T> {
        [SourceKind::Transcript, SourceKind::Otlp, SourceKind::Hook]
            .iter()
            .find_map(|source| self.seen.iter().filter(|(o, _)| o.source == *source).find_map(|(_, c)| of(c)))
    }

    fn otlp<T>(&self, of: impl Fn(&'a ToolCall) -> Option<T>) -> Option<T> {
        self.seen.iter().filter(|(o, _)| o.source == SourceKind::Otlp).find_map(|(_, c)| of(c))
    }

    /// A command's success is its exit code; of other tools, what transcript or OTLP say; and a hook runs after success only.
    fn outcome(&self) -> Outcome {
        let exit = self.best(|c| c.exit_code).map(|code| code == 0);
        let command = self.best(|c| c.name.as_deref()) == Some("Bash");
        let hooked = (!command && self.evidence().hook).then_some(true);
        match exit.or_else(|| self.best(|c| c.success)).or(hooked) {
            Some(true) => Outcome::Success,
            Some(false) => Outcome::Failure,
            None => Outcome::Unknown,
        }
    }
}

/// The tool calls of a session in order of time. Containers (code mode's outer `exec`) are left out.
pub(super) fn tool_calls(group: &Group<'_>, agents: &BTreeMap<ThreadId, String>) -> Vec<ToolCallFact> {
    let mut facts: Vec<ToolCallFact> = Vec::new();
    // A review's calls stand in its own transcript and in its root's: the same turn and call id are the same call.
    let mut known: HashMap<(String, String), Vec<usize>> = HashMap::new();
    for thread in &group.threads {
        for call in calls(thread) {
            if call.seen.iter().any(|(_, c)| c.container) {
                continue;
            }
            let fact = fact(group, thread, &call, agents);
            let Some(turn) = fact.turn.clone() else {
                facts.push(fact);
                continue;
            };
            let same = known.entry((turn, fact.call_id.clone())).or_default();
            match same.iter().find(|i| facts[**i].thread != fact.thread) {
                Some(i) => merge(&mut facts[*i], fact),
                None => {
                    same.push(facts.len());
                    facts.push(fact);
                }
            }
        }
    }
    facts.sort_by(|a, b| (a.time, &a.call_id, &a.thread, &a.turn).cmp(&(b.time, &b.call_id, &b.thread, &b.turn)));
    facts
}

/// The calls of one thread, in the order in which they were first seen, those that only OTLP saw at the end. Call ids are
/// unique in a turn; some providers repeat them later.
fn calls<'a>(thread: &Thread<'a>) -> Vec<Call<'a>> {
    let turns = Turns::of(thread);
    let mut calls: Vec<Call<'a>> = Vec::new();
    let of = |otlp: bool| {
        let observations = thread.observations.iter().filter(move |o| (o.source == SourceKind::Otlp) == otlp);
        observations.filter_map(|o| match &o.body {
            Body::ToolCall(call) => Some((*o, call.as_ref())),
            _ => None,
        })
    };
    let mut by_turn: HashMap<(Option<String>, &str), usize> = HashMap::new();
    let mut by_id: HashMap<&str, VecDeque<usize>> = HashMap::new();
    for (o, call) in of(false) {
        let turn = call.turn.clone().or_else(|| turns.at(o.time).map(str::to_string));
        let i = *by_turn.entry((turn.clone(), &call.call_id)).or_insert_with(|| {
            calls.push(Call { turn, ..Call::default() });
            by_id.entry(&call.call_id).or_default().push_back(calls.len() - 1);
            calls.len() - 1
        });
        calls[i].seen.push((o, call));
    }
    for (o, call) in of(true) {
        // The call of the turn that the record falls in is meant, else the oldest of that id that OTLP has not told of yet.
        let turn = turns.at(o.time).map(str::to_string);
        let waits = |i: &usize| !calls[*i].evidence().otlp;
        let in_turn = by_turn.get(&(turn.clone(), call.call_id.as_str())).copied().filter(waits);
        let oldest = || {
            let queue = by_id.get_mut(call.call_id.as_str())?;
            while queue.front().is_some_and(|i| !waits(i)) {
                queue.pop_front();
            }
            queue.front().copied()
        };
        match in_turn.or_else(oldest) {
            Some(i) => calls[i].seen.push((o, call)),
            None => calls.push(Call { turn, seen: vec![(o, call)] }),
        }
    }
    calls
}

fn fact(group: &Group<'_>, thread: &Thread<'_>, call: &Call<'_>, agents: &BTreeMap<ThreadId, String>) -> ToolCallFact {
    let times =
        |source: SourceKind| call.seen.iter().filter(move |(o, _)| o.source == source).map(|(o, _)| o.time).max();
    let time = times(SourceKind::Transcript).or_else(|| times(SourceKind::Otlp)).or_else(|| times(SourceKind::Hook));
    ToolCallFact {
        thread: thread.id.clone(),
        session: group.session.clone(),
        call_id: call.best(|c| Some(c.call_id.clone())).unwrap_or_default(),
        turn: call.turn.clone(),
        name: call.best(|c| c.name.clone()).unwrap_or_else(|| "unknown".into()),
        agent: agents.get(&thread.id).cloned().unwrap_or_default(),
        time: time.unwrap_or(Timestamp(0)),
        duration_ms: call.otlp(|c| c.duration_ms).or_else(|| call.best(|c| c.duration_ms)),
        outcome: call.outcome(),
        exit_code: call.best(|c| c.exit_code),
        evidence: call.evidence(),
    }
}

/// Two threads tell of one call: the younger made it.
fn merge(known: &mut ToolCallFact, mut other: ToolCallFact) {
    if other.thread > known.thread {
        std::mem::swap(known, &mut other);
    }
    known.evidence.hook |= other.evidence.hook;
    known.evidence.otlp |= other.evidence.otlp;
    known.evidence.transcript |= other.evidence.transcript;
    known.duration_ms = known.duration_ms.or(other.duration_ms);
    known.exit_code = known.exit_code.or(other.exit_code);
    if known.outcome == Outcome::Unknown {
        known.outcome = other.outcome;
    }
}
