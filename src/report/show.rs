//! One session as text: threads, turns, responses, tool calls, cost.

use super::explain::{labels, owner_field};
use super::format::{amount, terminal_text, thousands};
use crate::model::{Line, SessionFact, Sums, TurnCostFact, Unit};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Describes a session with its lines. Prompts, arguments and output are no part of a session, so they cannot appear.
///
/// `shares` are what its tool calls cost: the index of a call, and its part of the response that asked for it.
pub fn show(session: &SessionFact, lines: &[Line], shares: &BTreeMap<usize, Sums>) -> String {
    let lines: Vec<&Line> = lines.iter().filter(|l| l.response.session == session.session).collect();
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = head(&mut out, session, &lines);
    let _ = turns(&mut out, session, &lines);
    let _ = tools(&mut out, session, shares);
    for why in &session.quarantined {
        let _ = writeln!(out, "not counted: {}", terminal_text(why));
    }
    out
}

fn head(out: &mut String, s: &SessionFact, lines: &[&Line]) -> std::fmt::Result {
    let kind = if s.auxiliary { "auxiliary thread" } else { "session" };
    writeln!(out, "{kind} {}", s.session)?;
    writeln!(out, "  started   {}", s.started.to_rfc3339())?;
    writeln!(out, "  ended     {} ({} s)", s.ended.to_rfc3339(), (s.ended.0 - s.started.0) / 1_000_000_000)?;
    writeln!(out, "  client    {}", terminal_text(&s.client))?;
    let fields = [("user", &s.owner.user), ("team", &s.owner.team), ("project", &s.owner.project)];
    for (name, field) in fields.into_iter().chain([("cost c.", &s.owner.cost_centre)]) {
        writeln!(out, "  {name:<9} {}", owner_field(field))?;
    }
    labels(out, &s.owner)?;
    if let Some(line) = lines.first() {
        writeln!(out, "  channel   {} ({})", line.response.channel, terminal_text(&line.response.channel_why))?;
    }
    if let Some(from) = &s.forked_from {
        writeln!(out, "  forked    from {from}")?;
    }
    writeln!(
        out,
        "  prompts   {}, turns {}, responses {}, tool calls {}",
        s.prompts,
        s.turns.len(),
        lines.iter().map(|line| line.responses).sum::<i64>(),
        s.tool_calls.len()
    )?;
    if s.unmetered_attempts + s.api_errors > 0 {
        writeln!(out, "  errors    {} requests refused, {} without usage", s.api_errors, s.unmetered_attempts)?;
    }
    for (model, of_model) in &s.unmetered {
        let (model, named) = (terminal_text(model.as_deref().unwrap_or("unknown model")), of_model.named);
        if of_model.attempts > 0 {
            writeln!(out, "  unmetered {} of {model}", of_model.attempts)?;
        }
        if !named.is_empty() {
            let (input, output) = (thousands(named.input), thousands(named.output));
            writeln!(out, "  named     in {input}, out {output} by failures of {model}: counted nowhere")?;
        }
    }
    for t in s.threads.iter().filter(|_| s.threads.len() > 1) {
        writeln!(out, "  thread    {} {} {}", t.thread, t.kind, terminal_text(&t.agent))?;
    }
    Ok(writeln!(out, "  cost      {}\n", cost(lines.iter().copied()))?)
}

/// Sums by unit; amounts of different units are never added.
fn cost<'a>(lines: impl Iterator<Item = &'a Line> + Clone) -> String {
    let sum = |unit: Unit| {
        let amounts = lines.clone().filter_map(|l| l.priced.list).filter(move |a| a.unit == unit);
        amounts.map(|a| i128::from(a.pico)).reduce(|a, b| a + b)
    };
    let unpriced: u64 = lines.clone().filter(|l| l.priced.unpriced.is_some()).map(|l| l.response.usage.total()).sum();
    let contract = lines.clone().filter_map(|l| l.priced.contract).map(|a| i128::from(a.pico)).reduce(|a, b| a + b);
    let mut parts = Vec::new();
    parts.extend(sum(Unit::Usd).map(|pico| format!("{} USD at list", amount(pico))));
    parts.extend(contract.map(|pico| format!("{} USD by contract", amount(pico))));
    parts.extend(sum(Unit::Credit).map(|pico| format!("{} credits", amount(pico))));
    if unpriced > 0 {
        parts.push(format!("{} tokens unpriced", thousands(unpriced)));
    }
    if parts.is_empty() { "nothing to bill".to_string() } else { parts.join(", ") }
}

