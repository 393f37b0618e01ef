//! Deployments: the classic entry, the service deployment, the service revision.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::clock::Moment;
use crate::model::{Definition, DeploymentKey, Object, Shift};

/// `rolloutState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rollout {
    InProgress,
    Completed,
    Failed,
}

/// An entry of the classic deployments list.
#[derive(Debug, Clone)]
pub(crate) struct Deployment {
    pub(crate) key: DeploymentKey,
    pub(crate) id: String,
    pub(crate) revision: usize,
    pub(crate) desired: u32,
    pub(crate) created_at: Moment,
    pub(crate) updated_at: Moment,
    pub(crate) rollout: Rollout,
    pub(crate) reason: String,
    pub(crate) failed_tasks: u32,
    /// Failures that no replacement has made visible yet: (all, those that count for the breaker).
    pub(crate) unreported: (u32, u32),
    pub(crate) breaker_count: u32,
    /// Whether a task of it has ever reached RUNNING.
    pub(crate) seen_running: bool,
    /// The scheduler leaves it alone until then.
    pub(crate) launch_at: Moment,
    /// Rounds of start failures in a row.
    pub(crate) round: u32,
    /// No start before this moment.
    pub(crate) not_before: Option<Moment>,
    /// The last old task of this rollout was stopped then.
    pub(crate) source_stopped_at: Option<Moment>,
    /// All conditions but the waiting times have held since then.
    pub(crate) ready_since: Option<Moment>,
    /// A newer deployment took over; its pending tasks may be stopped from then on.
    pub(crate) superseded_at: Option<Moment>,
    pub(crate) deadlock_told: bool,
    pub(crate) breaker_scheduled: bool,
    /// AWS throttles the next start until then.
    pub(crate) throttled_until: Option<Moment>,
    /// An early success left its tasks behind; they go without holding anything up.
    pub(crate) retired: bool,
}

/// A rollback that is under way.
#[derive(Debug, Clone)]
pub(crate) struct Rollback {
    pub(crate) at: Moment,
    /// Position in the history.
    pub(crate) record: usize,
}

/// An immutable snapshot of the revisable members.
#[derive(Debug, Clone)]
pub(crate) struct Revision {
    pub(crate) arn: String,
    pub(crate) created_at: Moment,
    pub(crate) template: Object,
    pub(crate) definition: Arc<Definition>,
    /// Container name to digest, once resolved. `None`: not yet.
    pub(crate) digests: Option<BTreeMap<String, String>>,
    pub(crate) platform: Platform,
    /// Whether its tasks are in the alternate target group.
    pub(crate) alternate: bool,
}

/// Where the tasks of a revision run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Platform {
    pub(crate) fargate: bool,
    /// The name of a capacity provider, when one is used.
    pub(crate) provider: Option<String>,
    pub(crate) launch_type: String,
    /// Resolved, for Fargate.
    pub(crate) version: Option<String>,
}

/// `ServiceDeploymentStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Pending,
    InProgress,
    Successful,
    StopRequested,
    Stopped,
    RollbackRequested,
    RollbackInProgress,
    RollbackSuccessful,
    RollbackFailed,
}

impl Status {
    pub(crate) fn wire(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::InProgress => "IN_PROGRESS",
            Self::Successful => "SUCCESSFUL",
            Self::StopRequested => "STOP_REQUESTED",
            Self::Stopped => "STOPPED",
            Self::RollbackRequested => "ROLLBACK_REQUESTED",
            Self::RollbackInProgress => "ROLLBACK_IN_PROGRESS",
            Self::RollbackSuccessful => "ROLLBACK_SUCCESSFUL",
            Self::RollbackFailed => "ROLLBACK_FAILED",
        }
    }

    pub(crate) fn terminal(self) -> bool {
        matches!(self, Self::Successful | Self::Stopped | Self::RollbackSuccessful | Self::RollbackFailed)
    }
}

/// Status of the circuit breaker or of the alarms of a service deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Monitor {
    Disabled,
    Monitoring,
    Triggered,
    Complete,
}

impl Monitor {
    pub(crate) fn wire(self) -> &'static str {
        match self {
            Self::Disabled => "DISABLED",
            Self::Monitoring => "MONITORING",
            Self::Triggered => "TRIGGERED",
            Self::Complete => "MONITORING_COMPLETE",
        }
    }
}

/// Requested, running and pending tasks of a revision.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) requested: u32,
    pub(crate) running: u32,
    pub(crate) pending: u32,
}

/// A service deployment: the modern view of a rollout.
#[derive(Debug, Clone)]
pub(crate) struct ServiceDeployment {
    pub(crate) arn: String,
    pub(crate) deployment: DeploymentKey,
    pub(crate) target: usize,
    pub(crate) sources: Vec<usize>,
    pub(crate) status: Status,
    pub(crate) reason: Option<String>,
    pub(crate) created_at: Moment,
    pub(crate) updated_at: Moment,
    pub(crate) started_at: Option<Moment>,
    pub(crate) finished_at: Option<Moment>,
    pub(crate) stopped_at: Option<Moment>,
    pub(crate) configuration: Value,
    pub(crate) breaker: Monitor,
    pub(crate) breaker_count: u32,
    pub(crate) breaker_threshold: u32,
    pub(crate) alarms: Monitor,
    pub(crate) triggered_alarms: Vec<String>,
    pub(crate) shift: Option<Shift>,
    pub(crate) rollback: Option<RollbackRecord>,
    /// Counts at the end, by revision; live ones before.
    pub(crate) frozen: Option<BTreeMap<usize, Counts>>,
}

/// The `rollback` member of a service deployment.
#[derive(Debug, Clone)]
pub(crate) struct RollbackRecord {
    pub(crate) reason: String,
    pub(crate) at: Moment,
    pub(crate) revision: Option<usize>,
}
