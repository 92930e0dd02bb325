//! Months with a bill and usage: spread over owners, and compared.

use super::import;
use crate::support::{TestEnv, Transcript};
use serde_json::Value;

/// 2026-11-21, on which everything was used.
pub const DAY: u64 = 1_795_219_200;

/// Responses of gpt-5.5 with one output token each: at 5 and 30 USD, or 125 and 750 credits, per million.
pub fn used(env: &TestEnv, n: u64, user: &str, inputs: &[u64]) {
    let transcript = Transcript::new(n);
    let text: String = inputs.iter().map(|input| transcript.record(*input)).collect();
    let text = transcript.head().replace("api-gateway", user) + &text;
    std::fs::write(transcript.path(env), text).unwrap();
}

pub fn configure(env: &TestEnv, config: &str, teams: &str) {
    std::fs::create_dir_all(env.home()).unwrap();
    std::fs::write(env.home().join("config.toml"), config).unwrap();
    std::fs::write(env.home().join("teams.toml"), teams).unwrap();
}

/// People by the directory that they work in.
pub const TEAMS: &str = "\
[[rule]]
directory = \"*/ann\"
team = \"search\"
set_user = \"ann@acme.com\"

[[rule]]
directory = \"*/bob\"
team = \"platform\"
set_user = \"bob@acme.com\"
";

pub fn bucket(object: &str, fields: &str) -> String {
    format!(
        "{{\"object\":\"page\",\"data\":[{{\"start_time\":{DAY},\"end_time\":{},\"results\":[{{\"object\":\"organization.{object}.result\",{fields}}}]}}]}}",
        DAY + 86_400
    )
}

pub fn usage(input: u64, output: u64, tier: &str) -> String {
    let fields = format!(
        "\"input_tokens\":{input},\"output_tokens\":{output},\"model\":\"gpt-5.5-2026-04-23\",\"service_tier\":\"{tier}\",\"project_id\":\"proj_1\""
    );
    bucket("usage.completions", &fields)
}

fn costs(usd: &str) -> String {
    bucket(
        "costs",
        &format!(
            "\"amount\":{{\"value\":{usd},\"currency\":\"usd\"}},\"line_item\":\"gpt-5.5, all\",\"project_id\":\"proj_1\""
        ),
    )
}

pub fn lines(csv: &str, columns: &[&str]) -> Vec<String> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let header = reader.headers().unwrap().clone();
    let at: Vec<usize> = columns.iter().map(|c| header.iter().position(|h| h == *c).unwrap()).collect();
    reader
        .records()
        .map(|r| r.unwrap())
        .map(|r| at.iter().map(|i| r[*i].to_string()).collect::<Vec<_>>().join(" "))
        .collect()
}

