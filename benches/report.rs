//! What reports cost over many responses: whole processes over a store that is made here, whose totals are known.
//!
//!     cargo bench --bench report                       1,000,000 responses, 50 a session
//!     cargo bench --bench report -- 200000 10          other numbers
//!
//! Half of the responses were also seen by OTLP, each has a tool call. It prints the bytes on disk, what computing all sessions
//! takes, and the time of reports, each the median of many runs; and checks the report's totals.

#![allow(clippy::print_stdout, reason = "printing is its purpose")]

mod made;

use codex_tally::store::sqlite::SqliteStore;
use made::{Fallible, fill, run, size};
use std::time::Duration;

const RUNS: usize = 20;

/// 2026-10-01 in nanoseconds.
const START: i64 = 1_790_812_800_000_000_000;

fn main() -> Fallible<()> {
    let args: Vec<u64> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let (responses, each) = (args.first().copied().unwrap_or(1_000_000), args.get(1).copied().unwrap_or(50));
    let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    std::fs::create_dir(folder.path().join("home"))?;
    let db = folder.path().join("home/tally.db");
    let mut store = SqliteStore::open(&db)?;
    let (n, tokens) = fill(&mut store, START, 0, responses, each)?;
    drop(store);
    println!("{n} responses in {} sessions", n / each);
    println!("store: {} bytes a response, tool calls among them", size(&folder.path().join("home"))? / n);
    let rebuilt = run(folder.path(), &["ledger", "rebuild"])?;
    println!("ledger rebuild: {} ms, {} ns a response", rebuilt.0.as_millis(), rebuilt.0.as_nanos() / u128::from(n));
    println!("store: {} bytes a response with the cache", size(&folder.path().join("home"))? / n);
    for args in [
        &["report", "monthly", "--no-import"][..],
        &["report", "monthly", "--no-import", "--format", "csv"],
        &["report", "monthly", "--no-import", "--tz", "Asia/Kathmandu"],
        &["report", "daily", "--no-import", "-p", "2026-10"],
        &["report", "daily", "--no-import", "-p", "2026-09"],
        &["report", "session", "--no-import", "-p", "2026-10", "--format", "csv"],
        &["show", "last", "--no-import"],
    ] {
        let mut times: Vec<Duration> =
            (0..RUNS).map(|_| Ok(run(folder.path(), args)?.0)).collect::<Fallible<Vec<_>>>()?;
        times.sort_unstable();
        println!("{}: {} us", args.join(" "), times[RUNS / 2].as_micros());
    }
    let report = run(folder.path(), &["report", "monthly", "--no-import", "--format", "json"])?.1;
    let totals = &serde_json::from_str::<serde_json::Value>(&report)?["totals"];
    if totals["responses"] != n || totals["input_tokens"] != tokens {
        return Err(format!("{n} responses with {tokens} tokens, but the report says {totals}").into());
    }
    println!("totals: exact");
    Ok(())
}
