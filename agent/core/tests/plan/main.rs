//! The planner by example: what is desired and observed in, actions and reasons out.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod machine;
mod orphans;
mod people;
mod rejection;
mod truth;

use lockstep_core::{
    compare::rules::Effect,
    observed::{
        History, LiveDeployment, LiveService, Need, Observation, PastDeployment, Presence, Reading, Revision, Rollout,
        ScalableTarget, cause::Cause,
    },
    report::{ActionKind, Health, Order, Reason, RevisionRef, ServicePlan, SyncStatus, Verdict},
    service::{
        drift::Delay,
        lint::{Subject, lint},
        plan::{PlanOutcome, Surroundings, Wait, plan_service},
    },
    stated::identity::{self, desired_hash},
    tags::Tags,
};
use lockstep_manifests::{layer::Ownership, render::Desired};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

const OLD: &str = "arn:aws:ecs:eu-central-1:111111111111:task-definition/web:1";

fn task_definition(image: &str) -> Value {
    json!({"family": "web", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
        "containerDefinitions": [{"name": "web", "image": image, "portMappings": [{"containerPort": 80}],
            "environment": [{"name": "LEVEL", "value": "info"}]}]})
}

fn desired(image: &str, service: Value) -> Desired {
    Desired {
        name: "web".into(),
        environment: "prod".into(),
        service_name: "web".into(),
        ownership: Ownership::Service,
        after: vec![],
        ignore: vec![],
        adopt: false,
        replace: false,
        sync: lockstep_manifests::Narrowing::default(),
        task_definition: task_definition(image),
        task_definition_tags: Map::new(),
        service,
        service_tags: Map::new(),
        parameters: Default::default(),
    }
}

fn declared() -> Value {
    json!({"serviceName": "web", "desiredCount": 2, "launchType": "FARGATE",
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["a", "b"]}},
        "deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": true, "rollback": true}}})
}

/// What ECS returns for [`declared`], with everything that it fills in.
fn answer() -> Value {
    json!({"serviceName": "web", "cluster": "arn:aws:ecs:eu-central-1:111111111111:cluster/prod", "desiredCount": 2,
        "launchType": "FARGATE", "platformVersion": "LATEST", "schedulingStrategy": "REPLICA", "role": "arn:aws:iam::1:role/aws-service-role/x/AWSServiceRoleForECS",
        "loadBalancers": [], "serviceRegistries": [], "placementConstraints": [], "placementStrategy": [],
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["b", "a"], "securityGroups": [], "assignPublicIp": "DISABLED"}},
        "deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": true, "rollback": true, "resetOnHealthyTask": true,
            "thresholdConfiguration": {"type": "BOUNDED_PERCENT", "value": 50}}, "maximumPercent": 200, "minimumHealthyPercent": 100,
            "strategy": "ROLLING", "bakeTimeInMinutes": 0},
        "deploymentController": {"type": "ECS"}, "availabilityZoneRebalancing": "ENABLED", "healthCheckGracePeriodSeconds": 0,
        "enableECSManagedTags": false, "enableExecuteCommand": false, "propagateTags": "NONE"})
}

fn answered_task_definition(image: &str) -> Value {
    json!({"family": "web", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
        "volumes": [], "placementConstraints": [],
        "containerDefinitions": [{"name": "web", "image": image, "cpu": 0, "essential": true,
            "portMappings": [{"containerPort": 80, "hostPort": 80, "protocol": "tcp"}],
            "environment": [{"name": "LEVEL", "value": "info"}], "mountPoints": [], "volumesFrom": [], "systemControls": []}]})
}

fn live(definition: Value) -> LiveService {
    LiveService {
        arn: "arn:aws:ecs:eu-central-1:111111111111:service/prod/web".into(),
        status: "ACTIVE".into(),
        definition,
        tags: identity::ownership_tags("acme", "prod", "web"),
        task_definition: OLD.into(),
        controller: "ECS".into(),
        desired: 2,
        running: 2,
        deployments: vec![LiveDeployment {
            id: "ecs-svc/1".into(),
            status: "PRIMARY".into(),
            rollout: "COMPLETED".into(),
            ..LiveDeployment::default()
        }],
        current_deployment: Some("arn:deployment/1".into()),
        ..LiveService::default()
    }
}

fn revision(arn: &str, image: &str) -> Revision {
    Revision {
        arn: arn.into(),
        definition: answered_task_definition(image),
        tags: Tags::new(),
        active: true,
        ..Revision::default()
    }
}

