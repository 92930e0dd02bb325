//! Seals a month: takes down what is known of it, for ever.

use super::{Inputs, Progress};
use crate::cache::refresh::Family;
use crate::ledger::{self, Head, Sealing};
use crate::model::{BillingPeriod, Body, Day, Seal, SealedSession, SessionRollup, ThreadId, Timestamp};
use crate::store::Cache;
use anyhow::{Context as _, bail};
use std::collections::BTreeMap;
use std::fmt;

/// How many sessions are sealed together.
const TOGETHER: usize = 64;

/// Why a month cannot be sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It is.
    Already(BillingPeriod),
    /// This one comes first.
    First(BillingPeriod),
    /// Something came in while it was about to be sealed.
    Busy,
    /// There is nothing in the ledger, of any month.
    Nothing,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Already(period) => {
                write!(f, "{period} is sealed already; what comes late is corrected in the next open month")
            }
            Refusal::First(period) => write!(f, "months are sealed in their order: seal {period} first"),
            Refusal::Busy => write!(f, "something came in at this moment; try again"),
            Refusal::Nothing => write!(
                f,
                "nothing is known yet, so there is nothing to seal, and a seal is for ever: read sessions first (`codex-tally \
                 import`), or say which home has them (--home)"
            ),
        }
    }
}

impl std::error::Error for Refusal {}

/// What was sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The seal.
    pub seal: Seal,
    /// Hosts of which nothing was heard since the month ended, with when it was.
    pub silent: BTreeMap<String, Timestamp>,
}

/// Seals a month. The cache was just refreshed. With `look_only` nothing is kept.
///
/// # Errors
/// A [`Refusal`], or the store cannot be read or written.
pub fn seal(
    store: &mut dyn Cache,
    inputs: &Inputs,
    period: BillingPeriod,
    look_only: bool,
    on: &mut dyn FnMut(Progress),
) -> anyhow::Result<Sealed> {
    let mut sealed = None;
    let done = store.alone(&mut |store| {
        if store.dirty()? > 0 || store.computed_with()?.as_deref() != Some(inputs.hash()) {
            bail!(Refusal::Busy);
        }
        let previous = store.seals()?.pop();
        if store.threads()? == 0 {
            bail!(Refusal::Nothing);
        }
        let first = match &previous {
            Some(seal) if period <= seal.period => bail!(Refusal::Already(period)),
            Some(seal) => seal.period.next(),
            None => first_month(store)?.unwrap_or(period).min(period),
        };
        if first != period {
            bail!(Refusal::First(first));
        }
        sealed = Some(take_down(store, inputs, period, previous, on)?);
        if look_only { bail!(LookedOnly) } else { Ok(()) }
    });
    match done {
        Err(e) if e.downcast_ref::<LookedOnly>().is_none() => Err(e),
        _ => sealed.context("nothing was sealed"),
    }
}

/// Ends a transaction of which nothing is to be kept.
#[derive(Debug)]
struct LookedOnly;

impl fmt::Display for LookedOnly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing was sealed")
    }
}

impl std::error::Error for LookedOnly {}

/// The month of the first session.
fn first_month(store: &dyn Cache) -> anyhow::Result<Option<BillingPeriod>> {
    Ok(store.first_moment()?.map(|moment| moment.day().period()))
}

