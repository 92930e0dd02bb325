//! `doctor`: green where everything is recorded, and red with the right advice where it is not.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::{config, init, two_responses, with_sink, write_config};
use crate::support::codex::Daemon;
use crate::support::env::{HOOK, Output};
use crate::support::{Codex, MockModel, Server, TestEnv};

/// A home with hook, exporter and a running sink, all of it trusted; the model is asked nothing.
pub(super) struct Rolled {
    pub env: TestEnv,
    pub server: Option<Server>,
}

impl Rolled {
    fn out() -> Self {
        Self::with(&MockModel::start(Vec::new()))
    }

    pub fn with(model: &MockModel) -> Self {
        let env = TestEnv::new();
        let server = Some(with_sink(&env));
        Codex::new(&env, model).configure();
        let _ = init(&env, &["--trust", "--codex", Codex::program()]).ok();
        Rolled { env, server }
    }

    pub fn doctor(&self, more: &[&str], variables: &[(&str, &str)]) -> (Output, Value) {
        let mut command = self.env.tally(&["doctor", "--json", "--codex", Codex::program()]);
        command.args(more).envs(variables.iter().copied()).env("TMPDIR", self.env.scratch());
        let out = Output::of(command);
        let said = out.json();
        (out, said)
    }

    /// The check of this name must fail, or warn, and say these words of it and of what to do.
    #[track_caller]
    pub fn complains(&self, verdict: &str, check: &str, says: &str, next: &str, variables: &[(&str, &str)]) {
        let (out, said) = self.doctor(&[], variables);
        let found = said["checks"].as_array().unwrap().iter().find(|c| c["check"] == check);
        let found = found.unwrap_or_else(|| panic!("no check `{check}`: {said:#}"));
        assert_eq!(found["verdict"], verdict, "{found:#}");
        assert!(found["says"].as_str().unwrap().contains(says), "{says} in {found:#}");
        assert!(found["next"].as_str().unwrap().contains(next), "{next} in {found:#}");
        let _ = if verdict == "fail" { out.fails(1) } else { out };
    }
}

