//! The balance of what was billed with what was observed, in which usage stands behind one charge. Charges that say most of what
//! they are for take their usage first; the others are held against what is left of it, and what was billed beyond that was not
//! observed.

use super::flow::Flow;
use super::key::Key;
use super::{Dims, Observed, ObservedRow, Plan, SEARCHES};
use crate::model::{Channel, Charge, Currency, Day, Measured, Method, ReconcileKey, TokenSums, split};
use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Charges that are held against the same usage in the same measure.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Book {
    pub channel: Channel,
    pub method: Method,
    /// The currency; credits have none.
    pub unit: Option<Currency>,
    /// Whether amounts are in the measure of the usage.
    pub measured: bool,
}

/// Usage of a day under the same keys.
#[derive(Debug)]
pub(super) struct Cell<'o> {
    day: Day,
    pub row: &'o ObservedRow,
    pub user: String,
    pub model: String,
    tokens: TokenSums,
    unpriced_tokens: i64,
    /// All of it, in the measure of the book.
    all: i128,
    /// How many charges may be for it that have not taken theirs.
    asked: usize,
}

/// The usage charges of one key.
#[derive(Debug, Default)]
pub(super) struct Pool {
    /// What was billed.
    pub billed: i128,
    /// The same without what was given back: a credit note leaves usage where it is.
    charged: i128,
    /// All of it, if nothing was observed that it may be for.
    pub unseen: i128,
    /// Else what of it is beyond the usage that was left for it.
    pub beyond: i128,
    /// What of these was not observed.
    pub not_observed: i128,
    /// Whose that is.
    pub nobodys: [String; 4],
    /// The usage of each owner that was left for it.
    pub owners: BTreeMap<[String; 4], i128>,
    /// The tokens that were billed, if the charges have them.
    tokens: Option<i128>,
    /// Some amounts have none.
    lacks_tokens: bool,
}

/// Both sides of a comparison.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub billed: i128,
    pub observed: i128,
    pub unseen: i128,
    pub beyond: i128,
    /// What of it may have been not observed at most.
    pub most: i128,
    pub unpriced_tokens: i64,
    pub billed_tokens: Option<i128>,
    /// Some amounts have none.
    pub lacks_tokens: bool,
    pub observed_tokens: i128,
}

/// A book's charges and usage.
#[derive(Debug)]
pub(super) struct Balance<'o> {
    /// In the order in which they take usage.
    pub pools: BTreeMap<Key, Pool>,
    /// In the order of days.
    cells: Vec<Cell<'o>>,
}

impl Book {
    pub fn of(charge: &Charge, method: Method) -> Self {
        let channel = if charge.channel == Channel::Chatgpt { Channel::Chatgpt } else { Channel::Api };
        let unit = charge.money.as_ref().map(|money| money.currency.clone());
        let measured = match method {
            Method::Credits => charge.credits.is_some(),
            Method::List => channel == Channel::Api && unit.as_ref().is_some_and(Currency::is_usd),
            _ => false,
        };
        Book { channel, method, unit, measured }
    }

    /// What was billed by a charge of the book.
    pub fn amount(&self, charge: &Charge) -> i128 {
        let money = charge.money.as_ref().map(|money| money.pico.0);
        let credits = charge.credits.map(|credits| credits.0);
        let amount = if self.method == Method::Credits { credits.or(money) } else { money.or(credits) };
        amount.unwrap_or(0)
    }

    /// What `reconcile` compares it as.
    pub fn compared(&self) -> Option<Measured> {
        match (self.channel, self.method, &self.unit) {
            (Channel::Api, Method::List, Some(unit)) if unit.is_usd() => Some(Measured::Money(unit.code().to_string())),
            (Channel::Chatgpt, Method::Credits, None) => Some(Measured::Credits),
            _ => None,
        }
    }

