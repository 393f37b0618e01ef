//! Deployments with stages, and what stops them; services that deploy elsewhere; reads that lag.

use super::story::{CLUSTER, Story, balanced, fargate, over};
use lockstep_sandbox::{AlarmState, Effect, Failure, Fault, HookAnswer};
use lockstep_tests::moto::{ACCOUNT, REGION};
use serde_json::{Value, json};
use std::time::Duration;

fn function() -> String {
    format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:check")
}

fn lambda(stage: &str) -> Value {
    json!({
        "targetType": "AWS_LAMBDA", "hookTargetArn": function(), "lifecycleStages": [stage],
        "roleArn": format!("arn:aws:iam::{ACCOUNT}:role/hooks"), "hookDetails": {"why": "smoke"},
    })
}

fn pause(stage: &str, minutes: u32, action: &str) -> Value {
    let timeout = json!({"timeoutInMinutes": minutes, "action": action});
    json!({"targetType": "PAUSE", "lifecycleStages": [stage], "timeoutConfiguration": timeout})
}

/// Load balancers of a service that can shift: groups and rules that are there.
fn shifting(story: &Story, name: &str) -> Value {
    let control = &story.emulator.control;
    let groups = ["a", "b"].map(|side| control.create_target_group(ACCOUNT, REGION, &format!("{name}-{side}")));
    let weights = [(groups[0].as_str(), 1), (groups[1].as_str(), 0)];
    let listener = control.create_listener(ACCOUNT, REGION, name, 443, &weights);
    let rules = [(); 2].map(|()| control.create_rule(ACCOUNT, REGION, &listener, &weights).unwrap());
    json!([{
        "targetGroupArn": groups[0], "containerName": "web", "containerPort": 80,
        "advancedConfiguration": {
            "alternateTargetGroupArn": groups[1], "productionListenerRule": rules[0], "testListenerRule": rules[1],
            "roleArn": format!("arn:aws:iam::{ACCOUNT}:role/ecs-infrastructure"),
        },
    }])
}

/// The latest service deployment.
fn rollout(story: &Story, name: &str) -> Value {
    let described = story.ok("ecs:DescribeServices", json!({"cluster": CLUSTER, "services": [name]}));
    let arn = &described["services"][0]["currentServiceDeployment"];
    story.ok("ecs:DescribeServiceDeployments", json!({"serviceDeploymentArns": [arn]}))["serviceDeployments"][0].take()
}

/// Looks at a service every few seconds until its deployment shows something; answers the deployment.
fn until(story: &Story, name: &str, shows: impl Fn(&Value) -> bool) -> Value {
    const STEP: Duration = Duration::from_secs(4);
    for _ in 0..900 {
        let rollout = rollout(story, name);
        story.look_at(&[name]);
        if shows(&rollout) {
            return rollout;
        }
        story.emulator.control.advance(STEP);
    }
    panic!("{name} never came to that: {}", rollout(story, name));
}

fn status(wanted: &'static str) -> impl Fn(&Value) -> bool {
    move |rollout| rollout["status"] == wanted
}

fn stage(wanted: &'static str) -> impl Fn(&Value) -> bool {
    move |rollout| rollout["lifecycleStage"] == wanted
}

/// The id of the hook that waits.
fn waiting(rollout: &Value) -> Option<&Value> {
    let hooks = rollout["lifecycleHookDetails"].as_array()?;
    hooks.iter().find(|hook| hook["status"] == "AWAITING_ACTION").map(|hook| &hook["hookId"])
}

/// A service that runs its first revision.
fn settled(story: &Story, name: &str, configuration: &Value) {
    let mut plain = configuration.clone();
    plain.as_object_mut().unwrap().remove("lifecycleHooks");
    let more = json!({"loadBalancers": shifting(story, name), "deploymentConfiguration": plain});
    story.create(name, "web:1", fargate(more));
    story.emulator.control.advance(Duration::from_secs(3 * 3600));
    until(story, name, status("SUCCESSFUL"));
    story.update(name, json!({"deploymentConfiguration": configuration}));
}

