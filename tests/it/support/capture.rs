//! Captured sessions of the real Codex CLI, and their replay through the real programs.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::client::{Client, request};
use super::{Server, TestEnv};

/// The home of the user whose sessions were captured, as it stands in hook payloads.
const CAPTURED_HOME: &str = "/home/dev/.codex";

/// One captured scenario: a folder with what each source said and what a ledger of it must hold.
pub struct Capture {
    pub name: String,
    folder: PathBuf,
}

/// One OTLP export request.
#[derive(Clone)]
pub struct Request {
    content_type: &'static str,
    body: Vec<u8>,
}

/// What is fed to the program in one step of a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feed {
    /// Every hook payload to a process of its own, in the order of the capture.
    Hooks,
    /// Every OTLP request in the order of the capture.
    Otlp,
    /// Every OTLP request twice, shuffled.
    OtlpTwice,
    /// The transcripts, by `import`.
    Transcripts,
}

impl Capture {
    /// A machine that saw all captures in this order, with these rules on who pays and the contract list of the examples.
    pub fn all_replayed(order: &[Feed], backwards: bool, rules: &str) -> TestEnv {
        let env = TestEnv::new();
        let mut captures = Self::all("captures");
        if backwards {
            captures.reverse();
        }
        captures.iter().for_each(|capture| capture.replay(&env, order));
        std::fs::write(env.home().join("teams.toml"), rules).expect("rules in the home");
        let prices = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/prices.toml");
        std::fs::copy(prices, env.home().join("prices.toml")).expect("prices in the home");
        env
    }

    /// All captures in a folder of the fixtures, by name.
    pub fn all(folder: &str) -> Vec<Capture> {
        let folder = fixtures().join(folder);
        entries(&folder).into_iter().map(|path| Capture { name: name_of(&path), folder: path }).collect()
    }

    /// One capture of Codex 0.169.
    #[track_caller]
    pub fn named(name: &str) -> Capture {
        Self::of("captures", name)
    }

    /// One capture in a folder of the fixtures.
    #[track_caller]
    pub fn of(folder: &str, name: &str) -> Capture {
        let folder = fixtures().join(folder).join(name);
        assert!(folder.is_dir(), "no capture is called {name}");
        Capture { name: name.to_owned(), folder }
    }

    /// What a ledger of all sources must hold.
    pub fn expected(&self) -> Value {
        self.json("expected.json")
    }

    /// What the scripted model served.
    pub fn truth(&self) -> Value {
        self.json("truth.json")
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.folder.join(name)).unwrap()).unwrap()
    }

    /// The OTLP requests in order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        let request = |path: PathBuf| {
            let json = path.extension().is_some_and(|e| e == "json");
            let content_type = if json { "application/json" } else { "application/x-protobuf" };
            Request { content_type, body: std::fs::read(path).unwrap() }
        };
        entries(&self.folder.join("otlp")).into_iter().map(request).collect()
    }

    /// The transcripts by path, unpacked.
    pub fn transcripts(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let read = |path: PathBuf| {
            let bytes = std::fs::read(&path).unwrap();
            let packed = path.extension().is_some_and(|e| e == "zst");
            let text = if packed { zstd::decode_all(bytes.as_slice()).unwrap() } else { bytes };
            (path, text)
        };
        let transcript = |path: &PathBuf| name_of(path).starts_with("rollout-");
        files(&self.folder.join("codex_home")).into_iter().filter(transcript).map(read).collect()
    }

    /// The hook payloads in order, as they were captured.
    pub fn payloads(&self) -> Vec<Vec<u8>> {
        entries(&self.folder.join("hooks")).into_iter().map(|path| std::fs::read(path).unwrap()).collect()
    }

    /// The bodies of the OTLP requests in order of arrival.
    #[cfg(feature = "grpc")]
    pub fn bodies(&self) -> Vec<Vec<u8>> {
        self.requests().into_iter().map(|request| request.body).collect()
    }

    /// The hook payloads in order, as they would be with the environment's Codex home.
    pub fn hooks(&self, env: &TestEnv) -> Vec<String> {
        let codex_home = env.codex_home();
        let here = codex_home.to_str().unwrap();
        let payload = |path: PathBuf| std::fs::read_to_string(path).unwrap().replace(CAPTURED_HOME, here);
        entries(&self.folder.join("hooks")).into_iter().map(payload).collect()
    }

    /// Puts the transcripts where Codex keeps them.
    pub fn place_transcripts(&self, env: &TestEnv) {
        copy(&self.folder.join("codex_home"), &env.codex_home());
    }

    /// Feeds the program in this order.
    #[track_caller]
    pub fn replay(&self, env: &TestEnv, order: &[Feed]) {
        for feed in order {
            match feed {
                Feed::Hooks => {
                    for payload in self.hooks(env) {
                        let output = env.hook(payload).ok();
                        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""), "{}", self.name);
                    }
                }
                Feed::Otlp => self.post(env, &self.requests()),
                Feed::OtlpTwice => self.post(env, &shuffled([self.requests(), self.requests()].concat())),
                Feed::Transcripts => {
                    self.place_transcripts(env);
                    let _ = env.run(&["import"]).ok();
                }
            }
        }
    }

    /// Sends requests to a sink of its own, each of which must be acknowledged.
    #[track_caller]
    fn post(&self, env: &TestEnv, requests: &[Request]) {
        if requests.is_empty() {
            return;
        }
        let server = env.serve(&["--auth", "none", "--no-follow"]);
        requests.iter().for_each(|r| r.send(&server));
        assert!(server.stop().success(), "{}", self.name);
    }
}

impl Request {
    pub fn is_json(&self) -> bool {
        self.content_type == "application/json"
    }

    pub fn into_body(self) -> Vec<u8> {
        self.body
    }

    /// Sends it; the answer must be 200.
    #[track_caller]
    pub fn send(&self, server: &Server) {
        let mut client = Client::connect(([127, 0, 0, 1], server.port()).into());
        client.send(&request("POST", "/v1/logs", &[("content-type", self.content_type)], &self.body));
        let answer = client.answer().expect("an answer");
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    }
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

/// What is in a folder, by name; nothing if there is no such folder.
pub fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(found) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = found.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// All files below a folder, by path.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let below = |path: PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
    entries(folder).into_iter().flat_map(below).collect()
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(file, target).unwrap();
    }
}

/// The same order for the same length, on every machine.
fn shuffled<T>(mut items: Vec<T>) -> Vec<T> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for i in (1..items.len()).rev() {
        items.swap(i, random.below(i + 1));
    }
    items
}

/// Numbers that look random and are the same in every run (xorshift).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % n as u64).unwrap()
    }
}
