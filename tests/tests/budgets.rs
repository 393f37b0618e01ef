//! What a round may cost, counted by the sandbox: design section 9.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lockstep_core::report::{SyncStatus, Verdict};
use lockstep_sandbox::Behaviour;
use lockstep_tests::world::{ACCOUNT, ONE_ENVIRONMENT, REGION, World, calls, service};

const IMAGE: &str = "111111111111.dkr.ecr.eu-central-1.amazonaws.com/app";

/// A world with `count` deployed services.
async fn deployed(count: usize) -> World {
    let mut files = vec![("lockstep.yaml".to_owned(), ONE_ENVIRONMENT.to_owned())];
    for number in 0..count {
        files.push((format!("services/s{number:04}/service.yaml"), service(&format!("{IMAGE}:1"))));
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(path, content)| (path.as_str(), content.as_str())).collect();
    let mut world = World::new(&files).await;
    world.control.push_image(ACCOUNT, REGION, "app", "1", Behaviour::Ok);
    world.control.push_image(ACCOUNT, REGION, "app", "2", Behaviour::Ok);
    world.settle().await;
    for number in 0..count {
        let state = world.reported(&format!("s{number:04}"));
        assert_eq!((state.plan.sync, state.plan.verdict), (SyncStatus::Synced, Some(Verdict::Deployed)));
    }
    world.control.reset_calls();
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_at_rest_is_one_read_for_ten_services_and_nothing_else() {
    for count in [1, 10, 11, 500] {
        let mut world = deployed(count).await;
        assert!(!world.round().await);
        let expected = u64::try_from(count.div_ceil(10)).unwrap();
        assert_eq!(world.calls(), calls(&[("ecs:DescribeServices", expected)]), "{count} services");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_changes_nothing_for_ecs_writes_nothing() {
    let mut world = deployed(11).await;
    let commented = format!("# A comment, and another order of things.\n{}", service(&format!("{IMAGE}:1")));
    world.repository.commit("words", &[("README.md", "hello"), ("services/s0003/service.yaml", &commented)]);
    world.settle().await;
    assert_eq!(world.calls(), calls(&[("ecs:DescribeServices", 2)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_changed_image_is_two_writes() {
    let mut world = deployed(11).await;
    let changed = service(&format!("{IMAGE}:2"));
    world.repository.commit("s0003: 2", &[("services/s0003/service.yaml", &changed)]);
    world.settle().await;
    assert_eq!(world.writes(), calls(&[("ecs:RegisterTaskDefinition", 1), ("ecs:UpdateService", 1)]));
    let state = world.reported("s0003");
    assert_eq!((state.plan.sync, state.plan.verdict), (SyncStatus::Synced, Some(Verdict::Deployed)));
    // And back: the revision from before is known, and is used again.
    world.control.reset_calls();
    world.repository.commit("s0003: 1", &[("services/s0003/service.yaml", &service(&format!("{IMAGE}:1")))]);
    world.settle().await;
    assert_eq!(world.writes(), calls(&[("ecs:UpdateService", 1)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_costs_reads_only_with_and_without_the_cache() {
    let mut world = deployed(11).await;
    world.restart(true).await;
    world.settle().await;
    // The list is the scan for orphans, at the start and then hourly.
    let expected = [("ecs:DescribeServices", 2), ("ecs:ListServices", 1), ("sts:GetCallerIdentity", 1)];
    assert_eq!(world.calls(), calls(&expected));
    world.control.reset_calls();
    world.restart(false).await;
    world.settle().await;
    let expected = [
        ("ecs:DescribeServices", 2),
        ("ecs:DescribeTaskDefinition", 11),
        ("ecs:ListServices", 1),
        ("sts:GetCallerIdentity", 1),
    ];
    assert_eq!(world.calls(), calls(&expected));
}
