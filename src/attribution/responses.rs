//! Responses of one thread, each once, out of what up to three sources saw of them.
//!
//! The transcript's records are the base. A hook pairs by turn and token vector, without a clock, and never adds a response
//! to a turn that a transcript covers. OTLP pairs by token vector, one to one in order of time, within a bounded time. What is
//! left over is a response that only that source saw. Equal vectors are not duplicates; a repeated key is.

use super::pairing::{Window, around, pair};
use super::threads::Thread;
use super::turns::Turns;
use crate::model::{
    Body, Evidence, Key, Observation, Quarantine, Response, SourceKind, Timestamp, TokenUsage, uuid_v7_millis,
};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

/// OTLP and transcript records of one response are 1-3 ms apart (Codex 0.169). Those this close pair first, so that where
/// records were lost an earlier equal response does not take a later one's.
const CLOSE_NS: i64 = 50_000_000;

/// What is left over pairs within this time: room for a busy machine. Where vectors repeat, it may also be two responses of
/// which each source lost one, so such a pair is marked.
const NEAR_NS: i64 = 2_000_000_000;

/// `token_count` may follow its response after all its tools have run (Codex 0.131 to 0.152).
const LATE_NS: i64 = 24 * 3_600 * 1_000_000_000;

/// Two registrations of one hook run within this time.
pub(super) const TWIN_NS: u64 = 50_000_000;

/// The same on a busy machine, where the hooks of tool calls show how often each is registered.
const LATE_TWIN_NS: u64 = 1_000_000_000;

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
    /// The observations behind it.
    pub keys: Vec<(SourceKind, Key)>,
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
            keys: vec![(seen.source, seen.key)],
        }
    }

    fn add_otlp(&mut self, seen: &Seen<'a>) {
        self.otlp = Some(seen.response);
        self.keys.push((seen.source, seen.key));
        self.evidence.add(SourceKind::Otlp);
        self.conflict |= seen.conflict;
        if self.transcript.is_none() {
            self.time = seen.time;
        }
    }

    /// What the sources say, the best one first: telemetry tells of the request itself, a transcript of the settings around it,
    /// which a compaction or a tier for one turn does not keep (Codex 0.169).
    pub fn sources(&self) -> impl Iterator<Item = &'a Response> {
        [self.otlp, self.transcript, self.hook].into_iter().flatten()
    }
}

/// The responses of a thread in order of time, and the records that cannot be true.
pub(super) fn join<'a>(thread: &Thread<'a>, turns: &Turns) -> (Vec<Joined<'a>>, Vec<String>) {
    let (seen, quarantined) = collect(thread);
    let of = |source| seen.iter().filter(move |s| s.source == source);
    let mut joined: Vec<Joined<'a>> = transcript_responses(of(SourceKind::Transcript), thread.meta().is_some());
    let covered = covered_turns(thread, &joined);
    add_hooks(&mut joined, of(SourceKind::Hook), &covered, registrations(thread));
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
    key: Key,
    time: Timestamp,
    response: &'a Response,
    conflict: bool,
}

