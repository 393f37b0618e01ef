//! A finished plan: typed actions, and for everything that is not done a typed reason. Stable as data
//! (`lockstep.plan/1`); readers ignore unknown members. The closed lists of kinds and reasons are here.

use crate::{
    compare::{diff::Change, rules::Effect},
    observed::{Rollout, cause::Cause},
    stated::at::At,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The name of the plan's format.
pub const FORMAT: &str = "lockstep.plan/1";

/// What an action does. A closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ActionKind {
    /// Tag an existing service as ours.
    AdoptService,
    /// Register a task definition revision.
    RegisterTaskDefinition,
    /// Create a service.
    CreateService,
    /// Change a service.
    UpdateService,
    /// Delete a service, to create it again as declared.
    DeleteService,
    /// Remove a service that is no longer declared: to no tasks first, then for good.
    PruneService,
    /// Set tags of a service.
    TagService,
    /// Set tags of a task definition revision.
    TagTaskDefinition,
    /// End a count for a while: put the count, or the scalable target's minimum, back, and remove its tag.
    EndScale,
}

/// Why something is not done. A closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reason {
    /// The environment is observed only.
    Observe,
    /// ECS failed or rolled back this desired state.
    Rejected,
    /// A service of that name exists and does not carry our tags.
    NotAdopted,
    /// A service of that name belongs to another source, environment or service.
    ForeignOwner,
    /// A service that goes first is not done.
    Waiting,
    /// AWS itself cannot do it now (no capacity, a conflict that passes, an outage); it is tried again.
    WaitingForAws,
    /// Something outside of the repository must exist first: a role, a target group. It is tried again.
    Prerequisite,
    /// The agent's share of the API rates is used up for now; the next round goes on.
    Queued,
    /// ECS is rolling back, or the old service is still draining.
    RollingBack,
    /// The change needs a new service, and the manifest does not allow to replace it.
    Replace,
    /// ECS has no way to make the change.
    Refused,
    /// The ECS service must exist and does not.
    Missing,
    /// The service is not controlled by ECS's own deployments.
    Controller,
    /// The agent's own file does not allow it.
    NotAllowed,
    /// Something could not be read; nothing is concluded from that.
    Unread,
    /// The manifest is not usable.
    Invalid,
    /// A check says that ECS would refuse it, or never finish.
    Verify,
    /// The desired count is left to Application Auto Scaling.
    Autoscaled,
    /// The endpoint has no deployment history, so that a rejected state cannot be recognised.
    NoHistory,
    /// The account is not the one that the environment names.
    WrongAccount,
    /// A write failed; it is tried again.
    Failed,
    /// A person asked to leave the service alone for a while.
    Paused,
    /// A person asked for another count for a while.
    Scaled,
    /// Drift that has to last longer before it is healed.
    Healing,
    /// Drift that is only reported.
    NotHealed,
    /// Somebody else keeps changing it; it is not healed any more.
    Contested,
    /// Other services of the same change failed.
    Stopped,
    /// More services differ without a commit or a parameter than may be healed without a person.
    Unexplained,
    /// A service that is no longer declared.
    Orphan,
    /// A rollout that makes no progress.
    Stalled,
    /// A pin that a person holds: a newer image is not written.
    Held,
    /// Git and ECS name the same kind of thing in two ways that cannot be compared. Neither equal nor a difference.
    NotComparable,
    /// Live, not declared, and without a default to go back to: it stays. No difference.
    Undeclared,
}

impl Reason {
    /// Whether it only tells something: nothing differs because of it, and nothing waits for it.
    pub fn is_remark(self) -> bool {
        matches!(self, Reason::NotComparable | Reason::Undeclared)
    }
}

/// One thing that is not done, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Withheld {
    /// Why, as one of a closed list.
    pub reason: Reason,
    /// Why, in words.
    pub text: String,
    /// The differences that stay, where there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
}

/// Whether what runs is what is declared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SyncStatus {
    /// It is.
    Synced,
    /// It is not.
    OutOfSync,
    /// It could not be found out.
    #[default]
    Unknown,
}

impl SyncStatus {
    /// The word for it, as data and people have it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Synced => "Synced",
            Self::OutOfSync => "OutOfSync",
            Self::Unknown => "Unknown",
        }
    }
}

/// How what runs is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Health {
    /// The wanted tasks run.
    Healthy,
    /// A deployment is under way.
    Progressing,
    /// Fewer tasks run than should, or the latest deployment failed.
    Degraded,
    /// No tasks are wanted.
    Suspended,
    /// There is no such service.
    Missing,
    /// It could not be found out.
    #[default]
    Unknown,
}

impl Health {
    /// The word for it, as data and people have it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Healthy => "Healthy",
            Self::Progressing => "Progressing",
            Self::Degraded => "Degraded",
            Self::Suspended => "Suspended",
            Self::Missing => "Missing",
            Self::Unknown => "Unknown",
        }
    }
}

