//! Threads of which each source knows a half. Hooks name a thread by its transcript; of a review in a session without transcripts they
//! name the session alone, while telemetry names the review's own thread and nothing that links it (Codex 0.169).

use crate::model::{Body, Observation, SourceKind, ThreadId, Timestamp, TokenUsage, uuid_v7_millis};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// The turn of a review begins some milliseconds after its thread was made; there is room for a busy machine.
const SOON_NS: i64 = 2_000_000_000;

/// The first and the last moment of some time.
type Times = (Timestamp, Timestamp);

/// When what may be the other halves of threads was made.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sought {
    /// Threads whose ids were made in one of these times.
    pub made: Vec<Times>,
    /// Threads in which a turn that hooks tell of began in one of these times.
    pub hooked: Vec<Times>,
}

/// What two sources say alike of the same response or tool call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Alike<'a> {
    Response(TokenUsage),
    ToolCall(&'a str),
}

impl<'a> Alike<'a> {
    fn of(o: &'a Observation) -> Option<Self> {
        match &o.body {
            Body::Response(response) => Some(Alike::Response(response.usage)),
            Body::ToolCall(call) => Some(Alike::ToolCall(&call.call_id)),
            _ => None,
        }
    }
}

/// A thread, as far as one source alone tells of it.
struct Half<'a> {
    made: Option<Timestamp>,
    /// Where it ran.
    hosts: BTreeSet<&'a str>,
    told: Told<'a>,
}

enum Told<'a> {
    /// By hooks: the turns of which neither transcript nor telemetry of the same thread tells.
    ByHooks(Vec<Turn<'a>>),
    /// By telemetry.
    ByTelemetry(Vec<(Timestamp, Alike<'a>)>),
}

struct Turn<'a> {
    id: &'a str,
    start: Timestamp,
    alike: HashSet<Alike<'a>>,
}

impl<'a> Half<'a> {
    fn of(id: &ThreadId, seen: impl Iterator<Item = &'a Observation> + Clone) -> Option<Self> {
        let mut by_hooks = false;
        for o in seen.clone() {
            if o.source == SourceKind::Transcript {
                return None;
            }
            by_hooks |= o.source == SourceKind::Hook;
        }
        let made = id.created_millis().map(Timestamp::from_millis);
        let host = |o: &'a Observation| match &o.body {
            Body::Context(context) => context.host.as_deref(),
            _ => None,
        };
        let hosts = seen.clone().filter_map(host).collect();
        if by_hooks {
            return Some(Half { made, hosts, told: Told::ByHooks(turns(seen)) });
        }
        let is_linked = seen.clone().any(|o| matches!(o.body, Body::Link(_)));
        let alike: Vec<_> = seen.filter_map(|o| Some((o.time, Alike::of(o)?))).collect();
        let may_be = made.is_some() && !is_linked && !alike.is_empty();
        may_be.then_some(Half { made, hosts, told: Told::ByTelemetry(alike) })
    }

    /// What this half, of hooks, has in common with one of telemetry, turn by turn.
    fn common<'h>(&'h self, other: &Half<'a>) -> Vec<(&'h Turn<'a>, usize)> {
        let (Told::ByHooks(turns), Told::ByTelemetry(alike), Some(made)) = (&self.told, &other.told, other.made) else {
            return Vec::new();
        };
        let soon = Timestamp(made.0.saturating_add(SOON_NS));
        let elsewhere = !self.hosts.is_empty() && !other.hosts.is_empty() && self.hosts.is_disjoint(&other.hosts);
        if elsewhere || self.made > Some(made) {
            return Vec::new();
        }
        let in_time = turns.iter().filter(|turn| made <= turn.start && turn.start <= soon);
        let common = |turn: &Turn<'a>| {
            alike.iter().filter(|(time, what)| *time >= turn.start && turn.alike.contains(what)).count()
        };
        in_time.map(|turn| (turn, common(turn))).filter(|(_, common)| *common > 0).collect()
    }
}

fn turns<'a>(seen: impl Iterator<Item = &'a Observation> + Clone) -> Vec<Turn<'a>> {
    let mut turns: BTreeMap<Timestamp, Turn<'a>> = BTreeMap::new();
    for o in seen.clone().filter(|o| o.source == SourceKind::Hook) {
        let Some(id) = turn_of(o) else { continue };
        let Some(start) = uuid_v7_millis(id).map(Timestamp::from_millis) else { continue };
        let turn = turns.entry(start).or_insert_with(|| Turn { id, start, alike: HashSet::new() });
        turn.alike.extend(Alike::of(o).filter(|_| turn.id == id));
    }
    for o in seen.filter(|o| o.source == SourceKind::Otlp && Alike::of(o).is_some()) {
        if let Some((_, turn)) = turns.range_mut(..=o.time).next_back() {
            turn.alike.clear();
        }
    }
    turns.into_values().filter(|turn| !turn.alike.is_empty()).collect()
}

