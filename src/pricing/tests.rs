//! What the price book says, checked against sums done by hand.

mod load;
mod own;

use super::PriceBook;
use super::findings::Level;
use crate::model::{Channel, Day, Priced, ServiceTier, TokenUsage, Unit, Unpriced, format_pico};
use proptest::prelude::*;

pub(super) fn day(text: &str) -> Day {
    Day::parse(text).unwrap()
}

fn usage(input: u64, cached_input: u64, cache_write: u64, output: u64) -> TokenUsage {
    TokenUsage { input, cached_input, cache_write, output, reasoning: output / 10 }
}

fn price(channel: Channel, model: &str, tier: &str, at: &str, usage: TokenUsage) -> Priced {
    PriceBook::builtin().price(channel, Some(model), &ServiceTier::from_wire(Some(tier)), day(at), &usage)
}

fn api(model: &str, tier: &str, at: &str, usage: TokenUsage) -> String {
    let priced = price(Channel::Api, model, tier, at, usage);
    priced.list.map(|a| a.to_string()).or(priced.unpriced.map(|u| u.to_string())).unwrap()
}

#[test]
fn the_vectors_of_the_price_research() {
    let first = usage(12_000, 4_096, 500, 350);
    let edge = usage(272_000, 200_000, 10_000, 5_000);
    let long = usage(272_001, 200_000, 10_000, 5_000);
    let at = "2026-11-21";
    for (model, tier, at, usage, expected) in [
        ("gpt-6.1-sol", "", at, first, "0.019967600000 USD"),
        ("gpt-6.1-sol", "priority", at, first, "0.039935200000 USD"),
        ("gpt-6.1-sol", "", at, edge, "0.219000000000 USD"),
        ("gpt-6.1-sol", "", at, long, "0.413004000000 USD"),
        ("gpt-6.1-sol", "priority", at, long, "0.826008000000 USD"),
        ("gpt-5.6-sol", "", "2026-08-20", first, "0.052693000000 USD"),
        ("gpt-5.6-sol", "", "2026-08-21", first, "0.040754400000 USD"),
        ("gpt-5.4", "", at, first, "0.026034000000 USD"),
        ("gpt-5.5", "priority", at, usage0(12_000, 4_096, 350), "0.130170000000 USD"),
        ("gpt-5.5", "fast", at, usage0(1_000, 100, 10), "0.012125000000 USD"),
    ] {
        assert_eq!(api(model, tier, at, usage), expected, "{model} {tier} {at}");
    }
}

fn usage0(input: u64, cached: u64, output: u64) -> TokenUsage {
    usage(input, cached, 0, output)
}

#[test]
fn a_chatgpt_login_pays_credits() {
    let two = [usage0(1_000, 100, 10), usage0(2_000, 200, 20)];
    let priced = two.map(|u| price(Channel::Chatgpt, "gpt-5.5", "", "2026-11-21", u));
    let sum = |amounts: [Option<crate::model::Amount>; 2]| amounts.iter().map(|a| i128::from(a.unwrap().pico)).sum();
    assert_eq!(format_pico(sum([priced[0].list, priced[1].list])), "0.363750000000");
    assert_eq!(format_pico(sum([priced[0].api_equivalent, priced[1].api_equivalent])), "0.014550000000");
    assert_eq!(priced[0].list.unwrap().unit, Unit::Credit);
    assert_eq!(priced[0].rate.as_ref().unwrap().pico_per_token, [125_000_000, 12_500_000, 125_000_000, 750_000_000]);
}

#[test]
fn credits_know_no_cache_write_and_no_long_input_but_fast() {
    let big = usage(300_000, 100_000, 50_000, 1_000);
    // 200,000 x 50 + 100,000 x 2.5 + 1,000 x 250, per million.
    let priced = price(Channel::Chatgpt, "gpt-6.1-sol", "", "2026-11-21", big);
    assert_eq!(priced.list.unwrap().to_string(), "10.500000000000 CREDIT");
    assert!(!priced.rate.unwrap().long_context);
    // 150,000 x 4 + 100,000 x 0.2 + 50,000 x 5 + 1,000 x 15, per million.
    assert_eq!(priced.api_equivalent.unwrap().to_string(), "0.885000000000 USD");
    let fast = price(Channel::Chatgpt, "gpt-6.1-sol", "fast", "2026-11-21", big);
    assert_eq!(fast.list.unwrap().to_string(), "26.250000000000 CREDIT");
    assert_eq!(fast.api_equivalent.unwrap().to_string(), "1.770000000000 USD");
    for tier in ["flex", "ultrafast"] {
        let none = price(Channel::Chatgpt, "gpt-6.1-sol", tier, "2026-11-21", big);
        assert!(matches!(none.unpriced, Some(Unpriced::NoTier(..))), "{tier}");
        assert!(none.list.is_none() && none.api_equivalent.is_some() && none.rate.is_some());
    }
}

