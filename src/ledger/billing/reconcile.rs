//! Reconciliation: what was billed beside what was observed, by the finest keys that both sides have, with the difference
//! explained. What was observed and the parts of the difference always add up to what was billed.

use super::balance::{Balance, Book, Group, scaled};
use super::lacking::{Lacking, Told, days_of};
use super::{Dims, Observed, Plan, tokens};
use crate::model::{
    Bill, BillingSource, Channel, Charge, ChargeKind, Currency, Day, Difference, Measured, Method, ReconcileKey,
    Reconciled, ServiceTier, TokenUsage, UNATTRIBUTED, split,
};
use std::collections::{BTreeMap, BTreeSet};

/// What came of it.
#[derive(Debug, Default)]
pub struct Reconciliation {
    /// All comparisons.
    pub rows: Vec<Reconciled>,
    /// What must be known of them.
    pub notes: Vec<String>,
    /// Observed responses of channels of which nothing is stored that could be compared.
    pub left_out: i64,
    /// How often invoices and what is counted instead of their usage differ.
    pub unlike: usize,
}

/// One side's comparison in the making.
struct Side<'a> {
    observed: &'a Observed,
    plan: &'a Plan<'a>,
}

/// Compares the month's bill with what was observed.
pub fn reconcile(bill: &Bill, observed: &Observed, plan: &Plan<'_>) -> Reconciliation {
    let side = Side { observed, plan };
    let notes = bill.unlike.iter().map(ToString::to_string).collect();
    let mut made = Reconciliation { notes, unlike: bill.unlike.len(), ..Reconciliation::default() };
    let usage: Vec<Charge> = bill.tokens_in(observed.period()).collect();
    let (mut money, mut credits, mut plans, mut others) = (Vec::new(), Vec::new(), 0, 0);
    for charge in bill.counted_in(observed.period()).filter(|charge| charge.kind == ChargeKind::Usage) {
        match (&charge.money, charge.channel) {
            (None, Channel::Chatgpt) => credits.push(charge),
            (Some(_), Channel::Chatgpt) => plans += 1,
            (Some(amount), _) if amount.currency.is_usd() => money.push(charge),
            _ => others += 1,
        }
    }
    for (n, what) in [(plans, "ChatGPT usage in money"), (others, "API usage in another unit than USD")] {
        if n > 0 {
            made.notes.push(format!("{n} charges are of {what}, which no list has a price of: not compared"));
        }
    }
    let (has_api, has_credits) = (!usage.is_empty() || !money.is_empty(), !credits.is_empty());
    if !usage.is_empty() {
        let dims = Dims::of(&usage, plan);
        let told = side.told(bill, BillingSource::Usage, &usage);
        let days = side.days(&told, BillingSource::Usage, &usage, "tokens", dims, &mut made.notes);
        made.rows.extend(tokens::compare(&usage, observed, plan, dims, &days));
    }
    if !money.is_empty() {
        side.money(bill, &money, &usage, &mut made);
    }
    if !credits.is_empty() {
        side.credits(bill, &credits, &mut made);
    }
    side.left_out(has_api, has_credits, &mut made);
    side.not_compared(&mut made.notes);
    let mut said = BTreeSet::new();
    made.notes.retain(|note| said.insert(note.clone()));
    made
}

