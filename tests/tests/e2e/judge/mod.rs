//! One long story on the sandbox, over the wire: every operation, answered and refused. The judge reads the whole journal.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod ecs;
mod neighbours;
mod shifting;
mod story;
mod surroundings;

use lockstep_sandbox::{Behaviour, JournalEntry, Options};
use lockstep_tests::{
    judge::{judge, run},
    moto::{ACCOUNT, REGION},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};
use story::Story;

/// Every operation that the sandbox checks the input of, which are all but those of STS.
fn operations() -> BTreeSet<String> {
    let shapes: Value = serde_json::from_str(include_str!("../../../../agent/sandbox/src/wire/shapes.json")).unwrap();
    let services = shapes.as_object().unwrap().iter();
    let named = services.flat_map(|(service, model)| {
        model["operations"].as_object().unwrap().keys().map(move |operation| format!("{service}:{operation}"))
    });
    named.chain(["sts:GetCallerIdentity".to_owned(), "sts:AssumeRole".to_owned()]).collect()
}

/// What the story must have passed through, for its answers to be worth judging: of an operation's list a member, or what
/// is below it, with its values.
const SEEN: [(&str, &str, &str, &[&str]); 14] = [
    (
        "DescribeServiceDeployments",
        "serviceDeployments",
        "status",
        &[
            "PENDING",
            "IN_PROGRESS",
            "SUCCESSFUL",
            "STOP_REQUESTED",
            "STOPPED",
            "ROLLBACK_REQUESTED",
            "ROLLBACK_IN_PROGRESS",
            "ROLLBACK_SUCCESSFUL",
            "ROLLBACK_FAILED",
        ],
    ),
    (
        "DescribeServiceDeployments",
        "serviceDeployments",
        "lifecycleStage",
        &[
            "RECONCILE_SERVICE",
            "PRE_SCALE_UP",
            "SCALE_UP",
            "POST_SCALE_UP",
            "TEST_TRAFFIC_SHIFT",
            "POST_TEST_TRAFFIC_SHIFT",
            "PRE_PRODUCTION_TRAFFIC_SHIFT",
            "PRODUCTION_TRAFFIC_SHIFT",
            "POST_PRODUCTION_TRAFFIC_SHIFT",
            "BAKE_TIME",
            "CLEAN_UP",
        ],
    ),
    (
        "DescribeServiceDeployments",
        "serviceDeployments",
        "lifecycleHookDetails.status",
        &["AWAITING_ACTION", "IN_PROGRESS", "SUCCEEDED", "FAILED", "TIMED_OUT"],
    ),
    (
        "DescribeServiceDeployments",
        "serviceDeployments",
        "alarms.status",
        &["DISABLED", "MONITORING", "TRIGGERED", "MONITORING_COMPLETE"],
    ),
    (
        "DescribeServiceDeployments",
        "serviceDeployments",
        "deploymentConfiguration.strategy",
        &["ROLLING", "BLUE_GREEN", "LINEAR", "CANARY"],
    ),
    ("DescribeServices", "services", "status", &["ACTIVE", "DRAINING", "INACTIVE"]),
    ("DescribeServices", "services", "schedulingStrategy", &["REPLICA", "DAEMON"]),
    ("DescribeServices", "services", "resourceManagementType", &["ECS"]),
    ("DescribeServices", "services", "taskSets.stabilityStatus", &["STABILIZING", "STEADY_STATE"]),
    ("DescribeTaskDefinition", "taskDefinition", "status", &["ACTIVE", "INACTIVE"]),
    (
        "DescribeTasks",
        "tasks",
        "lastStatus",
        &["PROVISIONING", "PENDING", "ACTIVATING", "RUNNING", "DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED"],
    ),
    (
        "DescribeTasks",
        "tasks",
        "stopCode",
        &[
            "TaskFailedToStart",
            "EssentialContainerExited",
            "UserInitiated",
            "ServiceSchedulerInitiated",
            "SpotInterruption",
        ],
    ),
    (
        "DescribeTargetHealth",
        "TargetHealthDescriptions",
        "TargetHealth.State",
        &["initial", "healthy", "unhealthy", "draining", "unused"],
    ),
    ("DescribeAlarms", "MetricAlarms", "StateValue", &["OK", "ALARM", "INSUFFICIENT_DATA"]),
];

