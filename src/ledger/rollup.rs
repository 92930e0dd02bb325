//! A session's facts and lines added up for reports.

use super::tool_cost::{Callers, tool_shares};
use crate::model::{
    Amount, Channel, CoverageRow, Keys, Labels, Line, LineClass, Outcome, Owner, ReportedRow, Rollup, SessionFact,
    SessionRollup, Slot, Status, Sums, ThreadId, TokenSums, ToolCostRow, ToolRow, Traits, TurnCostFact, TurnRow, Unit,
    UnmeteredRow, UsageRow,
};
use crate::pricing::{CallFee, PriceBook};
use std::collections::{BTreeMap, BTreeSet};

/// Adds up a session. The lines are those of its responses.
///
/// # Errors
/// The rollup cannot be encoded, which would be a fault of this program.
pub(super) fn rollup(session: &SessionFact, lines: &[Line], book: &PriceBook) -> anyhow::Result<Rollup> {
    let names: Vec<Names> = lines.iter().map(Names::of).collect();
    let of_session = labels(&session.owner);
    let mut keys = Table::default();
    let line_keys: Vec<u32> = lines.iter().zip(&names).map(|(l, n)| keys.index(line_keys(l, n))).collect();
    let (usage, rows) = usage(lines, &line_keys);
    let tools = tools(session, lines, (&line_keys, &of_session), &mut keys, book);
    let reported = reported(session, lines, (&line_keys, &of_session), &mut keys);
    let tool_costs = tool_costs(session, lines, &line_keys);
    let (turns, turn_places) = if session.auxiliary { Default::default() } else { turns(session, lines, &rows) };
    let (traits, coverage) = coverage(lines, &line_keys, &names);
    let o = &session.owner;
    let made = SessionRollup {
        session: session.session.as_str(),
        auxiliary: session.auxiliary,
        started: session.started,
        ended: session.ended,
        owner: [&o.team, &o.cost_centre, &o.project, &o.user].map(|field| field.value.as_str()),
        client: &session.client,
        forked_from: session.forked_from.as_ref().map_or("", ThreadId::as_str),
        counted: Slot::of(session.started),
        prompts: signed(session.prompts),
        api_errors: signed(session.api_errors),
        unmetered_attempts: signed(session.unmetered_attempts),
        unmetered: unmetered(session),
        quarantined: session.quarantined.len() as i64,
        turns,
        turn_places,
        keys: keys.all,
        usage,
        traits,
        coverage,
        tools,
        reported,
        tool_costs,
    };
    Ok(Rollup {
        session: session.session.clone(),
        threads: session.threads.iter().map(|t| t.thread.clone()).collect(),
        auxiliary: session.auxiliary,
        started: session.started,
        span: made.span(),
        bytes: made.encode()?,
    })
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn unmetered(session: &SessionFact) -> Vec<UnmeteredRow<'_>> {
    let rows = session.unmetered.iter().map(|(model, of_model)| UnmeteredRow {
        model: model.as_deref().unwrap_or("unknown"),
        attempts: signed(of_model.attempts),
        named: signed(of_model.named.total()),
    });
    rows.collect()
}

/// Texts of a line that are made for it.
struct Names {
    evidence: String,
    unpriced: String,
    corrects: String,
    labels: String,
}

impl Names {
    fn of(line: &Line) -> Self {
        Names {
            evidence: line.response.evidence.name(),
            unpriced: line.priced.unpriced.as_ref().map(ToString::to_string).unwrap_or_default(),
            corrects: line.corrects_period.map(|p| p.to_string()).unwrap_or_default(),
            labels: labels(&line.response.owner),
        }
    }
}

/// The labels of an owner as one text.
pub(super) fn labels(owner: &Owner) -> String {
    Labels::write(owner.labels.iter().map(|(name, field)| (name, field.value.as_str())))
}

/// Each of some things once. A session has few: mostly it is the last one again.
struct Table<T> {
    all: Vec<T>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Table { all: Vec::new() }
    }
}

impl<T: PartialEq> Table<T> {
    fn index(&mut self, thing: T) -> u32 {
        index_of(&mut self.all, thing)
    }
}

/// Where a thing is in a list; it is put there if it was not.
pub(super) fn index_of<T: PartialEq>(all: &mut Vec<T>, thing: T) -> u32 {
    let known = all.iter().rposition(|k| *k == thing);
    let index = known.unwrap_or_else(|| {
        all.push(thing);
        all.len() - 1
    });
    u32::try_from(index).unwrap_or(u32::MAX)
}

