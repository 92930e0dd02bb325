//! A sealed month in the cents that were booked of it, so that what is shown adds up.

use super::tally::{Row, Tally, View};
use super::{About, Month};
use crate::model::{CENT, Unit, cents_of_total};
use crate::report::Cell;
use serde_json::Value;
use std::collections::BTreeMap;

/// What a seal booked: by team, cost centre and channel, and by the name of the amount.
pub type BookedCents = BTreeMap<[String; 3], BTreeMap<String, i128>>;

/// Reads what a seal booked; nothing if that is not what it should be.
pub fn booked_cents(seal: &Value) -> Option<BookedCents> {
    let owner = |owner: &Value| {
        let key = ["team", "cost_centre", "channel"].map(|name| owner[name].as_str().map(str::to_string));
        let [Some(team), Some(cost_centre), Some(channel)] = key else { return None };
        let amount = |(name, text): (&String, &Value)| Some((name.clone(), pico(text.as_str()?)?));
        let amounts = owner["booked"].as_object()?.iter().map(amount).collect::<Option<_>>()?;
        Some(([team, cost_centre, channel], amounts))
    };
    seal["owners"].as_array()?.iter().map(owner).collect()
}

/// An amount with two digits after the point.
fn pico(text: &str) -> Option<i128> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, cents) = digits.split_once('.').filter(|(_, cents)| cents.len() == 2)?;
    Some(sign * (whole.parse::<i128>().ok()? * 100 + cents.parse::<i128>().ok()?) * CENT)
}

/// The rows of a summary with what was booked of each; nothing of a month that is not booked.
pub(super) struct Cents<'m> {
    rows: Option<Vec<(&'m [Cell], Option<i128>)>>,
}

impl<'m> Cents<'m> {
    /// Shares what was booked of an owner over the owner's rows: its usage, and the corrections that were sealed with it.
    pub fn of(month: &'m Month, about: &About) -> Self {
        let Some(booked) = about.booked.as_ref().filter(|_| month.lines.range.zone.is_utc()) else {
            return Cents { rows: None };
        };
        let view = View::of(&month.summary);
        let mut rows: Vec<(&[Cell], Option<i128>)> = view.rows().map(|row| (row.cells, None)).collect();
        let mut owners: BTreeMap<[String; 3], Vec<(usize, i128)>> = BTreeMap::new();
        for (at, row) in view.rows().enumerate() {
            if let Some(exact) = amount(&row, about) {
                let owner = ["team", "cost_centre", "channel"].map(|name| row.text(name).to_string());
                owners.entry(owner).or_default().push((at, exact));
            }
        }
        for (owner, of) in owners {
            let total = about.basis.amount(&owner[2]).and_then(|(name, _)| booked.get(&owner)?.get(name));
            let Some(total) = total else { continue };
            let exact: Vec<i128> = of.iter().map(|(_, exact)| *exact).collect();
            for ((at, _), cents) in of.iter().zip(cents_of_total(&exact, *total)) {
                rows[*at].1 = Some(cents);
            }
        }
        Cents { rows: Some(rows) }
    }

    /// Whether the month is booked.
    pub fn are_booked(&self) -> bool {
        self.rows.is_some()
    }

    /// What was booked of a row of the summary.
    pub fn of_row(&self, at: usize) -> Option<i128> {
        self.rows.as_ref()?.get(at)?.1
    }

    /// The tally with what was booked of the rows of the summary that it is of, in the place of its exact amounts.
    pub fn instead(&self, month: &Month, about: &About, tally: Tally, is_of: impl Fn(&Row<'_, '_>) -> bool) -> Tally {
        if self.rows.is_none() {
            return tally;
        }
        let view = View::of(&month.summary);
        let mut sum = Tally { usd: None, credits: None, ..tally };
        for (at, row) in view.rows().enumerate().filter(|(_, row)| is_of(row)) {
            let Some((_, unit)) = about.basis.amount(row.text("channel")) else { continue };
            sum += Tally::of_amount(unit, self.of_row(at));
        }
        sum
    }

    /// The tallies with amounts in cents that add up to those of their total; of a month that is not booked as they are.
    pub fn share<K: Ord>(&self, groups: &mut BTreeMap<K, Tally>, total: &Tally) {
        if self.rows.is_none() {
            return;
        }
        for unit in [Unit::Usd, Unit::Credit] {
            let Some(total) = total.amount(unit) else { continue };
            let exact: Vec<i128> = groups.values().filter_map(|tally| tally.amount(unit)).collect();
            let with = groups.values_mut().filter(|tally| tally.amount(unit).is_some());
            for (tally, cents) in with.zip(cents_of_total(&exact, total)) {
                *tally.amount_mut(unit) = Some(cents);
            }
        }
    }
}

fn amount(row: &Row<'_, '_>, about: &About) -> Option<i128> {
    about.basis.amount(row.text("channel")).and_then(|(column, _)| row.amount(column))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cents_are_read_as_they_were_written() {
        let read = |text: &str| pico(text).map(|pico| pico / CENT);
        assert_eq!(["0.01", "-0.01", "12.30", "-1.05"].map(read), [Some(1), Some(-1), Some(1230), Some(-105)]);
        assert_eq!(["1", "1.5", "1.234", "", "x.00"].map(read), [None; 5]);
    }
}
