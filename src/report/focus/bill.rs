//! What was billed, in the rows: shares of usage charges are put on the rows of the usage that they are for, to the last unit;
//! everything else (seats, credit packs, taxes, what was billed and not observed) is a row of its own.

use super::charge::{Basis, Key, Kind, Measures};
use crate::model::{Day, USD, split};
use std::collections::BTreeMap;

/// What a share of a charge is, in the words of FOCUS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BilledFor {
    /// Usage of the channel, also the credits for it, and what is taken off: it covers rows of usage.
    Usage,
    /// Seats.
    Purchase,
    /// A tax.
    Tax,
    /// Anything else.
    Adjustment,
}

/// An owner's share of a charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BilledShare {
    /// Team, cost centre, project and user.
    pub owner: [String; 4],
    /// The channel that is billed.
    pub channel: &'static str,
    /// What it is for.
    pub billed_for: BilledFor,
    /// In words.
    pub description: String,
    /// The invoice; empty if it is on none.
    pub invoice: String,
    /// The first day, and the day after the last.
    pub days: (Day, Day),
    /// The currency that is billed.
    pub currency: String,
    /// Pico-units of it.
    pub pico: i128,
}

type Rows = BTreeMap<Key, Measures>;

/// Shares of one owner that go on the same rows of usage: of the same days and invoice.
type Group<'s> = ((Day, Day), &'s str);

/// Puts the shares into the rows of the month.
pub(super) fn put(rows: &mut Rows, shares: &[BilledShare]) {
    let mut covering: BTreeMap<_, BTreeMap<Group<'_>, Vec<&BilledShare>>> = BTreeMap::new();
    for share in shares {
        match share.billed_for {
            // Amounts in other currencies are never put beside those in USD.
            BilledFor::Usage if share.currency == USD => {
                let groups = covering.entry((share.owner.clone(), share.channel.to_string())).or_default();
                groups.entry((share.days, share.invoice.as_str())).or_default().push(share);
            }
            _ => add_row(rows, share),
        }
    }
    let mut usage: BTreeMap<_, Vec<Key>> = BTreeMap::new();
    for key in rows.keys().filter(|key| key.corrects.is_none() && key.billed.is_none() && !key.kind.is_amount()) {
        let [team, cost_centre, project, user, _, channel, ..] = key.values.clone();
        let of = ([team, cost_centre, project, user], channel);
        if covering.contains_key(&of) {
            usage.entry(of).or_default().push(key.clone());
        }
    }
    for (of, groups) in covering {
        cover(rows, usage.remove(&of).unwrap_or_default(), &groups);
    }
}

