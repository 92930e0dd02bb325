//! Forks, forks of forks, forks of resumed sessions and ways back, subagents, compactions and turns that a usage limit ended, as
//! Codex 0.42 to 0.153 recorded them, against what the scripted model served to each thread. Before 0.148 a fork's transcript holds a copy of its parent's;
//! before 0.101 nothing in it names the copied turns.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::capture::files;
use crate::support::{Capture, Codex, Feed, TestEnv};

/// Responses, input, cached input, output and reasoning tokens.
type Sum = [u64; 5];

const NAMES: [&str; 5] = ["responses", "input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens"];

/// What was served to each thread.
fn truth(capture: &Capture) -> BTreeMap<String, Sum> {
    let truth = capture.truth();
    let sum = |served: &Value| {
        served.as_array().unwrap().iter().fold(Sum::default(), |sum, usage| {
            let of = |name: &str| usage[name].as_u64().unwrap();
            let add = [1, of("input"), of("cached"), of("output"), of("reasoning")];
            std::array::from_fn(|i| sum[i] + add[i])
        })
    };
    let threads = truth["threads"].as_object().unwrap();
    threads.iter().map(|(thread, served)| (thread.clone(), sum(served))).collect()
}

/// What the ledger has of each session that has any responses.
fn ledger(env: &TestEnv) -> (BTreeMap<String, Sum>, Value) {
    let report = env.run(&["report", "session", "--no-import", "--format", "json"]).ok().json();
    let of = |row: &Value| NAMES.map(|name| row[name].as_u64().unwrap());
    let rows = report["rows"].as_array().unwrap().iter();
    let sessions = rows.map(|row| (row["session_id"].as_str().unwrap().to_owned(), of(row)));
    (sessions.filter(|(_, sum)| sum[0] > 0).collect(), report["coverage"].clone())
}

/// The transcripts of a capture, the oldest first.
fn transcripts(capture: &Capture, env: &TestEnv) -> Vec<PathBuf> {
    capture.place_transcripts(env);
    let sessions = env.codex_home().join("sessions");
    let mut files = files(&sessions);
    files.sort();
    files
}

/// The versions whose forks copy, oldest first, with whether their turns have ids.
const COPYING: [(&str, bool); 6] =
    [("0.42.0", false), ("0.58.0", false), ("0.79.0", false), ("0.98.0", false), ("0.114.0", true), ("0.145.0", true)];

/// What `codex migrate-rollouts` makes of older transcripts says the same again. Of 0.98 and before the captures are left out whose scripted
/// model answered in no time, as no model does.
#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run")]
fn migrated_transcripts_say_what_they_said_before() {
    let versions = ["0.42.0", "0.58.0-rate-limits", "0.72.0", "0.98.0-rate-limits", "0.107.0", "0.131.0", "0.145.0"];
    let versions = versions.map(|name| Capture::of("versions", name));
    let forks = ["0.58.0", "0.98.0", "0.114.0", "0.145.0", "0.98.0-upgraded"].map(|name| Capture::of("forks", name));
    let others = [("agents", "0.107.0"), ("agents", "0.145.0"), ("limits", "0.145.0"), ("compactions", "0.145.0")];
    let others = others.map(|(folder, name)| Capture::of(folder, name));
    for capture in versions.into_iter().chain(forks).chain(others) {
        let env = TestEnv::new();
        let before = transcripts(&capture, &env);
        let texts = |files: &[PathBuf]| files.iter().map(|path| std::fs::read(path).unwrap()).collect::<Vec<_>>();
        let old = texts(&before);
        let _ = env.run(&["import"]).ok();
        let report = ledger(&env);
        let mut codex = env.command(Codex::program());
        codex.args(["migrate-rollouts", "--apply"]).env("CODEX_HOME", env.codex_home());
        assert!(codex.output().unwrap().status.success(), "{}", capture.name);
        assert_ne!(texts(&before), old, "{} was migrated", capture.name);
        let _ = env.run(&["import"]).ok();
        assert_eq!(ledger(&env), report, "{}", capture.name);
    }
}