/// The texts at a path, through all lists on the way.
fn texts(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match (value, path.split_once('.').unwrap_or((path, ""))) {
        (Value::Array(items), _) => items.iter().for_each(|item| texts(item, path, found)),
        (Value::String(text), ("", _)) => drop(found.insert(text.clone())),
        (value, (first, rest)) => {
            if let Some(inner) = value.get(first) {
                texts(inner, rest, found);
            }
        }
    }
}

/// The values of a member of an answer's list, or of its one thing.
fn seen(journal: &[JournalEntry], operation: &str, list: &str, member: &str) -> BTreeSet<String> {
    let answers = journal.iter().filter(|entry| entry.operation == operation).filter_map(|entry| entry.answer.as_ref());
    let mut found = BTreeSet::new();
    answers.for_each(|answer| texts(answer, &format!("{list}.{member}"), &mut found));
    found
}

fn answered(journal: &[JournalEntry], fine: bool) -> BTreeSet<String> {
    let entries = journal.iter().filter(|entry| (entry.status == 200) == fine);
    entries.map(|entry| format!("{}:{}", entry.service, entry.operation)).collect()
}

fn tell(options: Options) {
    let story = Story::new(Options { expire_sessions: true, ..options });
    let control = &story.emulator.control;
    control.put_parameter(ACCOUNT, REGION, "/shop/b", "SecureString", "b");
    let stuck =
        Behaviour::start_failure("ResourceInitializationError: unable to pull secrets", Duration::from_secs(20));
    story.push("1", Behaviour::Ok);
    story.push("2", Behaviour::Ok);
    story.push("crash", Behaviour::crash(1, Duration::from_secs(5)));
    story.push("oom", Behaviour::OutOfMemory { after_running_seconds: 5.0 });
    story.push("slow", stuck);
    story.push("gone", Behaviour::Missing);
    story.push("ill", Behaviour::Unhealthy);
    ecs::clusters(&story);
    ecs::definitions(&story);
    ecs::services(&story);
    ecs::rollouts(&story);
    ecs::tasks(&story);
    ecs::endings(&story);
    surroundings::alarms(&story);
    surroundings::balancers(&story);
    shifting::strategies(&story);
    shifting::others(&story);
    shifting::odd_reads(&story);
    shifting::failures(&story);
    surroundings::logs(&story);
    surroundings::queues(&story);
    neighbours::registries(&story);
    neighbours::parameters(&story);
    neighbours::secrets(&story);
    neighbours::scaling(&story);
    neighbours::identities(&story);
    neighbours::faults(&story);
    let journal = control.journal(0);
    let missing = |fine| operations().difference(&answered(&journal, fine)).cloned().collect::<Vec<_>>();
    assert_eq!((missing(true), missing(false)), (vec![], vec![]), "never answered, never refused");
    for (operation, list, member, expected) in SEEN {
        let values = seen(&journal, operation, list, member);
        let missing: Vec<_> = expected.iter().filter(|value| !values.contains(**value)).collect();
        assert!(missing.is_empty(), "{operation} never showed {member} {missing:?}: {values:?}");
    }
    let judged = judge(&journal);
    assert_eq!(judged, journal.len());
    let rendered = story.rendered();
    let spoken = |fine: bool| {
        let entries = rendered.iter().filter(move |entry| (entry["status"] == 200) == fine);
        entries.map(|entry| entry["operation"].as_str().unwrap()).collect::<BTreeSet<_>>()
    };
    for operation in
        ["DescribeAlarms", "DescribeListeners", "DescribeRules", "DescribeTargetGroups", "DescribeTargetHealth"]
    {
        assert!(spoken(true).contains(operation) && spoken(false).contains(operation), "no XML of {operation}");
    }
    assert_eq!(run(&rendered), (String::new(), format!("judged {}", rendered.len())));
}

