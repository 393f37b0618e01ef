//! One service: what to do about it, what withholds it, and what became of it.

pub mod drift;
pub mod lint;
mod note;
pub mod pause;
pub mod plan;
pub mod scale;
