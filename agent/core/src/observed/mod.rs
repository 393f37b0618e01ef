//! What AWS answered, as plain data. Readers fill it; nothing here knows how.

pub mod cause;
pub mod refusal;
pub mod registrars;
pub mod runs;
pub mod words;

use crate::{observed::cause::Cause, tags::Tags};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use words::{Controller, DeploymentRole, DeploymentStatus, PauseEnd, RolloutState, ServiceStatus, Stage};

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
    /// Whether it exists.
    pub status: ServiceStatus,
    /// The members that CreateService has too, in its shape; Service Connect, volumes and lattice from the PRIMARY
    /// deployment.
    pub definition: Value,
    /// Its tags.
    pub tags: Tags,
    /// The task definition revision in use.
    pub task_definition: String,
    /// What controls its deployments.
    pub controller: Controller,
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
    /// That deployment, where it was read: only while something is under way.
    pub rollout: Option<Rollout>,
    /// The latest events, newest first.
    pub events: Vec<ServiceEvent>,
}

impl LiveService {
    /// Whether this is what was there when a change was planned: its tags, what is deployed and how. Tasks that come and
    /// go, and events, make no difference.
    pub fn is_as(&self, other: &Self) -> bool {
        let ground = |it: &Self| {
            (
                it.arn.clone(),
                it.status.clone(),
                it.tags.clone(),
                it.task_definition.clone(),
                it.current_deployment.clone(),
                it.desired,
            )
        };
        ground(self) == ground(other) && self.definition == other.definition
    }
}

/// An event of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ServiceEvent {
    /// When, epoch seconds.
    pub at: i64,
    /// ECS's words.
    pub text: String,
}

impl ServiceEvent {
    /// Whether it speaks of trouble. For showing only: no decision hangs on ECS's words.
    pub fn tells_of_trouble(&self) -> bool {
        ["unable", "unhealthy", "failed", "not healthy", "could not"].iter().any(|word| self.text.contains(word))
    }
}

/// A service deployment as DescribeServiceDeployments shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// Its ARN.
    pub arn: String,
    /// Its status.
    pub status: DeploymentStatus,
    /// ECS's words on the status.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The stage; none for a rolling deployment.
    #[serde(default, skip_serializing_if = "Stage::is_none")]
    pub stage: Stage,
    /// The new revision's share of the production traffic, in tenths of a percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub production_permille: Option<u32>,
    /// The same of the test traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_permille: Option<u32>,
    /// Pauses that wait for somebody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pauses: Vec<PausedHook>,
    /// The new revision's tasks that run.
    pub running: i64,
    /// The new revision's tasks that are wanted.
    pub requested: i64,
    /// Failures that the circuit breaker has counted.
    pub failures: i64,
    /// How many it takes; 0 without one.
    pub threshold: i64,
    /// Whether the circuit breaker or an alarm ended it.
    pub triggered: bool,
    /// The alarms that fired.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alarms: Vec<String>,
    /// When it was created, epoch seconds; 0 where that is not known.
    #[serde(default)]
    pub started_at: i64,
}

/// A pause of a deployment that waits for a decision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PausedHook {
    /// Its id, for ContinueServiceDeployment.
    pub id: String,
    /// Since when it waits, epoch seconds; 0 where that cannot be told.
    #[serde(default)]
    pub since: i64,
    /// When it ends by itself, epoch seconds.
    pub expires_at: i64,
    /// What happens then.
    pub then: PauseEnd,
}

impl Rollout {
    /// Whether its outcome is open. A status that nobody knows yet is taken as open: it is not an outcome.
    pub fn is_open(&self) -> bool {
        self.status.is_open()
    }

    /// Whether it waits by design: a bake time, a step's bake, or a pause. Such time is no lack of progress.
    pub fn waits_by_design(&self) -> bool {
        let partly = self.production_permille.is_some_and(|share| share > 0 && share < 1000);
        self.stage == Stage::BakeTime
            || !self.pauses.is_empty()
            || (self.stage == Stage::ProductionTrafficShift && partly)
    }

