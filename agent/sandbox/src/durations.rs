//! Every duration of the simulation, in one place.
//!
//! The defaults are what was observed on the real service. A test that wants another pace
//! changes a field; nothing else in the crate knows a number of seconds.

use std::time::Duration;

const fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

const fn s(value: u64) -> Duration {
    Duration::from_secs(value)
}

/// How long things take, in virtual time. All values must be longer than zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Durations {
    /// How soon the scheduler reacts to a change that has no delay of its own.
    pub scheduler_pass: Duration,
    /// A service deployment leaves `PENDING`.
    pub pending_to_in_progress: Duration,
    /// From the update to the first task of the new revision.
    pub update_to_first_start: Duration,
    /// A task's network interface (`PROVISIONING`).
    pub eni_attach: Duration,
    /// From the attached interface to the start of the image pull.
    pub pull_start_delay: Duration,
    /// The image pull; also how long a pull takes to fail.
    pub pull: Duration,
    /// From the pulled image to `RUNNING`.
    pub start_after_pull: Duration,
    /// From the start of a task to its registration in the target group.
    pub target_register_after_start: Duration,
    /// From the registration to the first healthy verdict.
    pub target_healthy_after_register: Duration,
    /// From the registration to the verdict that the target is unhealthy.
    pub target_unhealthy_after_register: Duration,
    /// From stopping a task to the deregistration of its target.
    pub deregister_after_stop: Duration,
    /// From stopping the last old task to the completion of the deployment.
    pub source_stop_to_complete: Duration,
    /// Delay before a restart after the first and the second start failure in a row.
    pub start_failure_restarts: [Duration; 2],
    /// The same from the third failure on; grows by half each time.
    pub start_failure_restart_later: Duration,
    /// The longest delay between two restarts.
    pub start_failure_restart_cap: Duration,
    /// From start to start when a container runs and then exits.
    pub crash_loop_restart: Duration,
    /// From the start that follows the deciding failure to the verdict of the circuit breaker.
    pub breaker_evaluate_after_start: Duration,
    /// From the decision to roll back to the stop of the pending new tasks.
    pub rollback_stop_pending: Duration,
    /// The shortest rollback.
    pub rollback_to_completed: Duration,
    /// From `ROLLBACK_IN_PROGRESS` to `ROLLBACK_FAILED` when there is nothing to go back to.
    pub rollback_without_candidate: Duration,
    /// From a superseding update to the stop of the pending tasks of the superseded deployment.
    pub supersede_stop_pending: Duration,
    /// The shortest stage of a deployment that shifts traffic.
    pub stage_step: Duration,
    /// From the beginning of a stage to the first call of a hook's function.
    pub hook_call: Duration,
    /// Between two looks at the alarms of a deployment.
    pub alarm_poll: Duration,
    /// The bake time of a rolling deployment that has alarms and names none.
    pub alarm_bake: Duration,
    /// Between two attempts to place a task that has no place.
    pub placement_retry: Duration,
    /// Repetition of the steady state event.
    pub steady_state_repeat: Duration,
    /// How long a task without any health check must run to count as healthy.
    pub healthy_without_checks: Duration,
    /// `DEACTIVATING`: draining of the target.
    pub deactivating: Duration,
    /// `STOPPING`: from the stop signal to the exit of the containers.
    pub stopping: Duration,
    /// `DEPROVISIONING`.
    pub deprovisioning: Duration,
    /// How long a stopped task can still be described.
    pub stopped_task_retention: Duration,
    /// From `DRAINING` without tasks to `INACTIVE`.
    pub draining: Duration,
}

impl Default for Durations {
    fn default() -> Self {
        Self {
            scheduler_pass: s(10),
            pending_to_in_progress: ms(1_600),
            update_to_first_start: s(13),
            eni_attach: s(17),
            pull_start_delay: s(5),
            pull: s(4),
            start_after_pull: ms(1_500),
            target_register_after_start: s(40),
            target_healthy_after_register: s(50),
            target_unhealthy_after_register: s(60),
            deregister_after_stop: s(10),
            source_stop_to_complete: s(60),
            start_failure_restarts: [s(41), s(30)],
            start_failure_restart_later: s(297),
            start_failure_restart_cap: s(27 * 60),
            crash_loop_restart: s(50),
            breaker_evaluate_after_start: s(3),
            rollback_stop_pending: s(3),
            rollback_to_completed: s(53),
            rollback_without_candidate: s(1),
            supersede_stop_pending: s(20),
            stage_step: s(5),
            hook_call: s(1),
            alarm_poll: s(15),
            alarm_bake: s(180),
            placement_retry: s(60),
            steady_state_repeat: s(6 * 3600),
            healthy_without_checks: s(40),
            deactivating: s(30),
            stopping: s(10),
            deprovisioning: s(15),
            stopped_task_retention: s(3600),
            draining: s(10),
        }
    }
}

impl Durations {
    /// The delay before the next restart after `failures` failures to start in a row (1 is the first).
    pub(crate) fn restart_delay(&self, failures: u32) -> Duration {
        match failures {
            0 | 1 => self.start_failure_restarts[0],
            2 => self.start_failure_restarts[1],
            more => {
                let mut delay = self.start_failure_restart_later;
                for _ in 3..more {
                    delay = (delay * 3 / 2).min(self.start_failure_restart_cap);
                    if delay == self.start_failure_restart_cap {
                        break;
                    }
                }
                delay.min(self.start_failure_restart_cap)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restarts_slow_down_to_the_cap() {
        let d = Durations::default();
        let delays: Vec<u64> = (1..=9).map(|n| d.restart_delay(n).as_secs()).collect();
        assert_eq!(delays, [41, 30, 297, 445, 668, 1002, 1503, 1620, 1620]);
    }
}
