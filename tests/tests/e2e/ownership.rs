//! What is ours to write: adoption, scope, sources, accounts, and the allow-list.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lockstep::reconcile::Orders;
use lockstep_core::allow::Allow;
use lockstep_core::{
    report::{Reason, SyncStatus, Verdict},
    tags::Tags,
};
use lockstep_tests::world::{
    ACCOUNT, IMAGE, ONE_ENVIRONMENT, OTHER_ACCOUNT, REGION, World, calls, push_images, reasons, service, tags,
};
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn an_existing_service_is_left_alone_until_it_is_adopted() {
    let mut world = World::of_services(&[]).await;
    world
        .ecs("RegisterTaskDefinition", json!({"family": "legacy", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
            "containerDefinitions": [{"name": "app", "image": format!("{IMAGE}:1")}]}))
        .await;
    world
        .ecs("CreateService", json!({"cluster": "prod", "serviceName": "web", "taskDefinition": "legacy", "desiredCount": 1, "launchType": "FARGATE",
            "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}}))
        .await;
    world.control.advance(Duration::from_secs(300));
    let app = service(&format!("{IMAGE}:1"));
    world.repository.commit("web", &[("services/web/service.yaml", &app)]);
    world.control.reset_calls();
    world.settle().await;
    assert_eq!(world.writes(), calls(&[]));
    assert_eq!(reasons(&world.reported("web")), [Reason::NotAdopted]);
    // By hand: the tags and nothing else.
    world.round_with(&Orders { write: true, by_hand: true, adopt: true, ..Orders::default() }).await;
    assert_eq!(world.writes(), calls(&[("ecs:TagResource", 1)]));
    // From then on it is ours.
    world.settle().await;
    assert_eq!(
        world.writes(),
        calls(&[("ecs:RegisterTaskDefinition", 1), ("ecs:TagResource", 1), ("ecs:UpdateService", 1)])
    );
    assert_eq!(world.reported("web").plan.verdict, Some(Verdict::Deployed));
}

#[tokio::test(flavor = "multi_thread")]
async fn adopt_true_in_the_manifest_needs_the_agents_permission() {
    for allowed in [false, true] {
        let adopting = format!("adopt: true\n{}", service(&format!("{IMAGE}:1")));
        let files = [("lockstep.yaml", ONE_ENVIRONMENT), ("services/web/service.yaml", adopting.as_str())];
        let mut world = World::with(&files, Allow { adopt: allowed, ..Allow::everything() }).await;
        push_images(&world.control);
        world
            .ecs("RegisterTaskDefinition", json!({"family": "legacy", "networkMode": "awsvpc", "containerDefinitions": [{"name": "app", "image": format!("{IMAGE}:1"), "memory": 64}]}))
            .await;
        world
            .ecs("CreateService", json!({"cluster": "prod", "serviceName": "web", "taskDefinition": "legacy", "desiredCount": 0, "launchType": "FARGATE",
                "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}}))
            .await;
        world.settle().await;
        let state = world.reported("web");
        if allowed {
            assert_eq!((state.plan.sync, reasons(&state)), (SyncStatus::Synced, vec![]));
        } else {
            assert_eq!(reasons(&state), [Reason::NotAdopted]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_of_another_source_is_refused() {
    let mut world = World::of_services(&["web"]).await;
    world.settle().await;
    let arn = world.described("web").await["serviceArn"].clone();
    world.ecs("TagResource", json!({"resourceArn": arn, "tags": [{"key": "lockstep:source", "value": "other"}]})).await;
    world.repository.commit("web: 2", &[("services/web/service.yaml", &service(&format!("{IMAGE}:2")))]);
    world.control.reset_calls();
    world.settle().await;
    assert_eq!((world.writes(), reasons(&world.reported("web"))), (calls(&[]), vec![Reason::ForeignOwner]));
    // Even by hand.
    world.round_with(&Orders { write: true, by_hand: true, adopt: true, ..Orders::default() }).await;
    assert_eq!(world.writes(), calls(&[]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_observed_environment_is_planned_and_not_written_but_by_hand() {
    let observed = ONE_ENVIRONMENT.replace("converge", "observe");
    let app = service(&format!("{IMAGE}:1"));
    let mut world = World::new(&[("lockstep.yaml", &observed), ("services/web/service.yaml", &app)]).await;
    push_images(&world.control);
    world.round().await;
    assert_eq!(world.writes(), calls(&[]));
    let plan = world.context.board.update(0, |source| source.plan());
    assert_eq!(plan.environments[0].withheld[0].reason, Reason::Observe);
    assert_eq!(plan.environments[0].services[0].actions.len(), 2);
    world.round_with(&Orders { by_hand: true, ..Orders::agent() }).await;
    assert_eq!(world.writes(), calls(&[("ecs:CreateService", 1), ("ecs:RegisterTaskDefinition", 1)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_scope_task_definition_the_service_stays_its_owners() {
    let ours = "scope: taskDefinition\ntaskDefinition:\n  networkMode: awsvpc\n  requiresCompatibilities: [FARGATE]\n  cpu: \"256\"\n  memory: \"512\"\n  executionRoleArn: execution\n  containerDefinitions:\n    app: { image: \"111111111111.dkr.ecr.eu-central-1.amazonaws.com/app:2\" }\n";
    let mut world = World::new(&[("lockstep.yaml", ONE_ENVIRONMENT), ("services/web/service.yaml", ours)]).await;
    push_images(&world.control);
    world.settle().await;
    assert_eq!(reasons(&world.reported("web")), [Reason::Missing]);
    world
        .ecs("RegisterTaskDefinition", json!({"family": "web", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
            "containerDefinitions": [{"name": "app", "image": format!("{IMAGE}:1")}]}))
        .await;
    world
        .ecs("CreateService", json!({"cluster": "prod", "serviceName": "web", "taskDefinition": "web", "desiredCount": 3, "launchType": "FARGATE",
            "enableExecuteCommand": true, "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-9"]}}}))
        .await;
    world.control.advance(Duration::from_secs(300));
    world.control.reset_calls();
    world.settle().await;
    assert_eq!(world.writes(), calls(&[("ecs:RegisterTaskDefinition", 1), ("ecs:UpdateService", 1)]));
    let live = world.described("web").await;
    assert_eq!((&live["desiredCount"], &live["enableExecuteCommand"]), (&json!(3), &json!(true)));
    assert_eq!(tags(&live), Tags::new());
    assert_eq!(world.reported("web").plan.verdict, Some(Verdict::Deployed));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_account_is_reached_by_its_role_and_a_wrong_one_is_never_read() {
    let config = "version: 1\nenvironments:\n  mine:\n    account: \"111111111111\"\n    region: eu-central-1\n    cluster: prod\n    sync: { mode: converge }\n  other: { inherits: mine, account: \"222222222222\" }\n  third: { inherits: mine, account: \"333333333333\" }\n";
    let app = service("${{ account }}.dkr.ecr.${{ region }}.amazonaws.com/app:1");
    let mut world = World::new(&[("lockstep.yaml", config), ("services/web/service.yaml", &app)]).await;
    push_images(&world.control);
    world.control.create_cluster(OTHER_ACCOUNT, REGION, "prod");
    world.settle().await;
    assert_eq!(world.reported_in("mine", "web").plan.verdict, Some(Verdict::Deployed));
    assert_eq!(world.reported_in("other", "web").plan.verdict, Some(Verdict::Deployed));
    let third = world.reported_in("third", "web");
    assert_eq!((third.plan.sync, reasons(&third)), (SyncStatus::Unknown, vec![Reason::WrongAccount]));
    assert!(
        third.plan.withheld[0].text.contains("account 111111111111, not 333333333333"),
        "{}",
        third.plan.withheld[0].text
    );
    let creations = |account: &str| world.control.calls_in(account, REGION).get("ecs:CreateService").copied();
    assert_eq!((creations(ACCOUNT), creations(OTHER_ACCOUNT)), (Some(1), Some(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_allow_list_is_obeyed_before_anything_is_read() {
    let app = format!("{}  tags: {{ zone: \"${{{{ ssm:/network/zone }}}}\" }}\n", service(&format!("{IMAGE}:1")));
    let files = [("lockstep.yaml", ONE_ENVIRONMENT), ("services/web/service.yaml", app.as_str())];
    let mut world = World::with(&files, Allow { clusters: Some(vec!["staging".into()]), ..Allow::default() }).await;
    world.round().await;
    assert_eq!(world.calls(), calls(&[]));
    assert_eq!(reasons(&world.reported("web")), [Reason::NotAllowed]);

    let mut world = World::with(&files, Allow::default()).await;
    world.control.put_parameter(ACCOUNT, REGION, "/network/zone", "String", "a");
    world.round().await;
    assert_eq!(world.calls().get("ssm:GetParameters"), None);
    let state = world.reported("web");
    assert_eq!(reasons(&state), [Reason::Invalid]);
    assert!(state.plan.withheld[0].text.contains("allow.ssm"), "{}", state.plan.withheld[0].text);

    let mut world = World::with(&files, Allow { ssm: vec!["/network/*".into()], ..Allow::default() }).await;
    push_images(&world.control);
    world.control.put_parameter(ACCOUNT, REGION, "/network/zone", "String", "a");
    world.settle().await;
    assert_eq!(tags(&world.described("web").await)["zone"], "a");
}

// I11: a task definition for RunTask and schedules, without any ECS service: it is registered when it changes.
#[tokio::test(flavor = "multi_thread")]
async fn a_definition_without_a_service_is_registered_when_it_changes() {
    let job = |tag: &str| {
        format!(
            "scope: taskDefinition\nservice: none\ntaskDefinition:\n  containerDefinitions:\n    app: {{ image: \"{IMAGE}:{tag}\", memory: 64 }}\n"
        )
    };
    let path = "services/job/service.yaml";
    // What defaults say of services is not for it.
    let config =
        ONE_ENVIRONMENT.replace("environments:", "defaults: { service: { propagateTags: SERVICE } }\nenvironments:");
    let mut world = World::new(&[("lockstep.yaml", &config), (path, &job("1"))]).await;
    push_images(&world.control);
    world.settle().await;
    let registered = calls(&[("ecs:RegisterTaskDefinition", 1)]);
    assert_eq!(world.writes(), registered);
    let state = world.reported("job");
    assert_eq!((state.plan.sync, state.plan.verdict), (SyncStatus::Synced, Some(Verdict::Deployed)));
    // At rest it costs nothing.
    world.control.reset_calls();
    for _ in 0..3 {
        world.round().await;
    }
    let reads = world.calls();
    assert!(
        !reads.keys().any(|call| call == "ecs:DescribeServices" || call == "ecs:DescribeTaskDefinition"),
        "{reads:?}"
    );
    // A change, and a change back: the family's newest revision is what people run.
    for tag in ["2", "1"] {
        world.control.reset_calls();
        world.repository.commit(tag, &[(path, &job(tag))]);
        world.settle().await;
        assert_eq!(world.writes(), registered, "{tag}");
        assert_eq!(newest_image(&world, "job").await, format!("{IMAGE}:{tag}"));
    }
    let state = world.reported("job");
    assert_eq!((state.revision.as_str(), state.running), ("job:3", None));
    // Somebody registers another one by hand: the next process that looks puts it right, or leaves it where the
    // environment is not healed.
    let by_hand = json!({"family": "job", "containerDefinitions": [{"name": "app", "image": format!("{IMAGE}:3"), "memory": 64}]});
    world.ecs("RegisterTaskDefinition", by_hand.clone()).await;
    world.control.reset_calls();
    world.restart(true).await;
    world.settle().await;
    assert_eq!(world.writes(), registered);
    assert_eq!(newest_image(&world, "job").await, format!("{IMAGE}:1"));
    let never = config.replace("mode: converge", "mode: converge, heal: never");
    assert_ne!(never, config);
    world.repository.commit("never", &[("lockstep.yaml", &never)]);
    world.settle().await;
    world.ecs("RegisterTaskDefinition", by_hand).await;
    world.control.reset_calls();
    world.restart(true).await;
    world.settle().await;
    assert_eq!((world.writes(), reasons(&world.reported("job"))), (calls(&[]), vec![Reason::NotHealed]));
}

async fn newest_image(world: &World, family: &str) -> String {
    let newest = world.ecs("DescribeTaskDefinition", json!({"taskDefinition": family})).await;
    newest["taskDefinition"]["containerDefinitions"][0]["image"].as_str().unwrap().to_owned()
}

// What schedules run is the family's newest revision: nobody else may register into it.
#[tokio::test(flavor = "multi_thread")]
async fn the_family_of_a_definition_without_a_service_is_its_own() {
    let job = "scope: taskDefinition\nservice: none\ntaskDefinition:\n  family: web\n  containerDefinitions:\n    app: { image: \"busybox:1\", memory: 64 }\n";
    let web = service(&format!("{IMAGE}:1"));
    let files =
        [("lockstep.yaml", ONE_ENVIRONMENT), ("services/job/service.yaml", job), ("services/web/service.yaml", &web)];
    let mut world = World::new(&files).await;
    push_images(&world.control);
    world.settle().await;
    // The service goes on.
    assert_eq!(world.reported("web").plan.verdict, Some(Verdict::Deployed));
    let state = world.reported("job");
    assert_eq!(reasons(&state), [Reason::Invalid]);
    assert_eq!(
        state.plan.withheld[0].text,
        format!(
            "the manifest has errors: services/job/service.yaml:4: the task definition family web ({ACCOUNT}, {REGION}) is registered by `services/web` in `prod` too, so that its newest revision, which schedules run, would not be this one"
        )
    );
}
