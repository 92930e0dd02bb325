//! Threads that Codex starts itself: subagents, reviews, guardians.

use serde_json::{Value, json};

use super::{Rig, run, say, unlike};
use crate::real_codex::{check, rows};
use crate::support::Step;

/// The header of a request of a thread that another thread started.
const CHILD: &str = "x-codex-parent-thread-id:";

/// The other version of multi-agent, with and without the parent's history, and code mode in both threads.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run")]
fn subagents_of_the_second_version_count_once() {
    for fork_turns in ["all", "none"] {
        let spawn = json!({"task_name": "helper", "message": "CHILD-TASK say hi", "fork_turns": fork_turns});
        let rig = Rig::new(with_a_child(&spawn));
        let mut codex = rig.codex().model("gpt-5.6-terra");
        codex.exec(&["have someone do it"]);
        let report = rig.agrees(&json!({"hook+otlp+transcript": 6}));
        let [session] = rows(&report) else { panic!("one session for both threads: {report:#}") };
        check(session, &json!({"responses": 6, "team": "platform"}));
    }
}

fn with_a_child(spawn: &Value) -> Vec<Step> {
    let script = "const r = await tools.exec_command({cmd:\"echo hi\"}); text(r.output);";
    let code = |n: u64| Step::custom_tool_call(&format!("code_{n}"), "exec", script).usage(unlike(n));
    let wait = json!({"timeout_ms": 20_000});
    vec![
        code(1).when_not(CHILD),
        Step::namespaced_call("spawns", "collaboration", "spawn_agent", spawn).usage(unlike(2)).when_not(CHILD),
        code(3).when(CHILD),
        say(4).when(CHILD),
        Step::namespaced_call("waits", "collaboration", "wait_agent", &wait).usage(unlike(5)).when_not(CHILD),
        say(6).when_not(CHILD),
    ]
}

/// A child of another model that works in code mode, and a child of a child.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run")]
fn subagents_of_subagents_and_other_models_belong_to_the_root() {
    let spawn = |task: &str| json!({"message": task, "agent_type": "default"});
    let other = json!({"message": "TASK-OTHER", "agent_type": "default", "model": "gpt-6-luna"});
    let wait = json!({"targets": ["$AGENT"], "timeout_ms": 20_000});
    let call = |id: &str, name: &str, arguments: &Value| Step::namespaced_call(id, "multi_agent_v1", name, arguments);
    let script = "const r = await tools.exec_command({cmd:\"echo hi\"}); text(r.output);";
    let rig = Rig::new(vec![
        call("spawn_0", "spawn_agent", &other).usage(unlike(1)).when_not(CHILD),
        call("wait_0", "wait_agent", &wait).usage(unlike(2)).when_not(CHILD).quoting("$AGENT", "agent_id"),
        call("spawn_1", "spawn_agent", &spawn("TASK-ONE")).usage(unlike(3)).when_not(CHILD),
        call("wait_1", "wait_agent", &wait).usage(unlike(4)).when_not(CHILD).quoting("$AGENT", "agent_id"),
        say(5).when_not(CHILD),
        Step::custom_tool_call("code", "exec", script).usage(unlike(6)).when("TASK-OTHER"),
        say(7).when("TASK-OTHER"),
        run(8, "echo two").when("TASK-TWO").when_not("spawn_2"),
        say(9).when("TASK-TWO").when_not("spawn_2"),
        call("spawn_2", "spawn_agent", &spawn("TASK-TWO")).usage(unlike(10)).when("TASK-ONE"),
        call("wait_2", "wait_agent", &wait).usage(unlike(11)).when("TASK-ONE").quoting("$AGENT", "agent_id"),
        say(12).when("TASK-ONE"),
    ]);
    let mut codex = rig.codex().tables("[agents]\nmax_depth = 3\n");
    codex.exec(&["have someone do it"]);
    let report = rig.agrees(&json!({"hook+otlp+transcript": 12}));
    let [session] = rows(&report) else { panic!("one session: {report:#}") };
    check(session, &json!({"responses": 12, "team": "platform"}));
}

