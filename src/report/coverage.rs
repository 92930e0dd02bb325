//! How complete and certain a report is.

use super::Range;
use super::days::Days;
use crate::model::{Coverage, SessionRollup, UNATTRIBUTED};
use std::collections::BTreeMap;

/// Adds what a session says of the days of a report: its responses of these days, and if it began in them what has no day of
/// its own.
pub(super) fn add(c: &mut Coverage, session: &SessionRollup<'_>, range: Range, days: &mut Days) {
    let mut numbers = vec![0; session.traits.len()];
    for row in session.coverage.iter().filter(|row| days.has(row.slot)) {
        numbers[row.traits as usize] += row.responses;
    }
    for (t, n) in session.traits.iter().zip(numbers).filter(|(_, n)| *n > 0) {
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
    c.unpriced_tool_calls += session.tools.iter().filter(|row| days.has(row.slot)).map(|row| row.unpriced).sum::<u64>();
    if range.has(session.started) {
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

fn add_to(counts: &mut BTreeMap<String, u64>, name: &str, n: u64) {
    match counts.get_mut(name) {
        Some(count) => *count += n,
        None => drop(counts.insert(name.to_string(), n)),
    }
}
