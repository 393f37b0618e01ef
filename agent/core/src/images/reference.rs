//! Image references, as task definitions and pins write them.

use lockstep_manifests::pins;
use std::fmt;

/// A reference to an image: the repository with its registry, and what is taken from it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageReference {
    /// The repository as it is written, with the registry's host where there is one.
    pub repository: String,
    /// The tag.
    pub tag: Option<String>,
    /// The digest with its `sha256:`. It decides where both are there.
    pub digest: Option<String>,
}

impl ImageReference {
    /// Reads `REPOSITORY[:TAG][@DIGEST]`.
    pub fn parse(image: &str) -> Self {
        let repository = pins::repository(image);
        let rest = &image[repository.len()..];
        let (tag, digest) = rest.split_once('@').map_or((rest, None), |(tag, digest)| (tag, Some(digest)));
        let tag = tag.strip_prefix(':').filter(|tag| !tag.is_empty());
        Self { repository: repository.to_owned(), tag: tag.map(str::to_owned), digest: digest.map(str::to_owned) }
    }

    /// Tag and digest without the repository, in a pin's form; none where there are neither.
    pub fn pin(&self) -> Option<String> {
        match (&self.tag, &self.digest) {
            (Some(tag), Some(digest)) => Some(format!("{tag}@{digest}")),
            (Some(tag), None) => Some(tag.clone()),
            (None, Some(digest)) => Some(format!("@{digest}")),
            (None, None) => None,
        }
    }

    /// What becomes of this one, for people: by the tags, and by the digests where the tag stays.
    pub fn change_to(&self, new: &Self) -> String {
        let digest = |image: &Self| image.digest.as_deref().map(|digest| short_digest(digest).to_owned());
        let old = if self.pin().is_none() { "no pin".to_owned() } else { self.short() };
        match (self.short() == new.short(), digest(self), digest(new)) {
            (true, Some(from), Some(to)) if self.tag.is_some() => format!("{} {from} → {to}", new.short()),
            (true, None, Some(to)) => format!("{old} → {to}"),
            _ => format!("{old} → {}", new.short()),
        }
    }

    /// The tag, else the digest cut to what tells it from others: for people.
    pub fn short(&self) -> String {
        match (&self.tag, &self.digest) {
            (Some(tag), _) => tag.clone(),
            (None, Some(digest)) => short_digest(digest).to_owned(),
            (None, None) => "latest".to_owned(),
        }
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.repository)?;
        match self.pin() {
            Some(pin) if pin.starts_with('@') => formatter.write_str(&pin),
            Some(pin) => write!(formatter, ":{pin}"),
            None => Ok(()),
        }
    }
}

/// `sha256:` and the first 12 digits.
pub(super) fn short_digest(digest: &str) -> &str {
    digest.get(..19).unwrap_or(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_read_and_print_the_same() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (text, pin) in [
            ("nginx", None),
            ("nginx:1.27", Some("1.27")),
            ("localhost:5000/a/b", None),
            ("localhost:5000/a/b:x", Some("x")),
            (&format!("a.example/b:1.2@{digest}"), Some(format!("1.2@{digest}").as_str())),
            (&format!("a.example/b@{digest}"), Some(format!("@{digest}").as_str())),
        ] {
            let reference = ImageReference::parse(text);
            assert_eq!(reference.to_string(), text);
            assert_eq!(reference.pin().as_deref(), pin, "{text}");
        }
    }
}
