//! The old names of SQS, from before it spoke JSON: lists and maps are flattened and named in the singular.

use serde_json::{Map, Value, json};

use crate::wire::query::xml::element;

/// Lists of requests: the name in forms, the name in the model.
const LISTS: [(&str, &str); 4] = [
    ("AttributeName", "AttributeNames"),
    ("MessageSystemAttributeName", "MessageSystemAttributeNames"),
    ("MessageAttributeName", "MessageAttributeNames"),
    ("DeleteMessageBatchRequestEntry", "Entries"),
];

/// Maps of requests: the name in forms, the name in the model, and what its keys are called.
const MAPS: [(&str, &str, &str); 4] = [
    ("Attribute", "Attributes", "Name"),
    ("MessageAttribute", "MessageAttributes", "Name"),
    ("MessageSystemAttribute", "MessageSystemAttributes", "Name"),
    ("Tag", "tags", "Key"),
];

/// A form with the names of the model.
pub(super) fn widen(form: Map<String, Value>) -> Map<String, Value> {
    form.into_iter()
        .map(|(name, value)| {
            if let Some((_, list)) = LISTS.iter().find(|(flat, _)| *flat == name) {
                return ((*list).to_owned(), value);
            }
            if let Some((_, map, key)) = MAPS.iter().find(|(flat, _, _)| *flat == name) {
                return ((*map).to_owned(), entries(&value, key));
            }
            (name, value)
        })
        .collect()
}

fn entries(list: &Value, key: &str) -> Value {
    let items = list.as_array().into_iter().flatten();
    items.filter_map(|item| Some((item[key].as_str()?.to_owned(), item["Value"].clone()))).collect()
}

/// The XML of an answer, without the element around it.
pub(super) fn render(answer: &Value) -> String {
    let members = answer.as_object().into_iter().flatten();
    members.map(|(name, value)| member(name, value)).collect()
}

fn member(name: &str, value: &Value) -> String {
    let flat = match name {
        "Messages" => "Message",
        "Attributes" => "Attribute",
        "MessageAttributes" => "MessageAttribute",
        "Successful" => "DeleteMessageBatchResultEntry",
        "Failed" => "BatchResultErrorEntry",
        _ => return element(name, value),
    };
    match value {
        Value::Array(items) => items.iter().map(|item| format!("<{flat}>{}</{flat}>", render(item))).collect(),
        Value::Object(map) => {
            map.iter().map(|(key, value)| element(flat, &json!({ "Name": key, "Value": value }))).collect()
        }
        other => element(name, other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_from_singular_to_plural_and_back() {
        let form = json!({ "QueueName": "q", "Attribute": [{ "Name": "DelaySeconds", "Value": "5" }] });
        assert_eq!(
            Value::Object(widen(form.as_object().unwrap().clone())),
            json!({ "QueueName": "q", "Attributes": { "DelaySeconds": "5" } })
        );
        let answer = json!({ "Messages": [{ "Body": "a", "Attributes": { "SenderId": "b" } }] });
        assert_eq!(
            render(&answer),
            "<Message><Body>a</Body><Attribute><Name>SenderId</Name><Value>b</Value></Attribute></Message>"
        );
    }
}