fn take_down(
    store: &mut dyn Cache,
    inputs: &Inputs,
    period: BillingPeriod,
    previous: Option<Seal>,
    on: &mut dyn FnMut(Progress),
) -> anyhow::Result<Sealed> {
    let span = (period.first_day().start(), Timestamp(period.next().first_day().start().0 - 1));
    // Corrections of earlier months are of sessions that may have nothing of their own in this one.
    let span = if inputs.sealed_through().is_some() { (Timestamp(i64::MIN), span.1) } else { span };
    let (mut sealing, mut hosts) = (Sealing::of(Sealing::SCHEMA), Hosts::default());
    let mut last: Option<ThreadId> = None;
    let mut progress = Progress { done: 0, total: store.sessions()?.len() as u64 };
    loop {
        let batch = store.sessions_after(span, last.as_ref(), TOGETHER)?;
        let Some(end) = batch.last().cloned() else { break };
        progress.done += batch.len() as u64;
        let family = Family::of(store, &batch)?;
        hosts.see(&family);
        let mut computed = inputs.sessions(&family.observations, store)?;
        computed.retain(|c| batch.contains(&c.rollup.session));
        computed.sort_by(|a, b| a.rollup.session.cmp(&b.rollup.session));
        for session in computed {
            let rollup = SessionRollup::decode(&session.rollup.bytes).context("a rollup is damaged")?;
            let part = ledger::part(&rollup, period);
            let closed = inputs.sealed_through();
            let lines: Vec<_> = session
                .open
                .into_iter()
                .filter(|line| line.of == period || closed.is_some_and(|closed| line.of <= closed))
                .collect();
            if lines.is_empty()
                && part.usage.is_empty()
                && part.tools.is_empty()
                && part.turns.is_empty()
                && part.reported.is_empty()
            {
                continue;
            }
            let part = part.encode()?;
            let session = SealedSession { session: session.rollup.session, period, part, lines };
            sealing.add(&session);
            store.add_sealed(&session)?;
        }
        last = Some(end);
        on(progress);
    }
    let head = Head {
        period,
        price_book: inputs.book().hash().to_string(),
        rules: inputs.rules_hash().to_string(),
        previous: previous.map(|seal| (seal.period, seal.sha256)),
    };
    let json = sealing.finish(&head);
    let seal = Seal { period, sha256: ledger::hash(&json), json };
    store.add_seal(&seal)?;
    Ok(Sealed { seal, silent: hosts.silent_since(period.next().first_day()) })
}

/// When each host was last heard of.
#[derive(Default)]
struct Hosts(BTreeMap<String, Timestamp>);

impl Hosts {
    fn see(&mut self, family: &Family) {
        let mut last: BTreeMap<&ThreadId, Timestamp> = BTreeMap::new();
        for o in &family.observations {
            let moment = last.entry(&o.thread).or_insert(o.time);
            *moment = o.time.max(*moment);
        }
        for o in &family.observations {
            if let Body::Context(context) = &o.body
                && let (Some(host), Some(moment)) = (&context.host, last.get(&o.thread))
            {
                let known = self.0.entry(host.clone()).or_insert(*moment);
                *known = (*moment).max(*known);
            }
        }
    }

    fn silent_since(self, day: Day) -> BTreeMap<String, Timestamp> {
        self.0.into_iter().filter(|(_, last)| *last < day.start()).collect()
    }
}

/// Gives the lines of a sealed month as CSV, piece by piece, and compares them with the seal. Returns what is wrong.
///
/// # Errors
/// The store cannot be read, or `each` fails.
pub fn export(
    store: &dyn Cache,
    seal: &Seal,
    each: &mut dyn FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<Option<String>> {
    each(&Sealing::header())?;
    let said: serde_json::Value = serde_json::from_slice(&seal.json).context("seal.json is damaged")?;
    let mut sealing = Sealing::of(said["schema"].as_u64().unwrap_or(Sealing::SCHEMA).min(Sealing::SCHEMA));
    let mut last: Option<ThreadId> = None;
    loop {
        let batch = store.sealed_after(seal.period, last.as_ref(), TOGETHER)?;
        let Some(end) = batch.last() else { break };
        last = Some(end.session.clone());
        for session in &batch {
            each(&sealing.add(session))?;
        }
    }
    let text = |pointer: &str| said.pointer(pointer).and_then(|v| v.as_str()).unwrap_or_default().to_string();
    let previous = said["previous"]["period"].as_str().and_then(|p| p.parse().ok());
    let head = Head {
        period: seal.period,
        price_book: text("/sha256/price_book"),
        rules: text("/sha256/rules"),
        previous: previous.map(|period| (period, text("/previous/sha256"))),
    };
    let again: serde_json::Value = serde_json::from_slice(&sealing.finish(&head))?;
    if ledger::hash(&seal.json) != seal.sha256 {
        return Ok(Some("seal.json is not what was sealed".into()));
    }
    Ok((again != said).then(|| difference(&said, &again)))
}

fn difference(said: &serde_json::Value, again: &serde_json::Value) -> String {
    let names = [
        "/sha256/lines.csv",
        "/sha256/rollups",
        "/sha256/details",
        "/lines",
        "/responses",
        "/totals",
        "/owners",
        "/tokens",
        "/previous",
    ];
    let name = names.into_iter().find(|name| said.pointer(name) != again.pointer(name)).unwrap_or("/");
    format!("{} is not what its lines say", name.trim_start_matches('/'))
}
