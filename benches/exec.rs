//! What hooks cost a session of the real Codex: `codex exec` with twenty tool calls against a scripted model, with the hooks that
//! `init` registers, beside the same with an empty shell hook.
//!
//!     cargo bench --bench exec              20 interleaved runs of each
//!     cargo bench --bench exec -- 50        another number
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

use std::time::{Duration, Instant};

use support::env::HOOK;
use support::{Codex, MockModel, Step, TestEnv};

const CALLS: u32 = 20;

/// What is run at each event: nothing in a shell, and our hook.
const CASES: [(&str, &str); 2] = [("empty shell hook", "true"), ("codex-tally-hook", HOOK)];

fn main() {
    if cfg!(not(real_codex)) {
        println!("no Codex CLI: .ci/run, or npm i --prefix target/codex @openai/codex@0.169.0");
        return;
    }
    let runs: usize = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(20);
    let mut took = CASES.map(|_| Vec::with_capacity(runs));
    let mut pairs = Vec::with_capacity(runs);
    for run in 0..runs {
        for turn in 0..CASES.len() {
            // Who comes first changes with every round.
            let case = (run + turn) % CASES.len();
            took[case].push(session(CASES[case].1));
        }
        let [empty, ours] = [0, 1].map(|case: usize| took[case][run].as_micros().cast_signed());
        pairs.push(ours - empty);
    }
    println!("{runs} sessions of {CALLS} tool calls each, interleaved; milliseconds of a whole `codex exec`");
    println!("{:<18} {:>9} {:>9} {:>9}", "", "min", "p50", "p90");
    for ((name, _), took) in CASES.iter().zip(&mut took) {
        took.sort_unstable();
        let [min, p50, p90] = [0, 50, 90].map(|rank| millis(percentile(took, rank)));
        println!("{name:<18} {min:>9} {p50:>9} {p90:>9}");
    }
    // Each with its neighbour, whom the machine's mood met as well.
    pairs.sort_unstable();
    let [p25, p50, p75] = [25, 50, 75].map(|rank| pairs[(pairs.len() - 1) * rank / 100] / i128::from(CALLS));
    println!("more of ours, in pairs: p25 {p25}, p50 {p50}, p75 {p75} µs a call");
}

/// One session in a fresh home; returns how long `codex exec` took.
fn session(command: &str) -> Duration {
    let env = TestEnv::new();
    let call = |n: u32| Step::shell(&format!("call_{n}"), "true").bare_usage(1_000, 10);
    let steps = (0..CALLS).map(call).chain([Step::message("done").bare_usage(1_000, 10)]);
    let model = MockModel::start(steps.collect());
    let mut codex = Codex::new(&env, &model);
    codex.configure();
    let _ = env.run(&["init", "--yes", "--no-otel"]).ok();
    let path = env.codex_home().join("config.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, config.replace(HOOK, command)).unwrap();
    let began = Instant::now();
    codex.exec_as_configured(&["--dangerously-bypass-hook-trust", "do it"]);
    let took = began.elapsed();
    assert_eq!(model.steps_left(), 0);
    took
}

fn percentile(sorted: &[Duration], rank: usize) -> Duration {
    sorted[(sorted.len() - 1) * rank / 100]
}

fn millis(time: Duration) -> String {
    format!("{}.{}", time.as_millis(), time.as_micros() / 100 % 10)
}
