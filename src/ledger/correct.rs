//! Corrections: what the lines of closed months are now, less what was booked of them. Computed, never kept by hand.

use super::book::Bookable;
use crate::model::{BillingPeriod, Booked, LineClass};
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
        let mut all: BTreeMap<(BillingPeriod, &[String; 8]), Booked> = BTreeMap::new();
        let booked = self.booked.iter().map(|b| (b, -1));
        for (b, sign) in self.now.iter().map(|b| (b, 1)).chain(booked) {
            let sum = all.entry((b.of, &b.values)).or_insert_with(|| nothing(b, name));
            sum.responses += sign * b.responses;
            sum.unpriced_tokens += sign * b.unpriced_tokens;
            sum.tokens += if sign < 0 { -b.tokens } else { b.tokens };
            sum.sums += if sign < 0 { -b.sums } else { b.sums };
        }
        let reason = self.reason();
        let mut differences: Vec<Booked> = all.into_values().filter(|b| !b.is_nothing()).collect();
        for difference in &mut differences {
            difference.sums = difference.sums.without_zeros();
            difference.reason.clone_from(&reason);
        }
        differences
    }

    fn reason(&self) -> String {
        let booked: i64 = self.booked.iter().map(|b| b.responses).sum();
        let (Some(now), Some(was)) = (self.now.first(), self.booked.last()) else {
            return if self.now.is_empty() { "gone: its records now say something else" } else { LATE }.into();
        };
        if booked == 0 {
            return LATE.into();
        }
        const NAMES: [&str; 8] = ["team", "cost centre", "project", "user", "client", "channel", "model", "tier"];
        let changed = NAMES.iter().zip(was.values.iter().zip(&now.values)).filter(|(_, (a, b))| a != b);
        let changed: Vec<String> = changed.map(|(name, (a, b))| format!("{name} {a} is now {b}")).collect();
        match changed.is_empty() {
            false => format!("re-mapped: {}", changed.join(", ")),
            true if was.class == LineClass::Usage.name() && was.tokens != now.tokens => "other token counts".into(),
            true => "repriced".into(),
        }
    }
}

const LATE: &str = "late: not known when its month was sealed";

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
