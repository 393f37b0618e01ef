//! The host names of ECR's private registries: the one place that knows them.

use crate::partition::Partition;
use lockstep_manifests::name::{is_account, is_region};

/// What comes between the account and the region, and the domains that then end the name.
const FORMS: [(&str, &[&str]); 4] = [
    ("dkr.ecr.", CLASSIC),
    ("dkr.ecr-fips.", CLASSIC),
    // Dual stack: what tasks pull from in subnets that have IPv6 alone.
    ("dkr-ecr.", DUAL_STACK),
    ("dkr-ecr-fips.", DUAL_STACK),
];
const CLASSIC: &[&str] = &[
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "c2s.ic.gov",
    "sc2s.sgov.gov",
    "csp.hci.ic.gov",
    "cloud.adc-e.uk",
];
const DUAL_STACK: &[&str] = &["on.aws", "on.amazonwebservices.com.cn", "on.amazonwebservices.eu"];

/// A private registry: an account in a region, whichever of its names it was written with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EcrRegistry {
    /// The account.
    pub account: String,
    /// The region.
    pub region: String,
}

impl EcrRegistry {
    /// Reads a host name to its last letter, without regard to case: what only begins like one may be anybody's.
    pub fn parse(host: &str) -> Option<Self> {
        let host = host.to_ascii_lowercase();
        let (account, rest) = host.split_once('.')?;
        let (rest, domains) = FORMS.iter().find_map(|(form, domains)| Some((rest.strip_prefix(form)?, *domains)))?;
        let (region, domain) = rest.split_once('.')?;
        let is_one = is_account(account) && is_region(region) && domains.contains(&domain);
        is_one.then(|| Self { account: account.to_owned(), region: region.to_owned() })
    }

    /// The registry that an image is in, where that is one of ECR's.
    pub fn of_image(image: &str) -> Option<Self> {
        Self::parse(image.split_once('/')?.0)
    }

    /// Its usual host name.
    pub fn host(&self) -> String {
        format!("{}.dkr.ecr.{}.{}", self.account, self.region, Partition::of(&self.region).domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // E1
    #[test]
    fn every_name_of_a_registry_is_known() {
        for (host, region) in [
            ("111111111111.dkr.ecr.eu-central-1.amazonaws.com", "eu-central-1"),
            ("111111111111.dkr.ecr-fips.us-east-1.amazonaws.com", "us-east-1"),
            ("111111111111.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1"),
            ("111111111111.dkr.ecr.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1"),
            ("111111111111.dkr.ecr.us-iso-east-1.c2s.ic.gov", "us-iso-east-1"),
            ("111111111111.dkr.ecr.us-isob-east-1.sc2s.sgov.gov", "us-isob-east-1"),
            ("111111111111.dkr-ecr.eu-central-1.on.aws", "eu-central-1"),
            ("111111111111.dkr-ecr-fips.us-east-1.on.aws", "us-east-1"),
            ("111111111111.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn", "cn-north-1"),
            ("111111111111.DKR.ecr.EU-Central-1.AmazonAWS.com", "eu-central-1"),
        ] {
            let expected = EcrRegistry { account: "111111111111".to_owned(), region: region.to_owned() };
            assert_eq!(EcrRegistry::parse(host), Some(expected), "{host}");
        }
    }

    #[test]
    fn what_only_looks_like_one_is_none() {
        for host in [
            "",
            "public.ecr.aws",
            "1.dkr.ecr.eu-central-1.amazonaws.com",
            "111111111111.dkr.ecr",
            "111111111111.dkr.ecr.evil.example",
            "111111111111.dkr.ecr.amazonaws.com",
            "111111111111.dkr.ecr.a.b.amazonaws.com",
            "111111111111.dkr.ecr.eu-central-1.on.aws",
            "111111111111.dkr-ecr.eu-central-1.amazonaws.com",
            "111111111111.dkr-ecr.eu-central-1.on.aws.evil.example",
            "111111111111.dkr.ecr.eu-central-1.amazonaws.com.evil.example",
            "111111111111.dkr.ecr.eu-central-1.amazonaws.com:443",
            "x.111111111111.dkr.ecr.eu-central-1.amazonaws.com",
            "111111111111.dkr.ecr.x.evil.example/.amazonaws.com",
        ] {
            assert_eq!(EcrRegistry::parse(host), None, "{host}");
        }
    }

    #[test]
    fn the_usual_name_is_read_back() {
        for region in ["eu-central-1", "cn-north-1", "us-gov-west-1", "eusc-de-east-1", "us-isob-east-1"] {
            let registry = EcrRegistry { account: "111111111111".to_owned(), region: region.to_owned() };
            assert_eq!(EcrRegistry::parse(&registry.host()), Some(registry));
        }
    }
}
