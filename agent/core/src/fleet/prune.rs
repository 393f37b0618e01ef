//! Removing services that are no longer declared: what must hold, and what is done next.

use crate::{
    compare::{diff::Change, rules::Effect},
    observed::LiveService,
    report::{Action, ActionKind, Order, Reason, ServicePlan, SyncStatus, Withheld},
    service::{pause, plan::health_of},
};
use serde_json::json;

/// Services of which at most a third may go without being asked for.
const FEW: usize = 4;

/// What is known of an environment's orphans beside the services themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Circumstances<'a> {
    /// Whether the environment prunes.
    pub prune: bool,
    /// Whether a person confirmed that many may go.
    pub confirmed: bool,
    /// Services that are declared and owned by us.
    pub declared: usize,
    /// Orphans, this one among them.
    pub orphans: usize,
    /// Whether a service's files have errors, so that nobody knows which service they declare.
    pub unreadable: bool,
    /// A declared service whose change is not deployed, where there is one: it may take the place of what is removed.
    pub undeployed: Option<&'a str>,
    /// AWS's time, epoch seconds.
    pub now: i64,
}

/// What the branch's history says of an orphan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Declared {
    /// This commit declared it for the environment.
    By(String),
    /// No commit did.
    Never,
    /// The history could not be read.
    Unknown(String),
}

/// Plans a service that carries our three tags and is not declared.
pub fn plan_orphan(live: &LiveService, name: &str, declared: &Declared, around: Circumstances<'_>) -> ServicePlan {
    let mut plan = ServicePlan::withheld(name, SyncStatus::OutOfSync, health_of(live), Reason::Orphan, "");
    plan.withheld.clear();
    match guard(live, declared, around) {
        Err((reason, text)) => plan.withheld.push(Withheld { reason, text, changes: Vec::new() }),
        Ok(commit) => {
            let (order, change) = next_step(live);
            plan.actions.push(Action { kind: ActionKind::PruneService, changes: vec![change], order: Some(order) });
            let commit = crate::stated::commit::short(&commit);
            plan.causes.push(format!("would be removed: {} running", tasks(live.running)));
            plan.causes.push(format!("declared last by commit {commit}, and not any more"));
        }
    }
    plan
}

fn tasks(count: i64) -> String {
    format!("{count} {}", if count == 1 { "task" } else { "tasks" })
}

/// The commit that declared it, where it may be removed.
fn guard(live: &LiveService, declared: &Declared, around: Circumstances<'_>) -> Result<String, (Reason, String)> {
    let not = |text: String| Err((Reason::Orphan, text));
    if let Some(pause) = pause::in_force(&live.tags, around.now) {
        return Err((Reason::Paused, pause.text()));
    }
    if !around.prune {
        return not("no longer declared; sync.prune is off, so it stays".to_owned());
    }
    if !live.controller.is_ecs() || live.managed_by_ecs {
        let text = "no longer declared, and not controlled by ECS's own deployments; it stays".to_owned();
        return Err((Reason::Controller, text));
    }
    if around.unreadable {
        return not(
            "no longer declared, or declared by a file with errors; nothing is removed until the errors are fixed"
                .to_owned(),
        );
    }
    let commit = match declared {
        Declared::By(commit) => commit.clone(),
        Declared::Never => {
            return not(
                "it carries our tags, but no commit on the branch ever declared it for this environment; it stays"
                    .to_owned(),
            );
        }
        Declared::Unknown(why) => {
            return Err((Reason::Unread, format!("the branch's history could not be read, so it stays: {why}")));
        }
    };
    if let Some(name) = around.undeployed.filter(|_| !around.confirmed && !is_going(live)) {
        return not(format!(
            "no longer declared; it stays until {name} is deployed, which may replace it. `lockstep sync --prune` does not wait"
        ));
    }
    let all = around.declared + around.orphans;
    let many = around.declared == 0 || (all >= FEW && around.orphans * 3 > all);
    if many && !around.confirmed {
        return not(format!(
            "{} of {all} services are no longer declared; run `lockstep sync --prune` to remove that many",
            around.orphans
        ));
    }
    Ok(commit)
}

/// Whether its removal began: it has no tasks any more, so that nobody is served by it.
fn is_going(live: &LiveService) -> bool {
    live.desired == 0 && live.running == 0
}

