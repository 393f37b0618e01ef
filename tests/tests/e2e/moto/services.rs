//! The repository's files: services that together use most of what ECS has.

use lockstep_tests::moto::REGION;

pub(crate) fn config(account: &str, cluster: &str) -> String {
    format!(
        r#"version: 1
defaults:
  service:
    deploymentConfiguration: {{ deploymentCircuitBreaker: {{ enable: true, rollback: true }} }}
    propagateTags: SERVICE
    tags: {{ team: shop }}
environments:
  prod:
    account: "{account}"
    region: {REGION}
    cluster: {cluster}
    vars: {{ domain: shop.example }}
    sync: {{ mode: converge }}
"#
    )
}

/// Fargate, keyed form, inline, with most of what a container has.
pub(crate) const WEB: &str = r#"
components: [fargate, router]
taskDefinition:
  cpu: "512"
  memory: 1 GB
  executionRoleArn: "arn:aws:iam::${{ account }}:role/execution"
  runtimePlatform: { cpuArchitecture: ARM64, operatingSystemFamily: LINUX }
  tags: { team: shop }
  containerDefinitions:
    web:
      image: "${{ account }}.dkr.ecr.${{ region }}.amazonaws.com/web"
      portMappings: { 8080: { name: http, appProtocol: http } }
      environment: { PUBLIC_URL: "https://${{ vars.domain }}", LOG_LEVEL: info, EMPTY: "" }
      secrets: { STRIPE_KEY: "${{ secret:shop/stripe }}", DATABASE_URL: /shop/url }
      ulimits: { nofile: { softLimit: 65536, hardLimit: 65536 } }
      dependsOn: { router: START }
      healthCheck:
        command: [CMD-SHELL, "curl -fsS http://localhost:8080/ || exit 1"]
        interval: 15
        startPeriod: 10
      logConfiguration:
        logDriver: awsfirelens
        options: { Name: cloudwatch_logs, region: "${{ region }}" }
service:
  desiredCount: 2
  launchType: FARGATE
  healthCheckGracePeriodSeconds: 30
  enableECSManagedTags: true
  tags: { data-class: public }
"#;

pub(crate) const FARGATE: &str = r#"
taskDefinition: { networkMode: awsvpc, requiresCompatibilities: [FARGATE] }
service:
  networkConfiguration:
    awsvpcConfiguration: { subnets: "${{ ssm:/network/subnets }}", securityGroups: ["${{ ssm:/network/group }}"] }
"#;

pub(crate) const ROUTER: &str = r#"
taskDefinition:
  containerDefinitions:
    router:
      image: public.ecr.aws/aws-observability/aws-for-fluent-bit:2.32.5
      essential: true
      memoryReservation: 50
      user: "0"
      firelensConfiguration: { type: fluentbit, options: { enable-ecs-log-metadata: "true" } }
"#;

/// A worker.
pub(crate) const WORKER: &str = r#"
components: [fargate]
taskDefinition:
  cpu: .25 vCPU
  memory: 512
  ephemeralStorage: { sizeInGiB: 30 }
  containerDefinitions:
    worker: { image: "worker:2.11.0", command: [worker, --queue, orders], stopTimeout: 90, restartPolicy: { enabled: true, ignoredExitCodes: [0] } }
service:
  desiredCount: 2
  launchType: FARGATE
  deploymentConfiguration: { minimumHealthyPercent: 50 }
"#;

/// EC2 in bridge mode, as lists. (ECS takes a container with `memoryReservation` alone; moto wants `memory` on EC2.)
pub(crate) const SEARCH: &str = r#"
family: search
networkMode: bridge
requiresCompatibilities: [EC2]
volumes: [{ name: index, host: { sourcePath: /var/lib/search } }]
placementConstraints: [{ type: memberOf, expression: "attribute:disk == ssd" }]
containerDefinitions:
  - name: search
    image: docker.io/opensearchproject/opensearch:2.19.1
    cpu: 512
    memory: 2048
    memoryReservation: 1024
    portMappings: [{ containerPort: 9200, hostPort: 0 }]
    mountPoints: [{ sourceVolume: index, containerPath: /data }]
    environment: [{ name: discovery.type, value: single-node }]
    linuxParameters: { initProcessEnabled: true, capabilities: { add: [SYS_PTRACE] } }
    ulimits: [{ name: memlock, softLimit: -1, hardLimit: -1 }]
    dockerLabels: { owner: search }
    hostname: search
    extraHosts: [{ hostname: db, ipAddress: 10.0.0.9 }]
"#;

pub(crate) const SEARCH_SERVICE: &str = r#"
service:
  desiredCount: 1
  launchType: EC2
  placementStrategy: [{ type: spread, field: "attribute:ecs.availability-zone" }]
  placementConstraints: [{ type: distinctInstance }]
  deploymentConfiguration: { maximumPercent: 100, minimumHealthyPercent: 0 }
"#;

/// Two JSON files in AWS's own shape.
pub(crate) const MAILER: &str = r#"{
  "family": "mailer", "cpu": "256", "memory": "512", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"],
  "taskRoleArn": "arn:aws:iam::${{ account }}:role/mailer", "executionRoleArn": "execution", "containerDefinitions": [{
    "name": "mailer", "image": "mailer:0.9.4", "essential": true, "readonlyRootFilesystem": true,
    "environment": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}],
    "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "/shop", "awslogs-region": "${{ region }}", "awslogs-stream-prefix": "mailer"}}}]
}"#;

