//! Service deployments and service revisions: the modern view of a rollout.

use serde_json::{Value, json};

use crate::ecs::show::put_platform;
use crate::ecs::{Ctx, missing, put, put_some, with_token};
use crate::error::{Answer, ApiError};
use crate::model::{
    Counts, HookRun, HookStatus, Object, Service, ServiceDeployment, ServiceKey, Status, Strategy, World,
};
use crate::sim::queue::Event;
use crate::sim::rollout::counts;

impl Ctx<'_> {
    pub(crate) fn list_service_deployments(&mut self) -> Answer {
        let key = self.service_named("service")?;
        let statuses = self.request.texts("status");
        let window = self.request.get("createdAt");
        let bound = |name: &str| window.and_then(|window| window[name].as_f64());
        let (after, before) = (bound("after"), bound("before"));
        let now = self.now();
        let service = &self.sim.world.services[&key];
        let all = service
            .history
            .iter()
            .rev()
            .filter(|record| record.created_at.plus(self.lag) <= now)
            .filter(|record| statuses.is_empty() || statuses.contains(&record.status.wire()))
            .filter(|record| after.is_none_or(|after| record.created_at.seconds() >= after))
            .filter(|record| before.is_none_or(|before| record.created_at.seconds() <= before))
            .map(|record| (record.arn.clone(), brief(self.sim.world, service, record)))
            .collect();
        let (items, next) = self.page(all, 20)?;
        Ok(with_token(json!({ "serviceDeployments": items }), next))
    }

    pub(crate) fn describe_service_deployments(&mut self) -> Answer {
        let arns = self.batch("serviceDeploymentArns", 20, "serviceDeploymentArns")?;
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for arn in &arns {
            match self.find_record(arn).filter(|(key, at)| self.shows(*key, *at)) {
                Some((key, at)) => found.push(show(self.sim.world, key, at)),
                None => failures.push(missing(arn)),
            }
        }
        Ok(json!({ "serviceDeployments": found, "failures": failures }))
    }

    pub(crate) fn describe_service_revisions(&mut self) -> Answer {
        let arns = self.batch("serviceRevisionArns", 20, "serviceRevisionArns")?;
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for arn in &arns {
            let service = self.service_of(arn).map(|key| &self.sim.world.services[&key]);
            let revision =
                service.and_then(|service| service.revisions.iter().position(|revision| revision.arn == *arn));
            match (service, revision) {
                (Some(service), Some(at)) => found.push(show_revision(self.sim.world, service, at)),
                _ => failures.push(missing(arn)),
            }
        }
        Ok(json!({ "serviceRevisions": found, "failures": failures }))
    }

    pub(crate) fn stop_service_deployment(&mut self) -> Answer {
        let arn = self.request.text("serviceDeploymentArn").unwrap_or_default().to_owned();
        if self.request.text("stopType") == Some("ABORT") {
            return Err(ApiError::invalid("The stop type ABORT is not supported."));
        }
        let Some((key, at)) = self.find_record(&arn) else {
            return Err(ApiError::new("ServiceDeploymentNotFoundException", "The service deployment does not exist."));
        };
        let now = self.now();
        let after = self.sim.durations().rollback_stop_pending;
        let Some(service) = self.sim.service_mut(key) else {
            return Err(ApiError::service_not_found());
        };
        let record = &mut service.history[at];
        match record.status {
            status if status.terminal() => {
                return Err(ApiError::new(
                    "ConflictException",
                    "The service deployment is in a terminal state and cannot be stopped.",
                ));
            }
            Status::Pending | Status::InProgress => {
                record.status = Status::RollbackRequested;
                record.updated_at = now;
                let deployment = record.deployment;
                self.sim.world.queue.push(now.plus(after), Event::RollBack(key, deployment));
            }
            _ => {}
        }
        Ok(json!({ "serviceDeploymentArn": arn }))
    }

    pub(crate) fn continue_service_deployment(&mut self) -> Answer {
        let arn = self.request.text("serviceDeploymentArn").unwrap_or_default().to_owned();
        let hook = self.request.text("hookId").unwrap_or_default().to_owned();
        let Some((key, at)) = self.find_record(&arn) else {
            return Err(ApiError::new("ServiceDeploymentNotFoundException", "The service deployment does not exist."));
        };
        let well_formed = ["ecs-pause-", "ecs-lambda-"]
            .iter()
            .any(|prefix| hook.strip_prefix(prefix).is_some_and(|id| !id.is_empty()));
        if !well_formed {
            return Err(ApiError::invalid("Invalid hookId: hookId must follow the format: ecs-{hookType}-{id}"));
        }
        let record = &self.sim.world.services[&key].history[at];
        if record.status.terminal() {
            return Err(ApiError::invalid(
                "Continuing a service deployment is not allowed for service deployment in terminal states.",
            ));
        }
        let deployment = record.deployment;
        let open = record.shift.as_ref().filter(|_| record.status == Status::InProgress).and_then(|shift| {
            shift.hooks.iter().position(|run| run.id == hook && run.status == HookStatus::AwaitingAction)
        });
        let Some(open) = open else {
            return Err(ApiError::invalid(
                "Provided hookId is either completed, unavailable, or not associated with the given Resource ARN",
            ));
        };
        if self.request.text("action") == Some("ROLLBACK") {
            let reason = "The pause was ended with ROLLBACK.";
            self.sim.fail_hook(key, deployment, open, HookStatus::Failed, reason);
        } else {
            self.sim.resolve_hook(key, deployment, open, HookStatus::Succeeded);
        }
        Ok(json!({ "serviceDeploymentArn": arn }))
    }

    /// Whether a read that lags behind knows the deployment already.
    fn shows(&self, key: ServiceKey, at: usize) -> bool {
        self.sim.world.services[&key].history[at].created_at.plus(self.lag) <= self.now()
    }

    /// The service that an ARN of the form `…/CLUSTER/SERVICE/ID` belongs to.
    fn service_of(&self, arn: &str) -> Option<ServiceKey> {
        let mut parts = arn.rsplit('/');
        let (_, service, cluster) = (parts.next()?, parts.next()?, parts.next()?);
        let key = self.find_service(cluster, service)?;
        let active = self.sim.world.services[&key].status != crate::model::ServiceStatus::Inactive;
        active.then_some(key)
    }

    fn find_record(&self, arn: &str) -> Option<(ServiceKey, usize)> {
        let key = self.service_of(arn)?;
        let at = self.sim.world.services[&key].history.iter().position(|record| record.arn == arn)?;
        Some((key, at))
    }
}

