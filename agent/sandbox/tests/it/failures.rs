//! Rollouts that fail, give way, or never end.

use std::time::Duration;

use lockstep_sandbox::Behaviour;
use serde_json::{Value, json};

use crate::rig::{ACCOUNT, GROUP, REGION, Rig};

pub(crate) fn guarded() -> Value {
    json!({ "deploymentCircuitBreaker": { "enable": true, "rollback": true } })
}

fn find(events: &[(f64, String)], text: &str) -> Vec<f64> {
    events.iter().filter(|(_, event)| event.contains(text)).map(|(at, _)| *at).collect::<Vec<_>>()
}

fn near(actual: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(actual.len(), expected.len(), "{actual:?} is not like {expected:?}");
    for (actual, expected) in actual.iter().zip(expected) {
        assert!((actual - expected).abs() <= tolerance, "{actual} is not near {expected}");
    }
}

/// A service in its steady state, then an update to a second image. Returns the moment of the first start.
pub(crate) async fn update_to(rig: &Rig, behaviour: Behaviour, configuration: Value) -> (f64, Value, Value) {
    let first = rig.register("web", "good:1").await;
    rig.create(&first, json!({ "deploymentConfiguration": configuration })).await;
    rig.settle().await;
    let old = rig.service().await["deployments"][0].clone();
    rig.control.set_behaviour("bad:1", behaviour);
    let second = rig.register("web", "bad:1").await;
    let now = rig.now();
    rig.update(json!({ "taskDefinition": second })).await;
    (now + 13.0, old, json!(second))
}

#[tokio::test]
async fn trace_b_start_failures_with_breaker() {
    let rig = Rig::start().await;
    let reason = "ResourceInitializationError: unable to pull secrets or registry auth: no route";
    let failing = Behaviour::start_failure(reason, Duration::from_secs(288));
    let (zero, old, second) = update_to(&rig, failing, guarded()).await;
    rig.advance(13.0 + 950.0);
    // Three failures are told, but the third becomes a number only with its replacement.
    let service = rig.service().await;
    assert_eq!(service["deployments"][0]["failedTasks"], 2);
    rig.advance(283.0);
    let rollout = rig.rollout().await;
    assert_eq!(
        rollout["deploymentCircuitBreaker"],
        json!({ "status": "MONITORING", "failureCount": 3, "threshold": 3 })
    );
    rig.advance(600.0);
    let events = rig.events_since(zero).await;
    near(&find(&events, "has started 1 tasks"), &[0.0, 329.6, 647.8, 1233.4], 3.0);
    near(&find(&events, "unable to place a task"), &[288.2, 617.5, 936.9], 3.0);
    let failed = find(&events, "deployment failed: tasks failed to start.");
    near(&failed, &[1236.3], 3.0);
    near(&find(&events, "rolling back to deployment ID"), &[failed[0] + 0.001], 0.0005);
    near(&find(&events, "stopped 1 pending tasks."), &[failed[0] + 3.0], 0.3);
    near(&find(&events, "deployment completed."), &[failed[0] + 53.0], 0.3);
    near(&find(&events, "steady state"), &[failed[0] + 53.001], 0.3);

    let service = rig.service().await;
    assert_eq!(service["taskDefinition"], old["taskDefinition"]);
    let deployments = service["deployments"].as_array().unwrap();
    assert_eq!(deployments.len(), 1);
    assert_eq!((&deployments[0]["id"], &deployments[0]["createdAt"]), (&old["id"], &old["createdAt"]));
    assert_eq!(deployments[0]["rolloutState"], "COMPLETED");
    let rollout = rig.rollout().await;
    assert_eq!(rollout["status"], "ROLLBACK_SUCCESSFUL");
    assert_eq!(
        rollout["statusReason"],
        "Service deployment rolled back because the circuit breaker threshold was exceeded."
    );
    assert_eq!(rollout["deploymentCircuitBreaker"]["status"], "TRIGGERED");
    let tried = rig.revision(&rollout["targetServiceRevision"]["arn"]).await;
    assert_eq!(tried["taskDefinition"], second);
    let back = rig.revision(&rollout["rollback"]["serviceRevisionArn"]).await;
    assert_eq!(back["taskDefinition"], old["taskDefinition"]);
    let task = rig.stopped_tasks().await.into_iter().find(|task| task["stopCode"] == "TaskFailedToStart").unwrap();
    assert_eq!(task["stoppedReason"], reason);
    assert!(task.get("startedAt").is_none());
}

