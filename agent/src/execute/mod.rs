//! Carrying out a plan's orders, in their order. No decisions: the guard is asked once more, and that is all.

use crate::{
    aws::{AwsError, Clients},
    config::Allow,
    permit::{Gate, Intent, Permit, Stopping},
};
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
pub struct Place<'a> {
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
pub async fn execute(plan: &ServicePlan, place: &Place<'_>) -> Result<Done, Ended> {
    let pass = place.gate.open()?;
    let mut done = Done::default();
    if let Err(error) = guard(place) {
        let action = plan.actions.first().map_or(ActionKind::UpdateService, |action| action.kind);
        return Err(Box::new(Failed { action, error, done }).into());
    }
    for action in &plan.actions {
        let Some(order) = &action.order else { continue };
        let environment = &place.environment.name;
        tracing::info!(environment, service = place.service, action = ?action.kind, "writing");
        let permit = pass.permit(place.intent.of_action(call_of(order), action, plan));
        let result = carry_out(order, plan, place, &permit, &mut done).await;
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
fn guard(place: &Place<'_>) -> Result<(), AwsError> {
    if let Some(reason) = place.allow.refuses_cluster(&place.environment.cluster) {
        return Err(AwsError::forbidden("ecs:UpdateService", &reason));
    }
    if place.clients.account != place.environment.account || place.clients.region != place.environment.region {
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
    place: &Place<'_>,
    permit: &Permit,
    done: &mut Done,
) -> Result<(), AwsError> {
    match order {
        Order::Register { definition, tags } => {
            done.registered = Some(place.clients.register(permit, definition, tags).await?);
        }
        Order::Create { service, revision, tags } => {
            let revision = resolve(revision, done)?;
            let token = token(&plan.desired);
            let written = place
                .clients
                .create_service(permit, &place.environment.cluster, service, &revision, tags, &token)
                .await?;
            done.deployment = written.deployment;
            done.wrote_service = true;
        }
        Order::Update { members, revision, force } => {
            let revision = match revision {
                Some(revision) => Some(resolve(revision, done)?),
                None => None,
            };
            let written = place
                .clients
                .update_service(permit, &place.environment.cluster, place.service, members, revision.as_deref(), *force)
                .await?;
            done.deployment = written.deployment;
            done.wrote_service = true;
        }
        Order::Delete => {
            place.clients.delete_service(permit, &place.environment.cluster, place.service).await?;
            done.wrote_service = true;
        }
        Order::ScaleToZero => {
            let none = serde_json::json!({ "desiredCount": 0 });
            let cluster = &place.environment.cluster;
            let written = place.clients.update_service(permit, cluster, place.service, &none, None, false).await?;
            done.deployment = written.deployment;
            done.wrote_service = true;
        }
        Order::TagService { tags } => {
            let arn = place.arn.ok_or_else(|| AwsError::build("ecs:TagResource", &"the service's ARN is not known"))?;
            place.clients.tag(permit, arn, tags).await?;
        }
        Order::TagRevision { arn, tags } => place.clients.tag(permit, arn, tags).await?,
        Order::UntagService { tag } => {
            let arn =
                place.arn.ok_or_else(|| AwsError::build("ecs:UntagResource", &"the service's ARN is not known"))?;
            place.clients.untag(permit, arn, tag).await?;
        }
        Order::Minimum { capacity } => {
            place.clients.set_minimum(permit, &place.environment.cluster, place.service, *capacity).await?;
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
