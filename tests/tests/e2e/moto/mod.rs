//! Against moto, an AWS that nobody here wrote: what is synced is what the next plan reads back, and what cannot be
//! done is said in one sentence. moto's rollouts never complete, so nothing here waits for one.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod rig;
mod services;

use rig::{Rig, differences, services};
use services::{BREADTH, CHAOS, DISKS, FARGATE, FILES, MESH, config};

use lockstep_tests::{
    moto::{ACCOUNT, REGION},
    outcome,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{collections::BTreeSet, process::Command};

/// What moto is known to drop.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Drop {
    service: String,
    path: String,
    evidence: String,
}

fn known_drops() -> Vec<Drop> {
    let list: Vec<Drop> = serde_yaml::from_str(include_str!("drops.yaml")).expect("drops.yaml is a list");
    assert!(list.iter().all(|entry| !entry.evidence.trim().is_empty()), "an entry has no evidence: {list:?}");
    list
}

#[test]
fn after_two_syncs_the_next_plan_is_empty() {
    let rig = Rig::new(FILES);
    rig.sync(&["--allow-dirty"]);
    rig.sync(&["--allow-dirty"]);
    rig.assert_nothing_to_do();
    rig.moto.forget();
    rig.sync(&["--allow-dirty"]);
    assert_eq!(rig.writes(), Vec::<String>::new(), "a third sync writes nothing");
    for family in ["web", "worker", "search", "mailer", "collector", "shop"] {
        assert_eq!(rig.revisions(family), [format!("{family}:1")], "nothing is registered twice");
    }
    let tags = |key: &str| {
        let live = rig.live("web");
        let tags = live["tags"].as_array().unwrap().clone();
        tags.iter().find(|tag| tag["key"] == key).map(|tag| tag["value"].as_str().unwrap().to_owned())
    };
    assert_eq!(tags("lockstep:source").as_deref(), Some("demo"));
    assert_eq!(tags("lockstep:environment").as_deref(), Some("prod"));
    assert_eq!(tags("lockstep:service").as_deref(), Some("web"));
    assert_eq!(tags("data-class").as_deref(), Some("public"));
}

#[test]
fn what_moto_drops_is_listed_and_nothing_else_differs() {
    let rig = Rig::new(&[
        ("components/fargate.yaml", FARGATE),
        ("services/chaos/service.yaml", CHAOS),
        ("services/mesh/service.yaml", MESH),
        ("services/disks/service.yaml", DISKS),
        ("services/breadth/service.yaml", BREADTH),
    ]);
    rig.sync(&["--allow-dirty"]);
    rig.sync(&["--allow-dirty"]);
    let (exit, plan) = rig.plan();
    let found = differences(&plan);
    let listed: BTreeSet<(String, String)> =
        known_drops().into_iter().map(|entry| (entry.service, entry.path)).collect();
    assert_eq!(
        listed.difference(&found).collect::<Vec<_>>(),
        Vec::<&(String, String)>::new(),
        "moto keeps these now: take them out of drops.yaml"
    );
    assert_eq!(
        found.difference(&listed).collect::<Vec<_>>(),
        Vec::<&(String, String)>::new(),
        "these differ and are not in drops.yaml: {plan:#}"
    );
    assert_eq!(exit, if listed.is_empty() { 0 } else { 4 });
}

#[test]
fn one_changed_image_is_one_registration_and_one_update() {
    let rig = Rig::new(FILES);
    rig.commit();
    rig.sync(&[]);
    rig.sync(&[]);
    rig.assert_nothing_to_do();
    rig.write("services/web/prod.pins.yaml", "web: 1.8.3\n");
    let (exit, stdout, stderr) = outcome(&mut rig.command(&["sync", "--source", "demo", "--yes", "--no-wait"]));
    assert_eq!((exit, stdout.as_str()), (2, ""), "uncommitted files are refused");
    assert!(stderr.contains("services/web/prod.pins.yaml") && stderr.contains("--allow-dirty"), "{stderr}");
    rig.commit();
    let (exit, plan) = rig.plan();
    assert_eq!(exit, 4);
    let image = "taskDefinition.containerDefinitions[web].image".to_owned();
    assert!(differences(&plan).contains(&("web".to_owned(), image)), "{plan:#}");
    assert!(differences(&plan).iter().all(|(service, _)| service == "web"), "{plan:#}");
    rig.moto.forget();
    rig.sync(&[]);
    assert_eq!(rig.writes(), ["ecs:RegisterTaskDefinition", "ecs:UpdateService"]);
    assert_eq!(rig.revisions("web"), ["web:1", "web:2"]);
    assert_eq!(rig.revisions("mailer"), ["mailer:1"]);
    let live = rig.live("web");
    assert!(live["taskDefinition"].as_str().unwrap().ends_with("/web:2"), "{live:#}");
    rig.assert_nothing_to_do();
}

