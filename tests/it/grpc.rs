//! OTLP/gRPC, over real sockets and with the client that exporters use: every status, every limit, and what is stored.

use crate::support::client::{Client, call};
use crate::support::fixture;
use crate::support::grpc::{Exporter, LOGS, METRICS, Plain, TRACES, framed};
use crate::support::otlp_messages::{ExportLogsServiceResponse, transcode};
use crate::support::test_sink::{TestSink, gzip, hasty, logs, start};
use crate::support::{Capture, TestEnv};
use codex_tally::serve::{Auth, Event, Options, Stats};
use prost::Message;
use serde_json::Value;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tonic::Code;

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");

fn addr(sink: &TestSink) -> SocketAddr {
    sink.handle.grpc_addr.expect("a second door")
}

fn exporter(sink: &TestSink) -> Exporter {
    Exporter::new(addr(sink))
}

/// A logs message with one response record of `n` input tokens.
fn message(n: u64) -> Vec<u8> {
    transcode(&logs(n))
}

#[test]
fn full_success_is_an_empty_message() {
    let sink = start();
    for client in [exporter(&sink), exporter(&sink).gzip()] {
        for body in [fixture("otlp/01_http_binary_1.bin"), message(1), Vec::new()] {
            assert_eq!(client.send(LOGS, &[], &body).unwrap(), b"");
        }
        for method in [TRACES, METRICS] {
            assert_eq!(client.send(method, &[], b"").unwrap(), b"");
            assert_eq!(client.send(method, &[], &vec![7; 300_000]).unwrap(), b"", "not even looked at");
        }
    }
    assert_eq!(sink.responses(), 2);
    let stats = sink.stop();
    assert_eq!((stats.requests, stats.logs, stats.traces, stats.metrics), (14, 6, 4, 4));
    assert_eq!((stats.refused, stats.failed, stats.unauthorized), (0, 0, 0));
}

#[test]
fn rejected_records_are_a_partial_success() {
    let sink = start();
    let timeless = String::from_utf8(logs(9)).unwrap().replace("1000009", "0");
    let answer = exporter(&sink).send(LOGS, &[], &transcode(timeless.as_bytes())).unwrap();
    let partial = ExportLogsServiceResponse::decode(&answer[..]).unwrap().partial_success.unwrap();
    assert_eq!(partial.rejected_log_records, 1);
    assert!(!partial.error_message.is_empty());
    let events = Arc::clone(&sink.events);
    assert_eq!(sink.stop().rejected, 1);
    assert!(matches!(events.lock().unwrap()[..], [Event::Rejected { records: 1, .. }]));
}

#[test]
fn what_is_sent_through_both_doors_is_stored_once() {
    let sink = start();
    let body = fixture("otlp/01_http_json_2.json");
    let (plain, packed) = (exporter(&sink), exporter(&sink).gzip());
    for team in ["a", "a", "b"] {
        plain.send(LOGS, &[("x-team", team)], &transcode(&body)).unwrap();
        packed.send(LOGS, &[("x-team", team)], &transcode(&body)).unwrap();
        let json = ("content-type", "application/json");
        assert_eq!(sink.post("/v1/logs", &[json, ("X-Team", team)], &body).status, 200);
        assert_eq!(sink.post("/v1/logs", &[PROTOBUF, ("X-Team", team)], &transcode(&body)).status, 200);
    }
    assert_eq!(sink.responses(), 2);
    assert_eq!(sink.teams(), ["a", "b"]);
    let count = sink.store.contents().observations.len() as u64;
    let stats = sink.stop();
    assert_eq!((stats.stored, stats.conflicts, stats.logs), (count, 0, 12));
}

#[test]
fn unknown_methods_are_unimplemented() {
    let sink = start();
    let client = exporter(&sink);
    for method in [
        "/",
        "/v1/logs",
        "/opentelemetry.proto.collector.logs.v1.LogsService/Import",
        "/opentelemetry.proto.collector.logs.v1.LogsService/Export/",
        "/opentelemetry.proto.collector.logs.v2.LogsService/Export",
        "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export",
        "/grpc.health.v1.Health/Check",
    ] {
        assert_eq!(client.refused(method, &[], &message(1)), Code::Unimplemented, "{method}");
    }
    let stats = sink.stop();
    assert_eq!((stats.requests, stats.refused, stats.stored), (7, 7, 0));
}

