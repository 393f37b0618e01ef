//! One long story on the sandbox, over the wire: every operation, answered and refused. The judge reads the whole journal.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use lockstep_sandbox::{Behaviour, Effect, Fault, JournalEntry, Options, Timing, When};
use lockstep_tests::{
    aws::{Aws, Emulator},
    judge::{judge, run},
    moto::{ACCOUNT, REGION},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};

const CLUSTER: &str = "prod";
const REPOSITORY: &str = "shop/web";

/// A sandbox and who calls it.
struct Story {
    emulator: Emulator,
    aws: Aws,
}

impl Story {
    fn new(options: Options) -> Self {
        let emulator = Emulator::start(options);
        let aws = emulator.client(ACCOUNT);
        Self { emulator, aws }
    }

    /// A call that is answered.
    fn ok(&self, operation: &str, input: Value) -> Value {
        let reply = self.aws.send(operation, &input);
        assert_eq!(reply.status, 200, "{operation} {input}: {}", reply.body);
        reply.body
    }

    /// A call that is refused with this code.
    fn no(&self, operation: &str, input: Value, code: &str) {
        let reply = self.aws.send(operation, &input);
        assert_eq!(reply.code(), Some(code), "{operation} {input}: {}", reply.body);
    }

    /// All pages of a list, each by itself small.
    fn pages(&self, operation: &str, input: Value, token: &str, size: &str, items: &str) -> Vec<Value> {
        let (mut all, mut input) = (Vec::new(), input);
        input[size] = json!(1);
        loop {
            let page = self.ok(operation, input.clone());
            all.extend(page[items].as_array().unwrap().clone());
            match page.get(token) {
                Some(next) => input[token] = next.clone(),
                None => return all,
            }
        }
    }

    fn register(&self, family: &str, more: Value) -> Value {
        let container = json!({"name": "web", "image": image("1"), "portMappings": [{"containerPort": 80}]});
        let base = json!({
            "family": family, "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256",
            "memory": "512", "containerDefinitions": [container],
        });
        self.ok("ecs:RegisterTaskDefinition", over(base, more))["taskDefinition"]["taskDefinitionArn"].clone()
    }

    fn create(&self, name: &str, definition: &str, more: Value) {
        let base = json!({"cluster": CLUSTER, "serviceName": name, "taskDefinition": definition, "desiredCount": 2});
        self.ok("ecs:CreateService", over(base, more));
    }

    fn update(&self, name: &str, more: Value) {
        self.ok("ecs:UpdateService", over(json!({"cluster": CLUSTER, "service": name}), more));
    }

    /// All that can be seen of these services.
    fn look(&self, services: &[&str]) {
        let described =
            self.ok("ecs:DescribeServices", json!({"cluster": CLUSTER, "services": services, "include": ["TAGS"]}));
        for service in described["services"].as_array().unwrap() {
            let one = json!({"cluster": CLUSTER, "service": service["serviceName"]});
            let listed = self.ok("ecs:ListServiceDeployments", one);
            let arns: Vec<&Value> = items(&listed["serviceDeployments"], "serviceDeploymentArn");
            let deployments = self.ok("ecs:DescribeServiceDeployments", json!({"serviceDeploymentArns": arns}));
            let targets = deployments["serviceDeployments"].as_array().unwrap().iter();
            let revisions: Vec<&Value> = targets.map(|one| &one["targetServiceRevision"]["arn"]).collect();
            self.ok("ecs:DescribeServiceRevisions", json!({"serviceRevisionArns": revisions}));
        }
        self.tasks();
    }

    /// The tasks of the cluster, running and stopped.
    fn tasks(&self) {
        for status in ["RUNNING", "STOPPED"] {
            let tasks =
                self.ok("ecs:ListTasks", json!({"cluster": CLUSTER, "desiredStatus": status}))["taskArns"].take();
            if tasks != json!([]) {
                self.ok("ecs:DescribeTasks", json!({"cluster": CLUSTER, "tasks": tasks, "include": ["TAGS"]}));
            }
        }
    }

    /// Looks at services through a time, every so many seconds.
    fn watch(&self, services: &[&str], seconds: u64, step: u64) {
        for _ in 0..seconds / step {
            self.look(services);
            self.emulator.control.advance(Duration::from_secs(step));
        }
        self.look(services);
    }

    fn push(&self, tag: &str, behaviour: Behaviour) {
        self.emulator.control.push_image(ACCOUNT, REGION, REPOSITORY, tag, behaviour);
    }

    /// A fault on one call.
    fn fault(&self, operation: &str, effect: Effect, timing: Timing) {
        self.emulator.control.add_fault(Fault::new(operation, effect).when(When::First(1)).timing(timing));
    }
}

fn image(tag: &str) -> String {
    format!("{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{REPOSITORY}:{tag}")
}

fn over(mut base: Value, more: Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        base[name] = value.clone();
    }
    base
}

fn items<'a>(list: &'a Value, member: &str) -> Vec<&'a Value> {
    list.as_array().unwrap().iter().map(|item| &item[member]).collect()
}

fn network() -> Value {
    json!({"awsvpcConfiguration": {"subnets": ["subnet-b", "subnet-a"], "securityGroups": ["sg-1"]}})
}

fn fargate(more: Value) -> Value {
    over(json!({"launchType": "FARGATE", "networkConfiguration": network()}), more)
}

