//! Invariants that every finished plan keeps, checked by code that knows nothing of the planner. A breach stops the
//! writes of its service: it is a bug of ours, and a bug must not act.

use crate::report::{ActionKind, Order, Reason, RevisionRef, ServicePlan, SyncStatus};
use lockstep_manifests::layer::Ownership;

/// A broken invariant, by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// The invariant.
    pub number: u8,
    /// What is wrong, in words.
    pub text: &'static str,
}

/// Checks a plan.
pub fn lint(plan: &ServicePlan, ownership: Ownership) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut check = |number: u8, holds: bool, text: &'static str| {
        if !holds {
            breaches.push(Breach { number, text });
        }
    };
    let kinds: Vec<ActionKind> = plan.actions.iter().map(|action| action.kind).collect();
    let count = |kind: ActionKind| kinds.iter().filter(|other| **other == kind).count();
    let position = |kind: ActionKind| kinds.iter().position(|other| *other == kind);
    check(1, count(ActionKind::RegisterTaskDefinition) <= 1, "more than one registration");
    check(
        2,
        count(ActionKind::UpdateService) + count(ActionKind::CreateService) <= 1,
        "more than one write of the service",
    );
    let uses_registered = plan.actions.iter().any(|action| {
        matches!(
            &action.order,
            Some(
                Order::Create { revision: RevisionRef::Registered, .. }
                    | Order::Update { revision: Some(RevisionRef::Registered), .. }
            )
        )
    });
    let registers = count(ActionKind::RegisterTaskDefinition) == 1;
    let is_alone = ownership == Ownership::Definition;
    let is_used = uses_registered == (registers && !is_alone);
    check(3, is_used, "a registration that is not used, or a use without one");
    let order_holds = match (
        position(ActionKind::RegisterTaskDefinition),
        position(ActionKind::UpdateService).or(position(ActionKind::CreateService)),
    ) {
        (Some(first), Some(second)) => first < second,
        _ => true,
    };
    check(4, order_holds, "the registration comes after its use");
    let foreign =
        [Reason::NotAdopted, Reason::ForeignOwner, Reason::Controller, Reason::NotAllowed, Reason::WrongAccount];
    let is_foreign = foreign.iter().any(|reason| plan.is_withheld_for(*reason));
    check(5, !is_foreign || kinds.is_empty(), "a write to something that is not ours");
    check(6, plan.sync != SyncStatus::Unknown || kinds.is_empty(), "a write on the ground of something unread");
    let rejected = plan.is_withheld_for(Reason::Rejected);
    check(7, !rejected || !registers, "a rejected state is registered again");
    let only_touched = plan.actions.iter().all(|action| match &action.order {
        Some(Order::Update { members, .. }) => members.as_object().is_some_and(|members| {
            members.keys().all(|name| !matches!(name.as_str(), "serviceName" | "cluster" | "role" | "tags"))
        }),
        _ => true,
    });
    check(8, only_touched, "an update with a member that UpdateService does not have");
    check(9, plan.sync != SyncStatus::Synced || kinds.is_empty(), "a write although nothing differs");
    let deletes = count(ActionKind::DeleteService);
    check(10, deletes == 0 || kinds.len() == 1, "a deletion beside another action");
    let only_registers = kinds.iter().all(|kind| *kind == ActionKind::RegisterTaskDefinition);
    check(11, !is_alone || only_registers, "a write to a service where none is declared");
    breaches
}
