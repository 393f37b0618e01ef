//! The planner: what is desired and what was observed in, typed actions and reasons out. When it needs to know more
//! before it can decide, it says what; the caller reads that and asks again. It never does anything itself.

mod count;
mod difference;
mod people;
mod rejection;
mod replace;
mod restart;
mod revision;
mod update;

use super::withhold;
use crate::observed::words::{RolloutState, ServiceStatus};
use crate::{
    compare::{
        diff::{Change, Remark, diff},
        ignore::with_live,
        normalise::Context,
        rules::Effect,
        send::sendable,
    },
    observed::{LiveDeployment, LiveService, Need, Observation, Reading, Rollout, cause::Cause},
    report::{
        Action, ActionKind, Health, Order, Reason, RevisionRef, RevisionTasks, ServicePlan, SyncStatus, Verdict,
        Withheld,
    },
    service::{drift::Delay, pause::Pause},
    stated::{
        commit::Commit,
        identity::{self, Owner, desired_hash, owner},
    },
    tags::Tags,
};
use difference::Differences;
pub use difference::needs_revisions;
use lockstep_manifests::{
    canonical::Root,
    layer::Ownership,
    path::{Path, Step},
    render::Desired,
};
use people::{for_another_controller, under_other_control};
use rejection::Absence;
pub use restart::{RESTARTED, Restart};
use serde_json::Value;
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

/// The path of the desired count.
const COUNT: &str = "service.desiredCount";

/// What is said of a service whose environments are in dispute.
const IN_DISPUTE: &str = "its files do not say clearly which environments it is in (LS0118), so that it is neither created nor removed; run `lockstep validate`";

/// What the planner must know beside the service.
#[derive(Clone, Debug, Default)]
pub struct Surroundings<'a> {
    /// The id of the source.
    pub source: &'a str,
    /// The commit, for the tags of what is registered.
    pub commit: &'a str,
    /// The commit that last changed the service's files, where that is known.
    pub changed_by: Option<Commit>,
    /// Whether taking over existing services is allowed: by the agent's file for `adopt: true`, or by a person's order.
    pub may_adopt: bool,
    /// Whether a person ordered to adopt this service now.
    pub adopt_now: bool,
    /// What has to be done first, where something has.
    pub waiting_for: Option<Wait>,
    /// Whether a state that ECS rejected is to be tried once more.
    pub retry: bool,
    /// Whether the plan is only shown: then nothing is asked that would not change what runs.
    pub only_shown: bool,
    /// Whether to plan as if nothing were paused: to show what a pause holds back.
    pub unpaused: bool,
    /// A person's order to start what runs anew.
    pub restart: Option<Restart>,
    /// The pause of the whole environment that is in force.
    pub paused: Reading<Pause>,
    /// Whether the service's environments are in dispute, so that it is neither created nor removed.
    pub not_created: bool,
    /// AWS's time, epoch seconds.
    pub now: i64,
    /// Differences that are not to be healed now, by path.
    pub holds: BTreeMap<String, Delay>,
    /// The versions of the parameters that were bound when the service was last as declared.
    pub parameters_before: BTreeMap<String, u64>,
}

/// Why a service does not have its turn.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Wait {
    /// Another service, or another environment, is not done.
    For(String),
    /// What it is to wait for is out of reach: it would wait for ever, so that somebody has to do something.
    Never(String),
}

impl Wait {
    /// The reason, and the words.
    fn told(&self) -> (Reason, String) {
        match self {
            Wait::For(text) => (Reason::Waiting, text.clone()),
            Wait::Never(text) => (Reason::NotAllowed, text.clone()),
        }
    }
}

/// The planner's answer.
#[derive(Clone, Debug, PartialEq)]
pub enum PlanOutcome {
    /// A finished plan.
    Planned(Box<ServicePlan>),
    /// These questions are open.
    Needs(BTreeSet<Need>),
}

