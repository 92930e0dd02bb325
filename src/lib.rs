//! codex-tally: an exact, auditable cost ledger for OpenAI Codex CLI.
//!
//! Observations come in (hook, OTLP, transcript), everything else is derived from them. ARCHITECTURE.md is the map.

pub mod attribution;
pub mod cache;
pub mod cli;
pub mod collect;
pub mod config;
pub mod ingest;
pub mod ledger;
pub mod model;
pub mod pricing;
pub mod remote;
pub mod report;
pub mod serve;
pub mod setup;
pub mod store;
