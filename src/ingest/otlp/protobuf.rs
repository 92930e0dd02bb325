//! Reads an OTLP logs request in protobuf, and writes the few messages of our answers.
//!
//! A walk over the fields instead of generated messages: a message that is decoded as a whole can take thirty times its
//! size in memory (an empty record is two bytes on the wire), this one takes none. Lists and maps inside values are
//! stepped over, so nothing recurses. Field numbers are those of opentelemetry-proto 1.11.

use super::wire::{Attributes, Record, Scalar, Sink, is_used};
use std::borrow::Cow;

/// Feeds every record to the sink. An error is one of the encoding, and then of the request as a whole.
pub(super) fn read(body: &[u8], sink: &mut impl Sink) -> Result<(), String> {
    for field in Fields(body) {
        if let (1, value) = field? {
            read_resource_logs(value.bytes()?, sink)?;
        }
    }
    Ok(())
}

fn read_resource_logs(message: &[u8], sink: &mut impl Sink) -> Result<(), String> {
    let mut resource = Attributes::default();
    // The resource may follow its records on the wire.
    for field in Fields(message) {
        if let (1, value) = field? {
            resource = read_attributes(value.bytes()?, 1, |_| true)?;
        }
    }
    for field in Fields(message) {
        if let (2, scope) = field? {
            for field in Fields(scope.bytes()?) {
                if let (2, record) = field?
                    && sink.room()
                {
                    match read_record(record.bytes()?)? {
                        Some(record) => sink.record(&resource, &record),
                        None => sink.reject("a time beyond the year 2262"),
                    }
                }
            }
        }
    }
    Ok(())
}

/// A record; `None` if one of its times is impossible.
fn read_record(message: &[u8]) -> Result<Option<Record<'_>>, String> {
    let mut record = Record::default();
    let mut in_range = true;
    let mut time = |value: Value<'_>| {
        let nanos = i64::try_from(value.fixed64()?);
        in_range &= nanos.is_ok();
        Ok::<_, String>(nanos.unwrap_or(0))
    };
    for field in Fields(message) {
        match field? {
            (1, value) => record.time = time(value)?,
            (11, value) => record.observed = time(value)?,
            _ => {}
        }
    }
    record.attributes = read_attributes(message, 6, is_used)?;
    Ok(in_range.then_some(record))
}

/// The key-value pairs in field `number` of a message.
fn read_attributes(message: &[u8], number: u32, used: fn(&str) -> bool) -> Result<Attributes<'_>, String> {
    let mut attributes = Attributes::default();
    for field in Fields(message) {
        let (n, pair) = field?;
        if n != number {
            continue;
        }
        let (mut name, mut value) = (Ok(""), None);
        for field in Fields(pair.bytes()?) {
            match field? {
                (1, key) => name = std::str::from_utf8(key.bytes()?),
                (2, any) => value = read_value(any.bytes()?)?,
                _ => {}
            }
        }
        if let (Ok(name), Some(value)) = (name, value)
            && used(name)
        {
            attributes.push(Cow::Borrowed(name), value);
        }
    }
    Ok(attributes)
}

/// An AnyValue; `None` if it is unset.
fn read_value(message: &[u8]) -> Result<Option<Scalar<'_>>, String> {
    let mut scalar = None;
    for field in Fields(message) {
        scalar = Some(match field? {
            (1, value) => {
                std::str::from_utf8(value.bytes()?).map_or(Scalar::Unusable, |text| Scalar::Text(text.into()))
            }
            (2, value) => Scalar::Bool(value.varint()? != 0),
            (3, value) => Scalar::Int(value.varint()?.cast_signed()),
            (4, value) => Scalar::Double(f64::from_bits(value.fixed64()?)),
            (5..=7, _) => Scalar::Unusable,
            _ => continue,
        });
    }
    Ok(scalar)
}

/// The fields of a message, lent from the body.
struct Fields<'a>(&'a [u8]);

/// One field's value.
#[derive(Clone, Copy)]
enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32,
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    fn bytes(self) -> Result<&'a [u8], String> {
        match self {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err("a field has the wrong type".to_string()),
        }
    }

    fn varint(self) -> Result<u64, String> {
        match self {
            Value::Varint(n) => Ok(n),
            _ => Err("a field has the wrong type".to_string()),
        }
    }

    fn fixed64(self) -> Result<u64, String> {
        match self {
            Value::Fixed64(n) => Ok(n),
            _ => Err("a field has the wrong type".to_string()),
        }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field().ok_or_else(|| "not a protobuf message".to_string());
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<(u32, Value<'a>)> {
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok().filter(|n| (1..1 << 29).contains(n))?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            2 => {
                let len = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(len)?)
            }
            5 => {
                self.take(4)?;
                Value::Fixed32
            }
            _ => return None,
        };
        Some((number, value))
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut n = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            n |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(n);
            }
        }
        None
    }
}

fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Writes a field of varint type, unless it is 0.
pub(super) fn put_number(out: &mut Vec<u8>, number: u8, n: u64) {
    if n != 0 {
        out.push(number << 3);
        put_varint(out, n);
    }
}

/// Writes a field of text or a message, unless it is empty.
pub(super) fn put_bytes(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    if !bytes.is_empty() {
        out.push(number << 3 | 2);
        put_varint(out, bytes.len() as u64);
        out.extend_from_slice(bytes);
    }
}
