//! A hand on the wheel, with the built program: restarts, counts for a while, and the way back from adoption.

use super::{run, world};
use lockstep_core::report::Reason;
use lockstep_tests::world::{ACCOUNT, REGION, SOURCE, calls, reasons, tags};
use serde_json::json;
use std::time::Duration;

/// K2: one deployment of what runs; not a second one while it is under way.
#[tokio::test(flavor = "multi_thread")]
async fn restart_orders_one_deployment() {
    let mut world = world(&["web"], "").await;
    let before = world.described("web").await["taskDefinition"].clone();
    let restart = ["restart", "web", "-e", "prod", "--source", SOURCE, "--reason", "leaks memory", "--no-wait"];
    let (code, _, stderr) = run(&world, &restart);
    assert_eq!((code, world.writes()), (2, calls(&[])), "it asks first: {stderr}");
    assert!(stderr.contains("service.forceNewDeployment"), "{stderr}");
    let yes: Vec<&str> = restart.into_iter().chain(["--yes"]).collect();
    let (code, stdout, stderr) = run(&world, &yes);
    assert_eq!((code, stdout.as_str()), (0, "prod/web  restart ordered\n"), "{stderr}");
    assert_eq!(world.writes(), calls(&[("ecs:TagResource", 1), ("ecs:UpdateService", 1)]));
    let live = world.described("web").await;
    assert_eq!(live["taskDefinition"], before);
    let tag = tags(&live)["lockstep:restarted"].clone();
    assert!(tag.ends_with("by=sandbox reason=leaks memory"), "{tag}");
    let (code, stdout, _) = run(&world, &yes);
    let expected = "prod/web  a deployment is under way; restart when it has ended\n";
    assert_eq!((code, stdout.as_str()), (1, expected));
    // The agent follows it like any other deployment, and has nothing to say against it.
    world.settle().await;
    assert_eq!(reasons(&world.reported("web")), []);
    assert_eq!(world.writes(), calls(&[("ecs:TagResource", 1), ("ecs:UpdateService", 1)]));
    assert_eq!(run(&world, &["restart", "-e", "prod", "--source", SOURCE]).0, 2, "the service must be named");
}

/// K2: the count, or the minimum of a scalable target, for a while.
#[tokio::test(flavor = "multi_thread")]
async fn scale_gives_a_count_for_a_while() {
    let mut world = world(&["web", "api"], "").await;
    world.control.register_scalable_target(ACCOUNT, REGION, "service/prod/api", 1, 8);
    let scale = |counts: &[&'static str], length| {
        let mut arguments = vec!["scale"];
        arguments.extend(counts);
        arguments.extend(["-e", "prod", "--for", length, "--reason", "sale", "--source", SOURCE, "--yes"]);
        arguments
    };
    for (counts, length) in [(["web"], "2h"), (["web=many"], "2h"), (["web=5"], "soon"), (["nobody=5"], "2h")] {
        assert_eq!(run(&world, &scale(&counts, length)).0, 2, "{counts:?} {length}");
    }
    let (code, stdout, _) = run(&world, &scale(&["api=9"], "2h"));
    let expected = "prod/api  its scalable target has a maximum of 8; raise that first\n";
    assert_eq!((code, stdout.as_str(), world.writes()), (1, expected, calls(&[])));
    let (code, stdout, stderr) = run(&world, &scale(&["web=5", "api=4"], "2h"));
    assert_eq!(code, 0, "{stderr}");
    let lines: Vec<&str> = stdout.lines().collect();
    assert!(lines[0].starts_with("prod/api  scaled to 4 by sandbox until 20"), "{stdout}");
    assert!(lines[0].ends_with("(before: 1): sale (the minimum of its scalable target)"), "{stdout}");
    assert!(lines[1].starts_with("prod/web  scaled to 5 by sandbox until 20"), "{stdout}");
    assert_eq!(world.described("web").await["desiredCount"], 5);
    world.settle().await;
    assert_eq!(reasons(&world.reported("web")), [Reason::Scaled]);
    // Once more, higher: it ends where the first one began.
    assert_eq!(run(&world, &scale(&["web=7"], "3h")).0, 0);
    let tag = tags(&world.described("web").await)["lockstep:scale"].clone();
    assert!(tag.starts_with("count=7 was=1 until="), "{tag}");
    world.control.advance(Duration::from_secs(3 * 3600 + 60));
    world.settle().await;
    assert_eq!(world.described("web").await["desiredCount"], 1);
    let clients = world.context.accounts.clients(ACCOUNT, REGION).await;
    assert_eq!(clients.scalable("prod", "api").await.found().map(|target| target.minimum), Some(1));
    assert!(!tags(&world.described("api").await).contains_key("lockstep:scale"));
}

