//! Writing services: what starts a deployment, what is refused.

use lockstep_sandbox::Options;
use serde_json::{Value, json};

use crate::rig::{GROUP, Rig};

async fn deployments(rig: &Rig) -> usize {
    let listed = rig.ecs("ListServiceDeployments", json!({ "cluster": "demo", "service": "web" })).await;
    listed["serviceDeployments"].as_array().unwrap().len()
}

#[tokio::test]
async fn which_members_start_a_deployment() {
    let rig = Rig::start().await;
    let first = rig.register("web", "nginx:1").await;
    let second = rig.register("web", "nginx:2").await;
    rig.create(&first, json!({})).await;
    rig.settle().await;
    let network = |groups: Value| json!({ "awsvpcConfiguration": { "subnets": ["subnet-a", "subnet-b"], "securityGroups": groups } });
    let balancers = json!([{ "targetGroupArn": GROUP, "containerName": "web", "containerPort": 80 }]);
    let cases = [
        ("same task definition", json!({ "taskDefinition": first }), false),
        ("new task definition", json!({ "taskDefinition": second }), true),
        ("same network, other order", json!({ "networkConfiguration": network(json!([])) }), false),
        ("other network", json!({ "networkConfiguration": network(json!(["sg-1"])) }), true),
        ("same platform version", json!({ "platformVersion": "LATEST" }), false),
        ("other platform version", json!({ "platformVersion": "1.4.0" }), true),
        ("no load balancers, as before", json!({ "loadBalancers": [] }), false),
        ("load balancers", json!({ "loadBalancers": balancers }), true),
        ("load balancers removed", json!({ "loadBalancers": [] }), true),
        ("service connect stays off", json!({ "serviceConnectConfiguration": { "enabled": false } }), false),
        ("service connect", json!({ "serviceConnectConfiguration": { "enabled": true, "namespace": "n" } }), true),
        ("volumes", json!({ "volumeConfigurations": [{ "name": "v", "managedEBSVolume": { "roleArn": "r" } }] }), true),
        (
            "lattice",
            json!({ "vpcLatticeConfigurations": [{ "roleArn": "r", "targetGroupArn": "t", "portName": "p" }] }),
            true,
        ),
        ("registries", json!({ "serviceRegistries": [{ "registryArn": "r" }] }), true),
        ("forced", json!({ "forceNewDeployment": true }), true),
        ("desired count", json!({ "desiredCount": 2 }), false),
        ("configuration", json!({ "deploymentConfiguration": { "maximumPercent": 150 } }), false),
        ("rebalancing", json!({ "availabilityZoneRebalancing": "DISABLED" }), false),
        ("grace period", json!({ "healthCheckGracePeriodSeconds": 5 }), false),
        ("exec", json!({ "enableExecuteCommand": true }), false),
        ("managed tags", json!({ "enableECSManagedTags": true, "propagateTags": "SERVICE" }), false),
        ("placement", json!({ "placementStrategy": [], "placementConstraints": [] }), false),
        ("nothing", json!({}), false),
    ];
    for (what, body, starts) in cases {
        let before = deployments(&rig).await;
        let response = rig.update(body).await;
        assert_eq!(deployments(&rig).await - before, usize::from(starts), "{what}");
        assert_eq!(response["status"], "ACTIVE", "{what}");
        rig.settle().await;
    }
    let service = rig.service().await;
    assert_eq!((&service["desiredCount"], &service["runningCount"]), (&json!(2), &json!(2)));
    assert_eq!(service["enableExecuteCommand"], true);
}

#[tokio::test]
async fn an_unchanged_member_can_be_made_to_start_one() {
    let rig = Rig::with(Options { same_value_triggers: true, ..Options::default() }).await;
    let first = rig.register("web", "nginx:1").await;
    rig.create(&first, json!({})).await;
    rig.update(json!({ "taskDefinition": first })).await;
    assert_eq!(deployments(&rig).await, 2);
}

