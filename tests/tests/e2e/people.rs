//! People win: pauses, drift that must last, fields that somebody else keeps changing, tags that were taken away.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod hands;
mod ordered;

use lockstep::reconcile::Orders;
use lockstep_core::event::{Trigger, What};
use lockstep_core::{
    report::{Health, Reason, SyncStatus, Verdict},
    service::{plan::Restart, scale::Scale},
};
use lockstep_sandbox::Behaviour;
use lockstep_tests::{
    outcome,
    program::lockstep,
    world::{ACCOUNT, IMAGE, ONE_ENVIRONMENT, REGION, SOURCE, World, calls, reasons, service},
};
use serde_json::json;
use std::time::Duration;

/// Counts are healed in both directions at once.
const BOTH: &str = "heal: { count: both }";

/// A settled world with these services, and this line of `sync:` in place of the plain one.
async fn world(names: &[&str], sync: &str) -> World {
    let app = service(&format!("{IMAGE}:1"));
    let config = match ONE_ENVIRONMENT.split_once("sync: ") {
        Some((before, _)) if !sync.is_empty() => format!("{before}sync: {{ mode: converge, {sync} }}\n"),
        _ => ONE_ENVIRONMENT.to_owned(),
    };
    let paths: Vec<String> = names.iter().map(|name| format!("services/{name}/service.yaml")).collect();
    let mut files = vec![("lockstep.yaml", config.as_str())];
    files.extend(paths.iter().map(|path| (path.as_str(), app.as_str())));
    let mut world = World::new(&files).await;
    for tag in ["1", "2"] {
        world.control.push_image(ACCOUNT, REGION, "app", tag, Behaviour::Ok);
    }
    world.settle().await;
    world.happened();
    world.control.reset_calls();
    world
}

async fn scale(world: &World, service: &str, count: u32) {
    world.ecs("UpdateService", json!({"cluster": "prod", "service": service, "desiredCount": count})).await;
}

