//! `demo`: the whole way on bundled captures of the real Codex, in a temporary home.

use super::context::{Context, write_file};
use super::out;
use super::sessions::Sessions;
use crate::model::{BillingPeriod, Zone};
use crate::report::{self, Bucket, Dimension, Grouped, Range, format};
use crate::serve::{self, Auth};
use anyhow::{Context as _, ensure};
use flate2::read::GzDecoder;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// Show the whole way on bundled real sessions, in a temporary home
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Starts the real sink, sends it what the real Codex 0.169 sent, runs the real hook, imports the transcripts,
and prints the month's report, one session and where the CSV is. Touches nothing of yours.

Examples:
  codex-tally demo
  codex-tally demo --dir /tmp/tally-demo"
)]
pub(super) struct Args {
    /// Where to work; must not exist [default: a new folder in the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Every bundled file, packed: a line with its path, which begins with its capture's name, one with its length, and its bytes.
static PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/demo_files.gz"));

/// The environment that the captured sessions ran in.
const ATTRIBUTES: &str = "team.id=platform,project=api-gateway,cost_centre=CC-4521";

/// All captures are of this month.
const PERIOD: &str = "2026-11";

/// The session that is shown as an example.
const SHOWN: &str = "01a1fbc1-b2d8-74a2-955e-70a1f37fabfe";

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let dir = folder(args.dir.as_deref())?;
    let context = Context::isolated(&dir.join("home"));
    let files = Files::unpack()?;
    let hooks = run_hooks(&files, &context)?;
    out::talk(&format!("hook: {hooks} payloads of real sessions went through {hooks} hook processes into the spool"));
    let (over_http, over_grpc) = send_telemetry(&files, &context)?;
    let grpc = if over_grpc > 0 { format!(" and {over_grpc} over gRPC") } else { String::new() };
    out::talk(&format!("sink: {over_http} OTLP requests of real sessions were sent over HTTP{grpc}, and stored"));
    let codex_home = unpack_transcripts(&files, &dir)?;
    let mut store = context.open()?;
    let summary = context.sync(&mut store)?;
    let imported = context.import(&mut store, crate::collect::find_transcripts(std::slice::from_ref(&codex_home)))?;
    ensure!(summary.failed + imported.failed == 0, "a bundled file could not be read");
    out::talk(&format!("import: {} transcripts, {} observations\n", imported.files, summary.stored + imported.stored));
    drop(store);
    print_reports(&context, &dir)?;
    Ok(ExitCode::SUCCESS)
}

fn folder(wanted: Option<&Path>) -> anyhow::Result<PathBuf> {
    match wanted {
        Some(dir) => {
            std::fs::create_dir(dir).with_context(|| format!("cannot create {}", dir.display()))?;
            Ok(std::path::absolute(dir)?)
        }
        None => Ok(tempfile::Builder::new().prefix("codex-tally-demo-").tempdir()?.keep()),
    }
}

/// The bundled files: paths and bytes.
struct Files(Vec<(String, Vec<u8>)>);

impl Files {
    fn unpack() -> anyhow::Result<Self> {
        let (mut packed, mut files) = (BufReader::new(GzDecoder::new(PACKED)), Vec::new());
        let (mut path, mut length) = (String::new(), String::new());
        while packed.read_line(&mut path)? > 0 {
            packed.read_line(&mut length)?;
            let mut bytes = vec![0; length.trim_end().parse()?];
            packed.read_exact(&mut bytes)?;
            files.push((path.trim_end().to_string(), bytes));
            path.clear();
            length.clear();
        }
        Ok(Files(files))
    }

    /// Those of one part of a capture (`hooks`, `otlp`, `codex_home`), in the order in which they came.
    fn part(&self, part: &str) -> impl Iterator<Item = (&str, &[u8])> {
        let of = move |path: &str| path.split('/').nth(1) == Some(part);
        let files = self.0.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice()));
        files.filter(move |(path, _)| of(path))
    }
}

