//! Captured sessions through the real programs: whatever the order and however often, the ledger holds every response that
//! Codex reported, each once, and says the same.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use codex_tally::ledger::{self, Options};
use codex_tally::pricing::PriceBook;
use codex_tally::store::Store;
use codex_tally::store::sqlite::SqliteStore;
use serde_json::{Value, json};

use crate::support::{Capture, Feed, TestEnv};

/// Captures of Codex 0.169, and of the other versions.
const CAPTURES: usize = 32;
const VERSIONS: usize = 17;

const ORDERS: [[Feed; 3]; 3] = [
    [Feed::Hooks, Feed::Otlp, Feed::Transcripts],
    [Feed::Transcripts, Feed::OtlpTwice, Feed::Hooks],
    [Feed::OtlpTwice, Feed::Hooks, Feed::Transcripts],
];

/// Fields of expected.json that stand in the report's totals under the same name.
const TOKENS: [&str; 6] =
    ["responses", "input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens"];
const AMOUNTS: [&str; 3] = ["list_usd", "chatgpt_credits", "api_equivalent_usd"];

/// How a total must stand to what is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Must {
    Equal,
    /// One source alone: it may lack something, but has nothing too much.
    NotExceed,
}

#[test]
fn every_capture_is_exact_in_every_order() {
    each(Capture::all("captures"), CAPTURES, |capture, differences| {
        let reports: Vec<Value> = ORDERS
            .iter()
            .map(|order| {
                let env = TestEnv::new();
                capture.replay(&env, order);
                let report = monthly(&env);
                differences.extend(check(capture, &format!("{order:?}"), &report, Must::Equal));
                differences.extend(threads(capture, &env, &format!("{order:?}")));
                report
            })
            .collect();
        for part in ["rows", "totals", "coverage"] {
            let first = reports[0][part].to_string();
            for (order, other) in ORDERS.iter().zip(&reports).skip(1) {
                let other = other[part].to_string();
                if other != first {
                    differences.push(format!("{} {order:?}: other {part}\n  {first}\n  {other}", capture.name));
                }
            }
        }
    });
}

#[test]
fn one_source_alone_counts_nothing_twice() {
    each(Capture::all("captures"), CAPTURES, |capture, differences| {
        for order in [[Feed::Transcripts], [Feed::OtlpTwice], [Feed::Hooks]] {
            let env = TestEnv::new();
            capture.replay(&env, &order);
            differences.extend(check(capture, &format!("{order:?}"), &monthly(&env), Must::NotExceed));
        }
    });
}

/// Which sources saw each of a version's four responses: OTLP since 0.44. Its hooks bring no tokens.
#[test]
fn every_version_of_codex_is_exact_in_every_order() {
    each(Capture::all("versions"), VERSIONS, |capture, differences| {
        let mut all = BTreeSet::new();
        for order in [&[Feed::Transcripts][..], &ORDERS[0], &ORDERS[1], &ORDERS[2]] {
            let env = TestEnv::new();
            capture.replay(&env, order);
            let mut report = env.run(&["report", "session", "--format", "json"]).ok().json();
            differences.extend(check(capture, &format!("{order:?}"), &report, Must::Equal));
            let with_otlp = order.len() > 1 && capture.name != "0.42.0";
            let sources = json!({if with_otlp { "otlp+transcript" } else { "transcript" }: 4});
            let counts = json!({"sessions": 1, "prompts": 2, "tool_calls": 2, "tool_failures": 0});
            let coverage = json!({"responses_by_source": sources, "ambiguous": 0, "conflicts": 0, "unreadable": {}});
            for (found, wanted) in [(&report["rows"][0], counts), (&report["coverage"], coverage)] {
                for (name, wanted) in
                    wanted.as_object().unwrap().iter().filter(|(name, wanted)| found[name] != **wanted)
                {
                    let got = &found[name];
                    differences.push(format!("{} {order:?}: {name} is {got}, not {wanted}", capture.name));
                }
            }
            if order.len() > 1 {
                all.insert(report["rows"].take().to_string());
            }
        }
        if all.len() > 1 {
            differences.push(format!("{}: the order matters\n{all:#?}", capture.name));
        }
    });
}

