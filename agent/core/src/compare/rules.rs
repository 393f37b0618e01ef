//! The table behind the normaliser and the differ: for every member of RegisterTaskDefinition and CreateService what
//! absence means, how its text compares, and for a service's members what changing and removing them takes. A reader
//! can check it line by line against the reference; a test fails when the model has a member that it lacks.

use serde::Serialize;

/// What changing something does to the running service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Effect {
    /// No deployment.
    InPlace,
    /// ECS starts a deployment.
    NewDeployment,
    /// ECS refuses the change unless a deployment is forced with it.
    NeedsForce,
    /// Only deleting and creating the service again.
    Replace,
    /// ECS has no way.
    Refused,
}

/// What an absent member means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// Just that: a value on one side only is a difference. (Empty lists, maps and texts are as absent everywhere.)
    Absent,
    /// This JSON value.
    Is(&'static str),
    /// This JSON value on Fargate; just absent elsewhere.
    OnFargate(&'static str),
    /// This JSON value outside of Fargate and Windows.
    OnLinuxInstances(&'static str),
    /// The first for REPLICA services, the second for DAEMON services.
    ByScheduling(&'static str, &'static str),
    /// 0, which only says that there is none: ECS refuses to be sent it.
    Unset,
    /// ECS chooses: compared only where it is declared. It fills in the member by itself, so that one that is live says
    /// nothing about who wanted it.
    ServerDecides,
    /// Compared only where it is declared, as there is no default to go back to. ECS does not fill it in by itself
    /// (except with this value): one that is live and not declared stays, and that is said.
    Stays(Option<i64>),
    /// A launch type and a capacity provider strategy exclude each other: absent means "ECS decides" unless the other
    /// one is declared.
    UnlessOtherDeclared,
}

/// How two texts compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    /// As they are; the empty text is as absent.
    Plain,
    /// As they are; the empty text is a value.
    Data,
    /// CPU units: `1 vCPU` is `1024`.
    Cpu,
    /// MiB: `2 GB` is `2048`.
    Memory,
    /// A role's name, with its path, is as the ARN of that role in the account that the definition is for.
    Role,
    /// A cluster's name is as its ARN, where only one of the two is known.
    Cluster,
    /// A Cloud Map namespace: its name and its ARN, which ends with an id, cannot be compared.
    Namespace,
    /// `cpu` is as `CPU`, `host` as `instanceId`.
    PlacementField,
    /// JSON in a text: its layout and the order of its keys have no meaning.
    Json,
}

/// How a member of CreateService is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeRule {
    /// What a change does.
    pub effect: Effect,
    /// What UpdateService is sent to remove it, as JSON; absent where it cannot be removed.
    pub remove: Option<&'static str>,
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// The structure's name in the model (`TaskDefinition` and `Service` for the two inputs).
    pub structure: &'static str,
    /// The member.
    pub member: &'static str,
    /// What absence means.
    pub absent: Absent,
    /// How its text compares.
    pub text: Text,
    /// For members of `Service` alone.
    pub change: Option<ChangeRule>,
}

const fn rule(structure: &'static str, member: &'static str, absent: Absent) -> Rule {
    Rule { structure, member, absent, text: Text::Plain, change: None }
}

const fn text(structure: &'static str, member: &'static str, absent: Absent, text: Text) -> Rule {
    Rule { structure, member, absent, text, change: None }
}

const fn service(member: &'static str, absent: Absent, effect: Effect, remove: Option<&'static str>) -> Rule {
    Rule { structure: "Service", member, absent, text: Text::Plain, change: Some(ChangeRule { effect, remove }) }
}

/// The rule of a member. Members of the model are always there (a test holds that).
pub fn rule_of(structure: &str, member: &str) -> Rule {
    use std::{collections::HashMap, sync::LazyLock};
    static INDEX: LazyLock<HashMap<(&str, &str), &Rule>> =
        LazyLock::new(|| TABLE.iter().map(|rule| ((rule.structure, rule.member), rule)).collect());
    INDEX.get(&(structure, member)).map_or(Rule { structure: "", ..rule("", "", NONE) }, |rule| **rule)
}

