//! The sink while the store cannot be written: nothing is refused, and what was acknowledged is in the report exactly once.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use codex_tally::model::Body;
use codex_tally::serve::{Background, Event, Options, spawn};
use codex_tally::store::journal;
use codex_tally::store::later::Opener;
use rusqlite::Connection;
use serde_json::json;

use crate::store::{post_until_gone, report, stored, token_record};
use crate::support::capture::files;
use crate::support::client::Client;
use crate::support::memory_store::MemoryStore;
use crate::support::{TestEnv, eventually};

/// Another process that writes to the store and does not come to an end.
struct Lock(Connection);

impl Lock {
    fn take(env: &TestEnv) -> Self {
        let db = Connection::open(env.home().join("tally.db")).unwrap();
        db.busy_timeout(Duration::from_secs(20)).unwrap();
        db.execute_batch("BEGIN EXCLUSIVE").unwrap();
        Lock(db)
    }

    fn release(self) {
        self.0.execute_batch("ROLLBACK").unwrap();
    }
}

/// A home with an empty store.
fn env() -> TestEnv {
    let env = TestEnv::new();
    let _ = env.run(&["sync"]).ok();
    env
}

fn local(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

/// Sends records on one connection; the statuses of the answers.
fn post(addr: SocketAddr, records: impl IntoIterator<Item = u64>) -> Vec<u16> {
    let mut client = Client::connect(addr);
    let answer = |n| {
        client.send(&token_record(n));
        client.answer().expect("an answer").status
    };
    records.into_iter().map(answer).collect()
}

fn once(records: impl IntoIterator<Item = u64>) -> BTreeMap<u64, u64> {
    records.into_iter().map(|n| (n, 1)).collect()
}

fn segments(env: &TestEnv) -> Vec<PathBuf> {
    let dir = env.home().join("journal");
    if dir.is_dir() { files(&dir) } else { Vec::new() }
}

/// A sink that was killed after it acknowledged these records while the store was locked.
fn killed_while_locked(env: &TestEnv, records: std::ops::Range<u64>) {
    let server = env.serve(&["--auth", "none", "--no-follow"]);
    let lock = Lock::take(env);
    assert!(post(local(server.port()), records).iter().all(|status| *status == 200));
    drop(server);
    lock.release();
    assert!(!segments(env).is_empty());
}

#[test]
fn a_locked_store_refuses_nobody() {
    let env = env();
    let server = env.serve(&["--auth", "none"]);
    let addr = local(server.port());
    assert_eq!(post(addr, 1..20), [200; 19]);
    let lock = Lock::take(&env);
    let (next, acked) = (AtomicU64::new(10), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| post_until_gone(addr, &next, 200, &acked));
        }
    });
    assert_eq!(acked.into_inner().unwrap().len(), 191, "every post was answered 200");
    assert_eq!(stored(&env), once(1..20), "the store is still locked");
    assert!(!segments(&env).is_empty());
    lock.release();
    let _ = env.run(&["sync"]).ok();
    assert_eq!(stored(&env), once(1..=200), "some came before the lock and again during it");
    assert_eq!(segments(&env), [] as [PathBuf; 0]);
    assert_eq!(post(addr, 201..204), [200; 3]);
    let said = server.stderr();
    assert!(server.stop().success());
    assert!(said.contains("requests wait in the journal"), "{said}");
    assert_eq!(stored(&env), once(1..204));
    let [_, totals, coverage] = report(&env);
    assert_eq!((&totals["responses"], &coverage["conflicts"]), (&json!(203), &json!(0)));
    assert_eq!(coverage["unreadable"], json!({}));
}

#[test]
fn the_sink_empties_its_journal_by_itself() {
    let env = env();
    let server = env.serve(&["--auth", "none", "--no-follow"]);
    let lock = Lock::take(&env);
    assert_eq!(post(local(server.port()), 1..50), [200; 49]);
    lock.release();
    eventually("the journal is empty", || segments(&env).is_empty());
    assert_eq!(stored(&env), once(1..50));
    assert!(server.stop().success());
}

#[test]
fn a_sink_that_stops_while_the_store_is_locked_leaves_its_journal() {
    let env = env();
    let server = env.serve(&["--auth", "none"]);
    let lock = Lock::take(&env);
    assert_eq!(post(local(server.port()), 1..5), [200; 4]);
    assert!(server.stop().success());
    lock.release();
    assert_eq!(stored(&env), once([]));
    let server = env.serve(&["--auth", "none"]);
    assert!(server.stop().success());
    assert_eq!(stored(&env), once(1..5));
}

#[test]
fn what_was_acknowledged_into_the_journal_survives_kill_9() {
    let env = env();
    let (next, acked) = (AtomicU64::new(1), Mutex::new(Vec::new()));
    for round in 1..=6 {
        let server = env.serve(&["--auth", "none", "--no-follow"]);
        let addr = local(server.port());
        let lock = Lock::take(&env);
        std::thread::scope(|scope| {
            let clients: Vec<_> =
                (0..3).map(|_| scope.spawn(|| post_until_gone(addr, &next, u64::MAX, &acked))).collect();
            while acked.lock().unwrap().len() < round * 40 {
                assert!(!clients.iter().all(|c| c.is_finished()), "round {round}: the sink acknowledges no more");
                std::thread::sleep(Duration::from_micros(200));
            }
            drop(server);
        });
        lock.release();
        if round % 2 == 0 {
            // The next sink applies what the killed ones left, at the latest when it stops.
            assert!(env.serve(&["--auth", "none"]).stop().success());
            let stored = stored(&env);
            let lost: Vec<_> = acked.lock().unwrap().iter().filter(|n| !stored.contains_key(n)).copied().collect();
            assert!(lost.is_empty(), "round {round}: acknowledged and not stored: {lost:?}");
            assert!(stored.values().all(|times| *times == 1), "round {round}");
            assert_eq!(segments(&env), [] as [PathBuf; 0]);
        }
    }
}

