//! What the agent says of each failure that ECS can have, with each strategy that can meet it: the verdict, the reason,
//! the calls, and that the failed state is never deployed again.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lockstep::reconcile::Orders;
use lockstep_core::event::{Event, What};
use lockstep_core::report::{Health, Reason, SyncStatus, Verdict};
use lockstep_core::state::ServiceState;
use lockstep_sandbox::{Behaviour, Effect, Failure, Fault, HookAnswer, When};
use lockstep_tests::{
    program::lockstep,
    world::{ACCOUNT, ONE_ENVIRONMENT, REGION, World, calls, reasons},
};
use serde_json::json;
use std::time::Duration;

const IMAGE: &str = "111111111111.dkr.ecr.eu-central-1.amazonaws.com/app";
const BALANCING: &str = "arn:aws:elasticloadbalancing:eu-central-1:111111111111";
/// Tags of images that run; every world starts with tag 1.
const GOOD: [&str; 2] = ["2", "3"];
/// Most virtual time that a deployment may take to an outcome.
const PATIENCE: Duration = Duration::from_secs(3 * 3600);

/// A service behind a load balancer, with a check of its container, and this deployment configuration.
fn web(image: &str, configuration: &str) -> String {
    format!(
        r#"taskDefinition:
  networkMode: awsvpc
  requiresCompatibilities: [FARGATE]
  cpu: "256"
  memory: "512"
  executionRoleArn: execution
  containerDefinitions:
    app:
      image: "{image}"
      portMappings: [{{ containerPort: 8080 }}]
      healthCheck: {{ command: [CMD, "true"] }}
      logConfiguration: {{ logDriver: awslogs, options: {{ awslogs-group: /app, awslogs-region: eu-central-1, awslogs-stream-prefix: app }} }}
service:
  desiredCount: 2
  launchType: FARGATE
  networkConfiguration: {{ awsvpcConfiguration: {{ subnets: [subnet-1] }} }}
  loadBalancers:
    - targetGroupArn: {BALANCING}:targetgroup/a/0123456789abcdef
      containerName: app
      containerPort: 8080
      advancedConfiguration:
        alternateTargetGroupArn: {BALANCING}:targetgroup/b/0123456789abcdef
        productionListenerRule: {BALANCING}:listener-rule/app/lb/1/2/3
        testListenerRule: {BALANCING}:listener-rule/app/lb/1/2/4
        roleArn: arn:aws:iam::111111111111:role/infrastructure
  deploymentConfiguration: {configuration}
"#
    )
}

const BREAKER: &str = "deploymentCircuitBreaker: { enable: true, rollback: true }";

fn configuration(strategy: &str) -> String {
    let more = match strategy {
        "BLUE_GREEN" => ", bakeTimeInMinutes: 1",
        "LINEAR" => ", linearConfiguration: { stepPercent: 50.0, stepBakeTimeInMinutes: 1 }",
        "CANARY" => ", canaryConfiguration: { canaryPercent: 10.0, canaryBakeTimeInMinutes: 1 }",
        _ => "",
    };
    format!("{{ strategy: {strategy}, {BREAKER}{more} }}")
}

/// A world where `web` runs its first image.
async fn deployed(configuration: &str) -> World {
    let app = web(&format!("{IMAGE}:1"), configuration);
    let mut world = World::new(&[("lockstep.yaml", ONE_ENVIRONMENT), ("services/web/service.yaml", &app)]).await;
    for tag in ["1", "2", "3"] {
        world.control.push_image(ACCOUNT, REGION, "app", tag, Behaviour::Ok);
    }
    world.settle().await;
    let state = world.context.board.state();
    assert_eq!(world.reported("web").plan.verdict, Some(Verdict::Deployed), "{:#?}", state.sources[0].problems);
    world.happened();
    world
}

fn commit(world: &World, tag: &str, configuration: &str) {
    let app = web(&format!("{IMAGE}:{tag}"), configuration);
    world.repository.commit(&format!("web: {tag}"), &[("services/web/service.yaml", &app)]);
}

