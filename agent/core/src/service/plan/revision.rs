//! Which task definition revision has the desired content: one that exists, or one to register.

use super::{Differences, IN_DISPUTE, Planner, tag_changes};
use crate::observed::words::ServiceStatus;
use crate::{
    compare::{
        diff::{Change, diff},
        normalise::Context,
        send::sendable,
    },
    observed::{History, LiveService, Need, Reading, Revision},
    report::{Action, ActionKind, Health, Order, Reason, RevisionRef, ServicePlan, SyncStatus, Verdict},
    stated::identity::{self, content_hash},
    tags::Tags,
};
use lockstep_manifests::canonical::Root;

impl Planner<'_> {
    /// The revision with the desired content: the one that is known, the family's newest, or one to register.
    pub(super) fn revision_to_use(&mut self) -> Option<(Vec<Action>, RevisionRef)> {
        let fits = |revision: &Revision| revision.active && self.is_same_definition(revision);
        // What the service ran before is known from its history; going back to it registers nothing.
        let past = match self.observed.history.found() {
            Some(History::Known(past)) => past.as_slice(),
            _ => &[],
        };
        let known = self.observed.known.iter().chain(past.iter().map(|deployment| &deployment.revision));
        if let Some(known) = known.into_iter().find(|known| fits(known)) {
            return Some((Vec::new(), RevisionRef::Known(known.arn.clone())));
        }
        match &self.observed.newest {
            // For a service that does not exist, nothing that is shown hangs on it: it is asked before it is written.
            Reading::Unread if self.around.only_shown && !self.exists() => {}
            Reading::Unread => {
                self.needs.insert(Need::Newest);
                return None;
            }
            // Not known is not absent: nothing is registered on that ground.
            Reading::Failed(text) => {
                self.unread = Some(text.clone());
                return None;
            }
            Reading::Found(newest) if fits(newest) => {
                return Some((Vec::new(), RevisionRef::Known(newest.arn.clone())));
            }
            _ => {}
        }
        Some((vec![self.registration()], RevisionRef::Registered))
    }

    /// A task definition that no ECS service uses: the family's newest revision is what schedules and RunTask take, so
    /// that is what must be as declared.
    pub(super) fn definition_alone(&mut self) -> ServicePlan {
        let newest = match &self.observed.newest {
            Reading::Unread => {
                self.needs.insert(Need::Newest);
                return self.bare(SyncStatus::Unknown, Health::Unknown);
            }
            Reading::Failed(text) => {
                self.unread = Some(text.clone());
                return self.bare(SyncStatus::Unknown, Health::Unknown);
            }
            Reading::Found(newest) if newest.active => Some(newest),
            Reading::Found(_) | Reading::Missing => None,
        };
        if newest.is_some_and(|newest| self.is_same_definition(newest)) {
            return ServicePlan { verdict: Some(Verdict::Deployed), ..self.bare(SyncStatus::Synced, Health::Healthy) };
        }
        let health = if newest.is_some() { Health::Healthy } else { Health::Missing };
        let action = self.registration();
        if self.around.not_created {
            return self.holding(health, Reason::Invalid, IN_DISPUTE.to_owned(), action.changes);
        }
        let mut differences = Differences { task_definition: action.changes.clone(), ..Differences::default() };
        let mut plan = self.bare(SyncStatus::OutOfSync, health);
        self.hold_back(&LiveService::default(), &mut differences, &mut plan);
        if !plan.withheld.is_empty() {
            plan.verdict = Some(Verdict::Deployed);
            return plan;
        }
        if let Some(waiting) = &self.around.waiting_for {
            let (reason, text) = waiting.told();
            return self.holding(health, reason, text, action.changes);
        }
        ServicePlan { verdict: Some(Verdict::Pending), actions: vec![action], ..plan }
    }

    /// Registering the declared task definition.
    fn registration(&self) -> Action {
        let hash = content_hash(&self.definition);
        let declared: Tags = self
            .desired
            .task_definition_tags
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect();
        let mut tags = declared.clone();
        tags.extend(identity::ownership_tags(
            self.around.source,
            &self.desired.environment,
            &self.desired.service_name,
        ));
        tags.insert(identity::HASH.to_owned(), hash);
        if !self.around.commit.is_empty() {
            tags.insert(identity::COMMIT.to_owned(), self.around.commit.to_owned());
        }
        let base = match &self.observed.revision {
            Reading::Found(revision) => Some(revision),
            _ => self.observed.newest.found(),
        };
        let nothing = Revision::default();
        let base = base.unwrap_or(&nothing);
        let context = Context::of([&*self.definition, &base.definition]).at(&base.arn);
        let mut changes = diff(Root::TaskDefinition, &self.definition, &base.definition, &context, &[]);
        // Our own tags are no part of what Git says.
        let of_revision =
            |change: Change| Change { path: change.path.replacen("service", "taskDefinition", 1), ..change };
        changes.extend(tag_changes(&declared, &base.tags).into_iter().map(of_revision));
        let definition = sendable(Root::TaskDefinition, &self.definition, &context);
        let order = Order::Register { definition, tags };
        Action { kind: ActionKind::RegisterTaskDefinition, changes, order: Some(order) }
    }

    fn exists(&self) -> bool {
        self.observed.service.found().is_some_and(|live| live.status != ServiceStatus::Inactive)
    }

    fn is_same_definition(&self, live: &Revision) -> bool {
        let context = Context::of([&*self.definition, &live.definition]).at(&live.arn);
        diff(Root::TaskDefinition, &self.definition, &live.definition, &context, &[]).is_empty()
    }
}
