//! Amounts in other currencies, for display: a dated table of rates, and conversion without a float. A day without a rate is
//! unknown; nothing is interpolated, turned round or taken from a day before the first.

use super::{Day, round_half_even};
use std::collections::BTreeMap;

const ONE: i128 = 1_000_000_000_000;

/// The currency of price lists.
pub const USD: &str = "USD";

/// What one unit of a currency is in another from a day on, until the next rate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rate {
    /// The first day.
    pub from: Day,
    /// In pico-units of the other currency.
    pub pico: i64,
    /// Who says so.
    pub source: String,
}

/// The user's table: rates by the currencies from and to, each in the order of days.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rates(pub BTreeMap<(String, String), Vec<Rate>>);

impl Rates {
    /// From US dollars to another currency, if the table has any rate of it.
    pub fn usd_to(&self, code: &str) -> Option<Conversion> {
        let rates = self.0.get(&(USD.to_string(), code.to_string()))?;
        Some(Conversion { code: code.to_string(), rates: rates.clone() })
    }

    /// The currencies that US dollars can be converted to.
    pub fn of_usd(&self) -> Vec<&str> {
        self.0.keys().filter(|(from, _)| from == USD).map(|(_, to)| to.as_str()).collect()
    }
}

/// Rates of US dollars in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversion {
    /// The currency.
    pub code: String,
    rates: Vec<Rate>,
}

impl Conversion {
    /// The rate of a UTC day.
    pub fn at(&self, day: Day) -> Option<&Rate> {
        self.rates.iter().rfind(|rate| rate.from <= day)
    }
}

/// A sum of converted amounts, exact until it is read. One unknown part makes it unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Converted {
    /// In 10^-24 units.
    sum: i128,
    any: bool,
    unknown: bool,
}

impl Converted {
    /// Adds pico-dollars at the rate of their day. Nothing is nothing, and 0 is 0 at any rate.
    pub fn add(&mut self, pico: Option<i128>, rate: Option<&Rate>) {
        let Some(pico) = pico else { return };
        self.any = true;
        let product = if pico == 0 { Some(0) } else { rate.and_then(|rate| pico.checked_mul(rate.pico.into())) };
        match product.and_then(|product| self.sum.checked_add(product)) {
            Some(sum) => self.sum = sum,
            None => self.unknown = true,
        }
    }

    /// In pico-units, rounded half to even; nothing if a part of it is unknown or nothing was added.
    pub fn pico(self) -> Option<i128> {
        self.rounded(ONE)
    }

    /// With two digits after the point, rounded half to even from what is exact, in pico-units.
    pub fn cents(self) -> Option<i128> {
        self.rounded(ONE * ONE / 100)
    }

    fn rounded(self, unit: i128) -> Option<i128> {
        (self.any && !self.unknown).then(|| round_half_even(self.sum, unit) / ONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(pico: i64) -> Rate {
        Rate { from: Day::parse("2026-11-01").unwrap(), pico, source: "s".into() }
    }

    #[test]
    fn sums_are_exact_and_rounded_once() {
        // Two times half a pico-unit are one, and not 0 twice.
        let half = rate(500_000_000_000);
        let mut sum = Converted::default();
        sum.add(Some(1), Some(&half));
        assert_eq!(sum.pico(), Some(0), "half to even");
        sum.add(Some(1), Some(&half));
        assert_eq!(sum.pico(), Some(1));
        let mut sum = Converted::default();
        sum.add(Some(-30_000_000_000), Some(&half));
        assert_eq!((sum.pico(), sum.cents()), (Some(-15_000_000_000), Some(-20_000_000_000)));
        sum.add(Some(5_000_000_000 * 2), Some(&half));
        assert_eq!((sum.pico(), sum.cents()), (Some(-10_000_000_000), Some(-10_000_000_000)));
    }

    #[test]
    fn unknown_is_not_0() {
        let mut sum = Converted::default();
        assert_eq!(sum.pico(), None);
        sum.add(None, None);
        assert_eq!(sum.pico(), None, "nothing was added");
        sum.add(Some(0), None);
        assert_eq!(sum.pico(), Some(0));
        sum.add(Some(7), Some(&rate(1)));
        sum.add(Some(1), None);
        assert_eq!((sum.pico(), sum.cents()), (None, None));
        let mut sum = Converted::default();
        sum.add(Some(i128::MAX / 2), Some(&rate(3)));
        assert_eq!(sum.pico(), None, "what does not fit is unknown");
    }
}
