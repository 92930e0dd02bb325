//! What the amounts of a chargeback are. Amounts of different bases or units are never added.

use crate::model::{Channel, Sums, Unit};

/// The basis of a chargeback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// Each channel's own public list: API usage in USD, ChatGPT usage in credits.
    List,
    /// The user's contract list: API usage in USD. Nothing else has a price there.
    Contract,
}

impl Basis {
    /// The name in options and files.
    pub fn name(self) -> &'static str {
        match self {
            Basis::List => "list",
            Basis::Contract => "contract",
        }
    }

    /// In words, for people who pay.
    pub(super) fn words(self) -> &'static str {
        match self {
            Basis::List => "the public price list of each channel (API usage in USD, ChatGPT usage in credits)",
            Basis::Contract => "the contract price list (API usage in USD)",
        }
    }

    /// The amount in a unit that sums have on this basis.
    pub(super) fn of(self, sums: &Sums, unit: Unit) -> Option<i128> {
        match (self, unit) {
            (Basis::List, Unit::Usd) => sums.list_usd,
            (Basis::List, Unit::Credit) => sums.credits,
            (Basis::Contract, Unit::Usd) => sums.contract_usd,
            (Basis::Contract, Unit::Credit) => None,
        }
    }

    /// The column with the amounts of a channel, and their unit; nothing if the basis has no price of it.
    pub(super) fn amount(self, channel: &str) -> Option<(&'static str, Unit)> {
        match self {
            Basis::List if channel == Channel::Api.name() => Some(("list_usd", Unit::Usd)),
            Basis::List if channel == Channel::Chatgpt.name() => Some(("chatgpt_credits", Unit::Credit)),
            Basis::Contract if channel == Channel::Api.name() => Some(("contract_usd", Unit::Usd)),
            _ => None,
        }
    }
}
