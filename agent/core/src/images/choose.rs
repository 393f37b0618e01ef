//! Which tag a policy picks, and whether a pin is moved to it. Every tag that is not picked carries the rule that dropped
//! it.

use super::ImageReference;
use lockstep_manifests::updates::{
    Platform, Policy, Strategy, TagPattern,
    version::{exactness, numbers, of_cut, of_tag},
};
use std::{cmp::Ordering, collections::BTreeMap, fmt, time::Duration};

/// A tag in a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The tag.
    pub tag: String,
    /// The digest that it points at, where the registry's list tells it.
    pub digest: Option<String>,
    /// When the image was pushed, epoch seconds, where the registry tells it.
    pub pushed_at: Option<i64>,
    /// What it is, where it is known not to be an image: a chart, a signature.
    pub artifact: Option<String>,
    /// What is wrong with it in the repository of another environment that reads the pin, in words.
    pub absent_in: Option<String>,
}

/// What was found by looking at an image itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verified {
    /// Its platforms; none where they cannot be read, for this reason.
    Image(Result<Vec<Platform>, String>),
    /// It is something else.
    NotAnImage(String),
    /// The registry listed it, and does not have it.
    Gone,
}

/// Why a tag is not picked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// It is the one that is picked.
    Picked,
    /// It would do; another one goes before it.
    Lower,
    /// `allow` has no pattern that matches.
    NotAllowed,
    /// A pattern of `ignore` matches.
    Ignored(String),
    /// It is no version.
    NotAVersion,
    /// What the strategy's pattern cut out of it is no version.
    CutNoVersion(String),
    /// The constraint does not admit it.
    OutOfRange,
    /// It is a pre-release of this version, and the constraint does not ask for any.
    Prerelease(String),
    /// The strategy's pattern does not match.
    NoMatch,
    /// What the pattern captures is no number.
    NotANumber(String),
    /// What the pattern captures is no row of numbers.
    NotNumbers(String),
    /// It is another tag than the one that is followed.
    OtherTag,
    /// It was pushed too short a time ago; picked in this many seconds at the earliest.
    TooYoung(i64),
    /// Its push time is not known, and is needed.
    NoPushTime,
    /// It is no image.
    NotAnImage(String),
    /// A repository of another environment that reads the pin does not have it, in these words.
    NotEverywhere(String),
    /// It lacks a platform that the task definition asks for.
    NoPlatform {
        /// The platform.
        wanted: Platform,
        /// What it has.
        has: Vec<Platform>,
    },
    /// Its platforms cannot be read.
    Unverified(String),
    /// It would do by its tag; the image itself has not been checked yet.
    NotLookedAt,
    /// It was listed, and is not there.
    Gone,
}

impl Rule {
    /// Whether the tag would do.
    pub fn is_kept(&self) -> bool {
        matches!(self, Self::Picked | Self::Lower)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Picked => formatter.write_str("picked"),
            Self::Lower => formatter.write_str("kept, another one goes before it"),
            Self::NotAllowed => formatter.write_str("no pattern of `allow` matches"),
            Self::Ignored(pattern) => write!(formatter, "`ignore` has {pattern}"),
            Self::NotAVersion => formatter.write_str("not a version"),
            Self::OutOfRange => formatter.write_str("outside of the range"),
            Self::CutNoVersion(text) => write!(formatter, "`{text}` is not a version"),
            Self::Prerelease(release) => {
                write!(formatter, "a pre-release of {release}, which comes before it, and the range asks for none")
            }
            Self::NoMatch => formatter.write_str("the pattern does not match"),
            Self::NotANumber(text) => write!(formatter, "`{text}` is not a number"),
            Self::NotNumbers(text) => write!(formatter, "`{text}` is not a row of numbers"),
            Self::OtherTag => formatter.write_str("another tag than the one that is followed"),
            Self::TooYoung(seconds) => {
                write!(formatter, "pushed too short a time ago (minAge): {} to go", span(*seconds))
            }
            Self::NoPushTime => formatter.write_str("its push time is not known"),
            Self::NotAnImage(what) => write!(formatter, "not an image: {what}"),
            Self::NotEverywhere(text) => formatter.write_str(text),
            Self::NoPlatform { wanted, has } if has.is_empty() => write!(formatter, "it has no {wanted}"),
            Self::NoPlatform { wanted, has } => {
                let has: Vec<String> = has.iter().map(ToString::to_string).collect();
                write!(formatter, "it has no {wanted}, but {}", has.join(", "))
            }
            Self::Unverified(reason) => write!(formatter, "its platform cannot be read: {reason}"),
            Self::NotLookedAt => formatter.write_str("would be next; what it is has not been checked yet"),
            Self::Gone => formatter.write_str("listed, but not there any more"),
        }
    }
}

