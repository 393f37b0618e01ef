//! What a change takes, by example: replacing, ignoring, pairs of target groups, and what ECS shows in one place only.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lockstep_core::{
    compare::{diff::diff, normalise::Context, rules::Effect},
    observed::{History, LiveDeployment, LiveService, Need, Observation, PastDeployment, Reading, Revision},
    report::{ActionKind, Order, Reason, ServicePlan, SyncStatus, Verdict},
    service::{
        lint::{Subject, lint},
        plan::{PlanOutcome, Surroundings, plan_service},
    },
    stated::identity,
    tags::Tags,
};
use lockstep_manifests::{canonical::Root, layer::Ownership, render::Desired};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

const REVISION: &str = "arn:aws:ecs:eu-central-1:111111111111:task-definition/web:1";

fn task_definition() -> Value {
    json!({"family": "web", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
        "containerDefinitions": [
            {"name": "web", "image": "web:1", "portMappings": [{"containerPort": 80, "name": "http", "appProtocol": "http"}], "environment": [{"name": "LEVEL", "value": "info"}]},
            {"name": "side", "image": "side:1"}]})
}

fn declared() -> Value {
    json!({"serviceName": "web", "desiredCount": 2, "launchType": "FARGATE", "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["a"]}}})
}

fn desired(task_definition: Value, service: Value) -> Desired {
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
        task_definition,
        task_definition_tags: Map::new(),
        service,
        service_tags: Map::new(),
        parameters: Default::default(),
    }
}

/// A world in which this runs.
fn observed(task_definition: Value, service: Value) -> Observation {
    let deployment =
        LiveDeployment { status: "PRIMARY".into(), rollout: "COMPLETED".into(), ..LiveDeployment::default() };
    let live = LiveService {
        arn: "arn:service".into(),
        status: "ACTIVE".into(),
        definition: service,
        tags: identity::ownership_tags("acme", "prod", "web"),
        task_definition: REVISION.into(),
        desired: 2,
        running: 2,
        deployments: vec![deployment],
        current_deployment: Some("arn:deployment/1".into()),
        ..LiveService::default()
    };
    let revision = Revision {
        arn: REVISION.into(),
        definition: task_definition,
        tags: Tags::new(),
        active: true,
        ..Revision::default()
    };
    Observation {
        service: Reading::Found(live),
        revision: Reading::Found(revision.clone()),
        newest: Reading::Found(revision),
        history: Reading::Found(History::Known(vec![])),
        scalable: Reading::Missing,
        ..Observation::default()
    }
}

fn plan(desired: &Desired, observed: &Observation) -> ServicePlan {
    let around = Surroundings {
        source: "acme",
        commit: "c0ffee",
        may_adopt: false,
        adopt_now: false,
        waiting_for: None,
        retry: false,
        ..Surroundings::default()
    };
    match plan_service(desired, observed, &around) {
        PlanOutcome::Planned(plan) => {
            let live = observed.service.found();
            let subject =
                Subject { desired: Some(desired), live, source: "acme", environment: "prod", declared: None, now: 0 };
            assert_eq!(lint(&plan, &subject), vec![], "{plan:#?}");
            *plan
        }
        PlanOutcome::Needs(needs) => panic!("needs {needs:?}"),
    }
}

fn kinds(plan: &ServicePlan) -> Vec<ActionKind> {
    plan.actions.iter().map(|action| action.kind).collect()
}

fn withheld(plan: &ServicePlan) -> Vec<(Reason, Vec<&str>)> {
    plan.withheld
        .iter()
        .map(|one| (one.reason, one.changes.iter().map(|change| change.path.as_str()).collect()))
        .collect()
}

fn with(mut value: Value, pointer: &str, new: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    value.pointer_mut(parent).unwrap()[name] = new;
    value
}

#[test]
fn what_cannot_be_changed_is_withheld_unless_the_manifest_says_replace() {
    let mut wanted = desired(task_definition(), with(declared(), "/role", json!("shop-ecs")));
    let world = observed(task_definition(), with(declared(), "/role", json!("arn:aws:iam::1:role/other")));
    let held = plan(&wanted, &world);
    assert_eq!((kinds(&held), withheld(&held)), (vec![], vec![(Reason::Replace, vec!["service.role"])]));
    assert!(held.withheld[0].text.contains("`replace: true` allows"), "{}", held.withheld[0].text);

    wanted.replace = true;
    let replaced = plan(&wanted, &world);
    assert_eq!((kinds(&replaced), replaced.verdict), (vec![ActionKind::DeleteService], Some(Verdict::Pending)));
    assert_eq!(replaced.actions[0].order, Some(Order::Delete));
    assert_eq!(replaced.actions[0].effect(), Effect::Replace);

    // What ECS has deleted is created again, and marked with what it was created for.
    let mut gone = world.clone();
    let Reading::Found(live) = &mut gone.service else { panic!() };
    live.status = "INACTIVE".into();
    let created = plan(&wanted, &gone);
    assert_eq!(kinds(&created), vec![ActionKind::CreateService]);
    let Some(Order::Create { tags, .. }) = &created.actions[0].order else { panic!() };
    let mark = tags[identity::CREATED].clone();

    // A difference that stays after that is not healed by replacing for ever.
    let mut again = world.clone();
    let Reading::Found(live) = &mut again.service else { panic!() };
    live.tags.insert(identity::CREATED.into(), mark);
    let held = plan(&wanted, &again);
    assert_eq!((kinds(&held), withheld(&held)), (vec![], vec![(Reason::Replace, vec!["service.role"])]));
    assert!(held.withheld[0].text.contains("not replaced again"), "{}", held.withheld[0].text);

    // Another choice is another state.
    wanted.service["role"] = json!("third");
    assert_eq!(kinds(&plan(&wanted, &again)), vec![ActionKind::DeleteService]);
}

#[test]
fn a_port_of_service_connect_keeps_its_protocol() {
    let connect = json!({"enabled": true, "namespace": "shop", "services": [{"portName": "http"}]});
    let service = with(declared(), "/serviceConnectConfiguration", connect);
    let changed = with(task_definition(), "/containerDefinitions/0/portMappings/0/appProtocol", json!("grpc"));
    let wanted = desired(changed.clone(), service.clone());
    let held = plan(&wanted, &observed(task_definition(), service.clone()));
    let path = "taskDefinition.containerDefinitions[web].portMappings[80/tcp].appProtocol";
    assert_eq!((kinds(&held), withheld(&held)), (vec![], vec![(Reason::Replace, vec![path])]));
    assert!(held.withheld[0].text.contains("the port `http`"), "{}", held.withheld[0].text);
    // A port that Service Connect does not use may change.
    let free = desired(changed, declared());
    assert_eq!(
        kinds(&plan(&free, &observed(task_definition(), declared()))),
        vec![ActionKind::RegisterTaskDefinition, ActionKind::UpdateService]
    );
}

#[test]
fn a_launch_type_is_left_and_found_again_by_way_of_a_strategy_of_its_kind() {
    let effect = |declared: Value, live: Value| -> BTreeSet<Effect> {
        let context = Context::of([&declared, &live]);
        diff(Root::Service, &declared, &live, &context, &[]).into_iter().map(|change| change.effect).collect()
    };
    let launch = |name: &str| json!({"launchType": name});
    let strategy = |name: &str| json!({"capacityProviderStrategy": [{"capacityProvider": name, "weight": 1}]});
    let force = BTreeSet::from([Effect::NeedsForce]);
    let replace = BTreeSet::from([Effect::Replace]);
    assert_eq!(effect(strategy("FARGATE_SPOT"), launch("FARGATE")), force);
    assert_eq!(effect(strategy("asg"), launch("EC2")), force);
    assert_eq!(effect(strategy("asg"), strategy("other-asg")), force);
    assert_eq!(effect(launch("FARGATE"), strategy("FARGATE")), force);
    assert_eq!(effect(launch("EC2"), strategy("asg")), force);
    assert_eq!(effect(launch("EC2"), launch("FARGATE")), replace);
    assert_eq!(effect(strategy("FARGATE"), launch("EC2")), replace);
    assert_eq!(effect(launch("FARGATE"), strategy("asg")), replace);
    assert_eq!(effect(strategy("asg"), launch("EXTERNAL")), replace);
}

#[test]
fn an_ignored_path_is_not_compared_and_keeps_what_is_live_when_something_else_is_sent() {
    let mut wanted = desired(task_definition(), declared());
    wanted.ignore = vec![
        "taskDefinition.containerDefinitions[web].image".into(),
        "taskDefinition.containerDefinitions[web].environment[LEVEL]".into(),
        "taskDefinition.containerDefinitions[side]".into(),
    ];
    let mut live = task_definition();
    live["containerDefinitions"][0]["image"] = json!("web:from-ci");
    live["containerDefinitions"][0]["environment"] = json!([{"name": "LEVEL", "value": "debug"}]);
    live["containerDefinitions"][1]["cpu"] = json!(64);
    assert_eq!(plan(&wanted, &observed(live.clone(), declared())).sync, SyncStatus::Synced);

    wanted.task_definition["containerDefinitions"][0]["user"] = json!("1000");
    let changed = plan(&wanted, &observed(live.clone(), declared()));
    assert_eq!(kinds(&changed), vec![ActionKind::RegisterTaskDefinition, ActionKind::UpdateService]);
    let Some(Order::Register { definition, .. }) = &changed.actions[0].order else { panic!() };
    let web = &definition["containerDefinitions"][0];
    assert_eq!((&web["user"], &web["image"]), (&json!("1000"), &json!("web:from-ci")));
    assert_eq!(web["environment"], json!([{"name": "LEVEL", "value": "debug"}]));
    assert_eq!(definition["containerDefinitions"][1]["cpu"], 64);
    // What is created takes what Git says.
    let missing = Observation { service: Reading::Missing, newest: Reading::Missing, ..Observation::default() };
    let created = plan(&wanted, &missing);
    let Some(Order::Register { definition, .. }) = &created.actions[0].order else { panic!() };
    assert_eq!(definition["containerDefinitions"][0]["image"], "web:1");
}

#[test]
fn a_revision_of_ours_that_lacks_an_empty_variable_is_as_declared() {
    let mut wanted = task_definition();
    wanted["containerDefinitions"][0]["environment"] =
        json!([{"name": "LEVEL", "value": "info"}, {"name": "EMPTY", "value": ""}]);
    let wanted = desired(wanted, declared());
    let mut world = observed(task_definition(), declared());
    let found = plan(&wanted, &world);
    assert_eq!(kinds(&found), vec![ActionKind::RegisterTaskDefinition, ActionKind::UpdateService], "somebody else's");
    let hash = identity::content_hash(&wanted.task_definition);
    let Reading::Found(revision) = &mut world.revision else { panic!() };
    revision.tags.insert(identity::HASH.into(), hash);
    assert_eq!(plan(&wanted, &world).sync, SyncStatus::Synced);
}

#[test]
fn target_groups_that_changed_places_are_no_difference_and_stay_where_they_are() {
    let balancers = |target: &str, other: &str, role: &str| {
        json!([{"targetGroupArn": target, "containerName": "web", "containerPort": 80,
            "advancedConfiguration": {"alternateTargetGroupArn": other, "productionListenerRule": "rule", "roleArn": role}}])
    };
    let configuration = json!({"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 0});
    let service = with(declared(), "/deploymentConfiguration", configuration);
    let wanted =
        desired(task_definition(), with(service.clone(), "/loadBalancers", balancers("blue", "green", "role")));
    let swapped = with(service.clone(), "/loadBalancers", balancers("green", "blue", "role"));
    assert_eq!(plan(&wanted, &observed(task_definition(), swapped)).sync, SyncStatus::Synced);
    let other_role = with(service, "/loadBalancers", balancers("green", "blue", "old-role"));
    let changed = plan(&wanted, &observed(task_definition(), other_role));
    let Some(Order::Update { members, .. }) = &changed.actions[0].order else { panic!("{changed:#?}") };
    assert_eq!(members["loadBalancers"], balancers("green", "blue", "role"), "the traffic stays where it is");
}

#[test]
fn what_only_a_service_revision_shows_is_read_from_the_history() {
    let metrics = json!({"metricConfigurations": [{"metricNames": ["CPUUtilization"], "resolutionSeconds": 20}]});
    let wanted = desired(task_definition(), with(declared(), "/monitoring", metrics.clone()));
    let mut world = observed(task_definition(), declared());
    world.history = Reading::Unread;
    let around = Surroundings {
        source: "acme",
        commit: "",
        may_adopt: false,
        adopt_now: false,
        waiting_for: None,
        retry: false,
        ..Surroundings::default()
    };
    assert_eq!(plan_service(&wanted, &world, &around), PlanOutcome::Needs(BTreeSet::from([Need::History])));
    let past = |status: &str, monitoring: &Value| PastDeployment {
        arn: "arn".into(),
        status: status.into(),
        reason: String::new(),
        service: json!({ "monitoring": monitoring }),
        revision: Revision::default(),
        gave_way: false,
        started_at: 0,
        finished_at: 0,
    };
    world.history =
        Reading::Found(History::Known(vec![past("ROLLBACK_SUCCESSFUL", &json!({})), past("SUCCESSFUL", &metrics)]));
    assert_eq!(plan(&wanted, &world).sync, SyncStatus::Synced);
    world.history = Reading::Found(History::Known(vec![past("SUCCESSFUL", &Value::Null)]));
    assert_eq!(kinds(&plan(&wanted, &world)), vec![ActionKind::UpdateService]);
    // Without a history nothing is sent again and again for what cannot be seen.
    world.history = Reading::Found(History::Unsupported);
    assert_eq!(plan(&wanted, &world).sync, SyncStatus::Synced);
}

#[test]
fn updates_carry_what_ecs_asks_for_with_them() {
    let members = |declared: Value, live: Value| -> Value {
        let found = plan(&desired(task_definition(), declared), &observed(task_definition(), live));
        match &found.actions[0].order {
            Some(Order::Update { members, .. }) => members.clone(),
            other => panic!("{other:?}"),
        }
    };
    // Managed tags go with the propagation.
    assert_eq!(
        members(with(declared(), "/enableECSManagedTags", json!(true)), declared()),
        json!({"enableECSManagedTags": true, "propagateTags": "NONE"})
    );
    // Back from CANARY: the block of the old strategy is not sent along.
    let canary = json!({"strategy": "CANARY", "canaryConfiguration": {"canaryPercent": 20.0, "canaryBakeTimeInMinutes": 3}, "bakeTimeInMinutes": 4});
    assert_eq!(
        members(declared(), with(declared(), "/deploymentConfiguration", canary))["deploymentConfiguration"],
        json!({"strategy": "ROLLING", "bakeTimeInMinutes": 0})
    );
    // Early success is turned off in words.
    let early = json!({"earlySuccessCriteria": {"enable": true, "healthyPercent": 80, "sourceServiceRevisionCleanup": "BLOCKING"}});
    assert_eq!(
        members(declared(), with(declared(), "/deploymentConfiguration", early))["deploymentConfiguration"],
        json!({"earlySuccessCriteria": {"enable": false, "healthyPercent": 100, "sourceServiceRevisionCleanup": "BLOCKING"}})
    );
    // Security groups that ECS chose are neither compared nor taken away with the block.
    let live = with(
        declared(),
        "/networkConfiguration/awsvpcConfiguration",
        json!({"subnets": ["b"], "securityGroups": ["sg-default"]}),
    );
    assert_eq!(
        members(declared(), live)["networkConfiguration"]["awsvpcConfiguration"],
        json!({"subnets": ["a"], "securityGroups": ["sg-default"]})
    );
}

#[test]
fn a_check_that_fails_withholds_the_writes_with_its_reason() {
    let mut wanted = desired(with(task_definition(), "/containerDefinitions/0/privileged", json!(true)), declared());
    let held = plan(&wanted, &observed(task_definition(), declared()));
    let path = "taskDefinition.containerDefinitions[web].privileged";
    assert_eq!(kinds(&held), vec![]);
    assert_eq!(held.withheld[0].reason, Reason::Verify);
    assert!(held.withheld[0].changes.iter().any(|change| change.path == path), "{held:#?}");
    assert_eq!(held.withheld[0].text, format!("LS0502 ({path}): Fargate has no such thing"));
    assert_eq!(held.verdict, None, "nothing is on its way");
    // What is at rest is not checked for nothing: it runs.
    wanted.task_definition = task_definition();
    assert_eq!(plan(&wanted, &observed(task_definition(), declared())).withheld, vec![]);
}

#[test]
fn hooks_registries_and_namespaces_compare_by_what_they_mean() {
    let same = |declared: Value, live: Value| {
        let context = Context::of([&declared, &live]);
        diff(Root::Service, &declared, &live, &context, &[])
    };
    let hooks = |hook: Value| json!({"deploymentConfiguration": {"lifecycleHooks": [hook]}});
    let hook = json!({"hookTargetArn": "arn:f", "roleArn": "r", "lifecycleStages": ["B", "A"], "hookDetails": {"b": 1, "a": [2]}});
    let answered = json!({"targetType": "AWS_LAMBDA", "hookTargetArn": "arn:f", "roleArn": "r", "lifecycleStages": ["A", "B"],
        "hookDetails": {"a": [2], "b": 1}, "timeoutConfiguration": {"timeoutInMinutes": 1440, "action": "ROLLBACK"}});
    assert_eq!(same(hooks(hook), hooks(answered)), vec![]);
    let connect = |namespace: &str, discovery: Value| json!({"serviceConnectConfiguration": {"enabled": true, "namespace": namespace, "services": [{"portName": "http", "discoveryName": discovery}]}});
    let arn = "arn:aws:servicediscovery:eu-central-1:1:namespace/ns-abc";
    assert_eq!(same(connect("shop", json!("http")), connect(arn, Value::Null)), vec![]);
    assert_eq!(same(connect("shop", json!("http")), connect("other", Value::Null)).len(), 1);
    assert_eq!(same(connect("shop", json!("web")), connect("shop", Value::Null)).len(), 1);
    let two = json!({"placementConstraints": [{"type": "memberOf", "expression": "a"}, {"type": "memberOf", "expression": "b"}]});
    let one = json!({"placementConstraints": [{"type": "memberOf", "expression": "b"}]});
    assert_eq!(same(two, one).len(), 1);
}
