//! The book as plain rows, for people who want to see a price.

use super::book::PriceBook;
use super::rate::{Period, Rates, TierRates};
use crate::model::{Day, ServiceTier, Unit, per_million};
use std::fmt;

/// The rates of one model on one list in one period, tier and context class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceRow {
    /// The model.
    pub model: String,
    /// `list`, or `contract` for the user's own.
    pub basis: &'static str,
    /// USD on the API, credits on a ChatGPT login.
    pub unit: Unit,
    /// The first day.
    pub effective_from: Day,
    /// The last day, if a later period follows.
    pub until: Option<Day>,
    /// The tier.
    pub tier: ServiceTier,
    /// `short` or `long`.
    pub context: &'static str,
    /// The largest input that is still short, if long input has its own rates.
    pub long_above: Option<u64>,
    /// Input that is neither read from nor written to the cache; like all rates a decimal per 1M tokens.
    pub uncached_input: String,
    /// Input from the cache.
    pub cached_input: String,
    /// Input written to the cache.
    pub cache_write: String,
    /// Output.
    pub output: String,
    /// The last day for which the price was promised.
    pub guaranteed_through: Option<Day>,
    /// Where the price comes from.
    pub sources: Vec<String>,
    /// Remarks, disagreements of the sources among them.
    pub notes: Vec<String>,
}

/// Why there is nothing to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DescribeError {
    /// Not in the book.
    UnknownModel(String),
    /// In the book as a model without a price, with the reason.
    NoPrice(String, String),
    /// No price of the model fits the day and the tier that were asked for.
    NothingFits(String),
}

impl fmt::Display for DescribeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DescribeError::UnknownModel(m) => write!(f, "the price book does not know the model {m}"),
            DescribeError::NoPrice(m, why) => write!(f, "the model {m} has no price: {why}"),
            DescribeError::NothingFits(m) => write!(f, "the model {m} has no price on that day and tier"),
        }
    }
}

impl std::error::Error for DescribeError {}

impl PriceBook {
    /// The prices of a model: all of them, or those of a day, of a tier, or both. API prices come first, contract prices last.
    pub fn describe(
        &self,
        model: &str,
        at: Option<Day>,
        tier: Option<&ServiceTier>,
    ) -> Result<Vec<PriceRow>, DescribeError> {
        let plain = model.trim().to_ascii_lowercase();
        let found = self.find(model);
        let name = found.as_ref().map_or(plain.as_str(), |(found, _)| found.name);
        let contract = self.contract.get(name).map(|prices| ("contract", Unit::Usd, prices));
        if found.is_none() && contract.is_none() {
            return Err(match self.unpriced.get(name) {
                Some(reason) => DescribeError::NoPrice(plain, reason.clone()),
                None => DescribeError::UnknownModel(model.trim().to_string()),
            });
        }
        let prices = found.iter().flat_map(|(_, p)| [("list", Unit::Usd, *p), ("list", Unit::Credit, *p)]);
        let mut rows = Vec::new();
        for (basis, unit, prices) in prices.chain(contract) {
            let periods = prices.list(unit);
            for (i, period) in periods.iter().enumerate() {
                let until = periods.get(i + 1).map(|next| before(next.from));
                for (of, rates) in &period.tiers {
                    let wanted = tier.is_none_or(|t| t == of)
                        && at.is_none_or(|day| rates.from <= day && until.is_none_or(|last| day <= last));
                    if wanted {
                        let row = Row { basis, model: name, unit, period, until, tier: of, rates };
                        rows.extend(row.in_each_context(self));
                    }
                }
            }
        }
        if rows.is_empty() { Err(DescribeError::NothingFits(name.to_string())) } else { Ok(rows) }
    }
}

/// A tier of a period on its way to one or two rows.
struct Row<'a> {
    basis: &'static str,
    model: &'a str,
    unit: Unit,
    period: &'a Period,
    until: Option<Day>,
    tier: &'a ServiceTier,
    rates: &'a TierRates,
}

impl Row<'_> {
    fn in_each_context(&self, book: &PriceBook) -> Vec<PriceRow> {
        let long = self.rates.long.iter().map(|rates| ("long", rates));
        [("short", &self.rates.short)].into_iter().chain(long).map(|(c, rates)| self.row(book, c, rates)).collect()
    }

    fn row(&self, book: &PriceBook, context: &'static str, rates: &Rates) -> PriceRow {
        let [uncached_input, cached_input, cache_write, output] = rates.map(per_million);
        let name = |key: &String| book.sources.get(key).unwrap_or(key).clone();
        let disputed = self.period.disputed.iter().map(|d| format!("The sources disagree. {d}"));
        PriceRow {
            basis: self.basis,
            model: self.model.to_string(),
            unit: self.unit,
            effective_from: self.rates.from,
            until: self.until,
            tier: self.tier.clone(),
            context,
            long_above: self.period.long_above,
            uncached_input,
            cached_input,
            cache_write,
            output,
            guaranteed_through: self.period.guaranteed_through,
            sources: self.period.sources.iter().map(name).collect(),
            notes: self.period.notes.iter().cloned().chain(disputed).collect(),
        }
    }
}

fn before(day: Day) -> Day {
    Day(day.0.pred_opt().unwrap_or(day.0))
}
