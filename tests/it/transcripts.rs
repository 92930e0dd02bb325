//! `import` over transcripts in every state that they are found in: growing, torn, damaged, moved, compressed, huge.

use std::io::{BufWriter, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::capture::files;
use crate::support::env::Output;
use crate::support::transcript::line;
use crate::support::{Capture, Feed, TestEnv, Transcript};

/// The summary line of a pass.
#[derive(Debug, PartialEq, Eq)]
struct Pass {
    files: u64,
    read: u64,
    bytes: u64,
    stored: u64,
}

impl Pass {
    #[track_caller]
    fn of(output: &Output) -> Self {
        let said = output.stderr.lines().find(|l| l.contains(" bytes read")).unwrap_or_else(|| panic!("{output}"));
        let said = said.replace([',', '('], "");
        let numbers: Vec<u64> = said.split(' ').filter_map(|word| word.parse().ok()).collect();
        let [files, read, bytes, stored] = numbers.try_into().unwrap();
        Pass { files, read, bytes, stored }
    }

    /// Files that were looked at and of which none had news.
    fn nothing_new(files: u64) -> Self {
        Pass { files, read: 0, bytes: 0, stored: 0 }
    }
}

#[track_caller]
fn import(env: &TestEnv) -> Pass {
    Pass::of(&env.run(&["import"]).ok())
}

fn report(env: &TestEnv) -> Value {
    env.run(&["report", "session", "--format", "json", "--no-import"]).ok().json()
}

/// Responses, input tokens and what was unreadable.
#[track_caller]
fn holds(env: &TestEnv, responses: u64, input: u64, unreadable: &Value) {
    let report = report(env);
    let totals = &report["totals"];
    assert_eq!((&totals["responses"], &totals["input_tokens"]), (&json!(responses), &json!(input)), "{totals}");
    assert_eq!(&report["coverage"]["unreadable"], unreadable);
}

fn write(path: &Path, text: impl AsRef<[u8]>) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn append(path: &Path, text: impl AsRef<[u8]>) {
    std::fs::OpenOptions::new().append(true).open(path).unwrap().write_all(text.as_ref()).unwrap();
}

#[test]
fn only_what_is_new_is_read() {
    let (env, t) = (TestEnv::new(), Transcript::new(1));
    let path = t.path(&env);
    let first = t.head() + &t.record(10);
    write(&path, &first);
    let pass = import(&env);
    assert_eq!((pass.files, pass.read, pass.bytes), (1, 1, first.len() as u64));
    assert_eq!(import(&env), Pass::nothing_new(1));
    append(&path, t.record(200));
    assert_eq!(import(&env), Pass { files: 1, read: 1, bytes: t.record(200).len() as u64, stored: 1 });
    assert_eq!(import(&env), Pass::nothing_new(1));
    holds(&env, 2, 210, &json!({}));
}

#[test]
fn a_torn_line_waits_until_it_is_whole() {
    let (env, t) = (TestEnv::new(), Transcript::new(1));
    let path = t.path(&env);
    let (torn, rest) = (t.record(20), t.record(300));
    let (start, end) = torn.split_at(torn.len() / 2);
    write(&path, t.head() + &t.record(1) + start);
    let _ = import(&env);
    holds(&env, 1, 1, &json!({}));
    append(&path, end.to_owned() + &rest);
    // The torn line is read again from its start.
    assert_eq!(import(&env).bytes, (torn.len() + rest.len()) as u64);
    holds(&env, 3, 321, &json!({}));
}

#[test]
fn a_record_behind_a_torn_line_is_salvaged() {
    let (env, t) = (TestEnv::new(), Transcript::new(1));
    let torn = t.record(20);
    let text = t.head() + &t.record(1) + &torn[..torn.len() - 9] + &t.record(300) + &t.record(4000);
    write(&t.path(&env), text);
    let _ = import(&env);
    holds(&env, 3, 4301, &json!({"transcript.bad_line": 1}));
}

#[test]
fn foreign_lines_are_counted_and_the_rest_is_read() {
    let (env, t) = (TestEnv::new(), Transcript::new(1));
    let mut text = (t.head() + &t.record(1)).replace('\n', "\r\n").into_bytes();
    text.extend(line("brand_new", &json!({"a": 1})).bytes());
    text.extend(line("another_new", &json!([1])).bytes());
    text.extend((0..=255).filter(|b| *b != b'\n'));
    text.extend(b"\n\0\0\0\n[]\n{}\n7\n\n   \r\n");
    text.extend(line("token_usage_record", &json!("text")).bytes());
    text.extend(line("token_usage_record", &json!({"thread_id": t.thread, "usage": {"input_tokens": -5}})).bytes());
    text.extend(t.record(20).replace('\n', "\r\n").bytes());
    write(&t.path(&env), text);
    let _ = import(&env);
    let unreadable =
        json!({"transcript.bad_line": 6, "transcript.record_without_usage": 1, "transcript.unknown_type": 2});
    holds(&env, 2, 21, &unreadable);
    assert_eq!(import(&env), Pass::nothing_new(1));
    holds(&env, 2, 21, &unreadable);
}

#[test]
fn moved_and_compressed_it_is_still_the_same() {
    let (env, t) = (TestEnv::new(), Transcript::new(1));
    let (path, text) = (t.path(&env), t.head() + &t.record(1) + &t.record(20));
    write(&path, &text);
    let _ = import(&env);
    let before = report(&env);
    holds(&env, 2, 21, &json!({}));

    let archived = env.codex_home().join("archived_sessions").join(t.name());
    write(&archived, &text);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(import(&env), Pass { files: 1, read: 1, bytes: text.len() as u64, stored: 0 });
    let packed = archived.with_extension("jsonl.zst");
    write(&packed, zstd::encode_all(text.as_bytes(), 3).unwrap());
    assert_eq!(import(&env), Pass { files: 2, read: 1, bytes: text.len() as u64, stored: 0 });
    std::fs::remove_file(&archived).unwrap();
    assert_eq!(import(&env), Pass::nothing_new(1));
    assert_eq!(report(&env), before);

    // Both places and both forms are found by themselves, too.
    let other = TestEnv::new();
    let output = Output::of({
        let mut command = other.tally(&["import"]);
        command.env("CODEX_HOME", env.codex_home());
        command
    });
    assert_eq!(Pass::of(&output.ok()).read, 1);
    assert_eq!(report(&other), before);
}

#[test]
fn a_file_that_was_rewritten_is_read_anew() {
    let (env, t) = (TestEnv::new(), Transcript::new(1));
    let path = t.path(&env);
    write(&path, t.head() + &t.record(1) + &t.record(20) + &t.record(300));
    let _ = import(&env);
    let shorter = t.head() + &t.record(4000);
    write(&path, &shorter);
    assert_eq!(import(&env), Pass { files: 1, read: 1, bytes: shorter.len() as u64, stored: 1 });
    holds(&env, 4, 4321, &json!({}));
    std::fs::remove_file(&path).unwrap();
    let _ = import(&env);
    holds(&env, 4, 4321, &json!({}));
}

#[test]
fn one_record_with_two_contents_is_a_conflict_that_everyone_sees() {
    let t = Transcript::new(1);
    let (one, other) = (t.record(10), t.record(10).replace("\"input_tokens\":10", "\"input_tokens\":11"));
    assert_ne!(one, other);
    let import_both = |contents: [&String; 2]| {
        let env = TestEnv::new();
        write(&t.path(&env), t.head() + contents[0] + &t.record(500));
        let _ = import(&env);
        write(&env.codex_home().join("archived_sessions").join(t.name()), t.head() + contents[1] + &t.record(500));
        let again = env.run(&["import"]).ok();
        assert!(again.stderr.contains("warning: 1 observations contradict stored ones"), "{again}");
        env
    };
    let (env, turned) = (import_both([&one, &other]), import_both([&other, &one]));
    // It is one response, whichever content came first, and it is not added twice.
    let found = report(&env);
    assert_eq!((&found["totals"]["responses"], &found["coverage"]["conflicts"]), (&json!(2), &json!(1)), "{found:#}");
    assert_eq!((&found["rows"], &found["totals"]), (&report(&turned)["rows"], &report(&turned)["totals"]));
    let table = env.run(&["report", "session"]).ok();
    assert!(table.to_string().contains("1 responses on which sources disagree"), "{table}");
    let shown = env.run(&["show", "last"]).ok();
    assert_eq!(shown.stdout.matches(" conflict").count(), 1, "{shown}");
}

#[test]
fn a_bad_file_does_not_stop_the_others() {
    let (env, good) = (TestEnv::new(), Transcript::new(2));
    write(&good.path(&env), good.head() + &good.record(1));
    let damaged = Transcript::new(1).path(&env).with_extension("jsonl.zst");
    let packed = zstd::encode_all((good.head() + &good.record(70)).as_bytes(), 3).unwrap();
    write(&damaged, &packed[..packed.len() / 2]);
    let mut failed = 1;
    if !rustix::process::geteuid().is_root() {
        // Root can read whatever the mode says.
        let locked = Transcript::new(3).path(&env);
        write(&locked, "");
        std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o000)).unwrap();
        failed += 1;
    }
    let output = env.run(&["import"]).fails(1);
    assert_eq!(output.stderr.matches("warning: not read: ").count(), failed, "{output}");
    assert!(output.stderr.contains(damaged.to_str().unwrap()), "{output}");
    holds(&env, 1, 1, &json!({}));
}