/// Rounds until the verdict is an outcome that stays.
async fn outcome(world: &mut World) -> ServiceState {
    let mut waited = Duration::ZERO;
    loop {
        world.round().await;
        let state = world.reported("web");
        let settled = matches!(state.plan.verdict, Some(Verdict::Deployed | Verdict::Rejected))
            || state.plan.is_withheld_for(Reason::Prerequisite);
        if (settled && state.plan.actions.is_empty()) || waited >= PATIENCE {
            // What is recorded in tags is written by now.
            world.round().await;
            return world.reported("web");
        }
        let step = Duration::from_secs(20);
        world.control.advance(step);
        waited += step;
    }
}

/// What is expected of a failure: the verdict, and a piece of the reason.
fn expected(failure: Failure) -> (Verdict, &'static str) {
    use Failure::*;
    match failure {
        F1 => (Verdict::Rejected, "CannotPullContainerError: pull image manifest has been retried 5 time(s)"),
        F2 => (Verdict::Rejected, "CannotPullContainerError: The task can't pull the image."),
        F3 => (Verdict::Rejected, "The task cannot pull registry auth from Amazon ECR"),
        F4 => (Verdict::Rejected, "The task can't retrieve the secret with ARN"),
        F5 => (Verdict::Rejected, "invalid parameters: /gone"),
        // It is really not there, and waited for.
        F6 => (Verdict::Pending, "waiting for the log group /app: ResourceInitializationError"),
        F7 => (Verdict::Rejected, "container app exited with code 1: Essential container in task exited"),
        F8 => (Verdict::Rejected, "container app exited with code 137 (OutOfMemoryError"),
        F9 | F17 => (Verdict::Rejected, "Task failed ELB health checks in (target-group"),
        F10 => (Verdict::Rejected, "Task failed container health checks"),
        // The subject of a test of its own.
        F11 => (Verdict::Pending, ""),
        F12 => (Verdict::Rejected, "no container instance met all of its requirements"),
        F13 => (Verdict::Rejected, "You've reached the limit on the number of vCPUs"),
        F14 => (Verdict::Rejected, "container app exited with code 255"),
        F16 | F20 => (Verdict::Deployed, ""),
        F15 => (Verdict::Stalled, "was unable to stop or start tasks during a deployment"),
        F18 => (Verdict::Stalled, "failed to register targets in target-group"),
        F19 => (Verdict::Stalled, "could not launch 1 tasks for deployment"),
        F21 => (Verdict::Stalled, "The number of protected tasks are more than the desired count of tasks"),
    }
}

/// One case. Answers what was wrong, so that a run shows all of it.
async fn case(failure: Failure, strategy: &str) -> Result<(), String> {
    let configuration = configuration(strategy);
    let mut world = deployed(&configuration).await;
    if failure == Failure::F20 {
        commit(&world, "2", &configuration);
        world.round().await;
        world.control.advance(Duration::from_secs(30));
        world.round().await;
    }
    world.control.inject(ACCOUNT, REGION, "prod", "web", failure);
    let deployment = world.described("web").await["currentServiceDeployment"].clone();
    world.control.reset_calls();
    if failure != Failure::F20 {
        commit(&world, "2", &configuration);
    }
    let state = outcome(&mut world).await;
    let (verdict, text) = expected(failure);
    let plan = &state.plan;
    let told = plan.withheld.iter().map(|withheld| withheld.text.as_str()).collect::<Vec<_>>().join("; ");
    if plan.verdict != Some(verdict) {
        return Err(format!("{:?} instead of {verdict:?}: {told}", plan.verdict));
    }
    if matches!(verdict, Verdict::Stalled | Verdict::Pending) && !told.contains(text) {
        return Err(format!("the reason is {told}"));
    }
    let writes = world.writes();
    let started = if failure == Failure::F20 { 0 } else { 1 };
    let mut expected_writes = vec![];
    if started > 0 {
        expected_writes.extend([("ecs:RegisterTaskDefinition", 1), ("ecs:UpdateService", 1)]);
    }
    if verdict == Verdict::Rejected {
        // The verdict on the service, and its cause on the task definition revision.
        expected_writes.push(("ecs:TagResource", 2));
        if !told.contains(text) || !plan.is_withheld_for(Reason::Rejected) {
            return Err(format!("the reason is {told}"));
        }
        let cause = plan.cause.as_ref().ok_or("no cause")?;
        if matches!(failure, Failure::F7) && cause.log != ["panicked: DATABASE_URL is not set"] {
            return Err(format!("the log is {:?}", cause.log));
        }
        if plan.sync != SyncStatus::OutOfSync || plan.health != Health::Healthy {
            return Err(format!("{:?} and {:?}", plan.sync, plan.health));
        }
    }
    if writes != calls(&expected_writes) {
        return Err(format!("it wrote {writes:?}"));
    }
    // Nothing of it is tried again: not in the next hours, not after a restart, not without the cache.
    for keep_cache in [true, false] {
        world.control.reset_calls();
        world.restart(keep_cache).await;
        for _ in 0..5 {
            world.round().await;
            world.control.advance(Duration::from_secs(600));
        }
        let again = world.reported("web").plan.verdict;
        // Without the cache nobody knows since when a deployment makes no progress; the deadline begins anew.
        let open = verdict == Verdict::Stalled && matches!(again, Some(Verdict::Progressing | Verdict::Stalled));
        if again != Some(verdict) && !open {
            return Err(format!("{again:?} after a restart (with the cache: {keep_cache})"));
        }
        let writes = world.writes();
        if !writes.is_empty() {
            return Err(format!("after a restart (with the cache: {keep_cache}) it wrote {writes:?}"));
        }
    }
    let now = world.described("web").await["currentServiceDeployment"].clone();
    if started > 0 && now == deployment {
        return Err("no deployment was started".to_owned());
    }
    Ok(())
}

