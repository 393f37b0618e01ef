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

/// Group, burst and refill per second. Operations that the sandbox lacks have none.
fn group(operation: &str) -> Option<(&'static str, f64, f64)> {
    Some(match operation {
        // The table names neither StopServiceDeployment nor ContinueServiceDeployment.
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
        "DescribeClusters" | "ListClusters" => ("cluster read", 50.0, 20.0),
        "CreateCluster" => ("cluster modify", 20.0, 1.0),
        "DescribeCapacityProviders" => ("capacity provider read", 50.0, 20.0),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::time::Duration;

    #[test]
    fn every_operation_of_ecs_has_a_bucket() {
        let shapes: Value = serde_json::from_str(include_str!("wire/shapes.json")).unwrap();
        let operations = shapes["ecs"]["operations"].as_object().unwrap();
        let without: Vec<_> = operations.keys().filter(|operation| group(operation).is_none()).collect();
        assert_eq!(without, Vec::<&String>::new());
    }

    #[test]
    fn reads_of_clusters_and_of_capacity_providers_are_counted_apart() {
        let (mut buckets, place, now) = (Buckets::default(), Place::new("1", "r"), Moment::from_millis(0));
        let mut admitted = |operation| (0..60).filter(|_| buckets.admit(&place, operation, now)).count();
        assert_eq!((admitted("DescribeClusters"), admitted("DescribeCapacityProviders")), (50, 50));
        assert_eq!(admitted("ListClusters"), 0);
    }

    #[test]
    fn a_bucket_empties_and_refills() {
        let (mut buckets, place, now) = (Buckets::default(), Place::new("1", "r"), Moment::from_millis(0));
        let admitted = (0..30).filter(|_| buckets.admit(&place, "RegisterTaskDefinition", now)).count();
        assert_eq!(admitted, 20);
        assert!(buckets.admit(&place, "RegisterTaskDefinition", now.plus(Duration::from_secs(1))));
        assert!(!buckets.admit(&place, "RegisterTaskDefinition", now.plus(Duration::from_secs(1))));
    }
}
