//! The sink, over real sockets: every answer of the protocol, every limit, and what is stored.

use crate::support::client::{Client, call, request};
use crate::support::fixture;
use crate::support::memory_store::MemoryStore;
use crate::support::otlp_messages::{ExportLogsServiceResponse, Status, transcode};
use crate::support::test_sink::{TestSink, gzip, hasty, logs, start};
use codex_tally::model::Body;
use codex_tally::serve::{Auth, Event, Options, Stats, spawn};
use prost::Message;
use serde_json::{Value, json};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

const JSON: (&str, &str) = ("content-type", "application/json");
const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");

#[test]
fn full_success_is_empty_in_the_encoding_of_the_request() {
    let sink = start();
    let body = fixture("otlp/01_http_json_1.json");
    let answer = sink.post("/v1/logs", &[JSON], &body);
    assert_eq!((answer.status, answer.text(), answer.header("content-type")), (200, "{}", Some(JSON.1)));
    for content_type in ["application/json; charset=utf-8", "APPLICATION/JSON"] {
        let answer = sink.post("/v1/logs", &[("content-type", content_type)], &body);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(JSON.1)), "{content_type}");
    }
    for protobuf in [fixture("otlp/01_http_binary_1.bin"), transcode(&body), Vec::new()] {
        let answer = sink.post("/v1/logs", &[PROTOBUF], &protobuf);
        assert_eq!((answer.status, answer.body.len(), answer.header("content-type")), (200, 0, Some(PROTOBUF.1)));
    }
    for (path, kind) in [("/v1/traces", JSON), ("/v1/metrics", JSON), ("/v1/traces", PROTOBUF), ("/v1/logs", JSON)] {
        let answer = sink.post(path, &[kind], b"{}");
        let expected = if kind == JSON { "{}" } else { "" };
        assert_eq!((answer.status, answer.text(), answer.header("content-type")), (200, expected, Some(kind.1)));
        assert!(answer.header("access-control-allow-origin").is_none());
    }
    assert_eq!(sink.responses(), 2, "the captured session in JSON and another one in protobuf");
    let stats = sink.stop();
    assert_eq!((stats.requests, stats.logs, stats.traces, stats.metrics), (10, 7, 2, 1));
}

#[test]
fn rejected_records_are_a_partial_success() {
    let sink = start();
    let mut body: Value = serde_json::from_slice(&logs(1)).unwrap();
    let records = body["resourceLogs"][0]["scopeLogs"][0]["logRecords"].as_array_mut().unwrap();
    records.extend([json!(1), json!("x")]);
    let answer = sink.post("/v1/logs", &[JSON], body.to_string().as_bytes());
    let partial: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((answer.status, &partial["partialSuccess"]["rejectedLogRecords"]), (200, &json!("2")));
    assert!(!partial["partialSuccess"]["errorMessage"].as_str().unwrap().is_empty());
    assert_eq!(sink.responses(), 1);
    let timeless = String::from_utf8(logs(9)).unwrap().replace("1000009", "0");
    let answer = sink.post("/v1/logs", &[PROTOBUF], &transcode(timeless.as_bytes()));
    let partial = ExportLogsServiceResponse::decode(&answer.body[..]).unwrap().partial_success.unwrap();
    assert_eq!((answer.status, partial.rejected_log_records), (200, 1));
    assert!(!partial.error_message.is_empty());
    let store = sink.store.clone();
    let events = Arc::clone(&sink.events);
    assert_eq!(sink.stop().rejected, 3);
    assert_eq!(store.contents().counters["otlp.rejected"], 3, "counted at the latest when the sink stops");
    assert!(matches!(
        events.lock().unwrap()[..],
        [Event::Rejected { records: 2, .. }, Event::Rejected { records: 1, .. }]
    ));
}

/// One case of a refusal: method, path, headers, body, status, code of `google.rpc.Status`.
type Refused<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a [u8], u16, i32);

