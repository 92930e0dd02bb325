//! One OTLP/gRPC request, from its head to its answer: the second door to what `intake` does.
//!
//! - `client`: the other end, for those who try a sink out
//! - `codec`: messages as bytes, which `ingest` reads without copying
//! - `envelope`: the length before the message, and the body within limits
//!
//! tonic frames, inflates and writes the status; the connection, its limits and who may ask are ours, as for HTTP.

pub(super) mod client;
mod codec;
mod envelope;

use super::guard::Caller;
use super::intake::{self, Message, Signal};
use super::refusal::Refusal;
use super::{Sink, body};
use crate::ingest::otlp::{self, ClientHeaders, Encoding};
use codec::Raw;
use envelope::Envelope;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::Poll;
use tokio::sync::OwnedSemaphorePermit;
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::server::{Grpc, UnaryService};
use tonic::{Code, Status};

/// The method that takes logs.
const LOGS: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

/// An empty message with its length before it.
const EMPTY: &[u8] = &[0; 5];

/// Answers one request.
pub(super) async fn answer(sink: &Sink, request: Request<Incoming>) -> Response<Body> {
    let (outcome, response) = match serve(sink, request).await {
        Ok((signal, response)) => {
            let refused = Status::from_header_map(response.headers());
            (refused.map_or(Ok(signal), |status| Err(code(&status))), response)
        }
        Err(refusal) => (Err(refusal.code()), refused(refusal)),
    };
    intake::count(sink, outcome);
    response
}

fn code(status: &Status) -> u8 {
    u8::try_from(i32::from(status.code())).unwrap_or_default()
}

fn status(refusal: Refusal) -> Status {
    Status::new(Code::from_i32(refusal.code().into()), refusal.message)
}

/// A refusal as an answer. Only who does not speak gRPC gets another HTTP status than 200.
fn refused(refusal: Refusal) -> Response<Body> {
    let foreign = refusal.status == StatusCode::UNSUPPORTED_MEDIA_TYPE;
    let mut response = status(refusal).into_http();
    if foreign {
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    }
    response
}

async fn serve(sink: &Sink, request: Request<Incoming>) -> Result<(Signal, Response<Body>), Refusal> {
    let (head, body) = request.into_parts();
    let (signal, caller) = admit(sink, &head)?;
    let envelope = Envelope::open(body, &sink.options).await?;
    let (length, gzip) = (envelope.length, envelope.compressed);
    if signal != Signal::Logs {
        // As with HTTP, nothing of these is kept, so nothing is inflated; their answer is that to an empty message.
        envelope.discard(&sink.options).await?;
        let export = Export { sink, logs: None, reached: &mut false };
        let request = Request::from_parts(head, Full::new(Bytes::from_static(EMPTY)));
        return Ok((signal, Grpc::new(Raw).accept_compressed(CompressionEncoding::Gzip).unary(export, request).await));
    }
    let room = body::reserve(sink, length, gzip).await?;
    let named = head.headers.get("grpc-encoding").is_some_and(|encoding| encoding == "gzip");
    let limit = if gzip { body::inflated_limit(length, &sink.options) } else { length };
    let mut reached = false;
    let export =
        Export { sink, logs: Some((intake::client(sink, &head.headers, caller), room)), reached: &mut reached };
    let request = Request::from_parts(head, envelope.into_body(&sink.options));
    let mut grpc = Grpc::new(Raw).accept_compressed(CompressionEncoding::Gzip).max_decoding_message_size(limit);
    let response = polled(gzip, grpc.unary(export, request)).await;
    if !reached && let Some(status) = Status::from_header_map(response.headers()) {
        return Err(match status.code() {
            // Exporters send again what was out of range, and it would be as long again.
            Code::OutOfRange | Code::ResourceExhausted => body::too_large(limit),
            Code::Internal if gzip && named => Refusal::new(StatusCode::BAD_REQUEST, status.message().to_string()),
            _ => return Ok((signal, response)),
        });
    }
    Ok((signal, response))
}

/// Everything that is decided by the head alone, before a byte of the body is read.
fn admit(sink: &Sink, head: &Parts) -> Result<(Signal, Caller), Refusal> {
    intake::check_caller(sink, head)?;
    let unknown = |what| Refusal::new(StatusCode::NOT_IMPLEMENTED, what);
    let signal = match head.uri.path() {
        LOGS => Signal::Logs,
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export" => Signal::Traces,
        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export" => Signal::Metrics,
        _ => return Err(unknown("the method is Export of OTLP's LogsService, TraceService or MetricsService")),
    };
    if head.method != Method::POST {
        return Err(unknown("only POST is supported"));
    }
    let kind = head.headers.get(CONTENT_TYPE).map(|kind| kind.as_bytes().to_ascii_lowercase()).unwrap_or_default();
    let kind = kind.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    if !matches!(kind, b"application/grpc" | b"application/grpc+proto") {
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the content type must be application/grpc"));
    }
    Ok((signal, intake::check_token(sink, &head.headers)?))
}

/// Runs a future; one that inflates must not hold up other requests, so its thread's other work is taken over then.
async fn polled<F: Future>(inflates: bool, future: F) -> F::Output {
    if !inflates {
        return future.await;
    }
    let mut future = pin!(future);
    std::future::poll_fn(|cx| -> Poll<F::Output> { tokio::task::block_in_place(|| future.as_mut().poll(cx)) }).await
}

/// The method that is called with the message.
struct Export<'a> {
    sink: &'a Sink,
    /// For logs: who sent them, and the room that they take in memory.
    logs: Option<(ClientHeaders, OwnedSemaphorePermit)>,
    /// Set when there was a message to be called with.
    reached: &'a mut bool,
}

impl<'a> UnaryService<Bytes> for Export<'a> {
    type Response = Vec<u8>;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<Vec<u8>>, Status>> + Send + 'a>>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        *self.reached = true;
        let (sink, logs) = (self.sink, self.logs.take());
        Box::pin(async move {
            let Some((client, room)) = logs else {
                return Ok(tonic::Response::new(otlp::success(Encoding::Protobuf)));
            };
            let bytes = request.into_inner();
            let message = Message { bytes, encoding: Encoding::Protobuf, gzip: false, hops: 0, room };
            intake::take_logs(sink, message, client).await.map(tonic::Response::new).map_err(status)
        })
    }
}
