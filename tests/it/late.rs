//! What comes after a month was sealed: gates see it, and what is shown of it says what is booked.

use crate::support::{TestEnv, Transcript};
use serde_json::{Value, json};

/// A machine whose channel is known, and usage of August 2026.
fn machine() -> TestEnv {
    let env = TestEnv::new();
    std::fs::create_dir_all(env.home()).unwrap();
    std::fs::write(env.home().join("config.toml"), "channel = \"api\"\n").unwrap();
    env
}

/// Adds to the transcript of the `n`th thread a response of a model to so many input tokens, on a day of 2026.
fn respond(env: &TestEnv, n: u64, model: &str, day: &str, input: u64) {
    let transcript = Transcript::new(n);
    let path = transcript.path(env);
    let old = std::fs::read_to_string(&path).unwrap_or_default();
    let head = if old.is_empty() { transcript.head() } else { String::new() };
    let new = (head + &transcript.record(input)).replace("2026-11-21T", &format!("2026-{day}T"));
    std::fs::write(&path, old + &new.replace("\"gpt-5.5\"", &format!("\"{model}\""))).unwrap();
}

fn seal(env: &TestEnv, period: &str) {
    assert!(env.run(&["ledger", "seal", "-p", period]).ok().stderr.contains("is sealed"));
}

fn coverage(env: &TestEnv, period: &str) -> Value {
    env.run(&["report", "monthly", "-p", period, "--format", "json"]).ok().json()["coverage"].clone()
}

/// Whether a gate is passed, of the report of a month and of its sessions.
fn passes(env: &TestEnv, period: &str, gate: &str) -> bool {
    let passes = |report: &str| !env.run(&["report", report, "-p", period, "--fail-on", gate]).stderr.contains("--fail-on:");
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
