//! A client of the gRPC door: one connection, one request after the other.

use anyhow::{Context as _, ensure};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http2::handshake;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::net::SocketAddr;
use std::time::Duration;

/// How long all requests may take together.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends OTLP logs messages, each to be taken before the next.
///
/// # Errors
/// There is no sink, or it refuses a message.
pub fn send<'m>(addr: SocketAddr, token: &str, messages: impl IntoIterator<Item = &'m [u8]>) -> anyhow::Result<usize> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut sent = 0;
    let sending = async {
        let stream = tokio::net::TcpStream::connect(addr).await.context("no sink listens for OTLP/gRPC")?;
        let (mut sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        // It fails with its requests.
        tokio::spawn(async move { drop(connection.await) });
        for message in messages {
            let length = u32::try_from(message.len()).context("the message is too long")?;
            let body = [&[0], &length.to_be_bytes()[..], message].concat();
            let request = Request::post(format!("http://{addr}{}", super::LOGS))
                .header("content-type", "application/grpc")
                .header("te", "trailers")
                .header("authorization", format!("Bearer {token}"))
                .body(Full::new(Bytes::from(body)))?;
            let answer = sender.send_request(request).await?;
            let refused = answer.headers().get("grpc-status").cloned();
            let trailers = answer.into_body().collect().await?.trailers().cloned().unwrap_or_default();
            let status = trailers.get("grpc-status").cloned().or(refused);
            ensure!(status.as_ref().is_some_and(|s| s == "0"), "the sink refused a message with status {status:?}");
            sent += 1;
        }
        anyhow::Ok(())
    };
    runtime.block_on(async { tokio::time::timeout(PATIENCE, sending).await.context("the sink does not answer")? })?;
    Ok(sent)
}
