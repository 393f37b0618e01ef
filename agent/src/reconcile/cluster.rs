//! The cluster's tags: whether an environment as a whole is paused. Read once in a round that reads services, and again
//! before a write that starts a deployment.

use crate::aws::{Clients, Remedy};
use lockstep_core::{
    observed::Reading,
    report::{Reason, Withheld},
    service::pause::{self, Pause},
    tags::Tags,
};
use lockstep_manifests::Environment;
use std::time::Duration;
use tokio::time::Instant;

/// How old the tags may be when a deployment is started.
const FRESH: Duration = Duration::from_secs(1);

/// What is known of a cluster's tags.
#[derive(Clone, Debug, Default)]
pub(super) struct ClusterTags {
    read_at: Option<Instant>,
    known: Option<Tags>,
    environment: String,
    now: i64,
    /// Why they may never be read: a permission is missing, or the endpoint has no such thing.
    denied: Option<String>,
    /// Why they could not be read now.
    failed: Option<String>,
}

impl ClusterTags {
    /// What a round goes by: read anew where the round reads services.
    pub(super) async fn look(&mut self, clients: &Clients, environment: &Environment, reads: bool) -> Self {
        if reads {
            self.read(clients, environment).await;
        }
        environment.name.clone_into(&mut self.environment);
        self.now = clients.now();
        self.clone()
    }

    async fn read(&mut self, clients: &Clients, environment: &Environment) {
        self.read_at = Some(Instant::now());
        (self.denied, self.failed) = (None, None);
        match clients.cluster(&environment.cluster).await {
            Ok((_, tags)) => self.known = Some(tags),
            Err(error) if matches!(error.remedy, Remedy::Denied | Remedy::Unsupported) => {
                self.denied = Some(error.to_string());
            }
            // What was known stays in force.
            Err(error) => self.failed = Some(error.to_string()),
        }
    }

    /// The pause of the environment: unread where nobody may know, so that pauses are tags of each service.
    pub(super) fn pause(&self) -> Reading<Pause> {
        match (&self.known, &self.denied, &self.failed) {
            (_, Some(_), _) => Reading::Unread,
            (None, None, Some(text)) => Reading::Failed(text.clone()),
            (None, None, None) => Reading::Unread,
            (Some(tags), None, _) => match pause::of_environment(tags, &self.environment, self.now) {
                Some(pause) => Reading::Found(pause),
                None => Reading::Missing,
            },
        }
    }

    /// The pause as it is now, before a deployment is started; nothing where it was read a moment ago, or may not be read.
    pub(super) async fn pause_now(&self, clients: &Clients, environment: &Environment) -> Option<Reading<Pause>> {
        if self.denied.is_some() || self.read_at.is_some_and(|at| at.elapsed() < FRESH) {
            return None;
        }
        Some(self.clone().look(clients, environment, true).await.pause())
    }

    /// What people should know of it.
    pub(super) fn says(&self) -> Option<Withheld> {
        let (reason, text) = match (&self.denied, self.pause()) {
            (Some(text), _) => (
                Reason::Unread,
                format!(
                    "the cluster's tags are not read, so that only services can be paused, not the environment: {text}"
                ),
            ),
            (None, Reading::Found(pause)) => (Reason::Paused, format!("the environment is {}", pause.text())),
            _ => return None,
        };
        Some(Withheld { reason, text, changes: Vec::new() })
    }
}
