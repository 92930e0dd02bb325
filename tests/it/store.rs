//! The store under kill -9 and under several processes: what was acknowledged is there, and nothing is there twice.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use codex_tally::model::Body;
use codex_tally::store::Store;
use codex_tally::store::sqlite::SqliteStore;
use serde_json::{Value, json};

use crate::support::capture::{Random, files};
use crate::support::client::{Client, request};
use crate::support::env::Output;
use crate::support::{TestEnv, Transcript};

/// A logs request with one token record of `n` input tokens.
pub fn token_record(n: u64) -> Vec<u8> {
    let thread = Transcript::new(1_000_000).thread;
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let record = json!({
        "timeUnixNano": "0", "observedTimeUnixNano": (1_795_225_137_000_000_000 + n).to_string(),
        "attributes": [
            text("event.name", "codex.sse_event"), text("event.kind", "response.completed"),
            text("conversation.id", &thread), text("model", "gpt-5.5"),
            text("input_token_count", &n.to_string()), text("output_token_count", "1"),
        ],
    });
    let body = json!({"resourceLogs": [{"resource": {}, "scopeLogs": [{"logRecords": [record]}]}]});
    request("POST", "/v1/logs", &[("content-type", "application/json")], body.to_string().as_bytes())
}

/// Posts records with the next numbers until one is not acknowledged, or `last` is reached.
pub fn post_until_gone(addr: SocketAddr, next: &AtomicU64, last: u64, acked: &Mutex<Vec<u64>>) {
    let Ok(mut client) = Client::try_connect(addr) else { return };
    loop {
        let n = next.fetch_add(1, Ordering::Relaxed);
        if n > last || client.try_send(&token_record(n)).is_err() {
            return;
        }
        match client.answer() {
            Some(answer) => assert_eq!(answer.status, 200, "{}", answer.text()),
            None => return,
        }
        acked.lock().unwrap().push(n);
    }
}

/// How often each response is stored, by its input tokens.
pub fn stored(env: &TestEnv) -> BTreeMap<u64, u64> {
    let store = SqliteStore::open(&env.home().join("tally.db")).unwrap();
    let mut stored = BTreeMap::new();
    for observation in store.observations().unwrap() {
        if let Body::Response(response) = observation.body {
            *stored.entry(response.usage.input).or_default() += 1;
        }
    }
    stored
}

pub fn report(env: &TestEnv) -> [Value; 3] {
    let report = env.run(&["report", "session", "--format", "json", "--no-import"]).ok().json();
    ["rows", "totals", "coverage"].map(|part| report[part].clone())
}

/// A long transcript, and many short ones; each with a line that is none.
fn place_transcripts(env: &TestEnv) -> u64 {
    let mut records = 0;
    for (n, length) in std::iter::once(9000).chain([60; 40]).enumerate() {
        let t = Transcript::new(n as u64);
        let mut text = t.head() + "not a record\n";
        (1..=length).for_each(|n| text.push_str(&t.record(n)));
        std::fs::write(t.path(env), text).unwrap();
        records += length;
    }
    records
}

