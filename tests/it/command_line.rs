//! What users do to a command line, and what it must not do to them.

use crate::support::TestEnv;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

const THREAD: &str = "01a0a000-0000-7000-8000-000000000001";

fn line(time: &str, kind: &str, payload: Value) -> String {
    json!({"timestamp": time, "type": kind, "payload": payload}).to_string() + "\n"
}

/// A transcript of one session with a response in October, a tool call in November, and both in December.
fn transcript(env: &TestEnv) -> PathBuf {
    let response = |time: &str, turn: &str, id: &str| {
        let usage = json!({"input_tokens": 1000, "cached_input_tokens": 0, "output_tokens": 10});
        line(
            time,
            "token_usage_record",
            json!({"thread_id": THREAD, "turn_id": turn, "response_id": id, "usage": usage}),
        )
    };
    let tool = |time: &str, turn: &str, id: &str| {
        let item = json!({"type": "CommandExecution", "id": id, "status": "failed", "exit_code": 1});
        line(time, "event_msg", json!({"type": "item_completed", "turn_id": turn, "item": item}))
    };
    let turn = |time: &str, turn: &str| {
        line(time, "turn_context", json!({"turn_id": turn, "model": "gpt-5.5"}))
            + &line(time, "event_msg", json!({"type": "task_started", "turn_id": turn}))
    };
    let meta = json!({"id": THREAD, "session_id": THREAD, "source": "exec", "originator": "codex_exec",
        "cwd": "/src/api", "model_provider": "mock"});
    let text = [
        line("2026-10-05T10:00:00Z", "session_meta", meta),
        turn("2026-10-05T10:00:00Z", "first"),
        response("2026-10-05T10:00:01Z", "first", "r1"),
        tool("2026-11-05T10:00:00Z", "first", "c1"),
        turn("2026-12-05T10:00:00Z", "second"),
        response("2026-12-05T10:00:01Z", "second", "r2"),
        tool("2026-12-05T10:00:02Z", "second", "c2"),
    ];
    let path = env.scratch().join(format!("rollout-2026-10-05T10-00-00-{THREAD}.jsonl"));
    std::fs::write(&path, text.concat()).unwrap();
    path
}

fn imported() -> TestEnv {
    let env = TestEnv::new();
    let path = transcript(&env);
    let _ = env.run(&["import", path.to_str().unwrap()]).ok();
    env
}

#[test]
fn a_session_counts_in_each_period_what_it_did_there() {
    let env = imported();
    let of = |period: &str| {
        let report = env.run(&["report", "session", "-p", period, "--no-import", "--format", "json"]).ok().json();
        let row = report["rows"][0].clone();
        ["turns", "responses", "tool_calls", "tool_failures"].map(|field| row[field].as_u64().unwrap())
    };
    assert_eq!(of("2026-10"), [1, 1, 0, 0]);
    assert_eq!(of("2026-11"), [0, 0, 1, 1]);
    assert_eq!(of("2026-12"), [1, 1, 1, 1]);
    let none = env.run(&["report", "session", "-p", "2027-01", "--no-import", "--format", "json"]).ok().json();
    assert_eq!(none["rows"], json!([]));
    assert_eq!(none["totals"]["list_usd"], "0.000000000000", "of nothing at all the cost is 0");
}

#[test]
fn a_row_without_responses_has_no_amount() {
    let env = imported();
    let report = env.run(&["report", "monthly", "-p", "2026-11", "--no-import", "--format", "json"]).ok().json();
    let row = &report["rows"][0];
    assert_eq!((&row["responses"], &row["tool_calls"]), (&json!(0), &json!(1)));
    assert_eq!((&row["list_usd"], &row["chatgpt_credits"]), (&Value::Null, &Value::Null));
    let csv = env.run(&["report", "monthly", "-p", "2026-11", "--no-import", "--format", "csv"]).ok().stdout;
    assert!(csv.lines().nth(1).unwrap().contains(",0,,,,0"), "{csv}");
}

