//! Where the sink's sockets come from: opened here, or handed over by a service manager that opened them before.

use super::holder;
use crate::serve::Listeners;
use anyhow::{Context as _, anyhow, bail};
use listenfd::ListenFd;
use rustix::net::{Shutdown, shutdown};
use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// The sink's sockets.
pub(super) struct Sockets {
    http: TcpListener,
    grpc: Option<TcpListener>,
}

/// Sockets that a service manager keeps open (`LISTEN_FDS`). While nobody answers at them, whoever connects waits in vain; so
/// they are given up unless the sink runs.
pub(super) struct Inherited(Vec<TcpListener>);

impl Inherited {
    /// What was handed over, the first for OTLP/HTTP and the second for OTLP/gRPC; nothing if the sink was started by hand.
    pub(super) fn from_manager() -> anyhow::Result<Self> {
        let mut given = ListenFd::from_env();
        let mut sockets = Vec::new();
        for i in 0..given.len() {
            let socket = given.take_tcp_listener(i);
            sockets.extend(socket.context("LISTEN_FDS hands over something that is no TCP listener")?);
        }
        Ok(Inherited(sockets))
    }

    /// Closes them for everybody, the service manager included: from now on connections are refused at once.
    pub(super) fn give_up(&self) {
        for socket in &self.0 {
            // One that cannot be shut down is closed with this process; there is nothing better to do.
            let _ = shutdown(socket, Shutdown::Both);
        }
    }

    /// Whether a service manager handed something over.
    pub(super) fn any(&self) -> bool {
        !self.0.is_empty()
    }

    /// The inherited sockets, else new ones at these addresses.
    pub(super) fn or_bind(&self, http: SocketAddr, grpc: Option<SocketAddr>) -> anyhow::Result<Sockets> {
        let same = |socket: &TcpListener| socket.try_clone().context("an inherited socket cannot be used");
        match self.0.as_slice() {
            [] => {
                let listener = bind(http, "choose another port with --http")?;
                let second =
                    grpc.map(|a| bind_grpc(a, "choose another port with --grpc, or --grpc none")).transpose()?;
                Ok(Sockets { http: listener, grpc: second })
            }
            [first] => Ok(Sockets { http: same(first)?, grpc: None }),
            [first, second] => Ok(Sockets { http: same(first)?, grpc: Some(same(second)?) }),
            more => {
                bail!("{} sockets are handed over; one for OTLP/HTTP and one for OTLP/gRPC are expected", more.len())
            }
        }
    }
}

/// Gives up what was handed over to a call that cannot even be read.
pub(super) fn give_up_inherited() {
    // What is no socket of ours is left alone.
    if let Ok(inherited) = Inherited::from_manager() {
        inherited.give_up();
    }
}

impl Sockets {
    /// The addresses of both doors.
    pub(super) fn addresses(&self) -> std::io::Result<(SocketAddr, Option<SocketAddr>)> {
        Ok((self.http.local_addr()?, self.grpc.as_ref().map(TcpListener::local_addr).transpose()?))
    }

    /// For the sink.
    pub(super) fn listeners(self) -> anyhow::Result<Listeners> {
        let listeners = Listeners::from(self.http);
        match self.grpc {
            None => Ok(listeners),
            #[cfg(feature = "grpc")]
            Some(grpc) => Ok(listeners.with_grpc(grpc)),
            #[cfg(not(feature = "grpc"))]
            Some(_) => bail!("this program was built without OTLP/gRPC; hand over one socket only"),
        }
    }
}

fn bind(address: SocketAddr, advice: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).map_err(|e| match e.kind() {
        ErrorKind::AddrInUse => anyhow!("cannot listen on {address}{}; {advice}", holder::told(address)),
        _ => anyhow!("cannot listen on {address}: {e}; {advice}"),
    })
}

fn bind_grpc(address: SocketAddr, advice: &str) -> anyhow::Result<TcpListener> {
    if cfg!(not(feature = "grpc")) {
        bail!("this program was built without OTLP/gRPC and cannot listen on {address}; say --grpc none");
    }
    bind(address, advice)
}

/// Kept for as long as the sink runs: a home has one sink, because two would read on in the same spool for nothing.
pub(super) struct OnlySink(File);

impl OnlySink {
    /// Takes the lock in the home.
    ///
    /// # Errors
    /// Another sink has it; the message says which.
    pub(super) fn take(home: &Path) -> anyhow::Result<Self> {
        let path = home.join("sink.lock");
        let mut options = File::options();
        options
            .read(true)
            .write(true)
            .create(true)
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
        let file = options.open(&path).with_context(|| format!("cannot use {}", path.display()))?;
        let mut said = String::new();
        match file.try_lock() {
            Ok(()) => Ok(OnlySink(file)),
            Err(TryLockError::WouldBlock) => {
                // What it says of itself is a help only; without it the message is shorter.
                let _ = (&file).take(200).read_to_string(&mut said);
                let who = if said.is_empty() { String::new() } else { format!(" ({})", said.trim()) };
                bail!("another sink runs for {}{who}; stop that one, or use another --home", home.display())
            }
            Err(TryLockError::Error(e)) => Err(e).with_context(|| format!("cannot lock {}", path.display())),
        }
    }

    /// Says who has it, for others who want it.
    pub(super) fn say(&mut self, text: &str) -> std::io::Result<()> {
        self.0.set_len(0)?;
        self.0.write_all(text.as_bytes())
    }
}
