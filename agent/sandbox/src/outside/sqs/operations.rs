//! The operations of SQS.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::clock::Moment;
use crate::ecs::last_segment;
use crate::error::{Answer, ApiError};
use crate::outside::Call;
use crate::outside::sqs::{BATCH, Message, NewMessage, Queue, Queues, Receipt, attributes, sums, url};
use crate::place::{Place, is_account};
use crate::request::Request;

/// The longest time for which a message can be hidden, in seconds.
const LONGEST_HIDDEN: i64 = 43_200;

/// Runs one operation.
pub(crate) fn run(operation: &str, call: Call<'_>) -> Answer {
    let (request, now) = (call.request, call.now);
    if operation == "CreateQueue" {
        return create_queue(call);
    }
    let (place, name) = address(call.place, request);
    let queue = queue(call.outside.queues.get_mut(&place), &name)?;
    queue.forget_old(now);
    match operation {
        "GetQueueUrl" => Ok(json!({ "QueueUrl": url(&call.outside.endpoint, &place, &name) })),
        "GetQueueAttributes" => {
            let names = request.texts("AttributeNames");
            let mut shown = queue.show(&place, &name, now);
            shown.retain(|name, _| names.contains(&"All") || names.contains(&name.as_str()));
            Ok(if shown.is_empty() { json!({}) } else { json!({ "Attributes": shown }) })
        }
        "SendMessage" => {
            let new = message(queue, request, &call.caller.user_id)?;
            let mut answer = json!({ "MD5OfMessageBody": sums::of_body(new.body) });
            if let Some(sum) = sums::of_attributes(&new.attributes) {
                answer["MD5OfMessageAttributes"] = json!(sum);
            }
            answer["MessageId"] = json!(queue.send(new, now, &mut call.outside.ids));
            Ok(answer)
        }
        "ReceiveMessage" => receive(queue, request, now),
        "DeleteMessage" => {
            let handle = request.text("ReceiptHandle").unwrap_or_default();
            if queue.delete(handle) { Ok(Value::Null) } else { Err(no_handle(handle)) }
        }
        "DeleteMessageBatch" => delete_batch(queue, request),
        "ChangeMessageVisibility" => change_visibility(queue, request, now),
        "PurgeQueue" => purge(queue, &name, now),
        other => Err(ApiError::new("UnsupportedOperation", format!("The sandbox does not know sqs:{other}."))),
    }
}

/// How long a receiver wants to wait as things are now: not at all if there is a message, or nothing to wait at.
pub(crate) fn wait(call: Call<'_>) -> Duration {
    let (place, name) = address(call.place, call.request);
    let Ok(queue) = queue(call.outside.queues.get_mut(&place), &name) else {
        return Duration::ZERO;
    };
    if queue.has_visible(call.now) {
        return Duration::ZERO;
    }
    let wish = call.request.count("WaitTimeSeconds").map(|seconds| Duration::from_secs(seconds.into()));
    wish.unwrap_or_else(|| queue.seconds("ReceiveMessageWaitTimeSeconds"))
}

/// The code that an error had in the query protocol, which clients still look for.
pub(crate) fn query_code(code: &str) -> &str {
    match code {
        "QueueDoesNotExist" => "AWS.SimpleQueueService.NonExistentQueue",
        "QueueNameExists" => "QueueAlreadyExists",
        "BatchEntryIdsNotDistinct" => "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
        "EmptyBatchRequest" => "AWS.SimpleQueueService.EmptyBatchRequest",
        "InvalidBatchEntryId" => "AWS.SimpleQueueService.InvalidBatchEntryId",
        "MessageNotInflight" => "AWS.SimpleQueueService.MessageNotInflight",
        "PurgeQueueInProgress" => "AWS.SimpleQueueService.PurgeQueueInProgress",
        "TooManyEntriesInBatchRequest" => "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
        "UnsupportedOperation" => "AWS.SimpleQueueService.UnsupportedOperation",
        "AccessDeniedException" => "AccessDenied",
        other => other,
    }
}

/// The HTTP status that an error had in the query protocol.
pub(crate) fn query_status(error: &ApiError) -> u16 {
    if error.code == "PurgeQueueInProgress" { 403 } else { error.status }
}

