//! Rows of reports, and their bytes in each format. Pure: rollups (and for one session facts and lines) in, bytes out.

pub mod billing;
mod books;
pub mod chargeback;
mod content;
mod converted;
mod coverage;
mod days;
mod decided;
mod explain;
pub mod focus;
pub mod format;
mod grouped;
mod listing;
mod measures;
mod sessions;
mod show;
mod suggest;
mod table;
mod tools;

pub use books::books;
pub use content::contents;
pub use converted::CurrencyNote;
pub use decided::decided;
pub use explain::explain;
pub use grouped::{Bucket, Dimension, Grouped};
pub use listing::Listing;
pub use sessions::Sessions;
pub use show::show;
pub use suggest::Suggest;
pub use table::{Cell, Column, Kind, Report};

use crate::model::{BillingPeriod, Day, Timestamp, Zone};

/// The days a report is about, both inclusive; an open end means all there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Range {
    /// The first day.
    pub since: Option<Day>,
    /// The last day.
    pub until: Option<Day>,
    /// Whose days they are.
    pub zone: Zone,
}

impl Range {
    /// The days of a calendar month.
    pub fn of_period(period: BillingPeriod, zone: Zone) -> Self {
        Range { since: Some(period.first_day()), until: Some(period.last_day()), zone }
    }

    /// The day that a moment falls on.
    pub fn day(&self, time: Timestamp) -> Day {
        self.zone.day(time)
    }

    /// Whether a moment falls on one of the days.
    pub fn has(&self, time: Timestamp) -> bool {
        self.contains(self.day(time))
    }

    /// Whether a day is among them.
    pub fn contains(&self, day: Day) -> bool {
        self.since.is_none_or(|since| since <= day) && self.until.is_none_or(|until| day <= until)
    }
}
