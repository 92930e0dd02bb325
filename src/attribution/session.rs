//! A session's facts.

use super::attempts;
use super::channel::{self, DefaultChannel};
use super::owner::{Claims, Moment};
use super::responses::{self, Joined, TWIN_NS};
use super::threads::{self, Group, Thread};
use super::tools;
use super::turns::{Turns, turn_facts};
use crate::model::{
    Body, Observation, ResponseFact, Rules, ServiceTier, SessionFact, SessionSubjects, Sighting, SourceKind,
    ThreadFact, ThreadId, Timestamp, TurnCostFact, parse_pico,
};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// What the configuration adds to what was observed.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The channel of responses of which nothing tells how they are billed.
    pub default_channel: DefaultChannel,
    /// The administrator's rules on who pays.
    pub rules: Rules,
    /// Custom providers whose prices are known, in lower case.
    pub providers: BTreeSet<String>,
}

/// All sessions (and auxiliary threads) that these observations tell of, in order of their start.
pub fn sessions(observations: &[Observation], options: &Options) -> Vec<SessionFact> {
    let mut sessions: Vec<_> = threads::group(observations).iter().map(|group| session(group, options)).collect();
    sessions.sort_by(|a, b| (a.started, &a.session).cmp(&(b.started, &b.session)));
    sessions
}

/// What rules can look at of each of these sessions, as at its first moment.
pub fn subjects(observations: &[Observation]) -> Vec<SessionSubjects> {
    let of = |group: &Group<'_>| {
        let claims = Claims::of(group);
        let client = client(group, &claims);
        let moment = beginning(group, &Providers::of(group.root()), &client);
        (group.session.clone(), claims.subjects(moment))
    };
    threads::group(observations).iter().map(of).collect()
}

/// The first moment of a session.
fn beginning<'m>(group: &Group<'m>, providers: &Providers<'m>, client: &'m str) -> Moment<'m> {
    let (time, _) = span(group);
    let provider = group.root().meta().and_then(|m| m.provider.as_deref()).or_else(|| providers.at(time));
    Moment { time, client, provider, told_by: None }
}

fn session(group: &Group<'_>, options: &Options) -> SessionFact {
    let claims = Claims::of(group);
    let auxiliary = is_auxiliary(group);
    let client = client(group, &claims);
    let agents: BTreeMap<ThreadId, String> = group.threads.iter().map(|t| (t.id.clone(), agent(group, t))).collect();
    let (started, ended) = span(group);
    let (turn_costs, quarantined) = turn_costs(group);
    let root_providers = Providers::of(group.root());
    let (owner, _) = claims.owner(beginning(group, &root_providers, &client), &options.rules);
    let mut fact = SessionFact {
        session: group.session.clone(),
        auxiliary,
        started,
        ended,
        owner,
        forked_from: group.own_root().and_then(Thread::meta).and_then(|m| m.forked_from.clone()),
        prompts: if auxiliary { 0 } else { group.own_root().map_or(0, prompts) },
        threads: group.threads.iter().map(|t| thread_fact(group, t, &agents, auxiliary)).collect(),
        turns: turn_facts(group),
        responses: Vec::new(),
        tool_calls: tools::tool_calls(group, &agents),
        unmetered_attempts: 0,
        unmetered: BTreeMap::new(),
        api_errors: 0,
        quarantined,
        turn_costs,
        client,
    };
    for thread in &group.threads {
        let turns = Turns::of(thread);
        let (joined, quarantined) = responses::join(thread, &turns);
        for (model, of_model) in attempts::unmetered(thread, &joined, &turns) {
            fact.unmetered_attempts += of_model.attempts;
            let sum = fact.unmetered.entry(model).or_default();
            sum.attempts += of_model.attempts;
            sum.named += of_model.named;
        }
        fact.api_errors += attempts::refused(thread);
        fact.quarantined.extend(quarantined);
        let providers = [&Providers::of(thread), &root_providers];
        let context =
            ResponseContext { group, thread, claims: &claims, providers, options, client: &fact.client, auxiliary };
        fact.responses.extend(joined.iter().map(|j| response(&context, j)));
    }
    fact.responses.sort_by(|a, b| (a.time, &a.thread, &a.response_id).cmp(&(b.time, &b.thread, &b.response_id)));
    fact
}

/// What all responses of a thread share.
struct ResponseContext<'c, 'a> {
    group: &'c Group<'a>,
    thread: &'c Thread<'a>,
    claims: &'c Claims<'a>,
    /// The thread's own, then the root's.
    providers: [&'c Providers<'a>; 2],
    options: &'c Options,
    client: &'c str,
    auxiliary: bool,
}

