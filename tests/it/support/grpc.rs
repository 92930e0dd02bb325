//! Clients of OTLP/gRPC: tonic's, which is what Codex's exporter uses, and plain HTTP/2 that can also misbehave.

use http_body_util::BodyExt;
use hyper::body::{Body, Buf, Bytes, Frame, Incoming};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::http::HeaderMap;
use hyper::http::uri::PathAndQuery;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::collections::VecDeque;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::Runtime;
use tonic::client::Grpc;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::{Ascii, MetadataKey};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

pub const LOGS: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
pub const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
pub const METRICS: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";

/// How long an answer may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(20);

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// tonic's client on one connection, which it opens with the first call and again when it is lost.
pub struct Exporter {
    runtime: Runtime,
    channel: Channel,
    gzip: bool,
}

impl Exporter {
    pub fn new(addr: SocketAddr) -> Self {
        Self::calling(addr, &format!("http://{addr}"))
    }

    /// Names this as the server's address.
    pub fn calling(addr: SocketAddr, origin: &str) -> Self {
        let runtime = runtime();
        let endpoint = Endpoint::from_shared(format!("http://{addr}")).unwrap();
        let endpoint = endpoint.origin(origin.parse().unwrap()).timeout(PATIENCE);
        let channel = runtime.block_on(async { endpoint.connect_lazy() });
        Exporter { runtime, channel, gzip: false }
    }

    pub fn gzip(self) -> Self {
        Exporter { gzip: true, ..self }
    }

    /// Sends a message with metadata and returns the answer's message.
    pub fn send(&self, method: &'static str, metadata: &[(&str, &str)], message: &[u8]) -> Result<Vec<u8>, Status> {
        self.runtime.block_on(self.sending(method, metadata, message))
    }

    /// Sends messages all at once; each must be taken.
    pub fn send_all(&self, method: &'static str, messages: impl Iterator<Item = Vec<u8>>) {
        let messages: Vec<_> = messages.collect();
        self.runtime.block_on(async {
            let mut all = tokio::task::JoinSet::new();
            messages.iter().for_each(|message| drop(all.spawn(self.sending(method, &[], message))));
            while let Some(answer) = all.join_next().await {
                answer.unwrap().expect("taken");
            }
        });
    }

    fn sending(
        &self,
        method: &'static str,
        metadata: &[(&str, &str)],
        message: &[u8],
    ) -> impl Future<Output = Result<Vec<u8>, Status>> + Send + use<> {
        let mut request = tonic::Request::new(message.to_vec());
        for (name, value) in metadata {
            let name: MetadataKey<Ascii> = name.parse().unwrap();
            request.metadata_mut().append(name, value.parse().unwrap());
        }
        let mut client = Grpc::new(self.channel.clone());
        if self.gzip {
            client = client.send_compressed(CompressionEncoding::Gzip);
        }
        async move {
            client.ready().await.map_err(|e| Status::aborted(format!("no connection: {e}")))?;
            let answer = client.unary(request, PathAndQuery::from_static(method), Raw).await?;
            Ok(answer.into_inner())
        }
    }

    /// The code with which a message is refused.
    pub fn refused(&self, method: &'static str, metadata: &[(&str, &str)], message: &[u8]) -> Code {
        self.refusal(method, metadata, message).code()
    }

    /// How a message is refused.
    pub fn refusal(&self, method: &'static str, metadata: &[(&str, &str)], message: &[u8]) -> Status {
        let status = self.send(method, metadata, message).expect_err("a refusal");
        assert!(!status.message().is_empty() && status.message().len() <= 300, "{status:?}");
        assert!(status.details().is_empty(), "no hint to send it again: {status:?}");
        status
    }
}

/// Messages as they are.
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        bytes::BufMut::put_slice(buffer, &message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining()).to_vec()))
    }
}

/// A message with its flag and its length before it.
pub fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[flag], &length[..], message].concat()
}

/// A body in pieces.
pub struct Pieces {
    pieces: VecDeque<Bytes>,
    /// Whether the end comes.
    ends: bool,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.pieces.pop_front() {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            None if self.ends => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

/// What a plain client of HTTP/2 gets to see.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// From the trailers, or from the head where there is nothing else.
    pub code: Option<Code>,
    pub message: Vec<u8>,
}

/// A connection of plain HTTP/2.
pub struct Plain {
    runtime: Runtime,
    sender: SendRequest<Pieces>,
    ended: tokio::task::JoinHandle<()>,
}

impl Plain {
    pub fn connect(addr: SocketAddr) -> Self {
        let runtime = runtime();
        let (sender, ended) = runtime.block_on(async {
            let stream = tokio::net::TcpStream::connect(addr).await.unwrap();
            let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
            let ended = tokio::spawn(async move {
                let _ = connection.await;
            });
            (sender, ended)
        });
        Plain { runtime, sender, ended }
    }

    /// Sends a request as gRPC has it, changed by `change`.
    pub fn call(&mut self, pieces: &[&[u8]], ends: bool, change: impl FnOnce(&mut Request<Pieces>)) -> Answer {
        let pieces = pieces.iter().map(|piece| Bytes::copy_from_slice(piece)).collect();
        let mut request = Request::post(format!("http://127.0.0.1{LOGS}")).body(Pieces { pieces, ends }).unwrap();
        request.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
        request.headers_mut().insert("te", "trailers".parse().unwrap());
        change(&mut request);
        let answer = self.sender.send_request(request);
        self.runtime.block_on(async {
            let answer = tokio::time::timeout(PATIENCE, answer).await.expect("an answer in time").expect("an answer");
            read(answer).await
        })
    }

    /// Waits until the server has closed the connection.
    pub fn closed(&mut self) {
        let ended = &mut self.ended;
        self.runtime.block_on(async {
            tokio::time::timeout(PATIENCE, ended).await.expect("the connection is closed").unwrap();
        });
    }
}

async fn read(answer: Response<Incoming>) -> Answer {
    let (head, body) = answer.into_parts();
    let body = body.collect().await.expect("a whole answer");
    let trailers = body.trailers().cloned();
    let code = trailers.as_ref().or(Some(&head.headers)).and_then(Status::from_header_map).map(|s| s.code());
    Answer { status: head.status.as_u16(), headers: head.headers, code, message: body.to_bytes().to_vec() }
}
