//! Following the branch and what was started, round by round.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod told;

use lockstep::reconcile::Orders;
use lockstep_core::event::What;
use lockstep_core::report::{Health, Reason, SyncStatus, Verdict};
use lockstep_sandbox::{Effect, Fault};
use lockstep_tests::world::{ACCOUNT, IMAGE, REGION, World, calls, reasons, service};
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
    assert_eq!(reasons(&world.reported("web")), [Reason::WaitingForAws]);
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
    let told = world.happened().into_iter().find_map(|event| match event.what {
        What::Rewritten { from, .. } => Some(from),
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
        (before.sync.value, before.health.value, before.sync.reason.as_str()),
        (SyncStatus::Synced, Health::Healthy, "")
    );
    world.control.advance(Duration::from_secs(300));
    world.control.add_fault(Fault::new("ecs:DescribeServices", Effect::InternalError));
    world.round().await;
    let blind = world.reported("web").axes;
    assert_eq!((blind.sync.value, blind.sync.last_known), (SyncStatus::Unknown, Some(SyncStatus::Synced)));
    assert_eq!((blind.health.value, blind.health.last_known), (Health::Unknown, Some(Health::Healthy)));
    assert!(blind.sync.reason.contains("ecs:DescribeServices"), "{}", blind.sync.reason);
    assert_eq!(blind.sync.last_good, before.sync.last_good);
    assert_eq!(world.reported("web").plan.verdict, Some(Verdict::Deployed), "the last verdict stays");
    world.control.clear_faults();
    world.round().await;
    let after = world.reported("web").axes;
    assert_eq!((after.sync.value, after.sync.last_known, after.sync.reason.as_str()), (SyncStatus::Synced, None, ""));
    assert!(after.sync.last_good > before.sync.last_good);
    // Since when is remembered over a restart.
    world.restart(true).await;
    world.control.advance(Duration::from_secs(300));
    world.round().await;
    assert_eq!(world.reported("web").axes.sync.since, after.sync.since);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_fails_is_not_an_empty_answer() {
    let mut world = World::of_services(&["web"]).await;
    world.settle().await;
    world.restart(false).await;
    world.control.reset_calls();
    let (code, message) = ("InvalidParameterException".to_owned(), "Something else.".to_owned());
    let effect = Effect::Error { code, message, status: 400 };
    world.control.add_fault(Fault::new("ecs:DescribeTaskDefinition", effect));
    for _ in 0..3 {
        world.round().await;
        world.control.advance(Duration::from_secs(30));
    }
    let state = world.reported("web");
    assert_eq!(
        (state.plan.sync, reasons(&state), world.writes()),
        (SyncStatus::Unknown, vec![Reason::Unread], calls(&[]))
    );
    assert!(state.axes.sync.reason.contains("InvalidParameterException"), "{}", state.axes.sync.reason);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_outlasts_ecs_history() {
    let mut world = World::of_services(&["web"]).await;
    world.settle().await;
    world.repository.commit("bad", &[("services/web/service.yaml", &service(&format!("{IMAGE}:bad")))]);
    world.settle().await;
    assert_eq!(world.reported("web").plan.verdict, Some(Verdict::Rejected));
    for _ in 0..25 {
        world.ecs("UpdateService", json!({"cluster": "prod", "service": "web", "forceNewDeployment": true})).await;
        world.control.advance(Duration::from_secs(300));
    }
    world.restart(false).await;
    world.control.reset_calls();
    for _ in 0..3 {
        world.round().await;
        world.control.advance(Duration::from_secs(60));
    }
    let state = world.reported("web");
    assert_eq!((state.plan.verdict, world.writes()), (Some(Verdict::Rejected), calls(&[])));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cause_that_could_not_be_read_is_read_again() {
    let mut world = World::of_services(&["web"]).await;
    world.settle().await;
    world.control.add_fault(Fault::new("ecs:ListTasks", Effect::InternalError));
    world.repository.commit("bad", &[("services/web/service.yaml", &service(&format!("{IMAGE}:bad")))]);
    world.settle().await;
    assert_eq!(world.reported("web").plan.verdict, Some(Verdict::Rejected));
    world.control.clear_faults();
    world.settle().await;
    world.round().await;
    let text = world.reported("web").plan.withheld[0].text.clone();
    assert!(text.contains("container app exited with code 3"), "{text}");
}

/// A breaker that stops and does not roll back: the failed deployment stays, and nothing differs.
#[tokio::test(flavor = "multi_thread")]
async fn a_retry_starts_what_ecs_could_not_take_back() {
    let stays = |tag: &str| service(&format!("{IMAGE}:{tag}")).replace("rollback: true", "rollback: false");
    let mut world = World::of_services(&["web"]).await;
    world.repository.commit("no rollback", &[("services/web/service.yaml", &stays("1"))]);
    world.settle().await;
    world.repository.commit("bad", &[("services/web/service.yaml", &stays("bad"))]);
    world.settle().await;
    assert_eq!(world.reported("web").plan.verdict, Some(Verdict::Rejected));
    world.control.push_image(ACCOUNT, REGION, "app", "bad", lockstep_sandbox::Behaviour::Ok);
    world.control.reset_calls();
    world.round().await;
    assert_eq!(world.writes(), calls(&[]));
    world.round_with(&Orders { by_hand: true, begins: true, retry: true, ..Orders::agent() }).await;
    assert_eq!(world.writes(), calls(&[("ecs:UpdateService", 1)]));
    world.settle().await;
    assert_eq!(world.reported("web").plan.verdict, Some(Verdict::Deployed));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loop_without_a_breaker_is_a_stall() {
    let app = |tag: &str| {
        service(&format!("{IMAGE}:{tag}")).replace("enable: true, rollback: true", "enable: false, rollback: false")
    };
    let mut world = World::of_services(&["web"]).await;
    world.repository.commit("no breaker", &[("services/web/service.yaml", &app("1"))]);
    world.settle().await;
    let loops = lockstep_sandbox::Behaviour::crash(1, Duration::from_secs(30));
    world.control.push_image(ACCOUNT, REGION, "app", "loops", loops);
    world.repository.commit("loops", &[("services/web/service.yaml", &app("loops"))]);
    for _ in 0..90 {
        world.round().await;
        world.control.advance(Duration::from_secs(20));
    }
    assert_eq!(world.reported("web").plan.verdict, Some(Verdict::Stalled));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_service_with_errors_goes_on_waiting() {
    let mut world = World::of_services(&["web", "api"]).await;
    let after = |tag: &str| format!("after: [web]\n{}", service(&format!("{IMAGE}:{tag}")));
    world.repository.commit("after", &[("services/api/service.yaml", &after("1"))]);
    world.settle().await;
    let broken = [("services/web/service.yaml", "taskDefinition: [\n"), ("services/api/service.yaml", &after("2"))];
    world.repository.commit("broken", &broken);
    world.control.reset_calls();
    world.round().await;
    assert_eq!((reasons(&world.reported("api")), world.writes()), (vec![Reason::Waiting], calls(&[])));
}
