//! Whether telemetry arrives: where Codex sends it, and who listens there.

use super::Checks;
use super::codex::Seen;
use super::encrypted::{self, Exporter};
use super::environment;
use crate::cli::context::Context;
use crate::cli::sink::{Listener, who_listens};
use crate::cli::{serve, service, token};
use crate::setup::Record;
use std::net::SocketAddr;
use std::path::Path;

const INIT: &str = "codex-tally init";

/// What is left where logs go elsewhere.
pub(super) const ONLY: &str =
    "hooks and transcripts are recorded; ephemeral sessions, title requests and failed tools are not";

/// The address that our sink listens on, or would.
pub(super) fn address(context: &Context) -> SocketAddr {
    context.config.sink.http.unwrap_or(serve::HTTP)
}

/// All checks of telemetry.
pub(super) fn check(context: &Context, seen: &Seen, checks: &mut Checks) {
    let read = token::read(&context.home);
    environment::check(context, seen, read.as_ref().ok().and_then(Option::as_deref), checks);
    let token = match read {
        Ok(token) => token,
        Err(e) => return checks.fail("token", format!("{e:#}"), "do what it says, then `codex-tally init`"),
    };
    if let Some(endpoint) = encrypted::endpoint(seen) {
        encrypted::check(endpoint, seen, token.as_deref(), checks);
        return daemon(context, seen, checks);
    }
    let ours = exporter(context, seen, checks);
    if context.config.sink.is_encrypted() {
        // Plain questions say nothing of it.
        return;
    }
    match who_listens(address(context), token.as_deref()) {
        Ok(listener) => {
            let sent = Exporter::read(seen.exporter_file.as_deref());
            let sent = sent.authorization();
            let start = service::start_again(context).unwrap_or("codex-tally serve");
            sink(&listener, (address(context), start), ours, sent.is_some(), checks);
            if ours == Some(true) {
                header(sent, token.as_deref(), &token::path(&context.home), &listener, checks);
                daemon(context, seen, checks);
            }
        }
        Err(e) => checks.fail("sink", format!("{e:#}"), "try again"),
    }
}

/// Whether Codex's logs go to our sink; `None` if it could not be asked.
fn exporter(context: &Context, seen: &Seen, checks: &mut Checks) -> Option<bool> {
    if !seen.asked {
        return None;
    }
    let over = |kind: &str| seen.exporter[kind]["endpoint"].as_str().map(str::to_string);
    let from = seen.exporter_file.as_ref().map(|file| format!(" ({})", file.display())).unwrap_or_default();
    let address = address(context);
    let encrypted = context.config.sink.is_encrypted();
    match (over("otlp-http"), over("otlp-grpc")) {
        (Some(endpoint), _) if encrypted && is_near(&endpoint) => checks.fail(
            "exporter",
            format!("logs go to {endpoint}{from}, but the sink speaks TLS"),
            "write https and the certificate's authority into Codex's exporter: docs/service.md",
        ),
        (Some(endpoint), _) if endpoint == format!("http://{address}/v1/logs") => {
            checks.ok("exporter", format!("logs go to {endpoint}{from}"));
            return Some(true);
        }
        (Some(endpoint), _) if is_near(&endpoint) => checks.fail(
            "exporter",
            format!("logs go to {endpoint}{from}, but the sink is configured for http://{address}/v1/logs"),
            format!("{INIT}, or set `http` of `[sink]` in {} to that port", context.config_path().display()),
        ),
        (None, Some(endpoint)) if is_near(&endpoint) => return Some(over_grpc(context, &endpoint, &from, checks)),
        (Some(endpoint), _) | (_, Some(endpoint)) => {
            checks.warn(
                "exporter",
                format!("logs go to {endpoint}{from}: {ONLY}"),
                "let that collector send logs on to the sink",
            );
        }
        (None, None) if encrypted => checks.warn(
            "exporter",
            format!("Codex exports no logs: {ONLY}"),
            "write the lines that `codex-tally serve` prints into Codex's config.toml, with `tls`: docs/service.md",
        ),
        (None, None) => checks.warn("exporter", format!("Codex exports no logs: {ONLY}"), INIT),
    }
    Some(false)
}

/// Whether logs go to our sink's door for gRPC.
fn over_grpc(context: &Context, endpoint: &str, from: &str, checks: &mut Checks) -> bool {
    let door = serve::addresses(context, None, None).ok().and_then(|(_, grpc)| grpc);
    let scheme = if context.config.sink.is_encrypted() { "https" } else { "http" };
    let port = |address: SocketAddr| format!(":{}", address.port());
    let is_door = |door: SocketAddr| {
        endpoint.starts_with(&format!("{scheme}://")) && endpoint.trim_end_matches('/').ends_with(&port(door))
    };
    if door.is_some_and(is_door) {
        checks.ok("exporter", format!("logs go to {endpoint}{from} over gRPC"));
        return true;
    }
    let door = door.map_or("nowhere".to_string(), |door| format!("on {scheme}://{door}"));
    checks.fail(
        "exporter",
        format!("logs go to {endpoint}{from} over gRPC, but the sink takes that {door}"),
        format!("write that into Codex's exporter, or set `grpc` of `[sink]` in {}", context.config_path().display()),
    );
    false
}

