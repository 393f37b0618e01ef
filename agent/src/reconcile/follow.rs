//! Following what was started: until reads show it, until it is done, and the verdict.

use super::service::{Newest, Round, Track};
use crate::cache::Progress;
use lockstep_core::event::{Subject, What};
use lockstep_core::{
    observed::{LiveService, Observation, Reading, Rollout, cause::Cause, refusal::is_aws_own, runs},
    report::{Health, Reason, ServicePlan, SyncStatus, Verdict, Withheld},
};
use lockstep_manifests::Desired;
use std::time::Duration;

/// How long reads may lag behind a write of ours before what they say is believed.
const STALE: Duration = Duration::from_secs(60);

/// The first failure of a rollout, as far as it was found out.
pub(super) struct Failure {
    /// The deployment.
    deployment: Option<String>,
    /// What told of it when it was looked for.
    signs: Option<(i64, i64)>,
    /// What it is.
    cause: Cause,
    /// Whether it was told of; and then whether as a task, a log or an alarm shows it.
    told: Option<bool>,
}

impl Track {
    /// The first failure of the rollout that is under way, where looking again would not find more.
    pub(super) fn first_failure(&self, live: &LiveService) -> Option<Cause> {
        let is_open = match &live.rollout {
            Some(rollout) => rollout.is_open(),
            None => live.primary().is_some_and(|primary| primary.rollout == "IN_PROGRESS"),
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
            self.failure = Some(Failure { deployment, signs, cause: cause.clone(), told });
        }
    }
}

