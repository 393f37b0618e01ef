//! Reads of ECS, turned into the plain data that the planner looks at.

use super::{AwsError, Clients, Remedy, call::Kind, error::words, generated, json, pace::Group, pages::Pages};
use aws_sdk_ecs::types as sdk;
use futures_util::{StreamExt, stream};
use lockstep_core::observed::words::DeploymentStatus;
use lockstep_core::{
    observed::{LiveDeployment, LiveService, Reading, Revision, ScalableTarget, ServiceEvent, ServiceRevision},
    tags::Tags,
};
use serde_json::Value;
use std::{collections::BTreeMap, sync::atomic::Ordering};

/// Services that DescribeServices takes in one call.
const BATCH: usize = 10;
/// Calls of one kind that are under way at the same time.
const CONCURRENT: usize = 4;
/// How far back the deployment history is read: one page.
const HISTORY: i32 = 20;

/// A service deployment as ListServiceDeployments shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brief {
    /// Its ARN.
    pub arn: String,
    /// The ARN of the service revision that it was to bring.
    pub target: String,
    /// Its status.
    pub status: DeploymentStatus,
    /// ECS's words on the status.
    pub reason: String,
    /// When it was created, epoch seconds.
    pub started_at: i64,
    /// When it ended, epoch seconds; 0 where it did not.
    pub finished_at: i64,
}

impl Clients {
    /// DescribeServices with tags, ten names a call. Every name is in the answer.
    pub async fn services(&self, cluster: &str, names: &[String]) -> BTreeMap<String, Reading<LiveService>> {
        let mut batches = Vec::new();
        for batch in names.chunks(BATCH) {
            batches.push(self.services_batch(cluster, batch));
        }
        let answers: Vec<_> = stream::iter(batches).buffer_unordered(CONCURRENT).collect().await;
        answers.into_iter().flatten().collect()
    }

    /// The same for what is looked at anyway: it leaves some of the rate to what a commit changes meanwhile.
    pub async fn services_at_leisure(&self, cluster: &str, names: &[String]) -> BTreeMap<String, Reading<LiveService>> {
        let batches = names.chunks(BATCH).map(|batch| async {
            self.pace.leave_some(Group::ServiceRead).await;
            self.services_batch(cluster, batch).await
        });
        let batches: Vec<_> = batches.collect();
        let answers: Vec<_> = stream::iter(batches).buffer_unordered(CONCURRENT).collect().await;
        answers.into_iter().flatten().collect()
    }

    async fn services_batch(&self, cluster: &str, batch: &[String]) -> Vec<(String, Reading<LiveService>)> {
        const OPERATION: &str = "ecs:DescribeServices";
        let request = self
            .ecs
            .describe_services()
            .cluster(cluster)
            .set_services(Some(batch.to_vec()))
            .include(sdk::ServiceField::Tags);
        let answer = match self.call(OPERATION, Group::ServiceRead, Kind::Read, || request.clone().send()).await {
            Ok(answer) => answer,
            Err(error) => {
                let text = match error.remedy {
                    Remedy::NotFound => {
                        format!(
                            "the cluster {cluster} does not exist in account {} and region {}",
                            self.account, self.region
                        )
                    }
                    _ => error.to_string(),
                };
                return batch.iter().map(|name| (name.clone(), Reading::Failed(text.clone()))).collect();
            }
        };
        batch
            .iter()
            .map(|name| {
                let found = answer.services().iter().find(|service| service.service_name() == Some(name));
                let reading = match found {
                    Some(service) => {
                        let arns = [service.service_arn(), service.cluster_arn()].map(Option::unwrap_or_default);
                        match elsewhere(arns, [&self.account, &self.region, cluster]) {
                            None => Reading::Found(live_service(service)),
                            Some(place) => Reading::Failed(format!("{OPERATION} answers with {name} of {place}")),
                        }
                    }
                    None => {
                        let failure = answer.failures().iter().find(|failure| {
                            failure.arn().is_some_and(|arn| arn == name || arn.ends_with(&format!("/{name}")))
                        });
                        match failure.and_then(|failure| failure.reason()) {
                            Some("MISSING") => Reading::Missing,
                            Some(reason) => Reading::Failed(format!("{OPERATION} answers {reason} for {name}")),
                            None => Reading::Failed(format!("{OPERATION} leaves {name} out of its answer")),
                        }
                    }
                };
                (name.clone(), reading)
            })
            .collect()
    }

