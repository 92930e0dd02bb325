//! Compactions: by the model or by the API, when the context is full or when the user asks.

use serde_json::json;

use super::{Rig, run, say, unlike};
use crate::real_codex::check;
use crate::support::{Step, truth};

/// The client asks the model for a summary: in a turn, and before one for which another model was chosen. No hook tells of
/// these requests.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run")]
fn local_compactions_count_once() {
    let rig = Rig::new([vec![run(1, "echo 1")], (2..6).map(say).collect()].concat());
    let mut codex = rig.codex().setting("model_auto_compact_token_limit = 10150");
    codex.exec(&["-c", "service_tier='flex'", "first"]);
    codex.exec(&["resume", "--last", "-m", "gpt-5.4", "another model"]);
    assert_eq!(rig.kinds(), ["turn", "compaction", "turn", "compaction", "turn"]);
    rig.agrees(&json!({"hook+otlp+transcript": 3, "otlp+transcript": 2}));
}

/// A transcript alone does not tell which of two models was asked for a compaction between them.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run")]
fn a_compaction_between_two_models_is_ambiguous_without_telemetry() {
    let rig = Rig::without_sink((1..7).map(say).collect());
    let mut codex = rig.codex();
    codex.exec(&["first"]);
    codex.exec(&["resume", "--last", "-m", "gpt-5.6-terra", "another model"]);
    assert_eq!(rig.kinds(), ["turn", "compaction", "turn"]);
    codex.exec(&["-c", "model_auto_compact_token_limit=10050", "second"]);
    codex.exec(&["resume", "--last", "-c", "model_auto_compact_token_limit=10050", "-m", "gpt-5.4", "another model"]);
    // Of the first the old model's name is right, of the second the new one's: both are marked.
    let report = rig.env.run(&["report", "session", "--format", "json"]).ok().json();
    check(&report["coverage"], &json!({"ambiguous": 2}));
    let served = rig.model.served();
    let wrong = truth::differences(&truth::held(&rig.env.home()), &served);
    assert_eq!(wrong.len(), 2, "one response under another model's name: {wrong:#?}");
    check(&report["totals"], &json!({"responses": 6, "input_tokens": truth::totals(&served)["input_tokens"]}));
}

/// The API compacts.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run")]
fn remote_compactions_count_once() {
    let compact = |n: u64| Step::compaction().usage(unlike(n));
    let rig = Rig::new(vec![run(1, "echo 1"), compact(2), say(3), compact(4), say(5)]);
    let mut codex = rig.codex().provider_name("OpenAI").setting("model_auto_compact_token_limit = 10150");
    codex.exec(&["-c", "service_tier='flex'", "first"]);
    codex.exec(&["resume", "--last", "-m", "gpt-5.4", "another model"]);
    assert_eq!(rig.kinds(), ["turn", "compaction", "turn", "compaction", "turn"]);
    rig.agrees(&json!({"hook+otlp+transcript": 3, "otlp+transcript": 2}));
}

/// The user asks for it.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run")]
fn manual_compactions_count_once() {
    for provider in ["mock", "OpenAI"] {
        let summary = if provider == "mock" { say(2) } else { Step::compaction().usage(unlike(2)) };
        let rig = Rig::new(vec![say(1), summary, say(3), say(4)]);
        let mut codex = rig.codex().provider_name(provider);
        let mut app = codex.app_server();
        let thread = app.thread(&json!({"cwd": rig.env.work(), "serviceTier": "flex"}));
        app.turn(&thread, "first", &json!({}));
        app.call("thread/compact/start", &json!({"threadId": thread}));
        assert_eq!(app.ended(&thread), "completed");
        app.turn(&thread, "second", &json!({}));
        app.turn(&thread, "third", &json!({"serviceTierForTurn": "priority"}));
        app.close();
        rig.agrees(&json!({"hook+otlp+transcript": 3, "otlp+transcript": 1}));
    }
}
