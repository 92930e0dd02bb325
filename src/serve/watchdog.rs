//! Tells somebody, time and again, that the sink goes on: as long as each door and the writer answer. A service manager that is
//! not told so starts the sink again.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

/// So often in the time that is allowed there is a look: one answer may be late.
const LOOKS: u32 = 3;

/// Whether a part of the sink has answered since somebody was told.
pub(super) type Beat = Arc<AtomicBool>;

/// Runs as long as it is there. While the sink starts, which may take a while, nothing has to answer.
#[derive(Clone)]
pub struct Watchdog(Arc<Hearts>);

impl fmt::Debug for Watchdog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watchdog")
    }
}

#[derive(Default)]
struct Hearts(Mutex<Vec<Heart>>);

struct Heart {
    beat: Beat,
    /// Asks for the next beat.
    ask: Box<dyn Fn() + Send>,
}

impl Watchdog {
    /// Calls `tell` more often than after this time.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(within: Duration, tell: impl Fn() + Send + 'static) -> std::io::Result<Self> {
        let hearts = Arc::new(Hearts::default());
        let weak = Arc::downgrade(&hearts);
        let thread = std::thread::Builder::new().name("sink-watchdog".to_string());
        thread.spawn(move || watch(&weak, within / LOOKS, &tell))?;
        Ok(Watchdog(hearts))
    }

    /// From now on this part must answer, too, when it is asked.
    pub(super) fn add(&self, beat: Beat, ask: impl Fn() + Send + 'static) {
        beat.store(true, Ordering::Relaxed);
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).push(Heart { beat, ask: Box::new(ask) });
    }
}

fn watch(hearts: &Weak<Hearts>, pause: Duration, tell: &dyn Fn()) {
    while let Some(all) = hearts.upgrade() {
        let hearts = all.0.lock().unwrap_or_else(PoisonError::into_inner);
        if hearts.iter().all(|heart| heart.beat.load(Ordering::Relaxed)) {
            hearts.iter().for_each(|heart| heart.beat.store(false, Ordering::Relaxed));
            tell();
        }
        hearts.iter().for_each(|heart| (heart.ask)());
        drop(hearts);
        drop(all);
        std::thread::sleep(pause);
    }
}
