//! The user's table of currency rates: a CSV of our own format, so whatever is not understood is an error with its line.

use crate::model::{Day, Rate, Rates, parse_pico};
use anyhow::{Context as _, bail};
use std::path::Path;

/// The columns, in any order; all must be there.
const COLUMNS: [&str; 5] = ["from", "to", "rate", "valid_from", "source"];

/// Reads the table.
///
/// # Errors
/// It cannot be read, or something in it is not understood.
pub fn read_rates(path: &Path) -> anyhow::Result<Rates> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&text).with_context(|| format!("{} is not understood", path.display()))
}

fn parse(text: &str) -> anyhow::Result<Rates> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).comment(Some(b'#')).from_reader(text.as_bytes());
    let header = reader.headers().context("line 1")?.clone();
    let place = |column: &str| header.iter().position(|name| name == column);
    if header.len() != COLUMNS.len() || COLUMNS.iter().any(|column| place(column).is_none()) {
        bail!("line 1: the columns are {}", COLUMNS.join(","));
    }
    let mut rates = Rates::default();
    for record in reader.into_records() {
        let record = record.context("a row is damaged")?;
        let line = record.position().map_or(0, csv::Position::line);
        let cell = |column: &str| place(column).and_then(|at| record.get(at)).unwrap_or_default();
        let at = || format!("line {line}");
        let (from, to) = (code(cell("from")).with_context(at)?, code(cell("to")).with_context(at)?);
        if from == to {
            bail!("line {line}: {from} to {to} needs no rate");
        }
        let pico = match parse_pico(cell("rate"), 12) {
            Ok(pico) if pico > 0 => pico,
            Ok(_) => bail!("line {line}: the rate {} is not above 0", cell("rate")),
            Err(e) => bail!("line {line}: the rate {e}"),
        };
        let Some(day) = Day::parse(cell("valid_from")) else {
            bail!("line {line}: valid_from `{}` is not a day; write YYYY-MM-DD", cell("valid_from"));
        };
        let source = cell("source");
        if source.is_empty() || source.chars().any(char::is_control) {
            bail!("line {line}: source is empty; say who publishes the rate");
        }
        let of_pair = rates.0.entry((from, to)).or_default();
        if of_pair.iter().any(|rate| rate.from == day) {
            bail!("line {line}: another rate of the same currencies is valid from {day}");
        }
        of_pair.push(Rate { from: day, pico, source: source.to_string() });
    }
    rates.0.values_mut().for_each(|rates| rates.sort_by_key(|rate| rate.from));
    Ok(rates)
}

/// A currency's code.
///
/// # Errors
/// It is none.
pub fn code(text: &str) -> anyhow::Result<String> {
    if text.len() != 3 || !text.bytes().all(|b| b.is_ascii_uppercase()) {
        bail!("`{text}` is no currency; write an ISO 4217 code, for example EUR");
    }
    Ok(text.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "from,to,rate,valid_from,source\n";

    #[test]
    fn rates_are_valid_until_the_next() {
        let text = format!(
            "{HEAD}# a remark\nUSD,EUR,0.9,2026-11-10,ECB\nUSD,EUR,0.875,2026-11-01,\"ECB, fixing\"\nUSD,CHF,0.8,2026-11-01,SNB\n"
        );
        let rates = parse(&text).unwrap();
        assert_eq!(rates.of_usd(), ["CHF", "EUR"]);
        let eur = rates.usd_to("EUR").unwrap();
        let at = |day: &str| eur.at(Day::parse(day).unwrap()).map(|rate| rate.pico / 1_000_000_000);
        assert_eq!(
            ["2026-10-31", "2026-11-01", "2026-11-09", "2026-11-10", "2030-01-01"].map(at),
            [None, Some(875), Some(875), Some(900), Some(900)]
        );
        assert!(rates.usd_to("GBP").is_none());
    }

    #[test]
    fn errors_have_their_line() {
        for (text, says) in [
            ("from,to,rate\n".to_string(), "line 1: the columns are from,to,rate,valid_from,source"),
            (format!("{HEAD}USD,EUR,0,9,2026-11-01,ECB\n"), "a row is damaged"),
            (format!("{HEAD}USD,eur,0.9,2026-11-01,ECB\n"), "line 2: `eur` is no currency"),
            (format!("{HEAD}USD,USD,1,2026-11-01,ECB\n"), "line 2: USD to USD"),
            (
                format!("{HEAD}USD,EUR,0.9,2026-11-01,ECB\nUSD,EUR,-1,2026-11-02,ECB\n"),
                "line 3: the rate -1 is not above 0",
            ),
            (format!("{HEAD}USD,EUR,1e3,2026-11-01,ECB\n"), "line 2: the rate `1e3` is not a plain decimal number"),
            (format!("{HEAD}USD,EUR,0.9,1.11.2026,ECB\n"), "line 2: valid_from `1.11.2026` is not a day"),
            (format!("{HEAD}USD,EUR,0.9,2026-11-01,\n"), "line 2: source is empty"),
            (format!("{HEAD}USD,EUR,0.9,2026-11-01,a\nUSD,EUR,0.8,2026-11-01,b\n"), "line 3: another rate"),
        ] {
            let error = format!("{:#}", parse(&text).unwrap_err());
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
