//! One service: what to do about it, what withholds it, and what became of it.

mod asked;
pub mod drift;
pub mod evaluation;
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
pub(crate) mod withhold;
