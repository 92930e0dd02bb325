//! What comes after a month was sealed: gates see it, and what is shown of it says what is booked.

use crate::support::{TestEnv, Transcript};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A machine whose channel is known, and usage of August 2026.
fn machine() -> TestEnv {
    TestEnv::new().billed_by_the_api()
}

/// Adds to the transcript of the `n`th thread a response of a model to so many input tokens, on a day of 2026.
fn respond(env: &TestEnv, n: u64, model: &str, day: &str, input: u64) {
    Transcript::new(n).respond(env, day, input, &[("\"gpt-5.5\"", &format!("\"{model}\""))]);
}

fn seal(env: &TestEnv, period: &str) {
    assert!(env.run(&["ledger", "seal", "-p", period]).ok().stderr.contains("is sealed"));
}

fn coverage(env: &TestEnv, period: &str) -> Value {
    env.run(&["report", "monthly", "-p", period, "--format", "json"]).ok().json()["coverage"].clone()
}

/// Whether a gate is passed, of the report of a month and of its sessions.
fn passes(env: &TestEnv, period: &str, gate: &str) -> bool {
    let passes =
        |report: &str| !env.run(&["report", report, "-p", period, "--fail-on", gate]).stderr.contains("--fail-on:");
    assert_eq!(passes("monthly"), passes("session"), "{gate} of {period}");
    passes("monthly")
}

const PRICES: &str = "format = 1\nprovider = \"corp\"\nas_of = \"2026-11-01\"\n[sources]\nc = \"our list\"\n";

/// A price of a model of the user's own.
fn price(name: &str) -> String {
    format!(
        "{PRICES}[[model]]\nname = \"{name}\"\n[[model.usd]]\neffective_from = \"2026-01-01\"\nsources = [\"c\"]\n\
         [model.usd.short]\nstandard = {{ input = \"3\", output = \"6\" }}\n"
    )
}

#[test]
fn gates_and_coverage_see_what_comes_late() {
    let env = machine();
    let teams = |to: &str| {
        let rule = format!("[[rule]]\nteam = \"search\"\nto = \"2026-08-{to}\"\n");
        std::fs::write(env.home().join("teams.toml"), rule).unwrap();
    };
    teams("30");
    respond(&env, 1, "gpt-5.5", "08-30", 1000);
    seal(&env, "2026-08");
    assert!(passes(&env, "2026-09", "unpriced,unattributed"));

    respond(&env, 2, "gpt-99", "08-31", 5000);
    for gate in ["unpriced", "unattributed"] {
        assert!(passes(&env, "2026-08", gate), "what was sealed stays as it was");
        assert!(!passes(&env, "2026-09", gate), "{gate}");
    }
    let late = coverage(&env, "2026-09");
    assert_eq!((&late["unpriced_responses"], &late["unattributed_responses"]), (&json!(1), &json!(1)), "{late}");
    assert_eq!(late["unpriced_reasons"], json!({"no price for model gpt-99": 1}));
    assert_eq!(late["responses_by_source"], json!({"transcript": 1}));
    assert_eq!(late["responses_by_team_strength"], json!({"unattributed": 1}));

    // Sealed, it is corrected once a team and a price are known. That makes no later response more certain.
    seal(&env, "2026-09");
    assert!(passes(&env, "2026-10", "unpriced,unattributed"));
    teams("31");
    std::fs::write(env.home().join("prices.toml"), price("gpt-99")).unwrap();
    assert!(passes(&env, "2026-10", "unpriced,unattributed"));
    respond(&env, 3, "gpt-98", "10-05", 7000);
    assert!(!passes(&env, "2026-10", "unpriced") && !passes(&env, "2026-10", "unattributed"));
    let both = coverage(&env, "2026-10");
    assert_eq!((&both["unpriced_responses"], &both["unattributed_responses"]), (&json!(1), &json!(1)), "{both}");
    assert_eq!(both["responses_by_source"], json!({"transcript": 1}));
    // What loses its price is no response more, and has none.
    seal(&env, "2026-10");
    std::fs::remove_file(env.home().join("prices.toml")).unwrap();
    let lost = coverage(&env, "2026-11");
    assert_eq!((&lost["unpriced_responses"], &lost["responses_by_source"]), (&json!(1), &json!({})), "{lost}");
    assert!(!passes(&env, "2026-11", "unpriced") && passes(&env, "2026-11", "unattributed"));
    drop(env.run(&["ledger", "verify"]).ok());
}

