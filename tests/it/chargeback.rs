//! The chargeback of a month: owners and what nobody owns are the total, the same bytes everywhere, and nothing of others is
//! taken away.

mod pages;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::capture::entries;
use crate::support::{Capture, Feed, TestEnv, Transcript};

/// Rules that make several teams of the captures' sessions, with names that are not nice, and leave some without one.
const RULES: &str = r#"
[[rule]]
email = "alice@*"
team = "<script>alert(1)</script> & \"Söhne\""

[[rule]]
directory = "*/api-gateway"
attribute = { "team.id" = "plat*" }
team = "Team A"
cost_centre = "=CC-1"

[[rule]]
directory = "*"
user = "dev"
team = "team a"
"#;

/// Measures that add. Sessions and turns are distinct counts.
const ADD: [&str; 17] = [
    "responses",
    "tool_calls",
    "input_tokens",
    "uncached_input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "total_tokens",
    "list_usd",
    "chatgpt_credits",
    "api_equivalent_usd",
    "unpriced_tokens",
    "contract_usd",
    "tool_fees_usd",
    "reported_usd",
    "reported_list_usd",
];

/// A machine that saw all captures, in this order.
fn machine(order: &[Feed], backwards: bool) -> TestEnv {
    Capture::all_replayed(order, backwards, RULES)
}

fn chargeback(env: &TestEnv, args: &[&str]) -> BTreeMap<String, Vec<u8>> {
    let _ = env.run(&[&["chargeback", "-p", "2026-11", "--out", "month"], args].concat()).ok();
    read(&env.work().join("month"))
}

fn read(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_string();
    entries(folder).into_iter().map(|path| (name(&path), std::fs::read(&path).unwrap())).collect()
}

fn text<'a>(files: &'a BTreeMap<String, Vec<u8>>, name: &str) -> &'a str {
    std::str::from_utf8(&files[name]).unwrap()
}

/// The rows of a CSV by column.
fn rows(bytes: &[u8]) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_reader(bytes);
    let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_string).collect();
    let row = |r: csv::StringRecord| header.iter().cloned().zip(r.iter().map(str::to_string)).collect();
    reader.records().map(|r| row(r.unwrap())).collect()
}

/// Counts and amounts as integers of the last digit; nothing if no row says anything.
fn sum<'a>(rows: impl IntoIterator<Item = &'a BTreeMap<String, String>>, column: &str) -> Option<i128> {
    let fields = rows.into_iter().map(|row| row[column].replace('.', ""));
    fields.filter(|field| !field.is_empty()).map(|field| field.parse::<i128>().unwrap()).reduce(|a, b| a + b)
}

fn is_team(name: &str) -> bool {
    name.starts_with("team-") && name.ends_with(".csv")
}

#[test]
fn owners_and_what_nobody_owns_are_the_total() {
    let env = machine(&[Feed::Otlp, Feed::Transcripts], false);
    let files = chargeback(&env, &["--basis", "list"]);
    let teams: Vec<_> = files.keys().filter(|name| is_team(name)).collect();
    assert!(teams.len() >= 4, "{teams:?}");
    let alike = teams.iter().filter(|name| name.starts_with("team-team-a-")).count();
    assert_eq!(alike, 2, "`Team A` and `team a` are two teams: {teams:?}");
    let unattributed = rows(&files["unattributed.csv"]);
    assert!(!unattributed.is_empty() && unattributed.iter().all(|row| row["team"] == "unattributed"));
    let mut all: Vec<_> = teams.iter().flat_map(|name| rows(&files[*name])).collect();
    assert!(all.iter().all(|row| row["team"] != "unattributed"));
    all.extend(unattributed);
    let monthly = env.run(&["report", "monthly", "-p", "2026-11", "--format", "json"]).ok().json();
    let summary = rows(&files["summary.csv"]);
    let mut said = 0;
    for column in ADD {
        let total = match &monthly["totals"][column] {
            Value::Null => None,
            Value::String(amount) => Some(amount.replace('.', "").parse().unwrap()),
            count => Some(i128::from(count.as_u64().unwrap())),
        };
        assert_eq!(sum(&all, column), total, "{column} of the files");
        assert_eq!(sum(&summary, column), total, "{column} of the summary");
        said += usize::from(total.is_some_and(|total| total > 0));
    }
    assert!(said >= 14, "only {said} measures say something");
    for row in &summary {
        let amount = match row["channel"].as_str() {
            "api" => (row["list_usd"].as_str(), "USD"),
            "chatgpt" => (row["chatgpt_credits"].as_str(), "CREDIT"),
            _ => ("", ""),
        };
        assert_eq!((row["amount"].as_str(), row["unit"].as_str()), amount, "{row:?}");
    }
    assert!(all.iter().all(|row| row["status"] == "estimated" && row["class"] == "usage"));
    assert_eq!(rows(&files["corrections.csv"]).len(), 0);
    assert_eq!(header(&files["corrections.csv"]), header(&files["unattributed.csv"]));
    assert!(all.iter().any(|row| row["cost_centre"] == "'=CC-1"), "formulas are disarmed");
}

