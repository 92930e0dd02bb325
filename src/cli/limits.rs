//! Limits of the system: which of them end the process, and how many connections they allow.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A write beyond the limit on the size of files (`ulimit -f`) fails from now on, as one to a full disk does. Without this the
/// system ends the process, which a hook and a sink must outlive.
pub(super) fn survive_large_files() {
    // The flag is of no interest: that the signal is caught is all. Where it cannot be, all is as before.
    let _ = signal_hook::flag::register(rustix::process::Signal::XFSZ.as_raw(), Arc::new(AtomicBool::new(false)));
}

/// Connections at one door: more hold more memory than they are worth, with fewer whoever says nothing keeps others waiting.
const CONNECTIONS: std::ops::RangeInclusive<u64> = 64..=4096;

/// How many connections each of so many doors may have: most of the files that this process may have open, of which it takes all
/// that it is allowed.
pub(super) fn connections(doors: usize) -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // macOS says "as many as you like" and then refuses most of them.
    let wanted = maximum.unwrap_or(u64::MAX).min(10_240).max(current.unwrap_or(u64::MAX));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }).is_ok();
    let files = if raised { wanted } else { current.unwrap_or(wanted) };
    let each = files / 5 * 4 / doors.max(1) as u64;
    usize::try_from(each.clamp(*CONNECTIONS.start(), *CONNECTIONS.end())).unwrap_or(64)
}
