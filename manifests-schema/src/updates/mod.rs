//! `updates`: which new images of a container are taken, and how they are written back.

mod constraint;
mod pattern;
mod platform;
mod read;
pub mod version;

pub use constraint::{Constraint, ConstraintError};
pub use pattern::TagPattern;
pub use platform::Platform;
pub(crate) use read::{Parts, entries, merge, read, read_write};

use crate::source::Span;
use std::{fmt, time::Duration};

/// What is done with an image that a policy picks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WriteMode {
    /// A commit on the branch that is followed.
    #[default]
    Commit,
    /// Nothing: it is only reported.
    None,
}

/// How a policy picks one of the tags that it may take.
#[derive(Clone, Debug, PartialEq)]
pub enum Strategy {
    /// The highest version that satisfies a constraint.
    Semver {
        /// The constraint.
        range: Constraint,
        /// What cuts the version out of a tag; else the tag as a whole is one.
        from: Option<TagPattern>,
    },
    /// The highest row of numbers that the pattern captures: `12.5.10.3`, `2026.11.30-2`.
    Version(TagPattern),
    /// The image that was pushed last, of the tags that match.
    Newest(TagPattern),
    /// The highest number that the pattern captures.
    Numeric(TagPattern),
    /// The last text that the pattern captures, by its bytes.
    Alphabetical(TagPattern),
    /// What a moving tag points at.
    Digest(String),
    /// The same pin as another container of the environment.
    Follow {
        /// The other service.
        service: String,
        /// Its container.
        container: String,
    },
}

impl Strategy {
    /// The key that it is written under.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Semver { .. } => "semver",
            Self::Version(_) => "version",
            Self::Newest(_) => "newest",
            Self::Numeric(_) => "numeric",
            Self::Alphabetical(_) => "alphabetical",
            Self::Digest(_) => "digest",
            Self::Follow { .. } => "follow",
        }
    }
}

/// The image policy of a container in an environment.
#[derive(Clone, Debug)]
pub struct Policy {
    /// How it picks.
    pub strategy: Strategy,
    /// What the strategy's key says, as it is written.
    pub written: String,
    /// Patterns of which a tag must match one, where there are any.
    pub allow: Vec<TagPattern>,
    /// Patterns of which a tag must match none.
    pub ignore: Vec<TagPattern>,
    /// How long ago an image must have been pushed.
    pub min_age: Duration,
    /// The platforms that an image must have; the task definition's where none are named.
    pub platforms: Vec<Platform>,
    /// Whether a lower one than the pinned one may be taken.
    pub downgrade: bool,
    /// Why the pin is left alone, where it is.
    pub hold: Option<String>,
    /// Where the strategy is written.
    pub span: Span,
    /// Where `hold` is written.
    pub hold_span: Option<Span>,
}

/// Equal in what they pick; not in where they are written.
impl PartialEq for Policy {
    fn eq(&self, other: &Self) -> bool {
        self.strategy == other.strategy
            && self.allow == other.allow
            && self.ignore == other.ignore
            && self.min_age == other.min_age
            && self.platforms == other.platforms
            && self.downgrade == other.downgrade
            && self.hold == other.hold
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.strategy.key(), self.written)
    }
}
