//! The bodies that an OTLP/HTTP server answers with.

use super::protobuf::{put_bytes, put_number};
use super::wire::cut;

/// How an OTLP/HTTP body is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// `application/json`
    Json,
    /// `application/x-protobuf`
    Protobuf,
}

/// The longest message in an answer, in bytes.
const MAX_MESSAGE: usize = 300;

/// An `ExportLogsServiceResponse`. With nothing rejected `partial_success` stays unset, as the protocol demands.
pub fn logs_response(encoding: Encoding, rejected: u64, why: Option<&str>) -> Vec<u8> {
    if rejected == 0 {
        return success(encoding);
    }
    let why = cut(why.unwrap_or("some records cannot be read"), MAX_MESSAGE);
    match encoding {
        Encoding::Json => serde_json::json!({
            "partialSuccess": { "rejectedLogRecords": rejected.to_string(), "errorMessage": why }
        })
        .to_string()
        .into_bytes(),
        Encoding::Protobuf => {
            let (mut partial, mut out) = (Vec::new(), Vec::new());
            put_number(&mut partial, 1, rejected);
            put_bytes(&mut partial, 2, why.as_bytes());
            put_bytes(&mut out, 1, &partial);
            out
        }
    }
}

/// The response to a request that was taken in full, the same for all signals.
pub fn success(encoding: Encoding) -> Vec<u8> {
    match encoding {
        Encoding::Json => b"{}".to_vec(),
        Encoding::Protobuf => Vec::new(),
    }
}

/// A `google.rpc.Status`, the body of every refusal. `code` is one of gRPC, for example 3 for a bad argument.
pub fn status(encoding: Encoding, code: u8, message: &str) -> Vec<u8> {
    let message = cut(message, MAX_MESSAGE);
    match encoding {
        Encoding::Json => serde_json::json!({ "code": code, "message": message }).to_string().into_bytes(),
        Encoding::Protobuf => {
            let mut out = Vec::new();
            put_number(&mut out, 1, code.into());
            put_bytes(&mut out, 2, message.as_bytes());
            out
        }
    }
}
