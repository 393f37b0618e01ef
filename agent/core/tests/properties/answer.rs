//! What ECS makes of a definition, written after the recorded answers in the order of the reference and apart from the
//! tables that are tested: defaults are filled, sets come in another order, empty lists are added and dropped.

use lockstep_manifests::{
    canonical::Root,
    ecs::{Kind, Structure},
    lists::{ListKind, list_kind},
};
use serde_json::{Map, Value, json};

/// A small source of choices; the seed is part of the test's input and so printed with a failure.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit.max(1)
    }

    fn yes(&mut self) -> bool {
        self.below(2) == 0
    }

    fn mix(&mut self, items: &mut [Value]) {
        for at in (1..items.len()).rev() {
            let other = self.below(at + 1);
            items.swap(at, other);
        }
    }
}

/// Another order wherever order has no meaning.
pub(crate) fn shuffle(root: Root, value: &Value, chance: &mut Chance) -> Value {
    shuffle_in(value, root.shape(), chance)
}

fn shuffle_in(value: &Value, shape: &'static Structure, chance: &mut Chance) -> Value {
    let mut result = value.clone();
    for member in shape.members {
        let Some(inner) = result.get_mut(member.name) else { continue };
        match &member.kind {
            Kind::Structure(shape) => *inner = shuffle_in(inner, shape, chance),
            Kind::List(element) => {
                let items = inner.as_array_mut().unwrap();
                if let Kind::Structure(shape) = element {
                    for item in items.iter_mut() {
                        *item = shuffle_in(item, shape, chance);
                    }
                }
                if list_kind(shape.name, member.name) != ListKind::Ordered {
                    chance.mix(items);
                }
            }
            _ => {}
        }
    }
    result
}

/// What ECS answers.
pub(crate) fn answer(root: Root, value: &Value, chance: &mut Chance) -> Value {
    let mut live = drop_empty(value, root.shape(), chance);
    match root {
        Root::TaskDefinition => task_definition(live.as_object_mut().unwrap(), chance),
        Root::Service => service(live.as_object_mut().unwrap(), chance),
    }
    shuffle(root, &live, chance)
}

/// Members that say nothing may come back or not.
fn drop_empty(value: &Value, shape: &'static Structure, chance: &mut Chance) -> Value {
    let mut result = Map::new();
    for (name, inner) in value.as_object().unwrap() {
        let member = shape.member(name).unwrap();
        let kept = match (&member.kind, inner) {
            (Kind::List(_), Value::Array(items)) if items.is_empty() && chance.yes() => continue,
            (Kind::Map(_), Value::Object(map)) if map.is_empty() && chance.yes() => continue,
            (Kind::Structure(shape), inner) => drop_empty(inner, shape, chance),
            (Kind::List(Kind::Structure(shape)), Value::Array(items)) => {
                items.iter().map(|item| drop_empty(item, shape, chance)).collect()
            }
            (_, inner) => inner.clone(),
        };
        result.insert(name.clone(), kept);
    }
    Value::Object(result)
}

fn fill(map: &mut Map<String, Value>, name: &str, value: Value) {
    map.entry(name.to_owned()).or_insert(value);
}

fn each(map: &mut Map<String, Value>, list: &str, mut change: impl FnMut(&mut Map<String, Value>)) {
    for item in map.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
        change(item.as_object_mut().unwrap());
    }
}

fn inside(map: &mut Map<String, Value>, block: &str, change: impl FnOnce(&mut Map<String, Value>)) {
    if let Some(inner) = map.get_mut(block).and_then(Value::as_object_mut) {
        change(inner);
    }
}

fn role(map: &mut Map<String, Value>, name: &str) {
    if let Some(Value::String(text)) = map.get_mut(name)
        && !text.starts_with("arn:")
    {
        *text = format!("arn:aws:iam::111111111111:role/{text}");
    }
}

fn is_fargate(map: &Map<String, Value>) -> bool {
    let has = |list: &str, names: &[&str], key: Option<&str>| {
        map.get(list).and_then(Value::as_array).into_iter().flatten().any(|item| {
            let text = key.map_or(item.as_str(), |key| item[key].as_str());
            text.is_some_and(|text| names.contains(&text))
        })
    };
    has("requiresCompatibilities", &["FARGATE"], None)
        || map.get("launchType").is_some_and(|launch| launch == "FARGATE")
        || has("capacityProviderStrategy", &["FARGATE", "FARGATE_SPOT"], Some("capacityProvider"))
}

