//! `after`: what a service waits for.

use super::{environment::Worker, load::Snapshot, service::Round};
use crate::board::ServiceState;
use lockstep_core::report::{ServicePlan, SyncStatus, Verdict};
use lockstep_manifests::Desired;
use std::collections::BTreeMap;

impl Worker {
    /// What a service has to wait for, in words.
    pub(super) fn waiting_for(
        &self,
        round: &Round<'_>,
        snapshot: &Snapshot,
        desired: &Desired,
        done: &BTreeMap<String, ServiceState>,
    ) -> Option<String> {
        for other in &desired.after {
            if let Some(state) = done.get(other)
                && let Some(why) = unfinished(&state.plan)
            {
                return Some(format!("waiting for {other}, which {why}"));
            }
        }
        for (other, _) in &round.environment.after {
            let is_in = snapshot
                .services
                .iter()
                .any(|service| service.directory.name == desired.name && service.environments.contains_key(other));
            if !is_in || !snapshot.repository.environments.contains_key(other) {
                continue;
            }
            let Some(state) = round.context.board.service(self.source, other, &desired.name) else {
                return Some(format!("waiting for {other}, where {} was not looked at yet", desired.name));
            };
            if state.commit != snapshot.commit {
                return Some(format!("waiting for {other}, where this commit was not looked at yet"));
            }
            if let Some(why) = unfinished(&state.plan) {
                return Some(format!("waiting for {other}, where {} {why}", desired.name));
            }
        }
        None
    }
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
