//! AWS, through the SDK: which account and region, how fast, and what went wrong. Reads turn answers into plain data;
//! writes follow orders. Nothing here decides.

mod address;
mod bounded;
mod call;
mod cause;
mod clients;
mod ecs_read;
mod ecs_write;
mod error;
mod existence;
pub(crate) mod generated;
#[cfg(test)]
mod generated_tests;
mod images;
mod json;
mod pace;
mod pages;
mod parameters;
mod queue;
mod reference;
mod rollouts;
#[cfg(test)]
mod sendable_tests;
mod signed;

pub use clients::{AccountRole, Accounts, Clients};
pub use error::{AwsError, Remedy};
pub use existence::Network;
pub(crate) use images::{Contents, attached, configured, contents};
pub use images::{Image, ImageId, TagEntry};
pub use pace::Pace;
pub use queue::{Message, QueueUrl};
pub(crate) use reference::EcrImage;
