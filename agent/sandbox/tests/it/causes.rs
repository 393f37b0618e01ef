//! Single causes of trouble: requests, secrets, images, bounds.

use std::time::Duration;

use lockstep_sandbox::Behaviour;
use serde_json::json;

use crate::failures::update_to;
use crate::rig::{ACCOUNT, REGION, Rig};

#[tokio::test]
async fn a_requested_rollback_restores_the_old_revision() {
    let rig = Rig::start().await;
    let (_, old, _) = update_to(&rig, Behaviour::Ok, json!({})).await;
    rig.advance(30.0);
    let arn = rig.rollout().await["serviceDeploymentArn"].clone();
    rig.ecs("StopServiceDeployment", json!({ "serviceDeploymentArn": arn, "stopType": "ROLLBACK" })).await;
    assert_eq!(rig.rollout().await["status"], "ROLLBACK_REQUESTED");
    rig.advance(5.0);
    assert_eq!(rig.rollout().await["status"], "ROLLBACK_IN_PROGRESS");
    rig.advance(120.0);
    assert_eq!(rig.rollout().await["status"], "ROLLBACK_SUCCESSFUL");
    assert_eq!(rig.service().await["deployments"][0]["id"], old["id"]);
    let again = rig.refused("StopServiceDeployment", json!({ "serviceDeploymentArn": arn })).await;
    assert_eq!(again.code, "ConflictException");
}

#[tokio::test]
async fn a_secret_that_does_not_exist_stops_the_start() {
    let rig = Rig::start().await;
    let secret = rig.control.put_secret(ACCOUNT, REGION, "token", "x");
    rig.control.put_parameter(ACCOUNT, REGION, "/app/key", "SecureString", "x");
    let body = |parameter: &str| {
        json!({
            "family": "web", "networkMode": "awsvpc", "cpu": "256", "memory": "512",
            "containerDefinitions": [{ "name": "web", "image": "good:1", "secrets": [
                { "name": "A", "valueFrom": format!("{secret}:password::") }, { "name": "B", "valueFrom": parameter },
            ]}],
        })
    };
    rig.ecs("RegisterTaskDefinition", body("/app/key")).await;
    rig.create("web", json!({})).await;
    rig.settle().await;
    rig.ecs("RegisterTaskDefinition", body("/app/other")).await;
    rig.update(json!({ "taskDefinition": "web" })).await;
    rig.advance(60.0);
    let task = rig.stopped_tasks().await.into_iter().next().unwrap();
    assert_eq!(task["stopCode"], "TaskFailedToStart");
    assert!(task["stoppedReason"].as_str().unwrap().ends_with("invalid parameters: /app/other"), "{task}");
}

#[tokio::test]
async fn a_removed_image_stops_a_scale_out_but_not_the_deployment() {
    let rig = Rig::start().await;
    let digest = rig.control.push_image(ACCOUNT, REGION, "web", "v1", Behaviour::Ok);
    let definition = rig.register("web", &format!("{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/web:v1")).await;
    rig.create(&definition, json!({})).await;
    rig.settle().await;
    // The tag moves: the revision keeps its digest.
    rig.control.push_image(ACCOUNT, REGION, "web", "v1", Behaviour::crash(1, Duration::ZERO));
    rig.update(json!({ "desiredCount": 2 })).await;
    rig.advance(120.0);
    assert_eq!(rig.service().await["runningCount"], 2);
    let gone = json!({ "repositoryName": "web", "imageIds": [{ "imageDigest": digest }] });
    rig.send(ACCOUNT, "AmazonEC2ContainerRegistry_V20150921.BatchDeleteImage", gone).await.unwrap();
    rig.update(json!({ "desiredCount": 3 })).await;
    rig.advance(300.0);
    let service = rig.service().await;
    assert_eq!(
        (&service["runningCount"], &service["deployments"][0]["rolloutState"]),
        (&json!(2), &json!("COMPLETED"))
    );
}

#[tokio::test]
async fn bounds_that_leave_no_room_are_told_and_nothing_moves() {
    let rig = Rig::start().await;
    let stuck = json!({ "minimumHealthyPercent": 50, "maximumPercent": 150 });
    let (zero, _, _) = update_to(&rig, Behaviour::Ok, stuck).await;
    rig.advance(3600.0);
    let events = rig.events_since(zero).await;
    let told = events.iter().filter(|(_, event)| event.contains("unable to stop or start tasks during a deployment"));
    assert_eq!((told.count(), rig.service().await["runningCount"].as_u64()), (1, Some(1)));
    assert_eq!(rig.rollout().await["status"], "IN_PROGRESS");
    rig.update(json!({ "deploymentConfiguration": { "maximumPercent": 200 } })).await;
    rig.advance(300.0);
    assert_eq!(rig.rollout().await["status"], "SUCCESSFUL");
}

#[tokio::test]
async fn container_health_checks_decide() {
    let rig = Rig::start().await;
    rig.control.set_behaviour("bad:1", Behaviour::Unhealthy);
    for image in ["good:1", "bad:1"] {
        let container = json!({ "name": "web", "image": image, "healthCheck": { "command": ["true"], "interval": 10, "startPeriod": 5 } });
        let body = json!({ "family": "web", "networkMode": "awsvpc", "cpu": "256", "memory": "512", "containerDefinitions": [container] });
        rig.ecs("RegisterTaskDefinition", body).await;
    }
    rig.create("web:1", json!({})).await;
    rig.settle().await;
    rig.update(json!({ "taskDefinition": "web:2" })).await;
    rig.advance(100.0);
    let task = rig.stopped_tasks().await.into_iter().next().unwrap();
    assert_eq!(
        (&task["stoppedReason"], &task["healthStatus"]),
        (&json!("Task failed container health checks"), &json!("UNHEALTHY"))
    );
    assert_eq!(rig.service().await["runningCount"], 1);
}
