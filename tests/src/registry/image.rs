//! Tiny images, as a directory in the OCI layout.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, path::Path};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// What is in an image. The same makes the same digest.
#[derive(Clone, Debug, Default)]
pub struct ImageSpec {
    /// Platforms such as `linux/amd64`. A single one without an attestation has no index around it.
    pub platforms: Vec<String>,
    /// Labels of each platform's configuration.
    pub labels: BTreeMap<String, String>,
    /// Whether there is an attestation beside each platform, as builders add them.
    pub attestation: bool,
}

impl ImageSpec {
    /// An image for platforms, with nothing else.
    pub fn of(platforms: &[&str]) -> Self {
        Self { platforms: platforms.iter().map(ToString::to_string).collect(), ..Self::default() }
    }

    /// With a label more.
    #[must_use]
    pub fn labelled(mut self, name: &str, value: &str) -> Self {
        self.labels.insert(name.to_owned(), value.to_owned());
        self
    }

    /// With attestations.
    #[must_use]
    pub fn attested(mut self) -> Self {
        self.attestation = true;
        self
    }

    /// Writes the image as a layout with one tag, and answers the digest of what the tag names.
    pub(super) fn write(&self, directory: &Path, tag: &str) -> String {
        let layout = Layout(directory);
        std::fs::create_dir_all(directory.join("blobs/sha256")).expect("a directory can be made");
        std::fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("it can be written");
        let mut entries: Vec<Value> = self.platforms.iter().map(|platform| self.platform(&layout, platform)).collect();
        if self.attestation {
            let about: Vec<Value> = entries.iter().map(|entry| attestation(&layout, entry)).collect();
            entries.extend(about);
        }
        let mut named = match entries.as_slice() {
            [single] => single.clone(),
            _ => layout.json(INDEX, &json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries })),
        };
        named["annotations"] = json!({ "org.opencontainers.image.ref.name": tag });
        let index = json!({ "schemaVersion": 2, "manifests": [named] });
        std::fs::write(directory.join("index.json"), index.to_string()).expect("it can be written");
        named["digest"].as_str().expect("it has a digest").to_owned()
    }

    /// One platform's manifest, as its entry in an index.
    fn platform(&self, layout: &Layout<'_>, platform: &str) -> Value {
        let (os, architecture) = platform.split_once('/').expect("a platform is OS/ARCHITECTURE");
        // An archive of nothing.
        let layer = layout.blob("application/vnd.oci.image.layer.v1.tar", &[0; 1024]);
        let configuration = json!({
            "os": os,
            "architecture": architecture,
            "config": { "Labels": self.labels },
            "rootfs": { "type": "layers", "diff_ids": [layer["digest"]] },
        });
        let configuration = layout.json("application/vnd.oci.image.config.v1+json", &configuration);
        let mut entry = layout.manifest(&configuration, &layer);
        entry["platform"] = json!({ "os": os, "architecture": architecture });
        entry
    }
}

/// An attestation about an entry, with the platform that is none.
fn attestation(layout: &Layout<'_>, about: &Value) -> Value {
    let statement = json!({ "_type": "https://in-toto.io/Statement/v0.1", "subject": [{ "digest": about["digest"] }] });
    let layer = layout.json("application/vnd.in-toto+json", &statement);
    let configuration = json!({
        "os": "unknown",
        "architecture": "unknown",
        "config": {},
        "rootfs": { "type": "layers", "diff_ids": [layer["digest"]] },
    });
    let configuration = layout.json("application/vnd.oci.image.config.v1+json", &configuration);
    let mut entry = layout.manifest(&configuration, &layer);
    entry["platform"] = json!({ "os": "unknown", "architecture": "unknown" });
    entry["annotations"] = json!({
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": about["digest"],
    });
    entry
}

/// A directory that blobs are written to.
struct Layout<'a>(&'a Path);

impl Layout<'_> {
    /// Writes a blob, and answers its descriptor.
    fn blob(&self, media_type: &str, bytes: &[u8]) -> Value {
        let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        std::fs::write(self.0.join("blobs/sha256").join(&hex), bytes).expect("a blob can be written");
        json!({ "mediaType": media_type, "digest": format!("sha256:{hex}"), "size": bytes.len() })
    }

    fn json(&self, media_type: &str, value: &Value) -> Value {
        self.blob(media_type, value.to_string().as_bytes())
    }

    fn manifest(&self, configuration: &Value, layer: &Value) -> Value {
        let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": configuration, "layers": [layer] });
        self.json(MANIFEST, &manifest)
    }
}
