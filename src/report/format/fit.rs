//! What of a table fits a terminal: numbers are never broken, so the least important columns go first.

use crate::report::{Column, Kind};

/// A longer text loses its middle: ends tell names apart.
const MAX_TEXT: usize = 48;

/// The same where there is little room.
const MAX_TEXT_NARROW: usize = 24;

/// Less room than this is little.
const NARROW: usize = 120;

/// Columns that can go, the least important first.
const EXPENDABLE: [&str; 20] = [
    "duration_s",
    "cache_write_tokens",
    "tool_duration_ms",
    "turns",
    "api_errors",
    "unmetered_attempts",
    "prompts",
    "tool_calls",
    "sessions",
    "client",
    "cached_input_tokens",
    "unpriced_tokens",
    "api_equivalent_usd",
    "cost_centre",
    "channel",
    "responses",
    "tier",
    "output_tokens",
    "input_tokens",
    "user",
];

/// Cuts the texts of a grid of cells (a heading and rows, all as long as `columns`) and gives the columns that fit.
pub(super) fn fit(columns: &[&Column], grid: &mut [Vec<String>], width: Option<u16>) -> Vec<usize> {
    let width = width.map(usize::from);
    let max = if width.is_some_and(|w| w < NARROW) { MAX_TEXT_NARROW } else { MAX_TEXT };
    for row in grid.iter_mut() {
        for (cell, column) in row.iter_mut().zip(columns) {
            if column.kind == Kind::Text {
                *cell = without_middle(cell, max);
            }
        }
    }
    let size = |i: usize| grid.iter().map(|row| row[i].chars().count()).max().unwrap_or(0) + PADDING;
    let mut kept: Vec<usize> = (0..columns.len()).collect();
    let Some(width) = width else { return kept };
    for name in EXPENDABLE {
        if kept.iter().map(|i| size(*i)).sum::<usize>() <= width {
            break;
        }
        kept.retain(|i| columns[*i].name != name);
    }
    kept
}

/// The space between two columns.
const PADDING: usize = 3;

/// A text of at most `max` characters, with `…` in place of what is left out.
fn without_middle(text: &str, max: usize) -> String {
    let length = text.chars().count();
    if length <= max {
        return text.to_string();
    }
    let (front, back) = ((max - 1) / 2, max / 2);
    text.chars().take(front).chain(['…']).chain(text.chars().skip(length - back)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_lose_their_middle() {
        assert_eq!(without_middle("abcdef", 6), "abcdef");
        assert_eq!(without_middle("abcdefg", 6), "ab…efg");
        assert_eq!(without_middle("日本語の長い名前", 4).chars().count(), 4);
    }

    #[test]
    fn the_least_important_columns_go_first() {
        let column = |name, kind| Column { name, title: Some(name), kind };
        let columns = [column("project", Kind::Text), column("turns", Kind::Count), column("list_usd", Kind::Amount)];
        let columns: Vec<&Column> = columns.iter().collect();
        let mut grid = vec![vec!["p".repeat(100), "1".repeat(20), "2".repeat(20)]];
        assert_eq!(fit(&columns, &mut grid.clone(), None), [0, 1, 2]);
        assert_eq!(fit(&columns, &mut grid.clone(), Some(200)), [0, 1, 2]);
        assert_eq!(fit(&columns, &mut grid, Some(60)), [0, 2]);
        assert_eq!(grid[0][0].chars().count(), MAX_TEXT_NARROW);
    }
}
