//! What the image updates of all sources share.

use super::{events::Doorbell, registries::Registries};
use crate::writeback::Desks;
use std::sync::Arc;

/// Registries, what wakes the sources, and the desks of their branches.
#[derive(Default)]
pub struct Shared {
    /// The registries of images.
    pub registries: Arc<Registries>,
    /// Wakes the sources before their time.
    pub doorbell: Doorbell,
    /// Where sources of one branch lay down what they want to write.
    pub desks: Desks,
}
