//! How deployments fail: the circuit breaker, and the way back.

use std::time::Duration;

use serde_json::Value;

use crate::model::{DeploymentKey, Monitor, Rollback, RollbackRecord, Rollout, ServiceKey, Status};
use crate::sim::Sim;
use crate::sim::queue::Event;
use crate::sim::rollout::counts;

/// Why a deployment fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cause {
    Breaker {
        roll_back: bool,
    },
    Alarm {
        roll_back: bool,
    },
    /// Somebody asked for it.
    Request,
    /// A hook failed or timed out; the text is the whole reason.
    Hook(String),
    /// A stage took too long; what follows the stage's name.
    Stage(String),
    /// The listener rules do not fit; what follows the colon.
    Network(String),
}

impl Cause {
    fn rolls_back(&self) -> bool {
        match self {
            Self::Breaker { roll_back } | Self::Alarm { roll_back } => *roll_back,
            _ => true,
        }
    }

    fn status_reason(&self) -> String {
        match self {
            Self::Breaker { roll_back: true } => {
                "Service deployment rolled back because the circuit breaker threshold was exceeded.".to_owned()
            }
            Self::Breaker { roll_back: false } => {
                "Service deployment stopped because the circuit breaker threshold was exceeded.".to_owned()
            }
            Self::Alarm { roll_back: true } => {
                "Service deployment rolled back because of CloudWatch alarm(s) in ALARM state".to_owned()
            }
            Self::Alarm { roll_back: false } => {
                "Service deployment stopped because of CloudWatch alarm(s) in ALARM state".to_owned()
            }
            Self::Request => "Service deployment rolled back because a rollback was requested.".to_owned(),
            Self::Hook(reason) => reason.clone(),
            Self::Stage(text) => format!("Service deployment rolled back because the stage {text}"),
            Self::Network(text) => {
                format!("Service deployment rolled back because of invalid networking configuration: {text}")
            }
        }
    }

    fn failed(&self) -> String {
        match self {
            Self::Breaker { .. } => "ECS deployment circuit breaker: tasks failed to start.".to_owned(),
            Self::Alarm { .. } => "ECS deployment failed: alarm detected.".to_owned(),
            Self::Request => "ECS deployment rolled back on request.".to_owned(),
            _ => self.status_reason(),
        }
    }

    fn going_back(&self, id: &str) -> String {
        match self {
            Self::Breaker { .. } => {
                format!("ECS deployment circuit breaker: rolling back to deploymentId {id}.")
            }
            _ => format!("ECS deployment rolling back to deploymentId {id}."),
        }
    }

    fn event(&self) -> String {
        match self {
            Self::Breaker { .. } => "tasks failed to start.".to_owned(),
            _ => self.status_reason(),
        }
    }
}

/// How many failures the circuit breaker tolerates, less one.
pub(crate) fn threshold(configuration: &Value, desired: u32) -> u32 {
    let rule = &configuration["deploymentCircuitBreaker"]["thresholdConfiguration"];
    let value = rule["value"].as_u64().unwrap_or(50);
    let percent = (u64::from(desired) * value).div_ceil(100);
    let threshold = match rule["type"].as_str() {
        Some("COUNT") => value,
        Some("UNBOUNDED_PERCENT") => percent.max(1),
        _ => percent.clamp(3, 200),
    };
    u32::try_from(threshold).unwrap_or(u32::MAX)
}

