//! What reading transcripts costs: whole processes over a corpus that is made here, whose totals are known.
//!
//!     cargo bench --bench import                 200 MB
//!     cargo bench --bench import -- 1000         another size, in MB
//!
//! It prints the processor time (user and system), which other processes disturb less than the time that passes, and checks
//! that the report's totals are exactly those of the corpus.

#![allow(clippy::print_stdout, reason = "printing is its purpose")]

mod corpus;

use corpus::{Corpus, Fallible};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Runs over unchanged files are short: many are measured together.
const WARM_RUNS: u32 = 50;

fn main() -> Fallible<()> {
    let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    // Cargo adds an argument of its own.
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let megabytes: u64 = args.first().map_or(Ok(200), |arg| arg.parse())?;
    let corpus = Corpus::make(folder.path(), megabytes * 1_000_000)?;
    println!("{} files, {} MB, {} responses", corpus.files, corpus.bytes / 1_000_000, corpus.responses);

    let cold = run(folder.path(), &["import"])?;
    let micros = u64::try_from(cold.cpu.as_micros())?.max(1);
    println!(
        "cold: {} s CPU, {} MB/s of CPU, {} s, peak {} MB",
        secs(cold.cpu),
        corpus.bytes / micros,
        secs(cold.wall),
        cold.peak_kb / 1024
    );
    let (mut cpu, mut wall) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..WARM_RUNS {
        let warm = run(folder.path(), &["import"])?;
        (cpu, wall) = (cpu + warm.cpu, wall + warm.wall);
    }
    println!("unchanged: {} s CPU, {} s (mean of {WARM_RUNS})", secs(cpu / WARM_RUNS), secs(wall / WARM_RUNS));
    let report = run(folder.path(), &["report", "monthly", "--format", "json", "--no-import"])?;
    let totals = &serde_json::from_str::<serde_json::Value>(&report.stdout)?["totals"];
    let expected = [("responses", corpus.responses), ("input_tokens", corpus.input), ("output_tokens", corpus.output)];
    for (name, expected) in expected {
        if totals[name] != expected {
            return Err(format!("{name}: {} in the report, {expected} in the corpus", totals[name]).into());
        }
    }
    println!("totals: exact");
    Ok(())
}

/// What a process took.
struct Run {
    cpu: Duration,
    wall: Duration,
    peak_kb: u64,
    stdout: String,
}

fn run(folder: &Path, args: &[&str]) -> Fallible<Run> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_codex-tally"));
    command.args(args).env_clear().env("HOME", folder).env("CODEX_HOME", folder.join("codex"));
    command.env("CODEX_TALLY_HOME", folder.join("home")).env("USER", "dev").env("TZ", "UTC");
    let output = std::fs::File::create(folder.join("stdout"))?;
    let (before, start) = (cpu_of_children(), Instant::now());
    let mut child = command.stdin(Stdio::null()).stdout(output).stderr(Stdio::null()).spawn()?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak_kb = 0;
    let exit = loop {
        if let Some(exit) = child.try_wait()? {
            break exit;
        }
        let status = std::fs::read_to_string(&status).unwrap_or_default();
        let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        peak_kb = line.and_then(|l| l.trim_end_matches("kB").trim().parse().ok()).unwrap_or(peak_kb);
        std::thread::sleep(Duration::from_millis(2));
    };
    let (wall, cpu) = (start.elapsed(), cpu_of_children().saturating_sub(before));
    if !exit.success() {
        return Err(format!("codex-tally {} failed", args.join(" ")).into());
    }
    Ok(Run { cpu, wall, peak_kb, stdout: std::fs::read_to_string(folder.join("stdout"))? })
}

/// User and system time of children that have ended, where the kernel tells it (Linux), in its hundredths of a second.
fn cpu_of_children() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name in parentheses may hold anything; 14 fields behind it come the children's times.
    let fields = stat.rsplit(')').next().unwrap_or("").split_whitespace().skip(13).take(2);
    Duration::from_millis(fields.filter_map(|f| f.parse::<u64>().ok()).sum::<u64>() * 10)
}

fn secs(duration: Duration) -> String {
    let millis = duration.as_millis();
    format!("{}.{:03}", millis / 1000, millis % 1000)
}