/// Seconds for people.
fn span(seconds: i64) -> String {
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", (seconds + 59) / 60),
        7200..172_800 => format!("{} h", (seconds + 3599) / 3600),
        _ => format!("{} days", (seconds + 86_399) / 86_400),
    }
}

/// A tag with what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Its place among the candidates.
    pub index: usize,
    /// The rule that kept or dropped it.
    pub rule: Rule,
}

/// Where a tag stands in a strategy's order: higher goes first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ranked {
    /// A version.
    Version(semver::Version),
    /// A push time.
    Pushed(i64),
    /// A number: digits without leading zeros, and those after the point.
    Number(String, String),
    /// Numbers without leading zeros.
    Numbers(Vec<String>),
    /// A text.
    Text(String),
    /// All are alike.
    Same,
}

impl Ranked {
    pub(super) fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Version(a), Self::Version(b)) => a.cmp_precedence(b),
            (Self::Pushed(a), Self::Pushed(b)) => a.cmp(b),
            (Self::Number(a, c), Self::Number(b, d)) => a.len().cmp(&b.len()).then(a.cmp(b)).then(c.cmp(d)),
            (Self::Numbers(a), Self::Numbers(b)) => {
                a.iter().map(|part| (part.len(), part)).cmp(b.iter().map(|part| (part.len(), part)))
            }
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            _ => Ordering::Equal,
        }
    }

    /// Whether this stands before another one.
    pub fn is_above(&self, other: &Self) -> bool {
        self.compare(other).is_gt()
    }
}

/// A number's digits in a form that compares as text of equal length.
fn number(text: &str) -> Option<Ranked> {
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(whole, rest)| (whole, Some(rest)));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !fraction.is_none_or(digits) {
        return None;
    }
    let fraction = fraction.unwrap_or_default().trim_end_matches('0');
    Some(Ranked::Number(whole.trim_start_matches('0').to_owned(), fraction.to_owned()))
}

/// Where a tag stands by a policy's strategy, or why it is not admitted. The age and the image itself are not looked at.
pub(super) fn rank(policy: &Policy, tag: &str, pushed_at: Option<i64>) -> Result<Ranked, Rule> {
    let position = position(&policy.strategy, tag, pushed_at)?;
    if let Strategy::Semver { range, from } = &policy.strategy
        && let Ranked::Version(version) = &position
        && !range.admits(version)
    {
        let written = cut(from.as_ref(), tag).unwrap_or(tag);
        let release = || written.trim_start_matches('v').split('-').next().unwrap_or_default().to_owned();
        return Err(if range.lacks_prerelease(version) { Rule::Prerelease(release()) } else { Rule::OutOfRange });
    }
    if !policy.allow.is_empty() && !policy.allow.iter().any(|pattern| pattern.is_match(tag)) {
        return Err(Rule::NotAllowed);
    }
    if let Some(pattern) = policy.ignore.iter().find(|pattern| pattern.is_match(tag)) {
        return Err(Rule::Ignored(pattern.as_str().to_owned()));
    }
    Ok(position)
}

/// What a pattern cuts out of a tag; without one, the tag.
fn cut<'a>(from: Option<&TagPattern>, tag: &'a str) -> Option<&'a str> {
    from.map_or(Some(tag), |pattern| pattern.key(tag))
}