fn header(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap().lines().next().unwrap()
}

#[test]
fn the_same_month_gives_the_same_bytes_everywhere() {
    let one = machine(&[Feed::Otlp, Feed::Transcripts], false);
    let other = machine(&[Feed::Transcripts, Feed::OtlpTwice], true);
    let files = chargeback(&one, &["--basis", "list"]);
    let again = chargeback(&other, &["--basis", "list", "--tz", "UTC"]);
    assert_eq!(files.keys().collect::<Vec<_>>(), again.keys().collect::<Vec<_>>());
    for (name, bytes) in &files {
        assert!(again[name] == *bytes, "{name} differs");
        for env in [&one, &other] {
            let root = env.root().to_str().unwrap();
            assert!(!String::from_utf8_lossy(bytes).contains(root), "{name} names a folder of the machine");
        }
    }
    let manifest: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    let listed: Vec<Value> = manifest["files"].as_array().unwrap().clone();
    let hash = |bytes: &[u8]| Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect::<String>();
    let written = files.iter().filter(|(name, _)| *name != "manifest.json");
    let expected = written.map(|(name, bytes)| json!({"name": name, "size": bytes.len(), "sha256": hash(bytes)}));
    assert_eq!(listed, expected.collect::<Vec<_>>());
    for (field, value) in [("period", "2026-11"), ("basis", "list"), ("status", "estimated"), ("tz", "UTC")] {
        assert_eq!(manifest[field], value);
    }
    assert_eq!(manifest["seal"], Value::Null);
    for hash in ["price_book_sha256", "rules_sha256"] {
        assert_eq!(manifest[hash].as_str().unwrap().len(), 64, "{hash}");
    }
    let monthly = one.run(&["report", "monthly", "-p", "2026-11", "--format", "json"]).ok().json();
    assert_eq!(manifest["totals"], monthly["totals"]);
    assert_eq!(manifest["coverage"]["unmetered_attempts"], monthly["coverage"]["unmetered_attempts"]);
}

#[test]
fn usd_and_credits_need_a_choice() {
    let env = machine(&[Feed::Transcripts], false);
    let out = env.run(&["chargeback", "-p", "2026-11", "--out", "month"]).fails(2);
    for says in ["USD", "credits", "never added", "--basis list", "--basis contract"] {
        assert!(out.stderr.contains(says), "{out}");
    }
    assert!(!env.work().join("month").exists());
    let files = chargeback(&env, &["--basis", "contract"]);
    let summary = rows(&files["summary.csv"]);
    assert!(summary.iter().all(|row| row["basis"] == "contract"));
    for row in &summary {
        let expected = if row["channel"] == "api" { row["contract_usd"].as_str() } else { "" };
        assert_eq!(row["amount"], expected, "{row:?}");
    }
    assert!(summary.iter().any(|row| row["channel"] == "chatgpt"));
    let index = text(&files, "index.html");
    for says in ["Basis: <b>contract</b>", "no contract price", "API responses without a contract price"] {
        assert!(index.contains(says), "{says}");
    }
    std::fs::remove_file(env.home().join("prices.toml")).unwrap();
    let out = env.run(&["chargeback", "-p", "2026-11", "--out", "other", "--basis", "contract"]).fails(2);
    assert!(out.stderr.contains("prices.toml") && out.stderr.contains("--basis list"), "{out}");
    // With usage in one unit there is nothing to choose, and nothing at all is a month, too.
    let out = env.run(&["chargeback", "-p", "2025-01", "--out", "empty"]).ok();
    assert!(out.stderr.contains("estimated of 2025-01, basis list, 0 teams"), "{out}");
    let files = read(&env.work().join("empty"));
    assert_eq!(
        files.keys().collect::<Vec<_>>(),
        ["corrections.csv", "index.html", "manifest.json", "summary.csv", "unattributed.csv"]
    );
}

/// A machine with a session of the team that is named in the rules.
fn small(team: &str) -> TestEnv {
    let env = TestEnv::new();
    std::fs::create_dir_all(env.home()).unwrap();
    std::fs::write(env.home().join("config.toml"), "channel = \"api\"\n").unwrap();
    let transcript = Transcript::new(1);
    std::fs::write(transcript.path(&env), transcript.head() + &transcript.record(1_000)).unwrap();
    rename_team(&env, team);
    env
}

fn rename_team(env: &TestEnv, team: &str) {
    std::fs::write(env.home().join("teams.toml"), format!("[[rule]]\nteam = {team:?}\n")).unwrap();
}

const ARGS: [&str; 5] = ["chargeback", "-p", "2026-11", "--out", "month"];

