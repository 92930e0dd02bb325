//! Keeping house: backups and restoring them, stores and spool lines of other versions.

mod versions;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::store::{post_until_gone, report, stored};
use crate::support::capture::{Random, files};
use crate::support::env::Output;
use crate::support::{TestEnv, Transcript};

fn backup(env: &TestEnv, name: &str) -> PathBuf {
    let dir = env.root().join(name);
    let said = env.run(&["backup", dir.to_str().unwrap()]).ok();
    assert!(said.stderr.contains("copied and checked"), "{said}");
    dir
}

fn restore(env: &TestEnv, dir: &Path, more: &[&str]) -> Output {
    env.run(&[&["restore", dir.to_str().unwrap()], more].concat())
}

/// A transcript of so many responses.
fn place(env: &TestEnv, n: u64, responses: u64) {
    let t = Transcript::new(n);
    let records: String = (1..=responses).map(|n| t.record(n)).collect();
    std::fs::write(t.path(env), t.head() + &records).unwrap();
}

fn hook(env: &TestEnv, turn: &str) {
    let payload = json!({"session_id": "s", "turn_id": turn, "hook_event_name": "PostModelRequest", "model": "gpt-5.5",
        "token_usage": {"input_tokens": 7, "output_tokens": 1}});
    let _ = env.hook(payload.to_string()).ok();
}

fn manifest(dir: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(dir.join("backup.json")).unwrap()).unwrap()
}

/// All files of a folder with their content.
fn content(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    files(dir).into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

/// No client comes so far by itself.
const LAST: u64 = 1 << 40;

#[test]
fn a_backup_taken_under_load_holds_all_that_was_acknowledged_before_it() {
    let env = TestEnv::new().billed_by_the_api();
    place(&env, 1, 500);
    let server = env.serve(&["--auth", "none"]);
    let addr = ([127, 0, 0, 1], server.port()).into();
    let (next, acked) = (AtomicU64::new(100_000), Mutex::new(Vec::new()));
    let mut taken = Vec::new();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..2).map(|_| scope.spawn(|| post_until_gone(addr, &next, LAST, &acked))).collect();
        for n in 0..3 {
            hook(&env, &format!("turn-{n}"));
            while acked.lock().unwrap().len() < 20 * (n + 1) {
                assert!(!clients.iter().all(|c| c.is_finished()), "the sink acknowledges no more");
                std::thread::sleep(Duration::from_millis(1));
            }
            let before = acked.lock().unwrap().clone();
            taken.push((backup(&env, &format!("backup-{n}")), n as u64 + 1, before));
        }
        // What follows is beyond the last.
        next.store(LAST, Ordering::Relaxed);
        clients.into_iter().for_each(|client| client.join().unwrap());
        assert!(server.stop().success());
    });
    for (dir, hooks, acked) in taken {
        let fresh = TestEnv::new();
        let said = restore(&fresh, &dir, &[]).ok();
        assert!(said.stderr.contains("restored"), "{said}");
        let there = stored(&fresh);
        let lost: Vec<_> = acked.iter().filter(|n| there.get(n) != Some(&1)).collect();
        assert!(lost.is_empty(), "acknowledged before the backup and not in it: {lost:?}");
        assert_eq!((there.get(&500), there.get(&7)), (Some(&1), Some(&(1 + hooks))), "transcript and hooks");
        let _ = fresh.run(&["ledger", "verify"]).ok();
        let config = std::fs::read_to_string(fresh.home().join("config.toml")).unwrap();
        assert_eq!(config, "channel = \"api\"\n");
        let rows: u64 = Connection::open(dir.join("tally.db"))
            .and_then(|db| db.query_row("SELECT count(*) FROM observation", [], |row| row.get::<_, i64>(0)))
            .unwrap() as u64;
        assert_eq!(manifest(&dir)["observations"], rows);
    }
}

