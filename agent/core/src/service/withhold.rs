//! What withholds a finished plan, in one order: [`OF_A_PLAN`] is asked of each plan, [`OF_A_WRITE`] of each that is about
//! to be written. What is withheld takes its actions away, so that what comes later in a list is asked of the rest.
//! (Whose service it is, what waits for what, and what ECS rejected decide what a plan is made of: they are the planner's.)

use super::{
    machine::{Evaluation, Facts, Now, Service},
    outcome::starts_deployment,
    pause,
    plan::Surroundings,
};
use crate::{
    fleet::brake::{Brake, Held},
    observed::{Observation, Reading},
    report::{Action, ActionKind, Reason, ServicePlan, Verdict, Withheld, changes_of},
    state::time_text,
    verify,
};
use lockstep_manifests::Desired;

type OfPlan = fn(&Desired, &Observation, &Surroundings<'_>, &mut ServicePlan);

/// What withholds a plan, whoever looks at it.
const OF_A_PLAN: [OfPlan; 2] = [refused_by_checks, paused];

/// Asks the first list.
pub(super) fn from_plan(
    desired: &Desired,
    observed: &Observation,
    around: &Surroundings<'_>,
    mut plan: ServicePlan,
) -> ServicePlan {
    for withhold in OF_A_PLAN {
        withhold(desired, observed, around, &mut plan);
    }
    plan
}

/// What ECS would refuse is not tried. (What only records a verdict or an owner is.)
fn refused_by_checks(desired: &Desired, _: &Observation, _: &Surroundings<'_>, plan: &mut ServicePlan) {
    let acts = |action: &Action| {
        !matches!(action.kind, ActionKind::AdoptService | ActionKind::TagService | ActionKind::TagTaskDefinition)
    };
    if !plan.actions.iter().any(acts) {
        return;
    }
    let Some(text) = verify::failure(&verify::offline(desired)) else { return };
    let (held, kept): (Vec<Action>, Vec<Action>) = std::mem::take(&mut plan.actions).into_iter().partition(acts);
    let changes = changes_of(&held);
    plan.actions = kept;
    // Nothing is on its way: the next word is a person's.
    plan.verdict = plan.verdict.filter(|verdict| *verdict != Verdict::Pending);
    plan.withheld.push(Withheld { reason: Reason::Verify, text, changes });
}

/// A paused service is looked at and left alone, whatever there is to do. So is each of a paused environment, one that
/// does not exist yet included.
fn paused(_: &Desired, observed: &Observation, around: &Surroundings<'_>, plan: &mut ServicePlan) {
    if around.unpaused {
        return;
    }
    if let Some(pause) = observed.service.found().and_then(|live| pause::in_force(&live.tags, around.now)) {
        plan.withhold_all(Reason::Paused, pause.text());
        return;
    }
    environment_paused(&around.paused, plan);
}

/// The same of the environment's pause alone, asked once more before a deployment.
pub(crate) fn environment_paused(pause: &Reading<pause::Pause>, plan: &mut ServicePlan) {
    match pause {
        Reading::Found(pause) => plan.withhold_all(Reason::Paused, format!("the environment is {}", pause.text())),
        Reading::Failed(text) if !plan.actions.is_empty() => {
            plan.withhold_all(Reason::Unread, format!("whether the environment is paused is not known: {text}"));
        }
        _ => {}
    }
}

/// What a write of a service is asked for.
pub(super) struct Case<'a, 'b> {
    pub service: &'a mut Service,
    pub evaluation: &'a mut Evaluation,
    pub facts: &'a Facts<'b>,
    pub brake: &'a mut Brake,
    pub now: &'a Now,
}

type OfWrite = fn(&mut Case<'_, '_>);

/// What withholds a write now.
const OF_A_WRITE: [OfWrite; 6] =
    [only_observed, after_a_failure, not_ordered, unexplained, fleet_brake, until_it_is_shown];

/// Asks the second list.
pub(super) fn from_write(case: &mut Case<'_, '_>) {
    for withhold in OF_A_WRITE {
        withhold(case);
        if case.evaluation.plan.actions.is_empty() {
            return;
        }
    }
}

/// A service that is observed only narrows what its environment allows; a person's order writes all the same.
fn only_observed(case: &mut Case<'_, '_>) {
    let (facts, plan) = (case.facts, &mut case.evaluation.plan);
    if facts.desired.sync.observe && !facts.ground.orders.by_hand {
        // The plan stays, to show what would be done.
        let text = "the service is only observed (its `sync: { mode: observe }`)".to_owned();
        plan.withheld.push(Withheld { reason: Reason::Observe, text, changes: Vec::new() });
        case.evaluation.is_shown_only = true;
    }
}

/// A write failed a while ago and is not tried again yet.
fn after_a_failure(case: &mut Case<'_, '_>) {
    let Case { service, evaluation, now, .. } = case;
    let waits = service.not_before.is_some_and(|at| now.aws < at);
    let Some(setback) = service.setback.as_ref().filter(|_| waits && !evaluation.is_shown_only) else { return };
    evaluation.plan.verdict = setback.verdict(evaluation.plan.verdict);
    let again = service.not_before.map_or_else(String::new, |at| format!("; tried again at {}", time_text(at)));
    evaluation.plan.withhold_all(setback.reason, format!("{}{again}", setback.text));
    evaluation.note = service.state().map(|state| state.note.clone()).unwrap_or_default();
}

/// Nobody ordered to write it: the environment is observed, or a person named other services.
fn not_ordered(case: &mut Case<'_, '_>) {
    case.evaluation.is_shown_only |= !case.facts.may_write();
}

/// More services than may be healed without a person differ, and nothing explains it.
fn unexplained(case: &mut Case<'_, '_>) {
    let ground = case.facts.ground;
    let evaluation = &mut case.evaluation;
    if let Some(count) = ground.unexplained
        && !ground.orders.by_hand
        && evaluation.unexplained
        && !evaluation.is_shown_only
    {
        let text = format!(
            "{count} services drifted at once (limit: sync.maxUnexplained = {}). Review them, then run `lockstep sync`",
            ground.environment.sync.max_unexplained
        );
        evaluation.plan.withhold_all(Reason::Unexplained, text);
    }
}

/// So many rollouts run at one time, and none is started after so many of the same change have failed.
fn fleet_brake(case: &mut Case<'_, '_>) {
    let Case { service, evaluation, facts, brake, now } = case;
    if evaluation.is_shown_only || !evaluation.plan.actions.iter().any(starts_deployment) {
        return;
    }
    let (ground, hash) = (facts.ground, facts.hash);
    let since = match &service.memory.pending {
        _ if ground.orders.begins => now.aws,
        Some((pending, since)) if pending == hash => *since,
        // A commit that was there before this process looked may have failed elsewhere already.
        _ if service.found == hash && ground.committed_at > 0 => ground.committed_at.min(now.aws),
        _ => now.aws,
    };
    service.memory.pending = Some((hash.to_owned(), since));
    match brake.admit(&facts.desired.service_name, since) {
        Ok(()) => {}
        Err(Held::Concurrent(text)) => evaluation.plan.withhold_all(Reason::Queued, text),
        Err(Held::Failures(text)) => evaluation.plan.withhold_all(Reason::Stopped, text),
    }
}

/// Makes no write twice because an answer of AWS is older than the write.
fn until_it_is_shown(case: &mut Case<'_, '_>) {
    let Case { service, evaluation, facts, now, .. } = case;
    if evaluation.is_shown_only {
        return;
    }
    let Some(written) = service.written.as_ref().filter(|written| written.is_same(facts.hash, evaluation)) else {
        service.written = None;
        return;
    };
    let until = written.until();
    if now.aws < until {
        let text = format!(
            "AWS accepted this write {}s ago and does not show it yet; written again in {}s if that lasts",
            now.aws - written.at,
            until - now.aws
        );
        evaluation.plan.withhold_all(Reason::WaitingForAws, text);
        if evaluation.plan.verdict != Some(Verdict::Rejected) {
            evaluation.plan.verdict = Some(Verdict::Progressing);
        }
    }
}
