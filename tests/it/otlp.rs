//! OTLP requests of the real Codex and their odd relatives become observations.

use crate::support::fixture;
use crate::support::otlp_messages::{
    AnyValue, AnyValueKind, ArrayValue, ExportLogsServiceRequest, KeyValue, LogRecord, ResourceLogs, ScopeLogs,
    transcode,
};
use codex_tally::ingest::otlp::{ClientHeaders, Decoded, MAX_RECORDS, decode_json, decode_protobuf};
use codex_tally::model::{Body, Context, Observation, ThreadId, Timestamp, TokenUsage};
use prost::Message;
use serde_json::{Value, json};

const THREAD: &str = "01a1fbc1-b2d8-74a2-955e-70a1f37fabfe";

fn decode(body: &[u8]) -> Decoded {
    decode_json(body, &ClientHeaders::default()).unwrap()
}

/// A short text for each observation that is no context.
fn outline(decoded: &Decoded) -> Vec<String> {
    let line = |o: &Observation| {
        Some(match &o.body {
            Body::Context(_) => return None,
            Body::Response(r) => {
                let u = &r.usage;
                let tokens = [u.input, u.cached_input, u.cache_write, u.output, u.reasoning].map(|n| n.to_string());
                format!("response {} {}", r.model.as_deref().unwrap_or("-"), tokens.join("/"))
            }
            Body::ToolCall(t) => {
                let container = if t.container { " container" } else { "" };
                let name = t.name.as_deref().unwrap_or("-");
                format!("tool {name} {} {:?} {:?}{container}", t.call_id, t.exit_code, t.success)
            }
            Body::Attempt(a) => format!("attempt {} {}", a.kind, a.status.as_deref().unwrap_or("-")),
            Body::Sighting(s) => format!("sighting {}", s.provider.as_deref().unwrap_or("-")),
            Body::Prompt(_) => "prompt".to_string(),
            Body::TurnCost(c) => format!("cost {} {}", c.turn, c.estimated_usd),
            Body::Link(l) => format!("link {} -> {}", o.thread, l.session),
            other => format!("{other:?}"),
        })
    };
    decoded.observations.iter().filter_map(line).collect()
}

fn contexts(decoded: &Decoded) -> Vec<&Context> {
    let context = |o: &'_ Observation| matches!(&o.body, Body::Context(_));
    let all = decoded.observations.iter().filter(|o| context(o));
    all.filter_map(|o| if let Body::Context(c) = &o.body { Some(&**c) } else { None }).collect()
}

#[test]
fn a_session_of_codex_0_169_is_read() {
    let first = decode(&fixture("otlp/01_http_json_1.json"));
    assert_eq!(
        outline(&first),
        ["sighting mock", "prompt", "response gpt-5.5 12000/4096/0/350/128"],
        "the HTTP transport sends `response.completed` twice; one of them has the counts"
    );
    assert_eq!((first.rejected, first.rejected_why.as_deref()), (0, None));
    let second = decode(&fixture("otlp/01_http_json_2.json"));
    assert_eq!(
        outline(&second),
        [
            "tool Bash call_1 Some(0) Some(true)",
            "response gpt-5.5 12500/11000/77/120/0",
            "tool apply_patch call_2 Some(0) Some(true)",
            "response gpt-5.5 12800/12000/0/40/10",
        ]
    );
    assert!(second.counters.keys().all(|name| name == "otlp.ignored"), "{:?}", second.counters);
    assert_eq!(first.observations[1].time, Timestamp(1_795_225_137_895_313_862));
}