/// To no tasks first, then for good. A daemon service has no count.
fn next_step(live: &LiveService) -> (Order, Change) {
    let daemon = live.definition.get("schedulingStrategy") == Some(&json!("DAEMON"));
    if live.desired == 0 && live.running == 0 && live.pending == 0 || daemon {
        let change = Change {
            path: "service.serviceName".to_owned(),
            old: live.definition.get("serviceName").cloned(),
            new: None,
            effect: Effect::Replace,
            masked: false,
        };
        return (Order::Delete, change);
    }
    let change = Change {
        path: "service.desiredCount".to_owned(),
        old: Some(json!(live.desired)),
        new: Some(json!(0)),
        effect: Effect::InPlace,
        masked: false,
    };
    (Order::ScaleToZero, change)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        service::lint::{Subject, lint},
        stated::identity::{ENVIRONMENT, SERVICE, SOURCE, ownership_tags},
    };

    fn live(desired: i64, running: i64) -> LiveService {
        LiveService {
            status: "ACTIVE".into(),
            controller: "ECS".into(),
            definition: json!({ "serviceName": "old" }),
            desired,
            running,
            ..LiveService::default()
        }
    }

    // The lint, which knows nothing of the guards above, stops a removal that one of them let through.
    #[test]
    fn a_removal_is_linted() {
        let mut old = live(0, 0);
        old.tags = ownership_tags("acme", "prod", "old");
        let plan = plan_orphan(&old, "old", &by(), PRUNING);
        let breaches = |live: &LiveService, plan: &ServicePlan, declared: &Declared| -> Vec<u8> {
            let (live, declared) = (Some(live), Some(declared));
            let subject = Subject { desired: None, live, source: "acme", environment: "prod", declared, now: 0 };
            lint(plan, &subject).iter().map(|breach| breach.number).collect()
        };
        assert_eq!(breaches(&old, &plan, &by()), [0; 0]);
        for tag in [SOURCE, ENVIRONMENT, SERVICE] {
            let mut without = old.clone();
            without.tags.remove(tag);
            assert_eq!(breaches(&without, &plan, &by()), [12], "{tag}");
            without.tags.insert(tag.to_owned(), "other".to_owned());
            assert_eq!(breaches(&without, &plan, &by()), [12], "{tag}");
        }
        let mut paused = old.clone();
        paused.tags.insert(pause::PAUSE.into(), "by=ada".into());
        assert_eq!(breaches(&paused, &plan, &by()), [13]);
        assert_eq!(breaches(&old, &plan, &Declared::Never), [14]);
        assert_eq!(breaches(&old, &plan, &Declared::Unknown("gone".into())), [14]);
        let mut beside = plan.clone();
        beside.actions.extend(plan.actions.clone());
        assert_eq!(breaches(&old, &beside, &by()), [10]);
        let mut held = plan.clone();
        held.withheld.push(Withheld { reason: Reason::Orphan, text: String::new(), changes: Vec::new() });
        assert_eq!(breaches(&old, &held, &by()), [15]);
    }

    const PRUNING: Circumstances<'_> = Circumstances {
        prune: true,
        confirmed: false,
        declared: 3,
        orphans: 1,
        unreadable: false,
        undeployed: None,
        now: 0,
    };

    fn by() -> Declared {
        Declared::By("0123456789abcdef".into())
    }

    fn orders(plan: &ServicePlan) -> Vec<Option<Order>> {
        plan.actions.iter().map(|action| action.order.clone()).collect()
    }

    #[test]
    fn tasks_first_then_the_service() {
        assert_eq!(orders(&plan_orphan(&live(2, 2), "old", &by(), PRUNING)), [Some(Order::ScaleToZero)]);
        assert_eq!(orders(&plan_orphan(&live(0, 1), "old", &by(), PRUNING)), [Some(Order::ScaleToZero)]);
        assert_eq!(orders(&plan_orphan(&live(0, 0), "old", &by(), PRUNING)), [Some(Order::Delete)]);
    }

    #[test]
    fn every_guard_keeps_it() {
        let old = live(2, 2);
        let mut paused = old.clone();
        paused.tags.insert(pause::PAUSE.into(), "by=ada".into());
        let mut other = old.clone();
        other.controller = "CODE_DEPLOY".into();
        let cases = [
            (&old, by(), Circumstances { prune: false, ..PRUNING }, Reason::Orphan, "sync.prune is off"),
            (&old, Declared::Never, PRUNING, Reason::Orphan, "no commit on the branch ever declared it"),
            (&old, Declared::Unknown("gone".into()), PRUNING, Reason::Unread, "could not be read"),
            (&old, by(), Circumstances { unreadable: true, ..PRUNING }, Reason::Orphan, "a file with errors"),
            (&old, by(), Circumstances { declared: 0, ..PRUNING }, Reason::Orphan, "1 of 1 services"),
            (
                &old,
                by(),
                Circumstances { undeployed: Some("orders"), ..PRUNING },
                Reason::Orphan,
                "it stays until orders is deployed, which may replace it",
            ),
            (&old, by(), Circumstances { declared: 4, orphans: 3, ..PRUNING }, Reason::Orphan, "3 of 7 services"),
            (&paused, by(), PRUNING, Reason::Paused, "paused by ada"),
            (&other, by(), PRUNING, Reason::Controller, "not controlled by ECS's own deployments"),
        ];
        for (live, declared, around, reason, text) in cases {
            let plan = plan_orphan(live, "old", &declared, around);
            assert_eq!(orders(&plan), [], "{text}");
            assert_eq!((plan.withheld.len(), plan.withheld[0].reason), (1, reason), "{text}");
            assert!(plan.withheld[0].text.contains(text), "{}", plan.withheld[0].text);
        }
        let confirmed = Circumstances { undeployed: Some("orders"), confirmed: true, ..PRUNING };
        assert_eq!(plan_orphan(&old, "old", &by(), confirmed).actions.len(), 1);
        let confirmed = Circumstances { declared: 0, confirmed: true, ..PRUNING };
        assert_eq!(plan_orphan(&old, "old", &by(), confirmed).actions.len(), 1);
        let third = Circumstances { declared: 4, orphans: 2, ..PRUNING };
        assert_eq!(plan_orphan(&old, "old", &by(), third).actions.len(), 1, "a third is not more than a third");
    }
}
