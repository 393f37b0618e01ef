//! The same over any policies, registries and people, held against an oracle of its own.

use super::*;
use proptest::{collection::vec, option, prelude::*, sample::select};

const TAGS: [&str; 26] = [
    "1.4.2",
    "v1.4.2",
    "1.4",
    "v1.4",
    "1.4.3",
    "1.10.0",
    "2.0.0",
    "3.0.0",
    "1.5.0-rc.1",
    "1.5.0-rc.2",
    "0.9.0",
    "1.4.2+5",
    "7",
    "build-7",
    "build-007",
    "build-10",
    "build-10.5",
    "build-10.50",
    "build-x",
    "main-a",
    "main-b-9",
    "stable",
    "latest",
    "2026.01.15",
    "1.4.2_x",
    "sha256-0af.sig",
];
const POLICIES: [&str; 15] = [
    "semver: '*'",
    "semver: '>=1.2 <3'",
    "semver: ~1.4",
    "semver: '>=1.0.0-0'",
    "semver: '!=1.4.x || 0.9'",
    "semver: { range: '*', from: '^build-(.*)$' }",
    "version: '^v?[0-9._-]+$'",
    "version: '^build-(.*)$'",
    "newest: '^(?:build|main)-'",
    "newest: '.'",
    "numeric: '^build-(.+)$'",
    "numeric: '[0-9]+$'",
    "alphabetical: '^[a-z]+-(.*)$'",
    "alphabetical: '.*'",
    "digest: stable",
];
const RESTRICTIONS: [&str; 7] = [
    "",
    "",
    "",
    ", allow: ['^v?1', '^build']",
    ", ignore: ['rc', '4.3', 'b-']",
    ", minAge: 1h",
    ", allow: ['-|4'], minAge: 2d",
];

/// A registry: its tags, what is known of its images, and what each tag points at.
#[derive(Clone, Debug)]
struct Registry {
    candidates: Vec<Candidate>,
    verified: BTreeMap<String, Verified>,
}

impl Registry {
    /// What a tag points at. Some lists do not tell it.
    fn digest_of(&self, candidate: &Candidate) -> String {
        let place = TAGS.iter().position(|tag| *tag == candidate.tag).unwrap();
        candidate.digest.clone().unwrap_or_else(|| digest(100 + place))
    }

    fn picked(&self, policy: &Policy, current: &ImageReference) -> Option<&Candidate> {
        let judged = judge(policy, current, &self.candidates, &self.verified, &[], None, NOW);
        assert_eq!(judged.len(), self.candidates.len());
        let mut picked = judged.iter().filter(|judged| judged.rule == Rule::Picked);
        let first = picked.next().map(|judged| &self.candidates[judged.index]);
        assert!(picked.next().is_none(), "one is picked at most");
        assert!(first.is_some() || judged.iter().all(|judged| !judged.rule.is_kept()), "one of those that would do");
        first
    }

    fn decide(&self, policy: &Policy, current: &ImageReference) -> Decision {
        let picked = self.picked(policy, current).map(|candidate| (candidate, self.digest_of(candidate)));
        let pair = picked.as_ref().map(|(candidate, digest)| (*candidate, digest.as_str()));
        decide(policy, current, &self.candidates, pair)
    }

    /// The pin after a move.
    fn moved(&self, tag: &str) -> ImageReference {
        let candidate = self.candidates.iter().find(|candidate| candidate.tag == tag).expect("a tag of the registry");
        ImageReference {
            repository: REPOSITORY.to_owned(),
            tag: Some(tag.to_owned()),
            digest: Some(self.digest_of(candidate)),
        }
    }

    /// Everything that is known of where an image stands.
    fn places(&self, policy: &Policy, image: &ImageReference) -> Vec<Key> {
        let is_it = |candidate: &&Candidate| match &image.digest {
            Some(digest) => self.digest_of(candidate) == *digest && candidate.digest.is_some(),
            None => image.tag.as_ref() == Some(&candidate.tag),
        };
        let listed = self.candidates.iter().filter(is_it);
        match (&policy.strategy, &image.tag) {
            (Pick::Newest(_), _) => listed.filter_map(|it| it.pushed_at).map(Key::Pushed).collect(),
            (_, Some(tag)) => key(policy, tag, None).into_iter().collect(),
            (_, None) => listed.filter_map(|it| key(policy, &it.tag, None)).collect(),
        }
    }
}

/// Where a tag stands, by another way than the product's.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
enum Key {
    Version((u64, u64, u64, bool, semver::Prerelease)),
    Pushed(i64),
    Number(f64),
    Numbers(Vec<u64>),
    Text(String),
    Same,
}

