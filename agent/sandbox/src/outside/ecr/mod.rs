//! Private image registries (Amazon ECR).

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use serde_json::{Value, json};

use crate::behaviour::Behaviour;
use crate::clock::Moment;
use crate::ids::digest_of;
use crate::place::Place;

mod events;
mod made;
mod operations;

use made::MANIFEST;
pub use made::NewImage;
pub(crate) use made::made_up_digest;
pub(crate) use operations::run;

/// The registry of one account in one region.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    repositories: BTreeMap<String, Repository>,
}

#[derive(Debug)]
struct Repository {
    created_at: Moment,
    mutability: String,
    images: IndexMap<String, Image>,
    /// Configurations and layers of made-up images, by digest.
    blobs: BTreeMap<String, String>,
}

/// What an image is made of.
pub(crate) struct Copied {
    images: Vec<(String, Image)>,
    blobs: BTreeMap<String, String>,
}

#[derive(Clone, Debug)]
struct Image {
    manifest: String,
    media_type: String,
    pushed_at: Moment,
    tags: BTreeSet<String>,
    behaviour: Behaviour,
}

/// The digests of a pushed image.
pub(crate) struct Pushed {
    /// Those of the manifests that an index is made of.
    pub(crate) parts: Vec<String>,
    pub(crate) whole: String,
}

impl Registry {
    pub(crate) fn create(&mut self, name: &str, mutability: &str, now: Moment) -> bool {
        if self.repositories.contains_key(name) {
            return false;
        }
        let repository = Repository {
            created_at: now,
            mutability: mutability.to_owned(),
            images: IndexMap::new(),
            blobs: BTreeMap::new(),
        };
        self.repositories.insert(name.to_owned(), repository);
        true
    }

    /// Pushes a made-up image: each `unique` gives new digests, and the tag moves to it.
    pub(crate) fn push(&mut self, name: &str, tag: &str, unique: &str, image: &NewImage, now: Moment) -> Pushed {
        self.create(name, "MUTABLE", now);
        let documents = image.documents(unique);
        let mut parts: Vec<String> = documents.manifests.iter().map(|(manifest, _)| digest_of(manifest)).collect();
        let whole = parts.pop().expect("an image has a manifest");
        if let Some(repository) = self.repositories.get_mut(name) {
            repository.blobs.extend(documents.blobs.into_iter().map(|blob| (digest_of(&blob), blob)));
            for (manifest, media_type) in documents.manifests {
                let digest = digest_of(&manifest);
                let tag = (digest == whole).then_some(tag);
                repository.insert(&digest, manifest, media_type.to_owned(), tag, now);
                repository.images[&digest].behaviour = image.behaviour.clone();
            }
        }
        Pushed { parts, whole }
    }

    /// The image of a tag with its digest, and everything that it is made of.
    pub(crate) fn copy(&self, name: &str, tag: &str) -> Option<(String, Copied)> {
        let repository = self.repositories.get(name)?;
        let (digest, _) = repository.tagged(tag)?;
        let is_part = |image: &Image| image.tags.is_empty() || image.tags.contains(tag);
        let image = |image: &Image| {
            let tags = image.tags.iter().filter(|other| *other == tag).cloned().collect();
            Image { tags, ..image.clone() }
        };
        let images = repository.images.iter().filter(|(_, other)| is_part(other));
        let images = images.map(|(digest, other)| (digest.clone(), image(other))).collect();
        Some((digest.clone(), Copied { images, blobs: repository.blobs.clone() }))
    }

    /// Adds what was copied elsewhere.
    pub(crate) fn paste(&mut self, name: &str, copied: Copied, now: Moment) {
        self.create(name, "MUTABLE", now);
        let Some(repository) = self.repositories.get_mut(name) else { return };
        repository.blobs.extend(copied.blobs);
        for (digest, image) in copied.images {
            let tag = image.tags.first().cloned();
            repository.insert(&digest, image.manifest, image.media_type, tag.as_deref(), now);
            repository.images[&digest].behaviour = image.behaviour;
        }
    }

    /// A configuration or layer.
    pub(crate) fn blob(&self, repository: &str, digest: &str) -> Option<&str> {
        self.repositories.get(repository)?.blobs.get(digest).map(String::as_str)
    }

    /// The image of a tag or digest. Without either, the tag `latest`.
    pub(crate) fn find(&self, name: &str, tag: Option<&str>, digest: Option<&str>) -> Option<(String, Behaviour)> {
        let repository = self.repositories.get(name)?;
        let (digest, image) = match digest {
            Some(digest) => repository.images.get_key_value(digest)?,
            None => repository.tagged(tag.unwrap_or("latest"))?,
        };
        Some((digest.clone(), image.behaviour.clone()))
    }

    /// Attaches a behaviour to an existing image, by tag or digest.
    pub(crate) fn set_behaviour(
        &mut self,
        name: &str,
        tag: Option<&str>,
        digest: Option<&str>,
        behaviour: &Behaviour,
    ) -> bool {
        let Some((digest, _)) = self.find(name, tag, digest) else {
            return false;
        };
        let image = self.repositories.get_mut(name).and_then(|repository| repository.images.get_mut(&digest));
        image.map(|image| image.behaviour = behaviour.clone()).is_some()
    }
}

impl Repository {
    fn tagged(&self, tag: &str) -> Option<(&String, &Image)> {
        self.images.iter().find(|(_, image)| image.tags.contains(tag))
    }

    fn insert(&mut self, digest: &str, manifest: String, media_type: String, tag: Option<&str>, now: Moment) {
        if let Some(tag) = tag {
            self.images.values_mut().for_each(|image| {
                image.tags.remove(tag);
            });
        }
        let image = self.images.entry(digest.to_owned()).or_insert_with(|| Image {
            manifest,
            media_type,
            pushed_at: now,
            tags: BTreeSet::new(),
            behaviour: Behaviour::Ok,
        });
        image.tags.extend(tag.map(str::to_owned));
    }

    fn wire(&self, place: &Place, name: &str) -> Value {
        json!({
            "repositoryArn": place.arn("ecr", format_args!("repository/{name}")),
            "registryId": place.account,
            "repositoryName": name,
            "repositoryUri": format!("{}.dkr.ecr.{}.amazonaws.com/{name}", place.account, place.region),
            "createdAt": self.created_at.wire(),
            "imageTagMutability": self.mutability,
            "imageScanningConfiguration": { "scanOnPush": false },
            "encryptionConfiguration": { "encryptionType": "AES256" },
        })
    }
}

impl Image {
    fn describe(&self, account: &str, repository: &str, digest: &str) -> Value {
        let mut wire = json!({
            "registryId": account,
            "repositoryName": repository,
            "imageDigest": digest,
            "imageSizeInBytes": 10_000_000 + self.manifest.len(),
            "imagePushedAt": self.pushed_at.wire(),
            "imageManifestMediaType": self.media_type,
            "imageStatus": "ACTIVE",
        });
        if !self.tags.is_empty() {
            wire["imageTags"] = json!(self.tags);
        }
        wire
    }
}
