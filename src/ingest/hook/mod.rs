//! Hook payloads: what Codex gives a hook on stdin, reduced to a spool line, and spool lines as observations.

mod decode;
mod wire;

pub use decode::{ATTRIBUTES, Decoded, attributes_as, decode_line, decode_line_as};
pub use wire::{Environment, Identity, SpoolLine, Tokens, reduce, unreadable};
