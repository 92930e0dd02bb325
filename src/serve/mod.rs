//! The sink: an OTLP server that answers with success only after what it keeps is on disk. The only async code.
//!
//! - `connection`: accepts at both doors, with a deadline for every phase of a connection
//! - `http`, `grpc`: one request, from its head to its answer
//! - `intake`: what both do with it: who may send, decoding, storing, counting
//! - `refusal`: why not, in the words of both
//! - `guard`: who may ask: host, origin, token
//! - `proof`: shows that this sink has the token
//! - `body`: reads and inflates within limits
//! - `writer`: the thread that owns the store and commits waiting requests together
//! - `background`: a thread that empties the journal and reads on in spool and transcripts
//! - `forward`: passes on what came, and what it costs
//! - `tls`: encrypted doors
//! - `report`: counts, and the warnings that the user gets to see
//! - `watchdog`: tells a service manager that all of it goes on
//!
//! Plain hyper, no framework, and of tonic only the framing (feature `grpc`): every answer must be one of the protocol (a
//! framework's own 413, 415 and 422 are not), and the accept loop and its deadlines must be ours anyway.

mod background;
mod body;
mod connection;
mod forward;
#[cfg(feature = "grpc")]
mod grpc;
mod guard;
mod http;
mod intake;
mod proof;
mod refusal;
mod report;
#[cfg(feature = "tls")]
mod tls;
mod watchdog;
mod writer;

pub use background::{Background, Follow};
pub use forward::{Costs, Deliver, Delivery, Forward, HOPS, Parcel};
#[cfg(feature = "grpc")]
pub use grpc::client::send as send_grpc;
pub use proof::proof;
pub use report::{Event, Stats};
#[cfg(feature = "tls")]
pub use tls::Tls;
pub use watchdog::Watchdog;

use crate::model::Users;
use crate::store::Store;
use anyhow::Context as _;
use connection::Door;
use report::Reporter;
use std::fmt;
use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};
use writer::Writer;

/// Who may send.
#[derive(Clone, PartialEq, Eq)]
pub enum Auth {
    /// Only who sends `authorization: Bearer TOKEN`.
    Token(String),
    /// Anyone who reaches the port.
    None,
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Auth::Token(_) => "Token(..)",
            Auth::None => "None",
        })
    }
}

/// A token that has a name, and of which only the hash is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The name that is kept with what it delivers.
    pub name: String,
    /// The SHA-256 of the token.
    pub sha256: [u8; 32],
}

/// How the sink is run. Every limit has a default that Codex 0.169 never comes near.
#[derive(Debug, Clone)]
pub struct Options {
    /// Who may send.
    pub auth: Auth,
    /// Others who may send, each known by a token of its own.
    pub credentials: Vec<Credential>,
    /// Host names and addresses, without a port, by which the sink may be called besides `127.0.0.1`, `[::1]`,
    /// `localhost` and the address it listens on.
    pub allowed_hosts: Vec<String>,
    /// The largest body after decompression, in bytes.
    pub max_body_bytes: usize,
    /// The largest body on the wire, in bytes.
    pub max_wire_bytes: usize,
    /// The most bytes of bodies in memory at a time; further requests wait.
    pub max_memory_bytes: usize,
    /// The most open connections at each door; further ones wait in the system's queue.
    pub max_connections: usize,
    /// How long the head of a request may take.
    pub header_timeout: Duration,
    /// How long the body of a request may take.
    pub body_timeout: Duration,
    /// How long a connection may wait for its next request. Codex's exporter keeps one and sends once a second at most.
    pub idle_timeout: Duration,
    /// How long requests that have begun may take when the sink stops.
    pub stop_timeout: Duration,
    /// The shortest time between two warnings of one kind.
    pub warning_interval: Duration,
    /// The journal, and what is read on meanwhile. Without it what the store does not take is refused with 503.
    pub background: Option<Background>,
    /// Where requests are passed on to.
    pub forward: Option<Forward>,
    /// Both doors speak TLS.
    #[cfg(feature = "tls")]
    pub tls: Option<Tls>,
    /// As whom users are known from here on.
    pub users: Users,
    /// Who is told that the sink goes on.
    pub watchdog: Option<Watchdog>,
}

