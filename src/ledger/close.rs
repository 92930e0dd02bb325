//! Rollups over months of which some are sealed: what was sealed stands, and the first open month has the corrections.

use super::book::Bookable;
use super::rollup::index_of;
use super::sealed::Share;
use crate::model::{
    BillingPeriod, Booked, CoverageRow, Keys, LineClass, ReportedRow, SessionRollup, Slot, Status, Sums, ToolCostRow,
    ToolRow, Traits, TurnRow, UsageRow,
};
use std::collections::{BTreeMap, HashMap, HashSet};

/// The first slot of the first month that is not sealed.
pub(super) fn opens(through: BillingPeriod) -> Slot {
    Slot::of(through.next().first_day().start())
}

fn month(slot: Slot) -> BillingPeriod {
    slot.start().day().period()
}

/// The part of a rollup that is of one month, as it is sealed.
pub fn part<'a>(rollup: &SessionRollup<'a>, period: BillingPeriod) -> SessionRollup<'a> {
    let mut part = retain(rollup, |slot| month(slot) == period);
    for keys in &mut part.keys {
        keys.status = Status::Sealed.name();
    }
    if month(rollup.counted) != period {
        (part.prompts, part.api_errors, part.unmetered_attempts, part.quarantined) = (0, 0, 0, 0);
        part.unmetered.clear();
    }
    part
}

/// Only what is of these slots.
fn retain<'a>(rollup: &SessionRollup<'a>, keep: impl Fn(Slot) -> bool) -> SessionRollup<'a> {
    let mut kept = rollup.clone();
    let mut place = 0;
    let places: Vec<Option<u32>> = rollup
        .usage
        .iter()
        .map(|row| {
            let here = place;
            place += u32::from(keep(row.slot));
            keep(row.slot).then_some(here)
        })
        .collect();
    (kept.turns, kept.turn_places) = (Vec::new(), Vec::new());
    for (turn, of_turn) in rollup.turns() {
        let before = kept.turn_places.len();
        kept.turn_places.extend(of_turn.iter().filter_map(|row| places[*row as usize]));
        let started = turn.started.filter(|slot| keep(*slot));
        let of_turn = kept.turn_places.len() - before;
        if of_turn > 0 || started.is_some() {
            let places = u32::try_from(of_turn).unwrap_or(u32::MAX);
            kept.turns.push(TurnRow { started, places, turns: turn.turns });
        }
    }
    kept.usage.retain(|row| keep(row.slot));
    kept.coverage.retain(|row| keep(row.slot));
    kept.tools.retain(|row| keep(row.slot));
    kept.reported.retain(|row| keep(row.slot));
    kept.tool_costs.retain(|row| keep(row.slot));
    kept
}

/// Adds the rows of another rollup of the session.
fn absorb<'a>(into: &mut SessionRollup<'a>, part: SessionRollup<'a>) {
    let offset = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let (keys, traits, usage) = (offset(into.keys.len()), offset(into.traits.len()), offset(into.usage.len()));
    into.keys.extend(part.keys);
    into.traits.extend(part.traits);
    into.usage.extend(part.usage.into_iter().map(|row| UsageRow { keys: row.keys + keys, ..row }));
    into.coverage.extend(part.coverage.into_iter().map(|mut row| {
        row.traits += traits;
        row.keys += keys;
        row
    }));
    into.turns.extend(part.turns);
    into.turn_places.extend(part.turn_places.into_iter().map(|place| place + usage));
    into.tools.extend(part.tools.into_iter().map(|row| ToolRow { keys: row.keys + keys, ..row }));
    into.tool_costs.extend(part.tool_costs.into_iter().map(|row| ToolCostRow { keys: row.keys + keys, ..row }));
    into.reported.extend(part.reported.into_iter().map(|row| ReportedRow { keys: row.keys + keys, ..row }));
}

