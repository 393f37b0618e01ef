//! Services on the wire.

use serde_json::{Value, json};

use crate::ecs::{Ctx, put, put_some};
use crate::model::{
    Controller, Deployment, Object, Phase, Platform, Rollout, Service, ServiceKey, ServiceStatus, World,
};
use crate::sim::rollout::counts;

impl Ctx<'_> {
    pub(crate) fn show_service(&self, key: ServiceKey, tags: bool) -> Value {
        service(self.sim.world, key, tags)
    }
}

/// A service as DescribeServices shows it.
pub(crate) fn service(world: &World, key: ServiceKey, tags: bool) -> Value {
    let Some(service) = world.services.get(&key) else {
        return Value::Null;
    };
    let template = service.template();
    let revision = &service.revisions[service.primary().revision];
    let listed: &[Deployment] = if service.status == ServiceStatus::Inactive { &[] } else { &service.deployments };
    let shares = shares(world, service);
    let (running, pending) = shares.iter().fold((0, 0), |sum, share| (sum.0 + share.0, sum.1 + share.1));
    let mut wire = Object::new();
    put(&mut wire, "serviceArn", service.arn.as_str());
    put(&mut wire, "serviceName", service.name.as_str());
    put(&mut wire, "clusterArn", world.ecs_arn(format_args!("cluster/{}", service.cluster)));
    for list in ["loadBalancers", "serviceRegistries"] {
        put(&mut wire, list, template.get(list).cloned().unwrap_or_else(|| json!([])));
    }
    let status = match service.status {
        ServiceStatus::Active => "ACTIVE",
        ServiceStatus::Draining => "DRAINING",
        ServiceStatus::Inactive => "INACTIVE",
    };
    put(&mut wire, "status", status);
    put(&mut wire, "desiredCount", service.desired);
    put(&mut wire, "runningCount", running);
    put(&mut wire, "pendingCount", pending);
    for member in ["launchType", "capacityProviderStrategy", "platformVersion"] {
        put_some(&mut wire, member, template.get(member).cloned());
    }
    if revision.platform.fargate {
        put(&mut wire, "platformFamily", "Linux");
    }
    put(&mut wire, "taskDefinition", revision.definition.arn.as_str());
    let deployments: Vec<Value> = listed
        .iter()
        .zip(&shares)
        .enumerate()
        .map(|(at, (entry, share))| deployment(service, entry, at == 0, *share))
        .collect();
    for (member, value) in &service.settings {
        put(&mut wire, member, value.clone());
    }
    // Other controllers deploy with task sets; the classic list is ECS's own.
    if service.controller == Controller::Ecs {
        put(&mut wire, "deployments", deployments);
    } else {
        put(&mut wire, "deployments", json!([]));
        put(&mut wire, "taskSets", task_sets(world, service, &shares));
    }
    if service.express {
        put(&mut wire, "resourceManagementType", "ECS");
    }
    put_some(&mut wire, "roleArn", template.get("roleArn").cloned());
    let events: Vec<Value> = service
        .events
        .iter()
        .map(|event| json!({ "id": event.id, "createdAt": event.at.wire(), "message": event.message }))
        .collect();
    put(&mut wire, "events", events);
    put(&mut wire, "createdAt", service.created_at.wire());
    put_some(&mut wire, "networkConfiguration", template.get("networkConfiguration").cloned());
    put(&mut wire, "createdBy", service.created_by.as_str());
    if tags {
        put(&mut wire, "tags", json!(service.tags));
    }
    if service.status == ServiceStatus::Active && service.controller == Controller::Ecs {
        put_some(&mut wire, "currentServiceDeployment", service.history.last().map(|record| record.arn.clone()));
        let revisions: Vec<Value> = counts(world, key)
            .into_iter()
            .rev()
            .map(|(revision, count)| {
                json!({
                    "arn": service.revisions[revision].arn, "requestedTaskCount": count.requested,
                    "runningTaskCount": count.running, "pendingTaskCount": count.pending,
                })
            })
            .collect();
        put(&mut wire, "currentServiceRevisions", revisions);
    }
    Value::Object(wire)
}