fn turn_of(o: &Observation) -> Option<&str> {
    match &o.body {
        Body::Response(response) => response.turn.as_deref(),
        Body::Attempt(attempt) => attempt.turn.as_deref(),
        Body::ToolCall(call) => call.turn.as_deref(),
        Body::Prompt(prompt) => prompt.turn.as_deref(),
        Body::Sighting(sighting) => sighting.turn.as_deref(),
        Body::Turn(turn) => Some(&turn.turn),
        _ => None,
    }
}

/// The halves of these threads. The observations of a thread stand together.
fn halves_of(observations: &[Observation]) -> Vec<(&ThreadId, Half<'_>)> {
    let threads = observations.chunk_by(|a, b| a.thread == b.thread);
    threads.filter_map(|seen| Some((&seen[0].thread, Half::of(&seen[0].thread, seen.iter())?))).collect()
}

/// When what may be the other halves of these threads was made. The observations of a thread stand together.
pub fn sought(observations: &[Observation]) -> Sought {
    let mut sought = Sought::default();
    for (_, half) in halves_of(observations) {
        match (half.told, half.made) {
            (Told::ByHooks(turns), _) => {
                let before = |turn: &Turn<'_>| (Timestamp(turn.start.0.saturating_sub(SOON_NS)), turn.start);
                sought.made.extend(turns.iter().map(before));
            }
            (Told::ByTelemetry(_), Some(made)) => {
                sought.hooked.push((made, Timestamp(made.0.saturating_add(SOON_NS))));
            }
            _ => {}
        }
    }
    sought
}

/// Which of the others are halves of these threads. The observations of a thread stand together.
pub fn other_halves(observations: &[Observation], others: &[Observation]) -> Vec<ThreadId> {
    let (these, others) = (halves_of(observations), halves_of(others));
    let is_one = |a: &Half<'_>, b: &Half<'_>| !a.common(b).is_empty() || !b.common(a).is_empty();
    let others = others.iter().filter(|(_, other)| these.iter().any(|(_, half)| is_one(half, other)));
    others.map(|(id, _)| (*id).clone()).collect()
}

/// A thread of which telemetry alone tells, with the session and the turn by which hooks tell of it.
pub(super) type Pair = (ThreadId, ThreadId, String);

/// Each such thread has one session, and each turn one thread: that with the most in common, of equal ones the first.
pub(super) fn pairs(threads: &BTreeMap<&ThreadId, Vec<&Observation>>) -> Vec<Pair> {
    let halves = threads.iter().filter_map(|(id, seen)| Some((*id, Half::of(id, seen.iter().copied())?)));
    let (sessions, reviews): (Vec<_>, Vec<_>) = halves.partition(|(_, half)| matches!(half.told, Told::ByHooks(_)));
    let mut made: BTreeMap<Timestamp, Vec<(&ThreadId, &Half<'_>)>> = BTreeMap::new();
    for (id, half) in &reviews {
        made.entry(half.made.unwrap_or(Timestamp(0))).or_default().push((*id, half));
    }
    let mut all = Vec::new();
    for (session, half) in &sessions {
        let Told::ByHooks(turns) = &half.told else { continue };
        let Some((first, last)) = turns.first().zip(turns.last()) else { continue };
        let from = Timestamp(first.start.0.saturating_sub(SOON_NS));
        for (review, other) in made.range(from..=last.start).flat_map(|(_, made)| made) {
            let common = half.common(other).into_iter();
            all.extend(common.map(|(turn, common)| (Reverse(common), *review, *session, turn.id)));
        }
    }
    all.sort_unstable();
    let (mut known, mut taken) = (HashSet::new(), HashSet::new());
    all.retain(|(_, review, session, turn)| {
        let free = !known.contains(review) && !taken.contains(&(*session, *turn));
        free && known.insert(*review) && taken.insert((*session, *turn))
    });
    all.into_iter().map(|(_, review, session, turn)| (review.clone(), session.clone(), turn.to_string())).collect()
}

/// Gives each of these threads what hooks tell of it.
pub(super) fn reunite(threads: &mut BTreeMap<&ThreadId, Vec<&Observation>>, pairs: &[Pair]) {
    for (review, session, turn) in pairs {
        let is_its = |o: &&Observation| o.source == SourceKind::Hook && turn_of(o) == Some(turn);
        let its: Vec<_> =
            threads.get_mut(session).map(|seen| seen.extract_if(.., |o| is_its(o)).collect()).unwrap_or_default();
        threads.get_mut(review).into_iter().for_each(|seen| seen.extend(&its));
    }
}