#[test]
fn every_refusal_is_a_status_in_the_encoding_of_the_request() {
    let sink = TestSink::start(Options { max_wire_bytes: 4096, max_body_bytes: 8192, ..Options::default() });
    let text = ("content-type", "text/plain");
    let gz = ("content-encoding", "gzip");
    let large = vec![b' '; 5000];
    let packed = gzip(&logs(1));
    let bomb = gzip(&vec![b' '; 9000]);
    let cut = &packed[..packed.len() - 9];
    let cases: [Refused; 26] = [
        ("GET", "/v1/logs", &[], b"", 405, 12),
        ("PUT", "/v1/traces", &[JSON], b"{}", 405, 12),
        ("OPTIONS", "/v1/metrics", &[PROTOBUF], b"", 405, 12),
        ("DELETE", "/v1/logs", &[PROTOBUF], b"", 405, 12),
        ("PATCH", "/v1/logs", &[JSON], b"{}", 405, 12),
        ("POST", "/", &[JSON], b"{}", 404, 5),
        ("POST", "/v1/logs/", &[JSON], b"{}", 404, 5),
        ("POST", "/v1/profiles", &[PROTOBUF], b"", 404, 5),
        ("GET", "/favicon.ico", &[], b"", 404, 5),
        ("POST", "/v1/logs", &[], b"{}", 415, 3),
        ("POST", "/v1/logs", &[text], b"{}", 415, 3),
        ("POST", "/v1/traces", &[text], b"{}", 415, 3),
        ("POST", "/v1/metrics", &[("content-type", "application/jsonp")], b"{}", 415, 3),
        ("POST", "/v1/logs", &[JSON, ("content-encoding", "br")], b"{}", 415, 3),
        ("POST", "/v1/logs", &[PROTOBUF, ("content-encoding", "gzip, gzip")], b"", 415, 3),
        ("POST", "/v1/logs", &[JSON, gz, gz], b"{}", 415, 3),
        ("POST", "/v1/logs", &[JSON, gz], b"{}", 400, 3),
        ("POST", "/v1/logs", &[PROTOBUF, gz], cut, 400, 3),
        ("POST", "/v1/logs", &[JSON], b"1234", 400, 3),
        ("POST", "/v1/logs", &[JSON], b"{\"resourceLogs\":", 400, 3),
        ("POST", "/v1/logs", &[PROTOBUF], b"1234", 400, 3),
        ("POST", "/v1/logs", &[PROTOBUF], b"\x0a\xff\x01", 400, 3),
        ("POST", "/v1/logs", &[JSON], &large, 413, 8),
        ("POST", "/v1/traces", &[PROTOBUF], &large, 413, 8),
        ("POST", "/v1/logs", &[JSON, gz], &bomb, 413, 8),
        ("POST", "/v1/logs", &[PROTOBUF, gz], &bomb, 413, 8),
    ];
    for (method, path, headers, body, status, code) in cases {
        let answer = call(sink.handle.addr, method, path, headers, body);
        let name = format!("{method} {path} {headers:?}");
        assert_eq!(answer.status, status, "{name}");
        let (got, message) = if headers.contains(&PROTOBUF) {
            assert_eq!(answer.header("content-type"), Some(PROTOBUF.1), "{name}");
            let status = Status::decode(&answer.body[..]).unwrap();
            (status.code, status.message)
        } else {
            assert_eq!(answer.header("content-type"), Some(JSON.1), "{name}");
            let status: Value = serde_json::from_slice(&answer.body).unwrap();
            (status["code"].as_i64().unwrap() as i32, status["message"].as_str().unwrap().to_string())
        };
        assert_eq!(got, code, "{name}");
        assert!(!message.is_empty() && message.len() <= 300, "{name}: {message}");
        assert_eq!(answer.header("allow"), (status == 405).then_some("POST"), "{name}");
    }
    let mut chunked = request("POST", "/v1/logs", &[JSON, ("transfer-encoding", "chunked")], b"");
    chunked.extend_from_slice(b"1388\r\n");
    chunked.extend_from_slice(&large);
    chunked.extend_from_slice(b"\r\n0\r\n\r\n");
    let mut client = sink.client();
    client.send(&chunked);
    assert_eq!(client.answer().unwrap().status, 413, "a length that was not announced is limited too");
    assert_eq!(sink.stop().refused, 27);
}

