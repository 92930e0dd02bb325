//! Lines as they are booked in a month: what seals hold, and what corrections are differences of.

use super::{BillingPeriod, Day, Sums, ThreadId, Timestamp, TokenSums};
use serde::{Deserialize, Serialize};

/// One line of a sealed month, or a correction of one. In plain texts, so that it stays what it is whatever the program learns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Booked {
    /// The line's id in its session.
    pub line: String,
    /// The month whose usage it is, or corrects.
    pub of: BillingPeriod,
    /// `usage` or `correction`.
    pub class: String,
    /// Why there is a correction; else empty.
    pub reason: String,
    /// When the response was.
    pub time: Timestamp,
    /// Its thread.
    pub thread: String,
    /// Its turn; empty if unknown.
    pub turn: String,
    /// Its response id; empty if unknown.
    pub response: String,
    /// Team, cost centre, project, user, client, channel, model and tier, as in rollups.
    pub values: [String; 8],
    /// Why this team pays.
    pub team_why: String,
    /// The sources that saw the response.
    pub evidence: String,
    /// Why it has no price; empty if it has one or needs none.
    pub unpriced: String,
    /// One response; of a correction, how many more.
    pub responses: i64,
    /// Its tokens.
    pub tokens: TokenSums,
    /// Its amounts.
    pub sums: Sums,
    /// The tokens without a price.
    pub unpriced_tokens: i64,
    /// How strong the reason for the team is.
    pub team_strength: String,
    /// What the thread is.
    pub thread_kind: String,
    /// The labels, as [`super::Labels`] writes them.
    pub labels: String,
    /// The price: its model, period, tier and rates; empty if there is none.
    pub price: String,
    /// What exports tell besides. It is kept behind all lines, since it came later.
    #[serde(skip)]
    pub detail: BookedDetail,
}

/// What a line's amounts are made of, in numbers. Nothing is added up from it: what it says is checked against the amounts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BookedDetail {
    /// The price of its own list; nothing if that has none.
    pub price: Option<BookedPrice>,
    /// The rates of the contract list: pico-units per token, of the same kinds.
    pub contract_pico_per_token: Option<[i64; 4]>,
}

/// The price behind an amount.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BookedPrice {
    /// The model's name in the price book.
    pub model: String,
    /// The first day of the price period, as days since 1970.
    pub from: i32,
    /// The whole request was rated as long input.
    pub long_context: bool,
    /// Pico-units per token: uncached input, cached input, cache write, output.
    pub pico_per_token: [i64; 4],
}

impl BookedPrice {
    /// The first day of the price period.
    pub fn effective_from(&self) -> Day {
        Day::of_epoch_days(self.from)
    }
}

impl Booked {
    /// Whether it says nothing.
    pub fn is_nothing(&self) -> bool {
        self.responses == 0
            && self.tokens == TokenSums::default()
            && self.sums.without_zeros() == Sums::default()
            && self.unpriced_tokens == 0
    }
}

/// A line in the books: of a sealed month, or a correction that the first open month has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posting {
    /// The month that it is booked in.
    pub month: BillingPeriod,
    /// Whether that is sealed.
    pub is_sealed: bool,
    /// What is booked.
    pub line: Booked,
}

/// What a seal holds of one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSession {
    /// The session.
    pub session: ThreadId,
    /// The sealed month.
    pub period: BillingPeriod,
    /// The month's part of the session's rollup, encoded.
    pub part: Vec<u8>,
    /// Its lines of that month, corrections of earlier months among them.
    pub lines: Vec<Booked>,
}

/// A sealed month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// The month.
    pub period: BillingPeriod,
    /// `seal.json`.
    pub json: Vec<u8>,
    /// Its SHA-256 in hexadecimal digits, which the next seal names.
    pub sha256: String,
}
