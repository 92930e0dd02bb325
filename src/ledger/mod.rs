//! Facts, price book and rules to ledger lines. A pure function: the same input gives the same lines on every machine.

pub mod billing;
mod book;
mod close;
mod correct;
mod line;
mod rollup;
mod seal;
mod sealed;
mod tool_cost;
mod turns;

pub use crate::attribution::{DefaultChannel, Options};
pub use book::book;
pub use close::part;
pub use seal::{Head, Sealing, fields, hash};
pub use tool_cost::{ToolShare, tool_shares};

use book::{Bookable, bookable};
use correct::corrections;
use line::lines;
use rollup::rollup;
use sealed::{Sealed, Share};

use crate::attribution;
use crate::model::{
    BillingPeriod, Booked, Line, Observation, Posting, Rollup, SealedSession, SessionFact, SessionRollup, ThreadId,
};
use crate::pricing::PriceBook;
use anyhow::Context as _;
use std::collections::{BTreeMap, BTreeSet};

/// All sessions and their lines.
#[derive(Debug, Default)]
pub struct Ledger {
    /// All sessions and auxiliary threads, in order of their start.
    pub sessions: Vec<SessionFact>,
    /// One line for each response, in order of time.
    pub lines: Vec<Line>,
}

/// Builds the ledger of a set of observations.
pub fn build(observations: &[Observation], options: &Options, book: &PriceBook) -> Ledger {
    let sessions = attribution::sessions(observations, options);
    let mut lines: Vec<Line> =
        sessions.iter().flat_map(|s| &s.responses).flat_map(|r| lines(r.clone(), book)).collect();
    lines.sort_by(|a, b| {
        let order = |l: &Line| (l.response.time, l.response.thread.clone(), l.response.response_id.clone());
        order(a).cmp(&order(b))
    });
    Ledger { sessions, lines }
}

/// The months that are closed: all up to the last sealed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    /// The last sealed month.
    pub through: BillingPeriod,
}

/// A session computed from its observations.
#[derive(Debug)]
pub struct Computed {
    /// What reports need.
    pub rollup: Rollup,
    /// Its lines in open months, and the corrections that its closed months need: what the next seals will hold.
    pub open: Vec<Booked>,
}

/// What was sealed.
pub struct Books<'s> {
    /// The months that are closed, if any was sealed.
    pub closed: Option<Closed>,
    /// Looks up what was sealed of the sessions that any of these threads was in, in the order of months.
    pub sealed_of: &'s dyn Fn(&[ThreadId]) -> anyhow::Result<Vec<SealedSession>>,
}

impl Books<'static> {
    /// Nothing.
    pub fn open() -> Self {
        Books { closed: None, sealed_of: &|_| Ok(Vec::new()) }
    }
}

/// The rollups of the sessions that these observations tell of, and of what was sealed of them under other ids.
///
/// # Errors
/// A rollup cannot be encoded, what was sealed cannot be read.
pub fn rollups(
    observations: &[Observation],
    options: &Options,
    book: &PriceBook,
    books: &Books<'_>,
) -> anyhow::Result<Vec<Rollup>> {
    let computed = compute(observations, options, book, books, false)?;
    Ok(computed.into_iter().map(|c| c.rollup).collect())
}

/// The same with all that seals need to know of them.
///
/// # Errors
/// As [`rollups`].
pub fn sessions(
    observations: &[Observation],
    options: &Options,
    book: &PriceBook,
    books: &Books<'_>,
) -> anyhow::Result<Vec<Computed>> {
    compute(observations, options, book, books, true)
}

