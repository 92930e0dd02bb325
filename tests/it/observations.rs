//! `observations export|import`: one machine's observations reach another store exactly once, or the user is told.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::env::Output;
use crate::support::{Capture, Feed, TestEnv};

/// Hooks, subagents, a ChatGPT login, and a session that only telemetry saw.
const CAPTURES: [&str; 4] = ["01_http_json", "03_subagent_v1", "10_auth_chatgpt", "11_pmr_subagent"];

fn machine(feeds: &[Feed]) -> TestEnv {
    let env = TestEnv::new();
    CAPTURES.iter().for_each(|name| Capture::named(name).replay(&env, feeds));
    let _ = env.run(&["sync"]).ok();
    env
}

/// The report, without what only the reading machine knows: the input that it could not read.
fn report(env: &TestEnv, name: &str) -> String {
    let mut report = env.run(&["report", name, "--format", "json", "--no-import"]).ok().json();
    report["coverage"]["unreadable"] = Value::Null;
    report.to_string()
}

fn export(env: &TestEnv, name: &str) -> PathBuf {
    let file = env.work().join(name);
    let _ = env.run(&["observations", "export", name]).ok();
    file
}

fn import(env: &TestEnv, file: &Path) -> Output {
    env.run(&["observations", "import", file.to_str().unwrap()])
}

fn said(output: &Output, text: &str) {
    assert!(output.stderr.contains(text), "expected `{text}`:\n{output}");
}

#[test]
fn a_ledger_moves_as_it_is_and_only_once() {
    let from = machine(&[Feed::Hooks, Feed::Otlp, Feed::Transcripts]);
    for name in ["all.jsonl", "all.jsonl.zst"] {
        let file = export(&from, name);
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let to = TestEnv::new();
        let first = import(&to, &file).ok();
        assert!(!first.stderr.starts_with("0 new"), "{first}");
        for report_name in ["monthly", "session"] {
            assert_eq!(report(&from, report_name), report(&to, report_name), "{name}");
        }
        let copy = export(&to, "again.jsonl");
        assert_eq!(std::fs::read(copy).unwrap(), std::fs::read(export(&from, "all.jsonl")).unwrap());
        let again = import(&to, &file).ok();
        said(&again, "0 new observations");
        assert_eq!(report(&from, "monthly"), report(&to, "monthly"));
    }
}

#[test]
fn halves_of_two_machines_are_one_ledger_in_any_order() {
    let whole = machine(&[Feed::Hooks, Feed::Otlp, Feed::Transcripts]);
    let halves = [machine(&[Feed::OtlpTwice]), machine(&[Feed::Transcripts, Feed::Hooks])];
    let files = halves.each_ref().map(|env| export(env, "half.jsonl.zst"));
    for order in [[0, 1, 0], [1, 0, 1]] {
        let to = TestEnv::new();
        for i in order {
            let _ = import(&to, &files[i]).ok();
        }
        assert_eq!(report(&to, "monthly"), report(&whole, "monthly"), "{order:?}");
    }
}

#[test]
fn a_pipe_is_a_file() {
    let (from, to) = (machine(&[Feed::Transcripts]), TestEnv::new());
    let out = from.run(&["observations", "export", "-", "--no-import"]).ok();
    assert!(out.stdout.starts_with("{\"format\":\"codex-tally observations\",\"version\":1}\n"), "{out}");
    let _ = Output::fed(to.tally(&["observations", "import", "-"]), out.stdout.as_bytes()).ok();
    assert_eq!(report(&to, "monthly"), report(&from, "monthly"));
    // Compressed input is known by its content.
    let zst = std::fs::read(export(&from, "x.zst")).unwrap();
    said(&Output::fed(to.tally(&["observations", "import", "-"]), &zst).ok(), "0 new observations");
}

