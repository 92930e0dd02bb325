//! Amounts rounded and divided so that nothing is lost: integers only, and the same on every machine.

/// The multiple of `unit` next to an amount, half to even.
pub fn half_even(amount: i128, unit: i128) -> i128 {
    let unit = unit.max(1);
    let (whole, rest) = (amount.div_euclid(unit), amount.rem_euclid(unit));
    (whole + i128::from(rounds_up(rest, unit, whole % 2 != 0))) * unit
}

/// Whether `rest` of a `unit` is rounded up; from the middle, only if what is below is odd.
fn rounds_up(rest: i128, unit: i128, odd: bool) -> bool {
    let missing = unit - rest;
    rest > missing || (rest == missing && odd)
}

/// Rounds amounts to multiples of `unit` whose sum is the rounded sum (half to even) of the amounts: all are rounded down, and
/// what then lacks goes to those that lost most, among equals to the first. Each is less than a unit from its amount, and one
/// that is a multiple stays as it is.
pub fn largest_remainder(amounts: &[i128], unit: i128) -> Vec<i128> {
    let unit = unit.max(1);
    let rests: Vec<i128> = amounts.iter().map(|a| a.rem_euclid(unit)).collect();
    // Whole units of the rests together, and what is left of one; no sum is ever more than the longest amount can be.
    let (mut more, mut rest) = (0, 0);
    for r in &rests {
        let carries = rest >= unit - r;
        rest = if carries { rest - (unit - r) } else { rest + r };
        more += usize::from(carries);
    }
    let odd_wholes = amounts.iter().filter(|a| a.div_euclid(unit) % 2 != 0).count();
    more += usize::from(rounds_up(rest, unit, (odd_wholes + more) % 2 != 0));
    let ups = largest(&rests, more);
    amounts.iter().zip(&rests).zip(ups).map(|((a, r), up)| a - r + if up { unit } else { 0 }).collect()
}

/// Divides an amount in proportion to weights. The parts add up to the amount to the last unit, each is less than one unit
/// from its exact part, and a weight of 0 gets nothing. Weights that are all 0 are equal; without any weight there are no parts.
pub fn split(amount: i128, weights: &[u64]) -> Vec<i128> {
    let total: u128 = weights.iter().map(|w| u128::from(*w)).sum();
    if total == 0 {
        return if weights.is_empty() { Vec::new() } else { split(amount, &vec![1; weights.len()]) };
    }
    let size = amount.unsigned_abs();
    let (each, rest) = (size / total, size % total);
    let (parts, rests): (Vec<u128>, Vec<u128>) = weights
        .iter()
        .map(|w| {
            let (whole, rest) = times(rest, *w, total);
            (each * u128::from(*w) + whole, rest)
        })
        .unzip();
    let given: u128 = parts.iter().sum();
    let ups = largest(&rests, usize::try_from(size - given).unwrap_or(usize::MAX));
    let part = |(part, up): (u128, bool)| {
        let part = part + u128::from(up);
        if amount < 0 { 0i128.wrapping_sub_unsigned(part) } else { 0i128.wrapping_add_unsigned(part) }
    };
    parts.into_iter().zip(ups).map(part).collect()
}

/// `a * b / total` and what is left of the division, for `a < total`; bit by bit, as the product can be too long.
fn times(a: u128, b: u64, total: u128) -> (u128, u128) {
    let (mut whole, mut rest) = (0, 0);
    for bit in (0..u64::BITS).rev() {
        (whole, rest) = (whole * 2, rest * 2);
        for more in [0, if b >> bit & 1 == 1 { a } else { 0 }] {
            rest += more;
            if rest >= total {
                (whole, rest) = (whole + 1, rest - total);
            }
        }
    }
    (whole, rest)
}