fn task_definition(map: &mut Map<String, Value>, chance: &mut Chance) {
    for list in ["volumes", "placementConstraints", "requiresCompatibilities"] {
        if chance.yes() {
            fill(map, list, json!([]));
        }
    }
    role(map, "taskRoleArn");
    role(map, "executionRoleArn");
    for (name, unit) in [("cpu", "vcpu"), ("memory", "gb")] {
        if let Some(Value::String(text)) = map.get_mut(name)
            && let Some(amount) = text.to_lowercase().strip_suffix(unit)
        {
            *text = ((amount.trim().parse::<f64>().unwrap() * 1024.0) as i64).to_string();
        }
    }
    let network = map.get("networkMode").and_then(Value::as_str).map(str::to_owned);
    let fargate = is_fargate(map);
    if fargate && chance.yes() {
        let platform = map.entry("runtimePlatform").or_insert(json!({})).as_object_mut().unwrap();
        fill(platform, "cpuArchitecture", json!("X86_64"));
        fill(platform, "operatingSystemFamily", json!("LINUX"));
    }
    each(map, "volumes", |volume| {
        if volume.len() == 1 {
            fill(volume, "host", json!({}));
        }
        inside(volume, "efsVolumeConfiguration", |efs| fill(efs, "rootDirectory", json!("/")));
        inside(volume, "dockerVolumeConfiguration", |docker| {
            fill(docker, "scope", json!("task"));
            fill(docker, "driver", json!("local"));
        });
    });
    each(map, "containerDefinitions", |container| {
        fill(container, "cpu", json!(0));
        fill(container, "essential", json!(true));
        for list in ["environment", "mountPoints", "volumesFrom", "portMappings", "systemControls"] {
            fill(container, list, json!([]));
        }
        if chance.yes() {
            fill(container, "dockerLabels", json!({}));
            fill(container, "versionConsistency", json!("enabled"));
        }
        each(container, "portMappings", |port| {
            fill(port, "protocol", json!("tcp"));
            if let Some(number) = port.get("containerPort").cloned() {
                match network.as_deref() {
                    Some("awsvpc" | "host") => fill(port, "hostPort", number),
                    Some("bridge") => fill(port, "hostPort", json!(0)),
                    _ => {}
                }
            }
        });
        each(container, "mountPoints", |mount| fill(mount, "readOnly", json!(false)));
        inside(container, "linuxParameters", |parameters| {
            inside(parameters, "capabilities", |capabilities| {
                fill(capabilities, "add", json!([]));
                fill(capabilities, "drop", json!([]));
            });
            fill(parameters, "devices", json!([]));
            fill(parameters, "tmpfs", json!([]));
        });
        inside(container, "logConfiguration", |log| {
            fill(log, "options", json!({}));
            fill(log, "secretOptions", json!([]));
        });
        inside(container, "healthCheck", |check| {
            for (name, value) in [("interval", 30), ("timeout", 5), ("retries", 3)] {
                fill(check, name, json!(value));
            }
        });
    });
    inside(map, "proxyConfiguration", |proxy| {
        fill(proxy, "type", json!("APPMESH"));
        // What has no value may be left out.
        let properties = proxy.get_mut("properties").and_then(Value::as_array_mut);
        if let Some(properties) = properties.filter(|_| chance.yes()) {
            properties.retain(|property| property.get("value").is_some_and(|value| value != ""));
        }
    });
}

