//! Sealed months: their bytes never change, what comes late is a correction, and corrections net out.

use rusqlite::Connection;
use serde_json::Value;

use crate::support::{TestEnv, Transcript};

/// A machine whose channel is known.
fn machine() -> TestEnv {
    TestEnv::new().billed_by_the_api()
}

/// Adds to the transcript of the `n`th thread a response of so many input tokens, on a day of 2026.
fn respond(env: &TestEnv, n: u64, day: &str, input: u64) {
    Transcript::new(n).respond(env, day, input, &[]);
}

fn report(env: &TestEnv, period: &str, by: &str) -> Value {
    env.run(&["report", "monthly", "-p", period, "--by", by, "--format", "json"]).ok().json()
}

/// Class, corrected month, responses and list cost of a month's rows.
fn rows(env: &TestEnv, period: &str) -> Vec<(String, String, i64, String)> {
    let report = report(env, period, "team");
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_string();
    let row = |row: &Value| {
        let responses = row["responses"].as_i64().unwrap();
        (
            text(row, "status") + " " + &text(row, "class"),
            text(row, "corrects_period"),
            responses,
            text(row, "list_usd"),
        )
    };
    report["rows"].as_array().unwrap().iter().map(row).collect()
}

fn row(kind: &str, corrects: &str, responses: i64, list: &str) -> (String, String, i64, String) {
    (kind.into(), corrects.into(), responses, list.into())
}

fn seal(env: &TestEnv, period: &str) {
    assert!(env.run(&["ledger", "seal", "-p", period]).ok().stderr.contains("is sealed"));
}

/// The artifact of a sealed month.
fn artifact(env: &TestEnv, period: &str, name: &str) -> (Value, String) {
    let dir = env.root().join(name);
    drop(env.run(&["ledger", "seal", "-p", period, "--out", dir.to_str().unwrap()]).ok());
    let json = serde_json::from_slice(&std::fs::read(dir.join("seal.json")).unwrap()).unwrap();
    let csv = zstd::decode_all(&std::fs::read(dir.join("lines.csv.zst")).unwrap()[..]).unwrap();
    (json, String::from_utf8(csv).unwrap())
}

// gpt-5.5 costs 5 USD for a million tokens of input and 30 USD for output, of which each response has one token.
const LIST_1000: &str = "0.005030000000";
const LIST_2000: &str = "0.010030000000";
const LIST_4000: &str = "0.020030000000";

#[test]
fn what_comes_late_is_a_correction_of_the_next_open_month() {
    let env = machine();
    respond(&env, 1, "08-31", 1000);
    respond(&env, 1, "09-01", 2000);
    assert_eq!(rows(&env, "2026-08"), [row("estimated usage", "", 1, LIST_1000)]);
    assert!(env.run(&["ledger", "seal", "-p", "2026-09"]).fails(1).stderr.contains("seal 2026-08 first"));
    seal(&env, "2026-08");
    assert!(env.run(&["ledger", "seal", "-p", "2026-08"]).fails(1).stderr.contains("sealed already"));
    assert_eq!(rows(&env, "2026-08"), [row("sealed usage", "", 1, LIST_1000)]);
    assert_eq!(rows(&env, "2026-09"), [row("estimated usage", "", 1, LIST_2000)]);
    let sealed = report(&env, "2026-08", "session");

    // Late usage of a known session and of a new one.
    respond(&env, 2, "08-30", 4000);
    assert_eq!(report(&env, "2026-08", "session"), sealed);
    let september = [row("estimated usage", "", 1, LIST_2000), row("estimated correction", "2026-08", 1, LIST_4000)];
    let sorted = |env: &TestEnv, period: &str| {
        let mut rows = rows(env, period);
        rows.sort_by(|a, b| (b.0.clone(), &a.1).cmp(&(a.0.clone(), &b.1)));
        rows
    };
    assert_eq!(sorted(&env, "2026-09"), september);
    assert_eq!(sorted(&env, "2026-09"), september, "once");
    drop(env.run(&["ledger", "rebuild"]).ok());
    assert_eq!(sorted(&env, "2026-09"), september, "and again");

    // Once the correction is sealed, nothing is left to correct.
    seal(&env, "2026-09");
    let (json, csv) = artifact(&env, "2026-09", "september");
    assert_eq!((&json["lines"], &json["corrections"], &json["responses"]), (&2.into(), &1.into(), &2.into()));
    assert_eq!(json["totals"]["list_usd"], "0.030060000000");
    assert!(csv.lines().any(|l| l.contains(",correction,2026-08,late: not known when its month was sealed,")), "{csv}");
    assert_eq!(rows(&env, "2026-10"), []);
    assert_eq!(report(&env, "2026-08", "session"), sealed);
    let all = env.run(&["report", "monthly", "--format", "json"]).ok().json();
    assert_eq!((&all["totals"]["responses"], &all["totals"]["list_usd"]), (&3.into(), &"0.035090000000".into()));
    drop(env.run(&["ledger", "verify"]).ok());
}

