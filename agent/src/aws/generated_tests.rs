//! The generated conversions lose nothing: every member of every shape, filled, survives the way to
//! the SDK and back. Only what the SDK lacks (`in_sdk` in the tables) may be missing.

use std::collections::BTreeSet;
use std::fmt::Debug;

use aws_sdk_ecs::Client;
use aws_sdk_ecs::config::BehaviorVersion;
use aws_sdk_ecs::operation::create_service::CreateServiceInput;
use aws_sdk_ecs::operation::register_task_definition::RegisterTaskDefinitionInput;
use aws_sdk_ecs::operation::update_service::UpdateServiceInput;
use aws_sdk_ecs::types as sdk;
use aws_smithy_types::error::operation::BuildError;
use lockstep_manifests::ecs::types as ecs;
use lockstep_manifests::ecs::{Kind, Structure, shapes};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::generated;

/// Checks each row, and that no shape that the SDK has is without one.
macro_rules! nested_shapes {
    ($($table:ident: $shape:ident, $to_sdk:ident, $from_sdk:ident;)*) => {
        #[test]
        fn nested_shapes_survive_the_way_to_the_sdk_and_back() {
            $(round_trip::<ecs::$shape, _>(&shapes::$table, generated::$to_sdk, generated::$from_sdk);)*
        }

        #[test]
        fn every_nested_shape_that_the_sdk_has_is_checked() {
            let checked = BTreeSet::from([$(shapes::$table.name),*]);
            let mut reachable = BTreeSet::new();
            collect(&shapes::REGISTER_TASK_DEFINITION, &mut reachable);
            collect(&shapes::CREATE_SERVICE, &mut reachable);
            assert_eq!(checked, reachable);
        }
    };
}

