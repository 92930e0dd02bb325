//! What a total is made of: by how its team is known, in booked cents, by thread and by label. The parts are always the total.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::{Capture, Feed, TestEnv, Transcript};

const RULES: &str = "[[rule]]\ndirectory = \"/w/a\"\nteam = \"a\"\nlabels = { product = \"x\" }\n\
                     [[rule]]\ndirectory = \"/w/b\"\nteam = \"b\"\ncost_centre = \"C1\"\nlabels = { product = \"y\" }\n\
                     [[rule]]\ndirectory = \"/w/c\"\nteam = \"b\"\ncost_centre = \"C2\"\n";

fn machine() -> TestEnv {
    let env = TestEnv::new();
    std::fs::create_dir_all(env.home()).unwrap();
    std::fs::write(env.home().join("config.toml"), "channel = \"api\"\n").unwrap();
    std::fs::write(env.home().join("teams.toml"), RULES).unwrap();
    env
}

/// Adds to the transcript of the `n`th thread a response of so many input tokens, in a folder, on a day of 2026.
fn respond(env: &TestEnv, n: u64, folder: &str, day: &str, input: u64) {
    Transcript::new(n).respond(env, day, input, &[("/home/dev/code/api-gateway", folder)]);
}

fn report(env: &TestEnv, by: &str) -> Value {
    env.run(&["report", "monthly", "--by", by, "--format", "json"]).ok().json()
}

/// An amount or a count as an integer of the last digit.
fn number(value: &Value) -> i128 {
    match value {
        Value::Null => 0,
        Value::String(text) => text.replace('.', "").parse().unwrap(),
        n => n.as_i64().unwrap().into(),
    }
}

/// Costs by how teams are known add up to the totals, in each measure.
fn costs_are(report: &Value) -> BTreeMap<String, i128> {
    let (costs, totals) = (&report["coverage"]["cost_by_team_strength"], &report["totals"]);
    let costs = costs.as_object().unwrap();
    for name in ["responses", "total_tokens", "unpriced_tokens", "list_usd", "chatgpt_credits", "api_equivalent_usd"]
        .iter()
        .chain(&["contract_usd", "tool_fees_usd", "reported_usd"])
    {
        let sum: i128 = costs.values().map(|cost| number(&cost[*name])).sum();
        assert_eq!(sum, number(&totals[*name]), "{name}: {costs:?}");
    }
    costs.iter().map(|(name, cost)| (name.clone(), number(&cost["list_usd"]))).collect()
}

#[test]
fn what_is_known_by_what_adds_up_to_the_total() {
    let env = machine();
    Capture::all("captures").iter().for_each(|c| c.replay(&env, &[Feed::Otlp, Feed::Transcripts]));
    respond(&env, 1, "/w/a", "08-31", 1000);
    respond(&env, 2, "/w/none", "08-31", 2000);
    let known = costs_are(&report(&env, "team"));
    let names: Vec<&str> = known.keys().map(String::as_str).collect();
    assert_eq!(names, ["declared", "rule", "second_hand", "unattributed"]);
    assert_eq!((known["rule"], known["unattributed"] > 0), (5_030_000_000, true));
    // What comes late into a sealed month is a correction, and is known by something, too.
    drop(env.run(&["ledger", "seal", "-p", "2026-08"]).ok());
    respond(&env, 3, "/w/b", "08-30", 4000);
    respond(&env, 1, "/w/a", "09-01", 2000);
    std::fs::write(env.home().join("teams.toml"), RULES.replace("/w/none", "/w/x").replace("\"a\"", "\"a2\"")).unwrap();
    let later = costs_are(&report(&env, "team"));
    assert_eq!(later["rule"], 5_030_000_000 + 20_030_000_000 + 10_030_000_000);
    for period in ["2026-08", "2026-09", "2026-11"] {
        drop(costs_are(&env.run(&["report", "monthly", "-p", period, "--format", "json"]).ok().json()));
    }
    // Beside a CSV, and in the manifest of a chargeback.
    drop(env.run(&["report", "monthly", "-p", "2026-08", "--format", "csv", "--out", "m.csv"]).ok());
    drop(env.run(&["chargeback", "-p", "2026-08", "--out", "month"]).ok());
    for name in ["m.csv.meta.json", "month/manifest.json"] {
        let made = serde_json::from_slice(&std::fs::read(env.work().join(name)).unwrap()).unwrap();
        assert_eq!(costs_are(&made)["rule"], 5_030_000_000, "{name}");
    }
    let index = std::fs::read_to_string(env.work().join("month/index.html")).unwrap();
    assert!(
        index.contains("By how the team is known") && index.contains("<td>rule or list of members</td>"),
        "{index}"
    );
}

