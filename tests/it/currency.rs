//! Amounts in another currency: exact, at the rate of their day, and unknown where there is none.

use std::path::Path;

use serde_json::Value;

use crate::support::{TestEnv, Transcript};

const RATES: &str = "from,to,rate,valid_from,source\n\
                     USD,EUR,0.875,2026-08-16,ECB reference rate\n\
                     USD,EUR,0.9,2026-09-01,ECB reference rate\n\
                     USD,JPY,150.123456789012,2026-08-01,BoJ\n";

/// A machine with a response of a thousand input tokens on each of these days of 2026.
fn machine(days: &[&str]) -> TestEnv {
    let env = TestEnv::new().billed_by_the_api();
    for (day, n) in days.iter().zip(1..) {
        respond(&env, n, day, 1_000);
    }
    std::fs::write(env.home().join("rates.csv"), RATES).unwrap();
    env
}

fn respond(env: &TestEnv, n: u64, day: &str, input: u64) {
    let transcript = Transcript::new(n);
    let text = (transcript.head() + &transcript.record(input)).replace("2026-11-21T", &format!("2026-{day}T"));
    std::fs::write(transcript.path(env), text).unwrap();
}

fn report(env: &TestEnv, args: &[&str]) -> Value {
    env.run(&[&["report"], args, &["--by", "team", "--format", "json"]].concat()).ok().json()
}

fn text<'v>(value: &'v Value, names: &[&str]) -> Vec<&'v str> {
    names.iter().map(|name| value[*name].as_str().unwrap_or("-")).collect()
}

const EUR: [&str; 3] = ["list_usd", "list_eur", "list_eur_rounded"];

#[test]
fn every_amount_has_the_rate_of_its_day() {
    // Each response is 1,000 tokens of input at 5 USD and one of output at 30 USD a million.
    let env = machine(&["08-16", "08-31", "09-01"]);
    let one = "0.005030000000";
    let daily = report(&env, &["daily", "--currency", "EUR"]);
    let rows: Vec<_> = daily["rows"].as_array().unwrap().iter().map(|row| text(row, &EUR)).collect();
    let (old, new) = (vec![one, "0.004401250000", "0.00"], vec![one, "0.004527000000", "0.00"]);
    assert_eq!(rows, [old.clone(), old, new]);
    assert_eq!(text(&daily["totals"], &EUR), ["0.015090000000", "0.013329500000", "0.01"]);
    let monthly = report(&env, &["monthly", "--currency", "EUR"]);
    let rows: Vec<_> = monthly["rows"].as_array().unwrap().iter().map(|row| text(row, &EUR)).collect();
    assert_eq!(rows, [["0.010060000000", "0.008802500000", "0.01"], [one, "0.004527000000", "0.00"]]);
    assert_eq!(text(&report(&env, &["weekly", "--currency", "EUR"])["totals"], &EUR)[1], "0.013329500000");
    let used = &monthly["currency"];
    assert_eq!(
        (&used["from"], &used["to"], &used["days_without_rate"]),
        (&"USD".into(), &"EUR".into(), &Value::Array(vec![]))
    );
    let rates: Vec<_> =
        used["rates"].as_array().unwrap().iter().map(|rate| text(rate, &["valid_from", "rate", "source"])).collect();
    assert_eq!(rates, [["2026-08-16", "0.875", "ECB reference rate"], ["2026-09-01", "0.9", "ECB reference rate"]]);
    // Exact sums are rounded once: 3 x 0.00503 x 150.123456789012 = 2.26536296294619108, half to even at 12 digits.
    let yen = report(&env, &["monthly", "--currency", "JPY"]);
    assert_eq!(text(&yen["totals"], &["list_jpy", "list_jpy_rounded"]), ["2.265362962946", "2.27"]);
    // By tool the shares move, and the total stays.
    let by_tool = env.run(&["report", "monthly", "--by", "tool", "--currency", "EUR", "--format", "json"]).ok().json();
    assert_eq!(by_tool["totals"]["list_eur"], "0.013329500000");
}

#[test]
fn a_day_without_a_rate_is_unknown_and_counted() {
    let env = machine(&["08-14", "08-15", "08-16", "09-01"]);
    let monthly = report(&env, &["monthly", "--currency", "EUR"]);
    let rows: Vec<_> = monthly["rows"].as_array().unwrap().iter().map(|row| text(row, &EUR)).collect();
    assert_eq!(rows, [["0.015090000000", "-", "-"], ["0.005030000000", "0.004527000000", "0.00"]]);
    assert_eq!(text(&monthly["totals"], &EUR), ["0.020120000000", "-", "-"]);
    assert_eq!(monthly["currency"]["days_without_rate"], serde_json::json!(["2026-08-14", "2026-08-15"]));
    let table = env.run(&["report", "monthly", "--currency", "EUR"]).ok().stdout;
    for says in
        ["list EUR", "EUR: 1 USD is 0.9 EUR from 2026-09-01 on (ECB reference rate)", "no rate for 2 days with amounts"]
    {
        assert!(table.contains(says), "{says}: {table}");
    }
    // The rate is that of the UTC day, whatever the zone of the report.
    let tokyo = report(&env, &["daily", "--currency", "EUR", "--tz", "Pacific/Kiritimati", "--since", "2026-09-01"]);
    assert_eq!(tokyo["totals"]["list_eur"], "0.004527000000");
}

