//! What the environment does to telemetry: `doctor` says of each variable what the real Codex makes of it.

use std::io::BufReader;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use super::doctor::Rolled;
use super::{config, write_config};
use crate::real_codex::tokens;
use crate::support::env::Output;
use crate::support::http::Request;
use crate::support::{Codex, MockModel, Step, TestEnv};
use serde_json::Value;

/// A proxy that passes nothing on; what it was asked for, with the authorization.
fn proxy() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let got = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&got);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            if let Ok(Some(request)) = Request::read(&mut reader) {
                let asked = format!("{} {}", request.path, request.header("authorization").unwrap_or_default());
                into.lock().unwrap().push(asked);
            }
            let _ = std::io::Write::write_all(&mut stream, b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
        }
    });
    (url, got)
}

#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run, or npm i --prefix target/codex @openai/codex@0.169.0")]
fn doctor_and_codex_agree_on_the_environment() {
    let (proxy, asked) = proxy();
    let proxy = proxy.as_str();
    let (headers, logs_headers) = ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_LOGS_HEADERS");
    // The model is `localhost`, and the sink 127.0.0.1: the one is asked past the proxy, the other is not.
    let near = ("NO_PROXY", "localhost");
    let cases: &[(&str, &[(&str, &str)])] = &[
        ("", &[]),
        ("http_proxy sends", &[("http_proxy", proxy), near]),
        ("HTTP_PROXY sends", &[("HTTP_PROXY", proxy), ("http_proxy", ""), near]),
        ("ALL_PROXY sends", &[("ALL_PROXY", proxy), near]),
        ("HTTP_PROXY sends", &[("HTTP_PROXY", proxy), ("NO_PROXY", "localhost,127.*"), ("no_proxy", "127.0.0.1")]),
        ("", &[("HTTP_PROXY", proxy), ("no_proxy", "localhost,127.0.0.0/8")]),
        ("", &[("HTTPS_PROXY", proxy), near]),
        ("authorization", &[(headers, "x-api-key=k,authorization=Bearer abc")]),
        ("authorization", &[(logs_headers, "authorization=Bearer abc")]),
        ("content-encoding", &[(headers, "content-encoding=gzip")]),
        ("host", &[(headers, "host=otel.example.com")]),
        ("", &[(headers, "x-api-key=k")]),
        ("", &[(headers, "authorization=Bearer abc"), (logs_headers, "x-api-key=k")]),
        ("milliseconds", &[("OTEL_EXPORTER_OTLP_TIMEOUT", "1")]),
        ("milliseconds", &[("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "1"), ("OTEL_EXPORTER_OTLP_TIMEOUT", "10000")]),
        ("drop records", &[("OTEL_BLRP_MAX_QUEUE_SIZE", "0")]),
        ("export nothing", &[("OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "gzip")]),
        ("", &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9"), ("OTEL_SDK_DISABLED", "true")]),
    ];
    let model = MockModel::start(cases.iter().map(|_| Step::message("done").usage(tokens(100, 0, 0, 1, 0))).collect());
    let rolled = Rolled::with(&model);
    let local = config(&rolled.env).replace(&model.base_url(), &model.base_url().replace("127.0.0.1", "localhost"));
    write_config(&rolled.env, &local);
    let token = std::fs::read_to_string(rolled.env.home().join("token")).unwrap();
    let codex = Codex::new(&rolled.env, &model);
    let (mut heard, mut silent) = (0, 0);
    for (says, variables) in cases {
        let mut command = codex.command();
        command.args(["exec", "--skip-git-repo-check", "--ephemeral", "hello"]).stdin(std::process::Stdio::null());
        let _ = Output::of({
            command.envs(variables.iter().copied());
            command
        })
        .ok();
        if says.is_empty() {
            heard += 1
        } else {
            silent += 1
        };
        let report = rolled.env.run(&["report", "session", "--format", "json"]).ok().json();
        let seen = &report["coverage"]["responses_by_source"];
        assert_eq!(
            (seen["hook+otlp"].as_u64(), seen["hook"].as_u64().unwrap_or(0)),
            (Some(heard), silent),
            "{variables:?}"
        );
        let passed_by =
            asked.lock().unwrap().drain(..).any(|asked| asked.contains("/v1/logs") && asked.contains(token.trim()));
        assert_eq!(passed_by, says.contains("PROXY") || says.contains("proxy"), "{variables:?}");
        match says.is_empty() {
            false => rolled.complains("fail", "environment", says, "", variables),
            true => drop(rolled.doctor(&[], variables).0.ok()),
        }
    }
    let next = "export NO_PROXY=\"$NO_PROXY,127.0.0.1\"";
    rolled.complains("fail", "environment", "with the sink's token", next, &[("ALL_PROXY", proxy), near]);
}

/// The checks of `doctor --json` without Codex.
fn checks(env: &TestEnv, more: &[&str]) -> Vec<Value> {
    let mut command = env.tally(&["doctor", "--json"]);
    command.args(more).env("PATH", "/nonexistent");
    let said = Output::of(command).fails(1).json();
    assert_eq!(said["verdict"], "fail");
    said["checks"].as_array().unwrap().clone()
}

#[track_caller]
fn check<'a>(checks: &'a [Value], name: &str) -> &'a Value {
    checks.iter().find(|c| c["check"] == name).unwrap_or_else(|| panic!("no check `{name}`: {checks:#?}"))
}

#[test]
fn a_broken_configuration_of_ours_is_a_check_like_others() {
    let env = TestEnv::new();
    std::fs::create_dir_all(env.home()).unwrap();
    std::fs::write(env.home().join("config.toml"), "broken [").unwrap();
    let found = checks(&env, &[]);
    assert_eq!(check(&found, "own configuration")["verdict"], "fail");
    assert!(check(&found, "own configuration")["says"].as_str().unwrap().contains("config.toml"), "{found:#?}");
    assert_eq!(check(&found, "prices")["verdict"], "ok", "the others are there, too");

    std::fs::remove_dir_all(env.home()).unwrap();
    std::fs::write(env.home(), "a file").unwrap();
    let found = checks(&env, &[]);
    assert_eq!(check(&found, "own configuration")["verdict"], "fail");
    assert!(check(&found, "home")["says"].as_str().unwrap().contains("is not a folder"), "{found:#?}");
}

#[test]
fn advice_leads_out() {
    let env = TestEnv::new();
    let found = checks(&env, &["--codex-home", "/nonexistent"]);
    let configuration = check(&found, "configuration");
    assert!(configuration["says"].as_str().unwrap().contains("no folder /nonexistent"), "{configuration}");
    assert!(configuration["next"].as_str().unwrap().contains("--codex-home"), "{configuration}");
}

#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run, or npm i --prefix target/codex @openai/codex@0.169.0")]
fn an_exporter_that_init_does_not_edit_gets_its_header_by_hand() {
    let rolled = Rolled::with(&MockModel::start(Vec::new()));
    let good = config(&rolled.env);
    let line = good.lines().find(|line| line.starts_with("exporter = {")).unwrap();
    let port = rolled.server.as_ref().unwrap().port();
    let dotted = format!(
        "exporter.\"otlp-http\".endpoint = \"http://127.0.0.1:{port}/v1/logs\"\nexporter.\"otlp-http\".protocol = \"binary\""
    );
    write_config(&rolled.env, &good.replace(line, &dotted));
    let path = rolled.env.home().join("token");
    rolled.complains("fail", "token", "no token", &format!("what {} holds", path.display()), &[]);
    let init = || rolled.env.run(&["init", "--yes"]).ok().stderr;
    assert!(
        init().contains(&format!(
            "Write the header yourself: `authorization`, with `Bearer ` and what {}",
            path.display()
        ))
    );
    // As it says.
    let token = std::fs::read_to_string(path).unwrap();
    let header = format!("{dotted}\nexporter.\"otlp-http\".headers.authorization = \"Bearer {}\"", token.trim());
    write_config(&rolled.env, &good.replace(line, &header));
    assert_eq!(check(rolled.doctor(&[], &[]).1["checks"].as_array().unwrap(), "token")["verdict"], "ok");
    assert!(!init().contains("Write the header"), "it is there");
}

#[test]
fn init_tells_of_it_too() {
    let env = TestEnv::new();
    super::on_port(&env, 4999);
    let mut command = env.tally(&["init", "--yes"]);
    command.env("HTTP_PROXY", "http://127.0.0.1:9").env_remove("NO_PROXY").env_remove("no_proxy");
    let said = Output::of(command).ok();
    assert!(said.stderr.contains("HTTP_PROXY sends telemetry for 127.0.0.1"), "{said}");
    assert!(said.stderr.contains("export NO_PROXY=127.0.0.1"), "{said}");
}
