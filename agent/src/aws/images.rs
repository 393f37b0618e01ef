//! Images in ECR: the tags of a repository, and what an image is.

use super::{AwsError, Clients, address::may_download, error::Remedy, pace::Group, pages::Pages};
use aws_sdk_ecr::types::{DescribeImagesFilter, ImageDetail, ImageIdentifier, TagStatus};
use lockstep_manifests::{pins::is_digest, updates::Platform};
use serde_json::Value;
use std::collections::BTreeMap;

/// Images that DescribeImages answers at once.
const PAGE: i32 = 1000;
/// Most images of a repository that are read: ECR's own limit.
const MOST_IMAGES: usize = 100_000;
/// Longest image configuration that is read, in bytes.
const LONGEST_CONFIGURATION: usize = 1024 * 1024;
/// Manifests that are understood: indexes before single ones.
const MANIFESTS: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];
/// What the configuration of an image is.
const CONFIGURATIONS: [&str; 2] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];

/// An image in a repository of ECR.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageId {
    /// The registry: an account.
    pub account: String,
    /// The repository.
    pub repository: String,
    /// The tag, or the digest with its `sha256:`.
    pub reference: String,
}

/// A tag of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagEntry {
    /// The tag.
    pub tag: String,
    /// What it points at.
    pub digest: String,
    /// When the image was pushed, epoch seconds.
    pub pushed_at: Option<i64>,
    /// What it is, where it is not an image.
    pub artifact: Option<String>,
}

/// An image that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The platforms that it has; none where that could not be read, for this reason.
    pub platforms: Result<Vec<Platform>, String>,
    /// Its labels, or the annotations of an index.
    pub labels: BTreeMap<String, String>,
    /// The digests of an index's images; attestations are not among them.
    pub parts: Vec<String>,
    /// What it is, where it is not an image.
    pub artifact: Option<String>,
    /// Whether the platforms are missing because a read failed, and not because nothing names them.
    pub failed: bool,
}

impl Image {
    /// An image whose configuration could not be read.
    pub(crate) fn unread(reason: String, labels: BTreeMap<String, String>) -> Self {
        Self { platforms: Err(reason), labels, parts: Vec::new(), artifact: None, failed: true }
    }
}

/// What a manifest says by itself.
pub(crate) enum Contents {
    /// All there is to know.
    Whole(Image),
    /// The rest stands in the configuration of this digest; the annotations are known.
    Configured(String, BTreeMap<String, String>),
}

/// Reads a manifest or an index. Attestations are no platforms.
pub(crate) fn contents(manifest: &Value) -> Contents {
    let labels = texts(manifest.get("annotations"));
    let whole = |platforms, artifact| {
        Contents::Whole(Image { platforms, labels: labels.clone(), parts: Vec::new(), artifact, failed: false })
    };
    if let Some(entries) = manifest.get("manifests").and_then(Value::as_array) {
        let images = entries.iter().filter_map(|entry| Some((platform(entry.get("platform")?)?, entry.get("digest"))));
        let (platforms, digests): (Vec<Platform>, Vec<Option<&Value>>) = images.unzip();
        let digests = digests.into_iter().flatten().filter_map(Value::as_str);
        let parts = digests.filter(|text| is_digest(text)).map(str::to_owned).collect();
        return Contents::Whole(Image { platforms: Ok(platforms), labels, parts, artifact: None, failed: false });
    }
    let media_type = manifest.pointer("/config/mediaType").and_then(Value::as_str);
    if let Some(other) = media_type.filter(|media_type| !CONFIGURATIONS.contains(media_type)) {
        return whole(Ok(Vec::new()), Some(one_line(other)));
    }
    match manifest.pointer("/config/digest").and_then(Value::as_str) {
        Some(digest) => Contents::Configured(digest.to_owned(), labels),
        None => whole(Err("its manifest is of an old form".to_owned()), None),
    }
}