/// Marks the `n` largest; among equals the first.
fn largest<T: Ord>(all: &[T], n: usize) -> Vec<bool> {
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by(|a, b| all[*b].cmp(&all[*a]).then(a.cmp(b)));
    let mut marks = vec![false; all.len()];
    order.into_iter().take(n).for_each(|i| marks[i] = true);
    marks
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CENT: i128 = 10_000_000_000;

    #[test]
    fn the_middle_goes_to_the_even_neighbour() {
        let rounded = [5, 15, 25, -5, -15, 14, 16, -14, -16].map(|a| half_even(a, 10));
        assert_eq!(rounded, [0, 20, 20, 0, -20, 10, 20, -10, -20]);
        assert_eq!(half_even(7, 0), 7, "there is no unit below 1");
    }

    #[test]
    fn what_lacks_goes_to_those_that_lost_most() {
        assert_eq!(largest_remainder(&[104, 104, 104], 10), [110, 100, 100]);
        assert_eq!(largest_remainder(&[100, 109, 101, 105], 10), [100, 110, 100, 110]);
        assert_eq!(largest_remainder(&[-104, -104, 4], 10), [-100, -100, 0]);
        assert_eq!(largest_remainder(&[5], 10), [0]);
        assert_eq!(largest_remainder(&[5, 10], 10), [10, 10]);
        assert_eq!(largest_remainder(&[], 10), [0; 0]);
    }

    #[test]
    fn parts_are_whole() {
        assert_eq!(split(100, &[1, 1, 1]), [34, 33, 33]);
        assert_eq!(split(-100, &[1, 1, 1]), [-34, -33, -33]);
        assert_eq!(split(10, &[0, 3, 0, 7]), [0, 3, 0, 7]);
        assert_eq!(split(5, &[0, 0]), [3, 2]);
        assert_eq!(split(5, &[]), [0; 0]);
        assert_eq!(split(i128::MIN, &[u64::MAX, 0]), [i128::MIN, 0]);
        assert_eq!(split(i128::MAX, &[u64::MAX, u64::MAX]), [i128::MAX / 2 + 1, i128::MAX / 2]);
    }

    proptest! {
        #[test]
        fn rounded_parts_are_the_rounded_sum(
            amounts in prop::collection::vec(-1_000_000 * CENT..1_000_000 * CENT, 0..40),
            unit in prop_oneof![Just(CENT), Just(1), Just(2), 1..1_000i128],
        ) {
            let booked = largest_remainder(&amounts, unit);
            prop_assert_eq!(booked.len(), amounts.len());
            prop_assert_eq!(booked.iter().sum::<i128>(), half_even(amounts.iter().sum(), unit));
            for (a, b) in amounts.iter().zip(&booked) {
                prop_assert_eq!(b % unit, 0);
                prop_assert!((a - b).abs() < unit);
            }
            prop_assert_eq!(largest_remainder(&booked, unit), booked);
        }

        #[test]
        fn who_lost_more_gets_it(amounts in prop::collection::vec(0..1_000i128, 1..20)) {
            let booked = largest_remainder(&amounts, 100);
            let ups = || amounts.iter().zip(&booked);
            let least_up = ups().filter(|(a, b)| b > a).map(|(a, _)| a % 100).min();
            let most_down = ups().filter(|(a, b)| b <= a).map(|(a, _)| a % 100).max();
            prop_assert!(least_up.zip(most_down).is_none_or(|(up, down)| up >= down));
        }

        #[test]
        fn nothing_is_lost(amount: i128, weights in prop::collection::vec(prop_oneof![Just(0), 1..9u64, any::<u64>()], 1..40)) {
            let parts = split(amount, &weights);
            prop_assert_eq!(parts.len(), weights.len());
            prop_assert_eq!(parts.iter().copied().reduce(i128::wrapping_add), Some(amount));
            prop_assert!(parts.iter().all(|p| *p == 0 || (*p < 0) == (amount < 0)));
            if weights.iter().any(|w| *w > 0) {
                prop_assert!(parts.iter().zip(&weights).all(|(p, w)| *w > 0 || *p == 0));
            }
        }

        #[test]
        fn parts_are_in_proportion(amount in -1_000_000_000_000i128..1_000_000_000_000, weights in prop::collection::vec(0..1_000_000u64, 1..40)) {
            let total: i128 = weights.iter().map(|w| i128::from(*w)).sum();
            prop_assume!(total > 0);
            for (part, weight) in split(amount, &weights).into_iter().zip(&weights) {
                prop_assert!((part * total - amount * i128::from(*weight)).abs() < total);
            }
        }
    }
}
