//! SQS, in both protocols.

use std::time::{Duration, Instant};

use lockstep_sandbox::{Effect, Fault};
use serde_json::{Value, json};

use crate::rig::{ACCOUNT, Fault as Refusal, REGION, Rig, elements};

async fn sqs(rig: &Rig, operation: &str, body: Value) -> Result<Value, Refusal> {
    rig.call(&format!("AmazonSQS.{operation}"), body).await
}

/// A rig with an empty queue, and its URL.
async fn with_queue() -> (Rig, String) {
    let rig = Rig::start().await;
    let url = rig.control.create_queue(ACCOUNT, REGION, "jobs");
    (rig, url)
}

fn send(rig: &Rig, body: &str) -> String {
    rig.control.send_message(ACCOUNT, REGION, "jobs", body)
}

async fn receive(rig: &Rig, url: &str) -> Option<Value> {
    let mut answer = sqs(rig, "ReceiveMessage", json!({ "QueueUrl": url })).await.unwrap();
    answer.get_mut("Messages").map(|messages| messages[0].take())
}

async fn attribute(rig: &Rig, url: &str, name: &str) -> Value {
    let mut answer =
        sqs(rig, "GetQueueAttributes", json!({ "QueueUrl": url, "AttributeNames": [name] })).await.unwrap();
    answer["Attributes"][name].take()
}

#[tokio::test]
async fn a_queue_is_made_once() {
    let rig = Rig::start().await;
    let new = json!({ "QueueName": "jobs", "Attributes": { "VisibilityTimeout": "5" } });
    let url = format!("{}/{ACCOUNT}/jobs", rig.url());
    assert_eq!(sqs(&rig, "CreateQueue", new.clone()).await, Ok(json!({ "QueueUrl": url })));
    assert_eq!(sqs(&rig, "CreateQueue", new).await, Ok(json!({ "QueueUrl": url })));
    assert_eq!(sqs(&rig, "GetQueueUrl", json!({ "QueueName": "jobs" })).await, Ok(json!({ "QueueUrl": url })));
    let code = async |operation: &str, body: Value| sqs(&rig, operation, body).await.unwrap_err().code;
    let other = json!({ "QueueName": "jobs", "Attributes": { "VisibilityTimeout": "6" } });
    assert_eq!(code("CreateQueue", other).await, "QueueNameExists");
    assert_eq!(code("CreateQueue", json!({ "QueueName": "a b" })).await, "InvalidParameterValue");
    assert_eq!(code("CreateQueue", json!({})).await, "InvalidParameterValue");
    let fifo = json!({ "QueueName": "q", "Attributes": { "FifoQueue": "true" } });
    assert_eq!(code("CreateQueue", fifo).await, "InvalidAttributeName");
    let long = json!({ "QueueName": "q", "Attributes": { "DelaySeconds": "901" } });
    assert_eq!(code("CreateQueue", long).await, "InvalidAttributeValue");
    let created = (rig.control.now() as u64).to_string();
    let all = json!({ "QueueUrl": url, "AttributeNames": ["All"] });
    let expected = json!({ "Attributes": {
        "QueueArn": format!("arn:aws:sqs:{REGION}:{ACCOUNT}:jobs"),
        "ApproximateNumberOfMessages": "0",
        "ApproximateNumberOfMessagesNotVisible": "0",
        "ApproximateNumberOfMessagesDelayed": "0",
        "CreatedTimestamp": created,
        "LastModifiedTimestamp": created,
        "VisibilityTimeout": "5",
        "DelaySeconds": "0",
        "ReceiveMessageWaitTimeSeconds": "0",
        "MessageRetentionPeriod": "345600",
        "MaximumMessageSize": "1048576",
        "SqsManagedSseEnabled": "true",
    }});
    assert_eq!(sqs(&rig, "GetQueueAttributes", all).await, Ok(expected));
    assert_eq!(sqs(&rig, "GetQueueAttributes", json!({ "QueueUrl": url })).await, Ok(json!({})));
    let bogus = json!({ "QueueUrl": url, "AttributeNames": ["Bogus"] });
    assert_eq!(code("GetQueueAttributes", bogus).await, "InvalidAttributeName");
    assert_eq!(code("ListQueues", json!({ "QueueUrl": url })).await, "UnsupportedOperation");
}

