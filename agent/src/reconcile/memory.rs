//! What is worth remembering of a service over a restart. All of it can be missing: then times begin anew.

use super::board::Axes;
use lockstep_core::drift;
use serde::{Deserialize, Serialize};

/// The memory of a service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// The desired state whose change waits, and since when (epoch seconds).
    #[serde(default)]
    pub pending: Option<(String, i64)>,
    /// Its drift.
    #[serde(default)]
    pub drift: drift::Memory,
    /// Its two axes.
    #[serde(default)]
    pub axes: Axes,
    /// What a rollout showed last, and when it showed that first (epoch seconds).
    #[serde(default)]
    pub progress: Option<(String, i64)>,
}
