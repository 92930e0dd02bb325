//! What was sealed of some sessions, as it concerns the sessions of today. Its rows stay with the id that they were sealed under;
//! its lines are corrected where their threads are now. Mostly both is the same session. It is not where later records joined
//! sessions, or took one apart.

use super::close;
use super::{Closed, Computed};
use crate::model::{BillingPeriod, Booked, Rollup, SealedSession, SessionFact, SessionRollup, Slot, ThreadId};
use anyhow::Context as _;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What was sealed of the sessions that some threads were in.
pub(super) struct Sealed<'a> {
    /// The sealed parts, in the order of months.
    parts: Vec<(&'a SealedSession, SessionRollup<'a>)>,
    /// What is of the threads of each session of today.
    mine: BTreeMap<ThreadId, Mine<'a>>,
}

/// What is of the threads of one session.
#[derive(Default)]
struct Mine<'a> {
    lines: Vec<Booked>,
    /// Which parts have rows, and of which of the threads.
    parts: BTreeMap<usize, BTreeSet<&'a str>>,
}

/// What was sealed, as it concerns one session.
#[derive(Default)]
pub(super) struct Share<'a> {
    /// What was sealed under its id, by months.
    pub own: Vec<(BillingPeriod, SessionRollup<'a>)>,
    /// The lines of its threads, under whichever id they were sealed.
    pub lines: Vec<Booked>,
    /// The same of tool calls and reported costs.
    pub booked: Vec<SessionRollup<'a>>,
}

impl<'a> Sealed<'a> {
    /// Gives what was sealed to the sessions of today.
    ///
    /// # Errors
    /// What was sealed is damaged.
    pub fn new(sealed: &'a [SealedSession], sessions: &[SessionFact]) -> anyhow::Result<Self> {
        let mut now: HashMap<&str, &ThreadId> = HashMap::new();
        for session in sessions {
            now.extend(session.threads.iter().map(|t| (t.thread.as_str(), &session.session)));
        }
        let mut given = Sealed { parts: Vec::with_capacity(sealed.len()), mine: BTreeMap::new() };
        for (at, s) in sealed.iter().enumerate() {
            let part: SessionRollup<'a> = SessionRollup::decode(&s.part)
                .with_context(|| format!("what was sealed of session {} is damaged", s.session))?;
            for keys in &part.keys {
                let Some(session) = now.get(keys.thread) else { continue };
                let mine = given.mine.entry((*session).clone()).or_default();
                mine.parts.entry(at).or_default().insert(keys.thread);
            }
            for line in &s.lines {
                let Some(session) = now.get(line.thread.as_str()) else { continue };
                given.mine.entry((*session).clone()).or_default().lines.push(line.clone());
            }
            given.parts.push((s, part));
        }
        Ok(given)
    }

    /// What concerns a session of today.
    pub fn share(&mut self, session: &ThreadId) -> Share<'a> {
        let Mine { lines, parts } = self.mine.remove(session).unwrap_or_default();
        let own = self.parts.iter().filter(|(s, _)| s.session == *session);
        let own = own.map(|(s, part)| (s.period, part.clone())).collect();
        let of_threads = |(at, threads): (usize, BTreeSet<&str>)| {
            let mut part = self.parts[at].1.clone();
            let is_mine: Vec<bool> = part.keys.iter().map(|keys| threads.contains(keys.thread)).collect();
            part.tools.retain(|row| is_mine[row.keys as usize]);
            part.reported.retain(|row| is_mine[row.keys as usize]);
            part
        };
        Share { own, lines, booked: parts.into_iter().map(of_threads).collect() }
    }

    /// What was sealed under ids that are no sessions any more.
    ///
    /// # Errors
    /// It cannot be encoded.
    pub fn others(&self, now: &BTreeSet<ThreadId>, closed: Closed) -> anyhow::Result<Vec<Computed>> {
        let mut others: BTreeMap<&ThreadId, Vec<(BillingPeriod, SessionRollup<'a>)>> = BTreeMap::new();
        for (s, part) in self.parts.iter().filter(|(s, _)| !now.contains(&s.session)) {
            others.entry(&s.session).or_default().push((s.period, part.clone()));
        }
        others.into_iter().filter_map(|(session, own)| alone(session, own, closed).transpose()).collect()
    }
}

/// A session of which there is nothing but what was sealed.
fn alone(
    session: &ThreadId,
    own: Vec<(BillingPeriod, SessionRollup<'_>)>,
    closed: Closed,
) -> anyhow::Result<Option<Computed>> {
    let Some((period, last)) = own.last() else { return Ok(None) };
    let from = Slot::of(period.first_day().start());
    let mut nothing = close::part(last, closed.through.next());
    nothing.counted = from;
    let months = BTreeMap::new();
    let mut made =
        close::close(&nothing, closed.through, &Share { own: own.clone(), ..Share::default() }, &[], &months);
    // What was counted in no sealed month is in today's session.
    made.counted = made.counted.min(from);
    let rollup = Rollup {
        session: session.clone(),
        threads: Vec::new(),
        auxiliary: made.auxiliary,
        started: made.started,
        span: made.span(),
        bytes: made.encode()?,
    };
    Ok(Some(Computed { rollup, open: Vec::new() }))
}
