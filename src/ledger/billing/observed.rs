//! What was observed of a month, by day: the other side of a bill.

use crate::model::{BillingPeriod, Channel, Day, LineClass, SessionRollup, Slot, TokenSums};
use std::collections::BTreeMap;

/// The usage of one day under the same keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObservedRow {
    /// Team, cost centre, project and user.
    pub owner: [String; 4],
    /// How it is billed.
    pub channel: String,
    /// The requested model.
    pub model: String,
    /// The requested tier.
    pub tier: String,
    /// How many responses.
    pub responses: i64,
    /// Their tokens.
    pub tokens: TokenSums,
    /// API usage on the public list, in pico-USD.
    pub list_usd: i128,
    /// ChatGPT usage on the public list, in pico-credits.
    pub credits: i128,
    /// ChatGPT usage on the API list, in pico-USD; billed by nobody.
    pub api_equivalent: i128,
    /// Fees of hosted tools, in pico-USD.
    pub fees_usd: i128,
    /// The tokens of what has no price.
    pub unpriced_tokens: i64,
}

/// A day's usage by owner, channel, model and tier.
type ByKeys = BTreeMap<([String; 4], String, String, String), ObservedRow>;

/// The usage of a month.
#[derive(Debug, Clone)]
pub struct Observed {
    period: BillingPeriod,
    days: BTreeMap<Day, ByKeys>,
}

impl Observed {
    /// A month without usage.
    pub fn new(period: BillingPeriod) -> Self {
        Observed { period, days: BTreeMap::new() }
    }

    /// Adds a session. What corrects other months is of those.
    pub fn add(&mut self, session: &SessionRollup<'_>) {
        for row in &session.usage {
            let Some(to) = self.row(session, row.slot, row.keys) else { continue };
            to.responses += row.responses;
            to.tokens += row.tokens;
            to.list_usd += row.sums.list_usd.unwrap_or(0);
            to.credits += row.sums.credits.unwrap_or(0);
            to.api_equivalent += row.sums.api_equivalent.unwrap_or(0);
            to.unpriced_tokens += row.unpriced_tokens;
        }
        for row in &session.tools {
            if let Some(fees) = row.fees_usd
                && let Some(to) = self.row(session, row.slot, row.keys)
            {
                to.fees_usd += fees;
            }
        }
    }

    fn row(&mut self, session: &SessionRollup<'_>, slot: Slot, keys: u32) -> Option<&mut ObservedRow> {
        let day = slot.start().day();
        let keys = &session.keys[keys as usize];
        if day.period() != self.period || keys.class != LineClass::Usage.name() {
            return None;
        }
        let [team, cost_centre, project, user, _, channel, model, tier] = keys.values.map(str::to_string);
        let owner = [team, cost_centre, project, user];
        Some(self.insert(day, ObservedRow { owner, channel, model, tier, ..ObservedRow::default() }))
    }

    /// The row of these keys.
    pub fn insert(&mut self, day: Day, new: ObservedRow) -> &mut ObservedRow {
        let key = (new.owner.clone(), new.channel.clone(), new.model.clone(), new.tier.clone());
        self.days.entry(day).or_default().entry(key).or_insert(new)
    }

    /// The month.
    pub fn period(&self) -> BillingPeriod {
        self.period
    }

    /// The rows of some days, both included, that are billed in this way.
    pub fn rows(&self, from: Day, to: Day, channel: Channel) -> impl Iterator<Item = (Day, &ObservedRow)> {
        let days = if from <= to { Some(self.days.range(from..=to)) } else { None };
        let rows = days.into_iter().flatten().flat_map(|(day, rows)| rows.values().map(move |row| (*day, row)));
        rows.filter(move |(_, row)| row.channel == channel.name())
    }

    /// All rows of the month that are billed in this way.
    pub fn month(&self, channel: Channel) -> impl Iterator<Item = (Day, &ObservedRow)> {
        self.rows(self.period.first_day(), self.period.last_day(), channel)
    }
}
