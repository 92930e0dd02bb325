//! The price book in memory, and the question it answers: what does this response cost?

use super::load::{self, PriceBookError};
use super::rate::{Period, Rated, Request, rate};
use super::resolve::{Found, resolve};
use crate::model::{Amount, Channel, Day, Priced, ServiceTier, TokenUsage, Unit, Unpriced};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

/// Dated list prices of one provider, checked.
#[derive(Debug, Clone)]
pub struct PriceBook {
    pub(super) provider: String,
    pub(super) as_of: Day,
    pub(super) sources: BTreeMap<String, String>,
    pub(super) aliases: BTreeMap<String, String>,
    pub(super) models: BTreeMap<String, Model>,
    pub(super) unpriced: BTreeMap<String, String>,
    pub(super) fees: BTreeMap<String, Fee>,
    /// Names of custom providers whose list this is, in lower case.
    pub(super) providers: BTreeSet<String>,
    /// Negotiated prices by model.
    pub(super) contract: BTreeMap<String, Model>,
    /// Entries of a user's own file that the built-in list knows better: what they are of, and why.
    pub(super) passed: Vec<(String, String)>,
    pub(super) hash: String,
}

/// The prices of one model, each list in order of its days.
#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) usd: Vec<Period>,
    pub(super) credits: Vec<Period>,
    pub(super) no_credits: Option<String>,
}

/// A fee per call.
#[derive(Debug, Clone)]
pub(super) struct Fee {
    pub(super) per_call: Amount,
    pub(super) notes: Option<String>,
}

impl PriceBook {
    /// The book that this version was built with.
    pub fn builtin() -> &'static PriceBook {
        static BOOK: OnceLock<PriceBook> = OnceLock::new();
        BOOK.get_or_init(|| match PriceBook::parse(include_str!("../../pricing/openai.toml")) {
            Ok(book) => book,
            // A test loads the built-in book, so no released version comes here.
            Err(error) => panic!("the built-in {error}"),
        })
    }

    /// Reads and checks a price file.
    pub fn parse(text: &str) -> Result<PriceBook, PriceBookError> {
        load::load(text, None)
    }

    /// What a response costs on the public list of its channel, and on the API list where that is a useful comparison.
    /// `usage` must have passed [`TokenUsage::check`].
    pub fn price(
        &self,
        channel: Channel,
        model: Option<&str>,
        tier: &ServiceTier,
        day: Day,
        usage: &TokenUsage,
    ) -> Priced {
        let on = |unit| self.rate_on(unit, model, tier, day, usage);
        match channel {
            Channel::Local => Priced::default(),
            Channel::Api => {
                let (contract, contract_pico_per_token) = self.on_contract(model, tier, day, usage).unzip();
                let uncontracted = self.has_contract() && contract.is_none();
                Priced { contract, contract_pico_per_token, uncontracted, ..own(on(Unit::Usd)) }
            }
            Channel::Chatgpt => compared(own(on(Unit::Credit)), on(Unit::Usd)),
            Channel::Unknown => compared(own(Rated::none(Unpriced::UnknownChannel)), on(Unit::Usd)),
        }
    }

    fn rate_on(&self, unit: Unit, model: Option<&str>, tier: &ServiceTier, day: Day, usage: &TokenUsage) -> Rated {
        let Some(raw) = model.filter(|m| !m.trim().is_empty()) else { return Rated::none(Unpriced::NoModel) };
        let Some((found, prices)) = self.find(raw) else {
            return Rated::none(Unpriced::UnknownModel(raw.trim().to_string()));
        };
        let request = Request { model: found.name, resolved_by: found.by.as_deref(), tier, day, usage };
        rate(prices.list(unit), unit, &request)
    }

    /// The model a name stands for.
    pub(super) fn find(&self, raw: &str) -> Option<(Found<'_>, &Model)> {
        let listed = |name: &str| self.models.get_key_value(name).map(|(name, _)| name.as_str());
        let found = resolve(raw, listed, |name| self.aliases.get(name).map(String::as_str))?;
        let prices = self.models.get(found.name)?;
        Some((found, prices))
    }

    /// The model that a name stands for, by its name in this book: dated and prefixed names have that of their model.
    pub fn model_named(&self, raw: &str) -> Option<&str> {
        self.find(raw).map(|(found, _)| found.name)
    }

    /// Whose prices these are.
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// The day on which the prices were last compared with their sources.
    pub fn as_of(&self) -> Day {
        self.as_of
    }

    /// The models with a price on any list, by name.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        self.models.keys().map(String::as_str)
    }

    /// The models that are known to have no price, with the reason.
    pub fn unpriced(&self) -> impl Iterator<Item = (&str, &str)> {
        self.unpriced.iter().map(|(name, reason)| (name.as_str(), reason.as_str()))
    }

    /// The fee for one call, for example of `web_search`.
    pub fn fee(&self, name: &str) -> Option<Amount> {
        self.fees.get(name).map(|fee| fee.per_call)
    }

    /// The fee for a call of a tool after a response of this channel. Hosted tools run on the provider's side and are billed by
    /// the call; their public fees are those of the API.
    pub fn call_fee(&self, channel: Channel, tool: &str) -> CallFee {
        match (channel, self.fee(tool)) {
            (Channel::Api, Some(fee)) => CallFee::Known(fee),
            (Channel::Local, _) => CallFee::None,
            (_, Some(_)) => CallFee::Unknown,
            (_, None) if HOSTED.contains(&tool) => CallFee::Unknown,
            (_, None) => CallFee::None,
        }
    }

    /// SHA-256 (hex) of the text that the book was read from.
    pub fn hash(&self) -> &str {
        &self.hash
    }
}

impl Model {
    pub(super) fn list(&self, unit: Unit) -> &[Period] {
        match unit {
            Unit::Usd => &self.usd,
            Unit::Credit => &self.credits,
        }
    }
}

/// What a tool call is billed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallFee {
    /// Nothing: it ran on the user's machine.
    None,
    /// This.
    Known(Amount),
    /// Something, or nothing: no public list says.
    Unknown,
}

/// Tools of the provider that Codex 0.169 can ask for.
const HOSTED: [&str; 3] = ["web_search", "file_search", "image_generation"];

/// The price on a response's own list.
fn own(rated: Rated) -> Priced {
    let (list, unpriced) = match rated.amount {
        Ok(amount) => (Some(amount), None),
        Err(why) => (None, Some(why)),
    };
    Priced { list, unpriced, rate: rated.rate, stale: rated.stale, ..Priced::default() }
}

/// Adds what the API list says; its rates are shown only where the own list has no amount.
fn compared(own: Priced, api: Rated) -> Priced {
    let api_equivalent = api.amount.ok();
    if own.list.is_some() || api_equivalent.is_none() {
        return Priced { api_equivalent, ..own };
    }
    Priced { api_equivalent, rate: api.rate, stale: api.stale, ..own }
}