use Absent::{Is, OnFargate, OnLinuxInstances, ServerDecides, UnlessOtherDeclared};
use Effect::{InPlace, NeedsForce, NewDeployment, Replace};

const NONE: Absent = Absent::Absent;
const FALSE: Absent = Is("false");
const ZERO: Absent = Is("0");
const UNSET: Absent = Absent::Unset;
const STAYS: Absent = Absent::Stays(None);

/// All rows, in the model's order.
#[rustfmt::skip]
pub const TABLE: &[Rule] = &[
    // RegisterTaskDefinition
    rule("TaskDefinition", "family", NONE),
    text("TaskDefinition", "taskRoleArn", NONE, Text::Role),
    text("TaskDefinition", "executionRoleArn", NONE, Text::Role),
    rule("TaskDefinition", "networkMode", OnLinuxInstances("\"bridge\"")),
    rule("TaskDefinition", "containerDefinitions", NONE),
    rule("TaskDefinition", "volumes", NONE),
    rule("TaskDefinition", "placementConstraints", NONE),
    rule("TaskDefinition", "requiresCompatibilities", NONE),
    text("TaskDefinition", "cpu", NONE, Text::Cpu),
    text("TaskDefinition", "memory", NONE, Text::Memory),
    rule("TaskDefinition", "tags", ServerDecides),
    rule("TaskDefinition", "pidMode", NONE),
    rule("TaskDefinition", "ipcMode", NONE),
    rule("TaskDefinition", "proxyConfiguration", NONE),
    rule("TaskDefinition", "inferenceAccelerators", NONE),
    rule("TaskDefinition", "ephemeralStorage", NONE),
    rule("TaskDefinition", "runtimePlatform", NONE),
    rule("TaskDefinition", "enableFaultInjection", FALSE),
    rule("TaskDefinition", "trustedExecutionConfiguration", NONE),
    rule("TaskDefinitionPlacementConstraint", "type", NONE),
    rule("TaskDefinitionPlacementConstraint", "expression", NONE),
    rule("Tag", "key", NONE),
    text("Tag", "value", NONE, Text::Data),
    rule("ProxyConfiguration", "type", Is("\"APPMESH\"")),
    rule("ProxyConfiguration", "containerName", NONE),
    rule("ProxyConfiguration", "properties", NONE),
    rule("KeyValuePair", "name", NONE),
    text("KeyValuePair", "value", NONE, Text::Data),
    rule("InferenceAccelerator", "deviceName", NONE),
    rule("InferenceAccelerator", "deviceType", NONE),
    // Only Fargate has it, so that 20 is what there is wherever an answer shows it.
    rule("EphemeralStorage", "sizeInGiB", Is("20")),
    rule("RuntimePlatform", "cpuArchitecture", OnFargate("\"X86_64\"")),
    rule("RuntimePlatform", "operatingSystemFamily", OnFargate("\"LINUX\"")),
    rule("TrustedExecutionConfiguration", "isolationMode", Is("\"SHARED\"")),
    text("TrustedExecutionConfiguration", "attestationPolicy", NONE, Text::Json),
    rule("Volume", "name", NONE),
    rule("Volume", "host", NONE),
    rule("Volume", "dockerVolumeConfiguration", NONE),
    rule("Volume", "efsVolumeConfiguration", NONE),
    rule("Volume", "s3filesVolumeConfiguration", NONE),
    rule("Volume", "fsxWindowsFileServerVolumeConfiguration", NONE),
    rule("Volume", "configuredAtLaunch", FALSE),
    rule("HostVolumeProperties", "sourcePath", NONE),
    rule("DockerVolumeConfiguration", "scope", Is("\"task\"")),
    rule("DockerVolumeConfiguration", "autoprovision", FALSE),
    rule("DockerVolumeConfiguration", "driver", Is("\"local\"")),
    rule("DockerVolumeConfiguration", "driverOpts", NONE),
    rule("DockerVolumeConfiguration", "labels", NONE),
    rule("EFSVolumeConfiguration", "fileSystemId", NONE),
    rule("EFSVolumeConfiguration", "rootDirectory", Is("\"/\"")),
    rule("EFSVolumeConfiguration", "transitEncryption", Is("\"DISABLED\"")),
    rule("EFSVolumeConfiguration", "transitEncryptionPort", UNSET),
    rule("EFSVolumeConfiguration", "authorizationConfig", NONE),
    rule("EFSAuthorizationConfig", "accessPointId", NONE),
    rule("EFSAuthorizationConfig", "iam", Is("\"DISABLED\"")),
    rule("S3FilesVolumeConfiguration", "fileSystemArn", NONE),
    rule("S3FilesVolumeConfiguration", "rootDirectory", Is("\"/\"")),
    rule("S3FilesVolumeConfiguration", "transitEncryptionPort", UNSET),
    rule("S3FilesVolumeConfiguration", "accessPointArn", NONE),
    rule("FSxWindowsFileServerVolumeConfiguration", "fileSystemId", NONE),
    rule("FSxWindowsFileServerVolumeConfiguration", "rootDirectory", NONE),
    rule("FSxWindowsFileServerVolumeConfiguration", "authorizationConfig", NONE),
    rule("FSxWindowsFileServerAuthorizationConfig", "credentialsParameter", NONE),
    rule("FSxWindowsFileServerAuthorizationConfig", "domain", NONE),
    rule("ContainerDefinition", "name", NONE),
    rule("ContainerDefinition", "image", NONE),
    rule("ContainerDefinition", "repositoryCredentials", NONE),
    rule("ContainerDefinition", "cpu", ZERO),
    rule("ContainerDefinition", "memory", UNSET),
    rule("ContainerDefinition", "memoryReservation", UNSET),
    rule("ContainerDefinition", "links", NONE),
    rule("ContainerDefinition", "portMappings", NONE),
    rule("ContainerDefinition", "essential", Is("true")),
    rule("ContainerDefinition", "restartPolicy", NONE),
    rule("ContainerDefinition", "entryPoint", NONE),
    rule("ContainerDefinition", "command", NONE),
    rule("ContainerDefinition", "environment", NONE),
    rule("ContainerDefinition", "environmentFiles", NONE),
    rule("ContainerDefinition", "mountPoints", NONE),
    rule("ContainerDefinition", "volumesFrom", NONE),
    rule("ContainerDefinition", "linuxParameters", NONE),
    rule("ContainerDefinition", "secrets", NONE),
    rule("ContainerDefinition", "dependsOn", NONE),
    rule("ContainerDefinition", "startTimeout", NONE),
    rule("ContainerDefinition", "stopTimeout", NONE),
    rule("ContainerDefinition", "versionConsistency", Is("\"enabled\"")),
    rule("ContainerDefinition", "hostname", NONE),
    rule("ContainerDefinition", "user", NONE),
    rule("ContainerDefinition", "workingDirectory", NONE),
    rule("ContainerDefinition", "disableNetworking", FALSE),
    rule("ContainerDefinition", "privileged", FALSE),
    rule("ContainerDefinition", "readonlyRootFilesystem", FALSE),
    rule("ContainerDefinition", "dnsServers", NONE),
    rule("ContainerDefinition", "dnsSearchDomains", NONE),
    rule("ContainerDefinition", "extraHosts", NONE),
    rule("ContainerDefinition", "dockerSecurityOptions", NONE),
    rule("ContainerDefinition", "interactive", FALSE),
    rule("ContainerDefinition", "pseudoTerminal", FALSE),
    rule("ContainerDefinition", "dockerLabels", NONE),
    rule("ContainerDefinition", "ulimits", NONE),
    rule("ContainerDefinition", "logConfiguration", NONE),
    rule("ContainerDefinition", "healthCheck", NONE),
    rule("ContainerDefinition", "systemControls", NONE),
    rule("ContainerDefinition", "resourceRequirements", NONE),
    rule("ContainerDefinition", "firelensConfiguration", NONE),
    rule("ContainerDefinition", "credentialSpecs", NONE),
    rule("RepositoryCredentials", "credentialsParameter", NONE),
    rule("PortMapping", "containerPort", UNSET),
    // The host's port has its own rule in the normaliser: it depends on the network mode and the container's port.
    rule("PortMapping", "hostPort", ZERO),
    rule("PortMapping", "protocol", Is("\"tcp\"")),
    rule("PortMapping", "name", NONE),
    rule("PortMapping", "appProtocol", NONE),
    rule("PortMapping", "containerPortRange", NONE),
    rule("ContainerRestartPolicy", "enabled", FALSE),
    rule("ContainerRestartPolicy", "ignoredExitCodes", NONE),
    rule("ContainerRestartPolicy", "restartAttemptPeriod", Is("300")),
    rule("EnvironmentFile", "value", NONE),
    rule("EnvironmentFile", "type", NONE),
    rule("MountPoint", "sourceVolume", NONE),
    rule("MountPoint", "containerPath", NONE),
    rule("MountPoint", "readOnly", FALSE),
    rule("VolumeFrom", "sourceContainer", NONE),
    rule("VolumeFrom", "readOnly", FALSE),
    rule("LinuxParameters", "capabilities", NONE),
    rule("LinuxParameters", "devices", NONE),
    rule("LinuxParameters", "initProcessEnabled", FALSE),
    rule("LinuxParameters", "sharedMemorySize", UNSET),
    rule("LinuxParameters", "tmpfs", NONE),
    rule("LinuxParameters", "maxSwap", NONE),
    rule("LinuxParameters", "swappiness", Is("60")),
    rule("KernelCapabilities", "add", NONE),
    rule("KernelCapabilities", "drop", NONE),
    rule("Device", "hostPath", NONE),
    rule("Device", "containerPath", NONE),
    rule("Device", "permissions", Is("[\"mknod\",\"read\",\"write\"]")),
    rule("Tmpfs", "containerPath", NONE),
    rule("Tmpfs", "size", NONE),
    rule("Tmpfs", "mountOptions", NONE),
    rule("Secret", "name", NONE),
    rule("Secret", "valueFrom", NONE),
    rule("ContainerDependency", "containerName", NONE),
    rule("ContainerDependency", "condition", NONE),
    rule("HostEntry", "hostname", NONE),
    rule("HostEntry", "ipAddress", NONE),
    rule("Ulimit", "name", NONE),
    rule("Ulimit", "softLimit", NONE),
    rule("Ulimit", "hardLimit", NONE),
    rule("LogConfiguration", "logDriver", NONE),
    rule("LogConfiguration", "options", NONE),
    rule("LogConfiguration", "secretOptions", NONE),
    rule("HealthCheck", "command", NONE),
    rule("HealthCheck", "interval", Is("30")),
    rule("HealthCheck", "timeout", Is("5")),
    rule("HealthCheck", "retries", Is("3")),
    rule("HealthCheck", "startPeriod", ZERO),
    rule("SystemControl", "namespace", NONE),
    rule("SystemControl", "value", NONE),
    rule("ResourceRequirement", "value", NONE),
    rule("ResourceRequirement", "type", NONE),
    rule("ResourceRequirement", "sharingStrategy", NONE),
    rule("SharingStrategy", "nvidiaMps", NONE),
    rule("NvidiaMpsAllocation", "memory", NONE),
    rule("NvidiaMpsAllocation", "maxComputePercent", NONE),
    rule("FirelensConfiguration", "type", NONE),
    rule("FirelensConfiguration", "options", NONE),
    // CreateService
    Rule { structure: "Service", member: "cluster", absent: ServerDecides, text: Text::Cluster, change: Some(ChangeRule { effect: Replace, remove: None }) },
    service("serviceName", NONE, Replace, None),
    service("taskDefinition", ServerDecides, NewDeployment, None),
    service("availabilityZoneRebalancing", ServerDecides, InPlace, None),
    service("loadBalancers", NONE, NewDeployment, Some("[]")),
    service("serviceRegistries", NONE, NewDeployment, Some("[]")),
    service("desiredCount", ServerDecides, InPlace, None),
    service("clientToken", ServerDecides, InPlace, None),
    service("launchType", UnlessOtherDeclared, NeedsForce, None),
    service("capacityProviderStrategy", UnlessOtherDeclared, NeedsForce, Some("[]")),
    // On instances there is no version to send; an endpoint may answer LATEST for them all the same.
    service("platformVersion", Is("\"LATEST\""), NewDeployment, Some("\"LATEST\"")),
    Rule { structure: "Service", member: "role", absent: ServerDecides, text: Text::Role, change: Some(ChangeRule { effect: Replace, remove: None }) },
    service("deploymentConfiguration", NONE, InPlace, None),
    service("placementConstraints", NONE, InPlace, Some("[]")),
    service("placementStrategy", NONE, InPlace, Some("[]")),
    service("networkConfiguration", NONE, NewDeployment, None),
    service("healthCheckGracePeriodSeconds", ZERO, InPlace, Some("0")),
    service("schedulingStrategy", Is("\"REPLICA\""), Replace, None),
    service("deploymentController", NONE, Replace, None),
    service("tags", ServerDecides, InPlace, None),
    service("enableECSManagedTags", FALSE, InPlace, Some("false")),
    service("propagateTags", Is("\"NONE\""), InPlace, Some("\"NONE\"")),
    service("enableExecuteCommand", FALSE, InPlace, Some("false")),
    service("serviceConnectConfiguration", NONE, NewDeployment, Some("{\"enabled\":false}")),
    service("volumeConfigurations", NONE, NewDeployment, Some("[]")),
    service("vpcLatticeConfigurations", NONE, NewDeployment, Some("[]")),
    service("gatewayConnectors", ServerDecides, NewDeployment, Some("[]")),
    service("monitoring", ServerDecides, NewDeployment, None),
    rule("LoadBalancer", "targetGroupArn", NONE),
    rule("LoadBalancer", "loadBalancerName", NONE),
    rule("LoadBalancer", "containerName", NONE),
    rule("LoadBalancer", "containerPort", NONE),
    rule("LoadBalancer", "advancedConfiguration", NONE),
    rule("AdvancedConfiguration", "alternateTargetGroupArn", NONE),
    rule("AdvancedConfiguration", "productionListenerRule", NONE),
    rule("AdvancedConfiguration", "testListenerRule", NONE),
    rule("AdvancedConfiguration", "roleArn", NONE),
    rule("ServiceRegistry", "registryArn", NONE),
    rule("ServiceRegistry", "port", UNSET),
    rule("ServiceRegistry", "containerName", NONE),
    rule("ServiceRegistry", "containerPort", UNSET),
    rule("CapacityProviderStrategyItem", "capacityProvider", NONE),
    rule("CapacityProviderStrategyItem", "weight", ZERO),
    rule("CapacityProviderStrategyItem", "base", ZERO),
    rule("DeploymentConfiguration", "deploymentCircuitBreaker", NONE),
    rule("DeploymentConfiguration", "maximumPercent", Absent::ByScheduling("200", "100")),
    rule("DeploymentConfiguration", "minimumHealthyPercent", Absent::ByScheduling("100", "0")),
    rule("DeploymentConfiguration", "alarms", NONE),
    rule("DeploymentConfiguration", "strategy", Is("\"ROLLING\"")),
    rule("DeploymentConfiguration", "bakeTimeInMinutes", ZERO),
    rule("DeploymentConfiguration", "lifecycleHooks", NONE),
    rule("DeploymentConfiguration", "linearConfiguration", NONE),
    rule("DeploymentConfiguration", "canaryConfiguration", NONE),
    rule("DeploymentConfiguration", "earlySuccessCriteria", NONE),
    rule("DeploymentCircuitBreaker", "enable", FALSE),
    rule("DeploymentCircuitBreaker", "rollback", FALSE),
    rule("DeploymentCircuitBreaker", "resetOnHealthyTask", Is("true")),
    rule("DeploymentCircuitBreaker", "thresholdConfiguration", NONE),
    rule("ThresholdConfiguration", "type", Is("\"BOUNDED_PERCENT\"")),
    rule("ThresholdConfiguration", "value", Is("50")),
    rule("DeploymentAlarms", "alarmNames", NONE),
    rule("DeploymentAlarms", "rollback", FALSE),
    rule("DeploymentAlarms", "enable", FALSE),
    rule("DeploymentLifecycleHook", "targetType", Is("\"AWS_LAMBDA\"")),
    rule("DeploymentLifecycleHook", "hookTargetArn", NONE),
    rule("DeploymentLifecycleHook", "roleArn", NONE),
    rule("DeploymentLifecycleHook", "lifecycleStages", NONE),
    rule("DeploymentLifecycleHook", "hookDetails", NONE),
    rule("DeploymentLifecycleHook", "timeoutConfiguration", NONE),
    rule("DeploymentLifecycleHookTimeoutConfiguration", "timeoutInMinutes", Is("1440")),
    rule("DeploymentLifecycleHookTimeoutConfiguration", "action", Is("\"ROLLBACK\"")),
    rule("LinearConfiguration", "stepPercent", Is("10.0")),
    rule("LinearConfiguration", "stepBakeTimeInMinutes", Is("6")),
    rule("CanaryConfiguration", "canaryPercent", Is("5.0")),
    rule("CanaryConfiguration", "canaryBakeTimeInMinutes", Is("10")),
    rule("DeploymentEarlySuccessCriteria", "enable", FALSE),
    rule("DeploymentEarlySuccessCriteria", "healthyPercent", Is("100")),
    rule("DeploymentEarlySuccessCriteria", "sourceServiceRevisionCleanup", Is("\"BLOCKING\"")),
    rule("PlacementConstraint", "type", NONE),
    rule("PlacementConstraint", "expression", NONE),
    rule("PlacementStrategy", "type", NONE),
    text("PlacementStrategy", "field", NONE, Text::PlacementField),
    rule("NetworkConfiguration", "awsvpcConfiguration", NONE),
    rule("AwsVpcConfiguration", "subnets", NONE),
    // Without any, the default group of the VPC is used; there is no safe way back to it.
    rule("AwsVpcConfiguration", "securityGroups", STAYS),
    rule("AwsVpcConfiguration", "assignPublicIp", Is("\"DISABLED\"")),
    rule("DeploymentController", "type", Is("\"ECS\"")),
    rule("ServiceConnectConfiguration", "enabled", FALSE),
    text("ServiceConnectConfiguration", "namespace", ServerDecides, Text::Namespace),
    rule("ServiceConnectConfiguration", "services", NONE),
    rule("ServiceConnectConfiguration", "logConfiguration", NONE),
    rule("ServiceConnectConfiguration", "accessLogConfiguration", NONE),
    rule("ServiceConnectConfiguration", "containerConfigurations", NONE),
    rule("ServiceConnectService", "portName", NONE),
    rule("ServiceConnectService", "discoveryName", NONE),
    rule("ServiceConnectService", "clientAliases", NONE),
    rule("ServiceConnectService", "ingressPortOverride", UNSET),
    rule("ServiceConnectService", "timeout", NONE),
    rule("ServiceConnectService", "tls", NONE),
    rule("ServiceConnectClientAlias", "port", NONE),
    rule("ServiceConnectClientAlias", "dnsName", ServerDecides),
    rule("ServiceConnectClientAlias", "testTrafficRules", ServerDecides),
    rule("ServiceConnectTestTrafficRules", "header", NONE),
    rule("ServiceConnectTestTrafficHeaderRules", "name", NONE),
    rule("ServiceConnectTestTrafficHeaderRules", "value", NONE),
    rule("ServiceConnectTestTrafficHeaderMatchRules", "exact", NONE),
    rule("TimeoutConfiguration", "idleTimeoutSeconds", NONE),
    rule("TimeoutConfiguration", "perRequestTimeoutSeconds", NONE),
    rule("ServiceConnectTlsConfiguration", "issuerCertificateAuthority", NONE),
    rule("ServiceConnectTlsConfiguration", "kmsKey", NONE),
    rule("ServiceConnectTlsConfiguration", "roleArn", NONE),
    rule("ServiceConnectTlsCertificateAuthority", "awsPcaAuthorityArn", NONE),
    rule("ServiceConnectAccessLogConfiguration", "format", NONE),
    rule("ServiceConnectAccessLogConfiguration", "includeQueryParameters", Is("\"DISABLED\"")),
    rule("ServiceConnectContainerConfiguration", "logLevel", Is("\"info\"")),
    rule("ServiceVolumeConfiguration", "name", NONE),
    rule("ServiceVolumeConfiguration", "managedEBSVolume", NONE),
    rule("ServiceManagedEBSVolumeConfiguration", "encrypted", STAYS),
    rule("ServiceManagedEBSVolumeConfiguration", "kmsKeyId", NONE),
    rule("ServiceManagedEBSVolumeConfiguration", "volumeType", STAYS),
    rule("ServiceManagedEBSVolumeConfiguration", "sizeInGiB", STAYS),
    rule("ServiceManagedEBSVolumeConfiguration", "snapshotId", NONE),
    rule("ServiceManagedEBSVolumeConfiguration", "volumeInitializationRate", STAYS),
    rule("ServiceManagedEBSVolumeConfiguration", "iops", Absent::Stays(Some(3000))),
    rule("ServiceManagedEBSVolumeConfiguration", "throughput", Absent::Stays(Some(125))),
    rule("ServiceManagedEBSVolumeConfiguration", "tagSpecifications", NONE),
    rule("ServiceManagedEBSVolumeConfiguration", "roleArn", NONE),
    rule("ServiceManagedEBSVolumeConfiguration", "filesystemType", ServerDecides),
    rule("EBSTagSpecification", "resourceType", NONE),
    rule("EBSTagSpecification", "tags", NONE),
    rule("EBSTagSpecification", "propagateTags", Is("\"NONE\"")),
    rule("VpcLatticeConfiguration", "roleArn", NONE),
    rule("VpcLatticeConfiguration", "targetGroupArn", NONE),
    rule("VpcLatticeConfiguration", "portName", NONE),
    rule("VpcLatticeConfiguration", "advancedConfiguration", NONE),
    rule("VpcLatticeAdvancedConfiguration", "alternateTargetGroupArn", NONE),
    rule("VpcLatticeAdvancedConfiguration", "productionListenerRule", NONE),
    rule("VpcLatticeAdvancedConfiguration", "testListenerRule", NONE),
    rule("GatewayConnector", "portName", NONE),
    rule("GatewayConnector", "healthCheck", STAYS),
    rule("GatewayConnector", "filters", NONE),
    rule("GatewayConnector", "deregistrationDelay", NONE),
    rule("GatewayConnectorHealthCheck", "healthCheckProtocol", STAYS),
    rule("GatewayConnectorHealthCheck", "healthCheckPort", STAYS),
    rule("GatewayConnectorHealthCheck", "healthCheckPath", STAYS),
    rule("GatewayConnectorHealthCheck", "healthCheckTimeoutSeconds", STAYS),
    rule("GatewayConnectorHealthCheck", "healthCheckIntervalSeconds", STAYS),
    rule("GatewayConnectorHealthCheck", "healthyThresholdCount", STAYS),
    rule("GatewayConnectorHealthCheck", "unhealthyThresholdCount", STAYS),
    rule("GatewayConnectorHealthCheck", "matcher", STAYS),
    rule("GatewayConnectorHealthCheckMatcher", "httpCode", NONE),
    rule("GatewayConnectorHealthCheckMatcher", "grpcCode", NONE),
    rule("GatewayConnectorFilters", "accessTypes", NONE),
    rule("GatewayConnectorDeregistrationDelay", "timeoutSeconds", Is("300")),
    rule("MonitoringConfiguration", "metricConfigurations", NONE),
    rule("MetricConfiguration", "metricNames", NONE),
    rule("MetricConfiguration", "resolutionSeconds", NONE),
];

