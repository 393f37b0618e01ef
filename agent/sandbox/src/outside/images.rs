//! From an image reference to a digest and a behaviour.

use std::collections::BTreeMap;

use crate::behaviour::Behaviour;
use crate::ids::digest_of;
use crate::outside::{Outside, ecr::made_up_digest};
use crate::place::{Place, is_account};

/// Behaviours by image reference, beside those that registries remember.
#[derive(Debug)]
pub(crate) struct Rules {
    auto_create: bool,
    by_reference: BTreeMap<String, Behaviour>,
}

impl Rules {
    pub(crate) fn new(auto_create: bool) -> Self {
        Self { auto_create, by_reference: BTreeMap::new() }
    }

    /// Whether images of ECR exist as soon as they are named.
    pub(crate) fn are_made_up(&self) -> bool {
        self.auto_create
    }

    pub(crate) fn set(&mut self, reference: &str, behaviour: Behaviour) {
        self.by_reference.insert(reference.to_owned(), behaviour);
    }
}

/// What a pull of an image finds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    /// Absent: the image does not exist.
    pub(crate) digest: Option<String>,
    pub(crate) behaviour: Behaviour,
}

/// An image reference in its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference<'a> {
    /// Everything before the tag or digest.
    pub(crate) name: &'a str,
    pub(crate) tag: Option<&'a str>,
    pub(crate) digest: Option<&'a str>,
}

impl<'a> Reference<'a> {
    pub(crate) fn parse(text: &'a str) -> Self {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => Self { name, tag: Some(tag), digest },
            _ => Self { name: rest, tag: None, digest },
        }
    }

    /// The private registry and the repository, when the host is one of ECR.
    pub(crate) fn ecr(&self) -> Option<(Place, &'a str)> {
        let (host, repository) = self.name.split_once('/')?;
        // The dual-stack name is of the same registry.
        let classic = host.split_once(".dkr.ecr.").map(|parts| (parts, &["amazonaws.com", "amazonaws.com.cn"][..]));
        let dual = || host.split_once(".dkr-ecr.").map(|parts| (parts, &["on.aws"][..]));
        let ((account, rest), domains) = classic.or_else(dual)?;
        let (region, domain) = rest.split_once('.')?;
        let known = domains.contains(&domain);
        (known && is_account(account)).then(|| (Place::new(account, region), repository))
    }
}

impl Outside {
    /// What a task that pulls `image` gets.
    pub(crate) fn pull(&self, image: &str) -> Found {
        let reference = Reference::parse(image);
        let rules = &self.images.by_reference;
        let tagged = reference.tag.map(|tag| format!("{}:{tag}", reference.name));
        let pinned = reference.digest.map(|digest| format!("{}@{digest}", reference.name));
        let rule = rules
            .get(image)
            .or_else(|| pinned.and_then(|text| rules.get(&text)))
            .or_else(|| tagged.and_then(|text| rules.get(&text)))
            .or_else(|| rules.get(reference.name));
        let mut found = self.look_up(&reference);
        if let Some(rule) = rule {
            found.behaviour = rule.clone();
            if *rule == Behaviour::Missing {
                found.digest = None;
            } else if found.digest.is_none() {
                found.digest = Some(derived_digest(&reference));
            }
        }
        if found.behaviour == Behaviour::Missing {
            found.digest = None;
        }
        found
    }

    fn look_up(&self, reference: &Reference<'_>) -> Found {
        let derived = || Found { digest: Some(derived_digest(reference)), behaviour: Behaviour::Ok };
        let Some((place, repository)) = reference.ecr() else {
            return derived();
        };
        let image =
            self.registries.get(&place).and_then(|registry| registry.find(repository, reference.tag, reference.digest));
        match image {
            Some((digest, behaviour)) => Found { digest: Some(digest), behaviour },
            // What ECR shows of it when it is asked.
            None if self.images.auto_create && reference.digest.is_none() => {
                let digest = made_up_digest(repository, reference.tag.unwrap_or("latest"));
                Found { digest: Some(digest), behaviour: Behaviour::Ok }
            }
            None if self.images.auto_create => derived(),
            None => Found { digest: None, behaviour: Behaviour::Ok },
        }
    }
}

fn derived_digest(reference: &Reference<'_>) -> String {
    match reference.digest {
        Some(digest) => digest.to_owned(),
        None => digest_of(&format!("{}:{}", reference.name, reference.tag.unwrap_or("latest"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_split_at_tag_and_digest() {
        let r = Reference::parse("localhost:5000/a/b");
        assert_eq!((r.name, r.tag, r.digest), ("localhost:5000/a/b", None, None));
        let dual = Reference::parse("111111111111.dkr-ecr.eu-central-1.on.aws/shop/web:v1");
        assert_eq!(dual.ecr(), Some((Place::new("111111111111", "eu-central-1"), "shop/web")));
        let r = Reference::parse("111111111111.dkr.ecr.eu-central-1.amazonaws.com/shop/web:v1@sha256:aa");
        assert_eq!((r.tag, r.digest), (Some("v1"), Some("sha256:aa")));
        assert_eq!(r.ecr(), Some((Place::new("111111111111", "eu-central-1"), "shop/web")));
        assert_eq!(Reference::parse("nginx").ecr(), None);
    }
}