#[test]
fn a_report_applies_the_journal_of_a_killed_sink() {
    let env = env();
    killed_while_locked(&env, 1..30);
    let [_, totals, _] = report(&env);
    assert_eq!(totals["responses"], 0, "with --no-import nothing is read");
    let report = env.run(&["report", "session", "--format", "json"]).ok().json();
    assert_eq!(report["totals"]["responses"], 29);
    assert_eq!(segments(&env), [] as [PathBuf; 0]);
}

#[test]
fn an_import_applies_the_journal_too_and_a_torn_end_is_counted() {
    let env = env();
    killed_while_locked(&env, 1..30);
    let segment = segments(&env).pop().unwrap();
    let whole = std::fs::read(&segment).unwrap();
    std::fs::write(&segment, [&whole[..], &whole[..whole.len() / 3]].concat()).unwrap();
    // The part of a frame that stands there may hold whole frames of before: they are known.
    let _ = env.run(&["import"]).ok();
    let [_, totals, coverage] = report(&env);
    assert_eq!((&totals["responses"], &coverage["conflicts"]), (&json!(29), &json!(0)));
    assert_eq!(coverage["unreadable"], json!({"journal.torn": 1}));
    let _ = env.run(&["sync"]).ok();
    assert_eq!(report(&env)[2]["unreadable"], json!({"journal.torn": 1}));
}

#[test]
fn only_when_nothing_can_be_written_is_a_post_refused() {
    let env = env();
    let server = env.serve(&["--auth", "none", "--no-follow"]);
    std::fs::write(env.home().join("journal"), "in the way").unwrap();
    let addr = local(server.port());
    let lock = Lock::take(&env);
    assert_eq!(post(addr, 1..3), [503; 2]);
    lock.release();
    assert_eq!(post(addr, 3..5), [200; 2]);
    let said = server.stderr();
    assert!(said.contains("could not be stored") && said.contains("and the journal: "), "{said}");
    drop(server);
    assert_eq!(stored(&env), once(3..5));
}

#[test]
fn what_comes_after_the_home_was_removed_or_moved_is_kept_where_it_was() {
    for moved in [false, true] {
        let env = env();
        let server = env.serve(&["--auth", "none"]);
        assert_eq!(post(local(server.port()), 1..2), [200]);
        match moved {
            true => std::fs::rename(env.home(), env.root().join("moved")).unwrap(),
            false => std::fs::remove_dir_all(env.home()).unwrap(),
        }
        assert_eq!(post(local(server.port()), 2..4), [200; 2]);
        eventually("it is told", || server.stderr().contains("was removed or moved while it was open"));
        drop(server);
        let _ = env.run(&["sync"]).ok();
        assert_eq!(stored(&env), once(2..4), "moved: {moved}");
    }
}

#[test]
fn a_sink_starts_while_the_store_is_held() {
    let env = env();
    let held = Connection::open(env.home().join("tally.db")).unwrap();
    held.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; CREATE TABLE migrating (a)").unwrap();
    let server = env.serve(&["--auth", "none"]);
    assert_eq!(post(local(server.port()), 1..10), [200; 9]);
    held.execute_batch("ROLLBACK").unwrap();
    drop(held);
    let _ = env.run(&["sync"]).ok();
    assert_eq!(stored(&env), once(1..10));
    assert!(server.stop().success());
}

#[test]
fn many_that_apply_one_journal_at_once_apply_it_once() {
    let env = env();
    for round in 0..4 {
        killed_while_locked(&env, round * 100..(round + 1) * 100);
    }
    let server = std::thread::scope(|scope| {
        let server = scope.spawn(|| env.serve(&["--auth", "none"]));
        for _ in 0..3 {
            scope.spawn(|| env.run(&["sync"]).ok());
        }
        server.join().unwrap()
    });
    assert!(server.stop().success());
    assert_eq!(stored(&env), once(0..400));
    assert_eq!(segments(&env), [] as [PathBuf; 0]);
    assert_eq!(report(&env)[2]["conflicts"], 0);
}

#[test]
fn a_store_that_fails_in_any_way_is_stood_in_for() {
    let env = TestEnv::new();
    std::fs::create_dir(env.home()).unwrap();
    let store = MemoryStore::default();
    let further = store.clone();
    let open = Opener::new(move || Ok(Box::new(further.clone())));
    let background = Some(Background { home: env.home(), open, follow: None });
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&events);
    let warn = Box::new(move |event| seen.lock().unwrap().push(event));
    let options = Options { background, ..Options::default() };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut sink = spawn(listener, Box::new(store.clone()), options, warn).unwrap();
    store.contents().refuse = Some(|_| true);
    assert_eq!(post(sink.addr, 1..6), [200; 5]);
    assert!(store.contents().observations.is_empty());
    store.contents().refuse = None;
    sink.stop();
    let stats = sink.join().unwrap();
    assert_eq!((stats.logs, stats.failed, stats.journaled), (5, 0, 5));
    let events = events.lock().unwrap();
    let journaled = |e: &&Event| matches!(e, Event::Journaled { why, .. } if why.contains("refused by the test"));
    assert!(events.iter().any(|e| journaled(&e)), "{events:?}");
    assert!(journal::is_empty(&env.home()).unwrap());
    let contents = store.contents();
    assert_eq!(contents.observations.values().filter(|o| matches!(o.body, Body::Response(_))).count(), 5);
}
