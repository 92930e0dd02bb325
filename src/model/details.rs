//! Usage on invoices, and its details from other sources.

use super::{
    BillingFile, BillingSource, Charge, ChargeKind, Covered, Currency, Pico, Standing, Timestamp, format_pico,
};
use std::collections::BTreeMap;

/// A time: its first moment, and the first behind it.
type Span = (Timestamp, Timestamp);

/// What has the details of a sum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Details {
    /// Where they are told of.
    pub time: Covered,
    /// The currency; none if they are credits.
    unit: Option<Currency>,
    /// What of the account it is.
    of: Whose,
}

/// Project, key, user, e-mail address and model, as far as a charge says them.
type Whose = [Option<String>; 5];

fn whose(charge: &Charge) -> Whose {
    let Charge { project, api_key, user, email, model, .. } = charge;
    [project, api_key, user, email, model].map(Clone::clone)
}

impl Details {
    /// The details that a charge may have: a workspace's export has the credits of ChatGPT usage, and the Costs API the money of
    /// the API's. Only usage on an invoice has any.
    pub fn of(charge: &Charge) -> Option<Self> {
        if charge.source != BillingSource::Invoice || charge.kind != ChargeKind::Usage {
            return None;
        }
        let is_chatgpt = charge.channel == super::Channel::Chatgpt || charge.money.is_none();
        let (source, unit) = match (&charge.money, charge.credits) {
            (Some(money), _) if !is_chatgpt => (BillingSource::Costs, Some(money.currency.clone())),
            (_, Some(_)) => (BillingSource::Workspace, None),
            _ => return None,
        };
        let (account, invoice) = (charge.account.clone(), String::new());
        let time = Covered { source, account, invoice, start: charge.start, end: charge.end };
        Some(Details { time, unit, of: whose(charge) })
    }

    /// Whether a charge is one of them.
    pub fn has(&self, charge: &Charge) -> bool {
        self.is_of(charge) && self.amount(charge).is_some()
    }

    /// Whether a charge is of its time, and nothing says that it is of another project, key, user or model.
    fn is_of(&self, charge: &Charge) -> bool {
        let mut both = self.of.iter().zip(whose(charge));
        self.time.has(charge) && both.all(|(of, is)| of.is_none() || is.is_none() || *of == is)
    }

    /// Its amount in their unit.
    fn amount(&self, charge: &Charge) -> Option<Pico> {
        match &self.unit {
            Some(unit) => charge.money.as_ref().filter(|money| money.currency == *unit).map(|money| money.pico),
            None => charge.credits,
        }
    }

    /// Whether they are in this unit, as far as there are any.
    pub fn is_possible(&self, charges: &[(Charge, Standing)]) -> bool {
        let counted = charges.iter().filter(|(_, standing)| *standing == Standing::Counted);
        let mut all = counted.map(|(charge, _)| charge).filter(|charge| self.is_of(charge)).peekable();
        all.peek().is_none() || all.any(|charge| self.amount(charge).is_some())
    }

    fn unit(&self) -> &str {
        self.unit.as_ref().map_or("credits", Currency::code)
    }
}

/// Whether files tell of all of a time. Parts do not, and neither do files that a part stands beside.
pub(super) fn covers_all(files: &[BillingFile], of: &Covered) -> bool {
    let same = |c: &&Covered| (c.source, &c.account, &c.invoice) == (of.source, &of.account, &of.invoice);
    let spans = |files: &[BillingFile], wanted: &dyn Fn(&BillingFile) -> bool| -> Vec<Span> {
        let covers = files.iter().filter(|file| wanted(file)).flat_map(|file| &file.covers);
        covers.filter(same).map(|c| (c.start, c.end)).collect()
    };
    let is_beside = |(n, part): (usize, &BillingFile)| {
        let later = spans(&files[n + 1..], &|file| file.whole);
        let has = |c: &Covered| (c.start.max(of.start), c.end.min(of.end));
        let parts = part.covers.iter().filter(same).map(has).filter(|(start, end)| start < end);
        parts.into_iter().any(|part| !reaches(later.clone(), part))
    };
    let has_part = files.iter().enumerate().filter(|(_, file)| file.part).any(is_beside);
    !has_part && reaches(spans(files, &|file| !file.part), (of.start, of.end))
}

/// Whether there is no gap between the first and the last moment.
fn reaches(mut spans: Vec<Span>, (from, end): Span) -> bool {
    spans.sort();
    spans.into_iter().fold(from, |to, (start, end)| if start <= to { to.max(end) } else { to }) >= end
}

/// Usage on invoices that is counted from another source, which says something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unlike {
    /// The source that is counted.
    pub source: BillingSource,
    /// The account.
    pub account: String,
    /// The currency, or credits.
    pub unit: String,
    /// The first moment.
    pub start: Timestamp,
    /// The first moment behind it.
    pub end: Timestamp,
    /// What invoices have.
    pub invoiced: Pico,
    /// What is counted.
    pub counted: Pico,
}

impl std::fmt::Display for Unlike {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (from, to) = (self.start.day(), Timestamp(self.end.0 - 1).day());
        let (invoiced, counted) = (format_pico(self.invoiced.0), format_pico(self.counted.0));
        let Unlike { source, account, unit, .. } = self;
        write!(
            f,
            "{account}: invoices have {invoiced} {unit} of usage of {from} to {to}, but {source} {counted} {unit}, which counts; is an \
             export incomplete (billing remove takes it back), or the invoice of something else?",
            source = source.name()
        )
    }
}

/// Where sums and their details differ by a hundredth or more for each sum: invoices are rounded. Sums that have details in common
/// are one.
pub(super) fn unlike(charges: &[(Charge, Standing)], sums: &[(usize, Details)]) -> Vec<Unlike> {
    const HUNDREDTH: i128 = 10_000_000_000;
    let mut by_start: BTreeMap<_, Vec<&(usize, Details)>> = BTreeMap::new();
    for sum in sums {
        let time = &sum.1.time;
        by_start.entry((time.source, time.account.as_str(), sum.1.unit())).or_default().push(sum);
    }
    let mut groups: Vec<(Covered, Vec<&(usize, Details)>)> = Vec::new();
    for mut of_unit in by_start.into_values() {
        of_unit.sort_by_key(|(_, of)| of.time.start);
        let first = groups.len();
        for sum in of_unit {
            let time = &sum.1.time;
            match groups[first..].last_mut() {
                Some((all, sums)) if time.start < all.end => {
                    all.end = all.end.max(time.end);
                    sums.push(sum);
                }
                _ => groups.push((time.clone(), vec![sum])),
            }
        }
    }
    let found = |(time, sums): (Covered, Vec<&(usize, Details)>)| {
        let amount = |charge: &Charge| sums[0].1.amount(charge).map_or(0, |pico| pico.0);
        let is_detail = |charge: &Charge| sums.iter().any(|(_, of)| of.has(charge));
        let details = charges.iter().filter(|(c, standing)| *standing == Standing::Counted && is_detail(c));
        let counted: i128 = details.map(|(charge, _)| amount(charge)).sum();
        let invoiced: i128 = sums.iter().map(|(i, _)| amount(&charges[*i].0)).sum();
        let unit = sums[0].1.unit().to_string();
        let Covered { source, account, start, end, .. } = time;
        let unlike = Unlike { source, account, unit, start, end, invoiced: Pico(invoiced), counted: Pico(counted) };
        ((invoiced - counted).abs() >= HUNDREDTH * sums.len() as i128).then_some(unlike)
    };
    groups.into_iter().filter_map(found).collect()
}
