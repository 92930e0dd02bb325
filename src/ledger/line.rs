//! A response's lines: one, or one for each team that shares it.

use crate::model::{Amount, Line, LineClass, Priced, ResponseFact, Status, TokenUsage, split};
use crate::pricing::PriceBook;

/// The lines of a response. Tokens and amounts of the shares add up to those of the whole, to the last unit.
pub(super) fn lines(response: ResponseFact, book: &PriceBook) -> Vec<Line> {
    let day = response.time.day();
    let priced = book.price(response.channel, response.model.as_deref(), &response.tier, day, &response.usage);
    let line = |response, priced, responses, share| Line {
        period: day.period(),
        status: Status::Estimated,
        class: LineClass::Usage,
        corrects_period: None,
        response,
        priced,
        responses,
        share,
    };
    if response.shares.is_empty() {
        return vec![line(response, priced, 1, None)];
    }
    let weights: Vec<u64> = response.shares.iter().map(|(_, weight)| *weight).collect();
    let all = weights.iter().sum();
    let usages = usages(&response.usage, &weights);
    let amounts = [priced.list, priced.api_equivalent, priced.contract].map(|amount| amounts(amount, &weights));
    let share = |(i, (team, weight)): (usize, &(String, u64))| {
        let mut part = ResponseFact { usage: usages[i], ..response.clone() };
        part.owner.team.value.clone_from(team);
        let [list, api_equivalent, contract] = amounts.each_ref().map(|parts| parts[i]);
        let priced = Priced { list, api_equivalent, contract, ..priced.clone() };
        line(part, priced, i64::from(i == 0), Some((*weight, all)))
    };
    response.shares.iter().enumerate().map(share).collect()
}

/// Disjoint kinds of tokens are split one by one, so that what holds of a usage holds of its parts.
fn usages(usage: &TokenUsage, weights: &[u64]) -> Vec<TokenUsage> {
    let answer = usage.output.saturating_sub(usage.reasoning);
    let kinds = [usage.uncached_input(), usage.cached_input, usage.cache_write, usage.reasoning, answer];
    let parts = kinds.map(|n| split(n.into(), weights));
    let part = |i: usize| {
        let [uncached, cached_input, cache_write, reasoning, answer] =
            parts.each_ref().map(|of| u64::try_from(of[i]).unwrap_or(0));
        TokenUsage {
            input: uncached + cached_input + cache_write,
            cached_input,
            cache_write,
            output: answer + reasoning,
            reasoning,
        }
    };
    (0..weights.len()).map(part).collect()
}

fn amounts(amount: Option<Amount>, weights: &[u64]) -> Vec<Option<Amount>> {
    let Some(amount) = amount else { return vec![None; weights.len()] };
    // A part of an i64 is no larger than it.
    let part = |pico: i128| Some(Amount { pico: i64::try_from(pico).unwrap_or(amount.pico), unit: amount.unit });
    split(amount.pico.into(), weights).into_iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_of_a_usage_are_usages_and_add_up(
            kinds in prop::array::uniform5(0u64..5_000),
            weights in prop::collection::vec(0u64..50, 1..8),
        ) {
            let [uncached, cached_input, cache_write, reasoning, answer] = kinds;
            let input = uncached + cached_input + cache_write;
            let usage = TokenUsage { input, cached_input, cache_write, output: answer + reasoning, reasoning };
            let parts = usages(&usage, &weights);
            let mut sum = TokenUsage::default();
            for part in &parts {
                prop_assert!(part.check().is_ok());
                sum += *part;
            }
            prop_assert_eq!(sum, usage);
        }
    }
}