fn balanced() -> Value {
    let group = format!("arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:targetgroup/web/0123456789abcdef");
    json!([{"targetGroupArn": group, "containerName": "web", "containerPort": 80}])
}

fn clusters(story: &Story) {
    story.ok(
        "ecs:CreateCluster",
        json!({
            "clusterName": CLUSTER, "tags": [{"key": "team", "value": "shop"}],
            "settings": [{"name": "containerInsights", "value": "enabled"}],
            "capacityProviders": ["FARGATE", "FARGATE_SPOT", "racks"],
            "serviceConnectDefaults": {"namespace": format!("arn:aws:servicediscovery:{REGION}:{ACCOUNT}:namespace/ns-1")},
            "configuration": {"executeCommandConfiguration": {"logging": "DEFAULT"}},
        }),
    );
    story.ok("ecs:CreateCluster", json!({}));
    story.ok("ecs:DescribeClusters", json!({}));
    story.ok(
        "ecs:DescribeClusters",
        json!({"clusters": [CLUSTER, "ghost"], "include": ["TAGS", "SETTINGS", "STATISTICS", "CONFIGURATIONS"]}),
    );
    story.no(
        "ecs:DescribeClusters",
        json!({"clusters": (0..101).map(|at| format!("c{at}")).collect::<Vec<_>>()}),
        "InvalidParameterException",
    );
    let listed = story.pages("ecs:ListClusters", json!({}), "nextToken", "maxResults", "clusterArns");
    assert_eq!(listed.len(), 2);
    story.no("ecs:ListClusters", json!({"nextToken": "ff"}), "InvalidParameterException");
    story.pages("ecs:DescribeCapacityProviders", json!({}), "nextToken", "maxResults", "capacityProviders");
    story.ok("ecs:DescribeCapacityProviders", json!({"capacityProviders": ["FARGATE", "ghost"]}));
    story.no("ecs:DescribeCapacityProviders", json!({"include": ["ALL"]}), "InvalidParameterException");
    story.no("ecs:CreateCluster", json!({"clusterName": 7}), "InvalidParameterException");
}

fn definitions(story: &Story) {
    story.register("web", json!({"tags": [{"key": "team", "value": "shop"}]}));
    for tag in ["2", "crash", "oom", "slow", "gone", "ill"] {
        let container = json!({"name": "web", "image": image(tag), "portMappings": [{"containerPort": 80}]});
        story.register("web", json!({"containerDefinitions": [container]}));
    }
    let full = json!({
        "name": "app", "image": "nginx:1", "cpu": 128, "memory": 256, "essential": true, "links": [], "command": ["run"],
        "portMappings": [{"containerPort": 80, "name": "http", "appProtocol": "http"}, {"containerPort": 53, "protocol": "udp"}],
        "environment": [{"name": "A", "value": "1"}], "secrets": [{"name": "B", "valueFrom": "/shop/b"}],
        "mountPoints": [{"sourceVolume": "data", "containerPath": "/data"}], "volumesFrom": [{"sourceContainer": "side"}],
        "dependsOn": [{"containerName": "side", "condition": "START"}], "ulimits": [{"name": "nofile", "softLimit": 1, "hardLimit": 2}],
        "logConfiguration": {"logDriver": "awslogs"}, "healthCheck": {"command": ["CMD", "true"]}, "dockerLabels": {"a": "b"},
        "linuxParameters": {"initProcessEnabled": true, "capabilities": {"drop": ["ALL"]}}, "systemControls": [],
        "restartPolicy": {"enabled": true, "restartAttemptPeriod": 60}, "versionConsistency": "disabled", "stopTimeout": 5,
    });
    let side = json!({"name": "side", "image": image("1"), "essential": false, "memoryReservation": 64});
    story.register(
        "full",
        json!({
            "containerDefinitions": [full, side], "taskRoleArn": "task", "executionRoleArn": "execution", "cpu": "1 vCPU",
            "memory": "2 GB", "ephemeralStorage": {"sizeInGiB": 30}, "enableFaultInjection": true,
            "runtimePlatform": {"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"},
            "volumes": [{"name": "data", "efsVolumeConfiguration": {"fileSystemId": "fs-1"}}, {"name": "scratch"}],
        }),
    );
    let plain = json!([{"name": "web", "image": "nginx:1", "memory": 64, "portMappings": [{"containerPort": 80}]}]);
    for mode in ["bridge", "host", "none", "awsvpc"] {
        story.ok(
            "ecs:RegisterTaskDefinition",
            json!({
                "family": format!("ec2-{mode}"), "networkMode": mode, "containerDefinitions": plain,
                "placementConstraints": [{"type": "memberOf", "expression": "attribute:ecs.os-type == linux"}],
            }),
        );
    }
    let disk = json!([{"name": "data", "configuredAtLaunch": true}]);
    let mounted =
        json!([{"name": "web", "image": "nginx:1", "mountPoints": [{"sourceVolume": "data", "containerPath": "/d"}]}]);
    story.register("disks", json!({"volumes": disk, "containerDefinitions": mounted}));
    for input in [
        json!({"family": "bad"}),
        json!({"family": "ba/d", "containerDefinitions": plain}),
        json!({"family": "bad", "containerDefinitions": plain, "requiresCompatibilities": ["FARGATE"]}),
        json!({"family": "bad", "containerDefinitions": plain, "cpu": "much"}),
    ] {
        story.no("ecs:RegisterTaskDefinition", input, "ClientException");
    }
    story.ok("ecs:DescribeTaskDefinition", json!({"taskDefinition": "web:1", "include": ["TAGS"]}));
    story.no("ecs:DescribeTaskDefinition", json!({"taskDefinition": "ghost"}), "ClientException");
    story.register("old", json!({}));
    story.ok("ecs:DeregisterTaskDefinition", json!({"taskDefinition": "old:1"}));
    story.ok("ecs:DescribeTaskDefinition", json!({"taskDefinition": "old:1"}));
    story.no("ecs:DeregisterTaskDefinition", json!({"taskDefinition": "old"}), "ClientException");
    let list =
        |input| story.pages("ecs:ListTaskDefinitions", input, "nextToken", "maxResults", "taskDefinitionArns").len();
    assert_eq!((list(json!({"status": "INACTIVE"})), list(json!({"familyPrefix": "web", "sort": "DESC"}))), (1, 7));
    story.no("ecs:ListTaskDefinitions", json!({"sort": "UP"}), "InvalidParameterException");
    for status in ["ACTIVE", "INACTIVE", "ALL"] {
        let input = json!({"status": status});
        story.pages("ecs:ListTaskDefinitionFamilies", input, "nextToken", "maxResults", "families");
    }
    story.no("ecs:ListTaskDefinitionFamilies", json!({"maxResults": 101}), "InvalidParameterException");
}

