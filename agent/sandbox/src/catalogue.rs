//! The catalogue of failures: each way in which a deployment on ECS goes wrong, by its number in the
//! specification, as one order.
//!
//! What an image does by itself is a [`Behaviour`] and what spoils a call is a [`crate::Fault`]; an
//! entry of the catalogue says which of them, or which trouble of a service, stands for it.

use serde::{Deserialize, Serialize};

use crate::behaviour::Behaviour;
use crate::model::Trouble;

/// A failure of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Failure {
    /// The image does not exist.
    F1,
    /// The task may not pull the image.
    F2,
    /// The registry cannot be reached.
    F3,
    /// A secret of Secrets Manager does not exist.
    F4,
    /// A parameter does not exist.
    F5,
    /// The log group does not exist.
    F6,
    /// The container exits at once.
    F7,
    /// The container uses too much memory.
    F8,
    /// The load balancer finds it unhealthy.
    F9,
    /// The container's own check fails.
    F10,
    /// Fargate has no capacity.
    F11,
    /// No EC2 instance fits.
    F12,
    /// A quota is reached.
    F13,
    /// The image is for another architecture.
    F14,
    /// The deployment's percentages leave no room. It is a matter of the service's own configuration.
    F15,
    /// AWS throttles ECS's own calls.
    F16,
    /// The target group was deleted.
    F17,
    /// A role is broken: targets cannot be registered.
    F18,
    /// Only a part of the tasks finds a place.
    F19,
    /// Spot capacity is reclaimed: all running tasks at once.
    F20,
    /// Tasks are protected from scale-in.
    F21,
}

impl Failure {
    /// All of them.
    pub const ALL: [Self; 21] = [
        Self::F1,
        Self::F2,
        Self::F3,
        Self::F4,
        Self::F5,
        Self::F6,
        Self::F7,
        Self::F8,
        Self::F9,
        Self::F10,
        Self::F11,
        Self::F12,
        Self::F13,
        Self::F14,
        Self::F15,
        Self::F16,
        Self::F17,
        Self::F18,
        Self::F19,
        Self::F20,
        Self::F21,
    ];

    /// What tasks do with it, where it shows in tasks.
    pub fn behaviour(self) -> Option<Behaviour> {
        let start = |reason: &str, after: f64| {
            Some(Behaviour::StartFailure { reason: reason.to_owned(), after_seconds: after })
        };
        let crash = |exit_code: i32, logs: &[&str]| {
            let logs = logs.iter().map(|line| (*line).to_owned()).collect();
            Some(Behaviour::Crash { exit_code, after_running_seconds: 1.0, logs })
        };
        match self {
            Self::F1 => Some(Behaviour::Missing),
            Self::F2 => start(
                "CannotPullContainerError: The task can't pull the image. Check that the role has the permissions to pull images from the registry",
                30.0,
            ),
            Self::F3 => start(
                "ResourceInitializationError: unable to pull secrets or registry auth: The task cannot pull registry auth from Amazon ECR: There is a connection issue between the task and Amazon ECR. Check your task network configuration. operation error ECR: GetAuthorizationToken, exceeded maximum number of attempts, 3",
                288.0,
            ),
            Self::F4 => start(
                "ResourceInitializationError: unable to pull secrets or registry auth: The task can't retrieve the secret with ARN 'arn:aws:secretsmanager:eu-central-1:111111111111:secret:gone-AbCdEf' from Secrets Manager. Check whether the secret exists in the specified Region",
                20.0,
            ),
            Self::F5 => start(
                "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve secrets from ssm: service call has been retried 1 time(s): invalid parameters: /gone",
                20.0,
            ),
            Self::F6 => start(
                "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: failed to create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not exist.",
                25.0,
            ),
            Self::F7 => crash(1, &["panicked: DATABASE_URL is not set"]),
            Self::F8 => Some(Behaviour::OutOfMemory { after_running_seconds: 3.0 }),
            Self::F9 => Some(Behaviour::UnhealthyTarget { reason: "Request timed out".to_owned() }),
            Self::F10 => Some(Behaviour::UnhealthyContainer),
            Self::F14 => crash(255, &["exec /app: exec format error"]),
            _ => None,
        }
    }

    /// The trouble of a service that stands for it, where it shows in no task.
    pub fn trouble(self) -> Option<Trouble> {
        let no_place = |reason: &str| Some(Trouble::NoPlacement { reason: reason.to_owned() });
        match self {
            Self::F11 => no_place(
                ". Reason: Capacity is unavailable at this time. Please try again later or in a different availability zone.",
            ),
            Self::F12 => no_place(
                " because no container instance met all of its requirements. The closest matching container-instance has insufficient memory available.",
            ),
            Self::F13 => {
                no_place(". Reason: You've reached the limit on the number of vCPUs you can run concurrently.")
            }
            Self::F16 => Some(Trouble::Throttled { seconds: 60.0 }),
            Self::F17 => Some(Trouble::TargetGroupMissing),
            Self::F18 => Some(Trouble::RegistrationFails {
                error: "User is not authorized to perform: elasticloadbalancing:RegisterTargets".to_owned(),
            }),
            Self::F19 => Some(Trouble::PartialPlacement { at_most: 1 }),
            Self::F21 => Some(Trouble::Protected { tasks: 1 }),
            _ => self.behaviour().map(Trouble::Tasks),
        }
    }
}
