//! A response that several sources saw is one fact; equal responses stay as many as they are.

use super::*;
use crate::model::{Attempt, ServiceTier, uuid_v7_millis};

const ALL: &str = "hook+otlp+transcript";

fn seen(input: u64, by: &str, ms: i64) -> (u64, String, i64) {
    (input, by.to_string(), ms)
}

#[test]
fn one_response_seen_by_all_is_one_at_the_transcripts_time() {
    let (t, u) = (thread(1), turn(0));
    // The hook's clock is a day off: it does not matter.
    let all = [tur(&t, &u, "r", 10, 5), otlp(&t, 12, 5), hook(&t, &u, 86_400_000, 7, 5)];
    assert_eq!(outline(&all), [seen(5, ALL, 10)]);
    let fact = &responses(&all)[0];
    assert_eq!((fact.turn.as_ref(), fact.response_id.as_deref()), (Some(&u), Some("r")));
}

#[test]
fn without_a_transcript_the_time_is_otlps_and_then_the_turns() {
    let (t, u) = (thread(1), turn(3));
    let hooked = [starts(SourceKind::Hook, &t, &u), hook(&t, &u, 9_999, 7, 5)];
    assert_eq!(outline(&hooked), [seen(5, "hook", 3)]);
    let [start, hooked] = hooked;
    assert_eq!(outline(&[start, hooked, otlp(&t, 40, 5)]), [seen(5, "hook+otlp", 40)]);
}

#[test]
fn equal_responses_stay_as_many_as_they_are() {
    let (t, u) = (thread(1), turn(0));
    let start = starts(SourceKind::Hook, &t, &u);
    let records: Vec<_> = (0..12).map(|i| tur(&t, &u, &format!("r{i}"), 100 * i, 5)).collect();
    let exported: Vec<_> = (0..12).map(|i| otlp(&t, 100 * i + 2, 5)).collect();
    let hooked: Vec<_> = (0..12u32).map(|i| hook(&t, &u, 100 * i64::from(i) + 9, i, 5)).collect();
    let some = |all: &[Observation], n: usize| all.iter().step_by(n).cloned().collect::<Vec<_>>();
    let cases = [
        ("all", vec![records.clone(), exported.clone(), hooked.clone()]),
        ("transcript", vec![records.clone()]),
        ("otlp", vec![exported.clone()]),
        ("hook", vec![hooked.clone()]),
        ("hook and otlp", vec![exported.clone(), hooked.clone()]),
        ("hook and some otlp", vec![some(&exported, 3), hooked.clone()]),
        ("transcript and some", vec![records.clone(), some(&exported, 5), some(&hooked, 2)]),
        ("otlp and some hooks", vec![exported.clone(), some(&hooked, 4)]),
    ];
    for (name, lists) in cases {
        let all: Vec<_> = lists.concat().into_iter().chain([start.clone()]).collect();
        assert_eq!(responses(&all).len(), 12, "{name}");
    }
}

#[test]
fn two_equal_responses_that_two_sources_saw_one_of_stay_two_when_times_say_so() {
    let (t, u, v) = (thread(1), turn(0), turn(60_000));
    let apart = [tur(&t, &u, "r", 10, 5), otlp(&t, 2_011, 5)];
    assert_eq!(outline(&apart), [seen(5, "transcript", 10), seen(5, "otlp", 2_011)]);
    let near = [tur(&t, &u, "r", 10, 5), otlp(&t, 2_010, 5)];
    assert_eq!(outline(&near), [seen(5, "otlp+transcript", 10)]);
    let turns = [starts(SourceKind::Hook, &t, &u), starts(SourceKind::Hook, &t, &v)];
    let hooked = [turns[0].clone(), turns[1].clone(), hook(&t, &u, 20, 1, 5), otlp(&t, 60_500, 5)];
    assert_eq!(outline(&hooked), [seen(5, "hook", 0), seen(5, "otlp", 60_500)]);
}

