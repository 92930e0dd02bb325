//! A user's own price file through the program: providers, models, the contract beside the list.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{TestEnv, Transcript};

/// A response of 10,000 input tokens of each provider and model.
fn machine() -> TestEnv {
    let env = TestEnv::new();
    std::fs::create_dir_all(env.home()).unwrap();
    for ((provider, model), n) in
        [("corp-gateway", "gpt-5.5"), ("corp-gateway", "corp-coder"), ("other", "gpt-5.4")].iter().zip(1..)
    {
        let transcript = Transcript::new(n);
        let text = transcript.head() + &transcript.record(10_000);
        let text =
            text.replace("\"gpt-5.5\"", &format!("\"{model}\"")).replace("\"openai\"", &format!("\"{provider}\""));
        std::fs::write(transcript.path(&env), text).unwrap();
    }
    env
}

fn example() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/prices.toml")).unwrap()
}

fn monthly(env: &TestEnv) -> Value {
    env.run(&["report", "monthly", "--by", "model", "--format", "json"]).ok().json()
}

#[test]
fn the_contract_stands_beside_the_list_and_providers_are_known() {
    let env = machine();
    let before = monthly(&env);
    let coverage = |report: &Value| {
        ["assumed_provider", "unpriced_responses", "uncontracted_responses"]
            .map(|name| report["coverage"][name].as_u64().unwrap())
    };
    assert_eq!(coverage(&before), [3, 1, 0]);
    assert_eq!(before["totals"]["contract_usd"], Value::Null);
    std::fs::write(env.home().join("prices.toml"), example()).unwrap();
    let report = monthly(&env);
    assert_eq!(coverage(&report), [1, 0, 2]);
    let rows: Vec<_> = report["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| json!([r["model"], r["list_usd"], r["contract_usd"]]))
        .collect();
    let expected = [
        json!(["corp-coder", "0.010004000000", null]),
        json!(["gpt-5.4", "0.025015000000", null]),
        json!(["gpt-5.5", "0.050030000000", "0.042525500000"]),
    ];
    assert_eq!(rows, expected);
    assert_eq!(report["totals"]["contract_usd"], "0.042525500000");
    let table = env.run(&["report", "monthly", "--by", "model"]).ok().stdout;
    assert!(table.contains("contract USD") && table.contains("0.0425"), "{table}");
    assert!(table.contains("2 API responses that the contract list has no price of"), "{table}");
    let shown = env.run(&["show", "000000000001"]).ok().stdout;
    assert!(shown.contains("0.0500 USD at list, 0.0425 USD by contract"), "{shown}");
    assert!(shown.contains("channel   api (provider corp-gateway, named by the price file)"), "{shown}");
    let listed = env.run(&["prices", "list", "--at", "2026-11-21"]).ok().stdout;
    assert!(listed.contains("corp-coder"), "{listed}");
    let coder = env.run(&["prices", "show", "corp-coder"]).ok().stdout;
    assert!(coder.contains("internal model catalogue"), "{coder}");
}

#[test]
fn a_broken_file_stops_reports_with_its_place() {
    let env = machine();
    std::fs::write(env.home().join("own.toml"), example().replace("corp-coder", "gpt-5.6")).unwrap();
    std::fs::write(env.home().join("config.toml"), "prices = \"own.toml\"\n").unwrap();
    for args in [&["report", "monthly"][..], &["show", "last"], &["prices", "check"]] {
        let out = env.run(args).fails(1);
        assert!(
            out.stderr
                .contains("own.toml: price book: model gpt-5.6: the built-in list has it as a name of gpt-5.6-sol"),
            "{out}"
        );
        assert!(out.stdout.is_empty(), "{out}");
    }
    std::fs::remove_file(env.home().join("own.toml")).unwrap();
    assert!(env.run(&["report", "monthly"]).fails(1).stderr.contains("cannot read"));
}

#[test]
fn what_the_list_knows_better_by_now_warns_and_changes_nothing() {
    let env = machine();
    let before = monthly(&env);
    let of = |report: &Value, model: &str| {
        let rows = report["rows"].as_array().unwrap();
        rows.iter().find(|row| row["model"] == model).unwrap()["list_usd"].clone()
    };
    // As a newer version would find it: the list has a period of its own by now.
    std::fs::write(env.home().join("prices.toml"), example().replace("corp-coder", "gpt-5.4")).unwrap();
    let says = "prices.toml: gpt-5.4: the usd price from";
    let out = env.run(&["report", "monthly", "--by", "model", "--format", "json"]).ok();
    assert!(out.stderr.contains(says) && out.stderr.contains("is passed over: the built-in list has its own"), "{out}");
    assert_eq!(of(&out.json(), "gpt-5.4"), of(&before, "gpt-5.4"));
    assert!(env.run(&["show", "last"]).ok().stderr.contains(says));
    let checked = env.run(&["prices", "check"]).fails(1);
    assert!(checked.stdout.contains("warning: gpt-5.4: the usd price from"), "{checked}");
}

#[test]
fn other_names_of_listed_models_cannot_be_priced_anew() {
    let env = TestEnv::new();
    std::fs::create_dir_all(env.home()).unwrap();
    for (model, n) in ["gpt-5.5-2026-05-05", "openai/gpt-5.5"].iter().zip(1..) {
        let transcript = Transcript::new(n);
        let text = (transcript.head() + &transcript.record(10_000)).replace("\"gpt-5.5\"", &format!("\"{model}\""));
        std::fs::write(transcript.path(&env), text.replace("\"openai\"", "\"corp\"")).unwrap();
    }
    let head = "format = 1\nas_of = \"2026-11-01\"\n[sources]\nC = \"ours\"\n";
    let file = |text: &str| std::fs::write(env.home().join("prices.toml"), format!("{head}{text}")).unwrap();
    let report = || env.run(&["report", "monthly", "--by", "model", "--format", "json"]).ok();
    let before = report().json()["rows"].clone();
    assert_eq!(
        (before[0]["list_usd"].as_str(), before[1]["list_usd"].as_str()),
        (Some("0.050030000000"), Some("0.050030000000"))
    );
    let price = "[[model.usd]]\neffective_from = \"2026-01-01\"\nsources = [\"C\"]\nshort.standard = { input = \"1\", output = \"1\" }\n";
    for name in ["gpt-5.5-2026-05-05", "openai/gpt-5.5"] {
        for (what, text) in [
            ("alias", format!("[aliases]\n\"{name}\" = \"gpt-5.4\"\n")),
            ("model", format!("[[model]]\nname = \"{name}\"\n{price}")),
            // An alias of what is passed over is what the list says that this is.
            ("model", format!("[aliases]\n\"corp-large\" = \"{name}\"\n[[model]]\nname = \"{name}\"\n{price}")),
        ] {
            file(&text);
            let out = report();
            assert_eq!(out.json()["rows"], before, "{text}");
            assert!(
                out.stderr.contains(&format!("prices.toml: {what} {name}: is passed over: the built-in list knows")),
                "{out}"
            );
            assert!(
                env.run(&["prices", "check"]).fails(1).stdout.contains(&format!("warning: {what} {name}: is passed"))
            );
        }
    }
    let shown = env.run(&["prices", "show", "corp-large"]).ok().stdout;
    assert!(shown.contains("gpt-5.5") && shown.contains("30"), "{shown}");
}

#[test]
fn a_price_file_of_openai_tells_nothing_of_the_channel() {
    let env = TestEnv::new();
    std::fs::create_dir_all(env.home()).unwrap();
    let transcript = Transcript::new(1);
    std::fs::write(transcript.path(&env), transcript.head() + &transcript.record(10_000)).unwrap();
    let channel = |env: &TestEnv| {
        let report = env.run(&["report", "monthly", "--by", "channel", "--format", "json"]).ok().json();
        report["rows"][0]["channel"].clone()
    };
    assert_eq!(channel(&env), "unknown");
    let text = "format = 1\nas_of = \"2026-11-01\"\nprovider = \"OpenAI\"\nproviders = [\"openai\"]\n";
    std::fs::write(env.home().join("prices.toml"), text).unwrap();
    assert_eq!(channel(&env), "unknown");
}

#[test]
fn prices_as_data_have_every_list() {
    let env = machine();
    std::fs::write(env.home().join("prices.toml"), example()).unwrap();
    let rows = env.run(&["prices", "show", "gpt-5.5", "--at", "2026-11-21", "--format", "json"]).ok().json();
    let rows = rows.as_array().unwrap();
    let basis = |row: &Value| (row["basis"].as_str().unwrap().to_string(), row["unit"].as_str().unwrap().to_string());
    let all: std::collections::BTreeSet<_> = rows.iter().map(basis).collect();
    let of = |basis: &str, unit: &str| (basis.to_string(), unit.to_string());
    assert_eq!(all, [of("contract", "USD"), of("list", "CREDIT"), of("list", "USD")].into(), "{rows:?}");
    let standard = |row: &&Value| row["basis"] == "list" && row["unit"] == "USD" && row["tier"] == "standard";
    let standard = rows.iter().find(standard).unwrap();
    assert_eq!((&standard["context"], standard["input_per_1m"].is_string()), (&json!("short"), true));
    assert!(env.run(&["prices", "show", "gpt-5.5"]).ok().stdout.contains("contract USD"));

    let csv = env.run(&["prices", "list", "--at", "2026-11-21", "--format", "csv"]).ok().stdout;
    assert!(csv.starts_with("model,basis,unit,tier,context,"), "{csv}");
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let models: Vec<_> = reader.records().map(|r| r.unwrap()[0].to_string()).collect();
    assert!(models.len() > 20 && models.iter().any(|m| m == "gpt-5.5"), "{models:?}");
}