/// Services of many shapes, from their creation to their rest.
fn services(story: &Story) {
    let provider = json!({"capacityProviderStrategy": [{"capacityProvider": "FARGATE_SPOT", "weight": 1}], "networkConfiguration": network()});
    let racks = json!({"capacityProviderStrategy": [{"capacityProvider": "racks", "weight": 1, "base": 1}]});
    let connect = json!({"enabled": true, "services": [{"portName": "http", "clientAliases": [{"port": 80}]}], "logConfiguration": {"logDriver": "awslogs"}});
    let disk = json!([{"name": "data", "managedEBSVolume": {"roleArn": format!("arn:aws:iam::{ACCOUNT}:role/ebs"), "sizeInGiB": 10}}]);
    let lattice = json!([{"roleArn": format!("arn:aws:iam::{ACCOUNT}:role/lattice"), "targetGroupArn": format!("arn:aws:vpc-lattice:{REGION}:{ACCOUNT}:targetgroup/tg-0123456789abcdef0"), "portName": "http"}]);
    let registry = json!([{"registryArn": format!("arn:aws:servicediscovery:{REGION}:{ACCOUNT}:service/srv-1"), "containerName": "web"}]);
    let alarms = json!({"alarms": {"alarmNames": ["errors"], "enable": true, "rollback": true}, "deploymentCircuitBreaker": {"enable": true, "rollback": true}});
    let tags = json!([{"key": "team", "value": "shop"}]);
    let shapes = [
        ("plain", "web:1", fargate(json!({"tags": tags, "enableExecuteCommand": true, "propagateTags": "SERVICE"}))),
        ("lb", "web:1", fargate(json!({"loadBalancers": balanced(), "healthCheckGracePeriodSeconds": 30}))),
        ("spot", "web:1", provider),
        ("racks", "ec2-bridge", racks),
        (
            "ec2",
            "ec2-awsvpc",
            json!({"networkConfiguration": network(), "placementStrategy": [{"type": "spread", "field": "host"}]}),
        ),
        (
            "mesh",
            "full",
            fargate(
                json!({"serviceConnectConfiguration": connect, "vpcLatticeConfigurations": lattice, "desiredCount": 1}),
            ),
        ),
        ("disks", "disks", fargate(json!({"volumeConfigurations": disk}))),
        ("found", "web:1", fargate(json!({"serviceRegistries": registry, "deploymentConfiguration": alarms}))),
        ("empty", "web:1", fargate(json!({"desiredCount": 0, "clientToken": "once"}))),
    ];
    for (name, definition, more) in shapes {
        story.create(name, definition, more);
    }
    let daemon = json!({"cluster": CLUSTER, "serviceName": "daemon", "taskDefinition": "ec2-host", "schedulingStrategy": "DAEMON"});
    story.ok("ecs:CreateService", daemon);
    story.emulator.control.set_container_instances(ACCOUNT, REGION, CLUSTER, 3);
    let all = ["plain", "lb", "spot", "racks", "ec2", "mesh", "disks", "found", "empty", "daemon"];
    story.watch(&all, 40, 4);
    story.watch(&all, 240, 60);
    let listed = |input| story.pages("ecs:ListServices", input, "nextToken", "maxResults", "serviceArns").len();
    assert_eq!(listed(json!({"cluster": CLUSTER})), all.len());
    assert_eq!(listed(json!({"cluster": CLUSTER, "launchType": "FARGATE", "schedulingStrategy": "REPLICA"})), 6);
    story.create("empty", "web:1", fargate(json!({"desiredCount": 0, "clientToken": "once"})));
    for (input, code) in [
        (json!({"cluster": "ghost", "serviceName": "a"}), "ClusterNotFoundException"),
        (
            json!({"cluster": CLUSTER, "serviceName": "a", "taskDefinition": "ghost", "desiredCount": 1}),
            "ClientException",
        ),
        (
            json!({"cluster": CLUSTER, "serviceName": "a", "taskDefinition": "web:1", "desiredCount": 1}),
            "InvalidParameterException",
        ),
        (
            json!({"cluster": CLUSTER, "serviceName": "plain", "taskDefinition": "web:1", "desiredCount": 1}),
            "InvalidParameterException",
        ),
        (
            json!({"cluster": CLUSTER, "serviceName": "a", "deploymentController": {"type": "EXTERNAL"}}),
            "UnsupportedFeatureException",
        ),
    ] {
        story.no("ecs:CreateService", input, code);
    }
    story.no("ecs:ListServices", json!({"cluster": "ghost"}), "ClusterNotFoundException");
    story.ok("ecs:DescribeServices", json!({"cluster": CLUSTER, "services": ["ghost"]}));
    story.no(
        "ecs:DescribeServices",
        json!({"cluster": CLUSTER, "services": vec!["a"; 11]}),
        "InvalidParameterException",
    );
    story.no("ecs:UpdateService", json!({"cluster": CLUSTER, "service": "ghost"}), "ServiceNotFoundException");
}

