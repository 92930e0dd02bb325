//! Attackers: another user, a web page, a flood, a hostile file. docs/security.md lists the threats with these and other tests.

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use rusqlite::Connection;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;

use crate::store::{post_until_gone, stored, token_record};
use crate::support::capture::{Random, files};
use crate::support::client::{Client, call, request};
use crate::support::env::{HOOK, Output, TALLY};
use crate::support::test_sink::gzip;
use crate::support::{Server, TestEnv, Transcript};

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");

/// The most memory that a sink may ever take, in KiB: nothing that is sent changes it.
const CEILING: u64 = 512 * 1024;

/// The most memory that a process had so far, in KiB.
fn peak(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn addr(server: &Server) -> std::net::SocketAddr {
    ([127, 0, 0, 1], server.port()).into()
}

/// A transcript of so many responses.
fn place(env: &TestEnv, responses: u64) {
    let t = Transcript::new(1);
    let records: String = (1..=responses).map(|n| t.record(n)).collect();
    std::fs::write(t.path(env), t.head() + &records).unwrap();
}

#[test]
fn every_threat_has_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let table = read(&root.join("docs/security.md"));
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| T")).collect();
    assert!(rows.len() >= 20, "{} threats", rows.len());
    let sources = [files(&root.join("tests/it")), files(&root.join("src"))].concat();
    let rust = sources.iter().filter(|path| path.extension().is_some_and(|e| e == "rs"));
    let text: String = rust.map(|path| read(path)).collect();
    let tests: BTreeSet<&str> =
        text.split("\n#[test]\n").chain(text.split("\n    #[test]\n")).skip(1).filter_map(name).collect();
    let mut named = BTreeSet::new();
    for row in rows {
        let last = row.trim_end_matches(" |").rsplit('|').next().unwrap();
        let of_row: Vec<&str> = last.split('`').skip(1).step_by(2).collect();
        assert!(!of_row.is_empty(), "no test: {row}");
        let missing: Vec<_> = of_row.iter().filter(|test| !tests.contains(**test)).collect();
        assert!(missing.is_empty(), "{missing:?} are no tests: {row}");
        named.extend(of_row);
    }
    let own = read(&root.join("tests/it/security.rs"));
    let own: BTreeSet<&str> = own.split("\n#[test]\n").skip(1).filter_map(name).collect();
    let listed = BTreeSet::from(["every_threat_has_tests_that_exist"]);
    let unlisted: Vec<_> = own.difference(&named).filter(|test| !listed.contains(**test)).collect();
    assert!(unlisted.is_empty(), "docs/security.md does not name {unlisted:?}");
}

/// The name of the function that a text begins with, behind attributes.
fn name(text: &str) -> Option<&str> {
    text.split_once("fn ")?.1.split_once('(').map(|(name, _)| name)
}

#[test]
fn many_half_open_connections_keep_nobody_waiting() {
    const SILENT: u64 = 1000;
    let limit = getrlimit(Resource::Nofile);
    if limit.maximum.is_some_and(|most| most < 2 * SILENT) {
        return;
    }
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let env = TestEnv::new();
    let server = env.serve(&["--auth", "none", "--no-follow"]);
    let half: &[u8] = b"POST /v1/logs HTTP/1.1\r\nhost: 127.0.0.1\r\n";
    // They have five seconds; whoever means it must not wait for that. On a busy machine it may take as long to make them.
    let served_among = |n: u64| {
        let mut silent: Vec<Client> = (0..SILENT).map(|_| Client::connect(addr(&server))).collect();
        silent.iter_mut().step_by(2).for_each(|client| client.send(half));
        let mut honest = Client::connect(addr(&server));
        honest.send(&token_record(n));
        assert_eq!(honest.answer().unwrap().status, 200);
        let open = silent.iter().filter(|client| client.is_open()).count();
        assert!(silent.iter_mut().take(20).all(|client| client.answer().is_none()), "they are closed");
        open
    };
    let open: Vec<usize> = (1..=3).map(served_among).take_while(|open| *open <= 600).collect();
    assert!(open.len() < 3, "answered after all but so many were closed: {open:?}");
    assert!(peak(&server) < CEILING, "{} KiB", peak(&server));
    assert!(server.stop().success());
    assert_eq!(stored(&env).len(), open.len() + 1);
}