impl Round<'_> {
    /// Right after a write of ours, reads may show the state before it.
    pub(super) fn not_shown_yet(
        &self,
        desired: &Desired,
        live: &Reading<LiveService>,
        track: &Track,
    ) -> Option<ServicePlan> {
        let started = track.started.as_ref()?;
        let current = match live {
            Reading::Found(live) => live.current_deployment.clone(),
            Reading::Missing => None,
            _ => return None,
        };
        let shows_deployments = live.found().is_none_or(|live| live.current_deployment.is_some());
        if current != started.before || !shows_deployments || started.at.elapsed() > STALE {
            return None;
        }
        let text = "waiting for ECS to show the deployment that was started".to_owned();
        let mut plan =
            ServicePlan::withheld(&desired.name, SyncStatus::OutOfSync, Health::Progressing, Reason::Waiting, text);
        plan.verdict = Some(Verdict::Progressing);
        Some(plan)
    }

    /// Success is what ECS says of the deployment that we started, not that counts are equal.
    pub(super) fn confirm(&self, plan: &mut ServicePlan, live: Option<&LiveService>) {
        let Some(live) = live.filter(|live| live.current_deployment.is_some()) else {
            return;
        };
        let Some(rollout) = &live.rollout else {
            // It was asked for and did not come: nothing is concluded, unless the endpoint has no such thing.
            if !self.clients.has_no_history() {
                plan.verdict = Some(Verdict::Progressing);
            }
            return;
        };
        match rollout.status.as_str() {
            "SUCCESSFUL" => {}
            "ROLLBACK_SUCCESSFUL" | "ROLLBACK_FAILED" | "STOPPED" => {
                plan.verdict = Some(Verdict::Rejected);
                let text = format!("rejected: {}", rollout.reason);
                plan.withheld.push(Withheld { reason: Reason::Rejected, text, changes: Vec::new() });
            }
            _ => plan.verdict = Some(Verdict::Progressing),
        }
    }

    /// Ends the following of a deployment, or calls it stalled: without progress for longer than its deadline, by AWS's
    /// clock. A new stage, another count, or a wait that is meant begins it anew.
    pub(super) fn follow(&self, plan: &mut ServicePlan, live: Option<&LiveService>, track: &mut Track) {
        if matches!(plan.verdict, Some(Verdict::Deployed | Verdict::Rejected | Verdict::Superseded)) {
            track.started = None;
            track.memory().progress = None;
            return;
        }
        let is_new = track
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
        let now = self.clients.now();
        let waits = rollout.is_some_and(Rollout::waits_by_design);
        let deadline = i64::try_from(self.environment.sync.deadline.as_secs()).unwrap_or(i64::MAX);
        match &mut track.memory().progress {
            Some(progress) if progress.sign == sign && running <= progress.most && !waits => {
                if now - progress.since > deadline {
                    let held = self.stalled(live);
                    if held.reason == Reason::Stalled {
                        plan.verdict = Some(Verdict::Stalled);
                    }
                    plan.withheld.push(held);
                }
            }
            progress => *progress = Some(Progress { sign, most: running, since: now }),
        }
    }

    /// Why a rollout is called stalled; or that it waits for AWS, which goes on trying by itself.
    fn stalled(&self, live: Option<&LiveService>) -> Withheld {
        let minutes = self.environment.sync.deadline.as_secs() / 60;
        let mut text = format!("no progress for more than {minutes} minutes");
        if let Some(live) = live {
            text = format!("{text}, {}/{} running", live.running, live.desired);
            let event = live.events.iter().find(|event| event.tells_of_trouble());
            if let Some(event) = event.filter(|event| is_aws_own(&event.text)) {
                let text = format!("waiting for AWS, {text}: {}", lockstep_core::mask::line(&event.text));
                return Withheld { reason: Reason::WaitingForAws, text, changes: Vec::new() };
            }
        }
        Withheld { reason: Reason::Stalled, text, changes: Vec::new() }
    }

    /// Says why a rollout makes no progress: what failed first, or what ECS tells of it.
    pub(super) async fn explain_stall(
        &self,
        plan: &mut ServicePlan,
        desired: &Desired,
        hash: &str,
        live: Option<&LiveService>,
        track: &mut Track,
    ) {
        let (Some(Verdict::Stalled), Some(live)) = (plan.verdict, live) else { return };
        if plan.cause.is_none() {
            let cause = match track.first_failure(live) {
                Some(known) => known,
                None => self.cause(&self.key(live, hash), desired, live, &Observation::default()).await,
            };
            track.note_failure(live, Some(&cause));
            plan.cause = Some(cause).filter(|cause| !cause.is_empty());
        }
        let Some(stalled) = plan.withheld.iter_mut().find(|withheld| withheld.reason == Reason::Stalled) else {
            return;
        };
        let event = live.events.iter().find(|event| event.tells_of_trouble());
        let event = event.map(|event| lockstep_core::mask::line(&event.text));
        if let Some(why) = plan.cause.as_ref().map(Cause::short).or(event) {
            stalled.text = format!("{}: {why}", stalled.text);
        }
    }

    /// Tells of the first failure of a rollout at once, and once more when a task shows more than an event did.
    pub(super) fn report_failure(
        &self,
        desired: &Desired,
        plan: &ServicePlan,
        live: Option<&LiveService>,
        track: &mut Track,
    ) {
        if !matches!(plan.verdict, Some(Verdict::Progressing | Verdict::Stalled)) {
            return;
        }
        let (Some(live), Some(cause), Some(known)) = (live, &plan.cause, &mut track.failure) else { return };
        let is_first_hand = cause.is_first_hand();
        if known.deployment != live.current_deployment || known.told.is_some_and(|told| told || !is_first_hand) {
            return;
        }
        known.told = Some(is_first_hand);
        let counts = plan.rollout.as_ref().filter(|rollout| rollout.failures > 0).map(Rollout::text);
        let text = match counts {
            Some(counts) => format!("{} ({counts})", cause.short()),
            None => cause.short(),
        };
        let log = cause.log.clone();
        self.tell(&desired.name, track, What::Failing { text, log });
    }

    /// Passes on what ECS says of the service since a person's order began, for whoever watches it.
    pub(super) fn tell_events(&self, desired: &Desired, live: Option<&LiveService>, track: &mut Track) {
        if !self.orders.by_hand || !self.may_write || !self.is_meant(&desired.name) {
            return;
        }
        let events = live.map_or(&[] as &[_], |live| live.events.as_slice());
        let commit = self.commit_of(track);
        let known = track.told_until.get_or_insert_with(|| self.clients.now() - 1);
        let mut newest = *known;
        for event in events.iter().rev().filter(|event| event.at > *known) {
            newest = newest.max(event.at);
            let text = lockstep_core::mask::line(&event.text);
            self.context.tell(event.at, self.about(&desired.name, &commit), What::Said { text });
        }
        track.told_until = Some(newest);
    }

    /// Since when ECS rejects a desired state, where that is known.
    pub(super) fn rejected_since(&self, hash: &str, live: Option<&LiveService>, track: &Track) -> Option<i64> {
        if let Some((known, Verdict::Rejected, since)) = &track.verdict
            && known == hash
        {
            return Some(*since);
        }
        match self.context.cache.verdict(&self.key(live?, hash)) {
            Some((Verdict::Rejected, since)) => Some(since),
            _ => None,
        }
    }

    pub(super) fn report_verdict(
        &self,
        desired: &Desired,
        hash: &str,
        plan: &ServicePlan,
        live: Option<&LiveService>,
        track: &mut Track,
    ) {
        let Some(verdict) = plan.verdict.filter(|_| self.is_meant(&desired.name)) else { return };
        let registered = track.memory().registered.clone();
        if verdict == Verdict::Deployed && plan.actions.is_empty() {
            track.deployed = Some(hash.to_owned());
            if desired.ecs_service().is_none() {
                track.memory().registered = Some(hash.to_owned());
            }
        }
        if track.verdict.as_ref().is_some_and(|(known, last, _)| known == hash && *last == verdict) {
            return;
        }
        let key = live.map(|live| self.key(live, hash));
        let known = key.as_ref().and_then(|key| self.context.cache.verdict(key));
        let known = known.or_else(|| (registered? == hash).then(|| (Verdict::Deployed, self.clients.now())));
        let is_news = track.verdict.is_some() || known.map(|(known, _)| known) != Some(verdict);
        let since = match known {
            Some((known, since)) if known == verdict => since,
            _ => plan.rejected_at.unwrap_or_else(|| self.clients.now()),
        };
        track.verdict = Some((hash.to_owned(), verdict, since));
        if let Some(key) = key
            && matches!(verdict, Verdict::Deployed | Verdict::Rejected)
        {
            self.context.cache.keep_verdict(&key, verdict, since);
        }
        let why = |reason: Reason| plan.withheld.iter().find(|it| it.reason == reason).map(|it| it.text.clone());
        if let (Verdict::Pending, None, Some(reason)) = (verdict, &track.setback, why(Reason::Prerequisite)) {
            // A deployment failed for what is not there; a write that failed was told of.
            self.tell(&desired.name, track, What::Failed { reason });
        }
        if !is_news || verdict == Verdict::Pending {
            return;
        }
        let told = match verdict {
            Verdict::Rejected => why(Reason::Rejected),
            Verdict::Stalled => why(Reason::Stalled),
            _ => None,
        };
        let tags = runs::tags_text(&runs::images_of(&desired.task_definition));
        let text = told.unwrap_or_else(|| match live {
            Some(live) => format!("{tags}, {}/{} running", live.running, live.desired),
            None if desired.ecs_service().is_none() => {
                let newest = track.newest.as_ref().and_then(Newest::revision);
                newest.map_or(tags.clone(), |revision| format!("{tags}, {revision}"))
            }
            None => format!("{tags}, the service is being created"),
        });
        self.tell(&desired.name, track, What::Verdict { verdict, text });
    }

    /// Tells of a service.
    pub(super) fn tell(&self, service: &str, track: &Track, what: What) {
        self.context.tell(self.clients.now(), self.about(service, &self.commit_of(track)), what);
    }

    /// A service at a commit, for events.
    pub(super) fn about(&self, service: &str, commit: &str) -> Subject {
        let environment = self.environment.name.clone();
        let (commit, service) = (commit.to_owned(), service.to_owned());
        Subject { commit, environment, service, ..Subject::source(self.source) }
    }

    /// The commit that a verdict is about: the one that last changed the service, else the branch's.
    pub(super) fn commit_of(&self, track: &Track) -> String {
        track.changed_by.commit.as_ref().map_or_else(|| self.commit.to_owned(), |commit| commit.id.clone())
    }
}
