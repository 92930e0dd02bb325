//! Turns, resumes, forks and forks of forks; where the transcripts go later.

use serde_json::{Value, json};

use super::{Rig, run, say};
use crate::real_codex::{check, rows};
use crate::support::{Step, TestEnv};

#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run")]
fn forks_of_forks_count_their_own_responses_only() {
    let rig = Rig::new([vec![run(1, "echo 1"), say(2)], (3..8).map(say).collect()].concat());
    let mut codex = rig.codex();
    codex.exec(&["first"]);
    let root = codex.threads()[0].clone();
    codex.exec(&["fork", &root, "second"]);
    let fork = codex.threads()[1].clone();
    codex.exec(&["resume", &root, "third"]);
    codex.exec(&["fork", &fork, "fourth"]);
    codex.exec(&["resume", &fork, "fifth"]);
    codex.exec(&["resume", &root, "-m", "gpt-5.4", "sixth"]);
    let report = rig.agrees(&json!({"hook+otlp+transcript": 7}));
    assert_eq!(rows(&report).len(), 3);
}

/// Forks in the middle of a thread, a thread that is taken back to an earlier turn, and one that is stopped in a turn.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run")]
fn threads_of_an_editor_fork_and_turn_back() {
    let rig = Rig::new([vec![run(1, "echo 1")], (2..9).map(say).collect()].concat());
    let mut codex = rig.codex();
    let mut app = codex.app_server();
    let thread = app.thread(&json!({"cwd": rig.env.work()}));
    app.turn(&thread, "first", &json!({}));
    let second = app.begin(&thread, "second", &json!({}));
    app.ended(&thread);
    app.turn(&thread, "third", &json!({}));
    let fork = |app: &mut crate::support::app_server::AppServer, params: Value| {
        app.call("thread/fork", &params)["thread"]["id"].as_str().unwrap().to_owned()
    };
    let middle = fork(&mut app, json!({"threadId": thread, "lastTurnId": second}));
    app.turn(&middle, "from the middle", &json!({}));
    let passing = fork(&mut app, json!({"threadId": middle, "ephemeral": true, "excludeTurns": true}));
    app.turn(&passing, "in passing", &json!({}));
    app.call("thread/revert", &json!({"threadId": thread, "beforeTurnId": second}));
    app.turn(&thread, "second again", &json!({}));
    app.turn(&middle, "on in the middle", &json!({}));
    app.close();
    let report = rig.agrees(&json!({"hook+otlp+transcript": 7, "hook+otlp": 1}));
    assert_eq!(rows(&report).len(), 3);
}

/// Codex tells the last counts again after an error: also in the new file of a fork, and of a thread that was taken back.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run")]
fn counts_that_a_new_file_repeats_are_not_new() {
    let rig = Rig::new(vec![
        run(1, "echo 1"),
        say(2),
        Step::http_error(400),
        say(3).failed("server_error", "no"),
        say(4),
        Step::http_error(400),
        say(5).failed("server_error", "no"),
        say(6),
        Step::http_error(400),
        say(7),
    ]);
    let mut codex = rig.codex();
    codex.exec(&["first"]);
    let root = codex.threads()[0].clone();
    codex.exec_fails(&["fork", &root, "second"]);
    codex.exec_fails(&["resume", "--last", "third"]);
    codex.exec(&["resume", "--last", "fourth"]);
    let mut app = codex.app_server();
    app.call("thread/resume", &json!({"threadId": root}));
    let turn = app.begin(&root, "fifth", &json!({}));
    assert_eq!(app.ended(&root), "failed");
    app.call("thread/revert", &json!({"threadId": root, "beforeTurnId": turn}));
    app.begin(&root, "sixth", &json!({}));
    assert_eq!(app.ended(&root), "failed");
    app.turn(&root, "seventh", &json!({}));
    app.close();
    codex.exec_fails(&["resume", &root, "eighth"]);
    codex.exec(&["resume", &root, "ninth"]);
    rig.agrees(&json!({"hook+otlp+transcript": 5}));
}

/// What was counted stays counted, wherever its transcript goes.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run")]
fn archived_compressed_and_deleted_transcripts_stay_counted() {
    let rig = Rig::without_sink((1..6).map(say).collect());
    let mut codex = rig.codex();
    for prompt in ["archived", "compressed", "deleted"] {
        codex.exec(&[prompt]);
    }
    let threads = codex.threads();
    codex.run(&["archive", &threads[0]]);
    compress(&rig.env, &threads[1]);
    // Read for the first time only here: an archived and a compressed transcript are found.
    rig.agrees_so_far(&json!({"hook+transcript": 3}));
    codex.run(&["delete", "--force", &threads[2]]);
    codex.run(&["unarchive", &threads[0]]);
    codex.exec(&["resume", &threads[0], "unarchived"]);
    codex.exec(&["resume", &threads[1], "uncompressed"]);
    rig.agrees(&json!({"hook+transcript": 5}));
}

/// As Codex's own compression does.
fn compress(env: &TestEnv, thread: &str) {
    let files = crate::support::capture::files(&env.codex_home().join("sessions"));
    let plain = files.iter().find(|path| path.to_string_lossy().contains(thread)).unwrap();
    let packed = zstd::stream::encode_all(&std::fs::read(plain).unwrap()[..], 3).unwrap();
    std::fs::write(plain.with_extension("jsonl.zst"), packed).unwrap();
    std::fs::remove_file(plain).unwrap();
}

/// A fork's file holds what its parent's held, so that a lost parent is not lost.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run")]
fn an_ephemeral_session_is_in_hooks_and_telemetry() {
    let rig = Rig::new(vec![run(1, "echo 1"), say(2)]);
    rig.codex().exec(&["--ephemeral", "first"]);
    let report = rig.agrees(&json!({"hook+otlp": 2}));
    let [session] = rows(&report) else { panic!("one session: {report:#}") };
    check(session, &json!({"turns": 1, "prompts": 1, "tool_calls": 1, "team": "platform"}));
}
