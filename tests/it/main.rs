//! The integration tests.

#![allow(clippy::unwrap_used, reason = "a test ends where something unexpected happens")]

mod attribution;
mod cache;
mod chargeback;
mod command_line;
mod company;
mod demo;
mod documents;
mod examples;
mod explain;
mod follow;
mod forks;
mod generated;
#[cfg(feature = "grpc")]
mod grpc;
mod hook;
mod house;
mod journal;
mod matrix;
mod observations;
mod otlp;
mod price_update;
mod prices;
mod properties;
mod real_codex;
mod reference;
mod replay;
mod reports;
mod rollout;
mod seals;
mod sink;
mod store;
mod support;
mod teams;
mod transcripts;
mod unknown;
