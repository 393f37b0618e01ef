//! Pins: the tag and digest of a container's image in an environment, one scalar a container in a file of its own.

use crate::{codes, diagnostic::Diagnostic, node::Node, source::Span, substitute::substitution_ranges};

/// A pin that was read: the container, what it says, and where.
#[derive(Clone, Debug)]
pub struct Pin {
    /// The container's name.
    pub container: String,
    /// `TAG`, `TAG@DIGEST`, `@DIGEST` or a full reference.
    pub text: String,
    /// Where the container's name stands.
    pub key: Span,
    /// Where the value stands.
    pub span: Span,
}

/// Reads a pins file.
pub fn read(node: &Node, problems: &mut Vec<Diagnostic>) -> Vec<Pin> {
    let Some(map) = node.as_map() else {
        problems.push(Diagnostic::error(codes::PIN, &node.span, "a pins file is a map from container to pin"));
        return Vec::new();
    };
    let mut pins = Vec::new();
    for (container, entry) in map {
        match entry.node.scalar_text() {
            Some(text) if is_pin(&text) => {
                pins.push(Pin {
                    container: container.clone(),
                    text,
                    key: entry.key.clone(),
                    span: entry.node.span.clone(),
                });
            }
            Some(text) => {
                let message = format!("`{text}` is not a pin");
                let hint = "write TAG, TAG@sha256:DIGEST, @sha256:DIGEST or a full image reference";
                problems.push(Diagnostic::error(codes::PIN, &entry.node.span, message).hint(hint));
            }
            None => {
                let message = format!("the pin of `{container}` must be a text, not {}", entry.node.kind());
                problems.push(Diagnostic::error(codes::PIN, &entry.node.span, message));
            }
        }
    }
    pins
}

pub(crate) fn is_pin(text: &str) -> bool {
    if text.contains('/') {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/:@".contains(&byte));
        return is_plain && !text.starts_with('/') && !text.ends_with('/');
    }
    let (tag, digest) = text.split_once('@').map_or((text, None), |(tag, digest)| (tag, Some(digest)));
    (tag.is_empty() || is_tag(tag)) && digest.is_none_or(is_digest) && !(tag.is_empty() && digest.is_none())
}

/// Whether this can be a tag, by the distribution specification.
pub fn is_tag(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 128
        && !text.starts_with(['.', '-'])
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// Whether this is a digest: `sha256:` and 64 hexadecimal digits.
pub fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    })
}

/// The image with the pin's tag and digest in place of its own; a full reference replaces the whole.
pub fn apply(image: &str, pin: &str) -> String {
    if pin.contains('/') {
        return pin.to_owned();
    }
    let repository = repository(image);
    match pin.strip_prefix('@') {
        Some(_) => format!("{repository}{pin}"),
        None => format!("{repository}:{pin}"),
    }
}

/// The image without tag and digest. Substitutions in it are left alone.
pub fn repository(image: &str) -> &str {
    let mut hidden = substitution_ranges(image).into_iter().peekable();
    // Where the last part of the path begins, and the first colon in it.
    let (mut colon, mut end) = (None, image.len());
    for (at, letter) in image.char_indices() {
        while hidden.next_if(|range| range.end <= at).is_some() {}
        if hidden.peek().is_some_and(|range| range.contains(&at)) {
            continue;
        }
        match letter {
            '@' => {
                end = at;
                break;
            }
            '/' => colon = None,
            ':' if colon.is_none() => colon = Some(at),
            _ => {}
        }
    }
    &image[..colon.unwrap_or(end)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_digests_follow_the_grammar() {
        for tag in ["1.2.0", "_a", "v1-B_c", &"a".repeat(128)] {
            assert!(is_tag(tag), "{tag}");
        }
        for tag in ["", ".", "..", "-a", "a/b", "a:b", "a b", "a\n", "ä", &"a".repeat(129)] {
            assert!(!is_tag(tag), "{tag}");
        }
        let hex = "0123456789abcdef".repeat(4);
        assert!(is_digest(&format!("sha256:{hex}")));
        for digest in
            [hex.clone(), format!("sha512:{hex}"), format!("sha256:{}", hex.to_uppercase()), format!("sha256:{hex}0")]
        {
            assert!(!is_digest(&digest), "{digest}");
        }
    }

    #[test]
    fn a_pin_replaces_tag_and_digest() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (image, pin, expected) in [
            ("nginx", "1.27", "nginx:1.27".to_owned()),
            ("localhost:5000/a/b:1@sha256:0", "2", "localhost:5000/a/b:2".to_owned()),
            (
                "${{ account }}.dkr.ecr.${{ region }}.amazonaws.com/web:1",
                "1.10",
                "${{ account }}.dkr.ecr.${{ region }}.amazonaws.com/web:1.10".to_owned(),
            ),
            ("${{ ssm:/image }}:1", "2", "${{ ssm:/image }}:2".to_owned()),
            ("web:1", "other.example/web:3", "other.example/web:3".to_owned()),
            ("web:1", &format!("@{digest}"), format!("web@{digest}")),
            ("web:1", &format!("2@{digest}"), format!("web:2@{digest}")),
        ] {
            assert_eq!(apply(image, pin), expected);
        }
        for bad in ["", "a b", "x@sha256:12", "-x", "@", "a/"] {
            assert!(!is_pin(bad), "{bad}");
        }
    }
}
