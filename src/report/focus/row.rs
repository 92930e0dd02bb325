//! A charge as a record: the columns of FOCUS, then ours.

use super::bill::BilledFor;
use super::charge::{Basis, Key, Kind, Measures, TOKENS};
use super::{About, Account, Version};
use crate::model::{
    BillingPeriod, Channel, Conversion, Converted, Day, Sums, UNATTRIBUTED, USD, format_cents, format_pico,
};
use crate::report::format::csv_text;
use serde_json::{Map, Value, json};

/// One field: its column, and what stands there. Nothing is an empty field.
pub(super) type Field = (&'static str, Option<String>);

const CATEGORY: &str = "AI and Machine Learning";
const SUBCATEGORY: &str = "Generative AI";
/// The name of ChatGPT credits as a virtual currency.
const CREDITS: &str = "Credits";

/// The record of a row.
pub(super) fn record(about: &About, key: &Key, m: &Measures) -> Vec<Field> {
    let mut all = costs(key, m);
    all.extend(what(about, key));
    all.extend(who(about, key));
    all.extend(about.conversion.iter().flat_map(|to| in_currency(about, to, key, m)));
    // FOCUS columns by their names, ours behind them.
    all.sort_by_key(|(name, _)| (name.starts_with("x_"), *name));
    all
}

fn text(text: &str) -> Option<String> {
    Some(csv_text(text)).filter(|text| !text.trim().is_empty())
}

/// Whole numbers as decimals, which all numbers of FOCUS are.
fn decimal(n: i128) -> String {
    format!("{n}.0")
}

fn moment(day: Day) -> Option<String> {
    Some(format!("{day}T00:00:00Z"))
}

fn costs(key: &Key, m: &Measures) -> Vec<Field> {
    let amount = |pico: i128| Some(format_pico(pico));
    let purchase = is_purchase(key);
    let is_usage = !key.kind.is_amount();
    // What is bought is one thing at the price that the invoice says; nothing else is known of its price.
    let (list_price, contracted_price) = match purchase {
        true => (Some(m.billed), Some(m.billed)),
        false => (key.unit_price, key.contracted_unit_price),
    };
    let (list, contracted) = if purchase { (m.billed, m.billed) } else { (m.list, m.contracted) };
    let (unit, priced) = if purchase { (Some("Charges"), 1) } else { (unit(key), m.priced) };
    let has_price = list_price.is_some() || contracted_price.is_some();
    // Credits have no list price in USD: their columns are those of the pricing currency.
    let in_credits = key.basis == Basis::Credits;
    let usd = |pico: i128| amount(if in_credits { 0 } else { pico });
    let usd_price = |unit: Option<i128>| unit.and_then(usd);
    let effective = if key.is_covered { amount(m.billed) } else { usd(contracted) };
    let effective_priced = if key.is_covered && !in_credits { m.billed } else { contracted };
    vec![
        ("BilledCost", amount(m.billed)),
        ("BillingCurrency", text(&key.currency)),
        ("ConsumedQuantity", is_usage.then(|| decimal(m.consumed))),
        ("ConsumedUnit", unit.filter(|_| is_usage).map(str::to_string)),
        ("ContractedCost", usd(contracted)),
        ("ContractedUnitPrice", usd_price(contracted_price)),
        ("EffectiveCost", effective),
        ("InvoiceId", text(&key.invoice)),
        ("ListCost", usd(list)),
        ("ListUnitPrice", usd_price(list_price)),
        ("PricingCategory", (is_usage || purchase).then(|| "Standard".into())),
        ("PricingCurrency", text(if in_credits { CREDITS } else { &key.currency })),
        ("PricingCurrencyContractedUnitPrice", contracted_price.and_then(amount)),
        ("PricingCurrencyEffectiveCost", amount(effective_priced)),
        ("PricingCurrencyListUnitPrice", list_price.and_then(amount)),
        ("PricingQuantity", has_price.then(|| decimal(priced))),
        ("PricingUnit", unit.filter(|_| has_price).map(str::to_string)),
        ("x_BilledCostBasis", key.is_covered.then(|| "allocated".into())),
        ("x_ContractedCostBasis", Some(if key.by_contract { "contract" } else { key.basis.name() }.into())),
        ("x_CostBasis", Some(key.basis.name().into())),
        ("x_ReasoningTokens", (key.kind == Kind::Tokens(3)).then(|| decimal(m.reasoning))),
        ("x_UnpricedReason", text(&key.unpriced)),
        ("x_UnpricedTokens", (m.unpriced != 0).then(|| decimal(m.unpriced))),
    ]
}

/// A thing that was bought.
fn is_purchase(key: &Key) -> bool {
    matches!(key.billed, Some((BilledFor::Purchase, _)))
}

/// The costs that can be converted. Credits have none in USD, and what is not known is not 0.
pub(super) fn dollars(key: &Key, m: &Measures) -> Sums {
    let usd = key.basis == Basis::List || key.basis == Basis::NoBill;
    let contract = usd || key.by_contract;
    Sums { list_usd: usd.then_some(m.list), contract_usd: contract.then_some(m.contracted), ..Sums::default() }
}

/// Charges have the rate of their day; a correction that of the first day of the month that it is booked in, as in reports.
pub(super) fn rate_day(about: &About, key: &Key) -> Day {
    if key.corrects.is_some() { about.period.first_day() } else { key.days.0 }
}

fn in_currency(about: &About, to: &Conversion, key: &Key, m: &Measures) -> Vec<Field> {
    let (sums, rate) = (dollars(key, m), to.at(rate_day(about, key)));
    let [list, contracted] = [sums.list_usd, sums.contract_usd].map(|pico| {
        let mut sum = Converted::default();
        sum.add(pico, rate);
        sum
    });
    vec![
        ("x_Currency", Some(to.code.clone())),
        ("x_CurrencyRate", rate.map(|rate| format_pico(rate.pico.into()))),
        ("x_CurrencyRateFrom", rate.and_then(|rate| moment(rate.from))),
        ("x_ContractedCostInCurrency", contracted.pico().map(format_pico)),
        ("x_ContractedCostInCurrencyRounded", contracted.cents().map(format_cents)),
        ("x_ListCostInCurrency", list.pico().map(format_pico)),
        ("x_ListCostInCurrencyRounded", list.cents().map(format_cents)),
    ]
}

fn unit(key: &Key) -> Option<&'static str> {
    match key.kind {
        Kind::Tokens(_) => Some("Tokens"),
        Kind::Responses => Some("Responses"),
        Kind::Requests(_) => Some("Requests"),
        Kind::Rest | Kind::Fees(_) => None,
    }
}