#[test]
fn rows_add_up_to_the_totals_in_every_grouping() {
    let env = imported();
    for by in ["team", "project,user", "model,tier,channel", "session", "tool", "client,cost_centre"] {
        let report = env.run(&["report", "daily", "--by", by, "--no-import", "--format", "json"]).ok().json();
        for field in ["responses", "tool_calls", "input_tokens", "output_tokens", "total_tokens", "unpriced_tokens"] {
            let sum: u64 = report["rows"].as_array().unwrap().iter().map(|r| r[field].as_u64().unwrap()).sum();
            assert_eq!(report["totals"][field], sum, "{field} by {by}");
        }
        assert_eq!(report["totals"]["list_usd"], "0.010600000000", "{by}");
    }
}

#[test]
fn out_leaves_links_and_pipes_what_they_are() {
    let env = imported();
    let (target, link) = (env.scratch().join("target.csv"), env.scratch().join("link.csv"));
    std::fs::write(&target, "old").unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let out = |path: &PathBuf| {
        env.run(&["report", "monthly", "--no-import", "--format", "csv", "--out", path.to_str().unwrap()]).ok()
    };
    let _ = out(&link);
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(std::fs::read_to_string(&target).unwrap().starts_with("period,"));
    let _ = env.run(&["report", "monthly", "--no-import", "--out", "/dev/null"]).ok();
    use std::os::unix::fs::FileTypeExt;
    assert!(std::fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    let missing = env.run(&["report", "monthly", "--no-import", "--out", "nowhere/x.csv"]).fails(1);
    assert!(missing.stderr.contains("cannot write nowhere/x.csv") && !missing.stderr.contains(".tmp"), "{missing}");
}

#[test]
fn a_folder_that_was_there_is_not_changed_and_must_be_private() {
    let env = TestEnv::new();
    let home = env.scratch().join("shared-home");
    std::fs::create_dir(&home).unwrap();
    let mode = || std::fs::metadata(&home).unwrap().permissions().mode() & 0o7777;
    std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o1777)).unwrap();
    let refused = env.run(&["--home", home.to_str().unwrap(), "sync"]).fails(1);
    assert!(refused.stderr.contains("chmod 700"), "{refused}");
    assert_eq!((mode(), std::fs::read_dir(&home).unwrap().count()), (0o1777, 0));
    std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o755)).unwrap();
    let _ = env.run(&["--home", home.to_str().unwrap(), "sync"]).ok();
    assert_eq!(mode(), 0o755);
}

#[test]
fn the_hook_takes_its_home_in_both_forms() {
    let env = TestEnv::new();
    for form in ["--home=", "--home"] {
        let home = env.scratch().join(format!("home{}", form.len()));
        let mut hook = env.command(crate::support::env::HOOK);
        match form.strip_suffix('=') {
            Some(_) => hook.arg(format!("--home={}", home.display())),
            None => hook.arg("--home").arg(&home),
        };
        let payload = br#"{"session_id":"s","hook_event_name":"Stop"}"#;
        let _ = crate::support::env::Output::fed(hook, payload).ok();
        assert!(home.join("spool").is_dir(), "{form}");
    }
}

#[test]
fn a_damaged_store_says_which_and_what_to_do() {
    let env = imported();
    std::fs::write(
        env.home().join("tally.db"),
        "this is no database, but long enough to look at its first page ".repeat(40),
    )
    .unwrap();
    let failed = env.run(&["report", "monthly"]).fails(1);
    assert!(failed.stderr.contains("tally.db") && failed.stderr.contains("move it away"), "{failed}");
}

#[test]
fn foreign_names_cannot_command_a_terminal() {
    let env = TestEnv::new();
    let path = transcript(&env);
    let text = std::fs::read_to_string(&path).unwrap().replace("/src/api", "\\u001b]52;c;eA==\\u0007/\\u202e=cmd()");
    std::fs::write(&path, text).unwrap();
    let _ = env.run(&["import", path.to_str().unwrap()]).ok();
    for args in
        [&["report", "monthly"][..], &["report", "session"], &["show", "last"], &["report", "daily", "--format", "csv"]]
    {
        let out = env.run(&[args, &["--no-import"][..]].concat()).ok();
        let bad = |c: char| (c.is_control() && c != '\n' && c != '\r') || c == '\u{202e}';
        assert!(!out.stdout.chars().any(bad) && !out.stderr.chars().any(bad), "{args:?}: {:?}", out.stdout);
    }
}

