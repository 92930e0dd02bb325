//! Hook payloads: what Codex gives a hook on stdin, reduced to a spool line, and spool lines as observations.

mod decode;
mod wire;

pub use decode::{Decoded, decode_line};
pub use wire::{Environment, Identity, SpoolLine, Tokens, reduce, unreadable};
