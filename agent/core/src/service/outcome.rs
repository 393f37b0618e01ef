//! Writing: what is decided last, and what it means that a write succeeded or failed.

use super::{
    drift,
    lint::{Breach, Subject, lint},
    machine::{Effect, Evaluation, Facts, Now, Service, Step, there},
    withhold::{self, Case},
};
use crate::observed::words::DeploymentStatus;
use crate::{
    compare::{diff::Change, rules::Effect as Strength},
    event::{Trigger, What},
    fleet::brake::Brake,
    observed::{
        LiveService, Reading, Revision,
        refusal::{Refusal, missing, refusal},
    },
    remedy::Remedy,
    report::{Action, ActionKind, Health, Order, Reason, RevisionRef, ServicePlan, SyncStatus, Verdict, Withheld},
    service::pause::Pause,
    stated::{
        commit,
        identity::{self, OWN_TAGS},
    },
};
use std::{collections::BTreeMap, time::Duration};

/// Longest pause between two attempts of a write that fails.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// The pause that grows where only AWS has to be waited for.
const SHORT: Duration = Duration::from_secs(1);
/// Seconds for which the same is not written again while AWS shows what it showed before; twice as long each time.
const NOT_SHOWN: i64 = 15;
const NOT_SHOWN_AT_MOST: i64 = 600;

/// Makes a pause longer or shorter by chance.
pub type Jitter<'a> = &'a dyn Fn(Duration) -> Duration;

/// A write of ours that starts a deployment.
#[derive(Clone, Debug)]
pub(super) struct Started {
    pub before: Option<String>,
    pub at: Duration,
}

/// A write that AWS accepted, and what was seen of the service before it. AWS's answers may be older than the write.
#[derive(Clone, Debug)]
pub(super) struct Written {
    hash: String,
    before: Option<LiveService>,
    actions: Vec<(ActionKind, Vec<Change>)>,
    times: u32,
    pub at: i64,
}

impl Written {
    /// Until when the same is not written again, epoch seconds.
    pub(super) fn until(&self) -> i64 {
        self.at.saturating_add((NOT_SHOWN << self.times.min(10)).min(NOT_SHOWN_AT_MOST))
    }

    /// Whether an evaluation is about to write the same, of the same.
    pub(super) fn is_same(&self, hash: &str, evaluation: &Evaluation) -> bool {
        let is_as_before = match (&self.before, there(&evaluation.live)) {
            (Some(before), Some(live)) => before.is_as(live),
            (before, live) => before.is_none() && live.is_none(),
        };
        self.hash == hash && is_as_before && self.actions == actions_of(&evaluation.plan)
    }
}

/// Why nothing is written after a write failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setback {
    pub reason: Reason,
    pub text: String,
}

impl Setback {
    pub(super) fn verdict(&self, before: Option<Verdict>) -> Option<Verdict> {
        match self.reason {
            Reason::Rejected => Some(Verdict::Rejected),
            Reason::WaitingForAws | Reason::Prerequisite => Some(Verdict::Pending),
            _ => before,
        }
    }
}

/// What was done of a plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Done {
    /// The actions that took effect.
    pub actions: Vec<ActionKind>,
    /// The revision that was registered.
    pub registered: Option<Revision>,
    /// The service deployment that ECS names after the write.
    pub deployment: Option<String>,
    /// Whether a service was created or updated.
    pub wrote_service: bool,
}

/// What came of carrying out a plan.
#[derive(Clone, Debug, PartialEq)]
pub enum WriteOutcome {
    /// All of it was done.
    Done(Done),
    /// Nothing was begun: the agent ends.
    Stopping,
    /// An action failed.
    Failed(WriteFailure),
}

/// An action that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteFailure {
    /// The action.
    pub action: ActionKind,
    /// What helps.
    pub remedy: Remedy,
    /// AWS's name of the error.
    pub code: String,
    /// AWS's words.
    pub text: String,
    /// All of it for people.
    pub told: String,
}

