//! Values that look secret are never shown, and never kept. A guess that errs on the side of hiding: by the name of a
//! value, and by what its text holds. One set of rules for values, for texts inside of values, and for lines of a log.

mod json;
mod names;
mod text;

use lockstep_manifests::path::{Path, Step};
use serde_json::Value;

/// What stands for a value that is not shown.
const HIDDEN: &str = "•••";

/// The members that hold what people like; the other members have a fixed meaning.
const FREE: &[&str] = &[
    "environment",
    "dockerLabels",
    "options",
    "driverOpts",
    "labels",
    "properties",
    "tags",
    "command",
    "entryPoint",
    "hookDetails",
    "systemControls",
];

/// Whether a value at this path should be masked.
pub fn looks_secret(path: &Path, value: &Value) -> bool {
    let free = path.0.iter().position(|step| matches!(step, Step::Member(name) if is_free(name)));
    // Only what is free is named by people for what it holds: a container `auth` says nothing of its log level.
    let mut below = free.into_iter().flat_map(|at| &path.0[at..]);
    let is_named = below.any(|step| matches!(step, Step::Element(key) if names::is_secret(key)));
    is_named || value_looks_secret(value, free.is_some())
}

fn is_free(member: &str) -> bool {
    FREE.contains(&member)
}

fn value_looks_secret(value: &Value, is_free: bool) -> bool {
    match value {
        Value::String(text) => text_looks_secret(text, is_free),
        Value::Array(items) => items.iter().any(|item| value_looks_secret(item, is_free)) || words_look_secret(items),
        _ => false,
    }
}

fn text_looks_secret(text: &str, is_free: bool) -> bool {
    let found = if is_free { text::secrets(text) } else { text::by_look(text) };
    !found.is_empty()
}

/// A list of words is read as the line that it makes: `--token`, `x`.
fn words_look_secret(items: &[Value]) -> bool {
    let words: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
    let has_flag = words.iter().any(|word| {
        let flag = word.trim_start_matches('-');
        word.starts_with('-') && names::is_secret(flag.split(['=', ' ']).next().unwrap_or(flag))
    });
    has_flag || (words.len() > 1 && !text::secrets(&words.join(" ")).is_empty())
}

/// A block with its secret-looking leaves hidden; what is not secret stays readable.
pub fn redact(value: &Value) -> Value {
    replace(value, &mut |_| Value::String(HIDDEN.to_owned()))
}

/// A block with each of its secret-looking values replaced, in AWS's shape or in normal form.
pub fn replace(value: &Value, with: &mut dyn FnMut(&Value) -> Value) -> Value {
    replace_in(value, false, with)
}

fn replace_in(value: &Value, free: bool, with: &mut dyn FnMut(&Value) -> Value) -> Value {
    match value {
        Value::Object(map) => {
            // `{name: DB_PASSWORD, value: x}`, and a tag's `{key: …, value: …}`.
            let is_secret_pair = free
                && ["name", "key"]
                    .iter()
                    .any(|name| map.get(*name).and_then(Value::as_str).is_some_and(names::is_secret));
            let member = |(name, inner): (&String, &Value)| {
                let is_value = is_secret_pair && name == "value";
                let is_named = free && names::is_secret(name) && !matches!(name.as_str(), "key" | "keys");
                let inner = if (is_value || is_named) && !inner.is_null() {
                    with(inner)
                } else {
                    replace_in(inner, free || is_free(name), with)
                };
                (name.clone(), inner)
            };
            Value::Object(map.iter().map(member).collect())
        }
        Value::Array(items) if words_look_secret(items) => with(value),
        Value::Array(items) => Value::Array(items.iter().map(|item| replace_in(item, free, with)).collect()),
        Value::String(text) if text_looks_secret(text, free) => with(value),
        other => other.clone(),
    }
}

/// What [`line`] would hide of a text.
pub fn hidden(text: &str) -> Vec<&str> {
    text::secrets(text).into_iter().map(|range| &text[range]).collect()
}

/// A line of free text with what looks secret hidden.
pub fn line(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut at = 0;
    for range in text::secrets(text) {
        shown.push_str(&text[at..range.start]);
        shown.push_str(HIDDEN);
        at = range.end;
    }
    shown.push_str(&text[at..]);
    shown
}

#[cfg(test)]
mod tests;
