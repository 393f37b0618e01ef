//! One service of each kind that AWS documents, created and read back: the next plan is empty. On the sandbox without
//! exception; on moto less what moto is known to drop.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use lockstep::{
    aws::Accounts,
    cache::Cache,
    reconcile::{Content, Context, Orders, SourceRunner, Timing},
};
use lockstep_core::allow::Allow;
use lockstep_core::report::{ActionKind, ServicePlan, SyncStatus};
use lockstep_tests::{
    moto::{self, Moto},
    world::{ACCOUNT, IMAGE, ONE_ENVIRONMENT, World, calls, push_images, service},
};
use serde::Deserialize;
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};
use tempfile::TempDir;

/// The config repository with all definitions, for an account and these variables.
fn repository(account: &str, subnets: &[String], group: &str) -> Vec<(String, String)> {
    let list = subnets.join(", ");
    let target =
        |name: &str| format!("arn:aws:elasticloadbalancing:eu-central-1:{account}:targetgroup/{name}/0123456789abcdef");
    let mut files = vec![(
        "lockstep.yaml".to_owned(),
        format!(
            "version: 1\nenvironments:\n  prod:\n    account: \"{account}\"\n    region: eu-central-1\n    cluster: prod\n    \
             sync: {{ mode: converge, maxConcurrent: 0, stopAfterFailures: 0, maxUnexplained: 0 }}\n    vars: {{ subnets: [{list}], group: {group}, target: \"{}\", other: \"{}\" }}\n",
            target("blue"),
            target("green")
        ),
    )];
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("definitions");
    for (from, to) in [(directory.clone(), None), (directory.join("components"), Some("components"))] {
        for entry in std::fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "yaml") || path.ends_with("moto-drops.yaml") {
                continue;
            }
            let name = path.file_stem().unwrap().to_str().unwrap();
            let place = match to {
                Some(to) => format!("{to}/{name}.yaml"),
                None => format!("services/{name}/service.yaml"),
            };
            files.push((place, std::fs::read_to_string(&path).unwrap()));
        }
    }
    files
}

/// (service, path) of everything that differs in the plans of the last round, and what is unknown.
fn differences(context: &Context) -> BTreeSet<(String, String)> {
    let plan = context.board.update(0, |source| source.plan());
    let problems: Vec<String> = plan
        .problems
        .iter()
        .filter(|problem| problem.severity != "note")
        .map(|problem| format!("{problem:?}"))
        .collect();
    assert_eq!(problems, Vec::<String>::new());
    let mut found = BTreeSet::new();
    for service in plan.environments.iter().flat_map(|environment| &environment.services) {
        let changes = service.actions.iter().flat_map(|action| &action.changes);
        for change in changes.chain(service.withheld.iter().flat_map(|withheld| &withheld.changes)) {
            // A revision that is registered anew is always tagged.
            if !change.path.contains(".tags[lockstep:") && change.path != "service.taskDefinition" {
                found.insert((service.name.clone(), change.path.clone()));
            }
        }
        if !settled(service) && !found.iter().any(|(name, _)| *name == service.name) {
            found.insert((service.name.clone(), format!("{:?} {:?}", service.sync, service.withheld)));
        }
    }
    found
}

fn settled(service: &ServicePlan) -> bool {
    service.sync == SyncStatus::Synced && service.actions.is_empty()
}

fn count(context: &Context) -> usize {
    let plan = context.board.update(0, |source| source.plan());
    plan.environments.iter().map(|environment| environment.services.len()).sum()
}

#[tokio::test]
async fn on_the_sandbox_every_definition_reads_back_as_it_was_declared() {
    let files = repository(ACCOUNT, &["subnet-a".into(), "subnet-b".into()], "sg-1");
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let mut world = World::new(&files).await;
    world.control.add_capacity_provider(ACCOUNT, "eu-central-1", "prod", "shop-asg");
    world.round().await;
    assert!(count(&world.context) >= 30, "{} services", count(&world.context));
    let expected = BTreeMap::from([
        ("ecs:CreateService".to_owned(), count(&world.context) as u64),
        ("ecs:RegisterTaskDefinition".to_owned(), count(&world.context) as u64),
    ]);
    assert_eq!(world.writes(), expected);
    for _ in 0..3 {
        world.control.advance(Duration::from_secs(120));
        world.control.reset_calls();
        world.round_with(&Orders { everything: true, ..Orders::agent() }).await;
        assert_eq!(differences(&world.context), BTreeSet::new());
        assert_eq!(world.writes(), BTreeMap::new());
    }
    // What is known only from the cache says nothing else than what AWS answers.
    world.restart(false).await;
    world.control.reset_calls();
    world.round_with(&Orders { everything: true, ..Orders::agent() }).await;
    assert_eq!(differences(&world.context), BTreeSet::new());
    assert_eq!(world.writes(), BTreeMap::new());
}

