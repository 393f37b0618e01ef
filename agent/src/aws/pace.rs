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
    /// DescribeImages, BatchGetImage. ECR documents 20 a second for GetAuthorizationToken and nothing for these.
    Registry,
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
        Group::Registry => (100.0, 20.0),
    }
}

const GROUPS: [Group; 10] = [
    Group::ServiceModify,
    Group::ServiceRead,
    Group::ServiceDeployment,
    Group::ServiceRevision,
    Group::TaskDefinitionModify,
    Group::TaskDefinitionRead,
    Group::ClusterResourceRead,
    Group::TagModify,
    Group::Parameters,
    Group::Registry,
];

/// The least share of a bucket's own refill.
const SLOWEST: f64 = 0.05;
/// The share of a bucket that is left to what a commit changes.
const RESERVE: f64 = 0.2;
/// How much of the refill comes back in a second without throttling.
const RECOVERY: f64 = 0.01;

struct Bucket {
    tokens: f64,
    at: Instant,
    /// What is left of the refill after AWS throttled us; it comes back with time.
    factor: f64,
}

/// The buckets of one account and region.
pub struct Pace {
    share: f64,
    speed: f64,
    jitter: std::sync::atomic::AtomicU64,
    buckets: Mutex<Vec<Bucket>>,
}

impl Pace {
    /// Full buckets, at a share (0 to 1) of the documented rates, for a clock that runs at a speed.
    pub fn new(share: f64, speed: f64) -> Self {
        let now = Instant::now();
        let buckets = GROUPS
            .iter()
            .map(|group| Bucket { tokens: (documented(*group).0 * share).max(1.0), at: now, factor: 1.0 })
            .collect();
        let seed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), share.to_bits());
        Self { share, speed, jitter: std::sync::atomic::AtomicU64::new(seed), buckets: Mutex::new(buckets) }
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

    /// Waits until the group has tokens to spare, so that what comes unexpectedly finds some.
    pub(crate) async fn leave_some(&self, group: Group) {
        while let Some(wait) = self.until_spare(group, Instant::now()) {
            tokio::time::sleep(wait).await;
        }
    }

    /// AWS throttled a call of the group: somebody else uses the rates too. The bucket is empty, and fills at half its pace.
    pub(crate) fn slow_down(&self, group: Group) {
        let index = GROUPS.iter().position(|other| *other == group).unwrap_or_default();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = &mut buckets[index];
        bucket.tokens = bucket.tokens.min(0.0);
        bucket.factor = (bucket.factor / 2.0).max(SLOWEST);
    }

    /// A pause between half and one and a half of this one, so that callers do not come back together.
    pub(crate) fn jittered(&self, pause: Duration) -> Duration {
        use std::sync::atomic::Ordering;
        // SplitMix64.
        let mut bits = self.jitter.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let share = (bits >> 11) as f64 / (1u64 << 53) as f64;
        pause.mul_f64((0.5 + share) / self.speed.max(1.0))
    }

    /// Takes a token, or says how long until there is one.
    fn take(&self, group: Group, now: Instant) -> Option<Duration> {
        self.filled(group, now, |bucket, refill, _| {
            if bucket.tokens >= 1.0 {
                bucket.tokens -= 1.0;
                return None;
            }
            Some(Duration::from_secs_f64(((1.0 - bucket.tokens) / refill).max(0.001)))
        })
    }

    /// How long until there is a token beyond the reserve.
    fn until_spare(&self, group: Group, now: Instant) -> Option<Duration> {
        self.filled(group, now, |bucket, refill, burst| {
            let wanted = (1.0 + burst * RESERVE).min(burst);
            let missing = wanted - bucket.tokens;
            (missing > 1e-9).then(|| Duration::from_secs_f64((missing / refill).max(0.001)))
        })
    }

    /// Fills a group's bucket for the time that went by, and looks at it with its refill per second and its size.
    fn filled<T>(&self, group: Group, now: Instant, look: impl FnOnce(&mut Bucket, f64, f64) -> T) -> T {
        let (burst, refill) = documented(group);
        let (burst, refill) = ((burst * self.share).max(1.0), refill * self.share * self.speed);
        let index = GROUPS.iter().position(|other| *other == group).unwrap_or_default();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = &mut buckets[index];
        let elapsed = now.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.factor = (bucket.factor + elapsed * self.speed * RECOVERY).min(1.0);
        let refill = refill * bucket.factor;
        bucket.tokens = (bucket.tokens + elapsed * refill).min(burst);
        bucket.at = now;
        look(bucket, refill, burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// J2: reads of what did not change leave some of the rate to what did.
    #[test]
    fn reads_at_leisure_leave_a_reserve() {
        let pace = Pace::new(1.0, 1.0);
        let now = Instant::now();
        let mut taken = 0;
        while pace.until_spare(Group::ServiceRead, now).is_none() {
            assert_eq!(pace.take(Group::ServiceRead, now), None);
            taken += 1;
        }
        assert_eq!(taken, 80);
        let urgent = std::iter::from_fn(|| pace.take(Group::ServiceRead, now).is_none().then_some(())).count();
        assert_eq!(urgent, 20);
        // A bucket of one token has no reserve.
        let small = Pace::new(0.001, 1.0);
        assert_eq!(small.until_spare(Group::ServiceRead, Instant::now()), None);
    }

    #[test]
    fn throttling_slows_a_group_and_time_heals_it() {
        let pace = Pace::new(1.0, 1.0);
        let start = Instant::now();
        assert_eq!(pace.take(Group::ServiceModify, start), None);
        pace.slow_down(Group::ServiceModify);
        let wait = pace.take(Group::ServiceModify, start).expect("the bucket is empty");
        assert!(wait > Duration::from_millis(390), "half of five a second: {wait:?}");
        assert_eq!(pace.take(Group::ServiceRead, start), None, "other groups go on");
        let later = start + Duration::from_secs(120);
        for _ in 0..50 {
            assert_eq!(pace.take(Group::ServiceModify, later), None);
        }
        let wait = pace.take(Group::ServiceModify, later).expect("the burst is used up");
        assert!(wait <= Duration::from_millis(201), "the full pace is back: {wait:?}");
    }

    #[test]
    fn pauses_differ() {
        let pace = Pace::new(1.0, 1.0);
        let pauses: Vec<Duration> = (0..100).map(|_| pace.jittered(Duration::from_secs(1))).collect();
        assert!(pauses.iter().all(|pause| (0.5..1.5).contains(&pause.as_secs_f64())));
        assert!(pauses.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_refill() {
        let pace = Pace::new(0.5, 1.0);
        let start = Instant::now();
        let burst = (0..100).take_while(|_| pace.take(Group::ServiceModify, start).is_none()).count();
        assert_eq!(burst, 25);
        let wait = pace.take(Group::ServiceModify, start).unwrap();
        assert!((wait.as_secs_f64() - 0.4).abs() < 0.01, "{wait:?}");
        assert_eq!(pace.take(Group::ServiceModify, start + Duration::from_millis(401)), None);
        assert_eq!(pace.take(Group::ServiceRead, start), None, "groups do not share");
    }
}
