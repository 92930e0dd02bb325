//! Reviews in sessions without transcripts, which hooks know by the session and telemetry by the thread.

use super::*;
use crate::attribution::{other_halves, sought};

/// Turn 0 of thread 1 as hooks tell it, and thread 900 (made 100 ms before it) as telemetry does.
fn review(host: &str, otlp_at: i64) -> Vec<Observation> {
    let (session, thread, turn) = (thread(1), thread(900), turn(0));
    let on = |host: &str| Context { id: 1, host: Some(host.into()), ..Context::default() };
    vec![
        starts(SourceKind::Hook, &session, &turn),
        context(SourceKind::Hook, &session, on("vm")),
        hook(&session, &turn, 50, 1, 5),
        hook(&session, &turn, 90, 2, 6),
        context(SourceKind::Otlp, &thread, on(host)),
        otlp(&thread, otlp_at, 5),
        otlp(&thread, otlp_at + 40, 6),
    ]
}

fn counted(observations: &[Observation]) -> (usize, usize) {
    (facts(observations).len(), responses(observations).len())
}

#[test]
fn the_halves_of_a_review_are_one_session_with_each_response_once() {
    let all = review("vm", 45);
    let [session] = facts(&all).try_into().unwrap();
    assert_eq!(session.session, thread(1));
    let seen: Vec<_> = session.responses.iter().map(|r| (r.thread.clone(), r.evidence.name(), r.usage.input)).collect();
    assert_eq!(seen, [(thread(900), "hook+otlp".into(), 5), (thread(900), "hook+otlp".into(), 6)]);
    // What one of them lost is the other's.
    let lost: Vec<_> = all.iter().filter(|o| o.key != all[6].key).cloned().collect();
    assert_eq!(counted(&lost), (1, 2));
}

#[test]
fn what_is_not_known_to_be_one_stays_two() {
    assert_eq!(counted(&review("other", 45)), (2, 4), "of another machine");
    assert_eq!(counted(&review("vm", -60)), (2, 4), "before the turn");
    let mut own = review("vm", 45);
    own.push(otlp(&thread(1), 44, 7));
    assert_eq!(counted(&own), (2, 5), "telemetry tells of the turn in its own thread");
    let mut younger = review("vm", 45);
    younger.iter_mut().filter(|o| o.source == SourceKind::Hook).for_each(|o| o.thread = thread(950));
    assert_eq!(counted(&younger), (2, 4), "the session is younger");
    let mut linked = review("vm", 45);
    linked.push(link(SourceKind::Otlp, &thread(900), &thread(7)));
    assert_eq!(counted(&linked), (2, 4), "the thread belongs to another session");
}

#[test]
fn each_half_says_where_the_other_may_be() {
    let all = review("vm", 45);
    let (hooks, told) = all.split_at(4);
    assert_eq!(sought(hooks).made, [(at(-2_000), at(0))]);
    assert_eq!(sought(told).hooked, [(at(-100), at(1_900))]);
    assert_eq!(other_halves(hooks, told), [thread(900)]);
    assert_eq!(other_halves(told, hooks), [thread(1)]);
    assert_eq!(other_halves(told, told), []);
}
