//! Rollouts that go well.

use serde_json::{Value, json};

use crate::rig::{GROUP, Rig};

fn texts(events: &[(f64, String)]) -> Vec<(f64, &str)> {
    events.iter().map(|(at, text)| (*at, text.as_str())).collect()
}

#[tokio::test]
async fn trace_a_one_task_behind_a_load_balancer() {
    let rig = Rig::start().await;
    let first = rig.register("web", "nginx:1").await;
    let balancer = json!([{ "targetGroupArn": GROUP, "containerName": "web", "containerPort": 80 }]);
    rig.create(&first, json!({ "loadBalancers": balancer })).await;
    rig.settle().await;
    let old = rig.service().await["deployments"][0]["id"].clone();

    let second = rig.register("web", "nginx:2").await;
    let response = rig.update(json!({ "taskDefinition": second })).await;
    assert_eq!(response["taskDefinition"], second);
    assert_eq!(response["deployments"][0]["desiredCount"], 0);
    assert_eq!(response["deployments"][0]["rolloutState"], "IN_PROGRESS");
    assert_eq!(response["deployments"][1]["id"], old);
    assert_eq!(response["deployments"][1]["rolloutState"], "COMPLETED");
    let started = rig.now() + 13.0;
    let mut counts = Vec::new();
    for _ in 0..180 {
        rig.advance(1.0);
        let running = rig.service().await["runningCount"].as_u64().unwrap();
        if counts.last() != Some(&running) {
            counts.push(running);
        }
    }
    assert_eq!(counts, [1, 2, 1]);
    let events = rig.events_since(started).await;
    assert_eq!(
        texts(&events),
        [
            (0.0, "has started 1 tasks: (task TASK)."),
            (40.0, "registered 1 targets in (target-group GROUP)"),
            (90.0, "has stopped 1 running tasks: (task TASK)."),
            (100.0, "deregistered 1 targets in (target-group GROUP)"),
            (100.01, "(service web, taskSet ID) has begun draining connections on 1 tasks."),
            (150.0, "(deployment ID) deployment completed."),
            (150.001, "has reached a steady state."),
        ]
    );
    let service = rig.service().await;
    assert_eq!(service["deployments"].as_array().unwrap().len(), 1);
    assert_eq!(service["currentServiceRevisions"].as_array().unwrap().len(), 1);
    let rollout = rig.rollout().await;
    assert_eq!(rollout["status"], "SUCCESSFUL");
    assert_eq!(rollout["finishedAt"], rollout["updatedAt"]);
    assert_eq!(rollout["deploymentCircuitBreaker"]["status"], "DISABLED");
}

