//! Whether telemetry arrives: where Codex sends it, and who listens there.

use super::Checks;
use super::codex::Seen;
use super::encrypted::{self, Exporter};
use super::environment;
use crate::cli::context::Context;
use crate::cli::sink::{Listener, who_listens};
use crate::cli::{serve, service, token};
use crate::setup::Record;
use rustix::process::{Pid, test_kill_process};
use std::net::SocketAddr;

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
            sink(&listener, (context, seen), ours, sent.is_some(), checks);
            if ours == Some(true) {
                header(context, seen, (sent, token.as_deref()), &listener, checks);
                daemon(context, seen, checks);
            }
        }
        Err(e) => checks.fail("sink", format!("{e:#}"), "try again"),
    }
}

/// How a sink is started that takes what Codex sends. The managed layer can hold no user's token.
pub(super) fn start(context: &Context, seen: &Seen) -> &'static str {
    let sends_one = || Exporter::read(seen.exporter_file.as_deref()).authorization().is_some();
    match (service::start_again(context), seen.demanded_by.is_some() && !sends_one()) {
        (Some(_), true) => "codex-tally service install --auth none",
        (None, true) => "codex-tally serve --auth none",
        (Some(again), false) => again,
        (None, false) => "codex-tally serve",
    }
}

/// Whether Codex's logs go to our sink; `None` if it could not be asked.
fn exporter(context: &Context, seen: &Seen, checks: &mut Checks) -> Option<bool> {
    if !seen.asked {
        return None;
    }
    let over = |kind: &str| seen.exporter[kind]["endpoint"].as_str().map(str::to_string);
    let file = seen.exporter_file.as_ref().map(|file| file.display().to_string());
    let from = seen.demanded_by.clone().or(file).map(|from| format!(" ({from})")).unwrap_or_default();
    let address = address(context);
    let encrypted = context.config.sink.is_encrypted();
    let init = if seen.demanded_by.is_some() || seen.of_another { String::new() } else { format!("{INIT}, or ") };
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
            format!("{init}set `http` of `[sink]` in {} to that port", context.config_path().display()),
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
        (None, None) => {
            let demanded = |who| format!("{who} demands that; who administers it can have it changed");
            let next = seen.demanded_by.as_ref().map_or_else(|| INIT.to_string(), demanded);
            checks.warn("exporter", format!("Codex exports no logs: {ONLY}"), next);
        }
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

/// What is to be said of who listens at the sink's address; and how the sink is started, if it is not there.
fn sink(
    listener: &Listener,
    (context, seen): (&Context, &Seen),
    ours: Option<bool>,
    sends_token: bool,
    checks: &mut Checks,
) {
    let version = env!("CARGO_PKG_VERSION");
    let (address, start) = (address(context), start(context, seen));
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
        Listener::Other if is_own(context, address) => checks.fail(
            "sink",
            format!("this home's own sink listens on {address}, but has another token than the home has now"),
            format!("stop it and start it again, so that it takes the new one: {start}"),
        ),
        Listener::Other if seen.demanded_by.is_some() => checks.fail(
            "sink",
            format!("a sink that asks for a token listens on {address}: of another home, or another user"),
            format!("stop it, or have its user stop it: the managed layer has one port for all; then {start}"),
        ),
        Listener::Other => checks.fail(
            "sink",
            format!("a sink with another token listens on {address}: of another home, or another user"),
            format!("stop it, or set another port as `http` of `[sink]` and run `{INIT}`"),
        ),
        Listener::Stranger if is_own(context, address) => checks.fail(
            "sink",
            format!("this home's own sink listens on {address}, and does not answer (unless it speaks TLS)"),
            format!(
                "look at what it says where it runs; stop it, with `kill -9` if it hangs, and start it again: {start}"
            ),
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

/// Whether the sink that was started last in this home runs, and listens there, as it has noted.
fn is_own(context: &Context, address: SocketAddr) -> bool {
    let said = std::fs::read_to_string(context.home.join("sink.lock")).unwrap_or_default();
    let Some((process, at)) = said.strip_prefix("process ").and_then(|said| said.split_once(", ")) else {
        return false;
    };
    let runs = process.parse().ok().and_then(Pid::from_raw).is_some_and(|process| test_kill_process(process).is_ok());
    runs && at == format!("http://{address}")
}

/// Whether Codex sends the token that the sink asks for.
fn header(
    context: &Context,
    seen: &Seen,
    (sent, token): (Option<&str>, Option<&str>),
    listener: &Listener,
    checks: &mut Checks,
) {
    match sent {
        None if matches!(listener, Listener::Open(_)) => checks.ok("token", "the sink asks for none"),
        // One that is started as is told will ask for none.
        None if seen.demanded_by.is_some() && *listener == Listener::Nobody => {}
        // Anybody can claim to be a sink without one.
        Some(_) if matches!(listener, Listener::Open(_)) => checks.fail(
            "token",
            "Codex sends a token to a listener that asks for none and has not shown that it is ours",
            format!(
                "if it is your `codex-tally serve --auth none`, start it without; else stop it, remove the token, set \
                 another port as `http` of `[sink]`, and run `{INIT}`"
            ),
        ),
        Some(sent) if environment::is_ours(context, token, sent) => checks.ok("token", "Codex sends the sink's"),
        sent => {
            let which = if sent.is_none() { "no token" } else { "another token" };
            let path = token::path(&context.home);
            let next = match &seen.demanded_by {
                Some(who) if sent.is_none() => {
                    format!("stop it, and run one that asks for none, as {who} has none: {}", start(context, seen))
                }
                Some(who) => format!("who administers {who} can have one of the sink's tokens written there"),
                None if seen.of_another => "what `registered` says: it is another home that Codex tells".to_string(),
                None => format!(
                    "{INIT}; if that leaves the exporter as it is, write its header yourself: `authorization`, with `Bearer ` and \
                     what {} holds",
                    path.display()
                ),
            };
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
