//! Reads and inflates bodies within limits: what is sent, what it becomes, and how long it takes.

use super::refusal::Refusal;
use super::{Options, Sink};
use flate2::read::MultiGzDecoder;
use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::{Body, Incoming};
use hyper::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap};
use std::io::Read;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// How much a body may grow when it is inflated: honest telemetry stays far below, a bomb is 1000 and more.
const MAX_RATIO: usize = 200;

/// Small bodies may grow more: the ratio says little there.
const RATIO_SLACK: usize = 1 << 20;

/// Whether the body is gzip. Anything else than that and nothing is refused, also two layers.
pub(super) fn is_gzip(headers: &HeaderMap) -> Result<bool, Refusal> {
    let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
    let encoding = encodings.next().map(|value| value.as_bytes().to_ascii_lowercase()).unwrap_or_default();
    match (encoding.as_slice(), encodings.next()) {
        (b"" | b"none" | b"identity", None) => Ok(false),
        (b"gzip", None) => Ok(true),
        _ => Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "only gzip is supported as content encoding")
            .with(ACCEPT_ENCODING, "gzip")),
    }
}

/// The largest that a body of `wire` bytes may become.
pub(super) fn inflated_limit(wire: usize, options: &Options) -> usize {
    wire.saturating_mul(MAX_RATIO).saturating_add(RATIO_SLACK).min(options.max_body_bytes)
}

pub(super) fn too_large(limit: usize) -> Refusal {
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {limit} bytes"))
}

/// Waits until there is room in memory for a body of `wire` bytes, or refuses it for its size.
///
/// All at once: bodies that wait for each other would never end.
pub(super) async fn reserve(sink: &Sink, wire: usize, gzip: bool) -> Result<OwnedSemaphorePermit, Refusal> {
    let options = &sink.options;
    if wire > options.max_wire_bytes {
        return Err(too_large(options.max_wire_bytes));
    }
    let whole = if gzip { wire.saturating_add(inflated_limit(wire, options)) } else { wire };
    let permits = whole.min(options.max_memory_bytes).div_ceil(1024);
    let permits = u32::try_from(permits).unwrap_or(u32::MAX);
    let closed = |_| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the sink is stopping");
    Arc::clone(&sink.memory).acquire_many_owned(permits).await.map_err(closed)
}

/// Reads a body; with `keep` false it is only counted.
pub(super) async fn read(mut body: Incoming, options: &Options, keep: bool) -> Result<Vec<u8>, Refusal> {
    let limit = options.max_wire_bytes;
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(too_large(limit));
    }
    let mut bytes = Vec::with_capacity(if keep { announced } else { 0 });
    let mut length = 0usize;
    let all = async {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, "the body broke off"))?;
            let Some(data) = frame.data_ref() else { continue };
            length = length.saturating_add(data.len());
            if length > limit {
                return Err(too_large(limit));
            }
            if keep {
                bytes.extend_from_slice(data);
            }
        }
        Ok(())
    };
    let slow = |_| Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body took too long").closing();
    tokio::time::timeout(options.body_timeout, all).await.map_err(slow)??;
    Ok(bytes)
}

/// Inflates gzip, and stops at the limit instead of believing the stream.
pub(super) fn inflate(wire: &[u8], options: &Options) -> Result<Vec<u8>, Refusal> {
    let limit = inflated_limit(wire.len(), options);
    let mut bytes = Vec::new();
    let capped = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let read = MultiGzDecoder::new(wire).take(capped).read_to_end(&mut bytes);
    read.map_err(|e| Refusal::new(StatusCode::BAD_REQUEST, format!("gzip: {e}")))?;
    if bytes.len() > limit {
        return Err(too_large(limit));
    }
    Ok(bytes)
}
