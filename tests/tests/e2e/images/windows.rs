//! One commit for all that falls into one window of a branch.

use lockstep::{
    git::{Access, Location, Remote},
    images::{Updater, UpdaterConfig},
    reconcile::{Content, SourceRunner},
    writeback::WriteQueue,
};
use lockstep_core::event::What;
use lockstep_core::state::Standing;
use lockstep_sandbox::Behaviour;
use lockstep_tests::{
    images::{ImageWorld, one_service},
    world::{ACCOUNT, IMAGE, ONE_ENVIRONMENT, REGION, calls, service},
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

#[tokio::test(flavor = "multi_thread")]
async fn everything_in_a_window_is_one_commit() {
    let mut files = vec![("lockstep.yaml".to_owned(), ONE_ENVIRONMENT.to_owned())];
    let policy = "updates: { app: { semver: \"*\" } }\n";
    for number in 0..500 {
        let directory = format!("services/s{number:03}");
        files.push((
            format!("{directory}/service.yaml"),
            format!("{}{policy}", service(&format!("{IMAGE}{}", number % 50))),
        ));
        files.push((format!("{directory}/prod.pins.yaml"), "app: 1.0.0\n".to_owned()));
    }
    let mut it = ImageWorld::quick(&files).await;
    for number in 0..50 {
        it.world.control.push_image(ACCOUNT, REGION, &format!("app{number}"), "1.1.0", Behaviour::Ok);
    }
    it.world.runner.refresh(&it.world.context).await.unwrap();
    it.world.control.reset_calls();
    assert!(it.look().await);
    assert_eq!(it.commits(), 2);
    assert_eq!(it.last_change().lines().count(), 500);
    assert!(it.last_change().lines().all(|line| line.starts_with("1\t1\tservices/s")));
    // 50 repositories: one page and one image each, however many services share them; the pages once more on the new tip.
    assert_eq!(
        it.world.calls(),
        calls(&[("ecr:BatchGetImage", 50), ("ecr:DescribeImages", 100), ("ecr:GetDownloadUrlForLayer", 50)])
    );
    it.fsck();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_waits_until_it_is_quiet() {
    let mut it = ImageWorld::new(&one_service("{ semver: \"*\" }", "1.0.0")).await;
    it.config.images.quiet = Duration::from_secs(3600);
    it.config.images.at_most = Duration::from_secs(7200);
    it.restart();
    it.push("1.1.0");
    assert!(!it.look().await);
    assert_eq!((it.commits(), it.image().standing, it.image().text.as_str()), (1, Standing::Pending, "1.0.0 → 1.1.0"));
}

/// A world whose own source brings `prod` alone, beside a pin of `staging`; and the write_queue of its branch.
async fn two_environments(staging_pins: &str) -> (ImageWorld, WriteQueue) {
    let staging = "  staging: { account: \"111111111111\", region: eu-central-1, cluster: staging }\n";
    let mut files = one_service("{ semver: \"*\" }", "1.0.0");
    files[0].1.push_str(staging);
    files.push(("services/web/staging.pins.yaml".into(), staging_pins.into()));
    let mut it = ImageWorld::new(&files).await;
    it.config.environments = Some(vec!["prod".into()]);
    (it, WriteQueue::default())
}

/// Another source of the same branch.
struct Beta {
    runner: SourceRunner,
    updater: Updater,
}

impl Beta {
    fn new(it: &ImageWorld, write_queue: WriteQueue) -> Self {
        let environments = Some(vec!["staging".to_owned()]);
        let location = Location::parse(&it.repository.bare().display().to_string()).unwrap();
        let remote = Remote::open(&location, "main", &it.root().join("beta"), Access::default()).unwrap();
        let content = Content::Remote(Arc::new(Mutex::new(remote)));
        let runner = SourceRunner::new(1, "beta", it.config.allow.clone(), environments.clone(), content);
        let config = UpdaterConfig { index: 1, source: "beta".into(), environments, ..it.config.clone() };
        Self { runner, updater: Updater::new(config, it.shared.clone(), write_queue) }
    }

    async fn look(&mut self, it: &ImageWorld) -> bool {
        self.runner.refresh(&it.world.context).await.unwrap();
        self.updater.round(&it.world.context, self.runner.branch()).await.0
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sources_of_a_branch_write_one_commit() {
    let (mut it, write_queue) = two_environments("app: 1.0.0\n").await;
    it.config.images.quiet = Duration::from_secs(1);
    it.config.images.at_most = Duration::from_secs(3600);
    it.updater = Updater::new(it.config.clone(), it.shared.clone(), write_queue.clone());
    let mut beta = Beta::new(&it, write_queue.clone());
    let digest = it.push("1.1.0");
    assert!(!it.look().await, "the window is open");
    assert!(!beta.look(&it).await, "it is quiet again from here");
    it.world.happened();
    while !it.look().await {}
    assert_eq!(it.commits(), 2);
    assert_eq!(it.last_change(), "1\t1\tservices/web/prod.pins.yaml\n1\t1\tservices/web/staging.pins.yaml");
    let sources = it.git(&["log", "-1", "--format=%(trailers:key=Lockstep-Source,valueonly)", "main"]);
    assert_eq!(sources, "acme\nbeta");
    let told: Vec<(String, Vec<String>)> = it
        .world
        .happened()
        .into_iter()
        .filter_map(|event| match event.what {
            What::Bumped { bumps, .. } => Some((event.of.source, bumps)),
            _ => None,
        })
        .collect();
    let bump = |environment: &str| format!("{environment}/web/app 1.0.0 → 1.1.0@{digest}");
    assert_eq!(told, [("acme".to_owned(), vec![bump("prod")]), ("beta".to_owned(), vec![bump("staging")])]);
    // The other one hears of it without a push of its own, and has nothing left to write.
    assert!(!beta.updater.round(&it.world.context, beta.runner.branch()).await.0);
    assert!(!beta.look(&it).await);
    assert_eq!(it.commits(), 2);
    assert_eq!(it.world.context.board.state().sources[1].images[0].standing, Standing::UpToDate);
    // Somebody sets the branch back: it is written again, not for ever taken for known.
    it.git(&["update-ref", "refs/heads/main", "main~1"]);
    while !it.look().await {}
    while !beta.look(&it).await {}
    assert_eq!(it.commits(), 3);
    it.fsck();
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_whose_commits_look_different_write_their_own() {
    // One of the two has a pin that cannot be edited: the other's is written all the same.
    let (mut it, write_queue) = two_environments("app: >-\n  1.0.0\n").await;
    it.updater = Updater::new(it.config.clone(), it.shared.clone(), write_queue.clone());
    let mut beta = Beta::new(&it, write_queue.clone());
    it.push("1.1.0");
    assert!(!beta.look(&it).await);
    assert!(it.look().await);
    assert_eq!((it.commits(), it.last_change().as_str()), (2, "1\t1\tservices/web/prod.pins.yaml"));
    it.config.commit.author.name = "Ada".into();
    it.updater = Updater::new(it.config.clone(), it.shared.clone(), write_queue);
    it.person("a plain pin", &[("services/web/staging.pins.yaml", "app: 1.0.0\n")]);
    it.push("1.2.0");
    assert!(it.look().await);
    assert!(beta.look(&it).await);
    assert_eq!(it.git(&["log", "-2", "--format=%an", "main"]), "Lockstep\nAda");
    it.fsck();
}
