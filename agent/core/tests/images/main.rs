//! Which tag an image policy picks, what is done with the pin, and when a person holds it: examples by rule, and what
//! holds for any registry.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod properties;

use lockstep_core::images::{Candidate, Decision, ImageReference, PinChange, Rule, Verified, decide, held_by, judge};
use lockstep_manifests::{
    Repository, Service,
    render::render,
    tree::MemoryTree,
    updates::{Platform, Policy, Strategy as Pick, TagPattern, version::of_tag},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
    time::Duration,
};

const NOW: i64 = 1_800_000_000;
const REPOSITORY: &str = "registry.example/web";

/// The policy that a service file says, as flow YAML.
fn policy(text: &str) -> Policy {
    let service = format!(
        "taskDefinition: {{ containerDefinitions: {{ web: {{ image: {REPOSITORY} }} }} }}\nservice: {{}}\nupdates: {{ web: {text} }}\n"
    );
    let config = "version: 1\nenvironments: { prod: { account: \"111111111111\", region: r, cluster: c } }\n";
    let tree = MemoryTree::new(vec![
        ("lockstep.yaml", config),
        ("services/web/service.yaml", &service),
        ("services/web/prod.yaml", "{}"),
    ]);
    let mut problems = Vec::new();
    let repository = Repository::load(&tree, &mut problems);
    let service = Service::load(&repository, &repository.services[0], &tree, &mut problems);
    let rendered = render(&repository, &repository.environments["prod"], &service, &mut problems);
    let mut updates = rendered.unwrap_or_else(|| panic!("{text}: {problems:?}")).updates;
    updates.shift_remove("web").unwrap_or_else(|| panic!("{text}: {problems:?}"))
}

fn digest(number: usize) -> String {
    format!("sha256:{number:012x}{:052}", 0)
}

/// `TAG[@NUMBER] [FACT…]`: a candidate, with the number that its digest is made of. Facts are `age=SECONDS`,
/// `artifact=WHAT`, `absent=REPOSITORY`.
fn candidate(text: &str) -> Candidate {
    let mut words = text.split(' ');
    let name = words.next().unwrap();
    let (tag, number) = name.split_once('@').map_or((name, None), |(tag, number)| (tag, Some(number)));
    let mut candidate = Candidate {
        tag: tag.to_owned(),
        digest: number.map(|number| digest(number.parse().unwrap())),
        pushed_at: None,
        artifact: None,
        absent_in: None,
    };
    for word in words {
        match word.split_once('=').unwrap() {
            ("age", age) => candidate.pushed_at = Some(NOW - age.parse::<i64>().unwrap()),
            ("artifact", what) => candidate.artifact = Some(what.to_owned()),
            ("absent", repository) => candidate.absent_in = Some(repository.to_owned()),
            (other, _) => panic!("{other}"),
        }
    }
    candidate
}

fn candidates(text: &str) -> Vec<Candidate> {
    text.split(", ").filter(|text| !text.is_empty()).map(candidate).collect()
}

/// `TAG[@NUMBER]` or `@NUMBER` in the repository.
fn image(text: &str) -> ImageReference {
    let (tag, number) = text.split_once('@').map_or((text, None), |(tag, number)| (tag, Some(number)));
    ImageReference {
        repository: REPOSITORY.to_owned(),
        tag: (!tag.is_empty()).then(|| tag.to_owned()),
        digest: number.map(|number| digest(number.parse().unwrap())),
    }
}

fn platform(text: &str) -> Platform {
    text.parse().unwrap()
}

fn picked<'a>(policy: &Policy, current: &ImageReference, candidates: &'a [Candidate]) -> Option<&'a Candidate> {
    let judged = judge(policy, current, candidates, &BTreeMap::new(), &[], None, NOW);
    judged.iter().find(|judged| judged.rule == Rule::Picked).map(|judged| &candidates[judged.index])
}