#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run, or npm i --prefix target/codex @openai/codex@0.169.0")]
fn a_whole_set_up_is_green_and_the_probe_leaves_nothing() {
    let env = TestEnv::new();
    let model = MockModel::start(two_responses());
    let _server = with_sink(&env);
    let mut codex = Codex::new(&env, &model);
    codex.configure();
    let _ = init(&env, &["--trust", "--codex", Codex::program()]).ok();
    codex.exec_as_configured(&["do the thing"]);
    let report = || env.run(&["report", "session", "--format", "json"]).ok().json();
    let before = report();
    assert_eq!(before["coverage"]["responses_by_source"], json!({"hook+otlp+transcript": 2}));

    let doctor = |more: &[&str]| {
        let mut command = env.tally(&["doctor", "--codex", Codex::program()]);
        command.args(more).env("TMPDIR", env.scratch());
        Output::of(command).ok()
    };
    let said = doctor(&["--live", "--json"]).json();
    let worse: Vec<_> = said["checks"].as_array().unwrap().iter().filter(|c| c["verdict"] != "ok").collect();
    assert_eq!((&said["verdict"], worse.len()), (&json!("ok"), 0), "{worse:#?}");
    let names: Vec<_> = said["checks"].as_array().unwrap().iter().map(|c| c["check"].as_str().unwrap()).collect();
    for name in
        ["codex", "hooks", "trust", "hook program", "exporter", "sink", "token", "store", "live hook", "live sink"]
    {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    for source in ["last hook", "last telemetry", "last transcript"] {
        let check = &said["checks"].as_array().unwrap().iter().find(|c| c["check"] == source).unwrap()["says"];
        assert!(check.as_str().unwrap().starts_with("20"), "{source}: {check}");
    }
    let after = report();
    for part in ["rows", "totals", "coverage"] {
        assert_eq!(after[part], before[part], "{part} after the probe");
    }
    let screen = doctor(&[]).stdout;
    assert!(screen.lines().count() < 30 && screen.ends_with(" 0 warnings, 0 failures\n"), "one screen: {screen}");
}

#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run, or npm i --prefix target/codex @openai/codex@0.169.0")]
fn what_codex_does_not_run_is_red() {
    let rolled = Rolled::out();
    let good = config(&rolled.env);
    // 1. Trust is gone.
    write_config(&rolled.env, &good[..good.find("[hooks.state").unwrap()]);
    rolled.complains("fail", "trust", "untrusted", "codex-tally init --trust", &[]);
    // 2. Somebody has edited a hook.
    write_config(&rolled.env, &good.replacen("timeout = 5", "timeout = 6", 1));
    rolled.complains("fail", "trust", "1 of 6 hooks without a word: modified", "/hooks", &[]);
    // 3. Nothing is registered; 4. an event is missing.
    write_config(&rolled.env, "model = \"gpt-5.5\"\n");
    rolled.complains("fail", "hooks", "not registered", "codex-tally init --trust", &[]);
    write_config(&rolled.env, &good.replace("hooks.PostModelRequest", "hooks.PreModelRequest"));
    rolled.complains("fail", "hooks", "PostModelRequest", "codex-tally init", &[]);
    // 5. Hooks are switched off.
    write_config(&rolled.env, &format!("{good}\n[features]\nhooks = false\n"));
    rolled.complains("fail", "hooks", "switched off", "hooks = true", &[]);
    let file = rolled.env.codex_home().join("config.toml");
    rolled.complains("fail", "hooks", "switched off", &format!("of {}, or", file.display()), &[]);
    // 6. The program is gone.
    write_config(&rolled.env, &good.replace(HOOK, "/nowhere/codex-tally-hook"));
    rolled.complains("fail", "hook program", "/nowhere/codex-tally-hook is not there", "install", &[]);
    // 7. Registered twice.
    let json: String = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("hooks/hooks.json")).unwrap();
    let twice = rolled.env.codex_home().join("hooks.json");
    std::fs::write(&twice, json.replace("/usr/local/bin/codex-tally-hook", HOOK)).unwrap();
    write_config(&rolled.env, &good);
    let trust = Codex::program();
    let _ = rolled.env.run(&["init", "--yes", "--trust", "--codex", trust]).ok();
    rolled.complains("warn", "registered twice", "more than once", "keep one", &[]);
    std::fs::remove_file(twice).unwrap();
    // 8. A configuration that Codex cannot read.
    write_config(&rolled.env, "model = \n");
    rolled.complains("fail", "configuration", "config.toml", "repair", &[]);
}

