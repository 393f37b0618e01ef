//! Image updates: what registries have is compared with the pins in Git, and what policies pick is written back as a
//! commit. Level-triggered like rounds: a push that was heard of makes it sooner, never different.

mod bumps;
mod events;
mod history;
mod look;
mod memory;
mod queue;
mod registries;
mod seen;
mod shared;
mod state;
mod updater;
mod watched;

pub use bumps::{bump_of, move_of};
pub use events::PushEvents;
pub use history::Histories;
pub use look::{Patience, PinReader};
pub use memory::Memory;
pub use queue::listen;
pub use registries::{Listing, Place, Registries, Want};
pub use seen::{Hold, Move, PinOutcome, Seen};
pub use shared::Shared;
pub use state::{state_of, unasked};
pub use updater::{Updater, UpdaterConfig};
pub use watched::{PinPlace, Reader, Watched, containers_of, reader_of, watched};
