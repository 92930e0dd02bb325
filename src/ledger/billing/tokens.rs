//! Tokens that were billed beside tokens that were observed, by tier: what moved from one tier to another was served in
//! another than was requested.

use super::{Dims, Observed, Plan};
use crate::model::{Channel, Charge, Difference, Measured, ReconcileKey, Reconciled, TokenSums, split};
use std::collections::{BTreeMap, BTreeSet};

/// The kinds of tokens with a price of their own.
pub(super) const KINDS: [&str; 4] = ["uncached_input", "cached_input", "cache_write", "output"];

pub(super) fn kinds(tokens: &TokenSums) -> [i128; 4] {
    [tokens.uncached_input(), tokens.cached_input, tokens.cache_write, tokens.output].map(i128::from)
}

/// Billed and observed tokens by kind.
type Both = ([i128; 4], [i128; 4]);

/// Compares by these keys. The rows of a group differ in nothing but the tier.
pub(super) fn compare(
    billed: &[Charge],
    observed: &Observed,
    plan: &Plan<'_>,
    dims: Dims,
    days: &BTreeSet<crate::model::Day>,
) -> Vec<Reconciled> {
    let mut groups: BTreeMap<ReconcileKey, BTreeMap<Option<String>, Both>> = BTreeMap::new();
    let mut add = |mut key: ReconcileKey, tokens: &TokenSums, is_billed: bool| {
        let tier = key.tier.take();
        let both = groups.entry(key).or_default().entry(tier).or_default();
        let side = if is_billed { &mut both.0 } else { &mut both.1 };
        side.iter_mut().zip(kinds(tokens)).for_each(|(sum, more)| *sum += more);
    };
    for charge in billed {
        if let Some(tokens) = &charge.usage {
            add(dims.of_charge(charge, plan), tokens, true);
        }
    }
    for (day, row) in observed.month(Channel::Api).filter(|(day, _)| days.contains(day)) {
        add(dims.of_row(day, row, plan), &row.tokens, false);
    }
    groups.iter().flat_map(|(key, tiers)| of_group(key, tiers)).collect()
}

fn of_group(key: &ReconcileKey, tiers: &BTreeMap<Option<String>, Both>) -> Vec<Reconciled> {
    let mut rows = Vec::new();
    for (kind, name) in KINDS.iter().enumerate() {
        let off: Vec<i128> = tiers.values().map(|(billed, observed)| billed[kind] - observed[kind]).collect();
        let more: i128 = off.iter().filter(|n| **n > 0).sum();
        let less: i128 = -off.iter().filter(|n| **n < 0).sum::<i128>();
        let moved = [share(more.min(less), &off, 1), share(more.min(less), &off, -1)];
        for (i, (tier, (billed, observed))) in tiers.iter().enumerate() {
            let tier_part = moved[0][i] - moved[1][i];
            let rest = off[i] - tier_part;
            let beyond = if rest > 0 { Difference::NotObserved } else { Difference::OverObserved };
            let parts = [(Difference::Tier, tier_part), (beyond, rest)];
            let row = Reconciled {
                measured: Measured::Tokens(name),
                key: ReconcileKey { tier: tier.clone(), ..key.clone() },
                billed: billed[kind],
                observed: observed[kind],
                parts: parts.into_iter().filter(|(_, part)| *part != 0).collect(),
            };
            if row.billed != 0 || row.observed != 0 {
                rows.push(row);
            }
        }
    }
    rows
}

/// Shares what moved over the tiers that have more (or less) than the other side; none gets more than it is off.
fn share(moved: i128, off: &[i128], sign: i128) -> Vec<i128> {
    let weights: Vec<u64> = off.iter().map(|n| u64::try_from((n * sign).max(0)).unwrap_or(u64::MAX)).collect();
    split(moved, &weights)
}
