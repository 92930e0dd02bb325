//! Exact money: integers of pico-units, never floats.

use super::CENT;
use std::fmt;

/// What an amount counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// US dollars.
    Usd,
    /// ChatGPT credits.
    Credit,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unit::Usd => "USD",
            Unit::Credit => "CREDIT",
        })
    }
}

/// An amount of one unit in pico-units (10^-12). A line fits in 64 bits (9.2 million units); sums are kept in 128.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Amount {
    /// Pico-units; negative in corrections.
    pub pico: i64,
    /// What they count.
    pub unit: Unit,
}

/// A text that is not an exact amount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParseAmountError {
    /// Not a plain decimal number.
    NotANumber(String),
    /// More digits after the point than can be kept exactly.
    TooManyDigits(String, u32),
    /// Does not fit.
    TooLarge(String),
}

impl fmt::Display for ParseAmountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParseAmountError::NotANumber(t) => write!(f, "`{t}` is not a plain decimal number"),
            ParseAmountError::TooManyDigits(t, n) => write!(f, "`{t}` needs more than {n} digits after the point"),
            ParseAmountError::TooLarge(t) => write!(f, "`{t}` is too large"),
        }
    }
}

impl std::error::Error for ParseAmountError {}

/// Parses a plain decimal (`12`, `0.125`, `-3.5`) as an integer of 10^-`digits` units, exactly or not at all.
pub fn parse_pico(text: &str, digits: u32) -> Result<i64, ParseAmountError> {
    let (negative, body) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = body.split_once('.').unwrap_or((body, ""));
    let number = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let point_without_digits = body.contains('.') && fraction.is_empty();
    if whole.is_empty() || !number(whole) || !number(fraction) || point_without_digits {
        return Err(ParseAmountError::NotANumber(text.to_string()));
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > digits as usize {
        return Err(ParseAmountError::TooManyDigits(text.to_string(), digits));
    }
    let padded = format!("{whole}{fraction:0<width$}", width = digits as usize);
    let value: i64 = padded.parse().map_err(|_| ParseAmountError::TooLarge(text.to_string()))?;
    Ok(if negative { -value } else { value })
}

/// Writes pico-units as a decimal with exactly 12 digits after the point.
pub fn format_pico(pico: i128) -> String {
    const SCALE: u128 = 1_000_000_000_000;
    let sign = if pico < 0 { "-" } else { "" };
    let abs = pico.unsigned_abs();
    format!("{sign}{}.{:012}", abs / SCALE, abs % SCALE)
}

/// Writes whole cents with exactly 2 digits after the point.
pub fn format_cents(pico: i128) -> String {
    let cents = (pico / CENT).unsigned_abs();
    let sign = if pico < 0 && cents > 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", cents / 100, cents % 100)
}

/// A rate as people write it. Pico-units per token are micro-units per 1M tokens: a decimal with up to 6 digits after the point.
pub fn per_million(pico_per_token: i64) -> String {
    let text = format!("{}.{:06}", pico_per_token / 1_000_000, pico_per_token % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", format_pico(self.pico.into()), self.unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact_or_refused() {
        assert_eq!(parse_pico("12.5", 6), Ok(12_500_000));
        assert_eq!(parse_pico("0.0025", 6), Ok(2_500));
        assert_eq!(parse_pico("-1.000000000000", 12), Ok(-1_000_000_000_000));
        assert_eq!(parse_pico("1.2500000000000", 12), Ok(1_250_000_000_000));
        assert!(matches!(parse_pico("0.0000001", 6), Err(ParseAmountError::TooManyDigits(..))));
        assert!(matches!(parse_pico("99999999999999999999", 6), Err(ParseAmountError::TooLarge(_))));
        for bad in ["", ".", "1.", ".5", "1e3", "+1", "1,5", "--1", " 1"] {
            assert!(matches!(parse_pico(bad, 6), Err(ParseAmountError::NotANumber(_))), "{bad}");
        }
    }

    #[test]
    fn amounts_have_twelve_digits() {
        assert_eq!(format_pico(79_868_000_000), "0.079868000000");
        assert_eq!(format_pico(-1), "-0.000000000001");
        assert_eq!(format_pico(i128::from(i64::MAX) * 10), "92233720.368547758070");
    }
}