#[test]
fn a_flood_of_large_bodies_and_bombs_takes_bounded_memory() {
    let env = TestEnv::new();
    let server = env.serve(&["--auth", "none", "--no-follow"]);
    // One unknown field of nearly 16 MiB: read to the end, and nothing in it is of use.
    let length: u32 = (16 << 20) - 16;
    let varint = (0..4).map(|i| (length >> (7 * i)) as u8 & 0x7f | if i < 3 { 0x80 } else { 0 });
    let large: Vec<u8> = std::iter::once(0x7a).chain(varint).chain(std::iter::repeat_n(0, length as usize)).collect();
    let bomb = gzip(&vec![0; 60 << 20]);
    std::thread::scope(|scope| {
        for n in 0..24 {
            let (server, large, bomb) = (&server, &large, &bomb);
            scope.spawn(move || {
                let gz = [PROTOBUF, ("content-encoding", "gzip")];
                match n % 6 {
                    0 => assert!([400, 413].contains(&call(addr(server), "POST", "/v1/logs", &gz, bomb).status)),
                    _ => assert_eq!(call(addr(server), "POST", "/v1/logs", &[PROTOBUF], large).status, 200),
                }
            });
        }
    });
    assert!(peak(&server) < CEILING, "{} KiB", peak(&server));
    let mut honest = Client::connect(addr(&server));
    honest.send(&token_record(1));
    assert_eq!(honest.answer().unwrap().status, 200);
    assert!(server.stop().success());
}

#[test]
fn beyond_loopback_there_must_be_a_token_and_a_word_for_cleartext() {
    let env = TestEnv::new();
    for address in ["0.0.0.0:0", "[::]:0"] {
        let serve = |more: &[&str]| env.run(&[&["serve", "--grpc", "none", "--http", address], more].concat()).fails(1);
        assert!(serve(&["--auth", "none"]).stderr.contains("loopback only"));
        assert!(serve(&["--auth", "none", "--allow-cleartext"]).stderr.contains("loopback only"));
        assert!(serve(&[]).stderr.contains("--allow-cleartext"));
    }
    let grpc = ["serve", "--http", "127.0.0.1:0", "--grpc", "0.0.0.0:0"];
    if cfg!(feature = "grpc") {
        assert!(env.run(&grpc).fails(1).stderr.contains("--allow-cleartext"));
    }
    assert!(!env.home().join("token").exists(), "nothing was begun");
}

/// A limit on the size of files must be an error like a full disk, also where the system would end the process.
#[test]
fn a_limit_on_the_size_of_files_ends_nobody() {
    let limited = |env: &TestEnv, blocks: u32, line: &str| {
        let mut command = env.command("sh");
        command.args(["-c", &format!("ulimit -f {blocks}; exec {line}")]);
        command
    };
    // The hook: silent, and exit 0.
    let env = TestEnv::new();
    let payload = json!({"session_id": "s", "hook_event_name": "Stop", "cwd": "/x".repeat(500)}).to_string();
    for program in [HOOK.to_string(), format!("{TALLY} hook")] {
        for _ in 0..3 {
            let said = Output::fed(limited(&env, 1, &program), payload.as_bytes()).ok();
            assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("", ""));
        }
    }
    // The sink: what it acknowledges is stored, what it cannot store is 503, and it goes on when there is room.
    let env = TestEnv::new();
    let _ = env.run(&["sync"]).ok();
    let server = Server::start(limited(
        &env,
        400,
        &format!("{TALLY} serve --http 127.0.0.1:0 --grpc none --auth none --no-follow"),
    ));
    let (mut acked, mut refused) = (BTreeSet::new(), 0);
    let mut client = Client::connect(addr(&server));
    for n in 1..4000 {
        client.send(&token_record(n));
        match client.answer().unwrap().status {
            200 => drop(acked.insert(n)),
            status => {
                assert_eq!(status, 503);
                refused += 1;
                if refused == 3 {
                    break;
                }
            }
        }
    }
    assert_eq!(refused, 3, "the limit was never reached");
    assert_eq!(call(addr(&server), "POST", "/v1/metrics", &[PROTOBUF], b"").status, 200, "it still answers");
    drop(server);
    let _ = env.run(&["sync"]).ok();
    let there = stored(&env);
    let lost: Vec<_> = acked.iter().filter(|n| there.get(n) != Some(&1)).collect();
    assert!(lost.is_empty() && !acked.is_empty(), "acknowledged and lost: {lost:?}");
    // A command says what it is.
    let said = Output::of(limited(&env, 1, &format!("{TALLY} report monthly --format csv --out big.csv"))).fails(1);
    assert!(said.stderr.contains("error"), "{said}");
}

