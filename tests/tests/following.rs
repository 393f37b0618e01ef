//! Following the branch and what was started, round by round.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lockstep::reconcile::event::Event;
use lockstep_core::report::{Reason, SyncStatus, Verdict};
use lockstep_sandbox::{Effect, Fault};
use lockstep_tests::world::{IMAGE, World, calls, reasons, service};
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_reads_the_branch_again() {
    let mut world = World::of_services(&["web"]).await;
    world.settle().await;
    world.control.add_fault(Fault::new("ecs:UpdateService", Effect::InternalError));
    let commit = |world: &World, level: &str| {
        let app = service(&format!("{IMAGE}:2")).replace("LEVEL: info", &format!("LEVEL: {level}"));
        world.repository.commit(level, &[("services/web/service.yaml", &app)]);
    };
    commit(&world, "warn");
    world.round().await;
    assert_eq!(reasons(&world.reported("web")), [Reason::Failed]);
    commit(&world, "debug");
    world.control.clear_faults();
    world.settle().await;
    let live = world.described("web").await;
    let found = world.ecs("DescribeTaskDefinition", json!({"taskDefinition": live["taskDefinition"]})).await;
    let level = found["taskDefinition"]["containerDefinitions"][0]["environment"][0]["value"].clone();
    assert_eq!(level, "debug", "the newer commit, not the one whose write failed");
    let updates = world
        .control
        .journal(0)
        .iter()
        .filter(|entry| entry.operation == "UpdateService" && entry.status == 200)
        .count();
    assert_eq!(updates, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewritten_branch_is_followed_and_said() {
    let mut world = World::of_services(&["web"]).await;
    world.settle().await;
    world.repository.commit("2", &[("services/web/service.yaml", &service(&format!("{IMAGE}:2")))]);
    world.settle().await;
    let gone = world.repository.git(&["rev-parse", "HEAD"]);
    world.happened();
    world.repository.git(&["reset", "--hard", "--quiet", "HEAD^"]);
    world.repository.commit("other", &[("README.md", "rewritten")]);
    world.settle().await;
    assert_eq!(world.reported("web").plan.sync, SyncStatus::Synced);
    let live = world.described("web").await;
    assert_eq!(live["taskDefinition"].as_str().unwrap().rsplit('/').next().unwrap(), "web:1");
    assert_eq!(world.context.board.state().sources[0].rewritten.as_deref(), Some(gone.as_str()));
    let told = world.happened().into_iter().find_map(|event| match event {
        Event::Rewritten { from, .. } => Some(from),
        _ => None,
    });
    assert_eq!(told.as_deref(), Some(gone.as_str()));
    // An ordinary commit ends the note.
    world.repository.commit("ordinary", &[("README.md", "again")]);
    world.round().await;
    assert_eq!(world.context.board.state().sources[0].rewritten, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_bake_delays_nobody() {
    let baking = service(&format!("{IMAGE}:2")).replace(
        "deploymentCircuitBreaker: { enable: true, rollback: true }",
        "strategy: BLUE_GREEN, bakeTimeInMinutes: 600, deploymentCircuitBreaker: { enable: true, rollback: true }",
    );
    let mut world = World::of_services(&["web", "api"]).await;
    world.settle().await;
    world.repository.commit("bake", &[("services/web/service.yaml", &baking)]);
    for _ in 0..30 {
        world.round().await;
        world.control.advance(Duration::from_secs(20));
    }
    let state = world.reported("web");
    assert_eq!(state.plan.rollout.as_ref().map(|it| it.stage.as_str()), Some("BAKE_TIME"), "{:#?}", state.plan);
    world.control.reset_calls();
    world.repository.commit("api: 2", &[("services/api/service.yaml", &service(&format!("{IMAGE}:2")))]);
    world.round().await;
    assert_eq!(world.writes(), calls(&[("ecs:RegisterTaskDefinition", 1), ("ecs:UpdateService", 1)]));
    for _ in 0..60 {
        world.round().await;
        world.control.advance(Duration::from_secs(300));
    }
    assert_eq!(world.reported("api").plan.verdict, Some(Verdict::Deployed));
    assert_eq!(world.reported("web").plan.verdict, Some(Verdict::Progressing), "five hours of bake are no stall");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_axis_says_why_since_when_and_what_was_before() {
    let mut world = World::of_services(&["web"]).await;
    world.settle().await;
    let before = world.reported("web").axes;
    assert_eq!(
        (before.sync.value.as_str(), before.health.value.as_str(), before.sync.reason.as_str()),
        ("Synced", "Healthy", "")
    );
    world.control.advance(Duration::from_secs(300));
    world.control.add_fault(Fault::new("ecs:DescribeServices", Effect::InternalError));
    world.round().await;
    let blind = world.reported("web").axes;
    assert_eq!((blind.sync.value.as_str(), blind.sync.last_known.as_str()), ("Unknown", "Synced"));
    assert_eq!((blind.health.value.as_str(), blind.health.last_known.as_str()), ("Unknown", "Healthy"));
    assert!(blind.sync.reason.contains("ecs:DescribeServices"), "{}", blind.sync.reason);
    assert_eq!(blind.sync.last_good, before.sync.last_good);
    assert_eq!(world.reported("web").plan.verdict, Some(Verdict::Deployed), "the last verdict stays");
    world.control.clear_faults();
    world.round().await;
    let after = world.reported("web").axes;
    assert_eq!(
        (after.sync.value.as_str(), after.sync.last_known.as_str(), after.sync.reason.as_str()),
        ("Synced", "", "")
    );
    assert!(after.sync.last_good > before.sync.last_good);
    // Since when is remembered over a restart.
    world.restart(true).await;
    world.control.advance(Duration::from_secs(300));
    world.round().await;
    assert_eq!(world.reported("web").axes.sync.since, after.sync.since);
}
