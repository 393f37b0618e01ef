//! Tasks: running, stopping, listing, describing.

use serde_json::{Value, json};

use crate::ecs::check::check_network;
use crate::ecs::members::{fill, platform, strategy};
use crate::ecs::{Ctx, last_segment, missing, put, put_some, tags_of, with_token};
use crate::error::{Answer, ApiError};
use crate::model::{Health, Object, Phase, Task, TaskKey, World};
use crate::sim::NewTask;

impl Ctx<'_> {
    pub(crate) fn run_task(&mut self) -> Answer {
        let cluster = self.cluster()?;
        let request = self.request;
        let definition = self.usable_definition(request.text("taskDefinition").unwrap_or_default())?.definition;
        let count = request.count("count").unwrap_or(1);
        if !(1..=10).contains(&count) {
            return Err(ApiError::invalid("count must be between 1 and 10."));
        }
        let mut template = Object::new();
        self.check_strategy(&cluster, request.get("capacityProviderStrategy").unwrap_or(&Value::Null))?;
        put(&mut template, "launchType", request.text("launchType").unwrap_or("EC2"));
        put_some(&mut template, "capacityProviderStrategy", request.get("capacityProviderStrategy").map(strategy));
        put_some(&mut template, "platformVersion", request.text("platformVersion"));
        check_network(request.get("networkConfiguration"), &definition)?;
        let network =
            request.get("networkConfiguration").map(|network| fill("networkConfiguration", network.clone(), None));
        let new = NewTask {
            cluster,
            service: None,
            revision: None,
            group: request.text("group").map_or_else(|| format!("family:{}", definition.family), str::to_owned),
            started_by: request.text("startedBy").map(str::to_owned),
            platform: platform(&template),
            definition,
            network: network.unwrap_or_default(),
            execute_command: request.flag("enableExecuteCommand").unwrap_or(false),
            overrides: request.get("overrides").and_then(Value::as_object).cloned().unwrap_or_default(),
            tags: tags_of(request),
            digests: None,
            balanced: false,
            round: 0,
        };
        let tasks: Vec<Value> = (0..count)
            .map(|_| {
                let key = self.sim.create_task(&new);
                show(self.sim.world, key, true)
            })
            .collect();
        Ok(json!({ "tasks": tasks, "failures": [] }))
    }

    fn find_task(&self, cluster: &str, reference: &str) -> Option<TaskKey> {
        let key = *self.sim.world.task_ids.get(last_segment(reference))?;
        (self.sim.world.tasks[&key].cluster == cluster).then_some(key)
    }

    pub(crate) fn stop_task(&mut self) -> Answer {
        let cluster = self.cluster()?;
        let Some(key) = self.find_task(&cluster, self.request.text("task").unwrap_or_default()) else {
            return Err(ApiError::invalid("The referenced task was not found."));
        };
        let reason = self.request.text("reason").unwrap_or("Task stopped by user");
        self.sim.stop_task(key, "UserInitiated", reason);
        if let Some((service, _)) = self.sim.world.tasks[&key].service {
            let after = self.sim.durations().scheduler_pass;
            self.sim.unsettle(service);
            self.sim.pass_in(service, after);
        }
        Ok(json!({ "task": show(self.sim.world, key, true) }))
    }

    pub(crate) fn list_tasks(&mut self) -> Answer {
        let cluster = self.cluster()?;
        let request = self.request;
        let (family, started_by) = (request.text("family"), request.text("startedBy"));
        let wanted = request.text("desiredStatus").unwrap_or("RUNNING");
        if started_by.is_some()
            && ["family", "serviceName", "containerInstance"].iter().any(|member| request.has(member))
        {
            return Err(ApiError::invalid("startedBy cannot be combined with another filter."));
        }
        let service = match request.text("serviceName") {
            Some(name) => Some(self.find_service(&cluster, name).ok_or_else(ApiError::service_not_found)?),
            None => None,
        };
        let world = &self.sim.world;
        let all = world
            .tasks
            .values()
            .filter(|task| task.cluster == cluster)
            .filter(|task| match wanted {
                "RUNNING" => task.live(),
                "STOPPED" => !task.live(),
                _ => false,
            })
            .filter(|task| service.is_none_or(|key| task.service.is_some_and(|(owner, _)| owner == key)))
            .filter(|task| family.is_none_or(|family| task.definition.family == family))
            .filter(|task| started_by.is_none_or(|by| task.started_by.as_deref() == Some(by)))
            .filter(|task| request.text("launchType").is_none_or(|launch| task.platform.launch_type == launch))
            .map(|task| (format!("{:020}", task.key.0), task.arn.clone()))
            .collect();
        let (arns, next) = self.page(all, 100)?;
        Ok(with_token(json!({ "taskArns": arns }), next))
    }

    pub(crate) fn describe_tasks(&mut self) -> Answer {
        let cluster = self.cluster()?;
        let references = self.batch("tasks", 100, "Tasks")?;
        if references.is_empty() {
            return Err(ApiError::invalid("Tasks cannot be empty."));
        }
        let tags = self.request.includes("TAGS");
        let (mut tasks, mut failures) = (Vec::new(), Vec::new());
        for reference in &references {
            match self.find_task(&cluster, reference) {
                Some(key) => tasks.push(show(self.sim.world, key, tags)),
                None if reference.starts_with("arn:") => failures.push(missing(reference)),
                None => failures.push(missing(&self.sim.world.ecs_arn(format_args!("task/{cluster}/{reference}")))),
            }
        }
        Ok(json!({ "tasks": tasks, "failures": failures }))
    }
}

