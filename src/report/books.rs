//! What the books of sealed months say of a line: what was sealed, what it would be now, what corrects the difference, and why.

use super::format::{terminal_text, thousands};
use crate::model::{Booked, LineClass, Posting, Sums, format_pico};
use std::collections::BTreeSet;
use std::fmt::Write;

/// Describes the postings of one line, in the order of months, and compares them with what is known of it now.
pub fn books(postings: &[Posting], now: &[Booked]) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = describe(&mut out, postings, now);
    out
}

fn describe(out: &mut String, postings: &[Posting], now: &[Booked]) -> std::fmt::Result {
    writeln!(out, "  in the books of sealed months")?;
    for posting in postings {
        let line = &posting.line;
        let state = if posting.is_sealed { "sealed" } else { "open, computed" };
        match line.class == LineClass::Usage.name() {
            true => writeln!(out, "    {} ({state}) usage", posting.month)?,
            false => {
                let reason = terminal_text(&line.reason);
                writeln!(out, "    {} ({state}) correction of {}: {reason}", posting.month, line.of)?;
            }
        }
        figures(out, line)?;
    }
    let sealed = || postings.iter().filter(|p| p.is_sealed && p.line.class == LineClass::Usage.name());
    if now.is_empty() {
        writeln!(out, "    now nothing is known of it")?;
    }
    for line in now {
        writeln!(out, "    now, if its month were open")?;
        figures(out, line)?;
    }
    let was: Vec<&Booked> = sealed().map(|p| &p.line).collect();
    let differ = differences(&was, now);
    match (was.is_empty(), differ.as_slice()) {
        (true, _) => writeln!(out, "    differs: it was not known when its month was sealed"),
        (false, []) => writeln!(out, "    it is as it was sealed"),
        (false, differ) => differ.iter().try_for_each(|text| writeln!(out, "    differs: {}", terminal_text(text))),
    }
}

fn figures(out: &mut String, b: &Booked) -> std::fmt::Result {
    let [team, cost_centre, project, user, _, channel, model, tier] = b.values.each_ref().map(|v| terminal_text(v));
    writeln!(out, "      owner   team {team}, cost centre {cost_centre}, project {project}, user {user}")?;
    writeln!(out, "      why     {}", terminal_text(&b.team_why))?;
    writeln!(out, "      usage   {model}, {tier}, {channel}; responses {}, {}", b.responses, tokens(b))?;
    let amounts = amounts(&b.sums);
    let amounts = if amounts.is_empty() { "none".to_string() } else { amounts.join(", ") };
    writeln!(out, "      amounts {amounts}")?;
    if b.class == LineClass::Usage.name() && !b.price.is_empty() {
        writeln!(out, "      price   {}", terminal_text(&b.price))?;
    }
    if !b.unpriced.is_empty() {
        writeln!(out, "      unpriced {}", terminal_text(&b.unpriced))?;
    }
    Ok(())
}

fn tokens(b: &Booked) -> String {
    let t = &b.tokens;
    let [input, cached, written, output, reasoning] = t.all().map(thousands);
    format!("input {input} (cached {cached}, cache write {written}), output {output} (reasoning {reasoning})")
}

fn amounts(sums: &Sums) -> Vec<String> {
    let named = Sums::NAMES.into_iter().zip(sums.all());
    named.filter_map(|(name, sum)| Some(format!("{name} {}", format_pico(sum?)))).collect()
}

/// What is another now than when it was sealed, field by field; of a shared response all its shares together.
fn differences(was: &[&Booked], now: &[Booked]) -> Vec<String> {
    const NAMES: [&str; 8] = ["team", "cost centre", "project", "user", "client", "channel", "model", "tier"];
    let now: Vec<&Booked> = now.iter().collect();
    let mut all = Vec::new();
    let mut compare = |name: &str, of: &dyn Fn(&Booked) -> String| {
        let list = |lines: &[&Booked]| {
            let texts: BTreeSet<String> = lines.iter().map(|b| of(b)).collect();
            let texts: Vec<String> = texts.into_iter().map(|t| if t.is_empty() { "none".into() } else { t }).collect();
            if texts.is_empty() { "nothing".to_string() } else { texts.join(" and ") }
        };
        let (a, b) = (list(was), list(&now));
        if a != b {
            all.push(format!("{name} was {a}, is {b}"));
        }
    };
    for (at, name) in NAMES.into_iter().enumerate() {
        compare(name, &|b| b.values[at].clone());
    }
    compare("reason for the team", &|b| b.team_why.clone());
    compare("tokens", &tokens);
    compare("price", &|b| b.price.clone());
    compare("unpriced", &|b| b.unpriced.clone());
    compare("amounts", &|b| amounts(&b.sums).join(", "));
    all
}