#[test]
fn what_is_doubtful_is_counted_once_in_a_report_of_both_months() {
    let env = machine();
    let team =
        |team: &str| std::fs::write(env.home().join("teams.toml"), format!("[[rule]]\nteam = \"{team}\"\n")).unwrap();
    let counts = |period: Option<&str>| {
        let period = period.map_or(vec![], |period| vec!["-p", period]);
        let report = env.run(&[&["report", "monthly", "--format", "json"][..], &period].concat()).ok().json();
        let coverage = &report["coverage"];
        let names = ["unpriced_responses", "unattributed_responses"];
        (names.map(|name| coverage[name].as_i64().unwrap()), report["totals"]["responses"].as_i64().unwrap())
    };
    respond(&env, 1, "gpt-99", "08-30", 1000);
    seal(&env, "2026-08");
    assert_eq!(counts(None), ([1, 1], 1));
    // It has a team now, and no price as before.
    team("search");
    assert_eq!(
        (counts(None), counts(Some("2026-08")), counts(Some("2026-09"))),
        (([1, 0], 1), ([1, 1], 1), ([0, 0], 0))
    );
    // And then a price; what is sealed meanwhile changes nothing of that.
    for period in ["2026-09", "2026-10"] {
        std::fs::write(env.home().join("prices.toml"), price("gpt-99")).unwrap();
        assert_eq!((counts(None), counts(Some("2026-08"))), (([0, 0], 1), ([1, 1], 1)), "{period}");
        seal(&env, period);
        assert_eq!(counts(None), ([0, 0], 1), "{period}");
    }
    std::fs::remove_file(env.home().join("prices.toml")).unwrap();
    assert_eq!((counts(None), counts(Some("2026-11"))), (([1, 0], 1), ([1, 0], 0)));
    // What one month has too much of hides nothing of another.
    std::fs::write(env.home().join("prices.toml"), price("gpt-99")).unwrap();
    respond(&env, 2, "gpt-98", "11-05", 1000);
    assert_eq!(counts(Some("2026-11")), ([1, 0], 1));
}

#[test]
fn a_shared_response_is_one_and_is_explained_as_a_whole() {
    let env = machine();
    let rules = |team: &str| {
        std::fs::write(env.home().join("teams.toml"), format!("[[rule]]\nname = \"r\"\n{team}\n")).unwrap();
    };
    rules("team = \"t0\"");
    respond(&env, 1, "gpt-5.5", "08-30", 1000);
    seal(&env, "2026-08");
    rules("shares = { t0 = 1, t1 = 2 }");
    let id = Transcript::new(1).thread;
    let shown = env.run(&["show", &id]).ok().stdout;
    assert!(shown.contains("responses 1, tool calls 0"), "{shown}");
    for share in ["  1 of 3 for team t0  [", "  2 of 3 for team t1  ["] {
        assert_eq!(shown.matches(share).count(), 1, "{share}\n{shown}");
    }

    let explained = env.run(&["ledger", "explain", &format!("{id}/resp_1000")]).ok().stdout;
    let whole = "  formula   (1000 x 5 + 0 x 0.5 + 0 x 5 + 1 x 30) / 1,000,000 = 0.005030000000, of which";
    for part in ["1 of 3\n  list      0.001676666667 USD\n", "2 of 3\n  list      0.003353333333 USD\n"] {
        assert!(explained.contains(&format!("{whole} {part}")), "{part}\n{explained}");
    }
    assert!(explained.contains("  class     usage of 2026-08, sealed\n"), "{explained}");
    assert_eq!(
        explained.matches(" correction of 2026-08: re-mapped: team t0 is now t0 and t1\n").count(),
        2,
        "{explained}"
    );
    let responses = env.run(&["show", &id, "--responses"]).ok().stdout;
    assert!(responses.ends_with(&format!("\n\n{explained}")), "{responses}");

    seal(&env, "2026-09");
    rules("shares = { t0 = 2, t1 = 1 }");
    let explained = env.run(&["ledger", "explain", &format!("{id}/resp_1000")]).ok().stdout;
    assert_eq!(
        explained.matches(" correction of 2026-08: re-mapped: other shares of team t0 and t1\n").count(),
        2,
        "{explained}"
    );
    drop(env.run(&["ledger", "verify"]).ok());
}

