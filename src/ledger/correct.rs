//! Corrections: what the lines of closed months are now, less what was booked of them. Computed, never kept by hand.

use super::book::Bookable;
use crate::model::{BillingPeriod, Booked, LineClass, Sums, TokenSums};
use std::collections::{BTreeMap, BTreeSet};

/// What must be added to the books of a session so that they say what is known now. Booking it twice adds nothing, since what
/// was booked is taken off.
pub(super) fn corrections(now: &[Bookable], booked: &[Booked]) -> Vec<Booked> {
    let known: BTreeSet<(&str, &str)> = booked.iter().map(|b| (b.thread.as_str(), b.line.as_str())).collect();
    let mut lines: BTreeMap<(&str, &str), Line<'_>> = BTreeMap::new();
    for line in now {
        let b = &line.booked;
        // Records that came later may have given it another name than it was booked under.
        let name = line.names.iter().find(|name| known.contains(&(b.thread.as_str(), name.as_str())));
        let of_line = lines.entry((&b.thread, name.map_or(b.line.as_str(), String::as_str))).or_default();
        of_line.now.push(b);
    }
    for b in booked {
        lines.entry((&b.thread, &b.line)).or_default().booked.push(b);
    }
    lines.into_iter().flat_map(|((_, name), line)| line.differences(name)).collect()
}

/// What is known of one line, and what was booked of it.
#[derive(Default)]
struct Line<'a> {
    now: Vec<&'a Booked>,
    booked: Vec<&'a Booked>,
}

impl Line<'_> {
    fn differences(&self, name: &str) -> Vec<Booked> {
        let booked = self.booked.iter().map(|b| (*b, -1));
        let all = sums(self.now.iter().map(|b| (*b, 1)).chain(booked), name);
        let reason = self.reason();
        let with_reason = |b: Booked| Booked { sums: b.sums.without_zeros(), reason: reason.clone(), ..b };
        all.into_iter().map(with_reason).collect()
    }

    /// What of the whole response, all its shares together, is not as the books have it.
    fn reason(&self) -> String {
        if self.now.is_empty() {
            return "gone: its records now say something else".into();
        }
        if self.booked.iter().map(|b| b.responses).sum::<i64>() == 0 {
            return "late: not known when its month was sealed".into();
        }
        let was = sums(self.booked.iter().map(|b| (*b, 1)), "");
        let now = sums(self.now.iter().map(|b| (*b, 1)), "");
        let months = |all: &[Booked]| joined(all.iter().map(|b| b.of.to_string()));
        let mut changed: Vec<(&str, String, String)> = vec![("month", months(&was), months(&now))];
        for (at, name) in NAMES.into_iter().enumerate() {
            let values = |all: &[Booked]| joined(all.iter().map(|b| b.values[at].clone()));
            changed.push((name, values(&was), values(&now)));
        }
        let texts = changed.iter().filter(|(_, a, b)| a != b).map(|(name, a, b)| format!("{name} {a} is now {b}"));
        let texts: Vec<String> = texts.collect();
        let (was, now) = (whole(&was), whole(&now));
        match texts.is_empty() {
            false => format!("re-mapped: {}", texts.join(", ")),
            true if was.tokens != now.tokens => "other token counts".into(),
            true if (was.sums.without_zeros(), was.unpriced) == (now.sums.without_zeros(), now.unpriced) => {
                format!("re-mapped: other shares of team {}", changed[1].1)
            }
            true => "repriced".into(),
        }
    }
}

const NAMES: [&str; 8] = ["team", "cost centre", "project", "user", "client", "channel", "model", "tier"];

/// Lines added up by month and what they are grouped by; what adds up to nothing is left out.
fn sums<'a>(lines: impl Iterator<Item = (&'a Booked, i64)>, name: &str) -> Vec<Booked> {
    let mut all: BTreeMap<(BillingPeriod, &[String; 8]), Booked> = BTreeMap::new();
    for (b, sign) in lines {
        let sum = all.entry((b.of, &b.values)).or_insert_with(|| nothing(b, name));
        sum.responses += sign * b.responses;
        sum.unpriced_tokens += sign * b.unpriced_tokens;
        sum.tokens += if sign < 0 { -b.tokens } else { b.tokens };
        sum.sums += if sign < 0 { -b.sums } else { b.sums };
    }
    all.into_values().filter(|b| !b.is_nothing()).collect()
}

/// What the shares of a response are together.
#[derive(Default)]
struct Whole {
    tokens: TokenSums,
    sums: Sums,
    unpriced: i64,
}

fn whole(shares: &[Booked]) -> Whole {
    shares.iter().fold(Whole::default(), |mut all, b| {
        all.tokens += b.tokens;
        all.sums += b.sums;
        all.unpriced += b.unpriced_tokens;
        all
    })
}

/// Each of some texts once.
fn joined(texts: impl Iterator<Item = String>) -> String {
    texts.collect::<BTreeSet<String>>().into_iter().collect::<Vec<_>>().join(" and ")
}

fn nothing(of: &Booked, name: &str) -> Booked {
    Booked {
        line: name.to_string(),
        class: LineClass::Correction.name().into(),
        responses: 0,
        tokens: Default::default(),
        sums: Default::default(),
        unpriced_tokens: 0,
        ..of.clone()
    }
}
