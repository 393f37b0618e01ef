//! Notes that people leave in tags: words of the form `key=value`, and a reason to the end of the line.

use std::collections::BTreeMap;

/// A note as it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Note<'a> {
    /// The values by their keys; of a key that stands twice, the last one.
    pub(crate) values: BTreeMap<&'a str, &'a str>,
    /// Everything after `reason=`.
    pub(crate) reason: String,
}

impl<'a> Note<'a> {
    /// Reads a tag's value. Words without `=` are left out.
    pub(crate) fn read(value: &'a str) -> Self {
        let mut note = Self::default();
        let mut reason: Option<Vec<&str>> = None;
        for word in value.split_whitespace() {
            match (word.split_once('='), &mut reason) {
                (_, Some(words)) => words.push(word),
                (Some(("reason", first)), None) => reason = Some(vec![first]),
                (Some((key, value)), None) => {
                    note.values.insert(key, value);
                }
                (None, None) => {}
            }
        }
        note.reason = reason.unwrap_or_default().join(" ");
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