fn observed(live: LiveService) -> Observation {
    Observation {
        service: Reading::Found(live),
        revision: Reading::Found(revision(OLD, "web:1")),
        newest: Reading::Found(revision(OLD, "web:1")),
        history: Reading::Found(History::Known(vec![])),
        scalable: Reading::Missing,
        ..Observation::default()
    }
}

fn around() -> Surroundings<'static> {
    Surroundings {
        source: "acme",
        commit: "c0ffee",
        may_adopt: false,
        adopt_now: false,
        waiting_for: None,
        retry: false,
        ..Surroundings::default()
    }
}

fn planned(desired: &Desired, observed: &Observation, around: &Surroundings<'_>) -> ServicePlan {
    match plan_service(desired, observed, around) {
        PlanOutcome::Planned(plan) => {
            let subject = Subject {
                desired: Some(desired),
                live: observed.service.found(),
                source: around.source,
                environment: &desired.environment,
                declared: None,
                now: around.now,
            };
            assert_eq!(lint(&plan, &subject), vec![], "{plan:#?}");
            *plan
        }
        PlanOutcome::Needs(needs) => panic!("needs {needs:?}"),
    }
}

fn kinds(plan: &ServicePlan) -> Vec<ActionKind> {
    plan.actions.iter().map(|action| action.kind).collect()
}

fn reasons(plan: &ServicePlan) -> Vec<Reason> {
    plan.withheld.iter().map(|withheld| withheld.reason).collect()
}

fn paths(plan: &ServicePlan) -> Vec<&str> {
    plan.actions.iter().flat_map(|action| &action.changes).map(|change| change.path.as_str()).collect()
}

#[test]
fn nothing_differs_when_ecs_only_filled_in_defaults() {
    let plan = planned(&desired("web:1", declared()), &observed(live(answer())), &around());
    assert_eq!(plan.actions, vec![]);
    assert_eq!(plan.withheld, vec![]);
    assert_eq!((plan.sync, plan.health, plan.verdict), (SyncStatus::Synced, Health::Healthy, Some(Verdict::Deployed)));
}

#[test]
fn a_missing_service_is_registered_and_created_with_our_tags() {
    let observation = Observation { service: Reading::Missing, newest: Reading::Missing, ..Observation::default() };
    let plan = planned(&desired("web:1", declared()), &observation, &around());
    assert_eq!(kinds(&plan), vec![ActionKind::RegisterTaskDefinition, ActionKind::CreateService]);
    let Some(Order::Register { tags, .. }) = &plan.actions[0].order else { panic!() };
    assert_eq!(tags[identity::COMMIT], "c0ffee");
    assert_eq!(tags[identity::SOURCE], "acme");
    let Some(Order::Create { revision, tags, service }) = &plan.actions[1].order else { panic!() };
    assert_eq!(*revision, RevisionRef::Registered);
    assert_eq!(*tags, identity::ownership_tags("acme", "prod", "web"));
    assert_eq!(*service, declared());
    assert_eq!((plan.sync, plan.health), (SyncStatus::OutOfSync, Health::Missing));
}

#[test]
fn a_changed_image_asks_for_the_newest_revision_and_then_is_one_registration_and_one_update() {
    let wanted = desired("web:2", declared());
    let mut observation = observed(live(answer()));
    // J1: this content was never registered, so that it cannot have been tried: the history is not read.
    observation.history = Reading::Unread;
    observation.newest = Reading::Unread;
    let PlanOutcome::Needs(needs) = plan_service(&wanted, &observation, &around()) else { panic!() };
    assert_eq!(needs, BTreeSet::from([Need::Newest]));
    observation.newest = Reading::Found(revision(OLD, "web:1"));
    let plan = planned(&wanted, &observation, &around());
    assert_eq!(kinds(&plan), vec![ActionKind::RegisterTaskDefinition, ActionKind::UpdateService]);
    let Some(Order::Update { members, revision, force }) = &plan.actions[1].order else { panic!() };
    assert_eq!((members, revision, force), (&json!({}), &Some(RevisionRef::Registered), &false));
    assert_eq!(plan.actions[1].effect(), Effect::NewDeployment);
    // I10: what the registration brings is listed there alone.
    assert_eq!(paths(&plan), vec!["taskDefinition.containerDefinitions[web].image", "service.taskDefinition"]);
    assert_eq!(
        (&plan.actions[1].changes[0].old, &plan.actions[1].changes[0].new),
        (&Some(json!(OLD)), &Some(json!("web")))
    );
}

