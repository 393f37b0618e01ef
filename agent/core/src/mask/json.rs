//! JSON inside of texts: an environment variable that is a whole configuration.

use super::{names, text};
use serde_json::Value;

/// How often JSON may be in a text of JSON.
const DEEPEST: usize = 4;

/// Whether a text is JSON that holds something secret.
pub(super) fn text_is_secret(text: &str) -> bool {
    is_secret_to(text, DEEPEST)
}

fn is_secret_to(text: &str, depth: usize) -> bool {
    let trimmed = text.trim();
    if depth == 0 || !trimmed.starts_with(['{', '[', '"']) {
        return false;
    }
    serde_json::from_str::<Value>(trimmed).is_ok_and(|value| value_is_secret(&value, depth))
}

fn value_is_secret(value: &Value, depth: usize) -> bool {
    match value {
        Value::Object(map) => {
            let named = ["name", "Name", "key", "Key"].iter().find_map(|name| map.get(*name)?.as_str());
            let is_pair =
                named.is_some_and(names::is_secret) && (map.contains_key("value") || map.contains_key("Value"));
            is_pair
                || map.iter().any(|(name, inner)| {
                    (names::is_secret(name) && says_something(inner)) || value_is_secret(inner, depth)
                })
        }
        Value::Array(items) => super::words_look_secret(items) || items.iter().any(|item| value_is_secret(item, depth)),
        Value::String(inner) => {
            is_secret_to(inner, depth - 1)
                || (!inner.trim_start().starts_with(['{', '[']) && !text::secrets(inner).is_empty())
        }
        _ => false,
    }
}

/// `"token": null` and `"auth": true` hide nothing.
fn says_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
        Value::Number(_) => true,
    }
}
