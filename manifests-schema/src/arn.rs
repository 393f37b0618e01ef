//! What a short name means in an account: the ARN of a role or cluster that is written by its name.

use crate::substitute::has_substitution;
use serde::{Deserialize, Serialize};

/// An account in a partition: where short names are at home.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Home {
    /// `aws`, `aws-cn`, `aws-us-gov` …
    pub partition: String,
    /// The account's id.
    pub account: String,
}

impl Home {
    /// The account of an environment.
    pub fn new(account: &str, region: &str) -> Self {
        Self { partition: partition_of(region).to_owned(), account: account.to_owned() }
    }

    /// The account that an ARN is in; none where the ARN names none.
    pub fn of_arn(arn: &str) -> Option<Self> {
        let mut parts = arn.strip_prefix("arn:")?.split(':');
        let (partition, account) = (parts.next()?, parts.nth(2)?);
        let is_whole = !partition.is_empty() && !account.is_empty();
        is_whole.then(|| Self { partition: partition.to_owned(), account: account.to_owned() })
    }

    /// The ARN of a role. A name, with its path where it has one, is a role of this account; an ARN, and what is no
    /// name at all, stays as it is written.
    pub fn role(&self, written: &str) -> String {
        let name = written.strip_prefix('/').unwrap_or(written);
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-/".contains(&byte);
        if name.is_empty() || has_substitution(written) || !name.bytes().all(is_letter) {
            return written.to_owned();
        }
        format!("arn:{}:iam::{}:role/{name}", self.partition, self.account)
    }
}

/// The partition of a region: the second part of all ARNs in it.
pub fn partition_of(region: &str) -> &'static str {
    const PARTITIONS: &[(&str, &str)] = &[
        ("cn-", "aws-cn"),
        ("us-gov-", "aws-us-gov"),
        ("us-iso-", "aws-iso"),
        ("us-isob-", "aws-iso-b"),
        ("us-isof-", "aws-iso-f"),
        ("eu-isoe-", "aws-iso-e"),
        ("eusc-", "aws-eusc"),
    ];
    PARTITIONS.iter().find(|(prefix, _)| region.starts_with(prefix)).map_or("aws", |(_, partition)| partition)
}

/// What an ARN names within its kind: `svc/exec` of `arn:aws:iam::1:role/svc/exec`. None for anything but an ARN.
pub fn name_in(arn: &str) -> Option<&str> {
    let resource = arn.strip_prefix("arn:")?.splitn(5, ':').nth(4)?;
    resource.split_once('/').map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    // B1: a short name means a role of the environment's own account and partition.
    #[test]
    fn a_role_by_name_is_one_of_the_account_and_partition() {
        let role = |region: &str, written: &str| Home::new("111111111111", region).role(written);
        for (region, written, meant) in [
            ("eu-central-1", "exec", "arn:aws:iam::111111111111:role/exec"),
            ("eu-central-1", "service-role/exec", "arn:aws:iam::111111111111:role/service-role/exec"),
            ("eu-central-1", "/service-role/exec", "arn:aws:iam::111111111111:role/service-role/exec"),
            ("cn-north-1", "exec", "arn:aws-cn:iam::111111111111:role/exec"),
            ("us-gov-west-1", "exec", "arn:aws-us-gov:iam::111111111111:role/exec"),
            ("eu-central-1", "arn:aws:iam::222222222222:role/exec", "arn:aws:iam::222222222222:role/exec"),
            ("eu-central-1", "", ""),
            ("eu-central-1", "<ROLE>", "<ROLE>"),
            ("eu-central-1", "${{ ssm:/role }}", "${{ ssm:/role }}"),
        ] {
            assert_eq!(role(region, written), meant, "{written} in {region}");
        }
    }

    #[test]
    fn an_arn_tells_its_account_and_its_name() {
        let task = "arn:aws-cn:ecs:cn-north-1:333333333333:task-definition/web:7";
        assert_eq!(Home::of_arn(task), Some(Home::new("333333333333", "cn-north-1")));
        assert_eq!((Home::of_arn("web:7"), Home::of_arn("arn:aws:s3:::bucket")), (None, None));
        assert_eq!(name_in("arn:aws:iam::1:role/svc/exec"), Some("svc/exec"));
        assert_eq!(name_in("arn:aws:ecs:eu-central-1:1:cluster/prod"), Some("prod"));
        assert_eq!((name_in("exec"), name_in("svc/exec")), (None, None));
    }
}
