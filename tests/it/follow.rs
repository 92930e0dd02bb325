//! The sink reads on while it serves: reports without an import of their own show what is seconds old.

use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::store::{report, stored};
use crate::support::{TestEnv, Transcript, eventually};

fn append(path: &Path, text: &str) {
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn hook(env: &TestEnv, input: u64) {
    let payload = json!({
        "session_id": "01a1fbc1-b2d8-74a2-955e-00000000ffff", "turn_id": format!("t{input}"), "model": "gpt-5.5",
        "hook_event_name": "PostModelRequest", "token_usage": {"input_tokens": input, "output_tokens": 1},
    });
    let _ = env.hook(payload.to_string()).ok();
}

fn responses(env: &TestEnv) -> Value {
    report(env)[1]["responses"].clone()
}

#[test]
fn spool_and_transcripts_are_followed_while_the_sink_serves() {
    let (env, old, new) = (TestEnv::new(), Transcript::new(1), Transcript::new(2));
    append(&old.path(&env), &(old.head() + &old.record(1)));
    let server = env.serve(&["--auth", "none"]);
    eventually("what was there is read", || responses(&env) == 1);
    hook(&env, 1000);
    eventually("the hook's record is read", || responses(&env) == 2);
    let line = old.record(2);
    let (start, end) = line.split_at(line.len() / 2);
    append(&old.path(&env), start);
    append(&old.path(&env), &(end.to_string() + "no record\n"));
    eventually("a transcript is read on", || responses(&env) == 3);
    append(&new.path(&env), &(new.head() + &new.record(3)));
    eventually("a new transcript is found", || responses(&env) == 4);
    append(&new.path(&env), &new.record(4));
    eventually("and read on", || responses(&env) == 5);
    assert!(server.stop().success());
    let [_, _, coverage] = report(&env);
    assert_eq!(coverage["unreadable"], json!({"transcript.bad_line": 1}));
    assert_eq!(stored(&env), [1, 2, 3, 4, 1000].map(|n| (n, 1)).into());
}

#[test]
fn following_can_be_switched_off() {
    let (env, t) = (TestEnv::new(), Transcript::new(1));
    append(&t.path(&env), &(t.head() + &t.record(1)));
    hook(&env, 1000);
    let server = env.serve(&["--auth", "none", "--no-follow"]);
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(server.stop().success());
    assert_eq!(stored(&env), [].into());
}

#[test]
fn a_stop_in_the_middle_of_a_long_transcript_is_taken_up_again() {
    const RECORDS: u64 = 20_000;
    let (env, t) = (TestEnv::new(), Transcript::new(1));
    let text: String = (1..=RECORDS).map(|n| t.record(n)).collect();
    append(&t.path(&env), &(t.head() + &text));
    let mut most = 0;
    for round in 0..5 {
        let server = env.serve(&["--auth", "none"]);
        std::thread::sleep(std::time::Duration::from_millis(100 * round));
        assert!(server.stop().success());
        let now = stored(&env).len();
        assert!(now >= most);
        most = now;
    }
    let _ = env.run(&["sync"]).ok();
    assert_eq!(stored(&env), (1..=RECORDS).map(|n| (n, 1)).collect());
}

#[test]
fn a_sink_and_commands_that_read_on_at_once_lose_nothing() {
    const RECORDS: u64 = 300;
    let env = TestEnv::new();
    let server = env.serve(&["--auth", "none"]);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..3)
            .map(|n| {
                let env = &env;
                scope.spawn(move || {
                    let t = Transcript::new(n);
                    append(&t.path(env), &t.head());
                    for k in 0..RECORDS {
                        append(&t.path(env), &t.record(n * RECORDS + k));
                        if k % 50 == 0 {
                            append(&t.path(env), "no record\n");
                            hook(env, 1_000_000 + n * RECORDS + k);
                        }
                        std::thread::sleep(std::time::Duration::from_millis(3));
                    }
                })
            })
            .collect();
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let _ = env.run(&["sync"]).ok();
                }
            });
        }
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    let _ = env.run(&["sync"]).ok();
    assert!(server.stop().success());
    let hooks = (0..3).flat_map(|n| (0..RECORDS).step_by(50).map(move |k| 1_000_000 + n * RECORDS + k));
    assert_eq!(stored(&env), (0..3 * RECORDS).chain(hooks).map(|n| (n, 1)).collect());
    let [_, _, coverage] = report(&env);
    assert_eq!(coverage["unreadable"], json!({"transcript.bad_line": 18}), "each bad line is counted once");
}
