//! What a reader of the price book should know: promises that ended, models without a rate, prices that look wrong.

use super::book::PriceBook;
use super::rate::{Period, Rates, period_at};
use crate::model::{Day, ServiceTier, Unit};
use std::fmt;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Good to know.
    Notice,
    /// Amounts may be out of date.
    Warning,
    /// A price is most likely a mistake in the file.
    Error,
}

impl Level {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Level::Notice => "notice",
            Level::Warning => "warning",
            Level::Error => "error",
        }
    }
}

/// One thing to know about the book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub level: Level,
    /// The model it is about, if one.
    pub model: Option<String>,
    /// What it is.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let model = self.model.as_ref().map(|m| format!("{m}: ")).unwrap_or_default();
        write!(f, "{}: {model}{}", self.level.name(), self.message)
    }
}

/// After so many days without a comparison, a price may well have changed unnoticed.
const OLD_AFTER_DAYS: i64 = 90;

impl PriceBook {
    /// What to know about the book on a day; the gravest findings first.
    pub fn check(&self, today: Day) -> Vec<Finding> {
        let mut findings = Vec::new();
        let age = (today.0 - self.as_of.0).num_days();
        if age > OLD_AFTER_DAYS {
            let message = format!("the prices were last compared with their sources on {}, {age} days ago", self.as_of);
            findings.push(Finding { level: Level::Warning, model: None, message });
        }
        for (what, why) in &self.passed {
            findings.push(Finding { level: Level::Warning, model: Some(what.clone()), message: why.clone() });
        }
        for (name, model) in &self.models {
            let mut add = |level, message| findings.push(Finding { level, model: Some(name.clone()), message });
            for unit in [Unit::Usd, Unit::Credit] {
                let periods = model.list(unit);
                if periods.is_empty() {
                    let why = model.no_credits.iter().filter(|_| unit == Unit::Credit).map(|w| format!(": {w}"));
                    add(Level::Notice, format!("no {unit} rate{}", why.collect::<String>()));
                }
                let current = period_at(periods, today);
                if let Some(last) = current.and_then(|p| p.guaranteed_through).filter(|last| today > *last) {
                    add(
                        Level::Warning,
                        format!("the {unit} price was promised only through {last}; look for a new one"),
                    );
                }
                for period in periods {
                    if let Some(about) = &period.disputed {
                        add(Level::Notice, format!("{unit} from {}: the sources disagree. {about}", period.from));
                    }
                    for odd in oddities(period) {
                        add(Level::Error, format!("{unit} from {}: {odd}", period.from));
                    }
                }
            }
        }
        for (name, reason) in &self.unpriced {
            let message = format!("no price: {reason}");
            findings.push(Finding { level: Level::Notice, model: Some(name.clone()), message });
        }
        for (name, fee) in self.fees.iter().filter_map(|(name, fee)| Some((name, fee.notes.as_ref()?))) {
            findings.push(Finding { level: Level::Notice, model: None, message: format!("fee of {name}: {fee}") });
        }
        findings.sort_by_key(|f| std::cmp::Reverse(f.level));
        findings
    }
}

/// Rates in an order that no list of OpenAI ever had.
pub(super) fn oddities(period: &Period) -> Vec<String> {
    let mut odd = Vec::new();
    let standard = period.tiers.get(&ServiceTier::Standard).map(|t| t.short);
    for (tier, rates) in &period.tiers {
        let below = |a: &Rates, b: &Rates| a.iter().zip(b).any(|(a, b)| a < b);
        if let Some(standard) = &standard {
            let wrong = match tier {
                // Where a cheap tier has no cached rate, the input rate stands in for it, so only these two compare.
                ServiceTier::Flex | ServiceTier::Batch => rates.short[0] > standard[0] || rates.short[3] > standard[3],
                _ => below(&rates.short, standard),
            };
            if wrong {
                odd.push(format!("the {tier} rates are on the wrong side of the standard ones; check them"));
            }
        }
        if rates.long.is_some_and(|long| below(&long, &rates.short)) {
            odd.push(format!("long input costs less than short input in {tier}; check the rates"));
        }
        if rates.short[2] < rates.short[0] {
            odd.push(format!("a cache write costs less than input in {tier}; check the rates"));
        }
    }
    odd
}
