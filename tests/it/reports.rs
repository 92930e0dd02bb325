//! How reports cut time: weeks, time zones, and prices that follow UTC days all the same.

use serde_json::Value;

use crate::support::{TestEnv, Transcript};

/// A machine with one response of a million input tokens at each of these moments.
fn machine(moments: &[&str]) -> TestEnv {
    let env = TestEnv::new();
    std::fs::create_dir_all(env.home()).unwrap();
    std::fs::write(env.home().join("config.toml"), "channel = \"api\"\n").unwrap();
    for (moment, n) in moments.iter().zip(1..) {
        let transcript = Transcript::new(n);
        let text = transcript.head() + &transcript.record(1_000_000);
        let text = text.replace("2026-11-21T01:38:57.000Z", moment).replace("gpt-5.5", "gpt-5.6-luna");
        std::fs::write(transcript.path(&env), text).unwrap();
    }
    env
}

fn periods(env: &TestEnv, args: &[&str]) -> Vec<String> {
    let report = env.run(&[&["report"], args, &["--format", "json", "--by", "model"]].concat()).ok().json();
    let row = |row: &Value| format!("{} {}", row["period"].as_str().unwrap(), row["responses"]);
    report["rows"].as_array().unwrap().iter().map(row).collect()
}

#[test]
fn weeks_begin_on_monday() {
    let env =
        machine(&["2026-11-15T23:59:59Z", "2026-11-16T00:00:00Z", "2026-11-22T23:59:59Z", "2027-01-01T12:00:00Z"]);
    assert_eq!(periods(&env, &["weekly"]), ["2026-W46 1", "2026-W47 2", "2026-W53 1"]);
    assert_eq!(periods(&env, &["weekly", "-p", "2026-11"]), ["2026-W46 1", "2026-W47 2"]);
    assert_eq!(periods(&env, &["weekly", "-p", "2026-W47"]), ["2026-W47 2"]);
    assert_eq!(periods(&env, &["monthly", "-p", "2026-W46"]), ["2026-11 1"]);
    assert_eq!(periods(&env, &["weekly", "--tz", "Asia/Tokyo"]), ["2026-W47 2", "2026-W48 1", "2026-W53 1"]);
    let table = env.run(&["report", "weekly", "--tz", "Asia/Tokyo", "--since", "2026-11-16"]).ok().stdout;
    assert!(table.starts_with("codex-tally weekly: since 2026-11-16 (Asia/Tokyo days)"), "{table}");
    assert!(table.contains("2026-W48"), "{table}");
}

#[test]
fn days_and_months_are_those_of_the_zone() {
    let env = machine(&["2026-10-31T22:59:59Z", "2026-10-31T23:00:00Z", "2026-12-01T07:59:59Z"]);
    let berlin = ["--tz", "Europe/Berlin"];
    let with = |args: &[&'static str], tz: &[&'static str]| periods(&env, &[args, tz].concat());
    assert_eq!(with(&["monthly"], &[]), ["2026-10 2", "2026-12 1"]);
    assert_eq!(with(&["monthly"], &berlin), ["2026-10 1", "2026-11 1", "2026-12 1"]);
    assert_eq!(with(&["monthly", "-p", "2026-11"], &berlin), ["2026-11 1"]);
    assert_eq!(with(&["monthly", "-p", "2026-11"], &["--tz", "America/Los_Angeles"]), ["2026-11 1"]);
    assert_eq!(with(&["daily", "--until", "2026-10-31"], &berlin), ["2026-10-31 1"]);
    let report =
        env.run(&["report", "session", "-p", "2026-10", "--format", "json", "--tz", "Europe/Berlin"]).ok().json();
    assert_eq!(report["period"]["tz"], "Europe/Berlin");
    assert_eq!(report["rows"].as_array().unwrap().len(), 1);
}

#[test]
fn prices_follow_utc_days() {
    // Dearer until the end of 2026-07-29; long input either way.
    let env = machine(&["2026-07-29T23:30:00Z", "2026-07-30T00:30:00Z"]);
    let report = env.run(&["report", "daily", "--tz", "Asia/Tokyo", "--by", "session", "--format", "json"]).ok().json();
    let rows: Vec<_> = report["rows"].as_array().unwrap().iter().map(|r| (&r["period"], &r["list_usd"])).collect();
    let day = Value::from("2026-07-30");
    let (dear, cheap) = (Value::from("2.000009000000"), Value::from("0.400001800000"));
    assert_eq!(rows, [(&day, &dear), (&day, &cheap)]);
}

#[test]
fn the_prices_of_a_day_are_listed() {
    let env = TestEnv::new();
    let text = env.run(&["prices", "list", "--at", "2026-08-20"]).ok().stdout;
    let rows: Vec<Vec<&str>> = text.lines().map(|l| l.split_whitespace().collect()).collect();
    let of = |model: &str| rows.iter().find(|r| r.first() == Some(&model) && r.get(1) == Some(&"USD"));
    let sol = of("gpt-5.6-sol").unwrap_or_else(|| panic!("{text}"));
    assert!(sol.ends_with(&["5", "0.5", "6.25", "30"]), "{sol:?}");
    assert!(of("gpt-6.1-sol").is_none(), "{text}");
    assert!(text.contains("without one: ") && text.contains("codex-auto-review"), "{text}");
    assert!(env.run(&["prices", "list"]).ok().stdout.contains("gpt-6.1-sol"));
}
