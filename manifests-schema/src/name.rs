//! What AWS accepts as a name. Names become parts of host names, addresses and requests: what does not fit the grammar
//! gets into none.

/// Whether this is a name that AWS accepts for services, families and clusters.
pub fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 255
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// Whether this is the id of an account: 12 digits.
pub fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether this can be the name of a region. It is one label of a host name, so a new region needs no new version.
pub fn is_region(text: &str) -> bool {
    let is_plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    text.len() <= 63
        && text.starts_with(|letter: char| letter.is_ascii_lowercase())
        && text.ends_with(is_plain)
        && text.chars().all(|letter| is_plain(letter) || letter == '-')
}

/// Whether this can be the name of a bucket of S3 by today's rules.
pub fn is_bucket(text: &str) -> bool {
    let is_plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    (3..=63).contains(&text.len())
        && text.split('.').all(|label| {
            label.starts_with(is_plain)
                && label.ends_with(is_plain)
                && label.chars().all(|letter| is_plain(letter) || letter == '-')
        })
        // Four numbers are an address.
        && text.parse::<std::net::Ipv4Addr>().is_err()
}

/// The name of a cluster that is written as a name or as an ARN of this account and region.
///
/// # Errors
/// A sentence.
pub fn cluster_name<'a>(written: &'a str, account: &str, region: &str) -> Result<&'a str, String> {
    let name = if written.starts_with("arn:") {
        let parts: Vec<&str> = written.splitn(6, ':').collect();
        let name = parts.get(5).and_then(|rest| rest.strip_prefix("cluster/"));
        let (Some("ecs"), Some(of_region), Some(of_account), Some(name)) =
            (parts.get(2).copied(), parts.get(3), parts.get(4), name)
        else {
            return Err(format!("`{written}` is not the ARN of a cluster"));
        };
        for (what, found, expected) in [("account", of_account, account), ("region", of_region, region)] {
            if *found != expected {
                return Err(format!("the cluster's ARN is of {what} {found}, but the environment's is {expected}"));
            }
        }
        name
    } else {
        written
    };
    if is_name(name) { Ok(name) } else { Err(format!("`{written}` is not the name of a cluster")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    // H2: what gets into a host name is one label of it.
    #[test]
    fn regions_are_labels_of_host_names() {
        for region in ["eu-central-1", "us-gov-west-1", "us-isob-east-1", "eusc-de-east-1", "ap-southeast-10", "x"] {
            assert!(is_region(region), "{region}");
        }
        for region in [
            "",
            "-",
            "eu-",
            "-eu",
            "1",
            "EU-central-1",
            "eu_central_1",
            "eu.central",
            "127.0.0.1:9443#",
            "evil.example/",
            "a@b",
            "a b",
            "ä",
            "a\n",
            &"a".repeat(64),
        ] {
            assert!(!is_region(region), "{region}");
        }
    }

    #[test]
    fn buckets_follow_the_grammar_of_today() {
        for bucket in ["abc", "a.b.c", "my-bucket-1", "1.2.3", &"a".repeat(63)] {
            assert!(is_bucket(bucket), "{bucket}");
        }
        for bucket in [
            "",
            "ab",
            "Abc",
            "a_b",
            "a..b",
            ".ab",
            "ab.",
            "-ab",
            "ab-",
            "a.-b",
            "127.0.0.1",
            "127.0.0.1:9443#",
            "a/b",
            "a@b",
            "a?b",
            "a%2e",
            "ä.b",
            &"a".repeat(64),
        ] {
            assert!(!is_bucket(bucket), "{bucket}");
        }
    }

    // H16: one cluster has one name, however it is written.
    #[test]
    fn a_cluster_is_written_by_name_or_by_arn() {
        let name = |written| cluster_name(written, "111111111111", "eu-central-1");
        assert_eq!(name("prod"), Ok("prod"));
        assert_eq!(name("arn:aws:ecs:eu-central-1:111111111111:cluster/prod"), Ok("prod"));
        for (written, reason) in [
            (
                "arn:aws:ecs:eu-central-1:222222222222:cluster/prod",
                "the cluster's ARN is of account 222222222222, but the environment's is 111111111111",
            ),
            (
                "arn:aws:ecs:us-east-1:111111111111:cluster/prod",
                "the cluster's ARN is of region us-east-1, but the environment's is eu-central-1",
            ),
            (
                "arn:aws:ecs:eu-central-1:111111111111:service/prod",
                "`arn:aws:ecs:eu-central-1:111111111111:service/prod` is not the ARN of a cluster",
            ),
            ("arn:aws:ecs", "`arn:aws:ecs` is not the ARN of a cluster"),
            ("a/b", "`a/b` is not the name of a cluster"),
            ("", "`` is not the name of a cluster"),
        ] {
            assert_eq!(name(written), Err(reason.to_owned()));
        }
    }
}
