//! What an image does when a task runs it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The behaviour of an image. Absent means [`Behaviour::Ok`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Behaviour {
    /// Starts, runs, passes its health checks.
    #[default]
    Ok,
    /// Starts, runs for a while, then its container exits.
    #[serde(rename_all = "camelCase")]
    Crash {
        /// The exit code of the container.
        exit_code: i32,
        /// Virtual seconds in `RUNNING`.
        #[serde(default)]
        after_running_seconds: f64,
        /// What it writes to its log before.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        logs: Vec<String>,
    },
    /// Runs for a while, then is killed for its memory use.
    #[serde(rename_all = "camelCase")]
    OutOfMemory {
        /// Virtual seconds in `RUNNING`.
        #[serde(default)]
        after_running_seconds: f64,
    },
    /// Cannot be pulled.
    Missing,
    /// Fails the health check of the load balancer and of the container.
    Unhealthy,
    /// Fails the health check of the load balancer alone, for a reason in its words.
    UnhealthyTarget {
        /// `Health checks failed with these codes: [502]`, `Request timed out`.
        reason: String,
    },
    /// Fails the check of its container alone.
    UnhealthyContainer,
    /// Never reaches `RUNNING`, for a given reason.
    #[serde(rename_all = "camelCase")]
    StartFailure {
        /// The `stoppedReason` of the task.
        reason: String,
        /// Virtual seconds from the creation of the task to the failure.
        after_seconds: f64,
    },
}

impl Behaviour {
    /// A crash after a time in `RUNNING`.
    pub fn crash(exit_code: i32, after_running: Duration) -> Self {
        Self::Crash { exit_code, after_running_seconds: after_running.as_secs_f64(), logs: Vec::new() }
    }

    /// A crash that leaves lines in the container's log.
    pub fn crash_with_logs(exit_code: i32, after_running: Duration, logs: &[&str]) -> Self {
        let logs = logs.iter().map(|line| (*line).to_owned()).collect();
        Self::Crash { exit_code, after_running_seconds: after_running.as_secs_f64(), logs }
    }

    /// A start that fails after a time, with the reason that ECS would give.
    pub fn start_failure(reason: impl Into<String>, after: Duration) -> Self {
        Self::StartFailure { reason: reason.into(), after_seconds: after.as_secs_f64() }
    }
}

pub(crate) fn span(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
