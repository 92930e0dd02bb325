//! Lines: one response's usage and amounts for one owner share.

use super::{Amount, BillingPeriod, Day, ResponseFact, ServiceTier};
use std::fmt;

/// How a response is billed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// By token, in USD.
    Api,
    /// A ChatGPT login: credits.
    Chatgpt,
    /// A model on the user's own machine: no bill.
    Local,
    /// Not known, and never assumed.
    Unknown,
}

impl Channel {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Channel::Api => "api",
            Channel::Chatgpt => "chatgpt",
            Channel::Local => "local",
            Channel::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a line has tokens but no amount.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unpriced {
    /// No source names the model.
    NoModel,
    /// The price book does not know the model, or knows that it has no price.
    UnknownModel(String),
    /// The model's first price is later.
    BeforeFirstPrice(String, Day),
    /// The model has no price in this tier.
    NoTier(String, ServiceTier),
    /// The model has no price for long input in this tier.
    NoLongContext(String, ServiceTier),
    /// Nothing says how it is billed.
    UnknownChannel,
    /// The amount does not fit.
    Overflow,
}

impl fmt::Display for Unpriced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unpriced::NoModel => write!(f, "no source names the model"),
            Unpriced::UnknownModel(m) => write!(f, "no price for model {m}"),
            Unpriced::BeforeFirstPrice(m, day) => write!(f, "no price for model {m} before {day}"),
            Unpriced::NoTier(m, t) => write!(f, "no {t} price for model {m}"),
            Unpriced::NoLongContext(m, t) => write!(f, "no {t} price for long input of model {m}"),
            Unpriced::UnknownChannel => write!(f, "billing channel unknown"),
            Unpriced::Overflow => write!(f, "the amount does not fit in a line"),
        }
    }
}

/// The rates that made an amount: enough to compute it again by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateUsed {
    /// The model's name in the price book.
    pub model: String,
    /// How the requested name led there, if it is another.
    pub resolved_by: Option<String>,
    /// The first day of the price period.
    pub effective_from: Day,
    /// The tier of the rates.
    pub tier: ServiceTier,
    /// The whole request was rated as long input.
    pub long_context: bool,
    /// Pico-units per token: uncached input, cached input, cache write, output.
    pub pico_per_token: [i64; 4],
}

/// What a response costs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Priced {
    /// The amount on the public list of its own channel.
    pub list: Option<Amount>,
    /// Why there is none although there should be one.
    pub unpriced: Option<Unpriced>,
    /// What ChatGPT usage (or usage of an unknown channel) would cost on the API list; a comparison, in no total.
    pub api_equivalent: Option<Amount>,
    /// The rates behind `list`, or behind `api_equivalent` where `list` is absent.
    pub rate: Option<RateUsed>,
    /// The amount of API usage on the user's own contract list; beside the list price, never instead of it.
    pub contract: Option<Amount>,
    /// The rates behind `contract`, as in [`RateUsed::pico_per_token`].
    pub contract_pico_per_token: Option<[i64; 4]>,
    /// There is a contract list, and it has no price of this API usage.
    pub uncontracted: bool,
    /// The price was only guaranteed through an earlier day than the response's.
    pub stale: bool,
}

/// Whether a figure can still change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// The month is open.
    Estimated,
    /// The month is sealed.
    Sealed,
}

impl Status {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Status::Estimated => "estimated",
            Status::Sealed => "sealed",
        }
    }
}

/// Whether a line is usage of its month or corrects a sealed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LineClass {
    /// Usage of its own month.
    Usage,
    /// A correction of a sealed month.
    Correction,
}

impl LineClass {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            LineClass::Usage => "usage",
            LineClass::Correction => "correction",
        }
    }
}

/// One response's usage and amounts for one owner share.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// The month it is booked in.
    pub period: BillingPeriod,
    /// Open or sealed.
    pub status: Status,
    /// Usage or correction.
    pub class: LineClass,
    /// The sealed month that a correction corrects.
    pub corrects_period: Option<BillingPeriod>,
    /// The response with its owner.
    pub response: ResponseFact,
    /// What it costs.
    pub priced: Priced,
    /// How many responses it counts: of a shared response the first share is one, the others are none.
    pub responses: i64,
    /// Its weight, and that of all shares, if the response is shared.
    pub share: Option<(u64, u64)>,
}
