//! A probe through hook and sink that never enters the ledger: the hook writes to a scratch home, and the sink takes a record
//! that it knows as a probe, and keeps nothing of it.

use super::codex::Seen;
use super::telemetry::{self, address};
use super::{Checks, encrypted};
use crate::cli::context::{Context, today};
use crate::cli::sink::{Listener, send, who_listens};
use crate::cli::token;
use crate::collect;
use crate::ingest::otlp::PROBE;
use crate::model::Users;
use crate::setup::shell_word;
use crate::store::Store;
use crate::store::sqlite::SqliteStore;
use anyhow::{Context as _, ensure};
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Instant;

/// A payload as Codex gives it to the hook after a response.
const PAYLOAD: &str = r#"{"session_id":"01a1f400-0000-7000-8000-000000000001","turn_id":"01a1f400-0000-7000-8000-000000000002","cwd":"/","transcript_path":null,"model":"probe","hook_event_name":"PostModelRequest","status":"completed","error":null,"token_usage":{"input_tokens":1,"cached_input_tokens":0,"cache_write_input_tokens":0,"output_tokens":1,"reasoning_output_tokens":0,"total_tokens":2}}"#;

/// Sends the probes.
pub(super) fn check(context: &Context, seen: &Seen, checks: &mut Checks) {
    match seen.command.as_deref().map(|command| hook(context, command)) {
        None => checks.warn(
            "live hook",
            "Codex runs no hook of ours, so there is none to try",
            "see `hooks` and `trust` above",
        ),
        Some(Ok(millis)) => {
            checks.ok("live hook", format!("a payload went through the hook in {millis} ms and is readable"))
        }
        Some(Err(e)) => {
            checks.fail("live hook", format!("{e:#}"), "run the command by hand; it needs stdin, and a writable home")
        }
    }
    match sink(context, seen) {
        Ok(Some((millis, true))) => {
            checks.ok("live sink", format!("a record went through the sink in {millis} ms and was not kept"))
        }
        Ok(Some((millis, false))) => {
            checks.ok("live sink", format!("a listener that cannot be verified took a record in {millis} ms"))
        }
        Ok(None) => {
            let says = "no sink of ours listens, so there is none to try";
            checks.warn("live sink", says, telemetry::start(context, seen));
        }
        Err(e) => checks.fail("live sink", format!("{e:#}"), "look at what `codex-tally serve` says"),
    }
}

/// Runs the command as Codex does, with a scratch home; returns how long it took.
fn hook(context: &Context, command: &str) -> anyhow::Result<u128> {
    let scratch = tempfile::tempdir()?;
    let home = scratch.path().join("home");
    let shell = context.env.path("SHELL").filter(|shell| shell.exists()).unwrap_or_else(|| "/bin/sh".into());
    let line = format!("{command} --home {}", shell_word(&home.to_string_lossy()));
    let began = Instant::now();
    let mut child = Command::new(shell)
        .arg("-c")
        .arg(line)
        .env("CODEX_TALLY_HOME", &home)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("the shell cannot be run")?;
    // It need not read what it is given; then nothing arrives, which is noticed below.
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(PAYLOAD.as_bytes()));
    let output = child.wait_with_output()?;
    let took = began.elapsed().as_millis();
    ensure!(output.status.success(), "`{command}` ended with {}", output.status);
    ensure!(output.stdout.is_empty(), "`{command}` prints something, which Codex would take for an answer");
    let mut store = SqliteStore::open(&scratch.path().join("scratch.db"))?;
    collect::read_spool(&mut store, &home, today(), &Users::Plain)?;
    ensure!(!store.observations()?.is_empty(), "the hook wrote nothing; is CODEX_TALLY_OFF set?");
    Ok(took)
}

/// Sends a record to the sink, if it is ours or says so; returns how long it took, and whether it has shown that it is ours.
fn sink(context: &Context, seen: &Seen) -> anyhow::Result<Option<(u128, bool)>> {
    let record = serde_json::json!({"attributes": [{"key": "event.name", "value": {"stringValue": PROBE}}]});
    if let Some(endpoint) = encrypted::endpoint(seen) {
        return Ok(encrypted::probe(endpoint, seen, &format!("[{record}]"))?.map(|millis| (millis, true)));
    }
    let token = token::read(&context.home)?;
    let address = address(context);
    let (token, verified) = match who_listens(address, token.as_deref())? {
        Listener::Ours(_) => (token, true),
        Listener::Open(_) => (None, false),
        _ => return Ok(None),
    };
    let body = serde_json::json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).to_string();
    let began = Instant::now();
    let answer = send(address, token.as_deref(), "application/json", body.as_bytes())?;
    ensure!(answer.starts_with("HTTP/1.1 200 "), "the sink answers `{answer}`");
    Ok(Some((began.elapsed().as_millis(), verified)))
}
