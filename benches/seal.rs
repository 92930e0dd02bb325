//! What sealing costs: whole processes over stores that are made here, of one month and of several.
//!
//!     cargo bench --bench seal                       months of 10,000, 50,000 and 100,000 responses, 50 a session
//!     cargo bench --bench seal -- 20000 40000        others
//!
//! Of each month it prints what sealing takes, what that adds to the store, the artifact, the first report after it (which
//! computes all sessions anew, since their books changed) and the next one. Then it seals six months of the first size in one
//! store, one after the other: each goes through all sessions that began before its end.

#![allow(clippy::print_stdout, reason = "printing is its purpose")]

mod made;

use codex_tally::store::sqlite::SqliteStore;
use made::{Fallible, fill, run, size};
use std::path::Path;

/// 2026-05-01 in nanoseconds.
const START: i64 = 1_777_593_600_000_000_000;

/// Days of the months from then on.
const MONTHS: [(&str, i64); 6] =
    [("2026-05", 31), ("2026-06", 30), ("2026-07", 31), ("2026-08", 31), ("2026-09", 30), ("2026-10", 31)];

const DAY: i64 = 86_400_000_000_000;

/// Responses of a session.
const EACH: u64 = 50;

fn main() -> Fallible<()> {
    let args: Vec<u64> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let sizes = if args.is_empty() { vec![10_000, 50_000, 100_000] } else { args };
    for responses in &sizes {
        println!("\none month of {responses} responses");
        let folder = folder()?;
        let _ = fill(&mut open(folder.path())?, START, 0, *responses, EACH)?;
        drop(run(folder.path(), &["ledger", "rebuild"])?);
        seal(folder.path(), MONTHS[0].0, *responses)?;
        let dir = folder.path().join("sealed");
        let out = dir.to_str().unwrap_or_default();
        drop(run(folder.path(), &["ledger", "seal", "-p", MONTHS[0].0, "--no-import", "--out", out])?);
        let of = |name: &str| std::fs::metadata(dir.join(name)).map(|meta| meta.len());
        println!(
            "  artifact: lines.csv.zst {} bytes a response, seal.json {} bytes",
            of("lines.csv.zst")? / responses,
            of("seal.json")?
        );
        println!("  ledger verify: {} ms", run(folder.path(), &["ledger", "verify"])?.0.as_millis());
    }
    let each = sizes.first().copied().unwrap_or(10_000);
    println!("\nsix months of {each} responses in one store");
    let folder = folder()?;
    let mut store = open(folder.path())?;
    let (mut start, mut first) = (START, 0);
    for (_, days) in MONTHS {
        first += fill(&mut store, start, first, each, EACH)?.0 / EACH;
        start += days * DAY;
    }
    drop(store);
    drop(run(folder.path(), &["ledger", "rebuild"])?);
    for (month, _) in MONTHS {
        seal(folder.path(), month, each)?;
    }
    Ok(())
}

fn folder() -> Fallible<tempfile::TempDir> {
    let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    std::fs::create_dir(folder.path().join("home"))?;
    Ok(folder)
}

fn open(folder: &Path) -> Fallible<SqliteStore> {
    Ok(SqliteStore::open(&folder.join("home/tally.db"))?)
}

fn seal(folder: &Path, month: &str, responses: u64) -> Fallible<()> {
    let home = folder.join("home");
    let before = size(&home)?;
    let sealing = run(folder, &["ledger", "seal", "-p", month, "--now", "--no-import"])?.0;
    let added = size(&home)?.saturating_sub(before) / responses;
    let report = ["report", "monthly", "--no-import", "-p", month];
    let (first, next) = (run(folder, &report)?.0, run(folder, &report)?.0);
    println!(
        "  {month}: sealed in {} ms, {added} bytes a response more in the store; first report {} ms, next {} ms",
        sealing.as_millis(),
        first.as_millis(),
        next.as_millis()
    );
    Ok(())
}
