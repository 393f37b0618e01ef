//! When two definitions are the same: the table of members with their defaults, the form that is compared, what is
//! ignored, what differs, and what is sent, which is what is compared.

pub mod diff;
pub mod ignore;
pub mod normalise;
pub mod rules;
pub mod send;
