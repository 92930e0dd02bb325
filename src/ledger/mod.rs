//! Facts, price book and rules to ledger lines. A pure function: the same input gives the same lines on every machine.

pub mod billing;
mod book;
mod close;
mod correct;
mod line;
mod rollup;
mod seal;
mod tool_cost;

pub use crate::attribution::{DefaultChannel, Options};
pub use book::book;
pub use close::part;
pub use seal::{Head, Sealing, fields, hash};
pub use tool_cost::{ToolShare, tool_shares};

use book::{Bookable, bookable};
use line::lines;
use rollup::rollup;

use crate::attribution;
use crate::model::{
    BillingPeriod, Booked, Line, Observation, Posting, Rollup, SealedSession, SessionFact, SessionRollup, ThreadId,
};
use crate::pricing::PriceBook;
use anyhow::Context as _;
use std::collections::BTreeMap;

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
    /// Looks up what was sealed of a session, in the order of months.
    pub sealed_of: &'s dyn Fn(&ThreadId) -> anyhow::Result<Vec<SealedSession>>,
}

impl Books<'static> {
    /// Nothing.
    pub fn open() -> Self {
        Books { closed: None, sealed_of: &|_| Ok(Vec::new()) }
    }
}

/// The rollups of the sessions that these observations tell of.
///
/// # Errors
/// A rollup cannot be encoded, what was sealed cannot be read.
pub fn rollups(
    observations: &[Observation],
    options: &Options,
    book: &PriceBook,
    books: &Books<'_>,
) -> anyhow::Result<Vec<Rollup>> {
    let sessions = attribution::sessions(observations, options).into_iter();
    let rollup = |mut session: SessionFact| {
        let lines = take_lines(&mut session, book);
        let live = rollup(&session, &lines, book)?;
        match books.closed {
            None => Ok(live),
            Some(closed) => Ok(close_session(live, &lines, closed, &(books.sealed_of)(&session.session)?)?.0),
        }
    };
    sessions.map(rollup).collect()
}

/// The sessions with all that seals need to know of them.
///
/// # Errors
/// As [`rollups`].
pub fn sessions(
    observations: &[Observation],
    options: &Options,
    book: &PriceBook,
    books: &Books<'_>,
) -> anyhow::Result<Vec<Computed>> {
    let sessions = attribution::sessions(observations, options).into_iter();
    let compute = |mut session: SessionFact| {
        let lines = take_lines(&mut session, book);
        let live = rollup(&session, &lines, book)?;
        let Some(closed) = books.closed else {
            return Ok(Computed { rollup: live, open: lines.iter().map(self::book).collect() });
        };
        let (rollup, corrections) = close_session(live, &lines, closed, &(books.sealed_of)(&session.session)?)?;
        let open = lines.iter().filter(|l| l.period > closed.through).map(self::book);
        Ok(Computed { rollup, open: open.chain(corrections).collect() })
    };
    sessions.map(compute).collect()
}

/// What the books say of the lines of a session: what was sealed, and the corrections that the first open month has.
pub fn postings(lines: &[Line], closed: Closed, sealed: &[SealedSession]) -> Vec<Posting> {
    let closed_lines: Vec<Bookable> = lines.iter().filter(|l| l.period <= closed.through).map(bookable).collect();
    let of = |s: &SealedSession| {
        let month = s.period;
        s.lines.iter().map(move |line| Posting { month, is_sealed: true, line: line.clone() }).collect::<Vec<_>>()
    };
    let open = close::corrections_of(&closed_lines, sealed).into_iter();
    let open = open.map(|line| Posting { month: closed.through.next(), is_sealed: false, line });
    sealed.iter().flat_map(of).chain(open).collect()
}

fn take_lines(session: &mut SessionFact, book: &PriceBook) -> Vec<Line> {
    std::mem::take(&mut session.responses).into_iter().flat_map(|r| lines(r, book)).collect()
}

fn close_session(
    live: Rollup,
    lines: &[Line],
    closed: Closed,
    sealed: &[SealedSession],
) -> anyhow::Result<(Rollup, Vec<Booked>)> {
    let is_closed = |line: &&Line| line.period <= closed.through;
    let bookable: Vec<Bookable> = lines.iter().filter(is_closed).map(bookable).collect();
    let corrections = close::corrections_of(&bookable, sealed);
    let decode = |bytes| SessionRollup::decode(bytes).context("what was sealed of a session is damaged");
    let parts: Vec<_> = sealed.iter().map(|s| Ok((s.period, decode(&s.part)?))).collect::<anyhow::Result<_>>()?;
    // The names of all months that a correction may be of.
    let months = corrections.iter().map(|c| c.of).chain(sealed.iter().map(|s| s.period));
    let whole = decode(&live.bytes)?;
    let slots = whole.tools.iter().map(|r| r.slot).chain(whole.reported.iter().map(|r| r.slot));
    let months = months.chain(slots.map(|slot| slot.start().day().period()));
    let corrected = parts.iter().flat_map(|(_, p)| &p.keys).filter_map(|k| k.corrects.parse().ok());
    let months = months.chain(corrected);
    let months: BTreeMap<BillingPeriod, String> = months.map(|month| (month, month.to_string())).collect();
    let mut made = close::close(&whole, closed.through, &parts, &corrections, &months);
    close::add_coverage(&mut made, closed.through, &corrections, &bookable, &months);
    let (span, bytes) = (made.span(), made.encode()?);
    drop((made, parts, whole));
    Ok((Rollup { span, bytes, ..live }, corrections))
}