#[test]
fn other_prices_and_other_owners_are_corrections_that_net_out() {
    let env = machine();
    respond(&env, 1, "08-31", 1000);
    seal(&env, "2026-08");
    let rules = env.home().join("teams.toml");
    std::fs::write(&rules, "[[rule]]\nteam = \"search\"\n").unwrap();
    let corrected: Vec<Value> = report(&env, "2026-09", "team")["rows"].as_array().unwrap().clone();
    let found: Vec<_> =
        corrected.iter().map(|r| (r["team"].as_str().unwrap(), r["responses"].as_i64().unwrap())).collect();
    assert_eq!(found, [("search", 1), ("unattributed", -1)]);
    let amounts: Vec<_> = corrected.iter().map(|r| r["list_usd"].as_str().unwrap()).collect();
    assert_eq!(amounts, [LIST_1000, "-0.005030000000"]);
    assert_eq!(report(&env, "2026-09", "team")["totals"]["list_usd"], "0.000000000000");
    seal(&env, "2026-09");
    let (_, csv) = artifact(&env, "2026-09", "september");
    assert_eq!(csv.matches("re-mapped: team unattributed is now search").count(), 2, "{csv}");
    assert_eq!(rows(&env, "2026-10"), []);
    // Back again: the correction of the correction.
    std::fs::remove_file(&rules).unwrap();
    let rows: Vec<_> = report(&env, "2026-10", "team")["rows"].as_array().unwrap().clone();
    let found: Vec<_> = rows.iter().map(|r| (r["team"].as_str().unwrap(), r["responses"].as_i64().unwrap())).collect();
    assert_eq!(found, [("search", -1), ("unattributed", 1)]);

    // A contract that begins to count is an amount more, and no usage.
    std::fs::write(
        env.home().join("prices.toml"),
        "format = 1\nprovider = \"corp\"\nas_of = \"2026-11-01\"\n[sources]\nc = \"our contract\"\n[[contract]]\nname = \"gpt-5.5\"\n\
         [[contract.usd]]\neffective_from = \"2026-04-23\"\nsources = [\"c\"]\n[contract.usd.short]\n\
         standard = { input = \"4\", cached = \"0.4\", output = \"24\" }\n",
    )
    .unwrap();
    let totals = report(&env, "2026-10", "team")["totals"].clone();
    assert_eq!((&totals["responses"], &totals["contract_usd"]), (&0.into(), &"0.004024000000".into()), "{totals}");
    drop(env.run(&["ledger", "verify"]).ok());
}