/// A request that failed is shown by its model, and the tokens that its failure named are in no total.
#[test]
fn what_a_failure_named_is_shown_and_not_counted() {
    let capture = Capture::named("06_d_failed_server_error_with_usage");
    for order in ORDERS {
        let env = TestEnv::new();
        capture.replay(&env, &order);
        let report = env.run(&["report", "session", "--format", "json"]).ok().json();
        let row = &report["rows"][0];
        assert_eq!((&row["unmetered_attempts"], &row["responses"]), (&json!(1), &json!(1)), "{order:?}");
        assert_eq!(row["unmetered_by_model"], "gpt-5.5: 1, named 6006 tokens", "{order:?}");
        assert_eq!(report["totals"]["input_tokens"], 9000, "{order:?}");
        let shown = env.run(&["show", "last"]).ok().stdout;
        for line in ["unmetered 1 of gpt-5.5", "named     in 6,000, out 6 by failures of gpt-5.5: counted nowhere"] {
            assert!(shown.contains(line), "{order:?} {line}\n{shown}");
        }
    }
}

/// Works through all captures with two at a time, and fails with all differences of all of them.
#[track_caller]
fn each(captures: Vec<Capture>, count: usize, work: impl Fn(&Capture, &mut Vec<String>) + Sync) {
    assert_eq!(captures.len(), count, "the number of captures in the fixtures");
    let (next, differences) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(capture) = captures.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut found = Vec::new();
                    work(capture, &mut found);
                    differences.lock().unwrap().extend(found);
                }
            });
        }
    });
    let differences = differences.into_inner().unwrap();
    assert!(differences.is_empty(), "{} differences\n{}", differences.len(), differences.join("\n"));
}

fn monthly(env: &TestEnv) -> Value {
    env.run(&["report", "monthly", "--format", "json"]).ok().json()
}

/// How the totals differ from what is expected, field by field.
fn check(capture: &Capture, order: &str, report: &Value, must: Must) -> Vec<String> {
    let expected = capture.expected();
    let mut differences = Vec::new();
    let mut compare = |name: &str, wanted: &Value, got: &Value, fits: bool| {
        if !fits {
            differences.push(format!("{} {order}: {name} is {got}, not {wanted}", capture.name));
        }
    };
    for name in TOKENS {
        let (wanted, got) = (&expected[name], &report["totals"][name]);
        let (Some(w), Some(g)) = (wanted.as_u64(), got.as_u64()) else {
            compare(name, wanted, got, false);
            continue;
        };
        compare(name, wanted, got, if must == Must::Equal { g == w } else { g <= w });
    }
    if must == Must::Equal {
        for name in AMOUNTS.iter().filter(|name| expected.get(**name).is_some()) {
            compare(name, &expected[name], &report["totals"][name], report["totals"][name] == expected[name]);
        }
        let name = "unpriced_responses";
        let (wanted, got) = (&expected[name], &report["coverage"][name]);
        compare(name, wanted, got, wanted.is_null() || got == wanted);
    }
    differences
}

/// The report counts sessions; threads with responses are counted in the ledger behind it.
fn threads(capture: &Capture, env: &TestEnv, order: &str) -> Option<String> {
    let store = SqliteStore::open(&env.home().join("tally.db")).unwrap();
    let ledger = ledger::build(&store.observations().unwrap(), &Options::default(), PriceBook::builtin());
    let threads: BTreeSet<_> = ledger.lines.iter().map(|line| line.response.thread.as_str()).collect();
    let wanted = &capture.expected()["threads"];
    (wanted.as_u64() != Some(threads.len() as u64))
        .then(|| format!("{} {order}: {} threads, not {wanted}", capture.name, threads.len()))
}
