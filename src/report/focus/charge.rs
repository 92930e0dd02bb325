//! Booked lines and tool calls as charges: each kind of token apart, at its unit price, so that price times quantity is the cost.

use super::bill::BilledFor;
use crate::model::{BillingPeriod, Booked, Channel, Day, Keys, Labels, LineClass, Slot, ToolRow, USD};
use std::collections::BTreeMap;

/// What is charged.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// One of [`TOKENS`].
    Tokens(usize),
    /// Whole responses, of a month that was sealed before rates were kept with its lines.
    Responses,
    /// Calls of a hosted tool.
    Requests(String),
    /// What no unit price says: of a correction an amount, of responses that teams share what dividing whole tokens leaves.
    Rest,
    /// The same of the fees of a hosted tool.
    Fees(String),
}

impl Kind {
    /// An amount that no unit price makes.
    pub fn is_amount(&self) -> bool {
        matches!(self, Kind::Rest | Kind::Fees(_))
    }

    /// The hosted tool.
    pub fn tool(&self) -> Option<&str> {
        match self {
            Kind::Requests(tool) | Kind::Fees(tool) => Some(tool),
            _ => None,
        }
    }
}

/// The kinds of tokens with a price of their own: id and meter.
pub(super) const TOKENS: [(&str, &str); 4] = [
    ("input", "Input Tokens"),
    ("cached_input", "Cached Input Tokens"),
    ("cache_write", "Cache Write Tokens"),
    ("output", "Output Tokens"),
];
const OUTPUT: usize = 3;

/// What the list amounts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Basis {
    /// The public list, in USD.
    List,
    /// The public list, in credits.
    Credits,
    /// There should be a price, and there is none.
    Unpriced,
    /// Nobody sends a bill for it.
    NoBill,
    /// An invoice, and no list.
    Billed,
}

impl Basis {
    pub fn name(self) -> &'static str {
        match self {
            Basis::List => "list",
            Basis::Credits => "credits",
            Basis::Unpriced => "unpriced",
            Basis::NoBill => "none",
            Basis::Billed => "billed",
        }
    }
}

/// What tells charges apart: charges with all of this in common are one row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    /// Empty if rows are not by session.
    pub session: String,
    /// The first day, and the day after the last.
    pub days: (Day, Day),
    /// The sealed month that it corrects.
    pub corrects: Option<String>,
    pub reason: String,
    /// Team, cost centre, project, user, client, channel, model and tier.
    pub values: [String; 8],
    pub labels: BTreeMap<String, String>,
    pub kind: Kind,
    pub basis: Basis,
    /// Why there is no price.
    pub unpriced: String,
    /// The model's name in the price book, the first day of the price, and whether it is that of long input.
    pub price: Option<(String, Day, bool)>,
    /// Pico-units for one; nothing where no unit price makes the cost.
    pub unit_price: Option<i128>,
    pub contracted_unit_price: Option<i128>,
    /// The contracted amounts are of the contract list, and not those of the public list again.
    pub by_contract: bool,
    /// The invoice that it is on, if it is on one.
    pub invoice: String,
    /// The currency of the bill.
    pub currency: String,
    /// A charge covers it: what is billed is known.
    pub is_covered: bool,
    /// What it is, of a row that is a charge itself.
    pub billed: Option<(BilledFor, String)>,
}

/// What charges add up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Measures {
    pub consumed: i128,
    pub reasoning: i128,
    /// How many of them the unit prices are for.
    pub priced: i128,
    pub unpriced: i128,
    /// In USD or credits, as the basis says.
    pub list: i128,
    pub contracted: i128,
    pub billed: i128,
}

impl std::ops::AddAssign for Measures {
    fn add_assign(&mut self, o: Self) {
        self.consumed += o.consumed;
        self.reasoning += o.reasoning;
        self.priced += o.priced;
        self.unpriced += o.unpriced;
        self.list += o.list;
        self.contracted += o.contracted;
        self.billed += o.billed;
    }
}

impl std::ops::SubAssign for Measures {
    fn sub_assign(&mut self, o: Self) {
        self.consumed -= o.consumed;
        self.reasoning -= o.reasoning;
        self.priced -= o.priced;
        self.unpriced -= o.unpriced;
        self.list -= o.list;
        self.contracted -= o.contracted;
        self.billed -= o.billed;
    }
}

/// The rates, if they make the amount. Of a share they do but for less than the price of one token of each kind, since whole
/// tokens are shared; what a correction is short of is a charge of its own.
fn explaining(amount: i128, tokens: &[i128; 4], rates: Option<[i64; 4]>, is_correction: bool) -> Option<[i128; 4]> {
    let rates = rates?.map(i128::from);
    let made: i128 = tokens.iter().zip(rates).map(|(n, rate)| n * rate).sum();
    (is_correction || (amount - made).abs() <= rates.iter().sum()).then_some(rates)
}