#[test]
fn content_that_exists_is_not_registered_again() {
    let wanted = desired("web:2", declared());
    let mut observation = observed(live(answer()));
    observation.newest = Reading::Found(revision("arn:td/web:7", "web:2"));
    let plan = planned(&wanted, &observation, &around());
    assert_eq!(kinds(&plan), vec![ActionKind::UpdateService]);
    observation.newest = Reading::Unread;
    observation.known = Some(revision("arn:td/web:3", "web:2"));
    let plan = planned(&wanted, &observation, &around());
    let Some(Order::Update { revision, .. }) = &plan.actions[0].order else { panic!() };
    assert_eq!(*revision, Some(RevisionRef::Known("arn:td/web:3".into())));
    observation.known = Some(Revision { active: false, ..revision_of("arn:td/web:3", "web:2") });
    observation.newest = Reading::Missing;
    assert_eq!(
        kinds(&planned(&wanted, &observation, &around())),
        vec![ActionKind::RegisterTaskDefinition, ActionKind::UpdateService]
    );
}

fn revision_of(arn: &str, image: &str) -> Revision {
    revision(arn, image)
}

#[test]
fn drift_that_starts_no_deployment_is_healed_without_asking_anything() {
    let mut changed = answer();
    changed["enableExecuteCommand"] = json!(true);
    changed["deploymentConfiguration"]["maximumPercent"] = json!(150);
    let mut observation = observed(live(changed));
    observation.history = Reading::Unread;
    let plan = planned(&desired("web:1", declared()), &observation, &around());
    assert_eq!(paths(&plan), vec!["service.deploymentConfiguration.maximumPercent", "service.enableExecuteCommand"]);
    let Some(Order::Update { members, revision, .. }) = &plan.actions[0].order else { panic!() };
    assert_eq!(*revision, None);
    assert_eq!(members["enableExecuteCommand"], json!(false));
    assert_eq!(
        members["deploymentConfiguration"],
        json!({"deploymentCircuitBreaker": {"enable": true, "rollback": true, "resetOnHealthyTask": true,
            "thresholdConfiguration": {"type": "BOUNDED_PERCENT", "value": 50}},
            "maximumPercent": 200, "minimumHealthyPercent": 100, "strategy": "ROLLING", "bakeTimeInMinutes": 0}),
        "nested blocks are sent complete"
    );
}

#[test]
fn removal_is_explicit() {
    let mut changed = answer();
    changed["loadBalancers"] = json!([{"targetGroupArn": "arn:tg", "containerName": "web", "containerPort": 80}]);
    changed["healthCheckGracePeriodSeconds"] = json!(30);
    changed["serviceConnectConfiguration"] = json!({"enabled": true, "namespace": "x"});
    let plan = planned(&desired("web:1", declared()), &observed(live(changed)), &around());
    let Some(Order::Update { members, .. }) = &plan.actions[0].order else { panic!() };
    assert_eq!(
        *members,
        json!({"loadBalancers": [], "healthCheckGracePeriodSeconds": 0, "serviceConnectConfiguration": {"enabled": false}})
    );
}

#[test]
fn capacity_changes_are_forced_and_what_cannot_change_is_said() {
    let mut wanted = declared();
    wanted.as_object_mut().unwrap().remove("launchType");
    wanted["capacityProviderStrategy"] = json!([{"capacityProvider": "FARGATE_SPOT", "weight": 1}]);
    wanted["role"] = json!("other");
    let plan = planned(&desired("web:1", wanted), &observed(live(answer())), &around());
    let Some(Order::Update { members, force, .. }) = &plan.actions[0].order else { panic!() };
    assert_eq!(members["capacityProviderStrategy"], json!([{"capacityProvider": "FARGATE_SPOT", "weight": 1}]));
    assert!(force);
    assert_eq!(reasons(&plan), vec![Reason::Replace]);
    assert_eq!(plan.withheld[0].changes[0].path, "service.role");
}

#[test]
fn the_desired_count_is_left_to_autoscaling() {
    let mut changed = live(answer());
    changed.definition["desiredCount"] = json!(7);
    changed.desired = 7;
    changed.running = 7;
    let wanted = desired("web:1", declared());
    let mut observation = observed(changed);
    observation.scalable = Reading::Unread;
    let PlanOutcome::Needs(needs) = plan_service(&wanted, &observation, &around()) else { panic!() };
    assert_eq!(needs, BTreeSet::from([Need::Scalable]));
    observation.scalable = Reading::Found(ScalableTarget { minimum: 1, maximum: 10 });
    let plan = planned(&wanted, &observation, &around());
    assert_eq!((kinds(&plan), plan.sync), (vec![], SyncStatus::Synced));
    assert_eq!(reasons(&plan), vec![Reason::Autoscaled]);
    observation.scalable = Reading::Failed("denied".into());
    let plan = planned(&wanted, &observation, &around());
    assert_eq!((kinds(&plan), reasons(&plan)), (vec![], vec![Reason::Unread]));
    observation.scalable = Reading::Missing;
    assert_eq!(paths(&planned(&wanted, &observation, &around())), vec!["service.desiredCount"]);
}

