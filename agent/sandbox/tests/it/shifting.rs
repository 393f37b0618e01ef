//! Deployments that shift traffic, and what stops them.

use lockstep_sandbox::{AlarmState, Behaviour, HookAnswer};
use serde_json::{Value, json};
use std::time::Duration;

use crate::rig::{ACCOUNT, GROUP, REGION, Rig};

const OTHER: &str = "arn:aws:elasticloadbalancing:eu-central-1:111111111111:targetgroup/web-b/fedcba9876543210";
const RULE: &str = "arn:aws:elasticloadbalancing:eu-central-1:111111111111:listener-rule/app/lb/1/2/3";
const TEST_RULE: &str = "arn:aws:elasticloadbalancing:eu-central-1:111111111111:listener-rule/app/lb/1/2/4";
const FUNCTION: &str = "arn:aws:lambda:eu-central-1:111111111111:function:check";

fn balancer() -> Value {
    json!([{
        "targetGroupArn": GROUP, "containerName": "web", "containerPort": 80,
        "advancedConfiguration": {
            "alternateTargetGroupArn": OTHER, "productionListenerRule": RULE, "testListenerRule": TEST_RULE,
            "roleArn": "arn:aws:iam::111111111111:role/ecs-infrastructure",
        },
    }])
}

fn pause(stage: &str) -> Value {
    json!({ "targetType": "PAUSE", "lifecycleStages": [stage], "timeoutConfiguration": { "timeoutInMinutes": 60, "action": "ROLLBACK" } })
}

fn lambda(stage: &str) -> Value {
    json!({
        "targetType": "AWS_LAMBDA", "hookTargetArn": FUNCTION, "lifecycleStages": [stage],
        "roleArn": "arn:aws:iam::111111111111:role/hooks", "hookDetails": { "why": "smoke" },
    })
}

/// A service that runs its first revision with a strategy, and the arn of a second task definition.
async fn rig(configuration: Value, behaviour: Behaviour) -> (Rig, String) {
    let rig = Rig::start().await;
    rig.control.push_image(ACCOUNT, REGION, "web", "2", behaviour);
    let first = rig.register("web", "nginx:1").await;
    let mut plain = configuration.clone();
    plain.as_object_mut().unwrap().remove("lifecycleHooks");
    rig.create(&first, json!({ "desiredCount": 2, "loadBalancers": balancer(), "deploymentConfiguration": plain }))
        .await;
    rig.advance(3600.0 * 3.0);
    assert_eq!(rig.rollout().await["status"], "SUCCESSFUL");
    rig.update(json!({ "deploymentConfiguration": configuration })).await;
    let second = rig.register("web", &format!("{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/web:2")).await;
    (rig, second)
}

/// Advances in steps of a second until the deployment shows something new; what it showed, until `limit`.
async fn watch(rig: &Rig, limit: u32, mut until: impl FnMut(&Value) -> bool) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    for _ in 0..limit {
        let rollout = rig.rollout().await;
        let target = &rollout["targetServiceRevision"];
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let line = format!(
            "{} {} production {} test {}",
            text(&rollout["status"]),
            text(&rollout["lifecycleStage"]),
            target["requestedProductionTrafficWeight"],
            target["requestedTestTrafficWeight"]
        );
        if seen.last() != Some(&line) {
            seen.push(line);
        }
        if until(&rollout) {
            return seen;
        }
        rig.advance(1.0);
    }
    panic!("it never came to that: {seen:#?}");
}

fn paused(rollout: &Value) -> bool {
    hooks(rollout).iter().any(|hook| hook["status"] == "AWAITING_ACTION")
}

fn hooks(rollout: &Value) -> Vec<Value> {
    rollout["lifecycleHookDetails"].as_array().cloned().unwrap_or_default()
}

async fn go_on(rig: &Rig, hook: &Value, action: &str) -> Value {
    let arn = rig.service().await["currentServiceDeployment"].clone();
    rig.ecs("ContinueServiceDeployment", json!({ "serviceDeploymentArn": arn, "hookId": hook, "action": action })).await
}

