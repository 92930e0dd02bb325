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
        ("name = \"corp-coder\"", "name = \"gpt-5.4\"", "model gpt-5.4: the built-in list has it"),
        ("name = \"corp-coder\"", "name = \"gpt-5.6\"", "as a name of gpt-5.6-sol"),
        ("\"corp-large\" =", "\"gpt-5.4\" =", "alias gpt-5.4: hides a model"),
        ("\"corp-large\" =", "\"gpt-5.6\" =", "has this alias"),
        ("= \"gpt-5.5\"\n[[model]]", "= \"gpt-99\"\n[[model]]", "which is no model with prices"),
        ("name = \"corp-secret\"\nreason", "name = \"gpt-5.4\"\nreason", "remove the entry"),
        ("[[contract]]\nname = \"gpt-5.5\"", "[[contract]]\nname = \"gpt-5,5\"", "contract gpt-5,5: no such model"),
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
        ("\"2026-12-01\"\nsources", "\"2026-04-23\"\nsources", "must begin later or be removed"),
        ("\"2026-12-01\"\nsources", "\"2026-01-23\"\nsources", "last usd price from 2026-04-23 on"),
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