#[test]
fn every_tag_has_its_rule() {
    for (text, tags, rules) in [
        (
            "{ semver: '>=1.4 <2' }",
            "1.4.2, 1.10.0, 2.0.0, 1.5.0-rc.1, latest, 1.3",
            "lower, picked, out of range, pre-release of 1.5.0, no version, out of range",
        ),
        ("{ semver: '*' }", "2026.11.30-2, v2026.01.05-rc", "pre-release of 2026.11.30, pre-release of 2026.01.05"),
        // E6: versions that stand within a tag, and rows of numbers.
        (
            "{ semver: { range: '>=1', from: '^release-(.*)$' } }",
            "release-1.1.0, release-1.2, release-7, 9.9.9, release-x, release-0.9.0, release-8.0.0-rc.1",
            "lower, lower, picked, no match, x is no version, out of range, pre-release of 8.0.0",
        ),
        ("{ semver: { range: '*', from: '^r-(.*)$' } }", "r-1.4, r-1.4.0", "lower, picked"),
        (
            "{ version: '^v?[0-9._-]+$' }",
            "12.5.10.3, 12.5.9.30, 12.5.10, 1.2.3_5, latest, 12.5.010.3",
            "picked, lower, lower, lower, no match, lower",
        ),
        (
            "{ version: '^(.*)$' }",
            "2026.11.30, 2026.11.30-2, 2026.11.30-10, 2027.1-rc",
            "lower, lower, picked, 2027.1-rc is no numbers",
        ),
        ("{ semver: '>=1.4.0-0' }", "1.4.2, 1.5.0-rc.1", "lower, picked"),
        // Of one version: the more exact tag, then the last by its bytes.
        ("{ semver: '*' }", "v1.4, 1.4.0", "lower, picked"),
        ("{ semver: '*' }", "v1.4, 1.4.0, v1.4.0", "lower, lower, picked"),
        ("{ semver: '*' }", "1.4.0+a, 1.4.0+b", "lower, picked"),
        ("{ semver: '*', allow: ['^1[.]'] }", "1.4.2, 2.0.0", "picked, not allowed"),
        ("{ semver: '*', ignore: ['^9', 4] }", "1.4.2, 1.3.0", "ignored by 4, picked"),
        ("{ newest: '^main-' }", "main-a age=10, main-b age=5, dev age=1, main-c", "lower, picked, no match, no time"),
        (
            "{ numeric: '^build-(.+)$' }",
            "build-9, build-10, build-010.50, build-10.5, x, build-x",
            "lower, lower, lower, picked, no match, x is no number",
        ),
        ("{ alphabetical: '^r-(.*)$' }", "r-b, r-a, r-10, x", "picked, lower, lower, no match"),
        ("{ digest: stable }", "latest, stable@1", "other tag, picked"),
        ("{ semver: '*', minAge: 1h }", "1.1.0 age=3599, 1.0.0 age=3600, 1.2.0", "too young by 1, picked, no time"),
        // A clock that is behind the registry's.
        ("{ semver: '*', minAge: 1h }", "1.1.0 age=-10", "too young by 3610"),
        (
            "{ semver: '*' }",
            "1.3.0 artifact=chart, 1.2.0 absent=eu/web, 1.1.0",
            "no image: chart, not in eu/web, picked",
        ),
        ("{ semver: '*' }", "", ""),
    ] {
        let (policy, candidates) = (policy(text), candidates(tags));
        let judged = judge(&policy, &image(""), &candidates, &BTreeMap::new(), &[], None, NOW);
        let said: Vec<String> = judged.iter().map(|judged| said(&judged.rule)).collect();
        assert_eq!(said.join(", "), rules, "{text}: {tags}");
        assert!(judged.iter().enumerate().all(|(at, judged)| judged.index == at));
    }
}

fn said(rule: &Rule) -> String {
    match rule {
        Rule::Picked => "picked".into(),
        Rule::Lower => "lower".into(),
        Rule::NotAllowed => "not allowed".into(),
        Rule::Ignored(pattern) => format!("ignored by {pattern}"),
        Rule::NotAVersion => "no version".into(),
        Rule::OutOfRange => "out of range".into(),
        Rule::CutNoVersion(text) => format!("{text} is no version"),
        Rule::Prerelease(release) => format!("pre-release of {release}"),
        Rule::NoMatch => "no match".into(),
        Rule::NotANumber(text) => format!("{text} is no number"),
        Rule::NotNumbers(text) => format!("{text} is no numbers"),
        Rule::OtherTag => "other tag".into(),
        Rule::TooYoung(seconds) => format!("too young by {seconds}"),
        Rule::NoPushTime => "no time".into(),
        Rule::NotAnImage(what) => format!("no image: {what}"),
        Rule::NotEverywhere(repository) => format!("not in {repository}"),
        Rule::NoPlatform { wanted, has } => format!("no {wanted} among {}", has.len()),
        Rule::Unverified(reason) => format!("unverified: {reason}"),
        Rule::NotLookedAt => "not looked at".to_owned(),
        Rule::Gone => "gone".into(),
    }
}

