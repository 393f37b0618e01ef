//! The members of a service, and the defaults that ECS fills in.

use serde_json::{Value, json};

use crate::ecs::check::check_configuration;
use crate::ecs::put;
use crate::error::ApiError;
use crate::model::{Object, Platform};
use crate::request::Request;

/// Members that a service revision holds and whose change starts a deployment.
pub(crate) const REVISED: [&str; 9] = [
    "networkConfiguration",
    "platformVersion",
    "loadBalancers",
    "serviceRegistries",
    "serviceConnectConfiguration",
    "volumeConfigurations",
    "vpcLatticeConfigurations",
    "gatewayConnectors",
    "monitoring",
];

/// Members that change in place.
pub(crate) const IN_PLACE: [&str; 7] = [
    "availabilityZoneRebalancing",
    "placementConstraints",
    "placementStrategy",
    "healthCheckGracePeriodSeconds",
    "enableExecuteCommand",
    "enableECSManagedTags",
    "propagateTags",
];

/// A revised member in the form that ECS stores.
pub(crate) fn fill(member: &str, mut value: Value, namespace: Option<&Value>) -> Value {
    match member {
        "networkConfiguration" => {
            if let Some(network) = value.get_mut("awsvpcConfiguration").and_then(Value::as_object_mut) {
                network.entry("securityGroups").or_insert(json!([]));
                network.entry("assignPublicIp").or_insert(json!("DISABLED"));
            }
        }
        "serviceConnectConfiguration" if value["enabled"] == json!(true) => {
            if let (None, Some(namespace)) = (value.get("namespace"), namespace) {
                value["namespace"] = namespace.clone();
            }
            if let Some(log) = value.get_mut("logConfiguration").and_then(Value::as_object_mut) {
                log.entry("secretOptions").or_insert(json!([]));
            }
        }
        "volumeConfigurations" => {
            for volume in value.as_array_mut().into_iter().flatten() {
                if let Some(volume) = volume.get_mut("managedEBSVolume").and_then(Value::as_object_mut) {
                    volume.entry("filesystemType").or_insert(json!("xfs"));
                }
            }
        }
        _ => {}
    }
    value
}

/// Whether two values of a revised member mean the same: the order of plain texts does not matter.
pub(crate) fn same(a: &Value, b: &Value) -> bool {
    canonical(a) == canonical(b)
}

fn canonical(value: &Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(canonical).collect();
            if items.iter().all(Value::is_string) {
                items.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
            }
            Value::Array(items)
        }
        Value::Object(fields) => {
            let mut fields: Vec<(String, Value)> =
                fields.iter().map(|(name, field)| (name.clone(), canonical(field))).collect();
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(fields.into_iter().collect())
        }
        other => other.clone(),
    }
}

/// A capacity provider strategy with its zeros.
pub(crate) fn strategy(value: &Value) -> Value {
    let entries = value.as_array().into_iter().flatten();
    entries
        .map(|entry| {
            json!({
                "capacityProvider": entry["capacityProvider"],
                "weight": entry["weight"].as_u64().unwrap_or(0),
                "base": entry["base"].as_u64().unwrap_or(0),
            })
        })
        .collect()
}

/// `deploymentConfiguration` after a request: members that it names are replaced as a whole.
pub(crate) fn deployment_configuration(
    old: Option<&Value>,
    request: Option<&Value>,
    daemon: bool,
) -> Result<Value, ApiError> {
    let mut merged = old.and_then(Value::as_object).cloned().unwrap_or_default();
    for (member, value) in request.and_then(Value::as_object).into_iter().flatten() {
        merged.insert(member.clone(), nested(member, value));
    }
    let defaults = [
        ("deploymentCircuitBreaker", nested("deploymentCircuitBreaker", &json!({}))),
        ("maximumPercent", json!(if daemon { 100 } else { 200 })),
        ("minimumHealthyPercent", json!(if daemon { 0 } else { 100 })),
        ("strategy", json!("ROLLING")),
        ("bakeTimeInMinutes", json!(0)),
    ];
    for (member, value) in defaults {
        merged.entry(member).or_insert(value);
    }
    // Blocks of the strategy before go with it; else there would be no way from one to another.
    for (member, needed) in [("linearConfiguration", "LINEAR"), ("canaryConfiguration", "CANARY")] {
        let given = request.is_some_and(|request| request.get(member).is_some());
        if !given && merged.get("strategy").and_then(Value::as_str) != Some(needed) {
            merged.shift_remove(member);
        }
    }
    let of_strategy = match merged.get("strategy").and_then(Value::as_str) {
        Some("LINEAR") => Some("linearConfiguration"),
        Some("CANARY") => Some("canaryConfiguration"),
        _ => None,
    };
    if let Some(member) = of_strategy {
        merged.entry(member).or_insert_with(|| nested(member, &json!({})));
    }
    check_configuration(&merged)?;
    Ok(Value::Object(merged))
}

