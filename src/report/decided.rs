//! What a session gets, and why: each owner field with its strength and reason, when it changes, and what rules can look at.

use super::format::{terminal_text, thousands};
use crate::model::{Line, Owner, OwnerField, SessionFact, Subject};
use std::fmt::Write;

/// Describes the owner of a session from its lines, which are in the order of time, and from what rules can look at.
pub fn decided(session: &SessionFact, lines: &[Line], subjects: &[(Subject, String)]) -> String {
    let lines: Vec<&Line> = lines.iter().filter(|l| l.response.session == session.session).collect();
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = head(&mut out, session, &lines);
    let _ = fields(&mut out, session, &lines);
    let _ = looked_at(&mut out, subjects);
    out
}

fn head(out: &mut String, session: &SessionFact, lines: &[&Line]) -> std::fmt::Result {
    let began = session.started.to_rfc3339();
    writeln!(out, "session {}, {} responses, began {began}\n", session.session, thousands(lines.len() as u64))
}

fn fields(out: &mut String, session: &SessionFact, lines: &[&Line]) -> std::fmt::Result {
    let owners: Vec<&Owner> = lines.iter().map(|l| &l.response.owner).collect();
    let owners = if owners.is_empty() { vec![&session.owner] } else { owners };
    let mut names: Vec<String> = Vec::new();
    for (name, _) in owners.iter().flat_map(|o| o.fields()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    for name in &names {
        let values: Vec<_> = owners.iter().map(|o| o.fields().find(|(n, _)| n == name).map(|(_, f)| f)).collect();
        let starts: Vec<usize> = (0..values.len()).filter(|i| *i == 0 || values[*i] != values[i - 1]).collect();
        for (n, at) in starts.iter().enumerate() {
            let since = match lines.get(*at) {
                Some(line) if starts.len() > 1 => {
                    let end = starts.get(n + 1).copied().unwrap_or(values.len());
                    format!("from {}, {} responses: ", line.response.time.to_rfc3339(), thousands((end - at) as u64))
                }
                _ => String::new(),
            };
            writeln!(out, "{:<12} {since}{}", terminal_text(name), field(values[*at]))?;
        }
    }
    shares(out, lines)?;
    let contradicted = lines.iter().filter(|l| l.response.owner.contradicted).count();
    if contradicted > 0 {
        writeln!(out, "{:<12} of {} responses contradict the list of members: not believed", "claims", contradicted)?;
    }
    Ok(())
}

fn field(field: Option<&OwnerField>) -> String {
    let Some(field) = field else { return "none".to_string() };
    format!("{} [{}] {}", terminal_text(&field.value), field.strength.name(), terminal_text(&field.why))
}

/// The weights of shared responses, each set once.
fn shares(out: &mut String, lines: &[&Line]) -> std::fmt::Result {
    let mut all: Vec<&[(String, u64)]> = lines.iter().map(|l| l.response.shares.as_slice()).collect();
    all.sort();
    all.dedup();
    for shares in all.into_iter().filter(|shares| !shares.is_empty()) {
        let share = |(team, weight): &(String, u64)| format!("{} {weight}", terminal_text(team));
        writeln!(out, "{:<12} by weight: {}", "shared", shares.iter().map(share).collect::<Vec<_>>().join(", "))?;
    }
    Ok(())
}

fn looked_at(out: &mut String, subjects: &[(Subject, String)]) -> std::fmt::Result {
    writeln!(out, "\nwhat rules can look at, as the session began")?;
    for (subject, text) in subjects {
        let kind = if matches!(subject, Subject::Attribute(_)) { "attribute " } else { "" };
        writeln!(out, "  {kind}{} = {}", terminal_text(subject.name()), terminal_text(text))?;
    }
    Ok(())
}
