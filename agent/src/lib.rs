//! Lockstep: GitOps for Amazon ECS and Fargate, without Kubernetes.

pub mod aws;
pub mod git;
