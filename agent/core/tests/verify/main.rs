//! The checks that need nothing but the definition: each by an example that fails it, and a definition that holds them
//! all.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod certain;
mod examples;

use lockstep_core::verify::{CheckOutcome, failure, offline};
use lockstep_manifests::{Desired, layer::Ownership};
use serde_json::{Map, Value, json};

fn desired(task_definition: Value, service: Value) -> Desired {
    Desired {
        name: "web".into(),
        environment: "prod".into(),
        service_name: "web".into(),
        ownership: Ownership::Service,
        after: vec![],
        ignore: vec![],
        adopt: false,
        replace: false,
        sync: lockstep_manifests::Narrowing::default(),
        task_definition,
        task_definition_tags: Map::new(),
        service,
        service_tags: Map::new(),
        parameters: Default::default(),
    }
}

/// Fargate, with something for most rules to look at.
fn fargate() -> (Value, Value) {
    (
        json!({"family": "web", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "512", "memory": "1 GB",
            "executionRoleArn": "execution", "taskRoleArn": "task", "volumes": [{"name": "data", "configuredAtLaunch": true}],
            "containerDefinitions": [
                {"name": "web", "image": "1.dkr.ecr.eu-central-1.amazonaws.com/web:1", "portMappings": [{"containerPort": 80, "hostPort": 80, "name": "http"}],
                 "mountPoints": [{"sourceVolume": "data", "containerPath": "/data"}],
                 "secrets": [{"name": "KEY", "valueFrom": "/key"}],
                 "dependsOn": [{"containerName": "cache", "condition": "HEALTHY"}, {"containerName": "setup", "condition": "SUCCESS"}],
                 "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "/web", "awslogs-region": "eu-central-1", "awslogs-stream-prefix": "web"}}},
                {"name": "cache", "image": "redis:7", "healthCheck": {"command": ["CMD", "redis-cli", "ping"]}},
                {"name": "setup", "image": "setup:1", "essential": false}]}),
        json!({"serviceName": "web", "desiredCount": 2, "launchType": "FARGATE", "enableExecuteCommand": true,
            "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["a", "b"]}},
            "loadBalancers": [{"targetGroupArn": "arn:tg", "containerName": "web", "containerPort": 80}],
            "serviceConnectConfiguration": {"enabled": true, "services": [{"portName": "http"}]},
            "volumeConfigurations": [{"name": "data", "managedEBSVolume": {"roleArn": "r", "sizeInGiB": 10}}],
            "deploymentConfiguration": {"maximumPercent": 150, "minimumHealthyPercent": 50, "alarms": {"enable": true, "rollback": true, "alarmNames": ["a"]}}}),
    )
}

fn ec2() -> (Value, Value) {
    (
        json!({"family": "web", "networkMode": "bridge", "requiresCompatibilities": ["EC2"], "cpu": "512",
            "containerDefinitions": [{"name": "web", "image": "web:1", "memory": 256, "portMappings": [{"containerPort": 80, "hostPort": 8080}]}, {"name": "b", "image": "b:1", "memoryReservation": 64, "links": ["web:web"]}]}),
        json!({"serviceName": "web", "desiredCount": 2, "launchType": "EC2", "placementStrategy": [{"type": "spread", "field": "host"}]}),
    )
}

/// What does not hold: (outcome, code, path).
fn found(task_definition: &Value, service: &Value) -> Vec<(CheckOutcome, &'static str, String)> {
    offline(&desired(task_definition.clone(), service.clone()))
        .into_iter()
        .filter(|check| check.outcome != CheckOutcome::Ok)
        .map(|check| (check.outcome, check.code.id, check.path.to_string()))
        .collect()
}

fn set(value: &mut Value, pointer: &str, new: Value) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = value.pointer_mut(parent).unwrap_or_else(|| panic!("{pointer}"));
    match (parent, name.parse::<usize>()) {
        (Value::Array(items), Ok(at)) if at == items.len() => items.push(new),
        (Value::Array(items), Ok(at)) => items[at] = new,
        (Value::Object(map), _) if new.is_null() => drop(map.remove(name)),
        (parent, _) => parent[name] = new,
    }
}

#[test]
fn what_holds_is_ok_rule_by_rule() {
    for (task_definition, service) in [fargate(), ec2()] {
        assert_eq!(found(&task_definition, &service), vec![]);
        let checks = offline(&desired(task_definition, service));
        assert!(checks.len() >= 6, "{checks:#?}");
        assert!(checks.iter().all(|check| check.outcome == CheckOutcome::Ok && !check.text.is_empty()));
        assert_eq!(failure(&checks), None);
    }
    let (task_definition, service) = fargate();
    let codes: std::collections::BTreeSet<&str> =
        offline(&desired(task_definition, service)).iter().map(|check| check.code.id).collect();
    assert_eq!(codes.len(), 20, "each rule has something to look at: {codes:?}");
}

#[test]
fn what_is_not_known_yet_fails_nothing() {
    let (mut task_definition, mut service) = fargate();
    for pointer in ["/cpu", "/memory", "/networkMode", "/containerDefinitions/1/healthCheck/interval"] {
        set(&mut task_definition, pointer, json!("${{ ssm:/x }}"));
    }
    set(&mut task_definition, "/containerDefinitions/0/portMappings/0/containerPort", json!("${{ vars.port }}"));
    for pointer in
        ["/networkConfiguration/awsvpcConfiguration/subnets", "/loadBalancers/0/containerPort", "/desiredCount"]
    {
        set(&mut service, pointer, json!("${{ ssm:/x }}"));
    }
    assert_eq!(found(&task_definition, &service), vec![]);
}
