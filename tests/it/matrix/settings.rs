//! Models and tiers that change: within a session, for one turn, and by the API.

use serde_json::json;

use super::{Rig, run, say, unlike};
use crate::support::{Step, Usage};

/// A tier for one turn, a tier from a turn on, and a model from a turn on.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run")]
fn each_response_has_the_tier_and_the_model_of_its_request() {
    let rig = Rig::new([vec![run(1, "echo 1")], (2..9).map(say).collect()].concat());
    let mut codex = rig.codex();
    let mut app = codex.app_server();
    let thread = app.thread(&json!({"cwd": rig.env.work()}));
    app.turn(&thread, "first", &json!({}));
    app.turn(&thread, "second", &json!({"serviceTierForTurn": "priority"}));
    app.turn(&thread, "third", &json!({"model": "gpt-5.4"}));
    app.turn(&thread, "fourth", &json!({"serviceTier": "flex", "model": "gpt-5.5"}));
    app.turn(&thread, "fifth", &json!({"serviceTierForTurn": "default"}));
    app.turn(&thread, "sixth", &json!({}));
    let fork = app.call("thread/fork", &json!({"threadId": thread}))["thread"]["id"].as_str().unwrap().to_owned();
    app.turn(&fork, "seventh", &json!({}));
    app.close();
    rig.agrees(&json!({"hook+otlp+transcript": 8}));
}

/// What costs otherwise: tiers of the configuration, and long input.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run")]
fn configured_tiers_and_long_input_are_priced() {
    let long = Usage { input: 300_000, cached: 280_000, cache_write: 0, output: 10, reasoning: 0 };
    let rig = Rig::new(vec![say(1), say(2), say(3), say(4), Step::message("long").usage(long), say(5)]);
    let mut codex = rig.codex();
    codex.exec(&["-c", "service_tier='fast'", "fast"]);
    codex.exec(&["-c", "service_tier='flex'", "flex"]);
    codex.exec(&["resume", "--last", "standard again"]);
    codex.exec(&["resume", "--last", "-c", "service_tier='fast'", "fast again"]);
    codex.exec(&["-c", "model_context_window=1000000", "long"]);
    codex.exec(&["-m", "gpt-5.6-terra", "-c", "service_tier='fast'", "another"]);
    rig.agrees(&json!({"hook+otlp+transcript": 6}));
}

/// The API answered with another model: Codex keeps the requested one everywhere, and so does the ledger.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run")]
fn a_rerouted_model_is_the_requested_one() {
    let rig = Rig::new(vec![say(1).answered_by("gpt-5.4"), Step::message("on").usage(unlike(2))]);
    let mut codex = rig.codex();
    codex.exec(&["first"]);
    codex.exec(&["resume", "--last", "second"]);
    rig.agrees(&json!({"hook+otlp+transcript": 2}));
}
