//! The facts that the planner asks for, from the cache or from AWS. What is immutable is read once.

use super::{service::Round, short};
use crate::{
    aws::{AwsError, Remedy},
    verify::Verifier,
};
use lockstep_core::observed::words::DeploymentStatus;
use lockstep_core::{
    observed::{
        History, LiveService, Need, Observation, PastDeployment, Presence, Reading, Revision, ServiceEvent,
        cause::Cause, refusal::absent,
    },
    service::plan::needs_revisions,
    stated::identity,
};
use lockstep_manifests::Desired;
use std::collections::BTreeSet;

impl Round<'_> {
    /// Answers the planner's questions, from the cache or from AWS.
    pub(super) async fn answer(
        &self,
        needs: BTreeSet<Need>,
        desired: &Desired,
        hash: &str,
        observed: &mut Observation,
    ) {
        let live = observed.service.found().cloned().unwrap_or_default();
        let key = self.key(&live, hash);
        for need in needs {
            match need {
                Need::Revision => observed.revision = self.revision(&live.task_definition).await,
                Need::Newest => {
                    observed.newest = self.clients.revision(desired.family()).await;
                    if let Reading::Found(revision) = &observed.newest {
                        self.context.cache.keep_revision(&self.place(), revision);
                    }
                }
                Need::History => observed.history = self.history(&key, desired, &live).await,
                Need::Scalable => {
                    observed.scalable =
                        self.clients.scalable(&self.ground.environment.cluster, &desired.service_name).await;
                }
                Need::Presence => observed.presence = Some(self.presence(desired, observed.cause.as_ref()).await),
                Need::Cause => observed.cause = Some(self.cause(&key, desired, &live, observed).await),
            }
        }
    }

    /// Whether what a deployment failed for is there now.
    async fn presence(&self, desired: &Desired, cause: Option<&Cause>) -> Presence {
        let Some(absent) = cause.and_then(|cause| absent(desired, cause)) else { return Presence::Unknown };
        let mut verifier = Verifier::new(&self.context.accounts, self.allow);
        verifier.look_for(&absent, desired, self.ground.environment).await
    }

    /// Revisions never change, so one that was read once is known for ever.
    async fn revision(&self, arn: &str) -> Reading<Revision> {
        if let Some(known) = self.context.cache.revision(arn) {
            return Reading::Found(known);
        }
        let reading = self.clients.revision(arn).await;
        if let Reading::Found(revision) = &reading {
            // Under the name by which it was asked for: some endpoints answer with another form of it.
            let named = Revision { arn: arn.to_owned(), ..revision.clone() };
            self.context.cache.keep_revision(&self.place(), &named);
            return Reading::Found(named);
        }
        reading
    }

    async fn history(&self, key: &str, desired: &Desired, live: &LiveService) -> Reading<History> {
        // What each deployment was to bring matters where one failed, where the tags say that one did, and where Git
        // declares what only a service revision shows.
        let whole = live.tags.contains_key(identity::REJECTED) || needs_revisions(desired);
        let key = &if whole { key.to_owned() } else { format!("{key}|brief") };
        if let Some(known) = self.context.cache.history(key) {
            return Reading::Found(known);
        }
        match self.read_history(&desired.service_name, whole).await {
            Ok(history) => {
                // A service that exists has had a deployment: an empty history is one that does not show it yet.
                if let History::Known(past) = &history
                    && !past.is_empty()
                    && past.iter().all(|deployment| !deployment.is_open())
                {
                    self.context.cache.keep_history(key, &history);
                }
                Reading::Found(history)
            }
            Err(error) if error.remedy == Remedy::NotFound => Reading::Missing,
            Err(error) => Reading::Failed(error.to_string()),
        }
    }

    /// The newest deployments with what they were to bring. Revisions of both kinds are immutable and read once.
    async fn read_history(&self, service: &str, whole: bool) -> Result<History, AwsError> {
        let cache = &self.context.cache;
        let Some(briefs) = self.clients.past_deployments(&self.ground.environment.cluster, service).await? else {
            return Ok(History::Unsupported);
        };
        if !whole && briefs.iter().all(|brief| brief.status == DeploymentStatus::Successful) {
            let past = briefs.into_iter().map(|brief| PastDeployment {
                arn: brief.arn,
                status: brief.status,
                reason: brief.reason,
                service: serde_json::Value::Null,
                revision: Revision::default(),
                gave_way: false,
                started_at: brief.started_at,
                finished_at: brief.finished_at,
            });
            return Ok(History::Known(past.collect()));
        }
        let unknown: Vec<String> = briefs
            .iter()
            .map(|brief| brief.target.clone())
            .filter(|arn| !arn.is_empty() && cache.service_revision(arn).is_none())
            .collect();
        for revision in self.clients.service_revisions(&unknown).await? {
            cache.keep_service_revision(&revision);
        }
        let mut past = Vec::new();
        for brief in briefs {
            let Some(target) = cache.service_revision(&brief.target) else { continue };
            let revision = match self.revision(&target.task_definition).await {
                Reading::Found(revision) => revision,
                Reading::Failed(text) => {
                    let operation = "ecs:DescribeTaskDefinition";
                    return Err(AwsError { operation, remedy: Remedy::Unreachable, code: String::new(), text });
                }
                _ => continue,
            };
            past.push(PastDeployment {
                arn: brief.arn,
                status: brief.status,
                reason: brief.reason,
                service: target.members,
                revision,
                gave_way: false,
                started_at: brief.started_at,
                finished_at: brief.finished_at,
            });
        }
        self.tell_superseded(&mut past).await?;
        Ok(History::Known(past))
    }

    /// STOPPED is also how a deployment ends that a newer one takes the place of. Only the deployment itself says
    /// whether the circuit breaker or an alarm stopped it.
    async fn tell_superseded(&self, past: &mut [PastDeployment]) -> Result<(), AwsError> {
        let stopped: Vec<String> = past
            .iter()
            .filter(|deployment| deployment.status == DeploymentStatus::Stopped)
            .map(|deployment| deployment.arn.clone())
            .collect();
        if stopped.is_empty() {
            return Ok(());
        }
        let found = self.clients.rollouts(&stopped).await?;
        // The newest has nothing to give way to.
        for deployment in past.iter_mut().skip(1).filter(|deployment| deployment.status == DeploymentStatus::Stopped) {
            deployment.gave_way = found.get(&deployment.arn).is_some_and(|rollout| !rollout.triggered);
        }
        Ok(())
    }

    pub(super) async fn cause(
        &self,
        key: &str,
        desired: &Desired,
        live: &LiveService,
        observed: &Observation,
    ) -> Cause {
        if let Some(known) = self.context.cache.cause(key) {
            return known;
        }
        let past = match observed.history.found() {
            Some(History::Known(past)) => past.as_slice(),
            _ => &[],
        };
        // What is under way is not over: its first failure is told, and not kept as the last word.
        let open = live.rollout.as_ref().filter(|rollout| rollout.is_open());
        let failed = match open {
            Some(rollout) => past.iter().find(|deployment| deployment.arn == rollout.arn),
            None => past.iter().find(|deployment| deployment.has_failed()),
        };
        let newest = live.primary().map_or(&live.task_definition, |primary| &primary.task_definition);
        let in_use = if open.is_some() { newest } else { &live.task_definition };
        let revision = failed.map_or(in_use, |deployment| &deployment.revision.arn).clone();
        let mut cause = Cause::default();
        if let Some(failed) = failed {
            failed.reason.clone_into(&mut cause.deployment);
            if failed.status == DeploymentStatus::RollbackSuccessful {
                cause.rolled_back_to = short(&live.task_definition);
            }
            let found = self.clients.rollouts(std::slice::from_ref(&failed.arn)).await;
            if let Some(rollout) = found.ok().as_ref().and_then(|found| found.get(&failed.arn)) {
                rollout.alarms.clone_into(&mut cause.alarms);
            }
        }
        let began = failed.map_or(0, |deployment| deployment.started_at).max(open.map_or(0, |open| open.started_at));
        let telling = |event: &&ServiceEvent| event.at >= began && event.tells_of_trouble();
        // The sentence that the deployment failed says less than what led to it.
        let (summary, details): (Vec<&ServiceEvent>, Vec<&ServiceEvent>) =
            live.events.iter().filter(telling).partition(|event| event.text.contains("deployment failed:"));
        cause.events =
            details.into_iter().chain(summary).take(5).map(|event| lockstep_core::mask::line(&event.text)).collect();
        let definition = match self.revision(&revision).await {
            Reading::Found(revision) => revision.definition,
            _ => serde_json::Value::Null,
        };
        let cluster = &self.ground.environment.cluster;
        let looked =
            self.clients.look_for_cause(&mut cause, cluster, &desired.service_name, &revision, &definition).await;
        match looked {
            Ok(()) if open.is_none() => self.context.cache.keep_cause(key, &cause),
            Ok(()) => {}
            // Neither kept nor written to a tag: the next round looks again.
            Err(_) => cause.is_incomplete = true,
        }
        cause
    }
}
