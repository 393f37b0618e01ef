//! States that ECS rejected.

use super::*;

#[test]
fn a_state_that_ecs_rolled_back_is_not_tried_again() {
    let wanted = desired("web:2", declared());
    let mut observation = observed(live(answer()));
    observation.history = Reading::Found(History::Known(vec![past("ROLLBACK_SUCCESSFUL", "web:2", target())]));
    let PlanOutcome::Needs(needs) = plan_service(&wanted, &observation, &around()) else { panic!() };
    assert_eq!(needs, BTreeSet::from([Need::Cause]));
    observation.cause = Some(Cause::recorded("container web exited with code 1"));
    let plan = planned(&wanted, &observation, &around());
    assert_eq!(kinds(&plan), vec![ActionKind::TagService, ActionKind::TagTaskDefinition]);
    assert_eq!((plan.verdict, reasons(&plan)), (Some(Verdict::Rejected), vec![Reason::Rejected]));
    assert!(plan.withheld[0].text.contains("exited with code 1"), "{}", plan.withheld[0].text);
    let Some(Order::TagService { tags }) = &plan.actions[0].order else { panic!() };
    assert_eq!(tags[identity::REJECTED], format!("{} 2", desired_hash(&wanted)));

    // Once it is tagged, nothing is written any more.
    let mut tagged = live(answer());
    tagged.tags.insert(identity::REJECTED.into(), desired_hash(&wanted));
    observation.service = Reading::Found(tagged);
    let mut rolled_back = past("ROLLBACK_SUCCESSFUL", "web:2", target());
    rolled_back.revision.tags.insert(identity::OUTCOME.into(), "container web exited with code 1".into());
    observation.history = Reading::Found(History::Known(vec![rolled_back]));
    // ECS has forgotten its tasks: the tag still tells.
    observation.cause = Some(Cause::default());
    let plan = planned(&wanted, &observation, &around());
    assert_eq!((kinds(&plan), reasons(&plan)), (vec![], vec![Reason::Rejected]));
    assert!(plan.withheld[0].text.contains("exited with code 1"), "{}", plan.withheld[0].text);

    // A person's order, or another desired state, is a new try.
    let retry = Surroundings { retry: true, ..around() };
    // J5: the revision of the failed deployment exists, so that nothing is registered for it again.
    assert_eq!(kinds(&planned(&wanted, &observation, &retry)), vec![ActionKind::UpdateService]);
    let mut other = declared();
    other["healthCheckGracePeriodSeconds"] = json!(60);
    let plan = planned(&desired("web:2", other), &observation, &around());
    assert_eq!(kinds(&plan), vec![ActionKind::UpdateService]);
}

#[test]
fn drift_beside_a_rejected_state_is_still_healed() {
    let wanted = desired("web:2", declared());
    let mut edited = live(answer());
    edited.definition["enableExecuteCommand"] = json!(true);
    edited.tags.insert(identity::REJECTED.into(), desired_hash(&wanted));
    let mut observation = observed(edited);
    observation.history = Reading::Found(History::Known(vec![past("ROLLBACK_SUCCESSFUL", "web:2", target())]));
    observation.cause = Some(Cause::default());
    let plan = planned(&wanted, &observation, &around());
    assert_eq!((kinds(&plan), paths(&plan)), (vec![ActionKind::UpdateService], vec!["service.enableExecuteCommand"]));
    let Some(Order::Update { members, revision, .. }) = &plan.actions[0].order else { panic!() };
    assert_eq!((members, revision), (&json!({"enableExecuteCommand": false}), &None));
}

#[test]
fn what_a_newer_deployment_took_the_place_of_was_not_rejected() {
    let wanted = desired("web:2", declared());
    let mut observation = observed(live(answer()));
    let mut stopped = past("STOPPED", "web:2", target());
    observation.history = Reading::Found(History::Known(vec![stopped.clone()]));
    observation.cause = Some(Cause::recorded("the breaker stopped it"));
    assert_eq!(planned(&wanted, &observation, &around()).verdict, Some(Verdict::Rejected));
    stopped.gave_way = true;
    observation.history = Reading::Found(History::Known(vec![stopped]));
    let plan = planned(&wanted, &observation, &around());
    assert_eq!(kinds(&plan), vec![ActionKind::UpdateService]);
}