#[test]
fn an_api_month_is_compared_and_spread() {
    let env = TestEnv::new();
    configure(&env, "channel = \"api\"\n", TEAMS);
    used(&env, 1, "ann", &[3000, 1000]);
    used(&env, 2, "bob", &[1000]);
    let nothing = env.run(&["reconcile", "-p", "2026-11"]).fails(1);
    assert!(nothing.stdout.contains("nothing that was billed for 2026-11 is stored"), "{nothing}");
    let _ = import(&env, "usage.json", usage(5000, 3, "default").as_bytes(), &[]).ok();
    let _ = import(&env, "costs.json", costs("0.02509").as_bytes(), &[]).ok();
    let equal = env.run(&["reconcile", "-p", "2026-11"]).ok();
    assert!(equal.stdout.contains("USD: billed 0.025090000000, observed 0.025090000000: they are equal"), "{equal}");
    assert!(equal.stdout.contains("3 more comparisons are equal"), "{equal}");
    assert!(equal.stdout.contains("tokens are compared by day, model, tier, on 1 days"), "{equal}");
    assert!(
        equal.stdout.contains("teams are not compared: 1 of the provider's ids are not below [billing]"),
        "{equal}"
    );

    // The month went on, and a fifth of it was not observed.
    let _ = import(&env, "usage-2.json", usage(6000, 33, "default").as_bytes(), &[]).ok();
    let _ = import(&env, "costs-2.json", costs("0.03099").as_bytes(), &[]).ok();
    let csv = env.run(&["reconcile", "-p", "2026-11", "--format", "csv"]).fails(1).stdout;
    assert_eq!(
        lines(&csv, &["unit", "tokens", "day", "model", "billed", "observed", "not_observed", "residual"]),
        [
            "tokens uncached_input 2026-11-21 gpt-5.5 6000.000000000000 5000.000000000000 1000.000000000000 0.000000000000",
            "tokens output 2026-11-21 gpt-5.5 33.000000000000 3.000000000000 30.000000000000 0.000000000000",
            "USD  2026-11-21 gpt-5.5 0.030990000000 0.025090000000 0.005900000000 0.000000000000",
        ]
    );
    let _ = env.run(&["reconcile", "-p", "2026-11", "--tolerance", "90"]).fails(1);
    let _ = env.run(&["reconcile", "-p", "2026-11", "--tolerance", "95"]).ok();
    let csv = env.run(&["billing", "allocate", "-p", "2026-11", "--format", "csv"]).ok().stdout;
    let columns = ["kind", "method", "class", "team", "user", "amount", "currency", "basis"];
    assert_eq!(
        lines(&csv, &columns),
        [
            "usage list allocated platform bob@acme.com 0.005030000000 USD allocated",
            "usage list allocated search ann@acme.com 0.020060000000 USD allocated",
            "usage list not_observed unattributed unattributed 0.005900000000 USD allocated",
        ]
    );
    // With the team of the project, what was not observed is that team's, and other teams have no part in it.
    configure(&env, "channel = \"api\"\n[billing]\nprojects = { proj_1 = \"search\" }\n", TEAMS);
    let csv = env.run(&["billing", "allocate", "-p", "2026-11", "--format", "csv"]).ok().stdout;
    assert_eq!(
        lines(&csv, &columns),
        [
            "usage list allocated search ann@acme.com 0.020060000000 USD allocated",
            "usage list not_observed search unattributed 0.010930000000 USD allocated",
        ]
    );
    let json = env.run(&["reconcile", "-p", "2026-11", "--format", "json"]).fails(1).json();
    let teams = json["rows"].as_array().unwrap().iter().filter(|row| row["unit"] == "USD");
    let teams: Vec<_> =
        teams.map(|row| (row["team"].clone(), row["not_observed"].clone(), row["over_observed"].clone())).collect();
    let text = |t: &str| Value::String(t.to_string());
    let zero = "0.000000000000";
    assert_eq!(
        teams,
        [(text("platform"), text(zero), text("-0.005030000000")), (text("search"), text("0.010930000000"), text(zero)),]
    );
}

#[test]
fn a_served_tier_that_was_not_asked_for_is_said() {
    let env = TestEnv::new();
    configure(&env, "channel = \"api\"\n", TEAMS);
    used(&env, 1, "ann", &[1000]);
    let _ = import(&env, "usage.json", usage(1000, 1, "priority").as_bytes(), &[]).ok();
    // 2.5 times the standard price, as a project's default may be.
    let _ = import(&env, "costs.json", costs("0.012575").as_bytes(), &[]).ok();
    let csv = env.run(&["reconcile", "-p", "2026-11", "--format", "csv"]).fails(1).stdout;
    let usd: Vec<_> = lines(&csv, &["unit", "tier_difference", "price", "not_observed"]);
    assert_eq!(usd.last().unwrap(), "USD 0.007545000000 0.000000000000 0.000000000000");
    assert_eq!(usd[..2].iter().filter(|line| line.contains("1000.000000000000")).count(), 2);
}

