//! Holds by history: a person who moves a pin to something that the policy would not have picked is obeyed.

use super::{
    Candidate, ImageReference, Rule,
    choose::{Ranked, place_of, rank},
    reference::short_digest,
};
use lockstep_manifests::updates::{Policy, Strategy};
use std::collections::BTreeSet;

/// The last change of a pin on the branch's first-parent history.
#[derive(Clone, Debug, PartialEq)]
pub struct PinChange {
    /// The commit.
    pub commit: String,
    /// Who made it, as the commit names its author.
    pub author: String,
    /// When, epoch seconds.
    pub at: i64,
    /// The image before; none where there was no such container.
    pub before: Option<ImageReference>,
    /// The image after.
    pub after: ImageReference,
    /// The policy as it stood in that commit.
    pub policy: Option<Policy>,
    /// Whether it is a bump of Lockstep's own, or a release.
    pub is_ours: bool,
    /// The digests that the pin had before that.
    pub earlier: BTreeSet<String>,
    /// For `follow`: the image of the one that is followed, in that commit.
    pub followed: Option<ImageReference>,
}

/// A pin that automation leaves alone because of its history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Who.
    pub by: String,
    /// In which commit.
    pub commit: String,
    /// When, epoch seconds.
    pub at: i64,
    /// What that person did, in words.
    pub what: String,
}

/// Whether a change means that the pin is left alone. The registry's tags tell what a digest is called and when it was
/// pushed.
pub fn held_by(change: &PinChange, candidates: &[Candidate]) -> Option<Held> {
    let policy = change.policy.as_ref()?;
    let before = change.before.as_ref()?;
    if change.is_ours || *before == change.after {
        return None;
    }
    let what = contradiction(policy, before, change, candidates)?;
    Some(Held { by: change.author.clone(), commit: change.commit.clone(), at: change.at, what })
}

fn contradiction(
    policy: &Policy,
    before: &ImageReference,
    change: &PinChange,
    candidates: &[Candidate],
) -> Option<String> {
    let after = &change.after;
    let not_admitted = || match (&after.tag, &after.digest) {
        (None, None) => Some(format!("took the pin {} away", before.short())),
        _ => Some(format!("pinned {}, which the policy does not admit", after.short())),
    };
    if let Strategy::Follow { service, container } = &policy.strategy {
        let same = change.followed.as_ref().is_some_and(|followed| followed.tag == after.tag);
        return (!same).then(|| format!("pinned {}, which is not what {service}/{container} has", after.short()));
    }
    let Some(named) = admitted(policy, after, candidates) else { return not_admitted() };
    // Who takes away what automation wrote wants it left so.
    if before.digest.is_some() && after.digest.is_none() && (before.tag == after.tag || after.tag.is_none()) {
        return Some(format!("took the digest of {} away", before.short()));
    }
    if let Strategy::Digest(_) = policy.strategy {
        let digest = after.digest.as_ref()?;
        let again = change.earlier.contains(digest);
        return again.then(|| format!("went back to {}, which it had before", short_digest(digest)));
    }
    let was = admitted(policy, before, candidates)?;
    let old = place_of(policy, &was, candidates);
    let is_gone = before.digest.is_some() && candidates.iter().all(|candidate| candidate.digest != before.digest);
    if let (Strategy::Newest(_), true) = (&policy.strategy, is_gone) {
        // Deleting the image that was left must not bring back what it was left for.
        return Some(format!("left {}, which the registry no longer has, for {}", before.short(), after.short()));
    }
    let (old, new) = (old?, place_of(policy, &named, candidates)?);
    (!policy.downgrade && old.is_above(&new)).then(|| format!("went from {} back to {}", before.short(), after.short()))
}

/// The reference with the tag by which the policy admits it. A digest alone is known by the tags that point at it, and
/// stands where the highest of them does.
fn admitted(policy: &Policy, reference: &ImageReference, candidates: &[Candidate]) -> Option<ImageReference> {
    let place = |tag: &str| match rank(policy, tag, None) {
        Ok(ranked) => Some(ranked),
        Err(Rule::NoPushTime) => Some(Ranked::Same),
        Err(_) => None,
    };
    let tag = match (&reference.tag, &reference.digest) {
        (Some(tag), _) => place(tag).map(|_| Some(tag.clone()))?,
        // It is `latest` now, and was not pinned to be that.
        (None, None) => place("latest").map(|_| None)?,
        (None, Some(_)) => candidates
            .iter()
            .filter(|candidate| candidate.digest == reference.digest)
            .filter_map(|candidate| Some((place(&candidate.tag)?, &candidate.tag)))
            .max_by(|(a, _), (b, _)| a.compare(b))
            .map(|(_, tag)| Some(tag.clone()))?,
    };
    Some(ImageReference { tag, ..reference.clone() })
}
