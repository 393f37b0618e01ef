//! What AWS answered, as plain data. Readers fill it; nothing here knows how.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Tags of an object.
pub type Tags = BTreeMap<String, String>;

/// The answer to a question that may not have been asked, or may have failed. A failure is never an empty answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Reading<T> {
    /// Not asked yet.
    #[default]
    Unread,
    /// The call failed; the text says how.
    Failed(String),
    /// There is no such thing.
    Missing,
    /// This is it.
    Found(T),
}

impl<T> Reading<T> {
    /// What was found.
    pub fn found(&self) -> Option<&T> {
        match self {
            Reading::Found(value) => Some(value),
            _ => None,
        }
    }
}

/// A service as DescribeServices shows it.
#[derive(Clone, Debug, Default, PartialEq, Hash, Serialize, Deserialize)]
pub struct LiveService {
    /// Its ARN.
    pub arn: String,
    /// ACTIVE, DRAINING or INACTIVE.
    pub status: String,
    /// The members that CreateService has too, in its shape; Service Connect, volumes and lattice from the PRIMARY
    /// deployment.
    pub definition: Value,
    /// Its tags.
    pub tags: Tags,
    /// The task definition revision in use.
    pub task_definition: String,
    /// The deployment controller's type.
    pub controller: String,
    /// Whether ECS itself manages the service (Express).
    pub managed_by_ecs: bool,
    /// Counts.
    pub desired: i64,
    /// Tasks in RUNNING.
    pub running: i64,
    /// Tasks on the way there.
    pub pending: i64,
    /// The classic list of deployments, PRIMARY first.
    pub deployments: Vec<LiveDeployment>,
    /// ARN of the latest service deployment, where ECS names it.
    pub current_deployment: Option<String>,
    /// The latest events, newest first.
    pub events: Vec<String>,
}

/// One entry of a service's classic deployments.
#[derive(Clone, Debug, Default, PartialEq, Hash, Serialize, Deserialize)]
pub struct LiveDeployment {
    /// `ecs-svc/…`.
    pub id: String,
    /// PRIMARY or ACTIVE.
    pub status: String,
    /// IN_PROGRESS, COMPLETED or FAILED; empty where ECS gives none.
    pub rollout: String,
    /// ECS's words on it.
    pub reason: String,
    /// The task definition revision.
    pub task_definition: String,
    /// Counts.
    pub desired: i64,
    /// Tasks in RUNNING.
    pub running: i64,
    /// Tasks on the way there.
    pub pending: i64,
    /// Tasks that failed in a row.
    pub failed: i64,
}

impl LiveService {
    /// The PRIMARY deployment.
    pub fn primary(&self) -> Option<&LiveDeployment> {
        self.deployments.iter().find(|deployment| deployment.status == "PRIMARY")
    }
}

/// A task definition revision.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Revision {
    /// Its ARN.
    pub arn: String,
    /// RegisterTaskDefinition's members, without tags.
    pub definition: Value,
    /// Its tags.
    pub tags: Tags,
    /// Whether it is ACTIVE.
    pub active: bool,
}

/// A service revision: what a deployment was to bring. Immutable.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceRevision {
    /// Its ARN.
    pub arn: String,
    /// The ARN of its task definition revision.
    pub task_definition: String,
    /// Its members that CreateService has too.
    pub members: Value,
}

/// A service deployment of ECS's own history, with what it was to bring.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PastDeployment {
    /// Its ARN.
    pub arn: String,
    /// Its status, as ECS writes it.
    pub status: String,
    /// ECS's words on the status.
    pub reason: String,
    /// The target service revision's members, in CreateService's shape.
    pub service: Value,
    /// The target's task definition revision.
    pub revision: Revision,
}

impl PastDeployment {
    /// Whether ECS failed, rolled back or stopped it.
    pub fn has_failed(&self) -> bool {
        matches!(self.status.as_str(), "ROLLBACK_SUCCESSFUL" | "ROLLBACK_FAILED" | "STOPPED")
    }

    /// Whether ECS is still taking it back.
    pub fn is_rolling_back(&self) -> bool {
        matches!(self.status.as_str(), "ROLLBACK_REQUESTED" | "ROLLBACK_IN_PROGRESS" | "STOP_REQUESTED")
    }

    /// Whether its outcome is open.
    pub fn is_open(&self) -> bool {
        matches!(self.status.as_str(), "PENDING" | "IN_PROGRESS") || self.is_rolling_back()
    }
}

/// ECS's deployment history of a service, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum History {
    /// As far as it was read.
    Known(Vec<PastDeployment>),
    /// The endpoint has no such operations: writes go on without the check, and the plan says so.
    Unsupported,
}

/// Everything that was read of one service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observation {
    /// The service.
    pub service: Reading<LiveService>,
    /// The task definition revision in use.
    pub revision: Reading<Revision>,
    /// A revision that is known to have the desired content, from the index of hashes.
    pub known: Option<Revision>,
    /// The family's newest ACTIVE revision.
    pub newest: Reading<Revision>,
    /// The deployment history.
    pub history: Reading<History>,
    /// Whether a scalable target owns the desired count.
    pub scalable: Reading<()>,
    /// Why the newest failed deployment failed, in short, where it was found out.
    pub cause: Option<String>,
}

/// A question that the planner needs answered before it can decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// The task definition revision in use.
    Revision,
    /// The family's newest ACTIVE revision.
    Newest,
    /// The deployment history.
    History,
    /// Whether there is a scalable target.
    Scalable,
    /// Why the newest deployment failed.
    Cause,
}
