//! Bills of which some rows are of a known team or user and others are not: the same usage stands behind one of them.

use super::import;
use super::months::{DAY, TEAMS, bucket, configure, lines, usage, used};
use crate::support::{TestEnv, Transcript};
use std::collections::BTreeMap;

/// A day's costs by project.
fn costs(of: &[(&str, &str)]) -> String {
    let result = |(usd, project): &(&str, &str)| {
        let fields = format!("\"amount\":{{\"value\":{usd},\"currency\":\"usd\"}},\"line_item\":\"gpt-5.5, all\"");
        let project = if project.is_empty() { "null".to_string() } else { format!("\"{project}\"") };
        format!("{fields},\"project_id\":{project}")
    };
    let results: Vec<String> = of.iter().map(result).collect();
    bucket("costs", &results.join("},{\"object\":\"organization.costs.result\","))
}

/// What is allocated: class, team, user and amount.
fn allocated(env: &TestEnv, args: &[&str]) -> Vec<String> {
    let csv = env.run(&[&["billing", "allocate", "-p", "2026-11", "--format", "csv"], args].concat()).ok().stdout;
    let kept = |row: String| row.replace("unattributed", "-");
    lines(&csv, &["class", "team", "user", "amount", "credits"]).into_iter().map(kept).collect()
}

/// The comparisons in amounts: billed, observed, region, not observed and over observed.
fn compared(env: &TestEnv, is_equal: bool) -> Vec<String> {
    let out = env.run(&["reconcile", "-p", "2026-11", "--format", "csv"]);
    let csv = if is_equal { out.ok().stdout } else { out.fails(1).stdout };
    let rows = lines(&csv, &["unit", "billed", "observed", "region", "unpriced", "not_observed", "over_observed"]);
    rows.into_iter().filter(|row| !row.starts_with("tokens")).map(|row| row.replace("0.000000000000", "0")).collect()
}

#[test]
fn a_team_is_not_charged_for_a_project_that_is_nobodys() {
    let env = TestEnv::new();
    configure(&env, "channel = \"api\"\n[billing]\nprojects = { proj_a = \"search\" }\n", TEAMS);
    // At list 0.02006 USD.
    used(&env, 1, "ann", &[3000, 1000]);
    let file = costs(&[("0.02006", "proj_a"), ("0.02006", "proj_other")]);
    let _ = import(&env, "costs.json", file.as_bytes(), &[]).ok();
    let apart = ["allocated search ann@acme.com 0.020060000000 ", "not_observed - - 0.020060000000 "];
    assert_eq!(allocated(&env, &[]), apart);
    assert_eq!(compared(&env, false), ["USD 0.040120000000 0.020060000000 0 0 0.020060000000 0"]);
    // Of the team's usage that its project has not been billed for, the other one may be.
    used(&env, 2, "ann", &[1000]);
    let rest = ["allocated search ann@acme.com 0.025090000000 ", "not_observed - - 0.015030000000 "];
    assert_eq!(allocated(&env, &[]), rest);
    assert_eq!(compared(&env, false), ["USD 0.040120000000 0.025090000000 0 0 0.015030000000 0"]);
}