fn basis_of(line: &Booked) -> Basis {
    match line.values[5].as_str() {
        _ if !line.unpriced.is_empty() => Basis::Unpriced,
        channel if channel == Channel::Chatgpt.name() => Basis::Credits,
        channel if channel == Channel::Local.name() => Basis::NoBill,
        _ => Basis::List,
    }
}

/// The charges of a line: one for each kind of token, and one for what unit prices do not say.
pub(super) fn of_line(session: &str, line: &Booked, add: &mut dyn FnMut(Key, Measures)) {
    let is_correction = line.class == LineClass::Correction.name();
    let (t, basis) = (&line.tokens, basis_of(line));
    let tokens = [t.uncached_input(), t.cached_input, t.cache_write, t.output].map(i128::from);
    // A difference of 0 is not kept as a sum; it is no unknown one.
    let amount = line.sums.list_usd.or(line.sums.credits).unwrap_or(0);
    let (contract, price) = (line.sums.contract_usd, line.detail.price.as_ref());
    let has_list = matches!(basis, Basis::List | Basis::Credits);
    let free = (!is_correction).then_some([0; 4]);
    let list = match has_list {
        true => explaining(amount, &tokens, price.map(|p| p.pico_per_token), is_correction),
        false => free,
    };
    let contracted = match contract {
        Some(amount) => explaining(amount, &tokens, line.detail.contract_pico_per_token, is_correction),
        None => list,
    };
    // Without rates the whole response is what has a price.
    let whole = !is_correction && (list.is_none() || contracted.is_none());
    let (list, contracted) = if whole { (free, free) } else { (list, contracted) };
    let is_priced = !whole && (basis != Basis::Unpriced || contract.is_some());
    let key = |kind: Kind, at: Option<usize>| Key {
        session: session.to_string(),
        days: (line.time.day(), line.time.day().next()),
        corrects: is_correction.then(|| line.of.to_string()),
        reason: line.reason.clone(),
        values: line.values.clone(),
        labels: Labels::all(&line.labels).map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        kind,
        basis,
        unpriced: line.unpriced.clone(),
        price: price.filter(|_| has_list).map(|p| (p.model.clone(), p.effective_from(), p.long_context)),
        unit_price: list.zip(at).map(|(rates, at)| rates[at]),
        contracted_unit_price: contracted.zip(at).map(|(rates, at)| rates[at]),
        by_contract: contract.is_some(),
        invoice: String::new(),
        currency: USD.into(),
        is_covered: false,
        billed: None,
    };
    let all = Measures { list: amount, contracted: contract.unwrap_or(amount), ..Measures::default() };
    let mut rest = Measures { unpriced: line.unpriced_tokens.into(), ..all };
    for (kind, n) in tokens.into_iter().enumerate() {
        let reasoning = if kind == OUTPUT { i128::from(t.reasoning) } else { 0 };
        if n == 0 && reasoning == 0 {
            continue;
        }
        let key = key(Kind::Tokens(kind), Some(kind));
        let priced = if is_priced { n } else { 0 };
        let cost = |unit: Option<i128>| unit.unwrap_or(0) * priced;
        let (list, contracted) = (cost(key.unit_price), cost(key.contracted_unit_price));
        let unpriced = if basis == Basis::Unpriced { n } else { 0 };
        rest -= Measures { unpriced, list, contracted, ..Measures::default() };
        add(key, Measures { consumed: n, reasoning, priced, unpriced, list, contracted, billed: 0 });
    }
    if whole && rest.list >= 0 && rest.contracted >= 0 {
        let (unit_price, contracted_unit_price) = (Some(rest.list), Some(rest.contracted));
        let key = Key { unit_price, contracted_unit_price, ..key(Kind::Responses, None) };
        add(key, Measures { consumed: 1, priced: 1, ..rest });
    } else if rest != Measures::default() {
        add(key(Kind::Rest, None), rest);
    }
}

