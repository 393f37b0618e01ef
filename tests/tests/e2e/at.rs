//! `ENVIRONMENT.at.yaml`: a service that is at another commit than the branch's tip.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lockstep_core::report::{Reason, SyncStatus, Verdict};
use lockstep_core::state::ServiceState;
use lockstep_tests::world::{IMAGE, ONE_ENVIRONMENT, World, calls, reasons, service};

const FILE: &str = "services/web/prod.at.yaml";

/// The tag of the image that runs.
fn tag(state: &ServiceState) -> &str {
    state.images[0].image.rsplit(':').next().unwrap()
}

fn at(commit: &str) -> String {
    format!("commit: {commit}\nreason: INC-4711\n")
}

/// A world whose service went from image 1 to image 2, and the commit with image 1.
async fn on_image_two() -> (World, String) {
    let mut world = World::of_services(&["web", "api"]).await;
    world.settle().await;
    let first = world.repository.git(&["rev-parse", "HEAD"]);
    world.repository.commit("web: 2", &[("services/web/service.yaml", &service(&format!("{IMAGE}:2")))]);
    world.settle().await;
    assert_eq!(tag(&world.reported("web")), "2");
    world.control.reset_calls();
    (world, first)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_at_another_commit_until_the_file_is_removed() {
    let (mut world, first) = on_image_two().await;
    world.repository.commit("back", &[(FILE, &at(&first[..8]))]);
    world.settle().await;
    // The revision of then is still there: it is used again.
    assert_eq!(world.writes(), calls(&[("ecs:UpdateService", 1)]));
    let state = world.reported("web");
    assert_eq!((state.plan.sync, state.plan.verdict), (SyncStatus::Synced, Some(Verdict::Deployed)));
    assert_eq!(tag(&state), "1");
    let there = state.plan.at.as_ref().unwrap();
    assert_eq!((there.commit.as_str(), there.waiting, there.file.as_str()), (first.as_str(), 1, FILE));
    assert_eq!(there.text(), format!("at {}: INC-4711; 1 commit waits", &first[..10]));
    assert_eq!(world.reported("api").plan.at, None);
    // What is committed meanwhile waits, settings aside: how it is deployed is the tip's.
    world.control.reset_calls();
    let newer = service(&format!("{IMAGE}:2")).replace("LEVEL: info", "LEVEL: debug");
    let observed = format!("sync: {{ mode: observe }}\n{newer}");
    world.repository.commit("debug", &[("services/web/service.yaml", &observed)]);
    world.settle().await;
    let state = world.reported("web");
    assert_eq!((world.writes(), state.plan.sync), (calls(&[]), SyncStatus::Synced));
    assert_eq!(state.plan.at.as_ref().unwrap().waiting, 2);
    assert!(reasons(&state).contains(&Reason::Observe), "{:?}", reasons(&state));
    // And goes on.
    world.repository.git(&["rm", "--quiet", FILE]);
    world.repository.commit("on", &[("services/web/service.yaml", &newer)]);
    world.settle().await;
    assert_eq!(world.writes(), calls(&[("ecs:RegisterTaskDefinition", 1), ("ecs:UpdateService", 1)]));
    let state = world.reported("web");
    assert_eq!((state.plan.at.as_ref(), tag(&state)), (None, "2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_names_no_usable_commit_is_an_error_and_changes_nothing() {
    let (mut world, first) = on_image_two().await;
    // A commit before the service was there, and one beside the branch.
    world.repository.git(&["checkout", "--quiet", "-b", "beside", &first]);
    let beside = world.repository.commit("beside", &[("services/web/service.yaml", &service(&format!("{IMAGE}:1")))]);
    world.repository.git(&["checkout", "--quiet", "main"]);
    let broken = world.repository.commit("broken", &[("services/web/service.yaml", "taskDefinition: 1\n")]);
    let two = service(&format!("{IMAGE}:2"));
    let elsewhere = ONE_ENVIRONMENT.replace("  prod:", "  other:");
    let unknown =
        world.repository.commit("no prod", &[("lockstep.yaml", &elsewhere), ("services/web/service.yaml", &two)]);
    world.repository.commit("prod again", &[("lockstep.yaml", ONE_ENVIRONMENT)]);
    world.settle().await;
    world.control.reset_calls();
    for (text, said) in [
        (at("0123456789"), "commit 0123456789 is not in the first-parent history of the branch".to_owned()),
        (at(&beside), format!("commit {} is not in the first-parent history of the branch", &beside[..10])),
        (
            at(&broken),
            format!(
                "at commit {} the files have errors: services/web/service.yaml:1: taskDefinition must be a map, not a number",
                &broken[..10]
            ),
        ),
        (at(&unknown), format!("commit {} does not know the environment prod", &unknown[..10])),
        (at("main"), "`main` is not the id of a commit: 7 to 40 hex digits".to_owned()),
        (
            format!("commit: {first}\n"),
            "`reason` is missing: the file needs `commit: ID` and `reason: TEXT`".to_owned(),
        ),
    ] {
        world.repository.commit("at", &[(FILE, &text)]);
        world.settle().await;
        let state = world.context.board.state();
        let problems: Vec<_> = state.sources[0].problems.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(problems, [said.as_str()], "{text}");
        let web = world.reported("web");
        assert_eq!(reasons(&web), [Reason::Invalid], "{text}");
        assert_eq!(world.writes(), calls(&[]), "{text}");
        assert_eq!(world.described("web").await["status"], "ACTIVE");
    }
}