nested_shapes! {
    CONTAINER_DEFINITION: ContainerDefinition, container_definition_to_sdk, container_definition_from_sdk;
    REPOSITORY_CREDENTIALS: RepositoryCredentials, repository_credentials_to_sdk, repository_credentials_from_sdk;
    PORT_MAPPING: PortMapping, port_mapping_to_sdk, port_mapping_from_sdk;
    CONTAINER_RESTART_POLICY: ContainerRestartPolicy, container_restart_policy_to_sdk, container_restart_policy_from_sdk;
    KEY_VALUE_PAIR: KeyValuePair, key_value_pair_to_sdk, key_value_pair_from_sdk;
    ENVIRONMENT_FILE: EnvironmentFile, environment_file_to_sdk, environment_file_from_sdk;
    MOUNT_POINT: MountPoint, mount_point_to_sdk, mount_point_from_sdk;
    VOLUME_FROM: VolumeFrom, volume_from_to_sdk, volume_from_from_sdk;
    LINUX_PARAMETERS: LinuxParameters, linux_parameters_to_sdk, linux_parameters_from_sdk;
    KERNEL_CAPABILITIES: KernelCapabilities, kernel_capabilities_to_sdk, kernel_capabilities_from_sdk;
    DEVICE: Device, device_to_sdk, device_from_sdk;
    TMPFS: Tmpfs, tmpfs_to_sdk, tmpfs_from_sdk;
    SECRET: Secret, secret_to_sdk, secret_from_sdk;
    CONTAINER_DEPENDENCY: ContainerDependency, container_dependency_to_sdk, container_dependency_from_sdk;
    HOST_ENTRY: HostEntry, host_entry_to_sdk, host_entry_from_sdk;
    ULIMIT: Ulimit, ulimit_to_sdk, ulimit_from_sdk;
    LOG_CONFIGURATION: LogConfiguration, log_configuration_to_sdk, log_configuration_from_sdk;
    HEALTH_CHECK: HealthCheck, health_check_to_sdk, health_check_from_sdk;
    SYSTEM_CONTROL: SystemControl, system_control_to_sdk, system_control_from_sdk;
    RESOURCE_REQUIREMENT: ResourceRequirement, resource_requirement_to_sdk, resource_requirement_from_sdk;
    SHARING_STRATEGY: SharingStrategy, sharing_strategy_to_sdk, sharing_strategy_from_sdk;
    NVIDIA_MPS_ALLOCATION: NvidiaMpsAllocation, nvidia_mps_allocation_to_sdk, nvidia_mps_allocation_from_sdk;
    FIRELENS_CONFIGURATION: FirelensConfiguration, firelens_configuration_to_sdk, firelens_configuration_from_sdk;
    VOLUME: Volume, volume_to_sdk, volume_from_sdk;
    HOST_VOLUME_PROPERTIES: HostVolumeProperties, host_volume_properties_to_sdk, host_volume_properties_from_sdk;
    DOCKER_VOLUME_CONFIGURATION: DockerVolumeConfiguration, docker_volume_configuration_to_sdk, docker_volume_configuration_from_sdk;
    EFS_VOLUME_CONFIGURATION: EfsVolumeConfiguration, efs_volume_configuration_to_sdk, efs_volume_configuration_from_sdk;
    EFS_AUTHORIZATION_CONFIG: EfsAuthorizationConfig, efs_authorization_config_to_sdk, efs_authorization_config_from_sdk;
    S3_FILES_VOLUME_CONFIGURATION: S3FilesVolumeConfiguration, s3_files_volume_configuration_to_sdk, s3_files_volume_configuration_from_sdk;
    FSX_WINDOWS_FILE_SERVER_VOLUME_CONFIGURATION: FSxWindowsFileServerVolumeConfiguration, fsx_windows_file_server_volume_configuration_to_sdk, fsx_windows_file_server_volume_configuration_from_sdk;
    FSX_WINDOWS_FILE_SERVER_AUTHORIZATION_CONFIG: FSxWindowsFileServerAuthorizationConfig, fsx_windows_file_server_authorization_config_to_sdk, fsx_windows_file_server_authorization_config_from_sdk;
    TASK_DEFINITION_PLACEMENT_CONSTRAINT: TaskDefinitionPlacementConstraint, task_definition_placement_constraint_to_sdk, task_definition_placement_constraint_from_sdk;
    TAG: Tag, tag_to_sdk, tag_from_sdk;
    PROXY_CONFIGURATION: ProxyConfiguration, proxy_configuration_to_sdk, proxy_configuration_from_sdk;
    INFERENCE_ACCELERATOR: InferenceAccelerator, inference_accelerator_to_sdk, inference_accelerator_from_sdk;
    EPHEMERAL_STORAGE: EphemeralStorage, ephemeral_storage_to_sdk, ephemeral_storage_from_sdk;
    RUNTIME_PLATFORM: RuntimePlatform, runtime_platform_to_sdk, runtime_platform_from_sdk;
    LOAD_BALANCER: LoadBalancer, load_balancer_to_sdk, load_balancer_from_sdk;
    ADVANCED_CONFIGURATION: AdvancedConfiguration, advanced_configuration_to_sdk, advanced_configuration_from_sdk;
    SERVICE_REGISTRY: ServiceRegistry, service_registry_to_sdk, service_registry_from_sdk;
    CAPACITY_PROVIDER_STRATEGY_ITEM: CapacityProviderStrategyItem, capacity_provider_strategy_item_to_sdk, capacity_provider_strategy_item_from_sdk;
    DEPLOYMENT_CONFIGURATION: DeploymentConfiguration, deployment_configuration_to_sdk, deployment_configuration_from_sdk;
    DEPLOYMENT_CIRCUIT_BREAKER: DeploymentCircuitBreaker, deployment_circuit_breaker_to_sdk, deployment_circuit_breaker_from_sdk;
    THRESHOLD_CONFIGURATION: ThresholdConfiguration, threshold_configuration_to_sdk, threshold_configuration_from_sdk;
    DEPLOYMENT_ALARMS: DeploymentAlarms, deployment_alarms_to_sdk, deployment_alarms_from_sdk;
    DEPLOYMENT_LIFECYCLE_HOOK: DeploymentLifecycleHook, deployment_lifecycle_hook_to_sdk, deployment_lifecycle_hook_from_sdk;
    DEPLOYMENT_LIFECYCLE_HOOK_TIMEOUT_CONFIGURATION: DeploymentLifecycleHookTimeoutConfiguration, deployment_lifecycle_hook_timeout_configuration_to_sdk, deployment_lifecycle_hook_timeout_configuration_from_sdk;
    LINEAR_CONFIGURATION: LinearConfiguration, linear_configuration_to_sdk, linear_configuration_from_sdk;
    CANARY_CONFIGURATION: CanaryConfiguration, canary_configuration_to_sdk, canary_configuration_from_sdk;
    DEPLOYMENT_EARLY_SUCCESS_CRITERIA: DeploymentEarlySuccessCriteria, deployment_early_success_criteria_to_sdk, deployment_early_success_criteria_from_sdk;
    PLACEMENT_CONSTRAINT: PlacementConstraint, placement_constraint_to_sdk, placement_constraint_from_sdk;
    PLACEMENT_STRATEGY: PlacementStrategy, placement_strategy_to_sdk, placement_strategy_from_sdk;
    NETWORK_CONFIGURATION: NetworkConfiguration, network_configuration_to_sdk, network_configuration_from_sdk;
    AWS_VPC_CONFIGURATION: AwsVpcConfiguration, aws_vpc_configuration_to_sdk, aws_vpc_configuration_from_sdk;
    DEPLOYMENT_CONTROLLER: DeploymentController, deployment_controller_to_sdk, deployment_controller_from_sdk;
    SERVICE_CONNECT_CONFIGURATION: ServiceConnectConfiguration, service_connect_configuration_to_sdk, service_connect_configuration_from_sdk;
    SERVICE_CONNECT_SERVICE: ServiceConnectService, service_connect_service_to_sdk, service_connect_service_from_sdk;
    SERVICE_CONNECT_CLIENT_ALIAS: ServiceConnectClientAlias, service_connect_client_alias_to_sdk, service_connect_client_alias_from_sdk;
    SERVICE_CONNECT_TEST_TRAFFIC_RULES: ServiceConnectTestTrafficRules, service_connect_test_traffic_rules_to_sdk, service_connect_test_traffic_rules_from_sdk;
    SERVICE_CONNECT_TEST_TRAFFIC_HEADER_RULES: ServiceConnectTestTrafficHeaderRules, service_connect_test_traffic_header_rules_to_sdk, service_connect_test_traffic_header_rules_from_sdk;
    SERVICE_CONNECT_TEST_TRAFFIC_HEADER_MATCH_RULES: ServiceConnectTestTrafficHeaderMatchRules, service_connect_test_traffic_header_match_rules_to_sdk, service_connect_test_traffic_header_match_rules_from_sdk;
    TIMEOUT_CONFIGURATION: TimeoutConfiguration, timeout_configuration_to_sdk, timeout_configuration_from_sdk;
    SERVICE_CONNECT_TLS_CONFIGURATION: ServiceConnectTlsConfiguration, service_connect_tls_configuration_to_sdk, service_connect_tls_configuration_from_sdk;
    SERVICE_CONNECT_TLS_CERTIFICATE_AUTHORITY: ServiceConnectTlsCertificateAuthority, service_connect_tls_certificate_authority_to_sdk, service_connect_tls_certificate_authority_from_sdk;
    SERVICE_CONNECT_ACCESS_LOG_CONFIGURATION: ServiceConnectAccessLogConfiguration, service_connect_access_log_configuration_to_sdk, service_connect_access_log_configuration_from_sdk;
    SERVICE_CONNECT_CONTAINER_CONFIGURATION: ServiceConnectContainerConfiguration, service_connect_container_configuration_to_sdk, service_connect_container_configuration_from_sdk;
    SERVICE_VOLUME_CONFIGURATION: ServiceVolumeConfiguration, service_volume_configuration_to_sdk, service_volume_configuration_from_sdk;
    SERVICE_MANAGED_EBS_VOLUME_CONFIGURATION: ServiceManagedEbsVolumeConfiguration, service_managed_ebs_volume_configuration_to_sdk, service_managed_ebs_volume_configuration_from_sdk;
    EBS_TAG_SPECIFICATION: EbsTagSpecification, ebs_tag_specification_to_sdk, ebs_tag_specification_from_sdk;
    VPC_LATTICE_CONFIGURATION: VpcLatticeConfiguration, vpc_lattice_configuration_to_sdk, vpc_lattice_configuration_from_sdk;
    VPC_LATTICE_ADVANCED_CONFIGURATION: VpcLatticeAdvancedConfiguration, vpc_lattice_advanced_configuration_to_sdk, vpc_lattice_advanced_configuration_from_sdk;
    GATEWAY_CONNECTOR: GatewayConnector, gateway_connector_to_sdk, gateway_connector_from_sdk;
    GATEWAY_CONNECTOR_HEALTH_CHECK: GatewayConnectorHealthCheck, gateway_connector_health_check_to_sdk, gateway_connector_health_check_from_sdk;
    GATEWAY_CONNECTOR_HEALTH_CHECK_MATCHER: GatewayConnectorHealthCheckMatcher, gateway_connector_health_check_matcher_to_sdk, gateway_connector_health_check_matcher_from_sdk;
    GATEWAY_CONNECTOR_FILTERS: GatewayConnectorFilters, gateway_connector_filters_to_sdk, gateway_connector_filters_from_sdk;
    MONITORING_CONFIGURATION: MonitoringConfiguration, monitoring_configuration_to_sdk, monitoring_configuration_from_sdk;
    METRIC_CONFIGURATION: MetricConfiguration, metric_configuration_to_sdk, metric_configuration_from_sdk;
}