/// Plans one service.
pub fn plan_service(desired: &Desired, observed: &Observation, around: &Surroundings<'_>) -> PlanOutcome {
    let ignore: Vec<Path> = desired.ignore.iter().filter_map(|path| path.parse().ok()).collect();
    let is_alone = desired.ecs_service().is_none();
    let in_use =
        if is_alone { observed.newest.found().filter(|newest| newest.active) } else { observed.revision.found() };
    let in_use = in_use.map(|revision| &revision.definition);
    let definition = with_live(Root::TaskDefinition, &desired.task_definition, in_use, &ignore);
    let needs = BTreeSet::new();
    let mut planner =
        Planner { desired, observed, around, ignore, definition, hash: desired_hash(desired), needs, unread: None };
    let mut plan = match &observed.service {
        _ if is_alone => planner.definition_alone(),
        Reading::Unread => unread(desired, "the service was not read"),
        Reading::Failed(text) => unread(desired, text),
        Reading::Missing => planner.missing(),
        Reading::Found(live) if live.status == ServiceStatus::Inactive => planner.missing(),
        Reading::Found(live) => planner.existing(live),
    };
    if let Some(text) = planner.unread.take() {
        plan.actions.clear();
        plan.withheld.push(Withheld { reason: Reason::Unread, text, changes: Vec::new() });
    }
    let live = observed.service.found();
    let fails = plan.verdict == Some(Verdict::Progressing) && live.is_some_and(|it| it.signs_of_failure().is_some());
    if fails && plan.cause.is_none() {
        match &observed.cause {
            Some(cause) => plan.cause = Some(cause.clone()).filter(|cause| !cause.is_empty()),
            None => {
                planner.needs.insert(Need::Cause);
            }
        }
    }
    if planner.needs.is_empty() {
        let plan = withhold::from_plan(desired, observed, around, plan);
        let causes = if plan.has_differences() { causes(desired, around) } else { Vec::new() };
        let open = |live: &LiveService| live.rollout.clone().filter(Rollout::is_open);
        let rollout = live.and_then(|live| Some(open(live)?.with_pauses_since(&live.definition)));
        let tasks = live.filter(|_| plan.verdict == Some(Verdict::Progressing)).map(tasks_of).unwrap_or_default();
        PlanOutcome::Planned(Box::new(ServicePlan { desired: planner.hash, causes, rollout, tasks, ..plan }))
    } else {
        PlanOutcome::Needs(planner.needs)
    }
}

/// The tasks of each revision of a service, the new one's first.
fn tasks_of(live: &LiveService) -> Vec<RevisionTasks> {
    let last = |arn: &str| arn.rsplit('/').next().unwrap_or(arn).to_owned();
    let of = |deployment: &LiveDeployment| RevisionTasks {
        revision: last(&deployment.task_definition),
        running: deployment.running,
        desired: deployment.desired,
        pending: deployment.pending,
        failed: deployment.failed,
    };
    live.deployments.iter().map(of).collect()
}

/// Parameters that have another version than when the service was last as declared: no commit shows that.
fn causes(desired: &Desired, around: &Surroundings<'_>) -> Vec<String> {
    let changed = desired.parameters.iter().filter_map(|(name, version)| {
        let before = around.parameters_before.get(name).filter(|before| *before != version)?;
        Some(format!("{name} v{before} → v{version}, not in this commit"))
    });
    changed.collect()
}

fn unread(desired: &Desired, text: &str) -> ServicePlan {
    ServicePlan::withheld(&desired.name, SyncStatus::Unknown, Health::Unknown, Reason::Unread, text)
}

/// Health from what ECS says of the service.
pub fn health_of(live: &LiveService) -> Health {
    if live.status == ServiceStatus::Draining {
        return Health::Progressing;
    }
    let rollout = live.primary().map(|primary| &primary.rollout);
    if live.rollout.as_ref().is_some_and(Rollout::is_open) && rollout != Some(&RolloutState::Failed) {
        return Health::Progressing;
    }
    match rollout {
        Some(RolloutState::InProgress) => Health::Progressing,
        Some(RolloutState::Failed) => Health::Degraded,
        _ if live.desired == 0 && live.running == 0 => Health::Suspended,
        _ if live.running < live.desired => {
            if rollout.is_none_or(|word| word.as_str().is_empty()) && live.deployments.len() > 1 {
                Health::Progressing
            } else {
                Health::Degraded
            }
        }
        _ => Health::Healthy,
    }
}

