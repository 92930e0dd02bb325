//! Stores that are made for a bench, and the program that works on them.

use codex_tally::model::{
    Body, Context, KeyBuilder, Meta, Observation, Response, SourceKind, ThreadId, Timestamp, TokenUsage, ToolCall,
};
use codex_tally::store::sqlite::SqliteStore;
use codex_tally::store::{Batch, Store};
use std::error::Error;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub(super) type Fallible<T> = Result<T, Box<dyn Error>>;

const SECOND: i64 = 1_000_000_000;

/// Adds sessions of the 29 days from a moment on, with `each` responses, the first with this number. Returns how many responses
/// there are, and their input tokens.
pub(super) fn fill(store: &mut SqliteStore, start: i64, first: u64, responses: u64, each: u64) -> Fallible<(u64, u64)> {
    let (mut tokens, mut n) = (0, 0);
    while n < responses {
        let mut batch = Batch::default();
        while n < responses && batch.observations.len() < 20_000 {
            tokens += session(&mut batch.observations, start, first + n / each, each);
            n += each;
        }
        store.append(&batch)?;
    }
    Ok((n, tokens))
}

/// One session, a response a minute; returns its input tokens.
fn session(to: &mut Vec<Observation>, start: i64, number: u64, responses: u64) -> u64 {
    let id = format!("01a1f400-{:04x}-7000-8000-{:012x}", number >> 16, number);
    let thread = ThreadId::new(&id).unwrap_or_else(|| unreachable!("a thread id"));
    // Over a month: 200 users, each with two of 40 projects.
    let start = start + (number as i64 * 2_654_435_761 % 2_500_000) * SECOND;
    let (user, project) = (number % 200, (number % 200 + number / 200 % 2) % 40);
    let mut add = |key: String, source, time, body| {
        let key = KeyBuilder::new("bench").part(&id).part(&key).build();
        to.push(Observation { thread: thread.clone(), key, source, time: Timestamp(time), body });
    };
    let meta = Meta {
        source: Some("cli".into()),
        originator: Some("codex_cli_rs".into()),
        cwd: Some(format!("/work/project-{project}")),
        provider: Some("openai".into()),
        ..Meta::default()
    };
    add("meta".into(), SourceKind::Transcript, start, Body::Meta(Box::new(meta)));
    let context = Context {
        id: 1,
        service: Some("codex_cli_rs".into()),
        auth_mode: Some("ApiKey".into()),
        email: Some(format!("user-{user}@example.com")),
        ..Context::default()
    };
    add("context".into(), SourceKind::Otlp, start, Body::Context(Box::new(context)));
    let mut tokens = 0;
    for i in 0..responses {
        let time = start + i as i64 * 60 * SECOND;
        let turn = format!("01a1f400-{:04x}-7000-8001-{number:012x}", i / 8);
        let usage =
            TokenUsage { input: 20_000 + 97 * i, cached_input: 18_000, output: 300 + i, ..TokenUsage::default() };
        tokens += usage.input;
        let model = Some(if number.is_multiple_of(5) { "gpt-5.4-mini" } else { "gpt-5.5" }.to_string());
        let effort = Some("high".to_string());
        let response = Response { usage, model, effort, ..Response::default() };
        if i % 2 == 0 {
            let seen = Response { ctx: Some(1), ..response.clone() };
            add(format!("o{i}"), SourceKind::Otlp, time + 2_000_000, Body::Response(Box::new(seen)));
        }
        let own =
            Response { turn: Some(turn.clone()), response_id: Some(format!("resp_{number:024x}{i:08x}")), ..response };
        add(format!("t{i}"), SourceKind::Transcript, time, Body::Response(Box::new(own)));
        let name = Some(if i % 3 == 0 { "apply_patch" } else { "Bash" }.to_string());
        let call_id = format!("call_{number:012x}{i:012x}");
        let call = ToolCall {
            call_id,
            turn: Some(turn),
            name,
            exit_code: Some(0),
            duration_ms: Some(120),
            ..ToolCall::default()
        };
        add(format!("c{i}"), SourceKind::Transcript, time + 5 * SECOND, Body::ToolCall(Box::new(call)));
    }
    tokens
}

/// Runs the program, and says how long it took and what it printed.
pub(super) fn run(folder: &Path, args: &[&str]) -> Fallible<(Duration, String)> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_codex-tally"));
    command.args(args).env_clear().env("HOME", folder).env("CODEX_TALLY_HOME", folder.join("home"));
    let start = Instant::now();
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output()?;
    let took = start.elapsed();
    if !output.status.success() {
        return Err(format!("codex-tally {} failed", args.join(" ")).into());
    }
    Ok((took, String::from_utf8(output.stdout)?))
}

/// The bytes of all files of the store.
pub(super) fn size(home: &Path) -> Fallible<u64> {
    let mut bytes = 0;
    for file in std::fs::read_dir(home)? {
        bytes += file?.metadata()?.len();
    }
    Ok(bytes)
}