#[tokio::test]
async fn trace_c_crash_loop_with_breaker() {
    let rig = Rig::start().await;
    let crash = Behaviour::crash(1, Duration::from_secs(2));
    let (zero, old, _) = update_to(&rig, crash, guarded()).await;
    rig.advance(13.0 + 154.0);
    let service = rig.service().await;
    assert_eq!(service["deployments"][0]["id"], old["id"]);
    assert_eq!(service["deployments"][0]["rolloutState"], "IN_PROGRESS");
    assert_eq!(service["deployments"][1]["rolloutState"], "FAILED");
    assert_eq!(
        service["deployments"][1]["rolloutStateReason"],
        "ECS deployment circuit breaker: tasks failed to start."
    );
    assert_eq!(rig.rollout().await["status"], "ROLLBACK_IN_PROGRESS");
    rig.advance(120.0);
    let events = rig.events_since(zero).await;
    near(&find(&events, "has started 1 tasks"), &[0.0, 52.0, 103.0, 153.0], 3.5);
    near(&find(&events, "deployment failed"), &[158.0], 5.5);
    let completed = find(&events, "deployment completed.");
    assert!((200.0..240.0).contains(&completed[0]), "{completed:?}");
    let task =
        rig.stopped_tasks().await.into_iter().find(|task| task["stopCode"] == "EssentialContainerExited").unwrap();
    assert_eq!(task["containers"][0]["exitCode"], 1);
    assert_eq!(task["stoppedReason"], "Essential container in task exited");
}

#[tokio::test]
async fn trace_e_a_first_deployment_has_nothing_to_go_back_to() {
    let rig = Rig::start().await;
    let definition = rig.register("web", &format!("{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/web:none")).await;
    rig.create(&definition, json!({ "desiredCount": 3, "deploymentConfiguration": guarded() })).await;
    rig.advance(90.0);
    let rollout = rig.rollout().await;
    assert_eq!(rollout["status"], "ROLLBACK_FAILED");
    assert_eq!(rollout["statusReason"], "No rollback candidate was found to run the rollback.");
    near(&[rig.offset(&rollout["finishedAt"])], &[82.0], 3.0);
    rig.advance(3000.0);
    let service = rig.service().await;
    assert_eq!(
        (&service["status"], &service["runningCount"], &service["pendingCount"]),
        (&json!("ACTIVE"), &json!(0), &json!(0))
    );
    assert_eq!(service["deployments"][0]["rolloutState"], "FAILED");
    let started = service["events"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["message"].as_str().unwrap().contains("has started"))
        .count();
    assert_eq!(started, 2);
    let task = &rig.stopped_tasks().await;
    assert!(
        task.iter().any(|task| { task["stoppedReason"].as_str().unwrap().starts_with("CannotPullContainerError: ") })
    );
}

#[tokio::test]
async fn trace_f_without_breaker_a_bad_image_never_fails() {
    let rig = Rig::start().await;
    let off = json!({ "deploymentCircuitBreaker": { "enable": false, "rollback": false } });
    let (zero, _, _) = update_to(&rig, Behaviour::Missing, off).await;
    rig.advance(13.0 + 4.0 * 3600.0);
    let service = rig.service().await;
    assert_eq!(service["deployments"][0]["rolloutState"], "IN_PROGRESS");
    assert_eq!(service["runningCount"], 1);
    assert!(service["deployments"][0]["failedTasks"].as_u64().unwrap() > 5);
    assert_eq!(rig.rollout().await["status"], "IN_PROGRESS");
    let events = rig.events_since(zero).await;
    let starts = find(&events, "has started");
    let failures = find(&events, "unable to place a task");
    let delays: Vec<f64> = failures.iter().zip(&starts[1..]).map(|(failure, start)| start - failure).collect();
    near(&delays[..3], &[41.0, 30.0, 297.0], 0.1);
    assert!(
        delays[3..].windows(2).all(|pair| pair[0] <= pair[1] + 0.01) && delays.iter().all(|delay| *delay <= 1620.1),
        "{delays:?}"
    );
    assert!(!find(&events, "unable to consistently start").is_empty());
    // A good image ends it.
    rig.update(json!({ "taskDefinition": "web:1" })).await;
    rig.advance(200.0);
    assert_eq!(rig.rollout().await["status"], "SUCCESSFUL");
    let history = rig.ecs("ListServiceDeployments", json!({ "cluster": "demo", "service": "web" })).await;
    let statuses: Vec<&Value> =
        history["serviceDeployments"].as_array().unwrap().iter().map(|record| &record["status"]).collect();
    assert_eq!(statuses, ["SUCCESSFUL", "STOPPED", "SUCCESSFUL"]);
}

