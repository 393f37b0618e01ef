//! What is worth remembering of a service over a restart. All of it can be missing: then times begin anew.

use super::drift;
use crate::state::Axes;
use serde::{Deserialize, Serialize};

/// The memory of a service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// The desired state whose change waits, and since when (epoch seconds).
    #[serde(default)]
    pub pending: Option<(String, i64)>,
    /// Its drift.
    #[serde(default)]
    pub drift: drift::DriftMemory,
    /// Its two axes.
    #[serde(default)]
    pub axes: Axes,
    /// How far a rollout has come.
    #[serde(default)]
    pub progress: Option<Progress>,
    /// The desired state that was registered last, of a task definition that no service uses.
    #[serde(default)]
    pub registered: Option<String>,
    /// The desired state whose deployment failed for something that was not there when it was looked for.
    #[serde(default)]
    pub absent: Option<String>,
}

/// How far a rollout has come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The deployment, its stage and its share of the traffic.
    pub sign: String,
    /// The most tasks of the new revision that ran at one time: a loop of crashes is no progress.
    pub most: i64,
    /// When it came so far, epoch seconds.
    pub since: i64,
}

impl Memory {
    /// What must last: not that a good state was seen once more.
    pub(super) fn lasting(&self) -> Self {
        let mut memory = self.clone();
        memory.axes.sync.last_good.clear();
        memory.axes.health.last_good.clear();
        memory
    }
}
