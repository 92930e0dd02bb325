//! Ways of the request, and ends of the client.

use std::io::{BufReader, Write};
use std::net::TcpListener;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use super::{Rig, run, say, unlike};
use crate::real_codex::check;
use crate::support::http::{Request, json_response};
use crate::support::{Step, Usage, eventually};

/// Over WebSocket a request that generates nothing warms up each start; its tokens, if any, are in the telemetry alone.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run")]
fn websockets_and_their_warm_up_count_once() {
    let warm_up =
        |n| Step::items(vec![]).usage(Usage { output: 0, reasoning: 0, ..unlike(n) }).when("\"generate\":false");
    let rig = Rig::new(vec![warm_up(1), warm_up(2), run(3, "echo 3"), say(4), say(5)]);
    let mut codex = rig.codex().provider("supports_websockets = true");
    codex.exec(&["first"]);
    codex.exec(&["resume", "--last", "second"]);
    assert_eq!(rig.kinds(), ["prewarm", "turn", "turn", "prewarm", "turn"]);
    let report = rig.agrees_whatever_was_lost();
    // Its record does not name the tier.
    let seen_by = json!({"hook+otlp+transcript": 3, "otlp": 2});
    check(&report["coverage"], &json!({"ambiguous": 2, "responses_by_source": seen_by}));
}

/// Killed in a response: what came before is on disk, what Codex had not read is not counted.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run")]
fn killed_runs_keep_what_was_recorded() {
    for signal in [Signal::KILL, Signal::TERM, Signal::INT] {
        let rig = Rig::new(vec![run(1, "echo 1"), run(2, "echo 2"), say(3).slow(60_000), say(4)]);
        let mut codex = rig.codex();
        let client = codex.start(&["exec", "--skip-git-repo-check", "first"]);
        eventually("the last response has begun", || rig.kinds().len() == 3);
        client.signal(signal);
        client.end();
        codex.exec(&["resume", "--last", "second"]);
        let report = rig.agrees_whatever_was_lost();
        check(&report["totals"], &json!({"responses": 3}));
    }
}

/// Sinks that are not there, refuse, are slow, or were away for a while: hooks and transcripts have it all.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run")]
fn a_sink_in_trouble_loses_nothing_for_good() {
    let mut rig = Rig::new([vec![run(1, "echo 1")], (2..8).map(say).collect()].concat());
    let port = rig.server.as_ref().unwrap().0.port();
    rig.codex().exec(&["with a sink"]);
    assert!(rig.server.take().unwrap().0.stop().success());
    let otel = |port: u16| {
        let exporter = toml::toml! {
            otlp-http = { endpoint = "http://127.0.0.1:PORT/v1/logs", protocol = "binary" }
        };
        let exporter = toml::to_string(&exporter).unwrap().replace("PORT", &port.to_string());
        toml::Table::from_iter([
            ("exporter".to_owned(), toml::Value::Table(exporter.parse().unwrap())),
            ("trace_exporter".to_owned(), "none".into()),
            ("metrics_exporter".to_owned(), "none".into()),
        ])
    };
    rig.codex().otel(otel(port)).exec(&["resume", "--last", "without"]);
    let (refusing, slow) = (stub(503, 0), stub(200, 2_000));
    rig.codex().otel(otel(refusing)).exec(&["resume", "--last", "refused"]);
    rig.codex().otel(otel(slow)).exec(&["resume", "--last", "slow"]);
    let mut again = rig.env.serve_on(port, &[]);
    rig.codex().otel(again.otel()).exec(&["resume", "--last", "with a sink again"]);
    rig.codex().otel(again.otel()).exec(&["--ephemeral", "nothing but the sink and hooks"]);
    rig.agrees(&json!({"hook+otlp+transcript": 3, "hook+transcript": 3, "hook+otlp": 1}));
}

/// A sink that gives this answer after a while.
fn stub(status: u16, millis: u64) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut from = BufReader::new(stream.try_clone().unwrap());
                while let Ok(Some(_)) = Request::read(&mut from) {
                    std::thread::sleep(Duration::from_millis(millis));
                    let _ = stream.write_all(json_response(status, "{}").as_bytes());
                }
            });
        }
    });
    port
}
