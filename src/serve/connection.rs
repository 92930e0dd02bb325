//! Accepts connections, each with a deadline for whatever it is doing.
//!
//! hyper's own header timeout also runs while a connection waits for its next request, which would cut Codex's exporter
//! off between two batches; so the phases are told apart here.

#[cfg(feature = "grpc")]
use super::grpc;
use super::report::Warning;
use super::watchdog::Beat;
use super::{Options, Sink, http};
use hyper::body::Incoming;
use hyper::server::conn::http1;
#[cfg(feature = "grpc")]
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
#[cfg(feature = "grpc")]
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;

/// How often a connection's deadline is looked at, at least.
const TICK: Duration = Duration::from_secs(1);

/// How long a connection without a request may go on once it is to end.
const PARTING: Duration = Duration::from_millis(250);

/// How long to wait when the system gives no connections.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The largest head of a request, and the piece in which bodies are read, in bytes.
const BUFFER: usize = 64 * 1024;

/// The most requests at a time on one connection of HTTP/2; a client keeps further ones until there is room. Clients begin
/// with 100 before they are told, and what is refused then is lost.
#[cfg(feature = "grpc")]
const STREAMS: u32 = 128;

/// How much of a request may come that is not read yet, in bytes.
#[cfg(feature = "grpc")]
const WINDOW: u32 = 32 * 1024;

/// The largest head of a request in HTTP/2, in bytes.
#[cfg(feature = "grpc")]
const HEADERS: u32 = 64 * 1024;

/// The length of what every client of HTTP/2 sends first, in bytes.
#[cfg(feature = "grpc")]
const GREETING: usize = 24;

/// What is spoken at a listener.
#[derive(Debug, Clone, Copy)]
pub(super) enum Door {
    Http,
    #[cfg(feature = "grpc")]
    Grpc,
}

impl Door {
    /// How many bytes a client sends before it has a request, if it may greet long before that.
    fn greeting(self) -> Option<usize> {
        match self {
            Door::Http => None,
            #[cfg(feature = "grpc")]
            Door::Grpc => Some(GREETING),
        }
    }
}

/// Serves connections at all doors until `stop`, then gives requests that have begun the time to finish.
pub(super) async fn accept(doors: Vec<(Door, TcpListener)>, sink: Arc<Sink>, stop: impl Future<Output = ()>) {
    let (stopping, watcher) = watch::channel(false);
    let mut open = JoinSet::new();
    for (door, listener) in doors {
        open.spawn(attend(door, listener, Arc::clone(&sink), watcher.clone()));
    }
    stop.await;
    stopping.send_replace(true);
    while open.join_next().await.is_some() {}
}