#[test]
fn what_is_not_a_logs_request_is_an_invalid_argument() {
    let sink = start();
    for client in [exporter(&sink), exporter(&sink).gzip()] {
        for body in [&b"1234"[..], b"\x0a\xff\x01", &[0xff; 200_000]] {
            assert_eq!(client.refused(LOGS, &[], body), Code::InvalidArgument);
        }
        client.send(LOGS, &[], &message(1)).expect("the connection goes on");
    }
    let stats = sink.stop();
    assert_eq!((stats.refused, stats.failed, stats.logs), (6, 0, 2));
}

#[test]
fn what_is_too_large_is_refused_for_good_packed_or_not() {
    let sink = TestSink::start(Options { max_wire_bytes: 4096, max_body_bytes: 8192, ..Options::default() });
    let (plain, packed) = (exporter(&sink), exporter(&sink).gzip());
    for method in [LOGS, TRACES, METRICS] {
        assert_eq!(plain.refused(method, &[], &vec![0; 4097]), Code::ResourceExhausted, "{method}");
        assert_eq!(plain.refused(method, &[], &vec![0; 1 << 20]), Code::ResourceExhausted, "{method}");
    }
    assert_eq!(packed.refused(LOGS, &[], &vec![0; 8193]), Code::ResourceExhausted);
    assert_eq!(packed.refused(LOGS, &[], &noise(5000)), Code::ResourceExhausted, "packed it is too large as well");
    plain.send(LOGS, &[], &filled(1, &vec![b' '; 4096])).unwrap();
    packed.send(LOGS, &[], &filled(2, &vec![b' '; 8192])).unwrap();
    assert_eq!(sink.responses(), 2);
    let stats = sink.stop();
    assert_eq!((stats.refused, stats.failed, stats.logs), (8, 0, 2));
}

/// A logs message that is as long as `filling`: the rest of it, in a field that nobody knows.
fn filled(n: u64, filling: &[u8]) -> Vec<u8> {
    let mut body = message(n);
    let rest = filling.len() - body.len() - 6;
    body.extend([0xfa, 0x07]);
    body.extend((0..4).map(|i| (rest >> (7 * i)) as u8 & 0x7f | if i < 3 { 0x80 } else { 0 }));
    body.extend(&filling[filling.len() - rest..]);
    assert_eq!(body.len(), filling.len());
    body
}

/// Bytes that cannot be packed.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u32;
    let byte = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(byte).take(length).collect()
}

#[test]
fn what_is_larger_than_usual_in_grpc_is_taken() {
    let sink = start();
    exporter(&sink).send(LOGS, &[], &filled(1, &noise(6 << 20))).unwrap();
    exporter(&sink).gzip().send(LOGS, &[], &filled(2, &noise(6 << 20))).unwrap();
    assert_eq!(sink.responses(), 2);
}

#[test]
fn large_messages_on_one_connection_wait_for_room_and_not_for_each_other() {
    let sink = TestSink::start(Options { max_memory_bytes: 2 << 20, ..Options::default() });
    let filling = noise(1 << 20);
    exporter(&sink).send_all(LOGS, (0..48).map(|n| filled(n, &filling)));
    exporter(&sink).gzip().send_all(LOGS, (48..56).map(|n| filled(n, &filling)));
    assert_eq!(sink.responses(), 56);
}

#[test]
fn a_bomb_is_refused_by_its_ratio_before_its_size() {
    let sink = start();
    assert_eq!(exporter(&sink).gzip().refused(LOGS, &[], &vec![0; 4 << 20]), Code::ResourceExhausted);
    // What is not kept is not inflated either.
    exporter(&sink).gzip().send(TRACES, &[], &vec![0; 4 << 20]).unwrap();
}

