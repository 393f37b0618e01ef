//! Against moto, an AWS that nobody here wrote: what is synced is what the next plan reads back, and what cannot be
//! done is said in one sentence. moto's rollouts never complete, so nothing here waits for one.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use lockstep_tests::{
    git_http::git,
    lockstep,
    moto::{ACCOUNT, Moto, REGION},
    outcome,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{collections::BTreeSet, path::Path, process::Command};
use tempfile::TempDir;

/// What moto is known to drop.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Drop {
    service: String,
    path: String,
    evidence: String,
}

fn known_drops() -> Vec<Drop> {
    let list: Vec<Drop> = serde_yaml::from_str(include_str!("moto-drops.yaml")).expect("moto-drops.yaml is a list");
    assert!(list.iter().all(|entry| !entry.evidence.trim().is_empty()), "an entry has no evidence: {list:?}");
    list
}

/// moto with a cluster, and a checkout of a config repository for it.
struct Rig {
    moto: Moto,
    checkout: TempDir,
}

impl Rig {
    fn new(files: &[(&str, &str)]) -> Self {
        let moto = Moto::start();
        moto.call("ecs:CreateCluster", &json!({"clusterName": "prod"}));
        moto.call("ssm:PutParameter", &json!({"Name": "/network/subnets", "Type": "StringList", "Value": moto.ec2("DescribeSubnets", "subnetId").join(",")}));
        moto.call("ssm:PutParameter", &json!({"Name": "/network/group", "Type": "String", "Value": moto.ec2("DescribeSecurityGroups", "groupId")[0]}));
        moto.call("ssm:PutParameter", &json!({"Name": "/shop/url", "Type": "SecureString", "Value": "postgres://"}));
        moto.call("secretsmanager:CreateSecret", &json!({"Name": "shop/stripe", "SecretString": "sk"}));
        let rig = Self { moto, checkout: TempDir::new().unwrap() };
        rig.write("lockstep.yaml", &config(ACCOUNT, "prod"));
        for (path, content) in files {
            rig.write(path, content);
        }
        rig
    }

    fn path(&self) -> &Path {
        self.checkout.path()
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn commit(&self) {
        if !self.path().join(".git").exists() {
            git(self.path(), &["init", "--quiet", "--initial-branch=main"]);
        }
        git(self.path(), &["add", "--all"]);
        git(self.path(), &["commit", "--quiet", "-m", "a change"]);
    }

    /// The program on the checkout.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = lockstep(arguments);
        command.envs(self.moto.environment()).current_dir(self.path());
        command
    }

    fn sync(&self, more: &[&str]) {
        let mut arguments = vec!["sync", "--source", "demo", "--yes", "--no-wait"];
        arguments.extend(more);
        let (exit, stdout, stderr) = outcome(&mut self.command(&arguments));
        assert_eq!(exit, 0, "{stdout}{stderr}");
    }

    /// The plan as data, with the exit code.
    fn plan(&self) -> (i32, Value) {
        let (exit, stdout, stderr) =
            outcome(&mut self.command(&["plan", "--source", "demo", "--exit-code", "--output", "json"]));
        (exit, serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}{stderr}")))
    }

    fn assert_nothing_to_do(&self) {
        let (exit, plan) = self.plan();
        assert_eq!(differences(&plan), BTreeSet::new(), "{plan:#}");
        assert_eq!(exit, 0, "{plan:#}");
        assert!(services(&plan).all(|service| service["actions"] == json!([])), "{plan:#}");
        assert!(services(&plan).all(|service| service["sync"] == "Synced"), "{plan:#}");
    }

    /// Calls that write, since they were forgotten.
    fn writes(&self) -> Vec<String> {
        let is_read = |call: &String| {
            let operation = call.split(':').nth(1).unwrap();
            ["Describe", "List", "Get"].iter().any(|read| operation.starts_with(read))
        };
        self.moto.calls().into_iter().filter(|call| !is_read(call)).collect()
    }

    fn revisions(&self, family: &str) -> Vec<String> {
        let answer = self.moto.call("ecs:ListTaskDefinitions", &json!({"familyPrefix": family}));
        let arns = answer["taskDefinitionArns"].as_array().unwrap();
        arns.iter().map(|arn| arn.as_str().unwrap().rsplit('/').next().unwrap().to_owned()).collect()
    }