#[tokio::test]
async fn nested_blocks_are_replaced_as_a_whole() {
    let rig = Rig::start().await;
    let first = rig.register("web", "nginx:1").await;
    let breaker = json!({ "enable": true, "rollback": true, "resetOnHealthyTask": false, "thresholdConfiguration": { "type": "COUNT", "value": 7 } });
    rig.create(
        &first,
        json!({ "deploymentConfiguration": { "maximumPercent": 150, "deploymentCircuitBreaker": breaker } }),
    )
    .await;
    let response = rig.update(json!({ "deploymentConfiguration": { "minimumHealthyPercent": 50 } })).await;
    assert_eq!(response["deploymentConfiguration"]["deploymentCircuitBreaker"], breaker);
    assert_eq!(response["deploymentConfiguration"]["maximumPercent"], 150);
    let short = json!({ "deploymentCircuitBreaker": { "enable": true, "rollback": false } });
    let response = rig.update(json!({ "deploymentConfiguration": short })).await;
    assert_eq!(
        response["deploymentConfiguration"]["deploymentCircuitBreaker"],
        json!({ "enable": true, "rollback": false, "resetOnHealthyTask": true, "thresholdConfiguration": { "type": "BOUNDED_PERCENT", "value": 50 } })
    );
}

#[tokio::test]
async fn capacity_providers_need_force() {
    let rig = Rig::start().await;
    let first = rig.register("web", "nginx:1").await;
    rig.create(&first, json!({})).await;
    let spot = json!([{ "capacityProvider": "FARGATE_SPOT", "weight": 1 }]);
    let refused = rig
        .refused("UpdateService", json!({ "cluster": "demo", "service": "web", "capacityProviderStrategy": spot }))
        .await;
    assert_eq!(refused.code, "InvalidParameterException");
    let response = rig.update(json!({ "capacityProviderStrategy": spot, "forceNewDeployment": true })).await;
    assert_eq!(
        response["capacityProviderStrategy"],
        json!([{ "capacityProvider": "FARGATE_SPOT", "weight": 1, "base": 0 }])
    );
    assert!(response.get("launchType").is_none());
    let response = rig.update(json!({ "capacityProviderStrategy": [], "forceNewDeployment": true })).await;
    assert_eq!(response["launchType"], "FARGATE");
}

// F: a service of a provider that the cluster does not have, created or updated, as ECS refuses it; and RunTask.
#[tokio::test]
async fn a_strategy_names_only_providers_of_the_cluster() {
    let rig = Rig::start().await;
    let first = rig.register("web", "nginx:1").await;
    rig.ecs("CreateCluster", json!({ "clusterName": "bare" })).await;
    let network = json!({ "awsvpcConfiguration": { "subnets": ["subnet-a"] } });
    let spot = json!([{ "capacityProvider": "FARGATE_SPOT", "weight": 1 }]);
    let text = "The specified capacity provider strategy cannot contain a capacity provider that is not associated with the cluster. Associate the capacity provider with the cluster and try again.";
    let create = json!({ "cluster": "bare", "serviceName": "web", "taskDefinition": first, "desiredCount": 1, "networkConfiguration": network, "capacityProviderStrategy": spot });
    let refused = rig.refused("CreateService", create.clone()).await;
    assert_eq!((refused.code.as_str(), refused.message.as_str()), ("InvalidParameterException", text));
    let task = json!({ "cluster": "bare", "taskDefinition": first, "networkConfiguration": network, "capacityProviderStrategy": spot });
    assert_eq!(rig.refused("RunTask", task).await.message, text);
    let mut plain = create.clone();
    plain.as_object_mut().unwrap().remove("capacityProviderStrategy");
    plain["launchType"] = json!("FARGATE");
    rig.ecs("CreateService", plain).await;
    let update =
        json!({ "cluster": "bare", "service": "web", "capacityProviderStrategy": spot, "forceNewDeployment": true });
    assert_eq!(rig.refused("UpdateService", update.clone()).await.message, text);
    rig.control.add_capacity_provider(crate::rig::ACCOUNT, crate::rig::REGION, "bare", "FARGATE_SPOT");
    assert_eq!(
        rig.ecs("UpdateService", update).await["service"]["capacityProviderStrategy"][0]["capacityProvider"],
        "FARGATE_SPOT"
    );
}

