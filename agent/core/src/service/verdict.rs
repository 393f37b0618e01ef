//! Following what was started: until reads show it, until it is done, and the verdict.

use super::{
    machine::{Effect, Evaluation, Facts, Newest, Now, Service},
    memory::Progress,
};
use crate::observed::words::RolloutState;
use crate::{
    event::What,
    mask,
    observed::{LiveService, Reading, Rollout, cause::Cause, refusal::is_aws_own, runs},
    report::{Health, Reason, ServicePlan, SyncStatus, Verdict, Withheld},
};
use lockstep_manifests::Desired;
use std::time::Duration;

/// How long reads may lag behind a write of ours before what they say is believed.
const STALE: Duration = Duration::from_secs(60);

/// The first failure of a rollout, as far as it was found out.
#[derive(Clone, Debug)]
pub(super) struct FirstFailure {
    /// The deployment.
    deployment: Option<String>,
    /// What told of it when it was looked for.
    signs: Option<(i64, i64)>,
    /// What it is.
    cause: Cause,
    /// Whether it was told of; and then whether as a task, a log or an alarm shows it.
    told: Option<bool>,
}

impl Service {
    /// The first failure of the rollout that is under way, where looking again would not find more.
    pub(super) fn first_failure(&self, live: &LiveService) -> Option<Cause> {
        let is_open = match &live.rollout {
            Some(rollout) => rollout.is_open(),
            None => live.primary().is_some_and(|primary| primary.rollout == RolloutState::InProgress),
        };
        let known = self.failure.as_ref().filter(|known| is_open && known.deployment == live.current_deployment)?;
        let is_enough = known.cause.is_first_hand() || known.signs == live.signs_of_failure();
        (is_enough && !known.cause.is_incomplete).then(|| known.cause.clone())
    }

    /// Remembers it; for another deployment, what was known is over.
    pub(super) fn note_failure(&mut self, live: &LiveService, cause: Option<&Cause>) {
        let told = match &self.failure {
            Some(known) if known.deployment == live.current_deployment => known.told,
            _ => {
                self.failure = None;
                None
            }
        };
        if let Some(cause) = cause.filter(|cause| !cause.is_empty()) {
            let (deployment, signs) = (live.current_deployment.clone(), live.signs_of_failure());
            self.failure = Some(FirstFailure { deployment, signs, cause: cause.clone(), told });
        }
    }

    /// Right after a write of ours, reads may show the state before it.
    pub(super) fn not_shown_yet(
        &self,
        desired: &Desired,
        live: &Reading<LiveService>,
        now: &Now,
    ) -> Option<ServicePlan> {
        let started = self.started.as_ref()?;
        let current = match live {
            Reading::Found(live) => live.current_deployment.clone(),
            Reading::Missing => None,
            _ => return None,
        };
        let shows_deployments = live.found().is_none_or(|live| live.current_deployment.is_some());
        let is_old = now.uptime.saturating_sub(started.at) > STALE;
        if current != started.before || !shows_deployments || is_old {
            return None;
        }
        let text = "waiting for ECS to show the deployment that was started".to_owned();
        let (sync, health) = (SyncStatus::OutOfSync, Health::Progressing);
        let mut plan = ServicePlan::withheld(&desired.name, sync, health, Reason::Waiting, text);
        plan.verdict = Some(Verdict::Progressing);
        Some(plan)
    }

    /// Takes in the plan as it is after what was written, and follows the rollout. Answers whether the cause of a stall
    /// is to be read.
    pub(super) fn settle(&mut self, evaluation: &mut Evaluation, facts: &Facts<'_>, now: &Now) -> bool {
        let desired = facts.desired;
        if evaluation.plan.sync == SyncStatus::Synced {
            self.memory.pending = None;
            self.memory.drift.settled(desired.service.get("desiredCount").and_then(serde_json::Value::as_i64));
            if self.parameters.as_ref() != Some(&desired.parameters) {
                evaluation.effects.push(Effect::KeepParameters);
                self.parameters = Some(desired.parameters.clone());
            }
        }
        self.follow(evaluation, facts, now);
        self.pass_on_events(evaluation, facts, now);
        let Some(live) = evaluation.live.found().filter(|_| evaluation.plan.verdict == Some(Verdict::Stalled)) else {
            return false;
        };
        if evaluation.plan.cause.is_some() {
            return false;
        }
        evaluation.observed.cause = self.first_failure(live);
        evaluation.observed.cause.is_none()
    }

