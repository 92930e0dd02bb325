//! `uninstall --purge`, and what `init` writes into our own configuration.

use std::os::unix::fs::PermissionsExt;

use super::{config, init, on_port};
use crate::support::TestEnv;

#[test]
fn nothing_is_purged_below_a_sink_that_runs() {
    let env = TestEnv::new();
    let server = env.serve(&["--grpc", "none"]);
    on_port(&env, server.port());
    let _ = init(&env, &[]).ok();
    let with = config(&env);
    let said = env.run(&["uninstall", "--purge", "--yes"]).fails(1);
    assert!(said.stderr.contains("nothing was removed") && said.stderr.contains("another sink runs"), "{said}");
    assert_eq!(config(&env), with);
    assert!(env.home().join("tally.db").exists() && env.home().join("token").exists());
    assert!(server.stop().success());
    let said = env.run(&["uninstall", "--purge", "--yes"]).ok();
    assert!(!env.home().join("tally.db").exists() && !env.home().join("token").exists(), "{said}");
}

#[test]
fn a_ledger_elsewhere_is_named() {
    let env = TestEnv::new();
    on_port(&env, 4999);
    let db = env.root().join("other.db");
    let url = format!("sqlite:{}", db.display());
    let _ = env.run(&["--db", &url, "sync"]).ok();
    let _ = init(&env, &[]).ok();
    let said = env.run(&["-q", "--db", &url, "uninstall", "--purge", "--yes"]).ok();
    assert!(db.exists() && said.stderr.contains(&format!("`rm {}", db.display())), "{said}");
}

/// A line that is appended to what `init` wrote is what it says.
#[test]
fn the_channel_can_be_added_at_the_end() {
    use std::io::Write;
    let env = TestEnv::new();
    let _ = init(&env, &[]).ok();
    let path = env.home().join("config.toml");
    let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"channel = \"api\"\n").unwrap();
    let _ = env.run(&["report", "monthly"]).ok();
    // It stays; and without it, nothing does.
    let _ = env.run(&["uninstall", "--yes"]).ok();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "channel = \"api\"\n");
    // Where a table is above it, the error says what to do.
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::write(&path, "[privacy]\nuser = \"off\"\nchannel = \"api\"\n").unwrap();
    let said = env.run(&["report", "monthly"]).fails(1);
    assert!(said.stderr.contains("`channel` stands above the first `[table]`"), "{said}");
    std::fs::write(&path, "sink.http = \"127.0.0.1:4999\"\n[sink]\ngrpc = \"none\"\n").unwrap();
    let said = env.run(&["report", "monthly"]).fails(1);
    assert!(said.stderr.contains("either as `sink.x = ...` or as a table"), "{said}");
}
