//! Carrying out a plan's orders, in their order. No decisions: the guard is asked once more, and that is all.

use crate::{
    aws::{AwsError, Clients},
    permit::{Gate, Intent, Permit, Stopping},
};
use lockstep_core::allow::Allow;
use lockstep_core::report::{ActionKind, Order, RevisionRef, ServicePlan};
use lockstep_core::service::outcome::Done;
use lockstep_manifests::Environment;
use std::time::{SystemTime, UNIX_EPOCH};

/// An order that failed. What was done before stays done; the next round sees it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{error}")]
pub struct Failed {
    /// The action.
    pub action: ActionKind,
    /// Why.
    pub error: AwsError,
    /// What was done before.
    pub done: Done,
}

/// Where the orders go.
pub struct Target<'a> {
    /// The clients of the account and region.
    pub clients: &'a Clients,
    /// What the source may reach; asked once more before anything is written.
    pub allow: &'a Allow,
    /// The environment.
    pub environment: &'a Environment,
    /// The ECS service's name.
    pub service: &'a str,
    /// The service's ARN, where it exists.
    pub arn: Option<&'a str>,
    /// Where each write gets its permit.
    pub gate: &'a Gate,
    /// What is told of each write.
    pub intent: Intent,
}

/// Why a plan was not carried out to its end.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Ended {
    /// Nothing was begun: the agent ends.
    #[error(transparent)]
    Stopping(#[from] Stopping),
    /// A write failed.
    #[error(transparent)]
    Failed(#[from] Box<Failed>),
}

/// Carries out the orders of a plan.
///
/// # Errors
/// The first order that failed, or that nothing was begun.
pub async fn execute(plan: &ServicePlan, target: &Target<'_>) -> Result<Done, Ended> {
    let pass = target.gate.open()?;
    let mut done = Done::default();
    if let Err(error) = guard(target) {
        let action = plan.actions.first().map_or(ActionKind::UpdateService, |action| action.kind);
        return Err(Box::new(Failed { action, error, done }).into());
    }
    for action in &plan.actions {
        let Some(order) = &action.order else { continue };
        let environment = &target.environment.name;
        tracing::info!(environment, service = target.service, action = ?action.kind, "writing");
        let permit = pass.permit(target.intent.of_action(call_of(order), action, plan));
        let result = carry_out(order, plan, target, &permit, &mut done).await;
        permit.tell(&result, |()| match order {
            Order::Register { .. } => done.registered.as_ref().map(|revision| revision.arn.clone()),
            _ if done.wrote_service => done.deployment.clone(),
            _ => None,
        });
        match result {
            Ok(()) => done.actions.push(action.kind),
            Err(error) => {
                return Err(Box::new(Failed { action: action.kind, error, done }).into());
            }
        }
    }
    Ok(done)
}

/// The allow-list and the account, again: what is written must be what was planned.
fn guard(target: &Target<'_>) -> Result<(), AwsError> {
    if let Some(reason) = target.allow.refuses_cluster(&target.environment.cluster) {
        return Err(AwsError::forbidden("ecs:UpdateService", &reason));
    }
    if target.clients.account != target.environment.account || target.clients.region != target.environment.region {
        return Err(AwsError::forbidden("ecs:UpdateService", &"the clients are for another account or region"));
    }
    Ok(())
}

/// The call that carries out an order.
fn call_of(order: &Order) -> &'static str {
    match order {
        Order::Register { .. } => "ecs:RegisterTaskDefinition",
        Order::Create { .. } => "ecs:CreateService",
        Order::Update { .. } | Order::ScaleToZero => "ecs:UpdateService",
        Order::Delete => "ecs:DeleteService",
        Order::TagService { .. } | Order::TagRevision { .. } => "ecs:TagResource",
        Order::UntagService { .. } => "ecs:UntagResource",
        Order::Minimum { .. } => "application-autoscaling:RegisterScalableTarget",
    }
}

async fn carry_out(
    order: &Order,
    plan: &ServicePlan,
    target: &Target<'_>,
    permit: &Permit,
    done: &mut Done,
) -> Result<(), AwsError> {
    match order {
        Order::Register { definition, tags } => {
            done.registered = Some(target.clients.register(permit, definition, tags).await?);
        }
        Order::Create { service, revision, tags } => {
            let revision = resolve(revision, done)?;
            let token = token(&plan.desired);
            let written = target
                .clients
                .create_service(permit, &target.environment.cluster, service, &revision, tags, &token)
                .await?;
            done.deployment = written.deployment;
            done.wrote_service = true;
        }
        Order::Update { members, revision, force } => {
            let revision = match revision {
                Some(revision) => Some(resolve(revision, done)?),
                None => None,
            };
            let written = target
                .clients
                .update_service(
                    permit,
                    &target.environment.cluster,
                    target.service,
                    members,
                    revision.as_deref(),
                    *force,
                )
                .await?;
            done.deployment = written.deployment;
            done.wrote_service = true;
        }
        Order::Delete => {
            target.clients.delete_service(permit, &target.environment.cluster, target.service).await?;
            done.wrote_service = true;
        }
        Order::ScaleToZero => {
            let none = serde_json::json!({ "desiredCount": 0 });
            let cluster = &target.environment.cluster;
            let written = target.clients.update_service(permit, cluster, target.service, &none, None, false).await?;
            done.deployment = written.deployment;
            done.wrote_service = true;
        }
        Order::TagService { tags } => {
            let arn =
                target.arn.ok_or_else(|| AwsError::build("ecs:TagResource", &"the service's ARN is not known"))?;
            target.clients.tag(permit, arn, tags).await?;
        }
        Order::TagRevision { arn, tags } => target.clients.tag(permit, arn, tags).await?,
        Order::UntagService { tag } => {
            let arn =
                target.arn.ok_or_else(|| AwsError::build("ecs:UntagResource", &"the service's ARN is not known"))?;
            target.clients.untag(permit, arn, tag).await?;
        }
        Order::Minimum { capacity } => {
            target.clients.set_minimum(permit, &target.environment.cluster, target.service, *capacity).await?;
        }
    }
    Ok(())
}

fn resolve(revision: &RevisionRef, done: &Done) -> Result<String, AwsError> {
    match (revision, &done.registered) {
        (RevisionRef::Known(arn), _) => Ok(arn.clone()),
        (RevisionRef::Registered, Some(revision)) => Ok(revision.arn.clone()),
        (RevisionRef::Registered, None) => {
            Err(AwsError::build("ecs:RegisterTaskDefinition", &"the plan uses a revision that it does not register"))
        }
    }
}

/// A client token: the same for the SDK's repetitions of one call, another one for the next attempt.
fn token(desired: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
    let hash: String = desired.chars().filter(char::is_ascii_hexdigit).take(20).collect();
    format!("{hash}-{now:x}").chars().take(36).collect()
}