#[test]
fn the_chargeback_of_a_closed_month_without_usage_is_not_open() {
    let env = machine();
    respond(&env, 1, "gpt-5.5", "06-10", 1000);
    respond(&env, 2, "gpt-5.5", "08-10", 1000);
    ["2026-06", "2026-07"].into_iter().for_each(|period| seal(&env, period));
    let made = |period: &str, tz: &str| {
        let dir = env.root().join(format!("{period}{}", tz.replace('/', "-")));
        drop(env.run(&["chargeback", "-p", period, "--tz", tz, "--out", dir.to_str().unwrap()]).ok());
        let manifest: Value = serde_json::from_slice(&std::fs::read(dir.join("manifest.json")).unwrap()).unwrap();
        let is_open = std::fs::read_to_string(dir.join("index.html")).unwrap().contains("figures can still change");
        (manifest["status"].as_str().unwrap().to_string(), is_open)
    };
    let (sealed, open) = (("sealed".to_string(), false), ("estimated".to_string(), true));
    // May was closed when June was sealed; July has no usage; September is to come.
    for period in ["2026-05", "2026-06", "2026-07"] {
        assert_eq!(made(period, "UTC"), sealed, "{period}");
    }
    assert_eq!((made("2026-08", "UTC"), made("2026-09", "UTC")), (open.clone(), open.clone()));
    // The last evening of July in New York is of August.
    assert_eq!((made("2026-07", "America/New_York"), made("2026-05", "America/New_York")), (open, sealed));
}

#[test]
fn a_tool_has_no_more_tokens_without_a_price_than_tokens() {
    let env = machine();
    respond(&env, 1, "gpt-99", "08-10", 5);
    let path = Transcript::new(1).path(&env);
    let mut text = std::fs::read_to_string(&path).unwrap();
    for name in ["exec_command", "apply_patch"] {
        let call = json!({"type": "function_call", "name": name, "call_id": name, "arguments": "{}"});
        let output = json!({"type": "function_call_output", "call_id": name, "output": "x"});
        for item in [call, output] {
            let line = crate::support::transcript::line("response_item", &item);
            text.push_str(&line.replace("2026-11-21T01:38:57.000Z", "2026-08-10T01:38:58.000Z"));
        }
    }
    std::fs::write(&path, text).unwrap();
    let report = env.run(&["report", "monthly", "--by", "tool", "--format", "json"]).ok().json();
    let rows = report["rows"].as_array().unwrap();
    let of = |row: &Value, name: &str| row[name].as_i64().unwrap();
    let tokens = |row: &Value| (of(row, "total_tokens"), of(row, "unpriced_tokens"));
    let found: Vec<_> = rows.iter().map(|row| (row["tool"].as_str().unwrap_or("-"), tokens(row))).collect();
    assert_eq!(found, [("-", (0, 0)), ("Bash", (2, 2)), ("apply_patch", (4, 4))], "{report}");
    assert_eq!(tokens(&report["totals"]), (6, 6));
}

