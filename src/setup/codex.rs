//! Questions to Codex itself, as its own interface asks them: `codex app-server`, JSON-RPC over stdio.

use super::complaints::Complaints;
use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal};
use serde::Deserialize;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// It answers within a second; on a busy machine its start may take a while.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long it may take to end by itself.
const FAREWELL: Duration = Duration::from_secs(3);

/// How long what it said before it ended is waited for.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Variables with which Codex exports nothing, if they ask for compression.
pub const COMPRESSION: [&str; 4] = [
    "OTEL_EXPORTER_OTLP_COMPRESSION",
    "OTEL_EXPORTER_OTLP_LOGS_COMPRESSION",
    "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION",
    "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
];

/// A hook as Codex sees it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hook {
    /// What trust in it hangs on.
    pub key: String,
    /// `postToolUse`.
    pub event_name: String,
    /// What it runs, if it is a command.
    #[serde(default)]
    pub command: String,
    /// The file that it is registered in.
    pub source_path: PathBuf,
    /// `user`, `project`, `system`, `plugin`, ...
    pub source: String,
    /// The plugin that it is of: `name@marketplace`.
    #[serde(default)]
    pub plugin_id: Option<String>,
    /// Whether it may run at all.
    pub enabled: bool,
    /// The definition's hash.
    pub current_hash: String,
    /// `managed`, `trusted`, `untrusted` or `modified`.
    pub trust_status: String,
}

impl Hook {
    /// Whether Codex runs it.
    pub fn runs(&self) -> bool {
        self.enabled && ["managed", "trusted"].contains(&self.trust_status.as_str())
    }
}

/// The hooks that apply in a folder.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Hooks {
    /// All of them, of every layer.
    pub hooks: Vec<Hook>,
    /// What Codex warns of.
    #[serde(default)]
    pub warnings: Vec<Value>,
    /// What it could not read.
    #[serde(default)]
    pub errors: Vec<Value>,
}

/// Why hooks of users do not run under these requirements, and what to do; nothing if they may.
pub fn without_user_hooks(requirements: &Value) -> Option<(&'static str, &'static str)> {
    if requirements["featureRequirements"]["hooks"] == Value::Bool(false) {
        let next = "who administers this machine can allow them; telemetry and transcripts are recorded all the same";
        return Some(("hooks are switched off by the managed configuration", next));
    }
    let only = requirements["allowManagedHooksOnly"] == Value::Bool(true);
    only.then_some((
        "only hooks of the managed configuration are allowed here",
        "who administers this machine adds ours: codex-tally init --system",
    ))
}

/// When Codex's background process was started, if one runs. It keeps the exporter of that moment (0.169).
pub fn daemon_since(codex_home: &Path) -> Option<SystemTime> {
    UnixStream::connect(codex_home.join("app-server-control/app-server-control.sock")).ok()?;
    std::fs::metadata(codex_home.join("app-server-daemon/daemon.pid")).ok()?.modified().ok()
}

/// A running `codex app-server`; it ends when this is dropped.
pub struct Codex {
    child: Child,
    to: Option<ChildStdin>,
    from: Receiver<Value>,
    complaints: Arc<Mutex<Complaints>>,
    requests: u64,
    version: String,
}