#[test]
fn what_an_image_turns_out_to_be_drops_its_tag() {
    let (amd, arm) = (platform("linux/amd64"), platform("linux/arm64"));
    let both = [amd.clone(), arm.clone()];
    for (verified, wanted, rule) in [
        (None, &both[..1], "picked"),
        (Some(Verified::Image(Ok(both.to_vec()))), &both[..], "picked"),
        (Some(Verified::Image(Ok(vec![arm]))), &both[..], "no linux/amd64 among 1"),
        (Some(Verified::Image(Ok(Vec::new()))), &both[..1], "no linux/amd64 among 0"),
        (Some(Verified::Image(Err("503".into()))), &both[..1], "unverified: 503"),
        // Where no platform is asked for, it need not be known.
        (Some(Verified::Image(Err("503".into()))), &[], "picked"),
        (Some(Verified::NotAnImage("chart".into())), &[], "no image: chart"),
        (Some(Verified::Gone), &[], "gone"),
    ] {
        let tags = candidates("1.0.0, 0.9.0");
        let known = verified.map(|verified| ("1.0.0".to_owned(), verified)).into_iter().collect();
        let judged = judge(&policy("{ semver: '*' }"), &image(""), &tags, &known, wanted, None, NOW);
        assert_eq!(said(&judged[0].rule), rule);
        assert_eq!(judged[1].rule == Rule::Picked, rule != "picked", "the next one is picked");
    }
}

#[test]
fn a_pin_is_followed_by_its_tag() {
    let (policy, tags) = (policy("{ follow: other/app }"), candidates("1.0@1, 2.0@2"));
    let judge = |followed| judge(&policy, &image("1.0@1"), &tags, &BTreeMap::new(), &[], followed, NOW);
    let rules = |followed| judge(followed).iter().map(|judged| said(&judged.rule)).collect::<Vec<_>>();
    assert_eq!(rules(Some("2.0")), ["other tag", "picked"]);
    assert_eq!(rules(Some("3.0")), ["other tag", "other tag"]);
}

