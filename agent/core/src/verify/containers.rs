//! What containers need of each other and of their task.

use super::{Findings, Subject, is_on, is_set, list, number, of_container, task_definition, text};
use crate::{
    compare::normalise::{Context, normalise},
    images::EcrRegistry,
};
use lockstep_manifests::{canonical::Root, codes, repository::find_cycle};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Most containers of a task definition.
const MOST_CONTAINERS: usize = 10;
/// Longest stopTimeout on Fargate, in seconds.
const LONGEST_STOP: i64 = 120;

pub(super) fn definitions(subject: &Subject<'_>, findings: &mut Findings) {
    let code = codes::CONTAINERS;
    let path = task_definition().member("containerDefinitions");
    findings.about(code, path.clone(), "containers have an image and memory, and one of them is essential");
    let containers = list(subject.task_definition, "containerDefinitions");
    if containers.is_empty() {
        findings.fail(code, path, "a task definition needs a container");
        return;
    }
    if containers.len() > MOST_CONTAINERS {
        let text = format!(
            "{} containers are more than the {MOST_CONTAINERS} that a task definition may have",
            containers.len()
        );
        // A quota, which AWS may raise.
        findings.warn(code, path.clone(), text);
    }
    let is_essential = |container: &Value| container.get("essential") != Some(&Value::Bool(false));
    if !containers.iter().any(is_essential) {
        findings.fail(code, path, "at least one container must be essential");
    }
    let sizes = normalise(
        Root::TaskDefinition,
        &json!({"cpu": subject.task_definition.get("cpu"), "memory": subject.task_definition.get("memory")}),
        &Context::default(),
    );
    // Written as `1 vCPU` and `2 GB`, too.
    let task = |member: &str| text(&sizes, member).and_then(|text| text.parse::<i64>().ok());
    let has_task_memory = is_set(subject.task_definition, "memory");
    for (name, container) in subject.containers() {
        let path = of_container(name);
        if container.get("image").is_none_or(|image| image == "") {
            findings.fail(
                code,
                path.member("image"),
                "a container needs an image (a pin needs a repository to go with)",
            );
        }
        let (memory, reservation) = (number(container, "memory"), number(container, "memoryReservation"));
        if !has_task_memory && memory.is_none() && reservation.is_none() {
            findings.fail(
                code,
                path.clone(),
                "without `memory` of the task a container needs `memory` or `memoryReservation`",
            );
        }
        if let Some(timeout) =
            number(container, "stopTimeout").filter(|timeout| subject.fargate && *timeout > LONGEST_STOP)
        {
            let text = format!("{timeout} seconds are more than the {LONGEST_STOP} that Fargate takes");
            findings.fail(codes::FARGATE_FEATURE, path.member("stopTimeout"), text);
        }
        if let (Some(memory), Some(reservation)) = (memory, reservation)
            && reservation > memory
        {
            let text = format!("{reservation} MiB reserved is more than the limit of {memory} MiB");
            findings.fail(code, path.member("memoryReservation"), text);
        }
        if let (Some(memory), Some(task)) = (memory, task("memory"))
            && memory > task
        {
            findings.fail(code, path.member("memory"), format!("{memory} MiB is more than the task's {task} MiB"));
        }
    }
    let reserved: i64 = containers
        .iter()
        .filter_map(|container| number(container, "memoryReservation").or_else(|| number(container, "memory")))
        .sum();
    if let Some(task) = task("memory").filter(|task| reserved > *task) {
        let text = format!("the containers reserve {reserved} MiB, more than the task's {task}");
        findings.fail(code, task_definition().member("memory"), text);
    }
    let cpu: i64 = containers.iter().filter_map(|container| number(container, "cpu")).sum();
    if let Some(task) = task("cpu").filter(|task| cpu > *task) {
        let text = format!("the containers ask for {cpu} CPU units, more than the task's {task}");
        findings.fail(code, task_definition().member("cpu"), text);
    }
}

pub(super) fn dependencies(subject: &Subject<'_>, findings: &mut Findings) {
    let code = codes::DEPENDS_ON;
    let mut graph: BTreeMap<&str, Vec<(&str, ())>> = BTreeMap::new();
    for (name, container) in subject.containers() {
        for dependency in list(container, "dependsOn") {
            let Some(other) = text(dependency, "containerName") else { continue };
            findings.about(
                code,
                task_definition().member("containerDefinitions"),
                "dependencies between containers can be met",
            );
            let path = of_container(name).member("dependsOn").element(other);
            let Some(target) = subject.container(other) else {
                findings.fail(code, path, format!("there is no container `{other}`"));
                continue;
            };
            graph.entry(name).or_default().push((other, ()));
            let is_essential = target.get("essential") != Some(&Value::Bool(false));
            match text(dependency, "condition") {
                Some("HEALTHY") if !is_set(target, "healthCheck") => {
                    findings.fail(code, path, format!("`{other}` has no health check, so it never becomes HEALTHY"));
                }
                Some(condition @ ("COMPLETE" | "SUCCESS")) if is_essential => {
                    let text = format!(
                        "`{other}` is essential: the task ends when it ends, so {condition} cannot be waited for"
                    );
                    findings.fail(code, path, text);
                }
                _ => {}
            }
        }
    }
    if let Some((cycle, ())) = find_cycle(&graph) {
        let path = of_container(cycle[0]).member("dependsOn");
        findings.fail(code, path, format!("the dependencies lead back to where they began: {}", cycle.join(" → ")));
    }
}

