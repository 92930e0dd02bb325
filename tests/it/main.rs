//! The integration tests.

#![allow(clippy::unwrap_used, reason = "a test ends where something unexpected happens")]

mod demo;
mod documents;
mod house;
mod otlp;
mod real_codex;
mod sink;
mod support;