/// All records of responses in order of time. Of several contents under one key the first possible one stands, marked: of one that
/// names model and tier and one that does not, as in a file whose beginning was cut off, that which does.
fn collect<'a>(thread: &Thread<'a>) -> (Vec<Seen<'a>>, Vec<String>) {
    let mut by_key: BTreeMap<_, Vec<&'a Observation>> = BTreeMap::new();
    for o in &thread.observations {
        if matches!(o.body, Body::Response(_)) {
            by_key.entry(o.key).or_default().push(o);
        }
    }
    let (mut seen, mut quarantined) = (Vec::new(), Vec::new());
    for mut same in by_key.into_values() {
        let unnamed = |o: &Observation| match &o.body {
            Body::Response(r) => (r.model.is_none(), r.tier.is_none()),
            _ => (true, true),
        };
        same.sort_by_cached_key(|o| (unnamed(o), o.variant()));
        let conflict = same.len() > 1;
        let mut stands = false;
        for o in same {
            let Body::Response(response) = &o.body else { continue };
            match response.usage.check() {
                Err(why) => quarantined.push(describe(o, response, why)),
                Ok(()) if !std::mem::replace(&mut stands, true) => {
                    seen.push(Seen { source: o.source, key: o.key, time: o.time, response, conflict });
                }
                Ok(()) => {}
            }
        }
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
///
/// A copy without a turn (Codex before 0.101) has no name in common with its original. It stands where nothing of the thread's
/// own transcript was seen, and may then be of a parent of this thread: a fork of a fork does not tell.
fn transcript_responses<'s, 'a: 's>(seen: impl Iterator<Item = &'s Seen<'a>> + Clone, own: bool) -> Vec<Joined<'a>> {
    let mut records: BTreeMap<(Option<&str>, Option<&str>), &Seen<'a>> = BTreeMap::new();
    let mut contradicted = BTreeSet::new();
    let nameless = |s: &&Seen<'a>| s.response.replayed && s.response.turn.is_none();
    // From a thread's first record of a response on, `token_count` repeats; a file whose beginning was cut off does not tell.
    let recorded = seen.clone().find(|s| !s.response.replayed && !s.response.from_token_count).map(|s| s.time);
    let repeats = |s: &&Seen<'a>| {
        s.response.from_token_count && !s.response.replayed && recorded.is_some_and(|first| first < s.time)
    };
    for s in seen.filter(|s| !own || !nameless(s)).filter(|s| !repeats(s)) {
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
        joined.ambiguous |= nameless(&s);
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

/// How often hooks ran for each tool call of a thread, at least: once, or never seen, tells nothing of other events.
fn registrations(thread: &Thread<'_>) -> usize {
    let mut runs: HashMap<(Option<&str>, &str), usize> = HashMap::new();
    for o in thread.observations.iter().filter(|o| o.source == SourceKind::Hook) {
        if let Body::ToolCall(call) = &o.body {
            *runs.entry((call.turn.as_deref(), &call.call_id)).or_default() += 1;
        }
    }
    runs.into_values().min().unwrap_or(1)
}

/// What two registrations of one hook have in common: turn, tokens and the payload's hash.
type Payload<'s> = (Option<&'s str>, TokenUsage, u64);

/// The first run of a hook for a response, and how many ran in all.
#[derive(Clone, Copy)]
struct First {
    time: Timestamp,
    pid: u32,
    runs: usize,
    at: usize,
}

impl First {
    fn has_twin(&self, time: Timestamp, pid: u32, registrations: usize) -> bool {
        let apart = self.time.distance(time);
        let late = self.runs < registrations && apart <= LATE_TWIN_NS;
        self.pid != pid && (apart <= TWIN_NS || late)
    }
}

fn add_hooks<'s, 'a: 's>(
    joined: &mut Vec<Joined<'a>>,
    hooks: impl Iterator<Item = &'s Seen<'a>>,
    covered: &BTreeSet<String>,
    registrations: usize,
) {
    let mut free: HashMap<(Option<&str>, TokenUsage), VecDeque<usize>> = HashMap::new();
    for (i, j) in joined.iter().enumerate() {
        let turn = j.transcript.and_then(|r| r.turn.as_deref());
        free.entry((turn, j.usage)).or_default().push_back(i);
    }
    let mut last: HashMap<Payload<'_>, First> = HashMap::new();
    for s in hooks {
        let turn = s.response.turn.as_deref();
        if let Some(i) = free.get_mut(&(turn, s.response.usage)).and_then(VecDeque::pop_front) {
            joined[i].hook = Some(s.response);
            joined[i].keys.push((s.source, s.key));
            joined[i].evidence.add(SourceKind::Hook);
            joined[i].conflict |= s.conflict;
            continue;
        }
        if turn.is_some_and(|t| covered.contains(t)) {
            continue;
        }
        let (pid, hash) = s.response.hook.unwrap_or_default();
        let payload = (turn, s.response.usage, hash);
        if let Some(first) = last.get_mut(&payload).filter(|first| first.has_twin(s.time, pid, registrations)) {
            first.runs += 1;
            joined[first.at].ambiguous = true;
            joined[first.at].keys.push((s.source, s.key));
            continue;
        }
        last.insert(payload, First { time: s.time, pid, runs: 1, at: joined.len() });
        let time = turn.and_then(uuid_v7_millis).map_or(s.time, Timestamp::from_millis);
        joined.push(Joined::new(s, time, turn.map(str::to_string)));
    }
}

fn add_otlp<'a>(joined: &mut Vec<Joined<'a>>, seen: Vec<&Seen<'a>>, turns: &Turns) {
    let mut left = seen;
    // Exact times first, then the wide windows of what has only its turn's time.
    for (exact, near) in [(true, CLOSE_NS), (true, NEAR_NS), (false, NEAR_NS)] {
        let far = exact && near > CLOSE_NS;
        left = pair_otlp(joined, left, far, |j| (has_exact_time(j) == exact).then(|| window(j, turns, near)));
    }
    for s in left {
        joined.push(Joined::new(s, s.time, turns.at(s.time).map(str::to_string)));
    }
}

