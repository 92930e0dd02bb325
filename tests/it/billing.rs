//! What was billed: files of all kinds are stored once, and a later word on the same thing takes the place of the earlier one.

#[cfg(feature = "remote")]
mod fetch;
mod kept;
mod months;
mod once;
mod shared;

use crate::support::env::Output;
use crate::support::{TestEnv, fixture};
use serde_json::Value;

/// Writes a file into the working folder and imports it.
fn import(env: &TestEnv, name: &str, bytes: &[u8], args: &[&str]) -> Output {
    std::fs::write(env.work().join(name), bytes).unwrap();
    env.run(&[&["billing", "import"], args, &[name]].concat())
}

fn import_fixture(env: &TestEnv, name: &str) -> Output {
    import(env, name, &fixture(&format!("billing/{name}")), &[])
}

fn rows(env: &TestEnv) -> Vec<Value> {
    let list = env.run(&["billing", "list", "--format", "json"]).ok().json();
    list["rows"].as_array().unwrap().clone()
}

/// The rows that have a standing, by some of their columns.
fn standing(env: &TestEnv, standing: &str, columns: &[&str]) -> Vec<String> {
    let of = |row: &Value| {
        let cell = |c: &&str| match &row[*c] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        columns.iter().map(cell).collect::<Vec<_>>().join(" ")
    };
    rows(env).iter().filter(|row| row["standing"] == standing).map(of).collect()
}

#[test]
fn pages_of_the_usage_api_are_read() {
    let env = TestEnv::new();
    let said = import_fixture(&env, "usage.json").ok().stderr;
    assert!(said.contains("usage.json: 2 rows, usage of openai, 2026-11-01 to 2026-11-01"), "{said}");
    assert!(said.contains("fields that are not used: input_audio_tokens (1), output_audio_tokens (1)"), "{said}");
    let columns = ["project", "api_key", "model", "tier", "input_tokens", "cached_input_tokens", "cache_write_tokens"];
    assert_eq!(
        standing(&env, "tokens", &columns),
        ["proj_a key_1 gpt-6.1-sol standard 12000 4096 500", "proj_b key_2 gpt-6.1-sol priority 1000 0 0"]
    );
}

#[test]
fn amounts_are_read_digit_by_digit() {
    let env = TestEnv::new();
    let said = import_fixture(&env, "costs.json").ok().stderr;
    assert!(said.contains("3 rows, costs of org-acme, 2026-11-01 to 2026-11-02"), "{said}");
    assert!(said.contains("1 amounts have more than 12 digits"), "{said}");
    assert_eq!(
        standing(&env, "counted", &["from", "line_item", "amount", "currency"]),
        [
            "2026-11-01 gpt-6.1-sol, input 0.019967600000 USD",
            "2026-11-01 gpt-6.1-sol, output 0.130804383403 USD",
            "2026-11-02 gpt-6.1-sol, input 0.000010000000 USD",
        ]
    );
}

#[test]
fn credits_of_a_workspace_are_read_from_json_and_csv() {
    let env = TestEnv::new();
    let said = import_fixture(&env, "workspace.json").ok().stderr;
    assert!(said.contains("clients (1)") && said.contains("totals.text_total_tokens (1)"), "{said}");
    let columns = ["from", "user", "email", "credits", "input_tokens", "cached_input_tokens", "output_tokens"];
    let first = [
        "2026-11-01 wsu_1 ann@acme.com 12.500000000000 100000 20000 5000",
        "2026-11-01 wsu_2 bob@acme.com 3.000000000000 1500 500 30",
    ];
    assert_eq!(standing(&env, "counted", &columns), first);
    // The dashboard's export of one of the rows, and of another day: the first is the same row.
    let refused = import_fixture(&env, "workspace.csv").fails(1).stderr;
    assert!(refused.contains("1 stored rows of the same days or invoices are not in it"), "{refused}");
    let said = import(&env, "workspace.csv", &fixture("billing/workspace.csv"), &["--part"]).ok().stderr;
    assert!(said.contains("0 were there and say the same, 1 say something else"), "{said}");
    assert_eq!(standing(&env, "counted", &["from", "user", "credits"]).len(), 3);
    assert_eq!(standing(&env, "superseded", &["from", "user", "credits"]), ["2026-11-01 wsu_1 12.500000000000"]);
}

