//! The list of members: a CSV that says who is in which team, and when. Our own format, so whatever is not understood is an error
//! with its line.

use crate::model::{Day, Days, Matcher, Rule, Subject};
use anyhow::{Context, bail};
use csv::StringRecord;
use std::collections::BTreeMap;

/// The columns that are known; only the first must be there.
const COLUMNS: [&str; 5] = ["email", "team", "cost_centre", "from", "to"];

/// The rows by e-mail address in lower case, a person's in the order of their days. `name` is that of the file, by which rows
/// are called.
///
/// # Errors
/// A column, a day or a value is not understood, or two rows of one person are of the same day; the message names the line.
pub(super) fn parse_members(name: &str, text: &str) -> anyhow::Result<BTreeMap<String, Vec<Rule>>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = Lines { text, at: 0, line: 1 };
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let header = reader.headers().context("line 1")?.clone();
    if let Some(odd) = header.iter().find(|column| !COLUMNS.contains(column)) {
        bail!("line 1: unknown column `{odd}`; the columns are {}", COLUMNS.join(", "));
    }
    if let Some(twice) = header.iter().enumerate().find_map(|(i, c)| header.iter().take(i).find(|other| *other == c)) {
        bail!("line 1: column {twice} is there twice");
    }
    if !header.iter().any(|column| column == COLUMNS[0]) {
        bail!("line 1: there is no column email");
    }
    let mut members: BTreeMap<String, Vec<(u64, Rule)>> = BTreeMap::new();
    for record in reader.into_records() {
        let record = match record {
            Ok(record) => record,
            Err(e) => bail!("line {}: {e}", lines.of(e.position())),
        };
        let line = lines.of(record.position());
        let row = row(&header, &record, format!("{name} line {line}")).with_context(|| format!("line {line}"))?;
        let person = row.user.as_deref().unwrap_or_default().to_lowercase();
        let rows = members.entry(person).or_default();
        if let Some((other, _)) = rows.iter().find(|(_, other)| other.days.overlaps(row.days)) {
            let who = row.user.unwrap_or_default();
            bail!("line {line}: {who} is also in line {other}, on the same days; end the one before the other begins");
        }
        rows.push((line, row));
    }
    let sorted = |(person, mut rows): (String, Vec<(u64, Rule)>)| {
        rows.sort_by_key(|(_, row)| row.days.from);
        (person, rows.into_iter().map(|(_, row)| row).collect())
    };
    Ok(members.into_iter().map(sorted).collect())
}

/// Counts lines as an editor does. The reader's own count passes over empty lines and carriage returns.
struct Lines<'t> {
    text: &'t str,
    at: usize,
    line: u64,
}

impl Lines<'_> {
    /// The line that a record begins in. Records are asked for in order.
    fn of(&mut self, position: Option<&csv::Position>) -> u64 {
        let bytes = self.text.as_bytes();
        let begins = position.and_then(|p| usize::try_from(p.byte()).ok()).unwrap_or(0).max(self.at);
        let is_break = |b: &u8| matches!(b, b'\r' | b'\n');
        let begins = begins + bytes.iter().skip(begins).take_while(|b| is_break(b)).count();
        let passed = bytes.iter().take(begins).skip(self.at);
        self.line += passed.filter(|b| **b == b'\n').count() as u64;
        self.at = begins;
        self.line
    }
}

fn row(header: &StringRecord, record: &StringRecord, name: String) -> anyhow::Result<Rule> {
    let cell = |column: &str| {
        let at = header.iter().position(|name| name == column)?;
        record.get(at).filter(|text| !text.is_empty())
    };
    let some = |column: &str| cell(column).map(|text| value(column, text.to_string())).transpose();
    let Some(user) = some("email")? else { bail!("email is empty") };
    let (team, cost_centre) = (some("team")?, some("cost_centre")?);
    if team.is_none() && cost_centre.is_none() {
        bail!("{user} has neither team nor cost_centre");
    }
    let days = parse_days(cell("from"), cell("to"))?;
    let matchers = vec![Matcher { subject: Subject::Email, glob: user.clone() }];
    Ok(Rule { name, matchers, days, team, cost_centre, user: Some(user), ..Rule::default() })
}

/// Two days, each of which may be missing.
pub(super) fn parse_days(from: Option<&str>, to: Option<&str>) -> anyhow::Result<Days> {
    let day = |key: &str, text: Option<&str>| match text.map(|text| (text, Day::parse(text))) {
        Some((text, None)) => bail!("{key} `{text}` is not a day; write YYYY-MM-DD"),
        other => Ok(other.and_then(|(_, day)| day)),
    };
    let days = Days { from: day("from", from)?, to: day("to", to)? };
    if days.from.zip(days.to).is_some_and(|(from, to)| from > to) {
        bail!("from is after to");
    }
    Ok(days)
}

/// A text that is shown and grouped by.
pub(super) fn value(key: &str, text: String) -> anyhow::Result<String> {
    if text.trim().is_empty() || text.trim() != text || text.chars().any(char::is_control) {
        bail!("{key} {text:?} is empty, has outer space or control characters");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_move() {
        let text = "\u{feff}email, team ,cost_centre,from,to\r\n\r\nAnn@acme.com,search,,2026-10-16,\r\n\
                    \"ann@acme.com\",platform,CC-1,,2026-10-15\r\nbob@acme.com,,CC-2,,\r\n";
        let members = parse_members("people.csv", text).unwrap();
        let ann = &members["ann@acme.com"];
        let seen: Vec<_> = ann.iter().map(|r| (r.team.as_deref().unwrap(), r.name.as_str())).collect();
        assert_eq!(seen, [("platform", "people.csv line 4"), ("search", "people.csv line 3")]);
        assert_eq!(ann[1].user.as_deref(), Some("Ann@acme.com"));
        assert_eq!((members["bob@acme.com"][0].team.as_deref(), members.len()), (None, 2));
        assert!(parse_members("x", "email,team\n").unwrap().is_empty());
    }

    #[test]
    fn errors_have_their_line() {
        for (text, says) in [
            ("email,teem\na,b\n", "line 1: unknown column `teem`; the columns are email, team"),
            ("email;team\na;b\n", "line 1: unknown column `email;team`"),
            ("email,team,email\n", "line 1: column email is there twice"),
            ("team\na\n", "line 1: there is no column email"),
            ("", "line 1: there is no column email"),
            ("email,team\na,b\n\na,b,c\n", "line 4: "),
            ("email,team\na,b\n,c\n", "line 3: email is empty"),
            ("email,team\na,\n", "line 2: a has neither team nor cost_centre"),
            ("email,team,from\na,b,1.2.2026\n", "line 2: from `1.2.2026` is not a day; write YYYY-MM-DD"),
            ("email,team,from,to\na,b,2026-02-02,2026-02-01\n", "line 2: from is after to"),
            ("email,team,from,to\na,b,,2026-02-01\nA,c,2026-02-01,\n", "line 3: A is also in line 2, on the same days"),
            ("email,team\na,b\na,b\n", "line 3: a is also in line 2"),
        ] {
            let error = format!("{:#}", parse_members("m", text).unwrap_err());
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
