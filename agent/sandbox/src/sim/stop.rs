//! The end of a task's life.

use crate::model::{Phase, ServiceStatus, Stop, Target, TaskKey};
use crate::sim::Sim;
use crate::sim::queue::Step;

impl Sim<'_> {
    /// Begins to stop a task.
    pub(crate) fn stop_task(&mut self, key: TaskKey, code: &'static str, reason: &str) {
        let now = self.now;
        let Some(task) = self.world.tasks.get(&key).filter(|task| task.live()) else {
            return;
        };
        let durations = self.durations();
        let crashed = code == "EssentialContainerExited";
        let balanced = task.target == Target::Registered;
        let (phase, step) = match task.phase {
            Phase::Running if balanced && !crashed => (Phase::Deactivating, (durations.deactivating, Step::Signal)),
            Phase::Running if !crashed => (Phase::Stopping, (durations.stopping, Step::Deprovision)),
            _ => (Phase::Deprovisioning, (durations.deprovisioning, Step::Stopped)),
        };
        self.change(key, |task| {
            task.stop = Some(Stop { code, reason: reason.to_owned(), at: now });
            task.phase = phase;
            task.healthy = false;
            if phase == Phase::Deprovisioning {
                task.execution_stopped_at = Some(now);
            }
        });
        if balanced {
            self.task_in(key, durations.deregister_after_stop, Step::Deregister);
        }
        self.task_in(key, step.0, step.1);
    }

    /// Deregisters the target of the task and of those that were stopped with it.
    pub(crate) fn deregister(&mut self, key: TaskKey) {
        let task = &self.world.tasks[&key];
        let (Some((service, deployment)), Some(revision), Target::Registered) =
            (task.service, task.revision, task.target)
        else {
            return;
        };
        let stopped_at = task.stop.as_ref().map(|stop| stop.at);
        let Some(owner) = self.service(service) else {
            return;
        };
        let groups = owner.target_groups(revision);
        let due: Vec<TaskKey> = owner
            .tasks
            .iter()
            .copied()
            .filter(|key| {
                let task = &self.world.tasks[key];
                task.target == Target::Registered
                    && task.revision == Some(revision)
                    && task.stop.as_ref().map(|stop| stop.at) == stopped_at
            })
            .collect();
        let id = self.deployment_id(service, deployment);
        let draining = self.now.plus(std::time::Duration::from_millis(10));
        for key in &due {
            self.show_target(*key, None);
            self.change(*key, |task| task.target = Target::Gone);
        }
        for (group, _) in groups {
            self.tell(service, self.now, &format!(") deregistered {} targets in (target-group {group})", due.len()));
        }
        self.tell(
            service,
            draining,
            &format!(", taskSet {id}) has begun draining connections on {} tasks.", due.len()),
        );
    }

    pub(crate) fn signal(&mut self, key: TaskKey) {
        self.change(key, |task| task.phase = Phase::Stopping);
        self.task_in(key, self.durations().stopping, Step::Deprovision);
    }

    pub(crate) fn deprovision(&mut self, key: TaskKey) {
        let now = self.now;
        self.change(key, |task| {
            task.phase = Phase::Deprovisioning;
            task.execution_stopped_at = Some(now);
        });
        self.task_in(key, self.durations().deprovisioning, Step::Stopped);
    }

    pub(crate) fn stopped(&mut self, key: TaskKey) {
        let now = self.now;
        self.change(key, |task| {
            task.phase = Phase::Stopped;
            task.stopped_at = Some(now);
            let started = task.started_at.is_some();
            for container in task.containers.iter_mut().filter(|_| started) {
                container.exit_code.get_or_insert(143);
            }
        });
        self.task_in(key, self.durations().stopped_task_retention, Step::Forget);
        let Some((service, _)) = self.world.tasks[&key].service else {
            return;
        };
        let Some(owner) = self.service_mut(service) else {
            return;
        };
        owner.tasks.retain(|task| *task != key);
        if owner.status == ServiceStatus::Draining {
            self.pass_in(service, self.durations().draining);
        } else {
            self.pass_in(service, std::time::Duration::ZERO);
        }
    }

    pub(crate) fn forget(&mut self, key: TaskKey) {
        if let Some(task) = self.world.tasks.remove(&key) {
            self.world.task_ids.remove(&task.id);
        }
    }
}
