//! What a person orders, with the built program: how `sync` and `adopt` end, what they write, and what they say.

use super::run;
use lockstep_core::allow::Allow;
use lockstep_core::report::{Reason, Verdict};
use lockstep_sandbox::{Behaviour, Effect, Fault};
use lockstep_tests::world::{
    ACCOUNT, IMAGE, ONE_ENVIRONMENT, OTHER_ACCOUNT, REGION, SOURCE, World, calls, push_images, reasons, service, tags,
};
use serde_json::json;

/// A world whose clock runs, so that a rollout of minutes takes a second.
async fn running(files: &[(&str, &str)]) -> World {
    let world = World::new(files).await;
    push_images(&world.control);
    world.control.set_speed(300.0);
    world
}

fn refused(operation: &str, code: &str, message: &str) -> Fault {
    let effect = Effect::Error { code: code.to_owned(), message: message.to_owned(), status: 400 };
    Fault::new(operation, effect)
}

const SYNC: [&str; 4] = ["sync", "--yes", "--source", SOURCE];

/// A service that somebody else created.
async fn legacy(world: &World, name: &str) {
    let definition = json!({"family": name, "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256",
        "memory": "512", "containerDefinitions": [{"name": "app", "image": format!("{IMAGE}:1")}]});
    world.ecs("RegisterTaskDefinition", definition).await;
    let network = json!({"awsvpcConfiguration": {"subnets": ["subnet-1"]}});
    world
        .ecs(
            "CreateService",
            json!({"cluster": "prod", "serviceName": name, "taskDefinition": name, "desiredCount": 1,
                "launchType": "FARGATE", "networkConfiguration": network}),
        )
        .await;
}

// C1: success is that the tags are there.
#[tokio::test(flavor = "multi_thread")]
async fn adopt_succeeds_when_the_tags_are_there_and_says_why_they_are_not() {
    let app = service(&format!("{IMAGE}:1"));
    let files = [("lockstep.yaml", ONE_ENVIRONMENT), ("services/web/service.yaml", app.as_str())];
    let world = running(&files).await;
    legacy(&world, "web").await;
    let adopt = ["adopt", "--all", "--yes", "--source", SOURCE];
    let long = "The new ARN and resource ID format must be enabled to add tags to the service.";
    let cases = [
        (refused("ecs:TagResource", "InvalidParameterException", long), long),
        (Fault::new("ecs:TagResource", Effect::Deny), "is not allowed to ecs:TagResource"),
        (Fault::new("ecs:TagResource", Effect::Throttle), "ThrottlingException"),
    ];
    for (fault, why) in cases {
        world.control.clear_faults();
        world.control.add_fault(fault);
        let (code, stdout, stderr) = run(&world, &adopt);
        assert_eq!((code, stdout.as_str()), (1, "0 adopted, 1 not adopted\n"), "{stderr}");
        let line = stderr.lines().find(|line| line.starts_with("prod/web: not adopted: ")).expect(&stderr);
        assert!(line.contains(why), "{line}");
    }
    world.control.clear_faults();
    world.control.reset_calls();
    let (code, stdout, stderr) = run(&world, &adopt);
    assert_eq!((code, stdout.as_str()), (0, "1 adopted\n"), "{stderr}");
    // A6: what the agent will do with it is shown before.
    assert!(stderr.contains("executionRoleArn"), "{stderr}");
    assert_eq!(world.writes(), calls(&[("ecs:TagResource", 1)]));
    assert_eq!(tags(&world.described("web").await)["lockstep:source"], SOURCE);
    // A short ARN is told beforehand, and nothing is tried.
    let short = json!("arn:aws:ecs:eu-central-1:111111111111:service/web");
    let keys = ["lockstep:source", "lockstep:environment", "lockstep:service"];
    let arn = world.described("web").await["serviceArn"].clone();
    world.ecs("UntagResource", json!({"resourceArn": arn, "tagKeys": keys})).await;
    let effect = Effect::Replace { member: "serviceArn".to_owned(), value: short };
    world.control.add_fault(Fault::new("ecs:DescribeServices", effect));
    world.control.reset_calls();
    let (code, stdout, stderr) = run(&world, &adopt);
    assert_eq!((code, stdout.as_str(), world.writes()), (1, "0 adopted\n", calls(&[])), "{stderr}");
    assert!(stderr.contains("ECS sets no tags on a service with a short ARN"), "{stderr}");
}

