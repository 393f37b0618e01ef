//! References to images in ECR, as task definitions write them.

use super::ImageId;
use lockstep_core::images::EcrRegistry;
use serde_json::Value;

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
    /// Reads `HOST/REPOSITORY[:TAG][@DIGEST]` with one of ECR's hosts; the digest wins, and no tag is `latest`.
    pub(crate) fn parse(written: &str) -> Option<Self> {
        let (host, rest) = written.split_once('/')?;
        let EcrRegistry { account, region } = EcrRegistry::parse(host)?;
        let (named, digest) = rest.split_once('@').map_or((rest, None), |(named, digest)| (named, Some(digest)));
        let (repository, tag) = named.split_once(':').map_or((named, None), |(name, tag)| (name, Some(tag)));
        let reference = digest.or(tag).unwrap_or("latest").to_owned();
        let id = ImageId { account, repository: repository.to_owned(), reference };
        Some(Self { host: host.to_ascii_lowercase(), region, id })
    }

    /// The image of a container of a task definition, where it is in ECR.
    pub(crate) fn of_container(definition: &Value, container: &str) -> Option<Self> {
        let containers = definition.get("containerDefinitions")?.as_array()?;
        let found = containers.iter().find(|it| it.get("name").and_then(Value::as_str) == Some(container))?;
        Self::parse(found.get("image")?.as_str()?)
    }

    /// Whether a container of a task definition has it.
    pub(crate) fn is_in(&self, definition: &Value) -> bool {
        let containers = definition.get("containerDefinitions").and_then(Value::as_array).into_iter().flatten();
        let mut images = containers.filter_map(|it| Self::parse(it.get("image")?.as_str()?));
        images.any(|image| image == *self)
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
        assert_eq!(parse("111111111111.dkr-ecr.EU-central-1.on.aws/web:1"), of("eu-central-1", "web", "1"));
        for other in
            ["nginx:1", "public.ecr.aws/x/y:1", "111111111111.dkr.ecr.evil.example/web", "1.dkr.ecr.eu.amazonaws.com/x"]
        {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
