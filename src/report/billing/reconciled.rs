//! What was billed beside what was observed.

use crate::model::{Difference, Measured, Reconciled};
use crate::report::listing::Heading;
use crate::report::{Cell, Kind, Listing, Range};
use std::collections::BTreeMap;

const COLUMNS: [Heading; 16] = [
    ("unit", Some("unit"), Kind::Text),
    ("tokens", Some("tokens"), Kind::Text),
    ("day", Some("day"), Kind::Text),
    ("team", Some("team"), Kind::Text),
    ("user", Some("user"), Kind::Text),
    ("model", Some("model"), Kind::Text),
    ("tier", Some("tier"), Kind::Text),
    ("billed", Some("billed"), Kind::Amount),
    ("observed", Some("observed"), Kind::Amount),
    ("tier_difference", Some("tier"), Kind::Amount),
    ("region", Some("region"), Kind::Amount),
    ("unpriced", Some("unpriced"), Kind::Amount),
    ("price", Some("price"), Kind::Amount),
    ("not_observed", Some("not observed"), Kind::Amount),
    ("over_observed", Some("over observed"), Kind::Amount),
    ("residual", None, Kind::Amount),
];

/// One token, where amounts stand.
const ONE: i128 = 1_000_000_000_000;

/// What comparisons of one unit add up to.
#[derive(Default)]
struct Sum {
    billed: i128,
    observed: i128,
    parts: BTreeMap<Difference, i128>,
}

/// The comparisons; with `only_different` those alone that differ. Below them the sums by unit.
pub fn reconciled(rows: &[Reconciled], notes: &[String], range: Range, only_different: bool) -> Listing {
    let mut listing = Listing::new("reconcile", range, &COLUMNS);
    let mut sums: BTreeMap<(String, &str), Sum> = BTreeMap::new();
    let mut equal = 0_u64;
    for row in rows {
        let (unit, kind, _) = unit(&row.measured);
        let sum = sums.entry((unit, kind)).or_default();
        sum.billed += row.billed;
        sum.observed += row.observed;
        row.parts.iter().for_each(|(why, part)| *sum.parts.entry(*why).or_default() += part);
        equal += u64::from(row.parts.is_empty());
        if !only_different || !row.parts.is_empty() {
            listing.add(cells(row));
        }
    }
    for ((unit, kind), Sum { billed, observed, parts }) in sums {
        let figure = |n: i128| if kind.is_empty() { crate::model::format_pico(n) } else { n.to_string() };
        let parts: Vec<String> =
            parts.iter().filter(|(_, n)| **n != 0).map(|(why, n)| format!("{} {}", why.name(), figure(*n))).collect();
        let why = if parts.is_empty() { "they are equal".to_string() } else { parts.join(", ") };
        let what = [unit.as_str(), kind].join(" ");
        listing.notes.push(format!("{}: billed {}, observed {}: {why}", what.trim(), figure(billed), figure(observed)));
    }
    if only_different && equal > 0 {
        listing.notes.push(format!("{equal} more comparisons are equal"));
    }
    listing.notes.extend(notes.iter().cloned());
    listing
}

/// Unit, kind of tokens, and what one is in the unit of amounts.
fn unit(measured: &Measured) -> (String, &'static str, i128) {
    match measured {
        Measured::Tokens(kind) => ("tokens".to_string(), kind, ONE),
        Measured::Money(currency) => (currency.clone(), "", 1),
        Measured::Credits => ("credits".to_string(), "", 1),
    }
}

fn cells(row: &Reconciled) -> Vec<Cell> {
    let (unit, kind, scale) = unit(&row.measured);
    let option = |value: &Option<String>| value.clone().map_or(Cell::Missing, Cell::Text);
    let key = &row.key;
    let part = |why: Difference| row.parts.iter().find(|(of, _)| *of == why).map_or(0, |(_, part)| *part);
    let mut cells = vec![
        Cell::Text(unit),
        if kind.is_empty() { Cell::Missing } else { Cell::Text(kind.to_string()) },
        key.day.map_or(Cell::Missing, |day| Cell::Text(day.to_string())),
        option(&key.team),
        option(&key.user),
        option(&key.model),
        option(&key.tier),
        Cell::Amount(row.billed * scale),
        Cell::Amount(row.observed * scale),
    ];
    cells.extend(Difference::ALL.map(|why| Cell::Amount(part(why) * scale)));
    cells.push(Cell::Amount(row.residual() * scale));
    cells
}
