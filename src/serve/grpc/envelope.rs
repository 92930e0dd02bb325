//! A body of gRPC holds messages, each with a flag and its length before it. Ours hold one.
//!
//! The length is read first, so that memory is set aside for what comes and no more, and a message that is too long is
//! refused before it is sent.

use super::status;
use crate::serve::refusal::Refusal;
use crate::serve::{Options, body};
use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::{Body, Bytes, Frame, Incoming};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::time::{Instant, Sleep};
use tonic::Status;

/// The flag and the length, in bytes.
const PREFIX: usize = 5;

/// A body of which the prefix was read.
pub(super) struct Envelope {
    pub(super) compressed: bool,
    /// The length of the message on the wire, in bytes.
    pub(super) length: usize,
    first: Vec<u8>,
    rest: Incoming,
}

fn bad(why: &'static str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, why)
}

fn too_slow() -> Refusal {
    Refusal::new(StatusCode::REQUEST_TIMEOUT, "the message took too long")
}

impl Envelope {
    /// Waits for the prefix.
    pub(super) async fn open(mut rest: Incoming, options: &Options) -> Result<Self, Refusal> {
        let mut first = Vec::new();
        let head = async {
            while first.len() < PREFIX {
                let frame = rest.frame().await.ok_or_else(|| bad("there is no message"))?;
                let frame = frame.map_err(|_| bad("the message broke off"))?;
                first.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
            }
            Ok(())
        };
        tokio::time::timeout(options.body_timeout, head).await.map_err(|_| too_slow())??;
        let compressed = match first[0] {
            0 => false,
            1 => true,
            _ => return Err(bad("the flag before the message is neither 0 nor 1")),
        };
        let length = u32::from_be_bytes([first[1], first[2], first[3], first[4]]);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > options.max_wire_bytes {
            return Err(body::too_large(options.max_wire_bytes));
        }
        Ok(Envelope { compressed, length, first, rest })
    }

    /// The body from its beginning, with the deadline and the length that it announced.
    pub(super) fn into_body(self, options: &Options) -> OneMessage {
        OneMessage {
            first: Some(Bytes::from(self.first)),
            rest: self.rest,
            left: PREFIX.saturating_add(self.length),
            deadline: Box::pin(tokio::time::sleep_until(Instant::now() + options.body_timeout)),
        }
    }

    /// Reads to the end and keeps nothing.
    pub(super) async fn discard(self, options: &Options) -> Result<(), Refusal> {
        let mut body = self.into_body(options);
        while let Some(frame) = std::future::poll_fn(|cx| body.next(cx)).await {
            frame?;
        }
        Ok(())
    }
}

/// A body that fails where it does not hold exactly one message, or comes too slowly.
pub(super) struct OneMessage {
    first: Option<Bytes>,
    rest: Incoming,
    left: usize,
    deadline: Pin<Box<Sleep>>,
}

impl OneMessage {
    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Refusal>>> {
        let frame = match self.first.take() {
            Some(first) => Frame::data(first),
            None if self.deadline.as_mut().poll(cx).is_ready() => return Poll::Ready(Some(Err(too_slow()))),
            None => match ready!(Pin::new(&mut self.rest).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                None if self.left == 0 => return Poll::Ready(None),
                Some(Err(_)) | None => return Poll::Ready(Some(Err(bad("the message broke off")))),
            },
        };
        let length = frame.data_ref().map_or(0, Bytes::len);
        Poll::Ready(Some(match self.left.checked_sub(length) {
            Some(left) => {
                self.left = left;
                Ok(frame)
            }
            None => Err(bad("there is more than one message")),
        }))
    }
}

impl Body for OneMessage {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.get_mut().next(cx).map(|frame| frame.map(|frame| frame.map_err(status)))
    }
}
