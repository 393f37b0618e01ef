//! A parsed document: values with their places. Layers, substitution and checks work on this tree, so that every
//! finding can point at the byte it is about.

use crate::source::Span;
use indexmap::IndexMap;

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where it stands (of a map or list: the whole of it).
    pub span: Span,
}

/// A value. Numbers keep their source text, so that `1.10` stays `1.10` where a string belongs.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Null, `~`, or nothing.
    Null,
    /// A boolean; its source text is in the span.
    Bool(bool),
    /// A number, as written.
    Number(String),
    /// A string.
    String(String),
    /// A list.
    List(Vec<Node>),
    /// A map in source order.
    Map(Map),
}

/// A map from key to entry, in source order.
pub type Map = IndexMap<String, Entry>;

/// A map's value, with the place of its key.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Where the key stands.
    pub key: Span,
    /// The value.
    pub node: Node,
}

impl Node {
    /// A node of this value at this place.
    pub fn new(value: Value, span: &Span) -> Self {
        Self { value, span: span.clone() }
    }

    /// A string at this place.
    pub fn string(text: impl Into<String>, span: &Span) -> Self {
        Self::new(Value::String(text.into()), span)
    }

    /// An empty map at this place.
    pub fn empty_map(span: &Span) -> Self {
        Self::new(Value::Map(Map::new()), span)
    }

    /// What kind of value this is, in words.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    /// The map, if it is one.
    pub fn as_map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The map, if it is one.
    pub fn as_map_mut(&mut self) -> Option<&mut Map> {
        match &mut self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The string, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// Whether this is null.
    pub fn is_null(&self) -> bool {
        self.value == Value::Null
    }

    /// The text of a scalar as it stands in the source; none for null, lists and maps.
    pub fn scalar_text(&self) -> Option<String> {
        match &self.value {
            Value::String(text) | Value::Number(text) => Some(text.clone()),
            Value::Bool(value) => Some(match self.span.text() {
                text if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false") => text.to_owned(),
                _ => value.to_string(),
            }),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// The member of a map.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_map().and_then(|map| map.get(key)).map(|entry| &entry.node)
    }

    /// The same as plain JSON; a number whose text JSON does not have becomes a string.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => serde_json::Value::Bool(*value),
            Value::Number(text) => number(text).unwrap_or_else(|| serde_json::Value::String(text.clone())),
            Value::String(text) => serde_json::Value::String(text.clone()),
            Value::List(items) => serde_json::Value::Array(items.iter().map(Node::to_json).collect()),
            Value::Map(map) => {
                serde_json::Value::Object(map.iter().map(|(key, entry)| (key.clone(), entry.node.to_json())).collect())
            }
        }
    }

    /// A tree for this JSON, all of it at one place.
    pub fn from_json(value: &serde_json::Value, span: &Span) -> Self {
        let value = match value {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(value) => Value::Bool(*value),
            serde_json::Value::Number(number) => Value::Number(number.to_string()),
            serde_json::Value::String(text) => Value::String(text.clone()),
            serde_json::Value::Array(items) => {
                Value::List(items.iter().map(|item| Node::from_json(item, span)).collect())
            }
            serde_json::Value::Object(map) => Value::Map(
                map.iter()
                    .map(|(key, value)| (key.clone(), Entry { key: span.clone(), node: Node::from_json(value, span) }))
                    .collect(),
            ),
        };
        Self::new(value, span)
    }
}

/// The JSON number of a source text in YAML's or JSON's notation (`0x1f`, `1_000` and the like are none). A whole number
/// beyond 64 bits has none either: as a float it would be another number.
pub fn number(text: &str) -> Option<serde_json::Value> {
    if let Ok(value) = text.parse::<i64>() {
        return Some(value.into());
    }
    if is_whole(text) {
        return text.parse::<u64>().ok().map(Into::into);
    }
    if let Some(value) = text.strip_prefix("0x").and_then(|hex| i64::from_str_radix(hex, 16).ok()) {
        return Some(value.into());
    }
    text.parse::<f64>().ok().and_then(serde_json::Number::from_f64).map(serde_json::Value::Number)
}

/// Whether a text is a whole number in decimal notation, of any length.
pub fn is_whole(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}
