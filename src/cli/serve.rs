//! `serve`: the sink.

use super::context::Context;
use super::{out, token};
use crate::report::format::thousands;
use crate::serve::{self, Auth, Background, Follow, Listeners, Options, Stats};
use crate::setup;
use crate::store::is_busy;
use anyhow::{Context as _, bail};
use clap::ValueEnum;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::process::ExitCode;
use std::time::Duration;

/// How long the sink waits for another process that holds the store, before the journal takes what comes.
const PATIENCE: Duration = Duration::from_millis(50);

/// Where to listen for OTLP/HTTP if nothing is said.
pub(super) const HTTP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4318);

/// Where to listen for OTLP/gRPC if nothing is said; a program that is built without it does not.
pub(super) const GRPC: &str = if cfg!(feature = "grpc") { "127.0.0.1:4317" } else { "none" };

/// Receive Codex's telemetry: OTLP logs over HTTP on 127.0.0.1:4318 and over gRPC on 127.0.0.1:4317
#[derive(Debug, clap::Args)]
#[command(after_help = "Prints the [otel] lines for Codex's config.toml on stdout, then runs until Ctrl-C or SIGTERM.

Examples:
  codex-tally serve
  codex-tally serve --grpc none
  codex-tally serve --http 127.0.0.1:14318 --grpc 127.0.0.1:14317 --auth none")]
pub(super) struct Args {
    /// Where to listen for OTLP/HTTP [default: `http` of `[sink]` in the configuration, else 127.0.0.1:4318]
    #[arg(long, value_name = "ADDR")]
    http: Option<SocketAddr>,
    /// Where to listen for OTLP/gRPC, or `none` [default: `grpc` of `[sink]`, else 127.0.0.1:4317]
    #[arg(long, value_name = "ADDR", value_parser = address_or_none)]
    grpc: Option<Door>,
    /// Who may send: only who has the token in the home, or anyone who reaches the port
    #[arg(long, value_enum, default_value_t = AuthArg::Token)]
    auth: AuthArg,
    /// A host name by which the sink may be called, besides the loopback names
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<String>,
    /// Do not read on in spool and transcripts meanwhile
    #[arg(long)]
    no_follow: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AuthArg {
    Token,
    None,
}

/// Where a door is, if it is open.
#[derive(Debug, Clone, Copy)]
struct Door(Option<SocketAddr>);

fn address_or_none(text: &str) -> Result<Door, String> {
    let address = (text != "none").then(|| text.parse()).transpose();
    address.map(Door).map_err(|_| "expected an address such as 127.0.0.1:4317, or none".to_string())
}

pub(super) fn run(context: &Context, args: &Args) -> anyhow::Result<ExitCode> {
    let said = &context.config.sink;
    let http = args.http.or(said.http).unwrap_or(HTTP);
    let grpc = match args.grpc {
        Some(door) => door,
        None => address_or_none(said.grpc.as_deref().unwrap_or(GRPC))
            .map_err(|e| anyhow::anyhow!("`grpc` of `[sink]` in the configuration: {e}"))?,
    };
    if args.auth == AuthArg::None && !std::iter::once(http).chain(grpc.0).all(|a| a.ip().is_loopback()) {
        bail!("without a token the sink listens on loopback only; leave --auth out, or listen on 127.0.0.1");
    }
    let open = context.opener(PATIENCE)?;
    let store = open.later();
    match store.open() {
        Err(e) if is_busy(&e) => out::talk("the store is held by another process; the journal takes what comes"),
        opened => opened?,
    }
    let follow = Follow { codex_homes: context.configured_homes(), os_user: context.env.os_user() };
    let follow = (!args.no_follow).then_some(follow);
    let token = match args.auth {
        AuthArg::Token => Some(token::read_or_make(&context.home)?),
        AuthArg::None => None,
    };
    let http = TcpListener::bind(http).with_context(|| {
        format!("cannot listen on {http}; is another sink running there? choose another port with --http")
    })?;
    let address = http.local_addr()?;
    let (listeners, grpc) = open_grpc(http, grpc)?;
    out::data(otel_lines(address, grpc, token.as_deref()).as_bytes())?;
    let also = grpc.map(|grpc| format!(" and on http://{grpc} (OTLP/gRPC)")).unwrap_or_default();
    let ready = || out::talk(&format!("listening on http://{address} (OTLP/HTTP){also} for logs; Ctrl-C stops"));
    let options = Options {
        auth: token.map_or(Auth::None, Auth::Token),
        allowed_hosts: args.allow_host.clone(),
        background: Some(Background { home: context.home.clone(), open, follow }),
        ..Options::default()
    };
    let warn = Box::new(|event: serve::Event| out::talk(&format!("warning: {event}")));
    let stats = serve::run_until_signal(listeners, Box::new(store), options, warn, ready)?;
    out::talk(&summary(&stats));
    Ok(ExitCode::SUCCESS)
}

fn summary(s: &Stats) -> String {
    format!(
        "stopped: {} requests, {} observations stored, {} known already, {} records unreadable, {} requests refused, \
         {} observations read from spool and transcripts",
        thousands(s.requests),
        thousands(s.stored),
        thousands(s.known),
        thousands(s.rejected),
        thousands(s.refused + s.unauthorized),
        thousands(s.followed),
    )
}

/// Opens the second door, and says where it is.
fn open_grpc(http: TcpListener, grpc: Door) -> anyhow::Result<(Listeners, Option<SocketAddr>)> {
    let listeners = Listeners::from(http);
    let Some(address) = grpc.0 else { return Ok((listeners, None)) };
    #[cfg(feature = "grpc")]
    {
        let listener = TcpListener::bind(address).with_context(|| {
            format!(
                "cannot listen on {address} for OTLP/gRPC; is another sink or collector running there? \
                 choose another port with --grpc, or switch it off with --grpc none"
            )
        })?;
        let address = listener.local_addr()?;
        Ok((listeners.with_grpc(listener), Some(address)))
    }
    #[cfg(not(feature = "grpc"))]
    bail!("this program was built without OTLP/gRPC and cannot listen on {address}; say --grpc none");
}

/// The exact lines for Codex's config.toml. Traces and metrics would be large copies of the same numbers.
fn otel_lines(http: SocketAddr, grpc: Option<SocketAddr>, token: Option<&str>) -> String {
    let headers = token.map(|t| format!(", headers = {{ \"authorization\" = \"Bearer {t}\" }}")).unwrap_or_default();
    let exporter = setup::Otel::of_sink(http, token).value();
    let other = grpc.map(|grpc| {
        format!("# or over gRPC: exporter = {{ otlp-grpc = {{ endpoint = \"http://{grpc}\"{headers} }} }}\n")
    });
    format!(
        "# for ~/.codex/config.toml\n[otel]\nexporter = {exporter}\n{}trace_exporter = \"none\"\nmetrics_exporter = \"none\"\n\
         log_user_prompt = false\n",
        other.unwrap_or_default()
    )
}