#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run, or npm i --prefix target/codex @openai/codex@0.169.0")]
fn telemetry_that_does_not_arrive_is_red() {
    let mut rolled = Rolled::out();
    let good = config(&rolled.env);
    // 1. The environment silences it, or the hook.
    let gzip = ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip");
    rolled.complains("fail", "environment", "export nothing", "unset OTEL_EXPORTER_OTLP_COMPRESSION", &[gzip]);
    rolled.complains("fail", "environment", "the hook off", "unset CODEX_TALLY_OFF", &[("CODEX_TALLY_OFF", "1")]);
    std::fs::write(rolled.env.home().join("off"), "").unwrap();
    rolled.complains("fail", "environment", "the hook off", "rm ", &[]);
    std::fs::remove_file(rolled.env.home().join("off")).unwrap();
    // 2. No exporter; 3. another one; 4. another port.
    let exporter = |with: &str| {
        let line = good.lines().find(|line| line.starts_with("exporter = {")).unwrap();
        good.replace(line, with)
    };
    write_config(&rolled.env, &exporter("exporter = \"none\""));
    rolled.complains("warn", "exporter", "exports no logs", "codex-tally init", &[]);
    let other = |endpoint: &str| {
        exporter(&format!("exporter = {{ otlp-http = {{ endpoint = \"{endpoint}\", protocol = \"binary\" }} }}"))
    };
    write_config(&rolled.env, &other("https://collector.example/v1/logs"));
    rolled.complains("warn", "exporter", "https://collector.example", "send logs on", &[]);
    write_config(&rolled.env, &other("http://127.0.0.1:9/v1/logs"));
    rolled.complains("fail", "exporter", "http://127.0.0.1:9/v1/logs", "[sink]", &[]);
    // Over gRPC: no door, another one, ours with another token.
    let over_grpc = |token: &str| {
        exporter(&format!(
            "exporter = {{ otlp-grpc = {{ endpoint = \"http://127.0.0.1:9\", headers = {{ authorization = \"Bearer {token}\" }} }} }}"
        ))
    };
    write_config(&rolled.env, &over_grpc("x"));
    rolled.complains("fail", "exporter", "the sink takes that nowhere", "`grpc` of `[sink]`", &[]);
    let own = rolled.env.home().join("config.toml");
    let text = std::fs::read_to_string(&own).unwrap();
    std::fs::write(&own, text.replace("grpc = \"none\"", "grpc = \"127.0.0.1:8\"")).unwrap();
    rolled.complains("fail", "exporter", "the sink takes that on http://127.0.0.1:8", "`grpc` of `[sink]`", &[]);
    std::fs::write(&own, text.replace("grpc = \"none\"", "grpc = \"127.0.0.1:9\"")).unwrap();
    rolled.complains("fail", "token", "another token", "codex-tally init", &[]);
    std::fs::write(&own, text).unwrap();
    // 5. Another token, and none.
    let token = std::fs::read_to_string(rolled.env.home().join("token")).unwrap();
    write_config(&rolled.env, &good.replace(token.trim(), &"0".repeat(64)));
    rolled.complains("fail", "token", "another token", "codex-tally init", &[]);
    write_config(&rolled.env, &other(&format!("http://127.0.0.1:{}/v1/logs", rolled.server.as_ref().unwrap().port())));
    rolled.complains("fail", "token", "no token", "codex-tally init", &[]);
    // The advice helps.
    let _ = init(&rolled.env, &[]).ok();
    assert!(rolled.doctor(&[], &[]).1["checks"].as_array().unwrap().iter().all(|c| c["verdict"] == "ok"));
    write_config(&rolled.env, &good);
    // 6. The sink has another token than the home: it is not ours.
    std::fs::write(rolled.env.home().join("token"), "1".repeat(64)).unwrap();
    rolled.complains("fail", "sink", "another token", "stop it", &[]);
    std::fs::write(rolled.env.home().join("token"), &token).unwrap();
    // 7. Nobody listens; 8. a stranger does, and does not get the token from us.
    let port = rolled.server.as_ref().unwrap().port();
    assert!(rolled.server.take().unwrap().stop().success());
    rolled.complains("fail", "sink", "nobody listens", "codex-tally serve", &[]);
    let stranger = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let heard = std::thread::spawn(move || {
        let (mut stream, _) = stranger.accept().unwrap();
        let mut asked = [0; 4096];
        let n = stream.read(&mut asked).unwrap();
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n{\"sink\":\"codex-tally\",\"proof\":\"00\"}");
        String::from_utf8_lossy(&asked[..n]).into_owned()
    });
    rolled.complains("fail", "sink", "another token", "stop it", &[]);
    let heard = heard.join().unwrap();
    assert!(heard.starts_with("GET /sink?nonce=") && !heard.contains(token.trim()), "{heard}");
    let stranger = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let answers = std::thread::spawn(move || {
        let (mut stream, _) = stranger.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
    });
    rolled.complains("fail", "sink", "a stranger listens", "remove the token", &[]);
    answers.join().unwrap();
    // 9. A stranger that claims to ask for no token gets the one that Codex sends.
    let stranger = TcpListener::bind(("127.0.0.1", port)).unwrap();
    std::thread::spawn(move || {
        for mut stream in stranger.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 4096]);
            let version = env!("CARGO_PKG_VERSION");
            let claim = format!("{{\"sink\":\"codex-tally\",\"version\":\"{version}\",\"proof\":null}}");
            let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\n\r\n{claim}").as_bytes());
        }
    });
    rolled.complains("fail", "token", "has not shown that it is ours", "remove the token", &[]);
    rolled.complains("warn", "sink", "cannot be verified", "--auth none", &[]);
}