    /// The ARN and the tags of a cluster.
    ///
    /// # Errors
    /// As the call fails; a cluster that is not there.
    pub async fn cluster(&self, name: &str) -> Result<(String, Tags), AwsError> {
        const OPERATION: &str = "ecs:DescribeClusters";
        let request = self.ecs.describe_clusters().clusters(name).include(sdk::ClusterField::Tags);
        let answer = self.call(OPERATION, Group::ClusterResourceRead, Kind::Read, || request.clone().send()).await?;
        let found = answer.clusters().first();
        let found = found.ok_or_else(|| AwsError::build(OPERATION, &format!("there is no cluster {name}")))?;
        Ok((found.cluster_arn().unwrap_or_default().to_owned(), tags(found.tags())))
    }

    /// The names of a cluster's services.
    ///
    /// # Errors
    /// As the calls fail.
    pub async fn service_names(&self, cluster: &str) -> Result<Vec<String>, AwsError> {
        const OPERATION: &str = "ecs:ListServices";
        let mut names = Vec::new();
        let mut pages = Pages::of(OPERATION);
        let mut token: Option<String> = None;
        loop {
            // A page may be short and yet not the last one.
            let request = self.ecs.list_services().cluster(cluster).max_results(100).set_next_token(token);
            let answer = self.call(OPERATION, Group::ServiceRead, Kind::Read, || request.clone().send()).await?;
            let last = |arn: &String| arn.rsplit('/').next().unwrap_or(arn).to_owned();
            names.extend(answer.service_arns().iter().map(last));
            token = pages.next(answer.next_token())?;
            if token.is_none() {
                return Ok(names);
            }
        }
    }

    /// A task definition revision by ARN, or a family's newest ACTIVE one by the family's name.
    pub async fn revision(&self, name: &str) -> Reading<Revision> {
        const OPERATION: &str = "ecs:DescribeTaskDefinition";
        let request = self.ecs.describe_task_definition().task_definition(name).include(sdk::TaskDefinitionField::Tags);
        match self.call(OPERATION, Group::TaskDefinitionRead, Kind::Read, || request.clone().send()).await {
            Ok(answer) => match answer.task_definition() {
                Some(definition) => Reading::Found(revision_of(definition, answer.tags())),
                None => Reading::Missing,
            },
            Err(error) => {
                // A family without an ACTIVE revision is a client error, like a family that never was.
                // No other refusal says that there is none.
                let is_missing = error.remedy == Remedy::Refused && error.code == "ClientException";
                if is_missing { Reading::Missing } else { Reading::Failed(error.to_string()) }
            }
        }
    }

    /// The newest revisions of a family, newest first.
    ///
    /// # Errors
    /// As the calls fail.
    pub async fn newest_revisions(&self, family: &str, most: i32) -> Result<Vec<Revision>, AwsError> {
        const OPERATION: &str = "ecs:ListTaskDefinitions";
        let request = self.ecs.list_task_definitions().family_prefix(family).sort(sdk::SortOrder::Desc);
        let request = request.max_results(most);
        let answer = self.call(OPERATION, Group::TaskDefinitionRead, Kind::Read, || request.clone().send()).await?;
        let mut revisions = Vec::new();
        for arn in answer.task_definition_arns() {
            match self.revision(arn).await {
                Reading::Found(revision) => revisions.push(revision),
                Reading::Failed(text) => return Err(AwsError::build("ecs:DescribeTaskDefinition", &text)),
                Reading::Missing | Reading::Unread => {}
            }
        }
        Ok(revisions)
    }