/// A session's rollup with its closed months as they were sealed, and their corrections in the first open month. `lines` are the
/// corrections.
pub(super) fn close<'a>(
    live: &SessionRollup<'a>,
    through: BillingPeriod,
    sealed: &Share<'a>,
    lines: &'a [Booked],
    months: &'a BTreeMap<BillingPeriod, String>,
) -> SessionRollup<'a> {
    let open = opens(through);
    let mut made = retain(live, |slot| slot >= open);
    match sealed.own.iter().find(|(period, part)| month(part.counted) == *period) {
        Some((_, part)) if live.counted < open => {
            made.counted = part.counted;
            made.prompts = part.prompts;
            made.api_errors = part.api_errors;
            made.unmetered_attempts = part.unmetered_attempts;
            made.unmetered = part.unmetered.clone();
            made.quarantined = part.quarantined;
        }
        _ => {
            made.counted = live.counted.max(open);
            // Threads that were sealed as sessions of their own have been counted there.
            sealed.booked.iter().for_each(|part| take_off(&mut made, part));
        }
    }
    for (_, part) in &sealed.own {
        absorb(&mut made, part.clone());
    }
    let name = |period: BillingPeriod| months.get(&period).map_or("", String::as_str);
    add_lines(&mut made, open, lines, &name);
    let closed = retain(live, |slot| slot < open);
    add_tools(&mut made, open, &closed, &sealed.booked, &name);
    add_reported(&mut made, open, &closed, &sealed.booked, &name);
    made
}

/// Takes off what was counted of threads that were another session.
fn take_off(made: &mut SessionRollup<'_>, part: &SessionRollup<'_>) {
    let less = |count: &mut i64, by: i64| *count = (*count - by).max(0);
    less(&mut made.prompts, part.prompts);
    less(&mut made.api_errors, part.api_errors);
    less(&mut made.unmetered_attempts, part.unmetered_attempts);
    less(&mut made.quarantined, part.quarantined);
    for row in &part.unmetered {
        for now in made.unmetered.iter_mut().filter(|now| now.model == row.model) {
            less(&mut now.attempts, row.attempts);
            less(&mut now.named, row.named);
        }
    }
    made.unmetered.retain(|row| row.attempts > 0);
}

/// Keys of a correction of what has these.
pub(super) fn correction<'a>(of: Keys<'a>, corrects: &'a str) -> Keys<'a> {
    Keys { status: Status::Estimated.name(), class: LineClass::Correction.name(), corrects, ..of }
}

pub(super) fn keys_of(line: &Booked) -> Keys<'_> {
    Keys {
        values: line.values.each_ref().map(String::as_str),
        status: "",
        class: "",
        corrects: "",
        strength: &line.team_strength,
        thread: &line.thread,
        kind: &line.thread_kind,
        labels: &line.labels,
    }
}

/// What a difference is looked for by: that the reason is another, or what the labels say, is none.
fn compared<'a>(keys: &Keys<'a>, slot: Slot) -> (BillingPeriod, [&'a str; 8], &'a str) {
    (of(keys, slot), keys.values, keys.thread)
}

fn add_lines<'a>(
    made: &mut SessionRollup<'a>,
    slot: Slot,
    lines: &'a [Booked],
    name: &impl Fn(BillingPeriod) -> &'a str,
) {
    for line in lines {
        let keys = index_of(&mut made.keys, correction(keys_of(line), name(line.of)));
        let known = made.usage.iter().rposition(|row| row.slot == slot && row.keys == keys);
        let at = known.unwrap_or_else(|| {
            made.usage.push(UsageRow { slot, keys, ..UsageRow::default() });
            made.usage.len() - 1
        });
        let row = &mut made.usage[at];
        row.responses += line.responses;
        row.tokens += line.tokens;
        row.sums += line.sums;
        row.unpriced_tokens += line.unpriced_tokens;
    }
}

/// The month that a row's figures are of.
fn of(keys: &Keys<'_>, slot: Slot) -> BillingPeriod {
    keys.corrects.parse().unwrap_or_else(|_| month(slot))
}

fn add_tools<'a>(
    made: &mut SessionRollup<'a>,
    slot: Slot,
    closed: &SessionRollup<'a>,
    parts: &[SessionRollup<'a>],
    name: &impl Fn(BillingPeriod) -> &'a str,
) {
    let mut sums: BTreeMap<_, (Keys<'a>, ToolRow<'a>)> = BTreeMap::new();
    for (rollup, sign) in std::iter::once((closed, 1)).chain(parts.iter().map(|part| (part, -1))) {
        for row in &rollup.tools {
            let keys = &rollup.keys[row.keys as usize];
            let (_, sum) =
                sums.entry((compared(keys, row.slot), row.name)).or_insert_with(|| (*keys, ToolRow::default()));
            sum.calls += sign * row.calls;
            sum.failures += sign * row.failures;
            sum.unknown += sign * row.unknown;
            sum.duration_ms += sign * row.duration_ms;
            sum.unpriced += sign * row.unpriced;
            if let Some(fees) = row.fees_usd {
                sum.fees_usd = Some(sum.fees_usd.unwrap_or(0) + i128::from(sign) * fees);
            }
        }
    }
    for (((period, ..), tool), (keys, mut row)) in sums {
        row.fees_usd = row.fees_usd.filter(|fees| *fees != 0);
        // How a call ended, and how long it took, is nothing that is booked.
        if row.calls != 0 || row.unpriced != 0 || row.fees_usd.is_some() {
            let keys = index_of(&mut made.keys, correction(keys, name(period)));
            made.tools.push(ToolRow { slot, keys, name: tool, ..row });
        }
    }
}

