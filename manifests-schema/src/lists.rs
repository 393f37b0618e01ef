//! How each list of the ECS model compares: by a key, as a set, or in order. One table for the merge of layers, the
//! normaliser and the paths. A test fails when the model has a list that the table lacks.

use serde_json::Value as Json;

/// How the elements of a list are matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListKind {
    /// A sequence: order matters, layers replace it whole.
    Ordered,
    /// A set of scalars or of whole elements: order has no meaning, layers replace it whole.
    Set,
    /// Elements have a key.
    Keyed(Key),
}

/// The key of a list's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The members that make the key, in the order in which a path shows them.
    pub members: &'static [&'static str],
    /// The member that a scalar stands for in the keyed form.
    pub scalar: Option<&'static str>,
    /// What reading the key takes.
    pub form: KeyForm,
    /// Whether ECS takes several elements of one key, so that a key alone does not tell them apart.
    pub repeats: bool,
}

/// How a key is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyForm {
    /// One member: the list may be written as a map.
    Single,
    /// `8080` or `8080/udp`: the list may be written as a map.
    Port,
    /// Several members: the list is written as a list, and merges whole.
    Composite,
}

const fn by(member: &'static [&'static str]) -> ListKind {
    ListKind::Keyed(Key { members: member, scalar: None, form: KeyForm::Single, repeats: false })
}

const fn by_with(member: &'static [&'static str], scalar: &'static str) -> ListKind {
    ListKind::Keyed(Key { members: member, scalar: Some(scalar), form: KeyForm::Single, repeats: false })
}

const fn composite(members: &'static [&'static str]) -> ListKind {
    ListKind::Keyed(Key { members, scalar: None, form: KeyForm::Composite, repeats: false })
}

/// (structure, member, how it compares).
pub const TABLE: &[(&str, &str, ListKind)] = &[
    // RegisterTaskDefinition
    ("TaskDefinition", "containerDefinitions", by(&["name"])),
    ("TaskDefinition", "volumes", by(&["name"])),
    ("TaskDefinition", "placementConstraints", composite(&["type", "expression"])),
    ("TaskDefinition", "requiresCompatibilities", ListKind::Set),
    ("TaskDefinition", "tags", by_with(&["key"], "value")),
    ("TaskDefinition", "inferenceAccelerators", by(&["deviceName"])),
    ("ProxyConfiguration", "properties", by_with(&["name"], "value")),
    ("ContainerDefinition", "links", ListKind::Set),
    (
        "ContainerDefinition",
        "portMappings",
        ListKind::Keyed(Key {
            members: &["containerPort", "protocol"],
            scalar: None,
            form: KeyForm::Port,
            repeats: false,
        }),
    ),
    ("ContainerDefinition", "entryPoint", ListKind::Ordered),
    ("ContainerDefinition", "command", ListKind::Ordered),
    ("ContainerDefinition", "environment", by_with(&["name"], "value")),
    ("ContainerDefinition", "environmentFiles", ListKind::Ordered),
    ("ContainerDefinition", "mountPoints", by(&["containerPath"])),
    ("ContainerDefinition", "volumesFrom", by(&["sourceContainer"])),
    ("ContainerDefinition", "secrets", by_with(&["name"], "valueFrom")),
    ("ContainerDefinition", "dependsOn", by_with(&["containerName"], "condition")),
    ("ContainerDefinition", "dnsServers", ListKind::Ordered),
    ("ContainerDefinition", "dnsSearchDomains", ListKind::Ordered),
    ("ContainerDefinition", "extraHosts", composite(&["hostname", "ipAddress"])),
    ("ContainerDefinition", "dockerSecurityOptions", ListKind::Set),
    ("ContainerDefinition", "ulimits", by(&["name"])),
    ("ContainerDefinition", "systemControls", by_with(&["namespace"], "value")),
    ("ContainerDefinition", "resourceRequirements", composite(&["type", "value"])),
    ("ContainerDefinition", "credentialSpecs", ListKind::Set),
    ("ContainerRestartPolicy", "ignoredExitCodes", ListKind::Set),
    ("KernelCapabilities", "add", ListKind::Set),
    ("KernelCapabilities", "drop", ListKind::Set),
    ("LinuxParameters", "devices", composite(&["hostPath", "containerPath"])),
    ("LinuxParameters", "tmpfs", by(&["containerPath"])),
    ("Device", "permissions", ListKind::Set),
    ("Tmpfs", "mountOptions", ListKind::Set),
    ("LogConfiguration", "secretOptions", by_with(&["name"], "valueFrom")),
    ("HealthCheck", "command", ListKind::Ordered),
    // CreateService
    ("Service", "loadBalancers", composite(&["containerName", "containerPort", "targetGroupArn", "loadBalancerName"])),
    ("Service", "serviceRegistries", composite(&["registryArn"])),
    ("Service", "capacityProviderStrategy", by(&["capacityProvider"])),
    ("Service", "placementConstraints", composite(&["type", "expression"])),
    ("Service", "placementStrategy", ListKind::Ordered),
    ("Service", "tags", by_with(&["key"], "value")),
    ("Service", "volumeConfigurations", by(&["name"])),
    ("Service", "vpcLatticeConfigurations", composite(&["portName", "targetGroupArn"])),
    ("Service", "gatewayConnectors", by(&["portName"])),
    ("DeploymentAlarms", "alarmNames", ListKind::Set),
    ("DeploymentConfiguration", "lifecycleHooks", composite(&["targetType", "hookTargetArn", "lifecycleStages"])),
    ("DeploymentLifecycleHook", "lifecycleStages", ListKind::Set),
    ("AwsVpcConfiguration", "subnets", ListKind::Set),
    ("AwsVpcConfiguration", "securityGroups", ListKind::Set),
    ("ServiceConnectConfiguration", "services", by(&["portName"])),
    ("ServiceConnectConfiguration", "containerConfigurations", ListKind::Set),
    ("ServiceConnectService", "clientAliases", by(&["port"])),
    (
        "ServiceManagedEBSVolumeConfiguration",
        "tagSpecifications",
        ListKind::Keyed(Key { members: &["resourceType"], scalar: None, form: KeyForm::Single, repeats: true }),
    ),
    ("EBSTagSpecification", "tags", by_with(&["key"], "value")),
    ("GatewayConnectorFilters", "accessTypes", ListKind::Set),
    ("MonitoringConfiguration", "metricConfigurations", ListKind::Set),
    ("MetricConfiguration", "metricNames", ListKind::Set),
];