struct Planner<'a> {
    desired: &'a Desired,
    observed: &'a Observation,
    around: &'a Surroundings<'a>,
    /// The paths that are neither compared nor sent.
    ignore: Vec<Path>,
    /// What would be registered: the declared task definition, with what is live at the ignored paths.
    definition: Cow<'a, Value>,
    hash: String,
    needs: BTreeSet<Need>,
    /// Why the differences are not known.
    unread: Option<String>,
}

impl Planner<'_> {
    fn missing(&mut self) -> ServicePlan {
        let name = &self.desired.name;
        if self.desired.ownership == Ownership::TaskDefinition {
            let text = format!(
                "the ECS service {} does not exist; with `scope: taskDefinition` its owner creates it",
                self.desired.service_name
            );
            return ServicePlan::withheld(name, SyncStatus::OutOfSync, Health::Missing, Reason::Missing, text);
        }
        let creation = self.creation_changes();
        if let Some(controller) = self.other_controller() {
            let text = for_another_controller(controller);
            let withheld = vec![Withheld { reason: Reason::Refused, text, changes: creation }];
            return ServicePlan { withheld, ..self.bare(SyncStatus::OutOfSync, Health::Missing) };
        }
        if self.around.not_created {
            return self.holding(Health::Missing, Reason::Invalid, IN_DISPUTE.to_owned(), creation);
        }
        if let Some(waiting) = &self.around.waiting_for {
            let (reason, text) = waiting.told();
            return self.holding(Health::Missing, reason, text, creation);
        }
        let Some((mut actions, revision)) = self.revision_to_use() else {
            return self.bare(SyncStatus::OutOfSync, Health::Missing);
        };
        let mut tags = self.declared_tags();
        tags.extend(identity::ownership_tags(
            self.around.source,
            &self.desired.environment,
            &self.desired.service_name,
        ));
        if self.desired.replace {
            tags.insert(identity::CREATED.to_owned(), self.created_as());
        }
        let mut creation = creation;
        creation.extend(tag_changes(&self.declared_tags(), &Tags::new()));
        let context = Context::of([&self.desired.task_definition, &self.desired.service]);
        let service = sendable(Root::Service, &self.desired.service, &context);
        let order = Order::Create { service, revision, tags };
        actions.push(Action { kind: ActionKind::CreateService, changes: creation, order: Some(order) });
        ServicePlan { verdict: Some(Verdict::Pending), actions, ..self.bare(SyncStatus::OutOfSync, Health::Missing) }
    }

    fn existing(&mut self, live: &LiveService) -> ServicePlan {
        let health = health_of(live);
        if live.managed_by_ecs || !live.controller.is_ecs() {
            let text = under_other_control(live);
            return self.not_ours(health, Reason::Controller, text);
        }
        if live.status == ServiceStatus::Draining {
            let text = "the service is still draining; it is created again when ECS has deleted it".to_owned();
            return self.holding(health, Reason::RollingBack, text, self.creation_changes());
        }
        let adopting = match self.ownership(live) {
            Ok(adopting) => adopting,
            Err((reason, text)) => return self.not_ours(health, reason, text),
        };
        if let Some(restart) = &self.around.restart {
            return self.restart(live, restart);
        }
        let Some(differences) = self.differences(live) else {
            return self.bare(SyncStatus::Unknown, health);
        };
        let mut plan = self.bare(SyncStatus::OutOfSync, health);
        if adopting {
            let tags =
                identity::ownership_tags(self.around.source, &self.desired.environment, &self.desired.service_name);
            let changes = tag_changes(&tags, &live.tags);
            plan.actions.push(Action {
                kind: ActionKind::AdoptService,
                changes,
                order: Some(Order::TagService { tags }),
            });
        }
        self.note_autoscaling(live, &mut plan);
        plan.withheld.extend(differences.remarks.iter().cloned().map(remarked));
        let mut differences = differences;
        if !self.scaled(live, &mut differences, &mut plan) {
            return plan;
        }
        if differences.is_empty() {
            return self.equal(live, plan);
        }
        self.act_on(live, differences, &mut plan);
        plan
    }

    /// Whether the service is ours already, or is to be adopted now.
    fn ownership(&self, live: &LiveService) -> Result<bool, (Reason, String)> {
        if self.desired.ownership == Ownership::TaskDefinition {
            return Ok(false);
        }
        let service = &self.desired.service_name;
        match owner(&live.tags, self.around.source, &self.desired.environment, service) {
            Owner::Us => Ok(false),
            Owner::Nobody if identity::is_short_arn(&live.arn) => Err((
                Reason::NotAdopted,
                format!(
                    "the ECS service {service} cannot be adopted: ECS sets no tags on a service with a short ARN ({}). Migrate it to the long ARN first, which changes nothing that runs: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-arn-migration.html",
                    live.arn
                ),
            )),
            Owner::Nobody if self.around.adopt_now || (self.desired.adopt && self.around.may_adopt) => Ok(true),
            Owner::Nobody => Err((Reason::NotAdopted, self.without_tags(live))),
            Owner::Other(other) => {
                Err((Reason::ForeignOwner, format!("the ECS service {service} is owned by {other}")))
            }
        }
    }

    /// Nothing differs: what is left is what ECS says of the deployment.
    fn equal(&mut self, live: &LiveService, mut plan: ServicePlan) -> ServicePlan {
        plan.sync = if plan.actions.is_empty() { SyncStatus::Synced } else { SyncStatus::OutOfSync };
        let primary = live.primary();
        let followed = live.rollout.as_ref().filter(|rollout| rollout.is_open());
        match primary.map(|primary| &primary.rollout) {
            Some(RolloutState::InProgress) => plan.verdict = Some(Verdict::Progressing),
            // The classic list may say less than the deployment itself.
            Some(RolloutState::Completed) if followed.is_some() => plan.verdict = Some(Verdict::Progressing),
            // Once more, by a person's order.
            Some(RolloutState::Failed) if self.around.retry => force_again(&mut plan),
            Some(RolloutState::Failed) => {
                plan.verdict = Some(Verdict::Rejected);
                let reason = primary.map_or(String::new(), |primary| primary.reason.clone());
                let cause = self.cause_of(live);
                match self.wait_for_absent(cause.as_ref(), primary.map_or(0, |primary| primary.updated_at)) {
                    Absence::Asked => return plan,
                    Absence::Waits(withheld) => {
                        plan.verdict = Some(Verdict::Pending);
                        plan.withheld.push(withheld);
                        return plan;
                    }
                    Absence::Over => {
                        force_again(&mut plan);
                        return plan;
                    }
                    Absence::No => {}
                }
                if let Some(cause) = cause.as_ref().filter(|cause| cause.is_aws_own()) {
                    let failed_at = primary.map_or(0, |primary| primary.updated_at);
                    match self.wait_for_aws(cause, failed_at, 1) {
                        Some(withheld) => {
                            plan.verdict = Some(Verdict::Pending);
                            plan.withheld.push(withheld);
                        }
                        None => force_again(&mut plan),
                    }
                    return plan;
                }
                let mut text = format!("rejected: {}: {reason}", self.subject());
                if let Some(cause) = cause.as_ref().map(Cause::short).filter(|short| !short.is_empty()) {
                    text = format!("{text} {cause}");
                }
                plan.cause = cause;
                plan.withheld.push(Withheld { reason: Reason::Rejected, text, changes: Vec::new() });
            }
            _ => plan.verdict = Some(Verdict::Deployed),
        }
        plan
    }

    fn act_on(&mut self, live: &LiveService, mut differences: Differences, plan: &mut ServicePlan) {
        self.hold_back(live, &mut differences, plan);
        if differences.is_empty() {
            plan.verdict = Some(self.verdict_of(live));
            return;
        }
        if !self.leave_to_autoscaling(&mut differences, plan) {
            return;
        }
        if differences.is_empty() {
            if plan.withheld.is_empty() || plan.withheld.iter().all(|withheld| withheld.changes.is_empty()) {
                *plan = self.equal(live, plan.clone());
            }
            return;
        }
        let replace = self.withhold_impossible(live, &mut differences, plan);
        if let Some(waiting) = &self.around.waiting_for {
            let changes = differences.all().into_iter().chain(replace).collect();
            let (reason, text) = waiting.told();
            if reason == Reason::NotAllowed {
                plan.actions.clear();
            }
            plan.verdict = Some(Verdict::Pending);
            plan.withheld.push(Withheld { reason, text, changes });
            return;
        }
        if !replace.is_empty() && self.around.not_created {
            let changes = differences.all().into_iter().chain(replace).collect();
            plan.withheld.push(Withheld { reason: Reason::Invalid, text: IN_DISPUTE.to_owned(), changes });
            return;
        }
        if !replace.is_empty() {
            self.replace(replace, &differences, plan);
            return;
        }
        let deploys = |change: &Change| change.effect != Effect::InPlace;
        let starts_deployment = !differences.task_definition.is_empty() || differences.service.iter().any(deploys);
        plan.verdict = Some(
            if live.primary().is_some_and(|primary| primary.rollout == RolloutState::InProgress) && !starts_deployment {
                Verdict::Progressing
            } else if starts_deployment {
                Verdict::Pending
            } else {
                Verdict::Deployed
            },
        );
        if starts_deployment && !self.check_history(live, &mut differences, plan) {
            return;
        }
        self.write_actions(live, &differences, plan);
    }

    /// What became of the desired state, where all that differs is left alone.
    fn verdict_of(&self, live: &LiveService) -> Verdict {
        let under_way = live.primary().is_some_and(|primary| primary.rollout == RolloutState::InProgress);
        if under_way { Verdict::Progressing } else { Verdict::Deployed }
    }

    fn write_actions(&mut self, live: &LiveService, differences: &Differences, plan: &mut ServicePlan) {
        let mut revision = None;
        if !differences.task_definition.is_empty() {
            let Some((actions, found)) = self.revision_to_use() else {
                return;
            };
            plan.actions.extend(actions);
            revision = Some(found);
        }
        let Some(definition) = self.live_definition(live) else { return };
        let shown = LiveService { definition: definition.into_owned(), ..live.clone() };
        let (members, force) = update::members(self.desired, &shown, &differences.service, &self.ignore);
        if revision.is_some() || members.as_object().is_some_and(|members| !members.is_empty()) {
            let mut changes = differences.service.clone();
            if let Some(revision) = &revision {
                // What the registration brings is listed there. One that exists already brings it here.
                let new = match revision {
                    RevisionRef::Known(arn) => {
                        changes.splice(0..0, differences.task_definition.iter().cloned());
                        arn.clone()
                    }
                    RevisionRef::Registered => self.desired.family().to_owned(),
                };
                let path = Path::root("service").member("taskDefinition");
                let old = Some(Value::String(live.task_definition.clone()));
                changes.insert(0, Change::new(&path, old, Some(Value::String(new)), Effect::NewDeployment));
            }
            let order = Order::Update { members, revision, force };
            plan.actions.push(Action { kind: ActionKind::UpdateService, changes, order: Some(order) });
        }
        if !differences.tags.is_empty() {
            let declared = self.declared_tags();
            let tags = differences
                .tags
                .iter()
                .filter_map(|change| {
                    let path: Path = change.path.parse().ok()?;
                    let Some(Step::Element(key)) = path.0.last() else {
                        return None;
                    };
                    declared.get(key).map(|value| (key.clone(), value.clone()))
                })
                .collect();
            let order = Some(Order::TagService { tags });
            plan.actions.push(Action { kind: ActionKind::TagService, changes: differences.tags.clone(), order });
        }
    }

    /// The deployment controller that Git declares, where it is not ECS itself.
    fn other_controller(&self) -> Option<&str> {
        let controller = self.desired.service.pointer("/deploymentController/type")?.as_str()?;
        (!matches!(controller, "" | "ECS")).then_some(controller)
    }

    fn declared_tags(&self) -> Tags {
        self.desired
            .service_tags
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect()
    }

    fn creation_changes(&self) -> Vec<Change> {
        let context = Context::of([&self.desired.task_definition, &self.desired.service]);
        diff(Root::Service, &self.desired.service, &Value::Null, &context, &[])
            .into_iter()
            .map(|change| Change { effect: Effect::NewDeployment, ..change })
            .collect()
    }

    fn bare(&self, sync: SyncStatus, health: Health) -> ServicePlan {
        ServicePlan {
            name: self.desired.name.clone(),
            sync,
            health,
            verdict: None,
            actions: Vec::new(),
            withheld: Vec::new(),
            desired: String::new(),
            causes: Vec::new(),
            rollout: None,
            tasks: Vec::new(),
            cause: None,
            rejected_at: None,
            at: None,
        }
    }

    fn holding(&self, health: Health, reason: Reason, text: String, changes: Vec<Change>) -> ServicePlan {
        ServicePlan {
            verdict: Some(Verdict::Pending),
            withheld: vec![Withheld { reason, text, changes }],
            ..self.bare(SyncStatus::OutOfSync, health)
        }
    }

    /// A service that is not ours to write: its differences are shown all the same.
    fn not_ours(&mut self, health: Health, reason: Reason, text: String) -> ServicePlan {
        let Some(live) = self.observed.service.found() else {
            return self.bare(SyncStatus::Unknown, health);
        };
        let found = self.differences(live);
        let (sync, text) = match &found {
            // What could not be read is no difference.
            None => (SyncStatus::Unknown, text),
            // Whoever deploys it, it is as Git says.
            Some(found) if reason == Reason::Controller && found.is_empty() => (SyncStatus::Synced, text),
            Some(found) if reason == Reason::NotAdopted && found.is_empty() => {
                (SyncStatus::Synced, format!("matches Git; not adopted: {text}"))
            }
            // Another owner is more than a note.
            Some(_) => (SyncStatus::OutOfSync, text),
        };
        let found = found.unwrap_or_default();
        let mut withheld = vec![Withheld { reason, text, changes: found.all() }];
        withheld.extend(found.remarks.into_iter().map(remarked));
        ServicePlan { withheld, ..self.bare(sync, health) }
    }
}