/// Covers an owner's usage of a channel. A charge is spread over the rows of its own days. A row is on the one invoice that has
/// most of it, so that the rows of an invoice add up to it: what others have of it stands apart.
fn cover(rows: &mut Rows, usage: Vec<Key>, groups: &BTreeMap<Group<'_>, Vec<&BilledShare>>) {
    let mut parts: BTreeMap<usize, Vec<(Group<'_>, i128)>> = BTreeMap::new();
    for (&group, shares) in groups {
        let (from, to) = group.0;
        let of: Vec<usize> = (0..usage.len()).filter(|i| from <= usage[*i].days.0 && usage[*i].days.1 <= to).collect();
        let weight = |i: &usize| u64::try_from(rows[&usage[*i]].list.max(0)).unwrap_or(u64::MAX);
        let weights: Vec<u64> = of.iter().map(weight).collect();
        if weights.iter().all(|weight| *weight == 0) {
            shares.iter().for_each(|share| add_row(rows, share));
            continue;
        }
        let billed = shares.iter().map(|share| share.pico).sum();
        for (i, part) in of.into_iter().zip(split(billed, &weights)) {
            parts.entry(i).or_default().push((group, part));
        }
    }
    let mut apart: BTreeMap<Group<'_>, i128> = BTreeMap::new();
    for (i, parts) in parts {
        let mut by_invoice: BTreeMap<&str, i128> = BTreeMap::new();
        for ((_, invoice), part) in &parts {
            *by_invoice.entry(invoice).or_default() += part;
        }
        // Of invoices with as much of it, the first by name.
        let most = by_invoice.iter().rev().max_by_key(|(_, part)| **part).map_or("", |(invoice, _)| *invoice);
        let Some(mut measures) = rows.remove(&usage[i]) else { continue };
        measures.billed = by_invoice.get(most).copied().unwrap_or_default();
        rows.insert(Key { invoice: most.to_string(), is_covered: true, ..usage[i].clone() }, measures);
        for (group, part) in parts.into_iter().filter(|((_, invoice), _)| *invoice != most) {
            *apart.entry(group).or_default() += part;
        }
    }
    for (group, pico) in apart {
        let shares = &groups[&group];
        let mut what: Vec<&str> = shares.iter().map(|share| share.description.as_str()).collect();
        what.sort_unstable();
        what.dedup();
        add_row(rows, &BilledShare { description: what.join(", "), pico, ..shares[0].clone() });
    }
}

fn add_row(rows: &mut Rows, share: &BilledShare) {
    // What is paid back has no unit price: that cannot be below 0.
    let is_refund = share.billed_for == BilledFor::Purchase && share.pico < 0;
    let billed_for = if is_refund { BilledFor::Adjustment } else { share.billed_for };
    let [team, cost_centre, project, user] = share.owner.clone();
    let none = String::new;
    let key = Key {
        session: none(),
        days: share.days,
        corrects: None,
        reason: none(),
        values: [team, cost_centre, project, user, none(), share.channel.to_string(), none(), none()],
        labels: BTreeMap::new(),
        kind: Kind::Rest,
        basis: Basis::Billed,
        unpriced: none(),
        price: None,
        unit_price: None,
        contracted_unit_price: None,
        by_contract: false,
        invoice: share.invoice.clone(),
        is_covered: true,
        currency: share.currency.clone(),
        billed: Some((billed_for, share.description.clone())),
    };
    *rows.entry(key).or_default() += Measures { billed: share.pico, ..Measures::default() };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;
    use proptest::prelude::*;

    const OWNER: [&str; 4] = ["search", "CC-1", "p", "u"];

    fn usage(session: &str, list: i128) -> (Key, Measures) {
        let day = Timestamp(0).day();
        let [team, cost_centre, project, user] = OWNER.map(str::to_string);
        let rest = ["x", "api", "m", "standard"].map(str::to_string);
        let [client, channel, model, tier] = rest;
        let key = Key {
            session: session.into(),
            days: (day, day.next()),
            corrects: None,
            reason: String::new(),
            values: [team, cost_centre, project, user, client, channel, model, tier],
            labels: BTreeMap::new(),
            kind: Kind::Tokens(0),
            basis: Basis::List,
            unpriced: String::new(),
            price: None,
            unit_price: Some(1),
            contracted_unit_price: Some(1),
            by_contract: false,
            invoice: String::new(),
            is_covered: false,
            currency: USD.into(),
            billed: None,
        };
        (key, Measures { consumed: list, priced: list, list, contracted: list, ..Measures::default() })
    }

    fn share(billed_for: BilledFor, team: &str, invoice: &str, pico: i128) -> BilledShare {
        let day = Timestamp(0).day();
        let [_, cost_centre, project, user] = OWNER.map(str::to_string);
        BilledShare {
            owner: [team.to_string(), cost_centre, project, user],
            channel: "api",
            billed_for,
            description: "what it says".into(),
            invoice: invoice.into(),
            days: (day, day.next()),
            currency: USD.into(),
            pico,
        }
    }

    #[test]
    fn usage_is_covered_to_the_last_unit_and_the_rest_stands_apart() {
        let mut rows: Rows = [usage("a", 1), usage("b", 2), usage("c", 0)].into();
        let correction = usage("d", 7);
        rows.insert(Key { corrects: Some("1969-12".into()), ..correction.0 }, correction.1);
        let shares = [
            share(BilledFor::Usage, "search", "INV-1", 110),
            share(BilledFor::Usage, "search", "INV-1", -10),
            share(BilledFor::Usage, "nobody", "INV-1", 5),
            share(BilledFor::Purchase, "search", "INV-2", 40),
            share(BilledFor::Purchase, "search", "INV-2", -4),
            share(BilledFor::Tax, "search", "INV-2", 8),
        ];
        put(&mut rows, &shares);
        let said: Vec<_> = rows
            .iter()
            .map(|(key, m)| (key.session.as_str(), key.invoice.as_str(), key.is_covered, m.billed, m.list))
            .collect();
        let covered = [("a", "INV-1", true, 33, 1), ("b", "INV-1", true, 67, 2), ("c", "INV-1", true, 0, 0)];
        for row in covered {
            assert!(said.contains(&row), "{row:?}: {said:?}");
        }
        assert!(said.contains(&("d", "", false, 0, 7)), "a correction is of another month's bill: {said:?}");
        let apart: BTreeMap<_, _> =
            rows.iter().filter_map(|(key, m)| Some((key.billed.clone()?.0, m.billed))).collect();
        let expected =
            [(BilledFor::Usage, 5), (BilledFor::Purchase, 40), (BilledFor::Adjustment, -4), (BilledFor::Tax, 8)];
        assert_eq!(apart, expected.into());
        assert_eq!(rows.values().map(|m| m.billed).sum::<i128>(), shares.iter().map(|share| share.pico).sum());
    }

    #[test]
    fn a_row_is_on_the_invoice_that_has_most_of_it() {
        let usage_share = |invoice, pico| share(BilledFor::Usage, "search", invoice, pico);
        let mut rows: Rows = [usage("a", 1), usage("b", 3)].into();
        put(
            &mut rows,
            &[usage_share("INV-1", 4), usage_share("INV-2", 8), usage_share("", 8), usage_share("INV-1", 0)],
        );
        let said: Vec<_> =
            rows.iter().map(|(key, m)| (key.session.as_str(), key.invoice.as_str(), m.billed, m.list)).collect();
        assert_eq!(said, [("", "INV-1", 4, 0), ("", "INV-2", 8, 0), ("a", "", 2, 1), ("b", "", 6, 3)]);
    }

    #[test]
    fn a_charge_covers_usage_of_its_own_days() {
        let first = Timestamp(0).day();
        let next = (first.next(), first.next().next());
        let later = |(key, measures): (Key, Measures)| (Key { days: next, ..key }, measures);
        let mut rows: Rows = [usage("a", 1), later(usage("b", 3))].into();
        let one_day = share(BilledFor::Usage, "search", "INV-1", 10);
        put(&mut rows, std::slice::from_ref(&one_day));
        let said = |rows: &Rows| -> Vec<_> {
            rows.iter().map(|(key, m)| (key.session.clone(), key.is_covered, m.billed)).collect()
        };
        assert_eq!(said(&rows), [("a".into(), true, 10), ("b".into(), false, 0)]);
        // Of the same invoice a charge of all days adds to it.
        let mut rows: Rows = [usage("a", 1), later(usage("b", 3))].into();
        let both_days = BilledShare { days: (first, next.1), pico: 4, ..one_day.clone() };
        put(&mut rows, &[one_day, both_days]);
        assert_eq!(said(&rows), [("a".into(), true, 11), ("b".into(), true, 3)]);
    }

    fn day(n: usize) -> Day {
        (0..n).fold(Timestamp(0).day(), |day, _| day.next())
    }

    proptest! {
        #[test]
        fn rows_of_an_invoice_add_up_to_it(
            used in prop::collection::vec((0_usize..4, 0_i128..1_000), 0..8),
            charged in prop::collection::vec((0_usize..4, 0_usize..4, 0_usize..3, -500_i128..5_000), 0..8),
        ) {
            let row = |(i, (at, list)): (usize, &(usize, i128))| {
                let (key, measures) = usage(&i.to_string(), *list);
                (Key { days: (day(*at), day(at + 1)), ..key }, measures)
            };
            let before: Rows = used.iter().enumerate().map(row).collect();
            let of = |(from, more, invoice, pico): &(usize, usize, usize, i128)| BilledShare {
                days: (day(*from), day(from + more + 1)),
                ..share(BilledFor::Usage, "search", ["", "INV-1", "INV-2"][*invoice], *pico)
            };
            let shares: Vec<BilledShare> = charged.iter().map(of).collect();
            let mut rows = before.clone();
            put(&mut rows, &shares);
            for invoice in ["", "INV-1", "INV-2"] {
                let billed: i128 = rows.iter().filter(|(key, _)| key.invoice == invoice).map(|(_, m)| m.billed).sum();
                let imported: i128 = shares.iter().filter(|s| s.invoice == invoice).map(|s| s.pico).sum();
                prop_assert_eq!(billed, imported, "{}", invoice);
            }
            for (key, m) in rows.iter().filter(|(key, _)| key.billed.is_none()) {
                let of_its_days = |s: &&BilledShare| s.days.0 <= key.days.0 && key.days.1 <= s.days.1;
                let may = shares.iter().filter(of_its_days).any(|s| s.invoice == key.invoice);
                prop_assert!(if key.is_covered { may } else { m.billed == 0 && key.invoice.is_empty() }, "{:?}", key);
            }
            // What was used stays as it was.
            let as_used = |(key, m): (&Key, &Measures)| {
                (Key { invoice: String::new(), is_covered: false, ..key.clone() }, Measures { billed: 0, ..*m })
            };
            let after: Rows = rows.iter().filter(|(key, _)| key.billed.is_none()).map(as_used).collect();
            prop_assert_eq!(&after, &before);
            // The order of the charges changes nothing.
            let mut again = before;
            put(&mut again, &shares.iter().rev().cloned().collect::<Vec<_>>());
            prop_assert_eq!(again, rows);
        }
    }
}
