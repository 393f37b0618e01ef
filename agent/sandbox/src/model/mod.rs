//! The objects of ECS: clusters, task definitions, services, deployments, tasks.
//!
//! Plain data of one account in one region. Operations (`ecs`) and the simulation (`sim`) change
//! it; nothing here knows of time passing or of the wire.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::clock::Moment;
use crate::ids::Ids;
use crate::outside::balancing::TargetState;
use crate::place::Place;
use crate::sim::queue::Queue;

mod deployment;
mod shift;
mod task;
mod trouble;

pub(crate) use deployment::*;
pub(crate) use shift::*;
pub(crate) use task::*;
pub(crate) use trouble::Injected;
pub use trouble::Trouble;

/// A JSON object.
pub(crate) type Object = Map<String, Value>;

macro_rules! key {
    ($name:ident, $what:literal) => {
        #[doc = $what]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) struct $name(pub(crate) u64);
    };
}
key!(ServiceKey, "Identifies a service within its world, also among namesakes.");
key!(DeploymentKey, "Identifies an entry of the classic deployments list.");
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
    /// What the neighbours are yet to be told.
    pub(crate) effects: Vec<Effect>,
    /// Calls of lifecycle hooks' functions, oldest first.
    pub(crate) hook_calls: Vec<Value>,
    /// Troubles of services that do not exist yet, by cluster and name.
    pub(crate) awaiting: BTreeMap<(String, String), Vec<Trouble>>,
    /// Services as they were before the last write, for reads that lag behind.
    pub(crate) before: BTreeMap<(String, String), Before>,
}

/// Something that ECS does to a neighbour.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Effect {
    /// The weights of a listener rule, or of a listener's default action.
    Weights { rule: String, weights: Vec<(String, u32)> },
    /// A target of a target group: its state, or none when it is deregistered.
    Target { group: String, ip: String, port: u16, state: Option<TargetState> },
    /// A line of a container's log.
    Log { region: String, group: String, stream: String, line: String },
}

/// A service as it was before a write.
#[derive(Debug, Clone)]
pub(crate) struct Before {
    pub(crate) at: Moment,
    /// None: it did not exist.
    pub(crate) service: Option<Value>,
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
            effects: Vec::new(),
            hook_calls: Vec::new(),
            awaiting: BTreeMap::new(),
            before: BTreeMap::new(),
        }
    }

    /// Changes the service of a name, if there is one.
    pub(crate) fn with_service(&mut self, cluster: &str, name: &str, change: impl FnOnce(&mut Service)) {
        let key = self.names.get(&(cluster.to_owned(), name.to_owned())).copied();
        if let Some(service) = key.and_then(|key| self.services.get_mut(&key)) {
            change(service);
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
    pub(crate) log: Option<AwsLogs>,
}

/// Where a container's log goes with the driver `awslogs`.
#[derive(Debug)]
pub(crate) struct AwsLogs {
    pub(crate) region: Option<String>,
    pub(crate) group: String,
    pub(crate) prefix: Option<String>,
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
    pub(crate) controller: Controller,
    /// ECS manages the service itself (Express).
    pub(crate) express: bool,
    pub(crate) troubles: Vec<Injected>,
}

/// `deploymentController.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Controller {
    Ecs,
    CodeDeploy,
    External,
}

impl Controller {
    pub(crate) fn wire(self) -> &'static str {
        match self {
            Self::Ecs => "ECS",
            Self::CodeDeploy => "CODE_DEPLOY",
            Self::External => "EXTERNAL",
        }
    }
}

impl Service {
    pub(crate) fn primary(&self) -> &Deployment {
        &self.deployments[0]
    }

    pub(crate) fn deployment(&self, key: DeploymentKey) -> Option<&Deployment> {
        self.deployments.iter().find(|deployment| deployment.key == key)
    }

    pub(crate) fn deployment_mut(&mut self, key: DeploymentKey) -> Option<&mut Deployment> {
        self.deployments.iter_mut().find(|deployment| deployment.key == key)
    }

    /// The latest service deployment of an entry, also one that has ended, with its stages.
    pub(crate) fn latest_shift(&self, key: DeploymentKey) -> Option<(&ServiceDeployment, &Shift)> {
        let record = self.history.iter().rev().find(|record| record.deployment == key)?;
        Some((record, record.shift.as_ref()?))
    }

    /// The revisable members that are in force.
    pub(crate) fn template(&self) -> &Object {
        &self.revisions[self.primary().revision].template
    }

    pub(crate) fn configuration(&self) -> &Value {
        self.settings.get("deploymentConfiguration").unwrap_or(&Value::Null)
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
        let balancers = self.revisions[revision].template.get("loadBalancers").and_then(Value::as_array);
        balancers
            .into_iter()
            .flatten()
            .filter_map(|balancer| {
                let other = balancer["advancedConfiguration"]["alternateTargetGroupArn"].as_str();
                let other = other.filter(|_| self.revisions[revision].alternate);
                let named = || balancer["targetGroupArn"].as_str().or_else(|| balancer["loadBalancerName"].as_str());
                let group = other.or_else(named)?;
                Some((group.to_owned(), balancer["containerPort"].as_u64().unwrap_or_default()))
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