    /// Whether the endpoint turned out to have no deployment history.
    pub fn has_no_history(&self) -> bool {
        self.no_history.load(Ordering::Relaxed)
    }

    /// Notes that the endpoint has no deployment history.
    pub fn note_no_history(&self) {
        self.no_history.store(true, Ordering::Relaxed);
    }

    /// A pause made longer or shorter by chance, so that what failed together does not come back together.
    pub fn jittered(&self, pause: std::time::Duration) -> std::time::Duration {
        self.pace.jittered(pause)
    }

    /// The newest service deployments of a service, newest first; none where the endpoint has no such operation.
    ///
    /// # Errors
    /// As the call fails.
    pub async fn past_deployments(&self, cluster: &str, service: &str) -> Result<Option<Vec<Brief>>, AwsError> {
        if self.no_history.load(Ordering::Relaxed) {
            return Ok(None);
        }
        const OPERATION: &str = "ecs:ListServiceDeployments";
        let mut briefs: Vec<sdk::ServiceDeploymentBrief> = Vec::new();
        let mut pages = Pages::of(OPERATION);
        let mut token: Option<String> = None;
        loop {
            let request = self.ecs.list_service_deployments().cluster(cluster).service(service).max_results(HISTORY);
            let request = request.set_next_token(token);
            let answer = self.call(OPERATION, Group::ServiceDeployment, Kind::Read, || request.clone().send()).await;
            let answer = match answer {
                Ok(answer) => answer,
                // A page of somebody else's is no answer: it says nothing of the history.
                Err(error) if error.remedy == Remedy::Unsupported && (error.is_coded() || self.is_on_loopback()) => {
                    self.no_history.store(true, Ordering::Relaxed);
                    return Ok(None);
                }
                Err(error) => return Err(error),
            };
            briefs.extend(answer.service_deployments().iter().cloned());
            token = pages.next(answer.next_token())?;
            // A page may be short and yet not the last one.
            if token.is_none() || briefs.len() >= HISTORY as usize {
                break;
            }
        }
        briefs.sort_by_key(|brief| std::cmp::Reverse(brief.created_at().map(|at| at.as_nanos())));
        Ok(Some(
            briefs
                .into_iter()
                .map(|brief| Brief {
                    arn: brief.service_deployment_arn().unwrap_or_default().to_owned(),
                    target: brief.target_service_revision_arn().unwrap_or_default().to_owned(),
                    status: brief.status().map(|status| status.as_str().into()).unwrap_or_default(),
                    reason: words(brief.status_reason().unwrap_or_default()),
                    started_at: brief.created_at().map_or(0, aws_sdk_ecs::primitives::DateTime::secs),
                    finished_at: brief.finished_at().map_or(0, aws_sdk_ecs::primitives::DateTime::secs),
                })
                .collect(),
        ))
    }

    /// Service revisions by ARN: immutable, so that each is read once.
    ///
    /// # Errors
    /// As the call fails.
    pub async fn service_revisions(&self, arns: &[String]) -> Result<Vec<ServiceRevision>, AwsError> {
        let mut found = Vec::new();
        for batch in arns.chunks(20) {
            const OPERATION: &str = "ecs:DescribeServiceRevisions";
            let request = self.ecs.describe_service_revisions().set_service_revision_arns(Some(batch.to_vec()));
            let answer = self.call(OPERATION, Group::ServiceRevision, Kind::Read, || request.clone().send()).await?;
            found.extend(answer.service_revisions().iter().map(|revision| ServiceRevision {
                arn: revision.service_revision_arn().unwrap_or_default().to_owned(),
                task_definition: revision.task_definition().unwrap_or_default().to_owned(),
                members: to_json(&generated::service_members_of_revision(revision)),
            }));
        }
        Ok(found)
    }

