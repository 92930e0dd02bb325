//! A made corpus of transcripts whose totals are known.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;

pub(super) type Fallible<T> = Result<T, Box<dyn Error>>;

const FILE_BYTES: usize = 512 << 10;

/// Transcripts as Codex 0.169 writes them, as far as an import looks at them.
#[derive(Default)]
pub(super) struct Corpus {
    pub files: u64,
    pub bytes: u64,
    pub responses: u64,
    pub input: u64,
    pub output: u64,
    /// The state of a small generator of pseudo-random numbers: every run makes the same corpus.
    random: u64,
}

impl Corpus {
    /// Makes about so many bytes in `codex` in a folder.
    pub fn make(folder: &Path, bytes: u64) -> Fallible<Self> {
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
