//! The real Codex CLI, driven against a scripted model.

use std::fmt::Write as _;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::app_server::AppServer;
use super::capture::files;
use super::terminal::Terminal;
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
    registrations: u32,
    otel: toml::Table,
    retries: u32,
    name: &'static str,
    provider_name: &'static str,
    settings: String,
    provider: String,
    tables: String,
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
        Self {
            env,
            model,
            home: env.codex_home(),
            hook: None,
            registrations: 1,
            otel,
            retries: 0,
            name: "gpt-5.5",
            provider_name: "mock",
            settings: String::new(),
            provider: String::new(),
            tables: String::new(),
            runs: 0,
        }
    }

    /// A Codex home that the program under test is not told of.
    pub fn hidden_home(self) -> Self {
        Self { home: self.env.root().join("hidden"), ..self }
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

    /// Each hook stands in the configuration twice.
    pub fn hooked_twice(self) -> Self {
        Self { registrations: 2, ..self }
    }

    /// The `[otel]` table, as `codex-tally serve` prints it.
    pub fn otel(self, otel: toml::Table) -> Self {
        Self { otel, ..self }
    }

    /// Another `[otel]` table from the next run on; gives back the one before.
    pub fn replace_otel(&mut self, otel: toml::Table) -> toml::Table {
        std::mem::replace(&mut self.otel, otel)
    }

    /// How often it repeats a request, and as often a broken stream.
    pub fn retries(self, retries: u32) -> Self {
        Self { retries, ..self }
    }

    /// The model that it asks for if nothing else is said.
    pub fn model(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    /// More lines at the top of config.toml.
    pub fn setting(mut self, line: &str) -> Self {
        self.settings += &format!("{line}\n");
        self
    }

    /// What the provider is called: Codex treats one of the name OpenAI as the real one.
    pub fn provider_name(self, provider_name: &'static str) -> Self {
        Self { provider_name, ..self }
    }

    /// More lines of the model provider.
    pub fn provider(mut self, line: &str) -> Self {
        self.provider += &format!("{line}\n");
        self
    }

    /// More tables of config.toml.
    pub fn tables(mut self, tables: &str) -> Self {
        self.tables += tables;
        self
    }

    /// Runs `codex exec` with these arguments, in a folder that need not be a repository.
    #[track_caller]
    pub fn exec(&mut self, args: &[&str]) {
        self.run(&[&["exec", "--skip-git-repo-check"], args].concat());
    }

    /// The same for a run that must fail.
    #[track_caller]
    pub fn exec_fails(&mut self, args: &[&str]) {
        let run = self.start(&[&["exec", "--skip-git-repo-check"], args].concat());
        let (ended, said) = run.end();
        assert_eq!(ended, Some(false), "codex exec {args:?} did not fail\n{said}");
    }

    /// Runs `codex` with these arguments; it must succeed. Its output stays in the test's folder.
    #[track_caller]
    pub fn run(&mut self, args: &[&str]) {
        let (ended, said) = self.start(args).end();
        assert_eq!(ended, Some(true), "codex {args:?} failed or did not end\n{said}");
    }

    /// Starts `codex` with these arguments.
    #[track_caller]
    pub fn start(&mut self, args: &[&str]) -> Running {
        let log = self.prepare();
        self.launch(log, args)
    }

    /// The program itself.
    pub fn program() -> &'static str {
        CODEX.expect("the Codex CLI is installed")
    }

    /// Writes the configuration and runs nothing.
    pub fn configure(&mut self) {
        self.prepare();
    }

    /// `codex exec` with the configuration that is there by now.
    #[track_caller]
    pub fn exec_as_configured(&mut self, args: &[&str]) -> String {
        self.runs += 1;
        let log = self.env.root().join(format!("codex-{}.log", self.runs));
        let (ended, said) = self.launch(log, &[&["exec", "--skip-git-repo-check"], args].concat()).end();
        assert_eq!(ended, Some(true), "codex exec {args:?} failed or did not end\n{said}");
        said
    }

    fn launch(&self, log: PathBuf, args: &[&str]) -> Running {
        let file = File::create(&log).expect("a log of the run");
        let mut command = self.command();
        command.args(args).stdin(Stdio::null()).stdout(file.try_clone().expect("a second handle")).stderr(file);
        Running { child: command.spawn().expect("the Codex CLI starts"), log }
    }

    /// Starts `codex app-server`, which editors use.
    #[track_caller]
    pub fn app_server(&mut self) -> AppServer {
        let log = self.prepare();
        let mut command = self.command();
        command.arg("app-server").stderr(File::create(log).expect("a log of the run"));
        AppServer::start(command)
    }

    /// Starts `codex` with these arguments in a terminal.
    #[track_caller]
    pub fn terminal(&mut self, args: &[&str]) -> Terminal {
        self.prepare();
        Terminal::start(self.command().args(args))
    }

    /// Writes the configuration and gives the name of a log.
    fn prepare(&mut self) -> PathBuf {
        std::fs::create_dir_all(&self.home).expect("a Codex home");
        std::fs::write(self.home.join("config.toml"), self.config()).expect("config.toml is written");
        self.runs += 1;
        self.env.root().join(format!("codex-{}.log", self.runs))
    }

    /// The threads that have a transcript, in the order of their start.
    pub fn threads(&self) -> Vec<String> {
        let kept = ["sessions", "archived_sessions"].map(|folder| files(&self.home.join(folder)));
        let names = kept.iter().flatten().filter_map(|path| path.file_name()?.to_str());
        let start = "rollout-2026-11-21T07-31-25-".len();
        let mut threads: Vec<_> = names.filter_map(|name| Some(name.get(start..start + 36)?.to_owned())).collect();
        threads.sort();
        threads.dedup();
        threads
    }

    /// `codex` in its environment, in a group of its own: the launcher and the client that it starts are ended together.
    pub fn command(&self) -> Command {
        let mut command = self.env.command(CODEX.expect("the Codex CLI is installed"));
        command
            .env("CODEX_HOME", &self.home)
            // Codex puts no helpers below the temporary folder, and this target folder may lie there.
            .env("TMPDIR", self.env.scratch())
            .env("MOCK_KEY", "sk-mock")
            .env("OTEL_RESOURCE_ATTRIBUTES", DECLARED)
            .process_group(0);
        command
    }

    /// What Codex 0.169 writes when the user trusts a hook: without it the hook is skipped.
    fn trust(&self, event: &str, hook: &str, place: u32) -> String {
        let name = snake(event);
        let handler = json!({"async": false, "command": hook, "timeout": 3, "type": "command"});
        let identity = json!({"event_name": name, "hooks": [handler]}).to_string();
        let hash = Sha256::digest(identity).iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        let config = self.home.join("config.toml");
        format!("[hooks.state.'{}:{name}:{place}:0']\ntrusted_hash = \"sha256:{hash}\"\n", config.display())
    }

    fn config(&self) -> String {
        let mut config = format!(
            r#"model = "{}"
model_provider = "mock"
approval_policy = "never"
sandbox_mode = "danger-full-access"
check_for_update_on_startup = false
{}
[model_providers.mock]
name = "{}"
base_url = "{}"
wire_api = "responses"
env_key = "MOCK_KEY"
request_max_retries = {retries}
stream_max_retries = {retries}
{}
[projects.'{}']
trust_level = "trusted"
"#,
            self.name,
            self.settings,
            self.provider_name,
            self.model.base_url(),
            self.provider,
            self.env.work().display(),
            retries = self.retries,
        );
        if let Some(hook) = &self.hook {
            for event in EVENTS {
                let command = toml::Value::from(hook.as_str());
                let lines = format!("type = \"command\"\ncommand = {command}\ntimeout = 3\n");
                let group = format!("\n[[hooks.{event}]]\n[[hooks.{event}.hooks]]\n{lines}");
                for place in 0..self.registrations {
                    write!(config, "{group}\n{}", self.trust(event, hook, place)).expect("text takes text");
                }
            }
        }
        let otel = toml::Table::from_iter([("otel".to_owned(), toml::Value::Table(self.otel.clone()))]);
        config + "\n" + &toml::to_string(&otel).expect("a table is TOML") + &self.tables
    }
}