/// K7: the way back takes our tags off, and nothing else; not where the next round would put them back.
#[tokio::test(flavor = "multi_thread")]
async fn disown_takes_the_tags_and_nothing_else() {
    let mut world = world(&["web", "api"], "").await;
    let disown = |service| ["disown", service, "-e", "prod", "--source", SOURCE, "--yes"];
    let before = world.described("web").await;
    let (code, stdout, _) = run(&world, &disown("web"));
    assert_eq!((code, stdout.as_str()), (0, "prod/web  disowned: 3 tags taken off\n"));
    assert_eq!(world.writes(), calls(&[("ecs:UntagResource", 3)]));
    let after = world.described("web").await;
    assert_eq!(tags(&after).keys().filter(|name| name.starts_with("lockstep:")).count(), 0);
    for member in ["taskDefinition", "desiredCount", "deployments"] {
        assert_eq!(after[member], before[member], "{member}");
    }
    world.round().await;
    assert_eq!(reasons(&world.reported("web")), [Reason::NotAdopted]);
    let app = lockstep_tests::world::service(&format!("{}:1", lockstep_tests::world::IMAGE));
    world.repository.commit("adopt", &[("services/api/service.yaml", &format!("adopt: true\n{app}"))]);
    let (code, _, stderr) = run(&world, &disown("api"));
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("prod/api says `adopt: true`, so that the agent would take it back"), "{stderr}");
    assert_eq!(world.writes(), calls(&[("ecs:UntagResource", 3)]), "{}", json!(world.writes()));
}

/// K7: who deploys a service today is named before it is adopted, and what no file declares is listed.
#[tokio::test(flavor = "multi_thread")]
async fn adopt_names_who_deploys_and_status_lists_what_is_not_declared() {
    let mut world = world(&["web"], "").await;
    let definition = json!({"family": "legacy", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256",
        "memory": "512", "containerDefinitions": [{"name": "app", "image": "app:1"}]});
    for _ in 0..2 {
        world.ecs("RegisterTaskDefinition", definition.clone()).await;
    }
    let network = json!({"awsvpcConfiguration": {"subnets": ["subnet-1"]}});
    let create = json!({"cluster": "prod", "serviceName": "legacy", "taskDefinition": "legacy", "desiredCount": 0,
        "launchType": "FARGATE", "networkConfiguration": network, "tags": [{"key": "team", "value": "shop"}]});
    world.ecs("CreateService", create).await;
    let (code, stdout, stderr) = run(&world, &["status", "--unmanaged", "-e", "prod"]);
    assert_eq!((code, stdout.as_str()), (0, "prod/legacy  not declared  (team=shop)\n"), "{stderr}");
    let app = lockstep_tests::world::service(&format!("{}:1", lockstep_tests::world::IMAGE));
    let app = app.replace("adopt: true\n", "");
    world.repository.commit("legacy", &[("services/legacy/service.yaml", &app)]);
    let (code, stdout, _) = run(&world, &["status", "--unmanaged"]);
    assert_eq!((code, stdout.as_str()), (0, "every service of the clusters is declared\n"));
    let (code, _, stderr) = run(&world, &["adopt", "legacy", "-e", "prod", "--source", SOURCE]);
    assert_eq!(code, 2, "it asks: {stderr}");
    assert!(
        stderr.contains("prod/legacy: deployed today by ") && stderr.contains(", 2 times in 7 days, last "),
        "{stderr}"
    );
    assert!(stderr.contains("remove that job first"), "{stderr}");
    world.round().await;
}
