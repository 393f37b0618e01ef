//! What can go wrong with a registry. No text holds a credential, a token, or a URL with its query.

use std::time::Duration;

/// The same for the whole wait, so that it is told once.
fn waiting(after: Option<Duration>) -> String {
    after.map_or(String::new(), |wait| format!(": it asked for a pause of {}s and is not asked before", wait.as_secs()))
}

/// Why a registry could not be read, by what helps.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OciError {
    /// The agent's file does not allow what would have to be reached: the file, or the registry's host, is to be changed.
    #[error("the registry {registry} is not used: {reason}")]
    Forbidden {
        /// The registry's host.
        registry: String,
        /// What is not allowed, and by which setting it would be.
        reason: String,
    },
    /// The registry does not let these credentials read, or asks for some where there are none.
    #[error("the registry {registry} refuses: {reason}")]
    Denied {
        /// The registry's host.
        registry: String,
        /// Whom it refuses what.
        reason: String,
    },
    /// There is no such thing there.
    #[error("the registry {registry} has no {what}")]
    NotFound {
        /// The registry's host.
        registry: String,
        /// What was asked for.
        what: String,
    },
    /// The registry, or a host that it needs, cannot be reached or did not answer in time: later may be better.
    #[error("the registry {registry} cannot be reached: {reason}")]
    Unreachable {
        /// The registry's host.
        registry: String,
        /// What went wrong.
        reason: String,
    },
    /// The registry wants to be asked less often.
    #[error("the registry {registry} limits how often it is asked{}", waiting(*.after))]
    Throttled {
        /// The registry's host.
        registry: String,
        /// How long to wait, where it says so.
        after: Option<Duration>,
    },
    /// The registry answered something that cannot be relied on.
    #[error("the registry {registry} gave an answer that cannot be used: {reason}")]
    Malformed {
        /// The registry's host.
        registry: String,
        /// What is wrong with it.
        reason: String,
    },
    /// What was asked for cannot be asked: a name outside the grammar, or settings that do not work.
    #[error("the registry {registry} cannot be asked: {reason}")]
    Invalid {
        /// The registry's host, as it was written.
        registry: String,
        /// What is wrong.
        reason: String,
    },
}
