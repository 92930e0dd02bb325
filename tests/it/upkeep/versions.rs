//! Stores and spool lines that another version wrote.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rusqlite::Connection;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{backup, content, hook, killed_after, manifest, place, restore};
use crate::store::{report, stored};
use crate::support::capture::files;
use crate::support::client::Client;
use crate::support::{Capture, Feed, TestEnv, Transcript};

/// The migrations in their order.
fn migrations() -> Vec<String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/store/sqlite/migrations");
    files(&folder).iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

/// Puts in the place of the store one of an earlier schema with the same content, as far as that knew it.
fn as_of_schema(env: &TestEnv, schema: usize) {
    let path = env.home().join("tally.db");
    let now = env.home().join("now.db");
    Connection::open(&path).unwrap().execute("VACUUM INTO ?1", [now.to_str().unwrap()]).unwrap();
    for file in ["tally.db", "tally.db-wal", "tally.db-shm"] {
        let _ = std::fs::remove_file(env.home().join(file));
    }
    let old = Connection::open(&path).unwrap();
    old.pragma_update(None, "journal_mode", "wal").unwrap();
    migrations().iter().take(schema).for_each(|sql| old.execute_batch(sql).unwrap());
    old.pragma_update(None, "application_id", 0x6364_7874).unwrap();
    old.pragma_update(None, "user_version", schema as i64).unwrap();
    old.execute("ATTACH ?1 AS now", [now.to_str().unwrap()]).unwrap();
    // Sealed sessions stand before the seal: a trigger sees to it.
    for table in ["thread", "observation", "file", "counter", "codex_home", "sealed_session", "seal"] {
        let sql = "SELECT count(*) FROM main.sqlite_schema WHERE name = ?1";
        if old.query_row(sql, [table], |row| row.get::<_, i64>(0)).unwrap() == 1 {
            old.execute_batch(&format!("INSERT INTO main.{table} SELECT * FROM now.{table}")).unwrap();
        }
    }
    if schema > 1 {
        old.execute_batch("INSERT INTO dirty SELECT id, 0 FROM thread").unwrap();
    }
    drop(old);
    std::fs::remove_file(now).unwrap();
}

#[test]
fn stores_of_every_schema_are_brought_up_to_date_with_a_copy_made_first() {
    let all = migrations().len();
    for schema in 1..all {
        let env = TestEnv::new().billed_by_the_api();
        Capture::named("01_http_binary").replay(&env, &[Feed::Hooks, Feed::Otlp, Feed::Transcripts]);
        place(&env, 1, 40);
        place(&env, 2, 7);
        let path = Transcript::new(2).path(&env);
        std::fs::write(&path, std::fs::read_to_string(&path).unwrap().replace("2026-11-21T", "2026-10-21T")).unwrap();
        let _ = env.run(&["sync"]).ok();
        if schema >= 3 {
            let _ = env.run(&["ledger", "seal", "-p", "2026-10"]).ok();
        }
        let wanted = report(&env);
        as_of_schema(&env, schema);
        let said = env.run(&["report", "session", "--no-import"]).ok();
        let copy = env.home().join(format!("tally.db.schema-{schema}"));
        assert!(said.stderr.contains(copy.to_str().unwrap()), "schema {schema}: {said}");
        assert_eq!(report(&env), wanted, "schema {schema}");
        let said = env.run(&["ledger", "verify"]).ok();
        assert!(!said.stderr.contains("schema"), "told once: {said}");
        assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o077, 0);
        let old = Connection::open(&copy).unwrap();
        let number = |sql: &str| old.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(number("PRAGMA user_version"), schema as i64);
        let now = Connection::open(env.home().join("tally.db")).unwrap();
        let there: i64 = now.query_row("SELECT count(*) FROM observation", [], |row| row.get(0)).unwrap();
        assert_eq!(number("SELECT count(*) FROM observation"), there);
        // Reading it all again adds nothing.
        now.execute_batch("DELETE FROM file").unwrap();
        assert!(env.run(&["import"]).ok().stderr.contains("0 new"), "schema {schema}");
    }
}

