//! States that ECS rejected.

use super::*;

#[test]
fn a_state_that_ecs_rolled_back_is_not_tried_again() {
    let wanted = desired("web:2", declared());
    let mut observation = observed(live(answer()));
    observation.history = Reading::Found(History::Known(vec![past("ROLLBACK_SUCCESSFUL", "web:2", target())]));
    let Outcome::Needs(needs) = plan_service(&wanted, &observation, &around()) else { panic!() };
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
    assert_eq!(
        kinds(&planned(&wanted, &observation, &retry)),
        vec![ActionKind::RegisterTaskDefinition, ActionKind::UpdateService]
    );
    let mut other = declared();
    other["healthCheckGracePeriodSeconds"] = json!(60);
    let plan = planned(&desired("web:2", other), &observation, &around());
    assert_eq!(kinds(&plan), vec![ActionKind::RegisterTaskDefinition, ActionKind::UpdateService]);
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
    assert_eq!(kinds(&plan), vec![ActionKind::RegisterTaskDefinition, ActionKind::UpdateService]);
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
    assert_eq!(kinds(&plan), vec![ActionKind::RegisterTaskDefinition, ActionKind::UpdateService]);
}

#[test]
fn a_success_after_the_failure_or_another_target_does_not_reject() {
    let wanted = desired("web:2", declared());
    let mut observation = observed(live(answer()));
    let deployed = [ActionKind::RegisterTaskDefinition, ActionKind::UpdateService];
    for history in [
        vec![past("SUCCESSFUL", "web:2", target()), past("ROLLBACK_SUCCESSFUL", "web:2", target())],
        vec![past("ROLLBACK_SUCCESSFUL", "web:3", target())],
        vec![past(
            "ROLLBACK_SUCCESSFUL",
            "web:2",
            json!({"launchType": "FARGATE", "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["c"]}}}),
        )],
    ] {
        observation.history = Reading::Found(History::Known(history));
        assert_eq!(kinds(&planned(&wanted, &observation, &around())), deployed);
    }
    observation.history = Reading::Found(History::Known(vec![past("ROLLBACK_IN_PROGRESS", "web:3", target())]));
    let plan = planned(&wanted, &observation, &around());
    assert_eq!((kinds(&plan), reasons(&plan)), (vec![], vec![Reason::RollingBack]));
}
