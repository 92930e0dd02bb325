//! The cached sessions of a store: brought up to date, dropped and rebuilt, checked against the observations; months sealed.

mod lines;
mod live;
mod month;
mod refresh;
mod seal;
mod verify;

pub use lines::lines;
pub use live::live;
pub use month::{Each, month};
pub use refresh::{Progress, rebuild, refresh};
pub use seal::{Refusal, Sealed, export, seal};
pub use verify::{Finding, verify};

use crate::ledger::{self, Books, Closed, Computed, Options};
use crate::model::{BillingPeriod, Line, Observation, Posting, Rollup, ThreadId};
use crate::pricing::PriceBook;
use crate::store::Cache;
use sha2::{Digest, Sha256};

/// Raised whenever the same observations give other facts, lines or rollups than before, or the encoding of rollups changes.
const FORMAT: u32 = 10;

/// What sessions are computed with, besides their observations.
#[derive(Debug)]
pub struct Inputs {
    options: Options,
    book: PriceBook,
    /// Of settings, rules and program.
    rules: String,
    closed: Option<Closed>,
    hash: Vec<u8>,
}

impl Inputs {
    /// The settings and rules, and the prices.
    pub fn new(options: Options, book: PriceBook) -> Self {
        let program = (FORMAT, env!("CARGO_PKG_VERSION"));
        let rules = hex(&Sha256::digest(format!("{program:?} {options:?}")));
        let hash = Sha256::digest(format!("{rules} {}", book.hash())).to_vec();
        Inputs { options, book, rules, closed: None, hash }
    }

    /// The same with the months that a store has sealed.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn with_seals_of(self, store: &dyn Cache) -> anyhow::Result<Self> {
        let Some(last) = store.seals()?.pop() else { return Ok(self) };
        let mut inputs = Inputs::new(self.options, self.book);
        inputs.closed = Some(Closed { through: last.period });
        inputs.hash = Sha256::digest([&inputs.hash[..], &last.json].concat()).to_vec();
        Ok(inputs)
    }

    /// What the books of sealed months say of the lines of a session with these threads; nothing if no month is sealed.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn postings(&self, threads: &[ThreadId], lines: &[Line], store: &dyn Cache) -> anyhow::Result<Vec<Posting>> {
        let Some(closed) = self.closed else { return Ok(Vec::new()) };
        Ok(ledger::postings(lines, closed, threads, &store.sealed_of(threads)?))
    }

    /// The last month that is sealed.
    pub fn sealed_through(&self) -> Option<BillingPeriod> {
        self.closed.map(|closed| closed.through)
    }

    /// The hash of settings, rules and program.
    pub fn rules_hash(&self) -> &str {
        &self.rules
    }

    /// The settings and rules.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The prices.
    pub fn book(&self) -> &PriceBook {
        &self.book
    }

    /// Tells inputs apart.
    pub fn hash(&self) -> &[u8] {
        &self.hash
    }

    fn rollups(&self, observations: &[Observation], store: &dyn Cache) -> anyhow::Result<Vec<Rollup>> {
        let sealed_of = &|threads: &[ThreadId]| store.sealed_of(threads);
        ledger::rollups(observations, &self.options, &self.book, &Books { closed: self.closed, sealed_of })
    }

    fn sessions(&self, observations: &[Observation], store: &dyn Cache) -> anyhow::Result<Vec<Computed>> {
        let sealed_of = &|threads: &[ThreadId]| store.sealed_of(threads);
        ledger::sessions(observations, &self.options, &self.book, &Books { closed: self.closed, sealed_of })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
