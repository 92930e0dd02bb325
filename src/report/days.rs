//! The days of slots, each found once.

use super::Range;
use crate::model::{Day, Slot};
use std::collections::HashMap;

/// The days that slots fall on in a report's zone, and whether they are in its range.
#[derive(Debug)]
pub(super) struct Days {
    range: Range,
    known: HashMap<Slot, (Day, bool)>,
    /// Neighbours are mostly of the same slot.
    last: Option<(Slot, (Day, bool))>,
}

impl Days {
    pub fn new(range: Range) -> Self {
        Days { range, known: HashMap::new(), last: None }
    }

    fn look(&mut self, slot: Slot) -> (Day, bool) {
        if let Some((_, found)) = self.last.filter(|(last, _)| *last == slot) {
            return found;
        }
        let found = *self.known.entry(slot).or_insert_with(|| {
            let day = self.range.day(slot.start());
            (day, self.range.contains(day))
        });
        self.last = Some((slot, found));
        found
    }

    /// The day, if it is one of the report's.
    pub fn day(&mut self, slot: Slot) -> Option<Day> {
        let (day, is_in) = self.look(slot);
        is_in.then_some(day)
    }

    /// Whether the day is one of the report's.
    pub fn has(&mut self, slot: Slot) -> bool {
        self.look(slot).1
    }
}
