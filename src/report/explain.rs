//! One line as text: the sources that saw its response, the raw identifiers, the price, the formula with its numbers, the owner.

use super::format::{terminal_text, thousands};
use crate::model::{
    Body, Evidence, Key, Line, Observation, Owner, OwnerField, Priced, RateUsed, Response, SessionFact, TokenUsage,
    UNATTRIBUTED, format_pico, per_million,
};
use std::fmt::Write;

/// Explains a line of a session from the session's observations. `whole` is what the response used, of which the line can be a share.
pub fn explain(session: &SessionFact, line: &Line, whole: &TokenUsage, observations: &[Observation]) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = response(&mut out, session, line);
    let _ = evidence(&mut out, line, observations);
    let _ = money(&mut out, line, whole);
    let _ = owner(&mut out, line);
    out
}

fn response(out: &mut String, session: &SessionFact, line: &Line) -> std::fmt::Result {
    let r = &line.response;
    let text = |value: Option<&str>| terminal_text(value.unwrap_or("unknown"));
    writeln!(out, "line {}/{}", session.session, r.line_id())?;
    let corrects = line.corrects_period.map(|period| format!(", corrects {period}")).unwrap_or_default();
    writeln!(out, "  class     {} of {}, {}{corrects}", line.class.name(), line.period, line.status.name())?;
    writeln!(out, "  thread    {} ({})", r.thread, r.kind)?;
    writeln!(out, "  turn      {}", text(r.turn.as_deref()))?;
    writeln!(out, "  response  {}", text(r.response_id.as_deref()))?;
    writeln!(out, "  time      {} (as {} tells)", r.time.to_rfc3339(), best(r.evidence))?;
    writeln!(
        out,
        "  model     {}, tier {}, effort {}",
        text(r.model.as_deref()),
        terminal_text(r.tier.name()),
        text(r.effort.as_deref())
    )?;
    writeln!(out, "  channel   {} ({})", r.channel, terminal_text(&r.channel_why))?;
    writeln!(out, "  client    {}", terminal_text(&r.client))
}

fn best(evidence: Evidence) -> &'static str {
    match evidence {
        Evidence { transcript: true, .. } => "the transcript",
        Evidence { otlp: true, .. } => "OTLP",
        _ => "the id of the turn, or the hook's clock,",
    }
}

fn evidence(out: &mut String, line: &Line, observations: &[Observation]) -> std::fmt::Result {
    let r = &line.response;
    writeln!(out, "  seen by   {}", r.evidence.name())?;
    for key in &r.keys {
        for o in observations.iter().filter(|o| o.key == *key) {
            if let Body::Response(said) = &o.body {
                writeln!(out, "    {}", observation(o, key, said))?;
            }
        }
    }
    if r.conflict {
        writeln!(out, "  conflict  records under one key differ; the first possible one stands")?;
    }
    if r.ambiguous {
        writeln!(out, "  ambiguous these records can also be of more or fewer responses")?;
    }
    Ok(())
}

fn observation(o: &Observation, key: &Key, said: &Response) -> String {
    let mut text = format!("{:<10} {} key {}", o.source.name(), o.time.to_rfc3339(), key.hex());
    let mut add = |name: &str, value: Option<&String>| {
        if let Some(value) = value {
            let _ = write!(text, " {name} {}", terminal_text(value));
        }
    };
    add("turn", said.turn.as_ref());
    add("response", said.response_id.as_ref());
    add("model", said.model.as_ref());
    add("tier", said.tier.as_ref());
    let u = &said.usage;
    let _ = write!(
        text,
        " input {} cached {} written {} output {} reasoning {}",
        u.input, u.cached_input, u.cache_write, u.output, u.reasoning
    );
    for (is, note) in [(said.replayed, " (a copy in a fork)"), (said.from_token_count, " (from token_count)")] {
        text.push_str(if is { note } else { "" });
    }
    text
}

