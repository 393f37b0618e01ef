//! Images in registries other than ECR: Debian's docker-registry, with images that skopeo pushed.

use lockstep::config::RegistryConfig;
use lockstep_core::state::Standing;
use lockstep_sandbox::{Behaviour, Effect, Fault};
use lockstep_tests::{
    images::{ImageWorld, one_service},
    registry::{ImageSpec, Registry},
    world::{IMAGE, OTHER_ACCOUNT, Setup, calls},
};
use std::collections::BTreeMap;

fn files(registry: &Registry, policy: &str, pin: &str) -> Vec<(String, String)> {
    let mut files = one_service(policy, pin);
    files[1].1 = files[1].1.replace(IMAGE, &format!("{}/team/app", registry.address()));
    files
}

/// A world in which this registry may be reached, over plain HTTP on loopback.
async fn world(registry: &Registry, policy: &str, pin: &str) -> ImageWorld {
    let mut setup = Setup::default();
    setup.allow.registries = vec![registry.address().to_owned()];
    let files = files(registry, policy, pin);
    let it = ImageWorld::with(&files, setup, |it| it.bare().display().to_string(), Default::default()).await;
    let settings = RegistryConfig { insecure: true, ..RegistryConfig::default() };
    it.shared.registries.configure(BTreeMap::from([(registry.address().to_owned(), settings)]));
    it
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_taken_with_the_digest_of_the_index() {
    let registry = Registry::start();
    let mut it = world(&registry, "{ semver: \"1.x\" }", "1.0.0").await;
    registry.push("team/app", "1.0.0", &ImageSpec::of(&["linux/amd64"]));
    let new = registry.push("team/app", "1.1.0", &ImageSpec::of(&["linux/amd64", "linux/arm64"]).attested());
    registry.push("team/app", "1.2.0", &ImageSpec::of(&["linux/arm64"]).attested());
    registry.push("team/app", "2.0.0", &ImageSpec::of(&["linux/amd64"]));
    assert!(it.look().await, "{}", it.image().text);
    assert_eq!(it.pins(), format!("# by hand\napp: 1.1.0@{new} # the app\n"));
    assert!(!it.look().await);
    // Alone, and in an index with an attestation, as builders push it.
    let labelled = ImageSpec::of(&["linux/amd64"])
        .labelled("org.opencontainers.image.revision", "0af1234")
        .labelled("org.opencontainers.image.source", "https://git.example.com/app");
    for (tag, image) in [("1.3.0", labelled.clone()), ("1.4.0", labelled.attested())] {
        let newer = registry.push("team/app", tag, &image);
        assert!(it.look().await);
        assert_eq!(it.pins(), format!("# by hand\napp: {tag}@{newer} # the app\n"));
        let message = it.git(&["log", "-1", "--format=%B", "main"]);
        assert!(message.contains("\n  source https://git.example.com/app/commit/0af1234\n"), "{message}");
        assert!(!message.contains("pushed"), "this registry does not tell when: {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn moving_tags_are_followed_and_push_times_are_missed() {
    let registry = Registry::start();
    let mut it = world(&registry, "{ digest: stable }", "stable").await;
    for label in ["one", "two"] {
        let digest = registry.push("team/app", "stable", &ImageSpec::of(&["linux/amd64"]).labelled("x", label));
        assert!(it.look().await);
        assert_eq!(it.pins(), format!("# by hand\napp: stable@{digest} # the app\n"));
        assert!(!it.look().await);
    }
    for (policy, what) in [("{ newest: \".*\" }", "newest"), ("{ semver: \"*\", minAge: 1h }", "minAge")] {
        let mut it = world(&registry, policy, "1.0.0").await;
        registry.push("team/app", "1.1.0", &ImageSpec::of(&["linux/amd64"]));
        assert!(!it.look().await);
        let text = format!(
            "the registry of {}/team/app does not tell when images were pushed, so `{what}` cannot be used",
            registry.address()
        );
        assert_eq!((it.image().standing, it.image().text), (Standing::Nothing, text));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_not_allowed_is_never_reached() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    for (image, allowed) in [
        (format!("{address}/team/app"), vec![]),
        // A glob does not open loopback, and nothing opens link-local addresses.
        (format!("{address}/team/app"), vec!["*".to_owned()]),
        ("169.254.170.2/v2/credentials".to_owned(), vec!["*".to_owned(), "169.254.170.2".to_owned()]),
    ] {
        let mut setup = Setup::default();
        setup.allow.registries.clone_from(&allowed);
        let mut files = one_service("{ semver: \"*\" }", "1.0.0");
        files[1].1 = files[1].1.replace(IMAGE, &image);
        let mut it = ImageWorld::with(&files, setup, |it| it.bare().display().to_string(), Default::default()).await;
        assert!(!it.look().await);
        let state = it.image();
        assert_eq!(state.standing, Standing::Unknown, "{image}: {}", state.text);
        if allowed.is_empty() {
            assert_eq!(
                state.text,
                format!("the agent's file does not allow the registry {address} (allow.registries)")
            );
        }
        assert_eq!(it.commits(), 1);
    }
    let reached = listener.accept();
    assert!(matches!(&reached, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock), "{reached:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn repositories_of_other_accounts_and_regions_are_read_and_refusals_explained() {
    let image = format!("{OTHER_ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/shared/app");
    let mut files = one_service("{ semver: \"*\" }", "1.0.0");
    files[1].1 = files[1].1.replace(IMAGE, &image);
    // Not named: not asked, with no call at all.
    let mut setup = Setup::default();
    setup.allow.registries.clear();
    let mut it = ImageWorld::with(&files, setup, |it| it.bare().display().to_string(), Default::default()).await;
    it.world.control.reset_calls();
    assert!(!it.look().await);
    let host = image.split('/').next().unwrap();
    assert_eq!(it.image().text, format!("the agent's file does not allow the registry {host} (allow.registries)"));
    assert_eq!(it.world.calls(), calls(&[]));
    // Named: by the role of that account.
    let mut setup = Setup::default();
    setup.allow.registries = vec!["*.dkr.ecr.*.amazonaws.com".to_owned()];
    let mut it = ImageWorld::with(&files, setup, |it| it.bare().display().to_string(), Default::default()).await;
    let digest = it.world.control.push_image(OTHER_ACCOUNT, "us-east-1", "shared/app", "1.1.0", Behaviour::Ok);
    assert!(it.look().await, "{}", it.image().text);
    assert_eq!(it.pins(), format!("# by hand\napp: 1.1.0@{digest} # the app\n"));
    assert_eq!(it.world.calls().get("sts:AssumeRole"), Some(&1));
    // Denied: who lacks what, and what helps.
    it.world.control.add_fault(Fault::new("ecr:DescribeImages", Effect::Deny));
    it.restart();
    it.world.control.push_image(OTHER_ACCOUNT, "us-east-1", "shared/app", "1.2.0", Behaviour::Ok);
    assert!(!it.look().await);
    let state = it.image();
    assert_eq!(state.standing, Standing::Unknown);
    assert!(state.text.contains("is not allowed to ecr:DescribeImages"), "{}", state.text);
    assert!(state.text.ends_with("let the repository's policy allow it"), "{}", state.text);
    assert_eq!(it.commits(), 2);
}