#[test]
fn bodies_up_to_the_limit_are_taken_packed_or_not() {
    let sink = TestSink::start(Options { max_wire_bytes: 4096, max_body_bytes: 8192, ..Options::default() });
    let mut body = logs(1);
    body.resize(4096, b' ');
    assert_eq!(sink.post("/v1/logs", &[JSON], &body).status, 200);
    body.push(b' ');
    assert_eq!(sink.post("/v1/logs", &[JSON], &body).status, 413);
    let mut body = logs(2);
    body.resize(8192, b' ');
    for encoding in ["gzip", "GZIP"] {
        assert_eq!(sink.post("/v1/logs", &[JSON, ("content-encoding", encoding)], &gzip(&body)).status, 200);
    }
    for encoding in ["identity", "none", ""] {
        assert_eq!(sink.post("/v1/logs", &[JSON, ("content-encoding", encoding)], &logs(3)).status, 200);
    }
    let members = [gzip(&transcode(&logs(4))), gzip(&transcode(&logs(5)))].concat();
    assert_eq!(sink.post("/v1/logs", &[PROTOBUF, ("content-encoding", "gzip")], &members).status, 200);
    assert_eq!(sink.responses(), 5);
}

#[test]
fn a_bomb_is_refused_by_its_ratio_before_its_size() {
    let sink = start();
    let bomb = gzip(&vec![0; 4 << 20]);
    assert!(bomb.len() < 8192);
    let answer = sink.post("/v1/logs", &[PROTOBUF, ("content-encoding", "gzip")], &bomb);
    assert_eq!(answer.status, 413);
}

#[test]
fn only_the_right_token_is_let_in() {
    let sink = TestSink::start(Options { auth: Auth::Token("s3cret".into()), ..Options::default() });
    let bearer = |value| ("authorization", value);
    assert_eq!(sink.post("/v1/logs", &[JSON, bearer("Bearer s3cret")], &logs(1)).status, 200);
    let bad: [&[(&str, &str)]; 5] = [
        &[JSON],
        &[JSON, bearer("Bearer wrong")],
        &[JSON, bearer("s3cret")],
        &[JSON, bearer("Bearer s3cret"), bearer("Bearer s3cret")],
        &[JSON, ("x-token", "s3cret")],
    ];
    for headers in bad {
        let answer = sink.post("/v1/logs", headers, &logs(2));
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")), "{headers:?}");
        assert_eq!(serde_json::from_slice::<Value>(&answer.body).unwrap()["code"], 16);
    }
    assert_eq!(sink.responses(), 1);
    let events = Arc::clone(&sink.events);
    assert_eq!(*events.lock().unwrap(), [Event::Unauthorized { requests: 1 }], "at once, then not for a minute");
    assert_eq!(sink.stop().unauthorized, 5);
    let events = events.lock().unwrap();
    assert_eq!(events[1], Event::Unauthorized { requests: 4 });
    assert!(events[1].to_string().contains("4 requests refused"));
}

#[test]
fn an_empty_token_is_no_token() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let options = Options { auth: Auth::Token(String::new()), ..Options::default() };
    let handle = spawn(listener, Box::<MemoryStore>::default(), options, Box::new(|_| {})).unwrap();
    assert!(handle.join().unwrap_err().to_string().contains("token is empty"));
}

#[test]
fn pages_and_foreign_hosts_are_refused_before_their_body() {
    let sink = start();
    let port = sink.handle.addr.port();
    let good = ["127.0.0.1".to_string(), format!("127.0.0.1:{port}"), "localhost:1".into(), "[::1]:4318".into()];
    for host in &good {
        assert_eq!(sink.post("/v1/logs", &[JSON, ("host", host)], b"{}").status, 200, "{host}");
    }
    assert_eq!(sink.post("/v1/logs", &[JSON, ("sec-fetch-site", "none")], b"{}").status, 200);
    let hosts = ["127.evil.com", "", "localhost.", "a@localhost", "127.0.0.1:0", "127.0.0.1.evil.com", "evil.com:4318"];
    let mut bad: Vec<Vec<(&str, &str)>> = hosts.iter().map(|host| vec![JSON, ("host", *host)]).collect();
    bad.push(vec![JSON, ("host", "127.0.0.1"), ("host", "127.0.0.1")]);
    bad.push(vec![JSON, ("host", "127.0.0.1"), ("host", "evil.com")]);
    for origin in ["http://evil.com", "null", "http://localhost:4318", "http://127.0.0.1"] {
        bad.push(vec![JSON, ("origin", origin)]);
    }
    for site in ["cross-site", "same-site", "same-origin", ""] {
        bad.push(vec![JSON, ("sec-fetch-site", site)]);
    }
    for headers in &mut bad {
        // The body never comes: the answer must not wait for it.
        headers.push(("content-length", "1000"));
        let answer = sink.post("/v1/logs", headers, b"");
        assert_eq!(answer.status, 403, "{headers:?}");
        assert!(answer.headers.iter().all(|(name, _)| !name.starts_with("access-control")));
    }
    let mut client = sink.client();
    client.send(b"POST /v1/logs HTTP/1.0\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}");
    assert_eq!(client.answer().unwrap().status, 403, "no host at all");
    let absolute = request("POST", "http://evil.com/v1/logs", &[JSON], b"{}");
    let mut client = sink.client();
    client.send(&absolute);
    assert_eq!(client.answer().unwrap().status, 403, "a foreign host in the request line");
}

