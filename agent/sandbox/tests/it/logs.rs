//! CloudWatch Logs.

use lockstep_sandbox::{Effect, Fault, Options};
use serde_json::{Value, json};

use crate::rig::{ACCOUNT, REGION, Rig, pluck};

async fn logs(rig: &Rig, operation: &str, body: Value) -> Result<Value, crate::rig::Fault> {
    rig.call(&format!("Logs_20140328.{operation}"), body).await
}

fn put(rig: &Rig, stream: &str, lines: &[&str]) {
    rig.control.put_log_events(ACCOUNT, REGION, "/ecs/web", stream, lines);
}

fn messages(answer: &Value) -> String {
    pluck(answer, "events", "message").join(" ")
}

#[tokio::test]
async fn groups_and_streams_are_made_once() {
    let rig = Rig::start().await;
    let code = async |operation: &str, body: Value| {
        let fault = logs(&rig, operation, body).await.unwrap_err();
        (fault.status, fault.code)
    };
    let (exists, absent) =
        ((400, "ResourceAlreadyExistsException".to_owned()), (400, "ResourceNotFoundException".to_owned()));
    let (group, stream) =
        (json!({ "logGroupName": "/ecs/web" }), json!({ "logGroupName": "/ecs/web", "logStreamName": "s" }));
    assert_eq!(code("CreateLogStream", stream.clone()).await, absent);
    assert_eq!(code("DescribeLogStreams", group.clone()).await, absent);
    assert_eq!(logs(&rig, "CreateLogGroup", group.clone()).await, Ok(json!({})));
    assert_eq!(code("CreateLogGroup", group.clone()).await, exists);
    assert_eq!(code("GetLogEvents", stream.clone()).await, absent);
    assert_eq!(logs(&rig, "CreateLogStream", stream.clone()).await, Ok(json!({})));
    assert_eq!(code("CreateLogStream", stream).await, exists);
    let created = (rig.control.now() * 1000.0).round() as u64;
    let arn = format!("arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/ecs/web");
    let groups = logs(&rig, "DescribeLogGroups", json!({ "logGroupNamePrefix": "/ecs" })).await.unwrap();
    let expected = json!({ "logGroups": [{
        "logGroupName": "/ecs/web", "creationTime": created, "metricFilterCount": 0, "arn": format!("{arn}:*"),
        "storedBytes": 0, "logGroupClass": "STANDARD", "logGroupArn": arn,
    }]});
    assert_eq!(groups, expected);
    let streams = logs(&rig, "DescribeLogStreams", json!({ "logGroupIdentifier": arn })).await.unwrap();
    let expected = json!({ "logStreams": [{
        "logStreamName": "s", "creationTime": created, "arn": format!("{arn}:log-stream:s"), "storedBytes": 0,
    }]});
    assert_eq!(streams, expected);
    assert_eq!(code("CreateLogGroup", json!({ "logGroupName": "a b" })).await.1, "InvalidParameterException");
    assert_eq!(code("CreateLogGroup", json!({})).await.1, "InvalidParameterException");
    assert_eq!(code("DeleteLogGroup", group).await.1, "UnknownOperationException");
}