// C2: what ECS cannot change is not done. C3: what it refuses is tried once, and ends with its words.
#[tokio::test(flavor = "multi_thread")]
async fn sync_ends_by_what_it_leaves_behind() {
    let app = |tag: &str| service(&format!("{IMAGE}:{tag}")).replace("[FARGATE]", "[FARGATE, EC2]");
    let (app, next) = (app("1"), app("2"));
    let files = [("lockstep.yaml", ONE_ENVIRONMENT), ("services/web/service.yaml", app.as_str())];
    let world = running(&files).await;
    let (code, stdout, stderr) = run(&world, &SYNC);
    assert_eq!((code, stdout.as_str()), (0, "1 synced, 0 out of sync, 0 unknown\n"), "{stderr}");

    let other = app.replace("launchType: FARGATE", "launchType: EC2");
    world.repository.commit("ec2", &[("services/web/service.yaml", &other)]);
    world.control.reset_calls();
    let (code, _, stderr) = run(&world, &SYNC);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("prod/web: not done: service.launchType cannot be changed"), "{stderr}");

    world.repository.commit("two", &[("services/web/service.yaml", &next)]);
    for (message, code_of_aws) in
        [("Role is not valid", "ClientException"), ("No Fargate configuration exists.", "ClientException")]
    {
        world.control.clear_faults();
        world.control.add_fault(refused("ecs:RegisterTaskDefinition", code_of_aws, message));
        world.control.reset_calls();
        let (code, _, stderr) = run(&world, &SYNC);
        assert_eq!((code, world.calls()["ecs:RegisterTaskDefinition"]), (5, 1), "{stderr}");
        assert!(stderr.contains(&format!("{code_of_aws}: {message}")), "{stderr}");
    }
    world.control.clear_faults();
    world.control.add_fault(Fault::new("ecs:UpdateService", Effect::Deny));
    world.control.reset_calls();
    let (code, _, stderr) = run(&world, &SYNC);
    assert_eq!((code, world.calls()["ecs:UpdateService"]), (1, 1), "{stderr}");
    assert!(stderr.contains("is not allowed to ecs:UpdateService"), "{stderr}");
}

// I5: without waiting, it ends when all is written.
#[tokio::test(flavor = "multi_thread")]
async fn sync_without_waiting_writes_all_of_it() {
    let app = service(&format!("{IMAGE}:1"));
    // More than AWS lets be registered at once: the rest is one a second.
    let paths: Vec<String> = (0..24).map(|number| format!("services/s{number:02}/service.yaml")).collect();
    let mut files = vec![("lockstep.yaml", ONE_ENVIRONMENT)];
    files.extend(paths.iter().map(|path| (path.as_str(), app.as_str())));
    let world = World::new(&files).await;
    push_images(&world.control);
    let (code, stdout, stderr) = run(&world, &[&SYNC[..], &["--no-wait", "-q"]].concat());
    assert_eq!((code, stdout.as_str()), (0, "0 synced, 0 out of sync, 0 unknown, 24 rolling out\n"), "{stderr}");
    assert_eq!(world.writes(), calls(&[("ecs:CreateService", 24), ("ecs:RegisterTaskDefinition", 24)]));
}

/// Two environments, of which prod waits for staging.
fn two(also: &str) -> String {
    format!("{ONE_ENVIRONMENT}  staging: {{ inherits: prod, cluster: staging{also} }}\n").replacen(
        "    cluster: prod\n",
        "    cluster: prod\n    after: staging\n",
        1,
    )
}

// C6: what is waited for is read, and what was named is written.
#[tokio::test(flavor = "multi_thread")]
async fn sync_reads_what_the_named_waits_for_and_writes_only_what_was_named() {
    let app = |tag: &str| service(&format!("{IMAGE}:{tag}"));
    let config = two("");
    let one = app("1");
    let behind = format!("after: [db]\n{one}");
    let files = [
        ("lockstep.yaml", config.as_str()),
        ("services/db/service.yaml", &one),
        ("services/web/service.yaml", &behind),
    ];
    let world = running(&files).await;
    world.control.create_cluster(ACCOUNT, REGION, "staging");
    // Nothing runs in staging yet: prod waits, which is said, and nothing is written.
    let (code, _, stderr) = run(&world, &[&SYNC[..], &["-e", "prod"]].concat());
    assert_eq!((code, world.writes()), (1, calls(&[])), "{stderr}");
    assert!(stderr.contains("waiting for staging, where db is not deployed yet"), "{stderr}");
    let (code, _, stderr) = run(&world, &[&SYNC[..], &["-e", "staging"]].concat());
    assert_eq!(code, 0, "{stderr}");
    world.control.reset_calls();
    // One service, whose own dependency is not there yet, and then it is.
    let (code, stdout, stderr) = run(&world, &[&SYNC[..], &["-e", "prod", "web"]].concat());
    assert_eq!((code, world.writes()), (1, calls(&[])), "{stderr}");
    assert!(stderr.contains("waiting for db, which is not deployed yet"), "{stderr}");
    assert_eq!(stdout, "0 synced, 1 out of sync, 0 unknown\n", "only what was named is shown");
    for name in ["db", "web"] {
        world.control.reset_calls();
        let (code, stdout, stderr) = run(&world, &[&SYNC[..], &["-e", "prod", name]].concat());
        assert_eq!((code, stdout.as_str()), (0, "1 synced, 0 out of sync, 0 unknown\n"), "{stderr}");
        // The revision that staging registered is used again.
        assert_eq!(world.writes(), calls(&[("ecs:CreateService", 1)]));
    }
    let (code, stdout, stderr) = run(&world, &["plan", "-e", "prod", "-o", "json"]);
    assert_eq!(code, 0, "{stderr}");
    let plan: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(plan["environments"].as_array().unwrap().len(), 1);
}

