//! What the hook costs Codex: whole processes, from before the start to after the end, beside one that does nothing.
//!
//!     cargo bench --bench hook                        1000 interleaved runs of each program
//!     cargo bench --bench hook -- 200                 another number
//!     cargo bench --bench hook -- --concurrent 64     64 hooks at once, 20 times, while a reader follows the spool
//!
//! It prints and judges nothing: times belong to a machine and its load, so compare within one output only.

#![allow(clippy::print_stdout, reason = "printing is its purpose")]

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

type Fallible<T> = Result<T, Box<dyn Error>>;

/// What Codex 0.169.0 gives a hook after a shell command; ids and folders are made up.
const PAYLOAD: &str = concat!(
    r#"{"session_id":"01a1f400-0000-7000-8000-000000000001","turn_id":"01a1f400-0000-7000-8000-000000000002","#,
    r#""transcript_path":"/home/dev/.codex/sessions/2026/11/21/"#,
    r#"rollout-2026-11-21T09-00-00-01a1f400-0000-7000-8000-000000000001.jsonl","#,
    r#""cwd":"/home/dev/code/api-gateway","hook_event_name":"PostToolUse","model":"gpt-5.5","#,
    r#""permission_mode":"default","tool_name":"Bash","tool_input":{"command":"cargo test --quiet"},"#,
    r#""tool_response":"running 12 tests\n............\ntest result: ok. 12 passed; 0 failed\n","#,
    r#""tool_use_id":"call_1"}"#
);

/// The least a program can do that is given something on stdin.
const BARE: &str = "fn main() { let _ = std::io::Read::read_to_end(&mut std::io::stdin(), &mut Vec::new()); }";

fn main() -> Fallible<()> {
    let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    // Cargo adds an argument of its own.
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => compare(folder.path(), 1000),
        ["--concurrent", number] => crowd(folder.path(), number.parse()?, 20),
        [number] => compare(folder.path(), number.parse()?),
        _ => Err("one number, or --concurrent and a number".into()),
    }
}

/// A way to run, and how long each run of it took.
struct Case {
    name: &'static str,
    program: PathBuf,
    args: &'static [&'static str],
    took: Vec<Duration>,
}

/// Runs the programs in turn, so that the machine's mood is the same for all.
fn compare(folder: &Path, runs: usize) -> Fallible<()> {
    let case = |name, program: &Path, args| Case { name, program: program.to_path_buf(), args, took: Vec::new() };
    let mut cases = [
        case("bare program", &bare_program(folder)?, &[]),
        case("codex-tally-hook", Path::new(env!("CARGO_BIN_EXE_codex-tally-hook")), &[]),
        case("codex-tally hook", Path::new(env!("CARGO_BIN_EXE_codex-tally")), &["hook"]),
    ];
    let home = folder.join("home");
    let mut failed = 0_usize;
    for run in 0..runs {
        for turn in 0..cases.len() {
            // Who comes first changes with every round.
            let place = (run + turn) % cases.len();
            let case = &mut cases[place];
            let start = Instant::now();
            let mut child = spawn(&case.program, case.args, &home)?;
            feed(&mut child)?;
            let status = child.wait()?;
            case.took.push(start.elapsed());
            failed += usize::from(!status.success());
        }
    }
    println!("{runs} runs of each, interleaved; milliseconds of a whole process");
    println!("{:<18} {:>9} {:>9} {:>9} {:>9} {:>12}", "", "min", "p50", "p90", "p99", "p50 to bare");
    for case in &mut cases {
        case.took.sort_unstable();
    }
    for case in &cases {
        let [min, p50, p90, p99] = [0, 50, 90, 99].map(|rank| millis(percentile(&case.took, rank)));
        let ratio = ratio(percentile(&case.took, 50), percentile(&cases[0].took, 50));
        println!("{:<18} {min:>9} {p50:>9} {p90:>9} {p99:>9} {ratio:>12}", case.name);
    }
    let mut spool = Spool::new(&home);
    spool.read_on()?;
    spool.finish();
    println!("failed processes: {failed}; {}", spool.verdict(2 * runs));
    Ok(())
}