#[test]
fn what_is_not_ours_is_shown_and_left_alone() {
    let wanted = desired("web:2", declared());
    let mut foreign = live(answer());
    foreign.tags = Tags::new();
    let plan = planned(&wanted, &observed(foreign.clone()), &around());
    assert_eq!((kinds(&plan), reasons(&plan)), (vec![], vec![Reason::NotAdopted]));
    assert_eq!(plan.withheld[0].changes[0].path, "taskDefinition.containerDefinitions[web].image");
    let adopting = Surroundings { adopt_now: true, ..around() };
    let plan = planned(&wanted, &observed(foreign.clone()), &adopting);
    assert_eq!(
        kinds(&plan),
        vec![ActionKind::AdoptService, ActionKind::RegisterTaskDefinition, ActionKind::UpdateService]
    );
    let by_manifest = Desired { adopt: true, ..wanted.clone() };
    assert_eq!(
        kinds(&planned(&by_manifest, &observed(foreign.clone()), &around())),
        vec![],
        "the agent's file must allow it"
    );
    foreign.tags = identity::ownership_tags("other", "prod", "web");
    let plan = planned(&wanted, &observed(foreign.clone()), &adopting);
    assert_eq!((kinds(&plan), reasons(&plan)), (vec![], vec![Reason::ForeignOwner]));
    let mut code_deploy = live(answer());
    code_deploy.controller = "CODE_DEPLOY".into();
    assert_eq!(reasons(&planned(&wanted, &observed(code_deploy), &around())), vec![Reason::Controller]);
}

#[test]
fn unread_is_never_drift() {
    let wanted = desired("web:2", declared());
    let failed = Observation { service: Reading::Failed("ThrottlingException".into()), ..Observation::default() };
    let plan = planned(&wanted, &failed, &around());
    assert_eq!((plan.sync, plan.health, kinds(&plan)), (SyncStatus::Unknown, Health::Unknown, vec![]));
    let mut blind = observed(live(answer()));
    blind.history = Reading::Failed("denied".into());
    let plan = planned(&wanted, &blind, &around());
    assert_eq!((kinds(&plan), reasons(&plan)), (vec![], vec![Reason::Unread]));
    blind.history = Reading::Found(History::Unsupported);
    let plan = planned(&wanted, &blind, &around());
    assert_eq!(reasons(&plan), vec![Reason::NoHistory], "an endpoint without history is said, and written");
    assert_eq!(kinds(&plan), vec![ActionKind::RegisterTaskDefinition, ActionKind::UpdateService]);
}

fn past(status: &str, image: &str, service: Value) -> PastDeployment {
    PastDeployment {
        arn: "arn:deployment/2".into(),
        status: status.into(),
        reason: "rolled back".into(),
        service,
        revision: revision("arn:td/web:2", image),
        gave_way: false,
        started_at: 0,
        finished_at: 0,
    }
}

fn target() -> Value {
    json!({"launchType": "FARGATE", "platformVersion": "1.4.0", "loadBalancers": [],
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["a", "b"], "securityGroups": [], "assignPublicIp": "DISABLED"}},
        "serviceConnectConfiguration": {"enabled": false}})
}

#[test]
fn with_scope_task_definition_only_the_task_definition_is_ours() {
    let wanted =
        Desired { ownership: Ownership::TaskDefinition, service: Value::Null, ..desired("web:2", Value::Null) };
    let mut terraform = live(answer());
    terraform.tags = Tags::new();
    terraform.definition["enableExecuteCommand"] = json!(true);
    let plan = planned(&wanted, &observed(terraform), &around());
    assert_eq!(kinds(&plan), vec![ActionKind::RegisterTaskDefinition, ActionKind::UpdateService]);
    let Some(Order::Update { members, .. }) = &plan.actions[1].order else { panic!() };
    assert_eq!(*members, json!({}));
    let missing = Observation { service: Reading::Missing, ..Observation::default() };
    let plan = planned(&wanted, &missing, &around());
    assert_eq!((kinds(&plan), reasons(&plan)), (vec![], vec![Reason::Missing]));
}

