//! The files of a month.

use super::cents::Cents;
use super::manifest::{MANIFEST, Team, manifest, sha256};
use super::statement::{Statement, index};
use super::tally::{Row, View};
use super::{About, File, Month};
use crate::model::{Channel, Coverage, Status, UNATTRIBUTED};
use crate::report::{Cell, Column, CurrencyNote, Kind, Report, coverage, format};
use std::collections::{BTreeMap, BTreeSet};

/// Digits of the hash in a file's name, and all of it if these should not be enough.
const SHORT: usize = 8;
const LONG: usize = 64;

/// The longest slug of a team's name.
const SLUG: usize = 40;

impl Month {
    /// Whether there is usage in USD and in credits, so that a reader must know which sums are shown.
    pub fn is_mixed(&self) -> bool {
        let channels: BTreeSet<&str> = View::of(&self.lines).rows().map(|row| row.text("channel")).collect();
        [Channel::Api, Channel::Chatgpt].into_iter().all(|channel| channels.contains(channel.name()))
    }

    /// How complete and certain the month is, with what could not be read by reason.
    pub fn coverage(&self, counters: &BTreeMap<String, u64>) -> Coverage {
        let mut all = self.lines.coverage.clone();
        coverage::add_counters(&mut all, counters);
        all
    }

    /// What must be known of the columns in another currency, if there are such.
    pub fn currency(&self) -> Option<&CurrencyNote> {
        self.lines.currency.as_ref()
    }

    /// `sealed` if everything is, else `estimated`. A closed month without usage gets none any more.
    pub fn status(&self, about: &About) -> &'static str {
        let sealed = match self.lines.rows.is_empty() {
            true => about.is_closed,
            false => View::of(&self.lines).rows().all(|row| row.is_sealed()),
        };
        if sealed { Status::Sealed.name() } else { Status::Estimated.name() }
    }

    /// The teams, without what no team owns.
    pub fn teams(&self) -> impl Iterator<Item = &str> {
        self.teams.keys().map(String::as_str).filter(|team| *team != UNATTRIBUTED)
    }

    /// The files, in the order of their names.
    pub fn files(&self, about: &About) -> Vec<File> {
        let names: BTreeSet<&str> = self.teams().collect();
        let files_of = file_names(&names);
        let cents = Cents::of(self, about);
        let (lines, daily) = (View::of(&self.lines), View::of(&self.daily));
        let (rows, days) = (by_team(&lines), by_team(&daily));
        let mut files = vec![
            ("summary.csv".to_string(), format::csv(&self.summary(about, &cents))),
            ("unattributed.csv".to_string(), self.csv(rows.get(UNATTRIBUTED).map_or(&[], Vec::as_slice))),
            (
                "corrections.csv".to_string(),
                self.csv(&lines.rows().filter(|row| row.is_correction()).collect::<Vec<_>>()),
            ),
            ("index.html".to_string(), index(self, about, &cents, &files_of).into_bytes()),
        ];
        let mut teams = Vec::new();
        for (team, name) in &files_of {
            let rows = rows.get(team).map_or(&[][..], Vec::as_slice);
            let days = days.get(team).map_or(&[][..], Vec::as_slice);
            let (csv, statement) = (format!("{name}.csv"), format!("{name}.html"));
            let page = Statement { month: self, about, cents: &cents, team, csv: &csv, rows, days }.html();
            files.push((csv.clone(), self.csv(rows)));
            files.push((statement.clone(), page.into_bytes()));
            teams.push(Team { team, csv, statement });
        }
        files.sort();
        let period = self.period.to_string();
        let manifest = manifest(about, period, self.status(about), &self.lines, &teams, &files);
        files.push((MANIFEST.to_string(), manifest));
        files
    }

    /// Some of the rows, with all columns.
    fn csv(&self, rows: &[Row<'_, '_>]) -> Vec<u8> {
        let rows = rows.iter().map(|row| row.cells.to_vec()).collect();
        format::csv(&Report { rows, columns: self.lines.columns.clone(), ..self.lines.empty() })
    }

    /// The summary, with the amount of each row on the basis, and what is booked of it.
    fn summary(&self, about: &About, cents: &Cents<'_>) -> Report {
        let view = View::of(&self.summary);
        let with_amount = |(at, row): (usize, Row<'_, '_>)| {
            let amount = about.basis.amount(row.text("channel"));
            let unit = amount.map_or(Cell::Missing, |(_, unit)| Cell::Text(unit.to_string()));
            let pico = amount.and_then(|(column, _)| row.amount(column)).map_or(Cell::Missing, Cell::Amount);
            let booked = cents.of_row(at).map_or(Cell::Missing, Cell::Cents);
            let more = [Cell::Text(about.basis.name().to_string()), unit, pico, booked];
            row.cells.iter().cloned().chain(more).collect()
        };
        let more =
            [("basis", Kind::Text), ("unit", Kind::Text), ("amount", Kind::Amount), ("booked_amount", Kind::Amount)];
        let columns = self.summary.columns.iter().cloned();
        Report {
            rows: view.rows().enumerate().map(with_amount).collect(),
            columns: columns.chain(more.map(|(name, kind)| Column { name, title: None, kind })).collect(),
            ..self.summary.empty()
        }
    }
}

impl Report {
    /// The same report without columns, rows and totals.
    fn empty(&self) -> Report {
        Report {
            name: self.name,
            range: self.range,
            columns: Vec::new(),
            rows: Vec::new(),
            totals: Vec::new(),
            currency: None,
            coverage: Default::default(),
        }
    }
}

fn by_team<'r, 'v>(view: &'v View<'r>) -> BTreeMap<&'r str, Vec<Row<'r, 'v>>> {
    let mut teams: BTreeMap<&str, Vec<Row<'_, '_>>> = BTreeMap::new();
    view.rows().for_each(|row| teams.entry(row.text("team")).or_default().push(row));
    teams
}

/// The name of each team's files, without ending: what can be read of the team's name, and a hash of all of it.
fn file_names<'a>(teams: &BTreeSet<&'a str>) -> BTreeMap<&'a str, String> {
    let name = |team: &str, digits: usize| format!("team-{}-{}", slug(team), &sha256(team.as_bytes())[..digits]);
    let short: BTreeSet<String> = teams.iter().map(|team| name(team, SHORT)).collect();
    let digits = if short.len() == teams.len() { SHORT } else { LONG };
    teams.iter().map(|team| (*team, name(team, digits))).collect()
}

fn slug(team: &str) -> String {
    let mut slug = String::new();
    for c in team.chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
        if slug.len() >= SLUG {
            break;
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() { "unnamed".to_string() } else { slug.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn teams_have_files_of_their_own() {
        let teams = BTreeSet::from(["Team A", "team a", "team-a", "../../etc/passwd", "東京", "大阪", ""]);
        let names = file_names(&teams);
        let all: BTreeSet<&String> = names.values().collect();
        assert_eq!(all.len(), teams.len());
        assert!(names["Team A"].starts_with("team-team-a-") && names["team a"].starts_with("team-team-a-"));
        assert!(names["../../etc/passwd"].starts_with("team-etc-passwd-"));
        assert!(names["東京"].starts_with("team-unnamed-"));
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(all.iter().all(|name| name.chars().all(plain)));
        assert_eq!(slug(&"x".repeat(100)).len(), SLUG);
    }
}
