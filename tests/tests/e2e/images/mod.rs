//! From a push to ECR to a commit in Git, and to what runs: policies, holds, windows, refusals, and what each costs.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod commands;
mod holds;
mod ledger;
mod policies;
mod program;
mod pushes;
mod registries;
mod windows;