fn nested(member: &str, value: &Value) -> Value {
    let over = |defaults: Value| {
        let mut filled = defaults;
        for (name, field) in value.as_object().into_iter().flatten() {
            filled[name] = field.clone();
        }
        filled
    };
    match member {
        "deploymentCircuitBreaker" => over(json!({
            "enable": false, "rollback": false, "resetOnHealthyTask": true,
            "thresholdConfiguration": { "type": "BOUNDED_PERCENT", "value": 50 },
        })),
        "alarms" => over(json!({ "alarmNames": [], "enable": false, "rollback": false })),
        "linearConfiguration" => over(json!({ "stepPercent": 10.0, "stepBakeTimeInMinutes": 6 })),
        "canaryConfiguration" => over(json!({ "canaryPercent": 5.0, "canaryBakeTimeInMinutes": 10 })),
        "earlySuccessCriteria" => {
            over(json!({ "enable": false, "healthyPercent": 100, "sourceServiceRevisionCleanup": "BLOCKING" }))
        }
        "lifecycleHooks" => value
            .as_array()
            .into_iter()
            .flatten()
            .map(|hook| {
                let mut hook = hook.clone();
                if hook.get("targetType").is_none() {
                    hook["targetType"] = json!("AWS_LAMBDA");
                }
                if hook.get("timeoutConfiguration").is_none() {
                    hook["timeoutConfiguration"] = json!({});
                }
                let timeout = &mut hook["timeoutConfiguration"];
                for (name, value) in [("timeoutInMinutes", json!(1440)), ("action", json!("ROLLBACK"))] {
                    if timeout.get(name).is_none() {
                        timeout[name] = value;
                    }
                }
                hook
            })
            .collect(),
        _ => value.clone(),
    }
}

/// Where tasks run: `launchType` or a capacity provider strategy, and the platform version.
pub(crate) fn platform(template: &Object) -> Platform {
    let provider = template
        .get("capacityProviderStrategy")
        .and_then(Value::as_array)
        .and_then(|entries| entries.iter().max_by_key(|entry| (entry["base"].as_u64(), entry["weight"].as_u64())))
        .and_then(|entry| entry["capacityProvider"].as_str())
        .map(str::to_owned);
    let launch = template.get("launchType").and_then(Value::as_str).unwrap_or("EC2");
    let fargate = provider.as_deref().map_or(launch == "FARGATE", |provider| provider.starts_with("FARGATE"));
    let version = fargate.then(|| match template.get("platformVersion").and_then(Value::as_str) {
        None | Some("LATEST") => "1.4.0".to_owned(),
        Some(pinned) => pinned.to_owned(),
    });
    let launch_type = if fargate { "FARGATE" } else { launch };
    Platform { fargate, launch_type: launch_type.to_owned(), provider, version }
}

/// The service-linked role, for services that need it.
pub(crate) fn service_role(account: &str) -> String {
    format!("arn:aws:iam::{account}:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS")
}

/// The members of a new service that change in place, with their defaults.
pub(crate) fn settings(request: Request<'_>, daemon: bool) -> Result<Object, ApiError> {
    let mut settings = Object::new();
    let configuration = deployment_configuration(None, request.get("deploymentConfiguration"), daemon)?;
    put(&mut settings, "deploymentConfiguration", configuration);
    let defaults = [
        ("placementConstraints", json!([])),
        ("placementStrategy", json!([])),
        ("healthCheckGracePeriodSeconds", json!(0)),
        ("schedulingStrategy", json!("REPLICA")),
        ("deploymentController", json!({ "type": "ECS" })),
        ("enableECSManagedTags", json!(false)),
        ("propagateTags", json!("NONE")),
        ("enableExecuteCommand", json!(false)),
        ("availabilityZoneRebalancing", json!(if daemon { "DISABLED" } else { "ENABLED" })),
    ];
    for (member, default) in defaults {
        put(&mut settings, member, request.get(member).cloned().unwrap_or(default));
    }
    Ok(settings)
}