#[tokio::test]
async fn trace_d_superseded_twice() {
    let rig = Rig::start().await;
    let slow = Behaviour::start_failure("ResourceInitializationError: slow", Duration::from_secs(288));
    let (_, old, _) = update_to(&rig, slow.clone(), guarded()).await;
    rig.advance(230.0);
    rig.control.set_behaviour("bad:2", slow);
    let third = rig.register("web", "bad:2").await;
    let zero = rig.now();
    let response = rig.update(json!({ "taskDefinition": third })).await;
    let listed: Vec<(&Value, &Value)> = response["deployments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (&entry["status"], &entry["rolloutState"]))
        .collect();
    let (primary, active) = (json!("PRIMARY"), json!("ACTIVE"));
    let (progress, completed) = (json!("IN_PROGRESS"), json!("COMPLETED"));
    assert_eq!(listed, [(&primary, &progress), (&active, &progress), (&active, &completed)]);
    let history = rig.ecs("ListServiceDeployments", json!({ "cluster": "demo", "service": "web" })).await;
    let statuses: Vec<&Value> =
        history["serviceDeployments"].as_array().unwrap().iter().map(|record| &record["status"]).collect();
    assert_eq!(statuses, ["PENDING", "STOP_REQUESTED", "SUCCESSFUL"]);
    rig.advance(35.0);
    let events = rig.events_since(zero).await;
    near(&find(&events, "stopped 1 pending tasks."), &[20.0], 0.1);
    near(&find(&events, "has started"), &[30.0], 0.1);
    let history = rig.ecs("ListServiceDeployments", json!({ "cluster": "demo", "service": "web" })).await;
    assert_eq!(history["serviceDeployments"][1]["status"], "STOPPED");
    rig.advance(1000.0);
    let fourth = rig.register("web", "good:2").await;
    let response = rig.update(json!({ "taskDefinition": fourth })).await;
    let deployments = response["deployments"].as_array().unwrap();
    assert_eq!(deployments.len(), 3);
    assert_eq!((&deployments[0]["desiredCount"], &deployments[0]["failedTasks"]), (&json!(0), &json!(0)));
    assert_eq!(
        (&deployments[1]["desiredCount"], &deployments[1]["runningCount"], &deployments[1]["failedTasks"]),
        (&json!(1), &json!(0), &json!(2))
    );
    assert_eq!((&deployments[2]["id"], &deployments[2]["runningCount"]), (&old["id"], &json!(1)));
    rig.advance(300.0);
    assert_eq!(rig.rollout().await["status"], "SUCCESSFUL");
    assert_eq!(rig.service().await["deployments"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn without_rollback_the_failed_deployment_stays_primary() {
    let rig = Rig::start().await;
    let breaker = json!({ "deploymentCircuitBreaker": { "enable": true, "rollback": false } });
    update_to(&rig, Behaviour::crash(1, Duration::ZERO), breaker).await;
    rig.advance(600.0);
    let service = rig.service().await;
    assert_eq!(
        (&service["deployments"][0]["status"], &service["deployments"][0]["rolloutState"]),
        (&json!("PRIMARY"), &json!("FAILED"))
    );
    assert_eq!(
        (&service["deployments"][1]["rolloutState"], &service["runningCount"]),
        (&json!("COMPLETED"), &json!(1))
    );
    assert_eq!(rig.rollout().await["status"], "STOPPED");
    let third = rig.register("web", "good:2").await;
    rig.update(json!({ "taskDefinition": third })).await;
    rig.advance(300.0);
    assert_eq!(rig.rollout().await["status"], "SUCCESSFUL");
    assert_eq!(rig.service().await["deployments"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn unhealthy_targets_fail_the_deployment() {
    let rig = Rig::start().await;
    let first = rig.register("web", "good:1").await;
    let balancer = json!([{ "targetGroupArn": GROUP, "containerName": "web", "containerPort": 80 }]);
    rig.create(&first, json!({ "loadBalancers": balancer, "deploymentConfiguration": guarded() })).await;
    rig.settle().await;
    rig.control.set_behaviour("bad:1", Behaviour::Unhealthy);
    let second = rig.register("web", "bad:1").await;
    rig.update(json!({ "taskDefinition": second })).await;
    rig.advance(800.0);
    assert_eq!(rig.rollout().await["status"], "ROLLBACK_SUCCESSFUL");
    let events = rig.events_since(0.0).await;
    assert_eq!(
        find(&events, "(port 80) is unhealthy in (target-group GROUP) due to (reason Health checks failed").len(),
        3
    );
    let reasons: Vec<Value> = rig.stopped_tasks().await.iter().map(|task| task["stoppedReason"].clone()).collect();
    assert!(
        reasons.contains(&json!(format!("Task failed ELB health checks in (target-group {GROUP})"))),
        "{reasons:?}"
    );
}
