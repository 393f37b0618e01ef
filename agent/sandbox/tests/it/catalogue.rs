//! The catalogue of failures, each as it shows in tasks, events and the deployment.

use lockstep_sandbox::{Effect, Failure, Fault, Options, When};
use serde_json::{Value, json};
use std::time::Duration;

use crate::rig::{ACCOUNT, GROUP, REGION, Rig};

/// What a failure shows with the breaker on: the start of a stopped task's reason, a piece of an event, the end.
struct Shows {
    failure: Failure,
    stopped: Option<(&'static str, &'static str)>,
    event: Option<&'static str>,
    ends: &'static str,
}

fn shows() -> Vec<Shows> {
    use Failure::*;
    let start = |failure, text| Shows {
        failure,
        stopped: Some(("TaskFailedToStart", text)),
        event: Some("was unable to place a task. Reason: "),
        ends: "ROLLBACK_SUCCESSFUL",
    };
    let run =
        |failure, code, text, event| Shows { failure, stopped: Some((code, text)), event, ends: "ROLLBACK_SUCCESSFUL" };
    let none = |failure, event, ends| Shows { failure, stopped: None, event: Some(event), ends };
    let exited = ("EssentialContainerExited", "Essential container in task exited");
    let elb = ("ServiceSchedulerInitiated", "Task failed ELB health checks in (target-group ");
    vec![
        start(F1, "CannotPullContainerError: pull image manifest has been retried 5 time(s): failed to resolve ref"),
        start(F2, "CannotPullContainerError: The task can't pull the image."),
        start(
            F3,
            "ResourceInitializationError: unable to pull secrets or registry auth: The task cannot pull registry",
        ),
        start(F4, "ResourceInitializationError: unable to pull secrets or registry auth: The task can't retrieve"),
        start(F5, "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval"),
        start(F6, "ResourceInitializationError: failed to validate logger args"),
        run(F7, exited.0, exited.1, None),
        run(F8, exited.0, exited.1, None),
        run(F9, elb.0, elb.1, Some("due to (reason Request timed out)")),
        run(
            F10,
            "ServiceSchedulerInitiated",
            "Task failed container health checks",
            Some("failed container health checks."),
        ),
        none(F11, "Capacity is unavailable at this time.", "ROLLBACK_SUCCESSFUL"),
        none(F12, "no container instance met all of its requirements.", "ROLLBACK_SUCCESSFUL"),
        none(F13, "You've reached the limit on the number of vCPUs", "ROLLBACK_SUCCESSFUL"),
        run(F14, exited.0, exited.1, None),
        none(F16, "operations are being throttled. Will try again later.", "SUCCESSFUL"),
        run(F17, elb.0, elb.1, Some("due to TARGET GROUP IS NOT FOUND")),
        none(F18, "failed to register targets in target-group", "IN_PROGRESS"),
        none(F19, "could not launch 1 tasks for deployment", "IN_PROGRESS"),
        none(F21, "The number of protected tasks are more than the desired count of tasks", "IN_PROGRESS"),
    ]
}

#[tokio::test]
async fn each_failure_shows_as_it_does_on_ecs() {
    for Shows { failure, stopped, event, ends } in shows() {
        let rig = Rig::start().await;
        let definition = |image: &str| {
            json!({
                "family": "web", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256",
                "memory": "512", "containerDefinitions": [{
                    "name": "web", "image": image, "portMappings": [{ "containerPort": 80 }],
                    "healthCheck": { "command": ["CMD", "true"] },
                }],
            })
        };
        rig.ecs("RegisterTaskDefinition", definition("nginx:1")).await;
        rig.create(
            "web:1",
            json!({
                "desiredCount": 2,
                "deploymentConfiguration": { "deploymentCircuitBreaker": { "enable": true, "rollback": true } },
                "loadBalancers": [{ "targetGroupArn": GROUP, "containerName": "web", "containerPort": 80 }],
            }),
        )
        .await;
        rig.settle().await;
        rig.control.inject(ACCOUNT, REGION, "demo", "web", failure);
        rig.ecs("RegisterTaskDefinition", definition("nginx:2")).await;
        rig.update(json!({ "taskDefinition": "web:2" })).await;
        let mut reasons: Vec<(String, String)> = Vec::new();
        for _ in 0..60 {
            rig.advance(60.0);
            for task in rig.stopped_tasks().await {
                let text = |name: &str| task[name].as_str().unwrap_or_default().to_owned();
                let of_new = text("taskDefinitionArn").ends_with(":2");
                let scaled = text("stoppedReason").starts_with("Scaling activity");
                if of_new && !scaled && !reasons.contains(&(text("stopCode"), text("stoppedReason"))) {
                    reasons.push((text("stopCode"), text("stoppedReason")));
                }
            }
            assert!(rig.service().await["runningCount"].as_u64().unwrap() >= 2, "{failure:?}: the old tasks go on");
        }
        let rollout = rig.rollout().await;
        assert_eq!(rollout["status"], ends, "{failure:?}");
        match stopped {
            Some((code, text)) => {
                let found = reasons.iter().any(|(stop, reason)| stop == code && reason.starts_with(text));
                assert!(found, "{failure:?}: {reasons:?}");
            }
            None => assert_eq!(reasons, [], "{failure:?}"),
        }
        if let Some(event) = event {
            let events = rig.events_since(0.0).await;
            assert!(events.iter().any(|(_, text)| text.contains(event)), "{failure:?}: {events:#?}");
        }
    }
}