#[test]
fn only_the_right_token_is_let_in_and_the_user_is_told_once() {
    let sink = TestSink::start(Options { auth: Auth::Token("s3cret".into()), ..Options::default() });
    let client = exporter(&sink);
    let bearer = |value| ("authorization", value);
    client.send(LOGS, &[bearer("Bearer s3cret")], &message(1)).unwrap();
    let bad: [&[(&str, &str)]; 4] =
        [&[], &[bearer("Bearer wrong")], &[bearer("s3cret")], &[bearer("Bearer s3cret"), bearer("Bearer s3cret")]];
    for metadata in bad {
        for method in [LOGS, TRACES] {
            assert_eq!(client.refused(method, metadata, &message(2)), Code::Unauthenticated, "{metadata:?}");
        }
    }
    assert_eq!(sink.post("/v1/logs", &[PROTOBUF], &message(2)).status, 401);
    assert_eq!(sink.responses(), 1);
    let events = Arc::clone(&sink.events);
    assert_eq!(*events.lock().unwrap(), [Event::Unauthorized { requests: 1 }], "at once, then not for a minute");
    assert_eq!(sink.stop().unauthorized, 9);
    assert_eq!(events.lock().unwrap()[1], Event::Unauthorized { requests: 8 }, "both doors in one warning");
}

#[test]
fn pages_and_foreign_authorities_are_refused() {
    let sink = start();
    for authority in ["http://localhost:4317", "http://127.0.0.1:1", "http://[::1]:4317", "http://LOCALHOST"] {
        Exporter::calling(addr(&sink), authority).send(LOGS, &[], b"").unwrap();
    }
    for authority in ["http://evil.com", "http://127.0.0.1.evil.com:4317", "http://localhost.", "http://127.0.0.2"] {
        let client = Exporter::calling(addr(&sink), authority);
        assert_eq!(client.refused(LOGS, &[], &message(1)), Code::PermissionDenied, "{authority}");
    }
    let client = exporter(&sink);
    for metadata in [
        &[("origin", "http://evil.com")][..],
        &[("origin", "null")],
        &[("origin", "http://127.0.0.1:4317")],
        &[("sec-fetch-site", "same-origin")],
        &[("host", "evil.com")],
        &[("host", "127.0.0.1"), ("host", "127.0.0.1")],
    ] {
        assert_eq!(client.refused(LOGS, metadata, &message(1)), Code::PermissionDenied, "{metadata:?}");
    }
    client.send(LOGS, &[("host", "localhost")], b"").expect("a host beside the authority, both ours");
    assert_eq!(sink.stop().stored, 0);
}

#[test]
fn a_store_that_fails_is_unavailable() {
    let sink = start();
    sink.store.contents().refuse = Some(|_| true);
    let client = exporter(&sink);
    assert_eq!(client.refused(LOGS, &[], &message(1)), Code::Unavailable);
    sink.store.contents().refuse = None;
    client.send(LOGS, &[], &message(1)).unwrap();
    assert_eq!(sink.responses(), 1);
    let events = Arc::clone(&sink.events);
    let stats = sink.stop();
    assert_eq!((stats.failed, stats.refused, stats.logs), (1, 0, 1));
    assert!(matches!(events.lock().unwrap()[..], [Event::StoreFailed { requests: 1, .. }]));
}

#[test]
fn requests_that_wait_are_committed_together() {
    let sink = start();
    sink.store.contents().delay = Duration::from_millis(50);
    // A client does not know yet how many it may send at once when it opens its connection.
    exporter(&sink).send_all(LOGS, (0..300).map(message));
    assert_eq!(sink.responses(), 300);
    assert!(sink.store.contents().appends <= 150, "{} transactions", sink.store.contents().appends);
}

#[test]
fn a_body_that_is_not_one_message_is_refused() {
    let sink = start();
    let whole = framed(0, &message(1));
    let packed = gzip(&message(1));
    let cases: [(&str, Vec<Vec<u8>>, bool, Code); 10] = [
        ("in pieces", whole.chunks(3).map(<[u8]>::to_vec).collect(), false, Code::Ok),
        ("packed", vec![framed(1, &packed)], true, Code::Ok),
        ("nothing", vec![], false, Code::InvalidArgument),
        ("half a length", vec![vec![0, 0, 0]], false, Code::InvalidArgument),
        ("half a message", vec![whole[..50].to_vec()], false, Code::InvalidArgument),
        ("two messages", vec![whole.clone(), whole.clone()], false, Code::InvalidArgument),
        ("a byte too much", vec![[&whole[..], b"x"].concat()], false, Code::InvalidArgument),
        ("a strange flag", vec![framed(2, &message(1))], false, Code::InvalidArgument),
        ("not packed at all", vec![framed(1, &message(1))], true, Code::InvalidArgument),
        ("packed, but nobody said how", vec![framed(1, &packed)], false, Code::Internal),
    ];
    let mut client = Plain::connect(addr(&sink));
    for (name, pieces, gzip, code) in cases {
        let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        let answer = client.call(&pieces, true, |request| {
            if gzip {
                request.headers_mut().insert("grpc-encoding", "gzip".parse().unwrap());
            }
        });
        assert_eq!((answer.status, answer.code), (200, Some(code)), "{name}: {answer:?}");
        assert_eq!(answer.headers["content-type"], "application/grpc", "{name}");
        assert_eq!(answer.message, if code == Code::Ok { vec![0; 5] } else { Vec::new() }, "{name}");
    }
    assert_eq!(sink.responses(), 1);
}

