//! `serve`: the sink.

use super::context::Context;
use super::forward::forward;
use super::notify::Manager;
use super::sockets::{Inherited, OnlySink};
use super::{limits, out, token};
use crate::config::{SinkConfig, SinkToken};
use crate::report::format::thousands;
use crate::serve::{self, Auth, Background, Credential, Follow, Options, Stats};
use crate::setup;
use crate::store::is_busy;
use anyhow::bail;
use clap::ValueEnum;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
#[cfg(feature = "tls")]
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// How long the sink waits for another process that holds the store, before the journal takes what comes.
const PATIENCE: Duration = Duration::from_millis(50);

/// Where to listen for OTLP/HTTP if nothing is said.
pub(super) const HTTP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4318);

/// Where to listen for OTLP/gRPC if nothing is said; a program that is built without it does not.
pub(super) const GRPC: &str = if cfg!(feature = "grpc") { "127.0.0.1:4317" } else { "none" };

/// Receive Codex's telemetry: OTLP logs over HTTP on 127.0.0.1:4318 and over gRPC on 127.0.0.1:4317
#[derive(Debug, Default, clap::Args)]
#[command(
    after_help = "Prints the [otel] lines for Codex's config.toml on stdout (the token itself only on a terminal), then runs until Ctrl-C or
SIGTERM.

Examples:
  codex-tally serve
  codex-tally serve --grpc none
  codex-tally serve --http 127.0.0.1:14318 --grpc 127.0.0.1:14317 --auth none
  codex-tally serve --forward https://otel.example.com
  codex-tally serve --http 0.0.0.0:4318 --grpc none --tls-cert tally.pem --tls-key tally.key --allow-host tally.example.com"
)]
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
    /// Listen beyond this machine without encryption: who is on the way sees the token and what is sent. For a network that is
    /// encrypted itself, or behind a proxy that is
    #[arg(long)]
    allow_cleartext: bool,
    /// A host name by which the sink may be called, besides the loopback names and those of `allow_hosts` of `[sink]`
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<String>,
    /// Pass each OTLP/HTTP request on to this receiver, and add what responses cost [default: [forward] in the configuration]
    #[arg(long, value_name = "URL")]
    forward: Option<String>,
    /// Speak TLS with this certificate (PEM, with its chain) [default: `tls_cert` of `[sink]`]
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key (PEM) [default: `tls_key`]
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Only clients with a certificate of this authority (PEM) [default: `tls_client_ca`]
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE")]
    tls_client_ca: Option<PathBuf>,
    /// Do not read on in spool and transcripts meanwhile
    #[arg(long)]
    no_follow: bool,
}

/// Who may send.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum AuthArg {
    #[default]
    Token,
    None,
}

/// Where a door is, if it is open.
#[derive(Debug, Clone, Copy)]
pub(super) struct Door(Option<SocketAddr>);

pub(super) fn address_or_none(text: &str) -> Result<Door, String> {
    let address = (text != "none").then(|| text.parse()).transpose();
    address.map(Door).map_err(|_| "expected an address such as 127.0.0.1:4317, or none".to_string())
}

pub(super) fn run(context: anyhow::Result<Context>, args: &Args) -> anyhow::Result<ExitCode> {
    let inherited = Inherited::from_manager()?;
    // Codex waits for whoever holds the port: it is better off with none than with one that does not answer.
    context.and_then(|context| run_sink(&context, args, &inherited)).inspect_err(|_| inherited.give_up())
}