#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run, or npm i --prefix target/codex @openai/codex@0.169.0")]
fn a_home_that_keeps_nothing_is_red() {
    use std::os::unix::fs::PermissionsExt;
    let mut rolled = Rolled::out();
    let home = rolled.env.home();
    // 1. Others can write to it; 2. or read the token.
    std::fs::set_permissions(&home, PermissionsExt::from_mode(0o777)).unwrap();
    rolled.complains("fail", "home", "others can write", "chmod 700", &[]);
    std::fs::set_permissions(&home, PermissionsExt::from_mode(0o700)).unwrap();
    std::fs::set_permissions(home.join("token"), PermissionsExt::from_mode(0o644)).unwrap();
    rolled.complains("fail", "token", "others can read", "do what it says", &[]);
    std::fs::set_permissions(home.join("token"), PermissionsExt::from_mode(0o600)).unwrap();
    // 3. What came could not be read.
    let _ = rolled.env.hook("{").ok();
    let _ = rolled.env.run(&["sync"]).ok();
    rolled.complains("warn", "unreadable", "hook.", "update", &[]);
    // 4. Prices that are not understood.
    std::fs::write(home.join("prices.toml"), "x = \n").unwrap();
    rolled.complains("fail", "prices", "prices.toml", "prices check", &[]);
    std::fs::remove_file(home.join("prices.toml")).unwrap();
    // 5. A damaged store.
    assert!(rolled.server.take().unwrap().stop().success());
    let path = home.join("tally.db");
    let mut bytes = std::fs::read(&path).unwrap();
    assert!(bytes.len() > 4 * 8192, "{} bytes", bytes.len());
    bytes[8192..].fill(0x5a);
    std::fs::write(&path, bytes).unwrap();
    rolled.complains("fail", "store", "it is damaged", "codex-tally import", &[]);
    rolled.complains("fail", "store", "it is damaged", "tally.db-wal", &[]);
}

/// Who may ask the sink to show that it has the token, and what it answers.
#[test]
fn a_sink_shows_that_it_has_the_token_without_telling_it() {
    let env = TestEnv::new();
    let server = env.serve(&["--grpc", "none"]);
    let ask = |path: &str, more: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{more}connection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let token = std::fs::read_to_string(env.home().join("token")).unwrap();
    let answer = ask("/sink?nonce=abc", "");
    assert!(answer.starts_with("HTTP/1.1 200 ") && !answer.contains(token.trim()), "{answer}");
    let said: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(said["proof"], codex_tally::serve::proof(token.trim(), "abc", server.port()));
    for (path, more, status) in [
        ("/sink", "", "404"),
        ("/sink?nonce=", "", "404"),
        ("/sink?nonce=abc", "origin: http://127.0.0.1\r\n", "403"),
        ("/sink?nonce=abc", "sec-fetch-site: cross-site\r\n", "403"),
        ("/sink?nonce=abc", "host: evil.example\r\n", "403"),
    ] {
        let answer = ask(path, more);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path} {more}: {answer}");
    }
}

#[test]
fn without_codex_the_rest_is_checked() {
    let env = TestEnv::new();
    let mut command = env.tally(&["doctor"]);
    command.env("PATH", "/nonexistent");
    let said = Output::of(command).ok().stdout;
    assert!(said.contains("warn  codex ") && said.contains("-> codex-tally doctor --codex PROGRAM"), "{said}");
    assert!(!env.home().exists(), "it changes nothing");
}

/// What `doctor` says without Codex.
fn without_codex(env: &TestEnv) -> String {
    let mut command = env.tally(&["doctor"]);
    command.env("PATH", "/nonexistent");
    Output::of(command).stdout
}

