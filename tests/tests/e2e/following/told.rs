//! What people are told: numbers with their age, what begins and ends, whose commit it is, the first failure at once.

use lockstep::{output, reconcile::Orders};
use lockstep_core::{
    event::{Event, What},
    fleet::condition::Condition,
    report::{Health, Reason, SyncStatus, Verdict},
};
use lockstep_sandbox::{Behaviour, Effect, Fault};
use lockstep_tests::world::{ACCOUNT, IMAGE, ONE_ENVIRONMENT, OTHER_ACCOUNT, REGION, World, reasons, service};
use serde_json::json;
use std::time::Duration;

/// `lockstep status` of the world, at the time of the last look.
fn shown(world: &World) -> String {
    let state = world.context.board.state();
    let services = state.sources[0].environments.iter().flat_map(|environment| &environment.services);
    let now = services.filter_map(|service| service.observed_at.parse().ok()).max().unwrap_or_default();
    plain(&output::status::render(&state, now))
}

/// A text without its colours, which are marked as ours until they are written.
fn plain(text: &str) -> String {
    let unmarked = text.split('\u{10FFFE}').step_by(2).collect::<Vec<_>>().join("\u{1b}");
    anstream::adapter::strip_str(&unmarked).to_string()
}

fn plan_shown(world: &World) -> String {
    let plan = world.context.board.update(0, |source| source.plan());
    plain(&output::plan::render(&plan, false))
}

fn turns(events: &[Event]) -> Vec<(Condition, bool, String)> {
    let turn = |event: &Event| match &event.what {
        What::Turned { condition, begins, services, .. } => Some((*condition, *begins, services.join(" "))),
        _ => None,
    };
    events.iter().filter_map(turn).collect()
}

fn refused(code: &str, message: &str) -> Effect {
    Effect::Error { code: code.to_owned(), message: message.to_owned(), status: 400 }
}

// B4: what was not read is the last known number with its age, and `?` where it was never known.
#[tokio::test(flavor = "multi_thread")]
async fn numbers_that_were_not_read_are_the_last_known_with_their_age() {
    let mut world = World::of_services(&["web"]).await;
    world.settle().await;
    let before = world.reported("web");
    assert_eq!((before.running, before.desired_count), (Some(1), Some(1)));
    world.control.advance(Duration::from_secs(300));
    world.control.add_fault(Fault::new("ecs:DescribeServices", refused("AccessDeniedException", "no")));
    world.round().await;
    let state = world.reported("web");
    assert_eq!((state.running, state.desired_count, state.plan.health), (Some(1), Some(1), Health::Unknown));
    assert_eq!(state.observed_at, before.observed_at, "it was not observed");
    let clock = before.observed_at.split_once('T').unwrap().1[..5].to_owned();
    let text = shown(&world);
    assert!(text.contains(&format!("web  Unknown    Unknown      1/1, {clock}  1  web:1")), "{text}");
    assert!(text.contains("health unknown since") && text.contains(", Healthy before"), "{text}");
    world.restart(false).await;
    world.round().await;
    let state = world.reported("web");
    let data = serde_json::to_value(&state).unwrap();
    assert_eq!(
        (&data["running"], &data["desiredCount"], &data["observedAt"]),
        (&json!(null), &json!(null), &json!(""))
    );
    let text = shown(&world);
    let row = text.lines().find(|line| line.starts_with("  web ")).unwrap();
    assert!(
        row.split_whitespace().eq([
            "web",
            "Unknown",
            "Unknown",
            "?",
            &world.repository.git(&["rev-parse", "HEAD"])[..10]
        ]),
        "{text}"
    );
}

