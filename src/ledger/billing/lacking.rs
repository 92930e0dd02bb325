//! Which tokens are lacking to explain amounts: they explain those of their own accounts and days, and only if they are all.

use crate::model::{Bill, BillingSource, Charge, Day};
use std::collections::{BTreeMap, BTreeSet};

/// The days that exports tell of, by account.
pub(super) type Told = BTreeSet<(String, Day)>;

/// What files are of that do not name an organisation of the API.
const UNNAMED: &str = "openai";

/// The days of amounts with what tokens there are of them.
pub(super) struct Lacking<'t> {
    /// The account of the tokens and the day, with what amounts have and whether all tokens are there.
    days: BTreeMap<(&'t str, Day), (&'t str, bool)>,
}

impl<'t> Lacking<'t> {
    /// `money` and `tokens` are what amounts and tokens are of.
    pub fn of(bill: &Bill, money: &'t Told, tokens: &'t Told) -> Self {
        // Files of the Usage API name no organisation. Of one that has all amounts, they can only be those.
        let (of_money, of_tokens) = (only(money), only(tokens));
        let is_one = of_money.is_some() && (of_money == Some(UNNAMED) || of_tokens == Some(UNNAMED));
        let same = of_tokens.filter(|_| is_one);
        let one = |(account, day): &'t (String, Day)| {
            let of = same.unwrap_or(account);
            ((of, *day), (account.as_str(), bill.has_all(BillingSource::Usage, of, *day)))
        };
        Lacking { days: money.iter().map(one).collect() }
    }

    /// Whether tokens are of a day and an account that amounts are of.
    pub fn is_asked_for(&self, tokens: &Charge) -> bool {
        days_of(tokens).any(|day| self.days.contains_key(&(tokens.account.as_str(), day)))
    }

    /// The accounts and days of a comparison whose tokens are not all there.
    pub fn within(&self, day: Option<Day>, accounts: Option<&BTreeSet<&str>>) -> BTreeSet<(&'t str, Day)> {
        let lacking = self.days.iter().filter(|(_, (_, is_there))| !is_there);
        let days = lacking.map(|((_, day), (account, _))| (*account, *day));
        let is_of = |(account, at): &(&str, Day)| {
            day.is_none_or(|day| day == *at) && accounts.is_none_or(|accounts| accounts.contains(account))
        };
        days.filter(is_of).collect()
    }

    /// What must be known of these.
    pub fn note(lacking: &BTreeSet<(&str, Day)>) -> Option<String> {
        let (account, day) = lacking.first()?;
        let n = lacking.len();
        Some(format!(
            "amounts in USD are of {n} days of accounts that not all tokens are there of, for example {account} on {day}: tokens \
             explain nothing of them; import all, with the same --account"
        ))
    }
}

/// The account, if there is one.
fn only(told: &Told) -> Option<&str> {
    let (first, last) = (&told.first()?.0, &told.last()?.0);
    (first == last).then_some(first.as_str())
}

/// The days of a charge.
pub(super) fn days_of(charge: &Charge) -> impl Iterator<Item = Day> + use<> {
    let last = charge.last_day();
    std::iter::successors(Some(charge.first_day()), |day| Some(day.next())).take_while(move |day| *day <= last)
}