/// An image by its configuration.
pub(crate) fn configured(configuration: &[u8], annotations: BTreeMap<String, String>) -> Image {
    let Ok(configuration) = serde_json::from_slice::<Value>(configuration) else {
        let reason = Err("its configuration is not JSON".to_owned());
        return Image { platforms: reason, labels: annotations, parts: Vec::new(), artifact: None, failed: false };
    };
    let platforms = platform(&configuration).ok_or_else(|| "its configuration names no platform".to_owned());
    let mut labels = texts(configuration.pointer("/config/Labels"));
    labels.extend(annotations);
    Image {
        platforms: platforms.map(|platform| vec![platform]),
        labels,
        parts: Vec::new(),
        artifact: None,
        failed: false,
    }
}

fn texts(map: Option<&Value>) -> BTreeMap<String, String> {
    let pairs = map.and_then(Value::as_object).into_iter().flatten();
    pairs.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

fn one_line(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(100).collect()
}

/// A platform as index entries and configurations write it. Attestations have `unknown` for one.
fn platform(value: &Value) -> Option<Platform> {
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let platform = Platform { os: text("os")?, architecture: text("architecture")? };
    (platform.os != "unknown").then_some(platform)
}

/// Tags that cosign and others give to what belongs to an image: `sha256-DIGEST.sig`.
pub(crate) fn attached(tag: &str) -> Option<String> {
    let hex = tag.strip_prefix("sha256-")?;
    let is_digest = hex.len() >= 64 && hex.bytes().take(64).all(|byte| byte.is_ascii_hexdigit());
    is_digest.then(|| "what belongs to another image: a signature or an attestation".to_owned())
}

/// An image by its digest, else by its tag.
fn identifier(id: &ImageId) -> ImageIdentifier {
    let by = ImageIdentifier::builder();
    match id.reference.starts_with("sha256:") {
        true => by.image_digest(&id.reference).build(),
        false => by.image_tag(&id.reference).build(),
    }
}

impl Clients {
    /// All tags of a repository: one call for each thousand of its tagged images.
    ///
    /// # Errors
    /// As a call fails.
    pub async fn image_tags(&self, registry: &str, repository: &str) -> Result<Vec<TagEntry>, AwsError> {
        const OPERATION: &str = "ecr:DescribeImages";
        let (mut tags, mut images, mut token) = (Vec::new(), 0, None);
        let mut pages = Pages::of(OPERATION);
        loop {
            self.pace.acquire(Group::Registry).await;
            let answer = self
                .ecr
                .describe_images()
                .registry_id(registry)
                .repository_name(repository)
                .filter(DescribeImagesFilter::builder().tag_status(TagStatus::Tagged).build())
                .max_results(PAGE)
                .set_next_token(token)
                .send()
                .await
                .map_err(|error| AwsError::from_sdk(OPERATION, &error))?;
            images += answer.image_details().len();
            tags.extend(answer.image_details().iter().flat_map(entries));
            token = pages.next(answer.next_token())?;
            if token.is_none() {
                return Ok(tags);
            }
            if images > MOST_IMAGES {
                return Err(AwsError::forbidden(OPERATION, &"the repository has too many images"));
            }
        }
    }

    /// What one tag points at. None where there is no such tag.
    ///
    /// # Errors
    /// As the call fails; a repository that is not there is an error.
    pub async fn image_tag(&self, registry: &str, repository: &str, tag: &str) -> Result<Option<TagEntry>, AwsError> {
        self.pace.acquire(Group::Registry).await;
        let answer = self
            .ecr
            .describe_images()
            .registry_id(registry)
            .repository_name(repository)
            .image_ids(ImageIdentifier::builder().image_tag(tag).build())
            .send()
            .await;
        match answer.map_err(|error| AwsError::from_sdk("ecr:DescribeImages", &error)) {
            Ok(answer) => Ok(answer.image_details().iter().flat_map(entries).find(|entry| entry.tag == tag)),
            Err(error) if error.code == "ImageNotFoundException" => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// When an image was pushed, epoch seconds; none where that is not told.
    ///
    /// # Errors
    /// As the call fails; an image that is not there is an error.
    pub async fn image_pushed_at(&self, id: &ImageId) -> Result<Option<i64>, AwsError> {
        self.pace.acquire(Group::Registry).await;
        let answer = self
            .ecr
            .describe_images()
            .registry_id(&id.account)
            .repository_name(&id.repository)
            .image_ids(identifier(id))
            .send()
            .await
            .map_err(|error| AwsError::from_sdk("ecr:DescribeImages", &error))?;
        Ok(answer.image_details().iter().filter_map(|image| image.image_pushed_at()).map(|at| at.secs()).max())
    }

    /// Looks an image up. None where there is no such image, or no such repository.
    ///
    /// # Errors
    /// As the call fails.
    pub async fn image(&self, id: &ImageId) -> Result<Option<Image>, AwsError> {
        const OPERATION: &str = "ecr:BatchGetImage";
        self.pace.acquire(Group::Registry).await;
        let answer = self
            .ecr
            .batch_get_image()
            .registry_id(&id.account)
            .repository_name(&id.repository)
            .image_ids(identifier(id))
            .set_accepted_media_types(Some(MANIFESTS.map(str::to_owned).to_vec()))
            .send()
            .await;
        let answer = match answer.map_err(|error| AwsError::from_sdk(OPERATION, &error)) {
            Ok(answer) => answer,
            Err(error) if error.remedy == Remedy::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(image) = answer.images().first() else { return Ok(None) };
        let manifest: Value = serde_json::from_str(image.image_manifest().unwrap_or_default()).unwrap_or_default();
        Ok(Some(match contents(&manifest) {
            Contents::Whole(image) => image,
            Contents::Configured(digest, labels) => match self.configuration(id, &digest).await {
                Ok(bytes) => configured(&bytes, labels),
                Err(reason) => Image::unread(reason, labels),
            },
        }))
    }

    /// The configuration of an image without an index.
    async fn configuration(&self, id: &ImageId, digest: &str) -> Result<Vec<u8>, String> {
        const OPERATION: &str = "ecr:GetDownloadUrlForLayer";
        let answer = self
            .ecr
            .get_download_url_for_layer()
            .registry_id(&id.account)
            .repository_name(&id.repository)
            .layer_digest(digest)
            .send()
            .await
            .map_err(|error| AwsError::from_sdk(OPERATION, &error).to_string())?;
        let url = answer.download_url().ok_or("ECR names no address for its configuration")?;
        let url = may_download(url, self.config.endpoint_url())
            .ok_or("ECR names an address for its configuration that is not one of AWS's")?;
        let fail = |error: reqwest::Error| format!("its configuration could not be read: {}", error.without_url());
        let mut answer = self.http.get(url).send().await.and_then(reqwest::Response::error_for_status).map_err(fail)?;
        let mut bytes = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(fail)? {
            bytes.extend_from_slice(&part);
            if bytes.len() > LONGEST_CONFIGURATION {
                return Err("its configuration is too long".to_owned());
            }
        }
        if crate::oci::digest_of(&bytes) != digest {
            return Err("its configuration is not the one that its digest says".to_owned());
        }
        Ok(bytes)
    }
}

/// One entry for each tag of an image.
fn entries(image: &ImageDetail) -> impl Iterator<Item = TagEntry> + '_ {
    let digest = image.image_digest().unwrap_or_default();
    let pushed_at = image.image_pushed_at().map(|at| at.secs());
    let foreign = image.artifact_media_type().filter(|media_type| !CONFIGURATIONS.contains(media_type));
    // ECR names the manifest's own type where there is no configuration: an index.
    let foreign = foreign.filter(|media_type| !MANIFESTS.contains(media_type)).map(one_line);
    image.image_tags().iter().filter(move |_| !digest.is_empty()).map(move |tag| TagEntry {
        tag: tag.clone(),
        digest: digest.to_owned(),
        pushed_at,
        artifact: foreign.clone().or_else(|| attached(tag)),
    })
}
