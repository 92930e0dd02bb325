//! What the sink takes: whole requests of Codex's records over real connections, answered after they are on disk.
//!
//!     cargo bench --bench sink                     JSON and protobuf, 32 connections, then latency at 8
//!     cargo bench --bench sink -- --posts 1000     fewer posts for each part
//!     cargo bench --bench sink -- --import 1000    so many MB of transcripts for the last part (200)
//!
//! The last part is the latency at 8 connections while another process imports transcripts into the same store.
//!
//! It prints and judges nothing: figures belong to a machine and its load, so compare within one output only.

#![allow(clippy::print_stdout, reason = "printing is its purpose")]
#![allow(clippy::unwrap_used, reason = "a bench ends where something unexpected happens")]

#[path = "../tests/it/support/otlp_messages.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod otlp_messages;

#[allow(dead_code, reason = "its totals are checked by the import benchmark")]
mod corpus;

use corpus::Corpus;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Records a request, as in the comparisons with other receivers.
const RECORDS: usize = 50;

/// One of so many records is a token record; the others are what Codex sends around it.
const CYCLE: usize = 8;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let option = |name: &str, default: usize| {
        args.iter().position(|a| a == name).and_then(|i| args.get(i + 1)).map_or(default, |n| n.parse().unwrap())
    };
    let posts = option("--posts", 4000);
    println!("{RECORDS} records a post, distinct bodies, answered after the commit is synced");
    for (name, protobuf, connections, posts) in [
        ("JSON, 32 connections", false, 32, posts),
        ("protobuf, 32 connections", true, 32, posts),
        ("JSON, 8 connections", false, 8, posts / 4),
        ("protobuf, 8 connections", true, 8, posts / 4),
    ] {
        let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let sink = Sink::start(folder.path());
        let bodies: Vec<Vec<u8>> = (0..posts).map(|i| request(i, protobuf)).collect();
        measure(name, &sink, connections, &bodies, protobuf, &|| true);
    }
    while_importing(option("--import", 200) as u64, posts);
}

/// The same at 8 connections, as long as an import runs.
fn while_importing(megabytes: u64, posts: usize) {
    let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let home = folder.path().join("home");
    Corpus::make(folder.path(), megabytes * 1_000_000).unwrap();
    let sink = Sink::start(&home);
    let bodies: Vec<Vec<u8>> = (0..posts).map(|i| request(i, false)).collect();
    let mut import = Command::new(env!("CARGO_BIN_EXE_codex-tally"));
    import.arg("--home").arg(&home).arg("import").arg(folder.path().join("codex"));
    let import = Mutex::new(import.stderr(Stdio::null()).spawn().unwrap());
    let is_running = || import.lock().unwrap().try_wait().unwrap().is_none();
    measure(&format!("JSON, 8, {megabytes} MB imported"), &sink, 8, &bodies, false, &is_running);
    if is_running() {
        println!("the posts ended before the import: more are needed");
    }
    assert!(import.into_inner().unwrap().wait().unwrap().success());
}

/// Sends the bodies while `more` wants that, and prints what was seen.
fn measure(
    name: &str,
    sink: &Sink,
    connections: usize,
    bodies: &[Vec<u8>],
    protobuf: bool,
    more: &(dyn Fn() -> bool + Sync),
) {
    let began = Instant::now();
    let mut latencies = load(sink.port, connections, bodies, protobuf, more);
    let took = began.elapsed();
    latencies.sort_unstable();
    let bytes: usize = bodies[..latencies.len()].iter().map(Vec::len).sum();
    let at = |share: usize| latencies[(latencies.len() - 1) * share / 100].as_micros();
    println!(
        "{name:26} {:>9} records/s {:>6} MB/s   ack p50 {:>6} us, p99 {:>6} us, most {:>6} us   peak RSS {}",
        (latencies.len() * RECORDS) as u128 * 1_000_000 / took.as_micros(),
        bytes as u128 / took.as_micros(),
        at(50),
        at(99),
        at(100),
        sink.peak_memory()
    );
}

/// A sink in a process of its own.
struct Sink {
    process: Child,
    port: u16,
}