/// `lockstep` on the world's repository, with the agent's own credentials.
fn run(world: &World, arguments: &[&str]) -> (i32, String, String) {
    let mut command = lockstep(Some(&world.endpoint()));
    command.args(arguments).arg("-C").arg(world.repository.path()).env("USER", "ada").env("AWS_ACCESS_KEY_ID", ACCOUNT);
    command.env("AWS_SECRET_ACCESS_KEY", "sandbox").env("AWS_REGION", REGION);
    outcome(&mut command)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_service_is_left_alone_until_its_time_is_over() {
    let mut world = world(&["web", "api"], BOTH).await;
    let (code, stdout, stderr) = run(
        &world,
        &["pause", "web", "-e", "prod", "--for", "1h", "--reason", "INC-4711 db failover", "--source", SOURCE],
    );
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.starts_with("prod/web  paused by sandbox until 20"), "{stdout}");
    assert!(stdout.trim_end().ends_with(": INC-4711 db failover"), "{stdout}");
    world.control.reset_calls();
    let app = service(&format!("{IMAGE}:2"));
    world.repository.commit("2", &[("services/web/service.yaml", &app), ("services/api/service.yaml", &app)]);
    scale(&world, "web", 3).await;
    for _ in 0..20 {
        world.round().await;
        world.control.advance(Duration::from_secs(60));
    }
    let state = world.reported("web");
    assert_eq!((state.plan.sync, reasons(&state)), (SyncStatus::OutOfSync, vec![Reason::Paused]));
    assert!(!state.plan.withheld[0].changes.is_empty(), "what waits is shown");
    assert_eq!(world.reported("api").plan.verdict, Some(Verdict::Deployed), "the others go on");
    let others = world.writes();
    assert_eq!(
        others,
        calls(&[("ecs:RegisterTaskDefinition", 1), ("ecs:UpdateService", 2)]),
        "api's, and the person's"
    );
    let (code, stdout, _) = run(&world, &["sync", "web", "-e", "prod", "--yes", "--source", SOURCE]);
    assert_eq!((code, stdout.as_str()), (1, "0 synced, 1 out of sync, 0 unknown\n"), "what was named is not done");
    // It holds over a restart, and a person's sync does not break it either.
    world.restart(false).await;
    world.round_with(&Orders { by_hand: true, begins: true, ..Orders::agent() }).await;
    assert_eq!(reasons(&world.reported("web")), [Reason::Paused]);
    // The hour is over.
    world.control.advance(Duration::from_secs(3600));
    world.settle().await;
    let state = world.reported("web");
    assert_eq!((state.plan.sync, state.desired_count), (SyncStatus::Synced, Some(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_environment_is_paused_and_resumed_by_hand() {
    let mut world = world(&["api", "web"], BOTH).await;
    let (code, stdout, _) = run(&world, &["pause", "-e", "prod", "--source", SOURCE, "-o", "json"]);
    assert_eq!(code, 0);
    let lines: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let expected =
        |service: &str, text: &str| json!({"environment": "prod", "service": service, "text": text, "done": true});
    let text = "paused by sandbox until it is resumed";
    let whole = json!({"environment": "prod", "text": format!("the environment is {text}"), "done": true});
    assert_eq!(lines, json!([whole, expected("api", text), expected("web", text)]));
    // K6: one service does not get out of the pause of its environment, and the environment does with all of it.
    let (code, stdout, stderr) = run(&world, &["resume", "-e", "prod", "web", "--source", SOURCE, "--yes"]);
    assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
    assert!(stderr.contains("prod is paused by sandbox until it is resumed, as a whole"), "{stderr}");
    let (code, stdout, _) = run(&world, &["resume", "-e", "prod", "--source", SOURCE, "--yes"]);
    assert_eq!(
        (code, stdout.as_str()),
        (0, "prod  the environment is resumed\nprod/api  resumed\nprod/web  resumed\n")
    );
    let (code, stdout, _) = run(&world, &["pause", "-e", "prod", "api", "web", "--source", SOURCE]);
    assert_eq!((code, stdout), (0, format!("prod/api  {text}\nprod/web  {text}\n")));
    scale(&world, "web", 3).await;
    world.round().await;
    assert_eq!(reasons(&world.reported("web")), [Reason::Paused]);
    // A6: what the end of the pause starts is shown, and asked for.
    let (code, stdout, stderr) = run(&world, &["resume", "-e", "prod", "web", "--source", SOURCE]);
    assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
    assert!(stderr.contains("service.desiredCount"), "{stderr}");
    assert!(stderr.contains("this is what the pause holds back"), "{stderr}");
    assert!(stderr.contains("there is no terminal to ask on"), "{stderr}");
    world.round().await;
    assert_eq!(reasons(&world.reported("web")), [Reason::Paused], "nothing was resumed");
    let (code, stdout, _) = run(&world, &["resume", "-e", "prod", "web", "--source", SOURCE, "--yes"]);
    assert_eq!((code, stdout.as_str()), (0, "prod/web  resumed\n"));
    world.settle().await;
    assert_eq!(world.reported("web").desired_count, Some(1));
    assert_eq!(reasons(&world.reported("api")), [Reason::Paused]);
    // Where nothing waits, nothing is asked.
    let (code, stdout, _) = run(&world, &["resume", "-e", "prod", "api", "--source", SOURCE]);
    assert_eq!((code, stdout.as_str()), (0, "prod/api  resumed\n"));
    // One that is not there yet is held by its environment's pause, and is no failure.
    world.repository.commit("new", &[("services/new/service.yaml", &service(&format!("{IMAGE}:1")))]);
    let (code, stdout, _) = run(&world, &["pause", "-e", "prod", "--source", SOURCE]);
    assert_eq!(code, 0, "{stdout}");
    assert!(stdout.contains("prod/new  it does not exist yet; the environment's pause holds it\n"), "{stdout}");
    let (code, stdout, _) = run(&world, &["resume", "-e", "prod", "--source", SOURCE, "--yes"]);
    assert_eq!(code, 0, "{stdout}");
    assert_eq!(run(&world, &["pause", "-e", "prod", "new", "--source", SOURCE]).0, 1);
    // Wrong use is said.
    let (code, _, stderr) = run(&world, &["plan", "prod/web"]);
    assert_eq!(code, 2);
    assert!(stderr.contains("the environment is named with -e: `-e prod web`"), "{stderr}");
    assert_eq!(run(&world, &["pause", "web"]).0, 2);
    assert_eq!(run(&world, &["pause", "-e", "prod", "--for", "soon"]).0, 2);
    assert_eq!(run(&world, &["pause", "-e", "nowhere"]).0, 2);
    let (code, stdout, _) = run(&world, &["pause", "-e", "prod", "web", "--source", "other"]);
    assert_eq!((code, stdout.as_str()), (1, "prod/web  it is owned by source acme\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_healed_only_when_it_lasts() {
    let mut world = world(&["web"], "heal: { after: 15m, count: both }").await;
    scale(&world, "web", 3).await;
    world.control.reset_calls();
    for _ in 0..14 {
        world.round().await;
        world.control.advance(Duration::from_secs(60));
    }
    let state = world.reported("web");
    assert_eq!((reasons(&state), world.writes()), (vec![Reason::Healing], calls(&[])));
    assert!(
        state.plan.withheld[0].text.starts_with("drift; will be corrected at 20"),
        "{}",
        state.plan.withheld[0].text
    );
    assert_eq!(state.axes.sync.value, SyncStatus::OutOfSync);
    // The age of the drift is remembered over a restart.
    world.restart(true).await;
    world.control.advance(Duration::from_secs(90));
    world.settle().await;
    assert_eq!(world.writes(), calls(&[("ecs:UpdateService", 1)]));
    // A commit is not drift: it goes at once.
    world.repository.commit("2", &[("services/web/service.yaml", &service(&format!("{IMAGE}:2")))]);
    world.round().await;
    assert_eq!(world.reported("web").plan.verdict, Some(Verdict::Progressing));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_somebody_keeps_changing_is_contested_and_the_rest_is_healed() {
    let mut world = world(&["web"], BOTH).await;
    let arn = world.described("web").await["serviceArn"].clone();
    let tag = json!([{"key": "terraform-workspace", "value": "shop"}]);
    world.ecs("TagResource", json!({"resourceArn": arn, "tags": tag})).await;
    for _ in 0..2 {
        scale(&world, "web", 3).await;
        world.settle().await;
        assert_eq!(world.reported("web").desired_count, Some(1));
        world.control.advance(Duration::from_secs(300));
    }
    scale(&world, "web", 3).await;
    world.control.reset_calls();
    world.settle().await;
    let state = world.reported("web");
    assert_eq!((reasons(&state), world.writes()), (vec![Reason::Contested], calls(&[])));
    let text = &state.plan.withheld[0].text;
    assert!(text.starts_with("contested: somebody else changed service.desiredCount 3 times within an hour"), "{text}");
    assert!(text.contains("The service's tags name terraform-workspace=shop"), "{text}");
    // Another field of the same service is healed, and what is contested is not sent along.
    world.ecs("UpdateService", json!({"cluster": "prod", "service": "web", "enableExecuteCommand": true})).await;
    world.control.reset_calls();
    world.settle().await;
    assert_eq!(world.writes(), calls(&[("ecs:UpdateService", 1)]));
    assert_eq!(world.described("web").await["desiredCount"], 3);
    // It holds over a restart, and ends when a person orders it, or after a quiet hour.
    world.restart(true).await;
    world.round().await;
    assert_eq!(reasons(&world.reported("web")), [Reason::Contested]);
    world.round_with(&Orders { by_hand: true, begins: true, ..Orders::agent() }).await;
    world.settle().await;
    assert_eq!(world.described("web").await["desiredCount"], 1);
}

/// K1: who raises a count in an incident keeps it for an hour, over a restart and over a commit that leaves it alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_count_that_was_raised_by_hand_stays_for_an_hour() {
    let mut world = world(&["web"], "").await;
    scale(&world, "web", 10).await;
    world.control.reset_calls();
    for _ in 0..5 {
        world.round().await;
        world.control.advance(Duration::from_secs(60));
    }
    let state = world.reported("web");
    assert_eq!((reasons(&state), world.writes()), (vec![Reason::Healing], calls(&[])));
    let text = &state.plan.withheld[0].text;
    assert!(text.starts_with("the count was raised to 10, above Git's 1; it will be lowered at 20"), "{text}");
    world.restart(true).await;
    world.repository.commit("2", &[("services/web/service.yaml", &service(&format!("{IMAGE}:2")))]);
    world.control.advance(Duration::from_secs(60));
    world.settle().await;
    assert_eq!(world.writes(), calls(&[("ecs:RegisterTaskDefinition", 1), ("ecs:UpdateService", 1)]));
    assert_eq!(world.described("web").await["desiredCount"], 10, "the commit says nothing of the count");
    // The hour is over: it is drift like any other.
    world.control.advance(Duration::from_secs(3600));
    world.control.reset_calls();
    world.settle().await;
    assert_eq!(world.writes(), calls(&[("ecs:UpdateService", 1)]));
    assert_eq!(world.described("web").await["desiredCount"], 1);
    // One that is too low is raised at once, and a commit that changes the count is obeyed at once.
    scale(&world, "web", 0).await;
    world.settle().await;
    assert_eq!(world.described("web").await["desiredCount"], 1);
    scale(&world, "web", 10).await;
    world.round().await;
    let app = service(&format!("{IMAGE}:2")).replace("desiredCount: 1", "desiredCount: 2");
    world.repository.commit("two", &[("services/web/service.yaml", &app)]);
    world.control.advance(Duration::from_secs(60));
    world.settle().await;
    assert_eq!(world.described("web").await["desiredCount"], 2);
}

/// K1: `heal: never` deploys commits and only reports drift; a service narrows what its environment allows.
#[tokio::test(flavor = "multi_thread")]
async fn drift_that_is_only_reported_and_services_that_are_only_observed() {
    let mut world = world(&["web", "api", "job"], "").await;
    let narrowed = |tag: &str, sync: &str| format!("sync: {sync}\n{}", service(&format!("{IMAGE}:{tag}")));
    let (web, api) = (narrowed("1", "{ heal: never }"), narrowed("1", "{ mode: observe }"));
    world.repository.commit("sync", &[("services/web/service.yaml", &web), ("services/api/service.yaml", &api)]);
    world.settle().await;
    for service in ["web", "api", "job"] {
        scale(&world, service, 0).await;
        world.ecs("UpdateService", json!({"cluster": "prod", "service": service, "enableExecuteCommand": true})).await;
    }
    world.control.reset_calls();
    world.settle().await;
    assert_eq!(world.writes(), calls(&[("ecs:UpdateService", 1)]), "job's alone");
    assert_eq!(reasons(&world.reported("web")), [Reason::NotHealed]);
    assert_eq!(reasons(&world.reported("api")), [Reason::Observe]);
    assert_eq!(world.reported("api").plan.sync, SyncStatus::OutOfSync);
    // Commits: deployed where only healing is off, shown where the service is only observed.
    let (web, api) = (narrowed("2", "{ heal: never }"), narrowed("2", "{ mode: observe }"));
    world.repository.commit("2", &[("services/web/service.yaml", &web), ("services/api/service.yaml", &api)]);
    world.control.reset_calls();
    world.settle().await;
    assert_eq!(world.writes(), calls(&[("ecs:RegisterTaskDefinition", 1), ("ecs:UpdateService", 1)]), "web's");
    assert_eq!(world.reported("api").plan.verdict, Some(Verdict::Pending));
    // A person's order writes both.
    world.round_with(&Orders { by_hand: true, ..Orders::agent() }).await;
    world.settle().await;
    assert_eq!(world.described("web").await["desiredCount"], 1);
    assert_eq!(world.reported("api").plan.sync, SyncStatus::Synced);
}

/// K3: `terraform apply` once a day takes back what Git says, and each time it is deployed again; not a third time.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_fight_ends_at_the_third_time() {
    let mut world = world(&["web"], "").await;
    let theirs = json!({"cluster": "prod", "service": "web", "enableExecuteCommand": true});
    for day in 1..=2 {
        world.ecs("UpdateService", theirs.clone()).await;
        world.settle().await;
        assert_eq!(world.described("web").await["enableExecuteCommand"], false, "day {day}");
        world.control.advance(Duration::from_secs(24 * 3600));
        world.round().await;
    }
    world.ecs("UpdateService", theirs).await;
    world.control.reset_calls();
    world.settle().await;
    let state = world.reported("web");
    assert_eq!((reasons(&state), world.writes()), (vec![Reason::Contested], calls(&[])));
    let text = &state.plan.withheld[0].text;
    let begin =
        "contested: somebody else put back to the same value service.enableExecuteCommand 3 times within 7 days";
    assert!(text.starts_with(begin), "{text}");
}

/// K6: one tag on the cluster pauses an environment, services that do not exist yet included; it is seen before a
/// deployment is started, and a cluster whose tags may not be read is said.
#[tokio::test(flavor = "multi_thread")]
async fn an_environment_is_paused_by_a_tag_of_its_cluster() {
    let mut world = world(&["web"], "").await;
    let cluster = format!("arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/prod");
    let value = "until=2200-01-01T00:00:00Z by=ada reason=INC-4711";
    let tags = json!([{"key": "lockstep:pause/prod", "value": value}]);
    world.ecs("TagResource", json!({"resourceArn": cluster, "tags": tags})).await;
    let new = service(&format!("{IMAGE}:1"));
    let web = service(&format!("{IMAGE}:2"));
    world.repository.commit("new", &[("services/new/service.yaml", &new), ("services/web/service.yaml", &web)]);
    world.control.reset_calls();
    world.settle().await;
    assert_eq!(world.writes(), calls(&[]));
    for name in ["new", "web"] {
        let state = world.reported(name);
        assert_eq!(reasons(&state), [Reason::Paused], "{name}");
        assert_eq!(
            state.plan.withheld[0].text,
            "the environment is paused by ada until 2200-01-01T00:00:00Z: INC-4711"
        );
    }
    let untag = json!({"resourceArn": cluster, "tagKeys": ["lockstep:pause/prod"]});
    world.ecs("UntagResource", untag).await;
    world.settle().await;
    assert_eq!(
        (world.reported("new").plan.sync, world.reported("web").plan.sync),
        (SyncStatus::Synced, SyncStatus::Synced)
    );
    // Another environment's pause is none of this one's.
    let other = json!([{"key": "lockstep:pause/staging", "value": value}]);
    world.ecs("TagResource", json!({"resourceArn": cluster, "tags": other})).await;
    world.repository.commit("1", &[("services/web/service.yaml", &new)]);
    world.settle().await;
    assert_eq!(world.reported("web").plan.sync, SyncStatus::Synced);
}

/// K2: a restart deploys what runs once more, whatever waits in Git, and says who asked for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_is_one_deployment_of_what_runs() {
    let mut world = world(&["web"], "heal: never").await;
    let before = world.described("web").await;
    let by = Restart { by: "ada".into(), reason: "leaks memory".into() };
    let order = Orders { by_hand: true, restart: Some(by), ..Orders::agent() };
    world.control.reset_calls();
    world.round_with(&order).await;
    assert_eq!(world.writes(), calls(&[("ecs:TagResource", 1), ("ecs:UpdateService", 1)]));
    let told = world.happened();
    assert!(told.iter().any(|event| matches!(event.what, What::Wrote { trigger: Trigger::Restart, .. })), "{told:?}");
    world.round_with(&order).await;
    assert_eq!(reasons(&world.reported("web")), [Reason::RollingBack], "one at a time");
    world.settle().await;
    let after = world.described("web").await;
    assert_ne!(after["currentServiceDeployment"], before["currentServiceDeployment"]);
    assert_eq!(after["taskDefinition"], before["taskDefinition"]);
    let tag = after["tags"].as_array().unwrap().iter().find(|tag| tag["key"] == "lockstep:restarted").unwrap().clone();
    let value = tag["value"].as_str().unwrap();
    assert!(value.starts_with("at=20") && value.ends_with("by=ada reason=leaks memory"), "{value}");
    assert_eq!(
        (world.reported("web").plan.sync, world.reported("web").plan.verdict),
        (SyncStatus::Synced, Some(Verdict::Deployed))
    );
    assert_eq!(world.writes(), calls(&[("ecs:TagResource", 1), ("ecs:UpdateService", 1)]), "once");
}

/// K2: a count for a while is left alone, and put back at its end; a minimum of a scalable target likewise, unless
/// somebody changed it meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_count_for_a_while_is_put_back_at_its_end() {
    let mut world = world(&["web", "api", "job"], "").await;
    let until = Some(world.control.now() as i64 + 7200);
    let scaled = |was| Scale { count: 5, was, until, by: "ada".into(), reason: "sale".into() };
    for (service, was) in [("web", 1), ("api", 2), ("job", 2)] {
        let arn = world.described(service).await["serviceArn"].clone();
        let tag = json!({"key": "lockstep:scale", "value": scaled(was).value()});
        world.ecs("TagResource", json!({"resourceArn": arn, "tags": [tag]})).await;
    }
    scale(&world, "web", 5).await;
    world.control.register_scalable_target(ACCOUNT, REGION, "service/prod/api", 5, 10);
    world.control.register_scalable_target(ACCOUNT, REGION, "service/prod/job", 7, 10);
    world.control.reset_calls();
    for _ in 0..5 {
        world.round().await;
        world.control.advance(Duration::from_secs(60));
    }
    let state = world.reported("web");
    assert_eq!((reasons(&state), world.writes()), (vec![Reason::Scaled], calls(&[])));
    assert_eq!(state.plan.withheld[0].text, scaled(1).text());
    world.control.advance(Duration::from_secs(7200));
    world.settle().await;
    let expected =
        [("application-autoscaling:RegisterScalableTarget", 1), ("ecs:UntagResource", 3), ("ecs:UpdateService", 1)];
    assert_eq!(world.writes(), calls(&expected));
    assert_eq!(world.described("web").await["desiredCount"], 1);
    let clients = world.context.accounts.clients(ACCOUNT, REGION).await;
    let minimum = async |name| clients.scalable("prod", name).await.found().map(|target| target.minimum);
    assert_eq!(minimum("api").await, Some(2));
    assert_eq!(minimum("job").await, Some(7), "somebody changed it meanwhile");
    assert_eq!(world.reported("web").plan.sync, SyncStatus::Synced);
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_that_were_taken_away_are_reported_and_not_fought_over() {
    let mut world = world(&["web"], "").await;
    let arn = world.described("web").await["serviceArn"].clone();
    let keys = ["lockstep:source", "lockstep:environment", "lockstep:service"];
    world.ecs("UntagResource", json!({"resourceArn": arn, "tagKeys": keys})).await;
    world.ecs("TagResource", json!({"resourceArn": arn, "tags": [{"key": "ManagedBy", "value": "terraform"}]})).await;
    scale(&world, "web", 4).await;
    world.control.reset_calls();
    for _ in 0..5 {
        world.round().await;
        world.control.advance(Duration::from_secs(60));
    }
    let state = world.reported("web");
    assert_eq!((reasons(&state), world.writes()), (vec![Reason::NotAdopted], calls(&[])));
    let text = &state.plan.withheld[0].text;
    assert!(text.starts_with("our tags were removed from the ECS service web"), "{text}");
    assert!(text.contains("ManagedBy=terraform"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn services_that_deploy_elsewhere_are_observed_and_never_written() {
    for controller in ["CODE_DEPLOY", "EXTERNAL", "EXPRESS"] {
        let app = service(&format!("{IMAGE}:1"));
        let mut world = World::new(&[("lockstep.yaml", ONE_ENVIRONMENT), ("services/web/service.yaml", &app)]).await;
        world.control.push_image(ACCOUNT, REGION, "app", "1", Behaviour::Ok);
        let container = json!([{"name": "web", "image": format!("{IMAGE}:0")}]);
        let definition = json!({"family": "web", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"],
            "cpu": "256", "memory": "512", "containerDefinitions": container});
        world.ecs("RegisterTaskDefinition", definition).await;
        let kind = if controller == "EXPRESS" { "ECS" } else { controller };
        let network = json!({"awsvpcConfiguration": {"subnets": ["subnet-1"]}});
        let tags: Vec<_> = [("lockstep:source", SOURCE), ("lockstep:environment", "prod"), ("lockstep:service", "web")]
            .map(|(key, value)| json!({"key": key, "value": value}))
            .into();
        world
            .ecs(
                "CreateService",
                json!({"cluster": "prod", "serviceName": "web", "taskDefinition": "web", "desiredCount": 1,
                    "launchType": "FARGATE", "networkConfiguration": network, "tags": tags,
                    "deploymentController": {"type": kind}}),
            )
            .await;
        if controller == "EXPRESS" {
            world.control.make_express(ACCOUNT, REGION, "prod", "web");
        }
        world.control.reset_calls();
        for _ in 0..3 {
            world.round().await;
            world.control.advance(Duration::from_secs(60));
        }
        let state = world.reported("web");
        assert_eq!((reasons(&state), world.writes()), (vec![Reason::Controller], calls(&[])), "{controller}");
        assert_ne!(state.plan.withheld[0].changes, [], "{controller}: it is compared all the same");
        assert_eq!(state.plan.sync, SyncStatus::OutOfSync);
        assert_ne!(state.plan.health, Health::Unknown);
        let text = &state.plan.withheld[0].text;
        // I6: as soon as nothing differs it is Synced, with the controller as a note.
        if controller == "CODE_DEPLOY" {
            let image = app.replace(&format!("{IMAGE}:1"), &format!("{IMAGE}:0")).replace("    app: {", "    web: {");
            let image =
                image.replace(", environment: { LEVEL: info }", "").replace("executionRoleArn: execution\n  ", "");
            let image = image.replace("deploymentCircuitBreaker: { enable: true, rollback: true }", "");
            let image = format!("{image}  deploymentController: {{ type: {controller} }}\n");
            world.repository.commit("as it runs", &[("services/web/service.yaml", &image)]);
            world.round().await;
            let state = world.reported("web");
            assert_eq!(
                (reasons(&state), state.plan.sync),
                (vec![Reason::Controller], SyncStatus::Synced),
                "{state:#?}"
            );
            assert_eq!((&state.plan.withheld[0].changes, world.writes()), (&vec![], calls(&[])));
        }
        let way_out = if controller == "EXPRESS" { "Express" } else { "deploymentController" };
        assert!(text.contains(way_out), "{controller}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_is_a_change_and_no_drift() {
    let mut world = world(&["web"], "heal: { after: 15m }").await;
    world.repository.commit("2", &[("services/web/service.yaml", &service(&format!("{IMAGE}:2")))]);
    world.round().await;
    world.control.advance(Duration::from_secs(20));
    world.repository.git(&["revert", "--no-edit", "HEAD"]);
    world.control.reset_calls();
    world.round().await;
    let state = world.reported("web");
    assert_eq!((reasons(&state), world.writes()), (vec![], calls(&[("ecs:UpdateService", 1)])));
    world.settle().await;
    assert_eq!(world.reported("web").plan.verdict, Some(Verdict::Deployed));
}
