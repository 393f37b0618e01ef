//! How deployments begin, give way to newer ones, and complete.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::clock::Moment;
use crate::model::{
    Counts, Definition, Deployment, DeploymentKey, Monitor, Object, Platform, Revision, Rollout, Service,
    ServiceDeployment, ServiceKey, Status, Strategy, World,
};
use crate::sim::Sim;
use crate::sim::queue::Event;
use crate::sim::rollback::Cause;
use crate::sim::stages::stages_of;

/// What a new deployment rolls out.
pub(crate) struct Proposal {
    pub(crate) template: Object,
    pub(crate) definition: Arc<Definition>,
    pub(crate) platform: Platform,
}

impl Sim<'_> {
    /// Opens a deployment: a revision, an entry of the classic list, a service deployment.
    pub(crate) fn open(&mut self, key: ServiceKey, proposal: Proposal) {
        let now = self.now;
        let durations = self.durations();
        let (revision_number, slug, classic) =
            (self.world.ids.digits(19), self.world.ids.slug(21), format!("ecs-svc/{}", self.world.ids.digits(19)));
        let deployment = DeploymentKey(self.world.next_key());
        let Some(service) = self.service(key) else {
            return;
        };
        let path = format!("{}/{}", service.cluster, service.name);
        let revision_arn = self.world.ecs_arn(format_args!("service-revision/{path}/{revision_number}"));
        let record_arn = self.world.ecs_arn(format_args!("service-deployment/{path}/{slug}"));
        self.give_way(key);
        let Some(service) = self.service_mut(key) else {
            return;
        };
        let sources = running_revisions(service);
        let shift = stages_of(service.configuration(), now);
        let alternate = next_group(service, &proposal.template);
        let revision = service.revisions.len();
        service.revisions.push(Revision {
            arn: revision_arn,
            created_at: now,
            template: proposal.template,
            definition: proposal.definition,
            digests: None,
            platform: proposal.platform,
            alternate,
        });
        let launch_at = now.plus(durations.update_to_first_start);
        service.deployments.insert(
            0,
            Deployment {
                key: deployment,
                reason: format!("ECS deployment {classic} in progress."),
                id: classic,
                revision,
                desired: 0,
                created_at: now,
                updated_at: now,
                rollout: Rollout::InProgress,
                failed_tasks: 0,
                unreported: (0, 0),
                breaker_count: 0,
                seen_running: false,
                launch_at,
                round: 0,
                not_before: None,
                source_stopped_at: None,
                ready_since: None,
                superseded_at: None,
                deadlock_told: false,
                breaker_scheduled: false,
                throttled_until: None,
                retired: false,
            },
        );
        let configuration = service.configuration().clone();
        let watched = configuration["alarms"]["enable"].as_bool().unwrap_or(false);
        let guarded = configuration["deploymentCircuitBreaker"]["enable"].as_bool().unwrap_or(false);
        let threshold = if guarded { super::rollback::threshold(&configuration, service.desired) } else { 0 };
        service.history.push(ServiceDeployment {
            arn: record_arn,
            deployment,
            target: revision,
            sources,
            status: Status::Pending,
            reason: None,
            created_at: now,
            updated_at: now,
            started_at: None,
            finished_at: None,
            stopped_at: None,
            configuration,
            breaker: if guarded { Monitor::Monitoring } else { Monitor::Disabled },
            breaker_count: 0,
            breaker_threshold: threshold,
            alarms: if watched { Monitor::Monitoring } else { Monitor::Disabled },
            triggered_alarms: Vec::new(),
            shift,
            rollback: None,
            frozen: None,
        });
        self.unsettle(key);
        self.world.queue.push(now.plus(durations.pending_to_in_progress), Event::Begin(key, deployment));
        self.world.queue.push(launch_at, Event::Pass(key));
    }

    /// An unfinished deployment gives way to a new one.
    fn give_way(&mut self, key: ServiceKey) {
        let now = self.now;
        let later = now.plus(self.durations().supersede_stop_pending);
        let Some(service) = self.service_mut(key) else {
            return;
        };
        service.rollback = None;
        let counts = counts(self.world, key);
        let Some(service) = self.world.services.get_mut(&key) else {
            return;
        };
        if let Some(record) = service.history.last_mut().filter(|record| !record.status.terminal()) {
            record.updated_at = now;
            if record.status == Status::Pending {
                record.close(Status::Stopped, now, counts);
            } else {
                record.status = Status::StopRequested;
            }
        }
        let Some(primary) = service.deployments.first_mut() else {
            return;
        };
        if primary.rollout != Rollout::Completed {
            primary.superseded_at = Some(later);
            let deployment = primary.key;
            self.world.queue.push(later, Event::Superseded(key, deployment));
        }
    }

    pub(crate) fn begin(&mut self, key: ServiceKey, deployment: DeploymentKey) {
        let now = self.now;
        let Some(service) = self.service_mut(key) else {
            return;
        };
        let idle = service.desired == 0 && service.deployments.len() == 1;
        let Some(record) = service.history.iter_mut().find(|record| record.deployment == deployment) else {
            return;
        };
        if record.status != Status::Pending {
            return;
        }
        record.status = Status::InProgress;
        record.started_at = Some(now);
        record.updated_at = now;
        if idle {
            service.deployments[0].launch_at = now;
            self.pass_in(key, Duration::ZERO);
        }
        self.begin_alarms(key, deployment);
        match self.refused_network(key, deployment) {
            Some(reason) => self.fail(key, Cause::Network(reason)),
            None => self.first_stage(key, deployment),
        }
    }

    pub(crate) fn end_superseded(&mut self, key: ServiceKey, deployment: DeploymentKey) {
        let now = self.now;
        let counts = counts(self.world, key);
        let Some(service) = self.service_mut(key) else {
            return;
        };
        for record in &mut service.history {
            let ends = record.status == Status::StopRequested;
            if ends && (record.deployment == deployment || record.rollback.is_some()) {
                record.close(Status::Stopped, now, counts.clone());
            }
        }
        // Its pending tasks go even while the new deployment still waits for its turn.
        let live: Vec<_> = service.tasks.clone();
        let id = service.primary().id.clone();
        let pending: Vec<_> = live
            .into_iter()
            .filter(|task| {
                let task = &self.world.tasks[task];
                task.pending() && task.service.is_some_and(|(_, owner)| owner == deployment)
            })
            .collect();
        if !pending.is_empty() {
            self.stop_and_tell(key, &pending, &id);
        }
        self.drop_empty(key);
        self.pass_in(key, self.durations().scheduler_pass);
    }

    /// Entries that neither have tasks nor a future leave the list.
    pub(crate) fn drop_empty(&mut self, key: ServiceKey) {
        let now = self.now;
        let Some(service) = self.world.services.get_mut(&key) else {
            return;
        };
        let tasks = &self.world.tasks;
        let busy: Vec<DeploymentKey> =
            service.tasks.iter().filter_map(|task| tasks[task].service).map(|(_, deployment)| deployment).collect();
        let primary = service.primary().key;
        service.deployments.retain(|entry| {
            entry.key == primary
                || busy.contains(&entry.key)
                || match entry.rollout {
                    Rollout::Completed => !entry.retired,
                    Rollout::Failed => false,
                    Rollout::InProgress => entry.superseded_at.is_none_or(|moment| moment > now),
                }
        });
    }

    /// Completes the deployment if all its conditions hold; tells of a steady state that is back.
    pub(crate) fn settle(&mut self, key: ServiceKey) {
        let now = self.now;
        let Some(service) = self.service(key) else {
            return;
        };
        let primary = service.primary();
        let own = |task: &&crate::model::TaskKey| {
            self.world.tasks[*task].service.is_some_and(|(_, owner)| owner == primary.key)
        };
        let healthy = service.tasks.iter().filter(own).filter(|task| self.world.tasks[*task].healthy).count() as u32;
        let all = service.tasks.len() as u32;
        let early = self.early_success(service);
        let enough = early.map_or(service.desired, |early| early.healthy.min(service.desired));
        let left = all - service.tasks.iter().filter(own).count() as u32;
        let ready = match early {
            Some(early) if primary.rollout == Rollout::InProgress => healthy >= enough && (early.deferred || left == 0),
            _ => healthy == service.desired && all == healthy,
        };
        if primary.rollout == Rollout::Completed {
            if ready && !service.steady && service.deployments.len() == 1 {
                self.become_steady(key, now);
            }
            return;
        }
        if primary.rollout != Rollout::InProgress {
            return;
        }
        if !ready {
            if let Some(service) = self.service_mut(key) {
                service.deployments[0].ready_since = None;
            }
            return;
        }
        let since = primary.ready_since.unwrap_or(now);
        let gate = self.gate(service, since);
        if let Some(service) = self.service_mut(key) {
            service.deployments[0].ready_since = Some(since);
        }
        if now >= gate {
            self.complete(key);
        } else {
            self.world.queue.push(gate, Event::Pass(key));
        }
    }

    /// When a deployment that is ready since `since` completes.
    fn gate(&self, service: &Service, since: Moment) -> Moment {
        let durations = self.durations();
        if let Some(rollback) = &service.rollback {
            return rollback.at.plus(durations.rollback_to_completed).max(since);
        }
        let bake = service.configuration()["bakeTimeInMinutes"].as_u64().unwrap_or(0);
        let watched = self.record(service.key, service.primary().key);
        let watched = watched.is_some_and(|record| record.alarms == Monitor::Monitoring);
        let bake = match bake {
            0 if watched => durations.alarm_bake,
            minutes => Duration::from_secs(60 * minutes),
        };
        let settled = match service.primary().source_stopped_at {
            _ if self.early_success(service).is_some_and(|early| early.deferred) => {
                since.plus(durations.scheduler_pass)
            }
            Some(stopped) => stopped.plus(durations.source_stop_to_complete),
            None if service.desired == 0 => since,
            None => since.plus(durations.scheduler_pass),
        };
        settled.max(since.plus(bake))
    }

    pub(crate) fn complete(&mut self, key: ServiceKey) {
        let now = self.now;
        let counts = counts(self.world, key);
        let early =
            self.service(key).filter(|service| service.rollback.is_none()).and_then(|it| self.early_success(it));
        let deferred = early.is_some_and(|early| early.deferred);
        let Some(service) = self.service_mut(key) else {
            return;
        };
        let rollback = service.rollback.take();
        if deferred {
            for entry in &mut service.deployments[1..] {
                entry.retired = true;
                entry.desired = 0;
            }
        } else {
            service.deployments.truncate(1);
        }
        let primary = &mut service.deployments[0];
        primary.rollout = Rollout::Completed;
        primary.reason = format!("ECS deployment {} completed.", primary.id);
        primary.updated_at = now;
        primary.superseded_at = None;
        primary.ready_since = None;
        let (id, deployment) = (primary.id.clone(), primary.key);
        match rollback {
            Some(rollback) => {
                let record = &mut service.history[rollback.record];
                if !record.status.terminal() {
                    record.close(Status::RollbackSuccessful, now, counts);
                }
            }
            None => {
                if let Some(record) = service.history.iter_mut().rev().find(|record| record.deployment == deployment) {
                    record.close(Status::Successful, now, counts);
                }
            }
        }
        self.tell(key, now, &format!(") (deployment {id}) deployment completed."));
        if deferred {
            return self.pass_in(key, self.durations().scheduler_pass);
        }
        self.become_steady(key, now.plus(Duration::from_millis(1)));
    }

    fn become_steady(&mut self, key: ServiceKey, at: Moment) {
        let Some(service) = self.service_mut(key) else {
            return;
        };
        service.steady = true;
        service.steady_round += 1;
        let round = service.steady_round;
        self.tell(key, at, ") has reached a steady state.");
        let again = at.plus(self.durations().steady_state_repeat);
        self.world.queue.push(again, Event::Steady(key, round));
    }
}

