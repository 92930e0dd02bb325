//! Rules of transcripts on small texts, and real transcripts read in parts.

use super::{Reader, State, thread_of_path};
use crate::model::{Body, Meta, Observation, Response, ThreadId, TokenUsage, uuid_v7_millis};
use std::path::Path;

/// A parent, its fork and turns of both, in order of their making.
const PARENT: &str = "01a1fbf0-0000-7000-8000-000000000000";
const OLD_TURN: &str = "01a1fbf1-0000-7000-8000-000000000000";
const OWN: &str = "01a1fbf2-0000-7000-8000-000000000000";
const TURN: &str = "01a1fbf3-0000-7000-8000-000000000000";
const TURN_2: &str = "01a1fbf4-0000-7000-8000-000000000000";

fn line(kind: &str, payload: &str) -> String {
    format!(r#"{{"timestamp":"2026-11-21T02:30:38.000Z","type":"{kind}","payload":{payload}}}"#)
}

fn event(kind: &str, rest: &str) -> String {
    line("event_msg", &format!(r#"{{"type":"{kind}"{rest}}}"#))
}

fn meta(id: &str) -> String {
    line("session_meta", &format!(r#"{{"id":"{id}","source":"exec","model_provider":"openai"}}"#))
}

fn context(turn: &str, model: &str) -> String {
    line("turn_context", &format!(r#"{{"turn_id":"{turn}","model":"{model}"}}"#))
}

fn started(turn: &str) -> String {
    event("task_started", &format!(r#","turn_id":"{turn}""#))
}

fn settings(tier: &str) -> String {
    event("thread_settings_applied", &format!(r#","thread_settings":{{"service_tier":{tier}}}"#))
}

fn record(thread: &str, turn: &str, id: &str, input: u64) -> String {
    let usage = format!(r#"{{"input_tokens":{input},"output_tokens":1}}"#);
    let ids = format!(r#""thread_id":"{thread}","turn_id":"{turn}","response_id":"{id}""#);
    line("token_usage_record", &format!(r#"{{{ids},"usage":{usage}}}"#))
}

fn token_count(last: u64, total: u64) -> String {
    let usage = |n: u64| format!(r#"{{"input_tokens":{n},"output_tokens":1,"total_tokens":{}}}"#, n + 1);
    let info = format!(r#"{{"total_token_usage":{},"last_token_usage":{}}}"#, usage(total), usage(last));
    event("token_count", &format!(r#","info":{info}"#))
}

fn call(id: &str) -> String {
    line("response_item", &format!(r#"{{"type":"function_call","name":"exec_command","call_id":"{id}"}}"#))
}

fn read(lines: &[String]) -> Reader {
    let mut reader = Reader::new(None, State::default());
    lines.iter().for_each(|l| reader.line(l.as_bytes()));
    reader
}

fn responses(observations: &[Observation]) -> Vec<(&Observation, &Response)> {
    let of = |o| match o {
        o @ &Observation { body: Body::Response(ref r), .. } => Some((o, r.as_ref())),
        _ => None,
    };
    observations.iter().filter_map(of).collect()
}

/// Input, model and tier of each response.
fn outline(lines: &[String]) -> Vec<(u64, String, Option<String>)> {
    let reader = read(lines);
    let all = responses(&reader.observations);
    all.iter().map(|(_, r)| (r.usage.input, r.model.clone().unwrap_or_default(), r.tier.clone())).collect()
}

#[test]
fn names_hold_the_thread() {
    let id = "01a1fbc1-b2d8-74a2-955e-70a1f37fabfe";
    let of = |p: &str| thread_of_path(p).map(|t| t.to_string());
    assert_eq!(of(&format!("/a/rollout-2026-11-21T01-38-57-{id}.jsonl")).as_deref(), Some(id));
    assert_eq!(of(&format!("rollout-2026-11-21T01-38-57-{id}.jsonl.zst")).as_deref(), Some(id));
    assert_eq!(of(&format!("C:\\x\\rollout-2026-11-21T01-38-57-{id}.jsonl")).as_deref(), Some(id));
    let later = "01a1fd04-63c2-7ca2-bbcd-d171b255aef7";
    assert_eq!(of(&format!("/a/rollout-2026-11-21T07-31-25-{id}_{later}.jsonl")).as_deref(), Some(id));
    assert_eq!(of(&format!("/a/rollout-2026-11-21T07-31-25-x_{later}.jsonl.zst")), None);
    for bad in ["rollout-x.jsonl", "history.jsonl", "rollout-é.jsonl", ""] {
        assert_eq!(of(bad), None, "{bad}");
    }
}

#[test]
fn the_model_is_that_of_the_nearest_context_before() {
    let lines = [
        meta(OWN),
        started(TURN),
        context(TURN, "old"),
        record(OWN, TURN, "a", 1),
        started(TURN_2),
        // The compaction that a change of model causes runs under the old model in the new turn.
        record(OWN, TURN_2, "b", 2),
        context(TURN_2, "new"),
        record(OWN, TURN_2, "c", 3),
    ];
    let models: Vec<_> = outline(&lines).into_iter().map(|(n, model, _)| (n, model)).collect();
    assert_eq!(models, [(1, "old".into()), (2, "old".into()), (3, "new".into())]);
}

#[test]
fn a_model_is_in_doubt_between_new_settings_and_the_turns_context() {
    let settled =
        |model: &str| event("thread_settings_applied", &format!(r#","thread_settings":{{"model":"{model}"}}"#));
    let lines = [
        meta(OWN),
        started(TURN),
        context(TURN, "old"),
        settled("old"),
        record(OWN, TURN, "a", 1),
        settled("new"),
        started(TURN_2),
        record(OWN, TURN_2, "b", 2),
        context(TURN_2, "new"),
        record(OWN, TURN_2, "c", 3),
        // Settings for the next turn change nothing in this one.
        settled("third"),
        record(OWN, TURN_2, "d", 4),
    ];
    let doubts = |lines: &[String]| -> Vec<bool> {
        responses(&read(lines).observations).iter().map(|(_, r)| r.model_in_doubt).collect()
    };
    assert_eq!(doubts(&lines), [false, true, false, false]);
    // A turn that was stopped does not make its model the one before.
    let second = |end: &str| {
        let end = event(end, &format!(r#","turn_id":"{TURN}""#));
        doubts(&[meta(OWN), context(TURN, "m"), settled("m"), end, started(TURN_2), record(OWN, TURN_2, "a", 1)])
    };
    assert_eq!((second("task_complete"), second("turn_aborted")), (vec![false], vec![true]));
}

#[test]
fn the_tier_is_that_of_the_last_settings() {
    let lines = [
        meta(OWN),
        context(TURN, "m"),
        record(OWN, TURN, "a", 1),
        settings(r#""priority""#),
        record(OWN, TURN, "b", 2),
        context(TURN_2, "m"),
        record(OWN, TURN_2, "c", 3),
        settings("null"),
        record(OWN, TURN_2, "d", 4),
    ];
    let fast = Some("priority".to_string());
    let tiers: Vec<_> = outline(&lines).into_iter().map(|(_, _, tier)| tier).collect();
    assert_eq!(tiers, [None, fast.clone(), fast, None]);
}

/// Seen with 0.169: a fork's first request fails, and its new file tells the parent's last counts again.
#[test]
fn counts_of_versions_that_write_records_are_never_taken() {
    let of = |version: &str| {
        let head = line("session_meta", &format!(r#"{{"id":"{OWN}","cli_version":"{version}"}}"#));
        let lines = [head, started(TURN), token_count(7, 20), started(TURN_2), record(OWN, TURN_2, "a", 9)];
        outline(&lines).into_iter().map(|(n, ..)| n).collect::<Vec<_>>()
    };
    assert_eq!(of("0.169.0"), [9]);
    assert_eq!(of("0.152.0"), [7, 9]);
}

#[test]
fn an_effort_ends_with_its_context() {
    let high = line("turn_context", &format!(r#"{{"turn_id":"{TURN}","model":"m","effort":"high"}}"#));
    let reader = read(&[meta(OWN), high, record(OWN, TURN, "a", 1), context(TURN_2, "m"), record(OWN, TURN_2, "b", 2)]);
    let efforts: Vec<_> = responses(&reader.observations).iter().map(|(_, r)| r.effort.as_deref()).collect();
    assert_eq!(efforts, [Some("high"), None]);
}

#[test]
fn only_the_first_head_is_the_files_own() {
    let reader = read(&[meta(OWN), meta(PARENT), meta(PARENT)]);
    let heads: Vec<&Meta> = reader
        .observations
        .iter()
        .map(|o| match &o.body {
            Body::Meta(m) if o.thread.as_str() == OWN => m.as_ref(),
            _ => panic!("{o:?}"),
        })
        .collect();
    assert_eq!((heads.len(), heads[0].source.as_deref()), (1, Some("exec")));
}

#[test]
fn a_subagent_of_an_older_version_names_its_parent_in_its_source() {
    let source = format!(r#"{{"subagent":{{"thread_spawn":{{"parent_thread_id":"{PARENT}","depth":1}}}}}}"#);
    let reader = read(&[line("session_meta", &format!(r#"{{"id":"{OWN}","source":{source}}}"#))]);
    let Body::Meta(meta) = &reader.observations[0].body else { panic!("{:?}", reader.observations) };
    assert_eq!((meta.source.as_deref(), meta.parent.as_ref().map(ThreadId::as_str)), (Some("subagent"), Some(PARENT)));
}

#[test]
fn what_a_fork_copied_is_its_parents() {
    let copied =
        [started(OLD_TURN), context(OLD_TURN, "m"), call("c1"), token_count(7, 7), record(PARENT, OLD_TURN, "a", 8)];
    let own = [started(TURN), context(TURN, "m"), record(OWN, TURN, "b", 9), call("c2")];
    let reader = read(&[&[meta(OWN), meta(PARENT)][..], &copied, &own].concat());
    let all: Vec<_> = responses(&reader.observations)
        .iter()
        .map(|(o, r)| (o.thread.as_str(), r.usage.input, r.replayed, o.time.0 / 1_000_000))
        .collect();
    let then = uuid_v7_millis(OLD_TURN).unwrap();
    let now = all[2].3;
    assert_eq!(all, [(PARENT, 7, true, then), (PARENT, 8, true, then), (OWN, 9, false, now)]);
    let turns_and_calls = |b: &Body| matches!(b, Body::Turn(_) | Body::ToolCall(_));
    let others: Vec<_> = reader.observations.iter().filter(|o| turns_and_calls(&o.body)).collect();
    assert_eq!(others.len(), 2);
    assert!(others.iter().all(|o| o.thread.as_str() == OWN));
    // The parent's own file gives the same records the same ids, so that each is known as the same one.
    let parent = read(&[&[meta(PARENT)][..], &copied].concat());
    let ids = |r: &Reader, n: usize| {
        let all = responses(&r.observations);
        all.iter().take(n).map(|(_, r)| (r.turn.clone(), r.response_id.clone(), r.usage)).collect::<Vec<_>>()
    };
    assert_eq!(ids(&reader, 2), ids(&parent, 2));
}

#[test]
fn a_forks_first_count_may_be_a_stale_copy_of_its_parents_last() {
    // As Codex 0.128 writes it: an event before each response repeats the last, also across the end of the copied part.
    let lines = [
        meta(OWN),
        meta(PARENT),
        context(OLD_TURN, "gpt-5.2"),
        started(OLD_TURN),
        event("token_count", r#","info":null"#),
        token_count(10, 10),
        started(TURN),
        context(TURN, "gpt-5.2"),
        token_count(10, 10),
        token_count(20, 30),
    ];
    let reader = read(&lines);
    let found: Vec<_> = responses(&reader.observations)
        .into_iter()
        .map(|(o, r)| (o.thread.to_string(), r.usage.input, r.response_id.clone().unwrap_or_default()))
        .collect();
    assert_eq!(found, [(PARENT.to_string(), 10, "#1".to_string()), (OWN.to_string(), 20, "#1".to_string())]);
}

/// The same at a moment of its own, in milliseconds.
fn after(ms: u32, line: &str) -> String {
    line.replace("38.000Z", &format!("{}.{:03}Z", 38 + ms / 1000, ms % 1000))
}

/// What Codex 0.98 writes of a turn: no id, and an event before each response that repeats the last.
fn nameless_turn(from: u32, to: u32, last: (u64, u64), now: (u64, u64)) -> Vec<String> {
    let context = line("turn_context", r#"{"model":"m"}"#);
    let stale = if last.1 == 0 { event("token_count", r#","info":null"#) } else { token_count(last.0, last.1) };
    let lines = [(from, event("user_message", "")), (from, context), (to, stale)];
    let lines = lines.into_iter().chain([(to, call(&format!("c{}", now.1))), (to, token_count(now.0, now.1))]);
    lines.map(|(ms, line)| after(ms, &line)).collect()
}

#[test]
fn what_a_fork_copied_without_turn_ids_is_its_parents() {
    let head = [after(0, &meta(OWN)), after(3, &meta(PARENT))];
    let copied = [nameless_turn(3, 4, (0, 0), (10, 10)), nameless_turn(4, 4, (10, 10), (20, 30))].concat();
    let own = [nameless_turn(9, 990, (20, 30), (20, 50)), nameless_turn(5_000, 5_500, (20, 50), (7, 57))].concat();
    let reader = read(&[&head[..], &copied, &own].concat());
    let all: Vec<_> = responses(&reader.observations)
        .into_iter()
        .map(|(o, r)| (o.thread.as_str(), r.usage.input, r.replayed, r.response_id.clone().unwrap_or_default()))
        .collect();
    let of = |thread, input, replayed, id: &str| (thread, input, replayed, id.to_string());
    let expected =
        [of(PARENT, 10, true, "#1"), of(PARENT, 20, true, "#2"), of(OWN, 20, false, "#1"), of(OWN, 7, false, "#2")];
    assert_eq!(all, expected);
    let kinds = |wanted: fn(&Body) -> bool| reader.observations.iter().filter(|o| wanted(&o.body)).count();
    assert_eq!(kinds(|b| matches!(b, Body::ToolCall(_))), 2);
    assert_eq!(kinds(|b| matches!(b, Body::Prompt(_))), 2);
    // Another fork gives the same copies the same key and time, whenever it was made.
    let later: Vec<_> = head.iter().chain(&copied).map(|l| l.replace("02:30:38", "03:44:55")).collect();
    let copies = |r: &Reader| responses(&r.observations).iter().map(|(o, _)| (*o).clone()).collect::<Vec<_>>();
    assert_eq!(copies(&read(&later)), copies(&reader)[..2]);
}

#[test]
fn a_machine_that_pauses_within_a_copy_mistakes_one_response_at_most() {
    let head = [after(0, &meta(OWN)), after(0, &meta(PARENT))];
    let turn = |n: u32, ms| nameless_turn(ms, ms, (10, 10 * u64::from(n)), (10, 10 * u64::from(n) + 10));
    let paused: Vec<_> = (0..20).flat_map(|n| turn(n, if n < 7 { n } else { n + 400 })).collect();
    let reader = read(&[&head[..], &paused].concat());
    let own = responses(&reader.observations).iter().filter(|(_, r)| !r.replayed).count();
    assert_eq!(own, 1);
}

#[test]
fn a_response_id_that_comes_again_is_another_response() {
    let again = |turn| record(OWN, turn, "same", 5);
    let reader = read(&[meta(OWN), again(TURN), again(TURN), again(TURN_2), again(TURN_2)]);
    let mut keys: Vec<_> = reader.observations.iter().map(|o| o.key).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 5);
}

#[test]
fn token_count_ends_with_the_first_record() {
    let lines = [
        meta(OWN),
        started(TURN),
        token_count(7, 7),
        started(TURN_2),
        record(OWN, TURN_2, "a", 8),
        token_count(8, 15),
        token_count(9, 24),
    ];
    let inputs: Vec<_> = outline(&lines).into_iter().map(|(n, _, _)| n).collect();
    assert_eq!(inputs, [7, 8]);
}

#[test]
fn a_torn_line_takes_its_neighbour_not_along() {
    let torn = record(OWN, TURN, "a", 1);
    let lines =
        [meta(OWN), format!("{}{}", &torn[..60], record(OWN, TURN, "b", 2)), "{".into(), "7".into(), String::new()];
    let reader = read(&lines);
    assert_eq!(responses(&reader.observations).len(), 1);
    assert_eq!(reader.counters["transcript.bad_line"], 3);
}

#[test]
fn lines_that_lost_the_end_between_them_are_all_read() {
    let text = [meta(OWN), context(TURN, "gpt-5.5"), record(OWN, TURN, "a", 1), record(OWN, TURN, "b", 2)].concat();
    let torn = text.clone() + &text[..40] + &record(OWN, TURN, "c", 3);
    for (text, inputs, bad) in [(text, &[1, 2][..], None), (torn, &[1, 2, 3], Some(&1))] {
        let reader = read(&[text]);
        let all: Vec<_> = responses(&reader.observations).iter().map(|(_, r)| r.usage.input).collect();
        assert_eq!((&all[..], reader.counters.get("transcript.bad_line")), (inputs, bad));
    }
}

#[test]
fn a_file_is_of_the_thread_that_it_begins_with_whatever_its_name() {
    let lines = [meta(OWN), started(TURN), context(TURN, "gpt-5.5"), token_count(7, 7)];
    let named = |name: &str, lines: &[String]| {
        let mut reader = Reader::new(ThreadId::new(name), State::default());
        lines.iter().for_each(|l| reader.line(l.as_bytes()));
        let all = responses(&reader.observations);
        all.iter().map(|(o, r)| (o.thread.to_string(), r.replayed)).collect::<Vec<_>>()
    };
    assert_eq!(named(TURN_2, &lines), [(OWN.to_string(), false)]);
    // Where the own head is torn, the name tells whose a copied head is not.
    let torn = [vec![meta(OWN)[..40].to_string(), meta(PARENT)], lines[1..].to_vec()].concat();
    assert_eq!(named(OWN, &torn), [(OWN.to_string(), false)]);
}

/// As `codex migrate-rollouts` writes the head of an older file (0.169).
fn migrated(id: &str, version: &str, rest: &str) -> String {
    let payload =
        format!(r#"{{"id":"{id}","session_id":"{id}","history_mode":"paginated","cli_version":"{version}"{rest}}}"#);
    line("session_meta", &payload)
}

fn item(turn: &str, id: &str) -> String {
    event("item_completed", &format!(r#","turn_id":"{turn}","item":{{"type":"UserMessage","id":"{id}"}}"#))
}

#[test]
fn a_migrated_file_says_what_it_said_before() {
    let keys = |lines: &[String]| {
        let mut keys: Vec<_> = read(lines).observations.iter().map(|o| (o.thread.clone(), o.key)).collect();
        keys.sort();
        keys
    };
    let later = |line: String| line.replace("02:30:38.000", "02:30:39.000");
    let old_context = line("turn_context", r#"{"model":"gpt-5-codex"}"#);
    let head = line("session_meta", &format!(r#"{{"id":"{OWN}","cli_version":"0.58.0"}}"#));
    let prompt = event("user_message", "");
    let was = [head, prompt, old_context.clone(), later(token_count(7, 7)), later(token_count(8, 15))];
    let is = [
        migrated(OWN, "0.58.0", ""),
        started("rollout-2"),
        item("rollout-2", "item-1"),
        old_context,
        later(token_count(7, 7)),
        event("task_complete", r#","turn_id":"rollout-2""#),
        started("rollout-9"),
        later(token_count(8, 15)),
    ];
    assert_eq!(keys(&is), keys(&was));
    // Turns that had ids keep them, and so has a subagent its parent.
    let spawned = format!(r#","source":{{"subagent":{{"thread_spawn":{{"parent_thread_id":"{PARENT}"}}}}}}"#);
    let reader = read(&[migrated(OWN, "0.107.0", &spawned)]);
    let Body::Meta(meta) = &reader.observations[0].body else { panic!() };
    assert_eq!((meta.session.as_ref(), meta.parent.as_ref()), (None, ThreadId::new(PARENT).as_ref()));
    // A version that cannot be told says of whose session its threads are.
    let review =
        migrated(OWN, "0.0.0", "").replace(&format!(r#""session_id":"{OWN}""#), &format!(r#""session_id":"{PARENT}""#));
    let Body::Meta(meta) = &read(&[review]).observations[0].body else { panic!() };
    assert_eq!(meta.session.as_ref(), ThreadId::new(PARENT).as_ref());
}

#[test]
fn what_a_migrated_fork_holds_of_its_parents_is_theirs() {
    let of = |head: String| {
        let lines =
            [head, started(OLD_TURN), token_count(7, 7), started(TURN), context(TURN, "gpt-5.5"), token_count(8, 15)];
        let reader = read(&lines);
        let all = responses(&reader.observations);
        all.iter().map(|(o, r)| (o.thread.to_string(), r.usage.input, r.replayed)).collect::<Vec<_>>()
    };
    let (copy, own) = ((PARENT.to_string(), 7, true), (OWN.to_string(), 8, false));
    assert_eq!(of(migrated(OWN, "0.145.0", &format!(r#","forked_from_id":"{PARENT}""#))), [copy, own.clone()]);
    assert_eq!(of(migrated(OWN, "0.114.0", "")), std::slice::from_ref(&own), "of a parent that is not named");
    // Turns without ids: what is written at once with the beginning is a copy.
    let second = line("turn_context", "{}").replace("38.000", "39.000");
    let lines = [
        migrated(OWN, "0.58.0", ""),
        started("rollout-4"),
        token_count(7, 7),
        token_count(9, 16),
        started("rollout-16"),
        second,
        token_count(8, 24).replace("38.000", "39.500"),
    ];
    let inputs: Vec<_> = outline(&lines).into_iter().map(|(n, _, _)| n).collect();
    assert_eq!(inputs, [8]);
}

/// The real transcripts, by their threads.
fn captures() -> Vec<(ThreadId, Vec<Vec<u8>>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/transcripts");
    let mut paths: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    let read = |path: &Path| {
        let lines = std::fs::read(path).unwrap().split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
        (thread_of_path(path.to_str().unwrap()).unwrap(), lines)
    };
    paths.iter().map(|p| read(p)).collect()
}

#[test]
fn reading_on_after_every_line_is_reading_at_once() {
    for (thread, lines) in captures() {
        let mut whole = Reader::new(Some(thread.clone()), State::default());
        lines.iter().for_each(|l| whole.line(l));
        let (mut observations, mut state) = (Vec::new(), String::from("{}"));
        for l in &lines {
            let mut part = Reader::new(Some(thread.clone()), serde_json::from_str(&state).unwrap());
            part.line(l);
            state = serde_json::to_string(part.state()).unwrap();
            observations.append(&mut part.observations);
        }
        assert_eq!(observations, whole.observations, "{thread}");
        assert_eq!(serde_json::from_str::<State>(&state).unwrap(), *whole.state(), "{thread}");
        assert!(whole.counters.is_empty(), "{thread}: {:?}", whole.counters);
    }
}

#[test]
fn the_form_of_a_line_does_not_matter() {
    for (thread, lines) in captures() {
        let mut usual = Reader::new(Some(thread.clone()), State::default());
        let mut unusual = Reader::new(Some(thread.clone()), State::default());
        for l in lines.iter().filter(|l| !l.trim_ascii().is_empty()) {
            usual.line(l);
            // A space at the start is enough for the whole line to be parsed.
            unusual.line(&[b"{ ", &l.trim_ascii_start()[1..]].concat());
        }
        assert_eq!(usual.observations, unusual.observations, "{thread}");
        assert_eq!(usual.counters, unusual.counters, "{thread}");
    }
}

#[test]
fn a_record_behind_a_torn_line_that_is_never_read_is_found() {
    let unread = line("response_item", r#"{"type":"message","content":[{"text":"some words"}]}"#);
    for end in 1..unread.len() {
        let torn = unread[..end].to_string() + &record(OWN, TURN, "a", 7);
        let reader = read(&[meta(OWN), torn]);
        let inputs: Vec<_> = responses(&reader.observations).iter().map(|(_, r)| r.usage.input).collect();
        assert_eq!(inputs, [7], "torn at {end}");
        assert_eq!(reader.counters.get("transcript.bad_line"), Some(&1), "torn at {end}");
    }
}

#[test]
fn long_texts_beside_what_is_read_change_nothing() {
    let item = |output: &str| {
        let item = format!(r#"{{"type":"CommandExecution","id":"c","aggregated_output":"{output}","exit_code":3}}"#);
        read(&[meta(OWN), started(TURN), event("item_completed", &format!(r#","turn_id":"{TURN}","item":{item}"#))])
    };
    let (short, long) = (item("x"), item(&r#"say \\ \"{}\" and \n"#.repeat(500)));
    assert_eq!(short.observations, long.observations);
    assert!(matches!(&long.observations.last().unwrap().body, Body::ToolCall(call) if call.exit_code == Some(3)));
    assert!(long.counters.is_empty());
}

#[test]
fn real_transcripts_hold_what_was_answered() {
    // Of versions that count with stale copies, with carried totals, once for each response, and beside records; a thread
    // that compacts on a change of model; a child that copied its parent's turn; a fork of a fork.
    let expected: [(&str, &[u64]); 9] = [
        ("01a1fbf9-23a9", &[12_001, 12_502, 12_803, 13_104]),
        ("01a1fbff-b94b", &[12_001, 12_502, 12_803, 13_104]),
        ("01a1fbf4-9be3", &[12_001, 12_502, 12_803, 13_104]),
        ("01a1fc01-3b91", &[12_001, 12_502, 12_803, 13_104]),
        ("01a1fbcc-7530", &[1_001, 1_002, 2_001, 2_002, 8_001, 64_001, 1]),
        ("01a1fbd5-ae5e", &[50_000, 60_000]),
        ("01a1fbf0-8d9a", &[1_001, 2_001, 8_001]),
        ("01a1fbf0-941b", &[1_001, 2_001, 4_001]),
        ("01a1fbf1-03eb", &[1_001, 2_001, 8_001, 32_001]),
    ];
    let all = captures();
    assert_eq!(all.len(), expected.len());
    for (start, inputs) in expected {
        let (thread, lines) = all.iter().find(|(t, _)| t.as_str().starts_with(start)).unwrap();
        let mut reader = Reader::new(Some(thread.clone()), State::default());
        lines.iter().for_each(|l| reader.line(l));
        let seen: Vec<_> = responses(&reader.observations).iter().map(|(_, r)| r.usage.input).collect();
        assert_eq!(seen, inputs, "{thread}");
        assert!(
            responses(&reader.observations).iter().all(|(_, r)| r.model.is_some() && r.usage != TokenUsage::default())
        );
    }
}