#[tokio::test]
async fn spot_capacity_is_taken_away_and_replaced() {
    let rig = Rig::start().await;
    let first = rig.register("web", "nginx:1").await;
    rig.create(&first, json!({ "desiredCount": 3 })).await;
    rig.settle().await;
    rig.control.inject(ACCOUNT, REGION, "demo", "web", Failure::F20);
    rig.advance(1.0);
    assert_eq!(rig.service().await["runningCount"], 0);
    rig.advance(300.0);
    let service = rig.service().await;
    assert_eq!((&service["runningCount"], &service["deployments"][0]["failedTasks"]), (&json!(3), &json!(0)));
    let stopped = rig.stopped_tasks().await;
    assert!(stopped.iter().all(|task| task["stopCode"] == "SpotInterruption"));
}

#[tokio::test]
async fn reads_may_lag_behind_writes() {
    let rig = Rig::with(Options { stale_reads: Duration::from_secs(5), ..Options::default() }).await;
    let first = rig.register("web", "nginx:1").await;
    let described = || rig.ecs("DescribeServices", json!({ "cluster": "demo", "services": ["web"] }));
    rig.create(&first, json!({})).await;
    assert_eq!(described().await["failures"][0]["reason"], "MISSING");
    rig.advance(6.0);
    assert_eq!(described().await["services"][0]["taskDefinition"], first);
    let second = rig.register("web", "nginx:2").await;
    let answer = rig.update(json!({ "taskDefinition": second })).await;
    assert_eq!(answer["taskDefinition"], second, "the answer to the write itself is fresh");
    assert_eq!(described().await["services"][0]["taskDefinition"], first);
    let deployments = rig.ecs("ListServiceDeployments", json!({ "cluster": "demo", "service": "web" })).await;
    assert_eq!(deployments["serviceDeployments"].as_array().unwrap().len(), 1);
    let new = answer["currentServiceDeployment"].clone();
    let shown = rig.ecs("DescribeServiceDeployments", json!({ "serviceDeploymentArns": [new] })).await;
    assert_eq!(shown["failures"][0]["reason"], "MISSING");
    rig.advance(6.0);
    assert_eq!(described().await["services"][0]["taskDefinition"], second);
}

#[tokio::test]
async fn answers_can_hold_values_that_nobody_knows_yet() {
    let rig = Rig::start().await;
    let first = rig.register("web", "nginx:1").await;
    rig.create(&first, json!({})).await;
    let effect = Effect::Replace { member: "rolloutState".to_owned(), value: json!("FUTURE_STATE") };
    rig.control.add_fault(Fault::new("ecs:DescribeServices", effect).when(When::Nth(1)));
    assert_eq!(rig.service().await["deployments"][0]["rolloutState"], "FUTURE_STATE");
    assert_eq!(rig.service().await["deployments"][0]["rolloutState"], "IN_PROGRESS");
}

#[tokio::test]
async fn faults_strike_by_chance_and_the_seed_decides() {
    let strikes = |seed: u64| async move {
        let rig = Rig::start().await;
        let fault = Fault::new("ecs:ListServices", Effect::Throttle).when(When::Percent { share: 20, seed });
        rig.control.add_fault(fault);
        let mut struck = Vec::new();
        for call in 0..200 {
            if rig.try_ecs("ListServices", json!({ "cluster": "demo" })).await.is_err() {
                struck.push(call);
            }
        }
        struck
    };
    let (one, again, other) = (strikes(1).await, strikes(1).await, strikes(2).await);
    assert_eq!(one, again);
    assert_ne!(one, other);
    assert!((20..=60).contains(&one.len()), "{}", one.len());
}

#[tokio::test]
async fn failures_come_over_http_too() {
    let rig = Rig::start().await;
    let first = rig.register("web", "nginx:1").await;
    let post = |path: &str, body: Value| rig.http().post(format!("{}/sandbox/{path}", rig.url())).json(&body).send();
    let place = json!({ "cluster": "demo", "service": "web", "region": REGION, "failure": "F11" });
    assert_eq!(post("failures", place).await.unwrap().status(), 200);
    rig.create(&first, json!({})).await;
    rig.advance(60.0);
    let events = rig.events_since(0.0).await;
    assert!(events[0].1.contains("Capacity is unavailable"), "{events:?}");
    let heal = json!({ "cluster": "demo", "service": "web", "region": REGION });
    rig.http().delete(format!("{}/sandbox/troubles", rig.url())).json(&heal).send().await.unwrap();
    rig.settle().await;
}
