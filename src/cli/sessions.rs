//! The sessions that reports are made of: read on, brought up to date, and given one by one.

use super::context::{Context, say_problems};
use super::out;
use crate::attribution;
use crate::cache::{self, Inputs, Progress};
use crate::ledger;
use crate::model::{
    BillingPeriod, Content, Line, Observation, Posting, Seal, SessionFact, SessionRollup, SessionSubjects, Sums,
    ThreadId, Timestamp,
};
use crate::report::Range;
use crate::report::format::thousands;
use crate::store::sqlite::SqliteStore;
use crate::store::{Cache, Store};
use anyhow::{Context as _, bail};
use std::collections::BTreeMap;

/// In a report's coverage: files and folders with news that could not be read this time.
pub(super) const NOT_READ: &str = "files.not_read";

/// How many sessions are named if an id is not enough.
const NAMED: usize = 10;

/// How many sessions are looked at together.
const TOGETHER: usize = 64;

/// A day in nanoseconds: no time zone is further away from UTC.
const DAY: i64 = 24 * 3_600_000_000_000;

/// One session with all that is known of it.
pub(super) struct One {
    /// What its tool calls cost, by their index.
    pub shares: BTreeMap<usize, Sums>,
    pub session: SessionFact,
    /// In the order of time.
    pub lines: Vec<Line>,
    pub observations: Vec<Observation>,
}

/// All sessions of a store.
pub(super) struct Sessions {
    store: SqliteStore,
    inputs: Inputs,
    /// What could not be read, by reason.
    pub counters: BTreeMap<String, u64>,
}

impl Sessions {
    /// Reads what is new, unless that is not wanted, and computes what changed.
    pub fn ready(context: &Context, no_import: bool) -> anyhow::Result<Self> {
        // A file that is not understood must not cost a long reading first.
        let inputs = context.inputs()?;
        let mut store = context.open()?;
        let inputs = inputs.with_seals_of(&store)?;
        let mut counters = BTreeMap::new();
        if !no_import {
            match context.sync(&mut store) {
                Ok(summary) => {
                    say_problems(&summary);
                    counters.extend((summary.failed > 0).then(|| (NOT_READ.to_string(), summary.failed)));
                }
                Err(e) => {
                    counters.insert(NOT_READ.to_string(), 1);
                    out::talk(&format!("warning: what is new could not be read, so the report may be old: {e:#}"))
                }
            }
        }
        refresh(&mut store, &inputs)?;
        if store.threads()? == 0 {
            let homes: Vec<_> = context.codex_homes(&store)?.iter().map(|h| h.display().to_string()).collect();
            out::talk(&format!(
                "nothing is known yet: no sessions in {}, and no hook or sink has written",
                homes.join(", ")
            ));
            out::talk("hint: give another CODEX_HOME to `codex-tally import`, or try `codex-tally demo`");
        }
        counters.extend(store.counters()?);
        Ok(Sessions { store, inputs, counters })
    }

    /// The seal of a month, if it is sealed.
    pub fn seal(&self, period: BillingPeriod) -> anyhow::Result<Option<Seal>> {
        Ok(self.store.seals()?.into_iter().find(|seal| seal.period == period))
    }

    /// Gives each session with its lines of a month to `each`, in the order of ids.
    pub fn month(&self, period: BillingPeriod, each: &mut cache::Each<'_>) -> anyhow::Result<()> {
        let mut shown = out::Progress::new();
        let mut on = |p: Progress| shown.show(|| format!("{} sessions", thousands(p.done)));
        cache::month(&self.store, &self.inputs, period, &mut on, each)
    }

