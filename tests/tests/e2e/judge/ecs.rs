//! ECS: clusters, definitions, services and their rollouts, tasks, tags.

use super::story::{CLUSTER, Story, balanced, fargate, image, network, over};
use lockstep_tests::moto::{ACCOUNT, REGION};
use serde_json::{Value, json};
use std::time::Duration;

pub(crate) fn clusters(story: &Story) {
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

pub(crate) fn definitions(story: &Story) {
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
pub(crate) fn services(story: &Story) {
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
pub(crate) fn rollouts(story: &Story) {
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

pub(crate) fn tasks(story: &Story) {
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

pub(crate) fn tags(story: &Story, task: &Value) {
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
pub(crate) fn endings(story: &Story) {
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