impl Side<'_> {
    /// The days that the exports of a source or the charges tell of.
    fn told(&self, bill: &Bill, source: BillingSource, charges: &[Charge]) -> Told {
        let mut told = Told::new();
        for c in bill.covers().filter(|c| c.source == source) {
            let days = self.all_days().filter(|day| c.start <= day.start() && day.next().start() <= c.end);
            told.extend(days.map(|day| (c.account.clone(), day)));
        }
        for charge in charges {
            told.extend(days_of(charge).map(|day| (charge.account.clone(), day)));
        }
        told
    }

    fn all_days(&self) -> impl Iterator<Item = Day> + use<> {
        let period = self.observed.period();
        let all = std::iter::successors(Some(period.first_day()), |day| Some(day.next()));
        all.take_while(move |day| *day <= period.last_day())
    }

    /// The days that can be compared: those that the exports tell of. Says which keys and days these are.
    fn days(
        &self,
        told: &Told,
        source: BillingSource,
        charges: &[Charge],
        what: &str,
        dims: Dims,
        notes: &mut Vec<String>,
    ) -> BTreeSet<Day> {
        let told: BTreeSet<Day> = told.iter().map(|(_, day)| *day).collect();
        let (days, others): (BTreeSet<Day>, BTreeSet<Day>) = self.all_days().partition(|day| told.contains(day));
        let names = dims.names();
        let by = if names.is_empty() { "all together".to_string() } else { format!("by {}", names.join(", ")) };
        notes.push(format!("{what} are compared {by}, on {} days", days.len()));
        let project = |c: &Charge| c.api_key.clone().or_else(|| c.project.clone());
        let teams = charges.iter().filter(|charge| self.plan.team(charge).is_none()).filter_map(project).collect();
        let users =
            charges.iter().filter(|charge| self.plan.user(charge).is_none()).filter_map(|c| c.user.clone()).collect();
        notes.extend(unknown("teams", dims.team, teams).into_iter().chain(unknown("users", dims.user, users)));
        let left: i64 = self
            .observed
            .month(Channel::Api)
            .chain(self.observed.month(Channel::Chatgpt))
            .filter(|(day, row)| {
                others.contains(day) && (row.channel == Channel::Api.name()) != (source == BillingSource::Workspace)
            })
            .map(|(_, row)| row.responses)
            .sum();
        if left > 0 {
            notes.push(format!(
                "{left} responses were observed on days that are in no export of {}: not compared",
                source.name()
            ));
        }
        days
    }

    fn money(&self, bill: &Bill, charges: &[Charge], usage: &[Charge], made: &mut Reconciliation) {
        let dims = Dims { tier: false, ..Dims::of(charges, self.plan) };
        let told = self.told(bill, BillingSource::Costs, charges);
        let days = self.days(&told, BillingSource::Costs, charges, "amounts in USD", dims, &mut made.notes);
        let of_tokens = self.told(bill, BillingSource::Usage, usage);
        let lacking = Lacking::of(bill, &told, &of_tokens);
        let usage: Vec<Charge> = usage.iter().filter(|tokens| lacking.is_asked_for(tokens)).cloned().collect();
        let of = Dims::of(&usage, self.plan);
        let values = if !usage.is_empty() && dims.within(of) {
            self.values(dims, &tokens::compare(&usage, self.observed, self.plan, of, &days))
        } else {
            BTreeMap::new()
        };
        let mut accounts: BTreeMap<ReconcileKey, BTreeSet<&str>> = BTreeMap::new();
        for charge in charges.iter().filter(|charge| charge.money.as_ref().is_some_and(|money| money.pico.0 != 0)) {
            accounts.entry(dims.of_charge(charge, self.plan)).or_default().insert(&charge.account);
        }
        let mut without = BTreeSet::new();
        for (key, group) in self.groups(charges, Method::List, dims, &days) {
            let lacks = lacking.within(key.day, accounts.get(&key));
            let value = values.get(&key).copied().filter(|_| lacks.is_empty());
            if group.billed != group.observed {
                without.extend(lacks);
            }
            let parts = self.explain(&group, value);
            push(made, Measured::Money(Currency::usd().code().to_string()), key, &group, parts);
        }
        made.notes.extend(Lacking::note(&without).filter(|_| !values.is_empty()));
    }

    /// Both sides of the comparisons of these charges, which are of one book.
    fn groups(
        &self,
        charges: &[Charge],
        method: Method,
        dims: Dims,
        days: &BTreeSet<Day>,
    ) -> BTreeMap<ReconcileKey, Group> {
        let Some(book) = charges.first().map(|charge| Book::of(charge, method)) else { return BTreeMap::new() };
        Balance::of(&book, charges, self.observed, self.plan).groups(dims, days, self.plan)
    }

    /// What the differences in tokens are worth on the list, in pico-USD: of another tier, not observed, not billed. Nothing if
    /// some of what was billed has no price there.
    fn values(&self, dims: Dims, rows: &[Reconciled]) -> BTreeMap<ReconcileKey, [i128; 3]> {
        let mut values: BTreeMap<ReconcileKey, [i128; 3]> = BTreeMap::new();
        let mut unknown = BTreeSet::new();
        for row in rows {
            let Measured::Tokens(kind) = row.measured else { continue };
            let (key, rate) = (dims.project(&row.key), self.rate(&row.key, kind));
            if rate.is_none() && row.parts.iter().any(|(_, part)| *part > 0) {
                unknown.insert(key.clone());
            }
            let sums = values.entry(key).or_default();
            for (why, part) in &row.parts {
                let value = part * rate.unwrap_or(0);
                match why {
                    Difference::Tier => sums[0] += value,
                    Difference::NotObserved => sums[1] += value,
                    _ => sums[2] += value,
                }
            }
        }
        values.retain(|key, _| !unknown.contains(key));
        values
    }

    /// The price of a token of a kind, as for short input, if there is one.
    fn rate(&self, key: &ReconcileKey, kind: &str) -> Option<i128> {
        let one = |input, cached_input, cache_write, output| TokenUsage {
            input,
            cached_input,
            cache_write,
            output,
            reasoning: 0,
        };
        let usage = match kind {
            "uncached_input" => one(1, 0, 0, 0),
            "cached_input" => one(1, 1, 0, 0),
            "cache_write" => one(1, 0, 1, 0),
            _ => one(0, 0, 0, 1),
        };
        let tier = ServiceTier::from_wire(key.tier.as_deref());
        let on = |day: Day| self.plan.book.price(Channel::Api, key.model.as_deref(), &tier, day, &usage).list;
        let month = self.observed.period();
        // A model may have come in the middle of the month.
        let list = key.day.map_or_else(|| on(month.first_day()).or_else(|| on(month.last_day())), on);
        list.map(|amount| amount.pico.into())
    }

    /// The parts of a difference in money. `value` is what tokens say of it, if they were compared.
    fn explain(&self, group: &Group, value: Option<[i128; 3]>) -> Vec<(Difference, i128)> {
        let off = group.billed - group.observed;
        // What was billed beyond usage may stand beside usage that was not billed.
        let unknown = [0, group.unseen, off - group.unseen - group.beyond];
        let value = value.map(|value| if off == 0 { [0; 3] } else { value });
        let [tier, not_observed, over_observed] = value.unwrap_or(unknown);
        let mut rest = off - tier - not_observed - over_observed;
        let expected = group.observed + value.map_or(0, |_| off - rest);
        let mut parts = vec![(Difference::Tier, tier)];
        let mut take = |why: Difference, most: i128| {
            let part = most.min(rest).max(0);
            parts.push((why, part));
            rest -= part;
        };
        take(Difference::Region, expected * i128::from(self.plan.region_uplift_percent) / 100);
        if group.unpriced_tokens > 0 {
            take(Difference::Unpriced, i128::MAX);
        }
        let (not_observed, over_observed, price) = match value {
            None => (not_observed + rest, over_observed, 0),
            Some(_) => of_tokens(group, expected, (not_observed, over_observed, rest)),
        };
        parts.push((Difference::NotObserved, not_observed));
        parts.push((Difference::OverObserved, over_observed));
        parts.push((Difference::Price, price));
        parts
    }

    fn credits(&self, bill: &Bill, charges: &[Charge], made: &mut Reconciliation) {
        let dims = Dims { tier: false, ..Dims::of(charges, self.plan) };
        let told = self.told(bill, BillingSource::Workspace, charges);
        let days = self.days(&told, BillingSource::Workspace, charges, "credits", dims, &mut made.notes);
        for (key, group) in self.groups(charges, Method::Credits, dims, &days) {
            let off = group.billed - group.observed;
            let why = if group.unpriced_tokens > 0 { Difference::Unpriced } else { Difference::NotObserved };
            let same_tokens = !group.lacks_tokens && group.billed_tokens == Some(group.observed_tokens);
            let parts = if same_tokens && group.unseen == 0 && (off <= 0 || group.unpriced_tokens == 0) {
                vec![(Difference::Price, off)]
            } else {
                let over_observed = off - group.unseen - group.beyond;
                let not_observed = (Difference::NotObserved, group.unseen);
                vec![not_observed, (why, group.beyond), (Difference::OverObserved, over_observed)]
            };
            push(made, Measured::Credits, key, &group, parts);
        }
    }

    /// Usage of a channel of which no bill is stored: that the rest is equal says nothing of it.
    fn left_out(&self, has_api: bool, has_credits: bool, made: &mut Reconciliation) {
        for (channel, has) in [(Channel::Api, has_api), (Channel::Chatgpt, has_credits)] {
            let responses: i64 = self.observed.month(channel).map(|(_, row)| row.responses).sum();
            if !has && responses > 0 {
                made.left_out += responses;
                let text = "responses have no bill or export to be compared with";
                made.notes.push(format!("{}: {responses} {text}", channel.name()));
            }
        }
    }

    /// Usage of which nothing says how it is billed is on neither side.
    fn not_compared(&self, notes: &mut Vec<String>) {
        let unknown: i64 = self.observed.month(Channel::Unknown).map(|(_, row)| row.responses).sum();
        if unknown > 0 {
            notes.push(format!("{unknown} responses are of an unknown channel and are compared with nothing"));
        }
        let unowned = self.observed.month(Channel::Api).any(|(_, row)| row.owner[0] == UNATTRIBUTED);
        if unowned && !self.plan.projects.is_empty() {
            notes.push("some API usage has no team: it stands beside the teams of projects and keys".to_string());
        }
    }
}

