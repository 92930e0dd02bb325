//! Tool calls, each once.

use super::*;
use crate::model::{Outcome, ToolCallFact};

const T: SourceKind = SourceKind::Transcript;
const O: SourceKind = SourceKind::Otlp;
const H: SourceKind = SourceKind::Hook;

fn named(id: &str, turn: Option<&str>, name: &str) -> ToolCall {
    ToolCall { call_id: id.into(), turn: turn.map(str::to_string), name: Some(name.into()), ..ToolCall::default() }
}

fn calls(all: &[Observation]) -> Vec<ToolCallFact> {
    facts(all).into_iter().flat_map(|s| s.tool_calls).collect()
}

#[test]
fn sources_join_by_call_id() {
    let (t, u) = (thread(1), turn(0));
    let timed = ToolCall { duration_ms: Some(7), success: Some(true), ..named("c", None, "Bash") };
    let ended = ToolCall { exit_code: Some(3), success: Some(false), ..named("c", Some(&u), "Bash") };
    let all = [
        starts(T, &t, &u),
        call(T, &t, "call", 1, named("c", Some(&u), "Bash")),
        call(T, &t, "item", 9, ended),
        call(H, &t, "hook", 10, named("c", Some(&u), "Bash")),
        call(O, &t, "result", 8, timed),
    ];
    let [fact] = &calls(&all)[..] else { panic!("{:#?}", calls(&all)) };
    assert_eq!(
        (fact.evidence.name().as_str(), fact.duration_ms, fact.exit_code),
        ("hook+otlp+transcript", Some(7), Some(3))
    );
    assert_eq!((fact.outcome, fact.turn.as_ref(), fact.time), (Outcome::Failure, Some(&u), at(9)));
}

#[test]
fn success_is_what_can_be_known() {
    let (t, u) = (thread(1), turn(0));
    let of = |source, name: &str, success, exit_code| {
        let c = ToolCall { success, exit_code, ..named("c", (source != O).then_some(&u), name) };
        call(source, &t, "it", 5, c)
    };
    let cases = [
        ("exit 0", vec![of(T, "Bash", None, Some(0))], Outcome::Success),
        (
            "exit 3, told as success",
            vec![of(T, "Bash", None, Some(3)), of(O, "Bash", Some(true), None)],
            Outcome::Failure,
        ),
        (
            "exit code only in OTLP",
            vec![of(H, "Bash", None, None), of(O, "Bash", Some(false), Some(2))],
            Outcome::Failure,
        ),
        ("a command without its exit code", vec![of(H, "Bash", None, None)], Outcome::Unknown),
        ("a hook runs after success only", vec![of(H, "apply_patch", None, None)], Outcome::Success),
        ("a failure that only OTLP saw", vec![of(O, "mcp__a__b", Some(false), None)], Outcome::Failure),
        ("only the call", vec![of(T, "update_plan", None, None)], Outcome::Unknown),
    ];
    for (name, all, outcome) in cases {
        assert_eq!(calls(&all)[0].outcome, outcome, "{name}");
    }
}

#[test]
fn containers_are_not_counted_whoever_names_them() {
    let (t, u) = (thread(1), turn(0));
    let nested =
        [call(O, &t, "n", 5, named("exec-1", None, "Bash")), call(H, &t, "n", 6, named("exec-1", Some(&u), "Bash"))];
    for source in [T, O] {
        let outer = ToolCall { container: true, ..named("c", None, "exec") };
        let plain = named("c", None, "exec");
        let all =
            [&nested[..], &[call(source, &t, "o", 7, outer), call(if source == T { O } else { T }, &t, "p", 8, plain)]]
                .concat();
        let ids: Vec<_> = calls(&all).into_iter().map(|c| c.call_id).collect();
        assert_eq!(ids, ["exec-1"]);
    }
}

#[test]
fn repeated_call_ids_are_other_calls() {
    let (t, turns) = (thread(1), [turn(0), turn(1_000), turn(2_000)]);
    let mut all: Vec<_> = turns.iter().map(|u| starts(T, &t, u)).collect();
    let made =
        turns.iter().enumerate().map(|(i, u)| call(T, &t, u, 1_000 * i as i64 + 10, named("c", Some(u), "Bash")));
    all.extend(made);
    // The first turn's result was lost: the others' are not taken for it.
    for (i, duration) in [(1, 11), (2, 22)] {
        let c = ToolCall { duration_ms: Some(duration), ..named("c", None, "Bash") };
        all.push(call(O, &t, &format!("result {i}"), 1_000 * i + 500, c));
    }
    let durations: Vec<_> = calls(&all).into_iter().map(|c| c.duration_ms).collect();
    assert_eq!(durations, [None, Some(11), Some(22)]);
}

#[test]
fn repeated_call_ids_without_turns_stay_as_many_as_they_are() {
    let t = thread(1);
    let result = |i: i64| call(O, &t, &format!("result {i}"), i, named("c", None, "Bash"));
    assert_eq!(calls(&[result(1), result(2), result(3)]).len(), 3);
    let prompt = observe(&t, O, key("prompt"), at(0), Body::Prompt(crate::model::Prompt::default()));
    assert_eq!(calls(&[prompt, result(1), result(2), result(3)]).len(), 3);
}

#[test]
fn a_reviews_calls_stand_in_two_transcripts_and_are_counted_once() {
    let (root, review, u) = (thread(1), thread(2), turn(50));
    let ended = ToolCall { exit_code: Some(0), ..named("c", Some(&u), "Bash") };
    let all = [
        child(&review, &root, "review"),
        starts(T, &root, &u),
        starts(T, &review, &u),
        call(T, &root, "in the root", 60, ended),
        call(T, &review, "in the review", 61, named("c", Some(&u), "Bash")),
        call(O, &review, "result", 62, ToolCall { duration_ms: Some(4), ..named("c", None, "Bash") }),
        call(T, &review, "another", 63, named("d", Some(&u), "Bash")),
    ];
    let session = only(&all);
    let [c, d] = &session.tool_calls[..] else { panic!("{:#?}", session.tool_calls) };
    assert_eq!((&c.thread, c.outcome, c.duration_ms), (&review, Outcome::Success, Some(4)));
    assert_eq!((d.call_id.as_str(), session.turns.len()), ("d", 1));
    assert_eq!(session.turns[0].thread, review);
}

#[test]
fn equal_ids_in_other_turns_of_other_threads_are_other_calls() {
    let (root, kid) = (thread(1), thread(2));
    let all = [
        child(&kid, &root, "subagent"),
        call(T, &root, "a", 1, named("c", Some(&turn(0)), "Bash")),
        call(T, &kid, "b", 2, named("c", Some(&turn(9)), "Bash")),
        call(O, &root, "c", 3, named("x", None, "Bash")),
        call(O, &kid, "d", 4, named("x", None, "Bash")),
    ];
    assert_eq!(calls(&all).len(), 4);
}
