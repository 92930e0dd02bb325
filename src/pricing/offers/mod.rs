//! What public price lists say of OpenAI's models on a day, read from their own formats. Foreign names end here.
//!
//! A number is taken as the decimal that stands in the text, exactly or not at all; a model of which a part is not
//! understood is left out with the reason, never taken in part.

mod genai_prices;
mod litellm;
mod models_dev;

use crate::model::{Day, ServiceTier};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The public lists that can be read, with the place where each is published.
pub const PUBLISHED: [(&str, &str); 3] = [
    ("litellm", "https://raw.githubusercontent.com/BerriAI/litellm/main/model_prices_and_context_window.json"),
    (
        "genai-prices",
        "https://raw.githubusercontent.com/pydantic/genai-prices/refs/heads/main/prices/new_data/v2/data.json",
    ),
    ("models.dev", "https://models.dev/api.json"),
];

/// What one list says.
#[derive(Debug)]
pub struct Offers {
    /// Whose format it is: a name of [`PUBLISHED`].
    pub format: &'static str,
    pub(super) models: BTreeMap<String, Offer>,
    /// Models that were left out, with the reason.
    pub(super) skipped: BTreeMap<String, String>,
}

/// What a list says of one model.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Offer {
    /// The largest input that is still short.
    pub(super) long_above: Option<u64>,
    /// By tier, and whether for long input.
    pub(super) rows: BTreeMap<(ServiceTier, bool), Said>,
    /// The day from which the list has these prices, if it says one.
    pub(super) since: Option<Day>,
    /// The list has the name as another name of a model only.
    pub(super) by_alias: bool,
}

/// Input, cached, cache write, output in pico-USD per token, as far as the list says.
pub(super) type Said = [Option<i64>; 4];

/// A model of a list: nothing if it is not one that is rated by text tokens, or why it cannot be taken.
type Read = Result<Option<Offer>, String>;

impl Offers {
    /// Reads a list, whichever it is.
    ///
    /// # Errors
    /// It is none that is known, or it has no model of OpenAI.
    pub fn read(bytes: &[u8], day: Day) -> Result<Offers, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_string())?;
        let (format, read) = if text.trim_start().starts_with('[') {
            ("genai-prices", genai_prices::read(text, day)?)
        } else {
            let entries: BTreeMap<String, &RawValue> =
                serde_json::from_str(text).map_err(|e| format!("it is no JSON object or list: {e}"))?;
            match models_dev::models(&entries) {
                Some(models) => ("models.dev", models_dev::read(models)),
                None => ("litellm", litellm::read(&entries)),
            }
        };
        let (mut models, mut skipped) = (BTreeMap::new(), BTreeMap::new());
        for (name, offer) in read {
            match offer.and_then(|offer| offer.map(Offer::checked).transpose()) {
                Ok(Some(offer)) => drop(models.insert(name, offer)),
                Ok(None) => {}
                Err(why) => drop(skipped.insert(name, why)),
            }
        }
        if models.is_empty() {
            let known = PUBLISHED.map(|(name, _)| name).join(", ");
            return Err(format!("it has no readable price of a model of openai; formats that are read: {known}"));
        }
        Ok(Offers { format, models, skipped })
    }

    /// How many models it has prices of.
    pub fn len(&self) -> usize {
        self.models.len()
    }

    /// Whether it has none; a list that was read never is.
    pub fn is_empty(&self) -> bool {
        self.models.is_empty()
    }
}

impl Offer {
    /// Adds a rate.
    fn say(&mut self, tier: &ServiceTier, long: bool, field: usize, rate: i64) -> Result<(), String> {
        let slot = &mut self.rows.entry((tier.clone(), long)).or_default()[field];
        match slot.replace(rate) {
            Some(other) if other != rate => Err(format!("two prices for {tier}")),
            _ => Ok(()),
        }
    }

    /// Sets from which size on input is long; there is one.
    fn long_above(&mut self, size: u64) -> Result<(), String> {
        match self.long_above.replace(size) {
            Some(other) if other != size => Err(format!("two sizes of long input, {other} and {size}")),
            _ => Ok(()),
        }
    }

    /// A price of 0 is a hole in a list, not a gift.
    fn checked(self) -> Result<Offer, String> {
        match self.rows.iter().find(|(_, said)| said.contains(&Some(0))) {
            Some(((tier, _), _)) => Err(format!("a price of 0 for {tier}")),
            None => Ok(self),
        }
    }
}

/// A JSON number as an integer of 10^-`digits`, exactly or not at all.
fn exact(number: &RawValue, digits: i32) -> Result<i64, String> {
    let text = number.get();
    let refuse = |why: &str| Err(format!("the price {text} {why}"));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    if all.is_empty() || !all.bytes().all(|b| b.is_ascii_digit()) {
        return refuse("is not a number of 0 or more");
    }
    let significant = all.trim_start_matches('0').trim_end_matches('0');
    if significant.is_empty() {
        return Ok(0);
    }
    let Ok(exponent) = exponent.parse::<i16>() else { return refuse("is out of range") };
    let places = fraction.len() as i64 - (all.len() - all.trim_end_matches('0').len()) as i64;
    let zeros = i64::from(exponent) + i64::from(digits) - places;
    if zeros < 0 {
        return refuse("needs more digits than can be kept exactly");
    }
    let padded = if zeros > 18 { None } else { Some(format!("{significant}{:0<1$}", "", zeros as usize)) };
    match padded.and_then(|text| text.parse().ok()) {
        Some(value) => Ok(value),
        None => refuse("is too large"),
    }
}

#[cfg(test)]
mod tests;
