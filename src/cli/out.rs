//! All printing. stdout is data, stderr is talk; a reader that went away is no failure.

use super::paint::{Colour, paint};
use crate::config::Env;
use crate::report::format::terminal_text;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How often progress is shown.
const EVERY: Duration = Duration::from_millis(200);

/// How this call wants to be talked to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Manner {
    /// Only warnings and errors.
    pub quiet: bool,
    /// When output is coloured.
    pub colour: Colour,
}

static MANNER: OnceLock<Manner> = OnceLock::new();

/// Settles it, once, before anything is said.
pub(super) fn set_manner(manner: Manner) {
    // A second call would be of the same process and the same arguments.
    let _ = MANNER.set(manner);
}

fn manner() -> Manner {
    MANNER.get().copied().unwrap_or_default()
}

/// Whether only warnings and errors are wanted.
pub(super) fn is_quiet() -> bool {
    manner().quiet
}

fn is_coloured(terminal: bool) -> bool {
    let env = Env::from_process();
    match manner().colour {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto => {
            terminal && env.text("NO_COLOR").is_none() && env.text("TERM").is_none_or(|term| term != "dumb")
        }
    }
}

/// Writes text for people to stdout, with colours where they are wanted.
///
/// # Errors
/// As [`data`].
pub(super) fn text(text: &str) -> anyhow::Result<()> {
    if is_coloured(io::stdout().is_terminal()) { data(paint(text).as_bytes()) } else { data(text.as_bytes()) }
}

/// Whether stdout is a terminal: a person reads it, and nothing keeps it.
pub(super) fn is_read() -> bool {
    io::stdout().is_terminal()
}

/// Writes data to stdout.
///
/// # Errors
/// The output cannot be written; see [`failed`] for a broken pipe.
pub(super) fn data(bytes: &[u8]) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    Ok(stdout.flush()?)
}

/// Stdout, for data that is too much to hold.
pub(super) struct Data;

impl Write for Data {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::stdout().lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().lock().flush()
    }
}

/// Says a line to the user, made safe for a terminal. If nobody listens, nobody misses it.
pub(super) fn talk(text: &str) {
    if !manner().quiet || text.starts_with("warning:") || text.starts_with("error:") {
        let safe: Vec<String> = text.lines().map(terminal_text).collect();
        let safe = safe.join("\n");
        let shown = if is_coloured(io::stderr().is_terminal()) { paint(&safe) } else { safe };
        let _ = writeln!(io::stderr().lock(), "{shown}");
    }
}

/// Asks the user, if there is one: no terminal, no consent.
pub(super) fn ask(question: &str) -> bool {
    let (stdin, mut answer) = (io::stdin(), String::new());
    if !stdin.is_terminal() || !io::stdout().is_terminal() {
        return false;
    }
    let _ = write!(io::stderr().lock(), "{} [y/N] ", terminal_text(question));
    let read = stdin.read_line(&mut answer).is_ok();
    read && ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str())
}

/// Asks the user to type a word, if there is one to ask.
pub(super) fn ask_for(question: &str, word: &str) -> bool {
    let (stdin, mut answer) = (io::stdin(), String::new());
    if !stdin.is_terminal() {
        return false;
    }
    let _ = write!(io::stderr().lock(), "{} Type `{word}` to go on: ", terminal_text(question));
    stdin.read_line(&mut answer).is_ok() && answer.trim() == word
}

/// The width of the terminal that stdout is, if it is one.
pub(super) fn width() -> Option<u16> {
    let stdout = io::stdout();
    stdout.is_terminal().then(|| rustix::termios::tcgetwinsize(&stdout).ok()).flatten().map(|size| size.ws_col.max(40))
}

/// A line on the terminal that says how far something is, and goes when it is done. Without a terminal there is none.
pub(super) struct Progress {
    is_terminal: bool,
    shown: bool,
    next: Instant,
}

impl Progress {
    /// What is over soon shows nothing.
    pub fn new() -> Self {
        Progress {
            is_terminal: io::stderr().is_terminal() && !manner().quiet,
            shown: false,
            next: Instant::now() + EVERY,
        }
    }

    /// Shows what `text` says, unless it was shown just now.
    pub fn show(&mut self, text: impl FnOnce() -> String) {
        let now = Instant::now();
        if self.is_terminal && now >= self.next {
            let _ = write!(io::stderr().lock(), "\r\x1b[K{}", text());
            (self.shown, self.next) = (true, now + EVERY);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }
}

/// Explains a usage error (exit 2), or shows the help that was asked for (exit 0).
pub(super) fn usage(e: &clap::Error) -> ExitCode {
    let _ = e.print();
    ExitCode::from(u8::try_from(e.exit_code()).unwrap_or(2))
}

/// Explains what is wrong with the options: exit 2.
pub(super) fn misused(what: &str) -> ExitCode {
    talk(&format!("error: {what}; --help shows how to use it"));
    ExitCode::from(2)
}

/// Explains a failure in one line with its causes: exit 1. A broken pipe is ok.
pub(super) fn failed(e: &anyhow::Error) -> ExitCode {
    let broken_pipe = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
    };
    if e.chain().any(broken_pipe) {
        return ExitCode::SUCCESS;
    }
    talk(&format!("error: {e:#}"));
    ExitCode::FAILURE
}
