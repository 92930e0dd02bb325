//! `serve`: the sink.

use super::context::Context;
use super::{limits, out};
use crate::report::format::thousands;
use crate::serve::{self, Auth, Background, Follow, Listeners, Options, Stats};
use crate::store::is_busy;
use anyhow::{Context as _, bail};
use clap::ValueEnum;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// How long the sink waits for another process that holds the store, before the journal takes what comes.
const PATIENCE: Duration = Duration::from_millis(50);

/// Where to listen for OTLP/gRPC if nothing is said; a program that is built without it does not.
const GRPC: &str = if cfg!(feature = "grpc") { "127.0.0.1:4317" } else { "none" };

/// Receive Codex's telemetry: OTLP logs over HTTP on 127.0.0.1:4318 and over gRPC on 127.0.0.1:4317
#[derive(Debug, clap::Args)]
#[command(after_help = "Prints the [otel] lines for Codex's config.toml on stdout, then runs until Ctrl-C or SIGTERM.

Examples:
  codex-tally serve
  codex-tally serve --grpc none
  codex-tally serve --http 127.0.0.1:14318 --grpc 127.0.0.1:14317 --auth none")]
pub(super) struct Args {
    /// Where to listen for OTLP/HTTP
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4318")]
    http: SocketAddr,
    /// Where to listen for OTLP/gRPC, or `none`
    #[arg(long, value_name = "ADDR", default_value = GRPC, value_parser = address_or_none)]
    grpc: Door,
    /// Who may send: only who has the token in the home, or anyone who reaches the port
    #[arg(long, value_enum, default_value_t = AuthArg::Token)]
    auth: AuthArg,
    /// Listen beyond this machine without encryption: who is on the way sees the token and what is sent. For a network that is
    /// encrypted itself, or behind a proxy that is
    #[arg(long)]
    allow_cleartext: bool,
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
    if !std::iter::once(args.http).chain(args.grpc.0).all(|a| a.ip().is_loopback()) {
        if args.auth == AuthArg::None {
            bail!("without a token the sink listens on loopback only; leave --auth out, or listen on 127.0.0.1");
        }
        if !args.allow_cleartext {
            bail!(
                "beyond loopback token and telemetry would go over the network for anyone to read; listen on 127.0.0.1 and put a \
                 proxy with TLS in front (--allow-host names it), or say --allow-cleartext if the network is encrypted itself"
            );
        }
    }
    let open = context.opener(PATIENCE)?;
    let store = open.later();
    match store.open() {
        Err(e) if is_busy(&e) => out::talk("the store is held by another process; the journal takes what comes"),
        opened => opened?,
    }
    let keeping = context.keeping()?;
    let users = keeping.users.clone();
    let follow = Follow { codex_homes: context.configured_homes(), keeping };
    let follow = (!args.no_follow).then_some(follow);
    let token = match args.auth {
        AuthArg::Token => Some(token(&context.home.join("token"))?),
        AuthArg::None => None,
    };
    let http = TcpListener::bind(args.http).with_context(|| {
        format!("cannot listen on {}; is another sink running there? choose another port with --http", args.http)
    })?;
    let address = http.local_addr()?;
    let (listeners, grpc) = open_grpc(http, args.grpc)?;
    out::data(otel_lines(address, grpc, token.as_deref()).as_bytes())?;
    let also = grpc.map(|grpc| format!(" and on http://{grpc} (OTLP/gRPC)")).unwrap_or_default();
    let ready = || out::talk(&format!("listening on http://{address} (OTLP/HTTP){also} for logs; Ctrl-C stops"));
    let options = Options {
        auth: token.map_or(Auth::None, Auth::Token),
        allowed_hosts: args.allow_host.clone(),
        background: Some(Background { home: context.home.clone(), open, follow }),
        users,
        max_connections: limits::connections(1 + usize::from(grpc.is_some())),
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
    let other = grpc.map(|grpc| {
        format!("# or over gRPC: exporter = {{ otlp-grpc = {{ endpoint = \"http://{grpc}\"{headers} }} }}\n")
    });
    format!(
        "# for ~/.codex/config.toml\n[otel]\nexporter = {{ otlp-http = {{ endpoint = \"http://{http}/v1/logs\", \
         protocol = \"binary\"{headers} }} }}\n{}trace_exporter = \"none\"\nmetrics_exporter = \"none\"\n\
         log_user_prompt = false\n",
        other.unwrap_or_default()
    )
}

/// The token in a file that only the user can read; made on first use.
fn token(path: &Path) -> anyhow::Result<String> {
    let shown = || path.display().to_string();
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => {
            let mut random = [0; 32];
            getrandom::fill(&mut random).map_err(|e| anyhow::anyhow!("no random numbers: {e}"))?;
            let token: String = random.iter().map(|b| format!("{b:02x}")).collect();
            file.write_all(format!("{token}\n").as_bytes()).with_context(|| format!("cannot write {}", shown()))?;
            file.sync_all()?;
            Ok(token)
        }
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
            let mut file = std::fs::File::open(path).with_context(|| format!("cannot read {}", shown()))?;
            if file.metadata()?.mode() & 0o077 != 0 {
                bail!("others can read {0}; run `chmod 600 {0}`, or remove it to get a new token", shown());
            }
            let mut token = String::new();
            file.read_to_string(&mut token).with_context(|| format!("cannot read {}", shown()))?;
            let token = token.trim().to_string();
            if token.len() < 16 || !token.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\') {
                bail!("{} holds no usable token; remove it to get a new one", shown());
            }
            Ok(token)
        }
        Err(e) => Err(e).with_context(|| format!("cannot create {}", shown())),
    }
}
