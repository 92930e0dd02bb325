//! The keys by which both sides are compared.

use super::{ObservedRow, Plan};
use crate::model::{Charge, Day, ReconcileKey};
use std::borrow::Borrow;

/// The keys that both sides have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Dims {
    /// Days: no charge is of more than one.
    pub day: bool,
    /// Teams: all charges are of projects or keys whose team is configured.
    pub team: bool,
    /// Users: all charges have one.
    pub user: bool,
    /// Models: all charges have one.
    pub model: bool,
    /// Tiers: all charges have one.
    pub tier: bool,
}

impl Dims {
    pub(super) fn of(charges: &[impl Borrow<Charge>], plan: &Plan<'_>) -> Self {
        let all = |has: &dyn Fn(&Charge) -> bool| charges.iter().all(|charge| has(charge.borrow()));
        Dims {
            day: all(&|charge| charge.first_day() == charge.last_day()),
            team: all(&|charge| plan.team(charge).is_some()),
            user: all(&|charge| plan.user(charge).is_some()),
            model: all(&|charge| plan.model(charge).is_some()),
            tier: all(&|charge| charge.tier.is_some()),
        }
    }

    /// Their names.
    pub(super) fn names(self) -> Vec<&'static str> {
        let all =
            [(self.day, "day"), (self.team, "team"), (self.user, "user"), (self.model, "model"), (self.tier, "tier")];
        all.into_iter().filter(|(has, _)| *has).map(|(_, name)| name).collect()
    }

    /// The keys of a charge.
    pub(super) fn of_charge(self, charge: &Charge, plan: &Plan<'_>) -> ReconcileKey {
        ReconcileKey {
            day: self.day.then(|| charge.first_day()),
            team: plan.team(charge).filter(|_| self.team).map(str::to_string),
            user: plan.user(charge).filter(|_| self.user),
            model: plan.model(charge).filter(|_| self.model),
            tier: charge.tier.clone().filter(|_| self.tier),
        }
    }

    /// The keys of what was observed.
    pub(super) fn of_row(self, day: Day, row: &ObservedRow, plan: &Plan<'_>) -> ReconcileKey {
        ReconcileKey {
            day: self.day.then_some(day),
            team: self.team.then(|| row.owner[0].clone()),
            user: self.user.then(|| row.owner[3].to_lowercase()),
            model: self.model.then(|| plan.model_name(&row.model)),
            tier: self.tier.then(|| row.tier.clone()),
        }
    }

    /// Those that the other side has, too.
    pub(super) fn within(self, other: Dims) -> bool {
        (!self.day || other.day)
            && (!self.team || other.team)
            && (!self.user || other.user)
            && (!self.model || other.model)
    }

    pub(super) fn project(self, key: &ReconcileKey) -> ReconcileKey {
        ReconcileKey {
            day: key.day.filter(|_| self.day),
            team: key.team.clone().filter(|_| self.team),
            user: key.user.clone().filter(|_| self.user),
            model: key.model.clone().filter(|_| self.model),
            tier: None,
        }
    }
}
