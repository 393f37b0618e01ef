//! The documented request rates: one token bucket per group, account and region.

use std::collections::BTreeMap;

use crate::clock::Moment;
use crate::place::Place;

/// All buckets.
#[derive(Debug, Default)]
pub(crate) struct Buckets {
    by_key: BTreeMap<(Place, &'static str), (f64, Moment)>,
}

impl Buckets {
    /// Takes a token for the operation, if there is one.
    pub(crate) fn admit(&mut self, place: &Place, operation: &str, now: Moment) -> bool {
        let Some((group, burst, refill)) = group(operation) else {
            return true;
        };
        let bucket = self.by_key.entry((place.clone(), group)).or_insert((burst, now));
        bucket.0 = (bucket.0 + (now.seconds() - bucket.1.seconds()).max(0.0) * refill).min(burst);
        bucket.1 = now;
        if bucket.0 < 1.0 {
            return false;
        }
        bucket.0 -= 1.0;
        true
    }
}

/// Group, burst and refill per second.
fn group(operation: &str) -> Option<(&'static str, f64, f64)> {
    Some(match operation {
        "CreateService" | "UpdateService" | "DeleteService" | "StopServiceDeployment" | "ContinueServiceDeployment" => {
            ("service modify", 50.0, 5.0)
        }
        "DescribeServices" | "ListServices" => ("service read", 100.0, 20.0),
        "ListServiceDeployments" | "DescribeServiceDeployments" => ("service deployment", 50.0, 20.0),
        "DescribeServiceRevisions" => ("service revision", 50.0, 20.0),
        "RunTask" | "StopTask" => ("cluster resource modify", 100.0, 40.0),
        "DescribeTasks" | "ListTasks" => ("cluster resource read", 100.0, 20.0),
        "RegisterTaskDefinition" | "DeregisterTaskDefinition" => ("task definition modify", 20.0, 1.0),
        "DescribeTaskDefinition" | "ListTaskDefinitions" | "ListTaskDefinitionFamilies" => {
            ("task definition read", 50.0, 20.0)
        }
        "TagResource" | "UntagResource" => ("tag modify", 20.0, 10.0),
        "ListTagsForResource" => ("tag read", 50.0, 20.0),
        "DescribeClusters" | "ListClusters" | "DescribeCapacityProviders" => ("cluster read", 50.0, 20.0),
        "CreateCluster" => ("cluster modify", 20.0, 1.0),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_bucket_empties_and_refills() {
        let (mut buckets, place, now) = (Buckets::default(), Place::new("1", "r"), Moment::from_millis(0));
        let admitted = (0..30).filter(|_| buckets.admit(&place, "RegisterTaskDefinition", now)).count();
        assert_eq!(admitted, 20);
        assert!(buckets.admit(&place, "RegisterTaskDefinition", now.plus(Duration::from_secs(1))));
        assert!(!buckets.admit(&place, "RegisterTaskDefinition", now.plus(Duration::from_secs(1))));
    }
}