#[test]
fn a_stranger_that_never_ends_its_answer_is_not_waited_for() {
    let env = TestEnv::new();
    let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
    super::on_port(&env, stranger.local_addr().unwrap().port());
    std::thread::spawn(move || {
        for mut stream in stranger.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                while stream.write_all(b"x").is_ok() {
                    std::thread::sleep(Duration::from_millis(200));
                }
            });
        }
    });
    let began = Instant::now();
    let said = without_codex(&env);
    assert!(said.contains("another program listens") && began.elapsed() < Duration::from_secs(20), "{said}");
}

#[test]
fn a_sink_of_ours_that_hangs_is_no_stranger() {
    let env = TestEnv::new();
    let server = with_sink(&env);
    let process = Pid::from_raw(server.pid().cast_signed()).unwrap();
    kill_process(process, Signal::STOP).unwrap();
    let said = without_codex(&env);
    kill_process(process, Signal::CONT).unwrap();
    assert!(said.contains("FAIL  sink") && said.contains("own sink") && said.contains("does not answer"), "{said}");
    assert!(said.contains("start it again: codex-tally serve"), "{said}");
    // With another token than it was started with it is still this home's.
    std::fs::write(env.home().join("token"), "1".repeat(64)).unwrap();
    let said = without_codex(&env);
    assert!(said.contains("own sink") && said.contains("another token"), "{said}");
    assert!(server.stop().success());
}