/// Where a tag stands in a strategy's order, whether it is admitted or not.
fn position(strategy: &Strategy, tag: &str, pushed_at: Option<i64>) -> Result<Ranked, Rule> {
    match strategy {
        Strategy::Semver { from: None, .. } => of_tag(tag).map(Ranked::Version).ok_or(Rule::NotAVersion),
        Strategy::Semver { from, .. } => {
            let text = cut(from.as_ref(), tag).ok_or(Rule::NoMatch)?;
            of_cut(text).map(Ranked::Version).ok_or_else(|| Rule::CutNoVersion(text.to_owned()))
        }
        Strategy::Version(pattern) => {
            let text = pattern.key(tag).ok_or(Rule::NoMatch)?;
            numbers(text).map(Ranked::Numbers).ok_or_else(|| Rule::NotNumbers(text.to_owned()))
        }
        Strategy::Newest(pattern) if !pattern.is_match(tag) => Err(Rule::NoMatch),
        Strategy::Newest(_) => pushed_at.map(Ranked::Pushed).ok_or(Rule::NoPushTime),
        Strategy::Numeric(pattern) => {
            let text = pattern.key(tag).ok_or(Rule::NoMatch)?;
            number(text).ok_or_else(|| Rule::NotANumber(text.to_owned()))
        }
        Strategy::Alphabetical(pattern) => {
            pattern.key(tag).map(|text| Ranked::Text(text.to_owned())).ok_or(Rule::NoMatch)
        }
        Strategy::Digest(followed) if followed == tag => Ok(Ranked::Same),
        Strategy::Digest(_) => Err(Rule::OtherTag),
        Strategy::Follow { .. } => Ok(Ranked::Same),
    }
}

/// Judges all candidates by a policy. `verified` holds what is known of images that were looked at, by tag; the picked
/// one may have to be looked at before it is written. `wanted` are the platforms that it must have.
///
/// For `follow` the candidates are the tags of this repository, and `followed` is the tag that is wanted.
pub fn judge(
    policy: &Policy,
    current: &ImageReference,
    candidates: &[Candidate],
    verified: &BTreeMap<String, Verified>,
    wanted: &[Platform],
    followed: Option<&str>,
    now: i64,
) -> Vec<Judged> {
    let mut kept: Vec<(usize, Ranked)> = Vec::new();
    let mut judged = Vec::with_capacity(candidates.len());
    for (index, candidate) in candidates.iter().enumerate() {
        let rule = match rank(policy, &candidate.tag, candidate.pushed_at) {
            Err(rule) => rule,
            Ok(_) if followed.is_some_and(|tag| tag != candidate.tag) => Rule::OtherTag,
            Ok(ranked) => match unusable(policy, candidate, verified.get(&candidate.tag), wanted, now) {
                Some(rule) => rule,
                None => {
                    kept.push((index, ranked));
                    Rule::Lower
                }
            },
        };
        judged.push(Judged { index, rule });
    }
    let best = kept.into_iter().max_by(|(a, ranked_a), (b, ranked_b)| {
        let (a, b) = (&candidates[*a], &candidates[*b]);
        ranked_a.compare(ranked_b).then_with(|| preference(a, b, policy, current))
    });
    if let Some((index, _)) = best {
        judged[index].rule = Rule::Picked;
    }
    judged
}

/// Of two that stand at the same place: the one that is pinned, the more exact version, the last by its bytes.
fn preference(a: &Candidate, b: &Candidate, policy: &Policy, current: &ImageReference) -> Ordering {
    let is_current = |candidate: &Candidate| current.tag.as_deref() == Some(candidate.tag.as_str());
    let exact = |candidate: &Candidate| match &policy.strategy {
        Strategy::Semver { from, .. } => cut(from.as_ref(), &candidate.tag).map_or(0, exactness),
        _ => 0,
    };
    is_current(a).cmp(&is_current(b)).then(exact(a).cmp(&exact(b))).then(a.tag.cmp(&b.tag))
}

