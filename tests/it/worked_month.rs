//! The worked month of `examples/`: made from its sessions and rules with the commands that its README names, byte for byte, and
//! the figures of the README are those of the files.
//!
//! After a change that is meant: `UPDATE_EXAMPLES=1 cargo test --test it worked_month`, and look at the difference.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::support::TestEnv;
use crate::support::capture::files;
use crate::support::env::Output;

/// What a session used: its day, login, folder, model, and responses as input, cached input and output.
struct Session {
    n: u64,
    day: &'static str,
    folder: &'static str,
    model: &'static str,
    /// A ChatGPT workspace; else the API.
    account: Option<&'static str>,
    responses: &'static [[u64; 3]],
}

const IN_TIME: [Session; 4] = [
    Session {
        n: 1,
        day: "2026-10-06",
        folder: "/home/ada/code/gateway",
        model: "gpt-6.1-sol",
        account: None,
        responses: &[[200_000, 150_000, 10_000], [40_000, 30_000, 1_000]],
    },
    Session {
        n: 2,
        day: "2026-10-14",
        folder: "/home/ben/code/search",
        model: "gpt-5.5",
        account: None,
        responses: &[[100_000, 40_000, 4_000]],
    },
    Session {
        n: 3,
        day: "2026-10-20",
        folder: "/home/cleo/code/papers",
        model: "gpt-6.1-sol",
        account: Some("acme-workspace"),
        responses: &[[100_000, 60_000, 2_000]],
    },
    Session {
        n: 4,
        day: "2026-10-22",
        folder: "/home/ada/code/indexer",
        model: "gpt-5.5",
        account: None,
        responses: &[[20_000, 0, 1_000]],
    },
];

/// A laptop that was away when October was sealed, and the first session of November.
const LATE: [Session; 2] = [
    Session {
        n: 5,
        day: "2026-10-30",
        folder: "/home/ben/code/search",
        model: "gpt-5.5",
        account: None,
        responses: &[[10_000, 0, 500]],
    },
    Session {
        n: 6,
        day: "2026-11-05",
        folder: "/home/ada/code/gateway",
        model: "gpt-6.1-sol",
        account: None,
        responses: &[[50_000, 0, 5_000]],
    },
];

impl Session {
    fn thread(&self) -> String {
        format!("01a1f000-0000-7000-8000-{:012x}", self.n)
    }

    fn name(&self) -> String {
        format!("rollout-{}T09-00-00-{}.jsonl", self.day, self.thread())
    }

    /// In the shape that Codex 0.169 gives it, without what is never read.
    fn text(&self) -> String {
        let (thread, turn) = (self.thread(), format!("01a1f000-0000-7000-8001-{:012x}", self.n));
        let line = |minute: usize, kind: &str, payload: serde_json::Value| {
            let time = format!("{}T09:{minute:02}:00.000Z", self.day);
            format!("{}\n", json!({"timestamp": time, "type": kind, "payload": payload}))
        };
        let mut meta = json!({
            "id": thread, "session_id": thread, "source": "exec", "originator": "codex_exec", "cli_version": "0.169.0",
            "cwd": self.folder, "model_provider": "openai",
        });
        if let Some(account) = self.account {
            meta["creator_account_id"] = account.into();
        }
        let mut text = line(0, "session_meta", meta);
        text += &line(0, "turn_context", json!({"turn_id": turn, "model": self.model, "cwd": self.folder}));
        for (i, [input, cached, output]) in self.responses.iter().enumerate() {
            let usage = json!({
                "input_tokens": input, "cached_input_tokens": cached, "output_tokens": output, "total_tokens": input + output,
            });
            let record = json!({
                "thread_id": thread, "turn_id": turn, "session_id": thread, "response_id": format!("resp_{}_{i}", self.n),
                "usage": usage,
            });
            text += &line(i + 1, "token_usage_record", record);
        }
        text
    }
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/worked-month")
}

