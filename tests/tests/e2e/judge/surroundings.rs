//! What a rollout touches beside ECS: alarms, load balancers, logs, queues.

use super::story::{Story, over};
use lockstep_sandbox::{AlarmState, TargetState};
use lockstep_tests::moto::{ACCOUNT, REGION};
use serde_json::{Value, json};
use std::time::Duration;

const ALARMS: &str = "cloudwatch:DescribeAlarms";

/// Alarms in both protocols.
pub(crate) fn alarms(story: &Story) {
    let control = &story.emulator.control;
    for (name, state) in [("cpu", AlarmState::Ok), ("a<b&c", AlarmState::Alarm), ("thin", AlarmState::InsufficientData)]
    {
        control.set_alarm(ACCOUNT, REGION, name, state);
        control.advance(Duration::from_millis(1_250));
    }
    let named = json!({"AlarmNames": ["cpu", "a<b&c", "ghost"], "AlarmTypes": ["MetricAlarm"]});
    for input in [json!({}), named, json!({"StateValue": "ALARM"}), json!({"AlarmNamePrefix": "none"})] {
        story.ok(ALARMS, input.clone());
        assert_eq!(story.form(ALARMS, &input).status, 200);
    }
    let listed = story.pages(ALARMS, json!({}), "NextToken", "MaxRecords", "MetricAlarms");
    assert!(listed.len() >= 3);
    let page = story.form(ALARMS, &json!({"MaxRecords": 1})).body;
    assert_eq!(page["MetricAlarms"].as_array().unwrap().len(), 1);
    for (input, code) in [
        (json!({"NextToken": "x"}), "InvalidNextToken"),
        (json!({"MaxRecords": 0}), "ValidationError"),
        (json!({"AlarmNames": ["a"], "AlarmNamePrefix": "a"}), "InvalidParameterCombination"),
        (json!({"ChildrenOfAlarmName": "a"}), "InvalidParameterValue"),
    ] {
        assert_eq!(story.form(ALARMS, &input).code(), Some(code));
        story.no(ALARMS, input, code);
    }
}

/// A load balancer for web, one for another protocol, and the health of targets.
pub(crate) fn balancers(story: &Story) {
    let control = &story.emulator.control;
    let call = |operation: &str| format!("elasticloadbalancing:{operation}");
    let group = |name: &str| control.create_target_group(ACCOUNT, REGION, name);
    let (blue, green, udp) = (group("blue"), group("green"), group("dns"));
    let listen =
        |balancer: &str, port, groups: &[(&str, u32)]| control.create_listener(ACCOUNT, REGION, balancer, port, groups);
    let listener = listen("shop", 443, &[(&blue, 90), (&green, 10)]);
    listen("shop", 80, &[(&blue, 1)]);
    listen("net/dns", 53, &[(&udp, 1)]);
    let rule = control.create_rule(ACCOUNT, REGION, &listener, &[(&blue, 100), (&green, 0)]).unwrap();
    let states = [TargetState::Initial, TargetState::Healthy, TargetState::Unhealthy, TargetState::Draining];
    for (at, state) in (1..).zip(states) {
        assert!(control.set_target(ACCOUNT, REGION, &blue, &format!("10.0.0.{at}"), 8080, state));
    }
    let listed = marked(story, &call("DescribeTargetGroups"), json!({}), "TargetGroups");
    let balancer = listed.iter().find(|one| one["TargetGroupArn"] == json!(blue)).unwrap()["LoadBalancerArns"].clone();
    for input in
        [json!({"TargetGroupArns": [blue, udp]}), json!({"Names": ["green"]}), json!({"LoadBalancerArn": balancer[0]})]
    {
        story.ok(&call("DescribeTargetGroups"), input);
    }
    assert_eq!(
        marked(story, &call("DescribeListeners"), json!({"LoadBalancerArn": balancer[0]}), "Listeners").len(),
        2
    );
    story.ok(&call("DescribeListeners"), json!({"ListenerArns": [listener]}));
    assert_eq!(marked(story, &call("DescribeRules"), json!({"ListenerArn": listener}), "Rules").len(), 2);
    story.ok(&call("DescribeRules"), json!({"RuleArns": [rule]}));
    let some = json!([{"Id": "10.0.0.2"}, {"Id": "10.0.0.9", "Port": 9}]);
    for input in [
        json!({"TargetGroupArn": blue}),
        json!({"TargetGroupArn": blue, "Targets": some}),
        json!({"TargetGroupArn": green}),
    ] {
        story.ok(&call("DescribeTargetHealth"), input);
    }
    let ghost = blue.replace("blue", "ghost");
    for (operation, input, code) in [
        ("DescribeTargetGroups", json!({"TargetGroupArns": [ghost]}), "TargetGroupNotFound"),
        ("DescribeTargetGroups", json!({"LoadBalancerArn": "ghost"}), "LoadBalancerNotFound"),
        ("DescribeTargetGroups", json!({"PageSize": 401}), "ValidationError"),
        ("DescribeTargetGroups", json!({"Marker": "x"}), "ValidationError"),
        ("DescribeListeners", json!({"ListenerArns": [ghost]}), "ListenerNotFound"),
        ("DescribeListeners", json!({}), "ValidationError"),
        ("DescribeRules", json!({"RuleArns": [ghost]}), "RuleNotFound"),
        ("DescribeRules", json!({"ListenerArn": ghost}), "ListenerNotFound"),
        ("DescribeTargetHealth", json!({"TargetGroupArn": ghost}), "TargetGroupNotFound"),
        ("DescribeTargetHealth", json!({}), "ValidationError"),
        ("DescribeLoadBalancers", json!({}), "InvalidAction"),
    ] {
        story.no(&call(operation), input, code);
    }
}

