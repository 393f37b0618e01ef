//! The checks that need nothing but the definition: each by an example that fails it, and a definition that holds them
//! all.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lockstep_core::verify::{Outcome, failure, offline};
use lockstep_manifests::{Desired, codes, layer::Ownership};
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
fn found(task_definition: &Value, service: &Value) -> Vec<(Outcome, &'static str, String)> {
    offline(&desired(task_definition.clone(), service.clone()))
        .into_iter()
        .filter(|check| check.outcome != Outcome::Ok)
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
        assert!(checks.iter().all(|check| check.outcome == Outcome::Ok && !check.text.is_empty()));
        assert_eq!(failure(&checks), None);
    }
    let (task_definition, service) = fargate();
    let codes: std::collections::BTreeSet<&str> =
        offline(&desired(task_definition, service)).iter().map(|check| check.code.id).collect();
    assert_eq!(codes.len(), 17, "each rule has something to look at: {codes:?}");
}

#[test]
fn each_rule_has_an_example_that_fails_it() {
    use Outcome::{Fail, Warn};
    const C: &str = "taskDefinition.containerDefinitions";
    type Case = (bool, &'static str, Value, Outcome, &'static str, String);
    let t = |name: &str| format!("taskDefinition.{name}");
    let s = |name: &str| format!("service.{name}");
    let on_fargate: Vec<Case> = vec![
        (true, "/memory", Value::Null, Fail, "LS0501", t("memory")),
        (true, "/cpu", json!("lots"), Fail, "LS0501", "taskDefinition".into()),
        (true, "/memory", json!("512"), Warn, "LS0501", "taskDefinition".into()),
        (true, "/ephemeralStorage", json!({"sizeInGiB": 20}), Fail, "LS0501", t("ephemeralStorage.sizeInGiB")),
        (
            true,
            "/runtimePlatform",
            json!({"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}),
            Fail,
            "LS0501",
            t("cpu"),
        ),
        (true, "/networkMode", json!("bridge"), Fail, "LS0502", t("networkMode")),
        (true, "/ipcMode", json!("host"), Fail, "LS0502", t("ipcMode")),
        (true, "/pidMode", json!("host"), Fail, "LS0502", t("pidMode")),
        (true, "/placementConstraints", json!([{"type": "memberOf"}]), Fail, "LS0502", t("placementConstraints")),
        (true, "/containerDefinitions/0/privileged", json!(true), Fail, "LS0502", format!("{C}[web].privileged")),
        (
            true,
            "/containerDefinitions/0/dnsServers",
            json!(["10.0.0.2"]),
            Fail,
            "LS0502",
            format!("{C}[web].dnsServers"),
        ),
        (
            true,
            "/containerDefinitions/0/linuxParameters",
            json!({"tmpfs": [{"containerPath": "/t", "size": 1}]}),
            Fail,
            "LS0502",
            format!("{C}[web].linuxParameters.tmpfs"),
        ),
        (
            true,
            "/containerDefinitions/0/linuxParameters",
            json!({"capabilities": {"add": ["NET_ADMIN"]}}),
            Fail,
            "LS0502",
            format!("{C}[web].linuxParameters.capabilities.add"),
        ),
        (
            true,
            "/containerDefinitions/1/logConfiguration",
            json!({"logDriver": "syslog"}),
            Fail,
            "LS0502",
            format!("{C}[cache].logConfiguration.logDriver"),
        ),
        (
            true,
            "/containerDefinitions/1/resourceRequirements",
            json!([{"type": "GPU", "value": "1"}]),
            Fail,
            "LS0502",
            format!("{C}[cache].resourceRequirements"),
        ),
        (
            true,
            "/volumes/1",
            json!({"name": "h", "host": {"sourcePath": "/x"}}),
            Fail,
            "LS0502",
            t("volumes[h].host.sourcePath"),
        ),
        (
            true,
            "/volumes/1",
            json!({"name": "d", "dockerVolumeConfiguration": {"driver": "local"}}),
            Fail,
            "LS0502",
            t("volumes[d].dockerVolumeConfiguration"),
        ),
        (
            true,
            "/containerDefinitions/0/portMappings/0/hostPort",
            json!(8080),
            Fail,
            "LS0503",
            format!("{C}[web].portMappings[80/tcp].hostPort"),
        ),
        (
            true,
            "/containerDefinitions/1/portMappings",
            json!([{"containerPort": 80}]),
            Fail,
            "LS0503",
            format!("{C}[cache].portMappings[80/tcp]"),
        ),
        (
            true,
            "/containerDefinitions/1/portMappings",
            json!([{"containerPort": 81, "name": "http"}]),
            Fail,
            "LS0503",
            format!("{C}[cache].portMappings[81/tcp].name"),
        ),
        (
            true,
            "/containerDefinitions/0/dependsOn/0/containerName",
            json!("cahce"),
            Fail,
            "LS0504",
            format!("{C}[web].dependsOn[cahce]"),
        ),
        (
            true,
            "/containerDefinitions/1/healthCheck",
            Value::Null,
            Fail,
            "LS0504",
            format!("{C}[web].dependsOn[cache]"),
        ),
        (true, "/containerDefinitions/2/essential", json!(true), Fail, "LS0504", format!("{C}[web].dependsOn[setup]")),
        (
            true,
            "/containerDefinitions/1/dependsOn",
            json!([{"containerName": "web", "condition": "START"}]),
            Fail,
            "LS0504",
            format!("{C}[cache].dependsOn"),
        ),
        (
            true,
            "/containerDefinitions/0/mountPoints/0/sourceVolume",
            json!("dat"),
            Fail,
            "LS0505",
            format!("{C}[web].mountPoints[/data].sourceVolume"),
        ),
        (
            true,
            "/containerDefinitions/1/volumesFrom",
            json!([{"sourceContainer": "no"}]),
            Fail,
            "LS0505",
            format!("{C}[cache].volumesFrom[no]"),
        ),
        (
            true,
            "/containerDefinitions/1/logConfiguration",
            json!({"logDriver": "awsfirelens"}),
            Fail,
            "LS0505",
            format!("{C}[cache].logConfiguration.logDriver"),
        ),
        (
            true,
            "/proxyConfiguration",
            json!({"containerName": "envoy"}),
            Fail,
            "LS0505",
            t("proxyConfiguration.containerName"),
        ),
        (true, "/containerDefinitions/1/image", Value::Null, Fail, "LS0506", format!("{C}[cache].image")),
        (true, "/containerDefinitions/1/cpu", json!(1024), Fail, "LS0506", t("cpu")),
        (false, "/volumeConfigurations", Value::Null, Fail, "LS0507", s("volumeConfigurations")),
        (false, "/volumeConfigurations/1", json!({"name": "other"}), Fail, "LS0507", s("volumeConfigurations[other]")),
        (
            false,
            "/volumeConfigurations/0/managedEBSVolume/tagSpecifications",
            json!([{}, {}]),
            Warn,
            "LS0507",
            s("volumeConfigurations[data].managedEBSVolume.tagSpecifications"),
        ),
        (
            true,
            "/volumes/1",
            json!({"name": "e", "efsVolumeConfiguration": {"fileSystemId": "fs", "authorizationConfig": {"iam": "ENABLED"}}}),
            Fail,
            "LS0507",
            t("volumes[e].efsVolumeConfiguration.transitEncryption"),
        ),
        (
            true,
            "/volumes/1",
            json!({"name": "e", "efsVolumeConfiguration": {"fileSystemId": "fs", "rootDirectory": "/x", "transitEncryption": "ENABLED", "authorizationConfig": {"accessPointId": "a"}}}),
            Fail,
            "LS0507",
            t("volumes[e].efsVolumeConfiguration.rootDirectory"),
        ),
        (false, "/networkConfiguration", Value::Null, Fail, "LS0508", s("networkConfiguration")),
        (
            false,
            "/networkConfiguration/awsvpcConfiguration/subnets",
            json!([]),
            Fail,
            "LS0508",
            s("networkConfiguration.awsvpcConfiguration.subnets"),
        ),
        (
            false,
            "/networkConfiguration/awsvpcConfiguration/securityGroups",
            json!(["a", "b", "c", "d", "e", "f"]),
            Fail,
            "LS0508",
            s("networkConfiguration.awsvpcConfiguration.securityGroups"),
        ),
        (
            false,
            "/loadBalancers/0/containerPort",
            json!(81),
            Fail,
            "LS0509",
            s("loadBalancers[web,81,arn:tg].containerPort"),
        ),
        (
            false,
            "/loadBalancers/0/containerName",
            json!("wbe"),
            Fail,
            "LS0509",
            s("loadBalancers[wbe,80,arn:tg].containerName"),
        ),
        (false, "/loadBalancers/0/targetGroupArn", Value::Null, Fail, "LS0509", s("loadBalancers[web,80]")),
        (
            false,
            "/serviceRegistries",
            json!([{"registryArn": "r", "containerName": "no"}]),
            Fail,
            "LS0509",
            s("serviceRegistries[r].containerName"),
        ),
        (
            false,
            "/deploymentConfiguration",
            json!({"maximumPercent": 100, "minimumHealthyPercent": 100}),
            Fail,
            "LS0510",
            s("deploymentConfiguration"),
        ),
        (
            false,
            "/deploymentConfiguration",
            json!({"maximumPercent": 90, "minimumHealthyPercent": 0}),
            Fail,
            "LS0510",
            s("deploymentConfiguration.maximumPercent"),
        ),
        (
            false,
            "/deploymentConfiguration",
            json!({"maximumPercent": 120, "minimumHealthyPercent": 90}),
            Warn,
            "LS0510",
            s("deploymentConfiguration"),
        ),
        (
            false,
            "/deploymentConfiguration/canaryConfiguration",
            json!({"canaryPercent": 5}),
            Fail,
            "LS0511",
            s("deploymentConfiguration.canaryConfiguration"),
        ),
        (
            false,
            "/deploymentConfiguration",
            json!({"strategy": "BLUE_GREEN"}),
            Fail,
            "LS0511",
            s("deploymentConfiguration.bakeTimeInMinutes"),
        ),
        (
            false,
            "/deploymentConfiguration",
            json!({"strategy": "CANARY", "earlySuccessCriteria": {"enable": true}}),
            Fail,
            "LS0511",
            s("deploymentConfiguration.earlySuccessCriteria"),
        ),
        (
            false,
            "/deploymentConfiguration/lifecycleHooks",
            json!([{"hookTargetArn": "f", "lifecycleStages": ["PRE_SCALE_UP"]}]),
            Fail,
            "LS0512",
            s("deploymentConfiguration.lifecycleHooks[f,PRE_SCALE_UP].roleArn"),
        ),
        (
            false,
            "/deploymentConfiguration/alarms/alarmNames",
            json!([]),
            Fail,
            "LS0512",
            s("deploymentConfiguration.alarms.alarmNames"),
        ),
        (
            false,
            "/serviceConnectConfiguration/services/0/portName",
            json!("htpp"),
            Fail,
            "LS0513",
            s("serviceConnectConfiguration.services[htpp]"),
        ),
        (
            false,
            "/vpcLatticeConfigurations",
            json!([{"portName": "no"}]),
            Fail,
            "LS0513",
            s("vpcLatticeConfigurations[no]"),
        ),
        (false, "/capacityProviderStrategy", json!([{"capacityProvider": "FARGATE"}]), Fail, "LS0514", s("launchType")),
        (false, "/placementStrategy", json!([{"type": "random"}]), Fail, "LS0514", s("placementStrategy")),
        (
            true,
            "/containerDefinitions/0/logConfiguration/options/awslogs-group",
            Value::Null,
            Fail,
            "LS0515",
            format!("{C}[web].logConfiguration.options[awslogs-group]"),
        ),
        (
            true,
            "/containerDefinitions/0/logConfiguration/options/awslogs-stream-prefix",
            Value::Null,
            Fail,
            "LS0515",
            format!("{C}[web].logConfiguration.options[awslogs-stream-prefix]"),
        ),
        (
            true,
            "/containerDefinitions/1/healthCheck/interval",
            json!(1),
            Fail,
            "LS0516",
            format!("{C}[cache].healthCheck.interval"),
        ),
        (
            true,
            "/containerDefinitions/1/healthCheck/command",
            json!(["curl"]),
            Warn,
            "LS0516",
            format!("{C}[cache].healthCheck.command"),
        ),
        (true, "/executionRoleArn", Value::Null, Fail, "LS0517", t("executionRoleArn")),
        (true, "/taskRoleArn", Value::Null, Warn, "LS0517", t("taskRoleArn")),
        (
            true,
            "/containerDefinitions/0/secrets/0/valueFrom",
            json!(""),
            Fail,
            "LS0517",
            format!("{C}[web].secrets[KEY].valueFrom"),
        ),
    ];
    let on_ec2: Vec<Case> = vec![
        (true, "/containerDefinitions/0/memory", Value::Null, Fail, "LS0506", format!("{C}[web]")),
        (
            true,
            "/containerDefinitions/0/memoryReservation",
            json!(512),
            Fail,
            "LS0506",
            format!("{C}[web].memoryReservation"),
        ),
        (true, "/containerDefinitions/1/links/0", json!("wbe"), Fail, "LS0505", format!("{C}[b].links")),
        (
            true,
            "/containerDefinitions/1/portMappings",
            json!([{"containerPort": 81, "hostPort": 8080}]),
            Fail,
            "LS0503",
            format!("{C}[b].portMappings[81/tcp]"),
        ),
        (
            true,
            "/containerDefinitions/0/secrets",
            json!([{"name": "A", "valueFrom": "x"}]),
            Fail,
            "LS0517",
            t("executionRoleArn"),
        ),
        (
            false,
            "/networkConfiguration",
            json!({"awsvpcConfiguration": {"subnets": ["a"]}}),
            Fail,
            "LS0508",
            s("networkConfiguration"),
        ),
        (false, "/schedulingStrategy", json!("DAEMON"), Fail, "LS0514", s("desiredCount")),
        (false, "/launchType", json!("FARGATE"), Fail, "LS0514", s("launchType")),
        (false, "/launchType", json!("EXTERNAL"), Fail, "LS0514", s("launchType")),
        (
            false,
            "/deploymentConfiguration",
            json!({"strategy": "LINEAR"}),
            Fail,
            "LS0511",
            s("deploymentConfiguration.strategy"),
        ),
    ];
    let mut seen = std::collections::BTreeSet::new();
    for (base, cases) in [(fargate(), on_fargate), (ec2(), on_ec2)] {
        for (in_definition, pointer, new, outcome, code, path) in cases {
            let (mut task_definition, mut service) = base.clone();
            set(if in_definition { &mut task_definition } else { &mut service }, pointer, new.clone());
            let found = found(&task_definition, &service);
            assert!(
                found.contains(&(outcome, code, path.clone())),
                "{pointer} = {new}: {code} {path} is not in {found:#?}"
            );
            seen.insert(code);
        }
    }
    let offline: Vec<&str> =
        codes::ALL.iter().map(|code| code.id).filter(|id| ("LS0501"..="LS0517").contains(id)).collect();
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), offline, "a check has no example");
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