    fn live(&self, service: &str) -> Value {
        let input = json!({"cluster": "prod", "services": [service], "include": ["TAGS"]});
        self.moto.call("ecs:DescribeServices", &input)["services"][0].clone()
    }
}

fn services(plan: &Value) -> impl Iterator<Item = &Value> {
    plan["environments"].as_array().unwrap().iter().flat_map(|environment| environment["services"].as_array().unwrap())
}

/// (service, path) of everything that would change or is withheld.
fn differences(plan: &Value) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for service in services(plan) {
        let steps = ["actions", "withheld"].into_iter().flat_map(|list| service[list].as_array().unwrap());
        for change in steps.flat_map(|step| step["changes"].as_array().into_iter().flatten()) {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            // A revision that is registered anew is always tagged; its tags are no difference of their own.
            if !text(&change["path"]).starts_with("taskDefinition.tags[lockstep:") {
                found.insert((text(&service["name"]), text(&change["path"])));
            }
        }
    }
    found
}

fn config(account: &str, cluster: &str) -> String {
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
const WEB: &str = r#"
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

const FARGATE: &str = r#"
taskDefinition: { networkMode: awsvpc, requiresCompatibilities: [FARGATE] }
service:
  networkConfiguration:
    awsvpcConfiguration: { subnets: "${{ ssm:/network/subnets }}", securityGroups: ["${{ ssm:/network/group }}"] }
"#;

const ROUTER: &str = r#"
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
const WORKER: &str = r#"
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
const SEARCH: &str = r#"
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
"#;

const SEARCH_SERVICE: &str = r#"
service:
  desiredCount: 1
  launchType: EC2
  placementStrategy: [{ type: spread, field: "attribute:ecs.availability-zone" }]
  placementConstraints: [{ type: distinctInstance }]
  deploymentConfiguration: { maximumPercent: 100, minimumHealthyPercent: 0 }
"#;

/// Two JSON files in AWS's own shape.
const MAILER: &str = r#"{
  "family": "mailer", "cpu": "256", "memory": "512", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"],
  "taskRoleArn": "arn:aws:iam::${{ account }}:role/mailer", "executionRoleArn": "execution", "containerDefinitions": [{
    "name": "mailer", "image": "mailer:0.9.4", "essential": true, "readonlyRootFilesystem": true,
    "environment": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}],
    "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "/shop", "awslogs-region": "${{ region }}", "awslogs-stream-prefix": "mailer"}}}]
}"#;

const MAILER_SERVICE: &str = r#"{
  "serviceName": "mailer", "desiredCount": 1, "launchType": "FARGATE", "schedulingStrategy": "REPLICA", "platformVersion": "LATEST",
  "networkConfiguration": {"awsvpcConfiguration": {"subnets": "${{ ssm:/network/subnets }}", "securityGroups": ["${{ ssm:/network/group }}"],
    "assignPublicIp": "DISABLED"}}, "enableExecuteCommand": true, "availabilityZoneRebalancing": "ENABLED"
}"#;

/// One task on each instance.
const COLLECTOR: &str = r#"
taskDefinition:
  networkMode: host
  requiresCompatibilities: [EC2]
  containerDefinitions: { collector: { image: "collector:1", memory: 64, privileged: true } }
service: { launchType: EC2, schedulingStrategy: DAEMON }
"#;

/// Behind a target group, and in a registry.
const SHOP: &str = r#"
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
const CHAOS: &str = r#"
components: [fargate]
taskDefinition:
  cpu: "256"
  memory: "512"
  pidMode: task
  enableFaultInjection: true
  containerDefinitions: { app: { image: "app:1", versionConsistency: disabled } }
service: { desiredCount: 1, launchType: FARGATE }
"#;

const MESH: &str = r#"
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

const DISKS: &str = r#"
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
const BREADTH: &str = r#"
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
      hostname: app
      dnsServers: [10.0.0.2]
      dnsSearchDomains: [shop.internal]
      extraHosts: [{ hostname: db, ipAddress: 10.0.0.9 }]
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

