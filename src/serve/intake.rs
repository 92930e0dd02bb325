//! What both doors do with a request: who sent it, what is in it, and that it is on disk before it is answered.

use super::forward::Parcel;
use super::guard::Caller;
use super::refusal::Refusal;
use super::report::Warning;
use super::{Sink, body, guard};
use crate::ingest::otlp::{self, ClientHeaders, Decoded, Encoding};
use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::{HeaderMap, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::http::request::Parts;
use tokio::sync::OwnedSemaphorePermit;

/// Messages up to this many bytes are decoded where they are; larger ones must not hold up other requests.
const DECODE_INLINE: usize = 128 * 1024;

/// What a request carries. Only logs are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    Logs,
    Traces,
    Metrics,
}

/// A logs message as it came.
pub(super) struct Message {
    pub(super) bytes: Bytes,
    pub(super) encoding: Encoding,
    /// Whether it is still to be inflated.
    pub(super) gzip: bool,
    /// How many sinks have passed it on.
    pub(super) hops: u8,
    /// The room in memory that it takes until it is decoded.
    pub(super) room: OwnedSemaphorePermit,
}

/// Refuses web pages, and whoever calls the sink by a name that is not its own.
pub(super) fn check_caller(sink: &Sink, head: &Parts) -> Result<(), Refusal> {
    if !sink.hosts.allow(head) {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "this host is not served here"));
    }
    if guard::is_from_a_page(&head.headers) {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "web pages are not served"));
    }
    Ok(())
}

/// Refuses who has no token, and warns the user: Codex does not. Says whose it is.
pub(super) fn check_token(sink: &Sink, headers: &HeaderMap) -> Result<Caller, Refusal> {
    if let Some(caller) = guard::caller(&sink.options.auth, &sink.options.credentials, headers) {
        return Ok(caller);
    }
    sink.reporter.warn(Warning::Unauthorized, 1, "");
    Err(Refusal::new(StatusCode::UNAUTHORIZED, "the token is missing or wrong").with(WWW_AUTHENTICATE, "Bearer"))
}

/// What the headers, or the metadata, say of the records, and the token that they came with.
pub(super) fn client(sink: &Sink, headers: &HeaderMap, caller: Caller) -> ClientHeaders {
    let text = headers.get("x-team").and_then(|value| std::str::from_utf8(value.as_bytes()).ok());
    let team = text.map(str::trim).filter(|team| !team.is_empty()).map(str::to_string);
    ClientHeaders { team, credential: caller.credential, users: sink.options.users.clone() }
}

/// Decodes logs and stores them. Returns the answer once they are on disk.
pub(super) async fn take_logs(sink: &Sink, message: Message, client: ClientHeaders) -> Result<Vec<u8>, Refusal> {
    let Message { bytes, encoding, gzip, hops, room } = message;
    let onward = sink.forward.as_ref().map(|_| bytes.clone());
    let Decoded { observations, rejected, rejected_why, counters } =
        decode(sink, bytes, gzip, encoding, client).await?;
    drop(room);
    if rejected > 0 {
        sink.reporter.count(|stats| stats.rejected += rejected);
        sink.reporter.warn(Warning::Rejected, rejected, rejected_why.as_deref().unwrap_or_default());
    }
    sink.writer.count(counters);
    if !sink.writer.write(observations).await {
        let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the store cannot be written");
        return Err(refusal.with(RETRY_AFTER, "5"));
    }
    if let Some(body) = onward {
        pass_on(sink, Signal::Logs, (encoding, gzip, hops), body).await;
    }
    Ok(otlp::logs_response(encoding, rejected, rejected_why.as_deref()))
}

/// Puts a request into the queue of what is passed on. That it could not be is told, and no reason to refuse it.
pub(super) async fn pass_on(sink: &Sink, signal: Signal, (encoding, gzip, hops): (Encoding, bool, u8), body: Bytes) {
    let Some(queue) = sink.forward.clone() else { return };
    let signal = match signal {
        Signal::Logs => "logs",
        Signal::Traces => "traces",
        Signal::Metrics => "metrics",
    };
    let content_type = match encoding {
        Encoding::Json => "application/json",
        Encoding::Protobuf => "application/x-protobuf",
    };
    let parcel = Parcel { signal, content_type, gzip, hops, body: body.into() };
    // A disk that is slow must not hold up other requests.
    let _ = tokio::task::spawn_blocking(move || queue.put(&parcel)).await;
}

async fn decode(
    sink: &Sink,
    bytes: Bytes,
    gzip: bool,
    encoding: Encoding,
    client: ClientHeaders,
) -> Result<Decoded, Refusal> {
    let small = bytes.len() <= DECODE_INLINE && !gzip;
    let options = if gzip { Some(sink.options.clone()) } else { None };
    let work = move || {
        let bytes = match options {
            Some(options) => Bytes::from(body::inflate(&bytes, &options)?),
            None => bytes,
        };
        let decoded = match encoding {
            Encoding::Json => otlp::decode_json(&bytes, &client),
            Encoding::Protobuf => otlp::decode_protobuf(&bytes, &client),
        };
        decoded.map_err(|e| Refusal::new(StatusCode::BAD_REQUEST, e.to_string()))
    };
    if small {
        return work();
    }
    let broken = |_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the request could not be decoded");
    tokio::task::spawn_blocking(work).await.map_err(broken)?
}

/// Counts a request by its outcome: what it carried, or the code it is refused with.
pub(super) fn count(sink: &Sink, outcome: Result<Signal, u8>) {
    sink.reporter.count(|stats| {
        stats.requests += 1;
        match outcome {
            Ok(Signal::Logs) => stats.logs += 1,
            Ok(Signal::Traces) => stats.traces += 1,
            Ok(Signal::Metrics) => stats.metrics += 1,
            Err(16) => stats.unauthorized += 1,
            Err(13 | 14) => stats.failed += 1,
            Err(_) => stats.refused += 1,
        }
    });
}