fn add_reported<'a>(
    made: &mut SessionRollup<'a>,
    slot: Slot,
    closed: &SessionRollup<'a>,
    parts: &[SessionRollup<'a>],
    name: &impl Fn(BillingPeriod) -> &'a str,
) {
    let mut sums: BTreeMap<_, (Keys<'a>, Sums)> = BTreeMap::new();
    for (rollup, is_now) in std::iter::once((closed, true)).chain(parts.iter().map(|part| (part, false))) {
        for row in &rollup.reported {
            let keys = &rollup.keys[row.keys as usize];
            let sum = Sums { reported_usd: Some(row.reported_usd), reported_list_usd: row.list_usd, ..Sums::default() };
            let (_, sums) = sums.entry(compared(keys, row.slot)).or_insert_with(|| (*keys, Sums::default()));
            *sums += if is_now { sum } else { -sum };
        }
    }
    for ((period, ..), (keys, sum)) in sums {
        let sum = sum.without_zeros();
        if sum != Sums::default() {
            let keys = index_of(&mut made.keys, correction(keys, name(period)));
            let reported_usd = sum.reported_usd.unwrap_or(0);
            made.reported.push(ReportedRow { slot, keys, reported_usd, list_usd: sum.reported_list_usd });
        }
    }
}

/// How certain the responses of corrected lines are now, less how certain they were booked to be; `booked` are all that was booked of
/// the session's threads, in the order of months. Of a response that was sealed no more is known than its sources and why it has
/// no price: for the rest it was what it is now.
pub(super) fn add_coverage<'a>(
    made: &mut SessionRollup<'a>,
    through: BillingPeriod,
    corrections: &'a [Booked],
    (now, booked): (&'a [Bookable], &'a [Booked]),
    months: &'a BTreeMap<BillingPeriod, String>,
) {
    let slot = opens(through);
    let corrected: HashSet<(&str, &str)> = corrections.iter().map(name_of).collect();
    let mut lines: HashMap<(&str, &str), Certainty<'a>> = HashMap::new();
    for line in now.iter().filter(|_| !corrected.is_empty()) {
        let thread = line.booked.thread.as_str();
        let name = line.names.iter().map(|name| (thread, name.as_str())).find(|name| corrected.contains(name));
        name.into_iter().for_each(|name| lines.entry(name).or_default().now.push(line));
    }
    for b in booked.iter().filter(|b| corrected.contains(&name_of(b))) {
        let (responses, last) = lines.entry(name_of(b)).or_default().booked.entry((b.of, &b.values)).or_insert((0, b));
        *responses += b.responses;
        *last = b;
    }
    let mut rows: BTreeMap<(Keys<'a>, Traits<'a>), i64> = BTreeMap::new();
    for line in lines.into_values() {
        let flags = line.now.first().map_or_else(Traits::default, |line| line.flags);
        let now = line.now.iter().map(|line| (line.booked.responses, &line.booked, line.flags));
        let booked = line.booked.into_values().map(|(responses, b)| (-responses, b, flags));
        for (responses, b, flags) in now.chain(booked) {
            let keys = correction(keys_of(b), months.get(&b.of).map_or("", String::as_str));
            let traits = Traits { evidence: &b.evidence, unpriced: &b.unpriced, ..flags };
            *rows.entry((keys, traits)).or_default() += responses;
        }
    }
    for ((keys, traits), responses) in rows.into_iter().filter(|(_, responses)| *responses != 0) {
        let (keys, traits) = (index_of(&mut made.keys, keys), index_of(&mut made.traits, traits));
        made.coverage.push(CoverageRow { slot, keys, traits, responses });
    }
}

/// What a line is, and what was booked of it by month and keys: how many responses, and the last that was booked.
#[derive(Default)]
struct Certainty<'a> {
    now: Vec<&'a Bookable>,
    booked: BTreeMap<(BillingPeriod, &'a [String; 8]), (i64, &'a Booked)>,
}

fn name_of(line: &Booked) -> (&str, &str) {
    (&line.thread, &line.line)
}
