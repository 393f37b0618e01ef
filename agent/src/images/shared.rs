//! What the image updates of all sources share.

use super::{desk::Desks, events::Doorbell, registries::Registries};

/// Registries, what wakes the sources, and the desks of their branches.
#[derive(Default)]
pub struct Shared {
    /// The registries of images.
    pub registries: Registries,
    /// Wakes the sources before their time.
    pub doorbell: Doorbell,
    /// Where sources of one branch lay down what they want to write.
    pub desks: Desks,
}
