//! Which of the stored charges stand: a later file's word on the same thing replaces the earlier one, and nothing is counted
//! twice because two sources tell of it.

use super::details::{Details, covers_all, unlike};
use super::{BillingPeriod, BillingSource, Charge, ChargeId, Day, Origin, Timestamp, Unlike};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};

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
    /// It was imported as a part: other files have more of what it tells of.
    #[serde(default)]
    pub part: bool,
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
    /// All files, in the order in which they were imported.
    files: Vec<BillingFile>,
    /// Usage on invoices that is counted from other sources, where these say something else.
    pub unlike: Vec<Unlike>,
    /// Rows of invoices whose money counts, but whose credits are counted from another source.
    told_elsewhere: HashSet<Origin>,
}

impl Bill {
    /// Decides on all charges of some time. `files` are all of the store in the order in which they were imported. Of each sum
    /// on an invoice, all details must be among the charges: see [`Bill::reach`].
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
        let charges = charges.into_iter().zip(standing).collect();
        let mut bill = Bill { charges, files: files.to_vec(), ..Bill::default() };
        bill.find_details(files);
        bill
    }

    /// A time with all of the sums on invoices that some charges of it are. What a sum's details are decides whether it counts,
    /// in each month that it has a part in.
    pub fn reach(charges: &[Charge], time: (Timestamp, Timestamp)) -> (Timestamp, Timestamp) {
        let sums = charges.iter().filter(|charge| Details::of(charge).is_some());
        sums.fold(time, |(from, to), sum| (from.min(sum.start), to.max(sum.end)))
    }

    /// What of it is of a time.
    pub fn within(mut self, (from, to): (Timestamp, Timestamp)) -> Self {
        self.charges.retain(|(charge, _)| charge.start < to && from < charge.end);
        self.unlike.retain(|unlike| unlike.start < to && from < unlike.end);
        self
    }

    /// Usage on an invoice is the sum of what the Costs API or the workspace's export has day by day. Only one of the two is
    /// counted: the details if they are there for all of its time, since they have days, projects, keys and users.
    fn find_details(&mut self, files: &[BillingFile]) {
        let counted = self.charges.iter().enumerate().filter(|(_, (_, standing))| *standing == Standing::Counted);
        let sums = counted.filter_map(|(i, (charge, _))| Some((i, Details::of(charge)?)));
        // Decided by what files tell of, since days may have no row.
        let is_whole = |of: &Details| covers_all(files, &of.time) && of.is_possible(&self.charges);
        let (mut whole, partly): (Vec<_>, Vec<_>) = sums.partition(|(_, of)| is_whole(of));
        partly.iter().for_each(|(_, of)| self.count_instead(of));
        // A sum whose details are partly counted by another sum counts as well, and so on.
        loop {
            let of_sum = Standing::Detailed(BillingSource::Invoice);
            let is_taken =
                |of: &Details| self.charges.iter().any(|(charge, standing)| *standing == of_sum && of.has(charge));
            let Some(at) = whole.iter().position(|(_, of)| is_taken(of)) else { break };
            let (_, of) = whole.remove(at);
            self.count_instead(&of);
        }
        for (i, of) in &whole {
            let (sum, standing) = &mut self.charges[*i];
            // No export has the money of ChatGPT usage.
            if of.time.source == BillingSource::Workspace && sum.money.is_some() {
                self.told_elsewhere.insert(sum.origin.clone());
            } else {
                *standing = Standing::Detailed(of.time.source);
            }
        }
        self.unlike = unlike(&self.charges, &whole);
    }

    /// Counts a sum instead of its details.
    fn count_instead(&mut self, of: &Details) {
        for (charge, standing) in &mut self.charges {
            if *standing == Standing::Counted && of.has(charge) {
                *standing = Standing::Detailed(BillingSource::Invoice);
            }
        }
    }

    /// Whether a charge's credits are counted from another source, though its money counts.
    pub fn tells_credits_again(&self, charge: &Charge) -> bool {
        self.told_elsewhere.contains(&charge.origin)
    }

    /// What the files tell of.
    pub fn covers(&self) -> impl Iterator<Item = &Covered> {
        self.files.iter().flat_map(|file| &file.covers)
    }

    /// Whether a source has all of an account's rows of a day.
    pub fn has_all(&self, source: BillingSource, account: &str, day: Day) -> bool {
        let (start, end) = (day.start(), day.next().start());
        let account = account.to_string();
        covers_all(&self.files, &Covered { source, account, invoice: String::new(), start, end })
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