    /// Whether Application Auto Scaling has a target for the service.
    pub async fn scalable(&self, cluster: &str, service: &str) -> Reading<ScalableTarget> {
        const OPERATION: &str = "application-autoscaling:DescribeScalableTargets";
        self.pace.acquire(Group::Parameters).await;
        let resource = format!("service/{cluster}/{service}");
        let input = serde_json::json!({ "ServiceNamespace": "ecs", "ResourceIds": [resource] });
        let answer = self.json(json::SCALING, OPERATION, &input).await;
        match answer.and_then(|answer| scalable_target(OPERATION, &answer, &resource)) {
            Ok(Some(target)) => Reading::Found(target),
            Ok(None) => Reading::Missing,
            Err(error) => Reading::Failed(error.to_string()),
        }
    }
}

/// The target of a resource in an answer. That there is none, and so that the count is Git's, is what an empty list says
/// and nothing else.
fn scalable_target(
    operation: &'static str,
    answer: &Value,
    resource: &str,
) -> Result<Option<ScalableTarget>, AwsError> {
    let targets = json::list(operation, answer, "ScalableTargets")?;
    let Some(target) = targets.iter().find(|target| target["ResourceId"] == resource) else {
        let is_all = targets.is_empty() && answer["NextToken"].is_null();
        return if is_all { Ok(None) } else { Err(json::without(operation, &format!("target for {resource}"))) };
    };
    let capacity = |name: &str| target[name].as_i64().ok_or_else(|| json::without(operation, name));
    Ok(Some(ScalableTarget { minimum: capacity("MinCapacity")?, maximum: capacity("MaxCapacity")? }))
}

#[cfg(test)]
mod scalable_tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_an_empty_list_says_that_there_is_no_target() {
        let of = |answer: Value| scalable_target("s:D", &answer, "service/prod/web").map_err(|error| error.text);
        let target = |id: &str| json!({ "ResourceId": id, "MinCapacity": 2, "MaxCapacity": 9 });
        assert_eq!(of(json!({ "ScalableTargets": [] })), Ok(None));
        let found = Some(ScalableTarget { minimum: 2, maximum: 9 });
        assert_eq!(
            of(json!({ "ScalableTargets": [target("service/prod/api"), target("service/prod/web")] })),
            Ok(found)
        );
        for (answer, lacks) in [
            (json!({}), "ScalableTargets"),
            (json!({ "ScalableTargets": null }), "ScalableTargets"),
            (json!({ "ScalableTargets": [], "NextToken": "more" }), "target for service/prod/web"),
            (json!({ "ScalableTargets": [target("service/prod/api")] }), "target for service/prod/web"),
            (json!({ "ScalableTargets": [{ "ResourceId": "service/prod/web", "MaxCapacity": 9 }] }), "MinCapacity"),
        ] {
            assert_eq!(of(answer), Err(format!("the answer has no {lacks}")));
        }
    }
}