/// Twelve equal responses of one turn, of which each source lost another one.
#[test]
fn equal_responses_of_which_each_source_lost_another_are_all_there_or_marked() {
    let (t, u) = (thread(1), turn(0));
    let start = starts(SourceKind::Transcript, &t, &u);
    let run = |gap: i64, kept: [fn(i64) -> bool; 3]| {
        let of = |n: usize| (0..12).filter(move |i| kept[n](*i));
        let records = of(0).map(|i| tur(&t, &u, &format!("r{i}"), gap * i, 5));
        let exported = of(1).map(|i| otlp(&t, gap * i + 2, 5));
        let hooked = of(2).map(|i| hook(&t, &u, gap * i + 9, u32::try_from(i).unwrap(), 5));
        let all: Vec<_> = records.chain(exported).chain(hooked).chain([start.clone()]).collect();
        let all = responses(&all);
        (all.len(), all.iter().filter(|r| r.ambiguous).count())
    };
    // Two seconds and more apart, times tell; what both of the others lost the transcript has.
    assert_eq!(run(2_500, [|i| i != 3, |i| i != 5, |i| i != 7]), (12, 0));
    assert_eq!(run(2_500, [|_| true, |i| i % 2 == 0, |i| i % 3 == 0]), (12, 0));
    assert_eq!(run(2_500, [|i| i > 5, |i| i < 6, |_| true]), (12, 0));
    // Closer together a record of the one may be a late one of the other: one fewer, and the report says so.
    assert_eq!(run(100, [|i| i != 3, |i| i != 5, |i| i != 7]), (11, 1));
    assert_eq!(run(100, [|i| i != 3, |i| i != 4, |_| true]), (11, 1));
    assert_eq!(run(100, [|i| i != 4, |i| i != 3, |_| true]), (11, 1));
    assert_eq!(run(100, [|i| i != 3, |_| true, |_| true]), (12, 0));
    assert_eq!(run(100, [|_| true, |i| i != 5, |i| i != 7]), (12, 0));
}

#[test]
fn late_telemetry_of_equal_responses_is_no_doubt_as_long_as_it_is_nearer_to_its_own() {
    let (t, u) = (thread(1), turn(0));
    let run = |late: i64| {
        let of = |i: i64| [tur(&t, &u, &format!("r{i}"), 300 * i, 5), otlp(&t, 300 * i + late, 5)];
        let all = responses(&(0..12).flat_map(of).collect::<Vec<_>>());
        (all.len(), all.iter().filter(|r| r.ambiguous).count())
    };
    assert_eq!(run(80), (12, 0));
    // The last one has no later neighbour to be taken for.
    assert_eq!(run(110), (12, 11));
}

#[test]
fn twelve_equal_responses_that_only_hooks_saw_are_twelve() {
    let (t, u) = (thread(1), turn(0));
    let run = |gap: i64, registered: i64| {
        let seen = (0..12).flat_map(|i| (0..registered).map(move |n| (gap * i + 3 * n, i * registered + n)));
        let seen = seen.map(|(ms, pid)| hook(&t, &u, ms, u32::try_from(pid).unwrap(), 5));
        let all = responses(&seen.chain([starts(SourceKind::Hook, &t, &u)]).collect::<Vec<_>>());
        // A hook alone leaves the tier open, so that all of them are in doubt anyway.
        assert!(all.iter().all(|r| r.ambiguous));
        all.len()
    };
    assert_eq!(run(200, 1), 12);
    assert_eq!(run(200, 2), 12, "registered for the user and for the machine");
    assert_eq!(run(200, 3), 12, "and for the project");
}

#[test]
fn on_a_busy_machine_tool_calls_tell_how_often_hooks_are_registered() {
    let (t, u) = (thread(1), turn(0));
    // The second registration is up to 200 ms late, and the next response comes soon after.
    let run = |calls: i64| {
        let seen = (0..24).map(|n| hook(&t, &u, 300 * (n / 2) + 40 * (n % 2) * (n % 6), u32::try_from(n).unwrap(), 5));
        let call = |n: i64| {
            let c = ToolCall { call_id: format!("c{}", n / calls), turn: Some(u.clone()), ..ToolCall::default() };
            observe(&t, SourceKind::Hook, key(&format!("call {n}")), at(300 * n), Body::ToolCall(Box::new(c)))
        };
        let all: Vec<_> = seen.chain((0..11 * calls).map(call)).chain([starts(SourceKind::Hook, &t, &u)]).collect();
        let all = responses(&all);
        all.len()
    };
    assert_eq!(run(2), 12);
    assert_eq!(run(1), 20, "nothing tells that these are twins");
}

