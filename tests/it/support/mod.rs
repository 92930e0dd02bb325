//! What the integration tests stand on: a hermetic home, a scripted model, and the real Codex CLI between them.

#![allow(dead_code, reason = "helpers come before the tests that use them")]

pub mod codex;
pub mod env;
mod http;
pub mod mock_model;
pub mod server;

pub use codex::Codex;
pub use env::TestEnv;
pub use mock_model::{Cut, MockModel, Step, Usage};
pub use server::Server;
