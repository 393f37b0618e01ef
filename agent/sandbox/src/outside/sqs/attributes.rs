//! Attributes of queues.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::clock::Moment;
use crate::error::ApiError;
use crate::outside::sqs::Queue;
use crate::place::Place;

/// Attributes that are numbers: name, least, most, default.
const NUMBERS: [(&str, u64, u64, u64); 5] = [
    ("VisibilityTimeout", 0, 43_200, 30),
    ("DelaySeconds", 0, 900, 0),
    ("ReceiveMessageWaitTimeSeconds", 0, 20, 0),
    ("MessageRetentionPeriod", 60, 1_209_600, 345_600),
    ("MaximumMessageSize", 1024, 1_048_576, 1_048_576),
];

/// Checks the attributes of a new queue. A policy is taken and shown, and binds nobody.
pub(super) fn check(given: Option<&Value>) -> Result<BTreeMap<String, String>, ApiError> {
    let given = given.and_then(Value::as_object).into_iter().flatten();
    let mut checked = BTreeMap::new();
    for (name, value) in given {
        let value = value.as_str().unwrap_or_default();
        let number = NUMBERS.iter().find(|(known, ..)| known == name);
        let fits = match number {
            Some((_, least, most, _)) => value.parse::<u64>().is_ok_and(|value| (*least..=*most).contains(&value)),
            None if name == "Policy" => true,
            None => {
                let message = format!("Unknown Attribute {name}. The sandbox has standard queues without redrive.");
                return Err(ApiError::new("InvalidAttributeName", message));
            }
        };
        if !fits {
            let message = format!("Invalid value for the parameter {name}.");
            return Err(ApiError::new("InvalidAttributeValue", message));
        }
        checked.insert(name.clone(), value.to_owned());
    }
    Ok(checked)
}

impl Queue {
    /// The value of an attribute that is a number.
    pub(super) fn number(&self, name: &str) -> u64 {
        let default = NUMBERS.iter().find(|(known, ..)| *known == name).map_or(0, |(.., default)| *default);
        self.attributes.get(name).and_then(|value| value.parse().ok()).unwrap_or(default)
    }

    /// The value of an attribute that is a span of time.
    pub(super) fn seconds(&self, name: &str) -> Duration {
        Duration::from_secs(self.number(name))
    }

    /// Whether the queue has these attributes, as far as they are given.
    pub(super) fn agrees(&self, given: &BTreeMap<String, String>) -> bool {
        given.iter().all(|(name, value)| match NUMBERS.iter().any(|(known, ..)| known == name) {
            true => value.parse() == Ok(self.number(name)),
            false => self.attributes.get(name) == Some(value),
        })
    }

    /// All attributes, as they are shown.
    pub(super) fn show(&self, place: &Place, name: &str, now: Moment) -> Map<String, Value> {
        let count = |which: &dyn Fn(&super::Message) -> bool| {
            json!(self.messages.iter().filter(|message| which(message)).count().to_string())
        };
        let created = json!((self.created_at.millis() / 1000).to_string());
        let mut shown = Map::new();
        shown.insert("QueueArn".to_owned(), json!(place.arn("sqs", name)));
        shown.insert("ApproximateNumberOfMessages".to_owned(), count(&|message| message.visible_at <= now));
        shown.insert(
            "ApproximateNumberOfMessagesNotVisible".to_owned(),
            count(&|message| message.visible_at > now && message.received > 0),
        );
        shown.insert(
            "ApproximateNumberOfMessagesDelayed".to_owned(),
            count(&|message| message.visible_at > now && message.received == 0),
        );
        shown.insert("CreatedTimestamp".to_owned(), created.clone());
        shown.insert("LastModifiedTimestamp".to_owned(), created);
        for (name, ..) in NUMBERS {
            shown.insert(name.to_owned(), json!(self.number(name).to_string()));
        }
        shown.insert("SqsManagedSseEnabled".to_owned(), json!("true"));
        if let Some(policy) = self.attributes.get("Policy") {
            shown.insert("Policy".to_owned(), json!(policy));
        }
        shown
    }
}