#[test]
fn every_decision_has_its_case() {
    for (text, pinned, tags, expected) in [
        ("{ semver: '*' }", "1.0.0@1", "1.0.0@1, 1.1.0@2", "move to 1.1.0"),
        ("{ semver: '*' }", "1.1.0@2", "1.0.0@1, 1.1.0@2", "up to date"),
        // Of two tags of one version the pinned one stays.
        ("{ semver: '*' }", "1.1.0@2", "1.1.0@2, v1.1.0@2", "up to date"),
        ("{ semver: '*' }", "", "1.0.0@1", "move to 1.0.0"),
        // A5: a pin that the strategy cannot rank is not lower; only what was pushed later follows it.
        (
            "{ semver: '*' }",
            "latest",
            "1.0.0@1",
            "nothing: the policy cannot rank latest, which Git declares, and it is not known whether 1.0.0 was pushed after it; set `downgrade: true` to allow it",
        ),
        (
            "{ semver: '*' }",
            "@7",
            "1.0.0@1 age=5",
            "nothing: the policy cannot rank sha256:000000000007, which Git declares, and it is not known whether 1.0.0 was pushed after it; set `downgrade: true` to allow it",
        ),
        (
            "{ semver: '>=1.0' }",
            "12.5.5.201@2",
            "1.0.0@1 age=30, 12.5.5.201@2 age=20, 12.5.5.202@3 age=10",
            "nothing: the policy cannot rank 12.5.5.201, which Git declares, and 1.0.0 was pushed before it; set `downgrade: true` to allow it",
        ),
        ("{ semver: '>=1.0' }", "12.5.5.201@2", "13.0.0@1 age=10, 12.5.5.201@2 age=20", "move to 13.0.0"),
        (
            "{ semver: '>=1.0', downgrade: true }",
            "12.5.5.201@2",
            "1.0.0@1 age=30, 12.5.5.201@2 age=20",
            "move to 1.0.0",
        ),
        // 13.0.0 is not taken in its place: the next look would go on from there to 14.0.0.
        (
            "{ semver: '>=1.0' }",
            "12.5.5.201@4",
            "14.0.0@1 age=30, 12.5.5.201@4 age=20, 13.0.0@2 age=10",
            "nothing: the policy cannot rank 12.5.5.201, which Git declares, and 14.0.0 was pushed before it; set `downgrade: true` to allow it",
        ),
        ("{ version: '^[0-9.]+$' }", "12.5.5.201@4", "12.5.5.201@4, 12.5.10.3@5, 12.5.5.1000@6", "move to 12.5.10.3"),
        ("{ semver: '*' }", "latest@1", "1.0.0@1, latest@1", "move to 1.0.0"),
        ("{ semver: '*' }", "latest", "1.0.0@1, latest@1", "move to 1.0.0"),
        (
            "{ numeric: '^b-([0-9]+)$' }",
            "a-9@1",
            "a-9@1 age=5, b-10@2 age=9",
            "nothing: the policy cannot rank a-9, which Git declares, and b-10 was pushed before it; set `downgrade: true` to allow it",
        ),
        (
            "{ alphabetical: '^[a-z]$' }",
            "C@1",
            "C@1, b@2",
            "nothing: the policy cannot rank C, which Git declares, and it is not known whether b was pushed after it; set `downgrade: true` to allow it",
        ),
        ("{ newest: '^main-' }", "gone@9", "main-a@1 age=5", "move to main-a"),
        // A tag alone is made exact, and so is a digest alone.
        ("{ semver: '*' }", "1.0.0", "1.0.0@1", "move to 1.0.0"),
        ("{ semver: '*' }", "@1", "1.0.0@1", "move to 1.0.0"),
        // A version's tag that was pushed again.
        (
            "{ semver: '*' }",
            "1.0.0@1",
            "1.0.0@2",
            "up to date: 1.0.0 points at another digest now; `digest: 1.0.0` would follow it",
        ),
        ("{ digest: stable }", "stable@1", "stable@2", "move to stable"),
        ("{ digest: stable }", "stable@1", "stable@1", "up to date"),
        ("{ digest: stable }", "1.0@1", "stable@1", "move to stable"),
        ("{ digest: stable }", "stable@1", "latest@2", "nothing: the registry has no tag stable that may be taken"),
        ("{ digest: stable }", "stable@1", "", "nothing: the registry has no tag stable that may be taken"),
        // Lower than what is pinned.
        (
            "{ semver: <2 }",
            "2.1.0@2",
            "1.9.0@1, 2.1.0@2",
            "nothing: 1.9.0 is lower than 2.1.0, which Git declares; set `downgrade: true` to allow it",
        ),
        ("{ semver: <2, downgrade: true }", "2.1.0@2", "1.9.0@1, 2.1.0@2", "move to 1.9.0"),
        (
            "{ semver: <2 }",
            "@2",
            "1.9.0@1, 2.1.0@2",
            "nothing: 1.9.0 is lower than sha256:000000000002, which Git declares; set `downgrade: true` to allow it",
        ),
        (
            "{ newest: '^main-' }",
            "dev@2",
            "main-a@1 age=20, dev@2 age=10",
            "nothing: main-a is lower than dev, which Git declares; set `downgrade: true` to allow it",
        ),
        ("{ newest: '^main-' }", "dev@2", "main-a@1 age=5, dev@2 age=10", "move to main-a"),
        // Two tags of one image.
        ("{ newest: '^main-' }", "main-a@1", "main-a@1 age=5, main-b@1 age=5", "up to date"),
        ("{ newest: '^main-' }", "@1", "main-b@1 age=5", "up to date"),
        ("{ numeric: '([0-9]+)$' }", "b-9@1", "b-9@1, b-10@2", "move to b-10"),
        (
            "{ alphabetical: '^[a-z]$' }",
            "c@3",
            "a@1, b@2",
            "nothing: b is lower than c, which Git declares; set `downgrade: true` to allow it",
        ),
        ("{ semver: '*' }", "1.0.0@1", "", "nothing: the registry has no tags"),
        (
            "{ semver: '>1' }",
            "1.0.0@1",
            "1.0.0@1",
            "nothing: the registry has one tag, which the policy does not accept",
        ),
        (
            "{ semver: '>1' }",
            "1.0.0@1",
            "x@1, 1@1, 1.0.0@1",
            "nothing: the registry has 3 tags, none of which the policy accepts",
        ),
        // E6: where no tag is a version, what would order them.
        (
            "{ semver: '*' }",
            "1.0.0@1",
            "x@1, y@1",
            "nothing: no tag of the registry is a version (y is none); `alphabetical: '.'` takes the last by its letters, `digest: TAG` follows one tag",
        ),
        (
            "{ semver: '*' }",
            "1.0.0@1",
            "x@1 age=9, main-0af@1 age=20",
            "nothing: no tag of the registry is a version (x is none); `newest: '.'` takes what was pushed last",
        ),
        (
            "{ semver: '*' }",
            "1.0.0@1",
            "20260115@1",
            "nothing: no tag of the registry is a version (20260115 is none); `numeric: '^[0-9]+$'` takes the highest number",
        ),
        (
            "{ semver: '*' }",
            "1.0.0@1",
            "v12.5.10.3@1",
            "nothing: no tag of the registry is a version (v12.5.10.3 is none); `version: '^v?[0-9._-]+$'` orders rows of numbers",
        ),
        (
            "{ semver: '>=1' }",
            "1.0.0@1",
            "shop.release-1.1.0@1",
            "nothing: no tag of the registry is a version (shop.release-1.1.0 is none); `semver: { range: '>=1', from: '^shop[.]release-(.*)$' }` cuts one out of it",
        ),
        (
            "{ semver: '>=1' }",
            "1.0.0@1",
            "release-1.1.0.4@1",
            "nothing: no tag of the registry is a version (release-1.1.0.4 is none); `version: '^release-(.*)$'` orders rows of numbers",
        ),
    ] {
        let (policy, current, tags) = (policy(text), image(pinned), candidates(tags));
        let pair = picked(&policy, &current, &tags).map(|picked| (picked, picked.digest.as_deref().unwrap()));
        let decision = match decide(&policy, &current, &tags, pair) {
            Decision::Move { tag } => format!("move to {tag}"),
            Decision::UpToDate { note: None } => "up to date".to_owned(),
            Decision::UpToDate { note: Some(note) } => format!("up to date: {note}"),
            Decision::Nothing(reason) => format!("nothing: {reason}"),
        };
        assert_eq!(decision, expected, "{text}, {pinned} pinned, {tags:?}");
    }
}

