//! Reconciliation: what was billed beside what was observed, by the finest keys that both sides have, with the difference
//! explained. What was observed and the parts of the difference always add up to what was billed.

use super::{Observed, ObservedRow, Plan, SEARCHES, tokens};
use crate::model::{
    Bill, BillingSource, Channel, Charge, ChargeKind, Day, Difference, Measured, ReconcileKey, Reconciled, ServiceTier,
    TokenUsage, UNATTRIBUTED,
};
use std::collections::{BTreeMap, BTreeSet};

/// The keys that both sides have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dims {
    /// Days: no charge is of more than one.
    pub day: bool,
    /// Teams: all charges are of projects or keys whose team is configured.
    pub team: bool,
    /// Users: all charges have one.
    pub user: bool,
    /// Models: all charges have one.
    pub model: bool,
    /// Tiers: all charges have one.
    pub tier: bool,
}

impl Dims {
    fn of(charges: &[Charge], plan: &Plan<'_>) -> Self {
        let all = |has: &dyn Fn(&Charge) -> bool| charges.iter().all(has);
        Dims {
            day: all(&|charge| charge.first_day() == charge.last_day()),
            team: all(&|charge| plan.team(charge).is_some()),
            user: all(&|charge| plan.user(charge).is_some()),
            model: all(&|charge| plan.model(charge).is_some()),
            tier: all(&|charge| charge.tier.is_some()),
        }
    }

    /// Their names.
    pub fn names(self) -> Vec<&'static str> {
        let all =
            [(self.day, "day"), (self.team, "team"), (self.user, "user"), (self.model, "model"), (self.tier, "tier")];
        all.into_iter().filter(|(has, _)| *has).map(|(_, name)| name).collect()
    }

    /// The keys of a charge.
    pub(super) fn of_charge(self, charge: &Charge, plan: &Plan<'_>) -> ReconcileKey {
        ReconcileKey {
            day: self.day.then(|| charge.first_day()),
            team: plan.team(charge).filter(|_| self.team).map(str::to_string),
            user: plan.user(charge).filter(|_| self.user),
            model: plan.model(charge).filter(|_| self.model),
            tier: charge.tier.clone().filter(|_| self.tier),
        }
    }

    /// The keys of what was observed.
    pub(super) fn of_row(self, day: Day, row: &ObservedRow, plan: &Plan<'_>) -> ReconcileKey {
        ReconcileKey {
            day: self.day.then_some(day),
            team: self.team.then(|| row.owner[0].clone()),
            user: self.user.then(|| row.owner[3].to_lowercase()),
            model: self.model.then(|| plan.model_name(&row.model)),
            tier: self.tier.then(|| row.tier.clone()),
        }
    }

    /// Those that the other side has, too.
    fn within(self, other: Dims) -> bool {
        (!self.day || other.day)
            && (!self.team || other.team)
            && (!self.user || other.user)
            && (!self.model || other.model)
    }

    fn project(self, key: &ReconcileKey) -> ReconcileKey {
        ReconcileKey {
            day: key.day.filter(|_| self.day),
            team: key.team.clone().filter(|_| self.team),
            user: key.user.clone().filter(|_| self.user),
            model: key.model.clone().filter(|_| self.model),
            tier: None,
        }
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Reconciliation {
    /// All comparisons.
    pub rows: Vec<Reconciled>,
    /// What must be known of them.
    pub notes: Vec<String>,
    /// Observed responses of channels of which nothing is stored that could be compared.
    pub left_out: i64,
    /// How often invoices and what is counted instead of their usage differ.
    pub unlike: usize,
}

/// One side's comparison in the making.
struct Side<'a> {
    observed: &'a Observed,
    plan: &'a Plan<'a>,
    /// What regional processing costs more, in percent.
    uplift: i128,
}

