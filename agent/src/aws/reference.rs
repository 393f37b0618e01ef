//! References to images in ECR, as task definitions write them.

use super::ImageId;

/// An image reference of a repository in ECR.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EcrImage {
    /// The registry's host.
    pub(crate) host: String,
    /// The registry's region.
    pub(crate) region: String,
    /// The image.
    pub(crate) id: ImageId,
}

impl EcrImage {
    /// Reads `ACCOUNT.dkr.ecr.REGION.amazonaws.com[.cn]/REPOSITORY[:TAG][@DIGEST]`; the digest wins, and no tag is
    /// `latest`.
    pub(crate) fn parse(written: &str) -> Option<Self> {
        let (host, rest) = written.split_once('/')?;
        let (account, domain) = host.split_once(".dkr.ecr.").or_else(|| host.split_once(".dkr.ecr-fips."))?;
        let region = domain.strip_suffix(".amazonaws.com").or_else(|| domain.strip_suffix(".amazonaws.com.cn"))?;
        let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        let is_region = !region.is_empty() && region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !is_account || !is_region {
            return None;
        }
        let (named, digest) = rest.split_once('@').map_or((rest, None), |(named, digest)| (named, Some(digest)));
        let (repository, tag) = named.split_once(':').map_or((named, None), |(name, tag)| (name, Some(tag)));
        let reference = digest.or(tag).unwrap_or("latest").to_owned();
        let id = ImageId { account: account.to_owned(), repository: repository.to_owned(), reference };
        Some(Self { host: host.to_owned(), region: region.to_owned(), id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_to_ecr_are_read_and_others_are_none() {
        let parse = |text: &str| {
            EcrImage::parse(text).map(|image| (image.region, image.id.account, image.id.repository, image.id.reference))
        };
        let of = |region: &str, repository: &str, reference: &str| {
            Some((region.to_owned(), "111111111111".to_owned(), repository.to_owned(), reference.to_owned()))
        };
        let host = "111111111111.dkr.ecr.eu-central-1.amazonaws.com";
        assert_eq!(parse(&format!("{host}/shop/web:1.2")), of("eu-central-1", "shop/web", "1.2"));
        assert_eq!(parse(&format!("{host}/web:1@sha256:ab")), of("eu-central-1", "web", "sha256:ab"));
        assert_eq!(parse(&format!("{host}/web")), of("eu-central-1", "web", "latest"));
        assert_eq!(parse("111111111111.dkr.ecr.cn-north-1.amazonaws.com.cn/web:1"), of("cn-north-1", "web", "1"));
        for other in
            ["nginx:1", "public.ecr.aws/x/y:1", "111111111111.dkr.ecr.evil.example/web", "1.dkr.ecr.eu.amazonaws.com/x"]
        {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