/// The members of the last request of this operation.
fn sent(world: &World, operation: &str) -> serde_json::Value {
    let journal = world.control.journal(0);
    let entry = journal.iter().rev().find(|entry| entry.operation == operation);
    entry.unwrap_or_else(|| panic!("no {operation}")).request.clone()
}

// B2, I1: what says nothing is not sent, alarms that are off are no reason to fail, and what is live is as declared.
#[tokio::test(flavor = "multi_thread")]
async fn what_says_nothing_is_not_sent() {
    let text = service(&format!("{IMAGE}:1"))
        .replace("executionRoleArn: execution", "executionRoleArn: execution\n  taskRoleArn: \"\"");
    let text = text.replace(
        "LEVEL: info }",
        "LEVEL: info, EMPTY: \"\" }, user: \"\", hostname: \"\", workingDirectory: \"\", linuxParameters: {}",
    );
    let more = "  platformVersion: \"\"\n  role: \"\"\n  placementConstraints: []\n";
    let alarms = "alarms: { alarmNames: [], enable: false, rollback: false }, ";
    let text = text.replace("deploymentConfiguration: { ", &format!("deploymentConfiguration: {{ {alarms}"));
    let files = [("lockstep.yaml", ONE_ENVIRONMENT), ("services/web/service.yaml", &format!("{text}{more}"))];
    let mut world = World::new(&files).await;
    push_images(&world.control);
    world.settle().await;
    assert_eq!(world.reported("web").plan.withheld, []);
    assert_eq!(world.reported("web").plan.sync, SyncStatus::Synced);
    let definition = sent(&world, "RegisterTaskDefinition");
    let container = &definition["containerDefinitions"][0];
    let environment = json!([{"name": "LEVEL", "value": "info"}, {"name": "EMPTY", "value": ""}]);
    assert_eq!((definition.get("taskRoleArn"), &container["environment"]), (None, &environment));
    for member in ["user", "hostname", "workingDirectory", "linuxParameters"] {
        assert_eq!(container.get(member), None, "{member}");
    }
    let created = sent(&world, "CreateService");
    for member in ["platformVersion", "role"] {
        assert_eq!(created.get(member), None, "{member}");
    }
    let breaker = json!({"deploymentCircuitBreaker": {"enable": true, "rollback": true}});
    assert_eq!(created["deploymentConfiguration"], breaker);

    // An update of the same block can be sent as well; alarms that are on are turned off in words.
    let on = json!({"alarms": {"alarmNames": ["slow"], "enable": true, "rollback": true}, "maximumPercent": 150,
        "deploymentCircuitBreaker": {"enable": true, "rollback": true}});
    world.ecs("UpdateService", json!({"cluster": "prod", "service": "web", "deploymentConfiguration": on})).await;
    world.settle().await;
    let updated = sent(&world, "UpdateService")["deploymentConfiguration"].clone();
    assert_eq!(updated["alarms"], json!({"alarmNames": [], "enable": false, "rollback": false}));
    assert_eq!(updated["maximumPercent"], 200);
    assert_eq!((world.reported("web").plan.sync, world.reported("web").plan.actions.len()), (SyncStatus::Synced, 0));
}

