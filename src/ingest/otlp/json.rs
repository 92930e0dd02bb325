//! Reads an OTLP/JSON logs request.
//!
//! Tolerant, as ProtoJSON wants: unknown fields are ignored, `null` is unset, 64-bit integers come as text or number.
//! A record that cannot be read is rejected on its own, because the other records of the request cannot be had again.
//! Nothing here recurses, so depth is no danger.

use super::wire::{Attributes, Record, Scalar, Sink, is_used, whole};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer as _};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Feeds every record to the sink. An error is one of the body as a whole: not UTF-8, not JSON or not an object.
pub(super) fn read(body: &[u8], sink: &mut impl Sink) -> Result<(), String> {
    let text = std::str::from_utf8(body).map_err(|e| e.to_string())?;
    if text.trim_ascii().is_empty() {
        return Ok(());
    }
    let mut resource_logs = None;
    members(text, |name, value| {
        if name == "resourceLogs" {
            resource_logs = Some(value);
        }
    })?;
    list(resource_logs, sink, "`resourceLogs`", read_resource_logs);
    Ok(())
}

fn read_resource_logs(text: &str, sink: &mut impl Sink) {
    let (mut resource, mut scope_logs) = (None, None);
    let read = members(text, |name, value| match name.as_ref() {
        "resource" => resource = Some(value),
        "scopeLogs" => scope_logs = Some(value),
        _ => {}
    });
    if let Err(why) = read {
        return sink.reject(&format!("an entry of `resourceLogs`: {why}"));
    }
    let resource = resource.map(read_resource).unwrap_or_else(|| Ok(Attributes::default())).unwrap_or_else(|why| {
        sink.unreadable(&format!("`resource`: {why}"));
        Attributes::default()
    });
    list(scope_logs, sink, "`scopeLogs`", |scope, sink| {
        let mut records = None;
        let read = members(scope, |name, value| {
            if name == "logRecords" {
                records = Some(value);
            }
        });
        if let Err(why) = read {
            return sink.reject(&format!("an entry of `scopeLogs`: {why}"));
        }
        list(records, sink, "`logRecords`", |text, sink| {
            if sink.room() {
                match read_record(text) {
                    Ok(record) => sink.record(&resource, &record),
                    Err(why) => sink.reject(&why),
                }
            }
        });
    });
}

/// Walks a list of the request; one that is not a list is rejected as if it were one record.
fn list<'a, S: Sink>(text: Option<&'a str>, sink: &mut S, name: &str, mut each: impl FnMut(&'a str, &mut S)) {
    if let Some(text) = text
        && let Err(why) = items(text, |item| each(item, sink))
    {
        sink.reject(&format!("{name}: {why}"));
    }
}

fn read_resource(text: &str) -> Result<Attributes<'_>, String> {
    let mut attributes = None;
    members(text, |name, value| {
        if name == "attributes" {
            attributes = Some(value);
        }
    })?;
    read_attributes(attributes, |_| true)
}

fn read_record(text: &str) -> Result<Record<'_>, String> {
    let (mut observed, mut time, mut attributes) = (None, None, None);
    members(text, |name, value| match name.as_ref() {
        "observedTimeUnixNano" => observed = Some(value),
        "timeUnixNano" => time = Some(value),
        "attributes" => attributes = Some(value),
        _ => {}
    })?;
    Ok(Record {
        observed: read_time(observed).ok_or("`observedTimeUnixNano` is not a time")?,
        time: read_time(time).ok_or("`timeUnixNano` is not a time")?,
        attributes: read_attributes(attributes, is_used)?,
    })
}

fn read_time(text: Option<&str>) -> Option<i64> {
    text.map_or(Some(0), |text| integer(text).filter(|n| *n >= 0))
}

fn read_attributes(text: Option<&str>, used: fn(&str) -> bool) -> Result<Attributes<'_>, String> {
    let mut attributes = Attributes::default();
    let Some(text) = text else { return Ok(attributes) };
    let mut bad = None;
    items(text, |item| {
        let (mut name, mut value) = (None, None);
        let read = members(item, |field, text| match field.as_ref() {
            "key" => name = string(text),
            "value" => value = Some(text),
            _ => {}
        });
        match (read, name, value) {
            (Err(why), _, _) => bad = Some(why),
            (Ok(()), Some(name), Some(value)) if used(&name) => {
                if let Some(value) = read_value(value) {
                    attributes.push(name, value);
                }
            }
            _ => {}
        }
    })?;
    bad.map_or(Ok(attributes), Err)
}

/// An AnyValue; `None` if it is unset.
fn read_value(text: &str) -> Option<Scalar<'_>> {
    let mut value = None;
    let read = members(text, |kind, text| {
        let scalar = match kind.as_ref() {
            "stringValue" => string(text).map(Scalar::Text),
            "intValue" => integer(text).map(Scalar::Int),
            "doubleValue" => double(text).map(Scalar::Double),
            "boolValue" => boolean(text).map(Scalar::Bool),
            "bytesValue" | "arrayValue" | "kvlistValue" => None,
            _ => return,
        };
        value = Some(scalar.unwrap_or(Scalar::Unusable));
    });
    read.map_or(Some(Scalar::Unusable), |()| value)
}

fn string(text: &str) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Text<'_>>(text).ok().map(|Text(text)| text)
}

/// A number, also as text.
fn digits(text: &str) -> Option<Cow<'_, str>> {
    if text.starts_with('"') { string(text) } else { Some(Cow::Borrowed(text)) }
}

fn integer(text: &str) -> Option<i64> {
    let digits = digits(text)?;
    digits.parse().ok().or_else(|| digits.parse().ok().and_then(whole))
}

fn double(text: &str) -> Option<f64> {
    digits(text)?.parse().ok()
}

fn boolean(text: &str) -> Option<bool> {
    digits(text)?.parse().ok()
}

/// Text that is lent from the body where it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Calls `f` for each member of a JSON object whose value is not `null`.
fn members<'a>(text: &'a str, f: impl FnMut(Cow<'a, str>, &'a str)) -> Result<(), String> {
    let mut json = serde_json::Deserializer::from_str(text);
    json.deserialize_map(Members(f)).and_then(|()| json.end()).map_err(|e| e.to_string())
}

/// Calls `f` for each item of a JSON list.
fn items<'a>(text: &'a str, f: impl FnMut(&'a str)) -> Result<(), String> {
    let mut json = serde_json::Deserializer::from_str(text);
    json.deserialize_seq(Items(f)).and_then(|()| json.end()).map_err(|e| e.to_string())
}

struct Members<F>(F);

impl<'de, F: FnMut(Cow<'de, str>, &'de str)> Visitor<'de> for Members<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(Text(name)) = map.next_key()? {
            let value: &'de RawValue = map.next_value()?;
            if value.get() != "null" {
                (self.0)(name, value.get());
            }
        }
        Ok(())
    }
}

struct Items<F>(F);

impl<'de, F: FnMut(&'de str)> Visitor<'de> for Items<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while let Some(item) = seq.next_element::<&'de RawValue>()? {
            (self.0)(item.get());
        }
        Ok(())
    }
}
