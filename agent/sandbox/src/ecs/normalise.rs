//! What ECS makes of a task definition before it stores it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::ecs::put;
use crate::error::ApiError;
use crate::ids::Ids;
use crate::model::{AwsLogs, Container, HealthCheck, Object};
use crate::request::Request;

/// Members that are stored as they come, in the order of the answer.
const KEPT: [&str; 13] = [
    "taskRoleArn",
    "executionRoleArn",
    "networkMode",
    "requiresCompatibilities",
    "pidMode",
    "ipcMode",
    "proxyConfiguration",
    "inferenceAccelerators",
    "ephemeralStorage",
    "runtimePlatform",
    "enableFaultInjection",
    "trustedExecutionConfiguration",
    "runtimeConfiguration",
];

/// Checks a registration and fills what ECS fills.
pub(crate) fn task_definition(request: Request<'_>) -> Result<Object, ApiError> {
    let family = request.text("family").unwrap_or_default();
    if family.is_empty()
        || family.len() > 255
        || !family.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    {
        return Err(ApiError::client("Family contains invalid characters."));
    }
    let fargate = request.texts("requiresCompatibilities").contains(&"FARGATE");
    let network = request.text("networkMode");
    if fargate && network != Some("awsvpc") {
        return Err(ApiError::client("Fargate only supports network mode 'awsvpc'."));
    }
    let cpu = request.text("cpu").map(cpu_units).transpose()?;
    let memory = request.text("memory").map(memory_mib).transpose()?;
    if fargate && (cpu.is_none() || memory.is_none()) {
        return Err(ApiError::client("Fargate requires that 'cpu' and 'memory' be defined at the task level."));
    }
    if let (true, Some(cpu), Some(memory)) = (fargate, &cpu, &memory)
        && !is_fargate_size(cpu, memory)
    {
        return Err(ApiError::client(format!(
            "No Fargate configuration exists for given values: {cpu} CPU, {memory} memory. See the Amazon ECS documentation for the valid values."
        )));
    }
    let containers = request.list("containerDefinitions").map(Vec::as_slice).unwrap_or_default();
    if containers.is_empty() {
        return Err(ApiError::client("Container list cannot be empty."));
    }
    let mut names: Vec<&str> = containers.iter().filter_map(|container| container["name"].as_str()).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(ApiError::client(format!("Container names must be unique: {}.", pair[0])));
    }
    let mut wire = Object::new();
    put(&mut wire, "family", family);
    let mut filled = Vec::new();
    for container in containers {
        let container = container.as_object().cloned().unwrap_or_default();
        check_container(&container, memory.is_some())?;
        filled.push(Value::Object(fill_container(container, network)));
    }
    if filled.iter().all(|container| container["essential"] == json!(false)) {
        return Err(ApiError::client("At least one container must be essential."));
    }
    put(&mut wire, "containerDefinitions", filled);
    let volumes = request.list("volumes").cloned().unwrap_or_default().into_iter().map(fill_volume).collect::<Vec<_>>();
    put(&mut wire, "volumes", volumes);
    put(&mut wire, "placementConstraints", request.get("placementConstraints").cloned().unwrap_or_else(|| json!([])));
    for member in KEPT {
        if let Some(value) = request.get(member) {
            put(&mut wire, member, value.clone());
        }
    }
    if let Some(cpu) = cpu {
        put(&mut wire, "cpu", cpu);
    }
    if let Some(memory) = memory {
        put(&mut wire, "memory", memory);
    }
    Ok(wire)
}

/// Fargate's sizes, as the reference of RegisterTaskDefinition lists them (service model of November 2026).
fn is_fargate_size(cpu: &str, memory: &str) -> bool {
    let (Ok(cpu), Ok(memory)) = (cpu.parse::<u64>(), memory.parse::<u64>()) else {
        return false;
    };
    let (least, most, step) = match cpu {
        256 => return matches!(memory, 512 | 1024 | 2048),
        512 => (1024, 4096, 1024),
        1024 => (2048, 8192, 1024),
        2048 => (4096, 16_384, 1024),
        4096 => (8192, 30_720, 1024),
        8192 => (16_384, 61_440, 4096),
        16_384 => (32_768, 122_880, 8192),
        _ => return false,
    };
    (least..=most).contains(&memory) && (memory - least) % step == 0
}

fn check_container(container: &Object, task_memory: bool) -> Result<(), ApiError> {
    let text = |name: &str| container.get(name).and_then(Value::as_str).unwrap_or_default();
    if text("name").is_empty() {
        return Err(ApiError::client("Container.name should not be null or empty."));
    }
    if text("image").is_empty() {
        return Err(ApiError::client("Container.image should not be null or empty."));
    }
    let sized = container.contains_key("memory") || container.contains_key("memoryReservation");
    if !sized && !task_memory {
        let name = text("name");
        return Err(ApiError::client(format!(
            "Invalid setting for container '{name}'. At least one of 'memory' or 'memoryReservation' must be specified."
        )));
    }
    Ok(())
}

