//! Tool calls of a session, each once. Transcript and hook know the turn; OTLP knows duration and failure.

use super::threads::{Group, Thread};
use super::turns::Turns;
use crate::model::{Body, Evidence, Observation, Outcome, SourceKind, ThreadId, Timestamp, ToolCall, ToolCallFact};
use std::collections::BTreeMap;

/// What all sources together say of one call.
#[derive(Default)]
struct Call<'a> {
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
    // A review's calls stand in its own transcript and in its root's: the same turn and call id are the same call.
    let mut facts: BTreeMap<(Option<String>, String, ThreadId), ToolCallFact> = BTreeMap::new();
    for thread in &group.threads {
        for ((turn, call_id, _), call) in calls(thread) {
            if call.seen.iter().any(|(_, c)| c.container) {
                continue;
            }
            let fact = fact(group, thread, turn.clone(), call_id, &call, agents);
            let known = facts.keys().find(|(t, c, _)| turn.is_some() && *t == turn && *c == fact.call_id).cloned();
            if let Some(known) = known.and_then(|k| facts.remove(&k)) {
                let fact = merge(known, fact);
                facts.insert((turn, fact.call_id.clone(), fact.thread.clone()), fact);
            } else {
                facts.insert((turn, fact.call_id.clone(), fact.thread.clone()), fact);
            }
        }
    }
    let mut facts: Vec<_> = facts.into_values().collect();
    facts.sort_by(|a, b| (a.time, &a.call_id).cmp(&(b.time, &b.call_id)));
    facts
}

type CallKey = (Option<String>, String, usize);

/// The calls of one thread by turn, call id and ordinal. Call ids are unique in a turn; some providers repeat them later.
fn calls<'a>(thread: &Thread<'a>) -> BTreeMap<CallKey, Call<'a>> {
    let turns = Turns::of(thread);
    let mut calls: BTreeMap<CallKey, Call<'a>> = BTreeMap::new();
    let of = |otlp: bool| {
        let observations = thread.observations.iter().filter(move |o| (o.source == SourceKind::Otlp) == otlp);
        observations.filter_map(|o| match &o.body {
            Body::ToolCall(call) => Some((*o, call.as_ref())),
            _ => None,
        })
    };
    for (o, call) in of(false) {
        let turn = call.turn.clone().or_else(|| turns.at(o.time).map(str::to_string));
        calls.entry((turn, call.call_id.clone(), 0)).or_default().seen.push((o, call));
    }
    for (n, (o, call)) in of(true).enumerate() {
        // The observations are in order of time: the oldest call of that id that OTLP has not told of yet is meant.
        let open = calls
            .iter()
            .filter(|((_, id, _), known)| *id == call.call_id && !known.evidence().otlp)
            .min_by_key(|(_, known)| known.seen.iter().map(|(o, _)| o.time).min())
            .map(|(key, _)| key.clone());
        let key = open.unwrap_or_else(|| (turns.at(o.time).map(str::to_string), call.call_id.clone(), n + 1));
        calls.entry(key).or_default().seen.push((o, call));
    }
    calls
}

fn fact(
    group: &Group<'_>,
    thread: &Thread<'_>,
    turn: Option<String>,
    call_id: String,
    call: &Call<'_>,
    agents: &BTreeMap<ThreadId, String>,
) -> ToolCallFact {
    let times =
        |source: SourceKind| call.seen.iter().filter(move |(o, _)| o.source == source).map(|(o, _)| o.time).max();
    let time = times(SourceKind::Transcript).or_else(|| times(SourceKind::Otlp)).or_else(|| times(SourceKind::Hook));
    ToolCallFact {
        thread: thread.id.clone(),
        session: group.session.clone(),
        call_id,
        turn,
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
fn merge(a: ToolCallFact, b: ToolCallFact) -> ToolCallFact {
    let (mut keep, other) = if a.thread > b.thread { (a, b) } else { (b, a) };
    keep.evidence.hook |= other.evidence.hook;
    keep.evidence.otlp |= other.evidence.otlp;
    keep.evidence.transcript |= other.evidence.transcript;
    keep.duration_ms = keep.duration_ms.or(other.duration_ms);
    keep.exit_code = keep.exit_code.or(other.exit_code);
    if keep.outcome == Outcome::Unknown {
        keep.outcome = other.outcome;
    }
    keep
}