impl Codex {
    /// Starts it for a CODEX_HOME.
    ///
    /// # Errors
    /// The program cannot be run, or is too old to have this interface.
    pub fn start(program: &Path, codex_home: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(program);
        // With compression asked for, it ends at once.
        COMPRESSION.iter().for_each(|name| {
            command.env_remove(name);
        });
        let mut child = command
            .arg("app-server")
            .env("CODEX_HOME", codex_home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // The launcher of the npm package starts another program: both are ended together.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;
        let to = child.stdin.take();
        let (sender, from) = channel();
        if let Some(out) = child.stdout.take() {
            std::thread::spawn(move || {
                let lines = BufReader::new(out).lines().map_while(Result::ok);
                let mut messages = lines.filter_map(|line| serde_json::from_str(&line).ok());
                messages.all(|message: Value| sender.send(message).is_ok())
            });
        }
        let complaints = Arc::new(Mutex::new(Complaints::default()));
        if let Some(stderr) = child.stderr.take() {
            let complaints = Arc::clone(&complaints);
            std::thread::spawn(move || Complaints::listen(stderr, &complaints));
        }
        let mut codex = Codex { child, to, from, complaints, requests: 0, version: String::new() };
        let version = env!("CARGO_PKG_VERSION");
        let client = json!({"clientInfo": {"name": "codex-tally", "title": "codex-tally", "version": version}});
        let answer = codex.call("initialize", &client)?;
        codex.send(&json!({"method": "initialized"}));
        // `codex-tally/0.169.0 (...)`: our name, its version.
        let agent = answer["userAgent"].as_str().unwrap_or_default();
        codex.version = agent.split(['/', ' ']).nth(1).unwrap_or_default().to_string();
        Ok(codex)
    }

    /// Codex's version, as far as it says it.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The hooks that apply in a folder.
    ///
    /// # Errors
    /// Codex cannot say.
    pub fn hooks(&mut self, folder: &Path) -> anyhow::Result<Hooks> {
        let mut answer = self.call("hooks/list", &json!({"cwds": [folder]}))?;
        serde_json::from_value(answer["data"][0].take()).context("Codex describes its hooks in an unknown form")
    }

    /// The configuration that applies in a folder, with where each value comes from.
    ///
    /// # Errors
    /// Codex cannot read its configuration; the message says why.
    pub fn config(&mut self, folder: &Path) -> anyhow::Result<Value> {
        self.call("config/read", &json!({"includeLayers": true, "cwd": folder}))
    }

    /// What is demanded of all users of this machine, and cannot be overridden; nothing if it is too old to say so.
    pub fn requirements(&mut self) -> Value {
        let asked = self.call("configRequirements/read", &Value::Null);
        asked.map(|mut answer| answer["requirements"].take()).unwrap_or_default()
    }

    /// Writes the user's trust in these hooks, in the words of Codex's own interface, and returns the hooks as they are then.
    ///
    /// # Errors
    /// Codex does not take it.
    pub fn trust(&mut self, hooks: &[Hook], folder: &Path) -> anyhow::Result<Hooks> {
        let entry = |hook: &Hook| (hook.key.clone(), json!({"trusted_hash": hook.current_hash}));
        let value: serde_json::Map<String, Value> = hooks.iter().map(entry).collect();
        let edit = json!({"keyPath": "hooks.state", "mergeStrategy": "upsert", "value": value});
        self.call("config/batchWrite", &json!({"edits": [edit], "reloadUserConfig": true}))?;
        self.hooks(folder)
    }

    fn call(&mut self, method: &str, params: &Value) -> anyhow::Result<Value> {
        self.requests += 1;
        let id = self.requests;
        self.send(&json!({"id": id, "method": method, "params": params}));
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.from.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(mut message) if message["id"] == id && message.get("method").is_none() => {
                    if let Some(error) = message.get("error") {
                        bail!("Codex says: {}", error["message"].as_str().unwrap_or("error").trim());
                    }
                    return Ok(message["result"].take());
                }
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => {
                    bail!("`codex app-server` does not answer ({method}){}", self.complaints(". It has said"))
                }
                Err(RecvTimeoutError::Disconnected) => match self.complaints(" and says").as_str() {
                    "" => bail!("`codex app-server` ended at once; is config.toml broken, or Codex older than 0.129?"),
                    said => bail!("`codex app-server` ended at once{said}"),
                },
            }
        }
    }

    /// What it has said on stderr, with an introduction; nothing if it has said nothing.
    fn complaints(&self, introduction: &str) -> String {
        let deadline = Instant::now() + LAST_WORDS;
        loop {
            // Its end closes both pipes, and each is read by a thread of its own.
            let said = self.complaints.lock().unwrap_or_else(PoisonError::into_inner);
            if said.ended || Instant::now() >= deadline {
                let said = said.text();
                return if said.is_empty() { said } else { format!("{introduction}: {said}") };
            }
            drop(said);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn send(&mut self, message: &Value) {
        // That it has ended is noticed where its answer is waited for.
        let _ = self.to.as_mut().map(|to| to.write_all(format!("{message}\n").as_bytes()));
    }
}

impl Drop for Codex {
    fn drop(&mut self) {
        self.to = None;
        let deadline = Instant::now() + FAREWELL;
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = rustix::process::kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}
