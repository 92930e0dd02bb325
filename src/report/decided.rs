//! What a session gets, and why: each owner field with its strength and reason, when it changes, and what rules can look at.

use super::format::{terminal_text, thousands};
use crate::model::{Owner, OwnerField, SessionFact, Subject};
use std::fmt::Write;

/// Describes the owner of a session, and what rules can look at.
pub fn decided(session: &SessionFact, subjects: &[(Subject, String)]) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = head(&mut out, session);
    let _ = fields(&mut out, session);
    let _ = looked_at(&mut out, subjects);
    out
}

fn head(out: &mut String, session: &SessionFact) -> std::fmt::Result {
    let (responses, began) = (thousands(session.responses.len() as u64), session.started.to_rfc3339());
    writeln!(out, "session {}, {responses} responses, began {began}\n", session.session)
}

fn fields(out: &mut String, session: &SessionFact) -> std::fmt::Result {
    let responses = &session.responses;
    let owners: Vec<&Owner> = responses.iter().map(|r| &r.owner).collect();
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
            let since = match responses.get(*at) {
                Some(response) if starts.len() > 1 => {
                    let end = starts.get(n + 1).copied().unwrap_or(values.len());
                    format!("from {}, {} responses: ", response.time.to_rfc3339(), thousands((end - at) as u64))
                }
                _ => String::new(),
            };
            writeln!(out, "{:<12} {since}{}", terminal_text(name), field(values[*at]))?;
        }
    }
    shares(out, session)?;
    let contradicted = owners.iter().filter(|o| o.contradicted).count();
    if contradicted > 0 {
        writeln!(
            out,
            "{:<12} of {contradicted} responses contradict the list of members or a credential: not believed",
            "claims"
        )?;
    }
    Ok(())
}

fn field(field: Option<&OwnerField>) -> String {
    let Some(field) = field else { return "none".to_string() };
    format!("{} [{}] {}", terminal_text(&field.value), field.strength.name(), terminal_text(&field.why))
}

/// The weights of shared responses, each set once.
fn shares(out: &mut String, session: &SessionFact) -> std::fmt::Result {
    let mut all: Vec<&[(String, u64)]> = session.responses.iter().map(|r| r.shares.as_slice()).collect();
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
