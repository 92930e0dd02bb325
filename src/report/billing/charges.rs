//! Stored charges, and the files that they are from.

use crate::model::{Bill, BillingFile, BillingPeriod, Charge, Standing, Timestamp};
use crate::report::listing::{Heading, text};
use crate::report::{Cell, Kind, Listing, Range};
use std::collections::BTreeMap;

const COLUMNS: [Heading; 28] = [
    ("from", Some("from"), Kind::Text),
    ("to", Some("to"), Kind::Text),
    ("account", Some("account"), Kind::Text),
    ("source", Some("source"), Kind::Text),
    ("kind", Some("kind"), Kind::Text),
    ("standing", Some("standing"), Kind::Text),
    ("channel", None, Kind::Text),
    ("invoice", Some("invoice"), Kind::Text),
    ("line_item", Some("line item"), Kind::Text),
    ("project", Some("project"), Kind::Text),
    ("api_key", Some("key"), Kind::Text),
    ("user", None, Kind::Text),
    ("email", Some("email"), Kind::Text),
    ("model", Some("model"), Kind::Text),
    ("tier", Some("tier"), Kind::Text),
    ("requests", Some("requests"), Kind::Count),
    ("input_tokens", Some("input"), Kind::Count),
    ("cached_input_tokens", None, Kind::Count),
    ("cache_write_tokens", None, Kind::Count),
    ("output_tokens", Some("output"), Kind::Count),
    ("quantity", None, Kind::Amount),
    ("quantity_unit", None, Kind::Text),
    ("amount", Some("amount"), Kind::Amount),
    ("currency", Some("currency"), Kind::Text),
    ("credits", Some("credits"), Kind::Amount),
    ("superseded_by", None, Kind::Text),
    ("file", None, Kind::Text),
    ("row", None, Kind::Count),
];

/// The charges of a range, in the order of their days.
pub fn charges(bill: &Bill, range: Range) -> Listing {
    let mut listing = Listing::new("billing list", range, &COLUMNS);
    let mut all: Vec<&(Charge, Standing)> = bill.charges.iter().collect();
    all.sort_by_key(|(charge, _)| (charge.id(), charge.origin.clone()));
    all.sort_by_key(|(charge, _)| charge.start);
    for (charge, standing) in &all {
        listing.add(row(charge, standing));
    }
    listing.notes = sums(bill, month(range));
    listing.notes.extend(bill.unlike.iter().map(ToString::to_string));
    let rounded = bill.counted().filter(|c| c.money.as_ref().is_some_and(|money| money.written.is_some())).count();
    if rounded > 0 {
        listing.notes.push(format!("{rounded} amounts have more than 12 digits in their file and were rounded to 12"));
    }
    listing
}

fn row(c: &Charge, standing: &Standing) -> Vec<Cell> {
    let option = |value: &Option<String>| value.clone().map_or(Cell::Missing, Cell::Text);
    let count = |n: Option<i64>| n.map_or(Cell::Missing, Cell::Count);
    let by = match standing {
        Standing::Superseded(file) => Cell::Text(file.clone()),
        Standing::Detailed(source) => Cell::Text(source.name().to_string()),
        Standing::Counted | Standing::Tokens => Cell::Missing,
    };
    vec![
        Cell::Text(moment(c.start, 0)),
        Cell::Text(moment(c.end, 1)),
        text(c.account.as_str()),
        text(c.source.name()),
        text(c.kind.name()),
        text(standing.name()),
        text(c.channel.name()),
        text(c.invoice.as_str()),
        option(&c.line_item),
        option(&c.project),
        option(&c.api_key),
        option(&c.user),
        option(&c.email),
        option(&c.model),
        option(&c.tier),
        count(c.requests),
        count(c.usage.map(|usage| usage.input)),
        count(c.usage.map(|usage| usage.cached_input)),
        count(c.usage.map(|usage| usage.cache_write)),
        count(c.usage.map(|usage| usage.output)),
        c.quantity.as_ref().map_or(Cell::Missing, |quantity| Cell::Amount(quantity.pico.0)),
        c.quantity.as_ref().map_or(Cell::Missing, |quantity| text(quantity.unit.as_str())),
        c.money.as_ref().map_or(Cell::Missing, |money| Cell::Amount(money.pico.0)),
        c.money.as_ref().map_or(Cell::Missing, |money| text(money.currency.code())),
        c.credits.map_or(Cell::Missing, |credits| Cell::Amount(credits.0)),
        by,
        text(c.origin.file.as_str()),
        Cell::Count(i64::try_from(c.origin.row).unwrap_or(i64::MAX)),
    ]
}

