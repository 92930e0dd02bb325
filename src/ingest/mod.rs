//! Bytes to observations. Pure. Foreign names live in the wire files of each source and end there.

pub mod exit_code;
pub mod otlp;
pub mod tool_name;