#[test]
fn what_has_no_price_says_why() {
    let u = usage0(1_000, 100, 10);
    let at = "2026-11-21";
    assert_eq!(api("codex-auto-review", "", at, u), "no price for model codex-auto-review");
    assert_eq!(api("gpt-5.3-codex-spark", "", at, u), "no price for model gpt-5.3-codex-spark");
    assert_eq!(api("gpt-7", "", at, u), "no price for model gpt-7");
    assert_eq!(api("gpt-6.1-sol", "", "2026-09-28", u), "no price for model gpt-6.1-sol before 2026-09-29");
    assert_eq!(api("gpt-6.1-sol", "warp", at, u), "no warp price for model gpt-6.1-sol");
    assert_eq!(api("gpt-6.1-sol", "ultrafast", "2026-10-07", u), "no ultrafast price for model gpt-6.1-sol");
    assert!(api("gpt-6.1-sol", "ultrafast", "2026-10-08", u).ends_with("USD"));
    assert_eq!(api("", "", at, u), "no source names the model");
    let long = usage0(272_001, 0, 1);
    assert_eq!(api("gpt-5.5", "fast", at, long), "no priority price for long input of model gpt-5.5");
    assert!(api("gpt-daybreak-red-latest", "", at, long).starts_with("no standard price for long input"));
    assert!(api("gpt-5.5", "fast", at, usage0(272_000, 0, 1)).ends_with("USD"));
    let most = TokenUsage { input: u64::MAX, cached_input: 0, cache_write: 0, output: u64::MAX, reasoning: 0 };
    assert_eq!(api("gpt-6-astra", "", at, most), "the amount does not fit in a line");
}

#[test]
fn each_channel_has_its_own_answer() {
    let u = usage0(1_000, 100, 10);
    let at = "2026-11-21";
    assert_eq!(price(Channel::Local, "gpt-5.5", "", at, u), Priced::default());
    let unknown = price(Channel::Unknown, "gpt-5.5", "", at, u);
    assert_eq!((unknown.list, unknown.unpriced), (None, Some(Unpriced::UnknownChannel)));
    assert_eq!(unknown.api_equivalent.unwrap().to_string(), "0.004850000000 USD");
    assert!(unknown.rate.is_some());
    let terra = price(Channel::Chatgpt, "gpt-6.1-terra", "", at, u);
    assert_eq!(terra.unpriced, Some(Unpriced::UnknownModel("gpt-6.1-terra".into())));
    assert_eq!(terra.api_equivalent.unwrap().to_string(), "0.000955000000 USD");
    let none = PriceBook::builtin().price(Channel::Api, None, &ServiceTier::Standard, day(at), &u);
    assert_eq!(none.unpriced, Some(Unpriced::NoModel));
    let credits_only = price(Channel::Chatgpt, "gpt-5.5-cyber", "", at, u);
    assert!(credits_only.list.is_some() && credits_only.api_equivalent.is_none());
    assert_eq!(api("gpt-5.5-cyber", "", at, u), "no price for model gpt-5.5-cyber");
}

#[test]
fn a_promise_that_ended_is_marked_and_a_name_is_explained() {
    let u = usage0(1_000, 100, 10);
    assert!(!price(Channel::Api, "gpt-5.6-sol", "", "2026-11-21", u).stale);
    let after = price(Channel::Api, "openai/gpt-5.6-2026-07-09", "", "2026-11-22", u);
    assert!(after.stale && after.list.is_some());
    let rate = after.rate.unwrap();
    assert_eq!((rate.model.as_str(), rate.effective_from), ("gpt-5.6-sol", day("2026-08-21")));
    assert!(rate.resolved_by.unwrap().contains("dated snapshot of gpt-5.6-sol"));
    assert_eq!(price(Channel::Api, "gpt-5.6-sol", "", "2026-11-21", u).rate.unwrap().resolved_by, None);
}

