//! FOCUS exports: every row keeps the rules of the specification to the last digit, and all rows are the total of the reports.

mod validator;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use crate::support::{Capture, Feed, TestEnv, Transcript};

type Row = BTreeMap<String, String>;

/// Teams of all kinds: labels, shares, and some that nobody owns.
const RULES: &str = r#"
[[rule]]
email = "alice@*"
team = "=search"
cost_centre = "CC-7"
labels = { product = "fi\"nd" }

[[rule]]
directory = "*/api-gateway"
attribute = { "team.id" = "plat*" }
shares = { platform = 2, search = 1, data = 1 }
"#;

/// A machine that saw all captures, with a contract list.
fn machine(order: &[Feed], backwards: bool) -> TestEnv {
    Capture::all_replayed(order, backwards, RULES)
}

fn export(env: &TestEnv, period: &str, args: &[&str]) -> String {
    env.run(&[&["export", "focus", "-p", period], args].concat()).ok().stdout
}

fn rows(csv: &str) -> Vec<Row> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_string).collect();
    let row = |r: csv::StringRecord| header.iter().cloned().zip(r.iter().map(str::to_string)).collect();
    reader.records().map(|r| row(r.unwrap())).collect()
}

/// A decimal as an integer of 10^-12; nothing of an empty field. All numbers of FOCUS have a point and nothing but digits.
#[track_caller]
fn number(row: &Row, column: &str) -> Option<i128> {
    let text = &row[column];
    if text.is_empty() {
        return None;
    }
    let (sign, digits) = text.strip_prefix('-').map_or((1, text.as_str()), |rest| (-1, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or_else(|| panic!("{column} {text} has no point"));
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    assert!(plain(whole) && plain(fraction) && fraction.len() <= 12, "{column} {text}");
    assert!(whole == "0" || !whole.starts_with('0'), "{column} {text}");
    Some(sign * format!("{whole}{fraction:0<12}").parse::<i128>().unwrap())
}

const ONE: i128 = 1_000_000_000_000;

#[track_caller]
fn sum<'a>(rows: impl IntoIterator<Item = &'a Row>, column: &str) -> i128 {
    rows.into_iter().filter_map(|row| number(row, column)).sum()
}

/// The columns that 1.2 makes mandatory, and those that are conditional or recommended and apply.
const COLUMNS_1_2: [&str; 43] = [
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingAccountType",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "CommitmentDiscountStatus",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "ContractedUnitPrice",
    "EffectiveCost",
    "InvoiceId",
    "InvoiceIssuerName",
    "ListCost",
    "ListUnitPrice",
    "PricingCategory",
    "PricingCurrency",
    "PricingCurrencyContractedUnitPrice",
    "PricingCurrencyEffectiveCost",
    "PricingCurrencyListUnitPrice",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "ServiceCategory",
    "ServiceName",
    "ServiceSubcategory",
    "SkuId",
    "SkuMeter",
    "SkuPriceDetails",
    "SkuPriceId",
    "SubAccountId",
    "SubAccountName",
    "SubAccountType",
    "Tags",
];

/// Columns that are never null.
const NEVER_NULL: [&str; 21] = [
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ContractedCost",
    "EffectiveCost",
    "InvoiceIssuerName",
    "ListCost",
    "PricingCurrency",
    "PricingCurrencyEffectiveCost",
    "ProviderName",
    "PublisherName",
    "ServiceCategory",
    "ServiceName",
];

/// What the public validator does not check, or not exactly: products to the last digit, dates, decimals, nulls, values.
#[track_caller]
fn check(rows: &[Row], period: &str) {
    let mut parents: BTreeMap<&str, &str> = BTreeMap::new();
    let mut prices: BTreeMap<&str, [&str; 2]> = BTreeMap::new();
    for row in rows {
        check_values(row, period);
        check_nulls(row);
        check_products(row);
        if !row["SkuPriceId"].is_empty() {
            let parent = parents.entry(&row["SkuPriceId"]).or_insert(&row["SkuId"]);
            assert_eq!(*parent, row["SkuId"], "a price of two SKUs: {row:?}");
        }
        // A price id leads to one price.
        if !row["x_TokenType"].is_empty() && row["ChargeClass"].is_empty() && row["x_CostBasis"] != "unpriced" {
            let units = [row["ListUnitPrice"].as_str(), row["PricingCurrencyListUnitPrice"].as_str()];
            assert_eq!(*prices.entry(&row["SkuPriceId"]).or_insert(units), units, "{row:?}");
        }
    }
}

#[track_caller]
fn check_values(row: &Row, period: &str) {
    for (column, allowed) in [
        ("ChargeCategory", &["Usage", "Adjustment", "Purchase", "Tax"][..]),
        ("ChargeClass", &["", "Correction"]),
        ("ChargeFrequency", &["Usage-Based", "Recurring", "One-Time"]),
        ("PricingCategory", &["", "Standard"]),
        ("BillingCurrency", &["USD", "EUR"]),
        ("PricingCurrency", &["USD", "EUR", "Credits"]),
        ("ServiceCategory", &["AI and Machine Learning"]),
        ("ServiceSubcategory", &["Generative AI"]),
        ("PricingUnit", &["", "Tokens", "Requests", "Responses", "Charges"]),
        ("SubAccountType", &["", "Team"]),
        ("CommitmentDiscountStatus", &[""]),
        ("x_CostBasis", &["list", "credits", "unpriced", "none", "billed"]),
        ("x_TokenType", &["", "input", "cached_input", "cache_write", "output"]),
    ] {
        assert!(allowed.contains(&row[column].as_str()), "{column}: {row:?}");
    }
    for column in ["BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd"] {
        let text = &row[column];
        let day = text.strip_suffix("T00:00:00Z").and_then(codex_tally::model::Day::parse);
        assert!(day.is_some(), "{column} {text}");
    }
    assert!(row["BillingPeriodStart"].starts_with(&format!("{period}-01T")), "{row:?}");
    assert!(row["BillingPeriodStart"] < row["BillingPeriodEnd"] && row["ChargePeriodStart"] < row["ChargePeriodEnd"]);
    if row["ChargeClass"].is_empty() {
        assert!(row["BillingPeriodStart"] <= row["ChargePeriodStart"], "{row:?}");
        assert!(row["ChargePeriodEnd"] <= row["BillingPeriodEnd"], "{row:?}");
    } else {
        assert!(row["ChargePeriodEnd"] <= row["BillingPeriodStart"], "a correction is of an earlier month: {row:?}");
        assert_eq!(row["x_CorrectsPeriod"], row["ChargePeriodStart"][..7]);
    }
    for column in ["Tags", "SkuPriceDetails"].into_iter().filter(|column| !row[*column].is_empty()) {
        let object: BTreeMap<String, Value> = serde_json::from_str(&row[column]).unwrap();
        assert!(!object.is_empty() && object.values().all(|value| !value.is_object() && !value.is_array()), "{row:?}");
    }
}

#[track_caller]
fn check_nulls(row: &Row) {
    for column in NEVER_NULL {
        assert!(!row[column].is_empty(), "{column}: {row:?}");
    }
    for (column, field) in row {
        assert!(!["null", "n/a", "none "].contains(&field.to_lowercase().as_str()), "{column}: {row:?}");
        assert_eq!(field.trim(), field, "{column}");
    }
    let is_null = |column: &str| row[column].is_empty();
    for (one, other) in [
        ("ConsumedQuantity", "ConsumedUnit"),
        ("PricingQuantity", "PricingUnit"),
        ("SkuId", "SkuMeter"),
        ("SkuId", "SkuPriceId"),
        ("SubAccountId", "SubAccountName"),
        ("SubAccountId", "SubAccountType"),
    ] {
        assert_eq!(is_null(one), is_null(other), "{one} and {other}: {row:?}");
    }
    assert!(is_null("SkuPriceDetails") || !is_null("SkuPriceId"), "{row:?}");
    if row["ChargeCategory"] == "Usage" && is_null("ChargeClass") {
        for column in [
            "ConsumedQuantity",
            "ContractedUnitPrice",
            "ListUnitPrice",
            "PricingCategory",
            "PricingCurrencyContractedUnitPrice",
            "PricingCurrencyListUnitPrice",
            "PricingQuantity",
            "SkuId",
        ] {
            assert!(!is_null(column), "{column}: {row:?}");
        }
    }
    if row["ChargeCategory"] == "Adjustment" {
        assert!(is_null("ConsumedQuantity") && is_null("ListUnitPrice") && is_null("SkuId"), "{row:?}");
    }
    let unpriced = row["x_CostBasis"] == "unpriced";
    assert_eq!(unpriced && is_null("ChargeClass"), !is_null("x_UnpricedReason") && is_null("ChargeClass"), "{row:?}");
}

#[track_caller]
fn check_products(row: &Row) {
    let is_covered = !row["x_BilledCostBasis"].is_empty();
    for (price, cost) in [
        ("ListUnitPrice", "ListCost"),
        ("ContractedUnitPrice", "ContractedCost"),
        ("PricingCurrencyContractedUnitPrice", "PricingCurrencyEffectiveCost"),
    ] {
        let Some((unit, quantity)) = number(row, price).zip(number(row, "PricingQuantity")) else { continue };
        assert!(unit >= 0, "{row:?}");
        if is_covered && row["PricingCurrency"] != "Credits" && cost == "PricingCurrencyEffectiveCost" {
            continue;
        }
        assert_eq!(unit * (quantity / ONE), number(row, cost).unwrap(), "{price} x PricingQuantity: {row:?}");
    }
    if is_covered {
        assert_eq!(number(row, "EffectiveCost"), number(row, "BilledCost"), "{row:?}");
    } else {
        assert_eq!(number(row, "BilledCost"), Some(0), "nothing covers it");
        assert_eq!(number(row, "EffectiveCost"), number(row, "ContractedCost"), "{row:?}");
        assert!(row["InvoiceId"].is_empty(), "{row:?}");
    }
    for column in ["PricingQuantity", "ConsumedQuantity", "x_UnpricedTokens"] {
        assert!(number(row, column).is_none_or(|n| n % ONE == 0), "{column}: {row:?}");
    }
}

/// All rows are what the monthly report says, in every measure that they share.
#[track_caller]
fn are_the_report(env: &TestEnv, rows: &[Row], period: &str) -> Value {
    let totals = env.run(&["report", "monthly", "-p", period, "--format", "json"]).ok().json()["totals"].clone();
    let count = |name: &str| i128::from(totals[name].as_i64().unwrap());
    for (kind, name) in [
        ("input", "uncached_input_tokens"),
        ("cached_input", "cached_input_tokens"),
        ("cache_write", "cache_write_tokens"),
        ("output", "output_tokens"),
    ] {
        let of_kind = rows.iter().filter(|row| row["x_TokenType"] == kind);
        assert_eq!(sum(of_kind, "ConsumedQuantity") / ONE, count(name), "{name}");
    }
    assert_eq!(sum(rows, "x_ReasoningTokens") / ONE, count("reasoning_tokens"));
    assert_eq!(sum(rows, "x_UnpricedTokens") / ONE, count("unpriced_tokens"));
    let amount = |name: &str| {
        let text = totals[name].as_str().unwrap_or("0.000000000000");
        text.replace('.', "").parse::<i128>().unwrap()
    };
    let fees = |row: &&Row| !row["x_Tool"].is_empty();
    assert_eq!(sum(rows.iter().filter(|row| !fees(row)), "ListCost"), amount("list_usd"));
    assert_eq!(sum(rows.iter().filter(fees), "ListCost"), amount("tool_fees_usd"));
    let credits = rows.iter().filter(|row| row["PricingCurrency"] == "Credits");
    assert_eq!(sum(credits, "PricingCurrencyEffectiveCost"), amount("chatgpt_credits"));
    let by_contract = rows.iter().filter(|row| row["x_ContractedCostBasis"] == "contract");
    assert_eq!(sum(by_contract, "ContractedCost"), amount("contract_usd"));
    totals
}

#[test]
fn rows_of_all_captures_are_exact_and_the_total_of_the_report() {
    let env = machine(&[Feed::Otlp, Feed::Transcripts], false);
    let csv = export(&env, "2026-11", &[]);
    let all = rows(&csv);
    check(&all, "2026-11");
    let totals = are_the_report(&env, &all, "2026-11");
    for name in ["list_usd", "chatgpt_credits", "contract_usd", "tool_fees_usd"] {
        assert!(totals[name].as_str().is_some_and(|n| n != "0.000000000000"), "the captures have {name}: {totals}");
    }
    let adjustments: Vec<_> = all.iter().filter(|row| row["ChargeCategory"] == "Adjustment").collect();
    assert_eq!(sum(adjustments.iter().copied(), "ListCost"), 0, "what sharing leaves is nobody's");
    // Without sessions: fewer rows of the same charges.
    let merged = rows(&export(&env, "2026-11", &["--no-sessions"]));
    check(&merged, "2026-11");
    let _ = are_the_report(&env, &merged, "2026-11");
    assert!(merged.len() < all.len() && merged.iter().all(|row| row["x_SessionId"].is_empty()));
    // Each team's rows are the team's.
    let by_team = env.run(&["report", "monthly", "-p", "2026-11", "--by", "team", "--format", "json"]).ok().json();
    for team in by_team["rows"].as_array().unwrap() {
        let name = team["team"].as_str().unwrap();
        let wanted = if name == "unattributed" { String::new() } else { codex_tally::report::format::csv_text(name) };
        let of_team: Vec<_> =
            all.iter().filter(|row| row["SubAccountId"] == wanted && row["x_Tool"].is_empty()).collect();
        let list = team["list_usd"].as_str().unwrap_or("0.0").replace('.', "").parse::<i128>().unwrap();
        assert_eq!(sum(of_team.iter().copied(), "ListCost"), list, "{name}");
        let tokens = of_team.iter().filter(|row| row["ConsumedUnit"] == "Tokens").copied();
        assert_eq!(sum(tokens, "ConsumedQuantity") / ONE, i128::from(team["total_tokens"].as_i64().unwrap()), "{name}");
    }
    let tags: BTreeSet<&str> = all.iter().map(|row| row["Tags"].as_str()).collect();
    let tagged = |part: &str| tags.iter().any(|tags| tags.contains(part));
    for part in ["\"team\":\"=search\"", "\"cost_centre\":\"CC-7\"", "\"label/product\":\"fi\\\"nd\"", "\"user\":"] {
        assert!(tagged(part), "{part}: {tags:?}");
    }
    assert!(!tagged("unattributed"));
}

#[test]
fn the_same_month_gives_the_same_bytes() {
    let feeds = [Feed::Hooks, Feed::Otlp, Feed::Transcripts];
    let (one, other) = (machine(&feeds, false), machine(&[Feed::Transcripts, Feed::OtlpTwice, Feed::Hooks], true));
    let made = |env: &TestEnv, name: &str| {
        let _ = env.run(&["export", "focus", "-p", "2026-11", "--out", name]).ok();
        let read = |name: &str| std::fs::read_to_string(env.work().join(name)).unwrap();
        (read(name), read(&format!("{name}.meta.json")))
    };
    let (csv, meta) = made(&one, "a.csv");
    assert!((&csv, &meta) == (&made(&other, "b.csv").0, &made(&other, "b.csv").1), "the bytes differ");
    assert_eq!(csv, export(&one, "2026-11", &[]), "a file and stdout have the same rows");
    let meta: Value = serde_json::from_str(&meta).unwrap();
    let monthly = one.run(&["report", "monthly", "-p", "2026-11", "--format", "json"]).ok().json();
    assert_eq!(
        (&meta["focus_version"], &meta["tz"], &meta["status"]),
        (&"1.2".into(), &"UTC".into(), &"estimated".into())
    );
    for name in ["list_usd", "chatgpt_credits", "contract_usd", "tool_fees_usd"] {
        assert_eq!(meta["totals"][name], monthly["totals"][name], "{name}");
    }
    for name in ["uncached_input_tokens", "output_tokens", "unpriced_tokens"] {
        assert_eq!(meta["totals"][name], monthly["totals"][name].to_string(), "{name}");
    }
    assert_eq!(meta["rows"], rows(&csv).len());
    assert_eq!(meta["coverage"]["unpriced_responses"], monthly["coverage"]["unpriced_responses"]);
    assert!(!meta.to_string().contains(one.root().to_str().unwrap()));
}

#[test]
fn columns_are_those_of_the_version_and_documented() {
    let env = TestEnv::new().billed_by_the_api();
    let rates = "from,to,rate,valid_from,source\nUSD,EUR,0.9,2026-11-01,a bank\n";
    std::fs::write(env.home().join("rates.csv"), rates).unwrap();
    let header = |args: &[&str]| {
        let csv = export(&env, "2026-11", args);
        csv.lines().next().unwrap().trim_end().split(',').map(str::to_string).collect::<Vec<_>>()
    };
    let (old, new) = (header(&[]), header(&["--focus", "1.3"]));
    let is_ours = |column: &&String| column.starts_with("x_");
    assert_eq!(old.iter().filter(|c| !is_ours(c)).collect::<Vec<_>>(), COLUMNS_1_2);
    assert!(old.iter().skip(COLUMNS_1_2.len()).all(|column| is_ours(&column)), "ours stand behind those of FOCUS");
    let more: Vec<_> = new.iter().filter(|column| !old.contains(column)).collect();
    assert_eq!(more, ["HostProviderName", "ServiceProviderName"]);
    let more: Vec<_> = header(&["--currency", "EUR"]).into_iter().filter(|column| !old.contains(column)).collect();
    assert!(more.iter().all(|column| column.starts_with("x_")) && more.len() == 7, "{more:?}");
    let document = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/focus.md")).unwrap();
    let documented: BTreeSet<_> =
        document.lines().filter_map(|l| l.strip_prefix("| `")).filter_map(|l| l.split('`').next()).collect();
    let all = new.iter().chain(&more).map(String::as_str).collect();
    assert_eq!(documented, all, "docs/focus.md has every column");
    assert!(env.run(&["export", "focus", "-p", "2026-11", "--focus", "1.1"]).fails(2).stderr.contains("1.2"));
    assert!(env.run(&["export", "focus", "-p", "2026-11", "--tz", "Europe/Berlin"]).fails(2).stderr.contains("--tz"));
}

/// Adds to the transcript of the `n`th thread a response of so many input tokens, on a day of 2026.
fn respond(env: &TestEnv, n: u64, day: &str, input: u64) {
    Transcript::new(n).respond(env, day, input, &[]);
}

#[test]
fn sealed_months_stay_and_their_corrections_are_corrections() {
    let env = TestEnv::new().billed_by_the_api();
    respond(&env, 1, "08-31", 1000);
    respond(&env, 1, "09-01", 2000);
    let rule = |team: &str| {
        let text = format!("[[rule]]\nteam = \"{team}\"\nlabels = {{ product = \"of {team}\" }}\n");
        std::fs::write(env.home().join("teams.toml"), text).unwrap();
    };
    rule("platform");
    let open = export(&env, "2026-08", &[]);
    assert_eq!(rows(&open).len(), 2, "input and output: {open}");
    let _ = env.run(&["ledger", "seal", "-p", "2026-08"]).ok();
    let sealed = export(&env, "2026-08", &[]);
    assert_eq!(sealed, open.replace(",estimated,", ",sealed,"), "a seal changes no charge");
    // A late response, another team, and a contract list.
    respond(&env, 2, "08-30", 4000);
    rule("search");
    let prices = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/prices.toml");
    std::fs::copy(prices, env.home().join("prices.toml")).unwrap();
    assert_eq!(export(&env, "2026-08", &[]), sealed, "whatever prices and rules are now");
    let september = rows(&export(&env, "2026-09", &[]));
    check(&september, "2026-09");
    let _ = are_the_report(&env, &september, "2026-09");
    let corrections: Vec<_> = september.iter().filter(|row| row["ChargeClass"] == "Correction").collect();
    let of = |team: &str, kind: &str| {
        let is = |row: &&&Row| row["SubAccountId"] == team && row["x_TokenType"] == kind;
        let of: Vec<_> = corrections.iter().filter(is).collect();
        of.iter().map(|row| (row["PricingQuantity"].as_str(), row["ListCost"].as_str())).collect::<Vec<_>>()
    };
    assert_eq!(of("platform", "input"), [("-1000.0", "-0.005000000000")]);
    assert_eq!(of("search", "input"), [("1000.0", "0.005000000000"), ("4000.0", "0.020000000000")]);
    assert!(corrections.iter().any(|row| row["x_CorrectionReason"].starts_with("late")));
    assert!(corrections.iter().any(|row| row["x_CorrectionReason"].contains("team platform is now search")));
    assert!(corrections.iter().any(|row| row["ChargePeriodStart"] == "2026-08-30T00:00:00Z"));
    // Once they are sealed, the same rows come from the seal.
    let _ = env.run(&["ledger", "seal", "-p", "2026-09"]).ok();
    let before: Vec<Row> = september
        .into_iter()
        .map(|mut row| {
            row.insert("x_Status".into(), "sealed".into());
            row
        })
        .collect();
    assert_eq!(rows(&export(&env, "2026-09", &[])), before);
    assert_eq!(rows(&export(&env, "2026-10", &[])), [] as [Row; 0]);
    let _ = env.run(&["ledger", "verify"]).ok();
}

#[test]
fn another_price_for_a_sealed_month_is_an_amount_without_a_unit_price() {
    let env = TestEnv::new().billed_by_the_api();
    respond(&env, 1, "08-31", 1000);
    let _ = env.run(&["ledger", "seal", "-p", "2026-08"]).ok();
    // A contract that begins to count.
    std::fs::write(
        env.home().join("prices.toml"),
        "format = 1\nprovider = \"corp\"\nas_of = \"2026-11-01\"\n[sources]\nc = \"our contract\"\n[[contract]]\nname = \"gpt-5.5\"\n\
         [[contract.usd]]\neffective_from = \"2026-04-23\"\nsources = [\"c\"]\n[contract.usd.short]\n\
         standard = { input = \"4\", cached = \"0.4\", output = \"24\" }\n",
    )
    .unwrap();
    let september = rows(&export(&env, "2026-09", &[]));
    check(&september, "2026-09");
    let _ = are_the_report(&env, &september, "2026-09");
    let [row] = september.as_slice() else { panic!("{september:?}") };
    assert_eq!((row["ListCost"].as_str(), row["ContractedCost"].as_str()), ("0.000000000000", "0.004024000000"));
    assert_eq!((row["ListUnitPrice"].as_str(), row["x_CorrectionReason"].as_str()), ("", "repriced"));
}

#[test]
fn what_has_no_price_is_a_row_that_says_so() {
    let env = TestEnv::new();
    let transcript = Transcript::new(1);
    let text = transcript.head() + &transcript.record(1_000);
    std::fs::write(transcript.path(&env), &text).unwrap();
    let reasons = |env: &TestEnv| {
        let all = rows(&export(env, "2026-11", &[]));
        check(&all, "2026-11");
        let _ = are_the_report(env, &all, "2026-11");
        assert!(all.iter().all(|row| row["PricingQuantity"] == "0.0" && row["x_CostBasis"] == "unpriced"), "{all:?}");
        all.into_iter()
            .map(|row| (row["ConsumedQuantity"].clone(), row["x_UnpricedReason"].clone()))
            .collect::<Vec<_>>()
    };
    let both = |why: &str| vec![("1000.0".to_string(), why.to_string()), ("1.0".to_string(), why.to_string())];
    assert_eq!(reasons(&env), both("billing channel unknown"));
    let env = TestEnv::new().billed_by_the_api();
    std::fs::write(transcript.path(&env), text.replace("gpt-5.5", "no-such-model")).unwrap();
    assert_eq!(reasons(&env), both("no price for model no-such-model"));
    // A model on the user's own machine has no bill, which is not the same.
    let env = TestEnv::new();
    std::fs::create_dir_all(env.home()).unwrap();
    std::fs::write(env.home().join("config.toml"), "channel = \"local\"\n").unwrap();
    std::fs::write(transcript.path(&env), text).unwrap();
    let local = rows(&export(&env, "2026-11", &[]));
    check(&local, "2026-11");
    let said: Vec<_> = local.iter().map(|row| (row["PricingQuantity"].as_str(), row["x_CostBasis"].as_str())).collect();
    assert_eq!(said, [("1000.0", "none"), ("1.0", "none")]);
}

#[test]
fn accounts_have_the_names_of_the_configuration() {
    let env = TestEnv::new();
    std::fs::create_dir_all(env.home()).unwrap();
    let config = "channel = \"api\"\n[focus]\napi_account = \"org-1\"\napi_account_name = \"Acme, Inc.\"\n";
    std::fs::write(env.home().join("config.toml"), config).unwrap();
    respond(&env, 1, "11-20", 10);
    let all = rows(&export(&env, "2026-11", &["--focus", "1.3"]));
    check(&all, "2026-11");
    for row in &all {
        assert_eq!((row["BillingAccountId"].as_str(), row["BillingAccountName"].as_str()), ("org-1", "Acme, Inc."));
        assert_eq!((row["ServiceProviderName"].as_str(), row["HostProviderName"].as_str()), ("OpenAI", "OpenAI"));
    }
}

/// Two teams on the API, and what was billed for them: usage with a discount and a tax on one invoice, seats on others.
pub fn billed_month() -> (TestEnv, String) {
    let env = TestEnv::new().billed_by_the_api();
    let rule = |folder: &str, team: &str| format!("[[rule]]\ndirectory = \"/home/dev/{folder}\"\nteam = \"{team}\"\n");
    std::fs::write(env.home().join("teams.toml"), rule("a", "search") + &rule("b", "platform")).unwrap();
    for (n, folder, input) in [(1, "a", 1_000), (2, "b", 5_000), (3, "b", 1_234)] {
        let transcript = Transcript::new(n);
        let text = (transcript.head() + &transcript.record(input)).replace("code/api-gateway", folder);
        std::fs::write(transcript.path(&env), text).unwrap();
    }
    let invoices = "invoice,line,kind,from,to,account,channel,description,quantity,unit,amount,currency,credits,email\n\
        INV-1,1,usage,2026-11-01,2026-11-30,org-acme,api,API usage,,,0.03,USD,,\n\
        INV-1,2,discount,2026-11-01,2026-11-30,org-acme,api,Volume discount,,,-0.01,USD,,\n\
        INV-1,3,tax,2026-11-01,2026-11-30,org-acme,api,VAT,,,0.02,USD,,\n\
        INV-2,1,seat,2026-11-01,2026-11-30,acme,,Business seats,4,seats,100.00,USD,,\n\
        INV-3,1,usage,2026-11-01,2026-11-30,org-acme-eu,api,API usage,,,7.00,EUR,,\n";
    std::fs::write(env.work().join("invoices.csv"), invoices).unwrap();
    let _ = env.run(&["billing", "import", "invoices.csv"]).ok();
    let csv = export(&env, "2026-11", &[]);
    (env, csv)
}

#[test]
fn what_was_billed_is_in_the_rows_to_the_last_unit() {
    let (env, csv) = billed_month();
    let all = rows(&csv);
    check(&all, "2026-11");
    let invoice = |id: &str| sum(all.iter().filter(|row| row["InvoiceId"] == id), "BilledCost");
    let cents = |n: i128| n * 10_000_000_000;
    assert_eq!(["INV-1", "INV-2", "INV-3"].map(invoice), [cents(4), cents(10_000), cents(700)]);
    let listed: Vec<&Row> = all.iter().filter(|row| row["x_CostBasis"] == "list").collect();
    assert!(listed.iter().all(|row| row["x_BilledCostBasis"] == "allocated" && row["InvoiceId"] == "INV-1"));
    assert_eq!(sum(listed.iter().copied(), "BilledCost"), cents(2), "usage less the discount, on the usage");
    let totals = env.run(&["report", "monthly", "-p", "2026-11", "--format", "json"]).ok().json()["totals"].clone();
    let list = totals["list_usd"].as_str().unwrap().replace('.', "").parse::<i128>().unwrap();
    assert_eq!(sum(listed.iter().copied(), "ListCost"), list);
    // Each row has its part by list cost, none a whole unit off.
    for row in &listed {
        let off = number(row, "BilledCost").unwrap() * list - cents(2) * number(row, "ListCost").unwrap();
        assert!(off.abs() < 3 * list, "{row:?}");
    }
    let category = |name: &str| all.iter().filter(|row| row["ChargeCategory"] == name).collect::<Vec<_>>();
    let (taxes, seats) = (category("Tax"), category("Purchase"));
    assert_eq!(
        (sum(taxes.iter().copied(), "BilledCost"), sum(seats.iter().copied(), "ListCost")),
        (cents(2), cents(10_000))
    );
    assert!(taxes.iter().all(|row| row["PricingQuantity"].is_empty() && row["SkuId"].is_empty()), "{taxes:?}");
    assert!(
        seats.iter().all(|row| row["ChargeDescription"].contains("idle")),
        "nobody logs in with ChatGPT: {seats:?}"
    );
    let eur: Vec<_> = all.iter().filter(|row| row["BillingCurrency"] == "EUR").collect();
    assert!(
        eur.iter().all(|row| row["ChargeCategory"] == "Adjustment" && row["ListCost"] == "0.000000000000"),
        "{eur:?}"
    );
    let accounts: BTreeSet<_> = all.iter().map(|row| row["BillingAccountId"].as_str()).collect();
    assert_eq!(accounts, BTreeSet::from(["acme", "openai-api"]), "the API has two accounts: none is chosen");
}

/// Usage of three days, and charges of some days on several invoices: what each is billed, and which usage it covers.
#[test]
fn rows_of_each_invoice_add_up_to_it_and_are_of_its_days() {
    const HEAD: &str = "invoice,line,kind,from,to,account,channel,description,quantity,unit,amount,currency,credits\n";
    let charge = |invoice: &str, line: u8, kind: &str, days: [u8; 2], amount: &str| {
        let [from, to] = days;
        format!("{invoice},{line},{kind},2026-11-{from:02},2026-11-{to:02},org-acme,api,of {invoice},,,{amount},USD,\n")
    };
    let halves = charge("INV-1", 1, "usage", [1, 15], "0.688") + &charge("INV-2", 1, "usage", [16, 30], "0.195");
    let first_half = charge("INV-1", 1, "usage", [1, 15], "0.688");
    let nested = charge("INV-1", 1, "usage", [1, 30], "0.5") + &charge("INV-2", 1, "usage", [6, 6], "0.07");
    let less = charge("INV-1", 1, "usage", [1, 30], "0.5") + &charge("INV-2", 1, "discount", [1, 15], "-0.01");
    type Case = (String, &'static [(&'static str, i128)], [&'static str; 3]);
    let cases: [Case; 4] = [
        (halves, &[("INV-1", 688), ("INV-2", 195)], ["INV-1", "INV-1", "INV-2"]),
        (first_half, &[("INV-1", 688)], ["INV-1", "INV-1", ""]),
        // What was used on the day of an invoice of its own is of that one.
        (nested, &[("INV-1", 500), ("INV-2", 70)], ["INV-2", "INV-1", "INV-1"]),
        (less, &[("INV-1", 500), ("INV-2", -10)], ["INV-1", "INV-1", "INV-1"]),
    ];
    let days = ["2026-11-06", "2026-11-14", "2026-11-29"];
    for (charges, invoices, covered) in cases {
        let env = TestEnv::new().billed_by_the_api();
        for (n, day) in days.into_iter().enumerate() {
            respond(&env, n as u64 + 1, &day[5..], 1_000 * (n as u64 + 2));
        }
        std::fs::write(env.work().join("invoices.csv"), format!("{HEAD}{charges}")).unwrap();
        let _ = env.run(&["billing", "import", "invoices.csv"]).ok();
        let all = rows(&export(&env, "2026-11", &[]));
        check(&all, "2026-11");
        let billed: BTreeMap<&str, i128> = all.iter().fold(BTreeMap::new(), |mut sums, row| {
            *sums.entry(row["InvoiceId"].as_str()).or_default() += number(row, "BilledCost").unwrap();
            sums
        });
        let named: Vec<_> = billed.into_iter().filter(|(id, sum)| !id.is_empty() || *sum != 0).collect();
        let expected: Vec<_> = invoices.iter().map(|(id, thousandths)| (*id, thousandths * 1_000_000_000)).collect();
        assert_eq!(named, expected, "{charges}");
        let usage = |day: &str| {
            let mut of =
                all.iter().filter(|row| row["x_CostBasis"] == "list" && row["ChargePeriodStart"].starts_with(day));
            let first = of.next().unwrap();
            assert!(of.all(|row| row["InvoiceId"] == first["InvoiceId"]), "{charges}");
            first
        };
        for (day, invoice) in days.into_iter().zip(covered) {
            let row = usage(day);
            assert_eq!(row["InvoiceId"], invoice, "{day}: {charges}");
            let basis = if invoice.is_empty() { "" } else { "allocated" };
            assert_eq!(row["x_BilledCostBasis"], basis, "{day}: {charges}");
            if invoice.is_empty() {
                assert_eq!((number(row, "BilledCost"), &row["EffectiveCost"]), (Some(0), &row["ContractedCost"]));
            }
        }
    }
}
