//! Rules to begin with: what no team is known of, by what would catch most of it.

use super::Range;
use super::format::{amount, terminal_text, thousands};
use crate::model::{SessionRollup, SessionSubjects, Subject, Sums, ThreadId, UNATTRIBUTED};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// The most rules that are written.
const MOST: usize = 20;

/// What is offered to look at; where two would catch the same, the earlier one.
const OFFERED: [Subject; 4] = [Subject::Repository, Subject::Directory, Subject::User, Subject::Host];

/// How many others stand below a rule that catches several sessions.
const FINER: usize = 5;

/// What is looked at, the text there, and the sessions that have it.
type Catch<'s> = (&'s Subject, &'s str, BTreeSet<&'s ThreadId>);

/// What a session, or some, have of a period that no team is known of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Lost {
    sessions: i64,
    responses: i64,
    sums: Sums,
    tokens: i64,
    unpriced: i64,
}

impl Lost {
    fn add(&mut self, o: Lost) {
        self.sessions += o.sessions;
        self.responses += o.responses;
        self.sums += o.sums;
        self.tokens += o.tokens;
        self.unpriced += o.unpriced;
    }

    /// Its place in the ranking: what it would cost on the API list, which is the only one that all usage has a cost on.
    fn rank(&self) -> (i128, i64) {
        (self.sums.list_usd.unwrap_or(0) + self.sums.api_equivalent.unwrap_or(0), self.tokens)
    }

    fn describe(&self) -> String {
        let s = &self.sums;
        let amounts = [(s.list_usd, "USD at list"), (s.credits, "credits"), (s.api_equivalent, "USD API equivalent")];
        let mut parts: Vec<String> =
            amounts.iter().filter_map(|(sum, unit)| sum.map(|pico| format!("{} {unit}", amount(pico)))).collect();
        if self.unpriced > 0 {
            parts.push(format!("{} tokens unpriced", thousands(self.unpriced)));
        }
        let (responses, sessions) = (thousands(self.responses), thousands(self.sessions));
        format!("{}; responses {responses}, sessions {sessions}", parts.join(", "))
    }
}

/// Suggestions in the making.
pub struct Suggest {
    range: Range,
    lost: BTreeMap<ThreadId, Lost>,
}

impl Suggest {
    /// Of a period, with nothing in it yet.
    pub fn new(range: Range) -> Self {
        Suggest { range, lost: BTreeMap::new() }
    }

    /// Adds what a session has.
    pub fn add(&mut self, session: &SessionRollup<'_>) {
        let mut lost = Lost { sessions: 1, ..Lost::default() };
        for row in session.usage.iter().filter(|row| self.range.has(row.slot.start())) {
            if session.keys[row.keys as usize].values[0] == UNATTRIBUTED {
                let tokens = row.tokens.total();
                let (sums, unpriced) = (row.sums, row.unpriced_tokens);
                lost.add(Lost { sessions: 0, responses: row.responses, sums, tokens, unpriced });
            }
        }
        if let Some(id) = ThreadId::new(session.session).filter(|_| lost.responses > 0) {
            self.lost.insert(id, lost);
        }
    }

    /// The sessions of which rules must know more.
    pub fn sessions(&self) -> Vec<ThreadId> {
        self.lost.keys().cloned().collect()
    }

    /// The rules as TOML, the one that catches most first; what they catch counts for no later one. Below a rule stands, as a
    /// remark, what would catch parts of the same instead.
    pub fn rules(&self, subjects: &[SessionSubjects]) -> String {
        let mut left = self.lost.clone();
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = writeln!(out, "# Without a team: {}.", self.sum(left.keys()).describe());
        let _ = writeln!(out, "# Fill in whose it is, and append what you want to teams.toml.");
        for n in 1..=MOST {
            let mut catches = self.catches(subjects, &left);
            if catches.is_empty() {
                break;
            }
            let (subject, text, ids) = catches.remove(0);
            let _ = writeln!(out, "\n# {n}. {}\n[[rule]]", self.sum(ids.iter().copied()).describe());
            let _ = writeln!(out, "{}\nteam = \"\"", looks(subject, text));
            let finer = |(_, _, of): &&Catch<'_>| !of.is_disjoint(&ids) && !of.is_superset(&ids);
            for (subject, text, of) in catches.iter().filter(finer).take(FINER) {
                let _ = writeln!(out, "# {}  # {}", looks(subject, text), self.sum(of.iter().copied()).describe());
            }
            left.retain(|id, _| !ids.contains(id));
        }
        if !left.is_empty() {
            let _ = writeln!(out, "\n# Not caught by these: {}", self.sum(left.keys()).describe());
        }
        out
    }