/// Rollouts of the behaviours of images, looked at all along.
fn rollouts(story: &Story) {
    story.update("plain", json!({"taskDefinition": "web:2"}));
    story.update("lb", json!({"taskDefinition": "web:2", "forceNewDeployment": true, "desiredCount": 3}));
    story.update("racks", json!({"desiredCount": 5, "placementConstraints": [{"type": "distinctInstance"}]}));
    story.update("mesh", json!({"serviceConnectConfiguration": {"enabled": false}}));
    story.watch(&["plain", "lb", "racks", "mesh"], 240, 20);
    let breaker = |rollback: bool| {
        let threshold = json!({"type": "COUNT", "value": 2});
        json!({"deploymentCircuitBreaker": {"enable": true, "rollback": rollback, "resetOnHealthyTask": false, "thresholdConfiguration": threshold}})
    };
    let bad = [
        ("crash", "web:3", true),
        ("oom", "web:4", true),
        ("slow", "web:5", false),
        ("gone", "web:6", true),
        ("ill", "web:7", true),
    ];
    for (name, _, rollback) in bad {
        let more = json!({"deploymentConfiguration": breaker(rollback), "loadBalancers": balanced()});
        story.create(name, "web:1", fargate(more));
    }
    let names = bad.map(|(name, ..)| name);
    story.watch(&names, 300, 60);
    for (name, definition, _) in bad {
        story.update(name, json!({"taskDefinition": definition}));
    }
    story.watch(&names, 120, 15);
    story.watch(&names, 1800, 150);
    // One that never had a version that worked, one that is overtaken, one that is stopped.
    story.create("born-ill", "web:3", fargate(json!({"deploymentConfiguration": breaker(true)})));
    story.update("plain", json!({"taskDefinition": "web:5"}));
    story.watch(&["born-ill", "plain"], 60, 20);
    story.update("plain", json!({"taskDefinition": "web:1"}));
    story.watch(&["born-ill", "plain"], 400, 40);
    story.update("spot", json!({"taskDefinition": "web:5"}));
    story.watch(&["spot"], 40, 20);
    let running = json!({"cluster": CLUSTER, "service": "spot", "status": ["IN_PROGRESS"]});
    let listed = story.ok("ecs:ListServiceDeployments", running);
    let arn = listed["serviceDeployments"][0]["serviceDeploymentArn"].as_str().unwrap();
    story.no(
        "ecs:StopServiceDeployment",
        json!({"serviceDeploymentArn": arn, "stopType": "ABORT"}),
        "InvalidParameterException",
    );
    story.ok("ecs:StopServiceDeployment", json!({"serviceDeploymentArn": arn, "stopType": "ROLLBACK"}));
    story.watch(&["spot"], 300, 10);
    story.no("ecs:StopServiceDeployment", json!({"serviceDeploymentArn": arn}), "ConflictException");
    let ghost = arn.replace("spot", "ghost");
    story.no("ecs:StopServiceDeployment", json!({"serviceDeploymentArn": ghost}), "ServiceDeploymentNotFoundException");
    story.ok("ecs:DescribeServiceDeployments", json!({"serviceDeploymentArns": [ghost]}));
    story.ok("ecs:DescribeServiceRevisions", json!({"serviceRevisionArns": [ghost]}));
    for (operation, member) in
        [("DescribeServiceDeployments", "serviceDeploymentArns"), ("DescribeServiceRevisions", "serviceRevisionArns")]
    {
        story.no(&format!("ecs:{operation}"), json!({ member: vec![arn; 21] }), "InvalidParameterException");
    }
    let input = json!({"cluster": CLUSTER, "service": "plain"});
    story.pages("ecs:ListServiceDeployments", input, "nextToken", "maxResults", "serviceDeployments");
    story.no("ecs:ListServiceDeployments", json!({"cluster": CLUSTER, "service": "ghost"}), "ServiceNotFoundException");
}

