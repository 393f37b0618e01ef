//! Task sizes, and what Fargate does not take.

use super::{Findings, Subject, is_set, list, number, of_container, strings, task_definition, text};
use crate::compare::normalise::{Context, normalise};
use lockstep_manifests::{canonical::Root, codes};
use serde_json::{Value, json};

/// CPU units with the memory (MiB) that goes with them: from, to, step. AWS adds sizes, so what is not here is a
/// warning.
const SIZES: &[(i64, i64, i64, i64)] = &[
    (512, 1024, 4096, 1024),
    (1024, 2048, 8192, 1024),
    (2048, 4096, 16384, 1024),
    (4096, 8192, 30720, 1024),
    (8192, 16384, 61440, 4096),
    (16384, 32768, 122_880, 8192),
];

/// What is said where the API's reference does not say that Fargate refuses it.
const MAY_REFUSE: &str = "Fargate had no such thing in November 2026; ECS may refuse it";

pub(super) fn sizes(subject: &Subject<'_>, findings: &mut Findings) {
    let definition = subject.task_definition;
    let path = task_definition();
    if let Some(size) = definition.pointer("/ephemeralStorage/sizeInGiB").and_then(Value::as_i64)
        && !(21..=200).contains(&size)
    {
        let path = path.member("ephemeralStorage").member("sizeInGiB");
        let hint = if size == 20 { "; 20 is what a task has without it" } else { "" };
        findings.fail(codes::FARGATE_SIZE, path, format!("{size} GiB is not between 21 and 200{hint}"));
    }
    if !subject.fargate {
        return;
    }
    findings.about(codes::FARGATE_SIZE, path.clone(), "cpu and memory are a size that Fargate has");
    let is_open = |member: &str| definition.get(member).is_some() && text(definition, member).is_none();
    for member in ["cpu", "memory"] {
        if !is_set(definition, member) {
            let what = format!("Fargate needs `{member}` of the task as a whole");
            findings.fail(codes::FARGATE_SIZE, path.member(member), what);
        }
    }
    let normal = normalise(
        Root::TaskDefinition,
        &json!({"cpu": definition.get("cpu"), "memory": definition.get("memory")}),
        &Context::default(),
    );
    let size = |member: &str| text(&normal, member).and_then(|text| text.parse::<i64>().ok());
    let (Some(cpu), Some(memory)) = (size("cpu"), size("memory")) else {
        if is_set(definition, "cpu") && is_set(definition, "memory") && !is_open("cpu") && !is_open("memory") {
            let path = path.member(if size("cpu").is_none() { "cpu" } else { "memory" });
            findings.fail(codes::FARGATE_SIZE, path, "cpu and memory are not numbers (512, `.5 vCPU`, `1 GB`)");
        }
        return;
    };
    let is_known = (cpu == 256 && matches!(memory, 512 | 1024 | 2048))
        || SIZES.iter().any(|(units, from, to, step)| {
            *units == cpu && (*from..=*to).contains(&memory) && (memory - from) % step == 0
        });
    if !is_known {
        let fits = SIZES
            .iter()
            .find(|(units, ..)| *units == cpu)
            .map(|(_, from, to, step)| format!("; {cpu} CPU units go with {from} to {to} MiB in steps of {step}"));
        let fits = if cpu == 256 { Some("; 256 CPU units go with 512, 1024 or 2048 MiB".to_owned()) } else { fits };
        let text = format!(
            "{cpu} CPU units with {memory} MiB is no size of Fargate's that is known{}",
            fits.unwrap_or_default()
        );
        findings.warn(codes::FARGATE_SIZE, path.member("memory"), text);
    } else if subject.windows && cpu < 1024 {
        findings.fail(codes::FARGATE_SIZE, path.member("cpu"), "Windows on Fargate needs at least 1024 CPU units");
    }
}