impl Sink {
    fn start(home: &Path) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_codex-tally"))
            .args([
                "--home",
                home.to_str().unwrap(),
                "serve",
                "--http",
                "127.0.0.1:0",
                "--auth",
                "none",
                "--grpc",
                "none",
            ])
            .env("CODEX_HOME", home.join("none"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(process.stderr.take().unwrap()).lines();
        let port = loop {
            let line = said.next().unwrap().unwrap();
            if let Some((_, rest)) = line.split_once("http://127.0.0.1:") {
                break rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap();
            }
        };
        std::thread::spawn(move || said.for_each(drop));
        Sink { process, port }
    }

    /// The most memory that it held, as Linux counts it.
    fn peak_memory(&self) -> String {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap_or_default();
        let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        peak.map_or_else(|| "unknown".to_string(), |p| p.trim().to_string())
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Sends the bodies over so many connections that are kept, while `more` wants that; gives back how long each took to be answered.
fn load(
    port: u16,
    connections: usize,
    bodies: &[Vec<u8>],
    protobuf: bool,
    more: &(dyn Fn() -> bool + Sync),
) -> Vec<Duration> {
    let (next, latencies) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..connections {
            scope.spawn(|| {
                let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
                stream.set_nodelay(true).unwrap();
                let mut own = Vec::new();
                while more()
                    && let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let began = Instant::now();
                    post(&mut stream, port, body, protobuf);
                    own.push(began.elapsed());
                }
                latencies.lock().unwrap().extend(own);
            });
        }
    });
    latencies.into_inner().unwrap()
}

fn post(stream: &mut TcpStream, port: u16, body: &[u8], protobuf: bool) {
    let kind = if protobuf { "application/x-protobuf" } else { "application/json" };
    let length = body.len();
    let mut message = format!(
        "POST /v1/logs HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n"
    )
    .into_bytes();
    message.extend_from_slice(body);
    stream.write_all(&message).unwrap();
    let mut answer = [0; 1024];
    let n = stream.read(&mut answer).unwrap();
    assert!(answer[..n].starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..n]));
}

/// A request's body: records of one session with times and token counts of its own.
fn request(n: usize, protobuf: bool) -> Vec<u8> {
    let session = format!("01a1fbc1-{:04x}-7000-8000-{:012x}", n >> 16 & 0xffff, n);
    let records: Vec<String> = (0..RECORDS).map(|i| record(&session, n * RECORDS + i, i)).collect();
    let resource =
        [("service.name", "codex_exec"), ("service.version", "0.169.0"), ("env", "prod"), ("host.name", "dev-7")];
    let resource: Vec<String> = resource.iter().map(|(k, v)| text(k, v)).collect();
    let json = format!(
        r#"{{"resourceLogs":[{{"resource":{{"attributes":[{}]}},"scopeLogs":[{{"scope":{{"name":"codex_otel.log_only"}},"logRecords":[{}]}}]}}]}}"#,
        resource.join(","),
        records.join(",")
    );
    if protobuf { otlp_messages::transcode(json.as_bytes()) } else { json.into_bytes() }
}

fn record(session: &str, serial: usize, i: usize) -> String {
    let time = 1_795_225_137_000_000_000 + serial as u64 * 13_000_000;
    let mut attributes = vec![
        text("conversation.id", session),
        text("app.version", "0.169.0"),
        text("originator", "codex_exec"),
        text("terminal.type", "xterm"),
        text("model", "gpt-5.4"),
        text("slug", "gpt-5.4"),
        text("duration_ms", "120"),
    ];
    match i % CYCLE {
        0 => attributes.extend([text("event.name", "codex.user_prompt"), text("prompt", "[REDACTED]")]),
        1 => attributes.extend([text("event.name", "codex.api_request"), text("endpoint", "/responses")]),
        5 => {
            let (input, output) = (9_000 + serial % 100_000, 20 + serial % 900);
            attributes.extend([text("event.name", "codex.sse_event"), text("event.kind", "response.completed")]);
            attributes.extend([
                text("input_token_count", &input.to_string()),
                text("output_token_count", &output.to_string()),
            ]);
            attributes.push(text("cached_token_count", &(input / 2).to_string()));
        }
        7 => attributes.extend([
            text("event.name", "codex.tool_result"),
            text("tool_name", "exec_command"),
            text("call_id", &format!("call_{serial:x}")),
            text("arguments", r#"{\"cmd\":\"cargo test\"}"#),
            text("success", "true"),
            text("output", &"ok ".repeat(serial % 300)),
        ]),
        _ => {
            attributes.extend([text("event.name", "codex.sse_event"), text("event.kind", "response.output_item.done")])
        }
    }
    format!(
        r#"{{"timeUnixNano":"0","observedTimeUnixNano":"{time}","severityNumber":9,"severityText":"INFO","attributes":[{}]}}"#,
        attributes.join(",")
    )
}

fn text(key: &str, value: &str) -> String {
    format!(r#"{{"key":"{key}","value":{{"stringValue":"{value}"}}}}"#)
}
