//! Following what was started: until reads show it, until it is done, and the verdict.

use super::service::{Round, Track};
use crate::board::Event;
use crate::cache::Progress;
use lockstep_core::{
    observed::{LiveService, Reading, Rollout},
    refusal::is_aws_own,
    report::{Health, Reason, ServicePlan, SyncStatus, Verdict, Withheld},
};
use lockstep_manifests::Desired;
use std::time::Duration;

/// How long reads may lag behind a write of ours before what they say is believed.
const STALE: Duration = Duration::from_secs(60);

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

    /// Why a rollout is called stalled, with what ECS tells of it.
    fn stalled(&self, live: Option<&LiveService>) -> Withheld {
        let minutes = self.environment.sync.deadline.as_secs() / 60;
        let mut text = format!("no progress for more than {minutes} minutes");
        if let Some(live) = live {
            text = format!("{text}, {}/{} running", live.running, live.desired);
            if let Some(event) = live.events.iter().find(|event| event.tells_of_trouble()) {
                // ECS itself goes on trying.
                if is_aws_own(&event.text) {
                    let text = format!("waiting for AWS, {text}: {}", lockstep_core::mask::line(&event.text));
                    return Withheld { reason: Reason::WaitingForAws, text, changes: Vec::new() };
                }
                text = format!("{text}: {}", lockstep_core::mask::line(&event.text));
            }
        }
        Withheld { reason: Reason::Stalled, text, changes: Vec::new() }
    }

    /// Passes on what ECS says of the service since a person's order began, for whoever watches it.
    pub(super) fn tell_events(&self, desired: &Desired, live: Option<&LiveService>, track: &mut Track) {
        if !self.orders.by_hand || !self.may_write || !self.is_meant(&desired.name) {
            return;
        }
        let events = live.map_or(&[] as &[_], |live| live.events.as_slice());
        let known = track.told_until.get_or_insert_with(|| self.clients.now() - 1);
        let mut newest = *known;
        for event in events.iter().rev().filter(|event| event.at > *known) {
            newest = newest.max(event.at);
            let (environment, service) = (self.environment.name.clone(), desired.name.clone());
            let text = lockstep_core::mask::line(&event.text);
            self.context.tell(Event::Said { environment, service, at: event.at, text });
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
        if verdict == Verdict::Deployed && plan.actions.is_empty() {
            track.deployed = Some(hash.to_owned());
        }
        if track.verdict.as_ref().is_some_and(|(known, last, _)| known == hash && *last == verdict) {
            return;
        }
        let key = live.map(|live| self.key(live, hash));
        let known = key.as_ref().and_then(|key| self.context.cache.verdict(key));
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
        if !is_news || verdict == Verdict::Pending {
            return;
        }
        let text = match (verdict, live) {
            (Verdict::Rejected, _) => plan
                .withheld
                .iter()
                .find(|withheld| withheld.reason == Reason::Rejected)
                .map(|withheld| withheld.text.clone())
                .unwrap_or_default(),
            (Verdict::Stalled, _) => plan
                .withheld
                .iter()
                .find(|withheld| withheld.reason == Reason::Stalled)
                .map(|withheld| withheld.text.clone())
                .unwrap_or_default(),
            (_, Some(live)) => format!("{}/{} running", live.running, live.desired),
            (_, None) => String::new(),
        };
        let (environment, service) = (self.environment.name.clone(), desired.name.clone());
        self.context.tell(Event::Verdict { environment, service, verdict, text });
    }
}
