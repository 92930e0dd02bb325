//! Seats: who sat on them, and which were idle.

use super::allocate::Weighted;
use super::{Observed, Plan, nobody};
use crate::model::{Bill, BillingSource, Channel, Charge, ChargeKind, ShareClass, split};
use std::collections::{BTreeMap, BTreeSet};

/// One seat, in the unit in which quantities are kept.
pub(super) const SEAT: i128 = 1_000_000_000_000;

/// The users of a month.
pub(super) struct Seats<'b> {
    /// The tokens of each user whose usage was observed, by owner.
    observed: BTreeMap<String, BTreeMap<[String; 4], u64>>,
    /// The users that the workspace's export has with usage and of whom nothing was observed: a row of each.
    exported: BTreeMap<String, &'b Charge>,
    /// The users with a seat of their own, by account.
    named: BTreeSet<(String, String)>,
    /// The seats without a name of each account: the most that it had on a day of the month, in the unit of quantities.
    bought: BTreeMap<String, i128>,
}

impl<'b> Seats<'b> {
    pub fn of(bill: &'b Bill, observed: &Observed, plan: &Plan<'_>) -> Self {
        let mut users: BTreeMap<String, BTreeMap<[String; 4], u64>> = BTreeMap::new();
        for (_, row) in observed.month(Channel::Chatgpt) {
            let tokens = users.entry(row.owner[3].to_lowercase()).or_default().entry(row.owner.clone()).or_default();
            *tokens += u64::try_from(row.tokens.total()).unwrap_or(0);
        }
        let period = observed.period();
        let of_month = |charge: &&Charge| charge.first_day().period() <= period && period <= charge.last_day().period();
        let mut exported = BTreeMap::new();
        let mut named = BTreeSet::new();
        for charge in bill.counted().filter(of_month) {
            let Some(user) = plan.user(charge).or_else(|| charge.user.clone()) else { continue };
            if charge.kind == ChargeKind::Seat {
                named.insert((charge.account.clone(), user));
            } else if charge.source == BillingSource::Workspace && is_used(charge) && !users.contains_key(&user) {
                exported.entry(user).or_insert(charge);
            }
        }
        let unnamed = |charge: &&Charge| charge.kind == ChargeKind::Seat && plan.user(charge).is_none();
        let seats: Vec<&Charge> = bill.counted().filter(of_month).filter(unnamed).collect();
        Seats { observed: users, exported, named, bought: most_at_once(&seats) }
    }

    /// Whose a seat charge is.
    pub fn weights(&self, charge: &Charge, plan: &Plan<'_>) -> Vec<Weighted> {
        if let Some(user) = plan.user(charge) {
            return self.user(&user, plan).unwrap_or_else(|| vec![(ShareClass::Idle, plan.owner_of(charge), SEAT)]);
        }
        let has_own = |user: &&String| self.named.contains(&(charge.account.clone(), (*user).clone()));
        let users: Vec<&String> =
            self.observed.keys().chain(self.exported.keys()).filter(|user| !has_own(user)).collect();
        // All seats of an account are alike: each row is shared as all of them are.
        let bought = self.bought.get(&charge.account).copied().unwrap_or(0);
        let idle = bought - SEAT * users.len() as i128;
        let mut weights: Vec<Weighted> =
            users.iter().flat_map(|user| self.user(user, plan).unwrap_or_default()).collect();
        if idle > 0 {
            weights.push((ShareClass::Idle, nobody(), idle));
        }
        weights
    }

    /// How many seats of an account nobody used, in the unit of quantities; `charges` are those of the month.
    pub fn idle<'c>(&self, account: &str, charges: impl Iterator<Item = &'c Charge>, plan: &Plan<'_>) -> i128 {
        let of_account = charges.filter(|charge| charge.kind == ChargeKind::Seat && charge.account == account);
        let (named, unnamed): (Vec<&Charge>, Vec<&Charge>) = of_account.partition(|charge| plan.user(charge).is_some());
        let idle = |charge: &&Charge| {
            let weights = self.weights(charge, plan);
            weights.iter().filter(|(class, ..)| *class == ShareClass::Idle).map(|(.., weight)| weight).sum::<i128>()
        };
        named.iter().map(idle).sum::<i128>() + unnamed.first().map(idle).unwrap_or(0)
    }

    /// How many seats without a name an account has, in the unit of quantities.
    pub fn bought(&self, account: &str) -> Option<i128> {
        self.bought.get(account).copied()
    }

    /// The teams of those whom only the export of this account has: one for each of them.
    pub fn not_observed(&self, account: &str, plan: &Plan<'_>) -> Vec<String> {
        let of_account = self.exported.values().filter(|charge| charge.account == account);
        of_account.map(|charge| plan.owner_of(charge)[0].clone()).collect()
    }

    /// A seat's parts by the tokens of its user's owners; nothing of a user who did nothing.
    fn user(&self, user: &str, plan: &Plan<'_>) -> Option<Vec<Weighted>> {
        if let Some(owners) = self.observed.get(user) {
            let tokens: Vec<u64> = owners.values().copied().collect();
            let parts = split(SEAT, &tokens);
            let weighted = |(owner, part): (&[String; 4], i128)| (ShareClass::Allocated, owner.clone(), part);
            return Some(owners.keys().zip(parts).map(weighted).filter(|(.., part)| *part > 0).collect());
        }
        let charge = self.exported.get(user)?;
        Some(vec![(ShareClass::NotObserved, plan.owner_of(charge), SEAT)])
    }
}

/// Whether the export saw its user: plans that include usage draw credits only beyond it.
fn is_used(charge: &Charge) -> bool {
    charge.credits.is_some_and(|credits| credits.0 > 0)
        || charge.requests.is_some_and(|requests| requests > 0)
        || charge.usage.is_some_and(|usage| usage.total() > 0)
}

/// Rows that follow each other are the same seats, rows at the same time are seats beside each other, and returned ones have a
/// quantity below 0.
fn most_at_once(charges: &[&Charge]) -> BTreeMap<String, i128> {
    let quantity = |charge: &Charge| charge.quantity.as_ref().map(|quantity| quantity.pico.0);
    let mut most: BTreeMap<String, i128> = BTreeMap::new();
    for moment in charges.iter().filter(|charge| quantity(charge).is_some()) {
        let at_once = charges
            .iter()
            .filter(|other| other.account == moment.account && other.start <= moment.start && moment.start < other.end);
        let seats = at_once.filter_map(|charge| quantity(charge)).sum::<i128>().max(0);
        let known = most.entry(moment.account.clone()).or_default();
        *known = (*known).max(seats);
    }
    most
}
