//! A plan says what there is, what will be, and what nobody does anything about.

use super::*;
use lockstep_core::compare::diff::Change;

fn shown(changes: &[Change]) -> Vec<(&str, Option<Value>, Option<Value>)> {
    changes.iter().map(|change| (change.path.as_str(), change.old.clone(), change.new.clone())).collect()
}

fn texts(plan: &ServicePlan) -> Vec<(Reason, &str)> {
    plan.withheld.iter().map(|withheld| (withheld.reason, withheld.text.as_str())).collect()
}

// I7: a declared value that equals the default is shown as what it will be.
#[test]
fn a_default_is_shown_as_the_value_that_it_is() {
    let mut wanted = declared();
    wanted["deploymentConfiguration"]["maximumPercent"] = json!(200);
    let mut changed = answer();
    changed["deploymentConfiguration"]["maximumPercent"] = json!(150);
    changed["enableExecuteCommand"] = json!(true);
    changed["platformVersion"] = json!("1.4.0");
    let plan = planned(&desired("web:1", wanted), &observed(live(changed)), &around());
    assert_eq!(
        shown(&plan.actions[0].changes),
        vec![
            ("service.platformVersion", Some(json!("1.4.0")), Some(json!("LATEST"))),
            ("service.deploymentConfiguration.maximumPercent", Some(json!(150)), Some(json!(200))),
            ("service.enableExecuteCommand", Some(json!(true)), Some(json!(false))),
        ]
    );
    // The same the other way round: what is left is the default, not nothing.
    let mut wanted = declared();
    wanted["deploymentConfiguration"]["maximumPercent"] = json!(150);
    let plan = planned(&desired("web:1", wanted.clone()), &observed(live(answer())), &around());
    assert_eq!(
        shown(&plan.actions[0].changes),
        vec![("service.deploymentConfiguration.maximumPercent", Some(json!(200)), Some(json!(150)))]
    );
    // Of what does not exist yet there is no default.
    let missing = Observation { service: Reading::Missing, newest: Reading::Missing, ..Observation::default() };
    let plan = planned(&desired("web:1", wanted), &missing, &around());
    assert!(plan.actions.iter().flat_map(|action| &action.changes).all(|change| change.old.is_none()), "{plan:#?}");
}

// J5: our own tags are no differences; the declared ones of a revision are compared with those it has.
#[test]
fn own_tags_are_no_differences() {
    let mut wanted = desired("web:2", declared());
    wanted.task_definition_tags.insert("team".into(), json!("shop"));
    wanted.task_definition_tags.insert("tier".into(), json!("1"));
    wanted.service_tags.insert("team".into(), json!("shop"));
    let mut observation = observed(live(answer()));
    let Reading::Found(revision) = &mut observation.revision else { panic!() };
    revision.tags = Tags::from([("team".to_owned(), "shop".to_owned())]);
    let plan = planned(&wanted, &observation, &around());
    assert_eq!(
        paths(&plan),
        vec![
            "taskDefinition.containerDefinitions[web].image",
            "taskDefinition.tags[tier]",
            "service.taskDefinition",
            "service.tags[team]"
        ]
    );
    let missing = Observation { service: Reading::Missing, newest: Reading::Missing, ..Observation::default() };
    let plan = planned(&wanted, &missing, &around());
    assert!(paths(&plan).iter().all(|path| !path.contains(identity::OWN_TAGS)), "{:?}", paths(&plan));
    let Some(Order::Create { tags, .. }) = &plan.actions[1].order else { panic!() };
    assert_eq!(tags.len(), 4, "they are sent all the same");
}

// J5: a revert plans what is done: one UpdateService, where the revision is known from the history.
#[test]
fn going_back_to_a_revision_of_the_history_registers_nothing() {
    let wanted = desired("web:1", declared());
    let mut changed = live(answer());
    changed.task_definition = "arn:td/web:2".into();
    let mut observation = observed(changed);
    observation.revision = Reading::Found(revision("arn:td/web:2", "web:2"));
    observation.newest = Reading::Found(revision("arn:td/web:2", "web:2"));
    let mut first = past("SUCCESSFUL", "web:1", target());
    first.revision.arn = OLD.into();
    observation.history = Reading::Found(History::Known(vec![past("SUCCESSFUL", "web:2", target()), first.clone()]));
    let plan = planned(&wanted, &observation, &around());
    assert_eq!(kinds(&plan), vec![ActionKind::UpdateService]);
    assert_eq!(paths(&plan), vec!["service.taskDefinition", "taskDefinition.containerDefinitions[web].image"]);
    // One that was deregistered is no revision to go back to.
    first.revision.active = false;
    observation.history = Reading::Found(History::Known(vec![first]));
    assert_eq!(
        kinds(&planned(&wanted, &observation, &around())),
        vec![ActionKind::RegisterTaskDefinition, ActionKind::UpdateService]
    );
}

