//! Rating: which rates apply to a response, and tokens times rates in exact integers.

use crate::model::{Amount, Day, RateUsed, ServiceTier, TokenUsage, Unit, Unpriced};
use std::collections::BTreeMap;

/// Pico-units per token: uncached input, cached input, cache write, output.
pub(super) type Rates = [i64; 4];

/// A dated period of one list (USD or credits) of a model.
#[derive(Debug, Clone)]
pub(super) struct Period {
    pub(super) from: Day,
    pub(super) guaranteed_through: Option<Day>,
    pub(super) long_above: Option<u64>,
    pub(super) tiers: BTreeMap<ServiceTier, TierRates>,
    pub(super) sources: Vec<String>,
    pub(super) notes: Vec<String>,
    pub(super) disputed: Option<String>,
}

/// The rates of one tier in a period.
#[derive(Debug, Clone)]
pub(super) struct TierRates {
    /// The tier's first day: that of the period or later.
    pub(super) from: Day,
    pub(super) short: Rates,
    pub(super) long: Option<Rates>,
}

/// What a list says about a response.
pub(super) struct Rated {
    pub(super) amount: Result<Amount, Unpriced>,
    pub(super) rate: Option<RateUsed>,
    pub(super) stale: bool,
}

impl Rated {
    pub(super) fn none(why: Unpriced) -> Self {
        Rated { amount: Err(why), rate: None, stale: false }
    }
}

/// What to rate: the resolved model and the response.
pub(super) struct Request<'a> {
    pub(super) model: &'a str,
    pub(super) resolved_by: Option<&'a str>,
    pub(super) tier: &'a ServiceTier,
    pub(super) day: Day,
    pub(super) usage: &'a TokenUsage,
}

/// Rates a response by the periods of one list, which are in order.
pub(super) fn rate(periods: &[Period], unit: Unit, request: &Request) -> Rated {
    let model = || request.model.to_string();
    let Some(first) = periods.first() else { return Rated::none(Unpriced::UnknownModel(model())) };
    let Some(period) = period_at(periods, request.day) else {
        return Rated::none(Unpriced::BeforeFirstPrice(model(), first.from));
    };
    let Some(tier) = period.tiers.get(request.tier).filter(|t| t.from <= request.day) else {
        return Rated::none(Unpriced::NoTier(model(), request.tier.clone()));
    };
    let long_context = period.long_above.is_some_and(|above| request.usage.input > above);
    let Some(rates) = (if long_context { tier.long } else { Some(tier.short) }) else {
        return Rated::none(Unpriced::NoLongContext(model(), request.tier.clone()));
    };
    Rated {
        amount: cost(request.usage, &rates).map(|pico| Amount { pico, unit }).ok_or(Unpriced::Overflow),
        rate: Some(RateUsed {
            model: model(),
            resolved_by: request.resolved_by.map(str::to_string),
            effective_from: period.from,
            tier: request.tier.clone(),
            long_context,
            pico_per_token: rates,
        }),
        stale: period.guaranteed_through.is_some_and(|last| request.day > last),
    }
}

/// The period that applies on a day: the last that began on or before it.
pub(super) fn period_at(periods: &[Period], day: Day) -> Option<&Period> {
    periods.iter().rfind(|p| p.from <= day)
}

/// Tokens times rates in pico-units; `None` if the sum does not fit in a line.
fn cost(usage: &TokenUsage, rates: &Rates) -> Option<i64> {
    let tokens = [usage.uncached_input(), usage.cached_input, usage.cache_write, usage.output];
    let mut sum: i128 = 0;
    for (tokens, rate) in tokens.into_iter().zip(rates) {
        sum = sum.checked_add(i128::from(tokens).checked_mul(i128::from(*rate))?)?;
    }
    i64::try_from(sum).ok()
}
