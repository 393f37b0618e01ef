//! The grammar of names, and which registry an image's name means. Only what fits the grammar gets into a URL.

/// Where images without a registry are.
pub(super) const DOCKER: &str = "docker.io";
const LONGEST_REPOSITORY: usize = 255;
const LONGEST_TAG: usize = 128;

/// Splits an image's name, without tag and digest, into registry and repository as Docker does: `nginx` is
/// `library/nginx` of `docker.io`. The first part is a registry where it has a dot or a colon, or is `localhost`.
pub fn split(image_without_tag: &str) -> (String, String) {
    let (host, repository) = match image_without_tag.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => (host, rest),
        _ => (DOCKER, image_without_tag),
    };
    let host = if host == "index.docker.io" { DOCKER } else { host };
    let official = host == DOCKER && !repository.contains('/');
    (host.to_owned(), if official { format!("library/{repository}") } else { repository.to_owned() })
}

/// Whether a text is a repository's name.
pub(super) fn is_repository(text: &str) -> bool {
    text.len() <= LONGEST_REPOSITORY && text.split('/').all(is_component)
}

/// Small letters and digits, with single separators between: `.`, `_`, `__`, or any number of `-`.
fn is_component(text: &str) -> bool {
    let is_plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    let is_separator = |text: &str| matches!(text, "." | "_" | "__") || text.chars().all(|letter| letter == '-');
    text.starts_with(is_plain) && text.ends_with(is_plain) && text.split(is_plain).all(is_separator)
}

/// Whether a text is a tag.
pub(super) fn is_tag(text: &str) -> bool {
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    text.len() <= LONGEST_TAG
        && text.starts_with(is_word)
        && text.chars().all(|letter| is_word(letter) || matches!(letter, '.' | '-'))
}

/// Whether a text is a digest of the only kind that is understood.
pub(super) fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    })
}

/// The digest of some bytes.
pub(super) fn digest_of(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    use std::fmt::Write;
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_as_docker_splits_them() {
        for (image, host, repository) in [
            ("nginx", "docker.io", "library/nginx"),
            ("team/app", "docker.io", "team/app"),
            ("docker.io/nginx", "docker.io", "library/nginx"),
            ("docker.io/team/app", "docker.io", "team/app"),
            ("index.docker.io/nginx", "docker.io", "library/nginx"),
            ("localhost/app", "localhost", "app"),
            ("localhost:5000/a/b", "localhost:5000", "a/b"),
            ("ghcr.io/owner/app", "ghcr.io", "owner/app"),
            ("registry:5000/app", "registry:5000", "app"),
            ("[::1]:5000/app", "[::1]:5000", "app"),
            ("a/b/c.d", "docker.io", "a/b/c.d"),
        ] {
            assert_eq!(split(image), (host.to_owned(), repository.to_owned()), "{image}");
        }
    }

    #[test]
    fn repositories_follow_the_grammar() {
        for name in ["a", "team/app", "a/b/c/d", "a.b_c__d-e--f", "0/1"] {
            assert!(is_repository(name), "{name}");
        }
        let long = format!("a{}", "/b".repeat(128));
        for name in [
            "", "/", "a/", "/a", "a//b", "A", "a..b", "a___b", "a._b", "..", "a/../b", "-a", "a-", "a?b", "a%2fb", "ä",
            &long,
        ] {
            assert!(!is_repository(name), "{name}");
        }
    }

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
        assert_eq!(digest_of(b""), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
