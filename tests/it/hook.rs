//! The hook process, as Codex runs it: always exit 0, never a word, nothing of the content on disk, and no line lost.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::support::capture::{entries, files};
use crate::support::codex::EVENTS;
use crate::support::env::{HOOK, Output};
use crate::support::{Capture, TestEnv};

const UNKNOWN: [&str; 3] = ["Notification", "StopFailure", "Ωmega event"];

/// Every field of a payload that is looked at, and some that are not.
const FIELDS: [&str; 17] = [
    "turn_id",
    "agent_id",
    "transcript_path",
    "agent_transcript_path",
    "cwd",
    "hook_event_name",
    "model",
    "source",
    "status",
    "tool_name",
    "tool_use_id",
    "tool_input",
    "tool_response",
    "token_usage",
    "prompt",
    "error",
    "permission_mode",
];

/// The hook under its two names.
fn programs(env: &TestEnv) -> [Command; 2] {
    [env.command(HOOK), env.tally(&["hook"])]
}

#[track_caller]
fn silent(output: Output) {
    let output = output.ok();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""), "{output}");
}

#[track_caller]
fn send(env: &TestEnv, payload: impl AsRef<[u8]>) {
    for program in programs(env) {
        silent(Output::fed(program, payload.as_ref()));
    }
}

/// The lines of the spool, every one of which must be whole.
fn spool(home: &Path) -> Vec<Value> {
    let text = |path: PathBuf| String::from_utf8(std::fs::read(path).unwrap()).unwrap();
    let all: String = entries(&home.join("spool")).into_iter().map(text).collect();
    all.lines().filter(|l| !l.is_empty()).map(|l| serde_json::from_str(l).unwrap()).collect()
}

fn unreadable(env: &TestEnv) -> Value {
    let _ = env.run(&["sync"]).ok();
    env.run(&["report", "monthly", "--format", "json"]).ok().json()["coverage"]["unreadable"].clone()
}

/// Whether a text stands in any file below a folder.
fn anywhere(folder: &Path, text: &str) -> Option<PathBuf> {
    let holds = |bytes: Vec<u8>| bytes.windows(text.len()).any(|w| w == text.as_bytes());
    files(folder).into_iter().find(|path| holds(std::fs::read(path).unwrap()))
}

#[test]
fn every_event_is_kept_and_unknown_ones_are_counted() {
    let env = TestEnv::new();
    for event in EVENTS.iter().chain(&UNKNOWN) {
        send(&env, json!({"session_id": "s", "turn_id": "t", "hook_event_name": event}).to_string());
    }
    let kept: Vec<_> = spool(&env.home()).iter().map(|line| line["event"].as_str().unwrap().to_owned()).collect();
    let sent: Vec<_> = EVENTS.iter().chain(&UNKNOWN).flat_map(|e| [e.to_string(), e.to_string()]).collect();
    assert_eq!(kept, sent);
    assert_eq!(unreadable(&env), json!({"hook.unknown_event": 2 * UNKNOWN.len()}));
}

#[test]
fn what_cannot_be_read_is_counted_and_shown() {
    let env = TestEnv::new();
    let event = json!({"session_id": "s", "hook_event_name": "Stop", "cwd": "/x"}).to_string();
    let large = json!({"session_id": "s", "hook_event_name": "Stop", "tool_response": "x".repeat(20 << 20)});
    let deep = |n: usize| "[".repeat(n) + &"]".repeat(n);
    let bad: [(Vec<u8>, &str); 11] = [
        (b"".into(), "hook.empty"),
        (b" \r\n\t ".into(), "hook.empty"),
        (b"not JSON".into(), "hook.malformed"),
        (event.as_bytes()[..event.len() - 3].into(), "hook.malformed"),
        (format!("{event}{event}").into(), "hook.malformed"),
        ((0..=255).collect(), "hook.malformed"),
        (b"\"text\"".into(), "hook.malformed"),
        (b"{}".into(), "hook.no_session"),
        (b"{\"session_id\":7,\"hook_event_name\":\"Stop\"}".into(), "hook.no_session"),
        (deep(100_000)[..100_000].into(), "hook.malformed"),
        (large.to_string().into(), "hook.too_large"),
    ];
    let mut wanted: BTreeMap<&str, u64> = BTreeMap::new();
    for (payload, why) in bad {
        send(&env, payload);
        *wanted.entry(why).or_default() += 2;
    }
    assert_eq!(unreadable(&env), json!(wanted));
}