/// The members that a service revision holds: what a deployment brings and a rollback takes back.
pub const REVISION_MEMBERS: &[&str] = &[
    "capacityProviderStrategy",
    "launchType",
    "platformVersion",
    "loadBalancers",
    "serviceRegistries",
    "networkConfiguration",
    "serviceConnectConfiguration",
    "volumeConfigurations",
    "vpcLatticeConfigurations",
    "gatewayConnectors",
    "monitoring",
];

#[cfg(test)]
mod tests {
    use super::*;
    use lockstep_manifests::ecs::{Kind, Structure, shapes};
    use std::collections::BTreeSet;

    fn members(structure: &'static Structure, found: &mut BTreeSet<(String, String)>) {
        for member in structure.members {
            if !found.insert((structure.name.to_owned(), member.name.to_owned())) {
                return;
            }
            let mut kind = &member.kind;
            while let Kind::List(inner) | Kind::Map(inner) = kind {
                kind = inner;
            }
            if let Kind::Structure(inner) = kind {
                members(inner, found);
            }
        }
    }

    #[test]
    fn the_table_has_every_member_of_the_model_and_no_other() {
        let mut found = BTreeSet::new();
        members(&shapes::REGISTER_TASK_DEFINITION, &mut found);
        members(&shapes::CREATE_SERVICE, &mut found);
        let table: BTreeSet<_> = TABLE.iter().map(|rule| (rule.structure.to_owned(), rule.member.to_owned())).collect();
        assert_eq!(table.len(), TABLE.len(), "a row is defined twice");
        assert_eq!(found.difference(&table).collect::<Vec<_>>(), Vec::<&(String, String)>::new());
        assert_eq!(table.difference(&found).collect::<Vec<_>>(), Vec::<&(String, String)>::new());
    }

    #[test]
    fn every_default_and_removal_is_json_and_only_services_members_have_a_change() {
        for rule in TABLE {
            let texts = match rule.absent {
                Absent::Is(text) | OnFargate(text) | OnLinuxInstances(text) => vec![text],
                Absent::ByScheduling(replica, daemon) => vec![replica, daemon],
                _ => vec![],
            };
            for text in texts.into_iter().chain(rule.change.and_then(|change| change.remove)) {
                assert!(serde_json::from_str::<serde_json::Value>(text).is_ok(), "{}.{}", rule.structure, rule.member);
            }
            assert_eq!(rule.change.is_some(), rule.structure == "Service", "{}.{}", rule.structure, rule.member);
        }
    }

    #[test]
    fn what_update_service_lacks_is_never_called_changeable() {
        for rule in TABLE.iter().filter(|rule| rule.structure == "Service") {
            let updatable = shapes::UPDATE_SERVICE_MEMBERS.contains(&rule.member);
            let effect = rule.change.expect("service members have one").effect;
            if !updatable && !matches!(rule.member, "launchType" | "tags" | "clientToken") {
                assert_eq!(effect, Replace, "{}", rule.member);
            }
        }
    }
}