/// What was read once more before a deployment; nothing where it was read a moment before.
#[derive(Clone, Debug, Default)]
pub struct Looked {
    /// The service.
    pub live: Option<Reading<LiveService>>,
    /// The environment's pause.
    pub pause: Option<Reading<Pause>>,
}

impl Service {
    /// What is done with a finished plan: a step where there is something to write.
    pub(super) fn decide(
        &mut self,
        evaluation: &mut Evaluation,
        facts: &Facts<'_>,
        brake: &mut Brake,
        now: &Now,
    ) -> Option<Step> {
        let (desired, hash, orders) = (facts.desired, facts.hash, facts.ground.orders);
        // An error is no answer: the last verdict stays.
        if evaluation.plan.sync == SyncStatus::Unknown && evaluation.plan.verdict.is_none() {
            evaluation.plan.verdict = self.verdict.as_ref().filter(|it| it.0 == hash).map(|(_, verdict, _)| *verdict);
        }
        if evaluation.plan.verdict == Some(Verdict::Deployed) && self.started.is_some() {
            confirm(evaluation, facts);
        }
        if orders.adopt && orders.write {
            evaluation.plan.actions.retain(|action| action.kind == ActionKind::AdoptService);
        }
        let subject = Subject {
            desired: Some(desired),
            live: evaluation.live.found(),
            source: facts.ground.source,
            environment: &facts.ground.environment.name,
            declared: None,
            now: now.aws,
        };
        if let Some(breach) = refuse_breaches(&mut evaluation.plan, &subject) {
            evaluation.effects.push(Effect::Breach(breach));
        }
        if evaluation.plan.verdict == Some(Verdict::Rejected) {
            let since = evaluation.plan.rejected_at.or_else(|| self.rejected_since(evaluation, hash));
            brake.note_rejected(&desired.service_name, since.unwrap_or(now.aws));
        }
        withhold::from_write(&mut Case { service: self, evaluation: &mut *evaluation, facts, brake, now });
        if evaluation.plan.actions.is_empty() || evaluation.is_shown_only {
            return None;
        }
        let existing = there(&evaluation.live);
        evaluation.trigger = match existing {
            None if evaluation.plan.health == Health::Missing => Trigger::Create,
            Some(_) if orders.restart.is_some() => Trigger::Restart,
            _ if self.was_deployed(evaluation, hash) => Trigger::Drift,
            _ => Trigger::Change,
        };
        let starts = evaluation.plan.actions.iter().any(starts_deployment);
        Some(if starts { Step::LookAgain } else { Step::Execute(evaluation.trigger) })
    }

    /// Judges the look before a deployment: where somebody did something meanwhile, nothing is written.
    pub fn looked(&mut self, evaluation: &mut Evaluation, looked: Looked) -> Option<Step> {
        if let Some(pause) = &looked.pause {
            withhold::environment_paused(pause, &mut evaluation.plan);
            if evaluation.plan.actions.is_empty() {
                return None;
            }
        }
        let Some(now) = looked.live else { return Some(Step::Execute(evaluation.trigger)) };
        match (there(&evaluation.live), there(&now), &now) {
            (_, None, Reading::Failed(text)) => {
                evaluation.plan.withhold_all(Reason::Unread, format!("the read before the deployment failed: {text}"));
            }
            (None, None, _) => return Some(Step::Execute(evaluation.trigger)),
            (Some(before), Some(now), _) if before.is_as(now) => return Some(Step::Execute(evaluation.trigger)),
            _ => {
                let text = "the service was changed while its change was planned; it is planned again".to_owned();
                evaluation.plan.withhold_all(Reason::Queued, text);
                evaluation.plan.verdict = Some(Verdict::Pending);
            }
        }
        self.look_soon();
        None
    }