    /// In words: `SCALE_UP, 10 % of the production traffic, waits for ecs-pause-…`.
    pub fn text(&self) -> String {
        let mut parts = Vec::new();
        parts.push(if self.stage.is_none() { self.status.to_string() } else { self.stage.to_string() });
        if let Some(share) = self.production_permille {
            let share =
                if share % 10 == 0 { format!("{}", share / 10) } else { format!("{}.{}", share / 10, share % 10) };
            parts.push(format!("{share} % of the production traffic"));
        }
        parts.extend(self.pauses.iter().map(PausedHook::text));
        match (self.failures, self.threshold) {
            (0, _) => {}
            (failures, 0) => parts.push(format!("{failures} failed")),
            (failures, threshold) => parts.push(format!("{failures} of {threshold} failures")),
        }
        parts.join(", ")
    }

    /// The same with the time since when each pause waits. ECS tells only when it ends; how long it may last is in the
    /// hooks of the service, where exactly one length fits the stage.
    #[must_use]
    pub fn with_pauses_since(mut self, service: &Value) -> Self {
        let hooks = service["deploymentConfiguration"]["lifecycleHooks"].as_array();
        let stops_here = |hook: &&Value| {
            let stages = hook["lifecycleStages"].as_array();
            hook["targetType"] == "PAUSE" && stages.into_iter().flatten().any(|stage| *stage == self.stage.as_str())
        };
        let minutes = |hook: &Value| hook["timeoutConfiguration"]["timeoutInMinutes"].as_i64().unwrap_or(PAUSE_MINUTES);
        let mut lengths: Vec<i64> = hooks.into_iter().flatten().filter(stops_here).map(minutes).collect();
        lengths.sort_unstable();
        lengths.dedup();
        if let [length] = lengths.as_slice() {
            for pause in self.pauses.iter_mut().filter(|pause| pause.expires_at > 0) {
                pause.since = pause.expires_at - 60 * length;
            }
        }
        self
    }
}

/// How long a pause lasts where its hook does not say, in minutes.
const PAUSE_MINUTES: i64 = 1440;

impl PausedHook {
    /// In words: `waits in a PAUSE hook since 2026-11-26T10:00:00Z; at 2026-11-27T10:00:00Z ECS rolls back by itself`.
    pub fn text(&self) -> String {
        let time = |at: i64| jiff::Timestamp::from_second(at).ok().filter(|_| at > 0);
        let since = time(self.since).map_or_else(String::new, |since| format!(" since {since}"));
        let then = match &self.then {
            PauseEnd::Continue => "continues",
            PauseEnd::Rollback => "rolls back",
            PauseEnd::Other(word) => word,
        };
        let until = match time(self.expires_at) {
            Some(at) if then.is_empty() => format!("; it ends at {at}"),
            Some(at) => format!("; at {at} ECS {then} by itself"),
            None => String::new(),
        };
        format!("waits in a PAUSE hook{since}{until}")
    }
}

/// One entry of a service's classic deployments.
#[derive(Clone, Debug, Default, PartialEq, Hash, Serialize, Deserialize)]
pub struct LiveDeployment {
    /// `ecs-svc/…`.
    pub id: String,
    /// What it is.
    pub status: DeploymentRole,
    /// How it does.
    pub rollout: RolloutState,
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
    /// When ECS failed it, epoch seconds; 0 where it did not.
    #[serde(default)]
    pub updated_at: i64,
}

impl LiveService {
    /// Whether nothing is under way and nothing tells of trouble, as far as the service itself says.
    pub fn is_settled(&self) -> bool {
        let is_open = self.rollout.as_ref().is_some_and(Rollout::is_open);
        let is_done = |deployment: &LiveDeployment| {
            deployment.status == DeploymentRole::Primary && deployment.rollout == RolloutState::Completed
        };
        !is_open
            && matches!(self.deployments.as_slice(), [only] if is_done(only))
            && !self.events.iter().any(ServiceEvent::tells_of_trouble)
    }