#[test]
fn the_context_says_who_it_was_without_a_time() {
    let headers = ClientHeaders { team: Some("platform-header".into()), ..ClientHeaders::default() };
    let decoded = decode_json(&fixture("otlp/01_http_json_1.json"), &headers).unwrap();
    let [context] = contexts(&decoded)[..] else { panic!("one process, one context") };
    assert_eq!(context.service.as_deref(), Some("codex_exec"));
    assert_eq!(context.originator.as_deref(), Some("codex_exec"));
    assert_eq!(context.host.as_deref(), Some("vm"));
    assert_eq!(context.team_header.as_deref(), Some("platform-header"));
    let attributes: Vec<_> = context.attributes.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(attributes, ["cost_centre=CC-4521", "env=prod", "project=api-gateway", "team.id=platform"]);
    let observation = &decoded.observations[0];
    assert_eq!(observation.time, Timestamp(0));
    for o in &decoded.observations {
        match &o.body {
            Body::Response(r) => assert_eq!(r.ctx, Some(context.id)),
            Body::Sighting(s) => assert_eq!(s.ctx, context.id),
            _ => {}
        }
    }
    let plain = decode(&fixture("otlp/01_http_json_1.json"));
    assert_ne!(contexts(&plain)[0].id, context.id, "another team header is another context");
    assert_eq!(plain.observations[2].key, decoded.observations[2].key, "but never another key");
}

#[test]
fn code_mode_and_turn_costs_and_agents_are_read() {
    let code_mode = outline(&decode(&fixture("otlp/05_code_mode.json")));
    assert!(
        code_mode.contains(&"tool Bash exec-dc9a8001-bd49-4e1a-8a3d-21a8cd8d0b77 Some(3) Some(false)".to_string()),
        "{code_mode:#?}"
    );
    assert!(code_mode.iter().any(|line| line.starts_with("tool exec ") && line.ends_with("None Some(true) container")));
    assert_eq!(
        outline(&decode(&fixture("otlp/13_turn_cost.json"))),
        ["cost 01a1fbd3-dca6-7b71-af9b-99409c788910 0.012345"]
    );
    let agents = outline(&decode(&fixture("otlp/03_subagent_v2.json")));
    let link = "link 01a1fbd5-ae5e-77b1-8d03-bcedb545530a -> 01a1fbd5-aa98-7523-9ba2-ae138d1aa5cc";
    assert_eq!(agents.iter().filter(|line| line.starts_with("link")).collect::<Vec<_>>(), [link]);
}

#[test]
fn nothing_that_was_said_or_done_is_kept() {
    for name in ["01_http_json_2", "05_code_mode", "03_subagent_v2"] {
        let decoded = decode(&fixture(&format!("otlp/{name}.json")));
        let stored = format!("{decoded:?}");
        for secret in ["hello", "nested1", "CHILD-TASK", "Success. Updated", "Chunk ID"] {
            assert!(!stored.contains(secret), "{name}: {secret}");
        }
    }
}

#[test]
fn both_encodings_give_the_same() {
    for name in ["01_http_json_1", "01_http_json_2", "05_code_mode", "13_turn_cost", "03_subagent_v2"] {
        let json = fixture(&format!("otlp/{name}.json"));
        let headers = ClientHeaders { team: Some("a".into()), ..ClientHeaders::default() };
        let from_protobuf = decode_protobuf(&transcode(&json), &headers).unwrap();
        assert_eq!(from_protobuf, decode_json(&json, &headers).unwrap(), "{name}");
    }
    let real = |n: u8| decode_protobuf(&fixture(&format!("otlp/01_http_binary_{n}.bin")), &ClientHeaders::default());
    assert_eq!(
        outline(&real(1).unwrap()),
        ["sighting mock", "prompt", "response gpt-5.5 12000/4096/0/350/128"],
        "what Codex itself sends in protobuf"
    );
    assert_eq!(outline(&real(2).unwrap()).len(), 4);
}

fn request(resource: Value, records: Vec<Value>) -> Vec<u8> {
    json!({ "resourceLogs": [{ "resource": resource, "scopeLogs": [{ "logRecords": records }] }] })
        .to_string()
        .into_bytes()
}

fn attributes(pairs: &[(&str, Value)]) -> Value {
    pairs.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect()
}

fn text(value: &str) -> Value {
    json!({ "stringValue": value })
}