fn money(out: &mut String, line: &Line, whole: &TokenUsage) -> std::fmt::Result {
    let (u, p) = (&line.response.usage, &line.priced);
    writeln!(
        out,
        "  tokens    input {} = uncached {} + cached {} + cache write {}; output {} (reasoning {})",
        thousands(u.input),
        thousands(u.uncached_input()),
        thousands(u.cached_input),
        thousands(u.cache_write),
        thousands(u.output),
        thousands(u.reasoning)
    )?;
    if let Some(rate) = &p.rate {
        price(out, rate, p)?;
        formula(out, whole, rate, line.share)?;
    }
    let amount = |pico: i64| format_pico(pico.into());
    if let Some(list) = p.list {
        writeln!(out, "  list      {} {}", amount(list.pico), list.unit)?;
    }
    if let Some(why) = &p.unpriced {
        writeln!(out, "  unpriced  {}", terminal_text(&why.to_string()))?;
    }
    if let Some(api) = p.api_equivalent {
        writeln!(out, "  API list  {} {} (a comparison, in no total)", amount(api.pico), api.unit)?;
    }
    match p.contract {
        Some(contract) => writeln!(out, "  contract  {} {}", amount(contract.pico), contract.unit)?,
        None if p.uncontracted => writeln!(out, "  contract  the contract list has no price of it")?,
        None => {}
    }
    Ok(())
}

fn price(out: &mut String, rate: &RateUsed, p: &Priced) -> std::fmt::Result {
    write!(out, "  price     {}", terminal_text(&rate.model))?;
    if let Some(by) = &rate.resolved_by {
        write!(out, " ({})", terminal_text(by))?;
    }
    let size = if rate.long_context { ", long input" } else { "" };
    write!(out, " from {}, tier {}{size}", rate.effective_from, terminal_text(rate.tier.name()))?;
    if p.list.is_none() {
        write!(out, ", on the API list")?;
    }
    writeln!(out, "{}", if p.stale { "; its guarantee had ended" } else { "" })
}

/// Rates are pico-units per token, shown as units per million tokens. A share is one of the whole amount: its tokens are whole ones.
fn formula(out: &mut String, u: &TokenUsage, rate: &RateUsed, share: Option<(u64, u64)>) -> std::fmt::Result {
    let tokens = [u.uncached_input(), u.cached_input, u.cache_write, u.output];
    let parts = tokens.into_iter().zip(rate.pico_per_token);
    let terms: Vec<String> = parts.clone().map(|(n, pico)| format!("{n} x {}", per_million(pico))).collect();
    let sum: i128 = parts.map(|(n, pico)| i128::from(n) * i128::from(pico)).sum();
    write!(out, "  formula   ({}) / 1,000,000 = {}", terms.join(" + "), format_pico(sum))?;
    if let Some((weight, all)) = share {
        write!(out, ", of which {weight} of {all}")?;
    }
    writeln!(out)
}

fn owner(out: &mut String, line: &Line) -> std::fmt::Result {
    if let Some((weight, all)) = line.share {
        writeln!(out, "  share     {weight} of {all}: tokens and amounts are its part, to the last unit")?;
    }
    let o = &line.response.owner;
    let fields = [("team", &o.team), ("cost c.", &o.cost_centre), ("project", &o.project), ("user", &o.user)];
    fields.into_iter().try_for_each(|(name, field)| writeln!(out, "  {name:<9} {}", owner_field(field)))?;
    labels(out, o)?;
    if !line.response.shares.is_empty() {
        let share = |(team, weight): &(String, u64)| format!("{} {weight}", terminal_text(team));
        let shares: Vec<_> = line.response.shares.iter().map(share).collect();
        writeln!(out, "  shared    by weight: {}", shares.join(", "))?;
    }
    Ok(())
}

/// The labels, and whether a claim was not believed.
pub(super) fn labels(out: &mut String, o: &Owner) -> std::fmt::Result {
    for (name, field) in &o.labels {
        writeln!(out, "  label     {} = {}", terminal_text(name), owner_field(field))?;
    }
    if o.contradicted {
        writeln!(out, "  claims    contradict what is known: not believed")?;
    }
    Ok(())
}

/// An owner field with its reason.
pub(super) fn owner_field(f: &OwnerField) -> String {
    let value = if f.value == UNATTRIBUTED { UNATTRIBUTED.to_string() } else { terminal_text(&f.value) };
    format!("{value} ({})", terminal_text(&f.why))
}