#[test]
fn a_bill_that_agrees_with_usage_is_spread_as_it_was_used() {
    let env = TestEnv::new();
    configure(&env, "channel = \"api\"\n[billing]\nprojects = { proj_a = \"search\" }\n", TEAMS);
    used(&env, 1, "ann", &[3000, 1000]);
    used(&env, 2, "bob", &[1000, 1000]);
    let file = costs(&[("0.02006", "proj_a"), ("0.01006", "")]);
    let _ = import(&env, "costs.json", file.as_bytes(), &[]).ok();
    let own = ["allocated platform bob@acme.com 0.010060000000 ", "allocated search ann@acme.com 0.020060000000 "];
    assert_eq!(allocated(&env, &[]), own);
    // Also by tokens, whose price nobody knows.
    assert_eq!(allocated(&env, &["--method", "tokens"]).len(), 2);
    assert_eq!(compared(&env, true), ["USD 0.030120000000 0.030120000000 0 0 0 0"]);
    // At a price below the list.
    let file = costs(&[("0.018054", "proj_a"), ("0.009054", "")]);
    let _ = import(&env, "less.json", file.as_bytes(), &[]).ok();
    let own = ["allocated platform bob@acme.com 0.009054000000 ", "allocated search ann@acme.com 0.018054000000 "];
    assert_eq!(allocated(&env, &[]), own);
    assert_eq!(compared(&env, false), ["USD 0.027108000000 0.030120000000 0 0 0 -0.003012000000"]);
    // What a region costs more is of those who used it.
    let config = "channel = \"api\"\n[billing]\nprojects = { proj_a = \"search\" }\nregion_uplift_percent = 10\n";
    configure(&env, config, TEAMS);
    let file = costs(&[("0.022066", "proj_a"), ("0.011066", "")]);
    let _ = import(&env, "more.json", file.as_bytes(), &[]).ok();
    let own = ["allocated platform bob@acme.com 0.011066000000 ", "allocated search ann@acme.com 0.022066000000 "];
    assert_eq!(allocated(&env, &[]), own);
    assert_eq!(compared(&env, false), ["USD 0.033132000000 0.030120000000 0.003012000000 0 0 0"]);
}

/// With the tokens of the bill it is known what is only another price.
#[test]
fn a_higher_price_of_the_same_tokens_is_of_those_who_used_them() {
    let env = TestEnv::new();
    configure(&env, "channel = \"api\"\n[billing]\nprojects = { proj_a = \"search\" }\n", TEAMS);
    used(&env, 1, "ann", &[1000]);
    used(&env, 2, "bob", &[1000, 1000]);
    let _ = import(&env, "usage.json", usage(3000, 3, "default").as_bytes(), &[]).ok();
    let file = costs(&[("0.006", "proj_a"), ("0.012", "proj_other")]);
    let _ = import(&env, "costs.json", file.as_bytes(), &[]).ok();
    let own = ["allocated platform bob@acme.com 0.012000000000 ", "allocated search ann@acme.com 0.006000000000 "];
    assert_eq!(allocated(&env, &[]), own);
    assert_eq!(compared(&env, false), ["USD 0.018000000000 0.015090000000 0 0 0 0"]);
    // As many again that nobody observed, under the project that is nobody's.
    let _ = import(&env, "usage-2.json", usage(6000, 6, "default").as_bytes(), &[]).ok();
    let file = costs(&[("0.00503", "proj_a"), ("0.02515", "proj_other")]);
    let _ = import(&env, "costs-2.json", file.as_bytes(), &[]).ok();
    let rows = [
        "allocated platform bob@acme.com 0.010060000000 ",
        "allocated search ann@acme.com 0.005030000000 ",
        "not_observed - - 0.015090000000 ",
    ];
    assert_eq!(allocated(&env, &[]), rows);
    assert_eq!(compared(&env, false), ["USD 0.030180000000 0.015090000000 0 0 0.015090000000 0"]);
}

#[test]
fn what_a_project_was_billed_beyond_its_teams_usage_is_not_offset_by_others() {
    let env = TestEnv::new();
    configure(&env, "channel = \"api\"\n[billing]\nprojects = { proj_a = \"search\" }\n", TEAMS);
    used(&env, 1, "ann", &[1000]);
    used(&env, 2, "bob", &[1000]);
    let file = costs(&[("0.01006", "proj_a"), ("0.00003", "")]);
    let _ = import(&env, "costs.json", file.as_bytes(), &[]).ok();
    let rows = [
        "allocated platform bob@acme.com 0.000030000000 ",
        "allocated search ann@acme.com 0.005030000000 ",
        "not_observed search - 0.005030000000 ",
    ];
    assert_eq!(allocated(&env, &[]), rows);
    assert_eq!(compared(&env, false), ["USD 0.010090000000 0.010060000000 0 0 0.005030000000 -0.005000000000"]);
}