#[test]
fn what_is_changed_by_hand_is_named_and_healed() {
    let rig = Rig::new(FILES);
    rig.commit();
    rig.sync(&[]);
    rig.sync(&[]);
    rig.moto.call("ecs:UpdateService", &json!({"cluster": "prod", "service": "worker", "desiredCount": 7}));
    let (exit, plan) = rig.plan();
    assert_eq!(exit, 4);
    assert_eq!(differences(&plan), BTreeSet::from([("worker".to_owned(), "service.desiredCount".to_owned())]));
    rig.moto.forget();
    rig.sync(&[]);
    assert_eq!(rig.writes(), ["ecs:UpdateService"]);
    assert_eq!(rig.live("worker")["desiredCount"], 2);
    rig.assert_nothing_to_do();
}

/// The plan of something that cannot be looked at: exit code 1, and one sentence on each service.
fn refused(rig: &Rig, command: &mut Command, reason: &str, sentence: &str) {
    let (exit, stdout, stderr) = outcome(command);
    assert_eq!(exit, 1, "{stdout}{stderr}");
    let plan: Value = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}{stderr}"));
    assert_eq!(services(&plan).count(), 6);
    for service in services(&plan) {
        assert_eq!(service["sync"], "Unknown", "{plan:#}");
        assert_eq!(service["actions"], json!([]), "{plan:#}");
        let withheld = service["withheld"].as_array().unwrap();
        assert_eq!(withheld.len(), 1, "{plan:#}");
        assert_eq!(withheld[0]["reason"], reason, "{plan:#}");
        let text = withheld[0]["text"].as_str().unwrap();
        assert!(text.contains(sentence) && !text.contains('\n'), "{text}");
    }
    assert!(rig.writes().iter().all(|call| !call.starts_with("ecs:")), "{:?}", rig.writes());
    assert_eq!(stderr, "");
}

const PLAN: &[&str] = &["plan", "--exit-code", "--output", "json"];
const SYNC: &[&str] = &["sync", "--source", "demo", "--yes", "--no-wait", "--allow-dirty", "--output", "json"];

#[test]
fn a_wrong_account_is_said_before_anything_is_read() {
    let rig = Rig::new(FILES);
    rig.write("lockstep.yaml", &config("999999999999", "prod"));
    rig.moto.forget();
    let sentence = format!("the credentials are for account {ACCOUNT}, not 999999999999");
    for arguments in [PLAN, SYNC] {
        refused(&rig, &mut rig.command(arguments), "wrongAccount", &sentence);
    }
    assert_eq!(rig.moto.calls(), Vec::<String>::new(), "GetCallerIdentity is no JSON call");
}

#[test]
fn a_missing_cluster_is_said() {
    let rig = Rig::new(FILES);
    rig.write("lockstep.yaml", &config(ACCOUNT, "nope"));
    rig.moto.forget();
    let sentence = format!("the cluster nope does not exist in account {ACCOUNT} and region {REGION}");
    for arguments in [PLAN, SYNC] {
        refused(&rig, &mut rig.command(arguments), "unread", &sentence);
    }
}

#[test]
fn an_endpoint_that_nobody_answers_is_said() {
    let rig = Rig::new(FILES);
    rig.moto.forget();
    // The port of a server that has ended.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for arguments in [PLAN, SYNC] {
        let mut command = rig.command(arguments);
        command.env("AWS_ENDPOINT_URL", format!("http://{closed}"));
        refused(&rig, &mut command, "unread", "failed to call sts:GetCallerIdentity: ");
    }
}

#[test]
fn credentials_that_are_not_there_are_said() {
    let rig = Rig::new(FILES);
    rig.moto.forget();
    for arguments in [PLAN, SYNC] {
        let mut command = rig.command(arguments);
        command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
        let (exit, stdout, stderr) = outcome(&mut command);
        assert_eq!(exit, 1, "{stdout}{stderr}");
        let plan: Value = serde_json::from_str(&stdout).unwrap();
        for service in services(&plan) {
            let text = service["withheld"][0]["text"].as_str().unwrap();
            assert!(text.contains("credentials") && !text.contains('\n'), "{text}");
            // There is no other account in this story.
            assert_ne!(service["withheld"][0]["reason"], "wrongAccount", "{text}");
        }
    }
}
