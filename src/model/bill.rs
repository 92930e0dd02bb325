//! Which of the stored charges stand: a later file's word on the same thing replaces the earlier one, and nothing is counted
//! twice because two sources tell of it.

use super::{BillingPeriod, BillingSource, Charge, ChargeId, ChargeKind, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};

/// A time: its first moment, and the first behind it.
type Span = (Timestamp, Timestamp);

/// What a file tells of: all of an account's rows of a time, or of an invoice.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Covered {
    /// What it was read from.
    pub source: BillingSource,
    /// The account.
    pub account: String,
    /// The invoice, of a file of invoices; else empty.
    pub invoice: String,
    /// The first moment.
    pub start: Timestamp,
    /// The first moment that is no longer told of.
    pub end: Timestamp,
}

impl Covered {
    /// Whether a charge is of what is covered.
    pub fn has(&self, c: &Charge) -> bool {
        (self.source, &self.account, &self.invoice) == (c.source, &c.account, &c.invoice)
            && self.start < c.end
            && c.start < self.end
    }
}

/// Whether files tell of all of a time.
fn covers_all(files: &[BillingFile], of: &Covered) -> bool {
    let same = |c: &&Covered| (c.source, &c.account, &c.invoice) == (of.source, &of.account, &of.invoice);
    let mut spans: Vec<Span> =
        files.iter().flat_map(|file| &file.covers).filter(same).map(|c| (c.start, c.end)).collect();
    spans.sort();
    let reached = spans.into_iter().fold(of.start, |to, (start, end)| if start <= to { to.max(end) } else { to });
    reached >= of.end
}

/// A file that was imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BillingFile {
    /// Its SHA-256 in hexadecimal digits.
    pub sha256: String,
    /// Its name, without folders.
    pub name: String,
    /// When it was imported.
    pub imported: Timestamp,
    /// How many rows it has.
    pub rows: u64,
    /// What it tells of.
    pub covers: Vec<Covered>,
    /// It has all that there is of what it tells of: what earlier files have more of that no longer stands.
    pub whole: bool,
    /// Fields that were not read, with how often each is there.
    pub ignored: BTreeMap<String, u64>,
}

/// Whether a charge is part of the bill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Its amount is part of the bill.
    Counted,
    /// It has tokens and no amount: what amounts are compared with.
    Tokens,
    /// A later file, by its hash, says otherwise.
    Superseded(String),
    /// Another source has the same usage, and that is counted: an invoice's sum of what there is day by day, or days of which
    /// the invoice has more.
    Detailed(BillingSource),
}

impl Standing {
    /// The name in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Standing::Counted => "counted",
            Standing::Tokens => "tokens",
            Standing::Superseded(_) => "superseded",
            Standing::Detailed(_) => "detailed",
        }
    }
}

/// Stored charges with their standing.
#[derive(Debug, Clone, Default)]
pub struct Bill {
    /// In the order of their files, and in each of its rows.
    pub charges: Vec<(Charge, Standing)>,
    /// What the files tell of.
    pub covers: Vec<Covered>,
}

impl Bill {
    /// Decides on all charges of some time. `files` are all of the store in the order in which they were imported.
    pub fn new(files: &[BillingFile], mut charges: Vec<Charge>) -> Self {
        let age: HashMap<&str, usize> = files.iter().enumerate().map(|(n, file)| (file.sha256.as_str(), n)).collect();
        let file_of = |charge: &Charge| age.get(charge.origin.file.as_str()).copied().unwrap_or(0);
        charges.sort_by_cached_key(|charge| (file_of(charge), charge.origin.row));
        let mut newest: HashMap<ChargeId<'_>, usize> = HashMap::new();
        for charge in &charges {
            newest.insert(charge.id(), file_of(charge));
        }
        let superseded: Vec<Option<usize>> = charges
            .iter()
            .map(|charge| {
                let own = file_of(charge);
                let again = newest.get(&charge.id()).copied().filter(|file| *file > own);
                let later = files.iter().enumerate().skip(own + 1).filter(|(_, file)| file.whole);
                let whole = later.filter(|(_, file)| file.covers.iter().any(|covered| covered.has(charge)));
                again.into_iter().chain(whole.map(|(n, _)| n)).max()
            })
            .collect();
        let standing: Vec<Standing> = charges
            .iter()
            .zip(&superseded)
            .map(|(charge, by)| match by {
                Some(file) => Standing::Superseded(files[*file].sha256.clone()),
                None if charge.money.is_none() && charge.credits.is_none() => Standing::Tokens,
                None => Standing::Counted,
            })
            .collect();
        let covers = files.iter().flat_map(|file| file.covers.iter().cloned()).collect();
        let mut bill = Bill { charges: charges.into_iter().zip(standing).collect(), covers };
        bill.find_details(files);
        bill
    }

    /// Usage on an invoice is the sum of what the Costs API or the workspace's export has day by day. Only one of the two is
    /// counted: the details if they are there for all of its time, since they have days, projects, keys and users.
    fn find_details(&mut self, files: &[BillingFile]) {
        let is_sum = |c: &Charge| c.source == BillingSource::Invoice && c.kind == ChargeKind::Usage;
        for i in 0..self.charges.len() {
            let (sum, standing) = &self.charges[i];
            if *standing != Standing::Counted || !is_sum(sum) {
                continue;
            }
            let source = if sum.money.is_some() { BillingSource::Costs } else { BillingSource::Workspace };
            let of = Covered {
                source,
                account: sum.account.clone(),
                invoice: String::new(),
                start: sum.start,
                end: sum.end,
            };
            // Decided by what files tell of, not by the rows at hand: these may be of one month, and the row of many.
            if covers_all(files, &of) {
                self.charges[i].1 = Standing::Detailed(source);
                continue;
            }
            for (charge, standing) in &mut self.charges {
                if *standing == Standing::Counted && of.has(charge) {
                    *standing = Standing::Detailed(BillingSource::Invoice);
                }
            }
        }
    }

    /// The charges whose amounts are the bill.
    pub fn counted(&self) -> impl Iterator<Item = &Charge> {
        self.charges.iter().filter(|(_, standing)| *standing == Standing::Counted).map(|(charge, _)| charge)
    }

    /// The parts of these that are of a month.
    pub fn counted_in(&self, period: BillingPeriod) -> impl Iterator<Item = Charge> {
        self.counted().filter_map(move |charge| charge.part(period))
    }

    /// The tokens that were billed in a month.
    pub fn tokens_in(&self, period: BillingPeriod) -> impl Iterator<Item = Charge> {
        let tokens = self.charges.iter().filter(|(_, standing)| *standing == Standing::Tokens);
        tokens.filter_map(move |(charge, _)| charge.part(period))
    }

    /// The stored charges that a new file tells of and does not have, though nothing has replaced them yet.
    pub fn missing_in<'b>(&'b self, covers: &[Covered], new: &[Charge]) -> Vec<&'b Charge> {
        let ids: HashSet<ChargeId<'_>> = new.iter().map(Charge::id).collect();
        let stands = |standing: &Standing| !matches!(standing, Standing::Superseded(_));
        self.charges
            .iter()
            .filter(|(charge, standing)| stands(standing) && covers.iter().any(|covered| covered.has(charge)))
            .filter(|(charge, _)| !ids.contains(&charge.id()))
            .map(|(charge, _)| charge)
            .collect()
    }
}
