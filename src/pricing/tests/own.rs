//! A user's own price file: what it adds, and what it may not do.

use super::super::PriceBook;
use super::{day, usage0};
use crate::model::{Channel, Priced, ServiceTier, Unpriced};

const OWN: &str = r#"
format = 1
provider = "Corp-Gateway"
providers = ["corp-eu"]
as_of = "2026-11-01"
[sources]
OURS = "contract 17 of 2026-01-01"
[aliases]
"corp-large" = "gpt-5.5"
[[model]]
name = "corp-coder"
[[model.usd]]
effective_from = "2026-01-01"
sources = ["OURS"]
short.standard = { input = "1", cached = "0.1", output = "2" }
[[unpriced]]
name = "corp-secret"
reason = "no public list"
[[contract]]
name = "gpt-5.5"
[[contract.usd]]
effective_from = "2026-10-01"
sources = ["OURS"]
long_above = 272000
short.standard = { input = "4", cached = "0.4", output = "24" }
[[contract]]
name = "corp-secret"
[[contract.usd]]
effective_from = "2026-01-01"
sources = ["OURS"]
short.standard = { input = "3", output = "3" }
"#;

fn priced(model: &str, tier: &str, at: &str, input: u64) -> Priced {
    let book = PriceBook::builtin().with_own(OWN).unwrap();
    book.price(Channel::Api, Some(model), &ServiceTier::from_wire(Some(tier)), day(at), &usage0(input, 0, 0))
}

#[test]
fn a_file_adds_models_names_and_a_contract_beside_the_list() {
    let amounts = |p: &Priced| [p.list, p.contract].map(|a| a.map_or("-".into(), |a| a.to_string()));
    let at = "2026-11-21";
    for (model, tier, at, input, expected, uncontracted) in [
        ("gpt-5.5", "", at, 1_000, ["0.005000000000 USD", "0.004000000000 USD"], false),
        ("corp-large", "", at, 1_000, ["0.005000000000 USD", "0.004000000000 USD"], false),
        ("openai/gpt-5.5-2026-04-23", "", at, 1_000, ["0.005000000000 USD", "0.004000000000 USD"], false),
        ("gpt-5.5", "", "2026-09-30", 1_000, ["0.005000000000 USD", "-"], true),
        ("gpt-5.5", "flex", at, 1_000, ["0.002500000000 USD", "-"], true),
        ("gpt-5.5", "", at, 300_000, ["3.000000000000 USD", "-"], true),
        ("corp-coder", "", at, 1_000, ["0.001000000000 USD", "-"], true),
        ("corp-secret", "", at, 1_000, ["-", "0.003000000000 USD"], false),
    ] {
        let p = priced(model, tier, at, input);
        assert_eq!((amounts(&p), p.uncontracted), (expected.map(String::from), uncontracted), "{model} {tier} {at}");
    }
    assert_eq!(priced("corp-secret", "", at, 1).unpriced, Some(Unpriced::UnknownModel("corp-secret".into())));
    let book = PriceBook::builtin().with_own(OWN).unwrap();
    let credits = book.price(Channel::Chatgpt, Some("gpt-5.5"), &ServiceTier::Standard, day(at), &usage0(1, 0, 0));
    assert_eq!((credits.contract, credits.uncontracted), (None, false), "a contract is about API usage");
    assert_eq!(book.providers().iter().map(String::as_str).collect::<Vec<_>>(), ["corp-eu", "corp-gateway"]);
    assert_ne!(book.hash(), PriceBook::builtin().hash());
    assert!(
        !PriceBook::builtin()
            .price(Channel::Api, Some("gpt-5.5"), &ServiceTier::Standard, day(at), &usage0(1, 0, 0))
            .uncontracted
    );
}

#[test]
fn a_file_may_not_contradict_the_list() {
    for (from, to, says) in [
        ("name = \"corp-coder\"", "name = \"gpt-5.6\"", "as a name of gpt-5.6-sol"),
        ("\"corp-large\" =", "\"corp-coder\" =", "alias corp-coder: hides a model"),
        ("= \"gpt-5.5\"\n[[model]]", "= \"gpt-99\"\n[[model]]", "which is no model with prices"),
        ("[[contract]]\nname = \"gpt-5.5\"", "[[contract]]\nname = \"gpt-5,5\"", "contract gpt-5,5: no such model"),
        (
            "[[contract]]\nname = \"gpt-5.5\"",
            "[[contract]]\nname = \"gpt-5.5-2026-04-23\"",
            "as a name of gpt-5.5; write the contract of that",
        ),
        ("[[contract]]\nname = \"gpt-5.5\"", "[[contract]]\nname = \"corp-secret\"", "listed twice"),
        ("[[contract]]\nname = \"gpt-5.5\"", "[[contract]]\nno_credits = \"x\"\nname = \"gpt-5.5\"", "are in USD"),
        ("OURS = ", "LL = \"x\"\nOURS = ", "source LL: the built-in list uses this key"),
        ("providers = [", "providers = [\"\", ", "a provider's name is empty"),
        ("format = 1", "format = 2", "format 2 is not known"),
    ] {
        let text = OWN.replacen(from, to, 1);
        assert_ne!(text, OWN, "{from}");
        let error = PriceBook::builtin().with_own(&text).unwrap_err().to_string();
        assert!(error.contains(says), "{to}: {error}");
    }
}

