//! What tools cost: a response's tokens and amounts shared over the calls it asked for, to the last unit. A response that asked
//! for none is an answer, and keeps its cost.

use super::rollup::sums;
use crate::model::{Line, Sums, ThreadId, Timestamp, TokenSums, ToolCallFact, split};
use std::collections::HashMap;

/// Finds the response that made a tool call: the last one of the thread before the call ended, else its first.
pub(super) struct Callers<'a>(HashMap<&'a ThreadId, Vec<(Timestamp, usize)>>);

impl<'a> Callers<'a> {
    /// Lines are in order of time.
    pub fn of(lines: &'a [Line]) -> Self {
        let mut by_thread: HashMap<_, Vec<_>> = HashMap::new();
        for (i, line) in lines.iter().enumerate() {
            by_thread.entry(&line.response.thread).or_default().push((line.response.time, i));
        }
        Callers(by_thread)
    }

    /// The index of the line.
    pub fn of_call(&self, call: &ToolCallFact) -> Option<usize> {
        let lines = self.0.get(&call.thread)?;
        let after = lines.partition_point(|(time, _)| *time <= call.time);
        lines.get(after.saturating_sub(1)).map(|(_, line)| *line).filter(|_| after > 0)
    }

    /// The same; a call before all responses is the first one's.
    pub fn near_call(&self, call: &ToolCallFact) -> Option<usize> {
        self.of_call(call).or_else(|| self.0.get(&call.thread)?.first().map(|(_, line)| *line))
    }
}

/// A call's share of a line of the response that asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToolShare {
    /// The index of the call.
    pub call: usize,
    /// The index of the response's line.
    pub line: usize,
    /// Its part of the tokens.
    pub tokens: TokenSums,
    /// Its part of the amounts.
    pub sums: Sums,
    /// Its part of the tokens without a price.
    pub unpriced_tokens: i64,
}

/// The shares of all calls that a response asked for, in the order of calls. Lines are in order of time.
pub fn tool_shares(calls: &[ToolCallFact], lines: &[Line]) -> Vec<ToolShare> {
    let callers = Callers::of(lines);
    let mut asked: Vec<Vec<usize>> = vec![Vec::new(); lines.len()];
    for (i, call) in calls.iter().enumerate() {
        if let Some(line) = callers.of_call(call) {
            asked[line].push(i);
        }
    }
    // The lines of a shared response stand together, and the last one was found.
    for i in (1..lines.len()).rev() {
        if lines[i].share.is_some() && lines[i - 1].response.keys == lines[i].response.keys {
            asked[i - 1] = asked[i].clone();
        }
    }
    let mut shares = Vec::new();
    for (at, (line, calls)) in lines.iter().zip(&asked).enumerate().filter(|(_, (_, calls))| !calls.is_empty()) {
        let weights = vec![1; calls.len()];
        let tokens = TokenSums::from(line.response.usage);
        let parts = disjoint(&tokens).map(|n| split(n.into(), &weights));
        let amounts = sums(line).all().map(|sum| sum.map(|sum| split(sum, &weights)));
        for (n, call) in calls.iter().enumerate() {
            let tokens = joined(parts.each_ref().map(|part| i64::try_from(part[n]).unwrap_or(i64::MAX)));
            shares.push(ToolShare {
                call: *call,
                line: at,
                tokens,
                sums: Sums::of_all(amounts.each_ref().map(|sum| sum.as_ref().map(|sum| sum[n]))),
                unpriced_tokens: if line.priced.unpriced.is_some() { tokens.total() } else { 0 },
            });
        }
    }
    shares.sort_by_key(|share| share.call);
    shares
}

/// Tokens by kinds of which none holds another: shared one by one, what holds of a usage holds of its parts.
fn disjoint(t: &TokenSums) -> [i64; 5] {
    [t.uncached_input(), t.cached_input, t.cache_write, t.output - t.reasoning, t.reasoning]
}

fn joined([uncached, cached_input, cache_write, answer, reasoning]: [i64; 5]) -> TokenSums {
    let (input, output) = (uncached + cached_input + cache_write, answer + reasoning);
    TokenSums { input, cached_input, cache_write, output, reasoning }
}
