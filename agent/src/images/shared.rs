//! What the image updates of all sources share.

use super::{events::PushEvents, registries::Registries};
use crate::writeback::WriteQueues;
use std::sync::Arc;

/// Registries, what wakes the sources, and the write_queues of their branches.
#[derive(Default)]
pub struct Shared {
    /// The registries of images.
    pub registries: Arc<Registries>,
    /// Wakes the sources before their time.
    pub push_events: PushEvents,
    /// Where sources of one branch lay down what they want to write.
    pub write_queues: WriteQueues,
}
