//! Billed amounts by owner; basis `allocated`.

use crate::model::{Allocated, ChargeKind, Share, ShareClass};
use crate::report::listing::{Heading, text};
use crate::report::{Cell, Kind, Listing, Range};
use std::collections::BTreeMap;

/// How much of it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// By team.
    Teams,
    /// By owner.
    Owners,
    /// Each charge.
    Charges,
}

const COLUMNS: [Heading; 21] = [
    ("period", Some("period"), Kind::Text),
    ("account", Some("account"), Kind::Text),
    ("channel", None, Kind::Text),
    ("kind", Some("kind"), Kind::Text),
    ("method", Some("method"), Kind::Text),
    ("class", Some("class"), Kind::Text),
    ("team", Some("team"), Kind::Text),
    ("cost_centre", Some("cost centre"), Kind::Text),
    ("project", Some("project"), Kind::Text),
    ("user", Some("user"), Kind::Text),
    ("basis", None, Kind::Text),
    ("from", Some("from"), Kind::Text),
    ("to", Some("to"), Kind::Text),
    ("invoice", Some("invoice"), Kind::Text),
    ("line_item", Some("line item"), Kind::Text),
    ("file", None, Kind::Text),
    ("row", None, Kind::Count),
    ("charges", None, Kind::Count),
    ("amount", Some("amount"), Kind::Amount),
    ("currency", Some("currency"), Kind::Text),
    ("credits", Some("credits"), Kind::Amount),
];

/// What adds up to one row: all columns up to the amounts, but the number of charges.
type Key = (String, &'static str, ChargeKind, &'static str, ShareClass, [String; 4], [String; 5], u64, String);

/// The allocation of a month. Amounts of different currencies, and credits, are rows of their own.
pub fn allocated(all: &[Allocated], range: Range, detail: Detail) -> Listing {
    let mut listing = Listing::new("billing allocate", range, &COLUMNS);
    let mut rows: BTreeMap<Key, (i64, Option<i128>, Option<i128>)> = BTreeMap::new();
    for one in all {
        for share in &one.shares {
            let (charges, amount, credits) = rows.entry(key(one, share, detail)).or_default();
            *charges += 1;
            let add = |sum: &mut Option<i128>, more: Option<i128>| {
                *sum = sum.map_or(more, |sum| Some(sum + more.unwrap_or(0)))
            };
            add(amount, share.money.as_ref().map(|money| money.pico.0));
            add(credits, share.credits.map(|credits| credits.0));
        }
    }
    let period = range.since.map(|day| day.period().to_string()).unwrap_or_default();
    for ((account, channel, kind, method, class, owner, place, row, currency), (charges, amount, credits)) in rows {
        let [from, to, invoice, item, file] = place;
        let [team, cost_centre, project, user] = owner;
        let option = |sum: Option<i128>| sum.map_or(Cell::Missing, Cell::Amount);
        let number = |n: u64| if n == 0 { Cell::Missing } else { Cell::Count(i64::try_from(n).unwrap_or(i64::MAX)) };
        listing.add(vec![
            text(period.as_str()),
            text(account),
            text(channel),
            text(kind.name()),
            text(method),
            text(class.name()),
            text(team),
            text(cost_centre),
            text(project),
            text(user),
            text("allocated"),
            text(from),
            text(to),
            text(invoice),
            text(item),
            text(file),
            number(row),
            Cell::Count(charges),
            option(amount),
            text(currency),
            option(credits),
        ]);
    }
    listing
}

fn key(one: &Allocated, share: &Share, detail: Detail) -> Key {
    let charge = &one.charge;
    let [team, cost_centre, project, user] = share.owner.clone();
    let owner = match detail {
        Detail::Teams => [team, String::new(), String::new(), String::new()],
        Detail::Owners | Detail::Charges => [team, cost_centre, project, user],
    };
    let place = match detail {
        Detail::Charges => [
            charge.first_day().to_string(),
            charge.last_day().to_string(),
            charge.invoice.clone(),
            charge.line_item.clone().unwrap_or_default(),
            charge.origin.file.clone(),
        ],
        Detail::Teams | Detail::Owners => Default::default(),
    };
    let row = if detail == Detail::Charges { charge.origin.row } else { 0 };
    let currency = share.money.as_ref().map(|money| money.currency.code().to_string()).unwrap_or_default();
    (
        charge.account.clone(),
        charge.channel.name(),
        charge.kind,
        share.method.name(),
        share.class,
        owner,
        place,
        row,
        currency,
    )
}