#[test]
fn every_thread_has_what_it_was_served_in_every_order() {
    // Of forks also a version that does not copy, and a session of one version that others went on with.
    let captures = ["forks", "compactions", "limits"].map(Capture::all);
    assert_eq!(captures.each_ref().map(Vec::len), [COPYING.len() + 2, 3, 5]);
    for capture in captures.into_iter().flatten() {
        let expected = truth(&capture);
        let orders: [&[Feed]; 3] =
            [&[Feed::Transcripts], &[Feed::OtlpTwice, Feed::Transcripts], &[Feed::Transcripts, Feed::OtlpTwice]];
        for order in orders {
            let env = TestEnv::new();
            capture.replay(&env, order);
            let (found, coverage) = ledger(&env);
            assert_eq!(found, expected, "{} {order:?}", capture.name);
            assert_eq!((&coverage["ambiguous"], &coverage["conflicts"]), (&0.into(), &0.into()), "{}", capture.name);
        }
        // File by file, forks before their parents.
        let env = TestEnv::new();
        for file in transcripts(&capture, &env).iter().rev() {
            let _ = env.run(&["import", file.to_str().unwrap()]).ok();
        }
        assert_eq!(ledger(&env).0, expected, "{} in the other order", capture.name);
    }
}

#[test]
fn what_forks_copied_of_a_parent_that_is_gone_is_counted_once_for_the_parent() {
    for (version, _) in COPYING {
        let capture = Capture::of("forks", version);
        let mut expected = truth(&capture);
        let env = TestEnv::new();
        let files = transcripts(&capture, &env);
        let (parent, sum) = expected.pop_first().unwrap();
        std::fs::remove_file(&files[0]).unwrap();
        let _ = env.run(&["import"]).ok();
        let (mut found, coverage) = ledger(&env);
        let of_parent = found.remove(&parent).unwrap();
        assert_eq!(found, expected, "{version}: what the forks did themselves");
        // Its later responses are in no file any more.
        let copied = coverage["ambiguous"].as_u64().unwrap();
        assert!(of_parent[0] < sum[0] && of_parent[0] >= 2, "{version}: {of_parent:?} of {sum:?}");
        assert!(copied == 0 || copied == of_parent[0], "{version}: {coverage}");

        // OTLP has them all, and those that both have are one.
        capture.replay(&env, &[Feed::OtlpTwice]);
        let (mut found, _) = ledger(&env);
        let of_parent = found.remove(&parent).unwrap();
        // Before 0.44 there is no OTLP.
        assert!(version == "0.42.0" || of_parent == sum, "{version}: {of_parent:?} of {sum:?}");
        assert_eq!(found, expected, "{version}: and of the forks nothing more");
    }
}

/// A fork of a fork whose own parent is gone: without turn ids its copy does not tell its grandparent's part, and says so.
#[test]
fn a_copy_that_may_be_of_either_of_two_is_marked() {
    for (version, named) in COPYING.into_iter().skip(3) {
        let capture = Capture::of("forks", version);
        let expected = truth(&capture);
        let env = TestEnv::new();
        let files = transcripts(&capture, &env);
        std::fs::remove_file(&files[1]).unwrap();
        let _ = env.run(&["import"]).ok();
        let (found, coverage) = ledger(&env);
        let (middle, sum) = expected.iter().nth(1).unwrap();
        let copied = found[middle];
        let others = |all: &BTreeMap<String, Sum>| {
            let mut all = all.clone();
            all.remove(middle);
            all
        };
        assert_eq!(others(&found), others(&expected), "{version}");
        if named {
            assert_eq!((&copied, &coverage["ambiguous"]), (sum, &0.into()), "{version}");
        } else {
            assert_eq!((copied[0] >= sum[0], &coverage["ambiguous"]), (true, &copied[0].into()), "{version}");
        }
    }
}

/// One subagent with its parent's history and one without it; 0.145 takes another word for the former.
#[test]
fn subagents_of_older_versions_are_part_of_their_parents_session() {
    for (version, threads) in [("0.98.0", 3), ("0.107.0", 3), ("0.145.0", 2)] {
        let capture = Capture::of("agents", version);
        let served = truth(&capture);
        let all = served.values().fold(Sum::default(), |all, sum| std::array::from_fn(|i| all[i] + sum[i]));
        let root = served.keys().next().unwrap().clone();
        assert_eq!(served.len(), threads, "{version}");
        for order in [&[Feed::Transcripts][..], &[Feed::OtlpTwice, Feed::Transcripts]] {
            let env = TestEnv::new();
            capture.replay(&env, order);
            assert_eq!(ledger(&env).0, BTreeMap::from([(root.clone(), all)]), "{version} {order:?}");
        }
    }
}
