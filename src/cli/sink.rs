//! Who listens on a port: our sink, somebody else, or nobody. The token goes to nobody who has not shown that he has it.

use crate::serve::proof;
use anyhow::{Context as _, ensure};
use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// A sink answers within milliseconds.
const PATIENCE: Duration = Duration::from_secs(3);

/// An answer is short; a stranger's need not be.
const MAX_ANSWER: usize = 16 << 10;

/// Who listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Listener {
    /// Nobody: the port is free.
    Nobody,
    /// Our sink, of this version.
    Ours(String),
    /// A sink of ours that asks for no token, of this version.
    Open(String),
    /// A sink of ours that has another token: another home, or another user.
    Other,
    /// Something else.
    Stranger,
}

/// Asks who listens on an address.
pub(super) fn who_listens(address: SocketAddr, token: Option<&str>) -> anyhow::Result<Listener> {
    let nonce = nonce()?;
    let stream = match TcpStream::connect_timeout(&address, PATIENCE) {
        Err(e) if e.kind() == ErrorKind::ConnectionRefused => return Ok(Listener::Nobody),
        // A port that takes no connection and does not refuse one is somebody's.
        Err(_) => return Ok(Listener::Stranger),
        Ok(stream) => stream,
    };
    let head = format!("GET /sink?nonce={nonce} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    let Ok(answer) = exchange(stream, &[head.as_bytes()]) else { return Ok(Listener::Stranger) };
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok(shown(body, token, &nonce, address.port()))
}

/// A random text that a sink is to prove its token with.
pub(super) fn nonce() -> anyhow::Result<String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|e| anyhow::anyhow!("no random numbers: {e}"))?;
    Ok(random.iter().map(|b| format!("{b:02x}")).collect())
}

/// Who it is that answers this to `/sink?nonce=`.
pub(super) fn shown(answer: &str, token: Option<&str>, nonce: &str, port: u16) -> Listener {
    let said: Value = serde_json::from_str(answer).unwrap_or_default();
    let version = said["version"].as_str().unwrap_or_default().to_string();
    match (said["sink"].as_str(), &said["proof"], token) {
        (Some("codex-tally"), Value::Null, _) => Listener::Open(version),
        (Some("codex-tally"), Value::String(shown), Some(token)) if *shown == proof(token, nonce, port) => {
            Listener::Ours(version)
        }
        (Some("codex-tally"), ..) => Listener::Other,
        _ => Listener::Stranger,
    }
}

/// Sends logs as an exporter does; returns the status line. Only for a listener that has shown that it is ours.
pub(super) fn send(address: SocketAddr, token: Option<&str>, kind: &str, body: &[u8]) -> anyhow::Result<String> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).with_context(|| format!("cannot reach {address}"))?;
    let authorization = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    let head = format!(
        "POST /v1/logs HTTP/1.1\r\nhost: {address}\r\n{authorization}content-type: {kind}\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n",
        body.len()
    );
    let answer = exchange(stream, &[head.as_bytes(), body])?;
    Ok(answer.lines().next().unwrap_or_default().to_string())
}

fn exchange(mut stream: TcpStream, request: &[&[u8]]) -> anyhow::Result<String> {
    // One for all of it: a stranger that sends a byte now and then would keep a timeout for each read from ever passing.
    let deadline = Instant::now() + PATIENCE;
    stream.set_write_timeout(Some(PATIENCE))?;
    request.iter().try_for_each(|part| stream.write_all(part))?;
    let (mut answer, mut piece) = (Vec::new(), [0; 4 << 10]);
    while answer.len() < MAX_ANSWER {
        let left = deadline.saturating_duration_since(Instant::now());
        ensure!(!left.is_zero(), "it does not answer");
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(n) => answer.extend_from_slice(&piece[..n]),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
