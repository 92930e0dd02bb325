//! Rows read by the names of their columns, and added up.

use super::Basis;
use crate::model::{LineClass, Status, UNATTRIBUTED, Unit};
use crate::report::{Cell, Report};
use std::collections::{BTreeMap, BTreeSet};

/// The rows of a report, read by column.
pub(super) struct View<'r> {
    report: &'r Report,
    columns: BTreeMap<&'static str, usize>,
}

/// One row of a report.
#[derive(Clone, Copy)]
pub(super) struct Row<'r, 'v> {
    view: &'v View<'r>,
    pub cells: &'r [Cell],
}

impl<'r> View<'r> {
    pub fn of(report: &'r Report) -> Self {
        View { report, columns: report.columns.iter().enumerate().map(|(i, c)| (c.name, i)).collect() }
    }

    pub fn rows(&self) -> impl Iterator<Item = Row<'r, '_>> {
        self.report.rows.iter().map(|cells| Row { view: self, cells })
    }

    /// The teams with any row, [`UNATTRIBUTED`] among them.
    pub fn teams(&self) -> BTreeSet<&'r str> {
        self.rows().map(|row| row.text("team")).collect()
    }
}

impl<'r> Row<'r, '_> {
    fn cell(&self, column: &str) -> &'r Cell {
        self.view.columns.get(column).map_or(&Cell::Missing, |i| &self.cells[*i])
    }

    /// Empty if it is missing.
    pub fn text(&self, column: &str) -> &'r str {
        match self.cell(column) {
            Cell::Text(text) => text,
            _ => "",
        }
    }

    pub fn amount(&self, column: &str) -> Option<i128> {
        match self.cell(column) {
            Cell::Amount(pico) => Some(*pico),
            _ => None,
        }
    }

    pub fn count(&self, column: &str) -> i128 {
        match self.cell(column) {
            Cell::Count(n) => i128::from(*n),
            _ => 0,
        }
    }

    pub fn is_correction(&self) -> bool {
        self.text("class") == LineClass::Correction.name()
    }

    pub fn is_sealed(&self) -> bool {
        self.text("status") == Status::Sealed.name()
    }

    pub fn is_unattributed(&self) -> bool {
        self.text("team") == UNATTRIBUTED
    }
}

/// What some rows add up to on a basis. What nothing was added to is absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub responses: i128,
    pub tokens: i128,
    pub unpriced_tokens: i128,
    pub usd: Option<i128>,
    pub credits: Option<i128>,
    pub fees_usd: Option<i128>,
}

impl Tally {
    pub fn add(&mut self, row: &Row<'_, '_>, basis: Basis) {
        let in_unit = |wanted: Unit| {
            let (column, _) = basis.amount(row.text("channel")).filter(|(_, unit)| *unit == wanted)?;
            row.amount(column)
        };
        *self += Tally {
            responses: row.count("responses"),
            tokens: row.count("total_tokens"),
            unpriced_tokens: row.count("unpriced_tokens"),
            usd: in_unit(Unit::Usd),
            credits: in_unit(Unit::Credit),
            fees_usd: row.amount("tool_fees_usd"),
        };
    }

    pub fn of<'r: 'v, 'v>(rows: impl IntoIterator<Item = Row<'r, 'v>>, basis: Basis) -> Self {
        let mut all = Tally::default();
        rows.into_iter().for_each(|row| all.add(&row, basis));
        all
    }

    /// One of an amount alone.
    pub fn of_amount(unit: Unit, pico: Option<i128>) -> Self {
        let mut tally = Tally::default();
        *tally.amount_mut(unit) = pico;
        tally
    }

    pub fn amount_mut(&mut self, unit: Unit) -> &mut Option<i128> {
        match unit {
            Unit::Usd => &mut self.usd,
            Unit::Credit => &mut self.credits,
        }
    }

    pub fn amount(&self, unit: Unit) -> Option<i128> {
        match unit {
            Unit::Usd => self.usd,
            Unit::Credit => self.credits,
        }
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, o: Self) {
        self.responses += o.responses;
        self.tokens += o.tokens;
        self.unpriced_tokens += o.unpriced_tokens;
        let pairs = [(&mut self.usd, o.usd), (&mut self.credits, o.credits), (&mut self.fees_usd, o.fees_usd)];
        for (sum, more) in pairs {
            *sum = sum.map_or(more, |sum| Some(sum + more.unwrap_or(0)));
        }
    }
}

/// Rows added up by the text of a column, in its order.
pub(super) fn by<'r>(rows: &[Row<'r, '_>], column: &str, basis: Basis) -> BTreeMap<&'r str, Tally> {
    let mut all: BTreeMap<&str, Tally> = BTreeMap::new();
    rows.iter().for_each(|row| all.entry(row.text(column)).or_default().add(row, basis));
    all
}
