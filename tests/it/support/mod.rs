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

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

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

/// A port of loopback at which nobody is, and which is given to nobody who asks for any port.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        // Below the range of which systems choose; other runs of these tests begin elsewhere.
        let place = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(std::process::id().wrapping_mul(101)) % 10_000;
        let port = 20_000 + u16::try_from(place).expect("a small number");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
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