/// What became of the desired state on ECS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Verdict {
    /// Not started.
    Pending,
    /// Under way.
    Progressing,
    /// ECS completed it.
    Deployed,
    /// ECS failed it, rolled it back or stopped it.
    Rejected,
    /// A newer one took its place.
    Superseded,
    /// Under way for longer than its deadline.
    Stalled,
}

impl Verdict {
    /// The word for it, as data and people have it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Progressing => "Progressing",
            Self::Deployed => "Deployed",
            Self::Rejected => "Rejected",
            Self::Superseded => "Superseded",
            Self::Stalled => "Stalled",
        }
    }
}

/// The order to send, for the executor. Not part of the plan's data form.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// RegisterTaskDefinition with these members and tags.
    Register {
        /// The input, without tags.
        definition: Value,
        /// The tags.
        tags: BTreeMap<String, String>,
    },
    /// CreateService with these members and tags.
    Create {
        /// The input, without taskDefinition, cluster and tags.
        service: Value,
        /// The task definition.
        revision: RevisionRef,
        /// The tags.
        tags: BTreeMap<String, String>,
    },
    /// UpdateService with these members.
    Update {
        /// The changed members, complete, in CreateService's shape.
        members: Value,
        /// The task definition, where it changes.
        revision: Option<RevisionRef>,
        /// Whether to force a deployment.
        force: bool,
    },
    /// DeleteService, with the tasks that run.
    Delete,
    /// UpdateService to no tasks at all, before the service is deleted.
    ScaleToZero,
    /// TagResource on the service.
    TagService {
        /// The tags to set.
        tags: BTreeMap<String, String>,
    },
    /// UntagResource on the service.
    UntagService {
        /// The tag's name.
        tag: String,
    },
    /// RegisterScalableTarget with another minimum, and nothing else changed.
    Minimum {
        /// The minimum.
        capacity: i64,
    },
    /// TagResource on a task definition revision.
    TagRevision {
        /// The revision.
        arn: String,
        /// The tags to set.
        tags: BTreeMap<String, String>,
    },
}

/// A task definition revision that a later action uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RevisionRef {
    /// One that exists.
    Known(String),
    /// The one that this plan registers.
    Registered,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// What it does.
    pub kind: ActionKind,
    /// What changes by it.
    pub changes: Vec<Change>,
    /// The order for the executor.
    #[serde(skip)]
    pub order: Option<Order>,
}

impl Action {
    /// The strongest effect of its changes.
    pub fn effect(&self) -> Effect {
        let deploys = matches!(self.kind, ActionKind::CreateService);
        let strongest = self.changes.iter().map(|change| change.effect).max().unwrap_or(Effect::InPlace);
        match self.kind {
            ActionKind::DeleteService => Effect::Replace,
            _ if deploys => Effect::NewDeployment,
            _ => strongest,
        }
    }
}

/// The plan of one service in one environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServicePlan {
    /// The service's name.
    pub name: String,
    /// Whether what runs is what is declared.
    pub sync: SyncStatus,
    /// How what runs is doing.
    pub health: Health,
    /// What became of the desired state; absent while nothing can be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// What to do.
    pub actions: Vec<Action>,
    /// What not to do, and why.
    pub withheld: Vec<Withheld>,
    /// The hash of the desired state.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub desired: String,
    /// What is behind the differences, where it is not a commit: parameters with another version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// The deployment that is under way, as ECS shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
    /// The tasks of each revision while a rollout is under way, the new revision's first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<RevisionTasks>,
    /// Why ECS rejected the desired state, or the first failure of the rollout that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// When ECS ended the deployment that it rejected, epoch seconds.
    #[serde(skip)]
    pub rejected_at: Option<i64>,
    /// At which commit the service is, where that is not the branch's tip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<At>,
}

