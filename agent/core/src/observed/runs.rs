//! What a task definition runs, in the words that people use for it: the tags of its images.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Letters of a digest that people are shown.
const DIGEST: usize = 12;

/// A container with its image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerImage {
    /// The container's name.
    pub container: String,
    /// The image, as the task definition has it.
    pub image: String,
    /// Its tag, or the start of its digest where it has none.
    pub tag: String,
}

/// The containers of a task definition with their images.
pub fn images_of(definition: &Value) -> Vec<ContainerImage> {
    let containers = definition.get("containerDefinitions").and_then(Value::as_array);
    let text =
        |container: &Value, name: &str| container.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    containers
        .into_iter()
        .flatten()
        .map(|container| {
            let image = text(container, "image");
            ContainerImage { container: text(container, "name"), tag: tag_of(&image), image }
        })
        .collect()
}

/// What people call an image: its tag, else the start of its digest.
pub fn tag_of(image: &str) -> String {
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    let last = name.rsplit('/').next().unwrap_or(name);
    match (last.split_once(':'), digest) {
        (Some((_, tag)), _) => tag.to_owned(),
        (None, Some(digest)) => {
            let hex = digest.split_once(':').map_or(digest, |(_, hex)| hex);
            hex.chars().take(DIGEST).collect()
        }
        (None, None) => "no tag".to_owned(),
    }
}

/// The tags of images in one word for each: the tag alone where there is one container.
pub fn tags_text(images: &[ContainerImage]) -> String {
    match images {
        [only] => only.tag.clone(),
        more => more.iter().map(|image| format!("{} {}", image.container, image.tag)).collect::<Vec<_>>().join(", "),
    }
}

/// The images that are in `ours` and not in `theirs`; all of ours where none differs.
pub fn differing(ours: &[ContainerImage], theirs: &[ContainerImage]) -> Vec<ContainerImage> {
    let other: Vec<ContainerImage> = ours.iter().filter(|image| !theirs.contains(image)).cloned().collect();
    if other.is_empty() { ours.to_vec() } else { other }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_image_is_called_by_its_tag() {
        for (image, tag) in [
            ("web", "no tag"),
            ("web:1.9.0", "1.9.0"),
            ("registry.example.com:5000/shop/web", "no tag"),
            ("registry.example.com:5000/shop/web:2", "2"),
            ("shop/web:2@sha256:0123456789abcdef", "2"),
            ("shop/web@sha256:0123456789abcdef", "0123456789ab"),
        ] {
            assert_eq!(tag_of(image), tag, "{image}");
        }
    }

    #[test]
    fn only_what_differs_is_named() {
        let of = |tags: [&str; 2]| {
            images_of(&json!({"containerDefinitions": [
                {"name": "api", "image": format!("shop/api:{}", tags[0])},
                {"name": "log", "image": format!("log:{}", tags[1])},
            ]}))
        };
        assert_eq!(tags_text(&of(["3", "1"])), "api 3, log 1");
        assert_eq!(tags_text(&differing(&of(["3", "1"]), &of(["2", "1"]))), "3");
        assert_eq!(tags_text(&differing(&of(["3", "1"]), &of(["3", "1"]))), "api 3, log 1");
        assert_eq!(images_of(&Value::Null), []);
    }
}
