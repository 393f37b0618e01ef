//! Lockstep's decisions, as synchronous functions over plain data: what is equal, what differs, what to do about it,
//! and what became of it. No I/O, no clock, no AWS types.

pub mod allow;
pub mod compare;
pub mod event;
pub mod fleet;
pub mod images;
pub mod mask;
pub mod observed;
pub mod partition;
pub mod remedy;
pub mod report;
pub mod service;
pub mod state;
pub mod stated;
pub mod tags;
pub mod text;
pub mod verify;
