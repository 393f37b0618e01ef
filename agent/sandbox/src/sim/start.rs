//! Starting tasks.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::behaviour::Behaviour;
use crate::model::{
    Definition, DeploymentKey, Health, Interface, Object, Phase, Platform, ServiceKey, Target, Task, TaskContainer,
    TaskKey, World,
};
use crate::sim::Sim;
use crate::sim::queue::Step;

/// All that decides how a new task looks.
pub(crate) struct NewTask {
    pub(crate) cluster: String,
    pub(crate) service: Option<(ServiceKey, DeploymentKey)>,
    pub(crate) revision: Option<usize>,
    pub(crate) group: String,
    pub(crate) started_by: Option<String>,
    pub(crate) definition: Arc<Definition>,
    pub(crate) platform: Platform,
    pub(crate) network: Value,
    pub(crate) execute_command: bool,
    pub(crate) overrides: Object,
    pub(crate) tags: Vec<Value>,
    pub(crate) digests: Option<BTreeMap<String, String>>,
    pub(crate) balanced: bool,
    pub(crate) round: u32,
}

impl Sim<'_> {
    /// Starts `count` tasks of a deployment and tells so. Returns whether any could be placed.
    pub(crate) fn start_tasks(&mut self, key: ServiceKey, deployment: DeploymentKey, count: u32) -> bool {
        let count = match self.place(key, deployment, count) {
            0 => return false,
            count => count,
        };
        let Some(service) = self.service(key) else {
            return false;
        };
        let Some(entry) = service.deployment(deployment) else {
            return false;
        };
        let revision = &service.revisions[entry.revision];
        let instances = self.world.clusters.get(&service.cluster).map_or(0, |cluster| cluster.instances);
        if !revision.platform.fargate && revision.platform.provider.is_none() && instances == 0 {
            self.tell(
                key,
                self.now,
                ") was unable to place a task because no container instance met all of its requirements. Reason: No Container Instances were found in your cluster.",
            );
            self.pass_in(key, self.durations().scheduler_pass * 6);
            return false;
        }
        let setting = |name: &str| service.settings.get(name).and_then(Value::as_bool).unwrap_or(false);
        let tags = match service.settings.get("propagateTags").and_then(Value::as_str) {
            Some("SERVICE") => service.tags.clone(),
            Some("TASK_DEFINITION") => self
                .world
                .families
                .get(&revision.definition.family)
                .and_then(|family| family.get(&revision.definition.revision))
                .map(|definition| definition.tags.clone())
                .unwrap_or_default(),
            _ => Vec::new(),
        };
        let (started_by, round, revision_at) = (entry.id.clone(), entry.round, entry.revision);
        let new = NewTask {
            cluster: service.cluster.clone(),
            service: Some((key, deployment)),
            revision: Some(revision_at),
            group: format!("service:{}", service.name),
            started_by: Some(started_by),
            definition: revision.definition.clone(),
            platform: revision.platform.clone(),
            network: revision.template.get("networkConfiguration").cloned().unwrap_or_default(),
            execute_command: setting("enableExecuteCommand"),
            overrides: Object::new(),
            tags,
            digests: revision.digests.clone(),
            balanced: !service.target_groups(revision_at).is_empty(),
            round,
        };
        let mut ids = Vec::new();
        for _ in 0..count {
            let task = self.create_task(&new);
            ids.push(format!("(task {})", self.world.tasks[&task].id));
            if let Some(service) = self.service_mut(key) {
                service.tasks.push(task);
            }
        }
        self.unsettle(key);
        self.tell(key, self.now, &format!(") has started {count} tasks: {}.", ids.join(" ")));
        true
    }

    /// Creates one task and plans the first steps of its life.
    pub(crate) fn create_task(&mut self, new: &NewTask) -> TaskKey {
        let key = TaskKey(self.world.next_key());
        let task = build(self.world, new, key, self.now);
        self.world.task_ids.insert(task.id.clone(), key);
        let waits_for_interface = task.phase == Phase::Provisioning;
        self.world.tasks.insert(key, task);
        let durations = self.durations();
        if waits_for_interface {
            self.task_in(key, durations.eni_attach, Step::Attach);
        } else {
            self.task_in(key, durations.pull_start_delay, Step::StartPull);
        }
        key
    }
}

fn build(world: &mut World, new: &NewTask, key: TaskKey, now: crate::clock::Moment) -> Task {
    let id = world.ids.hex(32);
    let interface = (new.definition.awsvpc || new.platform.fargate).then(|| {
        let subnets = new.network["awsvpcConfiguration"]["subnets"].as_array();
        let subnet = subnets.and_then(|all| all.get(key.0 as usize % all.len().max(1))).and_then(Value::as_str);
        Interface {
            attachment: world.ids.uuid(),
            id: format!("eni-{}", world.ids.hex(17)),
            mac: format!(
                "0a:{}:{}:{}:{}:{}",
                world.ids.hex(2),
                world.ids.hex(2),
                world.ids.hex(2),
                world.ids.hex(2),
                world.ids.hex(2)
            ),
            ip: format!("10.0.{}.{}", world.ids.next() % 250, 4 + world.ids.next() % 250),
            subnet: subnet.unwrap_or("subnet-00000000000000000").to_owned(),
        }
    });
    let containers = new
        .definition
        .containers
        .iter()
        .map(|container| {
            let digest = new.digests.as_ref().and_then(|digests| digests.get(&container.name));
            TaskContainer {
                arn: {
                    let uuid = world.ids.uuid();
                    world.ecs_arn(format_args!("container/{}/{id}/{uuid}", new.cluster))
                },
                name: container.name.clone(),
                image: match digest {
                    Some(digest) if !container.image.contains('@') => {
                        format!("{}@{digest}", container.image)
                    }
                    _ => container.image.clone(),
                },
                digest: None,
                runtime_id: None,
                exit_code: None,
                reason: None,
            }
        })
        .collect();
    let instance = (!new.platform.fargate)
        .then(|| world.ecs_arn(format_args!("container-instance/{}/{:032x}", new.cluster, key.0 % 2 + 1)));
    let zone = format!("{}{}", world.place.region, ["a", "b", "c"][key.0 as usize % 3]);
    Task {
        key,
        arn: world.ecs_arn(format_args!("task/{}/{id}", new.cluster)),
        id,
        cluster: new.cluster.clone(),
        service: new.service,
        revision: new.revision,
        group: new.group.clone(),
        started_by: new.started_by.clone(),
        definition: new.definition.clone(),
        platform: new.platform.clone(),
        phase: if interface.is_some() { Phase::Provisioning } else { Phase::Pending },
        interface,
        instance,
        zone,
        execute_command: new.execute_command,
        overrides: new.overrides.clone(),
        tags: new.tags.clone(),
        containers,
        stop: None,
        version: 1,
        target: if new.balanced { Target::Waiting } else { Target::None },
        health: Health::Unknown,
        healthy: false,
        behaviour: Behaviour::Ok,
        failing: 0,
        target_healthy: false,
        round: new.round,
        created_at: now,
        connectivity_at: None,
        pull_started_at: None,
        pull_stopped_at: None,
        started_at: None,
        execution_stopped_at: None,
        stopped_at: None,
    }
}
