//! Sealed months: their bytes never change, what comes late is a correction, and corrections net out.

use rusqlite::Connection;
use serde_json::Value;

use crate::support::{TestEnv, Transcript};

/// A machine whose channel is known.
fn machine() -> TestEnv {
    let env = TestEnv::new();
    std::fs::create_dir_all(env.home()).unwrap();
    std::fs::write(env.home().join("config.toml"), "channel = \"api\"\n").unwrap();
    env
}

/// Adds to the transcript of the `n`th thread a response of so many input tokens, on a day of 2026.
fn respond(env: &TestEnv, n: u64, day: &str, input: u64) {
    let transcript = Transcript::new(n);
    let path = transcript.path(env);
    let old = std::fs::read_to_string(&path).unwrap_or_default();
    let head = if old.is_empty() { transcript.head() } else { String::new() };
    let new = (head + &transcript.record(input)).replace("2026-11-21T", &format!("2026-{day}T"));
    std::fs::write(&path, old + &new).unwrap();
}

fn report(env: &TestEnv, period: &str, by: &str) -> Value {
    env.run(&["report", "monthly", "-p", period, "--by", by, "--format", "json"]).ok().json()
}

/// Class, corrected month, responses and list cost of a month's rows.
fn rows(env: &TestEnv, period: &str) -> Vec<(String, String, i64, String)> {
    let report = report(env, period, "team");
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_string();
    let row = |row: &Value| {
        let responses = row["responses"].as_i64().unwrap();
        (
            text(row, "status") + " " + &text(row, "class"),
            text(row, "corrects_period"),
            responses,
            text(row, "list_usd"),
        )
    };
    report["rows"].as_array().unwrap().iter().map(row).collect()
}

fn row(kind: &str, corrects: &str, responses: i64, list: &str) -> (String, String, i64, String) {
    (kind.into(), corrects.into(), responses, list.into())
}

fn seal(env: &TestEnv, period: &str) {
    assert!(env.run(&["ledger", "seal", "-p", period]).ok().stderr.contains("is sealed"));
}

/// The artifact of a sealed month.
fn artifact(env: &TestEnv, period: &str, name: &str) -> (Value, String) {
    let dir = env.root().join(name);
    drop(env.run(&["ledger", "seal", "-p", period, "--out", dir.to_str().unwrap()]).ok());
    let json = serde_json::from_slice(&std::fs::read(dir.join("seal.json")).unwrap()).unwrap();
    let csv = zstd::decode_all(&std::fs::read(dir.join("lines.csv.zst")).unwrap()[..]).unwrap();
    (json, String::from_utf8(csv).unwrap())
}

// gpt-5.5 costs 5 USD for a million tokens of input and 30 USD for output, of which each response has one token.
const LIST_1000: &str = "0.005030000000";
const LIST_2000: &str = "0.010030000000";
const LIST_4000: &str = "0.020030000000";

#[test]
fn what_comes_late_is_a_correction_of_the_next_open_month() {
    let env = machine();
    respond(&env, 1, "08-31", 1000);
    respond(&env, 1, "09-01", 2000);
    assert_eq!(rows(&env, "2026-08"), [row("estimated usage", "", 1, LIST_1000)]);
    assert!(env.run(&["ledger", "seal", "-p", "2026-09"]).fails(1).stderr.contains("seal 2026-08 first"));
    seal(&env, "2026-08");
    assert!(env.run(&["ledger", "seal", "-p", "2026-08"]).fails(1).stderr.contains("sealed already"));
    assert_eq!(rows(&env, "2026-08"), [row("sealed usage", "", 1, LIST_1000)]);
    assert_eq!(rows(&env, "2026-09"), [row("estimated usage", "", 1, LIST_2000)]);
    let sealed = report(&env, "2026-08", "session");

    // Late usage of a known session and of a new one.
    respond(&env, 2, "08-30", 4000);
    assert_eq!(report(&env, "2026-08", "session"), sealed);
    let september = [row("estimated usage", "", 1, LIST_2000), row("estimated correction", "2026-08", 1, LIST_4000)];
    let sorted = |env: &TestEnv, period: &str| {
        let mut rows = rows(env, period);
        rows.sort_by(|a, b| (b.0.clone(), &a.1).cmp(&(a.0.clone(), &b.1)));
        rows
    };
    assert_eq!(sorted(&env, "2026-09"), september);
    assert_eq!(sorted(&env, "2026-09"), september, "once");
    drop(env.run(&["ledger", "rebuild"]).ok());
    assert_eq!(sorted(&env, "2026-09"), september, "and again");

    // Once the correction is sealed, nothing is left to correct.
    seal(&env, "2026-09");
    let (json, csv) = artifact(&env, "2026-09", "september");
    assert_eq!((&json["lines"], &json["corrections"], &json["responses"]), (&2.into(), &1.into(), &2.into()));
    assert_eq!(json["totals"]["list_usd"], "0.030060000000");
    assert!(csv.lines().any(|l| l.contains(",correction,2026-08,late: not known when its month was sealed,")), "{csv}");
    assert_eq!(rows(&env, "2026-10"), []);
    assert_eq!(report(&env, "2026-08", "session"), sealed);
    let all = env.run(&["report", "monthly", "--format", "json"]).ok().json();
    assert_eq!((&all["totals"]["responses"], &all["totals"]["list_usd"]), (&3.into(), &"0.035090000000".into()));
    drop(env.run(&["ledger", "verify"]).ok());
}