/// Starts many hooks at once, again and again, while the spool is being read.
fn crowd(folder: &Path, size: usize, rounds: usize) -> Fallible<()> {
    let home = folder.join("home");
    let over = AtomicBool::new(false);
    let mut took = Vec::with_capacity(rounds);
    let mut failed = 0_usize;
    let spool = std::thread::scope(|scope| -> Fallible<Spool> {
        let reader = scope.spawn(|| follow(&home, &over));
        let result = (0..rounds).try_for_each(|_| -> Fallible<()> {
            let start = Instant::now();
            let hook = Path::new(env!("CARGO_BIN_EXE_codex-tally-hook"));
            let mut children = (0..size).map(|_| spawn(hook, &[], &home)).collect::<Fallible<Vec<_>>>()?;
            // They all wait for their input by now, and so write at nearly the same time.
            children.iter_mut().try_for_each(feed)?;
            for child in &mut children {
                failed += usize::from(!child.wait()?.success());
            }
            took.push(start.elapsed());
            Ok(())
        });
        // The reader must be told to end before an error is passed on, or the scope would wait for it for ever.
        over.store(true, Ordering::Release);
        let spool = reader.join().map_err(|_| "the reader panicked")??;
        result.map(|()| spool)
    })?;
    took.sort_unstable();
    let [min, p50, max] = [0, 50, 100].map(|rank| millis(percentile(&took, rank)));
    println!("{size} hooks at once, {rounds} times; milliseconds for all of them: min {min}, p50 {p50}, max {max}");
    println!(
        "failed processes: {failed}; {}; reads that found something: {}",
        spool.verdict(size * rounds),
        spool.reads
    );
    Ok(())
}

/// Compiled here, since an example or a second package would be shown to users.
fn bare_program(folder: &Path) -> Fallible<PathBuf> {
    let (source, program) = (folder.join("bare.rs"), folder.join("bare"));
    std::fs::write(&source, BARE)?;
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    // As the release profile does it.
    let flags = ["--edition=2024", "-Copt-level=3", "-Clto=thin", "-Ccodegen-units=1", "-Cstrip=symbols"];
    let status = Command::new(rustc).args(flags).arg("-o").arg(&program).arg(&source).status()?;
    if status.success() { Ok(program) } else { Err("the bare program does not compile".into()) }
}

fn spawn(program: &Path, args: &[&str], home: &Path) -> Fallible<Child> {
    let mut command = Command::new(program);
    command.args(args).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HOME", home).env("CODEX_TALLY_HOME", home).env("USER", "dev").env("TZ", "UTC");
    Ok(command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
}

/// Gives the payload and closes the pipe, as Codex does.
fn feed(child: &mut Child) -> Fallible<()> {
    match child.stdin.take().ok_or("no pipe")?.write_all(PAYLOAD.as_bytes()) {
        // A hook that is switched off need not read.
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(e.into()),
        _ => Ok(()),
    }
}

fn follow(home: &Path, over: &AtomicBool) -> Result<Spool, std::io::Error> {
    let mut spool = Spool::new(home);
    loop {
        // Asked before reading: what was written until then is read in this round.
        let last = over.load(Ordering::Acquire);
        spool.read_on()?;
        if last {
            spool.finish();
            return Ok(spool);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The spool's files, read on from where each was left, whole lines only.
struct Spool {
    folder: PathBuf,
    /// By file: how far it was read, and the part of a line at its end.
    places: HashMap<PathBuf, (u64, Vec<u8>)>,
    lines: HashSet<Vec<u8>>,
    repeated: usize,
    bad: usize,
    reads: usize,
}

impl Spool {
    fn new(home: &Path) -> Self {
        let (places, lines) = (HashMap::new(), HashSet::new());
        Self { folder: home.join("spool"), places, lines, repeated: 0, bad: 0, reads: 0 }
    }

    fn read_on(&mut self) -> Result<(), std::io::Error> {
        // Before the first hook there is no folder.
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return Ok(()) };
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "jsonl") {
                continue;
            }
            let (offset, mut rest) = self.places.remove(&path).unwrap_or_default();
            let mut file = File::open(&path)?;
            file.seek(SeekFrom::Start(offset))?;
            let read = file.read_to_end(&mut rest)?;
            self.reads += usize::from(read > 0);
            let whole = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            let tail = rest.split_off(whole);
            rest.split(|byte| *byte == b'\n').for_each(|line| self.take(line));
            self.places.insert(path, (offset + u64::try_from(read).unwrap_or(u64::MAX), tail));
        }
        Ok(())
    }

    /// After the last write there is no more to come for a line without an end.
    fn finish(&mut self) {
        for (_, tail) in std::mem::take(&mut self.places).into_values() {
            self.take(&tail);
        }
    }

    fn take(&mut self, line: &[u8]) {
        if line.is_empty() {
            return;
        }
        match serde_json::from_slice(line) {
            Ok(serde_json::Value::Object(_)) => self.repeated += usize::from(!self.lines.insert(line.to_vec())),
            _ => self.bad += 1,
        }
    }

    fn verdict(&self, expected: usize) -> String {
        let (good, repeated, bad) = (self.lines.len(), self.repeated, self.bad);
        format!("spool lines: {good} of {expected} expected, {repeated} repeated, {bad} bad")
    }
}

fn percentile(sorted: &[Duration], rank: usize) -> Duration {
    sorted.get(sorted.len().saturating_sub(1) * rank / 100).copied().unwrap_or_default()
}

fn millis(duration: Duration) -> String {
    let micros = duration.as_micros();
    format!("{}.{:03}", micros / 1000, micros % 1000)
}

fn ratio(of: Duration, to: Duration) -> String {
    let hundredths = of.as_nanos() * 100 / to.as_nanos().max(1);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}
