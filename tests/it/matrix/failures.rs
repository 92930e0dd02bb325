//! What goes wrong at the API: only usage that Codex reports is counted, and what broke off is shown beside it.

use serde_json::json;

use super::{Rig, run, say};
use crate::real_codex::{check, rows};
use crate::support::{Cut, Step};

/// A response that the limit of output cut short is reported with its usage, by hook and transcript; others are asked again.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run")]
fn incomplete_responses_count_if_their_usage_is_reported() {
    let rig = Rig::new(vec![
        say(1).incomplete("max_output_tokens"),
        say(2).incomplete("content_filter"),
        say(3),
        Step::message("nothing known").incomplete("max_output_tokens"),
    ]);
    let mut codex = rig.codex().retries(2);
    codex.exec_fails(&["first"]);
    codex.exec(&["second"]);
    codex.exec_fails(&["third"]);
    let report = rig.agrees(&json!({"hook+otlp+transcript": 1, "hook+transcript": 1}));
    check(&report["coverage"], &json!({"unmetered_attempts": 2}));
}

/// A provider that reports no usage, or none of its details.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run")]
fn missing_usage_is_shown_and_missing_details_are_none() {
    let rig = Rig::new(vec![Step::shell("call", "echo 1").bare_usage(12_345, 67), Step::message("no usage"), say(1)]);
    let mut codex = rig.codex();
    codex.exec(&["first"]);
    codex.exec(&["resume", "--last", "second"]);
    let report = rig.agrees(&json!({"hook+otlp+transcript": 2}));
    check(&rows(&report)[0], &json!({"unmetered_attempts": 1}));
}

/// The run fails: Codex ends without a flush of its telemetry.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run")]
fn a_failed_run_keeps_what_it_had() {
    let rig = Rig::new(vec![
        run(1, "echo 1"),
        Step::http_error(400),
        run(2, "echo 2"),
        say(3).failed("server_error", "x"),
        say(4),
    ]);
    let mut codex = rig.codex();
    codex.exec_fails(&["first"]);
    codex.exec_fails(&["resume", "--last", "second"]);
    codex.exec(&["resume", "--last", "third"]);
    // The last second of its telemetry is lost; what else is there is complete.
    let report = rig.agrees_whatever_was_lost();
    check(&report["totals"], &json!({"responses": 3}));
}

/// Refusals, cuts and failures, each retried.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run")]
fn every_retry_counts_what_was_completed_only() {
    let rig = Rig::new(vec![
        Step::http_error(500),
        Step::http_error(503),
        run(1, "echo 1"),
        say(2).cut(Cut::BeforeItems),
        run(3, "echo 3").cut(Cut::AfterItems),
        say(4).failed("rate_limit_exceeded", "Rate limit reached. Please try again in 0.1s"),
        say(5),
    ]);
    let mut codex = rig.codex().retries(5);
    codex.exec(&["first"]);
    let report = rig.agrees(&json!({"hook+otlp+transcript": 2}));
    check(&report["totals"], &json!({"api_errors": 2, "unmetered_attempts": 3}));
}
