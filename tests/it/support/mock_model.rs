//! A scripted stand-in for the Responses API: it answers the real client and keeps the truth about what it served.

use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};

use super::http::{Request, json_response};

/// The tokens of one response, as the API reports them: cached and written are part of input, reasoning of output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub input: u64,
    pub cached: u64,
    pub cache_write: u64,
    pub output: u64,
    pub reasoning: u64,
}

impl Usage {
    fn json(self) -> Value {
        let mut usage = json!({
            "input_tokens": self.input,
            "input_tokens_details": {"cached_tokens": self.cached},
            "output_tokens": self.output,
            "output_tokens_details": {"reasoning_tokens": self.reasoning},
            "total_tokens": self.input + self.output,
        });
        // The API names written tokens only for models that bill them.
        if self.cache_write > 0 {
            usage["input_tokens_details"]["cache_write_tokens"] = self.cache_write.into();
        }
        usage
    }
}

/// Where the connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    BeforeItems,
    AfterItems,
}

/// One answer of the script.
#[derive(Clone, Debug, Default)]
pub struct Step {
    items: Vec<Value>,
    usage: Option<Usage>,
    status: Option<u16>,
    failure: Option<(String, String)>,
    cut: Option<Cut>,
    when: Vec<String>,
    when_not: Vec<String>,
    /// A word in the items, and the field of the request whose id replaces it.
    quoted: Option<(&'static str, &'static str)>,
}

impl Step {
    /// An answer with these output items.
    pub fn items(items: Vec<Value>) -> Self {
        Self { items, ..Self::default() }
    }

    /// The last answer of a turn.
    pub fn message(text: &str) -> Self {
        Self::items(vec![json!({
            "type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}],
        })])
    }

    /// A call of a tool that takes JSON.
    pub fn function_call(call_id: &str, name: &str, arguments: &Value) -> Self {
        Self::items(vec![json!({
            "type": "function_call", "call_id": call_id, "name": name, "arguments": arguments.to_string(),
        })])
    }

    /// A call of a tool that takes free text.
    pub fn custom_tool_call(call_id: &str, name: &str, input: &str) -> Self {
        Self::items(vec![json!({"type": "custom_tool_call", "call_id": call_id, "name": name, "input": input})])
    }

    /// A call of a tool of a family, such as those for subagents.
    pub fn namespaced_call(call_id: &str, namespace: &str, name: &str, arguments: &Value) -> Self {
        let mut step = Self::function_call(call_id, name, arguments);
        step.items[0]["namespace"] = namespace.into();
        step
    }

    /// A shell command.
    pub fn shell(call_id: &str, command: &str) -> Self {
        Self::function_call(call_id, "exec_command", &json!({"cmd": command}))
    }

    /// A new file.
    pub fn add_file(call_id: &str, path: &str, line: &str) -> Self {
        let patch = format!("*** Begin Patch\n*** Add File: {path}\n+{line}\n*** End Patch");
        Self::custom_tool_call(call_id, "apply_patch", &patch)
    }

    /// A plain HTTP error instead of a stream.
    pub fn http_error(status: u16) -> Self {
        Self { status: Some(status), ..Self::default() }
    }

    pub fn usage(self, usage: Usage) -> Self {
        Self { usage: Some(usage), ..self }
    }

    /// The stream ends in `response.failed`, with the usage if there is one.
    pub fn failed(self, code: &str, message: &str) -> Self {
        Self { failure: Some((code.to_owned(), message.to_owned())), ..self }
    }

    /// The stream breaks.
    pub fn cut(self, cut: Cut) -> Self {
        Self { cut: Some(cut), ..self }
    }

    /// Only for requests whose body holds this.
    pub fn when(mut self, part: &str) -> Self {
        self.when.push(part.to_owned());
        self
    }

    /// Only for requests whose body does not hold this.
    pub fn when_not(mut self, part: &str) -> Self {
        self.when_not.push(part.to_owned());
        self
    }

    /// Puts the id that the request's body last gives for this field in the place of this word.
    pub fn quoting(self, word: &'static str, field: &'static str) -> Self {
        Self { quoted: Some((word, field)), ..self }
    }

    /// The step with the id that its request quotes.
    fn quoted(mut self, body: &str) -> Self {
        if let Some((word, field)) = self.quoted {
            let after = body.rsplit_once(field).map(|(_, after)| after).unwrap_or_default();
            // The field stands in a text that is itself quoted, so skip whatever is between its name and the id.
            let id = after.trim_start_matches(|c: char| !c.is_ascii_hexdigit()).get(..36).unwrap_or_default();
            let items = Value::from(self.items).to_string().replace(word, id);
            self.items = serde_json::from_str(&items).expect("an id breaks no JSON");
        }
        self
    }

    fn fits(&self, body: &str) -> bool {
        self.when.iter().all(|part| body.contains(part)) && !self.when_not.iter().any(|part| body.contains(part))
    }

