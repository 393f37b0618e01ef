//! The agent is killed at each of its AWS calls in turn, before and after the call's effect. Whoever starts next ends
//! where an undisturbed agent ends: no second deployment of the same thing, at most one task definition revision more,
//! and no verdict lost.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lockstep_core::report::Verdict;
use lockstep_sandbox::{Behaviour, Effect, Fault, Timing, When};
use lockstep_tests::world::{ACCOUNT, ONE_ENVIRONMENT, REGION, World, service};
use serde_json::{Value, json};
use std::time::Duration;

const IMAGE: &str = "111111111111.dkr.ecr.eu-central-1.amazonaws.com/app";
/// The steps of the story, and the verdict that each ends with.
const STEPS: [(&str, Verdict); 5] = [
    ("create", Verdict::Deployed),
    ("another image", Verdict::Deployed),
    ("an edit by hand", Verdict::Deployed),
    ("an image that crashes", Verdict::Rejected),
    ("a good image", Verdict::Deployed),
];

/// Where and how the agent is killed.
#[derive(Clone, Copy, Debug)]
struct Kill {
    /// In which step.
    step: usize,
    /// At which of its calls, from 1.
    call: u64,
    timing: Timing,
    /// Whether the next agent finds the cache.
    keep_cache: bool,
}

fn commit(world: &World, tag: &str) {
    world.repository.commit(tag, &[("services/web/service.yaml", &service(&format!("{IMAGE}:{tag}")))]);
}

/// What happens in the world at the beginning of a step.
async fn begin(world: &World, step: usize) {
    match step {
        0 => {}
        1 => commit(world, "2"),
        2 => {
            let edit = json!({"cluster": "prod", "service": "web", "desiredCount": 0, "enableExecuteCommand": true});
            world.ecs("UpdateService", edit).await;
        }
        3 => commit(world, "bad"),
        _ => commit(world, "3"),
    }
}

/// Rounds until a step is over. With a fault armed: until it strikes, which is where the agent is killed.
async fn settle(world: &mut World, kill: Option<Kill>) {
    let mut armed = kill;
    if let Some(kill) = armed {
        let fault = Fault::new("*", Effect::Hang).when(When::Nth(kill.call)).timing(kill.timing);
        world.control.add_fault(fault);
    }
    for _ in 0..60 {
        let control = world.control.clone();
        let struck = async {
            while control.strikes() == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            biased;
            () = struck, if armed.is_some() => {}
            open = world.round() => {
                if !open {
                    break;
                }
                world.control.advance(Duration::from_secs(45));
                continue;
            }
        }
        // The round's future is gone, and everything in memory with it.
        let kill = armed.take().unwrap();
        world.control.clear_faults();
        world.restart(kill.keep_cache).await;
    }
    assert!(armed.is_none(), "the call never came: {kill:?}");
    world.control.clear_faults();
}

/// How the world ends, in what must be the same.
#[derive(Debug, PartialEq)]
struct End {
    service: Value,
    /// The service deployments, newest first: how each ended, and with which image.
    deployments: Vec<(String, String)>,
    /// The images of the task definition revisions, oldest first.
    revisions: Vec<String>,
    verdicts: Vec<Option<Verdict>>,
    /// Calls of each step.
    calls: Vec<u64>,
}

async fn story(kill: Option<Kill>) -> End {
    let app = service(&format!("{IMAGE}:1"));
    let mut world = World::new(&[("lockstep.yaml", ONE_ENVIRONMENT), ("services/web/service.yaml", &app)]).await;
    for tag in ["1", "2", "3"] {
        world.control.push_image(ACCOUNT, REGION, "app", tag, Behaviour::Ok);
    }
    world.control.push_image(ACCOUNT, REGION, "app", "bad", Behaviour::crash(1, Duration::from_secs(1)));
    let (mut verdicts, mut calls) = (Vec::new(), Vec::new());
    for step in 0..STEPS.len() {
        begin(&world, step).await;
        world.control.reset_calls();
        settle(&mut world, kill.filter(|kill| kill.step == step)).await;
        calls.push(world.calls().values().sum());
        verdicts.push(world.reported("web").plan.verdict);
    }
    end(&world, verdicts, calls).await
}

async fn end(world: &World, verdicts: Vec<Option<Verdict>>, calls: Vec<u64>) -> End {
    let live = world.described("web").await;
    let image = async |arn: &Value| {
        let found = world.ecs("DescribeTaskDefinition", json!({"taskDefinition": arn})).await;
        found["taskDefinition"]["containerDefinitions"][0]["image"].as_str().unwrap().replace(&format!("{IMAGE}:"), "")
    };
    let listed = world.ecs("ListServiceDeployments", json!({"cluster": "prod", "service": "web"})).await;
    let mut deployments = Vec::new();
    for one in listed["serviceDeployments"].as_array().unwrap() {
        let arns = json!({"serviceRevisionArns": [one["targetServiceRevisionArn"]]});
        let revision = world.ecs("DescribeServiceRevisions", arns).await["serviceRevisions"][0].clone();
        deployments.push((one["status"].as_str().unwrap().to_owned(), image(&revision["taskDefinition"]).await));
    }
    let listed = world.ecs("ListTaskDefinitions", json!({"familyPrefix": "web"})).await;
    let mut revisions = Vec::new();
    for arn in listed["taskDefinitionArns"].as_array().unwrap() {
        revisions.push(image(arn).await);
    }
    let mut tags: Vec<String> = live["tags"].as_array().unwrap().iter().map(|tag| tag["key"].to_string()).collect();
    tags.sort();
    let members = ["desiredCount", "runningCount", "enableExecuteCommand", "deploymentConfiguration", "status"];
    let mut service: Value = members.iter().map(|name| (name.to_string(), live[name].clone())).collect();
    service["image"] = json!(image(&live["taskDefinition"]).await);
    service["tags"] = json!(tags);
    End { service, deployments, revisions, verdicts, calls }
}

async fn killed_in(step: usize) {
    let undisturbed = story(None).await;
    let expected: Vec<Option<Verdict>> = STEPS.iter().map(|(_, verdict)| Some(*verdict)).collect();
    assert_eq!(undisturbed.verdicts, expected);
    let outcomes: Vec<&str> = undisturbed.deployments.iter().map(|(status, _)| status.as_str()).collect();
    assert_eq!(outcomes, ["SUCCESSFUL", "ROLLBACK_SUCCESSFUL", "SUCCESSFUL", "SUCCESSFUL"]);
    let mut wrong = Vec::new();
    for call in 1..=undisturbed.calls[step] {
        for timing in [Timing::Before, Timing::After] {
            let kill = Kill { step, call, timing, keep_cache: call % 2 == 0 };
            let End { service, deployments, mut revisions, verdicts, .. } = story(Some(kill)).await;
            let more = revisions.len().saturating_sub(undisturbed.revisions.len());
            revisions.dedup();
            let same = service == undisturbed.service
                && deployments == undisturbed.deployments
                && verdicts == undisturbed.verdicts
                && revisions == undisturbed.revisions
                && more <= 1;
            if !same {
                wrong.push(format!("{kill:?}: {service} {deployments:?} {revisions:?} and {more} more, {verdicts:?}"));
            }
        }
    }
    assert_eq!(wrong, [] as [String; 0], "step {:?}; undisturbed: {undisturbed:#?}", STEPS[step]);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_creates() {
    killed_in(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_deploys() {
    killed_in(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_heals() {
    killed_in(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_ecs_rejects() {
    killed_in(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_recovers() {
    killed_in(4).await;
}