#[test]
fn links_are_not_followed() {
    let (env, t) = (TestEnv::new(), Transcript::new(1));
    let path = t.path(&env);
    write(&path, t.head() + &t.record(1));
    let sessions = env.codex_home().join("sessions");
    symlink(&sessions, sessions.join("2026/round")).unwrap();
    symlink("/", sessions.join("root")).unwrap();
    symlink(&path, sessions.join(Transcript::new(2).name())).unwrap();
    symlink("nowhere", sessions.join(Transcript::new(3).name())).unwrap();
    assert_eq!(import(&env).files, 1);
    holds(&env, 1, 1, &json!({}));
}

#[test]
fn a_fork_stands_in_for_its_parent_that_is_gone() {
    let capture = Capture::named("12_legacy_fork_with_tur");
    let parent = "01a1fbf0-8d9a-73c2-abee-bbd7899c7c86";
    let (whole, orphaned) = (TestEnv::new(), TestEnv::new());
    capture.replay(&whole, &[Feed::Transcripts]);
    capture.place_transcripts(&orphaned);
    let of_parent = |path: &&std::path::PathBuf| path.to_str().unwrap().ends_with(&format!("{parent}.jsonl"));
    std::fs::remove_file(files(&orphaned.codex_home()).iter().find(of_parent).unwrap()).unwrap();
    let _ = import(&orphaned);
    let (whole, orphaned) = (report(&whole), report(&orphaned));
    assert_eq!(whole["totals"]["responses"], 5);
    for name in ["responses", "input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens"] {
        assert_eq!(orphaned["totals"][name], whole["totals"][name], "{name}");
        let of = |report: &Value| {
            let row = report["rows"].as_array().unwrap().iter().find(|row| row["session_id"] == parent).unwrap();
            row[name].clone()
        };
        assert_eq!(of(&orphaned), of(&whole), "{name} of the parent");
    }
}