// B3: a namespace by name and by ARN is neither equal nor different, and that is said.
#[test]
fn what_cannot_be_compared_is_said() {
    let arn = "arn:aws:servicediscovery:eu-central-1:111111111111:namespace/ns-abc";
    let connect = |namespace: &str| json!({"enabled": true, "namespace": namespace});
    let mut wanted = declared();
    wanted["serviceConnectConfiguration"] = connect("shop");
    let mut changed = answer();
    changed["serviceConnectConfiguration"] = connect(arn);
    let plan = planned(&desired("web:1", wanted.clone()), &observed(live(changed.clone())), &around());
    assert_eq!((kinds(&plan), plan.sync), (vec![], SyncStatus::Synced));
    let text = format!(
        "service.serviceConnectConfiguration.namespace cannot be compared: Git has shop, ECS returns {arn}, and a namespace's ARN does not tell its name; nothing is done because of it. Write the ARN in Git to have it compared"
    );
    assert_eq!(texts(&plan), vec![(Reason::NotComparable, text.as_str())]);
    // Two names, or two ARNs, are compared.
    let other = "arn:aws:servicediscovery:eu-central-1:222222222222:namespace/ns-abc";
    for (declared, live_one, differs) in
        [("shop", "other", true), ("shop", "shop", false), (arn, arn, false), (arn, other, true)]
    {
        wanted["serviceConnectConfiguration"] = connect(declared);
        changed["serviceConnectConfiguration"] = connect(live_one);
        let plan = planned(&desired("web:1", wanted.clone()), &observed(live(changed.clone())), &around());
        assert_eq!((plan.sync == SyncStatus::OutOfSync, reasons(&plan)), (differs, vec![]), "{declared} {live_one}");
    }
    // Ignored is ignored.
    let mut ignoring = desired("web:1", wanted);
    ignoring.service["serviceConnectConfiguration"] = connect("shop");
    ignoring.ignore = vec!["service.serviceConnectConfiguration.namespace".into()];
    assert_eq!(reasons(&planned(&ignoring, &observed(live(changed)), &around())), vec![]);
}

// B3, I10: a member that is taken out of Git, and that ECS has no default for, stays; and that is said.
#[test]
fn what_stays_although_it_is_not_declared_is_said() {
    let mut changed = answer();
    changed["networkConfiguration"]["awsvpcConfiguration"]["securityGroups"] = json!(["sg-1"]);
    let plan = planned(&desired("web:1", declared()), &observed(live(changed.clone())), &around());
    assert_eq!((kinds(&plan), plan.sync, plan.verdict), (vec![], SyncStatus::Synced, Some(Verdict::Deployed)));
    let path = "service.networkConfiguration.awsvpcConfiguration.securityGroups";
    let text = format!(
        "{path} is not in Git and stays as it is ([\"sg-1\"]): nothing is done, because ECS has no default to go back to; declare it to change it"
    );
    assert_eq!(texts(&plan), vec![(Reason::Undeclared, text.as_str())]);

    let volume = |size: i64, more: Value| {
        let mut volume = json!({"sizeInGiB": size, "roleArn": "arn:aws:iam::1:role/ecs"});
        volume.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([{"name": "data", "managedEBSVolume": volume}])
    };
    let mut wanted = declared();
    wanted["volumeConfigurations"] = volume(10, json!({}));
    let mut changed = answer();
    changed["volumeConfigurations"] =
        volume(10, json!({"encrypted": true, "filesystemType": "xfs", "iops": 3000, "throughput": 500}));
    let plan = planned(&desired("web:1", wanted.clone()), &observed(live(changed.clone())), &around());
    let said: Vec<&str> = texts(&plan).into_iter().map(|(_, text)| text.split(' ').next().unwrap()).collect();
    let at = |member: &str| format!("service.volumeConfigurations[data].managedEBSVolume.{member}");
    assert_eq!(said, [at("encrypted"), at("throughput")], "what ECS fills in by itself is not told of");
    // It stays when the block is sent for another change, too.
    wanted["volumeConfigurations"] = volume(20, json!({}));
    let mut with_volume = desired("web:1", wanted);
    with_volume.task_definition["volumes"] = json!([{"name": "data", "configuredAtLaunch": true}]);
    let mut observation = observed(live(changed));
    let Reading::Found(revision) = &mut observation.revision else { panic!() };
    revision.definition["volumes"] = json!([{"name": "data", "configuredAtLaunch": true}]);
    let plan = planned(&with_volume, &observation, &around());
    let Some(Order::Update { members, .. }) = &plan.actions[0].order else { panic!("{plan:#?}") };
    assert_eq!(
        members["volumeConfigurations"],
        volume(20, json!({"encrypted": true, "iops": 3000, "throughput": 500}))
    );
}

