//! The grammar of names, and which registry an image's name means. Only what fits the grammar gets into a URL.

/// Where images without a registry are.
pub(super) const DOCKER: &str = "docker.io";
const LONGEST_REPOSITORY: usize = 255;

/// Splits an image's name, without tag and digest, into registry and repository as Docker does: `nginx` is
/// `library/nginx` of `docker.io`. The first part is a registry where it has a dot or a colon, or is `localhost`.
pub fn split(image_without_tag: &str) -> (String, String) {
    let (host, repository) = match image_without_tag.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => (host, rest),
        _ => (DOCKER, image_without_tag),
    };
    // Host names have no case.
    let host = match host.to_ascii_lowercase() {
        host if host == "index.docker.io" => DOCKER.to_owned(),
        host => host,
    };
    let official = host == DOCKER && !repository.contains('/');
    (host, if official { format!("library/{repository}") } else { repository.to_owned() })
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

/// The digest of some bytes.
pub(crate) fn digest_of(bytes: &[u8]) -> String {
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
            ("Registry.Example.com:5000/app", "registry.example.com:5000", "app"),
            ("Index.docker.io/nginx", "docker.io", "library/nginx"),
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
    fn digests_are_sha256() {
        assert_eq!(digest_of(b""), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
