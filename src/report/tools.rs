//! What reports by tool tell of its calls.

use super::table::Cell;
use crate::model::ToolRow;

/// What reports by tool add.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tools {
    failures: i64,
    unknown: i64,
    duration_ms: i64,
}

impl Tools {
    pub fn add(&mut self, row: &ToolRow<'_>) {
        *self = self.plus(Tools { failures: row.failures, unknown: row.unknown, duration_ms: row.duration_ms });
    }

    pub fn plus(self, other: Self) -> Self {
        Tools {
            failures: self.failures + other.failures,
            unknown: self.unknown + other.unknown,
            duration_ms: self.duration_ms + other.duration_ms,
        }
    }

    pub fn cells(self) -> [Cell; 3] {
        [self.failures, self.unknown, self.duration_ms].map(Cell::Count)
    }
}
