//! Responses out of `token_count`, for versions that write no `token_usage_record` (Codex before 0.153).
//!
//! Codex repeats these events: up to 0.130 it writes a stale copy when a response starts, later ones repeat the last at the
//! start of a turn or after errors. Totals are carried or reset on resume, so they are never summed; they only tell copies.

use super::wire::TokenCountInfo;
use crate::model::TokenUsage;
use serde::{Deserialize, Serialize};

/// What has been seen of one thread's `token_count` events.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Counts {
    /// A `token_usage_record` of the thread was seen: events after it say nothing new.
    pub closed: bool,
    /// The first event had no numbers, as in versions that write stale copies.
    stale_copies: bool,
    /// Any event was seen.
    seen: bool,
    /// No event was seen since the turn started.
    turn_is_new: bool,
    /// Nothing but a parent's events was seen: the thread is a fork whose first event may repeat the parent's last.
    inherited: bool,
    /// The totals of the last event, with its own grand total.
    last_total: Option<(TokenUsage, u64)>,
    /// The turn that `index` counts in.
    turn: Option<String>,
    /// How many responses of that turn were seen.
    index: u32,
}

impl Counts {
    /// The counts of a fork whose parent's events were copied into its file: they go on where the parent's ended.
    pub fn heir(&self) -> Self {
        let (stale_copies, seen, last_total) = (self.stale_copies, self.seen, self.last_total);
        Counts { stale_copies, seen, last_total, inherited: true, ..Counts::default() }
    }

    /// A turn of the thread starts.
    pub fn start_turn(&mut self) {
        self.turn_is_new = true;
    }

    /// Takes an event; gives a response's usage and its index in the turn if the event is about a new one.
    pub fn take(&mut self, info: Option<&TokenCountInfo>, turn: Option<&str>) -> Option<(TokenUsage, u32)> {
        if self.closed {
            return None;
        }
        let first = !std::mem::replace(&mut self.seen, true);
        let new_turn = std::mem::take(&mut self.turn_is_new) & !std::mem::take(&mut self.inherited);
        let Some(info) = info else {
            self.stale_copies |= first;
            return None;
        };
        let total = info.total_token_usage.0.as_ref()?;
        let totals = (total.tokens()?, total.total_tokens.0.unwrap_or(0));
        let last = info.last_token_usage.0.as_ref()?.tokens()?;
        let repeats = self.last_total == Some(totals);
        // A total that equals the last one is a copy, unless the totals were reset to this very response at a turn's start.
        let reset = new_turn && !self.stale_copies && totals.0 == last;
        self.last_total = Some(totals);
        if (repeats && !reset) || (last.input == 0 && last.output == 0) {
            return None;
        }
        if self.turn.as_deref() != turn {
            self.turn = turn.map(str::to_string);
            self.index = 0;
        }
        self.index += 1;
        Some((last, self.index))
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
        c.start_turn();
        assert_eq!(c.take(None, Some("a")), None);
        assert_eq!(c.take(Some(&info(10, 10)), Some("a")).unwrap().1, 1);
        assert_eq!(c.take(Some(&info(10, 10)), Some("a")), None);
        assert_eq!(c.take(Some(&info(20, 30)), Some("a")).unwrap().1, 2);
        c.start_turn();
        assert_eq!(c.take(Some(&info(20, 30)), Some("b")), None, "the copy at the resumed turn's start");
        assert_eq!(c.take(Some(&info(5, 35)), Some("b")).unwrap().1, 1);
    }

    #[test]
    fn a_reset_total_is_a_new_response() {
        let mut c = Counts::default();
        c.start_turn();
        assert!(c.take(Some(&info(10, 10)), Some("a")).is_some());
        c.start_turn();
        assert!(c.take(Some(&info(10, 10)), Some("b")).is_some());
        assert!(c.take(Some(&info(10, 10)), Some("b")).is_none());
    }

    #[test]
    fn a_fork_repeats_its_parents_last_event() {
        for old in [true, false] {
            let mut parent = Counts::default();
            if old {
                assert_eq!(parent.take(None, Some("a")), None);
            }
            parent.start_turn();
            assert!(parent.take(Some(&info(10, 10)), Some("a")).is_some());
            let mut fork = parent.heir();
            fork.start_turn();
            assert!(fork.take(Some(&info(10, 10)), Some("b")).is_none(), "the parent's");
            assert_eq!(fork.take(Some(&info(7, 17)), Some("b")).unwrap().1, 1);
            let mut subagent = parent.heir();
            subagent.start_turn();
            assert_eq!(subagent.take(Some(&info(8, 8)), Some("c")).unwrap().1, 1, "its totals start anew");
        }
    }

    #[test]
    fn estimates_after_compaction_and_closed_threads_count_nothing() {
        let mut c = Counts::default();
        let zero: TokenCountInfo = serde_json::from_str(
            r#"{"total_token_usage":{"input_tokens":0,"output_tokens":0,"total_tokens":258400},
                "last_token_usage":{"input_tokens":0,"output_tokens":0,"total_tokens":9}}"#,
        )
        .unwrap();
        assert!(c.take(Some(&zero), None).is_none());
        c.closed = true;
        assert!(c.take(Some(&info(10, 10)), None).is_none());
    }
}