/// All pages of a list of a load balancer.
fn marked(story: &Story, operation: &str, mut input: Value, items: &str) -> Vec<Value> {
    input["PageSize"] = json!(1);
    let mut all = Vec::new();
    loop {
        let page = story.ok(operation, input.clone());
        all.extend(page[items].as_array().unwrap().clone());
        match page.get("NextMarker") {
            Some(next) => input["Marker"] = next.clone(),
            None => return all,
        }
    }
}

pub(crate) fn logs(story: &Story) {
    let call = |operation: &str| format!("logs:{operation}");
    let (group, stream) = (json!({"logGroupName": "/shop/web"}), json!({"logStreamName": "web/1"}));
    let both = over(group.clone(), stream);
    story.ok(&call("CreateLogGroup"), over(group.clone(), json!({"logGroupClass": "INFREQUENT_ACCESS"})));
    story.no(&call("CreateLogGroup"), group.clone(), "ResourceAlreadyExistsException");
    story.no(&call("CreateLogGroup"), json!({"logGroupName": "a b"}), "InvalidParameterException");
    story.no(
        &call("CreateLogStream"),
        over(both.clone(), json!({"logGroupName": "/ghost"})),
        "ResourceNotFoundException",
    );
    story.ok(&call("CreateLogStream"), both.clone());
    story.no(&call("CreateLogStream"), both.clone(), "ResourceAlreadyExistsException");
    story.ok(&call("DescribeLogStreams"), group.clone());
    let now = (story.emulator.control.now() * 1000.0) as u64;
    let lines: Vec<Value> =
        (0..5).map(|at| json!({"timestamp": now + at, "message": format!("line {at} ü")})).collect();
    let reversed: Vec<&Value> = lines.iter().rev().collect();
    story.ok(&call("PutLogEvents"), over(both.clone(), json!({"logEvents": lines})));
    story.no(&call("PutLogEvents"), over(both.clone(), json!({"logEvents": reversed})), "InvalidParameterException");
    story.emulator.control.put_log_events(ACCOUNT, REGION, "/shop/web", "web/2", &["one", "two"]);
    let listed = story.pages(&call("DescribeLogGroups"), json!({}), "nextToken", "limit", "logGroups");
    assert!(!listed.is_empty());
    story.ok(&call("DescribeLogGroups"), json!({"logGroupNamePattern": "shop", "logGroupClass": "STANDARD"}));
    story.no(&call("DescribeLogGroups"), json!({"limit": 51}), "InvalidParameterException");
    let ordered = over(group.clone(), json!({"orderBy": "LastEventTime", "descending": true}));
    assert_eq!(story.pages(&call("DescribeLogStreams"), ordered, "nextToken", "limit", "logStreams").len(), 2);
    story.no(&call("DescribeLogStreams"), json!({"logGroupName": "/ghost"}), "ResourceNotFoundException");
    for more in [
        json!({"limit": 2}),
        json!({"limit": 2, "startFromHead": true}),
        json!({"startTime": now + 1, "endTime": now + 3}),
    ] {
        let page = story.ok(&call("GetLogEvents"), over(both.clone(), more));
        for token in ["nextForwardToken", "nextBackwardToken"] {
            story.ok(&call("GetLogEvents"), over(both.clone(), json!({"nextToken": page[token]})));
        }
    }
    story.no(&call("GetLogEvents"), over(both.clone(), json!({"nextToken": "x"})), "InvalidParameterException");
    story.no(&call("GetLogEvents"), over(both, json!({"logStreamName": "ghost"})), "ResourceNotFoundException");
    assert_eq!(story.pages(&call("FilterLogEvents"), group.clone(), "nextToken", "limit", "events").len(), 7);
    story.ok(&call("FilterLogEvents"), over(group.clone(), json!({"logStreamNames": ["web/1"], "startTime": now + 4})));
    story.no(&call("FilterLogEvents"), over(group, json!({"logStreamNames": ["ghost"]})), "ResourceNotFoundException");
}