    /// What they are computed with.
    pub fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// Gives every session that may have something of these days to `each`.
    pub fn each(&self, range: Range, each: &mut dyn FnMut(&SessionRollup<'_>)) -> anyhow::Result<()> {
        self.each_decoded(range, |bytes| SessionRollup::decode_without_tool_costs(bytes), each)
    }

    /// The same with the cost of tools.
    pub fn each_with_tool_costs(&self, range: Range, each: &mut dyn FnMut(&SessionRollup<'_>)) -> anyhow::Result<()> {
        self.each_decoded(range, |bytes| SessionRollup::decode(bytes), each)
    }

    /// Gives every session from a month on to `each` as it is known now, whatever was sealed of it.
    pub fn each_live(&self, from: BillingPeriod, each: &mut dyn FnMut(&SessionRollup<'_>)) -> anyhow::Result<()> {
        cache::live(&self.store, &self.inputs, from.first_day().start(), each)
    }

    fn each_decoded(
        &self,
        range: Range,
        decode: impl for<'a> Fn(&'a [u8]) -> Option<SessionRollup<'a>>,
        each: &mut dyn FnMut(&SessionRollup<'_>),
    ) -> anyhow::Result<()> {
        let from = range.since.map_or(i64::MIN, |day| day.start().0.saturating_sub(2 * DAY));
        let to = range.until.map_or(i64::MAX, |day| day.next().start().0.saturating_add(DAY));
        let given = self.store.rollups(self.inputs.hash(), (Timestamp(from), Timestamp(to)), &mut |bytes| {
            let session = decode(bytes);
            each(&session.context("the cached sessions are damaged; run `codex-tally ledger rebuild`")?);
            Ok(())
        })?;
        if !given {
            bail!("another process makes reports of this store with other prices or rules; try again when it is done");
        }
        Ok(())
    }

    /// One session: by its id, or that of one of its threads, or a part of one, or `last`.
    pub fn one(&self, id: &str) -> anyhow::Result<One> {
        let session = self.find(id)?;
        let threads = self.store.family(std::slice::from_ref(&session))?;
        let observations = self.store.observations_of(&threads)?;
        let ledger = ledger::build(&observations, self.inputs.options(), self.inputs.book());
        let found = ledger.sessions.into_iter().find(|s| s.session == session);
        let session = found.context("the session has just changed; try again")?;
        let mut shares: BTreeMap<usize, Sums> = BTreeMap::new();
        for share in ledger::tool_shares(&session.tool_calls, &ledger.lines) {
            *shares.entry(share.call).or_default() += share.sums;
        }
        Ok(One { shares, session, lines: ledger.lines, observations })
    }

    /// What the books of sealed months say of a session's lines.
    pub fn postings(&self, one: &One) -> anyhow::Result<Vec<Posting>> {
        let threads: Vec<ThreadId> = one.session.threads.iter().map(|t| t.thread.clone()).collect();
        self.inputs.postings(&threads, &one.lines, &self.store)
    }

    /// The threads of one session.
    pub fn threads(&self, id: &str) -> anyhow::Result<Vec<ThreadId>> {
        self.store.family(&[self.find(id)?])
    }

    /// What is kept of what was said and done in a session.
    pub fn contents(&self, id: &str) -> anyhow::Result<Vec<Content>> {
        self.store.contents(&self.threads(id)?)
    }

    /// What rules can look at of these sessions, as at their first moments.
    pub fn subjects(&self, sessions: &[ThreadId]) -> anyhow::Result<Vec<SessionSubjects>> {
        let (mut shown, mut found) = (out::Progress::new(), Vec::with_capacity(sessions.len()));
        for (n, some) in sessions.chunks(TOGETHER).enumerate() {
            let observations = self.store.observations_of(&self.store.family(some)?)?;
            found.extend(attribution::subjects(&observations).into_iter().filter(|(id, _)| some.contains(id)));
            let (done, total) = ((n * TOGETHER) as u64, sessions.len() as u64);
            shown.show(|| format!("{} of {} sessions", thousands(done), thousands(total)));
        }
        Ok(found)
    }

    fn find(&self, id: &str) -> anyhow::Result<ThreadId> {
        if id.eq_ignore_ascii_case("last") {
            let last = self.store.last_session()?;
            return last.context("no session is known yet; run `codex-tally import`");
        }
        let id = id.to_ascii_lowercase();
        match self.store.sessions_like(&id, NAMED + 1)?.as_slice() {
            [session] => Ok(session.clone()),
            [] => bail!("no session has `{id}` in its id; `codex-tally report session` lists them"),
            many => {
                let ids: Vec<_> = many.iter().take(NAMED).map(ThreadId::as_str).collect();
                let n = if many.len() > NAMED { format!("more than {NAMED}") } else { many.len().to_string() };
                bail!("{n} sessions have `{id}` in their id: {}; give more of it", ids.join(", "))
            }
        }
    }
}

/// Computes what changed, and shows how far it is.
pub(super) fn refresh(store: &mut SqliteStore, inputs: &Inputs) -> anyhow::Result<()> {
    let mut shown = out::Progress::new();
    cache::refresh(store, inputs, &mut |p| shown.show(|| computed(p)))
}

/// How far computing or comparing sessions is.
pub(super) fn computed(p: Progress) -> String {
    format!("{} of {} threads", thousands(p.done), thousands(p.total))
}