#[test]
fn days_choose_whole_threads() {
    let from = machine(&[Feed::Otlp, Feed::Transcripts]);
    let lines = |args: &[&str]| {
        let args = [&["observations", "export", "-", "--no-import"], args].concat();
        from.run(&args).ok().stdout.lines().count()
    };
    let all = lines(&[]);
    assert!(all > 50);
    assert_eq!(lines(&["--since", "2026-11-21", "--until", "2026-11-21"]), all);
    assert_eq!(lines(&["--since", "2026-11-22"]), 2, "head and last line");
    assert_eq!(lines(&["--until", "2026-11-20"]), 2, "what has no time is of no day");
}

#[test]
fn a_cut_file_is_stored_as_far_as_it_is_whole_and_noticed() {
    let from = machine(&[Feed::Transcripts]);
    let text = std::fs::read_to_string(export(&from, "all.jsonl")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    for (cut, whole) in [(lines[..9].join("\n") + "\n", 8), (text[..text.len() / 2].to_string(), 0)] {
        let to = TestEnv::new();
        let output = Output::fed(to.tally(&["observations", "import", "-"]), cut.as_bytes()).fails(1);
        said(&output, "it was cut off");
        if whole > 0 {
            said(&output, &format!("{whole} new observations, 0 known"));
        }
        let _ = Output::fed(to.tally(&["observations", "import", "-"]), text.as_bytes()).ok();
        assert_eq!(report(&to, "monthly"), report(&from, "monthly"));
    }
    let zst = std::fs::read(export(&from, "all.zst")).unwrap();
    let to = TestEnv::new();
    let half = &zst[..zst.len() / 2];
    said(&Output::fed(to.tally(&["observations", "import", "-"]), half).fails(1), "cannot be read on");
}

#[test]
fn bad_lines_are_told_by_number_and_the_rest_is_stored() {
    let from = machine(&[Feed::Transcripts]);
    let text = std::fs::read_to_string(export(&from, "all.jsonl")).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_string).collect();
    let count = lines.len() - 2;
    lines[2] = lines[2].replace("transcript", "rumour");
    lines[4] = "x".repeat(3 << 20);
    let to = TestEnv::new();
    let output = Output::fed(to.tally(&["observations", "import", "-"]), (lines.join("\n") + "\n").as_bytes()).fails(1);
    said(&output, "line 3: unknown variant `rumour`");
    said(&output, "line 5: longer than");
    said(&output, "2 lines could not be used");
    said(&output, "not those that were written");
    said(&output, &format!("{} new observations", count - 2));
}

#[test]
fn foreign_files_are_refused() {
    let to = TestEnv::new();
    let transcript = Capture::named(CAPTURES[0]);
    transcript.place_transcripts(&to);
    let foreign = crate::support::capture::files(&to.codex_home()).remove(0);
    said(&import(&to, &foreign).fails(1), "no file of `codex-tally observations export`");
    said(&import(&to, Path::new("missing.jsonl")).fails(1), "cannot read missing.jsonl");
    for (text, says) in
        [("", "empty"), ("{\"format\":\"codex-tally observations\",\"version\":9}\n", "update this program")]
    {
        said(&Output::fed(to.tally(&["observations", "import", "-"]), text.as_bytes()).fails(1), says);
    }
    assert!(
        to.run(&["report", "monthly", "--format", "json", "--no-import"]).ok().json()["rows"] == serde_json::json!([])
    );
}

#[test]
fn what_a_newer_version_stored_is_left_out_with_a_word() {
    let from = machine(&[Feed::Transcripts]);
    let db = rusqlite::Connection::open(from.home().join("tally.db")).unwrap();
    let one = "UPDATE observation SET body = '{\"k\":\"dream\"}' WHERE key = (SELECT min(key) FROM observation)";
    assert_eq!(db.execute(one, []).unwrap(), 1);
    let out = from.run(&["observations", "export", "all.jsonl", "--no-import"]).fails(1);
    said(&out, "1 were left out: of a newer codex-tally");
    let _ = import(&TestEnv::new(), &from.work().join("all.jsonl")).ok();
}
