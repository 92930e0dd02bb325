//! Telemetry is passed on unchanged, and with it what responses cost.

use crate::support::client::call;
use crate::support::env::HOOK;
use crate::support::http::Request;
use crate::support::{Codex, MockModel, Step, TestEnv, Usage, eventually, free_port};
use serde_json::Value;
use std::collections::VecDeque;
use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

/// An OTLP/HTTP receiver that answers as told, and 200 when nothing more is.
struct Receiver {
    address: SocketAddr,
    got: Arc<Mutex<Vec<Request>>>,
}

impl Receiver {
    fn start(listener: TcpListener, answers: &[&'static str]) -> Self {
        let address = listener.local_addr().unwrap();
        let got = Arc::new(Mutex::new(Vec::new()));
        let (into, answers) = (Arc::clone(&got), Arc::new(Mutex::new(VecDeque::from(answers.to_vec()))));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (into, answers) = (Arc::clone(&into), Arc::clone(&answers));
                std::thread::spawn(move || {
                    let mut reader = BufReader::new(stream.try_clone().unwrap());
                    let mut writer = stream;
                    while let Ok(Some(request)) = Request::read(&mut reader) {
                        let answer = answers.lock().unwrap().pop_front().unwrap_or("200 OK\r\n");
                        if answer.starts_with("200") {
                            into.lock().unwrap().push(request);
                        }
                        write!(writer, "HTTP/1.1 {answer}content-length: 0\r\n\r\n").unwrap();
                    }
                });
            }
        });
        Receiver { address, got }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn bodies(&self) -> Vec<Vec<u8>> {
        self.got.lock().unwrap().iter().map(|request| request.body.clone()).collect()
    }

    /// The cost events: their attributes.
    fn costs(&self) -> Vec<Vec<(String, String)>> {
        let bodies = self.bodies();
        let requests = bodies.iter().filter_map(|body| serde_json::from_slice::<Value>(body).ok());
        let mut costs = Vec::new();
        for request in requests {
            let records =
                request["resourceLogs"][0]["scopeLogs"][0]["logRecords"].as_array().cloned().unwrap_or_default();
            let ours = records.iter().filter(|record| record["eventName"] == "codex_tally.response_cost");
            costs.extend(ours.map(|record| {
                let pair = |a: &Value| {
                    let value = a["value"].as_object().unwrap().values().next().unwrap();
                    (a["key"].as_str().unwrap().to_string(), value.as_str().unwrap().to_string())
                };
                record["attributes"].as_array().unwrap().iter().map(pair).collect::<Vec<_>>()
            }));
        }
        costs
    }
}

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

fn post(port: u16, token: &str, path: &str, content_type: &str, body: &[u8]) -> u16 {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("x-team", "search"), ("content-type", content_type)];
    call(SocketAddr::from(([127, 0, 0, 1], port)), "POST", path, &headers, body).status
}

fn token(env: &TestEnv) -> String {
    std::fs::read_to_string(env.home().join("token")).unwrap().trim().to_string()
}

fn waiting(env: &TestEnv) -> usize {
    let names = std::fs::read_dir(env.home().join("forward")).unwrap().map(|e| e.unwrap().file_name());
    names.filter(|name| name != "costs").count()
}

#[test]
fn requests_are_passed_on_unchanged_with_headers_of_their_own() {
    let env = TestEnv::new();
    let receiver = Receiver::start(listener(), &[]);
    std::fs::create_dir_all(env.home()).unwrap();
    let config = format!("[forward]\nurl = \"{}/base/\"\nheaders = {{ \"x-api-key\" = \"k1\" }}\n", receiver.url());
    std::fs::write(env.home().join("config.toml"), config).unwrap();
    let server = env.serve(&[]);
    let json = br#"{ "resourceLogs" : [ ] , "unknown": 1 }"#;
    assert_eq!(post(server.port(), &token(&env), "/v1/logs", "application/json", json), 200);
    assert_eq!(post(server.port(), &token(&env), "/v1/traces", "application/x-protobuf", b"\x0a\x00"), 200);
    assert_eq!(post(server.port(), "wrong", "/v1/logs", "application/json", json), 401);
    assert_eq!(post(server.port(), &token(&env), "/v1/logs", "application/json", b"{"), 400);
    eventually("both are passed on", || receiver.got.lock().unwrap().len() == 2);
    {
        let got = receiver.got.lock().unwrap();
        let seen: Vec<_> =
            got.iter().map(|r| (r.path.as_str(), r.header("content-type").unwrap(), &r.body[..])).collect();
        assert_eq!(seen[0], ("/base/v1/logs", "application/json", &json[..]));
        assert_eq!(seen[1], ("/base/v1/traces", "application/x-protobuf", &b"\x0a\x00"[..]));
        for request in got.iter() {
            assert_eq!(request.header("x-api-key"), Some("k1"));
            assert_eq!(
                (request.header("authorization"), request.header("x-team")),
                (None, None),
                "the sink's own affair"
            );
        }
    }
    eventually("nothing waits", || waiting(&env) == 0);
    assert!(server.stop().success());
}