fn brief(world: &World, service: &Service, record: &ServiceDeployment) -> Value {
    let mut wire = Object::new();
    put(&mut wire, "serviceDeploymentArn", record.arn.as_str());
    put(&mut wire, "serviceArn", service.arn.as_str());
    put(&mut wire, "clusterArn", world.ecs_arn(format_args!("cluster/{}", service.cluster)));
    put_some(&mut wire, "startedAt", record.started_at.map(|moment| moment.wire()));
    put(&mut wire, "createdAt", record.created_at.wire());
    put_some(&mut wire, "finishedAt", record.finished_at.map(|moment| moment.wire()));
    put(&mut wire, "targetServiceRevisionArn", service.revisions[record.target].arn.as_str());
    put(&mut wire, "status", record.status.wire());
    put_some(&mut wire, "statusReason", record.reason.as_deref());
    Value::Object(wire)
}

fn show(world: &World, key: ServiceKey, at: usize) -> Value {
    let service = &world.services[&key];
    let record = &service.history[at];
    let live = record.frozen.clone().unwrap_or_else(|| counts(world, key));
    let shift = record.shift.as_ref().filter(|shift| shift.strategy != Strategy::Rolling);
    let counted = |revision: usize| {
        let count = live.get(&revision).copied().unwrap_or_else(Counts::default);
        let mut summary = json!({
            "arn": service.revisions[revision].arn, "requestedTaskCount": count.requested,
            "runningTaskCount": count.running, "pendingTaskCount": count.pending,
        });
        if let Some(shift) = shift {
            let of = |share: f64| if revision == record.target { share } else { 100.0 - share };
            summary["requestedProductionTrafficWeight"] = json!(of(shift.production));
            summary["requestedTestTrafficWeight"] = json!(if revision == record.target { shift.test } else { 0.0 });
        }
        summary
    };
    let mut wire = Object::new();
    put(&mut wire, "serviceDeploymentArn", record.arn.as_str());
    put(&mut wire, "serviceArn", service.arn.as_str());
    put(&mut wire, "clusterArn", world.ecs_arn(format_args!("cluster/{}", service.cluster)));
    put(&mut wire, "createdAt", record.created_at.wire());
    put_some(&mut wire, "startedAt", record.started_at.map(|moment| moment.wire()));
    put_some(&mut wire, "finishedAt", record.finished_at.map(|moment| moment.wire()));
    put_some(&mut wire, "stoppedAt", record.stopped_at.map(|moment| moment.wire()));
    put(&mut wire, "updatedAt", record.updated_at.wire());
    put(&mut wire, "sourceServiceRevisions", record.sources.iter().map(|source| counted(*source)).collect::<Vec<_>>());
    put(&mut wire, "targetServiceRevision", counted(record.target));
    put(&mut wire, "status", record.status.wire());
    put_some(&mut wire, "statusReason", record.reason.as_deref());
    if let Some(shift) = &record.shift {
        put_some(&mut wire, "lifecycleStage", shift.stage.map(|stage| stage.wire()));
        if !shift.hooks.is_empty() {
            put(&mut wire, "lifecycleHookDetails", shift.hooks.iter().map(hook).collect::<Vec<_>>());
        }
    }
    put(&mut wire, "deploymentConfiguration", record.configuration.clone());
    if let Some(rollback) = &record.rollback {
        let mut back = Object::new();
        put(&mut back, "reason", rollback.reason.as_str());
        put(&mut back, "startedAt", rollback.at.wire());
        put_some(&mut back, "serviceRevisionArn", rollback.revision.map(|at| service.revisions[at].arn.clone()));
        put(&mut wire, "rollback", back);
    }
    let breaker = json!({
        "status": record.breaker.wire(), "failureCount": record.breaker_count, "threshold": record.breaker_threshold,
    });
    put(&mut wire, "deploymentCircuitBreaker", breaker);
    put(&mut wire, "alarms", alarms(record));
    Value::Object(wire)
}

