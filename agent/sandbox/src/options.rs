//! How a sandbox is set up.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::clock::ClockMode;
use crate::durations::Durations;

/// The settings of a sandbox.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to listen. Port 0 takes a free one.
    pub address: SocketAddr,
    /// How the virtual clock moves.
    pub clock: ClockMode,
    /// Seed of all identifiers.
    pub seed: u64,
    /// The account of every access key that names no other.
    pub default_account: String,
    /// How long things take.
    pub durations: Durations,
    /// Make a cluster when a request names one that does not exist.
    pub auto_create_clusters: bool,
    /// Let every ECR image exist, with a digest derived from its name.
    pub auto_create_images: bool,
    /// Answer with containers, environment, secrets and port mappings in another order.
    pub shuffle_sets: bool,
    /// Let an update with an unchanged member start a deployment.
    pub same_value_triggers: bool,
    /// For so long after a write, reads may answer as before it (`staleReadMs`); zero: never.
    pub stale_reads: Duration,
    /// Fill pages only in part, as the real service may.
    pub short_pages: bool,
    /// Apply the documented request rates.
    pub throttling: bool,
    /// Refuse the credentials of an assumed role after their expiry (in virtual time).
    pub expire_sessions: bool,
    /// EC2 instances in a new cluster.
    pub container_instances: u32,
    /// How many calls the journal remembers.
    pub journal_capacity: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            clock: ClockMode::Speed(1.0),
            seed: 1,
            default_account: "111111111111".to_owned(),
            durations: Durations::default(),
            auto_create_clusters: false,
            auto_create_images: false,
            shuffle_sets: false,
            same_value_triggers: false,
            stale_reads: Duration::ZERO,
            short_pages: false,
            throttling: false,
            expire_sessions: false,
            container_instances: 1,
            journal_capacity: 100_000,
        }
    }
}
