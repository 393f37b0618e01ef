//! Recognising in ECS's own history that this desired state was tried and did not hold, and what follows from that.

use super::{Differences, Planner, tag_changes, take};
use crate::{
    compare::{
        diff::{Change, diff},
        normalise::Context,
        rules::{Effect, REVISION_MEMBERS},
    },
    observed::{
        History, LiveDeployment, LiveService, Need, PastDeployment, Presence, Reading, cause::Cause, refusal::absent,
        runs,
    },
    report::{Action, ActionKind, Order, Reason, RevisionRef, ServicePlan, SyncStatus, Verdict, Withheld},
    stated::{
        commit,
        identity::{self, Rejected},
    },
    tags::{Tags, tag_text},
};
use lockstep_manifests::{canonical::Root, layer::Ownership, path::Path, render::Desired};
use serde_json::{Map, Value};

/// Seconds until a deployment that failed by a fault of AWS's own is tried again; twice as long each time.
const FIRST_PAUSE: i64 = 60;
/// The longest such pause.
const LONGEST_PAUSE: i64 = 1800;

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
                match self.is_untried(live, differences) {
                    Some(true) => return true,
                    Some(false) => {
                        self.needs.insert(Need::History);
                    }
                    None => {}
                }
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
        let past = match history {
            History::Known(past) => past.clone(),
            History::Unsupported => Vec::new(),
        };
        if past.is_empty()
            && let Some(failed) = live.rolled_back_from()
        {
            return self.rolls_back_without_history(failed, differences, plan);
        }
        let tagged = live.tags.get(identity::REJECTED).map(|tag| Rejected::parse(tag));
        let recorded = tagged.as_ref().is_some_and(|tagged| {
            // A hash from before `v2:` does not tell roles of one name apart; the deployment that is named does.
            let of_another = |deployment: &PastDeployment| {
                last_segment(&deployment.arn) == tagged.deployment && !targets(self.desired, deployment, &self.ignore)
            };
            tagged.is_of(self.desired, &self.hash) && (tagged.hash == self.hash || !past.iter().any(of_another))
        });
        if *history == History::Unsupported && (!recorded || self.around.retry) {
            let text = "this endpoint has no deployment history: rejected states cannot be recognised".to_owned();
            plan.withheld.push(Withheld { reason: Reason::NoHistory, text, changes: Vec::new() });
            return true;
        }
        if past.first().is_some_and(PastDeployment::is_rolling_back) {
            let text = "ECS is still rolling back the previous deployment; nothing newer is started until it is done"
                .to_owned();
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
        let cause = self.cause_of_past(failed);
        match self.wait_for_absent(cause.as_ref().filter(|_| !recorded), failed.map_or(0, |failed| failed.started_at)) {
            Absence::Asked => return false,
            Absence::Over => return true,
            Absence::Waits(mut withheld) => {
                withheld.changes = held_parts(differences);
                plan.verdict = Some(Verdict::Pending);
                plan.withheld.push(withheld);
                self.write_actions(live, differences, plan);
                return false;
            }
            Absence::No => {}
        }
        if let (Some(cause), Some(failed)) = (cause.as_ref().filter(|cause| cause.is_aws_own()), failed) {
            let attempts = past.iter().take_while(|one| one.has_failed());
            let attempts = attempts.filter(|one| targets(self.desired, one, &self.ignore)).count();
            let failed_at = if failed.finished_at > 0 { failed.finished_at } else { failed.started_at };
            let Some(mut withheld) = self.wait_for_aws(cause, failed_at, attempts) else { return true };
            withheld.changes = held_parts(differences);
            plan.verdict = Some(Verdict::Pending);
            plan.withheld.push(withheld);
            self.write_actions(live, differences, plan);
            return false;
        }
        let is_latest = failed.is_some_and(|failed| past.first().is_some_and(|first| first.arn == failed.arn));
        let what = Tried { failed, recorded, is_latest };
        self.withhold_rejected(live, what, cause, differences, plan);
        self.write_actions(live, differences, plan);
        false
    }

    /// What was to be deployed, in the words that people look for: `3.3.0 (commit 4be1d20a77 by Ada: checkout: 3.3.0)`.
    pub(super) fn subject(&self) -> String {
        let declared = runs::images_of(&self.definition);
        let in_use = self.observed.revision.found().map(|revision| runs::images_of(&revision.definition));
        let tags = runs::tags_text(&runs::differing(&declared, &in_use.unwrap_or_default()));
        match &self.around.changed_by {
            Some(commit) => format!("{tags} ({})", commit.text()),
            None if self.around.commit.is_empty() => tags,
            None => format!("{tags} (commit {})", commit::short(self.around.commit)),
        }
    }

    /// What runs while a state is rejected, where that is something else.
    fn runs_instead(&self, live: &LiveService, failed: Option<&PastDeployment>) -> Option<String> {
        if live.running == 0 || failed.is_some_and(|failed| failed.revision.arn == live.task_definition) {
            return None;
        }
        let revision = last_segment(&live.task_definition);
        let in_use = self.observed.revision.found().filter(|revision| revision.arn == live.task_definition)?;
        let images = runs::images_of(&in_use.definition);
        let other = runs::differing(&images, &runs::images_of(&self.definition));
        Some(format!("{revision} with {}", runs::tags_text(&other)))
    }

    /// Whether nothing says that this content was tried before: no read of the history is needed then. None while
    /// another question is open.
    fn is_untried(&mut self, live: &LiveService, differences: &Differences) -> Option<bool> {
        let leaves_doubt = differences.task_definition.is_empty()
            || self.around.retry
            || live.tags.contains_key(identity::REJECTED)
            || !live.is_settled();
        if leaves_doubt {
            return Some(false);
        }
        let (_, revision) = self.revision_to_use()?;
        Some(revision == RevisionRef::Registered)
    }

    /// ECS goes back to the deployment before, and no history will tell of it later.
    fn rolls_back_without_history(
        &mut self,
        failed: &LiveDeployment,
        differences: &Differences,
        plan: &mut ServicePlan,
    ) -> bool {
        let ours = match self.revision_to_use() {
            Some((_, RevisionRef::Known(arn))) => arn == failed.task_definition,
            Some(_) => false,
            None => return false,
        };
        let text = "ECS is rolling back the previous deployment; nothing newer is started until it is done".to_owned();
        plan.verdict = Some(if ours { Verdict::Progressing } else { Verdict::Pending });
        plan.withheld.push(Withheld { reason: Reason::RollingBack, text, changes: differences.all() });
        let value = Rejected { hash: &self.hash, deployment: last_segment(&failed.id) }.value();
        let live = self.observed.service.found();
        if ours && live.is_some_and(|live| live.tags.get(identity::REJECTED) != Some(&value)) {
            self.record(&value, plan);
        }
        false
    }

    /// Writes the verdict to the service's tags.
    fn record(&self, value: &str, plan: &mut ServicePlan) {
        let tags = Tags::from([(identity::REJECTED.to_owned(), value.to_owned())]);
        let order = Some(Order::TagService { tags: tags.clone() });
        plan.actions.push(Action { kind: ActionKind::TagService, changes: tag_changes(&tags, &Tags::new()), order });
    }

    /// A failure of AWS's own is tried again, later each time. None when it is time.
    pub(super) fn wait_for_aws(&self, cause: &Cause, failed_at: i64, attempts: usize) -> Option<Withheld> {
        let doublings = attempts.saturating_sub(1).min(8);
        let next = failed_at.saturating_add((FIRST_PAUSE << doublings).min(LONGEST_PAUSE));
        if self.around.now >= next {
            return None;
        }
        let at = jiff::Timestamp::from_second(next).map(|at| at.to_string()).unwrap_or_default();
        let text = format!("waiting for AWS: {}; tried again at {at}", cause.short());
        Some(Withheld { reason: Reason::WaitingForAws, text, changes: Vec::new() })
    }

    /// What a deployment failed for because it was not there is waited for, where a look shows that it is still not
    /// there; and when a later look finds it, or finds that it came later, the deployment is started again. What was there
    /// all the time is no reason.
    pub(super) fn wait_for_absent(&mut self, cause: Option<&Cause>, failed_at: i64) -> Absence {
        let Some(cause) = cause else { return Absence::No };
        let Some(absent) = absent(self.desired, cause) else { return Absence::No };
        match self.observed.presence {
            None => {
                self.needs.insert(Need::Presence);
                Absence::Asked
            }
            Some(Presence::Absent) => {
                let text = format!("waiting for {absent}: {}; it continues when it exists", cause.short());
                Absence::Waits(Withheld { reason: Reason::Prerequisite, text, changes: Vec::new() })
            }
            Some(Presence::There(_)) if self.observed.was_absent => Absence::Over,
            Some(Presence::There(Some(since))) if failed_at > 0 && since > failed_at => Absence::Over,
            Some(Presence::There(_) | Presence::Unknown) => Absence::No,
        }
    }

    /// Why a deployment of the past failed, from what ECS still knows or from what was recorded.
    fn cause_of_past(&mut self, failed: Option<&PastDeployment>) -> Option<Cause> {
        let recorded = failed.and_then(|failed| failed.revision.tags.get(identity::OUTCOME));
        match (recorded, &self.observed.cause) {
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
        }
    }

    fn withhold_rejected(
        &mut self,
        live: &LiveService,
        tried: Tried<'_>,
        cause: Option<Cause>,
        differences: &mut Differences,
        plan: &mut ServicePlan,
    ) {
        let Tried { failed, recorded: tagged, is_latest } = tried;
        let recorded = failed.and_then(|failed| failed.revision.tags.get(identity::OUTCOME).cloned());
        let at = failed.map_or(0, |failed| failed.finished_at);
        let at = jiff::Timestamp::from_second(at).ok().filter(|_| at > 0);
        let at = at.map_or_else(String::new, |at| format!(" at {at}"));
        let mut text = match failed {
            Some(failed) if is_latest => {
                format!("rejected: {}: ECS ended its deployment as {}{at}", self.subject(), failed.status)
            }
            Some(failed) => {
                format!("rejected before: {}: ECS ended a deployment of it as {}{at}", self.subject(), failed.status)
            }
            None => format!(
                "rejected before: {}: the failed deployment is older than the history that Lockstep reads",
                self.subject()
            ),
        };
        let short = cause.as_ref().map(Cause::short).filter(|short| !short.is_empty());
        if let Some(short) = &short {
            text = format!("{text}: {short}");
        }
        let is_final = cause.as_ref().is_some_and(|cause| !cause.is_incomplete);
        plan.cause = cause.filter(|cause| !cause.is_empty());
        plan.rejected_at = failed.map(|failed| failed.finished_at).filter(|at| *at > 0);
        if !is_latest {
            text = format!("{text}. Nothing was started now; {} keeps running", last_segment(&live.task_definition));
        } else if let Some(instead) = self.runs_instead(live, failed) {
            text = format!("{text}; {instead} runs instead");
        }
        text.push_str(
            "; it is not tried again until the service's desired state changes, or by `lockstep sync --retry`",
        );
        let held = held_parts(differences);
        plan.verdict = Some(Verdict::Rejected);
        plan.withheld.push(Withheld { reason: Reason::Rejected, text, changes: held });
        if let (false, Some(failed)) = (tagged, failed) {
            self.record(&Rejected { hash: &self.hash, deployment: last_segment(&failed.arn) }.value(), plan);
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

/// Whether a failed deployment waits for something that is not there.
pub(super) enum Absence {
    /// It does not.
    No,
    /// That is not known yet.
    Asked,
    /// It does.
    Waits(Withheld),
    /// It did, and what it waited for is there now.
    Over,
}

/// What is known of an attempt that ECS rejected.
#[derive(Clone, Copy)]
struct Tried<'a> {
    /// The deployment, where the history still shows it.
    failed: Option<&'a PastDeployment>,
    /// Whether the service's tags say it.
    recorded: bool,
    /// Whether nothing was deployed since.
    is_latest: bool,
}

/// Takes out what a rejected deployment was to bring.
fn held_parts(differences: &mut Differences) -> Vec<Change> {
    let mut held = std::mem::take(&mut differences.task_definition);
    held.extend(take(&mut differences.service, is_of_revision));
    held
}

fn last_segment(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

/// Whether a deployment was to bring this desired state, on the members that a service revision holds.
fn targets(desired: &Desired, deployment: &PastDeployment, ignore: &[Path]) -> bool {
    let live = &deployment.revision.definition;
    let context = Context::of([&desired.task_definition, live]).at(&deployment.revision.arn);
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
