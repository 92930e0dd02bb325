//! `teams.toml` through the program: the administrator's rules, where they are found, and what a broken one says.

use std::path::Path;

use codex_tally::config::read_teams;

use crate::support::{Capture, Feed, TestEnv};

fn machine() -> TestEnv {
    let env = TestEnv::new();
    for name in ["01_http_json", "10_auth_chatgpt"] {
        Capture::named(name).replay(&env, &[Feed::Otlp, Feed::Transcripts]);
    }
    env
}

/// Team, cost centre and project of each row, with its responses.
fn owners(env: &TestEnv, args: &[&str]) -> Vec<String> {
    let all = [&["report", "monthly", "--by", "team,cost_centre,project", "--format", "json"], args].concat();
    let report = env.run(&all).ok().json();
    let names = ["team", "cost_centre", "project", "responses"];
    let row = |row: &serde_json::Value| names.map(|n| row[n].to_string().replace('"', "")).join(" ");
    report["rows"].as_array().unwrap().iter().map(row).collect()
}

const RULES: &str = r#"
[[rule]]
name = "ann's"
email = "alice@*"
team = "a-team"

[[rule]]
attribute = { "team.id" = "plat*" }
directory = "*"
team = "second"
cost_centre = "CC-2"

[[rule]]
project = "everything"
"#;

#[test]
fn rules_decide_field_by_field() {
    let env = machine();
    let before = owners(&env, &[]);
    assert_eq!(before, ["platform CC-4521 api-gateway 5"], "declared by the captures");
    let wanted = ["a-team CC-2 everything 2", "second CC-2 everything 3"];
    let home = env.home().join("teams.toml");
    std::fs::write(&home, RULES).unwrap();
    assert_eq!(owners(&env, &[]), wanted);
    let shown = env.run(&["show", "last"]).ok().stdout;
    assert!(shown.contains("rule ann's: email fits alice@*; else platform (declared: "), "{shown}");
    // Named by a flag, or in the configuration, beside which it is found.
    std::fs::rename(&home, env.work().join("rules.toml")).unwrap();
    assert_eq!(owners(&env, &[]), before);
    assert_eq!(owners(&env, &["--teams", "rules.toml"]), wanted);
    std::fs::rename(env.work().join("rules.toml"), env.home().join("rules.toml")).unwrap();
    std::fs::write(env.home().join("config.toml"), "teams = \"rules.toml\"\n").unwrap();
    assert_eq!(owners(&env, &[]), wanted);
}

#[test]
fn a_broken_file_stops_reports_with_its_place() {
    let env = machine();
    std::fs::write(env.home().join("teams.toml"), format!("{RULES}\n[[rule]]\nname = \"x\"\nuser = \"a\"\n")).unwrap();
    for args in [&["report", "monthly"][..], &["report", "session"], &["show", "last"]] {
        let out = env.run(args).fails(1);
        assert!(out.stderr.contains("teams.toml is not understood: line 16, rule 4 (x): sets nothing"), "{out}");
        assert!(out.stdout.is_empty(), "{out}");
    }
    let out = env.run(&["report", "monthly", "--teams", "missing.toml"]).fails(1);
    assert!(out.stderr.contains("cannot read missing.toml"), "{out}");
}