fn what(about: &About, key: &Key) -> Vec<Field> {
    let [.., client, channel, model, tier] = &key.values;
    let sku = sku(key);
    let sku_price = sku.as_ref().map(|sku| match (&key.price, key.basis) {
        _ if is_purchase(key) => sku.clone(),
        (Some((_, from, true)), _) => format!("{sku}/{tier}/long@{from}"),
        (Some((_, from, false)), _) => format!("{sku}/{tier}@{from}"),
        (None, basis) => format!("{sku}/{tier}@{}", basis.name()),
    });
    let meter = match &key.kind {
        _ if is_purchase(key) => Some("Charges".to_string()),
        Kind::Tokens(kind) => Some(TOKENS[*kind].1.to_string()),
        Kind::Responses => Some("Responses".to_string()),
        Kind::Requests(tool) => Some(format!("{} Requests", csv_text(tool))),
        Kind::Rest | Kind::Fees(_) => None,
    };
    let kind = if let Kind::Tokens(kind) = key.kind { Some(TOKENS[kind].0.to_string()) } else { None };
    vec![
        ("BillingPeriodEnd", moment(about.period.next().first_day())),
        ("BillingPeriodStart", moment(about.period.first_day())),
        ("ChargeCategory", Some(category(key).into())),
        ("ChargeClass", key.corrects.is_some().then(|| "Correction".into())),
        ("ChargeDescription", text(&description(key, meter.as_deref()))),
        ("ChargeFrequency", Some(frequency(key).into())),
        ("ChargePeriodEnd", moment(key.days.1)),
        ("ChargePeriodStart", moment(key.days.0)),
        ("CommitmentDiscountStatus", None),
        ("ServiceCategory", Some(CATEGORY.into())),
        ("ServiceName", Some(service(channel).into())),
        ("ServiceSubcategory", Some(SUBCATEGORY.into())),
        ("SkuId", sku.as_deref().and_then(text)),
        ("SkuMeter", meter.as_deref().and_then(text)),
        ("SkuPriceDetails", details(key)),
        ("SkuPriceId", sku_price.as_deref().and_then(text)),
        ("x_Channel", text(channel)),
        ("x_Client", text(client)),
        ("x_CorrectionReason", text(&key.reason)),
        ("x_CorrectsPeriod", key.corrects.clone()),
        ("x_Model", text(model)),
        ("x_PriceBookSha256", text(&about.price_book)),
        ("x_ServiceTier", text(tier)),
        ("x_SessionId", text(&key.session)),
        ("x_Status", Some(about.status.into())),
        ("x_TokenType", kind),
        ("x_Tool", key.kind.tool().and_then(text)),
    ]
}