#[test]
fn a_backup_is_private_whole_or_not_there_and_has_no_token() {
    let env = TestEnv::new();
    place(&env, 1, 3);
    assert!(env.serve(&[]).stop().success());
    assert!(env.home().join("token").exists());
    std::fs::write(env.home().join("people.csv"), "email,team\n").unwrap();
    let dir = backup(&env, "backup");
    let names: Vec<_> = files(&dir).iter().map(|f| f.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["backup.json", "people.csv", "tally.db"]);
    for path in files(&dir).iter().chain([&dir]) {
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o077, 0, "{}", path.display());
    }
    let said = env.run(&["backup", dir.to_str().unwrap()]).fails(1);
    assert!(said.stderr.contains("choose another folder"), "{said}");
    // The first one of a user has no folder of backups yet.
    let around = env.root().join("backups");
    let first = backup(&env, "backups/of/today");
    assert!(first.join("backup.json").exists());
    for made in [around.join("of"), around] {
        assert_eq!(std::fs::metadata(&made).unwrap().permissions().mode() & 0o777, 0o700, "{}", made.display());
    }
    // Without room for the copy there is none, and nothing is left behind.
    let full = env.root().join("full");
    std::fs::create_dir(&full).unwrap();
    let mut tally = env.command("sh");
    tally.args(["-c", "ulimit -f 100; exec \"$0\" backup \"$1\" --no-import", crate::support::env::TALLY]);
    tally.arg(full.join("backup"));
    let said = Output::of(tally).fails(1);
    assert!(said.stderr.contains("cannot write"), "{said}");
    assert_eq!(std::fs::read_dir(&full).unwrap().count(), 0, "{said}");
}

#[test]
fn restoring_and_reading_on_is_as_if_nothing_had_been_lost() {
    let env = TestEnv::new();
    place(&env, 1, 30);
    hook(&env, "one");
    let _ = env.run(&["sync"]).ok();
    let dir = backup(&env, "backup");
    place(&env, 2, 20);
    hook(&env, "two");
    let _ = env.run(&["sync"]).ok();
    let wanted = report(&env);
    assert_eq!(wanted[1]["responses"], 52);

    let said = restore(&env, &dir, &[]).fails(1);
    assert!(said.stderr.contains("--replace"), "{said}");
    assert_eq!(report(&env), wanted);

    let said = restore(&env, &dir, &["--replace"]).ok();
    let aside = files(&env.home()).into_iter().find(|f| f.to_str().unwrap().contains(".before-restore-")).unwrap();
    assert!(said.stderr.contains(aside.to_str().unwrap()), "{said}");
    assert_eq!(std::fs::metadata(&aside).unwrap().permissions().mode() & 0o077, 0);
    assert_eq!(report(&env)[1]["responses"], 31, "as it was when the backup was made");
    let _ = env.run(&["sync"]).ok();
    assert_eq!(report(&env), wanted);
    let of_aside = env.run(&[
        "--db",
        &format!("sqlite:{}", aside.display()),
        "report",
        "session",
        "--format",
        "json",
        "--no-import",
    ]);
    assert_eq!(of_aside.ok().json()["totals"], wanted[1], "what was replaced is whole, too");
}

#[test]
fn a_store_that_is_in_use_is_not_replaced() {
    let env = TestEnv::new();
    place(&env, 1, 3);
    let dir = backup(&env, "backup");
    let server = env.serve(&["--auth", "none"]);
    let said = restore(&env, &dir, &["--replace"]).fails(1);
    assert!(said.stderr.contains("stop the sink"), "{said}");
    let (next, acked) = (AtomicU64::new(100_000), Mutex::new(Vec::new()));
    post_until_gone(([127, 0, 0, 1], server.port()).into(), &next, 100_020, &acked);
    assert!(server.stop().success());
    assert_eq!(stored(&env).len(), 3 + 21, "the sink went on");
    let _ = restore(&env, &dir, &["--replace"]).ok();
    assert_eq!(stored(&env).len(), 3);
}

