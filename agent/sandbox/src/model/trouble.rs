//! What can be wrong with a service that is neither its image's nor its definition's fault.

use serde::{Deserialize, Serialize};

use crate::behaviour::Behaviour;
use crate::model::DeploymentKey;

/// A trouble of a service. It meets the deployments that begin after it, unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Trouble {
    /// New tasks behave so, whatever their image is.
    Tasks(Behaviour),
    /// No task finds a place, for a reason in ECS's words.
    NoPlacement {
        /// What follows `was unable to place a task`.
        reason: String,
    },
    /// Only so many tasks of a deployment find a place.
    PartialPlacement {
        /// How many.
        #[serde(rename = "atMost")]
        at_most: u32,
    },
    /// AWS throttles ECS's own calls: everything takes longer by so many seconds.
    Throttled {
        /// Seconds from one attempt to the next.
        seconds: f64,
    },
    /// The target group is gone: tasks in it are never healthy.
    TargetGroupMissing,
    /// Targets cannot be registered, with this error.
    RegistrationFails {
        /// The error in ECS's words.
        error: String,
    },
    /// So many tasks are protected from scale-in, whichever deployment they belong to.
    Protected {
        /// How many.
        tasks: u32,
    },
}

/// A trouble and the deployments that it spares.
#[derive(Debug, Clone)]
pub(crate) struct Injected {
    pub(crate) trouble: Trouble,
    /// Deployments up to this one are spared.
    pub(crate) spares: DeploymentKey,
}

impl Injected {
    pub(crate) fn meets(&self, deployment: DeploymentKey) -> bool {
        deployment > self.spares
    }
}
