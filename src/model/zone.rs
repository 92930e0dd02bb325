//! Time zones: in which calendar a report cuts time.

use super::{Day, Timestamp};
use jiff::tz::TimeZone;
use std::fmt;
use std::str::FromStr;

/// A zone of the IANA database, which is compiled in, so that a report is the same on every machine.
///
/// A process has few zones (that of a report, UTC), so those that are named live as long as it does and can be copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Zone(Option<&'static TimeZone>);

impl Zone {
    /// Whether it is UTC.
    pub fn is_utc(self) -> bool {
        self.0.is_none()
    }

    /// UTC, the zone of billing periods and prices.
    pub const UTC: Zone = Zone(None);

    /// The day that a moment falls on.
    pub fn day(self, time: Timestamp) -> Day {
        let moment = jiff::Timestamp::from_nanosecond(time.0.into());
        let offset = self.0.zip(moment.ok()).map_or(0, |(zone, moment)| zone.to_offset(moment).seconds());
        Timestamp(time.0.saturating_add(i64::from(offset) * 1_000_000_000)).day()
    }
}

impl Default for Zone {
    fn default() -> Self {
        Zone::UTC
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.and_then(TimeZone::iana_name).unwrap_or("UTC"))
    }
}

/// A text that names no zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseZoneError(String);

impl fmt::Display for ParseZoneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no time zone; write an IANA name, for example Europe/Berlin", self.0)
    }
}

impl std::error::Error for ParseZoneError {}

impl FromStr for Zone {
    type Err = ParseZoneError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        if name.eq_ignore_ascii_case("utc") {
            return Ok(Zone::UTC);
        }
        let zone = TimeZone::get(name).map_err(|_| ParseZoneError(name.to_string()))?;
        Ok(Zone(Some(Box::leak(Box::new(zone)))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_its_day_in_each_zone() {
        let at = |text: &str| Timestamp::parse_rfc3339(text).unwrap();
        for (zone, time, day) in [
            ("UTC", "2026-11-21T23:30:00Z", "2026-11-21"),
            ("Europe/Berlin", "2026-11-21T23:30:00Z", "2026-11-22"),
            ("Europe/Berlin", "2026-11-21T22:59:59.999Z", "2026-11-21"),
            ("Europe/Berlin", "2026-07-31T22:00:00Z", "2026-08-01"),
            ("America/Los_Angeles", "2026-11-01T06:59:59Z", "2026-10-31"),
            ("Asia/Kathmandu", "2026-11-21T18:15:00Z", "2026-11-22"),
        ] {
            let zone: Zone = zone.parse().unwrap();
            assert_eq!(zone.day(at(time)).to_string(), day, "{zone} {time}");
        }
        assert_eq!(Zone::UTC.day(Timestamp(i64::MIN)), Timestamp(i64::MIN).day());
        assert!("Mars/Olympus".parse::<Zone>().unwrap_err().to_string().contains("Europe/Berlin"));
    }
}