async fn table(strategy: &'static str, failures: impl Iterator<Item = Failure>) {
    let mut wrong = Vec::new();
    for failure in failures {
        if let Err(text) = case(failure, strategy).await {
            wrong.push(format!("{failure:?} with {strategy}: {text}"));
        }
    }
    assert_eq!(wrong, [] as [String; 0]);
}

fn all_but(left_out: &'static [Failure]) -> impl Iterator<Item = Failure> {
    Failure::ALL.into_iter().filter(move |failure| !left_out.contains(failure))
}

/// The deadlock of the percentages is the subject of a test of its own.
#[tokio::test(flavor = "multi_thread")]
async fn each_failure_of_a_rolling_deployment() {
    table("ROLLING", all_but(&[Failure::F11, Failure::F15])).await;
}

/// Percentages do not matter where all tasks start beside the old ones.
#[tokio::test(flavor = "multi_thread")]
async fn each_failure_of_a_blue_green_deployment() {
    table("BLUE_GREEN", all_but(&[Failure::F11, Failure::F15])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_of_a_linear_deployment() {
    table("LINEAR", all_but(&[Failure::F11, Failure::F15])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_of_a_canary_deployment() {
    table("CANARY", all_but(&[Failure::F11, Failure::F15])).await;
}

// K4: AWS's own faults are no rejection.
#[tokio::test(flavor = "multi_thread")]
async fn no_capacity_is_waited_for_and_never_held_against_the_state() {
    for strategy in ["ROLLING", "BLUE_GREEN", "LINEAR", "CANARY"] {
        let configuration = configuration(strategy);
        let mut world = deployed(&configuration).await;
        world.control.inject(ACCOUNT, REGION, "prod", "web", Failure::F11);
        world.control.reset_calls();
        commit(&world, "2", &configuration);
        let waits = |world: &World| world.reported("web").plan.is_withheld_for(Reason::WaitingForAws);
        for _ in 0..720 {
            world.round().await;
            if waits(&world) {
                break;
            }
            world.control.advance(Duration::from_secs(10));
        }
        let state = world.reported("web");
        assert_eq!(reasons(&state), [Reason::WaitingForAws], "{strategy}: {:#?}", state.plan);
        assert_eq!(state.plan.verdict, Some(Verdict::Pending), "{strategy}");
        let text = &state.plan.withheld[0].text;
        assert!(text.contains("Capacity is unavailable at this time."), "{strategy}: {text}");
        let once = calls(&[("ecs:RegisterTaskDefinition", 1), ("ecs:UpdateService", 1)]);
        assert_eq!(world.writes(), once, "{strategy}: it is not recorded as a rejection");
        // A restart without the cache knows it from ECS.
        world.restart(false).await;
        world.round().await;
        assert_eq!(reasons(&world.reported("web")), [Reason::WaitingForAws], "{strategy}");
        // It goes on by itself when there is capacity again.
        world.control.heal(ACCOUNT, REGION, "prod", "web");
        let state = outcome(&mut world).await;
        assert_eq!(state.plan.verdict, Some(Verdict::Deployed), "{strategy}: {:#?}", state.plan.withheld);
        let again = calls(&[("ecs:RegisterTaskDefinition", 1), ("ecs:UpdateService", 2)]);
        assert_eq!(world.writes(), again, "{strategy}");
    }
}

// K4: what is not there is waited for, with its name, and goes on when it is.
#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_comes_later_is_waited_for() {
    let configuration = configuration("ROLLING");
    let mut world = deployed(&configuration).await;
    world.control.reset_calls();
    commit(&world, "9", &configuration);
    let state = outcome(&mut world).await;
    assert_eq!((reasons(&state), state.plan.verdict), (vec![Reason::Prerequisite], Some(Verdict::Pending)));
    let text = &state.plan.withheld[0].text;
    assert!(text.starts_with(&format!("waiting for the image {IMAGE}:9: ")), "{text}");
    assert!(text.ends_with("; it continues when it exists"), "{text}");
    let failures =
        world.happened().into_iter().filter(|event| matches!(&event.what, What::Failed { reason } if reason == text));
    assert_eq!(failures.count(), 1, "it is told of once");
    let once = calls(&[("ecs:RegisterTaskDefinition", 1), ("ecs:UpdateService", 1)]);
    for keep_cache in [false, true] {
        world.restart(keep_cache).await;
        for _ in 0..3 {
            world.control.advance(Duration::from_secs(600));
            world.round().await;
        }
        assert_eq!((reasons(&world.reported("web")), world.writes()), (vec![Reason::Prerequisite], once.clone()));
    }
    world.control.push_image(ACCOUNT, REGION, "app", "9", Behaviour::Ok);
    world.control.advance(Duration::from_secs(61));
    // Whoever looks now need not have seen that it was missing: the registry says that it came later.
    world.restart(false).await;
    let state = outcome(&mut world).await;
    assert_eq!(state.plan.verdict, Some(Verdict::Deployed), "{:#?}", state.plan.withheld);
    assert_eq!(world.writes(), calls(&[("ecs:RegisterTaskDefinition", 1), ("ecs:UpdateService", 2)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn bounds_that_leave_no_room_are_a_stall() {
    // A check of ours refuses such bounds; here somebody else set them and Git ignores them.
    let configuration = format!("{{ maximumPercent: 200, {BREAKER} }}");
    let ignoring = |tag: &str| {
        let app = web(&format!("{IMAGE}:{tag}"), &configuration).replace("desiredCount: 2", "desiredCount: 1");
        format!("{app}ignore: [service.deploymentConfiguration.maximumPercent]\n")
    };
    let mut world = deployed(&configuration).await;
    world.repository.commit("ignore", &[("services/web/service.yaml", &ignoring("1"))]);
    world.settle().await;
    let breaker = json!({ "enable": true, "rollback": true });
    let stuck = json!({ "maximumPercent": 150, "minimumHealthyPercent": 100, "deploymentCircuitBreaker": breaker });
    world.ecs("UpdateService", json!({"cluster": "prod", "service": "web", "deploymentConfiguration": stuck})).await;
    world.repository.commit("web: 2", &[("services/web/service.yaml", &ignoring("2"))]);
    let state = outcome(&mut world).await;
    assert_eq!(state.plan.verdict, Some(Verdict::Stalled), "{:#?}", state.plan);
    let told = world.happened().into_iter().find_map(|event| match event.what {
        What::Verdict { verdict: Verdict::Stalled, text, .. } => Some(text),
        _ => None,
    });
    let told = told.unwrap();
    let expected = "no progress for more than 20 minutes, 1/1 running: (service web) was unable to stop or start tasks";
    assert!(told.starts_with(expected), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_breaker_only_the_deadline_says_that_it_failed() {
    let mut world = deployed("{ minimumHealthyPercent: 100 }").await;
    world.control.inject(ACCOUNT, REGION, "prod", "web", Failure::F1);
    commit(&world, "2", "{ minimumHealthyPercent: 100 }");
    let state = outcome(&mut world).await;
    assert_eq!((state.plan.verdict, state.running), (Some(Verdict::Stalled), Some(2)));
    // A newer commit takes its place, and the old one is called superseded.
    world.control.heal(ACCOUNT, REGION, "prod", "web");
    world.happened();
    commit(&world, "3", "{ minimumHealthyPercent: 100 }");
    let state = outcome(&mut world).await;
    assert_eq!(state.plan.verdict, Some(Verdict::Deployed));
    let verdicts: Vec<Verdict> = world
        .happened()
        .into_iter()
        .filter_map(|event| match event.what {
            What::Verdict { verdict, .. } => Some(verdict),
            _ => None,
        })
        .collect();
    assert_eq!(verdicts, [Verdict::Superseded, Verdict::Progressing, Verdict::Deployed]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_was_superseded_may_come_back() {
    let configuration = configuration("ROLLING");
    let mut world = deployed(&configuration).await;
    commit(&world, "2", &configuration);
    world.round().await;
    world.control.advance(Duration::from_secs(20));
    commit(&world, "3", &configuration);
    world.settle().await;
    world.control.reset_calls();
    commit(&world, "2", &configuration);
    let state = outcome(&mut world).await;
    assert_eq!(state.plan.verdict, Some(Verdict::Deployed), "it never failed: {:#?}", state.plan.withheld);
    assert_eq!(world.writes(), calls(&[("ecs:UpdateService", 1)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn alarms_and_hooks_are_causes_too() {
    let alarms = "alarms: { alarmNames: [errors], enable: true, rollback: true }";
    let hook = "lifecycleHooks: [{ hookTargetArn: \"arn:aws:lambda:eu-central-1:111111111111:function:smoke\", \
                roleArn: \"arn:aws:iam::111111111111:role/hooks\", lifecycleStages: [POST_TEST_TRAFFIC_SHIFT] }]";
    let configuration = format!("{{ strategy: BLUE_GREEN, bakeTimeInMinutes: 10, {alarms}, {hook}, {BREAKER} }}");
    let mut world = deployed(&configuration).await;
    commit(&world, "2", &configuration);
    for _ in 0..30 {
        world.round().await;
        world.control.advance(Duration::from_secs(20));
    }
    let state = world.reported("web");
    assert_eq!(state.plan.verdict, Some(Verdict::Progressing));
    assert_eq!(state.axes.health.reason, "BAKE_TIME, 100 % of the production traffic");
    world.control.set_alarm(ACCOUNT, REGION, "errors", lockstep_sandbox::AlarmState::Alarm);
    let state = outcome(&mut world).await;
    assert_eq!(state.plan.verdict, Some(Verdict::Rejected), "{:#?}", state.plan);
    let cause = state.plan.cause.unwrap();
    assert_eq!((cause.alarms.as_slice(), cause.rolled_back_to.as_str()), (["errors".to_owned()].as_slice(), "web:1"));
    assert!(state.plan.withheld[0].text.contains("alarm errors"), "{}", state.plan.withheld[0].text);

    world.control.set_alarm(ACCOUNT, REGION, "errors", lockstep_sandbox::AlarmState::Ok);
    world.control.set_hook("arn:aws:lambda:eu-central-1:111111111111:function:smoke", HookAnswer::Failed);
    commit(&world, "3", &configuration);
    let state = outcome(&mut world).await;
    assert_eq!(state.plan.verdict, Some(Verdict::Rejected), "{:#?}", state.plan);
    let text = &state.plan.withheld[0].text;
    assert!(text.contains("POST_TEST_TRAFFIC_SHIFT lifecycle hook(s) failed"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_is_followed_and_its_time_is_no_stall() {
    let hook = "lifecycleHooks: [{ targetType: PAUSE, lifecycleStages: [POST_TEST_TRAFFIC_SHIFT] }]";
    let configuration = format!("{{ strategy: BLUE_GREEN, bakeTimeInMinutes: 1, {hook} }}");
    let plain = "{ strategy: BLUE_GREEN, bakeTimeInMinutes: 1 }";
    let mut world = deployed(plain).await;
    commit(&world, "2", &configuration);
    for _ in 0..40 {
        world.round().await;
        world.control.advance(Duration::from_secs(120));
    }
    let state = world.reported("web");
    assert_eq!(state.plan.verdict, Some(Verdict::Progressing), "80 minutes of a pause are no stall");
    let rollout = state.plan.rollout.unwrap();
    assert_eq!(rollout.stage.as_str(), "POST_TEST_TRAFFIC_SHIFT");
    assert_eq!(rollout.pauses.len(), 1);
    // G9: since when, until when, what then, and how to go on or back.
    let pause = &rollout.pauses[0];
    assert_eq!(pause.expires_at - pause.since, 24 * 3600);
    let time = |at: i64| jiff::Timestamp::from_second(at).unwrap();
    let (since, until) = (time(pause.since), time(pause.expires_at));
    let text = format!("waits in a PAUSE hook since {since}; at {until} ECS rolls back by itself");
    assert!(state.plan.withheld.is_empty() && rollout.text().ends_with(&text), "{}", rollout.text());
    let lines = world.reported("web").plan.rollout_lines("prod");
    let how = "continue web with `lockstep continue web -e prod`, or roll it back with `lockstep continue web -e prod --rollback`";
    assert_eq!(lines.last().map(String::as_str), Some(how));
    assert_eq!(go_on(&world, &["-e", "prod"]).0, 2, "a service is named");
    let (code, _, stderr) = go_on(&world, &["web", "-e", "prod"]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains(&text) && stderr.contains("1 rollout will be continued."), "it is shown first: {stderr}");
    world.control.reset_calls();
    let (code, stdout, stderr) = go_on(&world, &["web", "-e", "prod", "--yes"]);
    assert_eq!((code, stdout.as_str()), (0, "prod/web  continued: web:2\n"), "{stderr}");
    assert_eq!(world.writes(), calls(&[("ecs:ContinueServiceDeployment", 1)]));
    let sent = world.control.journal(0).into_iter().rfind(|entry| entry.operation == "ContinueServiceDeployment");
    assert!(format!("{sent:?}").contains("CONTINUE"), "the action is always said: {sent:?}");
    assert_eq!(outcome(&mut world).await.plan.verdict, Some(Verdict::Deployed));
    let (code, stdout, _) = go_on(&world, &["web", "-e", "prod", "--yes"]);
    assert_eq!((code, stdout.starts_with("prod/web  it does not wait in a PAUSE hook")), (1, true), "{stdout}");
    // And back.
    commit(&world, "3", &configuration);
    for _ in 0..20 {
        world.round().await;
        world.control.advance(Duration::from_secs(30));
    }
    let (code, stdout, stderr) = go_on(&world, &["web", "-e", "prod", "--rollback", "--yes"]);
    assert_eq!((code, stdout.as_str()), (0, "prod/web  rolled back: web:3\n"), "{stderr}");
    assert_eq!(outcome(&mut world).await.plan.verdict, Some(Verdict::Rejected));
}

/// `lockstep continue` on the world's repository, with the agent's own credentials.
fn go_on(world: &World, arguments: &[&str]) -> (i32, String, String) {
    let mut command = lockstep(Some(&world.endpoint()));
    command.arg("continue").args(arguments).arg("-C").arg(world.repository.path());
    lockstep_tests::outcome(&mut command)
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_nobody_knows_yet_are_no_outcome() {
    let configuration = configuration("CANARY");
    let mut world = deployed(&configuration).await;
    for (member, value) in [("lifecycleStage", "FUTURE_STAGE"), ("status", "FUTURE_STATUS")] {
        let effect = Effect::Replace { member: member.to_owned(), value: json!(value) };
        world.control.add_fault(Fault::new("ecs:DescribeServiceDeployments", effect).when(When::First(20)));
    }
    commit(&world, "2", &configuration);
    for _ in 0..10 {
        world.round().await;
        let verdict = world.reported("web").plan.verdict;
        assert!(matches!(verdict, Some(Verdict::Progressing)), "{verdict:?}");
        world.control.advance(Duration::from_secs(20));
    }
    assert_eq!(outcome(&mut world).await.plan.verdict, Some(Verdict::Deployed));
}

fn refusal(code: &str, message: &str) -> Effect {
    Effect::Error { code: code.to_owned(), message: message.to_owned(), status: 400 }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ecs_refuses_at_once_is_rejected_in_its_words() {
    let configuration = configuration("ROLLING");
    let mut world = deployed(&configuration).await;
    let message = "The number of load balancers is above the maximum.";
    world.control.add_fault(Fault::new("ecs:UpdateService", refusal("InvalidParameterException", message)));
    commit(&world, "2", &configuration);
    world.round().await;
    let state = world.reported("web");
    assert_eq!(state.plan.verdict, Some(Verdict::Rejected));
    assert_eq!(
        state.plan.withheld[0].text,
        format!("rejected: failed to call ecs:UpdateService: InvalidParameterException: {message}")
    );
    world.control.clear_faults();
    world.round_with(&Orders { by_hand: true, begins: true, ..Orders::agent() }).await;
    assert_eq!(outcome(&mut world).await.plan.verdict, Some(Verdict::Deployed));
}

// C4: a conflict that passes is no verdict.
#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_that_passes_is_tried_again_and_no_verdict() {
    let configuration = configuration("ROLLING");
    let mut world = deployed(&configuration).await;
    let message = "Too many concurrent attempts to create a new revision of the specified family.";
    let fault = Fault::new("ecs:RegisterTaskDefinition", refusal("ClientException", message));
    world.control.add_fault(fault.when(When::First(2)));
    world.control.reset_calls();
    commit(&world, "2", &configuration);
    world.round().await;
    let state = world.reported("web");
    assert_eq!((reasons(&state), state.plan.verdict), (vec![Reason::WaitingForAws], Some(Verdict::Pending)));
    let text = &state.plan.withheld[0].text;
    assert!(text.starts_with("waiting for AWS: failed to call ecs:RegisterTaskDefinition: "), "{text}");
    assert_eq!(outcome(&mut world).await.plan.verdict, Some(Verdict::Deployed));
    assert_eq!(world.writes(), calls(&[("ecs:RegisterTaskDefinition", 3), ("ecs:UpdateService", 1)]));
    let told =
        |event: &Event| matches!(event.what, What::Failed { .. } | What::Verdict { verdict: Verdict::Rejected, .. });
    assert_eq!(world.happened().iter().filter(|event| told(event)).count(), 1, "said once");
}

// K4: what must exist first is waited for, by its name. D6: a write that fails is said once, and tried ever more rarely.
#[tokio::test(flavor = "multi_thread")]
async fn what_must_exist_first_is_waited_for_and_a_denied_write_is_said_once() {
    let cases = [
        (
            refusal("ClientException", "Role is not valid"),
            Reason::Prerequisite,
            "waiting for the role arn:aws:iam::111111111111:role/execution: ",
        ),
        (Effect::Deny, Reason::Failed, "failed to call ecs:RegisterTaskDefinition: "),
    ];
    for (effect, reason, start) in cases {
        let configuration = configuration("ROLLING");
        let mut world = deployed(&configuration).await;
        world.control.add_fault(Fault::new("ecs:RegisterTaskDefinition", effect));
        world.control.reset_calls();
        commit(&world, "2", &configuration);
        for _ in 0..60 {
            world.round().await;
            let state = world.reported("web");
            assert_eq!(reasons(&state), [reason]);
            assert!(state.plan.withheld[0].text.starts_with(start), "{}", state.plan.withheld[0].text);
            world.control.advance(Duration::from_secs(10));
        }
        let told = |event: &Event| matches!(event.what, What::Failed { .. } | What::Verdict { .. });
        assert_eq!(world.happened().iter().filter(|event| told(event)).count(), 1, "{reason:?}");
        // It goes on when it is there.
        world.control.clear_faults();
        assert_eq!(outcome(&mut world).await.plan.verdict, Some(Verdict::Deployed));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_goes_from_each_strategy_to_another() {
    let mut world = deployed(&configuration("CANARY")).await;
    for (at, strategy) in ["BLUE_GREEN", "LINEAR", "ROLLING", "CANARY", "ROLLING"].into_iter().enumerate() {
        commit(&world, GOOD[at % 2], &configuration(strategy));
        let state = outcome(&mut world).await;
        assert_eq!(state.plan.verdict, Some(Verdict::Deployed), "{strategy}: {:#?}", state.plan.withheld);
        let live = world.described("web").await;
        assert_eq!(live["deploymentConfiguration"]["strategy"], strategy);
        assert!(!world.round().await, "nothing differs");
    }
}