#[tokio::test]
async fn trace_g_blue_green_with_a_pause() {
    let configuration = json!({
        "strategy": "BLUE_GREEN", "bakeTimeInMinutes": 5, "lifecycleHooks": [pause("POST_TEST_TRAFFIC_SHIFT")],
    });
    let (rig, second) = rig(configuration, Behaviour::Ok).await;
    let before = rig.service().await["currentServiceRevisions"][0]["arn"].clone();
    assert_eq!(rig.revision(&before).await["resolvedConfiguration"]["loadBalancers"][0]["targetGroupArn"], GROUP);
    rig.update(json!({ "taskDefinition": second })).await;
    let seen = watch(&rig, 600, paused).await;
    assert_eq!(
        seen,
        [
            "PENDING - production 0.0 test 0.0",
            "IN_PROGRESS PRE_SCALE_UP production 0.0 test 0.0",
            "IN_PROGRESS SCALE_UP production 0.0 test 0.0",
            "IN_PROGRESS POST_SCALE_UP production 0.0 test 0.0",
            "IN_PROGRESS TEST_TRAFFIC_SHIFT production 0.0 test 100.0",
            "IN_PROGRESS POST_TEST_TRAFFIC_SHIFT production 0.0 test 100.0",
        ]
    );
    let service = rig.service().await;
    assert_eq!(service["runningCount"], 4, "both revisions run in full");
    let list: Vec<&Value> = service["deployments"].as_array().unwrap().iter().map(|entry| &entry["status"]).collect();
    assert_eq!(list, ["PRIMARY", "ACTIVE"]);
    rig.advance(1200.0);
    assert!(paused(&rig.rollout().await), "it waits");
    let hook = hooks(&rig.rollout().await)[0]["hookId"].clone();
    assert_eq!(hook.as_str().unwrap().len(), "ecs-pause-".len() + 43);
    go_on(&rig, &hook, "CONTINUE").await;
    let started = rig.now();
    let seen = watch(&rig, 900, |rollout| rollout["status"] == "SUCCESSFUL").await;
    assert_eq!(
        seen,
        [
            "IN_PROGRESS PRE_PRODUCTION_TRAFFIC_SHIFT production 0.0 test 100.0",
            "IN_PROGRESS PRODUCTION_TRAFFIC_SHIFT production 100.0 test 100.0",
            "IN_PROGRESS POST_PRODUCTION_TRAFFIC_SHIFT production 100.0 test 100.0",
            "IN_PROGRESS BAKE_TIME production 100.0 test 100.0",
            "IN_PROGRESS CLEAN_UP production 100.0 test 100.0",
            "SUCCESSFUL CLEAN_UP production 100.0 test 100.0",
        ]
    );
    assert!(rig.now() - started > 300.0, "the bake time was kept");
    let after = rig.service().await;
    assert_eq!(after["runningCount"], 2);
    let now = after["currentServiceRevisions"][0]["arn"].clone();
    let resolved = rig.revision(&now).await["resolvedConfiguration"]["loadBalancers"][0].clone();
    assert_eq!(resolved, json!({ "targetGroupArn": OTHER, "productionListenerRule": RULE }));
    // The next one goes back to the first group.
    let third = rig.register("web", "nginx:3").await;
    rig.update(json!({ "taskDefinition": third, "deploymentConfiguration": { "lifecycleHooks": [] } })).await;
    watch(&rig, 1200, |rollout| rollout["status"] == "SUCCESSFUL").await;
    let now = rig.service().await["currentServiceRevisions"][0]["arn"].clone();
    assert_eq!(rig.revision(&now).await["resolvedConfiguration"]["loadBalancers"][0]["targetGroupArn"], GROUP);
}