impl ServiceDeployment {
    /// Ends the record: nothing in it changes any more.
    pub(crate) fn close(&mut self, status: Status, now: Moment, counts: BTreeMap<usize, Counts>) {
        self.status = status;
        self.updated_at = now;
        self.finished_at = Some(now);
        if status == Status::Stopped {
            self.stopped_at = Some(now);
        }
        for monitor in [&mut self.breaker, &mut self.alarms] {
            if *monitor == Monitor::Monitoring {
                *monitor = Monitor::Complete;
            }
        }
        self.frozen = Some(counts);
    }
}

/// `earlySuccessCriteria`, for the service's present size.
#[derive(Debug, Clone, Copy)]
struct EarlySuccess {
    healthy: u32,
    /// The old tasks go afterwards.
    deferred: bool,
}

impl Sim<'_> {
    fn early_success(&self, service: &Service) -> Option<EarlySuccess> {
        let criteria = &service.configuration()["earlySuccessCriteria"];
        let rolling = Strategy::of(service.configuration()) == Strategy::Rolling && service.rollback.is_none();
        (rolling && criteria["enable"] == true).then(|| EarlySuccess {
            healthy: (u64::from(service.desired) * criteria["healthyPercent"].as_u64().unwrap_or(100)).div_ceil(100)
                as u32,
            deferred: criteria["sourceServiceRevisionCleanup"] == "DEFERRED",
        })
    }
}

