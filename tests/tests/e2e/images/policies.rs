//! What each policy picks, and what is written for it.

use lockstep_core::event::{Event, What};
use lockstep_core::report::{Reason, Verdict};
use lockstep_core::state::Standing;
use lockstep_sandbox::{Effect, Fault, NewImage};
use lockstep_tests::{
    images::{ImageWorld, one_service},
    world::{ACCOUNT, IMAGE, ONE_ENVIRONMENT, REGION, calls, reasons, service},
};
use std::{collections::BTreeMap, time::Duration};

fn arm() -> NewImage {
    NewImage { architectures: vec!["arm64".into()], ..NewImage::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_version_is_committed_as_one_line_and_deployed() {
    let mut it = ImageWorld::new(&one_service("{ semver: \">=1.4 <2\" }", "1.4.2")).await;
    let old = it.push("1.4.2");
    for tag in ["1.3.9", "2.0.0", "1.5.0-rc.1", "latest"] {
        it.push(tag);
    }
    let labels = BTreeMap::from([
        ("org.opencontainers.image.revision".to_owned(), "0af1234".to_owned()),
        ("org.opencontainers.image.source".to_owned(), "https://git.example.com/app".to_owned()),
    ]);
    let new = it.push_as("1.4.3", &NewImage { labels, ..NewImage::default() });
    assert_ne!(old, new);
    it.world.runner.refresh(&it.world.context).await.unwrap();
    it.world.happened();
    it.world.control.reset_calls();
    assert!(it.look().await);
    // A listing, the image and its configuration: nothing else is asked.
    assert_eq!(
        it.world.calls(),
        calls(&[("ecr:BatchGetImage", 1), ("ecr:DescribeImages", 2), ("ecr:GetDownloadUrlForLayer", 1)])
    );
    assert_eq!(it.pins(), format!("# by hand\napp: 1.4.3@{new} # the app\n"));
    assert_eq!(it.last_change(), "1\t1\tservices/web/prod.pins.yaml");
    let message = it.git(&["log", "-1", "--format=%B", "main"]);
    let pushed = it.git(&["log", "-1", "--format=%(trailers:key=Lockstep-Image,valueonly)", "main"]);
    assert_eq!(pushed, format!("prod/web/app 1.4.2 → 1.4.3@{new}"));
    assert!(message.starts_with("web: app 1.4.2 → 1.4.3 in prod\n\nprod/web app: 1.4.2 → 1.4.3 (sha256:"), "{message}");
    assert!(message.contains("\n  source https://git.example.com/app/commit/0af1234\n"), "{message}");
    let bumped: Vec<Event> = it.world.happened();
    assert!(
        bumped.iter().any(|event| matches!(&event.what, What::Bumped { bumps, .. } if bumps.len() == 1)),
        "{bumped:?}"
    );
    // The same registry and the same Git: nothing more.
    assert!(!it.look().await);
    it.restart();
    assert!(!it.look().await);
    assert_eq!(it.commits(), 2);
    assert_eq!(it.image().standing, Standing::UpToDate);
    // And the ordinary round deploys it.
    it.world.settle().await;
    let running = it.world.described("web").await;
    let revision =
        it.world.ecs("DescribeTaskDefinition", serde_json::json!({"taskDefinition": running["taskDefinition"]})).await;
    assert_eq!(revision["taskDefinition"]["containerDefinitions"][0]["image"], format!("{IMAGE}:1.4.3@{new}"));
    it.fsck();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_labels_of_an_index_are_those_of_its_images() {
    let mut it = ImageWorld::new(&one_service("{ semver: \"*\" }", "1.0.0")).await;
    it.push("1.0.0");
    let labels = BTreeMap::from([
        ("org.opencontainers.image.revision".to_owned(), "0af1234".to_owned()),
        ("org.opencontainers.image.source".to_owned(), "https://git.example.com/app".to_owned()),
        ("org.opencontainers.image.changelog".to_owned(), "https://git.example.com/app/changes".to_owned()),
    ]);
    let architectures = vec!["amd64".to_owned(), "arm64".to_owned()];
    it.push_as("1.1.0", &NewImage { labels, architectures, ..NewImage::default() });
    it.world.runner.refresh(&it.world.context).await.unwrap();
    it.world.control.reset_calls();
    assert!(it.look().await);
    let message = it.git(&["log", "-1", "--format=%B", "main"]);
    assert!(message.contains("\n  source https://git.example.com/app/commit/0af1234\n"), "{message}");
    assert!(message.contains("\n  changes https://git.example.com/app/changes\n"), "{message}");
    // The index, the first of its images, and that one's configuration; nothing of the attestation beside it.
    assert_eq!(
        it.world.calls(),
        calls(&[("ecr:BatchGetImage", 2), ("ecr:DescribeImages", 2), ("ecr:GetDownloadUrlForLayer", 1)])
    );
    it.world.control.reset_calls();
    assert!(!it.look().await);
    assert_eq!(it.world.calls(), calls(&[("ecr:DescribeImages", 1)]), "what is known of an image is not asked again");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_bumps_of_a_pin_change_as_many_lines() {
    let mut it = ImageWorld::new(&one_service("{ semver: \"*\" }", "'1.0.0'")).await;
    for patch in 1..=25 {
        let digest = it.push(&format!("1.0.{patch}"));
        assert!(it.look().await);
        assert_eq!(it.last_change(), "1\t1\tservices/web/prod.pins.yaml");
        assert_eq!(it.pins(), format!("# by hand\napp: '1.0.{patch}@{digest}' # the app\n"));
        assert!(!it.look().await);
    }
    assert_eq!(it.commits(), 26);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_pin_is_a_file_of_one_line() {
    let mut it = ImageWorld::new(&one_service("{ semver: \"1.x\" }", "")).await;
    let digest = it.push("1.0.0");
    assert!(it.look().await);
    assert_eq!(it.pins(), format!("app: 1.0.0@{digest}\n"));
    assert_eq!(it.last_change(), "1\t0\tservices/web/prod.pins.yaml");
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_pick_as_they_say() {
    for (policy, pin, tags, picked) in [
        ("{ semver: \"~1.2\" }", "1.2.0", vec!["v1.2.7", "1.2.10", "1.3.0", "1.2.9"], Some("1.2.10")),
        ("{ semver: \"^1 || ^3\" }", "1.0.0", vec!["2.9.0", "3.1.0", "4.0.0"], Some("3.1.0")),
        ("{ semver: \">=1.0.0-0 <2.0.0\" }", "1.0.0", vec!["1.1.0-rc.2", "1.1.0-rc.10"], Some("1.1.0-rc.10")),
        ("{ semver: \"*\" }", "1.2", vec!["1.2", "1.2.0"], Some("1.2")),
        ("{ semver: \"*\" }", "1.1.0", vec!["v1.2", "v1.2.0"], Some("v1.2.0")),
        ("{ semver: \"*\" }", "1.1.0", vec!["20260115", "7654321"], None),
        ("{ newest: \"^main-\" }", "main-a", vec!["main-b", "main-a", "dev-c"], Some("main-a")),
        ("{ numeric: \"^build-([0-9]+)$\" }", "build-9", vec!["build-9", "build-10", "build-x"], Some("build-10")),
        ("{ numeric: \"[0-9.]+$\" }", "a-1.5", vec!["a-1.25", "a-1.5"], Some("a-1.5")),
        ("{ alphabetical: \"^[a-f0-9]+-(.*)$\" }", "f-a", vec!["1-b", "f-a"], Some("1-b")),
        ("{ digest: stable }", "stable", vec!["stable", "1.0"], Some("stable")),
        (
            "{ semver: \"*\", allow: \"^1\", ignore: [\"rc\", \"bad$\"] }",
            "1.0.0",
            vec!["2.0.0", "1.2.0-bad", "1.1.0"],
            Some("1.1.0"),
        ),
        // Never down, unless asked.
        ("{ semver: \"<2\" }", "2.1.0", vec!["1.9.0"], None),
        ("{ semver: \"<2\", downgrade: true }", "2.1.0", vec!["1.9.0"], Some("1.9.0")),
        ("{ alphabetical: \".*\" }", "c", vec!["a", "b"], None),
        // A5: what is pinned need not be a version; what was pushed after it follows it, and nothing else does.
        ("{ semver: \"*\" }", "latest", vec!["latest", "1.0.0"], Some("1.0.0")),
        ("{ semver: \">=1.0\" }", "12.5.5.201", vec!["1.0.0", "12.5.5.201", "12.5.5.202"], None),
        ("{ semver: \"*\" }", "latest", vec!["1.0.0"], None),
    ] {
        let mut it = ImageWorld::quick(&one_service(policy, pin)).await;
        let mut digests = BTreeMap::new();
        for tag in &tags {
            it.world.control.advance(Duration::from_secs(10));
            digests.insert(*tag, it.push(tag));
        }
        assert_eq!(it.look().await, picked.is_some(), "{policy}: {}", it.image().text);
        let expected = picked.map_or(pin.to_owned(), |tag| format!("{tag}@{}", digests[tag]));
        assert_eq!(it.pins(), format!("# by hand\napp: {expected} # the app\n"), "{policy}");
        assert!(!it.look().await, "{policy}: a second look finds nothing");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moving_tag_is_followed_by_its_digest_with_one_call() {
    let mut it = ImageWorld::new(&one_service("{ digest: stable }", "stable")).await;
    let first = it.push("stable");
    assert!(it.look().await);
    assert_eq!(it.pins(), format!("# by hand\napp: stable@{first} # the app\n"));
    it.world.control.reset_calls();
    assert!(!it.look().await);
    assert_eq!(it.world.calls(), calls(&[("ecr:DescribeImages", 1)]));
    let second = it.push("stable");
    assert!(it.look().await);
    assert_eq!(it.pins(), format!("# by hand\napp: stable@{second} # the app\n"));
    // A version whose tag is moved stays what it was, and that is said.
    let mut it = ImageWorld::new(&one_service("{ semver: \"*\" }", "1.0.0")).await;
    let first = it.push("1.0.0");
    assert!(it.look().await);
    let pins = it.pins();
    assert!(pins.contains(&first));
    it.push("1.0.0");
    assert!(!it.look().await);
    assert_eq!(it.pins(), pins);
    assert_eq!(it.image().text, "1.0.0 points at another digest now; `digest: 1.0.0` would follow it");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_must_have_the_platform_and_its_age() {
    let mut it = ImageWorld::new(&one_service("{ semver: \"*\", minAge: 2h }", "1.0.0")).await;
    it.push("1.0.0");
    it.world.control.advance(Duration::from_secs(7200));
    let both = NewImage { architectures: vec!["amd64".into(), "arm64".into()], ..NewImage::default() };
    let good = it.push_as("1.1.0", &both);
    it.push_as("1.2.0", &arm());
    assert!(it.look().await, "the pinned one gets its digest");
    assert!(it.pins().contains("app: 1.0.0@sha256:"), "{}", it.pins());
    it.world.control.advance(Duration::from_secs(7199));
    assert!(!it.look().await);
    it.world.control.advance(Duration::from_secs(1));
    assert!(it.look().await);
    assert_eq!(it.pins(), format!("# by hand\napp: 1.1.0@{good} # the app\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_moves_in_the_same_commit() {
    let mut files = one_service("{ semver: \"*\" }", "1.0.0");
    let other = service(&IMAGE.replace("/app", "/migrations"));
    files.push(("services/jobs/service.yaml".into(), format!("{other}updates:\n  app: {{ follow: web/app }}\n")));
    files.push(("services/jobs/prod.pins.yaml".into(), "app: 1.0.0\n".into()));
    let mut it = ImageWorld::new(&files).await;
    let web = it.push("1.1.0");
    it.world.control.create_repository(ACCOUNT, REGION, "migrations");
    assert!(it.look().await);
    assert_eq!(it.file("services/jobs/prod.pins.yaml"), "app: 1.0.0\n", "there is no such image in its repository yet");
    let image = it.images().into_iter().find(|image| image.service == "jobs").unwrap();
    assert_eq!(
        (image.standing, image.text.as_str()),
        (Standing::Nothing, "the registry has no tag 1.1.0, which web/app has")
    );
    let jobs = it.world.control.push_image(ACCOUNT, REGION, "migrations", "1.1.0", lockstep_sandbox::Behaviour::Ok);
    assert!(it.look().await);
    assert_eq!(it.file("services/jobs/prod.pins.yaml"), format!("app: 1.1.0@{jobs}\n"));
    assert!(it.pins().contains(&web));
    // Both are there: both move at once.
    it.world.control.push_image(ACCOUNT, REGION, "migrations", "1.2.0", lockstep_sandbox::Behaviour::Ok);
    it.push("1.2.0");
    assert!(it.look().await);
    assert_eq!(it.last_change(), "1\t1\tservices/jobs/prod.pins.yaml\n1\t1\tservices/web/prod.pins.yaml");
}

/// A service whose pin two environments read, each with a registry in its own region.
fn in_two_regions() -> Vec<(String, String)> {
    let config = format!("{ONE_ENVIRONMENT}  prod-us: {{ inherits: prod, region: us-east-1 }}\n");
    let web = service("${{ account }}.dkr.ecr.${{ region }}.amazonaws.com/app");
    vec![
        ("lockstep.yaml".to_owned(), config),
        ("services/web/service.yaml".to_owned(), format!("{web}updates: {{ app: {{ semver: \"*\" }} }}\n")),
        ("services/web/prod.pins.yaml".to_owned(), "app: 1.0.0\n".to_owned()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_must_be_wherever_the_pin_is_read() {
    let mut it = ImageWorld::new(&in_two_regions()).await;
    let digest = it.push("1.1.0");
    it.world.control.create_repository(ACCOUNT, "us-east-1", "app");
    assert!(!it.look().await);
    assert_eq!(it.image().readers, ["prod", "prod-us"]);
    // The same image arrives in the other region.
    assert!(it.world.control.replicate_image(ACCOUNT, REGION, "app", "1.1.0", "us-east-1"));
    assert!(it.look().await, "{}", it.image().text);
    assert_eq!(it.pins(), format!("app: 1.1.0@{digest}\n"));
    assert_eq!(it.commits(), 2, "one commit, one file: both environments read it");
}

// K5: one reader whose registry is out of reach does not stop the others, and deploys when it has shown the image.
#[tokio::test(flavor = "multi_thread")]
async fn an_environment_out_of_reach_is_waited_for_for_a_quarter_of_an_hour() {
    let mut it = ImageWorld::new(&in_two_regions()).await;
    it.world.control.create_cluster(ACCOUNT, "us-east-1", "prod");
    it.push("1.0.0");
    assert!(it.world.control.replicate_image(ACCOUNT, REGION, "app", "1.0.0", "us-east-1"));
    assert!(it.look().await, "{}", it.image().text);
    it.world.settle().await;
    let digest = it.push("1.1.0");
    let unreadable = Fault { region: Some("us-east-1".to_owned()), ..Fault::new("ecr:DescribeImages", Effect::Deny) };
    it.world.control.add_fault(unreadable);
    assert!(!it.look().await);
    let text = it.image().text;
    assert_eq!(it.image().standing, Standing::Unknown);
    assert!(text.contains("ecr:DescribeImages"), "{text}");
    assert!(text.ends_with("; the pin is moved without it in 15 min, if that goes on"), "{text}");
    it.world.control.advance(Duration::from_secs(14 * 60));
    assert!(!it.look().await, "{}", it.image().text);
    assert!(it.image().text.ends_with("in 1 min, if that goes on"), "{}", it.image().text);
    it.world.control.advance(Duration::from_secs(60));
    assert!(it.look().await, "{}", it.image().text);
    assert_eq!(it.pins(), format!("app: 1.1.0@{digest}\n"));
    assert!(!it.look().await);
    let text = it.image().text;
    assert_eq!(it.image().standing, Standing::UpToDate);
    let lag =
        "what the policy picks; 111111111111.dkr.ecr.us-east-1.amazonaws.com/app could not be read for 15 minutes (";
    assert!(text.starts_with(lag), "{text}");
    assert!(text.ends_with("the environments that use it deploy the image when it is there"), "{text}");
    // The environment deploys it when its own registry has shown it.
    rounds(&mut it).await;
    assert_eq!(it.world.reported_in("prod", "web").plan.verdict, Some(Verdict::Deployed));
    let waits = |it: &ImageWorld| it.world.reported_in("prod-us", "web");
    let name = "111111111111.dkr.ecr.us-east-1.amazonaws.com/app";
    let state = waits(&it);
    let expected = format!("waiting for the image {digest}, which {name} does not have yet");
    assert_eq!((reasons(&state), state.plan.withheld[0].text.as_str()), (vec![Reason::Waiting], expected.as_str()));
    it.world.control.add_fault(Fault::new("ecr:BatchGetImage", Effect::Deny));
    rounds(&mut it).await;
    let text = waits(&it).plan.withheld[0].text.clone();
    assert!(text.starts_with(&format!("waiting for {name}, which must show the image {digest} first: ")), "{text}");
    it.world.control.clear_faults();
    it.world.control.reset_calls();
    assert!(it.world.control.replicate_image(ACCOUNT, REGION, "app", "1.1.0", "us-east-1"));
    rounds(&mut it).await;
    assert_eq!(waits(&it).plan.verdict, Some(Verdict::Deployed), "{:?}", waits(&it).plan.withheld);
    assert_eq!(it.world.calls().get("ecr:BatchGetImage"), Some(&1), "it is asked for once");
    assert!(!it.look().await);
    assert_eq!(it.image().text, "what the policy picks");
}

async fn rounds(it: &mut ImageWorld) {
    for _ in 0..30 {
        it.world.control.advance(Duration::from_secs(10));
        it.world.round().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_cannot_be_read_decides_nothing() {
    let mut it = ImageWorld::new(&one_service("{ semver: \"*\" }", "1.0.0")).await;
    it.push("1.0.0");
    assert!(it.look().await);
    it.world.control.add_fault(Fault::new("ecr:GetDownloadUrlForLayer", Effect::Deny));
    it.push("1.1.0");
    assert!(!it.look().await);
    let image = it.image();
    assert_eq!(image.standing, Standing::Unknown);
    assert!(image.text.starts_with("111111111111.dkr.ecr.eu-central-1.amazonaws.com/app: "), "{}", image.text);
    assert!(image.text.contains("is not allowed to ecr:GetDownloadUrlForLayer"), "{}", image.text);
    it.world.control.clear_faults();
    assert!(it.look().await);
    assert!(it.pins().contains("app: 1.1.0@sha256:"), "{}", it.pins());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_images_that_cannot_be_taken_are_looked_at_in_turns() {
    let mut it = ImageWorld::new(&one_service("{ semver: \"*\" }", "")).await;
    let good = it.push("1.0.0");
    for minor in 1..=11 {
        it.push_as(&format!("1.{minor}.0"), &arm());
    }
    assert!(!it.look().await);
    let text = "10 images in a row cannot be taken; 1.1.0 is the next to look at";
    assert_eq!((it.image().standing, it.image().text.as_str()), (Standing::Nothing, text));
    assert!(it.look().await, "what was found of an image is not asked again: the next look goes on");
    assert_eq!(it.pins(), format!("app: 1.0.0@{good}\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn when_an_image_will_be_old_enough_is_said() {
    let mut it = ImageWorld::new(&one_service("{ semver: \">=2\", minAge: 3h }", "1.0.0")).await;
    it.push("2.0.0");
    assert!(!it.look().await);
    let text = "the registry has one tag, which the policy does not accept; 2.0.0: pushed too short a time ago (minAge): 3 h to go";
    assert_eq!((it.image().standing, it.image().text.as_str()), (Standing::Nothing, text));
}