// C6: an agent whose source does not list the environment reads it from ECS; one that may not says so at the line.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_reads_an_environment_of_another_one_or_says_that_it_may_not() {
    let app = |tag: &str| service(&format!("{IMAGE}:{tag}"));
    let config = two("");
    let one = app("1");
    let files = [("lockstep.yaml", config.as_str()), ("services/web/service.yaml", one.as_str())];
    let mut world = World::new(&files).await;
    push_images(&world.control);
    world.control.create_cluster(ACCOUNT, REGION, "staging");
    world.follow_only(&["prod"]);
    world.round().await;
    let state = world.reported("web");
    assert_eq!((reasons(&state), world.writes()), (vec![Reason::Waiting], calls(&[])));
    assert_eq!(state.plan.withheld[0].text, "waiting for staging, where web is not deployed yet");
    // Another agent, with an id of its own, brings staging up.
    world.follow_as("other", &["staging"]);
    world.settle().await;
    world.follow_only(&["prod"]);
    world.settle().await;
    assert_eq!(world.reported("web").plan.verdict, Some(Verdict::Deployed));
    let known: Vec<String> =
        world.context.board.state().sources[0].environments.iter().map(|it| it.name.clone()).collect();
    assert_eq!(known, ["prod"], "what is only looked at is not shown as ours");

    // Out of reach: an error at its line, not a wait without end.
    let elsewhere = two(&format!(", account: \"{OTHER_ACCOUNT}\""));
    let mut world = World::with(
        &[("lockstep.yaml", elsewhere.as_str()), ("services/web/service.yaml", one.as_str())],
        Allow { clusters: Some(vec!["prod".to_owned()]), ..Allow::everything() },
    )
    .await;
    push_images(&world.control);
    world.follow_only(&["prod"]);
    world.round().await;
    let state = world.reported("web");
    assert_eq!((reasons(&state), world.writes()), (vec![Reason::NotAllowed], calls(&[])));
    let text = &state.plan.withheld[0].text;
    assert!(text.starts_with("prod is `after` staging (lockstep.yaml:"), "{text}");
}

// J7: ECS's events, with their times, as they come; none with -q.
#[tokio::test(flavor = "multi_thread")]
async fn sync_tells_what_ecs_says() {
    let app = service(&format!("{IMAGE}:1"));
    let files = [("lockstep.yaml", ONE_ENVIRONMENT), ("services/web/service.yaml", app.as_str())];
    let world = running(&files).await;
    world.control.push_image(ACCOUNT, REGION, "app", "1", Behaviour::Ok);
    let (code, _, stderr) = run(&world, &SYNC);
    assert_eq!(code, 0, "{stderr}");
    let said: Vec<&str> = stderr.lines().filter(|line| line.contains("Z  prod/web  (service web)")).collect();
    assert!(said.iter().any(|line| line.contains("has started 1 tasks: (task ")), "{stderr}");
    assert!(said.iter().any(|line| line.ends_with("has reached a steady state.")), "{stderr}");
    let times: Vec<&str> = said.iter().map(|line| &line[..9]).collect();
    assert!(times.iter().all(|time| time.as_bytes()[2] == b':' && time.ends_with('Z')), "{times:?}");
    world.repository.commit("2", &[("services/web/service.yaml", &service(&format!("{IMAGE}:2")))]);
    let (code, _, stderr) = run(&world, &[&SYNC[..], &["-q"]].concat());
    assert_eq!(code, 0, "{stderr}");
    assert!(!stderr.contains("(service web)") && !stderr.contains("written"), "{stderr}");
}

// J3: a person's share of the rates.
#[tokio::test(flavor = "multi_thread")]
async fn the_share_of_a_command_is_a_flag_and_a_variable() {
    let app = service(&format!("{IMAGE}:1"));
    let files = [("lockstep.yaml", ONE_ENVIRONMENT), ("services/web/service.yaml", app.as_str())];
    let world = World::new(&files).await;
    let (code, _, stderr) = run(&world, &["plan", "--api-share", "2"]);
    assert_eq!(code, 2);
    assert!(stderr.contains("flag --api-share") && stderr.contains("is not a share between 0 and 1"), "{stderr}");
    let mut command = lockstep_tests::program::lockstep(Some(&world.endpoint()));
    command.args(["plan", "-C"]).arg(world.repository.path()).env("LOCKSTEP_API_SHARE", "nothing");
    let (code, _, stderr) = lockstep_tests::outcome(&mut command);
    assert_eq!(code, 2);
    assert!(stderr.contains("LOCKSTEP_API_SHARE"), "{stderr}");
    assert_eq!(run(&world, &["plan", "--api-share", "0.2"]).0, 0);
}
