//! The integration tests.

mod real_codex;
mod support;
