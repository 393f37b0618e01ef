//! What a round may cost, counted by the sandbox: design section 9.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lockstep::reconcile::Orders;
use lockstep_core::report::{Reason, SyncStatus, Verdict};
use lockstep_sandbox::Behaviour;
use lockstep_tests::world::{ACCOUNT, ONE_ENVIRONMENT, REGION, World, calls, service};
use std::collections::BTreeMap;

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
        // Apart: the cluster's tags, once per round that reads services.
        let expected = [("ecs:DescribeClusters", 1), ("ecs:DescribeServices", expected)];
        assert_eq!(world.calls(), calls(&expected), "{count} services");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_changes_nothing_for_ecs_writes_nothing() {
    let mut world = deployed(11).await;
    let commented = format!("# A comment, and another order of things.\n{}", service(&format!("{IMAGE}:1")));
    world.repository.commit("words", &[("README.md", "hello"), ("services/s0003/service.yaml", &commented)]);
    world.settle().await;
    assert_eq!(world.calls(), calls(&[("ecs:DescribeClusters", 1), ("ecs:DescribeServices", 2)]));
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
    let expected = [
        ("ecs:DescribeClusters", 1),
        ("ecs:DescribeServices", 2),
        ("ecs:ListServices", 1),
        ("sts:GetCallerIdentity", 1),
    ];
    assert_eq!(world.calls(), calls(&expected));
    world.control.reset_calls();
    world.restart(false).await;
    world.settle().await;
    let expected = [
        ("ecs:DescribeClusters", 1),
        ("ecs:DescribeServices", 2),
        ("ecs:DescribeTaskDefinition", 11),
        ("ecs:ListServices", 1),
        ("sts:GetCallerIdentity", 1),
    ];
    assert_eq!(world.calls(), calls(&expected));
}

/// Commits another image for some of the services.
fn bump(world: &World, count: usize, level: usize) {
    let app = service(&format!("{IMAGE}:2")).replace("LEVEL: info", &format!("LEVEL: v{level}"));
    let paths: Vec<String> = (0..count).map(|number| format!("services/s{number:04}/service.yaml")).collect();
    let files: Vec<(&str, &str)> = paths.iter().map(|path| (path.as_str(), app.as_str())).collect();
    world.repository.commit(&format!("bump {level}"), &files);
}

/// Rounds until everything has had its turn: a slow machine needs more than one. What is shared by services (the look
/// before the write, the deployments that are under way) is then more, too.
async fn until_written(world: &mut World, orders: &Orders) {
    world.round_with(orders).await;
    let mut orders = orders.clone();
    orders.begins = false;
    let queued = |world: &World| {
        let state = world.context.board.state();
        let mut services = state.sources[0].environments.iter().flat_map(|environment| &environment.services);
        services.any(|service| service.plan.is_withheld_for(Reason::Queued))
    };
    while queued(world) {
        world.round_with(&orders).await;
    }
}

/// A person's sync, without anything that was read before.
async fn sync_by_hand(world: &mut World) {
    world.restart(false).await;
    world.control.reset_calls();
    let looking = Orders { by_hand: true, everything: true, ..Orders::default() };
    world.round_with(&looking).await;
    until_written(world, &Orders { write: true, begins: true, ..looking }).await;
}

