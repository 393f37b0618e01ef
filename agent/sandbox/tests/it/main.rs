//! The sandbox over the wire, on a manual clock.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should fail")]

mod catalogue;
mod causes;
mod control;
mod failures;
mod neighbours;
mod reads;
mod rig;
mod rolling;
mod shifting;
mod updates;