const FILES: &[(&str, &str)] = &[
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

#[test]
fn after_two_syncs_the_next_plan_is_empty() {
    let rig = Rig::new(FILES);
    rig.sync(&["--allow-dirty"]);
    rig.sync(&["--allow-dirty"]);
    rig.assert_nothing_to_do();
    rig.moto.forget();
    rig.sync(&["--allow-dirty"]);
    assert_eq!(rig.writes(), Vec::<String>::new(), "a third sync writes nothing");
    for family in ["web", "worker", "search", "mailer", "collector", "shop"] {
        assert_eq!(rig.revisions(family), [format!("{family}:1")], "nothing is registered twice");
    }
    let tags = |key: &str| {
        let live = rig.live("web");
        let tags = live["tags"].as_array().unwrap().clone();
        tags.iter().find(|tag| tag["key"] == key).map(|tag| tag["value"].as_str().unwrap().to_owned())
    };
    assert_eq!(tags("lockstep:source").as_deref(), Some("demo"));
    assert_eq!(tags("lockstep:environment").as_deref(), Some("prod"));
    assert_eq!(tags("lockstep:service").as_deref(), Some("web"));
    assert_eq!(tags("data-class").as_deref(), Some("public"));
}

#[test]
fn what_moto_drops_is_listed_and_nothing_else_differs() {
    let rig = Rig::new(&[
        ("components/fargate.yaml", FARGATE),
        ("services/chaos/service.yaml", CHAOS),
        ("services/mesh/service.yaml", MESH),
        ("services/disks/service.yaml", DISKS),
        ("services/breadth/service.yaml", BREADTH),
    ]);
    rig.sync(&["--allow-dirty"]);
    rig.sync(&["--allow-dirty"]);
    let (exit, plan) = rig.plan();
    let found = differences(&plan);
    let listed: BTreeSet<(String, String)> =
        known_drops().into_iter().map(|entry| (entry.service, entry.path)).collect();
    assert_eq!(
        listed.difference(&found).collect::<Vec<_>>(),
        Vec::<&(String, String)>::new(),
        "moto keeps these now: take them out of moto-drops.yaml"
    );
    assert_eq!(
        found.difference(&listed).collect::<Vec<_>>(),
        Vec::<&(String, String)>::new(),
        "these differ and are not in moto-drops.yaml: {plan:#}"
    );
    assert_eq!(exit, if listed.is_empty() { 0 } else { 4 });
}

#[test]
fn one_changed_image_is_one_registration_and_one_update() {
    let rig = Rig::new(FILES);
    rig.commit();
    rig.sync(&[]);
    rig.sync(&[]);
    rig.assert_nothing_to_do();
    rig.write("services/web/prod.pins.yaml", "web: 1.8.3\n");
    let (exit, stdout, stderr) = outcome(&mut rig.command(&["sync", "--source", "demo", "--yes", "--no-wait"]));
    assert_eq!((exit, stdout.as_str()), (2, ""), "uncommitted files are refused");
    assert!(stderr.contains("services/web/prod.pins.yaml") && stderr.contains("--allow-dirty"), "{stderr}");
    rig.commit();
    let (exit, plan) = rig.plan();
    assert_eq!(exit, 4);
    let image = "taskDefinition.containerDefinitions[web].image".to_owned();
    assert!(differences(&plan).contains(&("web".to_owned(), image)), "{plan:#}");
    assert!(differences(&plan).iter().all(|(service, _)| service == "web"), "{plan:#}");
    rig.moto.forget();
    rig.sync(&[]);
    assert_eq!(rig.writes(), ["ecs:RegisterTaskDefinition", "ecs:UpdateService"]);
    assert_eq!(rig.revisions("web"), ["web:1", "web:2"]);
    assert_eq!(rig.revisions("mailer"), ["mailer:1"]);
    let live = rig.live("web");
    assert!(live["taskDefinition"].as_str().unwrap().ends_with("/web:2"), "{live:#}");
    rig.assert_nothing_to_do();
}

#[test]
fn what_is_changed_by_hand_is_named_and_healed() {
    let rig = Rig::new(FILES);
    rig.commit();
    rig.sync(&[]);
    rig.sync(&[]);
    rig.moto.call("ecs:UpdateService", &json!({"cluster": "prod", "service": "worker", "desiredCount": 7}));
    let (exit, plan) = rig.plan();
    assert_eq!(exit, 4);
    assert_eq!(differences(&plan), BTreeSet::from([("worker".to_owned(), "service.desiredCount".to_owned())]));
    rig.moto.forget();
    rig.sync(&[]);
    assert_eq!(rig.writes(), ["ecs:UpdateService"]);
    assert_eq!(rig.live("worker")["desiredCount"], 2);
    rig.assert_nothing_to_do();
}

/// The plan of something that cannot be looked at: exit code 1, and one sentence on each service.
fn refused(rig: &Rig, command: &mut Command, reason: &str, sentence: &str) {
    let (exit, stdout, stderr) = outcome(command);
    assert_eq!(exit, 1, "{stdout}{stderr}");
    let plan: Value = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}{stderr}"));
    assert_eq!(services(&plan).count(), 6);
    for service in services(&plan) {
        assert_eq!(service["sync"], "Unknown", "{plan:#}");
        assert_eq!(service["actions"], json!([]), "{plan:#}");
        let withheld = service["withheld"].as_array().unwrap();
        assert_eq!(withheld.len(), 1, "{plan:#}");
        assert_eq!(withheld[0]["reason"], reason, "{plan:#}");
        let text = withheld[0]["text"].as_str().unwrap();
        assert!(text.contains(sentence) && !text.contains('\n'), "{text}");
    }
    assert!(rig.writes().iter().all(|call| !call.starts_with("ecs:")), "{:?}", rig.writes());
    assert_eq!(stderr, "");
}

