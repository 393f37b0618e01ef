//! Forms: from `a.b.member.1.c=x` to nested objects and lists.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// The members of a form. Where a name stands twice, the last one counts.
pub(super) fn parse(text: &str) -> Map<String, Value> {
    let mut root = BTreeMap::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        insert(&mut root, &decode(name), decode(value));
    }
    root.into_iter().map(|(name, node)| (name, node.value())).collect()
}

/// A part of a form: what stands at a name itself, or below it.
enum Node {
    Text(String),
    Members(BTreeMap<String, Node>),
}

fn insert(members: &mut BTreeMap<String, Node>, name: &str, text: String) {
    let Some((first, rest)) = name.split_once('.') else {
        members.insert(name.to_owned(), Node::Text(text));
        return;
    };
    let node = members.entry(first.to_owned()).or_insert_with(|| Node::Members(BTreeMap::new()));
    if let Node::Text(_) = node {
        *node = Node::Members(BTreeMap::new());
    }
    if let Node::Members(inner) = node {
        insert(inner, rest, text);
    }
}

impl Node {
    fn value(self) -> Value {
        let mut members = match self {
            Self::Text(text) => return Value::String(text),
            Self::Members(members) => members,
        };
        // A list is `member` with numbers below it, or flattened: the numbers alone.
        if members.len() == 1
            && let Some(node) = members.remove("member")
        {
            return match node {
                Self::Members(inner) if numbered(&inner) => list(inner),
                // `X.member=` is an empty list.
                Self::Text(text) if text.is_empty() => Value::Array(Vec::new()),
                other => Value::Object(Map::from_iter([("member".to_owned(), other.value())])),
            };
        }
        if numbered(&members) {
            return list(members);
        }
        members.into_iter().map(|(name, node)| (name, node.value())).collect()
    }
}

fn numbered(members: &BTreeMap<String, Node>) -> bool {
    !members.is_empty() && members.keys().all(|name| name.parse::<u32>().is_ok())
}

fn list(members: BTreeMap<String, Node>) -> Value {
    let mut items: Vec<(u32, Node)> =
        members.into_iter().map(|(name, node)| (name.parse().unwrap_or(u32::MAX), node)).collect();
    items.sort_by_key(|(at, _)| *at);
    items.into_iter().map(|(_, node)| node.value()).collect()
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[at], escaped) {
            (_, Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (b'+', _) => {
                out.push(b' ');
                at += 1;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn forms_are_decoded() {
        assert_eq!(decode("arn%3Aaws+x%2"), "arn:aws x%2");
    }

    #[test]
    fn names_with_dots_are_lists_and_objects() {
        let form = "A=1&L.member.2=b&L.member.1=a&L.member.10=c&S.T.member.1.Id=x&S.T.member.1.Port=80&F.1=f&E.member=";
        assert_eq!(
            Value::Object(parse(form)),
            json!({ "A": "1", "L": ["a", "b", "c"], "S": { "T": [{ "Id": "x", "Port": "80" }] }, "F": ["f"], "E": [] })
        );
    }
}
