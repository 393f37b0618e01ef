//! The life of a task, from its network interface to its verdict.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::behaviour::{Behaviour, span};
use crate::model::{DeploymentKey, Health, Phase, ServiceKey, Target, Task, TaskKey};
use crate::outside::balancing::TargetState;
use crate::sim::Sim;
use crate::sim::queue::Step;

/// How a task failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It never reached RUNNING.
    Start,
    /// It ran and exited, or failed a health check.
    Run,
}

impl Sim<'_> {
    pub(crate) fn task_step(&mut self, key: TaskKey, step: Step) {
        let Some(task) = self.world.tasks.get(&key) else {
            return;
        };
        let ending = matches!(step, Step::Deregister | Step::Signal | Step::Deprovision | Step::Stopped | Step::Forget);
        if !task.live() && !ending {
            return;
        }
        match step {
            Step::Attach => self.attach(key),
            Step::StartPull => self.start_pull(key),
            Step::EndPull => self.end_pull(key),
            Step::FailStart => self.fail_start(key),
            Step::Run => self.run(key),
            Step::Exit => self.exit(key),
            Step::Register => self.register(key),
            Step::TargetHealthy => {
                self.show_target(key, Some(TargetState::Healthy));
                self.change_health(key, |task| task.target_healthy = true);
            }
            Step::ContainerHealthy => self.change_health(key, |task| task.health = Health::Healthy),
            Step::CountAsHealthy => self.change_health(key, |_| ()),
            Step::TargetUnhealthy => self.target_unhealthy(key),
            Step::ContainerUnhealthy => self.container_unhealthy(key),
            Step::Deregister => self.deregister(key),
            Step::Signal => self.signal(key),
            Step::Deprovision => self.deprovision(key),
            Step::Stopped => self.stopped(key),
            Step::Forget => self.forget(key),
        }
    }

    /// Changes a task in a way that the outside can see.
    pub(crate) fn change(&mut self, key: TaskKey, change: impl FnOnce(&mut Task)) {
        if let Some(task) = self.world.tasks.get_mut(&key) {
            change(task);
            task.version += 1;
        }
    }

    fn attach(&mut self, key: TaskKey) {
        let now = self.now;
        self.change(key, |task| {
            task.phase = Phase::Pending;
            task.connectivity_at = Some(now);
        });
        self.task_in(key, self.durations().pull_start_delay, Step::StartPull);
    }

    fn start_pull(&mut self, key: TaskKey) {
        let now = self.now;
        let (behaviour, failing) = self.fate(key);
        let at = match &behaviour {
            Behaviour::Missing => (now.plus(self.durations().pull), Step::FailStart),
            Behaviour::StartFailure { after_seconds, .. } => {
                let created = self.world.tasks[&key].created_at;
                (created.plus(span(*after_seconds)), Step::FailStart)
            }
            _ => (now.plus(self.durations().pull), Step::EndPull),
        };
        self.change(key, |task| {
            task.pull_started_at = Some(now);
            task.behaviour = behaviour;
            task.failing = failing;
        });
        self.task_at(key, at.0, at.1);
    }

    fn end_pull(&mut self, key: TaskKey) {
        let now = self.now;
        let task = &self.world.tasks[&key];
        let digests: Vec<Option<String>> =
            task.containers.iter().map(|container| self.around.outside.pull(&container.image).digest).collect();
        let runtimes: Vec<String> = task.containers.iter().map(|_| self.world.ids.digits(10)).collect();
        self.change(key, |task| {
            task.phase = Phase::Activating;
            task.pull_stopped_at = Some(now);
            for ((container, digest), runtime) in task.containers.iter_mut().zip(digests).zip(runtimes) {
                container.digest = digest;
                container.runtime_id = Some(format!("{}-{runtime}", task.id));
            }
        });
        self.record_digests(key);
        self.task_in(key, self.durations().start_after_pull, Step::Run);
    }

    /// The first task of a revision fixes the digests for all later ones.
    fn record_digests(&mut self, key: TaskKey) {
        let task = &self.world.tasks[&key];
        let (Some((service, _)), Some(revision)) = (task.service, task.revision) else {
            return;
        };
        let digests: BTreeMap<String, String> = task
            .containers
            .iter()
            .zip(&task.definition.containers)
            .filter(|(_, defined)| defined.consistent)
            .filter_map(|(container, _)| Some((container.name.clone(), container.digest.clone()?)))
            .collect();
        if let Some(revision) = self.service_mut(service).and_then(|service| service.revisions.get_mut(revision)) {
            revision.digests.get_or_insert(digests);
        }
    }

    fn fail_start(&mut self, key: TaskKey) {
        let task = &self.world.tasks[&key];
        let image = &task.containers[task.failing].image;
        let reason = match &task.behaviour {
            Behaviour::StartFailure { reason, .. } => reason.clone(),
            _ => format!(
                "CannotPullContainerError: pull image manifest has been retried 5 time(s): failed to resolve ref {image}: {image}: not found"
            ),
        };
        let service = task.service;
        let pulls = task.behaviour == Behaviour::Missing;
        self.change(key, |task| {
            if pulls {
                let failing = task.failing;
                task.containers[failing].reason = Some(reason.clone());
            }
        });
        self.stop_task(key, "TaskFailedToStart", &reason);
        if let Some((service, _)) = service {
            self.tell(service, self.now, &format!(") was unable to place a task. Reason: {reason}."));
        }
        self.task_failed(key, Failure::Start);
    }

    fn run(&mut self, key: TaskKey) {
        let now = self.now;
        self.change(key, |task| {
            task.phase = Phase::Running;
            task.started_at = Some(now);
        });
        let durations = self.durations();
        let task = self.world.tasks[&key].clone();
        if let Some((service, deployment)) = task.service
            && let Some(entry) = self.service_mut(service).and_then(|service| service.deployment_mut(deployment))
        {
            entry.seen_running = true;
            entry.round = 0;
        }
        match task.behaviour {
            Behaviour::Crash { after_running_seconds, .. } | Behaviour::OutOfMemory { after_running_seconds } => {
                self.task_in(key, span(after_running_seconds), Step::Exit);
            }
            _ => {}
        }
        let sick = matches!(task.behaviour, Behaviour::Unhealthy | Behaviour::UnhealthyContainer);
        let checks = task
            .definition
            .containers
            .iter()
            .filter(|container| container.essential)
            .filter_map(|container| container.check.as_ref());
        let slowest = checks.max_by_key(|check| check.interval);
        match slowest {
            Some(check) if sick => {
                let after = check.start_period + check.interval * check.retries;
                self.task_in(key, after.max(self.grace(task.service)), Step::ContainerUnhealthy);
            }
            Some(check) => self.task_in(key, check.interval, Step::ContainerHealthy),
            None => {}
        }
        if task.target == Target::Waiting {
            self.task_at(key, task.created_at.plus(durations.target_register_after_start), Step::Register);
        } else if slowest.is_none() {
            self.task_in(key, durations.healthy_without_checks, Step::CountAsHealthy);
        }
    }

    fn grace(&self, service: Option<(ServiceKey, DeploymentKey)>) -> std::time::Duration {
        let seconds = service
            .and_then(|(key, _)| self.service(key))
            .and_then(|service| service.settings.get("healthCheckGracePeriodSeconds"))
            .and_then(Value::as_u64);
        std::time::Duration::from_secs(seconds.unwrap_or_default())
    }

    /// Registers the task and those that are due with it.
    fn register(&mut self, key: TaskKey) {
        let task = &self.world.tasks[&key];
        let (Some((service, _)), Some(revision), Target::Waiting) = (task.service, task.revision, task.target) else {
            return;
        };
        let now = self.now;
        let delay = self.durations().target_register_after_start;
        let Some(owner) = self.service(service) else {
            return;
        };
        let groups = owner.target_groups(revision);
        if let Some(again) = self.cannot_register(key, service, &groups) {
            return self.task_in(key, again, Step::Register);
        }
        let Some(owner) = self.service(service) else {
            return;
        };
        let due: Vec<TaskKey> = owner
            .tasks
            .iter()
            .copied()
            .filter(|key| {
                let task = &self.world.tasks[key];
                task.running()
                    && task.target == Target::Waiting
                    && task.revision == Some(revision)
                    && task.created_at.plus(delay) <= now
            })
            .collect();
        for (group, _) in &groups {
            self.tell(service, now, &format!(") registered {} targets in (target-group {group})", due.len()));
        }
        for key in due {
            self.change(key, |task| task.target = Target::Registered);
            self.show_target(key, Some(TargetState::Initial));
            let task = &self.world.tasks[&key];
            let missing = self.lacks_target_group(task.service);
            if missing || matches!(task.behaviour, Behaviour::Unhealthy | Behaviour::UnhealthyTarget { .. }) {
                let grace = task.started_at.unwrap_or(now).plus(self.grace(task.service));
                let verdict = now.plus(self.durations().target_unhealthy_after_register);
                self.task_at(key, verdict.max(grace), Step::TargetUnhealthy);
            } else {
                self.task_in(key, self.durations().target_healthy_after_register, Step::TargetHealthy);
            }
        }
    }

    fn change_health(&mut self, key: TaskKey, change: impl FnOnce(&mut Task)) {
        self.change(key, |task| {
            change(task);
            let checked =
                task.definition.containers.iter().any(|container| container.essential && container.check.is_some());
            let target = task.target == Target::None || task.target_healthy;
            task.healthy = task.running() && target && (!checked || task.health == Health::Healthy);
        });
        let task = &self.world.tasks[&key];
        let (true, Some((service, deployment))) = (task.healthy, task.service) else {
            return;
        };
        self.forgive(service, deployment);
        self.pass_in(service, std::time::Duration::ZERO);
    }

    /// A healthy task ends a series of failures.
    fn forgive(&mut self, service: ServiceKey, deployment: DeploymentKey) {
        let Some(owner) = self.service_mut(service) else {
            return;
        };
        let reset = owner.configuration()["deploymentCircuitBreaker"]["resetOnHealthyTask"].as_bool().unwrap_or(true);
        let Some(entry) = owner.deployment_mut(deployment) else {
            return;
        };
        entry.failed_tasks = 0;
        entry.unreported = (0, if reset { 0 } else { entry.unreported.1 });
        if reset {
            entry.breaker_count = 0;
            let open =
                owner.history.iter_mut().filter(|record| record.deployment == deployment && !record.status.terminal());
            open.for_each(|record| record.breaker_count = 0);
        }
    }

    fn exit(&mut self, key: TaskKey) {
        self.write_last_lines(key);
        self.change(key, |task| {
            let failing = task.failing;
            let container = &mut task.containers[failing];
            match task.behaviour {
                Behaviour::OutOfMemory { .. } => {
                    container.exit_code = Some(137);
                    container.reason = Some("OutOfMemoryError: Container killed due to memory usage".to_owned());
                }
                Behaviour::Crash { exit_code, .. } => container.exit_code = Some(exit_code),
                _ => container.exit_code = Some(0),
            }
        });
        self.stop_task(key, "EssentialContainerExited", "Essential container in task exited");
        self.task_failed(key, Failure::Run);
    }

    fn target_unhealthy(&mut self, key: TaskKey) {
        let task = &self.world.tasks[&key];
        let (Some((service, _)), Some(revision)) = (task.service, task.revision) else {
            return;
        };
        let groups = self.service(service).map(|service| service.target_groups(revision)).unwrap_or_default();
        let Some((group, port)) = groups.first() else {
            return;
        };
        let id = task.id.clone();
        let text = match &task.behaviour {
            _ if self.lacks_target_group(task.service) => {
                format!(") (task {id}) is not healthy in target-group ({group}) due to TARGET GROUP IS NOT FOUND")
            }
            Behaviour::UnhealthyTarget { reason } => {
                format!(") (task {id}) (port {port}) is unhealthy in (target-group {group}) due to (reason {reason})")
            }
            _ => format!(
                ") (task {id}) (port {port}) is unhealthy in (target-group {group}) due to (reason Health checks failed with these codes: [502])"
            ),
        };
        let group = group.clone();
        self.show_target(key, Some(TargetState::Unhealthy));
        self.tell(service, self.now, &text);
        self.stop_task(
            key,
            "ServiceSchedulerInitiated",
            &format!("Task failed ELB health checks in (target-group {group})"),
        );
        self.tell(service, self.now, &format!(") has stopped 1 running tasks: (task {id})."));
        self.task_failed(key, Failure::Run);
    }

    fn container_unhealthy(&mut self, key: TaskKey) {
        self.change(key, |task| task.health = Health::Unhealthy);
        let task = &self.world.tasks[&key];
        let Some((service, _)) = task.service else {
            return;
        };
        let id = task.id.clone();
        self.tell(service, self.now, &format!(") (task {id}) failed container health checks."));
        self.stop_task(key, "ServiceSchedulerInitiated", "Task failed container health checks");
        self.tell(service, self.now, &format!(") has stopped 1 running tasks: (task {id})."));
        self.task_failed(key, Failure::Run);
    }

    /// Notes a failure with the task's deployment and plans the replacement.
    pub(crate) fn task_failed(&mut self, key: TaskKey, failure: Failure) {
        let task = &self.world.tasks[&key];
        let (created_at, round) = (task.created_at, task.round);
        let Some((service, deployment)) = task.service else {
            return;
        };
        let (now, durations) = (self.now, self.durations());
        let mut impaired = false;
        let Some(entry) = self.service_mut(service).and_then(|service| service.deployment_mut(deployment)) else {
            return;
        };
        entry.unreported.0 += 1;
        if failure == Failure::Run || !entry.seen_running {
            entry.unreported.1 += 1;
        }
        let restart = match failure {
            Failure::Start if entry.round == round => {
                entry.round += 1;
                impaired = entry.round >= 3;
                now.plus(durations.restart_delay(entry.round))
            }
            Failure::Start => entry.not_before.unwrap_or(now),
            Failure::Run => created_at.plus(durations.crash_loop_restart).max(now.plus(durations.scheduler_pass)),
        };
        let restart = entry.not_before.map_or(restart, |planned| planned.max(restart));
        entry.not_before = Some(restart);
        if impaired {
            self.tell(service, now, ") is unable to consistently start tasks successfully.");
        }
        self.unsettle(service);
        self.pass_in(service, std::time::Duration::from_secs_f64((restart.seconds() - now.seconds()).max(0.0)));
    }
}