#[test]
fn members_come_after_rules_and_before_claims() {
    let env = machine();
    let teams = "members = \"people/members.csv\"\n\n[[rule]]\nuser = \"alice@*\"\ncost_centre = \"CC-7\"\n\
                 labels = { product = \"gateway\" }\n";
    std::fs::write(env.home().join("teams.toml"), teams).unwrap();
    let out = env.run(&["report", "monthly"]).fails(1);
    assert!(out.stderr.contains("cannot read ") && out.stderr.contains("people/members.csv"), "{out}");
    std::fs::create_dir(env.home().join("people")).unwrap();
    let write = |text: &str| std::fs::write(env.home().join("people/members.csv"), text).unwrap();
    write("email,team,cost_centre,until\n");
    let out = env.run(&["report", "monthly"]).fails(1);
    assert!(out.stderr.contains("people/members.csv is not understood: line 1: unknown column `until`"), "{out}");
    write("email,team,cost_centre,from,to\nAlice@example.com,data,CC-1,2026-11-01,2026-11-30\n");
    assert_eq!(owners(&env, &[]), ["data CC-7 api-gateway 2", "platform CC-4521 api-gateway 3"]);
    let coverage = env.run(&["report", "monthly", "--format", "json"]).ok().json()["coverage"].clone();
    assert_eq!(coverage["responses_by_team_strength"], serde_json::json!({"declared": 3, "rule": 2}));
    assert_eq!(coverage["contradicted_responses"], 2);
    let table = env.run(&["report", "monthly"]).ok().stdout;
    assert!(table.contains("\nteam known by: rule 2 (0.3638 credits); declared 3 (0.0799 USD)\n"), "{table}");
    assert!(table.contains("\n2 responses that claim another team"), "{table}");
    let shown = env.run(&["show", "last"]).ok().stdout;
    for says in [
        "members.csv line 2: Alice@example.com is a member; contradicts platform (declared: ",
        "  label     product = gateway (rule 1: user fits alice@*)",
        "  claims    contradict what is known: not believed",
    ] {
        assert!(shown.contains(says), "{shown}");
    }
    // The row has ended before.
    write("email,team,cost_centre,from,to\nAlice@example.com,data,CC-1,,2026-11-20\n");
    assert_eq!(owners(&env, &[])[0], "platform CC-4521 api-gateway 3");
}

#[test]
fn teams_may_share_a_cost() {
    let env = machine();
    let teams = "[[rule]]\nemail = \"alice@*\"\nshares = { search = 1, platform = 2 }\n";
    std::fs::write(env.home().join("teams.toml"), teams).unwrap();
    let id = env.run(&["show", "last"]).ok().stdout;
    let line = id.lines().find(|l| l.contains("[otlp+transcript]")).unwrap().rsplit(' ').next().unwrap().to_string();
    let explained = env.run(&["ledger", "explain", &format!("last/{line}")]).ok().stdout;
    for says in [
        "  share     2 of 3: tokens and amounts are its part, to the last unit\n  team      platform (rule 1: email fits alice@*; else platform",
        "  share     1 of 3: tokens and amounts are its part, to the last unit\n  team      search (rule 1: email fits alice@*; else platform",
    ] {
        assert!(explained.contains(says), "{explained}");
    }
    // Both together are what one team alone would pay, and no response is there twice.
    let monthly = |env: &TestEnv| env.run(&["report", "monthly", "--by", "team", "--format", "json"]).ok().json();
    let shared = monthly(&env);
    std::fs::remove_file(env.home().join("teams.toml")).unwrap();
    let alone = monthly(&env);
    let rows: Vec<_> = shared["rows"].as_array().unwrap().iter().collect();
    assert_eq!(rows.iter().map(|r| r["team"].as_str().unwrap()).collect::<Vec<_>>(), ["platform", "search"]);
    for name in
        ["responses", "input_tokens", "cached_input_tokens", "output_tokens", "chatgpt_credits", "api_equivalent_usd"]
    {
        assert_eq!(shared["totals"][name], alone["totals"][name], "{name}");
    }
    // A third of what alice's session has: 3,030.
    assert_eq!(rows[1]["total_tokens"], 1_010);
}

#[test]
fn the_example_is_understood() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let rules = read_teams(&root.join("examples/teams.toml"), true).unwrap();
    let mut names: std::collections::BTreeSet<_> =
        rules.rules.iter().flat_map(|r| &r.matchers).map(|m| m.subject.name().to_string()).collect();
    let document = std::fs::read_to_string(root.join("docs/teams.md")).unwrap();
    assert!(names.remove("team.id") && names.insert("attribute".into()));
    for name in &names {
        assert!(document.contains(&format!("\n| `{name}")), "docs/teams.md does not explain {name}");
    }
    let rows = document.lines().filter(|l| l.starts_with("| `") && l.contains("PATTERN"));
    assert_eq!(rows.count(), names.len(), "the example shows every matcher");
    assert!(rules.rules.iter().any(|r| !r.shares.is_empty()) && rules.rules.iter().any(|r| !r.labels.is_empty()));
    assert!(rules.rules.iter().any(|r| r.days.from.is_some()) && rules.rules.iter().any(|r| r.user.is_some()));
    assert_eq!(rules.members.len(), 2);
    assert!(rules.members.values().any(|rows| rows.len() > 1), "somebody moves");
}
