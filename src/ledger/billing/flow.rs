//! The most usage that charges can have: what a charge took is given to another that has nothing else, if there is other usage
//! that it may be for. Exact, in integers, and in the order of charges and usage.

use super::balance::shared;
use std::collections::{BTreeMap, VecDeque};

/// Charges and the usage behind them, by their places.
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// What of each usage stands behind no charge.
    left: Vec<i128>,
    charges: Vec<Taker>,
    /// The charges that each usage stands, or stood, behind.
    takers: Vec<Vec<usize>>,
    /// By which search, and which charge, each usage was last met.
    met: Vec<(u32, usize)>,
    searches: u32,
}

/// A charge.
#[derive(Debug, Default)]
struct Taker {
    /// The usage that it may be for.
    fits: Vec<usize>,
    taken: BTreeMap<usize, i128>,
    /// Other usage stands behind it than it took.
    is_moved: bool,
    /// By which search, and by which of its usage, it was last met.
    met: (u32, usize),
}

/// What was searched through without a find will never have anything to give: all of it is taken by charges that can have
/// nothing else.
const IN_VAIN: u32 = u32::MAX;

impl Flow {
    /// Nothing stands behind any charge yet.
    pub fn new(left: Vec<i128>) -> Self {
        let (takers, met) = (vec![Vec::new(); left.len()], vec![(0, 0); left.len()]);
        Flow { left, takers, met, ..Flow::default() }
    }

    /// What of a usage stands behind no charge.
    pub fn left(&self, usage: usize) -> i128 {
        self.left[usage]
    }

    /// Another charge, and the usage that it may be for.
    pub fn charge(&mut self, fits: Vec<usize>) -> usize {
        self.charges.push(Taker { fits, ..Taker::default() });
        self.charges.len() - 1
    }

    /// So much of what is left of a usage stands behind a charge.
    pub fn take(&mut self, charge: usize, usage: usize, part: i128) {
        self.left[usage] -= part;
        self.put(charge, usage, part);
    }

    fn put(&mut self, charge: usize, usage: usize, part: i128) {
        let taken = self.charges[charge].taken.entry(usage).or_insert_with(|| {
            self.takers[usage].push(charge);
            0
        });
        *taken += part;
    }

    /// Takes up to so much for a charge for which nothing is left, by moving what others have to what is left for these. All of
    /// them keep as much as they have. How much it was.
    pub fn more(&mut self, charge: usize, want: i128) -> i128 {
        let mut rest = want;
        while rest > 0 {
            let Some((way, last)) = self.search(charge) else { break };
            let free: Vec<usize> =
                self.charges[last].fits.iter().copied().filter(|usage| self.left[*usage] > 0).collect();
            let left: Vec<i128> = free.iter().map(|usage| self.left[*usage]).collect();
            let given = way.iter().map(|(of, usage)| self.charges[*of].taken[usage]);
            let part = given.chain([left.iter().sum(), rest]).min().unwrap_or(0);
            rest -= part;
            for (usage, part) in free.into_iter().zip(shared(part, &left)) {
                self.take(last, usage, part);
            }
            // Each gives as much as it takes to the one before it.
            for (at, (of, usage)) in way.iter().enumerate() {
                self.put(*of, *usage, -part);
                self.put(way.get(at + 1).map_or(charge, |(before, _)| *before), *usage, part);
                self.charges[*of].is_moved = true;
            }
            self.charges[charge].is_moved = true;
        }
        want - rest
    }

