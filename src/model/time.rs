//! Moments, UTC days and billing periods.

use chrono::{DateTime, Datelike, NaiveDate, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A moment in nanoseconds since the Unix epoch (UTC).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// From milliseconds since the epoch.
    pub fn from_millis(millis: i64) -> Self {
        Timestamp(millis.saturating_mul(1_000_000))
    }

    /// Parses RFC 3339, as Codex writes it in transcripts and in `event.timestamp`.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        DateTime::parse_from_rfc3339(text).ok()?.timestamp_nanos_opt().map(Timestamp)
    }

    /// The moment as chrono's UTC date and time.
    pub fn to_utc(self) -> DateTime<Utc> {
        DateTime::from_timestamp_nanos(self.0)
    }

    /// The UTC day it falls on.
    pub fn day(self) -> Day {
        Day(self.to_utc().date_naive())
    }

    /// RFC 3339 with milliseconds and `Z`.
    pub fn to_rfc3339(self) -> String {
        self.to_utc().to_rfc3339_opts(SecondsFormat::Millis, true)
    }

    /// The distance to another moment in nanoseconds, never negative.
    pub fn distance(self, other: Timestamp) -> u64 {
        self.0.abs_diff(other.0)
    }
}

/// A calendar day (UTC unless a report says otherwise).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub NaiveDate);

impl Day {
    /// Parses `YYYY-MM-DD`, nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
        (day.format("%Y-%m-%d").to_string() == text).then_some(Day(day))
    }

    /// From days since 1970-01-01.
    pub fn of_epoch_days(days: i32) -> Self {
        Day(NaiveDate::from_epoch_days(days).unwrap_or(NaiveDate::MIN))
    }

    /// Days since 1970-01-01.
    pub fn epoch_days(self) -> i32 {
        self.0.to_epoch_days()
    }

    /// The billing period it belongs to.
    pub fn period(self) -> BillingPeriod {
        BillingPeriod { year: self.0.year(), month: self.0.month() }
    }

    /// The ISO week it belongs to, which begins on Monday: `2026-W47`.
    pub fn week(self) -> String {
        let week = self.0.iso_week();
        format!("{:04}-W{:02}", week.year(), week.week())
    }

    /// The Monday of a week as [`Day::week`] writes it; `None` for any other text, and for weeks that a year does not have.
    pub fn of_week(text: &str) -> Option<Self> {
        let (year, week) = text.split_once("-W")?;
        let monday = NaiveDate::from_isoywd_opt(year.parse().ok()?, week.parse().ok()?, chrono::Weekday::Mon)?;
        Some(Day(monday)).filter(|day| day.week() == text)
    }

    /// The day after; the last day that can be written is its own successor.
    pub fn next(self) -> Self {
        Day(self.0.succ_opt().unwrap_or(self.0))
    }

    /// Its first moment.
    pub fn start(self) -> Timestamp {
        Timestamp(self.0.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_nanos_opt().unwrap_or(i64::MAX))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.format("%Y-%m-%d"))
    }
}

/// A UTC calendar month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BillingPeriod {
    year: i32,
    month: u32,
}

/// A text that is no billing period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsePeriodError(pub String);

impl fmt::Display for ParsePeriodError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a billing period; write YYYY-MM, for example 2026-10", self.0)
    }
}

impl std::error::Error for ParsePeriodError {}

impl std::str::FromStr for BillingPeriod {
    type Err = ParsePeriodError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Day::parse(&format!("{text}-01")).map(Day::period).ok_or_else(|| ParsePeriodError(text.to_string()))
    }
}

impl BillingPeriod {
    /// Its first day.
    pub fn first_day(self) -> Day {
        Day(NaiveDate::from_ymd_opt(self.year, self.month, 1).unwrap_or(NaiveDate::MIN))
    }

    /// The month after it.
    pub fn next(self) -> Self {
        self.last_day().next().period()
    }

    /// Its last day.
    pub fn last_day(self) -> Day {
        let (year, month) = if self.month == 12 { (self.year + 1, 1) } else { (self.year, self.month + 1) };
        Day(NaiveDate::from_ymd_opt(year, month, 1).and_then(|d| d.pred_opt()).unwrap_or(NaiveDate::MAX))
    }
}

impl fmt::Display for BillingPeriod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_have_their_days() {
        let p: BillingPeriod = "2026-02".parse().unwrap();
        assert_eq!((p.first_day().to_string(), p.last_day().to_string()), ("2026-02-01".into(), "2026-02-28".into()));
        let p: BillingPeriod = "2026-12".parse().unwrap();
        assert_eq!(p.last_day().to_string(), "2026-12-31");
        for bad in ["2026", "2026-13", "2026-1", "26-01", "2026-01-01", ""] {
            assert!(bad.parse::<BillingPeriod>().is_err(), "{bad}");
        }
    }

    #[test]
    fn weeks_begin_on_monday_and_may_be_of_another_year() {
        let week = |day: &str| Day::parse(day).unwrap().week();
        for (day, expected) in [
            ("2026-11-15", "2026-W46"),
            ("2026-11-16", "2026-W47"),
            ("2026-11-22", "2026-W47"),
            ("2026-12-31", "2026-W53"),
            ("2027-01-03", "2026-W53"),
            ("2027-01-04", "2027-W01"),
            ("2024-12-30", "2025-W01"),
        ] {
            assert_eq!(week(day), expected, "{day}");
            assert_eq!(Day::of_week(expected).unwrap().week(), expected);
        }
        assert_eq!(Day::of_week("2026-W47").unwrap().to_string(), "2026-11-16");
        for bad in ["2026-W54", "2025-W53", "2026-W7", "2026-47", "2026-W00", "2026-w47", ""] {
            assert!(Day::of_week(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn moments_fall_on_utc_days() {
        let t = Timestamp::parse_rfc3339("2026-11-21T23:59:59.999Z").unwrap();
        assert_eq!(t.day().to_string(), "2026-11-21");
        assert_eq!(Timestamp(t.0 + 1_000_000).day().to_string(), "2026-11-22");
        assert_eq!(t.day().next().start(), Timestamp(t.0 + 1_000_000));
        assert_eq!(Timestamp::parse_rfc3339("2026-11-22T01:00:00+02:00").unwrap().day().to_string(), "2026-11-21");
    }
}
