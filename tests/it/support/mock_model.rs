//! A scripted stand-in for the Responses API: it answers the real client and keeps the truth about what it served.

use std::io::{BufReader, ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};

use super::http::{Request, json_response};
use super::step::Step;
use super::truth::Served;
use super::websocket::WebSocket;

/// A request for a response, as its answer is chosen by it.
pub struct Asked {
    /// Headers and body.
    pub text: String,
    /// What the client says of the request.
    about: Value,
    pub model: String,
    tier: String,
}

impl Asked {
    fn new(headers: &str, body: &str) -> Self {
        let request: Value = serde_json::from_str(body).unwrap_or_default();
        let of_header = headers.lines().find_map(|line| line.strip_prefix("x-codex-turn-metadata: "));
        // Over WebSocket the client's words about the request stand in the request.
        let of_body = request["client_metadata"]["x-codex-turn-metadata"].as_str();
        let about = of_body.or(of_header).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let word = |name: &str| request[name].as_str().unwrap_or_default().to_owned();
        let tier = Some(word("service_tier")).filter(|tier| tier != "default" && tier != "auto").unwrap_or_default();
        Self { text: format!("{headers}\n{body}"), about, model: word("model"), tier }
    }

    /// A word of what the client says of the request: `thread_id`, `turn_id`, `request_kind`.
    pub fn about(&self, name: &str) -> &str {
        self.about[name].as_str().unwrap_or_default()
    }
}

/// A response that was served with usage, and what is known of it.
#[derive(Clone, Debug)]
pub struct Answer {
    pub served: Served,
    pub session: String,
    turn: String,
    /// What the request was for: `turn`, `compaction`, `prewarm`.
    pub kind: String,
    /// Whether it was not cut short by a limit.
    pub whole: bool,
    /// The number of requests before its end was sent.
    asked: usize,
    /// The client has asked on in the same turn: it has read the response for certain.
    pub read: bool,
}

/// Chooses the answer to a request; None when there is none.
type Brain = Box<dyn Fn(&Asked) -> Option<Step> + Send + Sync>;

/// The server. It answers until it is dropped.
pub struct MockModel {
    port: u16,
    state: Arc<State>,
}

struct State {
    brain: Brain,
    /// A step that has been used is None.
    script: Arc<Mutex<Vec<Option<Step>>>>,
    told: Mutex<Told>,
    over: AtomicBool,
}

#[derive(Default)]
struct Told {
    answers: Vec<Answer>,
    /// Requests that no step was left for.
    surprises: Vec<String>,
    /// Numbers the response ids.
    streams: u32,
    /// The thread, turn and kind of each request for a response.
    asked: Vec<[String; 3]>,
}

impl MockModel {
    /// Each request takes the first unused step that fits.
    pub fn start(script: Vec<Step>) -> Self {
        let script = Arc::new(Mutex::new(script.into_iter().map(Some).collect()));
        let steps = Arc::clone(&script);
        Self::with(Box::new(move |asked| pick(&steps, &asked.text)), script)
    }

    /// Each request gets the answer that the function gives.
    pub fn answering(brain: impl Fn(&Asked) -> Option<Step> + Send + Sync + 'static) -> Self {
        Self::with(Box::new(brain), Arc::default())
    }