#[test]
fn where_the_list_knows_better_a_file_is_passed_over_and_that_is_said() {
    let tokens = usage0(1_000, 100, 10);
    let secret = ("[[contract]]\nname = \"corp-secret\"", "[[contract]]\nname = \"gpt-5.4\"");
    for (from, to, says) in [
        (
            "name = \"corp-coder\"",
            "name = \"gpt-5.4\"",
            "gpt-5.4: the usd price from 2026-01-01 is passed over: the built-in",
        ),
        ("\"corp-large\" =", "\"gpt-5.4\" =", "alias gpt-5.4: is passed over"),
        ("\"corp-large\" =", "\"gpt-5.6\" =", "alias gpt-5.6: is passed over"),
        ("\"corp-large\" =", "\"gpt-5.4-2026-05-05\" =", "alias gpt-5.4-2026-05-05: is passed over"),
        ("\"corp-large\" =", "\"openai/gpt-5.4\" =", "alias openai/gpt-5.4: is passed over"),
        (
            "name = \"corp-coder\"",
            "name = \"openai/gpt-5.4-2026-05-05\"",
            "model openai/gpt-5.4-2026-05-05: is passed over: the built-in list knows it as gpt-5.4 (router name of gpt-5.4; dated",
        ),
        ("name = \"corp-coder\"", "name = \"gpt-5.4-2026-05-05\"", "model gpt-5.4-2026-05-05: is passed over"),
        (
            "name = \"corp-secret\"\nreason",
            "name = \"gpt-5.4-2026-05-05\"\nreason",
            "unpriced gpt-5.4-2026-05-05: is passed over",
        ),
        (
            "name = \"corp-secret\"\nreason",
            "name = \"gpt-5.4\"\nreason",
            "unpriced gpt-5.4: the built-in list has a price",
        ),
        (
            "[[unpriced]]",
            "[[fee]]\nname = \"web_search\"\nusd_per_1k_calls = \"1\"\nsources = [\"OURS\"]\n[[unpriced]]",
            "fee web_search",
        ),
    ] {
        let text = OWN.replacen(from, to, 1).replacen(secret.0, secret.1, 1);
        let book = PriceBook::builtin().with_own(&text).unwrap_or_else(|e| panic!("{to}: {e}"));
        let passed: Vec<String> = book.passed_over().collect();
        assert!(passed.len() == 1 && passed[0].starts_with(says), "{to}: {passed:?}");
        let found = book.check(day("2026-11-21")).into_iter().filter(|f| f.to_string().contains(&passed[0]));
        assert_eq!(found.map(|f| f.level.name()).collect::<Vec<_>>(), ["warning"], "{to}");
        let routed = ["gpt-5.4-2026-05-05", "openai/gpt-5.4", "openai/gpt-5.4-2026-05-05"];
        for model in ["gpt-5.4", "gpt-5.6", "gpt-5.5"].into_iter().chain(routed) {
            let price = |book: &PriceBook| {
                let at = day("2026-11-21");
                book.price(Channel::Api, Some(model), &ServiceTier::Standard, at, &tokens).list
            };
            assert_eq!(price(&book), price(PriceBook::builtin()), "{to}: {model}");
        }
        assert_eq!(book.fee("web_search"), PriceBook::builtin().fee("web_search"));
    }
    assert_eq!(PriceBook::builtin().with_own(OWN).unwrap().passed_over().count(), 0);
    // Of a file that goes on, what is later than the list still counts.
    let text = format!("{OWN}{}", LATER.replacen("\"2026-12-01\"\nsources", "\"2026-04-23\"\nsources", 1));
    let again = "[[model]]\nname = \"gpt-5.5\"\n[[model.usd]]\neffective_from = \"2026-12-02\"\nsources = [\"NEWS\"]\n\
                 short.standard = { input = \"9\", output = \"35\" }\n";
    let book = PriceBook::builtin().with_own(&format!("{text}{again}")).unwrap();
    assert_eq!(book.passed_over().count(), 1);
    let price = |at: &str| {
        book.price(Channel::Api, Some("gpt-5.5"), &ServiceTier::Standard, day(at), &usage0(1_000, 0, 0)).list
    };
    assert_eq!(price("2026-12-01").unwrap().to_string(), "0.005000000000 USD");
    assert_eq!(price("2026-12-02").unwrap().to_string(), "0.009000000000 USD");
}