#[tokio::test]
async fn groups_and_streams_are_paged() {
    let rig = Rig::with(Options { short_pages: true, ..Options::default() }).await;
    for name in ["a", "b", "c"] {
        rig.control.put_log_events(ACCOUNT, REGION, name, "s", &[]);
        logs(&rig, "CreateLogGroup", json!({ "logGroupName": name })).await.unwrap();
    }
    let page = logs(&rig, "DescribeLogGroups", json!({ "limit": 3 })).await.unwrap();
    assert_eq!(pluck(&page, "logGroups", "logGroupName"), ["a", "b"]);
    let page = logs(&rig, "DescribeLogGroups", json!({ "limit": 3, "nextToken": page["nextToken"] })).await.unwrap();
    assert_eq!((pluck(&page, "logGroups", "logGroupName"), page.get("nextToken")), (vec!["c"], None));
    // The streams speak in another order than that of their names.
    for stream in ["s2", "s1", "s3"] {
        rig.advance(1.0);
        put(&rig, stream, &["x"]);
    }
    let streams = async |more: Value| {
        let mut body = json!({ "logGroupName": "/ecs/web", "limit": 3 });
        more.as_object().unwrap().iter().for_each(|(name, value)| body[name] = value.clone());
        let answer = logs(&rig, "DescribeLogStreams", body).await.unwrap();
        (pluck(&answer, "logStreams", "logStreamName").join(" "), answer["nextToken"].clone())
    };
    let (names, token) = streams(json!({ "orderBy": "LastEventTime", "descending": true })).await;
    assert_eq!(names, "s3 s1");
    let next = json!({ "orderBy": "LastEventTime", "descending": true, "nextToken": token });
    assert_eq!(streams(next).await, ("s2".to_owned(), Value::Null));
    assert_eq!(streams(json!({ "orderBy": "LastEventTime" })).await.0, "s2 s1");
    assert_eq!(streams(json!({ "descending": true })).await.0, "s3 s2");
    assert_eq!(streams(json!({ "logStreamNamePrefix": "s2" })).await.0, "s2");
    let both = json!({ "logGroupName": "/ecs/web", "orderBy": "LastEventTime", "logStreamNamePrefix": "s" });
    assert_eq!(logs(&rig, "DescribeLogStreams", both).await.unwrap_err().code, "InvalidParameterException");
    let bad = json!({ "limit": 51 });
    assert_eq!(logs(&rig, "DescribeLogGroups", bad).await.unwrap_err().code, "InvalidParameterException");
    let bad = json!({ "nextToken": "x" });
    assert_eq!(logs(&rig, "DescribeLogGroups", bad).await.unwrap_err().code, "InvalidParameterException");
}

#[tokio::test]
async fn a_stream_is_read_from_either_end() {
    let rig = Rig::start().await;
    put(&rig, "s", &["1", "2", "3", "4", "5"]);
    let read = async |more: Value| {
        let mut body = json!({ "logGroupName": "/ecs/web", "logStreamName": "s", "limit": 2 });
        more.as_object().unwrap().iter().for_each(|(name, value)| body[name] = value.clone());
        logs(&rig, "GetLogEvents", body).await
    };
    let page = read(json!({ "startFromHead": true })).await.unwrap();
    let millis = (rig.control.now() * 1000.0).round() as u64;
    assert_eq!(page["events"][0], json!({ "timestamp": millis, "message": "1", "ingestionTime": millis }));
    assert_eq!(messages(&page), "1 2");
    let page = read(json!({ "nextToken": page["nextForwardToken"] })).await.unwrap();
    assert_eq!(messages(&page), "3 4");
    let back = read(json!({ "nextToken": page["nextBackwardToken"] })).await.unwrap();
    assert_eq!(messages(&back), "1 2");
    let last = read(json!({ "nextToken": page["nextForwardToken"] })).await.unwrap();
    assert_eq!(messages(&last), "5");
    // At the end, the token comes back as it was, and later goes on from there.
    let end = read(json!({ "nextToken": last["nextForwardToken"] })).await.unwrap();
    assert_eq!((messages(&end), &end["nextForwardToken"]), (String::new(), &last["nextForwardToken"]));
    rig.advance(1.0);
    put(&rig, "s", &["6"]);
    assert_eq!(messages(&read(json!({ "nextToken": end["nextForwardToken"] })).await.unwrap()), "6");
    // Without a wish, the latest events come.
    let page = read(json!({})).await.unwrap();
    assert_eq!(messages(&page), "5 6");
    assert_eq!(messages(&read(json!({ "nextToken": page["nextBackwardToken"] })).await.unwrap()), "3 4");
    assert_eq!(messages(&read(json!({ "startTime": millis + 1 })).await.unwrap()), "6");
    assert_eq!(messages(&read(json!({ "endTime": millis })).await.unwrap()), "");
    assert_eq!(read(json!({ "nextToken": "x" })).await.unwrap_err().code, "InvalidParameterException");
    assert_eq!(read(json!({ "logStreamName": "none" })).await.unwrap_err().code, "ResourceNotFoundException");
}