fn import(env: &TestEnv) -> Child {
    env.tally(&["import"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn what_the_sink_acknowledged_survives_its_being_killed() {
    const ROUNDS: u64 = 20;
    let env = TestEnv::new();
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let (next, acked) = (AtomicU64::new(1), Mutex::new(Vec::new()));
    for round in 0..ROUNDS {
        let server = env.serve(&["--auth", "none"]);
        let addr = ([127, 0, 0, 1], server.port()).into();
        let enough = acked.lock().unwrap().len() + 1 + random.below(60);
        std::thread::scope(|scope| {
            let clients: Vec<_> =
                (0..4).map(|_| scope.spawn(|| post_until_gone(addr, &next, u64::MAX, &acked))).collect();
            while acked.lock().unwrap().len() < enough {
                assert!(!clients.iter().all(|c| c.is_finished()), "round {round}: the sink acknowledges no more");
                std::thread::sleep(Duration::from_micros(100));
            }
            // Dropping a server kills it, in the middle of what the clients send.
            drop(server);
        });
        let stored = stored(&env);
        let acked = acked.lock().unwrap();
        let lost: Vec<_> = acked.iter().filter(|n| !stored.contains_key(n)).collect();
        assert!(lost.is_empty(), "round {round}: acknowledged and not stored: {lost:?}");
        assert!(stored.values().all(|times| *times == 1), "round {round}");
        assert!(acked.len() >= enough);
    }
}

#[test]
fn an_import_that_was_killed_is_taken_up_again() {
    let (whole, env) = (TestEnv::new(), TestEnv::new());
    let records = place_transcripts(&whole);
    place_transcripts(&env);
    let _ = whole.run(&["import"]).ok();
    let wanted = report(&whole);
    assert_eq!(wanted[1]["responses"], records);

    let mut random = Random(0x9e37_79b9);
    let mut killed = 0;
    for round in 0..15 {
        let mut child = import(&env);
        std::thread::sleep(Duration::from_millis(random.below(20 * (round + 1)) as u64));
        killed += u32::from(child.try_wait().unwrap().is_none());
        // It may have ended just now, and then there is nothing to kill.
        let _ = child.kill();
        child.wait().unwrap();
    }
    assert!(killed > 0, "no import was killed before its end");
    let _ = env.run(&["import"]).ok();
    assert_eq!(report(&env), wanted);
}

#[test]
fn two_imports_and_a_sink_at_once_lose_nothing() {
    const POSTS: u64 = 200;
    let env = TestEnv::new();
    let records = place_transcripts(&env);
    let server = env.serve(&["--auth", "none"]);
    let addr = ([127, 0, 0, 1], server.port()).into();
    let (next, acked) = (AtomicU64::new(1), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| post_until_gone(addr, &next, POSTS, &acked));
            scope.spawn(|| Output::of(env.tally(&["import"])).ok());
        }
    });
    assert!(server.stop().success());
    assert_eq!(acked.into_inner().unwrap().len() as u64, POSTS);
    let [_, totals, coverage] = report(&env);
    assert_eq!(totals["responses"], records + POSTS);
    assert_eq!(coverage["conflicts"], 0);
    assert_eq!(coverage["responses_by_source"], json!({"otlp": POSTS, "transcript": records}));
    assert_eq!(coverage["unreadable"], json!({"transcript.bad_line": 41}), "each bad line is counted once");
}

#[test]
fn readers_that_clear_the_spool_at_once_do_not_fail() {
    const DAYS: u64 = 24;
    let env = TestEnv::new();
    let payload = json!({
        "session_id": "s", "turn_id": "t", "model": "gpt-5.5", "hook_event_name": "PostModelRequest",
        "token_usage": {"input_tokens": 1, "output_tokens": 1},
    });
    // Days that are long over, each with a line of its own, one that is none, and one that was never finished.
    for day in 1..=DAYS {
        let _ = env.hook(payload.to_string()).ok();
        let [written] =
            files(&env.home().join("spool")).into_iter().filter(|f| !past(f)).collect::<Vec<_>>().try_into().unwrap();
        let text = std::fs::read_to_string(&written).unwrap() + "not a line\n{\"v\":1,";
        std::fs::write(written.with_file_name(format!("host-2025-03-{day:02}.jsonl")), text).unwrap();
        std::fs::remove_file(written).unwrap();
    }
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| env.run(&["sync"]).ok());
        }
    });
    assert_eq!(files(&env.home().join("spool")), [] as [std::path::PathBuf; 0]);
    let [_, _, coverage] = report(&env);
    assert_eq!(coverage["unreadable"], json!({"spool.bad_line": 2 * DAYS}));
    assert_eq!(stored(&env), BTreeMap::from([(1, DAYS)]));
}

fn past(file: &std::path::Path) -> bool {
    file.file_name().unwrap().to_str().unwrap().starts_with("host-2025")
}
