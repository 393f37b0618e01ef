//! How an ordered sync ends: by the states in which it leaves the services, and by nothing else. The question is "is it
//! as declared"; what may differ and be left alone is a closed list ([`LEFT_ALONE`]).

use crate::report::{Reason, ServicePlan, SyncStatus, Verdict};

/// How a sync ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ending {
    /// Everything is as declared, or left alone for a reason of [`LEFT_ALONE`].
    Done,
    /// Something was not looked at to its end in the time that there was.
    TimedOut,
    /// ECS failed it, rolled it back, or refused it.
    Rejected,
    /// Something is not as declared.
    Failed,
    /// The manifests are to be mended first.
    Invalid,
}

/// What was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Services were named: then what is left alone is not done either.
    pub named: bool,
    /// Rollouts are followed to their end; else a service is done when it is written.
    pub follow: bool,
    /// Removing what is no longer declared was asked for.
    pub prune: bool,
}

/// What a sync of everything may leave as it is without having failed. Everything else that is not as declared is a
/// failure.
pub const LEFT_ALONE: &[Reason] = &[Reason::Paused, Reason::Controller, Reason::Orphan];

/// Notes: something is left to somebody else, and the service is as declared all the same.
const NOTES: &[Reason] =
    &[Reason::Autoscaled, Reason::NoHistory, Reason::Held, Reason::Observe, Reason::NotComparable, Reason::Undeclared];

/// Where a service stands on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncProgress {
    /// It is at its end.
    Ended(Ending),
    /// It is written, and ECS is at it.
    Moving,
    /// It is not written yet, and will be by itself.
    Open,
    /// It waits for another service or environment.
    Behind,
}

/// Where a service stands.
pub fn standing(plan: &ServicePlan, asked: Asked) -> SyncProgress {
    let has = |reasons: &[Reason]| reasons.iter().any(|reason| plan.is_withheld_for(*reason));
    if has(&[Reason::Invalid, Reason::Verify]) {
        return SyncProgress::Ended(Ending::Invalid);
    }
    // One write was tried and failed: what helps is outside of this order.
    if has(&[Reason::Failed, Reason::Unread, Reason::WrongAccount, Reason::NotAllowed]) {
        return SyncProgress::Ended(Ending::Failed);
    }
    if has(&[Reason::Queued, Reason::RollingBack, Reason::WaitingForAws]) {
        return SyncProgress::Open;
    }
    match plan.verdict {
        Some(Verdict::Rejected) => return SyncProgress::Ended(Ending::Rejected),
        Some(Verdict::Stalled) => return SyncProgress::Ended(Ending::TimedOut),
        // Also of a service that is being removed.
        Some(Verdict::Progressing) => return SyncProgress::Moving,
        _ => {}
    }
    if has(&[Reason::Prerequisite]) {
        return SyncProgress::Ended(Ending::Rejected);
    }
    if has(&[Reason::Waiting]) {
        return SyncProgress::Behind;
    }
    if !plan.actions.is_empty() {
        return SyncProgress::Open;
    }
    match plan.sync {
        SyncStatus::Synced => SyncProgress::Ended(Ending::Done),
        SyncStatus::Unknown => SyncProgress::Ended(Ending::Failed),
        SyncStatus::OutOfSync => {
            SyncProgress::Ended(if is_left_alone(plan, asked) { Ending::Done } else { Ending::Failed })
        }
    }
}

/// Whether what differs is left alone for a reason that is no failure.
fn is_left_alone(plan: &ServicePlan, asked: Asked) -> bool {
    let mut reasons = plan.withheld.iter().filter(|withheld| !NOTES.contains(&withheld.reason)).peekable();
    reasons.peek().is_some()
        && reasons.all(|withheld| match withheld.reason {
            // It is equal to Git, and carries no tags of ours.
            Reason::NotAdopted => withheld.changes.is_empty() && !asked.named,
            Reason::Orphan => !asked.prune,
            reason => LEFT_ALONE.contains(&reason) && !asked.named,
        })
}

/// Whether nothing comes any more of what was asked for.
pub fn is_over<'a>(plans: impl Iterator<Item = &'a ServicePlan> + Clone, asked: Asked) -> bool {
    let has = |wanted: SyncProgress| plans.clone().any(|plan| standing(plan, asked) == wanted);
    if has(SyncProgress::Open) {
        return false;
    }
    // What waits for something under way will be written when that is done, whether or not it is followed.
    !has(SyncProgress::Moving) || (!asked.follow && !has(SyncProgress::Behind))
}

/// How it ends with these states.
pub fn ending<'a>(plans: impl Iterator<Item = &'a ServicePlan> + Clone, asked: Asked) -> Ending {
    let comes = plans.clone().any(|plan| matches!(standing(plan, asked), SyncProgress::Open | SyncProgress::Moving));
    plans.map(|plan| ending_of(plan, asked, comes)).max().unwrap_or(Ending::Done)
}

