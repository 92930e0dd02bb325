//! Usage that an invoice and an export tell of counts once, and never not at all.

use super::{import, standing};
use crate::support::TestEnv;

/// 2026-10-01.
const OCTOBER: u64 = 1_790_812_800;
const DAY: u64 = 86_400;

/// Costs of days of October, each with a row or none.
fn costs(days: impl IntoIterator<Item = (u64, Option<(&'static str, &'static str)>)>) -> String {
    let bucket = |(day, row): (u64, Option<(&str, &str)>)| {
        let result = row.map(|(project, usd)| {
            format!(
                r#"{{"object":"organization.costs.result","amount":{{"value":{usd},"currency":"usd"}},"project_id":"{project}","organization_id":"acme"}}"#
            )
        });
        let start = OCTOBER + (day - 1) * DAY;
        let results = result.unwrap_or_default();
        format!(r#"{{"object":"bucket","start_time":{start},"end_time":{},"results":[{results}]}}"#, start + DAY)
    };
    days.into_iter().map(bucket).collect::<Vec<_>>().join("\n")
}

fn october(row: u64) -> impl Iterator<Item = (u64, Option<(&'static str, &'static str)>)> {
    (1..=31).map(move |day| (day, (day == row).then_some(("p", "0.883"))))
}

const HEAD: &str = "invoice,line,kind,from,to,account,channel,amount,currency,credits\n";

fn invoice(env: &TestEnv, rows: &str) {
    let text = format!("{HEAD}{rows}\n");
    let hash = text.len().to_string() + &rows.replace([',', '\n'], "_");
    let _ = import(env, &format!("{hash}.csv"), text.as_bytes(), &[]).ok();
}

fn counted(env: &TestEnv) -> Vec<String> {
    standing(env, "counted", &["source", "amount", "currency"])
}

#[test]
fn money_of_chatgpt_and_of_the_api_are_no_details_of_each_other() {
    let env = TestEnv::new();
    invoice(&env, "INV-9,1,usage,2026-10-01,2026-10-31,acme,chatgpt,100.00,USD,");
    let _ = import(&env, "half.jsonl", costs(october(14).take(20)).as_bytes(), &[]).ok();
    let both = ["invoice 100.000000000000 USD", "costs 0.883000000000 USD"];
    assert_eq!(counted(&env), both);
    let _ = import(&env, "all.jsonl", costs(october(14)).as_bytes(), &["--whole"]).ok();
    assert_eq!(counted(&env), both);
}

#[test]
fn amounts_in_another_currency_are_no_details() {
    let env = TestEnv::new();
    invoice(&env, "INV-9,1,usage,2026-10-01,2026-11-30,acme,api,1.00,EUR,");
    let rest = (32..=61).map(|day| (day, None));
    let _ = import(&env, "all.jsonl", costs(october(14).chain(rest)).as_bytes(), &[]).ok();
    assert_eq!(counted(&env), ["invoice 1.000000000000 EUR", "costs 0.883000000000 USD"]);
    // Also in a month that has none of the details.
    let list = env.run(&["billing", "list", "-p", "2026-11", "--format", "json"]).ok().json();
    assert_eq!(list["rows"][0]["standing"], "counted");
    assert_eq!(list["rows"].as_array().unwrap().len(), 1);
}

#[test]
fn credits_of_an_invoice_with_money_are_not_told_twice() {
    let env = TestEnv::new();
    let export = "date,email,credits,workspace_id\n2026-10-14,ann@acme.com,4,acme\n";
    let _ = import(&env, "export.csv", export.as_bytes(), &[]).ok();
    invoice(&env, "INV-9,1,usage,2026-10-14,2026-10-14,acme,chatgpt,0.16,USD,4");
    assert_eq!(standing(&env, "counted", &["source", "amount"]), ["workspace null", "invoice 0.160000000000"]);
    let notes = env.run(&["billing", "list", "--format", "json"]).ok().json()["notes"].to_string();
    assert!(notes.contains("acme: 4.000000000000 credits (usage) counted"), "{notes}");
    assert!(notes.contains("acme: 0.160000000000 USD counted"), "{notes}");
    let all = env.run(&["billing", "allocate", "-p", "2026-10", "--format", "csv"]).ok().stdout;
    assert_eq!(all.matches("4.000000000000").count(), 1, "{all}");
    assert_eq!(all.matches("0.160000000000").count(), 1, "{all}");
    // Credits alone are the export's, and a day without export leaves them on the invoice.
    invoice(
        &env,
        "INV-10,1,usage,2026-10-14,2026-10-14,acme,chatgpt,,,4\nINV-11,1,usage,2026-10-20,2026-10-20,acme,chatgpt,1,USD,25",
    );
    assert_eq!(standing(&env, "detailed", &["invoice"]), ["INV-10"]);
    let notes = env.run(&["billing", "list", "--format", "json"]).ok().json()["notes"].to_string();
    assert!(notes.contains("acme: 29.000000000000 credits (usage) counted"), "{notes}");
}

#[test]
fn a_part_does_not_stand_for_a_whole_invoice() {
    let env = TestEnv::new();
    invoice(&env, "INV-9,1,usage,2026-10-01,2026-10-31,acme,api,500,USD,");
    let _ = import(&env, "part.jsonl", costs(october(14)).as_bytes(), &["--part"]).ok();
    assert_eq!(counted(&env), ["invoice 500.000000000000 USD"]);
    // Neither does what a part stands beside, until there is a whole export.
    let other = costs((1..=31).map(|day| (day, (day == 6).then_some(("q", "2")))));
    let _ = import(&env, "other.jsonl", other.as_bytes(), &["--whole"]).ok();
    assert_eq!(counted(&env), ["costs 2.000000000000 USD"]);
}

#[test]
fn an_invoice_that_its_details_do_not_add_up_to_is_a_finding() {
    let env = TestEnv::new();
    invoice(
        &env,
        "INV-9,1,usage,2026-10-01,2026-10-31,acme,api,0.80,USD,\nINV-9,2,usage,2026-10-01,2026-10-31,acme,api,0.08,USD,",
    );
    let _ = import(&env, "all.jsonl", costs(october(14)).as_bytes(), &[]).ok();
    assert_eq!(counted(&env), ["costs 0.883000000000 USD"]);
    let reconcile = || env.run(&["reconcile", "-p", "2026-10", "--tolerance", "100"]);
    let list = || env.run(&["billing", "list", "-p", "2026-10"]).ok().stdout;
    // Two rows that are rounded to cents.
    let _ = reconcile().ok();
    assert!(!list().contains("invoices have"));
    invoice(&env, "INV-10,1,usage,2026-10-11,2026-10-31,acme,api,500,USD,");
    let says =
        "acme: invoices have 500.880000000000 USD of usage of 2026-10-01 to 2026-10-31, but costs 0.883000000000 USD";
    let out = reconcile().fails(1);
    assert!(out.stdout.contains(says), "{out}");
    assert!(list().contains(says), "{}", list());
}

#[test]
fn invoices_whose_times_overlap_do_not_drop_what_both_have() {
    let env = TestEnv::new();
    let days = (1..=31).map(|day| (day, Some(("p", "1"))));
    let _ = import(&env, "all.jsonl", costs(days).as_bytes(), &[]).ok();
    invoice(
        &env,
        "INV-1,1,usage,2026-10-01,2026-10-31,acme,api,31,USD,\nINV-2,1,usage,2026-10-22,2026-11-21,acme,api,40,USD,",
    );
    assert_eq!(counted(&env), ["invoice 31.000000000000 USD", "invoice 40.000000000000 USD"]);
    assert_eq!(standing(&env, "detailed", &["superseded_by"]), ["invoice"; 31]);
    let in_month = |month: &str| {
        let list = env.run(&["billing", "list", "-p", month, "--format", "json"]).ok().json();
        list["rows"].as_array().unwrap().iter().filter(|row| row["standing"] == "counted").count()
    };
    assert_eq!((in_month("2026-10"), in_month("2026-11")), (2, 1));
}

#[test]
fn parts_may_have_rows_of_other_days() {
    let env = TestEnv::new();
    let of = |project, usd, on| costs((1..=31).map(|day| (day, (day == on).then_some((project, usd)))));
    let _ = import(&env, "a.jsonl", of("proj_a", "1", 14).as_bytes(), &["--part"]).ok();
    let _ = import(&env, "b.jsonl", of("proj_b", "2", 6).as_bytes(), &["--part"]).ok();
    assert_eq!(standing(&env, "counted", &["project"]), ["proj_b", "proj_a"]);
    // The same time in other lengths is no part.
    let hours =
        of("proj_c", "3", 14).replace(&(OCTOBER + 14 * DAY).to_string(), &(OCTOBER + 14 * DAY - 3600).to_string());
    let refused = import(&env, "c.jsonl", hours.as_bytes(), &["--part"]).fails(1).stderr;
    assert!(refused.contains("buckets of other lengths overlap (2026-10-14T00:00:00.000Z to 2026-10-15"), "{refused}");
}

#[test]
fn a_whole_file_without_rows_is_refused_since_nothing_says_of_what_it_is() {
    let env = TestEnv::new();
    let _ = import(&env, "a.jsonl", costs(october(14)).as_bytes(), &[]).ok();
    let none = costs((1..=31).map(|day| (day, None)));
    let refused = import(&env, "none.jsonl", none.as_bytes(), &["--whole"]).fails(1).stderr;
    assert!(refused.contains("does not say what it is of") && refused.contains("billing fetch"), "{refused}");
    assert_eq!(
        env.run(&["billing", "list", "--files", "--format", "json"]).ok().json()["rows"].as_array().unwrap().len(),
        1
    );
}

#[test]
fn an_invoice_is_of_one_account_also_when_it_is_corrected() {
    let env = TestEnv::new();
    let head = "invoice,line,kind,from,to,amount,currency\n";
    let first = format!("{head}INV-9,1,usage,2026-10-01,2026-10-31,100.00,USD\n");
    let corrected = format!("{first}INV-9,2,seat,2026-10-01,2026-10-31,25.00,USD\n");
    let _ = import(&env, "c1.csv", first.as_bytes(), &[]).ok();
    for args in [&[][..], &["--whole"], &["--part"]] {
        let refused = import(&env, "c2.csv", corrected.as_bytes(), args).fails(1).stderr;
        assert!(refused.contains("invoice INV-9 is stored for the account openai"), "{refused}");
        assert!(refused.contains("--account openai") && refused.contains("billing remove"), "{refused}");
    }
    let _ = import(&env, "c2.csv", corrected.as_bytes(), &["--account", "openai"]).ok();
    assert_eq!(
        standing(&env, "counted", &["account", "amount"]),
        ["openai 100.000000000000", "openai 25.000000000000"]
    );
    // Further lines of another account are a part of it.
    let seats = format!("{head}INV-9,3,seat,2026-10-01,2026-10-31,5.00,USD\n");
    assert!(import(&env, "c3.csv", seats.as_bytes(), &[]).fails(1).stderr.contains("of chatgpt: both would count"));
    let _ = import(&env, "c3.csv", seats.as_bytes(), &["--part"]).ok();
    assert_eq!(standing(&env, "counted", &["account"]).len(), 3);
}

#[test]
fn details_of_a_projects_row_are_that_projects() {
    let env = TestEnv::new();
    let invoice = "invoice,line,kind,from,to,account,amount,currency,project\n\
                   INV-9,1,usage,2026-10-01,2026-10-31,acme,0.50,USD,proj_a\n";
    let _ = import(&env, "invoice.csv", invoice.as_bytes(), &[]).ok();
    let row = |project: &str, usd: &str| {
        format!(
            r#"{{"object":"organization.costs.result","amount":{{"value":{usd},"currency":"usd"}},"project_id":{project},"organization_id":"acme"}}"#
        )
    };
    let bucket = |(from, to): (u64, u64), rows: &[String]| {
        let (start, end) = (OCTOBER + (from - 1) * DAY, OCTOBER + to * DAY);
        format!(r#"{{"object":"bucket","start_time":{start},"end_time":{end},"results":[{}]}}"#, rows.join(","))
    };
    let counted = || standing(&env, "counted", &["source", "project", "amount"]);
    let rows = [row("\"proj_a\"", "0.5"), row("\"proj_b\"", "0.883"), row("null", "0.2")];
    let _ = import(&env, "day.jsonl", bucket((14, 14), &rows).as_bytes(), &[]).ok();
    // What nobody says the project of may be on the invoice; that of another project is not.
    assert_eq!(counted(), ["invoice proj_a 0.500000000000", "costs proj_b 0.883000000000"]);
    assert_eq!(standing(&env, "detailed", &["project", "amount"]), ["null 0.200000000000", "proj_a 0.500000000000"]);
    let rest = bucket((1, 13), &rows[1..2]) + "\n" + &bucket((15, 31), &[]);
    let _ = import(&env, "rest.jsonl", rest.as_bytes(), &["--part"]).ok();
    assert_eq!(counted().len(), 3, "a part does not say that it is all");
    let _ = import(&env, "rest-again.jsonl", (rest + "\n").as_bytes(), &["--whole"]).ok();
    let _ = import(&env, "day-again.jsonl", (bucket((14, 14), &rows) + "\n").as_bytes(), &[]).ok();
    let all = [
        "costs proj_b 0.883000000000",
        "costs null 0.200000000000",
        "costs proj_a 0.500000000000",
        "costs proj_b 0.883000000000",
    ];
    assert_eq!(counted(), all);
    let list = env.run(&["billing", "list", "-p", "2026-10", "--format", "json"]).ok().json();
    let said =
        "acme: invoices have 0.500000000000 USD of usage of 2026-10-01 to 2026-10-31, but costs 0.700000000000 USD";
    assert!(list["notes"].to_string().contains(said), "{}", list["notes"]);
}