fn run_hooks(files: &Files, context: &Context) -> anyhow::Result<usize> {
    let program = std::env::current_exe()?;
    let mut count = 0;
    for (path, payload) in files.part("hooks") {
        let mut hook = Command::new(&program)
            .arg("hook")
            .env("CODEX_TALLY_HOME", &context.home)
            .env("OTEL_RESOURCE_ATTRIBUTES", ATTRIBUTES)
            .env_remove("CODEX_TALLY_OFF")
            .stdin(Stdio::piped())
            .spawn()
            .context("cannot run the hook")?;
        hook.stdin.take().context("the hook has no stdin")?.write_all(payload)?;
        ensure!(hook.wait()?.success(), "the hook failed on {path}");
        count += 1;
    }
    Ok(count)
}

/// Returns how many requests went over HTTP, and how many over gRPC.
fn send_telemetry(files: &Files, context: &Context) -> anyhow::Result<(usize, usize)> {
    const TOKEN: &str = "demo-token-of-a-temporary-sink";
    let listener = || TcpListener::bind("127.0.0.1:0").context("cannot listen on 127.0.0.1");
    let listeners = serve::Listeners::from(listener()?);
    #[cfg(feature = "grpc")]
    let listeners = listeners.with_grpc(listener()?);
    let options = serve::Options { auth: Auth::Token(TOKEN.into()), ..serve::Options::default() };
    let warn = Box::new(|event: serve::Event| out::talk(&format!("warning: {event}")));
    let mut sink = serve::spawn(listeners, Box::new(context.open()?), options, warn)?;
    // What was exported over gRPC is sent so, if this program was built with it.
    let for_grpc = |(path, _): &(&str, &[u8])| path.contains("_grpc/") && sink.grpc_addr.is_some();
    let mut count = 0;
    for (path, body) in files.part("otlp").filter(|file| !for_grpc(file)) {
        let kind = if path.ends_with(".json") { "application/json" } else { "application/x-protobuf" };
        let answer = post(sink.addr, TOKEN, kind, body)?;
        ensure!(
            answer.starts_with("HTTP/1.1 200 "),
            "the sink refused {path}: {}",
            answer.lines().next().unwrap_or("")
        );
        count += 1;
    }
    let over_grpc = match sink.grpc_addr {
        #[cfg(feature = "grpc")]
        Some(address) => serve::send_grpc(address, TOKEN, files.part("otlp").filter(for_grpc).map(|(_, body)| body))?,
        _ => 0,
    };
    sink.stop();
    sink.join()?;
    Ok((count, over_grpc))
}

/// One request as Codex's exporter sends it.
fn post(address: SocketAddr, token: &str, kind: &str, body: &[u8]) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    let head = format!(
        "POST /v1/logs HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\ncontent-type: {kind}\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn unpack_transcripts(files: &Files, dir: &Path) -> anyhow::Result<PathBuf> {
    let codex_home = dir.join("codex_home");
    for (path, bytes) in files.part("codex_home") {
        let inner: PathBuf = path.split('/').skip(2).collect();
        let file = codex_home.join(inner);
        std::fs::create_dir_all(file.parent().unwrap_or(&codex_home))?;
        write_file(&file, bytes)?;
    }
    Ok(codex_home)
}

fn print_reports(context: &Context, dir: &Path) -> anyhow::Result<()> {
    let all = Sessions::ready(context, true)?;
    let range = Range::of_period(PERIOD.parse::<BillingPeriod>()?, Zone::UTC);
    let brief = [Dimension::Team, Dimension::Project, Dimension::User, Dimension::Channel, Dimension::Model];
    let monthly = |by| {
        let mut report = Grouped::new(Bucket::Month, by, range);
        all.each(range, &mut |session| report.add(session))?;
        anyhow::Ok(report.report(&all.counters))
    };
    out::text(&format::table(&monthly(&brief)?, out::width()))?;
    let shown = all.one(SHOWN)?;
    out::data(b"\n")?;
    out::text(&report::show(&shown.session, &shown.lines, &shown.shares))?;
    let csv = dir.join(format!("cost-{PERIOD}.csv"));
    let full = monthly(Dimension::COST)?;
    write_file(&csv, &format::csv(&full))?;
    write_file(&dir.join(format!("cost-{PERIOD}.csv.meta.json")), &format::meta_json(&full))?;
    let (csv, home) = (csv.display(), context.home.display());
    out::data(
        format!(
            "\nThe monthly cost CSV is {csv}\nLook around:  codex-tally --home {home} report session --no-import\n"
        )
        .as_bytes(),
    )
}
