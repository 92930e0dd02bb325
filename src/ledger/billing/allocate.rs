//! Charges spread over owners, to the last unit.

use super::balance::{Balance, Book, Pool, scaled};
use super::key::Key;
use super::seats::Seats;
use super::{Dims, Observed, Plan, nobody, reconcile};
use crate::model::{
    Allocated, Bill, Channel, Charge, ChargeKind, Difference, Measured, Method, Money, Pico, ReconcileKey, Share,
    ShareClass, UNATTRIBUTED, split,
};
use std::collections::BTreeMap;

/// Who gets a part, and with which weight.
pub(super) type Weighted = (ShareClass, [String; 4], i128);

/// The balances of all charges that are spread by usage.
type Balances<'o> = BTreeMap<Book, Balance<'o>>;

/// Spreads what was billed for the month over those who used it. The shares of each charge add up to it.
pub fn allocate(bill: &Bill, observed: &Observed, plan: &Plan<'_>) -> Vec<Allocated> {
    let charges: Vec<Charge> = bill.counted_in(observed.period()).collect();
    let balances = balances(bill, &charges, observed, plan);
    let month = month(&balances);
    let seats = Seats::of(bill, observed, plan);
    let mut before: BTreeMap<(Book, Key), i128> = BTreeMap::new();
    let spread = |mut charge: Charge| {
        let method = plan.method(&charge);
        let weights = match method {
            Method::Fixed => fixed(plan),
            Method::Seats => seats.weights(&charge, plan),
            Method::Credits | Method::List | Method::Tokens => {
                let book = Book::of(&charge, method);
                let (key, balance) = (Key::of(&charge, &book, plan), &balances[&book]);
                let weights = if let (ChargeKind::Usage, Some(pool)) = (charge.kind, balance.pools.get(&key)) {
                    let amount = book.amount(&charge);
                    let before = before.entry((book, key.clone())).or_default();
                    let weights = of_pool(pool, *before, amount, || balance.usage(&key));
                    *before += amount;
                    weights
                } else {
                    let team = plan.team(&charge);
                    let beyond = month.get(&(book.channel, method)).into_iter().flatten();
                    by_usage(&balance.usage(&key), beyond.filter(|(owner, _)| team.is_none_or(|team| owner[0] == team)))
                };
                if weights.is_empty() { by_usage(&balance.unpriced(&key), []) } else { weights }
            }
        };
        // What was drawn is told by another source; here it was only what the money is spread by.
        if bill.tells_credits_again(&charge) {
            charge.credits = None;
        }
        let shares = shares(&charge, method, weights, plan);
        Allocated { charge, shares }
    };
    charges.into_iter().map(spread).collect()
}

/// What was billed and not observed in the whole month: it has its part of taxes, discounts and credit packs, too.
fn month(balances: &Balances<'_>) -> BTreeMap<(Channel, Method), BTreeMap<[String; 4], i128>> {
    let mut month: BTreeMap<(Channel, Method), BTreeMap<[String; 4], i128>> = BTreeMap::new();
    for (book, balance) in balances {
        // The credits that an invoice has money for are those that the export has by day.
        let by_day = Book { unit: None, ..book.clone() };
        if by_day != *book && balances.get(&by_day).is_some_and(|balance| !balance.pools.is_empty()) {
            continue;
        }
        let of_book = month.entry((book.channel, book.method)).or_default();
        for pool in balance.pools.values().filter(|pool| pool.not_observed > 0) {
            *of_book.entry(pool.nobodys.clone()).or_default() += pool.not_observed;
        }
    }
    month
}

fn balances<'o>(bill: &Bill, charges: &[Charge], observed: &'o Observed, plan: &Plan<'_>) -> Balances<'o> {
    let mut books: BTreeMap<Book, Vec<&Charge>> = BTreeMap::new();
    for charge in charges {
        let of_book = books.entry(Book::of(charge, plan.method(charge))).or_default();
        if charge.kind == ChargeKind::Usage {
            of_book.push(charge);
        }
    }
    let compared = reconcile(bill, observed, plan).rows;
    let not_observed = |measured: &Measured| -> BTreeMap<ReconcileKey, i128> {
        let rows = compared.iter().filter(|row| row.measured == *measured);
        let part = |why: Difference, part: i128| if why == Difference::NotObserved { part } else { 0 };
        rows.map(|row| (row.key.clone(), row.parts.iter().map(|(why, n)| part(*why, *n)).sum())).collect()
    };
    let made = |(book, charges): (Book, Vec<&Charge>)| {
        let mut balance = Balance::of(&book, &charges, observed, plan);
        if let Some(measured) = book.compared() {
            balance.explain(Dims::of(&charges, plan), &not_observed(&measured));
        }
        (book, balance)
    };
    books.into_iter().map(made).collect()
}