// B1: a role on another path, or of another account, is another role: it is seen and deployed.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_of_the_same_name_elsewhere_is_another_role() {
    let app = |role: &str| {
        service(&format!("{IMAGE}:1")).replace("executionRoleArn: execution", &format!("executionRoleArn: {role}"))
    };
    let mut world =
        World::new(&[("lockstep.yaml", ONE_ENVIRONMENT), ("services/web/service.yaml", &app("exec"))]).await;
    push_images(&world.control);
    world.settle().await;
    let arn = |path: &str| format!("arn:aws:iam::{ACCOUNT}:role/{path}");
    assert_eq!(sent(&world, "RegisterTaskDefinition")["executionRoleArn"], arn("exec"));
    let mut revisions = 1;
    for (role, is_other) in [
        (arn("exec"), false),
        ("service-role/exec".to_owned(), true),
        (arn("service-role/exec"), false),
        (arn("exec").replace(ACCOUNT, "222222222222"), true),
    ] {
        world.control.reset_calls();
        world.repository.commit(&role, &[("services/web/service.yaml", &app(&role))]);
        world.settle().await;
        let writes = if is_other { vec![("ecs:RegisterTaskDefinition", 1), ("ecs:UpdateService", 1)] } else { vec![] };
        assert_eq!(world.writes(), calls(&writes), "{role}");
        revisions += u32::from(is_other);
        assert_eq!(world.reported("web").revision, format!("web:{revisions}"));
    }
}

// J5: what a plan with nothing remembered shows for a revert is what is written.
#[tokio::test(flavor = "multi_thread")]
async fn the_plan_of_a_revert_is_what_is_written() {
    let mut world = World::of_services(&["web"]).await;
    world.settle().await;
    world.repository.commit("2", &[("services/web/service.yaml", &service(&format!("{IMAGE}:2")))]);
    world.settle().await;
    world.repository.git(&["revert", "--no-edit", "HEAD"]);
    world.restart(false).await;
    // A person's command looks first, and then writes with what it found.
    world.round_with(&Orders::default()).await;
    let planned: Vec<_> = world.reported("web").plan.actions.iter().map(|action| action.kind).collect();
    world.control.reset_calls();
    world.round().await;
    let registered = planned.contains(&ActionKind::RegisterTaskDefinition);
    let mut expected = vec![("ecs:UpdateService", 1)];
    expected.extend(registered.then_some(("ecs:RegisterTaskDefinition", 1)));
    assert_eq!(world.writes(), calls(&expected), "{planned:?}");
}

/// What moto does not keep.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Drop {
    service: String,
    path: String,
    evidence: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn on_moto_only_what_it_drops_differs() {
    let moto = tokio::task::spawn_blocking(Moto::start).await.unwrap();
    let (moto, subnets, group) = tokio::task::spawn_blocking(move || {
        moto.call("ecs:CreateCluster", &json!({"clusterName": "prod"}));
        let (subnets, groups) =
            (moto.ec2("DescribeSubnets", "subnetId"), moto.ec2("DescribeSecurityGroups", "groupId"));
        (moto, subnets, groups[0].clone())
    })
    .await
    .unwrap();
    let directory = TempDir::new().unwrap();
    for (path, text) in repository(moto::ACCOUNT, &subnets[..2], &group) {
        let path = directory.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let accounts = Accounts::at_endpoint(moto.endpoint(), "test", moto::REGION, BTreeMap::new(), 10_000.0).await;
    let timing = Timing { interval: Duration::ZERO, follow: Duration::ZERO };
    let context = Context::new(accounts, Cache::in_memory(), timing);
    let content = Content::Checkout(directory.path().to_owned());
    let mut runner = SourceRunner::new(0, "demo", Allow::everything(), None, content);
    runner.refresh(&context).await.unwrap();
    // moto keeps some members only when they are updated: the second round makes up for what the first could not.
    for _ in 0..2 {
        runner.round(&context, &Orders { everything: true, ..Orders::agent() }).await;
    }
    runner.round(&context, &Orders { everything: true, ..Orders::default() }).await;
    let found = differences(&context);
    assert!(count(&context) >= 30);
    let listed: Vec<Drop> = serde_yaml::from_str(include_str!("../../definitions/moto-drops.yaml")).unwrap();
    assert!(listed.iter().all(|entry| !entry.evidence.trim().is_empty()), "an entry has no evidence");
    let listed: BTreeSet<(String, String)> = listed.into_iter().map(|entry| (entry.service, entry.path)).collect();
    let more: Vec<_> = found.difference(&listed).collect();
    let fewer: Vec<_> = listed.difference(&found).collect();
    assert!(more.is_empty(), "these differ and are not in moto-drops.yaml: {more:#?}");
    assert!(fewer.is_empty(), "moto keeps these now: take them out of moto-drops.yaml: {fewer:#?}");
    drop(tokio::task::spawn_blocking(move || drop(moto)).await);
}
