//! How the teams of a chargeback are known: what was decided by a credential, by a rule, by what a process says of itself.

use super::cents::Cents;
use super::statement::section;
use super::tally::Tally;
use super::{About, Basis};
use crate::model::{Cost, Coverage, Strength, Unit};
use std::collections::BTreeMap;

/// What is charged by how its team is known.
pub(super) fn known_by(coverage: &Coverage, about: &About, cents: &Cents<'_>, all: &Tally, units: &[Unit]) -> String {
    let mut groups = by_strength(coverage, about.basis);
    cents.share(&mut groups, all);
    section("By how the team is known", "known by", &groups, all, units)
}

/// The same by strength: together all of it.
fn by_strength(coverage: &Coverage, basis: Basis) -> BTreeMap<&'static str, Tally> {
    let known = Strength::ALL.iter().filter_map(|s| Some((words(*s), coverage.cost_by_team_strength.get(s.name())?)));
    known.map(|(words, cost)| (words, tally(cost, basis))).collect()
}

fn tally(cost: &Cost, basis: Basis) -> Tally {
    Tally {
        responses: cost.responses.into(),
        tokens: cost.tokens.into(),
        unpriced_tokens: cost.unpriced_tokens.into(),
        usd: basis.of(&cost.sums, Unit::Usd),
        credits: basis.of(&cost.sums, Unit::Credit),
        fees_usd: cost.sums.tool_fees_usd,
    }
}

fn words(strength: Strength) -> &'static str {
    match strength {
        Strength::Credential => "credential of the sender",
        Strength::Rule => "rule or list of members",
        Strength::FirstHand => "declared by the process itself",
        Strength::Inferred => "inferred",
        Strength::SecondHand => "claimed for others only: not used",
        Strength::Unattributed => "nothing is known",
    }
}