fn tasks(story: &Story) {
    let run = fargate(json!({
        "cluster": CLUSTER, "taskDefinition": "full", "count": 2, "startedBy": "me", "group": "batch",
        "tags": [{"key": "a", "value": "b"}], "enableExecuteCommand": true,
        "overrides": {"cpu": "512", "containerOverrides": [{"name": "app", "command": ["once"]}]},
    }));
    let started = story.ok("ecs:RunTask", run);
    let arn = &started["tasks"][0]["taskArn"];
    story.ok("ecs:RunTask", json!({"cluster": CLUSTER, "taskDefinition": "ec2-bridge"}));
    for _ in 0..12 {
        story.tasks();
        story.emulator.control.advance(Duration::from_secs(5));
    }
    story.ok("ecs:StopTask", json!({"cluster": CLUSTER, "task": arn, "reason": "enough"}));
    for _ in 0..12 {
        story.tasks();
        story.emulator.control.advance(Duration::from_secs(5));
    }
    let listed = story.pages("ecs:ListTasks", json!({"cluster": CLUSTER}), "nextToken", "maxResults", "taskArns");
    assert!(listed.len() > 10);
    for filter in [
        json!({"startedBy": "me"}),
        json!({"family": "web"}),
        json!({"serviceName": "lb"}),
        json!({"launchType": "EC2"}),
    ] {
        story.ok("ecs:ListTasks", over(json!({"cluster": CLUSTER}), filter));
    }
    story.ok("ecs:DescribeTasks", json!({"cluster": CLUSTER, "tasks": ["ghost", arn]}));
    story.no("ecs:ListTasks", json!({"cluster": CLUSTER, "serviceName": "ghost"}), "ServiceNotFoundException");
    story.no("ecs:DescribeTasks", json!({"cluster": CLUSTER, "tasks": []}), "InvalidParameterException");
    story.no("ecs:StopTask", json!({"cluster": CLUSTER, "task": "ghost"}), "InvalidParameterException");
    story.no(
        "ecs:RunTask",
        json!({"cluster": CLUSTER, "taskDefinition": "web", "count": 11}),
        "InvalidParameterException",
    );
    tags(story, arn);
}

fn tags(story: &Story, task: &Value) {
    let ecs = |rest: &str| json!(format!("arn:aws:ecs:{REGION}:{ACCOUNT}:{rest}"));
    for arn in [ecs("cluster/prod"), ecs("service/prod/plain"), ecs("task-definition/web:1"), task.clone()] {
        story.ok("ecs:TagResource", json!({"resourceArn": arn, "tags": [{"key": "x", "value": "y"}]}));
        assert!(
            !story.ok("ecs:ListTagsForResource", json!({"resourceArn": arn}))["tags"].as_array().unwrap().is_empty()
        );
        story.ok("ecs:UntagResource", json!({"resourceArn": arn, "tagKeys": ["x"]}));
    }
    let ghost = ecs("service/prod/ghost");
    story.no("ecs:TagResource", json!({"resourceArn": ghost, "tags": []}), "InvalidParameterException");
    story.no("ecs:UntagResource", json!({"resourceArn": ghost, "tagKeys": []}), "InvalidParameterException");
    story.no("ecs:ListTagsForResource", json!({"resourceArn": "ghost"}), "InvalidParameterException");
}

/// Services that go.
fn endings(story: &Story) {
    story.no("ecs:DeleteService", json!({"cluster": CLUSTER, "service": "plain"}), "InvalidParameterException");
    story.no("ecs:DeleteService", json!({"cluster": CLUSTER, "service": "ghost"}), "ServiceNotFoundException");
    let names = ["plain", "lb", "daemon"];
    for name in names {
        story.ok("ecs:DeleteService", json!({"cluster": CLUSTER, "service": name, "force": true}));
    }
    for _ in 0..12 {
        story.ok("ecs:DescribeServices", json!({"cluster": CLUSTER, "services": names}));
        story.tasks();
        story.emulator.control.advance(Duration::from_secs(10));
    }
    story.no("ecs:UpdateService", json!({"cluster": CLUSTER, "service": "plain"}), "ServiceNotActiveException");
    story.no("ecs:CreateTaskSet", json!({}), "UnsupportedFeatureException");
}

