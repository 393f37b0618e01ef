//! XML of answers.

use serde_json::Value;

use crate::clock::Moment;

/// An element with what is in it. A list stands as one element with its items inside as `member`.
pub(super) fn element(name: &str, value: &Value) -> String {
    let inner: String = match value {
        Value::Object(members) => {
            members.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| element(name, value)).collect()
        }
        Value::Array(items) => items.iter().map(|item| element("member", item)).collect(),
        Value::String(text) => escape(text),
        // JSON has numbers for moments, XML has their texts.
        Value::Number(seconds) if name.ends_with("Timestamp") => {
            Moment::from_seconds(seconds.as_f64().unwrap_or_default()).iso_millis()
        }
        other => other.to_string(),
    };
    format!("<{name}>{inner}</{name}>")
}

pub(super) fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    // A reader of XML would take a bare carriage return for a line feed.
    text.replace('\r', "&#xD;")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_elements() {
        assert_eq!(element("A", &json!({ "B": "<", "C": 1, "D": null })), "<A><B>&lt;</B><C>1</C></A>");
        assert_eq!(element("L", &json!(["a", { "N": true }])), "<L><member>a</member><member><N>true</N></member></L>");
        assert_eq!(
            element("StateUpdatedTimestamp", &json!(1_700_000_000.25)),
            "<StateUpdatedTimestamp>2023-11-14T22:13:20.250Z</StateUpdatedTimestamp>"
        );
    }
}
