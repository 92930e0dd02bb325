//! models.dev's `api.json`: providers, their models, USD per 1M tokens; other tiers are modes of a model.

use super::{Offer, Read, exact};
use crate::model::ServiceTier;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Provider<'a> {
    #[serde(borrow)]
    models: BTreeMap<String, &'a RawValue>,
}

#[derive(Deserialize)]
struct Model<'a> {
    #[serde(borrow)]
    cost: Option<Cost<'a>>,
    #[serde(borrow)]
    experimental: Option<&'a RawValue>,
    modalities: Option<Modalities>,
}

#[derive(Deserialize)]
struct Modalities {
    #[serde(default)]
    output: Vec<String>,
}

#[derive(Deserialize)]
struct Experimental<'a> {
    #[serde(borrow, default)]
    modes: BTreeMap<String, Mode<'a>>,
}

#[derive(Deserialize)]
struct Mode<'a> {
    #[serde(borrow)]
    cost: Option<Cost<'a>>,
}

#[derive(Deserialize)]
struct Cost<'a> {
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    output: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    cache_read: Option<&'a RawValue>,
    #[serde(borrow)]
    cache_write: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tiers: Vec<BTreeMap<String, &'a RawValue>>,
    #[serde(borrow)]
    context_over_200k: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Above {
    #[serde(rename = "type")]
    kind: String,
    size: u64,
}

/// The models of OpenAI, if this is the format.
pub(super) fn models<'a>(entries: &BTreeMap<String, &'a RawValue>) -> Option<BTreeMap<String, &'a RawValue>> {
    serde_json::from_str::<Provider>(entries.get("openai")?.get()).ok().map(|provider| provider.models)
}

pub(super) fn read(models: BTreeMap<String, &RawValue>) -> BTreeMap<String, Read> {
    models.into_iter().map(|(name, text)| (name, model(text))).collect()
}

fn model(text: &RawValue) -> Read {
    let model: Model = serde_json::from_str(text.get()).map_err(|e| e.to_string())?;
    if model.modalities.is_some_and(|m| m.output.iter().any(|kind| kind != "text")) {
        return Ok(None);
    }
    let Some(cost) = model.cost else { return Ok(None) };
    let mut offer = Offer::default();
    add(&mut offer, &ServiceTier::Standard, &cost)?;
    // Older copies have a mere `true` here.
    if let Some(experimental) = model.experimental.filter(|text| text.get().starts_with('{')) {
        let experimental: Experimental = serde_json::from_str(experimental.get()).map_err(|e| e.to_string())?;
        for (name, mode) in experimental.modes {
            let tier = ServiceTier::from_wire(Some(&name));
            if let (Some(cost), false) = (mode.cost, matches!(tier, ServiceTier::Other(_))) {
                add(&mut offer, &tier, &cost)?;
            }
        }
    }
    Ok((!offer.rows.is_empty()).then_some(offer))
}

fn add(offer: &mut Offer, tier: &ServiceTier, cost: &Cost) -> Result<(), String> {
    if cost.context_over_200k.is_some() && cost.tiers.is_empty() {
        return Err("its long input is given in an old form, without its true size".into());
    }
    let fields = [cost.input, cost.cache_read, cost.cache_write, cost.output];
    say(offer, tier, false, fields, cost.reasoning)?;
    for size in &cost.tiers {
        let rate = |key: &str| size.get(key).copied();
        let above = rate("tier").map_or("null", RawValue::get);
        let above: Above = serde_json::from_str(above).map_err(|e| format!("the size of its long input: {e}"))?;
        if above.kind != "context" {
            return Err(format!("it has prices by {}, which is not known", above.kind));
        }
        offer.long_above(above.size)?;
        let fields = ["input", "cache_read", "cache_write", "output"].map(rate);
        say(offer, tier, true, fields, rate("reasoning"))?;
    }
    Ok(())
}

fn say(
    offer: &mut Offer,
    tier: &ServiceTier,
    long: bool,
    fields: [Option<&RawValue>; 4],
    reasoning: Option<&RawValue>,
) -> Result<(), String> {
    for (field, number) in fields.into_iter().enumerate() {
        if let Some(number) = number.filter(|number| number.get() != "null") {
            offer.say(tier, long, field, exact(number, 6)?)?;
        }
    }
    let output = fields[3].map(|number| exact(number, 6)).transpose()?;
    match reasoning.map(|number| exact(number, 6)).transpose()? {
        Some(own) if Some(own) != output => Err("its reasoning tokens have a price of their own".into()),
        _ => Ok(()),
    }
}