#[test]
fn a_seal_has_the_same_bytes_on_every_machine_and_any_flipped_bit_is_found() {
    let make = |order: [u64; 3]| {
        let env = machine();
        for n in order {
            respond(&env, n, "08-15", 1000 * n);
            respond(&env, n, "08-16", 1000 * n + 1);
            drop(env.run(&["sync"]).ok());
        }
        seal(&env, "2026-08");
        env
    };
    let (one, other) = (make([1, 2, 3]), make([3, 1, 2]));
    let (json, csv) = artifact(&one, "2026-08", "a");
    assert_eq!((&json, &csv), (&artifact(&other, "2026-08", "a").0, &artifact(&other, "2026-08", "b").1));
    assert_eq!(csv.lines().count(), 7);
    assert!(one.run(&["ledger", "verify"]).ok().stderr.contains("the seal of 2026-08 holds"));
    let db = one.home().join("tally.db");
    let change = |sql: &str| Connection::open(&db).unwrap().execute_batch(sql);
    for forbidden in [
        "UPDATE seal SET json = x''",
        "DELETE FROM seal",
        "UPDATE sealed_session SET part = x''",
        "DELETE FROM sealed_session",
        "INSERT INTO sealed_session VALUES ('x', '2026-08', x'', x'')",
    ] {
        assert!(change(forbidden).is_err(), "{forbidden}");
    }
    change("DROP TRIGGER sealed_stays; DROP TRIGGER seal_stays;").unwrap();
    let read = |sql: &str| Connection::open(&db).unwrap().query_row(sql, [], |row| row.get::<_, Vec<u8>>(0)).unwrap();
    for (table, column) in [("sealed_session", "part"), ("sealed_session", "lines"), ("seal", "json")] {
        let bytes = read(&format!("SELECT {column} FROM {table} LIMIT 1"));
        for at in (0..bytes.len()).step_by(bytes.len() / 9 + 1).chain([bytes.len() - 8, bytes.len() - 1]) {
            let set = |bytes: &[u8]| {
                let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
                let first = if table == "seal" {
                    ""
                } else {
                    " WHERE session_id = (SELECT min(session_id) FROM sealed_session)"
                };
                change(&format!("UPDATE {table} SET {column} = x'{hex}'{first}")).unwrap();
            };
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            set(&flipped);
            let said = one.run(&["ledger", "verify"]);
            assert!(!said.status.success(), "{column} {at}: {said}");
            set(&bytes);
        }
    }
    drop(one.run(&["ledger", "verify"]).ok());
    // Not a bit but all of it.
    change("DROP TRIGGER seal_is_kept; DELETE FROM seal;").unwrap();
    let gone = one.run(&["ledger", "verify"]).fails(1);
    assert!(gone.stderr.contains("2026-08 has sealed lines and no seal"), "{gone}");
}

#[test]
fn the_chargeback_of_a_sealed_month_never_changes() {
    let env = machine();
    std::fs::write(env.home().join("teams.toml"), "[[rule]]\nteam = \"search\"\ncost_centre = \"C1\"\n").unwrap();
    for n in 1..4 {
        respond(&env, n, "08-15", 1000 * n);
    }
    respond(&env, 2, "09-02", 1000);
    seal(&env, "2026-08");
    let files = |period: &str, name: &str| {
        let dir = env.root().join(name);
        drop(env.run(&["chargeback", "-p", period, "--out", dir.to_str().unwrap()]).ok());
        let mut files: Vec<_> = crate::support::capture::files(&dir).into_iter().collect();
        files.sort();
        let named = |path: std::path::PathBuf| {
            let text = String::from_utf8(std::fs::read(&path).unwrap()).unwrap();
            (path.strip_prefix(&dir).unwrap().to_string_lossy().into_owned(), text)
        };
        files.into_iter().map(named).collect::<Vec<_>>()
    };
    let before = files("2026-08", "before");
    let manifest = &before.iter().find(|(name, _)| name == "manifest.json").unwrap().1;
    assert!(serde_json::from_str::<Value>(manifest).unwrap()["seal"].is_string(), "{manifest}");
    assert!(before.iter().any(|(name, text)| name.contains("search") && text.contains("sealed")));
    // Late usage, another team, another channel, a contract.
    respond(&env, 4, "08-20", 9000);
    respond(&env, 2, "08-30", 5000);
    std::fs::write(env.home().join("teams.toml"), "[[rule]]\nteam = \"platform\"\n").unwrap();
    std::fs::write(env.home().join("config.toml"), "channel = \"chatgpt\"\n").unwrap();
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/prices.toml"), env.home().join("prices.toml"))
        .unwrap();
    assert_eq!(files("2026-08", "after"), before);
    std::fs::write(env.home().join("config.toml"), "channel = \"api\"\n").unwrap();
    let september = files("2026-09", "september");
    let corrections = &september.iter().find(|(name, _)| name == "corrections.csv").unwrap().1;
    assert!(corrections.lines().count() > 2 && corrections.contains(",correction,2026-08,"), "{corrections}");
}