fn registries(story: &Story) {
    story.ok("ecr:CreateRepository", json!({"repositoryName": "one", "imageTagMutability": "IMMUTABLE"}));
    story.no("ecr:CreateRepository", json!({"repositoryName": "one"}), "RepositoryAlreadyExistsException");
    story.pages("ecr:DescribeRepositories", json!({}), "nextToken", "maxResults", "repositories");
    story.no("ecr:DescribeRepositories", json!({"repositoryNames": ["ghost"]}), "RepositoryNotFoundException");
    let put = |tag: &str, body: &str| json!({"repositoryName": "one", "imageTag": tag, "imageManifest": body});
    let first = story.ok("ecr:PutImage", put("a", "{\"schemaVersion\":2}"));
    story.ok("ecr:PutImage", json!({"repositoryName": "one", "imageManifest": "{}"}));
    story.no("ecr:PutImage", put("a", "{\"schemaVersion\":2}"), "ImageAlreadyExistsException");
    story.no("ecr:PutImage", put("a", "{\"schemaVersion\":1}"), "ImageTagAlreadyExistsException");
    let false_digest = over(put("b", "{}"), json!({"imageDigest": format!("sha256:{}", "0".repeat(64))}));
    story.no("ecr:PutImage", false_digest, "ImageDigestDoesNotMatchException");
    let ids = json!([{"imageTag": "a"}, {"imageTag": "ghost"}]);
    let of = |more: Value| over(json!({"repositoryName": "one"}), more);
    story.ok("ecr:BatchGetImage", of(json!({"imageIds": ids})));
    story.ok("ecr:BatchGetImage", of(json!({"imageIds": [first["image"]["imageId"]]})));
    story.no("ecr:BatchGetImage", json!({"repositoryName": "ghost", "imageIds": ids}), "RepositoryNotFoundException");
    assert_eq!(story.pages("ecr:DescribeImages", of(json!({})), "nextToken", "maxResults", "imageDetails").len(), 2);
    story.ok("ecr:DescribeImages", of(json!({"filter": {"tagStatus": "UNTAGGED"}})));
    story.no("ecr:DescribeImages", of(json!({"imageIds": ids})), "ImageNotFoundException");
    assert_eq!(story.pages("ecr:ListImages", of(json!({})), "nextToken", "maxResults", "imageIds").len(), 2);
    story.no("ecr:ListImages", json!({"repositoryName": "ghost"}), "RepositoryNotFoundException");
    story.ok("ecr:BatchDeleteImage", of(json!({"imageIds": ids})));
    story.no(
        "ecr:BatchDeleteImage",
        json!({"repositoryName": "ghost", "imageIds": ids}),
        "RepositoryNotFoundException",
    );
    story.ok("ecr:GetAuthorizationToken", json!({}));
    story.no("ecr:GetAuthorizationToken", json!({"registryIds": "x"}), "InvalidParameterException");
}

fn parameters(story: &Story) {
    for kind in ["String", "StringList", "SecureString"] {
        let input =
            json!({"Name": format!("/shop/{kind}"), "Value": "a,b", "Type": kind, "Description": "for the judge"});
        story.ok("ssm:PutParameter", input.clone());
        story.no("ssm:PutParameter", input, "ParameterAlreadyExists");
    }
    story.ok("ssm:PutParameter", json!({"Name": "/shop/String", "Value": "c", "Overwrite": true}));
    story.ok("ssm:GetParameter", json!({"Name": "/shop/String:1"}));
    story.no("ssm:GetParameter", json!({"Name": "/shop/String:9"}), "ParameterVersionNotFound");
    story.no("ssm:GetParameter", json!({"Name": "/ghost"}), "ParameterNotFound");
    for decrypt in [false, true] {
        let names = json!(["/shop/SecureString", "/shop/StringList", "/ghost"]);
        story.ok("ssm:GetParameters", json!({"Names": names, "WithDecryption": decrypt}));
    }
    story.ok("ssm:GetParameters", json!({"Names": ["/shop/StringList"]}));
    story.no("ssm:GetParameters", json!({"Names": []}), "ValidationException");
    assert_eq!(story.pages("ssm:DescribeParameters", json!({}), "NextToken", "MaxResults", "Parameters").len(), 4);
    story.no("ssm:DescribeParameters", json!({"NextToken": "zz"}), "InvalidNextToken");
    story.ok("ssm:DeleteParameter", json!({"Name": "/shop/String"}));
    story.no("ssm:DeleteParameter", json!({"Name": "/shop/String"}), "ParameterNotFound");
}

fn secrets(story: &Story) {
    story.ok(
        "secretsmanager:CreateSecret",
        json!({"Name": "db", "SecretString": "one", "Description": "for the judge"}),
    );
    story.ok("secretsmanager:CreateSecret", json!({"Name": "key", "SecretBinary": "AAEC"}));
    story.no("secretsmanager:CreateSecret", json!({"Name": "db", "SecretString": "one"}), "ResourceExistsException");
    for value in ["two", "three"] {
        story.ok("secretsmanager:PutSecretValue", json!({"SecretId": "db", "SecretString": value}));
    }
    story.no(
        "secretsmanager:PutSecretValue",
        json!({"SecretId": "ghost", "SecretString": "x"}),
        "ResourceNotFoundException",
    );
    for input in [json!({"SecretId": "key"}), json!({"SecretId": "db", "VersionStage": "AWSPREVIOUS"})] {
        story.ok("secretsmanager:GetSecretValue", input);
    }
    story.no("secretsmanager:GetSecretValue", json!({"SecretId": "ghost"}), "ResourceNotFoundException");
    story.ok("secretsmanager:DescribeSecret", json!({"SecretId": "db"}));
    story.no("secretsmanager:DescribeSecret", json!({"SecretId": "ghost"}), "ResourceNotFoundException");
    assert_eq!(story.pages("secretsmanager:ListSecrets", json!({}), "NextToken", "MaxResults", "SecretList").len(), 2);
    story.no("secretsmanager:ListSecrets", json!({"NextToken": "zz"}), "InvalidNextTokenException");
}