pub(super) fn references(subject: &Subject<'_>, findings: &mut Findings) {
    let code = codes::INSIDE_REFERENCE;
    findings.about(code, task_definition(), "what containers name of their task is there");
    let volumes: Vec<&str> =
        list(subject.task_definition, "volumes").iter().filter_map(|volume| volume.get("name")?.as_str()).collect();
    for (name, container) in subject.containers() {
        let path = of_container(name);
        for mount in list(container, "mountPoints") {
            let at = mount.get("containerPath").and_then(Value::as_str).unwrap_or_default();
            if let Some(source) = text(mount, "sourceVolume").filter(|source| !volumes.contains(source)) {
                let path = path.member("mountPoints").element(at).member("sourceVolume");
                findings.fail(code, path, format!("the task definition has no volume `{source}`"));
            }
        }
        for from in list(container, "volumesFrom") {
            if let Some(other) = text(from, "sourceContainer").filter(|other| subject.container(other).is_none()) {
                findings.fail(
                    code,
                    path.member("volumesFrom").element(other),
                    format!("there is no container `{other}`"),
                );
            }
        }
        for link in list(container, "links").iter().filter_map(Value::as_str) {
            let other = link.split(':').next().unwrap_or(link);
            if subject.container(other).is_none() {
                findings.fail(code, path.member("links"), format!("there is no container `{other}`"));
            }
        }
        let uses_router =
            container.pointer("/logConfiguration/logDriver").and_then(Value::as_str) == Some("awsfirelens");
        if uses_router && !subject.containers().any(|(_, other)| is_set(other, "firelensConfiguration")) {
            let path = path.member("logConfiguration").member("logDriver");
            findings.fail(code, path, "awsfirelens needs a container with firelensConfiguration");
        }
    }
    let proxy = subject.task_definition.get("proxyConfiguration").unwrap_or(&Value::Null);
    if let Some(name) = text(proxy, "containerName").filter(|name| subject.container(name).is_none()) {
        let path = task_definition().member("proxyConfiguration").member("containerName");
        findings.fail(code, path, format!("there is no container `{name}`"));
    }
}

/// A variable has one value: ECS refuses a definition that has it in both lists ("The secret name must be unique and not
/// shared with any new or existing environment variables set on the container").
pub(super) fn variables(subject: &Subject<'_>, findings: &mut Findings) {
    let code = codes::VARIABLE_TWICE;
    for (name, container) in subject.containers() {
        let path = of_container(name);
        let plain: Vec<&str> = list(container, "environment").iter().filter_map(|item| text(item, "name")).collect();
        for secret in list(container, "secrets").iter().filter_map(|item| text(item, "name")) {
            findings.about(code, task_definition().member("containerDefinitions"), "variables are set once");
            if plain.contains(&secret) {
                let said = format!(
                    "`{secret}` is in `secrets` and in `environment`; take it out of one (in an overlay: `environment: {{ {secret}: null }}`)"
                );
                findings.fail(code, path.member("secrets").element(secret), said);
                findings.also(path.member("environment").element(secret));
            }
        }
    }
}

/// What the network mode awsvpc has no use for: each task has its own name and its own interface.
pub(super) fn names_of_network(subject: &Subject<'_>, findings: &mut Findings) {
    let code = codes::NETWORK;
    let Some(mode) = subject.network_mode.filter(|mode| *mode != "bridge") else { return };
    for (name, container) in subject.containers() {
        // `links` is bridge's alone; the others are no awsvpc's.
        for member in ["links", "extraHosts", "hostname"] {
            let is_refused = if member == "links" { true } else { mode == "awsvpc" };
            if is_refused && is_set(container, member) {
                findings.fail(
                    code,
                    of_container(name).member(member),
                    format!("it does not go with networkMode {mode}"),
                );
            }
        }
    }
}

pub(super) fn health_checks(subject: &Subject<'_>, findings: &mut Findings) {
    let code = codes::HEALTH_CHECK;
    for (name, container) in subject.containers() {
        let Some(check) = container.get("healthCheck") else { continue };
        findings.about(code, task_definition().member("containerDefinitions"), "health checks are within ECS's limits");
        let path = of_container(name).member("healthCheck");
        for (member, low, high) in
            [("interval", 5, 300), ("timeout", 2, 60), ("retries", 1, 10), ("startPeriod", 0, 300)]
        {
            if let Some(value) = number(check, member).filter(|value| !(low..=high).contains(value)) {
                findings.fail(code, path.member(member), format!("{value} is not between {low} and {high}"));
            }
        }
        let command = list(check, "command");
        let first = command.first().and_then(Value::as_str);
        if first == Some("CMD-SHELL") && command.len() > 2 {
            let text =
                "the shell runs the first text alone, and gets the others as arguments; write the command as one text";
            findings.warn(code, path.member("command"), text);
        }
        if let Some(first) = first.filter(|first| !matches!(*first, "CMD" | "CMD-SHELL" | "NONE")) {
            let text = format!("the command begins with `{first}`; write CMD or CMD-SHELL before it");
            findings.warn(code, path.member("command"), text);
        }
    }
}