// J1: however long the history.
#[tokio::test(flavor = "multi_thread")]
async fn a_bump_after_thirty_others_reads_no_old_revisions() {
    let mut world = deployed(1).await;
    for level in 0..30 {
        bump(&world, 1, level);
        world.settle().await;
    }
    // The agent, with its cache: the family's newest revision.
    world.control.reset_calls();
    bump(&world, 1, 30);
    world.round().await;
    let expected = [
        ("ecs:DescribeClusters", 1),
        ("ecs:DescribeServices", 1),
        ("ecs:DescribeTaskDefinition", 1),
        ("ecs:RegisterTaskDefinition", 1),
        ("ecs:UpdateService", 1),
    ];
    assert_eq!(world.calls(), calls(&expected));
    world.settle().await;
    // A person, who has none: the revision in use too.
    bump(&world, 1, 31);
    sync_by_hand(&mut world).await;
    let expected = [
        ("ecs:DescribeClusters", 2),
        ("ecs:DescribeServices", 2),
        ("ecs:DescribeTaskDefinition", 2),
        ("ecs:RegisterTaskDefinition", 1),
        ("ecs:UpdateService", 1),
        ("sts:GetCallerIdentity", 1),
    ];
    assert_eq!(world.calls(), calls(&expected));
    // Going back to content that was deployed well: the history, and nothing of its revisions.
    world.settle().await;
    bump(&world, 1, 5);
    world.settle().await;
    world.control.reset_calls();
    bump(&world, 1, 31);
    world.round().await;
    let expected = [
        ("ecs:DescribeClusters", 1),
        ("ecs:DescribeServices", 1),
        ("ecs:ListServiceDeployments", 1),
        ("ecs:UpdateService", 1),
    ];
    assert_eq!(world.calls(), calls(&expected));
}

// J1: fifty at once, until all are written. The look before the write is five calls, by hand ten.
#[tokio::test(flavor = "multi_thread")]
async fn fifty_bumps_cost_160_calls_of_the_agent_and_260_by_hand() {
    let is_own = |name: &str| {
        !matches!(name, "ecs:DescribeClusters" | "ecs:DescribeServices" | "ecs:DescribeServiceDeployments")
    };
    let mut world = deployed(50).await;
    bump(&world, 50, 1);
    until_written(&mut world, &Orders::agent()).await;
    let own = [("ecs:DescribeTaskDefinition", 50), ("ecs:RegisterTaskDefinition", 50), ("ecs:UpdateService", 50)];
    let found = |world: &World| world.calls().into_iter().filter(|(name, _)| is_own(name)).collect::<BTreeMap<_, _>>();
    assert_eq!(found(&world), calls(&own));
    world.settle().await;
    bump(&world, 50, 2);
    sync_by_hand(&mut world).await;
    let own = [
        ("ecs:DescribeTaskDefinition", 100),
        ("ecs:RegisterTaskDefinition", 50),
        ("ecs:UpdateService", 50),
        ("sts:GetCallerIdentity", 1),
    ];
    assert_eq!(found(&world), calls(&own));
}

// H17: nothing is asked of which the answer changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_does_not_exist_in_an_observed_environment_costs_nothing_of_its_own() {
    let config = ONE_ENVIRONMENT.replace("mode: converge", "mode: observe");
    let app = service(&format!("{IMAGE}:1"));
    let mut world = World::new(&[("lockstep.yaml", &config), ("services/web/service.yaml", &app)]).await;
    world.round().await;
    world.control.reset_calls();
    for _ in 0..3 {
        world.round().await;
    }
    assert_eq!(world.calls(), calls(&[("ecs:DescribeClusters", 3), ("ecs:DescribeServices", 3)]));
    assert_eq!(world.reported("web").plan.actions.len(), 2, "it is shown what would be done");
    // One that exists and differs is asked for once.
    let converging = ONE_ENVIRONMENT.to_owned();
    world.control.push_image(ACCOUNT, REGION, "app", "1", Behaviour::Ok);
    world.repository.commit("converge", &[("lockstep.yaml", &converging)]);
    world.settle().await;
    world.repository.commit("observe", &[("lockstep.yaml", &config)]);
    bump_of_web(&world);
    world.round().await;
    world.control.reset_calls();
    for _ in 0..3 {
        world.round().await;
    }
    assert_eq!(world.calls(), calls(&[("ecs:DescribeClusters", 3), ("ecs:DescribeServices", 3)]));
}

fn bump_of_web(world: &World) {
    world.repository.commit("two", &[("services/web/service.yaml", &service(&format!("{IMAGE}:2")))]);
}
