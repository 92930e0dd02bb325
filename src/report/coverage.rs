//! How complete and certain a report is.

use super::days::Days;
use crate::model::{Coverage, SessionRollup, UNATTRIBUTED};
use std::collections::BTreeMap;

/// Adds what a session says of the days of a report: its responses of these days, and if it began in them what has no day of
/// its own. Of one team alone these are its responses and tool calls, and what is its session's.
pub(super) fn add(c: &mut Coverage, session: &SessionRollup<'_>, team: Option<&str>, days: &mut Days) {
    let is_of = |other: &str| team.is_none_or(|team| team == other);
    let is_of_keys: Vec<bool> = session.keys.iter().map(|keys| is_of(keys.values[0])).collect();
    let mut counts = |slot, keys: u32| is_of_keys[keys as usize] && days.has(slot);
    let mut numbers = vec![0; session.traits.len()];
    for row in session.coverage.iter().filter(|row| counts(row.slot, row.keys)) {
        numbers[row.traits as usize] += row.responses;
    }
    for (t, n) in session.traits.iter().zip(numbers).filter(|(_, n)| *n != 0) {
        add_to(&mut c.responses_by_source, t.evidence, n);
        add_to(&mut c.responses_by_team_strength, t.team_strength, n);
        if !t.unpriced.is_empty() {
            c.unpriced_responses += n;
            add_to(&mut c.unpriced_reasons, t.unpriced, n);
        }
        let flags = [
            (t.team_strength == UNATTRIBUTED, &mut c.unattributed_responses),
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
        c.quarantined += session.quarantined;
    }
}

/// Adds what could not be read.
pub(super) fn add_counters(c: &mut Coverage, counters: &BTreeMap<String, u64>) {
    // Records that are known and of no use were read well enough; their number grows with every delivery.
    let unreadable = counters.iter().filter(|(name, _)| !name.ends_with(".ignored"));
    c.unreadable = unreadable.map(|(name, n)| (name.clone(), *n)).collect();
}

fn add_to(counts: &mut BTreeMap<String, i64>, name: &str, n: i64) {
    match counts.get_mut(name) {
        Some(count) => *count += n,
        None => drop(counts.insert(name.to_string(), n)),
    }
}