/// What was not observed, what was not billed, and another price than the list's, which tokens tell of: all tokens were billed at
/// that. What is not observed is within what charges can be for: nothing of usage that they have none of.
fn of_tokens(group: &Group, expected: i128, (at_list, over, price): (i128, i128, i128)) -> (i128, i128, i128) {
    let same_price = split(price, &scaled(&[at_list, (expected - at_list).max(0)])).first().copied().unwrap_or(0);
    let said = at_list + same_price;
    let not_observed = said.clamp(group.unseen, group.most);
    let price = price - same_price;
    // What moves is first of the price, then of what stands beside it and was not billed.
    let moved = not_observed - said;
    let by_price = moved.clamp(price.min(0), price.max(0));
    let over_observed = (over - moved + by_price).min(0);
    (not_observed, over_observed, price + said + over - not_observed - over_observed)
}

/// Why something is not compared, if it is for want of a line in the configuration.
fn unknown(what: &str, is_compared: bool, ids: BTreeSet<String>) -> Option<String> {
    if is_compared || ids.is_empty() {
        return None;
    }
    let some = ids.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
    let n = ids.len();
    Some(format!(
        "{what} are not compared: {n} of the provider's ids are not below [billing] in config.toml, for example {some}"
    ))
}

fn push(
    made: &mut Reconciliation,
    measured: Measured,
    key: ReconcileKey,
    group: &Group,
    parts: Vec<(Difference, i128)>,
) {
    if group.billed == 0 && group.observed == 0 {
        return;
    }
    let mut sums: BTreeMap<Difference, i128> = BTreeMap::new();
    parts.into_iter().for_each(|(why, part)| *sums.entry(why).or_default() += part);
    let parts = sums.into_iter().filter(|(_, part)| *part != 0).collect();
    made.rows.push(Reconciled { measured, key, billed: group.billed, observed: group.observed, parts });
}
