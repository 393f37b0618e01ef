//! Alarms of CloudWatch, in both protocols.

use lockstep_sandbox::{AlarmState, Effect, Fault, Options};
use serde_json::{Value, json};

use crate::rig::{ACCOUNT, REGION, Rig, elements, pluck};

const DESCRIBE: &str = "GraniteServiceVersion20100801.DescribeAlarms";

fn set(rig: &Rig, name: &str, state: AlarmState) {
    rig.control.set_alarm(ACCOUNT, REGION, name, state);
}

#[tokio::test]
async fn an_alarm_is_in_the_state_that_it_was_put_in() {
    let rig = Rig::start().await;
    set(&rig, "web-errors", AlarmState::Ok);
    let created = rig.control.now();
    rig.advance(90.0);
    let (status, _) = rig.by_hand("POST", "/alarms", json!({ "name": "web-errors", "state": "ALARM" })).await;
    assert_eq!(status, 200);
    rig.advance(30.0);
    set(&rig, "web-errors", AlarmState::Alarm);
    let answer = rig.call(DESCRIBE, json!({ "AlarmNames": ["web-errors", "none"] })).await.unwrap();
    let expected = json!({
        "CompositeAlarms": [],
        "MetricAlarms": [{
            "AlarmName": "web-errors",
            "AlarmArn": format!("arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:web-errors"),
            "AlarmConfigurationUpdatedTimestamp": created,
            "ActionsEnabled": true,
            "OKActions": [], "AlarmActions": [], "InsufficientDataActions": [],
            "StateValue": "ALARM",
            "StateReason": "Threshold Crossed: 1 datapoint [10.0] was greater than the threshold (5.0).",
            "StateUpdatedTimestamp": created + 90.0,
            "MetricName": "Errors", "Namespace": "Sandbox", "Statistic": "Sum", "Dimensions": [],
            "Period": 60, "EvaluationPeriods": 1, "Threshold": 5.0,
            "ComparisonOperator": "GreaterThanThreshold",
            "StateTransitionedTimestamp": created + 90.0,
        }],
    });
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn alarms_are_found_and_paged() {
    let rig = Rig::with(Options { short_pages: true, ..Options::default() }).await;
    for (name, state) in [
        ("a1", AlarmState::Ok),
        ("a2", AlarmState::Alarm),
        ("a3", AlarmState::InsufficientData),
        ("b", AlarmState::Alarm),
    ] {
        set(&rig, name, state);
    }
    rig.control.set_alarm(ACCOUNT, "eu-west-1", "a4", AlarmState::Alarm);
    let names = |answer: &Value| pluck(answer, "MetricAlarms", "AlarmName").join(" ");
    let found = async |body: Value| names(&rig.call(DESCRIBE, body).await.unwrap());
    assert_eq!(found(json!({})).await, "a1 a2 a3 b");
    assert_eq!(found(json!({ "AlarmNamePrefix": "a", "StateValue": "INSUFFICIENT_DATA" })).await, "a3");
    assert_eq!(found(json!({ "AlarmTypes": ["CompositeAlarm"] })).await, "");
    assert_eq!(found(json!({ "ActionPrefix": "arn:aws:sns" })).await, "");
    // A short page holds one less than asked for.
    let page = rig.call(DESCRIBE, json!({ "MaxRecords": 3 })).await.unwrap();
    assert_eq!(names(&page), "a1 a2");
    let page = rig.call(DESCRIBE, json!({ "MaxRecords": 3, "NextToken": page["NextToken"] })).await.unwrap();
    assert_eq!((names(&page).as_str(), page.get("NextToken")), ("a3 b", None));
}

#[tokio::test]
async fn alarms_refuse_what_does_not_fit() {
    let rig = Rig::start().await;
    let code = async |body: Value| rig.call(DESCRIBE, body).await.unwrap_err().code;
    assert_eq!(code(json!({ "NextToken": "x" })).await, "InvalidNextToken");
    assert_eq!(code(json!({ "AlarmNames": vec!["a"; 101] })).await, "ValidationError");
    assert_eq!(code(json!({ "MaxRecords": 0 })).await, "ValidationError");
    assert_eq!(code(json!({ "StateValue": "FINE" })).await, "ValidationError");
    assert_eq!(code(json!({ "AlarmNames": ["a"], "AlarmNamePrefix": "a" })).await, "InvalidParameterCombination");
    assert_eq!(code(json!({ "ChildrenOfAlarmName": "a" })).await, "InvalidParameterValue");
    let other = rig.call("GraniteServiceVersion20100801.PutMetricAlarm", json!({})).await.unwrap_err();
    assert_eq!(other.code, "InvalidAction");
    rig.control.add_fault(Fault::new("cloudwatch:DescribeAlarms", Effect::Throttle));
    assert_eq!(code(json!({})).await, "Throttling");
}

#[tokio::test]
async fn alarms_speak_the_query_protocol_too() {
    let rig = Rig::start().await;
    set(&rig, "a&b", AlarmState::Alarm);
    set(&rig, "c", AlarmState::Ok);
    let form = [
        ("Action", "DescribeAlarms"),
        ("Version", "2010-08-01"),
        ("AlarmNames.member.1", "a&b"),
        ("AlarmNames.member.2", "c"),
        ("MaxRecords", "1"),
    ];
    let (status, xml) = rig.form("monitoring", &form).await;
    assert_eq!(status, 200, "{xml}");
    let head = "<DescribeAlarmsResponse xmlns=\"http://monitoring.amazonaws.com/doc/2010-08-01/\"><DescribeAlarmsResult><CompositeAlarms></CompositeAlarms><MetricAlarms><member><AlarmName>a&amp;b</AlarmName>";
    assert!(xml.starts_with(head), "{xml}");
    assert_eq!(elements(&xml, "StateValue"), ["ALARM"]);
    let since = elements(&xml, "StateUpdatedTimestamp")[0];
    assert!(since.len() == 24 && since.ends_with('Z'), "{since}");
    let next = [&form[..], &[("NextToken", elements(&xml, "NextToken")[0])]].concat();
    let (_, xml) = rig.form("monitoring", &next).await;
    assert_eq!(elements(&xml, "AlarmName"), ["c"]);
    let (status, xml) = rig.form("monitoring", &[("Action", "DescribeAlarms"), ("MaxRecords", "x")]).await;
    assert_eq!((status, elements(&xml, "Code")), (400, vec!["ValidationError"]));
    rig.control.add_fault(Fault::new("cloudwatch:*", Effect::Deny));
    let (status, xml) = rig.form("monitoring", &form).await;
    assert_eq!((status, elements(&xml, "Code")), (403, vec!["AccessDenied"]));
    assert_eq!(rig.control.calls()["cloudwatch:DescribeAlarms"], 4);
}
