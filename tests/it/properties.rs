//! What must hold of any capture, whatever of it arrives, in which order and how often.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use codex_tally::model::{
    Body, KeyBuilder, Line, Observation, Response, ResponseFact, SourceKind, ThreadId, Timestamp, TokenUsage,
};
use proptest::prelude::*;

use crate::support::Capture;
use crate::support::capture::Request;
use crate::support::observed::{all_that_is_said, carried, ledger, of_all, of_hooks, of_otlp, of_transcripts, stored};
use crate::support::otlp_messages::transcode;
use crate::support::test_sink::{gzip, start};

struct Observed {
    capture: Capture,
    all: Vec<Observation>,
    said: String,
}

/// Only its name: a capture is long, and a choice of parts is told by numbers.
impl std::fmt::Debug for Observed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.capture.name)
    }
}

/// Every capture of every version.
static CAPTURES: LazyLock<Vec<Observed>> = LazyLock::new(|| {
    let captures =
        ["captures", "versions", "forks", "agents", "compactions", "limits"].into_iter().flat_map(Capture::all);
    let observed = |capture: Capture| {
        let all = of_all(&capture);
        let said = all_that_is_said(&stored(all.clone()));
        Observed { capture, all, said }
    };
    captures.map(observed).collect()
});

fn capture() -> impl Strategy<Value = &'static Observed> {
    (0..CAPTURES.len()).prop_map(|n| &CAPTURES[n])
}

/// Numbers to make any choice of: one for each observation of the largest capture.
fn choices() -> impl Strategy<Value = Vec<u32>> {
    let most = CAPTURES.iter().map(|c| c.all.len()).max().unwrap();
    prop::collection::vec(any::<u32>(), most)
}

/// All in an order that the choices make, some of them twice.
fn mixed(all: &[Observation], choices: &[u32]) -> Vec<Observation> {
    let mut numbered: Vec<_> = all.iter().cloned().zip(choices.iter().copied()).collect();
    numbered.extend(all.iter().cloned().zip(choices.iter().rev().copied()).filter(|(_, n)| n % 3 == 0));
    numbered.sort_by_key(|(_, n)| *n);
    numbered.into_iter().map(|(o, _)| o).collect()
}

/// What a report of the line may not lose or change with another source.
fn held(lines: &[Line], doubtful: &[Timestamp]) -> BTreeMap<String, usize> {
    let mut held = BTreeMap::new();
    let sure = |line: &&Line| line.response.evidence.transcript && !doubtful.contains(&line.response.time);
    for line in lines.iter().filter(sure) {
        let ResponseFact { thread, turn, response_id, usage, model, tier, time, .. } = &line.response;
        // The list depends on the channel, which only OTLP may know; what the tokens would cost does not.
        let amount =
            line.priced.api_equivalent.or(line.priced.list.filter(|a| a.unit == codex_tally::model::Unit::Usd));
        let text = format!("{thread} {turn:?} {response_id:?} {usage:?} {model:?} {tier:?} {time:?} {amount:?}");
        *held.entry(text).or_default() += 1;
    }
    held
}

