//! The demo: what it prints must be the truth of its captures.

use crate::support::TestEnv;
use serde_json::Value;
use std::path::Path;

/// The truth of a bundled capture.
fn expected(capture: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/demo").join(capture).join("expected.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Sums a field of amounts (12 digits after the point) without floating point.
fn pico(values: &[Value], field: &str) -> u128 {
    let digits = |v: &Value| v[field].as_str().unwrap_or("0.000000000000").replace('.', "").parse::<u128>().unwrap();
    values.iter().map(digits).sum()
}

#[test]
fn the_demo_prints_the_truth_and_leaves_the_csv() {
    let env = TestEnv::new();
    let dir = env.root().join("demo");
    let out = env.run(&["demo", "--dir", dir.to_str().unwrap()]).ok();

    #[cfg(feature = "grpc")]
    assert!(out.stderr.contains("6 OTLP requests of real sessions were sent over HTTP and 3 over gRPC"), "{out}");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/demo");
    let captures: Vec<Value> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| expected(entry.unwrap().file_name().to_str().unwrap()))
        .collect();
    assert_eq!(captures.len(), 4);
    let meta: Value = serde_json::from_slice(&std::fs::read(dir.join("cost-2026-11.csv.meta.json")).unwrap()).unwrap();
    let totals = &meta["totals"];
    for field in
        ["responses", "input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens"]
    {
        let truth: u64 = captures.iter().map(|c| c[field].as_u64().unwrap()).sum();
        assert_eq!(totals[field], truth, "{field}");
    }
    for field in ["list_usd", "chatgpt_credits", "api_equivalent_usd"] {
        assert_eq!(pico(std::slice::from_ref(totals), field), pico(&captures, field), "{field}");
    }

    // The totals line of the printed report: 13 responses, the sum of the amounts in 4 digits.
    let total = out.stdout.lines().find(|l| l.trim_start().starts_with("total")).expect("a line of totals");
    for shown in ["193,600", "2,210", "0.4410", "0.3638", "0.0146"] {
        assert!(total.contains(shown), "`{shown}` in: {total}");
    }
    assert!(out.stdout.contains("session 01a1fbc1-b2d8-74a2-955e-70a1f37fabfe"), "{out}");
    assert!(out.stdout.contains("0.0799 USD at list"), "{out}");
    assert!(out.stdout.contains(dir.join("cost-2026-11.csv").to_str().unwrap()), "{out}");

    // The folder can be looked around in, and a second demo does not write into it.
    let home = dir.join("home");
    let sessions = env
        .run(&["--home", home.to_str().unwrap(), "report", "session", "--no-import", "--format", "json"])
        .ok()
        .json();
    assert_eq!(sessions["rows"].as_array().unwrap().len(), 4);
    assert!(env.run(&["demo", "--dir", dir.to_str().unwrap()]).fails(1).stderr.contains("cannot create"));
}