#[test]
fn a_task_definition_survives_the_way_to_the_sdk_and_back() {
    let table = &shapes::REGISTER_TASK_DEFINITION;
    let filled = Sampler::default().structure(table);
    let builder = generated::register_task_definition(client().register_task_definition(), &typed(&filled))
        .expect("because every required member is there");
    let input = builder.as_input().clone().build().expect("because an input has no required fields");

    let mut expected: ecs::TaskDefinition = typed(&without_what_the_sdk_lacks(filled, table));
    let tags = input.tags.iter().flatten().map(generated::tag_from_sdk).collect();
    assert_eq!(Some(tags), expected.tags.take());
    assert_eq!(generated::task_definition_from_sdk(&registered(input)), expected);
}

#[test]
fn a_service_survives_the_way_to_the_sdk_and_back() {
    let (expected, input) = created();

    assert_eq!(input.client_token, expected.client_token);
    let rest_of_revision = generated::service_members_of_revision(&revision(&input));
    let service = ecs::Service {
        client_token: expected.client_token.clone(),
        service_connect_configuration: rest_of_revision.service_connect_configuration,
        volume_configurations: rest_of_revision.volume_configurations,
        vpc_lattice_configurations: rest_of_revision.vpc_lattice_configurations,
        gateway_connectors: rest_of_revision.gateway_connectors,
        monitoring: rest_of_revision.monitoring,
        ..generated::service_from_sdk(&described(input))
    };
    assert_eq!(service, expected);
}