#[tokio::test]
async fn a_first_deployment_completes_and_fixes_its_digests() {
    let rig = Rig::start().await;
    let definition = rig.register("web", "nginx:1").await;
    let created = rig.create(&definition, json!({})).await;
    assert_eq!(
        created["deployments"][0]["rolloutStateReason"].as_str().unwrap().split(' ').next_back(),
        Some("progress.")
    );
    let rollout = rig.rollout().await;
    assert_eq!((&rollout["status"], &rollout["sourceServiceRevisions"]), (&json!("PENDING"), &json!([])));
    let revision = rollout["targetServiceRevision"]["arn"].clone();
    assert_eq!(rig.revision(&revision).await["containerImages"], json!([]));
    rig.advance(2.0);
    assert_eq!(rig.rollout().await["status"], "IN_PROGRESS");
    rig.advance(100.0);
    let rollout = rig.rollout().await;
    assert_eq!(rollout["status"], "SUCCESSFUL");
    assert_eq!(rig.offset(&rollout["finishedAt"]), 90.5);
    let images = rig.revision(&revision).await["containerImages"].clone();
    assert_eq!((&images[0]["containerName"], &images[0]["image"]), (&json!("web"), &json!("nginx:1")));
    let digest = images[0]["imageDigest"].as_str().unwrap().to_owned();
    rig.update(json!({ "desiredCount": 2 })).await;
    rig.advance(120.0);
    let listed = rig.ecs("ListTasks", json!({ "cluster": "demo", "serviceName": "web" })).await;
    let tasks = rig.ecs("DescribeTasks", json!({ "cluster": "demo", "tasks": listed["taskArns"] })).await;
    let images: Vec<&Value> =
        tasks["tasks"].as_array().unwrap().iter().map(|task| &task["containers"][0]["image"]).collect();
    assert_eq!(images, [&json!("nginx:1"), &json!(format!("nginx:1@{digest}"))]);
    let deployments = rig.ecs("ListServiceDeployments", json!({ "cluster": "demo", "service": "web" })).await;
    assert_eq!(deployments["serviceDeployments"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_bounds_hold_when_there_is_no_room_above() {
    let rig = Rig::start().await;
    let first = rig.register("web", "nginx:1").await;
    let tight = json!({ "maximumPercent": 100, "minimumHealthyPercent": 50 });
    rig.create(&first, json!({ "desiredCount": 4, "deploymentConfiguration": tight })).await;
    rig.settle().await;
    let second = rig.register("web", "nginx:2").await;
    rig.update(json!({ "taskDefinition": second })).await;
    let (mut fewest, mut most) = (u64::MAX, 0);
    for _ in 0..400 {
        rig.advance(1.0);
        let service = rig.service().await;
        let running = service["runningCount"].as_u64().unwrap();
        fewest = fewest.min(running);
        most = most.max(running + service["pendingCount"].as_u64().unwrap());
    }
    assert_eq!((fewest, most), (2, 4));
    assert_eq!(rig.rollout().await["status"], "SUCCESSFUL");
}

#[tokio::test]
async fn nothing_wanted_completes_at_once() {
    let rig = Rig::start().await;
    let definition = rig.register("web", "nginx:1").await;
    rig.create(&definition, json!({ "desiredCount": 0 })).await;
    rig.advance(2.0);
    assert_eq!(rig.rollout().await["status"], "SUCCESSFUL");
}

#[tokio::test]
async fn scaling_starts_no_deployment() {
    let rig = Rig::start().await;
    let definition = rig.register("web", "nginx:1").await;
    rig.create(&definition, json!({})).await;
    rig.settle().await;
    rig.update(json!({ "desiredCount": 3 })).await;
    rig.advance(120.0);
    let service = rig.service().await;
    assert_eq!((&service["runningCount"], &service["deployments"][0]["desiredCount"]), (&json!(3), &json!(3)));
    rig.update(json!({ "desiredCount": 1 })).await;
    rig.advance(120.0);
    assert_eq!(rig.service().await["runningCount"], 1);
    assert_eq!(rig.service().await["events"][0]["message"], "(service web) has reached a steady state.");
}

#[tokio::test]
async fn daemons_run_once_per_instance() {
    let rig = Rig::start().await;
    let body =
        json!({ "family": "agent", "containerDefinitions": [{ "name": "a", "image": "agent:1", "memory": 64 }] });
    let first = rig.ecs("RegisterTaskDefinition", body.clone()).await["taskDefinition"]["taskDefinitionArn"].take();
    rig.control.set_container_instances(crate::rig::ACCOUNT, crate::rig::REGION, "demo", 3);
    let service =
        json!({ "cluster": "demo", "serviceName": "web", "taskDefinition": first, "schedulingStrategy": "DAEMON" });
    let created = rig.ecs("CreateService", service).await;
    assert_eq!(created["service"]["deploymentConfiguration"]["maximumPercent"], 100);
    assert_eq!(created["service"]["availabilityZoneRebalancing"], "DISABLED");
    rig.settle().await;
    assert_eq!(rig.service().await["runningCount"], 3);
    rig.ecs("RegisterTaskDefinition", body).await;
    rig.update(json!({ "taskDefinition": "agent" })).await;
    rig.advance(400.0);
    assert_eq!(rig.rollout().await["status"], "SUCCESSFUL");
    rig.control.set_container_instances(crate::rig::ACCOUNT, crate::rig::REGION, "demo", 4);
    rig.advance(120.0);
    assert_eq!(rig.service().await["runningCount"], 4);
}

#[tokio::test]
async fn runs_repeat_with_the_same_seed() {
    let mut ids = Vec::new();
    for _ in 0..2 {
        let rig = Rig::start().await;
        let definition = rig.register("web", "nginx:1").await;
        rig.create(&definition, json!({})).await;
        rig.settle().await;
        let events = rig.service().await["events"].clone();
        ids.push(events.as_array().unwrap().iter().map(|event| event["message"].clone()).collect::<Vec<_>>());
    }
    assert_eq!(ids[0], ids[1]);
}