fn fill_container(mut container: Object, network: Option<&str>) -> Object {
    let mut default = |name: &str, value: Value| {
        container.entry(name.to_owned()).or_insert(value);
    };
    default("cpu", json!(0));
    default("essential", json!(true));
    for list in ["environment", "mountPoints", "volumesFrom", "portMappings", "systemControls"] {
        default(list, json!([]));
    }
    for mapping in container
        .get_mut("portMappings")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
    {
        mapping.entry("protocol").or_insert(json!("tcp"));
        let port = mapping.get("containerPort").cloned();
        match (network, port) {
            (Some("awsvpc" | "host"), Some(port)) => {
                mapping.insert("hostPort".to_owned(), port);
            }
            (_, Some(_)) => {
                mapping.entry("hostPort").or_insert(json!(0));
            }
            _ => {}
        }
    }
    for mount in container
        .get_mut("mountPoints")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
    {
        mount.entry("readOnly").or_insert(json!(false));
    }
    if let Some(check) = container.get_mut("healthCheck").and_then(Value::as_object_mut) {
        for (member, value) in [("interval", 30), ("timeout", 5), ("retries", 3)] {
            check.entry(member).or_insert(json!(value));
        }
    }
    if let Some(log) = container.get_mut("logConfiguration").and_then(Value::as_object_mut) {
        log.entry("options").or_insert(json!({}));
        log.entry("secretOptions").or_insert(json!([]));
    }
    container
}

fn fill_volume(mut volume: Value) -> Value {
    let fields = volume.as_object_mut();
    if let Some(fields) = fields
        && !fields.keys().any(|key| key.ends_with("Configuration") || key == "configuredAtLaunch")
    {
        fields.entry("host").or_insert(json!({}));
    }
    if let Some(efs) = volume.get_mut("efsVolumeConfiguration").and_then(Value::as_object_mut) {
        efs.entry("rootDirectory").or_insert(json!("/"));
    }
    volume
}

/// `1 vCPU` becomes `1024`.
fn cpu_units(text: &str) -> Result<String, ApiError> {
    let lower = text.trim().to_ascii_lowercase();
    let units = match lower.strip_suffix("vcpu") {
        Some(number) => number.trim().parse::<f64>().ok().map(|number| (number * 1024.0).round() as u64),
        None => lower.parse::<u64>().ok(),
    };
    units
        .map(|units| units.to_string())
        .ok_or_else(|| ApiError::client(format!("Invalid 'cpu' setting for task: {text}.")))
}

/// `2 GB` becomes `2048`.
fn memory_mib(text: &str) -> Result<String, ApiError> {
    let lower = text.trim().to_ascii_lowercase();
    let mib = match lower.strip_suffix("gb") {
        Some(number) => number.trim().parse::<f64>().ok().map(|number| (number * 1024.0).round() as u64),
        None => lower.parse::<u64>().ok(),
    };
    mib.map(|mib| mib.to_string())
        .ok_or_else(|| ApiError::client(format!("Invalid 'memory' setting for task: {text}.")))
}

/// Reorders what the service does not keep in order.
pub(crate) fn shuffle(wire: &mut Object, ids: &mut Ids) {
    let Some(containers) = wire.get_mut("containerDefinitions").and_then(Value::as_array_mut) else {
        return;
    };
    ids.shuffle(containers);
    for container in containers {
        for list in ["environment", "secrets", "portMappings", "volumesFrom", "links"] {
            if let Some(items) = container.get_mut(list).and_then(Value::as_array_mut) {
                ids.shuffle(items);
            }
        }
    }
    if let Some(items) = wire.get_mut("requiresCompatibilities").and_then(Value::as_array_mut) {
        ids.shuffle(items);
    }
}

/// What the simulation needs to know of the containers.
pub(crate) fn containers(wire: &Object) -> Vec<Container> {
    let containers = wire.get("containerDefinitions").and_then(Value::as_array);
    containers
        .into_iter()
        .flatten()
        .map(|container| {
            let text = |name: &str| container[name].as_str().unwrap_or_default().to_owned();
            let seconds = |value: &Value, default: u64| Duration::from_secs(value.as_u64().unwrap_or(default));
            let check = container.get("healthCheck").map(|check| HealthCheck {
                interval: seconds(&check["interval"], 30),
                retries: check["retries"].as_u64().unwrap_or(3) as u32,
                start_period: seconds(&check["startPeriod"], 0),
            });
            let secrets = container["secrets"].as_array().into_iter().flatten();
            Container {
                name: text("name"),
                image: text("image"),
                essential: container["essential"].as_bool().unwrap_or(true),
                consistent: container["versionConsistency"] != json!("disabled"),
                secrets: secrets.filter_map(|secret| secret["valueFrom"].as_str()).map(str::to_owned).collect(),
                check,
                log: aws_logs(&container["logConfiguration"]),
            }
        })
        .collect()
}

fn aws_logs(configuration: &Value) -> Option<AwsLogs> {
    let option = |name: &str| configuration["options"][name].as_str().map(str::to_owned);
    (configuration["logDriver"] == "awslogs").then_some(())?;
    Some(AwsLogs {
        region: option("awslogs-region"),
        group: option("awslogs-group")?,
        prefix: option("awslogs-stream-prefix"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_become_plain_numbers() {
        for (text, units) in [("1 vCPU", "1024"), (".25 vcpu", "256"), ("512", "512")] {
            assert_eq!(cpu_units(text).unwrap(), units);
        }
        for (text, mib) in [("2 GB", "2048"), (".5gb", "512"), ("1024", "1024")] {
            assert_eq!(memory_mib(text).unwrap(), mib);
        }
        assert!(cpu_units("much").is_err());
    }
}