fn live_service(service: &sdk::Service) -> LiveService {
    let mut definition = generated::service_from_sdk(service);
    let primary = service.deployments().iter().find(|deployment| deployment.status() == Some("PRIMARY"));
    if let Some(primary) = primary {
        let members = generated::service_members_of_deployment(primary);
        definition.service_connect_configuration = members.service_connect_configuration;
        definition.volume_configurations = members.volume_configurations;
        definition.vpc_lattice_configurations = members.vpc_lattice_configurations;
    }
    LiveService {
        arn: service.service_arn().unwrap_or_default().to_owned(),
        status: service.status().unwrap_or_default().into(),
        definition: to_json(&definition),
        tags: tags(service.tags()),
        task_definition: service.task_definition().unwrap_or_default().to_owned(),
        controller: service
            .deployment_controller()
            .map(|controller| controller.r#type().as_str().into())
            .unwrap_or_default(),
        managed_by_ecs: service.resource_management_type().is_some_and(|kind| kind.as_str() == "ECS"),
        desired: service.desired_count().into(),
        running: service.running_count().into(),
        pending: service.pending_count().into(),
        deployments: service.deployments().iter().map(live_deployment).collect(),
        current_deployment: service.current_service_deployment().map(str::to_owned),
        rollout: None,
        events: service.events().iter().take(20).filter_map(event).collect(),
    }
}

fn event(event: &sdk::ServiceEvent) -> Option<ServiceEvent> {
    let at = event.created_at().map_or(0, aws_sdk_ecs::primitives::DateTime::secs);
    Some(ServiceEvent { at, text: event.message()?.to_owned() })
}

fn live_deployment(deployment: &sdk::Deployment) -> LiveDeployment {
    LiveDeployment {
        id: deployment.id().unwrap_or_default().to_owned(),
        status: deployment.status().unwrap_or_default().into(),
        rollout: deployment.rollout_state().map(|state| state.as_str().into()).unwrap_or_default(),
        reason: words(deployment.rollout_state_reason().unwrap_or_default()),
        task_definition: deployment.task_definition().unwrap_or_default().to_owned(),
        desired: deployment.desired_count().into(),
        running: deployment.running_count().into(),
        pending: deployment.pending_count().into(),
        failed: deployment.failed_tasks().into(),
        // Of others it changes while nothing else does.
        updated_at: match deployment.rollout_state() {
            Some(sdk::DeploymentRolloutState::Failed) => {
                deployment.updated_at().map_or(0, aws_sdk_ecs::primitives::DateTime::secs)
            }
            _ => 0,
        },
    }
}

/// A revision of the SDK's types.
pub(super) fn revision_of(definition: &sdk::TaskDefinition, tag_list: &[sdk::Tag]) -> Revision {
    Revision {
        arn: definition.task_definition_arn().unwrap_or_default().to_owned(),
        definition: to_json(&generated::task_definition_from_sdk(definition)),
        tags: tags(tag_list),
        active: definition.status().is_none_or(|status| *status == sdk::TaskDefinitionStatus::Active),
        registered_by: definition.registered_by().map(str::to_owned),
        registered_at: definition.registered_at().map(aws_smithy_types::DateTime::secs),
    }
}

fn tags(tags: &[sdk::Tag]) -> Tags {
    tags.iter().filter_map(|tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned()))).collect()
}

fn to_json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

/// Where a service is that is not where it was asked for, by its ARN and its cluster's; none where it is there. An endpoint
/// that mixes them up is not believed.
fn elsewhere([service, cluster]: [&str; 2], [account, region, asked]: [&str; 3]) -> Option<String> {
    let parts: Vec<&str> = service.splitn(6, ':').collect();
    if let [_, _, _, its_region, its_account, _] = parts.as_slice()
        && (*its_region != region || *its_account != account)
    {
        return Some(format!("account {its_account} and region {its_region}"));
    }
    let name = |cluster: &str| cluster.rsplit('/').next().unwrap_or(cluster).to_owned();
    (!cluster.is_empty() && name(cluster) != name(asked)).then(|| format!("the cluster {}", name(cluster)))
}

#[cfg(test)]
mod elsewhere_tests {
    use super::elsewhere;

    #[test]
    fn an_answer_of_another_place_is_told() {
        let place = |service: &str, cluster: &str| {
            let arn = |what: &str| if what.is_empty() { String::new() } else { format!("arn:aws:ecs:{what}") };
            elsewhere([&arn(service), &arn(cluster)], ["1", "r", "arn:aws:ecs:r:1:cluster/prod"])
        };
        assert_eq!(place("r:1:service/prod/web", "r:1:cluster/prod"), None);
        assert_eq!(place("r:1:service/web", "r:1:cluster/prod"), None);
        assert_eq!(place("", ""), None);
        assert_eq!(place("r:2:service/prod/web", "r:2:cluster/prod").as_deref(), Some("account 2 and region r"));
        assert_eq!(place("q:1:service/prod/web", "").as_deref(), Some("account 1 and region q"));
        assert_eq!(place("r:1:service/test/web", "r:1:cluster/test").as_deref(), Some("the cluster test"));
    }
}
