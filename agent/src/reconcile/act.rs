//! Acting on a plan: what is held back at the last moment, the writes, and what their failure means.

use super::service::{Round, Started, Track, drift_of};
use crate::{
    aws::{AwsError, Remedy},
    execute::{Ended, Failed, Place, execute},
    permit::{Actor, Intent},
};
use lockstep_core::event::{Trigger, What};
use lockstep_core::{
    compare::rules::Effect,
    fleet::brake::Held,
    observed::{
        LiveService, Reading,
        refusal::{Refusal, missing, refusal},
    },
    report::{Action, ActionKind, Health, Order, Reason, RevisionRef, ServicePlan, Verdict, Withheld},
    stated::{
        commit::{self, Commit},
        identity::content_hash,
    },
};
use lockstep_manifests::Desired;
use std::time::Duration;
use tokio::time::Instant;

/// Longest pause between two attempts of a write that fails.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// The pause that grows where only AWS has to be waited for.
const SHORT: Duration = Duration::from_secs(1);

impl Round<'_> {
    /// Takes back what the fleet brake does not admit now.
    pub(super) fn hold(
        &self,
        desired: &Desired,
        hash: &str,
        unexplained: bool,
        plan: &mut ServicePlan,
        track: &mut Track,
    ) {
        let deploys = plan.actions.iter().any(starts_deployment);
        if let Some(count) = self.unexplained
            && !self.orders.by_hand
            && unexplained
        {
            let text = format!(
                "{count} services drifted at once (limit: sync.maxUnexplained = {}). Review them, then run `lockstep sync`",
                self.environment.sync.max_unexplained
            );
            plan.withhold_all(Reason::Unexplained, text);
            return;
        }
        if !deploys {
            return;
        }
        let now = self.clients.now();
        let pending = track.memory().pending.clone();
        let since = match &pending {
            _ if self.orders.begins => now,
            Some((pending, since)) if pending == hash => *since,
            // A commit that was there before this process looked may have failed elsewhere already.
            _ if track.found == hash && self.committed_at > 0 => self.committed_at.min(now),
            _ => now,
        };
        track.memory().pending = Some((hash.to_owned(), since));
        let admitted = self.brake().admit(&desired.service_name, since);
        match admitted {
            Ok(()) => {}
            Err(Held::Concurrent(text)) => plan.withhold_all(Reason::Queued, text),
            Err(Held::Failures(text)) => plan.withhold_all(Reason::Stopped, text),
        }
    }

    /// What the audit tells of each write of the round.
    pub(super) fn intent(&self, service: &str, trigger: &str, commit: Option<Commit>) -> Intent {
        let caller = self.clients.known_caller();
        Intent {
            actor: if self.orders.by_hand { Actor::person(&caller) } else { Actor::agent(&caller) },
            trigger: trigger.to_owned(),
            source: self.source.to_owned(),
            environment: self.environment.name.clone(),
            service: service.to_owned(),
            account: self.environment.account.clone(),
            region: self.environment.region.clone(),
            cluster: self.environment.cluster.clone(),
            commit,
            ..Intent::default()
        }
    }

    /// A write failed a while ago and is not tried again yet.
    pub(super) fn wait_for_next_attempt(&self, plan: &mut ServicePlan, track: &Track) {
        let Some(setback) = &track.setback else { return };
        plan.verdict = setback.verdict(plan.verdict);
        let at = track.not_before.and_then(|at| jiff::Timestamp::from_second(at).ok());
        let again = at.map_or_else(String::new, |at| format!("; tried again at {at}"));
        plan.withhold_all(setback.reason, format!("{}{again}", setback.text));
    }

    pub(super) async fn act(
        &self,
        desired: &Desired,
        hash: &str,
        live: &Reading<LiveService>,
        plan: &mut ServicePlan,
        track: &mut Track,
    ) -> String {
        let existing = live.found().filter(|live| live.status != "INACTIVE");
        let place = Place {
            allow: self.allow,
            environment: self.environment,
            clients: self.clients,
            service: &desired.service_name,
            arn: existing.map(|live| live.arn.as_str()),
            gate: &self.context.gate,
            intent: Intent::default(),
        };
        let is_new = existing.is_none() && plan.health == Health::Missing;
        let trigger = match existing {
            _ if is_new => Trigger::Create,
            Some(_) if self.orders.restart.is_some() => Trigger::Restart,
            _ if self.was_deployed(hash, existing, track) => Trigger::Drift,
            _ => Trigger::Change,
        };
        let mut changes = plan.changes();
        if is_new && desired.ecs_service().is_some() {
            // Of something new, that it is there says it all.
            changes.retain(|change| !change.path.starts_with("taskDefinition"));
        }
        let starts = plan.actions.iter().any(starts_deployment);
        if starts
            && (self.was_paused_meanwhile(plan).await || self.has_changed_meanwhile(desired, live, plan, track).await)
        {
            return String::new();
        }
        let healed = drift_of(plan);
        let commit = track.changed_by.commit.clone();
        let place = Place { intent: self.intent(&desired.name, trigger.word(), commit), ..place };
        match execute(plan, &place).await {
            Ok(done) => {
                if let Some(revision) = &done.registered {
                    self.context.cache.keep_revision(&self.place(), revision);
                }
                self.remember_tags(plan, live.found(), hash);
                track.failures = 0;
                track.not_before = None;
                track.setback = None;
                track.newest = None;
                if trigger == Trigger::Drift {
                    track.healed_at = Some(self.clients.now());
                    track.memory().drift.healed(&healed);
                }
                if starts {
                    track.retried = self.orders.retry;
                    track.forget_absent();
                    self.supersede(desired, hash, track);
                    let before = existing.and_then(|live| live.current_deployment.clone());
                    track.started = Some(Started { before, at: Instant::now() });
                    track.memory().progress = None;
                    plan.verdict = Some(Verdict::Progressing);
                } else if done.wrote_service || !done.actions.is_empty() {
                    // A change that starts no deployment is done when a fresh read is equal.
                    track.observed_at = None;
                    if plan.verdict != Some(Verdict::Rejected) {
                        plan.verdict = Some(Verdict::Progressing);
                    }
                }
                let words: Vec<&str> = done.actions.iter().map(|kind| action_word(*kind)).collect();
                let actions = done.actions.clone();
                // Recording a verdict in tags is bookkeeping, told with the verdict itself.
                if plan.verdict != Some(Verdict::Rejected) {
                    self.tell(&desired.name, track, What::Wrote { trigger, actions, changes });
                }
                plan.actions.clear();
                words.join(", ")
            }
            Err(Ended::Stopping(_)) => {
                plan.actions.clear();
                String::new()
            }
            Err(Ended::Failed(failed)) => {
                if let Some(revision) = &failed.done.registered {
                    self.context.cache.keep_revision(&self.place(), revision);
                }
                let note = self.failed(desired, &failed, plan, track);
                if track.setback.as_ref().is_some_and(|setback| setback.reason == Reason::Rejected) {
                    self.forget_revision(desired, hash, live.found(), plan);
                }
                note
            }
        }
    }

    /// What a failed write means: by its remedy.
    fn failed(&self, desired: &Desired, failed: &Failed, plan: &mut ServicePlan, track: &mut Track) -> String {
        let error = &failed.error;
        let reason = failed.to_string();
        let bookkeeping =
            matches!(failed.action, ActionKind::AdoptService | ActionKind::TagService | ActionKind::TagTaskDefinition);
        let setback = match meaning(error) {
            // Tags are no deployment: what they are for is not rejected.
            Reason::Rejected if bookkeeping => Setback { reason: Reason::Failed, text: reason.clone() },
            Reason::Rejected => Setback { reason: Reason::Rejected, text: format!("rejected: {reason}") },
            Reason::WaitingForAws => {
                Setback { reason: Reason::WaitingForAws, text: format!("waiting for AWS: {reason}") }
            }
            Reason::Prerequisite => {
                let missing = missing(desired, &error.code, &error.text);
                Setback { reason: Reason::Prerequisite, text: format!("waiting for {missing}: {reason}") }
            }
            other => Setback { reason: other, text: reason.clone() },
        };
        track.newest = None;
        track.failures += 1;
        let interval = self.context.timing.interval;
        let pause = match setback.reason {
            // The same words again would not help; what they are about may be mended outside of Git.
            Reason::Rejected => LONGEST_PAUSE,
            Reason::WaitingForAws => self.clients.jittered(grown(interval.min(SHORT), track.failures)),
            _ => self.clients.jittered(grown(interval, track.failures)),
        };
        let seconds = i64::try_from(pause.as_secs()).unwrap_or(i64::MAX).max(1);
        track.not_before = Some(self.clients.now().saturating_add(seconds));
        plan.verdict = setback.verdict(plan.verdict);
        plan.withheld.push(Withheld { reason: setback.reason, text: setback.text.clone(), changes: Vec::new() });
        // Said once, and again when it is another failure.
        if track.setback.as_ref() != Some(&setback) {
            self.tell(&desired.name, track, What::Failed { reason: setback.text.clone() });
        }
        track.setback = Some(setback);
        reason
    }

    /// A revision that exists may have been deregistered since it was read: it is read again before it is used again.
    fn forget_revision(&self, desired: &Desired, hash: &str, live: Option<&LiveService>, plan: &ServicePlan) {
        let cache = &self.context.cache;
        cache.forget_content(&self.place(), &content_hash(&desired.task_definition));
        for action in &plan.actions {
            if let Some(Order::Update { revision: Some(RevisionRef::Known(arn)), .. }) = &action.order {
                cache.forget_revision(arn);
            }
        }
        if let Some(live) = live {
            cache.forget_history(&self.key(live, hash));
        }
    }

    /// What was under way for another desired state gives way.
    fn supersede(&self, desired: &Desired, hash: &str, track: &Track) {
        let Some((old, Verdict::Progressing | Verdict::Stalled, _)) = &track.verdict else { return };
        if old != hash {
            let commit = self.commit_of(track);
            let text = match commit::short(&commit) {
                "" => "a newer state takes its place".to_owned(),
                short => format!("commit {short} takes its place"),
            };
            self.tell(&desired.name, track, What::Verdict { verdict: Verdict::Superseded, text });
        }
    }

    /// Tags of a revision are the one thing of it that changes; the cache follows.
    fn remember_tags(&self, plan: &ServicePlan, live: Option<&LiveService>, hash: &str) {
        for action in &plan.actions {
            if let Some(Order::TagRevision { arn, tags }) = &action.order {
                if let Some(mut revision) = self.context.cache.revision(arn) {
                    revision.tags.extend(tags.clone());
                    self.context.cache.keep_revision(&self.place(), &revision);
                }
                if let Some(live) = live {
                    self.context.cache.forget_history(&self.key(live, hash));
                }
            }
        }
    }
}

/// Why nothing is written after a write failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setback {
    reason: Reason,
    text: String,
}

impl Setback {
    fn verdict(&self, before: Option<Verdict>) -> Option<Verdict> {
        match self.reason {
            Reason::Rejected => Some(Verdict::Rejected),
            Reason::WaitingForAws | Reason::Prerequisite => Some(Verdict::Pending),
            _ => before,
        }
    }
}

/// What a failed write says of the state that it was to bring.
fn meaning(error: &AwsError) -> Reason {
    match (&error.remedy, refusal(&error.code, &error.text)) {
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

fn starts_deployment(action: &Action) -> bool {
    let writes = matches!(action.kind, ActionKind::CreateService | ActionKind::UpdateService);
    writes && action.effect() != Effect::InPlace
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
