//! What troubles of a service do to its tasks, and what tasks leave with the neighbours.

use std::time::Duration;

use crate::behaviour::{Behaviour, span};
use crate::model::{DeploymentKey, Effect, Rollout, ServiceKey, TaskKey, Trouble};
use crate::outside::balancing::TargetState;
use crate::sim::Sim;

impl Sim<'_> {
    fn troubles(&self, key: ServiceKey, deployment: DeploymentKey) -> impl Iterator<Item = &Trouble> {
        let injected = self.service(key).map(|service| service.troubles.as_slice()).unwrap_or_default();
        injected.iter().filter(move |one| one.meets(deployment)).map(|one| &one.trouble)
    }

    pub(crate) fn trouble_of_tasks(&self, key: ServiceKey, deployment: DeploymentKey) -> Option<Behaviour> {
        self.troubles(key, deployment).find_map(|trouble| match trouble {
            Trouble::Tasks(behaviour) => Some(behaviour.clone()),
            _ => None,
        })
    }

    /// How many of `count` tasks find a place. What finds none is told, counted, and tried again.
    pub(crate) fn place(&mut self, key: ServiceKey, deployment: DeploymentKey, count: u32) -> u32 {
        let troubles: Vec<Trouble> = self.troubles(key, deployment).cloned().collect();
        let mut placed = count;
        for trouble in troubles {
            match trouble {
                Trouble::NoPlacement { reason } => {
                    self.tell(key, self.now, &format!(") was unable to place a task{reason}"));
                    placed = 0;
                }
                Trouble::PartialPlacement { at_most } => {
                    let live = self.live_tasks(key, deployment);
                    placed = placed.min(at_most.saturating_sub(live));
                    if placed < count {
                        let id = self.deployment_id(key, deployment);
                        let lacking = count - placed;
                        self.tell(key, self.now, &format!(") could not launch {lacking} tasks for deployment {id}."));
                    }
                }
                Trouble::Throttled { seconds } if !self.throttle_is_over(key, deployment, span(seconds)) => return 0,
                _ => {}
            }
        }
        if placed < count {
            self.placement_failed(key, deployment);
        }
        placed
    }

    /// ECS's own calls are throttled: each start waits once.
    fn throttle_is_over(&mut self, key: ServiceKey, deployment: DeploymentKey, wait: Duration) -> bool {
        let now = self.now;
        let Some(entry) = self.service_mut(key).and_then(|service| service.deployment_mut(deployment)) else {
            return true;
        };
        match entry.throttled_until {
            Some(until) if until <= now => {
                entry.throttled_until = None;
                true
            }
            Some(_) => false,
            None => {
                entry.throttled_until = Some(now.plus(wait));
                self.tell(key, now, ") operations are being throttled. Will try again later.");
                self.pass_in(key, wait);
                false
            }
        }
    }

    fn live_tasks(&self, key: ServiceKey, deployment: DeploymentKey) -> u32 {
        let tasks = self.service(key).map(|service| service.tasks.as_slice()).unwrap_or_default();
        let tasks = tasks.iter().map(|task| &self.world.tasks[task]);
        tasks.filter(|task| task.live() && task.service.is_some_and(|(_, owner)| owner == deployment)).count() as u32
    }

    /// Counts for the breaker until a task of the deployment has run.
    fn placement_failed(&mut self, key: ServiceKey, deployment: DeploymentKey) {
        let again = self.durations().placement_retry;
        let not_before = self.now.plus(again);
        if let Some(entry) = self.service_mut(key).and_then(|service| service.deployment_mut(deployment)) {
            entry.not_before = Some(not_before);
            if !entry.seen_running && entry.rollout == Rollout::InProgress {
                entry.breaker_count += 1;
            }
        }
        self.consider_breaker(key, deployment);
        self.pass_in(key, again);
    }

    pub(crate) fn lacks_target_group(&self, owner: Option<(ServiceKey, DeploymentKey)>) -> bool {
        owner.is_some_and(|(key, deployment)| {
            self.troubles(key, deployment).any(|trouble| *trouble == Trouble::TargetGroupMissing)
        })
    }

    /// When to try again to register a target that cannot be registered now.
    pub(crate) fn cannot_register(
        &mut self,
        task: TaskKey,
        key: ServiceKey,
        groups: &[(String, u64)],
    ) -> Option<Duration> {
        let deployment = self.world.tasks[&task].service?.1;
        let error = self.troubles(key, deployment).find_map(|trouble| match trouble {
            Trouble::RegistrationFails { error } => Some(error.clone()),
            _ => None,
        })?;
        let name = self.service(key)?.name.clone();
        for (group, _) in groups {
            self.tell_plainly(
                key,
                format!("service {name} failed to register targets in target-group {group} with (error {error})"),
            );
        }
        Some(self.durations().placement_retry)
    }

    /// Of tasks that are to go, those that may. Protected ones stay, which is told.
    pub(crate) fn unprotected(&mut self, key: ServiceKey, mut tasks: Vec<TaskKey>) -> Vec<TaskKey> {
        let Some(service) = self.service(key) else {
            return tasks;
        };
        let protected = service.troubles.iter().find_map(|one| match one.trouble {
            Trouble::Protected { tasks } => Some(tasks as usize),
            _ => None,
        });
        let Some(protected) = protected else {
            return tasks;
        };
        let kept = tasks.len().min(protected);
        tasks.truncate(tasks.len() - kept);
        if kept == 0 {
            return tasks;
        }
        let id = service.deployments.last().map(|entry| entry.id.clone()).unwrap_or_default();
        let told =
            self.service_mut(key).map(|service| std::mem::replace(&mut service.deployments[0].deadlock_told, true));
        if told == Some(false) {
            self.tell(
                key,
                self.now,
                &format!(") was unable to reach steady state because task set ({id}) was unable to scale in. Reason: The number of protected tasks are more than the desired count of tasks"),
            );
        }
        tasks
    }

    /// Shows the state of a task's target to the load balancers.
    pub(crate) fn show_target(&mut self, task: TaskKey, state: Option<TargetState>) {
        let task = &self.world.tasks[&task];
        let (Some((service, _)), Some(revision)) = (task.service, task.revision) else {
            return;
        };
        let ip = task.interface.as_ref().map_or_else(|| task.id.clone(), |interface| interface.ip.clone());
        let groups = self.service(service).map(|service| service.target_groups(revision)).unwrap_or_default();
        let effects = groups.into_iter().map(|(group, port)| {
            let port = u16::try_from(port).unwrap_or_default();
            Effect::Target { group, ip: ip.clone(), port, state }
        });
        self.world.effects.extend(effects);
    }

    /// What the container that fails wrote before.
    pub(crate) fn write_last_lines(&mut self, key: TaskKey) {
        let task = &self.world.tasks[&key];
        let Behaviour::Crash { logs, .. } = &task.behaviour else {
            return;
        };
        let Some(container) = task.definition.containers.get(task.failing) else {
            return;
        };
        let Some(log) = &container.log else {
            return;
        };
        let region = log.region.clone().unwrap_or_else(|| self.world.place.region.clone());
        let stream = match &log.prefix {
            Some(prefix) => format!("{prefix}/{}/{}", container.name, task.id),
            None => task.id.clone(),
        };
        let lines: Vec<Effect> = logs
            .iter()
            .map(|line| Effect::Log {
                region: region.clone(),
                group: log.group.clone(),
                stream: stream.clone(),
                line: line.clone(),
            })
            .collect();
        self.world.effects.extend(lines);
    }
}