#[test]
fn two_sessions_at_once_that_are_alike_stay_two() {
    let (one, other, u) = (thread(1), thread(2), turn(0));
    // The ids of turns differ in life; here not even they do.
    let of = |t: &ThreadId, late: i64| {
        let mut all = vec![starts(SourceKind::Transcript, t, &u)];
        for i in 0..12 {
            let (ms, pid) = (100 * i, u32::try_from(2 * i + late).unwrap());
            all.extend([tur(t, &u, &format!("r{i}"), ms, 5), otlp(t, ms + late, 5), hook(t, &u, ms + late, pid, 5)]);
        }
        all
    };
    let mut all = [of(&one, 1), of(&other, 2)].concat();
    // The keys of the tests are made of less than those of sources.
    all.iter_mut().for_each(|o| o.key = key(&format!("{:?} {}", o.key, o.thread)));
    let facts = facts(&all);
    assert_eq!(facts.iter().map(|s| s.responses.len()).collect::<Vec<_>>(), [12, 12]);
    assert!(facts.iter().flat_map(|s| &s.responses).all(|r| r.evidence.name() == ALL && !r.ambiguous));
}

#[test]
fn a_lost_record_is_not_replaced_by_that_of_a_later_equal_response() {
    let (t, u) = (thread(1), turn(0));
    // The first response's OTLP record was lost; the second's is 1 ms from it.
    let all = [tur(&t, &u, "a", 0, 5), tur(&t, &u, "b", 1_500, 5), otlp(&t, 1_501, 5)];
    assert_eq!(outline(&all), [seen(5, "transcript", 0), seen(5, "otlp+transcript", 1_500)]);
    // What remains of it belongs to nobody, although the first record is still waiting.
    let more = [&all[..], &[otlp(&t, 3_400, 5)]].concat();
    assert_eq!(responses(&more).len(), 3);
}

#[test]
fn a_record_without_a_narrow_time_leaves_the_others_theirs() {
    let (t, u) = (thread(1), turn(0));
    let late = |id: &str, ms| with(tur(&t, &u, id, ms, 5), |r| r.from_token_count = true);
    // Two `token_count` records of one turn, written long after their responses.
    let all = [starts(SourceKind::Transcript, &t, &u), late("#1", 5_000), late("#2", 60_000)];
    let both = [&all[..], &[otlp(&t, 1_000, 5), otlp(&t, 30_000, 5)]].concat();
    assert_eq!(outline(&both), [seen(5, "otlp+transcript", 5_000), seen(5, "otlp+transcript", 60_000)]);
    // An OTLP record that is older than the turn, or younger than the last one, is of neither.
    let neither = [&all[..], &[otlp(&t, -1, 5), otlp(&t, 62_001, 5)]].concat();
    assert_eq!(responses(&neither).len(), 4);
}

#[test]
fn a_hook_that_is_registered_twice_saw_one_response() {
    let (t, u) = (thread(1), turn(0));
    let twins = |gap: i64, pid| [hook(&t, &u, 10, 1, 5), hook(&t, &u, 10 + gap, pid, 5)];
    // A hook alone leaves the tier open, which telemetry does not.
    let told = [otlp(&t, 12, 5), otlp(&t, 13, 5)];
    let one = responses(&[&twins(50, 2)[..], &told[..1]].concat());
    assert_eq!((one.len(), one[0].ambiguous), (1, true));
    let other_model = |o| with(o, |r| r.hook = Some((2, 99)));
    let [first, second] = twins(1, 2);
    for (name, two) in [
        ("too late", twins(51, 2)),
        ("the same process", twins(10, 1)),
        ("another payload", [first, other_model(second)]),
    ] {
        let two = responses(&[two, told.clone()].concat());
        assert_eq!((two.len(), two[0].ambiguous), (2, false), "{name}");
    }
    // Thrice registered, and twice used.
    let thrice = [hook(&t, &u, 10, 1, 5), hook(&t, &u, 40, 2, 5), hook(&t, &u, 55, 3, 5)];
    let later = [hook(&t, &u, 900, 4, 5), hook(&t, &u, 905, 5, 5)];
    assert_eq!(responses(&[&thrice[..], &later].concat()).len(), 2);
}

