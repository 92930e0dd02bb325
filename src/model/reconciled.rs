//! What was billed beside what was observed.

use super::Day;

/// Why the two differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Difference {
    /// Another tier was served than was requested.
    Tier,
    /// Regional processing costs more.
    Region,
    /// What was observed has no price.
    Unpriced,
    /// The same tokens were billed at another price than the list's.
    Price,
    /// It was billed and not observed.
    NotObserved,
    /// It was observed and not billed; below 0.
    OverObserved,
}

impl Difference {
    /// All of them, in the order of columns.
    pub const ALL: [Difference; 6] = [
        Difference::Tier,
        Difference::Region,
        Difference::Unpriced,
        Difference::Price,
        Difference::NotObserved,
        Difference::OverObserved,
    ];

    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Difference::Tier => "tier",
            Difference::Region => "region",
            Difference::Unpriced => "unpriced",
            Difference::Price => "price",
            Difference::NotObserved => "not_observed",
            Difference::OverObserved => "over_observed",
        }
    }
}

/// What is compared; figures of different units are never added.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Measured {
    /// Tokens of one kind: `uncached_input`, `cached_input`, `cache_write` or `output`.
    Tokens(&'static str),
    /// Money of a currency, in units of 10^-12.
    Money(String),
    /// ChatGPT credits, in units of 10^-12.
    Credits,
}

/// What both sides are compared by. What is empty is not compared.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReconcileKey {
    /// The UTC day.
    pub day: Option<Day>,
    /// The team, of the provider's project or API key.
    pub team: Option<String>,
    /// The user.
    pub user: Option<String>,
    /// The model.
    pub model: Option<String>,
    /// The tier.
    pub tier: Option<String>,
}

/// One comparison. What was observed and the parts of the difference add up to what was billed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reconciled {
    /// What is compared.
    pub measured: Measured,
    /// By what.
    pub key: ReconcileKey,
    /// What was billed.
    pub billed: i128,
    /// What was observed.
    pub observed: i128,
    /// The difference by reason; none of them 0.
    pub parts: Vec<(Difference, i128)>,
}

impl Reconciled {
    /// What is left unexplained: always 0.
    pub fn residual(&self) -> i128 {
        self.billed - self.observed - self.parts.iter().map(|(_, part)| part).sum::<i128>()
    }

    /// Whether the difference is more than so many millionths of what was billed.
    pub fn is_beyond(&self, millionths: i128) -> bool {
        let off: i128 = self.parts.iter().map(|(_, part)| part.abs()).sum();
        off > 0 && off.saturating_mul(1_000_000) > self.billed.abs().saturating_mul(millionths)
    }
}
