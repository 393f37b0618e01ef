//! Invariants that every finished plan keeps, checked by code that knows nothing of the planner. A breach stops the
//! writes of its service: it is a bug of ours, and a bug must not act.

use crate::{
    fleet::prune::Declared,
    observed::LiveService,
    report::{ActionKind, Order, Reason, RevisionRef, ServicePlan, SyncStatus},
    service::pause,
    stated::identity::{ENVIRONMENT, SERVICE, SOURCE},
};
use lockstep_manifests::{Desired, layer::Ownership};

/// A broken invariant, by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// The invariant.
    pub number: u8,
    /// What is wrong, in words.
    pub text: &'static str,
}

/// What a plan is for, as the checks see it.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// What Git declares; nothing for a service that is no longer declared.
    pub desired: Option<&'a Desired>,
    /// What runs, where it does.
    pub live: Option<&'a LiveService>,
    /// The id of the source; empty where any source's will do.
    pub source: &'a str,
    /// The environment.
    pub environment: &'a str,
    /// What the history says of a service that is no longer declared.
    pub declared: Option<&'a Declared>,
    /// AWS's time, epoch seconds.
    pub now: i64,
}

/// Checks a plan.
pub fn lint(plan: &ServicePlan, subject: &Subject<'_>) -> Vec<Breach> {
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
    let is_alone = subject.desired.is_some_and(|desired| desired.ownership == Ownership::Definition);
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
    let (replaces, prunes) = (count(ActionKind::DeleteService), count(ActionKind::PruneService));
    let deletes = plan.actions.iter().any(|action| matches!(action.order, Some(Order::Delete | Order::ScaleToZero)));
    let deletes = deletes || replaces + prunes > 0;
    check(10, !deletes || kinds.len() == 1, "a deletion beside another action");
    let only_registers = kinds.iter().all(|kind| *kind == ActionKind::RegisterTaskDefinition);
    check(11, !is_alone || only_registers, "a write to a service where none is declared");
    check(12, !deletes || subject.is_ours(), "a deletion of a service that does not carry our three tags");
    let is_paused = subject.live.is_some_and(|live| pause::in_force(&live.tags, subject.now).is_some());
    check(13, !deletes || !is_paused, "a deletion of a paused service");
    let may_go = match subject.desired {
        Some(desired) => desired.replace && prunes == 0,
        None => replaces == 0 && matches!(subject.declared, Some(Declared::By(_))),
    };
    check(
        14,
        !deletes || may_go,
        "a deletion that neither `replace: true` nor a commit that declared it before allows",
    );
    let only_remarks = plan.withheld.iter().all(|withheld| withheld.reason.is_remark());
    check(15, !deletes || only_remarks, "a deletion beside a reason to leave something alone");
    breaches
}

impl Subject<'_> {
    /// Whether the tags say that it is ours, each by itself.
    fn is_ours(&self) -> bool {
        let Some(live) = self.live else { return false };
        let tag = |name: &str| live.tags.get(name).map(String::as_str).unwrap_or_default();
        let name = live.definition.get("serviceName").and_then(|name| name.as_str()).unwrap_or_default();
        let is_of_source = if self.source.is_empty() { !tag(SOURCE).is_empty() } else { tag(SOURCE) == self.source };
        is_of_source && tag(ENVIRONMENT) == self.environment && !name.is_empty() && tag(SERVICE) == name
    }
}