#[test]
fn a_store_that_is_killed_while_it_is_brought_up_to_date_is_taken_up_again() {
    let env = TestEnv::new();
    place(&env, 1, 9000);
    let _ = env.run(&["sync"]).ok();
    let wanted = report(&env);
    as_of_schema(&env, 1);
    let mut killed = 0;
    for millis in [3, 6, 9, 12, 15, 20, 25, 30, 40, 50] {
        killed += u32::from(killed_after(&env, &["sync"], millis));
        // Whatever there is besides is whole.
        let copy = env.home().join("tally.db.schema-1");
        if copy.exists() {
            assert_eq!(codex_tally::store::sqlite::check(&copy).unwrap().schema, 1);
        }
    }
    assert!(killed > 2, "{killed} were killed before their end");
    assert_eq!(report(&env), wanted);
    assert_eq!(codex_tally::store::sqlite::check(&env.home().join("tally.db.schema-1")).unwrap().observations, {
        let db = Connection::open(env.home().join("tally.db")).unwrap();
        db.query_row("SELECT count(*) FROM observation", [], |row| row.get::<_, i64>(0)).unwrap() as u64
    });
}

#[test]
fn a_backup_of_an_older_version_is_restored_and_one_of_a_newer_is_not() {
    let env = TestEnv::new();
    place(&env, 1, 40);
    let wanted = {
        let _ = env.run(&["sync"]).ok();
        report(&env)
    };
    let dir = backup(&env, "backup");
    let with_schema = |schema: usize, newer: bool| {
        as_of_schema(&env, schema);
        let db = Connection::open(env.home().join("tally.db")).unwrap();
        if newer {
            db.pragma_update(None, "user_version", 99).unwrap();
        }
        std::fs::remove_file(dir.join("tally.db")).unwrap();
        db.execute("VACUUM INTO ?1", [dir.join("tally.db").to_str().unwrap()]).unwrap();
        let bytes = std::fs::read(dir.join("tally.db")).unwrap();
        let hash: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        let mut manifest = manifest(&dir);
        manifest["files"]["tally.db"] = json!(hash);
        std::fs::write(dir.join("backup.json"), manifest.to_string()).unwrap();
    };
    with_schema(1, false);
    let fresh = TestEnv::new();
    let said = restore(&fresh, &dir, &[]).ok();
    assert!(said.stderr.contains("brought up to date") && said.stderr.contains("restored"), "{said}");
    assert_eq!(report(&fresh), wanted);
    with_schema(1, true);
    let fresh = TestEnv::new();
    let said = restore(&fresh, &dir, &[]).fails(1);
    assert!(said.stderr.contains("newer codex-tally") && !fresh.home().join("tally.db").exists(), "{said}");
}

#[test]
fn an_empty_store_is_brought_up_to_date_without_a_copy() {
    let env = TestEnv::new();
    let _ = env.run(&["sync"]).ok();
    as_of_schema(&env, 1);
    let said = env.run(&["report", "monthly"]).ok();
    assert!(!said.stderr.contains("schema"), "{said}");
    assert_eq!(files(&env.home()).iter().find(|f| f.to_str().unwrap().contains("schema")), None);
}

#[test]
fn without_room_for_a_copy_the_store_stays_as_it_is() {
    let env = TestEnv::new();
    place(&env, 1, 40);
    let _ = env.run(&["sync"]).ok();
    as_of_schema(&env, 1);
    let copy = env.home().join("tally.db.schema-1.part");
    std::fs::create_dir(&copy).unwrap();
    let said = env.run(&["report", "monthly", "--no-import"]).fails(1);
    assert!(said.stderr.contains("tally.db"), "{said}");
    let version = |env: &TestEnv| -> i64 {
        let db = Connection::open(env.home().join("tally.db")).unwrap();
        db.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
    };
    assert_eq!(version(&env), 1);
    std::fs::remove_dir(&copy).unwrap();
    // What a crash left of an earlier copy is in nobody's way.
    std::fs::write(&copy, "half").unwrap();
    let _ = env.run(&["report", "monthly", "--no-import"]).ok();
    assert!(version(&env) > 1 && stored(&env).len() == 40 && !copy.exists());
}

