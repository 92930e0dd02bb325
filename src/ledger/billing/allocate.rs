//! Charges spread over owners, to the last unit.

use super::pool::{Pool, PoolKey, pools, scaled};
use super::seats::Seats;
use super::{Observed, Plan, nobody};
use crate::model::{
    Allocated, Bill, Channel, Charge, ChargeKind, Method, Money, Pico, Share, ShareClass, UNATTRIBUTED, split,
};
use std::collections::BTreeMap;

/// Who gets a part, and with which weight.
pub(super) type Weighted = (ShareClass, [String; 4], i128);

/// Spreads what was billed for the month over those who used it. The shares of each charge add up to it.
pub fn allocate(bill: &Bill, observed: &Observed, plan: &Plan<'_>) -> Vec<Allocated> {
    let charges: Vec<Charge> = bill.counted_in(observed.period()).collect();
    let methods: Vec<Method> = charges.iter().map(|charge| plan.method(charge)).collect();
    let pools = pools(charges.iter().zip(methods.iter().copied()), observed, plan);
    // What was billed and not observed in the whole month: it has its part of taxes, discounts and credit packs, too.
    let mut month: BTreeMap<(Channel, Method), BTreeMap<[String; 4], i128>> = BTreeMap::new();
    for (key, pool) in pools.iter().filter(|(_, pool)| pool.not_observed > 0) {
        *month.entry((key.channel(), key.method)).or_default().entry(pool.beyond.clone()).or_default() +=
            pool.not_observed;
    }
    let seats = Seats::of(bill, observed, plan);
    let spread = |(mut charge, method): (Charge, Method)| {
        let weights = match method {
            Method::Fixed => fixed(plan),
            Method::Seats => seats.weights(&charge, plan),
            Method::Credits | Method::List | Method::Tokens => {
                let pool_key = PoolKey::of(&charge, method, plan);
                let pool = &pools[&pool_key];
                if charge.kind == ChargeKind::Usage {
                    by_usage(pool, [(&pool.beyond, &pool.not_observed)])
                } else {
                    let team = plan.team(&charge);
                    let beyond = month.get(&(pool_key.channel(), method)).into_iter().flatten();
                    by_usage(pool, beyond.filter(|(owner, _)| team.is_none_or(|team| owner[0] == team)))
                }
            }
        };
        // What was drawn is told by another source; here it was only what the money is spread by.
        if bill.tells_credits_again(&charge) {
            charge.credits = None;
        }
        let shares = shares(&charge, method, weights, plan);
        Allocated { charge, shares }
    };
    charges.into_iter().zip(methods).map(spread).collect()
}

fn by_usage<'p>(pool: &'p Pool, beyond: impl IntoIterator<Item = (&'p [String; 4], &'p i128)>) -> Vec<Weighted> {
    let weighted = |class: ShareClass| move |(owner, weight): (&[String; 4], &i128)| (class, owner.clone(), *weight);
    let owners = pool.owners.iter().map(weighted(ShareClass::Allocated));
    let beyond = beyond.into_iter().filter(|(_, weight)| **weight > 0).map(weighted(ShareClass::NotObserved));
    owners.chain(beyond).collect()
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
    let numbers = scaled(&weights.iter().map(|(.., weight)| *weight).collect::<Vec<_>>());
    let parts = |pico: Pico| split(pico.0, &numbers);
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