    /// Takes in what came of carrying out the plan. `jitter` makes a pause longer or shorter by chance: what failed
    /// together does not come back together.
    pub fn executed(
        &mut self,
        evaluation: &mut Evaluation,
        facts: &Facts<'_>,
        outcome: &WriteOutcome,
        jitter: Jitter<'_>,
        now: &Now,
    ) {
        let actions = actions_of(&evaluation.plan);
        evaluation.note = match outcome {
            WriteOutcome::Done(done) => self.done(evaluation, facts, done, now),
            WriteOutcome::Stopping => {
                evaluation.plan.actions.clear();
                String::new()
            }
            WriteOutcome::Failed(failure) => {
                let note = self.failed(evaluation, facts, failure, jitter, now);
                if self.setback.as_ref().is_some_and(|setback| setback.reason == Reason::Rejected) {
                    evaluation.effects.push(Effect::Forget(revisions_of(&evaluation.plan)));
                }
                note
            }
        };
        let times = self.written.take().map_or(0, |before| before.times + 1);
        if let (WriteOutcome::Done(_), false) = (outcome, evaluation.note.is_empty()) {
            let (hash, before) = (facts.hash.to_owned(), there(&evaluation.live).cloned());
            self.written = Some(Written { hash, before, actions, times, at: now.aws });
        }
    }

    fn done(&mut self, evaluation: &mut Evaluation, facts: &Facts<'_>, done: &Done, now: &Now) -> String {
        let is_new = evaluation.trigger == Trigger::Create;
        let mut changes = evaluation.plan.changes();
        if is_new && facts.desired.ecs_service().is_some() {
            // Of something new, that it is there says it all.
            changes.retain(|change| !change.path.starts_with("taskDefinition"));
        }
        let healed = drift_of(&evaluation.plan);
        self.failures = 0;
        self.not_before = None;
        self.setback = None;
        self.newest = None;
        if evaluation.trigger == Trigger::Drift {
            self.healed_at = Some(now.aws);
            self.memory.drift.healed(&healed);
        }
        if evaluation.plan.actions.iter().any(starts_deployment) {
            self.retried = facts.ground.orders.retry;
            // What the deployment before failed for is another matter.
            self.looked_for = None;
            self.memory.absent = None;
            self.supersede(evaluation, facts, now);
            let before = there(&evaluation.live).and_then(|live| live.current_deployment.clone());
            self.started = Some(Started { before, at: now.uptime });
            self.memory.progress = None;
            evaluation.plan.verdict = Some(Verdict::Progressing);
        } else if done.wrote_service || !done.actions.is_empty() {
            // A change that starts no deployment is done when a fresh read is equal.
            self.look_soon();
            if evaluation.plan.verdict != Some(Verdict::Rejected) {
                evaluation.plan.verdict = Some(Verdict::Progressing);
            }
        }
        let words: Vec<&str> = done.actions.iter().map(|kind| action_word(*kind)).collect();
        // Recording a verdict in tags is bookkeeping, told with the verdict itself.
        if evaluation.plan.verdict != Some(Verdict::Rejected) {
            evaluation.tell(now, What::Wrote { trigger: evaluation.trigger, actions: done.actions.clone(), changes });
        }
        evaluation.plan.actions.clear();
        words.join(", ")
    }

