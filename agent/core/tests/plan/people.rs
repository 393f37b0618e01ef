//! What is left alone because somebody has a say in it.

use super::*;

#[test]
fn a_paused_service_is_looked_at_and_left_alone() {
    let wanted = desired("web:2", declared());
    let mut paused = live(answer());
    let value = "until=2026-11-26T10:00:00Z by=ada reason=INC-4711";
    paused.tags.insert(lockstep_core::service::pause::PAUSE.into(), value.into());
    let observation = observed(paused);
    let before = Surroundings { now: 1_795_687_199, ..around() };
    let plan = planned(&wanted, &observation, &before);
    assert_eq!((kinds(&plan), reasons(&plan)), (vec![], vec![Reason::Paused]));
    assert_eq!(plan.withheld[0].text, "paused by ada until 2026-11-26T10:00:00Z: INC-4711");
    assert!(!plan.withheld[0].changes.is_empty(), "what waits is shown");
    assert!(plan.is_held());
    let after = Surroundings { now: 1_795_687_200, ..around() };
    assert_eq!(kinds(&planned(&wanted, &observation, &after)).len(), 2, "a pause that is over is over");
}

#[test]
fn what_is_contested_or_young_is_held_back_and_the_rest_is_healed() {
    let wanted = desired("web:1", declared());
    let mut edited = live(answer());
    edited.definition["enableExecuteCommand"] = json!(true);
    edited.definition["propagateTags"] = json!("TASK_DEFINITION");
    edited.definition["healthCheckGracePeriodSeconds"] = json!(99);
    edited.tags.insert("aws:cloudformation:stack-name".into(), "shop".into());
    let observation = observed(edited);
    let holds = BTreeMap::from([
        ("service.enableExecuteCommand".to_owned(), Delay::Contested { flips: 3, slowly: false }),
        ("service.propagateTags".to_owned(), Delay::Young { until: 1_795_687_200 }),
    ]);
    let plan = planned(&wanted, &observation, &Surroundings { holds, ..around() });
    assert_eq!(
        (kinds(&plan), paths(&plan)),
        (vec![ActionKind::UpdateService], vec!["service.healthCheckGracePeriodSeconds"])
    );
    assert_eq!(reasons(&plan), vec![Reason::Contested, Reason::Healing]);
    assert_eq!(
        plan.withheld[0].text,
        "contested: somebody else changed service.enableExecuteCommand 3 times within an hour; Lockstep leaves it alone. The service's tags name aws:cloudformation:stack-name=shop. If it belongs to another tool, name it in `ignore` here; if to Git, take it out there (Terraform: `ignore_changes`). It ends an hour after the last change, by a commit that changes the field, or by `lockstep sync`"
    );
    assert_eq!(
        plan.withheld[1].text,
        "drift; will be corrected at 2026-11-26T10:00:00Z if it is still there (sync.heal.after)"
    );
    assert_eq!(plan.withheld[0].changes[0].path, "service.enableExecuteCommand");
}

/// K3: who registered the revision that keeps coming back, and what to write elsewhere.
#[test]
fn a_slow_fight_names_who_registered_the_revision() {
    let wanted = desired("web:2", declared());
    let mut observation = observed(live(answer()));
    let mut theirs = revision("arn:td/web:1", "web:1");
    theirs.registered_by = Some("arn:aws:sts::111111111111:assumed-role/terraform/ci".into());
    observation.revision = Reading::Found(theirs);
    let image = "taskDefinition.containerDefinitions[web].image".to_owned();
    let holds = BTreeMap::from([(image, Delay::Contested { flips: 3, slowly: true })]);
    let plan = planned(&wanted, &observation, &Surroundings { holds, ..around() });
    assert_eq!((kinds(&plan), reasons(&plan)), (vec![], vec![Reason::Contested]));
    assert_eq!(
        plan.withheld[0].text,
        "contested: somebody else put back to the same value taskDefinition.containerDefinitions[web].image 3 times within 7 days; Lockstep leaves it alone. The revision in use was registered by arn:aws:sts::111111111111:assumed-role/terraform/ci. If Terraform should keep the service and Lockstep the image: `scope: taskDefinition` here, and `lifecycle { ignore_changes = [task_definition] }` there. It ends a week after the last change, by a commit that changes the field, or by `lockstep sync`"
    );
}

/// K1: a count that was raised, and drift that is only reported.
#[test]
fn a_raised_count_and_reported_drift_stay() {
    let wanted = desired("web:1", declared());
    let mut edited = live(answer());
    edited.definition["desiredCount"] = json!(10);
    edited.definition["enableExecuteCommand"] = json!(true);
    edited.desired = 10;
    let mut observation = observed(edited);
    observation.scalable = Reading::Missing;
    let count = "service.desiredCount".to_owned();
    let holds = BTreeMap::from([(count.clone(), Delay::Raised { live: 10, until: 1_795_687_200 })]);
    let plan = planned(&wanted, &observation, &Surroundings { holds, ..around() });
    assert_eq!((kinds(&plan), paths(&plan)), (vec![ActionKind::UpdateService], vec!["service.enableExecuteCommand"]));
    assert_eq!(
        plan.withheld[0].text,
        "the count was raised to 10, above Git's 2; it will be lowered at 2026-11-26T10:00:00Z if it is still there (sync.heal.count: up). To keep it, commit it"
    );
    let holds = ["service.enableExecuteCommand".to_owned(), count].map(|path| (path, Delay::Never { count: false }));
    let plan = planned(&wanted, &observation, &Surroundings { holds: holds.into(), ..around() });
    assert_eq!((kinds(&plan), reasons(&plan)), (vec![], vec![Reason::NotHealed]));
    assert_eq!(
        plan.withheld[0].text,
        "drift is only reported here (sync.heal: never); run `lockstep sync` to correct it"
    );
}

#[test]
fn stripped_tags_are_reported_with_who_seems_to_own_the_service_now() {
    let wanted = desired("web:2", declared());
    let mut stripped = live(answer());
    stripped.tags = BTreeMap::from([("ManagedBy".to_owned(), "terraform".to_owned())]);
    let mut observation = observed(stripped);
    let plan = planned(&wanted, &observation, &around());
    assert_eq!(
        plan.withheld[0].text,
        "the ECS service web exists and does not carry our tags (its tags name ManagedBy=terraform); run `lockstep adopt` to take it over"
    );
    let mut ours = revision("arn:td/web:1", "web:1");
    ours.tags = identity::ownership_tags("acme", "prod", "web");
    observation.revision = Reading::Found(ours);
    let plan = planned(&wanted, &observation, &around());
    assert!(plan.withheld[0].text.starts_with("our tags were removed from the ECS service web"), "{:?}", plan.withheld);
    assert_eq!((kinds(&plan), reasons(&plan)), (vec![], vec![Reason::NotAdopted]));
}