/// The charges of the calls of a hosted tool: what has a fee, and what has none that is known.
pub(super) fn of_calls(session: &str, row: &ToolRow<'_>, keys: &Keys<'_>, add: &mut dyn FnMut(Key, Measures)) {
    let is_correction = keys.class == LineClass::Correction.name();
    let month = keys.corrects.parse::<BillingPeriod>();
    let day = Slot::start(row.slot).day();
    let key = |kind: Kind, basis: Basis, unit: Option<i128>| Key {
        session: session.to_string(),
        days: month.as_ref().map_or((day, day.next()), |m| (m.first_day(), m.next().first_day())),
        corrects: is_correction.then(|| keys.corrects.to_string()),
        reason: String::new(),
        values: keys.values.map(str::to_string),
        labels: BTreeMap::new(),
        kind,
        basis,
        unpriced: if basis == Basis::Unpriced { "no known fee".to_string() } else { String::new() },
        price: None,
        unit_price: unit,
        contracted_unit_price: unit,
        by_contract: false,
        invoice: String::new(),
        currency: USD.into(),
        is_covered: false,
        billed: None,
    };
    let requests = || Kind::Requests(row.name.to_string());
    let calls = i128::from(row.calls - row.unpriced);
    if let Some(fees) = row.fees_usd {
        let whole = calls != 0 && fees % calls == 0 && fees / calls >= 0;
        let of_all = || (Kind::Fees(row.name.to_string()), None);
        let (kind, unit) = if whole { (requests(), Some(fees / calls)) } else { of_all() };
        let calls = if whole { calls } else { 0 };
        let measures = Measures { consumed: calls, priced: calls, list: fees, contracted: fees, ..Measures::default() };
        add(key(kind, Basis::List, unit), measures);
    }
    if row.unpriced != 0 {
        let measures = Measures { consumed: row.unpriced.into(), ..Measures::default() };
        add(key(requests(), Basis::Unpriced, (!is_correction).then_some(0)), measures);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{BookedDetail, BookedPrice, Sums, Timestamp, TokenSums};

    fn line(class: LineClass, tokens: [i64; 5], list: Option<i128>, rates: Option<[i64; 4]>) -> Booked {
        let price = |pico_per_token| BookedPrice { model: "m".into(), from: 0, long_context: false, pico_per_token };
        Booked {
            line: "1".into(),
            of: Timestamp(0).day().period(),
            class: class.name().into(),
            reason: String::new(),
            time: Timestamp(0),
            thread: String::new(),
            turn: String::new(),
            response: String::new(),
            values: ["t", "c", "p", "u", "x", "api", "m", "standard"].map(str::to_string),
            team_why: String::new(),
            evidence: String::new(),
            unpriced: String::new(),
            responses: 1,
            tokens: TokenSums::of_all(tokens),
            sums: Sums { list_usd: list, ..Sums::default() },
            unpriced_tokens: 0,
            team_strength: String::new(),
            thread_kind: String::new(),
            labels: String::new(),
            price: String::new(),
            detail: BookedDetail { price: rates.map(price), ..BookedDetail::default() },
        }
    }

    fn charges(line: &Booked) -> Vec<(Kind, Option<i128>, Measures)> {
        let mut all = Vec::new();
        of_line("s", line, &mut |key, measures| all.push((key.kind, key.unit_price, measures)));
        assert_eq!(all.iter().map(|(.., m)| m.list).sum::<i128>(), line.sums.list_usd.unwrap_or(0));
        assert!(all.iter().all(|(_, unit, m)| unit.is_none_or(|unit| unit * m.priced == m.list)));
        all
    }

    const RATES: Option<[i64; 4]> = Some([10, 1, 12, 50]);
    const TOKENS: [i64; 5] = [100, 30, 20, 7, 3];
    const COST: i128 = 50 * 10 + 30 + 20 * 12 + 7 * 50;

    #[test]
    fn each_kind_of_token_has_its_price() {
        let all = charges(&line(LineClass::Usage, TOKENS, Some(COST), RATES));
        let said: Vec<_> = all.iter().map(|(_, unit, m)| (unit.unwrap(), m.consumed, m.list, m.reasoning)).collect();
        assert_eq!(said, [(10, 50, 500, 0), (1, 30, 30, 0), (12, 20, 240, 0), (50, 7, 350, 3)]);
    }

    #[test]
    fn what_a_share_is_off_is_apart_and_what_is_far_off_is_not_explained() {
        let all = charges(&line(LineClass::Usage, TOKENS, Some(COST - 73), RATES));
        assert_eq!((all.len(), &all[4].0, all[4].2.list), (5, &Kind::Rest, -73));
        // More than one token of each kind: these rates did not make it.
        let all = charges(&line(LineClass::Usage, TOKENS, Some(COST - 74), RATES));
        assert_eq!((&all[4].0, all[4].1, all[4].2.consumed), (&Kind::Responses, Some(COST - 74), 1));
        assert!(all[..4].iter().all(|(_, unit, m)| *unit == Some(0) && m.priced == 0));
    }

    #[test]
    fn what_was_sealed_without_rates_has_the_price_of_the_response() {
        let all = charges(&line(LineClass::Usage, TOKENS, Some(COST), None));
        assert_eq!((all.len(), &all[4].0, all[4].1), (5, &Kind::Responses, Some(COST)));
        assert_eq!(all[..4].iter().map(|(.., m)| m.consumed).sum::<i128>(), 107);
        let all = charges(&line(LineClass::Correction, [0; 5], Some(-9), RATES));
        assert_eq!((all.len(), &all[0].0, all[0].1), (1, &Kind::Rest, None));
        // Tokens that moved between kinds of other prices, and an amount that stayed.
        let all = charges(&line(LineClass::Correction, [0, 5, 0, 0, 0], None, RATES));
        let said: Vec<_> = all.iter().map(|(_, unit, m)| (*unit, m.consumed, m.list)).collect();
        assert_eq!(said, [(Some(10), -5, -50), (Some(1), 5, 5), (None, 0, 45)]);
    }
}