fn hook(hook: &HookRun) -> Value {
    let mut wire = Object::new();
    put(&mut wire, "hookId", hook.id.as_str());
    put(&mut wire, "targetType", if hook.function.is_some() { "AWS_LAMBDA" } else { "PAUSE" });
    put_some(&mut wire, "targetArn", hook.function.as_deref());
    put(&mut wire, "status", hook.status.wire());
    put(&mut wire, "expiresAt", hook.expires_at.wire());
    put(&mut wire, "timeoutAction", if hook.goes_on { "CONTINUE" } else { "ROLLBACK" });
    Value::Object(wire)
}

fn alarms(record: &ServiceDeployment) -> Value {
    let configured = &record.configuration["alarms"];
    if configured["enable"] != json!(true) {
        return json!({ "status": "DISABLED" });
    }
    let mut wire = json!({ "status": record.alarms.wire(), "alarmNames": configured["alarmNames"] });
    if !record.triggered_alarms.is_empty() {
        wire["triggeredAlarmNames"] = json!(record.triggered_alarms);
    }
    wire
}

fn show_revision(world: &World, service: &Service, at: usize) -> Value {
    let revision = &service.revisions[at];
    let template = &revision.template;
    let mut wire = Object::new();
    put(&mut wire, "serviceRevisionArn", revision.arn.as_str());
    put(&mut wire, "serviceArn", service.arn.as_str());
    put(&mut wire, "clusterArn", world.ecs_arn(format_args!("cluster/{}", service.cluster)));
    put(&mut wire, "taskDefinition", revision.definition.arn.as_str());
    put_platform(&mut wire, template, &revision.platform);
    for list in ["loadBalancers", "serviceRegistries"] {
        put(&mut wire, list, template.get(list).cloned().unwrap_or_else(|| json!([])));
    }
    put_some(&mut wire, "networkConfiguration", template.get("networkConfiguration").cloned());
    let images: Vec<Value> = revision
        .digests
        .iter()
        .flat_map(|digests| {
            revision.definition.containers.iter().map(|container| {
                let mut image = json!({ "containerName": container.name, "image": container.image });
                if let Some(digest) = digests.get(&container.name) {
                    image["imageDigest"] = json!(digest);
                }
                image
            })
        })
        .collect();
    put(&mut wire, "containerImages", images);
    put(&mut wire, "guardDutyEnabled", false);
    let connect = template.get("serviceConnectConfiguration").cloned().unwrap_or_else(|| json!({ "enabled": false }));
    put(&mut wire, "serviceConnectConfiguration", connect);
    put(&mut wire, "volumeConfigurations", template.get("volumeConfigurations").cloned().unwrap_or_else(|| json!([])));
    put(&mut wire, "createdAt", revision.created_at.wire());
    put(
        &mut wire,
        "vpcLatticeConfigurations",
        template.get("vpcLatticeConfigurations").cloned().unwrap_or_else(|| json!([])),
    );
    // Shown in a service revision alone.
    for member in ["gatewayConnectors", "monitoring"] {
        if let Some(value) = template.get(member) {
            put(&mut wire, member, value.clone());
        }
    }
    let balancers = template.get("loadBalancers").and_then(Value::as_array).into_iter().flatten();
    let resolved: Vec<Value> = service
        .target_groups(at)
        .into_iter()
        .zip(balancers)
        .map(|((group, _), balancer)| {
            let mut resolved = json!({ "targetGroupArn": group });
            if let Some(rule) = balancer["advancedConfiguration"].get("productionListenerRule") {
                resolved["productionListenerRule"] = rule.clone();
            }
            resolved
        })
        .collect();
    put(&mut wire, "resolvedConfiguration", json!({ "loadBalancers": resolved }));
    Value::Object(wire)
}