#[test]
fn a_service_revision_holds_what_starts_a_deployment() {
    let (filled, input) = created();

    let expected = ecs::Service {
        task_definition: filled.task_definition,
        load_balancers: filled.load_balancers,
        service_registries: filled.service_registries,
        launch_type: filled.launch_type,
        capacity_provider_strategy: filled.capacity_provider_strategy,
        platform_version: filled.platform_version,
        network_configuration: filled.network_configuration,
        service_connect_configuration: filled.service_connect_configuration,
        volume_configurations: filled.volume_configurations,
        vpc_lattice_configurations: filled.vpc_lattice_configurations,
        gateway_connectors: filled.gateway_connectors,
        monitoring: filled.monitoring,
        ..ecs::Service::default()
    };
    assert_eq!(generated::service_members_of_revision(&revision(&input)), expected);
}

#[test]
fn a_deployment_holds_what_it_runs() {
    let (filled, input) = created();
    let deployment = sdk::Deployment::builder()
        .set_task_definition(input.task_definition)
        .set_desired_count(input.desired_count)
        .set_launch_type(input.launch_type)
        .set_capacity_provider_strategy(input.capacity_provider_strategy)
        .set_platform_version(input.platform_version)
        .set_network_configuration(input.network_configuration)
        .set_service_connect_configuration(input.service_connect_configuration)
        .set_volume_configurations(input.volume_configurations)
        .set_vpc_lattice_configurations(input.vpc_lattice_configurations)
        .build();

    let expected = ecs::Service {
        task_definition: filled.task_definition,
        desired_count: filled.desired_count,
        launch_type: filled.launch_type,
        capacity_provider_strategy: filled.capacity_provider_strategy,
        platform_version: filled.platform_version,
        network_configuration: filled.network_configuration,
        service_connect_configuration: filled.service_connect_configuration,
        volume_configurations: filled.volume_configurations,
        vpc_lattice_configurations: filled.vpc_lattice_configurations,
        ..ecs::Service::default()
    };
    assert_eq!(generated::service_members_of_deployment(&deployment), expected);
}

