//! The cached sessions of a store: brought up to date, dropped and rebuilt, checked against the observations.

mod refresh;
mod verify;

pub use refresh::{Progress, rebuild, refresh};
pub use verify::{Finding, verify};

use crate::ledger::{self, Options};
use crate::model::{Observation, Rollup};
use crate::pricing::PriceBook;
use sha2::{Digest, Sha256};

/// Raised whenever the same observations give other facts, lines or rollups than before, or the encoding of rollups changes.
const FORMAT: u32 = 2;

/// What sessions are computed with, besides their observations.
#[derive(Debug)]
pub struct Inputs {
    options: Options,
    book: PriceBook,
    hash: Vec<u8>,
}

impl Inputs {
    /// The settings and rules, and the prices.
    pub fn new(options: Options, book: PriceBook) -> Self {
        let program = (FORMAT, env!("CARGO_PKG_VERSION"));
        let hash = Sha256::digest(format!("{program:?} {} {options:?}", book.hash())).to_vec();
        Inputs { options, book, hash }
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

    fn rollups(&self, observations: &[Observation]) -> anyhow::Result<Vec<Rollup>> {
        ledger::rollups(observations, &self.options, &self.book)
    }
}
