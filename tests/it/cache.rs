//! The cache of sessions: whatever order observations come in, it is what all of them say, and any other content is found.

use codex_tally::cache::{self, Inputs};
use codex_tally::ingest::hook::{Environment, Identity, decode_line, reduce};
use codex_tally::ledger::Options;
use codex_tally::model::{Observation, SessionRollup, ThreadId};
use codex_tally::pricing::PriceBook;
use codex_tally::store::sqlite::SqliteStore;
use codex_tally::store::{Batch, Cache, Store};
use rusqlite::Connection;
use serde_json::Value;

use crate::support::capture::Random;
use crate::support::observed::of_otlp;
use crate::support::{Capture, Feed, TestEnv};

const ALL: [Feed; 3] = [Feed::Hooks, Feed::Otlp, Feed::Transcripts];

fn inputs() -> Inputs {
    Inputs::new(Options::default(), PriceBook::builtin().clone())
}

fn open(env: &TestEnv) -> SqliteStore {
    SqliteStore::open(&env.home().join("tally.db")).unwrap()
}

/// Each cached session with its rollup.
fn content(store: &SqliteStore) -> Vec<(String, Option<Vec<u8>>)> {
    let sessions = store.sessions().unwrap();
    sessions.iter().map(|s| (s.to_string(), store.cached(s).unwrap())).collect()
}

#[test]
fn bit_by_bit_gives_what_all_at_once_gives() {
    let mut all: Vec<Observation> = Vec::new();
    for capture in Capture::all("captures") {
        let env = TestEnv::new();
        capture.replay(&env, &ALL);
        all.extend(open(&env).observations().unwrap());
    }
    let env = TestEnv::new();
    drop(env.run(&["sync"]).ok());
    let mut whole = open(&env);
    whole.append(&Batch { observations: all.clone(), ..Batch::default() }).unwrap();
    cache::refresh(&mut whole, &inputs(), &mut |_| {}).unwrap();
    assert!(whole.sessions().unwrap().len() > 30);
    for seed in 1..=4 {
        let (env, mut random, mut rest) = (TestEnv::new(), Random(seed), all.clone());
        drop(env.run(&["sync"]).ok());
        let mut store = open(&env);
        while !rest.is_empty() {
            let most = rest.len().min(1 + random.below(150));
            let some = (0..most).map(|_| rest.swap_remove(random.below(rest.len())));
            store.append(&Batch { observations: some.collect(), ..Batch::default() }).unwrap();
            cache::refresh(&mut store, &inputs(), &mut |_| {}).unwrap();
        }
        assert_eq!(store.dirty().unwrap(), 0);
        assert!(content(&store) == content(&whole), "seed {seed}");
        let mut found = Vec::new();
        cache::verify(&store, &inputs(), &mut |f| found.push(f.to_string()), &mut |_| {}).unwrap();
        assert_eq!(found, Vec::<String>::new());
    }
}

#[test]
fn two_that_refresh_at_once_do_not_undo_each_other() {
    let env = TestEnv::new();
    let captures = Capture::all("captures");
    for capture in &captures {
        capture.replay(&env, &[Feed::Transcripts]);
    }
    let all = open(&env).observations().unwrap();
    let env = TestEnv::new();
    drop(env.run(&["sync"]).ok());
    std::thread::scope(|scope| {
        for part in [&all[..all.len() / 2], &all[all.len() / 2..]] {
            let env = &env;
            scope.spawn(move || {
                let mut store = open(env);
                for some in part.chunks(25) {
                    store.append(&Batch { observations: some.to_vec(), ..Batch::default() }).unwrap();
                    cache::refresh(&mut store, &inputs(), &mut |_| {}).unwrap();
                }
            });
        }
    });
    drop(env.run(&["ledger", "verify"]).ok());
    let before = content(&open(&env));
    drop(env.run(&["ledger", "rebuild"]).ok());
    assert!(content(&open(&env)) == before);
}