#[test]
fn a_connection_is_kept_for_the_next_request() {
    let sink = start();
    let mut client = sink.client();
    for n in 0..3 {
        client.send(&request("POST", "/v1/logs", &[JSON], &logs(n)));
        assert_eq!(client.answer().unwrap().status, 200);
    }
    client.send(&request("POST", "/v1/logs", &[JSON], b"nonsense"));
    assert_eq!(client.answer().unwrap().status, 400);
    client.send(
        &[request("POST", "/v1/logs", &[JSON], &logs(3)), request("POST", "/v1/logs", &[JSON], &logs(4))].concat(),
    );
    assert_eq!((client.answer().unwrap().status, client.answer().unwrap().status), (200, 200));
    assert_eq!(sink.responses(), 5);
}

#[test]
fn what_is_sent_twice_is_stored_once() {
    let sink = start();
    let body = fixture("otlp/01_http_json_2.json");
    for team in ["a", "a", "b"] {
        assert_eq!(sink.post("/v1/logs", &[JSON, ("X-Team", team)], &body).status, 200);
        assert_eq!(sink.post("/v1/logs", &[PROTOBUF, ("X-Team", team)], &transcode(&body)).status, 200);
    }
    assert_eq!(sink.responses(), 2);
    assert_eq!(sink.teams(), ["a", "b"]);
}

#[test]
fn requests_that_wait_are_committed_together() {
    let sink = start();
    sink.store.contents().delay = Duration::from_millis(50);
    std::thread::scope(|scope| {
        for n in 0..32 {
            let sink = &sink;
            scope.spawn(move || assert_eq!(sink.post("/v1/logs", &[JSON], &logs(n)).status, 200));
        }
    });
    assert_eq!(sink.responses(), 32);
    assert!(sink.store.contents().appends <= 16, "{} transactions", sink.store.contents().appends);
}

#[test]
fn one_bad_batch_does_not_fail_the_others() {
    let sink = start();
    sink.store.contents().delay = Duration::from_millis(50);
    let poison = |batch: &codex_tally::store::Batch| {
        batch.observations.iter().any(|o| matches!(&o.body, Body::Response(r) if r.usage.input == 13))
    };
    sink.store.contents().refuse = Some(poison);
    std::thread::scope(|scope| {
        for n in 0..16 {
            let sink = &sink;
            scope.spawn(move || {
                let answer = sink.post("/v1/logs", &[JSON], &logs(n));
                let retry_after = answer.header("retry-after").is_some();
                assert_eq!((answer.status, retry_after), if n == 13 { (503, true) } else { (200, false) }, "{n}");
            });
        }
    });
    assert_eq!(sink.responses(), 15);
    let events = Arc::clone(&sink.events);
    let stats = sink.stop();
    assert_eq!((stats.failed, stats.logs), (1, 15));
    assert!(
        matches!(&events.lock().unwrap()[..], [Event::StoreFailed { requests: 1, why }] if why.contains("refused"))
    );
}

#[test]
fn what_is_not_kept_is_not_committed() {
    let sink = start();
    let noise = String::from_utf8(logs(1)).unwrap().replace("input_token_count", "other");
    for _ in 0..3 {
        assert_eq!(sink.post("/v1/logs", &[JSON], noise.as_bytes()).status, 200);
    }
    assert_eq!(sink.store.contents().appends, 0);
    sink.post("/v1/logs", &[JSON], &logs(1));
    assert_eq!(sink.store.contents().counters["otlp.ignored"], 3, "counted along with the next commit");
    sink.post("/v1/logs", &[JSON], noise.as_bytes());
    let store = sink.store.clone();
    assert_eq!(sink.stop().commits, 2);
    assert_eq!(store.contents().counters["otlp.ignored"], 4, "and at the end");
}

