//! Long sessions take time in proportion to their length, not to its square.

use super::*;
use crate::model::{Attempt, TurnEnd};
use std::time::{Duration, Instant};

const MANY: i64 = 20_000;

/// Quadratic work would take minutes without optimisation; linear work takes about a second.
const LIMIT: Duration = Duration::from_secs(20);

fn within(limit: Duration, work: impl FnOnce() -> SessionFact) -> SessionFact {
    let start = Instant::now();
    let session = work();
    assert!(start.elapsed() < limit, "took {:?}", start.elapsed());
    session
}

#[test]
fn equal_responses_and_calls_of_one_turn() {
    let (t, u) = (thread(1), turn(0));
    let mut all = vec![starts(SourceKind::Transcript, &t, &u)];
    for i in 0..MANY {
        let id = format!("c{i}");
        let tool = |turn: Option<&String>| ToolCall { call_id: id.clone(), turn: turn.cloned(), ..ToolCall::default() };
        all.push(tur(&t, &u, &id, 10 * i, 5));
        all.push(otlp(&t, 10 * i + 1, 5));
        all.push(hook(&t, &u, 10 * i + 2, i as u32, 5));
        all.push(call(SourceKind::Transcript, &t, &id, 10 * i + 3, tool(Some(&u))));
        all.push(call(SourceKind::Otlp, &t, &id, 10 * i + 4, tool(None)));
        let failed = Body::Attempt(Attempt { kind: "stream".into(), ..Attempt::default() });
        all.push(observe(&t, SourceKind::Otlp, key(&format!("failed {i}")), at(10 * i + 5), failed));
    }
    let session = within(LIMIT, || only(&all));
    assert_eq!((session.responses.len(), session.tool_calls.len()), (MANY as usize, MANY as usize));
    assert!(session.responses.iter().all(|r| r.evidence.name() == "hook+otlp+transcript"));
    assert_eq!(session.unmetered_attempts, MANY as u64);
}

#[test]
fn equal_call_ids_and_vectors_of_many_turns() {
    let t = thread(1);
    let mut all = Vec::new();
    for i in 0..MANY {
        let u = turn(10 * i);
        let tool = |turn: Option<&String>| ToolCall { call_id: "c".into(), turn: turn.cloned(), ..ToolCall::default() };
        let provider = Sighting { ctx: 1, provider: Some("openai".into()), ..Sighting::default() };
        let end = TurnEnd { turn: u.clone(), aborted: false, duration_ms: None };
        all.push(starts(SourceKind::Hook, &t, &u));
        all.push(sighting(SourceKind::Otlp, &t, 10 * i, provider));
        all.push(hook(&t, &u, 10 * i + 2, i as u32, 5));
        all.push(otlp(&t, 10 * i + 1, 5));
        all.push(call(SourceKind::Hook, &t, &u, 10 * i + 3, tool(Some(&u))));
        all.push(call(SourceKind::Otlp, &t, &u, 10 * i + 4, tool(None)));
        all.push(observe(&t, SourceKind::Transcript, key(&format!("end {i}")), at(10 * i + 5), Body::TurnEnd(end)));
    }
    let session = within(LIMIT, || only(&all));
    assert_eq!((session.responses.len(), session.tool_calls.len()), (MANY as usize, MANY as usize));
    assert_eq!(session.turns.len(), MANY as usize);
}

#[test]
fn a_long_chain_of_threads() {
    let all: Vec<_> = (1..MANY as u32).map(|n| link(SourceKind::Otlp, &thread(n + 1), &thread(n))).collect();
    let session = within(LIMIT, || only(&all));
    assert_eq!((session.session, session.threads.len()), (thread(1), MANY as usize - 1));
}