/// A person's commit: from one image to another, under a policy.
fn change(text: &str, before: &str, after: &str) -> PinChange {
    PinChange {
        commit: "c0ffee".into(),
        author: "Ada".into(),
        at: NOW,
        before: Some(image(before)),
        after: image(after),
        policy: Some(policy(text)),
        is_ours: false,
        earlier: BTreeSet::new(),
        followed: None,
    }
}

#[test]
fn a_person_who_contradicts_the_policy_is_obeyed() {
    let tags = "1.3.0@1, 1.4.0@2, 1.5.0@3, 2.0.0@4, stable@5, main-1@6 age=30, main-2@7 age=20, main-3@8 age=10";
    for (text, before, after, what) in [
        // Lower is held, higher and the same version are not.
        ("{ semver: ^1 }", "1.5.0@3", "1.4.0@2", Some("went from 1.5.0 back to 1.4.0")),
        ("{ semver: ^1 }", "1.4.0@2", "1.5.0@3", None),
        ("{ semver: ^1 }", "1.4.0", "1.4.0@2", None),
        ("{ semver: ^1 }", "1.4.0@2", "v1.4.0@2", None),
        ("{ semver: ^1 }", "@3", "@2", Some("went from sha256:000000000003 back to sha256:000000000002")),
        ("{ semver: ^1 }", "@2", "@3", None),
        ("{ numeric: '-([0-9]+)$' }", "main-3@8", "main-2@7", Some("went from main-3 back to main-2")),
        ("{ alphabetical: '^main-(.*)$' }", "main-3@8", "main-2@7", Some("went from main-3 back to main-2")),
        ("{ newest: '^main-' }", "main-3@8", "main-1@6", Some("went from main-3 back to main-1")),
        ("{ newest: '^main-' }", "main-1@6", "main-3@8", None),
        // What is not admitted is held, whether higher or lower.
        ("{ semver: ^1 }", "1.5.0@3", "2.0.0@4", Some("pinned 2.0.0, which the policy does not admit")),
        ("{ semver: ^1 }", "1.5.0@3", "hotfix@9", Some("pinned hotfix, which the policy does not admit")),
        ("{ semver: ^1 }", "1.5.0@3", "@9", Some("pinned sha256:000000000009, which the policy does not admit")),
        ("{ semver: ^1 }", "1.5.0@3", "", Some("took the pin 1.5.0 away")),
        (
            "{ semver: ^1, ignore: ['^1.5'] }",
            "1.4.0@2",
            "1.5.0@3",
            Some("pinned 1.5.0, which the policy does not admit"),
        ),
        ("{ newest: '^main-' }", "main-1@6", "dev@9", Some("pinned dev, which the policy does not admit")),
        // A first pin contradicts nothing.
        ("{ alphabetical: '.*' }", "", "1.3.0@1", None),
        // From what the policy, which came with the pin or before it, does not admit: the policy was moved too.
        ("{ semver: ^1 }", "2.0.0@4", "1.5.0@3", None),
        ("{ semver: ^2 }", "1.5.0@3", "2.0.0@4", None),
        // Who takes lower ones may be given a lower one.
        ("{ semver: ^1, downgrade: true }", "1.5.0@3", "1.4.0@2", None),
        (
            "{ semver: ^1, downgrade: true }",
            "1.5.0@3",
            "2.0.0@4",
            Some("pinned 2.0.0, which the policy does not admit"),
        ),
        // A moving tag.
        ("{ digest: stable }", "stable@4", "stable@5", None),
        ("{ digest: stable }", "stable@4", "stable@1", Some("went back to sha256:000000000001, which it had before")),
        ("{ digest: stable }", "stable@4", "stable", Some("took the digest of stable away")),
        ("{ digest: stable }", "stable@4", "1.3.0@1", Some("pinned 1.3.0, which the policy does not admit")),
        // The other one has 1.4.0.
        ("{ follow: other/app }", "1.3.0@1", "1.4.0@2", None),
        ("{ follow: other/app }", "1.4.0@2", "1.3.0@1", Some("pinned 1.3.0, which is not what other/app has")),
        // Nothing was moved.
        ("{ semver: ^1 }", "2.0.0@4", "2.0.0@4", None),
    ] {
        let mut change = change(text, before, after);
        change.earlier.insert(digest(1));
        change.followed = Some(image("1.4.0@2"));
        let mut tags = candidates(tags);
        for _ in 0..2 {
            let held = held_by(&change, &tags);
            assert_eq!(held.as_ref().map(|held| held.what.as_str()), what, "{text}: {before} to {after}");
            if let Some(held) = held {
                assert_eq!((held.by.as_str(), held.commit.as_str(), held.at), ("Ada", "c0ffee", NOW));
            }
            tags.reverse();
        }
    }
}

