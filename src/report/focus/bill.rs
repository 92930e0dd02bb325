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

/// Puts the shares into the rows of the month.
pub(super) fn put(rows: &mut Rows, shares: &[BilledShare]) {
    let mut covering: BTreeMap<([&str; 4], &str), Vec<&BilledShare>> = BTreeMap::new();
    for share in shares {
        match share.billed_for {
            // Amounts in other currencies are never put beside those in USD.
            BilledFor::Usage if share.currency == USD => {
                let owner = share.owner.each_ref().map(String::as_str);
                covering.entry((owner, share.channel)).or_default().push(share);
            }
            _ => add_row(rows, share),
        }
    }
    let keys: Vec<Key> = rows.keys().cloned().collect();
    for ((owner, channel), shares) in covering {
        let is_of = |key: &&Key| {
            let same = key.values.iter().take(4).map(String::as_str).eq(owner) && key.values[5] == channel;
            same && key.corrects.is_none() && key.billed.is_none() && !key.kind.is_amount()
        };
        let of: Vec<&Key> = keys.iter().filter(is_of).collect();
        let weights: Vec<u64> =
            of.iter().map(|key| u64::try_from(rows[*key].list.max(0)).unwrap_or(u64::MAX)).collect();
        if weights.iter().all(|weight| *weight == 0) {
            shares.iter().for_each(|share| add_row(rows, share));
            continue;
        }
        // An invoice's rows must add up to it, so a row can only be on one.
        let mut invoices: Vec<&str> = shares.iter().map(|share| share.invoice.as_str()).collect();
        invoices.dedup();
        let one = if let [one] = invoices[..] { one } else { "" };
        let billed = shares.iter().map(|share| share.pico).sum();
        for (key, part) in of.into_iter().zip(split(billed, &weights)) {
            let Some(mut measures) = rows.remove(key) else { continue };
            measures.billed = part;
            rows.insert(Key { invoice: one.to_string(), is_covered: true, ..key.clone() }, measures);
        }
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
    fn usage_on_two_invoices_names_none() {
        let mut rows: Rows = [usage("a", 1)].into();
        let two = [share(BilledFor::Usage, "search", "INV-1", 1), share(BilledFor::Usage, "search", "INV-2", 2)];
        put(&mut rows, &two);
        let (key, m) = rows.iter().next().unwrap();
        assert_eq!((rows.len(), key.invoice.as_str(), m.billed), (1, "", 3));
    }
}