fn scaling(story: &Story) {
    let target = json!({"ServiceNamespace": "ecs", "ResourceId": "service/prod/plain", "ScalableDimension": "ecs:service:DesiredCount"});
    let call = |operation: &str| format!("application-autoscaling:{operation}");
    story.ok(&call("RegisterScalableTarget"), over(target.clone(), json!({"MinCapacity": 1, "MaxCapacity": 4})));
    story.ok(&call("RegisterScalableTarget"), over(target.clone(), json!({"MaxCapacity": 5})));
    let reversed = over(target.clone(), json!({"MinCapacity": 9}));
    story.no(&call("RegisterScalableTarget"), reversed, "ValidationException");
    let other = over(target.clone(), json!({"ResourceId": "service/prod/lb", "MinCapacity": 1, "MaxCapacity": 2}));
    story.ok(&call("RegisterScalableTarget"), other);
    let all = json!({"ServiceNamespace": "ecs"});
    story.pages(&call("DescribeScalableTargets"), all, "NextToken", "MaxResults", "ScalableTargets");
    let many = json!({"ServiceNamespace": "ecs", "ResourceIds": vec!["service/a/b"; 51]});
    story.no(&call("DescribeScalableTargets"), many, "ValidationException");
    let bad_token = json!({"ServiceNamespace": "ecs", "NextToken": "zz"});
    story.no(&call("DescribeScalableTargets"), bad_token, "InvalidNextTokenException");
    story.ok(&call("DeregisterScalableTarget"), target.clone());
    story.no(&call("DeregisterScalableTarget"), target, "ObjectNotFoundException");
}

fn identities(story: &Story) {
    let role =
        |name: &str| json!({"RoleArn": format!("arn:aws:iam::222222222222:role/{name}"), "RoleSessionName": "judge"});
    story.ok("sts:GetCallerIdentity", json!({}));
    let session = story.ok("sts:AssumeRole", over(role("deploy"), json!({"DurationSeconds": 900})));
    let assumed = story.emulator.client(session["Credentials"]["AccessKeyId"].as_str().unwrap());
    assert_eq!(assumed.send("sts:GetCallerIdentity", &json!({})).body["Account"], "222222222222");
    story.no("sts:AssumeRole", json!({"RoleArn": "deploy"}), "ValidationError");
    story.emulator.control.deny_role("arn:aws:iam::222222222222:role/other");
    story.no("sts:AssumeRole", role("other"), "AccessDenied");
    story.no("sts:GetSessionToken", json!({}), "InvalidAction");
    story.emulator.control.advance(Duration::from_secs(901));
    let listing = |client: &Aws| client.send("ecs:ListClusters", &json!({})).code().map(str::to_owned);
    assert_eq!(assumed.send("sts:GetCallerIdentity", &json!({})).code(), Some("ExpiredToken"));
    assert_eq!(listing(&assumed).as_deref(), Some("ExpiredTokenException"));
    story.emulator.control.invalidate_key("AKIAGHOST");
    let ghost = story.emulator.client("AKIAGHOST");
    assert_eq!(ghost.send("sts:GetCallerIdentity", &json!({})).code(), Some("InvalidClientTokenId"));
    assert_eq!(listing(&ghost).as_deref(), Some("UnrecognizedClientException"));
}

/// What the services themselves fail with.
fn faults(story: &Story) {
    let reads = [
        ("ecs:ListClusters", "ServerException"),
        ("ecr:GetAuthorizationToken", "ServerException"),
        ("ssm:DescribeParameters", "InternalServerError"),
        ("secretsmanager:ListSecrets", "InternalServiceError"),
        ("application-autoscaling:DescribeScalableTargets", "InternalServiceException"),
        ("sts:GetCallerIdentity", "InternalFailure"),
    ];
    for (operation, broken) in reads {
        let input = json!({"ServiceNamespace": "ecs"});
        story.fault(operation, Effect::InternalError, Timing::After);
        story.no(operation, input.clone(), broken);
        story.fault(operation, Effect::Throttle, Timing::Before);
        let sts = operation.starts_with("sts:");
        story.no(operation, input.clone(), if sts { "Throttling" } else { "ThrottlingException" });
        story.fault(operation, Effect::Deny, Timing::Before);
        story.no(operation, input, if sts { "AccessDenied" } else { "AccessDeniedException" });
        story.emulator.control.clear_faults();
    }
}

/// Every operation that the sandbox checks the input of, which are all but those of STS.
fn operations() -> BTreeSet<String> {
    let shapes: Value = serde_json::from_str(include_str!("../../agent/sandbox/src/wire/shapes.json")).unwrap();
    let services = shapes.as_object().unwrap().iter();
    let named = services.flat_map(|(service, model)| {
        model["operations"].as_object().unwrap().keys().map(move |operation| format!("{service}:{operation}"))
    });
    named.chain(["sts:GetCallerIdentity".to_owned(), "sts:AssumeRole".to_owned()]).collect()
}

/// What the story must have passed through, for its answers to be worth judging.
const SEEN: [(&str, &str, &str, &[&str]); 6] = [
    (
        "DescribeServiceDeployments",
        "serviceDeployments",
        "status",
        &[
            "PENDING",
            "IN_PROGRESS",
            "SUCCESSFUL",
            "STOPPED",
            "ROLLBACK_REQUESTED",
            "ROLLBACK_IN_PROGRESS",
            "ROLLBACK_SUCCESSFUL",
            "ROLLBACK_FAILED",
        ],
    ),
    ("DescribeServices", "services", "status", &["ACTIVE", "DRAINING", "INACTIVE"]),
    ("DescribeServices", "services", "schedulingStrategy", &["REPLICA", "DAEMON"]),
    ("DescribeTaskDefinition", "taskDefinition", "status", &["ACTIVE", "INACTIVE"]),
    (
        "DescribeTasks",
        "tasks",
        "lastStatus",
        &["PROVISIONING", "PENDING", "ACTIVATING", "RUNNING", "DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED"],
    ),
    (
        "DescribeTasks",
        "tasks",
        "stopCode",
        &["TaskFailedToStart", "EssentialContainerExited", "UserInitiated", "ServiceSchedulerInitiated"],
    ),
];

