//! The integration tests.

#![allow(clippy::unwrap_used, reason = "a test ends where something unexpected happens")]

mod attribution;
mod billing;
mod cache;
mod chargeback;
mod command_line;
mod company;
mod costs;
mod credentials;
mod currency;
mod demo;
mod documents;
mod examples;
mod explain;
mod focus;
mod follow;
mod forks;
#[cfg(feature = "remote")]
mod forward;
mod generated;
#[cfg(feature = "grpc")]
mod grpc;
mod hook;
mod house;
mod journal;
mod late;
mod matrix;
mod observations;
mod otel_lines;
mod otlp;
mod price_update;
mod prices;
mod privacy;
mod properties;
mod real_codex;
mod recipes;
mod reference;
mod replay;
mod reports;
mod rollout;
mod seals;
mod security;
mod service;
mod sink;
mod store;
mod support;
mod teams;
#[cfg(all(feature = "tls", feature = "grpc"))]
mod tls;
mod transcripts;
mod unknown;
mod upkeep;
mod watchdog;
mod worked_month;