    /// What a failed write means: by its remedy.
    fn failed(
        &mut self,
        evaluation: &mut Evaluation,
        facts: &Facts<'_>,
        failure: &WriteFailure,
        jitter: Jitter<'_>,
        now: &Now,
    ) -> String {
        let reason = failure.told.clone();
        let bookkeeping =
            matches!(failure.action, ActionKind::AdoptService | ActionKind::TagService | ActionKind::TagTaskDefinition);
        let setback = match meaning(failure) {
            // Tags are no deployment: what they are for is not rejected.
            Reason::Rejected if bookkeeping => Setback { reason: Reason::Failed, text: reason.clone() },
            Reason::Rejected => Setback { reason: Reason::Rejected, text: format!("rejected: {reason}") },
            Reason::WaitingForAws => {
                Setback { reason: Reason::WaitingForAws, text: format!("waiting for AWS: {reason}") }
            }
            Reason::Prerequisite => {
                let missing = missing(facts.desired, &failure.code, &failure.text);
                Setback { reason: Reason::Prerequisite, text: format!("waiting for {missing}: {reason}") }
            }
            other => Setback { reason: other, text: reason.clone() },
        };
        self.newest = None;
        self.failures += 1;
        let interval = facts.ground.interval;
        let pause = match setback.reason {
            // The same words again would not help; what they are about may be mended outside of Git.
            Reason::Rejected => LONGEST_PAUSE,
            Reason::WaitingForAws => jitter(grown(interval.min(SHORT), self.failures)),
            _ => jitter(grown(interval, self.failures)),
        };
        let seconds = i64::try_from(pause.as_secs()).unwrap_or(i64::MAX).max(1);
        self.not_before = Some(now.aws.saturating_add(seconds));
        evaluation.plan.verdict = setback.verdict(evaluation.plan.verdict);
        evaluation.plan.withheld.push(Withheld {
            reason: setback.reason,
            text: setback.text.clone(),
            changes: Vec::new(),
        });
        // Said once, and again when it is another failure.
        if self.setback.as_ref() != Some(&setback) {
            evaluation.tell(now, What::Failed { reason: setback.text.clone() });
        }
        self.setback = Some(setback);
        reason
    }

    /// What was under way for another desired state gives way.
    fn supersede(&self, evaluation: &mut Evaluation, facts: &Facts<'_>, now: &Now) {
        let Some((old, Verdict::Progressing | Verdict::Stalled, _)) = &self.verdict else { return };
        if old != facts.hash {
            let commit = facts.commit.map_or(facts.ground.commit, |commit| commit.id.as_str());
            let text = match commit::short(commit) {
                "" => "a newer state takes its place".to_owned(),
                short => format!("commit {short} takes its place"),
            };
            evaluation.tell(now, What::Verdict { verdict: Verdict::Superseded, text });
        }
    }

    /// Whether this very state was deployed before. After a restart only what was kept tells.
    pub(super) fn was_deployed(&self, evaluation: &Evaluation, hash: &str) -> bool {
        self.deployed.as_deref() == Some(hash)
            || self.memory.registered.as_deref() == Some(hash)
            || matches!(evaluation.kept_verdict, Some((Verdict::Deployed, _)))
    }

    /// Whether no commit and no parameter explains what is to be done.
    pub(super) fn lacks_explanation(&self, evaluation: &Evaluation, hash: &str) -> bool {
        if evaluation.live.found().is_none() {
            return false;
        }
        let drift = drift_of(&evaluation.plan);
        if drift.is_empty() || !evaluation.plan.causes.is_empty() {
            return false;
        }
        if self.was_deployed(evaluation, hash) {
            return true;
        }
        if self.deployed.is_some() || self.is_explained(hash) {
            return false;
        }
        // Nothing is remembered. The revision in use says what its content was when we registered it: where Git has
        // another one now, a commit changed it.
        let revision = evaluation.observed.revision.found();
        let registered = revision.and_then(|revision| revision.tags.get(identity::HASH));
        let changes_definition = drift.iter().any(|change| change.path.starts_with("taskDefinition"));
        registered.is_none() || !changes_definition
    }

    /// The differences that are not to be healed now.
    pub(super) fn consider_drift(
        &mut self,
        evaluation: &Evaluation,
        facts: &Facts<'_>,
        now: &Now,
    ) -> BTreeMap<String, drift::Delay> {
        let heal = facts.ground.environment.sync.heal_of(&facts.desired.sync);
        let changes = drift_of(&evaluation.plan);
        let is_drift = self.was_deployed(evaluation, facts.hash);
        let look = drift::Look { desired: facts.hash, changes: &changes, now: now.aws, heal, is_drift };
        self.memory.drift.consider(&look)
    }
}

