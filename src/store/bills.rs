//! What a store keeps of bills.

use crate::model::{Bill, BillingFile, Charge, Timestamp};

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

    /// The names of the files that are not as they were imported, each with what is wrong, and how many files there are.
    fn verify_bills(&self) -> anyhow::Result<(Vec<(String, &'static str)>, u64)>;

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