#[test]
fn a_damaged_store_never_panics_and_is_never_made_worse() {
    let env = TestEnv::new();
    place(&env, 400);
    let _ = env.run(&["report", "monthly"]).ok();
    let path = env.home().join("tally.db");
    let good = std::fs::read(&path).unwrap();
    let mut random = Random(0x5eed_0007);
    let mut refused = 0;
    for round in 0..30 {
        let mut bytes = good.clone();
        match round % 3 {
            0 => {
                let at = random.below(bytes.len());
                bytes[at] ^= 1 << random.below(8);
            }
            1 => bytes.truncate(random.below(bytes.len())),
            _ => {
                let page = random.below(bytes.len() / 8192) * 8192;
                bytes[page..page + 8192].fill((round % 2) as u8 * 0xff);
            }
        }
        for file in ["tally.db-wal", "tally.db-shm"] {
            let _ = std::fs::remove_file(env.home().join(file));
        }
        std::fs::write(&path, &bytes).unwrap();
        for args in [&["report", "monthly", "--no-import"][..], &["ledger", "verify"]] {
            let said = env.run(args);
            assert!(matches!(said.status.code(), Some(0 | 1)), "round {round}: {said}");
            assert!(!said.stderr.contains("panicked"), "round {round}: {said}");
            refused += u32::from(!said.status.success());
        }
    }
    assert!(refused > 10, "{refused} of 60 noticed");
}

#[test]
fn a_store_that_somebody_else_made_does_nothing_by_itself() {
    let env = TestEnv::new();
    place(&env, 3);
    let _ = env.run(&["sync"]).ok();
    let path = env.home().join("tally.db");
    for sql in [
        "CREATE TRIGGER evil AFTER INSERT ON thread BEGIN DELETE FROM observation; END",
        "CREATE TRIGGER seal_stays2 BEFORE UPDATE ON seal BEGIN SELECT RAISE(IGNORE); END",
        "CREATE VIEW evil AS SELECT load_extension('x')",
    ] {
        let evil = env.root().join("evil.db");
        let _ = std::fs::remove_file(&evil);
        Connection::open(&path).unwrap().execute("VACUUM INTO ?1", [evil.to_str().unwrap()]).unwrap();
        Connection::open(&evil).unwrap().execute_batch(sql).unwrap();
        let db = format!("sqlite:{}", evil.display());
        let said = env.run(&["--db", &db, "report", "monthly"]).fails(1);
        assert!(said.stderr.contains("did not make"), "{sql}: {said}");
    }
    // A database of another program is not even switched to another mode.
    let foreign = env.root().join("foreign.db");
    Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE mine (a); INSERT INTO mine VALUES (1)").unwrap();
    let before = std::fs::read(&foreign).unwrap();
    let said = env.run(&["--db", &format!("sqlite:{}", foreign.display()), "sync"]).fails(1);
    assert!(said.stderr.contains("not written by codex-tally"), "{said}");
    assert_eq!(std::fs::read(&foreign).unwrap(), before);
}

