//! genai-prices' `data.json`: a list of providers; USD per 1M tokens, prices from a day on, and variants for other tiers.

use super::{Offer, Read, exact};
use crate::model::{Day, ServiceTier};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Provider<'a> {
    id: String,
    #[serde(borrow, default)]
    models: Vec<Model<'a>>,
}

#[derive(Deserialize)]
struct Model<'a> {
    id: String,
    #[serde(default)]
    r#match: Match,
    #[serde(borrow)]
    prices: &'a RawValue,
    #[serde(borrow)]
    price_variants: Option<&'a RawValue>,
}

/// Of the rules for names only the exact ones are used: a price is found by a name, never by likeness.
#[derive(Deserialize, Default)]
struct Match {
    equals: Option<String>,
    #[serde(default)]
    or: Vec<Match>,
}

type Prices<'a> = BTreeMap<String, &'a RawValue>;

#[derive(Deserialize)]
struct Dated<'a> {
    #[serde(borrow)]
    prices: Prices<'a>,
    constraint: Option<Constraint>,
    #[serde(default)]
    when: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Constraint {
    start_date: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sized<'a> {
    #[serde(borrow)]
    base: &'a RawValue,
    #[serde(borrow)]
    tiers: Vec<Size<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Size<'a> {
    start: u64,
    #[serde(borrow)]
    price: &'a RawValue,
}

const FIELDS: [&str; 4] = ["input_mtok", "cache_read_mtok", "cache_write_mtok", "output_mtok"];

/// Tokens of another kind, which a price for text tokens would rate wrongly.
const OTHER_TOKENS: [&str; 4] = ["audio", "image", "video", "_text_"];

pub(super) fn read(text: &str, day: Day) -> Result<BTreeMap<String, Read>, String> {
    let providers: Vec<&RawValue> = serde_json::from_str(text).map_err(|e| format!("it is no JSON list: {e}"))?;
    let openai = providers.into_iter().filter_map(|text| serde_json::from_str::<Provider>(text.get()).ok());
    let openai: Vec<Model> = openai.filter(|p| p.id == "openai").flat_map(|p| p.models).collect();
    let mut models = BTreeMap::new();
    for model in &openai {
        models.insert(model.id.clone(), offer(model, day, false));
    }
    // A model's own name is stronger than what another one also answers to. Of that only the standard price is meant: Codex
    // models answer to the name of their base, which has tiers that they do not have.
    for model in &openai {
        let exact = [&model.r#match].into_iter().chain(&model.r#match.or).filter_map(|m| m.equals.as_ref());
        for name in exact {
            models.entry(name.clone()).or_insert_with(|| offer(model, day, true));
        }
    }
    Ok(models)
}

fn offer(model: &Model, day: Day, by_alias: bool) -> Read {
    let problem = |e: serde_json::Error| e.to_string();
    let mut offer = Offer { by_alias, ..Offer::default() };
    if model.prices.get().starts_with('[') {
        let dated: Vec<Dated> = serde_json::from_str(model.prices.get()).map_err(problem)?;
        let Some((price, since)) = last_active(&dated, day)? else { return Ok(None) };
        offer.since = since;
        add(&mut offer, &ServiceTier::Standard, &price.prices)?;
    } else {
        add(&mut offer, &ServiceTier::Standard, &serde_json::from_str(model.prices.get()).map_err(problem)?)?;
    }
    let variants = model.price_variants.filter(|_| !by_alias).map_or("[]", RawValue::get);
    let mut by_tier: BTreeMap<(ServiceTier, String), Vec<Dated>> = BTreeMap::new();
    for variant in serde_json::from_str::<Vec<Dated>>(variants).map_err(problem)? {
        if let Some((tier, name)) = tier(&variant.when) {
            by_tier.entry((tier, name)).or_default().push(variant);
        }
    }
    for ((tier, _), variants) in &by_tier {
        if let Some((price, _)) = last_active(variants, day)? {
            add(&mut offer, tier, &price.prices)?;
        }
    }
    Ok((!offer.rows.is_empty()).then_some(offer))
}

/// The tier that a variant is for, and the list's own name of it: Fast has two.
fn tier(when: &BTreeMap<String, String>) -> Option<(ServiceTier, String)> {
    let (key, value) = when.first_key_value().filter(|_| when.len() == 1)?;
    let tier = match (key.as_str(), value.as_str()) {
        ("service_tier", "default" | "auto") => return None,
        ("service_tier" | "processing", name) => ServiceTier::from_wire(Some(name)),
        _ => return None,
    };
    (!matches!(tier, ServiceTier::Other(_) | ServiceTier::Standard)).then(|| (tier, value.clone()))
}

/// Of prices with days the last that had begun, with its day.
fn last_active<'d, 'a>(dated: &'d [Dated<'a>], day: Day) -> Result<Option<(&'d Dated<'a>, Option<Day>)>, String> {
    let mut active = None;
    for price in dated {
        let from = match &price.constraint {
            None => None,
            Some(Constraint { start_date: Some(text) }) => {
                Some(Day::parse(text).ok_or_else(|| format!("`{text}` is no day"))?)
            }
            Some(_) => return Err("its price depends on the time of day".into()),
        };
        if from.is_none_or(|from| from <= day) {
            active = Some((price, from));
        }
    }
    Ok(active)
}

fn add(offer: &mut Offer, tier: &ServiceTier, prices: &Prices) -> Result<(), String> {
    let other = |key: &&String| OTHER_TOKENS.iter().any(|kind| key.contains(kind));
    if let Some(other) = prices.keys().find(other) {
        return Err(format!("it also has a price {other}, and Codex's tokens cannot be told apart by it"));
    }
    for (field, key) in FIELDS.iter().enumerate() {
        let Some(price) = prices.get(*key).filter(|price| price.get() != "null") else { continue };
        if !price.get().starts_with('{') {
            offer.say(tier, false, field, exact(price, 6)?)?;
            continue;
        }
        let sized: Sized = serde_json::from_str(price.get()).map_err(|e| format!("{key}: {e}"))?;
        offer.say(tier, false, field, exact(sized.base, 6)?)?;
        for size in sized.tiers {
            offer.long_above(size.start)?;
            offer.say(tier, true, field, exact(size.price, 6)?)?;
        }
    }
    Ok(())
}