#[test]
fn a_month_is_not_sealed_too_early() {
    let env = machine();
    let empty = env.run(&["ledger", "seal", "-p", "2026-08"]).fails(1);
    assert!(empty.stderr.contains("nothing is known yet") && empty.stderr.contains("codex-tally import"), "{empty}");
    respond(&env, 1, "08-31", 1000);
    assert!(env.run(&["ledger", "seal", "-p", "2999-01"]).fails(1).stderr.contains("has not ended"));
    let dry = env.run(&["ledger", "seal", "-p", "2026-08", "--dry-run"]).ok();
    assert_eq!(dry.json()["totals"]["list_usd"], LIST_1000);
    assert_eq!(rows(&env, "2026-08"), [row("estimated usage", "", 1, LIST_1000)], "nothing was kept");
}

mod properties {
    //! Whatever comes in whatever order, with months sealed in between: the months together say what an open ledger says.

    use std::collections::BTreeMap;

    use codex_tally::cache::{self, Inputs};
    use codex_tally::ledger::Options;
    use codex_tally::model::{
        Body, Channel, KeyBuilder, Keys, Link, Observation, Response, Rule, Rules, SessionRollup, SourceKind, Sums,
        ThreadId, Timestamp, TokenSums, TokenUsage, ToolCall,
    };
    use codex_tally::pricing::PriceBook;
    use codex_tally::store::sqlite::SqliteStore;
    use codex_tally::store::{Batch, Cache, Store};
    use proptest::prelude::*;

    use crate::support::Capture;
    use crate::support::observed::{of_hooks, of_otlp, of_transcripts};