fn lines(observations: &[Observation]) -> Vec<Line> {
    ledger(observations).lines
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, max_shrink_iters: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_order_and_repetition_says_the_same(observed in capture(), choices in choices()) {
        let said = all_that_is_said(&stored(mixed(&observed.all, &choices)));
        prop_assert!(said == observed.said, "{}: {}", observed.capture.name, difference(&observed.said, &said));
    }

    #[test]
    fn parts_of_several_machines_that_meet_say_the_same(observed in capture(), choices in choices()) {
        let of_machine = |machine: u32| {
            let seen = observed.all.iter().zip(&choices).filter(move |(_, n)| *n % 3 == machine || *n % 7 == 0);
            carried(&stored(seen.map(|(o, _)| o.clone())))
        };
        let mut machines = [of_machine(0), of_machine(1), of_machine(2)];
        machines.rotate_left(choices[0] as usize % 3);
        let said = all_that_is_said(&stored(machines.concat()));
        prop_assert!(said == observed.said, "{}: {}", observed.capture.name, difference(&observed.said, &said));
    }

    #[test]
    fn either_encoding_of_each_request_says_the_same(observed in capture(), choices in choices()) {
        let transcripts = of_transcripts(&observed.capture, |_, line| vec![line.to_vec()]).0;
        let exported = of_otlp(&observed.capture, |n| choices[n % choices.len()] % 2 == 0);
        let said = all_that_is_said(&stored([exported, of_hooks(&observed.capture), transcripts].concat()));
        prop_assert!(said == observed.said, "{}: {}", observed.capture.name, difference(&observed.said, &said));
    }

    #[test]
    fn losing_any_part_of_otlp_or_hooks_changes_nothing_that_a_transcript_holds(
        observed in capture(),
        choices in choices(),
        share in 1..4u32,
    ) {
        // What a single request asked for against the settings of its thread is not in the transcript. A tier of one turn shows
        // nowhere in it; a model that is open makes the response ambiguous once telemetry is gone.
        prop_assume!(observed.capture.name != "14_revert_and_turn_tier");
        let whole = lines(&observed.all);
        for source in [SourceKind::Otlp, SourceKind::Hook] {
            let left = observed.all.iter().zip(&choices).filter(|(o, n)| o.source != source || **n % 4 >= share);
            let left = lines(&left.map(|(o, _)| o.clone()).collect::<Vec<_>>());
            let doubtful: Vec<_> = left.iter().filter(|l| l.response.ambiguous).map(|l| l.response.time).collect();
            prop_assert_eq!(
                held(&whole, &doubtful),
                held(&left, &doubtful),
                "{} without some of {}",
                &observed.capture.name,
                source.name()
            );
            prop_assert!(left.len() <= whole.len(), "{}", &observed.capture.name);
        }
    }

    #[test]
    fn one_more_response_costs_exactly_what_it_costs(
        observed in capture(),
        input in 0..1_000_000u64,
        cached in 0..1_000_000u64,
        output in 0..100_000u64,
    ) {
        let usage = TokenUsage { input, cached_input: cached.min(input), output, ..TokenUsage::default() };
        let thread = ThreadId::new("01a1fbc1-0000-7000-8000-00000000ffff").unwrap();
        let turn = "01a1fbc1-0001-7000-8000-00000000ffff".to_string();
        let provider = Some("mock".to_string());
        let response = Response {
            turn: Some(turn), response_id: Some("more".into()), usage, model: Some("gpt-5.5".into()), provider,
            ..Response::default()
        };
        let more = Observation {
            key: KeyBuilder::new("more").part(thread.as_str()).build(),
            thread,
            source: SourceKind::Transcript,
            time: Timestamp::from_millis(1_795_225_137_000),
            body: Body::Response(Box::new(response)),
        };
        let usd = |lines: &[Line]| {
            let amounts = lines.iter().filter_map(|line| line.priced.list);
            amounts.filter(|a| a.unit == codex_tally::model::Unit::Usd).map(|a| i128::from(a.pico)).sum::<i128>()
        };
        let before = lines(&observed.all);
        let after = lines(&[&observed.all[..], &[more]].concat());
        let rates = if input > 272_000 { [10_000_000, 1_000_000, 45_000_000] } else { [5_000_000, 500_000, 30_000_000] };
        let tokens = [usage.uncached_input(), usage.cached_input, usage.output];
        let cost: i128 = tokens.iter().zip(rates).map(|(n, rate)| i128::from(*n) * rate).sum();
        prop_assert_eq!((after.len(), usd(&after)), (before.len() + 1, usd(&before) + cost));
    }
}

/// The first line in which two texts differ.
fn difference(one: &str, other: &str) -> String {
    let found = one.lines().zip(other.lines()).find(|(a, b)| a != b);
    found.map_or("one is longer".into(), |(a, b)| format!("`{}` is now `{}`", a.trim(), b.trim()))
}

#[test]
fn nothing_real_is_ambiguous_or_contradicts_itself() {
    for observed in CAPTURES.iter() {
        let doubtful = lines(&observed.all).into_iter().filter(|l| l.response.ambiguous || l.response.conflict);
        // What warms up a WebSocket, and what hooks alone saw, has a tier that no source tells.
        let tells = |r: &ResponseFact| r.usage.output > 0 && (r.evidence.otlp || r.evidence.transcript);
        let doubtful: Vec<_> = doubtful.map(|l| l.response).filter(tells).collect();
        assert!(doubtful.is_empty(), "{observed:?}: {doubtful:#?}");
    }
}

/// The same requests through a real sink: as they were sent, in the other encoding, packed, and all of these.
#[test]
fn a_sink_takes_every_encoding_to_the_same_observations() {
    for capture in [Capture::named("01_http_json"), Capture::of("forks", "0.98.0"), Capture::of("versions", "0.130.0")]
    {
        let requests: Vec<Vec<u8>> = capture.requests().into_iter().map(Request::into_body).collect();
        let seen = |forms: &[usize]| {
            let sink = start();
            for (json, form) in requests.iter().flat_map(|json| forms.iter().map(move |form| (json, form))) {
                let encoded = if form % 2 == 0 { json.clone() } else { transcode(json) };
                let kind = if form % 2 == 0 { "application/json" } else { "application/x-protobuf" };
                let packed = [("content-type", kind), ("content-encoding", "gzip")];
                let answer = match form / 2 {
                    0 => sink.post("/v1/logs", &packed[..1], &encoded),
                    _ => sink.post("/v1/logs", &packed, &gzip(&encoded)),
                };
                assert_eq!(answer.status, 200);
            }
            let observations: Vec<_> = sink.store.contents().observations.values().cloned().collect();
            sink.stop();
            assert!(!observations.is_empty());
            observations
        };
        let plain = seen(&[0]);
        for forms in [&[1][..], &[2], &[3], &[3, 0, 2, 1, 0]] {
            assert_eq!(seen(forms), plain, "{} {forms:?}", capture.name);
        }
    }
}
