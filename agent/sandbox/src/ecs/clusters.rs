//! Clusters and capacity providers.

use serde_json::{Value, json};

use crate::ecs::{Ctx, last_segment, missing, put, tags_of, with_token};
use crate::error::{Answer, ApiError};
use crate::model::{Cluster, Object, Phase, ServiceStatus};

impl Cluster {
    pub(crate) fn new(name: &str, instances: u32) -> Self {
        let mut wire = Object::new();
        put(&mut wire, "settings", json!([{ "name": "containerInsights", "value": "disabled" }]));
        put(&mut wire, "capacityProviders", json!(["FARGATE", "FARGATE_SPOT"]));
        put(&mut wire, "defaultCapacityProviderStrategy", json!([]));
        Self { name: name.to_owned(), active: true, wire, tags: Vec::new(), instances }
    }
}

/// Members of a cluster that come as they went.
const KEPT: [&str; 5] =
    ["settings", "configuration", "capacityProviders", "defaultCapacityProviderStrategy", "serviceConnectDefaults"];

impl Ctx<'_> {
    pub(crate) fn create_cluster(&mut self) -> Answer {
        let name = self.request.text("clusterName").unwrap_or("default").to_owned();
        let mut cluster = Cluster::new(&name, self.options.container_instances);
        put(&mut cluster.wire, "capacityProviders", json!([]));
        for member in KEPT {
            if let Some(value) = self.request.get(member) {
                put(&mut cluster.wire, member, value.clone());
            }
        }
        cluster.tags = tags_of(self.request);
        let world = &mut *self.sim.world;
        world.clusters.entry(name.clone()).and_modify(|old| old.active = true).or_insert(cluster);
        Ok(json!({ "cluster": self.show_cluster(&name, true) }))
    }

    pub(crate) fn describe_clusters(&mut self) -> Answer {
        let mut names = self.batch("clusters", 100, "clusters")?;
        if names.is_empty() {
            names.push("default".to_owned());
        }
        if self.options.auto_create_clusters {
            for name in &names {
                let name = last_segment(name);
                let instances = self.options.container_instances;
                self.sim.world.clusters.entry(name.to_owned()).or_insert_with(|| Cluster::new(name, instances));
            }
        }
        let tags = self.request.includes("TAGS");
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for name in &names {
            match self.sim.world.clusters.get(last_segment(name)) {
                Some(cluster) => found.push(self.show_cluster(&cluster.name, tags)),
                None if name.starts_with("arn:") => failures.push(missing(name)),
                None => failures.push(missing(&self.sim.world.ecs_arn(format_args!("cluster/{name}")))),
            }
        }
        Ok(json!({ "clusters": found, "failures": failures }))
    }

    pub(crate) fn list_clusters(&mut self) -> Answer {
        let world = &self.sim.world;
        let all = world
            .clusters
            .values()
            .filter(|cluster| cluster.active)
            .map(|cluster| (cluster.name.clone(), world.ecs_arn(format_args!("cluster/{}", cluster.name))))
            .collect();
        let (arns, next) = self.page(all, 100)?;
        Ok(with_token(json!({ "clusterArns": arns }), next))
    }

    fn show_cluster(&self, name: &str, tags: bool) -> Value {
        let world = &self.sim.world;
        let Some(cluster) = world.clusters.get(name) else {
            return Value::Null;
        };
        let tasks = || world.tasks.values().filter(|task| task.cluster == name);
        let services = world
            .services
            .values()
            .filter(|service| service.cluster == name && service.status == ServiceStatus::Active)
            .count();
        let mut wire = json!({
            "clusterArn": world.ecs_arn(format_args!("cluster/{name}")),
            "clusterName": name,
            "status": if cluster.active { "ACTIVE" } else { "INACTIVE" },
            "registeredContainerInstancesCount": cluster.instances,
            "runningTasksCount": tasks().filter(|task| task.phase == Phase::Running).count(),
            "pendingTasksCount": tasks().filter(|task| task.pending()).count(),
            "activeServicesCount": services,
            "statistics": [],
            "tags": if tags { json!(cluster.tags) } else { json!([]) },
        });
        for (member, value) in &cluster.wire {
            wire[member] = value.clone();
        }
        wire
    }

    pub(crate) fn describe_capacity_providers(&mut self) -> Answer {
        let wanted = self.request.texts("capacityProviders");
        let mut names: Vec<String> = vec!["FARGATE".to_owned(), "FARGATE_SPOT".to_owned()];
        for cluster in self.sim.world.clusters.values() {
            for provider in cluster.wire["capacityProviders"].as_array().into_iter().flatten().filter_map(Value::as_str)
            {
                if !names.iter().any(|name| name == provider) {
                    names.push(provider.to_owned());
                }
            }
        }
        names.sort();
        let failures: Vec<Value> = wanted
            .iter()
            .filter(|name| !names.iter().any(|known| known == last_segment(name)))
            .map(|name| missing(name))
            .collect();
        let all: Vec<(String, Value)> = names
            .into_iter()
            .filter(|name| wanted.is_empty() || wanted.iter().any(|wanted| last_segment(wanted) == name))
            .map(|name| {
                let kind = if name.starts_with("FARGATE") { name.as_str() } else { "EC2_AUTOSCALING" };
                let wire = json!({
                    "capacityProviderArn": self.sim.world.ecs_arn(format_args!("capacity-provider/{name}")),
                    "name": name, "status": "ACTIVE", "type": kind, "tags": [],
                });
                (name, wire)
            })
            .collect();
        let (items, next) = self.page(all, 10)?;
        Ok(with_token(json!({ "capacityProviders": items, "failures": failures }), next))
    }

    /// The namespace that Service Connect takes when a service names none.
    pub(crate) fn default_namespace(&self, cluster: &str) -> Option<Value> {
        let cluster = self.sim.world.clusters.get(cluster)?;
        cluster.wire.get("serviceConnectDefaults").map(|defaults| defaults["namespace"].clone())
    }

    /// A strategy names only what the cluster has.
    pub(crate) fn check_strategy(&self, cluster: &str, strategy: &Value) -> Result<(), ApiError> {
        let wire = self.sim.world.clusters.get(cluster).map(|cluster| &cluster.wire);
        let attached = wire.and_then(|wire| wire.get("capacityProviders")).and_then(Value::as_array);
        let is_attached = |entry: &Value| {
            let name = entry["capacityProvider"].as_str().map(last_segment);
            attached.into_iter().flatten().any(|provider| provider.as_str().map(last_segment) == name)
        };
        if strategy.as_array().into_iter().flatten().all(is_attached) {
            return Ok(());
        }
        Err(ApiError::invalid(
            "The specified capacity provider strategy cannot contain a capacity provider that is not associated with the cluster. Associate the capacity provider with the cluster and try again.",
        ))
    }

    pub(crate) fn default_strategy(&self, cluster: &str) -> Option<Value> {
        let cluster = self.sim.world.clusters.get(cluster)?;
        let strategy = cluster.wire.get("defaultCapacityProviderStrategy")?;
        strategy.as_array().filter(|entries| !entries.is_empty()).map(|_| strategy.clone())
    }
}

/// The error of an operation on something that is not there.
pub(crate) fn not_found(what: &str) -> ApiError {
    ApiError::invalid(format!("The specified {what} is not found."))
}
