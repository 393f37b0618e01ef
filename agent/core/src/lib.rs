//! Lockstep's decisions, as synchronous functions over plain data: what is equal, what differs, what to do about it,
//! and what became of it. No I/O, no clock, no AWS types.

pub mod brake;
pub mod cause;
pub mod commit;
pub mod diff;
pub mod drift;
pub mod ending;
pub mod identity;
pub mod ignore;
pub mod images;
pub mod lint;
pub mod mask;
pub mod normalise;
mod note;
pub mod observed;
pub mod partition;
pub mod pause;
pub mod plan;
pub mod prune;
pub mod refusal;
pub mod registrars;
pub mod report;
pub mod rules;
pub mod runs;
pub mod scale;
pub mod send;
pub mod stated;
pub mod tags;
pub mod text;
pub mod turn;
pub mod verify;