    /// Ends the following of a deployment, or calls it stalled: without progress for longer than its deadline, by AWS's
    /// clock. A new stage, another count, or a wait that is meant begins it anew.
    fn follow(&mut self, evaluation: &mut Evaluation, facts: &Facts<'_>, now: &Now) {
        let (plan, live) = (&mut evaluation.plan, evaluation.live.found());
        if matches!(plan.verdict, Some(Verdict::Deployed | Verdict::Rejected | Verdict::Superseded)) {
            self.started = None;
            self.memory.progress = None;
            return;
        }
        let is_new = self
            .started
            .as_ref()
            .is_some_and(|started| live.and_then(|live| live.current_deployment.as_ref()) == started.before.as_ref());
        // What was observed is still the deployment before.
        if plan.verdict != Some(Verdict::Progressing) || is_new {
            return;
        }
        let rollout = live.and_then(|live| live.rollout.as_ref());
        let sign = live.map_or(String::new(), |live| {
            let (stage, pauses) = rollout.map_or(("", 0), |rollout| (rollout.stage.as_str(), rollout.pauses.len()));
            let share = rollout.and_then(|rollout| rollout.production_permille);
            format!("{:?} {stage} {share:?} {pauses} {}", live.current_deployment, live.deployments.len())
        });
        let running = live.and_then(LiveService::primary).map_or(0, |primary| primary.running);
        let waits = rollout.is_some_and(Rollout::waits_by_design);
        let allowed = facts.ground.environment.sync.deadline;
        let deadline = i64::try_from(allowed.as_secs()).unwrap_or(i64::MAX);
        match &mut self.memory.progress {
            Some(progress) if progress.sign == sign && running <= progress.most && !waits => {
                if now.aws - progress.since > deadline {
                    let held = stalled(live, allowed);
                    if held.reason == Reason::Stalled {
                        plan.verdict = Some(Verdict::Stalled);
                    }
                    plan.withheld.push(held);
                }
            }
            progress => *progress = Some(Progress { sign, most: running, since: now.aws }),
        }
    }

    /// Says why a rollout makes no progress: what failed first, or what ECS tells of it.
    pub(super) fn explain_stall(&mut self, evaluation: &mut Evaluation) {
        let (Some(Verdict::Stalled), Some(live)) = (evaluation.plan.verdict, evaluation.live.found()) else { return };
        if evaluation.plan.cause.is_none() {
            let cause = evaluation.observed.cause.take().unwrap_or_default();
            self.note_failure(live, Some(&cause));
            evaluation.plan.cause = Some(cause).filter(|cause| !cause.is_empty());
        }
        let cause = evaluation.plan.cause.as_ref().map(Cause::short);
        let Some(stalled) = evaluation.plan.withheld.iter_mut().find(|withheld| withheld.reason == Reason::Stalled)
        else {
            return;
        };
        let event = live.events.iter().find(|event| event.tells_of_trouble()).map(|event| mask::line(&event.text));
        if let Some(why) = cause.or(event) {
            stalled.text = format!("{}: {why}", stalled.text);
        }
    }

    /// Tells of the first failure of a rollout at once, and once more when a task shows more than an event did.
    pub(super) fn report_failure(&mut self, evaluation: &mut Evaluation, now: &Now) {
        if !matches!(evaluation.plan.verdict, Some(Verdict::Progressing | Verdict::Stalled)) {
            return;
        }
        let (Some(live), Some(cause), Some(known)) =
            (evaluation.live.found(), &evaluation.plan.cause, &mut self.failure)
        else {
            return;
        };
        let is_first_hand = cause.is_first_hand();
        if known.deployment != live.current_deployment || known.told.is_some_and(|told| told || !is_first_hand) {
            return;
        }
        known.told = Some(is_first_hand);
        let counts = evaluation.plan.rollout.as_ref().filter(|rollout| rollout.failures > 0).map(Rollout::text);
        let text = match counts {
            Some(counts) => format!("{} ({counts})", cause.short()),
            None => cause.short(),
        };
        let log = cause.log.clone();
        evaluation.tell(now, What::Failing { text, log });
    }

    /// Passes on what ECS says of the service since a person's order began, for whoever watches it.
    fn pass_on_events(&mut self, evaluation: &mut Evaluation, facts: &Facts<'_>, now: &Now) {
        if !facts.ground.orders.by_hand || !facts.may_write() {
            return;
        }
        let known = *self.told_until.get_or_insert(now.aws - 1);
        let mut newest = known;
        let events = evaluation.live.found().map_or(&[] as &[_], |live| live.events.as_slice());
        for event in events.iter().rev().filter(|event| event.at > known) {
            newest = newest.max(event.at);
            evaluation.effects.push(Effect::Tell(event.at, What::Said { text: mask::line(&event.text) }));
        }
        self.told_until = Some(newest);
    }