/// The thread of a review is part of the session that asked for it.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run")]
fn reviews_belong_to_their_session() {
    let findings = r#"{"findings":[],"overall_correctness":"patch is correct","overall_explanation":"ok","overall_confidence_score":0.9}"#;
    let rig = Rig::new(vec![
        run(1, "git status"),
        Step::message(findings).usage(unlike(2)),
        say(3),
        run(4, "git status"),
        Step::message(findings).usage(unlike(5)),
    ]);
    rig.repository();
    let mut codex = rig.codex();
    codex.exec(&["review", "--uncommitted"]);
    let mut app = codex.app_server();
    let thread = app.thread(&json!({"cwd": rig.env.work()}));
    app.turn(&thread, "first", &json!({}));
    app.call("review/start", &json!({"threadId": thread, "target": {"type": "uncommittedChanges"}}));
    assert_eq!(app.ended(&thread), "completed");
    app.close();
    let report = rig.agrees(&json!({"hook+otlp+transcript": 5}));
    assert_eq!(rows(&report).len(), 2);
}

/// The thread that decides on an escalation in the user's place. No hook runs in it, and its model has no list price.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run")]
fn guardians_belong_to_their_session() {
    let verdict = r#"{"risk_level":"low","user_authorization":"high","outcome":"allow","rationale":"fine"}"#;
    let asks = json!({"cmd": "touch ../outside", "sandbox_permissions": "require_escalated", "justification": "need"});
    let rig = Rig::new(vec![
        Step::function_call("asks", "exec_command", &asks).usage(unlike(1)),
        Step::message(verdict).usage(unlike(2)),
        say(3),
    ]);
    let mut codex = rig.codex();
    codex.exec(&["--approve-for-me", "touch it"]);
    let report = rig.agrees(&json!({"hook+otlp+transcript": 2, "otlp+transcript": 1}));
    let [session] = rows(&report) else { panic!("one session: {report:#}") };
    check(session, &json!({"responses": 3, "team": "platform"}));
}

/// Without transcripts a review has hooks that name the session alone, and telemetry that names the thread alone.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run")]
fn reviews_of_ephemeral_sessions_count_once() {
    let findings = r#"{"findings":[],"overall_correctness":"patch is correct","overall_explanation":"ok","overall_confidence_score":0.9}"#;
    let rig = Rig::new(vec![
        run(1, "git status"),
        Step::message(findings).usage(unlike(2)),
        say(3),
        Step::message(findings).usage(unlike(4)),
        say(5),
    ]);
    rig.repository();
    let mut codex = rig.codex();
    codex.exec(&["--ephemeral", "review", "--uncommitted"]);
    let mut app = codex.app_server();
    let thread = app.thread(&json!({"cwd": rig.env.work(), "ephemeral": true}));
    app.turn(&thread, "before", &json!({}));
    app.call("review/start", &json!({"threadId": thread, "target": {"type": "uncommittedChanges"}}));
    assert_eq!(app.ended(&thread), "completed");
    app.turn(&thread, "after", &json!({}));
    app.close();
    assert_eq!(rows(&rig.agrees(&json!({"hook+otlp": 5}))).len(), 2);
}

/// The threads of subagents of a session without transcripts.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run")]
fn subagents_of_ephemeral_sessions_count_once() {
    let spawn = json!({"task_name": "helper", "message": "CHILD-TASK say hi", "fork_turns": "none"});
    let rig = Rig::new(with_a_child(&spawn));
    rig.codex().model("gpt-5.6-terra").exec(&["--ephemeral", "have someone do it"]);
    assert_eq!(rows(&rig.agrees(&json!({"hook+otlp": 6}))).len(), 1);
}