impl Default for Options {
    fn default() -> Self {
        const MIB: usize = 1 << 20;
        Options {
            auth: Auth::None,
            credentials: Vec::new(),
            allowed_hosts: Vec::new(),
            max_body_bytes: 64 * MIB,
            max_wire_bytes: 16 * MIB,
            max_memory_bytes: 128 * MIB,
            max_connections: 512,
            header_timeout: Duration::from_secs(5),
            body_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            stop_timeout: Duration::from_secs(5),
            warning_interval: Duration::from_secs(60),
            background: None,
            forward: None,
            #[cfg(feature = "tls")]
            tls: None,
            users: Users::Plain,
            watchdog: None,
        }
    }
}

impl Options {
    fn home(&self) -> Option<PathBuf> {
        self.background.as_ref().map(|background| background.home.clone())
    }
}

/// Takes a warning; only the caller prints.
pub type Events = Box<dyn FnMut(Event) + Send>;

/// What all requests share.
struct Sink {
    options: Options,
    /// Where it listens for OTLP/HTTP.
    port: u16,
    hosts: guard::Hosts,
    /// One permit is one KiB of body.
    memory: Arc<Semaphore>,
    writer: Writer,
    reporter: Arc<Reporter>,
    forward: Option<forward::Queue>,
}

/// Where the sink listens. The caller binds, so that a port in use is its error to explain.
#[derive(Debug)]
pub struct Listeners {
    http: TcpListener,
    grpc: Option<TcpListener>,
}

impl From<TcpListener> for Listeners {
    /// For OTLP/HTTP only.
    fn from(http: TcpListener) -> Self {
        Listeners { http, grpc: None }
    }
}

impl Listeners {
    /// For OTLP/gRPC as well.
    #[cfg(feature = "grpc")]
    pub fn with_grpc(self, grpc: TcpListener) -> Self {
        Listeners { grpc: Some(grpc), ..self }
    }

    /// Each listener with what is spoken there.
    fn doors(self) -> Vec<(Door, TcpListener)> {
        let http = std::iter::once((Door::Http, self.http));
        #[cfg(feature = "grpc")]
        let http = http.chain(self.grpc.map(|grpc| (Door::Grpc, grpc)));
        http.collect()
    }
}

/// Serves until SIGINT or SIGTERM, then finishes what has begun and returns what was done. `ready` is called as soon as the
/// signals are caught: who says before that it listens can be killed by a signal that answers it.
///
/// Fails if the token is empty, if the runtime cannot be started, or if what was counted cannot be written at the end.
pub fn run_until_signal(
    listeners: impl Into<Listeners>,
    store: Box<dyn Store>,
    options: Options,
    events: Events,
    ready: impl FnOnce(),
) -> anyhow::Result<Stats> {
    run(listeners.into(), store, options, events, || {
        let stop = stop_signal();
        ready();
        stop
    })
}

/// Serves on a thread of its own, for tests and for programs that do something else meanwhile.
pub fn spawn(
    listeners: impl Into<Listeners>,
    store: Box<dyn Store>,
    options: Options,
    events: Events,
) -> anyhow::Result<Handle> {
    let listeners = listeners.into();
    let addr = listeners.http.local_addr()?;
    let grpc_addr = listeners.grpc.as_ref().map(TcpListener::local_addr).transpose()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let thread = std::thread::Builder::new().name("sink".to_string()).spawn(move || {
        run(listeners, store, options, events, || async {
            let _ = stopped.await;
        })
    })?;
    Ok(Handle { addr, grpc_addr, stop: Some(stop), thread })
}