fn line_keys<'a>(line: &'a Line, names: &'a Names) -> Keys<'a> {
    let r = &line.response;
    Keys {
        values: [
            &r.owner.team.value,
            &r.owner.cost_centre.value,
            &r.owner.project.value,
            &r.owner.user.value,
            &r.client,
            r.channel.name(),
            r.model.as_deref().unwrap_or("unknown"),
            r.tier.name(),
        ],
        status: line.status.name(),
        class: line.class.name(),
        corrects: &names.corrects,
        strength: r.owner.team.strength.name(),
        thread: r.thread.as_str(),
        kind: r.kind,
        labels: &names.labels,
    }
}

/// Those of what no response of its thread can be found for: what its session says.
fn session_keys<'a>(session: &'a SessionFact, thread: &'a ThreadId, labels: &'a str) -> Keys<'a> {
    let o = &session.owner;
    let unknown = Channel::Unknown.name();
    Keys {
        values: [
            &o.team.value,
            &o.cost_centre.value,
            &o.project.value,
            &o.user.value,
            &session.client,
            unknown,
            unknown,
            unknown,
        ],
        status: Status::Estimated.name(),
        class: LineClass::Usage.name(),
        corrects: "",
        strength: o.team.strength.name(),
        thread: thread.as_str(),
        kind: session.threads.iter().find(|t| t.thread == *thread).map_or("", |t| t.kind),
        labels,
    }
}

/// The usage rows, and for each line the index of its own.
fn usage(lines: &[Line], keys: &[u32]) -> (Vec<UsageRow>, Vec<u32>) {
    let (mut rows, mut of_line): (Vec<UsageRow>, _) = (Vec::new(), Vec::with_capacity(lines.len()));
    let mut index = BTreeMap::new();
    for (line, keys) in lines.iter().zip(keys) {
        let slot = Slot::of(line.response.time);
        let at = *index.entry((slot, *keys)).or_insert_with(|| {
            rows.push(UsageRow { slot, keys: *keys, ..UsageRow::default() });
            rows.len() - 1
        });
        let row = &mut rows[at];
        row.responses += line.responses;
        let tokens = TokenSums::from(line.response.usage);
        row.tokens += tokens;
        row.sums += sums(line);
        if line.priced.unpriced.is_some() {
            row.unpriced_tokens += tokens.total();
        }
        of_line.push(u32::try_from(at).unwrap_or(u32::MAX));
    }
    (rows, of_line)
}

/// The amounts of a line.
pub(super) fn sums(line: &Line) -> Sums {
    let pico = |amount: Amount| i128::from(amount.pico);
    let list = |unit| line.priced.list.filter(|amount| amount.unit == unit).map(pico);
    Sums {
        list_usd: list(Unit::Usd),
        credits: list(Unit::Credit),
        api_equivalent: line.priced.api_equivalent.map(pico),
        contract_usd: line.priced.contract.map(pico),
        ..Sums::default()
    }
}

fn coverage<'a>(lines: &'a [Line], keys: &[u32], names: &'a [Names]) -> (Vec<Traits<'a>>, Vec<CoverageRow>) {
    let mut table: Table<Traits<'a>> = Table::default();
    let mut rows: BTreeMap<(Slot, u32, u32), i64> = BTreeMap::new();
    for ((line, keys), names) in lines.iter().zip(keys).zip(names) {
        let traits = Traits { evidence: &names.evidence, unpriced: &names.unpriced, ..flags(line) };
        *rows.entry((Slot::of(line.response.time), *keys, table.index(traits))).or_default() += line.responses;
    }
    let row = |((slot, keys, traits), responses)| CoverageRow { slot, keys, traits, responses };
    (table.all, rows.into_iter().map(row).collect())
}

/// What of a line's traits is no text.
pub(super) fn flags(line: &Line) -> Traits<'static> {
    let r = &line.response;
    Traits {
        evidence: "",
        unpriced: "",
        contradicted: r.owner.contradicted,
        assumed_provider: r.assumed_provider,
        stale: line.priced.stale,
        uncontracted: line.priced.uncontracted,
        conflict: r.conflict,
        ambiguous: r.ambiguous,
    }
}

