//! What a newer Codex may add, put into every capture: records, events, items, fields and words that nobody knows. No total
//! may change, and each unknown record is counted.

use codex_tally::ingest::hook::{Environment, Identity, decode_line, reduce};
use codex_tally::ingest::otlp::{ClientHeaders, decode_json, decode_protobuf};
use codex_tally::model::Observation;
use prost::Message;
use serde_json::{Value, json};

use crate::support::capture::files;
use crate::support::observed::{ledger, of_hooks, of_otlp, of_transcripts};
use crate::support::otlp_messages::{AnyValue, AnyValueKind, ExportLogsServiceRequest, KeyValue, LogRecord};
use crate::support::{Capture, TestEnv};

/// All that a bill depends on, response by response.
fn bill(observations: &[Observation]) -> Vec<String> {
    let lines = ledger(observations).lines.into_iter().map(|line| {
        let r = line.response;
        let seen = r.evidence.name();
        let money = (line.priced.list, line.priced.api_equivalent, line.priced.unpriced);
        format!(
            "{} {:?} {:?} {:?} {:?} {} {:?} {seen} {money:?}",
            r.thread, r.turn, r.time, r.usage, r.model, r.tier, r.channel
        )
    });
    lines.collect()
}

fn captures() -> Vec<Capture> {
    ["captures", "versions", "forks", "agents", "compactions", "limits"].into_iter().flat_map(Capture::all).collect()
}

/// A field that looks like usage, of which no version knows.
fn strange() -> Value {
    json!({"input_tokens": 999_999, "output_tokens": 999, "total_tokens": 1_000_998, "type": "brand_new"})
}

/// A line of a transcript with unknown fields and words in it, and three unknown records behind it.
fn stranger_line(n: usize, line: &[u8]) -> Vec<Vec<u8>> {
    let mut known: Value = serde_json::from_slice(line).unwrap();
    let time = known["timestamp"].clone();
    let payload = known["payload"].as_object_mut().unwrap();
    payload.insert("brand_new".into(), strange());
    // What the totals of `token_count` mean hangs on the mode. A mode to come is of a version that has records of its own.
    let counts = payload.get("cli_version").and_then(Value::as_str).is_some_and(|version| version < "0.153");
    let mode = if counts { "" } else { "history_mode" };
    for word in ["approval_policy", mode, "personality", "phase", "reason", "status", "summary"] {
        if payload.contains_key(word) {
            payload.insert(word.into(), "brand_new".into());
        }
    }
    if n.is_multiple_of(2) {
        known["brand_new"] = strange();
    }
    let info = json!({"last_token_usage": strange(), "total_token_usage": strange()});
    let unknown = [
        json!({"timestamp": time, "type": "brand_new_record", "payload": {"usage": strange(), "info": info}}),
        json!({"timestamp": time, "type": "event_msg", "payload": {"type": "brand_new", "usage": strange(), "info": info}}),
        json!({"timestamp": time, "type": "response_item", "payload": {"type": "brand_new", "call_id": "c", "name": "n"}}),
    ];
    [known].iter().chain(&unknown).map(|value| value.to_string().into_bytes()).collect()
}

#[test]
fn of_transcripts_no_total_changes() {
    for capture in captures() {
        let lines = std::cell::Cell::new(0);
        let usual = of_transcripts(&capture, |_, line| {
            lines.set(lines.get() + 1);
            vec![line.to_vec()]
        });
        assert_eq!(usual.1, 0, "{}: all is known", capture.name);
        let strange = of_transcripts(&capture, stranger_line);
        assert_eq!(bill(&strange.0), bill(&usual.0), "{}", capture.name);
        assert_eq!(strange.1, 3 * lines.get(), "{}: each is counted", capture.name);
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(AnyValueKind::String(value.into())) });
    KeyValue { key: key.into(), value }
}

/// The request with unknown attributes everywhere, and one unknown event behind each record. How many that is comes with it.
fn stranger_request(body: &[u8]) -> (Vec<u8>, u64) {
    let mut request = ExportLogsServiceRequest::decode(body).unwrap();
    let mut added = 0;
    for logs in &mut request.resource_logs {
        logs.resource.get_or_insert_default().dropped_attributes_count = 7;
        for scope in &mut logs.scope_logs {
            for record in std::mem::take(&mut scope.log_records) {
                let thread = record.attributes.iter().find(|a| a.key == "conversation.id").cloned();
                let unknown = thread.map(|thread| LogRecord {
                    attributes: vec![
                        thread,
                        text("event.name", "codex.brand_new"),
                        text("input_token_count", "999999"),
                        text("output_token_count", "999"),
                    ],
                    ..record.clone()
                });
                added += u64::from(unknown.is_some());
                let mut known = record;
                known.attributes.insert(0, text("brand_new_token_count", "999999"));
                known.event_name = "event of another file".into();
                scope.log_records.extend([known].into_iter().chain(unknown));
            }
        }
    }
    // A field of a later version of OTLP, at the end: number 99, a whole number.
    ([request.encode_to_vec(), vec![0x98, 0x06, 0x01]].concat(), added)
}