// B4: health needs no manifest; it is read on, also after a restart, by the tags.
#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_with_errors_hides_no_health() {
    let mut world = World::of_services(&["web"]).await;
    world.settle().await;
    world.repository.commit("broken", &[("services/web/service.yaml", "taskDefinition: [\n")]);
    for restarts in [false, true] {
        if restarts {
            world.restart(false).await;
        }
        let count = if restarts { 3 } else { 2 };
        world.ecs("UpdateService", json!({"cluster": "prod", "service": "web", "desiredCount": count})).await;
        world.control.advance(Duration::from_secs(300));
        world.round().await;
        let state = world.reported("web");
        assert_eq!((state.plan.sync, reasons(&state)), (SyncStatus::Unknown, vec![Reason::Invalid]));
        assert_eq!(
            (state.plan.health, state.running, state.desired_count),
            (Health::Healthy, Some(count), Some(count))
        );
        let text = &state.plan.withheld[0].text;
        assert!(text.starts_with("the manifest has errors: services/web/service.yaml:"), "{text}");
    }
    // G4: the file is named with its line and what is wrong with it.
    assert!(shown(&world).contains("  services/web/service.yaml:"), "{}", shown(&world));
    // A broken lockstep.yaml stops writes, not reads.
    world.repository.commit("mended", &[("services/web/service.yaml", &service(&format!("{IMAGE}:1")))]);
    world.settle().await;
    let broken = ONE_ENVIRONMENT.replace("eu-central-1", "[");
    world.repository.commit("broken", &[("lockstep.yaml", &broken)]);
    world.ecs("UpdateService", json!({"cluster": "prod", "service": "web", "desiredCount": 4})).await;
    world.control.advance(Duration::from_secs(300));
    world.control.reset_calls();
    world.round().await;
    let state = world.reported("web");
    assert_eq!((state.running, state.plan.sync), (Some(4), SyncStatus::OutOfSync));
    assert!(world.writes().is_empty());
    let text = shown(&world);
    assert!(text.contains("writes are stopped: lockstep.yaml or a component has errors"), "{text}");
    assert!(text.contains("  lockstep.yaml:"), "{text}");
}

// B5: what begins and what ends is told once each.
#[tokio::test(flavor = "multi_thread")]
async fn what_begins_and_ends_is_told_once() {
    use Condition::{Paused, Unknown};
    let mut world = World::of_services(&["api", "web"]).await;
    world.settle().await;
    world.happened();
    world.control.add_fault(Fault::new("ecs:DescribeServices", refused("AccessDeniedException", "no")));
    for _ in 0..3 {
        world.round().await;
    }
    assert_eq!(turns(&world.happened()), [(Unknown, true, "api web".to_owned())]);
    world.control.clear_faults();
    for _ in 0..3 {
        world.round().await;
    }
    assert_eq!(turns(&world.happened()), [(Unknown, false, "api web".to_owned())]);
    let arn = world.described("web").await["serviceArn"].clone();
    let tag = json!([{"key": "lockstep:pause", "value": "INC-4711 db failover"}]);
    world.ecs("TagResource", json!({"resourceArn": arn, "tags": tag})).await;
    for _ in 0..3 {
        world.round().await;
    }
    let happened = world.happened();
    assert_eq!(turns(&happened), [(Paused, true, "web".to_owned())]);
    assert!(format!("{happened:?}").contains("until it is resumed: INC-4711 db failover"), "{happened:?}");
    world.ecs("UntagResource", json!({"resourceArn": arn, "tagKeys": ["lockstep:pause"]})).await;
    for _ in 0..3 {
        world.round().await;
    }
    assert_eq!(turns(&world.happened()), [(Paused, false, "web".to_owned())]);
    // Git too.
    let (here, away) = (world.repository.path().join(".git"), world.repository.path().join("away"));
    std::fs::rename(&here, &away).unwrap();
    for _ in 0..2 {
        assert!(world.runner.refresh(&world.context).await.is_err());
    }
    std::fs::rename(&away, &here).unwrap();
    for _ in 0..2 {
        world.round().await;
    }
    let happened = world.happened();
    assert!(
        matches!(
            happened.iter().map(|it| &it.what).collect::<Vec<_>>().as_slice(),
            [What::Unreadable { .. }, What::Readable]
        ),
        "once each: {happened:?}"
    );
}