#[tokio::test]
async fn trace_h_an_alarm_fires_while_the_canary_bakes() {
    let configuration = json!({
        "strategy": "CANARY", "canaryConfiguration": { "canaryPercent": 10.0, "canaryBakeTimeInMinutes": 10 },
        "alarms": { "alarmNames": ["errors", "latency"], "enable": true, "rollback": true },
    });
    let (rig, second) = rig(configuration, Behaviour::Ok).await;
    rig.update(json!({ "taskDefinition": second })).await;
    watch(&rig, 600, |rollout| rollout["targetServiceRevision"]["requestedProductionTrafficWeight"] == 10.0).await;
    rig.advance(120.0);
    assert_eq!(rig.rollout().await["alarms"], json!({ "status": "MONITORING", "alarmNames": ["errors", "latency"] }));
    rig.control.set_alarm(ACCOUNT, REGION, "errors", AlarmState::Alarm);
    let mut least = u64::MAX;
    let mut seen = Vec::new();
    for _ in 0..300 {
        let rollout = rig.rollout().await;
        least = least.min(rollout["sourceServiceRevisions"][0]["runningTaskCount"].as_u64().unwrap());
        let weight = rollout["targetServiceRevision"]["requestedProductionTrafficWeight"].as_f64().unwrap();
        let state = (rollout["status"].as_str().unwrap().to_owned(), weight);
        if seen.last() != Some(&state) {
            seen.push(state);
        }
        rig.advance(1.0);
    }
    let expected = [
        ("IN_PROGRESS".to_owned(), 10.0),
        ("ROLLBACK_IN_PROGRESS".to_owned(), 0.0),
        ("ROLLBACK_SUCCESSFUL".to_owned(), 0.0),
    ];
    assert_eq!(seen, expected);
    assert_eq!(least, 2, "the source never dipped");
    let rollout = rig.rollout().await;
    assert_eq!(rollout["alarms"]["status"], "TRIGGERED");
    assert_eq!(rollout["alarms"]["triggeredAlarmNames"], json!(["errors"]));
    assert_eq!(rig.service().await["runningCount"], 2);
}

#[tokio::test]
async fn an_alarm_that_fires_already_is_not_watched() {
    let configuration = json!({ "alarms": { "alarmNames": ["errors"], "enable": true, "rollback": true } });
    let (rig, second) = rig(configuration, Behaviour::Ok).await;
    rig.control.set_alarm(ACCOUNT, REGION, "errors", AlarmState::Alarm);
    rig.update(json!({ "taskDefinition": second })).await;
    rig.advance(600.0);
    let rollout = rig.rollout().await;
    assert_eq!((&rollout["status"], &rollout["alarms"]["status"]), (&json!("SUCCESSFUL"), &json!("DISABLED")));
}

#[tokio::test]
async fn trace_i_linear_steps_wait_for_a_hook_each() {
    let configuration = json!({
        "strategy": "LINEAR", "linearConfiguration": { "stepPercent": 25.0, "stepBakeTimeInMinutes": 1 },
        "lifecycleHooks": [pause("PRE_PRODUCTION_TRAFFIC_SHIFT")],
    });
    let (rig, second) = rig(configuration, Behaviour::Ok).await;
    rig.update(json!({ "taskDefinition": second })).await;
    let mut ids: Vec<Value> = Vec::new();
    let mut shares = Vec::new();
    for _ in 0..3 {
        watch(&rig, 900, paused).await;
        let rollout = rig.rollout().await;
        let hook = hooks(&rollout).into_iter().find(|hook| hook["status"] == "AWAITING_ACTION").unwrap();
        shares.push(rollout["targetServiceRevision"]["requestedProductionTrafficWeight"].as_f64().unwrap());
        assert!(!ids.contains(&hook["hookId"]));
        go_on(&rig, &hook["hookId"], "CONTINUE").await;
        ids.push(hook["hookId"].clone());
    }
    assert_eq!(shares, [0.0, 25.0, 50.0]);
    let arn = rig.service().await["currentServiceDeployment"].clone();
    let again =
        rig.refused("ContinueServiceDeployment", json!({ "serviceDeploymentArn": arn, "hookId": ids[0] })).await;
    assert_eq!(
        again.message,
        "Provided hookId is either completed, unavailable, or not associated with the given Resource ARN"
    );
    let bad =
        rig.refused("ContinueServiceDeployment", json!({ "serviceDeploymentArn": arn, "hookId": "nonsense" })).await;
    assert_eq!(bad.message, "Invalid hookId: hookId must follow the format: ecs-{hookType}-{id}");
    // Nobody answers the fourth pause.
    watch(&rig, 900, paused).await;
    rig.advance(3700.0);
    let rollout = rig.rollout().await;
    assert_eq!(rollout["status"], "ROLLBACK_SUCCESSFUL");
    assert_eq!(
        rollout["statusReason"],
        "Service deployment rolled back because PRE_PRODUCTION_TRAFFIC_SHIFT pause hook timed out."
    );
    let statuses: Vec<Value> = hooks(&rollout).iter().map(|hook| hook["status"].clone()).collect();
    assert_eq!(statuses, ["SUCCEEDED", "SUCCEEDED", "SUCCEEDED", "TIMED_OUT"]);
    let over = rig.refused("ContinueServiceDeployment", json!({ "serviceDeploymentArn": arn, "hookId": ids[0] })).await;
    assert!(over.message.contains("terminal states"), "{}", over.message);
}