fn frequency(key: &Key) -> &'static str {
    match &key.billed {
        Some((BilledFor::Purchase, _)) => "Recurring",
        Some(_) => "One-Time",
        None => "Usage-Based",
    }
}

fn category(key: &Key) -> &'static str {
    match &key.billed {
        Some((BilledFor::Purchase, _)) => "Purchase",
        Some((BilledFor::Tax, _)) => "Tax",
        Some(_) => "Adjustment",
        None if key.kind.is_amount() && key.corrects.is_none() => "Adjustment",
        None => "Usage",
    }
}

/// The same thing keeps its id whatever it costs: channel, model and what is counted.
fn sku(key: &Key) -> Option<String> {
    let [.., channel, model, _] = &key.values;
    let model = key.price.as_ref().map_or(model, |(name, ..)| name);
    match &key.kind {
        _ if is_purchase(key) => Some(format!("{channel}/purchase")),
        Kind::Tokens(kind) => Some(format!("{channel}/{model}/{}", TOKENS[*kind].0)),
        Kind::Responses => Some(format!("{channel}/{model}/response")),
        Kind::Requests(tool) => Some(format!("{channel}/tool/{tool}")),
        Kind::Rest | Kind::Fees(_) => None,
    }
}

fn details(key: &Key) -> Option<String> {
    let (model, from, long) = key.price.as_ref()?;
    sku(key)?;
    let size = if *long { "long" } else { "standard" };
    let tier = &key.values[7];
    let details =
        json!({"x_Model": model, "x_ServiceTier": tier, "x_ContextClass": size, "x_EffectiveFrom": from.to_string()});
    Some(csv_text(&details.to_string()))
}

fn description(key: &Key, meter: Option<&str>) -> String {
    let [.., model, tier] = &key.values;
    if let Some((_, what)) = &key.billed {
        return what.clone();
    }
    let of = match (&key.kind, meter) {
        (Kind::Requests(_), Some(meter)) => meter.to_string(),
        (Kind::Fees(tool), _) => format!("{tool}: fees"),
        (_, Some(meter)) => format!("{model} {tier}: {meter}"),
        (_, None) if key.corrects.is_some() => format!("{model} {tier}: amount"),
        (_, None) => format!("{model} {tier}: rounding of responses that teams share"),
    };
    match &key.corrects {
        Some(month) if key.reason.is_empty() => format!("Correction of {month}: {of}"),
        Some(month) => format!("Correction of {month}: {of} ({})", key.reason),
        None => of,
    }
}

