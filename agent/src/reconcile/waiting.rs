//! `after`: what a service waits for.

use super::{Orders, environment::Worker, load::Snapshot, service::Round};
use lockstep_core::state::ServiceState;
use lockstep_core::{
    report::{Reason, ServicePlan, SyncStatus, Verdict, Withheld},
    service::plan::Wait,
};
use lockstep_manifests::Desired;
use std::collections::{BTreeMap, BTreeSet};

impl Worker {
    /// What a service has to wait for.
    pub(super) fn waiting_for(
        &self,
        round: &Round<'_>,
        snapshot: &Snapshot,
        desired: &Desired,
        done: &BTreeMap<String, ServiceState>,
    ) -> Option<Wait> {
        for other in &desired.after {
            if let Some(state) = done.get(other)
                && let Some(why) = unfinished(&state.plan)
            {
                return Some(Wait::For(format!("waiting for {other}, which {why}")));
            }
        }
        for (other, place) in &round.ground.environment.after {
            let is_in = snapshot
                .services
                .iter()
                .any(|service| service.directory.name == desired.name && service.environments.contains_key(other));
            if !is_in || !snapshot.repository.environments.contains_key(other) {
                continue;
            }
            let seen = round.others.get(other);
            let seen = seen.and_then(|states| states.iter().find(|state| state.plan.name == desired.name).cloned());
            let Some(state) = seen.or_else(|| round.context.board.service(self.source, other, &desired.name)) else {
                let text = format!("waiting for {other}, where {} has not been checked yet", desired.name);
                return Some(Wait::For(text));
            };
            let out_of_reach = |held: &&Withheld| matches!(held.reason, Reason::NotAllowed | Reason::WrongAccount);
            if let Some(held) = state.plan.withheld.iter().find(out_of_reach) {
                let name = &round.ground.environment.name;
                let text =
                    format!("{name} is `after` {other} ({place:?}), which cannot be read from here: {}", held.text);
                return Some(Wait::Never(text));
            }
            if state.planned_for != snapshot.commit {
                return Some(Wait::For(format!("waiting for {other}, where this commit has not been checked yet")));
            }
            if let Some(why) = unfinished(&state.plan) {
                return Some(Wait::For(format!("waiting for {other}, where {} {why}", desired.name)));
            }
        }
        None
    }
}

/// The environments that some wait for, and that nobody runs here: they are only looked at. Each with the services that
/// matter. `run` are those that somebody runs.
pub(super) fn only_looked_at(
    snapshot: &Snapshot,
    run: &[String],
    of: &[String],
    orders: &Orders,
) -> BTreeMap<String, BTreeSet<String>> {
    let environments = &snapshot.repository.environments;
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let all = |environment: &String| {
        let services = snapshot.services.iter().filter(|service| service.environments.contains_key(environment));
        services.map(|service| service.directory.name.clone()).collect::<BTreeSet<String>>()
    };
    let mut open: Vec<(String, BTreeSet<String>)> = of
        .iter()
        .map(|name| (name.clone(), all(name).into_iter().filter(|service| orders.covers(service)).collect()))
        .collect();
    while let Some((name, services)) = open.pop() {
        let after = environments.get(&name).map(|environment| environment.after.as_slice()).unwrap_or_default();
        for (other, _) in after {
            let matter: BTreeSet<String> = all(other).intersection(&services).cloned().collect();
            if run.contains(other) || matter.is_empty() {
                continue;
            }
            let known = found.entry(other.clone()).or_default();
            if !matter.is_subset(known) {
                known.extend(matter.clone());
                open.push((other.clone(), matter));
            }
        }
    }
    found
}

/// The services that are meant, with all that they wait for in their environment.
pub(super) fn with_dependencies(snapshot: &Snapshot, environment: &str, orders: &Orders) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&str> = snapshot
        .services
        .iter()
        .map(|service| service.directory.name.as_str())
        .filter(|name| orders.covers(name))
        .collect();
    while let Some(name) = open.pop() {
        if !found.insert(name.to_owned()) || orders.services.is_empty() {
            continue;
        }
        let service = snapshot.services.iter().find(|service| service.directory.name == name);
        if let Some(Ok(rendered)) = service.and_then(|service| service.environments.get(environment)) {
            open.extend(rendered.after.iter().map(|(other, _)| other.as_str()));
        }
    }
    found
}

/// Why a service's own change is not done; none where it is, or where it has none.
fn unfinished(plan: &ServicePlan) -> Option<String> {
    match plan.verdict {
        Some(Verdict::Pending) => Some("is not deployed yet".to_owned()),
        Some(Verdict::Progressing) => Some("is being deployed".to_owned()),
        Some(Verdict::Stalled) => Some("is stalled".to_owned()),
        Some(Verdict::Rejected) => Some("was rejected by ECS".to_owned()),
        _ if plan.sync == SyncStatus::Unknown => Some("is unknown".to_owned()),
        _ => None,
    }
}
