//! One look of the scheduler at a service with rolling deployments.

use crate::model::{DeploymentKey, Phase, Rollout, ServiceKey, ServiceStatus, Status, Strategy, TaskKey};
use crate::sim::Sim;

/// The tasks of one entry of the deployments list that are wanted.
#[derive(Debug, Default)]
pub(crate) struct Share {
    pending: Vec<TaskKey>,
    /// Running, but not found healthy yet.
    unproven: Vec<TaskKey>,
    healthy: Vec<TaskKey>,
}

impl Share {
    pub(crate) fn live(&self) -> u32 {
        (self.pending.len() + self.unproven.len() + self.healthy.len()) as u32
    }

    pub(crate) fn tasks(&self) -> impl Iterator<Item = TaskKey> + '_ {
        self.pending.iter().chain(&self.unproven).chain(&self.healthy).copied()
    }
}

/// A deployment whose tasks are to go, as the scheduler sees it.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) key: DeploymentKey,
    pub(crate) share: Share,
    /// Superseded or failed: what does not run well may go at once.
    pub(crate) expendable: bool,
    failed: bool,
}

impl Sim<'_> {
    pub(crate) fn pass(&mut self, key: ServiceKey) {
        let Some(service) = self.service(key) else {
            return;
        };
        match service.status {
            ServiceStatus::Active => {}
            ServiceStatus::Draining => return self.drain(key),
            ServiceStatus::Inactive => return,
        }
        if service.daemon {
            self.count_instances(key);
        }
        let Some(service) = self.service(key) else {
            return;
        };
        let (desired, lower, upper) = (service.desired, service.lower(), service.upper());
        let primary = service.primary();
        let (target, rollout, launched) = (primary.key, primary.rollout, primary.launch_at <= self.now);
        let waits = primary.not_before.is_some_and(|moment| moment > self.now);
        let share = self.share(key, target);
        let sources = self.sources(key);
        let others: u32 = sources.iter().map(|source| source.share.live()).sum();

        if rollout == Rollout::Failed {
            self.stop_failed(key, &share);
            self.replace_in_sources(key, &sources, share.live() + others, upper);
            return;
        }
        match self.shift(key, target).and_then(|shift| Some((shift.strategy, shift.stage?))) {
            // Before the only hook of a rolling deployment, nothing of it starts.
            Some((Strategy::Rolling, _)) => {
                self.replace_in_sources(key, &sources, others, upper);
                return self.look_at_stage(key, target);
            }
            Some(_) => return self.pass_of_shift(key, target, &share, &sources),
            None => {}
        }
        let picked_up = self.record(key, target).is_none_or(|record| record.status != Status::Pending);
        if !launched || !picked_up {
            return;
        }
        self.set_desired(key, target, desired);
        // A completed deployment replaces lost tasks within the same bounds.
        let headroom = upper.max(desired.min(1)).saturating_sub(share.live() + others);
        let missing = desired.saturating_sub(share.live());
        let start = missing.min(headroom);
        if start > 0 && !waits {
            self.report_failures(key, target);
            self.start_tasks(key, target, start);
        } else if desired < share.live() {
            self.scale_in(key, &share, share.live() - desired);
        }
        let spare = headroom.saturating_sub(start);
        self.replace_in_sources(key, &sources, upper.saturating_sub(spare), upper);
        let stopped = self.stop_sources(key, &share, &sources, headroom, lower);
        if missing > 0
            && headroom == 0
            && stopped == 0
            && others > 0
            && !sources.iter().any(|source| source.expendable)
            && share.live() == 0
        {
            self.tell_deadlock(key);
        }
        self.drop_empty(key);
        self.settle(key);
    }

    /// The tasks of a deployment, by how well they do.
    fn share(&self, key: ServiceKey, deployment: DeploymentKey) -> Share {
        let mut share = Share::default();
        let Some(service) = self.service(key) else {
            return share;
        };
        for key in &service.tasks {
            let task = &self.world.tasks[key];
            if !task.live() || task.service.is_none_or(|(_, owner)| owner != deployment) {
                continue;
            }
            if task.healthy {
                share.healthy.push(*key);
            } else if task.phase == Phase::Running {
                share.unproven.push(*key);
            } else {
                share.pending.push(*key);
            }
        }
        share
    }

    fn sources(&self, key: ServiceKey) -> Vec<Source> {
        let Some(service) = self.service(key) else {
            return Vec::new();
        };
        service.deployments[1..]
            .iter()
            .map(|entry| Source {
                key: entry.key,
                share: self.share(key, entry.key),
                failed: entry.rollout == Rollout::Failed || entry.retired,
                expendable: match entry.rollout {
                    Rollout::Completed => entry.retired,
                    Rollout::Failed => true,
                    Rollout::InProgress => entry.superseded_at.is_none_or(|moment| moment <= self.now),
                },
            })
            .collect()
    }

    /// A daemon runs once on each instance.
    fn count_instances(&mut self, key: ServiceKey) {
        let Some(service) = self.service(key) else {
            return;
        };
        let instances = self.world.clusters.get(&service.cluster).map_or(0, |cluster| cluster.instances);
        if let Some(service) = self.service_mut(key) {
            service.desired = instances;
        }
    }

    pub(crate) fn set_desired(&mut self, key: ServiceKey, deployment: DeploymentKey, desired: u32) {
        if let Some(entry) = self.service_mut(key).and_then(|service| service.deployment_mut(deployment)) {
            entry.desired = desired;
        }
    }

    /// Failures become visible with the replacement, not before.
    pub(crate) fn report_failures(&mut self, key: ServiceKey, target: DeploymentKey) {
        let now = self.now;
        let Some(service) = self.service_mut(key) else {
            return;
        };
        let Some(entry) = service.deployment_mut(target) else {
            return;
        };
        let (failures, counted) = std::mem::take(&mut entry.unreported);
        entry.failed_tasks += failures;
        entry.not_before = None;
        if failures > 0 {
            entry.updated_at = now;
        }
        if entry.rollout == Rollout::InProgress {
            entry.breaker_count += counted;
            self.consider_breaker(key, target);
        }
    }

    /// Lost tasks of an old completed revision are replaced with the same revision.
    pub(crate) fn replace_in_sources(&mut self, key: ServiceKey, sources: &[Source], mut total: u32, upper: u32) {
        for source in sources.iter().filter(|source| !source.expendable) {
            let Some(entry) = self.service(key).and_then(|service| service.deployment(source.key)) else {
                continue;
            };
            if entry.rollout != Rollout::Completed || entry.not_before.is_some_and(|moment| moment > self.now) {
                continue;
            }
            let missing = entry.desired.saturating_sub(source.share.live());
            let start = missing.min(upper.saturating_sub(total));
            if start > 0 {
                self.report_failures(key, source.key);
                self.start_tasks(key, source.key, start);
                total += start;
            }
        }
    }

    /// A failed deployment keeps what runs well and nothing else.
    fn stop_failed(&mut self, key: ServiceKey, share: &Share) {
        let victims: Vec<TaskKey> = share.pending.iter().chain(&share.unproven).copied().collect();
        if !victims.is_empty() {
            let id = self.service(key).map(|service| service.primary().id.clone()).unwrap_or_default();
            self.stop_and_tell(key, &victims, &id);
        }
    }

    pub(crate) fn scale_in(&mut self, key: ServiceKey, share: &Share, count: u32) {
        let order = share.pending.iter().chain(&share.unproven).chain(&share.healthy);
        let victims: Vec<TaskKey> = order.copied().take(count as usize).collect();
        let id = self.service(key).map(|service| service.primary().id.clone()).unwrap_or_default();
        self.stop_and_tell(key, &victims, &id);
        self.unsettle(key);
    }

    /// Stops old tasks as far as the bounds allow. Returns how many.
    fn stop_sources(&mut self, key: ServiceKey, target: &Share, sources: &[Source], headroom: u32, lower: u32) -> u32 {
        let mut victims: Vec<(DeploymentKey, TaskKey)> = Vec::new();
        for source in sources.iter().filter(|source| source.expendable) {
            let unproven = source.share.unproven.iter().filter(|_| source.failed);
            victims.extend(source.share.pending.iter().chain(unproven).map(|task| (source.key, *task)));
        }
        let old_healthy: u32 = sources.iter().map(|source| source.share.healthy.len() as u32).sum();
        let new_healthy = target.healthy.len() as u32;
        let desired = self.service(key).map_or(0, |service| service.desired);
        if new_healthy > 0 || headroom == 0 || desired == 0 {
            let spare = (new_healthy + old_healthy).saturating_sub(lower).min(old_healthy);
            // The newest of the failed ones go first, the completed revision last.
            let expendable_first = sources
                .iter()
                .filter(|source| source.expendable)
                .chain(sources.iter().filter(|source| !source.expendable));
            let healthy =
                expendable_first.flat_map(|source| source.share.healthy.iter().map(|task| (source.key, *task)));
            victims.extend(healthy.take(spare as usize));
        }
        if new_healthy >= desired {
            for source in sources {
                victims
                    .extend(source.share.pending.iter().chain(&source.share.unproven).map(|task| (source.key, *task)));
            }
            victims.sort();
            victims.dedup();
        }
        let free = self.unprotected(key, victims.iter().map(|(_, task)| *task).collect());
        victims.retain(|(_, task)| free.contains(task));
        if victims.is_empty() {
            return 0;
        }
        let now = self.now;
        let Some(service) = self.service_mut(key) else {
            return 0;
        };
        service.deployments[0].source_stopped_at = Some(now);
        let id = service.primary().id.clone();
        for (owner, _) in &victims {
            if let Some(entry) = service.deployment_mut(*owner) {
                entry.desired = entry.desired.saturating_sub(1);
            }
        }
        let tasks: Vec<TaskKey> = victims.iter().map(|(_, task)| *task).collect();
        self.stop_and_tell(key, &tasks, &id);
        self.pass_in(key, self.durations().scheduler_pass);
        tasks.len() as u32
    }

    /// Stops tasks for the deployment `id`, with one event for the running and one for the pending ones.
    pub(crate) fn stop_and_tell(&mut self, key: ServiceKey, tasks: &[TaskKey], id: &str) {
        let (running, pending): (Vec<TaskKey>, Vec<TaskKey>) =
            tasks.iter().partition(|task| self.world.tasks[*task].phase == Phase::Running);
        for task in tasks {
            self.stop_task(
                *task,
                "ServiceSchedulerInitiated",
                &format!("Scaling activity initiated by (deployment {id})"),
            );
        }
        if !running.is_empty() {
            let names: Vec<String> =
                running.iter().map(|task| format!("(task {})", self.world.tasks[task].id)).collect();
            self.tell(key, self.now, &format!(") has stopped {} running tasks: {}.", running.len(), names.join(" ")));
        }
        if !pending.is_empty() {
            self.tell(key, self.now, &format!(") stopped {} pending tasks.", pending.len()));
        }
    }

    fn tell_deadlock(&mut self, key: ServiceKey) {
        let Some(service) = self.service_mut(key) else {
            return;
        };
        if !std::mem::replace(&mut service.deployments[0].deadlock_told, true) {
            self.tell(
                key,
                self.now,
                ") was unable to stop or start tasks during a deployment because of the service deployment configuration. Update the minimumHealthyPercent or maximumPercent value and try again.",
            );
        }
    }

    fn drain(&mut self, key: ServiceKey) {
        let Some(service) = self.service(key) else {
            return;
        };
        let id = service.primary().id.clone();
        let live: Vec<TaskKey> = service.tasks.iter().copied().filter(|task| self.world.tasks[task].live()).collect();
        let empty = service.tasks.is_empty();
        if !live.is_empty() {
            self.stop_and_tell(key, &live, &id);
        } else if empty && let Some(service) = self.service_mut(key) {
            service.status = ServiceStatus::Inactive;
        }
    }
}
