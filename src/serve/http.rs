//! One request, from its head to its answer. Every answer has the form that OTLP/HTTP demands.

use super::report::Warning;
use super::{Sink, body, guard};
use crate::ingest::otlp::{self, ClientHeaders, Decoded, Encoding};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ALLOW, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use hyper::{Method, Request, Response, StatusCode, Uri};
use std::borrow::Cow;

/// Bodies up to this many bytes are decoded where they are; larger ones must not hold up other requests.
const DECODE_INLINE: usize = 128 * 1024;

/// Why a request is not answered 200.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    message: Cow<'static, str>,
    headers: Vec<(HeaderName, &'static str)>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Refusal { status, message: message.into(), headers: Vec::new() }
    }

    /// Adds a header to the answer.
    pub(super) fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Ends the connection with the answer: where its next request begins is not known.
    pub(super) fn closing(self) -> Self {
        self.with(CONNECTION, "close")
    }

    /// The code of `google.rpc.Status` that goes with the HTTP status.
    fn code(&self) -> u8 {
        match self.status {
            StatusCode::UNAUTHORIZED => 16,
            StatusCode::FORBIDDEN => 7,
            StatusCode::NOT_FOUND => 5,
            StatusCode::METHOD_NOT_ALLOWED => 12,
            StatusCode::REQUEST_TIMEOUT => 4,
            StatusCode::PAYLOAD_TOO_LARGE => 8,
            StatusCode::SERVICE_UNAVAILABLE => 14,
            StatusCode::INTERNAL_SERVER_ERROR => 13,
            _ => 3,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signal {
    Logs,
    Traces,
    Metrics,
}

/// Answers one request.
pub(super) async fn answer(sink: &Sink, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let encoding = encoding(request.headers());
    let outcome = serve(sink, request, encoding).await;
    sink.reporter.count(|stats| {
        stats.requests += 1;
        match &outcome {
            Ok((Signal::Logs, _)) => stats.logs += 1,
            Ok((Signal::Traces, _)) => stats.traces += 1,
            Ok((Signal::Metrics, _)) => stats.metrics += 1,
            Err(refusal) if refusal.status == StatusCode::UNAUTHORIZED => stats.unauthorized += 1,
            Err(refusal) if refusal.status.is_server_error() => stats.failed += 1,
            Err(_) => stats.refused += 1,
        }
    });
    let encoding = encoding.unwrap_or(Encoding::Json);
    let (status, body, headers) = match outcome {
        Ok((_, body)) => (StatusCode::OK, body, Vec::new()),
        Err(refusal) => {
            let body = otlp::status(encoding, refusal.code(), &refusal.message);
            (refusal.status, body, refusal.headers)
        }
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let content_type = match encoding {
        Encoding::Json => "application/json",
        Encoding::Protobuf => "application/x-protobuf",
    };
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn serve(
    sink: &Sink,
    request: Request<Incoming>,
    encoding: Option<Encoding>,
) -> Result<(Signal, Vec<u8>), Refusal> {
    let (head, body) = request.into_parts();
    let signal = admit(sink, &head.method, &head.uri, &head.headers)?;
    let unknown = "the content type must be application/x-protobuf or application/json";
    let encoding = encoding.ok_or_else(|| Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, unknown))?;
    let gzip = body::is_gzip(&head.headers)?;
    if signal != Signal::Logs {
        // Nothing of these is kept; they are taken because an exporter that is refused tells its user nothing useful.
        body::read(body, &sink.options, false).await?;
        return Ok((signal, otlp::success(encoding)));
    }
    let room = body::reserve(sink, &body, gzip).await?;
    let bytes = body::read(body, &sink.options, true).await?;
    let client = ClientHeaders { team: team(&head.headers) };
    let decoded = decode(sink, bytes, gzip, encoding, client).await?;
    drop(room);
    let Decoded { observations, rejected, rejected_why, counters } = decoded;
    if rejected > 0 {
        sink.reporter.count(|stats| stats.rejected += rejected);
        sink.reporter.warn(Warning::Rejected, rejected, rejected_why.as_deref().unwrap_or_default());
    }
    sink.writer.count(counters);
    if !sink.writer.write(observations).await {
        let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the store cannot be written");
        return Err(refusal.with(RETRY_AFTER, "5"));
    }
    Ok((signal, otlp::logs_response(encoding, rejected, rejected_why.as_deref())))
}

/// Everything that is decided by the head alone, before a byte of the body is read.
fn admit(sink: &Sink, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Signal, Refusal> {
    if !sink.hosts.allow(headers, uri) {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "this host is not served here"));
    }
    if guard::is_from_a_page(headers) {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "web pages are not served"));
    }
    let signal = match uri.path() {
        "/v1/logs" => Signal::Logs,
        "/v1/traces" => Signal::Traces,
        "/v1/metrics" => Signal::Metrics,
        _ => return Err(Refusal::new(StatusCode::NOT_FOUND, "the paths are /v1/logs, /v1/traces and /v1/metrics")),
    };
    if method != Method::POST {
        return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "only POST is supported").with(ALLOW, "POST"));
    }
    if !guard::is_authorized(&sink.options.auth, headers) {
        sink.reporter.warn(Warning::Unauthorized, 1, "");
        let refusal = Refusal::new(StatusCode::UNAUTHORIZED, "the token is missing or wrong");
        return Err(refusal.with(WWW_AUTHENTICATE, "Bearer"));
    }
    Ok(signal)
}

/// The encoding by the content type; parameters and case do not matter.
fn encoding(headers: &HeaderMap) -> Option<Encoding> {
    let content_type = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        Some(Encoding::Json)
    } else if essence.eq_ignore_ascii_case("application/x-protobuf") {
        Some(Encoding::Protobuf)
    } else {
        None
    }
}

/// The exporter's `X-Team` header, if it says anything.
fn team(headers: &HeaderMap) -> Option<String> {
    let team = std::str::from_utf8(headers.get("x-team")?.as_bytes()).ok()?.trim();
    (!team.is_empty()).then(|| team.to_string())
}

async fn decode(
    sink: &Sink,
    bytes: Vec<u8>,
    gzip: bool,
    encoding: Encoding,
    client: ClientHeaders,
) -> Result<Decoded, Refusal> {
    let small = bytes.len() <= DECODE_INLINE && !gzip;
    let options = if gzip { Some(sink.options.clone()) } else { None };
    let work = move || {
        let bytes = match options {
            Some(options) => body::inflate(&bytes, &options)?,
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
