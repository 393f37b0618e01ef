//! A restart: the same state is deployed once more, because a person asked for it.

use super::{Planner, health_of};
use crate::observed::words::RolloutState;
use crate::{
    compare::{diff::Change, rules::Effect},
    observed::{LiveService, Rollout},
    report::{Action, ActionKind, Order, Reason, ServicePlan, SyncStatus, Verdict},
    service::note::signed,
    tags::{Tags, tag_text},
};
use lockstep_manifests::path::Path;
use serde_json::Value;

/// The tag on a service that says who restarted it last: `at=TIME by=WHO reason=WHY`.
pub const RESTARTED: &str = "lockstep:restarted";

/// Who asks for a restart, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restart {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
}

impl Planner<'_> {
    /// Deploys what runs once more, whatever Git says by now. What differs stays for the next round.
    pub(super) fn restart(&self, live: &LiveService, restart: &Restart) -> ServicePlan {
        let health = health_of(live);
        let is_open = live.rollout.as_ref().is_some_and(Rollout::is_open);
        if is_open || live.primary().is_some_and(|primary| primary.rollout == RolloutState::InProgress) {
            let text = "a deployment is under way; restart when it has ended".to_owned();
            return self.holding(health, Reason::RollingBack, text, Vec::new());
        }
        let at = jiff::Timestamp::from_second(self.around.now).map(|at| at.to_string()).unwrap_or_default();
        let value = tag_text(&format!("at={at}{}", signed(&restart.by, &restart.reason)));
        let tag = Path::root("service").member("tags").element(RESTARTED);
        let old = live.tags.get(RESTARTED).cloned().map(Value::String);
        let tagging = Action {
            kind: ActionKind::TagService,
            changes: vec![Change::new(&tag, old, Some(Value::String(value.clone())), Effect::InPlace)],
            order: Some(Order::TagService { tags: Tags::from([(RESTARTED.to_owned(), value)]) }),
        };
        let path = Path::root("service").member("forceNewDeployment");
        let update = Action {
            kind: ActionKind::UpdateService,
            changes: vec![Change::new(&path, None, Some(Value::Bool(true)), Effect::NeedsForce)],
            order: Some(Order::Update { members: Value::Object(Default::default()), revision: None, force: true }),
        };
        ServicePlan {
            verdict: Some(Verdict::Pending),
            actions: vec![tagging, update],
            ..self.bare(SyncStatus::OutOfSync, health)
        }
    }
}
