//! The rules of joining and owners, one by one, and what must hold of any set of observations.

mod halves;
mod joining;
mod owners;
mod properties;
mod rules;
mod scale;
mod threads;
mod tools;

use super::{Options, sessions};
use crate::model::{
    Body, Context, Key, KeyBuilder, Link, Meta, Observation, Response, ResponseFact, SessionFact, Sighting, SourceKind,
    ThreadId, Timestamp, TokenUsage, ToolCall, Turn,
};

/// Moments of the tests count from here, in milliseconds.
const BASE: i64 = 1_795_225_137_880;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(BASE + ms)
}

/// A UUIDv7 of a moment; `n` tells apart those of the same one.
fn uuid(ms: i64, n: u32) -> String {
    let ms = BASE + ms;
    format!("{:08x}-{:04x}-7000-8000-{n:012x}", ms >> 16, ms & 0xffff)
}

/// A thread; a higher number is younger.
fn thread(n: u32) -> ThreadId {
    ThreadId::new(&uuid(i64::from(n) - 1_000, n)).unwrap()
}

fn turn(ms: i64) -> String {
    uuid(ms, 0)
}

fn usage(input: u64) -> TokenUsage {
    TokenUsage { input, output: 1, ..TokenUsage::default() }
}

fn observe(thread: &ThreadId, source: SourceKind, key: Key, time: Timestamp, body: Body) -> Observation {
    Observation { thread: thread.clone(), key, source, time, body }
}

/// The keys of the tests: any text that tells things apart.
fn key(text: &str) -> Key {
    KeyBuilder::new("test").part(text).build()
}

fn response(source: SourceKind, thread: &ThreadId, name: &str, ms: i64, r: Response) -> Observation {
    observe(thread, source, key(name), at(ms), Body::Response(Box::new(r)))
}

/// A record of the transcript.
fn tur(thread: &ThreadId, turn: &str, id: &str, ms: i64, input: u64) -> Observation {
    let (turn, response_id, model) = (Some(turn.into()), Some(id.into()), Some("gpt-5.5".into()));
    let r = Response { turn: turn.clone(), response_id, usage: usage(input), model, ..Response::default() };
    response(SourceKind::Transcript, thread, &format!("tur {turn:?} {id}"), ms, r)
}

/// A record of OTLP.
fn otlp(thread: &ThreadId, ms: i64, input: u64) -> Observation {
    let r = Response { usage: usage(input), model: Some("gpt-5.5".into()), ctx: Some(1), ..Response::default() };
    response(SourceKind::Otlp, thread, &format!("otlp {ms} {input}"), ms, r)
}

/// What a model request hook saw. The payload's hash is the same for equal payloads.
fn hook(thread: &ThreadId, turn: &str, ms: i64, pid: u32, input: u64) -> Observation {
    let (turn, hook) = (Some(turn.to_string()), Some((pid, input)));
    let r = Response { turn: turn.clone(), usage: usage(input), ctx: Some(2), hook, ..Response::default() };
    response(SourceKind::Hook, thread, &format!("hook {turn:?} {ms} {pid} {input}"), ms, r)
}

/// The same with something changed in the response.
fn with(mut o: Observation, change: impl Fn(&mut Response)) -> Observation {
    let Body::Response(r) = &mut o.body else { panic!("{o:?}") };
    change(r);
    o
}

fn starts(source: SourceKind, thread: &ThreadId, turn: &str) -> Observation {
    let time = Timestamp::from_millis(crate::model::uuid_v7_millis(turn).unwrap_or(BASE));
    let body = Body::Turn(Turn { turn: turn.into() });
    observe(thread, source, key(&format!("{source:?} turn {turn}")), time, body)
}

fn meta(thread: &ThreadId, meta: Meta) -> Observation {
    observe(thread, SourceKind::Transcript, key("meta"), at(0), Body::Meta(Box::new(meta)))
}

/// The transcript's head of a thread of a session.
fn child(thread: &ThreadId, session: &ThreadId, source: &str) -> Observation {
    let session = Some(session.clone());
    meta(thread, Meta { session, source: Some(source.into()), ..Meta::default() })
}

fn link(source: SourceKind, thread: &ThreadId, session: &ThreadId) -> Observation {
    let body = Body::Link(Link { session: session.clone() });
    observe(thread, source, key(&format!("{source:?} link {session}")), Timestamp(0), body)
}

fn context(source: SourceKind, thread: &ThreadId, c: Context) -> Observation {
    observe(thread, source, key(&format!("ctx {}", c.id)), Timestamp(0), Body::Context(Box::new(c)))
}

fn sighting(source: SourceKind, thread: &ThreadId, ms: i64, s: Sighting) -> Observation {
    observe(thread, source, key(&format!("{source:?} seen {ms} {} {:?}", s.ctx, s.turn)), at(ms), Body::Sighting(s))
}

fn call(source: SourceKind, thread: &ThreadId, name: &str, ms: i64, c: ToolCall) -> Observation {
    observe(thread, source, key(&format!("{source:?} call {name}")), at(ms), Body::ToolCall(Box::new(c)))
}

fn facts(observations: &[Observation]) -> Vec<SessionFact> {
    sessions(observations, &Options::default())
}

fn responses(observations: &[Observation]) -> Vec<ResponseFact> {
    facts(observations).into_iter().flat_map(|s| s.responses).collect()
}

/// Input, sources and time in milliseconds of each response.
fn outline(observations: &[Observation]) -> Vec<(u64, String, i64)> {
    let ms = |r: &ResponseFact| r.time.0 / 1_000_000 - BASE;
    responses(observations).iter().map(|r| (r.usage.input, r.evidence.name(), ms(r))).collect()
}

/// The one session that these observations make.
fn only(observations: &[Observation]) -> SessionFact {
    let mut all = facts(observations);
    assert_eq!(all.len(), 1, "{all:#?}");
    all.remove(0)
}