#[test]
fn of_otlp_no_total_changes() {
    let headers = ClientHeaders { team: Some("platform".into()), ..ClientHeaders::default() };
    for capture in captures() {
        let transcripts = of_transcripts(&capture, |_, line| vec![line.to_vec()]).0;
        let (mut strange, mut unknown, mut added) = (Vec::new(), 0, 0);
        for request in capture.requests() {
            let is_json = request.is_json();
            let body = request.into_body();
            let usual = if is_json { decode_json(&body, &headers) } else { decode_protobuf(&body, &headers) }.unwrap();
            assert_eq!(usual.counters.get("otlp.unknown_event"), None, "{}: all is known", capture.name);
            let binary = if is_json { crate::support::otlp_messages::transcode(&body) } else { body };
            let (body, n) = stranger_request(&binary);
            let mut decoded = decode_protobuf(&body, &headers).unwrap();
            assert_eq!(decoded.rejected, 0, "{}", capture.name);
            strange.append(&mut decoded.observations);
            unknown += decoded.counters.get("otlp.unknown_event").copied().unwrap_or(0);
            added += n;
        }
        let usual = of_otlp(&capture, |_| false);
        assert_eq!(bill(&strange), bill(&usual), "{} alone", capture.name);
        let with = |otlp: &[Observation]| bill(&[otlp, &transcripts].concat());
        assert_eq!(with(&strange), with(&usual), "{}", capture.name);
        assert_eq!(unknown, added, "{}: each is counted", capture.name);
    }
}

#[test]
fn of_hooks_no_total_changes() {
    for capture in captures() {
        let (mut seen, mut unknown) = (Vec::new(), 0);
        for (n, payload) in (1u32..).zip(capture.payloads()) {
            let id = Identity { ns: 1_795_225_137_880_000_000 + i64::from(n) * 1_000_000_000, pid: n, rnd: n.into() };
            let env = || Environment { host: "vm".into(), user: "dev".into(), ..Environment::default() };
            let mut known: Value = serde_json::from_slice(&payload).unwrap();
            known["brand_new"] = strange();
            known["permission_mode"] = "brand_new".into();
            let mut other = known.clone();
            other["hook_event_name"] = "BrandNewEvent".into();
            other["token_usage"] = strange();
            for (payload, is_known) in [(known, true), (other, false)] {
                let id = Identity { rnd: id.rnd + u64::from(!is_known), ..id.clone() };
                let line = reduce(payload.to_string().as_bytes(), id, env());
                let mut decoded = decode_line(&serde_json::to_vec(&line).unwrap());
                assert_eq!(decoded.unreadable.is_none(), is_known, "{}: {decoded:?}", capture.name);
                unknown += usize::from(!is_known);
                seen.append(&mut decoded.observations);
            }
        }
        assert_eq!(bill(&seen), bill(&of_hooks(&capture)), "{}", capture.name);
        assert_eq!(unknown, capture.payloads().len());
    }
}

/// What was not understood stands below the report.
#[test]
fn the_report_says_what_it_does_not_know() {
    let capture = Capture::named("01_http_json");
    let env = TestEnv::new();
    capture.place_transcripts(&env);
    let mut lines = 0;
    for file in files(&env.codex_home()) {
        let text = std::fs::read(&file).unwrap();
        let known: Vec<_> = text.split(|b| *b == b'\n').filter(|line| !line.is_empty()).collect();
        let strange = known.iter().enumerate().flat_map(|(n, line)| stranger_line(n, line));
        std::fs::write(&file, strange.map(|line| [line, vec![b'\n']].concat()).collect::<Vec<_>>().concat()).unwrap();
        lines += known.len();
    }
    let report = env.run(&["report", "session", "--format", "json"]).ok().json();
    assert_eq!(report["coverage"]["unreadable"], json!({"transcript.unknown_type": 3 * lines}));
    assert_eq!(report["totals"]["input_tokens"], capture.expected()["input_tokens"]);
    let table = env.run(&["report", "session"]).ok();
    assert!(table.to_string().contains("transcript.unknown_type"), "{table}");
}
