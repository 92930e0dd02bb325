//! The interactive client, alone and with the background process that it shares with others.

use serde_json::json;

use super::{Rig, run, say, unlike};
use crate::real_codex::{check, rows};
use crate::support::Step;
use crate::support::codex::Daemon;
use crate::support::terminal::Terminal;

const TITLE: &str = "Generate a concise, single-line task title";

fn script() -> Vec<Step> {
    let title = Step::message("Do the thing").usage(unlike(100)).when(TITLE).repeat();
    let rest = vec![run(1, "echo 1"), say(2), say(3).slow(60_000), say(4)];
    [vec![title], rest.into_iter().map(|step| step.when_not(TITLE)).collect()].concat()
}

/// Two turns, the second stopped in its response, and a third.
fn converse(terminal: &Terminal) {
    // 0.169 advertises another model once.
    terminal.wait("Use existing model");
    terminal.insist("Down", |screen| screen.contains("› 2."));
    terminal.insist("Enter", |screen| !screen.contains("Use existing model"));
    terminal.wait("answer 2");
    terminal.enter("the second prompt");
    // Said, but not ended.
    terminal.wait("answer 3");
    terminal.insist("Escape", |screen| screen.contains("interrupted"));
    terminal.enter("the third prompt");
    terminal.wait("answer 4");
    terminal.enter("/quit");
    terminal.ended();
}

/// Each prompt makes a request for a title, in a thread of its own that only the telemetry tells of.
#[test]
#[cfg_attr(not(all(real_codex, tmux)), ignore = "no Codex CLI, or no tmux")]
fn a_terminal_counts_its_titles_too() {
    let rig = Rig::new(script());
    let terminal = rig.codex().terminal(&["--no-daemon", "the first prompt"]);
    converse(&terminal);
    let report = rig.agrees(&json!({"hook+otlp+transcript": 3, "otlp": 3}));
    check(&report["totals"], &json!({"sessions": 1, "prompts": 3}));
    let kinds: Vec<_> = rows(&report).iter().map(|row| row["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["session", "auxiliary", "auxiliary", "auxiliary"]);
}

/// The daemon works for all terminals with the environment of the first, so that it says of nobody who pays.
#[test]
#[cfg_attr(not(all(real_codex, tmux)), ignore = "no Codex CLI, or no tmux")]
fn a_terminal_with_the_daemon_counts_the_same() {
    let rig = Rig::new(script());
    let mut codex = rig.codex();
    let daemon = Daemon(&rig.env, codex.command());
    let terminal = codex.terminal(&["the first prompt"]);
    converse(&terminal);
    drop(daemon);
    let report = rig.agrees(&json!({"hook+otlp+transcript": 3, "otlp": 3}));
    check(&rows(&report)[0], &json!({"prompts": 3, "team": "unattributed"}));
}