fn compute(
    observations: &[Observation],
    options: &Options,
    book: &PriceBook,
    books: &Books<'_>,
    with_lines: bool,
) -> anyhow::Result<Vec<Computed>> {
    let sessions = attribution::sessions(observations, options);
    let now: BTreeSet<ThreadId> = sessions.iter().map(|s| s.session.clone()).collect();
    let threads = sessions.iter().flat_map(|s| &s.threads).map(|t| t.thread.clone()).chain(now.iter().cloned());
    let sealed = match books.closed {
        None => Vec::new(),
        Some(_) => (books.sealed_of)(&threads.collect::<Vec<_>>())?,
    };
    let mut sealed = Sealed::new(&sealed, &sessions)?;
    let mut all = Vec::with_capacity(sessions.len());
    for mut session in sessions {
        let lines = take_lines(&mut session, book);
        let live = rollup(&session, &lines, book)?;
        let is_open = |l: &&Line| books.closed.is_none_or(|closed| l.period > closed.through);
        let open = lines.iter().filter(|_| with_lines).filter(is_open).map(self::book);
        let (rollup, corrections) = match books.closed {
            None => (live, Vec::new()),
            Some(closed) => close_session(live, &lines, closed, &sealed.share(&session.session))?,
        };
        all.push(Computed { rollup, open: open.chain(corrections).collect() });
    }
    if let Some(closed) = books.closed {
        all.extend(sealed.others(&now, closed)?);
    }
    Ok(all)
}

/// What the books of sealed months say of the lines of a session with these threads: what was sealed, and the corrections that
/// the first open month has.
pub fn postings(lines: &[Line], closed: Closed, threads: &[ThreadId], sealed: &[SealedSession]) -> Vec<Posting> {
    let closed_lines: Vec<Bookable> = lines.iter().filter(|l| l.period <= closed.through).map(bookable).collect();
    let threads: BTreeSet<&str> = threads.iter().map(ThreadId::as_str).collect();
    let of = |s: &SealedSession| {
        let mine = s.lines.iter().filter(|line| threads.contains(line.thread.as_str()));
        let month = s.period;
        mine.map(|line| Posting { month, is_sealed: true, line: line.clone() }).collect::<Vec<_>>()
    };
    let sealed: Vec<Posting> = sealed.iter().flat_map(of).collect();
    let booked: Vec<Booked> = sealed.iter().map(|posting| posting.line.clone()).collect();
    let open = corrections(&closed_lines, &booked).into_iter();
    let open = open.map(|line| Posting { month: closed.through.next(), is_sealed: false, line });
    sealed.into_iter().chain(open).collect()
}

fn take_lines(session: &mut SessionFact, book: &PriceBook) -> Vec<Line> {
    std::mem::take(&mut session.responses).into_iter().flat_map(|r| lines(r, book)).collect()
}

fn close_session(
    live: Rollup,
    lines: &[Line],
    closed: Closed,
    sealed: &Share<'_>,
) -> anyhow::Result<(Rollup, Vec<Booked>)> {
    let is_closed = |line: &&Line| line.period <= closed.through;
    let bookable: Vec<Bookable> = lines.iter().filter(is_closed).map(bookable).collect();
    let corrections = corrections(&bookable, &sealed.lines);
    // The names of all months that a correction may be of.
    let months = corrections.iter().chain(&sealed.lines).map(|c| c.of);
    let whole = SessionRollup::decode(&live.bytes).context("a rollup is damaged")?;
    let of_rows = |r: &SessionRollup<'_>| {
        let slots = r.tools.iter().map(|row| row.slot).chain(r.reported.iter().map(|row| row.slot));
        let corrected = r.keys.iter().filter_map(|k| k.corrects.parse().ok());
        slots.map(|slot| slot.start().day().period()).chain(corrected).collect::<Vec<BillingPeriod>>()
    };
    let months = months.chain(sealed.booked.iter().chain([&whole]).flat_map(of_rows));
    let months: BTreeMap<BillingPeriod, String> = months.map(|month| (month, month.to_string())).collect();
    let mut made = close::close(&whole, closed.through, sealed, &corrections, &months);
    close::add_coverage(&mut made, closed.through, &corrections, (&bookable, &sealed.lines), &months);
    turns::join(&mut made, closed.through, lines, (&bookable, &corrections, sealed));
    let (span, bytes) = (made.span(), made.encode()?);
    drop((made, whole));
    Ok((Rollup { span, bytes, ..live }, corrections))
}