#[tokio::test]
async fn events_are_put_in_order_and_filtered() {
    let rig = Rig::with(Options { short_pages: true, ..Options::default() }).await;
    put(&rig, "b", &[]);
    let lines = json!({ "group": "/ecs/web", "stream": "b", "lines": ["late"] });
    assert_eq!(rig.by_hand("POST", "/logs", lines).await.0, 200);
    logs(&rig, "CreateLogStream", json!({ "logGroupName": "/ecs/web", "logStreamName": "a" })).await.unwrap();
    let body = |events: Value| json!({ "logGroupName": "/ecs/web", "logStreamName": "a", "logEvents": events });
    let events = json!([{ "timestamp": 1000, "message": "one" }, { "timestamp": 2000, "message": "two" }]);
    let answer = logs(&rig, "PutLogEvents", body(events)).await.unwrap();
    assert_eq!(answer["nextSequenceToken"].as_str().unwrap().len(), 56);
    let events = json!([{ "timestamp": 2, "message": "b" }, { "timestamp": 1, "message": "a" }]);
    let refused = logs(&rig, "PutLogEvents", body(events)).await.unwrap_err();
    assert_eq!(refused.code, "InvalidParameterException");
    let refused = logs(&rig, "PutLogEvents", body(json!([]))).await.unwrap_err();
    assert_eq!(refused.message, "logEvents must have length greater than or equal to 1.");
    let absent =
        json!({ "logGroupName": "/ecs/web", "logStreamName": "c", "logEvents": [{ "timestamp": 2, "message": "b" }] });
    assert_eq!(logs(&rig, "PutLogEvents", absent).await.unwrap_err().code, "ResourceNotFoundException");
    let filter = async |more: Value| {
        let mut body = json!({ "logGroupName": "/ecs/web" });
        more.as_object().unwrap().iter().for_each(|(name, value)| body[name] = value.clone());
        logs(&rig, "FilterLogEvents", body).await
    };
    let all = filter(json!({})).await.unwrap();
    assert_eq!(
        (messages(&all).as_str(), pluck(&all, "events", "logStreamName")),
        ("one two late", vec!["a", "a", "b"])
    );
    assert_eq!(all["events"][0]["eventId"].as_str().unwrap().len(), 56);
    let page = filter(json!({ "limit": 3 })).await.unwrap();
    assert_eq!(messages(&page), "one two");
    let page = filter(json!({ "limit": 3, "nextToken": page["nextToken"] })).await.unwrap();
    assert_eq!((messages(&page).as_str(), page.get("nextToken")), ("late", None));
    assert_eq!(messages(&filter(json!({ "logStreamNames": ["a"], "endTime": 2000 })).await.unwrap()), "one");
    assert_eq!(messages(&filter(json!({ "logStreamNamePrefix": "a", "startTime": 2000 })).await.unwrap()), "two");
    assert_eq!(filter(json!({ "logStreamNames": ["c"] })).await.unwrap_err().code, "ResourceNotFoundException");
    assert_eq!(filter(json!({ "filterPattern": "ERROR" })).await.unwrap_err().code, "InvalidParameterException");
    rig.control.add_fault(Fault::new("logs:FilterLogEvents", Effect::Deny));
    let refused = filter(json!({})).await.unwrap_err();
    assert_eq!(refused.code, "AccessDeniedException");
    assert!(
        refused.message.contains(&format!("arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/ecs/web:log-stream:")),
        "{}",
        refused.message
    );
}
