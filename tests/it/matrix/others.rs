//! Work that Codex does beside or between the user's turns, several clients at once, and odd providers and registrations.

use serde_json::json;

use super::{Rig, run, say, unlike};
use crate::real_codex::{check, rows};
use crate::support::{Step, eventually, truth};

/// A goal starts turns by itself until its budget is used up; a queued message starts one, and one steers a turn.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run")]
fn turns_that_nobody_typed_count_once() {
    let rig = Rig::new(vec![say(1), say(2), say(3), say(4), run(5, "touch begun; sleep 1"), say(6)]);
    let mut codex = rig.codex();
    codex.exec(&["first"]);
    let thread = codex.threads()[0].clone();
    codex.run(&["queue", "--thread", &thread, "--message", "queued"]);
    let mut app = codex.app_server();
    app.call("thread/resume", &json!({"threadId": thread}));
    assert_eq!(app.ended(&thread), "completed");
    app.call("thread/goal/set", &json!({"threadId": thread, "objective": "do it", "tokenBudget": 15_000}));
    assert_eq!([app.ended(&thread), app.ended(&thread)], ["completed", "completed"]);
    app.call("thread/goal/clear", &json!({"threadId": thread}));
    let turn = app.begin(&thread, "steered", &json!({}));
    // Earlier it would give up the response.
    eventually("the command runs", || rig.env.work().join("begun").exists());
    let input = json!([{"type": "text", "text": "otherwise"}]);
    app.call("turn/steer", &json!({"threadId": thread, "expectedTurnId": turn, "input": input}));
    assert_eq!(app.ended(&thread), "completed");
    app.close();
    rig.agrees(&json!({"hook+otlp+transcript": 6}));
}

/// Memories are written by a model in threads of which only the telemetry tells.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run")]
fn memories_are_in_the_telemetry_alone() {
    let rig = Rig::new((1..4).map(say).collect());
    let memories = "[features]\nmemories = true\n[memories]\nmin_rollout_idle_hours = 0\ngenerate_memories = true\n";
    // A client that ends while it writes memories fails them for an hour, so the one that ends at once writes none.
    rig.codex().exec(&["first"]);
    let mut app = rig.codex().tables(memories).app_server();
    let thread = app.thread(&json!({"cwd": rig.env.work()}));
    app.turn(&thread, "second", &json!({}));
    // What a client that ends has not read of an answer, it does not count.
    eventually("a memory is recorded", || truth::held(&rig.env.home()).len() == 3);
    app.close();
    rig.agrees(&json!({"hook+otlp+transcript": 2, "otlp": 1}));
}

/// A compaction that goes on while the turn does.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run")]
fn compactions_beside_a_turn_count_once() {
    let rig = Rig::new(vec![run(1, "echo 1"), say(2), say(3)]);
    let features = "[features]\nasync_compaction = true\n";
    let mut codex = rig.codex().setting("model_auto_compact_token_limit = 10150").tables(features);
    codex.exec(&["first"]);
    rig.agrees(&json!({"hook+otlp+transcript": 2, "otlp+transcript": 1}));
}

/// Two clients of one home; a third is refused the thread that another one writes.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run")]
fn clients_at_once_count_each_for_itself() {
    let rig = Rig::new(vec![say(1), say(2).slow(2_000), say(3).slow(500)]);
    let mut codex = rig.codex();
    codex.exec(&["first"]);
    let root = codex.threads()[0].clone();
    let go = ["exec", "--skip-git-repo-check"];
    let resumed = codex.start(&[&go[..], &["resume", &root, "second"]].concat());
    eventually("it writes", || rig.kinds().len() == 2);
    let forked = codex.start(&[&go[..], &["fork", &root, "third"]].concat());
    codex.exec_fails(&["resume", &root, "refused"]);
    assert_eq!([resumed.end().0, forked.end().0], [Some(true); 2]);
    rig.agrees(&json!({"hook+otlp+transcript": 3}));
}

/// A provider that gives all responses one id, and each the same tokens.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run")]
fn responses_of_one_id_and_the_same_tokens_stay_as_many_as_they_are() {
    let same = |step: Step| step.usage(unlike(1)).id("resp");
    let again = || same(Step::message("again"));
    let rig = Rig::new(vec![same(run(1, "echo 1")), same(run(2, "echo 2")), again(), again(), again(), again()]);
    let mut codex = rig.codex();
    codex.exec(&["first"]);
    let root = codex.threads()[0].clone();
    rig.agrees_so_far(&json!({"hook+otlp+transcript": 3}));
    codex.exec(&["resume", &root, "second"]);
    codex.exec(&["fork", &root, "third"]);
    codex.exec(&["resume", &root, "fourth"]);
    rig.agrees(&json!({"hook+otlp+transcript": 6}));
}

/// One hook in two places runs twice. Where no transcript tells that it was one response, it is one that is marked.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run")]
fn a_hook_registered_twice_counts_once() {
    let rig = Rig::new(vec![run(1, "echo 1"), say(2), say(3)]);
    let mut codex = rig.codex().hooked_twice();
    codex.exec(&["first"]);
    codex.exec(&["--ephemeral", "second"]);
    let report = rig.agrees_whatever_was_lost();
    let seen_by = json!({"hook+otlp+transcript": 2, "hook+otlp": 1});
    check(&report["coverage"], &json!({"ambiguous": 1, "responses_by_source": seen_by}));
    check(&rows(&report)[0], &json!({"prompts": 1, "tool_calls": 1}));
}