#[test]
fn a_request_that_has_begun_is_finished_when_the_sink_stops() {
    let mut sink = start();
    sink.store.contents().delay = Duration::from_millis(300);
    let addr = sink.handle.addr;
    let mut idle = sink.client();
    idle.send(&request("POST", "/v1/logs", &[JSON], b"{}"));
    assert_eq!(idle.answer().unwrap().status, 200);
    let whole = request("POST", "/v1/logs", &[JSON], &logs(1));
    let (first, rest) = whole.split_at(whole.len() - 10);
    let mut busy = sink.client();
    busy.send(first);
    std::thread::sleep(Duration::from_millis(100));
    sink.handle.stop();
    std::thread::sleep(Duration::from_millis(100));
    busy.send(rest);
    assert_eq!(busy.answer().unwrap().status, 200);
    assert!(idle.answer().is_none(), "a connection without a request is closed");
    let store = sink.store.clone();
    let began = Instant::now();
    assert_eq!(sink.handle.join().unwrap().stored, 2);
    assert!(began.elapsed() < Duration::from_secs(3));
    assert_eq!(store.contents().observations.len(), 2);
    assert!(std::net::TcpStream::connect(addr).is_err(), "nobody listens any more");
}

#[test]
fn stopping_does_not_wait_for_ever() {
    let mut sink = TestSink::start(Options { stop_timeout: Duration::from_millis(200), ..Options::default() });
    let mut stuck = sink.client();
    stuck.send(&request("POST", "/v1/logs", &[JSON, ("content-length", "100")], b"{"));
    std::thread::sleep(Duration::from_millis(100));
    let began = Instant::now();
    sink.handle.stop();
    sink.handle.join().unwrap();
    assert!(began.elapsed() < Duration::from_secs(3));
    assert!(stuck.answer().is_none());
}

#[test]
fn slow_and_silent_clients_are_closed() {
    let sink = TestSink::start(hasty());
    let closed = |client: &mut Client, most: u64, name: &str| {
        let began = Instant::now();
        assert!(client.answer().is_none(), "{name}");
        assert!(began.elapsed() < Duration::from_millis(most), "{name}: {:?}", began.elapsed());
    };
    closed(&mut sink.client(), 3000, "says nothing");
    let mut half_head = sink.client();
    half_head.send(b"POST /v1/logs HTTP/1.1\r\nhost: 127.0.0.1\r\n");
    closed(&mut half_head, 3000, "half a head");
    let mut half_body = sink.client();
    half_body.send(&request("POST", "/v1/logs", &[JSON, ("content-length", "100")], b"{\"resourceLogs\""));
    assert_eq!(half_body.answer().unwrap().status, 408);
    closed(&mut half_body, 2000, "half a body");
    let mut idle = sink.client();
    idle.send(&request("POST", "/v1/logs", &[JSON], &logs(1)));
    assert_eq!(idle.answer().unwrap().status, 200);
    std::thread::sleep(Duration::from_millis(500));
    idle.send(&request("POST", "/v1/logs", &[JSON], &logs(2)));
    assert_eq!(idle.answer().unwrap().status, 200, "between requests more time passes than a head may take");
    closed(&mut idle, 3000, "no further request");
    let mut drip = sink.client();
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(200) {
        drip.send(b"x");
        std::thread::sleep(Duration::from_millis(20));
    }
    closed(&mut drip, 3000, "a head in drops");
}

#[test]
fn connections_and_memory_beyond_the_limit_wait() {
    let sink = TestSink::start(Options { max_connections: 2, max_memory_bytes: 1024, ..hasty() });
    let holders = [sink.client(), sink.client()];
    let began = Instant::now();
    assert_eq!(sink.post("/v1/logs", &[JSON], &logs(1)).status, 200, "served once the silent ones are closed");
    assert!(began.elapsed() >= Duration::from_millis(200));
    drop(holders);
    std::thread::scope(|scope| {
        for n in 0..8 {
            let sink = &sink;
            scope.spawn(move || assert_eq!(sink.post("/v1/logs", &[JSON], &logs(n)).status, 200));
        }
    });
    assert_eq!(sink.responses(), 8);
}

#[test]
fn a_port_in_use_is_an_error_of_the_caller() {
    let sink = start();
    let error = TcpListener::bind(sink.handle.addr).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    assert_eq!(sink.stop(), Stats::default());
}
