//! Why a request is not answered with success, in a form that both protocols can express.

use hyper::StatusCode;
use hyper::header::{CONNECTION, HeaderName};
use std::borrow::Cow;

/// Why a request is refused. OTLP/HTTP answers with the status, OTLP/gRPC with the code that goes with it.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) message: Cow<'static, str>,
    /// Headers of the HTTP answer; gRPC has no use for them.
    pub(super) headers: Vec<(HeaderName, &'static str)>,
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

    /// The code of `google.rpc.Status` and of gRPC that goes with the HTTP status.
    pub(super) fn code(&self) -> u8 {
        match self.status {
            StatusCode::UNAUTHORIZED => 16,
            StatusCode::FORBIDDEN => 7,
            StatusCode::NOT_FOUND => 5,
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => 12,
            StatusCode::REQUEST_TIMEOUT => 4,
            StatusCode::PAYLOAD_TOO_LARGE => 8,
            StatusCode::SERVICE_UNAVAILABLE => 14,
            StatusCode::INTERNAL_SERVER_ERROR => 13,
            _ => 3,
        }
    }
}
