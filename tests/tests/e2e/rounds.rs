//! What the agent's rounds do, one world a test, on a clock that the test moves.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lockstep::reconcile::Orders;
use lockstep_core::event::{Trigger, What};
use lockstep_core::report::{ActionKind, Health, Reason, SyncStatus, Verdict};
use lockstep_sandbox::{Behaviour, Effect, Fault, When};
use lockstep_tests::world::{
    ACCOUNT, IMAGE, ONE_ENVIRONMENT, REGION, Setup, World, call_ecs, calls, push_images, reasons, service, tags,
};
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_created_with_our_tags_and_ends_deployed() {
    let mut world = World::of_services(&["web"]).await;
    world.round().await;
    let state = world.reported("web");
    assert_eq!(state.plan.verdict, Some(Verdict::Progressing), "not a success before ECS says so");
    world.settle().await;
    let state = world.reported("web");
    assert_eq!((state.plan.sync, state.plan.health), (SyncStatus::Synced, Health::Healthy));
    assert_eq!((state.running, state.revision.as_str()), (Some(1), "web:1"));
    let live = world.described("web").await;
    let expected = [("lockstep:environment", "prod"), ("lockstep:service", "web"), ("lockstep:source", "acme")];
    assert_eq!(tags(&live), expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    let revision = world.ecs("DescribeTaskDefinition", json!({"taskDefinition": "web", "include": ["TAGS"]})).await;
    let commit = world.repository.git(&["rev-parse", "HEAD"]);
    assert_eq!(tags(&revision)["lockstep:commit"], commit);
    assert!(tags(&revision)["lockstep:hash"].starts_with("v1:"));
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_named_and_healed_once() {
    let mut world = World::of_services(&["web"]).await;
    world.settle().await;
    world.happened();
    world
        .ecs(
            "UpdateService",
            json!({"cluster": "prod", "service": "web", "desiredCount": 0, "enableExecuteCommand": true}),
        )
        .await;
    world.control.reset_calls();
    world.settle().await;
    assert_eq!(world.writes(), calls(&[("ecs:UpdateService", 1)]));
    let wrote = world.happened().into_iter().find_map(|event| match event.what {
        What::Wrote { trigger, changes, actions, .. } => Some((trigger, actions, changes)),
        _ => None,
    });
    let (trigger, actions, changes) = wrote.unwrap();
    assert_eq!((trigger, actions), (Trigger::Drift, vec![ActionKind::UpdateService]));
    let paths: Vec<&str> = changes.iter().map(|change| change.path.as_str()).collect();
    assert_eq!(paths, ["service.desiredCount", "service.enableExecuteCommand"]);
    assert_eq!(world.described("web").await["desiredCount"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_definition_changed_by_hand_is_taken_back() {
    let mut world = World::of_services(&["web"]).await;
    world.settle().await;
    let mut edited =
        world.ecs("DescribeTaskDefinition", json!({"taskDefinition": "web"})).await["taskDefinition"].clone();
    edited["containerDefinitions"][0]["environment"] = json!([{"name": "LEVEL", "value": "debug"}]);
    let registered = world.ecs("RegisterTaskDefinition", edited).await;
    let arn = registered["taskDefinition"]["taskDefinitionArn"].clone();
    world.ecs("UpdateService", json!({"cluster": "prod", "service": "web", "taskDefinition": arn})).await;
    world.control.reset_calls();
    world.happened();
    world.settle().await;
    assert_eq!(world.writes(), calls(&[("ecs:UpdateService", 1)]), "the revision from before is used again");
    assert_eq!(world.reported("web").revision, "web:1");
    let events = world.happened();
    assert!(
        events.iter().any(|event| matches!(&event.what, What::Wrote { trigger: Trigger::Drift, changes, .. }
            if changes.iter().any(|change| change.path == "taskDefinition.containerDefinitions[app].environment[LEVEL]"))),
        "{events:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ecs_rolled_back_is_rejected_with_its_cause_and_never_tried_again() {
    let mut world = World::of_services(&["web", "other"]).await;
    world.settle().await;
    world.control.reset_calls();
    let bad = service(&format!("{IMAGE}:bad"));
    world.repository.commit("web: bad", &[("services/web/service.yaml", &bad)]);
    world.settle().await;
    let state = world.reported("web");
    assert_eq!(state.plan.verdict, Some(Verdict::Rejected));
    assert_eq!((state.plan.sync, state.plan.health), (SyncStatus::OutOfSync, Health::Healthy));
    world.settle().await;
    let state = world.reported("web");
    assert_eq!(reasons(&state), [Reason::Rejected]);
    assert!(
        state.plan.withheld[0].text.contains("container app exited with code 3"),
        "{}",
        state.plan.withheld[0].text
    );
    assert_eq!(state.plan.withheld[0].changes[0].path, "taskDefinition.containerDefinitions[app].image");
    assert_eq!(
        world.writes(),
        calls(&[("ecs:RegisterTaskDefinition", 1), ("ecs:TagResource", 2), ("ecs:UpdateService", 1)])
    );
    assert_eq!(world.reported("other").plan.verdict, Some(Verdict::Deployed));

    // At rest it costs nothing more.
    world.control.reset_calls();
    for _ in 0..5 {
        world.control.advance(Duration::from_secs(300));
        world.round().await;
    }
    assert_eq!(world.calls(), calls(&[("ecs:DescribeClusters", 5), ("ecs:DescribeServices", 5)]));

    // A restart, and a lost cache, change nothing: it is in ECS's own history and in tags.
    for keep_cache in [true, false] {
        world.control.reset_calls();
        world.restart(keep_cache).await;
        world.settle().await;
        assert_eq!(world.writes(), calls(&[]), "cache kept: {keep_cache}");
        let state = world.reported("web");
        assert_eq!(state.plan.verdict, Some(Verdict::Rejected));
        assert!(state.plan.withheld[0].text.contains("exited with code 3"), "{}", state.plan.withheld[0].text);
    }

    // Another desired state is a new try.
    world.control.reset_calls();
    world.repository.commit("web: 2", &[("services/web/service.yaml", &service(&format!("{IMAGE}:2")))]);
    world.settle().await;
    assert_eq!(world.writes(), calls(&[("ecs:RegisterTaskDefinition", 1), ("ecs:UpdateService", 1)]));
    assert_eq!(world.reported("web").plan.verdict, Some(Verdict::Deployed));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_deployment_that_fails_is_rejected() {
    let bad = service(&format!("{IMAGE}:bad"));
    let mut world = World::new(&[("lockstep.yaml", ONE_ENVIRONMENT), ("services/web/service.yaml", &bad)]).await;
    push_images(&world.control);
    world.settle().await;
    let state = world.reported("web");
    assert_eq!((state.plan.verdict, state.plan.health), (Some(Verdict::Rejected), Health::Degraded));
    assert!(state.plan.withheld[0].text.contains("exited with code 3"), "{:?}", state.plan.withheld);
    assert_eq!(world.writes(), calls(&[("ecs:CreateService", 1), ("ecs:RegisterTaskDefinition", 1)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_missing_is_waited_for_with_ecs_words() {
    let mut world = World::of_services(&["web"]).await;
    world.settle().await;
    world.repository.commit("web: 9", &[("services/web/service.yaml", &service(&format!("{IMAGE}:9")))]);
    world.settle().await;
    let state = world.reported("web");
    assert_eq!((state.plan.verdict, reasons(&state)), (Some(Verdict::Pending), vec![Reason::Prerequisite]));
    assert!(state.plan.withheld[0].text.contains("CannotPullContainerError"), "{:?}", state.plan.withheld);
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_beside_a_rejected_state_is_healed_without_the_rejected_part() {
    let mut world = World::of_services(&["web"]).await;
    world.settle().await;
    world.repository.commit("web: bad", &[("services/web/service.yaml", &service(&format!("{IMAGE}:bad")))]);
    world.settle().await;
    world.settle().await;
    world.ecs("UpdateService", json!({"cluster": "prod", "service": "web", "desiredCount": 0})).await;
    world.control.reset_calls();
    world.settle().await;
    assert_eq!(world.writes(), calls(&[("ecs:UpdateService", 1)]));
    assert_eq!(world.described("web").await["desiredCount"], 1);
    assert_eq!(world.reported("web").plan.verdict, Some(Verdict::Rejected));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_state_is_tried_once_more_by_order() {
    let mut world = World::of_services(&["web"]).await;
    world.settle().await;
    world.repository.commit("web: bad", &[("services/web/service.yaml", &service(&format!("{IMAGE}:bad")))]);
    world.settle().await;
    world.settle().await;
    world.control.push_image(ACCOUNT, REGION, "app", "bad", Behaviour::Ok);
    world.control.reset_calls();
    world.round_with(&Orders { retry: true, ..Orders::agent() }).await;
    world.settle().await;
    assert_eq!(world.writes(), calls(&[("ecs:UpdateService", 1)]));
    assert_eq!(world.reported("web").plan.verdict, Some(Verdict::Deployed));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_commit_supersedes_a_rollout_in_flight() {
    let mut world = World::of_services(&["web"]).await;
    world.settle().await;
    world.repository.commit("web: bad", &[("services/web/service.yaml", &service(&format!("{IMAGE}:bad")))]);
    world.round().await;
    world.control.advance(Duration::from_secs(20));
    world.round().await;
    assert_eq!(world.reported("web").plan.verdict, Some(Verdict::Progressing));
    world.repository.commit("web: 2", &[("services/web/service.yaml", &service(&format!("{IMAGE}:2")))]);
    world.settle().await;
    let state = world.reported("web");
    assert_eq!((state.plan.verdict, state.plan.sync), (Some(Verdict::Deployed), SyncStatus::Synced));
    let revision = world.ecs("DescribeTaskDefinition", json!({"taskDefinition": state.revision})).await;
    assert_eq!(revision["taskDefinition"]["containerDefinitions"][0]["image"], format!("{IMAGE}:2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_holds_services_and_environments() {
    let config = "version: 1\nenvironments:\n  first:\n    account: \"111111111111\"\n    region: eu-central-1\n    cluster: prod\n    sync: { mode: converge }\n    vars: { name: first }\n  second: { inherits: first, region: eu-west-1, after: first }\n";
    let db = service(&format!("{IMAGE}:1"));
    let web = format!("after: [db]\n{db}");
    let mut world = World::new(&[
        ("lockstep.yaml", config),
        ("services/db/service.yaml", &db),
        ("services/web/service.yaml", &web),
    ])
    .await;
    push_images(&world.control);
    world.control.create_cluster(ACCOUNT, "eu-west-1", "prod");
    world.round().await;
    assert_eq!(world.calls()["ecs:CreateService"], 1);
    assert!(
        world.reported_in("first", "web").plan.withheld[0].text.starts_with("waiting for db, which is being deployed")
    );
    assert!(
        world.reported_in("second", "db").plan.withheld[0]
            .text
            .starts_with("waiting for first, where db is being deployed")
    );
    world.settle().await;
    let created: Vec<(String, String)> = world
        .control
        .journal(0)
        .into_iter()
        .filter(|entry| entry.operation == "CreateService")
        .map(|entry| (entry.region.clone(), entry.request["serviceName"].as_str().unwrap().to_owned()))
        .collect();
    let position = |region: &str, name: &str| created.iter().position(|(r, n)| r == region && n == name).unwrap();
    assert_eq!(created.len(), 4);
    assert!(position(REGION, "db") < position(REGION, "web"));
    assert!(position(REGION, "db") < position("eu-west-1", "db"));
    assert!(position(REGION, "web") < position("eu-west-1", "web"));
    assert!(position("eu-west-1", "db") < position("eu-west-1", "web"));

    // What was rejected in the first is not brought to the second.
    let bad = service(&format!("{IMAGE}:bad"));
    world.repository.commit("db: bad", &[("services/db/service.yaml", &bad)]);
    world.control.reset_calls();
    for _ in 0..60 {
        world.round().await;
        world.control.advance(Duration::from_secs(10));
    }
    assert_eq!(world.control.calls_in(ACCOUNT, "eu-west-1").get("ecs:UpdateService"), None);
    assert!(world.reported_in("second", "db").plan.withheld[0].text.contains("was rejected by ECS"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_service_stops_itself_and_a_broken_lockstep_yaml_stops_every_write() {
    let mut world = World::of_services(&["web", "api"]).await;
    world.settle().await;
    let broken = service(&format!("{IMAGE}:2")).replace("cpu:", "cpuu:");
    world.repository.commit(
        "mixed",
        &[("services/web/service.yaml", &broken), ("services/api/service.yaml", &service(&format!("{IMAGE}:2")))],
    );
    world.control.reset_calls();
    world.settle().await;
    let web = world.reported("web");
    assert_eq!(
        (reasons(&web), web.plan.verdict),
        (vec![Reason::Invalid], Some(Verdict::Deployed)),
        "the last verdict stays"
    );
    assert_eq!(world.writes(), calls(&[("ecs:RegisterTaskDefinition", 1), ("ecs:UpdateService", 1)]));
    assert_eq!(world.reported("api").plan.verdict, Some(Verdict::Deployed));

    world.repository.commit(
        "broken",
        &[
            ("lockstep.yaml", &format!("{ONE_ENVIRONMENT}oops: 1\n")),
            ("services/api/service.yaml", &service(&format!("{IMAGE}:1"))),
        ],
    );
    world.control.reset_calls();
    world.round().await;
    world.round().await;
    assert_eq!(world.writes(), calls(&[]));
    assert_eq!(world.calls()["ecs:DescribeServices"], 2, "reads go on");
    let plan = world.context.board.update(0, |source| source.plan());
    assert_eq!(plan.environments[0].withheld[0].reason, Reason::Invalid);
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_reads_are_unknown_and_failed_writes_are_said() {
    let mut world = World::of_services(&["web"]).await;
    world.settle().await;
    world.control.add_fault(Fault::new("ecs:DescribeServices", Effect::Deny));
    world.control.reset_calls();
    world.round().await;
    let state = world.reported("web");
    assert_eq!((state.plan.sync, reasons(&state)), (SyncStatus::Unknown, vec![Reason::Unread]));
    let denied = "arn:aws:iam::111111111111:user/sandbox is not allowed to ecs:DescribeServices on arn:aws:ecs:eu-central-1:111111111111:service/prod/web";
    assert!(state.plan.withheld[0].text.contains(denied), "{}", state.plan.withheld[0].text);
    world.control.clear_faults();

    world.control.add_fault(Fault::new("ecs:UpdateService", Effect::Deny));
    world.repository.commit("web: 2", &[("services/web/service.yaml", &service(&format!("{IMAGE}:2")))]);
    world.round().await;
    let state = world.reported("web");
    assert_eq!(reasons(&state), [Reason::Failed]);
    assert!(
        state.plan.withheld[0].text.contains("is not allowed to ecs:UpdateService on "),
        "{}",
        state.plan.withheld[0].text
    );
    world.control.clear_faults();
    world.control.reset_calls();
    world.round_with(&Orders { by_hand: true, begins: true, ..Orders::agent() }).await;
    world.settle().await;
    assert_eq!(world.writes(), calls(&[("ecs:UpdateService", 1)]), "the registration before is found again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_cluster_is_said_and_others_go_on() {
    let config = format!("{ONE_ENVIRONMENT}  gone: {{ inherits: prod, cluster: nowhere }}\n");
    let app = service(&format!("{IMAGE}:1"));
    let mut world = World::new(&[("lockstep.yaml", &config), ("services/web/service.yaml", &app)]).await;
    push_images(&world.control);
    world.settle().await;
    let gone = world.reported_in("gone", "web");
    assert_eq!(gone.plan.sync, SyncStatus::Unknown);
    assert_eq!(
        gone.plan.withheld[0].text,
        "the cluster nowhere does not exist in account 111111111111 and region eu-central-1"
    );
    assert_eq!(world.reported("web").plan.verdict, Some(Verdict::Deployed));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_after_its_effect_starts_nothing_twice() {
    for operation in ["ecs:CreateService", "ecs:RegisterTaskDefinition", "ecs:UpdateService"] {
        let mut world = World::of_services(&["web"]).await;
        let fault =
            Fault::new(operation, Effect::InternalError).timing(lockstep_sandbox::Timing::After).when(When::First(3));
        if operation == "ecs:UpdateService" {
            world.settle().await;
            world.repository.commit("web: 2", &[("services/web/service.yaml", &service(&format!("{IMAGE}:2")))]);
        }
        world.control.add_fault(fault);
        world.round().await;
        world.control.clear_faults();
        world.round_with(&Orders { by_hand: true, begins: true, ..Orders::agent() }).await;
        world.settle().await;
        let live = world.described("web").await;
        assert_eq!(live["deployments"].as_array().unwrap().len(), 1, "{operation}");
        let history = world.ecs("ListServiceDeployments", json!({"cluster": "prod", "service": "web"})).await;
        let expected = if operation == "ecs:UpdateService" { 2 } else { 1 };
        assert_eq!(history["serviceDeployments"].as_array().unwrap().len(), expected, "{operation}");
        assert_eq!(world.reported("web").plan.verdict, Some(Verdict::Deployed), "{operation}");
    }
}

/// J2: what a commit changes is looked at and written before what is due anyway.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_does_not_wait_for_the_reads_of_everything_else() {
    let names: Vec<String> = (0..25).map(|number| format!("s{number:02}")).collect();
    let mut world = World::of_services(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    world.settle().await;
    world.control.reset_calls();
    world.repository.commit("2", &[("services/s20/service.yaml", &service(&format!("{IMAGE}:2")))]);
    world.round_with(&Orders { everything: true, ..Orders::agent() }).await;
    let journal = world.control.journal(0);
    let calls: Vec<(String, usize)> = journal
        .iter()
        .filter(|entry| entry.operation != "DescribeClusters")
        .map(|entry| (entry.operation.clone(), entry.request["services"].as_array().map_or(0, Vec::len)))
        .collect();
    let of = |name: &str, count| (name.to_owned(), count);
    assert_eq!(calls[0], of("DescribeServices", 1), "{calls:?}");
    let written = calls.iter().position(|call| *call == of("UpdateService", 0)).unwrap();
    let others = calls.iter().position(|call| *call == of("DescribeServices", 10)).unwrap();
    assert!(written < others, "{calls:?}");
    assert_eq!(calls.iter().filter(|(name, _)| name == "DescribeServices").map(|(_, count)| count).sum::<usize>(), 25);
    assert_eq!(world.writes(), self::calls(&[("ecs:RegisterTaskDefinition", 1), ("ecs:UpdateService", 1)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scalable_target_owns_the_count() {
    let mut world = World::of_services(&["web"]).await;
    world.settle().await;
    world.control.register_scalable_target(ACCOUNT, REGION, "service/prod/web", 1, 10);
    world.ecs("UpdateService", json!({"cluster": "prod", "service": "web", "desiredCount": 5})).await;
    world.control.reset_calls();
    world.settle().await;
    assert_eq!(world.writes(), calls(&[]));
    let state = world.reported("web");
    assert_eq!((state.plan.sync, reasons(&state)), (SyncStatus::Synced, vec![Reason::Autoscaled]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_repository_keeps_the_last_good_state() {
    let mut world = World::of_services(&["web"]).await;
    world.settle().await;
    let hidden = world.repository.path().join("hidden");
    std::fs::rename(world.repository.path().join(".git"), &hidden).unwrap();
    assert!(world.runner.refresh(&world.context).await.is_err());
    world.control.reset_calls();
    world.runner.round(&world.context, &Orders::agent()).await;
    assert_eq!(world.calls(), calls(&[("ecs:DescribeClusters", 1), ("ecs:DescribeServices", 1)]));
    assert_eq!(world.reported("web").plan.verdict, Some(Verdict::Deployed));
    let error = world.context.board.update(0, |source| source.error.clone()).unwrap();
    assert!(error.starts_with("failed to read the repository"), "{error}");
    std::fs::rename(&hidden, world.repository.path().join(".git")).unwrap();
    world.restart(true).await;
    world.settle().await;
    assert_eq!(world.context.board.update(0, |source| source.error.clone()), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_replaced_where_the_manifest_says_so_and_once() {
    let web = |extra: &str, launch: &str| service(&format!("{IMAGE}:1")).replace("launchType: FARGATE", launch) + extra;
    let fargate = web("", "launchType: FARGATE");
    let mut world = World::new(&[("lockstep.yaml", ONE_ENVIRONMENT), ("services/web/service.yaml", &fargate)]).await;
    push_images(&world.control);
    world.control.add_capacity_provider(ACCOUNT, REGION, "prod", "shop-asg");
    world.settle().await;
    let first = world.described("web").await["createdAt"].clone();
    // From the launch type to instances: ECS has no way, and nothing is tried.
    let moved = web("", "capacityProviderStrategy: { shop-asg: { weight: 1 } }")
        .replace("requiresCompatibilities: [FARGATE]", "requiresCompatibilities: [EC2]");
    world.repository.commit("move", &[("services/web/service.yaml", &moved)]);
    world.control.reset_calls();
    world.round().await;
    assert_eq!(reasons(&world.reported("web")), [Reason::Replace]);
    assert!(!world.writes().contains_key("ecs:DeleteService"), "{:?}", world.writes());
    // With the word for it the service goes, and comes again when it is gone.
    world.repository.commit("replace", &[("services/web/service.yaml", &format!("{moved}replace: true\n"))]);
    world.control.reset_calls();
    world.round().await;
    assert_eq!(world.writes(), calls(&[("ecs:DeleteService", 1)]));
    world.round().await;
    assert_eq!(reasons(&world.reported("web")), [Reason::RollingBack], "it drains");
    for _ in 0..60 {
        world.control.advance(Duration::from_secs(10));
        world.round().await;
        if world.writes().contains_key("ecs:CreateService") {
            break;
        }
    }
    let live = world.described("web").await;
    assert_ne!(live["createdAt"], first);
    assert_eq!(live["capacityProviderStrategy"][0]["capacityProvider"], "shop-asg");
    assert!(tags(&live).contains_key("lockstep:created"), "{live:#}");
    for _ in 0..3 {
        world.control.advance(Duration::from_secs(60));
        world.round().await;
    }
    assert_eq!(world.writes()["ecs:DeleteService"], 1, "once");
    assert_eq!(world.writes()["ecs:CreateService"], 1, "once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_parameter_is_named_as_the_cause() {
    let web = service(&format!("{IMAGE}:1")).replace("subnets: [subnet-1]", "subnets: \"${{ ssm:/network/subnets }}\"");
    let mut world = World::new(&[("lockstep.yaml", ONE_ENVIRONMENT), ("services/web/service.yaml", &web)]).await;
    push_images(&world.control);
    world.control.put_parameter(ACCOUNT, REGION, "/network/subnets", "StringList", "subnet-1,subnet-2");
    world.settle().await;
    assert_eq!(world.reported("web").plan.causes, Vec::<String>::new());
    world.control.put_parameter(ACCOUNT, REGION, "/network/subnets", "StringList", "subnet-1,subnet-3");
    // The versions are known after a restart, and there are values to read anew.
    world.restart(true).await;
    world.round_with(&Orders { everything: true, ..Orders::default() }).await;
    let plan = world.reported("web").plan;
    assert_eq!(plan.causes, ["/network/subnets v1 → v2, not in this commit"]);
    assert!(!plan.actions.is_empty());
    world.settle().await;
    assert_eq!(world.reported("web").plan.causes, Vec::<String>::new(), "it is as declared again");
}

// K: an answer that is older than the write led to the same write again, with each round.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_not_repeated_because_an_answer_is_older_than_it() {
    let app = service(&format!("{IMAGE}:1"));
    let files = [("lockstep.yaml", ONE_ENVIRONMENT), ("services/web/service.yaml", app.as_str())];
    let mut setup = Setup::default();
    setup.options.stale_reads = Duration::from_secs(12);
    let mut world = World::set_up(&files, setup).await;
    push_images(&world.control);
    world.settle().await;
    world.control.advance(Duration::from_secs(600));
    world.round().await;
    world
        .repository
        .commit("two tasks", &[("services/web/service.yaml", &app.replace("desiredCount: 1", "desiredCount: 2"))]);
    world.control.reset_calls();
    for _ in 0..5 {
        assert!(world.round().await);
        world.control.advance(Duration::from_secs(2));
    }
    assert_eq!(world.writes(), calls(&[("ecs:UpdateService", 1)]));
    let state = world.reported("web");
    assert_eq!((reasons(&state), state.plan.verdict), (vec![Reason::WaitingForAws], Some(Verdict::Progressing)));
    let text = &state.plan.withheld[0].text;
    assert_eq!(text, "AWS accepted this write 8s ago and does not show it yet; written again in 7s if that lasts");
    world.settle().await;
    assert_eq!(world.reported("web").plan.verdict, Some(Verdict::Deployed));
    assert_eq!(world.writes(), calls(&[("ecs:UpdateService", 1)]));
}

// A2: one name twice stopped every write of the repository.
#[tokio::test(flavor = "multi_thread")]
async fn two_directories_of_one_name_hold_back_that_service_alone() {
    let mut world = World::of_services(&["api", "web"]).await;
    let prune = ONE_ENVIRONMENT.replace("mode: converge", "mode: converge, prune: true");
    world.repository.commit("prune", &[("lockstep.yaml", &prune)]);
    world.settle().await;
    let two = service(&format!("{IMAGE}:2"));
    let files = [("services/a/web/service.yaml", two.as_str()), ("services/api/service.yaml", two.as_str())];
    world.repository.commit("web twice", &files);
    world.control.reset_calls();
    world.settle().await;
    assert_eq!(world.writes(), calls(&[("ecs:RegisterTaskDefinition", 1), ("ecs:UpdateService", 1)]));
    assert_eq!(world.reported("api").plan.verdict, Some(Verdict::Deployed));
    assert_eq!(world.described("web").await["status"], "ACTIVE");
    let state = world.context.board.state();
    assert_eq!(state.sources[0].writes_stopped, None);
    let said: Vec<_> = state.sources[0].problems.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(said, ["a service `web` is declared in `services/a/web` already"]);
}

// The look before a deployment: what a person did after the service was read, and before it is written.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_did_a_moment_ago_is_seen_before_a_deployment_is_started() {
    let mut world = World::of_services(&["web"]).await;
    world.settle().await;
    let arn = world.described("web").await["serviceArn"].clone();
    world.repository.commit("web: 2", &[("services/web/service.yaml", &service(&format!("{IMAGE}:2")))]);
    world.restart(false).await;
    // So long does it take to plan.
    world.control.add_fault(Fault::new("ecs:DescribeTaskDefinition", Effect::Delay(1.2)));
    world.control.reset_calls();
    let (control, endpoint) = (world.control.clone(), world.endpoint());
    let pausing = async {
        lockstep_tests::eventually_async(|| control.calls().contains_key("ecs:DescribeTaskDefinition")).await;
        let tags = json!({"resourceArn": arn, "tags": [{"key": "lockstep:pause", "value": "INC-4711"}]});
        call_ecs(&endpoint, ACCOUNT, REGION, "TagResource", &tags).await.unwrap()
    };
    let (_, (status, _)) = tokio::join!(world.round(), pausing);
    assert_eq!(status, 200);
    let reads = |world: &World| world.calls().get("ecs:DescribeServices").copied();
    assert_eq!((world.writes(), reads(&world)), (calls(&[("ecs:TagResource", 1)]), Some(2)));
    let state = world.reported("web");
    assert_eq!(reasons(&state), [Reason::Queued]);
    assert_eq!(
        state.plan.withheld[0].text,
        "the service was changed while its change was planned; it is planned again"
    );
    world.control.clear_faults();
    world.settle().await;
    assert_eq!(reasons(&world.reported("web")), [Reason::Paused]);
    assert_eq!(world.writes(), calls(&[("ecs:TagResource", 1)]));
}
