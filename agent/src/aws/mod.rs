//! AWS, through the SDK: which account and region, how fast, and what went wrong. Reads turn answers into plain data;
//! writes follow orders. Nothing here decides.

mod clients;
mod ecs_read;
mod ecs_write;
mod error;
pub(crate) mod generated;
#[cfg(test)]
mod generated_tests;
mod pace;
mod parameters;

pub use clients::{AccountRole, Accounts, Clients};
pub use error::{AwsError, Remedy};
pub use pace::Pace;
