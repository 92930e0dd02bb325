//! Bytes to observations. Pure. Foreign names live in `wire.rs` of each source and end there.

pub mod otlp;