#[test]
fn a_user_is_not_charged_for_an_id_that_is_nobodys() {
    let env = TestEnv::new();
    let config = "channel = \"chatgpt\"\n[billing]\nusers = { user-ann = \"Ann@acme.com\" }\n";
    configure(&env, config, TEAMS);
    // 0.5015 credits.
    used(&env, 1, "ann", &[3000, 1000]);
    let export = "date,user_id,credits\n2026-11-21,user-ann,0.5015\n2026-11-21,user-bob,0.5015\n";
    let _ = import(&env, "export.csv", export.as_bytes(), &[]).ok();
    let rows = ["allocated search ann@acme.com  0.501500000000", "not_observed - -  0.501500000000"];
    assert_eq!(allocated(&env, &[]), rows);
    assert_eq!(compared(&env, false), ["credits 1.003000000000 0.501500000000 0 0 0.501500000000 0"]);
}

#[test]
fn what_has_no_price_is_of_those_who_used_it() {
    let env = TestEnv::new();
    configure(&env, "channel = \"api\"\n", TEAMS);
    for (n, user) in [(1, "ann"), (2, "bob")] {
        used(&env, n, user, &[1000]);
        let path = crate::support::Transcript::new(n).path(&env);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("\"gpt-5.5\""));
        std::fs::write(path, text.replace("\"gpt-5.5\"", "\"gpt-99\"")).unwrap();
    }
    let file = costs(&[("0.5", "proj_a")]).replace("\"gpt-5.5, all\"", "\"gpt-99\"");
    let _ = import(&env, "costs.json", file.as_bytes(), &[]).ok();
    let halves = ["allocated platform bob@acme.com 0.250000000000 ", "allocated search ann@acme.com 0.250000000000 "];
    assert_eq!(allocated(&env, &[]), halves);
    assert_eq!(compared(&env, false), ["USD 0.500000000000 0 0 0.500000000000 0 0"]);
}

/// Pages of these days of November, of which some have a row.
fn days(object: &str, days: std::ops::RangeInclusive<u64>, rows: &[(u64, &str)]) -> String {
    let bucket = |day: u64| {
        let start = DAY - 21 * 86_400 + day * 86_400;
        let row = |(_, fields): &(u64, &str)| format!("{{\"object\":\"organization.{object}.result\",{fields}}}");
        let rows: Vec<String> = rows.iter().filter(|(of, _)| *of == day).map(row).collect();
        format!("{{\"start_time\":{start},\"end_time\":{},\"results\":[{}]}}", start + 86_400, rows.join(","))
    };
    format!("{{\"object\":\"page\",\"data\":[{}]}}", days.map(bucket).collect::<Vec<_>>().join(","))
}

/// At list 1.00 USD.
const TOKENS: &str = "\"input_tokens\":199994,\"output_tokens\":1,\"model\":\"gpt-5.5\",\"service_tier\":\"default\"";

/// At list 1.00 USD on the 5th and on the 21st.
fn used_on_two_days() -> TestEnv {
    let env = TestEnv::new();
    configure(&env, "channel = \"api\"\n", TEAMS);
    for n in [1, 2] {
        used(&env, n, "ann", &[199_994]);
    }
    let path = Transcript::new(2).path(&env);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("\"2026-11-21T"));
    std::fs::write(path, text.replace("\"2026-11-21T", "\"2026-11-05T")).unwrap();
    env
}

fn remove_newest(env: &TestEnv) {
    let files = env.run(&["billing", "list", "--files", "--format", "json"]).ok().json();
    let hash = files["rows"].as_array().unwrap().last().unwrap()["file"].as_str().unwrap();
    let _ = env.run(&["billing", "remove", hash]).ok();
}

/// What each team pays, and what nobody used.
fn paid(env: &TestEnv) -> Vec<String> {
    let csv = env.run(&["billing", "allocate", "-p", "2026-11", "--format", "csv"]).ok().stdout;
    let mut sums: BTreeMap<String, i128> = BTreeMap::new();
    for row in lines(&csv, &["team", "amount"]) {
        let (team, amount) = row.split_once(' ').unwrap();
        *sums.entry(team.to_string()).or_default() += amount.replace('.', "").parse::<i128>().unwrap();
    }
    sums.into_iter().map(|(team, pico)| format!("{team} {pico}")).collect()
}