/// Pairs records with responses of the same vector that have a window; gives back the records left over, still in order.
/// Pairs that are `far` apart are marked if another response of the same vector is about as near.
fn pair_otlp<'s, 'a>(
    joined: &mut [Joined<'a>],
    seen: Vec<&'s Seen<'a>>,
    far: bool,
    window: impl Fn(&Joined<'a>) -> Option<Window>,
) -> Vec<&'s Seen<'a>> {
    let mut open: HashMap<TokenUsage, (Vec<Window>, Vec<usize>)> = HashMap::new();
    let mut equal: HashMap<TokenUsage, Vec<Timestamp>> = HashMap::new();
    for j in joined.iter().filter(|_| far) {
        equal.entry(j.usage).or_default().push(j.time);
    }
    equal.values_mut().for_each(|times| times.sort_unstable());
    for (i, j) in joined.iter().enumerate().filter(|(_, j)| j.otlp.is_none()) {
        if let Some(window) = window(j) {
            let (windows, places) = open.entry(j.usage).or_default();
            windows.push(window);
            places.push(i);
        }
    }
    let mut records: HashMap<TokenUsage, Vec<usize>> = HashMap::new();
    for (n, s) in seen.iter().enumerate() {
        records.entry(s.response.usage).or_default().push(n);
    }
    let mut taken = vec![None; seen.len()];
    for (usage, (windows, places)) in &open {
        let Some(records) = records.get(usage) else { continue };
        let moments: Vec<_> = records.iter().map(|n| seen[*n].time).collect();
        for (n, pair) in records.iter().zip(pair(windows, &moments)) {
            taken[*n] = pair.map(|i| places[i]);
        }
    }
    let mut left = Vec::new();
    for (s, place) in seen.into_iter().zip(taken) {
        match place {
            Some(i) => {
                let (from, to) = around(s.time, joined[i].time.distance(s.time).cast_signed().saturating_mul(2));
                let near = |times: &Vec<Timestamp>| {
                    times.partition_point(|t| *t <= to) - times.partition_point(|t| *t < from) > 1
                };
                joined[i].ambiguous |= equal.get(&s.response.usage).is_some_and(near);
                joined[i].add_otlp(s);
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
pub(super) fn window(j: &Joined<'_>, turns: &Turns, near_ns: i64) -> Window {
    if has_exact_time(j) {
        return around(j.time, near_ns);
    }
    // A UUIDv7 and the records of its turn are of one clock; the start of any other turn is that of the first record of it.
    let turn = j.turn.as_deref();
    let slack = if turn.is_some_and(|t| uuid_v7_millis(t).is_some()) { 0 } else { near_ns };
    let known = turn.and_then(|t| turns.window(t)).map(|(start, end)| (around(start, slack).0, end));
    match j.transcript {
        Some(r) if !r.replayed => {
            (known.map_or(around(j.time, LATE_NS).0, |(start, _)| start), around(j.time, near_ns).1)
        }
        // A hook of no turn has nothing but its own clock.
        None if turn.is_none() => around(j.time, near_ns),
        _ => known.unwrap_or((around(j.time, slack).0, Timestamp(i64::MAX))),
    }
}