/// Whether it is on this machine.
pub(super) fn is_near(endpoint: &str) -> bool {
    let host = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    ["127.0.0.1:", "localhost:", "[::1]:"].iter().any(|near| host.starts_with(near))
}

/// What is to be said of who listens at this address; and how the sink is started, if it is not there.
fn sink(
    listener: &Listener,
    (address, start): (SocketAddr, &str),
    ours: Option<bool>,
    sends_token: bool,
    checks: &mut Checks,
) {
    let version = env!("CARGO_PKG_VERSION");
    match listener {
        Listener::Ours(other) | Listener::Open(other) if other != version => {
            let says = format!("version {other} listens on {address}, this is {version}");
            checks.warn("sink", says, format!("stop it and start it again, so that it is the same program: {start}"));
        }
        Listener::Ours(_) => {
            checks.ok("sink", format!("ours listens on {address}, and has shown that it has the token"))
        }
        Listener::Open(_) if sends_token => checks.warn(
            "sink",
            format!("one without a token listens on {address}: whose it is cannot be verified"),
            "run the sink with its token: `codex-tally serve` without `--auth none`",
        ),
        Listener::Open(_) => {
            checks.ok("sink", format!("one without a token listens on {address}; it cannot be verified"))
        }
        Listener::Nobody if ours == Some(true) => {
            checks.fail("sink", format!("nobody listens on {address}: what Codex sends is lost"), start);
        }
        Listener::Nobody if ours.is_none() => {
            let says = format!("nobody listens on {address}; whether Codex sends anything there is not known");
            checks.warn("sink", says, start);
        }
        Listener::Nobody => checks.ok("sink", format!("nobody listens on {address}, and Codex sends nothing there")),
        Listener::Other => checks.fail(
            "sink",
            format!("a sink with another token listens on {address}: of another home, or another user"),
            format!("stop it, or set another port as `http` of `[sink]` and run `{INIT}`"),
        ),
        Listener::Stranger if ours == Some(true) => checks.fail(
            "sink",
            format!("a stranger listens on {address}: it gets what Codex sends, and the token"),
            format!("stop it, remove the token, set another port as `http` of `[sink]`, and run `{INIT}`"),
        ),
        Listener::Stranger => {
            let says = format!("another program listens on {address} (or a sink that speaks TLS)");
            checks.warn("sink", says, format!("`{INIT}` finds a free port"));
        }
    }
}

/// Whether Codex sends the token that the sink asks for.
fn header(sent: Option<&str>, token: Option<&str>, path: &Path, listener: &Listener, checks: &mut Checks) {
    match (sent, token) {
        (None, _) if matches!(listener, Listener::Open(_)) => checks.ok("token", "the sink asks for none"),
        // Anybody can claim to be a sink without one.
        (Some(_), _) if matches!(listener, Listener::Open(_)) => checks.fail(
            "token",
            "Codex sends a token to a listener that asks for none and has not shown that it is ours",
            format!(
                "if it is your `codex-tally serve --auth none`, start it without; else stop it, remove the token, set \
                 another port as `http` of `[sink]`, and run `{INIT}`"
            ),
        ),
        (Some(sent), Some(token)) if sent == format!("Bearer {token}") => checks.ok("token", "Codex sends the sink's"),
        (sent, _) => {
            let which = if sent.is_none() { "no token" } else { "another token" };
            let next = format!(
                "{INIT}; if that leaves the exporter as it is, write its header yourself: `authorization`, with `Bearer ` and what {} \
                 holds",
                path.display()
            );
            checks.fail("token", format!("Codex sends {which}, so the sink refuses what comes"), next);
        }
    }
}

/// Whether Codex's background process knows of the exporter: it reads that only when it starts.
fn daemon(context: &Context, seen: &Seen, checks: &mut Checks) {
    let Some(since) = seen.daemon else { return };
    let registered = std::fs::metadata(Record::path(&context.home)).and_then(|meta| meta.modified());
    if registered.is_ok_and(|registered| since < registered) {
        let says = "Codex's background process runs since before `init`, with the exporter of before";
        checks.warn("daemon", says, "codex app-server daemon restart");
    } else {
        checks.ok("daemon", "Codex's background process was started after `init`");
    }
}