#[test]
fn a_hook_never_adds_to_a_turn_that_a_transcript_covers() {
    let (t, u) = (thread(1), turn(0));
    let twice = [tur(&t, &u, "r", 10, 5), hook(&t, &u, 11, 1, 5), hook(&t, &u, 200, 2, 5), hook(&t, &u, 300, 3, 6)];
    assert_eq!(outline(&twice), [seen(5, "hook+transcript", 10)]);
    let only_started = [starts(SourceKind::Transcript, &t, &u), hook(&t, &u, 11, 1, 5)];
    assert!(responses(&only_started).is_empty());
    let started_by_a_hook = [starts(SourceKind::Hook, &t, &u), hook(&t, &u, 11, 1, 5)];
    assert_eq!(responses(&started_by_a_hook).len(), 1);
}

#[test]
fn compaction_and_prewarm_are_responses() {
    let (t, u) = (thread(1), turn(100));
    let all = [
        starts(SourceKind::Transcript, &t, &u),
        otlp(&t, 50, 3),              // prewarm: before any turn, only OTLP
        tur(&t, &u, "c", 200, 9_000), // compaction: no hook
        otlp(&t, 202, 9_000),
        tur(&t, &u, "r", 300, 40),
        otlp(&t, 301, 40),
        hook(&t, &u, 302, 1, 40),
    ];
    assert_eq!(outline(&all), [seen(3, "otlp", 50), seen(9_000, "otlp+transcript", 200), seen(40, ALL, 300)]);
    let turns: Vec<_> = responses(&all).into_iter().map(|r| r.turn).collect();
    assert_eq!(turns, [None, Some(u.clone()), Some(u)]);
}

#[test]
fn a_queued_turn_does_not_take_the_end_of_the_last_one() {
    let (t, u, v) = (thread(1), turn(0), turn(1_000));
    let all = [starts(SourceKind::Hook, &t, &u), starts(SourceKind::Hook, &t, &v), otlp(&t, 900, 5)];
    assert_eq!(responses(&all)[0].turn, Some(u));
}

#[test]
fn a_forks_copy_stands_only_where_the_original_is_gone() {
    let (t, u) = (thread(1), turn(0));
    let copy = |input| {
        let mut o = with(tur(&t, &u, "r", 0, input), |r| r.replayed = true);
        o.key = key("copy");
        o
    };
    assert_eq!(outline(&[copy(5)]), [seen(5, "transcript", 0)]);
    assert_eq!(outline(&[copy(5), tur(&t, &u, "r", 10, 5)]), [seen(5, "transcript", 10)]);
    let contradicted = responses(&[copy(6), tur(&t, &u, "r", 10, 5)]);
    assert_eq!((contradicted.len(), contradicted[0].usage.input, contradicted[0].conflict), (1, 5, true));
    // The copy has only its turn's time; its OTLP and hook records are found all the same.
    let mut many = copy(5);
    many.key = key("copy in another fork");
    assert_eq!(outline(&[copy(5), many, otlp(&t, 9_000, 5), hook(&t, &u, 9_001, 1, 5)]), [seen(5, ALL, 0)]);
}

#[test]
fn a_copy_without_a_turn_stands_only_where_the_threads_own_transcript_is_gone() {
    let t = thread(1);
    let copy = |n: u32, input| {
        let mut o = with(tur(&t, "", "", -999, input), |r| {
            (r.turn, r.response_id) = (None, Some(format!("#{n}")));
            (r.replayed, r.from_token_count) = (true, true);
        });
        o.key = key(&format!("copy {n}"));
        o
    };
    let copies = [copy(1, 5), copy(2, 5), copy(3, 6)];
    let stand_in = responses(&copies);
    assert_eq!((stand_in.len(), stand_in.iter().all(|r| r.ambiguous)), (3, true));
    // OTLP saw them when they were made, long before the fork.
    let exported: Vec<_> = [(10, 5), (900_000, 5), (950_000, 6)].map(|(ms, n)| otlp(&t, ms, n)).into();
    assert_eq!(responses(&[&copies[..], &exported].concat()).len(), 3);
    let own = with(tur(&t, "", "", 7, 5), |r| (r.turn, r.response_id) = (None, Some("#1".into())));
    let there = [&copies[..], &[own, meta(&t, Meta::default())]].concat();
    assert_eq!(outline(&there), [seen(5, "transcript", 7)]);
    assert!(!responses(&there)[0].ambiguous);
}