/// Task sets, which is how services under another controller are deployed.
fn task_sets(world: &World, service: &Service, shares: &[(u32, u32)]) -> Vec<Value> {
    let started_by = if service.controller == Controller::CodeDeploy { "CODE_DEPLOY" } else { "external" };
    let sets = service.deployments.iter().zip(shares).enumerate();
    sets.map(|(at, (entry, (running, pending)))| {
        let id = entry.id.as_str();
        let arn = format!("task-set/{}/{}/{id}", service.cluster, service.name);
        let stable = *running == service.desired && *pending == 0;
        json!({
            "id": id, "taskSetArn": world.ecs_arn(arn), "startedBy": started_by,
            "status": if at == 0 { "PRIMARY" } else { "ACTIVE" },
            "taskDefinition": service.revisions[entry.revision].definition.arn,
            "computedDesiredCount": service.desired, "pendingCount": pending, "runningCount": running,
            "createdAt": entry.created_at.wire(), "updatedAt": entry.updated_at.wire(),
            "scale": { "value": 100.0, "unit": "PERCENT" },
            "stabilityStatus": if stable { "STEADY_STATE" } else { "STABILIZING" },
            "loadBalancers": service.template().get("loadBalancers").cloned().unwrap_or_else(|| json!([])),
            "serviceRegistries": [], "tags": [],
        })
    })
    .collect()
}

/// Running and pending tasks by entry of the deployments list.
fn shares(world: &World, service: &Service) -> Vec<(u32, u32)> {
    let mut shares = vec![(0, 0); service.deployments.len()];
    for task in service.tasks.iter().filter_map(|task| world.tasks.get(task)).filter(|task| task.live()) {
        let owner = task.service.map(|(_, owner)| owner);
        let Some(at) = service.deployments.iter().position(|entry| Some(entry.key) == owner) else {
            continue;
        };
        if task.phase == Phase::Running {
            shares[at].0 += 1;
        } else {
            shares[at].1 += 1;
        }
    }
    shares
}

fn deployment(service: &Service, entry: &Deployment, primary: bool, (running, pending): (u32, u32)) -> Value {
    let revision = &service.revisions[entry.revision];
    let mut wire = Object::new();
    put(&mut wire, "id", entry.id.as_str());
    put(&mut wire, "status", if primary { "PRIMARY" } else { "ACTIVE" });
    put(&mut wire, "taskDefinition", revision.definition.arn.as_str());
    put(&mut wire, "desiredCount", entry.desired);
    put(&mut wire, "pendingCount", pending);
    put(&mut wire, "runningCount", running);
    put(&mut wire, "failedTasks", entry.failed_tasks);
    put(&mut wire, "createdAt", entry.created_at.wire());
    put(&mut wire, "updatedAt", entry.updated_at.wire());
    put_platform(&mut wire, &revision.template, &revision.platform);
    put_some(&mut wire, "networkConfiguration", revision.template.get("networkConfiguration").cloned());
    let state = match entry.rollout {
        Rollout::InProgress => "IN_PROGRESS",
        Rollout::Completed => "COMPLETED",
        Rollout::Failed => "FAILED",
    };
    put(&mut wire, "rolloutState", state);
    put(&mut wire, "rolloutStateReason", entry.reason.as_str());
    for member in ["serviceConnectConfiguration", "volumeConfigurations", "vpcLatticeConfigurations"] {
        put_some(&mut wire, member, revision.template.get(member).cloned());
    }
    Value::Object(wire)
}

/// Launch type or strategy, and the resolved platform.
pub(crate) fn put_platform(wire: &mut Object, template: &Object, platform: &Platform) {
    for member in ["launchType", "capacityProviderStrategy"] {
        put_some(wire, member, template.get(member).cloned());
    }
    if let Some(version) = &platform.version {
        put(wire, "platformVersion", version.as_str());
        put(wire, "platformFamily", "Linux");
    }
}
