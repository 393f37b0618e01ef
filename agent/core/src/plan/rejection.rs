//! Recognising in ECS's own history that this desired state was tried and did not hold, and what follows from that.

use super::{Differences, Planner, tag_changes, take};
use crate::{
    cause::Cause,
    diff::{Change, diff},
    identity::{self, Rejected},
    normalise::Context,
    observed::{History, LiveService, Need, PastDeployment, Reading},
    report::{Action, ActionKind, Order, Reason, ServicePlan, SyncStatus, Verdict, Withheld},
    rules::{Effect, REVISION_MEMBERS},
    tags::{Tags, tag_text},
};
use lockstep_manifests::{canonical::Root, layer::Ownership, path::Path, render::Desired};
use serde_json::{Map, Value};

impl Planner<'_> {
    /// Looks at ECS's history before a write that would start a deployment. False when nothing may be written.
    pub(super) fn check_history(
        &mut self,
        live: &LiveService,
        differences: &mut Differences,
        plan: &mut ServicePlan,
    ) -> bool {
        let history = match &self.observed.history {
            Reading::Unread => {
                self.needs.insert(Need::History);
                return false;
            }
            Reading::Failed(text) => {
                let text = format!("the deployment history could not be read, so nothing is started: {text}");
                plan.sync = SyncStatus::OutOfSync;
                plan.withheld.push(Withheld { reason: Reason::Unread, text, changes: differences.all() });
                return false;
            }
            Reading::Missing => &History::Known(Vec::new()),
            Reading::Found(history) => history,
        };
        let History::Known(past) = history else {
            let text =
                "this endpoint has no deployment history: a state that ECS rejected cannot be recognised".to_owned();
            plan.withheld.push(Withheld { reason: Reason::NoHistory, text, changes: Vec::new() });
            return true;
        };
        let past = past.clone();
        if past.first().is_some_and(PastDeployment::is_rolling_back) {
            let text =
                "ECS is still taking back the deployment before; nothing newer is started until it is done".to_owned();
            // Not rejected before it is over: the cause is complete only then.
            let ours = targets(self.desired, &past[0], &self.ignore);
            plan.verdict = Some(if ours { Verdict::Progressing } else { Verdict::Pending });
            plan.withheld.push(Withheld { reason: Reason::RollingBack, text, changes: differences.all() });
            return false;
        }
        if self.around.retry {
            return true;
        }
        let others =
            differences.tags.len() + differences.service.iter().filter(|change| !is_of_revision(change)).count();
        let newest = past.iter().find(|deployment| targets(self.desired, deployment, &self.ignore));
        let failed = newest.filter(|deployment| deployment.has_failed());
        let tagged = live.tags.get(identity::REJECTED).map(|tag| Rejected::parse(tag));
        let recorded = tagged.as_ref().is_some_and(|tagged| tagged.hash == self.hash);
        let ours = match tagged {
            // So long ago that the history does not show it any more, it is still so.
            _ if recorded => failed.is_some() || newest.is_none(),
            // It failed for another desired state, which had the same revision.
            Some(tagged) if failed.is_some_and(|failed| tagged.deployment == last_segment(&failed.arn)) => false,
            // Not recorded yet: what is recorded is an older failure.
            _ => failed.is_some() && others == 0,
        };
        if !ours {
            return true;
        }
        self.withhold_rejected(failed, recorded, differences, plan);
        self.write_actions(live, differences, plan);
        false
    }

    fn withhold_rejected(
        &mut self,
        failed: Option<&PastDeployment>,
        tagged: bool,
        differences: &mut Differences,
        plan: &mut ServicePlan,
    ) {
        let recorded = failed.and_then(|failed| failed.revision.tags.get(identity::OUTCOME).cloned());
        let cause = match (&recorded, &self.observed.cause) {
            // As long as ECS remembers its tasks, it tells more than the tag; and the tag's letters are few.
            (None, Some(cause)) => Some(cause.clone()),
            (Some(recorded), Some(cause)) if cause.is_first_hand() || cause.is_recorded_as(recorded) => {
                Some(cause.clone())
            }
            (Some(recorded), Some(_)) => Some(Cause::recorded(recorded)),
            (_, None) => {
                self.needs.insert(Need::Cause);
                None
            }
        };
        let mut text = match failed {
            Some(failed) => format!("rejected: ECS ended the deployment of this state as {}", failed.status),
            None => "rejected: ECS ended the deployment of this state longer ago than its history was read".to_owned(),
        };
        let short = cause.as_ref().map(Cause::short).filter(|short| !short.is_empty());
        if let Some(short) = &short {
            text = format!("{text}: {short}");
        }
        let is_final = cause.as_ref().is_some_and(|cause| !cause.is_incomplete);
        plan.cause = cause.filter(|cause| !cause.is_empty());
        plan.rejected_at = failed.map(|failed| failed.finished_at).filter(|at| *at > 0);
        text.push_str("; it is not tried again until the service's desired state changes");
        let mut held = std::mem::take(&mut differences.task_definition);
        held.extend(take(&mut differences.service, is_of_revision));
        plan.verdict = Some(Verdict::Rejected);
        plan.withheld.push(Withheld { reason: Reason::Rejected, text, changes: held });
        if let (false, Some(failed)) = (tagged, failed) {
            let value = Rejected { hash: &self.hash, deployment: last_segment(&failed.arn) }.value();
            let tags = Tags::from([(identity::REJECTED.to_owned(), value)]);
            let order = Some(Order::TagService { tags: tags.clone() });
            plan.actions.push(Action {
                kind: ActionKind::TagService,
                changes: tag_changes(&tags, &Tags::new()),
                order,
            });
        }
        if recorded.is_none()
            && is_final
            && let (Some(short), Some(failed)) = (short, failed)
        {
            let tags = Tags::from([(identity::OUTCOME.to_owned(), tag_text(&short))]);
            let changes = vec![Change {
                path: format!("taskDefinition.tags[{}]", identity::OUTCOME),
                old: None,
                new: tags.values().next().cloned().map(Value::String),
                effect: Effect::InPlace,
                masked: false,
            }];
            let order = Some(Order::TagRevision { arn: failed.revision.arn.clone(), tags });
            plan.actions.push(Action { kind: ActionKind::TagTaskDefinition, changes, order });
        }
    }

    pub(super) fn cause_of(&mut self, live: &LiveService) -> Option<Cause> {
        let revision = self.observed.revision.found().filter(|revision| revision.arn == live.task_definition);
        if let Some(recorded) = revision.and_then(|revision| revision.tags.get(identity::OUTCOME)) {
            let told = self.observed.cause.clone().filter(Cause::is_first_hand);
            return Some(told.unwrap_or_else(|| Cause::recorded(recorded)));
        }
        if self.observed.cause.is_none() {
            self.needs.insert(Need::Cause);
        }
        self.observed.cause.clone()
    }
}