/// A record of a response with 10 tokens in and 2 out, and more or other attributes.
fn response(more: &[(&str, Value)]) -> Value {
    let mut pairs = vec![
        ("event.name", text("codex.sse_event")),
        ("conversation.id", text(THREAD)),
        ("event.kind", text("response.completed")),
        ("model", text("gpt-5.5")),
        ("input_token_count", text("10")),
        ("output_token_count", text("2")),
    ];
    for (name, value) in more {
        pairs.retain(|(n, _)| n != name);
        pairs.push((name, value.clone()));
    }
    json!({ "observedTimeUnixNano": "1795225138259858891", "timeUnixNano": "0", "attributes": attributes(&pairs) })
}

/// A record with other fields than its attributes changed.
fn with(mut record: Value, fields: Value) -> Value {
    for (name, value) in fields.as_object().unwrap() {
        record[name] = value.clone();
    }
    record
}

#[test]
fn records_that_a_collector_grouped_are_what_they_were() {
    let whole = [
        ("app.version", text("0.169.0")),
        ("service_tier", text("priority")),
        ("model_reasoning_effort", text("high")),
        ("event.timestamp", text("2026-11-21T01:38:58.259Z")),
    ];
    let record = response(&whole);
    let sent = with(record.clone(), json!({ "observedTimeUnixNano": "0" }));
    for (record, resource) in
        [(record, json!({})), (sent, json!({ "attributes": attributes(&[("model", text("x"))]) }))]
    {
        let expected = decode(&request(resource.clone(), vec![record.clone()]));
        let all = record["attributes"].as_array().unwrap().clone();
        let by = [
            "event.name",
            "event.kind",
            "event.timestamp",
            "app.version",
            "model",
            "service_tier",
            "model_reasoning_effort",
        ];
        let (moved, stay): (Vec<_>, Vec<_>) = all.into_iter().partition(|a| by.contains(&a["key"].as_str().unwrap()));
        let regrouped =
            decode(&request(json!({ "attributes": moved }), vec![with(record, json!({ "attributes": stay }))]));
        let of = |decoded: &Decoded| {
            let response = decoded.observations.iter().find(|o| matches!(o.body, Body::Response(_))).unwrap();
            (response.key, response.variant(), response.time)
        };
        assert_eq!((of(&regrouped), outline(&regrouped)), (of(&expected), outline(&expected)));
        assert_eq!(outline(&expected), ["response gpt-5.5 10/0/0/2/0"]);
    }
}