const PLAN: &[&str] = &["plan", "--exit-code", "--output", "json"];
const SYNC: &[&str] = &["sync", "--source", "demo", "--yes", "--no-wait", "--allow-dirty", "--output", "json"];

#[test]
fn a_wrong_account_is_said_before_anything_is_read() {
    let rig = Rig::new(FILES);
    rig.write("lockstep.yaml", &config("999999999999", "prod"));
    rig.moto.forget();
    let sentence = format!("the credentials are for account {ACCOUNT}, not 999999999999");
    for arguments in [PLAN, SYNC] {
        refused(&rig, &mut rig.command(arguments), "wrongAccount", &sentence);
    }
    assert_eq!(rig.moto.calls(), Vec::<String>::new(), "GetCallerIdentity is no JSON call");
}

#[test]
fn a_missing_cluster_is_said() {
    let rig = Rig::new(FILES);
    rig.write("lockstep.yaml", &config(ACCOUNT, "nope"));
    rig.moto.forget();
    let sentence = format!("the cluster nope does not exist in account {ACCOUNT} and region {REGION}");
    for arguments in [PLAN, SYNC] {
        refused(&rig, &mut rig.command(arguments), "unread", &sentence);
    }
}

#[test]
fn an_endpoint_that_nobody_answers_is_said() {
    let rig = Rig::new(FILES);
    rig.moto.forget();
    // The port of a server that has ended.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for arguments in [PLAN, SYNC] {
        let mut command = rig.command(arguments);
        command.env("AWS_ENDPOINT_URL", format!("http://{closed}"));
        refused(&rig, &mut command, "unread", "failed to call sts:GetCallerIdentity: ");
    }
}

#[test]
fn credentials_that_are_not_there_are_said() {
    let rig = Rig::new(FILES);
    rig.moto.forget();
    for arguments in [PLAN, SYNC] {
        let mut command = rig.command(arguments);
        command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
        let (exit, stdout, stderr) = outcome(&mut command);
        assert_eq!(exit, 1, "{stdout}{stderr}");
        let plan: Value = serde_json::from_str(&stdout).unwrap();
        for service in services(&plan) {
            let text = service["withheld"][0]["text"].as_str().unwrap();
            assert!(text.contains("credentials") && !text.contains('\n'), "{text}");
            // There is no other account in this story.
            assert_ne!(service["withheld"][0]["reason"], "wrongAccount", "{text}");
        }
    }
}