impl Sim<'_> {
    /// Plans the verdict of the breaker when enough tasks have failed.
    pub(crate) fn consider_breaker(&mut self, key: ServiceKey, deployment: DeploymentKey) {
        let at = self.now.plus(self.durations().breaker_evaluate_after_start);
        let Some(service) = self.service_mut(key) else {
            return;
        };
        let configuration = service.configuration().clone();
        let desired = service.desired;
        let Some(entry) = service.deployment_mut(deployment) else {
            return;
        };
        let count = entry.breaker_count;
        if configuration["deploymentCircuitBreaker"]["enable"].as_bool() != Some(true) {
            return;
        }
        let limit = threshold(&configuration, desired);
        let due = count >= limit && !std::mem::replace(&mut entry.breaker_scheduled, count >= limit);
        let open = |record: &&mut crate::model::ServiceDeployment| {
            record.deployment == deployment && !record.status.terminal()
        };
        if let Some(record) = service.history.iter_mut().rev().find(open) {
            record.breaker_count = count;
            record.breaker_threshold = limit;
        }
        if due {
            self.world.queue.push(at, Event::Breaker(key, deployment));
        }
    }

    pub(crate) fn judge(&mut self, key: ServiceKey, deployment: DeploymentKey) {
        let Some(service) = self.service_mut(key) else {
            return;
        };
        let breaker = service.configuration()["deploymentCircuitBreaker"].clone();
        let limit = threshold(service.configuration(), service.desired);
        let current = service.primary().key == deployment && service.rollback.is_none();
        let Some(entry) = service.deployment_mut(deployment) else {
            return;
        };
        entry.breaker_scheduled = false;
        let exceeded = entry.rollout == Rollout::InProgress && entry.breaker_count >= limit;
        if current && exceeded && breaker["enable"].as_bool() == Some(true) {
            self.fail(key, Cause::Breaker { roll_back: breaker["rollback"].as_bool().unwrap_or(false) });
        }
    }

    pub(crate) fn roll_back_on_request(&mut self, key: ServiceKey, deployment: DeploymentKey) {
        let Some(service) = self.service(key) else {
            return;
        };
        let asked = service.history.last().is_some_and(|record| record.status == Status::RollbackRequested);
        if asked && service.primary().key == deployment {
            self.fail(key, Cause::Request);
        }
    }

    /// The primary deployment fails.
    pub(crate) fn fail(&mut self, key: ServiceKey, cause: Cause) {
        let now = self.now;
        let roll_back = cause.rolls_back();
        let durations = self.durations();
        let (stop, end) = (durations.rollback_stop_pending, durations.rollback_without_candidate);
        let Some(service) = self.service_mut(key) else {
            return;
        };
        let failed = service.primary().key;
        let shifts = service.history.iter().rev().find(|record| record.deployment == failed);
        let shifts = shifts.is_some_and(|record| record.shift.is_some());
        let failed_id = service.primary().id.clone();
        let candidate =
            service.deployments[1..].iter().position(|entry| entry.rollout == Rollout::Completed).map(|at| at + 1);
        let Some(record_at) = service.history.iter().rposition(|record| record.deployment == failed) else {
            return;
        };
        let back_to = candidate.filter(|_| roll_back).map(|at| service.deployments[at].revision);

        let entry = &mut service.deployments[0];
        entry.rollout = Rollout::Failed;
        entry.reason = cause.failed();
        entry.updated_at = now;
        let record = &mut service.history[record_at];
        record.updated_at = now;
        match cause {
            Cause::Breaker { .. } => record.breaker = Monitor::Triggered,
            Cause::Alarm { .. } => record.alarms = Monitor::Triggered,
            _ => {}
        }
        record.reason = Some(cause.status_reason());
        if roll_back {
            record.status = Status::RollbackInProgress;
            record.rollback = Some(RollbackRecord { reason: cause.status_reason(), at: now, revision: back_to });
        } else {
            record.status = Status::StopRequested;
        }
        let back = candidate.filter(|_| roll_back).map(|at| {
            let mut entry = service.deployments.remove(at);
            entry.rollout = Rollout::InProgress;
            entry.reason = cause.going_back(&entry.id);
            entry.updated_at = now;
            entry.launch_at = now.plus(stop);
            entry.ready_since = None;
            entry.source_stopped_at = None;
            entry.not_before = None;
            entry.desired = service.desired;
            let id = entry.id.clone();
            service.deployments.insert(0, entry);
            service.rollback = Some(Rollback { at: now, record: record_at });
            id
        });
        self.tell(key, now, &format!(") (deployment {failed_id}) deployment failed: {}", cause.event()));
        match back {
            Some(id) => {
                self.tell(key, now.plus(Duration::from_millis(1)), &format!(") rolling back to deployment {id}."))
            }
            None => self
                .world
                .queue
                .push(now.plus(if roll_back { end } else { stop }), Event::RollbackImpossible(key, failed)),
        }
        if shifts {
            self.take_traffic_back(key, failed);
            if let Some(refused) = self.call_hooks_of_rollback(key, failed) {
                self.end_rollback_badly(key, record_at, &refused);
            }
        }
        self.unsettle(key);
        self.pass_in(key, stop);
    }

    /// A hook refuses the way back: the record ends, while the tasks of the old revision go on.
    fn end_rollback_badly(&mut self, key: ServiceKey, record: usize, reason: &str) {
        let now = self.now;
        let counts = counts(self.world, key);
        if let Some(record) = self.service_mut(key).and_then(|service| service.history.get_mut(record)) {
            record.close(Status::RollbackFailed, now, counts);
            record.reason = Some(format!("Service deployment rollback failed because {reason}"));
        }
    }

    /// Ends the record of a deployment that failed without a way back.
    pub(crate) fn give_up(&mut self, key: ServiceKey, deployment: DeploymentKey) {
        let now = self.now;
        let counts = counts(self.world, key);
        let Some(service) = self.service_mut(key) else {
            return;
        };
        let Some(record) = service.history.iter_mut().rev().find(|record| record.deployment == deployment) else {
            return;
        };
        match record.status {
            Status::RollbackInProgress => {
                record.close(Status::RollbackFailed, now, counts);
                record.reason = Some("No rollback candidate was found to run the rollback.".to_owned());
            }
            Status::StopRequested => record.close(Status::Stopped, now, counts),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn thresholds() {
        let default = json!({});
        let cases = [(1, 3), (6, 3), (25, 13), (400, 200), (800, 200)];
        for (desired, expected) in cases {
            assert_eq!(threshold(&default, desired), expected, "desired {desired}");
        }
        let rule = |kind: &str, value: u32| json!({ "deploymentCircuitBreaker": { "thresholdConfiguration": { "type": kind, "value": value } } });
        assert_eq!(threshold(&rule("COUNT", 7), 1), 7);
        assert_eq!(threshold(&rule("UNBOUNDED_PERCENT", 10), 25), 3);
        assert_eq!(threshold(&rule("BOUNDED_PERCENT", 10), 50), 5);
    }
}
