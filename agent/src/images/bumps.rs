//! From what was seen of a pin to what is written of it.

use super::seen::Seen;
use crate::writeback::PinMove;
use lockstep_core::images::{Bump, ImageReference};
use lockstep_core::state::time_text;
use lockstep_manifests::pins;

/// The pin that is moved, where one is.
pub fn move_of(seen: &Seen) -> Option<PinMove> {
    let moved = seen.pending()?;
    Some(PinMove { file: seen.watched.file.clone(), pin: moved.pin.clone(), bump: bump_of(seen)? })
}

/// What a commit says of a pin that is moved.
pub fn bump_of(seen: &Seen) -> Option<Bump> {
    let moved = seen.pending()?;
    let watched = &seen.watched;
    let new = ImageReference::parse(&pins::apply(&watched.current().repository, &moved.pin));
    Some(Bump {
        environment: watched.environment.clone(),
        service: watched.service.clone(),
        container: watched.container.clone(),
        old: watched.current().clone(),
        old_pin: watched.pin.clone(),
        new_pin: moved.pin.clone(),
        new,
        pushed_at: moved.pushed_at.map(time_text),
        labels: moved.labels.clone(),
    })
}