#[test]
fn a_second_failure_is_told_from_the_first() {
    // The tag records that another desired state failed, with another deployment.
    let wanted = desired("web:2", declared());
    let mut tagged = live(answer());
    tagged.tags.insert(identity::REJECTED.into(), "v1:other 1".into());
    let mut observation = observed(tagged.clone());
    observation.history = Reading::Found(History::Known(vec![past("ROLLBACK_SUCCESSFUL", "web:2", target())]));
    observation.cause = Some(Cause::recorded("exit 1"));
    let plan = planned(&wanted, &observation, &around());
    assert_eq!((plan.verdict, kinds(&plan)[0]), (Some(Verdict::Rejected), ActionKind::TagService));
    // It records this very deployment, for a desired state that had the same revision: this one is tried.
    tagged.tags.insert(identity::REJECTED.into(), "v1:other 2".into());
    observation.service = Reading::Found(tagged);
    let plan = planned(&wanted, &observation, &around());
    assert_eq!(kinds(&plan), vec![ActionKind::UpdateService]);
}

// B1: what a version before `v2:` wrote down is still known, so that an upgrade tries no rejected state again.
#[test]
fn a_rejection_that_an_older_version_recorded_holds_after_an_upgrade() {
    let mut wanted = desired("web:2", declared());
    wanted.task_definition["executionRoleArn"] = json!("arn:aws:iam::111111111111:role/service-role/exec");
    // As the older version made them: with the role's last part alone.
    const BEFORE: &str = "v1:c39c9c0deb4ac307944b13ac35794de9";
    let mut tagged = live(answer());
    tagged.tags.insert(identity::REJECTED.into(), format!("{BEFORE} 2"));
    let mut failed = past("ROLLBACK_SUCCESSFUL", "web:2", target());
    failed.revision.definition["executionRoleArn"] = wanted.task_definition["executionRoleArn"].clone();
    let mut observation = observed(tagged);
    observation.history = Reading::Found(History::Known(vec![failed]));
    observation.cause = Some(Cause::recorded("exit 1"));
    let plan = planned(&wanted, &observation, &around());
    assert_eq!((plan.verdict, reasons(&plan)), (Some(Verdict::Rejected), vec![Reason::Rejected]));
    assert!(!kinds(&plan).contains(&ActionKind::TagService), "it is recorded already: {:?}", plan.actions);

    // The same name on another path is another state.
    wanted.task_definition["executionRoleArn"] = json!("arn:aws:iam::111111111111:role/exec");
    assert_ne!(plan.verdict, planned(&wanted, &observation, &around()).verdict);
}

