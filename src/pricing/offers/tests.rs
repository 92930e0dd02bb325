//! Numbers are exact or refused, and each format is read as it is meant.

use super::*;

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_string()).unwrap()
}

#[test]
fn numbers_are_exact_or_refused() {
    for (text, digits, value) in [
        ("1.25e-06", 12, 1_250_000),
        ("1e-07", 12, 100_000),
        ("2.50E-6", 12, 2_500_000),
        ("0.000005", 12, 5_000_000),
        ("5e-12", 12, 5),
        ("3", 6, 3_000_000),
        ("0.075", 6, 75_000),
        ("10.0", 6, 10_000_000),
        ("1e1", 6, 10_000_000),
        ("0", 6, 0),
        ("0.0e5", 6, 0),
        ("0.0000000", 6, 0),
    ] {
        assert_eq!(exact(&raw(text), digits), Ok(value), "{text}");
    }
    for (text, says) in [
        ("1.2499999999999999e-06", "more digits"),
        ("1e-13", "more digits"),
        ("5e-12345", "more digits"),
        ("1e300", "too large"),
        ("9e7", "too large"),
        ("1e99999999", "out of range"),
        ("-1e-6", "not a number of 0 or more"),
        ("\"1e-6\"", "not a number"),
        ("null", "not a number"),
        ("{}", "not a number"),
    ] {
        let error = exact(&raw(text), 12).unwrap_err();
        assert!(error.contains(says), "{text}: {error}");
    }
}

fn read(text: &str) -> Offers {
    Offers::read(text.as_bytes(), Day::parse("2026-11-22").unwrap()).unwrap()
}

const SHORT: (ServiceTier, bool) = (ServiceTier::Standard, false);

#[test]
fn what_is_not_understood_is_left_out_with_the_reason() {
    let good = r#""good": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06}"#;
    for (fields, says) in [
        (r#""input_cost_per_token": 0.0, "output_cost_per_token": 2e-06"#, "a price of 0"),
        (r#""input_cost_per_token": 1.00000000000001e-06"#, "more digits"),
        (r#""input_cost_per_token": 1e-06, "input_cost_per_audio_token": 1e-05"#, "not text"),
        (r#""output_cost_per_token": 1e-06, "output_cost_per_reasoning_token": 2e-06"#, "reasoning"),
        (
            r#""input_cost_per_token_above_272k_tokens": 1e-06, "output_cost_per_token_above_200k_tokens": 1e-06"#,
            "two sizes",
        ),
    ] {
        let text = format!(r#"{{{good}, "odd": {{"litellm_provider": "openai", "mode": "responses", {fields}}}}}"#);
        let offers = read(&text);
        assert_eq!((offers.len(), offers.format), (1, "litellm"), "{fields}");
        assert!(offers.skipped["odd"].contains(says), "{fields}: {}", offers.skipped["odd"]);
    }
    // Prices that are missing are no price of 0, and other providers are not OpenAI.
    let others = r#""chatgpt/a": {"litellm_provider": "chatgpt", "mode": "responses"}, "b": {"litellm_provider": "openai", "mode": "chat"}"#;
    let offers = read(&format!("{{{good}, {others}}}"));
    assert_eq!((offers.len(), offers.skipped.len()), (1, 0));

    for (cost, says) in [
        (r#"{"input": 1, "output": 2, "context_over_200k": {"input": 2}}"#, "old form"),
        (
            r#"{"input": 1, "output": 2, "tiers": [{"input": 2, "tier": {"type": "time", "size": 1}}]}"#,
            "prices by time",
        ),
        (r#"{"input": 1, "output": 2, "reasoning": 3}"#, "reasoning"),
    ] {
        let good = r#""good": {"cost": {"input": 1, "output": 2}, "experimental": true}"#;
        let offers = read(&format!(r#"{{"openai": {{"models": {{{good}, "odd": {{"cost": {cost}}}}}}}}}"#));
        assert_eq!((offers.len(), offers.format), (1, "models.dev"));
        assert!(offers.skipped["odd"].contains(says), "{cost}: {}", offers.skipped["odd"]);
    }
    for text in ["", "{}", "[]", "[1]", "{\"a\": 1}", "<html>", "[{\"id\": \"openai\", \"models\": []}]"] {
        assert!(Offers::read(text.as_bytes(), Day::parse("2026-11-22").unwrap()).is_err(), "{text}");
    }
}

#[test]
fn prices_from_a_day_on_hold_from_that_day_on() {
    let text = r#"[{"id": "azure", "models": 5}, {"id": "openai", "models": [{"id": "m", "match": {"or": [{"equals": "m"},
        {"equals": "n"}, {"regex": "^m-"}]}, "prices": [{"prices": {"input_mtok": 3, "output_mtok": 9}},
        {"constraint": {"start_date": "2026-11-22"}, "prices": {"input_mtok": 2, "output_mtok": 8}},
        {"constraint": {"start_date": "2026-11-23"}, "prices": {"input_mtok": 1, "output_mtok": 7}}],
        "price_variants": [{"when": {"service_tier": "fast"}, "prices": {"input_mtok": 4, "output_mtok": 16}},
        {"when": {"service_tier": "priority"}, "constraint": {"start_date": "2027-01-01"}, "prices": {"input_mtok": 9}}]}]}]"#;
    let offers = read(text);
    let m = &offers.models["m"];
    assert_eq!(m.rows[&SHORT], [Some(2_000_000), None, None, Some(8_000_000)]);
    assert_eq!(m.rows[&(ServiceTier::Priority, false)][0], Some(4_000_000));
    assert_eq!((m.since, m.by_alias), (Day::parse("2026-11-22"), false));
    let n = &offers.models["n"];
    assert_eq!((n.rows.len(), n.by_alias), (1, true), "another name has no tiers of its own");
    let daily = text.replace("start_date\": \"2026-11-22", "start_time\": \"01:00");
    assert!(
        read(
            &daily
                .replace("\"id\": \"m\"", "\"id\": \"x\"")
                .replace("}]}]}]", "}]}, {\"id\": \"ok\", \"prices\": {\"input_mtok\": 1}}]}]")
        )
        .skipped["x"]
            .contains("time of day")
    );
}
