//! Captures as observations, without any process: what the programs would store of them.

use std::collections::{BTreeMap, HashSet};

use codex_tally::ingest::exchange::{Decoder, Encoder, Item};
use codex_tally::ingest::hook::{Environment, Identity, decode_line, reduce};
use codex_tally::ingest::otlp::{ClientHeaders, decode_json, decode_protobuf};
use codex_tally::ingest::transcript::{Reader, State, thread_of_path};
use codex_tally::ledger::{Books, Ledger, Options, build, rollups};
use codex_tally::model::{Observation, SessionRollup};
use codex_tally::pricing::PriceBook;
use codex_tally::report::{Bucket, Dimension, Grouped, Range, Sessions, format, show};

use super::Capture;
use super::otlp_messages::transcode;

/// What the transcripts of a capture say, each line passed through `change` first.
pub fn of_transcripts(capture: &Capture, change: impl Fn(usize, &[u8]) -> Vec<Vec<u8>>) -> (Vec<Observation>, u64) {
    let (mut observations, mut unknown) = (Vec::new(), 0);
    for (path, text) in capture.transcripts() {
        let mut reader = Reader::new(thread_of_path(path.to_str().unwrap()), State::default());
        for (n, line) in text.split(|b| *b == b'\n').filter(|line| !line.is_empty()).enumerate() {
            change(n, line).iter().for_each(|line| reader.line(line));
        }
        unknown += reader.counters.values().sum::<u64>();
        observations.append(&mut reader.observations);
    }
    (observations, unknown)
}

/// What OTLP says; the `n`th request in the other encoding where `other(n)`, if it is known how.
pub fn of_otlp(capture: &Capture, other: impl Fn(usize) -> bool) -> Vec<Observation> {
    let headers = ClientHeaders { team: Some("platform".into()), ..ClientHeaders::default() };
    let of = |(n, (json, body)): (usize, (bool, Vec<u8>))| match json {
        true if other(n) => decode_protobuf(&transcode(&body), &headers).unwrap().observations,
        true => decode_json(&body, &headers).unwrap().observations,
        false => decode_protobuf(&body, &headers).unwrap().observations,
    };
    let bodies = capture.requests().into_iter().map(|request| (request.is_json(), request.into_body()));
    bodies.enumerate().flat_map(of).collect()
}

/// What hooks say, each run by a process of its own, a second after the other.
pub fn of_hooks(capture: &Capture) -> Vec<Observation> {
    let of = |(n, payload): (u32, Vec<u8>)| {
        let id = Identity { ns: 1_795_225_137_880_000_000 + i64::from(n) * 1_000_000_000, pid: n, rnd: n.into() };
        let env = Environment { host: "vm".into(), user: "dev".into(), ..Environment::default() };
        decode_line(&serde_json::to_vec(&reduce(&payload, id, env)).unwrap()).observations
    };
    (1..).zip(capture.payloads()).flat_map(of).collect()
}

/// Everything that a capture holds.
pub fn of_all(capture: &Capture) -> Vec<Observation> {
    let transcripts = of_transcripts(capture, |_, line| vec![line.to_vec()]).0;
    [transcripts, of_otlp(capture, |_| false), of_hooks(capture)].concat()
}

/// What a store has of them: of several under one key and variant the first to come.
pub fn stored(observations: impl IntoIterator<Item = Observation>) -> Vec<Observation> {
    let mut known = HashSet::new();
    observations.into_iter().filter(|o| known.insert((o.thread.clone(), o.key, o.variant()))).collect()
}

/// The same after a journey in a file.
pub fn carried(observations: &[Observation]) -> Vec<Observation> {
    let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
    let mut lines = vec![encoder.head()];
    lines.extend(observations.iter().map(|o| encoder.observation(o).unwrap()));
    lines.push(encoder.last());
    let observation = |line: &Vec<u8>| match decoder.line(line).unwrap() {
        Item::Observation(o) => Some(*o),
        Item::Head | Item::Last => None,
    };
    lines.iter().filter_map(observation).collect()
}

pub fn ledger(observations: &[Observation]) -> Ledger {
    build(observations, &Options::default(), PriceBook::builtin())
}

/// The facts, and the bytes of all reports on them.
pub fn all_that_is_said(observations: &[Observation]) -> String {
    let ledger = ledger(observations);
    let rollups = rollups(observations, &Options::default(), PriceBook::builtin(), &Books::open()).unwrap();
    let mut said = format!("{:#?}", ledger.sessions).into_bytes();
    let mut sessions = Sessions::new(Range::default());
    rollups.iter().for_each(|r| sessions.add(&SessionRollup::decode(&r.bytes).unwrap()));
    let mut reports = vec![sessions.report(&BTreeMap::new())];
    let cost = [Bucket::Day, Bucket::Week, Bucket::Month].map(|bucket| (bucket, Dimension::COST));
    for (bucket, by) in cost.into_iter().chain([(Bucket::Month, &[Dimension::Tool][..])]) {
        let mut report = Grouped::new(bucket, by, Range::default());
        rollups.iter().for_each(|r| report.add(&SessionRollup::decode(&r.bytes).unwrap()));
        reports.push(report.report(&BTreeMap::new()));
    }
    for report in &reports {
        said.extend([format::csv(report), format::json(report), format::table(report, None).into_bytes()].concat());
    }
    ledger.sessions.iter().for_each(|session| said.extend(show(session, &ledger.lines, &BTreeMap::new()).into_bytes()));
    String::from_utf8(said).unwrap()
}