/// Why an admitted candidate cannot be taken.
fn unusable(
    policy: &Policy,
    candidate: &Candidate,
    verified: Option<&Verified>,
    wanted: &[Platform],
    now: i64,
) -> Option<Rule> {
    if let Some(what) = &candidate.artifact {
        return Some(Rule::NotAnImage(what.clone()));
    }
    if let Some(text) = &candidate.absent_in {
        return Some(Rule::NotEverywhere(text.clone()));
    }
    if policy.min_age > Duration::ZERO {
        let age = i64::try_from(policy.min_age.as_secs()).unwrap_or(i64::MAX);
        match candidate.pushed_at {
            None => return Some(Rule::NoPushTime),
            Some(pushed) if now.saturating_sub(pushed) < age => {
                return Some(Rule::TooYoung(age.saturating_sub(now.saturating_sub(pushed))));
            }
            Some(_) => {}
        }
    }
    match verified? {
        Verified::Gone => Some(Rule::Gone),
        Verified::NotAnImage(what) => Some(Rule::NotAnImage(what.clone())),
        Verified::Image(Err(reason)) if !wanted.is_empty() => Some(Rule::Unverified(reason.clone())),
        Verified::Image(Err(_)) => None,
        Verified::Image(Ok(has)) => wanted
            .iter()
            .find(|platform| !has.contains(platform))
            .map(|wanted| Rule::NoPlatform { wanted: wanted.clone(), has: has.clone() }),
    }
}

/// What is done with a pin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is moved to this tag.
    Move {
        /// The tag.
        tag: String,
    },
    /// It is what the policy picks.
    UpToDate {
        /// What a person may want to know all the same.
        note: Option<String>,
    },
    /// Nothing is done, for this reason.
    Nothing(String),
}

/// Compares what a policy picked with what is pinned. `digest` is what the picked tag points at.
pub fn decide(
    policy: &Policy,
    current: &ImageReference,
    candidates: &[Candidate],
    picked: Option<(&Candidate, &str)>,
) -> Decision {
    let Some((candidate, digest)) = picked else {
        return Decision::Nothing(nothing(policy, candidates));
    };
    let same_tag = current.tag.as_deref() == Some(candidate.tag.as_str());
    let same_digest = current.digest.as_deref() == Some(digest);
    if same_digest && (same_tag || matches!(policy.strategy, Strategy::Newest(_))) {
        return Decision::UpToDate { note: None };
    }
    if let Strategy::Digest(_) | Strategy::Follow { .. } = policy.strategy {
        return Decision::Move { tag: candidate.tag.clone() };
    }
    if same_tag {
        return match &current.digest {
            // A tag alone is made exact.
            None => Decision::Move { tag: candidate.tag.clone() },
            Some(_) => Decision::UpToDate {
                note: Some(format!(
                    "{} points at another digest now; `digest: {}` would follow it",
                    candidate.tag, candidate.tag
                )),
            },
        };
    }
    if policy.downgrade {
        return Decision::Move { tag: candidate.tag.clone() };
    }
    match place_of(policy, current, candidates) {
        Some(pinned) => {
            if let Ok(new) = position(&policy.strategy, &candidate.tag, candidate.pushed_at)
                && pinned.is_above(&new)
            {
                return Decision::Nothing(format!(
                    "{} is lower than {}, which Git declares; set `downgrade: true` to allow it",
                    candidate.tag,
                    current.short()
                ));
            }
        }
        None => {
            if let Some(reason) = not_known_to_be_later(policy, current, candidates, candidate, digest) {
                return Decision::Nothing(reason);
            }
        }
    }
    Decision::Move { tag: candidate.tag.clone() }
}

/// Why a picked image may not follow a pin that the strategy cannot rank: what cannot be ranked is not lower. Only an image
/// that was pushed later follows it; none where it does.
fn not_known_to_be_later(
    policy: &Policy,
    current: &ImageReference,
    candidates: &[Candidate],
    picked: &Candidate,
    digest: &str,
) -> Option<String> {
    if current.tag.is_none() && current.digest.is_none() {
        // Nothing is pinned yet.
        return None;
    }
    let is_pinned = |candidate: &&Candidate| match &current.digest {
        Some(pinned) => candidate.digest.as_ref() == Some(pinned),
        None => current.tag.as_deref() == Some(candidate.tag.as_str()),
    };
    let mut pinned = candidates.iter().filter(is_pinned).peekable();
    // `newest` ranks by push times alone: an image that the registry has no more is before all that it has.
    if matches!(policy.strategy, Strategy::Newest(_)) && pinned.peek().is_none() {
        return None;
    }
    let mut pushed_at = None;
    for candidate in pinned {
        if candidate.digest.as_deref() == Some(digest) {
            // The same image by another tag.
            return None;
        }
        pushed_at = pushed_at.max(candidate.pushed_at);
    }
    let pin = current.short();
    match (pushed_at, picked.pushed_at) {
        (Some(before), Some(after)) if after > before => None,
        (Some(_), Some(_)) => Some(format!(
            "the policy cannot rank {pin}, which Git declares, and {} was pushed before it; set `downgrade: true` to allow it",
            picked.tag
        )),
        _ => Some(format!(
            "the policy cannot rank {pin}, which Git declares, and it is not known whether {} was pushed after it; set `downgrade: true` to allow it",
            picked.tag
        )),
    }
}