    /// The shortest way to a charge for which something is left: the charges from that one on with what they have to give.
    fn search(&mut self, first: usize) -> Option<(Vec<(usize, usize)>, usize)> {
        self.searches += 1;
        let (searches, mut queue) = (self.searches, VecDeque::from([first]));
        let mut all = Vec::new();
        self.charges[first].met.0 = searches;
        while let Some(charge) = queue.pop_front() {
            if self.charges[charge].fits.iter().any(|usage| self.left[*usage] > 0) {
                return Some((self.way(first, charge), charge));
            }
            all.push(charge);
            for at in 0..self.charges[charge].fits.len() {
                let usage = self.charges[charge].fits[at];
                if self.met[usage].0 >= searches {
                    continue;
                }
                self.met[usage] = (searches, charge);
                for other in &self.takers[usage] {
                    let other_charge = &mut self.charges[*other];
                    let is_new = other_charge.met.0 < searches;
                    if is_new && other_charge.taken.get(&usage).is_some_and(|part| *part > 0) {
                        other_charge.met = (searches, usage);
                        queue.push_back(*other);
                    }
                }
            }
        }
        for charge in all {
            self.charges[charge].met.0 = IN_VAIN;
            self.charges[charge].fits.iter().for_each(|usage| self.met[*usage].0 = IN_VAIN);
        }
        None
    }

    /// The way back to the charge that a search began with.
    fn way(&self, first: usize, last: usize) -> Vec<(usize, usize)> {
        let mut way = Vec::new();
        let mut charge = last;
        while charge != first {
            let usage = self.charges[charge].met.1;
            way.push((charge, usage));
            charge = self.met[usage].1;
        }
        way
    }

    /// What stands behind a charge, if that is not what it took itself.
    pub fn moved(&self, charge: usize) -> Option<impl Iterator<Item = (usize, i128)>> {
        let taken = self.charges[charge].taken.iter().map(|(usage, part)| (*usage, *part));
        self.charges[charge].is_moved.then_some(taken.filter(|(_, part)| *part > 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The most that any charges can have: by the least that cuts them off (usage of some charges, and what the others want).
    fn most(wants: &[i128], fits: &[Vec<usize>], left: &[i128]) -> i128 {
        let cut = |others: u32| {
            let is_other = |charge: usize| others >> charge & 1 == 1;
            let wanted = (0..wants.len()).filter(|charge| is_other(*charge)).map(|charge| wants[charge]).sum::<i128>();
            let has = |usage: &usize| (0..fits.len()).any(|charge| !is_other(charge) && fits[charge].contains(usage));
            wanted + (0..left.len()).filter(has).map(|usage| left[usage]).sum::<i128>()
        };
        (0..1 << wants.len()).map(cut).min().unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2048))]
        #[test]
        fn charges_have_all_that_they_can(
            left in prop::collection::vec(0i128..9, 1..7),
            charges in prop::collection::vec((0i128..15, any::<u8>(), any::<bool>()), 1..7),
        ) {
            let mut flow = Flow::new(left.clone());
            let (mut wants, mut fits, mut has): (Vec<i128>, Vec<Vec<usize>>, Vec<i128>) = Default::default();
            for (want, mask, is_first) in charges {
                let of: Vec<usize> = (0..left.len()).filter(|usage| mask >> usage & 1 == 1).collect();
                let charge = flow.charge(of.clone());
                let mut rest = want;
                // It may begin at either end.
                let order: Vec<usize> = if is_first { of.clone() } else { of.iter().rev().copied().collect() };
                for usage in order {
                    let part = rest.min(flow.left(usage));
                    flow.take(charge, usage, part);
                    rest -= part;
                }
                has.push(want - rest + flow.more(charge, rest));
                (wants, fits) = ([wants, vec![want]].concat(), [fits, vec![of]].concat());
                // Those that are first have as much as they can, whoever comes later.
                prop_assert_eq!(has.iter().sum::<i128>(), most(&wants, &fits, &left));
            }
            let mut taken = vec![0; left.len()];
            for (charge, of) in flow.charges.iter().enumerate() {
                prop_assert_eq!(of.taken.values().sum::<i128>(), has[charge]);
                for (usage, part) in &of.taken {
                    prop_assert!(*part >= 0 && fits[charge].contains(usage));
                    taken[*usage] += part;
                }
            }
            for (usage, all) in left.iter().enumerate() {
                prop_assert_eq!(taken[usage] + flow.left(usage), *all);
            }
        }
    }
}
