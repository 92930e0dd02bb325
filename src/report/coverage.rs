//! How complete and certain a report is.

use super::days::Days;
use crate::model::{Cost, Coverage, SessionRollup, Slot, Strength, Sums};
use std::collections::BTreeMap;

/// Adds what a session says of the days of a report: its responses of these days, and if it began in them what has no day of
/// its own. Of one team alone these are its responses and tool calls, and what is its session's.
pub(super) fn add(c: &mut Coverage, session: &SessionRollup<'_>, team: Option<&str>, days: &mut Days) {
    let is_of = |other: &str| team.is_none_or(|team| team == other);
    let is_of_keys: Vec<bool> = session.keys.iter().map(|keys| is_of(keys.values[0])).collect();
    let mut counts = |slot, keys: u32| is_of_keys[keys as usize] && days.has(slot);
    // By traits: how many, and how many without those that corrections take away. What an earlier month had too much of makes
    // nothing in this report more certain.
    let mut numbers = vec![(0, 0); session.traits.len()];
    for row in session.coverage.iter().filter(|row| counts(row.slot, row.keys)) {
        let (all, more) = &mut numbers[row.traits as usize];
        *all += row.responses;
        *more += row.responses.max(0);
        let strength = session.keys[row.keys as usize].strength;
        add_to(&mut c.responses_by_team_strength, strength, row.responses);
        if is_unattributed(strength) {
            c.unattributed_responses += row.responses.max(0);
        }
    }
    costs(c, session, &mut counts);
    for (t, (all, n)) in session.traits.iter().zip(numbers).filter(|(_, n)| *n != (0, 0)) {
        add_to(&mut c.responses_by_source, t.evidence, all);
        if !t.unpriced.is_empty() && n > 0 {
            c.unpriced_responses += n;
            add_to(&mut c.unpriced_reasons, t.unpriced, n);
        }
        let flags = [
            (t.contradicted, &mut c.contradicted_responses),
            (t.assumed_provider, &mut c.assumed_provider),
            (t.stale, &mut c.stale_price),
            (t.uncontracted, &mut c.uncontracted_responses),
            (t.conflict, &mut c.conflicts),
            (t.ambiguous, &mut c.ambiguous),
        ];
        flags.into_iter().filter(|(is, _)| *is).for_each(|(_, count)| *count += n);
    }
    c.unpriced_tool_calls +=
        session.tools.iter().filter(|row| counts(row.slot, row.keys)).map(|row| row.unpriced).sum::<i64>();
    if is_of(session.owner[0]) && days.has(session.counted) {
        c.unmetered_attempts += session.unmetered_attempts;
        session.unmetered.iter().for_each(|row| add_to(&mut c.unmetered_by_model, row.model, row.attempts));
        c.quarantined += session.quarantined;
    }
}

/// Whether a reason of this strength leaves a field without a value.
fn is_unattributed(strength: &str) -> bool {
    [Strength::Unattributed, Strength::SecondHand].into_iter().any(|none| none.name() == strength)
}

/// Adds what everything that counts costs, by how strong the reason for its team is.
fn costs(c: &mut Coverage, session: &SessionRollup<'_>, counts: &mut impl FnMut(Slot, u32) -> bool) {
    let mut costs = vec![Cost::default(); session.keys.len()];
    for row in session.usage.iter().filter(|row| counts(row.slot, row.keys)) {
        let cost = &mut costs[row.keys as usize];
        cost.responses += row.responses;
        cost.tokens += row.tokens.total();
        cost.unpriced_tokens += row.unpriced_tokens;
        cost.sums += row.sums;
    }
    for row in session.tools.iter().filter(|row| counts(row.slot, row.keys)) {
        costs[row.keys as usize].sums += Sums { tool_fees_usd: row.fees_usd, ..Sums::default() };
    }
    for row in session.reported.iter().filter(|row| counts(row.slot, row.keys)) {
        let (reported_usd, reported_list_usd) = (Some(row.reported_usd), row.list_usd);
        costs[row.keys as usize].sums += Sums { reported_usd, reported_list_usd, ..Sums::default() };
    }
    for (keys, cost) in session.keys.iter().zip(costs).filter(|(_, cost)| *cost != Cost::default()) {
        match c.cost_by_team_strength.get_mut(keys.strength) {
            Some(sum) => *sum += cost,
            None => drop(c.cost_by_team_strength.insert(keys.strength.to_string(), cost)),
        }
    }
}

/// Adds what could not be read.
pub(super) fn add_counters(c: &mut Coverage, counters: &BTreeMap<String, u64>) {
    // Records that are known and of no use were read well enough; their number grows with every delivery.
    let unreadable = counters.iter().filter(|(name, _)| !name.ends_with(".ignored"));
    c.unreadable = unreadable.map(|(name, n)| (name.clone(), *n)).collect();
}

fn add_to(counts: &mut BTreeMap<String, i64>, name: &str, n: i64) {
    let count = counts.get(name).map_or(n, |count| count + n);
    match counts.get_mut(name) {
        // What corrections took all of.
        _ if count == 0 => drop(counts.remove(name)),
        Some(known) => *known = count,
        None => drop(counts.insert(name.to_string(), count)),
    }
}