#[test]
fn an_update_carries_every_member_that_it_may() {
    let (filled, created) = created();
    let sent = update(&filled);

    let expected = UpdateServiceInput::builder()
        .set_cluster(created.cluster)
        .set_desired_count(created.desired_count)
        .set_task_definition(created.task_definition)
        .set_capacity_provider_strategy(created.capacity_provider_strategy)
        .set_deployment_configuration(created.deployment_configuration)
        .set_availability_zone_rebalancing(created.availability_zone_rebalancing)
        .set_network_configuration(created.network_configuration)
        .set_placement_constraints(created.placement_constraints)
        .set_placement_strategy(created.placement_strategy)
        .set_platform_version(created.platform_version)
        .set_health_check_grace_period_seconds(created.health_check_grace_period_seconds)
        .set_deployment_controller(created.deployment_controller)
        .set_enable_execute_command(created.enable_execute_command)
        .set_enable_ecs_managed_tags(created.enable_ecs_managed_tags)
        .set_load_balancers(created.load_balancers)
        .set_propagate_tags(created.propagate_tags)
        .set_service_registries(created.service_registries)
        .set_service_connect_configuration(created.service_connect_configuration)
        .set_volume_configurations(created.volume_configurations)
        .set_vpc_lattice_configurations(created.vpc_lattice_configurations)
        .set_gateway_connectors(created.gateway_connectors)
        .set_monitoring(created.monitoring)
        .build()
        .expect("because an input has no required fields");
    assert_eq!(sent, expected);
    // `service` names the target and `forceNewDeployment` is an order: neither is a service's member.
    let of_a_service = |name: &&str| shapes::CREATE_SERVICE.member(name).is_some();
    let not_of_a_service: Vec<_> = shapes::UPDATE_SERVICE_MEMBERS.iter().filter(|name| !of_a_service(name)).collect();
    assert_eq!(not_of_a_service, [&"service", &"forceNewDeployment"]);
}

#[test]
fn an_empty_list_is_sent_and_an_absent_one_is_not() {
    let sent = update(&ecs::Service { load_balancers: Some(vec![]), ..ecs::Service::default() });

    assert_eq!(sent.load_balancers, Some(vec![]));
    assert_eq!(sent.service_registries, None);
}

#[test]
fn what_a_service_leaves_out_stays_as_the_builder_has_it() {
    let builder = client().update_service().cluster("kept");
    let builder = generated::update_service(builder, &ecs::Service::default()).expect("because nothing is converted");

    assert_eq!(builder.get_cluster().as_deref(), Some("kept"));
}

#[test]
fn an_unknown_value_of_an_enumeration_passes_through() {
    let hook = ecs::DeploymentLifecycleHook {
        target_type: Some("TOMORROW".to_string()),
        lifecycle_stages: Some(vec!["NEXT_WEEK".to_string()]),
        ..ecs::DeploymentLifecycleHook::default()
    };
    let sent = generated::deployment_lifecycle_hook_to_sdk(&hook).expect("because nothing is required");

    assert_eq!(generated::deployment_lifecycle_hook_from_sdk(&sent), hook);
}

