//! Transcripts made for a test, in the shape that Codex 0.169 gives them.

use std::path::PathBuf;

use serde_json::json;

use super::TestEnv;

/// The moment of every line: what is tested here does not depend on it.
const TIME: &str = "2026-11-21T01:38:57.000Z";

/// One transcript of a thread of its own.
pub struct Transcript {
    pub thread: String,
}

impl Transcript {
    /// The `n`th thread.
    pub fn new(n: u64) -> Self {
        Self { thread: format!("01a1fbc1-b2d8-74a2-955e-{n:012x}") }
    }

    pub fn name(&self) -> String {
        format!("rollout-2026-11-21T01-38-57-{}.jsonl", self.thread)
    }

    /// Where Codex keeps it.
    pub fn path(&self, env: &TestEnv) -> PathBuf {
        let folder = env.codex_home().join("sessions/2026/11/21");
        std::fs::create_dir_all(&folder).unwrap();
        folder.join(self.name())
    }

    /// The lines before the first response.
    pub fn head(&self) -> String {
        let meta = json!({
            "id": self.thread, "session_id": self.thread, "source": "exec", "originator": "codex_exec",
            "cli_version": "0.169.0", "cwd": "/home/dev/code/api-gateway", "model_provider": "openai",
        });
        let context = json!({"turn_id": self.turn(), "model": "gpt-5.5", "cwd": "/home/dev/code/api-gateway"});
        line("session_meta", &meta) + &line("turn_context", &context)
    }

    /// The line of the `n`th response: `n` input tokens and one output token.
    pub fn record(&self, n: u64) -> String {
        let usage = json!({"input_tokens": n, "cached_input_tokens": 0, "output_tokens": 1, "total_tokens": n + 1});
        let record = json!({
            "thread_id": self.thread, "turn_id": self.turn(), "session_id": self.thread,
            "response_id": format!("resp_{n}"), "usage": usage,
        });
        line("token_usage_record", &record)
    }

    /// Adds the `n`th response to the file, on a day of 2026 (`08-31`), with some other words in its lines.
    pub fn respond(&self, env: &TestEnv, day: &str, n: u64, words: &[(&str, &str)]) {
        let path = self.path(env);
        let old = std::fs::read_to_string(&path).unwrap_or_default();
        let head = if old.is_empty() { self.head() } else { String::new() };
        let new = (head + &self.record(n)).replace("2026-11-21T", &format!("2026-{day}T"));
        let new = words.iter().fold(new, |text, (from, to)| text.replace(from, to));
        std::fs::write(&path, old + &new).expect("a transcript");
    }

    fn turn(&self) -> String {
        self.thread.replace("-b2d8-", "-b2e8-")
    }
}

/// One line of a transcript with its end; the fields in Codex's order.
pub fn line(kind: &str, payload: &serde_json::Value) -> String {
    format!("{{\"timestamp\":\"{TIME}\",\"type\":\"{kind}\",\"payload\":{payload}}}\n")
}
