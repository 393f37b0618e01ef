//! Targets and their health.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The health of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TargetState {
    /// Registered; the first checks run.
    Initial,
    /// Passes its checks.
    Healthy,
    /// Fails its checks.
    Unhealthy,
    /// Deregistered; its connections end.
    Draining,
}

/// A target of a group.
#[derive(Debug)]
pub(super) struct Target {
    state: &'static str,
    reason: Option<&'static str>,
    description: Option<&'static str>,
}

impl Target {
    pub(super) fn new(state: TargetState) -> Self {
        let (state, reason, description) = match state {
            TargetState::Healthy => return Self { state: "healthy", reason: None, description: None },
            TargetState::Initial => ("initial", "Elb.RegistrationInProgress", "Target registration is in progress"),
            TargetState::Unhealthy => ("unhealthy", "Target.FailedHealthChecks", "Health checks failed"),
            TargetState::Draining => {
                ("draining", "Target.DeregistrationInProgress", "Target deregistration is in progress")
            }
        };
        Self { state, reason: Some(reason), description: Some(description) }
    }

    /// What is asked for and not in the group.
    pub(super) fn unregistered() -> Self {
        Self {
            state: "unused",
            reason: Some("Target.NotRegistered"),
            description: Some("Target is not registered to the target group"),
        }
    }

    pub(super) fn wire(&self, ip: &str, port: u16) -> Value {
        let mut health = json!({ "State": self.state });
        if let (Some(reason), Some(description)) = (self.reason, self.description) {
            health["Reason"] = json!(reason);
            health["Description"] = json!(description);
        }
        json!({
            "Target": { "Id": ip, "Port": port },
            "HealthCheckPort": port.to_string(),
            "TargetHealth": health,
        })
    }
}
