//! What concerns an environment's services together: their rollouts, the brake, and differences that nothing explains.

use super::{environment::Worker, load::Snapshot, service::Round};
use crate::aws::{Clients, Remedy};
use lockstep_core::observed::words::RolloutState;
use lockstep_core::{
    fleet::brake::Brake,
    observed::{LiveService, Reading},
    report::Verdict,
    service::machine::{Begun, Evaluation, fingerprint},
    stated::identity,
};
use lockstep_manifests::{Desired, Environment};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

impl Worker {
    /// The deployments of services where something is under way, twenty a call. What cannot be read is left out: the
    /// classic list says enough to wait.
    pub(super) async fn read_rollouts(
        &self,
        clients: &Clients,
        wanted: &BTreeMap<String, (Arc<Desired>, String)>,
        due: &BTreeSet<String>,
        live: &mut BTreeMap<String, Reading<LiveService>>,
    ) {
        if clients.has_no_history() {
            return;
        }
        let mut arns: Vec<String> = Vec::new();
        for name in due {
            let is_open = self.tracks.get(name).is_some_and(|track| track.machine.follows());
            let reading = wanted[name].0.ecs_service().and_then(|name| live.get(name));
            let Some(Reading::Found(service)) = reading else { continue };
            let moves =
                service.deployments.len() > 1 || service.primary().is_some_and(|primary| !primary.rollout.is_over());
            if (moves || is_open)
                && let Some(arn) = &service.current_deployment
            {
                arns.push(arn.clone());
            }
        }
        if arns.is_empty() {
            return;
        }
        match clients.rollouts(&arns).await {
            Ok(mut found) => {
                for reading in live.values_mut() {
                    if let Reading::Found(service) = reading {
                        service.rollout = service.current_deployment.as_ref().and_then(|arn| found.remove(arn));
                    }
                }
            }
            Err(error) if error.remedy == Remedy::Unsupported => clients.note_no_history(),
            Err(error) => tracing::warn!(%error, "the deployments that are under way cannot be read"),
        }
    }

    /// The environment's rollouts, as far as they are known before this round looks closer.
    pub(super) fn brake(
        &self,
        environment: &Environment,
        wanted: &BTreeMap<String, (Arc<Desired>, String)>,
        live: &BTreeMap<String, Reading<LiveService>>,
    ) -> Brake {
        let mut brake = Brake::new(environment.sync.max_concurrent, environment.sync.stop_after_failures);
        for (name, track) in &self.tracks {
            let (Some(state), Some((desired, _))) = (track.machine.state(), wanted.get(name)) else { continue };
            // By the ECS name, which is what a service that is only seen has.
            let name = &desired.service_name;
            match (state.plan.verdict, track.machine.rejected_at()) {
                (Some(Verdict::Progressing), _) => brake.note_in_flight(name),
                (Some(Verdict::Rejected), Some(since)) => brake.note_rejected(name, since),
                _ => {}
            }
        }
        for reading in live.values() {
            let Reading::Found(service) = reading else { continue };
            let name = service
                .tags
                .get(identity::SERVICE)
                .filter(|_| service.tags.get(identity::SOURCE) == Some(&self.source_id));
            if let Some(name) = name
                && service.primary().is_some_and(|primary| primary.rollout == RolloutState::InProgress)
            {
                brake.note_in_flight(name);
            }
        }
        brake
    }

    /// Where so many services are looked at that more could be healed than may be without a person: plans them all
    /// before any of them is written, and counts. Returns their evaluations.
    pub(super) async fn count_unexplained(
        &mut self,
        round: &mut Round<'_>,
        snapshot: &Snapshot,
        wanted: &BTreeMap<String, (Arc<Desired>, String)>,
        due: &BTreeSet<String>,
        live: &BTreeMap<String, Reading<LiveService>>,
    ) -> HashMap<String, Box<Evaluation>> {
        let limit = round.ground.environment.sync.max_unexplained;
        let candidates: Vec<&String> = due
            .iter()
            .filter(|name| {
                let track = self.tracks.get(*name);
                track.is_none_or(|track| track.machine.may_have_drifted(&wanted[*name].1))
            })
            .filter(|name| {
                // One that is as it was reported is at rest.
                let quiet = self.tracks.get(*name).is_some_and(|track| {
                    let reading = wanted[*name].0.ecs_service().and_then(|name| live.get(name));
                    let fingerprint = reading.and_then(|live| fingerprint(live, None));
                    track.machine.at_rest(&wanted[*name].1, fingerprint).is_some()
                });
                let reading = wanted[*name].0.ecs_service().and_then(|name| live.get(name));
                !quiet && matches!(reading, Some(Reading::Found(_)))
            })
            .collect();
        let mut evaluations = HashMap::new();
        // Services are not all looked at in one round: what is held, and what was healed a moment ago, counts too.
        let now = round.now();
        let others = self
            .tracks
            .iter()
            .filter(|(name, track)| !candidates.contains(name) && track.machine.counts_as_healed(&now));
        let mut unexplained = others.count();
        if limit == 0
            || candidates.len() + unexplained <= limit
            || !round.ground.may_write
            || round.ground.orders.by_hand
        {
            return evaluations;
        }
        for name in candidates {
            let (desired, hash) = &wanted[name];
            let mut track = self.tracks.remove(name).unwrap_or_default();
            let waiting = self.waiting_for(round, snapshot, desired, &BTreeMap::new());
            if waiting.is_none() && desired.after.is_empty() && !track.machine.has_started() {
                let reading = live[&desired.service_name].clone();
                if let Begun::Evaluation(mut evaluation) = round.begin(desired, hash, reading, None, &mut track) {
                    round.plan(desired, hash, &mut evaluation, &mut track).await;
                    unexplained += usize::from(evaluation.is_unexplained());
                    evaluations.insert(name.clone(), evaluation);
                }
            }
            self.tracks.insert(name.clone(), track);
        }
        round.ground.unexplained = (unexplained > limit).then_some(unexplained);
        evaluations
    }
}