impl ServicePlan {
    /// A plan that does nothing, for a reason.
    pub fn withheld(name: &str, sync: SyncStatus, health: Health, reason: Reason, text: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            sync,
            health,
            verdict: None,
            actions: Vec::new(),
            withheld: vec![Withheld { reason, text: text.into(), changes: Vec::new() }],
            desired: String::new(),
            causes: Vec::new(),
            rollout: None,
            tasks: Vec::new(),
            cause: None,
            rejected_at: None,
            at: None,
        }
    }

    /// What there is to say of a rollout that is under way, line by line: how far it is, its tasks, the first failure,
    /// and what a pause waits for.
    pub fn rollout_lines(&self, environment: &str) -> Vec<String> {
        if !matches!(self.verdict, Some(Verdict::Progressing | Verdict::Stalled)) && self.rollout.is_none() {
            return Vec::new();
        }
        let mut lines = Vec::new();
        if let Some(rollout) = &self.rollout {
            lines.push(format!("rolling out: {}", rollout.text()));
        }
        if !self.tasks.is_empty() {
            let tasks: Vec<String> = self.tasks.iter().map(RevisionTasks::text).collect();
            lines.push(format!("tasks: {}", tasks.join("; ")));
        }
        if let Some(cause) = self.cause.as_ref().filter(|cause| !cause.is_empty()) {
            lines.push(format!("first failure: {}", cause.short()));
        }
        if self.rollout.as_ref().is_some_and(|rollout| !rollout.pauses.is_empty()) {
            let (name, go_on) = (&self.name, format!("lockstep continue {} -e {environment}", self.name));
            lines.push(format!("continue {name} with `{go_on}`, or roll it back with `{go_on} --rollback`"));
        }
        lines
    }

    /// Whether it is a service that is being removed.
    pub fn is_removing(&self) -> bool {
        self.is_withheld_for(Reason::Orphan) && self.verdict == Some(Verdict::Progressing)
    }

    /// Does nothing of it, for a reason: what the actions were to change is what stays.
    pub fn withhold_all(&mut self, reason: Reason, text: String) {
        let changes = changes_of(&std::mem::take(&mut self.actions));
        self.withheld.push(Withheld { reason, text, changes });
    }

    /// Whether a person or a brake has to move first: nothing happens by itself soon.
    pub fn is_held(&self) -> bool {
        let held = [
            Reason::Observe,
            Reason::Paused,
            Reason::Scaled,
            Reason::Contested,
            Reason::Stopped,
            Reason::Unexplained,
            Reason::Healing,
            Reason::NotHealed,
            Reason::NotAdopted,
            Reason::Prerequisite,
        ];
        self.actions.is_empty() && held.iter().any(|reason| self.is_withheld_for(*reason))
    }

    /// Whether an action or something withheld says that what runs is not what is declared.
    pub fn has_differences(&self) -> bool {
        self.sync == SyncStatus::OutOfSync
            || !self.actions.is_empty()
            || self.withheld.iter().any(|withheld| !withheld.changes.is_empty())
    }

    /// What the actions change, each once.
    pub fn changes(&self) -> Vec<Change> {
        changes_of(&self.actions)
    }

    /// Whether a reason stands among what is withheld.
    pub fn is_withheld_for(&self, reason: Reason) -> bool {
        self.withheld.iter().any(|withheld| withheld.reason == reason)
    }
}

/// The tasks of one task definition revision of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RevisionTasks {
    /// `family:revision`.
    pub revision: String,
    /// Tasks that run.
    pub running: i64,
    /// Tasks that are wanted.
    pub desired: i64,
    /// Tasks on the way there.
    pub pending: i64,
    /// Tasks that failed in a row.
    pub failed: i64,
}

impl RevisionTasks {
    /// In words: `web:4 0 of 2 running, 1 pending, 2 failed`.
    pub fn text(&self) -> String {
        let mut text = format!("{} {} of {} running", self.revision, self.running, self.desired);
        for (count, word) in [(self.pending, "pending"), (self.failed, "failed")] {
            if count > 0 {
                text = format!("{text}, {count} {word}");
            }
        }
        text
    }
}

/// What actions change, each once.
pub(crate) fn changes_of(actions: &[Action]) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    for change in actions.iter().flat_map(|action| &action.changes) {
        if !changes.contains(change) {
            changes.push(change.clone());
        }
    }
    // What the other revision brings says more than its name.
    if changes.iter().any(|change| change.path.starts_with("taskDefinition")) {
        changes.retain(|change| change.path != "service.taskDefinition");
    }
    changes
}

/// The plan of one environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnvironmentPlan {
    /// The environment's name.
    pub name: String,
    /// Its services, in order of their names.
    pub services: Vec<ServicePlan>,
    /// What is not done in the environment as a whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withheld: Vec<Withheld>,
}

/// A problem of the repository, as data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// The code.
    pub code: String,
    /// `error`, `warning` or `note`.
    pub severity: String,
    /// One sentence.
    pub message: String,
    /// The file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The column, from 1, in characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// The line of the end.
    #[serde(default, rename = "endLine", skip_serializing_if = "Option::is_none")]
    pub end_line: Option<usize>,
    /// The column one past the end.
    #[serde(default, rename = "endColumn", skip_serializing_if = "Option::is_none")]
    pub end_column: Option<usize>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Other places that matter.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<RelatedPlace>,
}

/// Another place that matters for a problem.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RelatedPlace {
    /// What is there ("first defined here").
    pub message: String,
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
}

/// The plan of a repository.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// [`FORMAT`].
    pub format: String,
    /// The commit that it is for; empty for a checkout with changes.
    pub commit: String,
    /// The environments, in file order.
    pub environments: Vec<EnvironmentPlan>,
    /// What is wrong with the repository.
    pub problems: Vec<Problem>,
}

impl Plan {
    /// Whether anything differs.
    pub fn has_differences(&self) -> bool {
        self.environments.iter().flat_map(|environment| &environment.services).any(ServicePlan::has_differences)
    }
}
