//! Amounts as others write them: decimals of any length, kept in pico-units.

use super::{ParseAmountError, format_pico, round_half_even};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// The most digits that an amount may have: more than any has, few enough that it can be shared and compared without overflow.
const MOST: usize = 30;

/// Pico-units (10^-12) of whatever it stands beside; written as a decimal with 12 digits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pico(pub i128);

impl Pico {
    /// Reads a decimal, also with an exponent (`1.5e-05`). The flag says whether it is exact; else it is rounded, half to even.
    ///
    /// # Errors
    /// It is no number, or too large.
    pub fn parse(text: &str) -> Result<(Self, bool), ParseAmountError> {
        let not_a_number = || ParseAmountError::NotANumber(text.to_string());
        let (negative, body) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = body.split_once(['e', 'E']).unwrap_or((body, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) || (mantissa.contains('.') && fraction.is_empty()) {
            return Err(not_a_number());
        }
        let exponent: i32 = exponent.parse::<i16>().map_err(|_| not_a_number())?.into();
        let all = format!("{whole}{fraction}");
        let significant = all.trim_start_matches('0');
        // 10^shift times the digits are pico-units.
        let shift = exponent + 12 - i32::try_from(fraction.len()).map_err(|_| not_a_number())?;
        let too_large = || ParseAmountError::TooLarge(text.to_string());
        let (pico, exact) = scale(significant, shift).ok_or_else(too_large)?;
        Ok((Pico(if negative { -pico } else { pico }), exact))
    }
}

/// Digits times 10^shift, rounded half to even, and whether that is exact.
fn scale(digits: &str, shift: i32) -> Option<(i128, bool)> {
    if digits.is_empty() {
        return Some((0, true));
    }
    if let Ok(zeros) = usize::try_from(shift) {
        if digits.len() + zeros > MOST {
            return None;
        }
        return Some((format!("{digits}{:0<zeros$}", "").parse().ok()?, true));
    }
    let cut = digits.len().checked_sub(shift.unsigned_abs() as usize);
    let (kept, dropped) = cut.map_or(("", ""), |cut| digits.split_at(cut));
    if kept.len() > MOST {
        return None;
    }
    let exact = cut.is_some() && dropped.bytes().all(|b| b == b'0');
    let kept: i128 = if kept.is_empty() { 0 } else { kept.parse().ok()? };
    // What is dropped in tenths, and one more if anything is behind them: enough to know on which side of the half it is.
    let first = dropped.bytes().next().map_or(0, |b| i128::from(b - b'0'));
    let behind = i128::from(dropped.bytes().skip(1).any(|b| b != b'0'));
    let rounded = round_half_even(kept * 100 + first * 10 + behind, 100) / 100;
    Some((rounded, exact))
}

impl fmt::Display for Pico {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_pico(self.0))
    }
}

impl FromStr for Pico {
    type Err = ParseAmountError;

    /// Exactly or not at all.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match Pico::parse(text)? {
            (pico, true) => Ok(pico),
            (_, false) => Err(ParseAmountError::TooManyDigits(text.to_string(), 12)),
        }
    }
}

impl Serialize for Pico {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&format_pico(self.0))
    }
}

impl<'de> Deserialize<'de> for Pico {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decimals_of_others_are_exact_or_said_not_to_be() {
        let of = |text: &str| Pico::parse(text).map(|(pico, exact)| (pico.0, exact)).ok();
        assert_eq!(of("0.06"), Some((60_000_000_000, true)));
        assert_eq!(of("-12"), Some((-12_000_000_000_000, true)));
        assert_eq!(of("1.5e-05"), Some((15_000_000, true)));
        assert_eq!(of("2E3"), Some((2_000_000_000_000_000, true)));
        assert_eq!((of("0"), of("0.000"), of("0e99")), (Some((0, true)), Some((0, true)), Some((0, true))));
        assert_eq!(of("0.13080438340307526471"), Some((130_804_383_403, false)));
        assert_eq!(of("0.00042660000000000000"), Some((426_600_000, true)));
        // Halves go to the even, whatever is behind them decides.
        assert_eq!(of("0.0000000000005"), Some((0, false)));
        assert_eq!(of("0.0000000000015"), Some((2, false)));
        assert_eq!(of("0.00000000000050000001"), Some((1, false)));
        assert_eq!(of("-0.0000000000015"), Some((-2, false)));
        assert_eq!((of("1e-13"), of("9e-14"), of("1e-99")), (Some((0, false)), Some((0, false)), Some((0, false))));
        assert_eq!(of("99999999999999999.5"), Some((99_999_999_999_999_999_500_000_000_000, true)));
        assert_eq!(of("1000000000000000000"), None);
        for bad in ["", ".", "1.", ".5", "1,5", "+1", "--1", " 1", "1e", "1e1.5", "NaN", "1e40", "0x1", "1_0"] {
            assert_eq!(of(bad), None, "{bad}");
        }
        assert!("0.1234567890123".parse::<Pico>().is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(pico in any::<i64>()) {
            let text = format_pico(pico.into());
            prop_assert_eq!(Pico::parse(&text), Ok((Pico(pico.into()), true)));
            let json = serde_json::to_string(&Pico(pico.into())).unwrap();
            prop_assert_eq!(serde_json::from_str::<Pico>(&json).unwrap(), Pico(pico.into()));
        }
    }
}
