//! `teams.toml` through the program: the administrator's rules, where they are found, and what a broken one says.

use std::path::Path;

use codex_tally::config::parse_teams;

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
fn the_example_is_understood() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("examples/teams.toml")).unwrap();
    let rules = parse_teams(&text).unwrap();
    assert_eq!(rules.len(), 5);
    let names: std::collections::BTreeSet<_> =
        rules.iter().flat_map(|r| &r.matchers).map(|m| m.subject.name()).collect();
    let document = std::fs::read_to_string(root.join("docs/teams.md")).unwrap();
    for name in names.into_iter().filter(|n| *n != "team.id").chain(["attribute"]) {
        assert!(document.contains(&format!("| `{name}")), "docs/teams.md does not explain {name}");
    }
}
