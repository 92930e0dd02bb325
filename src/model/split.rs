//! Rounding and sharing that conserve the total to the last unit.

/// A cent, in pico-units.
pub const CENT: i128 = 10_000_000_000;

/// Rounds amounts to multiples of `unit` so that they add up to their exact total, rounded half to even: the largest remainders
/// are rounded up, of equal ones the first.
pub fn largest_remainder(amounts: &[i128], unit: i128) -> Vec<i128> {
    rounded_to(amounts, unit, round_half_even(amounts.iter().sum(), unit))
}

/// Rounds amounts to cents so that they add up to a total in cents that was fixed before, by largest remainder.
pub fn cents_of_total(amounts: &[i128], total: i128) -> Vec<i128> {
    rounded_to(amounts, CENT, total)
}

fn rounded_to(amounts: &[i128], unit: i128, total: i128) -> Vec<i128> {
    let mut rounded: Vec<i128> = amounts.iter().map(|a| a.div_euclid(unit) * unit).collect();
    let missing = (total - rounded.iter().sum::<i128>()) / unit;
    let Some(n) = i128::try_from(amounts.len()).ok().filter(|n| *n > 0) else { return rounded };
    // A total that was fixed over other parts may be further away than one unit each.
    let (each, rest) = (missing.div_euclid(n), missing.rem_euclid(n));
    let mut order: Vec<usize> = (0..amounts.len()).collect();
    order.sort_by_key(|i| std::cmp::Reverse(amounts[*i].rem_euclid(unit)));
    for (place, i) in order.into_iter().enumerate() {
        let one_more = usize::try_from(rest).is_ok_and(|rest| place < rest);
        rounded[i] += (each + i128::from(one_more)) * unit;
    }
    rounded
}

/// Rounds to a multiple of `unit`, half to even.
pub fn round_half_even(amount: i128, unit: i128) -> i128 {
    let (whole, rest) = (amount.div_euclid(unit), amount.rem_euclid(unit));
    let up = rest * 2 > unit || (rest * 2 == unit && whole.rem_euclid(2) == 1);
    (whole + i128::from(up)) * unit
}

/// Shares an amount by weights: the parts add up to it, and none is a whole unit off. Without any weight the first takes all.
pub fn split(amount: i128, weights: &[u64]) -> Vec<i128> {
    let total: i128 = weights.iter().map(|w| i128::from(*w)).sum();
    if total == 0 {
        let mut parts = vec![0; weights.len()];
        parts.first_mut().into_iter().for_each(|first| *first = amount);
        return parts;
    }
    // Quotient and remainder apart, so that large amounts do not overflow.
    let (each, rest) = (amount.div_euclid(total), amount.rem_euclid(total));
    let mut parts: Vec<i128> = weights.iter().map(|w| each * i128::from(*w) + rest * i128::from(*w) / total).collect();
    let missing = amount - parts.iter().sum::<i128>();
    let mut order: Vec<usize> = (0..weights.len()).filter(|i| weights[*i] > 0).collect();
    order.sort_by_key(|i| std::cmp::Reverse(rest * i128::from(weights[*i]) % total));
    for i in order.into_iter().take(usize::try_from(missing).unwrap_or(0)) {
        parts[i] += 1;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn halves_go_to_the_even() {
        let cent = 10_000_000_000;
        let round = |n: i128| round_half_even(n, cent) / cent;
        assert_eq!([5, 15, 25, 26, -5, -15, -4].map(|n| round(n * cent / 10)), [0, 2, 2, 3, 0, -2, 0]);
        assert_eq!(largest_remainder(&[5, 5, 5], 10), [10, 10, 0]);
        assert_eq!(largest_remainder(&[-5, 15, 3], 10), [0, 10, 0]);
        assert_eq!(split(10, &[1, 1, 1]), [4, 3, 3]);
        assert_eq!((split(-7, &[2, 1]), split(5, &[0, 0]), split(0, &[3])), (vec![-5, -2], vec![5, 0], vec![0]));
    }

    proptest! {
        #[test]
        fn rounded_amounts_add_up(amounts in prop::collection::vec(-1_000_000i128..1_000_000, 0..20), unit in 1i128..5_000) {
            let rounded = largest_remainder(&amounts, unit);
            prop_assert_eq!(rounded.iter().sum::<i128>(), round_half_even(amounts.iter().sum(), unit));
            for (a, r) in amounts.iter().zip(&rounded) {
                prop_assert!(r.rem_euclid(unit) == 0 && (a - r).abs() <= unit);
            }
        }

        #[test]
        fn cents_add_up_to_any_total(amounts in prop::collection::vec(any::<i64>(), 1..20), off in -40i128..40) {
            let amounts: Vec<i128> = amounts.into_iter().map(i128::from).collect();
            let total = round_half_even(amounts.iter().sum(), CENT) + off * CENT;
            let cents = cents_of_total(&amounts, total);
            prop_assert_eq!(cents.iter().sum::<i128>(), total);
            prop_assert!(cents.iter().all(|c| c % CENT == 0));
        }

        #[test]
        fn shares_add_up(amount in any::<i64>(), weights in prop::collection::vec(0u64..1_000, 1..12)) {
            let parts = split(amount.into(), &weights);
            prop_assert_eq!(parts.iter().sum::<i128>(), i128::from(amount));
            let total: i128 = weights.iter().map(|w| i128::from(*w)).sum();
            for (part, weight) in parts.iter().zip(&weights) {
                let off = part * total - i128::from(amount) * i128::from(*weight);
                prop_assert!(total == 0 || off.abs() < total);
            }
        }
    }
}
