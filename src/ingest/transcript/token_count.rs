//! Responses out of `token_count`, for versions that write no `token_usage_record` (Codex before 0.153).
//!
//! Codex repeats these events: up to 0.130 it writes a stale copy when a response starts, later ones repeat the last when a
//! request is refused for a usage limit. Totals are carried or reset on resume, so they are never summed; they only tell copies.

use super::wire::TokenCountInfo;
use crate::model::TokenUsage;
use serde::{Deserialize, Serialize};

/// What has been seen of a file's `token_count` events. A fork's file goes on where the copy of its parent's ends: its totals
/// continue the parent's, and its first event may be a stale copy of the parent's last.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Counts {
    /// A process may have started that counts anew, and no event was seen of it.
    restarted: bool,
    /// The totals of the last event, with its own grand total.
    last_total: Option<(TokenUsage, u64)>,
}

impl Counts {
    /// A process goes on with a paginated transcript; it may begin its totals anew (0.148 to 0.153).
    pub fn restart(&mut self) {
        self.restarted = true;
    }

    /// Takes an event; gives a response's usage if the event is about a new one.
    pub fn take(&mut self, info: Option<&TokenCountInfo>) -> Option<TokenUsage> {
        let restarted = std::mem::take(&mut self.restarted);
        let Some(info) = info else {
            // A process without totals yet: it begins them anew, so an equal one is no copy.
            self.last_total = None;
            return None;
        };
        let total = info.total_token_usage.0.as_ref()?;
        let totals = (total.tokens()?, total.total_tokens.required().unwrap_or(0));
        let last = info.last_token_usage.0.as_ref()?.tokens()?;
        let repeats = self.last_total == Some(totals);
        // A total that equals the last one is a copy, unless the totals were reset to this very response.
        let reset = restarted && totals.0 == last;
        self.last_total = Some(totals);
        ((!repeats || reset) && (last.input > 0 || last.output > 0)).then_some(last)
    }
}

/// Where the count of one thread's responses stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Place {
    /// A `token_usage_record` of the thread was seen: events after it say nothing new.
    pub closed: bool,
    /// The turn that `index` counts in.
    turn: Option<String>,
    /// How many responses of that turn were seen.
    index: u32,
}

impl Place {
    /// The index in its turn of one more response, from 1.
    pub fn next(&mut self, turn: Option<&str>) -> u32 {
        if self.turn.as_deref() != turn {
            self.turn = turn.map(str::to_string);
            self.index = 0;
        }
        self.index += 1;
        self.index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(last: u64, total: u64) -> TokenCountInfo {
        let usage = |n: u64| format!(r#"{{"input_tokens":{n},"output_tokens":1,"total_tokens":{}}}"#, n + 1);
        let json = format!(r#"{{"total_token_usage":{},"last_token_usage":{}}}"#, usage(total), usage(last));
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn stale_copies_of_old_versions_are_dropped() {
        let mut c = Counts::default();
        assert_eq!(c.take(None), None);
        assert!(c.take(Some(&info(10, 10))).is_some());
        assert_eq!(c.take(Some(&info(10, 10))), None);
        assert!(c.take(Some(&info(20, 30))).is_some());
        assert_eq!(c.take(Some(&info(20, 30))), None, "the copy at the resumed turn's start");
        assert!(c.take(Some(&info(5, 35))).is_some());
    }

    #[test]
    fn an_equal_response_after_a_resume_that_lost_the_totals_is_a_new_one() {
        // Codex 0.42 to 0.77: each process starts with an event without numbers.
        let mut c = Counts::default();
        for _ in 0..3 {
            assert_eq!(c.take(None), None);
            assert!(c.take(Some(&info(10, 10))).is_some());
            assert!(c.take(Some(&info(10, 10))).is_none());
        }
    }

    #[test]
    fn a_reset_total_is_a_new_response() {
        let mut c = Counts::default();
        assert!(c.take(Some(&info(10, 10))).is_some());
        c.restart();
        assert!(c.take(Some(&info(10, 10))).is_some());
        assert!(c.take(Some(&info(10, 10))).is_none());
    }

    #[test]
    fn a_turn_that_a_usage_limit_ends_repeats_the_last_event() {
        // Also that of a session's first response, whose total is its own.
        let mut c = Counts::default();
        assert!(c.take(Some(&info(10, 10))).is_some());
        assert!(c.take(Some(&info(10, 10))).is_none());
        assert!(c.take(Some(&info(10, 20))).is_some());
    }

    #[test]
    fn estimates_after_compaction_count_nothing() {
        let mut c = Counts::default();
        let zero: TokenCountInfo = serde_json::from_str(
            r#"{"total_token_usage":{"input_tokens":0,"output_tokens":0,"total_tokens":258400},
                "last_token_usage":{"input_tokens":0,"output_tokens":0,"total_tokens":9}}"#,
        )
        .unwrap();
        assert!(c.take(Some(&zero)).is_none());
    }

    #[test]
    fn responses_are_numbered_in_their_turn() {
        let mut place = Place::default();
        assert_eq!([place.next(Some("a")), place.next(Some("a")), place.next(Some("b"))], [1, 2, 1]);
        let mut place = Place::default();
        assert_eq!([place.next(None), place.next(None)], [1, 2]);
    }
}