fn response(c: &ResponseContext<'_, '_>, j: &Joined<'_>) -> ResponseFact {
    let first = |of: fn(&crate::model::Response) -> Option<&String>| j.sources().find_map(of).cloned();
    let tier = first(|r| r.tier.as_ref());
    let in_doubt = is_in_doubt(j);
    let context = c.claims.otlp_at(j.time);
    let root = c.group.root().meta();
    let own = c.thread.meta();
    let provider = j.transcript.and_then(|r| r.provider.as_deref());
    let provider = provider.or_else(|| c.providers.iter().find_map(|told| told.at(j.time)));
    let provider = provider.or(root.and_then(|m| m.provider.as_deref()));
    let decision = channel::decide(
        &channel::Evidence {
            auth_mode: context.and_then(|x| x.auth_mode.as_deref()),
            account: own.and_then(|m| m.account.as_deref()).or(root.and_then(|m| m.account.as_deref())),
            provider,
        },
        c.options.default_channel,
        &c.options.providers,
    );
    let mut keys = j.keys.clone();
    keys.sort_by_key(|(source, _)| Reverse(*source));
    let told_by = j.otlp.and_then(|r| r.ctx);
    let moment = Moment { time: j.time, client: c.client, provider, told_by };
    let (owner, shares) = c.claims.owner(moment, &c.options.rules);
    let keys = keys.into_iter().map(|(_, key)| key).collect();
    ResponseFact {
        thread: c.thread.id.clone(),
        session: c.group.session.clone(),
        turn: j.turn.clone(),
        response_id: j.transcript.and_then(|r| r.response_id.clone()),
        time: j.time,
        usage: j.usage,
        model: first(|r| r.model.as_ref()),
        tier: ServiceTier::from_wire(tier.as_deref()),
        effort: first(|r| r.effort.as_ref()),
        channel: decision.channel,
        channel_why: decision.why,
        assumed_provider: decision.assumed_provider,
        evidence: j.evidence,
        ambiguous: j.ambiguous || in_doubt,
        conflict: j.conflict,
        owner,
        shares,
        client: c.client.to_string(),
        auxiliary: c.auxiliary,
        kind: kind(c.group, c.thread, c.auxiliary),
        keys,
    }
}

/// Whether the sources leave open which model or tier was asked for (Codex 0.169).
fn is_in_doubt(j: &Joined<'_>) -> bool {
    match (j.otlp, j.transcript) {
        // What it means that an older version's telemetry names no tier is not known.
        (Some(otlp), Some(transcript)) => otlp.tier.is_none() && transcript.tier.is_some(),
        (None, Some(transcript)) => transcript.model_in_doubt,
        // What warms up a WebSocket generates nothing; its record has neither effort nor tier, whatever it asked for.
        (Some(otlp), None) => j.hook.is_none() && otlp.effort.is_none() && j.usage.output == 0,
        // A hook knows no tier.
        (None, None) => true,
    }
}

/// The providers that a thread's starts name, in order of time.
struct Providers<'a>(Vec<(Timestamp, &'a str)>);

impl<'a> Providers<'a> {
    fn of(thread: &Thread<'a>) -> Self {
        let told = |o: &&'a Observation| match &o.body {
            Body::Sighting(Sighting { provider: Some(p), .. }) => Some((o.time, p.as_str())),
            _ => None,
        };
        Providers(thread.observations.iter().filter_map(told).collect())
    }

    /// That of the last start before a moment, else of the first one.
    fn at(&self, time: Timestamp) -> Option<&'a str> {
        let before = self.0.partition_point(|(start, _)| *start <= time);
        self.0.get(before.saturating_sub(1)).map(|(_, provider)| *provider)
    }
}

/// A thread that only OTLP saw, in a process that is not `codex exec`, looking like a title request: it may only read, and
/// calls no tool (Codex 0.169).
fn is_auxiliary(group: &Group<'_>) -> bool {
    let [thread] = group.threads.as_slice() else { return false };
    if thread.id != group.session || thread.seen_by(SourceKind::Hook) || thread.seen_by(SourceKind::Transcript) {
        return false;
    }
    let exec = |b: &Body| matches!(b, Body::Context(c) if c.service.as_deref() == Some("codex_exec"));
    let tool = |b: &Body| matches!(b, Body::ToolCall(_));
    let read_only = |b: &Body| matches!(b, Body::Sighting(s) if s.sandbox.as_deref() == Some("read-only"));
    let any = |wanted: fn(&Body) -> bool| thread.observations.iter().any(|o| wanted(&o.body));
    !any(exec) && !any(tool) && any(read_only)
}