#[test]
fn what_cannot_be_delivered_waits_and_nothing_is_sent_twice() {
    let env = TestEnv::new();
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let url = format!("http://{address}");
    let server = env.serve(&["--forward", &url]);
    let body = |i: u8| format!(r#"{{"resourceLogs":[],"n":{i}}}"#).into_bytes();
    for i in 0..3 {
        assert_eq!(
            post(server.port(), &token(&env), "/v1/logs", "application/json", &body(i)),
            200,
            "acked all the same"
        );
    }
    assert_eq!(waiting(&env), 3);
    assert!(server.stop().success());
    assert_eq!(waiting(&env), 3, "they outlive the sink");
    // The first answer asks for patience, the second refuses one for ever.
    let receiver =
        Receiver::start(TcpListener::bind(address).unwrap(), &["503 Busy\r\nretry-after: 1\r\n", "400 Bad\r\n"]);
    let server = env.serve(&["--forward", &url]);
    eventually("the rest is delivered", || waiting(&env) == 0);
    assert_eq!(receiver.bodies(), [body(1), body(2)], "in their order, less the one that was refused");
    assert!(server.stop().success());
}

#[test]
fn only_safe_receivers_are_taken() {
    let env = TestEnv::new();
    for (url, said) in
        [("http://otel.example.com", "not encrypted"), ("ftp://127.0.0.1", "not spoken here"), ("nonsense", "no URL")]
    {
        let failed = env.run(&["serve", "--http", "127.0.0.1:0", "--grpc", "none", "--forward", url]).fails(1);
        assert!(failed.stderr.contains(said), "{failed}");
    }
    let failed =
        env.run(&["serve", "--http", "127.0.0.1:0", "--forward", "http://me:hidden@otel.example.com"]).fails(1);
    assert!(!failed.stderr.contains("hidden"), "{failed}");
}

/// The real client, its telemetry and our costs at a receiver: the sum is the report's, and a restart says nothing twice.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run, or npm i --prefix target/codex @openai/codex@0.169.0")]
fn costs_and_owners_are_added() {
    let env = TestEnv::new().billed_by_the_api();
    let receiver = Receiver::start(listener(), &[]);
    let usage = Usage { input: 12_000, cached: 4_096, cache_write: 0, output: 350, reasoning: 128 };
    let answers = [Step::shell("call_1", "true").usage(usage), Step::message("done").usage(usage)];
    let model = MockModel::start(answers.to_vec());
    let url = receiver.url();
    let mut server = env.serve(&["--forward", &url]);
    let otel = server.otel();
    Codex::new(&env, &model).hook(HOOK).otel(otel).exec(&["do the thing"]);
    eventually("both responses' costs are told", || receiver.costs().len() == 2);
    assert!(server.stop().success());
    let report = env.run(&["report", "monthly", "--format", "json"]).ok().json();
    let pico = |text: &str| text.replace('.', "").parse::<i128>().unwrap();
    let value = |cost: &[(String, String)], name: &str| {
        cost.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    };
    let costs = receiver.costs();
    let sum: i128 = costs.iter().map(|cost| pico(&value(cost, "codex_tally.list_usd").unwrap())).sum();
    assert_eq!(sum, pico(report["totals"]["list_usd"].as_str().unwrap()));
    for cost in &costs {
        assert_eq!(value(cost, "team.id").as_deref(), Some("platform"));
        assert_eq!(value(cost, "gen_ai.usage.input_tokens").as_deref(), Some("12000"));
        assert!(value(cost, "gen_ai.response.id").is_some() && value(cost, "codex_tally.price_book").is_some());
    }
    let before = receiver.bodies().len();
    let server = env.serve(&["--forward", &url]);
    std::thread::sleep(std::time::Duration::from_secs(8));
    assert!(server.stop().success());
    assert_eq!(receiver.bodies().len(), before);
}

/// One log record that this sink has not seen.
const RECORD: &[u8] = br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"attributes":[{"key":"event.name","value":{"stringValue":"codex.x"}}]}]}]}]}"#;

#[test]
fn a_sink_does_not_pass_on_to_itself() {
    let env = TestEnv::new();
    let port = free_port();
    for (http, url) in [
        (format!("127.0.0.1:{port}"), format!("http://127.0.0.1:{port}")),
        (format!("127.0.0.1:{port}"), format!("http://localhost:{port}/base")),
        (format!("0.0.0.0:{port}"), format!("http://127.0.0.1:{port}/")),
    ] {
        let args = ["serve", "--http", &http, "--grpc", "none", "--allow-cleartext", "--forward", &url];
        let said = env.run(&args).fails(1);
        assert!(said.stderr.contains("is this sink itself") && said.stdout.is_empty(), "{url}: {said}");
    }
    // Another port of this machine is another's.
    let other = free_port();
    let server = env.serve(&["--forward", &format!("http://127.0.0.1:{other}")]);
    assert!(server.stop().success());
}

#[test]
fn in_a_ring_of_sinks_a_request_goes_round_no_more_than_a_few_times() {
    let (one, two) = (TestEnv::new(), TestEnv::new());
    let ports = [free_port(), free_port()];
    let serve = |env: &TestEnv, port: u16, to: u16| {
        let more = ["--grpc", "none", "--auth", "none", "--no-follow", "--forward", &format!("http://127.0.0.1:{to}")];
        env.serve_on(port, &more)
    };
    let (first, second) = (serve(&one, ports[0], ports[1]), serve(&two, ports[1], ports[0]));
    let headers = [("content-type", "application/json")];
    let address = SocketAddr::from(([127, 0, 0, 1], ports[0]));
    assert_eq!(call(address, "POST", "/v1/logs", &headers, RECORD).status, 200);
    eventually("it is told", || first.stderr().contains("do sinks pass on to each other in a ring?"));
    eventually("nothing waits", || waiting(&one) + waiting(&two) == 0);
    let said = [first, second].map(|server| {
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(i32::try_from(server.pid()).unwrap()).unwrap(),
            rustix::process::Signal::TERM,
        )
        .unwrap();
        eventually("it has ended", || server.stderr().contains("stopped: "));
        server.stderr()
    });
    assert!(said[0].contains("stopped: 3 requests") && said[0].contains("2 requests passed on"), "{}", said[0]);
    assert!(said[1].contains("stopped: 2 requests") && said[1].contains("2 requests passed on"), "{}", said[1]);
    assert!(said[0].contains("1 given up"), "{}", said[0]);
}