/// Which of a pair of target groups the next revision is to use: at each shift the two change their parts.
fn next_group(service: &Service, template: &Object) -> bool {
    let paired = |template: &Object| {
        let balancers = template.get("loadBalancers").and_then(Value::as_array);
        balancers.into_iter().flatten().any(|balancer| balancer["advancedConfiguration"].is_object())
    };
    let in_force = service.deployments.iter().find(|entry| entry.rollout == Rollout::Completed);
    let Some(before) = in_force.map(|entry| &service.revisions[entry.revision]) else {
        return false;
    };
    if !paired(template) || !paired(&before.template) {
        return false;
    }
    before.alternate != (Strategy::of(service.configuration()) != Strategy::Rolling)
}

/// The revisions that have tasks, or would have if they were wanted.
fn running_revisions(service: &Service) -> Vec<usize> {
    service.deployments.iter().map(|entry| entry.revision).collect()
}

/// Live counts of a service by revision.
pub(crate) fn counts(world: &World, key: ServiceKey) -> BTreeMap<usize, Counts> {
    let mut counts: BTreeMap<usize, Counts> = BTreeMap::new();
    let Some(service) = world.services.get(&key) else {
        return counts;
    };
    for entry in &service.deployments {
        counts.entry(entry.revision).or_default().requested += entry.desired;
    }
    for task in service.tasks.iter().filter_map(|task| world.tasks.get(task)) {
        let Some(revision) = task.revision else {
            continue;
        };
        let count = counts.entry(revision).or_default();
        count.running += u32::from(task.running());
        count.pending += u32::from(task.pending());
    }
    counts
}