#[test]
fn chargebacks_and_exports_have_it_when_asked() {
    let env = machine(&["08-15", "08-20"]);
    let _ = env.run(&["ledger", "seal", "-p", "2026-08"]).ok();
    let chargeback = |name: &str, args: &[&str]| {
        let _ = env.run(&[&["chargeback", "-p", "2026-08", "--out", name], args].concat()).ok();
        let read = |file: &str| std::fs::read_to_string(env.work().join(name).join(file)).unwrap();
        (read("summary.csv"), read("unattributed.csv"), read("manifest.json"))
    };
    let plain = chargeback("plain", &[]);
    let (summary, rows, manifest) = chargeback("eur", &["--currency", "EUR"]);
    assert!(summary.lines().next().unwrap().contains(",list_eur,list_eur_rounded,contract_eur,"), "{summary}");
    assert!(rows.lines().next().unwrap().trim_end().ends_with(",tool_fees_eur,tool_fees_eur_rounded"), "{rows}");
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(manifest["currency"]["days_without_rate"], serde_json::json!(["2026-08-15"]));
    assert_eq!(manifest["totals"]["list_usd"], "0.010060000000");
    // Nobody asked: the table is not looked at, and no byte depends on it.
    std::fs::write(env.home().join("rates.csv"), "nonsense").unwrap();
    assert_eq!(chargeback("again", &[]), plain);
    std::fs::write(env.home().join("rates.csv"), RATES).unwrap();
    let out = env.work().join("f.csv");
    let _ = env.run(&["export", "focus", "-p", "2026-08", "--currency", "EUR", "--out", out.to_str().unwrap()]).ok();
    let mut reader = csv::Reader::from_path(&out).unwrap();
    let header = reader.headers().unwrap().clone();
    let field = |record: &csv::StringRecord, name: &str| {
        record[header.iter().position(|column| column == name).unwrap()].to_string()
    };
    let names =
        ["ListCost", "x_CurrencyRate", "x_CurrencyRateFrom", "x_ListCostInCurrency", "x_ListCostInCurrencyRounded"];
    let rows: Vec<Vec<String>> =
        reader.records().map(|r| r.unwrap()).map(|r| names.map(|name| field(&r, name)).to_vec()).collect();
    let rate = ["0.875000000000", "2026-08-16T00:00:00Z"];
    assert_eq!(
        rows,
        [
            ["0.005000000000", "", "", "", ""],
            ["0.000030000000", "", "", "", ""],
            ["0.005000000000", rate[0], rate[1], "0.004375000000", "0.00"],
            ["0.000030000000", rate[0], rate[1], "0.000026250000", "0.00"],
        ]
    );
    let meta: Value = serde_json::from_slice(&std::fs::read(env.work().join("f.csv.meta.json")).unwrap()).unwrap();
    assert_eq!(meta["currency"]["rates"][0]["source"], "ECB reference rate");
}

#[test]
fn corrections_have_the_rate_of_the_month_they_are_booked_in() {
    let env = machine(&["08-20"]);
    let _ = env.run(&["ledger", "seal", "-p", "2026-08"]).ok();
    respond(&env, 7, "08-21", 2_000);
    let september = report(&env, &["monthly", "-p", "2026-09", "--currency", "EUR"]);
    assert_eq!(text(&september["totals"], &EUR), ["0.010030000000", "0.009027000000", "0.01"]);
    let csv = env.run(&["export", "focus", "-p", "2026-09", "--currency", "EUR"]).ok().stdout;
    assert!(csv.contains("0.009000000000") && csv.contains("0.000027000000"), "{csv}");
}

#[test]
fn what_cannot_be_converted_says_what_to_do() {
    let env = machine(&["08-20"]);
    for (args, says) in [
        (&["--currency", "GBP"][..], "rates.csv has no rate from USD to GBP, only to: EUR, JPY"),
        (&["--currency", "euro"], "`euro` is no currency; write an ISO 4217 code"),
    ] {
        let out = env.run(&[&["report", "monthly"], args].concat()).fails(1);
        assert!(out.stderr.contains(says), "{out}");
    }
    std::fs::write(env.home().join("rates.csv"), RATES.replace("0.875", "0,875")).unwrap();
    assert!(
        env.run(&["report", "monthly", "--currency", "EUR"]).fails(1).stderr.contains("rates.csv is not understood")
    );
    std::fs::remove_file(env.home().join("rates.csv")).unwrap();
    let out = env.run(&["report", "monthly", "--currency", "EUR"]).fails(1);
    assert!(out.stderr.contains("docs/currency.md") && out.stderr.contains("rates.csv"), "{out}");
    let _ = env.run(&["report", "monthly"]).ok();
    std::fs::create_dir(env.home().join("sub")).unwrap();
    std::fs::write(env.home().join("sub/bank.csv"), RATES).unwrap();
    std::fs::write(env.home().join("config.toml"), "channel = \"api\"\nrates = \"sub/bank.csv\"\n").unwrap();
    assert_eq!(report(&env, &["monthly", "--currency", "EUR"])["totals"]["list_eur"], "0.004401250000");
    // The example of the documentation is a table.
    let document = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/currency.md")).unwrap();
    let block = document.split("    from,to,").nth(1).unwrap().split("\n\n").next().unwrap();
    let table: String = format!("from,to,{block}").lines().map(|line| format!("{}\n", line.trim())).collect();
    std::fs::write(env.home().join("sub/bank.csv"), table).unwrap();
    let _ = env.run(&["report", "monthly", "--currency", "EUR"]).ok();
}