/// The place and the name of the queue that a request means. The URL says which account, the signature which region.
fn address(place: &Place, request: Request<'_>) -> (Place, String) {
    let url = request.text("QueueUrl").unwrap_or_default();
    let owner = match url.rsplit_once('/') {
        Some((before, _)) => Some(last_segment(before)),
        None => request.text("QueueOwnerAWSAccountId"),
    };
    let account = owner.filter(|owner| is_account(owner)).unwrap_or(&place.account);
    let name = request.text("QueueName").unwrap_or_else(|| last_segment(url));
    (Place::new(account, &place.region), name.to_owned())
}

fn queue<'a>(queues: Option<&'a mut Queues>, name: &str) -> Result<&'a mut Queue, ApiError> {
    queues
        .and_then(|queues| queues.by_name.get_mut(name))
        .ok_or_else(|| ApiError::new("QueueDoesNotExist", "The specified queue does not exist."))
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new("InvalidParameterValue", message)
}

fn no_handle(handle: &str) -> ApiError {
    ApiError::new(
        "ReceiptHandleIsInvalid",
        format!("The input receipt handle \"{handle}\" is not a valid receipt handle."),
    )
}

fn create_queue(call: Call<'_>) -> Answer {
    let name = call.request.text("QueueName").unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > 80 || !name.chars().all(plain) {
        return Err(invalid("Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"));
    }
    let given = attributes::check(call.request.get("Attributes"))?;
    let queues = call.outside.queues.entry(call.place.clone()).or_default();
    let url = url(&call.outside.endpoint, call.place, name);
    match queues.by_name.get(name) {
        Some(queue) if !queue.agrees(&given) => {
            return Err(ApiError::new(
                "QueueNameExists",
                "A queue already exists with the same name and a different value for an attribute.",
            ));
        }
        Some(_) => {}
        None => {
            queues.by_name.insert(name.to_owned(), Queue::new(given, call.now));
        }
    }
    Ok(json!({ "QueueUrl": url }))
}