/// Compares the month's bill with what was observed.
pub fn reconcile(bill: &Bill, observed: &Observed, plan: &Plan<'_>, region_uplift_percent: u8) -> Reconciliation {
    let side = Side { observed, plan, uplift: region_uplift_percent.into() };
    let notes = bill.unlike.iter().map(ToString::to_string).collect();
    let mut made = Reconciliation { notes, unlike: bill.unlike.len(), ..Reconciliation::default() };
    let usage: Vec<Charge> = bill.tokens_in(observed.period()).collect();
    let (mut money, mut credits, mut plans) = (Vec::new(), Vec::new(), 0);
    for charge in bill.counted_in(observed.period()).filter(|charge| charge.kind == ChargeKind::Usage) {
        match (charge.money.is_some(), charge.channel) {
            (false, _) => credits.push(charge),
            (true, Channel::Chatgpt) => plans += 1,
            (true, _) => money.push(charge),
        }
    }
    if plans > 0 {
        made.notes
            .push(format!("{plans} charges are of ChatGPT usage in money, which no list has a price of: not compared"));
    }
    let (has_api, has_credits) = (!usage.is_empty() || !money.is_empty(), !credits.is_empty());
    let mut explained = None;
    if !usage.is_empty() {
        let dims = Dims::of(&usage, plan);
        let days = side.days(bill, BillingSource::Usage, &usage, "tokens", dims, &mut made.notes);
        let rows = tokens::compare(&usage, observed, plan, dims, &days);
        explained = Some((dims, days, rows.clone()));
        made.rows.extend(rows);
    }
    let mut currencies: BTreeMap<String, Vec<Charge>> = BTreeMap::new();
    for charge in money {
        let code = charge.money.as_ref().map(|money| money.currency.code().to_string()).unwrap_or_default();
        currencies.entry(code).or_default().push(charge);
    }
    for (code, charges) in currencies {
        side.money(bill, code, &charges, explained.as_ref(), &mut made);
    }
    if !credits.is_empty() {
        side.credits(bill, &credits, &mut made);
    }
    side.left_out(has_api, has_credits, &mut made);
    side.not_compared(&mut made.notes);
    let mut said = BTreeSet::new();
    made.notes.retain(|note| said.insert(note.clone()));
    made
}

/// The comparison of tokens, if there is one: its keys, its days and its rows.
type Explained = (Dims, BTreeSet<Day>, Vec<Reconciled>);

/// One side of a comparison of amounts.
#[derive(Default)]
struct Group {
    billed: i128,
    observed: i128,
    unpriced_tokens: i64,
    billed_tokens: i128,
    observed_tokens: i128,
    has_tokens: bool,
}