fn key(policy: &Policy, tag: &str, pushed_at: Option<i64>) -> Option<Key> {
    match &policy.strategy {
        Pick::Version(pattern) => {
            let text = pattern.key(tag)?;
            let text = text.strip_prefix('v').unwrap_or(text);
            text.split(['.', '-', '_', '+']).map(|part| part.parse().ok()).collect::<Option<_>>().map(Key::Numbers)
        }
        Pick::Semver { from: Some(pattern), .. } => {
            let version = of_tag(&format!("v{}", pattern.key(tag)?))?;
            Some(Key::Version((version.major, version.minor, version.patch, version.pre.is_empty(), version.pre)))
        }
        Pick::Semver { .. } => {
            of_tag(tag).map(|it| Key::Version((it.major, it.minor, it.patch, it.pre.is_empty(), it.pre)))
        }
        Pick::Newest(pattern) => pushed_at.filter(|_| pattern.is_match(tag)).map(Key::Pushed),
        Pick::Numeric(pattern) => pattern.key(tag)?.parse().ok().map(Key::Number),
        Pick::Alphabetical(pattern) => Some(Key::Text(pattern.key(tag)?.to_owned())),
        Pick::Digest(followed) => (followed == tag).then_some(Key::Same),
        Pick::Follow { .. } => None,
    }
}

/// Whether a policy may take a candidate, by another way than the product's.
fn may_take(policy: &Policy, candidate: &Candidate, verified: Option<&Verified>) -> bool {
    let tag = candidate.tag.as_str();
    let is_in_range = match &policy.strategy {
        Pick::Semver { range, from } => {
            let cut = |pattern: &TagPattern| pattern.key(tag).map(|text| format!("v{text}"));
            let version = from.as_ref().map_or(Some(tag.to_owned()), cut);
            version.and_then(|text| of_tag(&text)).is_some_and(|version| range.admits(&version))
        }
        _ => true,
    };
    let age = i64::try_from(policy.min_age.as_secs()).unwrap();
    is_in_range
        && key(policy, tag, candidate.pushed_at).is_some()
        && (policy.allow.is_empty() || policy.allow.iter().any(|pattern| pattern.is_match(tag)))
        && !policy.ignore.iter().any(|pattern| pattern.is_match(tag))
        && (policy.min_age == Duration::ZERO || candidate.pushed_at.is_some_and(|pushed| NOW - pushed >= age))
        && candidate.artifact.is_none()
        && candidate.absent_in.is_none()
        && !matches!(verified, Some(Verified::Gone | Verified::NotAnImage(_)))
}

fn any_policy() -> impl Strategy<Value = Policy> {
    static ALL: LazyLock<Vec<Policy>> = LazyLock::new(|| {
        let restricted = |strategy: &&str| RESTRICTIONS.map(|restriction| format!("{{ {strategy}{restriction}"));
        let texts = POLICIES.iter().flat_map(restricted);
        texts.flat_map(|text| [" }", ", downgrade: true }"].map(|end| policy(&format!("{text}{end}")))).collect()
    });
    any::<prop::sample::Index>().prop_map(|at| at.get(&ALL).clone())
}

/// Tags in any order. An image was pushed once, whatever tags it has.
fn any_registry() -> impl Strategy<Value = Registry> {
    let known = prop_oneof![
        12 => Just(None),
        1 => Just(Some(Verified::Gone)),
        1 => Just(Some(Verified::NotAnImage("chart".into()))),
        1 => Just(Some(Verified::Image(Err("503".into())))),
        1 => Just(Some(Verified::Image(Ok(Vec::new())))),
    ];
    let fact = || prop_oneof![9 => Just(None), 1 => Just(Some("x".to_owned()))];
    let ages = vec(option::weighted(0.9, select(vec![0, 1, 60, 3599, 3600, 86_400, 172_800, 1_000_000])), 10);
    let tags = proptest::sample::subsequence(TAGS.to_vec(), 0..TAGS.len()).prop_shuffle();
    (tags, ages, vec((option::weighted(0.8, 0..9_usize), known, fact(), fact()), TAGS.len())).prop_map(
        |(tags, ages, facts)| {
            let mut registry = Registry { candidates: Vec::new(), verified: BTreeMap::new() };
            for (tag, (number, known, artifact, absent_in)) in tags.into_iter().zip(facts) {
                registry.candidates.push(Candidate {
                    tag: tag.to_owned(),
                    digest: number.map(digest),
                    pushed_at: ages[number.unwrap_or(9)].map(|age| NOW - age),
                    artifact,
                    absent_in,
                });
                registry.verified.extend(known.map(|known| (tag.to_owned(), known)));
            }
            registry
        },
    )
}

