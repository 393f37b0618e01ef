//! Lockstep: GitOps for Amazon ECS and Fargate, without Kubernetes.

pub mod aws;
pub mod git;
pub mod cache;
pub mod config;
pub mod execute;
pub mod reconcile;