/// The differences in amounts.
fn explained(env: &TestEnv, is_equal: bool) -> Vec<String> {
    let out = env.run(&["reconcile", "-p", "2026-11", "--format", "csv"]);
    let csv = if is_equal { out.ok().stdout } else { out.fails(1).stdout };
    let rows = lines(&csv, &["unit", "day", "billed", "observed", "price", "not_observed"]);
    let rows = rows.into_iter().filter_map(|row| row.strip_prefix("USD ").map(str::to_string));
    rows.map(|row| row.replace(".000000000000", "")).collect()
}

#[test]
fn tokens_of_some_days_do_not_explain_the_money_of_others() {
    let env = used_on_two_days();
    let invoice = "invoice,line,kind,from,to,account,channel,amount,currency\n\
                   INV-1,1,usage,2026-11-01,2026-11-30,acme,api,10.00,USD\n";
    let _ = import(&env, "invoice.csv", invoice.as_bytes(), &[]).ok();
    let own = ["search 2000000000000", "unattributed 8000000000000"];
    assert_eq!(paid(&env), own);
    assert_eq!(explained(&env, false), [" 10 2 0 8"]);
    // Those of one day, as they were observed.
    let tokens = days("usage.completions", 21..=21, &[(21, TOKENS)]);
    let _ = import(&env, "day.json", tokens.as_bytes(), &[]).ok();
    assert_eq!(paid(&env), own);
    assert_eq!(explained(&env, false), [" 10 2 0 8"]);
    let said = env.run(&["reconcile", "-p", "2026-11"]).fails(1);
    let note =
        "amounts in USD are of 29 days of accounts that not all tokens are there of, for example acme on 2026-11-01";
    assert!((said.stdout + &said.stderr).contains(note));
    // All of them say that it was another price; those of another organisation, or a part, say nothing.
    let all = days("usage.completions", 1..=30, &[(5, TOKENS), (21, TOKENS)]);
    let _ = import(&env, "other.json", all.as_bytes(), &["--account", "org2"]).ok();
    assert_eq!(paid(&env), own);
    remove_newest(&env);
    let _ = import(&env, "part.json", all.as_bytes(), &["--part"]).ok();
    assert_eq!(paid(&env), own);
    remove_newest(&env);
    let _ = import(&env, "all.json", all.as_bytes(), &[]).ok();
    assert_eq!(paid(&env), ["search 10000000000000"]);
    assert_eq!(explained(&env, false), [" 10 2 8 0"]);
}

#[test]
fn tokens_of_one_organisation_do_not_explain_the_money_of_another() {
    let env = used_on_two_days();
    let cost =
        |usd: &str| format!("\"amount\":{{\"value\":{usd},\"currency\":\"usd\"}},\"line_item\":\"gpt-5.5, input\"");
    let (one, five) = (cost("1.0"), cost("5.0"));
    let acme = ["--account", "acme"];
    let costs = days("costs", 1..=30, &[(5, &one), (21, &one)]);
    let _ = import(&env, "costs.json", costs.as_bytes(), &acme).ok();
    let tokens = days("usage.completions", 1..=30, &[(5, TOKENS), (21, TOKENS)]);
    let _ = import(&env, "tokens.json", tokens.as_bytes(), &acme).ok();
    assert_eq!(paid(&env), ["search 2000000000000"]);
    assert_eq!(explained(&env, true), ["2026-11-05 1 1 0 0", "2026-11-21 1 1 0 0"]);
    let other = days("costs", 5..=5, &[(5, &five)]);
    let _ = import(&env, "other.json", other.as_bytes(), &["--account", "org2"]).ok();
    assert_eq!(paid(&env), ["search 2000000000000", "unattributed 5000000000000"]);
    assert_eq!(explained(&env, false), ["2026-11-05 6 1 0 5", "2026-11-21 1 1 0 0"]);
    // Without the other one, what acme was billed for the same tokens is another price.
    remove_newest(&env);
    let _ = import(&env, "more.json", days("costs", 5..=5, &[(5, &five)]).as_bytes(), &acme).ok();
    assert_eq!(paid(&env), ["search 6000000000000"]);
    assert_eq!(explained(&env, false), ["2026-11-05 5 1 4 0", "2026-11-21 1 1 0 0"]);
}