/// The weights of a usage charge of a pool of which so much stands before it. Those of what was not observed are such that all of
/// the pool's charges together have exactly what it has.
fn of_pool(
    pool: &Pool,
    before: i128,
    amount: i128,
    usage: impl FnOnce() -> BTreeMap<[String; 4], i128>,
) -> Vec<Weighted> {
    let beyond = pool.not_observed;
    let is_all_beyond = beyond > 0 && beyond == pool.billed;
    let owners = if pool.owners.is_empty() && !is_all_beyond { usage() } else { pool.owners.clone() };
    if amount == 0 || owners.is_empty() {
        return by_usage(&owners, [(&pool.nobodys, &beyond)]);
    }
    let of_first = |sum: i128| match sum == pool.billed {
        true => beyond,
        false => split(sum, &scaled(&[beyond, pool.billed - beyond])).first().copied().unwrap_or(0),
    };
    let part = if beyond > 0 { of_first(before + amount) - of_first(before) } else { 0 };
    let parts = split((amount - part).abs(), &scaled(&owners.values().copied().collect::<Vec<_>>()));
    by_usage(&owners.into_keys().zip(parts).collect(), [(&pool.nobodys, &part.abs())])
}

fn by_usage<'p>(
    usage: &BTreeMap<[String; 4], i128>,
    beyond: impl IntoIterator<Item = (&'p [String; 4], &'p i128)>,
) -> Vec<Weighted> {
    let weighted = |class: ShareClass| move |(owner, weight): (&[String; 4], &i128)| (class, owner.clone(), *weight);
    let owners = usage.iter().map(weighted(ShareClass::Allocated));
    let beyond = beyond.into_iter().map(weighted(ShareClass::NotObserved));
    owners.chain(beyond).filter(|(.., weight)| *weight > 0).collect()
}

fn fixed(plan: &Plan<'_>) -> Vec<Weighted> {
    let owner = |team: &String| [team.as_str(), UNATTRIBUTED, UNATTRIBUTED, UNATTRIBUTED].map(str::to_string);
    let weighted = |(team, weight): (&String, &u32)| (ShareClass::Allocated, owner(team), i128::from(*weight));
    plan.fixed.iter().map(weighted).collect()
}

fn shares(charge: &Charge, method: Method, mut weights: Vec<Weighted>, plan: &Plan<'_>) -> Vec<Share> {
    if weights.iter().all(|(.., weight)| *weight <= 0) {
        // Nobody is known to have used it.
        let class = if charge.kind == ChargeKind::Seat { ShareClass::Idle } else { ShareClass::NotObserved };
        let owner =
            if charge.kind == ChargeKind::Seat && charge.email.is_none() { nobody() } else { plan.owner_of(charge) };
        weights = vec![(class, owner, 1)];
    }
    let exact: Vec<i128> = weights.iter().map(|(.., weight)| *weight).collect();
    let numbers = scaled(&exact);
    // Weights that are the parts are not rounded, however large.
    let is_parts = |pico: Pico| exact.iter().sum::<i128>() == pico.0.abs();
    let parts = |pico: Pico| match is_parts(pico) {
        true => exact.iter().map(|part| part * pico.0.signum()).collect(),
        false => split(pico.0, &numbers),
    };
    let money = charge.money.as_ref().map(|money| (parts(money.pico), &money.currency));
    let credits = charge.credits.map(parts);
    let share = |(i, (class, owner, _)): (usize, Weighted)| Share {
        method,
        class,
        owner,
        money: money.as_ref().map(|(parts, currency)| Money {
            pico: Pico(parts[i]),
            currency: (*currency).clone(),
            written: None,
        }),
        credits: credits.as_ref().map(|parts| Pico(parts[i])),
    };
    weights.into_iter().enumerate().map(share).collect()
}
