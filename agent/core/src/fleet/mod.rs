//! What concerns several services: how many roll out at one time, what is removed, what people are told once of many,
//! and how an ordered sync ends.

pub mod brake;
pub mod condition;
pub mod ending;
pub mod orphans;
pub mod prune;
