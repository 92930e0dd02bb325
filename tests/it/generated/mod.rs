//! Scenarios drawn from a seed and played with the real client: whatever comes, the ledger agrees with what was served.
//!
//! Many by hand: `CODEX_TALLY_SCENARIOS=500 CODEX_TALLY_SEED=1 cargo test --test it generated -- --nocapture`.

mod brain;
mod compare;
mod play;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many are played at a time, beside other tests and by themselves. Most of the time they wait.
const AT_ONCE: [usize; 2] = [2, 4];

/// How many may fail before the rest is not played.
const ENOUGH: usize = 5;

#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run")]
fn generated_scenarios_agree_with_the_model() {
    let number = |name: &str, usual: u64| std::env::var(name).map_or(usual, |text| text.parse().expect("a number"));
    let (count, first) = (number("CODEX_TALLY_SCENARIOS", 6), number("CODEX_TALLY_SEED", 1));
    let (next, failed, totals) = (AtomicU64::new(0), Mutex::new(BTreeSet::new()), Mutex::new([0; 2]));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE[usize::from(count > 20)] {
            scope.spawn(|| {
                while failed.lock().unwrap().len() < ENOUGH {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= count {
                        return;
                    }
                    let seed = first + n;
                    match catch_unwind(AssertUnwindSafe(|| play::play(seed))) {
                        Ok([responses, runs]) => {
                            let mut totals = totals.lock().unwrap();
                            *totals = [totals[0] + responses, totals[1] + runs];
                        }
                        Err(_) => {
                            eprintln!("seed {seed} failed: CODEX_TALLY_SCENARIOS=1 CODEX_TALLY_SEED={seed}");
                            failed.lock().unwrap().insert(seed);
                        }
                    }
                    if count > 20 && n % 20 == 19 {
                        eprintln!("{} of {count} scenarios", n + 1);
                    }
                }
            });
        }
    });
    let [responses, runs] = *totals.lock().unwrap();
    eprintln!("{count} scenarios from seed {first}: {responses} responses in {runs} runs of the client");
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "seeds {failed:?} failed");
    assert!(responses > 0);
}