    /// Usage as the method measures it, and fees of hosted tools.
    fn measure(&self, row: &ObservedRow) -> (i128, i128) {
        match (self.method, self.channel) {
            (Method::Tokens, _) => (row.tokens.total().into(), 0),
            (Method::Credits, _) => (row.credits, 0),
            (_, Channel::Chatgpt) => (row.api_equivalent, 0),
            _ => (row.list_usd, row.fees_usd),
        }
    }

    fn cells<'o>(&self, observed: &'o Observed, plan: &Plan<'_>) -> Vec<Cell<'o>> {
        let mut cells = Vec::new();
        for (day, row) in observed.month(self.channel) {
            let (usage, fees) = self.measure(row);
            let cell = |model: String, all: i128| Cell {
                day,
                row,
                user: row.owner[3].to_lowercase(),
                model,
                tokens: TokenSums::default(),
                unpriced_tokens: 0,
                all,
                asked: 0,
            };
            let (tokens, unpriced_tokens) = (row.tokens, row.unpriced_tokens);
            cells.push(Cell { tokens, unpriced_tokens, ..cell(plan.model_name(&row.model), usage) });
            if fees != 0 {
                cells.push(cell(SEARCHES.to_string(), fees));
            }
        }
        cells
    }
}

impl<'o> Balance<'o> {
    /// Serves these usage charges of a book.
    pub fn of(book: &Book, charges: &[impl Borrow<Charge>], observed: &'o Observed, plan: &Plan<'_>) -> Self {
        let mut pools: BTreeMap<Key, Pool> = BTreeMap::new();
        for charge in charges.iter().map(Borrow::borrow) {
            // All charges of a pool are of the same team and user.
            let new = || Pool { nobodys: plan.owner_of(charge), ..Pool::default() };
            let pool = pools.entry(Key::of(charge, book, plan)).or_insert_with(new);
            pool.billed += book.amount(charge);
            pool.charged += book.amount(charge).max(0);
            if let Some(usage) = &charge.usage {
                *pool.tokens.get_or_insert(0) += i128::from(usage.total());
            } else if book.amount(charge) != 0 {
                pool.lacks_tokens = true;
            }
        }
        let mut balance = Balance { pools: BTreeMap::new(), cells: book.cells(observed, plan) };
        let dims = Dims { team: false, user: false, ..Dims::of(charges, plan) };
        let worth = balance.worth(book, &pools, dims);
        let worth = |key: &Key| worth.get(key).copied().unwrap_or_default();
        for key in pools.keys().filter(|key| worth(key) > 0) {
            balance.places(key).into_iter().for_each(|at| balance.cells[at].asked += 1);
        }
        let mut flow = Flow::new(balance.cells.iter().map(|cell| cell.all.max(0)).collect());
        for (key, mut pool) in pools {
            balance.serve(&mut flow, &key, &mut pool, worth(&key));
            if !book.measured {
                (pool.unseen, pool.beyond) = (0, 0);
            }
            pool.not_observed = pool.unseen + pool.beyond;
            balance.pools.insert(key, pool);
        }
        for (at, pool) in balance.pools.values_mut().enumerate() {
            let Some(taken) = flow.moved(at) else { continue };
            pool.owners.clear();
            for (cell, part) in taken {
                *pool.owners.entry(balance.cells[cell].row.owner.clone()).or_default() += part;
            }
        }
        balance
    }

