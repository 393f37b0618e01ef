//! The operations of ECS.
//!
//! Each one reads a request, changes the world or opens work for the simulation, and renders the
//! answer. The simulation has already been run up to the moment of the request.

use serde_json::{Value, json};

use crate::clock::Moment;
use crate::error::{Answer, ApiError};
use crate::model::{Cluster, Object, ServiceKey, TaskDefinition};
use crate::options::Options;
use crate::place::Caller;
use crate::request::{Paging, Request, page};
use crate::sim::Sim;

mod check;
mod clusters;
mod definitions;
mod deployments;
mod members;
mod normalise;
mod services;
mod show;
mod stale;
mod tags;
mod tasks;
mod update;

/// One call.
pub(crate) struct Ctx<'a> {
    pub(crate) sim: Sim<'a>,
    pub(crate) request: Request<'a>,
    pub(crate) caller: &'a Caller,
    pub(crate) options: &'a Options,
    /// How far this call's reads lag behind the writes.
    pub(crate) lag: std::time::Duration,
}

/// Runs one operation. With `keep`, what services were before a write is kept for reads that lag behind.
pub(crate) fn run(operation: &str, mut ctx: Ctx<'_>, keep: bool) -> Answer {
    if keep {
        ctx.keep_before(operation);
    }
    match operation {
        "CreateCluster" => ctx.create_cluster(),
        "DescribeClusters" => ctx.describe_clusters(),
        "ListClusters" => ctx.list_clusters(),
        "DescribeCapacityProviders" => ctx.describe_capacity_providers(),
        "RegisterTaskDefinition" => ctx.register_task_definition(),
        "DescribeTaskDefinition" => ctx.describe_task_definition(),
        "DeregisterTaskDefinition" => ctx.deregister_task_definition(),
        "ListTaskDefinitions" => ctx.list_task_definitions(),
        "ListTaskDefinitionFamilies" => ctx.list_task_definition_families(),
        "CreateService" => ctx.create_service(),
        "UpdateService" => ctx.update_service(),
        "DeleteService" => ctx.delete_service(),
        "DescribeServices" => ctx.describe_services(),
        "ListServices" => ctx.list_services(),
        "RunTask" => ctx.run_task(),
        "StopTask" => ctx.stop_task(),
        "ListTasks" => ctx.list_tasks(),
        "DescribeTasks" => ctx.describe_tasks(),
        "ListServiceDeployments" => ctx.list_service_deployments(),
        "DescribeServiceDeployments" => ctx.describe_service_deployments(),
        "DescribeServiceRevisions" => ctx.describe_service_revisions(),
        "StopServiceDeployment" => ctx.stop_service_deployment(),
        "ContinueServiceDeployment" => ctx.continue_service_deployment(),
        "TagResource" => ctx.tag_resource(),
        "UntagResource" => ctx.untag_resource(),
        "ListTagsForResource" => ctx.list_tags(),
        other => Err(ApiError::unsupported(format!("The sandbox does not know ecs:{other}."))),
    }
}

impl Ctx<'_> {
    pub(crate) fn now(&self) -> Moment {
        self.sim.now
    }

    /// The name of the cluster that the request means, if it exists.
    pub(crate) fn cluster(&mut self) -> Result<String, ApiError> {
        let name = last_segment(self.request.text("cluster").unwrap_or("default")).to_owned();
        let world = &mut *self.sim.world;
        if self.options.auto_create_clusters {
            let instances = self.options.container_instances;
            world.clusters.entry(name.clone()).or_insert_with(|| Cluster::new(&name, instances));
        }
        match world.clusters.get(&name) {
            Some(cluster) if cluster.active => Ok(name),
            _ => Err(ApiError::cluster_not_found()),
        }
    }

    /// The service of a name or ARN in a cluster, in whatever state.
    pub(crate) fn find_service(&self, cluster: &str, service: &str) -> Option<ServiceKey> {
        let name = last_segment(service);
        self.sim.world.names.get(&(cluster.to_owned(), name.to_owned())).copied()
    }

    /// The service that a request means, or the error that it does not exist.
    pub(crate) fn service_named(&mut self, member: &str) -> Result<ServiceKey, ApiError> {
        let cluster = self.cluster()?;
        let name = self.request.text(member).unwrap_or_default();
        self.find_service(&cluster, name).ok_or_else(ApiError::service_not_found)
    }

    /// The task definition of a family, a `family:revision` or an ARN.
    pub(crate) fn find_definition(&self, reference: &str) -> Option<&TaskDefinition> {
        let (family, revision) = match last_segment(reference).rsplit_once(':') {
            Some((family, revision)) => (family, Some(revision.parse::<u32>().ok()?)),
            None => (last_segment(reference), None),
        };
        let revisions = self.sim.world.families.get(family)?;
        match revision {
            Some(revision) => revisions.get(&revision),
            None => revisions.values().rev().find(|definition| definition.active),
        }
    }

    /// A definition that new tasks may use.
    pub(crate) fn usable_definition(&self, reference: &str) -> Result<TaskDefinition, ApiError> {
        match self.find_definition(reference) {
            None => Err(ApiError::client("TaskDefinition not found.")),
            Some(definition) if !definition.active => Err(ApiError::client("TaskDefinition is inactive")),
            Some(definition) => Ok(definition.clone()),
        }
    }

    /// One page of a list of the ECS kind.
    pub(crate) fn page<T>(
        &self,
        items: Vec<(String, T)>,
        default: usize,
    ) -> Result<(Vec<T>, Option<String>), ApiError> {
        let size = match self.request.get("maxResults").and_then(Value::as_i64) {
            None => default,
            Some(size @ 1..=100) => size as usize,
            Some(_) => return Err(ApiError::invalid("maxResults must be between 1 and 100.")),
        };
        let paging = Paging { token: self.request.text("nextToken"), size, short: self.options.short_pages };
        page(items, &paging).map_err(|_| ApiError::invalid("Invalid token in request."))
    }

    /// Refuses a batch that is longer than the operation allows.
    pub(crate) fn batch(&self, member: &str, limit: usize, what: &str) -> Result<Vec<String>, ApiError> {
        let items = self.request.texts(member);
        if items.len() > limit {
            return Err(ApiError::invalid(format!("{what} cannot have more than {limit} elements")));
        }
        Ok(items.into_iter().map(str::to_owned).collect())
    }
}

/// What follows the last slash of an ARN or path.
pub(crate) fn last_segment(text: &str) -> &str {
    text.rsplit('/').next().unwrap_or(text)
}

pub(crate) fn missing(arn: &str) -> Value {
    json!({ "arn": arn, "reason": "MISSING" })
}

pub(crate) fn put(object: &mut Object, name: &str, value: impl Into<Value>) {
    object.insert(name.to_owned(), value.into());
}

pub(crate) fn put_some(object: &mut Object, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        put(object, name, value);
    }
}

pub(crate) fn with_token(mut answer: Value, next: Option<String>) -> Value {
    if let Some(token) = next {
        answer["nextToken"] = json!(token);
    }
    answer
}

/// The tags of a request.
pub(crate) fn tags_of(request: Request<'_>) -> Vec<Value> {
    request.list("tags").cloned().unwrap_or_default()
}