/// The month as the README tells it: what is in its folder when all is done, by path.
fn played() -> BTreeMap<String, Vec<u8>> {
    let env = TestEnv::new();
    let here = |name: &str| env.work().join(name);
    for name in ["config.toml", "teams-october.toml", "teams.toml", "rates.csv", "invoice.csv"] {
        std::fs::copy(example().join(name), here(name)).unwrap();
    }
    for (folder, sessions) in [("sessions", &IN_TIME[..]), ("late", &LATE[..])] {
        std::fs::create_dir(here(folder)).unwrap();
        sessions.iter().for_each(|s| std::fs::write(here(folder).join(s.name()), s.text()).unwrap());
    }
    let ledger = here("ledger");
    std::fs::create_dir(&ledger).unwrap();
    let put = |from: &str, to: &str| std::fs::write(ledger.join(to), std::fs::read(here(from)).unwrap()).unwrap();
    let run = |args: &[&str]| {
        let mut command = env.tally(args);
        command.env("CODEX_TALLY_HOME", &ledger);
        let _ = Output::of(command).ok();
    };
    put("config.toml", "config.toml");
    put("rates.csv", "rates.csv");
    put("teams-october.toml", "teams.toml");
    run(&["import", "sessions"]);
    run(&["ledger", "seal", "-p", "2026-10"]);
    put("teams.toml", "teams.toml");
    run(&["import", "late"]);
    run(&["billing", "import", "invoice.csv"]);
    for month in ["10", "11"] {
        let period = format!("2026-{month}");
        run(&["chargeback", "-p", &period, "--basis", "list", "--currency", "EUR", "--out", &period]);
        let csv = format!("{period}/focus.csv");
        run(&["export", "focus", "-p", &period, "--currency", "EUR", "--out", &csv]);
    }
    run(&["billing", "allocate", "-p", "2026-10", "--format", "csv", "--out", "2026-10/billed.csv"]);
    std::fs::remove_dir_all(&ledger).unwrap();
    // What has hashes of rules and program changes with each version; the rows do not.
    let kept = |name: &str| name.ends_with(".csv") || name.ends_with(".jsonl") || name.ends_with(".toml");
    let root = env.work();
    let named = |path: PathBuf| {
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_string();
        let bytes = std::fs::read(&path).unwrap();
        (name, bytes)
    };
    files(&root).into_iter().map(named).filter(|(name, _)| kept(name)).collect()
}

fn rows(bytes: &[u8]) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_reader(bytes);
    let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_string).collect();
    let row = |r: csv::StringRecord| header.iter().cloned().zip(r.iter().map(str::to_string)).collect();
    reader.records().map(|r| row(r.unwrap())).collect()
}

#[test]
fn the_worked_month_is_what_the_program_writes_and_what_its_readme_says() {
    let made = played();
    let folder = example();
    if std::env::var_os("UPDATE_EXAMPLES").is_some() {
        for (name, bytes) in &made {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
    }
    let kept = files(&folder).into_iter().filter(|path| !path.ends_with("README.md"));
    let named = |path: PathBuf| {
        (path.strip_prefix(&folder).unwrap().to_str().unwrap().to_string(), std::fs::read(&path).unwrap())
    };
    let kept: BTreeMap<String, Vec<u8>> = kept.map(named).collect();
    assert_eq!(made.keys().collect::<Vec<_>>(), kept.keys().collect::<Vec<_>>(), "see the head of this file");
    for (name, bytes) in &made {
        assert!(kept[name] == *bytes, "examples/worked-month/{name} is out of date: see the head of this file");
    }
    let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let mut figures = 0;
    for month in ["2026-10", "2026-11"] {
        for row in rows(&made[&format!("{month}/summary.csv")]) {
            for column in ["amount", "list_eur"] {
                let figure = row[column].trim_end_matches('0');
                if !figure.is_empty() {
                    let said = format!("| {figure} |");
                    assert!(
                        readme.contains(&said),
                        "README.md does not say {said} ({month}, {}, {column})",
                        row["team"]
                    );
                    figures += 1;
                }
            }
        }
        // Each price and quantity of the FOCUS rows is in the arithmetic.
        for row in rows(&made[&format!("{month}/focus.csv")]) {
            let quantity = row["PricingQuantity"].trim_end_matches(".0").replace('-', "");
            let grouped = codex_tally::report::format::thousands(quantity.parse::<u64>().unwrap());
            assert!(readme.contains(&grouped), "README.md does not say {grouped} ({month}): {row:?}");
        }
    }
    assert!(figures >= 8, "{figures}");
}