fn turns(session: &SessionFact, lines: &[Line], rows: &[u32]) -> (Vec<TurnRow>, Vec<u32>) {
    let mut turns: BTreeMap<&str, (Option<Slot>, BTreeSet<u32>)> = BTreeMap::new();
    for turn in &session.turns {
        let started = Slot::of(turn.started);
        let known = &mut turns.entry(&turn.turn).or_default().0;
        *known = Some(known.map_or(started, |other| other.min(started)));
    }
    for (line, row) in lines.iter().zip(rows) {
        if let Some(turn) = &line.response.turn {
            turns.entry(turn).or_default().1.insert(*row);
        }
    }
    let mut alike: BTreeMap<_, i64> = BTreeMap::new();
    for shape in turns.into_values() {
        *alike.entry(shape).or_default() += 1;
    }
    let mut places = Vec::new();
    let row = |((started, rows), turns): ((_, BTreeSet<u32>), _)| {
        let before = places.len();
        places.extend(rows);
        TurnRow { started, places: u32::try_from(places.len() - before).unwrap_or(u32::MAX), turns }
    };
    (alike.into_iter().map(row).collect(), places)
}

fn tools<'a>(
    session: &'a SessionFact,
    lines: &'a [Line],
    (line_keys, labels): (&[u32], &'a str),
    keys: &mut Table<Keys<'a>>,
    book: &PriceBook,
) -> Vec<ToolRow<'a>> {
    let callers = Callers::of(lines);
    let mut rows: BTreeMap<(Slot, u32, &str), ToolRow<'a>> = BTreeMap::new();
    for call in &session.tool_calls {
        let caller = callers.near_call(call);
        let keys =
            caller.map_or_else(|| keys.index(session_keys(session, &call.thread, labels)), |line| line_keys[line]);
        let slot = Slot::of(call.time);
        let name = call.name.as_str();
        let new = ToolRow { slot, keys, name, ..ToolRow::default() };
        let row = rows.entry((slot, keys, name)).or_insert(new);
        row.calls += 1;
        row.failures += i64::from(call.outcome == Outcome::Failure);
        row.unknown += i64::from(call.outcome == Outcome::Unknown);
        row.duration_ms = row.duration_ms.saturating_add(signed(call.duration_ms.unwrap_or(0)));
        let channel = caller.map_or(Channel::Unknown, |line| lines[line].response.channel);
        match book.call_fee(channel, name) {
            CallFee::None => {}
            CallFee::Known(fee) => row.fees_usd = Some(row.fees_usd.unwrap_or(0) + i128::from(fee.pico)),
            CallFee::Unknown => row.unpriced += 1,
        }
    }
    rows.into_values().collect()
}

/// What Codex said that turns cost, each in the place of the turn's last response.
fn reported<'a>(
    session: &'a SessionFact,
    lines: &'a [Line],
    (line_keys, labels): (&[u32], &'a str),
    keys: &mut Table<Keys<'a>>,
) -> Vec<ReportedRow> {
    let row = |cost: &TurnCostFact| {
        let mut of_turn = lines.iter().enumerate().filter(|(_, l)| l.response.turn.as_deref() == Some(&cost.turn));
        let amounts = of_turn.clone().map(|(_, line)| sums(line).list_usd);
        let (slot, keys) = match of_turn.next_back() {
            Some((i, line)) => (Slot::of(line.response.time), line_keys[i]),
            None => (Slot::of(cost.time), keys.index(session_keys(session, &session.session, labels))),
        };
        let list_usd = amounts.reduce(|a, b| Some(a? + b?)).flatten();
        ReportedRow { slot, keys, reported_usd: cost.pico_usd.into(), list_usd }
    };
    session.turn_costs.iter().map(row).collect()
}

/// The shares of tools in the lines.
fn tool_costs<'a>(session: &'a SessionFact, lines: &[Line], line_keys: &[u32]) -> Vec<ToolCostRow<'a>> {
    let mut rows: BTreeMap<(Slot, u32, &str), ToolCostRow<'a>> = BTreeMap::new();
    for share in tool_shares(&session.tool_calls, lines) {
        let (slot, keys) = (Slot::of(lines[share.line].response.time), line_keys[share.line]);
        let name = session.tool_calls[share.call].name.as_str();
        let new = ToolCostRow { slot, keys, name, ..ToolCostRow::default() };
        let row = rows.entry((slot, keys, name)).or_insert(new);
        row.tokens += share.tokens;
        row.sums += share.sums;
        row.unpriced_tokens += share.unpriced_tokens;
    }
    rows.into_values().collect()
}
