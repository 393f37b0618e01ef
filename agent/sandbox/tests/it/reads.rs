//! Reading: defaults, pages, batches, missing things, errors.

use lockstep_sandbox::Options;
use serde_json::{Value, json};

use crate::rig::{ACCOUNT, REGION, Rig};

#[tokio::test]
async fn a_minimal_service_comes_back_with_all_defaults() {
    let rig = Rig::start().await;
    let definition = rig.register("web", "nginx:1").await;
    let service = rig.create(&definition, json!({})).await;
    let expected = json!({
        "deploymentConfiguration": {
            "deploymentCircuitBreaker": {
                "enable": false, "rollback": false, "resetOnHealthyTask": true,
                "thresholdConfiguration": { "type": "BOUNDED_PERCENT", "value": 50 },
            },
            "maximumPercent": 200, "minimumHealthyPercent": 100, "strategy": "ROLLING", "bakeTimeInMinutes": 0,
        },
        "availabilityZoneRebalancing": "ENABLED", "deploymentController": { "type": "ECS" }, "desiredCount": 1,
        "enableECSManagedTags": false, "enableExecuteCommand": false, "healthCheckGracePeriodSeconds": 0,
        "launchType": "FARGATE", "loadBalancers": [], "placementConstraints": [], "placementStrategy": [],
        "platformFamily": "Linux", "platformVersion": "LATEST", "propagateTags": "NONE", "schedulingStrategy": "REPLICA",
        "serviceRegistries": [], "status": "ACTIVE",
        "roleArn": format!("arn:aws:iam::{ACCOUNT}:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS"),
        "createdBy": format!("arn:aws:iam::{ACCOUNT}:user/sandbox"),
    });
    for (member, value) in expected.as_object().unwrap() {
        assert_eq!(service[member], *value, "{member}");
    }
    let network = &service["networkConfiguration"]["awsvpcConfiguration"];
    assert_eq!((&network["securityGroups"], &network["assignPublicIp"]), (&json!([]), &json!("DISABLED")));
    assert_eq!(service["deployments"][0]["platformVersion"], "1.4.0");
    for absent in ["capacityProviderStrategy", "taskSets", "serviceConnectConfiguration"] {
        assert!(service.get(absent).is_none(), "{absent}");
    }
    assert!(rig.service().await.get("tags").is_none());
}

#[tokio::test]
async fn service_connect_shows_in_the_deployment_with_the_default_namespace() {
    let rig = Rig::start().await;
    let cluster = json!({ "clusterName": "mesh", "serviceConnectDefaults": { "namespace": "local" } });
    rig.ecs("CreateCluster", cluster).await;
    let definition = rig.register("web", "nginx:1").await;
    let service =
        rig.create(&definition, json!({ "cluster": "mesh", "serviceConnectConfiguration": { "enabled": true } })).await;
    assert!(service.get("serviceConnectConfiguration").is_none());
    assert_eq!(
        service["deployments"][0]["serviceConnectConfiguration"],
        json!({ "enabled": true, "namespace": "local" })
    );
}

#[tokio::test]
async fn registration_fills_and_numbers() {
    let rig = Rig::start().await;
    let body = json!({
        "family": "web", "networkMode": "awsvpc", "cpu": "1 vCPU", "memory": "2 GB", "volumes": [{ "name": "data" }],
        "containerDefinitions": [{ "name": "web", "image": "nginx", "portMappings": [{ "containerPort": 80 }], "healthCheck": { "command": ["true"] } }],
        "tags": [{ "key": "team", "value": "shop" }],
    });
    let first = rig.ecs("RegisterTaskDefinition", body.clone()).await;
    let second = rig.ecs("RegisterTaskDefinition", body).await;
    assert_eq!((&first["taskDefinition"]["revision"], &second["taskDefinition"]["revision"]), (&json!(1), &json!(2)));
    let definition = &first["taskDefinition"];
    assert_eq!((&definition["cpu"], &definition["memory"]), (&json!("1024"), &json!("2048")));
    assert_eq!(definition["volumes"], json!([{ "name": "data", "host": {} }]));
    let container = &definition["containerDefinitions"][0];
    assert_eq!(container["portMappings"], json!([{ "containerPort": 80, "protocol": "tcp", "hostPort": 80 }]));
    assert_eq!(
        (&container["essential"], &container["cpu"], &container["environment"]),
        (&json!(true), &json!(0), &json!([]))
    );
    assert_eq!(container["healthCheck"], json!({ "command": ["true"], "interval": 30, "timeout": 5, "retries": 3 }));
    let described = rig.ecs("DescribeTaskDefinition", json!({ "taskDefinition": "web", "include": ["TAGS"] })).await;
    assert_eq!((&described["taskDefinition"]["revision"], &described["tags"][0]["key"]), (&json!(2), &json!("team")));
    assert!(rig.ecs("DescribeTaskDefinition", json!({ "taskDefinition": "web:1" })).await.get("tags").is_none());
    rig.ecs("DeregisterTaskDefinition", json!({ "taskDefinition": "web:2" })).await;
    assert_eq!(
        rig.ecs("DescribeTaskDefinition", json!({ "taskDefinition": "web" })).await["taskDefinition"]["revision"],
        1
    );
    assert_eq!(
        rig.ecs("DescribeTaskDefinition", json!({ "taskDefinition": "web:2" })).await["taskDefinition"]["status"],
        "INACTIVE"
    );
    let active = rig.ecs("ListTaskDefinitions", json!({ "familyPrefix": "web" })).await;
    assert_eq!(active["taskDefinitionArns"].as_array().unwrap().len(), 1);
    assert_eq!(rig.ecs("ListTaskDefinitionFamilies", json!({})).await["families"], json!(["web"]));
}