fn show(world: &World, key: TaskKey, tags: bool) -> Value {
    let task = &world.tasks[&key];
    let mut wire = Object::new();
    put(&mut wire, "attachments", attachments(task));
    put(&mut wire, "attributes", json!([{ "name": "ecs.cpu-architecture", "value": "x86_64" }]));
    put(&mut wire, "availabilityZone", task.zone.as_str());
    put_some(&mut wire, "capacityProviderName", task.platform.provider.as_deref());
    put(&mut wire, "clusterArn", world.ecs_arn(format_args!("cluster/{}", task.cluster)));
    if task.connectivity_at.is_some() {
        put(&mut wire, "connectivity", "CONNECTED");
    }
    put_some(&mut wire, "containerInstanceArn", task.instance.as_deref());
    put(&mut wire, "containers", containers(task));
    let size = |name: &str| task.definition.wire.get(name).cloned();
    put_some(&mut wire, "cpu", size("cpu"));
    put_some(&mut wire, "memory", size("memory"));
    put(&mut wire, "desiredStatus", if task.live() { "RUNNING" } else { "STOPPED" });
    put(&mut wire, "enableExecuteCommand", task.execute_command);
    put(&mut wire, "group", task.group.as_str());
    put(&mut wire, "healthStatus", task.health.wire());
    put(&mut wire, "lastStatus", task.phase.wire());
    if task.platform.provider.is_none() {
        put(&mut wire, "launchType", task.platform.launch_type.as_str());
    }
    put(&mut wire, "overrides", overrides(task));
    if let Some(version) = &task.platform.version {
        put(&mut wire, "platformVersion", version.as_str());
        put(&mut wire, "platformFamily", "Linux");
        let storage =
            task.definition.wire.get("ephemeralStorage").cloned().unwrap_or_else(|| json!({ "sizeInGiB": 20 }));
        put(&mut wire, "ephemeralStorage", storage.clone());
        put(&mut wire, "fargateEphemeralStorage", storage);
    }
    put_some(&mut wire, "startedBy", task.started_by.as_deref());
    if let Some(stop) = &task.stop {
        put(&mut wire, "stopCode", stop.code);
        put(&mut wire, "stoppedReason", stop.reason.as_str());
    }
    let moments = [
        ("createdAt", Some(task.created_at)),
        ("connectivityAt", task.connectivity_at),
        ("pullStartedAt", task.pull_started_at),
        ("pullStoppedAt", task.pull_stopped_at),
        ("startedAt", task.started_at),
        ("stoppingAt", task.stop.as_ref().map(|stop| stop.at)),
        ("executionStoppedAt", task.execution_stopped_at),
        ("stoppedAt", task.stopped_at),
    ];
    for (member, moment) in moments {
        put_some(&mut wire, member, moment.map(|moment| moment.wire()));
    }
    put(&mut wire, "tags", if tags { json!(task.tags) } else { json!([]) });
    put(&mut wire, "taskArn", task.arn.as_str());
    put(&mut wire, "taskDefinitionArn", task.definition.arn.as_str());
    put(&mut wire, "version", task.version);
    Value::Object(wire)
}

