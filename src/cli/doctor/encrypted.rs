//! A sink that Codex reaches over TLS, here or on another machine: asked as Codex's exporter asks it, with its authority, its
//! certificate and its headers.

use super::Checks;
use super::codex::Seen;
use super::telemetry::{self, is_near};
use crate::cli::sink::{Listener, nonce, shown};
use crate::remote::{Peer, PeerTls};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// An exporter waits longer, but not happily.
const PATIENCE: Duration = Duration::from_secs(5);

/// The exporter of logs, as a file of Codex's has it; Codex itself does not show headers.
#[derive(Debug, Default)]
pub(super) struct Exporter {
    headers: BTreeMap<String, String>,
    tls: PeerTls,
}

impl Exporter {
    /// What the file says that the exporter comes from; nothing if it cannot be read.
    pub(super) fn read(file: Option<&Path>) -> Self {
        let table = file.and_then(|file| std::fs::read_to_string(file).ok()?.parse::<toml::Table>().ok());
        let value = table.and_then(|table| serde_json::to_value(table).ok()).unwrap_or_default();
        let exporter = &value["otel"]["exporter"];
        let http = exporter.get("otlp-http").unwrap_or(&exporter["otlp-grpc"]);
        let text = |value: &Value| value.as_str().map(str::to_string);
        let headers = http["headers"].as_object().into_iter().flatten();
        // Codex takes paths from the folder of the file that has them.
        let path = |name: &str| {
            let folder = file.and_then(Path::parent).unwrap_or(Path::new(""));
            http["tls"][name].as_str().map(|path| folder.join(path))
        };
        Exporter {
            headers: headers.filter_map(|(name, value)| Some((name.to_ascii_lowercase(), text(value)?))).collect(),
            tls: PeerTls {
                authority: path("ca-certificate"),
                identity: path("client-certificate").zip(path("client-private-key")),
            },
        }
    }

    /// The header that shows who sends.
    pub(super) fn authorization(&self) -> Option<&str> {
        self.headers.get("authorization").map(String::as_str)
    }
}

/// The endpoint, if logs go over TLS and HTTP.
pub(super) fn endpoint(seen: &Seen) -> Option<&str> {
    let endpoint = seen.exporter["otlp-http"]["endpoint"].as_str()?;
    endpoint.starts_with("https://").then_some(endpoint)
}

/// Whether a sink of ours is there, and takes what Codex sends.
pub(super) fn check(endpoint: &str, seen: &Seen, token: Option<&str>, checks: &mut Checks) {
    let from = |file: &PathBuf| format!(" ({})", file.display());
    let from = seen.exporter_file.as_ref().map(from).unwrap_or_default();
    let (listener, sink) = match ask(endpoint, seen, token) {
        Ok(asked) => asked,
        Err(e) => {
            let says = format!("logs go to {endpoint}{from}, which cannot be asked: {e:#}");
            let next = "start it there; its certificate must have that name, and be signed by `ca-certificate` of the exporter";
            // Whose it is, and whether it should be our sink, is known of this machine only.
            return if is_near(endpoint) {
                checks.fail("exporter", says, next)
            } else {
                let next = format!("let that collector send logs on to the sink; if it is one, {next}");
                checks.warn("exporter", format!("{says}. {}", telemetry::ONLY), next)
            };
        }
    };
    match &listener {
        Listener::Ours(_) => checks.ok("sink", "it speaks TLS, and has shown that it has the token"),
        Listener::Open(_) | Listener::Other => {
            checks.ok("sink", "it speaks TLS, with a certificate for that name; its token is not that of this home");
        }
        Listener::Nobody | Listener::Stranger => {
            return checks.warn(
                "exporter",
                format!("logs go to {endpoint}{from}: {}", telemetry::ONLY),
                "let that collector send logs on to the sink",
            );
        }
    }
    checks.ok("exporter", format!("logs go to {endpoint}{from}"));
    match sink.send("[]") {
        Ok(200) => checks.ok("token", "the sink takes what Codex sends"),
        Ok(401) => {
            let next = match listener {
                Listener::Ours(_) => "write what `token` in this home holds into Codex's exporter",
                _ => "ask who runs it for one",
            };
            checks.fail("token", "the sink refuses the token that Codex sends, or its lack", next);
        }
        Ok(status) => checks.fail("token", format!("the sink answers {status}"), "look at what it says where it runs"),
        Err(e) => checks.fail("token", format!("{e:#}"), "try again"),
    }
}

/// Sends a record as Codex would; how many milliseconds that took. `None` if it is no sink of ours.
pub(super) fn probe(endpoint: &str, seen: &Seen, records: &str) -> anyhow::Result<Option<u128>> {
    let (Listener::Open(_) | Listener::Other, sink) = ask(endpoint, seen, None)? else { return Ok(None) };
    let began = Instant::now();
    let status = sink.send(records)?;
    anyhow::ensure!(status == 200, "the sink answers {status}");
    Ok(Some(began.elapsed().as_millis()))
}

/// Who is there, with a certificate that Codex believes.
fn ask(endpoint: &str, seen: &Seen, token: Option<&str>) -> anyhow::Result<(Listener, Encrypted)> {
    let exporter = Exporter::read(seen.exporter_file.as_deref());
    let peer = Peer::new(endpoint, &exporter.tls, PATIENCE)?;
    let nonce = nonce()?;
    let answer = peer.get("/sink", &format!("nonce={nonce}"))?;
    Ok((shown(&answer, token, &nonce, port(endpoint)), Encrypted { peer, headers: exporter.headers }))
}

/// The sink, and what Codex sends it with every request.
struct Encrypted {
    peer: Peer,
    headers: BTreeMap<String, String>,
}

impl Encrypted {
    fn send(&self, records: &str) -> anyhow::Result<u16> {
        let body = format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":{records}}}]}}]}}"#);
        self.peer.send(&self.headers, "application/json", body.into_bytes())
    }
}

/// The port that the endpoint names, which is part of the proof.
fn port(endpoint: &str) -> u16 {
    let authority = endpoint.trim_start_matches("https://").split('/').next().unwrap_or_default();
    authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(443)
}