/// A day where a time begins with one and, of its last moment, ends with one; else the moment.
fn moment(time: Timestamp, before: i64) -> String {
    let is_day = time.day().start() == time;
    if is_day { Timestamp(time.0 - before).day().to_string() } else { time.to_rfc3339() }
}

/// The month that a range is.
fn month(range: Range) -> Option<BillingPeriod> {
    let period = range.since?.period();
    (range.since == Some(period.first_day()) && range.until == Some(period.last_day())).then_some(period)
}

/// What is counted by account and unit, and what usage invoices say beside it. Units are never added, nor are credits that were
/// bought to those that were used. Of a row of several months a month has its part.
fn sums(bill: &Bill, month: Option<BillingPeriod>) -> Vec<String> {
    let mut sums: BTreeMap<(String, String), i128> = BTreeMap::new();
    let mut beside: BTreeMap<(String, String), i128> = BTreeMap::new();
    let mut longer = 0;
    for (charge, standing) in &bill.charges {
        let to = match standing {
            Standing::Counted => &mut sums,
            Standing::Detailed(_) => &mut beside,
            Standing::Tokens | Standing::Superseded(_) => continue,
        };
        let Some(part) = month.map_or_else(|| Some(charge.clone()), |month| charge.part(month)) else { continue };
        longer += usize::from(part != *charge);
        if let Some(money) = &part.money {
            *to.entry((part.account.clone(), money.currency.code().to_string())).or_default() += money.pico.0;
        }
        if let Some(credits) = part.credits.filter(|_| !bill.tells_credits_again(charge)) {
            *to.entry((part.account.clone(), format!("credits ({})", part.kind.name()))).or_default() += credits.0;
        }
    }
    let line = |((account, unit), pico): (&(String, String), &i128), what: &str| {
        format!("{account}: {} {unit} {what}", crate::model::format_pico(*pico))
    };
    let counted = match month {
        Some(month) => format!("counted in {month}"),
        None => "counted".to_string(),
    };
    let lines = sums.iter().map(|sum| line(sum, &counted));
    let parts =
        (longer > 0).then(|| format!("{longer} rows are of several months: of these the month has its part, by days"));
    lines
        .chain(beside.iter().map(|sum| line(sum, "of usage that is counted from another source")))
        .chain(parts)
        .collect()
}

const FILES: [Heading; 10] = [
    ("file", Some("file"), Kind::Text),
    ("name", Some("name"), Kind::Text),
    ("imported", Some("imported"), Kind::Text),
    ("source", Some("source"), Kind::Text),
    ("account", Some("account"), Kind::Text),
    ("from", Some("from"), Kind::Text),
    ("to", Some("to"), Kind::Text),
    ("rows", Some("rows"), Kind::Count),
    ("whole", Some("whole"), Kind::Text),
    ("superseded_rows", Some("superseded"), Kind::Count),
];

/// The files, in the order of their import. `bill` is all that is stored.
pub fn files(all: &[BillingFile], bill: &Bill) -> Listing {
    let mut listing = Listing::new("billing files", Range::default(), &FILES);
    for file in all {
        let of: Vec<_> = bill.charges.iter().filter(|(charge, _)| charge.origin.file == file.sha256).collect();
        let gone = of.iter().filter(|(_, standing)| matches!(standing, Standing::Superseded(_))).count();
        let names = |name: &dyn Fn(&Charge) -> &str| {
            let mut all: Vec<&str> = of.iter().map(|(charge, _)| name(charge)).collect();
            all.sort_unstable();
            all.dedup();
            all.join(" ")
        };
        let first = of.iter().map(|(charge, _)| charge.start).min();
        let last = of.iter().map(|(charge, _)| charge.end).max();
        listing.add(vec![
            text(file.sha256.as_str()),
            text(file.name.as_str()),
            text(file.imported.to_rfc3339()),
            text(names(&|charge| charge.source.name())),
            text(names(&|charge| &charge.account)),
            first.map_or(Cell::Missing, |time| Cell::Text(moment(time, 0))),
            last.map_or(Cell::Missing, |time| Cell::Text(moment(time, 1))),
            Cell::Count(i64::try_from(file.rows).unwrap_or(i64::MAX)),
            text(if file.whole { "whole" } else { "" }),
            Cell::Count(i64::try_from(gone).unwrap_or(i64::MAX)),
        ]);
    }
    listing
}
