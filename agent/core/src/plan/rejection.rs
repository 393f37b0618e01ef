//! Recognising in ECS's history that this desired state was tried and did not hold.

use crate::{
    diff::{Change, diff},
    normalise::Context,
    observed::PastDeployment,
    rules::REVISION_MEMBERS,
};
use lockstep_manifests::{canonical::Root, layer::Ownership, path::Path, render::Desired};
use serde_json::{Map, Value};

/// The newest deployment whose target equals desired, where it failed.
pub(super) fn find<'a>(
    desired: &Desired,
    past: &'a [PastDeployment],
    ignore: &[Path],
) -> Option<&'a PastDeployment> {
    past.iter()
        .find(|deployment| targets(desired, deployment, ignore))
        .filter(|deployment| deployment.has_failed())
}

/// Whether a deployment was to bring this desired state, on the members that a service revision holds.
pub(super) fn targets(desired: &Desired, deployment: &PastDeployment, ignore: &[Path]) -> bool {
    let live = &deployment.revision.definition;
    let context = Context::of([&desired.task_definition, live]);
    if !diff(
        Root::TaskDefinition,
        &desired.task_definition,
        live,
        &context,
        ignore,
    )
    .is_empty()
    {
        return false;
    }
    if desired.ownership == Ownership::TaskDefinition {
        return true;
    }
    let (declared, target) = (
        only_revision_members(&desired.service),
        only_revision_members(&deployment.service),
    );
    let mut context = Context::of([&desired.task_definition, &declared, &target]);
    context.fargate |= Context::of([&desired.service]).fargate;
    let ignore: Vec<Path> = desired
        .ignore
        .iter()
        .filter_map(|path| path.parse().ok())
        .collect();
    // A revision names the platform version that LATEST stood for.
    diff(Root::Service, &declared, &target, &context, &ignore)
        .iter()
        .all(|change| change.path == "service.platformVersion" && !declares_version(&declared))
}

/// Whether a difference is of a member that a service revision holds.
pub(super) fn is_of_revision(change: &Change) -> bool {
    change.path.starts_with("taskDefinition")
        || change
            .service_member()
            .is_some_and(|name| REVISION_MEMBERS.contains(&name))
}

fn declares_version(service: &Value) -> bool {
    service
        .get("platformVersion")
        .and_then(Value::as_str)
        .is_some_and(|version| version != "LATEST")
}

fn only_revision_members(service: &Value) -> Value {
    let members = service.as_object().into_iter().flatten();
    Value::Object(
        members
            .filter(|(name, _)| REVISION_MEMBERS.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect::<Map<_, _>>(),
    )
}