/// How this list of the model compares. A list that the table does not have is compared in order.
pub fn list_kind(structure: &str, member: &str) -> ListKind {
    TABLE
        .iter()
        .find(|(owner, name, _)| *owner == structure && *name == member)
        .map_or(ListKind::Ordered, |(_, _, kind)| *kind)
}

impl Key {
    /// Whether the list may be written as a map.
    pub fn has_map_form(&self) -> bool {
        self.form != KeyForm::Composite
    }

    /// The text of an element's key, as paths show it. A part that only spells out its default is left out, so that
    /// both ways of writing an element have one key.
    pub fn text_of(&self, item: &Json) -> String {
        let part = |name: &str| match item.get(name) {
            Some(Json::String(text)) if !text.is_empty() => Some(text.clone()),
            Some(Json::Number(number)) if number.as_i64() != Some(0) => Some(number.to_string()),
            Some(Json::Array(items)) if !items.is_empty() => {
                let mut texts: Vec<&str> = items.iter().filter_map(Json::as_str).collect();
                texts.sort_unstable();
                texts.dedup();
                Some(texts.join("+"))
            }
            _ => None,
        };
        match self.form {
            KeyForm::Port => {
                let port = part("containerPort").or_else(|| part("containerPortRange")).unwrap_or_default();
                port_key(&port, part("protocol").as_deref())
            }
            KeyForm::Single => part(self.members[0]).unwrap_or_default(),
            KeyForm::Composite => {
                let says_nothing = |name: &str, text: &str| match (name, text) {
                    ("targetType", "AWS_LAMBDA") => true,
                    // Only accelerators may stand twice.
                    ("value", _) => part("type").as_deref() != Some("InferenceAccelerator"),
                    ("containerPath", path) => part("hostPath").as_deref() == Some(path),
                    _ => false,
                };
                let parts = self.members.iter().filter_map(|name| part(name).map(|text| (*name, text)));
                parts
                    .filter(|(name, text)| !says_nothing(name, text))
                    .map(|(_, text)| text)
                    .collect::<Vec<_>>()
                    .join(",")
            }
        }
    }
}

/// The key of a port mapping from its parts: `8080/tcp`, `8000-8010/udp`.
pub fn port_key(port: &str, protocol: Option<&str>) -> String {
    format!("{port}/{}", protocol.filter(|protocol| !protocol.is_empty()).unwrap_or("tcp"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecs::{Kind, Structure, shapes};
    use std::collections::BTreeSet;

    fn lists(structure: &'static Structure, seen: &mut BTreeSet<&'static str>, found: &mut BTreeSet<(String, String)>) {
        if !seen.insert(structure.name) {
            return;
        }
        for member in structure.members {
            let mut kind = &member.kind;
            if let Kind::List(element) = kind {
                found.insert((structure.name.to_owned(), member.name.to_owned()));
                kind = element;
            }
            if let Kind::Structure(inner) = kind {
                lists(inner, seen, found);
            }
        }
    }

    #[test]
    fn the_table_has_every_list_of_the_model_and_no_other() {
        let (mut seen, mut found) = (BTreeSet::new(), BTreeSet::new());
        lists(&shapes::REGISTER_TASK_DEFINITION, &mut seen, &mut found);
        lists(&shapes::CREATE_SERVICE, &mut seen, &mut found);
        let table: BTreeSet<_> =
            TABLE.iter().map(|(owner, name, _)| ((*owner).to_owned(), (*name).to_owned())).collect();
        assert_eq!(table.len(), TABLE.len(), "an entry is defined twice");
        assert_eq!(found, table);
    }
}
