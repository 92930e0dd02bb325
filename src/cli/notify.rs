//! Messages to the service manager (`sd_notify`): two lines to the socket that it names.

use crate::config::Env;
use crate::serve::Watchdog;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;

/// Where the manager listens, if it does.
#[derive(Clone)]
pub(super) struct Manager(Option<PathBuf>);

impl Manager {
    /// The one that has started this process.
    pub fn of(env: &Env) -> Self {
        Manager(env.path("NOTIFY_SOCKET").filter(|path| path.is_absolute()))
    }

    /// That the sink serves.
    pub fn ready(&self) {
        self.send("READY=1");
    }

    /// Tells it from now on that the sink goes on, if it wants to know.
    pub fn watchdog(&self, env: &Env) -> anyhow::Result<Option<Watchdog>> {
        let within = env.text("WATCHDOG_USEC").and_then(|micros| micros.parse().ok()).map(Duration::from_micros);
        let Some(within) = within.filter(|within| self.0.is_some() && !within.is_zero()) else { return Ok(None) };
        let manager = self.clone();
        Ok(Some(Watchdog::start(within, move || manager.send("WATCHDOG=1"))?))
    }

    fn send(&self, message: &str) {
        let Some(path) = &self.0 else { return };
        // A manager that cannot be told finds out what that means.
        let _ = UnixDatagram::unbound().and_then(|socket| socket.send_to(message.as_bytes(), path));
    }
}
