//! Our own CSV of invoice rows, as docs/billing.md has it. It is ours, so whatever is not understood is an error.

use super::wire::{decimal, is_possible, kept, money};
use super::{Input, pages};
use crate::model::{BillingSource, Channel, Charge, ChargeKind, Day, Origin, Quantity, Timestamp};
use std::collections::BTreeSet;

/// All columns.
const COLUMNS: [&str; 18] = [
    "invoice",
    "line",
    "kind",
    "from",
    "to",
    "account",
    "channel",
    "description",
    "quantity",
    "unit",
    "amount",
    "currency",
    "credits",
    "email",
    "user",
    "project",
    "api_key",
    "model",
];

/// Those that must be there.
const NEEDED: [&str; 5] = ["invoice", "line", "kind", "from", "to"];

/// What an invoice is about has days, but what it covers is itself.
pub(super) const ALWAYS: (Timestamp, Timestamp) = (Timestamp(i64::MIN), Timestamp(i64::MAX));

/// Whether a heading is that of such a CSV.
pub(super) fn is_table(header: &[&str]) -> bool {
    header.contains(&"invoice") || header.contains(&"kind")
}

/// Whether all columns are known, and none is missing.
pub(super) fn check(header: &[&str]) -> Result<(), String> {
    let all = || COLUMNS.join(", ");
    for (i, column) in header.iter().enumerate() {
        if !COLUMNS.contains(column) {
            return Err(format!("unknown column `{column}`; the columns are {}", all()));
        }
        if header[..i].contains(column) {
            return Err(format!("column {column} is there twice"));
        }
    }
    match NEEDED.iter().find(|column| !header.contains(column)) {
        Some(column) => Err(format!("there is no column {column}; the columns are {}", all())),
        None => Ok(()),
    }
}

/// A row, by column.
pub(super) fn row(header: &[&str], values: &[&str], line: u64, input: &Input<'_>) -> Result<Charge, String> {
    let get = |name: &str| header.iter().position(|column| *column == name).and_then(|i| kept(values[i]));
    let need = |name: &str| get(name).ok_or_else(|| format!("{name} is empty"));
    let day = |name: &str| {
        let text = need(name)?;
        Day::parse(&text)
            .filter(|day| is_possible(day.start()))
            .ok_or_else(|| format!("{name}: `{text}` is not a day; write YYYY-MM-DD"))
    };
    let kind_name = need("kind")?;
    let kind = ChargeKind::of_name(&kind_name).ok_or_else(|| {
        let all: Vec<_> = ChargeKind::ALL.iter().map(|kind| kind.name()).collect();
        format!("kind: `{kind_name}` is none of {}", all.join(", "))
    })?;
    let (from, to) = (day("from")?, day("to")?);
    if from > to {
        return Err("from is after to".to_string());
    }
    let channel = channel(kind, get("channel"))?;
    let money = match (get("amount"), get("currency")) {
        (Some(amount), Some(currency)) => Some(money("amount", &amount, &currency)?),
        (None, None) => None,
        (Some(_), None) => return Err("amount has no currency".to_string()),
        (None, Some(_)) if get("credits").is_some() => None,
        (None, Some(_)) => return Err("currency has no amount".to_string()),
    };
    let credits = get("credits").map(|text| decimal("credits", &text)).transpose()?.map(|(pico, _)| pico);
    if money.is_none() && credits.is_none() {
        return Err("it has neither an amount nor credits".to_string());
    }
    if kind == ChargeKind::Discount && money.as_ref().is_some_and(|money| money.pico.0 > 0) {
        return Err("a discount is below 0; write it with a minus".to_string());
    }
    let quantity = get("quantity").map(|text| decimal("quantity", &text)).transpose()?;
    Ok(Charge {
        source: BillingSource::Invoice,
        kind,
        channel,
        account: input.account.map(str::to_string).or_else(|| get("account")).unwrap_or_default(),
        invoice: need("invoice")?,
        key: pages::key(&[("line".to_string(), need("line")?)]),
        start: from.start(),
        end: to.next().start(),
        project: get("project"),
        api_key: get("api_key"),
        user: get("user"),
        email: get("email").map(|email| email.to_lowercase()),
        model: get("model"),
        tier: None,
        line_item: get("description"),
        quantity: quantity.map(|(pico, _)| Quantity { pico, unit: get("unit").unwrap_or_default() }),
        requests: None,
        usage: None,
        money,
        credits,
        origin: Origin { file: input.sha256.to_string(), row: line },
    })
}

/// Seats and credits are of ChatGPT. Of all else the invoice's other rows tell: see [`settle`].
fn channel(kind: ChargeKind, said: Option<String>) -> Result<Channel, String> {
    match said.as_deref() {
        Some("api") => Ok(Channel::Api),
        Some("chatgpt") => Ok(Channel::Chatgpt),
        Some(other) => Err(format!("channel: `{other}` is neither api nor chatgpt")),
        None => Ok(match kind {
            ChargeKind::Seat | ChargeKind::CreditPack | ChargeKind::Overage => Channel::Chatgpt,
            _ => Channel::Unknown,
        }),
    }
}

/// Gives rows that say no channel that of their invoice: ChatGPT's if it has seats or credits, else the API's.
pub(super) fn settle(charges: &mut [Charge]) {
    let of_plans: BTreeSet<String> =
        charges.iter().filter(|c| c.channel == Channel::Chatgpt).map(|c| c.invoice.clone()).collect();
    for charge in charges.iter_mut() {
        if charge.channel == Channel::Unknown {
            let is_plan = of_plans.contains(&charge.invoice);
            charge.channel = if is_plan { Channel::Chatgpt } else { Channel::Api };
        }
        if charge.account.is_empty() {
            charge.account = if charge.channel == Channel::Chatgpt { "chatgpt" } else { "openai" }.to_string();
        }
    }
}