#[tokio::test]
async fn trace_j_a_stop_during_the_bake_takes_traffic_back_first() {
    let (rig, second) = rig(json!({ "strategy": "BLUE_GREEN", "bakeTimeInMinutes": 10 }), Behaviour::Ok).await;
    rig.update(json!({ "taskDefinition": second })).await;
    watch(&rig, 600, |rollout| rollout["lifecycleStage"] == "BAKE_TIME").await;
    let arn = rig.service().await["currentServiceDeployment"].clone();
    rig.ecs("StopServiceDeployment", json!({ "serviceDeploymentArn": arn })).await;
    let mut path = Vec::new();
    for _ in 0..240 {
        let rollout = rig.rollout().await;
        let target = &rollout["targetServiceRevision"];
        if rollout["status"] == "ROLLBACK_IN_PROGRESS" && target["runningTaskCount"] != 0 {
            assert_eq!(target["requestedProductionTrafficWeight"], 0.0, "traffic first, then the tasks");
        }
        let status = rollout["status"].as_str().unwrap().to_owned();
        if path.last() != Some(&status) {
            path.push(status);
        }
        rig.advance(0.5);
    }
    assert_eq!(path, ["ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS", "ROLLBACK_SUCCESSFUL"]);
    assert_eq!(rig.service().await["runningCount"], 2);
}

