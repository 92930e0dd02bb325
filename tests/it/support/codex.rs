//! The real Codex CLI, driven against a scripted model.

use std::fmt::Write as _;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::{MockModel, TestEnv};

/// Every event that Codex 0.169.0 calls hooks for.
pub const EVENTS: [&str; 14] = [
    "SessionStart",
    "SessionEnd",
    "UserPromptSubmit",
    "PreModelRequest",
    "PostModelRequest",
    "PreToolUse",
    "PermissionRequest",
    "PostToolUse",
    "PreCompact",
    "PostCompact",
    "SubagentStart",
    "SubagentStop",
    "Stop",
    "Interrupt",
];

/// A run takes about two seconds; one that hangs must not hang the tests.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where build.rs found the client. Without it the tests that drive it are ignored.
const CODEX: Option<&str> = option_env!("CODEX_TALLY_TEST_CODEX");

/// What the user of these runs declares about who pays.
pub const DECLARED: &str = "team.id=platform,project=api-gateway,cost_centre=CC-4521";

/// A configured client; each `run` is one call of `codex`.
pub struct Codex<'a> {
    env: &'a TestEnv,
    model: &'a MockModel,
    home: PathBuf,
    hook: Option<String>,
    /// How often the hook is registered at each event.
    registrations: usize,
    otel: toml::Table,
    retries: u32,
    runs: u32,
}

impl<'a> Codex<'a> {
    /// Without hooks and without an exporter, in the environment's Codex home.
    pub fn new(env: &'a TestEnv, model: &'a MockModel) -> Self {
        let otel = toml::toml! {
            exporter = "none"
            trace_exporter = "none"
            metrics_exporter = "none"
        };
        Self { env, model, home: env.codex_home(), hook: None, registrations: 1, otel, retries: 0, runs: 0 }
    }

    /// A Codex home that the program under test is not told of.
    pub fn hidden_home(self) -> Self {
        self.home("hidden")
    }

    /// A Codex home of this name in the test's folder.
    pub fn home(self, name: &str) -> Self {
        Self { home: self.env.root().join(name), ..self }
    }

    /// Runs this program at every event.
    pub fn hook(self, program: &str) -> Self {
        // Codex hands the command to a shell.
        Self { hook: Some(format!("'{program}'")), ..self }
    }

    /// The hook is registered twice, as by the user and by the administrator.
    pub fn twice(self) -> Self {
        Self { registrations: 2, ..self }
    }

    /// The `[otel]` table, as `codex-tally serve` prints it.
    pub fn otel(self, otel: toml::Table) -> Self {
        Self { otel, ..self }
    }

    /// How often it repeats a request, and as often a broken stream.
    pub fn retries(self, retries: u32) -> Self {
        Self { retries, ..self }
    }

    /// Runs `codex exec` with these arguments, in a folder that need not be a repository.
    #[track_caller]
    pub fn exec(&mut self, args: &[&str]) {
        self.run(&[&["exec", "--skip-git-repo-check"], args].concat());
    }

    /// Runs `codex` with these arguments; it must succeed. Its output stays in the test's folder.
    #[track_caller]
    pub fn run(&mut self, args: &[&str]) {
        std::fs::create_dir_all(&self.home).expect("a Codex home");
        std::fs::write(self.home.join("config.toml"), self.config()).expect("config.toml is written");
        self.runs += 1;
        let log = self.home.with_extension(format!("{}.log", self.runs));
        let file = File::create(&log).expect("a log of the run");
        let mut command = self.command();
        command.args(args).stdout(file.try_clone().expect("a second handle")).stderr(file);
        let ended = end_of(command);
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        assert!(ended, "codex {args:?} failed or did not end\n{said}");
    }

    fn command(&self) -> Command {
        let mut command = self.env.command(CODEX.expect("the Codex CLI is installed"));
        command
            .args(["--dangerously-bypass-hook-trust"])
            .env("CODEX_HOME", &self.home)
            // Codex puts no helpers below the temporary folder, and this target folder may lie there.
            .env("TMPDIR", self.env.scratch())
            .env("MOCK_KEY", "sk-mock")
            .env("OTEL_RESOURCE_ATTRIBUTES", DECLARED)
            .stdin(Stdio::null())
            // A group of its own: the launcher and the client that it starts are ended together.
            .process_group(0);
        command
    }

    fn config(&self) -> String {
        let mut config = format!(
            r#"model = "gpt-5.5"
model_provider = "mock"
approval_policy = "never"
sandbox_mode = "danger-full-access"
check_for_update_on_startup = false

[model_providers.mock]
name = "mock"
base_url = "{}"
wire_api = "responses"
env_key = "MOCK_KEY"
request_max_retries = {retries}
stream_max_retries = {retries}

[projects.'{}']
trust_level = "trusted"
"#,
            self.model.base_url(),
            self.env.work().display(),
            retries = self.retries,
        );
        if let Some(hook) = &self.hook {
            for event in EVENTS {
                let command = toml::Value::from(hook.as_str());
                let lines = format!("type = \"command\"\ncommand = {command}\ntimeout = 3\n");
                for _ in 0..self.registrations {
                    write!(config, "\n[[hooks.{event}]]\n[[hooks.{event}.hooks]]\n{lines}").expect("text takes text");
                }
            }
        }
        let otel = toml::Table::from_iter([("otel".to_owned(), toml::Value::Table(self.otel.clone()))]);
        config + "\n" + &toml::to_string(&otel).expect("a table is TOML")
    }
}

/// Runs a process group to its end; false when it failed or had to be killed.
fn end_of(mut command: Command) -> bool {
    let mut child = command.spawn().expect("the Codex CLI starts");
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().expect("a child to wait for") {
            return status.success();
        }
        if Instant::now() > deadline {
            // It may end by itself at this moment; then there is no group to kill.
            let _ = rustix::process::kill_process_group(Pid::from_child(&child), Signal::KILL);
            let _ = child.wait();
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