#[test]
fn a_workspace_has_seats_credits_and_a_statement() {
    let env = TestEnv::new();
    let members = "members = \"members.csv\"\n".to_string() + TEAMS;
    configure(&env, "channel = \"chatgpt\"\n", &members);
    let list = "email,team\nann@acme.com,search\nbob@acme.com,platform\ncat@acme.com,design\n";
    std::fs::write(env.home().join("members.csv"), list).unwrap();
    used(&env, 1, "ann", &[3000, 1000]);
    used(&env, 2, "bob", &[1000]);
    // Ann drew what was observed (0.5015 credits), Bob more, and of Cat nothing was observed.
    let export =
        "date,email,credits\n2026-11-21,ann@acme.com,0.5015\n2026-11-21,bob@acme.com,0.2\n2026-11-21,cat@acme.com,1\n";
    let _ = import(&env, "export.csv", export.as_bytes(), &["--account", "acme"]).ok();
    let invoice = "invoice,line,kind,from,to,account,quantity,unit,amount,currency,credits\n\
                   I,1,seat,2026-11-01,2026-11-30,acme,5,seats,100,USD,\n\
                   I,2,credit_pack,2026-11-01,2026-11-30,acme,1,pack,40,USD,1000\n\
                   I,3,discount,2026-11-01,2026-11-30,acme,,,-17.015,USD,\n";
    let _ = import(&env, "invoice.csv", invoice.as_bytes(), &[]).ok();
    let csv = env.run(&["billing", "allocate", "-p", "2026-11", "--format", "csv"]).ok().stdout;
    let rows = lines(&csv, &["kind", "class", "team", "user", "amount", "credits"]);
    let credits: Vec<_> = rows.iter().filter(|row| row.starts_with("usage")).map(String::as_str).collect();
    assert_eq!(
        credits,
        [
            "usage allocated platform bob@acme.com  0.125750000000",
            "usage allocated search ann@acme.com  0.501500000000",
            "usage not_observed design cat@acme.com  1.000000000000",
            "usage not_observed platform bob@acme.com  0.074250000000",
        ]
    );
    let seats: Vec<_> = rows.iter().filter(|row| row.starts_with("seat")).map(String::as_str).collect();
    assert_eq!(
        seats,
        [
            "seat allocated platform bob@acme.com 20.000000000000 ",
            "seat allocated search ann@acme.com 20.000000000000 ",
            "seat idle unattributed unattributed 40.000000000000 ",
            "seat not_observed design cat@acme.com 20.000000000000 ",
        ]
    );
    // On an invoice for seats it is of ChatGPT, and spread as credits were drawn.
    let discount: Vec<_> = rows.iter().filter(|row| row.starts_with("discount")).map(String::as_str).collect();
    assert_eq!(
        discount,
        [
            "discount allocated platform bob@acme.com -1.257500000000 ",
            "discount allocated search ann@acme.com -5.015000000000 ",
            "discount not_observed design cat@acme.com -10.000000000000 ",
            "discount not_observed platform bob@acme.com -0.742500000000 ",
        ]
    );
    let differs = env.run(&["reconcile", "-p", "2026-11", "--format", "csv"]).fails(1);
    let rows = lines(&differs.stdout, &["unit", "user", "billed", "observed", "not_observed"]);
    assert_eq!(rows[0], "credits ann@acme.com 0.501500000000 0.501500000000 0.000000000000");
    assert_eq!(rows[1], "credits bob@acme.com 0.200000000000 0.125750000000 0.074250000000");
    assert_eq!(rows[2], "credits cat@acme.com 1.000000000000 0.000000000000 1.000000000000");
    assert!(differs.stderr.contains("credits are compared by day, user, on 1 days"), "{differs}");
    statements(&env);
}

/// What statements say of the same month.
fn statements(env: &TestEnv) {
    let _ = env.run(&["chargeback", "-p", "2026-11", "--out", "out"]).ok();
    let page = |start: &str| {
        let files = std::fs::read_dir(env.work().join("out")).unwrap().flatten();
        let name = |file: &std::fs::DirEntry| file.file_name().into_string().unwrap();
        let file =
            files.into_iter().find(|file| name(file).starts_with(start) && name(file).ends_with(".html")).unwrap();
        std::fs::read_to_string(file.path()).unwrap()
    };
    let says = |page: &str, what: &str, how_much: &str| {
        let row = format!("<tr><td>{what}</td><td class=\"n\">{how_much}</td></tr>");
        assert!(page.contains(&row), "{row}\n{page}");
    };
    let all = page("index");
    assert!(all.contains("<h2>ChatGPT workspace acme, as billed</h2>"));
    says(&all, "Seats", "5");
    says(&all, "… users with observed usage", "2");
    says(
        &all,
        "… users of the workspace&#39;s export of whom nothing was observed".replace("&#39;", "'").as_str(),
        "1",
    );
    says(&all, "… idle seats, used by nobody", "2");
    says(&all, "Credits drawn", "1.70 credits");
    says(&all, "… of these not observed", "1.07 credits");
    says(&all, "Idle seats", "40.00 USD");
    says(&all, "Effective rate per credit, all that was billed", "122.98 USD / 1.70 = 72.280341 USD");
    says(&all, "… without seats", "22.98 USD / 1.70 = 13.508669 USD");
    says(&all, "For comparison: the observed usage on the API list", "0.03 USD, not billed");
    let search = page("team-search");
    says(&search, "Credits drawn", "0.50 credits");
    says(&search, "Seats in use", "20.00 USD");
    says(&search, "For comparison: the observed usage on the API list", "0.02 USD, not billed");
    assert!(!search.contains("Effective rate"));
    // Only the provider knows of her.
    says(&page("team-design"), "… of these not observed", "1.00 credits");
}

