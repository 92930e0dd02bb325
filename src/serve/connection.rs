//! Accepts connections, each with a deadline for whatever it is doing.
//!
//! hyper's own header timeout also runs while a connection waits for its next request, which would cut Codex's exporter
//! off between two batches; so the phases are told apart here.

use super::report::Warning;
use super::{Options, Sink, http};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// How often a connection's deadline is looked at, at least.
const TICK: Duration = Duration::from_secs(1);

/// How long a connection without a request may go on when the sink stops.
const PARTING: Duration = Duration::from_millis(250);

/// How long to wait when the system gives no connections.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The largest head of a request, and the piece in which bodies are read, in bytes.
const BUFFER: usize = 64 * 1024;

/// Serves connections until `stop`, then gives requests that have begun the time to finish.
pub(super) async fn accept(listener: TcpListener, sink: Arc<Sink>, stop: impl Future<Output = ()>) {
    let slots = Arc::new(Semaphore::new(sink.options.max_connections.max(1)));
    let (stopping, watcher) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let next = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            biased;
            () = &mut stop => break,
            next = next => next,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) => {
                let (sink, watcher) = (Arc::clone(&sink), watcher.clone());
                connections.spawn(async move {
                    let _slot = slot;
                    serve(stream, sink, watcher).await;
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
    stopping.send_replace(true);
    let all = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(sink.options.stop_timeout, all).await;
    connections.shutdown().await;
}

async fn serve(stream: TcpStream, sink: Arc<Sink>, mut stop: watch::Receiver<bool>) {
    // A small answer must not wait for another one; if the option cannot be set it is only slower.
    let _ = stream.set_nodelay(true);
    let pulse = Arc::new(Pulse::new());
    let io = TokioIo::new(Watched { stream, pulse: Arc::clone(&pulse) });
    let service = service_fn(|request: Request<Incoming>| {
        let busy = Busy::new(Arc::clone(&pulse));
        let sink = Arc::clone(&sink);
        async move {
            let response: Result<Response<_>, Infallible> = Ok(http::answer(&sink, request).await);
            drop(busy);
            response
        }
    });
    let connection = http1::Builder::new().header_read_timeout(None).max_buf_size(BUFFER).serve_connection(io, service);
    let mut connection = pin!(connection);
    let mut stopping = false;
    loop {
        tokio::select! {
            _ = connection.as_mut() => return,
            _ = stop.wait_for(|stop| *stop), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            () = tokio::time::sleep(pulse.left(&sink.options, stopping).min(TICK)) => {
                if pulse.left(&sink.options, stopping).is_zero() {
                    return;
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
struct Pulse(Mutex<(Phase, Instant)>);

impl Pulse {
    fn new() -> Self {
        Pulse(Mutex::new((Phase::Head, Instant::now())))
    }

    fn lock(&self) -> MutexGuard<'_, (Phase, Instant)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, phase: Phase) {
        *self.lock() = (phase, Instant::now());
    }

    /// Bytes have come: between requests they begin the next head.
    fn bytes(&self) {
        if self.lock().0 == Phase::Idle {
            self.enter(Phase::Head);
        }
    }

    /// How long the connection may go on as it is.
    fn left(&self, options: &Options, stopping: bool) -> Duration {
        let (phase, since) = *self.lock();
        let limit = match phase {
            Phase::Busy => return TICK,
            _ if stopping => PARTING,
            Phase::Head => options.header_timeout,
            Phase::Idle => options.idle_timeout,
        };
        limit.saturating_sub(since.elapsed())
    }
}

/// Marks a connection as busy for as long as it lives, also if the request is given up.
struct Busy(Arc<Pulse>);

impl Busy {
    fn new(pulse: Arc<Pulse>) -> Self {
        pulse.enter(Phase::Busy);
        Busy(pulse)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.enter(Phase::Idle);
    }
}

/// A stream that tells its pulse when bytes come.
struct Watched {
    stream: TcpStream,
    pulse: Arc<Pulse>,
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        if buf.filled().len() > before {
            self.pulse.bytes();
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Watched {
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
