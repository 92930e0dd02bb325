//! A running `codex-tally serve`.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

/// How long a start or a stop may take on a busy machine before the test gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// The program while it listens. Dropping it kills it; `stop` asks it to end.
pub struct Server {
    child: Child,
    home: Option<PathBuf>,
    port: u16,
    stdout: Said,
    stderr: Said,
}

impl Server {
    /// Starts the command and waits for the line on stderr that names its address.
    #[track_caller]
    pub fn start(mut command: Command) -> Self {
        let line = format!("{command:?}");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let home = command.get_envs().find(|(name, _)| *name == "CODEX_TALLY_HOME").and_then(|(_, home)| home);
        let home = home.map(PathBuf::from);
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{line}: {e}"));
        let stdout = Said::listen(child.stdout.take().expect("a piped stdout"));
        let stderr = Said::listen(child.stderr.take().expect("a piped stderr"));
        let mut server = Self { child, home, port: 0, stdout, stderr };
        let port = server.until("it names its address", |server| port_in(&server.stderr()));
        server.port = port;
        server
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it takes OTLP/gRPC.
    #[cfg(feature = "grpc")]
    #[track_caller]
    pub fn grpc_port(&self) -> u16 {
        let said = self.stderr();
        let (_, rest) = said.split_once(" and on ").expect("a second address");
        port_in(rest).expect("a port")
    }

    /// The `[otel]` table with the commented line for gRPC instead of the one for HTTP.
    #[cfg(feature = "grpc")]
    #[track_caller]
    pub fn otel_over_grpc(&mut self) -> toml::Table {
        let mut otel = self.otel();
        let said = self.with_token(&self.stdout());
        let line = said.lines().find_map(|line| line.strip_prefix("# or over gRPC: ")).expect("a line for gRPC");
        otel.extend(line.parse::<toml::Table>().expect("a line of TOML"));
        otel
    }

    /// What it has said on stdout so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// What it has said on stderr so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// It does not print the token; whoever reads the lines puts it in.
    fn with_token(&self, said: &str) -> String {
        let token = self.home.as_ref().and_then(|home| std::fs::read_to_string(home.join("token")).ok());
        said.replace("Bearer <token>", &format!("Bearer {}", token.unwrap_or_default().trim()))
    }

    /// The `[otel]` table that it prints for Codex's configuration.
    #[track_caller]
    pub fn otel(&mut self) -> toml::Table {
        self.until("it prints the [otel] table", |server| {
            let mut said: toml::Table = server.with_token(&server.stdout()).parse().ok()?;
            match said.remove("otel")? {
                toml::Value::Table(otel) if otel.contains_key("exporter") => Some(otel),
                _ => None,
            }
        })
    }

    /// Asks it to end (SIGTERM) and returns how it did.
    #[track_caller]
    pub fn stop(mut self) -> ExitStatus {
        let pid = Pid::from_child(&self.child);
        rustix::process::kill_process(pid, Signal::TERM).expect("it still runs");
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("a child to wait for") {
                return status;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("it does not end on SIGTERM\n{}", self.said());
    }

    /// Waits until `probe` finds something; a server that has ended will not say more.
    #[track_caller]
    fn until<T>(&mut self, what: &str, probe: impl Fn(&Self) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ended = self.child.try_wait().expect("a child to wait for");
            if ended.is_some() {
                self.stdout.finish();
                self.stderr.finish();
            }
            if let Some(found) = probe(self) {
                return found;
            }
            if let Some(status) = ended {
                panic!("the server ended ({status}) before {what}\n{}", self.said());
            }
            assert!(Instant::now() < deadline, "waited in vain until {what}\n{}", self.said());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn said(&self) -> String {
        format!("--- stdout\n{}\n--- stderr\n{}", self.stdout(), self.stderr())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail when it has already ended, and then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The port of the first whole line that names a loopback address.
fn port_in(stderr: &str) -> Option<u16> {
    let whole = &stderr[..stderr.rfind('\n')?];
    let (_, rest) = whole.split_once("://127.0.0.1:")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// The lines of a stream, read by a thread so that the program never blocks on a full pipe.
struct Said {
    lines: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Said {
    fn listen(stream: impl Read + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new(String::new()));
        let into = Arc::clone(&lines);
        let reader = std::thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            while stream.read_line(&mut line).is_ok_and(|n| n > 0) {
                into.lock().expect("no reader panics").push_str(&line);
                line.clear();
            }
        });
        Self { lines, reader: Some(reader) }
    }

    fn text(&self) -> String {
        self.lines.lock().expect("no reader panics").clone()
    }

    /// Reads to the end; only for a program that has ended.
    fn finish(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("no reader panics");
        }
    }
}
