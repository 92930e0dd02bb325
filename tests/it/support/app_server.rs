//! `codex app-server`, driven as editors drive it: JSON-RPC over stdio.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde_json::{Value, json};

use super::codex::until_gone;

const PATIENCE: Duration = Duration::from_secs(60);

/// The running server. Dropping it kills it; `close` lets it end.
pub struct AppServer {
    child: Child,
    to: Option<ChildStdin>,
    from: Receiver<Value>,
    /// Notifications that were not waited for yet.
    told: Vec<Value>,
    requests: u64,
}

impl AppServer {
    #[track_caller]
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the app server starts");
        let to = child.stdin.take();
        let lines = BufReader::new(child.stdout.take().expect("a piped stdout")).lines();
        let (sender, from) = channel();
        std::thread::spawn(move || {
            let messages = lines.map_while(Result::ok).filter_map(|line| serde_json::from_str(&line).ok());
            for message in messages {
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let mut server = Self { child, to, from, told: Vec::new(), requests: 0 };
        server.call("initialize", &json!({"clientInfo": {"name": "editor", "title": "Editor", "version": "1.0.0"}}));
        server.send(&json!({"method": "initialized"}));
        server
    }

    /// Calls a method; its result, or a panic with its error.
    #[track_caller]
    pub fn call(&mut self, method: &str, params: &Value) -> Value {
        self.try_call(method, params).unwrap_or_else(|error| panic!("{method} {params}: {error}"))
    }

    /// Calls a method; its result or its error.
    #[track_caller]
    pub fn try_call(&mut self, method: &str, params: &Value) -> Result<Value, Value> {
        self.requests += 1;
        let id = self.requests;
        self.send(&json!({"id": id, "method": method, "params": params}));
        let deadline = Instant::now() + PATIENCE;
        loop {
            let message = self.next(deadline, method);
            if message["id"] == id && message.get("method").is_none() {
                return message.get("result").cloned().ok_or_else(|| message["error"].clone());
            }
            self.told.push(message);
        }
    }

    /// Waits for a notification of this name that fits.
    #[track_caller]
    pub fn wait(&mut self, method: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let wanted = |message: &Value| message["method"] == method && fits(&message["params"]);
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.told.iter().position(wanted) {
                return self.told.remove(at)["params"].take();
            }
            let message = self.next(deadline, method);
            self.told.push(message);
        }
    }

    /// A new thread.
    #[track_caller]
    pub fn thread(&mut self, params: &Value) -> String {
        self.call("thread/start", params)["thread"]["id"].as_str().expect("a thread").to_owned()
    }

    /// Starts a turn.
    #[track_caller]
    pub fn begin(&mut self, thread: &str, prompt: &str, more: &Value) -> String {
        let mut params = json!({"threadId": thread, "input": [{"type": "text", "text": prompt}]});
        params.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        self.call("turn/start", &params)["turn"]["id"].as_str().expect("a turn").to_owned()
    }

    /// Waits for the end of a thread's next turn, and says how it ended.
    #[track_caller]
    pub fn ended(&mut self, thread: &str) -> String {
        let ended = self.wait("turn/completed", |p| p["threadId"] == thread);
        ended["turn"]["status"].as_str().unwrap_or_default().to_owned()
    }

    /// A whole turn.
    #[track_caller]
    pub fn turn(&mut self, thread: &str, prompt: &str, more: &Value) {
        self.begin(thread, prompt, more);
        assert_eq!(self.ended(thread), "completed", "{prompt}");
    }

    /// Ends the input, upon which the server ends.
    #[track_caller]
    pub fn close(mut self) {
        self.to = None;
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait().expect("a child to wait for").is_none() {
            assert!(Instant::now() < deadline, "the app server does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
        until_gone(Pid::from_child(&self.child));
    }

    /// Ends it by a signal.
    pub fn kill(mut self, signal: Signal) {
        let _ = rustix::process::kill_process_group(Pid::from_child(&self.child), signal);
        let _ = self.child.wait();
        until_gone(Pid::from_child(&self.child));
    }

    #[track_caller]
    fn next(&mut self, deadline: Instant, what: &str) -> Value {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.from.recv_timeout(left) {
            Ok(message) => message,
            Err(e) => {
                let told: Vec<_> = self.told.iter().map(|message| message["method"].as_str().unwrap_or("")).collect();
                panic!("{e} while waiting for {what}; it told of {told:?}")
            }
        }
    }

    fn send(&mut self, message: &Value) {
        // One that has ended is noticed by what waits for its answer.
        let _ = self.to.as_mut().map(|to| to.write_all(format!("{message}\n").as_bytes()));
    }
}

impl Drop for AppServer {
    fn drop(&mut self) {
        let _ = rustix::process::kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}