/// Where a reference stands in the policy's order, as far as that can be told. A digest alone stands where the highest of
/// its tags does; an image with neither stands nowhere.
pub(super) fn place_of(policy: &Policy, reference: &ImageReference, candidates: &[Candidate]) -> Option<Ranked> {
    let listed = candidates.iter().filter(|candidate| match reference.digest {
        Some(_) => candidate.digest == reference.digest,
        None => reference.tag.as_deref() == Some(candidate.tag.as_str()),
    });
    match (&policy.strategy, reference.tag.as_deref()) {
        // What is pinned need not match the pattern to have been pushed later.
        (Strategy::Newest(_), _) => listed.filter_map(|candidate| candidate.pushed_at).max().map(Ranked::Pushed),
        (strategy, Some(tag)) => position(strategy, tag, None).ok(),
        (strategy, None) => {
            listed.filter_map(|candidate| position(strategy, &candidate.tag, None).ok()).max_by(Ranked::compare)
        }
    }
}

/// Why nothing was picked.
fn nothing(policy: &Policy, candidates: &[Candidate]) -> String {
    if let Some(text) = no_version(policy, candidates) {
        return text;
    }
    match (&policy.strategy, candidates.len()) {
        (Strategy::Digest(tag), _) => format!("the registry has no tag {tag} that may be taken"),
        (_, 0) => "the registry has no tags".to_owned(),
        (_, 1) => "the registry has one tag, which the policy does not accept".to_owned(),
        (_, count) => format!("the registry has {count} tags, none of which the policy accepts"),
    }
}

/// Where no tag is a version: what would order them.
fn no_version(policy: &Policy, candidates: &[Candidate]) -> Option<String> {
    let is_version = |candidate: &Candidate| position(&policy.strategy, &candidate.tag, None) != Err(Rule::NotAVersion);
    let images = candidates.iter().filter(|candidate| candidate.artifact.is_none());
    let tag = &images.max_by_key(|candidate| (candidate.pushed_at, &candidate.tag))?.tag;
    if candidates.iter().any(is_version) {
        return None;
    }
    let prefix = tag.find(|letter: char| letter.is_ascii_digit()).map(|at| tag.split_at(at));
    let advice = match prefix {
        Some(("", _)) if tag.bytes().all(|byte| byte.is_ascii_digit()) => {
            "`numeric: '^[0-9]+$'` takes the highest number".to_owned()
        }
        Some(("" | "v", rest)) if numbers(rest).is_some() => {
            "`version: '^v?[0-9._-]+$'` orders rows of numbers".to_owned()
        }
        Some((prefix, rest)) if of_tag(rest).is_some() => {
            let (range, prefix) = (&policy.written, prefix.replace('.', "[.]"));
            format!("`semver: {{ range: '{range}', from: '^{prefix}(.*)$' }}` cuts one out of it")
        }
        Some((prefix, rest)) if numbers(rest).is_some() => {
            let prefix = prefix.replace('.', "[.]");
            format!("`version: '^{prefix}(.*)$'` orders rows of numbers")
        }
        _ if candidates.iter().any(|candidate| candidate.pushed_at.is_some()) => {
            "`newest: '.'` takes what was pushed last".to_owned()
        }
        _ => "`alphabetical: '.'` takes the last by its letters, `digest: TAG` follows one tag".to_owned(),
    };
    Some(format!("no tag of the registry is a version ({tag} is none); {advice}"))
}