/// The message of a request to send one.
fn message<'a>(queue: &Queue, request: Request<'a>, sender: &'a str) -> Result<NewMessage<'a>, ApiError> {
    let body = request.text("MessageBody").unwrap_or_default();
    if body.is_empty() {
        return Err(ApiError::new("MissingParameter", "The request must contain the parameter MessageBody."));
    }
    if body.contains(|c: char| (c < ' ' && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{fffe}' | '\u{ffff}')) {
        return Err(ApiError::new("InvalidMessageContents", "Invalid characters found in the message body."));
    }
    let most = queue.number("MaximumMessageSize");
    if body.len() as u64 > most {
        let message = format!("One or more parameters are invalid. Reason: Message must be shorter than {most} bytes.");
        return Err(invalid(message));
    }
    let delay = match request.get("DelaySeconds").and_then(Value::as_i64) {
        None => None,
        Some(seconds) => Some(within("DelaySeconds", seconds, 900)?),
    };
    let attributes = request.get("MessageAttributes").and_then(Value::as_object).cloned().unwrap_or_default();
    if attributes.values().any(|attribute| !attribute["StringValue"].is_string()) {
        return Err(ApiError::new("UnsupportedOperation", "The sandbox has message attributes of text only."));
    }
    Ok(NewMessage { body, attributes, sender, delay })
}

/// A span of seconds between 0 and a most.
fn within(name: &str, seconds: i64, most: i64) -> Result<Duration, ApiError> {
    match u64::try_from(seconds) {
        Ok(fits) if seconds <= most => Ok(Duration::from_secs(fits)),
        _ => Err(invalid(format!(
            "Value {seconds} for parameter {name} is invalid. Reason: Must be >= 0 and <= {most}, if provided."
        ))),
    }
}

fn receive(queue: &mut Queue, request: Request<'_>, now: Moment) -> Answer {
    let number = |name: &str| request.get(name).and_then(Value::as_i64);
    let count = number("MaxNumberOfMessages").unwrap_or(1);
    let Some(count) = usize::try_from(count).ok().filter(|count| (1..=BATCH).contains(count)) else {
        return Err(invalid(format!(
            "Value {count} for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and {BATCH}, if provided."
        )));
    };
    if let Some(seconds) = number("WaitTimeSeconds") {
        within("WaitTimeSeconds", seconds, 20)?;
    }
    let hidden = match number("VisibilityTimeout") {
        Some(seconds) => within("VisibilityTimeout", seconds, LONGEST_HIDDEN)?,
        None => queue.seconds("VisibilityTimeout"),
    };
    let system = [request.texts("AttributeNames"), request.texts("MessageSystemAttributeNames")].concat();
    let wanted = request.texts("MessageAttributeNames");
    let received = queue.receive(count, hidden, now);
    let messages: Vec<Value> =
        received.iter().map(|(message, handle)| message.wire(handle, &system, &wanted)).collect();
    Ok(if messages.is_empty() { json!({}) } else { json!({ "Messages": messages }) })
}

impl Message {
    fn wire(&self, handle: &str, system: &[&str], wanted: &[&str]) -> Value {
        let mut wire = json!({
            "MessageId": self.id,
            "ReceiptHandle": handle,
            "MD5OfBody": sums::of_body(&self.body),
            "Body": self.body,
        });
        let first = self.first_received_at.unwrap_or(self.sent_at);
        let all = [
            ("SenderId", self.sender.clone()),
            ("SentTimestamp", self.sent_at.millis().to_string()),
            ("ApproximateReceiveCount", self.received.to_string()),
            ("ApproximateFirstReceiveTimestamp", first.millis().to_string()),
        ];
        let shown: Map<String, Value> = all
            .into_iter()
            .filter(|(name, _)| system.contains(&"All") || system.contains(name))
            .map(|(name, value)| (name.to_owned(), json!(value)))
            .collect();
        if !shown.is_empty() {
            wire["Attributes"] = Value::Object(shown);
        }
        let matches = |name: &str| {
            wanted.iter().any(|wish| match wish.strip_suffix(".*") {
                Some(prefix) => name.starts_with(prefix),
                None => *wish == "All" || *wish == name,
            })
        };
        let attributes: Map<String, Value> = self
            .attributes
            .iter()
            .filter(|(name, _)| matches(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        if let Some(sum) = sums::of_attributes(&attributes) {
            wire["MD5OfMessageAttributes"] = json!(sum);
            wire["MessageAttributes"] = Value::Object(attributes);
        }
        wire
    }
}

fn delete_batch(queue: &mut Queue, request: Request<'_>) -> Answer {
    let entries = request.list("Entries").cloned().unwrap_or_default();
    if entries.is_empty() {
        return Err(ApiError::new(
            "EmptyBatchRequest",
            "There should be at least one DeleteMessageBatchRequestEntry in the request.",
        ));
    }
    if entries.len() > BATCH {
        let message = format!("Maximum number of entries per request are {BATCH}. You have sent {}.", entries.len());
        return Err(ApiError::new("TooManyEntriesInBatchRequest", message));
    }
    let id = |entry: &Value| entry["Id"].as_str().unwrap_or_default().to_owned();
    let mut ids: Vec<String> = entries.iter().map(id).collect();
    ids.sort();
    if let Some(twice) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(ApiError::new("BatchEntryIdsNotDistinct", format!("Id {} repeated.", twice[0])));
    }
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for entry in &entries {
        let handle = entry["ReceiptHandle"].as_str().unwrap_or_default();
        if queue.delete(handle) {
            successful.push(json!({ "Id": id(entry) }));
        } else {
            let error = no_handle(handle);
            failed.push(json!({ "Id": id(entry), "SenderFault": true, "Code": error.code, "Message": error.message }));
        }
    }
    Ok(json!({ "Successful": successful, "Failed": failed }))
}

fn change_visibility(queue: &mut Queue, request: Request<'_>, now: Moment) -> Answer {
    let handle = request.text("ReceiptHandle").unwrap_or_default();
    let seconds = request.get("VisibilityTimeout").and_then(Value::as_i64).unwrap_or_default();
    let hidden = within("VisibilityTimeout", seconds, LONGEST_HIDDEN)?;
    match queue.receipt(handle) {
        Receipt::Invalid => Err(no_handle(handle)),
        Receipt::Current(at) if queue.messages[at].visible_at > now => {
            queue.messages[at].visible_at = now.plus(hidden);
            Ok(Value::Null)
        }
        Receipt::Current(_) | Receipt::Stale => {
            Err(ApiError::new("MessageNotInflight", "The message referred to is not in flight."))
        }
    }
}

fn purge(queue: &mut Queue, name: &str, now: Moment) -> Answer {
    const PAUSE: Duration = Duration::from_secs(60);
    if queue.purged_at.is_some_and(|at| at.plus(PAUSE) > now) {
        let message = format!("Only one PurgeQueue operation on {name} is allowed every 60 seconds.");
        return Err(ApiError::new("PurgeQueueInProgress", message));
    }
    queue.purged_at = Some(now);
    queue.messages.clear();
    Ok(Value::Null)
}