pub(super) fn logs(subject: &Subject<'_>, findings: &mut Findings) {
    let code = codes::LOGS;
    for (name, container) in subject.containers() {
        let log = container.get("logConfiguration").unwrap_or(&Value::Null);
        if text(log, "logDriver") != Some("awslogs") {
            continue;
        }
        findings.about(code, task_definition().member("containerDefinitions"), "awslogs has what it needs");
        let options = log.get("options").unwrap_or(&Value::Null);
        let path = of_container(name).member("logConfiguration").member("options");
        if !is_set(options, "awslogs-group") {
            findings.fail(code, path.element("awslogs-group"), "awslogs needs the option awslogs-group");
        }
        // ECS: "Log driver awslogs option 'awslogs-create-group' should only be set to 'true', else omit option."
        if let Some(other) = text(options, "awslogs-create-group").filter(|value| *value != "true") {
            let said = format!("ECS takes `true` only, not `{other}`; leave it out");
            findings.fail(code, path.element("awslogs-create-group"), said);
        }
        if subject.fargate {
            for option in ["awslogs-region", "awslogs-stream-prefix"] {
                if !is_set(options, option) {
                    findings.fail(code, path.element(option), format!("awslogs on Fargate needs the option {option}"));
                }
            }
        }
    }
}

pub(super) fn roles(subject: &Subject<'_>, findings: &mut Findings) {
    let code = codes::ROLES;
    let has_role = is_set(subject.task_definition, "executionRoleArn");
    for (name, container) in subject.containers() {
        let path = of_container(name);
        for (list_name, place) in
            [("secrets", container), ("secretOptions", container.get("logConfiguration").unwrap_or(&Value::Null))]
        {
            for secret in list(place, list_name) {
                let secret_name = secret.get("name").and_then(Value::as_str).unwrap_or_default();
                let base = if list_name == "secrets" { path.clone() } else { path.member("logConfiguration") };
                if !is_set(secret, "valueFrom") {
                    let path = base.member(list_name).element(secret_name).member("valueFrom");
                    findings.fail(code, path, "it names no parameter and no secret");
                }
            }
        }
        let has_secrets = is_set(container, "secrets")
            || container
                .pointer("/logConfiguration/secretOptions")
                .and_then(Value::as_array)
                .is_some_and(|list| !list.is_empty())
            || is_set(container, "repositoryCredentials");
        let image = text(container, "image").unwrap_or_default();
        let logs = container.pointer("/logConfiguration/logDriver").and_then(Value::as_str) == Some("awslogs");
        let why = if has_secrets {
            "secrets"
        } else if subject.fargate && EcrRegistry::of_image(image).is_some() {
            "an image in ECR"
        } else if subject.fargate && logs {
            "awslogs"
        } else {
            continue;
        };
        findings.about(code, task_definition().member("executionRoleArn"), "there is a role to start the task with");
        if !has_role {
            let place = if subject.fargate { " on Fargate" } else { "" };
            let text = format!("container `{name}` has {why}: ECS needs an executionRoleArn to start it{place}");
            findings.fail(code, task_definition().member("executionRoleArn"), text);
            break;
        }
    }
    if is_on(subject.service, "enableExecuteCommand") && !is_set(subject.task_definition, "taskRoleArn") {
        let text = "enableExecuteCommand needs a taskRoleArn that may use SSM's message channels";
        findings.warn(code, task_definition().member("taskRoleArn"), text);
    }
}

pub(super) fn volumes(subject: &Subject<'_>, findings: &mut Findings) {
    let code = codes::VOLUMES;
    for volume in list(subject.task_definition, "volumes") {
        let name = volume.get("name").and_then(Value::as_str).unwrap_or_default();
        let path = task_definition().member("volumes").element(name);
        let Some(efs) = volume.get("efsVolumeConfiguration") else { continue };
        findings.about(code, task_definition().member("volumes"), "EFS volumes can be mounted as declared");
        let path = path.member("efsVolumeConfiguration");
        let authorization = efs.get("authorizationConfig").unwrap_or(&Value::Null);
        let has_access_point = is_set(authorization, "accessPointId");
        let has_iam = text(authorization, "iam") == Some("ENABLED");
        let is_encrypted = efs.get("transitEncryption").is_some_and(|value| value != "DISABLED" && value != "");
        if (has_access_point || has_iam) && !is_encrypted {
            let text = "an access point or IAM authorization needs transitEncryption ENABLED";
            findings.fail(code, path.member("transitEncryption"), text);
        }
        if has_access_point && text(efs, "rootDirectory").is_some_and(|root| root != "/") {
            findings.fail(code, path.member("rootDirectory"), "with an access point it must be absent or `/`");
        }
    }
}