#[test]
fn strange_payloads_are_read_all_the_same() {
    let env = TestEnv::new();
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let nested = format!(r#"{{"session_id":"s","tool_input":{{"a":{deep}}},"hook_event_name":"PreToolUse"}}"#);
    let bytes = br#"{"session_id":"s","prompt":""#.iter().chain(b"\xff\xfe").chain(br#"","hook_event_name":"Stop"}"#);
    let large = json!({"session_id": "s", "hook_event_name": "Stop", "tool_response": "x".repeat(4 << 20)});
    send(&env, nested);
    send(&env, bytes.copied().collect::<Vec<u8>>());
    send(&env, large.to_string());
    let mut sent = 6;
    for field in FIELDS {
        for value in [json!(null), json!(true), json!(-1), json!(1.5), json!("text"), json!([[]]), json!({"a": {}})] {
            let mut payload = json!({"session_id": "s", "hook_event_name": "PostModelRequest"});
            payload[field] = value;
            silent(env.hook(payload.to_string()));
            sent += 1;
        }
    }
    let lines = spool(&env.home());
    assert_eq!(lines.len(), sent);
    assert_eq!(lines.iter().find(|l| l["session"] != json!("s") || l.get("bad").is_some()), None);
    // Of the names of events, those that are other texts than a known one are told.
    assert_eq!(unreadable(&env), json!({"hook.unknown_event": 7}));
}

#[test]
fn an_unusable_home_is_nobodys_trouble() {
    let env = TestEnv::new();
    let payload = json!({"session_id": "s", "hook_event_name": "Stop"}).to_string();
    let file = env.root().join("file");
    std::fs::write(&file, "mine").unwrap();
    let dangling = env.root().join("dangling");
    symlink(env.root().join("nowhere"), &dangling).unwrap();
    for home in [file.clone(), file.join("below"), dangling, "/proc/nowhere".into(), "".into()] {
        for mut program in programs(&env) {
            program.env("CODEX_TALLY_HOME", &home).env("HOME", &file);
            silent(Output::fed(program, payload.as_bytes()));
        }
    }
    for mut program in programs(&env) {
        program.env_clear();
        silent(Output::fed(program, payload.as_bytes()));
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
    assert!(!env.root().join("nowhere").exists());
    assert_eq!(entries(&env.work()), [] as [PathBuf; 0], "nothing in the folder that it ran in");
}

#[test]
fn links_in_the_place_of_the_spool_are_not_followed() {
    let payload = json!({"session_id": "s", "hook_event_name": "Stop"}).to_string();
    let env = TestEnv::new();
    let elsewhere = env.root().join("elsewhere");
    std::fs::create_dir_all(&elsewhere).unwrap();
    std::fs::create_dir_all(env.home()).unwrap();
    symlink(&elsewhere, env.home().join("spool")).unwrap();
    send(&env, &payload);
    assert_eq!(entries(&elsewhere), [] as [PathBuf; 0]);

    let env = TestEnv::new();
    silent(env.hook(&payload));
    let [day] = entries(&env.home().join("spool")).try_into().unwrap();
    let target = env.root().join("target");
    std::fs::write(&target, "mine").unwrap();
    std::fs::remove_file(&day).unwrap();
    symlink(&target, &day).unwrap();
    send(&env, &payload);
    assert_eq!(std::fs::read(&target).unwrap(), b"mine");
    std::fs::remove_file(&day).unwrap();
    std::fs::hard_link(&target, &day).unwrap();
    send(&env, &payload);
    assert_eq!(std::fs::read(&target).unwrap(), b"mine");
}

#[test]
fn switched_off_it_writes_nothing() {
    let env = TestEnv::new();
    let payload = json!({"session_id": "s", "hook_event_name": "Stop"}).to_string();
    for mut program in programs(&env) {
        program.env("CODEX_TALLY_OFF", "1");
        silent(Output::fed(program, payload.as_bytes()));
    }
    assert!(!env.home().exists());
    std::fs::create_dir_all(env.home()).unwrap();
    std::fs::write(env.home().join("off"), "").unwrap();
    send(&env, &payload);
    assert_eq!(entries(&env.home()), [env.home().join("off")]);
    std::fs::remove_file(env.home().join("off")).unwrap();
    send(&env, &payload);
    assert_eq!(spool(&env.home()).len(), 2);
}

#[test]
fn closed_streams_do_not_reach_the_spool() {
    let env = TestEnv::new();
    let payload = json!({"session_id": "s", "hook_event_name": "Stop"}).to_string();
    for program in [HOOK, concat!(env!("CARGO_BIN_EXE_codex-tally"), " hook")] {
        for closed in [">&-", "2>&-", ">&- 2>&-", ">&- 2>&- <&-"] {
            let mut command = env.command("sh");
            command.args(["-c", &format!("exec {program} {closed}")]);
            silent(Output::fed(command, payload.as_bytes()));
        }
    }
    // Without a stdin there is no payload, and that is what is told.
    let bad = spool(&env.home()).iter().filter(|l| l["bad"] == json!("empty")).count();
    assert_eq!((spool(&env.home()).len(), bad), (8, 2));
}

#[test]
fn content_stays_out_of_every_file() {
    const CANARY: &str = "canary-5b0f";
    const SECRET: &str = "secret-77d1";
    let env = TestEnv::new();
    let content = ["prompt", "tool_input", "tool_response", "last_assistant_message", "error", "reason", "new_field"];
    for payload in Capture::named("11_model_request_hooks").hooks(&env) {
        let mut payload: Value = serde_json::from_str(&payload).unwrap();
        for name in content {
            payload[name] = json!({"text": CANARY, CANARY: [CANARY]});
        }
        for text in [json!(CANARY), payload["prompt"].clone()] {
            payload["prompt"] = text;
            for mut program in programs(&env) {
                program.env("AWS_SECRET_ACCESS_KEY", SECRET).env("CODEX_TALLY_TOKEN", SECRET);
                program.env("CODEX_TALLY_TEAM", "team-of-the-test");
                silent(Output::fed(program, payload.to_string().as_bytes()));
            }
        }
    }
    assert!(anywhere(&env.home(), "team-of-the-test").is_some(), "what is on the list is kept");
    let _ = env.run(&["sync"]).ok();
    let _ = env.run(&["report", "monthly"]).ok();
    assert!(env.home().join("tally.db").exists());
    for text in [CANARY, SECRET] {
        assert_eq!(anywhere(&env.home(), text), None);
    }
}

#[test]
fn everything_is_private_whatever_the_umask() {
    let env = TestEnv::new();
    for program in [format!("exec {HOOK}"), format!("exec {} sync", env!("CARGO_BIN_EXE_codex-tally"))] {
        let mut command = env.command("sh");
        command.args(["-c", &format!("umask 0; {program}")]);
        let _ = Output::fed(command, br#"{"session_id":"s","hook_event_name":"Stop"}"#).ok();
    }
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    let found = files(&env.home());
    assert!(found.iter().any(|f| f.ends_with("tally.db")) && found.len() >= 2, "{found:?}");
    for file in found {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
        let mut folder = file.parent().unwrap();
        while folder != env.root() {
            assert_eq!(mode(folder), 0o700, "{}", folder.display());
            folder = folder.parent().unwrap();
        }
    }
}

#[test]
fn many_hooks_at_once_with_a_reader_lose_nothing() {
    const HOOKS: u64 = 64;
    let env = TestEnv::new();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let _ = env.run(&["sync"]).ok();
            }
        });
        let start = |n: u64| {
            let [hook, tally] = programs(&env);
            let mut program = if n.is_multiple_of(2) { hook } else { tally };
            program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            program.spawn().unwrap()
        };
        // All of them run before the first gets its payload.
        let mut children: Vec<_> = (0..HOOKS).map(start).collect();
        for (child, n) in children.iter_mut().zip(0..) {
            let payload = json!({
                "session_id": format!("session-{}", n % 8), "turn_id": format!("turn-{n}"), "model": "gpt-5.5",
                "hook_event_name": "PostModelRequest", "status": "completed",
                "token_usage": {"input_tokens": 1u64 << (n % 32), "output_tokens": n},
            });
            std::io::Write::write_all(&mut child.stdin.take().unwrap(), payload.to_string().as_bytes()).unwrap();
        }
        for child in children {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success() && output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
        }
        done.store(true, Ordering::Relaxed);
    });
    let report = env.run(&["report", "session", "--format", "json"]).ok().json();
    let totals = &report["totals"];
    let output: u64 = (0..HOOKS).sum();
    assert_eq!(totals["responses"], HOOKS);
    assert_eq!((&totals["input_tokens"], &totals["output_tokens"]), (&json!(2 * u32::MAX as u64), &json!(output)));
    assert_eq!(report["coverage"]["unreadable"], json!({}));
}