#[test]
fn what_is_no_contradiction_of_a_person_holds_nothing() {
    let tags = candidates("1.4.0@2, 1.5.0@3");
    let lower = change("{ semver: ^1 }", "1.5.0@3", "1.4.0@2");
    assert!(held_by(&lower, &tags).is_some());
    for (why, change) in [
        ("our own bump, or a release", PinChange { is_ours: true, ..lower.clone() }),
        ("there was no policy", PinChange { policy: None, ..lower.clone() }),
        ("there was no such container", PinChange { before: None, ..lower.clone() }),
        ("the policy was moved with it", PinChange { policy: Some(policy("{ semver: ~1.4 }")), ..lower.clone() }),
    ] {
        assert_eq!(held_by(&change, &tags), None, "{why}");
    }
    let follow = change("{ follow: other/app }", "1.4.0@2", "1.5.0@3");
    let held = held_by(&follow, &tags).unwrap();
    assert_eq!(held.what, "pinned 1.5.0, which is not what other/app has", "what is followed has no image");
}

#[test]
fn a_digest_with_several_tags_stands_where_its_highest_tag_does() {
    // 1.6.0 was tagged at an image that was 1.4.0 already.
    let mut tags = candidates("1.4.0@2, 1.6.0@2, 1.5.0@3, 2.0.0@4");
    for _ in 0..2 {
        assert_eq!(held_by(&change("{ semver: ^1 }", "1.5.0@3", "@2"), &tags), None);
        assert!(held_by(&change("{ semver: ^1 }", "@2", "1.5.0@3"), &tags).is_some());
        let policy = policy("{ semver: '~1.5' }");
        let pair = picked(&policy, &image("@2"), &tags).map(|picked| (picked, picked.digest.as_deref().unwrap()));
        assert!(
            matches!(decide(&policy, &image("@2"), &tags, pair), Decision::Nothing(_)),
            "1.5.0 is lower than 1.6.0"
        );
        tags.reverse();
    }
}