/// A copy of a transcript without its beginning names no model, and takes for a response of its own what `token_count` repeats.
#[test]
fn a_copy_without_its_beginning_adds_nothing_and_takes_nothing() {
    let (t, u) = (thread(1), turn(0));
    for input in 1..20 {
        let whole = tur(&t, &u, "r", 10, input);
        let copy = with(tur(&t, &u, "r", 10, input), |r| r.model = None);
        let counted = with(tur(&t, &u, "#1", 900, input), |r| (r.model, r.from_token_count) = (None, true));
        let [response] = responses(&[copy, whole, counted]).try_into().unwrap();
        assert_eq!((response.model.as_deref(), response.conflict), (Some("gpt-5.5"), true), "{input}");
    }
    // What was counted before the first record is a response of an older version.
    let older = with(tur(&t, &u, "#1", 5, 7), |r| r.from_token_count = true);
    assert_eq!(responses(&[older, tur(&t, &u, "r", 10, 7)]).len(), 2);
}

#[test]
fn one_key_with_two_contents_is_one_response_and_a_conflict() {
    let (t, u) = (thread(1), turn(0));
    let one = tur(&t, &u, "r", 10, 5);
    let other_model = with(one.clone(), |r| r.model = Some("gpt-6".into()));
    let other_tier = with(one.clone(), |r| r.tier = Some("flex".into()));
    let other_effort = with(one.clone(), |r| r.effort = Some("high".into()));
    let other_usage = with(one.clone(), |r| r.usage.input = 6);
    let run = |all: &[Observation]| {
        let all = responses(all);
        assert_eq!(all.len(), 1);
        all[0].conflict
    };
    assert!(!run(std::slice::from_ref(&one)));
    assert!(!run(&[one.clone(), one.clone()]), "the same observation twice is no conflict");
    assert!(!run(&[one.clone(), other_effort]));
    for other in [other_model, other_tier, other_usage] {
        assert!(run(&[one.clone(), other.clone()]));
        assert_eq!(facts(&[one.clone(), other.clone()]), facts(&[other, one.clone()]));
    }
    let two = [otlp(&t, 11, 5), with(otlp(&t, 11, 5), |r| r.tier = Some("flex".into()))];
    assert!(run(&[&[one][..], &two].concat()), "a conflict of OTLP's records stays visible when they pair");
}

#[test]
fn impossible_usage_is_kept_aside_and_hides_nothing() {
    let (t, u) = (thread(1), turn(0));
    let good = tur(&t, &u, "r", 10, 5);
    let bad = with(good.clone(), |r| r.usage.cached_input = 6);
    let session = only(std::slice::from_ref(&bad));
    assert_eq!((session.responses.len(), session.quarantined.len()), (0, 1));
    for input in 5..40 {
        // Whichever of the two contents comes first in the order of variants.
        let session = only(&[with(good.clone(), |r| r.usage.input = input), bad.clone()]);
        assert_eq!((session.responses.len(), session.quarantined.len()), (1, 1));
        assert!(session.responses[0].conflict);
    }
}

