//! Every figure can be explained down to the records it came from: `show --responses`, `ledger explain`, reported costs, fees.

use serde_json::Value;

use crate::support::{Capture, Feed, TestEnv};

const ALL: [Feed; 3] = [Feed::Hooks, Feed::Otlp, Feed::Transcripts];

fn replayed(name: &str) -> TestEnv {
    let env = TestEnv::new();
    let capture = Capture::all("captures").into_iter().find(|c| c.name == name);
    capture.unwrap_or_else(|| panic!("no capture {name}")).replay(&env, &ALL);
    env
}

fn totals(env: &TestEnv) -> Value {
    env.run(&["report", "monthly", "--no-import", "--format", "json"]).ok().json()["totals"].clone()
}

/// Units of 10^-12.
fn pico(decimal: &str) -> i128 {
    let (whole, fraction) = decimal.split_once('.').unwrap_or_else(|| panic!("{decimal}"));
    assert_eq!(fraction.len(), 12, "{decimal}");
    format!("{whole}{fraction}").parse().unwrap()
}

/// What stands behind a name at the beginning of a line.
fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines().find_map(|line| line.trim_start().strip_prefix(name)?.strip_prefix(' ')).map(str::trim_start)
}

#[test]
fn the_explained_lines_are_the_total() {
    let mut explained = 0;
    for capture in Capture::all("captures") {
        let env = TestEnv::new();
        capture.replay(&env, &ALL);
        let sessions = env.run(&["report", "session", "--no-import", "--format", "json"]).ok().json();
        let (mut usd, mut credits) = (0, 0);
        for session in sessions["rows"].as_array().unwrap() {
            let id = session["session_id"].as_str().unwrap();
            let shown = env.run(&["show", id, "--responses", "--no-import"]).ok().stdout;
            for part in shown.split("\nline ").skip(1) {
                let line = part.lines().next().unwrap();
                let alone = env.run(&["ledger", "explain", line, "--no-import"]).ok().stdout;
                assert_eq!(alone.trim_end(), format!("line {part}").trim_end(), "{}", capture.name);
                explained += 1;
                let sources: usize = part.lines().filter(|l| l.contains(" key ")).count();
                assert!(sources >= field(part, "seen by").unwrap().split('+').count(), "{part}");
                let Some(list) = field(part, "list") else { continue };
                let (amount, unit) = list.split_once(' ').unwrap();
                let formula = field(part, "formula").unwrap();
                assert!(formula.ends_with(&format!("= {amount}")), "{part}");
                assert_eq!(computed(formula), pico(amount), "{part}");
                *(if unit == "USD" { &mut usd } else { &mut credits }) += pico(amount);
            }
        }
        let totals = totals(&env);
        let total = |name: &str| totals[name].as_str().map_or(0, pico);
        assert_eq!((total("list_usd"), total("chatgpt_credits")), (usd, credits), "{}", capture.name);
    }
    assert!(explained > 60, "{explained}");
}

/// `(12 x 5 + 7 x 0.5) / 1,000,000 = …`, computed from what stands there.
fn computed(formula: &str) -> i128 {
    let terms = formula.strip_prefix('(').unwrap().split(')').next().unwrap();
    let term = |term: &str| -> i128 {
        let (tokens, rate) = term.split_once(" x ").unwrap();
        let (whole, fraction) = rate.split_once('.').unwrap_or((rate, ""));
        let micro: i128 = format!("{whole}{fraction:0<6}").parse().unwrap();
        tokens.parse::<i128>().unwrap() * micro
    };
    terms.split(" + ").map(term).sum()
}