/// Model, first day, input, cached input, cache write, output: the table of the price research, written down apart.
const STANDARD: [(&str, &str, [&str; 4]); 35] = [
    ("gpt-6-astra", "2026-09-03", ["10", "1", "12.5", "50"]),
    ("gpt-6.1-sol", "2026-09-29", ["2", "0.1", "2.5", "10"]),
    ("gpt-6.1-terra", "2026-10-26", ["1", "0.05", "1.25", "5"]),
    ("gpt-6-sol", "2026-09-22", ["2", "0.2", "2.5", "10"]),
    ("gpt-6-luna", "2026-09-22", ["0.1", "0.01", "0.125", "0.5"]),
    ("gpt-5.6-sol", "2026-07-09", ["5", "0.5", "6.25", "30"]),
    ("gpt-5.6-sol", "2026-08-21", ["4", "0.4", "5", "20"]),
    ("gpt-5.6-terra", "2026-07-09", ["2.5", "0.25", "3.125", "15"]),
    ("gpt-5.6-terra", "2026-07-30", ["2", "0.2", "2.5", "12"]),
    ("gpt-5.6-luna", "2026-07-09", ["1", "0.1", "1.25", "6"]),
    ("gpt-5.6-luna", "2026-07-30", ["0.2", "0.02", "0.25", "1.2"]),
    ("gpt-daybreak-blue-latest", "2026-09-28", ["4", "0.4", "5", "20"]),
    ("gpt-daybreak-red-latest", "2026-09-28", ["12.5", "1.25", "15.625", "75"]),
    ("gpt-5.5", "2026-04-23", ["5", "0.5", "5", "30"]),
    ("gpt-5.4", "2026-03-05", ["2.5", "0.25", "2.5", "15"]),
    ("gpt-5.4-mini", "2026-03-17", ["0.75", "0.075", "0.75", "4.5"]),
    ("gpt-5.4-nano", "2026-03-17", ["0.2", "0.02", "0.2", "1.25"]),
    ("gpt-5.3-codex", "2026-02-05", ["1.75", "0.175", "1.75", "14"]),
    ("gpt-5.2", "2025-12-11", ["1.75", "0.175", "1.75", "14"]),
    ("gpt-5.2-codex", "2026-01-14", ["1.75", "0.175", "1.75", "14"]),
    ("gpt-5.1", "2025-11-13", ["1.25", "0.125", "1.25", "10"]),
    ("gpt-5.1-codex", "2025-11-17", ["1.25", "0.125", "1.25", "10"]),
    ("gpt-5.1-codex-max", "2025-12-05", ["1.25", "0.125", "1.25", "10"]),
    ("gpt-5", "2025-08-07", ["1.25", "0.125", "1.25", "10"]),
    ("gpt-5-codex", "2025-09-15", ["1.25", "0.125", "1.25", "10"]),
    ("gpt-5-mini", "2025-08-07", ["0.25", "0.025", "0.25", "2"]),
    ("gpt-5.1-codex-mini", "2025-11-17", ["0.25", "0.025", "0.25", "2"]),
    ("gpt-5-nano", "2025-08-07", ["0.05", "0.005", "0.05", "0.4"]),
    ("codex-mini-latest", "2025-06-05", ["1.5", "0.375", "1.5", "6"]),
    ("o3", "2025-04-16", ["10", "10", "10", "40"]),
    ("o3", "2025-06-10", ["2", "0.5", "2", "8"]),
    ("o4-mini", "2025-04-16", ["1.1", "0.275", "1.1", "4.4"]),
    ("gpt-4.1", "2025-04-14", ["2", "0.5", "2", "8"]),
    ("gpt-4.1-mini", "2025-04-14", ["0.4", "0.1", "0.4", "1.6"]),
    ("gpt-4.1-nano", "2025-04-14", ["0.1", "0.025", "0.1", "0.4"]),
];