fn turns(out: &mut String, s: &SessionFact, lines: &[&Line]) -> std::fmt::Result {
    for turn in &s.turns {
        let took = turn
            .duration_ms
            .map_or_else(|| turn.state.to_string(), |ms| format!("{} ms, {}", thousands(ms), turn.state));
        let of_turn = lines.iter().copied().filter(|l| l.response.turn.as_deref() == Some(&turn.turn));
        writeln!(
            out,
            "turn {} {} ({took}): {}",
            turn.started.to_rfc3339(),
            terminal_text(&turn.turn),
            cost(of_turn.clone())
        )?;
        if let Some(reported) = s.turn_costs.iter().find(|c| c.turn == turn.turn) {
            writeln!(out, "  {}", self::reported(reported, of_turn.clone()))?;
        }
        of_turn.clone().try_for_each(|l| response(out, s, l))?;
    }
    let known = |l: &&&Line| l.response.turn.as_deref().is_some_and(|t| s.turns.iter().any(|turn| turn.turn == t));
    let rest: Vec<&Line> = lines.iter().filter(|l| !known(l)).copied().collect();
    if !rest.is_empty() {
        writeln!(out, "outside of known turns: {}", cost(rest.iter().copied()))?;
        rest.iter().try_for_each(|l| response(out, s, l))?;
    }
    Ok(())
}

/// What Codex said that a turn cost, and how far that is from its list cost.
fn reported<'a>(said: &TurnCostFact, lines: impl Iterator<Item = &'a Line>) -> String {
    let usd = |l: &Line| l.priced.list.filter(|a| a.unit == Unit::Usd).map(|a| i128::from(a.pico));
    let list = lines.map(usd).reduce(|a, b| Some(a? + b?)).flatten();
    let mut text = format!("Codex reported {} USD", amount(said.pico_usd.into()));
    if let Some(list) = list {
        let more = i128::from(said.pico_usd) - list;
        let (sign, much) = if more < 0 { ("-", -more) } else { ("+", more) };
        let _ = write!(text, ", list {sign}{}", amount(much));
    }
    for (name, value) in [("model", &said.model), ("speed", &said.speed)] {
        if let Some(value) = value {
            let _ = write!(text, ", {name} {}", terminal_text(value));
        }
    }
    text
}

fn response(out: &mut String, s: &SessionFact, line: &Line) -> std::fmt::Result {
    let r = &line.response;
    let u = &r.usage;
    let agent = s.threads.iter().find(|t| t.thread == r.thread && t.kind != "root").map(|t| format!(" {}", t.agent));
    let price = match &line.priced.unpriced {
        Some(why) => format!("unpriced: {why}"),
        None => cost(std::iter::once(line)),
    };
    let share = line.share.map(|(weight, all)| format!("  {weight} of {all} for team {}", r.owner.team.value));
    writeln!(
        out,
        "  {}{} {} {}  in {} (cached {}, written {})  out {} (reasoning {})  {}{}  [{}]{}  {}",
        r.time.to_rfc3339(),
        terminal_text(agent.as_deref().unwrap_or("")),
        terminal_text(r.model.as_deref().unwrap_or("unknown model")),
        terminal_text(r.tier.name()),
        thousands(u.input),
        thousands(u.cached_input),
        thousands(u.cache_write),
        thousands(u.output),
        thousands(u.reasoning),
        terminal_text(&price),
        terminal_text(share.as_deref().unwrap_or("")),
        r.evidence.name(),
        if r.conflict {
            " conflict"
        } else if r.ambiguous {
            " ambiguous"
        } else {
            ""
        },
        r.line_id(),
    )
}

fn tools(out: &mut String, s: &SessionFact, shares: &BTreeMap<usize, Sums>) -> std::fmt::Result {
    if !s.tool_calls.is_empty() {
        writeln!(out, "\ntool calls")?;
    }
    for (i, c) in s.tool_calls.iter().enumerate() {
        let took = c.duration_ms.map(|ms| format!(" {} ms", thousands(ms))).unwrap_or_default();
        let exit = c.exit_code.map(|code| format!(" (exit {code})")).unwrap_or_default();
        let share = shares.get(&i).map(share).unwrap_or_default();
        writeln!(
            out,
            "  {} {} {}{took} {}{exit}  [{}]{share}",
            c.time.to_rfc3339(),
            terminal_text(&c.agent),
            terminal_text(&c.name),
            c.outcome.name(),
            c.evidence.name(),
        )?;
    }
    Ok(())
}

/// A call's part of the list cost of the response that asked for it.
fn share(sums: &Sums) -> String {
    let usd = sums.list_usd.map(|pico| format!("  {} USD", amount(pico)));
    usd.or_else(|| sums.credits.map(|pico| format!("  {} credits", amount(pico)))).unwrap_or_default()
}