fn overrides(task: &Task) -> Value {
    let mut overrides = task.overrides.clone();
    let named: Vec<Value> = task.containers.iter().map(|container| json!({ "name": container.name })).collect();
    overrides.entry("containerOverrides").or_insert(json!(named));
    overrides.entry("inferenceAcceleratorOverrides").or_insert(json!([]));
    Value::Object(overrides)
}

fn attachments(task: &Task) -> Value {
    let Some(interface) = &task.interface else {
        return json!([]);
    };
    let status = match task.phase {
        Phase::Provisioning => "PRECREATED",
        Phase::Stopped => "DELETED",
        _ => "ATTACHED",
    };
    let mut details = vec![json!({ "name": "subnetId", "value": interface.subnet })];
    if task.phase != Phase::Provisioning {
        details.extend([
            json!({ "name": "networkInterfaceId", "value": interface.id }),
            json!({ "name": "macAddress", "value": interface.mac }),
            json!({ "name": "privateDnsName", "value": format!("ip-{}.internal", interface.ip.replace('.', "-")) }),
            json!({ "name": "privateIPv4Address", "value": interface.ip }),
        ]);
    }
    json!([{ "id": interface.attachment, "type": "ElasticNetworkInterface", "status": status, "details": details }])
}

fn containers(task: &Task) -> Vec<Value> {
    let status = match task.phase {
        Phase::Provisioning | Phase::Pending | Phase::Activating => "PENDING",
        Phase::Running | Phase::Deactivating | Phase::Stopping => "RUNNING",
        Phase::Deprovisioning | Phase::Stopped => "STOPPED",
    };
    let wires = task.definition.wire.get("containerDefinitions").and_then(Value::as_array).into_iter().flatten();
    task.containers
        .iter()
        .zip(&task.definition.containers)
        .zip(wires)
        .map(|((container, defined), sizes)| {
            let mut wire = Object::new();
            put(&mut wire, "containerArn", container.arn.as_str());
            put(&mut wire, "taskArn", task.arn.as_str());
            put(&mut wire, "name", container.name.as_str());
            put(&mut wire, "image", container.image.as_str());
            put_some(&mut wire, "imageDigest", container.digest.as_deref());
            put_some(&mut wire, "runtimeId", container.runtime_id.as_deref());
            put(&mut wire, "lastStatus", status);
            put_some(&mut wire, "exitCode", container.exit_code);
            put_some(&mut wire, "reason", container.reason.as_deref());
            put(&mut wire, "networkBindings", json!([]));
            let interfaces = match &task.interface {
                Some(interface) if container.runtime_id.is_some() => {
                    json!([{ "attachmentId": interface.attachment, "privateIpv4Address": interface.ip }])
                }
                _ => json!([]),
            };
            put(&mut wire, "networkInterfaces", interfaces);
            let health = if defined.check.is_some() { task.health } else { Health::Unknown };
            put(&mut wire, "healthStatus", health.wire());
            for size in ["cpu", "memory", "memoryReservation"] {
                put_some(&mut wire, size, sizes[size].as_u64().map(|size| size.to_string()));
            }
            Value::Object(wire)
        })
        .collect()
}
