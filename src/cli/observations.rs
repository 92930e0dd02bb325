//! `observations`: carry what one machine saw to another store, exactly once.

use super::context::{Context, say_problems, write_file_with};
use super::out;
use crate::ingest::exchange::{Decoder, Encoder, Item, LineError, MAX_LINE_BYTES};
use crate::model::{Day, Observation, ThreadId};
use crate::report::Range;
use crate::report::format::thousands;
use crate::store::{Appended, Batch, PIECE, Store};
use anyhow::{Context as _, bail};
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Carry observations from one store to another, exactly once
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Examples:
  codex-tally observations export laptop.jsonl.zst
  codex-tally observations import laptop.jsonl.zst")]
pub(super) enum Command {
    /// Write observations to a file: JSON lines, compressed if its name ends in .zst
    #[command(after_help = "Examples:
  codex-tally observations export laptop.jsonl.zst
  codex-tally observations export october.jsonl --since 2026-10-01 --until 2026-10-31
  codex-tally observations export - --no-import | ssh ledger codex-tally observations import -")]
    Export(ExportArgs),
    /// Store the observations of a file; those that are known already are left as they are
    #[command(after_help = "A file that was cut or damaged is taken as far as it is whole; the exit code is 1 then.

Example:
  codex-tally observations import laptop.jsonl.zst")]
    Import(ImportArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct ExportArgs {
    /// The file to write; `-` is stdout
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Only threads that were seen on or after this UTC day, YYYY-MM-DD; each as a whole
    #[arg(long, value_name = "DAY", value_parser = super::report::day)]
    since: Option<Day>,
    /// Only threads that were seen on or before this UTC day; each as a whole
    #[arg(long, value_name = "DAY", value_parser = super::report::day)]
    until: Option<Day>,
    /// Do not read what is new first
    #[arg(long)]
    no_import: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct ImportArgs {
    /// The file to read; `-` is stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(super) fn run(context: &Context, command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Export(args) => export(context, args),
        Command::Import(args) => import(context, args),
    }
}

fn is_compressed(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "zst")
}

fn export(context: &Context, args: &ExportArgs) -> anyhow::Result<ExitCode> {
    let mut store = context.open()?;
    if !args.no_import {
        let summary = context.sync(&mut store)?;
        say_problems(&summary);
        if summary.failed > 0 {
            out::talk("warning: what could not be read is not in the export");
        }
    }
    let range = Range { since: args.since, until: args.until, ..Range::default() };
    let mut told = (0, 0);
    if args.file == Path::new("-") {
        told = write_all(&store, range, &mut BufWriter::new(out::Data))?;
    } else {
        write_file_with(&args.file, |file| {
            told = if is_compressed(&args.file) {
                let mut compressed = zstd::Encoder::new(file, 0)?;
                compressed.include_checksum(true)?;
                let told = write_all(&store, range, &mut compressed)?;
                compressed.finish()?.flush()?;
                told
            } else {
                write_all(&store, range, file)?
            };
            Ok(())
        })?;
    }
    let (written, left_out) = told;
    out::talk(&format!("{} observations written", thousands(written)));
    if left_out > 0 {
        let n = thousands(left_out);
        out::talk(&format!("error: {n} were left out: of a newer codex-tally (update this program), or too long"));
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes a whole file: how many observations, and how many could not be written.
fn write_all(store: &dyn Store, range: Range, to: &mut dyn Write) -> anyhow::Result<(u64, u64)> {
    let mut encoder = Encoder::default();
    to.write_all(&encoder.head())?;
    let (mut thread, mut too_long) = (ThreadOf::default(), 0);
    let newer = store.scan(&mut |o| {
        // No more than one thread is held, and without days not even that.
        if range == Range::default() {
            match encoder.observation(&o) {
                Some(line) => to.write_all(&line)?,
                None => too_long += 1,
            }
            return Ok(());
        }
        if thread.id.as_ref() != Some(&o.thread) {
            too_long += thread.write(&mut encoder, to)?;
            thread.id = Some(o.thread.clone());
        }
        // Links and contexts have no time.
        thread.wanted |= o.time.0 > 0 && range.has(o.time);
        thread.observations.push(o);
        Ok(())
    })?;
    too_long += thread.write(&mut encoder, to)?;
    to.write_all(&encoder.last())?;
    to.flush()?;
    Ok((encoder.count(), newer + too_long))
}

/// One thread's observations, until it is known whether any is of the days asked for.
#[derive(Default)]
struct ThreadOf {
    id: Option<ThreadId>,
    observations: Vec<Observation>,
    wanted: bool,
}

impl ThreadOf {
    /// Returns how many observations were too long.
    fn write(&mut self, encoder: &mut Encoder, to: &mut dyn Write) -> io::Result<u64> {
        let (wanted, mut too_long) = (std::mem::take(&mut self.wanted), 0);
        for o in self.observations.drain(..).filter(|_| wanted) {
            match encoder.observation(&o) {
                Some(line) => to.write_all(&line)?,
                None => too_long += 1,
            }
        }
        Ok(too_long)
    }
}

fn import(context: &Context, args: &ImportArgs) -> anyhow::Result<ExitCode> {
    let name = args.file.display();
    let input: Box<dyn Read> = match args.file.to_str() {
        Some("-") => Box::new(io::stdin().lock()),
        _ => Box::new(File::open(&args.file).with_context(|| format!("cannot read {name}"))?),
    };
    // What is compressed says so itself: stdin has no name.
    let mut input = BufReader::new(input);
    let magic = input.fill_buf().with_context(|| format!("cannot read {name}"))?.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]);
    let mut input: Box<dyn BufRead> =
        if magic { Box::new(BufReader::new(zstd::Decoder::with_buffer(input)?)) } else { Box::new(input) };
    let mut import = Import { store: &mut context.open()?, batch: Batch::default(), bytes: 0, done: Done::default() };
    import.read(&mut input).with_context(|| name.to_string())?;
    Ok(told(&import.done, &name.to_string()))
}

/// What became of a file.
#[derive(Default)]
struct Done {
    appended: Appended,
    bad: u64,
    /// Why the file is not what was written.
    broken: Option<String>,
}

struct Import<'a> {
    store: &'a mut dyn Store,
    batch: Batch,
    bytes: usize,
    done: Done,
}

