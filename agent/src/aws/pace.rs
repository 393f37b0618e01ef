//! One token bucket for each group of ECS operations in an account and region, at a share of the documented rates, so
//! that the console, autoscaling and other tools keep their part.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// A group of operations that share a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// CreateService, UpdateService.
    ServiceModify,
    /// DescribeServices.
    ServiceRead,
    /// ListServiceDeployments, DescribeServiceDeployments.
    ServiceDeployment,
    /// DescribeServiceRevisions.
    ServiceRevision,
    /// RegisterTaskDefinition.
    TaskDefinitionModify,
    /// DescribeTaskDefinition.
    TaskDefinitionRead,
    /// ListTasks, DescribeTasks.
    ClusterResourceRead,
    /// TagResource.
    TagModify,
    /// GetParameters; Secrets Manager and Application Auto Scaling publish no rates and get the same.
    Parameters,
}

/// (burst, refill per second), as AWS documents them.
fn documented(group: Group) -> (f64, f64) {
    match group {
        Group::ServiceModify => (50.0, 5.0),
        Group::ServiceRead | Group::ClusterResourceRead => (100.0, 20.0),
        Group::ServiceDeployment | Group::ServiceRevision | Group::TaskDefinitionRead => (50.0, 20.0),
        Group::TaskDefinitionModify => (20.0, 1.0),
        Group::TagModify => (20.0, 10.0),
        Group::Parameters => (40.0, 40.0),
    }
}

const GROUPS: [Group; 9] = [
    Group::ServiceModify,
    Group::ServiceRead,
    Group::ServiceDeployment,
    Group::ServiceRevision,
    Group::TaskDefinitionModify,
    Group::TaskDefinitionRead,
    Group::ClusterResourceRead,
    Group::TagModify,
    Group::Parameters,
];

struct Bucket {
    tokens: f64,
    at: Instant,
}

/// The buckets of one account and region.
pub struct Pace {
    share: f64,
    buckets: Mutex<Vec<Bucket>>,
}

impl Pace {
    /// Full buckets, at a share (0 to 1) of the documented rates.
    pub fn new(share: f64) -> Self {
        let now = Instant::now();
        let buckets =
            GROUPS.iter().map(|group| Bucket { tokens: (documented(*group).0 * share).max(1.0), at: now }).collect();
        Self { share, buckets: Mutex::new(buckets) }
    }

    /// Waits for a token of the group.
    pub(crate) async fn acquire(&self, group: Group) {
        loop {
            let Some(wait) = self.take(group, Instant::now()) else {
                return;
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// Takes a token, or says how long until there is one.
    fn take(&self, group: Group, now: Instant) -> Option<Duration> {
        let (burst, refill) = documented(group);
        let (burst, refill) = ((burst * self.share).max(1.0), refill * self.share);
        let index = GROUPS.iter().position(|other| *other == group).unwrap_or_default();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = &mut buckets[index];
        let elapsed = now.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.tokens = (bucket.tokens + elapsed * refill).min(burst);
        bucket.at = now;
        if bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            return None;
        }
        Some(Duration::from_secs_f64(((1.0 - bucket.tokens) / refill).max(0.001)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_refill() {
        let pace = Pace::new(0.5);
        let start = Instant::now();
        let burst = (0..100).take_while(|_| pace.take(Group::ServiceModify, start).is_none()).count();
        assert_eq!(burst, 25);
        let wait = pace.take(Group::ServiceModify, start).unwrap();
        assert!((wait.as_secs_f64() - 0.4).abs() < 0.01, "{wait:?}");
        assert_eq!(pace.take(Group::ServiceModify, start + Duration::from_millis(401)), None);
        assert_eq!(pace.take(Group::ServiceRead, start), None, "groups do not share");
    }
}
