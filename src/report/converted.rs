//! Amounts of a report in another currency, beside those in USD: columns, sums, and what must be said of the rates.

use super::table::{Cell, Column, Kind};
use crate::model::{Conversion, Converted, Day, Slot, Sums, format_pico};
use std::collections::{BTreeMap, BTreeSet};

/// The amounts that are converted: those of a bill in USD. Comparisons and credits are not.
const NAMES: [&str; 3] = ["list", "contract", "tool_fees"];

/// What rows add up to in another currency.
pub(super) type Amounts = [Converted; 3];

/// A currency beside USD.
#[derive(Debug)]
pub(super) struct Converter {
    conversion: Conversion,
    used: BTreeMap<Day, (String, String)>,
    missing: BTreeSet<Day>,
}

/// What must be known of a currency's columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CurrencyNote {
    /// The currency.
    pub code: String,
    /// The rates that were used: the first day of each, what one dollar is, and who says so.
    pub used: Vec<(Day, String, String)>,
    /// The UTC days with amounts and without a rate: what has a part of them is unknown.
    pub missing: Vec<Day>,
}

impl Converter {
    pub fn new(conversion: Conversion) -> Self {
        Converter { conversion, used: BTreeMap::new(), missing: BTreeSet::new() }
    }

    /// Adds amounts at the rate of their UTC day.
    pub fn add(&mut self, slot: Slot, sums: &Sums, to: &mut [&mut Amounts]) {
        let day = slot.start().day();
        let amounts = [sums.list_usd, sums.contract_usd, sums.tool_fees_usd];
        let rate = self.conversion.at(day);
        if amounts.iter().flatten().any(|pico| *pico != 0) {
            match rate {
                Some(rate) => {
                    let said = || (decimal(rate.pico.into()), rate.source.clone());
                    self.used.entry(rate.from).or_insert_with(said);
                }
                None => {
                    self.missing.insert(day);
                }
            }
        }
        for sums in to {
            sums.iter_mut().zip(amounts).for_each(|(sum, pico)| sum.add(pico, rate));
        }
    }

    /// The columns: each amount with 12 digits, and with two.
    pub fn columns(&self) -> Vec<Column> {
        let code = &self.conversion.code;
        let lower = code.to_lowercase();
        let title = |name: &str| if name == "list" { Some(leak(format!("list {code}"))) } else { None };
        let both = |name: &str| {
            [
                Column { name: leak(format!("{name}_{lower}")), title: title(name), kind: Kind::Amount },
                Column { name: leak(format!("{name}_{lower}_rounded")), title: None, kind: Kind::Amount },
            ]
        };
        NAMES.into_iter().flat_map(both).collect()
    }

    pub fn cells(amounts: &Amounts) -> Vec<Cell> {
        let cell = |pico: Option<i128>| pico.map_or(Cell::Missing, Cell::Amount);
        amounts.iter().flat_map(|sum| [cell(sum.pico()), sum.cents().map_or(Cell::Missing, Cell::Cents)]).collect()
    }

    pub fn note(self) -> CurrencyNote {
        let used = self.used.into_iter().map(|(day, (rate, source))| (day, rate, source));
        CurrencyNote { code: self.conversion.code, used: used.collect(), missing: self.missing.into_iter().collect() }
    }
}

/// Names of columns live as long as the process: it has one currency.
fn leak(name: String) -> &'static str {
    name.leak()
}

/// A rate as people write it.
pub(super) fn decimal(pico: i128) -> String {
    format_pico(pico).trim_end_matches('0').trim_end_matches('.').to_string()
}