/// The values of a member of an answer's list, or of its one thing.
fn seen(journal: &[JournalEntry], operation: &str, list: &str, member: &str) -> BTreeSet<String> {
    let answers = journal.iter().filter(|entry| entry.operation == operation).filter_map(|entry| entry.answer.as_ref());
    let things = answers.flat_map(|answer| match &answer[list] {
        Value::Array(items) => items.clone(),
        one => vec![one.clone()],
    });
    things.filter_map(|thing| thing[member].as_str().map(str::to_owned)).collect()
}

fn answered(journal: &[JournalEntry], fine: bool) -> BTreeSet<String> {
    let entries = journal.iter().filter(|entry| (entry.status == 200) == fine);
    entries.map(|entry| format!("{}:{}", entry.service, entry.operation)).collect()
}

#[test]
fn every_answer_is_as_the_service_model_says() {
    let story = Story::new(Options { expire_sessions: true, ..Options::default() });
    let control = &story.emulator.control;
    control.put_parameter(ACCOUNT, REGION, "/shop/b", "SecureString", "b");
    let stuck =
        Behaviour::start_failure("ResourceInitializationError: unable to pull secrets", Duration::from_secs(20));
    story.push("1", Behaviour::Ok);
    story.push("2", Behaviour::Ok);
    story.push("crash", Behaviour::crash(1, Duration::from_secs(5)));
    story.push("oom", Behaviour::OutOfMemory { after_running_seconds: 5.0 });
    story.push("slow", stuck);
    story.push("gone", Behaviour::Missing);
    story.push("ill", Behaviour::Unhealthy);
    clusters(&story);
    definitions(&story);
    services(&story);
    rollouts(&story);
    tasks(&story);
    endings(&story);
    registries(&story);
    parameters(&story);
    secrets(&story);
    scaling(&story);
    identities(&story);
    faults(&story);
    let journal = control.journal(0);
    let missing = |fine| operations().difference(&answered(&journal, fine)).cloned().collect::<Vec<_>>();
    assert_eq!((missing(true), missing(false)), (vec![], vec![]), "never answered, never refused");
    for (operation, list, member, expected) in SEEN {
        let values = seen(&journal, operation, list, member);
        let missing: Vec<_> = expected.iter().filter(|value| !values.contains(**value)).collect();
        assert!(missing.is_empty(), "{operation} never showed {member} {missing:?}: {values:?}");
    }
    let judged = judge(&journal);
    assert_eq!(judged, journal.len());
    println!("{judged} answers judged");
}

/// A judge that finds nothing may be blind.
#[test]
fn the_judge_finds_what_is_wrong() {
    let entry = |operation: &str, status: u16, answer: Value| JournalEntry {
        sequence: 1,
        time: 0.0,
        account: ACCOUNT.to_owned(),
        region: REGION.to_owned(),
        caller: String::new(),
        service: "ecs".to_owned(),
        operation: operation.to_owned(),
        request: json!({}),
        status,
        error: None,
        answer: Some(answer),
    };
    let service = |member: &str, value: Value| entry("CreateService", 200, json!({"service": { member: value }}));
    let error = |code: &str, status: u16| entry("ListServices", status, json!({"__type": code, "message": "no"}));
    let cases = [
        (service("desired", json!(1)), r#"Unknown parameter in service: "desired""#),
        (service("desiredCount", json!("1")), "Invalid type for parameter service.desiredCount"),
        (service("launchType", json!("MOON")), "service.launchType: 'MOON' is not in the enum LaunchType"),
        (service("createdAt", json!("2026-01-01T00:00:00Z")), "is not a number of epoch seconds"),
        (service("createdAt", json!(1.0001)), "is finer than a millisecond"),
        (service("enableExecuteCommand", json!(null)), "Invalid type for parameter service.enableExecuteCommand"),
        (service("desiredCount", json!(true)), "service.desiredCount: True is not a number"),
        (
            service("deploymentConfiguration", json!({"deploymentCircuitBreaker": {"enable": true}})),
            r#"Missing required parameter in service.deploymentConfiguration.deploymentCircuitBreaker: "rollback""#,
        ),
        (error("ServiceNotFoundException", 400), "is neither the operation's nor a common one"),
        (error("ClusterNotFoundException", 404), "has the status 404, not 400"),
        (error("ServerException", 400), "has the status 400, not 500"),
        (entry("Dance", 200, json!({})), "the model does not have the operation"),
    ];
    for (entry, finding) in cases {
        let (findings, _) = run(&[&entry]);
        assert!(findings.contains(finding), "{:?}: {findings}", entry.answer);
        assert_eq!(findings.lines().count(), 1, "{findings}");
    }
    let future = service("status", json!("FUTURE_STATUS"));
    assert_eq!(run(&[&future]), (String::new(), "judged 1".to_owned()));
}