#[tokio::test]
async fn sets_are_shuffled_on_request() {
    let rig = Rig::with(Options { shuffle_sets: true, ..Options::default() }).await;
    let names: Vec<String> = (0..12).map(|at| format!("V{at:02}")).collect();
    let environment: Vec<Value> = names.iter().map(|name| json!({ "name": name, "value": "x" })).collect();
    let body = json!({ "family": "web", "containerDefinitions": [{ "name": "a", "image": "b", "memory": 64, "environment": environment }] });
    let answer = rig.ecs("RegisterTaskDefinition", body).await;
    let stored = &answer["taskDefinition"]["containerDefinitions"][0]["environment"];
    let mut found: Vec<&str> = stored.as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    assert_ne!(found, names);
    found.sort_unstable();
    assert_eq!(found, names);
}

#[tokio::test]
async fn lists_come_in_pages() {
    for short_pages in [false, true] {
        let rig = Rig::with(Options { short_pages, ..Options::default() }).await;
        let definition = rig.register("web", "nginx:1").await;
        for at in 0..25 {
            rig.create(&definition, json!({ "serviceName": format!("s{at:02}"), "desiredCount": 0 })).await;
        }
        let (mut all, mut pages, mut token) = (Vec::new(), Vec::new(), Value::Null);
        loop {
            let page = rig.ecs("ListServices", json!({ "cluster": "demo", "nextToken": token })).await;
            let arns = page["serviceArns"].as_array().unwrap().clone();
            pages.push(arns.len());
            all.extend(arns);
            token = page["nextToken"].clone();
            if token.is_null() {
                break;
            }
        }
        assert_eq!(all.len(), 25);
        assert_eq!(pages, if short_pages { vec![9, 9, 7] } else { vec![10, 10, 5] });
        let refused = rig.refused("ListServices", json!({ "cluster": "demo", "nextToken": "zz" })).await;
        assert_eq!(refused.code, "InvalidParameterException");
        assert_eq!(
            rig.refused("ListServices", json!({ "cluster": "demo", "maxResults": 101 })).await.code,
            "InvalidParameterException"
        );
    }
}

