//! Images in ECR, and whether they have the platform that the task asks for.

use crate::aws::{Image, ImageId};
use lockstep_core::verify::Outcome;
use lockstep_manifests::updates::Platform;

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

/// What is to be said of an image that is there.
pub(super) fn judge(image: &Image, wanted: Option<&Platform>) -> (Outcome, String) {
    let name = ToString::to_string;
    match (&image.platforms, wanted) {
        (_, None) => (Outcome::Ok, "the image is there".to_owned()),
        (Err(reason), Some(wanted)) => {
            (Outcome::Skip, format!("the image is there; whether it has {} is not known: {reason}", name(wanted)))
        }
        (Ok(platforms), Some(wanted)) if platforms.contains(wanted) => {
            (Outcome::Ok, format!("the image is there, with {}", name(wanted)))
        }
        (Ok(platforms), Some(wanted)) => {
            let has: Vec<String> = platforms.iter().map(name).collect();
            let has = if has.is_empty() { "none that is known".to_owned() } else { has.join(", ") };
            (Outcome::Fail, format!("the image has no {}; it has {has}", name(wanted)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockstep_core::images::platform_of;
    use serde_json::json;

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

    #[test]
    fn the_platform_is_the_tasks_and_must_be_in_the_image() {
        let fargate = json!({"requiresCompatibilities": ["FARGATE"]});
        let amd = Platform { os: "linux".into(), architecture: "amd64".into() };
        let arm = Platform { architecture: "arm64".into(), ..amd.clone() };
        assert_eq!(platform_of(&fargate), Some(amd.clone()));
        assert_eq!(platform_of(&json!({"runtimePlatform": {"cpuArchitecture": "ARM64"}})), Some(arm.clone()));
        assert_eq!(platform_of(&json!({})), None);
        let image = Image { platforms: Ok(vec![amd.clone()]), labels: Default::default(), artifact: None };
        assert_eq!(judge(&image, Some(&amd)).0, Outcome::Ok);
        assert_eq!(
            judge(&image, Some(&arm)),
            (Outcome::Fail, "the image has no linux/arm64; it has linux/amd64".into())
        );
        assert_eq!(judge(&Image { platforms: Err("x".into()), labels: Default::default(), artifact: None }, Some(&arm)).0, Outcome::Skip);
    }
}