fn service(map: &mut Map<String, Value>, chance: &mut Chance) {
    let daemon = map.get("schedulingStrategy").is_some_and(|strategy| strategy == "DAEMON");
    let fargate = is_fargate(map);
    if map.get("capacityProviderStrategy").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        map.shift_remove("capacityProviderStrategy");
        if !map.contains_key("launchType") {
            // The cluster's default strategy, or plain EC2.
            if chance.yes() {
                fill(map, "launchType", json!("EC2"));
            } else {
                fill(
                    map,
                    "capacityProviderStrategy",
                    json!([{"capacityProvider": "cluster-default", "weight": 1, "base": 0}]),
                );
            }
        }
    }
    each(map, "capacityProviderStrategy", |item| {
        fill(item, "weight", json!(0));
        fill(item, "base", json!(0));
    });
    if fargate {
        fill(map, "platformVersion", json!("LATEST"));
    }
    fill(map, "role", json!("arn:aws:iam::111111111111:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS"));
    role(map, "role");
    fill(map, "availabilityZoneRebalancing", json!(if daemon { "DISABLED" } else { "ENABLED" }));
    fill(map, "desiredCount", json!(1));
    fill(map, "schedulingStrategy", json!("REPLICA"));
    fill(map, "deploymentController", json!({"type": "ECS"}));
    fill(map, "propagateTags", json!("NONE"));
    fill(map, "healthCheckGracePeriodSeconds", json!(0));
    for flag in ["enableECSManagedTags", "enableExecuteCommand"] {
        fill(map, flag, json!(false));
    }
    for list in ["loadBalancers", "serviceRegistries", "placementConstraints", "placementStrategy"] {
        fill(map, list, json!([]));
    }
    inside(map, "networkConfiguration", |network| {
        inside(network, "awsvpcConfiguration", |network| {
            fill(network, "securityGroups", json!(if chance.yes() { vec!["sg-default"] } else { vec![] }));
            fill(network, "assignPublicIp", json!("DISABLED"));
        });
    });
    let configuration = map.entry("deploymentConfiguration").or_insert(json!({})).as_object_mut().unwrap();
    deployment_configuration(configuration, daemon, chance);
    for list in ["loadBalancers", "vpcLatticeConfigurations"] {
        each(map, list, |item| {
            let target = item.get("targetGroupArn").cloned();
            if let (Some(target), Some(Value::Object(block))) = (target, item.get_mut("advancedConfiguration"))
                && let Some(other) = block.get("alternateTargetGroupArn").cloned()
                && chance.yes()
            {
                // The last deployment made them change places.
                block.insert("alternateTargetGroupArn".into(), target);
                item.insert("targetGroupArn".into(), other);
            }
        });
    }
    inside(map, "serviceConnectConfiguration", |connect| {
        if connect.get("enabled") == Some(&json!(true)) {
            fill(connect, "namespace", json!("cluster-default"));
        }
        inside(connect, "logConfiguration", |log| fill(log, "secretOptions", json!([])));
        inside(connect, "accessLogConfiguration", |log| fill(log, "includeQueryParameters", json!("DISABLED")));
    });
    each(map, "volumeConfigurations", |volume| {
        inside(volume, "managedEBSVolume", |volume| fill(volume, "filesystemType", json!("xfs")));
    });
}

fn deployment_configuration(map: &mut Map<String, Value>, daemon: bool, chance: &mut Chance) {
    fill(map, "maximumPercent", json!(if daemon { 100 } else { 200 }));
    fill(map, "minimumHealthyPercent", json!(if daemon { 0 } else { 100 }));
    fill(map, "strategy", json!("ROLLING"));
    fill(map, "bakeTimeInMinutes", json!(0));
    let breaker = map.entry("deploymentCircuitBreaker").or_insert(json!({})).as_object_mut().unwrap();
    fill(breaker, "enable", json!(false));
    fill(breaker, "rollback", json!(false));
    // Older answers lack the newest members.
    if chance.yes() {
        fill(breaker, "resetOnHealthyTask", json!(true));
        let threshold = breaker.entry("thresholdConfiguration").or_insert(json!({})).as_object_mut().unwrap();
        fill(threshold, "type", json!("BOUNDED_PERCENT"));
        fill(threshold, "value", json!(50));
    }
    if map.contains_key("alarms") || chance.yes() {
        let alarms = map.entry("alarms").or_insert(json!({})).as_object_mut().unwrap();
        fill(alarms, "alarmNames", json!([]));
        fill(alarms, "enable", json!(false));
        fill(alarms, "rollback", json!(false));
    }
    each(map, "lifecycleHooks", |hook| {
        fill(hook, "targetType", json!("AWS_LAMBDA"));
        let timeout = hook.entry("timeoutConfiguration").or_insert(json!({})).as_object_mut().unwrap();
        fill(timeout, "timeoutInMinutes", json!(1440));
        fill(timeout, "action", json!("ROLLBACK"));
    });
    match map.get("strategy").and_then(Value::as_str) {
        Some("LINEAR") => {
            let block = map.entry("linearConfiguration").or_insert(json!({})).as_object_mut().unwrap();
            fill(block, "stepPercent", json!(10.0));
            fill(block, "stepBakeTimeInMinutes", json!(6));
        }
        Some("CANARY") => {
            let block = map.entry("canaryConfiguration").or_insert(json!({})).as_object_mut().unwrap();
            fill(block, "canaryPercent", json!(5.0));
            fill(block, "canaryBakeTimeInMinutes", json!(10));
        }
        // The blocks of another strategy may still be there from before.
        _ if chance.yes() => {
            fill(map, "canaryConfiguration", json!({"canaryPercent": 20.0, "canaryBakeTimeInMinutes": 3}))
        }
        _ => {}
    }
    if chance.yes() {
        let early = map.entry("earlySuccessCriteria").or_insert(json!({})).as_object_mut().unwrap();
        fill(early, "enable", json!(false));
        fill(early, "healthyPercent", json!(100));
        fill(early, "sourceServiceRevisionCleanup", json!("BLOCKING"));
    }
}