#[test]
fn a_credit_note_leaves_usage_where_it_is() {
    let env = TestEnv::new();
    configure(&env, "channel = \"api\"\n[billing]\nprojects = { proj_a = \"search\" }\n", TEAMS);
    used(&env, 1, "ann", &[199_994]);
    used(&env, 2, "bob", &[199_994]);
    let invoice = "invoice,line,kind,from,to,channel,amount,currency,project\n\
                   I,1,usage,2026-11-01,2026-11-30,api,1.00,USD,proj_a\n\
                   I,2,usage,2026-11-01,2026-11-30,api,-0.40,USD,proj_a\n\
                   I,3,usage,2026-11-01,2026-11-30,api,1.00,USD,\n";
    let _ = import(&env, "invoice.csv", invoice.as_bytes(), &[]).ok();
    assert_eq!(paid(&env), ["platform 1000000000000", "search 600000000000"]);
    assert_eq!(explained(&env, false), [" 1.600000000000 2 0 0"]);
}

#[test]
fn tokens_of_some_rows_do_not_explain_the_credits_of_others() {
    let env = TestEnv::new();
    configure(&env, "channel = \"chatgpt\"\n", TEAMS);
    // 0.12575 credits.
    used(&env, 1, "ann", &[1000]);
    let export = "date,user_id,credits,text_input_tokens,cached_text_input_tokens,text_output_tokens\n\
                  2026-11-21,user-ann,0.12575,1000,0,1\n2026-11-21,user-bob,5,,,\n";
    let _ = import(&env, "export.csv", export.as_bytes(), &[]).ok();
    assert_eq!(compared(&env, false), ["credits 5.125750000000 0.125750000000 0 0 5.000000000000 0"]);
}

/// A row of a project and one of a model: neither says more than the other.
#[test]
fn usage_that_only_one_of_two_charges_can_be_for_is_for_that_one() {
    let env = TestEnv::new();
    configure(&env, "channel = \"api\"\n[billing]\nprojects = { proj_a = \"search\" }\n", TEAMS);
    used(&env, 1, "ann", &[199_994]);
    used(&env, 2, "bob", &[199_994]);
    let invoice = "invoice,line,kind,from,to,channel,amount,currency,project,model\n\
                   I,1,usage,2026-11-01,2026-11-30,api,1.00,USD,proj_a,\n\
                   I,2,usage,2026-11-01,2026-11-30,api,1.00,USD,,gpt-5.5\n";
    let _ = import(&env, "invoice.csv", invoice.as_bytes(), &[]).ok();
    assert_eq!(paid(&env), ["platform 1000000000000", "search 1000000000000"]);
    assert_eq!(explained(&env, true), [" 2 2 0 0"]);
}

/// Two billing cycles of which one ends when the other has begun.
#[test]
fn usage_of_days_that_only_one_of_two_charges_has_is_for_that_one() {
    let env = used_on_two_days();
    let path = Transcript::new(2).path(&env);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, text.replace("code/ann", "code/bob")).unwrap();
    for (first, second) in [("05,2026-11-23", "10,2026-11-30"), ("01,2026-11-23", "10,2026-11-30")] {
        let invoice = format!(
            "invoice,line,kind,from,to,channel,amount,currency\nI,1,usage,2026-11-{first},api,1.00,USD\n\
             I,2,usage,2026-11-{second},api,1.00,USD\n"
        );
        let _ = import(&env, "invoice.csv", invoice.as_bytes(), &["--whole"]).ok();
        assert_eq!(paid(&env), ["platform 1000000000000", "search 1000000000000"]);
        assert_eq!(explained(&env, true), [" 2 2 0 0"]);
    }
}