/// A sink that runs in this process. Dropping it stops the sink without waiting for it.
#[derive(Debug)]
pub struct Handle {
    /// Where it listens for OTLP/HTTP.
    pub addr: SocketAddr,
    /// Where it listens for OTLP/gRPC, if it does.
    pub grpc_addr: Option<SocketAddr>,
    stop: Option<oneshot::Sender<()>>,
    thread: JoinHandle<anyhow::Result<Stats>>,
}

impl Handle {
    /// Tells the sink to stop: no new connections, and requests that have begun are finished.
    pub fn stop(&mut self) {
        self.stop = None;
    }

    /// Waits until the sink has stopped. Call [`Handle::stop`] before, or wait for ever.
    pub fn join(self) -> anyhow::Result<Stats> {
        self.thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the sink's thread panicked")))
    }
}

/// Runs the sink until the future ends that `stop` makes, in the runtime and before anyone is served.
fn run<F: Future<Output = ()>>(
    listeners: Listeners,
    store: Box<dyn Store>,
    options: Options,
    events: Events,
    stop: impl FnOnce() -> F,
) -> anyhow::Result<Stats> {
    anyhow::ensure!(options.auth != Auth::Token(String::new()), "the sink's token is empty");
    let doors = listeners.doors();
    let mut addresses = Vec::new();
    for (_, listener) in &doors {
        addresses.push(listener.local_addr().context("the listener has no address")?);
        listener.set_nonblocking(true).context("the listener cannot be used")?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("the sink's runtime cannot be started")?;
    let reporter = Arc::new(Reporter::new(events, options.warning_interval));
    let touched = options.forward.as_ref().and_then(|f| f.costs.as_ref()).map(|_| forward::Touched::default());
    let (writer, thread) = Writer::start(store, touched.clone(), options.home(), Arc::clone(&reporter))?;
    options.watchdog.iter().for_each(|watchdog| writer.is_watched(watchdog));
    let background = options
        .background
        .clone()
        .map(|b| b.start(writer.turn(), touched.clone(), Arc::clone(&reporter)))
        .transpose()?;
    let forward = options.forward.clone().map(|f| f.start(touched, &reporter)).transpose()?;
    let (queue, forwarding) = forward.unzip();
    let sink = Arc::new(Sink {
        // OTLP/HTTP is the first door.
        port: addresses.first().map_or(0, SocketAddr::port),
        hosts: guard::Hosts::new(&addresses.iter().map(SocketAddr::ip).collect::<Vec<_>>(), &options.allowed_hosts),
        memory: Arc::new(Semaphore::new(options.max_memory_bytes.div_ceil(1024))),
        writer: writer.clone(),
        reporter: Arc::clone(&reporter),
        forward: queue,
        options,
    });
    let served = runtime.block_on(async {
        let stop = stop();
        let listen = |(door, listener)| Ok((door, tokio::net::TcpListener::from_std(listener)?));
        let doors = doors.into_iter().map(listen).collect::<std::io::Result<_>>();
        connection::accept(doors.context("the listener cannot be used")?, sink, stop).await;
        anyhow::Ok(())
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    drop(background);
    drop(forwarding);
    writer.stop();
    let flushed = thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the sink's writer panicked")));
    reporter.flush();
    served.and(flushed).map(|()| reporter.stats())
}

/// Catches from now on the signals by which a terminal, a service manager or a container stops a program; the future ends
/// with the first of them.
fn stop_signal() -> impl Future<Output = ()> {
    #[cfg(unix)]
    let caught = {
        use tokio::signal::unix::{SignalKind, signal};
        signal(SignalKind::terminate()).ok().zip(signal(SignalKind::interrupt()).ok())
    };
    async move {
        #[cfg(unix)]
        if let Some((mut terminate, mut interrupt)) = caught {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            return;
        }
        let _ = tokio::signal::ctrl_c().await;
    }
}
