//! What must hold of any set of observations.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// One response as it was, and which sources saw it, how late.
#[derive(Debug, Clone)]
struct Real {
    thread: u32,
    turn: i64,
    /// Milliseconds after the turn's start.
    after: i64,
    input: u64,
    transcript: bool,
    otlp: Option<i64>,
    hook: Option<i64>,
}

fn real() -> impl Strategy<Value = Real> {
    let late = || prop::option::of(1..4i64);
    // Few vectors and few moments, so that equal responses come close together.
    (1..3u32, 0..4i64, 0..40i64, 1..4u64, any::<bool>(), late(), late()).prop_map(
        |(thread, turn, after, input, transcript, otlp, hook)| Real {
            thread,
            turn: turn * 10_000,
            after: after * 200,
            input,
            transcript,
            otlp,
            hook,
        },
    )
}

fn observations(reals: &[Real]) -> Vec<Observation> {
    let mut all = Vec::new();
    for (i, r) in reals.iter().enumerate() {
        let (t, u, ms) = (thread(r.thread), uuid(r.turn, r.thread), r.turn + r.after);
        // Each record has a name of its own: equal ones of equal moments are different ones.
        let mut add = |n: &str, mut o: Observation| {
            o.key = key(&format!("{n} {i}"));
            all.push(o);
        };
        if r.transcript {
            add("turn", starts(SourceKind::Transcript, &t, &u));
            add("tur", tur(&t, &u, &format!("r{i}"), ms, r.input));
        }
        if let Some(late) = r.otlp {
            add("otlp", with(otlp(&t, ms + late, r.input), |x| x.ctx = Some(r.input)));
            let c = Context {
                id: r.input,
                attributes: [("team".into(), r.input.to_string())].into(),
                ..Context::default()
            };
            add("context", context(SourceKind::Otlp, &t, c));
        }
        if let Some(late) = r.hook {
            add("turn by hook", starts(SourceKind::Hook, &t, &u));
            // Far enough apart that none is taken for a twin.
            add("hook", hook(&t, &u, ms + late + 20_000 * i as i64, i as u32, r.input));
        }
    }
    all.push(child(&thread(2), &thread(1), "subagent"));
    all
}

fn count(reals: &[Real], seen: impl Fn(&Real) -> bool) -> usize {
    reals.iter().filter(|r| seen(r)).count()
}

/// How many responses of each thread, turn and vector, at which time.
fn held(responses: &[ResponseFact]) -> BTreeMap<String, usize> {
    let mut held = BTreeMap::new();
    for r in responses.iter().filter(|r| r.evidence.transcript) {
        let text = format!(
            "{} {:?} {:?} {:?} {:?} {:?} {:?}",
            r.thread, r.turn, r.response_id, r.usage, r.time, r.model, r.tier
        );
        *held.entry(text).or_default() += 1;
    }
    held
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn order_duplicates_and_parts_do_not_matter(
        reals in prop::collection::vec(real(), 0..12),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
    ) {
        let all = observations(&reals);
        let expected = format!("{:#?}", facts(&all));
        let mut mixed = all.clone();
        for at in &order {
            mixed.push(at.get(&all).clone());
        }
        for (i, at) in order.iter().enumerate() {
            let n = mixed.len();
            mixed.swap(i % n, at.index(n));
        }
        prop_assert_eq!(&expected, &format!("{:#?}", facts(&mixed)));
        mixed.reverse();
        prop_assert_eq!(&expected, &format!("{:#?}", facts(&mixed)));
        let (odd, even): (Vec<_>, Vec<_>) = all.iter().cloned().enumerate().partition(|(i, _)| i % 2 == 1);
        let parts: Vec<_> = odd.into_iter().chain(even).map(|(_, o)| o).collect();
        prop_assert_eq!(&expected, &format!("{:#?}", facts(&parts)));
    }

    #[test]
    fn there_are_no_fewer_than_any_source_saw_and_no_more_than_all(reals in prop::collection::vec(real(), 0..16)) {
        let n = responses(&observations(&reals)).len();
        let by = [count(&reals, |r| r.transcript), count(&reals, |r| r.otlp.is_some())];
        prop_assert!(n >= *by.iter().max().unwrap());
        prop_assert!(n <= by.iter().sum::<usize>() + count(&reals, |r| r.hook.is_some()));
    }

    #[test]
    fn without_transcripts_hooks_hold_too(reals in prop::collection::vec(real(), 0..16)) {
        let reals: Vec<_> = reals.into_iter().map(|r| Real { transcript: false, ..r }).collect();
        let n = responses(&observations(&reals)).len();
        let by = [count(&reals, |r| r.hook.is_some()), count(&reals, |r| r.otlp.is_some())];
        prop_assert!(n >= *by.iter().max().unwrap() && n <= by.iter().sum());
    }

    #[test]
    fn if_otlp_saw_all_there_are_as_many_as_there_were(reals in prop::collection::vec(real(), 0..16)) {
        // What hooks saw is among it; so is what transcripts hold.
        let reals: Vec<_> = reals.into_iter().map(|r| Real { otlp: Some(2), ..r }).collect();
        prop_assert_eq!(responses(&observations(&reals)).len(), reals.len());
    }

    #[test]
    fn if_the_transcript_holds_all_the_others_add_nothing(
        reals in prop::collection::vec(real(), 0..16),
        slow in 1..40i64,
    ) {
        // Even a machine so busy that its telemetry is late, as long as all of it is.
        let slow = |r: Real| Real { transcript: true, otlp: r.otlp.map(|late| late * slow), ..r };
        let reals: Vec<_> = reals.into_iter().map(slow).collect();
        let all = observations(&reals);
        let by_transcript: Vec<_> = all.iter().filter(|o| o.source == SourceKind::Transcript).cloned().collect();
        prop_assert_eq!(responses(&all).len(), reals.len());
        prop_assert_eq!(held(&responses(&all)), held(&responses(&by_transcript)));
    }

    #[test]
    fn losing_any_of_the_other_sources_changes_nothing_of_what_transcripts_hold(
        reals in prop::collection::vec(real(), 0..16),
        lost in prop::collection::vec(any::<bool>(), 100),
    ) {
        let all = observations(&reals);
        let whole = responses(&all);
        for source in [SourceKind::Otlp, SourceKind::Hook] {
            let none: Vec<_> = all.iter().filter(|o| o.source != source).cloned().collect();
            let some = all.iter().zip(&lost).filter(|(o, lost)| o.source != source || !**lost);
            let some: Vec<_> = some.map(|(o, _)| o.clone()).collect();
            for left in [none, some] {
                let left = responses(&left);
                prop_assert_eq!(held(&whole), held(&left));
                prop_assert!(left.len() <= whole.len());
            }
        }
    }
}
