//! The user's service manager: systemd or launchd, asked through their own commands.

use super::holder;
use anyhow::{anyhow, bail};
use std::net::SocketAddr;
use std::process::Stdio;

/// All of our units that systemd knows of; unlike a name, a pattern may match nothing.
pub(super) const ALL: &str = "codex-tally*";

/// A command of the service manager that did not work: with none in reach (a container, another user's shell), or nothing to say.
pub(super) struct Failed {
    command: String,
    why: String,
    /// Whether the manager's program is on this machine.
    there: bool,
    /// It, and what was to follow.
    left: Vec<String>,
}

/// Runs the manager's commands, one after the other.
pub(super) fn call_all(commands: &[Vec<String>]) -> Result<(), Failed> {
    for (i, command) in commands.iter().enumerate() {
        let [program, args @ ..] = command.as_slice() else { continue };
        let output = std::process::Command::new(program).args(args).stdin(Stdio::null()).output();
        let (why, there) = match output {
            Ok(output) if output.status.success() => continue,
            Ok(output) => (String::from_utf8_lossy(&output.stderr).trim().to_string(), true),
            Err(e) => (e.to_string(), e.kind() != std::io::ErrorKind::NotFound),
        };
        let left = commands[i..].iter().map(|c| c.join(" ").replace(ALL, &format!("'{ALL}'"))).collect();
        return Err(Failed { command: command.join(" "), why, there, left });
    }
    Ok(())
}

impl Failed {
    /// What is to be said when the files are there, and the service does not start.
    pub(super) fn installing(self, sink: Option<SocketAddr>) -> anyhow::Error {
        let holder = sink.map(|address| (address, holder::told(address))).filter(|(_, told)| !told.is_empty());
        let advice = match holder {
            Some((address, told)) => format!("{address} is taken{told}; when it is free, run"),
            None => format!("the files are written. {SESSION} run"),
        };
        anyhow!("`{}` failed: {}\n{advice}\n  {}", self.command, self.why, self.left.join("\n  "))
    }

    /// What is to be said when the files are gone, and the service could not be stopped: these commands would do that.
    pub(super) fn removing(self, stop: &[Vec<String>]) -> anyhow::Result<()> {
        // Where there is no such manager, nothing was started by one.
        if !self.there {
            return Ok(());
        }
        let stop: Vec<String> = stop.iter().map(|command| command.join(" ")).collect();
        bail!(
            "the service's files are removed and no login starts it again, but what may run now was not stopped: `{}` failed: \
             {}\n{SESSION} run\n  {}",
            self.command,
            self.why,
            stop.join("\n  ")
        )
    }
}

/// Where a user's service manager can be reached.
const SESSION: &str =
    "In a session of this user's own (a login; the shells of `su` and `sudo` have no service manager)";

/// Words and more words.
pub(super) fn with<'a>(first: &[&'a str], rest: &[&'a str]) -> Vec<&'a str> {
    first.iter().chain(rest).copied().collect()
}

/// A command of the user's systemd.
pub(super) fn systemctl(args: &[&str]) -> Vec<String> {
    ["systemctl", "--user"].iter().chain(args).map(ToString::to_string).collect()
}