#[test]
fn the_head_is_answered_before_the_body_comes() {
    let sink = start();
    let mut client = Plain::connect(addr(&sink));
    let long = [&[0][..], &u32::MAX.to_be_bytes()].concat();
    assert_eq!(client.call(&[&long], false, |_| ()).code, Some(Code::ResourceExhausted));
    let answer = client.call(&[], false, |r| *r.uri_mut() = format!("http://evil.com{LOGS}").parse().unwrap());
    assert_eq!((answer.status, answer.code), (200, Some(Code::PermissionDenied)));
    let answer = client.call(&[], false, |request| *request.method_mut() = hyper::Method::PUT);
    assert_eq!(answer.code, Some(Code::Unimplemented));
    for kind in ["application/json", "application/grpc-web", "application/grpc+json", "application/x-protobuf", ""] {
        let answer = client.call(&[], false, |request| {
            request.headers_mut().insert("content-type", kind.parse().unwrap());
        });
        assert_eq!((answer.status, answer.code), (415, Some(Code::InvalidArgument)), "{kind}");
    }
    for kind in ["application/grpc+proto", "Application/gRPC; x=y"] {
        let answer = client.call(&[&framed(0, b"")], true, |request| {
            request.headers_mut().insert("content-type", kind.parse().unwrap());
        });
        assert_eq!((answer.status, answer.code), (200, Some(Code::Ok)), "{kind}");
    }
    let answer = client.call(&[&framed(1, b"x")], true, |request| {
        request.headers_mut().insert("grpc-encoding", "snappy".parse().unwrap());
    });
    assert_eq!(answer.code, Some(Code::Unimplemented));
    assert!(answer.headers["grpc-accept-encoding"].to_str().unwrap().contains("gzip"), "{answer:?}");
}

