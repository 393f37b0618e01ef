//! Addresses of requests that are made by hand. Their parts are names that a manifest may have written: each must fit
//! its grammar, and what a client would read from the whole must be what was put together here. Only then it is signed.

use lockstep_core::partition::Partition;
use lockstep_manifests::name::{is_bucket, is_region};
use reqwest::Url;

/// Where a request goes. It exists only with the host that was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address(Url);

impl Address {
    /// The endpoint of a service in a region, or the one that is configured for all, with a path of encoded parts.
    ///
    /// # Errors
    /// A sentence: a part is not what it must be.
    pub(super) fn of(service: &str, region: &str, configured: Option<&str>, path: &[&str]) -> Result<Self, String> {
        let host = format!("{service}.{}.{}", checked_region(region)?, Partition::of(region).domain);
        Self::at(&host, configured, path)
    }

    /// The same of IAM, which has one endpoint for all regions of a partition.
    pub(super) fn of_iam(region: &str, configured: Option<&str>) -> Result<Self, String> {
        Self::at(Partition::of(checked_region(region)?).iam, configured, &[])
    }

    /// An object of S3.
    pub(super) fn of_object(bucket: &str, key: &str, region: &str, configured: Option<&str>) -> Result<Self, String> {
        if !is_bucket(bucket) {
            return Err(format!("`{}` is not the name of a bucket", shown(bucket)));
        }
        let parts: Vec<&str> = key.split('/').collect();
        // Certificates are for one label before the service: names with dots stand in the path.
        if configured.is_some() || bucket.contains('.') {
            let path: Vec<&str> = std::iter::once(bucket).chain(parts).collect();
            Self::of("s3", region, configured, &path)
        } else {
            Self::of(&format!("{bucket}.s3"), region, None, &parts)
        }
    }

    /// What is sent and signed.
    pub(super) fn url(&self) -> &Url {
        &self.0
    }

    fn at(host: &str, configured: Option<&str>, path: &[&str]) -> Result<Self, String> {
        let base = match configured {
            Some(endpoint) => endpoint.trim_end_matches('/').to_owned(),
            None => format!("https://{host}"),
        };
        let path: Vec<String> = path.iter().map(|part| encoded(part)).collect();
        let path = format!("/{}", path.join("/"));
        let parse = |text: &str| Url::parse(text).map_err(|error| format!("the endpoint is no URL: {error}"));
        let (expected, url) = (parse(&base)?, parse(&format!("{base}{path}"))?);
        let is_host = match configured {
            Some(_) => expected.host_str().is_some(),
            None => expected.host_str() == Some(host) && expected.port().is_none(),
        };
        let whole = format!("{}{path}", expected.path().trim_end_matches('/'));
        let is_meant = is_host
            && matches!(url.scheme(), "https" | "http")
            && url.origin() == expected.origin()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
            // Parts such as `..` lead to another resource than they name.
            && url.path() == whole;
        if is_meant { Ok(Self(url)) } else { Err(format!("{} cannot be asked for by its name", shown(&path))) }
    }
}

/// Whether an address that AWS names may be read without credentials: one of AWS's own hosts over TLS, or the endpoint
/// that is configured.
pub(super) fn may_download(url: &str, configured: Option<&str>) -> Option<Url> {
    let url = Url::parse(url).ok()?;
    let is_configured = configured
        .and_then(|endpoint| Url::parse(endpoint).ok())
        .is_some_and(|endpoint| endpoint.origin() == url.origin());
    let is_aws = url.scheme() == "https" && url.port().is_none() && url.host_str().is_some_and(Partition::owns);
    let is_plain = url.username().is_empty() && url.password().is_none();
    ((is_configured || is_aws) && is_plain).then_some(url)
}

fn checked_region(region: &str) -> Result<&str, String> {
    if is_region(region) { Ok(region) } else { Err(format!("`{}` is not a region", shown(region))) }
}