#[test]
fn a_sealed_month_is_shown_in_the_cents_that_were_booked() {
    let env = machine();
    // 0.0051 USD for each of the owners: together 0.0153, which is 0.02; two of them have the cents.
    for (n, folder) in [(1, "/w/a"), (2, "/w/b"), (3, "/w/c")] {
        respond(&env, n, folder, "08-15", 1014);
    }
    let files = |period: &str| -> (Vec<Vec<String>>, String) {
        drop(env.run(&["chargeback", "-p", period, "--out", period]).ok());
        let text = std::fs::read(env.work().join(period).join("summary.csv")).unwrap();
        let mut reader = csv::Reader::from_reader(&text[..]);
        let at = |header: &csv::StringRecord, name: &str| header.iter().position(|h| h == name).unwrap();
        let header = reader.headers().unwrap().clone();
        let columns = ["team", "cost_centre", "class", "amount", "booked_amount"].map(|name| at(&header, name));
        let rows = reader.records().map(|r| r.unwrap());
        let rows = rows.map(|r| columns.iter().map(|at| r[*at].to_string()).collect()).collect();
        (rows, std::fs::read_to_string(env.work().join(period).join("index.html")).unwrap())
    };
    let (rows, index) = files("2026-08");
    assert!(rows.iter().all(|row| row[4].is_empty()), "{rows:?}");
    assert!(index.contains("half to even") && index.contains("<b>0.02</b>USD"), "{index}");
    drop(env.run(&["ledger", "seal", "-p", "2026-08"]).ok());
    let (rows, index) = files("2026-08");
    let booked: Vec<&str> = rows.iter().map(|row| row[4].as_str()).collect();
    assert_eq!(booked, ["0.01", "0.01", "0.00"], "{rows:?}");
    assert!(!index.contains("half to even") && index.contains("cents that were booked"), "{index}");
    assert!(index.contains("<b>0.02</b>USD"), "{index}");
    let of_b = std::fs::read_dir(env.work().join("2026-08")).unwrap().map(|e| e.unwrap().path());
    let of_b = of_b.filter(|p| p.to_string_lossy().contains("team-b-") && p.extension().unwrap() == "html");
    let page = std::fs::read_to_string(of_b.last().unwrap()).unwrap();
    // Its cost centres would be 0.01 twice, half to even.
    assert!(page.contains("<b>0.01</b>USD"), "{page}");
    // A correction that is sealed shares its owner's cents: 0.01503 and 0.00503 USD are 0.02 together.
    respond(&env, 4, "/w/b", "08-20", 3000);
    respond(&env, 2, "/w/b", "09-02", 1000);
    drop(env.run(&["ledger", "seal", "-p", "2026-09"]).ok());
    let (rows, index) = files("2026-09");
    let of: Vec<(&str, &str)> = rows.iter().map(|row| (row[2].as_str(), row[4].as_str())).collect();
    assert_eq!(of, [("correction", "0.02"), ("usage", "0.00")], "{rows:?}");
    assert!(index.contains("<b>0.02</b>USD"), "{index}");
}

#[test]
fn threads_and_labels_are_parts_of_the_same_total() {
    let env = machine();
    for name in ["03_subagent_v1", "03_subagent_v2_forkall", "10_exec_review", "10_auto_review"] {
        Capture::named(name).replay(&env, &[Feed::Otlp, Feed::Transcripts]);
    }
    respond(&env, 1, "/w/a", "08-31", 1000);
    respond(&env, 2, "/w/b", "08-31", 2000);
    let sessions = report(&env, "session");
    for by in ["thread", "session,thread,thread_kind", "label:product", "team,label:product", "thread_kind,tool"] {
        let made = report(&env, by);
        assert_eq!(made["totals"]["total_tokens"], sessions["totals"]["total_tokens"], "{by}");
        for name in ["responses", "tool_calls", "total_tokens", "list_usd", "api_equivalent_usd", "chatgpt_credits"] {
            assert_eq!(made["totals"][name], sessions["totals"][name], "{by}: {name}");
            let sum: i128 = made["rows"].as_array().unwrap().iter().map(|row| number(&row[name])).sum();
            assert_eq!(sum, number(&made["totals"][name]), "{by}: {name}");
        }
    }
    let kinds = report(&env, "thread_kind");
    let responses = |kind: &str| {
        let rows = kinds["rows"].as_array().unwrap();
        rows.iter().filter(|row| row["thread_kind"] == kind).map(|row| row["responses"].as_i64().unwrap()).sum::<i64>()
    };
    assert!(["root", "subagent", "review", "guardian"].into_iter().all(|kind| responses(kind) > 0), "{kinds}");
    // More threads than sessions, each of one session and of one kind.
    let threads = report(&env, "session,thread,thread_kind")["rows"].as_array().unwrap().len();
    assert!(threads > sessions["rows"].as_array().unwrap().len());
    assert_eq!(threads, report(&env, "thread")["rows"].as_array().unwrap().len());
    let labels = report(&env, "label:product");
    let of = |label: Value| {
        let rows = labels["rows"].as_array().unwrap().iter();
        rows.filter(|row| row["label:product"] == label).map(|row| number(&row["list_usd"])).sum::<i128>()
    };
    assert_eq!((of("x".into()), of("y".into())), (5_030_000_000, 10_030_000_000));
    // A correction of a sealed month is the thread's and has its label.
    drop(env.run(&["ledger", "seal", "-p", "2026-08"]).ok());
    respond(&env, 2, "/w/b", "08-30", 4000);
    let made = env.run(&[
        "report",
        "monthly",
        "-p",
        "2026-09",
        "--by",
        "thread,thread_kind,label:product",
        "--format",
        "json",
    ]);
    let row = made.ok().json()["rows"][0].clone();
    assert_eq!(
        (&row["class"], &row["label:product"], &row["thread_kind"]),
        (&"correction".into(), &"y".into(), &"root".into())
    );
    assert_eq!(row["thread_id"], Transcript::new(2).thread);
}