/// Success is what ECS says of the deployment that we started, not that counts are equal.
fn confirm(evaluation: &mut Evaluation, facts: &Facts<'_>) {
    let Some(live) = evaluation.live.found().filter(|live| live.current_deployment.is_some()) else { return };
    let Some(rollout) = &live.rollout else {
        // It was asked for and did not come: nothing is concluded, unless the endpoint has no such thing.
        if facts.ground.has_history {
            evaluation.plan.verdict = Some(Verdict::Progressing);
        }
        return;
    };
    match rollout.status {
        DeploymentStatus::Successful => {}
        DeploymentStatus::RollbackSuccessful | DeploymentStatus::RollbackFailed | DeploymentStatus::Stopped => {
            evaluation.plan.verdict = Some(Verdict::Rejected);
            let text = format!("rejected: {}", rollout.reason);
            evaluation.plan.withheld.push(Withheld { reason: Reason::Rejected, text, changes: Vec::new() });
        }
        _ => evaluation.plan.verdict = Some(Verdict::Progressing),
    }
}

/// A plan that breaks an invariant is not carried out. Answers what it breaks.
pub fn refuse_breaches(plan: &mut ServicePlan, subject: &Subject<'_>) -> Option<Breach> {
    let breach = lint(plan, subject).into_iter().next()?;
    let text = format!(
        "the plan breaks invariant {} ({}); this is a bug of Lockstep, please report it",
        breach.number, breach.text
    );
    plan.actions.clear();
    plan.withheld.push(Withheld { reason: Reason::Invalid, text, changes: Vec::new() });
    Some(breach)
}

/// What a plan changes of a service that should be as it is, less our own bookkeeping.
pub(super) fn drift_of(plan: &ServicePlan) -> Vec<Change> {
    let heals = [ActionKind::RegisterTaskDefinition, ActionKind::UpdateService, ActionKind::TagService];
    plan.actions
        .iter()
        .filter(|action| heals.contains(&action.kind))
        .flat_map(|action| action.changes.clone())
        .filter(|change| change.path != "service.taskDefinition" && !change.path.contains(OWN_TAGS))
        .collect()
}

/// What a plan does, without the commit that it is for.
fn actions_of(plan: &ServicePlan) -> Vec<(ActionKind, Vec<Change>)> {
    plan.actions.iter().map(|action| (action.kind, action.changes.clone())).collect()
}

/// The revisions that a plan uses and does not register.
fn revisions_of(plan: &ServicePlan) -> Vec<String> {
    let known = |action: &Action| match &action.order {
        Some(Order::Update { revision: Some(RevisionRef::Known(arn)), .. }) => Some(arn.clone()),
        _ => None,
    };
    plan.actions.iter().filter_map(known).collect()
}

/// What a failed write says of the state that it was to bring.
fn meaning(failure: &WriteFailure) -> Reason {
    match (failure.remedy, refusal(&failure.code, &failure.text)) {
        (Remedy::Throttled | Remedy::Unreachable, _) => Reason::WaitingForAws,
        (Remedy::Refused | Remedy::NotFound, Refusal::Passing) => Reason::WaitingForAws,
        (Remedy::Refused | Remedy::NotFound, Refusal::Prerequisite) => Reason::Prerequisite,
        (Remedy::Refused, Refusal::Stands) => Reason::Rejected,
        _ => Reason::Failed,
    }
}

/// Twice as long with each failure.
fn grown(pause: Duration, failures: u32) -> Duration {
    pause.saturating_mul(1 << failures.min(9)).min(LONGEST_PAUSE)
}

/// Whether an action starts a deployment.
pub(super) fn starts_deployment(action: &Action) -> bool {
    let writes = matches!(action.kind, ActionKind::CreateService | ActionKind::UpdateService);
    writes && action.effect() != Strength::InPlace
}

fn action_word(kind: ActionKind) -> &'static str {
    match kind {
        ActionKind::AdoptService => "adopted",
        ActionKind::RegisterTaskDefinition => "registered a task definition revision",
        ActionKind::CreateService => "created the service",
        ActionKind::UpdateService => "updated the service",
        ActionKind::DeleteService => "deleted the service to create it again",
        ActionKind::PruneService => "removed the service",
        ActionKind::TagService => "tagged the service",
        ActionKind::TagTaskDefinition => "tagged the task definition revision",
        ActionKind::EndScale => "ended the scale",
    }
}