// I6: a service that another controller deploys is Synced where it is as Git says.
#[test]
fn another_controllers_service_without_a_difference_is_synced() {
    for controller in ["CODE_DEPLOY", "EXTERNAL"] {
        let mut wanted = declared();
        wanted["deploymentController"] = json!({ "type": controller });
        let mut theirs = live(answer());
        theirs.controller = controller.into();
        theirs.definition["deploymentController"] = json!({ "type": controller });
        if controller == "EXTERNAL" {
            // Its task sets have the task definition, the network and where it runs.
            theirs.task_definition = String::new();
            for member in ["networkConfiguration", "launchType", "platformVersion"] {
                theirs.definition.as_object_mut().unwrap().remove(member);
            }
        }
        let mut observation = observed(theirs.clone());
        if controller == "EXTERNAL" {
            observation.revision = Reading::Unread;
        }
        let plan = planned(&desired("web:1", wanted.clone()), &observation, &around());
        assert_eq!((kinds(&plan), plan.sync), (vec![], SyncStatus::Synced), "{controller}");
        assert_eq!((reasons(&plan), plan.has_differences()), (vec![Reason::Controller], false), "{controller}");
        theirs.definition["desiredCount"] = json!(5);
        let Reading::Found(found) = &mut observation.service else { panic!() };
        *found = theirs;
        let plan = planned(&desired("web:1", wanted), &observation, &around());
        assert_eq!((kinds(&plan), plan.sync), (vec![], SyncStatus::OutOfSync), "{controller}");
    }
}

// I6: one that would never be written after its creation is not created, and none is handed over.
#[test]
fn a_service_for_another_controller_is_not_created() {
    let mut wanted = declared();
    wanted["deploymentController"] = json!({"type": "CODE_DEPLOY"});
    let missing = Observation { service: Reading::Missing, newest: Reading::Missing, ..Observation::default() };
    let plan = planned(&desired("web:1", wanted.clone()), &missing, &around());
    assert_eq!((kinds(&plan), reasons(&plan)), (vec![], vec![Reason::Refused]));
    assert!(plan.withheld[0].text.starts_with("Git declares the CODE_DEPLOY deployment controller"), "{plan:#?}");

    let replaceable = Desired { replace: true, ..desired("web:1", wanted) };
    let plan = planned(&replaceable, &observed(live(answer())), &around());
    assert_eq!((kinds(&plan), reasons(&plan)), (vec![], vec![Reason::Refused]), "not even by replacing it");
    assert!(plan.withheld[0].text.contains("could not write the service any more"), "{plan:#?}");
}

// I12: LATEST is the default wherever it is answered.
#[test]
fn a_platform_version_on_instances_is_no_difference() {
    let on_instances = |mut service: Value| {
        service["launchType"] = json!("EC2");
        service
    };
    let mut wanted = desired("web:1", on_instances(declared()));
    wanted.task_definition["requiresCompatibilities"] = json!(["EC2"]);
    let mut observation = observed(live(on_instances(answer())));
    let Reading::Found(revision) = &mut observation.revision else { panic!() };
    revision.definition["requiresCompatibilities"] = json!(["EC2"]);
    let plan = planned(&wanted, &observation, &around());
    assert_eq!((kinds(&plan), plan.sync), (vec![], SyncStatus::Synced), "{plan:#?}");
    // And it is not sent, which ECS would refuse.
    wanted.service["platformVersion"] = json!("LATEST");
    let missing = Observation { service: Reading::Missing, newest: Reading::Missing, ..Observation::default() };
    let plan = planned(&wanted, &missing, &around());
    let Some(Order::Create { service, .. }) = &plan.actions[1].order else { panic!() };
    assert_eq!(service.get("platformVersion"), None);
}