#[test]
fn a_seal_has_the_fees_of_tools_and_those_made_before_still_hold() {
    let env = machine();
    std::fs::write(env.home().join("teams.toml"), "[[rule]]\nteam = \"search\"\n").unwrap();
    respond(&env, 1, "gpt-5.5", "08-10", 1000);
    let thread = Transcript::new(1).thread;
    let path = Transcript::new(1).path(&env);
    let item = json!({"type": "WebSearch", "id": "ws_1", "query": "x"});
    let event = json!({"type": "item_completed", "thread_id": thread, "turn_id": "t", "item": item});
    let search =
        crate::support::transcript::line("event_msg", &event).replace("2026-11-21T01:38:57", "2026-08-10T01:38:58");
    std::fs::write(&path, std::fs::read_to_string(&path).unwrap() + &search).unwrap();
    let month = env.run(&["report", "monthly", "-p", "2026-08", "--format", "json"]).ok().json();
    assert_eq!(month["totals"]["tool_fees_usd"], "0.010000000000", "{month}");
    seal(&env, "2026-08");
    let db = rusqlite::Connection::open(env.home().join("tally.db")).unwrap();
    let kept: Vec<u8> = db.query_row("SELECT json FROM seal", [], |row| row.get(0)).unwrap();
    let mut kept: Value = serde_json::from_slice(&kept).unwrap();
    assert_eq!(kept["totals"], json!({"list_usd": "0.005030000000", "tool_fees_usd": "0.010000000000"}));
    let owner = &kept["owners"][0];
    assert_eq!((&owner["team"], &owner["exact"]), (&json!("search"), &kept["totals"]));
    assert_eq!(owner["booked"], json!({"list_usd": "0.01", "tool_fees_usd": "0.01"}));
    let holds = |env: &TestEnv| !env.run(&["ledger", "verify"]).stderr.contains("does not hold");
    assert!(holds(&env));

    // As it was made before: without fees, and of schema 1. With another schema that is no seal of its lines.
    for place in ["/totals", "/owners/0/exact", "/owners/0/booked"] {
        let _ = kept.pointer_mut(place).unwrap().as_object_mut().unwrap().remove("tool_fees_usd").unwrap();
    }
    let mut triggers =
        db.prepare("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'seal'").unwrap();
    let names: Vec<String> = triggers.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    names.iter().for_each(|name| db.execute_batch(&format!("DROP TRIGGER {name}")).unwrap());
    for schema in [2, 1] {
        kept["schema"] = schema.into();
        let mut bytes = serde_json::to_vec_pretty(&kept).unwrap();
        bytes.push(b'\n');
        let hash: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(db.execute("UPDATE seal SET json = ?1, sha256 = ?2", (bytes, hash)).unwrap(), 1);
        assert_eq!(holds(&env), schema == 1, "schema {schema}");
    }
    let made = env.root().join("again");
    drop(env.run(&["ledger", "seal", "-p", "2026-08", "--out", made.to_str().unwrap()]).ok());
}

/// The turns of a month's rows by class and corrected month, and in the totals.
fn turns(env: &TestEnv, period: &str) -> Vec<(String, i64)> {
    let period = if period.is_empty() { vec![] } else { vec!["-p", period] };
    let args = [&["report", "monthly", "--by", "team", "--format", "json"][..], &period].concat();
    let report = env.run(&args).ok().json();
    let of = |row: &Value| (row["class"].as_str().unwrap_or("all").to_string(), row["turns"].as_i64().unwrap());
    report["rows"].as_array().unwrap().iter().chain([&report["totals"]]).map(of).collect()
}

#[test]
fn a_turn_is_one_whatever_is_sealed_of_it() {
    let (env, fresh) = (machine(), machine());
    let said = |day: &str, n: u64, input: u64| {
        for env in [&env, &fresh] {
            respond(env, n, "gpt-5.5", day, input);
        }
    };
    let row = |class: &str, n: i64| (class.to_string(), n);
    let totals = |n: i64| {
        assert_eq!([&env, &fresh].map(|env| turns(env, "").pop().unwrap().1), [n, n]);
    };
    // A turn over the end of a month.
    said("08-31", 1, 1000);
    said("09-01", 1, 2000);
    seal(&env, "2026-08");
    assert_eq!(turns(&env, "2026-08"), [row("usage", 1), row("all", 1)]);
    assert_eq!(turns(&env, "2026-09"), [row("usage", 1), row("all", 1)]);
    totals(1);
    // Another one, and more of the first, are late.
    said("08-30", 2, 3000);
    said("08-31", 1, 4000);
    assert_eq!(turns(&env, "2026-08"), [row("usage", 1), row("all", 1)]);
    assert_eq!(turns(&env, "2026-09"), [row("correction", 1), row("usage", 1), row("all", 2)]);
    assert_eq!(turns(&fresh, "2026-08"), [row("usage", 2), row("all", 2)]);
    totals(2);
    // That stays so when it is sealed, and when they go on.
    seal(&env, "2026-09");
    assert_eq!(turns(&env, "2026-09"), [row("correction", 1), row("usage", 1), row("all", 2)]);
    said("09-20", 2, 5000);
    said("10-02", 2, 6000);
    assert_eq!(turns(&env, "2026-10"), [row("correction", 1), row("usage", 1), row("all", 1)]);
    totals(2);
    // Another price or team makes no turn.
    std::fs::write(env.home().join("teams.toml"), "[[rule]]\nteam = \"search\"\n").unwrap();
    let october = turns(&env, "2026-10");
    assert!(october.iter().filter(|(class, _)| class == "correction").map(|(_, n)| n).sum::<i64>() == 1, "{october:?}");
    totals(2);
    drop(env.run(&["ledger", "rebuild"]).ok());
    totals(2);
    drop(env.run(&["ledger", "verify"]).ok());
}