pub(crate) fn queues(story: &Story) {
    let call = |operation: &str| format!("sqs:{operation}");
    let new = json!({"QueueName": "jobs", "Attributes": {"VisibilityTimeout": "5", "Policy": "{}"}});
    let url = story.ok(&call("CreateQueue"), new.clone())["QueueUrl"].clone();
    story.no(&call("CreateQueue"), over(new, json!({"Attributes": {"VisibilityTimeout": "6"}})), "QueueNameExists");
    story.no(&call("CreateQueue"), json!({"QueueName": "a b"}), "InvalidParameterValue");
    story.ok(&call("GetQueueUrl"), json!({"QueueName": "jobs"}));
    story.no(&call("GetQueueUrl"), json!({"QueueName": "ghost"}), "QueueDoesNotExist");
    let at = |more: Value| over(json!({"QueueUrl": url}), more);
    let attributes = json!({"kind": {"DataType": "String", "StringValue": "push"}});
    story.ok(&call("SendMessage"), at(json!({"MessageBody": "one", "MessageAttributes": attributes})));
    for (body, delay) in [("two", 0), ("three", 60)] {
        story.ok(&call("SendMessage"), at(json!({"MessageBody": body, "DelaySeconds": delay})));
    }
    story.no(&call("SendMessage"), at(json!({"MessageBody": "\u{1}"})), "InvalidMessageContents");
    for names in [json!(["All"]), json!(["QueueArn"]), json!([])] {
        story.ok(&call("GetQueueAttributes"), at(json!({"AttributeNames": names})));
    }
    story.no(&call("GetQueueAttributes"), at(json!({"AttributeNames": ["Colour"]})), "InvalidAttributeName");
    let all =
        json!({"MessageSystemAttributeNames": ["All"], "MessageAttributeNames": ["All"], "MaxNumberOfMessages": 10});
    let received = story.ok(&call("ReceiveMessage"), at(all));
    let handles: Vec<&Value> =
        received["Messages"].as_array().unwrap().iter().map(|one| &one["ReceiptHandle"]).collect();
    assert_eq!(handles.len(), 2);
    assert!(story.ok(&call("ReceiveMessage"), at(json!({}))).get("Messages").is_none());
    story.no(&call("ReceiveMessage"), at(json!({"MaxNumberOfMessages": 11})), "InvalidParameterValue");
    story.ok(&call("ChangeMessageVisibility"), at(json!({"ReceiptHandle": handles[0], "VisibilityTimeout": 0})));
    let late = at(json!({"ReceiptHandle": handles[0], "VisibilityTimeout": 9}));
    story.no(&call("ChangeMessageVisibility"), late, "MessageNotInflight");
    let entries = json!([{"Id": "a", "ReceiptHandle": handles[1]}, {"Id": "b", "ReceiptHandle": "ghost"}]);
    let ended = story.ok(&call("DeleteMessageBatch"), at(json!({"Entries": entries})));
    assert_eq!((ended["Successful"].as_array().unwrap().len(), ended["Failed"].as_array().unwrap().len()), (1, 1));
    story.no(&call("DeleteMessageBatch"), at(json!({"Entries": []})), "EmptyBatchRequest");
    story.ok(&call("DeleteMessage"), at(json!({"ReceiptHandle": handles[0]})));
    story.no(&call("DeleteMessage"), at(json!({"ReceiptHandle": "ghost"})), "ReceiptHandleIsInvalid");
    story.ok(&call("PurgeQueue"), at(json!({})));
    story.no(&call("PurgeQueue"), at(json!({})), "PurgeQueueInProgress");
}