#[tokio::test]
async fn an_absent_queue_has_an_error_of_two_names() {
    let rig = Rig::start().await;
    for (operation, mut body) in [
        ("GetQueueUrl", json!({ "QueueName": "none" })),
        ("GetQueueAttributes", json!({})),
        ("SendMessage", json!({ "MessageBody": "a" })),
        ("ReceiveMessage", json!({ "WaitTimeSeconds": 20 })),
        ("DeleteMessage", json!({ "ReceiptHandle": "a" })),
        ("DeleteMessageBatch", json!({ "Entries": [] })),
        ("ChangeMessageVisibility", json!({ "ReceiptHandle": "a", "VisibilityTimeout": 0 })),
        ("PurgeQueue", json!({})),
    ] {
        if operation != "GetQueueUrl" {
            body["QueueUrl"] = json!(format!("{}/{ACCOUNT}/none", rig.url()));
        }
        let refused = sqs(&rig, operation, body).await.unwrap_err();
        assert_eq!((refused.status, refused.code.as_str()), (400, "QueueDoesNotExist"), "{operation}");
    }
    let answer = rig
        .http()
        .post(rig.url())
        .header("authorization", format!("AWS4-HMAC-SHA256 Credential={ACCOUNT}/20261121/{REGION}/sqs/aws4_request"))
        .header("x-amz-target", "AmazonSQS.GetQueueUrl")
        .body(json!({ "QueueName": "none" }).to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.headers()["x-amzn-query-error"], "AWS.SimpleQueueService.NonExistentQueue;Sender");
    assert_eq!(answer.headers()["content-type"], "application/x-amz-json-1.0");
    let body: Value = answer.json().await.unwrap();
    assert_eq!(
        body,
        json!({ "__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "The specified queue does not exist." })
    );
}

#[tokio::test]
async fn a_message_is_hidden_and_comes_back() {
    let (rig, url) = with_queue().await;
    let attributes = json!({ "timestamp": { "DataType": "Number", "StringValue": "1493147359900" } });
    let sent =
        sqs(&rig, "SendMessage", json!({ "QueueUrl": url, "MessageBody": "hello", "MessageAttributes": attributes }))
            .await
            .unwrap();
    assert_eq!(sent["MD5OfMessageBody"], "5d41402abc4b2a76b9719d911017c592");
    assert_eq!(sent["MD5OfMessageAttributes"], "235c5c510d26fb653d073faed50ae77c");
    let moment = format!("{:.0}", rig.control.now() * 1000.0);
    let ask = json!({
        "QueueUrl": url, "MaxNumberOfMessages": 10, "MessageSystemAttributeNames": ["All"],
        "MessageAttributeNames": ["time.*"],
    });
    let first = sqs(&rig, "ReceiveMessage", ask.clone()).await.unwrap();
    let handle = first["Messages"][0]["ReceiptHandle"].clone();
    let expected = json!({ "Messages": [{
        "MessageId": sent["MessageId"], "ReceiptHandle": handle,
        "MD5OfBody": "5d41402abc4b2a76b9719d911017c592", "Body": "hello",
        "Attributes": {
            "SenderId": format!("AIDA00000{ACCOUNT}"), "SentTimestamp": moment,
            "ApproximateReceiveCount": "1", "ApproximateFirstReceiveTimestamp": moment,
        },
        "MD5OfMessageAttributes": "235c5c510d26fb653d073faed50ae77c", "MessageAttributes": attributes,
    }]});
    assert_eq!(first, expected);
    assert_eq!(sqs(&rig, "ReceiveMessage", ask).await, Ok(json!({})));
    assert_eq!(attribute(&rig, &url, "ApproximateNumberOfMessagesNotVisible").await, "1");
    rig.advance(30.0);
    assert_eq!(attribute(&rig, &url, "ApproximateNumberOfMessages").await, "1");
    let count = json!({ "QueueUrl": url, "AttributeNames": ["ApproximateReceiveCount"], "VisibilityTimeout": 5 });
    let second = sqs(&rig, "ReceiveMessage", count).await.unwrap();
    assert_eq!(second["Messages"][0]["Attributes"], json!({ "ApproximateReceiveCount": "2" }));
    let newer = second["Messages"][0]["ReceiptHandle"].clone();
    assert_ne!(newer, handle);
    // The old handle is taken, and does nothing.
    let delete =
        async |handle: &Value| sqs(&rig, "DeleteMessage", json!({ "QueueUrl": url, "ReceiptHandle": handle })).await;
    assert_eq!(delete(&handle).await, Ok(json!({})));
    assert_eq!(rig.control.queue_depth(ACCOUNT, REGION, "jobs"), 1);
    // A handle outlives the time for which its message is hidden, as long as nobody else has received it.
    rig.advance(5.0);
    assert_eq!(delete(&newer).await, Ok(json!({})));
    assert_eq!(rig.control.queue_depth(ACCOUNT, REGION, "jobs"), 0);
    assert_eq!(delete(&json!("x")).await.unwrap_err().code, "ReceiptHandleIsInvalid");
}

#[tokio::test]
async fn visibility_can_be_changed() {
    let (rig, url) = with_queue().await;
    send(&rig, "a");
    let message = receive(&rig, &url).await.unwrap();
    let change = async |handle: &Value, seconds: i64| {
        let body = json!({ "QueueUrl": url, "ReceiptHandle": handle, "VisibilityTimeout": seconds });
        sqs(&rig, "ChangeMessageVisibility", body).await.map_err(|refused| refused.code)
    };
    let handle = &message["ReceiptHandle"];
    assert_eq!(change(handle, 60).await, Ok(json!({})));
    rig.advance(59.0);
    assert_eq!(receive(&rig, &url).await, None);
    assert_eq!(change(handle, 0).await, Ok(json!({})));
    assert_eq!(change(handle, 5).await, Err("MessageNotInflight".to_owned()));
    let again = receive(&rig, &url).await.unwrap();
    assert_eq!(again["MessageId"], message["MessageId"]);
    assert_eq!(change(handle, 5).await, Err("MessageNotInflight".to_owned()));
    assert_eq!(change(&again["ReceiptHandle"], 43_201).await, Err("InvalidParameterValue".to_owned()));
    assert_eq!(change(&json!("x"), 5).await, Err("ReceiptHandleIsInvalid".to_owned()));
}

#[tokio::test]
async fn batches_have_bounds() {
    let (rig, url) = with_queue().await;
    (0..12).for_each(|at| drop(send(&rig, &at.to_string())));
    let ask = |count: i64| json!({ "QueueUrl": url, "MaxNumberOfMessages": count });
    for count in [0, 11] {
        assert_eq!(sqs(&rig, "ReceiveMessage", ask(count)).await.unwrap_err().code, "InvalidParameterValue");
    }
    let received = sqs(&rig, "ReceiveMessage", ask(10)).await.unwrap();
    let messages = received["Messages"].as_array().unwrap();
    assert_eq!((messages.len(), &messages[0]["Body"]), (10, &json!("0")));
    let entry = |id: &str, handle: &Value| json!({ "Id": id, "ReceiptHandle": handle });
    let delete = async |entries: Vec<Value>| {
        sqs(&rig, "DeleteMessageBatch", json!({ "QueueUrl": url, "Entries": entries })).await
    };
    let bad = json!("x");
    let answer = delete(vec![entry("a", &messages[0]["ReceiptHandle"]), entry("b", &bad)]).await.unwrap();
    let expected = json!({
        "Successful": [{ "Id": "a" }],
        "Failed": [{
            "Id": "b", "SenderFault": true, "Code": "ReceiptHandleIsInvalid",
            "Message": "The input receipt handle \"x\" is not a valid receipt handle.",
        }],
    });
    assert_eq!(answer, expected);
    assert_eq!(rig.control.queue_depth(ACCOUNT, REGION, "jobs"), 11);
    assert_eq!(delete(vec![]).await.unwrap_err().code, "EmptyBatchRequest");
    assert_eq!(delete(vec![entry("a", &bad), entry("a", &bad)]).await.unwrap_err().code, "BatchEntryIdsNotDistinct");
    let many = (0..11).map(|at| entry(&at.to_string(), &bad)).collect();
    assert_eq!(delete(many).await.unwrap_err().code, "TooManyEntriesInBatchRequest");
    assert_eq!(sqs(&rig, "PurgeQueue", json!({ "QueueUrl": url })).await, Ok(json!({})));
    assert_eq!(rig.control.queue_depth(ACCOUNT, REGION, "jobs"), 0);
    let again = sqs(&rig, "PurgeQueue", json!({ "QueueUrl": url })).await.unwrap_err();
    assert_eq!((again.status, again.code.as_str()), (400, "PurgeQueueInProgress"));
    rig.advance(60.0);
    assert_eq!(sqs(&rig, "PurgeQueue", json!({ "QueueUrl": url })).await, Ok(json!({})));
}

#[tokio::test]
async fn messages_wait_and_grow_old() {
    let (rig, url) = with_queue().await;
    let sent = |more: Value| {
        let mut body = json!({ "QueueUrl": url, "MessageBody": "a" });
        more.as_object().unwrap().iter().for_each(|(name, value)| body[name] = value.clone());
        sqs(&rig, "SendMessage", body)
    };
    sent(json!({ "DelaySeconds": 10 })).await.unwrap();
    assert_eq!(attribute(&rig, &url, "ApproximateNumberOfMessagesDelayed").await, "1");
    assert_eq!(receive(&rig, &url).await, None);
    rig.advance(10.0);
    assert!(receive(&rig, &url).await.is_some());
    rig.advance(345_600.0);
    assert_eq!(receive(&rig, &url).await, None);
    assert_eq!(rig.control.queue_depth(ACCOUNT, REGION, "jobs"), 0);
    let code = async |more: Value| sent(more).await.unwrap_err().code;
    assert_eq!(code(json!({ "DelaySeconds": 901 })).await, "InvalidParameterValue");
    assert_eq!(code(json!({ "MessageBody": "" })).await, "MissingParameter");
    assert_eq!(code(json!({ "MessageBody": "\u{1}" })).await, "InvalidMessageContents");
    assert_eq!(code(json!({ "MessageBody": "a".repeat(1_048_577) })).await, "InvalidParameterValue");
    let binary = json!({ "MessageAttributes": { "a": { "DataType": "Binary", "BinaryValue": "AA==" } } });
    assert_eq!(code(binary).await, "UnsupportedOperation");
}

#[tokio::test]
async fn a_receiver_waits_for_a_message() {
    let (rig, url) = with_queue().await;
    let wait = json!({ "QueueUrl": url, "WaitTimeSeconds": 20 });
    let started = Instant::now();
    assert_eq!(sqs(&rig, "ReceiveMessage", wait.clone()).await, Ok(json!({})));
    let waited = started.elapsed();
    assert!(waited >= Duration::from_secs(1) && waited < Duration::from_secs(10), "{waited:?}");
    let started = Instant::now();
    let late = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        // The state is not locked while the receiver waits.
        rig.by_hand("POST", "/messages", json!({ "queue": "jobs", "body": "late" })).await
    };
    let (received, _) = tokio::join!(sqs(&rig, "ReceiveMessage", wait.clone()), late);
    assert_eq!(received.unwrap()["Messages"][0]["Body"], "late");
    assert!(started.elapsed() >= Duration::from_millis(100));
    // One call each, whatever it waited for.
    assert_eq!(rig.control.calls()["sqs:ReceiveMessage"], 2);
    let long = json!({ "QueueUrl": url, "WaitTimeSeconds": 21 });
    assert_eq!(sqs(&rig, "ReceiveMessage", long).await.unwrap_err().code, "InvalidParameterValue");
}

#[tokio::test]
async fn queues_belong_to_accounts_and_regions() {
    let (rig, url) = with_queue().await;
    send(&rig, "a");
    // Another account that knows the URL reaches the queue, as with a policy that lets it.
    let target = "AmazonSQS.ReceiveMessage";
    let answer = rig.send("222222222222", target, json!({ "QueueUrl": url })).await.unwrap();
    assert_eq!(answer["Messages"][0]["Body"], "a");
    let refused = rig.send("222222222222", "AmazonSQS.GetQueueUrl", json!({ "QueueName": "jobs" })).await.unwrap_err();
    assert_eq!(refused.code, "com.amazonaws.sqs#QueueDoesNotExist");
    let owner = json!({ "QueueName": "jobs", "QueueOwnerAWSAccountId": ACCOUNT });
    assert_eq!(rig.send("222222222222", "AmazonSQS.GetQueueUrl", owner).await, Ok(json!({ "QueueUrl": url })));
    let (status, answer) = rig.by_hand("POST", "/queues", json!({ "name": "other" })).await;
    assert_eq!((status, answer), (200, json!({ "url": format!("{}/{ACCOUNT}/other", rig.url()) })));
    let path = format!("/queues?name=jobs&region={REGION}");
    let depth: Value =
        rig.http().get(format!("{}/sandbox{path}", rig.url())).send().await.unwrap().json().await.unwrap();
    assert_eq!(depth, json!({ "depth": 1 }));
    rig.control.add_fault(Fault::new("sqs:ReceiveMessage", Effect::Deny));
    let refused = sqs(&rig, "ReceiveMessage", json!({ "QueueUrl": url })).await.unwrap_err();
    assert_eq!(refused.code, "AccessDeniedException");
    assert!(refused.message.contains(&format!("arn:aws:sqs:{REGION}:{ACCOUNT}:jobs")), "{}", refused.message);
}

#[tokio::test]
async fn old_clients_speak_the_query_protocol() {
    let rig = Rig::start().await;
    let version = ("Version", "2012-11-05");
    let new = [
        ("Action", "CreateQueue"),
        version,
        ("QueueName", "old"),
        ("Attribute.1.Name", "VisibilityTimeout"),
        ("Attribute.1.Value", "5"),
    ];
    let (status, xml) = rig.form("sqs", &new).await;
    let url = format!("{}/{ACCOUNT}/old", rig.url());
    assert_eq!((status, elements(&xml, "QueueUrl")), (200, vec![url.as_str()]));
    let message = [("Action", "SendMessage"), version, ("QueueUrl", &url), ("MessageBody", "a<b")];
    let (_, xml) = rig.form("sqs", &message).await;
    let sum = elements(&xml, "MD5OfMessageBody")[0].to_owned();
    let ask =
        [("Action", "ReceiveMessage"), version, ("QueueUrl", &url), ("AttributeName.1", "ApproximateReceiveCount")];
    let (_, xml) = rig.form("sqs", &ask).await;
    let received = elements(&xml, "Message");
    assert_eq!((received.len(), elements(&xml, "Body"), elements(&xml, "MD5OfBody")), (1, vec!["a&lt;b"], vec![&*sum]));
    assert!(received[0].ends_with("<Attribute><Name>ApproximateReceiveCount</Name><Value>1</Value></Attribute>"));
    let handle = elements(&xml, "ReceiptHandle")[0].to_owned();
    let (_, xml) = rig.form("sqs", &ask).await;
    assert_eq!(elements(&xml, "ReceiveMessageResult"), [""]);
    let batch = [
        ("Action", "DeleteMessageBatch"),
        version,
        ("QueueUrl", &url),
        ("DeleteMessageBatchRequestEntry.1.Id", "a"),
        ("DeleteMessageBatchRequestEntry.1.ReceiptHandle", &handle),
    ];
    let (_, xml) = rig.form("sqs", &batch).await;
    assert_eq!(elements(&xml, "DeleteMessageBatchResultEntry"), ["<Id>a</Id>"]);
    let (_, xml) = rig.form("sqs", &[("Action", "PurgeQueue"), version, ("QueueUrl", &url)]).await;
    assert!(elements(&xml, "PurgeQueueResult").is_empty() && xml.contains("<RequestId>"), "{xml}");
    let (status, xml) = rig.form("sqs", &[("Action", "PurgeQueue"), version, ("QueueUrl", &url)]).await;
    assert_eq!((status, elements(&xml, "Code")), (403, vec!["AWS.SimpleQueueService.PurgeQueueInProgress"]));
    let (status, xml) = rig.form("sqs", &[("Action", "GetQueueUrl"), version, ("QueueName", "none")]).await;
    assert_eq!((status, elements(&xml, "Code")), (400, vec!["AWS.SimpleQueueService.NonExistentQueue"]));
}