#[test]
fn a_ledger_that_is_only_newer_is_not_to_be_thrown_away() {
    let env = TestEnv::new();
    let _ = env.hook(r#"{"session_id":"s","hook_event_name":"Stop"}"#).ok();
    let _ = env.run(&["sync"]).ok();
    // `user_version` stands at byte 60.
    let path = env.home().join("tally.db");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[60..64].copy_from_slice(&9999u32.to_be_bytes());
    std::fs::write(&path, bytes).unwrap();
    let said = without_codex(&env);
    assert!(said.contains("FAIL  store") && said.contains("update this program"), "{said}");
    assert!(!said.contains("away") && !said.contains("codex-tally import"), "{said}");
}

/// Codex's background process runs new hooks (0.169), but keeps the exporter that it was started with.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run, or npm i --prefix target/codex @openai/codex@0.169.0")]
fn a_daemon_from_before_is_to_be_restarted() {
    let env = TestEnv::new();
    let server = Some(with_sink(&env));
    let rolled = Rolled { env, server };
    let env = &rolled.env;
    let model = MockModel::start(Vec::new());
    let mut codex = Codex::new(env, &model);
    codex.configure();
    let daemon = |what: &str| {
        let mut command = codex.command();
        command.args(["app-server", "daemon", what]);
        let _ = Output::of(command).ok();
    };
    let _stops = Daemon(env, codex.command());
    daemon("start");
    let said = init(env, &["--trust", "--codex", Codex::program()]).ok();
    assert!(said.stderr.contains("codex app-server daemon restart"), "{said}");
    rolled.complains("warn", "daemon", "the exporter of before", "codex app-server daemon restart", &[]);
    daemon("restart");
    let (out, said) = rolled.doctor(&[], &[]);
    let _ = out.ok();
    let checks = said["checks"].as_array().unwrap();
    assert!(checks.iter().any(|c| c["check"] == "daemon" && c["verdict"] == "ok"), "{said:#}");
}

#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run, or npm i --prefix target/codex @openai/codex@0.169.0")]
fn another_home_is_told_whose_the_hooks_are() {
    let rolled = Rolled::out();
    let (_, said) = rolled.doctor(&[], &[]);
    let of =
        |said: &Value| said["checks"].as_array().unwrap().iter().find(|c| c["check"] == "registered").unwrap().clone();
    assert_eq!(of(&said)["verdict"], "ok", "{said:#}");
    let other = rolled.env.root().join("other");
    let out =
        rolled.env.run(&["--home", other.to_str().unwrap(), "doctor", "--json", "--codex", Codex::program()]).fails(1);
    let registered = of(&out.json());
    assert_eq!(registered["verdict"], "fail", "{registered:#}");
    assert!(registered["says"].as_str().unwrap().contains(rolled.env.home().to_str().unwrap()), "{registered:#}");
    assert!(registered["next"].as_str().unwrap().contains("uninstall"), "{registered:#}");
    // `init` would refuse.
    let said = out.json();
    let exporter = said["checks"].as_array().unwrap().iter().find(|c| c["check"] == "exporter").unwrap();
    let next = exporter["next"].as_str().unwrap();
    assert!(next.starts_with("set `http` of `[sink]`") && !next.contains("codex-tally init"), "{exporter:#}");
}

#[test]
#[cfg(feature = "tls")]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run, or npm i --prefix target/codex @openai/codex@0.169.0")]
fn a_sink_that_speaks_tls_is_asked_as_codex_asks_it() {
    let file = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls").join(name);
    let env = TestEnv::new();
    let model = MockModel::start(Vec::new());
    let port = crate::support::free_port();
    super::on_port(&env, port);
    let path = env.home().join("config.toml");
    let tls = format!(
        "tls_cert = {:?}\ntls_key = {:?}\ntls_client_ca = {:?}\nallow_hosts = [\"tally.example.com\"]\n",
        file("server.pem"),
        file("server.key"),
        file("ca.pem")
    );
    std::fs::write(&path, std::fs::read_to_string(&path).unwrap() + &tls).unwrap();
    let server = Server::start(env.tally(&["serve"]));
    assert!(server.stderr().contains("listening on https://127.0.0.1"), "{}", server.stderr());
    Codex::new(&env, &model).configure();
    // The hooks; the exporter is the user's, who knows authority and name.
    let said = init(&env, &["--trust", "--codex", Codex::program()]).ok();
    assert!(said.stderr.contains("speaks TLS") && config(&env).contains("\nexporter = \"none\""), "{said}");
    let rolled = Rolled { env, server: None };
    let hooks = config(&rolled.env);
    let token = std::fs::read_to_string(rolled.env.home().join("token")).unwrap();
    let otel = |authority: &str, identity: &str, token: &str| {
        let tls = format!(
            "ca-certificate = {:?}, client-certificate = {:?}, client-private-key = {:?}",
            file(authority),
            file(&format!("{identity}.pem")),
            file(&format!("{identity}.key"))
        );
        let exporter = format!(
            "endpoint = \"https://localhost:{port}/v1/logs\", protocol = \"binary\", tls = {{ {tls} }}, \
             headers = {{ authorization = \"Bearer {token}\" }}"
        );
        write_config(&rolled.env, &hooks.replacen("\"none\"", &format!("{{ otlp-http = {{ {exporter} }} }}"), 1));
    };
    otel("ca.pem", "client", token.trim());
    let (_, said) = rolled.doctor(&["--live"], &[]);
    let of = |name: &str| said["checks"].as_array().unwrap().iter().find(|c| c["check"] == name).unwrap().clone();
    for name in ["exporter", "sink", "token", "live sink"] {
        assert_eq!(of(name)["verdict"], "ok", "{:#}", of(name));
    }
    assert!(of("sink")["says"].as_str().unwrap().contains("has shown that it has the token"), "{said:#}");
    otel("ca.pem", "client", "0000000000000000000000000000000000000000000000000000000000000000");
    rolled.complains("fail", "token", "refuses", "`token` in this home", &[]);
    // Its certificate is of another authority than the one that the exporter believes.
    otel("client.pem", "client", token.trim());
    rolled.complains("fail", "exporter", "cannot be asked", "ca-certificate", &[]);
    assert!(server.stop().success());
    otel("ca.pem", "client", token.trim());
    rolled.complains("fail", "exporter", "cannot be asked", "start it there", &[]);
    // Plain, although the sink speaks TLS.
    let plain =
        format!("{{ otlp-http = {{ endpoint = \"http://127.0.0.1:{port}/v1/logs\", protocol = \"binary\" }} }}");
    write_config(&rolled.env, &hooks.replacen("\"none\"", &plain, 1));
    rolled.complains("fail", "exporter", "speaks TLS", "docs/service.md", &[]);
}