#[test]
fn a_damaged_or_strange_backup_changes_nothing() {
    let env = TestEnv::new();
    place(&env, 1, 200);
    let dir = backup(&env, "backup");
    let fresh = TestEnv::new();
    let refused = |says: &str| {
        let said = restore(&fresh, &dir, &[]).fails(1);
        assert!(said.stderr.contains(says), "{says}: {said}");
        assert!(!fresh.home().join("tally.db").exists());
    };
    let db = dir.join("tally.db");
    let (good, listed) = (std::fs::read(&db).unwrap(), std::fs::read(dir.join("backup.json")).unwrap());
    let mut bytes = good.clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&db, &bytes).unwrap();
    refused("not as it was written");
    std::fs::write(&db, &good[..middle]).unwrap();
    refused("not as it was written");
    std::fs::remove_file(&db).unwrap();
    refused("tally.db is missing");
    std::os::unix::fs::symlink("/etc/passwd", &db).unwrap();
    refused("tally.db is missing");
    std::fs::remove_file(&db).unwrap();
    std::fs::write(&db, &good).unwrap();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut manifest: Value = serde_json::from_slice(&listed).unwrap();
        change(&mut manifest);
        std::fs::write(dir.join("backup.json"), manifest.to_string()).unwrap();
    };
    for name in ["../evil.toml", "/etc/passwd", "token", "off", ".toml", "a/b.toml"] {
        with(&|manifest| manifest["files"][name] = json!("00"));
        refused("strange name");
    }
    with(&|manifest| manifest["schema"] = json!(99));
    refused("newer");
    std::fs::remove_file(dir.join("backup.json")).unwrap();
    refused("no backup.json");
    // A database of other tables, whatever its hash.
    let hash = |bytes: &[u8]| sha2::Digest::finalize(sha2::Digest::chain_update(sha2::Sha256::default(), bytes));
    let list = |bytes: &[u8]| {
        let hash: String = hash(bytes).iter().map(|b| format!("{b:02x}")).collect();
        with(&|manifest| manifest["files"]["tally.db"] = json!(hash));
    };
    Connection::open(&db)
        .unwrap()
        .execute_batch("CREATE TRIGGER t AFTER INSERT ON thread BEGIN SELECT 1; END")
        .unwrap();
    list(&std::fs::read(&db).unwrap());
    refused("other tables than ours");
    std::fs::write(&db, &good).unwrap();
    list(&good);
    let _ = restore(&fresh, &dir, &[]).ok();
    assert_eq!(stored(&fresh).len(), 200);
}

/// Ends a command after a moment, and says whether it was still at work.
fn killed_after(env: &TestEnv, args: &[&str], millis: u64) -> bool {
    let mut child = env.tally(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(millis));
    let at_work = child.try_wait().unwrap().is_none();
    // It may have ended just now, and then there is nothing to kill.
    let _ = child.kill();
    child.wait().unwrap();
    at_work
}

#[test]
fn a_restore_that_is_killed_leaves_one_store_or_the_other() {
    let env = TestEnv::new();
    place(&env, 1, 3000);
    let dir = backup(&env, "backup");
    place(&env, 2, 6000);
    let _ = env.run(&["sync"]).ok();
    let later = backup(&env, "later");
    // The transcripts must not heal what the test is about.
    std::fs::remove_dir_all(env.codex_home().join("sessions")).unwrap();
    let mut random = Random(0x00c0_ffee);
    let (mut killed, mut seen) = (0, BTreeSet::new());
    for round in 0..16 {
        let from = if round % 2 == 0 { &dir } else { &later };
        let args = ["restore", from.to_str().unwrap(), "--replace"];
        killed += u32::from(killed_after(&env, &args, random.below(25 * (1 + round)) as u64));
        let there: u64 = stored(&env).values().sum();
        assert!([3000, 9000].contains(&there), "round {round}: {there}");
        seen.insert(there);
        let db = Connection::open(env.home().join("tally.db")).unwrap();
        let verdict: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(verdict, "ok", "round {round}");
    }
    assert!(killed > 3, "{killed} were killed before their end");
    let _ = restore(&env, &dir, &["--replace"]).ok();
    assert_eq!(stored(&env).values().sum::<u64>(), 3000);
    let _ = env.run(&["ledger", "verify"]).ok();
}

#[test]
fn a_backup_that_is_killed_is_not_there() {
    let env = TestEnv::new();
    place(&env, 1, 6000);
    let _ = env.run(&["sync"]).ok();
    let mut whole = 0;
    for round in 0..10 {
        let dir = env.root().join(format!("backup-{round}"));
        killed_after(&env, &["backup", dir.to_str().unwrap(), "--no-import"], 12 * round);
        if dir.exists() {
            let fresh = TestEnv::new();
            let _ = restore(&fresh, &dir, &[]).ok();
            assert_eq!(stored(&fresh).len(), 6000);
            whole += 1;
        }
    }
    assert!(whole < 10, "none was killed before its end");
}
