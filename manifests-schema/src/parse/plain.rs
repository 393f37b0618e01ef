//! What kind of value each part of a YAML document is, as serde_yaml reads it. Not serde_yaml's own `Value`: that has
//! no place for whole numbers beyond 64 bits, which people write where a text is asked (an account, a tag).

use serde::de::{Deserialize, Deserializer, EnumAccess, IgnoredAny, MapAccess, SeqAccess, VariantAccess, Visitor};
use std::fmt;

/// A value. The texts of numbers come from the outline, where they stand as they are written.
pub(super) enum Plain {
    Null,
    Bool(bool),
    Number,
    String(String),
    List(Vec<Plain>),
    /// The values of a map, in source order; the keys are in the outline.
    Map(Vec<Plain>),
}

impl Plain {
    /// What it is, in words.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number => "a number",
            Self::String(_) => "a string",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Plain;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("any YAML value")
            }

            fn visit_unit<E>(self) -> Result<Plain, E> {
                Ok(Plain::Null)
            }

            fn visit_none<E>(self) -> Result<Plain, E> {
                Ok(Plain::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Plain, E> {
                Ok(Plain::Bool(value))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Plain, E> {
                Ok(Plain::Number)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Plain, E> {
                Ok(Plain::Number)
            }

            fn visit_i128<E>(self, _: i128) -> Result<Plain, E> {
                Ok(Plain::Number)
            }

            fn visit_u128<E>(self, _: u128) -> Result<Plain, E> {
                Ok(Plain::Number)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Plain, E> {
                Ok(Plain::Number)
            }

            fn visit_str<E>(self, text: &str) -> Result<Plain, E> {
                Ok(Plain::String(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<Plain, E> {
                Ok(Plain::String(text))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Plain, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = access.next_element()? {
                    items.push(item);
                }
                Ok(Plain::List(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Plain, A::Error> {
                let mut values = Vec::new();
                while let Some((IgnoredAny, value)) = access.next_entry()? {
                    values.push(value);
                }
                Ok(Plain::Map(values))
            }

            // A tag. Those that are not YAML's own are refused on the outline.
            fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<Plain, A::Error> {
                let (IgnoredAny, value) = access.variant()?;
                value.newtype_variant()
            }
        }
        deserializer.deserialize_any(Reader)
    }
}