#[test]
fn whose_list_it_is_makes_no_provider_a_custom_one() {
    for name in ["openai", " OpenAI "] {
        let text =
            OWN.replacen("Corp-Gateway", name, 1).replacen("\"corp-eu\"", &format!("\"corp-eu\", \"{name}\""), 1);
        let book = PriceBook::builtin().with_own(&text).unwrap();
        assert_eq!(book.providers().iter().map(String::as_str).collect::<Vec<_>>(), ["corp-eu"], "{name}");
    }
}

/// What is appended to a file to continue a model of the built-in list.
const LATER: &str = r#"
[[source]]
key = "NEWS"
text = "the list of 2026-12-01"
[[model]]
name = "gpt-5.5"
[[model.usd]]
effective_from = "2026-12-01"
sources = ["NEWS"]
long_above = 272000
short.standard = { input = "7", cached = "0.7", output = "35" }
[[model]]
name = "corp-coder"
[[model.usd]]
effective_from = "2026-12-01"
sources = ["NEWS"]
short.standard = { input = "1.5", output = "3" }
"#;

#[test]
fn a_file_continues_what_the_list_has() {
    let book = PriceBook::builtin().with_own(&format!("{OWN}{LATER}")).unwrap();
    let list = |book: &PriceBook, model: &str, tier: &str, at: &str| {
        let tier = ServiceTier::from_wire(Some(tier));
        let priced = book.price(Channel::Api, Some(model), &tier, day(at), &usage0(1_000, 0, 0));
        priced.list.map_or("-".into(), |amount| amount.to_string())
    };
    for at in ["2026-04-23", "2026-11-30"] {
        for tier in ["", "flex", "priority"] {
            assert_eq!(list(&book, "gpt-5.5", tier, at), list(PriceBook::builtin(), "gpt-5.5", tier, at), "{at}");
        }
    }
    assert_eq!(list(&book, "gpt-5.5", "", "2026-12-01"), "0.007000000000 USD");
    assert_eq!(list(&book, "gpt-5.5", "flex", "2026-12-01"), "-", "no tier of the period before");
    assert_eq!(list(&book, "corp-coder", "", "2026-11-30"), "0.001000000000 USD");
    assert_eq!(list(&book, "corp-coder", "", "2026-12-01"), "0.001500000000 USD");
    let rows = book.describe("gpt-5.5", Some(day("2026-12-01")), None).unwrap();
    assert_eq!(rows[0].sources, ["the list of 2026-12-01"]);
    let credits = |book: &PriceBook| {
        book.price(Channel::Chatgpt, Some("gpt-5.5"), &ServiceTier::Standard, day("2026-12-02"), &usage0(9, 0, 0)).list
    };
    assert_eq!(credits(&book), credits(PriceBook::builtin()));
}

#[test]
fn a_file_may_only_continue_what_the_list_has() {
    let coder = "name = \"corp-coder\"\n[[model.usd]]\neffective_from = \"2026-12-01\"";
    for (from, to, says) in [
        (
            "name = \"gpt-5.5\"\n[[model.usd]]",
            "name = \"gpt-5.5\"\nno_credits = \"x\"\n[[model.usd]]",
            "a reason for having none",
        ),
        (coder, &coder.replace("2026-12", "2026-01"), "two periods begin on this day"),
        ("key = \"NEWS\"", "key = \"OURS\"", "source OURS: listed twice"),
    ] {
        let text = format!("{OWN}{}", LATER.replacen(from, to, 1));
        assert!(!text.ends_with(LATER), "{from}");
        let error = PriceBook::builtin().with_own(&text).unwrap_err().to_string();
        assert!(error.contains(says), "{to}: {error}");
    }
}

#[test]
fn a_file_without_a_provider_makes_none_known() {
    let book = PriceBook::builtin().with_own("format = 1\nas_of = \"2026-11-01\"").unwrap();
    assert!(book.providers().is_empty() && PriceBook::builtin().providers().is_empty());
    assert!(PriceBook::parse("format = 1\nas_of = \"2026-11-01\"").unwrap_err().to_string().contains("no provider"));
}
