//! What the sink tells a service manager: that it serves, and that it goes on. A manager of the test's own listens.

use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rustix::process::{Pid, Signal, kill_process};

use codex_tally::serve::{Options, Watchdog};

use crate::support::test_sink::{TestSink, logs};
use crate::support::{Server, TestEnv};

/// What is allowed, and how much longer a busy machine may take.
const WITHIN: Duration = Duration::from_millis(600);
const PATIENCE: Duration = Duration::from_secs(20);

/// The next message, if one comes in this time.
fn heard(manager: &UnixDatagram, within: Duration) -> Option<String> {
    let mut message = [0; 64];
    manager.set_read_timeout(Some(within)).unwrap();
    let n = manager.recv(&mut message).ok()?;
    Some(String::from_utf8_lossy(&message[..n]).into_owned())
}

/// What was sent before goes.
fn forget(manager: &UnixDatagram) {
    while heard(manager, Duration::from_millis(1)).is_some() {}
}

#[test]
fn a_service_manager_is_told_that_the_sink_goes_on() {
    let env = TestEnv::new();
    let socket = env.root().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    let mut command = env.tally(&["serve", "--http", "127.0.0.1:0", "--grpc", "none"]);
    command.env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", WITHIN.as_micros().to_string());
    let server = Server::start(command);
    while heard(&manager, PATIENCE).expect("it is ready") != "READY=1" {}
    for _ in 0..3 {
        assert_eq!(heard(&manager, PATIENCE).as_deref(), Some("WATCHDOG=1"));
    }
    // A store that somebody else holds is no reason to be started again.
    let held = Connection::open(env.home().join("tally.db")).unwrap();
    held.execute_batch("BEGIN EXCLUSIVE").unwrap();
    forget(&manager);
    for _ in 0..3 {
        assert_eq!(heard(&manager, PATIENCE).as_deref(), Some("WATCHDOG=1"));
    }
    drop(held);
    // One that is stopped is silent, until it goes on.
    let process = Pid::from_raw(server.pid().cast_signed()).unwrap();
    kill_process(process, Signal::STOP).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    forget(&manager);
    assert_eq!(heard(&manager, 3 * WITHIN), None);
    kill_process(process, Signal::CONT).unwrap();
    assert_eq!(heard(&manager, PATIENCE).as_deref(), Some("WATCHDOG=1"));
    assert!(server.stop().success());
    // Who does not ask is told that it serves, and nothing more.
    let mut command = env.tally(&["serve", "--http", "127.0.0.1:0", "--grpc", "none"]);
    command.env("NOTIFY_SOCKET", &socket);
    forget(&manager);
    let server = Server::start(command);
    assert_eq!(heard(&manager, PATIENCE).as_deref(), Some("READY=1"));
    assert_eq!(heard(&manager, 3 * WITHIN), None);
    assert!(server.stop().success());
}

#[test]
fn a_writer_that_hangs_is_not_said_to_go_on() {
    let told = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&told);
    let tell = move || {
        count.fetch_add(1, Ordering::SeqCst);
    };
    let watchdog = Watchdog::start(WITHIN, tell).unwrap();
    let sink = TestSink::start(Options { watchdog: Some(watchdog), ..Options::default() });
    let until_more = |than: u32| {
        let began = Instant::now();
        while told.load(Ordering::SeqCst) <= than {
            assert!(began.elapsed() < PATIENCE, "nobody is told");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    until_more(3);
    // The store does not come back with the answer.
    let held = sink.store.contents();
    let addr = sink.handle.addr;
    let post = std::thread::spawn(move || {
        let headers = [("content-type", "application/json")];
        crate::support::client::call(addr, "POST", "/v1/logs", &headers, &logs(1)).status
    });
    std::thread::sleep(WITHIN);
    let before = told.load(Ordering::SeqCst);
    std::thread::sleep(3 * WITHIN);
    assert_eq!(told.load(Ordering::SeqCst), before, "the writer hangs");
    drop(held);
    assert_eq!(post.join().unwrap(), 200);
    until_more(before + 2);
    let _ = sink.stop();
    // After its end nobody is told any more.
    std::thread::sleep(WITHIN);
    let after = told.load(Ordering::SeqCst);
    std::thread::sleep(2 * WITHIN);
    assert_eq!(told.load(Ordering::SeqCst), after);
}
