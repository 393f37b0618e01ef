//! Images that the sandbox makes up: small, but whole, with true digests.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::behaviour::Behaviour;
use crate::ids::digest_of;

/// A new image.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewImage {
    /// What it does when a task runs it.
    pub behaviour: Behaviour,
    /// The labels of its configuration.
    pub labels: BTreeMap<String, String>,
    /// Its architectures. None means `amd64`; several make an index with a manifest for each, and an attestation.
    pub architectures: Vec<String>,
}

/// What tells the image of a tag from all others, where an image exists as soon as it is named.
pub(crate) fn made_up(repository: &str, tag: &str) -> String {
    format!("{repository}:{tag}")
}

/// The digest of such an image.
pub(crate) fn made_up_digest(repository: &str, tag: &str) -> String {
    let documents = NewImage::default().documents(&made_up(repository, tag));
    documents.manifests.last().map(|(manifest, _)| digest_of(manifest)).unwrap_or_default()
}

/// The documents of an image.
#[derive(Debug, Default)]
pub(super) struct Documents {
    /// Configurations and layers.
    pub(super) blobs: Vec<String>,
    /// The text and the media type of each manifest; the last one is the image as a whole.
    pub(super) manifests: Vec<(String, &'static str)>,
}

pub(super) const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

impl NewImage {
    /// Its documents. `unique` tells it from all others.
    pub(super) fn documents(&self, unique: &str) -> Documents {
        let mut documents = Documents::default();
        if self.architectures.len() < 2 {
            let architecture = self.architectures.first().map_or("amd64", String::as_str);
            documents.add(&self.config(architecture), unique, [MANIFEST, CONFIG, LAYER]);
            return documents;
        }
        let mut entries = Vec::new();
        for architecture in &self.architectures {
            let layer = format!("{unique} {architecture}");
            let mut entry = documents.add(&self.config(architecture), &layer, [OCI_MANIFEST, OCI_CONFIG, OCI_LAYER]);
            entry["platform"] = json!({ "architecture": architecture, "os": "linux" });
            entries.push(entry);
        }
        let attestation = documents.attest(&entries[0]);
        entries.push(attestation);
        let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries });
        documents.manifests.push((index.to_string(), OCI_INDEX));
        documents
    }

    fn config(&self, architecture: &str) -> Value {
        let mut config = json!({ "architecture": architecture, "os": "linux" });
        if !self.labels.is_empty() {
            config["config"] = json!({ "Labels": self.labels });
        }
        config
    }
}

impl Documents {
    /// Adds a manifest of one configuration and one layer. Returns its entry for an index.
    fn add(&mut self, config: &Value, layer: &str, [manifest, config_type, layer_type]: [&'static str; 3]) -> Value {
        let mut config = config.clone();
        config["rootfs"] = json!({ "type": "layers", "diff_ids": [digest_of(layer)] });
        let layer = self.blob(layer.to_owned(), layer_type);
        let config = self.blob(config.to_string(), config_type);
        self.manifest(
            &json!({ "schemaVersion": 2, "mediaType": manifest, "config": config, "layers": [layer] }),
            manifest,
        )
    }

    /// Adds what a builder says of an image, in the form of a manifest for a platform that nobody has.
    fn attest(&mut self, subject: &Value) -> Value {
        const STATEMENT: &str = "application/vnd.in-toto+json";
        const PREDICATE: &str = "https://slsa.dev/provenance/v0.2";
        let digest = subject["digest"].as_str().unwrap_or_default();
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v0.1",
            "predicateType": PREDICATE,
            "subject": [{ "name": "image", "digest": { "sha256": digest.trim_start_matches("sha256:") } }],
            "predicate": {},
        })
        .to_string();
        let config = json!({
            "architecture": "unknown", "os": "unknown", "config": {},
            "rootfs": { "type": "layers", "diff_ids": [digest_of(&statement)] },
        });
        let mut layer = self.blob(statement, STATEMENT);
        layer["annotations"] = json!({ "in-toto.io/predicate-type": PREDICATE });
        let config = self.blob(config.to_string(), OCI_CONFIG);
        let manifest = json!({ "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [layer] });
        let mut entry = self.manifest(&manifest, OCI_MANIFEST);
        entry["annotations"] = json!({
            "vnd.docker.reference.digest": digest,
            "vnd.docker.reference.type": "attestation-manifest",
        });
        entry["platform"] = json!({ "architecture": "unknown", "os": "unknown" });
        entry
    }

    fn blob(&mut self, text: String, media_type: &str) -> Value {
        let entry = descriptor(&text, media_type);
        self.blobs.push(text);
        entry
    }

    fn manifest(&mut self, manifest: &Value, media_type: &'static str) -> Value {
        let text = manifest.to_string();
        let entry = descriptor(&text, media_type);
        self.manifests.push((text, media_type));
        entry
    }
}

fn descriptor(text: &str, media_type: &str) -> Value {
    json!({ "mediaType": media_type, "size": text.len(), "digest": digest_of(text) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_architectures_make_an_index() {
        let image = NewImage { architectures: vec!["amd64".to_owned(), "arm64".to_owned()], ..NewImage::default() };
        let documents = image.documents("1");
        assert_eq!((documents.blobs.len(), documents.manifests.len()), (6, 4));
        let index: Value = serde_json::from_str(&documents.manifests[3].0).unwrap();
        let platforms: Vec<&Value> =
            index["manifests"].as_array().unwrap().iter().map(|entry| &entry["platform"]["architecture"]).collect();
        assert_eq!(platforms, ["amd64", "arm64", "unknown"]);
        assert_eq!(index["manifests"][1]["digest"], digest_of(&documents.manifests[1].0));
        assert_ne!(documents.manifests[3].0, image.documents("2").manifests[3].0);
    }
}
