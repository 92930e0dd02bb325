//! What the integration tests stand on: a hermetic home, a scripted model, the real Codex CLI between them, and clients.

pub mod app_server;
pub mod capture;
pub mod client;
pub mod codex;
pub mod env;
#[cfg(feature = "grpc")]
pub mod grpc;
pub mod http;
pub mod memory_store;
pub mod mock_model;
pub mod observed;
pub mod otlp_messages;
pub mod server;
mod step;
pub mod terminal;
pub mod test_sink;
pub mod transcript;
pub mod truth;
mod websocket;

use std::path::PathBuf;

pub use capture::{Capture, Feed};
pub use codex::Codex;
pub use env::TestEnv;
pub use mock_model::MockModel;
pub use server::Server;
pub use step::{Cut, Step};
pub use transcript::Transcript;
pub use truth::{Served, Usage};

/// The bytes of a file in `tests/fixtures`.
pub fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Waits until something holds that another process brings about.
#[track_caller]
pub fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !holds() {
        assert!(std::time::Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}
