//! What happens, for whoever watches: the log, a command's progress, the demo. An envelope says when and of what; a closed
//! list says what.

use crate::{
    compare::diff::Change,
    fleet::condition::{self, Condition},
    report::{ActionKind, Verdict},
};
use serde::Serialize;

/// Why a service is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Trigger {
    /// The service does not exist yet.
    Create,
    /// Its desired state changed.
    Change,
    /// What runs was changed by somebody else.
    Drift,
    /// It is no longer declared.
    Removed,
    /// A person ordered to deploy what runs once more.
    Restart,
}

impl Trigger {
    /// In one word, as data has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Change => "change",
            Self::Drift => "drift",
            Self::Removed => "removed",
            Self::Restart => "restart",
        }
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// When, epoch seconds; by AWS's clock where it is about AWS.
    pub at: i64,
    /// Where.
    #[serde(flatten)]
    pub of: Subject,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What an event is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// The source.
    pub source: String,
    /// The commit: the one that last changed the service, else the branch's; empty where none is known.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub commit: String,
    /// The environment; empty for a whole source.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub environment: String,
    /// The service; empty for a whole environment.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub service: String,
}

impl Subject {
    /// A whole source.
    pub fn source(source: &str) -> Self {
        Self { source: source.to_owned(), ..Self::default() }
    }

    /// `environment/service`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.environment, self.service)
    }
}

/// What happened. A closed list.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "event")]
pub enum What {
    /// Another commit is followed.
    Commit {
        /// The first line of its message.
        summary: String,
    },
    /// A service was written.
    Wrote {
        /// Why.
        trigger: Trigger,
        /// What was done.
        actions: Vec<ActionKind>,
        /// What changed by it.
        changes: Vec<Change>,
    },
    /// A write failed.
    Failed {
        /// Why.
        reason: String,
    },
    /// The verdict on a service is another one.
    Verdict {
        /// The verdict.
        verdict: Verdict,
        /// In words.
        text: String,
    },
    /// A rollout that is under way has a first failed task, or shows other trouble.
    Failing {
        /// What failed.
        text: String,
        /// The last lines of the log of the container that failed.
        log: Vec<String>,
    },
    /// A condition of services began or ended.
    Turned {
        /// The services.
        services: Vec<String>,
        /// The condition.
        condition: Condition,
        /// Whether it began.
        begins: bool,
        /// Why, where it began.
        text: String,
    },
    /// ECS said something of a service, for those who watch a person's order. It is not logged.
    Said {
        /// ECS's words.
        text: String,
    },
    /// The branch was rewritten: what was followed is not in its history any more.
    Rewritten {
        /// The commit that was followed.
        from: String,
    },
    /// Pins were moved by a commit of ours.
    Bumped {
        /// The first line of its message.
        summary: String,
        /// The pins with what they said and say.
        bumps: Vec<String>,
    },
    /// A person holds a pin.
    Held {
        /// The pin.
        pin: String,
        /// Who, since when, and what is waiting.
        text: String,
    },
    /// New images could not be written back.
    NotWritten {
        /// Why.
        reason: String,
    },
    /// The repository cannot be read.
    Unreadable {
        /// Why.
        reason: String,
    },
    /// The repository can be read again.
    Readable,
}

impl From<condition::Change> for What {
    fn from(condition::Change { condition, begins, text, services }: condition::Change) -> Self {
        Self::Turned { services, condition, begins, text }
    }
}