    /// How much usage amounts stand for that are below the list, or that no list has: as if all usage of the same days and model
    /// had cost the same.
    fn worth(&self, book: &Book, pools: &BTreeMap<Key, Pool>, dims: Dims) -> BTreeMap<Key, i128> {
        let mut alike: BTreeMap<Key, Vec<(&Key, i128)>> = BTreeMap::new();
        for (key, pool) in pools {
            alike.entry(key.of_anyone()).or_default().push((key, pool.charged));
        }
        let mut beside: BTreeMap<ReconcileKey, usize> = BTreeMap::new();
        alike.keys().for_each(|anyone| *beside.entry(anyone.within(dims)).or_default() += 1);
        let worth = |(anyone, pools): (&Key, &Vec<(&Key, i128)>)| {
            let usage = self.cells(anyone).map(|cell| cell.all.max(0)).sum::<i128>();
            let billed: Vec<i128> = pools.iter().map(|(_, billed)| *billed).collect();
            // The rest of it may be what others are for.
            let is_shared = beside.get(&anyone.within(dims)).is_some_and(|n| *n > 1);
            let is_as_billed = book.measured && (is_shared || usage <= billed.iter().sum());
            let parts = if is_as_billed { billed } else { split(usage, &scaled(&billed)) };
            pools.iter().map(|(key, _)| (*key).clone()).zip(parts).collect::<Vec<_>>()
        };
        alike.iter().flat_map(worth).collect()
    }

    fn serve(&mut self, flow: &mut Flow, key: &Key, pool: &mut Pool, takes: i128) {
        let places = self.places(key);
        let mut cells: Vec<(usize, i128)> = places.iter().map(|at| (*at, flow.left(*at))).collect();
        let was_seen = self.cells(key).any(|cell| cell.all > 0 || cell.unpriced_tokens > 0);
        let sum: i128 = cells.iter().map(|(_, left)| left).sum();
        (pool.unseen, pool.beyond) = if was_seen { (0, (pool.billed - sum).max(0)) } else { (pool.billed, 0) };
        cells.retain(|(_, left)| *left > 0);
        for (at, left) in &cells {
            *pool.owners.entry(self.cells[*at].row.owner.clone()).or_default() += left;
        }
        if takes > 0 {
            places.iter().for_each(|at| self.cells[*at].asked -= 1);
        }
        let charge = flow.charge(places);
        // First what the fewest others can be for: what two may be for is for the one that has nothing else.
        let levels: BTreeSet<usize> = cells.iter().map(|(at, _)| self.cells[*at].asked).collect();
        let mut taken: BTreeMap<[String; 4], i128> = BTreeMap::new();
        let mut rest = takes.max(0);
        for level in &levels {
            let of_level = |(at, left): &(usize, i128)| if self.cells[*at].asked == *level { *left } else { 0 };
            for ((at, _), part) in cells.iter().zip(shared(rest, &cells.iter().map(of_level).collect::<Vec<_>>())) {
                if part > 0 {
                    rest -= part;
                    flow.take(charge, *at, part);
                    *taken.entry(self.cells[*at].row.owner.clone()).or_default() += part;
                }
            }
        }
        if levels.len() > 1 && takes > 0 {
            pool.owners = taken;
        }
        pool.beyond = (pool.beyond - flow.more(charge, rest)).max(0);
    }

    /// The places of the usage that a charge may be for.
    fn places(&self, key: &Key) -> Vec<usize> {
        let of_days = self.of_days(key);
        let first = of_days.start;
        let fits = self.cells[of_days].iter().enumerate().filter(|(_, cell)| key.fits(cell));
        fits.map(|(at, _)| first + at).collect()
    }

    fn of_days(&self, key: &Key) -> Range<usize> {
        let first = self.cells.partition_point(|cell| cell.day < key.from);
        first..self.cells.partition_point(|cell| cell.day <= key.to).max(first)
    }

