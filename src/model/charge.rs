//! Charges: what a provider billed, row by row, as exports and invoices have it.

use super::{BillingPeriod, Channel, Day, Pico, Timestamp, TokenSums, split};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What a charge is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChargeKind {
    /// Tokens, calls or credits that were used.
    Usage,
    /// Seats of a plan.
    Seat,
    /// Credits bought ahead.
    CreditPack,
    /// Credits beyond what was bought.
    Overage,
    /// What is taken off; below 0.
    Discount,
    /// A tax.
    Tax,
    /// Anything else on an invoice.
    Other,
}

impl ChargeKind {
    /// All of them.
    pub const ALL: [ChargeKind; 7] = [
        ChargeKind::Usage,
        ChargeKind::Seat,
        ChargeKind::CreditPack,
        ChargeKind::Overage,
        ChargeKind::Discount,
        ChargeKind::Tax,
        ChargeKind::Other,
    ];

    /// The name in files and reports.
    pub fn name(self) -> &'static str {
        match self {
            ChargeKind::Usage => "usage",
            ChargeKind::Seat => "seat",
            ChargeKind::CreditPack => "credit_pack",
            ChargeKind::Overage => "overage",
            ChargeKind::Discount => "discount",
            ChargeKind::Tax => "tax",
            ChargeKind::Other => "other",
        }
    }

    /// The kind of a name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// What a row was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BillingSource {
    /// The organisation's Usage API, completions: tokens, no amounts.
    Usage,
    /// The organisation's Costs API: amounts.
    Costs,
    /// The usage export of a ChatGPT workspace: credits by user and day.
    Workspace,
    /// Rows of invoices.
    Invoice,
}

impl BillingSource {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            BillingSource::Usage => "usage",
            BillingSource::Costs => "costs",
            BillingSource::Workspace => "workspace",
            BillingSource::Invoice => "invoice",
        }
    }
}

/// An ISO 4217 code. Amounts of different currencies are never added.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Currency(String);

impl Currency {
    /// US dollars, the currency of price lists.
    pub fn usd() -> Self {
        Currency("USD".to_string())
    }

    /// The code in capitals.
    pub fn code(&self) -> &str {
        &self.0
    }

    /// Whether it is that of price lists.
    pub fn is_usd(&self) -> bool {
        self.0 == "USD"
    }
}

impl FromStr for Currency {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() == 3 && text.bytes().all(|b| b.is_ascii_alphabetic()) {
            return Ok(Currency(text.to_ascii_uppercase()));
        }
        Err(format!("`{text}` is no currency; write an ISO 4217 code, for example USD"))
    }
}

impl TryFrom<String> for Currency {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An amount of money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    /// How much, in units of 10^-12.
    pub pico: Pico,
    /// Of what.
    pub currency: Currency,
    /// As the file has it, if that has more than 12 digits behind the point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<String>,
}

/// How much was billed, if it is not tokens by kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quantity {
    /// How many.
    pub pico: Pico,
    /// Of what: `seats`, `tokens`, `1000_tokens`.
    pub unit: String,
}

/// Where a row stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Origin {
    /// The SHA-256 of its file, in hexadecimal digits.
    pub file: String,
    /// Its number there: of a CSV the line, else the result, from 1 on.
    pub row: u64,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// What it was read from.
    pub source: BillingSource,
    /// What it is for.
    pub kind: ChargeKind,
    /// How what it is for is billed: `api` or `chatgpt`.
    #[serde(with = "channel_name")]
    pub channel: Channel,
    /// The organisation or workspace that is billed.
    pub account: String,
    /// The invoice, of a row of one; else empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub invoice: String,
    /// What else tells the row from others of its source, account, invoice and time: the same in a later export.
    pub key: String,
    /// The first moment that it is for.
    pub start: Timestamp,
    /// The first moment that it is no longer for.
    pub end: Timestamp,
    /// The provider's project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The provider's id of the API key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<String>,
    /// The provider's id of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The user's e-mail address, in lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The tier that was served, by the name that reports have for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// What the provider calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line_item: Option<String>,
    /// How much of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<Quantity>,
    /// How many requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<i64>,
    /// The tokens by kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<TokenSums>,
    /// The amount in money.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub money: Option<Money>,
    /// The amount in ChatGPT credits, beside that in money and never added to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credits: Option<Pico>,
    /// Where it stands.
    pub origin: Origin,
}

/// What tells a row from every other; a later file may have it again.
pub type ChargeId<'c> = (BillingSource, &'c str, &'c str, Timestamp, Timestamp, &'c str);

impl Charge {
    /// What it is, whatever its figures are.
    pub fn id(&self) -> ChargeId<'_> {
        (self.source, &self.account, &self.invoice, self.start, self.end, &self.key)
    }

    /// Its first day.
    pub fn first_day(&self) -> Day {
        self.start.day()
    }

    /// Its last day.
    pub fn last_day(&self) -> Day {
        Timestamp(self.end.0.saturating_sub(1).max(self.start.0)).day()
    }

    /// The part of it that is of a month: by time, and such that the parts of all months add up to it, to the last unit.
    /// `None` if it has nothing of the month.
    pub fn part(&self, period: BillingPeriod) -> Option<Charge> {
        let (first, last) = (self.first_day().period(), self.last_day().period());
        if period < first || last < period {
            return None;
        }
        if first == last {
            return Some(self.clone());
        }
        let months: Vec<BillingPeriod> =
            std::iter::successors(Some(first), |month| Some(month.next())).take_while(|month| *month <= last).collect();
        let bounds = |month: BillingPeriod| {
            (month.first_day().start().max(self.start), month.next().first_day().start().min(self.end))
        };
        let weights: Vec<u64> = months
            .iter()
            .map(|month| {
                let (from, to) = bounds(*month);
                to.0.abs_diff(from.0)
            })
            .collect();
        let at = months.iter().position(|month| *month == period)?;
        let share = |pico: Pico| Pico(split(pico.0, &weights)[at]);
        let whole = |n: i64| i64::try_from(split(n.into(), &weights)[at]).unwrap_or(n);
        let (start, end) = bounds(period);
        let money = |money: &Money| Money { pico: share(money.pico), currency: money.currency.clone(), written: None };
        Some(Charge {
            start,
            end,
            money: self.money.as_ref().map(money),
            credits: self.credits.map(share),
            // Seats are there in each month; all else is used up.
            quantity: self.quantity.as_ref().map(|q| Quantity {
                pico: if self.kind == ChargeKind::Seat { q.pico } else { share(q.pico) },
                unit: q.unit.clone(),
            }),
            requests: self.requests.map(whole),
            usage: self.usage.map(|usage| {
                let kinds = [usage.uncached_input(), usage.cached_input, usage.cache_write, usage.output].map(whole);
                let [uncached, cached_input, cache_write, output] = kinds;
                TokenSums {
                    input: uncached + cached_input + cache_write,
                    cached_input,
                    cache_write,
                    output,
                    reasoning: 0,
                }
            }),
            ..self.clone()
        })
    }
}

mod channel_name {
    use crate::model::Channel;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(channel: &Channel, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(channel.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Channel, D::Error> {
        let name = String::deserialize(d)?;
        let all = [Channel::Api, Channel::Chatgpt, Channel::Local];
        Ok(all.into_iter().find(|channel| channel.name() == name).unwrap_or(Channel::Unknown))
    }
}
