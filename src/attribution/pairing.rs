//! Records of two sources, one to one, by time alone.

use crate::model::Timestamp;
use std::collections::BTreeSet;

/// The first and last moment at which a record can have been made.
pub(super) type Window = (Timestamp, Timestamp);

/// Pairs moments (in order) with windows: for each moment the index of its window, if one is left.
///
/// Of all windows that are open at a moment the one that closes first is taken, so that as many pairs are found as can be:
/// a wide window never takes the record that a narrow one needs.
pub(super) fn pair(windows: &[Window], moments: &[Timestamp]) -> Vec<Option<usize>> {
    let mut coming: Vec<_> = windows.iter().enumerate().map(|(i, (from, to))| (*from, *to, i)).collect();
    coming.sort_unstable();
    let mut coming = coming.into_iter().peekable();
    let mut open = BTreeSet::new();
    let mut pairs = Vec::with_capacity(moments.len());
    for moment in moments {
        while let Some((from, to, i)) = coming.next_if(|(from, _, _)| from <= moment) {
            open.insert((to, from, i));
        }
        while open.first().is_some_and(|(to, _, _)| to < moment) {
            open.pop_first();
        }
        pairs.push(open.pop_first().map(|(_, _, i)| i));
    }
    pairs
}

/// The window of this width on both sides of a moment.
pub(super) fn around(moment: Timestamp, width_ns: i64) -> Window {
    (Timestamp(moment.0.saturating_sub(width_ns)), Timestamp(moment.0.saturating_add(width_ns)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(windows: &[(i64, i64)], moments: &[i64]) -> Vec<Option<usize>> {
        let windows: Vec<_> = windows.iter().map(|(a, b)| (Timestamp(*a), Timestamp(*b))).collect();
        pair(&windows, &moments.iter().map(|t| Timestamp(*t)).collect::<Vec<_>>())
    }

    #[test]
    fn a_wide_window_leaves_the_narrow_one_its_record() {
        assert_eq!(pairs(&[(0, 100), (5, 10)], &[6, 20]), [Some(1), Some(0)]);
        assert_eq!(pairs(&[(5, 10), (0, 100)], &[6, 7, 8]), [Some(0), Some(1), None]);
    }

    #[test]
    fn each_window_is_taken_once_and_only_while_it_is_open() {
        assert_eq!(pairs(&[(0, 2), (4, 6)], &[3, 4, 5]), [None, Some(1), None]);
        assert_eq!(pairs(&[], &[1]), [None]);
        assert_eq!(around(Timestamp(i64::MIN), 5).0, Timestamp(i64::MIN));
    }
}