impl Import<'_> {
    /// What is given to the store at once, in observations and bytes; it takes several transactions for them.
    const BATCH: (usize, usize) = (4096, 8 << 20);
    /// So many bad lines are told one by one.
    const TOLD: u64 = 20;

    fn read(&mut self, input: &mut dyn BufRead) -> anyhow::Result<()> {
        let (mut decoder, mut line) = (Decoder::default(), Vec::new());
        loop {
            let item = match next_line(input, &mut line) {
                Ok(Next::Line) => decoder.line(&line),
                Ok(Next::TooLong) => Err(decoder.too_long()),
                Ok(Next::End) => break,
                Err(e) => {
                    self.done.broken = Some(format!("it cannot be read on: {e}"));
                    break;
                }
            };
            match item {
                Ok(Item::Head | Item::Last) => {}
                Ok(Item::Observation(o)) => self.take(*o, line.len())?,
                Err(LineError::Foreign(why)) => bail!(why),
                Err(LineError::Bad(why)) => self.bad(decoder.line_number(), &why),
                Err(LineError::Altered(why)) => {
                    self.done.broken = Some(why);
                    break;
                }
            }
        }
        self.store()?;
        match decoder.line_number() {
            0 if self.done.broken.is_none() => bail!("the file is empty"),
            _ if !decoder.is_complete() && self.done.broken.is_none() => {
                self.done.broken = Some("its last line is missing, so it was cut off".into());
            }
            _ => {}
        }
        Ok(())
    }

    fn take(&mut self, o: Observation, bytes: usize) -> anyhow::Result<()> {
        self.batch.observations.push(o);
        self.bytes += bytes;
        let (count, size) = Self::BATCH;
        if self.batch.observations.len() >= count || self.bytes >= size { self.store() } else { Ok(()) }
    }

    fn store(&mut self) -> anyhow::Result<()> {
        if !self.batch.is_empty() {
            let batch = std::mem::take(&mut self.batch);
            let a = self.store.append_all(&batch.in_pieces(PIECE))?;
            self.done.appended.stored += a.stored;
            self.done.appended.known += a.known;
            self.done.appended.conflicts += a.conflicts;
        }
        self.bytes = 0;
        Ok(())
    }

    fn bad(&mut self, number: u64, why: &str) {
        self.done.bad += 1;
        if self.done.bad <= Self::TOLD {
            out::talk(&format!("warning: line {number}: {why}"));
        }
    }
}

fn told(done: &Done, name: &str) -> ExitCode {
    let a = done.appended;
    out::talk(&format!("{} new observations, {} known already", thousands(a.stored), thousands(a.known)));
    if a.conflicts > 0 {
        out::talk(&format!("warning: {} observations contradict stored ones; see the report's coverage", a.conflicts));
    }
    if done.bad > 0 {
        out::talk(&format!("error: {name}: {} lines could not be used", thousands(done.bad)));
    }
    if let Some(why) = &done.broken {
        out::talk(&format!(
            "error: {name}: {why}; what was whole is stored; get the file again and import it once more"
        ));
    }
    if done.bad > 0 || done.broken.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

enum Next {
    Line,
    TooLong,
    End,
}

/// The next whole line. A rest without a line end was cut off and is none.
fn next_line(input: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<Next> {
    let mut too_long = false;
    loop {
        line.clear();
        input.take(MAX_LINE_BYTES as u64).read_until(b'\n', line)?;
        match (line.last(), too_long) {
            (Some(b'\n'), true) => return Ok(Next::TooLong),
            (Some(b'\n'), false) => return Ok(Next::Line),
            _ if line.len() < MAX_LINE_BYTES => return Ok(Next::End),
            _ => too_long = true,
        }
    }
}
