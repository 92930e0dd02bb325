//! Public files, a provider's billing pages, telemetry that is passed on, and the sink that Codex's exporter names: the only place
//! that connects to anywhere, and only when the user asks for it.

use anyhow::bail;

/// The most that is read; the largest price list has 3 MB.
pub const LIMIT: u64 = 16 * 1024 * 1024;

mod ask;
#[cfg(feature = "remote")]
mod pages;
mod peer;
#[cfg(feature = "remote")]
mod post;
#[cfg(feature = "remote")]
mod web;
pub use ask::{Ask, Key};
#[cfg(feature = "remote")]
pub use pages::fetch_pages;
pub use peer::{Peer, PeerTls};
#[cfg(feature = "remote")]
pub use post::Receiver;
#[cfg(feature = "remote")]
pub use web::fetch;

/// What a receiver made of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It has it.
    Taken,
    /// Not now; perhaps after this time.
    Later(Option<std::time::Duration>, String),
    /// Never.
    Refused(String),
}

/// Says what to do where this program was built without the web.
///
/// # Errors
/// Always.
#[cfg(not(feature = "remote"))]
pub fn fetch_pages(_: &Ask<'_>, _: &mut dyn FnMut(&str)) -> anyhow::Result<Vec<u8>> {
    bail!(
        "this program was built without access to the web; export the pages yourself and give them to `billing import`"
    )
}

/// Says what to do where this program was built without the web.
///
/// # Errors
/// Always.
#[cfg(not(feature = "remote"))]
pub fn fetch(url: &str, _: std::time::Duration) -> anyhow::Result<Vec<u8>> {
    bail!("this program was built without access to the web{}", instead(url))
}

/// What else to do.
fn instead(url: &str) -> String {
    format!("; or download {url} yourself and give the file: --from FILE")
}

/// Refuses what is not encrypted, save on this machine.
#[cfg(feature = "remote")]
fn allowed(encrypted: bool, loopback: bool, url: &str) -> anyhow::Result<()> {
    if !encrypted && !loopback {
        bail!("{url} is not encrypted; use https{}", instead(url));
    }
    Ok(())
}
