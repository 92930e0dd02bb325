//! The integration tests.

#![allow(clippy::unwrap_used, reason = "a test ends where something unexpected happens")]

mod command_line;
mod demo;
mod documents;
mod examples;
mod follow;
mod generated;
#[cfg(feature = "grpc")]
mod grpc;
mod hook;
mod house;
mod journal;
mod matrix;
mod observations;
mod otlp;
mod prices;
mod real_codex;
mod replay;
mod reports;
mod sink;
mod store;
mod support;
mod teams;
mod transcripts;
