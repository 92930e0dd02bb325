//! What reading transcripts costs: whole processes over a corpus that is made here, whose totals are known.
//!
//!     cargo bench --bench import                 200 MB
//!     cargo bench --bench import -- 1000         another size, in MB
//!
//! It prints the processor time (user and system), which other processes disturb less than the time that passes, and checks
//! that the report's totals are exactly those of the corpus.

#![allow(clippy::print_stdout, reason = "printing is its purpose")]

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

type Fallible<T> = Result<T, Box<dyn Error>>;

/// Runs over unchanged files are short: many are measured together.
const WARM_RUNS: u32 = 50;

const FILE_BYTES: usize = 512 << 10;

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

/// Transcripts as Codex 0.169 writes them, as far as an import looks at them.
#[derive(Default)]
struct Corpus {
    files: u64,
    bytes: u64,
    responses: u64,
    input: u64,
    output: u64,
    /// The state of a small generator of pseudo-random numbers: every run makes the same corpus.
    random: u64,
}

impl Corpus {
    fn make(folder: &Path, bytes: u64) -> Fallible<Self> {
        let mut corpus = Corpus { random: 1, ..Corpus::default() };
        let sessions = folder.join("codex/sessions/2026/11/21");
        std::fs::create_dir_all(&sessions)?;
        while corpus.bytes < bytes {
            let thread = format!("01a1f400-0000-7000-8000-{:012x}", corpus.files);
            let text = corpus.session(&thread)?;
            std::fs::write(sessions.join(format!("rollout-2026-11-21T09-00-00-{thread}.jsonl")), &text)?;
            corpus.files += 1;
            corpus.bytes += text.len() as u64;
        }
        Ok(corpus)
    }

    fn session(&mut self, thread: &str) -> Fallible<String> {
        let mut text = String::new();
        let instructions = "Say what you do.\\n".repeat(1000);
        let meta = format!(
            r#""id":"{thread}","cwd":"/home/dev/code/web","source":"exec","model_provider":"openai","base_instructions":"{instructions}""#
        );
        line(&mut text, "session_meta", &meta)?;
        let mut n = 0;
        while text.len() < FILE_BYTES {
            n += 1;
            let turn = format!("01a1f400-0001-7000-8000-{n:012x}");
            line(&mut text, "event_msg", &format!(r#""type":"task_started","turn_id":"{turn}""#))?;
            line(&mut text, "turn_context", &format!(r#""turn_id":"{turn}","model":"gpt-5.5","effort":"high""#))?;
            for call in 0..4 {
                self.response(&mut text, thread, &turn, call)?;
            }
            line(&mut text, "event_msg", &format!(r#""type":"task_complete","turn_id":"{turn}","duration_ms":9000"#))?;
        }
        Ok(text)
    }

    fn response(&mut self, text: &mut String, thread: &str, turn: &str, call: u32) -> Fallible<()> {
        let (input, output) = (2000 + self.next(100_000), 1 + self.next(3000));
        self.responses += 1;
        self.input += input;
        self.output += output;
        let secret = "x9Zk".repeat(usize::try_from(100 + self.next(600))?);
        line(text, "response_item", &format!(r#""type":"reasoning","summary":[],"encrypted_content":"{secret}""#))?;
        let id = format!("call_{}_{call}", self.responses);
        let arguments = r#"{\"cmd\":\"cargo test\"}"#;
        line(
            text,
            "response_item",
            &format!(r#""type":"function_call","name":"exec_command","arguments":"{arguments}","call_id":"{id}""#),
        )?;
        let usage = format!(
            r#"{{"input_tokens":{input},"cached_input_tokens":1024,"output_tokens":{output},"reasoning_output_tokens":0,"total_tokens":{}}}"#,
            input + output
        );
        let ids = format!(
            r#""thread_id":"{thread}","turn_id":"{turn}","session_id":"{thread}","response_id":"resp_{}""#,
            self.responses
        );
        line(text, "token_usage_record", &format!(r#"{ids},"usage":{usage},"turn_token_usage":{usage}"#))?;
        let info = format!(r#"{{"total_token_usage":{usage},"last_token_usage":{usage}}}"#);
        line(text, "event_msg", &format!(r#""type":"token_count","info":{info},"rate_limits":null"#))?;
        let printed =
            r#"test \"a::b\" ... ok, 12 of 40\n\tat src/main.rs:12:9\n"#.repeat(usize::try_from(self.next(400))?);
        let item = format!(
            r#"{{"type":"CommandExecution","id":"{id}","status":"completed","aggregated_output":"{printed}","exit_code":0}}"#
        );
        line(
            text,
            "event_msg",
            &format!(r#""type":"item_completed","thread_id":"{thread}","turn_id":"{turn}","item":{item}"#),
        )?;
        line(text, "response_item", &format!(r#""type":"function_call_output","call_id":"{id}","output":"{printed}""#))
    }

    /// A number below `end`.
    fn next(&mut self, end: u64) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % end
    }
}

fn line(text: &mut String, kind: &str, payload: &str) -> Fallible<()> {
    let time = "2026-11-21T09:00:00.000Z";
    Ok(writeln!(text, r#"{{"timestamp":"{time}","ordinal":1,"type":"{kind}","payload":{{{payload}}}}}"#)?)
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