#[test]
fn a_success_after_the_failure_or_another_target_does_not_reject() {
    let wanted = desired("web:2", declared());
    let mut observation = observed(live(answer()));
    let registered = vec![ActionKind::RegisterTaskDefinition, ActionKind::UpdateService];
    let used_again = vec![ActionKind::UpdateService];
    for (history, deployed) in [
        (vec![past("SUCCESSFUL", "web:2", target()), past("ROLLBACK_SUCCESSFUL", "web:2", target())], &used_again),
        (vec![past("ROLLBACK_SUCCESSFUL", "web:3", target())], &registered),
        (
            vec![past(
                "ROLLBACK_SUCCESSFUL",
                "web:2",
                json!({"launchType": "FARGATE", "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["c"]}}}),
            )],
            &used_again,
        ),
    ] {
        observation.history = Reading::Found(History::Known(history));
        assert_eq!(kinds(&planned(&wanted, &observation, &around())), *deployed);
    }
    observation.history = Reading::Found(History::Known(vec![past("ROLLBACK_IN_PROGRESS", "web:3", target())]));
    let plan = planned(&wanted, &observation, &around());
    assert_eq!((kinds(&plan), reasons(&plan)), (vec![], vec![Reason::RollingBack]));
}

// J1: the history is read where something leaves a doubt.
#[test]
fn a_doubt_asks_for_the_history() {
    let wanted = desired("web:2", declared());
    let mut clean = observed(live(answer()));
    clean.history = Reading::Unread;
    let asks = |observation: &Observation| match plan_service(&wanted, observation, &around()) {
        PlanOutcome::Needs(needs) => needs == BTreeSet::from([Need::History]),
        PlanOutcome::Planned(_) => false,
    };
    assert!(!asks(&clean));
    let with = |change: &dyn Fn(&mut LiveService)| {
        let mut live = live(answer());
        change(&mut live);
        Observation { service: Reading::Found(live), ..clean.clone() }
    };
    let text = "(service web) (deployment ecs-svc/1) deployment failed: tasks failed to start.";
    let event = lockstep_core::observed::ServiceEvent { at: 1, text: text.into() };
    assert!(asks(&with(&|live| drop(live.tags.insert(identity::REJECTED.into(), "v1:other 1".into())))));
    assert!(asks(&with(&|live| live.events.push(event.clone()))));
    assert!(asks(&with(&|live| live.deployments[0].rollout = "IN_PROGRESS".into())));
    assert!(asks(&with(&|live| live.deployments.push(LiveDeployment::default()))));
    // The content is registered: it may have been tried.
    let newest = Reading::Found(revision("arn:td/web:2", "web:2"));
    assert!(asks(&Observation { newest, ..clean.clone() }));
    // No other content, but other members of a deployment.
    let mut moved = declared();
    moved["networkConfiguration"] = json!({"awsvpcConfiguration": {"subnets": ["c"]}});
    let PlanOutcome::Needs(needs) = plan_service(&desired("web:1", moved), &clean, &around()) else { panic!() };
    assert_eq!(needs, BTreeSet::from([Need::History]));
}

// C7: a refused way back is not a fresh failure.
#[test]
fn going_back_to_a_rejected_state_says_when_what_runs_and_the_way_out() {
    let wanted = desired("web:2", declared());
    let mut observation = observed(live(answer()));
    let mut rejected = past("ROLLBACK_SUCCESSFUL", "web:2", target());
    rejected.finished_at = 1_793_000_000;
    let newer = PastDeployment { arn: "arn:deployment/3".into(), ..past("SUCCESSFUL", "web:3", target()) };
    observation.history = Reading::Found(History::Known(vec![newer, rejected.clone()]));
    observation.cause = Some(Cause::recorded("exit 1"));
    let text = planned(&wanted, &observation, &around()).withheld[0].text.clone();
    assert_eq!(
        text,
        "rejected before: 2 (commit c0ffee): ECS ended a deployment of it as ROLLBACK_SUCCESSFUL at 2026-10-26T07:33:20Z: exit 1. Nothing was started now; web:1 keeps running; it is not tried again until the service's desired state changes, or by `lockstep sync --retry`"
    );
    // The failure that was just seen.
    observation.history = Reading::Found(History::Known(vec![rejected]));
    let text = planned(&wanted, &observation, &around()).withheld[0].text.clone();
    assert!(
        text.starts_with("rejected: 2 (commit c0ffee): ECS ended its deployment as ROLLBACK_SUCCESSFUL at "),
        "{text}"
    );
    assert!(!text.contains("Nothing was started now"), "{text}");
}

// K4: a fault of AWS's own is never held against the state.
#[test]
fn no_capacity_is_waited_for_and_tried_again_later_each_time() {
    let wanted = desired("web:2", declared());
    let mut observation = observed(live(answer()));
    let failed = |at: i64, arn: &str| PastDeployment {
        arn: arn.into(),
        finished_at: at,
        ..past("ROLLBACK_SUCCESSFUL", "web:2", target())
    };
    let event = "(service web) was unable to place a task. Reason: Capacity is unavailable at this time.";
    observation.cause = Some(Cause { events: vec![event.into()], ..Cause::default() });
    observation.known = Some(revision("arn:td/web:2", "web:2"));
    for (attempts, pause) in [(1, 60), (2, 120), (3, 240), (10, 1800)] {
        let past = (0..attempts).map(|at| failed(1000 - at, &format!("arn:deployment/{at}"))).collect();
        observation.history = Reading::Found(History::Known(past));
        let early = Surroundings { now: 1000 + pause - 1, ..around() };
        let plan = planned(&wanted, &observation, &early);
        assert_eq!((kinds(&plan), reasons(&plan)), (vec![], vec![Reason::WaitingForAws]), "{attempts}");
        assert_eq!(plan.verdict, Some(Verdict::Pending));
        let text = &plan.withheld[0].text;
        assert!(text.starts_with("waiting for AWS: (service web) was unable to place a task."), "{text}");
        assert!(!plan.withheld[0].changes.is_empty(), "what waits is shown");
        let due = Surroundings { now: 1000 + pause, ..around() };
        assert_eq!(kinds(&planned(&wanted, &observation, &due)), vec![ActionKind::UpdateService], "{attempts}");
    }
    // Where ECS does not go back by itself, only force starts it again.
    let mut stopped = live(answer());
    stopped.deployments[0].rollout = "FAILED".into();
    stopped.deployments[0].updated_at = 1000;
    observation.service = Reading::Found(stopped);
    let wanted = desired("web:1", declared());
    let early = planned(&wanted, &observation, &Surroundings { now: 1001, ..around() });
    assert_eq!((kinds(&early), reasons(&early)), (vec![], vec![Reason::WaitingForAws]));
    let due = planned(&wanted, &observation, &Surroundings { now: 1060, ..around() });
    let Some(Order::Update { force, .. }) = &due.actions[0].order else { panic!() };
    assert!(force);
}

// K4: what was not there is waited for, as long as looks show that it is not; then it goes on.
#[test]
fn what_is_not_there_is_waited_for_and_then_goes_on() {
    let wanted = desired("web:2", declared());
    let mut observation = observed(live(answer()));
    let words = "CannotPullContainerError: pull image manifest has been retried 5 time(s): failed to resolve ref web:2: web:2: not found";
    observation.cause = Some(Cause { stopped_reason: words.into(), ..Cause::default() });
    observation.known = Some(revision("arn:td/web:2", "web:2"));
    let failed = PastDeployment { started_at: 500, ..past("ROLLBACK_SUCCESSFUL", "web:2", target()) };
    observation.history = Reading::Found(History::Known(vec![failed]));
    let needs = plan_service(&wanted, &observation, &around());
    assert_eq!(needs, PlanOutcome::Needs([Need::Presence].into()));
    for (presence, was_absent, expected) in [
        (Presence::Absent, false, (vec![], vec![Reason::Prerequisite])),
        (Presence::Absent, true, (vec![], vec![Reason::Prerequisite])),
        (Presence::There(None), true, (vec![ActionKind::UpdateService], vec![])),
        // It came after the deployment began, whoever looked before.
        (Presence::There(Some(501)), false, (vec![ActionKind::UpdateService], vec![])),
        // There all the time, or not known: it is a rejection.
        (
            Presence::There(None),
            false,
            (vec![ActionKind::TagService, ActionKind::TagTaskDefinition], vec![Reason::Rejected]),
        ),
        (
            Presence::There(Some(500)),
            false,
            (vec![ActionKind::TagService, ActionKind::TagTaskDefinition], vec![Reason::Rejected]),
        ),
        (
            Presence::Unknown,
            true,
            (vec![ActionKind::TagService, ActionKind::TagTaskDefinition], vec![Reason::Rejected]),
        ),
    ] {
        let observation = Observation { presence: Some(presence), was_absent, ..observation.clone() };
        let plan = planned(&wanted, &observation, &around());
        assert_eq!((kinds(&plan), reasons(&plan)), expected, "{presence:?} {was_absent}");
        if presence == Presence::Absent {
            assert_eq!(
                plan.withheld[0].text,
                format!("waiting for the image web:2: {words}; it continues when it exists")
            );
            assert!(!plan.withheld[0].changes.is_empty() && plan.verdict == Some(Verdict::Pending));
        }
    }
    // Where ECS does not go back by itself, only force starts it again.
    let mut stopped = live(answer());
    stopped.deployments[0].rollout = "FAILED".into();
    observation.service = Reading::Found(stopped);
    let wanted = desired("web:1", declared());
    let words = words.replace("web:2", "web:1");
    observation.cause = Some(Cause { stopped_reason: words, ..Cause::default() });
    let absent = Observation { presence: Some(Presence::Absent), ..observation.clone() };
    assert_eq!(reasons(&planned(&wanted, &absent, &around())), [Reason::Prerequisite]);
    let there = Observation { presence: Some(Presence::There(None)), was_absent: true, ..observation };
    let plan = planned(&wanted, &there, &around());
    assert!(matches!(&plan.actions[0].order, Some(Order::Update { force: true, .. })), "{plan:#?}");
}

// I8: an endpoint without a history, by an error or by an empty list.
#[test]
fn without_a_history_a_rollback_under_way_is_seen_in_the_service_itself() {
    let wanted = desired("web:2", declared());
    let mut back = live(answer());
    back.deployments[0].rollout = "IN_PROGRESS".into();
    back.deployments.push(LiveDeployment {
        id: "ecs-svc/2".into(),
        status: "ACTIVE".into(),
        rollout: "FAILED".into(),
        task_definition: "arn:td/web:2".into(),
        ..LiveDeployment::default()
    });
    for history in [History::Unsupported, History::Known(vec![])] {
        let mut observation = observed(back.clone());
        observation.history = Reading::Found(history.clone());
        // It is ours that failed: that is recorded, as nothing else will tell of it.
        observation.known = Some(revision("arn:td/web:2", "web:2"));
        let plan = planned(&wanted, &observation, &around());
        assert_eq!((kinds(&plan), reasons(&plan)), (vec![ActionKind::TagService], vec![Reason::RollingBack]));
        let Some(Order::TagService { tags }) = &plan.actions[0].order else { panic!() };
        let mut over = live(answer());
        over.tags.extend(tags.clone());
        let mut after = observed(over);
        after.history = Reading::Found(history.clone());
        after.cause = Some(Cause::default());
        let plan = planned(&wanted, &after, &around());
        assert_eq!((kinds(&plan), plan.verdict), (vec![], Some(Verdict::Rejected)));
        // Another state waits as well, and is not to blame.
        let plan = planned(&desired("web:3", declared()), &observation, &around());
        assert_eq!((kinds(&plan), reasons(&plan)), (vec![], vec![Reason::RollingBack]));
    }
}