#[test]
fn weights_of_the_configuration_are_needed_and_used() {
    let env = TestEnv::new();
    configure(&env, "channel = \"api\"\n", TEAMS);
    let _ = import(&env, "costs.json", costs("1").as_bytes(), &[]).ok();
    let allocate = || env.run(&["billing", "allocate", "-p", "2026-11", "--method", "fixed", "--format", "csv"]);
    assert!(allocate().fails(2).stderr.contains("fixed = { TEAM = 1 } below [billing]"));
    configure(&env, "channel = \"api\"\n[billing]\nfixed = { a = 2, b = 1 }\n", TEAMS);
    let rows = lines(&allocate().ok().stdout, &["method", "class", "team", "amount"]);
    assert_eq!(rows, ["fixed allocated a 0.666666666667", "fixed allocated b 0.333333333333"]);
    configure(&env, "[billing]\nmethod = \"fixed\"\n", TEAMS);
    assert!(allocate().fails(1).stderr.contains("unknown field `method`"));
}

#[test]
fn a_sealed_month_is_spread_as_it_was_sealed_and_compared_as_it_is_known() {
    let env = TestEnv::new();
    configure(&env, "channel = \"api\"\n", TEAMS);
    // A month that has ended.
    let october = |n: u64, user: &str, inputs: &[u64]| {
        used(&env, n, user, inputs);
        let path = Transcript::new(n).path(&env);
        let text = std::fs::read_to_string(&path).unwrap().replace("2026-11-21T", "2026-10-21T");
        std::fs::write(path, text).unwrap();
    };
    let bill = [DAY, DAY + 86_400]
        .iter()
        .fold(costs("0.02509"), |text, time| text.replace(&time.to_string(), &(time - 31 * 86_400).to_string()));
    october(1, "ann", &[3000, 1000]);
    let _ = import(&env, "costs.json", bill.as_bytes(), &[]).ok();
    let _ = env.run(&["ledger", "seal", "-p", "2026-10", "--now"]).ok();
    let allocate = || env.run(&["billing", "allocate", "-p", "2026-10", "--format", "csv"]).ok().stdout;
    let before = allocate();
    assert!(lines(&before, &["class"]).contains(&"not_observed".to_string()), "{before}");
    let _ = env.run(&["reconcile", "-p", "2026-10"]).fails(1);
    // What comes late is a correction of the next month, and explains the bill of this one.
    october(2, "bob", &[1000]);
    assert_eq!(allocate(), before);
    let said = env.run(&["billing", "allocate", "-p", "2026-10", "--format", "csv"]).ok().stderr;
    assert!(said.contains("made from: seal ") && said.contains(", files "), "{said}");
    let late = env.run(&["reconcile", "-p", "2026-10"]).ok();
    assert!(late.stdout.contains("USD: billed 0.025090000000, observed 0.025090000000: they are equal"), "{late}");
    assert_eq!(allocate(), before);
}

#[test]
fn the_order_of_imports_changes_nothing() {
    let invoice = "invoice,line,kind,from,to,amount,currency\nI,1,tax,2026-11-01,2026-11-30,0.007,USD\n";
    let files = [
        ("usage.json", usage(5000, 3, "default")),
        ("costs.json", costs("0.02509")),
        ("again.json", costs("0.02509") + "\n"),
        ("invoice.csv", invoice.to_string()),
    ];
    let made = |order: [usize; 4]| {
        let env = TestEnv::new();
        configure(&env, "channel = \"api\"\n", TEAMS);
        used(&env, 1, "ann", &[3000, 1000]);
        used(&env, 2, "bob", &[1000]);
        for n in order {
            let _ = import(&env, files[n].0, files[n].1.as_bytes(), &[]).ok();
        }
        let allocated = env.run(&["billing", "allocate", "-p", "2026-11", "--format", "csv"]).ok().stdout;
        (allocated, env.run(&["reconcile", "-p", "2026-11", "--format", "csv"]).ok().stdout)
    };
    let first = made([0, 1, 2, 3]);
    assert!(first.0.contains("0.005596652053") && first.0.lines().count() == 5, "{}", first.0);
    assert_eq!(made([3, 2, 0, 1]), first);
    assert_eq!(made([1, 3, 2, 0]), first);
}