    #[derive(Debug, Clone)]
    enum Step {
        /// A response, and a tool call after it: session, month, tokens.
        Respond(u8, u8, u16),
        /// OTLP saw a response of its own.
        Telemetry(u8, u8, u16),
        /// Another team pays from now on, also for what was.
        Team(u8),
        /// It is found out that a thread is of another session, perhaps of one that nothing else is known of.
        Join(u8, u8, bool),
        /// The next month is sealed.
        Seal,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (0..5u8, 0..4u8, 1..2_000u16).prop_map(|(s, m, n)| Step::Respond(s, m, n)),
            2 => (0..5u8, 0..4u8, 1..2_000u16).prop_map(|(s, m, n)| Step::Telemetry(s, m, n)),
            1 => (0..3u8).prop_map(Step::Team),
            2 => (0..5u8, 0..7u8, any::<bool>()).prop_map(|(s, to, hook)| Step::Join(s, to, hook)),
            2 => Just(Step::Seal),
        ]
    }

    /// The middle of a month of 2026, from May on.
    fn moment(month: u8, n: u16) -> Timestamp {
        let start = Timestamp::parse_rfc3339(&format!("2026-0{}-10T00:00:00Z", month + 5)).unwrap();
        Timestamp(start.0 + i64::from(n) * 60_000_000_000)
    }

    fn thread(n: u8) -> ThreadId {
        ThreadId::new(&format!("01a1fbc1-b2d8-74a2-955e-{n:012x}")).unwrap()
    }

    fn joined(child: u8, root: u8, hook: bool) -> Observation {
        let source = if hook { SourceKind::Hook } else { SourceKind::Otlp };
        let link = Link { session: thread(root) };
        Observation {
            thread: thread(child),
            key: KeyBuilder::new("link").part(thread(child).as_str()).number(root.into()).number(hook.into()).build(),
            source,
            time: moment(0, root.into()),
            body: Body::Link(link),
        }
    }

    fn observations(session: u8, month: u8, n: u16, telemetry: bool) -> Vec<Observation> {
        let thread = thread(session);
        let key =
            |kind: &str| KeyBuilder::new(kind).part(thread.as_str()).number(i64::from(month)).number(n.into()).build();
        let see = |kind: &str, source, time, body| {
            let key = if kind == "meta" { KeyBuilder::new(kind).part(thread.as_str()).build() } else { key(kind) };
            Observation { thread: thread.clone(), key, source, time, body }
        };
        let usage = TokenUsage { input: n.into(), output: 7, ..TokenUsage::default() };
        let model = Some("gpt-5.5".to_string());
        let response = Response { usage, model, ..Response::default() };
        if telemetry {
            return vec![see("otlp", SourceKind::Otlp, moment(month, n), Body::Response(Box::new(response)))];
        }
        let turn = Some(format!("turn-{month}-{}", n / 100));
        let id = Some(format!("resp_{month}_{n}"));
        let call = ToolCall {
            call_id: format!("c{month}{n}"),
            turn: turn.clone(),
            name: Some("Bash".into()),
            ..ToolCall::default()
        };
        let own = Response { turn, response_id: id, ..response };
        let after = Timestamp(moment(month, n).0 + 1_000_000_000);
        vec![
            see("meta", SourceKind::Transcript, moment(0, 0), Body::Meta(Box::default())),
            see("tur", SourceKind::Transcript, moment(month, n), Body::Response(Box::new(own))),
            see("call", SourceKind::Transcript, after, Body::ToolCall(Box::new(call))),
        ]
    }

    fn inputs(team: u8, store: &SqliteStore) -> Inputs {
        let rule = Rule { name: "all".into(), team: Some(format!("team-{team}")), ..Rule::default() };
        let options = Options {
            default_channel: Some(Channel::Api),
            rules: Rules { rules: vec![rule], ..Rules::default() },
            ..Options::default()
        };
        Inputs::new(options, PriceBook::builtin().clone()).with_seals_of(store).unwrap()
    }

    type Books = BTreeMap<String, (i64, TokenSums, Sums, i64)>;

    /// By team: responses, tokens, amounts and tool calls of all months.
    fn books(store: &SqliteStore, inputs: &Inputs, range: (Timestamp, Timestamp)) -> Books {
        books_by(store, inputs, range, |_, keys| keys.values[0].to_string())
    }

    /// By session, thread and all else.
    fn rows(store: &SqliteStore, inputs: &Inputs, range: (Timestamp, Timestamp)) -> Books {
        books_by(store, inputs, range, |session, keys| format!("{} {keys:?}", session.session))
    }

    fn books_by(
        store: &SqliteStore,
        inputs: &Inputs,
        range: (Timestamp, Timestamp),
        by: impl Fn(&SessionRollup<'_>, &Keys<'_>) -> String,
    ) -> Books {
        let mut books = Books::new();
        let given = store.rollups(inputs.hash(), (Timestamp(i64::MIN), Timestamp(i64::MAX)), &mut |bytes| {
            let session = SessionRollup::decode(bytes).unwrap();
            let has = |slot: codex_tally::model::Slot| slot.start() >= range.0 && slot.start() < range.1;
            for row in session.usage.iter().filter(|row| has(row.slot)) {
                let team = books.entry(by(&session, &session.keys[row.keys as usize])).or_default();
                team.0 += row.responses;
                team.1 += row.tokens;
                team.2 += row.sums;
            }
            for row in session.tools.iter().filter(|row| has(row.slot)) {
                books.entry(by(&session, &session.keys[row.keys as usize])).or_default().3 += row.calls;
            }
            Ok(())
        });
        assert!(given.unwrap());
        for team in books.values_mut() {
            team.2 = team.2.without_zeros();
        }
        books.retain(|_, team| *team != Default::default());
        books
    }

    /// The turns of all months that have a response.
    fn turns(store: &SqliteStore, inputs: &Inputs) -> i64 {
        let mut sum = 0;
        let given = store.rollups(inputs.hash(), (Timestamp(i64::MIN), Timestamp(i64::MAX)), &mut |bytes| {
            let session = SessionRollup::decode(bytes).unwrap();
            sum += session.turns().filter(|(_, rows)| !rows.is_empty()).map(|(turn, _)| turn.turns).sum::<i64>();
            Ok(())
        });
        assert!(given.unwrap());
        sum
    }

    fn store(folder: &tempfile::TempDir, name: &str) -> SqliteStore {
        SqliteStore::open(&folder.path().join(name)).unwrap()
    }

    const ALL: (Timestamp, Timestamp) = (Timestamp(i64::MIN), Timestamp(i64::MAX));

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::default() })]

        #[test]
        fn the_months_together_say_what_an_open_ledger_says(steps in prop::collection::vec(step(), 1..40)) {
            let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
            let (mut sealing, mut open) = (store(&folder, "sealing.db"), store(&folder, "open.db"));
            let (mut team, mut month) = (0, 0u8);
            let mut frozen: Vec<(u8, Books)> = Vec::new();
            for step in steps {
                match step {
                    Step::Respond(s, m, n) | Step::Telemetry(s, m, n) => {
                        let seen = observations(s, m, n, matches!(step, Step::Telemetry(..)));
                        let batch = Batch { observations: seen, ..Batch::default() };
                        sealing.append(&batch).unwrap();
                        open.append(&batch).unwrap();
                    }
                    Step::Join(child, root, hook) => {
                        let batch = Batch { observations: vec![joined(child, root, hook)], ..Batch::default() };
                        sealing.append(&batch).unwrap();
                        open.append(&batch).unwrap();
                    }
                    Step::Team(new) => team = new,
                    Step::Seal if month < 5 && sealing.threads().unwrap() > 0 => {
                        let inputs = inputs(team, &sealing);
                        cache::refresh(&mut sealing, &inputs, &mut |_| {}).unwrap();
                        let period = format!("2026-0{}", month + 5).parse().unwrap();
                        cache::seal(&mut sealing, &inputs, period, false, &mut |_| {}).unwrap();
                        month += 1;
                        let inputs = self::inputs(team, &sealing);
                        cache::refresh(&mut sealing, &inputs, &mut |_| {}).unwrap();
                        frozen.push((month, rows(&sealing, &inputs, month_of(month))));
                    }
                    Step::Seal => {}
                }
            }
            let (with, without) = (inputs(team, &sealing), inputs(team, &open));
            cache::refresh(&mut sealing, &with, &mut |_| {}).unwrap();
            cache::refresh(&mut open, &without, &mut |_| {}).unwrap();
            prop_assert_eq!(books(&sealing, &with, ALL), books(&open, &without, ALL));
            for (month, then) in frozen {
                prop_assert_eq!(rows(&sealing, &with, month_of(month)), then, "month {}", month);
            }
            let mut found = Vec::new();
            cache::verify(&sealing, &with, &mut |f| found.push(f.to_string()), &mut |_| {}).unwrap();
            prop_assert!(found.is_empty(), "{:?}", found);
            for seal in sealing.seals().unwrap() {
                prop_assert_eq!(cache::export(&sealing, &seal, &mut |_| Ok(())).unwrap(), None);
            }
        }
    }

    /// What one source alone saw is sealed, then what two saw: threads that were sessions turn out to be parts of others, and the
    /// other way round.
    #[test]
    fn captures_that_are_sealed_before_all_of_them_is_known_stay_as_they_are() {
        for capture in Capture::all("captures") {
            let sources =
                [of_otlp(&capture, |_| true), of_hooks(&capture), of_transcripts(&capture, |_, t| vec![t.to_vec()]).0];
            for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
                let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
                let (mut sealing, mut open) = (store(&folder, "sealing.db"), store(&folder, "open.db"));
                let mut frozen = Vec::new();
                let seen = order.into_iter().filter(|source| !sources[*source].is_empty());
                for (month, source) in (5..).zip(seen) {
                    // All of it is of May.
                    let earlier = |o: &Observation| Observation {
                        time: Timestamp(o.time.0 - 195 * 86_400_000_000_000),
                        ..o.clone()
                    };
                    let batch =
                        Batch { observations: sources[source].iter().map(earlier).collect(), ..Batch::default() };
                    sealing.append(&batch).unwrap();
                    open.append(&batch).unwrap();
                    let inputs = inputs(0, &sealing);
                    cache::refresh(&mut sealing, &inputs, &mut |_| {}).unwrap();
                    let period = format!("2026-0{month}").parse().unwrap();
                    cache::seal(&mut sealing, &inputs, period, false, &mut |_| {}).unwrap();
                    let inputs = self::inputs(0, &sealing);
                    cache::refresh(&mut sealing, &inputs, &mut |_| {}).unwrap();
                    frozen.push((month, rows(&sealing, &inputs, month_of(month - 4))));
                }
                let (with, without) = (inputs(0, &sealing), inputs(0, &open));
                cache::refresh(&mut open, &without, &mut |_| {}).unwrap();
                let all = books(&open, &without, ALL);
                assert_eq!(books(&sealing, &with, ALL), all, "{} {order:?}", capture.name);
                assert_eq!(turns(&sealing, &with), turns(&open, &without), "{} {order:?}", capture.name);
                for (month, then) in frozen {
                    assert_eq!(rows(&sealing, &with, month_of(month - 4)), then, "{} {order:?} {month}", capture.name);
                }
            }
        }
    }

    /// The `n`th sealed month: May is the first.
    fn month_of(n: u8) -> (Timestamp, Timestamp) {
        let start = |n: u8| Timestamp::parse_rfc3339(&format!("2026-{:02}-01T00:00:00Z", n + 4)).unwrap();
        (start(n), start(n + 1))
    }
}