/// The same, with its second revision on the way.
fn begun(story: &Story, name: &str, configuration: Value) {
    settled(story, name, &configuration);
    story.update(name, json!({"taskDefinition": "web:2"}));
}

fn go_on(story: &Story, rollout: &Value, action: &str) {
    let input =
        json!({"serviceDeploymentArn": rollout["serviceDeploymentArn"], "hookId": waiting(rollout), "action": action});
    story.ok("ecs:ContinueServiceDeployment", input.clone());
    story.no("ecs:ContinueServiceDeployment", input, "InvalidParameterException");
}

/// Every way through the stages.
pub(crate) fn strategies(story: &Story) {
    blue_green(story);
    let linear = json!({
        "strategy": "LINEAR", "linearConfiguration": {"stepPercent": 40.0, "stepBakeTimeInMinutes": 1},
        "lifecycleHooks": [pause("PRE_PRODUCTION_TRAFFIC_SHIFT", 1, "CONTINUE")],
    });
    begun(story, "linear", linear);
    until(story, "linear", status("SUCCESSFUL"));
    let late = json!({"strategy": "BLUE_GREEN", "lifecycleHooks": [pause("POST_SCALE_UP", 1, "ROLLBACK")]});
    begun(story, "late", late);
    until(story, "late", status("ROLLBACK_SUCCESSFUL"));
    let refused = json!({"strategy": "BLUE_GREEN", "lifecycleHooks": [pause("PRE_SCALE_UP", 60, "ROLLBACK")]});
    begun(story, "refused", refused);
    let paused = until(story, "refused", |rollout| waiting(rollout).is_some());
    go_on(story, &paused, "ROLLBACK");
    until(story, "refused", status("ROLLBACK_SUCCESSFUL"));
    canary(story);
    functions(story);
    let early = json!({
        "minimumHealthyPercent": 50,
        "earlySuccessCriteria": {"enable": true, "healthyPercent": 50, "sourceServiceRevisionCleanup": "DEFERRED"},
    });
    story.create("early", "web:1", fargate(json!({"deploymentConfiguration": early})));
    until(story, "early", status("SUCCESSFUL"));
    story.update("early", json!({"taskDefinition": "web:2"}));
    until(story, "early", status("SUCCESSFUL"));
    story.watch(&["early"], 120, 60);
}

fn blue_green(story: &Story) {
    let configuration = json!({
        "strategy": "BLUE_GREEN", "bakeTimeInMinutes": 2,
        "lifecycleHooks": [pause("POST_TEST_TRAFFIC_SHIFT", 60, "ROLLBACK"), lambda("PRODUCTION_TRAFFIC_SHIFT")],
    });
    story.emulator.control.set_hook(&function(), HookAnswer::InProgress { calls: 1, call_back_delay: Some(10) });
    begun(story, "green", configuration);
    let paused = until(story, "green", |rollout| waiting(rollout).is_some());
    let arn = &paused["serviceDeploymentArn"];
    let go = |hook: Value| json!({"serviceDeploymentArn": arn, "hookId": hook});
    story.no("ecs:ContinueServiceDeployment", go(json!("nonsense")), "InvalidParameterException");
    let ghost =
        json!({"serviceDeploymentArn": arn.as_str().unwrap().replace("green", "ghost"), "hookId": waiting(&paused)});
    story.no("ecs:ContinueServiceDeployment", ghost, "ServiceDeploymentNotFoundException");
    go_on(story, &paused, "CONTINUE");
    until(story, "green", stage("BAKE_TIME"));
    // Stopped while it bakes.
    story.ok("ecs:StopServiceDeployment", json!({"serviceDeploymentArn": arn}));
    until(story, "green", status("ROLLBACK_SUCCESSFUL"));
    // Overtaken while it bakes.
    story.update("green", json!({"deploymentConfiguration": {"lifecycleHooks": []}}));
    story.update("green", json!({"taskDefinition": "web:2"}));
    until(story, "green", stage("BAKE_TIME"));
    story.update("green", json!({"taskDefinition": "web:2", "forceNewDeployment": true}));
    until(story, "green", stage("RECONCILE_SERVICE"));
    until(story, "green", status("SUCCESSFUL"));
    // A pause before anything begins is answered by nobody, since the deployment is overtaken.
    let first = json!({"lifecycleHooks": [pause("PRE_SCALE_UP", 60, "ROLLBACK")]});
    story.update("green", json!({"deploymentConfiguration": first, "taskDefinition": "web:1"}));
    until(story, "green", |rollout| waiting(rollout).is_some());
    story.update("green", json!({"taskDefinition": "web:2"}));
    story.watch(&["green"], 60, 12);
}