#[test]
fn names_that_are_statements_or_paths_are_only_names() {
    let env = TestEnv::new();
    let secret = env.root().join("secret");
    std::fs::write(&secret, "mine").unwrap();
    let odd = [
        "'; DROP TABLE observation; --",
        "\" OR 1=1; DELETE FROM thread; --",
        "../../../../etc/passwd",
        "/etc/passwd",
        "a/b\\..\\c",
        "x'||load_extension('y')||'",
        "-rf",
        "%n%s%x",
    ];
    // Names of teams are names of files where each team has its own.
    let quoted = |text: &str| json!(text).to_string();
    let rule = |text: &&str| format!("[[rule]]\nattribute.\"team.id\" = {0}\nteam = {0}\n", quoted(text));
    std::fs::create_dir_all(env.home()).unwrap();
    std::fs::set_permissions(env.home(), std::fs::Permissions::from_mode(0o700)).unwrap();
    std::fs::write(env.home().join("teams.toml"), odd.iter().map(rule).collect::<String>()).unwrap();
    for text in odd {
        let t = Transcript::new(1);
        let rollout = format!("{text}/sessions/{}", t.name());
        for transcript in [text, secret.to_str().unwrap(), "/dev/zero", &rollout] {
            let payload = json!({
                "session_id": text, "turn_id": text, "agent_id": text, "cwd": text, "model": text, "tool_name": text,
                "tool_use_id": text, "source": text, "transcript_path": transcript, "hook_event_name": "PostModelRequest",
                "token_usage": {"input_tokens": 1, "output_tokens": 1},
            });
            let mut hook = env.command(HOOK);
            hook.env("OTEL_RESOURCE_ATTRIBUTES", format!("team.id={text},project={text}"))
                .env("CODEX_TALLY_TEAM", text);
            let _ = Output::fed(hook, payload.to_string().as_bytes()).ok();
        }
    }
    let report = env.run(&["report", "monthly", "--format", "json"]).ok().json();
    let counted = report["totals"]["responses"].as_u64().unwrap();
    let unreadable = &report["coverage"]["unreadable"];
    let without = unreadable["hook.no_session"].as_u64().unwrap_or(0);
    assert_eq!(counted + without, 4 * odd.len() as u64, "each is counted: {unreadable}");
    assert!(counted > without, "{unreadable}");
    let out = env.root().join("out");
    let month = report["rows"][0]["period"].as_str().unwrap();
    let _ = env.run(&["chargeback", "-p", month, "--out", out.to_str().unwrap()]).ok();
    assert!(files(&out).len() > odd.len(), "a file for each team, all of them in the folder");
    let named = |entry: std::fs::DirEntry| entry.file_name().into_string().unwrap();
    let beside: BTreeSet<String> = std::fs::read_dir(env.root()).unwrap().map(|e| named(e.unwrap())).collect();
    let known = ["codex", "home", "out", "scratch", "secret", "tally", "work"].map(String::from);
    assert_eq!(beside, BTreeSet::from(known), "nothing was made elsewhere");
    let _ = env.run(&["ledger", "verify"]).ok();
}

/// What looks like a transcript and is none must not be read, nor stop the reading of others.
#[test]
fn pipes_devices_and_links_among_transcripts_are_passed_over() {
    let env = TestEnv::new();
    place(&env, 3);
    let folder = Transcript::new(1).path(&env).parent().unwrap().to_path_buf();
    let name = |n: u64| folder.join(Transcript::new(n).name());
    assert!(std::process::Command::new("mkfifo").arg(name(2)).status().unwrap().success());
    symlink("/dev/zero", name(3)).unwrap();
    symlink("/etc/passwd", name(4)).unwrap();
    symlink("..", folder.join("round")).unwrap();
    // Nothing is in it, and it is longer than any line may be.
    std::fs::File::create(name(5)).unwrap().set_len(1 << 28).unwrap();
    let report = env.run(&["report", "monthly", "--format", "json"]).ok().json();
    assert_eq!(report["totals"]["responses"], 3);
    assert_eq!(report["coverage"]["unreadable"], json!({}));
}

