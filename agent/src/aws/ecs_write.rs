//! Writes to ECS. They carry out orders; every decision was taken before.

use super::{AwsError, Clients, Remedy, call::Kind, ecs_read::revision_of, generated, json, pace::Group};
use crate::permit::Permit;
use aws_sdk_ecs::types as sdk;
use lockstep_core::{observed::Revision, tags::Tags};
use lockstep_manifests::ecs::types as ecs;
use serde_json::Value;

/// What an update or a creation left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The service's ARN.
    pub arn: String,
    /// The service deployment that ECS names after the write.
    pub deployment: Option<String>,
}

impl Clients {
    /// RegisterTaskDefinition. Answers the new revision, as ECS keeps it.
    ///
    /// # Errors
    /// As the call fails; a definition that the SDK cannot express.
    pub async fn register(&self, _: &Permit, definition: &Value, tags: &Tags) -> Result<Revision, AwsError> {
        const OPERATION: &str = "ecs:RegisterTaskDefinition";
        let definition: ecs::TaskDefinition = typed(OPERATION, definition)?;
        let request = generated::register_task_definition(self.ecs.register_task_definition(), &definition)
            .map_err(|error| AwsError::build(OPERATION, &error))?;
        let request = request.set_tags(some_tags(tags));
        let answer = self.call(OPERATION, Group::TaskDefinitionModify, Kind::Write, || request.clone().send()).await?;
        let mut revision = answer
            .task_definition()
            .filter(|definition| definition.task_definition_arn().is_some())
            .map(|definition| revision_of(definition, answer.tags()))
            .ok_or_else(|| AwsError::build(OPERATION, &"the answer names no revision"))?;
        // Not every endpoint repeats the tags that it was given.
        revision.tags.extend(tags.clone());
        Ok(revision)
    }

    /// CreateService, with a client token so that a repetition creates nothing twice.
    ///
    /// # Errors
    /// As the call fails.
    pub async fn create_service(
        &self,
        _: &Permit,
        cluster: &str,
        service: &Value,
        revision: &str,
        tags: &Tags,
        token: &str,
    ) -> Result<Written, AwsError> {
        const OPERATION: &str = "ecs:CreateService";
        let service: ecs::Service = typed(OPERATION, service)?;
        let request = generated::create_service(self.ecs.create_service(), &service)
            .map_err(|error| AwsError::build(OPERATION, &error))?;
        let request = request.cluster(cluster).task_definition(revision).client_token(token).set_tags(some_tags(tags));
        let answer = self.call(OPERATION, Group::ServiceModify, Kind::Write, || request.clone().send()).await?;
        Ok(written(answer.service()))
    }

    /// UpdateService with the changed members.
    ///
    /// # Errors
    /// As the call fails.
    pub async fn update_service(
        &self,
        _: &Permit,
        cluster: &str,
        name: &str,
        members: &Value,
        revision: Option<&str>,
        force: bool,
    ) -> Result<Written, AwsError> {
        const OPERATION: &str = "ecs:UpdateService";
        let members: ecs::Service = typed(OPERATION, members)?;
        let request = generated::update_service(self.ecs.update_service(), &members)
            .map_err(|error| AwsError::build(OPERATION, &error))?;
        let request = request
            .cluster(cluster)
            .service(name)
            .set_task_definition(revision.map(str::to_owned))
            .set_force_new_deployment(force.then_some(true));
        let answer = self.call(OPERATION, Group::ServiceModify, Kind::Write, || request.clone().send()).await?;
        Ok(written(answer.service()))
    }

    /// DeleteService, with the tasks that run. A service that is gone already is no error.
    ///
    /// # Errors
    /// As the call fails.
    pub async fn delete_service(&self, _: &Permit, cluster: &str, name: &str) -> Result<(), AwsError> {
        let request = self.ecs.delete_service().cluster(cluster).service(name).force(true);
        match self.call("ecs:DeleteService", Group::ServiceModify, Kind::Write, || request.clone().send()).await {
            Err(error) if error.remedy != Remedy::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// TagResource.
    ///
    /// # Errors
    /// As the call fails.
    pub async fn tag(&self, _: &Permit, arn: &str, tags: &Tags) -> Result<(), AwsError> {
        let request = self.ecs.tag_resource().resource_arn(arn).set_tags(some_tags(tags));
        // Setting a tag twice is setting it once.
        self.call("ecs:TagResource", Group::TagModify, Kind::Read, || request.clone().send()).await?;
        Ok(())
    }

    /// UntagResource.
    ///
    /// # Errors
    /// As the call fails.
    pub async fn untag(&self, _: &Permit, arn: &str, key: &str) -> Result<(), AwsError> {
        let request = self.ecs.untag_resource().resource_arn(arn).tag_keys(key);
        self.call("ecs:UntagResource", Group::TagModify, Kind::Read, || request.clone().send()).await?;
        Ok(())
    }
}

impl Clients {
    /// RegisterScalableTarget with another minimum: the call changes what it names of a target that exists.
    ///
    /// # Errors
    /// As the call fails.
    pub async fn set_minimum(&self, _: &Permit, cluster: &str, service: &str, capacity: i64) -> Result<(), AwsError> {
        const OPERATION: &str = "application-autoscaling:RegisterScalableTarget";
        self.pace.acquire(Group::Parameters).await;
        let input = serde_json::json!({
            "ServiceNamespace": "ecs",
            "ResourceId": format!("service/{cluster}/{service}"),
            "ScalableDimension": "ecs:service:DesiredCount",
            "MinCapacity": capacity,
        });
        self.json(json::SCALING, OPERATION, &input).await.map(drop)
    }
}

fn written(service: Option<&sdk::Service>) -> Written {
    service.map_or_else(Written::default, |service| Written {
        arn: service.service_arn().unwrap_or_default().to_owned(),
        deployment: service.current_service_deployment().map(str::to_owned),
    })
}

fn typed<T: serde::de::DeserializeOwned>(operation: &'static str, value: &Value) -> Result<T, AwsError> {
    serde_json::from_value(value.clone()).map_err(|error| AwsError::build(operation, &error))
}

fn some_tags(tags: &Tags) -> Option<Vec<sdk::Tag>> {
    let list: Vec<sdk::Tag> =
        tags.iter().map(|(key, value)| sdk::Tag::builder().key(key).value(value).build()).collect();
    (!list.is_empty()).then_some(list)
}