#[test]
fn a_line_of_a_sealed_month_tells_what_was_sealed_and_what_corrects_it() {
    let env = machine();
    let rules = env.home().join("teams.toml");
    std::fs::write(&rules, "[[rule]]\nteam = \"platform\"\n").unwrap();
    respond(&env, 1, "08-31", 1000);
    let id = Transcript::new(1).thread;
    let explain = |response: &str| env.run(&["ledger", "explain", &format!("{id}/{response}")]).ok().stdout;
    assert!(!explain("resp_1000").contains("sealed"));
    seal(&env, "2026-08");
    let says = |text: &str, all: &[&str]| all.iter().for_each(|says| assert!(text.contains(says), "{says}\n{text}"));
    const PRICE: &str =
        "price   gpt-5.5 from 2026-04-23, standard: input 5, cached 0.5, cache write 5, output 30 a million";
    says(
        &explain("resp_1000"),
        &["  class     usage of 2026-08, sealed\n", "    2026-08 (sealed) usage\n", PRICE, "it is as it was sealed"],
    );
    // Another team: what was sealed, what it is now, and the two lines of the next month.
    std::fs::write(&rules, "[[rule]]\nteam = \"search\"\n").unwrap();
    says(
        &explain("resp_1000"),
        &[
            "  class     usage of 2026-08, sealed\n",
            "    2026-09 (open, computed) correction of 2026-08: re-mapped: team platform is now search\n",
            "owner   team platform, ",
            "owner   team search, ",
            "responses -1, input -1,000",
            "amounts list_usd -0.005030000000",
            "differs: team was platform, is search",
        ],
    );
    // Late usage, in the month that is sealed with it.
    respond(&env, 1, "08-30", 4000);
    let late = "correction of 2026-08: late: not known when its month was sealed\n";
    says(
        &explain("resp_4000"),
        &[
            "  class     correction of 2026-09, estimated, corrects 2026-08\n",
            &format!("    2026-09 (open, computed) {late}"),
            "differs: it was not known when its month was sealed",
        ],
    );
    seal(&env, "2026-09");
    says(
        &explain("resp_4000"),
        &["  class     correction of 2026-09, sealed, corrects 2026-08\n", &format!("    2026-09 (sealed) {late}")],
    );
    // Another channel: nothing is billed in USD any more.
    std::fs::write(env.home().join("config.toml"), "channel = \"chatgpt\"\n").unwrap();
    says(
        &explain("resp_1000"),
        &[
            "    2026-10 (open, computed) correction of 2026-08: re-mapped: channel api is now chatgpt\n",
            "differs: channel was api, is chatgpt",
            "differs: price was gpt-5.5 from",
        ],
    );
    // A line whose records are gone: what was sealed of it can still be asked for.
    std::fs::remove_file(Transcript::new(1).path(&env)).unwrap();
    let db = Connection::open(env.home().join("tally.db")).unwrap();
    assert_eq!(db.execute("DELETE FROM observation WHERE body LIKE '%resp_1000%'", []).unwrap(), 1);
    drop(env.run(&["ledger", "rebuild"]).ok());
    says(
        &explain("resp_1000"),
        &["    2026-08 (sealed) usage\n", "gone: its records now say something else", "now nothing is known of it"],
    );
    assert!(env.run(&["ledger", "explain", &format!("{id}/resp_2")]).fails(1).stderr.contains("has no line"));
}
