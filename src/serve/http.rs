//! One OTLP/HTTP request, from its head to its answer. Every answer has the form that the protocol demands.

use super::guard::Caller;
use super::intake::{self, Message, Signal};
use super::refusal::Refusal;
use super::{Auth, HOPS, Sink, body, proof};
use crate::ingest::otlp::{self, Encoding};
use http_body_util::Full;
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};

/// Answers one request.
pub(super) async fn answer(sink: &Sink, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    if let Some(proof) = prove(sink, &head) {
        let mut response = Response::new(Full::new(Bytes::from(proof)));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        return response;
    }
    let request = Request::from_parts(head, body);
    let encoding = encoding(request.headers());
    let outcome = serve(sink, request, encoding).await;
    intake::count(sink, outcome.as_ref().map(|(signal, _)| *signal).map_err(Refusal::code));
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

/// The answer to who asks whether this is the sink that has the token.
fn prove(sink: &Sink, head: &Parts) -> Option<String> {
    let asks = head.method == Method::GET && head.uri.path() == proof::PATH;
    let token = match &sink.options.auth {
        Auth::Token(token) => Some(token.as_str()),
        Auth::None => None,
    };
    let asks = asks && intake::check_caller(sink, head).is_ok();
    asks.then(|| proof::answer(&head.uri, token, sink.port)).flatten()
}

async fn serve(
    sink: &Sink,
    request: Request<Incoming>,
    encoding: Option<Encoding>,
) -> Result<(Signal, Vec<u8>), Refusal> {
    let (head, body) = request.into_parts();
    let (signal, caller) = admit(sink, &head)?;
    let unknown = "the content type must be application/x-protobuf or application/json";
    let encoding = encoding.ok_or_else(|| Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, unknown))?;
    let gzip = body::is_gzip(&head.headers)?;
    let hops = head.headers.get(HOPS).and_then(|hops| hops.to_str().ok()?.parse().ok()).unwrap_or(0);
    if signal != Signal::Logs {
        // Nothing of these is kept; they are taken because an exporter that is refused tells its user nothing useful.
        let keep = sink.forward.is_some();
        let bytes = body::read(body, &sink.options, keep).await?;
        if keep {
            intake::pass_on(sink, signal, (encoding, gzip, hops), Bytes::from(bytes)).await;
        }
        return Ok((signal, otlp::success(encoding)));
    }
    let announced = body.size_hint().upper().map(|n| usize::try_from(n).unwrap_or(usize::MAX));
    let room = body::reserve(sink, announced.unwrap_or(sink.options.max_wire_bytes), gzip).await?;
    let bytes = Bytes::from(body::read(body, &sink.options, true).await?);
    let message = Message { bytes, encoding, gzip, hops, room };
    Ok((signal, intake::take_logs(sink, message, intake::client(sink, &head.headers, caller)).await?))
}

/// Everything that is decided by the head alone, before a byte of the body is read.
fn admit(sink: &Sink, head: &Parts) -> Result<(Signal, Caller), Refusal> {
    intake::check_caller(sink, head)?;
    let signal = match head.uri.path() {
        "/v1/logs" => Signal::Logs,
        "/v1/traces" => Signal::Traces,
        "/v1/metrics" => Signal::Metrics,
        _ => return Err(Refusal::new(StatusCode::NOT_FOUND, "the paths are /v1/logs, /v1/traces and /v1/metrics")),
    };
    if head.method != Method::POST {
        return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "only POST is supported").with(ALLOW, "POST"));
    }
    Ok((signal, intake::check_token(sink, &head.headers)?))
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
