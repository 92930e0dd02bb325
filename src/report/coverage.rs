//! How complete and certain a report is.

use super::{Input, Range};
use crate::model::{Coverage, Line};

/// The coverage of these lines and of the sessions that started in the range.
pub fn coverage(input: Input<'_>, lines: &[&Line], range: Range) -> Coverage {
    // Records that are known and of no use were read well enough; their number grows with every delivery.
    let unreadable = input.counters.iter().filter(|(name, _)| !name.ends_with(".ignored"));
    let unreadable = unreadable.map(|(name, n)| (name.clone(), *n)).collect();
    let mut c = Coverage { unreadable, ..Coverage::default() };
    for line in lines {
        let r = &line.response;
        *c.responses_by_source.entry(r.evidence.name()).or_default() += 1;
        if let Some(why) = &line.priced.unpriced {
            c.unpriced_responses += 1;
            *c.unpriced_reasons.entry(why.to_string()).or_default() += 1;
        }
        c.unattributed_responses += u64::from(!r.owner.team.is_attributed());
        c.assumed_provider += u64::from(r.assumed_provider);
        c.stale_price += u64::from(line.priced.stale);
        c.uncontracted_responses += u64::from(line.priced.uncontracted);
        c.conflicts += u64::from(r.conflict);
        c.ambiguous += u64::from(r.ambiguous);
    }
    for session in input.sessions.iter().filter(|s| range.has(s.started)) {
        c.unmetered_attempts += session.unmetered_attempts;
        c.quarantined += session.quarantined.len() as u64;
    }
    c
}