#[test]
fn usage_on_an_invoice_is_counted_once_where_its_details_are_there() {
    let env = TestEnv::new();
    let _ = import_fixture(&env, "invoice.csv").ok();
    let amounts = |env: &TestEnv| standing(env, "counted", &["invoice", "kind", "amount", "currency"]);
    assert_eq!(amounts(&env).len(), 6);
    let list = env.run(&["billing", "list", "--format", "json"]).ok().json();
    let notes = list["notes"].to_string();
    assert!(
        notes.contains("acme: 140.000000000000 USD counted") && notes.contains("acme: 10.000000000000 EUR"),
        "{notes}"
    );
    assert!(notes.contains("acme: 1000.000000000000 credits (credit_pack) counted"), "{notes}");
    // Costs of two days of the month are a part of what the invoice has.
    let _ = import_fixture(&env, "costs.json").ok();
    assert_eq!(amounts(&env).len(), 6);
    assert_eq!(standing(&env, "detailed", &["source", "superseded_by"]), ["costs invoice"; 3]);
    // Costs of the whole month are all of it.
    let bucket = |from: u64, to: u64| {
        let result = r#"{"object":"organization.costs.result","amount":{"value":0.1,"currency":"usd"},"organization_id":"org-acme"}"#;
        let results = if from == 1_793_664_000 { result } else { "" };
        format!(r#"{{"object":"bucket","start_time":{from},"end_time":{to},"results":[{results}]}}"#)
    };
    let days: Vec<String> =
        (2..30).map(|day| bucket(1_793_491_200 + day * 86_400, 1_793_491_200 + (day + 1) * 86_400)).collect();
    let _ = import(&env, "rest.jsonl", days.join("\n").as_bytes(), &[]).ok();
    assert_eq!(standing(&env, "detailed", &["invoice", "kind"]), ["INV-1047 usage"]);
    assert_eq!(standing(&env, "counted", &["source"]).iter().filter(|source| *source == "costs").count(), 4);
    // Also where a month has none of the details.
    let both = "invoice,line,kind,from,to,account,amount,currency\nI-2,1,usage,2026-10-31,2026-11-30,org-acme,1,USD\n";
    let _ = import(&env, "both.csv", both.as_bytes(), &[]).ok();
    assert_eq!(standing(&env, "detailed", &["source"]).iter().filter(|source| *source == "costs").count(), 4);
    // And the other invoice's row, whose details are counted by this one, is no longer told by them.
    assert_eq!(standing(&env, "detailed", &["source", "superseded_by"]), ["costs invoice"; 4]);
    let october = env.run(&["billing", "list", "-p", "2026-10", "--format", "json"]).ok().json();
    let _ = import(
        &env,
        "more.jsonl",
        (bucket(1_793_404_800, 1_793_491_200) + &bucket(1_793_664_000, 1_793_750_400)).as_bytes(),
        &[],
    )
    .ok();
    let later = env.run(&["billing", "list", "-p", "2026-10", "--format", "json"]).ok().json();
    let of_invoice = |list: &Value| {
        let rows = list["rows"].as_array().unwrap().clone();
        rows.iter().find(|row| row["invoice"] == "I-2").map(|row| row["standing"].clone()).unwrap()
    };
    assert_eq!((of_invoice(&october), of_invoice(&later)), ("counted".into(), "detailed".into()));
}

#[test]
fn importing_again_adds_nothing_and_the_newest_word_counts() {
    let env = TestEnv::new();
    let usage = String::from_utf8(fixture("billing/usage.json")).unwrap();
    let _ = import(&env, "a.json", usage.as_bytes(), &[]).ok();
    let before = rows(&env);
    let again = import(&env, "b.json", usage.as_bytes(), &[]).ok().stderr;
    assert!(again.contains("imported before") && again.contains("as a.json (2 rows); nothing was added"), "{again}");
    assert_eq!(rows(&env), before);
    // The same rows in another file, one of them with later figures.
    let later = usage.replace("\"output_tokens\": 50", "\"output_tokens\": 70") + "\n";
    let said = import(&env, "later.json", later.as_bytes(), &[]).ok().stderr;
    assert!(said.contains("1 were there and say the same, 1 say something else"), "{said}");
    let output = |name: &str| standing(&env, name, &["project", "output_tokens"]);
    assert_eq!(output("tokens"), ["proj_a 350", "proj_b 70"]);
    assert_eq!(output("superseded"), ["proj_a 350", "proj_b 50"]);
    // Other groups of the same day could count twice.
    let grouped = usage.replace("\"project_id\": \"proj_b\"", "\"project_id\": null");
    let refused = import(&env, "grouped.json", grouped.as_bytes(), &[]).fails(1).stderr;
    assert!(
        refused.contains("1 stored rows") && refused.contains("--whole") && refused.contains("--part"),
        "{refused}"
    );
    assert_eq!(output("tokens").len(), 2);
    let said = import(&env, "grouped.json", grouped.as_bytes(), &["--whole"]).ok().stderr;
    assert!(said.contains("1 rows of earlier files are not in it and no longer count"), "{said}");
    assert_eq!(output("tokens"), ["null 50", "proj_a 350"]);
    // What is removed no longer supersedes.
    let files = env.run(&["billing", "list", "--files", "--format", "json"]).ok().json();
    let hash = files["rows"][2]["file"].as_str().unwrap().to_string();
    assert_eq!(files["rows"][0]["superseded_rows"], 2);
    let _ = env.run(&["billing", "remove", &hash[..12]]).ok();
    assert_eq!(output("tokens"), ["proj_a 350", "proj_b 70"]);
    assert!(env.run(&["billing", "remove", &hash]).fails(1).stderr.contains("billing list --files"));
}

#[test]
fn a_file_with_a_bad_row_is_refused_whole() {
    let env = TestEnv::new();
    let usage = String::from_utf8(fixture("billing/usage.json")).unwrap();
    let invoice = String::from_utf8(fixture("billing/invoice.csv")).unwrap();
    for (name, text, says) in [
        ("a.json", usage.replace("7404", "7405"), "row 1 (2026-11-01): its kinds of input tokens do not add up"),
        (
            "b.json",
            usage.replace("\"output_tokens\": 50", "\"output_tokens\": 5.5"),
            "row 2 (2026-11-01): output_tokens: `5.5`",
        ),
        (
            "c.json",
            usage.replace("proj_b", "proj_a").replace("key_2", "key_1").replace("priority", "default"),
            "row 2: row 1 is the same",
        ),
        (
            "d.json",
            usage.replace("completions.result", "embeddings.result"),
            "`organization.usage.embeddings.result` is not read",
        ),
        ("e.json", "{\"a\": 1}".to_string(), "docs/billing.md has what can be read"),
        ("f.json", usage[..usage.len() - 20].to_string(), "document 1 is no JSON"),
        ("g.csv", invoice.replace("0.15,USD", "0.15,"), "line 2: amount has no currency"),
        ("h.csv", invoice.replace("-0.01", "0.01"), "line 3: a discount is below 0"),
        ("i.csv", invoice.replace("INV-77,2", "INV-77,1"), "row 6: row 5 is the same one"),
        ("j.csv", invoice.replace("account,", "acount,"), "line 1: unknown column `acount`"),
        ("k.csv", invoice.replace("seat,", "chair,"), "line 5: kind: `chair` is none of usage, seat, credit_pack"),
        ("l.csv", "a,b\n1,2\n".to_string(), "neither the columns of an invoice"),
        ("m.csv", String::new(), "it is empty"),
    ] {
        let out = import(&env, name, text.as_bytes(), &[]).fails(1);
        assert!(out.stderr.contains(says), "{name}: {out}");
    }
    assert!(rows(&env).is_empty());
    assert!(env.run(&["billing", "import", "missing.json"]).fails(1).stderr.contains("missing.json: cannot read it"));
}