    /// Since when ECS rejects a desired state, where that is known.
    pub(super) fn rejected_since(&self, evaluation: &Evaluation, hash: &str) -> Option<i64> {
        let kept = match evaluation.kept_verdict {
            Some((Verdict::Rejected, since)) => Some(since),
            _ => None,
        };
        let of_hash = self.verdict.as_ref().is_some_and(|(known, ..)| known == hash);
        self.rejected_at().filter(|_| of_hash).or(kept)
    }

    /// Remembers the verdict, and tells of it where it is news.
    pub(super) fn report_verdict(&mut self, evaluation: &mut Evaluation, facts: &Facts<'_>, now: &Now) {
        let (desired, hash) = (facts.desired, facts.hash);
        let Some(verdict) = evaluation.plan.verdict.filter(|_| facts.ground.is_meant(&desired.name)) else { return };
        let registered = self.memory.registered.clone();
        if verdict == Verdict::Deployed && evaluation.plan.actions.is_empty() {
            self.deployed = Some(hash.to_owned());
            if desired.ecs_service().is_none() {
                self.memory.registered = Some(hash.to_owned());
            }
        }
        if self.verdict.as_ref().is_some_and(|(known, last, _)| known == hash && *last == verdict) {
            return;
        }
        let known = evaluation.kept_verdict.or_else(|| (registered? == hash).then_some((Verdict::Deployed, now.aws)));
        let is_news = self.verdict.is_some() || known.map(|(known, _)| known) != Some(verdict);
        let since = match known {
            Some((known, since)) if known == verdict => since,
            _ => evaluation.plan.rejected_at.unwrap_or(now.aws),
        };
        self.verdict = Some((hash.to_owned(), verdict, since));
        if evaluation.live.found().is_some() && matches!(verdict, Verdict::Deployed | Verdict::Rejected) {
            evaluation.effects.push(Effect::KeepVerdict(verdict, since));
        }
        let prerequisite = why_of(evaluation, Reason::Prerequisite);
        if let (Verdict::Pending, None, Some(reason)) = (verdict, &self.setback, prerequisite) {
            // A deployment failed for what is not there; a write that failed was told of.
            evaluation.tell(now, What::Failed { reason });
        }
        if !is_news || verdict == Verdict::Pending {
            return;
        }
        let told = match verdict {
            Verdict::Rejected => why_of(evaluation, Reason::Rejected),
            Verdict::Stalled => why_of(evaluation, Reason::Stalled),
            _ => None,
        };
        let text = told.unwrap_or_else(|| self.what_runs(evaluation, desired));
        evaluation.tell(now, What::Verdict { verdict, text });
    }

    /// What is running of a service, in a line.
    fn what_runs(&self, evaluation: &Evaluation, desired: &Desired) -> String {
        let tags = runs::tags_text(&runs::images_of(&desired.task_definition));
        match evaluation.live.found() {
            Some(live) => format!("{tags}, {}/{} running", live.running, live.desired),
            None if desired.ecs_service().is_none() => {
                let newest = self.newest.as_ref().and_then(Newest::revision);
                newest.map_or(tags.clone(), |revision| format!("{tags}, {revision}"))
            }
            None => format!("{tags}, the service is being created"),
        }
    }
}

fn why_of(evaluation: &Evaluation, reason: Reason) -> Option<String> {
    evaluation.plan.withheld.iter().find(|it| it.reason == reason).map(|it| it.text.clone())
}

/// Why a rollout is called stalled; or that it waits for AWS, which goes on trying by itself.
fn stalled(live: Option<&LiveService>, deadline: Duration) -> Withheld {
    let minutes = deadline.as_secs() / 60;
    let mut text = format!("no progress for more than {minutes} minutes");
    if let Some(live) = live {
        text = format!("{text}, {}/{} running", live.running, live.desired);
        let event = live.events.iter().find(|event| event.tells_of_trouble());
        if let Some(event) = event.filter(|event| is_aws_own(&event.text)) {
            let text = format!("waiting for AWS, {text}: {}", mask::line(&event.text));
            return Withheld { reason: Reason::WaitingForAws, text, changes: Vec::new() };
        }
    }
    Withheld { reason: Reason::Stalled, text, changes: Vec::new() }
}
