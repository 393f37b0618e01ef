//! Many services at once: the brake, differences that nothing explains, and services that are no longer declared.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lockstep::reconcile::Orders;
use lockstep_core::report::{Reason, Verdict};
use lockstep_core::state::ServiceState;
use lockstep_sandbox::Behaviour;
use lockstep_tests::world::{ACCOUNT, ONE_ENVIRONMENT, REGION, World, calls, service};
use serde_json::json;
use std::{collections::BTreeMap, time::Duration};

const IMAGE: &str = "111111111111.dkr.ecr.eu-central-1.amazonaws.com/app";

fn config(sync: &str) -> String {
    let (before, _) = ONE_ENVIRONMENT.split_once("sync: ").unwrap();
    format!("{before}sync: {{ mode: converge, {sync} }}\n")
}

/// A service that takes its image from a component, so that one file changes them all.
fn shared() -> String {
    let own = service("placeholder")
        .replace("    app: { image: \"placeholder\", environment: { LEVEL: info } }\n", "    app: {}\n");
    format!("components: [app]\n{own}")
}

fn component(tag: &str) -> String {
    format!("taskDefinition:\n  containerDefinitions:\n    app: {{ image: \"{IMAGE}:{tag}\" }}\n")
}

fn name(at: usize) -> String {
    format!("s{at:02}")
}

/// A settled world of so many services that share a component.
async fn world(count: usize, sync: &str) -> World {
    let (config, shared, component) = (config(sync), shared(), component("1"));
    let paths: Vec<String> = (0..count).map(|at| format!("services/{}/service.yaml", name(at))).collect();
    let mut files = vec![("lockstep.yaml", config.as_str()), ("components/app.yaml", component.as_str())];
    files.extend(paths.iter().map(|path| (path.as_str(), shared.as_str())));
    let mut world = World::new(&files).await;
    for tag in ["1", "2"] {
        world.control.push_image(ACCOUNT, REGION, "app", tag, Behaviour::Ok);
    }
    world.control.push_image(ACCOUNT, REGION, "app", "bad", Behaviour::crash(1, Duration::from_secs(1)));
    world.settle().await;
    world.control.reset_calls();
    world
}

fn state(world: &World, at: usize) -> ServiceState {
    world.reported(&name(at))
}