    fn with(brain: Brain, script: Arc<Mutex<Vec<Option<Step>>>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
        let port = listener.local_addr().expect("a bound address").port();
        let state = Arc::new(State { brain, script, told: Mutex::default(), over: AtomicBool::new(false) });
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
    #[track_caller]
    pub fn served(&self) -> Vec<Served> {
        let told = self.state.told();
        assert!(told.surprises.is_empty(), "requests beyond the script:\n{}", told.surprises.join("\n"));
        told.answers.iter().map(|answer| answer.served.clone()).collect()
    }

    /// The same with all that is known of each.
    #[track_caller]
    pub fn answers(&self) -> Vec<Answer> {
        self.served();
        let told = self.state.told();
        let same =
            |answer: &Answer, [thread, turn, _]: &[String; 3]| (thread, turn) == (&answer.served.thread, &answer.turn);
        let asked_on = |answer: &Answer| told.asked[answer.asked..].iter().any(|asked| same(answer, asked));
        told.answers.iter().map(|answer| Answer { read: asked_on(answer), ..answer.clone() }).collect()
    }

    /// What each request for a response so far was for.
    pub fn kinds(&self) -> Vec<String> {
        self.state.told().asked.iter().map(|[_, _, kind]| kind.clone()).collect()
    }

    /// How many steps were never asked for.
    pub fn steps_left(&self) -> usize {
        self.state.script.lock().expect("no thread panics").iter().flatten().filter(|step| !step.repeats).count()
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
            if let Some(key) = request.header("sec-websocket-key") {
                return self.converse_in_frames(&request.header_lines(), WebSocket::accept(to, from, key)?);
            } else if request.method == "GET" {
                to.write_all(json_response(200, r#"{"models":[],"data":[],"object":"list"}"#).as_bytes())?;
            } else if !request.path.ends_with("/responses") {
                to.write_all(json_response(404, "{}").as_bytes())?;
            } else {
                let body = String::from_utf8_lossy(&request.body);
                let asked = Asked::new(&request.header_lines(), &body);
                match self.answer(&asked) {
                    Err(status) => to.write_all(scripted_error(status).as_bytes())?,
                    Ok(step) => return self.stream(&step, &asked, &mut to),
                }
            }
        }
        Ok(())
    }

    /// The step for a request, or the status that refuses it.
    fn answer(&self, asked: &Asked) -> Result<Step, u16> {
        let mark = ["thread_id", "turn_id", "request_kind"].map(|name| asked.about(name).to_owned());
        self.told().asked.push(mark);
        let Some(step) = (self.brain)(asked) else {
            self.told().surprises.push(asked.text.clone());
            return Err(500);
        };
        std::thread::sleep(step.delays[0]);
        match step.status {
            Some(status) => Err(status),
            None => Ok(step.quoted(&asked.text)),
        }
    }

    /// The events of a step, and its place in the truth: before the end is sent, so that whoever sees the client end sees the
    /// whole truth, and only while there is somebody to read it.
    fn events(&self, step: &Step, asked: &Asked, to: &mut impl Stream) -> std::io::Result<()> {
        let id = {
            let mut told = self.told();
            told.streams += 1;
            format!("resp_{}", told.streams)
        };
        let events = step.events(&id);
        for (i, event) in events.iter().enumerate() {
            if i + 1 == events.len() && step.has_end() {
                std::thread::sleep(step.delays[1]);
                if is_gone(to.socket())? {
                    return Ok(());
                }
                self.serves(step, asked);
            }
            to.send(event)?;
        }
        Ok(())
    }

    /// Notes a response whose end is sent now.
    fn serves(&self, step: &Step, asked: &Asked) {
        let Some(usage) = step.counts() else { return };
        let word = |name: &str| asked.about(name).to_owned();
        let (model, tier) = (asked.model.clone(), asked.tier.clone());
        let mut told = self.told();
        let answer = Answer {
            served: Served { thread: word("thread_id"), model, tier, usage },
            session: word("session_id"),
            turn: word("turn_id"),
            kind: word("request_kind"),
            whole: step.is_whole(),
            asked: told.asked.len(),
            read: false,
        };
        told.answers.push(answer);
    }

    /// Sends the events of a step; the end of the connection is the end of the stream.
    fn stream(&self, step: &Step, asked: &Asked, to: &mut TcpStream) -> std::io::Result<()> {
        let model = step.answered_by.map(|model| format!("openai-model: {model}\r\n")).unwrap_or_default();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n{model}connection: close\r\n\r\n");
        to.write_all(head.as_bytes())?;
        self.events(step, asked, to)
    }

    /// The same over WebSocket: one connection for many requests, each a message.
    fn converse_in_frames(&self, headers: &str, mut socket: WebSocket) -> std::io::Result<()> {
        while let Some(message) = socket.read()? {
            let asked = Asked::new(headers, &message);
            match self.answer(&asked) {
                Err(status) => {
                    let error = json!({"type": "server_error", "message": "scripted error"});
                    socket.send(&json!({"type": "error", "status": status, "error": error}))?;
                }
                Ok(step) => {
                    self.events(&step, &asked, &mut socket)?;
                    if !step.has_end() {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }
}

/// Where events go.
trait Stream {
    fn send(&mut self, event: &Value) -> std::io::Result<()>;
    fn socket(&self) -> &TcpStream;
}

impl Stream for TcpStream {
    fn send(&mut self, event: &Value) -> std::io::Result<()> {
        let kind = event["type"].as_str().unwrap_or_default();
        self.write_all(format!("event: {kind}\ndata: {event}\n\n").as_bytes())
    }

    fn socket(&self) -> &TcpStream {
        self
    }
}

impl Stream for WebSocket {
    fn send(&mut self, event: &Value) -> std::io::Result<()> {
        self.write(event)
    }

    fn socket(&self) -> &TcpStream {
        self.stream()
    }
}

/// Whether the other end has closed the connection, or died.
fn is_gone(stream: &TcpStream) -> std::io::Result<bool> {
    stream.set_nonblocking(true)?;
    let gone = match stream.peek(&mut [0]) {
        Ok(read) => read == 0,
        Err(e) => e.kind() != ErrorKind::WouldBlock,
    };
    stream.set_nonblocking(false)?;
    Ok(gone)
}

fn pick(script: &Mutex<Vec<Option<Step>>>, request: &str) -> Option<Step> {
    let mut script = script.lock().expect("no thread panics");
    let place = script.iter_mut().find(|step| step.as_ref().is_some_and(|step| step.fits(request)))?;
    if place.as_ref().is_some_and(|step| step.repeats) { place.clone() } else { place.take() }
}

fn scripted_error(status: u16) -> String {
    json_response(status, r#"{"error":{"message":"scripted error","type":"server_error"}}"#)
}
