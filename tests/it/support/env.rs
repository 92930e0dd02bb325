//! A home of its own for each test, and the real programs run in it with nothing of the developer's environment.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::{Server, free_port};

/// The program under test.
pub const TALLY: &str = env!("CARGO_BIN_EXE_codex-tally");
/// The hot path alone, as Codex runs it.
pub const HOOK: &str = env!("CARGO_BIN_EXE_codex-tally-hook");

/// A fresh folder with a home, a ledger home, a Codex home and a working folder.
///
/// It is removed with the value, unless the test is panicking: then it stays and its path is printed.
pub struct TestEnv {
    /// Taken out on drop, because keeping a temporary folder consumes it.
    folder: Option<TempDir>,
    root: PathBuf,
}

impl TestEnv {
    /// Below the target folder and not the system's temporary one, where Codex refuses to keep its helpers.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("env-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .expect("a folder below the target folder");
        let root = folder.path().to_path_buf();
        let env = Self { folder: Some(folder), root };
        for folder in [env.user_home(), env.codex_home(), env.work(), env.scratch()] {
            std::fs::create_dir_all(folder).expect("folders of the test home");
        }
        env
    }

    /// The folder that holds everything of this test.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// HOME.
    pub fn user_home(&self) -> PathBuf {
        self.root.join("home")
    }

    /// CODEX_TALLY_HOME. Not created here: making it is the program's work.
    pub fn home(&self) -> PathBuf {
        self.root.join("tally")
    }

    /// CODEX_HOME.
    pub fn codex_home(&self) -> PathBuf {
        self.root.join("codex")
    }

    /// The working folder of every command.
    pub fn work(&self) -> PathBuf {
        self.root.join("work")
    }

    /// A TMPDIR for programs that need one.
    pub fn scratch(&self) -> PathBuf {
        self.root.join("scratch")
    }

    /// Any program with the cleared environment. Add variables to the returned command where a test is about them.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.user_home())
            .env("CODEX_TALLY_HOME", self.home())
            .env("CODEX_HOME", self.codex_home())
            .env("TZ", "UTC")
            .env("USER", "dev")
            .current_dir(self.work())
            .stdin(Stdio::null());
        command
    }

    /// `codex-tally` with these arguments, not started yet.
    pub fn tally(&self, args: &[&str]) -> Command {
        let mut command = self.command(TALLY);
        command.args(args);
        command
    }

    /// Runs `codex-tally` to its end.
    pub fn run(&self, args: &[&str]) -> Output {
        Output::of(self.tally(args))
    }

    /// Runs `codex-tally-hook` with this payload on stdin.
    pub fn hook(&self, payload: impl AsRef<[u8]>) -> Output {
        Output::fed(self.command(HOOK), payload.as_ref())
    }

    /// Configures that what nothing else is known of is billed by the API.
    pub fn billed_by_the_api(self) -> Self {
        std::fs::create_dir_all(self.home()).expect("a ledger home");
        std::fs::write(self.home().join("config.toml"), "channel = \"api\"\n").expect("a configuration");
        self
    }

    /// Starts `codex-tally serve` on free ports and returns when it listens.
    #[track_caller]
    pub fn serve(&self, args: &[&str]) -> Server {
        self.serve_on(free_port(), args)
    }

    /// The same with a chosen port for OTLP/HTTP.
    #[track_caller]
    pub fn serve_on(&self, port: u16, args: &[&str]) -> Server {
        let mut command = self.tally(&["serve", "--http", &format!("127.0.0.1:{port}")]);
        if cfg!(feature = "grpc") && !args.contains(&"--grpc") {
            command.args(["--grpc", "127.0.0.1:0"]);
        }
        command.args(args);
        Server::start(command)
    }
}

impl Drop for TestEnv {
    #[expect(clippy::print_stderr, reason = "shown with the test that failed")]
    fn drop(&mut self) {
        let Some(folder) = self.folder.take() else { return };
        if std::thread::panicking() {
            eprintln!("kept for a look: {}", folder.keep().display());
        }
    }
}

/// How a program ended and what it said.
#[must_use]
pub struct Output {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
    /// The command line, for messages.
    line: String,
}

impl Output {
    /// Runs a command to its end.
    pub fn of(mut command: Command) -> Self {
        let line = format!("{command:?}");
        let output = command.output().unwrap_or_else(|e| panic!("{line}: {e}"));
        Self::new(line, output)
    }

    /// Runs a command to its end with this on its stdin, which it need not read.
    pub fn fed(mut command: Command, stdin: &[u8]) -> Self {
        let line = format!("{command:?}");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{line}: {e}"));
        // A program may end without reading its input; a broken pipe is its good right.
        let _ = child.stdin.take().expect("a piped stdin").write_all(stdin);
        let output = child.wait_with_output().unwrap_or_else(|e| panic!("{line}: {e}"));
        Self::new(line, output)
    }

    fn new(line: String, output: std::process::Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
        Self { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr), line }
    }

    /// The program must have succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(self.status.success(), "{self}");
        self
    }

    /// The program must have ended with this code.
    #[track_caller]
    pub fn fails(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{self}");
        self
    }

    /// Stdout as one JSON document.
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_str(&self.stdout) {
            Ok(document) => document,
            Err(e) => panic!("stdout is not JSON: {e}\n{self}"),
        }
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}\n{}", self.line, self.status)?;
        writeln!(f, "--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr)
    }
}