#[tokio::test]
async fn missing_things_are_failures_and_long_batches_errors() {
    let rig = Rig::start().await;
    let prefix = format!("arn:aws:ecs:{REGION}:{ACCOUNT}");
    let answer = rig.ecs("DescribeServices", json!({ "cluster": "demo", "services": ["ghost"] })).await;
    assert_eq!(answer["failures"], json!([{ "arn": format!("{prefix}:service/demo/ghost"), "reason": "MISSING" }]));
    let answer = rig.ecs("DescribeClusters", json!({ "clusters": ["ghost"] })).await;
    assert_eq!(answer["failures"], json!([{ "arn": format!("{prefix}:cluster/ghost"), "reason": "MISSING" }]));
    let arn = format!("{prefix}:service-deployment/demo/ghost/abc");
    let answer = rig.ecs("DescribeServiceDeployments", json!({ "serviceDeploymentArns": [arn] })).await;
    assert_eq!(answer["failures"][0]["reason"], "MISSING");
    let many: Vec<String> = (0..11).map(|at| format!("s{at}")).collect();
    let cases = [
        ("DescribeServices", json!({ "cluster": "demo", "services": many }), "InvalidParameterException"),
        ("DescribeServices", json!({ "cluster": "none", "services": ["a"] }), "ClusterNotFoundException"),
        ("ListServices", json!({}), "ClusterNotFoundException"),
        ("UpdateService", json!({ "cluster": "demo", "service": "ghost" }), "ServiceNotFoundException"),
        ("ListServiceDeployments", json!({ "cluster": "demo", "service": "ghost" }), "ServiceNotFoundException"),
        ("DescribeTaskDefinition", json!({ "taskDefinition": "ghost" }), "ClientException"),
        ("StopServiceDeployment", json!({ "serviceDeploymentArn": arn }), "ServiceDeploymentNotFoundException"),
        ("CreateTaskSet", json!({}), "UnsupportedFeatureException"),
        ("RegisterTaskDefinition", json!({ "family": "a" }), "ClientException"),
        ("UpdateService", json!({ "cluster": "demo", "service": 7 }), "InvalidParameterException"),
    ];
    for (operation, body, code) in cases {
        let refused = rig.refused(operation, body).await;
        assert_eq!((refused.code.as_str(), refused.status), (code, 400), "{operation}: {}", refused.message);
    }
    assert_eq!(rig.refused("ListServices", json!({ "cluster": "none" })).await.message, "Cluster not found.");
}

#[tokio::test]
async fn tags_are_kept_apart_from_deployments() {
    let rig = Rig::start().await;
    let definition = rig.register("web", "nginx:1").await;
    let service = rig.create(&definition, json!({ "tags": [{ "key": "a", "value": "1" }] })).await;
    let arn = &service["serviceArn"];
    rig.ecs(
        "TagResource",
        json!({ "resourceArn": arn, "tags": [{ "key": "a", "value": "2" }, { "key": "b", "value": "3" }] }),
    )
    .await;
    rig.ecs("UntagResource", json!({ "resourceArn": arn, "tagKeys": ["b"] })).await;
    let listed = rig.ecs("ListTagsForResource", json!({ "resourceArn": arn })).await;
    assert_eq!(listed["tags"], json!([{ "key": "a", "value": "2" }]));
    let answer =
        rig.ecs("DescribeServices", json!({ "cluster": "demo", "services": [arn], "include": ["TAGS"] })).await;
    assert_eq!(answer["services"][0]["tags"], listed["tags"]);
    assert_eq!(answer["services"][0]["deployments"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn tasks_go_through_their_states() {
    let rig = Rig::start().await;
    let definition = rig.register("web", "nginx:1").await;
    rig.create(&definition, json!({})).await;
    rig.advance(13.0);
    let mut seen = Vec::new();
    for _ in 0..35 {
        let listed = rig.ecs("ListTasks", json!({ "cluster": "demo", "serviceName": "web" })).await;
        let described = rig.ecs("DescribeTasks", json!({ "cluster": "demo", "tasks": listed["taskArns"] })).await;
        let status = described["tasks"][0]["lastStatus"].as_str().unwrap().to_owned();
        if seen.last() != Some(&status) {
            seen.push(status);
        }
        rig.advance(1.0);
    }
    assert_eq!(seen, ["PROVISIONING", "PENDING", "ACTIVATING", "RUNNING"]);
    let listed = rig.ecs("ListTasks", json!({ "cluster": "demo" })).await;
    let task = &listed["taskArns"][0];
    rig.ecs("StopTask", json!({ "cluster": "demo", "task": task, "reason": "test" })).await;
    rig.advance(60.0);
    let stopped = rig.stopped_tasks().await;
    assert_eq!((&stopped[0]["stopCode"], &stopped[0]["stoppedReason"]), (&json!("UserInitiated"), &json!("test")));
    assert_eq!(stopped[0]["lastStatus"], "STOPPED");
    rig.advance(60.0);
    assert_eq!(rig.service().await["runningCount"], 1);
    rig.advance(3700.0);
    assert!(rig.stopped_tasks().await.is_empty());
    let run = rig
        .ecs(
            "RunTask",
            json!({ "cluster": "demo", "taskDefinition": "web", "launchType": "FARGATE", "startedBy": "me",
        "networkConfiguration": { "awsvpcConfiguration": { "subnets": ["subnet-a"] } } }),
        )
        .await;
    assert_eq!((&run["tasks"][0]["group"], &run["tasks"][0]["startedBy"]), (&json!("family:web"), &json!("me")));
}
