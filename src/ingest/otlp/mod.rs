//! OTLP logs of Codex to observations.
//!
//! `json` and `protobuf` read a body into the records of `wire`; `decode` says what each record means. Pure.

mod context;
mod decode;
mod json;
mod protobuf;
mod reply;
mod wire;

pub use decode::{ClientHeaders, DecodeError, Decoded, MAX_RECORDS, PROBE, decode_json, decode_protobuf};
pub use reply::{Encoding, logs_response, status, success};