#[test]
fn declared_tags_are_ours_and_others_are_left_alone() {
    let mut wanted = desired("web:1", declared());
    wanted.service_tags.insert("team".into(), json!("shop"));
    let mut tagged = live(answer());
    tagged.tags.insert("cost-centre".into(), "42".into());
    tagged.tags.insert("team".into(), "other".into());
    let plan = planned(&wanted, &observed(tagged), &around());
    assert_eq!((kinds(&plan), paths(&plan)), (vec![ActionKind::TagService], vec!["service.tags[team]"]));
    let Some(Order::TagService { tags }) = &plan.actions[0].order else { panic!() };
    assert_eq!(*tags, Tags::from([("team".to_owned(), "shop".to_owned())]));
}

#[test]
fn waiting_and_draining_hold_everything() {
    let wanted = desired("web:2", declared());
    let waiting = Surroundings { waiting_for: Some(Wait::For("waiting for db".into())), ..around() };
    let plan = planned(&wanted, &observed(live(answer())), &waiting);
    assert_eq!((kinds(&plan), reasons(&plan), plan.verdict), (vec![], vec![Reason::Waiting], Some(Verdict::Pending)));
    let plan = planned(&desired("web:1", declared()), &observed(live(answer())), &waiting);
    assert_eq!(plan.verdict, Some(Verdict::Deployed), "what has no change of its own does not wait");
    let mut draining = live(answer());
    draining.status = "DRAINING".into();
    let plan = planned(&wanted, &observed(draining), &around());
    assert_eq!((kinds(&plan), reasons(&plan)), (vec![], vec![Reason::RollingBack]));
}

#[test]
fn ignored_paths_are_not_compared() {
    let mut wanted = desired("web:1", declared());
    wanted.ignore =
        vec!["service.desiredCount".into(), "taskDefinition.containerDefinitions[web].environment[LEVEL]".into()];
    let mut edited = live(answer());
    edited.definition["desiredCount"] = json!(9);
    edited.desired = 9;
    edited.running = 9;
    let mut observation = observed(edited);
    let mut other = answered_task_definition("web:1");
    other["containerDefinitions"][0]["environment"] = json!([{"name": "LEVEL", "value": "debug"}]);
    observation.revision = Reading::Found(Revision { definition: other, ..revision(OLD, "web:1") });
    let plan = planned(&wanted, &observation, &around());
    assert_eq!((kinds(&plan), plan.sync), (vec![], SyncStatus::Synced));
}

#[test]
fn what_is_ignored_keeps_its_live_value_in_a_block_that_is_sent() {
    let mut wanted = desired("web:1", declared());
    wanted.ignore = vec!["service.deploymentConfiguration.maximumPercent".into()];
    let mut edited = answer();
    edited["deploymentConfiguration"]["maximumPercent"] = json!(150);
    edited["deploymentConfiguration"]["minimumHealthyPercent"] = json!(50);
    let plan = planned(&wanted, &observed(live(edited)), &around());
    assert_eq!(paths(&plan), vec!["service.deploymentConfiguration.minimumHealthyPercent"]);
    let Some(Order::Update { members, .. }) = &plan.actions[0].order else { panic!() };
    let block = &members["deploymentConfiguration"];
    assert_eq!((&block["maximumPercent"], &block["minimumHealthyPercent"]), (&json!(150), &json!(100)));
}

#[test]
fn secrets_are_masked() {
    let mut wanted = desired("web:1", declared());
    wanted.task_definition["containerDefinitions"][0]["environment"] =
        json!([{"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "LEVEL", "value": "info"}]);
    let plan = planned(&wanted, &observed(live(answer())), &around());
    assert!(!serde_json::to_string(&plan).unwrap().contains("hunter2"));
    assert!(plan.actions[0].changes.iter().any(|change| change.masked));
}

#[test]
fn stages_are_progress_whatever_the_classic_list_says() {
    let wanted = desired("web:1", declared());
    let mut shifting = live(answer());
    shifting.rollout = Some(Rollout {
        status: "IN_PROGRESS".into(),
        stage: "FUTURE_STAGE".into(),
        production_permille: Some(100),
        ..Rollout::default()
    });
    let plan = planned(&wanted, &observed(shifting.clone()), &around());
    assert_eq!((plan.verdict, plan.health), (Some(Verdict::Progressing), Health::Progressing));
    assert_eq!(plan.rollout.expect("it is shown").text(), "FUTURE_STAGE, 10 % of the production traffic");
    shifting.rollout = Some(Rollout { status: "SUCCESSFUL".into(), ..Rollout::default() });
    let plan = planned(&wanted, &observed(shifting), &around());
    assert_eq!((plan.verdict, plan.rollout), (Some(Verdict::Deployed), None));
}
