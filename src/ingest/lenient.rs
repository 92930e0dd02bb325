//! Reading foreign JSON without being broken by it: a field of an unexpected type is absent, never an error.
//!
//! Codex changes the type of a field now and then (`tool_response` was an object once and is a string today). A strict type
//! there would turn whole events into nothing, so each field that we use accepts anything and keeps what it understands.

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// A text, if the field is one; lent from the JSON if it has no escapes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text<'a>(pub Option<Cow<'a, str>>);

impl Text<'_> {
    /// The text, if there is one.
    pub fn get(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// The text cut to `max` bytes at a character boundary; an empty one is absent.
    pub fn cut(&self, max: usize) -> Option<String> {
        self.get().filter(|t| !t.is_empty()).map(|t| cut(t, max).to_string())
    }
}

/// The longest start of a text that fits into `max` bytes.
pub fn cut(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// A whole number of at least 0, if the field is one (a text of digits counts).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count(pub Option<u64>);

/// A token count. One that is there but is no whole number of at least 0 must not pass for none: it would make tokens free.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tokens {
    /// Not there, or `null`.
    #[default]
    Absent,
    /// There.
    Are(u64),
    /// There, but no count.
    Unusable,
}

impl Tokens {
    /// A count that must be there.
    pub fn required(self) -> Option<u64> {
        match self {
            Tokens::Are(n) => Some(n),
            Tokens::Absent | Tokens::Unusable => None,
        }
    }

    /// A count that older versions leave out: then there are none.
    pub fn optional(self) -> Option<u64> {
        if self == Tokens::Absent { Some(0) } else { self.required() }
    }
}

impl<'de> Deserialize<'de> for Tokens {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde_json::Value;
        let count = match Value::deserialize(deserializer)? {
            Value::Null => return Ok(Tokens::Absent),
            Value::Number(n) => n.as_u64(),
            Value::String(s) => s.parse().ok(),
            _ => None,
        };
        Ok(count.map_or(Tokens::Unusable, Tokens::Are))
    }
}

/// A whole number of any sign.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Int(pub Option<i64>);

/// A truth value, if the field is one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flag(pub Option<bool>);

/// An object of a known shape, if the field is an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object<T>(pub Option<T>);

impl<T> Default for Object<T> {
    fn default() -> Self {
        Object(None)
    }
}

/// Generates a visitor that ignores every JSON type but those given.
macro_rules! lenient {
    ($value:ty, $($body:tt)*) => {
        impl<'de> Deserialize<'de> for $value {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct V;
                impl<'de> Visitor<'de> for V {
                    type Value = $value;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("anything")
                    }
                    fn visit_unit<E>(self) -> Result<$value, E> {
                        Ok(<$value>::default())
                    }
                    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<$value, A::Error> {
                        while seq.next_element::<IgnoredAny>()?.is_some() {}
                        Ok(<$value>::default())
                    }
                    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<$value, A::Error> {
                        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                        Ok(<$value>::default())
                    }
                    $($body)*
                }
                deserializer.deserialize_any(V)
            }
        }
    };
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Of its own lifetime: what is lent for longer than needed is good, too.
        let Lent(text) = Lent::deserialize(deserializer)?;
        Ok(Text(text))
    }
}

#[derive(Default)]
struct Lent<'de>(Option<Cow<'de, str>>);

lenient! {
    Lent<'de>,
    fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Lent<'de>, E> {
        Ok(Lent(Some(Cow::Borrowed(v))))
    }
    fn visit_str<E>(self, v: &str) -> Result<Lent<'de>, E> {
        Ok(Lent(Some(Cow::Owned(v.to_string()))))
    }
    fn visit_string<E>(self, v: String) -> Result<Lent<'de>, E> {
        Ok(Lent(Some(Cow::Owned(v))))
    }
    fn visit_bool<E>(self, _: bool) -> Result<Lent<'de>, E> {
        Ok(Lent(None))
    }
    fn visit_u64<E>(self, _: u64) -> Result<Lent<'de>, E> {
        Ok(Lent(None))
    }
    fn visit_i64<E>(self, _: i64) -> Result<Lent<'de>, E> {
        Ok(Lent(None))
    }
    fn visit_f64<E>(self, _: f64) -> Result<Lent<'de>, E> {
        Ok(Lent(None))
    }
}

lenient! {
    Count,
    fn visit_str<E>(self, v: &str) -> Result<Count, E> {
        Ok(Count(v.parse().ok()))
    }
    fn visit_bool<E>(self, _: bool) -> Result<Count, E> {
        Ok(Count(None))
    }
    fn visit_u64<E>(self, v: u64) -> Result<Count, E> {
        Ok(Count(Some(v)))
    }
    fn visit_i64<E>(self, v: i64) -> Result<Count, E> {
        Ok(Count(u64::try_from(v).ok()))
    }
    fn visit_f64<E>(self, _: f64) -> Result<Count, E> {
        Ok(Count(None))
    }
}