#[test]
fn an_earlier_chargeback_goes_and_nothing_else() {
    let env = small("first");
    let first = chargeback(&env, &[]);
    let folder = env.work().join("month");
    std::fs::write(folder.join("notes.txt"), "of someone").unwrap();
    std::fs::create_dir(folder.join("sub")).unwrap();
    std::fs::write(folder.join("sub/more.txt"), "more").unwrap();
    rename_team(&env, "second");
    let out = env.run(&ARGS).ok();
    let names = || entries(&folder).iter().map(|p| p.file_name().unwrap().to_str().unwrap().to_string()).collect();
    let there: Vec<String> = names();
    assert!(there.iter().any(|name| name.starts_with("team-second-")), "{there:?} {out}");
    assert!(!there.iter().any(|name| name.starts_with("team-first-")), "{there:?}");
    assert_eq!(std::fs::read_to_string(folder.join("notes.txt")).unwrap(), "of someone");
    assert_eq!(std::fs::read_to_string(folder.join("sub/more.txt")).unwrap(), "more");
    assert_eq!(entries(&env.work()).len(), 1, "no temporary folder is left");
    // What was changed by hand is not overwritten unasked.
    std::fs::write(folder.join("summary.csv"), "mine").unwrap();
    let out = env.run(&ARGS).fails(1);
    assert!(out.stderr.contains("summary.csv was changed since it was written; --force"), "{out}");
    assert_eq!(std::fs::read_to_string(folder.join("summary.csv")).unwrap(), "mine");
    rename_team(&env, "first");
    let _ = env.run(&[&ARGS[..], &["--force"]].concat()).ok();
    for (name, bytes) in &first {
        assert!(std::fs::read(folder.join(name)).unwrap() == *bytes, "{name}");
    }
    assert_eq!(names().len(), first.len() + 2);
    assert_eq!(entries(&env.work()).len(), 1, "no temporary folder is left");
}

#[test]
fn a_folder_of_others_is_refused() {
    let env = small("a");
    let folder = env.work().join("month");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("thesis.txt"), "x").unwrap();
    let out = env.run(&ARGS).fails(1);
    assert!(out.stderr.contains("not empty") && out.stderr.contains("--force"), "{out}");
    assert_eq!(entries(&folder).len(), 1);
    let _ = env.run(&[&ARGS[..], &["--force"]].concat()).ok();
    assert_eq!(std::fs::read_to_string(folder.join("thesis.txt")).unwrap(), "x");
    // A file of another under a name of ours stays, whatever is asked for.
    for foreign in [
        json!({"kind": "something else"}),
        json!({"kind": "codex-tally chargeback", "files": [{"name": "../work/month/thesis.txt", "size": 1, "sha256": ""}]}),
    ] {
        std::fs::write(folder.join("manifest.json"), foreign.to_string()).unwrap();
        let out = env.run(&ARGS).fails(1);
        assert!(out.stderr.contains("not empty"), "{out}");
        let out = env.run(&[&ARGS[..], &["--force"]].concat()).fails(1);
        assert!(out.stderr.contains("is in the way"), "{out}");
        assert_eq!(std::fs::read(folder.join("manifest.json")).unwrap(), foreign.to_string().as_bytes());
    }
    let out = env.run(&["chargeback", "-p", "2026-11", "--out", "month/thesis.txt"]).fails(1);
    assert!(out.stderr.contains("cannot write"), "{out}");
    std::fs::create_dir(env.work().join("empty")).unwrap();
    std::os::unix::fs::symlink("empty", env.work().join("link")).unwrap();
    let _ = env.run(&["chargeback", "-p", "2026-11", "--out", "link"]).ok();
    assert!(env.work().join("link").is_symlink() && env.work().join("empty/manifest.json").is_file());
    let _ = env.run(&["chargeback", "-p", "2026-11", "--out", "a/b"]).fails(1);
}

#[test]
fn months_are_those_of_the_zone() {
    let env = small("a");
    let transcript = Transcript::new(2);
    let late = (transcript.head() + &transcript.record(5)).replace("2026-11-21T01:38:57.000Z", "2026-10-31T23:30:00Z");
    std::fs::write(transcript.path(&env), late).unwrap();
    let responses = |files: &BTreeMap<String, Vec<u8>>| sum(&rows(&files["summary.csv"]), "responses");
    assert_eq!(responses(&chargeback(&env, &[])), Some(1));
    let files = chargeback(&env, &["--tz", "Europe/Berlin"]);
    assert_eq!(responses(&files), Some(2));
    assert!(text_of_team(&files).contains("2026-11-01 to 2026-11-30, Europe/Berlin days"));
    assert!(text(&files, "manifest.json").contains("\"tz\": \"Europe/Berlin\""));
}

fn text_of_team(files: &BTreeMap<String, Vec<u8>>) -> &str {
    let name = files.keys().find(|name| name.starts_with("team-") && name.ends_with(".html")).unwrap();
    text(files, name)
}
