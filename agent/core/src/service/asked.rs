//! What rounds ask of a service that is not being evaluated.

use super::{evaluation::Now, machine::Service};
use crate::{
    report::{Health, Reason, ServicePlan, SyncStatus, Verdict},
    state::ServiceState,
};
use std::time::Duration;

/// Seconds for which a service that was healed counts among those that differ without an explanation.
const RECENT: i64 = 600;

impl Service {
    /// What was reported last.
    pub fn state(&self) -> Option<&ServiceState> {
        self.state.as_ref()
    }

    /// The ECS service's name as it was declared last; none where that is not known.
    pub fn ecs_name(&self) -> Option<&str> {
        Some(self.ecs_name.as_str()).filter(|name| !name.is_empty())
    }

    /// What was reported, for another commit of the branch that leaves it as it is.
    pub fn as_of(&mut self, commit: &str) -> Option<ServiceState> {
        let state = self.state.as_mut()?;
        commit.clone_into(&mut state.planned_for);
        Some(state.clone())
    }

    /// Whether a desired state is another one than was planned last.
    pub fn is_changed(&self, hash: &str) -> bool {
        self.hash != hash
    }

    /// Whether this desired state was deployed.
    pub fn has_deployed(&self, hash: &str) -> bool {
        self.deployed.as_deref() == Some(hash)
    }

    /// Whether it is to be observed: it never was, its desired state changed, or it was longer ago than an interval.
    pub fn is_due(&self, hash: &str, limit: Duration, now: &Now) -> bool {
        let age = self.observed_at.map(|at| now.uptime.saturating_sub(at));
        self.hash != hash || age.is_none_or(|age| age + Duration::from_millis(20) >= limit)
    }

    /// Whether a rollout is followed.
    pub fn follows(&self) -> bool {
        let verdict = self.state.as_ref().and_then(|state| state.plan.verdict);
        self.started.is_some() || matches!(verdict, Some(Verdict::Progressing | Verdict::Stalled))
    }

    /// Whether a write of ours is not seen by ECS's answers yet.
    pub fn has_started(&self) -> bool {
        self.started.is_some()
    }

    /// Whether something is under way that should be looked at soon.
    pub fn is_open(&self) -> bool {
        self.started.is_some()
            || self.state.as_ref().is_some_and(|state| {
                matches!(state.plan.verdict, Some(Verdict::Progressing | Verdict::Pending | Verdict::Stalled))
                    && !state.plan.is_held()
            })
    }

    /// Since when ECS rejects what it should be, epoch seconds, as far as this process knows.
    pub fn rejected_at(&self) -> Option<i64> {
        let (_, verdict, since) = self.verdict.as_ref()?;
        (*verdict == Verdict::Rejected).then_some(*since)
    }

    /// Whether drift of it counts among what is healed without a person: held for that, or healed a moment ago.
    pub fn counts_as_healed(&self, now: &Now) -> bool {
        let held = self.state.as_ref().is_some_and(|state| state.plan.is_withheld_for(Reason::Unexplained));
        held || self.healed_at.is_some_and(|at| now.aws - at < RECENT)
    }

    /// Whether a desired state came while this process looked, so that a commit or a parameter explains it.
    pub(super) fn is_explained(&self, hash: &str) -> bool {
        self.changed.as_deref() == Some(hash) || (!self.begun.is_empty() && self.begun != hash)
    }

    /// Whether what differs may be drift: this desired state is no news, and no other one was deployed.
    pub fn may_have_drifted(&self, hash: &str) -> bool {
        !self.is_explained(hash) && self.deployed.as_ref().is_none_or(|deployed| deployed == hash)
    }

    /// A state that concludes nothing, for a reason; the last verdict stays.
    pub fn unplanned(&self, name: &str, health: Health, reason: Reason, text: &str) -> ServiceState {
        let mut plan = ServicePlan::withheld(name, SyncStatus::Unknown, health, reason, text);
        plan.verdict = self.state.as_ref().and_then(|state| state.plan.verdict);
        match self.state.clone() {
            Some(state) => ServiceState { plan, ..state },
            None => ServiceState::unseen(plan, ""),
        }
    }

    /// Keeps such a state, found at a time in RFC 3339.
    pub fn keep_unplanned(&mut self, state: &mut ServiceState, now: &str) {
        state.axes.turn(&state.plan, state.running.zip(state.desired_count), now);
        if self.is_recalled {
            self.memory.axes.clone_from(&state.axes);
        }
        self.state = Some(state.clone());
    }

    pub(super) fn look_soon(&mut self) {
        self.observed_at = None;
    }
}
