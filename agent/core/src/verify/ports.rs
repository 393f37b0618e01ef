//! Ports, their names, and what names them.

use super::{Findings, Subject, is_on, list, number, of_container, of_service, task_definition, text};
use lockstep_manifests::{codes, lists::port_key};
use serde_json::Value;
use std::collections::BTreeMap;

pub(super) fn mappings(subject: &Subject<'_>, findings: &mut Findings) {
    let code = codes::PORTS;
    let shares_host = match subject.network_mode {
        Some("awsvpc" | "host") => true,
        Some(_) => false,
        None => subject.fargate,
    };
    let mut taken: BTreeMap<String, &str> = BTreeMap::new();
    let mut names: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, container) in subject.containers() {
        for mapping in list(container, "portMappings") {
            findings.about(
                code,
                task_definition().member("containerDefinitions"),
                "ports and their names are there once",
            );
            let protocol = text(mapping, "protocol").unwrap_or("tcp");
            let port = number(mapping, "containerPort").map(|port| port.to_string());
            let range = text(mapping, "containerPortRange").map(str::to_owned);
            let Some(port_text) = port.or(range) else { continue };
            let key = port_key(&port_text, Some(protocol));
            let path = of_container(name).member("portMappings").element(&key);
            let host = number(mapping, "hostPort").filter(|port| *port != 0);
            let container_port = number(mapping, "containerPort");
            if shares_host && host.is_some() && host != container_port {
                let mode = subject.network_mode.unwrap_or("awsvpc");
                let text =
                    format!("in {mode} mode the host's port is the container's: leave it out, or write {port_text}");
                findings.fail(code, path.member("hostPort"), text);
            }
            let on_host = if shares_host { container_port } else { host };
            if let Some(on_host) = on_host
                && let Some(other) = taken.insert(format!("{on_host}/{protocol}"), name)
            {
                let text = format!("port {on_host}/{protocol} is taken by container `{other}` already");
                // In one network of the task only one of them can listen; on an instance Docker refuses the second.
                findings.fail(code, path.clone(), text);
            }
            if let Some(port_name) = text(mapping, "name")
                && let Some(other) = names.insert(port_name, name)
            {
                let text = format!("the port name `{port_name}` is used by container `{other}` already");
                findings.fail(code, path.member("name"), text);
            }
        }
    }
}

pub(super) fn service_connect(subject: &Subject<'_>, findings: &mut Findings) {
    let code = codes::PORT_NAMES;
    let names: Vec<&str> = subject
        .containers()
        .flat_map(|(_, container)| list(container, "portMappings"))
        .filter_map(|mapping| mapping.get("name")?.as_str())
        .collect();
    let is_there = |name: &str| names.contains(&name);
    let need = |path: lockstep_manifests::path::Path, item: &Value, findings: &mut Findings| {
        if let Some(name) = text(item, "portName") {
            findings.about(code, of_service(), "named ports are in the task definition");
            if !is_there(name) {
                findings.fail(code, path.element(name), format!("no port mapping has the name `{name}`"));
            }
        }
    };
    let connect = subject.service.get("serviceConnectConfiguration").unwrap_or(&Value::Null);
    if is_on(connect, "enabled") {
        for item in list(connect, "services") {
            need(of_service().member("serviceConnectConfiguration").member("services"), item, findings);
        }
    }
    for member in ["vpcLatticeConfigurations", "gatewayConnectors"] {
        for item in list(subject.service, member) {
            need(of_service().member(member), item, findings);
        }
    }
}
