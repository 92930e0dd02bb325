//! Responses of one thread, each once, out of what up to three sources saw of them.
//!
//! The transcript's records are the base. A hook pairs by turn and token vector, without a clock, and never adds a response
//! to a turn that a transcript covers. OTLP pairs by token vector, one to one in order of time, within a bounded time. What is
//! left over is a response that only that source saw. Equal vectors are not duplicates; a repeated key is.

use super::threads::Thread;
use super::turns::Turns;
use crate::model::{
    Body, Evidence, Observation, Quarantine, Response, SourceKind, Timestamp, TokenUsage, uuid_v7_millis,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// OTLP and transcript records of one response are 1-3 ms apart (Codex 0.169); this leaves room for a busy machine.
const NEAR_NS: i64 = 2_000_000_000;

/// `token_count` may follow its response after all its tools have run (Codex 0.131 to 0.152).
const LATE_NS: i64 = 24 * 3_600 * 1_000_000_000;

/// Two registrations of one hook run within this time.
const TWIN_NS: u64 = 50_000_000;

/// One response of a thread.
#[derive(Debug)]
pub(super) struct Joined<'a> {
    pub usage: TokenUsage,
    pub time: Timestamp,
    pub turn: Option<String>,
    pub evidence: Evidence,
    pub transcript: Option<&'a Response>,
    pub otlp: Option<&'a Response>,
    pub hook: Option<&'a Response>,
    pub ambiguous: bool,
    pub conflict: bool,
}

impl<'a> Joined<'a> {
    fn new(seen: &Seen<'a>, time: Timestamp, turn: Option<String>) -> Self {
        let r = seen.response;
        let by = |source| (seen.source == source).then_some(r);
        Joined {
            usage: r.usage,
            time,
            turn,
            evidence: Evidence::of(seen.source),
            transcript: by(SourceKind::Transcript),
            otlp: by(SourceKind::Otlp),
            hook: by(SourceKind::Hook),
            ambiguous: false,
            conflict: seen.conflict,
        }
    }

    /// What the sources say, the best one first.
    pub fn sources(&self) -> impl Iterator<Item = &'a Response> {
        [self.transcript, self.otlp, self.hook].into_iter().flatten()
    }
}

/// The responses of a thread in order of time, and the records that cannot be true.
pub(super) fn join<'a>(thread: &Thread<'a>, turns: &Turns) -> (Vec<Joined<'a>>, Vec<String>) {
    let (seen, quarantined) = collect(thread);
    let of = |source| seen.iter().filter(move |s| s.source == source);
    let mut joined: Vec<Joined<'a>> = transcript_responses(of(SourceKind::Transcript));
    let covered = covered_turns(thread, &joined);
    add_hooks(&mut joined, of(SourceKind::Hook), &covered);
    add_otlp(&mut joined, of(SourceKind::Otlp).collect(), turns);
    joined.sort_by(|a, b| order(a).cmp(&order(b)));
    (joined, quarantined)
}

fn order<'j>(j: &'j Joined<'_>) -> (Timestamp, Option<&'j str>, Option<&'j str>, TokenUsage) {
    (j.time, j.turn.as_deref(), j.transcript.and_then(|r| r.response_id.as_deref()), j.usage)
}

/// One record of a response.
struct Seen<'a> {
    source: SourceKind,
    time: Timestamp,
    response: &'a Response,
    conflict: bool,
}

/// All records of responses in order of time. Of several contents under one key the first in order stands, marked.
fn collect<'a>(thread: &Thread<'a>) -> (Vec<Seen<'a>>, Vec<String>) {
    let mut by_key: BTreeMap<_, Vec<&'a Observation>> = BTreeMap::new();
    for o in &thread.observations {
        if matches!(o.body, Body::Response(_)) {
            by_key.entry(o.key).or_default().push(o);
        }
    }
    let (mut seen, mut quarantined) = (Vec::new(), Vec::new());
    for mut same in by_key.into_values() {
        same.sort_by_key(|o| o.variant());
        let Body::Response(response) = &same[0].body else { continue };
        if let Err(why) = response.usage.check() {
            quarantined.push(describe(same[0], response, why));
            continue;
        }
        seen.push(Seen { source: same[0].source, time: same[0].time, response, conflict: same.len() > 1 });
    }
    seen.sort_by(|a, b| {
        (a.time, &a.response.turn, a.response.usage).cmp(&(b.time, &b.response.turn, b.response.usage))
    });
    (seen, quarantined)
}

fn describe(o: &Observation, r: &Response, why: Quarantine) -> String {
    let TokenUsage { input, cached_input, cache_write, output, reasoning } = r.usage;
    format!(
        "{} record of {} at {}: {why} (input {input}, cached {cached_input}, cache write {cache_write}, output {output}, \
         reasoning {reasoning})",
        o.source.name(),
        o.thread,
        o.time.to_rfc3339()
    )
}

/// Transcript records, each once: a fork's copy stands only where the original is gone.
fn transcript_responses<'s, 'a: 's>(seen: impl Iterator<Item = &'s Seen<'a>>) -> Vec<Joined<'a>> {
    let mut records: BTreeMap<(Option<&str>, Option<&str>), &Seen<'a>> = BTreeMap::new();
    let mut contradicted = BTreeSet::new();
    for s in seen {
        let id = (s.response.turn.as_deref(), s.response.response_id.as_deref());
        if let Some(known) = records.get(&id).copied() {
            if known.response.usage != s.response.usage {
                contradicted.insert(id);
            }
            if !known.response.replayed {
                continue;
            }
        }
        records.insert(id, s);
    }
    let join = |(id, s): (_, &Seen<'a>)| {
        let mut joined = Joined::new(s, s.time, s.response.turn.clone());
        joined.conflict |= contradicted.contains(&id);
        joined
    };
    let mut joined: Vec<_> = records.into_iter().map(join).collect();
    joined.sort_by(|a, b| order(a).cmp(&order(b)));
    joined
}