/// How it ends for one service; `comes` says whether anything is still under way.
fn ending_of(plan: &ServicePlan, asked: Asked, comes: bool) -> Ending {
    match standing(plan, asked) {
        SyncProgress::Ended(ending) => ending,
        SyncProgress::Moving if asked.follow => Ending::TimedOut,
        SyncProgress::Moving => Ending::Done,
        SyncProgress::Open => Ending::TimedOut,
        SyncProgress::Behind if comes => Ending::TimedOut,
        SyncProgress::Behind => Ending::Failed,
    }
}

/// The services that are not done, each with why, in words.
pub fn not_done<'a>(
    plans: impl Iterator<Item = &'a ServicePlan> + Clone,
    asked: Asked,
) -> Vec<(&'a ServicePlan, String)> {
    let comes = plans.clone().any(|plan| matches!(standing(plan, asked), SyncProgress::Open | SyncProgress::Moving));
    plans
        .filter(|plan| ending_of(plan, asked, comes) != Ending::Done)
        .map(|plan| {
            let reasons = plan.withheld.iter().filter(|withheld| !NOTES.contains(&withheld.reason));
            let texts: Vec<&str> = reasons.map(|withheld| withheld.text.as_str()).collect();
            let text = match (texts.as_slice(), plan.verdict) {
                ([], Some(Verdict::Progressing)) => "still being deployed".to_owned(),
                ([], _) if !plan.actions.is_empty() => "not written yet".to_owned(),
                ([], _) => "not as declared".to_owned(),
                (texts, _) => texts.join("; "),
            };
            (plan, text)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        compare::{diff::Change, rules::Effect},
        report::{Action, ActionKind, Health, Withheld},
    };
    use lockstep_manifests::path::Path;
    use serde_json::json;

    fn plan(sync: SyncStatus, verdict: Option<Verdict>, reasons: &[Reason]) -> ServicePlan {
        let mut plan = ServicePlan::withheld("web", sync, Health::Healthy, Reason::Held, "");
        plan.verdict = verdict;
        plan.withheld = reasons
            .iter()
            .map(|reason| Withheld { reason: *reason, text: format!("{reason:?}"), changes: vec![change()] })
            .collect();
        plan
    }

    fn change() -> Change {
        Change::new(&Path::root("service").member("launchType"), None, Some(json!("EC2")), Effect::Replace)
    }

    fn acting(mut plan: ServicePlan) -> ServicePlan {
        plan.actions = vec![Action { kind: ActionKind::UpdateService, changes: vec![change()], order: None }];
        plan
    }

    const FOLLOWED: Asked = Asked { named: false, follow: true, prune: false };

    fn end(plans: &[ServicePlan], asked: Asked) -> Ending {
        ending(plans.iter(), asked)
    }

    // C2: the exit code is a function of the final states alone.
    #[test]
    fn each_reason_has_one_ending() {
        use Reason as R;
        use SyncStatus::{OutOfSync, Synced, Unknown};
        use Verdict as V;
        let cases: &[(SyncStatus, Option<Verdict>, &[Reason], Ending)] = &[
            (Synced, Some(V::Deployed), &[], Ending::Done),
            (Synced, None, &[R::Autoscaled], Ending::Done),
            (Synced, None, &[R::NotComparable, R::Undeclared], Ending::Done),
            (Synced, Some(V::Rejected), &[R::Rejected], Ending::Rejected),
            (Synced, Some(V::Stalled), &[R::Stalled], Ending::TimedOut),
            (Synced, Some(V::Progressing), &[], Ending::TimedOut),
            (OutOfSync, Some(V::Progressing), &[], Ending::TimedOut),
            (OutOfSync, Some(V::Rejected), &[R::Rejected], Ending::Rejected),
            (OutOfSync, Some(V::Pending), &[R::Prerequisite], Ending::Rejected),
            (OutOfSync, Some(V::Pending), &[R::WaitingForAws], Ending::TimedOut),
            (OutOfSync, Some(V::Pending), &[R::Queued], Ending::TimedOut),
            (OutOfSync, Some(V::Pending), &[R::RollingBack], Ending::TimedOut),
            (OutOfSync, Some(V::Pending), &[R::Waiting], Ending::Failed),
            // What ECS cannot change is not as declared, whatever was asked for.
            (OutOfSync, Some(V::Deployed), &[R::Refused], Ending::Failed),
            (OutOfSync, Some(V::Deployed), &[R::Replace], Ending::Failed),
            (OutOfSync, None, &[R::Missing], Ending::Failed),
            (OutOfSync, None, &[R::NotAdopted], Ending::Failed),
            (OutOfSync, None, &[R::ForeignOwner], Ending::Failed),
            (OutOfSync, None, &[R::Contested], Ending::Failed),
            (OutOfSync, None, &[R::Healing], Ending::Failed),
            (OutOfSync, None, &[R::Stopped], Ending::Failed),
            (OutOfSync, None, &[R::Unexplained], Ending::Failed),
            (OutOfSync, None, &[R::Failed], Ending::Failed),
            (OutOfSync, None, &[R::NotAllowed], Ending::Failed),
            (Unknown, None, &[R::Unread], Ending::Failed),
            (Unknown, None, &[R::WrongAccount], Ending::Failed),
            (Unknown, None, &[R::Invalid], Ending::Invalid),
            (OutOfSync, None, &[R::Verify], Ending::Invalid),
            // A difference without any reason is a difference.
            (OutOfSync, Some(V::Deployed), &[], Ending::Failed),
            (OutOfSync, Some(V::Deployed), &[R::Autoscaled], Ending::Failed),
            // The closed list.
            (OutOfSync, Some(V::Pending), &[R::Paused], Ending::Done),
            (OutOfSync, None, &[R::Controller], Ending::Done),
            (OutOfSync, None, &[R::Orphan], Ending::Done),
            (OutOfSync, Some(V::Pending), &[R::Paused, R::Autoscaled], Ending::Done),
            (OutOfSync, None, &[R::Paused, R::Replace], Ending::Failed),
        ];
        for (sync, verdict, reasons, expected) in cases {
            let found = end(&[plan(*sync, *verdict, reasons)], FOLLOWED);
            assert_eq!(found, *expected, "{sync:?}, {verdict:?}, {reasons:?}");
        }
    }

    #[test]
    fn what_was_named_is_not_left_alone() {
        let named = Asked { named: true, ..FOLLOWED };
        for reason in [Reason::Paused, Reason::Controller] {
            assert_eq!(end(&[plan(SyncStatus::OutOfSync, None, &[reason])], named), Ending::Failed, "{reason:?}");
        }
        let pruning = Asked { prune: true, ..FOLLOWED };
        assert_eq!(end(&[plan(SyncStatus::OutOfSync, None, &[Reason::Orphan])], pruning), Ending::Failed);
        // Equal to Git, and only without our tags.
        let mut equal = plan(SyncStatus::OutOfSync, None, &[Reason::NotAdopted]);
        equal.withheld[0].changes.clear();
        assert_eq!(end(&[equal], FOLLOWED), Ending::Done);
    }

    // I5: without following, a service is done when it is written, and not before.
    #[test]
    fn without_following_all_must_be_written() {
        let asked = Asked::default();
        let moving = plan(SyncStatus::Synced, Some(Verdict::Progressing), &[]);
        let unwritten = acting(plan(SyncStatus::OutOfSync, Some(Verdict::Pending), &[]));
        let queued = plan(SyncStatus::OutOfSync, Some(Verdict::Pending), &[Reason::Queued]);
        let behind = plan(SyncStatus::OutOfSync, Some(Verdict::Pending), &[Reason::Waiting]);
        let over = |plans: &[ServicePlan]| is_over(plans.iter(), asked);
        assert!(over(std::slice::from_ref(&moving)));
        assert_eq!(end(std::slice::from_ref(&moving), asked), Ending::Done);
        for open in [&unwritten, &queued, &behind] {
            assert!(!over(&[moving.clone(), open.clone()]));
            assert_eq!(end(&[moving.clone(), open.clone()], asked), Ending::TimedOut);
        }
        // What waits for something that does not move waits for a person.
        assert!(over(std::slice::from_ref(&behind)));
        assert_eq!(end(std::slice::from_ref(&behind), asked), Ending::Failed);
        let plans = [moving, unwritten, behind];
        let told: Vec<String> = not_done(plans.iter(), asked).into_iter().map(|(_, text)| text).collect();
        assert_eq!(told, ["not written yet", "Waiting"]);
    }

    #[test]
    fn the_gravest_ending_counts() {
        let rejected = plan(SyncStatus::OutOfSync, Some(Verdict::Rejected), &[Reason::Rejected]);
        let behind = plan(SyncStatus::OutOfSync, Some(Verdict::Pending), &[Reason::Waiting]);
        let done = plan(SyncStatus::Synced, Some(Verdict::Deployed), &[]);
        assert_eq!(end(&[done.clone(), rejected.clone()], FOLLOWED), Ending::Rejected);
        assert_eq!(end(&[done.clone(), rejected, behind], FOLLOWED), Ending::Failed);
        assert_eq!(end(&[], FOLLOWED), Ending::Done);
        assert!(is_over([done].iter(), FOLLOWED));
    }
}