#[test]
fn odd_json_is_read_as_protojson_says() {
    let ok = outline(&decode(&request(json!({}), vec![response(&[])])));
    assert_eq!(ok, ["response gpt-5.5 10/0/0/2/0"]);
    let odd = [
        ("null time", with(response(&[]), json!({ "timeUnixNano": null }))),
        ("time as a number", with(response(&[]), json!({ "observedTimeUnixNano": 1_795_225_138_259_858_891_u64 }))),
        ("null body and ids", with(response(&[]), json!({ "body": null, "traceId": null, "spanId": null }))),
        ("base64 id", with(response(&[]), json!({ "traceId": "W47/95gDgQPSabYzgT/GDA==" }))),
        ("enum name", with(response(&[]), json!({ "severityNumber": "SEVERITY_NUMBER_INFO" }))),
        ("unknown field", with(response(&[]), json!({ "fromTheFuture": { "a": [1, { "b": null }] } }))),
        ("counts as int text", response(&[("input_token_count", json!({ "intValue": "10" }))])),
        ("counts as int", response(&[("input_token_count", json!({ "intValue": 10 }))])),
        ("counts as double", response(&[("input_token_count", json!({ "doubleValue": 10.0 }))])),
        ("counts as double text", response(&[("input_token_count", json!({ "doubleValue": "10" }))])),
        ("a count of null", response(&[("cached_token_count", json!({ "intValue": null }))])),
        ("a value of null", response(&[("cached_token_count", Value::Null)])),
        ("an empty value", response(&[("cached_token_count", json!({}))])),
        ("NaN", response(&[("weight", json!({ "doubleValue": "NaN" }))])),
        ("Infinity", response(&[("weight", json!({ "doubleValue": "-Infinity" }))])),
        ("bytes", response(&[("blob", json!({ "bytesValue": "aGVsbG8=" }))])),
        ("broken bytes", response(&[("blob", json!({ "bytesValue": "%%" }))])),
        ("array", response(&[("list", json!({ "arrayValue": { "values": [{}, { "intValue": "1" }] } }))])),
        ("map", response(&[("map", json!({ "kvlistValue": { "values": [{ "key": "a", "value": {} }] } }))])),
        ("unknown value", response(&[("x", json!({ "complexValue": 1 }))])),
        ("escapes", response(&[("model", json!({ "stringValue": "gpt-5.5" }))])),
    ];
    for (name, record) in odd {
        let decoded = decode(&request(json!({}), vec![record]));
        assert_eq!((outline(&decoded), decoded.rejected), (ok.clone(), 0), "{name}");
    }
    let escaped = String::from_utf8(request(json!({}), vec![response(&[])])).unwrap();
    let escaped = escaped.replace("\"gpt-5.5\"", r#""\u0067pt-5.5""#).replace("\"model\"", r#""\u006dodel""#);
    assert_eq!(outline(&decode(escaped.as_bytes())), ok);
}

#[test]
fn a_bad_record_is_rejected_on_its_own() {
    let bad = [
        ("not an object", json!(7)),
        ("null", Value::Null),
        ("a list", json!([])),
        ("attributes of another kind", with(response(&[]), json!({ "attributes": "none" }))),
        ("an attribute of another kind", with(response(&[]), json!({ "attributes": ["none"] }))),
        ("time is a word", with(response(&[]), json!({ "observedTimeUnixNano": "today" }))),
        ("time is negative", with(response(&[]), json!({ "observedTimeUnixNano": -5 }))),
        ("time is too late", with(response(&[]), json!({ "observedTimeUnixNano": "18446744073709551615" }))),
        ("no time at all", with(response(&[]), json!({ "observedTimeUnixNano": null }))),
        ("count is a word", response(&[("input_token_count", text("many"))])),
        ("count is negative", response(&[("output_token_count", json!({ "intValue": "-1" }))])),
        ("count is NaN", response(&[("input_token_count", json!({ "doubleValue": "NaN" }))])),
        ("count is a fraction", response(&[("input_token_count", json!({ "doubleValue": 1.5 }))])),
        ("count is a list", response(&[("input_token_count", json!({ "arrayValue": {} }))])),
        ("no output count", response(&[("output_token_count", Value::Null)])),
        ("id is empty", response(&[("conversation.id", text(""))])),
        ("id is a number of words", response(&[("conversation.id", text("a b"))])),
    ];
    for (name, record) in bad {
        let decoded = decode(&request(json!({}), vec![response(&[]), record, response(&[])]));
        assert_eq!(outline(&decoded).len(), 2, "{name}");
        assert_eq!((decoded.rejected, decoded.counters["otlp.rejected"]), (1, 1), "{name}");
        let why = decoded.rejected_why.unwrap();
        assert!(!why.is_empty() && why.len() <= 300, "{name}: {why}");
    }
}

#[test]
fn only_a_body_that_is_no_request_is_an_error() {
    let error = |body: &[u8]| decode_json(body, &ClientHeaders::default()).is_err();
    for bad in ["[]", "1234", "\"x\"", "null", "{", "{}{}", "{\"resourceLogs\":[}", "\u{1}", "{'a':1}"] {
        assert!(error(bad.as_bytes()), "{bad}");
    }
    assert!(error(b"{\"a\":\"\xff\"}"));
    for empty in ["", " \n", "{}", r#"{"resourceLogs":null}"#, r#"{"resourceLogs":[]}"#, r#"{"other":1}"#] {
        assert_eq!(decode(empty.as_bytes()), Decoded::default(), "{empty}");
    }
    let part = decode(br#"{"resourceLogs":[1,{"scopeLogs":{}},{"scopeLogs":[2,{"logRecords":3}]},{"resource":null}]}"#);
    assert_eq!(part.rejected, 4);
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(decode(deep.as_bytes()), Decoded::default(), "depth that is not looked at does no harm");
}

#[test]
fn broken_protobuf_is_an_error_and_depth_is_none() {
    let error = |body: &[u8]| decode_protobuf(body, &ClientHeaders::default()).is_err();
    let whole = fixture("otlp/01_http_binary_1.bin");
    for len in [1, 2, 100, whole.len() - 1] {
        assert!(error(&whole[..len]), "{len} bytes of {}", whole.len());
    }
    for bad in [&b"1234"[..], b"{}", &[0], &[0x08, 0x01], &[0x0b], &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]] {
        assert!(error(bad), "{bad:x?}");
    }
    assert_eq!(decode_protobuf(b"", &ClientHeaders::default()).unwrap(), Decoded::default());
    let mut value = AnyValue { value: Some(AnyValueKind::Bool(true)) };
    for _ in 0..1000 {
        value = AnyValue { value: Some(AnyValueKind::Array(ArrayValue { values: vec![value] })) };
    }
    let record = LogRecord {
        observed_time_unix_nano: 1,
        attributes: vec![KeyValue { key: "team".into(), value: Some(value) }],
        ..Default::default()
    };
    let scope_logs = vec![ScopeLogs { log_records: vec![record] }];
    let resource_logs = vec![ResourceLogs { scope_logs, ..Default::default() }];
    let body = ExportLogsServiceRequest { resource_logs }.encode_to_vec();
    assert_eq!(decode_protobuf(&body, &ClientHeaders::default()).unwrap().counters["otlp.ignored"], 1);
}

#[test]
fn a_collector_may_move_attributes() {
    let claims = [("team.id", text("core")), ("cost_centre", text("CC-1")), ("user.email", text("a@example.com"))];
    let service = ("service.name", text("codex_exec"));
    let mut resource = claims.to_vec();
    resource.push(service.clone());
    let as_sent = decode(&request(json!({ "attributes": attributes(&resource) }), vec![response(&[])]));
    let moved = decode(&request(json!({ "attributes": attributes(&[service]) }), vec![response(&claims)]));
    assert_eq!(as_sent, moved);
    let grouped = [("conversation.id", text(THREAD))];
    let grouped =
        request(json!({ "attributes": attributes(&grouped) }), vec![response(&[("conversation.id", Value::Null)])]);
    assert_eq!(decode(&grouped), decode(&request(json!({}), vec![response(&[])])));
}

#[test]
fn keys_follow_the_record_and_nothing_else() {
    let key = |record: Value| {
        let decoded = decode(&request(json!({}), vec![record]));
        decoded.observations.last().unwrap().key
    };
    let base = key(response(&[]));
    assert_eq!(key(response(&[("team.id", text("x")), ("originator", text("y"))])), base);
    assert_eq!(key(response(&[("input_token_count", json!({ "intValue": 10 }))])), base);
    assert_ne!(key(response(&[("cached_token_count", text("1"))])), base);
    assert_ne!(key(with(response(&[]), json!({ "observedTimeUnixNano": "1795225138259858892" }))), base);
    let twice = decode(&request(json!({}), vec![response(&[]), response(&[])]));
    assert_eq!(twice.observations.len(), 3, "one context, and one record sent twice");
    assert_eq!(twice.observations[1], twice.observations[2]);
    let TokenUsage { input, .. } = match &twice.observations[1].body {
        Body::Response(r) => r.usage,
        other => panic!("{other:?}"),
    };
    assert_eq!((input, &twice.observations[1].thread), (10, &ThreadId::new(THREAD).unwrap()));
    let stamped = [("event.timestamp", text("2026-11-21T03:38:58.259Z"))];
    let stamped = decode(&request(json!({}), vec![with(response(&stamped), json!({ "observedTimeUnixNano": "0" }))]));
    assert_eq!(stamped.observations[1].time, Timestamp::parse_rfc3339("2026-11-21T03:38:58.259Z").unwrap());
}

/// A record of another event.
fn event(name: &str, pairs: &[(&str, Value)]) -> Value {
    let mut all = vec![("event.name", text(name)), ("conversation.id", text(THREAD))];
    all.extend_from_slice(pairs);
    json!({ "observedTimeUnixNano": "5", "attributes": attributes(&all) })
}

#[test]
fn failures_are_attempts_and_say_nothing_of_their_message() {
    let kind = |k: &str| ("event.kind", text(k));
    let error = ("error.message", text("stream broke, SECRET"));
    let code = |n: u32| ("http.response.status_code", json!({ "intValue": n.to_string() }));
    let cases = [
        ("codex.sse_event", vec![kind("response.completed"), error.clone()], "attempt stream -"),
        ("codex.sse_event", vec![error.clone()], "attempt stream -"),
        ("codex.sse_event", vec![kind("response.failed"), error.clone()], ""),
        ("codex.sse_event", vec![kind("response.incomplete"), error.clone()], ""),
        ("codex.sse_event", vec![kind("response.completed")], ""),
        ("codex.api_request", vec![code(429)], "attempt api 429"),
        ("codex.api_request", vec![code(500), error.clone()], "attempt api 500"),
        ("codex.api_request", vec![error.clone()], "attempt api -"),
        ("codex.api_request", vec![code(200)], ""),
        ("codex.api_request", vec![code(500), ("endpoint", text("/models"))], ""),
        ("codex.websocket_connect", vec![("success", text("false")), error.clone()], "attempt api -"),
        ("codex.websocket_request", vec![("success", text("true"))], ""),
        ("codex.turn_ttft", vec![], ""),
    ];
    for (name, pairs, line) in cases {
        let decoded = decode(&request(json!({}), vec![event(name, &pairs)]));
        assert_eq!(outline(&decoded).join(","), line, "{name} {pairs:?}");
        assert_eq!(decoded.counters.get("otlp.ignored").copied(), line.is_empty().then_some(1), "{name}");
        assert!(!format!("{decoded:?}").contains("SECRET"));
    }
    let newer = decode(&request(json!({}), vec![event("codex.hologram", &[]), event("other.program", &[])]));
    assert_eq!(newer.counters["otlp.unknown_event"], 2);
}

#[test]
fn tool_calls_of_older_versions_have_names_too() {
    let call = |pairs: &[(&str, &str)]| {
        let mut all: Vec<_> = pairs.iter().map(|(name, value)| (*name, text(value))).collect();
        all.push(("call_id", text("c1")));
        outline(&decode(&request(json!({}), vec![event("codex.tool_result", &all)]))).join(",")
    };
    let old = r#"{"output":"hello\n","metadata":{"exit_code":0}}"#;
    assert_eq!(call(&[("tool_name", "shell"), ("output", old)]), "tool Bash c1 Some(0) Some(true)");
    assert_eq!(
        call(&[("tool_name", "echo"), ("mcp_server", "tiny"), ("success", "false")]),
        "tool mcp__tiny__echo c1 None Some(false)"
    );
    let running = "Wall time: 0.3 seconds\nProcess running with session ID 63136\nOutput:\nExit code: 0\n";
    assert_eq!(
        call(&[("tool_name", "exec_command"), ("output", running), ("success", "true")]),
        "tool Bash c1 None None"
    );
    assert_eq!(
        call(&[("tool_name", "exec_command"), ("output", "no"), ("success", "false")]),
        "tool Bash c1 None Some(false)"
    );
    assert_eq!(
        call(&[("tool_name", "x"), ("tool_namespace", "mcp__s"), ("output", "Exit code: 1\n"), ("success", "true")]),
        "tool mcp__s__x c1 None Some(true)"
    );
}

#[test]
fn limits_hold() {
    let many = decode(&request(json!({}), vec![response(&[]); MAX_RECORDS + 3]));
    assert_eq!((outline(&many).len(), many.rejected), (MAX_RECORDS, 3));
    let names: Vec<String> = (0..300).map(|n| format!("a{n:03}")).collect();
    let long = "ä".repeat(1000);
    let pairs: Vec<(&str, Value)> = names.iter().map(|name| (name.as_str(), text(&long))).collect();
    let wide = decode(&request(json!({ "attributes": attributes(&pairs) }), vec![response(&[("model", text(&long))])]));
    let [context] = contexts(&wide)[..] else { panic!() };
    assert_eq!(context.attributes.len(), 64);
    assert!(context.attributes.values().all(|value| value.len() == 256));
    assert!(format!("{:?}", wide.observations).len() < 64 * 400 + 2000);
}
