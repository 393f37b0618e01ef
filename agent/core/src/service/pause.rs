//! A pause: a tag on the service that makes Lockstep leave it alone. It is written by `lockstep pause`, or by hand.
//!
//! The value is `until=TIME by=WHO reason=WHY`; every part may be absent. A time that cannot be read means for ever: who
//! asks to be left alone is left alone.

use crate::{
    service::note::{Note, signed},
    tags::{Tags, tag_text},
};

/// The tag's name.
pub const PAUSE: &str = "lockstep:pause";

/// The name of the tag that pauses an environment, on its cluster.
pub fn environment_tag(environment: &str) -> String {
    format!("{PAUSE}/{environment}")
}

/// A pause as its tag says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Epoch seconds; none: until somebody ends it.
    pub until: Option<i64>,
    /// The time as it was written.
    pub written: String,
    /// Who asked for it.
    pub by: String,
    /// Why.
    pub reason: String,
}

impl Pause {
    /// Reads the tag's value.
    pub fn parse(value: &str) -> Self {
        let note = Note::read(value);
        Self {
            until: note.time("until"),
            written: note.value("until").to_owned(),
            by: note.value("by").to_owned(),
            reason: note.reason.clone(),
        }
    }

    /// The tag's value, with what tags do not allow left out.
    pub fn value(&self) -> String {
        let until = self.until.and_then(|until| jiff::Timestamp::from_second(until).ok());
        let until = until.map_or_else(String::new, |until| format!("until={until}"));
        tag_text(format!("{until}{}", signed(&self.by, &self.reason)).trim_start())
    }

    /// In words: `paused by ada until 2026-11-26T10:00:00Z: INC-4711`.
    pub fn text(&self) -> String {
        let mut text = "paused".to_owned();
        if !self.by.is_empty() {
            text = format!("{text} by {}", self.by);
        }
        text = match (self.until, self.written.is_empty()) {
            (Some(_), _) => format!("{text} until {}", self.written),
            (None, true) => format!("{text} until it is resumed"),
            (None, false) => format!("{text} until it is resumed (`{}` is not a time)", self.written),
        };
        if self.reason.is_empty() { text } else { format!("{text}: {}", self.reason) }
    }
}

/// The pause of a service that is in force at a moment (epoch seconds).
pub fn in_force(tags: &Tags, now: i64) -> Option<Pause> {
    by_tag(tags, PAUSE, now)
}

/// The pause of an environment that is in force at a moment, by the tags of its cluster.
pub fn of_environment(cluster_tags: &Tags, environment: &str, now: i64) -> Option<Pause> {
    by_tag(cluster_tags, &environment_tag(environment), now)
}

fn by_tag(tags: &Tags, name: &str, now: i64) -> Option<Pause> {
    let pause = Pause::parse(tags.get(name)?);
    pause.until.is_none_or(|until| until > now).then_some(pause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_survives_its_tag() {
        let pause = Pause {
            until: Some(1_795_687_200),
            written: "2026-11-26T10:00:00Z".into(),
            by: "ada@example.com".into(),
            reason: "INC-4711 db failover".into(),
        };
        assert_eq!(pause.value(), "until=2026-11-26T10:00:00Z by=ada@example.com reason=INC-4711 db failover");
        assert_eq!(Pause::parse(&pause.value()), pause);
        assert_eq!(pause.text(), "paused by ada@example.com until 2026-11-26T10:00:00Z: INC-4711 db failover");
    }

    // G6: a reason is shown as it was set, by hand too.
    #[test]
    fn a_reason_is_shown_as_it_was_set() {
        for (value, shown) in [
            ("INC-4711 db failover", "paused until it is resumed: INC-4711 db failover"),
            ("reason=two  spaces: a=b by=nobody", "paused until it is resumed: two  spaces: a=b by=nobody"),
            (
                "until=2026-11-26T10:00:00Z migration by=ada of the tables",
                "paused by ada until 2026-11-26T10:00:00Z: migration of the tables",
            ),
            ("ticket=7 by=Admin/ada", "paused by Admin/ada until it is resumed: ticket=7"),
            ("", "paused until it is resumed"),
        ] {
            assert_eq!(Pause::parse(value).text(), shown, "{value}");
        }
    }

    #[test]
    fn what_cannot_be_read_means_for_ever() {
        let tags = |value: &str| Tags::from([(PAUSE.to_owned(), value.to_owned())]);
        for value in ["", "until=tomorrow", "please leave", "by=ada", "until=2026-11-26T10:00:00Z"] {
            assert!(in_force(&tags(value), 1_000).is_some(), "{value}");
        }
        assert_eq!(in_force(&tags("until=2026-11-26T10:00:00Z"), 1_795_687_200), None);
        assert_eq!(in_force(&Tags::new(), 0), None);
    }

    /// K6: one cluster may hold several environments, each with its own pause.
    #[test]
    fn an_environment_is_paused_by_the_tag_that_names_it() {
        let tags = Tags::from([("lockstep:pause/prod".to_owned(), "until=2026-11-26T10:00:00Z by=ada".to_owned())]);
        assert_eq!(of_environment(&tags, "prod", 1_795_687_199).map(|pause| pause.by), Some("ada".to_owned()));
        assert_eq!(of_environment(&tags, "prod", 1_795_687_200), None);
        assert_eq!(of_environment(&tags, "prod-us", 0), None);
        assert_eq!(in_force(&tags, 0), None, "it is no pause of a service");
    }
}