#[test]
fn a_newer_store_is_named_and_not_touched() {
    let env = TestEnv::new();
    place(&env, 1, 3);
    let _ = env.run(&["sync"]).ok();
    let newer = Connection::open(env.home().join("tally.db")).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    // Not even the mode of the file changes.
    newer.pragma_update(None, "journal_mode", "delete").unwrap();
    drop(newer);
    hook(&env, "waits");
    let before = content(&env.home());
    let backup = env.root().join("backup");
    for args in [
        &["report", "monthly"][..],
        &["sync"],
        &["import"],
        &["show", "last"],
        &["ledger", "verify"],
        &["observations", "export", "-"],
        &["serve", "--http", "127.0.0.1:0", "--grpc", "none"],
        &["backup", backup.to_str().unwrap()],
    ] {
        let said = env.run(args).fails(1);
        assert!(said.stderr.contains("newer codex-tally (schema 99"), "{args:?}: {said}");
        assert!(said.stderr.contains("update this program") && !said.stderr.contains("damaged"), "{args:?}: {said}");
        assert!(content(&env.home()) == before, "{args:?} changed something");
    }
}

fn spooled(env: &TestEnv, day: &str, lines: &[Value]) -> PathBuf {
    let dir = env.home().join("spool");
    std::fs::create_dir_all(&dir).unwrap();
    for dir in [&env.home(), &dir] {
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    let path = dir.join(format!("other-{day}.jsonl"));
    std::fs::write(&path, lines.iter().map(|line| format!("\n{line}\n")).collect::<String>()).unwrap();
    path
}

fn event(ns: u64, tokens: u64) -> Value {
    json!({"v": 1, "id": {"ns": ns, "pid": 1, "rnd": ns}, "bytes": 10, "event": "PostModelRequest", "session": "s",
        "turn": format!("t{ns}"), "model": "gpt-5.5", "tokens": [tokens, 0, 0, 1, 0], "env": {"user": "dev"}})
}

#[test]
fn lines_of_an_older_or_a_newer_hook_are_read() {
    let env = TestEnv::new();
    let mut older = event(1, 11);
    older.as_object_mut().unwrap().retain(|name, _| !["v", "env", "bytes"].contains(&name.as_str()));
    let mut newer = event(2, 12);
    newer["added"] = json!({"deep": [1, {"x": null}]});
    newer["env"]["added"] = json!(["x"]);
    newer["id"]["added"] = json!(1.5);
    spooled(&env, "2026-11-20", &[older, newer]);
    let said = env.run(&["sync"]).ok();
    assert!(!said.stderr.contains("warning"), "{said}");
    assert_eq!(stored(&env).into_iter().collect::<Vec<_>>(), [(11, 1), (12, 1)]);
}

#[test]
fn lines_that_mean_something_else_wait_for_the_version_that_knows() {
    let env = TestEnv::new();
    // As an older program sees it: the middle line is of another format, and so much so that its fields are of other types.
    let mut other = event(2, 12);
    other["v"] = json!(2);
    other["id"] = json!("other");
    let path = spooled(&env, "2025-03-01", &[event(1, 11), other, event(3, 13)]);
    for _ in 0..2 {
        let said = env.run(&["sync"]).fails(1);
        assert!(said.stderr.contains("update this program") && said.stderr.contains("other-2025-03-01"), "{said}");
        assert_eq!(stored(&env).into_iter().collect::<Vec<_>>(), [(11, 1)]);
        assert!(path.exists(), "nothing that was not read goes, however old");
    }
    assert_eq!(report(&env)[2]["unreadable"], json!({}));
    // As the newer program sees it: it knows that format.
    let text = std::fs::read_to_string(&path)
        .unwrap()
        .replace("\"v\":2", "\"v\":1")
        .replace("\"other\"", "{\"ns\":2,\"pid\":1,\"rnd\":2}");
    std::fs::write(&path, text).unwrap();
    let _ = env.run(&["sync"]).ok();
    assert_eq!(stored(&env).into_iter().collect::<Vec<_>>(), [(11, 1), (12, 1), (13, 1)]);
    assert!(!path.exists());
}

#[test]
fn a_hook_of_this_version_and_a_sink_of_this_version_agree() {
    let env = TestEnv::new();
    hook(&env, "one");
    let [line] = files(&env.home().join("spool")).try_into().unwrap();
    let line: Value = serde_json::from_str(std::fs::read_to_string(line).unwrap().trim()).unwrap();
    assert_eq!(line["v"], 1, "a new format needs readers that let the old one wait");
    let server = env.serve(&["--auth", "none"]);
    crate::support::eventually("the sink has read the spool", || stored(&env).get(&7) == Some(&1));
    drop(Client::connect(([127, 0, 0, 1], server.port()).into()));
    assert!(server.stop().success());
}