#[tokio::test]
async fn trace_k_autoscaling_in_the_middle_starts_no_deployment() {
    let configuration = json!({
        "strategy": "BLUE_GREEN", "lifecycleHooks": [pause("POST_SCALE_UP")],
        "deploymentCircuitBreaker": { "enable": true, "rollback": true },
    });
    let (rig, second) = rig(configuration, Behaviour::Ok).await;
    rig.update(json!({ "taskDefinition": second })).await;
    watch(&rig, 600, paused).await;
    let arn = rig.service().await["currentServiceDeployment"].clone();
    rig.update(json!({ "desiredCount": 10 })).await;
    rig.advance(300.0);
    let service = rig.service().await;
    assert_eq!(service["currentServiceDeployment"], arn);
    assert_eq!(service["runningCount"], 20);
    assert_eq!(service["deployments"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_hook_that_says_no_rolls_back_and_says_which() {
    let configuration = json!({ "strategy": "BLUE_GREEN", "lifecycleHooks": [lambda("POST_TEST_TRAFFIC_SHIFT")] });
    let (rig, second) = rig(configuration, Behaviour::Ok).await;
    rig.control.set_hook(FUNCTION, HookAnswer::Failed);
    rig.update(json!({ "taskDefinition": second })).await;
    watch(&rig, 900, |rollout| rollout["status"] == "ROLLBACK_SUCCESSFUL").await;
    let reason = format!(
        "Service deployment rolled back because POST_TEST_TRAFFIC_SHIFT lifecycle hook(s) failed. Lifecycle hook target {FUNCTION} returned FAILED status."
    );
    assert_eq!(rig.rollout().await["statusReason"], reason);
    let calls = rig.control.hook_calls(ACCOUNT, REGION);
    assert_eq!(calls.len(), 1);
    let payload = &calls[0]["payload"];
    assert_eq!(payload["lifecycleStage"], "POST_TEST_TRAFFIC_SHIFT");
    assert_eq!(payload["hookDetails"], json!({ "why": "smoke" }));
    assert_eq!(payload["executionDetails"]["productionTrafficWeights"], json!({}));
}

#[tokio::test]
async fn a_hook_may_ask_for_time() {
    let configuration = json!({ "strategy": "BLUE_GREEN", "lifecycleHooks": [lambda("PRODUCTION_TRAFFIC_SHIFT")] });
    let (rig, second) = rig(configuration, Behaviour::Ok).await;
    rig.control.set_hook(FUNCTION, HookAnswer::InProgress { calls: 2, call_back_delay: Some(20) });
    rig.update(json!({ "taskDefinition": second })).await;
    watch(&rig, 900, |rollout| rollout["status"] == "SUCCESSFUL").await;
    let calls = rig.control.hook_calls(ACCOUNT, REGION);
    let times: Vec<f64> = calls.iter().map(|call| call["time"].as_f64().unwrap()).collect();
    assert_eq!(times.iter().map(|time| (time - times[0]).round()).collect::<Vec<_>>(), [0.0, 20.0, 40.0]);
    let weights = calls[0]["payload"]["executionDetails"]["productionTrafficWeights"].as_object().unwrap();
    let mut shares: Vec<f64> = weights.values().map(|share| share.as_f64().unwrap()).collect();
    shares.sort_by(f64::total_cmp);
    assert_eq!(shares, [0.0, 100.0]);
}

#[tokio::test]
async fn a_hook_that_refuses_the_way_back_ends_it_badly() {
    let configuration = json!({
        "strategy": "BLUE_GREEN", "bakeTimeInMinutes": 10, "lifecycleHooks": [lambda("PRODUCTION_TRAFFIC_SHIFT")],
    });
    let (rig, second) = rig(configuration, Behaviour::Ok).await;
    rig.update(json!({ "taskDefinition": second })).await;
    watch(&rig, 900, |rollout| rollout["lifecycleStage"] == "BAKE_TIME").await;
    rig.control.set_hook(FUNCTION, HookAnswer::Unparsable);
    let arn = rig.service().await["currentServiceDeployment"].clone();
    rig.ecs("StopServiceDeployment", json!({ "serviceDeploymentArn": arn })).await;
    rig.advance(200.0);
    let rollout = rig.rollout().await;
    assert_eq!(rollout["status"], "ROLLBACK_FAILED");
    assert_eq!(rig.service().await["runningCount"], 2, "the old revision serves all the same");
}

#[tokio::test]
async fn the_breaker_fires_while_green_starts() {
    let configuration =
        json!({ "strategy": "BLUE_GREEN", "deploymentCircuitBreaker": { "enable": true, "rollback": true } });
    let (rig, second) = rig(configuration, Behaviour::crash(1, Duration::from_secs(1))).await;
    rig.update(json!({ "taskDefinition": second })).await;
    let seen = watch(&rig, 900, |rollout| rollout["status"] == "ROLLBACK_SUCCESSFUL").await;
    assert!(seen.iter().all(|line| line.contains("production 0.0")), "{seen:?}");
    assert!(seen.iter().any(|line| line.starts_with("ROLLBACK_IN_PROGRESS SCALE_UP")), "{seen:?}");
    assert_eq!(rig.rollout().await["deploymentCircuitBreaker"]["status"], "TRIGGERED");
}

#[tokio::test]
async fn a_superseded_shift_is_reconciled_first() {
    let (rig, second) = rig(json!({ "strategy": "BLUE_GREEN", "bakeTimeInMinutes": 10 }), Behaviour::Ok).await;
    rig.update(json!({ "taskDefinition": second })).await;
    watch(&rig, 600, |rollout| rollout["lifecycleStage"] == "BAKE_TIME").await;
    let first = rig.service().await["currentServiceDeployment"].clone();
    let third = rig.register("web", "nginx:3").await;
    rig.update(json!({ "taskDefinition": third })).await;
    let seen = watch(&rig, 2000, |rollout| rollout["status"] == "SUCCESSFUL").await;
    assert!(seen[1].starts_with("IN_PROGRESS RECONCILE_SERVICE"), "{seen:?}");
    let answer = rig.ecs("DescribeServiceDeployments", json!({ "serviceDeploymentArns": [first] })).await;
    assert_eq!(answer["serviceDeployments"][0]["status"], "STOPPED");
    assert_eq!(rig.service().await["runningCount"], 2);
}

#[tokio::test]
async fn early_success_leaves_the_old_tasks_for_later() {
    let configuration = json!({
        "minimumHealthyPercent": 50,
        "earlySuccessCriteria": { "enable": true, "healthyPercent": 50, "sourceServiceRevisionCleanup": "DEFERRED" },
    });
    let (rig, second) = rig(configuration, Behaviour::Ok).await;
    rig.update(json!({ "taskDefinition": second })).await;
    watch(&rig, 600, |rollout| rollout["status"] == "SUCCESSFUL").await;
    assert!(rig.service().await["deployments"].as_array().unwrap().len() > 1, "the old revision still runs");
    rig.advance(600.0);
    let service = rig.service().await;
    assert_eq!(service["deployments"].as_array().unwrap().len(), 1);
    assert_eq!(service["runningCount"], 2);
}

#[tokio::test]
async fn configurations_that_ecs_refuses() {
    let rig = Rig::start().await;
    let first = rig.register("web", "nginx:1").await;
    rig.create(&first, json!({ "loadBalancers": balancer() })).await;
    let hook = |more: Value| {
        let mut hook = pause("POST_SCALE_UP");
        hook.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "lifecycleHooks": [hook] })
    };
    let many: Vec<Value> = (0..11).map(|_| pause("POST_SCALE_UP")).collect();
    let cases = [
        (
            hook(json!({ "lifecycleStages": ["PRODUCTION_TRAFFIC_SHIFT"] })),
            "Invalid lifecycle stage provided for Pause Hook",
        ),
        (
            hook(json!({ "timeoutConfiguration": { "timeoutInMinutes": 20161 } })),
            "timeoutInMinutes must be between 1 and 20160.",
        ),
        (json!({ "lifecycleHooks": many }), "A service can have at most 10 lifecycle hooks of type PAUSE."),
        (
            json!({ "strategy": "LINEAR", "linearConfiguration": { "stepPercent": 2.9 } }),
            "stepPercent must be a multiple of 0.1 between 3.0 and 100.0.",
        ),
        (
            json!({ "strategy": "BLUE_GREEN", "earlySuccessCriteria": { "enable": true } }),
            "earlySuccessCriteria is only allowed with the deployment strategy ROLLING.",
        ),
        (
            json!({ "earlySuccessCriteria": { "enable": true, "healthyPercent": 10 } }),
            "healthyPercent cannot be less than minimumHealthyPercent.",
        ),
    ];
    for (configuration, message) in cases {
        let body = json!({ "cluster": "demo", "service": "web", "deploymentConfiguration": configuration });
        let refused = rig.refused("UpdateService", body).await;
        assert_eq!((refused.code.as_str(), refused.message.as_str()), ("InvalidParameterException", message));
    }
    let with = |edit: &dyn Fn(&mut Value)| {
        let mut balancers = balancer();
        edit(&mut balancers);
        balancers
    };
    let listener = "arn:aws:elasticloadbalancing:eu-central-1:111111111111:listener/app/lb/1/2";
    let cases = [
        (
            with(&|it| it[0]["advancedConfiguration"]["productionListenerRule"] = json!(listener)),
            format!(
                "productionListenerRule has an invalid ARN format. Must be RuleArn for ALB or ListenerArn for NLB. Got: {listener}"
            ),
        ),
        (
            with(&|it| it[0]["advancedConfiguration"]["testListenerRule"] = json!(RULE)),
            format!("The following rules cannot be used as both production and test listener rules: {RULE}"),
        ),
        (
            with(&|it| it[0]["advancedConfiguration"]["alternateTargetGroupArn"] = json!(GROUP)),
            format!("Duplicate targetGroupArn found: {GROUP}"),
        ),
        (
            with(&|it| {
                let plain = json!({ "targetGroupArn": OTHER, "containerName": "web", "containerPort": 80 });
                it[0]["advancedConfiguration"]["alternateTargetGroupArn"] = json!("arn:other");
                it.as_array_mut().unwrap().push(plain);
            }),
            "Either all or none of the provided loadBalancers must have advancedConfiguration defined".to_owned(),
        ),
    ];
    for (balancers, message) in cases {
        let body =
            json!({ "cluster": "demo", "service": "web", "loadBalancers": balancers, "forceNewDeployment": true });
        assert_eq!(rig.refused("UpdateService", body).await.message, message);
    }
}

#[tokio::test]
async fn other_controllers_and_express_services_deploy_elsewhere() {
    let rig = Rig::start().await;
    let first = rig.register("web", "nginx:1").await;
    rig.create(&first, json!({ "deploymentController": { "type": "CODE_DEPLOY" } })).await;
    rig.advance(600.0);
    let service = rig.service().await;
    assert_eq!(service["deployments"], json!([]));
    assert_eq!(service["taskSets"][0]["status"], "PRIMARY");
    assert!(service.get("currentServiceDeployment").is_none());
    let second = rig.register("web", "nginx:2").await;
    let body = json!({ "cluster": "demo", "service": "web", "taskDefinition": second });
    let refused = rig.refused("UpdateService", body).await;
    assert_eq!(
        refused.message,
        "Unable to update task definition on services with a CODE_DEPLOY deployment controller. Use AWS CodeDeploy to trigger a new deployment."
    );
    rig.create(&first, json!({ "serviceName": "express" })).await;
    rig.control.make_express(ACCOUNT, REGION, "demo", "express");
    let answer = rig.ecs("DescribeServices", json!({ "cluster": "demo", "services": ["express"] })).await;
    assert_eq!(answer["services"][0]["resourceManagementType"], "ECS");
    rig.refused("UpdateService", json!({ "cluster": "demo", "service": "express", "desiredCount": 2 })).await;
}

#[tokio::test]
async fn a_service_goes_from_each_strategy_to_another() {
    let (rig, _) =
        rig(json!({ "strategy": "CANARY", "canaryConfiguration": { "canaryPercent": 10.0 } }), Behaviour::Ok).await;
    for (at, strategy) in
        ["BLUE_GREEN", "LINEAR", "CANARY", "ROLLING", "LINEAR", "BLUE_GREEN", "ROLLING"].into_iter().enumerate()
    {
        let next = rig.register("web", &format!("nginx:{}", at + 10)).await;
        let configuration = json!({ "strategy": strategy });
        let service = rig.update(json!({ "taskDefinition": next, "deploymentConfiguration": configuration })).await;
        let shown = &service["deploymentConfiguration"];
        assert_eq!(shown.get("linearConfiguration").is_some(), strategy == "LINEAR", "{shown}");
        assert_eq!(shown.get("canaryConfiguration").is_some(), strategy == "CANARY", "{shown}");
        rig.advance(4.0 * 3600.0);
        assert_eq!(rig.rollout().await["status"], "SUCCESSFUL", "{strategy}");
        assert_eq!(rig.service().await["runningCount"], 2, "{strategy}");
    }
    // A block of another strategy in the request itself is refused.
    let configuration = json!({ "strategy": "ROLLING", "canaryConfiguration": { "canaryPercent": 5.0 } });
    let body = json!({ "cluster": "demo", "service": "web", "deploymentConfiguration": configuration });
    assert!(rig.refused("UpdateService", body).await.message.contains("canaryConfiguration is only allowed"));
}
