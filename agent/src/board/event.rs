//! What happens in rounds, for those who watch: the log, `sync`'s progress, the demo. Values only.

use lockstep_core::{
    compare::diff::Change,
    fleet::turn::{Condition, Turn},
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
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "event")]
pub enum Event {
    /// Another commit is followed.
    Commit {
        /// The source.
        source: String,
        /// Its id.
        commit: String,
        /// The first line of its message.
        summary: String,
    },
    /// A service was written.
    Wrote {
        /// The environment.
        environment: String,
        /// The service.
        service: String,
        /// Why.
        trigger: Trigger,
        /// What was done.
        actions: Vec<ActionKind>,
        /// What changed by it.
        changes: Vec<Change>,
    },
    /// A write failed.
    Failed {
        /// The environment.
        environment: String,
        /// The service.
        service: String,
        /// Why.
        reason: String,
    },
    /// The verdict on a service is another one.
    Verdict {
        /// The environment.
        environment: String,
        /// The service.
        service: String,
        /// The verdict.
        verdict: Verdict,
        /// In words.
        text: String,
        /// The commit that it is about: the one that last changed the service, else the branch's.
        commit: String,
    },
    /// A rollout that is under way has a first failed task, or tells of other trouble.
    Failing {
        /// The environment.
        environment: String,
        /// The service.
        service: String,
        /// What failed.
        text: String,
        /// The last lines of the log of the container that failed.
        log: Vec<String>,
    },
    /// A condition of services began or ended.
    Turned {
        /// The environment.
        environment: String,
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
        /// The environment.
        environment: String,
        /// The service.
        service: String,
        /// When, epoch seconds.
        at: i64,
        /// ECS's words.
        text: String,
    },
    /// The branch was rewritten: what was followed is not in its history any more.
    Rewritten {
        /// The source.
        source: String,
        /// The commit that was followed.
        from: String,
        /// The commit that is followed now.
        to: String,
    },
    /// Pins were moved by a commit of ours.
    Bumped {
        /// The source.
        source: String,
        /// The commit.
        commit: String,
        /// The first line of its message.
        summary: String,
        /// The pins with what they said and say.
        bumps: Vec<String>,
    },
    /// A person holds a pin.
    Held {
        /// The source.
        source: String,
        /// The pin.
        pin: String,
        /// Who, since when, and what is waiting.
        text: String,
    },
    /// New images could not be written back.
    NotWritten {
        /// The source.
        source: String,
        /// Why.
        reason: String,
    },
    /// The repository cannot be read.
    Unreadable {
        /// The source.
        source: String,
        /// Why.
        reason: String,
    },
    /// The repository can be read again.
    Readable {
        /// The source.
        source: String,
    },
}

/// Services that a line of the log names; the others are counted.
const NAMED: usize = 5;

impl Event {
    /// Writes it into the log.
    pub fn log(&self) {
        match self {
            Event::Wrote { environment, service, trigger, actions, changes } => {
                let changed: Vec<&str> = changes.iter().map(|change| change.path.as_str()).collect();
                let changed = changed.join(", ");
                tracing::info!(environment, service, ?trigger, ?actions, changed, "wrote");
            }
            Event::Failed { environment, service, reason } => {
                tracing::warn!(environment, service, reason, "a write failed");
            }
            Event::Verdict { environment, service, verdict, text, commit } => {
                if matches!(verdict, Verdict::Rejected | Verdict::Stalled) {
                    tracing::warn!(environment, service, ?verdict, commit, text, "verdict");
                } else {
                    tracing::info!(environment, service, ?verdict, commit, text, "verdict");
                }
            }
            Event::Said { .. } => {}
            Event::Failing { environment, service, text, log } => {
                let log = log.join(" | ");
                tracing::warn!(environment, service, text, log, "the rollout has a failure");
            }
            Event::Turned { environment, services, condition, begins, text } => {
                let services = names(services);
                match (condition, begins) {
                    (Condition::Unknown, true) => {
                        tracing::warn!(environment, services, reason = text, "the state is unknown");
                    }
                    (Condition::Unknown, false) => tracing::info!(environment, services, "the state is known again"),
                    (Condition::Paused, true) => tracing::info!(environment, services, pause = text, "paused"),
                    (Condition::Paused, false) => tracing::info!(environment, services, "not paused any more"),
                    (Condition::Contested, true) => {
                        tracing::warn!(environment, services, reason = text, "contested");
                    }
                    (Condition::Contested, false) => {
                        tracing::info!(environment, services, "not contested any more");
                    }
                }
            }
            Event::Readable { source } => tracing::info!(source, "the repository can be read again"),
            Event::Commit { source, commit, summary } => tracing::info!(source, commit, summary, "following"),
            Event::Rewritten { source, from, to } => {
                tracing::warn!(source, from, to, "the branch was rewritten; it is followed");
            }
            Event::Bumped { source, commit, summary, bumps } => {
                let bumps = bumps.join(", ");
                tracing::info!(source, commit, summary, bumps, "new images were committed");
            }
            Event::Held { source, pin, text } => tracing::info!(source, pin, text, "a pin is held"),
            Event::NotWritten { source, reason } => tracing::warn!(source, reason, "new images are not written back"),
            Event::Unreadable { source, reason } => {
                tracing::warn!(source, reason, "the repository cannot be read")
            }
        }
    }
}

/// Services in one line.
fn names(services: &[String]) -> String {
    let shown = services.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match services.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

impl Event {
    /// A condition of an environment's services that began or ended.
    pub fn turned(environment: &str, turn: Turn) -> Self {
        let Turn { condition, begins, text, services } = turn;
        Self::Turned { environment: environment.to_owned(), services, condition, begins, text }
    }
}
