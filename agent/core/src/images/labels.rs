//! What an image's labels say of where it comes from. They are anybody's text: one line, cut, and links only where they
//! are links.

use crate::mask;
use std::collections::BTreeMap;

/// Longest text that is taken from a label, in bytes.
const LONGEST: usize = 300;

/// Source commit and links of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// The commit that it was built from.
    pub revision: Option<String>,
    /// The repository that it was built from, or the commit in it where that can be told.
    pub source: Option<String>,
    /// Where its changes are told.
    pub changelog: Option<String>,
}

impl Labels {
    /// Reads the labels (or annotations) of an image, as the OCI image specification names them.
    pub fn read(labels: &BTreeMap<String, String>) -> Self {
        // What looks secret does not go into Git.
        let is_open = |text: &str| mask::line(text) == text;
        let first = |names: &[&str], accept: fn(&str) -> bool| {
            names
                .iter()
                .find_map(|name| labels.get(*name).map(|text| text.trim()).filter(|text| accept(text) && is_open(text)))
                .map(str::to_owned)
        };
        let revision = first(&["org.opencontainers.image.revision", "org.label-schema.vcs-ref"], is_revision);
        let source = first(&["org.opencontainers.image.source", "org.label-schema.vcs-url"], is_link);
        let changelog = first(
            &[
                "org.opencontainers.image.changelog",
                "org.opencontainers.image.documentation",
                "org.opencontainers.image.url",
            ],
            is_link,
        );
        Self { revision, source, changelog }
    }

    /// The link to the source commit, in the form that GitHub, GitLab, Gitea and Bitbucket share.
    pub fn commit_link(&self) -> Option<String> {
        let (source, revision) = (self.source.as_ref()?, self.revision.as_ref()?);
        if source.contains(['?', '#']) {
            return None;
        }
        let base = source.trim_end_matches('/').trim_end_matches(".git");
        let path = if base.starts_with("https://bitbucket.org/") { "commits" } else { "commit" };
        Some(format!("{base}/{path}/{revision}"))
    }
}

fn is_revision(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// An address of the web without anything that could be taken for something else in a message.
fn is_link(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    text.len() <= LONGEST
        && !authority.is_empty()
        && !authority.contains('@')
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\"`\\^{|}".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Labels {
        Labels::read(&pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect())
    }

    // H12
    #[test]
    fn what_looks_secret_is_left_out() {
        let secret = "https://example.com/notes?token=abcdefgh12345678";
        let labels = read(&[
            ("org.opencontainers.image.revision", "ghp_0123456789abcdefghijABCDEFGHIJ012345"),
            ("org.opencontainers.image.documentation", secret),
            ("org.opencontainers.image.url", "https://example.com/notes"),
        ]);
        assert_eq!(labels, Labels { changelog: Some("https://example.com/notes".into()), ..Labels::default() });
    }

    #[test]
    fn labels_give_a_commit_and_links() {
        let labels = read(&[
            ("org.opencontainers.image.revision", "0af1234"),
            ("org.opencontainers.image.source", "https://git.example.com/shop/checkout.git"),
            ("org.opencontainers.image.url", "https://shop.example.com/changes"),
        ]);
        assert_eq!(labels.commit_link().as_deref(), Some("https://git.example.com/shop/checkout/commit/0af1234"));
        assert_eq!(labels.changelog.as_deref(), Some("https://shop.example.com/changes"));
    }

    #[test]
    fn a_label_is_no_way_to_write_into_the_message() {
        for text in [
            "https://x.example/\nLockstep-Image: evil",
            "javascript:alert(1)",
            "https://user:secret@x.example/",
            "https://",
            "https://x.example/ two",
            "git@github.com:a/b",
        ] {
            assert_eq!(read(&[("org.opencontainers.image.source", text)]), Labels::default(), "{text:?}");
        }
        for text in ["", "a b", "a\nb", &"a".repeat(65)] {
            assert_eq!(read(&[("org.opencontainers.image.revision", text)]), Labels::default(), "{text:?}");
        }
    }
}