fn count(world: &World, total: usize, which: impl Fn(&ServiceState) -> bool) -> usize {
    (0..total).filter(|at| which(&state(world, *at))).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_change_rolls_through_in_batches() {
    let mut world = world(9, "maxConcurrent: 2, stopAfterFailures: 0, maxUnexplained: 0").await;
    world.repository.commit("2", &[("components/app.yaml", &component("2"))]);
    let mut most = 0;
    for _ in 0..400 {
        let open = world.round().await;
        let live =
            world.ecs("ListServices", json!({"cluster": "prod", "maxResults": 100})).await["serviceArns"].clone();
        let names: Vec<String> = live
            .as_array()
            .unwrap()
            .iter()
            .map(|arn| arn.as_str().unwrap().rsplit('/').next().unwrap().to_owned())
            .collect();
        let described = world.ecs("DescribeServices", json!({"cluster": "prod", "services": names})).await;
        let services = described["services"].as_array().unwrap();
        let rolling = services.iter().filter(|one| one["deployments"][0]["rolloutState"] == "IN_PROGRESS").count();
        most = most.max(rolling);
        if !open {
            break;
        }
        world.control.advance(Duration::from_secs(10));
    }
    assert_eq!((most, count(&world, 9, |state| state.plan.verdict == Some(Verdict::Deployed))), (2, 9));
    assert_eq!(world.writes()["ecs:UpdateService"], 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_shared_change_stops_when_the_first_ones_fail() {
    let mut world = world(9, "maxConcurrent: 3, stopAfterFailures: 2, maxUnexplained: 0").await;
    world.repository.commit("bad", &[("components/app.yaml", &component("bad"))]);
    for _ in 0..90 {
        world.round().await;
        world.control.advance(Duration::from_secs(10));
    }
    let rejected = count(&world, 9, |state| state.plan.verdict == Some(Verdict::Rejected));
    let stopped = count(&world, 9, |state| state.plan.is_withheld_for(Reason::Stopped));
    assert_eq!((rejected, stopped), (3, 6), "those that were under way together failed; no other was started");
    let text =
        (0..9).flat_map(|at| state(&world, at).plan.withheld).find(|held| held.reason == Reason::Stopped).unwrap().text;
    let names: Vec<String> =
        (0..9).filter(|at| state(&world, *at).plan.verdict == Some(Verdict::Rejected)).map(name).collect();
    let expected = format!(
        "stopped: 3 of this change failed in the environment ({}); run `lockstep sync` to continue, or fix them with a commit",
        names.join(", ")
    );
    assert_eq!(text, expected);
    let updates = world.writes()["ecs:UpdateService"];
    assert_eq!(updates, 3);
    // It holds over a restart, with and without the cache.
    for keep_cache in [true, false] {
        world.control.reset_calls();
        world.restart(keep_cache).await;
        for _ in 0..5 {
            world.round().await;
            world.control.advance(Duration::from_secs(60));
        }
        assert_eq!(world.writes(), calls(&[]), "with the cache: {keep_cache}");
    }
    // A commit that mends it goes through.
    world.repository.commit("2", &[("components/app.yaml", &component("2"))]);
    world.settle().await;
    assert_eq!(count(&world, 9, |state| state.plan.verdict == Some(Verdict::Deployed)), 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_may_go_on_after_failures() {
    let mut world = world(4, "maxConcurrent: 1, stopAfterFailures: 1, maxUnexplained: 0").await;
    world.repository.commit("bad", &[("components/app.yaml", &component("bad"))]);
    for _ in 0..60 {
        world.round().await;
        world.control.advance(Duration::from_secs(10));
    }
    assert_eq!(count(&world, 4, |state| state.plan.is_withheld_for(Reason::Stopped)), 3);
    world.round_with(&Orders { by_hand: true, begins: true, ..Orders::agent() }).await;
    assert_eq!(
        count(&world, 4, |state| state.plan.verdict == Some(Verdict::Progressing)),
        1,
        "one at a time all the same"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_a_few_differences_that_nothing_explains_wait_for_a_person() {
    let mut world = world(6, "maxUnexplained: 2, maxConcurrent: 0").await;
    let edit = async |world: &World, at: usize| {
        let request = json!({"cluster": "prod", "service": name(at), "enableExecuteCommand": true});
        world.ecs("UpdateService", request).await;
    };
    for at in 0..2 {
        edit(&world, at).await;
    }
    world.control.reset_calls();
    world.settle().await;
    assert_eq!(world.writes(), calls(&[("ecs:UpdateService", 2)]), "as many as are allowed are healed");
    for keep_cache in [true, false] {
        for at in 0..3 {
            edit(&world, at).await;
        }
        world.control.reset_calls();
        world.restart(keep_cache).await;
        for _ in 0..4 {
            world.round().await;
            world.control.advance(Duration::from_secs(60));
        }
        assert_eq!(world.writes(), calls(&[]), "with the cache: {keep_cache}");
        let held = state(&world, 0).plan.withheld;
        assert_eq!(held[0].reason, Reason::Unexplained);
        assert_eq!(
            held[0].text,
            "3 services drifted at once (limit: sync.maxUnexplained = 2). Review them, then run `lockstep sync`"
        );
    }
    // A commit is an explanation of its own: what it changes goes on.
    let app = shared().replace("desiredCount: 1", "desiredCount: 2");
    world.repository.commit("scale", &[("services/s05/service.yaml", &app)]);
    world.round().await;
    assert_eq!(world.writes(), calls(&[("ecs:UpdateService", 1)]));
    world.round_with(&Orders { by_hand: true, everything: true, ..Orders::agent() }).await;
    world.settle().await;
    assert_eq!(count(&world, 6, |state| state.plan.verdict == Some(Verdict::Deployed)), 6);
}

async fn exists(world: &World, service: &str) -> bool {
    let described = world.described(service).await;
    described["status"] == "ACTIVE"
}

fn remove(world: &World, names: &[usize], message: &str) {
    for at in names {
        world.repository.git(&["rm", "-r", "--quiet", &format!("services/{}", name(*at))]);
    }
    world.repository.git(&["commit", "--quiet", "-m", message]);
}

async fn rounds(world: &mut World, minutes: u32) {
    for _ in 0..minutes {
        world.round().await;
        world.control.advance(Duration::from_secs(60));
    }
}

fn told(world: &World, service: &str) -> String {
    world.reported(service).plan.withheld.iter().map(|held| held.text.clone()).collect::<Vec<_>>().join("; ")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_declared_any_more_is_reported_and_removed_only_where_that_is_on() {
    let mut world = world(5, "maxConcurrent: 0").await;
    remove(&world, &[1], "remove s01");
    rounds(&mut world, 3).await;
    assert_eq!(
        (told(&world, "s01"), exists(&world, "s01").await),
        ("no longer declared; sync.prune is off, so it stays".to_owned(), true)
    );
    world.control.reset_calls();
    world.repository.commit("prune", &[("lockstep.yaml", &config("prune: true"))]);
    rounds(&mut world, 6).await;
    assert!(!exists(&world, "s01").await);
    assert_eq!(
        world.writes(),
        calls(&[("ecs:UpdateService", 1), ("ecs:DeleteService", 1)]),
        "no tasks first, then none at all"
    );
    let journal = world.control.journal(0);
    let update = journal.iter().find(|entry| entry.operation == "UpdateService").unwrap();
    assert_eq!(update.request, json!({"cluster": "prod", "service": "s01", "desiredCount": 0}));
}

// A rename is a removal and a new service: the old one serves until the new one does.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_was_renamed_stays_until_the_new_one_is_deployed() {
    let mut world = world(5, "maxConcurrent: 0, prune: true").await;
    let broken = service(&format!("{IMAGE}:bad"));
    world.repository.git(&["rm", "-r", "--quiet", "services/s01"]);
    world.repository.commit("rename s01 to orders", &[("services/orders/service.yaml", &broken)]);
    world.control.reset_calls();
    for _ in 0..60 {
        world.round().await;
        world.control.advance(Duration::from_secs(30));
    }
    assert_eq!(world.reported("orders").plan.verdict, Some(Verdict::Rejected));
    let text = "no longer declared; it stays until orders is deployed, which may replace it. `lockstep sync --prune` does not wait";
    assert_eq!((told(&world, "s01").as_str(), exists(&world, "s01").await), (text, true));
    let created = [("ecs:CreateService", 1), ("ecs:RegisterTaskDefinition", 1)];
    assert_eq!(world.writes(), calls(&created), "nothing was done to the old one");
    world.repository.commit("mend", &[("services/orders/service.yaml", &service(&format!("{IMAGE}:1")))]);
    for _ in 0..60 {
        world.round().await;
        world.control.advance(Duration::from_secs(30));
    }
    assert_eq!(world.reported("orders").plan.verdict, Some(Verdict::Deployed));
    assert!(!exists(&world, "s01").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_guard_of_pruning_holds() {
    let mut world = world(6, "maxConcurrent: 0, prune: true").await;
    // More than a third needs a person.
    remove(&world, &[0, 1, 2], "remove three");
    rounds(&mut world, 5).await;
    let many = "3 of 6 services are no longer declared; run `lockstep sync --prune` to remove that many";
    assert_eq!((told(&world, "s00").as_str(), exists(&world, "s00").await), (many, true));
    // A file with errors counts as declared, whatever it declared.
    world.repository.git(&["revert", "--no-edit", "HEAD"]);
    remove(&world, &[3], "remove one");
    world.repository.commit("break", &[("services/s04/service.yaml", "taskDefinition: [\n")]);
    rounds(&mut world, 5).await;
    assert!(told(&world, "s03").contains("or declared by a file with errors"), "{}", told(&world, "s03"));
    assert!(exists(&world, "s03").await && exists(&world, "s04").await);
    world.repository.commit("mend", &[("services/s04/service.yaml", &shared())]);
    // A service of the same tags that no commit ever declared stays.
    let definition = world.described("s05").await["taskDefinition"].clone();
    let tag = |key: &str, value: &str| json!({"key": key, "value": value});
    let network = json!({"awsvpcConfiguration": {"subnets": ["subnet-1"]}});
    let tags = [tag("lockstep:source", "acme"), tag("lockstep:environment", "prod"), tag("lockstep:service", "stray")];
    let create = json!({"cluster": "prod", "serviceName": "stray", "taskDefinition": definition, "desiredCount": 1,
        "launchType": "FARGATE", "networkConfiguration": network, "tags": tags});
    world.ecs("CreateService", create).await;
    world.control.advance(Duration::from_secs(3600));
    rounds(&mut world, 5).await;
    assert!(!exists(&world, "s03").await, "{}", told(&world, "s03"));
    assert!(told(&world, "stray").contains("no commit on the branch ever declared it"), "{}", told(&world, "stray"));
    // Without lockstep.yaml, and without the environment, nothing goes.
    world.repository.git(&["rm", "--quiet", "lockstep.yaml"]);
    remove(&world, &[5], "no lockstep.yaml");
    rounds(&mut world, 3).await;
    assert!(exists(&world, "s05").await);
    let other = config("prune: true").replace("prod:", "staging:");
    world.repository.commit("another environment", &[("lockstep.yaml", &other)]);
    rounds(&mut world, 3).await;
    let list = world.ecs("ListServices", json!({"cluster": "prod", "maxResults": 100})).await["serviceArns"].clone();
    assert_eq!(list.as_array().unwrap().len(), 6, "s00, s01, s02, s04, s05 and stray: {list}");
    // A person's order removes many.
    world.repository.commit("back", &[("lockstep.yaml", &config("prune: true, maxConcurrent: 0"))]);
    remove(&world, &[0, 1], "remove two more");
    rounds(&mut world, 3).await;
    assert!(exists(&world, "s00").await);
    for _ in 0..4 {
        world.round_with(&Orders { by_hand: true, prune: true, ..Orders::agent() }).await;
        world.control.advance(Duration::from_secs(60));
    }
    assert!(!exists(&world, "s00").await && !exists(&world, "s01").await && !exists(&world, "s05").await);
    assert!(exists(&world, "stray").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_the_scan_are_counted_apart() {
    let mut world = world(12, "maxConcurrent: 0").await;
    world.control.reset_calls();
    let per_hour = async |world: &mut World| -> BTreeMap<String, u64> {
        world.control.reset_calls();
        for _ in 0..120 {
            world.round().await;
            world.control.advance(Duration::from_secs(30));
        }
        world.calls()
    };
    let counted = per_hour(&mut world).await;
    let expected = [("ecs:DescribeClusters", 120), ("ecs:DescribeServices", 240), ("ecs:ListServices", 1)];
    assert_eq!(counted, calls(&expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_from_a_parameter_is_declared_too() {
    let mut world = world(4, "prune: true, maxConcurrent: 0").await;
    world.control.put_parameter(ACCOUNT, REGION, "/name", "String", "s01");
    let named = shared().replace("service:\n", "service:\n  serviceName: \"${{ ssm:/name }}\"\n");
    world.repository.git(&["rm", "-r", "--quiet", "services/s01"]);
    world.repository.commit("by parameter", &[("services/other/service.yaml", &named)]);
    world.control.reset_calls();
    rounds(&mut world, 6).await;
    assert!(exists(&world, "s01").await);
    assert!(!world.calls().contains_key("ecs:DeleteService"));
    let scaled = world.control.journal(0).into_iter().any(|entry| entry.request["desiredCount"] == 0);
    assert!(!scaled, "it is declared");
}

/// The text of `lockstep` on the world's checkout.
fn program(world: &World, arguments: &[&str]) -> (i32, String, String) {
    let mut command = lockstep_tests::program::lockstep(Some(&world.endpoint()));
    command.args(arguments).arg("-C").arg(world.repository.path()).env("AWS_ACCESS_KEY_ID", ACCOUNT);
    command.env("AWS_SECRET_ACCESS_KEY", "sandbox").env("AWS_REGION", REGION);
    lockstep_tests::outcome(&mut command)
}

// A1: by the rule of version 1 an overlay takes a service out of all other environments. Nobody asked for that.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_the_two_rules_read_differently_is_neither_created_nor_removed() {
    let two = |version: u8| {
        let config = config("maxConcurrent: 0, maxUnexplained: 0, prune: true")
            .replace("version: 1", &format!("version: {version}"));
        let staging = "  staging: { account: \"111111111111\", region: eu-central-1, cluster: staging, sync: { mode: converge, prune: true } }\n";
        format!("{config}{staging}")
    };
    let app = service(&format!("{IMAGE}:1"));
    let mut world = World::new(&[
        ("lockstep.yaml", &two(1)),
        ("services/s00/service.yaml", &app),
        ("services/s01/service.yaml", &app),
        ("services/s02/service.yaml", &app),
    ])
    .await;
    world.control.create_cluster(ACCOUNT, REGION, "staging");
    for tag in ["1", "2"] {
        world.control.push_image(ACCOUNT, REGION, "app", tag, Behaviour::Ok);
    }
    world.settle().await;
    world.control.reset_calls();
    // s00 gets an overlay in staging, s03 is new and has one; s01 changes.
    world.repository.commit(
        "overlays",
        &[
            ("services/s00/staging.yaml", "service: { desiredCount: 2 }\n"),
            ("services/s01/service.yaml", &service(&format!("{IMAGE}:2"))),
            ("services/s03/service.yaml", &app),
            ("services/s03/staging.yaml", "{}\n"),
        ],
    );
    rounds(&mut world, 5).await;
    assert!(exists(&world, "s00").await && !exists(&world, "s03").await);
    assert!(told(&world, "s00").contains("an overlay no longer decides where a service is"), "{}", told(&world, "s00"));
    let held = |name: &str| {
        let state = world.reported_in("staging", name);
        state.plan.withheld.iter().map(|held| held.text.clone()).collect::<Vec<_>>().join("; ")
    };
    assert!(held("s03").contains("neither created nor removed"), "{}", held("s03"));
    assert_eq!(held("s00"), "", "both rules put it there");
    // Two environments of one account may register the same revision at the same time.
    let mut writes = world.writes();
    assert!(writes.remove("ecs:RegisterTaskDefinition").is_some_and(|count| count <= 2));
    assert_eq!(writes, calls(&[("ecs:UpdateService", 3)]), "s01 in both environments, and the overlay of s00");
    // Something else is removed meanwhile: what is read with certainty is pruned.
    remove(&world, &[2], "remove s02");
    rounds(&mut world, 5).await;
    assert!(!exists(&world, "s02").await && exists(&world, "s00").await);
    // By the new rule both are everywhere.
    world.repository.commit("version 2", &[("lockstep.yaml", &two(2))]);
    world.settle().await;
    assert!(exists(&world, "s00").await && exists(&world, "s03").await);
    assert_eq!((told(&world, "s00"), told(&world, "s03")), (String::new(), String::new()));
}

// A2: what cannot be read is not removed.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_read_counts_as_declared() {
    use std::os::unix::ffi::OsStrExt;
    let mut world = world(4, "maxConcurrent: 0, prune: true").await;
    let root = world.repository.path().to_owned();
    let git = |arguments: &[&std::ffi::OsStr]| {
        let done = std::process::Command::new("git")
            .args(["-c", "user.name=Test", "-c", "user.email=test@example.com"])
            .args(arguments)
            .current_dir(&root)
            .status()
            .unwrap();
        assert!(done.success());
    };
    let text = |bytes: &'static [u8]| std::ffi::OsStr::from_bytes(bytes);
    let cases: [(&[u8], &[u8]); 3] = [
        (b"services/s00", b"services/\xe9quipe"),
        (b"services/s01/service.yaml", b"services/s01/Service.yaml"),
        (b"services/s02/service.yaml", b"services/s02/service.yaml.tmpl"),
    ];
    for (at, (from, to)) in cases.into_iter().enumerate() {
        git(&[text(b"mv"), text(from), text(to)]);
        git(&[text(b"commit"), text(b"--quiet"), text(b"-m"), text(b"renamed")]);
        rounds(&mut world, 4).await;
        let service = name(at);
        assert!(exists(&world, &service).await, "{service}");
        assert!(told(&world, &service).contains("or declared by a file with errors"), "{}", told(&world, &service));
        world.repository.git(&["revert", "--no-edit", "HEAD"]);
    }
    // Nothing else stops: an image is deployed while something is not read.
    world.repository.commit("2", &[("services/old/service.yaml.tmpl", ""), ("components/app.yaml", &component("2"))]);
    world.control.reset_calls();
    world.settle().await;
    assert_eq!(world.writes()["ecs:UpdateService"], 4);
    remove(&world, &[3], "remove s03");
    rounds(&mut world, 4).await;
    assert!(exists(&world, "s03").await);
    world.repository.git(&["rm", "-r", "--quiet", "services/old"]);
    world.repository.git(&["commit", "--quiet", "-m", "tidy"]);
    rounds(&mut world, 6).await;
    assert!(!exists(&world, "s03").await, "{}", told(&world, "s03"));
}

// A1: the plan of a checkout knows the branch's history, and says what would be removed.
#[tokio::test(flavor = "multi_thread")]
async fn the_plan_of_a_checkout_says_what_would_be_removed() {
    let world = world(4, "maxConcurrent: 0, prune: true").await;
    std::fs::remove_dir_all(world.repository.path().join("services/s01")).unwrap();
    for _ in ["uncommitted", "committed"] {
        let (code, stdout, stderr) = program(&world, &["plan", "--source", "acme"]);
        assert_eq!(code, 0, "{stdout}{stderr}");
        let expected = "  s01  OutOfSync, Healthy\n    would be removed: 1 task running\n    declared last by commit ";
        assert!(stdout.contains(expected), "{stdout}{stderr}");
        assert!(stdout.ends_with("\n1 to change, 0 withheld, 0 unknown, 3 as declared\n"), "{stdout}");
        world.repository.git(&["add", "--all"]);
        world.repository.git(&["commit", "--quiet", "--allow-empty", "-m", "remove s01"]);
    }
    assert_eq!(world.writes(), BTreeMap::new());
}