fn service(channel: &str) -> &'static str {
    match channel {
        _ if channel == Channel::Api.name() => "OpenAI API",
        _ if channel == Channel::Chatgpt.name() => "ChatGPT",
        _ if channel == Channel::Local.name() => "Local models",
        _ => "Unknown",
    }
}

fn who(about: &About, key: &Key) -> Vec<Field> {
    let [team, _, _, _, _, channel, ..] = &key.values;
    let local = channel == Channel::Local.name();
    let unknown = channel == Channel::Unknown.name();
    let provider = || {
        Some(
            if local {
                "Local"
            } else if unknown {
                "Unknown"
            } else {
                "OpenAI"
            }
            .to_string(),
        )
    };
    let account = about.accounts.of(channel);
    let team = text(team).filter(|_| team != UNATTRIBUTED);
    let mut all = vec![
        ("BillingAccountId", text(&account.id)),
        ("BillingAccountName", text(&account.name)),
        ("BillingAccountType", Some(account.kind.into())),
        ("InvoiceIssuerName", provider()),
        ("ProviderName", provider()),
        ("PublisherName", provider()),
        ("SubAccountName", team.clone()),
        ("SubAccountType", team.as_ref().map(|_| "Team".into())),
        ("SubAccountId", team),
        ("Tags", tags(key)),
    ];
    if about.version == Version::V1_3 {
        all.extend([("HostProviderName", provider()), ("ServiceProviderName", provider())]);
    }
    all
}

/// The owner, as far as anything is known of it. A label has its name behind `label/`, so that none hides a field.
fn tags(key: &Key) -> Option<String> {
    let names = ["team", "cost_centre", "project", "user"];
    let known = names.into_iter().zip(&key.values).filter(|(_, value)| *value != UNATTRIBUTED);
    let mut tags: Map<String, Value> = known.map(|(name, value)| (name.into(), value.as_str().into())).collect();
    tags.extend(key.labels.iter().map(|(name, value)| (format!("label/{name}"), value.as_str().into())));
    (!tags.is_empty()).then(|| csv_text(&Value::Object(tags).to_string()))
}

/// Whose bill a channel is on.
impl super::Accounts {
    fn of(&self, channel: &str) -> Account {
        let known = |id: &Option<String>, name: &Option<String>, default: (&str, &str), kind| Account {
            id: id.clone().unwrap_or_else(|| default.0.to_string()),
            name: name.clone().unwrap_or_else(|| default.1.to_string()),
            kind,
        };
        match channel {
            _ if channel == Channel::Api.name() => {
                known(&self.api_id, &self.api_name, ("openai-api", "OpenAI API organization"), "Organization")
            }
            _ if channel == Channel::Chatgpt.name() => {
                let default = ("openai-chatgpt", "ChatGPT workspace");
                known(&self.chatgpt_id, &self.chatgpt_name, default, "Workspace")
            }
            _ if channel == Channel::Local.name() => known(&None, &None, ("local", "Local models"), "None"),
            _ => known(&None, &None, ("unknown", "Unknown billing channel"), "Unknown"),
        }
    }
}

/// The names of all columns, in their order.
pub(super) fn columns(about: &About) -> Vec<&'static str> {
    let day = BillingPeriod::first_day(about.period);
    let key = Key {
        session: String::new(),
        days: (day, day),
        corrects: None,
        reason: String::new(),
        values: Default::default(),
        labels: Default::default(),
        kind: Kind::Rest,
        basis: Basis::List,
        unpriced: String::new(),
        price: None,
        unit_price: None,
        contracted_unit_price: None,
        by_contract: false,
        invoice: String::new(),
        currency: USD.into(),
        is_covered: false,
        billed: None,
    };
    record(about, &key, &Measures::default()).into_iter().map(|(name, _)| name).collect()
}