/// A hundred megabytes, in lines of all lengths, read with a small part of that in memory.
#[test]
fn memory_is_bounded_whatever_the_size() {
    const MOST_KB: u64 = 64 << 10;
    const RECORDS: u64 = 3000;
    let (env, t) = (TestEnv::new(), Transcript::new(1));
    let path = t.path(&env);
    let mut file = BufWriter::new(std::fs::File::create(&path).unwrap());
    file.write_all(t.head().as_bytes()).unwrap();
    let output = |n: usize| line("response_item", &json!({"type": "function_call_output", "output": "x".repeat(n)}));
    let (small, large) = (output(30_000), output(1 << 20));
    for n in 1..=RECORDS {
        file.write_all(t.record(n).as_bytes()).unwrap();
        file.write_all(if n % 200 == 0 { large.as_bytes() } else { small.as_bytes() }).unwrap();
    }
    file.into_inner().unwrap().sync_all().unwrap();
    assert!(std::fs::metadata(&path).unwrap().len() > 100_000_000);

    let mut command = env.tally(&["import"]);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        // The line is missing once the process has ended.
        let status = std::fs::read_to_string(&status).unwrap_or_default();
        let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        peak = line.and_then(|l| l.trim_end_matches("kB").trim().parse().ok()).unwrap_or(peak);
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    assert!(child.wait().unwrap().success());
    assert!(peak > 0, "the peak was seen");
    assert!(peak < MOST_KB, "{peak} kB");
    holds(&env, RECORDS, RECORDS * (RECORDS + 1) / 2, &json!({}));
}