    fn cells(&self, key: &Key) -> impl Iterator<Item = &Cell<'o>> {
        self.cells[self.of_days(key)].iter().filter(|cell| key.fits(cell))
    }

    /// All usage that a charge may be for, whether it stands behind others or not.
    pub fn usage(&self, key: &Key) -> BTreeMap<[String; 4], i128> {
        self.by(key, |cell| cell.all)
    }

    /// That of it that has no price, in tokens.
    pub fn unpriced(&self, key: &Key) -> BTreeMap<[String; 4], i128> {
        self.by(key, |cell| cell.unpriced_tokens.into())
    }

    fn by(&self, key: &Key, measure: impl Fn(&Cell<'o>) -> i128) -> BTreeMap<[String; 4], i128> {
        let mut owners: BTreeMap<[String; 4], i128> = BTreeMap::new();
        for (cell, usage) in self.cells(key).map(|cell| (cell, measure(cell))).filter(|(_, usage)| *usage > 0) {
            *owners.entry(cell.row.owner.clone()).or_default() += usage;
        }
        owners
    }

    /// The comparisons by some keys, with the usage of these days.
    pub fn groups(&self, dims: Dims, days: &BTreeSet<Day>, plan: &Plan<'_>) -> BTreeMap<ReconcileKey, Group> {
        let mut groups: BTreeMap<ReconcileKey, Group> = BTreeMap::new();
        for (key, pool) in &self.pools {
            let group = groups.entry(key.within(dims)).or_default();
            group.billed += pool.billed;
            group.unseen += pool.unseen;
            group.beyond += pool.beyond;
            group.most += pool.most();
            group.lacks_tokens |= pool.lacks_tokens;
            if let Some(tokens) = pool.tokens {
                *group.billed_tokens.get_or_insert(0) += tokens;
            }
        }
        for cell in self.cells.iter().filter(|cell| days.contains(&cell.day)) {
            let model = dims.model.then(|| cell.model.clone());
            let group = groups.entry(ReconcileKey { model, ..dims.of_row(cell.day, cell.row, plan) }).or_default();
            group.observed += cell.all;
            group.unpriced_tokens += cell.unpriced_tokens;
            group.observed_tokens += i128::from(cell.tokens.total());
        }
        groups
    }

    /// So much of the comparisons was not observed: there may be other reasons for what is beyond usage, and tokens may tell of more.
    pub fn explain(&mut self, dims: Dims, not_observed: &BTreeMap<ReconcileKey, i128>) {
        let mut groups: BTreeMap<ReconcileKey, Vec<&mut Pool>> = BTreeMap::new();
        for (key, pool) in &mut self.pools {
            groups.entry(key.within(dims)).or_default().push(pool);
        }
        for (key, mut pools) in groups {
            let known: i128 = pools.iter().map(|pool| pool.unseen + pool.beyond).sum();
            let more = not_observed.get(&key).copied().unwrap_or(0) - known;
            let most = |pool: &&mut Pool| {
                if more < 0 { pool.beyond } else { pool.most() - pool.unseen - pool.beyond }
            };
            let most: Vec<i128> = pools.iter().map(most).collect();
            for (pool, part) in pools.iter_mut().zip(shared(more.abs(), &most)) {
                pool.not_observed += part * more.signum();
            }
        }
    }
}

impl Pool {
    /// What of it may have been not observed at most.
    fn most(&self) -> i128 {
        self.billed.max(self.unseen + self.beyond)
    }
}

/// Shares a sum in proportion to what each can have at most: of more than all, each has that.
pub(super) fn shared(sum: i128, most: &[i128]) -> Vec<i128> {
    if sum >= most.iter().sum() {
        return most.to_vec();
    }
    let mut parts = split(sum, &scaled(most));
    // Large weights are rounded: what one does not have, the next ones do.
    let mut rest = 0;
    for (part, most) in parts.iter_mut().zip(most) {
        rest += *part - (*part).min(*most);
        *part = (*part).min(*most);
    }
    for (part, most) in parts.iter_mut().zip(most) {
        let more = rest.min(*most - *part);
        *part += more;
        rest -= more;
    }
    parts
}

/// Weights that a split can use: in the same proportion, and as they are up to 62 bits.
pub(super) fn scaled(weights: &[i128]) -> Vec<u64> {
    const MOST: i128 = 1 << 62;
    let total: i128 = weights.iter().sum();
    let by = total / MOST + 1;
    weights.iter().map(|weight| u64::try_from(weight / by).unwrap_or(0)).collect()
}