#[test]
fn findings_are_named_and_exit_1() {
    let env = imported();
    let found = env.run(&["report", "monthly", "--no-import", "--fail-on", "unattributed,unpriced"]).fails(1);
    assert!(found.stderr.contains("--fail-on: 2 responses have no team"), "{found}");
    let _ = env.run(&["report", "monthly", "--no-import", "--fail-on", "unpriced,stale"]).ok();
    let _ = env.run(&["report", "daily", "--since", "2026-12-01", "--until", "2026-11-01"]).fails(2);
    let _ = env.run(&["report", "daily", "--by", "model,model"]).fails(2);
}

#[test]
fn enormous_durations_break_no_report() {
    let env = TestEnv::new();
    let server = env.serve(&["--auth", "none"]);
    let record = |n: u64| {
        let text = |k: &str, v: &str| json!({"key": k, "value": {"stringValue": v}});
        json!({"observedTimeUnixNano": n.to_string(), "attributes": [
            text("event.name", "codex.tool_result"), text("conversation.id", THREAD), text("call_id", &n.to_string()),
            text("tool_name", "exec_command"), text("duration_ms", "18446744073709551615")]})
    };
    let records = [record(1_795_225_137_000_000_001), record(1_795_225_137_000_000_002)];
    let body = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}).to_string();
    let address = ([127, 0, 0, 1], server.port()).into();
    let headers = [("content-type", "application/json")];
    let answer = crate::support::client::call(address, "POST", "/v1/logs", &headers, body.as_bytes());
    assert_eq!(answer.status, 200);
    let _ = env.run(&["report", "monthly", "--by", "tool"]).ok();
    let _ = env.run(&["report", "session"]).ok();
}

#[test]
fn shells_and_manuals_know_every_command() {
    let env = TestEnv::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = env.run(&["completions", shell]).ok().stdout;
        assert!(script.contains("chargeback") && script.contains("no-import"), "{shell}");
    }
    let folder = env.work().join("man1");
    let _ = env.run(&["man", "--out", folder.to_str().unwrap()]).ok();
    for page in ["codex-tally", "codex-tally-report-monthly", "codex-tally-ledger-seal", "codex-tally-serve"] {
        let text = std::fs::read_to_string(folder.join(format!("{page}.1"))).unwrap();
        assert!(text.contains(".SH SYNOPSIS") && text.contains("Example"), "{page}");
    }
}

#[test]
fn colours_and_talk_are_the_users_choice() {
    let env = TestEnv::new();
    let plain = env.run(&["prices", "list"]).ok().stdout;
    assert!(!plain.contains('\x1b'), "no terminal, no colours");
    let colourful = env.run(&["prices", "list", "--color", "always"]).ok().stdout;
    let stripped =
        ["\x1b[0m", "\x1b[1m", "\x1b[31m", "\x1b[33m"].iter().fold(colourful.clone(), |t, c| t.replace(c, ""));
    assert_eq!(stripped, plain);
    assert!(colourful.contains("\x1b[1m"));
    // A CSV is for machines, whatever was asked for.
    let csv = env.run(&["report", "monthly", "--format", "csv", "--color", "always"]).ok();
    assert!(!csv.stdout.contains('\x1b') && csv.stderr.contains("seen by"), "{csv}");
    let quiet = env.run(&["--quiet", "report", "monthly", "--format", "csv"]).ok();
    assert_eq!(quiet.stderr, "");
    let wrong = env.run(&["-q", "show", "nothing"]).fails(1);
    assert!(wrong.stderr.starts_with("error:"), "errors are always said: {wrong}");
}
