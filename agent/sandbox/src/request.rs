//! Reading members of a request, and cutting answers into pages.

use serde_json::{Map, Value};

use crate::ids::{hex, unhex};

/// The body of a request: a JSON object whose types have been checked against the service's shapes.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a>(pub(crate) &'a Map<String, Value>);

impl<'a> Request<'a> {
    pub(crate) fn get(self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub(crate) fn has(self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(crate) fn text(self, name: &str) -> Option<&'a str> {
        self.get(name)?.as_str()
    }

    pub(crate) fn flag(self, name: &str) -> Option<bool> {
        self.get(name)?.as_bool()
    }

    pub(crate) fn count(self, name: &str) -> Option<u32> {
        self.get(name)?.as_i64().and_then(|value| u32::try_from(value).ok())
    }

    pub(crate) fn list(self, name: &str) -> Option<&'a Vec<Value>> {
        self.get(name)?.as_array()
    }

    pub(crate) fn texts(self, name: &str) -> Vec<&'a str> {
        self.list(name).map(|items| items.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
    }

    /// Whether `include` asks for the part.
    pub(crate) fn includes(self, part: &str) -> bool {
        self.texts("include").contains(&part)
    }
}

/// How large a page is and where it starts.
pub(crate) struct Paging<'a> {
    pub(crate) token: Option<&'a str>,
    pub(crate) size: usize,
    /// Leave one item for the next page, as the real service may.
    pub(crate) short: bool,
}

/// A token that this sandbox did not issue.
#[derive(Debug)]
pub(crate) struct BadToken;

/// Cuts one page out of `items`, which carry their keys. A page starts after the key in the token,
/// so that items that come and go between two pages shift nothing.
pub(crate) fn page<T>(items: Vec<(String, T)>, paging: &Paging<'_>) -> Result<(Vec<T>, Option<String>), BadToken> {
    let from = match paging.token {
        None => 0,
        Some(token) => {
            let key = unhex(token).and_then(|bytes| String::from_utf8(bytes).ok()).ok_or(BadToken)?;
            let key = key.strip_prefix("after ").ok_or(BadToken)?;
            match items.iter().position(|(candidate, _)| candidate == key) {
                Some(at) => at + 1,
                None => items.partition_point(|(candidate, _)| candidate.as_str() <= key),
            }
        }
    };
    let size = if paging.short && paging.size > 1 { paging.size - 1 } else { paging.size };
    let more = items.len() > from + size;
    let mut last = String::new();
    let picked = items
        .into_iter()
        .skip(from)
        .take(size)
        .map(|(key, item)| {
            last = key;
            item
        })
        .collect();
    Ok((picked, more.then(|| hex(format!("after {last}").as_bytes()))))
}

/// Removes members with the value null: on the wire they mean the same as absent ones.
pub(crate) fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_survive_a_vanished_item() {
        let items =
            |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), (*name).to_owned())).collect::<Vec<_>>();
        let paging = Paging { token: None, size: 2, short: false };
        let (first, token) = page(items(&["a", "b", "c", "d"]), &paging).unwrap();
        assert_eq!(first, ["a", "b"]);
        let paging = Paging { token: token.as_deref(), size: 2, short: false };
        let (second, token) = page(items(&["a", "c", "d"]), &paging).unwrap();
        assert_eq!((second, token), (items(&["c", "d"]).into_iter().map(|(key, _)| key).collect(), None));
    }
}