// B6: the commit is the one that last changed the service in this environment.
#[tokio::test(flavor = "multi_thread")]
async fn the_commit_is_the_one_that_last_changed_the_service() {
    let mut world = World::of_services(&["api", "web"]).await;
    let first = world.repository.git(&["rev-parse", "HEAD"]);
    world.settle().await;
    let changed = world.repository.commit("web: 2", &[("services/web/service.yaml", &service(&format!("{IMAGE}:2")))]);
    world.repository.commit("elsewhere", &[("services/web/staging.pins.yaml", ""), ("README.md", "more")]);
    world.repository.git(&["rm", "--quiet", "services/web/staging.pins.yaml"]);
    let tip = world.repository.commit("docs", &[("README.md", "text")]);
    for restarts in [false, true] {
        if restarts {
            world.restart(false).await;
        }
        world.settle().await;
        let (api, web) = (world.reported("api"), world.reported("web"));
        assert_eq!(api.commit.map(|commit| commit.id), Some(first.clone()));
        assert_eq!((api.planned_for, api.images[0].tag.as_str()), (tip.clone(), "1"));
        assert_eq!(web.images[0].tag, "2");
        let text = shown(&world);
        assert!(text.contains(&format!("api  Synced     Healthy      1/1  1  api:1  {}\n", &first[..10])), "{text}");
    }
    // A file that belongs to no environment of the service is a file of the service.
    let commit = world.reported("web").commit.unwrap();
    assert_ne!(commit.id, tip);
    assert_eq!(commit.author, "Test");
    // A setting of the repository that changes a service is its change.
    let text = ONE_ENVIRONMENT.replace(
        "    cluster: prod\n",
        "    cluster: prod\n    defaults: { service: { enableExecuteCommand: true } }\n",
    );
    let setting = world.repository.commit("exec", &[("lockstep.yaml", &text)]);
    world.settle().await;
    assert_eq!(world.reported("api").commit.map(|commit| commit.id), Some(setting));
    assert_ne!(changed, tip);
}

// G1 and G2: the first failure at once, in the plan as in the status; then the rejection with what it is about.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_failure_is_told_while_the_rollout_goes_on() {
    let mut world = World::of_services(&["web"]).await;
    world.settle().await;
    world.happened();
    let bad = world.repository.commit("web: bad", &[("services/web/service.yaml", &service(&format!("{IMAGE}:bad")))]);
    let mut failing = None;
    for _ in 0..60 {
        world.round().await;
        let told = |event: Event| match event.what {
            What::Failing { text, .. } => Some(text),
            _ => None,
        };
        failing = world.happened().into_iter().find_map(told);
        if failing.is_some() {
            break;
        }
        world.control.advance(Duration::from_secs(5));
    }
    let failing = failing.expect("the first failure is told");
    assert!(failing.starts_with("container app exited with code 3: Essential container in task exited"), "{failing}");
    let state = world.reported("web");
    assert_eq!(state.plan.verdict, Some(Verdict::Progressing), "it is not over");
    assert_eq!(state.plan.cause.as_ref().and_then(|cause| cause.exit_code), Some(3));
    let revisions: Vec<&str> = state.plan.tasks.iter().map(|tasks| tasks.revision.as_str()).collect();
    assert_eq!(revisions, ["web:2", "web:1"]);
    // One who looks for the first time sees the same.
    let (status, plan) = (shown(&world), plan_shown(&world));
    world.restart(false).await;
    world.round_with(&Orders { everything: true, ..Orders::default() }).await;
    for text in [status, plan, shown(&world), plan_shown(&world)] {
        assert!(text.contains("first failure: container app exited with code 3"), "{text}");
        assert!(text.contains("tasks: web:2 ") && text.contains("; web:1 1 of 1 running"), "{text}");
        assert!(text.contains(" failures") || text.contains(" failed"), "{text}");
    }
    world.settle().await;
    let state = world.reported("web");
    let text = &state.plan.withheld[0].text;
    let commit = &bad[..10];
    let begins = format!(
        "rejected: bad (commit {commit} by Test: web: bad): ECS ended its deployment as ROLLBACK_SUCCESSFUL at 20"
    );
    let ends = ": container app exited with code 3: Essential container in task exited; web:1 with 1 runs instead; it is not \
                tried again until the service's desired state changes, or by `lockstep sync --retry`";
    assert!(text.starts_with(&begins) && text.ends_with(ends), "{text}");
    // G9: no verdict without a text and its commit.
    for event in world.happened() {
        if let What::Verdict { text, .. } = event.what {
            let commit = event.of.commit;
            assert!(!text.is_empty() && commit == bad, "{text} {commit}");
        }
    }
}

