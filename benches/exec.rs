//! What hooks cost a session of the real Codex: `codex exec` with twenty tool calls against a scripted model, with the hooks that
//! `init` registers, beside the same with an empty shell hook.
//!
//!     cargo bench --bench exec              20 interleaved runs of each
//!     cargo bench --bench exec -- 50        another number
//!     cargo bench --bench exec -- 20 /usr/local/bin/codex-tally-hook       another build of the hook
//!
//! It prints and judges nothing: times belong to a machine and its load, so compare within one output only.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "printing is its purpose, and it ends where something is wrong"
)]

#[allow(dead_code, unused_imports, reason = "what the integration tests use")]
#[path = "../tests/it/support/mod.rs"]
mod support;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use support::env::HOOK;
use support::{Codex, MockModel, Step, TestEnv};

const CALLS: usize = 20;

fn main() {
    if cfg!(not(real_codex)) {
        println!("no Codex CLI: .ci/run, or npm i --prefix target/codex @openai/codex@0.169.0");
        return;
    }
    let runs: usize = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(20);
    let hook = std::env::args().skip(1).find(|arg| arg.starts_with('/')).unwrap_or_else(|| HOOK.to_string());
    let cases = [("empty shell hook", "true"), ("codex-tally-hook", hook.as_str())];
    let mut took = cases.map(|_| Vec::new());
    for run in 0..runs {
        for turn in 0..cases.len() {
            // Who comes first changes with every round.
            let case = (run + turn) % cases.len();
            took[case].extend(session(cases[case].1));
        }
    }
    println!(
        "{runs} sessions of {CALLS} tool calls each, interleaved; milliseconds from request to request, a tool call between"
    );
    println!("{:<18} {:>9} {:>9} {:>9} {:>9} {:>9}", "", "min", "p10", "p25", "p50", "p90");
    for ((name, _), took) in cases.iter().zip(&mut took) {
        took.sort_unstable();
        let [min, p10, p25, p50, p90] = [0, 10, 25, 50, 90].map(|rank| millis(percentile(took, rank)));
        println!("{name:<18} {min:>9} {p10:>9} {p25:>9} {p50:>9} {p90:>9}");
    }
}

/// One session in a fresh home; returns the times between the model's requests.
fn session(command: &str) -> Vec<Duration> {
    let env = TestEnv::new();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let moments = Arc::clone(&asked);
    let model = MockModel::answering(move |_| {
        let mut moments = moments.lock().unwrap();
        moments.push(Instant::now());
        let call = format!("call_{}", moments.len());
        let step = if moments.len() <= CALLS { Step::shell(&call, "true") } else { Step::message("done") };
        Some(step.bare_usage(1_000, 10))
    });
    let mut codex = Codex::new(&env, &model);
    codex.configure();
    let _ = env.run(&["init", "--yes", "--no-otel"]).ok();
    let path = env.codex_home().join("config.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, config.replace(HOOK, command)).unwrap();
    codex.exec_as_configured(&["--dangerously-bypass-hook-trust", "do it"]);
    let moments = asked.lock().unwrap();
    assert_eq!(moments.len(), CALLS + 1, "one request for each call, and the last");
    moments.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

fn percentile(sorted: &[Duration], rank: usize) -> Duration {
    sorted[(sorted.len() - 1) * rank / 100]
}

fn millis(time: Duration) -> String {
    format!("{}.{}", time.as_millis(), time.as_micros() / 100 % 10)
}