lenient! {
    Int,
    fn visit_str<E>(self, v: &str) -> Result<Int, E> {
        Ok(Int(v.parse().ok()))
    }
    fn visit_bool<E>(self, _: bool) -> Result<Int, E> {
        Ok(Int(None))
    }
    fn visit_u64<E>(self, v: u64) -> Result<Int, E> {
        Ok(Int(i64::try_from(v).ok()))
    }
    fn visit_i64<E>(self, v: i64) -> Result<Int, E> {
        Ok(Int(Some(v)))
    }
    fn visit_f64<E>(self, _: f64) -> Result<Int, E> {
        Ok(Int(None))
    }
}

lenient! {
    Flag,
    fn visit_str<E>(self, _: &str) -> Result<Flag, E> {
        Ok(Flag(None))
    }
    fn visit_bool<E>(self, v: bool) -> Result<Flag, E> {
        Ok(Flag(Some(v)))
    }
    fn visit_u64<E>(self, _: u64) -> Result<Flag, E> {
        Ok(Flag(None))
    }
    fn visit_i64<E>(self, _: i64) -> Result<Flag, E> {
        Ok(Flag(None))
    }
    fn visit_f64<E>(self, _: f64) -> Result<Flag, E> {
        Ok(Flag(None))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for V<T> {
            type Value = Object<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(|t| Object(Some(t)))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Object<T>, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Object(None))
            }
            fn visit_unit<E>(self) -> Result<Object<T>, E> {
                Ok(Object(None))
            }
            fn visit_str<E>(self, _: &str) -> Result<Object<T>, E> {
                Ok(Object(None))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Object<T>, E> {
                Ok(Object(None))
            }
            fn visit_u64<E>(self, _: u64) -> Result<Object<T>, E> {
                Ok(Object(None))
            }
            fn visit_i64<E>(self, _: i64) -> Result<Object<T>, E> {
                Ok(Object(None))
            }
            fn visit_f64<E>(self, _: f64) -> Result<Object<T>, E> {
                Ok(Object(None))
            }
        }
        deserializer.deserialize_any(V(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize, Default, Debug)]
    #[serde(default)]
    struct Sample<'a> {
        #[serde(borrow)]
        text: Text<'a>,
        count: Count,
        int: Int,
        flag: Flag,
        object: Object<Inner>,
    }

    #[derive(Deserialize, Default, Debug, PartialEq)]
    #[serde(default)]
    struct Inner {
        n: Count,
    }

    #[test]
    fn wrong_types_are_absent_and_harm_nothing_else() {
        for wrong in ["null", "true", "1.5", "[1,{\"a\":2}]", "{\"x\":[]}", "\"no\""] {
            let json = format!(
                r#"{{"text":{t},"count":{wrong},"int":{wrong},"flag":{f},"object":{o},"other":{wrong}}}"#,
                t = if wrong == "\"no\"" { "7" } else { wrong },
                f = if wrong == "true" { "7" } else { wrong },
                o = if wrong.starts_with('{') { "-3" } else { wrong },
            );
            let s: Sample = serde_json::from_str(&json).unwrap();
            assert!(s.text.0.is_none() && s.count.0.is_none() && s.int.0.is_none() && s.flag.0.is_none(), "{json}");
            assert!(s.object.0.is_none(), "{json}");
        }
        let good = r#"{"text":"t","count":"12","int":-4,"flag":false,"object":{"n":3,"m":null}}"#;
        let s: Sample = serde_json::from_str(good).unwrap();
        assert_eq!((s.text.get(), s.count.0, s.int.0, s.flag.0), (Some("t"), Some(12), Some(-4), Some(false)));
        assert_eq!(s.object.0.unwrap().n.0, Some(3));
    }

    #[test]
    fn a_token_count_is_a_count_or_nothing_or_unusable() {
        let of = |json: &str| serde_json::from_str::<Tokens>(json).unwrap();
        assert_eq!((of("5"), of("\"5\""), of("null")), (Tokens::Are(5), Tokens::Are(5), Tokens::Absent));
        for bad in ["-5", "5.5", "500.0", "\"x\"", "true", "[1]", "{\"a\":1}"] {
            assert_eq!((of(bad), of(bad).optional()), (Tokens::Unusable, None), "{bad}");
        }
        assert_eq!((Tokens::Absent.optional(), Tokens::Absent.required()), (Some(0), None));
    }

    #[test]
    fn cuts_at_characters() {
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("aé", 3), "aé");
    }
}