#[test]
fn the_tier_and_model_of_the_request_itself_stand_before_those_of_the_settings() {
    let (t, u) = (thread(1), turn(0));
    let flex = with(otlp(&t, 11, 5), |r| (r.tier, r.model) = (Some("flex".into()), Some("gpt-6".into())));
    let settled = with(tur(&t, &u, "r", 10, 5), |r| r.tier = Some("priority".into()));
    let of = |all: &[Observation]| {
        let r = responses(all).remove(0);
        (r.tier, r.model.unwrap_or_default(), r.ambiguous)
    };
    assert_eq!(of(&[settled.clone(), flex.clone()]), (ServiceTier::Flex, "gpt-6".into(), false));
    assert_eq!(of(&[tur(&t, &u, "r", 10, 5), flex.clone()]), (ServiceTier::Flex, "gpt-6".into(), false));
    let standard = with(otlp(&t, 11, 5), |r| r.tier = Some("default".into()));
    assert_eq!(of(&[settled.clone(), standard]), (ServiceTier::Standard, "gpt-5.5".into(), false));
    // An older version's telemetry may know no tiers.
    assert_eq!(of(&[settled.clone(), otlp(&t, 11, 5)]), (ServiceTier::Priority, "gpt-5.5".into(), true));
    assert_eq!(of(&[tur(&t, &u, "r", 10, 5), otlp(&t, 11, 5)]), (ServiceTier::Standard, "gpt-5.5".into(), false));
    assert_eq!(of(&[settled]), (ServiceTier::Priority, "gpt-5.5".into(), false));
    let hooked = [starts(SourceKind::Hook, &t, &u), flex, hook(&t, &u, 12, 1, 5)];
    assert_eq!(of(&hooked), (ServiceTier::Flex, "gpt-6".into(), false));
}

#[test]
fn what_no_source_tells_of_a_request_is_ambiguous() {
    let (t, u) = (thread(1), turn(0));
    let ambiguous = |all: &[Observation]| responses(all)[0].ambiguous;
    let start = starts(SourceKind::Hook, &t, &u);
    assert!(ambiguous(&[start.clone(), hook(&t, &u, 12, 1, 5)]), "a hook knows no tier");
    assert!(!ambiguous(&[start, hook(&t, &u, 12, 1, 5), otlp(&t, 11, 5)]));
    let warm_up = with(otlp(&t, 11, 5), |r| r.usage.output = 0);
    assert!(ambiguous(std::slice::from_ref(&warm_up)), "a warm-up's record names no tier");
    assert!(!ambiguous(&[with(warm_up, |r| r.effort = Some("medium".into()))]));
    assert!(!ambiguous(&[otlp(&t, 11, 5)]));
}

#[test]
fn a_model_in_doubt_is_ambiguous_until_telemetry_names_it() {
    let (t, u) = (thread(1), turn(0));
    let doubtful = with(tur(&t, &u, "r", 10, 5), |r| r.model_in_doubt = true);
    assert!(responses(std::slice::from_ref(&doubtful))[0].ambiguous);
    assert!(!responses(&[doubtful, otlp(&t, 11, 5)])[0].ambiguous);
}