#[test]
fn a_text_that_only_the_sdk_requires_is_absent_when_empty() {
    let answered = sdk::ResourceRequirement::builder()
        .r#type(sdk::ResourceType::Gpu)
        .value("")
        .build()
        .expect("because both are there");

    assert_eq!(generated::resource_requirement_from_sdk(&answered).value, None);
}

#[test]
fn a_missing_required_member_is_an_error() {
    let secret = ecs::Secret { name: Some("KEY".to_string()), ..ecs::Secret::default() };
    let error = generated::secret_to_sdk(&secret).expect_err("because valueFrom is required");
    assert!(error.to_string().contains("value_from"), "{error}");

    generated::sharing_strategy_to_sdk(&ecs::SharingStrategy::default()).expect_err("because a union needs a member");
}

fn round_trip<E, S>(table: &Structure, to_sdk: fn(&E) -> Result<S, BuildError>, from_sdk: fn(&S) -> E)
where
    E: DeserializeOwned + PartialEq + Debug,
{
    let filled = Sampler::default().structure(table);
    let sent = to_sdk(&typed(&filled)).unwrap_or_else(|error| panic!("{}: {error}", table.name));
    let expected: E = typed(&without_what_the_sdk_lacks(filled, table));
    assert_eq!(from_sdk(&sent), expected, "{}", table.name);
}

/// A service with every member that the SDK has, and the request that creates it.
fn created() -> (ecs::Service, CreateServiceInput) {
    let table = &shapes::CREATE_SERVICE;
    let filled = Sampler::default().structure(table);
    let builder = generated::create_service(client().create_service(), &typed(&filled))
        .expect("because every required member is there");
    let input = builder.as_input().clone().build().expect("because an input has no required fields");
    (typed(&without_what_the_sdk_lacks(filled, table)), input)
}

fn update(service: &ecs::Service) -> UpdateServiceInput {
    let builder =
        generated::update_service(client().update_service(), service).expect("because every required member is there");
    builder.as_input().clone().build().expect("because an input has no required fields")
}

/// What ECS returns of a task definition that was registered so.
#[expect(deprecated, reason = "inferenceAccelerators may still stand in a task definition")]
fn registered(input: RegisterTaskDefinitionInput) -> sdk::TaskDefinition {
    sdk::TaskDefinition::builder()
        .set_family(input.family)
        .set_task_role_arn(input.task_role_arn)
        .set_execution_role_arn(input.execution_role_arn)
        .set_network_mode(input.network_mode)
        .set_container_definitions(input.container_definitions)
        .set_volumes(input.volumes)
        .set_placement_constraints(input.placement_constraints)
        .set_requires_compatibilities(input.requires_compatibilities)
        .set_cpu(input.cpu)
        .set_memory(input.memory)
        .set_pid_mode(input.pid_mode)
        .set_ipc_mode(input.ipc_mode)
        .set_proxy_configuration(input.proxy_configuration)
        .set_inference_accelerators(input.inference_accelerators)
        .set_ephemeral_storage(input.ephemeral_storage)
        .set_runtime_platform(input.runtime_platform)
        .set_enable_fault_injection(input.enable_fault_injection)
        .build()
}