    /// A deployment that ECS has failed while it goes back to another one. Where there is a deployment history, that
    /// says it better.
    pub fn rolled_back_from(&self) -> Option<&LiveDeployment> {
        let goes_back = self.primary().is_some_and(|primary| primary.rollout == RolloutState::InProgress);
        let failed = |deployment: &&LiveDeployment| {
            deployment.status != DeploymentRole::Primary && deployment.rollout == RolloutState::Failed
        };
        self.deployments.iter().find(failed).filter(|_| goes_back)
    }

    /// The PRIMARY deployment.
    pub fn primary(&self) -> Option<&LiveDeployment> {
        self.deployments.iter().find(|deployment| deployment.status == DeploymentRole::Primary)
    }

    /// Tasks that failed in the rollout that is under way, and when ECS last told of trouble with it: whether it goes
    /// wrong, before it has ended. None where nothing tells of that.
    pub fn signs_of_failure(&self) -> Option<(i64, i64)> {
        let rollout = self.rollout.as_ref().filter(|rollout| rollout.is_open());
        let failed = self.deployments.iter().map(|deployment| deployment.failed).max().unwrap_or_default();
        let failed = failed.max(rollout.map_or(0, |rollout| rollout.failures));
        let began = rollout.map(|rollout| rollout.started_at).filter(|at| *at > 0);
        let telling = |event: &&ServiceEvent| began.is_some_and(|began| event.at >= began) && event.tells_of_trouble();
        let told = self.events.iter().filter(telling).map(|event| event.at).max();
        (failed > 0 || told.is_some()).then_some((failed, told.unwrap_or_default()))
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
    /// The principal that registered it, as ECS names it (an ARN).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered_by: Option<String>,
    /// When it was registered, epoch seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered_at: Option<i64>,
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
    /// Its status.
    pub status: DeploymentStatus,
    /// ECS's words on the status.
    pub reason: String,
    /// The target service revision's members, in CreateService's shape.
    pub service: Value,
    /// The target's task definition revision.
    pub revision: Revision,
    /// Whether it was stopped because a newer one took its place, rather than for failing.
    #[serde(default)]
    pub gave_way: bool,
    /// When it was created, epoch seconds.
    #[serde(default)]
    pub started_at: i64,
    /// When it ended, epoch seconds.
    #[serde(default)]
    pub finished_at: i64,
}

impl PastDeployment {
    /// Whether ECS failed, rolled back or stopped it.
    pub fn has_failed(&self) -> bool {
        match self.status {
            DeploymentStatus::RollbackSuccessful | DeploymentStatus::RollbackFailed => true,
            DeploymentStatus::Stopped => !self.gave_way,
            _ => false,
        }
    }

    /// Whether ECS is still taking it back.
    pub fn is_rolling_back(&self) -> bool {
        self.status.is_rolling_back()
    }

    /// Whether its outcome is open.
    pub fn is_open(&self) -> bool {
        self.status.is_open()
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

/// The bounds that Application Auto Scaling keeps for a service's desired count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScalableTarget {
    /// MinCapacity.
    pub minimum: i64,
    /// MaxCapacity.
    pub maximum: i64,
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
    /// The scalable target that owns the desired count.
    pub scalable: Reading<ScalableTarget>,
    /// Why the newest failed deployment failed, where it was found out.
    pub cause: Option<Cause>,
    /// Whether what it failed for is there now.
    pub presence: Option<Presence>,
    /// Whether an earlier look for this desired state found that it was not.
    pub was_absent: bool,
}

/// Whether something outside of the repository is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is, and since when, epoch seconds, where that is known.
    There(Option<i64>),
    /// It is not.
    Absent,
    /// That cannot be found out.
    Unknown,
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
    /// Whether what a deployment failed for is there now.
    Presence,
}
