//! Notes that people leave in tags: words of the form `key=value`, and a reason to the end of the line.

use std::collections::BTreeMap;

/// A note as it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Note<'a> {
    /// The values by their keys; of a key that is defined twice, the last one.
    pub(crate) values: BTreeMap<&'a str, &'a str>,
    /// Everything after `reason=`, and words without a key before it.
    pub(crate) reason: String,
}

impl<'a> Note<'a> {
    /// Reads a tag's value. What has no key that is known is the reason of somebody who set the tag by hand.
    pub(crate) fn read(value: &'a str) -> Self {
        let mut note = Self::default();
        let mut free: Vec<&str> = Vec::new();
        let mut rest = value.trim();
        while !rest.is_empty() {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            match word.split_once('=') {
                Some(("reason", _)) => {
                    // As it was written, to the end.
                    free.push(rest["reason=".len()..].trim());
                    break;
                }
                Some((key, value)) if KEYS.contains(&key) => {
                    note.values.insert(key, value);
                }
                _ => free.push(word),
            }
            rest = after.trim_start();
        }
        note.reason = free.join(" ");
        note
    }

    /// A value; empty where there is none.
    pub(crate) fn value(&self, key: &str) -> &'a str {
        self.values.get(key).copied().unwrap_or_default()
    }

    /// A moment, epoch seconds.
    pub(crate) fn time(&self, key: &str) -> Option<i64> {
        self.value(key).parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second)
    }
}

/// The keys that notes have, beside the reason.
const KEYS: [&str; 4] = ["until", "by", "count", "was"];

/// ` by=WHO reason=WHY`, as far as there are such.
pub(crate) fn signed(by: &str, reason: &str) -> String {
    let mut text = String::new();
    if !by.is_empty() {
        text.push_str(&format!(" by={}", by.replace(char::is_whitespace, "-")));
    }
    if !reason.is_empty() {
        text.push_str(&format!(" reason={reason}"));
    }
    text
}