/// What ECS returns of a service that was created so.
fn described(input: CreateServiceInput) -> sdk::Service {
    sdk::Service::builder()
        .set_cluster_arn(input.cluster)
        .set_service_name(input.service_name)
        .set_task_definition(input.task_definition)
        .set_availability_zone_rebalancing(input.availability_zone_rebalancing)
        .set_load_balancers(input.load_balancers)
        .set_service_registries(input.service_registries)
        .set_desired_count(input.desired_count)
        .set_launch_type(input.launch_type)
        .set_capacity_provider_strategy(input.capacity_provider_strategy)
        .set_platform_version(input.platform_version)
        .set_role_arn(input.role)
        .set_deployment_configuration(input.deployment_configuration)
        .set_placement_constraints(input.placement_constraints)
        .set_placement_strategy(input.placement_strategy)
        .set_network_configuration(input.network_configuration)
        .set_health_check_grace_period_seconds(input.health_check_grace_period_seconds)
        .set_scheduling_strategy(input.scheduling_strategy)
        .set_deployment_controller(input.deployment_controller)
        .set_tags(input.tags)
        .set_enable_ecs_managed_tags(input.enable_ecs_managed_tags)
        .set_propagate_tags(input.propagate_tags)
        .set_enable_execute_command(input.enable_execute_command)
        .build()
}

/// The service revision of a service that was created so.
fn revision(input: &CreateServiceInput) -> sdk::ServiceRevision {
    let input = input.clone();
    sdk::ServiceRevision::builder()
        .set_task_definition(input.task_definition)
        .set_load_balancers(input.load_balancers)
        .set_service_registries(input.service_registries)
        .set_launch_type(input.launch_type)
        .set_capacity_provider_strategy(input.capacity_provider_strategy)
        .set_platform_version(input.platform_version)
        .set_network_configuration(input.network_configuration)
        .set_service_connect_configuration(input.service_connect_configuration)
        .set_volume_configurations(input.volume_configurations)
        .set_vpc_lattice_configurations(input.vpc_lattice_configurations)
        .set_gateway_connectors(input.gateway_connectors)
        .set_monitoring(input.monitoring)
        .build()
}

/// A client is needed to hold a request, which is never sent.
fn client() -> Client {
    Client::from_conf(aws_sdk_ecs::Config::builder().behavior_version(BehaviorVersion::latest()).build())
}

fn typed<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).expect("because the tables and the types are of one model")
}

fn without_what_the_sdk_lacks(value: Value, table: &Structure) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(|item| without_what_the_sdk_lacks(item, table)).collect(),
        Value::Object(members) => {
            let mut kept = Map::new();
            for (name, value) in members {
                let member = table.member(&name).expect("because the value was made from the table");
                if member.in_sdk {
                    let value = match member.kind.structure() {
                        Some(inner) => without_what_the_sdk_lacks(value, inner),
                        None => value,
                    };
                    kept.insert(name, value);
                }
            }
            Value::Object(kept)
        }
        other => other,
    }
}

fn collect(table: &'static Structure, into: &mut BTreeSet<&'static str>) {
    for member in table.members.iter().filter(|member| member.in_sdk) {
        if let Some(structure) = member.kind.structure()
            && into.insert(structure.name)
        {
            collect(structure, into);
        }
    }
}

/// Fills every member, with values that differ from one another.
#[derive(Default)]
struct Sampler {
    samples: i32,
}

impl Sampler {
    fn structure(&mut self, table: &Structure) -> Value {
        let members = table.members.iter().map(|member| (member.name.to_string(), self.value(&member.kind)));
        Value::Object(members.collect())
    }

    fn value(&mut self, kind: &Kind) -> Value {
        self.samples += 1;
        let sample = self.samples;
        match kind {
            Kind::String => json!(format!("text {sample}")),
            Kind::Enum(values) => {
                let choice = usize::try_from(sample).expect("because samples are counted up") % values.len();
                json!(values[choice])
            }
            Kind::Integer => json!(sample),
            Kind::Long => json!(i64::from(sample) << 32),
            Kind::Double => json!(f64::from(sample) + 0.5),
            Kind::Boolean => json!(sample % 2 == 0),
            Kind::Document => json!({
                "text": format!("text {sample}"),
                "numbers": [sample, -sample, f64::from(sample) + 0.5],
                "nested": { "flag": true, "nothing": null },
            }),
            Kind::Structure(structure) => self.structure(structure),
            Kind::List(element) => json!([self.value(element), self.value(element)]),
            Kind::Map(value) => {
                json!({ format!("key {sample}"): self.value(value), "last": self.value(value) })
            }
        }
    }
}
