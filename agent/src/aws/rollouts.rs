//! Service deployments as they go: their stage, traffic, pauses and outcome.

use super::{AwsError, Clients, call::Kind, pace::Group};
use crate::permit::Permit;
use aws_sdk_ecs::types as sdk;
use lockstep_core::observed::{PausedHook, Rollout};
use std::collections::BTreeMap;

/// Service deployments that DescribeServiceDeployments takes in one call.
const BATCH: usize = 20;

impl Clients {
    /// Service deployments by ARN. One that ECS does not show (yet) is left out.
    ///
    /// # Errors
    /// As the calls fail.
    pub async fn rollouts(&self, arns: &[String]) -> Result<BTreeMap<String, Rollout>, AwsError> {
        const OPERATION: &str = "ecs:DescribeServiceDeployments";
        let mut found = BTreeMap::new();
        for batch in arns.chunks(BATCH) {
            let request = self.ecs.describe_service_deployments().set_service_deployment_arns(Some(batch.to_vec()));
            let answer = self.call(OPERATION, Group::ServiceDeployment, Kind::Read, || request.clone().send()).await?;
            for deployment in answer.service_deployments() {
                let rollout = rollout(deployment);
                found.insert(rollout.arn.clone(), rollout);
            }
        }
        Ok(found)
    }

    /// ContinueServiceDeployment: a pause ends, and the deployment goes on or back. The action is always said, whatever
    /// AWS takes where it is not.
    ///
    /// # Errors
    /// As the call fails.
    pub async fn answer_pause(
        &self,
        _: &Permit,
        deployment: &str,
        hook: &str,
        rolls_back: bool,
    ) -> Result<(), AwsError> {
        const OPERATION: &str = "ecs:ContinueServiceDeployment";
        let action = match rolls_back {
            true => sdk::DeploymentLifecycleHookAction::Rollback,
            false => sdk::DeploymentLifecycleHookAction::Continue,
        };
        let request = self.ecs.continue_service_deployment().service_deployment_arn(deployment);
        let request = request.hook_id(hook).action(action);
        self.call(OPERATION, Group::ServiceDeployment, Kind::Write, || request.clone().send()).await?;
        Ok(())
    }
}

fn rollout(deployment: &sdk::ServiceDeployment) -> Rollout {
    let target = deployment.target_service_revision();
    let stage = deployment.lifecycle_stage().map(|stage| stage.as_str().to_owned()).unwrap_or_default();
    // Without stages no traffic is shifted.
    let share =
        |percent: Option<f64>| percent.filter(|_| !stage.is_empty()).map(|percent| (percent * 10.0).round() as u32);
    let breaker = deployment.deployment_circuit_breaker();
    let alarms = deployment.alarms();
    let is_triggered = |status: Option<&sdk::ServiceDeploymentRollbackMonitorsStatus>| {
        status == Some(&sdk::ServiceDeploymentRollbackMonitorsStatus::Triggered)
    };
    Rollout {
        arn: deployment.service_deployment_arn().unwrap_or_default().to_owned(),
        status: deployment.status().map(|status| status.as_str().into()).unwrap_or_default(),
        reason: super::error::words(deployment.status_reason().unwrap_or_default()),
        production_permille: share(target.and_then(sdk::ServiceRevisionSummary::requested_production_traffic_weight)),
        test_permille: share(target.and_then(sdk::ServiceRevisionSummary::requested_test_traffic_weight)),
        pauses: deployment
            .lifecycle_hook_details()
            .iter()
            .filter(|hook| hook.status() == Some(&sdk::DeploymentLifecycleHookStatus::AwaitingAction))
            .map(|hook| PausedHook {
                id: hook.hook_id().unwrap_or_default().to_owned(),
                since: 0,
                expires_at: hook.expires_at().map_or(0, aws_sdk_ecs::primitives::DateTime::secs),
                then: hook.timeout_action().map(|action| action.as_str().into()).unwrap_or_default(),
            })
            .collect(),
        running: target.map_or(0, |target| target.running_task_count().into()),
        requested: target.map_or(0, |target| target.requested_task_count().into()),
        failures: breaker.map_or(0, |breaker| breaker.failure_count().into()),
        threshold: breaker.map_or(0, |breaker| breaker.threshold().into()),
        triggered: is_triggered(breaker.and_then(|breaker| breaker.status()))
            || is_triggered(alarms.and_then(|alarms| alarms.status())),
        alarms: alarms.map(|alarms| alarms.triggered_alarm_names().to_vec()).unwrap_or_default(),
        started_at: deployment.created_at().map_or(0, aws_sdk_ecs::primitives::DateTime::secs),
        stage: stage.into(),
    }
}
