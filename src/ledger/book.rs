//! Lines as they are booked.

use super::rollup::{flags, labels, sums};
use crate::model::{Booked, BookedDetail, BookedPrice, Line, RateUsed, TokenSums, Traits, per_million};

/// A line with all names by which it may have been booked before.
pub(super) struct Bookable {
    pub booked: Booked,
    /// The ids of its records, its own first.
    pub names: Vec<String>,
    /// How certain it is.
    pub flags: Traits<'static>,
}

/// A line as it is booked.
pub fn book(line: &Line) -> Booked {
    let r = &line.response;
    let o = &r.owner;
    let text = |value: Option<&String>| value.cloned().unwrap_or_default();
    let tokens = TokenSums::from(r.usage);
    Booked {
        line: r.line_id(),
        of: line.period,
        class: line.class.name().into(),
        reason: String::new(),
        time: r.time,
        thread: r.thread.to_string(),
        turn: text(r.turn.as_ref()),
        response: text(r.response_id.as_ref()),
        values: [
            o.team.value.clone(),
            o.cost_centre.value.clone(),
            o.project.value.clone(),
            o.user.value.clone(),
            r.client.clone(),
            r.channel.name().into(),
            r.model.clone().unwrap_or_else(|| "unknown".into()),
            r.tier.name().into(),
        ],
        team_why: o.team.why.clone(),
        evidence: r.evidence.name(),
        unpriced: line.priced.unpriced.as_ref().map(ToString::to_string).unwrap_or_default(),
        responses: line.responses,
        tokens,
        sums: sums(line),
        unpriced_tokens: if line.priced.unpriced.is_some() { tokens.total() } else { 0 },
        team_strength: o.team.strength.name().into(),
        thread_kind: r.kind.into(),
        labels: labels(o),
        price: line.priced.rate.as_ref().map(price).unwrap_or_default(),
        detail: detail(line),
    }
}

/// A price in words: enough to compute the amounts of a whole response again by hand.
fn price(rate: &RateUsed) -> String {
    let [input, cached, write, output] = rate.pico_per_token.map(per_million);
    let (model, from, tier) = (&rate.model, rate.effective_from, rate.tier.name());
    let size = if rate.long_context { ", long input" } else { "" };
    format!(
        "{model} from {from}, {tier}{size}: input {input}, cached {cached}, cache write {write}, output {output} a million"
    )
}

fn detail(line: &Line) -> BookedDetail {
    let p = &line.priced;
    // Without an amount of its own the rate is that of the comparison.
    let price = p.rate.as_ref().filter(|_| p.list.is_some()).map(|rate| BookedPrice {
        model: rate.model.clone(),
        from: rate.effective_from.epoch_days(),
        long_context: rate.long_context,
        pico_per_token: rate.pico_per_token,
    });
    BookedDetail { price, contract_pico_per_token: p.contract_pico_per_token }
}

/// The same with its other names.
pub(super) fn bookable(line: &Line) -> Bookable {
    let names = line.response.keys.iter().map(|key| key.short()).collect();
    Bookable { booked: book(line), names, flags: flags(line) }
}