fn any_image() -> impl Strategy<Value = ImageReference> {
    (option::weighted(0.8, select(&TAGS[..])), option::weighted(0.7, 0..10_usize)).prop_map(|(tag, number)| {
        ImageReference { repository: REPOSITORY.to_owned(), tag: tag.map(str::to_owned), digest: number.map(digest) }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(1024), ..ProptestConfig::default() })]

    #[test]
    fn what_is_picked_is_admitted_and_nothing_admitted_stands_above(
        policy in any_policy(), registry in any_registry(), current in any_image(),
    ) {
        let admitted: Vec<&Candidate> = registry.candidates.iter()
            .filter(|candidate| may_take(&policy, candidate, registry.verified.get(&candidate.tag)))
            .collect();
        let place = |candidate: &Candidate| key(&policy, &candidate.tag, candidate.pushed_at);
        match registry.picked(&policy, &current) {
            None => prop_assert_eq!(admitted, Vec::<&Candidate>::new()),
            Some(picked) => {
                prop_assert!(admitted.contains(&picked));
                for other in admitted {
                    prop_assert!(place(other) <= place(picked), "{} stands above {}", other.tag, picked.tag);
                }
            }
        }
    }

    #[test]
    fn nothing_lower_is_taken_without_being_told_so(
        policy in any_policy(), registry in any_registry(), current in any_image(),
    ) {
        let decision = registry.decide(&policy, &current);
        if let Decision::Move { tag } = &decision
            && !policy.downgrade
        {
            let new = registry.candidates.iter().find(|candidate| candidate.tag == *tag).unwrap();
            let new = key(&policy, tag, new.pushed_at).unwrap();
            for old in registry.places(&policy, &current) {
                prop_assert!(old <= new, "{:?} to {:?}", old, new);
            }
        }
        if let Decision::Nothing(reason) = &decision {
            prop_assert!(!reason.is_empty());
        }
    }

    #[test]
    fn a_move_is_the_last_one_in_whatever_order_the_tags_come(
        policy in any_policy(),
        (registry, other) in any_registry().prop_flat_map(|registry| {
            let shuffled = Just(registry.candidates.clone()).prop_shuffle();
            (Just(registry), shuffled)
        }),
        current in any_image(),
    ) {
        let other = Registry { candidates: other, ..registry.clone() };
        let decision = registry.decide(&policy, &current);
        prop_assert_eq!(&other.decide(&policy, &current), &decision);
        if let Decision::Move { tag } = decision {
            prop_assert!(!tag.is_empty());
            let after = registry.moved(&tag);
            prop_assert_eq!(registry.decide(&policy, &after), Decision::UpToDate { note: None });
            prop_assert_eq!(other.decide(&policy, &after), Decision::UpToDate { note: None });
        }
    }

    #[test]
    fn without_tags_nothing_is_done(policy in any_policy(), current in any_image()) {
        prop_assert!(matches!(decide(&policy, &current, &[], None), Decision::Nothing(_)));
    }

    #[test]
    fn who_does_what_the_policy_would_do_holds_nothing(
        policy in any_policy(), registry in any_registry(), current in any_image(),
    ) {
        // Without the push time of what was left nobody knows which is newer: then a person is obeyed.
        let is_listed = registry.candidates.iter().any(|candidate| candidate.digest == current.digest);
        prop_assume!(is_listed || current.digest.is_none() || !matches!(policy.strategy, Pick::Newest(_)));
        if let Decision::Move { tag } = registry.decide(&policy, &current) {
            let change = PinChange {
                after: registry.moved(&tag),
                before: Some(current),
                policy: Some(policy),
                ..change("{ semver: '*' }", "", "")
            };
            prop_assert_eq!(held_by(&change, &registry.candidates), None);
        }
    }

    #[test]
    fn a_hold_does_not_depend_on_the_order_of_tags_nor_on_us(
        policy in any_policy(),
        (registry, other) in any_registry().prop_flat_map(|registry| {
            let shuffled = Just(registry.candidates.clone()).prop_shuffle();
            (Just(registry), shuffled)
        }),
        (before, after) in (any_image(), any_image()),
        earlier in proptest::collection::btree_set((0..10_usize).prop_map(digest), 0..4),
    ) {
        let change = PinChange {
            before: Some(before.clone()),
            after: after.clone(),
            policy: Some(policy.clone()),
            earlier,
            ..change("{ semver: '*' }", "", "")
        };
        let held = held_by(&change, &registry.candidates);
        prop_assert_eq!(&held_by(&change, &other), &held);
        for free in [
            PinChange { is_ours: true, ..change.clone() },
            PinChange { policy: None, ..change.clone() },
            PinChange { before: None, ..change.clone() },
            PinChange { after: before.clone(), ..change.clone() },
        ] {
            prop_assert_eq!(held_by(&free, &registry.candidates), None);
        }
        // There and back, one of the two goes down at most. To take a digest away contradicts by itself.
        if let Some(held) = &held
            && held.what.starts_with("went from")
        {
            let back = PinChange { before: Some(after.clone()), after: before.clone(), ..change.clone() };
            let takes_away = after.digest.is_some()
                && before.digest.is_none()
                && (after.tag == before.tag || before.tag.is_none());
            let expected = takes_away.then(|| format!("took the digest of {} away", after.short()));
            prop_assert_eq!(held_by(&back, &registry.candidates).map(|held| held.what), expected);
            prop_assert!(!policy.downgrade);
        }
    }
}
