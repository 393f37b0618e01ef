//! What a commit states of a service.

pub mod at;
pub mod commit;
pub mod identity;