/// Turns of which the transcript tells: a hook cannot add to them.
fn covered_turns(thread: &Thread<'_>, joined: &[Joined<'_>]) -> BTreeSet<String> {
    let by_transcript = thread.observations.iter().filter(|o| o.source == SourceKind::Transcript);
    let turns = by_transcript.filter_map(|o| match &o.body {
        Body::Turn(turn) => Some(turn.turn.clone()),
        _ => None,
    });
    turns.chain(joined.iter().filter_map(|j| j.turn.clone())).collect()
}

fn add_hooks<'s, 'a: 's>(
    joined: &mut Vec<Joined<'a>>,
    hooks: impl Iterator<Item = &'s Seen<'a>>,
    covered: &BTreeSet<String>,
) {
    let mut last: HashMap<(Option<&str>, TokenUsage, u64), (Timestamp, u32, usize)> = HashMap::new();
    for s in hooks {
        let turn = s.response.turn.as_deref();
        let free = |j: &&mut Joined<'_>| j.hook.is_none() && j.transcript.is_some() && j.usage == s.response.usage;
        if let Some(j) = joined.iter_mut().filter(|j| j.turn.as_deref() == turn).find(free) {
            j.hook = Some(s.response);
            j.evidence.add(SourceKind::Hook);
            continue;
        }
        if turn.is_some_and(|t| covered.contains(t)) {
            continue;
        }
        let (pid, hash) = s.response.hook.unwrap_or_default();
        let twin = last.get(&(turn, s.response.usage, hash)).copied();
        if let Some((_, _, at)) = twin.filter(|(time, p, _)| time.distance(s.time) <= TWIN_NS && *p != pid) {
            joined[at].ambiguous = true;
            continue;
        }
        last.insert((turn, s.response.usage, hash), (s.time, pid, joined.len()));
        let time = turn.and_then(uuid_v7_millis).map_or(s.time, Timestamp::from_millis);
        joined.push(Joined::new(s, time, turn.map(str::to_string)));
    }
}

fn add_otlp<'a>(joined: &mut Vec<Joined<'a>>, seen: Vec<&Seen<'a>>, turns: &Turns) {
    let mut left = seen;
    // Exact times first, then the wide windows of what has only its turn's time.
    for exact in [true, false] {
        left = pair_otlp(joined, left, turns, exact);
    }
    for s in left {
        joined.push(Joined::new(s, s.time, turns.at(s.time).map(str::to_string)));
    }
}

/// Pairs records with responses of the same vector, one to one in order of time; gives back the records left over.
fn pair_otlp<'s, 'a>(
    joined: &mut [Joined<'a>],
    seen: Vec<&'s Seen<'a>>,
    turns: &Turns,
    exact: bool,
) -> Vec<&'s Seen<'a>> {
    let mut open: HashMap<TokenUsage, Vec<(Timestamp, Timestamp, usize)>> = HashMap::new();
    for (i, j) in joined.iter().enumerate().filter(|(_, j)| j.otlp.is_none() && has_exact_time(j) == exact) {
        let (from, to) = window(j, turns);
        open.entry(j.usage).or_default().push((from, to, i));
    }
    open.values_mut().for_each(|windows| windows.sort());
    let mut next: HashMap<TokenUsage, usize> = HashMap::new();
    let mut left = Vec::new();
    for s in seen {
        let windows = open.get(&s.response.usage).map_or(&[][..], Vec::as_slice);
        let at = next.entry(s.response.usage).or_default();
        while windows.get(*at).is_some_and(|(_, to, _)| *to < s.time) {
            *at += 1;
        }
        match windows.get(*at).filter(|(from, _, _)| *from <= s.time) {
            Some((_, _, i)) => {
                let j = &mut joined[*i];
                j.otlp = Some(s.response);
                j.evidence.add(SourceKind::Otlp);
                j.conflict |= s.conflict;
                if j.transcript.is_none() {
                    j.time = s.time;
                }
                *at += 1;
            }
            None => left.push(s),
        }
    }
    left
}

fn has_exact_time(j: &Joined<'_>) -> bool {
    j.transcript.is_some_and(|r| !r.from_token_count && !r.replayed)
}

/// When an OTLP record of this response can have been made.
fn window(j: &Joined<'_>, turns: &Turns) -> (Timestamp, Timestamp) {
    let around = |from: i64, to: i64| (Timestamp(from.saturating_sub(NEAR_NS)), Timestamp(to.saturating_add(NEAR_NS)));
    if has_exact_time(j) {
        return around(j.time.0, j.time.0);
    }
    let turn = j.turn.as_deref().and_then(|t| turns.window(t));
    match j.transcript {
        Some(r) if !r.replayed => around(turn.map_or(j.time.0 - LATE_NS, |(start, _)| start.0), j.time.0),
        _ => turn.map_or(around(j.time.0, i64::MAX), |(start, end)| around(start.0, end.0)),
    }
}
