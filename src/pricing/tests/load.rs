//! Broken price files: each check can fail, and says where and what to do.

use super::super::PriceBook;
use super::day;

/// A small book that loads.
const GOOD: &str = r#"
format = 1
provider = "test"
as_of = "2026-01-31"
[sources]
A = "a page"
[aliases]
"short-name" = "m"
[[fee]]
name = "call"
usd_per_1k_calls = "3"
sources = ["A"]
[[model]]
name = "m"
[[model.usd]]
effective_from = "2026-01-01"
guaranteed_through = "2026-06-01"
sources = ["A"]
tier_from = { flex = "2026-01-15" }
long_above = 1000
[model.usd.short]
standard = { input = "2", cached = "0.5", write = "2.5", output = "8" }
flex = { input = "1", output = "4" }
[model.usd.long]
standard = { input = "4", output = "16" }
[[model.usd]]
effective_from = "2026-02-01"
sources = ["A"]
[model.usd.short]
standard = { input = "3", output = "9" }
[[model.credits]]
effective_from = "2026-01-01"
sources = ["A"]
rates = { input = "1", cached = "0.000001", output = "5" }
fast_multiplier = "2"
[[unpriced]]
name = "none"
reason = "nobody sells it"
"#;

#[test]
fn the_good_book_loads() {
    let book = PriceBook::parse(GOOD).unwrap();
    assert_eq!(book.models().collect::<Vec<_>>(), ["m"]);
    assert_ne!(book.hash(), PriceBook::parse(&GOOD.replace("a page", "b page")).unwrap().hash());
}

#[test]
fn every_check_can_fail() {
    let late = ("effective_from = \"2026-02-01\"", "effective_from = \"2025-12-01\"");
    let cases: &[(&str, &str, &str)] = &[
        ("format = 1", "format = 2", "file: format 2 is not known"),
        ("as_of = \"2026-01-31\"", "as_of = \"2026-1-31\"", "file: as_of `2026-1-31` is not a day"),
        ("provider =", "colour = 1\nprovider =", "unknown field `colour`"),
        ("output = \"9\"", "output = 9", "expected a string"),
        ("output = \"9\"", "output = \"-9\"", "model m, usd, period 2026-02-01, standard: output `-9` is negative"),
        ("\"9\"", "\"0.0000001\"", "needs more than 6 digits after the point; write an exact decimal"),
        ("\"9\"", "\"9e3\"", "is not a plain decimal number"),
        ("\"9\"", "\"99999999999999\"", "is too large"),
        ("\"0.5\"", "\"2.1\"", "period 2026-01-01, standard: cached input costs more than input"),
        ("write = \"2.5\"", "write_12h = \"x\"", "write_12h: `x` is not"),
        ("flex = { input", "turbo = { input", "unknown tier `turbo`; use standard"),
        ("flex = { input", "fast = { input", "unknown tier `fast`; use standard"),
        ("standard = { input = \"3\"", "flex = { input = \"3\"", "has no standard rates"),
        ("{ flex = \"2026-01-15\" }", "{ batch = \"2026-01-15\" }", "names the tier batch, which has no rates"),
        ("{ flex = \"2026-01-15\" }", "{ flex = \"2025-12-31\" }", "tier_from of flex is before the period"),
        ("{ flex = \"2026-01-15\" }", "{ flex = \"2026-02-01\" }", "tier_from of flex is after the period's end"),
        ("{ flex = \"2026-01-15\" }", "{ flex = \"soon\" }", "tier_from `soon` is not a day"),
        ("long_above = 1000", "long_above = 0", "long_above is 0"),
        ("long_above = 1000", "", "has `long` rates without long_above"),
        (late.0, late.1, "model m, usd, period 2025-12-01: comes after the period of 2026-01-01"),
        (late.0, "effective_from = \"2026-01-01\"", "two periods begin on this day"),
        (late.0, "effective_from = \"2026-02-30\"", "`2026-02-30` is not a day"),
        ("\"2026-06-01\"", "\"2025-06-01\"", "guaranteed_through 2025-06-01 is before the period"),
        ("sources = [\"A\"]\ntier_from", "tier_from", "period 2026-01-01: no source"),
        ("sources = [\"A\"]\nrates", "sources = []\nrates", "model m, credits, period 2026-01-01: no source"),
        ("sources = [\"A\"]\nrates", "sources = [\"B\"]\nrates", "unknown source `B`; add it"),
        ("fast_multiplier = \"2\"", "fast_multiplier = \"2.5\"", "fast_multiplier gives rates with more than 6 digits"),
        ("name = \"m\"", "name = \"m\"\nno_credits = \"why\"", "has credit rates and a reason for having none"),
        ("name = \"m\"", "name = \"M\"", "model M: the name `M` must be lower case"),
        ("[[unpriced]]", "[[model]]\nname = \"n\"\n[[unpriced]]", "model n: has no period"),
        ("name = \"none\"", "name = \"m\"", "unpriced m: also listed as a model"),
        ("\"short-name\" = \"m\"", "\"none\" = \"m\"", "alias none: hides a model of the same name"),
        ("\"short-name\" = \"m\"", "\"m\" = \"m\"", "alias m: hides a model"),
        ("\"short-name\" = \"m\"", "\"a\" = \"x\"", "alias a: points to `x`, which is no model"),
        ("\"short-name\" = \"m\"", "\"a\" = \"b\"\n\"b\" = \"a\"", "alias a: points to the alias `b`"),
        ("usd_per_1k_calls = \"3\"", "usd_per_1k_calls = \"0.0000000001\"", "fee call: usd_per_1k_calls:"),
    ];
    for (from, to, message) in cases {
        let broken = GOOD.replacen(from, to, 1);
        assert_ne!(broken, GOOD, "`{from}` is not in the file");
        let error = PriceBook::parse(&broken).expect_err(message).to_string();
        assert!(error.contains(message), "expected: {message}\nbut: {error}");
    }
}

#[test]
fn what_is_listed_twice_is_refused() {
    let again = "[[unpriced]]\nname = \"none\"\nreason = \"again\"\n";
    let error = PriceBook::parse(&format!("{GOOD}{again}")).unwrap_err().to_string();
    assert!(error.contains("unpriced none: listed twice"), "{error}");
    let model = &GOOD[GOOD.find("[[model]]").unwrap()..GOOD.find("[[unpriced]]").unwrap()];
    let error = PriceBook::parse(&format!("{GOOD}{model}")).unwrap_err().to_string();
    assert!(error.contains("model m: listed twice"), "{error}");
}

#[test]
fn odd_prices_are_found() {
    let odd = |from: &str, to: &str| {
        let book = PriceBook::parse(&GOOD.replacen(from, to, 1)).unwrap();
        book.check(day("2026-01-31")).iter().map(|f| f.to_string()).collect::<Vec<_>>().join("\n")
    };
    assert!(!odd("", "").contains("error"));
    assert!(
        odd("flex = { input = \"1\"", "flex = { input = \"3\"").contains("error: m: USD from 2026-01-01: the flex")
    );
    assert!(odd("standard = { input = \"4\"", "standard = { input = \"1\"").contains("long input costs less"));
    assert!(odd("write = \"2.5\"", "write = \"1.5\"").contains("a cache write costs less than input"));
}
