//! One service: what to do about it, what withholds it, and what became of it.

pub mod drift;
pub mod lint;
pub mod machine;
pub mod memory;
mod note;
pub mod orders;
pub mod outcome;
pub mod pause;
pub mod plan;
pub mod scale;
mod verdict;
mod withhold;
