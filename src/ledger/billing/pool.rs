//! Pools: charges that the same observed usage stands behind. They share its weights, and what their sum has beyond it was
//! not observed.

use super::{Observed, ObservedRow, Plan, SEARCHES};
use crate::model::{Channel, Charge, ChargeKind, Day, Method};
use std::collections::BTreeMap;

/// What a charge is held against: usage of these days, of this team, user and model.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PoolKey {
    pub method: Method,
    is_money: bool,
    chatgpt: bool,
    from: Day,
    to: Day,
    team: Option<String>,
    user: Option<String>,
    item: Item,
}

/// What usage it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Item {
    Any,
    Model(String),
    /// Calls of hosted tools.
    Fees,
}

/// The weights of a pool.
#[derive(Debug, Clone, Default)]
pub(super) struct Pool {
    /// The usage of each owner, measured by the method.
    pub owners: BTreeMap<[String; 4], i128>,
    /// What was billed beyond it, in the same measure.
    pub not_observed: i128,
    /// Whose that is.
    pub beyond: [String; 4],
}

impl PoolKey {
    pub fn of(charge: &Charge, method: Method, plan: &Plan<'_>) -> Self {
        let item = match plan.model(charge) {
            Some(model) if model == SEARCHES => Item::Fees,
            Some(model) => Item::Model(model),
            None => Item::Any,
        };
        PoolKey {
            method,
            is_money: charge.money.is_some(),
            chatgpt: charge.channel == Channel::Chatgpt,
            from: charge.first_day(),
            to: charge.last_day(),
            team: plan.team(charge).map(str::to_string),
            user: plan.user(charge),
            item,
        }
    }

    pub fn channel(&self) -> Channel {
        if self.chatgpt { Channel::Chatgpt } else { Channel::Api }
    }

    /// What the method makes of some usage.
    fn measure(&self, row: &ObservedRow) -> i128 {
        match (self.method, &self.item) {
            (Method::Tokens, _) => row.tokens.total().into(),
            (Method::Credits, _) => row.credits,
            (_, _) if self.chatgpt => row.api_equivalent,
            (_, Item::Fees) => row.fees_usd,
            (_, Item::Model(_)) => row.list_usd,
            (_, Item::Any) => row.list_usd + row.fees_usd,
        }
    }

    /// What was billed, in the same measure; nothing if it cannot be compared.
    fn billed(&self, charge: &Charge) -> Option<i128> {
        match self.method {
            Method::Credits => charge.credits.map(|credits| credits.0),
            Method::List if !self.chatgpt => {
                charge.money.as_ref().filter(|money| money.currency.is_usd()).map(|money| money.pico.0)
            }
            _ => None,
        }
    }

    fn fits(&self, row: &ObservedRow, plan: &Plan<'_>) -> bool {
        let [team, .., user] = &row.owner;
        self.team.as_ref().is_none_or(|wanted| wanted == team)
            && self.user.as_ref().is_none_or(|wanted| *wanted == user.to_lowercase())
            && match &self.item {
                Item::Model(model) => plan.model_name(&row.model) == *model,
                Item::Fees | Item::Any => true,
            }
    }
}

/// The pools of some charges, each with its weights.
pub(super) fn pools<'c>(
    charges: impl Iterator<Item = (&'c Charge, Method)>,
    observed: &Observed,
    plan: &Plan<'_>,
) -> BTreeMap<PoolKey, Pool> {
    let mut pools: BTreeMap<PoolKey, (Pool, i128)> = BTreeMap::new();
    for (charge, method) in charges {
        let key = PoolKey::of(charge, method, plan);
        let billed = key.billed(charge).filter(|_| charge.kind == ChargeKind::Usage).unwrap_or(0);
        let (_, sum) = pools.entry(key.clone()).or_insert_with(|| {
            // All charges of a pool are of the same team and user.
            let beyond = plan.owner_of(charge);
            (Pool { beyond, ..weights(&key, observed, plan) }, 0)
        });
        *sum += billed;
    }
    let beyond = |(key, (mut pool, billed)): (PoolKey, (Pool, i128))| {
        pool.not_observed = (billed - pool.owners.values().sum::<i128>()).max(0);
        (key, pool)
    };
    pools.into_iter().map(beyond).collect()
}

fn weights(key: &PoolKey, observed: &Observed, plan: &Plan<'_>) -> Pool {
    let mut pool = Pool::default();
    for (_, row) in observed.rows(key.from, key.to, key.channel()).filter(|(_, row)| key.fits(row, plan)) {
        let measure = key.measure(row);
        if measure > 0 {
            *pool.owners.entry(row.owner.clone()).or_default() += measure;
        }
    }
    pool
}

/// Weights that a split can use: in the same proportion, as exactly as 60 bits are.
pub(super) fn scaled(weights: &[i128]) -> Vec<u64> {
    const MOST: i128 = 1 << 60;
    let total: i128 = weights.iter().sum();
    let by = total / MOST + 1;
    weights.iter().map(|weight| u64::try_from(weight / by).unwrap_or(0)).collect()
}
