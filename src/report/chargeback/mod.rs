//! The chargeback of a month: a CSV and a statement for each team, what no team owns, a summary, and a manifest. The same
//! month gives the same bytes everywhere.

mod basis;
mod cents;
mod chart;
mod files;
mod manifest;
mod page;
mod statement;
mod strength;
mod tally;
#[cfg(test)]
mod tests;
mod workspace;

pub use basis::Basis;
pub use cents::{BookedCents, booked_cents};
pub use manifest::{MANIFEST, written};

use super::days::Days;
use super::{Bucket, Dimension, Grouped, Range, Report, coverage};
use crate::model::{BillingPeriod, Conversion, Coverage, SessionRollup, WorkspaceMonth};
use std::collections::{BTreeMap, BTreeSet};

/// The rows of the files of teams.
const LINES: &[Dimension] = &[
    Dimension::Team,
    Dimension::CostCentre,
    Dimension::User,
    Dimension::Project,
    Dimension::Channel,
    Dimension::Model,
    Dimension::Tier,
    Dimension::Session,
];
const SUMMARY: &[Dimension] = &[Dimension::Team, Dimension::CostCentre, Dimension::Channel];
const TEAMS: &[Dimension] = &[Dimension::Team, Dimension::Channel];

/// A file: its name and what is in it.
pub type File = (String, Vec<u8>);

/// What the files say of how they were made.
#[derive(Debug)]
pub struct About {
    /// What amounts are.
    pub basis: Basis,
    /// SHA-256 of the prices.
    pub price_book: String,
    /// SHA-256 of the rules on who pays.
    pub rules: String,
    /// The channel of what nothing tells the channel of, if the configuration says one.
    pub default_channel: Option<&'static str>,
    /// The hash of the month's seal, if it is sealed.
    pub seal: Option<String>,
    /// What the seal booked in cents.
    pub booked: Option<BookedCents>,
    /// Whether the month is closed: it, or a later one, is sealed.
    pub is_closed: bool,
}

/// A chargeback in the making.
pub struct Chargeback {
    period: BillingPeriod,
    lines: Grouped<'static>,
    summary: Grouped<'static>,
    daily: Grouped<'static>,
    days: Days,
    teams: BTreeMap<String, Coverage>,
}

/// All that was added, by rows.
pub struct Month {
    period: BillingPeriod,
    lines: Report,
    summary: Report,
    daily: Report,
    teams: BTreeMap<String, Coverage>,
    /// What was billed for ChatGPT workspaces, if anything is stored.
    workspaces: Vec<WorkspaceMonth>,
}

impl Chargeback {
    /// One with nothing in it yet; the range is that of the period. With a conversion the CSV files have amounts in another
    /// currency, too.
    pub fn new(period: BillingPeriod, range: Range, conversion: Option<Conversion>) -> Self {
        let grouped = |bucket, by| Grouped::new(bucket, by, range);
        Chargeback {
            period,
            lines: grouped(Bucket::Month, LINES).in_currency(conversion.clone()),
            summary: grouped(Bucket::Month, SUMMARY).in_currency(conversion),
            daily: grouped(Bucket::Day, TEAMS),
            days: Days::new(range),
            teams: BTreeMap::new(),
        }
    }

    /// Adds a session.
    pub fn add(&mut self, session: &SessionRollup<'_>) {
        self.lines.add(session);
        self.summary.add(session);
        self.daily.add(session);
        let owner = session.owner[0];
        let teams: BTreeSet<&str> = session.keys.iter().map(|keys| keys.values[0]).chain([owner]).collect();
        for team in teams {
            let mut new = Coverage::default();
            let of_team = self.teams.get_mut(team);
            let is_known = of_team.is_some();
            coverage::add(of_team.unwrap_or(&mut new), session, Some(team), &mut self.days);
            if !is_known && new != Coverage::default() {
                self.teams.insert(team.to_string(), new);
            }
        }
    }

    /// Everything that was added.
    pub fn month(self) -> Month {
        // What could not be read is of the whole store, and counted anew where it is read anew: it is told, and in no file.
        let nothing = BTreeMap::new();
        let lines = self.lines.report(&nothing);
        let mut teams = self.teams;
        // A row without a response (a tool call whose response is of another month) is a team's, too.
        for team in tally::View::of(&lines).teams() {
            let _ = teams.entry(team.to_string()).or_default();
        }
        Month {
            period: self.period,
            summary: self.summary.report(&nothing),
            daily: self.daily.report(&nothing),
            lines,
            teams,
            workspaces: Vec::new(),
        }
    }
}

impl Month {
    /// Statements also say what was billed for these. A team that has only a part of that gets a statement, too.
    pub fn with_workspaces(mut self, workspaces: Vec<WorkspaceMonth>) -> Self {
        for team in workspaces.iter().flat_map(|workspace| workspace.teams.keys()) {
            let _ = self.teams.entry(team.clone()).or_default();
        }
        Month { workspaces, ..self }
    }
}