// G5: a service that is only not adopted is not out of sync.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_not_adopted_says_so() {
    let mut world = World::of_services(&["web"]).await;
    world.settle().await;
    let arn = world.described("web").await["serviceArn"].clone();
    let keys = ["lockstep:source", "lockstep:environment", "lockstep:service"];
    world.ecs("UntagResource", json!({"resourceArn": arn, "tagKeys": keys})).await;
    world.round().await;
    let state = world.reported("web");
    assert_eq!((state.plan.sync, reasons(&state)), (SyncStatus::Synced, vec![Reason::NotAdopted]));
    assert!(state.plan.withheld[0].text.starts_with("matches Git; not adopted: "), "{:?}", state.plan.withheld);
    world.ecs("UpdateService", json!({"cluster": "prod", "service": "web", "desiredCount": 3})).await;
    world.round().await;
    assert_eq!(world.reported("web").plan.sync, SyncStatus::OutOfSync);
}

// G3: a role that cannot be assumed is AWS's sentence, the role, and where it is named. G4: the place of the account.
#[tokio::test(flavor = "multi_thread")]
async fn roles_and_accounts_name_their_place() {
    let elsewhere = ONE_ENVIRONMENT.replace(ACCOUNT, OTHER_ACCOUNT);
    let app = service(&format!("{IMAGE}:1"));
    let mut world = World::new(&[("lockstep.yaml", &elsewhere), ("services/web/service.yaml", &app)]).await;
    world.control.push_image(ACCOUNT, REGION, "app", "1", Behaviour::Ok);
    let role = format!("arn:aws:iam::{OTHER_ACCOUNT}:role/lockstep");
    world.control.deny_role(&role);
    world.round().await;
    assert_eq!(
        world.reported("web").plan.withheld[0].text,
        format!(
            "failed to call sts:AssumeRole: the role {role} (`accounts:` in the agent's file) cannot be assumed: \
             arn:aws:iam::{ACCOUNT}:user/sandbox is not allowed to sts:AssumeRole on {role}"
        )
    );
    let third = ONE_ENVIRONMENT.replace(ACCOUNT, "333333333333");
    world.repository.commit("third", &[("lockstep.yaml", &third)]);
    world.round().await;
    assert_eq!(
        world.reported("web").plan.withheld[0].text,
        format!(
            "lockstep.yaml:4: account 333333333333: the credentials are for account {ACCOUNT}, not 333333333333; \
             name a role for it under `accounts:` in the agent's file"
        )
    );
    // A parameter that is not there is named with the account and region where it was looked for.
    let with = app.replace("LEVEL: info", "LEVEL: \"${{ ssm:/gone }}\"");
    world.repository.commit("parameter", &[("lockstep.yaml", ONE_ENVIRONMENT), ("services/web/service.yaml", &with)]);
    world.round().await;
    let text = &world.reported("web").plan.withheld[0].text;
    let expected =
        format!("`ssm:/gone` cannot be used: there is no such parameter in account {ACCOUNT}, region {REGION}");
    assert!(text.ends_with(&expected), "{text}");
}