/// A name, what was seen, and the responses, broken requests and refusals that it means.
type Case = (&'static str, Vec<Observation>, (usize, u64, u64));

#[test]
fn attempts_are_counted_by_whoever_saw_more() {
    let (t, u) = (thread(1), turn(0));
    let failed = |source: SourceKind, ms: i64, kind: &str| {
        let turn = (source == SourceKind::Hook).then(|| u.clone());
        let body = Body::Attempt(Attempt { turn, kind: kind.into(), ..Attempt::default() });
        observe(&t, source, key(&format!("{source:?} {kind} {ms}")), at(ms), body)
    };
    let (otlp_failed, hook_failed) =
        (|ms| failed(SourceKind::Otlp, ms, "stream"), |ms| failed(SourceKind::Hook, ms, "stream"));
    let count = |all: &[Observation]| {
        let s = only(all);
        (s.responses.len(), s.unmetered_attempts, s.api_errors)
    };
    let start = starts(SourceKind::Hook, &t, &u);
    let cases: [Case; 10] = [
        ("both saw it", vec![otlp_failed(5), hook_failed(6)], (0, 1, 0)),
        ("a hook saw two", vec![otlp_failed(5), hook_failed(6), hook_failed(500)], (0, 2, 0)),
        ("a hook registered twice", vec![hook_failed(6), hook_failed(9)], (0, 1, 0)),
        ("incomplete, with usage", vec![otlp_failed(5), tur(&t, &u, "r", 5, 9)], (1, 0, 0)),
        (
            "incomplete, only the hook has its usage",
            vec![start, otlp_failed(5_000), hook(&t, &u, 5_001, 1, 9)],
            (1, 0, 0),
        ),
        ("the response has its own record", vec![otlp_failed(5), tur(&t, &u, "r", 6, 9), otlp(&t, 7, 9)], (1, 1, 0)),
        ("given up, only telemetry has its usage", vec![otlp(&t, 5, 9), hook_failed(12)], (1, 0, 0)),
        ("given up twice, one with usage", vec![otlp(&t, 5, 9), hook_failed(12), hook_failed(900)], (1, 1, 0)),
        ("given up beside one that ended", vec![hook(&t, &u, 10, 1, 9), otlp(&t, 5, 9), hook_failed(12)], (1, 1, 0)),
        ("refused", vec![failed(SourceKind::Otlp, 5, "api")], (0, 0, 1)),
    ];
    for (name, all, expected) in cases {
        assert_eq!(count(&all), expected, "{name}");
    }
    assert_eq!(uuid_v7_millis(&u), Some(BASE));
}

/// Requests without usage: models with how many, and the tokens that failures named.
fn unmetered(session: &SessionFact) -> Vec<(&str, u64, u64)> {
    let of = session.unmetered.iter();
    of.map(|(model, of)| (model.as_deref().unwrap_or("unknown"), of.attempts, of.named.total())).collect()
}

#[test]
fn attempts_are_counted_by_model_and_what_failures_named_is_in_no_total() {
    let t = thread(1);
    let failed = |source: SourceKind, ms: i64, kind: &str, model: &str, named: u64| {
        let (kind, model, usage) = (kind.into(), Some(model.into()), Some(usage(named)).filter(|_| named > 0));
        let body = Body::Attempt(Attempt { kind, model, usage, ..Attempt::default() });
        observe(&t, source, key(&format!("{source:?} {ms} {named}")), at(ms), body)
    };
    let mut all = vec![
        failed(SourceKind::Otlp, 5, "named", "gpt-5.5", 600),
        failed(SourceKind::Otlp, 6, "stream", "gpt-5.5", 0),
        failed(SourceKind::Otlp, 900, "stream", "gpt-5.5", 0),
        failed(SourceKind::Otlp, 9_000, "stream", "gpt-6", 0),
        failed(SourceKind::Hook, 7, "stream", "gpt-5.5", 0),
    ];
    let session = only(&all);
    assert_eq!((session.responses.len(), session.unmetered_attempts), (0, 3));
    assert_eq!(unmetered(&session), [("gpt-5.5", 2, 601), ("gpt-6", 1, 0)]);
    assert_eq!(session.unmetered[&Some("gpt-5.5".to_string())].named, usage(600));
    // What cannot be true is not shown either; hooks that saw more are believed.
    all.push(failed(SourceKind::Otlp, 10, "named", "gpt-6", 1 << 62));
    all.extend([1_000, 2_000, 3_000].map(|ms| failed(SourceKind::Hook, ms, "stream", "gpt-6", 0)));
    let session = only(&all);
    assert_eq!(unmetered(&session), [("gpt-5.5", 1, 601), ("gpt-6", 3, 0)]);
}

#[test]
fn times_at_the_ends_of_the_world_harm_nothing() {
    let t = thread(1);
    for ns in [i64::MIN, i64::MIN + 1, -1, 0, i64::MAX] {
        for u in ["", "x", "ffffffff-ffff-7fff-8000-000000000000", "-fffffff-ffff-7fff-8000-000000000000"] {
            let end = crate::model::TurnEnd { turn: u.into(), aborted: false, duration_ms: None };
            let mut all = vec![
                tur(&t, u, "r", 0, 5),
                with(tur(&t, u, "#1", 0, 5), |r| r.from_token_count = true),
                otlp(&t, 1, 5),
                hook(&t, u, 2, 1, 6),
                starts(SourceKind::Hook, &t, u),
                observe(&t, SourceKind::Transcript, key("end"), at(3), Body::TurnEnd(end)),
            ];
            all.iter_mut().for_each(|o| o.time = Timestamp(ns));
            assert_eq!(responses(&all).len(), 2);
        }
    }
}