/// A part of a path, percent-encoded.
fn encoded(part: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(byte);
    part.bytes().map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// The beginning of a text that is not what it should be, in one line.
fn shown(text: &str) -> String {
    text.chars().take(100).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(address: Result<Address, String>) -> Result<String, String> {
        address.map(|address| address.url().to_string())
    }

    #[test]
    fn endpoints_are_of_the_region_and_its_partition() {
        let of = |service, region| text(Address::of(service, region, None, &[])).unwrap();
        assert_eq!(of("ec2", "eu-central-1"), "https://ec2.eu-central-1.amazonaws.com/");
        assert_eq!(
            of("elasticloadbalancing", "us-gov-west-1"),
            "https://elasticloadbalancing.us-gov-west-1.amazonaws.com/"
        );
        assert_eq!(of("lambda", "cn-north-1"), "https://lambda.cn-north-1.amazonaws.com.cn/");
        assert_eq!(of("ec2", "us-iso-east-1"), "https://ec2.us-iso-east-1.c2s.ic.gov/");
        assert_eq!(text(Address::of_iam("eu-central-1", None)).unwrap(), "https://iam.amazonaws.com/");
        assert_eq!(text(Address::of_iam("cn-north-1", None)).unwrap(), "https://iam.cn-north-1.amazonaws.com.cn/");
        let configured = Address::of("ec2", "x", Some("http://127.0.0.1:1/"), &["a b", "c:d"]);
        assert_eq!(text(configured).unwrap(), "http://127.0.0.1:1/a%20b/c%3Ad");
    }

    #[test]
    fn objects_are_asked_for_at_their_bucket() {
        let of = |bucket, key| text(Address::of_object(bucket, key, "eu-central-1", None)).unwrap();
        assert_eq!(of("shop", "a/b c.env"), "https://shop.s3.eu-central-1.amazonaws.com/a/b%20c.env");
        assert_eq!(of("shop.example", "a.env"), "https://s3.eu-central-1.amazonaws.com/shop.example/a.env");
        let configured = Address::of_object("shop", "a.env", "eu-central-1", Some("http://127.0.0.1:1"));
        assert_eq!(text(configured).unwrap(), "http://127.0.0.1:1/shop/a.env");
    }

    // H2
    #[test]
    fn no_name_leads_to_another_host() {
        for bucket in [
            "127.0.0.1:9443#",
            "127.0.0.1:9443",
            "127.0.0.1",
            "evil.example/",
            "evil.example?",
            "a@evil.example",
            "..",
            "evil.example\\",
            "%65vil",
            "",
        ] {
            let refused = text(Address::of_object(bucket, "x.env", "eu-central-1", None)).unwrap_err();
            assert!(refused.ends_with("is not the name of a bucket"), "{bucket}: {refused}");
            assert!(Address::of_object(bucket, "x.env", "eu-central-1", Some("http://127.0.0.1:1")).is_err());
        }
        for region in ["127.0.0.1:9443#", "evil.example/", "a@evil.example", "", "x.evil.example:443?"] {
            for address in [
                Address::of("ec2", region, None, &[]),
                Address::of("ec2", region, Some("http://127.0.0.1:1"), &[]),
                Address::of_iam(region, None),
                Address::of_object("shop", "x.env", region, None),
            ] {
                assert!(text(address).unwrap_err().ends_with("is not a region"), "{region}");
            }
        }
        for key in ["..", "../x", "a/../../x", "a/./b", "."] {
            let refused = text(Address::of_object("shop", key, "eu-central-1", None)).unwrap_err();
            assert!(refused.ends_with("cannot be asked for by its name"), "{key}: {refused}");
        }
        assert_eq!(
            text(Address::of_object("shop", "%2e%2e/x#y?z", "eu-central-1", None)).unwrap(),
            "https://shop.s3.eu-central-1.amazonaws.com/%252e%252e/x%23y%3Fz"
        );
    }

    #[test]
    fn downloads_are_from_aws_or_from_the_endpoint() {
        let endpoint = Some("http://127.0.0.1:4000");
        let bucket = "https://prod-starport-layer-bucket.s3.eu-central-1.amazonaws.com/x?X-Amz-Signature=y";
        assert!(may_download(bucket, None).is_some() && may_download(bucket, endpoint).is_some());
        assert!(may_download("http://127.0.0.1:4000/layer", endpoint).is_some());
        for url in [
            "http://127.0.0.1:40001/layer",
            "http://127.0.0.1:4000@evil.example/layer",
            "http://127.0.0.1:4000.evil.example/layer",
            "https://evil.example/layer",
            "https://169.254.169.254/latest/meta-data",
            "http://bucket.s3.eu-central-1.amazonaws.com/x",
            "https://bucket.s3.eu-central-1.amazonaws.com:8443/x",
            "https://bucket.s3.eu-central-1.amazonaws.com.evil.example/x",
            "https://u:p@bucket.s3.eu-central-1.amazonaws.com/x",
            "file:///etc/passwd",
            "",
        ] {
            assert_eq!(may_download(url, endpoint), None, "{url}");
        }
    }
}
