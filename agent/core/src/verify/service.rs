//! Where the tasks run, their network, and who sends them traffic.

use super::{
    Findings, Subject, element, is_fargate_provider, is_set, list, number, of_service, providers, strings, text,
};
use lockstep_manifests::codes;
use serde_json::Value;

pub(super) fn scheduling(subject: &Subject<'_>, findings: &mut Findings) {
    let code = codes::SCHEDULING;
    let (service, path) = (subject.service, of_service());
    findings.about(code, path.clone(), "where and how many tasks run is said without contradiction");
    let is_daemon = text(service, "schedulingStrategy") == Some("DAEMON");
    if is_daemon && service.get("desiredCount").is_some() {
        findings.fail(
            code,
            path.member("desiredCount"),
            "a DAEMON service has one task an instance; leave desiredCount out",
        );
    }
    let launch = text(service, "launchType");
    let providers = providers(service);
    if launch.is_some() && !providers.is_empty() {
        findings.fail(
            code,
            path.member("launchType"),
            "a launch type and a capacity provider strategy exclude each other",
        );
    }
    let on_fargate = launch == Some("FARGATE") || providers.iter().any(|provider| is_fargate_provider(provider));
    if on_fargate && providers.iter().any(|provider| !is_fargate_provider(provider)) {
        findings.fail(code, path.member("capacityProviderStrategy"), "Fargate's capacity providers go with no others");
    }
    let compatible = strings(subject.task_definition, "requiresCompatibilities");
    let lacks = |name: &str| !compatible.is_empty() && !compatible.contains(&name);
    if on_fargate && lacks("FARGATE") {
        let text = format!("the task definition is for {} only", compatible.join(", "));
        let member = if launch.is_some() { "launchType" } else { "capacityProviderStrategy" };
        findings.fail(code, path.member(member), text);
    }
    if let Some(launch) = launch.filter(|launch| *launch != "FARGATE" && lacks(launch)) {
        let text = format!("the task definition is for {} only, not {launch}", compatible.join(", "));
        findings.fail(code, path.member("launchType"), text);
    }
    if on_fargate {
        if is_daemon {
            findings.fail(code, path.member("schedulingStrategy"), "Fargate has no instances, so no DAEMON services");
        }
        for member in ["placementConstraints", "placementStrategy"] {
            if is_set(service, member) {
                findings.fail(code, path.member(member), "Fargate places tasks itself");
            }
        }
    }
    if is_daemon && is_set(service, "placementStrategy") {
        findings.fail(code, path.member("placementStrategy"), "a DAEMON service has one task an instance");
    }
}

pub(super) fn network(subject: &Subject<'_>, findings: &mut Findings) {
    let code = codes::NETWORK;
    let path = of_service().member("networkConfiguration");
    let has_configuration = subject.service.pointer("/networkConfiguration/awsvpcConfiguration").is_some();
    let is_awsvpc = match subject.network_mode {
        Some(mode) => mode == "awsvpc",
        // An open substitution, or left out where Fargate asks for it anyway.
        None => subject.task_definition.get("networkMode").is_some() || subject.fargate,
    };
    findings.about(code, path.clone(), "the network is as the network mode needs it");
    if subject.network_mode == Some("awsvpc") && !has_configuration {
        findings.fail(code, path, "networkMode awsvpc needs awsvpcConfiguration with subnets");
        return;
    }
    if !is_awsvpc && has_configuration {
        let mode = subject.network_mode.unwrap_or("bridge");
        findings.fail(code, path, format!("it goes with networkMode awsvpc only, not {mode}"));
        return;
    }
    let Some(vpc) = subject.service.pointer("/networkConfiguration/awsvpcConfiguration") else { return };
    let path = path.member("awsvpcConfiguration");
    for (member, most) in [("subnets", 16), ("securityGroups", 5)] {
        let count = list(vpc, member).len();
        if count > most {
            findings.fail(code, path.member(member), format!("{count} are more than the {most} that ECS takes"));
        }
    }
    if vpc.get("subnets").and_then(Value::as_array).is_some_and(Vec::is_empty) {
        findings.fail(code, path.member("subnets"), "it needs at least one subnet");
    }
    if text(vpc, "assignPublicIp") == Some("ENABLED") && text(subject.service, "launchType") == Some("EC2") {
        // ECS: "Assign public IP is not supported for this launch type."
        findings.fail(code, path.member("assignPublicIp"), "tasks on EC2 instances get no public address");
    }
}

pub(super) fn load_balancers(subject: &Subject<'_>, findings: &mut Findings) {
    let code = codes::LOAD_BALANCERS;
    let groups = [("loadBalancers", true), ("serviceRegistries", false)];
    for (member, is_balancer) in groups {
        for (at, item) in list(subject.service, member).iter().enumerate() {
            findings.about(code, of_service(), "containers and ports that get traffic are in the task definition");
            let path = element(&of_service(), "Service", member, item, at);
            if is_balancer && !is_set(item, "targetGroupArn") && !is_set(item, "loadBalancerName") {
                findings.fail(code, path.clone(), "it needs targetGroupArn (or loadBalancerName)");
            }
            let Some(name) = text(item, "containerName") else {
                if is_balancer && !is_set(item, "containerName") {
                    findings.fail(code, path.member("containerName"), "it needs the name of a container");
                }
                continue;
            };
            let Some(container) = subject.container(name) else {
                findings.fail(code, path.member("containerName"), format!("there is no container `{name}`"));
                continue;
            };
            let port = number(item, "containerPort").filter(|port| *port != 0);
            let mappings = list(container, "portMappings");
            let is_open = mappings.iter().any(|mapping| mapping.get("containerPort").is_some_and(Value::is_string));
            if let Some(port) = port
                && !is_open
                && !mappings.iter().any(|mapping| number(mapping, "containerPort") == Some(port))
            {
                let text = format!("container `{name}` has no port mapping for {port}");
                findings.fail(code, path.member("containerPort"), text);
            }
        }
    }
}

pub(super) fn volumes(subject: &Subject<'_>, findings: &mut Findings) {
    let code = codes::VOLUMES;
    let at_launch: Vec<&str> = list(subject.task_definition, "volumes")
        .iter()
        .filter(|volume| volume.get("configuredAtLaunch") == Some(&Value::Bool(true)))
        .filter_map(|volume| volume.get("name")?.as_str())
        .collect();
    let configured: Vec<&str> = list(subject.service, "volumeConfigurations")
        .iter()
        .filter_map(|volume| volume.get("name")?.as_str())
        .collect();
    if at_launch.is_empty() && configured.is_empty() {
        return;
    }
    let path = of_service().member("volumeConfigurations");
    findings.about(code, path.clone(), "volumes that are configured at launch are configured");
    for name in at_launch.iter().filter(|name| !configured.contains(name)) {
        let text = format!("the volume `{name}` is configuredAtLaunch, and the service does not configure it");
        findings.fail(code, path.clone(), text);
    }
    for name in configured.iter().filter(|name| !at_launch.contains(name)) {
        let text = format!("the task definition has no volume `{name}` with configuredAtLaunch: true");
        findings.fail(code, path.element(name), text);
    }
    for volume in list(subject.service, "volumeConfigurations") {
        let count = volume.pointer("/managedEBSVolume/tagSpecifications").and_then(Value::as_array).map_or(0, Vec::len);
        if count > 1 {
            let name = volume.get("name").and_then(Value::as_str).unwrap_or_default();
            let path = path.element(name).member("managedEBSVolume").member("tagSpecifications");
            findings.warn(code, path, "ECS uses the first of several tag specifications");
        }
    }
}