pub(crate) const MAILER_SERVICE: &str = r#"{
  "serviceName": "mailer", "desiredCount": 1, "launchType": "FARGATE", "schedulingStrategy": "REPLICA", "platformVersion": "LATEST",
  "networkConfiguration": {"awsvpcConfiguration": {"subnets": "${{ ssm:/network/subnets }}", "securityGroups": ["${{ ssm:/network/group }}"],
    "assignPublicIp": "DISABLED"}}, "enableExecuteCommand": true, "availabilityZoneRebalancing": "ENABLED"
}"#;

/// One task on each instance.
pub(crate) const COLLECTOR: &str = r#"
taskDefinition:
  networkMode: host
  requiresCompatibilities: [EC2]
  containerDefinitions: { collector: { image: "collector:1", memory: 64, privileged: true } }
service: { launchType: EC2, schedulingStrategy: DAEMON }
"#;

/// Behind a target group, and in a registry.
pub(crate) const SHOP: &str = r#"
components: [fargate]
taskDefinition:
  cpu: "256"
  memory: "512"
  containerDefinitions: { shop: { image: "shop:1", portMappings: { 80: { name: http } } } }
service:
  desiredCount: 1
  launchType: FARGATE
  loadBalancers:
    - targetGroupArn: "arn:aws:elasticloadbalancing:${{ region }}:${{ account }}:targetgroup/shop/50dc6c495c0c9188"
      containerName: shop
      containerPort: 80
  serviceRegistries:
    - { registryArn: "arn:aws:servicediscovery:eu-central-1:123456789012:service/srv-1", containerName: shop, containerPort: 80 }
"#;

/// What moto is known to drop, beside what it keeps.
pub(crate) const CHAOS: &str = r#"
components: [fargate]
taskDefinition:
  cpu: "256"
  memory: "512"
  pidMode: task
  enableFaultInjection: true
  containerDefinitions: { app: { image: "app:1", versionConsistency: disabled } }
service: { desiredCount: 1, launchType: FARGATE }
"#;

pub(crate) const MESH: &str = r#"
components: [fargate]
taskDefinition:
  cpu: "256"
  memory: "512"
  containerDefinitions: { shop: { image: "shop:1", portMappings: { 80: { name: http } } } }
service:
  desiredCount: 1
  launchType: FARGATE
  serviceConnectConfiguration:
    enabled: true
    namespace: "arn:aws:servicediscovery:${{ region }}:${{ account }}:namespace/ns-1"
    services: [{ portName: http, clientAliases: [{ port: 80, dnsName: shop }] }]
"#;

pub(crate) const DISKS: &str = r#"
components: [fargate]
taskDefinition:
  cpu: "256"
  memory: "512"
  volumes:
    data: { configuredAtLaunch: true }
    shared: { efsVolumeConfiguration: { fileSystemId: fs-1, rootDirectory: /shop, transitEncryption: ENABLED } }
  containerDefinitions:
    app:
      image: "app:1"
      mountPoints: [{ sourceVolume: data, containerPath: /data }, { sourceVolume: shared, containerPath: /shared, readOnly: true }]
service:
  desiredCount: 1
  launchType: FARGATE
  volumeConfigurations:
    data: { managedEBSVolume: { sizeInGiB: 20, volumeType: gp3, roleArn: "arn:aws:iam::${{ account }}:role/ecs-volumes" } }
"#;

/// Whatever else a container may have.
pub(crate) const BREADTH: &str = r#"
taskDefinition:
  networkMode: awsvpc
  requiresCompatibilities: [EC2]
  executionRoleArn: execution
  ipcMode: task
  proxyConfiguration:
    type: APPMESH
    containerName: envoy
    properties: { AppPorts: "8080", EgressIgnoredIPs: 169.254.170.2 }
  containerDefinitions:
    envoy: { image: "envoy:1", memory: 64, user: "1337" }
    app:
      image: "app:1"
      memory: 128
      cpu: 10
      links: []
      entryPoint: [/bin/app]
      workingDirectory: /srv
      dnsServers: [10.0.0.2]
      dnsSearchDomains: [shop.internal]
      dockerSecurityOptions: [no-new-privileges]
      interactive: true
      pseudoTerminal: true
      startTimeout: 30
      stopTimeout: 60
      systemControls: { net.core.somaxconn: "1024" }
      resourceRequirements: [{ type: GPU, value: "1" }]
      environmentFiles: [{ type: s3, value: "arn:aws:s3:::shop/app.env" }]
      repositoryCredentials: { credentialsParameter: "${{ secret:shop/stripe }}" }
      volumesFrom: [{ sourceContainer: envoy, readOnly: true }]
      linuxParameters: { sharedMemorySize: 64, maxSwap: 0, swappiness: 10, tmpfs: [{ containerPath: /tmp, size: 16, mountOptions: [noexec] }] }
      credentialSpecs: ["credentialspec:arn:aws:s3:::shop/spec.json"]
service:
  desiredCount: 2
  launchType: EC2
  networkConfiguration:
    awsvpcConfiguration: { subnets: "${{ ssm:/network/subnets }}", securityGroups: ["${{ ssm:/network/group }}"] }
  deploymentConfiguration:
    maximumPercent: 150
    minimumHealthyPercent: 50
    alarms: { alarmNames: [errors], enable: true, rollback: true }
"#;

pub(crate) const FILES: &[(&str, &str)] = &[
    ("components/fargate.yaml", FARGATE),
    ("components/router.yaml", ROUTER),
    ("services/web/service.yaml", WEB),
    ("services/web/prod.pins.yaml", "web: 1.8.2\n"),
    ("services/worker/service.yaml", WORKER),
    ("services/search/taskdef.yaml", SEARCH),
    ("services/search/service.yaml", SEARCH_SERVICE),
    ("services/mailer/taskdef.json", MAILER),
    ("services/mailer/servicedef.json", MAILER_SERVICE),
    ("services/collector/service.yaml", COLLECTOR),
    ("services/shop/service.yaml", SHOP),
];