#[test]
fn other_prices_and_other_owners_are_corrections_that_net_out() {
    let env = machine();
    respond(&env, 1, "08-31", 1000);
    seal(&env, "2026-08");
    let rules = env.home().join("teams.toml");
    std::fs::write(&rules, "[[rule]]\nteam = \"search\"\n").unwrap();
    let corrected: Vec<Value> = report(&env, "2026-09", "team")["rows"].as_array().unwrap().clone();
    let found: Vec<_> =
        corrected.iter().map(|r| (r["team"].as_str().unwrap(), r["responses"].as_i64().unwrap())).collect();
    assert_eq!(found, [("search", 1), ("unattributed", -1)]);
    let amounts: Vec<_> = corrected.iter().map(|r| r["list_usd"].as_str().unwrap()).collect();
    assert_eq!(amounts, [LIST_1000, "-0.005030000000"]);
    assert_eq!(report(&env, "2026-09", "team")["totals"]["list_usd"], "0.000000000000");
    seal(&env, "2026-09");
    let (_, csv) = artifact(&env, "2026-09", "september");
    assert_eq!(csv.matches("re-mapped: team unattributed is now search").count(), 2, "{csv}");
    assert_eq!(rows(&env, "2026-10"), []);
    // Back again: the correction of the correction.
    std::fs::remove_file(&rules).unwrap();
    let rows: Vec<_> = report(&env, "2026-10", "team")["rows"].as_array().unwrap().clone();
    let found: Vec<_> = rows.iter().map(|r| (r["team"].as_str().unwrap(), r["responses"].as_i64().unwrap())).collect();
    assert_eq!(found, [("search", -1), ("unattributed", 1)]);

    // A contract that begins to count is an amount more, and no usage.
    std::fs::write(
        env.home().join("prices.toml"),
        "format = 1\nprovider = \"corp\"\nas_of = \"2026-11-01\"\n[sources]\nc = \"our contract\"\n[[contract]]\nname = \"gpt-5.5\"\n\
         [[contract.usd]]\neffective_from = \"2026-04-23\"\nsources = [\"c\"]\n[contract.usd.short]\n\
         standard = { input = \"4\", cached = \"0.4\", output = \"24\" }\n",
    )
    .unwrap();
    let totals = report(&env, "2026-10", "team")["totals"].clone();
    assert_eq!((&totals["responses"], &totals["contract_usd"]), (&0.into(), &"0.004024000000".into()), "{totals}");
    drop(env.run(&["ledger", "verify"]).ok());
}

#[test]
fn a_seal_has_the_same_bytes_on_every_machine_and_any_flipped_bit_is_found() {
    let make = |order: [u64; 3]| {
        let env = machine();
        for n in order {
            respond(&env, n, "08-15", 1000 * n);
            respond(&env, n, "08-16", 1000 * n + 1);
            drop(env.run(&["sync"]).ok());
        }
        seal(&env, "2026-08");
        env
    };
    let (one, other) = (make([1, 2, 3]), make([3, 1, 2]));
    let (json, csv) = artifact(&one, "2026-08", "a");
    assert_eq!((&json, &csv), (&artifact(&other, "2026-08", "a").0, &artifact(&other, "2026-08", "b").1));
    assert_eq!(csv.lines().count(), 7);
    assert!(one.run(&["ledger", "verify"]).ok().stderr.contains("the seal of 2026-08 holds"));
    let db = one.home().join("tally.db");
    let change = |sql: &str| Connection::open(&db).unwrap().execute_batch(sql);
    for forbidden in [
        "UPDATE seal SET json = x''",
        "DELETE FROM seal",
        "UPDATE sealed_session SET part = x''",
        "DELETE FROM sealed_session",
        "INSERT INTO sealed_session VALUES ('x', '2026-08', x'', x'')",
    ] {
        assert!(change(forbidden).is_err(), "{forbidden}");
    }
    change("DROP TRIGGER sealed_stays; DROP TRIGGER seal_stays;").unwrap();
    let read = |sql: &str| Connection::open(&db).unwrap().query_row(sql, [], |row| row.get::<_, Vec<u8>>(0)).unwrap();
    for (table, column) in [("sealed_session", "part"), ("sealed_session", "lines"), ("seal", "json")] {
        let bytes = read(&format!("SELECT {column} FROM {table} LIMIT 1"));
        for at in (0..bytes.len()).step_by(bytes.len() / 9 + 1) {
            let set = |bytes: &[u8]| {
                let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
                let first = if table == "seal" {
                    ""
                } else {
                    " WHERE session_id = (SELECT min(session_id) FROM sealed_session)"
                };
                change(&format!("UPDATE {table} SET {column} = x'{hex}'{first}")).unwrap();
            };
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            set(&flipped);
            let said = one.run(&["ledger", "verify"]);
            assert!(!said.status.success(), "{column} {at}: {said}");
            set(&bytes);
        }
    }
    drop(one.run(&["ledger", "verify"]).ok());
}

#[test]
fn a_month_is_not_sealed_too_early() {
    let env = machine();
    respond(&env, 1, "08-31", 1000);
    assert!(env.run(&["ledger", "seal", "-p", "2999-01"]).fails(1).stderr.contains("has not ended"));
    let dry = env.run(&["ledger", "seal", "-p", "2026-08", "--dry-run"]).ok();
    assert_eq!(dry.json()["totals"]["list_usd"], LIST_1000);
    assert_eq!(rows(&env, "2026-08"), [row("estimated usage", "", 1, LIST_1000)], "nothing was kept");
}