    /// Whether the client gets a complete response with usage: only such a one is part of the truth.
    fn counts(&self) -> Option<Usage> {
        let whole = self.status.is_none() && self.failure.is_none() && self.cut.is_none();
        self.usage.filter(|_| whole)
    }

    /// The events of the stream, as far as it goes.
    fn events(&self, id: &str) -> Vec<Value> {
        let mut response = json!({"id": id});
        let mut events = vec![json!({"type": "response.created", "response": response.clone()})];
        if self.cut == Some(Cut::BeforeItems) {
            return events;
        }
        events.extend(self.items.iter().map(|item| json!({"type": "response.output_item.done", "item": item})));
        if self.cut.is_some() {
            return events;
        }
        if let Some(usage) = self.usage {
            response["usage"] = usage.json();
        }
        let kind = match &self.failure {
            Some((code, message)) => {
                response["error"] = json!({"code": code, "message": message});
                "failed"
            }
            None => "completed",
        };
        response["status"] = kind.into();
        events.push(json!({"type": format!("response.{kind}"), "response": response}));
        events
    }
}

/// The server. It answers until it is dropped.
pub struct MockModel {
    port: u16,
    state: Arc<State>,
}

struct State {
    /// A step that has been used is None.
    script: Mutex<Vec<Option<Step>>>,
    told: Mutex<Told>,
    over: AtomicBool,
}

#[derive(Default)]
struct Told {
    served: Vec<Usage>,
    /// Requests that no step was left for.
    surprises: Vec<String>,
    /// Numbers the response ids.
    streams: u32,
}

impl MockModel {
    /// Each request takes the first unused step that fits.
    pub fn start(script: Vec<Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
        let port = listener.local_addr().expect("a bound address").port();
        let script = Mutex::new(script.into_iter().map(Some).collect());
        let state = Arc::new(State { script, told: Mutex::default(), over: AtomicBool::new(false) });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.over.load(Ordering::Acquire) {
                    return;
                }
                let state = Arc::clone(&shared);
                // A client that breaks off is not the model's problem.
                std::thread::spawn(move || stream.and_then(|stream| state.converse(stream)));
            }
        });
        Self { port, state }
    }

    /// What a model provider's `base_url` is set to.
    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    /// The truth: every complete response with usage, in order. Panics when a request found no step.
    pub fn served(&self) -> Vec<Usage> {
        let told = self.state.told();
        assert!(told.surprises.is_empty(), "requests beyond the script:\n{}", told.surprises.join("\n"));
        told.served.clone()
    }

    /// How many steps were never asked for.
    pub fn steps_left(&self) -> usize {
        self.state.script.lock().expect("no thread panics").iter().flatten().count()
    }
}

impl Drop for MockModel {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::Release);
        // Wakes the thread that accepts, so that it sees the flag.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl State {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().expect("no thread panics")
    }

    fn converse(&self, mut to: TcpStream) -> std::io::Result<()> {
        let mut from = BufReader::new(to.try_clone()?);
        while let Some(request) = Request::read(&mut from)? {
            if request.method == "GET" {
                to.write_all(json_response(200, r#"{"models":[],"data":[],"object":"list"}"#).as_bytes())?;
            } else if !request.path.ends_with("/responses") {
                to.write_all(json_response(404, "{}").as_bytes())?;
            } else {
                let body = String::from_utf8_lossy(&request.body);
                match self.pick(&body) {
                    None => {
                        self.told().surprises.push(body.into_owned());
                        to.write_all(scripted_error(500).as_bytes())?;
                    }
                    Some(Step { status: Some(status), .. }) => to.write_all(scripted_error(status).as_bytes())?,
                    Some(step) => return self.stream(&step, &mut to),
                }
            }
        }
        Ok(())
    }

    fn pick(&self, body: &str) -> Option<Step> {
        let mut script = self.script.lock().expect("no thread panics");
        script
            .iter_mut()
            .find(|step| step.as_ref().is_some_and(|step| step.fits(body)))?
            .take()
            .map(|step| step.quoted(body))
    }

    /// Sends the events of a step; the end of the connection is the end of the stream.
    fn stream(&self, step: &Step, to: &mut TcpStream) -> std::io::Result<()> {
        let id = {
            let mut told = self.told();
            told.streams += 1;
            // Known before it is sent: whoever sees the client end sees the whole truth.
            told.served.extend(step.counts());
            format!("resp_{}", told.streams)
        };
        to.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")?;
        for event in step.events(&id) {
            let kind = event["type"].as_str().unwrap_or_default();
            to.write_all(format!("event: {kind}\ndata: {event}\n\n").as_bytes())?;
        }
        to.flush()
    }
}

fn scripted_error(status: u16) -> String {
    json_response(status, r#"{"error":{"message":"scripted error","type":"server_error"}}"#)
}