    /// What could be looked at to catch sessions that are left, the most first.
    fn catches<'s>(&self, subjects: &'s [SessionSubjects], left: &BTreeMap<ThreadId, Lost>) -> Vec<Catch<'s>> {
        let mut catch: BTreeMap<(&Subject, &str), BTreeSet<&ThreadId>> = BTreeMap::new();
        for (id, seen) in subjects.iter().filter(|(id, _)| left.contains_key(id)) {
            for (subject, text) in seen.iter().filter(|(subject, _)| OFFERED.contains(subject)) {
                catch.entry((subject, text)).or_default().insert(id);
            }
        }
        let mut catches: Vec<Catch<'s>> =
            catch.into_iter().map(|((subject, text), ids)| (subject, text, ids)).collect();
        catches.sort_by_cached_key(|(subject, text, ids)| {
            let place = OFFERED.iter().position(|offered| offered == *subject);
            (Reverse(self.sum(ids.iter().copied()).rank()), place, text.to_string())
        });
        catches
    }

    fn sum<'i>(&self, ids: impl Iterator<Item = &'i ThreadId>) -> Lost {
        let mut sum = Lost::default();
        ids.filter_map(|id| self.lost.get(id)).for_each(|lost| sum.add(*lost));
        sum
    }
}

/// A matcher as TOML.
fn looks(subject: &Subject, text: &str) -> String {
    format!("{} = {}", subject.name(), quoted(&pattern(text)))
}

/// A pattern that fits a text, which may have characters in it that patterns know.
fn pattern(text: &str) -> String {
    text.chars().map(|c| if c == '*' { '?' } else { c }).collect()
}

/// A text as TOML. Whatever a terminal should not be shown is escaped.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        let alone = c.to_string();
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            _ if terminal_text(&alone) == alone => out.push(c),
            _ => out.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_survive_toml() {
        for text in ["acme/api", "C:\\w \"x\"", "é", "a\nb\u{7f}\u{9b}31m", "\u{202e}x", ""] {
            let back: toml::Table = format!("x = {}", quoted(text)).parse().unwrap();
            assert_eq!(back["x"].as_str(), Some(text));
            assert_eq!(terminal_text(&quoted(text)), quoted(text));
        }
        assert_eq!(pattern("a*b?"), "a?b?");
    }

    fn lost(usd: i128, equivalent: i128) -> Lost {
        let sums = Sums { list_usd: Some(usd), api_equivalent: Some(equivalent), ..Sums::default() };
        Lost { sessions: 1, responses: 2, sums, tokens: 10, unpriced: 0 }
    }

    #[test]
    fn what_catches_most_comes_first_and_counts_once() {
        let id = |n: u32| ThreadId::new(&format!("s{n}")).unwrap();
        let usd = 1_000_000_000_000;
        let all =
            [(id(1), lost(5 * usd, 0)), (id(2), lost(0, 4 * usd)), (id(3), lost(3 * usd, 0)), (id(4), lost(1, 0))];
        let suggest = Suggest { range: Range::default(), lost: all.into_iter().collect() };
        let seen = |n, pairs: &[(Subject, &str)]| {
            (id(n), pairs.iter().map(|(s, t)| (s.clone(), t.to_string())).collect::<Vec<_>>())
        };
        let (repository, user, host) = (Subject::Repository, Subject::User, Subject::Host);
        let subjects = [
            seen(1, &[(repository.clone(), "acme/api"), (user.clone(), "ann"), (Subject::Email, "never")]),
            seen(2, &[(repository.clone(), "acme/web"), (user.clone(), "bob")]),
            seen(3, &[(host, "vm"), (user, "bob")]),
            seen(4, &[]),
        ];
        let text = suggest.rules(&subjects);
        let table: toml::Table = text.parse().unwrap();
        let rules: Vec<String> =
            table["rule"].as_array().unwrap().iter().map(|r| r.to_string().replace('\n', " ")).collect();
        assert_eq!(rules.len(), 2, "{text}");
        assert!(
            text.contains("team = \"\"\n# repository = \"acme/web\"  # 0.0000 USD at list, 4.0000 USD API eq"),
            "{text}"
        );
        assert!(rules[0].contains("bob") && rules[1].contains("acme/api"), "{text}");
        assert!(text.starts_with(
            "# Without a team: 8.0000 USD at list, 4.0000 USD API equivalent; responses 8, sessions 4.\n"
        ));
        assert!(text.contains("\n# 1. 3.0000 USD at list, 4.0000 USD API equivalent; responses 4, sessions 2\n"));
        assert!(text.ends_with(
            "# Not caught by these: <0.0001 USD at list, 0.0000 USD API equivalent; responses 2, sessions 1\n"
        ));
    }
}