#[test]
fn slow_and_silent_clients_are_closed() {
    let sink = TestSink::start(hasty());
    let mut silent = Client::connect(addr(&sink));
    let began = Instant::now();
    assert!(silent.answer().is_none(), "no greeting");
    let mut half = Plain::connect(addr(&sink));
    let whole = framed(0, &message(1));
    assert_eq!(half.call(&[&whole[..20]], false, |_| ()).code, Some(Code::DeadlineExceeded), "half a message");
    assert_eq!(half.call(&[b"\0"], false, |_| ()).code, Some(Code::DeadlineExceeded), "half a length");
    assert_eq!(half.call(&[&whole], true, |_| ()).code, Some(Code::Ok), "the others on the connection go on");
    half.closed();
    Plain::connect(addr(&sink)).closed();
    let mut http1 = Client::connect(addr(&sink));
    http1.send(b"POST /v1/logs HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n");
    while http1.answer().is_some() {}
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn an_exporter_that_was_idle_for_long_loses_nothing() {
    let options = Options { idle_timeout: Duration::from_millis(200), ..Options::default() };
    let sink = TestSink::start(options);
    let client = exporter(&sink);
    for n in 0..4 {
        client.send(LOGS, &[], &message(n)).expect("a new connection where the old one was closed");
        std::thread::sleep(Duration::from_millis(if n % 2 == 0 { 700 } else { 10 }));
    }
    assert_eq!(sink.responses(), 4);
}

#[test]
fn connections_and_memory_beyond_the_limit_wait() {
    let sink = TestSink::start(Options { max_connections: 2, max_memory_bytes: 1024, ..hasty() });
    let holders = [TcpStream::connect(addr(&sink)).unwrap(), TcpStream::connect(addr(&sink)).unwrap()];
    let began = Instant::now();
    assert_eq!(sink.post("/v1/logs", &[PROTOBUF], &message(1)).status, 200, "the other door has its own room");
    let client = exporter(&sink);
    client.send(LOGS, &[], &message(2)).expect("served once the silent ones are closed");
    assert!(began.elapsed() >= Duration::from_millis(200));
    drop(holders);
    client.send_all(LOGS, (0..32).map(message));
    assert_eq!(sink.responses(), 32);
}

#[test]
fn a_request_that_has_begun_is_finished_when_the_sink_stops() {
    let mut sink = start();
    let addr = addr(&sink);
    let mut idle = Plain::connect(addr);
    assert_eq!(idle.call(&[&framed(0, b"")], true, |_| ()).code, Some(Code::Ok));
    sink.store.contents().delay = Duration::from_millis(600);
    let client = exporter(&sink);
    std::thread::scope(|scope| {
        let busy = scope.spawn(|| client.send(LOGS, &[], &message(1)));
        std::thread::sleep(Duration::from_millis(300));
        sink.handle.stop();
        busy.join().unwrap().expect("finished");
    });
    idle.closed();
    let store = sink.store.clone();
    let began = Instant::now();
    assert_eq!(sink.handle.join().unwrap().stored, 2);
    assert!(began.elapsed() < Duration::from_secs(3));
    assert_eq!(store.contents().observations.len(), 2);
    assert!(TcpStream::connect(addr).is_err(), "nobody listens any more");
}

#[test]
fn a_captured_session_gives_its_totals() {
    let capture = Capture::named("01_grpc");
    let env = TestEnv::new();
    let mut server = env.serve(&[]);
    let otel = server.otel_over_grpc();
    let otlp = &otel["exporter"]["otlp-grpc"];
    assert_eq!(otlp["endpoint"].as_str(), Some(format!("http://127.0.0.1:{}", server.grpc_port()).as_str()));
    let token = otlp["headers"]["authorization"].as_str().unwrap().to_string();
    let client = Exporter::new(([127, 0, 0, 1], server.grpc_port()).into());
    for _ in 0..2 {
        for body in capture.bodies() {
            assert_eq!(client.send(LOGS, &[("authorization", &token), ("x-team", "platform")], &body).unwrap(), b"");
        }
    }
    assert!(server.stop().success());
    let report = env.run(&["report", "monthly", "--no-import", "--format", "json"]).ok().json();
    let expected: Value = capture.expected();
    for field in
        ["responses", "input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens"]
    {
        assert_eq!(report["totals"][field], expected[field], "{field}");
    }
    assert_eq!(report["totals"]["list_usd"], expected["list_usd"]);
    assert_eq!(report["coverage"]["responses_by_source"], serde_json::json!({ "otlp": expected["responses"] }));
}

#[test]
fn a_port_in_use_says_what_to_do_and_none_closes_the_door() {
    let env = TestEnv::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let out = env.run(&["serve", "--http", "127.0.0.1:0", "--grpc", &address]).fails(1);
    for part in [address.as_str(), "another port with --grpc", "--grpc none"] {
        assert!(out.stderr.contains(part), "{out}");
    }
    assert!(out.stdout.is_empty(), "{out}");
    let out = env.run(&["serve", "--http", "127.0.0.1:0", "--grpc", "0.0.0.0:0", "--auth", "none"]).fails(1);
    assert!(out.stderr.contains("loopback only"), "{out}");
    let _ = env.run(&["serve", "--grpc", "nowhere"]).fails(2);
    let mut server = env.serve(&["--grpc", "none"]);
    server.otel();
    assert!(!server.stderr().contains("gRPC") && !server.stdout().contains("grpc"), "{}", server.stderr());
    let http = ([127, 0, 0, 1], server.port()).into();
    assert_eq!(call(http, "POST", "/v1/logs", &[PROTOBUF], b"").status, 401);
    assert!(server.stop().success());
}

#[test]
fn nothing_is_counted_where_nothing_came() {
    let sink = start();
    drop(TcpStream::connect(addr(&sink)).unwrap());
    assert_eq!(sink.stop(), Stats::default());
}
