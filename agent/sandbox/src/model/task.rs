//! Tasks.

use std::sync::Arc;

use serde_json::Value;

use crate::behaviour::Behaviour;
use crate::clock::Moment;
use crate::model::{Definition, DeploymentKey, Object, Platform, ServiceKey, TaskKey};

/// `lastStatus` of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Provisioning,
    Pending,
    Activating,
    Running,
    Deactivating,
    Stopping,
    Deprovisioning,
    Stopped,
}

impl Phase {
    pub(crate) fn wire(self) -> &'static str {
        match self {
            Self::Provisioning => "PROVISIONING",
            Self::Pending => "PENDING",
            Self::Activating => "ACTIVATING",
            Self::Running => "RUNNING",
            Self::Deactivating => "DEACTIVATING",
            Self::Stopping => "STOPPING",
            Self::Deprovisioning => "DEPROVISIONING",
            Self::Stopped => "STOPPED",
        }
    }
}

/// Why a task stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stop {
    pub(crate) code: &'static str,
    pub(crate) reason: String,
    pub(crate) at: Moment,
}

/// A target in a target group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// The task has no load balancer.
    None,
    Waiting,
    Registered,
    Gone,
}

/// `healthStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    Unknown,
    Healthy,
    Unhealthy,
}

impl Health {
    pub(crate) fn wire(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Healthy => "HEALTHY",
            Self::Unhealthy => "UNHEALTHY",
        }
    }
}

/// A container of a task.
#[derive(Debug, Clone)]
pub(crate) struct TaskContainer {
    pub(crate) arn: String,
    pub(crate) name: String,
    pub(crate) image: String,
    pub(crate) digest: Option<String>,
    pub(crate) runtime_id: Option<String>,
    pub(crate) exit_code: Option<i32>,
    pub(crate) reason: Option<String>,
}

/// The network interface of a task.
#[derive(Debug, Clone)]
pub(crate) struct Interface {
    pub(crate) attachment: String,
    pub(crate) id: String,
    pub(crate) mac: String,
    pub(crate) ip: String,
    pub(crate) subnet: String,
}

/// A task.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) key: TaskKey,
    pub(crate) id: String,
    pub(crate) arn: String,
    pub(crate) cluster: String,
    pub(crate) service: Option<(ServiceKey, DeploymentKey)>,
    pub(crate) revision: Option<usize>,
    pub(crate) group: String,
    pub(crate) started_by: Option<String>,
    pub(crate) definition: Arc<Definition>,
    pub(crate) platform: Platform,
    pub(crate) interface: Option<Interface>,
    pub(crate) instance: Option<String>,
    pub(crate) zone: String,
    pub(crate) execute_command: bool,
    pub(crate) overrides: Object,
    pub(crate) tags: Vec<Value>,
    pub(crate) containers: Vec<TaskContainer>,
    pub(crate) phase: Phase,
    pub(crate) stop: Option<Stop>,
    pub(crate) version: u64,
    pub(crate) target: Target,
    /// What the containers' own checks say.
    pub(crate) health: Health,
    /// Counts as healthy for the scheduler.
    pub(crate) healthy: bool,
    /// What its image does; known from the pull on.
    pub(crate) behaviour: Behaviour,
    /// The container that fails, by position.
    pub(crate) failing: usize,
    /// The load balancer finds it healthy.
    pub(crate) target_healthy: bool,
    /// The round of start failures that it belongs to.
    pub(crate) round: u32,
    pub(crate) created_at: Moment,
    pub(crate) connectivity_at: Option<Moment>,
    pub(crate) pull_started_at: Option<Moment>,
    pub(crate) pull_stopped_at: Option<Moment>,
    pub(crate) started_at: Option<Moment>,
    pub(crate) execution_stopped_at: Option<Moment>,
    pub(crate) stopped_at: Option<Moment>,
}

impl Task {
    /// Wanted to run, whether it does yet or not.
    pub(crate) fn live(&self) -> bool {
        self.stop.is_none()
    }

    pub(crate) fn running(&self) -> bool {
        self.live() && self.phase == Phase::Running
    }

    pub(crate) fn pending(&self) -> bool {
        self.live() && self.phase < Phase::Running
    }
}
