//! Turns over months of which some are sealed: a turn of which a closed month knew nothing is in its correction, and one that has
//! responses in several months is one turn.

use super::book::{Bookable, book};
use super::close::{correction, keys_of, opens};
use super::sealed::Share;
use crate::model::{BillingPeriod, Booked, Keys, Line, LineClass, SessionRollup, Slot, Status, TurnRow};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The usage rows of a turn: those that were sealed, by month and the id that it had, with the corrections apart, those of open months, and those of late
/// responses.
#[derive(Default)]
struct Places<'t> {
    sealed: BTreeMap<(BillingPeriod, &'t str), [BTreeSet<u32>; 2]>,
    open: BTreeSet<u32>,
    late: BTreeSet<u32>,
}

/// Turns that are alike.
struct Alike {
    started: Option<Slot>,
    places: BTreeSet<u32>,
    turns: i64,
}

/// Counts the turns of corrections, and those that are in several parts once. `lines` are what the session's are today,
/// `now` those of closed months, and `corrections` what must be added to what was booked of these.
pub(super) fn join(
    made: &mut SessionRollup<'_>,
    through: BillingPeriod,
    lines: &[Line],
    (now, corrections, sealed): (&[Bookable], &[Booked], &Share<'_>),
) {
    if made.auxiliary || (corrections.is_empty() && sealed.own.is_empty()) {
        return;
    }
    let open: Vec<Booked> = lines.iter().filter(|line| line.period > through).map(book).collect();
    let turns = places(made, opens(through), &open, (now, corrections, sealed));
    let mut all = alike(made);
    for of_turn in turns.into_values() {
        let mut whole = Alike { started: None, places: of_turn.late, turns: 1 };
        let mut parts = usize::from(!whole.places.is_empty());
        // A turn of one part stays where it is.
        let is_joined = parts + of_turn.sealed.len() + usize::from(!of_turn.open.is_empty()) > 1;
        for [usage, corrected] in of_turn.sealed.into_values().filter(|_| is_joined) {
            let both: BTreeSet<u32> = usage.union(&corrected).copied().collect();
            parts += usize::from(whole.takes_in(&mut all, both) || whole.takes_in(&mut all, usage));
        }
        parts += usize::from(is_joined && whole.takes_in(&mut all, of_turn.open));
        if parts > 0 {
            all.push(whole);
        }
    }
    (made.turns, made.turn_places) = (Vec::new(), Vec::new());
    for Alike { started, places, turns } in all.into_iter().filter(|alike| alike.turns > 0) {
        made.turns.push(TurnRow { started, places: u32::try_from(places.len()).unwrap_or(u32::MAX), turns });
        made.turn_places.extend(places);
    }
}

impl Alike {
    /// Takes one of the turns with just these places in. Whether there is one.
    fn takes_in(&mut self, all: &mut [Alike], places: BTreeSet<u32>) -> bool {
        let one = all.iter_mut().find(|alike| alike.turns > 0 && !places.is_empty() && alike.places == places);
        let is_one = one.is_some();
        if let Some(one) = one {
            one.turns -= 1;
            self.started = self.started.or(one.started);
            self.places.extend(places);
        }
        is_one
    }
}

fn alike(made: &SessionRollup<'_>) -> Vec<Alike> {
    let one = |(turn, places): (&TurnRow, &[u32])| Alike {
        started: turn.started,
        places: places.iter().copied().collect(),
        turns: turn.turns,
    };
    made.turns().map(one).collect()
}

/// Where the responses of each turn are.
fn places<'t>(
    made: &SessionRollup<'_>,
    first: Slot,
    open: &'t [Booked],
    (now, corrections, sealed): (&'t [Bookable], &'t [Booked], &'t Share<'_>),
) -> BTreeMap<&'t str, Places<'t>> {
    let mut rows: HashMap<(Slot, Keys<'_>), u32> = HashMap::new();
    for (at, row) in (0..).zip(&made.usage) {
        rows.entry((row.slot, made.keys[row.keys as usize])).or_insert(at);
    }
    let usage = |line: &Booked, status: Status| {
        let keys = Keys { status: status.name(), class: LineClass::Usage.name(), ..keys_of(line) };
        rows.get(&(Slot::of(line.time), keys)).copied()
    };
    let Known { now: ids, months } = Known::of(now, &sealed.lines);
    let of_turn = |turn: &'t str| ids.get(turn).copied().unwrap_or(turn);
    let has_turn = |line: &&'t Booked| !line.turn.is_empty();
    let mut turns: BTreeMap<&str, Places<'t>> = BTreeMap::new();
    for line in open.iter().filter(has_turn) {
        turns.entry(&line.turn).or_default().open.extend(usage(line, Status::Estimated));
    }
    for line in sealed.lines.iter().filter(has_turn) {
        let places = &mut turns.entry(of_turn(&line.turn)).or_default().sealed;
        let is_usage = line.class == LineClass::Usage.name();
        if let Some(at) = usage(line, Status::Sealed).filter(|_| is_usage) {
            places.entry((line.of, &line.turn)).or_default()[0].insert(at);
        }
        let of = line.of.to_string();
        let keys = Keys { status: Status::Sealed.name(), ..correction(keys_of(line), &of) };
        for (period, _) in sealed.own.iter().filter(|_| !is_usage) {
            if let Some(at) = rows.get(&(Slot::of(period.first_day().start()), keys)) {
                places.entry((*period, &line.turn)).or_default()[1].insert(*at);
            }
        }
    }
    for line in corrections.iter().filter(has_turn) {
        let (turn, of) = (of_turn(&line.turn), line.of.to_string());
        if !months.contains(&(turn, line.of)) {
            let at = rows.get(&(first, correction(keys_of(line), &of)));
            turns.entry(turn).or_default().late.extend(at);
        }
    }
    turns
}

/// What of today's turns was booked.
#[derive(Default)]
struct Known<'t> {
    /// Today's id of each turn that was booked: a prompt's was made up if only telemetry told of it.
    now: BTreeMap<&'t str, &'t str>,
    /// The months in which something of it is booked.
    months: BTreeSet<(&'t str, BillingPeriod)>,
}

impl<'t> Known<'t> {
    fn of(now: &'t [Bookable], sealed: &'t [Booked]) -> Self {
        let mut lines: HashMap<(&str, &str), Vec<&'t Booked>> = HashMap::new();
        for line in sealed.iter().filter(|line| !line.turn.is_empty()) {
            lines.entry((&line.thread, &line.line)).or_default().push(line);
        }
        let mut known = Known::default();
        for line in now.iter().filter(|line| !line.booked.turn.is_empty()) {
            let names = line.names.iter().map(|name| (line.booked.thread.as_str(), name.as_str()));
            for was in names.filter_map(|name| lines.get(&name)).flatten() {
                known.now.entry(&was.turn).or_insert(&line.booked.turn);
                known.months.insert((&line.booked.turn, was.of));
            }
        }
        for was in lines.into_values().flatten() {
            let turn = known.now.get(was.turn.as_str()).copied().unwrap_or(&was.turn);
            known.months.insert((turn, was.of));
        }
        known
    }
}
