//! Services that carry our tags and are no longer declared, over time: when the cluster is searched for them, which are
//! ours, what is done about each, and what it means that a removal failed.

use super::prune::{Circumstances, Declared, plan_orphan};
use crate::{
    event::{Trigger, What},
    observed::{LiveService, Reading, words::ServiceStatus},
    report::{ActionKind, Reason, ServicePlan, Verdict, Withheld},
    service::{
        lint::{Breach, Subject},
        machine::{Ground, short},
        outcome::{WriteOutcome, refuse_breaches},
        withhold::environment_paused,
    },
    state::{Axes, ServiceState, time_text},
    stated::identity::{self, Owner, owner},
};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Seconds of AWS's clock between two scans.
const SCAN: i64 = 3600;
/// Seconds until a scan that failed, or a removal, is tried again.
const AGAIN: i64 = 300;

/// What is remembered of an environment's orphans.
#[derive(Debug, Default)]
pub struct Orphans {
    scanned_at: Option<i64>,
    /// The ECS names that were declared at the last scan.
    declared: BTreeSet<String>,
    /// ECS names of orphans that were found.
    found: BTreeSet<String>,
    axes: HashMap<String, Axes>,
    /// No removal before then: one failed.
    not_before: Option<i64>,
}

/// What a round knows beside the orphans.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// The round.
    pub ground: &'a Ground<'a>,
    /// The ECS names that are declared.
    pub declared: &'a BTreeSet<String>,
    /// Whether a service's files have errors, so that nobody knows which service they declare.
    pub unreadable: bool,
    /// A declared service whose change is not deployed, where there is one.
    pub undeployed: Option<&'a str>,
    /// AWS's time, epoch seconds.
    pub now: i64,
}

/// What is done about one orphan.
#[derive(Debug)]
pub struct Decided {
    /// The plan.
    pub plan: ServicePlan,
    /// Whether it is carried out.
    pub writes: bool,
    /// The invariant that the plan broke: a bug of ours.
    pub breach: Option<Breach>,
}

impl Orphans {
    /// Whether the cluster is to be searched: at the start, when something is no longer declared, hourly, and by order.
    pub fn wants_scan(&self, around: &Around<'_>) -> bool {
        self.declared.iter().any(|name| !around.declared.contains(name))
            || self.scanned_at.is_none_or(|at| around.now - at >= SCAN)
            || around.ground.orders.prune
    }

    /// Takes in the names of the cluster's services; none where they could not be read.
    pub fn scanned(&mut self, names: Option<Vec<String>>, around: &Around<'_>) {
        match names {
            Some(names) => {
                self.found = names.into_iter().filter(|name| !around.declared.contains(name)).collect();
                self.scanned_at = Some(around.now);
                around.declared.clone_into(&mut self.declared);
            }
            None => self.scanned_at = Some(around.now - SCAN + AGAIN),
        }
    }

    /// The ECS services to look at.
    pub fn names(&mut self, around: &Around<'_>) -> Vec<String> {
        self.found.retain(|name| !around.declared.contains(name));
        self.axes.retain(|name, _| self.found.contains(name));
        self.found.iter().cloned().collect()
    }

    /// Those of the services that are ours, by ECS name. What cannot be read is left for later.
    pub fn ours(
        &mut self,
        live: BTreeMap<String, Reading<LiveService>>,
        ground: &Ground<'_>,
    ) -> BTreeMap<String, LiveService> {
        let is_ours = |live: &LiveService| {
            let service = live.tags.get(identity::SERVICE).map_or("", String::as_str);
            let us = owner(&live.tags, ground.source, &ground.environment.name, service) == Owner::Us;
            us && live.definition.get("serviceName").and_then(|name| name.as_str()) == Some(service)
        };
        let mut ours = BTreeMap::new();
        for (name, reading) in live {
            match reading {
                Reading::Found(live) if live.status == ServiceStatus::Active && is_ours(&live) => {
                    ours.insert(name, live);
                }
                Reading::Found(live) if live.status == ServiceStatus::Draining => {}
                // Gone, or somebody else's: no business of ours until the next scan.
                Reading::Found(_) | Reading::Missing => {
                    self.found.remove(&name);
                }
                Reading::Failed(_) | Reading::Unread => {}
            }
        }
        ours
    }

    /// Decides about one of `count` orphans.
    pub fn decide(&self, name: &str, live: &LiveService, by: &Declared, count: usize, around: &Around<'_>) -> Decided {
        let (ground, now) = (around.ground, around.now);
        let circumstances = Circumstances {
            prune: ground.environment.sync.prune,
            confirmed: ground.orders.prune,
            declared: around.declared.len(),
            orphans: count,
            unreadable: around.unreadable,
            undeployed: around.undeployed,
            now,
        };
        let mut plan = plan_orphan(live, name, by, circumstances);
        // A pause that could not be read may be in force.
        environment_paused(&ground.paused, &mut plan);
        let environment = ground.environment.name.as_str();
        let subject =
            Subject { desired: None, live: Some(live), source: ground.source, environment, declared: Some(by), now };
        let breach = refuse_breaches(&mut plan, &subject);
        let waits = self.not_before.is_some_and(|at| now < at) && !ground.orders.begins;
        // What a person was shown goes on to its end, and nothing else.
        let is_shown =
            ground.orders.removals.as_ref().is_none_or(|shown| shown.contains(&format!("{environment}/{name}")));
        let writes = ground.may_write && !plan.actions.is_empty() && !waits && is_shown;
        Decided { plan, writes, breach }
    }

    /// Takes in what came of a removal: what was done in words, and what is told.
    pub fn removed(&mut self, plan: &mut ServicePlan, outcome: &WriteOutcome, now: i64) -> (String, Option<What>) {
        let actions = std::mem::take(&mut plan.actions);
        match outcome {
            WriteOutcome::Done(_) => {
                plan.causes.clear();
                let text = "no longer declared; it is being removed".to_owned();
                plan.withheld.push(Withheld { reason: Reason::Orphan, text, changes: Vec::new() });
                plan.verdict = Some(Verdict::Progressing);
                let changes = actions.into_iter().flat_map(|action| action.changes).collect();
                let (trigger, actions) = (Trigger::Removed, vec![ActionKind::PruneService]);
                ("removing the service".to_owned(), Some(What::Wrote { trigger, actions, changes }))
            }
            WriteOutcome::Stopping => (String::new(), None),
            WriteOutcome::Failed(failure) => {
                self.not_before = Some(now + AGAIN);
                let (reason, text) = (Reason::Failed, failure.told.clone());
                plan.withheld.push(Withheld { reason, text, changes: Vec::new() });
                (failure.told.clone(), Some(What::Failed { reason: failure.told.clone() }))
            }
        }
    }

    /// What is known of it then.
    pub fn state(&mut self, plan: ServicePlan, live: &LiveService, note: String, around: &Around<'_>) -> ServiceState {
        let mut state = ServiceState {
            revision: short(&live.task_definition),
            running: Some(live.running),
            desired_count: Some(live.desired),
            observed_at: time_text(around.now),
            note,
            ..ServiceState::unseen(plan, around.ground.commit)
        };
        let axes = self.axes.entry(state.plan.name.clone()).or_default();
        axes.turn(&state.plan, Some((live.running, live.desired)), &time_text(around.now));
        state.axes = axes.clone();
        state
    }
}