impl Side<'_> {
    /// The days that can be compared: those that the exports tell of. Says which keys and days these are.
    fn days(
        &self,
        bill: &Bill,
        source: BillingSource,
        charges: &[Charge],
        what: &str,
        dims: Dims,
        notes: &mut Vec<String>,
    ) -> BTreeSet<Day> {
        let period = self.observed.period();
        let all = std::iter::successors(Some(period.first_day()), |day| Some(day.next()));
        let all = all.take_while(|day| *day <= period.last_day());
        let told = |day: &Day| {
            bill.covers.iter().any(|c| c.source == source && c.start <= day.start() && day.next().start() <= c.end)
                || charges.iter().any(|c| c.first_day() <= *day && *day <= c.last_day())
        };
        let (days, others): (BTreeSet<Day>, BTreeSet<Day>) = all.partition(told);
        let names = dims.names();
        let by = if names.is_empty() { "all together".to_string() } else { format!("by {}", names.join(", ")) };
        notes.push(format!("{what} are compared {by}, on {} days", days.len()));
        let project = |c: &Charge| c.api_key.clone().or_else(|| c.project.clone());
        let teams = charges.iter().filter(|charge| self.plan.team(charge).is_none()).filter_map(project).collect();
        let users =
            charges.iter().filter(|charge| self.plan.user(charge).is_none()).filter_map(|c| c.user.clone()).collect();
        notes.extend(unknown("teams", dims.team, teams).into_iter().chain(unknown("users", dims.user, users)));
        let left: i64 = self
            .observed
            .month(Channel::Api)
            .chain(self.observed.month(Channel::Chatgpt))
            .filter(|(day, row)| {
                others.contains(day) && (row.channel == Channel::Api.name()) != (source == BillingSource::Workspace)
            })
            .map(|(_, row)| row.responses)
            .sum();
        if left > 0 {
            notes.push(format!(
                "{left} responses were observed on days that are in no export of {}: not compared",
                source.name()
            ));
        }
        days
    }

    fn money(
        &self,
        bill: &Bill,
        code: String,
        charges: &[Charge],
        explained: Option<&Explained>,
        made: &mut Reconciliation,
    ) {
        let dims = Dims { tier: false, ..Dims::of(charges, self.plan) };
        let days = self.days(bill, BillingSource::Costs, charges, &format!("amounts in {code}"), dims, &mut made.notes);
        let mut groups: BTreeMap<ReconcileKey, Group> = BTreeMap::new();
        for charge in charges {
            let group = groups.entry(dims.of_charge(charge, self.plan)).or_default();
            group.billed += charge.money.as_ref().map_or(0, |money| money.pico.0);
        }
        if code == "USD" {
            for (day, row) in self.observed.month(Channel::Api).filter(|(day, _)| days.contains(day)) {
                let key = dims.of_row(day, row, self.plan);
                if row.fees_usd != 0 {
                    let model = dims.model.then(|| SEARCHES.to_string());
                    groups.entry(ReconcileKey { model, ..key.clone() }).or_default().observed += row.fees_usd;
                }
                let group = groups.entry(key).or_default();
                group.observed += row.list_usd;
                group.unpriced_tokens += row.unpriced_tokens;
            }
        } else {
            made.notes.push(format!("{code} is not the currency of the price list: all of it stands as not observed"));
        }
        let known = explained.filter(|(of, ..)| code == "USD" && dims.within(*of));
        let values = known.map(|(_, _, rows)| self.values(dims, rows)).unwrap_or_default();
        for (key, group) in groups {
            let is_known = known.is_some_and(|(_, days, _)| key.day.is_none_or(|day| days.contains(&day)));
            let value = values.get(&key).copied().unwrap_or_default();
            let parts = self.explain(&group, is_known.then_some(value));
            push(made, Measured::Money(code.clone()), key, &group, parts);
        }
    }

    /// What the differences in tokens are worth on the list, in pico-USD: of another tier, not observed, not billed.
    fn values(&self, dims: Dims, rows: &[Reconciled]) -> BTreeMap<ReconcileKey, [i128; 3]> {
        let mut values: BTreeMap<ReconcileKey, [i128; 3]> = BTreeMap::new();
        for row in rows {
            let Measured::Tokens(kind) = row.measured else { continue };
            let rate = self.rate(&row.key, kind);
            let sums = values.entry(dims.project(&row.key)).or_default();
            for (why, part) in &row.parts {
                match why {
                    Difference::Tier => sums[0] += part * rate,
                    Difference::NotObserved => sums[1] += part * rate,
                    _ => sums[2] += part * rate,
                }
            }
        }
        values
    }

    /// The price of a token of a kind, as for short input; 0 if there is none.
    fn rate(&self, key: &ReconcileKey, kind: &str) -> i128 {
        let one = |input, cached_input, cache_write, output| TokenUsage {
            input,
            cached_input,
            cache_write,
            output,
            reasoning: 0,
        };
        let usage = match kind {
            "uncached_input" => one(1, 0, 0, 0),
            "cached_input" => one(1, 1, 0, 0),
            "cache_write" => one(1, 0, 1, 0),
            _ => one(0, 0, 0, 1),
        };
        let tier = ServiceTier::from_wire(key.tier.as_deref());
        let day = key.day.unwrap_or_else(|| self.observed.period().first_day());
        let priced = self.plan.book.price(Channel::Api, key.model.as_deref(), &tier, day, &usage);
        priced.list.map_or(0, |amount| amount.pico.into())
    }

    /// The parts of a difference in money. `value` is what tokens say of it, if they were compared.
    fn explain(&self, group: &Group, value: Option<[i128; 3]>) -> Vec<(Difference, i128)> {
        let off = group.billed - group.observed;
        let [tier, not_observed, over_observed] = if off == 0 { [0; 3] } else { value.unwrap_or_default() };
        let mut rest = off - tier - not_observed - over_observed;
        let mut parts = vec![
            (Difference::Tier, tier),
            (Difference::NotObserved, not_observed),
            (Difference::OverObserved, over_observed),
        ];
        let expected = group.observed + tier + not_observed + over_observed;
        let mut take = |why: Difference, most: i128| {
            let part = most.min(rest).max(0);
            parts.push((why, part));
            rest -= part;
        };
        take(Difference::Region, expected * self.uplift / 100);
        if group.unpriced_tokens > 0 {
            take(Difference::Unpriced, i128::MAX);
        }
        let why = match value {
            Some(_) => Difference::Price,
            None if rest > 0 => Difference::NotObserved,
            None => Difference::OverObserved,
        };
        parts.push((why, rest));
        parts
    }

    fn credits(&self, bill: &Bill, charges: &[Charge], made: &mut Reconciliation) {
        let dims = Dims { tier: false, ..Dims::of(charges, self.plan) };
        let days = self.days(bill, BillingSource::Workspace, charges, "credits", dims, &mut made.notes);
        let mut groups: BTreeMap<ReconcileKey, Group> = BTreeMap::new();
        for charge in charges {
            let group = groups.entry(dims.of_charge(charge, self.plan)).or_default();
            group.billed += charge.credits.map_or(0, |credits| credits.0);
            group.has_tokens |= charge.usage.is_some();
            group.billed_tokens += charge.usage.map_or(0, |usage| usage.total().into());
        }
        for (day, row) in self.observed.month(Channel::Chatgpt).filter(|(day, _)| days.contains(day)) {
            let group = groups.entry(dims.of_row(day, row, self.plan)).or_default();
            group.observed += row.credits;
            group.unpriced_tokens += row.unpriced_tokens;
            group.observed_tokens += i128::from(row.tokens.total());
        }
        for (key, group) in groups {
            let off = group.billed - group.observed;
            let same_tokens = group.has_tokens && group.billed_tokens == group.observed_tokens;
            let why = match off {
                1.. if group.unpriced_tokens > 0 => Difference::Unpriced,
                _ if same_tokens => Difference::Price,
                1.. => Difference::NotObserved,
                _ => Difference::OverObserved,
            };
            push(made, Measured::Credits, key, &group, vec![(why, off)]);
        }
    }

    /// Usage of which nothing says how it is billed is on neither side.
    /// Usage of a channel of which no bill is stored: that the rest is equal says nothing of it.
    fn left_out(&self, has_api: bool, has_credits: bool, made: &mut Reconciliation) {
        for (channel, has) in [(Channel::Api, has_api), (Channel::Chatgpt, has_credits)] {
            let responses: i64 = self.observed.month(channel).map(|(_, row)| row.responses).sum();
            if !has && responses > 0 {
                made.left_out += responses;
                let text = "responses have no bill or export to be compared with";
                made.notes.push(format!("{}: {responses} {text}", channel.name()));
            }
        }
    }

    fn not_compared(&self, notes: &mut Vec<String>) {
        let unknown: i64 = self.observed.month(Channel::Unknown).map(|(_, row)| row.responses).sum();
        if unknown > 0 {
            notes.push(format!("{unknown} responses are of an unknown channel and are compared with nothing"));
        }
        let unowned = self.observed.month(Channel::Api).any(|(_, row)| row.owner[0] == UNATTRIBUTED);
        if unowned && !self.plan.projects.is_empty() {
            notes.push("some API usage has no team: it stands beside the teams of projects and keys".to_string());
        }
    }
}

/// Why something is not compared, if it is for want of a line in the configuration.
fn unknown(what: &str, is_compared: bool, ids: BTreeSet<String>) -> Option<String> {
    if is_compared || ids.is_empty() {
        return None;
    }
    let some = ids.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
    let n = ids.len();
    Some(format!(
        "{what} are not compared: {n} of the provider's ids are not below [billing] in config.toml, for example {some}"
    ))
}

fn push(
    made: &mut Reconciliation,
    measured: Measured,
    key: ReconcileKey,
    group: &Group,
    parts: Vec<(Difference, i128)>,
) {
    if group.billed == 0 && group.observed == 0 {
        return;
    }
    let mut sums: BTreeMap<Difference, i128> = BTreeMap::new();
    parts.into_iter().for_each(|(why, part)| *sums.entry(why).or_default() += part);
    let parts = sums.into_iter().filter(|(_, part)| *part != 0).collect();
    made.rows.push(Reconciled { measured, key, billed: group.billed, observed: group.observed, parts });
}