fn client(group: &Group<'_>, claims: &Claims<'_>) -> String {
    let of_meta = group.threads.iter().find_map(|t| t.meta()).and_then(|m| m.originator.clone());
    let of_otlp = || claims.otlp_at(Timestamp(i64::MAX)).and_then(|c| c.originator.clone());
    of_meta.or_else(of_otlp).unwrap_or_else(|| "unknown".into())
}

fn agent(group: &Group<'_>, thread: &Thread<'_>) -> String {
    let own = thread.meta().and_then(|m| m.agent.clone().or_else(|| m.source.clone()));
    if thread.id == group.session { "/root".into() } else { own.unwrap_or_else(|| "subagent".into()) }
}

/// The first and last moment that a transcript or OTLP tells of; a hook's clock counts only where neither saw the session.
fn span(group: &Group<'_>) -> (Timestamp, Timestamp) {
    let times = |hooks: bool| {
        let of = move |o: &&Observation| (o.source == SourceKind::Hook) == hooks && o.time.0 > 0;
        let all = group.observations().filter(of).map(|o| o.time);
        all.fold(None, |span: Option<(Timestamp, Timestamp)>, t| {
            Some(span.map_or((t, t), |(first, last)| (first.min(t), last.max(t))))
        })
    };
    times(false).or_else(|| times(true)).unwrap_or((Timestamp(0), Timestamp(0)))
}

/// Prompts as the transcript counts them, else the larger count of hook and OTLP.
fn prompts(root: &Thread<'_>) -> u64 {
    let of = |source| {
        let of_source = root.observations.iter().filter(move |o| o.source == source);
        of_source.filter_map(|o| match &o.body {
            Body::Prompt(prompt) => Some((o.time, prompt)),
            _ => None,
        })
    };
    match of(SourceKind::Transcript).count() {
        0 => {
            // A hook that is registered twice sees each prompt twice.
            let hooks: Vec<_> = of(SourceKind::Hook).collect();
            let twins = hooks.windows(2).filter(|w| w[0].1 == w[1].1 && w[0].0.distance(w[1].0) <= TWIN_NS).count();
            (hooks.len() - twins).max(of(SourceKind::Otlp).count()) as u64
        }
        n => n as u64,
    }
}

fn kind(group: &Group<'_>, thread: &Thread<'_>, auxiliary: bool) -> &'static str {
    match thread.meta().and_then(|m| m.source.as_deref()) {
        _ if auxiliary => "auxiliary",
        _ if thread.id == group.session => "root",
        Some("review") => "review",
        Some("guardian") => "guardian",
        _ => "subagent",
    }
}

fn thread_fact(
    group: &Group<'_>,
    thread: &Thread<'_>,
    agents: &BTreeMap<ThreadId, String>,
    auxiliary: bool,
) -> ThreadFact {
    let meta = thread.meta();
    ThreadFact {
        thread: thread.id.clone(),
        kind: kind(group, thread, auxiliary),
        forked_from: meta.and_then(|m| m.forked_from.clone()),
        agent: agents.get(&thread.id).cloned().unwrap_or_default(),
        cli_version: meta.and_then(|m| m.cli_version.clone()),
    }
}

/// What Codex says of each turn, the last word on it; and what of that is no amount.
fn turn_costs(group: &Group<'_>) -> (Vec<TurnCostFact>, Vec<String>) {
    let (mut last, mut strange): (BTreeMap<&str, TurnCostFact>, _) = (BTreeMap::new(), Vec::new());
    for o in group.observations() {
        let Body::TurnCost(cost) = &o.body else { continue };
        match parse_pico(&cost.estimated_usd, 12) {
            Ok(pico_usd) => {
                let (turn, model, speed) = (cost.turn.clone(), cost.model.clone(), cost.speed.clone());
                let fact = TurnCostFact { turn, time: o.time, pico_usd, model, speed };
                let known = last.get(cost.turn.as_str());
                if known.is_none_or(|known| (known.time, known.pico_usd) <= (fact.time, fact.pico_usd)) {
                    last.insert(&cost.turn, fact);
                }
            }
            Err(why) => strange.push(format!("the reported cost of turn {}: {why}", cost.turn)),
        }
    }
    strange.sort();
    (last.into_values().collect(), strange)
}
