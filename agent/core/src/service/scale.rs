//! A count for a while: a tag on the service that makes Lockstep leave the desired count alone, and put it back at the
//! end. It is written by `lockstep scale`.
//!
//! The value is `count=N was=M until=TIME by=WHO reason=WHY`. Where a scalable target owns the count, it speaks of the
//! target's minimum.

use crate::{
    service::note::{Note, signed},
    tags::{Tags, tag_text},
};

/// The tag's name.
pub const SCALE: &str = "lockstep:scale";

/// A count for a while, as its tag says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scale {
    /// The count, or the scalable target's minimum.
    pub count: i64,
    /// What it was before.
    pub was: i64,
    /// When it ends, epoch seconds. None: nobody can read when, so it does not end by itself.
    pub until: Option<i64>,
    /// Who asked for it.
    pub by: String,
    /// Why.
    pub reason: String,
}

impl Scale {
    /// What the tags of a service say. A tag that names no counts says nothing.
    pub fn of(tags: &Tags) -> Option<Self> {
        let note = Note::read(tags.get(SCALE)?);
        Some(Self {
            count: note.value("count").parse().ok()?,
            was: note.value("was").parse().ok()?,
            until: note.time("until"),
            by: note.value("by").to_owned(),
            reason: note.reason.clone(),
        })
    }

    /// The tag's value, with what tags do not allow left out.
    pub fn value(&self) -> String {
        let until = self.until.and_then(|until| jiff::Timestamp::from_second(until).ok());
        let until = until.map_or_else(String::new, |until| format!(" until={until}"));
        tag_text(&format!("count={} was={}{until}{}", self.count, self.was, signed(&self.by, &self.reason)))
    }

    /// Whether it is over at a moment (epoch seconds).
    pub fn is_over(&self, now: i64) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// In words: `scaled to 10 by ada until 2026-11-26T10:00:00Z (before: 3): INC-4711`.
    pub fn text(&self) -> String {
        let by = if self.by.is_empty() { String::new() } else { format!(" by {}", self.by) };
        let until = match self.until.and_then(|until| jiff::Timestamp::from_second(until).ok()) {
            Some(until) => format!(" until {until}"),
            None => " until somebody ends it".to_owned(),
        };
        let text = format!("scaled to {}{by}{until} (before: {})", self.count, self.was);
        if self.reason.is_empty() { text } else { format!("{text}: {}", self.reason) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_survives_its_tag() {
        let scale = Scale {
            count: 10,
            was: 3,
            until: Some(1_795_687_200),
            by: "ada".into(),
            reason: "INC-4711 black friday".into(),
        };
        assert_eq!(scale.value(), "count=10 was=3 until=2026-11-26T10:00:00Z by=ada reason=INC-4711 black friday");
        let tags = |value: &str| Tags::from([(SCALE.to_owned(), value.to_owned())]);
        assert_eq!(Scale::of(&tags(&scale.value())), Some(scale.clone()));
        assert_eq!(scale.text(), "scaled to 10 by ada until 2026-11-26T10:00:00Z (before: 3): INC-4711 black friday");
        assert_eq!((scale.is_over(1_795_687_199), scale.is_over(1_795_687_200)), (false, true));
    }

    #[test]
    fn what_cannot_be_read_is_no_order_and_no_end() {
        let of = |value: &str| Scale::of(&Tags::from([(SCALE.to_owned(), value.to_owned())]));
        for value in ["", "count=ten was=3", "count=10", "was=3 until=2026-11-26T10:00:00Z", "reason=count=1 was=2"] {
            assert_eq!(of(value), None, "{value}");
        }
        let endless = of("count=10 was=3 until=soon").unwrap();
        assert!(!endless.is_over(i64::MAX));
        assert_eq!(endless.text(), "scaled to 10 until somebody ends it (before: 3)");
    }
}
