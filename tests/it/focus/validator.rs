//! The public validator, run on exports of captured sessions. It ends with success whatever it finds, so its report is read.
//!
//! It must run in the folder of its packages (it opens a list of currencies relative to that), and knows version 1.2 without the
//! network.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{RULES, billed_month, export, machine, respond, rows};
use crate::support::capture::files;
use crate::support::{Feed, TestEnv, Transcript};

/// What is true of OpenAI as a provider.
const CRITERIA: &str = "ACCOUNT_NAMING_SUPPORTED,MULTIPLE_BILLING_ACCOUNT_TYPES_SUPPORTED,MULTIPLE_PRICING_CATEGORIES_SUPPORTED,\
MULTIPLE_SUB_ACCOUNT_TYPES_SUPPORTED,NEGOTIATED_PRICING_SUPPORTED,PRICING_BILLING_CURRENCY_DIFFERENCES_SUPPORTED,\
PUBLIC_PRICE_LIST_SUPPORTED,SUB_ACCOUNT_SUPPORTED,TAGGING_SUPPORTED,UNIT_PRICING_SUPPORTED,USAGE_MEASUREMENT_SUPPORTED,\
VIRTUAL_CURRENCY_SUPPORTED";

/// The rules say: null if the charge is on no invoice, not null if it is on one. Both are checked without their conditions, so
/// one of the two always fails; the rule that they are parts of holds.
const ALWAYS: [&str; 1] = ["InvoiceId-C-005-C"];

/// The other one of the two fails as soon as any row is on an invoice. And a purchase that covers later charges has no effective
/// cost of its own: that is asked of every purchase, also of seats, which cover nothing but their own month.
const OF_INVOICES: [&str; 2] = ["EffectiveCost-C-005-C", "InvoiceId-C-004-C"];

/// Only codes of national currencies are taken, though the specification allows names of virtual ones there.
const OF_VIRTUAL_CURRENCIES: [&str; 2] = ["PricingCurrency-C-000-C", "PricingCurrency-C-003-M"];

/// The rules that failed, after making sure that the validator ran all that it can.
fn failures(env: &TestEnv, name: &str, csv: &str) -> BTreeSet<String> {
    let venv = PathBuf::from(option_env!("CODEX_TALLY_TEST_FOCUS_VALIDATOR").unwrap_or_default());
    let list =
        files(&venv.join("lib")).into_iter().find(|path| path.ends_with("focus_validator/rules/currency_codes.csv"));
    let list = list.expect("the validator's list of currencies");
    let (file, report) = (env.work().join(name), env.work().join(format!("{name}.xml")));
    std::fs::write(&file, csv).unwrap();
    let mut command: Command = env.command(venv.join("bin/focus-validator"));
    command.current_dir(list.ancestors().nth(3).unwrap());
    command.arg("--data-file").arg(&file).arg("--output-destination").arg(&report);
    command.args(["--validate-version", "1.2", "--block-download", "--output-type", "unittest"]);
    let output = command.args(["--applicability-criteria", CRITERIA]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report = std::fs::read_to_string(&report).unwrap();
    let count = |what: &str| attribute(&report, what).parse::<usize>().unwrap();
    assert!(count("tests") >= 500 && count("errors") == 0 && count("skipped") <= 320, "{}", &report[..400]);
    let failed: BTreeSet<String> =
        report.split("<failure ").skip(1).map(|failure| attribute(failure, "name").to_string()).collect();
    assert_eq!(failed.len(), count("failures"));
    failed
}

/// The first attribute of this name.
fn attribute<'t>(text: &'t str, name: &str) -> &'t str {
    let first = text.strip_prefix(&format!("{name}=\""));
    let behind = first.or_else(|| text.split(&format!(" {name}=\"")).nth(1));
    behind.and_then(|rest| rest.split('"').next()).unwrap_or_else(|| panic!("no {name} in {text:.200}"))
}

fn set(rules: &[&str]) -> BTreeSet<String> {
    rules.iter().map(ToString::to_string).collect()
}

/// All captures, a response without a price, and corrections of a sealed month before.
fn month() -> (TestEnv, String) {
    let env = machine(&[Feed::Otlp, Feed::Transcripts], false);
    respond(&env, 1, "10-20", 3_000);
    std::fs::write(env.home().join("config.toml"), "channel = \"api\"\n").unwrap();
    let _ = env.run(&["ledger", "seal", "-p", "2026-10"]).ok();
    respond(&env, 2, "10-21", 4_000);
    std::fs::write(env.home().join("teams.toml"), format!("{RULES}\n[[rule]]\nteam = \"rest\"\n")).unwrap();
    let transcript = Transcript::new(3);
    let unknown = (transcript.head() + &transcript.record(50)).replace("gpt-5.5", "gpt-unheard-of");
    std::fs::write(transcript.path(&env), unknown).unwrap();
    let csv = export(&env, "2026-11", &[]);
    (env, csv)
}

#[test]
#[cfg_attr(
    not(focus_validator),
    ignore = "no focus-validator below the target folder: .ci/run, with Python 3.12 or newer"
)]
fn the_public_validator_finds_nothing() {
    let (env, csv) = month();
    let all = rows(&csv);
    for (column, value) in [
        ("ChargeClass", "Correction"),
        ("ChargeCategory", "Adjustment"),
        ("PricingCurrency", "Credits"),
        ("x_CostBasis", "unpriced"),
        ("PricingUnit", "Requests"),
        ("x_ContractedCostBasis", "contract"),
    ] {
        assert!(all.iter().any(|row| row[column] == value), "the month has a row with {column} {value}");
    }
    let known = [&ALWAYS[..], &OF_VIRTUAL_CURRENCIES].concat();
    assert_eq!(failures(&env, "all.csv", &csv), set(&known));
    // The rows in USD: nothing hides behind what is said of credits.
    let position = csv.lines().next().unwrap().split(',').position(|c| c == "PricingCurrency").unwrap();
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(csv.as_bytes());
    let mut usd = csv::Writer::from_writer(Vec::new());
    for record in reader.records().map(Result::unwrap).filter(|record| &record[position] != "Credits") {
        usd.write_record(&record).unwrap();
    }
    let usd = String::from_utf8(usd.into_inner().unwrap()).unwrap();
    assert_eq!(failures(&env, "usd.csv", &usd), set(&ALWAYS));
    let (env, csv) = billed_month();
    assert_eq!(failures(&env, "billed.csv", &csv), set(&OF_INVOICES));
    // And it does find what is wrong.
    let found = failures(&env, "bad.csv", &usd.replacen(",USD,", ",usd,", 1).replace("Usage-Based", "Daily"));
    for column in ["BillingCurrency", "ChargeFrequency"] {
        assert!(found.iter().any(|rule| rule.starts_with(column)), "{column}: {found:?}");
    }
}

#[test]
fn the_validator_is_pinned() {
    let pinned =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/focus/requirements.txt")).unwrap();
    for package in ["focus_validator==2.2.1", "pyarrow==21.0.0", "numpy==1.26.4"] {
        assert!(pinned.lines().any(|line| line == package), "{package}");
    }
}