pub(super) fn features(subject: &Subject<'_>, findings: &mut Findings) {
    if !subject.fargate {
        return;
    }
    let code = codes::FARGATE_FEATURE;
    let (definition, path) = (subject.task_definition, task_definition());
    findings.about(code, path.clone(), "nothing that Fargate refuses");
    match definition.get("networkMode") {
        None => findings.fail(code, path.member("networkMode"), "Fargate needs networkMode awsvpc"),
        Some(_) => {
            if let Some(mode) = subject.network_mode.filter(|mode| *mode != "awsvpc") {
                findings.fail(code, path.member("networkMode"), format!("Fargate takes awsvpc only, not {mode}"));
            }
        }
    }
    for member in ["ipcMode", "placementConstraints"] {
        if is_set(definition, member) {
            findings.fail(code, path.member(member), "Fargate has no such thing");
        }
    }
    if is_set(definition, "inferenceAccelerators") {
        findings.warn(code, path.member("inferenceAccelerators"), MAY_REFUSE);
    }
    if let Some(mode) = text(definition, "pidMode").filter(|mode| *mode != "task") {
        findings.fail(code, path.member("pidMode"), format!("Fargate takes pidMode task only, not {mode}"));
    }
    for volume in list(definition, "volumes") {
        let name = volume.get("name").and_then(Value::as_str).unwrap_or_default();
        let path = path.member("volumes").element(name);
        if is_set(volume, "dockerVolumeConfiguration") {
            findings.fail(code, path.member("dockerVolumeConfiguration"), "Fargate has no Docker volumes");
        }
        if volume.pointer("/host/sourcePath").is_some() {
            findings.fail(code, path.member("host").member("sourcePath"), "Fargate has no host to take a path from");
        }
    }
    for (name, container) in subject.containers() {
        container_features(name, container, findings);
    }
}

fn container_features(name: &str, container: &Value, findings: &mut Findings) {
    let code = codes::FARGATE_FEATURE;
    let path = of_container(name);
    // Links, extraHosts and hostname do not go with awsvpc, wherever it runs.
    for member in ["privileged", "dockerSecurityOptions"] {
        if is_set(container, member) {
            findings.fail(code, path.member(member), "Fargate has no such thing");
        }
    }
    for member in ["dnsServers", "dnsSearchDomains", "disableNetworking"] {
        if is_set(container, member) {
            findings.warn(code, path.member(member), MAY_REFUSE);
        }
    }
    if strings_of(container, "resourceRequirements", "type").contains(&"GPU") {
        findings.warn(code, path.member("resourceRequirements"), MAY_REFUSE);
    }
    let parameters = container.get("linuxParameters").unwrap_or(&Value::Null);
    // Fargate takes `tmpfs` since January 2026, on Linux.
    for member in ["devices", "maxSwap", "swappiness", "sharedMemorySize"] {
        if is_set(parameters, member) && number(parameters, member) != Some(0) {
            findings.fail(code, path.member("linuxParameters").member(member), "Fargate has no such thing");
        }
    }
    let added = parameters.get("capabilities").map(|block| strings(block, "add")).unwrap_or_default();
    if let Some(other) = added.iter().find(|capability| **capability != "SYS_PTRACE") {
        let path = path.member("linuxParameters").member("capabilities").member("add");
        findings.fail(code, path, format!("Fargate adds SYS_PTRACE only, not {other}"));
    }
    let driver = container.pointer("/logConfiguration/logDriver").and_then(Value::as_str);
    if let Some(driver) = driver.filter(|driver| !matches!(*driver, "awslogs" | "splunk" | "awsfirelens")) {
        let path = path.member("logConfiguration").member("logDriver");
        findings.fail(code, path, format!("Fargate logs by awslogs, splunk and awsfirelens, not {driver}"));
    }
}

fn strings_of<'a>(value: &'a Value, member: &str, of: &str) -> Vec<&'a str> {
    list(value, member).iter().filter_map(|item| item.get(of)?.as_str()).collect()
}