#[test]
fn every_answer_is_as_the_service_model_says() {
    tell(Options::default());
}

#[test]
fn every_answer_is_so_in_another_order_and_on_short_pages() {
    tell(Options { seed: 2, shuffle_sets: true, short_pages: true, ..Options::default() });
}

/// A judge that finds nothing may be blind.
#[test]
fn the_judge_finds_what_is_wrong() {
    let entry = |operation: &str, status: u16, answer: Value| JournalEntry {
        sequence: 1,
        time: 0.0,
        account: ACCOUNT.to_owned(),
        region: REGION.to_owned(),
        caller: String::new(),
        service: "ecs".to_owned(),
        operation: operation.to_owned(),
        request: json!({}),
        status,
        error: None,
        answer: Some(answer),
    };
    let service = |member: &str, value: Value| entry("CreateService", 200, json!({"service": { member: value }}));
    let error = |code: &str, status: u16| entry("ListServices", status, json!({"__type": code, "message": "no"}));
    let cases = [
        (service("desired", json!(1)), r#"Unknown parameter in service: "desired""#),
        (service("desiredCount", json!("1")), "Invalid type for parameter service.desiredCount"),
        (service("launchType", json!("MOON")), "service.launchType: 'MOON' is not in the enum LaunchType"),
        (service("createdAt", json!("2026-01-01T00:00:00Z")), "is not a number of epoch seconds"),
        (service("createdAt", json!(1.0001)), "is finer than a millisecond"),
        (service("enableExecuteCommand", json!(null)), "Invalid type for parameter service.enableExecuteCommand"),
        (service("desiredCount", json!(true)), "service.desiredCount: True is not a number"),
        (
            service("deploymentConfiguration", json!({"deploymentCircuitBreaker": {"enable": true}})),
            r#"Missing required parameter in service.deploymentConfiguration.deploymentCircuitBreaker: "rollback""#,
        ),
        (error("ServiceNotFoundException", 400), "is neither the operation's nor a common one"),
        (error("ClusterNotFoundException", 404), "has the status 404, not 400"),
        (error("ServerException", 400), "has the status 400, not 500"),
        (entry("Dance", 200, json!({})), "the model does not have the operation"),
    ];
    for (entry, finding) in cases {
        let (findings, _) = run(&[&entry]);
        assert!(findings.contains(finding), "{:?}: {findings}", entry.answer);
        assert_eq!(findings.lines().count(), 1, "{findings}");
    }
    // The same of XML that does not say what it was rendered from.
    let alarm = |xml: &str| {
        let result = format!("<DescribeAlarmsResult>{xml}</DescribeAlarmsResult>");
        let id = "<ResponseMetadata><RequestId>1</RequestId></ResponseMetadata>";
        json!({
            "sequence": 1, "service": "cloudwatch", "operation": "DescribeAlarms", "status": 200,
            "answer": {"MetricAlarms": [{"AlarmName": "a", "Threshold": 5.0}]},
            "xml": format!("<DescribeAlarmsResponse>{result}{id}</DescribeAlarmsResponse>"),
        })
    };
    let list = |member: &str| format!("<MetricAlarms><member>{member}</member></MetricAlarms>");
    let right = list("<AlarmName>a</AlarmName><Threshold>5.0</Threshold>");
    assert_eq!(run(&[alarm(&right)]), (String::new(), "judged 1".to_owned()));
    for (xml, finding) in [
        (list("<AlarmName>b</AlarmName><Threshold>5.0</Threshold>"), "the XML reads as"),
        (list("<AlarmName>a</AlarmName>"), "the XML reads as"),
        ("<MetricAlarms>".to_owned(), "the XML cannot be read"),
    ] {
        let (findings, _) = run(&[alarm(&xml)]);
        assert!(findings.contains(finding), "{xml}: {findings}");
    }
    let future = service("status", json!("FUTURE_STATUS"));
    assert_eq!(run(&[&future]), (String::new(), "judged 1".to_owned()));
}