fn last_segment(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

/// Whether a deployment was to bring this desired state, on the members that a service revision holds.
fn targets(desired: &Desired, deployment: &PastDeployment, ignore: &[Path]) -> bool {
    let live = &deployment.revision.definition;
    let context = Context::of([&desired.task_definition, live]);
    if !diff(Root::TaskDefinition, &desired.task_definition, live, &context, ignore).is_empty() {
        return false;
    }
    if desired.ownership == Ownership::TaskDefinition {
        return true;
    }
    let (declared, target) = (only_revision_members(&desired.service), only_revision_members(&deployment.service));
    let mut context = Context::of([&desired.task_definition, &declared, &target]);
    context.fargate |= Context::of([&desired.service]).fargate;
    // A revision names the platform version that LATEST stood for.
    diff(Root::Service, &declared, &target, &context, ignore)
        .iter()
        .all(|change| change.path == "service.platformVersion" && !declares_version(&declared))
}

/// Whether a difference is of a member that a service revision holds.
fn is_of_revision(change: &Change) -> bool {
    change.path.starts_with("taskDefinition")
        || change.service_member().is_some_and(|name| REVISION_MEMBERS.contains(&name))
}

fn declares_version(service: &Value) -> bool {
    service.get("platformVersion").and_then(Value::as_str).is_some_and(|version| version != "LATEST")
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