fn run_sink(context: &Context, args: &Args, inherited: &Inherited) -> anyhow::Result<ExitCode> {
    let (http, grpc) = addresses(context, args.http, args.grpc)?;
    let manager = Manager::of(&context.env);
    let watchdog = manager.watchdog(&context.env)?;
    let open = context.opener(PATIENCE)?;
    let store = open.later();
    match store.open() {
        Err(e) if is_busy(&e) => out::talk("the store is held by another process; the journal takes what comes"),
        opened => opened?,
    }
    let mut only = OnlySink::take(&context.home)?;
    let sockets = inherited.or_bind(http, grpc)?;
    let (address, grpc) = sockets.addresses()?;
    let doors = Doors::new(args, &context.config.sink)?;
    doors.check_reach(args.auth, std::iter::once(address).chain(grpc).all(|a| a.ip().is_loopback()))?;
    only.say(&format!("process {}, http://{address}", std::process::id()))?;
    let keeping = context.keeping()?;
    let users = keeping.users.clone();
    let follow = Follow { codex_homes: context.configured_homes(), keeping };
    let follow = (!args.no_follow).then_some(follow);
    let token = match args.auth {
        AuthArg::Token => Some(token::read_or_make(&context.home)?),
        AuthArg::None => None,
    };
    let own: Vec<SocketAddr> = std::iter::once(address).chain(grpc).collect();
    let forward = forward(context, args.forward.as_deref(), &own)?;
    let lines = doors.otel_lines(context, address, grpc, token.as_deref());
    let scheme = doors.scheme();
    let also = grpc.map(|grpc| format!(" and on {scheme}://{grpc} (OTLP/gRPC)")).unwrap_or_default();
    let ready = || {
        // Who does not read them finds them in the documentation. The log of a service manager is no place for them.
        let _ = inherited.any() || out::data(lines.as_bytes()).is_ok();
        out::talk(&format!("listening on {scheme}://{address} (OTLP/HTTP){also} for logs; Ctrl-C stops"));
        manager.ready();
    };
    let options = Options {
        auth: token.map_or(Auth::None, Auth::Token),
        credentials: credentials(context),
        allowed_hosts: doors.hosts,
        background: Some(Background { home: context.home.clone(), open, follow }),
        forward,
        #[cfg(feature = "tls")]
        tls: doors.tls,
        users,
        watchdog,
        max_connections: limits::connections(1 + usize::from(grpc.is_some())),
        ..Options::default()
    };
    let warn = Box::new(|event: serve::Event| out::talk(&format!("warning: {event}")));
    let stats = serve::run_until_signal(sockets.listeners()?, Box::new(store), options, warn, ready)?;
    out::talk(&summary(&stats));
    Ok(ExitCode::SUCCESS)
}

/// How the doors are guarded: what was said, else what the configuration says.
struct Doors {
    encrypted: bool,
    #[cfg(feature = "tls")]
    tls: Option<serve::Tls>,
    hosts: Vec<String>,
    cleartext: bool,
}

impl Doors {
    fn new(args: &Args, said: &SinkConfig) -> anyhow::Result<Self> {
        #[cfg(feature = "tls")]
        let tls = tls(args, said)?;
        #[cfg(not(feature = "tls"))]
        let tls = if said.is_encrypted() {
            bail!("`tls_cert` of `[sink]`: this program was built without TLS")
        } else {
            None::<()>
        };
        Ok(Doors {
            encrypted: tls.is_some(),
            #[cfg(feature = "tls")]
            tls,
            hosts: args.allow_host.iter().chain(&said.allow_hosts).cloned().collect(),
            cleartext: args.allow_cleartext || said.allow_cleartext,
        })
    }

    fn scheme(&self) -> &'static str {
        if self.encrypted { "https" } else { "http" }
    }

    /// The exact lines for Codex's config.toml. Traces and metrics would be large copies of the same numbers. The token itself
    /// only where a person reads them: what a service or a build prints is kept in logs that others read.
    fn otel_lines(&self, context: &Context, http: SocketAddr, grpc: Option<SocketAddr>, token: Option<&str>) -> String {
        // By the name that is in the certificate, where there is one.
        let name = self.hosts.first().filter(|_| !http.ip().is_loopback());
        let at = |address: SocketAddr| match name {
            Some(name) => format!("{}://{name}:{}", self.scheme(), address.port()),
            None => format!("{}://{address}", self.scheme()),
        };
        let hidden = token.is_some() && !out::is_read();
        let token = if hidden { Some("<token>") } else { token };
        let headers =
            token.map(|t| format!(", headers = {{ \"authorization\" = \"Bearer {t}\" }}")).unwrap_or_default();
        let exporter = setup::Otel::of_sink(http, token).value().replacen(&format!("http://{http}"), &at(http), 1);
        let other = grpc.map(|grpc| {
            format!("# or over gRPC: exporter = {{ otlp-grpc = {{ endpoint = \"{}\"{headers} }} }}\n", at(grpc))
        });
        let where_it_is = format!("# <token> is what {} holds\n", token::path(&context.home).display());
        format!(
            "# for ~/.codex/config.toml\n{}[otel]\nexporter = {exporter}\n{}trace_exporter = \"none\"\n\
             metrics_exporter = \"none\"\nlog_user_prompt = false\n",
            if hidden { where_it_is } else { String::new() } + self.authority(),
            other.unwrap_or_default()
        )
    }

    /// What else the exporter needs.
    fn authority(&self) -> &'static str {
        match self.encrypted {
            true => {
                "# unless a public authority signed the certificate, the exporter needs tls = { ca-certificate = \"/path/ca.pem\" }, too\n"
            }
            false => "",
        }
    }

    /// Beyond this machine tokens and usage must not be read on the way, nor may anybody send.
    fn check_reach(&self, auth: AuthArg, loopback: bool) -> anyhow::Result<()> {
        if !loopback && auth == AuthArg::None {
            bail!("without a token the sink listens on loopback only; leave --auth out, or listen on 127.0.0.1");
        }
        if !loopback && !self.encrypted && !self.cleartext {
            bail!(
                "beyond this machine tokens would be sent unencrypted: give --tls-cert and --tls-key (`tls_cert` and `tls_key` of `[sink]`), listen \
                 on 127.0.0.1, or say --allow-cleartext if something in front of the sink encrypts"
            );
        }
        Ok(())
    }
}

