//! The objects of ECS: clusters, task definitions, services, deployments, tasks.
//!
//! Plain data of one account in one region. Operations (`ecs`) and the simulation (`sim`) change
//! it; nothing here knows of time passing or of the wire.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::behaviour::Behaviour;
use crate::clock::Moment;
use crate::ids::Ids;
use crate::place::Place;
use crate::sim::queue::Queue;

/// A JSON object.
pub(crate) type Object = Map<String, Value>;

macro_rules! key {
    ($name:ident, $what:literal) => {
        #[doc = $what]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) struct $name(pub(crate) u64);
    };
}
key!(
    ServiceKey,
    "Identifies a service within its world, also among namesakes."
);
key!(
    DeploymentKey,
    "Identifies an entry of the classic deployments list."
);
key!(TaskKey, "Identifies a task; keys grow with time.");

/// ECS in one account and region.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) place: Place,
    pub(crate) ids: Ids,
    pub(crate) last_key: u64,
    pub(crate) clusters: BTreeMap<String, Cluster>,
    pub(crate) families: BTreeMap<String, BTreeMap<u32, TaskDefinition>>,
    pub(crate) services: BTreeMap<ServiceKey, Service>,
    /// The latest service of a (cluster, name).
    pub(crate) names: BTreeMap<(String, String), ServiceKey>,
    pub(crate) tasks: BTreeMap<TaskKey, Task>,
    pub(crate) task_ids: HashMap<String, TaskKey>,
    /// Which create call a client token stands for.
    pub(crate) tokens: HashMap<(String, String), (Object, ServiceKey)>,
    pub(crate) queue: Queue,
}

impl World {
    pub(crate) fn new(place: Place, seed: u64) -> Self {
        let ids = Ids::new(seed, &format!("{} {}", place.account, place.region));
        Self {
            place,
            ids,
            last_key: 0,
            clusters: BTreeMap::new(),
            families: BTreeMap::new(),
            services: BTreeMap::new(),
            names: BTreeMap::new(),
            tasks: BTreeMap::new(),
            task_ids: HashMap::new(),
            tokens: HashMap::new(),
            queue: Queue::default(),
        }
    }

    pub(crate) fn next_key(&mut self) -> u64 {
        self.last_key += 1;
        self.last_key
    }

    pub(crate) fn ecs_arn(&self, rest: impl std::fmt::Display) -> String {
        self.place.arn("ecs", rest)
    }
}

/// A cluster.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    pub(crate) name: String,
    pub(crate) active: bool,
    /// Settings, capacity providers, Service Connect defaults: as on the wire.
    pub(crate) wire: Object,
    pub(crate) tags: Vec<Value>,
    pub(crate) instances: u32,
}

/// A registered revision with its state.
#[derive(Debug, Clone)]
pub(crate) struct TaskDefinition {
    pub(crate) definition: Arc<Definition>,
    pub(crate) active: bool,
    pub(crate) deregistered_at: Option<Moment>,
    pub(crate) tags: Vec<Value>,
}

/// The immutable part of a task definition.
#[derive(Debug)]
pub(crate) struct Definition {
    pub(crate) arn: String,
    pub(crate) family: String,
    pub(crate) revision: u32,
    pub(crate) wire: Object,
    pub(crate) containers: Vec<Container>,
    pub(crate) awsvpc: bool,
}

/// What the simulation needs to know of a container definition.
#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) name: String,
    pub(crate) image: String,
    pub(crate) essential: bool,
    pub(crate) consistent: bool,
    pub(crate) secrets: Vec<String>,
    pub(crate) check: Option<HealthCheck>,
}

/// A container health check.
#[derive(Debug)]
pub(crate) struct HealthCheck {
    pub(crate) interval: Duration,
    pub(crate) retries: u32,
    pub(crate) start_period: Duration,
}

/// The state of a service as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServiceStatus {
    Active,
    Draining,
    Inactive,
}

/// A service.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) key: ServiceKey,
    pub(crate) cluster: String,
    pub(crate) name: String,
    pub(crate) arn: String,
    pub(crate) status: ServiceStatus,
    pub(crate) created_at: Moment,
    pub(crate) created_by: String,
    pub(crate) daemon: bool,
    pub(crate) desired: u32,
    /// Members that no revision holds: `deploymentConfiguration`, placement, and so on.
    pub(crate) settings: Object,
    pub(crate) tags: Vec<Value>,
    /// The first one is PRIMARY.
    pub(crate) deployments: Vec<Deployment>,
    /// Oldest first.
    pub(crate) history: Vec<ServiceDeployment>,
    pub(crate) revisions: Vec<Revision>,
    pub(crate) rollback: Option<Rollback>,
    /// Newest first.
    pub(crate) events: VecDeque<ServiceEvent>,
    /// Tasks that are not STOPPED yet.
    pub(crate) tasks: Vec<TaskKey>,
    pub(crate) steady: bool,
    /// Counts changes between steady and not, so that an old timer can be told from a new one.
    pub(crate) steady_round: u64,
}

impl Service {
    pub(crate) fn primary(&self) -> &Deployment {
        &self.deployments[0]
    }

    pub(crate) fn deployment(&self, key: DeploymentKey) -> Option<&Deployment> {
        self.deployments
            .iter()
            .find(|deployment| deployment.key == key)
    }

    pub(crate) fn deployment_mut(&mut self, key: DeploymentKey) -> Option<&mut Deployment> {
        self.deployments
            .iter_mut()
            .find(|deployment| deployment.key == key)
    }

    /// The revisable members that are in force.
    pub(crate) fn template(&self) -> &Object {
        &self.revisions[self.primary().revision].template
    }

    pub(crate) fn configuration(&self) -> &Value {
        self.settings
            .get("deploymentConfiguration")
            .unwrap_or(&Value::Null)
    }

    fn percent(&self, name: &str, default: u64) -> u64 {
        self.configuration()[name].as_u64().unwrap_or(default)
    }

    /// The fewest healthy tasks during a deployment.
    pub(crate) fn lower(&self) -> u32 {
        let percent = self.percent("minimumHealthyPercent", if self.daemon { 0 } else { 100 });
        (u64::from(self.desired) * percent).div_ceil(100) as u32
    }

    /// The most tasks during a deployment.
    pub(crate) fn upper(&self) -> u32 {
        let percent = self.percent("maximumPercent", if self.daemon { 100 } else { 200 });
        (u64::from(self.desired) * percent / 100) as u32
    }

    /// Target groups of the tasks in force at a revision.
    pub(crate) fn target_groups(&self, revision: usize) -> Vec<(String, u64)> {
        let balancers = self.revisions[revision]
            .template
            .get("loadBalancers")
            .and_then(Value::as_array);
        balancers
            .into_iter()
            .flatten()
            .filter_map(|balancer| {
                let group = balancer["targetGroupArn"]
                    .as_str()
                    .or_else(|| balancer["loadBalancerName"].as_str())?;
                Some((
                    group.to_owned(),
                    balancer["containerPort"].as_u64().unwrap_or_default(),
                ))
            })
            .collect()
    }
}

/// An entry of the events list.
#[derive(Debug, Clone)]
pub(crate) struct ServiceEvent {
    pub(crate) id: String,
    pub(crate) at: Moment,
    pub(crate) message: String,
}

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
        matches!(
            self,
            Self::Successful | Self::Stopped | Self::RollbackSuccessful | Self::RollbackFailed
        )
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
