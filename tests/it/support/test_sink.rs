//! A sink in the test's own process, and what is sent to it.

use super::client::{Answer, Client, call};
use super::memory_store::MemoryStore;
use codex_tally::model::Body;
use codex_tally::serve::{Event, Handle, Listeners, Options, Stats, spawn};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::io::Write;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A running sink with all that a test wants to look at.
pub struct TestSink {
    pub handle: Handle,
    pub store: MemoryStore,
    pub events: Arc<Mutex<Vec<Event>>>,
}

impl TestSink {
    /// For OTLP/HTTP, and OTLP/gRPC too where it is built.
    pub fn start(options: Options) -> Self {
        let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
        let listeners = Listeners::from(listen());
        #[cfg(feature = "grpc")]
        let listeners = listeners.with_grpc(listen());
        let store = MemoryStore::default();
        let events = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&events);
        let warn = Box::new(move |event| seen.lock().unwrap().push(event));
        let handle = spawn(listeners, Box::new(store.clone()), options, warn).unwrap();
        TestSink { handle, store, events }
    }

    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        call(self.handle.addr, "POST", path, headers, body)
    }

    pub fn client(&self) -> Client {
        Client::connect(self.handle.addr)
    }

    pub fn stop(mut self) -> Stats {
        self.handle.stop();
        self.handle.join().unwrap()
    }

    pub fn responses(&self) -> usize {
        self.store.contents().observations.values().filter(|o| matches!(o.body, Body::Response(_))).count()
    }

    /// The teams that exporters named in their headers.
    pub fn teams(&self) -> Vec<String> {
        let contents = self.store.contents();
        let teams = contents.observations.values().filter_map(|o| match &o.body {
            Body::Context(context) => context.team_header.clone(),
            _ => None,
        });
        let mut teams: Vec<String> = teams.collect();
        teams.sort();
        teams
    }
}

pub fn start() -> TestSink {
    TestSink::start(Options::default())
}

/// Short deadlines, so that tests of them are short.
pub fn hasty() -> Options {
    Options {
        header_timeout: Duration::from_millis(300),
        body_timeout: Duration::from_millis(300),
        idle_timeout: Duration::from_millis(900),
        ..Options::default()
    }
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A logs request with one response record of `n` input tokens.
pub fn logs(n: u64) -> Vec<u8> {
    let thread = "01a1fbc1-b2d8-74a2-955e-70a1f37fabfe";
    let texts = [("event.name", "codex.sse_event"), ("conversation.id", thread), ("output_token_count", "2")];
    let mut attributes: Vec<Value> =
        texts.iter().map(|(key, value)| json!({ "key": key, "value": { "stringValue": value } })).collect();
    attributes.push(json!({ "key": "input_token_count", "value": { "intValue": n.to_string() } }));
    let record = json!({ "observedTimeUnixNano": (1_000_000 + n).to_string(), "attributes": attributes });
    json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": [record] }] }] }).to_string().into_bytes()
}
