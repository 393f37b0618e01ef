//! What a round is to do: the agent's own rounds, and what a person orders.

use super::plan::Restart;
use std::collections::BTreeSet;

/// What a round is to do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Orders {
    /// Whether anything may be written.
    pub write: bool,
    /// Whether a person ordered it: then observed environments are written too.
    pub by_hand: bool,
    /// Whether it is the first round of a person's order: failures from before do not count against it.
    pub begins: bool,
    /// Whether services that are not ours yet are adopted.
    pub adopt: bool,
    /// Whether a state that ECS rejected is tried once more.
    pub retry: bool,
    /// A person's order to deploy what runs once more.
    pub restart: Option<Restart>,
    /// Whether a person confirmed that many services may be removed.
    pub prune: bool,
    /// The removals that a person was shown, as `environment/service`: no others are made. None for the agent's own.
    pub removals: Option<BTreeSet<String>>,
    /// Whether to plan as if nothing were paused, to show what a pause holds back.
    pub unpaused: bool,
    /// Whether the round only looks because something else waits for it: nothing is written, told or published.
    pub only_looks: bool,
    /// Whether services that are no longer declared are looked for where the environment does not prune, too.
    pub orphans: bool,
    /// Whether everything is observed, however young the last observation is.
    pub everything: bool,
    /// The environments; all where none are named.
    pub environments: BTreeSet<String>,
    /// The services; all where none are named.
    pub services: BTreeSet<String>,
}

impl Orders {
    /// What the agent's own rounds do.
    pub fn agent() -> Self {
        Self { write: true, orphans: true, ..Self::default() }
    }

    /// Whether a service is meant.
    pub fn covers(&self, service: &str) -> bool {
        self.services.is_empty() || self.services.contains(service)
    }

    /// Whether an environment is meant.
    pub fn covers_environment(&self, environment: &str) -> bool {
        self.environments.is_empty() || self.environments.contains(environment)
    }
}