fn canary(story: &Story) {
    let alarms = json!({"alarmNames": ["canary-errors", "cpu"], "enable": true, "rollback": true});
    let configuration = json!({
        "strategy": "CANARY", "canaryConfiguration": {"canaryPercent": 10.0, "canaryBakeTimeInMinutes": 3}, "alarms": alarms,
    });
    let control = &story.emulator.control;
    control.set_alarm(ACCOUNT, REGION, "canary-errors", AlarmState::Ok);
    begun(story, "canary", configuration);
    until(story, "canary", |rollout| rollout["targetServiceRevision"]["requestedProductionTrafficWeight"] == 10.0);
    control.set_alarm(ACCOUNT, REGION, "canary-errors", AlarmState::Alarm);
    story.ok("cloudwatch:DescribeAlarms", json!({"AlarmNames": ["canary-errors"]}));
    until(story, "canary", status("ROLLBACK_SUCCESSFUL"));
    control.set_alarm(ACCOUNT, REGION, "canary-errors", AlarmState::Ok);
    story.update("canary", json!({"taskDefinition": "web:2"}));
    until(story, "canary", status("SUCCESSFUL"));
}

/// Functions of hooks in all their answers.
fn functions(story: &Story) {
    let control = &story.emulator.control;
    let configuration = json!({"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 5, "lifecycleHooks": [lambda("PRODUCTION_TRAFFIC_SHIFT")]});
    control.set_hook(&function(), HookAnswer::Succeeded);
    settled(story, "hooked", &configuration);
    for answer in [
        HookAnswer::Failed,
        HookAnswer::Unparsable,
        HookAnswer::RoleDenied,
        HookAnswer::Unreachable("no network".to_owned()),
    ] {
        control.set_hook(&function(), answer);
        story.update("hooked", json!({"taskDefinition": "web:2", "forceNewDeployment": true}));
        until(story, "hooked", status("ROLLBACK_SUCCESSFUL"));
    }
    // It agrees on the way there, and not on the way back.
    control.set_hook(&function(), HookAnswer::Succeeded);
    story.update("hooked", json!({"taskDefinition": "web:2", "forceNewDeployment": true}));
    let baking = until(story, "hooked", stage("BAKE_TIME"));
    control.set_hook(&function(), HookAnswer::Failed);
    story.ok("ecs:StopServiceDeployment", json!({"serviceDeploymentArn": baking["serviceDeploymentArn"]}));
    until(story, "hooked", status("ROLLBACK_FAILED"));
    control.set_hook(&function(), HookAnswer::Succeeded);
}

/// Services that ECS's own deployments do not reach.
pub(crate) fn others(story: &Story) {
    for kind in ["CODE_DEPLOY", "EXTERNAL"] {
        let name = kind.to_lowercase();
        story.create(
            &name,
            "web:1",
            fargate(json!({"deploymentController": {"type": kind}, "loadBalancers": balanced()})),
        );
        story.watch(&[&name], 120, 20);
        story.no(
            "ecs:UpdateService",
            json!({"cluster": CLUSTER, "service": name, "taskDefinition": "web:2"}),
            "InvalidParameterException",
        );
    }
    story.create("express", "web:1", fargate(json!({})));
    story.emulator.control.make_express(ACCOUNT, REGION, CLUSTER, "express");
    story.watch(&["express"], 60, 20);
    let update = json!({"cluster": CLUSTER, "service": "express", "desiredCount": 3});
    story.no("ecs:UpdateService", update, "InvalidParameterException");
}

/// The catalogue of failures, each in a service of its own.
pub(crate) fn failures(story: &Story) {
    let control = &story.emulator.control;
    let checked = json!({"name": "web", "image": super::story::image("1"), "portMappings": [{"containerPort": 80}], "healthCheck": {"command": ["CMD", "true"]}});
    for _ in 0..2 {
        story.register("checked", json!({"containerDefinitions": [checked]}));
    }
    let breaker = json!({"deploymentCircuitBreaker": {"enable": true, "rollback": true}});
    let names = Failure::ALL.map(|failure| format!("{failure:?}").to_lowercase());
    for name in &names {
        let shape = fargate(json!({"loadBalancers": balanced(), "deploymentConfiguration": breaker}));
        story.create(name, "checked:1", shape);
    }
    control.advance(Duration::from_secs(600));
    let batches: Vec<Vec<&str>> = names.chunks(7).map(|batch| batch.iter().map(String::as_str).collect()).collect();
    for (failure, name) in Failure::ALL.into_iter().zip(&names) {
        control.inject(ACCOUNT, REGION, CLUSTER, name, failure);
        story.update(name, json!({"taskDefinition": "checked:2", "forceNewDeployment": true}));
    }
    for step in [5, 20, 30, 60, 120, 300, 600, 1200, 1800] {
        batches.iter().for_each(|batch| story.look_at(batch));
        for name in &names {
            let of = |status: &str| json!({"cluster": CLUSTER, "serviceName": name, "desiredStatus": status});
            for status in ["RUNNING", "STOPPED"] {
                let tasks = story.ok("ecs:ListTasks", of(status))["taskArns"].take();
                if tasks != json!([]) {
                    story.ok("ecs:DescribeTasks", json!({"cluster": CLUSTER, "tasks": tasks}));
                }
            }
        }
        control.advance(Duration::from_secs(step));
    }
    for name in &names {
        control.heal(ACCOUNT, REGION, CLUSTER, name);
        story.ok("ecs:DeleteService", json!({"cluster": CLUSTER, "service": name, "force": true}));
    }
    control.advance(Duration::from_secs(4000));
}

/// Reads that lag behind writes, and values that nobody knows yet.
pub(crate) fn odd_reads(story: &Story) {
    let control = &story.emulator.control;
    story.create("odd", "web:1", fargate(json!({})));
    until(story, "odd", status("SUCCESSFUL"));
    control.add_fault(Fault::new("ecs:*", Effect::Stale(30.0)));
    story.update("odd", json!({"taskDefinition": "web:2"}));
    let of = over(json!({"cluster": CLUSTER}), json!({"services": ["odd", "unborn"]}));
    story.create("unborn", "web:1", fargate(json!({})));
    let described = story.ok("ecs:DescribeServices", of.clone());
    assert_eq!(described["failures"][0]["reason"], "MISSING");
    assert!(described["services"][0]["taskDefinition"].as_str().unwrap().ends_with("web:1"));
    story.watch(&["odd"], 60, 10);
    control.clear_faults();
    for member in ["status", "rolloutState", "lifecycleStage", "lastStatus"] {
        let value = json!(format!("FUTURE_{}", member.to_uppercase()));
        control.add_fault(Fault::new("ecs:Describe*", Effect::Replace { member: member.to_owned(), value }));
    }
    story.look(&["odd"]);
    control.clear_faults();
}