/// Starts the same deployment again: nothing differs, so that only force does it.
fn force_again(plan: &mut ServicePlan) {
    let path = Path::root("service").member("forceNewDeployment");
    let change = Change::new(&path, None, Some(Value::Bool(true)), Effect::NeedsForce);
    let order = Order::Update { members: Value::Object(Default::default()), revision: None, force: true };
    plan.sync = SyncStatus::OutOfSync;
    plan.verdict = Some(Verdict::Pending);
    plan.actions.push(Action { kind: ActionKind::UpdateService, changes: vec![change], order: Some(order) });
}

/// What is said and nothing is done about.
fn remarked(remark: Remark) -> Withheld {
    Withheld { reason: remark.reason, text: remark.text, changes: Vec::new() }
}

/// Declared tags that are absent or different. Tags that are not declared are left alone.
fn tag_changes(declared: &Tags, live: &Tags) -> Vec<Change> {
    declared
        .iter()
        .filter(|(name, value)| live.get(*name) != Some(value))
        .map(|(name, value)| {
            let path = Path::root("service").member("tags").element(name);
            let old = live.get(name).cloned().map(Value::String);
            Change::new(&path, old, Some(Value::String(value.clone())), Effect::InPlace)
        })
        .collect()
}

fn take(changes: &mut Vec<Change>, which: impl Fn(&Change) -> bool) -> Vec<Change> {
    let (taken, rest) = std::mem::take(changes).into_iter().partition(which);
    *changes = rest;
    taken
}

fn names(changes: &[Change]) -> String {
    let mut names: Vec<&str> = changes.iter().map(|change| change.path.as_str()).collect();
    names.dedup();
    names.join(", ")
}
