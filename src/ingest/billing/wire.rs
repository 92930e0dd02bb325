//! The fields of foreign rows, each read as what it should be: exactly, or with the reason why it cannot be.

use crate::model::{Currency, Day, Money, Pico, Timestamp};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The longest text that is kept.
const LONGEST: usize = 512;

/// A JSON object whose fields are taken out one by one. `null` is as good as not there.
#[derive(Debug, Default)]
pub(super) struct Fields<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Fields<'a> {
    pub fn read(raw: &'a RawValue) -> Result<Self, String> {
        let all: BTreeMap<String, &'a RawValue> =
            serde_json::from_str(raw.get()).map_err(|_| format!("{} is no JSON object", brief(raw.get())))?;
        Ok(Fields(all.into_iter().filter(|(_, value)| value.get() != "null").collect()))
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub fn raw(&mut self, name: &str) -> Option<&'a RawValue> {
        self.0.remove(name)
    }

    /// An object within; an empty one if there is none.
    pub fn object(&mut self, name: &str) -> Result<Fields<'a>, String> {
        self.raw(name)
            .map_or_else(|| Ok(Fields::default()), |raw| Fields::read(raw).map_err(|e| format!("{name}: {e}")))
    }

    pub fn list(&mut self, name: &str) -> Result<Option<Vec<&'a RawValue>>, String> {
        let list = |raw: &'a RawValue| serde_json::from_str(raw.get()).map_err(|_| format!("{name} is no list"));
        self.raw(name).map(list).transpose()
    }

    pub fn text(&mut self, name: &str) -> Result<Option<String>, String> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        let text: String = serde_json::from_str(raw.get()).map_err(|_| format!("{name} is no text"))?;
        Ok(kept(&text))
    }

    pub fn flag(&mut self, name: &str) -> Result<Option<bool>, String> {
        let flag =
            |raw: &RawValue| serde_json::from_str(raw.get()).map_err(|_| format!("{name} is neither true nor false"));
        self.raw(name).map(flag).transpose()
    }

    pub fn count(&mut self, name: &str) -> Result<Option<i64>, String> {
        self.raw(name).map(|raw| count(name, bare(raw))).transpose()
    }

    pub fn decimal(&mut self, name: &str) -> Result<Option<(Pico, bool)>, String> {
        self.raw(name).map(|raw| decimal(name, bare(raw))).transpose()
    }

    pub fn time(&mut self, name: &str) -> Result<Option<Timestamp>, String> {
        self.raw(name).map(|raw| time(name, bare(raw))).transpose()
    }

    /// An amount of money as `{value, currency}`.
    pub fn money(&mut self, name: &str) -> Result<Option<Money>, String> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        let mut fields = Fields::read(raw).map_err(|e| format!("{name}: {e}"))?;
        let Some(value) = fields.raw("value") else { return Err(format!("{name} has no value")) };
        let currency = fields.text("currency")?.unwrap_or_else(|| "usd".to_string());
        money(name, bare(value), &currency).map(Some)
    }

    /// What is left: texts and truths tell rows apart, as new keys to group by would; all else is only counted.
    pub fn rest(self, ignored: &mut BTreeMap<String, u64>) -> Vec<(String, String)> {
        let mut keys = Vec::new();
        for (name, raw) in self.0 {
            let says_what = !name.ends_with("_name") && !name.ends_with("_email") && name != "object";
            match serde_json::from_str::<serde_json::Value>(raw.get()) {
                Ok(serde_json::Value::String(text)) if says_what => keys.push((name.clone(), text)),
                Ok(serde_json::Value::Bool(flag)) if says_what => keys.push((name.clone(), flag.to_string())),
                _ => {}
            }
            if name != "object" {
                *ignored.entry(name).or_default() += 1;
            }
        }
        keys
    }
}

/// A number or a text as it is written.
fn bare(raw: &RawValue) -> &str {
    let text = raw.get();
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

fn brief(text: &str) -> String {
    let start: String = text.chars().take(40).collect();
    if start.len() < text.len() { format!("`{start}…`") } else { format!("`{start}`") }
}

/// A text without white space around it; nothing of an empty one.
pub(super) fn kept(text: &str) -> Option<String> {
    let text = crate::ingest::cut(text.trim(), LONGEST);
    (!text.is_empty()).then(|| text.to_string())
}

pub(super) fn decimal(name: &str, text: &str) -> Result<(Pico, bool), String> {
    Pico::parse(text).map_err(|e| format!("{name}: {e}"))
}

pub(super) fn count(name: &str, text: &str) -> Result<i64, String> {
    const ONE: i128 = 1_000_000_000_000;
    let (pico, exact) = decimal(name, text)?;
    let whole = i64::try_from(pico.0 / ONE).ok().filter(|n| exact && pico.0 % ONE == 0 && (0..1 << 53).contains(n));
    whole.ok_or_else(|| format!("{name}: `{text}` is no count"))
}

pub(super) fn money(name: &str, value: &str, currency: &str) -> Result<Money, String> {
    let (pico, exact) = decimal(name, value)?;
    let currency: Currency = currency.parse()?;
    Ok(Money { pico, currency, written: (!exact).then(|| value.to_string()) })
}

/// A moment of the years in which anything can have been billed: seconds since the Unix epoch, RFC 3339, or a day, which is
/// its first moment.
pub(super) fn time(name: &str, text: &str) -> Result<Timestamp, String> {
    let seconds = || text.parse().ok().and_then(|n: i64| n.checked_mul(1_000_000_000)).map(Timestamp);
    let known = Day::parse(text).map(Day::start).or_else(|| Timestamp::parse_rfc3339(text)).or_else(seconds);
    let known = known.filter(|time| is_possible(*time));
    known.ok_or_else(|| format!("{name}: `{}` is no moment of the years 2001 to 2099", crate::ingest::cut(text, 40)))
}

/// Of numbers, milliseconds and years are something else.
pub(super) fn is_possible(time: Timestamp) -> bool {
    (1_000_000_000..4_102_444_800).contains(&(time.0 / 1_000_000_000))
}
