//! A person who pins or reverts by hand is obeyed: by `hold` in a policy, and by history.

use lockstep_core::event::What;
use lockstep_core::report::Reason;
use lockstep_core::state::{ImageState, Standing};
use lockstep_tests::{
    git_http::git,
    images::{ImageWorld, one_service},
};

const PINS: &str = "services/web/prod.pins.yaml";
const SERVICE: &str = "services/web/service.yaml";

/// A world whose pin was bumped from 1.0.0 to 1.2.0 by the agent, with the digests.
async fn bumped(policy: &str) -> (ImageWorld, [String; 2]) {
    let mut it = ImageWorld::new(&one_service(policy, "1.0.0")).await;
    let old = it.push("1.0.0");
    let new = it.push("1.2.0");
    assert!(it.look().await);
    assert!(it.pins().contains(&new));
    it.world.happened();
    (it, [old, new])
}

fn hold(image: &ImageState) -> (Standing, String, String) {
    let hold = image.hold.clone().unwrap_or_else(|| panic!("not held: {image:?}"));
    (image.standing, hold.by.unwrap_or_default(), hold.what)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_by_hand_is_left_alone_and_said() {
    let (mut it, _) = bumped("{ semver: \"*\" }").await;
    let revert = it.revert();
    it.push("1.3.0");
    for restarted in [false, true] {
        if restarted {
            it.restart();
        }
        assert!(!it.look().await);
        let image = it.image();
        assert_eq!(hold(&image), (Standing::Held, "Ada".into(), "went from 1.2.0 back to 1.0.0".into()));
        let day = image.hold.as_ref().unwrap().at.clone().unwrap();
        assert_eq!(
            image.text,
            format!("held: Ada went from 1.2.0 back to 1.0.0 in {} on {day}; 1.3.0 is waiting", &revert[..10])
        );
        assert!(image.picked.unwrap().starts_with("1.3.0@sha256:"));
    }
    assert_eq!(it.commits(), 3);
    let held = it.world.happened().into_iter().filter(|event| matches!(event.what, What::Held { .. })).count();
    assert_eq!(held, 1, "it is told once");
    // The round's report says it as well.
    it.world.round().await;
    let plan = it.world.context.board.state().sources[0].plan();
    let withheld = &plan.environments[0].services[0].withheld;
    assert!(
        withheld.iter().any(|it| it.reason == Reason::Held && it.text.contains("1.3.0 is waiting")),
        "{withheld:?}"
    );
    // Who moves it up again by hand ends it.
    it.person("on again", &[(PINS, "app: 1.2.0\n")]);
    assert!(it.look().await);
    assert!(it.pins().starts_with("app: 1.3.0@sha256:"), "{}", it.pins());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_outlives_broken_files_and_digests_that_are_added() {
    let (mut it, [old, _]) = bumped("{ semver: \"*\" }").await;
    let back = || (Standing::Held, "Ada".into(), "went from 1.2.0 back to 1.0.0".into());
    it.revert();
    assert!(!it.look().await);
    assert_eq!(hold(&it.image()), back());
    // Somebody breaks the file, in three ways, looks at it or does not, and mends it.
    let broken = ["app: [\n", "app: 1.0.0\napp: 1.2.0\n", "app: 1.0.0\nother: [1]\n"];
    for (number, broken) in broken.iter().enumerate() {
        it.person("break it", &[(PINS, broken)]);
        if number == 0 {
            assert!(!it.look().await);
        }
        it.person("still broken", &[(PINS, &format!("{broken}# help\n"))]);
        it.person("mend it", &[(PINS, "app: 1.0.0\n")]);
        for restarted in [false, true] {
            if restarted {
                it.restart();
            }
            assert!(!it.look().await, "{broken}");
            assert_eq!(hold(&it.image()), back(), "{broken}");
        }
    }
    // The digest of the tag that stands there is no other choice.
    it.person("exactly", &[(PINS, &format!("app: 1.0.0@{old}\n"))]);
    assert!(!it.look().await);
    assert_eq!(hold(&it.image()), back());
    // What a mended file says for the first time counts.
    it.person("break it", &[(PINS, "app: [\n")]);
    it.person("up", &[(PINS, "app: 1.2.0\n")]);
    it.restart();
    assert!(it.look().await, "{:?}", it.image());
    assert!(it.pins().starts_with("app: 1.2.0@sha256:"));
    it.person("break it", &[(PINS, "app: [\n")]);
    it.person("down", &[(PINS, "app: 1.0.0\n")]);
    assert!(!it.look().await);
    assert_eq!(hold(&it.image()), back());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_policy_does_not_admit_is_held_and_what_it_ranks_higher_is_not() {
    for (pin, held) in [
        ("hotfix-1", Some("pinned hotfix-1, which the policy does not admit")),
        ("1.1.0", Some("went from 1.2.0 back to 1.1.0")),
        ("2.0.0-rc.1", Some("pinned 2.0.0-rc.1, which the policy does not admit")),
        ("1.2.5", None),
        ("1.2.0", Some("took the digest of 1.2.0 away")),
    ] {
        let (mut it, _) = bumped("{ semver: \"*\" }").await;
        for tag in ["1.1.0", "1.2.5", "hotfix-1", "2.0.0-rc.1", "1.3.0"] {
            it.push(tag);
        }
        it.person("by hand", &[(PINS, &format!("app: {pin}\n"))]);
        assert_eq!(it.look().await, held.is_none(), "{pin}: {}", it.image().text);
        match held {
            Some(what) => assert_eq!(hold(&it.image()), (Standing::Held, "Ada".into(), what.into())),
            None => assert!(it.pins().contains("1.3.0@"), "{pin}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn moving_policy_and_pin_together_is_not_a_hold() {
    let (mut it, [old, _]) = bumped("{ semver: \"*\" }").await;
    let service = it.file(SERVICE).replace("semver: \"*\"", "semver: \"<1.2\"");
    it.person("stay below 1.2", &[(PINS, "app: 1.0.0\n"), (SERVICE, &service)]);
    assert!(it.look().await);
    assert_eq!(it.pins(), format!("app: 1.0.0@{old}\n"));
    let new = it.push("1.1.0");
    assert!(it.look().await);
    assert_eq!(it.pins(), format!("app: 1.1.0@{new}\n"));
    // What is lowered by the range alone is no downgrade.
    let service = it.file(SERVICE).replace("<1.2", "<1.1");
    it.person("stay below 1.1", &[(SERVICE, &service)]);
    assert!(!it.look().await);
    let image = it.image();
    assert_eq!(image.standing, Standing::Nothing);
    assert_eq!(image.text, "1.0.0 is lower than 1.1.0, which Git declares; set `downgrade: true` to allow it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moving_tag_is_held_when_somebody_goes_back_to_an_earlier_digest() {
    let mut it = ImageWorld::new(&one_service("{ digest: stable }", "stable")).await;
    let mut digests = Vec::new();
    for _ in 0..3 {
        digests.push(it.push("stable"));
        assert!(it.look().await);
    }
    it.person("back", &[(PINS, &format!("app: stable@{}\n", digests[0]))]);
    assert!(!it.look().await);
    let what = format!("went back to {}, which it had before", &digests[0][..19]);
    assert_eq!(hold(&it.image()), (Standing::Held, "Ada".into(), what));
    it.restart();
    assert!(!it.look().await);
    // One that it never had is no way back.
    let other = it.push("other");
    it.person("forth", &[(PINS, &format!("app: stable@{other}\n"))]);
    assert!(it.look().await);
    assert!(it.pins().contains(&digests[2]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_can_say_why_it_holds() {
    let files = one_service("{ semver: \"*\", hold: \"waiting for the database\" }", "1.0.0");
    let mut it = ImageWorld::new(&files).await;
    it.push("1.1.0");
    assert!(!it.look().await);
    let image = it.image();
    assert_eq!(image.standing, Standing::Held);
    assert_eq!(image.text, "held: waiting for the database (hold, services/web/service.yaml:15:29); 1.1.0 is waiting");
    let service = it.file(SERVICE).replace(", hold: \"waiting for the database\"", "");
    it.person("go on", &[(SERVICE, &service)]);
    assert!(it.look().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_pin_that_is_reverted_is_not_made_again() {
    let mut files = one_service("{ semver: \"*\" }", "");
    files[1].1 = files[1].1.replace("/app\"", "/app:1.0.0\"");
    let mut it = ImageWorld::new(&files).await;
    it.push("1.0.0");
    it.push("1.1.0");
    assert!(it.look().await);
    it.revert();
    assert!(!it.look().await);
    assert_eq!(hold(&it.image()), (Standing::Held, "Ada".into(), "went from 1.1.0 back to 1.0.0".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn new_services_with_a_pin_and_a_policy_are_not_held() {
    let mut it = ImageWorld::new(&one_service("{ semver: \"*\" }", "latest")).await;
    it.push("latest");
    it.world.control.advance(std::time::Duration::from_secs(10));
    it.push("1.0.0");
    assert!(it.look().await, "{}", it.image().text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_goes_with_the_service_when_its_directory_moves() {
    let (mut it, _) = bumped("{ semver: \"*\" }").await;
    it.person("back", &[(PINS, "app: 1.0.0\n")]);
    assert!(!it.look().await);
    let checkout = it.repository.checkout();
    std::fs::create_dir_all(checkout.join("services/shop")).unwrap();
    git(checkout, &["mv", "services/web", "services/shop/web"]);
    it.push_checkout("moved");
    for restarted in [false, true] {
        if restarted {
            it.restart();
        }
        assert!(!it.look().await);
        assert_eq!(hold(&it.image()), (Standing::Held, "Ada".into(), "went from 1.2.0 back to 1.0.0".into()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_automation_wrote_and_a_person_takes_away_stays_away() {
    // The digest alone, by a revert.
    let mut it = ImageWorld::new(&one_service("{ digest: stable }", "stable")).await;
    it.push("stable");
    assert!(it.look().await);
    it.revert();
    assert!(!it.look().await);
    assert_eq!(hold(&it.image()).2, "took the digest of stable away");
    // A bump's message that is used again for the way back.
    let (mut it, _) = bumped("{ semver: \"*\" }").await;
    it.push("1.3.0");
    assert!(it.look().await);
    let checkout = it.update_checkout();
    git(checkout, &["checkout", "--quiet", "HEAD^", "--", PINS]);
    git(checkout, &["commit", "--quiet", "-C", "HEAD^"]);
    git(checkout, &["push", "--quiet", "origin", "HEAD:main"]);
    assert!(!it.look().await);
    assert_eq!(hold(&it.image()).2, "went from 1.3.0 back to 1.2.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_of_a_pins_file_decides() {
    let config = |inherits: &str| {
        format!(
            "{}  prod-us: {{ inherits: prod, cluster: prod-us }}\n{inherits}",
            lockstep_tests::world::ONE_ENVIRONMENT
        )
    };
    let web = lockstep_tests::world::service(lockstep_tests::world::IMAGE);
    for (owner, child, mine, text) in [
        (
            "{}",
            "{ updates: { app: { semver: \"*\" } } }",
            None,
            "the pin is prod's, which has no policy for it: give prod-us a pin of its own",
        ),
        (
            "{ updates: { app: { semver: \"*\" } } }",
            "{ updates: { app: { semver: \"*\" } } }",
            Some("prod-us"),
            "the pin is in prod's pins file, which this source does not manage",
        ),
    ] {
        let files = vec![
            ("lockstep.yaml".to_owned(), config("")),
            (
                "services/web/service.yaml".to_owned(),
                format!("{web}environments:\n  prod: {owner}\n  prod-us: {child}\n"),
            ),
            (PINS.to_owned(), "app: 1.0.0\n".to_owned()),
        ];
        let mut it = ImageWorld::quick(&files).await;
        it.config.environments = mine.map(|name: &str| vec![name.to_owned()]);
        it.restart();
        it.push("1.1.0");
        assert!(!it.look().await);
        assert_eq!((it.image().standing, it.image().text.as_str()), (Standing::Nothing, text));
        assert_eq!(it.commits(), 1);
    }
}