/// An event's name in the state of hooks.
fn snake(event: &str) -> String {
    let mut name = String::new();
    for c in event.chars() {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}

/// A run that has been started.
pub struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Sends a signal to the launcher and the client.
    pub fn signal(&self, signal: Signal) {
        // It may end by itself at this moment; then there is no group any more.
        let _ = rustix::process::kill_process_group(Pid::from_child(&self.child), signal);
    }

    /// Waits for its end: whether it succeeded (None when it had to be killed), and what it said.
    pub fn end(mut self) -> (Option<bool>, String) {
        let deadline = Instant::now() + PATIENCE;
        let ended = loop {
            if let Some(status) = self.child.try_wait().expect("a child to wait for") {
                break Some(status.success());
            }
            if Instant::now() > deadline {
                break None;
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        until_gone(Pid::from_child(&self.child));
        (ended, std::fs::read_to_string(&self.log).unwrap_or_default())
    }
}

/// Waits until nothing of a process group is left: the launcher may end before the client does.
pub fn until_gone(group: Pid) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while rustix::process::test_kill_process_group(group).is_ok() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        let _ = self.child.wait();
    }
}

/// Stops the background process, also when the test fails, and the one that would update it.
pub struct Daemon<'a>(pub &'a TestEnv, pub Command);

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        let _ = self.1.args(["app-server", "daemon", "stop"]).output();
        let updater = std::fs::read(self.0.codex_home().join("app-server-daemon/daemon-updater.pid"));
        let updater: Value = updater.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let pid = updater["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        let _ = pid.map(|pid| rustix::process::kill_process(pid, Signal::TERM));
    }
}