#[test]
fn damage_is_found_and_mended() {
    let env = TestEnv::new();
    Capture::all("captures").iter().take(4).for_each(|capture| capture.replay(&env, &ALL));
    let report = || env.run(&["report", "monthly", "--no-import", "--format", "json"]).ok().stdout;
    let truth = report();
    assert!(env.run(&["ledger", "verify"]).ok().stderr.contains("are what was observed"));
    let change = |sql: &str| {
        let changed = Connection::open(env.home().join("tally.db")).unwrap().execute(sql, []).unwrap();
        assert!(changed > 0, "{sql}");
    };
    let (session, bytes) = content(&open(&env)).remove(0);
    let bytes = bytes.unwrap();
    // Any flipped bit: some of them give another number, some what cannot be read at all.
    for at in (0..bytes.len()).step_by(7) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        let hex: String = flipped.iter().map(|b| format!("{b:02x}")).collect();
        change(&format!("UPDATE session SET rollup = x'{hex}' WHERE session_id = '{session}'"));
        let said = env.run(&["ledger", "verify"]).fails(1).stderr;
        assert!(said.contains(&format!("session {session}: ")) && said.contains("ledger rebuild"), "{at}: {said}");
    }
    let others = [
        "DELETE FROM member WHERE thread IN (SELECT thread FROM member LIMIT 1)",
        "UPDATE session SET session_id = 'x' WHERE id = (SELECT id FROM session LIMIT 1)",
    ];
    for damage in others {
        change(damage);
        drop(env.run(&["ledger", "verify"]).fails(1));
        drop(env.run(&["ledger", "rebuild"]).ok());
        drop(env.run(&["ledger", "verify"]).ok());
        assert_eq!(report(), truth);
    }
}

#[test]
fn other_prices_are_other_amounts_at_once() {
    let env = TestEnv::new();
    Capture::all("captures").iter().take(2).for_each(|capture| capture.replay(&env, &ALL));
    let total = || env.run(&["report", "monthly", "--no-import", "--format", "json"]).ok().json()["totals"].to_string();
    let before = total();
    let file = env.home().join("prices.toml");
    let own = include_str!("../../examples/prices.toml");
    std::fs::write(&file, own).unwrap();
    let with_own = total();
    assert_ne!(with_own, before, "the example has a contract list");
    std::fs::remove_file(&file).unwrap();
    assert_eq!(total(), before);
}

/// What hooks and telemetry say of a review in a session without transcripts: hooks do not name its thread then (Codex 0.169).
fn review_without_transcripts() -> Vec<Observation> {
    let capture = Capture::named("10_exec_review");
    let hooks = (1..).zip(capture.payloads()).flat_map(|(n, payload)| {
        let mut payload: Value = serde_json::from_slice(&payload).unwrap();
        payload["transcript_path"] = Value::Null;
        let id = Identity { ns: 1_795_225_137_880_000_000 + i64::from(n), pid: n, rnd: n.into() };
        let line =
            reduce(payload.to_string().as_bytes(), id, Environment { host: "vm".into(), ..Environment::default() });
        decode_line(&serde_json::to_vec(&line).unwrap()).observations
    });
    hooks.chain(of_otlp(&capture, |_| false)).collect()
}

#[test]
fn a_review_that_hooks_and_telemetry_know_by_other_names_is_one_whatever_comes_first() {
    let all = review_without_transcripts();
    let responses = |store: &SqliteStore| -> Vec<(i64, String)> {
        let sessions = store.sessions().unwrap();
        let of = |s: &ThreadId| {
            let bytes = store.cached(s).unwrap().unwrap();
            let rollup = SessionRollup::decode(&bytes).unwrap();
            let evidence = rollup.traits.iter().map(|t| t.evidence).collect::<Vec<_>>().join(" ");
            (rollup.usage.iter().map(|row| row.responses).sum(), evidence)
        };
        sessions.iter().map(of).collect()
    };
    for seed in 1..=30 {
        let (env, mut random, mut rest) = (TestEnv::new(), Random(seed), all.clone());
        drop(env.run(&["sync"]).ok());
        let mut store = open(&env);
        while !rest.is_empty() {
            let most = rest.len().min(1 + random.below(9));
            let some = (0..most).map(|_| rest.swap_remove(random.below(rest.len())));
            store.append(&Batch { observations: some.collect(), ..Batch::default() }).unwrap();
            cache::refresh(&mut store, &inputs(), &mut |_| {}).unwrap();
        }
        assert_eq!(responses(&store), [(2, "hook+otlp".to_string())], "seed {seed}");
        let mut found = Vec::new();
        cache::verify(&store, &inputs(), &mut |f| found.push(f.to_string()), &mut |_| {}).unwrap();
        assert_eq!(found, Vec::<String>::new(), "seed {seed}");
    }
}