async fn attend(door: Door, listener: TcpListener, sink: Arc<Sink>, mut stop: watch::Receiver<bool>) {
    let slots = Arc::new(Semaphore::new(sink.options.max_connections.max(1)));
    let watcher = stop.clone();
    let (beat, asked) = (Beat::default(), Arc::new(Notify::new()));
    if let Some(watchdog) = &sink.options.watchdog {
        let ask = Arc::clone(&asked);
        watchdog.add(Arc::clone(&beat), move || ask.notify_one());
    }
    let mut connections = JoinSet::new();
    loop {
        let next = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            () = asked.notified() => {
                beat.store(true, Ordering::Relaxed);
                continue;
            }
            next = next => next,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) => {
                let (sink, watcher) = (Arc::clone(&sink), watcher.clone());
                connections.spawn(async move {
                    let _slot = slot;
                    serve(door, stream, sink, watcher).await;
                });
            }
            Err(error) => {
                // Out of files, or a client that has gone: neither is a reason to end.
                sink.reporter.warn(Warning::AcceptFailed, 1, &error.to_string());
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(sink.options.stop_timeout, all).await;
    connections.shutdown().await;
}

async fn serve(door: Door, stream: TcpStream, sink: Arc<Sink>, stop: watch::Receiver<bool>) {
    // A small answer must not wait for another one; if the option cannot be set it is only slower.
    let _ = stream.set_nodelay(true);
    #[cfg(feature = "tls")]
    if let Some(tls) = &sink.options.tls {
        let acceptor = match door {
            Door::Http => tls.http(),
            #[cfg(feature = "grpc")]
            Door::Grpc => tls.grpc(),
        };
        let greeted = tokio::time::timeout(sink.options.header_timeout, acceptor.accept(stream)).await;
        // Who does not speak TLS, or has no certificate that is known, has been told so by an alert.
        let Ok(Ok(stream)) = greeted else { return };
        return speak(door, stream, sink, stop).await;
    }
    speak(door, stream, sink, stop).await;
}

async fn speak<S>(door: Door, stream: S, sink: Arc<Sink>, stop: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let pulse = Arc::new(Pulse::new(door.greeting()));
    let io = TokioIo::new(Watched { stream, pulse: Arc::clone(&pulse) });
    match door {
        Door::Http => {
            let service = service_fn(|request: Request<Incoming>| {
                let (busy, sink) = (Busy::new(Arc::clone(&pulse)), Arc::clone(&sink));
                async move {
                    let response: Result<Response<_>, Infallible> = Ok(http::answer(&sink, request).await);
                    drop(busy);
                    response
                }
            });
            let mut builder = http1::Builder::new();
            let connection = builder.header_read_timeout(None).max_buf_size(BUFFER).serve_connection(io, service);
            watch(connection, |connection| connection.graceful_shutdown(), &pulse, &sink.options, stop).await;
        }
        #[cfg(feature = "grpc")]
        Door::Grpc => {
            let service = service_fn(|request: Request<Incoming>| {
                let (busy, sink) = (Busy::new(Arc::clone(&pulse)), Arc::clone(&sink));
                async move {
                    let response: Result<Response<_>, Infallible> = Ok(grpc::answer(&sink, request).await);
                    drop(busy);
                    response
                }
            });
            let mut builder = http2::Builder::new(TokioExecutor::new());
            // What one stream has not read yet must not keep another from being read to its end.
            builder.max_concurrent_streams(STREAMS).initial_stream_window_size(WINDOW);
            builder.initial_connection_window_size(STREAMS * WINDOW).max_header_list_size(HEADERS);
            let connection = builder.serve_connection(io, service);
            watch(connection, |connection| connection.graceful_shutdown(), &pulse, &sink.options, stop).await;
        }
    }
}

/// Runs a connection until it ends, until its time is up, or until the sink stops.
async fn watch<C: Future>(
    connection: C,
    finish: impl Fn(Pin<&mut C>),
    pulse: &Pulse,
    options: &Options,
    mut stop: watch::Receiver<bool>,
) {
    let mut connection = pin!(connection);
    let mut finishing = None;
    loop {
        tokio::select! {
            _ = connection.as_mut() => return,
            _ = stop.wait_for(|stop| *stop), if finishing.is_none() => {
                finishing = Some(Instant::now());
                finish(connection.as_mut());
            }
            () = tokio::time::sleep(pulse.left(options, finishing).min(TICK)) => {
                match finishing {
                    _ if !pulse.left(options, finishing).is_zero() => {}
                    Some(_) => return,
                    None => {
                        finishing = Some(Instant::now());
                        finish(connection.as_mut());
                    }
                }
            }
        }
    }
}

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Sending the head of a request; a new connection too.
    Head,
    /// In a request, whose body has a deadline of its own.
    Busy,
    /// Between requests.
    Idle,
}

/// What a connection is doing, and since when.
struct Pulse(Mutex<Doing>);

struct Doing {
    phase: Phase,
    since: Instant,
    /// Requests that are being answered; with HTTP/2 there can be several.
    requests: usize,
    /// With HTTP/2, what is still to come of the greeting, in bytes.
    greeting: Option<usize>,
}

impl Pulse {
    fn new(greeting: Option<usize>) -> Self {
        Pulse(Mutex::new(Doing { phase: Phase::Head, since: Instant::now(), requests: 0, greeting }))
    }

    fn lock(&self) -> MutexGuard<'_, Doing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes have come. Between requests of HTTP/1 they begin the next head; those of HTTP/2 may be about the connection,
    /// so only its greeting has a deadline of its own.
    fn bytes(&self, n: usize) {
        let mut doing = self.lock();
        match (doing.phase, doing.greeting) {
            (Phase::Idle, None) => doing.enter(Phase::Head),
            (Phase::Head, Some(left)) if left > n => doing.greeting = Some(left - n),
            (Phase::Head, Some(_)) => doing.enter(Phase::Idle),
            _ => {}
        }
    }

    /// How long the connection may go on as it is; `finishing` is since when it is to end.
    fn left(&self, options: &Options, finishing: Option<Instant>) -> Duration {
        let doing = self.lock();
        let (limit, since) = match (doing.phase, finishing) {
            (Phase::Busy, _) => return TICK,
            (_, Some(finishing)) => (PARTING, doing.since.max(finishing)),
            (Phase::Head, None) => (options.header_timeout, doing.since),
            (Phase::Idle, None) => (options.idle_timeout, doing.since),
        };
        limit.saturating_sub(since.elapsed())
    }
}

impl Doing {
    fn enter(&mut self, phase: Phase) {
        (self.phase, self.since) = (phase, Instant::now());
    }
}

/// Marks a connection as busy for as long as it lives, also if the request is given up.
struct Busy(Arc<Pulse>);

impl Busy {
    fn new(pulse: Arc<Pulse>) -> Self {
        let mut doing = pulse.lock();
        doing.requests += 1;
        doing.enter(Phase::Busy);
        drop(doing);
        Busy(pulse)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut doing = self.0.lock();
        doing.requests -= 1;
        if doing.requests == 0 {
            doing.enter(Phase::Idle);
        }
    }
}

/// A stream that tells its pulse when bytes come.
struct Watched<S> {
    stream: S,
    pulse: Arc<Pulse>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        if buf.filled().len() > before {
            self.pulse.bytes(buf.filled().len() - before);
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