#[test]
fn every_model_has_its_standard_prices() {
    let book = PriceBook::builtin();
    let mut rows: Vec<_> = book
        .models()
        .filter_map(|m| book.describe(m, None, Some(&ServiceTier::Standard)).ok())
        .flatten()
        .filter(|r| r.unit == Unit::Usd && r.context == "short")
        .map(|r| (r.model, r.effective_from, [r.uncached_input, r.cached_input, r.cache_write, r.output]))
        .collect();
    let mut expected: Vec<_> =
        STANDARD.iter().map(|(m, from, rates)| (m.to_string(), day(from), rates.map(str::to_string))).collect();
    rows.sort();
    expected.sort();
    assert_eq!(rows, expected);
}

#[test]
fn a_price_can_be_shown() {
    let book = PriceBook::builtin();
    let promo = book.describe("gpt-5.6", Some(day("2026-08-20")), Some(&ServiceTier::Priority)).unwrap();
    let seen: Vec<_> = promo.iter().map(|r| (r.unit, r.context, r.output.as_str(), r.until)).collect();
    let api_end = Some(day("2026-08-20"));
    let credits_end = Some(day("2026-09-03"));
    assert_eq!(
        seen,
        [
            (Unit::Usd, "short", "60", api_end),
            (Unit::Usd, "long", "90", api_end),
            (Unit::Credit, "short", "1875", credits_end)
        ]
    );
    assert!(promo[0].sources[0].starts_with("genai-prices"));
    let ultrafast = book.describe("gpt-6-astra", None, Some(&ServiceTier::Ultrafast)).unwrap();
    assert_eq!(ultrafast[0].effective_from, day("2026-09-29"));
    let error = |model, at| book.describe(model, at, None).unwrap_err().to_string();
    assert_eq!(error("gpt-7", None), "the price book does not know the model gpt-7");
    assert!(error("Codex-Auto-Review", None).contains("neither dollars nor credits are published"));
    assert!(error("o3", Some(day("2025-01-01"))).contains("no price on that day"));
}

#[test]
fn the_book_knows_what_to_look_at() {
    let book = PriceBook::builtin();
    let at = |d: &str| book.check(day(d)).iter().map(|f| f.to_string()).collect::<Vec<_>>();
    let promised = "warning: gpt-5.6-sol: the USD price was promised only through 2026-11-21; look for a new one";
    assert!(!at("2026-11-21").iter().any(|f| f.starts_with("warning") || f.starts_with("error")));
    assert_eq!(at("2026-11-22")[0], promised);
    assert!(at("2027-02-20").iter().any(|f| f.contains("91 days ago")));
    for part in ["gpt-6.1-terra: no CREDIT rate: no published", "25 in LL, 10 in GP", "gpt-5.5-cyber: no USD rate"] {
        assert!(at("2026-11-21").iter().any(|f| f.contains(part)), "{part}");
    }
    assert!(book.check(book.as_of()).iter().all(|f| f.level < Level::Error));
    assert_eq!(book.fee("web_search").unwrap().to_string(), "0.010000000000 USD");
    assert_eq!(book.fee("file_search").unwrap().to_string(), "0.002500000000 USD");
    assert_eq!(book.fee("telepathy"), None);
    assert_eq!((book.provider(), book.hash().len()), ("openai", 64));
    assert_eq!(book.unpriced().count(), 5);
}

proptest! {
    #[test]
    fn costs_add_up_and_equal_plain_arithmetic(a in 0u64..60_000, b in 0u64..60_000, c in 0u64..1_000_000, parts in 0u64..=100) {
        let one = usage(a, a * parts / 200, a * (100 - parts) / 200, c);
        let two = usage(b, b / 2, b / 4, c / 3);
        let both = usage(a + b, one.cached_input + two.cached_input, one.cache_write + two.cache_write, c + c / 3);
        let of = |u: TokenUsage| i128::from(price(Channel::Api, "gpt-6-luna", "flex", "2026-11-21", u).list.unwrap().pico);
        prop_assert_eq!(of(one) + of(two), of(both));
        let plain = |u: TokenUsage| {
            let fresh = i128::from(u.input) - i128::from(u.cached_input) - i128::from(u.cache_write);
            fresh * 50_000 + i128::from(u.cached_input) * 5_000 + i128::from(u.cache_write) * 62_500 + i128::from(u.output) * 250_000
        };
        prop_assert_eq!(of(both), plain(both));
    }
}