#[test]
fn a_line_is_found_by_what_show_prints_and_by_its_response() {
    let env = replayed("01_http_json");
    let explain = |line: &str| env.run(&["ledger", "explain", line, "--no-import"]);
    let shown = env.run(&["show", "last", "--no-import"]).ok().stdout;
    let line = shown.lines().find(|l| l.contains("standard")).unwrap().split_whitespace().last().unwrap();
    let by_line = explain(&format!("last/{line}")).ok().stdout;
    let response = field(&by_line, "response").unwrap();
    assert_eq!(explain(&format!("last/{response}")).ok().stdout, by_line);
    // Any of its records will do, here that of OTLP.
    let key = by_line.lines().find(|l| l.trim_start().starts_with("otlp ")).unwrap();
    let key = key.split(" key ").nth(1).unwrap().split(' ').next().unwrap();
    assert_eq!(explain(&format!("last/{}", &key[..10])).ok().stdout, by_line);
    for (wrong, says) in [("last/zz", "show last"), ("last/", "show last"), ("nobody/aa", "report session")] {
        assert!(explain(wrong).fails(1).stderr.contains(says), "{wrong}");
    }
    assert!(explain("aabb").fails(2).stderr.contains("SESSION/LINE"));
}

#[test]
fn what_codex_reports_stands_beside_the_list() {
    let env = replayed("13_turn_cost");
    let totals = totals(&env);
    assert_eq!(totals["reported_usd"], "0.012345000000");
    let shown = env.run(&["show", "last", "--no-import"]).ok().stdout;
    assert!(shown.contains("Codex reported 0.0123 USD"), "{shown}");
    // Its turn alone: nothing that other turns cost is compared with it.
    let list = pico(totals["reported_list_usd"].as_str().unwrap());
    assert!(list > 0 && list <= pico(totals["list_usd"].as_str().unwrap()), "{totals}");
    let rows = env.run(&["report", "session", "--no-import", "--format", "json"]).ok().json();
    assert_eq!(rows["totals"]["reported_usd"], totals["reported_usd"]);
}

#[test]
fn web_searches_are_counted_and_priced() {
    let env = replayed("05_tools_classic");
    let by_tool = env.run(&["report", "monthly", "--by", "tool", "--no-import", "--format", "json"]).ok().json();
    let rows = by_tool["rows"].as_array().unwrap();
    let searches = rows.iter().find(|row| row["tool"] == "web_search").expect("a row of web searches");
    let calls = searches["tool_calls"].as_u64().unwrap();
    assert!(calls > 0);
    // 10 USD for a thousand calls; nothing else has a fee.
    let fees = i128::from(calls) * 10_000_000_000;
    assert_eq!(pico(searches["tool_fees_usd"].as_str().unwrap()), fees);
    assert_eq!(pico(by_tool["totals"]["tool_fees_usd"].as_str().unwrap()), fees);
    assert_eq!(by_tool["coverage"]["unpriced_tool_calls"], 0);
    // What responses cost is shared over the calls that they asked for, and the rest is the answers': nothing is lost.
    let of = |row: &Value, name: &str| row[name].as_str().map_or(0, pico);
    let total = totals(&env);
    for name in ["list_usd", "chatgpt_credits", "api_equivalent_usd"] {
        let sum: i128 = rows.iter().map(|row| of(row, name)).sum();
        assert_eq!(sum, of(&total, name), "{name}");
    }
    for name in ["input_tokens", "cached_input_tokens", "output_tokens", "total_tokens", "tool_calls", "responses"] {
        let sum: i64 = rows.iter().map(|row| row[name].as_i64().unwrap()).sum();
        assert_eq!(sum, total[name].as_i64().unwrap(), "{name}");
    }
    let bash = rows.iter().find(|row| row["tool"] == "Bash").unwrap();
    assert!(of(bash, "list_usd") > 0 && of(bash, "list_usd") < of(&total, "list_usd"), "{bash}");
    let servers = env.run(&["report", "monthly", "--by", "mcp_server", "--no-import", "--format", "json"]).ok().json();
    let server = |row: &Value| row["mcp_server"].as_str().map(|server| (server.to_string(), of(row, "list_usd") > 0));
    let servers: Vec<_> = servers["rows"].as_array().unwrap().iter().filter_map(server).collect();
    assert!(!servers.is_empty() && servers.iter().all(|(_, cost)| *cost), "{servers:?}");
}
