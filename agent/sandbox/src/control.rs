//! The hand of the test: behaviour, faults, time, and what was called.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::behaviour::Behaviour;
use crate::catalogue::Failure;
use crate::clock::ClockMode;
use crate::fault::{Armed, Fault};
use crate::journal::JournalEntry;
use crate::model::{Cluster, DeploymentKey, Injected, ServiceStatus, Trouble};
use crate::outside::ecr::NewImage;
use crate::outside::functions::HookAnswer;
use crate::outside::images::Reference;
use crate::outside::scaling::Registration;
use crate::place::Place;
use crate::sim::queue::Event;
use crate::sim::{Around, Sim};
use crate::wire::{Handle, lock};

mod neighbours;

/// Controls a running sandbox from within its process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Control {
    handle: Handle,
}

impl Control {
    pub(crate) fn new(handle: Handle) -> Self {
        Self { handle }
    }

    /// Calls by `service:Operation`, over all accounts and regions.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        lock(&self.handle).journal.totals()
    }

    /// Calls by `service:Operation` in one account and region.
    pub fn calls_in(&self, account: &str, region: &str) -> BTreeMap<String, u64> {
        lock(&self.handle).journal.counts_in(&Place::new(account, region))
    }

    /// Forgets counters and journal.
    pub fn reset_calls(&self) {
        lock(&self.handle).journal.reset();
    }

    /// The calls after the one with this sequence number.
    pub fn journal(&self, since: u64) -> Vec<JournalEntry> {
        lock(&self.handle).journal.since(since)
    }

    /// The virtual time in epoch seconds. The simulation is run up to it.
    pub fn now(&self) -> f64 {
        lock(&self.handle).catch_up().seconds()
    }

    /// Moves the virtual clock on and runs the simulation.
    pub fn advance(&self, span: Duration) {
        let mut state = lock(&self.handle);
        state.clock.advance(span);
        state.catch_up();
    }

    /// Virtual seconds per real second from now on.
    pub fn set_speed(&self, speed: f64) {
        let mut state = lock(&self.handle);
        state.catch_up();
        state.clock.set_mode(ClockMode::Speed(speed));
    }

    /// Stops the clock: it moves only with [`Control::advance`] from now on.
    pub fn set_manual(&self) {
        let mut state = lock(&self.handle);
        state.catch_up();
        state.clock.set_mode(ClockMode::Manual);
    }

    /// Forgets everything but the options and the time.
    pub fn reset(&self) {
        lock(&self.handle).reset();
    }

    /// Makes a cluster with the Fargate capacity providers.
    pub fn create_cluster(&self, account: &str, region: &str, name: &str) {
        let mut state = lock(&self.handle);
        let instances = state.options.container_instances;
        let world = state.world(&Place::new(account, region));
        world.clusters.entry(name.to_owned()).or_insert_with(|| Cluster::new(name, instances));
    }

    /// Associates a capacity provider with a cluster.
    pub fn add_capacity_provider(&self, account: &str, region: &str, cluster: &str, provider: &str) {
        let mut state = lock(&self.handle);
        let world = state.world(&Place::new(account, region));
        let Some(found) = world.clusters.get_mut(cluster) else {
            return;
        };
        if let Some(providers) = found.wire.get_mut("capacityProviders").and_then(Value::as_array_mut) {
            providers.push(Value::from(provider));
        }
    }

    /// Sets the number of EC2 instances of a cluster. Daemon services follow.
    pub fn set_container_instances(&self, account: &str, region: &str, cluster: &str, instances: u32) {
        let mut state = lock(&self.handle);
        let now = state.catch_up();
        let world = state.world(&Place::new(account, region));
        let Some(found) = world.clusters.get_mut(cluster) else {
            return;
        };
        found.instances = instances;
        for service in world
            .services
            .values()
            .filter(|service| service.cluster == cluster && service.status == ServiceStatus::Active)
        {
            world.queue.push(now, Event::Pass(service.key));
        }
    }

    /// Makes an ECR repository.
    pub fn create_repository(&self, account: &str, region: &str, repository: &str) {
        let mut state = lock(&self.handle);
        let now = state.catch_up();
        let registry = state.outside.registries.entry(Place::new(account, region)).or_default();
        registry.create(repository, "MUTABLE", now);
    }

    /// Pushes a new image with a behaviour, and makes the repository if need be. The tag moves.
    /// Returns the digest.
    pub fn push_image(&self, account: &str, region: &str, repository: &str, tag: &str, behaviour: Behaviour) -> String {
        let image = NewImage { behaviour, ..NewImage::default() };
        self.push_image_with(account, region, repository, tag, &image)
    }

    /// Pushes a new image with labels or for several architectures, and makes the repository if need be. The tag moves.
    /// Returns the digest.
    pub fn push_image_with(
        &self,
        account: &str,
        region: &str,
        repository: &str,
        tag: &str,
        image: &NewImage,
    ) -> String {
        let mut state = lock(&self.handle);
        let now = state.catch_up();
        state.outside.push_image(&Place::new(account, region), repository, tag, image, now)
    }

    /// Copies the image of a tag to the same repository in another region, as ECR's replication does. Says whether there
    /// is such an image.
    pub fn replicate_image(&self, account: &str, region: &str, repository: &str, tag: &str, to: &str) -> bool {
        let mut state = lock(&self.handle);
        let now = state.catch_up();
        let (from, to) = (Place::new(account, region), Place::new(account, to));
        state.outside.replicate_image(&from, &to, repository, tag, now)
    }

    /// Attaches a behaviour to an image reference: to the image that an ECR reference means now,
    /// else to the text of the reference.
    pub fn set_behaviour(&self, image: &str, behaviour: Behaviour) {
        let mut state = lock(&self.handle);
        state.catch_up();
        let reference = Reference::parse(image);
        if let Some((place, repository)) = reference.ecr()
            && let Some(registry) = state.outside.registries.get_mut(&place)
            && registry.set_behaviour(repository, reference.tag, reference.digest, &behaviour)
        {
            return;
        }
        state.outside.images.set(image, behaviour);
    }

    /// Writes a parameter; `kind` is `String`, `StringList` or `SecureString`.
    pub fn put_parameter(&self, account: &str, region: &str, name: &str, kind: &str, value: &str) {
        let mut state = lock(&self.handle);
        let now = state.catch_up();
        state.outside.parameters.entry(Place::new(account, region)).or_default().put(name, kind, value, now);
    }

    /// Removes a parameter.
    pub fn delete_parameter(&self, account: &str, region: &str, name: &str) {
        let mut state = lock(&self.handle);
        state.catch_up();
        if let Some(parameters) = state.outside.parameters.get_mut(&Place::new(account, region)) {
            parameters.remove(name);
        }
    }

    /// Writes a secret. Returns its ARN.
    pub fn put_secret(&self, account: &str, region: &str, name: &str, value: &str) -> String {
        let mut state = lock(&self.handle);
        let now = state.catch_up();
        let place = Place::new(account, region);
        let outside = &mut state.outside;
        let secrets = outside.secrets.entry(place.clone()).or_default();
        secrets.put(&place, name, json!({ "SecretString": value }), now, &mut outside.ids)
    }

    /// Registers a scalable target for the desired count of a service (`service/CLUSTER/NAME`).
    pub fn register_scalable_target(&self, account: &str, region: &str, resource: &str, minimum: u32, maximum: u32) {
        let mut state = lock(&self.handle);
        let now = state.catch_up();
        let place = Place::new(account, region);
        let new = Registration {
            namespace: "ecs",
            resource,
            dimension: "ecs:service:DesiredCount",
            minimum: Some(minimum),
            maximum: Some(maximum.max(minimum)),
            role: None,
            suspended: None,
        };
        let outside = &mut state.outside;
        let targets = outside.scaling.entry(place.clone()).or_default();
        // The bounds are in order, so that the registration cannot fail.
        let _ = targets.register(&place, &new, now, &mut outside.ids);
    }

    /// Lets a failure of the catalogue happen to a service: to its deployments that begin from now on, or, for what
    /// happens to running tasks, now. [`Failure::F15`] is a matter of the service's own configuration and changes nothing.
    pub fn inject(&self, account: &str, region: &str, cluster: &str, service: &str, failure: Failure) {
        if failure == Failure::F20 {
            return self.reclaim_spot(account, region, cluster, service, usize::MAX);
        }
        if let Some(trouble) = failure.trouble() {
            self.trouble(account, region, cluster, service, trouble);
        }
    }

    /// Gives a service a trouble, from its next deployment on.
    pub fn trouble(&self, account: &str, region: &str, cluster: &str, service: &str, trouble: Trouble) {
        let mut state = lock(&self.handle);
        state.catch_up();
        let world = state.world(&Place::new(account, region));
        let spares = DeploymentKey(world.next_key());
        if world.names.contains_key(&(cluster.to_owned(), service.to_owned())) {
            world.with_service(cluster, service, |service| service.troubles.push(Injected { trouble, spares }));
        } else {
            // A service that is yet to come has it from its first deployment on.
            world.awaiting.entry((cluster.to_owned(), service.to_owned())).or_default().push(trouble);
        }
    }

    /// Ends all troubles of a service.
    pub fn heal(&self, account: &str, region: &str, cluster: &str, service: &str) {
        let mut state = lock(&self.handle);
        let now = state.catch_up();
        let world = state.world(&Place::new(account, region));
        world.with_service(cluster, service, |service| service.troubles.clear());
        if let Some(key) = world.names.get(&(cluster.to_owned(), service.to_owned())) {
            world.queue.push(now, Event::Pass(*key));
        }
    }

    /// Takes the Spot capacity of up to so many running tasks away.
    pub fn reclaim_spot(&self, account: &str, region: &str, cluster: &str, service: &str, count: usize) {
        let mut guard = lock(&self.handle);
        let now = guard.catch_up();
        let state = &mut *guard;
        let around = Around { durations: &state.options.durations, outside: &state.outside };
        let Some(world) = state.worlds.get_mut(&Place::new(account, region)) else {
            return;
        };
        let Some(key) = world.names.get(&(cluster.to_owned(), service.to_owned())).copied() else {
            return;
        };
        let tasks = world.services[&key].tasks.clone();
        let running = tasks.into_iter().filter(|task| world.tasks[task].running()).take(count).collect::<Vec<_>>();
        let mut sim = Sim::new(world, around, now);
        for task in running {
            sim.stop_task(task, "SpotInterruption", "Your Spot Task was interrupted.");
        }
        sim.unsettle(key);
        sim.pass_in(key, around.durations.scheduler_pass);
    }

    /// Lets ECS manage a service itself, as it does with Express services.
    pub fn make_express(&self, account: &str, region: &str, cluster: &str, service: &str) {
        let mut state = lock(&self.handle);
        let world = state.world(&Place::new(account, region));
        world.with_service(cluster, service, |service| service.express = true);
    }

    /// Says what the function of a lifecycle hook answers from now on.
    pub fn set_hook(&self, function: &str, answer: HookAnswer) {
        let mut state = lock(&self.handle);
        state.catch_up();
        state.outside.functions.set(function, answer);
    }

    /// The calls of lifecycle hooks' functions in a place, oldest first: `time`, `function`, `payload`.
    pub fn hook_calls(&self, account: &str, region: &str) -> Vec<Value> {
        let mut state = lock(&self.handle);
        state.catch_up();
        state.world(&Place::new(account, region)).hook_calls.clone()
    }

    /// Adds a fault. Faults apply in the order in which they were added.
    pub fn add_fault(&self, fault: Fault) {
        lock(&self.handle).faults.push(Armed::from(fault));
    }

    /// The image of the first container of a task definition revision.
    pub fn image_of(&self, account: &str, region: &str, arn: &str) -> Option<String> {
        let mut state = lock(&self.handle);
        let (family, revision) = arn.rsplit('/').next()?.rsplit_once(':')?;
        let revisions = state.world(&Place::new(account, region)).families.get(family)?;
        let definition = &revisions.get(&revision.parse().ok()?)?.definition;
        definition.containers.first().map(|container| container.image.clone())
    }

    /// How many calls the present faults have struck.
    pub fn strikes(&self) -> u64 {
        lock(&self.handle).faults.iter().map(|armed| armed.struck).sum()
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        lock(&self.handle).faults.clear();
    }

    /// Makes an access key unknown.
    pub fn invalidate_key(&self, access_key: &str) {
        lock(&self.handle).identity.invalid_keys.insert(access_key.to_owned());
    }

    /// Refuses `AssumeRole` for a role.
    pub fn deny_role(&self, role_arn: &str) {
        lock(&self.handle).identity.denied_roles.insert(role_arn.to_owned());
    }

    /// Knows all access keys and allows all roles again.
    pub fn restore_access(&self) {
        let mut state = lock(&self.handle);
        state.identity.invalid_keys.clear();
        state.identity.denied_roles.clear();
    }

    /// The clock as the control interface shows it.
    pub(crate) fn clock(&self) -> Value {
        let mut state = lock(&self.handle);
        let now = state.catch_up();
        match state.clock.mode() {
            ClockMode::Manual => json!({ "now": now.seconds(), "mode": "manual" }),
            ClockMode::Speed(speed) => {
                json!({ "now": now.seconds(), "mode": "speed", "speed": speed })
            }
        }
    }

    pub(crate) fn default_account(&self) -> String {
        lock(&self.handle).options.default_account.clone()
    }
}
