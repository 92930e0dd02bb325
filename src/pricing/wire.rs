//! The price file as it is written (TOML): our own format, so an unknown key is an error.

use serde::Deserialize;
use std::collections::BTreeMap;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) format: u32,
    /// Whose list this is; a user's own file need not name a provider.
    pub(super) provider: Option<String>,
    /// More names of providers, in a user's own file.
    #[serde(default)]
    pub(super) providers: Vec<String>,
    pub(super) as_of: String,
    #[serde(default)]
    pub(super) sources: BTreeMap<String, String>,
    /// More sources, in a form that can be appended to a file.
    #[serde(default)]
    pub(super) source: Vec<Source>,
    #[serde(default)]
    pub(super) aliases: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) fee: Vec<Fee>,
    #[serde(default)]
    pub(super) model: Vec<Model>,
    #[serde(default)]
    pub(super) unpriced: Vec<NoPrice>,
    /// What was negotiated, in a user's own file.
    #[serde(default)]
    pub(super) contract: Vec<Model>,
}

/// A source and its key.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Source {
    pub(super) key: String,
    pub(super) text: String,
}

/// A fee per call.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fee {
    pub(super) name: String,
    pub(super) usd_per_1k_calls: String,
    pub(super) sources: Vec<String>,
    pub(super) notes: Option<String>,
}

/// A model with its periods.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Model {
    pub(super) name: String,
    pub(super) no_credits: Option<String>,
    #[serde(default)]
    pub(super) usd: Vec<UsdPeriod>,
    #[serde(default)]
    pub(super) credits: Vec<CreditPeriod>,
}

/// A dated period of API prices.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UsdPeriod {
    pub(super) effective_from: String,
    pub(super) date_basis: Option<String>,
    pub(super) guaranteed_through: Option<String>,
    pub(super) notes: Option<String>,
    pub(super) disputed: Option<String>,
    #[serde(default)]
    pub(super) sources: Vec<String>,
    #[serde(default)]
    pub(super) tier_from: BTreeMap<String, String>,
    pub(super) long_above: Option<u64>,
    pub(super) short: BTreeMap<String, Rates>,
    #[serde(default)]
    pub(super) long: BTreeMap<String, Rates>,
}

/// Rates per 1M tokens as decimal strings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rates {
    pub(super) input: String,
    pub(super) cached: Option<String>,
    pub(super) write: Option<String>,
    pub(super) write_12h: Option<String>,
    pub(super) output: String,
}

/// A dated period of credit rates.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CreditPeriod {
    pub(super) effective_from: String,
    pub(super) guaranteed_through: Option<String>,
    pub(super) notes: Option<String>,
    pub(super) disputed: Option<String>,
    #[serde(default)]
    pub(super) sources: Vec<String>,
    pub(super) rates: CreditRates,
    pub(super) fast_multiplier: Option<String>,
}

/// Credit rates per 1M tokens; there is none for cache writes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CreditRates {
    pub(super) input: String,
    pub(super) cached: String,
    pub(super) output: String,
}

/// A model that is known to have no price.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoPrice {
    pub(super) name: String,
    pub(super) reason: String,
}
