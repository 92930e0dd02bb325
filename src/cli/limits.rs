//! What the system would end the process for, and what is an error like others instead.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A write beyond the limit on the size of files (`ulimit -f`) fails from now on, as one to a full disk does. Without this the
/// system ends the process, which a hook and a sink must outlive.
pub(super) fn survive_large_files() {
    // The flag is of no interest: that the signal is caught is all. Where it cannot be, all is as before.
    let _ = signal_hook::flag::register(rustix::process::Signal::XFSZ.as_raw(), Arc::new(AtomicBool::new(false)));
}
