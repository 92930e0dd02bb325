//! What a store keeps of bills.

use crate::model::{Bill, BillingFile, Charge, Timestamp};

/// Whether bills are as they were imported.
#[derive(Debug, Default)]
pub struct KeptBills {
    /// How many files there are.
    pub files: u64,
    /// The names of those that are not, each with what is wrong.
    pub damaged: Vec<(String, &'static str)>,
    /// The rows of files that are gone.
    pub strays: u64,
}

/// Imported billing files and their rows.
pub trait Bills {
    /// Stores a file with its rows, all or nothing. Returns false, and stores nothing, if it is there already.
    fn add_bill(&mut self, file: &BillingFile, charges: &[Charge]) -> anyhow::Result<bool>;

    /// Forgets a file with its rows. Returns whether it was there.
    fn remove_bill(&mut self, sha256: &str) -> anyhow::Result<bool>;

    /// All files, in the order in which they were imported.
    fn billing_files(&self) -> anyhow::Result<Vec<BillingFile>>;

    /// The rows of all files that are of a time, its end excluded.
    fn charges(&self, span: (Timestamp, Timestamp)) -> anyhow::Result<Vec<Charge>>;

    /// Compares all files and rows with what was imported.
    fn verify_bills(&self) -> anyhow::Result<KeptBills>;

    /// The rows of a time, each with its standing.
    fn bill(&self, span: (Timestamp, Timestamp)) -> anyhow::Result<Bill> {
        let mut wide = span;
        loop {
            let charges = self.charges(wide)?;
            let reach = Bill::reach(&charges, wide);
            if reach == wide {
                return Ok(Bill::new(&self.billing_files()?, charges).within(span));
            }
            wide = reach;
        }
    }
}