// J6: sizes that Fargate does not have.
#[tokio::test]
async fn a_definition_for_fargate_has_one_of_its_sizes() {
    let rig = Rig::start().await;
    let body = |cpu: &str, memory: &str| {
        json!({"family": "web", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": cpu, "memory": memory,
            "containerDefinitions": [{ "name": "web", "image": "nginx:1" }]})
    };
    for (cpu, memory) in [("300", "512"), ("256", "4096"), ("1024", "1024"), ("8192", "17408"), ("128", "512")] {
        let refused = rig.refused("RegisterTaskDefinition", body(cpu, memory)).await;
        let text = format!(
            "No Fargate configuration exists for given values: {cpu} CPU, {memory} memory. See the Amazon ECS documentation for the valid values."
        );
        assert_eq!((refused.code.as_str(), refused.message), ("ClientException", text));
    }
    for (cpu, memory) in [(".25 vCPU", "0.5 GB"), ("1024", "8192"), ("8192", "20480"), ("16384", "122880")] {
        rig.ecs("RegisterTaskDefinition", body(cpu, memory)).await;
    }
    let elsewhere = json!({"family": "web", "cpu": "300", "containerDefinitions": [{ "name": "web", "image": "nginx:1", "memory": 64 }]});
    rig.ecs("RegisterTaskDefinition", elsewhere).await;
}

#[tokio::test]
async fn writes_that_are_refused_change_nothing() {
    let rig = Rig::start().await;
    let first = rig.register("web", "nginx:1").await;
    rig.register("web", "nginx:2").await;
    rig.ecs("DeregisterTaskDefinition", json!({ "taskDefinition": "web:2" })).await;
    rig.create(&first, json!({})).await;
    let before = rig.service().await;
    let update = |more: Value| {
        let mut body = json!({ "cluster": "demo", "service": "web", "desiredCount": 5 });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let cases = [
        (json!({ "taskDefinition": "web:2" }), "ClientException", "TaskDefinition is inactive"),
        (json!({ "taskDefinition": "web:9" }), "ClientException", "TaskDefinition not found."),
        (json!({ "deploymentConfiguration": { "maximumPercent": 50 } }), "InvalidParameterException", "maximumPercent"),
        (
            json!({ "deploymentConfiguration": { "strategy": "CANARY", "canaryConfiguration": { "canaryPercent": 0.05 } } }),
            "InvalidParameterException",
            "canaryPercent",
        ),
        (
            json!({ "loadBalancers": [{ "targetGroupArn": GROUP, "containerName": "no", "containerPort": 80 }] }),
            "InvalidParameterException",
            "The container no does not exist",
        ),
    ];
    for (more, code, message) in cases {
        let refused = rig.refused("UpdateService", update(more)).await;
        assert_eq!(refused.code, code);
        assert!(refused.message.contains(message), "{}", refused.message);
    }
    assert_eq!(rig.service().await, before);
}

#[tokio::test]
async fn names_are_taken_until_the_service_is_gone() {
    let rig = Rig::start().await;
    let first = rig.register("web", "nginx:1").await;
    let token = json!({ "clientToken": "t1" });
    let one = rig.create(&first, token.clone()).await;
    let same = rig.create(&first, token).await;
    assert_eq!(one["deployments"][0]["id"], same["deployments"][0]["id"]);
    rig.settle().await;
    let body = json!({ "cluster": "demo", "serviceName": "web", "taskDefinition": first, "desiredCount": 1, "launchType": "FARGATE" });
    assert_eq!(rig.refused("CreateService", body.clone()).await.message, "Creation of service was not idempotent.");
    let delete = json!({ "cluster": "demo", "service": "web" });
    let refused = rig.refused("DeleteService", delete.clone()).await;
    assert_eq!(refused.message, "The service cannot be stopped while the primary deployment is scaled above 0.");
    let forced = rig.ecs("DeleteService", json!({ "cluster": "demo", "service": "web", "force": true })).await;
    assert_eq!(forced["service"]["status"], "DRAINING");
    assert_eq!(rig.ecs("ListServices", json!({ "cluster": "demo" })).await["serviceArns"], json!([]));
    assert_eq!(rig.refused("CreateService", body).await.message, "Unable to Start a service that is still Draining.");
    assert_eq!(rig.refused("UpdateService", delete.clone()).await.code, "ServiceNotActiveException");
    rig.advance(120.0);
    let service = rig.service().await;
    assert_eq!(
        (&service["status"], &service["runningCount"], &service["deployments"]),
        (&json!("INACTIVE"), &json!(0), &json!([]))
    );
    assert_eq!(rig.refused("DeleteService", delete).await.code, "ServiceNotFoundException");
    let again = rig.create(&first, json!({})).await;
    assert_eq!(again["status"], "ACTIVE");
}
