//! LiteLLM's `model_prices_and_context_window.json`: one object, USD per token, a field for each tier and size.

use super::{Offer, Read, exact};
use crate::model::ServiceTier;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The fields in the order of rates; tier and size follow as suffixes.
const FIELDS: [&str; 4] =
    ["input_cost_per_token", "cache_read_input_token_cost", "cache_creation_input_token_cost", "output_cost_per_token"];

/// Tokens of another kind, which a price for text tokens would rate wrongly.
const OTHER_TOKENS: [&str; 3] = ["audio_token", "image_token", "video"];

pub(super) fn read(entries: &BTreeMap<String, &RawValue>) -> BTreeMap<String, Read> {
    let mut models = BTreeMap::new();
    for (name, entry) in entries {
        let Ok(entry) = serde_json::from_str::<BTreeMap<String, &RawValue>>(entry.get()) else { continue };
        let text = |key: &str| entry.get(key).map_or("", |value| value.get().trim_matches('"'));
        if text("litellm_provider") == "openai" && ["chat", "responses"].contains(&text("mode")) {
            models.insert(name.clone(), model(&entry));
        }
    }
    models
}

fn model(entry: &BTreeMap<String, &RawValue>) -> Read {
    if entry.keys().any(|key| key.contains("cost") && OTHER_TOKENS.iter().any(|other| key.contains(other))) {
        return Err("it also has prices for tokens that are not text".into());
    }
    let mut offer = Offer::default();
    for (key, value) in entry.iter().filter(|(_, value)| value.get() != "null") {
        if let Some((field, tier, above)) = meaning(key) {
            if let Some(size) = above {
                offer.long_above(size)?;
            }
            let rate = exact(value, 12).map_err(|e| format!("{key}: {e}"))?;
            offer.say(&tier, above.is_some(), field, rate)?;
        }
    }
    if let Some(reasoning) = entry.get("output_cost_per_reasoning_token") {
        let output = offer.rows.get(&(ServiceTier::Standard, false)).and_then(|said| said[3]);
        if output != Some(exact(reasoning, 12)?) {
            return Err("its reasoning tokens have a price of their own".into());
        }
    }
    Ok((!offer.rows.is_empty()).then_some(offer))
}

/// The rate, the tier and the size that a field is about. Cache writes for 12 hours are never asked for by Codex.
fn meaning(key: &str) -> Option<(usize, ServiceTier, Option<u64>)> {
    let (field, rest) = FIELDS.iter().enumerate().find_map(|(i, field)| Some((i, key.strip_prefix(field)?)))?;
    let (above, rest) = match rest.strip_prefix("_above_").and_then(|rest| rest.split_once("k_tokens")) {
        Some((size, rest)) => (Some(size.parse::<u64>().ok()?.checked_mul(1000)?), rest),
        None => (None, rest),
    };
    let tier = match rest {
        "" => ServiceTier::Standard,
        "_flex" => ServiceTier::Flex,
        "_priority" => ServiceTier::Priority,
        "_batches" => ServiceTier::Batch,
        "_ultrafast" => ServiceTier::Ultrafast,
        _ => return None,
    };
    Some((field, tier, above))
}
