//! What a commit states of a service.

pub mod at;
