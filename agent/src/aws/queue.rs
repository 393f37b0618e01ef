//! A queue of SQS that EventBridge puts events into.

use super::{AwsError, Clients, json::QUEUES};
use serde_json::{Value, json};

/// Seconds that a receive waits for a message: the longest that SQS knows.
const WAIT: i32 = 20;
/// Seconds in which a message that was received must be deleted, else it comes again: longer than a commit waits.
const VISIBILITY: i32 = 300;
/// Messages at once.
const BATCH: i32 = 10;

/// The address of a queue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueUrl {
    /// The whole URL.
    pub url: String,
    /// The account that it belongs to.
    pub account: String,
    /// Its region, where the host names it.
    pub region: Option<String>,
}

impl QueueUrl {
    /// Reads `https://sqs.REGION.amazonaws.com/ACCOUNT/NAME`.
    pub fn parse(url: &str) -> Option<Self> {
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
        let (host, path) = rest.split_once('/')?;
        let (account, name) = path.split_once('/')?;
        let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        let is_name =
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        let region =
            host.strip_prefix("sqs.").and_then(|rest| rest.split_once(".amazonaws.com")).map(|(region, _)| region);
        (is_account && is_name && !host.contains('@')).then(|| Self {
            url: url.to_owned(),
            account: account.to_owned(),
            region: region.map(str::to_owned),
        })
    }
}

/// A message that was received and not deleted yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What deletes it.
    pub receipt: String,
    /// Its text.
    pub body: String,
}

impl Clients {
    /// Waits for messages, 20 seconds at most.
    ///
    /// # Errors
    /// As the call fails.
    pub async fn receive(&self, queue: &QueueUrl) -> Result<Vec<Message>, AwsError> {
        let input = json!({
            "QueueUrl": queue.url,
            "WaitTimeSeconds": WAIT,
            "VisibilityTimeout": VISIBILITY,
            "MaxNumberOfMessages": BATCH,
        });
        let answer = self.json(QUEUES, "sqs:ReceiveMessage", &input).await?;
        let message = |message: &Value| {
            Some(Message {
                receipt: message["ReceiptHandle"].as_str()?.to_owned(),
                body: message["Body"].as_str().unwrap_or_default().to_owned(),
            })
        };
        Ok(answer["Messages"].as_array().into_iter().flatten().filter_map(message).collect())
    }

    /// Deletes a message: what it tells of was done.
    ///
    /// # Errors
    /// As the call fails; the message then comes again.
    pub async fn delete(&self, queue: &QueueUrl, message: &Message) -> Result<(), AwsError> {
        let input = json!({ "QueueUrl": queue.url, "ReceiptHandle": message.receipt });
        self.json(QUEUES, "sqs:DeleteMessage", &input).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_are_known_by_their_urls() {
        let queue = QueueUrl::parse("https://sqs.eu-central-1.amazonaws.com/111111111111/images").unwrap();
        assert_eq!((queue.account.as_str(), queue.region.as_deref()), ("111111111111", Some("eu-central-1")));
        assert_eq!(QueueUrl::parse("http://127.0.0.1:4000/111111111111/images").unwrap().region, None);
        for url in [
            "",
            "sqs",
            "https://sqs.eu.amazonaws.com/images",
            "https://x@y/111111111111/q",
            "https://x/1/q",
            "https://x/111111111111/",
        ] {
            assert_eq!(QueueUrl::parse(url), None, "{url}");
        }
    }
}
