//! Bytes to observations. Pure. Foreign names live in the wire files of each source and end there.

pub mod billing;
pub mod exchange;
pub mod exit_code;
pub mod hook;
mod lenient;
pub mod otlp;
mod redact;
mod tool_name;
pub mod transcript;
mod version;

pub use lenient::cut;
pub use redact::redact;
pub use tool_name::tool_name;
