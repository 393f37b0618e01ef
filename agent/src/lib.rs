//! Lockstep: GitOps for Amazon ECS and Fargate, without Kubernetes. The program as a library: the command line, the
//! agent, and what they are made of.

pub mod agent;
mod authority;
pub mod aws;
pub mod board;
pub mod cache;
pub mod cli;
pub mod config;
pub mod demo;
pub mod driver;
pub mod execute;
pub mod exit;
pub mod git;
pub mod images;
pub(crate) mod log;
pub mod oci;
pub mod output;
pub mod permit;
pub mod reconcile;
pub mod server;
pub mod verify;
pub mod writeback;
