//! The partitions of AWS: which domain the hosts of a region are in, and where IAM answers.

/// A partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// How its regions begin.
    prefix: &'static str,
    /// The domain of its hosts.
    pub domain: &'static str,
    /// Where IAM answers, which has one endpoint for all regions.
    pub iam: &'static str,
    /// The region that signatures for IAM name.
    pub home: &'static str,
}

const fn partition(prefix: &'static str, domain: &'static str, iam: &'static str, home: &'static str) -> Partition {
    Partition { prefix, domain, iam, home }
}

/// All of them; what no other is for is the commercial one.
const PARTITIONS: [Partition; 8] = [
    partition("cn-", "amazonaws.com.cn", "iam.cn-north-1.amazonaws.com.cn", "cn-north-1"),
    partition("eusc-", "amazonaws.eu", "iam.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1"),
    partition("us-gov-", "amazonaws.com", "iam.us-gov.amazonaws.com", "us-gov-west-1"),
    partition("us-iso-", "c2s.ic.gov", "iam.us-iso-east-1.c2s.ic.gov", "us-iso-east-1"),
    partition("us-isob-", "sc2s.sgov.gov", "iam.us-isob-east-1.sc2s.sgov.gov", "us-isob-east-1"),
    partition("us-isof-", "csp.hci.ic.gov", "iam.us-isof-south-1.csp.hci.ic.gov", "us-isof-south-1"),
    partition("eu-isoe-", "cloud.adc-e.uk", "iam.eu-isoe-west-1.cloud.adc-e.uk", "eu-isoe-west-1"),
    partition("", "amazonaws.com", "iam.amazonaws.com", "us-east-1"),
];

impl Partition {
    /// The partition of a region.
    pub fn of(region: &str) -> Self {
        let [.., commercial] = PARTITIONS;
        PARTITIONS.into_iter().find(|one| region.starts_with(one.prefix)).unwrap_or(commercial)
    }

    /// Whether a host is AWS's own, by its domain.
    pub fn owns(host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        PARTITIONS.iter().any(|one| host.strip_suffix(one.domain).is_some_and(|rest| rest.ends_with('.')))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_of_its_partition() {
        let domain = |region| Partition::of(region).domain;
        assert_eq!(domain("eu-central-1"), "amazonaws.com");
        assert_eq!(domain("us-gov-west-1"), "amazonaws.com");
        assert_eq!(domain("cn-north-1"), "amazonaws.com.cn");
        assert_eq!(domain("eusc-de-east-1"), "amazonaws.eu");
        assert_eq!(domain("us-iso-east-1"), "c2s.ic.gov");
        assert_eq!(domain("us-isob-east-1"), "sc2s.sgov.gov");
        assert_eq!(Partition::of("us-gov-east-1").home, "us-gov-west-1");
        assert_eq!(Partition::of("eu-west-1").home, "us-east-1");
    }

    #[test]
    fn only_what_ends_in_a_domain_of_aws_is_its_own() {
        for host in ["bucket.s3.eu-central-1.amazonaws.com", "A.S3.CN-NORTH-1.AMAZONAWS.COM.CN", "x.amazonaws.eu"] {
            assert!(Partition::owns(host), "{host}");
        }
        for host in ["amazonaws.com", "evilamazonaws.com", "amazonaws.com.evil.example", "127.0.0.1", ""] {
            assert!(!Partition::owns(host), "{host}");
        }
    }
}