#[cfg(feature = "tls")]
fn tls(args: &Args, said: &SinkConfig) -> anyhow::Result<Option<serve::Tls>> {
    // Certificate and key belong together: a file said here does not go with one of the configuration.
    let (cert, key) = match &args.tls_cert {
        Some(_) => (&args.tls_cert, &args.tls_key),
        None => (&said.tls_cert, &said.tls_key),
    };
    let clients = args.tls_client_ca.as_ref().or(said.tls_client_ca.as_ref());
    match (cert, key) {
        (Some(cert), Some(key)) => serve::Tls::read(cert, key, clients.map(PathBuf::as_path)).map(Some),
        (None, None) if clients.is_none() => Ok(None),
        _ => bail!(
            "TLS needs a certificate and its key: `tls_cert` and `tls_key` of `[sink]`, or --tls-cert and --tls-key"
        ),
    }
}

/// Where to listen: what was said, else what the configuration says, else the usual ports.
pub(super) fn addresses(
    context: &Context,
    http: Option<SocketAddr>,
    grpc: Option<Door>,
) -> anyhow::Result<(SocketAddr, Option<SocketAddr>)> {
    let said = &context.config.sink;
    let grpc = match grpc {
        Some(door) => door,
        None => address_or_none(said.grpc.as_deref().unwrap_or(GRPC))
            .map_err(|e| anyhow::anyhow!("`grpc` of `[sink]` in the configuration: {e}"))?,
    };
    let http = http.or(said.http).unwrap_or(HTTP);
    if grpc.0 == Some(http) && http.port() != 0 {
        bail!(
            "OTLP/HTTP and OTLP/gRPC cannot both listen on {http}; give another port to one of them, or `--grpc none`"
        );
    }
    Ok((http, grpc.0))
}

/// Whether a sink with the configuration's doors may listen there.
pub(super) fn check(
    context: &Context,
    auth: AuthArg,
    (http, grpc): (SocketAddr, Option<SocketAddr>),
) -> anyhow::Result<()> {
    let loopback = std::iter::once(http).chain(grpc).all(|address| address.ip().is_loopback());
    Doors::new(&Args::default(), &context.config.sink)?.check_reach(auth, loopback)
}

/// The named tokens of the configuration, each by all of its hashes.
fn credentials(context: &Context) -> Vec<Credential> {
    let of = |token: &SinkToken| {
        let credential = |sha256| Credential { name: token.name.clone(), sha256 };
        token.hashes().map(credential).collect::<Vec<_>>()
    };
    context.config.sink_tokens.iter().flat_map(of).collect()
}

fn summary(s: &Stats) -> String {
    let passed = s.forwarded + s.not_forwarded;
    let onward = format!(
        ", {} requests passed on with the cost of {} responses, {} given up",
        thousands(s.forwarded),
        thousands(s.costs_forwarded),
        thousands(s.not_forwarded)
    );
    let onward = if passed > 0 { onward } else { String::new() };
    format!(
        "stopped: {} requests, {} observations stored, {} known already, {} records unreadable, {} requests refused, \
         {} observations read from spool and transcripts{onward}",
        thousands(s.requests),
        thousands(s.stored),
        thousands(s.known),
        thousands(s.rejected),
        thousands(s.refused + s.unauthorized),
        thousands(s.followed),
    )
}