/// Another user of the machine: no way into the home, none through the port.
#[test]
fn another_user_gets_in_nowhere() {
    let env = TestEnv::new();
    place(&env, 3);
    let server = env.serve(&[]);
    let _ = env.run(&["report", "monthly", "--out", env.home().join("report.txt").to_str().unwrap()]).ok();
    let _ = env.run(&["backup", env.home().join("backup").to_str().unwrap()]).ok();
    assert_eq!(call(addr(&server), "POST", "/v1/logs", &[PROTOBUF], b"").status, 401, "without the token");
    for file in files(&env.home()) {
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", file.display());
    }
    assert!(server.stop().success());
    if !rustix::process::geteuid().is_root() {
        return;
    }
    // Root can try it: as a user that owns nothing, at a home that any other could look into.
    let open = tempfile::tempdir().unwrap();
    std::fs::set_permissions(open.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let home = open.path().join("tally");
    let _ = env.run(&["--home", home.to_str().unwrap(), "sync"]).ok();
    for tool in ["ls", "cat"] {
        let mut command = std::process::Command::new(tool);
        command.arg(if tool == "ls" { home.clone() } else { home.join("tally.db") }).uid(65534).gid(65534);
        assert!(!command.output().unwrap().status.success(), "{tool}");
    }
}

/// Requests that are one and are meant to be taken for two, or the other way round.
#[test]
fn requests_that_contradict_themselves_are_refused() {
    let env = TestEnv::new();
    let server = env.serve(&["--auth", "none", "--no-follow"]);
    let inner = token_record(7);
    let hidden = |headers: &[(&str, &str)]| [request("POST", "/v1/logs", headers, b""), inner.clone()].concat();
    let length = ("content-length", "0");
    for bytes in [
        hidden(&[PROTOBUF, length, ("content-length", "9")]),
        hidden(&[PROTOBUF, ("content-length", "+0")]),
        hidden(&[PROTOBUF, ("content-length", "-1")]),
        hidden(&[PROTOBUF, ("transfer-encoding", "chunked, identity")]),
        b"POST /v1/logs HTTP/1.1\nhost : 127.0.0.1\n\n".to_vec(),
        b"POST /v1/logs HTTP/9.9\r\nhost: 127.0.0.1\r\n\r\n".to_vec(),
        [b"POST /v1/logs HTTP/1.1\r\nhost: 127.0.0.1\r\nx: ".as_slice(), &[b'a'; 100_000], b"\r\n\r\n"].concat(),
    ] {
        let mut client = Client::connect(addr(&server));
        let _ = client.try_send(&bytes);
        let answer = client.answer();
        assert!(answer.as_ref().is_none_or(|a| (400..500).contains(&a.status)), "{answer:?}");
        assert!(client.answer().is_none(), "the connection goes on");
    }
    let (next, acked) = (AtomicU64::new(1), Mutex::new(Vec::new()));
    post_until_gone(addr(&server), &next, 3, &acked);
    assert!(server.stop().success());
    assert_eq!(stored(&env).into_iter().collect::<Vec<_>>(), [(1, 1), (2, 1), (3, 1)], "none of the hidden ones");
}

/// What stands in files that others may have written is shown, never run: by a terminal, a spreadsheet, a browser.
#[test]
fn names_reach_terminal_spreadsheet_and_page_disarmed() {
    let env = TestEnv::new();
    let armed = [
        "=cmd|'/c calc'!A1",
        "+1+1",
        "-2+3",
        "@SUM(1)",
        "\u{a0}=1+1",
        "<img src=x onerror=alert(1)>",
        "\u{1b}]52;c;eA==\u{7}",
        "a\u{202e}b",
    ];
    for (n, text) in armed.iter().enumerate() {
        let t = Transcript::new(n as u64);
        let project = json!(text).to_string();
        let text = t.head().replace("\"/home/dev/code/api-gateway\"", &project) + &t.record(5);
        let mut file = std::fs::File::create(t.path(&env)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }
    let rule = "[[rule]]\ndirectory = \"*img*\"\nteam = \"<img src=x onerror=alert(1)>\"\n";
    std::fs::create_dir_all(env.home()).unwrap();
    std::fs::set_permissions(env.home(), std::fs::Permissions::from_mode(0o700)).unwrap();
    std::fs::write(env.home().join("teams.toml"), rule).unwrap();
    let csv = env.run(&["report", "monthly", "--format", "csv", "--by", "project"]).ok().stdout;
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let mut rows = 0;
    for record in reader.records() {
        let record = record.unwrap();
        for cell in record.iter().filter(|cell| cell.parse::<i128>().is_err()) {
            let first = cell.trim_start_matches([' ', '\u{a0}']).chars().next();
            assert!(!first.is_some_and(|c| ['=', '+', '-', '@', '\t', '\r'].contains(&c)), "{cell:?}");
        }
        rows += 1;
    }
    assert_eq!(rows, armed.len());
    let out = env.root().join("out");
    let _ = env.run(&["chargeback", "-p", "2026-11", "--out", out.to_str().unwrap()]).ok();
    let pages = files(&out).into_iter().filter(|path| path.extension().is_some_and(|e| e == "html"));
    let pages: String = pages.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    assert!(!pages.is_empty() && !pages.contains("<img") && pages.contains("&lt;img"), "in a page");
    for args in [&["report", "monthly", "--by", "project"][..], &["report", "session"], &["attribution", "suggest"]] {
        let said = env.run(args).ok();
        let bad = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!said.stdout.chars().chain(said.stderr.chars()).any(bad), "{args:?}: {said}");
    }
}
