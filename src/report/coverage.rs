//! How complete and certain a report is.

use super::days::Days;
use crate::model::{Cost, Coverage, SessionRollup, Slot, Strength, Sums, Traits};
use std::collections::BTreeMap;

/// Adds what a session says of the days of a report: its responses of these days, and if it began in them what has no day of
/// its own. Of one team alone these are its responses and tool calls, and what is its session's.
pub(super) fn add(c: &mut Coverage, session: &SessionRollup<'_>, team: Option<&str>, days: &mut Days) {
    let is_of = |other: &str| team.is_none_or(|team| team == other);
    let is_of_keys: Vec<bool> = session.keys.iter().map(|keys| is_of(keys.values[0])).collect();
    let mut counts = |slot, keys: u32| is_of_keys[keys as usize] && days.has(slot);
    // What a correction takes away, it takes from the month that it corrects: what another has makes nothing more certain.
    let mut corrected: Vec<&str> = session.keys.iter().map(|keys| keys.corrects).filter(|of| !of.is_empty()).collect();
    corrected.sort_unstable();
    corrected.dedup();
    // By corrected month and traits: how many, and how many of them without a team.
    let mut numbers = vec![(0, 0); session.traits.len() * (corrected.len() + 1)];
    for row in session.coverage.iter().filter(|row| counts(row.slot, row.keys)) {
        let keys = &session.keys[row.keys as usize];
        add_to(&mut c.responses_by_team_strength, keys.strength, row.responses);
        let of = match keys.corrects {
            "" if corrected.is_empty() => None,
            "" => corrected.iter().position(|month| *month == row.slot.start().day().period().to_string()),
            month => corrected.iter().position(|known| *known == month),
        };
        let (all, no_team) = &mut numbers[of.map_or(0, |of| of + 1) * session.traits.len() + row.traits as usize];
        *all += row.responses;
        *no_team += if is_unattributed(keys.strength) { row.responses } else { 0 };
    }
    for of_month in numbers.chunks(session.traits.len().max(1)) {
        let mut doubts = Doubts::default();
        for (traits, (all, no_team)) in session.traits.iter().zip(of_month).filter(|(_, n)| **n != (0, 0)) {
            add_to(&mut c.responses_by_source, traits.evidence, *all);
            doubts.add(traits, *all, *no_team);
        }
        doubts.count(c);
    }
    costs(c, session, &mut counts);
    c.unpriced_tool_calls +=
        session.tools.iter().filter(|row| counts(row.slot, row.keys)).map(|row| row.unpriced).sum::<i64>();
    if is_of(session.owner[0]) && days.has(session.counted) {
        c.unmetered_attempts += session.unmetered_attempts;
        session.unmetered.iter().for_each(|row| add_to(&mut c.unmetered_by_model, row.model, row.attempts));
        c.quarantined += session.quarantined;
    }
}

/// How many responses of one month are doubtful in which way.
#[derive(Debug, Clone, Default)]
struct Doubts<'a> {
    unpriced: BTreeMap<&'a str, i64>,
    unattributed: i64,
    /// Contradicted, of an assumed provider, with a stale price, without a contract price, conflicting, ambiguous.
    flags: [i64; 6],
}

impl<'a> Doubts<'a> {
    fn add(&mut self, t: &Traits<'a>, responses: i64, unattributed: i64) {
        if !t.unpriced.is_empty() {
            *self.unpriced.entry(t.unpriced).or_default() += responses;
        }
        self.unattributed += unattributed;
        let flags = [t.contradicted, t.assumed_provider, t.stale, t.uncontracted, t.conflict, t.ambiguous];
        self.flags.iter_mut().zip(flags).filter(|(_, is)| *is).for_each(|(count, _)| *count += responses);
    }

    /// Fewer than none is for the report that has the corrected month, too.
    fn count(self, c: &mut Coverage) {
        for (reason, n) in self.unpriced.into_iter().filter(|(_, n)| *n > 0) {
            c.unpriced_responses += n;
            add_to(&mut c.unpriced_reasons, reason, n);
        }
        c.unattributed_responses += self.unattributed.max(0);
        let counts = [
            &mut c.contradicted_responses,
            &mut c.assumed_provider,
            &mut c.stale_price,
            &mut c.uncontracted_responses,
            &mut c.conflicts,
            &mut c.ambiguous,
        ];
        counts.into_iter().zip(self.flags).for_each(|(count, n)| *count += n.max(0));
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
